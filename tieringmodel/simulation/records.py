"""The rows of a run's record while it goes on: kernels and Python append to the same arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels import records as rows
from ..kernels._bundle import addresses
from ..kernels.records import COUNT, SETTLED, SINCE_NS, UNTIL_NS, Kept, Words
from ..units import LONG_MAX

CONTEXT = ("nr_regions", "sample_us", "asleep_us", "stage")
"""What a row holds of each context itself."""
ROOM, MOST_AT_FIRST = 64, 4096
"""Rows at the start, at least and at most."""
MOST_BYTES = 128 << 20
"""All rows together, but for so few that they say nothing (`ROOM`): 1.9 h of two schemes that aggregate every 100 ms."""


class Records:
    """Rows of one layout, the time of each, and what they are copied from.

    Parameters
    ----------
    layout : dtype
        Fields of a row, 64 bits each.
    contexts : int
        Number of contexts.
    classes : int
        Number of page classes.
    room : int
        Rows that there is room for at the start; it doubles when it is used up.
    most : int
        Rows that are kept at most, fewer than `MOST_BYTES` hold; 0 for as many as that.
    """

    def __init__(self, layout: np.dtype[Any], contexts: int, classes: int, room: int = ROOM, most: int = 0) -> None:
        self.layout, self.most = layout, max(min(MOST_BYTES // layout.itemsize, most or MOST_BYTES), ROOM)
        self.context = np.zeros((contexts, len(CONTEXT)), np.int64)
        self.rates_hz = np.zeros(classes)
        self._state = np.zeros(4, np.int64)
        self._table, self._time, self._log_at = np.zeros(0, layout), np.zeros(0), np.zeros(0, np.int64)
        self._parts: Sequence[npt.NDArray[Any]] = ()
        self._words: list[Words] = []
        self.sources = addresses([[Words(np.zeros(0, np.uint64))]])
        self._grow(min(max(room, ROOM), MOST_AT_FIRST))

    def __len__(self) -> int:
        return int(self._state[COUNT])

    @property
    def table(self) -> npt.NDArray[Any]:
        """The rows, of `layout`."""
        return self._table[: len(self)]

    @property
    def time_s(self) -> npt.NDArray[np.float64]:
        """The simulated time of each row, seconds."""
        return self._time[: len(self)]

    @property
    def log_at(self) -> npt.NDArray[np.int64]:
        """The length of the log of moves at each row."""
        return self._log_at[: len(self)]

    @property
    def full(self) -> bool:
        """Whether there are as many rows as may be."""
        return len(self) >= self.most

    def _grow(self, capacity: int) -> None:
        n, capacity = len(self), min(capacity, self.most)
        table, time_s, log_at = np.zeros(capacity, self.layout), np.zeros(capacity), np.zeros(capacity, np.int64)
        table[:n], time_s[:n], log_at[:n] = self._table[:n], self._time[:n], self._log_at[:n]
        self._table, self._time, self._log_at = table, time_s, log_at
        self.kept = Kept(table.view(np.uint64), time_s, log_at, self._state, self.context.reshape(-1))

    def copy_from(self, parts: Sequence[npt.NDArray[Any]]) -> None:
        """Let rows consist of these arrays, in this order."""
        if len(parts) != len(self._parts) or any(a is not b for a, b in zip(parts, self._parts, strict=True)):
            self._parts = list(parts)
            self._words = [Words(np.asarray(part).reshape(-1).view(np.uint64)) for part in parts]
            self.sources = addresses([[one] for one in self._words])

    def rates_hold(self, since_ns: int, until_ns: int) -> None:
        """Note between which times `rates_hz` are right: kernels keep rows then only."""
        self._state[SINCE_NS], self._state[UNTIL_NS] = max(since_ns, -LONG_MAX), min(until_ns, LONG_MAX)

    def settled(self, rows: int) -> None:
        """Note that so many rows know their moves."""
        self._state[SETTLED] = rows

    def append(self, time_s: float, row: npt.NDArray[Any] | None = None, log_length: int = 0) -> None:
        """Add a row: `row`, or what the arrays that it is copied from hold now."""
        n = len(self)
        if n == len(self._time):
            self._grow(max(2 * n, ROOM))
        rows.keep(self.kept, self.sources if row is None else self.sources[:0], time_s, log_length)
        if row is not None:
            self._table[n] = row

    def drop_last(self) -> None:
        """Forget the last row."""
        self._state[COUNT] -= 1
        self.settled(min(len(self), int(self._state[SETTLED])))

    def keep_only(self, at: npt.NDArray[np.int64]) -> None:
        """Forget all rows but these, in order; all know their moves."""
        n = at.size
        self._table[:n], self._time[:n] = self._table[at], self._time[at]
        self._state[COUNT] = n
        self.settled(n)

    def replace(self, table: npt.NDArray[Any], time_s: npt.NDArray[np.float64]) -> None:
        """Hold these rows and no others."""
        self._state[COUNT] = 0
        self._grow(max(len(table), ROOM))
        self._table[: len(table)], self._time[: len(table)] = table, time_s
        self._state[COUNT] = len(table)
        self.settled(len(table))


def last_of_each(every_ns: int, time_s: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return which rows are the last ones of their interval, int64 (n,); an interval holds its end, not its beginning."""
    if not every_ns:
        return np.arange(time_s.size)
    interval = -(np.rint(time_s * -1e9).astype(np.int64) // every_ns)
    return np.flatnonzero(np.diff(interval, append=np.iinfo(np.int64).max))


class NoRecords:
    """What an observer that keeps no rows hands to kernels."""

    def __init__(self) -> None:
        nothing = np.zeros(0, np.int64)
        self.kept = Kept(np.zeros(0, np.uint64), np.zeros(0), nothing, np.zeros(4, np.int64), nothing)
        self._words = Words(np.zeros(0, np.uint64))
        self.sources = addresses([[self._words]])
