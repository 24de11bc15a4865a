"""Maps agree with single runs, cell by cell, and their classes change where theory draws its boundaries."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tieringmodel import InputError, analysis, loop
from tieringmodel.studies.maps import CONTROLLERS, gain_map, quota_map, start_map
from tieringmodel.theory import closed_forms
from tieringmodel.theory.gain_runs import gain_runs
from tieringmodel.verdicts.grid import CODE, classes, tail_of_grid, waste_of

N = (4 << 30) // 4096
MIB = 1 << 20


@pytest.fixture(scope="module")
def quota():
    return quota_map(cells=12, duration_s=400.0)


@pytest.fixture(scope="module")
def gains():
    return gain_map(cells=40, most_delay=6)


@pytest.fixture(scope="module")
def starts():
    return start_map(cells=25)


def name_of(ds, *at):
    return str(ds["class_name"].values[ds["class"].values[at]])


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_quota_cells_are_what_the_verdict_of_the_run_says(quota, controller):
    k = list(CONTROLLERS).index(controller)
    for i in range(0, 12, 3):
        for j in range(1, 12, 3):
            reset, cap = float(quota["reset_interval_s"][i]), round(float(quota["cap_mib"][j]) * MIB)
            ds = loop.run(
                target_bp=4000, n_pages=N, start_pages=-(-4000 * N // 10_000), cap_bytes=cap,
                leak_pages=int(np.rint(reset * (8 << 20) / 4096)), windows=max(400, int(np.rint(400 / reset))),
                **CONTROLLERS[controller],
            )  # fmt: skip
            found = analysis.verdict(ds, check_fix=False)
            kind, measured = found.kind, found.numbers
            # A growing swing needs the trace, which a grid does not keep.
            assert name_of(quota, k, i, j) == ("limit-cycle" if kind == "runaway" else kind)
            cell = {v: float(quota[v].values[k, i, j]) for v in ("ripple_bp", "error_bp", "residual_bp")}
            assert cell["residual_bp"] == pytest.approx(1e4 * measured["residual_per_page_per_window"], rel=1e-12)
            assert cell["error_bp"] == pytest.approx(measured["steady_state_error_bp"], abs=1e-6)
            assert cell["ripple_bp"] == pytest.approx(measured["limit_cycle_amplitude_bp"], abs=1e-6)


def test_a_quota_below_the_churn_starves(quota):
    churn = quota["reset_interval_s"].values[:, None] * 8
    starved = np.broadcast_to(quota["cap_mib"].values[None, :] < 0.95 * churn, (12, 12))
    assert starved.sum() > 20
    for k in range(3):
        assert {name_of(quota, k, *at) for at in np.argwhere(starved)} == {"saturated"}


def test_temporal_swings_by_one_quota(quota):
    # Exact in pages where the tail holds a whole period: (quota - gcd) / 2 (docs/theory/stability.md, section 3a).
    checked = 0
    for i, reset in enumerate(quota["reset_interval_s"].values):
        leak, windows = int(np.rint(reset * (8 << 20) / 4096)), max(400, int(np.rint(400 / reset)))
        for j, cap in enumerate(quota["cap_mib"].values):
            pages = round(cap * MIB) // 4096
            if pages <= leak:
                continue
            cycle = closed_forms.relay_cycle(-(-4000 * N // 10_000), pages, leak)
            if cycle.exact_period_windows <= windows // 5:
                swing = pages - np.gcd(pages, leak)
                assert quota["ripple_bp"].values[0, i, j] == pytest.approx(1e4 * swing / 2 / N, rel=1e-12)
                checked += 1
    assert checked >= 10


def test_temporal_leaves_the_band_where_its_quota_is_wider(quota):
    # Wider than the band, but so that a swing of quota / churn seconds fits into the tail of 80 s.
    wide = (quota["cap_mib"].values > 1.1 * 2 * 0.02 * 0.4 * 4096) & (quota["cap_mib"].values < 8 * 40)
    fed = quota["cap_mib"].values[None, :] > 1.05 * quota["reset_interval_s"].values[:, None] * 8
    for i, j in np.argwhere(fed & wide[None, :]):
        assert name_of(quota, 0, i, j) == "limit-cycle"
    for i, j in np.argwhere(fed & (quota["cap_mib"].values < 60)[None, :]):
        assert name_of(quota, 0, i, j) in ("ripple", "converged")


def test_gain_classes_change_at_the_critical_gain(gains):
    step = float(gains["gain"].values[1] / gains["gain"].values[0])
    unstable = gains["class"].values == list(gains["class_name"].values).index("limit-cycle")
    assert not unstable[:, :, 0].any()
    for k, rate in enumerate(gains["leak_rate"].values):
        for delay in range(1, 7):
            critical = analysis.linear(float(rate), delay=delay).critical_gain
            column = unstable[k, :, delay]
            assert (np.diff(column.astype(int)) >= 0).all()
            first = float(gains["gain"].values[np.argmax(column)])
            # The grid's resolution, slow decay just below the boundary, and the cell that is moved to a gain of 1.
            assert critical / step < first < critical * step**2


def test_the_boundary_in_the_dataset_is_the_critical_gain(gains):
    k = list(gains["boundary"].values).index("critical gain")
    x, y = gains["boundary_x"].values[k], gains["boundary_y"].values[k]
    assert y[x == 1.5].tolist() == [analysis.linear(0.02, delay=d).critical_gain for d in (1, 2)]


def test_at_gain_one_the_real_map_is_the_integer_loop():
    delays = np.array([0, 0, 2, 3])
    rates = np.array([0.02, 0.05, 0.05, 0.02])
    n, windows = 2**20, 4000
    real = gain_runs(1.0, delays, rates, n_pages=n, windows=windows)
    state = (rates * 0.4 * n * 4096 * 10_000).astype(np.uint64)
    exact = loop.run_many("consist", 4000, n, int(0.38 * n), delay=delays, leak_rate=rates, windows=windows, esz_bp0=state)
    swing = (exact["tail_high_pages"] - exact["tail_low_pages"]).values / n
    # Stable loops rest within the floored metric (1 bp) and page leak; the limit cycles agree to a few per cent.
    assert (real.high - real.low)[:2] == pytest.approx(0.0, abs=1e-6)
    assert swing[:2] == pytest.approx(0.0, abs=1e-3)
    assert (real.high - real.low)[2:] == pytest.approx(swing[2:], rel=0.05)
    assert real.mean[:2] == pytest.approx(0.4, abs=1e-6)


def test_consist_ends_at_its_mirror_point(starts):
    # Only where the node does not fill, and the distance is large enough to be covered in 4000 windows.
    target, start = starts["target_bp"].values, starts["start_bp"].values
    end = starts["error_bp"].values[0] + target[None, :]
    checked = 0
    for i, j in np.ndindex(end.shape):
        if start[i] < target[j] - 300:
            # The floors of metric and score each read up to 1 bp low, and the end is up to 1.74 of a goal so raised.
            wanted = closed_forms.consist_end_bp(int(target[j]), int(start[i]))
            assert end[i, j] == pytest.approx(wanted, abs=2 * 1.74)
            checked += 1
        elif start[i] >= target[j]:
            assert end[i, j] == start[i]
    assert checked > 200


def test_a_goal_beyond_capacity_saturates_and_one_below_the_start_cannot_be_reached(starts):
    for k, capacity in enumerate(starts["capacity_bp"].values):
        for i, j in np.ndindex(starts["class"].shape[1:]):
            start, target = int(starts["start_bp"][i]), int(starts["target_bp"][j])
            if start > capacity:
                assert starts["class"].values[k, i, j] == -1
                assert np.isnan(starts["error_bp"].values[k, i, j])
            elif target > capacity * 1.03:
                assert name_of(starts, k, i, j) == "saturated"
                assert starts["error_bp"].values[k, i, j] == capacity - target
            elif target < 0.97 * start:
                assert name_of(starts, k, i, j) == "wrong-point"


def test_the_filling_boundary_is_where_the_node_fills(starts):
    k = list(starts["boundary"].values).index("overshoot fills the node")
    goal = starts["boundary_x"].values[k][0]
    # τ (1 + z_f) = 1 from an empty node: .5755 (docs/theory/stability.md, section 3b).
    assert goal == pytest.approx(5755, abs=1)
    target, error = starts["target_bp"].values, starts["error_bp"].values[0, 0]
    filled = error + target > 9_999
    assert target[filled].min() > goal
    assert target[~filled].max() < goal


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_start_cells_are_what_the_verdict_of_the_run_says(controller):
    cap = None if controller == "CONSIST" else 7_001 * 4096
    ds = start_map(controller=controller, cap_bytes=cap, cells=7, windows=1500, capacity_bp=(10_000, 5_000))
    for k, capacity in enumerate((10_000, 5_000)):
        for i, j in np.ndindex(7, 7):
            start, target = int(ds["start_bp"][i]), int(ds["target_bp"][j])
            if start > capacity:
                continue
            run = loop.run(
                target_bp=target, n_pages=1_000_000, start_pages=start * 100, capacity_pages=capacity * 100,
                cap_bytes=cap, windows=1500, **CONTROLLERS[controller],
            )  # fmt: skip
            assert name_of(ds, k, i, j) == analysis.verdict(run, check_fix=False).kind
            waste = analysis.measures(run)["waste_ratio"]
            assert ds["waste"].values[k, i, j] == pytest.approx(waste, abs=1e-9, nan_ok=True)


def test_waste():
    assert waste_of(np.array([4, 4, 0, 2]), np.array([1, -4, 0, 3])) == pytest.approx([0.75, 0.0, np.nan, np.nan], nan_ok=True)


@pytest.mark.parametrize("which", ["quota", "gains", "starts"])
def test_a_map_describes_itself(which, request):
    ds = request.getfixturevalue(which)
    assert ds.attrs["kind"] == "stability_map"
    assert json.loads(ds.attrs["parameters"])
    for name in ("class", "ripple_bp", "error_bp", "residual_bp", "waste"):
        assert {"long_name", "units", "source"} <= set(ds[name].attrs)
    assert ds["class"].dtype == np.int8
    assert ds["class"].attrs["flag_meanings"].split()[1:] == list(ds["class_name"].values)
    assert (ds["waste"].values[np.isfinite(ds["waste"].values)] <= 1).all()


@pytest.mark.parametrize(
    ("call", "where"),
    [
        (lambda: quota_map(cells=1), "cells"),
        (lambda: quota_map(cap_bytes=(10, 5)), "cap_bytes"),
        (lambda: quota_map(churn_bytes_per_s=1), "churn_bytes_per_s"),
        (lambda: gain_map(gain=(1.0, 0.5)), "gain"),
        (lambda: gain_map(leak_rates=()), "leak_rates"),
        (lambda: gain_map(leak_rates=(0.0,)), "leak_rate"),
        (lambda: gain_runs(-1.0, 0, 0.1), "gain"),
        (lambda: gain_runs(1.0, -1, 0.1), "delay"),
        (lambda: start_map(controller="PID"), "controller"),
        (lambda: start_map(capacity_bp=(0,)), "capacity_bp"),
        (lambda: tail_of_grid(loop.run("temporal", 4000, 100, 0)), "ds"),
        (lambda: tail_of_grid(loop.run_many("temporal", 4000, 100, 0, direction="out")), "ds"),
        (lambda: tail_of_grid(loop.run_many("temporal", 4000, 100, 0, noise_bp=np.array([1.0]))), "ds"),
    ],
)
def test_bad_input_is_refused_by_name(call, where):
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.where == where


def test_a_scalar_grid_is_classified_too():
    ds = loop.run_many("temporal", 6000, 100_000, 0, cap_bytes=2000 * 4096)
    assert str(classes(tail_of_grid(ds))) == "7"  # converged


def test_tails_of_a_grid_are_those_of_its_loops_by_hand():
    """1000 pages, a goal of 400 on an empty node, TEMPORAL.

    A leak of 50 takes all that a cap of 30 brings; 300 fit; caps of 300 go from 380 to 660 and fall by 20, six times in the
    tail of 100 windows; no cap to speak of brings all at once.
    """
    caps, leaks, room = np.array([30, 30, 300, 10**6]) * 4096, np.array([50, 0, 20, 0]), np.array([1000, 300, 1000, 1000])
    tail = tail_of_grid(loop.run_many("temporal", 4000, 1000, 0, cap_bytes=caps, leak_pages=leaks, capacity_pages=room))
    assert tail.goal_bp.tolist() == [4000] * 4
    assert (tail.low_bp.tolist(), tail.high_bp.tolist()) == ([0, 3000, 3800, 10_000], [0, 3000, 6600, 10_000])
    assert tail.mean_bp.tolist() == [0, 3000, 5170, 10_000]
    assert tail.moved_share.tolist() == [0.03, 0, 0.018, 0]
    assert tail.limited.tolist() == [True, False, False, False]
    assert tail.bounced.tolist() == [1, 0, 1, 0]
    kinds = ["stuck", "saturated", "wrong-point", "wrong-point"]
    assert tail.rest_kind.tolist() == [CODE[kind] for kind in kinds]
    almost = tail_of_grid(loop.run_many("temporal", 4000, 100_000, 0, capacity_pages=np.array([39_999, 40_000])))
    assert almost.rest_kind.tolist() == [CODE["saturated"], CODE["wrong-point"]]
