"""Watermarks: a scheme sleeps while the machine has too much or too little free memory (docs/theory/damon.md, section d.2)."""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel
from .layout import MARKS, SWITCHED_OFF

_U0, _U1, _U1000 = np.uint64(0), np.uint64(1), np.uint64(1000)
_LONGEST = np.uint64(2**64 - 1)


@kernel
def free_mem_rate(free, total):
    """Return free pages of the whole machine in permil, truncated (``damos_get_wmark_metric_value``, u64)."""
    return np.uint64(free) * _U1000 // max(np.uint64(total), _U1)


@inlined
def rate_of(memory):
    """Return `free_mem_rate` of a machine whose free pages all count."""
    free = total = np.int64(0)
    for i in range(memory.node.size):
        free += memory.node[i].free
        total += memory.node[i].total
    return free_mem_rate(free, total)


@kernel
def wait_us(schemes, rate):
    """Update the schemes' ``active`` flags; return how long they all want to sleep, 0 = not at all (``damos_wmark_wait_us``).

    Above ``high`` and below ``low`` a scheme is inactive. Between ``mid`` and ``high`` it stays what it was, between
    ``low`` and ``mid`` it is active.
    """
    shortest = _LONGEST
    for i in range(schemes.size):
        s = schemes[i]
        if s.marks == np.uint64(SWITCHED_OFF):
            continue
        if s.marks == np.uint64(MARKS):
            if rate > s.high or rate < s.low:
                s.active = _U0
            elif rate < s.mid:
                s.active = _U1
        shortest = min(shortest, s.look_us if s.marks == np.uint64(MARKS) and s.active == _U0 else _U0)
    return _U0 if shortest == _LONGEST else shortest
