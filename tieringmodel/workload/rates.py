"""How unequal pages are: classes of similar rate for Zipf's law and for a power law, with their error."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..checks import number, positive, whole
from ..errors import InputError

_EXACT = 1024  # Euler-Maclaurin from here on: for s up to 8 the next term is below 1e-14 of the sum


class Classes(NamedTuple):
    """Pages in order of rank, the hottest first, cut into classes.

    ``edges``: int64 (k + 1,), first rank of each class and the number of pages; ``weight``: float64 (k,), mean of a page's
    weight over each class; ``max_relative_error``: how far a page's own weight is from its class's at most, relative to the
    latter.
    """

    edges: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float64]
    max_relative_error: float


def power_sum(first: int, end: int, s: float) -> float:
    """Return the sum of ``r ** -s`` over ranks ``first`` … ``end`` - 1, `first` at least 1.

    Ranks below 1024, and up to 4096 of any, one by one; the others by the Euler-Maclaurin formula with two corrections.
    """
    if end - first <= 4 * _EXACT:
        return math.fsum((np.arange(first, end, dtype=np.float64) ** -s).tolist())
    head = math.fsum(float(r) ** -s for r in range(first, min(end, _EXACT)))
    a, b = float(max(first, _EXACT)), float(end)
    if a >= b:
        return head
    log_ratio = math.log1p((b - a) / a)
    area = log_ratio if s == 1 else float(a ** (1 - s)) * math.expm1((1 - s) * log_ratio) / (1 - s)
    first_slope = s * (a ** (-s - 1) - b ** (-s - 1)) / 12
    third_slope = s * (s + 1) * (s + 2) * (a ** (-s - 3) - b ** (-s - 3)) / 720
    return float(head + (area + (a**-s - b**-s) / 2 + first_slope - third_slope))


def _edges(n_pages: int, growth: float, most: int) -> list[int]:
    edges = [1]
    while edges[-1] <= n_pages and len(edges) <= most + 1:
        edges.append(min(max(edges[-1] + 1, int(edges[-1] * growth)), n_pages + 1))
    return edges


def zipf_classes(n_pages: int, s: float, max_classes: int) -> Classes:
    """Cut pages whose weight is ``rank ** -s`` (ranks from 1) into at most `max_classes` classes.

    Classes grow by a common factor of rank, the smallest that suffices, so that the relative error is about the same in all;
    the first ones are single pages, and with as many classes as pages all are. Weights of a class are averaged: the sum
    over all pages is kept.

    Parameters
    ----------
    n_pages : int
        Pages, at least 1.
    s : float
        Exponent, 0 … 8.
    max_classes : int
        Most classes, at least 1.

    Returns
    -------
    Classes
        Up to `max_classes` of them, the hottest pages first; no weight is normalised, the first rank's would be 1.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.workload.zipf_classes(1000, 1.0, 4).edges.tolist()
    [0, 4, 28, 169, 1000]
    """
    n_pages, max_classes = whole("n_pages", n_pages, 1, 2**53), whole("max_classes", max_classes, 1, 10**6)
    s = number("s", s, 0.0)
    if n_pages <= max_classes:
        edges = list(range(1, n_pages + 2))
    else:
        low, high = 1.0, n_pages + 1.0
        for _ in range(64):
            middle = math.sqrt(low * high)
            if len(_edges(n_pages, middle, max_classes)) - 1 > max_classes:
                low = middle
            else:
                high = middle
        edges = _edges(n_pages, high, max_classes)
    ranks = np.array(edges, np.int64)
    sums = [power_sum(a, b, s) for a, b in pairwise(edges)]
    mean = np.array(sums) / np.diff(ranks)
    error = np.maximum(ranks[:-1].astype(float) ** -s / mean - 1, 1 - (ranks[1:] - 1.0) ** -s / mean)
    return Classes(ranks - 1, mean, float(np.max(error)))


def power_law_classes(n_pages: int, exponent: float, low: float, high: float, max_classes: int) -> Classes:
    """Cut pages whose rates follow a power law between `low` and `high` into at most `max_classes` classes.

    The share of pages with a rate above x is ``(x**-a - high**-a) / (low**-a - high**-a)``, a = `exponent` (a bounded
    Pareto distribution); the page of rank r stands for the shares from r / n to (r + 1) / n. Classes span equal ratios of
    rates; a class's weight is the mean rate over its shares, so that the sum is n times the distribution's mean.

    Parameters
    ----------
    n_pages : int
        Pages, at least 1.
    exponent : float
        a, above 0.
    low, high : float
        Smallest and largest rate (touches per second and page), 0 < `low` < `high`.
    max_classes : int
        Most classes, at least 1; those that would hold no page are left out.

    Returns
    -------
    Classes
        The hottest pages first, their weights in the unit of `low` and `high`.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.workload.power_law_classes(1000, 2.0, 1.0, 100.0, 4).edges.tolist()
    [0, 1, 10, 100, 1000]
    """
    n_pages, max_classes = whole("n_pages", n_pages, 1, 2**53), whole("max_classes", max_classes, 1, 10**6)
    a, low, high = positive("exponent", exponent), positive("low", low), positive("high", high)
    if low >= high:
        raise InputError("high", f"{high:g} is not above low, {low:g}", "write the larger one as high")
    spread = low**-a - high**-a
    bounds = high * (low / high) ** (np.arange(max_classes + 1) / max_classes)
    above = (bounds**-a - high**-a) / spread
    edges = np.unique(np.clip(np.round(n_pages * above), 0, n_pages).astype(np.int64))
    edges[-1] = n_pages
    at = (edges / n_pages * spread + high**-a) ** (-1 / a)
    at[0], at[-1] = high, low
    ratio = np.log(at[:-1] / at[1:])
    area = ratio if a == 1 else at[1:] ** (1 - a) * np.expm1((1 - a) * ratio) / (1 - a)
    mean = n_pages * a / spread * area / np.diff(edges)
    return Classes(edges, mean, float(np.max(np.maximum(at[:-1] / mean - 1, 1 - at[1:] / mean))))
