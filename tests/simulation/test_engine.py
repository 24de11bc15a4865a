"""Time: lockstep and event loop agree, batching changes nothing, recorded intervals are kept, rules change in between."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import PAGE, pull, push, scenario, traced

import tieringmodel as tm
from tieringmodel.damon.kdamond import Kdamond
from tieringmodel.damon.regions import RegionSet, scratch
from tieringmodel.damon.rng import counter_rng
from tieringmodel.kernels import sampling
from tieringmodel.simulation import engine as engine_module
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.silent import Silent
from tieringmodel.workload.access import AccessTable

YOUNG = tm.Filter("young", matching=True, allow=True)
ATTRS = tm.Attrs(max_nr_regions=100)
GROUPS = (
    tm.Group(0, 1500, rate_hz=400.0, end_tick=233, name="first"),
    tm.Group(1000, 2500, rate_hz=150.0, start_tick=101, end_tick=307, name="second"),
    tm.Group(2500, 3000, kind="period", period=3, phase=1, stride=2, start_tick=57, name="third"),
    tm.Group(3000, 3500, kind="hash", threshold=2**30, salt=5, start_tick=211, name="fourth"),
)
PLAIN = (*GROUPS[:2], tm.Group(2500, 3000, kind="period", start_tick=57))  # one table look-up per check at most times


def _two(**first: Any) -> tm.Scenario:
    a = tm.Context(attrs=ATTRS, schemes=(pull(),), **first)
    return scenario(contexts=(a, tm.Context(attrs=ATTRS, schemes=(push(),))), groups=GROUPS)


@pytest.mark.parametrize(
    "sc",
    [
        scenario(pull(), push(), groups=GROUPS),
        scenario(pull().replace(filters=(YOUNG,)), groups=GROUPS),  # accessed state is kept per page
        scenario(pull().replace(apply_interval_us=35_000), groups=GROUPS),  # applied between aggregations
        _two(),
        _two(rng_seed=5),
    ],
    ids=["one", "one-young", "sub-aggregation", "two", "two-seeded"],
)
def test_lockstep_and_time_agree_at_nominal_intervals(sc: tm.Scenario) -> None:
    lockstep, expected = traced(sc)
    lockstep.run_lockstep(600)
    timed, got = traced(sc)
    timed.run(600 * 5_000)
    assert len(expected.rows) >= 60
    assert got.rows == expected.rows
    assert timed.memory.arrays.node["migrated_in"].sum() > 0


@pytest.mark.parametrize("two", [False, True], ids=["one", "two"])
def test_a_run_in_pieces_is_the_run_in_one(two: bool) -> None:
    sc = _two() if two else scenario(pull(), push(), groups=GROUPS)
    whole, expected = traced(sc)
    whole.run(2_000_000)
    parts, got = traced(sc)
    for us in (1, 4_999, 95_001, 12_345, 887_654, 1_000_000):
        parts.run(us)
    assert got.rows == expected.rows
    assert parts.memory.now_ns == whole.memory.now_ns == 2_000_000_000


WINDOWS = tm.Attrs(sample_us=7_000, aggr_us=70_000, max_nr_regions=60)


@pytest.mark.parametrize("cost_ns", [0, 30_000])
@pytest.mark.parametrize("groups", [GROUPS, PLAIN, ()], ids=["all kinds", "plain", "none"])
def test_batches_of_any_size_give_the_same_run(
    cost_ns: int, groups: tuple[tm.Group, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    # 7 ms samples over 5 ms ticks: a check looks back on one or two ticks, some across a change of rules.
    machine = tm.Machine.dram_cxl("32 MiB", "32 MiB", migrate_ns_per_page=cost_ns)
    sc = scenario(pull(), push(), attrs=WINDOWS, groups=groups, machine=machine, tick_us=5_000)
    traces = []
    for most in (4096, 1, 3):
        monkeypatch.setattr(engine_module, "MAX_BATCH", most)
        run, trace = traced(sc)
        run.run(2_500_000)
        traces.append(trace.rows)
    assert len(traces[0]) > 60
    assert traces[1] == traces[0]
    assert traces[2] == traces[0]


MASK = 2**64 - 1


def _mix(x: int) -> int:
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


def _mixed32(page: int, tick: int, salt: int) -> int:
    h = (page * 0x9E3779B1 + tick * 0x85EBCA77 + salt) & 0xFFFFFFFF
    h = (h ^ h >> 16) * 0x7FEB352D & 0xFFFFFFFF
    h = (h ^ h >> 15) * 0x846CA68B & 0xFFFFFFFF
    return h ^ h >> 16


def touched_by_hand(table: AccessTable, page: int, tick: int) -> bool:
    """Word for word what a group promises, tick by tick; groups in force together draw independently."""
    slots: dict[int, int] = {}
    groups = table.workload.groups
    members = [i for i, g in enumerate(groups) if g.lo <= page < g.hi]
    for i in members:
        busy = {
            slots[j] for j in slots
            if groups[j].start_tick < groups[i].end_tick and groups[i].start_tick < groups[j].end_tick
        }  # fmt: skip
        slots[i] = min({*range(len(members))} - busy)
    for i in members:
        g = groups[i]
        if not g.start_tick <= tick < g.end_tick:
            continue
        if g.kind == "rate":
            key = int(table.key) + slots[i] * 0xD1342543DE82EF95
            threshold = round(-np.expm1(-g.rate_hz * table.tick_us * 1e-6) * 2**32)
            hit = _mix(key + ((tick << 32) | page) * 0x9E3779B97F4A7C15 & MASK) >> 32 < threshold
        elif g.kind == "period":
            hit = (tick + g.phase) % g.period == 0 and (page - g.lo) % g.stride == 0
        else:
            hit = _mixed32(page, tick, g.salt) < g.threshold
        if hit:
            return True
    return False


def answers(run: Engine, pages: list[int], after: int, until: int) -> list[bool]:
    """What a sampled check of (after, until] says about single pages."""
    change = run.access.enter(after + 1)
    if until >= change:
        run.access.general()
    pfn = run.memory.pfn_of_pages()
    order = sorted({*pages}, key=lambda p: int(pfn[p]))
    regions = RegionSet([[(int(pfn[p]) * PAGE, (int(pfn[p]) + 1) * PAGE, 0, 0, 0) for p in order]])
    memory = run.memory
    access = run.access.arrays
    sample = sampling.sample_plain if access.plain else sampling.sample_rules
    sample(
        regions.now, regions.ptr, np.array([after]), np.array([until]), memory.space, memory.arrays, access, counter_rng(1),
        scratch(regions.n),
    )  # fmt: skip
    found = dict(zip(order, (bool(row[2]) for row in regions.rows()[0]), strict=True))
    return [found[p] for p in pages]


@settings(max_examples=60)
@given(
    pages=st.lists(st.one_of(st.integers(0, 3999), st.integers(990, 1510)), min_size=1, max_size=16),
    start=st.one_of(st.integers(0, 320), st.sampled_from([97, 205, 230, 236, 305])),
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    overlap=st.booleans(),
    plain=st.booleans(),
)
def test_the_shortcut_and_the_rules_say_what_groups_promise(
    pages: list[int], start: int, lengths: list[int], overlap: bool, plain: bool
) -> None:
    first, second, *others = PLAIN if plain else GROUPS
    # With overlap the second group goes on alone with the draws that it had beside the first one.
    second = second if overlap else second.replace(start_tick=233)
    run = Engine(scenario(groups=(first, second, *others), pages=4000), 3)
    after = start
    for length in lengths:
        until = after + length
        expected = [any(touched_by_hand(run.access, p, t) for t in range(after + 1, until + 1)) for p in pages]
        assert answers(run, pages, after, until) == expected
        after = until


@pytest.mark.parametrize("groups", [GROUPS, PLAIN], ids=["all kinds", "plain"])
def test_the_same_page_is_touched_alike_whoever_asks(groups: tuple[tm.Group, ...]) -> None:
    """One context, several (accessed state per page), and classes cut by memory cgroups."""
    one = scenario(groups=groups)
    two = one.replace(contexts=one.contexts * 2)
    cut = one.replace(workload=one.workload.replace(memcgs=(tm.Memcg(1, 500, 1200), tm.Memcg(2, 2600, 3999))))
    pages = list(range(0, 4000, 37))
    runs = [Engine(sc, 9) for sc in (one, two, cut)]
    assert len({len(run.access.groups_of_class) for run in runs}) == 2
    for after, until in ((50, 60), (99, 101), (100, 101), (229, 240), (233, 234), (250, 257), (306, 308)):
        expected = answers(runs[0], pages, after, until)
        assert 0 < sum(expected) < len(pages)
        assert [answers(run, pages, after, until) for run in runs[1:]] == [expected] * 2


# ---- recorded intervals -----------------------------------------------------------------------------------------------

ENDS_US = (130_000, 245_001, 400_000, 487_654)


class Aggregations(Silent):
    def __init__(self) -> None:
        self.at_us: list[float] = []
        self.applied_us: list[float] = []

    def aggregated(self, kdamond: Kdamond) -> None:
        self.at_us.append(kdamond.memory.now_ns / 1000)

    def finished(self, kdamond: Kdamond, aggregation: bool) -> None:
        if not aggregation:
            self.applied_us.append(kdamond.memory.now_ns / 1000)


@pytest.mark.parametrize("young", [False, True], ids=["batched", "per tick"])
def test_aggregations_end_when_the_recording_says_and_repeat_beyond_it(young: bool) -> None:
    scheme = tm.Scheme(apply_interval_us=50_000, filters=(YOUNG,) if young else ())
    sc = scenario(contexts=(tm.Context(attrs=ATTRS, schemes=(scheme,), aggr_times_us=ENDS_US),))
    seen = Aggregations()
    Engine(sc, 1, observer=seen).run(1_200_000)
    laps = [lap * ENDS_US[-1] + end for lap in range(3) for end in ENDS_US]
    assert seen.at_us == [us for us in laps if us <= 1_200_000]
    # Ten of twenty ticks: half of each recorded interval.
    starts = [0, *laps]
    halves = [a + (b - a) / 2 for a, b in zip(starts, laps, strict=False)]
    assert seen.applied_us == pytest.approx([us for us in halves if us <= 1_200_000], abs=0.001)


def test_recorded_intervals_stretch_the_windows_of_checks() -> None:
    """Ticks of 5 ms, samples of nominal 5 ms that really take 20: the same rate is seen four times as often."""
    group = (tm.Group(0, 4096, rate_hz=20.0),)
    nominal = scenario(groups=group)
    context = nominal.contexts[0].replace(aggr_times_us=tuple(range(400_000, 4_000_001, 400_000)))
    stretched = nominal.replace(contexts=(context,))
    shares = []
    for sc in (nominal, stretched):
        ds = tm.simulate(sc, duration="8 s", seed=1)
        inside = (ds["region_start"] >= 32 << 20) & (ds["region_end"] <= 48 << 20)
        size = (ds["region_end"] - ds["region_start"]).where(inside)
        shares.append(float((ds["region_nr_accesses"] * size).sum() / size.sum() / 20))
    # 1 - exp(-0.1) and 1 - exp(-0.4). nr_accesses of merged regions is a mean rounded down, by up to 1/20 of the
    # maximum once or twice on the way.
    assert -np.expm1(-0.1) - 0.08 < shares[0] < -np.expm1(-0.1) + 0.02
    assert -np.expm1(-0.4) - 0.08 < shares[1] < -np.expm1(-0.4) + 0.02


def test_migration_delays_the_next_sleep() -> None:
    machine = tm.Machine.dram_cxl("32 MiB", "32 MiB", migrate_ns_per_page=100_000)
    sc = scenario(pull(sz_bytes=1 << 20), machine=machine)
    seen = Aggregations()
    run = Engine(sc, 1, observer=seen)
    moved = [0]

    def finished(kdamond: Kdamond, aggregation: bool) -> None:
        moved.append(int(kdamond.memory.migrated_pages().sum()))

    seen.finished = finished  # type: ignore[method-assign]
    run.run(2_000_000)
    expected = 100_000 * np.arange(1, len(seen.at_us) + 1) + 100 * np.array(moved[: len(seen.at_us)])
    np.testing.assert_allclose(seen.at_us, expected, atol=1e-6)
    assert moved[-1] > 1000


def test_contexts_keep_their_own_time() -> None:
    attrs = (tm.Attrs(), tm.Attrs(sample_us=3_000, aggr_us=33_000), tm.Attrs(sample_us=1_000_000, aggr_us=1_000_000))
    sc = scenario(contexts=tuple(tm.Context(attrs=a) for a in attrs))
    seen: dict[int, list[int]] = {0: [], 1: [], 2: []}

    class Times(Silent):
        def aggregated(self, kdamond: Kdamond) -> None:
            seen[kdamond.index].append(kdamond.memory.now_ns // 1000)

    run = Engine(sc, 1, observer=Times())
    assert run.tick_us == 3_000
    run.run(2_500_000)
    for i, a in enumerate(attrs):
        assert seen[i] == list(range(a.aggr_us, 2_500_001, a.aggr_us))


def test_without_contexts_time_passes_and_phases_begin_on_their_tick() -> None:
    sc = scenario(contexts=(), groups=GROUPS)
    run = Engine(sc, 1)
    phases: list[int] = []
    samples: list[int] = []
    run.run(
        2_000_000, every_us=300_000, sampled=lambda: samples.append(run.memory.now_ns // 1000),
        phase=lambda: phases.append(run.memory.now_ns // 1000),
    )  # fmt: skip
    assert phases == [0, *(5_000 * t for t in (57, 101, 211, 233, 307))]
    assert {*range(300_000, 2_000_001, 300_000), 2_000_000} <= {*samples}


TUNED = tm.Attrs(sample_us=8_000, aggr_us=160_000, intervals_goal=tm.IntervalsGoal(400, 3, 2_000, 10_000))


@pytest.mark.parametrize(
    ("tick_us", "contexts", "expected"),
    [
        (None, (), 5_000),
        (None, (tm.Context(attrs=tm.Attrs(sample_us=50_000, aggr_us=1_000_000)),), 50_000),
        (20_000, (tm.Context(),), 20_000),
        (None, (tm.Context(attrs=TUNED),), 2_000),
    ],
)
def test_the_workload_ticks_with_the_shortest_sampling(
    tick_us: int | None, contexts: tuple[tm.Context, ...], expected: int
) -> None:
    sc = scenario(contexts=contexts, tick_us=tick_us)
    assert sc.tick_us == Engine(sc).tick_us == expected
