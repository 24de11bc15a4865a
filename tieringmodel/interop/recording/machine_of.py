"""The machine of a recording: where its nodes' memory lies, and what of it is in use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from ...errors import InputError
from ...scenario import Context, Machine, Node, Placement, Swap
from ...units import KIB, MIB, PAGE_SZ
from ..machines.monitored import Ranges, holes_between, without
from .tables import Table

HZ = 250
"""CONFIG_HZ of the recorded kernel."""
DOCUMENTED_ENDS = (640 * MIB, 1536 * MIB)
"""Ends of node 0 and node 1 of the machine that the recordings' README describes."""
_MEMORY_BLOCK = 128 * MIB
SWAP_FLAGS = {"swap_zram": "zram", "swap_disk": "disk"}
"""Kinds of swap devices, by what ``info.txt`` says of them."""


class _Recorded(Protocol):
    """What is asked of a recording: see `Recording`."""

    @property
    def path(self) -> Path: ...
    @property
    def record(self) -> Table | None: ...
    @property
    def physmap(self) -> Table | None: ...
    @property
    def contexts(self) -> tuple[Context, ...]: ...
    @property
    def nodes(self) -> tuple[Node, ...]: ...


def machine_of(recording: _Recorded, placement: Sequence[Placement], lru_share: float) -> Machine:
    """Return the recorded machine with MemTotal and MemFree of the periodic row nearest to DAMON's start.

    Parameters
    ----------
    recording : Recording
        With a record.
    placement : sequence of Placement
        Where the workload's pages are at the start.
    lru_share : float
        Share of the memory in use that is not the workload's which lies on LRU lists.

    Raises
    ------
    InputError
        If there is no record, or it and the nodes contradict each other.
    """
    record = recording.record
    if record is None or record.n_rows == 0:
        raise InputError(str(recording.path), "has no record.csv with MemTotal and MemFree", "pass machine=")
    row = int(np.argmin(np.abs(record["t_ms"])))
    nids = sorted(int(name[1:-9]) for name in record if name.startswith("n") and name.endswith("_total_kb"))
    total = [int(record[f"n{nid}_total_kb"][row]) * KIB for nid in nids]
    free = [int(record[f"n{nid}_free_kb"][row]) * KIB for nid in nids]
    if recording.nodes:
        ram = {node.nid: node.system_ram for node in recording.nodes}
        if sorted(ram) != nids:
            text = f"describes nodes {', '.join(map(str, nids))}, zoneinfo.txt nodes {', '.join(map(str, sorted(ram)))}"
            raise InputError(str(record.path), text, "pass machine=")
    elif nids == [0, 1]:
        ram = _guessed(recording, placement, total)
    else:
        text = f"describes nodes {', '.join(map(str, nids))}; their bounds can be found for nodes 0 and 1 only"
        raise InputError(str(record.path), text, "pass machine=, or add zoneinfo.txt")
    nodes = []
    for k, nid in enumerate(nids):
        size = sum(stop - start for start, stop in ram[nid])
        mine = sum(_bytes_on(place, nid, ram[nid]) for place in placement)
        other = total[k] - free[k] - mine
        if other < 0:
            text = f"node {nid} has {total[k] - free[k]} bytes in use, the workload alone {mine}"
            raise InputError(record.where(row), text, "pass machine=")
        if size < total[k]:
            text = f"node {nid} has {total[k]} bytes in total, in ranges of {size}"
            raise InputError(record.where(row), text, "pass machine=")
        cache = int(other * lru_share) // PAGE_SZ * PAGE_SZ
        used = {"unmanaged_bytes": size - total[k], "kernel_bytes": other - cache, "cache_bytes": cache}
        nodes.append(Node(nid, ranges=ram[nid], **used))
    return Machine(tuple(sorted(nodes, key=lambda node: node.extent)), hz=HZ, allocator="buddy")


