"""Let a source watch a workload, and keep what it learns page by page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from ..checks import instance
from ..errors import InputError
from .protocol import Activity, Floats, HotnessSource, Ints, Reports, check_reports


class Watched(NamedTuple):
    """What a source made of a workload.

    Attributes
    ----------
    rate_hz : ndarray of float64, shape (n_pages,)
        Its belief: reported touches per second, older ones at the weight that the half-life leaves.
    first_us : ndarray of int64, shape (n_pages,)
        When a page was first reported, in microseconds since the start; -1 never.
    last_us : ndarray of int64, shape (n_pages,)
        When a page was last reported; -1 never.
    duration_us : int
        Time watched.
    cost_ns : float
        CPU time taken.
    reports, lost : int
        Reports delivered and lost.
    covered : float
        Mean share of pages looked at.
    """

    rate_hz: Floats
    first_us: Ints
    last_us: Ints
    duration_us: int
    cost_ns: float
    reports: int
    lost: int
    covered: float

    @property
    def cpu_share(self) -> float:
        """CPU time taken over time watched."""
        return self.cost_ns / (self.duration_us * 1e3)


def per_page(reports: Reports, weight: Floats, n_pages: int) -> Floats:
    """Add up a weight per report on every page that the report covers.

    Parameters
    ----------
    reports : Reports
        Rows to add.
    weight : ndarray of float64, shape (n_reports,)
        What each row adds to each of its pages.
    n_pages : int
        Length of the result.

    Returns
    -------
    ndarray of float64, shape (n_pages,)
    """
    one = reports.pages == 1
    out = np.bincount(reports.first[one], weights=weight[one], minlength=n_pages).astype(np.float64)
    # Run by run: a sum of steps would be off by rounding behind every run.
    for k in np.flatnonzero(~one).tolist():
        out[reports.first[k] : reports.first[k] + reports.pages[k]] += weight[k]
    return out


def watch(source: HotnessSource, intervals: Iterable[Activity], *, seed: int = 0, half_life_s: float = float("inf")) -> Watched:
    """Run a source over a workload.

    Parameters
    ----------
    source : HotnessSource
        A fresh one; it is used up.
    intervals : iterable of Activity
        In order and without gaps, as `activities` yields them.
    seed : int
        Everything random follows from it.
    half_life_s : float
        Age at which a report counts half; inf weighs the whole time alike.

    Returns
    -------
    Watched

    Raises
    ------
    InputError
        If intervals leave gaps or change their number of pages, or the source returns something malformed.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> truth = tm.hotness.activity([100.0] * 64 + [0.1] * 960)
    >>> seen = tm.hotness.watch(tm.hotness.source("accessed_bits"), tm.hotness.activities(truth, "3 s"))
    >>> bool(seen.rate_hz[:64].mean() > seen.rate_hz[64:].mean())
    True
    """
    if not half_life_s > 0:
        raise InputError("half_life_s", f"{half_life_s} is not positive", "write seconds, or inf")
    if not isinstance(intervals, Iterable):
        raise InputError("intervals", f"a {type(intervals).__name__} is no list of intervals", "take them from activities")
    rng = np.random.default_rng(seed)
    touches, weight_s = np.zeros(0), 0.0
    first_us = last_us = np.zeros(0, np.int64)
    begin_us = now_us = -1
    cost_ns, n_reports, lost, covered = 0.0, 0, 0, 0.0
    for part in intervals:
        instance("intervals", part, Activity, "take them from activities")
        if now_us < 0:
            begin_us = part.start_us
            touches = np.zeros(part.n_pages)
            first_us, last_us = np.full(part.n_pages, -1), np.full(part.n_pages, -1)
        elif part.start_us != now_us or part.n_pages != touches.size:
            raise InputError("intervals", f"leave a gap at {now_us} us or change their pages", "take them from activities")
        now_us = part.end_us
        reports = check_reports(source.observe(part, rng), part.n_pages)
        age_s = np.maximum(now_us - reports.time_us, 0) * 1e-6
        kept = 0.5 ** (part.length_us * 1e-6 / half_life_s)
        touches = touches * kept + per_page(reports, reports.touches * 0.5 ** (age_s / half_life_s), part.n_pages)
        rate = np.log(2) / half_life_s
        length_s = part.length_us * 1e-6
        weight_s = weight_s * kept + (-np.expm1(-rate * length_s) / rate if rate else length_s)
        _note(first_us, last_us, reports, reports.time_us - begin_us)
        cost_ns += reports.cost_ns
        n_reports, lost = n_reports + reports.first.size, lost + reports.lost
        covered += reports.covered * part.length_us
    if begin_us < 0:
        raise InputError("intervals", "there are none", "give at least one interval")
    duration_us = now_us - begin_us
    return Watched(touches / weight_s, first_us, last_us, duration_us, cost_ns, n_reports, lost, covered / duration_us)


def _note(first_us: Ints, last_us: Ints, reports: Reports, time_us: Ints) -> None:
    """Keep the earliest and latest report of each page. Of repeated indices the last assignment stays."""
    one = reports.pages == 1
    order = np.argsort(time_us[one], kind="stable")
    page, at = reports.first[one][order], time_us[one][order]
    last_us[page] = np.maximum(last_us[page], at)
    page, at = page[::-1], at[::-1]
    first_us[page] = np.where(first_us[page] < 0, at, np.minimum(first_us[page], at))
    for k in np.flatnonzero(~one).tolist():
        run, now = slice(reports.first[k], reports.first[k] + reports.pages[k]), time_us[k]
        np.maximum(last_us[run], now, out=last_us[run])
        first_us[run] = np.where(first_us[run] < 0, now, np.minimum(first_us[run], now))
