"""The allocator "buddy" outside its kernels: what it begins with, and whether stacks read from a file are possible."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels import buddy
from ..kernels.layout import CPU, CPUS, OTHERS, SECOND_END, SECONDS, BuddyMemory
from ..scenario import Machine, Node
from ..units import GIB

DMA32_BYTES = 4 * GIB
"""On x86 another zone begins here, and is used before those below."""


def frames_below_4_gib(node: Node, page_bytes: int) -> int:
    """Return how many frames of a node lie there, 0 if all do."""
    below = sum(max(min(end, DMA32_BYTES) - start, 0) for start, end in node.system_ram)
    return below // page_bytes if below < node.sz_bytes else 0


def columns(machine: Machine, n_frames: int) -> dict[str, npt.NDArray[Any]]:
    """Return what `BuddyMemory` has beside other memory, by name; `n_frames` of all nodes, rounded up as they are there."""
    assert machine.handed_out
    cpus, n = machine.handed_out.cpus, len(machine.nodes)
    crew = np.zeros(6, np.int64)
    crew[SECOND_END], crew[CPUS] = buddy.SECOND_NS, cpus
    return {
        "fresh_bits": np.zeros(n_frames // 64, np.uint64),
        "stack": np.full((n, cpus), -1, np.int64),
        "origin": np.array([frames_below_4_gib(node, machine.folio_bytes) // 64 for node in machine.nodes], np.int64),
        "cursor": np.zeros(n, np.int64),
        "held": np.full((cpus, 2), -1, np.int64),
        "crew": crew,
    }


def are_possible(given: BuddyMemory, built: BuddyMemory) -> bool:
    """Tell whether every free frame was either never used or is on one stack or queue, and what the CPUs do is possible."""
    words, cpus, crew = -(-given.frames // 64), given.stack.shape[1], given.crew
    possible = (given.cursor >= 0).all() and (given.cursor <= words).all() and (given.origin == built.origin).all()
    possible &= 0 <= crew[CPU] < cpus and (crew[OTHERS:] == built.crew[OTHERS:]).all()
    possible &= crew[SECONDS] >= 0 and crew[SECOND_END] == (crew[SECONDS] + 1) * buddy.SECOND_NS
    if not possible or (given.fresh_bits & ~given.free_bits).any() or _passed_over(given):
        return False
    fresh, free = (int(np.bitwise_count(column).sum()) for column in (given.fresh_bits, given.free_bits))
    return bool(buddy.count_linked(given, np.zeros_like(given.free_bits)) == free - fresh)


def _passed_over(given: BuddyMemory) -> bool:
    """Tell whether a frame is fresh that a cursor has passed already."""
    for base, frames, origin, passed in zip(given.base, given.frames, given.origin, given.cursor, strict=True):
        words = -(-int(frames) // 64)
        if given.fresh_bits[int(base) // 64 + (int(origin) + np.arange(int(passed))) % max(words, 1)].any():
            return True
    return False
