"""What theory says a loop will do, without running it (docs/theory/stability.md, section 3)."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..errors import InputError
from ..units import PAGE_SZ, ULONG_MAX


def _positive(**counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise InputError(name, f"{value} is not a positive count", "give 1 or more")


def mirror_potential(s: float) -> float:
    """Return G(s) = -(1 - s) ln(1 - s) - s for a relative distance s = share / target - 1 in [-1, 1] (section 3b).

    Parameters
    ----------
    s : float
        Relative distance, -1 … 1.

    Returns
    -------
    float
        The potential; 0 at the goal.

    Raises
    ------
    InputError
        When `s` is outside [-1, 1].

    Examples
    --------
    >>> from tieringmodel.theory.closed_forms import mirror_potential
    >>> round(mirror_potential(0.5), 4)
    -0.1534
    """
    if not -1.0 <= s <= 1.0:
        raise InputError("s", f"{s!r} is outside [-1, 1]", "give share / target - 1")
    return -s if s == 1.0 else -(1.0 - s) * math.log1p(-s) - s


def mirror_overshoot(z0: float) -> float:
    """Return the relative overshoot z_f in (0, -z0) at which CONSIST without stop rests: G(z_f) = G(z0) (section 3b).

    Parameters
    ----------
    z0 : float
        Relative start, share / target - 1, in [-1, 0].

    Returns
    -------
    float
        Relative end point; exact for a cold start up to terms below 1e-5, when neither node size nor cap interferes.

    Raises
    ------
    InputError
        When `z0` is outside [-1, 0].

    Examples
    --------
    >>> from tieringmodel.theory.closed_forms import mirror_overshoot
    >>> round(mirror_overshoot(-1.0), 6)
    0.737417
    """
    from scipy.optimize import brentq

    if not -1.0 <= z0 <= 0.0:
        raise InputError("z0", f"{z0!r} is outside [-1, 0]", "CONSIST acts only from below its goal")
    if z0 > -1e-6:
        return -z0 - z0 * z0 / 3
    level = mirror_potential(z0)
    root: float = brentq(lambda s: mirror_potential(s) - level, 1e-9, -z0, xtol=1e-15)
    return root


def consist_end_bp(target_bp: float, start_bp: float) -> float:
    """Return where CONSIST without cap, leak, delay and stop rests, in bp: everything (10000) or G's mirror point.

    Parameters
    ----------
    target_bp, start_bp : float
        Goal, and share at the start, in basis points.

    Returns
    -------
    float
        Share at the end in basis points; the start, if that is at or above the goal.

    Examples
    --------
    >>> from tieringmodel.theory.closed_forms import consist_end_bp
    >>> round(consist_end_bp(4000, 0), 1)
    6949.7
    """
    if start_bp >= target_bp:
        return float(start_bp)
    return min(10_000.0, target_bp * (1.0 + mirror_overshoot(start_bp / target_bp - 1.0)))


def stop_overshoot_bound(a: float) -> float:
    """Return B(a) = (1 + a) ln(1 + a) - a, the bound of the relative overshoot of CONSIST with early exit (section 3c).

    Parameters
    ----------
    a : float
        Relative distance of a cold start below the goal, in [0, 1].

    Returns
    -------
    float
        Largest overshoot over the goal.

    Raises
    ------
    InputError
        When `a` is outside [0, 1].

    Examples
    --------
    >>> from tieringmodel.theory.closed_forms import stop_overshoot_bound
    >>> round(stop_overshoot_bound(1.0), 3)
    0.386
    """
    if not 0.0 <= a <= 1.0:
        raise InputError("a", f"{a!r} is outside [0, 1]", "give 1 - share / target of the start")
    return (1.0 + a) * math.log1p(a) - a


class TemporalStop(NamedTuple):
    """Where TEMPORAL stops on static memory."""

    active_windows: int
    """Windows in which pages move."""
    final_pages: int
    """Pages on the goal node for ever after."""
    overshoot_bound_pages: int
    """Pages by which the end can lie above the goal, exclusive: (delay + 1) caps."""


def temporal_stop(n_pages: int, start_pages: int, target_bp: int, cap_pages: int, delay: int = 0) -> TemporalStop:
    """Return the exact end of a TEMPORAL run with a cap, without leak and noise (section 3a).

    Parameters
    ----------
    n_pages, start_pages : int
        Eligible pages, and how many of them start on the goal node.
    target_bp : int
        Goal in basis points.
    cap_pages : int
        Whole pages per window that the cap allows.
    delay : int
        Windows between a move and its appearance in the metric.

    Returns
    -------
    TemporalStop
        Exact integers.

    Raises
    ------
    InputError
        When a count is below 1.

    Examples
    --------
    >>> from tieringmodel.theory.closed_forms import temporal_stop
    >>> temporal_stop(1_000_000, 0, 4000, 25_600, delay=1).final_pages
    435200
    """
    _positive(n_pages=n_pages, target_bp=target_bp, cap_pages=cap_pages)
    missing = -(-target_bp * n_pages // 10_000) - start_pages
    if missing <= 0:
        return TemporalStop(0, start_pages, (delay + 1) * cap_pages)
    calls = -(-missing // cap_pages) + delay
    final = min(n_pages, start_pages + cap_pages * calls)
    return TemporalStop(min(calls, -(-(n_pages - start_pages) // cap_pages)), final, (delay + 1) * cap_pages)


class RelayCycle(NamedTuple):
    """Permanent switching of TEMPORAL against a constant leak."""

    period_windows: float
    """Mean windows from one switch-on to the next."""
    exact_period_windows: int
    """Windows after which the page count repeats exactly (without delay)."""
    duty: float
    """Share of windows in which the scheme moves."""
    low_pages: float
    """Lowest page count at a window's start (inclusive)."""
    high_pages: float
    """Bound of the highest page count at a window's start (exclusive)."""
    mean_pages: float
    """Mean page count at window starts (without delay; nan with one)."""


