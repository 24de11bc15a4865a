"""The CONSIST loop near its fixed point under a proportional leak: poles, margins, critical gain."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from ..errors import InputError

MAX_DELAY = 1000
LEAST_LEAK = 1e-9
"""Below it the two slow poles coincide within the precision of a float."""


@dataclass(frozen=True)
class LinearLoop:
    """Linearised loop; made by `linear`.

    Attributes
    ----------
    leak_rate, gain, delay : float, float, int
        What was analysed.
    spectral_radius : float
        Largest modulus of a closed-loop pole, per window; below 1 means that small disturbances fade.
    period_windows : float
        Windows per oscillation of the dominant pole; inf when it does not oscillate.
    gain_margin : float
        Factor on the gain at which the loop becomes marginal: critical_gain / gain.
    phase_margin_rad : float
        Phase left to -pi at the gain crossover, in radians; nan without a crossover.
    gain_crossover_rad : float
        Frequency in radians per window at which the open loop has modulus 1; nan when it is above 1 everywhere.
    delay_margin_windows : float
        Further delay in windows, on top of `delay`, that makes the loop marginal: phase margin / crossover.
    critical_gain : float
        Smallest gain with spectral radius 1.
    """

    leak_rate: float
    gain: float
    delay: int
    spectral_radius: float
    period_windows: float
    gain_margin: float
    phase_margin_rad: float
    gain_crossover_rad: float
    delay_margin_windows: float
    critical_gain: float

    @property
    def envelope_settling_windows(self) -> float:
        """Windows until the envelope is down to 2 %: ln 50 / -ln(spectral radius); inf for a radius of 1 or more."""
        return (
            math.log(50.0) / -math.log(self.spectral_radius)
            if 0 < self.spectral_radius < 1
            else (math.inf if self.spectral_radius >= 1 else 0.0)
        )


def check_plant(leak_rate: float, gain: float = 1.0, delay: int = 0) -> tuple[float, float, int]:
    """Return the checked (leak_rate, gain, delay) of a loop with a proportional leak."""
    try:
        rate, factor = float(leak_rate), float(gain)
        lag = int(delay) if isinstance(delay, float) and delay == delay // 1 else operator.index(delay)
    except (TypeError, ValueError):
        raise InputError(
            "linear",
            f"({leak_rate!r}, {gain!r}, {delay!r}) are not two numbers and a count",
            "give a leak rate, a gain and a whole number of windows",
        ) from None
    if not LEAST_LEAK <= rate <= 1.0:
        raise InputError(
            "leak_rate",
            f"{rate:g} is outside {LEAST_LEAK:g}..1",
            "give the share that leaves per window; without a leak there is no fixed point to linearise at",
        )
    if not 0.0 < factor < math.inf:
        raise InputError("gain", f"{factor:g} is not a positive number", "the kernel's own gain is 1")
    if not 0 <= lag <= MAX_DELAY:
        raise InputError("delay", f"{lag} is outside 0..{MAX_DELAY}", "give a number of windows")
    return rate, factor, lag


def characteristic_polynomial(leak_rate: float, gain: float, delay: int) -> npt.NDArray[np.float64]:
    """Return the closed loop's polynomial in z, highest power first (docs/theory/stability.md, section 3d)."""
    if delay == 0:
        return np.array([1.0, -(2.0 - leak_rate - gain * leak_rate), 1.0 - leak_rate])
    polynomial = np.zeros(delay + 2)
    polynomial[:3] = [1.0, -(2.0 - leak_rate), 1.0 - leak_rate]
    polynomial[-1] += gain * leak_rate
    return polynomial


def open_loop_phase(omega: float, leak_rate: float, delay: int) -> float:
    """Return the open loop's unwrapped phase in radians at `omega` in (0, pi]; it starts at -pi/2."""
    leaky_pole = math.atan2(math.sin(omega), math.cos(omega) - 1.0 + leak_rate)
    return (1 - delay) * omega - (math.pi + omega) / 2 - leaky_pole


def open_loop_modulus(omega: float, leak_rate: float, gain: float) -> float:
    """Return the open loop's modulus at `omega`; a delay does not change it."""
    s = math.sin(omega / 2) ** 2
    return gain * leak_rate / math.sqrt(4 * s * (leak_rate**2 + 4 * (1 - leak_rate) * s))


def _phase_above_minus_pi(omega: float, leak_rate: float, delay: int) -> float:
    return open_loop_phase(omega, leak_rate, delay) + math.pi


def _log_modulus(omega: float, leak_rate: float, gain: float) -> float:
    return math.log(open_loop_modulus(omega, leak_rate, gain))


def linear(leak_rate: float, gain: float = 1.0, delay: int = 0) -> LinearLoop:
    """Return poles and margins of the linearised CONSIST loop with a proportional leak.

    Parameters
    ----------
    leak_rate : float
        Share of the goal node's pages that leaves per window, in (0, 1].
    gain : float
        Factor g on the tuner's reaction, E' = E (1 + g (1 - score)); the kernel's is 1.
    delay : int
        Windows between a move and its appearance in the metric.

    Returns
    -------
    LinearLoop
        See there. Target and memory size do not matter.

    Raises
    ------
    InputError
        When an argument is outside its bounds.

    Notes
    -----
    Source: docs/theory/stability.md, section 3d. The open loop is g d z^(1-delay) / ((z - 1)(z - 1 + d)) with leak rate d.
    With a delay its modulus and its phase fall monotonically, so each crossing is unique; without one the phase reaches -pi
    only at omega = pi.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> loop = tm.analysis.linear(leak_rate=0.05)
    >>> round(loop.spectral_radius, 6), round(loop.period_windows, 2), round(loop.delay_margin_windows, 3)
    (0.974679, 27.86, 1.0)
    """
    from scipy.optimize import brentq

    rate, factor, lag = check_plant(leak_rate, gain, delay)
    roots = np.roots(characteristic_polynomial(rate, factor, lag))
    dominant = roots[np.argmax(np.abs(roots) + 1e-12 * (np.abs(roots.imag) > 0))]
    angle = abs(math.atan2(dominant.imag, dominant.real))
    crossing = math.pi if lag == 0 else brentq(_phase_above_minus_pi, 1e-12, math.pi, args=(rate, lag), xtol=1e-15)
    critical = 1.0 / open_loop_modulus(crossing, rate, 1.0)
    gain_crossover = phase_margin = math.nan
    if open_loop_modulus(math.pi, rate, factor) <= 1.0:
        lowest = 1e-6
        while open_loop_modulus(lowest, rate, factor) <= 1.0:
            lowest /= 1e3
        gain_crossover = brentq(partial(_log_modulus, leak_rate=rate, gain=factor), lowest, math.pi, xtol=1e-15)
        phase_margin = math.pi + open_loop_phase(gain_crossover, rate, lag)
    return LinearLoop(
        leak_rate=rate,
        gain=factor,
        delay=lag,
        spectral_radius=float(np.abs(roots).max()),
        period_windows=2 * math.pi / angle if angle > 0 else math.inf,
        gain_margin=critical / factor,
        phase_margin_rad=phase_margin,
        gain_crossover_rad=gain_crossover,
        delay_margin_windows=phase_margin / gain_crossover,
        critical_gain=critical,
    )
