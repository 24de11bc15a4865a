"""Where reclaimed pages go: a device that takes them at once (zram) or later (a disk), and pages that stay.

An anonymous page is mapped, unmapped with a frame (in the swap cache: being written, or written), or only in swap
(docs/theory/damon.md, section g.4). A touch maps an unmapped page without I/O; one of a page without a frame reads it.

Compiled for `layout.SwapMemory` and its like alone: `device` is ``memory.device``, None for other memory.
"""

from __future__ import annotations

import numpy as np

from ._jit import inlined
from .access import touched
from .layout import AT_FRONT, JIFFY, LOOKED, LOW32, NOW, PAGEOUT
from .lru import set_active

(
    KIND, PAGE_NS, LATENCY_NS, CAPACITY, QUEUE, AT_ONCE_BP, TICK_NS, EXPIRE_TICKS, EVENT_NS, FREE_NS, BIO, CACHED, USED,
    UNMAPPED_NOW, WRITTEN, READ, MINOR, READ_NS, WAITED_NS, KEPT_FULL, KEPT_WRITEBACK, KEPT_DIRTY, KEPT_MLOCKED,
) = range(23)  # fmt: skip
DEVICE_WORDS = 23
"""Entries of ``memory.device``.

What it is like: ``KIND``; to write or read a page takes ``PAGE_NS``, and until an answer comes ``LATENCY_NS`` more;
``CAPACITY`` pages fit in; ``QUEUE`` pages may wait to be written; ``AT_ONCE_BP`` of 10000 are written when kdamond looks
again. ``TICK_NS``: length of a workload tick; ``EXPIRE_TICKS``: so long after the last touch a page of a file is written. What
it does: ``EVENT_NS``, when touches were looked for last; ``FREE_NS``, when everything is written that was handed to it; ``BIO``
pages are gathered and not handed over yet, the last ones of ``memory.cached``, which has ``CACHED`` entries; ``USED`` slots;
``UNMAPPED_NOW`` pages that are unmapped and have a frame.
What it has done: pages written, and read; touches of unmapped pages with a frame (minor faults); how long tasks waited for
reads, and kdamonds for the device; pages that stayed: swap was full, they were being written, dirty, or locked in memory.
"""
CONSTANTS = EVENT_NS
"""Entries before this one never change."""
INSTANT, ZRAM, DISK = 0, 1, 2
FILE, MLOCKED, UNMAPPED, SLOT = np.uint8(1), np.uint8(2), np.uint8(4), np.uint8(8)
"""Of a page: it belongs to a file, is locked in memory, is unmapped and has a frame, has a slot with its content."""
SWAP_CLUSTER_MAX = 32
"""Pages that are handed to a device at once (``swap_writepage`` gathers so many)."""
_NEVER = np.int64(2**62)
_U0, _U1, _B0 = np.uint64(0), np.uint64(1), np.uint8(0)


