"""Is it over? Rest, tails and trends of a series, by numbers that one place names."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .thresholds import RunThresholds

Floats = npt.NDArray[np.float64]


class Rest(NamedTuple):
    """Whether pages rest at the end of a run."""

    at_rest: bool
    silent_s: float
    """How long the end has been silent."""
    needed_s: float
    """How long it must be, to be called rest."""


EIGHTHS = 8


def rest_of(time_s: Floats, moved: Floats, since_s: float, window_s: float, n_pages: float, limits: RunThresholds) -> Rest:
    """Return whether pages rest at the end, by the silence after the last motion.

    Parameters
    ----------
    time_s, moved : ndarray of float64, shape (n,)
        Times of records, and pages that changed place since the record before.
    since_s : float
        When the run was last disturbed from outside.
    window_s : float
        Length of a window.
    n_pages : float
        Pages of the workload.
    limits : RunThresholds

    Returns
    -------
    Rest
    """
    end_s = float(time_s[-1])
    span = end_s - since_s
    count = max(int(span / window_s + 1e-6), 1)
    edges = end_s - window_s * np.arange(count, -1, -1.0)
    total = np.concatenate(([0.0], np.cumsum(moved)))
    by_window = np.diff(total[np.searchsorted(time_s, edges + 1e-9, side="right")])
    stray = limits.residual_per_page * n_pages
    loud = by_window > limits.burst * stray
    back = by_window[::-1]
    quiet = np.maximum.accumulate(loud[::-1]) == 0
    quiet &= np.cumsum(back) <= stray * np.arange(1, count + 1)
    windows = int(np.flatnonzero(quiet)[-1]) + 1 if quiet.any() else 0
    silent_s = span if windows == count else windows * window_s
    at = np.flatnonzero(loud)
    pause_s = float(np.diff(at).max(initial=1) - 1) * window_s if at.size else 0.0
    needed = max(limits.silence_windows * window_s, limits.silence_share * span, limits.silence_pauses * pause_s)
    return Rest(silent_s >= needed - 1e-9, silent_s, needed)


def rate_has_trend(time_s: Floats, moved: Floats, start_s: float, limits: RunThresholds) -> bool:
    """Return whether the rate of moves rises or falls in the tail, or one eighth of it holds half of all moves."""
    edges = np.linspace(start_s, float(time_s[-1]), EIGHTHS + 1)
    total = np.concatenate(([0.0], np.cumsum(moved)))
    parts = np.diff(total[np.searchsorted(time_s, edges + 1e-9, side="right")])
    if not parts.sum():
        return False
    if parts.max() >= parts.sum() / 2:
        return True
    signs = np.sign(parts[None, :] - parts[:, None])[np.triu_indices(EIGHTHS, 1)]
    halves = sorted((parts[: EIGHTHS // 2].sum(), parts[EIGHTHS // 2 :].sum()))
    return bool(abs(signs.mean()) >= limits.trend_tau and halves[1] >= limits.trend_ratio * halves[0])


def share_has_trend(time_s: Floats, y: Floats, start_s: float, least: float, limits: RunThresholds) -> bool:
    """Return whether a series rises or falls in its tail.

    It does if the means of the tail's halves differ by more than `least` and by a good part of its swing (half of it, if it
    rises evenly), or if it rises or falls from each eighth to the next, however slowly.
    """
    known = (time_s >= start_s) & ~np.isnan(y)
    t, values = time_s[known], y[known]
    late = t >= (start_s + time_s[-1]) / 2
    swing = float(np.ptp(values)) if values.size else 0.0
    if not swing or late.all() or not late.any():
        return False
    if abs(float(values[late].mean() - values[~late].mean())) > max(least, limits.trend_swing * swing):
        return True
    part = np.minimum(((t - start_s) / max(time_s[-1] - start_s, 1e-9) * EIGHTHS).astype(int), EIGHTHS - 1)
    if np.unique(part).size < EIGHTHS:
        return False
    steps = np.diff([values[part == k].mean() for k in range(EIGHTHS)])
    return bool((steps > 0).all() or (steps < 0).all())


def leaves(y: Floats, low: float, high: float) -> int:
    """Return how often a series leaves [low, high]: a start outside counts once."""
    outside = (y < low - 1e-9) | (y > high + 1e-9)
    return int(np.count_nonzero(outside[1:] & ~outside[:-1])) + int(outside[0]) if y.size else 0


def inside_since(time_s: Floats, inside: npt.NDArray[np.bool_]) -> float | None:
    """Return the time from which on a condition holds to the end, None if it does not hold at the end."""
    if not inside.size or not inside[-1]:
        return None
    out = np.flatnonzero(~inside)
    return float(time_s[out[-1] + 1]) if out.size else float(time_s[0])