def swap_of(info: Mapping[str, float], extra: Table | None, passes_s: Callable[[], float] = float) -> Swap | None:
    """Return the swap device that was on, None without one.

    Parameters
    ----------
    info : mapping of str to float
        ``swap_zram`` or ``swap_disk`` above 0 says which.
    extra : Table or None
        Its size is the most that was free (``swap_free_kb``).
    passes_s : callable
        Returns how long schemes' passes kept kdamonds busy, 0 where that is not known. What the device writes in a second is
        what was written in all (``pswpout``) over that time, without what a disk's queue takes, for which nobody waits; or
        else the most that was written from one row to the next: the speed of the machine's device, or of its compression, is
        an input, as its memory is.

    Returns
    -------
    Swap or None
        Without ``extra`` of no limits.
    """
    kind = next((kind for name, kind in SWAP_FLAGS.items() if info.get(name, 0) > 0), None)
    if kind is None:
        return None
    capacity_bytes = throughput = None
    if extra is not None and extra.n_rows and "swap_free_kb" in extra:
        capacity_bytes = int(np.max(extra["swap_free_kb"])) * KIB
    if extra is not None and extra.n_rows > 1 and "pswpout" in extra:
        took_s = np.diff(np.asarray(extra["t_ms"], np.float64)) / 1e3
        pages = np.diff(np.asarray(extra["pswpout"], np.float64))
        fastest = float(np.max(pages[took_s > 0] / took_s[took_s > 0], initial=0.0))
        queued = Swap(kind).queue_bytes // PAGE_SZ if kind == "disk" else 0
        busy_s, waited_for = passes_s(), float(pages.sum()) - queued
        throughput = int((waited_for / busy_s if busy_s and waited_for > 0 else fastest) * PAGE_SZ) or None
    return Swap(kind, throughput_bytes_per_s=throughput, capacity_bytes=capacity_bytes)


def _bytes_on(place: Placement, nid: int, ram: Ranges) -> int:
    """Return how many bytes of a placement are on a node: by address, or as it names one."""
    size = (place.hi - place.lo) * PAGE_SZ
    if place.start_bytes is None:
        return size * (place.nid == nid)
    return sum(max(0, min(stop, place.start_bytes + size) - max(start, place.start_bytes)) for start, stop in ram)


def guessed_holes(recording: _Recorded) -> Ranges:
    """Return what is taken for holes because nobody monitors it, no page lies there, and no zoneinfo.txt says more."""
    if recording.nodes:
        return ()
    runs: list[tuple[int, int]] = []
    if recording.physmap is not None:
        start, size = (recording.physmap[name].astype(np.int64) for name in ("pa_start", "bytes"))
        runs = list(zip(start.tolist(), (start + size).tolist(), strict=True))
    gaps = holes_between(recording.contexts)
    return tuple(gap for gap in gaps if not any(start < gap[1] and gap[0] < end for start, end in runs))


def _guessed(recording: _Recorded, placement: Sequence[Placement], total: Sequence[int]) -> dict[int, Ranges]:
    """Return the ranges of nodes 0 and 1 by bounds that the configuration names, or the documented ones."""
    cut, end = _bounds(recording, placement, total)
    holes = guessed_holes(recording)
    ram = {0: without(0, cut, holes), 1: without(cut, end, holes)}
    if any(sum(b - a for a, b in ram[nid]) < total[nid] for nid in ram):
        return {0: ((0, cut),), 1: ((cut, end),)}
    return ram


def _bounds(recording: _Recorded, placement: Sequence[Placement], total: Sequence[int]) -> tuple[int, int]:
    """Return the ends of node 0 and node 1 in bytes: bounds that the configuration names, or the documented ones."""
    filters, ranges = [], []
    for context in recording.contexts:
        if context.ops == "paddr":
            addresses = (f for scheme in context.schemes for f in scheme.filters if f.type == "addr")
            filters += [bound * context.addr_unit for f in addresses for bound in (f.start_bytes, f.end_bytes)]
            ranges += [bound * context.addr_unit for t in context.targets for region in t.regions for bound in region]
    runs = [(p.nid, p.start_bytes, p.start_bytes + (p.hi - p.lo) * PAGE_SZ) for p in placement if p.start_bytes is not None]
    need = max([sum(total), *ranges, *(stop for _, _, stop in runs)])
    ends = [bound for bound in (*filters, DOCUMENTED_ENDS[1]) if need <= bound < 2**63]
    end = min(ends) if ends else -(-need // _MEMORY_BLOCK) * _MEMORY_BLOCK

    def misplaced(cut: int) -> int:
        above = sum(max(0, stop - max(start, cut)) for nid, start, stop in runs if nid == 0)
        return above + sum(max(0, min(stop, cut) - start) for nid, start, stop in runs if nid == 1)

    cuts = [cut for cut in (*filters, *ranges, DOCUMENTED_ENDS[0]) if total[0] <= cut <= end - total[1]]
    if not cuts:
        text = f"no bound splits 0..{end} into nodes of {total[0]} and {total[1]} bytes"
        raise InputError(str(recording.path), text, "pass machine=")
    return min(cuts, key=misplaced), end
