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
        self.rank = self.total = 0

    def begin(self, kdamond: Kdamond, scheme: int) -> None:
        """Count the pass, and the pages that rank rules rank."""
        self.passes += 1
        self.rank = self.total = 0
        if self.rule in ("first", "last"):
            view = kdamond.view(scheme)
            by_node = view.bytes_by_node(
                scoring.eligible_bytes, view.scheme, view.window, view.space, view.memory.arrays
            )
            self.total = int(by_node.sum()) // PAGE_SZ

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
        dealt = self.destinations(memory.arrays.pfn[source] + chosen - memory.arrays.base[source], pages)
        target = np.array([memory.index_of(d.id) for d in self.dests], np.int64)[dealt]
        moved = int(frames.migrate_chosen(memory.arrays, chosen, source.astype(np.int64), target))
        return moved * PAGE_SZ, pages.size * PAGE_SZ, int(frames.charge_moves(memory.arrays, moved))

    def destinations(self, pfn: npt.NDArray[np.int64], pages: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the index of each page's destination, by the rule; pages in ascending frame order."""
        out = np.zeros(pages.size, np.int64)
        if self.rule == "vma_offset":
            placement.dest_by_interval(vma_index(self.vmas, pages), self.weights, out)
        elif self.rule == "pfn_mod":
            placement.dest_by_interval(pfn.astype(np.uint64), self.weights, out)
        elif self.rule == "iid":
            key = placement.round_key(self.seed, np.uint64(0x1D), np.uint64(0))
            placement.iid_redraw(key, pages.astype(np.uint64), np.uint64(self.passes), self.cuts, out)
        else:
            w1, total_weight = int(self.weights[1]), int(self.weights.sum())
            to_node1 = (2 * w1 * self.total + total_weight) // (2 * total_weight)
            placement.rank_dest(self.rank, self.total, to_node1, self.rule == "last", out)
            self.rank += pages.size
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
