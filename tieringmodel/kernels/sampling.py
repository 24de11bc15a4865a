"""Access checks: pick an address per region, look at its page, count. Tick-major, so a recorded stream replays in order."""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel
from .access import plain_touched, rules_touched, young
from .bits import get_bit
from .draws import rand_range
from .layout import CLASS_MASK, LOW32, SHIFT32

_U0, _U12 = np.uint64(0), np.uint64(12)


@inlined
def frame_at(space, memory, address):
    """Frame behind a core address, -1 where there is none."""
    page = np.int64((address * space.unit) >> _U12)
    for k in range(space.first.size):
        if space.first[k] <= page < space.last[k]:
            where = space.base[k] + page - space.first[k]
            return np.int64(memory.frame_of[where]) if space.virtual else where
    return np.int64(-1)


@kernel
def sample_ticks(r, n, after, until, space, memory, access, rng, buffer, frames, records):
    """Prepare and check once per entry of (`after`, `until`] for n regions.

    For one context that nobody disturbs between prepare and check: the page is accessed iff it was touched in the tick's
    window. Three passes per tick (address, load, decide) let the loads of all regions overlap.
    """
    for k in range(after.size):
        a, b = after[k], until[k]
        for i in range(n):
            frames[i] = frame_at(space, memory, rand_range(rng, buffer, r.start[i], r.end[i]))
        for i in range(n):
            records[i] = memory.rec[frames[i]] if frames[i] >= 0 else _U0
        if access.plain:
            for i in range(n):
                low = records[i] & LOW32
                if low != _U0:
                    threshold = access.threshold[np.int64((records[i] >> SHIFT32) & CLASS_MASK)]
                    if plain_touched(threshold, access.key, np.int64(low) - 1, a, b):
                        r.nr[i] += np.uint32(1)
        else:
            for i in range(n):
                low = records[i] & LOW32
                cls = np.int64((records[i] >> SHIFT32) & CLASS_MASK)
                if low != _U0 and rules_touched(access, cls, np.int64(low) - 1, a, b):
                    r.nr[i] += np.uint32(1)


@kernel
def prepare_checks(r, n, now, space, memory, rng, buffer, frames):
    """``mkold``: draw a sampling address per region and clear the accessed state of the page found there."""
    for i in range(n):
        frame = frame_at(space, memory, rand_range(rng, buffer, r.start[i], r.end[i]))
        if frame >= 0 and get_bit(memory.lru_bits, frame):
            memory.seen[np.int64(memory.rec[frame] & LOW32) - 1] = np.uint32(now + 1)
        frames[i] = frame


@kernel
def check_accesses(r, n, now, memory, access, frames):
    """``young``: count the regions whose sampled frame now holds a page with its accessed state set."""
    for i in range(n):
        frame = frames[i]
        if frame >= 0 and get_bit(memory.lru_bits, frame) and young(access, memory, memory.rec[frame], now):
            r.nr[i] += np.uint32(1)
