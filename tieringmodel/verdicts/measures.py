"""The stability measures, each by its definition in docs/theory/stability.md, section 4."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..checks import float_array, positive
from ..errors import InputError
from .run_view import Series, judged_by
from .statistics import contraction, limit_cycle_period, mean_interval, rate_interval

if TYPE_CHECKING:
    import xarray as xr

Floats = npt.NDArray[np.float64]


def tail_of(windows: int) -> int:
    """Return how many last windows count as the tail: 100 or 20 %, whichever is more, and no more than there are."""
    return min(windows, max(100, -(-windows // 5)))


def settling_windows(y_bp: Floats, target_bp: float, band_bp: float, hold_windows: int = 100) -> float:
    """Return the first edge from which the share stays inside the band; inf unless `hold_windows` windows remain."""
    # A share is a quotient: a hair of rounding must not throw a run that sits on the band's edge out of it.
    outside = np.flatnonzero(np.abs(y_bp - target_bp) > band_bp + 1e-9)
    first = int(outside[-1]) + 1 if outside.size else 0
    return float(first) if y_bp.size - 1 - first >= hold_windows else math.inf


def quiescence_windows(moved: Floats) -> float:
    """Return the first window from which nothing moves any more; inf when the last window moves."""
    busy = np.flatnonzero(moved)
    first = int(busy[-1]) + 1 if busy.size else 0
    return float(first) if first < moved.size else math.inf


def overshoot_bp(y_bp: Floats, target_bp: float) -> float:
    """Return how far the share goes past the goal, seen from the start; 0 for a start on the goal."""
    return max(0.0, float(np.max(np.sign(target_bp - y_bp[0]) * (y_bp - target_bp))))


def waste_ratio(moves_per_page: float, x: Floats) -> float:
    """Return 1 - (net change of placement) / (moves per page); nan without a move, or when a leak moved more."""
    if moves_per_page == 0:
        return math.nan
    ratio = 1.0 - 0.5 * float(np.abs(x[-1] - x[0]).sum()) / moves_per_page
    if abs(ratio) <= 1e-9:
        return 0.0
    return ratio if ratio > 0 else math.nan


def measure(
    y_bp: npt.ArrayLike,
    moved_pages: npt.ArrayLike,
    n_pages: float,
    occupancy: npt.ArrayLike,
    *,
    target_bp: float,
    band_bp: float | None = None,
    ping_pong: Callable[[int], float] | None = None,
    within: int = 10,
    window_s: float | None = None,
    hold_windows: int = 100,
    tail_windows: int | None = None,
    confidence: float = 0.95,
    n_resamples: int = 999,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the measures of one run given as plain arrays.

    Parameters
    ----------
    y_bp : array, T + 1
        Goal-node share at the T + 1 edges of T windows, in basis points.
    moved_pages : array, T
        Pages moved in each window.
    n_pages : float
        Eligible pages.
    occupancy : array, (T + 1, nodes)
        Share of the eligible pages on each node at the edges.
    target_bp : float
        Reference, in basis points.
    band_bp : float, optional
        Half width of the band that counts as settled. None: 2 % of the reference.
    ping_pong : callable, optional
        ``ping_pong(within)``; None where pages cannot be told apart (nan).
    within : int
        Windows within which a returned page counts as bounced.
    window_s : float, optional
        Seconds per window; adds the measures in seconds.
    hold_windows : int
        Windows that must remain inside the band for the run to count as settled.
    tail_windows : int, optional
        Length of the tail. None: the last 100 windows or 20 %, whichever is more.
    confidence, n_resamples, seed
        Of the bootstrap intervals.

    Returns
    -------
    dict
        settling_windows, quiescence_windows, overshoot_bp, steady_state_error_bp (mean over the tail's edges minus the
        reference), residual_pages_per_window, ping_pong, waste_ratio, limit_cycle_period_windows,
        limit_cycle_amplitude_bp (half the tail's range); further overshoot_share (of the initial distance),
        steady_state_error_ci_bp, residual_ci_pages_per_window, residual_per_page_per_window, moves_per_page,
        excess_moves_per_page, contraction_factor, contraction_ci, mean_abs_error_bp, and the target_bp, band_bp and
        tail_windows used. inf = never, nan = undefined.

    Raises
    ------
    InputError
        When shapes do not fit or an option is outside its bounds.

    Notes
    -----
    Source: docs/theory/stability.md, section 4.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> y, moved = [0] + [4000] * 200, [400] + [0] * 199
    >>> occupancy = [[0, 1000]] + [[400, 600]] * 200
    >>> numbers = tm.analysis.measure(y, moved, 1000, occupancy, target_bp=4000)
    >>> numbers["settling_windows"], numbers["overshoot_bp"], numbers["moves_per_page"]
    (1.0, 0.0, 0.4)
    """
    y, moved, x = (
        float_array(name, values) for name, values in (("y_bp", y_bp), ("moved_pages", moved_pages), ("occupancy", occupancy))
    )
    if moved.ndim != 1 or moved.size < 1 or y.shape != (moved.size + 1,) or x.ndim != 2 or x.shape[0] != y.size:
        raise InputError("y_bp", f"shapes {y.shape}, {moved.shape}, {x.shape} do not fit", "give T + 1 edges for T windows")
    for name, value in (("n_pages", n_pages), ("target_bp", target_bp), ("band_bp", band_bp), ("window_s", window_s)):
        if value is not None or name in ("n_pages", "target_bp"):
            positive(name, value, "give a number above 0 or leave it at None")
    if not 0.0 < confidence < 1.0:
        raise InputError("confidence", f"{confidence!r} is outside (0, 1)", "0.95 is usual")
    tail = tail_of(moved.size) if tail_windows is None else tail_windows
    if not 1 <= tail <= moved.size:
        raise InputError("tail_windows", f"{tail} is outside 1..{moved.size}", "the tail is a part of the run")
    if within < 1 or hold_windows < 0:
        raise InputError(
            "within" if within < 1 else "hold_windows",
            f"{min(within, hold_windows)} is too small",
            "give a number of windows",
        )
    target = float(target_bp)
    band = 0.02 * target if band_bp is None else float(band_bp)
    last_y, last_moved = y[-tail:], moved[-tail:]
    over, start_distance = overshoot_bp(y, target), abs(target - float(y[0]))
    moves_per_page = float(moved.sum()) / n_pages
    options = {"confidence": confidence, "n_resamples": n_resamples, "seed": seed}
    error_low, error_high = mean_interval(last_y, **options)  # type: ignore[arg-type]
    # Below about a basis point the floored metric, below a page the page size hide the approach.
    shrink = contraction(y, target, max(2.0, 2e4 / n_pages), confidence)
    settled = settling_windows(y, target, band, hold_windows)
    residual = float(last_moved.mean())
    result: dict[str, Any] = {
        "settling_windows": settled,
        "quiescence_windows": quiescence_windows(moved),
        "overshoot_bp": over,
        "overshoot_share": over / start_distance if start_distance > 0 else math.nan,
        "steady_state_error_bp": float(last_y.mean()) - target,
        "steady_state_error_ci_bp": (error_low - target, error_high - target),
        "residual_pages_per_window": residual,
        "residual_ci_pages_per_window": rate_interval(last_moved, **options),
        "residual_per_page_per_window": residual / n_pages,
        "ping_pong": math.nan if ping_pong is None else float(ping_pong(within)),
        "waste_ratio": waste_ratio(moves_per_page, x),
        "moves_per_page": moves_per_page,
        "excess_moves_per_page": moves_per_page - 0.5 * float(np.abs(x[-1] - x[0]).sum()),
        "limit_cycle_period_windows": limit_cycle_period(last_y),
        "limit_cycle_amplitude_bp": float(np.ptp(last_y)) / 2,
        "contraction_factor": shrink.factor,
        "contraction_ci": (shrink.low, shrink.high),
        "mean_abs_error_bp": float(np.abs(last_y - target).mean()),
        "target_bp": target,
        "band_bp": band,
        "tail_windows": tail,
    }
    if window_s is not None:
        result["settling_s"] = settled * window_s
        result["quiescence_s"] = result["quiescence_windows"] * window_s
        result["residual_pages_per_s"] = residual / window_s
    return result


