"""Every closed form against the loop that it describes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tieringmodel import loop
from tieringmodel.errors import InputError
from tieringmodel.theory import closed_forms as theory

M = 1_000_000
PAGE = 4096


def test_the_mirror_point_of_a_start_from_nothing():
    assert theory.mirror_overshoot(-1.0) == pytest.approx(0.7374172, abs=1e-7)
    assert theory.mirror_potential(theory.mirror_overshoot(-1.0)) == pytest.approx(1 - 2 * math.log(2))
    assert theory.consist_end_bp(4000, 3600) == pytest.approx(4387, abs=0.5)
    assert theory.consist_end_bp(6000, 0) == 10_000
    assert theory.consist_end_bp(4000, 4500) == 4500


@given(z0=st.floats(-1.0, 0.0))
def test_the_mirror_point_lies_on_the_same_level_and_closer(z0):
    z = theory.mirror_overshoot(z0)
    assert 0 <= z <= -z0
    assert theory.mirror_potential(z) == pytest.approx(theory.mirror_potential(z0), abs=1e-12)
    # Third-order term of the expansion: the error of |z0| - z0^2/3 is of order z0^3.
    assert z == pytest.approx(-z0 - z0**2 / 3, abs=abs(z0) ** 3 + 1e-12)


@pytest.mark.parametrize(("target", "start"), [(4000, 0), (4000, 1000), (4000, 3000), (2500, 500), (5500, 1000), (6000, 0)])
def test_consist_without_stop_ends_at_the_mirror_point(target, start):
    pages = 10**8
    ds = loop.run("consist", target, pages, start * pages // 10_000, windows=3000)
    assert int(ds.moved[-1]) == 0
    # The metric is floored to 1 bp on the way: up to 2 bp, as for the anchor case.
    assert 1e4 * int(ds.final_pages) / pages == pytest.approx(theory.consist_end_bp(target, start), abs=2.0)


@given(
    n_pages=st.integers(1, 10**7),
    start=st.floats(0, 1),
    target=st.integers(1, 10_000),
    cap=st.integers(1, 10**6),
    delay=st.integers(0, 9),
)
def test_temporal_stops_where_the_count_says(n_pages, start, target, cap, delay):
    first = int(start * n_pages)
    stop = theory.temporal_stop(n_pages, first, target, cap, delay)
    assume(stop.active_windows < 400)
    ds = loop.run("temporal", target, n_pages, first, cap_bytes=cap * PAGE, delay=delay, windows=stop.active_windows + 50)
    assert int(ds.final_pages) == stop.final_pages
    assert int((ds.moved > 0).sum()) == stop.active_windows
    if first * 10_000 < target * n_pages:
        assert stop.final_pages - (-(-target * n_pages // 10_000)) < stop.overshoot_bound_pages


@settings(max_examples=60)
@given(cap=st.integers(2, 60), leak=st.integers(1, 59), start=st.integers(0, 999))
def test_the_relay_repeats_exactly(cap, leak, start):
    assume(leak < cap)
    cycle = theory.relay_cycle(4000, cap, leak, start_pages=start)
    ds = loop.run("temporal", 4000, 10_000, 4000 - leak + start % cap, cap_bytes=cap * PAGE, leak_pages=leak, windows=4 * cap)
    cycle = theory.relay_cycle(4000, cap, leak, start_pages=4000 - leak + start % cap)
    pages, moved = ds.pages.values, ds.moved.values
    period = cycle.exact_period_windows
    np.testing.assert_array_equal(pages[period:], pages[:-period])
    assert pages.min() >= cycle.low_pages
    assert pages.max() < cycle.high_pages
    assert pages[:period].mean() == pytest.approx(cycle.mean_pages)
    assert (moved[:period] > 0).mean() == pytest.approx(cycle.duty)
    assert cycle.period_windows == cap / leak


@pytest.mark.parametrize(("cap", "leak", "delay"), [(3000, 700, 1), (3000, 700, 2), (5000, 300, 4), (900, 100, 7)])
def test_a_late_relay_stays_inside_its_wider_band(cap, leak, delay):
    cycle = theory.relay_cycle(400_000, cap, leak, delay)
    ds = loop.run("temporal", 4000, M, 400_000, cap_bytes=cap * PAGE, leak_pages=leak, delay=delay, windows=6000)
    pages, busy = ds.pages.values[2000:], ds.moved.values[2000:] > 0
    assert pages.min() >= cycle.low_pages
    assert pages.max() < cycle.high_pages
    switches = np.flatnonzero(busy[1:] & ~busy[:-1])
    assert np.diff(switches).mean() == pytest.approx(cycle.period_windows, rel=0.01)


@given(a=st.floats(0.05, 1.0), phase=st.integers(0, 40), target=st.integers(500, 5000))
def test_a_stop_overshoots_by_no_more_than_its_bound(a, phase, target):
    pages = 10**8
    start = int((1 - a) * target * pages / 10_000)
    ds = loop.run("consist", target, pages, start, early_exit=True, windows=2500, esz_bp0=10_000 + 500 * phase)
    over = 1e4 * int(ds.final_pages) / pages / target - 1
    # One floored bp delays the stop and slows the growth's fall: 2 bp of slack, relative to the goal.
    assert -2 / target <= over <= theory.stop_overshoot_bound(a) + 2 / target


@pytest.mark.parametrize(("start", "expected"), [(0, 11), (2000, 20), (3900, 336)])
def test_the_dead_time_is_exact(start, expected):
    score = start * 10_000 // 4000
    ds = loop.run("consist", 4000, M, start * 100, windows=600)
    first = int(np.flatnonzero(ds.moved.values)[0])
    assert theory.first_page_window(score) == first == expected
    assert first == pytest.approx(math.log(4096) / math.log(2 - score / 10_000) - 1, abs=1.0)


def test_a_met_goal_never_gets_a_page():
    assert theory.first_page_window(10_000) == math.inf
    assert theory.first_page_window(15_000, esz_bp0=10**6) == math.inf
    assert theory.first_page_window(15_000, esz_bp0=10**9) == 0


@pytest.mark.parametrize("start", [0, 1000, 2000, 3000, 3600, 3900])
def test_the_crossing_estimate_is_a_little_low(start):
    ds = loop.run("consist", 4000, M, start * 100, windows=1500)
    crossing = int(np.argmax(ds.pages.values >= 400_000))
    estimate = theory.crossing_windows(400_000 - start * 100, start * 10_000 / 4000)
    assert 0.93 * crossing <= estimate <= crossing


@pytest.mark.parametrize(("target", "growth"), [(5000, 1.2), (4100, 1.0244), (8000, 1.5), (4001, 1.0003)])
def test_windup_grows_by_the_floored_score(target, growth):
    assert theory.windup_growth(4000, target) == pytest.approx(growth)
    ds = loop.run("consist", target, M, 400_000, capacity_pages=400_000, windows=1000, esz_bp0=10**12)
    esz = ds.esz.values.astype(float)
    largest = (2**64 - 1) // 10_000
    free = esz < largest / 2
    np.testing.assert_allclose(esz[1:][free[:-1]] / esz[:-1][free[:-1]], growth, rtol=1e-7)
    until = theory.windup_windows(esz[0], 4000, target)
    if until < 1000:
        assert int(np.argmax(esz == largest)) == pytest.approx(until, abs=1.0)


@given(first=st.integers(1000, 9000), second=st.integers(1000, 9000), caps=st.tuples(*[st.integers(100, 20_000)] * 2))
def test_two_goals_rest_in_their_gap_or_swap_for_ever(first, second, caps):
    gap = 10_000 - first - second
    assume(abs(gap) * M // 10_000 > 2 * max(caps))
    told = theory.push_pull((first, second), caps)
    start = first * M // 10_000
    ds = loop.run_pair("temporal", (first, second), [cap * PAGE for cap in caps], M, start, windows=3000)
    # Unequal caps drift across the overlap by their difference per window, and only then hold an edge.
    assume(gap > 0 or caps[0] == caps[1] or abs(caps[0] - caps[1]) * 1000 > -gap * 100 + 2 * max(caps))
    residual = float(ds.moved[-2000:].sum()) / 2000
    # A relay's duty over 2000 windows is off by at most one switch of each scheme.
    assert residual == pytest.approx(told.residual_pages_per_window, abs=2 * max(caps) / 2000)
    shares, slack = ds.pages.values[-1000:] / 100, max(caps) / 100 + 1
    assert told.low_bp - slack <= shares.min() <= shares.max() <= told.high_bp + slack


def test_refusals():
    for call in (
        lambda: theory.mirror_overshoot(0.5),
        lambda: theory.mirror_potential(2.0),
        lambda: theory.stop_overshoot_bound(-0.1),
        lambda: theory.temporal_stop(0, 0, 1, 1),
        lambda: theory.relay_cycle(1, 5, 5),
        lambda: theory.relay_cycle(1, 5, 2, delay=1),
        lambda: theory.windup_growth(1, 0),
    ):
        with pytest.raises(InputError):
            call()
