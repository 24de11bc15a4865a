"""What a workload asks of memory, and which of its pages are hot: the truth that a monitor tries to find."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..checks import instance
from ..errors import InputError
from ..scenario import Scenario, Workload
from ..units import FOREVER, parse_us
from . import arguments as check


def _moment(accesses: Workload | Scenario, at_us: int | str, where: str) -> tuple[Workload, int, int]:
    """Return the workload, the tick at `at_us` and a tick's length."""
    if not isinstance(accesses, Scenario):
        instance(f"{where}.workload", accesses, Workload, "pass a workload or a scenario")
    workload = accesses.timed_workload if isinstance(accesses, Scenario) else accesses
    time_us, tick_us = parse_us(at_us, f"{where}.at_us"), accesses.tick_us
    for i, g in enumerate(workload.groups) if tick_us is None else ():
        if g.kind != "rate" or (time_us and (g.start_tick, g.end_tick) != (0, FOREVER)):
            text = f"has no tick_us, on which groups[{i}] depends"
            raise InputError(f"{where}.workload", text, "pass the scenario, or write workload.tick_us")
    return workload, time_us // (tick_us or check.TICK_US), tick_us or check.TICK_US


def page_rates(workload: Workload, tick: int, tick_us: int) -> npt.NDArray[np.float64]:
    """Return the expected touches per second of every logical page around a tick, float64 (n_pages,)."""
    out = np.zeros(workload.n_pages)
    for g in workload.groups:
        if g.start_tick <= tick < g.end_tick:
            out[g.lo : g.hi : g.touched().step] += g.touch_rate_hz(tick_us)
    return out


def touched_pages(workload: Workload) -> int:
    """Return how many pages belong to groups that touch any at any time.

    Pages that a stride leaves out count, as in a run's ``class_pages``: they are regions' pages and move with the others.
    """
    touched = np.zeros(workload.n_pages, np.bool_)
    for g in workload.groups:
        touched[g.lo : g.hi] |= g.touch_rate_hz(1) > 0
    return int(touched.sum())


def access_rate_hz(workload: Workload | Scenario, at_us: int | str = 0) -> float:
    """Return the accesses per second to all pages together.

    Parameters
    ----------
    workload : Workload or Scenario
        Whose accesses; touches in different groups add up. A workload without ``tick_us`` takes its tick from the contexts
        of its scenario; where rates depend on that, pass the scenario.
    at_us : int or str
        Simulated time in microseconds, or text with a unit.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If the rate depends on the tick and a workload without ``tick_us`` is given.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.workload.access_rate_hz(tm.workload.uniform(1000, rate_hz=2))
    2000.0
    """
    found, tick, tick_us = _moment(workload, at_us, "access_rate_hz")
    here = (g for g in found.groups if g.start_tick <= tick < g.end_tick)
    return math.fsum(g.touch_rate_hz(tick_us) * len(g.touched()) for g in here)


def page_rate_hz(workload: Workload | Scenario, at_us: int | str = 0) -> npt.NDArray[np.float64]:
    """Return the expected touches per second of every logical page, float64 (n_pages,).

    Parameters
    ----------
    workload : Workload or Scenario
        Whose pages. A workload without ``tick_us`` takes its tick from the contexts of its scenario; where rates depend on
        that, pass the scenario.
    at_us : int or str
        Simulated time in microseconds, or text with a unit.

    Returns
    -------
    ndarray of float64, shape (n_pages,)

    Raises
    ------
    InputError
        If a rate depends on the tick and a workload without ``tick_us`` is given.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.workload.page_rate_hz(tm.workload.uniform(4, rate_hz=2, hot_pages=2)).tolist()
    [2.0, 2.0, 0.0, 0.0]
    """
    return page_rates(*_moment(workload, at_us, "page_rate_hz"))


def hot_set(
    workload: Workload | Scenario,
    at_us: int | str = 0,
    *,
    min_rate_hz: float | None = None,
    n_pages: int | None = None,
    access_share: float | None = None,
) -> npt.NDArray[np.bool_]:
    """Return which logical pages are truly hot, bool (n_pages,), by exactly one of three yardsticks.

    Parameters
    ----------
    workload : Workload or Scenario
        Whose pages; see `page_rate_hz`.
    at_us : int or str
        Simulated time in microseconds, or text with a unit.
    min_rate_hz : float, optional
        Pages that are touched at least this often per second.
    n_pages : int, optional
        This many of the hottest pages; among pages alike those with the lower numbers.
    access_share : float, optional
        The fewest pages, the hottest first, that take at least this share of all accesses.

    Returns
    -------
    ndarray of bool, shape (n_pages,)

    Raises
    ------
    InputError
        If not exactly one yardstick is given, or it is out of range.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.workload.hot_set(tm.workload.uniform(4, rate_hz=2, hot_pages=2), min_rate_hz=1).tolist()
    [True, True, False, False]
    """
    if sum(x is not None for x in (min_rate_hz, n_pages, access_share)) != 1:
        raise InputError("hot_set", "needs one yardstick", "give one of min_rate_hz, n_pages and access_share")
    rate = page_rates(*_moment(workload, at_us, "hot_set"))
    if min_rate_hz is not None:
        return np.asarray(rate >= check.positive("hot_set.min_rate_hz", min_rate_hz))
    order = np.argsort(-rate, kind="stable")
    if n_pages is not None:
        count = check.whole("hot_set.n_pages", n_pages, 0, rate.size)
    else:
        served = np.cumsum(rate[order])
        wanted = check.share("hot_set.access_share", access_share) * served[-1]
        count = int(np.searchsorted(served, wanted)) + 1 if wanted > 0 else 0
    out = np.zeros(rate.size, np.bool_)
    out[order[:count]] = True
    return out
