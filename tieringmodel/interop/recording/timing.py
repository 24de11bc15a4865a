"""What happened when in a recorded run: touches of pages within the workload's ticks, and samples within aggregations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...scenario import Group
from .tables import Table

PARTS = 10
"""In how many parts a workload's tick is counted where its pages have turns within it."""


class Turns(NamedTuple):
    """How long it takes to touch all pages of a tick.

    Attributes
    ----------
    of_segment : mapping of (str, int) to (float, float)
        By segment and tick from which on it is touched: when its turn begins and how long it lasts, in parts of a tick.
    """

    of_segment: Mapping[tuple[str, int], tuple[float, float]]

    def at(self, group: Group, of: Group | None = None) -> Group:
        """Return a group with a period, counted in parts of ticks, with its turn; `of` is the group that it is a part of."""
        begin, lasts = self.of_segment.get(((of or group).name, (of or group).start_tick), (0.0, 0.0))
        phase = -round(begin) % group.period
        swept = min(round(lasts), group.period) if group.kind == "period" else 0
        return group.replace(phase=phase, sweep_ticks=swept) if lasts else group


def turns_of(record: Table | None, groups: Sequence[Group], tick_ms: float) -> Turns | None:
    """Return how long the ticks of a recorded workload took, None where that is not known.

    A workload that has not done with a tick when the next ones begin leaves those out (``missed_ticks``). On average a tick
    ends in the middle of one: it takes what lies between two that were taken, less half a tick. Segments have turns in the
    order of the layout, as long as what is touched of each. Of a workload that missed none nothing is known.

    In which order a segment's pages are touched the record does not say: it is assumed to be that of their addresses. Where
    migration has scattered them, counts of neighbouring regions then differ as independent draws do, which is what is
    recorded at the end of E3 (standard deviation 2.2 … 2.5 of 20 samples, of a binomial 2.24) and not at its begin (1.3 … 1.8).

    Parameters
    ----------
    record : Table or None
        With ``ticks`` and ``missed_ticks``.
    groups : sequence of Group
        As configured, in workload ticks.
    tick_ms : float
        The workload's tick.
    """
    if record is None or "missed_ticks" not in record or not record.n_rows or tick_ms * 1_000 % PARTS:
        return None
    ticks, missed = (float(record[name][-1]) - float(record[name][0]) for name in ("ticks", "missed_ticks"))
    if ticks <= 0 or missed <= 0 or not any(g.kind == "period" for g in groups):
        return None
    lasts = PARTS * ((ticks + missed) / ticks - 0.5)
    turns: dict[tuple[str, int], tuple[float, float]] = {}
    for start in sorted({g.start_tick for g in groups}):
        at_work = [g for g in groups if g.start_tick <= start < g.end_tick]
        touched = [(g.hi - g.lo) * min(g.touch_rate_hz(round(tick_ms * 1_000)) * tick_ms / 1_000, 1.0) for g in at_work]
        edges = np.cumsum([0.0, *touched]) / max(sum(touched), 1.0) * lasts
        for g, begin, end in zip(at_work, edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            turns.setdefault((g.name, g.start_tick * PARTS), (begin, end - begin))
    return Turns(turns)


def recorded_groups(record: Table, groups: Sequence[Group], tick_ms: float, turns: Turns | None = None) -> Iterator[Group]:
    """Yield groups that touch as often as the recorded ones did, from one row of the record to the next.

    The record says how many touches fell between two rows, not when. Between rows in which no tick ended one was going on, and
    its touches are in the next row: such rows are left out. A segment that is touched at random keeps its distribution at the
    measured rate. One that is touched in every tick misses ticks as evenly as can be: its touches come in a mixture of two
    neighbouring periods. With turns a segment that is touched at random has them in the ticks that were taken. Before the
    first and after the last row a group is as configured.

    Parameters
    ----------
    record : Table
        The periodic record.
    groups : sequence of Group
        As configured; ``name`` is the segment's.
    tick_ms : float
        The workload's tick, or the part of it in which groups are counted.
    turns : Turns or None
        How long it takes to touch all pages.

    Raises
    ------
    InputError
        If a counter falls.
    """
    ended = _ended(record)
    edges = np.rint(np.asarray(record["t_ms"], np.float64)[ended] / tick_ms).astype(np.int64).tolist()
    for group in groups:
        random, touches = group.kind == "rate", np.asarray(record[f"{group.name}_touches"], np.float64)[ended]
        per_page = np.diff(touches / (group.hi - group.lo))
        if (per_page < 0).any():
            row = int(ended[int(np.argmax(per_page < 0)) + 1])
            raise InputError(record.where(row), f"{group.name}_touches falls", "give counts since the start")
        taken = np.diff(record["ticks"].astype(np.int64)[ended]) if turns and random else np.rint(per_page)
        yield from _between(group, 0, edges[0])
        for (first, end), wanted, touched in zip(pairwise(edges), taken.tolist(), per_page.tolist(), strict=True):
            a, b = max(first, group.start_tick), min(end, group.end_tick)
            if b <= a or touched <= 0:
                continue
            now = group.replace(rate_hz=touched / ((b - a) * tick_ms / 1_000)) if random else group
            if random and not turns:
                yield now.replace(start_tick=a, end_tick=b)
                continue
            for part in _spread(now, a, b, int(wanted)):
                yield turns.at(part, group) if turns else part
        yield from _between(group, edges[-1], group.end_tick)


def _ended(record: Table) -> npt.NDArray[np.int64]:
    """Return the rows before which a tick ended since the row before, with the first and the last one."""
    rows = np.arange(len(record["t_ms"]))
    if "ticks" not in record or rows.size < 3:
        return rows
    ended = np.diff(record["ticks"].astype(np.int64)) != 0
    return rows[np.concatenate(([True], ended[:-1], [True]))]


def _between(group: Group, first: int, end: int) -> Iterator[Group]:
    """Yield the part of a group in [first, end), if there is any."""
    a, b = max(first, group.start_tick), min(end, group.end_tick)
    if b > a:
        yield group.replace(start_tick=a, end_tick=b)


def _spread(group: Group, a: int, b: int, wanted: int) -> Iterator[Group]:
    """Yield parts that touch about `wanted` times in [a, b): with period p up to some tick, with p + 1 from there on."""
    ticks = b - a
    if wanted <= 0:
        return
    wanted = min(wanted, -(-ticks // group.period))
    p = ticks // wanted
    # `often` ticks with period p and the others with p + 1: often / p + (ticks - often) / (p + 1) = wanted
    often = min(max(round((wanted - ticks / (p + 1)) * p * (p + 1)), 0), ticks)
    if often:
        yield group.replace(start_tick=a, end_tick=a + often, period=p)
    if often < ticks:
        yield group.replace(start_tick=a + often, end_tick=b, period=p + 1)


def last_samples_us(ends_us: Sequence[int], applies: Table | None, schemes: Sequence[int]) -> tuple[int, ...]:
    """Return when each aggregation's last sample was, in microseconds like `ends_us`; () where the record does not tell.

    Linux tells of an aggregation (``damon_aggregated``) when its schemes have acted, so time that they took lies between the
    last sample and that. How much it was nobody says: samples are taken to last as long as in the aggregation before in
    which no scheme did anything, the first such one where there is none before. In E3 one without lasts 145 ms, and one in
    which 8 MiB migrate 301 ms (medians).

    Parameters
    ----------
    ends_us : sequence of int
        Ends of aggregations, ascending.
    applies : Table or None
        Statistics of schemes, cumulative: ``t_ms``, ``scheme``, ``sz_applied``.
    schemes : sequence of int
        Schemes whose action takes time.
    """
    if applies is None or not schemes:
        return ()
    ends = np.array((0, *ends_us), np.int64)
    lasts, acted = np.diff(ends), np.zeros(len(ends_us), np.bool_)
    for scheme in schemes:
        mine = np.flatnonzero(np.asarray(applies["scheme"]) == scheme)
        applied = np.asarray(applies["sz_applied"], np.float64)[mine]
        at_us = np.asarray(applies["t_ms"], np.float64)[mine[np.diff(applied, prepend=0.0) > 0]] * 1_000
        found = np.searchsorted(ends, at_us, side="left") - 1
        acted[found[(found >= 0) & (found < acted.size)]] = True
    idle = np.flatnonzero(~acted)
    if not idle.size or not acted.any():
        return ()
    before = np.maximum(np.searchsorted(idle, np.arange(acted.size), side="right") - 1, 0)
    sampled = np.where(acted, np.minimum(lasts, lasts[idle[before]]), lasts)
    return tuple((ends[:-1] + sampled).tolist())