def measures(
    ds: xr.Dataset, *, target_bp: float | None = None, band_bp: float | None = None, node: int | None = None, **options: Any
) -> dict[str, Any]:
    """Return the stability measures of a run.

    Parameters
    ----------
    ds : xarray.Dataset
        A loop, a loop pair, an interleave run, or a page-level simulation.
    target_bp : float, optional
        Reference in basis points. None: the goal in force in the run (the clamped goal of a loop, the nearest point of
        a pair's dead band, the weight's share of an interleave run).
    band_bp : float, optional
        Half width of the band that counts as settled. None: 2 % of the reference.
    node : int, optional
        Goal node of an interleave run or a simulation; by default that of the run's goal, 0 where `target_bp` is given.
    **options : Any
        within, window_s, hold_windows, tail_windows, confidence, n_resamples, seed of `measure`.

    Returns
    -------
    dict
        See `measure`. ``ping_pong`` of a loop is the expectation for uniformly picked pages, so 0 for one scheme
        without leak.

    Raises
    ------
    InputError
        When the dataset's kind is unknown, no reference is known, or an option is outside its bounds.

    Notes
    -----
    Source: docs/theory/stability.md, section 4.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.loop.run("temporal", 4000, 1_000_000, 0, cap_bytes=100 << 20)
    >>> numbers = tm.analysis.measures(ds)
    >>> numbers["quiescence_windows"], numbers["overshoot_bp"], numbers["moves_per_page"]
    (16.0, 96.0, 0.4096)
    """
    _, view, reference = judged_by(ds, node, target_bp)
    return measured(view, reference, band_bp=band_bp, **options)


def measured(view: Series, reference_bp: float, *, band_bp: float | None = None, **options: Any) -> dict[str, Any]:
    """Return `measure` of what a run is judged by, with `judged_by`'s reference."""
    options.setdefault("window_s", view.window_s)
    return measure(
        view.y_bp,
        view.moved,
        view.n_pages,
        view.x,
        target_bp=reference_bp,
        band_bp=band_bp,
        ping_pong=view.ping_pong,
        **options,
    )
