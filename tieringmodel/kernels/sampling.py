"""Access checks: pick an address per region, look at its page, count.

Tick by tick, so that a recorded stream of draws replays in order.
"""

from __future__ import annotations

import numpy as np

from ._bundle import at_address
from ._jit import inlined, kernel
from .access import clear_young, last_cleared, plain_touched, rules_touched, touch_bits, young
from .draws import COUNTER, KEY, KIND, POS, rand_range
from .layout import CLASS_MASK, LOW32, SHIFT32, Draws, Regions, Scratch, Space
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
def frame_of_page(memory, page):
    """Frame of a logical page, -1 where it is out: `NO_FRAME` is one less than 2**32."""
    return np.int64((np.uint64(memory.frame_of[page]) + _U1) & LOW32) - 1


@inlined
def frame_at(space, memory, address):
    """Frame behind a core address, -1 where there is none."""
    place = place_at(space, address)
    return frame_of_page(memory, place) if space.virtual and place >= 0 else place


@inlined
def plan_draws(r, n, space, scratch):
    """Note what all ticks share: page to place, and which draw of a tick is whose; return the draws per tick."""
    draws, count = _U0, np.int64(0)
    for i in range(n):
        start, end = r.start[i], r.end[i]
        low, high = np.int64((start * space.unit) >> space.shift), np.int64(((end - _U1) * space.unit) >> space.shift)
        wide, inside = end - start > LOW32, False
        for k in range(space.first.size):
            if space.first[k] <= low and high < space.last[k]:
                scratch.shift[i], inside = space.base[k] - space.first[k], True
        if wide or not inside:
            count += 1
            scratch.special[count] = i
            scratch.shift[i] = 0
        scratch.first_draw[i] = draws
        draws += _U2 if wide else _U1
    scratch.special[0] = count
    return draws


@inlined
def draw_places(r, n, space, memory, rng, draws, scratch):
    """Draw an address per region. Counter-based draws need no order: one vector loop, then the special regions."""
    if rng.state[KIND] != COUNTER:
        for i in range(n):
            scratch.place[i] = place_at(space, rand_range(rng, r.start[i], r.end[i]))
    else:
        key, position = rng.state[KEY], rng.state[POS]
        for i in range(n):
            bits = bits64(key, position + scratch.first_draw[i]) >> SHIFT32
            address = r.start[i] + ((bits * (r.end[i] - r.start[i])) >> SHIFT32)
            scratch.place[i] = np.int64((address * space.unit) >> space.shift) + scratch.shift[i]
        for k in range(1, scratch.special[0] + 1):
            i = scratch.special[k]
            rng.state[POS] = position + scratch.first_draw[i]
            scratch.place[i] = place_at(space, rand_range(rng, r.start[i], r.end[i]))
        rng.state[POS] = position + draws
    if space.virtual:
        for i in range(n):
            place = scratch.place[i]
            scratch.place[i] = frame_of_page(memory, place) if place >= 0 else np.int64(-1)


@kernel
def sample_plain(r, n, after, until, space, memory, access, rng, scratch):
    """Prepare and check once per entry of (`after`, `until`] for n regions, while every class has one rate.

    For one context that nobody disturbs between prepare and check: the page is accessed iff it was touched in the
    tick's window. One pass over the regions per step: the loads overlap, and steps that only calculate use vector
    units (a loop that both stores and looks up a table would not: the compiler cannot tell the two apart).
    """
    draws = plan_draws(r, n, space, scratch)
    for k in range(after.size):
        draw_places(r, n, space, memory, rng, draws, scratch)
        for i in range(n):
            record = memory.rec[scratch.place[i]] if scratch.place[i] >= 0 else _U0
            page = record & LOW32 != _U0
            scratch.record[i] = record
            scratch.limit[i] = access.threshold[np.int64((record >> SHIFT32) & CLASS_MASK)] if page else _U0
        for tick in range(after[k] + 1, until[k] + 1):
            for i in range(n):
                limit = scratch.limit[i]
                hit = touch_bits(access.key, (scratch.record[i] & LOW32) - _U1, tick) < limit
                r.nr[i] += np.uint32(hit)
                scratch.limit[i] = _U0 if hit else limit


