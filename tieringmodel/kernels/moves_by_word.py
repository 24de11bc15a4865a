"""Migration word by word of both bitmaps, for the two orders of free frames that allow it: lowest first, and off stacks.

What a word's pages have in common is booked once: 3 times as fast on scattered pages (measured).
"""

from __future__ import annotations

import numpy as np

from ._jit import inlined
from .bits import clz, ctz, popcount
from .buddy import free_frame, next_frame, pass_seconds
from .frames import DIRTY, count_failures, lowest_free, note_frame, word_within
from .layout import ACTIVE_SHIFT, CLASS_MASK, CPU, LOG_LENGTH, LOW32, MOVES, PART_SHIFT, SHIFT32

_U0, _U1, _U48 = np.uint64(0), np.uint64(1), np.uint64(48)


@inlined
def book(memory, w, pages):
    """Count `pages` more LRU pages, and as many free frames less, in the block and the 1 GiB of word w."""
    block, part = w >> 3, w >> 12
    memory.dirty[block >> (PART_SHIFT - 9)] = DIRTY
    memory.lru_512[block] += np.uint16(pages)
    memory.free_512[block] -= np.uint16(pages)
    memory.lru_256k[part] += pages
    memory.free_256k[part] -= pages


@inlined
def migrate_lowest(memory, source, a, b, here, target):
    """Do the same as `migrate_singly` where the target gives its lowest free frames."""
    node, home = memory.node[target], memory.node[source]
    room = min(here, node.free, node.free - node.reserve)
    moved, active, at = np.int64(0), np.int64(0), memory.clock[LOG_LENGTH]
    link = (np.uint64(source) << SHIFT32) | (np.uint64(target) << _U48)
    to, free = np.int64(-1), _U0
    for block in range((b - 1) >> 9, (a >> 9) - 1, -1):
        if moved >= room:
            break
        if memory.lru_512[block] == 0:
            continue
        for w in range(block * 8 + 7, block * 8 - 1, -1):
            bits = word_within(memory, w, a, b)
            before = bits
            while bits != _U0 and moved < room:
                if free == _U0:
                    to = lowest_free(memory, node, target) >> 6
                    free = memory.free_bits[to]
                had = free
                while bits != _U0 and free != _U0 and moved < room:
                    frame, new = w * 64 + np.int64(63) - np.int64(clz(bits)), to * 64 + np.int64(ctz(free))
                    bits ^= _U1 << np.uint64(frame & 63)
                    free &= free - _U1
                    record = memory.rec[frame]
                    memory.rec[frame] = _U0
                    memory.rec[new] = record
                    if memory.frame_of.size:
                        note_frame(memory, record, new)
                    cls = np.int64((record >> SHIFT32) & CLASS_MASK)
                    memory.by_class[source, cls] -= 1
                    memory.by_class[target, cls] += 1
                    active += np.int64((record >> ACTIVE_SHIFT) & _U1)
                    if at < memory.log.size:
                        memory.log[at] = ((record & LOW32) - _U1) | link
                        at += 1
                    moved += 1
                memory.free_bits[to] = free
                memory.lru_bits[to] |= had ^ free
                book(memory, to, np.int64(popcount(had ^ free)))
            if bits != before:
                memory.lru_bits[w] ^= bits ^ before
                memory.free_bits[w] |= bits ^ before
                book(memory, w, -np.int64(popcount(bits ^ before)))
                home.hint = min(home.hint, block)
    memory.clock[LOG_LENGTH] = at
    book_moves(memory, home, node, moved, active, here - moved)
    return moved


@inlined
def migrate_recycled(memory, source, a, b, here, target):
    """Do the same as `migrate_singly` where zones and lists of CPUs hand out frames: see `kernels.buddy`.

    What is taken of one word of the target's bitmap, and freed of one word of the source's, is booked once each.
    """
    pass_seconds(memory)
    node, home, cpu = memory.node[target], memory.node[source], memory.crew[CPU]
    room = min(here, node.free, node.free - node.reserve)
    moved, active, at = np.int64(0), np.int64(0), memory.clock[LOG_LENGTH]
    link = (np.uint64(source) << SHIFT32) | (np.uint64(target) << _U48)
    to, taken = np.int64(0), _U0
    for block in range((b - 1) >> 9, (a >> 9) - 1, -1):
        if moved >= room:
            break
        if memory.lru_512[block] == 0:
            continue
        for w in range(block * 8 + 7, block * 8 - 1, -1):
            bits = word_within(memory, w, a, b)
            before = bits
            while bits != _U0 and moved < room:
                frame, new = w * 64 + np.int64(63) - np.int64(clz(bits)), next_frame(memory, target, cpu)
                bits ^= _U1 << np.uint64(frame & 63)
                if new >> 6 != to:
                    book_taken(memory, to, taken)
                    to, taken = new >> 6, _U0
                taken |= _U1 << np.uint64(new & 63)
                record = memory.rec[frame]
                free_frame(memory, source, frame)
                memory.rec[new] = record
                if memory.frame_of.size:
                    note_frame(memory, record, new)
                cls = np.int64((record >> SHIFT32) & CLASS_MASK)
                memory.by_class[source, cls] -= 1
                memory.by_class[target, cls] += 1
                active += np.int64((record >> ACTIVE_SHIFT) & _U1)
                if at < memory.log.size:
                    memory.log[at] = ((record & LOW32) - _U1) | link
                    at += 1
                moved += 1
            if bits != before:
                memory.lru_bits[w] ^= bits ^ before
                memory.free_bits[w] |= bits ^ before
                book(memory, w, -np.int64(popcount(bits ^ before)))
    book_taken(memory, to, taken)
    memory.clock[LOG_LENGTH] = at
    book_moves(memory, home, node, moved, active, here - moved)
    return moved


@inlined
def book_moves(memory, home, node, moved, active, failed):
    """Count `moved` pages, `active` ones among them, that went from one node to another, and those that found no frame."""
    node.free -= moved
    node.lru += moved
    node.active += active
    node.migrated_in += moved
    home.free += moved
    home.lru -= moved
    home.active -= active
    home.migrated_out += moved
    memory.clock[MOVES] += moved
    count_failures(node, failed)


@inlined
def book_taken(memory, w, taken):
    """Give LRU pages to the free frames of word w that are set in `taken`."""
    if taken != _U0:
        memory.free_bits[w] &= ~taken
        memory.lru_bits[w] |= taken
        book(memory, w, np.int64(popcount(taken)))


@inlined
def migrate_whole_words(memory, zone, source, a, b, here, target):
    """Migrate as `migrate_singly`, word by word, by the policies that can; `zone` is ``memory.zone``."""
    if zone is not None:
        return migrate_recycled(memory, source, a, b, here, target)
    return migrate_lowest(memory, source, a, b, here, target)
