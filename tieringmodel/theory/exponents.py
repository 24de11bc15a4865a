"""Growth of small differences and of measurement noise in the CONSIST loop with a proportional leak."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..checks import number, positive, whole
from ..errors import InputError
from .linear import check_plant


def _target_share(target_bp: float) -> float:
    remedy = "give basis points, 1 to 10000"
    return number("target_bp", positive("target_bp", target_bp, remedy), 0, 10_000, remedy) / 10_000


def jacobian(quota: float, share: float, leak_rate: float, target: float) -> npt.NDArray[np.float64]:
    """Return the window map's Jacobian in (share, quota), as shares of the pages (docs/theory/stability.md, section 3d)."""
    growth = 2.0 - share / target
    slope = -quota / target
    return np.array([[1.0 - leak_rate + slope, growth], [slope, growth]])


def lyapunov(leak_rate: float, target_bp: float, windows: int, *, displacement: float = 0.0) -> tuple[float, float]:
    """Return both finite-time Lyapunov exponents of the real-valued CONSIST map with a proportional leak.

    Parameters
    ----------
    leak_rate : float
        Share of the goal node's pages that leaves per window, in (0, 1].
    target_bp : float
        Goal in basis points, in (0, 10000]; the exponents at the fixed point do not depend on it.
    windows : int
        Length of the trajectory in windows, at least 1.
    displacement : float
        Relative distance of the start from the fixed point, the share of the goal node starting at
        ``(1 + displacement) * target``; in (-1, 1). 0 measures at the fixed point.

    Returns
    -------
    tuple of float
        Larger and smaller exponent, per window. At the fixed point they add up to ln(1 - leak_rate) for any length.

    Raises
    ------
    InputError
        When an argument is outside its bounds.

    Notes
    -----
    Products of Jacobians, re-orthogonalised by QR in every window (docs/theory/stability.md, sections 3d and 4).

    Examples
    --------
    >>> import tieringmodel as tm
    >>> first, second = tm.analysis.lyapunov(0.05, 4000, 5000)
    >>> round(first + second, 4)  # ln(1 - leak_rate)
    -0.0513
    """
    rate, _, _ = check_plant(leak_rate)
    target = _target_share(target_bp)
    length = whole("windows", windows, 1)
    if not -1.0 < displacement < 1.0:
        raise InputError("displacement", f"{displacement!r} is outside (-1, 1)", "0 starts at the fixed point")
    share, quota = target * (1.0 + displacement), rate * target
    sums = np.zeros(2)
    frame: npt.NDArray[np.float64] = np.eye(2)
    for _ in range(length):
        frame, r = np.linalg.qr(jacobian(quota, share, rate, target) @ frame)
        with np.errstate(divide="ignore"):
            sums += np.log(np.abs(np.diag(r)))
        quota *= 2.0 - share / target
        share += quota - rate * share
        if not 0.0 < share < 2.0 * target:
            raise InputError(
                "displacement",
                f"{displacement:g} leaves the region where the map is smooth",
                "start closer to the fixed point",
            )
    larger, smaller = sorted((sums / length).tolist(), reverse=True)
    return larger, smaller


class NoiseFloor(NamedTuple):
    """Standard deviations that white measurement noise leaves in a loop at rest; inf when the loop is not stable."""

    share_sd_bp: float
    """Of the goal node's share, in basis points."""
    log_quota_sd: float
    """Of the natural logarithm of the quota."""


def noise_floor(leak_rate: float, noise_bp: float, target_bp: float, *, gain: float = 1.0, delay: int = 0) -> NoiseFloor:
    """Return what white measurement noise does to the linearised CONSIST loop with a proportional leak.

    Parameters
    ----------
    leak_rate, gain, delay
        As in `linear`.
    noise_bp : float
        Standard deviation of the measurement noise in basis points, at least 0.
    target_bp : float
        Goal in basis points; it scales the quota's deviation only.

    Returns
    -------
    NoiseFloor
        Standard deviations of share and log quota.

    Raises
    ------
    InputError
        When an argument is outside its bounds.

    Notes
    -----
    Stationary covariance P = J P J' + B B' s^2 (docs/theory/stability.md, sections 3d and 4). State: the share now and in the
    last `delay` windows, and the quota relative to its fixed point; the noise enters where the share is measured.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> round(tm.analysis.noise_floor(0.05, noise_bp=100, target_bp=4000).share_sd_bp, 1)
    71.2
    """
    from scipy.linalg import solve_discrete_lyapunov

    rate, factor, lag = check_plant(leak_rate, gain, delay)
    target = _target_share(target_bp)
    noise_bp = number("noise_bp", noise_bp, 0, remedy="give basis points, 0 or more: a standard deviation")
    size = lag + 2
    step, entry = np.zeros((size, size)), np.zeros((size, 1))
    # With u = x / target - 1 and w = E / (rate * target) - 1: w' = w - g u(delayed), u' = u + rate (w' - u).
    quota, seen = size - 1, lag
    step[quota, quota], step[quota, seen], entry[quota, 0] = 1.0, -factor, -factor
    step[0] = rate * step[quota]
    step[0, 0] += 1.0 - rate
    entry[0, 0] = rate * entry[quota, 0]
    for back in range(1, lag + 1):
        step[back, back - 1] = 1.0
    if np.abs(np.linalg.eigvals(step)).max() >= 1.0 - 1e-12:
        return NoiseFloor(math.inf, math.inf)
    relative = noise_bp / (target * 10_000)
    covariance = solve_discrete_lyapunov(step, entry @ entry.T * relative**2)
    return NoiseFloor(float(np.sqrt(covariance[0, 0])) * target * 10_000, float(np.sqrt(covariance[quota, quota])))
