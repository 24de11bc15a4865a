"""Areas, phases and runs as lint counts them, against loops over every area and every phase."""

from __future__ import annotations

import math
from itertools import pairwise

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings
from lint_cases import MIB, PAGE, context, eligible, found, machine, move, quota

import tieringmodel as tm
from tieringmodel.linting.expected_accesses import touches_of
from tieringmodel.linting.rules.monitors import runs_by_phase
from tieringmodel.linting.scheme_facts import facts_of
from tieringmodel.scenario import Attrs, Group, Placement, Scenario, Target, Vma, Workload

N = 400
WHOLE = (0, N)


@st.composite
def ranges(draw):
    lo = draw(st.integers(0, N - 1))
    return lo, draw(st.integers(lo + 1, N))


@st.composite
def group(draw):
    lo, hi = draw(ranges())
    start = draw(st.integers(0, 12))
    return Group(
        lo, hi, draw(st.sampled_from(["rate", "period"])), rate_hz=draw(st.sampled_from([0.0, 2.0, 50.0, 400.0])),
        period=draw(st.integers(1, 5)), stride=draw(st.integers(1, 3)), start_tick=start,
        end_tick=draw(st.sampled_from([2**62, start, start + 3, 5])),
    )  # fmt: skip


@st.composite
def cases(draw, physical: bool, dealt: bool = True):
    cuts = sorted({*WHOLE, *draw(st.lists(st.integers(1, N - 1), max_size=5))})
    places = tuple(
        Placement(a, b, draw(st.integers(0, 1)), weights=draw(st.sampled_from([(), (2, 3)])) if dealt else ())
        for a, b in pairwise(cuts)
    )
    start, vmas = 1 << 30, []
    for a, b in pairwise(cuts):
        start += draw(st.sampled_from([0, 5])) * PAGE
        vmas.append(Vma(a, b, start))
        start += (b - a) * PAGE
    limit = quota(eligible(1, 5000) if physical else tm.Goal("node_mem_used_bp", 5000, nid=1))
    schemes = tuple(move(nid, limit, filters=()) for nid in (0, 1))
    watcher = context(*schemes, ops="paddr" if physical else "vaddr", attrs=Attrs(min_nr_regions=3, max_nr_regions=3))
    groups = tuple(draw(st.lists(group(), max_size=12)))
    first = {"cache_bytes": draw(st.sampled_from([0, MIB]))}
    return Scenario(machine(**first), Workload(N, groups, places, vmas=tuple(vmas)), (watcher,))


def expected_nr(sc: Scenario, page: int, tick: int) -> float:
    """The nr_accesses of one page at a tick, one group after the other."""
    attrs = sc.contexts[0].attrs
    missed = math.prod(
        1 - g.touch_probability(attrs.sample_us, sc.tick_us)
        for g in sc.workload.groups
        if g.lo <= page < g.hi and g.start_tick <= tick < g.end_tick
    )
    return attrs.aggr_us // attrs.sample_us * (1.0 - missed)


def edges_of(sc: Scenario) -> list[int]:
    return sorted({*WHOLE, *(e for g in sc.workload.groups for e in (g.lo, g.hi))})


@settings(max_examples=60, deadline=None)
@given(st.booleans().flatmap(lambda physical: cases(physical)))
def test_areas_are_bit_for_bit_what_a_loop_over_phases_gives(sc: Scenario) -> None:
    shared = facts_of(sc)
    touches, edges = shared.touches(0), edges_of(sc)
    assert touches.edges.tolist() == edges
    for p, tick in enumerate(shared.phases):
        areas = np.arange(len(edges) - 1)
        nr = touches.at(areas, np.full(len(areas), p))
        assert nr.tolist() == [expected_nr(sc, lo, tick) for lo in edges[:-1]]


