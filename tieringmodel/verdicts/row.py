"""One row of a table: the numbers by which policies and points of a sweep are compared, beside their verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .goal_course import FULL_BP
from .judge import verdict
from .record import Verdict
from .rest import EIGHTHS, inside_since, leaves, rate_has_trend, rest_of, share_has_trend
from .run_view import moved_pages, reading_window_s
from .thresholds import RunThresholds

if TYPE_CHECKING:
    import xarray as xr

Floats = npt.NDArray[np.float64]
NOT_IN_KERNEL = "not in this kernel"
"""The kind of a row whose policy was not run, for the kernel lacks what it takes."""
WITHIN = 10
"""Windows within which a page that returns counts as bounced."""


@dataclass(frozen=True)
class Row:
    """One row of the comparison table; see `tieringmodel.compare` for the columns."""

    settled: bool
    settling_s: float
    share_error_bp: float
    residual_mib_s: float
    ping_pong: float
    moves_per_page: float
    kind: str
    cause: str
    fix: str = ""


def row_not_run(feature: str, since: str) -> Row:
    """Return the row of a policy that the kernel cannot run, for it lacks a feature that came with a release."""
    nothing = (math.nan,) * 5
    return Row(False, *nothing, kind=NOT_IN_KERNEL, cause=f"{NOT_IN_KERNEL}, first in {since}: {feature}")


def ping_pong_ratio(returns: npt.NDArray[np.int64] | None, moved: npt.NDArray[np.int64], within: int) -> float:
    """Return the share of moves after which the page was back within that many windows; nan if not known or no moves.

    Moves too close to the end for a return to be seen count as moves all the same, so the ratio is a lower bound.
    """
    if returns is None or (returns < 0).any() or not moved.sum():
        return 0.0 if returns is not None and not moved.sum() else float("nan")
    return float(returns[:, : within + 1].sum() / moved.sum())


def band_of(target_bp: float, limits: RunThresholds) -> float:
    """Return how far a share may be from its target, bp."""
    return min(limits.band_bp, max(min(target_bp, FULL_BP - target_bp) / 2, 1.0))


def row_of(ds: xr.Dataset, share_bp: Floats, n_pages: float, target_bp: float, found: Verdict | None = None) -> Row:
    """Return the row of a page-level run.

    Parameters
    ----------
    ds : xarray.Dataset
        From `tieringmodel.simulate`.
    share_bp : ndarray of float64, shape (n_records,)
        The share that all rows are compared by.
    n_pages : float
        Pages that moves are set in relation to.
    target_bp : float
        Where that share shall be.
    found : Verdict, optional
        The verdict on the run, if it is known.

    Returns
    -------
    Row
        ``settled``: within the band of the target from the first two thirds on to the end, and at rest in the last third.
        Kind and cause are the verdict's. Error and rate are means over its tail.
    """
    found = verdict(ds) if found is None else found
    limits = RunThresholds()
    time, tail_s = ds["time"].values, float(found.numbers["tail_s"])
    inside = np.abs(share_bp - target_bp) <= band_of(target_bp, limits) + 1e-9
    since = inside_since(time, inside)
    moved = moved_pages(ds)
    late = share_bp[time >= tail_s - 1e-9]
    known = late[~np.isnan(late)]
    end_s = float(time[-1])
    windows = max(end_s / 3 / reading_window_s(ds), 1.0)
    quiet = float(moved[time > 2 * end_s / 3].sum()) <= limits.residual_per_page * max(n_pages, 1.0) * windows
    return Row(
        settled=since is not None and since <= 2 * end_s / 3 and quiet,
        settling_s=math.inf if since is None else since,
        share_error_bp=float(known.mean() - target_bp) if known.size else math.nan,
        residual_mib_s=found.residual_mib_s,
        ping_pong=ping_pong_ratio(ds["returns"].values, moved, WITHIN),
        moves_per_page=float(moved.sum()) / max(n_pages, 1.0),
        kind=found.kind,
        cause=found.cause,
        fix=str(found.fix) if found.fix else "",
    )


def row_of_recording(
    time: Floats, share_bp: Floats, moved: Floats, *, n_pages: float, target_bp: float, page_mib: float
) -> Row:
    """Return the row of a recorded kernel, of which share and migration are known and no counters.

    Parameters
    ----------
    time, share_bp, moved : ndarray of float64, shape (n,)
        Seconds, controlled share, pages migrated since the row before.
    n_pages, target_bp : float
        As in `row_of`.
    page_mib : float
        Size of a page.

    Returns
    -------
    Row
        Its cause says what was measured, for nothing more is known.
    """
    limits, window_s, end_s = RunThresholds(), max(float(np.median(np.diff(time))), 1.0), float(time[-1])
    rest = rest_of(time, moved, 0.0, window_s, n_pages, limits)
    band = band_of(target_bp, limits)
    tail_s = end_s - (max(limits.silence_share * end_s, 10 * window_s) if rest.at_rest else limits.tail_share * end_s)
    late = time >= tail_s
    y = share_bp[late & ~np.isnan(share_bp)]
    since = inside_since(time, np.abs(share_bp - target_bp) <= band)
    low, high = target_bp - band, target_bp + band
    rate = float(moved[time > tail_s].sum()) * page_mib / max(end_s - tail_s, 1e-9)
    if rest.at_rest:
        kind = "converged" if since is not None else "wrong-point" if moved.any() else "stuck"
    elif (
        (end_s - tail_s) / window_s < EIGHTHS
        or rate_has_trend(time, moved, tail_s, limits)
        or share_has_trend(time, share_bp, tail_s, limits.trend_bp, limits)
    ):
        kind = "unfinished"
    else:
        kind = "limit-cycle" if leaves(y, low, high) >= limits.excursions or since is None else "ripple"
    swing = f"between {y.min():.0f} and {y.max():.0f} bp" if y.size else "not known"
    return Row(
        settled=since is not None and rest.at_rest,
        settling_s=math.inf if since is None else since,
        share_error_bp=float(y.mean() - target_bp) if y.size else math.nan,
        residual_mib_s=rate,
        ping_pong=math.nan,
        moves_per_page=float(moved.sum()) / max(n_pages, 1.0),
        kind=kind,
        cause=f"measured: the share was {swing} in the last {end_s - tail_s:.0f} s; a recording has no counters of schemes",
    )
