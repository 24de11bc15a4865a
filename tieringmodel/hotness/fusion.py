"""Several sources, one hotness per page or region: what each says, weighted by trust, age and what it can see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..checks import float_array, instance, int_array, mapping, whole
from ..errors import InputError
from ..fields import suggest
from ..memory.need import check_bytes
from ..units import LONG_MAX
from .protocol import Floats, Ints, Reports
from .watching import Watched


class Fused(NamedTuple):
    """One hotness out of several.

    Attributes
    ----------
    rate_hz : ndarray of float64, shape (n_pages,)
        Touches per second; 0 where no source can tell.
    confidence : ndarray of float64, shape (n_pages,)
        Share of all trust that stands behind the number, 0 … 1.
    """

    rate_hz: Floats
    confidence: Floats


def fuse(
    found: Mapping[str, Floats | Watched],
    *,
    weights: Mapping[str, float] | None = None,
    age_s: Mapping[str, float | Floats] | None = None,
    half_life_s: float = float("inf"),
    coverage: Mapping[str, npt.ArrayLike] | None = None,
) -> Fused:
    """Return the weighted mean of what several sources believe, page by page.

    The rate is Σ w s c h / Σ w s c over the sources: trust w, staleness s = 2^(−age / half-life), coverage c, rate h. A
    source has no say about pages that it cannot see, which makes a device's counters and system-wide samples add up.

    Parameters
    ----------
    found : mapping of str to ndarray of float64, shape (n_pages,), or Watched
        Touches per second of each page by each source.
    weights : mapping of str to float, optional
        Trust in each source; 1 for those left out.
    age_s : mapping of str to float or array, optional
        Age of each source's knowledge, per page if it is an array; 0 for those left out.
    half_life_s : float
        Age at which a source's say is halved.
    coverage : mapping of str to array_like of bool or float, shape (n_pages,), optional
        What each source can see, 0 … 1 per page or for all; everything for those left out.

    Returns
    -------
    Fused

    Raises
    ------
    InputError
        If there is no source, one is named that is not among `found`, lengths differ, or a value is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import tieringmodel as tm
    >>> tm.hotness.fuse({"bits": np.array([4.0, 0.0]), "faults": np.array([8.0, 0.0])}).rate_hz.tolist()
    [6.0, 0.0]
    """
    if not mapping("found", found, "give what each source found, by name"):
        raise InputError("found", "names no source", "give at least one")
    for name, given in (("weights", weights), ("age_s", age_s), ("coverage", coverage)):
        for key in given or ():
            if key not in found:
                raise InputError(f"{name}.{key}", "is not among the sources", suggest(key, found))
    if not half_life_s > 0:
        raise InputError("half_life_s", f"{half_life_s} is not positive", "write seconds, or inf")
    rates = {
        name: one.rate_hz if isinstance(one, Watched) else float_array(f"found.{name}", one) for name, one in found.items()
    }
    n = next(iter(rates.values())).size
    total, say, trust = np.zeros(n), np.zeros(n), 0.0
    for name, rate in rates.items():
        if rate.shape != (n,):
            raise InputError(f"found.{name}", f"has the shape {rate.shape}", f"give one rate per page, {n} like the first")
        weight = _within(f"weights.{name}", (weights or {}).get(name, 1.0), np.inf, ())
        age = _within(f"age_s.{name}", (age_s or {}).get(name, 0.0), np.inf, (n,))
        seen = _within(f"coverage.{name}", (coverage or {}).get(name, 1.0), 1.0, (n,))
        own = weight * 0.5 ** (age / half_life_s) * seen
        total += own * rate
        say += own
        trust += float(weight)
    if trust <= 0:
        raise InputError("weights", "are all 0", "trust at least one source")
    return Fused(np.divide(total, say, out=np.zeros(n), where=say > 0), say / trust)


def _within(where: str, value: npt.ArrayLike, top: float, shape: tuple[int, ...]) -> Floats:
    array = np.asarray(value, np.float64)
    if array.shape not in ((), shape) or not ((array >= 0) & (array <= top) & np.isfinite(array)).all():
        remedy = f"give one number 0..{top:g}" + (", or one per page" if shape else "")
        raise InputError(where, "does not fit the pages, is negative or too large", remedy)
    return array


def by_region(rate_hz: Floats, edges: Sequence[int] | Ints) -> Floats:
    """Return the mean touches per second and page of each region.

    Parameters
    ----------
    rate_hz : ndarray of float64, shape (n_pages,)
        Hotness of each page.
    edges : sequence of int, shape (n_regions + 1,)
        First page of each region, and one past the last page; ascending.

    Returns
    -------
    ndarray of float64, shape (n_regions,)

    Raises
    ------
    InputError
        If edges do not ascend within the pages.

    Examples
    --------
    >>> import numpy as np
    >>> import tieringmodel as tm
    >>> tm.hotness.by_region(np.array([4.0, 2.0, 0.0, 0.0]), [0, 2, 4]).tolist()
    [3.0, 0.0]
    """
    rate_hz = float_array("rate_hz", rate_hz)
    bounds = _edges(edges, rate_hz.size if rate_hz.ndim == 1 else 0)
    return np.asarray(np.add.reduceat(rate_hz[: bounds[-1]], bounds[:-1]) / np.diff(bounds))


def region_accesses(
    reports: Reports, edges: Sequence[int] | Ints, start_us: int, sample_us: int, samples: int
) -> npt.NDArray[np.uint32]:
    """Return nr_accesses of regions driven by reports: one per sampling interval in which any report falls on the region.

    This is how the instruction-sampling series drives DAMON (20260516223439.4033-1-ravis.opensrc@gmail.com).

    Parameters
    ----------
    reports : Reports
        Reports of an aggregation.
    edges : sequence of int, shape (n_regions + 1,)
        First page of each region, and one past the last page; ascending.
    start_us, sample_us, samples : int
        Begin of the aggregation, length and number of its sampling intervals; a report at t belongs to the one that
        ends at or after t. Reports outside the aggregation do not count.

    Returns
    -------
    ndarray of uint32, shape (n_regions,)
        0 … samples.

    Raises
    ------
    InputError
        If edges do not ascend or there are no sampling intervals.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> reports = tm.hotness.page_reports([0, 1, 3], [1, 1, 1], [1000, 2000, 7000])
    >>> tm.hotness.region_accesses(reports, [0, 2, 4], 0, 5000, 20).tolist()
    [1, 1]
    """
    bounds = _edges(edges, 2**62)
    instance("reports", reports, Reports, "give what a source observed, or page_reports")
    start_us, sample_us = (
        whole("start_us", start_us, 0, LONG_MAX),
        whole("sample_us", sample_us, 1, LONG_MAX, "write 1 or more"),
    )
    samples = whole("samples", samples, 1, 2**31, "write 1 or more")
    check_bytes("samples", samples * bounds.size * 16, "counts of an aggregation take", "write fewer")
    tick = -((start_us - reports.time_us) // sample_us) - 1
    low = np.searchsorted(bounds, reports.first, side="right") - 1
    high = np.searchsorted(bounds, reports.first + reports.pages - 1, side="right") - 1
    low, high = np.maximum(low, 0), np.minimum(high, bounds.size - 2)
    fits = (tick >= 0) & (tick < samples) & (low <= high)
    hit = np.zeros((samples, bounds.size), np.int64)
    np.add.at(hit, (tick[fits], low[fits]), 1)
    np.add.at(hit, (tick[fits], high[fits] + 1), -1)
    return np.asarray((np.cumsum(hit, axis=1)[:, :-1] > 0).sum(axis=0), np.uint32)


def _edges(edges: Sequence[int] | Ints, top: int) -> Ints:
    bounds = int_array("edges", edges)
    if bounds.ndim != 1 or bounds.size < 2 or bounds[0] < 0 or bounds[-1] > top or (np.diff(bounds) <= 0).any():
        raise InputError("edges", "do not ascend within the pages", "give the first page of each region, then the end")
    return bounds
