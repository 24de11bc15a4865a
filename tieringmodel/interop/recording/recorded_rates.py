"""What the recorded workload really did: a loaded machine makes it skip ticks, and the counters of touches say how many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InputError
from ...scenario import Group

if TYPE_CHECKING:
    from .read import Recording


def recorded_groups(recording: Recording, groups: Sequence[Group], tick_ms: float) -> Iterator[Group]:
    """Yield groups that touch as often as the recorded ones did, from one row of the record to the next.

    The record says how many touches fell between two rows, not when. A segment that is touched at random keeps its
    distribution at the measured rate. One that is touched in every tick misses ticks as evenly as can be: its touches
    come in a mixture of two neighbouring periods. Before the first and after the last row a group is as configured.

    Parameters
    ----------
    recording : Recording
        With a periodic record.
    groups : sequence of Group
        As configured; ``name`` is the segment's.
    tick_ms : float
        The workload's tick.

    Raises
    ------
    InputError
        If there is no record, or a counter falls.
    """
    record = recording.record
    if record is None:
        raise InputError(str(recording.path), "has no record.csv to take rates from", "pass recorded_rates=False")
    edges = np.rint(np.asarray(record["t_ms"], np.float64) / tick_ms).astype(np.int64).tolist()
    for group in groups:
        touches = np.asarray(record[f"{group.name}_touches"], np.float64) / (group.hi - group.lo)
        if (np.diff(touches) < 0).any():
            row = int(np.argmax(np.diff(touches) < 0)) + 1
            raise InputError(record.where(row), f"{group.name}_touches falls", "give counts since the start")
        yield from _between(group, 0, edges[0])
        for (first, end), per_page in zip(pairwise(edges), np.diff(touches).tolist(), strict=True):
            a, b = max(first, group.start_tick), min(end, group.end_tick)
            if b <= a:
                continue
            if group.kind == "rate":
                if per_page > 0:
                    yield group.replace(start_tick=a, end_tick=b, rate_hz=per_page / ((b - a) * tick_ms / 1_000))
            else:
                yield from _spread(group, a, b, round(per_page))
        yield from _between(group, edges[-1], group.end_tick)


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
