"""Frames: allocation, release, migration. Counters and bitmaps are kept up to date page by page."""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel
from .access import touched
from .bits import BLOCK, SUPER, clear_bit, clz, count_range, ctz, set_bit
from .buddy import freed, next_frame, pass_seconds
from .folios import frame_of_used_block
from .layout import (
    ACTIVE_SHIFT,
    AT_BACK,
    AT_FRONT,
    CLASS_MASK,
    CPU,
    FAULTED,
    FIFO,
    LIFO,
    LOG_LENGTH,
    LOOKED,
    LOW32,
    LOWEST,
    MOVES,
    NO_FRAME,
    PART_SHIFT,
    RECLAIMED,
    SEEN_SHIFT,
    SHIFT32,
    STALLED,
    TOUCHED,
)
from .random import below
from .swap import anything_out, came_back, looked_from, note_event, settle, went_out

_U0, _U1, _U48 = np.uint64(0), np.uint64(1), np.uint64(48)
DIRTY = np.uint8(1)


@inlined
def lowest_free(memory, node, i):
    """Lowest free frame of node i; `hint` never lies above a block with a free frame."""
    block = node.hint
    while memory.free_512[block] == 0:
        block += 1
    node.hint = block
    word = block * 8
    while memory.free_bits[word] == _U0:
        word += 1
    return word * 64 + np.int64(ctz(memory.free_bits[word]))


