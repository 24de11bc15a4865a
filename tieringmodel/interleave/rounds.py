"""The synchronous round: choose from the start state, move in ascending old PFN, return freed frames afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..kernels import placement as kernels
from .frames import free_frames
from .rules import FRAMES, Nodes, Rules, round_key
from .setup import Setup

HISTORY_CELLS = 2**28
RETURN_LAGS = 128


@dataclass(frozen=True)
class Outcome:
    """What a run leaves behind.

    Attributes
    ----------
    occupancy : int64 array (round, node)
        Pages per node after that many rounds.
    moved : int64 array (round)
        Pages moved by that round.
    node : uint8 array (round, page) or None
        Where every page was; kept up to `HISTORY_CELLS` cells.
    returns : uint32 array (round, lag) or None
        Kept instead of `node`: moves of that round whose page first came back to its origin `lag` rounds later.
    pfn : int64 array (page) or None
        Final frames, if the run had to know them.
    """

    occupancy: NDArray[np.int64]
    moved: NDArray[np.int64]
    node: Nodes | None
    returns: NDArray[np.uint32] | None
    pfn: NDArray[np.int64] | None


def exhausted(node: int, setup: Setup, round_number: int) -> InputError:
    """Return the error of a fresh allocator without unused frames."""
    return InputError(
        "frames" if setup.frames is None else f"frames[{node}]",
        f"all {setup.frame_counts[node]} frames of node {node} have been used by round {round_number}",
        "give more frames, or an allocator that reuses them (fifo, lifo, random)",
    )


class UnusedOnly:
    """Frames of a run whose outcome does not depend on them: only a fresh allocator's supply is counted."""

    pfn = None
    order = None

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.unused = list(setup.frame_counts)
        self.unused[setup.start_node] -= setup.n_pages
        self.may_end = setup.allocator == "fresh" and min(self.unused) < setup.n_pages * setup.rounds

    def move(self, round_number: int, before: Nodes, after: Nodes) -> None:
        """Use up one frame per arrival."""
        if not self.may_end:
            return
        arrivals = np.bincount(after[before != after], minlength=self.setup.nodes)
        for node, count in enumerate(arrivals):
            self.unused[node] -= int(count)
            if self.unused[node] < 0:
                raise exhausted(node, self.setup, round_number)


class Frames:
    """Which page is on which frame, and the free frames of every node.

    Attributes
    ----------
    pfn : int64 array (page)
        Frame of each page; node i's frames follow node i - 1's.
    order : intp array (page)
        Pages by ascending frame.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        n, start = setup.n_pages, setup.start_node
        bases = [0, *accumulate(setup.frame_counts)]
        self.bases = np.array(bases, np.int64)
        self.pfn = np.arange(bases[start], bases[start] + n, dtype=np.int64)
        self.order = np.arange(n, dtype=np.intp)
        self._spare = np.empty_like(self.order)
        self.free = [
            free_frames(
                setup.allocator,
                bases[i],
                n if i == start else 0,
                count,
                n_pages=n,
                rounds=setup.rounds,
                key=int(round_key(setup.seed, FRAMES + i, 0)),
            )
            for i, count in enumerate(setup.frame_counts)
        ]

    def move(self, round_number: int, before: Nodes, after: Nodes) -> None:
        """Give every page with ``after != before`` a frame on its new node, or take the wish back in `after`."""
        movers = self.order[(before != after)[self.order]]
        if not movers.size:
            return
        wanted = after[movers]
        arrivals, frames = [], []
        for node, free in enumerate(self.free):
            wishing = movers[wanted == node]
            room = min(wishing.size, free.available())
            if room < wishing.size:
                if self.setup.allocator == "fresh":
                    raise exhausted(node, self.setup, round_number)
                after[wishing[room:]] = before[wishing[room:]]
            arrivals.append(wishing[:room])
            frames.append(free.take(room))
        left = before != after
        freed = self.pfn[movers[left[movers]]]
        for node_arrivals, new in zip(arrivals, frames, strict=True):
            self.pfn[node_arrivals] = new
        for free, low, high in zip(self.free, *self._slices(freed), strict=True):
            free.give(freed[low:high])
        came = np.concatenate(arrivals)
        came = came[np.argsort(self.pfn[came])]
        kernels.merge_by_frame(self.order, left, self.pfn, came, self._spare)
        self.order, self._spare = self._spare, self.order

    def _slices(self, ascending: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        cuts = np.searchsorted(ascending, self.bases)
        return cuts[:-1], cuts[1:]


def play(setup: Setup, *, keep_frames: bool = False, history_cells: int = HISTORY_CELLS) -> Outcome:
    """Run all rounds of `setup`.

    Parameters
    ----------
    setup : Setup
        The run.
    keep_frames : bool
        Follow frames although the outcome does not depend on them.
    history_cells : int
        Keep every page's node up to this many (round, page) cells, returns by lag above.

    Returns
    -------
    Outcome
        Same setup, same bits, whatever the other two arguments are.

    Raises
    ------
    InputError
        If a fresh allocator runs out of unused frames.
    """
    n, rounds, nodes = setup.n_pages, setup.rounds, setup.nodes
    rules = Rules(setup)
    frames = Frames(setup) if keep_frames or setup.needs_frames else UnusedOnly(setup)
    keep = (rounds + 1) * n <= history_cells
    rows = np.empty((rounds + 1 if keep else 2, n), np.uint8)
    rows[0] = setup.start_node
    returns = None if keep else np.zeros((rounds + 1, RETURN_LAGS + 1), np.uint32)
    left_in = None if keep else np.zeros((n, nodes), np.int32)
    occupancy = np.zeros((rounds + 1, nodes), np.int64)
    occupancy[0, setup.start_node] = n
    moved = np.zeros(rounds + 1, np.int64)
    for t in range(1, rounds + 1):
        before, after = rows[(t - 1) % len(rows)], rows[t % len(rows)]
        rules.send(t, before, frames.pfn, frames.order, after)
        frames.move(t, before, after)
        changed = before != after
        moved[t] = np.count_nonzero(changed)
        occupancy[t] = [np.count_nonzero(after == i) for i in range(nodes)]
        rules.rest(changed, t)
        if returns is not None:
            kernels.count_returns(before, after, t, left_in, returns)
    return Outcome(occupancy, moved, rows if keep else None, returns, frames.pfn)
