"""Confidence intervals that respect correlation between windows, and the search for a period."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .resampling import autocorrelation, bootstrap_mean_interval, densities, peaks, slope_of

Floats = npt.NDArray[np.float64]
NAN_PAIR = (math.nan, math.nan)
FEW = 1000
"""Most samples for BCa, which takes memory of their square; its correction fades with their root."""


def lag1(values: Floats) -> float:
    """Return the lag-1 autocorrelation; 0 for constant values."""
    centred = values - values.mean()
    power = float(centred @ centred)
    return float(centred[1:] @ centred[:-1]) / power if power > 0 else 0.0


def _block_means(values: Floats, rho: float, rng: np.random.Generator, n_resamples: int) -> Floats:
    # Block length by Andrews' (1991) rule for a first-order autoregression.
    alpha = 4 * rho**2 / (1 - min(rho, 0.99) ** 2) ** 2
    length = max(2, min(values.size // 4, math.ceil(1.1447 * (alpha * values.size) ** (1 / 3))))
    sums = np.convolve(values, np.ones(length), mode="valid")
    blocks = -(-values.size // length)
    means: Floats = sums[rng.integers(sums.size, size=(n_resamples, blocks))].sum(axis=1) / (blocks * length)
    return means


def mean_interval(values: Floats, *, confidence: float = 0.95, n_resamples: int = 999, seed: int = 0) -> tuple[float, float]:
    """Return a bootstrap confidence interval of the mean.

    Parameters
    ----------
    values : float array
        One value per window.
    confidence : float
        Coverage, in (0, 1).
    n_resamples, seed : int
        Size and seed of the bootstrap; without resamples there is no interval.

    Returns
    -------
    tuple of float
        Lower and upper bound. Bias-corrected and accelerated when the lag-1 autocorrelation is at most 0.1, else moving
        blocks (percentiles), which long samples get too; the value twice when all are equal; nan for fewer than 8, and where
        a value is not known.

    Notes
    -----
    Source: docs/theory/stability.md, section 4.
    """
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    if not n_resamples or values.size < 8 or np.isnan(values).any():  # where nothing was accessed a share has no value
        return NAN_PAIR
    rng = np.random.default_rng(seed)
    rho = lag1(values)
    if rho <= 0.1:
        batch = max(1, 2_000_000 // values.size)
        options = {"confidence": confidence, "n_resamples": n_resamples, "batch": batch}
        interval = bootstrap_mean_interval(values, rng, **options, corrected=values.size <= FEW)  # type: ignore[arg-type]
        if math.isfinite(interval[0]) and math.isfinite(interval[1]):
            return interval
    tails = [50 * (1 - confidence), 50 * (1 + confidence)]
    low, high = np.percentile(_block_means(values, max(rho, 0.0), rng, n_resamples), tails)
    return float(low), float(high)


def rate_interval(counts: Floats, **options: Any) -> tuple[float, float]:
    """Return `mean_interval` of counts per window; with no event at all, 0 and the rule of three's 3 / windows."""
    return (0.0, 3.0 / counts.size) if not counts.any() else mean_interval(counts, **options)


def _vertex(values: Floats, at: int) -> float:
    if not 0 < at < values.size - 1:
        return float(at)
    left, middle, right = values[at - 1 : at + 2]
    bend = left - 2 * middle + right
    return at + (0.5 * (left - right) / bend if bend < 0 else 0.0)


def limit_cycle_period(y: Floats) -> float:
    """Return the period in windows, nan when there is none.

    The largest peak of the periodogram and the first peak above 0.2 of the autocorrelation must agree within 10 %
    (docs/theory/stability.md, section 4). Both are refined between grid points: a short tail has a coarse frequency grid.
    """
    centred = y - y.mean()
    power = float(centred @ centred)
    if y.size < 8 or power <= 1e-18 * max(1.0, float(y @ y)):
        return math.nan
    density, step = densities(centred, 8 * y.size)
    peak = 1 + int(np.argmax(density[1:]))
    by_frequency = 1.0 / (_vertex(density, peak) * step)
    lags = y.size // 2
    acf = autocorrelation(centred)[: lags + 1] / (y.size - np.arange(lags + 1))
    relative = acf / acf[0]
    high = [int(at) for at in peaks(relative) if relative[at] >= 0.2]
    if not high:
        return math.nan
    by_lag = _vertex(acf, high[0])
    return by_lag if abs(by_frequency - by_lag) <= 0.1 * by_lag else math.nan


class Contraction(NamedTuple):
    """Factor per window by which the distance to the goal shrinks, with its confidence interval."""

    factor: float
    low: float
    high: float


def contraction(y: Floats, reference: float, resolution: float, confidence: float = 0.95) -> Contraction:
    """Return exp(slope) of the log distance to `reference`: over its peaks, or over all points of a monotone approach.

    Only points before the last change of `y` and further away than `resolution` count. nan for fewer than 3 of them. A
    contraction is shown only when ``high`` is below 1 (docs/theory/stability.md, section 4).
    """
    changes = np.flatnonzero(np.diff(y))
    distance = np.abs(y - reference)[: changes[-1] + 2 if changes.size else 1]
    at = peaks(distance) if np.any(np.diff(distance) > 0) else np.arange(distance.size)
    at = at[distance[at] > resolution]
    if at.size < 3:
        return Contraction(math.nan, math.nan, math.nan)
    from scipy.special import stdtrit

    slope, error = slope_of(at, np.log(distance[at]))
    spread = error * float(stdtrit(at.size - 2, 0.5 + confidence / 2))
    return Contraction(math.exp(slope), math.exp(slope - spread), math.exp(slope + spread))
