"""Access checks: pick an address per region, look at its page, count.

Tick by tick, so that a recorded stream of draws replays in order.
"""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel
from .access import clear_young, rules_touched, touch_bits, young
from .bits import get_bit
from .draws import COUNTER, KEY, KIND, POS, rand_range
from .layout import CLASS_MASK, LOW32, SHIFT32
from .random import bits64

_U0, _U1, _U2 = np.uint64(0), np.uint64(1), np.uint64(2)


@inlined
def place_at(space, address):
    """Frame (paddr) or logical page (vaddr) behind a core address, -1 where there is none."""
    page = np.int64((address * space.unit) >> space.shift)
    for k in range(space.first.size):
        if space.first[k] <= page < space.last[k]:
            return space.base[k] + page - space.first[k]
    return np.int64(-1)


@inlined
def frame_at(space, frame_of, address):
    """Frame behind a core address, -1 where there is none."""
    place = place_at(space, address)
    return np.int64(frame_of[place]) if space.virtual and place >= 0 else place


@inlined
def plan_draws(r, n, space, shift, first_draw, special):
    """Note what all ticks share: page to place, and which draw of a tick is whose; return the draws per tick.

    `special` (count first) lists the regions with two draws and those that do not lie inside one range of `space`.
    """
    draws, special[0] = _U0, 0
    for i in range(n):
        start, end = r.start[i], r.end[i]
        low, high = np.int64((start * space.unit) >> space.shift), np.int64(((end - _U1) * space.unit) >> space.shift)
        wide, inside = end - start > LOW32, False
        for k in range(space.first.size):
            if space.first[k] <= low and high < space.last[k]:
                shift[i], inside = space.base[k] - space.first[k], True
        if wide or not inside:
            special[0] += 1
            special[special[0]] = i
        first_draw[i] = draws
        draws += _U2 if wide else _U1
    return draws


@inlined
def draw_places(r, n, space, rng, buffer, shift, first_draw, draws, special, places):
    """Draw an address per region. Counter-based draws need no order: one vector loop, then the special regions."""
    if rng[KIND] != COUNTER:
        for i in range(n):
            places[i] = place_at(space, rand_range(rng, buffer, r.start[i], r.end[i]))
        return
    key, position = rng[KEY], rng[POS]
    for i in range(n):
        bits = bits64(key, position + first_draw[i]) >> SHIFT32
        address = r.start[i] + ((bits * (r.end[i] - r.start[i])) >> SHIFT32)
        places[i] = np.int64((address * space.unit) >> space.shift) + shift[i]
    for k in range(1, special[0] + 1):
        i = special[k]
        rng[POS] = position + first_draw[i]
        places[i] = place_at(space, rand_range(rng, buffer, r.start[i], r.end[i]))
    rng[POS] = position + draws


@kernel
def sample_ticks(r, n, after, until, space, rec, frame_of, access, rng, buffer):
    """Prepare and check once per entry of (`after`, `until`] for n regions.

    For one context that nobody disturbs between prepare and check: the page is accessed iff it was touched in the
    tick's window. One pass over the regions per step: the loads overlap, and steps that only calculate use vector
    units (a loop that both stores and looks up a table would not: the compiler cannot tell the two apart).
    """
    places, records, limits = np.empty(n, np.int64), np.empty(n, np.uint64), np.empty(n, np.uint64)
    shift, first_draw, special = np.zeros(n, np.int64), np.empty(n, np.uint64), np.empty(n + 1, np.int64)
    draws = plan_draws(r, n, space, shift, first_draw, special)
    for k in range(after.size):
        a, b = after[k], until[k]
        draw_places(r, n, space, rng, buffer, shift, first_draw, draws, special, places)
        if space.virtual:
            for i in range(n):
                places[i] = np.int64(frame_of[places[i]]) if places[i] >= 0 else np.int64(-1)
        for i in range(n):
            record = rec[places[i]] if places[i] >= 0 else _U0
            page = record & LOW32 != _U0
            records[i] = record
            limits[i] = access.threshold[np.int64((record >> SHIFT32) & CLASS_MASK)] if page else _U0
        if access.plain:
            for tick in range(a + 1, b + 1):
                for i in range(n):
                    hit = touch_bits(access.key, (records[i] & LOW32) - _U1, tick) < limits[i]
                    r.nr[i] += np.uint32(hit)
                    limits[i] = _U0 if hit else limits[i]
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
        frame = frame_at(space, memory.frame_of, rand_range(rng, buffer, r.start[i], r.end[i]))
        if frame >= 0 and get_bit(memory.lru_bits, frame):
            clear_young(memory, frame, now)
        frames[i] = frame


@kernel
def check_accesses(r, n, now, memory, access, frames):
    """``young``: count the regions whose sampled frame now holds a page with its accessed state set."""
    for i in range(n):
        frame = frames[i]
        if frame >= 0 and get_bit(memory.lru_bits, frame) and young(access, memory, frame, now):
            r.nr[i] += np.uint32(1)
