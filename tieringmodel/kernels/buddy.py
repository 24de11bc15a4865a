"""Which free frame comes next where Linux's buddy allocator and per-CPU lists hand them out (`Machine.allocator` = "buddy").

A minimal model of both (docs/theory/damon.md, section g.7): every CPU has a stack of freed frames of each node, and takes from
its top; where it is empty, the node's next frame that nobody had since boot follows. Orders of blocks and merging are not
kept. Every second other tasks take frames of the first node from each CPU, return those of two seconds ago, and the CPU
that works may change.

Compiled for `layout.BuddyMemory` alone. The order is that of whole batches, for a batch takes from one node and frees to
another one: which of the two happens first leaves no trace.
"""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel
from .bits import ctz, get_bit, set_bit
from .layout import CPU, CPU_CHANGES_BP, CPUS, DRAWS, NOW, OTHERS, PART_SHIFT, SECOND_END, SECONDS, SHIFT32
from .random import below

_U0, _U1 = np.uint64(0), np.uint64(1)
_DIRTY = np.uint8(1)
SECOND_NS = 1_000_000_000


@inlined
def link(memory, frame, to):
    """Let the record of a free frame lead to another one, -1 = to none."""
    memory.rec[frame] = np.uint64(to + 1) << SHIFT32
    memory.dirty[frame >> PART_SHIFT] = _DIRTY


@inlined
def linked(memory, frame):
    """Where the record of a free frame leads, -1 = nowhere."""
    return np.int64(memory.rec[frame] >> SHIFT32) - 1


@inlined
def words_of(memory, i):
    """How many words of a bitmap node i has."""
    return (memory.frames[i] + 63) >> 6


@inlined
def next_fresh(memory, i):
    """Take node i's next frame in boot order that nobody had yet; -1 where none is left. Who takes it marks it as written."""
    words = words_of(memory, i)
    while memory.cursor[i] < words:
        w = memory.origin[i] + memory.cursor[i]
        w += (memory.base[i] >> 6) - (words if w >= words else np.int64(0))
        bits = memory.fresh_bits[w]
        if bits != _U0:
            memory.fresh_bits[w] = bits & (bits - _U1)
            return w * 64 + np.int64(ctz(bits))
        memory.cursor[i] += 1
    return np.int64(-1)


@inlined
def pop(memory, i, cpu):
    """Take the frame of node i that was freed last on a CPU, -1 where none is left."""
    frame = memory.stack[i, cpu]
    if frame >= 0:
        memory.stack[i, cpu] = linked(memory, frame)
    return frame


@inlined
def next_frame(memory, i, cpu):
    """The free frame of node i that a CPU takes, off its stack or cursor; the caller knows that there is one.

    Where both are at their end it takes from other CPUs' stacks, and last from what others hold, which counts as free.
    """
    frame = pop(memory, i, cpu)
    if frame < 0:
        frame = next_fresh(memory, i)
    if frame < 0:
        for k in range(1, memory.crew[CPUS]):
            frame = pop(memory, i, (cpu + k) % memory.crew[CPUS])
            if frame >= 0:
                break
    if frame < 0:
        for k in range(2 * memory.crew[CPUS]):
            c, at = k >> 1, k & 1
            frame = memory.held[c, at]
            if frame >= 0:
                memory.held[c, at] = linked(memory, frame)
                break
    return frame


@inlined
def free_to_stack(memory, stack, i, frame):
    """Put a frame of node i that was freed on top of the working CPU's stack; `stack` is ``memory.stack``, None for none."""
    if stack is not None:
        pass_seconds(memory)
        link(memory, frame, stack[i, memory.crew[CPU]])
        stack[i, memory.crew[CPU]] = frame


@inlined
def pass_seconds(memory):
    """Let what happens every second happen for all that have ended.

    On each CPU in turn others take frames of the first node as anybody does, from its stack and then the cursor, and free
    those that they took two seconds before, in the order in which they took them. Then another CPU may begin to work.
    """
    crew = memory.crew
    while crew[SECOND_END] <= memory.clock[NOW]:
        crew[SECOND_END] += SECOND_NS
        at = crew[SECONDS] & 1
        crew[SECONDS] += 1
        for cpu in range(memory.crew[CPUS]):
            first, last = np.int64(-1), np.int64(-1)
            for _ in range(crew[OTHERS]):
                frame = pop(memory, np.int64(0), cpu)
                if frame < 0:
                    frame = next_fresh(memory, np.int64(0))
                if frame < 0:
                    break
                link(memory, frame, np.int64(-1))
                if last < 0:
                    first = frame
                else:
                    link(memory, last, frame)
                last = frame
            back = memory.held[cpu, at]
            while back >= 0:
                following = linked(memory, back)
                link(memory, back, memory.stack[0, cpu])
                memory.stack[0, cpu] = back
                back = following
            memory.held[cpu, at] = first
        cpus, key = memory.crew[CPUS], memory.node[0].key
        if cpus > 1:
            drawn = np.uint64(memory.clock[DRAWS])
            if np.int64(below(key, drawn, np.uint64(10_000))) < crew[CPU_CHANGES_BP]:
                other = np.int64(below(key, drawn + _U1, np.uint64(cpus - 1)))
                crew[CPU] = (crew[CPU] + 1 + other) % cpus
            memory.clock[DRAWS] += 2


@kernel
def all_fresh(memory):
    """Make every free frame one that nobody had: stacks and queues are empty, cursors at their begin."""
    for w in range(memory.free_bits.size):
        freed = memory.free_bits[w] & ~memory.fresh_bits[w]
        while freed != _U0:
            link(memory, w * 64 + np.int64(ctz(freed)), np.int64(-1))
            freed &= freed - _U1
        if memory.fresh_bits[w] != memory.free_bits[w]:
            memory.fresh_bits[w] = memory.free_bits[w]
            memory.dirty[w >> (PART_SHIFT - 6)] = _DIRTY
    for i in range(memory.base.size):
        memory.cursor[i] = 0
        for cpu in range(memory.crew[CPUS]):
            memory.stack[i, cpu] = -1
    for cpu in range(memory.crew[CPUS]):
        for k in range(2):
            memory.held[cpu, k] = -1


@kernel
def count_linked(memory, met):
    """Count the free frames on stacks and in queues; -1 if one is met twice, is fresh, in use, or of another node.

    ``met``: u64[frames / 64], zeroed.
    """
    count, frames, cpus = np.int64(0), memory.rec.size, memory.crew[CPUS]
    for k in range((memory.base.size + 2) * cpus):
        i, cpu = k // cpus, k % cpus
        if i < memory.base.size:
            frame = memory.stack[i, cpu]
        else:
            frame, i = memory.held[cpu, i - memory.base.size], np.int64(0)
        while frame != -1:
            if frame < memory.base[i] or frame >= min(memory.base[i] + memory.frames[i], frames) or get_bit(met, frame):
                return np.int64(-1)
            if get_bit(memory.fresh_bits, frame) or not get_bit(memory.free_bits, frame):
                return np.int64(-1)
            set_bit(met, frame)
            count += 1
            frame = linked(memory, frame)
    return count
