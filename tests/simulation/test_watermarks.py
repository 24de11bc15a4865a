"""Watermarks: schemes sleep outside their range of free memory, and monitoring stops when all of them do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import MIB, PAGE, pull, push, scenario, traced

import tieringmodel as tm
from tieringmodel.damon.kdamond import Kdamond
from tieringmodel.kernels import frames
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.silent import Silent
from tieringmodel.simulation.simulate import scheme_actions

# 64 MiB with 16 MiB in use: 750 permil are free, and migration does not change that.
AWAKE = tm.Watermarks("free_mem_rate", 250_000, high=800, mid=500, low=100)
ASLEEP = tm.Watermarks("free_mem_rate", 250_000, high=700, mid=500, low=100)


def occupy(engine: Engine, pages: int, node: int = 0) -> None:
    """Somebody else allocates memory."""
    frames.take_offline(engine.memory.arrays, node, pages)


def kdamond(*marks: tm.Watermarks) -> tuple[Engine, Kdamond]:
    engine = Engine(scenario(*(tm.Scheme(watermarks=m) for m in marks)), 1)
    return engine, engine.kdamonds[0]


def set_rate(engine: Engine, permil: int) -> None:
    """Make the share of free memory exactly `permil` of 16384 pages, truncated."""
    free = -(-permil * 16384 // 1000)
    engine.memory.arrays.node["free"][:] = [free, 0]
    assert int(engine.memory.free_rate()) == permil


@given(
    levels=st.lists(st.integers(0, 1000), min_size=3, max_size=3).map(sorted),
    course=st.lists(st.integers(0, 1000), min_size=1, max_size=12),
    interval=st.integers(0, 10**7),
)
def test_a_scheme_wakes_and_sleeps_by_the_rule(levels: list[int], course: list[int], interval: int) -> None:
    low, mid, high = levels
    engine, k = kdamond(tm.Watermarks("free_mem_rate", interval, high=high, mid=mid, low=low))
    active = True
    for permil in (p for c in course for p in (c, *levels)):
        set_rate(engine, permil)
        wait = k.watermark_wait_us()
        if permil > high or permil < low:
            active, expected = False, interval
        elif mid <= permil <= high and not active:
            expected = interval
        else:
            active, expected = True, 0
        assert (wait, bool(k.schemes[0]["active"])) == (expected, active)


def test_the_rate_is_that_of_managed_memory_in_permil() -> None:
    nodes = (tm.Node(0, 0, 1 << 20, unmanaged_bytes=1 << 19), tm.Node(1, 1 << 20, 1 << 20, kernel_bytes=3 * PAGE))
    engine = Engine(scenario(machine=tm.Machine(nodes), pages=10, groups=()), 1)
    assert int(engine.memory.free_rate()) == (384 - 3 - 10) * 1000 // 384


def test_the_shortest_sleep_decides_and_one_waking_scheme_keeps_all_going() -> None:
    longer = ASLEEP.replace(interval_us=900_000)
    assert kdamond(longer, ASLEEP)[1].watermark_wait_us() == 250_000
    assert kdamond(longer, ASLEEP, AWAKE)[1].watermark_wait_us() == 0
    assert kdamond(longer, tm.Watermarks())[1].watermark_wait_us() == 0
    assert kdamond(longer, ASLEEP.replace(interval_us=0))[1].watermark_wait_us() == 0
    assert kdamond()[1].watermark_wait_us() == 0


class Ends(Silent):
    """Notes when aggregations end."""

    def __init__(self) -> None:
        self.at_us: list[int] = []

    def aggregated(self, kdamond: Kdamond) -> None:
        self.at_us.append(kdamond.memory.now_ns // 1000)


def look(engine: Engine) -> None:
    """Look at the watermarks now: memory that changes from outside, in the middle of a batch, is seen at its end only."""
    engine._begin(engine.clocks[0])


@pytest.mark.parametrize("young", [False, True], ids=["batched", "per tick"])
def test_monitoring_stops_while_every_scheme_sleeps(young: bool) -> None:
    filters = (tm.Filter("young", allow=True),) if young else ()
    sc = scenario(pull().replace(watermarks=AWAKE, filters=filters), push().replace(watermarks=AWAKE))
    seen = Ends()
    engine = Engine(sc, 1, observer=seen)
    k, free = engine.kdamonds[0], engine.memory.arrays.node["free"]
    engine.run(1_020_000)
    occupy(engine, 7000)
    assert int(engine.memory.free_rate()) == (16384 - 4096 - 7000) * 1000 // 16384 == 322
    engine.run(180_000)  # an active scheme stays active anywhere between low and high
    assert seen.at_us == list(range(100_000, 1_200_001, 100_000))
    free[:] = [14_000, 0]  # 854 permil: asleep after the tick that is under way
    engine.run(5_000)
    look(engine)
    stopped = k.passed, k.rng.taken, k.regions.rows()
    assert k.passed == 241
    free[:] = [10_000, 0]  # 610 permil, between mid and high: not reason enough to wake
    engine.run(1_000_000)
    assert (k.passed, k.rng.taken, k.regions.rows()) == stopped
    free[:] = [6_000, 0]  # 366 permil
    engine.run(500_000)
    # Looks at 1.205 s + n * 250 ms; the first one below mid is at 2.455 s. 19 ticks of the aggregation are left.
    assert seen.at_us[12:] == [2_455_000 + 95_000, 2_455_000 + 195_000]
    assert k.passed == 241 + (2_705_000 - 2_455_000) // 5_000


def test_a_sleeping_run_is_a_run_that_never_began() -> None:
    sc = scenario(pull().replace(watermarks=ASLEEP))
    ds = tm.simulate(sc, duration="5 s", seed=1)
    assert ds["time"].values.tolist() == [0.0, 5.0]  # whoever sleeps to the end is recorded there
    assert ds["asleep_us"].values[-1].tolist() == [5_000_000]
    assert ds.sizes["snapshot"] == 0
    assert int(ds["migrated_pages"].sum()) == 0


@pytest.mark.parametrize("young", [False, True], ids=["batched", "per tick"])
def test_watermarks_that_never_act_change_nothing(young: bool) -> None:
    filters = (tm.Filter("young", allow=True),) if young else ()
    plain = scenario(pull().replace(filters=filters), push())
    marked = scenario(pull().replace(filters=filters, watermarks=AWAKE), push().replace(watermarks=AWAKE))
    expected, got = traced(plain), traced(marked)
    for engine, _ in (expected, got):
        engine.run(2_000_000)
    assert got[1].rows == expected[1].rows


def test_a_sleeping_scheme_beside_a_waking_one_is_skipped() -> None:
    both = scenario(pull(), push().replace(watermarks=ASLEEP))
    ds = tm.simulate(both, duration="3 s", seed=1)
    for name in ("nr_tried", "resets", "esz_bytes", "charged_bytes", "nr_snapshots", "qt_exceeds"):
        assert int(ds[name].sel(scheme=1).max()) == 0, name
    assert int(ds["nr_tried"].sel(scheme=0).max()) >= 5
    alone = tm.simulate(scenario(pull()), duration="3 s", seed=1)
    np.testing.assert_array_equal(ds["used_pages"], alone["used_pages"])
    np.testing.assert_array_equal(ds["region_start"], alone["region_start"])


def test_timers_of_sleeping_schemes_move_only_with_an_active_one_that_is_due() -> None:
    awake = tm.Scheme(apply_interval_us=100_000)
    asleep = tm.Scheme(apply_interval_us=30_000, watermarks=ASLEEP)
    engine, trace = traced(scenario(awake, asleep))
    engine.run(90_000)
    k = engine.kdamonds[0]
    assert k.next_apply == [20, 6]  # due since tick 6, and nobody active was due
    assert [row for row in trace.rows if row[2] is False] == []
    engine.run(10_000)
    assert k.next_apply == [40, 26]
    assert len(trace.rows) == 2  # merged, finished


def test_a_scheme_that_wakes_after_its_time_is_applied_at_once() -> None:
    awake = tm.Scheme(apply_interval_us=100_000)
    asleep = tm.Scheme("stat", apply_interval_us=30_000, watermarks=ASLEEP.replace(mid=690))
    engine, _ = traced(scenario(awake, asleep))
    engine.run(60_000)
    assert int(engine.kdamonds[0].schemes[1]["nr_tried"]) == 0
    engine.memory.arrays.node["free"][:] = [9_000, 0]  # 549 permil
    engine.run(10_000)
    look(engine)
    assert int(engine.kdamonds[0].schemes[1]["nr_tried"]) == 0
    engine.run(5_000)
    assert int(engine.kdamonds[0].schemes[1]["nr_tried"]) > 0
    assert engine.kdamonds[0].next_apply == [20, 15 + 6]


def test_two_contexts_sleep_apart() -> None:
    attrs = tm.Attrs(max_nr_regions=100)
    sleeping = tm.Context(attrs=attrs, schemes=(push().replace(watermarks=ASLEEP),))
    sc = scenario(contexts=(tm.Context(attrs=attrs, schemes=(pull(),)), sleeping))
    engine, trace = traced(sc)
    engine.run(1_000_000)
    assert {row[1] for row in trace.rows} == {0}
    assert engine.kdamonds[1].passed == 0
    engine.memory.arrays.node["free"][:] = [6_000, 0]
    engine.run(500_000)
    # Asleep until 1.25 s (250 ms steps from 0; the look at 1.0 s came before the change), then 100 ms.
    assert next(row[0] for row in trace.rows if row[1] == 1) == 1_350_000_000


def test_recorded_intervals_wait_too() -> None:
    context = tm.Context(aggr_times_us=(110_000, 250_000), schemes=(tm.Scheme(watermarks=ASLEEP),))
    seen = Ends()
    engine = Engine(scenario(contexts=(context,)), 1, observer=seen)
    engine.run(600_000)
    engine.memory.arrays.node["free"][:] = [6_000, 0]
    engine.run(600_000)
    assert seen.at_us == [750_000 + 110_000, 750_000 + 250_000, 750_000 + 360_000]


@pytest.mark.parametrize(
    ("event", "first_us"),
    [
        # 30 of 32 MiB of node 0 go: 4608 of 8704 pages are free, 529 permil, below mid.
        (tm.Event(1_100_000, "machine.nodes.0.offline_bytes", 30 * MIB), 1_350_000),
        (tm.Event(600_000, "contexts.0.schemes.0.watermarks.metric", "none"), 850_000),
        (tm.Event(600_000, "contexts.0.schemes.0.watermarks.high", 800), 850_000),  # a commit activates anew
        (tm.Event(600_000, "contexts.0.schemes.0.watermarks.high", 710), None),
    ],
    ids=["memory", "metric", "high", "not high enough"],
)
def test_what_happens_meanwhile_is_noticed_at_the_next_look(event: tm.Event, first_us: int | None) -> None:
    scheme = tm.Scheme(watermarks=ASLEEP.replace(mid=650))
    sc = scenario(scheme, placement=(tm.Placement(0, 4096, 1),)).replace(events=(event,))
    seen = Ends()
    Engine(sc, 1, observer=seen, actions=scheme_actions).run(2_000_000)
    assert seen.at_us == ([] if first_us is None else list(range(first_us, 2_000_001, 100_000)))
