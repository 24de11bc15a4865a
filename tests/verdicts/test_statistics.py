"""Intervals, periods and contraction on signals whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieringmodel.verdicts.statistics import contraction, lag1, limit_cycle_period, mean_interval, rate_interval


def autoregression(rho, size, seed):
    rng = np.random.default_rng(seed)
    y = np.empty(size)
    y[0] = rng.standard_normal() / math.sqrt(1 - rho**2)
    for k, z in enumerate(rng.standard_normal(size - 1)):
        y[k + 1] = rho * y[k] + z
    return y


@pytest.mark.parametrize(("rho", "least"), [(0.0, 0.89), (0.6, 0.78)])
def test_intervals_cover_the_mean(rho, least):
    # 200 trials have a standard error of 1.5-3 %; a block bootstrap of 100 correlated points is known to fall short of
    # 95 %, but must beat the 66 % that ignoring a correlation of 0.6 gives.
    hits = 0
    for seed in range(200):
        low, high = mean_interval(autoregression(rho, 100, seed), n_resamples=199, seed=seed)
        hits += low <= 0 <= high
    assert least <= hits / 200 <= 0.99


def test_degenerate_intervals():
    assert mean_interval(np.full(50, 3.0)) == (3.0, 3.0)
    assert all(math.isnan(bound) for bound in mean_interval(np.array([1.0, 2.0])))
    assert rate_interval(np.zeros(150)) == (0.0, 0.02)
    low, high = rate_interval(np.tile([0.0, 4.0], 50))
    assert low <= 2.0 <= high
    assert lag1(np.full(9, 2.0)) == 0
    assert lag1(np.tile([1.0, -1.0], 50)) == pytest.approx(-1, abs=0.02)


def test_intervals_are_repeatable():
    y = autoregression(0.3, 80, 1)
    assert mean_interval(y, seed=4) == mean_interval(y, seed=4)
    assert mean_interval(y, seed=4) != mean_interval(y, seed=5)


@given(period=st.floats(2.5, 40.0), phase=st.floats(0, 6.3), offset=st.floats(-1e4, 1e4))
def test_a_sine_has_its_period(period, phase, offset):
    y = offset + 100 * np.sin(2 * np.pi * np.arange(200) / period + phase)
    # Parabolas through three points of a coarse peak: the shortest periods are off by up to 5 %.
    assert limit_cycle_period(y) == pytest.approx(period, rel=0.05)


@pytest.mark.parametrize("pattern", [[1, 0], [1, 0, 0], [5, 4, 3, 2, 1, 0], [1] * 7 + [0] * 13])
def test_a_repeated_pattern_has_its_length(pattern):
    assert limit_cycle_period(np.tile(np.array(pattern, float), 40)) == pytest.approx(len(pattern), rel=0.02)


def test_what_has_no_period():
    assert math.isnan(limit_cycle_period(np.full(200, 4000.0)))
    assert math.isnan(limit_cycle_period(np.linspace(0, 1, 200)))
    assert math.isnan(limit_cycle_period(np.array([1.0, 0.0, 1.0, 0.0])))
    found = [limit_cycle_period(np.random.default_rng(seed).standard_normal(100)) for seed in range(200)]
    # The first peak above 0.2 (two standard errors) agrees with the largest frequency by chance now and then.
    assert np.mean(np.isfinite(found)) < 0.15


@given(factor=st.floats(0.5, 0.99), reference=st.floats(100, 9000))
def test_a_monotone_approach_shrinks_by_its_factor(factor, reference):
    y = reference - 5000 * factor ** np.arange(400)
    got = contraction(y, reference, 2.0)
    assert got.factor == pytest.approx(factor, rel=1e-6)
    assert got.low <= got.factor <= got.high < 1


@given(factor=st.floats(0.9, 1.03), period=st.floats(12, 40))
def test_an_oscillation_shrinks_or_grows_by_its_envelope(factor, period):
    k = np.arange(150)
    y = 4000 + 1000 * factor**k * np.cos(2 * np.pi * k / period)
    # Sampled peaks sit up to half a window off the true ones: cos(pi / 12) = 0.966 in height over several periods.
    assert contraction(y, 4000, 2.0).factor == pytest.approx(factor, abs=0.006)


def test_too_few_points_have_no_factor():
    assert all(math.isnan(value) for value in contraction(np.array([0.0, 4000.0, 4000.0]), 4000.0, 2.0))
    assert all(math.isnan(value) for value in contraction(np.full(50, 10.0), 4000.0, 2.0))


def test_a_share_without_a_value_has_no_interval() -> None:
    assert all(math.isnan(end) for end in mean_interval(np.full(20, math.nan)))
    assert all(math.isnan(end) for end in mean_interval(np.append(np.arange(20.0) % 3, math.nan)))
