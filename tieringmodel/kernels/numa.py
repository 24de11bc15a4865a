"""NUMA balancing in memory-tiering mode, page by page, at the events of `simulation.balancing`; `kswapd` demotes.

Node index 0 has the CPUs and is the top tier, all others are slower. Source: docs/theory/numa.md, sections 1 to 5.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from ._bundle import Bundle, Column, bundle, columns
from ._jit import inlined, kernel
from .access import rules_touched
from .frames import shift_page, take_frame
from .layout import CLASS_MASK, FAULTED, LOW32, RECLAIMED, SHIFT32, I64s, U8s
from .pages import node_of_frame
from .sampling import frame_of_page
from .swap import is_unmapped

I32s = Annotated[Any, Column("i4")]

TOP = 0
"""Index of the top tier."""
BLOCK_PAGES = 512
"""Pages below one upper entry of a page table: a window's step ends there at the latest."""
SCAN_TIME_MS = 1 << 21
"""At which a page's scan time, in ms, wraps around."""
NO_GENERATION = np.uint8(255)
REFERENCED, WORKINGSET, YOUNG = np.uint8(1), np.uint8(2), np.uint8(4)

(
    VMA, OFFSET, SEQ, PLACED_SEQ, PERIOD_MS, MAX_PERIOD_MS, NEXT_SCAN_MS, WAITING, QUEUE_AT, QUEUED, BUSY_NS, THRESHOLD_MS,
    ADJUSTED_MS, ADJUSTED_AT, RATE_MS, RATE_AT, WOKEN, RUNNING, IN_ROUND, PRIORITY, DEMOTED, LOOKED, LIMIT, FAILURES, OLDEST,
    YOUNGEST, HIDDEN, MOVED, SUCCESS_AT, SLOW_AT,
) = range(30)  # fmt: skip
"""Of `Balancing.state`. Scanner: mapping and page in it where the next window begins, passes that ended, the pass of the last
placement, scan period, its greatest value, earliest time of the next window. Faults: armed pages that somebody touches, first
of the queue and its length, until when the thread is busy. Threshold (0: the one set), when it was adjusted and the count of
candidates then; when a second of the rate limit began, and the count then. kswapd: woken, at work, in a round, its priority,
pages demoted and looked at in the round, pages it looks at at most, runs without success; sequence numbers of the oldest and
the youngest generation. Free pages of the top tier on per-CPU lists. Pages that moved up to the last look; pages demoted before
the present run of kswapd. Column of `Balancing.slow` that holds."""
STATES = 30
NO_ROOM, ARRIVED = 1, 2
"""Why kswapd is woken: a promotion found no room; others migrated to the node, which counts where every zone is at low."""
(
    PROMOTED, CANDIDATES, CANDIDATES_NRL, DEMOTED_ALL, PTE_UPDATES, HINT_FAULTS, STALL_NS, SCAN_NS, KSWAPD_LOOKS, KSWAPD_RUNS
) = range(10)  # fmt: skip
COUNTS = 10
(
    SCAN_PAGES, HZ, PROMOTE_NS, REFUSE_NS, HOT_MS, PERIOD_MAX_MS, RATE_PAGES, MARGIN, TIERING, TICK_NS, PTE_NS, REFERENCE
) = range(12)  # fmt: skip
"""Of `Balancing.setting`: pages of a window, CONFIG_HZ, time of a fault with and without a promotion, hot threshold, longest
scan period, pages that may be promoted a second, the margin of "enough free", whether hint faults promote, length of a workload
tick, time of a page table entry that changes, pages that may be promoted in the longest scan period."""
SETTINGS = 12
Z_MIN, Z_LOW, Z_HIGH, Z_PROMO, Z_PROTECTION, Z_FREE = 0, 1, 2, 3, 4, 5


