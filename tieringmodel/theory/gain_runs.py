"""CONSIST with a gain: the window map in real numbers, for the one parameter that the kernel's integers fix at 1."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..units import PAGE_SZ

Floats = npt.NDArray[np.float64]
MOST_DELAY = 1_000


class GainRuns(NamedTuple):
    """The tails of many runs, in shares of the eligible pages; arrays of the broadcast shape."""

    mean: Floats
    low: Floats
    high: Floats
    moved: Floats
    """Per window of the tail."""
    moved_total: Floats
    final: Floats


def gain_runs(
    gain: npt.ArrayLike,
    delay: npt.ArrayLike,
    leak_rate: npt.ArrayLike,
    *,
    target: float = 0.4,
    start: float = 0.38,
    n_pages: int = 2**20,
    windows: int = 6_000,
) -> GainRuns:
    """Run CONSIST with E' = E (1 + g (1 - score)) against a proportional leak, many loops at once.

    Parameters
    ----------
    gain, leak_rate : array of float
        g > 0, and the share of the goal node's pages that leaves per window, in (0, 1]; they broadcast.
    delay : array of int
        Windows between a move and its appearance in the metric.
    target, start : float
        Goal and start as shares of the eligible pages; the quota starts at what the leak takes at the goal.
    n_pages : int
        Sets the smallest quota, one byte.
    windows : int
        Windows to run; the tail is the last fifth, at least 100.

    Returns
    -------
    GainRuns
        At g = 1 the map is the integer loop without its rounding.

    Raises
    ------
    InputError
        When an argument is outside its bounds.

    Notes
    -----
    Source: docs/theory/stability.md, section 3d. A factor of 0 or less is the kernel's collapse to one byte.
    """
    g, d, rate = np.broadcast_arrays(np.asarray(gain, float), np.asarray(delay, np.int64), np.asarray(leak_rate, float))
    if not (np.isfinite(g).all() and (g > 0).all()):
        raise InputError("gain", "holds a value that is not positive", "the kernel's own gain is 1")
    if d.size == 0 or d.min() < 0 or d.max() > MOST_DELAY:
        raise InputError("delay", f"is empty or outside 0..{MOST_DELAY}", "give numbers of windows")
    if not ((rate > 0) & (rate <= 1)).all():
        raise InputError("leak_rate", "holds a value outside (0, 1]", "give the share that leaves per window")
    if not (0 < target <= 1 and 0 <= start <= 1):
        raise InputError("target", f"{target!r} from {start!r} are not shares", "give shares of the eligible pages")
    if windows < 100 or n_pages < 1:
        raise InputError("windows", f"{windows} windows of {n_pages} pages are too few", "run 100 windows or more")
    shape, one_byte = g.shape, 1.0 / (PAGE_SZ * n_pages)
    most = 2.0**64 / 1e4 * one_byte
    g, d, rate = g.ravel(), d.ravel(), rate.ravel()
    columns, slots = np.arange(g.size), int(d.max()) + 1
    seen = np.full((slots, g.size), float(start))
    x, quota = np.full(g.size, float(start)), rate * target
    tail = max(100, windows // 5)
    total, moved_sum, sum_x = np.zeros(g.size), np.zeros(g.size), np.zeros(g.size)
    low, high = np.full(g.size, np.inf), np.full(g.size, -np.inf)
    for k in range(windows):
        seen[k % slots] = x
        score = seen[(k - d) % slots, columns] / target
        quota = np.clip(quota * (1.0 + g * (1.0 - score)), one_byte, most)
        moved = np.minimum(quota, 1.0 - x)
        x = x + moved - rate * x
        total += moved
        if k >= windows - tail:
            moved_sum += moved
            sum_x += x
            low, high = np.minimum(low, x), np.maximum(high, x)
    results = (sum_x / tail, low, high, moved_sum / tail, total, x)
    return GainRuns(*(r.reshape(shape) for r in results))
