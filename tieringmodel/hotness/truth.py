"""What the workload really does: intervals of activity, the hot set, and how well a source found it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..checks import float_array, whole
from ..errors import InputError
from ..scenario import Scenario
from ..scenario.scenario import need_scenario
from ..units import parse_duration_us, parse_us
from .protocol import Activity, Floats


def activity(
    rate_hz: npt.ArrayLike, node: npt.ArrayLike = 1, *, start_us: int = 0, length_us: int | str = 1_000_000
) -> Activity:
    """Return one interval of a workload given as plain arrays.

    Parameters
    ----------
    rate_hz : array_like of float, shape (n_pages,)
        Touches per second of each page, finite and not negative. Counts of a trace divided by its length do.
    node : array_like of int, shape (n_pages,) or scalar
        NUMA node of each page.
    start_us : int
        Simulated time.
    length_us : int or str
        Length, ``"1 s"`` or microseconds.

    Returns
    -------
    Activity

    Raises
    ------
    InputError
        If the arrays do not fit each other or a rate is negative or not finite.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.hotness.activity([5.0, 1.0, 9.0]).n_pages
    3
    """
    rates = float_array("rate_hz", rate_hz)
    if rates.ndim != 1 or rates.size == 0:
        raise InputError("rate_hz", f"has the shape {rates.shape}", "pass one rate per page")
    if not np.isfinite(rates).all() or (rates < 0).any():
        raise InputError("rate_hz", "holds negative or infinite rates", "pass touches per second")
    nodes = np.asarray(node)
    if nodes.dtype.kind not in "iu" or nodes.shape not in ((), rates.shape):
        raise InputError("node", f"is no whole number per page ({nodes.dtype}, {nodes.shape})", "pass node ids")
    length = parse_us(length_us, "length_us")
    if length <= 0 or start_us < 0:
        raise InputError("length_us" if length <= 0 else "start_us", "is not positive", "write e.g. '1 s'")
    return Activity(rates, np.broadcast_to(nodes.astype(np.int64), rates.shape), start_us, length)


def activities(truth: Activity | Scenario, duration: str | float, interval: str | int = "1 s") -> Iterator[Activity]:
    """Yield the intervals of a run, in order and without gaps; a change of the scenario's accesses begins a new one.

    Parameters
    ----------
    truth : Activity or Scenario
        A steady workload, or a scenario's workload in the pages' initial places (nothing migrates here).
    duration : str or float
        ``"60 s"`` or seconds.
    interval : str or int
        Longest interval, ``"1 s"`` or microseconds.

    Yields
    ------
    Activity
        The arrays stay the same objects until accesses change, from which sources know that nothing did.

    Raises
    ------
    InputError
        If a time is not positive.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> [one.start_us for one in tm.hotness.activities(tm.hotness.activity([5.0, 1.0]), "3 s")]
    [0, 1000000, 2000000]
    """
    end_us, step_us = parse_duration_us(duration), parse_us(interval, "interval")
    if step_us <= 0:
        raise InputError("interval", f"{interval!r} is not positive", "write e.g. '1 s'")
    if isinstance(truth, Activity):
        for at_us in range(0, end_us, step_us):
            yield truth._replace(start_us=at_us, length_us=min(step_us, end_us - at_us))
        return
    need_scenario(truth, "truth")
    from ..memory.physical import PhysicalMemory
    from ..workload.access import AccessTable
    from ..workload.truth import page_rates

    tick_us, workload = truth.tick_us, truth.timed_workload
    table = AccessTable(workload, tick_us, 0)
    classes = len(table.groups_of_class)
    memory = PhysicalMemory(truth.machine, truth.workload, table.page_class, n_classes=classes, folios=table.folios)
    node = memory.nids[memory.node_of_pages()]
    # Tick k decides about the time that ends at k ticks.
    changes = [(t - 1) * tick_us for t in table.changes if 0 < (t - 1) * tick_us < end_us]
    for since_us, until_us in zip([0, *changes], [*changes, end_us], strict=True):
        rates = page_rates(workload, since_us // tick_us + 1, tick_us)
        for at_us in range(since_us, until_us, step_us):
            yield Activity(rates, node, at_us, min(step_us, until_us - at_us))


def hot_set(rate_hz: Floats, hot_pages: int | None = None) -> npt.NDArray[np.bool_]:
    """Return which pages are hot: the `hot_pages` with the highest rates, by default those that get half of all touches.

    Parameters
    ----------
    rate_hz : ndarray of float64, shape (n_pages,)
        True rates.
    hot_pages : int, optional
        How many; left out, the fewest that get half of the touches, and all others with the same rate as the last.
        Pages with the same rate go by page number.

    Returns
    -------
    ndarray of bool, shape (n_pages,)

    Raises
    ------
    InputError
        If nothing is touched, or `hot_pages` is not in 1 … n_pages.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.hotness.hot_set(tm.hotness.activity([5.0, 1.0, 9.0]).rate_hz, 2).tolist()
    [True, False, True]
    """
    rate_hz = float_array("rate_hz", rate_hz)
    if rate_hz.ndim != 1 or not rate_hz.size:
        raise InputError("rate_hz", f"has the shape {rate_hz.shape}", "pass one rate per page")
    order = np.argsort(-rate_hz, kind="stable")
    if rate_hz[order[0]] <= 0:
        raise InputError("rate_hz", "no page is touched", "give a workload that touches pages")
    hot = np.zeros(rate_hz.size, np.bool_)
    if hot_pages is None:
        half = int(np.searchsorted(np.cumsum(rate_hz[order]), rate_hz.sum() / 2))
        return np.asarray(rate_hz >= rate_hz[order[min(half, rate_hz.size - 1)]])
    hot[order[: whole("hot_pages", hot_pages, 1, rate_hz.size, "write a number of pages")]] = True
    return hot


class Score(NamedTuple):
    """How well the hottest pages by a source are the hot ones: shares 0 … 1, nan where there is nothing to judge."""

    precision: float
    recall: float


def score(found_hz: Floats, hot: npt.NDArray[np.bool_], seed: int = 0) -> Score:
    """Compare as many of a source's hottest pages as are hot with the hot set.

    Parameters
    ----------
    found_hz : ndarray of float64, shape (n_pages,)
        Hotness by the source; pages with 0 are never taken.
    hot : ndarray of bool, shape (n_pages,)
        The truth.
    seed : int
        Decides among pages that the source holds for equally hot.

    Returns
    -------
    Score
        Precision: share of the taken pages that are hot. Recall: share of the hot pages that are taken.

    Examples
    --------
    >>> import numpy as np
    >>> import tieringmodel as tm
    >>> tm.hotness.score(np.array([9.0, 0.0, 7.0]), np.array([True, True, False])).recall
    0.5
    """
    found_hz, truth = float_array("found_hz", found_hz), np.asarray(hot)
    if truth.dtype != np.bool_ or found_hz.ndim != 1 or truth.shape != found_hz.shape:
        raise InputError("hot", f"{truth.dtype} of shape {truth.shape} is no truth", "give a truth value for each page")
    k = int(truth.sum())
    shuffled = np.random.default_rng(whole("seed", seed)).permutation(found_hz.size)
    candidates = shuffled[found_hz[shuffled] > 0]
    taken = candidates[np.argsort(-found_hz[candidates], kind="stable")[:k]]
    hits = int(truth[taken].sum())
    return Score(hits / taken.size if taken.size else float("nan"), hits / k if k else float("nan"))
