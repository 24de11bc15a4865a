"""What a workload asks of memory, and which of its pages are hot: the truth that a monitor tries to find."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..scenario import Group, Workload
from ..units import parse_us
from . import arguments as check


def _moment(workload: Workload, at_us: int | str, where: str) -> tuple[int, int]:
    """Return the tick at `at_us` and a tick's length."""
    tick_us = workload.tick_us or check.TICK_US
    return parse_us(at_us, f"{where}.at_us") // tick_us, tick_us


def _rate_hz(g: Group, tick_us: int) -> float:
    """Touches per second of a page that the group touches."""
    if g.kind == "rate":
        return g.rate_hz
    return 1e6 / tick_us * (1 / g.period if g.kind == "period" else g.threshold / 2**32)


def access_rate_hz(workload: Workload, at_us: int | str = 0) -> float:
    """Return the accesses per second to all pages together.

    Parameters
    ----------
    workload : Workload
        Whose accesses; touches in different groups add up.
    at_us : int or str
        Simulated time in microseconds, or text with a unit.

    Returns
    -------
    float

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.workload.access_rate_hz(tm.workload.uniform(1000, rate_hz=2))
    2000.0
    """
    tick, tick_us = _moment(workload, at_us, "access_rate_hz")
    return math.fsum(
        _rate_hz(g, tick_us) * len(range(g.lo, g.hi, g.stride if g.kind == "period" else 1))
        for g in workload.groups
        if g.start_tick <= tick < g.end_tick
    )


def page_rate_hz(workload: Workload, at_us: int | str = 0) -> npt.NDArray[np.float64]:
    """Return the expected touches per second of every logical page, float64 (n_pages,).

    Parameters
    ----------
    workload : Workload
        Whose pages.
    at_us : int or str
        Simulated time in microseconds, or text with a unit.

    Returns
    -------
    ndarray of float64, shape (n_pages,)

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.workload.page_rate_hz(tm.workload.uniform(4, rate_hz=2, hot_pages=2)).tolist()
    [2.0, 2.0, 0.0, 0.0]
    """
    tick, tick_us = _moment(workload, at_us, "page_rate_hz")
    out = np.zeros(workload.n_pages)
    for g in workload.groups:
        if g.start_tick <= tick < g.end_tick:
            out[g.lo : g.hi : g.stride if g.kind == "period" else 1] += _rate_hz(g, tick_us)
    return out


def hot_set(
    workload: Workload,
    at_us: int | str = 0,
    *,
    min_rate_hz: float | None = None,
    n_pages: int | None = None,
    access_share: float | None = None,
) -> npt.NDArray[np.bool_]:
    """Return which logical pages are truly hot, bool (n_pages,), by exactly one of three yardsticks.

    Parameters
    ----------
    workload : Workload
        Whose pages.
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
    rate = page_rate_hz(workload, at_us)
    if min_rate_hz is not None:
        return np.asarray(rate >= check.positive("hot_set.min_rate_hz", min_rate_hz))
    order = np.argsort(-rate, kind="stable")
    if n_pages is not None:
        count = check.whole("hot_set.n_pages", n_pages, 0, workload.n_pages)
    else:
        served = np.cumsum(rate[order])
        wanted = check.share("hot_set.access_share", access_share) * served[-1]
        count = int(np.searchsorted(served, wanted)) + 1 if wanted > 0 else 0
    out = np.zeros(workload.n_pages, np.bool_)
    out[order[:count]] = True
    return out
