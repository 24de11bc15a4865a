"""Workloads that change: the hot set steps, rotates, is exchanged at a rate, or drifts; any workloads one after another.

All of them go on for ever: what is in force when the last change is done stays in force.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

from ..checks import said
from ..errors import InputError
from ..scenario import Group, Workload
from ..units import FOREVER, PAGE_SZ, ULONG_MAX, parse_bytes
from . import arguments as check
from .windows import Window, hot_windows


class _Hot:
    """What all families of this module have in common, checked."""

    def __init__(self, family: str, n_pages: int, hot_pages: int, hot: float, cold: float, tick_us: int | str | None) -> None:
        self.family = family
        self.n = check.pages(f"{family}.n_pages", n_pages)
        self.pages = check.pages(f"{family}.hot_pages", hot_pages, self.n)
        self.rate_hz = check.positive(f"{family}.hot_rate_hz", hot)
        self.cold_hz = check.at_least(f"{family}.cold_rate_hz", cold)
        self.tick_us, self.tick_chosen = check.tick(f"{family}.tick_us", tick_us), tick_us is not None
        if self.cold_hz >= self.rate_hz:
            text = f"{self.cold_hz:g} is not below hot_rate_hz {self.rate_hz:g}"
            raise InputError(f"{family}.cold_rate_hz", text, "let hot pages be touched more often than cold ones")

    def us(self, name: str, value: object) -> int:
        return check.span_us(f"{self.family}.{name}", value, self.tick_us)

    def windows(self, windows: Iterator[Window]) -> Workload:
        return hot_windows(self.n, windows, self.rate_hz, self.cold_hz, self.tick_us, self.family, self.tick_chosen)

    def blocks(self, block_pages: int) -> tuple[int, int, int]:
        """Return pages of a block, blocks in all and hot blocks; both must come out even."""
        block = check.pages(f"{self.family}.block_pages", block_pages, self.n)
        for name, value in (("n_pages", self.n), ("hot_pages", self.pages)):
            if value % block:
                raise InputError(
                    f"{self.family}.{name}",
                    f"{value} is not a multiple of block_pages {block}",
                    f"write {max(value // block, 1) * block} or another block size",
                )
        return block, self.n // block, self.pages // block

    def changes(self, block: int, bytes_per_s: float | str, duration_us: int | str) -> list[int]:
        """Return the first ticks after each block's change, before them 0 and after them one for ever away."""
        where = f"{self.family}.bytes_per_s"
        speed = bytes_per_s if isinstance(bytes_per_s, float) else parse_bytes(bytes_per_s, where)
        each_us = 1_000_000 * block * PAGE_SZ / Fraction(check.positive(where, speed))
        n = self.us("duration_us", duration_us) // each_us
        check.few_enough(where, n, "use larger blocks or a shorter duration")
        return [*(math.ceil(k * each_us / self.tick_us) for k in range(n + 1)), FOREVER]


def step(
    n_pages: int,
    *,
    hot_pages: int,
    at_us: int | str,
    hot_rate_hz: float,
    to_page: int | None = None,
    cold_rate_hz: float = 0.0,
    tick_us: int | str | None = None,
) -> Workload:
    """Return a hot set that moves once.

    Parameters
    ----------
    n_pages : int
        Pages in all.
    hot_pages : int
        Hot pages, the first ones to begin with.
    at_us : int or str
        When the hot set moves; rounded to a tick.
    hot_rate_hz, cold_rate_hz : float
        Touches per second of a hot and of any other page.
    to_page : int, optional
        First hot page afterwards; by default the last pages become hot.
    tick_us : int or str, optional
        Length of a workload tick, by default at most 5 ms.

    Returns
    -------
    Workload
        Groups ``"hot"`` and ``"cold"``.

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> workload = tm.workload.step(1000, hot_pages=100, at_us="1 s", hot_rate_hz=10)
    >>> [(group.lo, group.hi) for group in workload.groups]
    [(0, 100), (900, 1000)]
    """
    hot = _Hot("step", n_pages, hot_pages, hot_rate_hz, cold_rate_hz, tick_us)
    last = hot.n - hot.pages
    to = last if to_page is None else check.whole("step.to_page", to_page, 0, last)
    at = round(hot.us("at_us", at_us) / hot.tick_us)
    return hot.windows(iter((Window(0, hot.pages, 0, at), Window(to, to + hot.pages, at, FOREVER))))


