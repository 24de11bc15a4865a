"""Folios of several sizes in one memory: blocks of frames, migration of whole folios, the walk from folio to folio.

Compiled for `layout.MixedMemory` and its like alone (docs/theory/damon.md, section g.2).
"""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel
from .access import young
from .bits import BLOCK, ctz
from .buddy import free_run, take_run
from .folios import folio_bytes, head_of, order_at
from .frames import DIRTY, book_move, charge_clock, claim_frame, leave_frame, move_page, put_page
from .layout import (
    ACTIVE_SHIFT,
    LOW32,
    LOWEST,
    MARK_ACCESSED,
    MAX_ORDER,
    MIGRATE,
    MOVED_WHOLE,
    PAGEOUT,
    PART_SHIFT,
    SEEN_SHIFT,
    SPLIT_FOLIOS,
    STAT,
    UNSUPPORTED,
)
from .lru import set_active
from .pages import act_on_pages, count_on, node_of_frame, page_passes, run_of
from .random import below
from .sampling import frame_of_page, ranges_of

_U0, _U1, _PAGE = np.uint64(0), np.uint64(1), np.uint64(4096)
_ALL = np.uint64(2**64 - 1)


@inlined
def block_in(memory, at, order):
    """First aligned run of 2**order free frames among the 512 from ``at * 512`` on, -1 if there is none."""
    frames = np.int64(1) << order
    if np.int64(memory.free_512[at]) < frames:
        return np.int64(-1)
    if order == MAX_ORDER:
        return at * BLOCK
    words = max(frames >> 6, np.int64(1))
    for w in range(at * 8, at * 8 + 8, words):
        bits = memory.free_bits[w]
        if order < 6:
            starts = _U0
            for k in range(order):
                bits &= bits >> (_U1 << np.uint64(k))
            for k in range(0, 64, frames):
                starts |= _U1 << np.uint64(k)
            bits &= starts
        else:
            for k in range(1, words):
                bits &= memory.free_bits[w + k]
            bits = _U1 if bits == _ALL else _U0
        if bits != _U0:
            return w * 64 + np.int64(ctz(bits))
    return np.int64(-1)


@inlined
def run_by_policy(memory, zone, i, order):
    """An aligned run of 2**order free frames of node i, -1 if there is none; `zone` is ``memory.zone``, None without zones.

    By policy the lowest run, or the first one from a random place on, of a block that is in use already if there is one.
    """
    if zone is not None:
        return take_run(memory, i, order)
    node, found, start = memory.node[i], np.int64(-1), np.int64(0)
    first, blocks = memory.base[i] // BLOCK, (memory.frames[i] + BLOCK - 1) // BLOCK
    if node.policy != LOWEST:
        start = np.int64(below(node.key, np.uint64(memory.clock[3]), np.uint64(blocks)))
        memory.clock[3] += 1
    for k in range(blocks):
        at = first + (start + k) % blocks
        if found >= 0 and np.int64(memory.free_512[at]) == BLOCK:
            continue
        frame = block_in(memory, at, order)
        if frame >= 0:
            found = frame
            if node.policy == LOWEST or order == MAX_ORDER or np.int64(memory.free_512[at]) < BLOCK:
                break
    return found


@inlined
def take_block(memory, i, order):
    """Take an aligned run of 2**order free frames of node i, or return -1 where its watermark or its free blocks forbid it.

    The watermark leaves as many frames as that of a single frame (``__zone_watermark_ok``).
    """
    node, frames = memory.node[i], np.int64(1) << order
    if node.free - frames < max(node.reserve, np.int64(0)):
        return np.int64(-1)
    found = run_by_policy(memory, memory.zone, i, order)
    if found >= 0:
        for k in range(frames):
            claim_frame(memory, i, found + k)
    return found


