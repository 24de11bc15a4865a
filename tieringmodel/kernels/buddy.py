"""Which free frame comes next where Linux's buddy allocator and per-CPU lists hand them out (`Machine.allocator` = "buddy").

Every zone keeps its free frames in blocks of 2**order, a list for each order up to 10, and every CPU keeps a list of single
frames of each zone (docs/theory/damon.md, section g.7). A page comes off the head of its CPU's list; an empty list is
refilled from the smallest block, which is halved as often as it takes. A freed page goes to the head of that list; what
exceeds its length goes back to the zone from its tail, oldest first, where it merges with its buddy. Every second lists
shrink, other tasks take frames of the first node on each CPU and return those of two seconds ago, and the CPU that works
may change.

Compiled for `layout.BuddyMemory` alone. The order is that of whole batches, for a batch takes from one node and frees to
another one: which of the two happens first leaves no trace.
"""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel
from .layout import (
    ALLOC_FACTOR,
    BATCH,
    BEGIN,
    COUNT,
    CPU,
    CPU_CHANGES_BP,
    CPUS,
    DRAWS,
    END,
    FREE_COUNT,
    HIGH,
    HIGH_MAX,
    HIGH_MIN,
    NOW,
    ORDERS,
    ORIGIN,
    OTHERS,
    PART_SHIFT,
    QUIET,
    REMOTE,
    SECOND_END,
    SECONDS,
    SHIFT32,
    TOP_ORDER,
    ZONES,
)
from .random import below

_U0, _U1 = np.uint64(0), np.uint64(1)
_DIRTY = np.uint8(1)
_NONE = np.uint8(0)
SECOND_NS = 1_000_000_000
SCALE_MAX = 5
"""CONFIG_PCP_BATCH_SCALE_MAX: lists are refilled with up to 2**5 batches at once, and shrink by as much."""
QUIET_SECONDS = 3
"""After so many without a frame to or from its zone a list gives up a batch, if the zone's node has no CPU."""


@inlined
def following(memory, frame):
    """The frame after a free one in its list, -1 = none."""
    return np.int64(memory.rec[frame] >> SHIFT32) - 1


@inlined
def _link(memory, frame, after):
    """Let a free frame be followed by another one, -1 = by none."""
    memory.rec[frame] = np.uint64(after + 1) << SHIFT32
    memory.dirty[frame >> PART_SHIFT] = _DIRTY


@inlined
def follow(memory, frame, before):
    """Let a free frame follow another one, -1 = none."""
    memory.back[frame] = np.uint32(before + 1)
    memory.dirty[frame >> PART_SHIFT] = _DIRTY


@inlined
def _join(memory, k, before, after):
    """Let two frames of list k follow each other, -1 = the list's begin, or its end."""
    if before >= 0:
        _link(memory, before, after)
    else:
        memory.ends[k, 0] = after
    if after >= 0:
        follow(memory, after, before)
    else:
        memory.ends[k, 1] = before


@inlined
def push_head(memory, k, frame):
    """Put a frame, or the block that begins there, at the head of list k."""
    _join(memory, k, frame, memory.ends[k, 0])
    _join(memory, k, np.int64(-1), frame)


@inlined
def push_tail(memory, k, frame):
    """Put a frame, or the block that begins there, at the tail of list k."""
    _join(memory, k, memory.ends[k, 1], frame)
    _join(memory, k, frame, np.int64(-1))


@inlined
def unlink(memory, k, frame):
    """Take a frame, or the block that begins there, off list k."""
    _join(memory, k, np.int64(memory.back[frame]) - 1, following(memory, frame))
    _link(memory, frame, np.int64(-1))
    follow(memory, frame, np.int64(-1))


@inlined
def zones(memory):
    """How many zones there are."""
    return ZONES * memory.base.size


@inlined
def pcp_of(memory, z, cpu):
    """The row of ``memory.pcp`` of a CPU and zone z."""
    return z * memory.crew[CPUS] + cpu


@inlined
def list_of(memory, z, cpu):
    """The list of a CPU's single frames of zone z; those of its blocks of order o are ``z * ORDERS + o``."""
    return zones(memory) * ORDERS + pcp_of(memory, z, cpu)


@inlined
def held_by(memory, cpu, at):
    """The list of what others hold of a CPU since an even second (0) or an odd one (1)."""
    return zones(memory) * (ORDERS + memory.crew[CPUS]) + 2 * cpu + at


@inlined
def zone_of(memory, i, frame):
    """The zone of node i in which a frame lies: the first is used before the second."""
    return ZONES * i + np.int64(frame < memory.zone[ZONES * i, BEGIN])


@inlined
def free_block(memory, z, order, block, head):
    """Enter a block in its zone's list of its order."""
    memory.order[block] = np.uint8(order + 1)
    memory.blocks[z, order] += 1
    if head:
        push_head(memory, z * ORDERS + order, block)
    else:
        push_tail(memory, z * ORDERS + order, block)


@inlined
def _claim_block(memory, z, order, block):
    """Take a block out of its zone's list of its order."""
    memory.order[block] = _NONE
    memory.blocks[z, order] -= 1
    unlink(memory, z * ORDERS + order, block)


