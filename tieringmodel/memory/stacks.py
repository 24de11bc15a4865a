"""What the allocator "buddy" begins with: where each node's boot order starts, and that nothing is on a stack yet."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels.buddy import SECOND_NS
from ..kernels.layout import CPUS, SECOND_END
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
    crew[SECOND_END], crew[CPUS] = SECOND_NS, cpus
    return {
        "fresh_bits": np.zeros(n_frames // 64, np.uint64),
        "stack": np.full((n, cpus), -1, np.int64),
        "origin": np.array([frames_below_4_gib(node, machine.folio_bytes) // 64 for node in machine.nodes], np.int64),
        "cursor": np.zeros(n, np.int64),
        "held": np.full((cpus, 2), -1, np.int64),
        "crew": crew,
    }
