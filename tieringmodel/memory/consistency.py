"""Whether arrays are a memory that kernels can follow: every page is somewhere once, and every count is what it counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels import bits
from ..kernels.layout import (
    AT_BACK,
    AT_FRONT,
    CLASS_MASK,
    FAULTED,
    FOLIO_ORDER,
    FOLIO_SHIFT,
    LOG_LENGTH,
    LOOKED,
    LOW32,
    MAX_ORDER,
    NO_FRAME,
    RECLAIMED,
    SHIFT32,
    STALLED,
    TOUCHED,
    BuddyMemory,
    Memory,
)
from . import swap, zones

Ints = npt.NDArray[np.int64]
MAX_TRACKED_TICK = 2**31 - 3
"""Last workload tick that a page's accessed state can remember."""


def recount(m: Memory) -> dict[str, Any]:
    """Return what `PhysicalMemory.recount` does."""
    out: dict[str, Any] = {}
    for name in ("lru", "free"):
        blocks, supers = np.zeros_like(m.lru_512), np.zeros_like(m.lru_256k)
        bits.recount(getattr(m, f"{name}_bits"), blocks, supers)
        out[f"{name}_512"], out[f"{name}_256k"] = blocks, supers
        out[name] = np.add.reduceat(blocks.astype(np.int64), m.base // bits.BLOCK)
    return out


def check(given: Memory, offline: Sequence[Ints], built: Memory, taken: Sequence[Ints], n_pages: int, first: Ints) -> None:
    """Refuse arrays that kernels could not follow, where those of the same machine as it was built show what must be.

    Parameters
    ----------
    given : Memory
        What shall be taken over, of the dtypes and shapes of `built`, the log as long as it is filled.
    offline : sequence of ndarray of int64
        Per node, its frames that are offline.
    built, taken : Memory, sequence of ndarray of int64
        The machine's memory before a run, and its frames that were offline then.
    n_pages : int
        Logical pages.
    first : ndarray of int64, shape (n_classes + 1,)
        Rules of each access class: pages of a class without any are never touched.

    Raises
    ------
    ValueError
        Which array contradicts what.
    """
    frames = built.rec.size
    page = (given.rec & LOW32).astype(np.int64) - 1
    at = np.flatnonzero(page >= 0)
    held_once = np.concatenate((page[at], _pages_out(given, first)))
    known = ((held_once >= 0) & (held_once < n_pages)).all()
    if held_once.size != n_pages or not known or (np.bincount(held_once, minlength=n_pages) != 1).any():
        raise ValueError("memory.rec and memory.out do not hold every page once")
    frame_of = np.full(n_pages, NO_FRAME, np.int64)
    frame_of[page[at]] = at
    if built.frame_of.size and (given.frame_of != frame_of).any():
        raise ValueError("memory.frame_of and memory.rec contradict each other")
    for name in ("base", "frames", "pfn"):
        if (getattr(given, name) != getattr(built, name)).any():
            raise ValueError(f"memory.{name} is not that of the machine")
    node, was, counted = given.node, built.node, recount(given)
    tops = {"hint": built.free_512.size, "head": frames, "tail": frames}
    bad = [n for n in ("policy", "try_all", "key") if (node[n] != was[n]).any()]
    bad += [n for n, top in tops.items() if (node[n] < -1).any() or (node[n] > top).any()]
    held = np.zeros(frames, np.bool_)
    held[at] = True
    link, cls = given.rec >> SHIFT32, ((given.rec[at] >> SHIFT32) & CLASS_MASK).astype(np.int64)
    if (link[~held] > frames).any() or (given.rec[~held] & LOW32).any() or (cls >= built.by_class.shape[1]).any():
        bad.append("rec")
    on = np.searchsorted(built.base, at, side="right") - 1
    cell = on * built.by_class.shape[1] + cls
    if (np.bincount(cell, minlength=built.by_class.size)[: built.by_class.size] != given.by_class.ravel()).any():
        bad.append("by_class")
    if (_flags(given.lru_bits) != held).any():
        bad.append("lru_bits")
    if given.folio is not None and not _are_folios(given.folio, page, range(built.by_class.shape[1], first.size - 1)):
        bad.append("folio")
    if bad or given.clock[LOG_LENGTH] != given.log.size:
        raise ValueError(f"{', '.join(bad) or 'log'} of its memory contradict the rest")
    free = _flags(given.free_bits)
    if isinstance(given, BuddyMemory) and isinstance(built, BuddyMemory) and not zones.are_possible(given, built):
        raise ValueError("the memory's lists of free frames contradict the rest")
    if given.device is not None:
        swap.check(given, built)
    for i, gone in enumerate(offline):
        low, high = int(built.base[i]), int(built.base[i] + built.frames[i])
        inside = ((gone >= low) & (gone < high)).all() and np.unique(gone).size == gone.size
        if not inside or (free | held)[gone].any() or node["total"][i] + gone.size != was["total"][i] + taken[i].size:
            raise ValueError(f"memory.offline.{i} holds no frames that are offline")
    blocks = [name for name in counted if name in built.layout]
    if any((counted[name] != getattr(given, name)).any() for name in blocks) or any(
        (counted[name] != node[name]).any() for name in counted if name not in blocks
    ):
        raise ValueError("the memory's counters contradict its bitmaps")


def _flags(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    return np.unpackbits(words.view(np.uint8), bitorder="little").astype(np.bool_)


def _are_folios(folio: npt.NDArray[np.uint32], page: Ints, classes: range) -> bool:
    """Tell whether marks say which frames form folios: aligned runs of one mark, of consecutive pages, of a class of folios."""
    at = np.flatnonzero(folio)
    order = (folio[at] & FOLIO_ORDER).astype(np.int64)
    if not ((order > 0) & (order <= MAX_ORDER)).all():
        return False
    head = at >> order << order
    cls, whole = (folio[at] >> FOLIO_SHIFT).astype(np.int64), np.bincount(head, minlength=folio.size)[head] == 1 << order
    alike = (folio[at] == folio[head]) & (page[head] >= 0) & (page[at] - page[head] == at - head)
    return bool((whole & alike & (cls >= classes.start) & (cls < classes.stop)).all())


def _pages_out(given: Memory, first: Ints) -> Ints:
    """Return the pages that are out, after checking that their records are ones that `fault_in` can put back."""
    swap, size = given.swap, given.out.size
    front, back = int(swap[AT_FRONT]), int(swap[AT_BACK])
    counts = bool((swap >= 0).all()) and front + back <= size and swap[STALLED] <= front
    if not counts or front + back != swap[RECLAIMED] - swap[FAULTED] or swap[LOOKED] > MAX_TRACKED_TICK:
        raise ValueError("memory.swap contradicts itself")
    record = np.concatenate((given.out[:front], given.out[size - back :]))
    waits = (record & TOUCHED) != 0
    cls = ((record & ~TOUCHED) >> SHIFT32).astype(np.int64)
    number = cls & int(CLASS_MASK)
    known = (cls >> 17 == 0) & (number < given.by_class.shape[1])
    if not known.all() or np.flatnonzero(waits).size != swap[STALLED] or waits[front:].any():
        raise ValueError("memory.out holds no pages of this run")
    touchable = first[number] < first[number + 1]
    if not touchable[:front].all() or touchable[front:].any():
        raise ValueError("memory.out holds pages where they are not looked for")
    return (record & LOW32).astype(np.int64) - 1
