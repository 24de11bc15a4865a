"""Watermarks: a scheme sleeps while the machine has too much or too little free memory (docs/theory/damon.md, section d.2)."""

from __future__ import annotations

from typing import Any

from ..memory.physical import PhysicalMemory
from ..scenario import Watermarks


def free_mem_rate(memory: PhysicalMemory) -> int:
    """Return free pages of the whole machine in permil, truncated (``damos_get_wmark_metric_value``)."""
    node = memory.arrays.node
    return sum(memory.visible_free(i) for i in range(node.size)) * 1000 // max(int(node["total"].sum()), 1)


def wait_us(row: Any, marks: Watermarks, memory: PhysicalMemory) -> int:
    """Update a scheme's ``active`` flag and return how long it wants to sleep, 0 = not at all (``damos_wmark_wait_us``).

    Above ``high`` and below ``low`` the scheme is inactive. Between ``mid`` and ``high`` it stays what it was, between
    ``low`` and ``mid`` it is active.
    """
    if marks.metric == "none":
        return 0
    rate = free_mem_rate(memory)
    if rate > marks.high or rate < marks.low:
        row["active"] = 0
    elif rate < marks.mid:
        row["active"] = 1
    return 0 if row["active"] else marks.interval_us
