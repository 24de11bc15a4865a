"""Blocks and lists of the "buddy" allocator at the start of a run, and what they hold: see `kernels.buddy`."""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel
from .bits import ctz, get_bit, set_bit
from .buddy import (
    follow,
    following,
    free_block,
    held_by,
    list_frames,
    list_of,
    pass_seconds,
    pcp_of,
    push_tail,
    take_run,
    zones,
)
from .layout import (
    ALLOC_FACTOR,
    BEGIN,
    COUNT,
    CPUS,
    END,
    FREE_COUNT,
    HIGH,
    HIGH_MAX,
    HIGH_MIN,
    ORDERS,
    ORIGIN,
    OTHERS,
    QUIET,
    TOP_ORDER,
    ZONES,
)

_U0 = np.uint64(0)
_NONE = np.uint8(0)


@inlined
def _run_of_free(memory, frame, end):
    """How many frames from `frame` on are free, counted up to `end`."""
    at = frame
    while at < end:
        bits = ~memory.free_bits[at >> 6] >> np.uint64(at & 63)
        if bits != _U0:
            at += np.int64(ctz(bits))
            break
        at = (at | 63) + 1
    return min(at, end) - frame


@kernel
def all_in_blocks(memory):
    """Enter every free frame in the largest block that fits, ascending, as after boot; lists of CPUs are empty."""
    for k in range(held_by(memory, memory.crew[CPUS], np.int64(0))):
        memory.ends[k, 0] = memory.ends[k, 1] = -1
    for n in range(zones(memory) * memory.crew[CPUS]):
        memory.pcp[n, COUNT] = memory.pcp[n, ALLOC_FACTOR] = memory.pcp[n, FREE_COUNT] = memory.pcp[n, QUIET] = 0
        memory.pcp[n, HIGH] = memory.zone[n // memory.crew[CPUS], HIGH_MIN]
    for frame in range(memory.order.size):
        if memory.order[frame] or memory.back[frame]:
            memory.order[frame] = _NONE
            follow(memory, frame, np.int64(-1))
    for z in range(zones(memory)):
        for order in range(ORDERS):
            memory.blocks[z, order] = 0
        frame = memory.zone[z, BEGIN]
        while frame < memory.zone[z, END]:
            free = _run_of_free(memory, frame, memory.zone[z, END])
            end = frame + free
            while frame < end:
                at, order = frame - memory.zone[z, ORIGIN], np.int64(0)
                while order < memory.zone[z, TOP_ORDER] and not at >> order & 1 and frame + (np.int64(2) << order) <= end:
                    order += 1
                free_block(memory, z, order, frame, False)
                frame += np.int64(1) << order
            while frame < memory.zone[z, END] and not get_bit(memory.free_bits, frame):
                frame += 1


@kernel
def fill_lists(memory, i, pages):
    """Move `pages` frames of node i from its blocks to CPUs' lists.

    They are on one CPU's list, as what a task frees that ends is; other CPUs have what others take there in a second.
    """
    cpus = memory.crew[CPUS]
    least = min(memory.crew[OTHERS] if i == 0 else np.int64(0), pages // cpus)
    for cpu in range(cpus):
        left = least if cpu > 0 else pages - least * (cpus - 1)
        for z in range(ZONES * i, ZONES * (i + 1)):
            left -= list_frames(memory, z, cpu, min(left, memory.zone[z, HIGH_MAX]))
            n = pcp_of(memory, z, cpu)
            memory.pcp[n, HIGH] = max(memory.pcp[n, HIGH], memory.pcp[n, COUNT])


@kernel
def hold(memory):
    """Let others hold what they took of the first node in the last two seconds, on each CPU."""
    for k in range(2 * memory.crew[CPUS]):
        for _ in range(memory.crew[OTHERS]):
            frame = take_run(memory, np.int64(0), np.int64(0))
            if frame < 0:
                return
            push_tail(memory, held_by(memory, k >> 1, k & 1), frame)


@kernel
def count_on_lists(memory, i):
    """Count the free frames of node i that are on CPUs' lists now."""
    pass_seconds(memory)
    count = np.int64(0)
    for n in range(ZONES * i * memory.crew[CPUS], ZONES * (i + 1) * memory.crew[CPUS]):
        count += memory.pcp[n, COUNT]
    return count


@kernel
def _counted(memory, met, k, begin, end, order):
    """Count the frames of list k of blocks of an order; -1 if the list or a frame is impossible."""
    count, before, frame = np.int64(0), np.int64(-1), memory.ends[k, 0]
    mark = np.uint8(order + 1) if order >= 0 else _NONE
    size = np.int64(1) << max(order, 0)
    while frame != -1:
        if frame < begin or frame + size > end or memory.order[frame] != mark or np.int64(memory.back[frame]) - 1 != before:
            return np.int64(-1)
        for f in range(frame, frame + size):
            if get_bit(met, f) or not get_bit(memory.free_bits, f):
                return np.int64(-1)
            set_bit(met, f)
        count += size
        before = frame
        frame = following(memory, frame)
    return count if memory.ends[k, 1] == before else np.int64(-1)


@kernel
def count_listed(memory, met):
    """Count the free frames in blocks, on CPUs' lists and held by others; -1 if a list is not one that kernels leave.

    No number of blocks or of frames on a list is negative. ``met``: u64[frames / 64], zeroed.
    """
    total = np.int64(0)
    for z in range(zones(memory)):
        begin, end = memory.zone[z, BEGIN], memory.zone[z, END]
        for order in range(ORDERS):
            count = _counted(memory, met, z * ORDERS + order, begin, end, order)
            if count != memory.blocks[z, order] << order:
                return np.int64(-1)
            total += count
        for cpu in range(memory.crew[CPUS]):
            count = _counted(memory, met, list_of(memory, z, cpu), begin, end, np.int64(-1))
            if count != memory.pcp[pcp_of(memory, z, cpu), COUNT]:
                return np.int64(-1)
            total += count
    first, end = memory.base[0], memory.base[0] + memory.frames[0]
    for k in range(2 * memory.crew[CPUS]):
        count = _counted(memory, met, held_by(memory, k >> 1, k & 1), first, end, np.int64(-1))
        if count < 0:
            return np.int64(-1)
        total += count
    return total