@inlined
def _free_buddy(memory, z, order, frame):
    """Where the buddy of the block of zone z that begins at a frame begins, if it is free as a whole; else -1."""
    buddy = ((frame - memory.zone[z, ORIGIN]) ^ (np.int64(1) << order)) + memory.zone[z, ORIGIN]
    inside = memory.zone[z, BEGIN] <= buddy < memory.zone[z, END]
    return buddy if inside and memory.order[buddy] == np.uint8(order + 1) else np.int64(-1)


@kernel
def to_zone(memory, z, frame, order):
    """Give a run of 2**order free frames back to zone z: it merges with its buddy while that is free (``__free_one_page``)."""
    while order < memory.zone[z, TOP_ORDER]:
        buddy = _free_buddy(memory, z, order, frame)
        if buddy < 0:
            break
        _claim_block(memory, z, order, buddy)
        frame = min(frame, buddy)
        order += 1
    near = False
    if order < memory.zone[z, TOP_ORDER] - 1:
        whole = frame - ((frame - memory.zone[z, ORIGIN]) & (np.int64(1) << order))
        near = _free_buddy(memory, z, order + 1, whole) >= 0
    free_block(memory, z, order, frame, not near)


@kernel
def from_zone(memory, z, least):
    """Take the first 2**least frames of zone z's smallest block that has so many, -1 = none does (``__rmqueue_smallest``).

    The block's other halves stay.
    """
    for order in range(least, ORDERS):
        if memory.blocks[z, order] > 0:
            block = memory.ends[z * ORDERS + order, 0]
            _claim_block(memory, z, order, block)
            for lower in range(order - 1, least - 1, -1):
                free_block(memory, z, lower, block + (np.int64(1) << lower), True)
            return block
    return np.int64(-1)


@kernel
def list_frames(memory, z, cpu, most):
    """Move up to `most` frames from zone z to the tail of a CPU's list; return how many there were."""
    for moved in range(most):
        frame = from_zone(memory, z, np.int64(0))
        if frame < 0:
            return moved
        push_tail(memory, list_of(memory, z, cpu), frame)
        memory.pcp[pcp_of(memory, z, cpu), COUNT] += 1
    return most


@kernel
def _refill(memory, z, cpu):
    """Fill a CPU's empty list from zone z, in batches that double (``nr_pcp_alloc``, ``rmqueue_bulk``)."""
    n, batch = pcp_of(memory, z, cpu), memory.zone[z, BATCH]
    wanted = batch << memory.pcp[n, ALLOC_FACTOR]
    memory.pcp[n, HIGH] = min(memory.pcp[n, HIGH] + wanted, memory.zone[z, HIGH_MAX])
    room = max(memory.pcp[n, HIGH] - batch, batch)
    if wanted <= room and memory.pcp[n, ALLOC_FACTOR] < SCALE_MAX:
        memory.pcp[n, ALLOC_FACTOR] += 1
    memory.pcp[n, QUIET] = 0
    list_frames(memory, z, cpu, min(wanted, room))


@kernel
def give_back(memory, z, cpu, frames):
    """Give the oldest frames of a CPU's list, so many, back to zone z (``free_pcppages_bulk``)."""
    n, k = pcp_of(memory, z, cpu), list_of(memory, z, cpu)
    for _ in range(frames):
        frame = memory.ends[k, 1]
        unlink(memory, k, frame)
        to_zone(memory, z, frame, np.int64(0))
    memory.pcp[n, COUNT] -= frames
    memory.pcp[n, QUIET] = 0


@inlined
def pop(memory, z, cpu):
    """Take the head of a CPU's list of zone z, -1 where it is empty."""
    k = list_of(memory, z, cpu)
    frame = memory.ends[k, 0]
    if frame >= 0:
        unlink(memory, k, frame)
        memory.pcp[pcp_of(memory, z, cpu), COUNT] -= 1
    return frame


@kernel
def take(memory, i, cpu):
    """Take a frame of node i for a CPU from its lists and zones, the first zone before the second; -1 where there is none."""
    for z in range(ZONES * i, ZONES * (i + 1)):
        n = pcp_of(memory, z, cpu)
        memory.pcp[n, FREE_COUNT] >>= 1
        if memory.pcp[n, COUNT] == 0:
            _refill(memory, z, cpu)
        frame = pop(memory, z, cpu)
        if frame >= 0:
            return frame
    return np.int64(-1)