@inlined
def move_folio(memory, source, head, order, target):
    """Migrate a folio whole to node `target`, which keeps it aligned. False if there is no free block of its size.

    As for a single page, Linux 6.17 to 7.2 may take a block of another node.
    """
    new, node, mark = take_block(memory, target, order), target, memory.folio[head]
    if new < 0 and memory.node[target].anywhere:
        for k in range(1, memory.base.size):
            node = (target + k) % memory.base.size
            new = take_block(memory, node, order)
            if new >= 0:
                break
    if new < 0:
        return False
    for k in range(np.int64(1) << order):
        record = memory.rec[head + k]
        memory.folio[head + k] = np.uint32(0)
        leave_frame(memory, source, head + k)
        put_page(memory, node, new + k, record)
        memory.folio[new + k] = mark
        book_move(memory, source, node, record)
    free_run(memory, memory.zone, source, head, order)
    memory.mixed[MOVED_WHOLE] += 1
    return True


@inlined
def split_folio(memory, access, head, order, tick):
    """Make a folio's pages folios of their own: each is as young as the folio was (``split_huge_page``)."""
    frames, state, high = np.int64(1) << order, _U0, np.uint16(0)
    if memory.seen.size and not young(access, memory, head, tick):
        state = (memory.rec[head] >> SEEN_SHIFT) << SEEN_SHIFT
        high = memory.seen[np.int64(memory.rec[head] & LOW32) - 1]
    for frame in range(head, head + frames):
        memory.folio[frame] = np.uint32(0)
        memory.dirty[frame >> PART_SHIFT] = DIRTY
        if memory.seen.size:
            record = (memory.rec[frame] & ((_U1 << SEEN_SHIFT) - _U1)) | state
            page = np.int64(record & LOW32) - 1
            memory.rec[frame] = record
            memory.seen[page] = high
            memory.dirty_pages[page >> PART_SHIFT] = DIRTY
    memory.mixed[SPLIT_FOLIOS] += 1


@inlined
def move_folio_run(memory, access, source, chosen, first, last, target, tick):
    """Migrate the folios with heads chosen[first:last], all on node `source`, from the last down; return how many pages moved.

    In batches that end with the folio that fills up 512 pages. A folio that finds no block is split, and its pages are tried
    once behind the rest of its batch, the first page last; where one of them finds no frame the others stay. A folio of one
    page that finds no frame ends the run (``migrate_pages``).
    """
    moved, k = np.int64(0), last - 1
    split = np.empty(BLOCK, np.int64)
    node = memory.node[target]
    while k >= first:
        pages, n_split = np.int64(0), np.int64(0)
        while k >= first and pages < BLOCK:
            head, order = chosen[k], order_at(memory.folio, chosen[k])
            k -= 1
            pages += np.int64(1) << order
            if memory.rec[head] & LOW32 == _U0:
                continue
            if order == 0:
                if move_page(memory, source, head, target):
                    moved += 1
                    continue
                node.alloc_failed += 1
                if not node.try_all:
                    return moved
            elif move_folio(memory, source, head, order, target):
                moved += np.int64(1) << order
            else:
                node.alloc_failed += 1
                split_folio(memory, access, head, order, tick)
                split[n_split] = (head << 8) | order
                n_split += 1
        room = True
        for j in range(n_split):
            head, frames = split[j] >> 8, np.int64(1) << (split[j] & 0xFF)
            for t in range(1, frames + 1):
                if room or node.try_all:
                    room = move_page(memory, source, head + t % frames, target)
                    moved += np.int64(room)
                    node.alloc_failed += np.int64(not room)
    return moved


@inlined
def migrate_folios(memory, access, chosen, n, target, tick):
    """Migrate n folios, cut into runs on equal nodes, to node `target`: see `pages.migrate_list`."""
    moved, first = np.int64(0), np.int64(0)
    while first < n:
        source, last = run_of(memory, chosen, first, n)
        if source != target:
            moved += move_folio_run(memory, access, source, chosen, first, last, target, tick)
        first = last
    return moved


