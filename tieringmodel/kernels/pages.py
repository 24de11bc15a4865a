"""What an action does with the pages of a region: which of them operations filters let pass, and what becomes of those."""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel
from .access import clear_young, last_cleared, young
from .bits import clear_bit, ctz, get_bit, set_bit
from .folios import folio_bytes, order_at
from .frames import DIRTY, migrate_singly, move_page, reclaim_page
from .layout import (
    ACTIVE_SHIFT,
    ANON,
    BUDDY,
    CLASS_MASK,
    HUGEPAGE_SIZE,
    IS_ACTIVE,
    LOW32,
    LOWEST,
    LRU_DEPRIO,
    LRU_PRIO,
    MARK_ACCESSED,
    MEMCG,
    MIGRATE,
    PAGEOUT,
    PART_SHIFT,
    SEEN_SHIFT,
    SHIFT32,
    YOUNG,
)
from .lru import set_active
from .moves_by_word import migrate_whole_words
from .swap import end_list, is_anon, leaves

_U0, _U1 = np.uint64(0), np.uint64(1)


@inlined
def run_of(memory, chosen, first, n):
    """The node of a chosen frame, and where the run of frames on that node ends that begins with it."""
    source, last = node_of_frame(memory, chosen[first]), first + 1
    while last < n and node_of_frame(memory, chosen[last]) == source:
        last += 1
    return source, last


@inlined
def migrate_list(memory, chosen, n, target):
    """Migrate the pages on n chosen frames, a list of ``damon_migrate_pages``, to node `target`; return how many moved.

    The list is cut into runs on equal nodes, and each run is worked off from its last frame. Runs on the target stay.
    """
    moved, first = np.int64(0), np.int64(0)
    while first < n:
        source, last = run_of(memory, chosen, first, n)
        if source != target:
            moved += move_run(memory, source, chosen, first, last, target)
        first = last
    return moved


@inlined
def move_run(memory, source, chosen, first, last, target):
    """Migrate the pages on the chosen frames [first, last), all of node `source`, from the last down; return how many moved."""
    moved = np.int64(0)
    for k in range(last - 1, first - 1, -1):
        if memory.rec[chosen[k]] & LOW32 == _U0:
            continue
        if move_page(memory, source, chosen[k], target):
            moved += 1
            continue
        memory.node[target].alloc_failed += 1
        if not memory.node[target].try_all:
            break
    return moved


@inlined
def node_of_frame(memory, frame):
    """Index of the node that a frame is on."""
    k = memory.base.size - 1
    while frame < memory.base[k]:
        k -= 1
    return k


@inlined
def count_on(memory, frames, n, node):
    """How many pages of the folios on n frames are on a node."""
    count = np.int64(0)
    for k in range(n):
        count += np.int64(node_of_frame(memory, frames[k]) == node) << order_at(memory.folio, frames[k])
    return count


@inlined
def reclaims(s, memory):
    """Does the action take pages out of memory? Where memory has no room for such pages they are counted only."""
    return s.action == PAGEOUT and memory.out.size > 0


@inlined
def made_old(memory, access, frame, tick, tally, size):
    """Is the folio young? If so it is made old, and the scheme's tally told whether anybody had looked at it before."""
    before = last_cleared(memory, memory.rec[frame])
    if not young(access, memory, frame, tick):
        return False
    clear_young(memory, frame, tick)
    if before == 0:
        tally.sz_first_look += size
    return True


@inlined
def page_passes(s, filters, space, memory, access, frame, tick, core_allowed, tally, rejected):
    """Do the operations filters let the folio that begins on `frame` pass? The first hit decides; a young page is made old.

    Reclaim rejects young pages where no filter asks for their age. The scheme's `tally` and `rejected` (by filter) count
    what is turned away.
    """
    if core_allowed:
        return True
    record, ageless = memory.rec[frame], reclaims(s, memory)
    cls, size = np.int64((record >> SHIFT32) & CLASS_MASK), folio_bytes(memory.folio, frame, space.shift)
    for k in range(s.ops_first, s.ops_last):
        f = filters[k]
        aged = False
        if f.type == ANON:
            hit = access.anon[cls] != 0 and is_anon(memory, memory.device, record)
        elif f.type == IS_ACTIVE:
            hit = (record >> ACTIVE_SHIFT) & _U1 != _U0
        elif f.type == MEMCG:
            hit = access.memcg[cls] != 0 and access.memcg[cls] == f.index
        elif f.type == YOUNG:
            ageless = False
            hit = aged = made_old(memory, access, frame, tick, tally, size)
        elif f.type == HUGEPAGE_SIZE:
            hit = f.start <= size <= f.end
        else:
            hit = False
        if hit == (f.matching != _U0):
            if f.allow == _U0:
                rejected[k] += size
                if aged:
                    tally.sz_young += size
            return f.allow != _U0
    if ageless and made_old(memory, access, frame, tick, tally, size):
        tally.sz_young += size
        return False
    if s.ops_reject != _U0:
        rejected[s.ops_last - 1] += size
    return s.ops_reject == _U0