@kernel
def next_frame(memory, i, cpu):
    """The free frame of node i that a CPU takes; the caller knows that there is one.

    Where its own lists and the zones are empty it takes from other CPUs' lists, and last from what others hold, which
    counts as free.
    """
    frame = take(memory, i, cpu)
    if frame < 0:
        for k in range(ZONES * memory.crew[CPUS]):
            frame = pop(memory, ZONES * i + k % ZONES, (cpu + k // ZONES) % memory.crew[CPUS])
            if frame >= 0:
                return frame
        for k in range(2 * memory.crew[CPUS]):
            held = held_by(memory, k >> 1, k & 1)
            frame = memory.ends[held, 0]
            if frame >= 0:
                unlink(memory, held, frame)
                return frame
    return frame


@kernel
def free_frame(memory, i, frame):
    """Put a frame of node i that was freed on the working CPU's list, and what is too much there back to the zone.

    Mirrors ``free_frozen_page_commit``, ``nr_pcp_high`` and ``nr_pcp_free`` well above the watermarks.
    """
    z, cpu = zone_of(memory, i, frame), memory.crew[CPU]
    n = pcp_of(memory, z, cpu)
    batch, high = memory.zone[z, BATCH], memory.pcp[n, HIGH]
    memory.pcp[n, ALLOC_FACTOR] >>= 1
    push_head(memory, list_of(memory, z, cpu), frame)
    memory.pcp[n, COUNT] += 1
    lately = min(memory.pcp[n, FREE_COUNT] + 1, batch << SCALE_MAX)
    memory.pcp[n, FREE_COUNT] = lately
    if memory.pcp[n, COUNT] >= high:
        if high < lately + batch:
            memory.pcp[n, HIGH] = min(lately + batch, memory.zone[z, HIGH_MAX])
        give_back(memory, z, cpu, min(max(lately, batch), high - batch, memory.pcp[n, COUNT]))


@inlined
def freed(memory, zone, i, frame):
    """Let a frame of node i that was freed be handed out again; `zone` is ``memory.zone``, None where no zones are kept."""
    if zone is not None:
        pass_seconds(memory)
        free_frame(memory, i, frame)


@kernel
def _shrink_lists(memory):
    """Let every list shrink as once a second (``decay_pcp_high``, ``refresh_cpu_vm_stats``)."""
    for n in range(zones(memory) * memory.crew[CPUS]):
        z, cpu = n // memory.crew[CPUS], n % memory.crew[CPUS]
        quiet = memory.pcp[n, QUIET] + 1
        if memory.pcp[n, HIGH] > memory.zone[z, HIGH_MIN]:
            memory.pcp[n, HIGH] = max(
                memory.pcp[n, COUNT] - (memory.zone[z, BATCH] << SCALE_MAX),
                memory.pcp[n, HIGH] - (memory.pcp[n, HIGH] >> 3),
                memory.zone[z, HIGH_MIN],
            )
        if memory.pcp[n, COUNT] > memory.pcp[n, HIGH]:
            give_back(memory, z, cpu, memory.pcp[n, COUNT] - memory.pcp[n, HIGH])
            quiet = 0
        if memory.zone[z, REMOTE] and quiet > QUIET_SECONDS and memory.pcp[n, COUNT] > 0:
            give_back(memory, z, cpu, min(memory.pcp[n, COUNT], memory.zone[z, BATCH]))
            quiet = 0
        memory.pcp[n, QUIET] = quiet


@kernel
def _others_work(memory, at):
    """Let others take frames of the first node on each CPU, and return those that they took two seconds before."""
    works = memory.crew[CPU]
    for cpu in range(memory.crew[CPUS]):
        memory.crew[CPU] = cpu  # whose lists get what is freed
        held = held_by(memory, cpu, at)
        frame = memory.ends[held, 0]
        memory.ends[held, 0] = memory.ends[held, 1] = -1
        for _ in range(memory.crew[OTHERS]):
            taken = take(memory, np.int64(0), cpu)
            if taken < 0:
                break
            push_tail(memory, held, taken)
        while frame >= 0:
            after = following(memory, frame)
            free_frame(memory, np.int64(0), frame)
            frame = after
    memory.crew[CPU] = works


@kernel
def _pass_second(memory):
    """Let happen what happens every second: lists shrink, others work, and another CPU may begin to."""
    crew = memory.crew
    crew[SECOND_END] += SECOND_NS
    _shrink_lists(memory)
    _others_work(memory, crew[SECONDS] & 1)
    crew[SECONDS] += 1
    cpus, key = crew[CPUS], memory.node[0].key
    if cpus > 1:
        drawn = np.uint64(memory.clock[DRAWS])
        if np.int64(below(key, drawn, np.uint64(10_000))) < crew[CPU_CHANGES_BP]:
            other = np.int64(below(key, drawn + _U1, np.uint64(cpus - 1)))
            crew[CPU] = (crew[CPU] + 1 + other) % cpus
        memory.clock[DRAWS] += 2


@inlined
def pass_seconds(memory):
    """Let what happens every second happen for all that have ended."""
    while memory.crew[SECOND_END] <= memory.clock[NOW]:
        _pass_second(memory)


@inlined
def take_run(memory, i, order):
    """Take an aligned run of 2**order free frames of node i from its zones, -1 where no block has so many."""
    pass_seconds(memory)
    for z in range(ZONES * i, ZONES * (i + 1)):
        frame = from_zone(memory, z, order)
        if frame >= 0:
            return frame
    return np.int64(-1)


@inlined
def free_run(memory, zone, i, frame, order):
    """Let a run of node i that a folio has left be handed out again; `zone` as in `freed`."""
    if zone is not None:
        pass_seconds(memory)
        to_zone(memory, zone_of(memory, i, frame), frame, order)