@bundle
class Balancing(Bundle):
    """What NUMA balancing and kswapd remember.

    Attributes
    ----------
    armed : ndarray of int32, shape (pages,)
        1 + time (ms) at which a window took the page's permissions, 0 where it did not.
    waiting, queue, queue_tick : ndarray of int32, shape (pages,)
        Armed pages that somebody touches; a ring of pages that faulted, with the tick of the touch.
    cleared : ndarray of int32, shape (pages,)
        1 + tick at which kswapd last cleared a page's accessed bit, 0 for never.
    flags : ndarray of uint8, shape (pages,)
        `REFERENCED`, `WORKINGSET` and `YOUNG` (PG_young: DAMON found the accessed bit set, and cleared it).
    generation : ndarray of uint8, shape (pages,)
        Sequence number of a page's generation modulo 4, `NO_GENERATION` off the top tier.
    after, before : ndarray of int32, shape (pages,)
        The next younger and the next older page of a generation, -1 at its ends.
    ends : ndarray of int64, shape (8,)
        The oldest page of each generation, then the youngest of each.
    zone : ndarray of int64, shape (6, zones)
        Watermarks, protection and free pages of the top tier's zones, lowest first.
    vma : ndarray of int64, shape (3, mappings)
        First page, one past the last, and page number of the address, in order of address.
    slow : ndarray of int64, shape (2, times)
        From when on (ns) a fault takes how many times as long, first from the start.
    """

    armed: I32s
    waiting: I32s
    queue: I32s
    queue_tick: I32s
    cleared: I32s
    flags: U8s
    generation: U8s
    after: I32s
    before: I32s
    ends: I64s
    zone: Annotated[Any, Column("i8", 2)]
    vma: Annotated[Any, Column("i8", 2)]
    slow: Annotated[Any, Column("i8", 2)]
    state: I64s
    count: I64s
    setting: I64s


# ---- zones -----------------------------------------------------------------------------------------------------------


@inlined
def settle_zones(b, memory):
    """Divide the top tier's free pages among its zones: the highest gives frames down to low, then the next, and again to min.

    What is freed comes back to the highest zone.
    """
    n = columns(b.zone)
    top, free = n - 1, memory.node[TOP].free - b.state[HIDDEN]
    for z in range(top):
        free -= b.zone[Z_FREE, z]
    for mark in (Z_LOW, Z_MIN):
        for z in range(top - 1, -1, -1):
            if free < b.zone[mark, top]:
                spare = b.zone[Z_FREE, z] - b.zone[mark, z] - b.zone[Z_PROTECTION, z]
                given = max(min(b.zone[mark, top] - free, spare), 0)
                b.zone[Z_FREE, z] -= given
                free += given
    for z in range(top - 1, -1, -1):
        if free < 0:
            given = min(-free, b.zone[Z_FREE, z])
            b.zone[Z_FREE, z] -= given
            free += given
    b.zone[Z_FREE, top] = free


@inlined
def above(b, z, mark, more):
    """Whether zone z has more free pages than a watermark, its protection and `more`."""
    return b.zone[Z_FREE, z] > b.zone[mark, z] + b.zone[Z_PROTECTION, z] + more


@inlined
def some_above(b, mark, more):
    """Whether some zone has more free pages than a watermark, its protection and `more`."""
    for z in range(columns(b.zone)):
        if above(b, z, mark, more):
            return True
    return False


@inlined
def all_above(b, mark, more):
    """Whether every zone has more free pages than a watermark, its protection and `more`."""
    for z in range(columns(b.zone)):
        if not above(b, z, mark, more):
            return False
    return True


# ---- generations -----------------------------------------------------------------------------------------------------


@inlined
def unlink(b, page):
    """Take a page out of its generation."""
    g = np.int64(b.generation[page])
    older, younger = np.int64(b.before[page]), np.int64(b.after[page])
    if older >= 0:
        b.after[older] = np.int32(younger)
    else:
        b.ends[g] = younger
    if younger >= 0:
        b.before[younger] = np.int32(older)
    else:
        b.ends[4 + g] = older
    b.generation[page] = NO_GENERATION


