"""One run: repeatable, described, conserving, and refusing what makes no sense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from small import MIB, PAGE, node_of_pages, pull, push, scenario, traced

import tieringmodel as tm
from tieringmodel.damon.kdamond import Kdamond
from tieringmodel.datasets.schema import COORDINATES, VARIABLES
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.recorder import MAX_LAG, Recorder
from tieringmodel.simulation.records import NoRecords
from tieringmodel.simulation.silent import Silent
from tieringmodel.simulation.simulate import window_s

PULLPUSH = scenario(pull(), push())
TWO = scenario(
    contexts=(
        tm.Context(attrs=tm.Attrs(max_nr_regions=100), schemes=(pull(),)),
        tm.Context(attrs=tm.Attrs(max_nr_regions=100, sample_us=7_000, aggr_us=140_000), schemes=(push(),)),
    )
)
WEIGHTED = scenario(
    tm.Scheme("migrate_hot", access_pattern=tm.AccessPattern(min_nr_accesses=5),
              dests=(tm.Dest(0, 40), tm.Dest(1, 60)), dest_rule="iid")
)  # fmt: skip
BARE = scenario(contexts=())


@pytest.mark.parametrize("sc", [PULLPUSH, TWO, WEIGHTED, BARE], ids=["pull-push", "two", "weights", "bare"])
def test_a_run_repeats_bit_for_bit_also_from_its_own_attributes(sc: tm.Scenario) -> None:
    one = tm.simulate(sc, duration="4 s", seed=7)
    xr.testing.assert_identical(one, tm.simulate(sc, duration="4 s", seed=7))
    again = tm.Scenario.from_json(one.attrs["scenario"])
    assert again == sc
    xr.testing.assert_identical(one, tm.simulate(again, duration=one.attrs["duration_s"], seed=one.attrs["seed"]))
    given = json.loads(one.attrs["parameters"])
    assert given == {"duration_s": 4.0, "seed": 7, "snapshots": 200, "log_moves": True, "oracle": None}


def test_another_seed_gives_another_run() -> None:
    one, other = (tm.simulate(PULLPUSH, duration="4 s", seed=s) for s in (7, 8))
    assert not np.array_equal(one["region_start"], other["region_start"])
    assert not np.array_equal(one["region_nr_accesses"], other["region_nr_accesses"])
    assert (one["used_pages"].isel(time=0) == other["used_pages"].isel(time=0)).all()


@pytest.mark.parametrize("option", [{"snapshots": 0}, {"snapshots": 3}, {"log_moves": False}], ids=str)
def test_what_is_recorded_does_not_change_the_run(option: dict[str, Any]) -> None:
    full, part = tm.simulate(TWO, duration="3 s", seed=2), tm.simulate(TWO, duration="3 s", seed=2, **option)
    left_out = [n for n in VARIABLES if n.startswith("region_") or n in ("returns", "undone_pages")]
    for name in VARIABLES:
        if name not in left_out:
            xr.testing.assert_equal(full[name], part[name])
    if "snapshots" in option:
        assert part.sizes["snapshot"] <= 2 * option["snapshots"]
        assert int(part["region_count"].sum()) == part.sizes["region"]
    else:
        assert full["returns"].sum() > 0
        assert (part["returns"] == -1).all()


@pytest.mark.parametrize("sc", [PULLPUSH, TWO, BARE], ids=["pull-push", "two", "bare"])
@pytest.mark.parametrize("snapshots", [200, 0])
def test_every_variable_is_described_and_survives_a_file(sc: tm.Scenario, snapshots: int, tmp_path: Path) -> None:
    # 2**64 - 1 in the seed, TEMPORAL without a size quota: both fill all 64 bits of an unsigned integer.
    unlimited = sc.contexts and sc.contexts[0].replace(schemes=(pull(sz_bytes=0),))
    sc = sc.replace(contexts=(unlimited, *sc.contexts[1:]) if unlimited else ())
    ds = tm.simulate(sc, duration="2 s", seed=2**64 - 1, snapshots=snapshots)
    assert set(ds.data_vars) == set(VARIABLES)
    for name, v in VARIABLES.items():
        assert ds[name].dims == v.dims
        assert ds[name].attrs == {"units": v.units, "long_name": v.long_name, "source": v.source}
        assert all(ds[name].attrs.values())
        whole = name not in ("access_share_bp", "class_rate_hz")
        assert ds[name].dtype.kind in ("iu" if whole else "f"), name
    for name in ds.coords:
        assert set(ds[name].attrs) == {"units", "long_name"}
        assert name in COORDINATES
    if sc.contexts:
        assert int(ds["esz_bp"].max()) == 2**64 - 1
        assert ds["esz_bp"].dtype == np.uint64
    path = tmp_path / "run.nc"
    ds.to_netcdf(path, engine="h5netcdf")
    with xr.open_dataset(path, engine="h5netcdf") as back:
        xr.testing.assert_identical(ds, back.load())
        assert {n: back[n].dtype for n in ds.variables} == {n: ds[n].dtype for n in ds.variables}


@pytest.mark.parametrize("sc", [PULLPUSH, TWO, WEIGHTED], ids=["pull-push", "two", "weights"])
def test_pages_are_neither_lost_nor_made(sc: tm.Scenario) -> None:
    machine = tm.Machine(
        (
            tm.Node(0, 0, 32 << 20, kernel_bytes=1 << 20, cache_bytes=2 << 20, unmanaged_bytes=1 << 20),
            tm.Node(1, 32 << 20, 32 << 20),
        )
    )
    ds = tm.simulate(sc.replace(machine=machine), duration="5 s", seed=1)
    total = np.array([31 << 20, 32 << 20]) // PAGE
    np.testing.assert_array_equal(ds["used_pages"] + ds["free_pages"], np.broadcast_to(total, ds["used_pages"].shape))
    pages = ds["class_pages"].sum(dim="node")
    assert (pages == pages.isel(time=0)).all()
    assert pages.isel(time=0).values.tolist() == [2048 + 512, 2048]  # untouched: half the workload, and the cache
    arrived = ds["migrated_in_pages"]
    assert int(arrived[-1].sum()) > 1000
    assert (arrived.diff("time") >= 0).all()
    np.testing.assert_array_equal(ds["migrated_pages"].cumsum("time"), arrived.sum("node"))
    gained = ds["used_pages"] - ds["used_pages"].isel(time=0)
    came_less_went = (arrived - arrived.sel(node=[1, 0]).values).transpose("time", "node")
    np.testing.assert_array_equal(gained, came_less_went)
    on_lru = ds["class_pages"].sum("page_class").values
    np.testing.assert_array_equal(on_lru + np.array([256, 0]), ds["used_pages"])  # kernel memory is on no LRU list
    hot = ds["class_pages"].sel(page_class="hot").values
    np.testing.assert_allclose(ds["access_share_bp"], 1e4 * hot / hot.sum(axis=1, keepdims=True), rtol=1e-12)


class EligibleByHand(Silent):
    """Recomputes node_eligible_mem_bp page by page between merging and the schemes."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.by_hand: list[int] = []
        self.used: list[tuple[int, int]] = []

    def aggregated(self, kdamond: Kdamond) -> None:
        assert self.engine is not None
        node = node_of_pages(self.engine)
        pfn = kdamond.memory.pfn_of_pages().tolist()
        at = dict(zip(pfn, node, strict=True))
        total = inside = 0
        for start, end, nr, _, _ in kdamond.regions.rows()[0]:
            if nr >= 5:
                found = [at[p] for p in range(start // PAGE, end // PAGE) if p in at]
                total += len(found)
                inside += found.count(0)
        self.by_hand.append(inside * 10_000 // total if total else 0)

    def finished(self, kdamond: Kdamond, aggregation: bool) -> None:
        self.used.append(kdamond.quotas[0].goals[0])


def test_the_eligible_share_is_that_of_a_page_by_page_count() -> None:
    observer = EligibleByHand()
    engine = Engine(scenario(pull(), push(), pages=2048, groups=(tm.Group(100, 900, rate_hz=400.0),)), 3, observer=observer)
    observer.engine = engine
    engine.run(3_000_000)
    assert [value for value, _ in observer.used] == observer.by_hand
    assert len({*observer.by_hand}) > 5
    assert {target for _, target in observer.used} == {6000}


def test_the_used_share_at_an_evaluation_is_that_of_the_record_before() -> None:
    ds = tm.simulate(scenario(pull(2000, metric="node_mem_used_bp", sz_bytes=1 << 19)), duration="5 s", seed=1)
    used = ds["used_pages"].sel(node=0).values * 10_000 // (32 * 256)
    evaluated = np.flatnonzero(np.diff(ds["resets"].values[:, 0])) + 1
    assert evaluated.size > 20
    np.testing.assert_array_equal(ds["goal_current"].values[evaluated, 0], used[evaluated - 1])
    np.testing.assert_array_equal(ds["score"].values[evaluated, 0], used[evaluated - 1] * 10_000 // 2000)
    assert int(used[-1]) in range(2000, 2000 + 156 + 1)  # one cap of 128 pages beyond the goal at most
    assert ds["migrated_pages"].values[-10:].sum() == 0


@pytest.mark.parametrize(
    ("sc", "expected"),
    [
        (BARE, 1.0),
        (scenario(), 0.1),
        (scenario(tm.Scheme("stat", apply_interval_us=250_000)), 0.25),
        (scenario(pull(reset_interval_ms=1500)), 1.5),
        (scenario(pull(reset_interval_ms=2**31)), 0.1),  # the kernel takes it for infinite
        (scenario(contexts=(tm.Context(aggr_times_us=(150_000, 300_000, 600_000)),)), 0.2),
        (scenario(contexts=(tm.Context(aggr_times_us=(400_000,), schemes=(tm.Scheme(apply_interval_us=200_000),)),)), 0.8),
    ],
)
def test_the_window_is_the_longest_control_period(sc: tm.Scenario, expected: float) -> None:
    assert window_s(sc) == pytest.approx(expected, rel=1e-12)
    assert tm.simulate(sc, duration="2 s").attrs["window_s"] == window_s(sc)


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ({"duration": "0 s"}, "duration"),
        ({"duration": "-1 s"}, "duration"),
        ({"duration": -2.0}, "duration"),
        ({"duration": "soon"}, "duration"),
        ({"duration": float("nan")}, "duration"),
        ({"duration": float("inf")}, "duration"),
        ({"duration": True}, "duration"),
        ({"duration": None}, "duration"),
        ({"duration": "1 ns"}, "duration"),
        ({"duration": 1e12}, "duration"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"seed": "1"}, "seed"),
        ({"seed": True}, "seed"),
        ({"snapshots": -1}, "snapshots"),
        ({"snapshots": 2.5}, "snapshots"),
        ({"snapshots": None}, "snapshots"),
        ({"seed": None}, "seed"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_by_name(arguments: dict[str, Any], where: str) -> None:
    with pytest.raises(tm.InputError) as caught:
        tm.simulate(PULLPUSH, **({"duration": "1 s"} | arguments))
    assert caught.value.where == where
    assert caught.value.remedy


def test_numpy_integers_are_integers() -> None:
    one = tm.simulate(PULLPUSH, duration=1, seed=np.int64(3), snapshots=np.uint8(2))  # type: ignore[arg-type]
    xr.testing.assert_identical(one, tm.simulate(PULLPUSH, duration="1 s", seed=3, snapshots=2))


def test_time_never_runs_backwards_where_migrations_of_two_contexts_overlap() -> None:
    slow = TWO.replace(machine=TWO.machine.replace(migrate_ns_per_page=200_000))
    ds = tm.simulate(slow, duration="5 s", seed=1)
    assert (np.diff(ds["time"]) > 0).all()
    assert int(ds["migrated_pages"].sum()) > 1000
    np.testing.assert_array_equal(ds["migrated_pages"].cumsum("time"), ds["migrated_in_pages"].sum("node"))
    assert int(ds["returns"].sum()) > 0


def test_records_of_one_instant_become_one_record_and_keep_its_moves() -> None:
    same = TWO.replace(contexts=tuple(c.replace(attrs=tm.Attrs(max_nr_regions=100)) for c in TWO.contexts))
    recorder = Recorder(0, 1, 0.1)
    engine = Engine(same, 1, observer=recorder, log_moves=1 << 16)
    recorder.engine = engine
    recorder.record()
    engine.run(3_000_000)
    ds = recorder.dataset()
    np.testing.assert_allclose(ds["time"], 0.1 * np.arange(31), atol=1e-9)
    assert sum(m.size for m in recorder.returns.moves) == int(ds["migrated_in_pages"][-1].sum()) > 0
    assert [m.size for m in recorder.returns.moves] == ds["migrated_pages"].values.tolist()
    assert recorder.returns.lost == 0


def test_moves_beyond_the_log_are_admitted() -> None:
    recorder = Recorder(0, 1, 0.1)
    engine = Engine(scenario(pull(), push()), 1, observer=recorder, log_moves=10)
    recorder.engine = engine
    engine.run(2_000_000)
    assert (recorder.dataset()["returns"] == -1).all()
    assert recorder.dataset().sizes["lag"] == MAX_LAG + 1


def test_snapshots_are_thinned_evenly() -> None:
    ds = tm.simulate(scenario(pull()), duration="10 s", seed=1, snapshots=10)
    assert ds.sizes["snapshot"] == 10
    np.testing.assert_allclose(np.diff(ds["snapshot_time"]), 1.0, atol=1e-9)
    ends = np.cumsum(ds["region_count"].values)
    for lo, hi in zip([0, *ends[:-1]], ends, strict=True):
        start, end = ds["region_start"].values[lo:hi], ds["region_end"].values[lo:hi]
        assert start[0] == 0
        assert end[-1] == 64 << 20
        np.testing.assert_array_equal(start[1:], end[:-1])
    assert int(ds["region_nr_accesses"].max()) <= 20


def test_an_oracle_does_not_go_with_contexts() -> None:
    from tieringmodel.scenario.controlled import controlled

    with pytest.raises(tm.InputError, match="oracle: does not go with contexts"):
        tm.simulate(PULLPUSH, duration="1 s", oracle=controlled(PULLPUSH))


def test_a_trace_of_the_engine_is_what_simulate_runs() -> None:
    engine, _ = traced(WEIGHTED, seed=4)
    engine.run(2_000_000)
    ds = tm.simulate(WEIGHTED, duration="2 s", seed=4)
    assert engine.memory.class_pages().tolist() == ds["class_pages"].isel(time=-1).values.tolist()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: tm.simulate("small", duration="1 s"), "scenario: str is not a Scenario"),  # type: ignore[arg-type]
        (lambda: tm.sweep(5, {"seed": [1]}), "scenario: int is not a Scenario"),  # type: ignore[arg-type]
        (lambda: tm.compare({"a": 5}, duration="1 s"), r"scenarios\['a'\]: int is not a Scenario"),  # type: ignore[dict-item]
        (lambda: tm.compare([BARE], duration="1 s"), "scenarios: list is not a mapping"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_scenario_is_refused_by_name(call: Any, said: str) -> None:
    with pytest.raises(tm.InputError, match=said):
        call()


def recorded_by_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave every record to Python, as where kernels cannot keep it."""
    monkeypatch.setattr(Recorder, "kept_by_kernels", lambda self: NoRecords())


MOVED_ON = (
    tm.Event(450_000, "machine.nodes.0.offline_bytes", 2 * MIB),
    tm.Event(600_000, "contexts.0.schemes.0.quota.sz_bytes", 2 * MIB),
)
PHASES = tm.Group(0, 1024, rate_hz=400.0, start_tick=0, end_tick=120), tm.Group(1024, 3000, rate_hz=90.0, start_tick=70)
MARKS = tm.Watermarks("free_mem_rate", 70_000, high=900, mid=850, low=800)
SLEEPY = tm.Context(attrs=tm.Attrs(max_nr_regions=50), schemes=(tm.Scheme("stat", watermarks=MARKS),))
"""Asleep at once: too little memory is free."""
AGED = tm.Scheme("pageout", tm.AccessPattern(max_nr_accesses=1), quota=tm.Quota(sz_bytes=MIB, reset_interval_ms=200))


@pytest.mark.parametrize(
    "sc",
    [
        scenario(pull(6000), push(4000)),
        scenario(pull(6000), push(4000), groups=PHASES),
        scenario(pull(6000), push(4000), machine=tm.Machine.dram_cxl("32 MiB", "32 MiB", migrate_ns_per_page=30_000)),
        scenario(pull(6000), push(4000)).replace(events=MOVED_ON),
        scenario(pull(6000), AGED),
        scenario(),
        TWO,
        scenario(contexts=[SLEEPY, *TWO.contexts]),
        scenario(pull(6000), tm.Scheme("stat", filters=(tm.Filter("young"),))),
    ],
    ids=["goals", "phases", "moves take time", "events", "reclaim", "no scheme", "two", "one sleeps", "young"],
)
@pytest.mark.parametrize("log_moves", [True, False])
def test_kernels_keep_the_records_that_python_would(monkeypatch: pytest.MonkeyPatch, sc: tm.Scenario, log_moves: bool) -> None:
    options: dict[str, Any] = {"duration": 1.5, "seed": 4, "snapshots": 5, "progress": False, "log_moves": log_moves}
    calls: list[bool] = []
    finished = Recorder.finished
    monkeypatch.setattr(
        Recorder, "finished", lambda self, k, aggregation: (calls.append(True), finished(self, k, aggregation))[1]
    )
    by_kernels, left = tm.simulate(sc, **options), len(calls)
    recorded_by_python(monkeypatch)
    by_python = tm.simulate(sc, **options)
    assert by_kernels.identical(by_python)
    if len(sc.contexts) == 1:  # else two of the same time are one
        assert len(calls) - left == by_python.sizes["time"] - 1
    if SLEEPY not in sc.contexts:
        assert left < 4, "a few only: where rates change, or the log is to be emptied"
