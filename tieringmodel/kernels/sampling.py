"""Access checks: pick an address per region, look at its page, count.

Tick by tick, so that a recorded stream of draws replays in order.
"""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel
from .access import clear_young, last_cleared, plain_touched, rules_touched, touch_bits, touched, young
from .draws import COUNTER, KEY, KIND, POS, rand_range
from .folios import folio_bytes, seen_record
from .layout import ACCESSED, AT, CLASS_MASK, LOW32, SHIFT32, SIZE
from .random import bits64

_U0, _U1, _U2, _PAGE = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(4096)


@inlined
def ranges_of(space, target):
    """First and one past the last of the ranges in which a target's addresses lie."""
    k = target if space.virtual else 0
    return space.ptr[k], space.ptr[k + 1]


@inlined
def place_at(space, target, address):
    """Frame (paddr) or logical page (vaddr) behind a target's core address, -1 where there is none."""
    byte = address * space.unit
    if space.heads and (byte & ((_U1 << space.shift) - _U1)) >= _PAGE:
        return np.int64(-1)
    page = np.int64(byte >> space.shift)
    first, last = ranges_of(space, target)
    return place_of_page(space, first, last, page)


@inlined
def place_of_page(space, first, last, page):
    """Frame or logical page of a page number in the ranges [first, last), -1 where there is none."""
    for k in range(first, last):
        if space.first[k] <= page < space.last[k]:
            return space.base[k] + page - space.first[k]
    return np.int64(-1)


@inlined
def frame_of_page(memory, page):
    """Frame of a logical page, -1 where it is out: `NO_FRAME` is one less than 2**32."""
    return np.int64((np.uint64(memory.frame_of[page]) + _U1) & LOW32) - 1


@inlined
def frame_of_place(space, memory, place):
    """Frame behind what `place_at` returned, -1 where there is none."""
    return frame_of_page(memory, place) if space.virtual and place >= 0 else place


@inlined
def plan_draws(r, ptr, space, scratch):
    """Note what all ticks share: page to place, and which draw of a tick is whose; return the draws per tick."""
    draws, count = _U0, np.int64(0)
    for t in range(ptr.size - 1):
        from_range, to_range = ranges_of(space, t)
        for i in range(ptr[t], ptr[t + 1]):
            start, end = r.start[i], r.end[i]
            low, high = np.int64((start * space.unit) >> space.shift), np.int64(((end - _U1) * space.unit) >> space.shift)
            wide, inside = end - start > LOW32, False
            for k in range(from_range, to_range):
                if space.first[k] <= low and high < space.last[k]:
                    scratch.shift[i], inside = space.base[k] - space.first[k], True
            if wide or not inside or space.heads:
                count += 1
                scratch.special[count] = i
                scratch.shift[i] = 0
            scratch.first_draw[i] = draws
            draws += _U2 if wide else _U1
    scratch.special[0] = count
    return draws


@inlined
def draw_places(r, ptr, space, rng, draws, scratch):
    """Draw an address per region. Counter-based draws need no order: one vector loop, then the special regions."""
    if rng.state[KIND] != COUNTER:
        for t in range(ptr.size - 1):
            for i in range(ptr[t], ptr[t + 1]):
                scratch.place[i] = place_at(space, t, rand_range(rng, r.start[i], r.end[i]))
        return
    key, position = rng.state[KEY], rng.state[POS]
    for i in range(ptr[ptr.size - 1]):
        bits = bits64(key, position + scratch.first_draw[i]) >> SHIFT32
        address = r.start[i] + ((bits * (r.end[i] - r.start[i])) >> SHIFT32)
        scratch.place[i] = np.int64((address * space.unit) >> space.shift) + scratch.shift[i]
    t = 0
    for k in range(1, scratch.special[0] + 1):
        i = scratch.special[k]
        while i >= ptr[t + 1]:
            t += 1
        rng.state[POS] = position + scratch.first_draw[i]
        scratch.place[i] = place_at(space, t, rand_range(rng, r.start[i], r.end[i]))
    rng.state[POS] = position + draws


@inlined
def draw_frames(r, ptr, space, memory, rng, draws, scratch):
    """Do the same as `draw_places` and look up the frames of logical pages."""
    draw_places(r, ptr, space, rng, draws, scratch)
    if space.virtual:
        for i in range(ptr[ptr.size - 1]):
            scratch.place[i] = frame_of_place(space, memory, scratch.place[i])