@inlined
def tick_of(memory, device, tick):
    """The workload tick of the machine's present time, where the time since touches were looked for last counts."""
    if device is None:
        return tick
    return max(tick, memory.swap[LOOKED] + max(memory.clock[NOW] - device[EVENT_NS], np.int64(0)) // device[TICK_NS])


@inlined
def note_event(memory, device, tick):
    """Note that touches up to `tick`, that of the present time, were looked for."""
    memory.swap[LOOKED] = max(memory.swap[LOOKED], tick)
    if device is not None:
        device[EVENT_NS] = memory.clock[NOW]


@inlined
def anything_out(memory, device):
    """Whether a touch of any page has to be looked for."""
    if device is None:
        return memory.swap[AT_FRONT] != 0
    return memory.swap[AT_FRONT] != 0 or device[CACHED] != 0


@inlined
def is_anon(memory, device, record):
    """Whether the page in `record` is anonymous."""
    if device is None:
        return True
    return memory.about[np.int64(record & LOW32) - 1] & FILE == _B0


@inlined
def is_unmapped(memory, device, page):
    """Whether a page has a frame and no page table entry."""
    if device is None:
        return False
    return memory.about[page] & UNMAPPED != _B0


@inlined
def hand_over(memory, device):
    """Hand the gathered pages to the device; a kdamond waits while they find no place in its queue (``submit_bio``)."""
    pages = device[BIO]
    if pages == 0:
        return
    ready = device[FREE_NS] - max(device[QUEUE] - pages, np.int64(0)) * device[PAGE_NS]
    if ready > memory.clock[NOW]:
        device[WAITED_NS] += ready - memory.clock[NOW]
        memory.clock[NOW] = ready
    device[FREE_NS] = max(device[FREE_NS], memory.clock[NOW]) + pages * device[PAGE_NS]
    for k in range(device[CACHED] - pages, device[CACHED]):
        memory.written[memory.cached[k]] = device[FREE_NS] + device[LATENCY_NS]
    device[BIO] = 0


@inlined
def unmap(memory, device, i, frame, page):
    """Let a disk write the page on a frame of node i, which is unmapped; return whether it is done already.

    Only the page that completes what is handed over at once is handed over by then, and it can be done: as many of these are
    as make `AT_ONCE_BP` of all.
    """
    memory.about[page] |= UNMAPPED
    device[UNMAPPED_NOW] += 1
    memory.written[page] = _NEVER
    memory.cached[device[CACHED]] = page
    device[CACHED] += 1
    device[BIO] += 1
    if device[BIO] == SWAP_CLUSTER_MAX:
        hand_over(memory, device)
        nth = device[WRITTEN] // SWAP_CLUSTER_MAX - 1
        share = min(device[AT_ONCE_BP] * SWAP_CLUSTER_MAX, np.int64(10_000))
        if (nth + 1) * share // 10_000 > nth * share // 10_000:
            memory.written[page] = memory.clock[NOW]
    set_active(memory, i, frame, _U0)
    return memory.written[page] <= memory.clock[NOW]


@inlined
def leaves(memory, device, access, i, frame):
    """Do what ``shrink_folio_list`` does with the page on a frame of node i; return whether the caller is to free it.

    Source: docs/theory/damon.md, section g.4.
    """
    if device is None:
        return True
    record = memory.rec[frame]
    page = np.int64(record & LOW32) - 1
    if memory.about[page] & MLOCKED != _B0:
        device[KEPT_MLOCKED] += 1
        return False
    if memory.written[page] > memory.clock[NOW]:
        device[KEPT_WRITEBACK] += 1
        set_active(memory, i, frame, _U1)
        return False
    tick = tick_of(memory, device, memory.swap[LOOKED])
    if memory.about[page] & FILE != _B0:
        if tick <= device[EXPIRE_TICKS] or touched(access, record, tick - device[EXPIRE_TICKS], tick):
            device[KEPT_DIRTY] += 1
            set_active(memory, i, frame, _U1)
            return False
    elif memory.about[page] & SLOT == _B0:
        if device[USED] >= device[CAPACITY]:
            device[KEPT_FULL] += 1
            set_active(memory, i, frame, _U1)
            return False
        memory.about[page] |= SLOT
        device[USED] += 1
        device[WRITTEN] += 1
        memory.since[page] = tick
        if device[KIND] == DISK:
            return unmap(memory, device, i, frame, page)
        memory.clock[NOW] += device[PAGE_NS] + device[LATENCY_NS]
        device[WAITED_NS] += device[PAGE_NS] + device[LATENCY_NS]
    if memory.about[page] & UNMAPPED == _B0:
        memory.since[page] = tick
    return True


@inlined
def end_list(memory, device):
    """Hand over what is gathered when a list of pages ends."""
    if device is not None:
        hand_over(memory, device)


@inlined
def begun_at(memory, device):
    """The present time, where a visit of a region may take time."""
    if device is None:
        return np.int64(0)
    return memory.clock[NOW]


@inlined
def note_elapsed(cur, s, memory, device, begun):
    """Note how long a region's ``pageout`` took, as the kernel's jiffy clock reads it."""
    if device is not None:
        if s.action == PAGEOUT:
            jiffy = memory.clock[JIFFY]
            cur.elapsed = np.uint64((memory.clock[NOW] // jiffy - begun // jiffy) * jiffy)


@inlined
def late(memory, device, ends, since_ns):
    """By how much ticks at recorded times come later because a kdamond waited for the device."""
    if device is not None:
        if ends.size != 0:
            return max(memory.clock[NOW] - since_ns, np.int64(0))
    return np.int64(0)


@inlined
def went_out(memory, device, page):
    """Note that a page has lost its frame."""
    if device is not None:
        if memory.about[page] & UNMAPPED != _B0:
            memory.about[page] &= ~UNMAPPED
            device[UNMAPPED_NOW] -= 1


@inlined
def give_up_slot(memory, device, page):
    """Free the page's slot after a touch, unless it is being written: always on zram, on a disk that is over half full."""
    full = device[KIND] != DISK or 2 * device[USED] > device[CAPACITY]
    if full and memory.about[page] & SLOT != _B0 and memory.written[page] <= memory.clock[NOW]:
        memory.about[page] &= ~SLOT
        device[USED] -= 1


@inlined
def looked_from(memory, device, record, after):
    """The tick behind which touches of a page that is out bring it back, where those up to `after` were looked for."""
    if device is None:
        return after
    return max(after, memory.since[np.int64(record & LOW32) - 1])


@inlined
def came_back(memory, device, record):
    """Note that a page has been read: whoever touched it waited for that (``do_swap_page``)."""
    if device is not None:
        page = np.int64(record & LOW32) - 1
        if memory.about[page] & FILE == _B0:
            device[READ] += 1
            device[READ_NS] += device[PAGE_NS] + device[LATENCY_NS]
            give_up_slot(memory, device, page)


@inlined
def settle(memory, device, access, after, now):
    """Map the unmapped pages with a frame that were touched since they were unmapped, up to tick `now`: minor faults."""
    if device is not None:
        left = np.int64(0)
        for k in range(device[CACHED]):
            page = memory.cached[k]
            if memory.about[page] & UNMAPPED == _B0:
                continue
            record = memory.rec[np.int64(memory.frame_of[page])]
            if touched(access, record, max(after, memory.since[page]), now):
                memory.about[page] &= ~UNMAPPED
                device[UNMAPPED_NOW] -= 1
                device[MINOR] += 1
                give_up_slot(memory, device, page)
            else:
                memory.cached[left] = page
                left += 1
        device[CACHED] = left
