"""kswapd of the top tier: generations of its pages, and which of them it demotes.

Source: docs/theory/numa.md, section 5.
"""

from __future__ import annotations

import numpy as np

from ._bundle import columns
from ._jit import inlined, kernel
from .access import clear_young, last_cleared
from .bits import clz
from .numa import (
    ARRIVED,
    DEMOTED,
    DEMOTED_ALL,
    FAILURES,
    IN_ROUND,
    KSWAPD_LOOKS,
    KSWAPD_RUNS,
    LIMIT,
    LOOKED,
    MOVED,
    NO_ROOM,
    OLDEST,
    PRIORITY,
    REFERENCED,
    RUNNING,
    SUCCESS_AT,
    TIERING,
    TOP,
    WOKEN,
    WORKINGSET,
    YOUNG,
    YOUNGEST,
    Z_HIGH,
    Z_LOW,
    Z_PROMO,
    all_above,
    is_touched,
    link,
    move_to,
    settle_zones,
    some_above,
    unlink,
)
from .sampling import frame_of_page

KSWAPD_BATCH = 64
"""Pages between two questions whether a round may end; of a round that begins with aging, all."""


@inlined
def balanced_mark(b):
    """The watermark from which on kswapd rests."""
    return Z_PROMO if b.setting[TIERING] else Z_HIGH


@inlined
def drop_empty(b):
    """Pass over the oldest generations while they are empty and more than two are left."""
    while b.state[YOUNGEST] - b.state[OLDEST] >= 2 and b.ends[b.state[OLDEST] & 3] < 0:
        b.state[OLDEST] += 1


@inlined
def accessed_bit(b, memory, access, page, frame, now):
    """Whether the accessed bit is set; notes on the way whether DAMON found it set before it cleared it."""
    record, own = memory.rec[frame], np.int64(b.cleared[page])
    damon = last_cleared(memory, record) if memory.seen.size else np.int64(0)
    since = own
    if damon > own:
        if own == 0 or is_touched(access, record, own - 1, damon - 1):
            b.flags[page] |= YOUNG
        since = damon
    if since == 0 or is_touched(access, record, since - 1, now):
        return True
    b.cleared[page] = np.int32(now + 1)  # nothing since: later looks need not go back further
    return False


@inlined
def age(b, memory, access, now):
    """Start a new generation: a walk clears accessed bits, and pages found accessed a second time become the youngest.

    DAMON does not see what was touched before the walk. At most three generations are there, so that no fifth one comes.
    """
    youngest = b.state[YOUNGEST]
    for seq in range(b.state[OLDEST], youngest + 1):
        page, last = b.ends[seq & 3], b.ends[4 + (seq & 3)]
        while page >= 0:
            younger = np.int64(b.after[page])
            frame = frame_of_page(memory, page)
            if frame >= 0 and accessed_bit(b, memory, access, page, frame, now):
                b.cleared[page] = np.int32(now + 1)
                if memory.seen.size:
                    clear_young(memory, frame, now)
                if b.flags[page] & (REFERENCED | WORKINGSET):
                    b.flags[page] = (b.flags[page] & ~REFERENCED) | WORKINGSET
                    if seq != youngest:
                        unlink(b, page)
                        link(b, page, youngest)
                else:
                    b.flags[page] |= REFERENCED
            if page == last:
                break
            page = younger
    b.state[YOUNGEST] += 1


@inlined
def fls(n):
    """Bits of a number that is not negative."""
    return np.int64(64) - np.int64(clz(np.uint64(n))) if n > 0 else np.int64(0)


@inlined
def linked(b, first, last):
    """Pages of generations by sequence number, from `first` to `last`."""
    n = np.int64(0)
    for seq in range(first, last + 1):
        page = b.ends[seq & 3]
        while page >= 0:
            n += 1
            page = np.int64(b.after[page])
    return n


@inlined
def round_pages(b):
    """How many pages a round aims at."""
    wanted = np.int64(0)
    for z in range(columns(b.zone)):
        wanted += max(b.zone[Z_HIGH, z], 32)
    return wanted


