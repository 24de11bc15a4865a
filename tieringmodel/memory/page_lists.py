"""Linux's per-CPU lists of free pages, which MemFree does not count.

A freed page goes to a list of the CPU that frees it, and an allocation takes from there first. Lists grow with traffic and
shrink by an eighth per second, so MemFree lags what is really free by ten seconds and more. Mirrors ``mm/page_alloc.c`` of
Linux 6.7 and later (``nr_pcp_alloc``, ``nr_pcp_high``, ``nr_pcp_free``, ``decay_pcp_high``) for order-0 pages of nodes well
above their watermarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels.buddy import SCALE_MAX, SECOND_NS
from ..kernels.layout import NOW, Memory
from ..scenario.numa import min_free_kbytes
from ..stored import Stored
from ..units import KIB, PAGE_SZ

HIGHEST_FRACTION = 8
"""A node's lists grow to at most this part of it (MIN_PERCPU_PAGELIST_HIGH_FRACTION)."""
DECAY_NS = SECOND_NS
"""How often lists shrink (vm.stat_interval)."""


@dataclass(init=False, eq=False, repr=False)
class PageList(Stored):
    """Free pages of one node on one CPU.

    Parameters
    ----------
    batch : int
        Pages moved between list and node at a time.
    high_min, high_max : int
        Bounds of the length up to which freed pages are kept.
    count : int
        Pages on the list at the start.
    """

    count: int
    high: int
    alloc_factor: int = 0
    free_count: int = 0

    def __init__(self, batch: int, high_min: int, high_max: int, count: int = 0) -> None:
        self.batch = batch
        self.high_min, self.high_max = max(high_min, 4 * batch), max(high_max, 4 * batch)
        self.count = count
        self.high = min(max(count, self.high_min), self.high_max)

    def allocate(self, pages: int) -> None:
        """Hand out pages, refilled from the node in growing batches."""
        while pages > 0:
            if self.count == 0:
                self.count = self._refill()
            taken = min(pages, self.count)
            self.count -= taken
            pages -= taken
            self.free_count >>= min(taken, 16)

    def _refill(self) -> int:
        batch = self.batch << self.alloc_factor
        self.high = min(self.high + batch, self.high_max)
        most = max(self.high - self.batch, self.batch)
        if batch <= most and self.alloc_factor < SCALE_MAX:
            self.alloc_factor += 1
        return min(batch, most)

    def free(self, pages: int) -> None:
        """Take back pages; what exceeds the list's length goes to the node."""
        self.alloc_factor >>= min(pages, SCALE_MAX)
        longest = self.batch << SCALE_MAX
        while pages > 0:
            taken = min(pages, max(self.high - self.count, 1))
            self.count += taken
            self.free_count = min(self.free_count + taken, longest)
            pages -= taken
            if self.count >= self.high:
                high, need = self.high, self.free_count + self.batch
                if high < need:
                    self.high = min(max(need, self.high_min), self.high_max)
                self.count -= min(max(self.free_count, self.batch), high - self.batch, self.count)

    def decay(self) -> None:
        """Shrink, once per `DECAY_NS`."""
        if self.high > self.high_min:
            longest = self.batch << SCALE_MAX
            self.high = max(self.count - longest, self.high - (self.high >> 3), self.high_min)
        self.count = min(self.count, self.high)