@inlined
def _nth_free(memory, i, k):
    """The k-th free frame (from 0) of node i, in address order."""
    frame = memory.base[i]
    while frame % SUPER:
        here = np.int64(memory.free_512[frame // BLOCK])
        if k < here:
            break
        k -= here
        frame += BLOCK
    else:
        while k >= memory.free_256k[frame // SUPER]:
            k -= memory.free_256k[frame // SUPER]
            frame += SUPER
    while k >= np.int64(memory.free_512[frame // BLOCK]):
        k -= np.int64(memory.free_512[frame // BLOCK])
        frame += BLOCK
    word = frame // 64
    bits = memory.free_bits[word]
    while True:
        while bits == _U0:
            word += 1
            bits = memory.free_bits[word]
        if k == 0:
            return word * 64 + np.int64(ctz(bits))
        bits &= bits - _U1
        k -= 1


@inlined
def claim_frame(memory, i, frame):
    """Count a free frame of node i as taken."""
    memory.dirty[frame >> PART_SHIFT] = DIRTY
    memory.node[i].free -= 1
    clear_bit(memory.free_bits, frame)
    memory.free_512[frame // BLOCK] -= np.uint16(1)
    memory.free_256k[frame // SUPER] -= 1


@inlined
def frame_by_policy(memory, zone, i):
    """The free frame of node i that comes next; `zone` is ``memory.zone``, None where no zones are kept."""
    if zone is not None:
        pass_seconds(memory)
        return next_frame(memory, i, memory.crew[CPU])
    node = memory.node[i]
    if node.policy == LOWEST:
        frame = lowest_free(memory, node, i)
    elif node.policy == FIFO or node.policy == LIFO:
        frame = node.head
        node.head = np.int64(memory.rec[frame] >> SHIFT32) - 1
        if node.head < 0:
            node.tail = -1
    else:
        frame = _nth_free(memory, i, np.int64(below(node.key, np.uint64(memory.clock[3]), np.uint64(node.free))))
        frame = frame_of_used_block(memory, memory.folio, i, frame)
        memory.clock[3] += 1
    return frame


@inlined
def take_frame(memory, i):
    """Take a free frame of node i by its policy, or return -1 at the watermark."""
    node = memory.node[i]
    if node.free <= node.reserve or node.free <= 0:
        return np.int64(-1)
    frame = frame_by_policy(memory, memory.zone, i)
    claim_frame(memory, i, frame)
    return frame


@inlined
def give_frame(memory, i, frame):
    """Count a frame of node i as free."""
    node = memory.node[i]
    memory.dirty[frame >> PART_SHIFT] = DIRTY
    node.free += 1
    set_bit(memory.free_bits, frame)
    block = frame // BLOCK
    memory.free_512[block] += np.uint16(1)
    memory.free_256k[frame // SUPER] += 1
    node.hint = min(node.hint, block)
    memory.rec[frame] = _U0
    if node.policy == FIFO:
        if node.tail >= 0:
            memory.rec[node.tail] = np.uint64(frame + 1) << SHIFT32
            memory.dirty[node.tail >> PART_SHIFT] = DIRTY
        else:
            node.head = frame
        node.tail = frame
    elif node.policy == LIFO:
        memory.rec[frame] = np.uint64(node.head + 1) << SHIFT32
        node.head = frame


@inlined
def note_frame(memory, record, frame):
    """Remember that the page in `record` is on `frame`, where that is kept."""
    page = np.int64(record & LOW32) - 1
    memory.frame_of[page] = np.uint32(frame)
    memory.dirty_pages[page >> PART_SHIFT] = DIRTY


@inlined
def show_page(memory, frame):
    """Let walks over LRU pages see the page on a frame."""
    set_bit(memory.lru_bits, frame)
    memory.lru_512[frame // BLOCK] += np.uint16(1)
    memory.lru_256k[frame // SUPER] += 1


@inlined
def hide_page(memory, frame):
    """Take the page on a frame out of sight of walks over LRU pages."""
    clear_bit(memory.lru_bits, frame)
    memory.lru_512[frame // BLOCK] -= np.uint16(1)
    memory.lru_256k[frame // SUPER] -= 1


@inlined
def put_page(memory, i, frame, record):
    """Store a page on a frame that was taken, and count it."""
    memory.rec[frame] = record
    if memory.frame_of.size:
        note_frame(memory, record, frame)
    show_page(memory, frame)
    memory.node[i].lru += 1
    memory.node[i].active += np.int64((record >> ACTIVE_SHIFT) & _U1)
    memory.by_class[i, np.int64((record >> SHIFT32) & CLASS_MASK)] += 1


@inlined
def leave_frame(memory, i, frame):
    """Remove the page from its frame, which is free from then on: the caller says where it is handed out again."""
    hide_page(memory, frame)
    memory.node[i].lru -= 1
    record = memory.rec[frame]
    memory.node[i].active -= np.int64((record >> ACTIVE_SHIFT) & _U1)
    memory.by_class[i, np.int64((record >> SHIFT32) & CLASS_MASK)] -= 1
    give_frame(memory, i, frame)


@inlined
def drop_page(memory, i, frame):
    """Remove the page from its frame and free the frame."""
    leave_frame(memory, i, frame)
    freed(memory, memory.zone, i, frame)


@inlined
def take_frame_for(memory, target):
    """Take a free frame of node `target`, or of the next one with any where the kernel lets migration go anywhere.

    Returns node and frame; -1 for the frame where there is none.
    """
    frame, node = take_frame(memory, target), target
    if frame < 0 and memory.node[target].anywhere:
        for k in range(1, memory.base.size):
            node = (target + k) % memory.base.size
            frame = take_frame(memory, node)
            if frame >= 0:
                break
    return node, frame


@inlined
def book_move(memory, source, target, record):
    """Count and log that the page in `record` went from one node to another."""
    memory.node[target].migrated_in += 1
    memory.node[source].migrated_out += 1
    at = memory.clock[LOG_LENGTH]
    if at < memory.log.size:
        memory.log[at] = ((record & LOW32) - _U1) | (np.uint64(source) << SHIFT32) | (np.uint64(target) << _U48)
        memory.clock[LOG_LENGTH] = at + 1
    memory.clock[MOVES] += 1


@inlined
def shift_page(memory, source, frame, target, new):
    """Migrate one page from a frame of node `source` to the frame `new` of node `target`, which was taken for it."""
    record = memory.rec[frame]
    drop_page(memory, source, frame)
    put_page(memory, target, new, record)
    book_move(memory, source, target, record)


@inlined
def move_page(memory, source, frame, target):
    """Migrate one page to a frame of node `target`: the frame changes, the logical page stays. False if none is free.

    A caller books the failure. Linux 6.17 to 7.2 may take a frame of another node, even of the page's own.
    """
    target, new = take_frame_for(memory, target)
    if new < 0:
        return False
    shift_page(memory, source, frame, target, new)
    return True


@inlined
def reclaim_page(memory, access, i, frame):
    """Take the page off its frame on node i and free the frame. What is remembered of it is as of a page never looked at."""
    record = memory.rec[frame] & ((_U1 << SEEN_SHIFT) - _U1)
    page, cls = np.int64(record & LOW32) - 1, np.int64((record >> SHIFT32) & CLASS_MASK)
    drop_page(memory, i, frame)
    memory.seen[page] = np.uint16(0)
    memory.dirty_pages[page >> PART_SHIFT] = DIRTY
    if memory.frame_of.size:
        memory.frame_of[page] = np.uint32(NO_FRAME)
    if access.first[cls] < access.first[cls + 1]:
        memory.out[memory.swap[AT_FRONT]] = record
        memory.swap[AT_FRONT] += 1
    else:
        memory.swap[AT_BACK] += 1
        memory.out[memory.out.size - memory.swap[AT_BACK]] = record
    memory.swap[RECLAIMED] += 1
    went_out(memory, memory.device, page)


@kernel
def fault_in(memory, access, now):
    """Give every page that is out and was touched since the last call, up to tick `now`, a frame of the first node with one.

    Pages come in the order in which they went out; one that finds no free frame keeps its place and tries again. The
    caller notes that it looked. Touched pages that are unmapped and have a frame are mapped.
    """
    after, waiting = memory.swap[LOOKED], memory.swap[AT_FRONT]
    settle(memory, memory.device, access, after, now)
    left, stalled, node = np.int64(0), np.int64(0), np.int64(0)
    for k in range(waiting):
        record = memory.out[k]
        if record & TOUCHED != _U0 or touched(access, record, looked_from(memory, memory.device, record, after), now):
            frame = np.int64(-1)
            while node < memory.base.size:
                frame = take_frame(memory, node)
                if frame >= 0:
                    break
                node += 1
            if frame >= 0:
                put_page(memory, node, frame, record & ~TOUCHED)
                came_back(memory, memory.device, record)
                continue
            record |= TOUCHED
            stalled += 1
        memory.out[left] = record
        left += 1
    memory.swap[AT_FRONT] = left
    memory.swap[STALLED] = stalled
    memory.swap[FAULTED] += waiting - left


@kernel
def any_out(memory):
    """Whether a touch of any page has to be looked for, for callers outside the kernels."""
    return anything_out(memory, memory.device)


@kernel
def looked(memory, tick):
    """`swap.note_event` for callers outside the kernels."""
    note_event(memory, memory.device, np.int64(tick))


@inlined
def charge_clock(memory, pages, extra_ns):
    """Let `pages` copies and `extra_ns` pass on the clock; return the time in ns as the kernel's jiffy clock reads it."""
    before = memory.clock[0]
    memory.clock[0] = before + pages * memory.clock[1] + extra_ns
    jiffy = memory.clock[2]
    return np.uint64((memory.clock[0] // jiffy - before // jiffy) * jiffy)


@inlined
def word_within(memory, w, a, b):
    """LRU bits of word w for frames [a, b) only."""
    bits, low = memory.lru_bits[w], w * 64
    if low + 64 > b:
        keep = b - low
        bits = bits & ((_U1 << np.uint64(keep)) - _U1) if keep > 0 else _U0
    if low < a:
        skip = a - low
        bits = (bits >> np.uint64(skip)) << np.uint64(skip) if skip < 64 else _U0
    return bits


@inlined
def count_failures(node, left):
    """Book on the full target that `left` pages stayed: one failed allocation, or one each where all are tried."""
    if left > 0:
        node.alloc_failed += left if node.try_all else np.int64(1)


@inlined
def migrate_singly(memory, source, a, b, here, target):
    """Migrate the `here` LRU pages on frames [a, b) of node `source`, from the highest frame down; return how many moved.

    The order, and what happens when the target is full, are those of one source-node run of ``migrate_pages``.
    """
    moved = np.int64(0)
    for block in range((b - 1) >> 9, (a >> 9) - 1, -1):
        if memory.lru_512[block] == 0:
            continue
        for w in range(block * 8 + 7, block * 8 - 1, -1):
            bits = word_within(memory, w, a, b)
            while bits != _U0:
                frame = w * 64 + np.int64(63) - np.int64(clz(bits))
                bits ^= _U1 << np.uint64(frame & 63)
                if not move_page(memory, source, frame, target):
                    count_failures(memory.node[target], here - moved)
                    return moved
                moved += 1
    return moved


@kernel
def build_free_lists(memory):
    """Thread the free frames of every node, lowest first, through their records (FIFO and LIFO only)."""
    for i in range(memory.base.size):
        node = memory.node[i]
        node.head = np.int64(-1)
        node.tail = np.int64(-1)
        if node.policy != FIFO and node.policy != LIFO:
            continue
        for word in range((memory.base[i] + memory.frames[i] + 63) // 64 - 1, memory.base[i] // 64 - 1, -1):
            bits = memory.free_bits[word]
            while bits != _U0:
                top = np.int64(63) - np.int64(clz(bits))
                bits ^= _U1 << np.uint64(top)
                frame = word * 64 + top
                memory.rec[frame] = np.uint64(node.head + 1) << SHIFT32
                memory.dirty[frame >> PART_SHIFT] = DIRTY
                if node.head < 0:
                    node.tail = frame
                node.head = frame


@kernel
def lru_frames(memory, a, b):
    """Frames of the LRU pages on [a, b), ascending (i64)."""
    n = count_range(memory.lru_bits, memory.lru_512, memory.lru_256k, a, b)
    out = np.empty(n, np.int64)
    k = 0
    for word in range(a // 64, (b + 63) // 64):
        bits = memory.lru_bits[word]
        while bits != _U0:
            frame = word * 64 + np.int64(ctz(bits))
            bits &= bits - _U1
            if a <= frame < b:
                out[k] = frame
                k += 1
    return out


@kernel
def migrate_chosen(memory, chosen, source, target):
    """Migrate each chosen frame's page from node source[k] to node target[k]; pages already there or without one stay."""
    moved = np.int64(0)
    for k in range(chosen.size):
        if target[k] >= 0 and target[k] != source[k]:
            if move_page(memory, source[k], chosen[k], target[k]):
                moved += 1
            else:
                memory.node[target[k]].alloc_failed += 1
    return moved


@kernel
def charge_moves(memory, pages, extra_ns):
    """`charge_clock` for callers outside the kernels."""
    return charge_clock(memory, pages, extra_ns)


@kernel
def take_offline(memory, i, n):
    """Take the n highest free frames of node i out of circulation; return them (i64[n])."""
    out = np.empty(n, np.int64)
    k = 0
    word = (memory.base[i] + memory.frames[i] + 63) // 64 - 1
    while k < n:
        bits = memory.free_bits[word]
        while bits != _U0 and k < n:
            top = np.int64(63) - np.int64(clz(bits))
            bits ^= _U1 << np.uint64(top)
            out[k] = word * 64 + top
            memory.rec[out[k]] = _U0
            claim_frame(memory, i, out[k])
            k += 1
        word -= 1
    return out


@kernel
def bring_online(memory, i, chosen):
    """Make frames of node i free again."""
    for frame in chosen:
        memory.dirty[frame >> PART_SHIFT] = DIRTY
        set_bit(memory.free_bits, frame)
        memory.free_512[frame // BLOCK] += np.uint16(1)
        memory.free_256k[frame // SUPER] += 1
        memory.node[i].free += 1
        memory.node[i].hint = min(memory.node[i].hint, frame // BLOCK)