@inlined
def link(b, page, seq):
    """Make a page the youngest of the generation with a sequence number."""
    g = seq & 3
    last = b.ends[4 + g]
    b.before[page], b.after[page] = np.int32(last), np.int32(-1)
    if last >= 0:
        b.after[last] = np.int32(page)
    else:
        b.ends[g] = page
    b.ends[4 + g] = page
    b.generation[page] = np.uint8(g)


@inlined
def is_touched(access, record, after, until):
    """Whether the page in `record` was touched in (after, until]."""
    return rules_touched(access, np.int64((record >> SHIFT32) & CLASS_MASK), np.int64(record & LOW32) - 1, after, until)


# ---- moves -----------------------------------------------------------------------------------------------------------


@inlined
def move_to(memory, source, frame, target):
    """Migrate the page on a frame to this very node; False if it has no free frame."""
    new = take_frame(memory, target)
    if new < 0:
        memory.node[target].alloc_failed += 1
        return False
    shift_page(memory, source, frame, target, new)
    return True


@inlined
def moves_of_all(memory):
    """Pages that anybody moved, took out or brought back since the start."""
    total = memory.swap[RECLAIMED] + memory.swap[FAULTED]
    for i in range(memory.base.size):
        total += memory.node[i].migrated_in
    return total


@inlined
def follow(b, memory):
    """Follow pages that others moved: nobody who changed the tier is armed; who came is of the youngest generation but one."""
    for page in range(b.armed.size):
        frame = frame_of_page(memory, page)
        there, known = frame >= 0 and node_of_frame(memory, frame) == TOP, b.generation[page] != NO_GENERATION
        if frame < 0 or there != known:
            b.armed[page] = 0
        if there != known:
            if there:
                link(b, page, b.state[YOUNGEST] - 1)
            else:
                unlink(b, page)
    n = np.int64(0)
    for i in range(b.state[WAITING]):
        if b.armed[b.waiting[i]]:
            b.waiting[n] = b.waiting[i]
            n += 1
    b.state[WAITING] = n


# ---- hint faults -----------------------------------------------------------------------------------------------------


@inlined
def arm(b, memory, access, first, end, now_ms):
    """Take the permissions of mapped pages of slower memory in [first, end) that still have them; return how many."""
    changed = np.int64(0)
    for page in range(first, end):
        if b.armed[page]:
            continue
        frame = frame_of_page(memory, page)
        if frame < 0 or node_of_frame(memory, frame) == TOP or is_unmapped(memory, memory.device, page):
            continue
        b.armed[page] = np.int32(now_ms % SCAN_TIME_MS + 1)
        changed += 1
        cls = np.int64((memory.rec[frame] >> SHIFT32) & CLASS_MASK)
        if access.first[cls] < access.first[cls + 1] and b.state[WAITING] < b.waiting.size:
            b.waiting[b.state[WAITING]] = np.int32(page)
            b.state[WAITING] += 1
    return changed


