"""Swap devices and pages that cannot be reclaimed, outside their kernels: what a run begins with, and what is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels import swap
from ..kernels.layout import (
    LOW32,
    NO_FRAME,
    BuddyMemory,
    BuddySwapMemory,
    Memory,
    MixedBuddyMemory,
    MixedBuddySwapMemory,
    MixedMemory,
    MixedSwapMemory,
    SwapMemory,
)
from ..kernels.swap import UNMAPPED_NOW as UNMAPPED_NOW
from ..scenario import Machine, Workload

Columns = dict[str, npt.NDArray[Any]]
KINDS: dict[tuple[bool, bool, bool], Callable[..., Memory]] = {
    (False, False, False): Memory,
    (True, False, False): MixedMemory,
    (False, True, False): BuddyMemory,
    (True, True, False): MixedBuddyMemory,
    (False, False, True): SwapMemory,
    (True, False, True): MixedSwapMemory,
    (False, True, True): BuddySwapMemory,
    (True, True, True): MixedBuddySwapMemory,
}
"""Kinds of memory, by whether folios are of several sizes, zones hand out frames, and pages go to a device."""
EXPIRE_US = 30_000_000
"""So long after it was dirtied the flusher writes a page of a file (``vm.dirty_expire_centisecs``, its default)."""
NO_LIMIT = 2**60
"""Pages that fit into a device without a stated size."""
_KIND = {"zram": swap.ZRAM, "disk": swap.DISK}
_COUNTED = swap.WRITTEN
"""Entries of the device from this one on count what it has done."""


def columns(machine: Machine, workload: Workload, tick_us: int) -> Columns:
    """Return what `SwapMemory` has beside other memory, by name.

    Parameters
    ----------
    machine : Machine
        Its device; without one everything can be reclaimed at once.
    workload : Workload
        Says which pages are dirty pages of files, or locked in memory.
    tick_us : int
        Length of a workload tick, microseconds.
    """
    size, of = machine.folio_bytes, machine.swap
    n_pages = workload.n_pages + sum(n.cache_bytes for n in machine.nodes) // size
    device = np.zeros(swap.DEVICE_WORDS, np.int64)
    device[swap.CAPACITY], device[swap.TICK_NS] = NO_LIMIT, tick_us * 1000
    device[swap.EXPIRE_TICKS] = -(-EXPIRE_US // tick_us)
    if of is not None:
        device[swap.KIND], device[swap.PAGE_NS] = _KIND[of.kind], of.page_ns(size)
        device[swap.LATENCY_NS], device[swap.QUEUE] = of.latency_us * 1000, of.queue_bytes // size
        device[swap.AT_ONCE_BP] = of.at_once_bp
        if of.capacity_bytes is not None:
            device[swap.CAPACITY] = of.capacity_bytes // size
    zeros = {name: np.zeros(n_pages, np.int64) for name in ("since", "written", "cached")}
    return {"device": device, "about": _about(workload, n_pages), **zeros}


def _about(workload: Workload, n_pages: int) -> npt.NDArray[np.uint8]:
    """Return which pages are locked in memory, and which of the others are dirty pages of files: evenly spread."""
    out = np.zeros(n_pages, np.uint8)
    for group in workload.groups:
        if not (group.dirty_share or group.unevictable_share):
            continue
        locked = _spread(group.hi - group.lo, group.unevictable_share)
        dirty = np.zeros_like(locked)
        dirty[~locked] = _spread(int((~locked).sum()), min(group.dirty_share / max(1 - group.unevictable_share, 1e-300), 1.0))
        out[group.lo : group.hi] |= locked * swap.MLOCKED | dirty * swap.FILE
    return out


def _spread(n: int, share: float) -> npt.NDArray[np.bool_]:
    """Return which of n things make up a share of them, evenly spread."""
    edges = np.floor(np.arange(n + 1) * share + 1e-9)
    return np.asarray(np.diff(edges) > 0)


def check(given: Memory, built: Memory) -> None:
    """Refuse what a device and its pages cannot be.

    Raises
    ------
    ValueError
        If kernels could not follow it.
    """
    device, about = given.device, given.about
    fixed = swap.FILE | swap.MLOCKED
    mapped_out = np.flatnonzero(about & swap.UNMAPPED)
    listed = given.cached[: max(int(device[swap.CACHED]), 0)]
    possible = 0 <= device[swap.CACHED] <= given.cached.size and bool((device[swap.EVENT_NS :] >= 0).all())
    possible &= bool((device[: swap.CONSTANTS] == built.device[: swap.CONSTANTS]).all()) and device[swap.BIO] == 0
    possible &= bool((about & fixed == built.about & fixed).all()) and not (about >> 4).any()
    possible &= np.count_nonzero(about & swap.SLOT) == device[swap.USED] and mapped_out.size == device[swap.UNMAPPED_NOW]
    possible &= bool(((listed >= 0) & (listed < about.size)).all()) and np.unique(listed).size == listed.size
    possible &= bool(np.isin(mapped_out, listed).all()) and bool((given.since >= 0).all())
    if not possible or (given.frame_of[mapped_out] == NO_FRAME).any():
        raise ValueError("the memory's swap device contradicts the rest")
    out = _pages_out(given)
    with_slot = (about[out] & (swap.SLOT | swap.FILE)) != 0
    if not with_slot.all():
        raise ValueError("memory.out holds pages that swap does not hold")


def _pages_out(given: Memory) -> npt.NDArray[np.int64]:
    from ..kernels.layout import AT_BACK, AT_FRONT

    front, back = int(given.swap[AT_FRONT]), int(given.swap[AT_BACK])
    record = np.concatenate((given.out[:front], given.out[given.out.size - back :]))
    return (record & LOW32).astype(np.int64) - 1


NAMES = {
    "device_written_pages": swap.WRITTEN,
    "device_read_pages": swap.READ,
    "minor_faults": swap.MINOR,
    "read_wait_us": swap.READ_NS,
    "device_wait_us": swap.WAITED_NS,
    "kept_swap_full_pages": swap.KEPT_FULL,
    "kept_writeback_pages": swap.KEPT_WRITEBACK,
    "kept_dirty_pages": swap.KEPT_DIRTY,
    "kept_unevictable_pages": swap.KEPT_MLOCKED,
}
"""Variables of a run that count what the device has done; times there are in microseconds."""


def counted(device: npt.NDArray[np.int64]) -> Columns:
    """Return the variables of a run that tell of its device.

    Parameters
    ----------
    device : ndarray of int64, shape (n_records, DEVICE_WORDS)
        The device at each record.
    """
    out = {name: np.diff(device[:, at] // (1000 if name.endswith("_us") else 1), prepend=0) for name, at in NAMES.items()}
    return out | {"unmapped_pages": device[:, swap.UNMAPPED_NOW], "swap_used_pages": device[:, swap.USED]}
