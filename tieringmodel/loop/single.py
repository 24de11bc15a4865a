"""What a tuner does to one page count, window by window: one scheme with one goal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..checks import choice, flag
from ..kernels import loop as kernels
from ..scenario.tuners import SHIPPED, next_state, tuner_names
from . import arguments as check
from .record import dataset

if TYPE_CHECKING:
    import xarray as xr

BYTES_OF_A_WINDOW = 8 * 8
"""Six variables, the coordinate and its index."""


def run(
    tuner: str,
    target_bp: int,
    n_pages: int,
    start_pages: int,
    *,
    cap_bytes: int | None = None,
    delay: int = 0,
    leak_pages: int = 0,
    leak_rate: float = 0.0,
    capacity_pages: int | None = None,
    clamp_bp: int | None = None,
    early_exit: bool = False,
    noise_bp: float = 0.0,
    direction: str = "in",
    windows: int = 400,
    esz_bp0: int = 0,
    seed: int = 0,
) -> xr.Dataset:
    """Run the exact integer control loop on one page count per quota window.

    In window k the tuner sees the floored share of the goal node at the start of window ``max(0, k - delay)``, sets the
    quota from it, and the scheme moves whole 4096-byte pages while quota and room last; then the leak leaves.

    Parameters
    ----------
    tuner : str
        The quota-goal tuner, ``"consist"`` or ``"temporal"`` (docs/theory/damon.md, sections f.5 and f.6), or one's own by the
        name that `register_tuner` was given.
    target_bp : int
        Goal, share of the eligible pages that should be on the goal node, in basis points (1..10000).
    n_pages : int
        Eligible pages on both nodes together.
    start_pages : int
        Pages on the goal node before window 0.
    cap_bytes : int, optional
        Size quota per window in bytes; it bounds the quota, never the tuner's state. None: no cap. Linux reads a size
        of 0 as no cap, so 0 is refused here as ambiguous.
    delay : int
        Windows between a move and its appearance in the metric.
    leak_pages : int
        Pages that leave the goal node by themselves per window.
    leak_rate : float
        Share of the pages on the goal node at the window's start that leaves per window, rounded down, on top of
        `leak_pages`; both come after the move.
    capacity_pages : int, optional
        Most pages the goal node can hold; only for direction "in". None: all of them.
    clamp_bp : int, optional
        Upper bound of the goal that tuner and stop rule use. None: no clamp.
    early_exit : bool
        Do not move in a window whose measured share already meets the goal ("in": at or above it, "out": at or below).
        The tuner still runs.
    noise_bp : float
        Standard deviation of the measurement noise in basis points. Window k's draw is a standard normal by Box-Muller
        on counter-based bits of (seed, k), scaled, rounded half to even, added, and the sum clipped to 0..10000.
    direction : {"in", "out"}
        Whether the scheme moves pages into the goal's node or out of it.
    windows : int
        Number of quota windows.
    esz_bp0 : int
        Tuner state before window 0 in 1/10000 bytes (unsigned 64 bits).
    seed : int
        Seed of the measurement noise.

    Returns
    -------
    xarray.Dataset
        ``kind`` "loop". Over ``window``: pages (int64, at the window's start), moved (int64), leaked (int64), esz
        (uint64, bytes), measured (int64, bp), score (int64, 10000 = achieved). Scalar: final_pages (int64).

    Raises
    ------
    InputError
        When an argument is of the wrong kind or outside its bounds.

    Notes
    -----
    Source: docs/theory/stability.md, section 0 for the order inside a window; docs/theory/damon.md, sections f.3 to f.6 for
    score and tuners.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.loop.run("temporal", 4000, 1_000_000, 0, cap_bytes=100 << 20)
    >>> int(ds.final_pages)
    409600
    """
    choice("tuner", tuner, tuner_names())
    inward = choice("direction", direction, ("in", "out")) == "in"
    check.capacity_has_meaning(capacity_pages is not None, inward)
    target, pages_total = check.whole("target_bp", target_bp), check.whole("n_pages", n_pages)
    start, capacity = check.whole("start_pages", start_pages), check.limit("capacity_pages", capacity_pages)
    check.start_fits(start, pages_total, capacity, inward)
    cap, clamp = check.limit("cap_bytes", cap_bytes), check.limit("clamp_bp", clamp_bp)
    lag, leak, rate = (
        check.whole("delay", delay),
        check.whole("leak_pages", leak_pages),
        check.real("leak_rate", leak_rate),
    )
    stop, noise = flag("early_exit", early_exit), check.real("noise_bp", noise_bp)
    length, state, key = check.whole("windows", windows), check.whole("esz_bp0", esz_bp0), check.whole("seed", seed)
    check.length_fits(length, BYTES_OF_A_WINDOW)

    pages, moved, leaked, measured, score = (np.empty(length, np.int64) for _ in range(5))
    esz = np.empty(length, np.uint64)
    if tuner not in SHIPPED:
        final = _traced(
            tuner,
            min(target, clamp),
            pages_total,
            start,
            cap,
            min(capacity, pages_total),
            (inward, stop),
            lag,
            (leak, rate),
            (noise, key),
            state,
            (pages, moved, leaked, esz, measured, score),
        )
    else:
        final = kernels.trace(
            tuner == "consist",
            np.uint64(min(target, clamp)),
            pages_total,
            start,
            np.uint64(cap),
            min(capacity, pages_total),
            inward,
            stop,
            lag,
            leak,
            rate,
            noise,
            np.uint64(key),
            np.uint64(state),
            pages,
            moved,
            leaked,
            esz,
            measured,
            score,
        )
    over_windows = ("window",)
    return dataset(
        "loop",
        {
            "tuner": tuner,
            "target_bp": target,
            "n_pages": pages_total,
            "start_pages": start,
            "cap_bytes": None if cap_bytes is None else cap,
            "delay": lag,
            "leak_pages": leak,
            "leak_rate": rate,
            "capacity_pages": None if capacity_pages is None else capacity,
            "clamp_bp": None if clamp_bp is None else clamp,
            "early_exit": stop,
            "noise_bp": noise,
            "direction": direction,
            "windows": length,
            "esz_bp0": state,
            "seed": key,
        },
        {
            "pages": (over_windows, pages),
            "moved": (over_windows, moved),
            "leaked": (over_windows, leaked),
            "esz": (over_windows, esz),
            "measured": (over_windows, measured),
            "score": (over_windows, score),
            "final_pages": ((), np.int64(final)),
        },
        {"window": np.arange(length)},
    )


def _traced(
    tuner: str,
    goal_bp: int,
    n_pages: int,
    n: int,
    cap: int,
    ceiling: int,
    ways: tuple[bool, bool],
    delay: int,
    leak: tuple[int, float],
    noise: tuple[float, int],
    esz_bp: int,
    out: tuple[npt.NDArray[Any], ...],
) -> int:
    """Fill the traces of one run with a tuner of one's own: `kernels.loop.trace`, but that Python is asked in each window."""
    pages, goal = out[0], np.uint64(goal_bp)
    for k in range(pages.size):
        pages[k] = n
        cur = int(kernels.measured(np.int64(pages[max(k - delay, 0)]), n_pages, noise[0], np.uint64(noise[1]), k))
        score = cur * 10_000 // goal_bp
        esz_bp = next_state(tuner, score, esz_bp, f" in window {k}")
        esz = min(esz_bp // 10_000, cap)
        n, moved, leaked = kernels.after_window(n, np.uint64(cur), np.uint64(esz), goal, ceiling, *ways, *leak)
        for row, value in zip(out[1:], (moved, leaked, esz, cur, score), strict=True):
            row[k] = value
    return n
