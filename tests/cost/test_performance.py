"""Run time by placement: limits, closed forms, and a run."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from small import pull, scenario

import tieringmodel as tm
from tieringmodel.cost import (
    DEFAULT,
    NodePerformance,
    bandwidth_time,
    best_weights,
    default_nodes,
    latency_time,
    loaded_latency_ns,
    mean_relative_time,
    optimum_interleave,
    pack_or_interleave,
    relative_time,
    rmap_or_oscillation,
)

NODES = default_nodes()
FAST, SLOW = NODES
shares = st.floats(0, 1).map(lambda x: (x, 1 - x))


def test_defaults_come_from_the_table() -> None:
    assert (FAST.idle_latency_ns, SLOW.idle_latency_ns) == (100, 250)
    assert (FAST.bandwidth_gbps, SLOW.bandwidth_gbps) == (72, 26)


def test_a_loaded_queue() -> None:
    assert loaded_latency_ns(FAST, 0) == 100
    assert loaded_latency_ns(FAST, 36) == pytest.approx(100 + 20 * 0.5)  # u = 1/2: u / (2 (1 - u)) = 1/2
    assert loaded_latency_ns(FAST, 72) == math.inf
    assert loaded_latency_ns(FAST, 71.9) < math.inf


@given(st.floats(0, 71), st.floats(0, 71))
def test_latency_grows_with_load(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert loaded_latency_ns(FAST, low) <= loaded_latency_ns(FAST, high)


@given(shares, st.floats(0, 1))
def test_latency_bound_time_lies_between_the_nodes(share: tuple[float, float], m: float) -> None:
    time = float(latency_time(share, NODES, memory_bound=m))
    assert time == pytest.approx(1 + m * share[1] * 1.5)


@given(shares)
def test_no_share_beats_the_bandwidth_optimum(share: tuple[float, float]) -> None:
    best = float(bandwidth_time(optimum_interleave(NODES), NODES))
    assert best == pytest.approx(72 / 98)
    assert float(bandwidth_time(share, NODES)) >= best - 1e-12


def test_loaded_latency_time_agrees_with_single_nodes() -> None:
    load, share = 60.0, (0.75, 0.25)
    expected = 0.75 * loaded_latency_ns(FAST, 45) + 0.25 * loaded_latency_ns(SLOW, 15)
    assert float(latency_time(share, NODES, load_gbps=load)) == pytest.approx(expected / 100)
    assert float(latency_time((0.0, 1.0), NODES, load_gbps=load)) == math.inf
    assert float(latency_time((1.0, 0.0), NODES, load_gbps=36)) == pytest.approx(1.1)


def test_bandwidth_of_all_on_either_node() -> None:
    times = bandwidth_time(np.array([[1.0, 0.0], [0.0, 1.0]]), NODES)
    assert times.tolist() == pytest.approx([1, 72 / 26])


def test_best_weights() -> None:
    assert best_weights(NODES, max_weight=5) == (3, 1)
    assert best_weights((NodePerformance(100, 50), NodePerformance(100, 50))) == (1, 1)
    assert best_weights((NodePerformance(100, 60), NodePerformance(100, 40))) == (3, 2)
    assert best_weights((NodePerformance(100, 100), NodePerformance(100, 1)), max_weight=3) == (1, 0)


def test_packing_pays_up_to_the_break_even_and_not_beyond() -> None:
    answer = pack_or_interleave(NODES, 10.0)
    assert 0 < answer.break_even_gbps < 72
    assert not answer.interleave
    edge = answer.break_even_gbps
    assert not pack_or_interleave(NODES, edge - 0.01).interleave
    assert pack_or_interleave(NODES, edge + 0.01).interleave
    at = pack_or_interleave(NODES, edge)
    assert at.packed_ns == pytest.approx(at.interleaved_ns, rel=1e-5)


def test_packing_or_interleaving_without_a_break_even() -> None:
    twins = (NodePerformance(100, 50), NodePerformance(100, 50))
    assert pack_or_interleave(twins, 1.0).break_even_gbps <= 1e-6
    near_useless = (NodePerformance(100, 50), NodePerformance(1000, 0.1))
    assert pack_or_interleave(near_useless, 1.0, (0.5, 0.5)).break_even_gbps == math.inf
    assert not pack_or_interleave(near_useless, 45.0, (0.5, 0.5)).interleave


def test_rmap_or_oscillation() -> None:
    answer = rmap_or_oscillation(0.4)
    assert answer.oscillation_us == pytest.approx(0.48 * 1.24)
    assert answer.break_even_mappings == pytest.approx(0.48 * 1.24 / 0.2)
    assert answer.rmap_wins
    assert not answer.certain
    assert not rmap_or_oscillation(0.4, mappings=3).rmap_wins
    assert rmap_or_oscillation(0.4, DEFAULT.replace(rmap_walk_us=0.1)).certain
    assert not rmap_or_oscillation(0.0).rmap_wins  # nothing oscillates
    assert rmap_or_oscillation(0.4, DEFAULT.replace(rmap_walk_us=0)).break_even_mappings == math.inf


@given(st.floats(0.001, 1), st.integers(1, 50))
def test_rmap_break_even_is_the_rule_of_the_theory(share: float, mappings: int) -> None:
    """Walks beat oscillation iff walk / copy < 2 p0 p1."""
    answer = rmap_or_oscillation(share, mappings=mappings)
    assert answer.rmap_wins == (mappings * 0.2 < 2 * share * (1 - share) * 1.24)
    again = rmap_or_oscillation(share, DEFAULT.replace(rmap_walk_us=answer.break_even_us * 0.999), mappings=mappings)
    assert again.rmap_wins == (answer.break_even_us > 0)


def test_a_run_gets_faster_as_pages_are_promoted() -> None:
    ds = tm.simulate(scenario(pull(10_000)), duration="4 s", seed=1, snapshots=0)
    over = relative_time(ds)
    assert over.dims == ("time",)
    assert over.attrs["units"] == "1"
    assert float(over[0]) == pytest.approx(2.5)
    share = ds["access_share_bp"].sel(node=1).values[-1] / 1e4
    assert float(over[-1]) == pytest.approx(1 + 1.5 * share)
    assert 1 <= mean_relative_time(ds, from_s=3) < mean_relative_time(ds) < 2.5


def shares_over(times: list[float], slow: list[float]) -> xr.Dataset:
    values = np.array([[1e4 * (1 - s), 1e4 * s] for s in slow])
    return xr.Dataset({"access_share_bp": (("time", "node"), values)}, coords={"time": times, "node": [0, 1]})


def test_the_mean_is_of_work_not_of_time() -> None:
    """One second at pace 1 and one at 2.5 do 1.4 units of work in two seconds."""
    ds = shares_over([1.0, 2.0], [0.0, 1.0])
    assert mean_relative_time(ds) == pytest.approx(2 / 1.4)
    assert mean_relative_time(ds, from_s=1.0) == pytest.approx(2.5)
    assert mean_relative_time(ds, from_s=1.5) == pytest.approx(2.5)
    assert math.isnan(mean_relative_time(ds, from_s=2.0))
    assert mean_relative_time(ds, kind="bandwidth", from_s=1.0) == pytest.approx(72 / 26)


def test_records_without_accesses_are_left_out() -> None:
    ds = shares_over([1.0, 2.0], [math.nan, 1.0])
    assert math.isnan(float(relative_time(ds)[0]))
    assert mean_relative_time(ds) == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: latency_time((0.5, 0.6), NODES), "sum to 1"),
        (lambda: latency_time((1.0,), NODES), "one share per node"),
        (lambda: bandwidth_time((1.5, -0.5), NODES), "negative"),
        (lambda: latency_time((1.0, 0.0), NODES, memory_bound=1.5), "memory_bound"),
        (lambda: NodePerformance(0.0, 10), "idle_latency_ns"),
        (lambda: NodePerformance(100, 10, -1.0), "queue_ns"),
        (lambda: loaded_latency_ns(FAST, -1), "load_gbps"),
        (lambda: relative_time(xr.Dataset()), "access_share_bp"),
        (lambda: relative_time(shares_over([1.0], [0.5]), kind="both"), "kind"),
        (lambda: relative_time(shares_over([1.0], [0.5]), kind="bandwidth", load_gbps=1.0), "load_gbps"),
        (lambda: relative_time(shares_over([1.0], [0.5]), (FAST,)), "one share per node"),
        (lambda: rmap_or_oscillation(1.1), "share"),
        (lambda: rmap_or_oscillation(0.5, mappings=0), "mappings"),
        (lambda: pack_or_interleave(NODES, 1.0, (0.5, 0.1)), "shares"),
        (lambda: best_weights((FAST,)), "nodes"),
    ],
)
def test_wrong_input_is_named(call, message: str) -> None:
    with pytest.raises(tm.InputError, match=message):
        call()
