"""The oracle: at the target with as few moves as there can be, and only when accesses change."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from small import MIB, node_of_pages, scenario

import tieringmodel as tm
from tieringmodel.scenario.controlled import Controlled
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.oracle import Oracle

MACHINE = tm.Machine.dram_cxl("4 MiB", "8 MiB")  # 1024 and 2048 frames
UNMANAGED = tm.Machine((tm.Node(0, 0, 4 * MIB, unmanaged_bytes=MIB, kernel_bytes=MIB // 2), tm.Node(1, 4 * MIB, 8 * MIB)))


def run(sc: tm.Scenario, what: Controlled, duration: str = "3 s") -> xr.Dataset:
    return tm.simulate(sc, duration=duration, seed=1, oracle=what)


def placed(lo: int, hi: int, on_fast: int) -> tuple[tm.Placement, ...]:
    parts = [tm.Placement(lo, lo + on_fast, 0)] if on_fast else []
    return (*parts, tm.Placement(lo + on_fast, hi, 1)) if lo + on_fast < hi else (*parts,)


@settings(max_examples=40)
@given(hot=st.integers(1, 900), start=st.integers(0, 900), target_bp=st.integers(0, 10_000), nid=st.integers(0, 1))
def test_a_hot_set_of_one_rate_reaches_the_nearest_share_with_the_fewest_moves(
    hot: int, start: int, target_bp: int, nid: int
) -> None:
    start = min(start, hot)
    sc = scenario(
        contexts=(), pages=1500, groups=(tm.Group(0, hot, rate_hz=100.0),), machine=MACHINE,
        placement=(*placed(0, hot, start), tm.Placement(hot, 1500, 1)),
    )  # fmt: skip
    engine = Engine(sc, 1)
    Oracle(engine, Controlled("access", nid, target_bp))()
    inside = start if nid == 0 else hot - start
    after = int((np.array(node_of_pages(engine))[:hot] == nid).sum())
    exact = target_bp * hot / 10_000
    assert abs(after - exact) <= 0.5 + 1e-9
    assert int(engine.memory.migrated_pages().sum()) == abs(after - inside)
    moved = np.array(node_of_pages(engine)) != np.array([0] * start + [1] * (1500 - start))
    assert moved.sum() == abs(after - inside)
    assert not moved[hot:].any()


def test_it_moves_once_and_then_rests() -> None:
    sc = scenario(contexts=(), pages=1500, groups=(tm.Group(0, 1000, rate_hz=100.0),), machine=MACHINE)
    ds = run(sc, Controlled("access", 0, 4000))
    assert ds["migrated_pages"].values.tolist() == [0, 400, 0, 0]
    assert ds["access_share_bp"].sel(node=0).values.tolist() == [0.0, 4000.0, 4000.0, 4000.0]
    assert ds["returns"].sum() == 0


def test_it_answers_every_change_of_accesses_and_nothing_else() -> None:
    groups = (
        tm.Group(0, 500, rate_hz=100.0, end_tick=200),
        tm.Group(500, 900, rate_hz=100.0, start_tick=200),
        tm.Group(900, 1000, rate_hz=100.0, start_tick=400, end_tick=600),
    )
    sc = scenario(contexts=(), pages=1500, groups=groups, machine=MACHINE)
    ds = run(sc, Controlled("access", 0, 5000), "5 s")
    # 0 s: 250 of 500. 1 s: 200 of the 400 others. 2 s: 100 more are hot, so 50 more go in. 3 s: these 50 go out again.
    assert ds["migrated_pages"].values.tolist() == [0, 250 + 200, 50, 50, 0, 0]
    assert (ds["access_share_bp"].sel(node=0).values[1:] == 5000.0).all()


def test_hotter_pages_go_first() -> None:
    groups = (tm.Group(0, 100, rate_hz=1.0), tm.Group(100, 200, rate_hz=9.0))
    sc = scenario(contexts=(), pages=300, groups=groups, machine=MACHINE)
    engine = Engine(sc, 1)
    Oracle(engine, Controlled("access", 0, 4500))()
    node = np.array(node_of_pages(engine))
    assert (node[100:150] == 0).all()
    assert (node == 0).sum() == 50


def test_without_accesses_nothing_is_moved() -> None:
    ds = run(scenario(contexts=(), groups=(), machine=MACHINE, pages=500), Controlled("access", 0, 5000))
    assert int(ds["migrated_pages"].sum()) == 0
    assert np.isnan(ds["access_share_bp"]).all()


def test_a_full_node_is_cleared_of_cold_pages() -> None:
    sc = scenario(
        contexts=(), pages=1500, groups=(tm.Group(1024, 1324, rate_hz=100.0),), machine=MACHINE,
        placement=(tm.Placement(0, 1024, 0), tm.Placement(1024, 1500, 1)),
    )  # fmt: skip
    ds = run(sc, Controlled("access", 0, 5000))
    assert ds["access_share_bp"].sel(node=0).values[-1] == 5000.0
    assert ds["migrated_in_pages"].values[-1].tolist() == [150, 150]


@pytest.mark.parametrize("machine", [MACHINE, UNMANAGED], ids=["plain", "with kernel memory"])
@pytest.mark.parametrize("target_bp", [2500, 8000])
@pytest.mark.parametrize("on_fast", [0, 600])
def test_the_used_share_is_reached_with_the_hottest_pages(machine: tm.Machine, target_bp: int, on_fast: int) -> None:
    groups = (tm.Group(100, 300, rate_hz=50.0), tm.Group(700, 1100, rate_hz=100.0))
    sc = scenario(
        contexts=(), pages=1500, groups=groups, machine=machine,
        placement=(*placed(0, 1500, on_fast),) if on_fast else (tm.Placement(0, 1500, 1),),
    )  # fmt: skip
    engine = Engine(sc, 1)
    before = np.array(node_of_pages(engine))
    what = Controlled("used", 0, target_bp)
    Oracle(engine, what)()
    memory = engine.memory
    total = int(memory.arrays.node["total"][0])
    kernel = 128 if machine is UNMANAGED else 0
    assert int(memory.used_pages()[0]) == total * target_bp // 10_000
    keep = total * target_bp // 10_000 - kernel
    after = np.array(node_of_pages(engine))
    assert (after == 0).sum() == keep
    hottest = [*range(700, 1100), *range(100, 300)]
    assert (after[hottest[:keep]] == 0).all()
    # No page is moved that could have stayed: cold pages fill up from those that are there.
    cold_kept = max(keep - 600, 0)
    cold = np.ones(1500, bool)
    cold[hottest] = False
    assert (after[cold] == 0).sum() == cold_kept
    assert ((after == 0) & (before == 1) & cold).sum() == max(cold_kept - (before[cold] == 0).sum(), 0)
    Oracle(engine, what)()
    assert np.array_equal(node_of_pages(engine), after)
