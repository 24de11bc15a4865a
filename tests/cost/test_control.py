"""CPU time of control: walks in closed form, and a run counted again by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel.cost import DEFAULT, control_cost, control_window_s, migration_s, walk_budget, walk_s

GIB = 1 << 30


@pytest.fixture(scope="module")
def run() -> xr.Dataset:
    return tm.simulate(scenario(pull(), push()), duration="4 s", seed=1)


def test_walks() -> None:
    assert walk_s(4096 * 1000) == pytest.approx(40e-6, rel=1e-12)
    # Two blocks of 512 frames, one of them populated by half.
    assert walk_s(4 << 20, populated_bytes=1 << 20, skip_empty_blocks=True) == pytest.approx((256 * 40 + 2 * 3.9) * 1e-9)
    assert walk_s(0) == 0


def test_budget_finds_the_largest_memory_that_fits() -> None:
    budget = walk_budget(8 * GIB, 100_000)
    assert budget.share == pytest.approx(budget.walk_s / 0.1)
    assert budget.largest_bytes == 2_500_000 * 4096
    assert walk_s(budget.largest_bytes) == pytest.approx(0.1, abs=40e-9)
    assert walk_budget(8 * GIB, 99_999.9).largest_bytes == 2_499_997 * 4096


@pytest.mark.parametrize(
    "call",
    [
        lambda: walk_s(1 << 20, populated_bytes=1 << 21),
        lambda: walk_s(-1),
        lambda: walk_budget(1 << 20, 0),
        lambda: walk_budget(1 << 20, 5000, DEFAULT.replace(frame_walk_ns=0)),
        lambda: migration_s(4096, folio="1 GiB"),
        lambda: control_window_s(1.0, 0.0),
    ],
)
def test_impossible_walks_are_refused(call) -> None:
    with pytest.raises(tm.InputError):
        call()


def test_migration_by_folio_size() -> None:
    size = 512 << 20
    assert migration_s(size) == pytest.approx(131_072 * 1.24e-6)
    assert migration_s(size, folio="2 MiB") == pytest.approx(256 * 190e-6)
    assert migration_s(size, folio="64 KiB") == pytest.approx(8192 * 9.8e-6)
    assert migration_s(1, folio="2 MiB") == pytest.approx(190e-6)


@given(st.floats(0.05, 20), st.floats(0.01, 5), st.floats(0, 30))
def test_a_window_is_the_first_grid_point_after_the_reset(reset: float, apply: float, busy: float) -> None:
    window = control_window_s(reset, apply, busy)
    assert window >= max(reset, busy) - 1e-6
    assert window < max(reset, busy) + apply + 1e-6


def test_a_window_of_the_simulation_is_predicted() -> None:
    """Copies of 4 ms per MiB and window: ten aggregations of 100 ms and the copy make a window."""
    machine = tm.Machine.dram_cxl("32 MiB", "32 MiB", migrate_ns_per_page=15_625)
    quota = {"reset_interval_ms": 1000}
    ds = tm.simulate(scenario(pull(10_000, **quota), machine=machine), duration="4 s", seed=1, snapshots=0)
    at = ds["time"].values[np.flatnonzero(np.diff(ds["resets"].values[:, 0]) > 0) + 1]
    expected = control_window_s(1.0, 0.1, 256 * 15_625e-9)
    assert expected == pytest.approx(1.004)
    assert np.diff(at)[:2] == pytest.approx([expected, expected], abs=1e-3)  # the quota clock counts milliseconds


def test_control_cost_counts_what_the_run_did(run: xr.Dataset) -> None:
    made = control_cost(run)
    default = made.sel(estimate="default")
    copies = int(run["migrated_pages"].sum()) * 1.24e-6
    assert float(default["cpu_s"].sel(component="copies")) == pytest.approx(copies, rel=1e-12)
    walk = int(run["sz_tried"].values[-1].sum()) // 4096 * 40e-9
    assert float(default["cpu_s"].sel(component="migration walk")) == pytest.approx(walk, rel=1e-12)
    steps = np.diff(run["time"].values, prepend=0.0)
    checks = float((steps / 5e-3 * run["nr_regions"].values[:, 0]).sum())
    assert float(default["cpu_s"].sel(component="access checks")) == pytest.approx(checks * 2 * 0.24e-6, rel=1e-9)
    assert float(default["total_cpu_s"]) == pytest.approx(float(default["cpu_s"].sum()), rel=1e-12)
    assert float(default["total_cpu_share"]) == pytest.approx(float(default["total_cpu_s"]) / 4, rel=1e-12)
    assert made["cpu_s"].attrs["units"] == "s"


def test_a_share_goal_visits_matching_frames_or_reads_counters(run: xr.Dataset) -> None:
    scanned = float(control_cost(run)["cpu_s"].sel(component="goal metrics", estimate="default"))
    resets = int(run["resets"].values[-1].sum())
    # 2048 hot pages match, give or take the regions that straddle their ends.
    assert resets * 2048 * 40e-9 * 0.8 < scanned < resets * 2048 * 40e-9 * 3
    counted = float(control_cost(run, metrics="counters")["cpu_s"].sel(component="goal metrics", estimate="default"))
    assert counted == pytest.approx(resets * 0.1e-6)
    blind = tm.simulate(scenario(pull()), duration="1 s", seed=1, snapshots=0)
    made = control_cost(blind)
    everything = int(blind["resets"].values[-1].sum()) * (64 << 20) / 4096 * 40e-9
    assert float(made["cpu_s"].sel(component="goal metrics", estimate="default")) == pytest.approx(everything)
    assert "upper bound" in made.attrs["matching_bytes"]


def test_ranges_and_mappings(run: xr.Dataset) -> None:
    made = control_cost(run)["cpu_s"].sel(component="access checks").values
    assert made[0] < made[1] < made[2]
    assert made[2] / made[0] == pytest.approx((0.04 + 0.92) / (0.04 + 0.04))
    many = control_cost(run, mappings=10)["cpu_s"].sel(component="access checks", estimate="default")
    assert float(many) / made[1] == pytest.approx(2.04 / 0.24)
    fixed = control_cost(run, DEFAULT.at("default"))["total_cpu_s"].values
    assert np.ptp(fixed) == 0


def test_rmap_walks_of_weights_are_counted() -> None:
    scheme = tm.Scheme("migrate_hot", access_pattern=tm.AccessPattern(min_nr_accesses=5), dests=(tm.Dest(0, 1), tm.Dest(1, 1)))
    vma = tm.Vma(0, 4096, 1 << 30)
    ds = tm.simulate(scenario(scheme, vmas=(vma,)), duration="1 s", seed=1)
    walks = int(ds["rmap_walks"].values[-1].sum())
    assert walks > 0
    cost = control_cost(ds)["cpu_s"].sel(component="rmap walks", estimate="default")
    assert float(cost) == pytest.approx(walks * 0.2e-6)


def test_a_run_without_contexts_costs_nothing() -> None:
    ds = tm.simulate(scenario(contexts=()), duration="1 s", seed=1)
    assert control_cost(ds)["total_cpu_s"].values.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"metrics": "guess"}, "metrics"), ({"mappings": 0}, "mappings"), ({"folio": "1 MiB"}, "folio")],
)
def test_wrong_arguments_are_refused(run: xr.Dataset, options: dict[str, object], message: str) -> None:
    with pytest.raises(tm.InputError, match=message):
        control_cost(run, **options)  # type: ignore[arg-type]


def test_another_dataset_is_refused() -> None:
    with pytest.raises(tm.InputError, match="no run of simulate"):
        control_cost(xr.Dataset())