@settings(max_examples=60, deadline=None)
@given(st.booleans().flatmap(lambda physical: cases(physical)))
def test_matching_pages_are_those_of_a_loop_over_areas_and_phases(sc: Scenario) -> None:
    shared = facts_of(sc)
    facts, edges = shared.schemes[0], edges_of(sc)
    physical = sc.contexts[0].ops == "paddr"

    def pages(fits: list[bool], idle: bool) -> list[int]:
        out = list(shared.places.cache) if physical and idle else [0, 0]
        for (lo, hi), yes in zip(pairwise(edges), fits, strict=True):
            out = [a + b for a, b in zip(out, shared.places.on_nodes(lo, hi), strict=True)] if yes else out
        return out

    pattern = sc.contexts[0].schemes[0].access_pattern
    by_phase = [
        [pattern.min_nr_accesses <= round(expected_nr(sc, lo, t)) <= pattern.max_nr_accesses for lo in edges[:-1]]
        for t in shared.phases
    ]
    idle = pattern.min_nr_accesses == 0
    assert [facts.eligible(p) for p in range(len(shared.phases))] == [pages(fits, idle) for fits in by_phase]
    assert facts.eligible() == pages([any(fits) for fits in zip(*by_phase, strict=True)], idle)
    distinct = {tuple(facts.eligible(p) + facts.supply(p)): p for p in reversed(range(len(shared.phases)))}
    assert facts.phases == sorted(distinct.values())


@settings(max_examples=60, deadline=None)
@given(st.booleans().flatmap(lambda physical: cases(physical, dealt=False)))  # a dealt run counts once per node
def test_runs_of_equal_rate_are_those_of_a_walk_over_pages(sc: Scenario) -> None:
    shared = facts_of(sc)
    rows: list[tuple[int, int, int]] = []  # space, address, page
    if sc.contexts[0].ops == "vaddr":
        rows = [(0, v.start_bytes + (p - v.lo) * PAGE, p) for v in sc.workload.vmas for p in range(v.lo, v.hi)]
    else:
        rows = [(run.nodes[0], k * N + p, p) for k, run in enumerate(shared.places.runs) for p in range(run.lo, run.hi)]
    rows.sort()
    for p, tick in enumerate(shared.phases):
        seen = [(space, expected_nr(sc, page, tick)) for space, _, page in rows]
        assert runs_by_phase(shared, 0, sc.contexts[0])[p] == sum(k == 0 or seen[k] != seen[k - 1] for k in range(len(seen)))


def test_thousands_of_groups_and_phases_are_each_looked_at() -> None:
    """A window of 2000 pages moves by one page a tick: in one phase only does a fourth group make a fifth area."""
    n, step = 30_000, 10
    moving = [Group(k * step, k * step + step, rate_hz=400.0, start_tick=k, end_tick=k + 1) for k in range(n // step)]
    extra = Group(15, 20, rate_hz=50.0, start_tick=2000, end_tick=2001)
    watcher = context(move(1, quota(eligible(1, 5000))), attrs=Attrs(min_nr_regions=3, max_nr_regions=4), targets=(Target(),))
    sc = Scenario(machine(), Workload(n, (*moving, extra), (Placement(0, n),)), (watcher,))
    (few,) = found(sc, "too-few-regions")
    assert "has 5 neighbouring areas" in few.message  # idle, extra, idle, hot, idle
    assert not found(sc.replace(workload=sc.workload.replace(groups=tuple(moving))), "too-few-regions")
    facts = facts_of(sc).schemes[0]
    assert facts.eligible(0) == [step, 0]
    assert facts.eligible(2000) == [step, 0]
    assert facts.eligible() == [n, 0]
    assert facts.touched_pages == step


def test_a_piece_lasts_until_the_next_of_its_area_or_to_the_last_phase():
    groups = (Group(0, 100, rate_hz=100.0), Group(100, N, rate_hz=100.0, start_tick=500))
    sc = Scenario(machine(), Workload(N, groups, (Placement(0, N, 0),)), (context(),))
    found = touches_of(sc, Attrs(), (0, 500, 900))
    assert found.edges.tolist() == [0, 100, N]
    assert (found.area.tolist(), found.since.tolist(), found.until.tolist()) == ([0, 1, 1], [0, 0, 1], [3, 1, 3])
    assert found.nr[1] == 0 < found.nr[0] == found.nr[2]