def rotate(
    n_pages: int,
    *,
    hot_pages: int,
    places: int,
    every_us: int | str,
    duration_us: int | str,
    hot_rate_hz: float,
    cold_rate_hz: float = 0.0,
    tick_us: int | str | None = None,
) -> Workload:
    """Return a hot set that moves to the next of several places at regular times.

    Parameters
    ----------
    n_pages : int
        Pages in all.
    hot_pages : int
        Hot pages; place k begins at page ``k * n_pages // places``, and places may not overlap.
    places : int
        Number of places; after the last one comes the first.
    every_us : int or str
        Time at one place.
    duration_us : int or str
        The hot set no longer moves from this time on.
    hot_rate_hz, cold_rate_hz : float
        Touches per second of a hot and of any other page.
    tick_us : int or str, optional
        Length of a workload tick, by default at most 5 ms.

    Returns
    -------
    Workload
        Groups ``"hot"`` and ``"cold"``.

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> workload = tm.workload.rotate(1000, hot_pages=100, places=3, every_us="1 s", duration_us="3 s", hot_rate_hz=10)
    >>> [int(tm.workload.hot_set(workload, at, n_pages=100).argmax()) for at in ("0 s", "1 s", "2 s")]
    [0, 333, 666]
    """
    hot = _Hot("rotate", n_pages, hot_pages, hot_rate_hz, cold_rate_hz, tick_us)
    n_places = check.pages("rotate.places", places, hot.n)
    if hot.pages > hot.n // n_places:
        text = f"{hot.pages} do not fit {n_places} times into {hot.n} pages"
        raise InputError("rotate.hot_pages", text, f"write at most {hot.n // n_places}, or fewer places")
    every, duration = hot.us("every_us", every_us), hot.us("duration_us", duration_us)
    turns = -(-duration // every)
    check.few_enough("rotate.duration_us", turns, "change place less often or for a shorter time")
    times = [*(round(k * every / hot.tick_us) for k in range(turns)), FOREVER]
    first = [k * hot.n // n_places for k in range(n_places)]
    return hot.windows(
        Window(first[k % n_places], first[k % n_places] + hot.pages, on, off) for k, (on, off) in enumerate(pairwise(times))
    )


def exchange(
    n_pages: int,
    *,
    hot_pages: int,
    bytes_per_s: float | str,
    duration_us: int | str,
    hot_rate_hz: float,
    cold_rate_hz: float = 0.0,
    block_pages: int = 512,
    tick_us: int | str | None = None,
    seed: int = 0,
) -> Workload:
    """Return a hot set of constant size whose blocks are exchanged for cold ones at a rate.

    Each time a random hot block becomes cold and a random block that was cold becomes hot, so that as many bytes enter the
    hot set as leave it.

    Parameters
    ----------
    n_pages, hot_pages : int
        Pages in all, and hot ones, multiples of `block_pages`; the first ones are hot to begin with.
    bytes_per_s : float or str
        How much leaves the hot set per second; ``"171 MiB"`` is understood.
    duration_us : int or str
        Nothing is exchanged from this time on.
    hot_rate_hz, cold_rate_hz : float
        Touches per second of a hot and of any other page.
    block_pages : int
        Pages that change at once.
    tick_us : int or str, optional
        Length of a workload tick, by default at most 5 ms.
    seed : int
        Which blocks are exchanged.

    Returns
    -------
    Workload
        Groups ``"hot"`` and ``"cold"``, about two per block exchanged.

    Raises
    ------
    InputError
        If an argument is out of range, or the exchanges need too many groups.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> workload = tm.workload.exchange(
    ...     4096, hot_pages=1024, bytes_per_s="2 MiB", duration_us="5 s", hot_rate_hz=10
    ... )
    >>> int(tm.workload.hot_set(workload, "4 s", min_rate_hz=1).sum())
    1024
    """
    hot = _Hot("exchange", n_pages, hot_pages, hot_rate_hz, cold_rate_hz, tick_us)
    block, n_blocks, n_hot = hot.blocks(block_pages)
    if n_hot == n_blocks:
        raise InputError("exchange.hot_pages", "leave no cold pages to exchange with", "write a smaller number")
    seed = check.whole("exchange.seed", seed, 0, ULONG_MAX)
    times = hot.changes(block, bytes_per_s, duration_us)
    since = dict.fromkeys(range(n_hot), 0)
    warm, cool = list(range(n_hot)), list(range(n_hot, n_blocks))
    draw = iter(check.draws(2 * len(times), seed).tolist())
    out = []
    for now in times[1:-1]:
        leaving, entering = next(draw) % n_hot, next(draw) % len(cool)
        one, other = warm[leaving], cool[entering]
        out.append(Window(one * block, (one + 1) * block, since.pop(one), now))
        warm[leaving], cool[entering], since[other] = other, one, now
    out += [Window(b * block, (b + 1) * block, on, FOREVER) for b, on in since.items()]
    return hot.windows(iter(out))


def drift(
    n_pages: int,
    *,
    hot_pages: int,
    bytes_per_s: float | str,
    duration_us: int | str,
    hot_rate_hz: float,
    cold_rate_hz: float = 0.0,
    block_pages: int = 512,
    tick_us: int | str | None = None,
) -> Workload:
    """Return a hot window that slides up the pages at a rate, block by block, and wraps at the end.

    Parameters
    ----------
    n_pages, hot_pages : int
        Pages in all, and hot ones, multiples of `block_pages`; the first ones are hot to begin with.
    bytes_per_s : float or str
        Speed of the window; ``"171 MiB"`` is understood.
    duration_us : int or str
        The window stands still from this time on.
    hot_rate_hz, cold_rate_hz : float
        Touches per second of a hot and of any other page.
    block_pages : int
        Pages that change at once.
    tick_us : int or str, optional
        Length of a workload tick, by default at most 5 ms.

    Returns
    -------
    Workload
        Groups ``"hot"`` and ``"cold"``, about two per block that the window passes.

    Raises
    ------
    InputError
        If an argument is out of range, or the way needs too many groups.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> workload = tm.workload.drift(4096, hot_pages=1024, bytes_per_s="2 MiB", duration_us="5 s", hot_rate_hz=10)
    >>> int(tm.workload.hot_set(workload, "2 s", min_rate_hz=1).argmax())
    1024
    """
    hot = _Hot("drift", n_pages, hot_pages, hot_rate_hz, cold_rate_hz, tick_us)
    block, n_blocks, n_hot = hot.blocks(block_pages)
    times = hot.changes(block, bytes_per_s, duration_us)
    last = len(times) - 2  # after this many steps the window stands still
    out = []
    for k in range(last + n_hot):  # the k-th block counted on from the start, wherever it lies
        on = 0 if k < n_hot else times[k - n_hot + 1]
        off = times[k + 1] if k < last else FOREVER
        out.append(Window(k % n_blocks * block, (k % n_blocks + 1) * block, on, off))
    return hot.windows(iter(out))


def sequence(phases: Sequence[tuple[Workload, int | str]], *, tick_us: int | str | None = None, ends: bool = False) -> Workload:
    """Return workloads on the same pages one after another.

    Parameters
    ----------
    phases : sequence of (Workload, time)
        What is in force for how long, in microseconds or as text with a unit. Placement, mappings and memory cgroups are
        taken from the first.
    tick_us : int or str, optional
        Length of a workload tick, by default at most 5 ms; those of the phases must be the same if they are set.
    ends : bool
        Touch nothing after the last phase; otherwise it goes on for ever.

    Returns
    -------
    Workload
        Each phase's own times count from its beginning; beginnings are rounded to ticks.

    Raises
    ------
    InputError
        If a phase is shorter than half a tick, has other pages or another tick, or touches by page number and tick
        (``"hash"``).

    Examples
    --------
    >>> import tieringmodel as tm
    >>> calm, busy = (tm.workload.uniform(100, rate_hz=rate) for rate in (1, 9))
    >>> workload = tm.workload.sequence([(calm, "1 s"), (busy, "1 s")])
    >>> tm.workload.access_rate_hz(workload, "1.5 s")
    900.0
    """
    tick = check.tick("sequence.tick_us", tick_us)
    pairs = isinstance(phases, Sequence) and all(isinstance(p, (tuple, list)) and len(p) == 2 for p in phases)
    if not pairs or not all(isinstance(p[0], Workload) for p in phases):
        raise InputError(
            "sequence.phases", f"{said(phases)} is no list of workloads and their times", "write [(workload, '1 s')]"
        )
    if not phases:
        raise InputError("sequence.phases", "is empty", "give at least one workload and its time")
    first = phases[0][0]
    groups: list[Group] = []
    now_us = 0
    for i, (one, length) in enumerate(phases):
        where = f"sequence.phases[{i}]"
        if (one.n_pages, one.tick_us or tick) != (first.n_pages, tick):
            text = f"has {one.n_pages} pages and ticks of {one.tick_us} us, not {first.n_pages} and {tick}"
            raise InputError(where, text, "build all phases on the same pages and with the same tick")
        begin, now_us = round(now_us / tick), now_us + check.span_us(where, length, 1)
        end = round(now_us / tick)
        if end == begin:
            raise InputError(where, f"{length} is shorter than half a tick of {tick} us", "make it longer")
        last = i + 1 == len(phases) and not ends
        groups += _shifted(one.groups, begin, FOREVER if last else end, where)
    check.few_enough("sequence.phases", len(groups), "use fewer phases or groups")
    chosen = tick_us is not None or any(one.tick_us and one.tick_chosen for one, _ in phases)
    return first.replace(groups=tuple(groups), tick_us=tick, tick_chosen=chosen)


def _shifted(groups: Sequence[Group], begin: int, end: int, where: str) -> Iterator[Group]:
    for i, g in enumerate(groups):
        if g.kind == "hash":
            raise InputError(f"{where}.groups[{i}].kind", "'hash' depends on the tick", "use rates or periods")
        start, stop = g.start_tick + begin, min(g.end_tick + begin, end)
        if start < stop:
            yield g.replace(start_tick=start, end_tick=stop, phase=(g.phase - begin) % g.period)