@kernel
def sample_rules(r, n, after, until, space, memory, access, rng, scratch):
    """Do the same as `sample_plain` for any rules."""
    draws = plan_draws(r, n, space, scratch)
    for k in range(after.size):
        draw_places(r, n, space, memory, rng, draws, scratch)
        for i in range(n):
            record = memory.rec[scratch.place[i]] if scratch.place[i] >= 0 else _U0
            cls = np.int64((record >> SHIFT32) & CLASS_MASK)
            page = np.int64(record & LOW32) - 1
            if page >= 0 and rules_touched(access, cls, page, after[k], until[k]):
                r.nr[i] += np.uint32(1)


@inlined
def clear_sampled(memory, frame, now):
    """Clear the accessed state of the page on a sampled frame, if one is there; all pages are on an LRU list."""
    if frame >= 0 and memory.rec[frame] & LOW32 != _U0:
        clear_young(memory, frame, now)


@inlined
def count_accessed(r, n, now, memory, access, frames):
    """``young``: count the regions whose sampled frame now holds a page with its accessed state set."""
    for i in range(n):
        frame = frames[i]
        if frame >= 0 and young(access, memory, frame, now):
            r.nr[i] += np.uint32(1)


@inlined
def count_plain(r, n, before, now, memory, access, scratch):
    """Do the same as `count_accessed` while every class has one rate, for frames that were prepared at tick `before`.

    First what each frame's page is and when its state was last cleared, then tick by tick a loop that only calculates. Only
    a page that came to its frame later can have been cleared before `before`.
    """
    for i in range(n):
        frame = scratch.place[i]
        record = memory.rec[frame] if frame >= 0 else _U0
        scratch.record[i] = record & LOW32
        scratch.limit[i] = _U0
        scratch.place[i] = before
        if record & LOW32 != _U0:
            limit = access.threshold[np.int64((record >> SHIFT32) & CLASS_MASK)]
            after = last_cleared(memory, record) - 1
            if after >= before:
                scratch.place[i] = after
                scratch.limit[i] = limit
            elif after < 0 or plain_touched(limit, access.key, np.int64(record & LOW32) - 1, after, before):
                r.nr[i] += np.uint32(1)
            else:
                clear_young(memory, frame, before)
                scratch.limit[i] = limit
    for tick in range(before + 1, now + 1):
        for i in range(n):
            limit = scratch.limit[i]
            hit = (touch_bits(access.key, scratch.record[i] - _U1, tick) < limit) & (scratch.place[i] < tick)
            r.nr[i] += np.uint32(hit)
            scratch.limit[i] = _U0 if hit else limit


@kernel
def prepare_checks(r, n, now, space, memory, rng, frames):
    """``mkold``: draw a sampling address per region and clear the accessed state of the page found there."""
    for i in range(n):
        frames[i] = frame_at(space, memory, rand_range(rng, r.start[i], r.end[i]))
        clear_sampled(memory, frames[i], now)


@kernel
def check_accesses(r, n, now, memory, access, frames):
    """`count_accessed` for one tick of one context."""
    count_accessed(r, n, now, memory, access, frames)


_regions, _space, _draws, _scratch = (at_address(cls) for cls in (Regions, Space, Draws, Scratch))


@kernel
def check_in_turn(contexts, counts, before, which, ticks, memory, access):
    """Check and prepare again, tick by tick in the order given, contexts that clear each other's accessed states.

    Row i of `contexts` (see `addresses`) holds the regions, the space, the draws and the scratch of a context with
    ``counts[i]`` regions, whose frames, prepared at tick ``before[i]``, are in ``scratch.place``. Context ``which[k]`` wakes
    at tick ``ticks[k]``.
    """
    draws = np.zeros(counts.size, np.uint64)
    for i in range(counts.size):
        draws[i] = plan_draws(_regions(contexts[i, 0]), counts[i], _space(contexts[i, 1]), _scratch(contexts[i, 3]))
    for k in range(which.size):
        i, now = which[k], ticks[k]
        r, n, scratch = _regions(contexts[i, 0]), counts[i], _scratch(contexts[i, 3])
        if access.plain:
            count_plain(r, n, before[i], now, memory, access, scratch)
        else:
            count_accessed(r, n, now, memory, access, scratch.place)
        before[i] = now
        draw_places(r, n, _space(contexts[i, 1]), memory, _draws(contexts[i, 2]), draws[i], scratch)
        for j in range(n):
            clear_sampled(memory, scratch.place[j], now)
