"""Bands, bootstrap, CRPS and the rule for "inside", against answers known otherwise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieringmodel.errors import InputError
from tieringmodel.validate.recorded.bands import (
    Pair,
    band,
    block_length,
    block_rows,
    bootstrap_interval,
    crps,
    share_inside,
    skill,
)


def pair(recorded: float, low: float, high: float, interval: float = 0.0, **others: float) -> Pair:
    given = {"crps": 0.0} | others
    return Pair("run", "measure", "1", recorded, recorded - interval / 2, recorded + interval / 2, low, high, **given)


def test_band_is_made_of_members_and_never_narrower_than_the_quantiles() -> None:
    values = np.arange(64.0)
    assert band(values) == (3.0, 60.0)  # 0.05 * 63 = 3.15 down, 0.95 * 63 = 59.85 up
    assert band([math.inf, 1.0, 2.0]) == (1.0, math.inf)
    assert band([math.nan, 1.0, 2.0]) == (1.0, 2.0)
    assert all(math.isnan(edge) for edge in band([math.nan, math.nan, 2.0]))


def test_crps_of_one_and_of_two_members() -> None:
    assert crps([2.0], 5.0) == 3.0
    assert crps([0.0, 1.0], 3.0) == 2.0  # 2.5 - 1 / 2
    assert math.isnan(crps([math.nan], 1.0))


def test_crps_of_a_normal_forecast() -> None:
    # Gneiting and Raftery 2007: sigma * (2 phi(0) - 1 / sqrt(pi)) at the mean; 4e-3 is three standard errors.
    values = np.random.default_rng(1).normal(size=20_000)
    assert crps(values, 0.0) == pytest.approx(math.sqrt(2 / math.pi) - 1 / math.sqrt(math.pi), abs=4e-3)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20), st.floats(-1e3, 1e3))
def test_crps_is_the_double_sum(values: list[float], observed: float) -> None:
    n = len(values)
    double = sum(abs(a - b) for a in values for b in values) / (2 * n * (n - 1))
    assert crps(values, observed) == pytest.approx(sum(abs(v - observed) for v in values) / n - double, abs=1e-9)


def test_blocks_are_neighbours_on_a_circle() -> None:
    rows = block_rows(10, 4, 50, seed=3)
    assert rows.shape == (50, 10)
    for start in (0, 4, 8):
        steps = np.diff(rows[:, start : start + 4], axis=1)
        assert set(np.unique(steps % 10)) == {1}
    with pytest.raises(InputError, match="cannot be resampled"):
        block_rows(0, 1, 1)


def test_bootstrap_of_a_mean() -> None:
    values = np.random.default_rng(5).normal(size=400)
    low, high = bootstrap_interval(lambda rows: float(values[rows].mean()), 400, 1, resamples=2_000)
    # 2 * 1.96 * sd / sqrt(n); 2000 resamples know a 2.5 % quantile to about 5 % of the width
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert low < values.mean() < high
    assert bootstrap_interval(lambda rows: 7.0, 10, 2) == (7.0, 7.0)
    assert all(math.isnan(edge) for edge in bootstrap_interval(lambda rows: math.nan, 10, 2))


def test_blocks_grow_with_correlation() -> None:
    noise = np.random.default_rng(2).normal(size=400)
    slow = np.convolve(noise, np.ones(20), mode="same")
    assert block_length(noise) <= 8 < block_length(slow) <= 100
    assert block_length(np.ones(3)) == 1


@pytest.mark.parametrize(
    ("one", "inside"),
    [
        (pair(1.0, 0.95, 1.05), True),  # 0.10 wide, 0.15 allowed
        (pair(1.0, 0.9, 1.06), False),  # 0.16 wide
        (pair(1.0, 0.9, 1.06, interval=0.06), True),  # three intervals are 0.18
        (pair(1.0, 1.01, 1.02), False),
        (pair(1.0, 1.01, 1.02, resolution=0.01), True),
        (pair(0.0, 0.0, 0.0), True),
        (pair(0.0, 0.0, 1e-9), False),
        (pair(1.0, math.nan, math.nan), False),
    ],
)
def test_the_rule(one: Pair, inside: bool) -> None:
    assert one.inside is inside


def test_shares_and_skill() -> None:
    good, bad = pair(1.0, 0.99, 1.01, crps=0.1, crps_still=1.0), pair(1.0, 2.0, 2.0, crps=0.4, crps_still=math.nan)
    assert share_inside([good, bad]) == 0.5
    assert math.isnan(share_inside([]))
    assert skill([good, bad], "still") == {"measure": pytest.approx(0.101 / 1.001)}
    assert skill([good, bad], "nominal") == {}
