"""The ends of what the theory accepts and tells apart: equal caps, marginal loops, limits of arguments."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tieringmodel import analysis
from tieringmodel.errors import InputError
from tieringmodel.theory import closed_forms as theory
from tieringmodel.theory import exponents


def test_a_loop_outside_the_unit_circle_never_settles():
    loop = analysis.linear(0.5, gain=1.5, delay=4)
    assert 1.0 < loop.spectral_radius < 2.0
    assert loop.envelope_settling_windows == math.inf
    calm = analysis.linear(0.1)
    assert calm.envelope_settling_windows == pytest.approx(math.log(50) / -math.log(calm.spectral_radius))


@pytest.mark.parametrize(
    ("caps", "pinned"), [((300, 200), (6000.0, 6000.0)), ((200, 300), (3000.0, 3000.0)), ((200, 200), (3000.0, 6000.0))]
)
def test_whose_goal_holds_when_both_cannot_be_met(caps, pinned):
    # Goals 6000 on node 0 and 7000 on node 1 leave node 0 between 3000 and 6000; 2 x 200 pages are swapped.
    assert theory.push_pull((6000, 7000), caps) == (400, *pinned)


def test_the_stop_bound_begins_at_zero():
    assert theory.stop_overshoot_bound(0.0) == 0.0
    assert theory.stop_overshoot_bound(1.0) == pytest.approx(2 * math.log(2) - 1)
    for outside in (-1e-9, 1.0 + 1e-9):
        with pytest.raises(InputError, match="outside"):
            theory.stop_overshoot_bound(outside)


def test_a_met_goal_is_never_crossed():
    assert theory.crossing_windows(1000, 10_000) == math.inf
    growth, bytes_missing = 1.5, 1000 * 4096
    exact = math.log(bytes_missing * (1 - 1 / growth)) / math.log(growth)
    assert theory.crossing_windows(1000, 5_000) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("displacement", [-1.0, 1.0])
def test_a_displacement_stays_inside_the_memory(displacement):
    with pytest.raises(InputError, match="displacement"):
        exponents.lyapunov(0.1, 5000, 10, displacement=displacement)


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_an_interval_needs_a_confidence_between_its_ends(confidence):
    y = np.full(301, 5000.0)
    with pytest.raises(InputError, match="confidence"):
        analysis.measure(y, np.zeros(300), 100, np.column_stack([y, y]) / 1e4, target_bp=5000, confidence=confidence)
