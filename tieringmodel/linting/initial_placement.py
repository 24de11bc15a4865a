"""Where a workload's pages lie at the start: exact counts by node, without laying them out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from ..scenario import Scenario
from ..units import PAGE_SZ


class Run(NamedTuple):
    """Logical pages ``lo`` … ``hi`` - 1, dealt to nodes in turn.

    Page ``lo + j`` belongs to the node (a machine's index) whose interval of the cumulated weights holds
    ``(first + j)`` modulo their sum. ``start_bytes`` is the first page's address where the scenario names one.
    """

    lo: int
    hi: int
    first: int
    weights: tuple[int, ...]
    nodes: tuple[int, ...]
    start_bytes: int | None = None

    def counts(self, lo: int, hi: int, n_nodes: int) -> list[int]:
        """Return how many of pages lo … hi - 1 this run puts on each node."""
        a, b = max(lo, self.lo) - self.lo, min(hi, self.hi) - self.lo
        out = [0] * n_nodes
        if a < b:
            upto, before = (dealt(self.first + k, self.weights) for k in (b, a))
            for node, more, less in zip(self.nodes, upto, before, strict=True):
                out[node] += more - less
        return out


def dealt(n: int, weights: tuple[int, ...]) -> list[int]:
    """Return how many of the offsets 0 … n - 1 fall into each weight's interval."""
    total = sum(weights)
    laps, rest = divmod(n, total)
    starts = accumulate(weights, initial=0)
    return [laps * w + min(max(rest - start, 0), w) for w, start in zip(weights, starts, strict=False)]


class Places:
    """The initial placement of a scenario, by the rules of `PhysicalMemory`.

    Attributes
    ----------
    runs : list of Run
        In order of logical pages.
    free : list of int
        Free pages per node.
    cache : list of int
        LRU pages per node that belong to no workload.
    overfull : list of int
        Pages per node for which the placement leaves no room: of ``cache_bytes`` and ``offline_bytes``.
    outside : list of int
        Placements whose address range is not inside one node; their pages are counted on the named node.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.nodes = scenario.machine.nodes
        self.free = [n.sz_bytes // PAGE_SZ for n in self.nodes]
        self.runs: list[Run] = []
        self.outside: list[int] = []
        index = {n.nid: i for i, n in enumerate(self.nodes)}
        workload = scenario.workload
        places = workload.placement
        node_of: dict[int, int] = {}
        for k, place in enumerate(places):
            if place.start_bytes is None:
                continue
            node = self._node_of(place.start_bytes, (place.hi - place.lo) * PAGE_SZ)
            if node is None:
                self.outside.append(k)
                node = index.get(place.nid, 0)
            node_of[k] = node
            self._put(Run(place.lo, place.hi, 0, (1,), (node,), place.start_bytes))
        for i, n in enumerate(self.nodes):
            self.free[i] = max(self.free[i] - (n.unmanaged_bytes + n.kernel_bytes) // PAGE_SZ, 0)
        if not places:
            self._fill(0, workload.n_pages, 0)
        for k, place in enumerate(places):
            if place.weights:
                self._deal(place.lo, place.hi, place.weights)
            elif k not in node_of:
                self._fill(place.lo, place.hi, index[place.nid])
        wanted = [(n.cache_bytes + n.offline_bytes) // PAGE_SZ for n in self.nodes]
        self.overfull = [max(want - free, 0) for want, free in zip(wanted, self.free, strict=True)]
        self.cache = [min(n.cache_bytes // PAGE_SZ, free) for n, free in zip(self.nodes, self.free, strict=True)]
        self.free = [max(free - want, 0) for free, want in zip(self.free, wanted, strict=True)]
        self.runs.sort()
        self._starts = [r.lo for r in self.runs]

    def on_nodes(self, lo: int, hi: int) -> list[int]:
        """Return how many of logical pages lo … hi - 1 start on each node (indices of the machine)."""
        out = [0] * len(self.nodes)
        for k in self.overlapping(lo, hi):
            for i, n in enumerate(self.runs[k].counts(lo, hi, len(out))):
                out[i] += n
        return out

    def overlapping(self, lo: int, hi: int) -> Iterator[int]:
        """Yield the positions of the runs that have something of logical pages lo … hi - 1."""
        k = max(bisect_right(self._starts, lo) - 1, 0)
        while k < len(self.runs) and self.runs[k].lo < hi:
            if self.runs[k].hi > lo:
                yield k
            k += 1

    def _node_of(self, start: int, size: int) -> int | None:
        ram = ((i, low, high) for i, n in enumerate(self.nodes) for low, high in n.system_ram)
        return next((i for i, low, high in ram if low <= start and start + size <= high), None)

    def _put(self, run: Run) -> None:
        self.runs.append(run)
        self.free = [max(f - n, 0) for f, n in zip(self.free, run.counts(run.lo, run.hi, len(self.free)), strict=True)]

    def _fill(self, lo: int, hi: int, first: int) -> None:
        """Lowest free frames of node `first`, then of the others in order."""
        for node in (first, *(i for i in range(len(self.nodes)) if i != first)):
            upto = min(hi, lo + self.free[node])
            if lo < upto:
                self._put(Run(lo, upto, 0, (1,), (node,)))
                lo = upto

    def _deal(self, lo: int, hi: int, weights: tuple[int, ...]) -> None:
        """In turn by weights; a full node's pages go to the next one that has room."""
        n, start = len(self.nodes), lo
        while lo < hi and any(self.free):
            order = [next((i + k) % n for k in range(n) if self.free[(i + k) % n]) for i in range(n)]
            run = Run(lo, hi, lo - start, weights, tuple(order))
            low, high = lo, hi  # the longest piece that fits
            while low < high:
                middle = (low + high + 1) // 2
                if all(c <= f for c, f in zip(run.counts(lo, middle, n), self.free, strict=True)):
                    low = middle
                else:
                    high = middle - 1
            self._put(run._replace(hi=low))
            lo = low
