"""Migration to weighted destinations: by VMA offset as vaddr does it, or by rules that know only the present frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..kernels import frames, placement, scoring
from ..scenario import Dest, Vma
from ..units import PAGE_SZ
from .kdamond import Kdamond


def vma_index(vmas: tuple[Vma, ...], pages: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Return the interleave index of logical pages: page offset in the mapping plus vm_pgoff (order 0).

    Parameters
    ----------
    vmas : tuple of Vma
        Mappings; without any, a page's number is its offset.
    pages : ndarray of int64, shape (n,)
        Logical pages.

    Returns
    -------
    ndarray of uint64, shape (n,)
    """
    if not vmas:
        return pages.astype(np.uint64)
    out = pages.copy()
    for v in vmas:
        inside = (pages >= v.lo) & (pages < v.hi)
        out[inside] = pages[inside] - v.lo + v.pgoff
    return out.astype(np.uint64)


class _Ranks:
    """Eligible pages on lower addresses than a region's start, counted when the pass began."""

    def __init__(self, start: npt.NDArray[np.uint64], counts: npt.NDArray[np.int64]) -> None:
        self.start, self.counts = start, counts
        self.total = int(counts[-1]) if counts.size else 0

    def below(self, kdamond: Kdamond, address: int) -> int:
        if not self.start.size:
            return 0
        i = max(int(np.searchsorted(self.start, np.uint64(address), side="right")) - 1, 0)
        return int(self.counts[i]) + resident_frames(kdamond, int(self.start[i]), address).size


class WeightedMigrate:
    """An action that deals a region's pages to weighted destinations.

    ``vma_offset`` reads the page's identity (its place in a mapping); the other rules see only the frame it lies on
    now, which every migration changes. ``first`` and ``last`` rank the eligible pages of the whole pass by frame.

    Parameters
    ----------
    dests : tuple of Dest
        Destinations with unreduced weights.
    rule : str
        ``"vma_offset"``, ``"iid"``, ``"pfn_mod"``, ``"first"`` or ``"last"``.
    vmas : tuple of Vma
        The workload's mappings.
    seed : int
        Key of ``iid``.

    Raises
    ------
    InputError
        If there are no destinations, or not two of them for a rank rule.
    """

    def __init__(self, dests: tuple[Dest, ...], rule: str, vmas: tuple[Vma, ...] = (), seed: int = 0) -> None:
        if not dests:
            raise InputError("dests", "is empty", "give node ids with weights")
        if rule in ("first", "last") and len(dests) != 2:
            raise InputError("dest_rule", f"{rule!r} splits between two nodes, got {len(dests)}", "use another rule")
        self.rule, self.vmas, self.seed = rule, vmas, np.uint64(seed % 2**64)
        self.dests = dests
        self.weights = np.array([d.weight for d in dests], np.uint64)
        total = int(self.weights.sum())
        cumulated = np.cumsum([d.weight for d in dests])[:-1] if total else []
        self.cuts = np.array([(int(c) << 63) // total for c in cumulated], np.uint64)
        self.passes = 0
        self.ranks = _Ranks(np.zeros(0, np.uint64), np.zeros(0, np.int64))

    def begin(self, kdamond: Kdamond, scheme: int) -> None:
        """Count the pass, and the pages that rank rules rank."""
        self.passes += 1
        if self.rule in ("first", "last"):
            view = kdamond.view(scheme)
            counts = np.zeros(view.n, np.int64)
            scoring.eligible_pages(
                view.regions, view.n, view.scheme, view.window, view.space, view.memory.arrays, counts
            )
            below = np.concatenate(([0], np.cumsum(counts)))
            self.ranks = _Ranks(view.regions.start[: view.n].copy(), below)

    def __call__(self, kdamond: Kdamond, scheme: int, cursor: Any) -> tuple[int, int, int]:
        """Deal the region's pages and migrate those that are not where they were dealt to."""
        if not self.weights.sum():
            return 0, 0, 0
        memory = kdamond.memory
        chosen = resident_frames(kdamond, int(cursor["start"]), int(cursor["end"]))
        pages = (memory.arrays.rec[chosen] & np.uint64(0xFFFFFFFF)).astype(np.int64) - 1
        known = pages < memory.workload_pages
        chosen, pages = chosen[known], pages[known]
        if not pages.size:
            return 0, 0, 0
        source = np.searchsorted(memory.arrays.base, chosen, side="right") - 1
        rank = self.ranks.below(kdamond, int(cursor["start"]))
        dealt = self.destinations(memory.arrays.pfn[source] + chosen - memory.arrays.base[source], pages, rank)
        target = np.array([memory.index_of(d.id) for d in self.dests], np.int64)[dealt]
        moved = int(frames.migrate_chosen(memory.arrays, chosen, source.astype(np.int64), target))
        return moved * PAGE_SZ, pages.size * PAGE_SZ, int(frames.charge_moves(memory.arrays, moved))

    def destinations(
        self, pfn: npt.NDArray[np.int64], pages: npt.NDArray[np.int64], rank: int = 0
    ) -> npt.NDArray[np.int64]:
        """Return the index of each page's destination, by the rule.

        Parameters
        ----------
        pfn : ndarray of int64, shape (n,)
            Ascending page frame numbers.
        pages : ndarray of int64, shape (n,)
            The logical pages on them; only ``vma_offset`` and the draws of ``iid`` look at these.
        rank : int
            Eligible pages on lower frames, for the rank rules.

        Returns
        -------
        ndarray of int64, shape (n,)
        """
        out = np.zeros(pages.size, np.int64)
        if self.rule == "vma_offset":
            placement.dest_by_interval(vma_index(self.vmas, pages), self.weights, out)
        elif self.rule == "pfn_mod":
            placement.dest_by_interval(pfn.astype(np.uint64), self.weights, out)
        elif self.rule == "iid":
            key = np.uint64(placement.round_key(self.seed, np.uint64(0x1D), np.uint64(0)))
            placement.iid_redraw(key, pages.astype(np.uint64), np.uint64(self.passes), self.cuts, out)
        else:
            w1, total_weight = int(self.weights[1]), int(self.weights.sum())
            total = self.ranks.total
            to_node1 = (2 * w1 * total + total_weight) // (2 * total_weight)
            placement.rank_dest(rank, total, to_node1, self.rule == "last", out)
        return out


def resident_frames(kdamond: Kdamond, start: int, end: int) -> npt.NDArray[np.int64]:
    """Return the frames of the LRU pages in [start, end), core addresses, in address order."""
    space, memory = kdamond.space, kdamond.memory.arrays
    unit = int(space.unit)
    low, high = start * unit // PAGE_SZ, -(-end * unit // PAGE_SZ)
    parts = []
    for first, last, base in zip(space.first, space.last, space.base, strict=True):
        a, b = max(low, int(first)), min(high, int(last))
        if a < b:
            where = np.arange(a - int(first) + int(base), b - int(first) + int(base))
            parts.append(memory.frame_of[where].astype(np.int64) if space.virtual else frames.lru_frames(memory, where[0], where[-1] + 1))
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