@kernel
def migrate_whole(memory, chosen, target):
    """Migrate the folios with pages on the chosen frames to node `target`, each once, for callers outside the kernels.

    One that finds no room stays, and so does what is there already. Returns how many pages moved.
    """
    moved = np.int64(0)
    for k in range(chosen.size):
        source = node_of_frame(memory, chosen[k])
        if source == target or memory.rec[chosen[k]] & LOW32 == _U0:
            continue
        head, order = head_of(memory.folio, chosen[k]), order_at(memory.folio, chosen[k])
        if order > 0 and move_folio(memory, source, head, order, target):
            moved += np.int64(1) << order
        elif order == 0 and move_page(memory, source, head, target):
            moved += 1
        else:
            memory.node[target].alloc_failed += 1
    return moved


@inlined
def act_on_folio(s, memory, access, head, room):
    """Carry an action other than migration out on a folio; pages handled. `room`: 512 entries."""
    frames, source = np.int64(1) << order_at(memory.folio, head), node_of_frame(memory, head)
    if s.action == MARK_ACCESSED:
        act_on_one(s, memory, access, source, head, room)
        flag = (memory.rec[head] >> ACTIVE_SHIFT) & _U1
        for frame in range(head + 1, head + frames):
            set_active(memory, source, frame, flag)
        return frames
    for k in range(frames):
        room[k] = head + k
        if s.action == PAGEOUT and memory.out.size > 0:
            memory.folio[head + k] = np.uint32(0)  # its pages come back one by one
    return act_on_pages(s, memory, access, source, room, frames)


@inlined
def act_on_one(s, memory, access, source, frame, room):
    """Carry an action out on one frame's page."""
    room[0] = frame
    return act_on_pages(s, memory, access, source, room, np.int64(1))