@inlined
def demote(b, memory, page, frame):
    """Migrate a page to the first slower node with a free frame; one for which there is none stays, as if it were active."""
    for target in range(1, memory.base.size):
        if move_to(memory, TOP, frame, target):
            unlink(b, page)
            b.count[DEMOTED_ALL] += 1
            b.state[MOVED] += 1
            b.state[DEMOTED] += 1
            return
    unlink(b, page)
    link(b, page, b.state[YOUNGEST])


@inlined
def look(b, memory, access, page, now):
    """Look at the oldest page: demote it, or put it to younger ones if it was referenced since kswapd looked last."""
    b.state[LOOKED] += 1
    b.count[KSWAPD_LOOKS] += 1
    frame = frame_of_page(memory, page)
    bit = accessed_bit(b, memory, access, page, frame, now)
    if not (bit or b.flags[page] & YOUNG):
        demote(b, memory, page, frame)
        return
    b.cleared[page] = np.int32(now + 1)
    flags = b.flags[page] & ~YOUNG
    unlink(b, page)
    link(b, page, b.state[YOUNGEST] if flags & WORKINGSET else b.state[YOUNGEST] - 1)
    b.flags[page] = flags | (np.uint8(0) if flags & (REFERENCED | WORKINGSET) else REFERENCED)


@inlined
def begin_round(b, memory, access, now):
    """Age if few generations are left, and say how many pages the round looks at; return whether it aged."""
    s = b.state
    drop_empty(b)
    generations = s[YOUNGEST] - s[OLDEST] + 1
    few = generations <= 2 or (generations == 3 and s[PRIORITY] < 12)
    s[DEMOTED] = s[LOOKED] = 0
    if few:
        age(b, memory, access, now)
        s[LIMIT] = KSWAPD_BATCH
    else:
        s[LIMIT] = max(linked(b, s[OLDEST], s[YOUNGEST]) >> s[PRIORITY], KSWAPD_BATCH)
    s[IN_ROUND] = 1
    return few


@kernel
def kswapd(b, memory, access, now, budget):
    """Let kswapd, if it was woken, look at no more than `budget` pages at a workload tick, or start a generation.

    Returns how many pages it looked at.
    """
    s, spent = b.state, np.int64(0)
    settle_zones(b, memory)
    balanced = some_above(b, balanced_mark(b), 0)
    if balanced and not s[RUNNING]:
        s[FAILURES] = 0  # whoever made room, kswapd has hope again
    if s[WOKEN] == NO_ROOM or (s[WOKEN] == ARRIVED and not some_above(b, Z_LOW, 0)):
        if not s[RUNNING] and s[FAILURES] < 16 and not balanced:
            s[RUNNING] = 1
            b.count[KSWAPD_RUNS] += 1
            quiet = linked(b, s[OLDEST], s[YOUNGEST] - 2)
            s[PRIORITY] = min(max(fls(quiet) - 1 - fls(round_pages(b) - 1), 6), 12)
            s[IN_ROUND] = 0
            s[SUCCESS_AT] = b.count[DEMOTED_ALL]
    s[WOKEN] = 0
    wanted = round_pages(b)
    while s[RUNNING] and spent < budget:
        if not s[IN_ROUND]:
            if some_above(b, balanced_mark(b), 0) or s[PRIORITY] < 1:
                s[RUNNING] = 0
                s[FAILURES] = s[FAILURES] + 1 if b.count[DEMOTED_ALL] == s[SUCCESS_AT] else 0
                break
            if begin_round(b, memory, access, now):
                break  # the walk takes time, in which pages are touched
        left = min(min(np.int64(KSWAPD_BATCH), budget - spent), s[LIMIT] - s[LOOKED])
        more = True
        for _ in range(left):
            drop_empty(b)
            page = b.ends[s[OLDEST] & 3]
            if page < 0:
                more = False
                break
            look(b, memory, access, page, now)
            spent += 1
            if s[DEMOTED] >= wanted:
                break
        settle_zones(b, memory)
        if not more or s[DEMOTED] >= wanted or s[LOOKED] >= s[LIMIT] or all_above(b, Z_PROMO, KSWAPD_BATCH):
            s[IN_ROUND] = 0
            if s[LOOKED] < wanted or s[DEMOTED] == 0:
                s[PRIORITY] -= 1
    return spent