@inlined
def jiffies_ms(b, now_ns):
    """A time in ms as the kernel's jiffies tell it, by which pages are armed and faults come."""
    hz = b.setting[HZ]
    return (now_ns // 1_000_000_000 * hz + now_ns % 1_000_000_000 * hz // 1_000_000_000) * 1000 // hz


@kernel
def scan_window(b, memory, access, now_ns):
    """Scan one window of the process' mappings; return how many page table entries changed."""
    now_ms = jiffies_ms(b, now_ns)
    s, n = b.state, columns(b.vma)
    useful, left, changed = b.setting[SCAN_PAGES], 8 * b.setting[SCAN_PAGES], np.int64(0)
    while s[VMA] < n and useful > 0 and left > 0:
        k = s[VMA]
        low, high, base = b.vma[0, k], b.vma[1, k], b.vma[2, k]
        first = low + s[OFFSET]
        at = base + s[OFFSET]
        stop = -(-(at + useful) // BLOCK_PAGES) * BLOCK_PAGES
        end = min(high, first + stop - at)
        found = arm(b, memory, access, first, end, now_ms)
        changed += found
        if found:
            useful -= end - first
        left -= end - first
        s[OFFSET] += end - first
        if end == high:
            s[VMA] += 1
            s[OFFSET] = 0
    if s[VMA] >= n:
        s[VMA] = 0
        s[OFFSET] = 0
        s[SEQ] += 1
    b.count[PTE_UPDATES] += changed
    b.count[SCAN_NS] += changed * b.setting[PTE_NS]
    return changed


@inlined
def _touched_in(memory, access, page, at):
    """Whether a page is touched in a tick, False without a frame."""
    frame = frame_of_page(memory, page)
    return frame >= 0 and is_touched(access, memory.rec[frame], at - 1, at)


@inlined
def queue_touched(b, memory, access, first, at, tick):
    """Let armed pages from `first` on that are touched in tick `at` wait, since `tick`, for the thread to serve them."""
    s, ring, n = b.state, b.queue.size, np.int64(0)
    for i in range(s[WAITING]):
        page = np.int64(b.waiting[i])
        if page >= first and s[QUEUED] < ring and _touched_in(memory, access, page, at):
            end = (s[QUEUE_AT] + s[QUEUED]) % ring
            b.queue[end], b.queue_tick[end] = np.int32(page), np.int32(tick)
            s[QUEUED] += 1
        else:
            b.waiting[n] = np.int32(page)
            n += 1
    s[WAITING] = n


@kernel
def finish_tick(b, memory, access, oldest, tick, place):
    """Let the thread touch what is left of its tick after a window, which comes while it is at work on one.

    That is the last tick of (oldest, tick] in which any page is touched. `place`: how much of it was done, of 2**32.
    """
    at, total = tick, np.int64(0)
    while at > oldest:
        for page in range(b.armed.size):
            total += np.int64(_touched_in(memory, access, page, at))
        if total:
            break
        at -= 1
    first, done = np.int64(0), total * place >> 32
    while done > 0:
        done -= np.int64(_touched_in(memory, access, first, at))
        first += 1
    queue_touched(b, memory, access, first, at, tick)


@inlined
def adjust_threshold(b, now_ms):
    """Once in a longest scan period, bring the candidates of a minute near what the rate limit lets pass."""
    s = b.state
    if now_ms - s[ADJUSTED_MS] <= b.setting[PERIOD_MAX_MS]:
        return
    wanted = b.setting[REFERENCE]
    came = b.count[CANDIDATES] - s[ADJUSTED_AT]
    hot = b.setting[HOT_MS]
    unit = 2 * hot // 16
    threshold = s[THRESHOLD_MS] if s[THRESHOLD_MS] else hot
    if came > wanted * 11 // 10:
        threshold = max(threshold - unit, unit)
    elif came < wanted * 9 // 10:
        threshold = min(threshold + unit, 2 * hot)
    s[ADJUSTED_MS], s[ADJUSTED_AT], s[THRESHOLD_MS] = now_ms, b.count[CANDIDATES], threshold


@inlined
def may_promote(b, latency_ms, now_ms):
    """Whether a page that faulted so long after it was armed is to be promoted, if there is room."""
    s = b.state
    if some_above(b, Z_PROMO, b.setting[MARGIN]):
        s[THRESHOLD_MS] = 0
        b.count[CANDIDATES_NRL] += 1
        return True
    adjust_threshold(b, now_ms)
    if latency_ms >= (s[THRESHOLD_MS] if s[THRESHOLD_MS] else b.setting[HOT_MS]):
        return False
    b.count[CANDIDATES] += 1
    if now_ms - s[RATE_MS] > 1000:
        s[RATE_MS], s[RATE_AT] = now_ms, b.count[CANDIDATES]
    return b.count[CANDIDATES] - s[RATE_AT] < b.setting[RATE_PAGES]


@inlined
def slow_scan_down(b, now_ms):
    """Double the scan period at the first promotion of a pass."""
    s = b.state
    if s[PLACED_SEQ] != s[SEQ]:
        s[PLACED_SEQ] = s[SEQ]
        s[PERIOD_MS] = min(s[MAX_PERIOD_MS], 2 * s[PERIOD_MS])
        s[NEXT_SCAN_MS] = now_ms + s[PERIOD_MS]


@inlined
def fault(b, memory, page, frame, tick, now_ns):
    """Handle the hint fault of a page of slower memory; return whether it was promoted."""
    now_ms = jiffies_ms(b, now_ns)
    latency = (now_ms - np.int64(b.armed[page]) + 1) & (SCAN_TIME_MS - 1)
    b.count[HINT_FAULTS] += 1
    b.armed[page] = 0
    settle_zones(b, memory)
    if not may_promote(b, latency, now_ms):
        return False
    if not some_above(b, Z_HIGH, 1):
        b.state[WOKEN] = NO_ROOM
        return False
    if not move_to(memory, node_of_frame(memory, frame), frame, TOP):
        return False
    b.count[PROMOTED] += 1
    b.state[MOVED] += 1
    b.cleared[page] = np.int32(tick)  # the touch set the accessed bit
    link(b, page, b.state[YOUNGEST] - 1)
    slow_scan_down(b, now_ms)
    return True


@inlined
def _times_as_long(b, now_ns):
    """How many times as long a fault takes now."""
    while b.state[SLOW_AT] + 1 < columns(b.slow) and b.slow[0, b.state[SLOW_AT] + 1] <= now_ns:
        b.state[SLOW_AT] += 1
    return b.slow[1, b.state[SLOW_AT]]


@kernel
def hint_faults(b, memory, access, before, now, now_ns):
    """Let the workload touch armed pages in ticks (before, now], and its thread handle the faults up to a time in ns.

    It handles one after the other: a fault that waits is later, and looks less hot.
    """
    s, ring = b.state, b.queue.size
    if moves_of_all(memory) != s[MOVED]:
        follow(b, memory)
        s[MOVED] = moves_of_all(memory)
    for tick in range(before + 1, now + 1):
        queue_touched(b, memory, access, np.int64(0), tick, tick)
    while s[QUEUED]:
        at = s[QUEUE_AT]
        page, tick = np.int64(b.queue[at]), np.int64(b.queue_tick[at])
        start_ns = max(s[BUSY_NS], tick * b.setting[TICK_NS])
        if start_ns > now_ns:
            break
        s[QUEUE_AT] = (at + 1) % ring
        s[QUEUED] -= 1
        if b.armed[page]:
            promoted = fault(b, memory, page, frame_of_page(memory, page), tick, start_ns)
            took_ns = (b.setting[PROMOTE_NS] if promoted else b.setting[REFUSE_NS]) * _times_as_long(b, start_ns)
            s[BUSY_NS] = start_ns + took_ns
            b.count[STALL_NS] += took_ns


@kernel
def link_all(b, memory, access, scanned):
    """Put every page of the top tier, in order of pages, into the youngest generation but one: each was faulted in once.

    Where windows ran before, `scanned`, slower pages that nobody touches are armed.
    """
    for page in range(b.armed.size):
        b.flags[page] = REFERENCED
        frame = frame_of_page(memory, page)
        if frame < 0:
            continue
        if node_of_frame(memory, frame) == TOP:
            link(b, page, b.state[YOUNGEST] - 1)
        elif scanned:
            cls = np.int64((memory.rec[frame] >> SHIFT32) & CLASS_MASK)
            b.armed[page] = np.int32(access.first[cls] == access.first[cls + 1])
    b.state[MOVED] = moves_of_all(memory)
    settle_zones(b, memory)
