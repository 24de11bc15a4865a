"""The allocator "buddy" outside its kernels: its zones, and whether lists of free frames read from a file are possible."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels import buddy, zone_lists
from ..kernels.layout import (
    ALLOC_FACTOR,
    BATCH,
    BEGIN,
    COUNT,
    CPU,
    CPU_CHANGES_BP,
    CPUS,
    END,
    FREE_COUNT,
    HIGH,
    HIGH_MAX,
    HIGH_MIN,
    ORDERS,
    ORIGIN,
    OTHERS,
    QUIET,
    REMOTE,
    SECOND_END,
    SECONDS,
    TOP_ORDER,
    ZONES,
    BuddyMemory,
    Memory,
)
from ..kernels.random import mixed
from ..scenario import Machine, Node
from ..scenario.numa import managed_zones
from ..units import GIB, PAGE_SZ
from .page_lists import HIGHEST_FRACTION, PageList, batch_pages, low_watermark_pages

DMA32_BYTES = 4 * GIB
"""On x86 another zone begins here, and is used before those below."""


def frames_below_4_gib(node: Node, page_bytes: int) -> int:
    """Return how many frames of a node lie there, 0 if all do."""
    below = sum(max(min(end, DMA32_BYTES) - start, 0) for start, end in node.system_ram)
    return below // page_bytes if below < node.sz_bytes else 0


def columns(
    machine: Machine, base: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], n_frames: int, huge: bool
) -> dict[str, npt.NDArray[Any]]:
    """Return what `BuddyMemory` has beside other memory, by name.

    `base`, `sizes`: first frame and frames of each node; `n_frames` of all, rounded up as they are there; `huge`: whether some
    folios are of several frames.
    """
    assert machine.handed_out
    assumed = machine.handed_out
    cpus = assumed.cpus
    zone = _zones(machine, base, sizes, cpus, sum(len(managed_zones(node)) for node in machine.nodes) if huge else 0)
    crew = np.zeros(6, np.int64)
    crew[SECOND_END], crew[CPUS] = buddy.SECOND_NS, cpus
    crew[OTHERS] = assumed.others_pages_per_s * PAGE_SZ // machine.folio_bytes
    crew[CPU_CHANGES_BP] = assumed.cpu_changes_bp
    return {
        "back": np.zeros(n_frames, np.uint32),
        "order": np.zeros(n_frames, np.uint8),
        "zone": zone,
        "blocks": np.zeros((len(zone), ORDERS), np.int64),
        "pcp": np.zeros((len(zone) * cpus, QUIET + 1), np.int64),
        "ends": np.full((len(zone) * (ORDERS + cpus) + 2 * cpus, 2), -1, np.int64),
        "crew": crew,
    }


def _zones(
    machine: Machine, base: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], cpus: int, huge_zones: int
) -> npt.NDArray[np.int64]:
    """Return where zones lie and how long lists of their frames may be; a node's first zone is used before its second."""
    out, page = np.zeros((ZONES * len(machine.nodes), TOP_ORDER + 1), np.int64), machine.folio_bytes
    aligned = PAGE_SZ << ORDERS - 1
    managed = [node.sz_bytes // page - node.unmanaged_bytes // page for node in machine.nodes]
    for i, node in enumerate(machine.nodes):
        first, size, below = int(base[i]), int(sizes[i]), frames_below_4_gib(node, page)
        start = node.extent[0]
        upper = (first + below, first + size, DMA32_BYTES if below else start)
        for z, (begin, end, at) in enumerate((upper, (first, first + below, start))):
            mine = managed[i] * (end - begin) // max(size, 1)
            low = low_watermark_pages(mine, sum(managed), huge_zones)
            bounds = PageList(batch_pages(mine), low // cpus, mine // HIGHEST_FRACTION // cpus)
            out[ZONES * i + z, [BEGIN, END, ORIGIN, BATCH]] = begin, end, begin - at % aligned // page, bounds.batch
            out[ZONES * i + z, [HIGH_MIN, HIGH_MAX]] = bounds.high_min, bounds.high_max
            out[ZONES * i + z, [REMOTE, TOP_ORDER]] = i > 0, max(aligned // page, 1).bit_length() - 1
    return out


def draw_from(memory: Memory, seed: int) -> None:
    """Let what nodes draw follow from a seed: which frames are taken, or which CPU works; to be called before the run."""
    memory.node["key"] = [mixed(seed ^ (i + 1)) for i in range(memory.node.size)]
    if isinstance(memory, BuddyMemory):
        memory.crew[CPU] = mixed(seed) % int(memory.crew[CPUS])


def fill_lists(memory: Memory, machine: Machine) -> None:
    """Let others hold frames, and put on CPUs' lists what is there at the start, where ``MemFree`` does not count it."""
    if isinstance(memory, BuddyMemory):
        zone_lists.hold(memory)
        for i, node in enumerate(machine.nodes if machine.percpu_lists else ()):
            zone_lists.fill_lists(memory, np.int64(i), np.int64(node.percpu_pages))


def are_possible(given: BuddyMemory, built: BuddyMemory) -> bool:
    """Tell whether every free frame is in one block or on one list, and what the CPUs do is possible."""
    crew, pcp, cpus = given.crew, given.pcp, int(built.crew[CPUS])
    zone = np.repeat(built.zone, cpus, axis=0)
    possible = (given.zone == built.zone).all() and (given.blocks >= 0).all() and (pcp >= 0).all()
    possible &= 0 <= crew[CPU] < cpus and (crew[OTHERS:] == built.crew[OTHERS:]).all()
    possible &= crew[SECONDS] >= 0 and crew[SECOND_END] == (crew[SECONDS] + 1) * buddy.SECOND_NS
    bounds = zone[:, [HIGH_MIN, HIGH_MAX]]  # the most a list may have is less than the least in a zone of a few pages
    possible &= (pcp[:, HIGH] >= bounds.min(axis=1)).all() and (pcp[:, HIGH] <= bounds.max(axis=1)).all()
    possible &= (pcp[:, ALLOC_FACTOR] <= buddy.SCALE_MAX).all() and (pcp[:, COUNT] < pcp[:, HIGH] + zone[:, BATCH]).all()
    possible &= (pcp[:, FREE_COUNT] <= zone[:, BATCH] << buddy.SCALE_MAX).all()
    if not possible or np.count_nonzero(given.order) != given.blocks.sum():
        return False
    free = int(np.bitwise_count(given.free_bits).sum())
    if zone_lists.count_listed(given, np.zeros_like(given.free_bits)) != free:
        return False
    in_use = ~np.unpackbits(given.free_bits.view(np.uint8), bitorder="little").astype(np.bool_)
    return not given.back[in_use].any()