@inlined
def passing_frames(s, filters, space, memory, access, a, b, tick, core_allowed, tally, rejected, out):
    """Write the frames of [a, b) whose pages pass, in address order, to `out`; return how many."""
    n = 0
    for word in range(a // 64, (b + 63) // 64):
        bits = memory.lru_bits[word]
        while bits != _U0:
            frame = word * 64 + np.int64(ctz(bits))
            bits &= bits - _U1
            if a <= frame < b and page_passes(s, filters, space, memory, access, frame, tick, core_allowed, tally, rejected):
                out[n] = frame
                n += 1
    return n


@kernel
def passing(s, filters, space, memory, access, chosen, tick, core_allowed, tally, rejected):
    """Tell which of the chosen frames' pages the operations filters let pass, for actions carried out by the caller."""
    out = np.empty(chosen.size, np.bool_)
    for k in range(chosen.size):
        out[k] = page_passes(s, filters, space, memory, access, chosen[k], tick, core_allowed, tally, rejected)
    return out


@inlined
def reclaim_list(memory, access, source, chosen, n):
    """Take the pages on n chosen frames of one node out of memory, those that leave it now; return how many."""
    done = np.int64(0)
    for k in range(n):
        if memory.marked.size:
            clear_bit(memory.marked, np.int64(memory.rec[chosen[k]] & LOW32) - 1)
        if leaves(memory, memory.device, access, source, chosen[k]):
            reclaim_page(memory, access, source, chosen[k])
            done += 1
    end_list(memory, memory.device)
    return done


@inlined
def act_on_pages(s, memory, access, source, chosen, n):
    """Carry the action out on n chosen frames of one node, migration from the highest frame down; pages handled."""
    if reclaims(s, memory):
        return reclaim_list(memory, access, source, chosen, n)
    if s.action == MIGRATE:
        return np.int64(0) if source == s.target else move_run(memory, source, chosen, 0, n, s.target)
    if s.action == LRU_PRIO or s.action == LRU_DEPRIO:
        flag = _U1 if s.action == LRU_PRIO else _U0
        for k in range(n):
            set_active(memory, source, chosen[k], flag)
        return np.int64(n)
    if s.action == MARK_ACCESSED:
        for k in range(n):
            mark_accessed(memory, source, chosen[k])
        return np.int64(n)
    return np.int64(n) if s.action == PAGEOUT else np.int64(0)


@inlined
def mark_accessed(memory, i, frame):
    """``folio_mark_accessed``: of two calls on an inactive page the second one activates it, and each makes it young."""
    record = memory.rec[frame]
    page = np.int64(record & LOW32) - 1
    if not get_bit(memory.marked, page):
        set_bit(memory.marked, page)
    elif (record >> ACTIVE_SHIFT) & _U1 == _U0:
        record |= _U1 << ACTIVE_SHIFT
        memory.node[i].active += 1
        clear_bit(memory.marked, page)
    if memory.seen.size:
        record &= (_U1 << SEEN_SHIFT) - _U1
        memory.seen[page] = np.uint16(0)
        memory.dirty_pages[page >> PART_SHIFT] = DIRTY
    memory.rec[frame] = record
    memory.dirty[frame >> PART_SHIFT] = DIRTY


@inlined
def handle_pages(s, filters, space, memory, access, k, a, b, here, tick, core_allowed, tally, rejected):
    """Filter and act on the `here` LRU pages on frames [a, b) of node k: how many passed, how many were handled."""
    if s.action == MIGRATE and (core_allowed or (s.ops_first == s.ops_last and s.ops_reject == _U0)):
        if s.target < 0 or k == s.target:
            return here, np.int64(0)
        if memory.node[s.target].policy == LOWEST or memory.node[s.target].policy == BUDDY:
            return here, migrate_whole_words(memory, memory.zone, k, a, b, here, s.target)
        return here, migrate_singly(memory, k, a, b, here, s.target)
    chosen = np.empty(here, np.int64)
    n = passing_frames(s, filters, space, memory, access, a, b, tick, core_allowed, tally, rejected, chosen)
    if s.action == MIGRATE and s.target < 0:
        return n, np.int64(0)
    return n, act_on_pages(s, memory, access, k, chosen, n)