@inlined
def next_resident(memory, frame, end):
    """First frame from `frame` on with an LRU page, `end` if there is none before."""
    while frame < end:
        if memory.lru_512[frame // BLOCK] == 0:
            frame = (frame // BLOCK + 1) * BLOCK
            continue
        bits = memory.lru_bits[frame >> 6] >> np.uint64(frame & 63)
        if bits != _U0:
            return min(frame + np.int64(ctz(bits)), end)
        frame = ((frame >> 6) + 1) << 6
    return end


@inlined
def next_folio(s, space, memory, address, end):
    """Where the walk from a byte address on finds something on an LRU list: that address, the frame; -1 = nothing up to `end`.

    Between folios the walk goes on by pages of 4 KiB from where it is.
    """
    while address < end:
        page, ahead, inside = np.int64(address >> space.shift), np.int64(-1), np.int64(-1)
        for k in range(space.first.size):
            if space.first[k] <= page < space.last[k]:
                inside = k
            elif space.first[k] > page and (ahead < 0 or space.first[k] < ahead):
                ahead = space.first[k]
        if inside >= 0:
            frame = space.base[inside] + page - space.first[inside]
            stop = space.base[inside] + space.last[inside] - space.first[inside]
            found = next_resident(memory, frame, stop)
            address += np.uint64(found - frame) << space.shift
            if found < stop:
                return (address, found) if address < end else (end, np.int64(-1))
        elif ahead >= 0:
            address += np.uint64(ahead - page) << space.shift
        else:
            break
    return end, np.int64(-1)


@inlined
def walk_folios(cur, s, filters, space, memory, access, tick, tally, rejected, chosen, decide):
    """Walk the current region from folio to folio; write the heads of those that pass to `chosen`, and how many there are.

    Without `decide` they are counted only, all of them, and nothing else happens. The folio that was looked at last is noted
    (``last_applied``); the one that had been noted before is passed over wherever the walk meets it.
    """
    address, end, n = cur.start * space.unit, cur.end * space.unit, np.int64(0)
    skipped, last, allowed = s.last_applied, _U0, cur.core_allowed != 0
    while address < end:
        last = _U0
        address, frame = next_folio(s, space, memory, address, end)
        if frame < 0:
            break
        head = head_of(memory.folio, frame)
        last = np.uint64(head + 1)
        if last == skipped:
            address += _PAGE
            continue
        size = folio_bytes(memory.folio, frame, space.shift)
        if not decide:
            n += 1
        else:
            tally.sz_resident += size
            if page_passes(s, filters, space, memory, access, head, tick, allowed, tally, rejected):
                chosen[n] = head
                n += 1
        if s.whole_steps != _U0:
            address += size
        else:
            address = (address // _PAGE * _PAGE) + size - (np.uint64(frame - head) << space.shift)
    if decide:
        s.last_applied = last if s.meets_again == _U0 else _U0
    return n


@inlined
def virtual_folios(cur, s, filters, space, memory, access, tick, tally, rejected, frames, deals):
    """`apply.virtual_frames` from folio to folio: first frames of those that pass, and their places in the interleaving.

    A folio's place counts folios of its own size from the start of its mapping (docs/theory/damon.md, section g.6). Each is
    met at most once, however many of its pages the region maps.
    """
    from_page = np.int64(cur.start >> space.shift)
    to_page = np.int64((cur.end + (_U1 << space.shift) - _U1) >> space.shift)
    allowed, n = cur.core_allowed != 0, np.int64(0)
    first_range, last_range = ranges_of(space, cur.target)
    for k in range(first_range, last_range):
        page = max(from_page, space.first[k])
        while page < min(to_page, space.last[k]):
            frame = frame_of_page(memory, space.base[k] + page - space.first[k])
            if frame < 0:
                page += 1
                continue
            head, order = head_of(memory.folio, frame), order_at(memory.folio, frame)
            met, size = page, np.int64(1) << order
            page += size if s.va_steps != _U0 else size - (frame - head)
            if s.action == STAT and s.meets_again == _U0:
                if np.uint64(head + 1) == s.last_applied:
                    page = met + 1
                    continue
                s.last_applied = np.uint64(head + 1)
            if page_passes(s, filters, space, memory, access, head, tick, allowed, tally, rejected):
                frames[n] = head
                deals[n] = np.uint64(((space.deal[k] + space.first[k]) >> order) + ((met - space.first[k]) >> order))
                n += 1
    return n


@inlined
def apply_folios(cur, s, filters, space, memory, access, tick, tally, rejected):
    """Built-in paddr actions on the current region, folio by folio: walk all of it, then act on what passed.

    A folio of which the region covers a part is handled whole: more may pass and be applied than the region has.
    """
    if s.action == UNSUPPORTED or (s.action == STAT and s.ops_first == s.ops_last):
        return
    room = walk_folios(cur, s, filters, space, memory, access, tick, tally, rejected, np.empty(0, np.int64), False)
    chosen = np.empty(room, np.int64)
    n = walk_folios(cur, s, filters, space, memory, access, tick, tally, rejected, chosen, True)
    passed, there, done = np.int64(0), count_on(memory, chosen, n, s.target), np.int64(0)
    for k in range(n):
        passed += np.int64(1) << order_at(memory.folio, chosen[k])
    if s.action == MIGRATE:
        if s.target >= 0:
            done = migrate_folios(memory, access, chosen, n, s.target, tick)
            tally.sz_there += np.uint64(there) << space.shift
            tally.sz_no_frame += np.uint64(passed - there - done) << space.shift
        cur.elapsed = charge_clock(memory, done, np.int64(0))
    elif s.action != STAT:
        frames = np.empty(BLOCK, np.int64)
        for k in range(n):
            done += act_on_folio(s, memory, access, chosen[k], frames)
    cur.passed = (np.uint64(passed) << space.shift) // space.unit
    cur.applied = (np.uint64(done) << space.shift) // space.unit