def relay_cycle(goal_pages: int, cap_pages: int, leak_pages: int, delay: int = 0, start_pages: int = 0) -> RelayCycle:
    """Return the limit cycle of TEMPORAL with a cap against a smaller constant leak (section 3a).

    Parameters
    ----------
    goal_pages : int
        Fewest pages at which the measured share meets the goal.
    cap_pages, leak_pages : int
        Pages per window in and out; 0 < leak_pages < cap_pages, and with a delay leak / cap <= 1 / (delay + 2).
    delay : int
        Windows between a move and its appearance in the metric.
    start_pages : int
        Start: only its remainder by gcd(cap, leak) matters, which decides the values that are visited.

    Returns
    -------
    RelayCycle
        Without delay exact; with one, period, duty and bounds.

    Raises
    ------
    InputError
        When a count is below 1, or the leak too large for cap and delay.

    Examples
    --------
    >>> from tieringmodel.theory.closed_forms import relay_cycle
    >>> relay_cycle(400_000, 20_000, 5_000).period_windows
    4.0
    """
    _positive(goal_pages=goal_pages, cap_pages=cap_pages, leak_pages=leak_pages)
    if leak_pages >= cap_pages or (delay and leak_pages * (delay + 2) > cap_pages):
        raise InputError(
            "leak_pages",
            f"{leak_pages} is too large for a cap of {cap_pages} and a delay of {delay}",
            "keep it under the cap, and with a delay under cap / (delay + 2)",
        )
    common = math.gcd(cap_pages, leak_pages)
    low, high = goal_pages - (delay + 1) * leak_pages, goal_pages + (delay + 1) * (cap_pages - leak_pages)
    mean = math.nan if delay else low + (start_pages - low) % common + (cap_pages - common) / 2
    return RelayCycle((delay + 1) * cap_pages / leak_pages, cap_pages // common, leak_pages / cap_pages, low, high, mean)


def first_page_window(score: int, esz_bp0: int = 0) -> float:
    """Return the window in which CONSIST's quota first holds a page while the score stays as it is; inf for never.

    Parameters
    ----------
    score : int
        Constant score, 10000 = achieved.
    esz_bp0 : int
        Tuner state before window 0 in 1/10000 bytes.

    Returns
    -------
    float
        Windows count from 0; inf when the quota does not grow that far.

    Notes
    -----
    Exact, by the tuner itself; close to ln(4096) / ln(2 - score / 10000) - 1 from a cold start (section 3b).

    Examples
    --------
    >>> from tieringmodel.theory.closed_forms import first_page_window
    >>> first_page_window(0)
    11
    """
    import numpy as np

    from ..kernels.tuner import consist_esz_bp

    state, fixed = np.uint64(esz_bp0), np.uint64(score)
    window = 0
    while True:
        following = np.uint64(consist_esz_bp(state, fixed))
        if following >= PAGE_SZ * 10_000:
            return window
        if following <= state:
            return math.inf
        state, window = following, window + 1


def crossing_windows(missing_pages: float, score: float) -> float:
    """Return an estimate of the window at whose start CONSIST crosses its goal from a cold start (section 3b).

    With a constant growth g = 2 - score / 10000 from one byte, the windows' sum reaches the missing bytes after
    ln(missing (1 - 1/g)) / ln g windows; the growth falls on the way, so the estimate is a little low.

    Parameters
    ----------
    missing_pages : float
        Pages missing at the goal.
    score : float
        Score at the start, 10000 = achieved.

    Returns
    -------
    float
        Windows; inf when the quota does not grow.

    Examples
    --------
    >>> from tieringmodel.theory.closed_forms import crossing_windows
    >>> round(crossing_windows(400_000, 0), 1)
    29.6
    """
    growth = 2.0 - score / 10_000
    if growth <= 1.0:
        return math.inf
    return max(0.0, math.log(max(1.0, missing_pages * PAGE_SZ * (1.0 - 1.0 / growth))) / math.log(growth))


def windup_growth(reach_bp: int, target_bp: int) -> float:
    """Return CONSIST's quota growth per window while the share is stuck at `reach_bp` (section 3e, floored score).

    Parameters
    ----------
    reach_bp : int
        Largest share that the node can come to, in basis points.
    target_bp : int
        Goal in basis points.

    Returns
    -------
    float
        Factor per window, 0 … 2.

    Raises
    ------
    InputError
        When the goal is below 1.

    Examples
    --------
    >>> from tieringmodel.theory.closed_forms import windup_growth
    >>> windup_growth(4000, 5000)
    1.2
    """
    _positive(target_bp=target_bp)
    return 2.0 - min(20_000, reach_bp * 10_000 // target_bp) / 10_000


def windup_windows(esz_bytes: float, reach_bp: int, target_bp: int) -> float:
    """Return the windows CONSIST needs from `esz_bytes` to the largest state there is; inf when it does not grow.

    Parameters
    ----------
    esz_bytes : float
        Quota at the beginning, in bytes.
    reach_bp, target_bp : int
        As for `windup_growth`.

    Returns
    -------
    float
        Windows until the state is 2**64 - 1.

    Examples
    --------
    >>> from tieringmodel.theory.closed_forms import windup_windows
    >>> round(windup_windows(1 << 20, 4000, 5000))
    117
    """
    growth = windup_growth(reach_bp, target_bp)
    return math.log(ULONG_MAX / 10_000 / esz_bytes) / math.log(growth) if growth > 1.0 else math.inf


class PushPull(NamedTuple):
    """Two TEMPORAL schemes with a goal each."""

    residual_pages_per_window: int
    """Pages moved per window for ever."""
    low_bp: float
    """Node 0's share is pinned at or above this (less one cap)."""
    high_bp: float
    """Node 0's share is pinned at or below this (plus one cap)."""


def push_pull(targets_bp: tuple[int, int], caps_pages: tuple[int, int]) -> PushPull:
    """Return what two TEMPORAL schemes with goals on node 0 and node 1 come to (section 3f).

    Goals that add up to less than 10000 leave a dead band in which nothing moves. Beyond that both can never be met:
    pages are swapped for ever, and the scheme with the larger cap holds its own goal. Either way the distance between
    the two goals' shares must be wider than the caps, or a single window crosses it.

    Parameters
    ----------
    targets_bp : pair of int
        Goals of the scheme into node 0 and of that into node 1, in basis points.
    caps_pages : pair of int
        Pages per window of each.

    Returns
    -------
    PushPull
        Residual, and where node 0's share is held.

    Examples
    --------
    >>> from tieringmodel.theory.closed_forms import push_pull
    >>> push_pull((6000, 5000), (20_000, 10_000))
    PushPull(residual_pages_per_window=20000, low_bp=6000.0, high_bp=6000.0)
    """
    low, high = float(targets_bp[0]), 10_000.0 - targets_bp[1]
    if low <= high:
        return PushPull(0, low, high)
    residual = 2 * min(caps_pages)
    if caps_pages[0] > caps_pages[1]:
        return PushPull(residual, low, low)
    if caps_pages[0] < caps_pages[1]:
        return PushPull(residual, high, high)
    return PushPull(residual, high, low)
