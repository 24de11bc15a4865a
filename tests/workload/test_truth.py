"""How often a group touches a page: every door gives the number that the kernels' own touches have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small import scenario

import tieringmodel as tm
from tieringmodel.comparison.compare import recorded_series
from tieringmodel.comparison.policies import Controlled, with_gap
from tieringmodel.errors import InputError
from tieringmodel.hotness import activities
from tieringmodel.kernels._jit import kernel
from tieringmodel.kernels.access import rules_touched
from tieringmodel.linting.expected_accesses import touches_of
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.oracle import Oracle
from tieringmodel.workload.truth import touched_pages

PAGES = 1024
ATTRS = {5_000: tm.Attrs(), 1_000: tm.Attrs(sample_us=1_000, aggr_us=20_000), 50_000: tm.Attrs(sample_us=50_000, aggr_us=10**6)}
GROUPS = [
    tm.Group(3, 500, "period", period=2, name="a"),
    tm.Group(3, 500, "period", period=7, stride=3, phase=2, name="a"),
    tm.Group(3, 500, "period", period=1, stride=50, name="a"),
    tm.Group(3, 500, "hash", threshold=2**30, name="a"),
    tm.Group(3, 500, rate_hz=0.25, name="a"),
]


def machine_of(group: tm.Group, sample_us: int, tick_us: int | None, **context: Any) -> tm.Scenario:
    one = tm.Context(attrs=ATTRS[sample_us], **context)
    return scenario(contexts=(one, tm.Context()), pages=PAGES, groups=(group,), tick_us=tick_us)


@kernel
def count_touches(access, classes, ticks, out):
    for page in range(out.size):
        for tick in range(ticks):
            out[page] += rules_touched(access, np.int64(classes[page]), page, tick, tick + 1)


def seen_hz(engine: Engine, group: tm.Group) -> np.ndarray:
    """Touches per second of every page, counted in the kernels tick by tick over whole periods."""
    access, ticks, out = engine.access, group.period * 6, np.zeros(PAGES)
    count_touches(access.arrays, access.page_class, ticks, out)
    return out * 1e6 / (ticks * engine.tick_us)


@pytest.mark.parametrize("tick_us", [None, 2_000])
@pytest.mark.parametrize("sample_us", [1_000, 5_000, 50_000])
@pytest.mark.parametrize("group", GROUPS, ids=lambda g: f"{g.kind} {g.period} {g.stride}")
def test_all_doors_give_one_number(group: tm.Group, sample_us: int, tick_us: int | None) -> None:
    sc = machine_of(group, sample_us, tick_us)
    assert sc.tick_us == (tick_us or min(sample_us, 5_000))
    hit, rate = np.zeros(PAGES, bool), group.touch_rate_hz(sc.tick_us)
    hit[[*group.touched()]] = True
    expected, n = np.where(hit, rate, 0.0), group.hi - group.lo
    mean = pytest.approx(rate * len(group.touched()) / n, rel=1e-12)
    np.testing.assert_array_equal(tm.workload.page_rate_hz(sc, "1 s"), expected)
    assert tm.workload.access_rate_hz(sc) == pytest.approx(expected.sum(), rel=1e-12)
    np.testing.assert_array_equal(tm.workload.hot_set(sc, min_rate_hz=rate), hit)
    [steady] = activities(sc, "1 s")
    np.testing.assert_array_equal(steady.rate_hz, expected)
    run = tm.simulate(sc, duration="1 s", snapshots=0)
    of_class = run["class_rate_hz"].values[0]
    assert of_class[run["page_class"].values.tolist().index("a")] == mean
    assert (run["class_pages"].values[0] * of_class).sum() == pytest.approx(expected.sum(), rel=1e-12)
    engine = Engine(sc, seed=1)
    if group.kind == "period":
        np.testing.assert_allclose(seen_hz(engine, group), expected, rtol=1e-12)
    # What lint expects of a sampling interval, from the same rate: touches at random, in turn, or anew in each tick.
    interval_s, tick_s, share = sample_us * 1e-6, sc.tick_us * 1e-6, len(group.touched()) / n
    chance = {
        "rate": 1 - np.exp(-rate * interval_s),
        "period": min(rate * interval_s, 1) * share,
        "hash": 1 - (1 - rate * tick_s) ** max(interval_s / tick_s, 1),
    }
    samples = ATTRS[sample_us].aggr_us // sample_us
    assert touches_of(sc, sc.contexts[0].attrs, (0,)).nr[1] == pytest.approx(samples * chance[group.kind], rel=1e-9)
    record = {
        "t_ms": [0.0],
        "pgmigrate_success": [0],
        "a_n0_pages": [n],
        "a_n1_pages": [0],
        "b_n0_pages": [0],
        "b_n1_pages": [7],
    }
    both = sc.replace(workload=sc.workload.replace(groups=(group, tm.Group(600, 607, rate_hz=3.0, name="b"))))
    _, share, _ = recorded_series(SimpleNamespace(name="r", record=record), both, Controlled("access", 0, 5000))  # type: ignore[arg-type]
    assert share[0] == pytest.approx(1e4 * expected.sum() / (expected.sum() + 21), rel=1e-12)


def test_the_example_of_two_answers() -> None:
    sc = machine_of(tm.Group(0, 10, "period", period=2), 1_000, None)
    assert tm.workload.page_rate_hz(sc)[0] == 500
    assert tm.simulate(sc, duration="1 s", snapshots=0)["class_rate_hz"].values.max() == 500


@pytest.mark.parametrize(
    ("group", "at", "refused"),
    [
        (tm.Group(0, 5, "period"), 0, True),
        (tm.Group(0, 5, "hash", threshold=1), 0, True),
        (tm.Group(0, 5, rate_hz=2.0, start_tick=100), "1 s", True),
        (tm.Group(0, 5, rate_hz=2.0, end_tick=100), 0, False),
        (tm.Group(0, 5, rate_hz=2.0), "1 s", False),
    ],
)
def test_a_rate_that_hangs_on_the_contexts_is_not_guessed(group: tm.Group, at: int | str, refused: bool) -> None:
    alone = tm.Workload(8, (group,))
    for door, more in ((tm.workload.page_rate_hz, {}), (tm.workload.access_rate_hz, {}), (tm.workload.hot_set, {"n_pages": 5})):
        if refused:
            with pytest.raises(InputError, match=r"groups\[0\] depends; pass the scenario, or write workload.tick_us"):
                door(alone, at, **more)
        assert np.sum(door(alone.replace(tick_us=10_000), at, **more)) in (5, 10, 500, 500 / 2**32)
    if not refused:
        assert tm.workload.access_rate_hz(alone, at) == 10


def test_sources_and_the_oracle_see_the_pages_that_a_stride_picks() -> None:
    group = tm.Group(100, 900, "period", period=4, stride=4)
    sc = machine_of(group, 5_000, None, sources=(tm.SourceOfHotness("accessed_bits"),))
    engine = Engine(sc, seed=1)
    rate, node = engine.kdamonds[0]._truth(1)  # type: ignore[attr-defined]
    on_node_1 = engine.memory.frame_of.astype(np.int64)
    np.testing.assert_array_equal(rate[on_node_1], tm.workload.page_rate_hz(sc))
    assert rate.sum() == 200 * 50
    assert (node[on_node_1] == 1).all()
    bare = Engine(sc.replace(contexts=(), workload=sc.workload.replace(tick_us=5_000)), seed=1)
    Oracle(bare, Controlled("access", 0, 5000))()
    moved = np.flatnonzero(bare.memory.node_of_pages() == 0)
    assert moved.tolist() == [*range(100, 500, 4)]


def test_touched_pages_are_those_that_anybody_touches_at_any_time() -> None:
    groups = (
        tm.Group(0, 100, rate_hz=1.0),
        tm.Group(50, 150, rate_hz=2.0, start_tick=10, end_tick=20),
        tm.Group(200, 300, rate_hz=0.0),
        tm.Group(300, 400, "hash", threshold=0),
        tm.Group(400, 410, "period", period=9),
    )
    assert touched_pages(tm.Workload(PAGES, groups)) == 160
    sc = scenario(pages=PAGES, groups=groups)
    run = tm.simulate(sc.replace(contexts=()), duration="1 s", snapshots=0)
    ever = (run["class_rate_hz"].values > 0).any(axis=0)
    assert run["class_pages"].values[0].sum(axis=0)[ever].sum() == 160


def test_a_set_that_comes_and_goes_is_one_set_to_the_policies() -> None:
    """The quota that moves less than the gap follows from the pages touched, however many groups say so."""
    goals = [
        tm.Quota(sz_bytes=1 << 30, goals=(tm.Goal("node_eligible_mem_bp", bp, nid=n),)) for n, bp in ((0, 6000), (1, 4000))
    ]
    pair = [tm.Scheme("migrate_hot", target_nid=n, quota=q) for n, q in enumerate(goals)]
    once = (tm.Group(0, 2000, rate_hz=9.0),)
    turns = tuple(tm.Group(0, 2000, rate_hz=9.0, start_tick=k * 100, end_tick=k * 100 + 100) for k in range(8))
    made = [with_gap(scenario(*pair, groups=groups)) for groups in (once, turns)]
    assert {s.quota.sz_bytes for one in made for s in one.contexts[0].schemes} == {1 << 17}  # type: ignore[union-attr]
