"""From windows in which pages are hot to groups that tile pages and time."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from ..scenario import Group, Workload
from ..units import FOREVER
from . import arguments as check


class Window(NamedTuple):
    """Pages ``lo`` … ``hi`` - 1 are hot from tick ``on`` up to tick ``off``."""

    lo: int
    hi: int
    on: int
    off: int


def hot_windows(
    n_pages: int,
    windows: Iterable[Window],
    hot_rate_hz: float,
    cold_rate_hz: float,
    tick_us: int,
    where: str,
    tick_chosen: bool = True,
) -> Workload:
    """Return the workload in which each page is touched at the hot rate inside its windows and at the cold one outside.

    At every tick each page belongs to exactly one of the groups ``"hot"`` and ``"cold"`` (to none if that rate is 0).
    """
    groups: list[Group] = []
    for lo, hi, hot in _runs(n_pages, windows):
        if hot_rate_hz:
            groups += [Group(lo, hi, rate_hz=hot_rate_hz, start_tick=a, end_tick=b, name="hot") for a, b in hot]
        if cold_rate_hz:
            gaps = zip((0, *(b for _, b in hot)), (*(a for a, _ in hot), FOREVER), strict=True)
            groups += [Group(lo, hi, rate_hz=cold_rate_hz, start_tick=a, end_tick=b, name="cold") for a, b in gaps if a < b]
        check.few_enough(where, len(groups), "use larger blocks, fewer changes or a shorter duration")
    return Workload(n_pages, tuple(groups), tick_us=tick_us, tick_chosen=tick_chosen)


def _runs(n_pages: int, windows: Iterable[Window]) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """Yield runs of pages that are hot at the same times, with those times."""
    starts: dict[int, list[tuple[int, int]]] = {}
    ends: dict[int, list[tuple[int, int]]] = {}
    for lo, hi, on, off in windows:
        if on < off:
            starts.setdefault(lo, []).append((on, off))
            ends.setdefault(hi, []).append((on, off))
    active: list[tuple[int, int]] = []
    run: tuple[int, int, list[tuple[int, int]]] | None = None
    for lo, hi in pairwise(sorted({0, n_pages, *starts, *ends})):
        for span in ends.get(lo, ()):
            del active[bisect_left(active, span)]
        for span in starts.get(lo, ()):
            insort(active, span)
        hot = _joined(active)
        if run and run[2] == hot:
            run = (run[0], hi, hot)
        else:
            if run:
                yield run
            run = (lo, hi, hot)
    if run:
        yield run


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join sorted spans of time that touch or overlap."""
    out: list[tuple[int, int]] = []
    for on, off in spans:
        if out and on <= out[-1][1]:
            out[-1] = (out[-1][0], max(off, out[-1][1]))
        else:
            out.append((on, off))
    return out
