"""Which moves of pages are undone, and after how many windows: counted while a run goes on, in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels import returns
from ..memory.need import check_bytes
from ..stored import same_kind
from ..units import MIB

MAX_LAG = 32
MOST_HEADS = 2**24
"""Pages for which the list of moves is threaded page by page; of more it is sorted."""
MOVES, RECORDS = 1 << 20, 1 << 12
"""Moves and records that are kept before what is too old to be undone in time is counted and let go."""
BYTES_OF_A_MOVE = 8 + 8 + 8 + 4 + 4
"""Kept, and while they are counted: joined, its record, its page, the next move of the page and the first one."""
CHECKED_FROM = 256 * MIB


class Returns:
    """Which moves are undone, and after how many windows.

    A page that leaves a for b is back when it next reaches a; the time in between, in windows and rounded, is the lag. Moves
    are kept until no later one can undo them within `MAX_LAG`; of those before, counts are.

    Parameters
    ----------
    window_s : float
        Length of a window, the unit of a lag.
    nodes : int
        Nodes of the machine.
    """

    def __init__(self, window_s: float, nodes: int = 1) -> None:
        self.window_s = window_s
        self.moves: list[npt.NDArray[np.uint64]] = []
        """Of the last records: of all, until the first are let go."""
        self.times_s: list[float] = []
        self.rows: list[int] = []
        """Time of each of these, and the row that it belongs to: several may share one (`Recorder`)."""
        self.lost = self.let_go = 0
        self.counts = np.zeros((0, MAX_LAG + 1), np.int64)
        """Moves undone of those let go, by row and lag."""
        self.left = np.zeros(nodes, np.int64)
        self._size, self._most, self._records = 0, MOVES, RECORDS

    def __len__(self) -> int:
        """How many records there were, counting those let go."""
        return self.let_go + len(self.moves)

    def add(self, log: npt.NDArray[np.uint64], lost: int, time_s: float, row: int) -> None:
        """Append the moves of one record, and how many of them are lost."""
        self.lost += lost
        self.moves.append(log[:0] if self.lost else log)
        self.times_s.append(time_s)
        self.rows.append(row)
        self._size += self.moves[-1].size
        if self._size > self._most or len(self.moves) > self._records:
            self._let_go()

    def pop(self) -> npt.NDArray[np.uint64]:
        """Forget the last record; return its moves."""
        self.times_s.pop()
        self.rows.pop()
        log = self.moves.pop()
        self._size -= log.size
        return log

    def thin(self, to: npt.NDArray[np.int64]) -> None:
        """Let row k be part of row ``to[k]``, which does not fall."""
        counts = np.zeros((int(to[-1]) + 1, MAX_LAG + 1), np.int64)
        np.add.at(counts, to[: len(self.counts)], self.counts)
        self.counts = counts
        self.rows = to[self.rows].tolist()

    def table(self, rows: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return counts of moves undone, -1 everywhere if moves were lost.

        By row and lag, int64 (rows, MAX_LAG + 1), and by the node that the pages left again, int64 (nodes,).
        """
        out, left = np.zeros((rows, MAX_LAG + 1), np.int64), self.left.copy()
        if self.lost:
            out[:] = left[:] = -1
            return out, left
        out[: len(self.counts)] = self.counts
        self._count(len(self.moves), out, left)
        return out, left

    def _let_go(self) -> None:
        """Count the moves of records that are too old for a later one to undo theirs in time, and forget them."""
        age = np.rint((self.times_s[-1] - np.array(self.times_s)) / self.window_s)
        old = int(np.searchsorted(-age, -MAX_LAG))  # times never fall
        if old:
            rows = self.rows[old - 1] + 1
            if rows > len(self.counts):
                self.counts = np.concatenate((self.counts, np.zeros((rows - len(self.counts), MAX_LAG + 1), np.int64)))
            self._count(old, self.counts, self.left)
            del self.moves[:old], self.times_s[:old], self.rows[:old]
            self.let_go += old
        self._set_size()

    def _set_size(self) -> None:
        """Say when to look again: what must stay may double before."""
        self._size = sum(m.size for m in self.moves)
        self._most, self._records = max(MOVES, 2 * self._size), max(RECORDS, 2 * len(self.moves))
        if (needed := self._most * BYTES_OF_A_MOVE) > CHECKED_FROM:
            check_bytes("log_moves", needed, f"the moves of {MAX_LAG} windows take", "run without a log of moves")

    def _count(self, until: int, out: npt.NDArray[np.int64], left: npt.NDArray[np.int64]) -> None:
        """Add the moves of the first `until` records that are undone to rows and nodes."""
        sizes = [m.size for m in self.moves]
        log = np.concatenate([np.zeros(0, np.uint64), *self.moves])
        if not log.size:
            return
        record = np.repeat(np.arange(len(sizes)), sizes)
        following = np.full(log.size, -1, np.int32)
        pages = (log & np.uint64(0xFFFFFFFF)).astype(np.int64)
        if pages.max() < MOST_HEADS:
            returns.next_moves(log, np.full(int(pages.max()) + 1, -1, np.int32), following)
        else:
            order = np.argsort(pages, kind="stable")
            same = pages[order[1:]] == pages[order[:-1]]
            following[order[:-1][same]] = order[1:][same]
        rows, times = np.array(self.rows), np.array(self.times_s)
        returns.count_undone(log, following, record, times, self.window_s, sum(sizes[:until]), rows, out, left)

    def state(self) -> dict[str, Any]:
        """Return what it remembers, as plain data and arrays: few large ones, however many records there are."""
        return {
            "moves": np.concatenate([np.zeros(0, np.uint64), *self.moves]),
            "moves_of": np.array([m.size for m in self.moves], np.int64),
            "times_s": np.array(self.times_s, np.float64),
            "rows": np.array(self.rows, np.int64),
            "counts": self.counts,
            "left": self.left,
            "lost": self.lost,
            "let_go": self.let_go,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned.

        Raises
        ------
        KeyError, TypeError, ValueError
            If something is missing, or not a record of such a run.
        """
        sizes = state["moves_of"]
        n = sizes.size
        self.moves = np.split(state["moves"], np.cumsum(sizes)[:-1]) if n else []
        self.times_s = same_kind(state["times_s"], "times_s", np.float64, (n,)).tolist()
        self.rows = same_kind(state["rows"], "rows", np.int64, (n,)).tolist()
        self.counts = same_kind(state["counts"], "counts", np.int64, (len(state["counts"]), MAX_LAG + 1)).copy()
        self.left = same_kind(state["left"], "left", np.int64, self.left.shape).copy()
        self.lost, self.let_go = state["lost"], state["let_go"]
        self._set_size()
