"""One protocol for every source of access information: what the workload did goes in, reports come out, at a cost."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ..checks import float_array, int_array, text
from ..errors import InputError
from ..fields import suggest
from ..registry import Own

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Activity(NamedTuple):
    """What the workload did from `start_us` on for `length_us`: pages are touched as independent Poisson processes.

    Arrays are indexed by page in the order of the addresses that the source sees: an aligned run of indices is a folio or
    a unit of a device's counters. They must not be changed in place: a source takes the same object for the same numbers.
    Build it with `activity`, which checks, or `activities`, which reads a scenario.

    Attributes
    ----------
    rate_hz : ndarray of float64, shape (n_pages,)
        Touches per second of each page.
    node : ndarray of int64, shape (n_pages,)
        NUMA node id of each page.
    start_us, length_us : int
        Simulated time.
    """

    rate_hz: Floats
    node: Ints
    start_us: int
    length_us: int

    @property
    def n_pages(self) -> int:
        """Number of pages."""
        return int(self.rate_hz.size)

    @property
    def end_us(self) -> int:
        """One past the interval."""
        return self.start_us + self.length_us


class Reports(NamedTuple):
    """What a source tells about one interval. Row k says: pages ``first[k]`` … ``first[k] + pages[k] - 1`` were touched.

    Attributes
    ----------
    first, pages : ndarray of int64, shape (n_reports,)
        First page and number of pages: 1, a folio, a counter's unit, a DAMON region.
    touches : ndarray of float64, shape (n_reports,)
        How many touches of each of these pages the source believes the report to stand for.
    time_us : ndarray of int64, shape (n_reports,)
        When software could read it.
    cost_ns : float
        CPU time that the source took in the interval.
    lost : int
        Reports that were made and could not be kept.
    covered : float
        Share of the pages that the source looked at in the interval, 0 … 1.
    """

    first: Ints
    pages: Ints
    touches: Floats
    time_us: Ints
    cost_ns: float = 0.0
    lost: int = 0
    covered: float = 1.0


class HotnessSource(Protocol):
    """Anything with this method. It may keep state between intervals; all randomness must come from `rng`.

    A source of one's own::

        class Oracle:
            def observe(self, activity, rng):
                page = np.flatnonzero(activity.rate_hz)
                touches = rng.poisson(activity.rate_hz[page] * activity.length_us * 1e-6).astype(float)
                return page_reports(page, touches, activity.end_us)

        tm.hotness.register_source("oracle", Oracle)
        tm.hotness.source("oracle")

    With a method ``at_cost(share, activity)`` that returns a source which takes that share of a CPU, it can be compared
    with others at equal cost.
    """

    def observe(self, activity: Activity, rng: np.random.Generator) -> Reports:
        """Return what the source reports about the interval; intervals come in order and without gaps."""


def page_reports(
    page: npt.ArrayLike,
    touches: npt.ArrayLike,
    time_us: npt.ArrayLike,
    *,
    cost_ns: float = 0.0,
    lost: int = 0,
    covered: float = 1.0,
) -> Reports:
    """Return reports of single pages.

    Parameters
    ----------
    page, touches, time_us : array_like
        As in `Reports`; `touches` and `time_us` may be scalars.
    cost_ns, lost, covered
        As in `Reports`.

    Returns
    -------
    Reports

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.hotness.page_reports([0, 7], [1, 2], [1000, 2000]).first.tolist()
    [0, 7]
    """
    first = int_array("page", page)
    counts, times = float_array("touches", touches), int_array("time_us", time_us)
    if first.ndim != 1 or any(one.ndim and one.shape != first.shape for one in (counts, times)):
        raise InputError("page", f"has the shape {first.shape}, beside {counts.shape} and {times.shape}", "give one of each")
    return Reports(
        first,
        np.ones_like(first),
        np.broadcast_to(counts, first.shape),
        np.broadcast_to(times, first.shape),
        cost_ns,
        lost,
        covered,
    )


def check_share(share: float) -> float:
    """Return a share of a CPU in nanoseconds per second.

    Raises
    ------
    InputError
        If it is not positive and finite.
    """
    if not 0 < share < float("inf"):
        raise InputError("share", f"{share} of a CPU is not positive", "write e.g. 0.001")
    return share * 1e9


def check_held(cost_ns_per_s: float, bearable: float, what: str) -> None:
    """Refuse a share of a CPU that the cheapest setting exceeds.

    Raises
    ------
    InputError
        If it does.
    """
    if cost_ns_per_s > bearable:
        raise InputError("share", f"{what} costs more than {bearable * 1e-9:g} of a CPU", "allow more")


def joined(parts: list[Reports], cost_ns: float, lost: int = 0, covered: float = 1.0) -> Reports:
    """Return the rows of several reports as one."""
    if not parts:
        return page_reports(np.zeros(0, np.int64), 0.0, 0, cost_ns=cost_ns, lost=lost, covered=covered)
    columns = [np.concatenate([part[k] for part in parts]) for k in range(4)]
    return Reports(columns[0], columns[1], columns[2], columns[3], cost_ns, lost, covered)


def check_reports(reports: Reports, n_pages: int) -> Reports:
    """Return the reports of a source if they are well formed.

    Raises
    ------
    InputError
        If columns differ in length, a row leaves the pages, or a number is negative or not finite.
    """
    first, pages, touches, time_us = reports[:4]
    if not (first.shape == pages.shape == touches.shape == time_us.shape) or first.ndim != 1:
        raise InputError("reports", "columns differ in length", "return one entry per report in each column")
    if first.size and (first.min() < 0 or pages.min() < 1 or (first + pages).max() > n_pages):
        raise InputError("reports", f"name pages outside 0..{n_pages - 1}", "report pages of the activity")
    if not np.isfinite(touches).all() or (touches < 0).any():
        raise InputError("reports.touches", "are negative or not finite", "return counts of touches")
    if not (reports.cost_ns >= 0 and reports.lost >= 0 and 0 <= reports.covered <= 1):
        raise InputError("reports", "cost_ns or lost is negative, or covered outside 0..1", "return what was measured")
    return reports


_BUILT_IN = {
    "accessed_bits": (".accessed_bits", "AccessedBits"),
    "hint_faults": (".hint_faults", "HintFaults"),
    "chmu": (".chmu", "Chmu"),
    "instruction_samples": (".instruction_samples", "InstructionSamples"),
}
_own: Own[Callable[..., HotnessSource]] = Own("hotness source", _BUILT_IN.__contains__, "a class or function")


def register_source(name: str, factory: Callable[..., HotnessSource], *, replace: bool = False) -> None:
    """Offer a source by name.

    Parameters
    ----------
    name : str
        Not that of a built-in source.
    factory : callable
        Called with the parameters given to `source`; returns a fresh `HotnessSource`.
    replace : bool
        Take the place of one that was registered under this name before.

    Raises
    ------
    InputError
        If the name is empty, built in or taken, or the factory cannot be called.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.hotness.register_source("frugal_bits", lambda: tm.hotness.source("accessed_bits", sample_us=50_000))
    >>> "frugal_bits" in tm.hotness.sources()
    True
    >>> tm.hotness.unregister_source("frugal_bits")
    """
    _own.offer(name, factory, factory, replace=replace)


def unregister_source(name: str) -> None:
    """Withdraw a source that `register_source` offered; other names are ignored.

    Parameters
    ----------
    name : str
        As it was registered.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.hotness.unregister_source("nobody has this name")
    """
    _own.pop(name, None)


def own_sources() -> dict[str, Callable[..., HotnessSource]]:
    """Return what `register_source` was given, by name."""
    return dict(_own)


def sources() -> tuple[str, ...]:
    """Return the names that `source` knows.

    Returns
    -------
    list of str
        The built-in ones first.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> "accessed_bits" in tm.hotness.sources()
    True
    """
    return (*_BUILT_IN, *_own)


def source(name: str, /, **parameters: Any) -> HotnessSource:
    """Return a fresh source by name.

    Parameters
    ----------
    name : str
        ``"accessed_bits"``, ``"hint_faults"``, ``"chmu"``, ``"instruction_samples"``, or a registered name.
    **parameters
        Fields of the source; the built-in ones take text with units (``scan_bytes="256 MiB"``).

    Returns
    -------
    HotnessSource

    Raises
    ------
    InputError
        If the name or a parameter is unknown, or a value does not fit.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.hotness.source("hint_faults", scan_bytes="64 MiB").scan_bytes
    67108864
    """
    if text("source", name) in _BUILT_IN:
        module, kind = _BUILT_IN[name]
        made: HotnessSource = getattr(import_module(module, __package__), kind).from_dict(parameters, name)
        return made
    if name not in _own:
        raise InputError("source", f"{name!r} is unknown", suggest(name, sources()))
    factory = _own[name]
    try:
        inspect.signature(factory).bind(**parameters)
    except TypeError as error:
        raise InputError(name, str(error), f"it takes {inspect.signature(factory)}") from None
    return factory(**parameters)
