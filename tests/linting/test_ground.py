"""What lint knows about a scenario before it runs, against the model itself."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lint_cases import HOT, MIB, PAGE, context, eligible, free, machine, move, quota, scenario, used, workload
from numba import njit

from tieringmodel.kernels.access import rules_touched
from tieringmodel.linting.goal_reading import reading
from tieringmodel.linting.initial_placement import Places
from tieringmodel.linting.scheme_facts import facts_of
from tieringmodel.memory.physical import PhysicalMemory
from tieringmodel.scenario import (
    Attrs,
    Filter,
    Goal,
    Group,
    Machine,
    Memcg,
    Node,
    Placement,
    Scenario,
    Target,
    Workload,
)
from tieringmodel.simulation.engine import Engine


@njit
def touched(access, cls, page, after, until):
    return rules_touched(access, cls, page, after, until)


@st.composite
def placed(draw: st.DrawFn) -> Scenario:
    nodes, start = [], 0
    for nid in range(draw(st.integers(1, 3))):
        pages = draw(st.integers(40, 300))
        parts = [draw(st.integers(0, 10)) * PAGE for _ in range(4)]
        nodes.append(Node(nid, start, pages * PAGE, 0, parts[0], parts[1], parts[2], parts[3]))
        start += (pages + draw(st.integers(0, 50))) * PAGE
    occupied = sum(n.unmanaged_bytes + n.kernel_bytes + n.cache_bytes for n in nodes)
    room = (sum(n.sz_bytes for n in nodes) - occupied) // PAGE
    n_pages = draw(st.integers(1, max(room - 1, 1)))
    cuts = sorted(draw(st.sets(st.integers(1, n_pages), max_size=4)) | {0, n_pages})
    places = []
    for lo, hi in itertools.pairwise(cuts):
        nid = draw(st.sampled_from([n.nid for n in nodes]))
        weights = tuple(draw(st.lists(st.integers(0, 5), min_size=len(nodes), max_size=len(nodes))))
        kind = draw(st.sampled_from(["node", "weights", "address"]))
        if kind == "weights" and sum(weights):
            places.append(Placement(lo, hi, nid, weights=weights))
        elif kind == "address":
            # The upper end of a node: nothing else is put there while the node has room below.
            end = nodes[nid].start_bytes + nodes[nid].sz_bytes
            taken = sum(p.hi - p.lo for p in places if p.start_bytes is not None and p.nid == nid)
            first = end - (taken + hi - lo) * PAGE
            fits = (taken + hi - lo + 20) * PAGE < nodes[nid].sz_bytes
            places.append(Placement(lo, hi, nid, first if fits else None))
        else:
            places.append(Placement(lo, hi, nid))
    return Scenario(Machine(tuple(nodes)), Workload(n_pages, placement=tuple(places)))


@settings(max_examples=80)
@given(sc=placed(), cuts=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_initial_places_are_those_of_the_memory(sc, cuts):
    here = Places(sc)
    if any(here.overfull):
        with pytest.raises(ValueError, match=r"machine\.nodes|offline_bytes"):
            PhysicalMemory(sc.machine, sc.workload, np.zeros(sc.workload.n_pages, np.uint16))
        return
    memory = PhysicalMemory(sc.machine, sc.workload, np.zeros(sc.workload.n_pages, np.uint16))
    assert here.free == memory.free_pages().tolist()
    assert facts_of(sc).total == memory.arrays.node["total"].tolist()
    node = memory.node_of_pages()
    lo, hi = sorted(int(x * sc.workload.n_pages) for x in cuts)
    assert here.on_nodes(lo, hi) == np.bincount(node[lo:hi], minlength=len(sc.machine.nodes)).tolist()
    lru = np.array(memory.arrays.node["lru"])
    assert (np.array(here.on_nodes(0, sc.workload.n_pages)) + here.cache).tolist() == lru.tolist()


METRICS = [
    used(8000), free(3000), used(5000, nid=1),
    Goal("node_sys_bp", 4000, nid=1), Goal("node_sys_bp:frames-share", 4000, nid=0),
    Goal("node_sys_bp:v1-intent-resident", 4000, nid=0), Goal("node_sys_bp:v1-intent-share", 4000, nid=1),
    Goal("node_sys_bp:v1-intent-share", 4000, nid=1, complement=True), used(8000).replace(clamp="tuner"),
    Goal("node_memcg_used_bp", 4000, nid=0, memcg_id=7), Goal("node_memcg_free_bp", 4000, nid=1, memcg_id=8),
    Goal("user_input", 50, current_value=20),
]  # fmt: skip


@pytest.mark.parametrize("goal", METRICS, ids=lambda g: f"{g.metric}-{g.nid}-{g.complement}-{g.clamp}")
def test_exact_readings_are_what_core_reads(goal):
    groups = workload(25_000, memcgs=(Memcg(7, 20_000, 30_000), Memcg(8, 30_000, 40_000, 7)))
    nodes = machine(kernel_bytes=8 * MIB, cache_bytes=4 * MIB, unmanaged_bytes=MIB)
    sc = scenario(move(0, quota(goal)), workload=groups, machine=nodes)
    now = reading(facts_of(sc).schemes[0], goal)
    assert now is not None
    assert now.exact
    assert (now.value, now.target) == Engine(sc).kdamonds[0].measure_goals(0)[0]


@pytest.mark.parametrize("metric", ["node_eligible_mem_bp", "node_ineligible_mem_bp"])
def test_the_eligible_share_is_what_detection_settles_at(metric):
    sc = scenario(move(0, quota(Goal(metric, 9000, nid=1), sz=PAGE)), workload=workload(8_000))
    engine = Engine(sc)
    now = reading(facts_of(sc).schemes[0], sc.contexts[0].schemes[0].quota.goals[0])
    assert now is not None
    assert not now.exact
    assert now.value == (6000 if metric == "node_eligible_mem_bp" else 4000)
    engine.run(5_000_000)
    # Region borders are off by a few per cent of the hot set; a page quota moves at most five pages meanwhile.
    assert engine.kdamonds[0].measure_goals(0)[0][0] == pytest.approx(now.value, abs=300)


def test_periods_are_whole_jiffies_applications_and_samples():
    sc = scenario(move(0, quota(used(8000)).replace(reset_interval_ms=1100)))
    facts = facts_of(sc).schemes[0]
    assert (facts.apply_us, facts.window_us) == (1_000_000, 2_000_000)
    assert [facts.evaluation_s(k) for k in (1, 2, 12)] == [1.0, 3.0, 23.0]
    engine = Engine(sc)
    engine.run(9_000_000)
    assert engine.kdamonds[0].quotas[0].resets == sum(facts.evaluation_s(k) <= 9 for k in range(1, 20))
    each = facts_of(scenario(move(0, quota(used(8000)).replace(reset_interval_ms=0)))).schemes[0]
    assert [each.evaluation_s(k) for k in (1, 2, 3, 4)] == [1.0, 1.0, 2.0, 3.0]
    never = facts_of(scenario(move(0, quota(used(8000)).replace(reset_interval_ms=2**31)))).schemes[0]
    assert math.isinf(never.window_us)
    odd = scenario(move(0, quota(used(8000)), apply_interval_us=52_000))
    assert facts_of(odd).schemes[0].apply_us == 50_000
    stretched = odd.replace(contexts=(odd.contexts[0].replace(aggr_times_us=(150_000, 300_000)),))
    assert facts_of(stretched).schemes[0].apply_us == pytest.approx(75_000)


def test_every_evaluation_comes_when_it_is_said_to_with_slow_jiffies():
    sc = scenario(move(0, quota(used(8000)).replace(reset_interval_ms=105), apply_interval_us=20_000))
    sc = sc.replace(machine=sc.machine.replace(hz=100))
    facts = facts_of(sc).schemes[0]
    assert facts.window_us == 120_000  # 11 jiffies of 10 ms, on a grid of 20 ms
    engine = Engine(sc)
    engine.run(1_000_000)
    assert engine.kdamonds[0].quotas[0].resets == sum(facts.evaluation_s(k) <= 1 for k in range(1, 20))


def test_core_filters_decide_which_node_is_a_source():
    def sources(*filters: Filter) -> tuple[list[tuple[int, int]], set[int]]:
        facts = facts_of(scenario(move(0, quota(used(8000)), filters=filters))).schemes[0]
        return facts.passing, set(facts.sources)

    edge, end = 256 * MIB, 512 * MIB
    assert sources() == ([(0, end)], {1})
    assert sources(Filter("addr", allow=True, start_bytes=edge, end_bytes=end)) == ([(edge, end)], {1})
    assert sources(Filter("addr", start_bytes=0, end_bytes=edge)) == ([(edge, end)], {1})
    assert sources(Filter("addr", matching=False, start_bytes=0, end_bytes=edge)) == ([(0, edge)], set())
    assert sources(Filter("target", allow=True, target_idx=1)) == ([], set())
    # Bounds are rounded down to whole regions; an allowed hole in a rejected range comes first.
    hole = Filter("addr", allow=True, start_bytes=edge + 10_000, end_bytes=edge + 20_000)
    assert sources(hole, Filter("addr", start_bytes=edge, end_bytes=end)) == (
        [(0, edge), (edge + 8192, edge + 16384)],
        {1},
    )
    # With operations filters core does not reject by default.
    assert sources(Filter("addr", allow=True, start_bytes=edge, end_bytes=end), Filter("young"))[0] == [
        (0, edge),
        (edge, end),
    ]


def test_supply_counts_what_matches_on_the_nodes_that_pass():
    sc = scenario(move(0, quota(eligible(0, 9000))), workload=workload(8_000))
    facts = facts_of(sc).schemes[0]
    assert facts.eligible() == [8_000, HOT - 8_000]
    assert facts.supply() == [0, HOT - 8_000]
    half = sc.replace(contexts=(context(*sc.contexts[0].schemes, targets=(Target(((0, 384 * MIB),)),)),))
    assert facts_of(half).schemes[0].supply() == [0, (HOT - 8_000) // 2]
    later = Group(HOT, HOT + 5_000, rate_hz=400.0, start_tick=1_000)
    both = facts_of(sc.replace(workload=sc.workload.replace(groups=(*sc.workload.groups, later)))).schemes[0]
    assert [sum(both.eligible(phase)) for phase in (0, 1, None)] == [HOT, HOT + 5_000, HOT + 5_000]
    assert both.touched_pages == HOT


def test_expected_access_counts_follow_the_access_table():
    for group in (
        Group(0, 100, rate_hz=30.0),
        Group(0, 100, kind="period", period=4, stride=2),
        Group(0, 100, kind="hash", threshold=2**31),
    ):
        work = Workload(100, (group,), tick_us=5_000)
        sc = Scenario(machine(), work, (context(),))
        engine = Engine(sc)
        samples = 4_000
        seen = 0
        rng = np.random.default_rng(1)
        access = engine.access
        for tick in range(1, samples + 1):
            page = int(rng.integers(100))
            cls = int(access.page_class[page])
            seen += bool(touched(access.arrays, cls, page, tick - 1, tick))
        expected = group.touch_probability(5_000, 5_000)
        # Three and a half standard deviations of a mean of independent draws.
        assert seen / samples == pytest.approx(expected, abs=3.5 * math.sqrt(0.25 / samples))


def test_intervals_of_samples_longer_than_a_tick():
    assert Group(0, 1, rate_hz=10.0).touch_probability(100_000, 20_000) == pytest.approx(1 - math.exp(-1))
    assert Group(0, 1, kind="period", period=10).touch_probability(100_000, 20_000) == 0.5
    assert Group(0, 1, kind="hash", threshold=2**31).touch_probability(40_000, 20_000) == 0.75
    assert facts_of(scenario(move(0, quota(used(8000))), workload=workload(10))).touches(0).nr[0] == pytest.approx(
        20 * (1 - math.exp(-2))
    )
    assert Attrs().sample_us == 5_000