def batch_pages(managed: int) -> int:
    """Return the batch of a node's lists (``zone_batchsize``): a power of two less one, at most 63."""
    part = min(managed >> 12, 256 * KIB // PAGE_SZ)
    return (1 << ((part + part // 2).bit_length() - 1)) - 1 if part > 1 else 1


def low_watermark_pages(managed: int, managed_in_all: int, huge_zones: int = 0) -> int:
    """Return a node's low watermark for the default ``min_free_kbytes`` and ``watermark_scale_factor``.

    `huge_zones`: how many zones there are where transparent huge pages are in use, which ask for more in each (khugepaged).
    """
    lowest = min_free_kbytes(managed_in_all, huge_zones) * KIB // PAGE_SZ * managed // max(managed_in_all, 1)
    return lowest + max(lowest // 4, managed // 1000)


@dataclass(init=False, eq=False, repr=False)
class PageLists(Stored):
    """The lists of all nodes and CPUs while a run goes on.

    All CPUs belong to the first node. Which CPU carries out a pass is drawn for each pass, all being equally likely:
    kdamond is bound to none.

    Parameters
    ----------
    memory : Memory
        The machine's memory.
    held_pages : sequence of int
        Per node, pages on its lists at the start.
    cpus : int
        Number of CPUs.
    seed : int
        Key of the draws.
    roams : bool
        False keeps all passes on one CPU.
    """

    lists: list[list[PageList]]
    due_ns: list[int]
    used: list[int]
    moved_in: list[int]

    def __init__(self, memory: Memory, held_pages: Sequence[int], cpus: int = 2, seed: int = 0, roams: bool = True) -> None:
        self.memory, self.roams = memory, roams
        self.due_ns = [0] * cpus
        self.draw_from(seed)
        totals = [int(total) for total in memory.node["total"]]
        self.lists = [
            [
                PageList(
                    batch_pages(total),
                    low_watermark_pages(total, sum(totals)) // cpus,
                    total // HIGHEST_FRACTION // cpus,
                    held // cpus,
                )
                for _ in range(cpus)
            ]
            for total, held in zip(totals, held_pages, strict=True)
        ]
        self.used = self.moved_in = [0] * len(totals)
        self._seen()

    def draw_from(self, seed: int) -> None:
        """Draw CPUs, and when each one's lists shrink first, from a seed; to be called before the run."""
        self._rng = np.random.default_rng((seed, 0x9C9))
        self.due_ns = self._rng.integers(DECAY_NS, size=len(self.due_ns)).tolist()

    def state(self) -> dict[str, Any]:
        """Return everything that changes during a run, as plain data."""
        return super().state() | {"rng": self._rng.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned."""
        super().restore(state)
        self._rng.bit_generator.state = state["rng"]

    def _seen(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return how many more pages each node uses, and how many migrated into it, since the last call."""
        node = self.memory.node
        used, moved_in = node["total"] - node["free"], node["migrated_in"]
        more, arrived = used - self.used, moved_in - self.moved_in
        self.used, self.moved_in = used.tolist(), moved_in.tolist()
        return more, arrived

    def update(self) -> None:
        """Pass the pages that migrated, were reclaimed or faulted in since the last call through the lists of one CPU."""
        self._decay()
        more, arrived = self._seen()
        left = arrived - more
        if not (arrived.any() or left.any()):
            return
        cpu = int(self._rng.integers(len(self.due_ns))) if self.roams else 0
        # Regions are handled in address order, so the first node's pages go first; with two nodes they all arrive at the other.
        for source, pages in enumerate(left.tolist()):
            if pages < 0:
                self.lists[source][cpu].allocate(-pages)
                continue
            self.lists[source][cpu].free(pages)
            share = arrived.copy()
            share[source] = 0
            total = int(share.sum())
            for target in np.flatnonzero(share).tolist():
                self.lists[target][cpu].allocate(pages * int(share[target]) // total)

    def held(self) -> npt.NDArray[np.int64]:
        """Return the pages per node that are free but on a list now, int64 (n_nodes,)."""
        self._decay()
        return np.array([sum(one.count for one in of_node) for of_node in self.lists], np.int64)

    def _decay(self) -> None:
        for cpu, due_ns in enumerate(self.due_ns):
            while due_ns <= self.memory.clock[NOW]:
                for of_node in self.lists:
                    of_node[cpu].decay()
                due_ns += DECAY_NS
            self.due_ns[cpu] = due_ns
