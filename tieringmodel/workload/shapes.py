"""Workloads that stay as they are: a uniform hot set, two levels, Zipf's law, a power law, a stream."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..errors import InputError
from ..scenario import Group, Workload
from ..units import MAX_PAGES, PAGE_SZ, parse_bytes
from . import arguments as check
from .rates import Classes, power_law_classes, zipf_classes
from .scatter import scattered
from .sweep import sweep_groups


def uniform(n_pages: int, *, rate_hz: float, hot_pages: int | None = None, scatter_pages: int = 0, seed: int = 0) -> Workload:
    """Return pages of which `hot_pages` are touched alike and the others never.

    Parameters
    ----------
    n_pages : int
        Pages in all.
    rate_hz : float
        Touches per second of each hot page (a Poisson process).
    hot_pages : int, optional
        Hot pages, the first ones unless scattered; by default all.
    scatter_pages : int
        Length of the runs in which hot pages are scattered over the range; 0 leaves them together.
    seed : int
        Of the scattering.

    Returns
    -------
    Workload
        One group, ``"hot"``; it stands for ``hot_pages * rate_hz`` accesses per second.

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.workload.access_rate_hz(tm.workload.uniform(1000, rate_hz=2, hot_pages=100))
    200.0
    """
    n = check.pages("uniform.n_pages", n_pages)
    hot = n if hot_pages is None else check.pages("uniform.hot_pages", hot_pages, n)
    rate = check.positive("uniform.rate_hz", rate_hz)
    return scattered(Workload(n, (Group(0, hot, rate_hz=rate, name="hot"),)), scatter_pages, seed)


def two_level(
    n_pages: int,
    *,
    hot_share: float,
    access_share: float,
    accesses_per_s: float,
    scatter_pages: int = 0,
    seed: int = 0,
) -> Workload:
    """Return pages of which a share takes another share of the accesses; within each level all are alike.

    Parameters
    ----------
    n_pages : int
        Pages in all.
    hot_share : float
        Share of pages that are hot, above 0 and below 1; rounded to whole pages, at least one of each level.
    access_share : float
        Share of the accesses that go to them.
    accesses_per_s : float
        Accesses to all pages together.
    scatter_pages, seed : int
        As in `uniform`.

    Returns
    -------
    Workload
        Groups ``"hot"`` and ``"cold"``; a level without accesses has none.

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> workload = tm.workload.two_level(1000, hot_share=0.1, access_share=0.9, accesses_per_s=1000)
    >>> [round(group.rate_hz, 3) for group in workload.groups]
    [9.0, 0.111]
    """
    n = check.whole("two_level.n_pages", n_pages, 2, MAX_PAGES)
    part = check.share("two_level.hot_share", hot_share)
    if not 0 < part < 1:
        raise InputError("two_level.hot_share", f"{part:g} leaves one level empty", "write a share between 0 and 1")
    to_hot = check.share("two_level.access_share", access_share)
    total = check.positive("two_level.accesses_per_s", accesses_per_s)
    hot = min(max(round(n * part), 1), n - 1)
    levels = (
        Group(0, hot, rate_hz=total * to_hot / hot, name="hot"),
        Group(hot, n, rate_hz=total * (1 - to_hot) / (n - hot), name="cold"),
    )
    return scattered(Workload(n, tuple(g for g in levels if g.rate_hz)), scatter_pages, seed)


def zipf(
    n_pages: int,
    *,
    s: float,
    accesses_per_s: float,
    uniform_share: float = 0.0,
    max_classes: int = 64,
    scatter_pages: int = 0,
    seed: int = 0,
) -> Workload:
    """Return pages whose rates follow Zipf's law: the page of rank r is touched in proportion to ``r ** -s``.

    Pages of similar rank share a class with the mean of their rates, so that the accesses of all pages together are exactly
    those asked for. How far a page's rate is from its class's at most is what `zipf_classes` returns as
    ``max_relative_error``: about 11 % for a million pages, s = 1 and the default of 64 classes, 2.5 % with 256.

    Parameters
    ----------
    n_pages : int
        Pages in all.
    s : float
        Exponent, 0 … 8; 0 makes all pages alike.
    accesses_per_s : float
        Accesses to all pages together.
    uniform_share : float
        Share of the accesses that go to all pages alike.
    max_classes : int
        Most classes of pages.
    scatter_pages, seed : int
        As in `uniform`.

    Returns
    -------
    Workload
        Groups ``"rank 0"``, ``"rank 1"``, … named by their first page's rank, the hottest first.

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> workload = tm.workload.zipf(100_000, s=0.99, accesses_per_s=1e6)
    >>> round(tm.workload.access_rate_hz(workload))
    1000000
    """
    n = check.pages("zipf.n_pages", n_pages)
    exponent = check.at_least("zipf.s", s)
    if exponent > 8:
        raise InputError("zipf.s", f"{exponent:g} is over 8: a single page would take all accesses", "write 0 … 8")
    total = check.positive("zipf.accesses_per_s", accesses_per_s)
    level = check.share("zipf.uniform_share", uniform_share)
    classes = zipf_classes(n, exponent, check.whole("zipf.max_classes", max_classes, 1, check.MAX_GROUPS))
    weight = classes.weight / np.dot(classes.weight, np.diff(classes.edges))
    rates = classes._replace(weight=total * ((1 - level) * weight + level / n))
    return scattered(_ranked(n, rates), scatter_pages, seed)


def power_law(
    n_pages: int,
    *,
    exponent: float,
    min_rate_hz: float,
    max_rate_hz: float,
    max_classes: int = 64,
    scatter_pages: int = 0,
    seed: int = 0,
) -> Workload:
    """Return pages whose rates are distributed by a power law between two bounds (bounded Pareto).

    The share of pages with a rate above x falls as ``x ** -exponent``. Pages of similar rate share a class with the mean of
    their rates; no page is further from it than ``(max_rate_hz / min_rate_hz) ** (1 / max_classes) - 1`` where classes are
    large (`power_law_classes` returns the exact figure).

    Parameters
    ----------
    n_pages : int
        Pages in all.
    exponent : float
        Of the tail of the distribution, above 0 and at most 8.
    min_rate_hz, max_rate_hz : float
        Touches per second of the coldest and of the hottest page.
    max_classes : int
        Most classes of pages.
    scatter_pages, seed : int
        As in `uniform`.

    Returns
    -------
    Workload
        Groups named as those of `zipf`.

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> workload = tm.workload.power_law(1000, exponent=2, min_rate_hz=1, max_rate_hz=100)
    >>> workload.n_pages
    1000
    """
    n = check.pages("power_law.n_pages", n_pages)
    a = check.positive("power_law.exponent", exponent)
    low = check.positive("power_law.min_rate_hz", min_rate_hz)
    high = check.positive("power_law.max_rate_hz", max_rate_hz)
    if a > 8:
        raise InputError("power_law.exponent", f"{a:g} is over 8", "write a number up to 8, or use uniform")
    if not low < high <= low * 1e12:
        text = f"{high:g} is not above min_rate_hz {low:g} by a factor of at most 1e12"
        raise InputError("power_law.max_rate_hz", text, "write a larger bound, or use uniform")
    most = check.whole("power_law.max_classes", max_classes, 1, check.MAX_GROUPS)
    return scattered(_ranked(n, power_law_classes(n, a, low, high, most)), scatter_pages, seed)


def _ranked(n: int, classes: Classes) -> Workload:
    edges = classes.edges.tolist()
    return Workload(
        n,
        tuple(
            Group(lo, hi, rate_hz=rate, name=f"rank {lo}")
            for (lo, hi), rate in zip(pairwise(edges), classes.weight.tolist(), strict=True)
        ),
    )


def streaming(n_pages: int, *, bytes_per_s: float | str, tick_us: int | str | None = None, max_groups: int = 4096) -> Workload:
    """Return a sweep over all pages in order, again and again.

    See `sweep_groups` for what is exact: each pass touches each page once, a pass takes a whole number of ticks. The visit
    of a page counts as one access, however many bytes of it are read.

    Parameters
    ----------
    n_pages : int
        Pages in all.
    bytes_per_s : float or str
        Speed of the sweep; ``"10 GB"`` is understood.
    tick_us : int or str, optional
        Length of a workload tick, by default at most 5 ms.
    max_groups : int
        Most blocks into which the pages are cut.

    Returns
    -------
    Workload
        Groups named ``"stream"``.

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.workload.streaming(1024, bytes_per_s="4 MiB").n_pages
    1024
    """
    n = check.pages("streaming.n_pages", n_pages)
    speed = bytes_per_s if isinstance(bytes_per_s, float) else parse_bytes(bytes_per_s, "streaming.bytes_per_s")
    speed = check.positive("streaming.bytes_per_s", speed)
    tick = check.tick("streaming.tick_us", tick_us)
    most = check.whole("streaming.max_groups", max_groups, 1, check.MAX_GROUPS)
    groups = sweep_groups(0, n, speed / (n * PAGE_SZ), tick, name="stream", max_groups=most)
    return Workload(n, groups, tick_us=tick, tick_chosen=tick_us is not None)
