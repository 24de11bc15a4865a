"""Lyapunov exponents, the noise floor, page chains."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieringmodel import analysis, loop
from tieringmodel.errors import InputError
from tieringmodel.theory.exponents import jacobian


@given(leak=st.floats(0.001, 0.9), target=st.integers(1, 10_000), windows=st.integers(1, 60))
def test_at_the_fixed_point_the_exponents_add_up_to_the_logarithm(leak, target, windows):
    larger, smaller = analysis.lyapunov(leak, target, windows)
    assert larger >= smaller
    assert larger + smaller == pytest.approx(math.log1p(-leak), abs=1e-9)


def test_both_exponents_are_half_of_it_in_the_long_run():
    # A complex pair of poles: the frame turns, and each exponent differs from the mean by O(1/windows).
    for exponent in analysis.lyapunov(0.05, 4000, 4000):
        assert exponent == pytest.approx(math.log(0.95) / 2, abs=2e-3)


def test_along_a_trajectory_the_sum_converges_to_the_same():
    # The sum differs by ln(quota at the end / at the start) / windows, which fades.
    assert sum(analysis.lyapunov(0.05, 4000, 3000, displacement=0.4)) == pytest.approx(math.log(0.95), abs=1e-3)


def test_the_jacobian_is_the_derivative_of_the_window_map():
    def step(state):
        share, quota = state
        following = quota * (2 - share / 0.4)
        return np.array([share + following - 0.05 * share, following])

    at, h = np.array([0.37, 0.03]), 1e-6
    numeric = np.column_stack([(step(at + h * e) - step(at - h * e)) / (2 * h) for e in np.eye(2)])
    # Central differences: truncation O(h^2), rounding O(1e-16 / h).
    np.testing.assert_allclose(jacobian(at[1], at[0], 0.05, 0.4), numeric, atol=1e-8)
    assert np.linalg.eigvals(jacobian(0.02, 0.4, 0.05, 0.4)) == pytest.approx(
        np.array([0.95 + 1j * math.sqrt(0.05 * 0.95), 0.95 - 1j * math.sqrt(0.05 * 0.95)])
    )


@given(leak=st.floats(0.005, 0.95), noise=st.floats(0, 200), target=st.integers(100, 10_000))
def test_the_noise_floor_equals_its_closed_form(leak, noise, target):
    floor = analysis.noise_floor(leak, noise, target)
    assert floor.share_sd_bp == pytest.approx(noise * math.sqrt((2 - leak) / (4 - 3 * leak)), rel=1e-6, abs=1e-9)
    expected = noise / target * math.sqrt((2 - leak**2) / (leak * (4 - 3 * leak)))
    assert floor.log_quota_sd == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_the_noise_floor_of_the_integer_loop():
    noise, leak = 30.0, 0.2
    ds = loop.run(
        "consist",
        4000,
        10**8,
        4 * 10**7,
        leak_rate=leak,
        noise_bp=noise,
        windows=60_000,
        seed=3,
        esz_bp0=8 * 10**6 * 4096 * 10_000,
    )
    floor = analysis.noise_floor(leak, noise, 4000)
    # About 60000 * (1 - rho^2) / 2 = 6000 independent samples: a standard error of 1 %, and 1 % for what is not linear.
    assert float(ds.pages.values[500:].std()) / 1e4 == pytest.approx(floor.share_sd_bp, rel=0.04)
    assert float(np.log(ds.esz.values[500:].astype(float)).std()) == pytest.approx(floor.log_quota_sd, rel=0.04)


def test_an_unstable_loop_has_no_noise_floor():
    assert analysis.noise_floor(0.05, 10.0, 4000, delay=2) == (math.inf, math.inf)
    assert analysis.noise_floor(0.05, 10.0, 4000, delay=1) == (math.inf, math.inf)


@pytest.mark.parametrize(("delay", "gain"), [(0, 3.0), (1, 0.6), (2, 0.3)])
def test_the_noise_floor_with_gain_and_delay_by_simulation(delay, gain):
    rng, leak, target, noise = np.random.default_rng(5), 0.2, 0.4, 0.001
    share, quota, shares = [target] * (delay + 1), leak * target, []
    for z in rng.standard_normal(60_000):
        quota *= 1 + gain * (1 - (share[-1 - delay] + noise * z) / target)
        share.append(share[-1] + quota - leak * share[-1])
        shares.append((share[-1], math.log(quota)))
    floor = analysis.noise_floor(leak, 1e4 * noise, 1e4 * target, gain=gain, delay=delay)
    sds = np.std(shares[500:], axis=0)
    # Some 3000 independent samples: a standard error of 1.3 %.
    assert 1e4 * sds[0] == pytest.approx(floor.share_sd_bp, rel=0.05)
    assert sds[1] == pytest.approx(floor.log_quota_sd, rel=0.05)


@given(weights=st.lists(st.integers(1, 50), min_size=2, max_size=5), share=st.floats(0.0, 1.0))
def test_partial_selection_mixes_at_one_minus_the_share(weights, share):
    law = np.array(weights) / sum(weights)
    mixing = analysis.markov_mixing((1 - share) * np.eye(law.size) + share * np.tile(law, (law.size, 1)))
    assert mixing.second_eigenvalue == pytest.approx(1 - share, abs=1e-6)
    if share > 1e-3:
        np.testing.assert_allclose(mixing.stationary, law, atol=1e-9)


def test_a_period_two_chain_has_a_stationary_law():
    mixing = analysis.markov_mixing([[0, 1], [1, 0]])
    assert mixing.second_eigenvalue == pytest.approx(1.0)
    np.testing.assert_allclose(mixing.stationary, [0.5, 0.5])
    assert analysis.markov_mixing([[1.0]]).second_eigenvalue == 0


@pytest.mark.parametrize("matrix", [[[0.5, 0.6], [0.5, 0.5]], [[1.0, 0.0]], [[-0.5, 1.5], [0, 1]], [[math.nan, 1], [0, 1]], []])
def test_what_is_not_a_chain_is_refused(matrix):
    with pytest.raises(InputError, match="transition"):
        analysis.markov_mixing(matrix)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 4000, 10), "leak_rate"),
        ((0.1, 0, 10), "target_bp"),
        ((0.1, "x", 10), "target_bp"),
        ((0.1, 4000, 0), "windows"),
        ((0.1, 4000, 1.5), "windows"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(InputError, match=message):
        analysis.lyapunov(*arguments)
    with pytest.raises(InputError, match="displacement"):
        analysis.lyapunov(0.1, 4000, 10, displacement=1.0)
    with pytest.raises(InputError, match="noise_bp"):
        analysis.noise_floor(0.1, -1, 4000)
