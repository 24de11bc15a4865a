"""The measures on arrays with known answers, on loops and on placement rules."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieringmodel import analysis, interleave, loop
from tieringmodel.errors import InputError
from tieringmodel.verdicts.measures import measure, settling_windows, tail_of
from tieringmodel.verdicts.run_view import pair_ping_pong, single_ping_pong, uniform_ping_pong

M = 1_000_000
PAGE = 4096
API = (
    "settling_windows",
    "quiescence_windows",
    "overshoot_bp",
    "steady_state_error_bp",
    "residual_pages_per_window",
    "ping_pong",
    "waste_ratio",
    "limit_cycle_period_windows",
    "limit_cycle_amplitude_bp",
)


def run_of(y, moved=None, n_pages=1000):
    y = np.asarray(y, float)
    moved = np.abs(np.diff(y)) / 1e4 * n_pages if moved is None else moved
    return {"y_bp": y, "moved_pages": moved, "n_pages": n_pages, "occupancy": np.column_stack([y, 1e4 - y]) / 1e4}


def test_an_approach_with_overshoot():
    y = np.concatenate([[1000, 3000, 5000, 4500], np.full(200, 4050.0)])
    got = measure(**run_of(y), target_bp=4000)
    assert set(API) <= set(got)
    assert got["settling_windows"] == 4
    assert got["quiescence_windows"] == 4
    assert got["overshoot_bp"] == 1000
    assert got["overshoot_share"] == pytest.approx(1 / 3)
    assert got["steady_state_error_bp"] == 50
    assert got["steady_state_error_ci_bp"] == (50, 50)
    assert got["residual_pages_per_window"] == 0
    assert got["residual_ci_pages_per_window"] == (0, 0.03)
    # 2000 + 2000 + 500 + 450 bp moved for a net 3050.
    assert got["moves_per_page"] == pytest.approx(0.495)
    assert got["waste_ratio"] == pytest.approx(1 - 0.305 / 0.495)
    assert got["excess_moves_per_page"] == pytest.approx(0.19)
    assert math.isnan(got["ping_pong"])
    assert math.isnan(got["limit_cycle_period_windows"])
    assert got["limit_cycle_amplitude_bp"] == 0
    assert got["tail_windows"] == 100


def test_overshoot_counts_from_the_side_of_the_start():
    falling = np.concatenate([[9000, 5000, 3500], np.full(150, 4000.0)])
    assert measure(**run_of(falling), target_bp=4000)["overshoot_bp"] == 500
    assert measure(**run_of(np.full(120, 4000.0)), target_bp=4000)["overshoot_bp"] == 0
    away = np.concatenate([[5000], np.full(150, 9000.0)])
    assert measure(**run_of(away), target_bp=4000)["overshoot_bp"] == 0


def test_settling_needs_a_hundred_windows_inside():
    y = np.concatenate([[0.0, 0.0, 0.0], np.full(101, 4000.0)])
    assert settling_windows(y, 4000, 80) == 3
    assert settling_windows(y[:-1], 4000, 80) == math.inf
    assert settling_windows(y[:-1], 4000, 80, hold_windows=99) == 3
    assert settling_windows(np.append(y, 3919.0), 4000, 80) == math.inf
    assert settling_windows(np.append(y, 3920.0), 4000, 80) == 3


def test_never_and_undefined():
    swinging = np.tile([3000.0, 5000.0], 100)
    got = measure(**run_of(swinging), target_bp=4000)
    assert got["settling_windows"] == math.inf
    assert got["quiescence_windows"] == math.inf
    assert got["limit_cycle_period_windows"] == pytest.approx(2)
    assert got["limit_cycle_amplitude_bp"] == 1000
    assert got["waste_ratio"] == pytest.approx(1 - 0.2 / 39.8)
    resting = measure(**run_of(np.full(120, 4000.0)), target_bp=4000)
    assert math.isnan(resting["waste_ratio"])
    assert resting["settling_windows"] == resting["quiescence_windows"] == 0


def test_seconds_appear_with_a_window_length():
    y = np.concatenate([[0.0], np.full(150, 4000.0)])
    got = measure(**run_of(y), target_bp=4000, window_s=0.5)
    assert got["settling_s"] == 0.5
    assert got["quiescence_s"] == 0.5
    assert got["residual_pages_per_s"] == 0.0
    assert "settling_s" not in measure(**run_of(y), target_bp=4000)


@pytest.mark.parametrize(("windows", "tail"), [(1, 1), (99, 99), (100, 100), (500, 100), (501, 101), (2000, 400)])
def test_the_tail(windows, tail):
    assert tail_of(windows) == tail


@given(y=st.lists(st.integers(0, 10_000), min_size=2, max_size=40), target=st.integers(1, 10_000))
def test_ranges(y, target):
    got = measure(**run_of(y, n_pages=10_000), target_bp=target, n_resamples=20)
    assert 0 <= got["overshoot_bp"] <= 10_000
    assert got["excess_moves_per_page"] >= -1e-12
    assert math.isnan(got["waste_ratio"]) or 0 <= got["waste_ratio"] <= 1
    assert got["quiescence_windows"] in {*range(len(y)), math.inf}
    assert 0 <= got["limit_cycle_amplitude_bp"] <= 5000


def test_a_loop_by_its_numbers():
    got = analysis.measures(loop.run("temporal", 4000, M, 0, cap_bytes=25_600 * PAGE))
    assert got["quiescence_windows"] == 16
    assert got["overshoot_bp"] == pytest.approx(96)
    assert got["steady_state_error_bp"] == pytest.approx(96)
    # 96 bp are outside 2 % of 4000: settled at the wrong point.
    assert got["settling_windows"] == math.inf
    assert got["waste_ratio"] == 0
    assert got["ping_pong"] == 0
    wider = analysis.measures(loop.run("temporal", 4000, M, 0, cap_bytes=25_600 * PAGE), band_bp=100)
    assert wider["settling_windows"] == 16


def test_the_reference_of_a_loop_is_the_goal_in_force():
    clamped = loop.run("consist", 5000, M, 0, capacity_pages=400_000, clamp_bp=4000)
    assert analysis.measures(clamped)["steady_state_error_bp"] == 0
    assert analysis.measures(clamped, target_bp=5000)["steady_state_error_bp"] == -1000


def test_a_pair_is_measured_against_the_near_edge_of_its_gap():
    ds = loop.run_pair("temporal", (3000, 4000), (5000 * PAGE, 5000 * PAGE), M, M)
    got = analysis.measures(ds)
    assert got["target_bp"] == 6000
    assert got["steady_state_error_bp"] == 0
    assert analysis.measures(loop.run_pair("temporal", (3000, 4000), (None, None), M, 450_000))["target_bp"] == 4500


@pytest.mark.parametrize(
    ("rule", "options", "settled", "error", "rate", "bounced", "moves"),
    [
        ("iid", {}, 1, 0, 0.480, 0.997, 144),
        ("pfn_mod", {"allocator": "fresh"}, math.inf, 1263, 0, 0.457, 1.11),
        ("pfn_mod", {"allocator": "lifo"}, math.inf, 1200, 0.240, 0.995, 72),
        ("vma_offset", {}, 1, 0, 0, 0, 0.60),
        ("vma_offset", {"stride": 5}, math.inf, 6000, 0, 0, 0),
    ],
)
def test_the_reference_comparison_of_placement_rules(rule, options, settled, error, rate, bounced, moves):
    got = analysis.measures(interleave.run(rule, (2, 3), 100_000, 300, **options))
    assert got["settling_windows"] == settled
    # Tolerances of the reference comparison: 30 bp and 3 %.
    assert got["steady_state_error_bp"] == pytest.approx(error, abs=30)
    assert got["residual_per_page_per_window"] == pytest.approx(rate, rel=0.03)
    assert got["ping_pong"] == pytest.approx(bounced, rel=0.03)
    assert got["moves_per_page"] == pytest.approx(moves, rel=0.03)


def test_the_other_node_of_a_placement_rule():
    ds = interleave.run("vma_offset", (1, 1, 2), 4000, 150)
    assert [analysis.series(ds, node=node).target_bp for node in range(3)] == [2500, 2500, 5000]
    assert analysis.measures(ds, node=2)["steady_state_error_bp"] == 0
    with pytest.raises(InputError, match="node: 3"):
        analysis.measures(ds, node=3)


def test_returns_that_are_certain_and_returns_that_cannot_be():
    ones, none = np.full(20, 5), np.zeros(20, np.int64)
    always, never = np.ones(20), np.zeros(20)
    assert uniform_ping_pong(ones, none, always, never, 1) == 1
    assert uniform_ping_pong(ones, none, never, always, 1) == 0
    assert uniform_ping_pong(ones, ones, always, never, 3) == 0.5
    assert uniform_ping_pong(none, none, always, always, 3) == 0
    assert math.isnan(uniform_ping_pong(ones, none, always, never, 20))
    # Half of the pages leave per window: 1 - 1/2 - 1/4 - … of the moves stay out.
    assert uniform_ping_pong(ones, none, always / 2, never, 3) == 1 - 0.5**3


def test_a_swap_of_random_pages_by_simulation():
    n, on_goal, count, windows, within = 400, 240, 12, 400, 5
    rng = np.random.default_rng(2)
    node = np.zeros(n, bool)
    node[:on_goal] = True
    states = [node.copy()]
    for _ in range(windows):
        enter = rng.choice(np.flatnonzero(~node), count, replace=False)
        leave = rng.choice(np.flatnonzero(node), count, replace=False)
        node[enter], node[leave] = True, False
        states.append(node.copy())
    a = np.array(states)
    moved = a[1:] != a[:-1]
    back = np.zeros_like(moved[:-within])
    for later in range(1, within + 1):
        back |= a[1 + later : windows - within + 1 + later] == a[: windows - within]
    simulated = (back & moved[:-within]).sum() / moved[:-within].sum()
    pages, moves = np.full(windows, on_goal), np.full((windows, 2), count)
    # 9500 moves: a standard error of 0.4 %.
    assert pair_ping_pong(pages, moves, n, within) == pytest.approx(simulated, abs=0.02)


def test_one_scheme_bounces_only_through_a_leak():
    pages, moved = np.full(50, 100), np.full(50, 10)
    assert single_ping_pong(pages, moved, np.zeros(50, np.int64), True, 10) == 0
    assert single_ping_pong(pages, moved, np.full(50, 11), True, 2) == pytest.approx(1 - 0.9**2)
    assert single_ping_pong(pages, moved, np.full(50, 11), False, 2) == 0


def simulation(goals, returns=None):
    """Return a page-level run of 300 s with two records per second: 10000 pages go to node 0 in four steps of 1 s."""
    import xarray as xr

    time = np.arange(601) * 0.5
    on_0 = 1000 * np.minimum(np.floor(time + 1e-9), 4).astype(int)
    pages = np.column_stack([on_0, 10_000 - on_0])
    lags = np.arange(4)
    shape = (time.size, lags.size)
    return xr.Dataset(
        {
            "access_share_bp": (("time", "node"), pages.astype(float)),
            "class_pages": (("time", "node", "page_class"), pages[:, :, None]),
            "class_rate_hz": (("time", "page_class"), np.full((time.size, 1), 50.0)),
            "migrated_pages": ("time", np.diff(on_0, prepend=0)),
            "used_pages": (("time", "node"), pages + 2000),
            "free_pages": (("time", "node"), 18_000 - pages),
            "returns": (("time", "lag"), np.zeros(shape, int) if returns is None else np.full(shape, returns)),
        },
        coords={"time": time, "node": [0, 1], "lag": lags},
        attrs={
            "kind": "simulation",
            "window_s": 1.0,
            "n_pages": 10_000,
            "scenario": json.dumps(
                {
                    "machine": {"nodes": [{"nid": i, "start_bytes": i << 27, "sz_bytes": 1 << 27} for i in range(2)]},
                    "workload": {"n_pages": 10_000, "groups": [{"lo": 0, "hi": 10_000, "rate_hz": 50.0}]},
                    "contexts": [{"schemes": [{"action": "migrate_hot", "target_nid": 0, "quota": {"goals": goals}}]}],
                }
            ),
        },
    )


def test_a_page_level_run_is_read_in_quota_windows():
    ds = simulation([{"metric": "node_eligible_mem_bp", "target_value": 4000}])
    view = analysis.series(ds)
    assert view.y_bp[:6].tolist() == [0, 1000, 2000, 3000, 4000, 4000]
    assert view.moved[:6].tolist() == [1000, 1000, 1000, 1000, 0, 0]
    assert (view.moved.size, view.target_bp, view.window_s) == (300, 4000, 1.0)
    got = analysis.measures(ds)
    assert (got["settling_windows"], got["settling_s"], got["quiescence_s"]) == (4, 4.0, 4.0)
    assert (got["ping_pong"], got["waste_ratio"], got["moves_per_page"]) == (0, 0, 0.4)
    assert analysis.verdict(ds).kind == "converged"
    assert analysis.verdict(ds, node=1, target_bp=7000).kind == "wrong-point"


def test_pages_that_nobody_touches_do_not_make_moves_wasteful():
    """Of 20000 pages a half is touched; each of 4000 of them moves once, so no move undoes another."""
    ds = simulation([{"metric": "node_eligible_mem_bp", "target_value": 4000}])
    idle = np.broadcast_to([4000, 6000], ds["class_pages"].shape[:2])
    pages = np.concatenate([ds["class_pages"].values, idle[:, :, None]], axis=2)
    rates = np.concatenate([ds["class_rate_hz"].values, np.zeros((ds.sizes["time"], 1))], axis=1)
    ds = ds.drop_vars(["class_pages", "class_rate_hz"]).assign(
        class_pages=(("time", "node", "page_class"), pages), class_rate_hz=(("time", "page_class"), rates)
    )
    ds.attrs["n_pages"] = 20_000
    got = analysis.measures(ds)
    assert (got["moves_per_page"], got["waste_ratio"]) == (0.4, 0)
    assert got["excess_moves_per_page"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("goal", "target", "last"),
    [
        ({"metric": "node_mem_used_bp", "target_value": 3000}, 3000, 3000),
        ({"metric": "node_mem_free_bp", "target_value": 7000}, 3000, 3000),
        ({"metric": "node_eligible_mem_bp", "target_value": 6000, "complement": True}, 4000, 4000),
        ({"metric": "node_sys_bp:literal", "target_value": 4000}, 4000, 4000),
        ({"metric": "node_eligible_mem_bp", "target_value": 6000, "nid": 1}, None, 4000),
        ({"metric": "user_input", "target_value": 4000}, None, 4000),
    ],
)
def test_the_goal_of_a_page_level_run(goal, target, last):
    view = analysis.series(simulation([goal]))
    assert view.target_bp == target
    assert view.y_bp[-1] == last


def test_a_page_level_run_without_a_log_of_moves_or_a_goal():
    ds = simulation([], returns=-1)
    assert math.isnan(analysis.measures(ds, target_bp=4000)["ping_pong"])
    with pytest.raises(InputError, match="target_bp: is missing"):
        analysis.measures(ds)
    assert analysis.verdict(ds).kind == "converged"  # a scheme without a goal has done its work
    with pytest.raises(InputError, match=r"node: 2 is not among the nodes \[0, 1\]"):
        analysis.measures(ds, node=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_bp": 0}, "target_bp: 0"),
        ({"band_bp": -1}, "band_bp: -1"),
        ({"within": 0}, "within"),
        ({"hold_windows": -1}, "hold_windows"),
        ({"tail_windows": 0}, "tail_windows: 0 is outside"),
        ({"tail_windows": 401}, "tail_windows: 401"),
        ({"confidence": 1.0}, "confidence"),
        ({"window_s": 0}, "window_s: 0"),
    ],
)
def test_refusals(options, message):
    ds = loop.run("temporal", 4000, M, 0)
    with pytest.raises(InputError, match=message):
        analysis.measures(ds, **options)


def test_what_is_no_run_is_refused():
    ds = loop.run("temporal", 4000, M, 0)
    with pytest.raises(
        InputError,
        match=r"kind.*'loop_grid' has no adapter; give a run of kind loop, loop_pair, interleave, simulation",
    ):
        analysis.measures(loop.run_many("temporal", 4000, M, 0))
    with pytest.raises(InputError, match="has no window"):
        analysis.measures(interleave.run("iid", (1, 1), 10, 0))
    with pytest.raises(InputError, match=r"y_bp: shapes \(4,\)"):
        measure(np.zeros(4), np.zeros(4), 10, np.zeros((4, 2)), target_bp=1)
    assert ds.attrs["kind"] == "loop"


def test_two_goals_leave_a_band_and_weights_name_a_share():
    pair = [{"metric": "node_eligible_mem_bp", "target_value": 3000}]
    pair += [{"metric": "node_eligible_mem_bp", "target_value": 5500, "nid": 1}]
    assert analysis.series(simulation(pair)).target_bp == 4000  # inside the band 3000..4500, where the run ends
    pair[1]["target_value"] = 6500
    assert analysis.series(simulation(pair)).target_bp == 3500  # the near edge
    ds = simulation([])
    scenario = json.loads(ds.attrs["scenario"])
    scenario["contexts"][0]["schemes"][0]["dests"] = [{"id": 0, "weight": 2}, {"id": 1, "weight": 3}]
    ds.attrs["scenario"] = json.dumps(scenario)
    assert analysis.series(ds).target_bp == 4000
    assert analysis.series(ds, node=1).target_bp == 6000
