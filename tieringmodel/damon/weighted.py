"""Migration to weighted destinations: by VMA offset as vaddr does it, or by rules that know only the present frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels import frames, placement, scoring
from ..kernels.layout import LOW32, NO_FRAME, Space
from ..kernels.pages import passing
from ..scenario import CORE_FILTERS, Dest, Vma
from ..scenario.scheme import need_rule
from ..stored import Stored
from ..units import UINT_MAX
from .kdamond import Kdamond


def vma_index(vmas: tuple[Vma, ...], pages: npt.NDArray[np.int64], order: int = 0) -> npt.NDArray[np.uint64]:
    """Return the interleave index of logical pages: offset in the mapping plus vm_pgoff, in folios.

    Parameters
    ----------
    vmas : tuple of Vma
        Mappings; without any, a page's number is its offset.
    pages : ndarray of int64, shape (n,)
        Logical pages, each a folio of ``4096 << order`` bytes.
    order : int
        Folio order; ``vm_pgoff`` counts pages of 4096 bytes and is shifted down by it.

    Returns
    -------
    ndarray of uint64, shape (n,)
    """
    if not vmas:
        return pages.astype(np.uint64)
    out = pages.copy()
    for v in vmas:
        inside = (pages >= v.lo) & (pages < v.hi)
        out[inside] = pages[inside] - v.lo + (v.pgoff >> order)
    return out.astype(np.uint64)


@dataclass(init=False, eq=False, repr=False)
class WeightedMigrate(Stored):
    """An action that deals a region's pages to weighted destinations.

    ``vma_offset`` reads the page's identity (its place in a mapping); the other rules see only the frame it lies on
    now, which every migration changes. ``first`` and ``last`` rank, by frame, the pages in regions that match the
    pattern when the pass begins; a page that the pass itself has moved has no rank any more and stays. ``per_node`` sends
    the weights' shares of a region's pages on each node, rounded and drawn uniformly, to the destinations; ``push_only``
    does so for pages on the first destination's node alone.

    Parameters
    ----------
    dests : tuple of Dest
        Destinations with unreduced weights.
    rule : str
        ``"vma_offset"``, ``"iid"``, ``"pfn_mod"``, ``"first"``, ``"last"``, ``"per_node"`` or ``"push_only"``.
    vmas : tuple of Vma
        The workload's mappings.
    seed : int
        Key of ``iid``.
    done_mark : bool
        Mark pages that reached their destination and do not look them up again; only ``vma_offset`` on paddr looks up any.
    order : int
        Folio order of the workload's pages.

    Raises
    ------
    InputError
        If there are no destinations, or not two of them for a rank rule.
    """

    only_moves = True
    """Where pages lie is all that it changes: who runs the loop need not look at anything else again."""
    done: npt.NDArray[np.bool_]
    dealt_in: npt.NDArray[np.int64]
    passes: int = 0

    def __init__(
        self,
        dests: tuple[Dest, ...],
        rule: str,
        vmas: tuple[Vma, ...] = (),
        seed: int = 0,
        done_mark: bool = False,
        order: int = 0,
    ) -> None:
        need_rule(dests, rule)
        self.rule, self.vmas, self.order, self.seed = rule, vmas, order, np.uint64(seed % 2**64)
        self.dests = dests
        self.weights = np.array([d.weight for d in dests], np.uint64)
        total = int(self.weights.sum())
        cumulated = np.cumsum([d.weight for d in dests])[:-1].tolist() if total else []
        self.cuts = np.array([(int(c) << 63) // total for c in cumulated], np.uint64)
        self.total_u32 = np.uint64(total & UINT_MAX)
        self.done_mark, self.done = done_mark, np.zeros(0, np.bool_)
        self.dealt_in = np.zeros(0, np.int64)
        self.ranked = np.zeros(0, np.int64)
        self.ranked_records = np.zeros(0, np.uint64)
        self.unranked = False

    def begin(self, kdamond: Kdamond, scheme: int) -> None:
        """Count the pass, and rank the pages for rules that ask for ranks: a lone scheme's when it comes to its first region.

        Nothing else of the pass changes them before; most passes come to none, for the quota is used up.
        """
        self.passes += 1
        self.unranked = self.rule in ("first", "last")
        if self.unranked and len(kdamond.schemes) > 1:
            self._rank(kdamond, scheme)

    def _rank(self, kdamond: Kdamond, scheme: int) -> None:
        view = kdamond.view(scheme)
        matching = np.zeros(view.n, np.bool_)
        scoring.matching_regions(view.regions, view.n, view.scheme, view.window, view.compiled, matching)
        chosen = np.flatnonzero(matching)
        start, end = view.regions.start[chosen], view.regions.end[chosen]
        ptr = kdamond.regions.ptr
        target = np.repeat(np.arange(ptr.size - 1), np.diff(ptr))[chosen]
        apart = (start[1:] != end[:-1]) | (target[1:] != target[:-1])  # neighbours are one range
        first, last = np.append(True, apart)[: start.size], np.append(apart, True)[: end.size]
        ends = zip(target[first].tolist(), start[first].tolist(), end[last].tolist(), strict=True)
        parts = [resident_frames(kdamond, *one) for one in ends]
        self.ranked = np.concatenate([np.zeros(0, np.int64), *parts])
        if (self.ranked[1:] <= self.ranked[:-1]).any():  # a folio in two regions, or a virtual address space
            self.ranked = np.unique(self.ranked)
        self.ranked_records = kdamond.memory.arrays.rec[self.ranked]
        self.unranked = False

    def __call__(self, kdamond: Kdamond, scheme: int, cursor: Any) -> tuple[int, int, int]:
        """Deal the region's pages and migrate those that are not where they were dealt to."""
        memory, space = kdamond.memory, kdamond.space
        if self.unranked:
            self._rank(kdamond, scheme)
        chosen = resident_frames(kdamond, int(cursor["target"]), int(cursor["start"]), int(cursor["end"]))
        if not space.virtual:
            chosen = self._not_again(kdamond.schemes[scheme], chosen, int(cursor["end"]) * int(space.unit), space)
        config, tally, shift = kdamond.context.schemes[scheme], kdamond.funnel[scheme], int(space.shift)
        tally["sz_resident"] += chosen.size << shift
        if any(f.type not in CORE_FILTERS for f in config.filters):
            chosen = chosen[
                passing(
                    kdamond.schemes[scheme],
                    kdamond.filters,
                    space,
                    memory.arrays,
                    kdamond.access.arrays,
                    chosen,
                    kdamond.tick,
                    int(cursor["core_allowed"]),
                    tally,
                    kdamond.rejected,
                )
            ]
        walks, by_rmap = 0, self.rule == "vma_offset" and not space.virtual
        if by_rmap:
            chosen = self._unmarked(kdamond, chosen)
            walks = chosen.size
            kdamond.quotas[scheme].rmap_walks += walks
        passed = 0 if space.virtual else (chosen.size << shift) // int(space.unit)
        rank = None
        if self.rule == "vma_offset":
            chosen = chosen[(memory.arrays.rec[chosen] & LOW32).astype(np.int64) <= memory.workload_pages]
        elif self.rule in ("first", "last"):
            chosen, rank = self._ranks(memory.arrays.rec, chosen)
        if not chosen.size or not self.weights.any():
            return 0, passed, 0
        pages = (memory.arrays.rec[chosen] & LOW32).astype(np.int64) - 1
        source = np.searchsorted(memory.arrays.base, chosen, side="right") - 1
        if self.rule in ("per_node", "push_only"):
            dealt = self._shares(kdamond, pages, source, memory.index_of(self.dests[0].id))
        else:
            dealt = self.destinations(memory.pfn_of(chosen), pages, rank)
        target = np.array([memory.index_of(d.id) for d in self.dests] + [-1], np.int64)[dealt]
        moved = int(frames.migrate_chosen(memory.arrays, chosen, source.astype(np.int64), target))
        there = int(np.count_nonzero((source == target) | (target < 0)))
        tally["sz_there"] += there << shift
        tally["sz_no_frame"] += (target.size - there - moved) << shift
        if self.done_mark and by_rmap:
            now = np.searchsorted(memory.arrays.base, memory.frame_of[pages], side="right") - 1
            self.done[pages[now == target]] = True
        walk_ns = walks * memory.machine.rmap_ns_per_page
        return (moved << shift) // int(space.unit), passed, int(frames.charge_moves(memory.arrays, moved, walk_ns))

    def _not_again(self, row: Any, chosen: npt.NDArray[np.int64], end_bytes: int, space: Space) -> npt.NDArray[np.int64]:
        """Drop a folio that the region before ended in (``last_applied``), and remember the one this region ends in."""
        last, row["last_applied"] = int(row["last_applied"]) - 1, 0
        if chosen.size:
            page = (end_bytes - 1) >> int(space.shift)
            inside = np.flatnonzero((space.first <= page) & (page < space.last))
            if inside.size and int(chosen[-1]) == int(space.base[inside[0]]) + page - int(space.first[inside[0]]):
                row["last_applied"] = int(chosen[-1]) + 1
        return chosen[1:] if chosen.size and chosen[0] == last else chosen

    def _unmarked(self, kdamond: Kdamond, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the frames whose pages must be looked up through rmap: all of them, unless finished pages are marked."""
        if not self.done_mark:
            return chosen
        if not self.done.size:
            self.done = np.zeros(kdamond.memory.n_pages, np.bool_)
        pages = (kdamond.memory.arrays.rec[chosen] & LOW32).astype(np.int64) - 1
        return np.asarray(chosen[~self.done[pages]])

    def _shares(
        self, kdamond: Kdamond, pages: npt.NDArray[np.int64], source: npt.NDArray[np.intp], first: int
    ) -> npt.NDArray[np.int64]:
        """Deal each node's pages by shares, rounded half up on their cumulated sums; -1 = is not dealt.

        A page that the pass moved to a frame further on is not dealt a second time.
        """
        if not self.dealt_in.size:
            self.dealt_in = np.zeros(kdamond.memory.n_pages, np.int64)
        again = self.dealt_in[pages] == self.passes
        self.dealt_in[pages] = self.passes
        out = np.full(pages.size, -1, np.int64)
        drawn = np.zeros(pages.size, np.int64)
        key = np.uint64(placement.round_key(self.seed, np.uint64(0x5A), np.uint64(self.passes)))
        placement.draw_ranks(key, pages.astype(np.uint64), drawn)
        cumulated = [sum(d.weight for d in self.dests[: k + 1]) for k in range(len(self.dests))]
        for i in [first] if self.rule == "push_only" else np.unique(source).tolist():
            here = np.flatnonzero((source == i) & ~again)
            order = here[np.argsort(drawn[here], kind="stable")]
            edges = [(2 * c * order.size + cumulated[-1]) // (2 * cumulated[-1]) for c in cumulated]
            for k, (a, b) in enumerate(zip([0, *edges], edges, strict=False)):
                out[order[a:b]] = k
        return out

    def _ranks(
        self, records: npt.NDArray[np.uint64], chosen: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return those of the chosen frames that hold the page they held when the pass began, and their ranks."""
        if not self.ranked.size:
            return self.ranked, self.ranked
        at = np.minimum(np.searchsorted(self.ranked, chosen), self.ranked.size - 1)
        same = (self.ranked[at] == chosen) & ((self.ranked_records[at] ^ records[chosen]) & LOW32 == 0)
        return chosen[same], at[same]

    def destinations(
        self,
        pfn: npt.NDArray[np.int64],
        pages: npt.NDArray[np.int64],
        rank: npt.NDArray[np.int64] | None = None,
    ) -> npt.NDArray[np.int64]:
        """Return the index of each page's destination, by the rule; -1 where the kernel's 32-bit sum of weights is 0.

        Parameters
        ----------
        pfn : ndarray of int64, shape (n,)
            Page frame numbers.
        pages : ndarray of int64, shape (n,)
            The logical pages on them; only ``vma_offset`` and the draws of ``iid`` look at these.
        rank : ndarray of int64, shape (n,), optional
            For the rank rules: how many ranked pages lie on lower frames.

        Returns
        -------
        ndarray of int64, shape (n,)
        """
        out = np.zeros(pages.size, np.int64)
        if self.rule == "vma_offset":
            if not self.total_u32:
                return out - 1
            placement.dest_by_interval(vma_index(self.vmas, pages, self.order) % self.total_u32, self.weights, out)
        elif self.rule == "pfn_mod":
            placement.dest_by_interval(pfn.astype(np.uint64), self.weights, out)
        elif self.rule == "iid":
            key = np.uint64(placement.round_key(self.seed, np.uint64(0x1D), np.uint64(0)))
            placement.iid_redraw(key, pages.astype(np.uint64), np.uint64(self.passes), self.cuts, out)
        elif rank is not None:
            w1, total_weight, total = int(self.weights[1]), int(self.weights.sum()), self.ranked.size
            to_node1 = (2 * w1 * total + total_weight) // (2 * total_weight)
            out[rank >= total - to_node1 if self.rule == "last" else rank < to_node1] = 1
        return out


def resident_frames(kdamond: Kdamond, target: int, start: int, end: int) -> npt.NDArray[np.int64]:
    """Return the frames of a target's LRU pages in [start, end), core addresses, in address order."""
    space, memory = kdamond.space, kdamond.memory.arrays
    unit, shift = int(space.unit), int(space.shift)
    low, high = start * unit >> shift, -(-end * unit >> shift)
    parts = []
    of_target = slice(space.ptr[target], space.ptr[target + 1]) if space.virtual else slice(None)
    columns = (column[of_target].tolist() for column in (space.first, space.last, space.base))
    for first, last, base in zip(*columns, strict=True):
        a, b = max(low, first), min(high, last)
        if a >= b:
            continue
        a, b = a - first + base, b - first + base
        if space.virtual:
            here = memory.frame_of[a:b].astype(np.int64)
            parts.append(here[here != NO_FRAME])
        else:
            parts.append(frames.lru_frames(memory, a, b))
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