@kernel
def sample_plain(r, ptr, after, until, space, memory, access, rng, scratch):
    """Prepare and check once per entry of (`after`, `until`] for n regions, while every class has one rate.

    For one context that nobody disturbs between prepare and check: the page is accessed iff it was touched in the
    tick's window. One pass over the regions per step: the loads overlap, and steps that only calculate use vector
    units (a loop that both stores and looks up a table would not: the compiler cannot tell the two apart).
    """
    draws, n = plan_draws(r, ptr, space, scratch), ptr[ptr.size - 1]
    for k in range(after.size):
        draw_frames(r, ptr, space, memory, rng, draws, scratch)
        for i in range(n):
            record = seen_record(memory, memory.folio, scratch.place[i]) if scratch.place[i] >= 0 else _U0
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
def sample_rules(r, ptr, after, until, space, memory, access, rng, scratch):
    """Do the same as `sample_plain` for any rules."""
    draws, n = plan_draws(r, ptr, space, scratch), ptr[ptr.size - 1]
    for k in range(after.size):
        draw_frames(r, ptr, space, memory, rng, draws, scratch)
        for i in range(n):
            record = seen_record(memory, memory.folio, scratch.place[i]) if scratch.place[i] >= 0 else _U0
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
def count_accessed(r, n, now, space, memory, access, places):
    """``young``: count the regions at whose sampled place there is now a page with its accessed state set."""
    for i in range(n):
        frame = frame_of_place(space, memory, places[i])
        if frame >= 0 and young(access, memory, frame, now):
            r.nr[i] += np.uint32(1)


@inlined
def count_plain(r, n, before, now, space, memory, access, scratch):
    """Do the same as `count_accessed` while every class has one rate, for places that were prepared at tick `before`.

    First what each place's page is and when its state was last cleared, then tick by tick a loop that only calculates. Only
    a page that came to its frame later can have been cleared before `before`.
    """
    for i in range(n):
        frame = frame_of_place(space, memory, scratch.place[i])
        record = seen_record(memory, memory.folio, frame) if frame >= 0 else _U0
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
def prepare_checks(r, ptr, now, space, memory, rng, places, by_address):
    """``mkold``: draw a sampling address per region and clear the accessed state of the page found there.

    `places` (i64[regions]) receives what `place_at` says, or the addresses themselves where mappings can change before the
    check.
    """
    for t in range(ptr.size - 1):
        for i in range(ptr[t], ptr[t + 1]):
            address = rand_range(rng, r.start[i], r.end[i])
            place = place_at(space, t, address)
            places[i] = np.int64(address) if by_address else place
            clear_sampled(memory, frame_of_place(space, memory, place), now)


@kernel
def check_accesses(r, ptr, now, space, memory, access, places, by_address):
    """`count_accessed` for one tick of one context; an address is looked up again, as it is mapped now."""
    if by_address:
        for t in range(ptr.size - 1):
            for i in range(ptr[t], ptr[t + 1]):
                places[i] = place_at(space, t, np.uint64(places[i]))
    count_accessed(r, ptr[ptr.size - 1], now, space, memory, access, places)


@inlined
def same_folio(byte, glance):
    """Tell whether an address lies in the folio that was looked at last."""
    size = np.uint64(glance[SIZE])
    return byte // size == np.uint64(glance[AT]) // size


@inlined
def note_glance(glance, byte, space, frame, accessed, memory):
    """Remember what was seen at an address. Where there is no folio the size of the last one stays."""
    glance[AT], glance[ACCESSED] = np.int64(byte), np.int64(accessed)
    if frame >= 0 and memory.rec[frame] & LOW32 != _U0:
        glance[SIZE] = np.int64(folio_bytes(memory.folio, frame, space.shift))


@kernel
def sample_reusing(r, ptr, after, until, space, memory, access, rng, glance):
    """Do the same as `sample_rules` where a check repeats the last answer for an address in the folio that it looked at last.

    Linux 6.12 to 7.2. `glance` is one memory for all regions, contexts and ticks; of virtual addresses, within a target.
    """
    for k in range(after.size):
        for t in range(ptr.size - 1):
            for i in range(ptr[t], ptr[t + 1]):
                address = rand_range(rng, r.start[i], r.end[i])
                byte = address * space.unit
                if (space.virtual and i == ptr[t]) or not same_folio(byte, glance):
                    frame = frame_of_place(space, memory, place_at(space, t, address))
                    accessed = frame >= 0 and touched(access, seen_record(memory, memory.folio, frame), after[k], until[k])
                    note_glance(glance, byte, space, frame, accessed, memory)
                r.nr[i] += np.uint32(glance[ACCESSED])


@kernel
def check_reusing(r, ptr, now, space, memory, access, addresses, glance):
    """Do the same as `check_accesses` for kernels that repeat the last answer: see `sample_reusing`."""
    for t in range(ptr.size - 1):
        for i in range(ptr[t], ptr[t + 1]):
            address = np.uint64(addresses[i])
            byte = address * space.unit
            if (space.virtual and i == ptr[t]) or not same_folio(byte, glance):
                frame = frame_of_place(space, memory, place_at(space, t, address))
                accessed = frame >= 0 and young(access, memory, frame, now)
                note_glance(glance, byte, space, frame, accessed, memory)
            r.nr[i] += np.uint32(glance[ACCESSED])
