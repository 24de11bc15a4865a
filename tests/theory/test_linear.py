"""Poles and margins: against the spec's numbers, against roots at the margin, against scipy's frequency response."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieringmodel import analysis, loop
from tieringmodel.errors import InputError
from tieringmodel.theory.linear import characteristic_polynomial, open_loop_modulus, open_loop_phase

LEAKS = st.floats(0.001, 1.0)


def radius(leak_rate, gain, delay):
    return np.abs(np.roots(characteristic_polynomial(leak_rate, gain, delay))).max()


@pytest.mark.parametrize(("delay", "critical"), [(1, 1.0), (2, 0.50625), (3, 0.34067), (4, 0.25765), (5, 0.20775)])
def test_critical_gains_at_a_leak_of_five_percent(delay, critical):
    assert analysis.linear(0.05, delay=delay).critical_gain == pytest.approx(critical, abs=1e-5)


@given(leak=LEAKS)
def test_without_delay_everything_is_closed_form(leak):
    lin = analysis.linear(leak)
    # A double pole, as for a leak of 1, is known to the square root of the machine precision.
    assert lin.spectral_radius == pytest.approx(math.sqrt(1 - leak), abs=1e-7)
    assert lin.gain_margin == pytest.approx((4 - 2 * leak) / leak)
    assert lin.gain_crossover_rad == pytest.approx(2 * math.asin(math.sqrt(leak) / 2))
    assert lin.phase_margin_rad == pytest.approx(lin.gain_crossover_rad)
    assert lin.delay_margin_windows == pytest.approx(1.0)
    if leak < 0.999:
        assert lin.period_windows == pytest.approx(2 * math.pi / math.asin(math.sqrt(leak)))
        assert lin.envelope_settling_windows == pytest.approx(math.log(50) / (-0.5 * math.log(1 - leak)))


@given(leak=LEAKS, gain=st.floats(0.05, 5.0), delay=st.integers(0, 12))
def test_the_critical_gain_is_where_the_poles_reach_the_circle(leak, gain, delay):
    lin = analysis.linear(leak, gain, delay)
    assert lin.gain_margin == pytest.approx(lin.critical_gain / gain)
    # Simple roots on the circle move by O(1e-12) in the root finder; 1e-6 leaves room for nearly double ones.
    assert radius(leak, lin.critical_gain, delay) == pytest.approx(1.0, abs=1e-6)
    assert radius(leak, 0.9 * lin.critical_gain, delay) < 1
    assert radius(leak, 1.1 * lin.critical_gain, delay) > 1
    assert (lin.spectral_radius < 1 - 1e-9) == (gain < lin.critical_gain * (1 - 1e-9)) or lin.gain_margin == pytest.approx(1)


def test_a_delay_may_be_a_whole_float():
    assert analysis.linear(0.05, 1.0, 2.0) == analysis.linear(0.05, 1.0, 2)
    for bad in (1.5, math.inf, math.nan):
        with pytest.raises(InputError, match="delay"):
            analysis.linear(0.05, delay=bad)


@given(leak=LEAKS, gain=st.floats(0.05, 1.5), delay=st.integers(0, 6))
def test_the_crossover_has_unit_modulus_and_the_margin_its_phase(leak, gain, delay):
    lin = analysis.linear(leak, gain, delay)
    assert open_loop_modulus(lin.gain_crossover_rad, leak, gain) == pytest.approx(1.0)
    assert lin.phase_margin_rad == pytest.approx(math.pi + open_loop_phase(lin.gain_crossover_rad, leak, delay))
    # One more window of delay costs the crossover frequency in phase, and one window of margin.
    assert analysis.linear(leak, gain, delay + 1).delay_margin_windows == pytest.approx(lin.delay_margin_windows - 1)
    assert (lin.phase_margin_rad > 0) == (lin.spectral_radius < 1) or abs(lin.phase_margin_rad) < 1e-6


@pytest.mark.parametrize(("leak", "gain", "delay"), [(0.05, 1.0, 0), (0.3, 0.7, 1), (0.02, 1.0, 3), (1.0, 0.4, 2)])
def test_phase_and_modulus_agree_with_scipys_frequency_response(leak, gain, delay):
    from scipy.signal import TransferFunction, dfreqresp

    numerator = [gain * leak, 0.0] if delay == 0 else [gain * leak]
    denominator = np.concatenate([np.polymul([1, -1], [1, leak - 1]), np.zeros(max(0, delay - 1))])
    omega = np.linspace(0.01, 3.1, 50)
    _, response = dfreqresp(TransferFunction(numerator, denominator, dt=1.0), omega)
    np.testing.assert_allclose(np.abs(response), [open_loop_modulus(w, leak, gain) for w in omega], rtol=1e-9)
    turned = np.exp(1j * np.array([open_loop_phase(w, leak, delay) for w in omega]))
    np.testing.assert_allclose(response / np.abs(response), turned, atol=1e-9)


def test_a_gain_above_one_at_every_frequency_has_no_crossover():
    lin = analysis.linear(0.5, gain=10.0)
    assert math.isnan(lin.gain_crossover_rad)
    assert math.isnan(lin.delay_margin_windows)
    assert lin.spectral_radius > 1
    assert lin.envelope_settling_windows == math.inf


def test_the_integer_loop_shrinks_and_turns_as_predicted():
    lin = analysis.linear(0.05)
    ds = loop.run("consist", 4000, 10**9, 4 * 10**8 + 10**7, leak_rate=0.05, windows=200, esz_bp0=2 * 10**7 * 4096 * 10_000)
    z = ds.pages.values / 4e8 - 1
    # Up to window 100 the swing is far above the metric's floor of 1 bp, which shifts the fixed point by up to 2.5e-4.
    ups = [k for k in range(1, 110) if z[k - 1] < z[k] > z[k + 1]]
    assert np.diff(ups).mean() == pytest.approx(lin.period_windows, rel=0.03)
    assert (z[ups[-1]] / z[ups[0]]) ** (1 / (ups[-1] - ups[0])) == pytest.approx(lin.spectral_radius, abs=0.003)


def test_delays_beyond_the_margin_do_not_settle():
    kinds = [
        analysis.verdict(
            loop.run(
                "consist",
                4000,
                10**6,
                380_000,
                leak_rate=0.05,
                windows=1500,
                delay=delay,
                esz_bp0=20_000 * 4096 * 10_000,
            ),
            check_fix=False,
        ).kind
        for delay in (0, 2)
    ]
    assert kinds == ["ripple", "limit-cycle"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0,), "leak_rate: 0 is outside 1e-09"),
        ((1.1,), "leak_rate: 1.1"),
        ((0.1, 0.0), "gain: 0"),
        ((0.1, math.inf), "gain: inf"),
        ((0.1, 1.0, -1), "delay: -1"),
        ((0.1, 1.0, 0.5), "delay: 0.5 is not a whole number"),
        (("x",), "leak_rate: 'x' is not a number"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(InputError, match=message):
        analysis.linear(*arguments)
