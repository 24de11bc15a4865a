"""A workload with a demand, coupled to its memory: at the end of each window, how fast it is and how fast it touches pages.

Source: docs/theory/coupling.md, sections 1, 8 and 9. What the fixed point is made of: `kernels.closed_loop`.
"""

from __future__ import annotations

import math
from dataclasses import field
from typing import Annotated, Any, ClassVar

import numpy as np

from ._bundle import Column, bundle
from ._jit import inlined, kernel
from .closed_loop import Curves, loads, one_class, several_classes
from .layout import NOW, I64s, U8s

F64s = Annotated[Any, Column(np.float64)]
F64Table = Annotated[Any, Column(np.float64, 2)]
U8Table = Annotated[Any, Column("u1", 2)]

MOST = 0.95
"""Share of a bandwidth up to which copies of pages join the background."""
LEAST_AWAKE = 1e-3
"""Share of its threads that a class keeps however many of them stalls would stop."""
ALMOST = 1.0 - 1e-9
"""Share of a phase's work that counts as all of it."""
QUIET_WINDOWS = 2
"""After so many windows in which nothing moved, nothing waited and the same groups were at work, each is as the last was."""

LAST, END, WINDOW, TICK, ROWS, PHASES_OVER, TAKEN, QUIET = range(8)
"""Of `Coupled.clock`: when the last window ended and the present one ends (ns), the length of one and of a workload tick (ns),
windows that ended, phases that are over, what NUMA balancing had taken from the workload at the last end (ns), and how many
windows in a row were quiet."""
THINK_NS, ACCESS_BYTES, PAGE_BYTES, STALL_S, IDLE_NS, TICK_US = range(6)
"""Of `Coupled.fact`: what an access waits for beside memory and how much it moves, a page, the stall of a touch while its page
moves, latency of the idle fastest node, a workload tick."""
END_S, PHASE, PARTS = 0, 1, 2
"""Of a row: when the window ended, phases over at its start; then throughput and slowdown by group, latency, load, copies and
what waits by node."""


@bundle
class Coupled(Curves):
    """Nodes, groups and what a window leaves to the next; nodes are in the order of their records, groups in the workload's.

    Threads of groups without threads of their own form one crew, the first; each other group is one.
    """

    at: I64s  # [nodes], position in the machine
    background: F64s  # [nodes], GB/s
    fact: F64s  # [6]
    fast: I64s  # [1], the node of the least latency
    out: F64Table  # [groups, nodes], misses in flight
    member: F64Table  # [groups, classes], 1 where a class's pages belong to a group
    rate_hz: F64s  # [groups]
    begin: I64s  # [groups], ticks from which on and before which it is at work
    end: I64s
    crew: I64s  # [groups]
    threads: F64s  # [crews]
    work: F64s  # [phases], accesses
    in_phase: U8Table  # [phases, groups]
    of_rule: I64s  # [rules], group of an access rule
    class_of_rule: I64s  # [rules]
    rule_hz: F64s  # [rules], touches per second at full speed
    slowed_hz: F64s  # [rules], and as it is slowed down now
    class_hz: F64s  # [classes of pages], for records: touches per second of a class's pages
    of_pages: I64s  # [1], how many of the rules are of pages, and not of folios
    clock: I64s  # [8]
    done: F64s  # [1], work of the present phase that is done
    phase_end_s: F64s  # [phases]
    moved_in: F64s  # [nodes], at the last end: pages that had migrated in, pages of each class
    used: F64s  # [nodes]
    by_class: F64Table  # [nodes, classes]
    waiting: F64s  # [nodes], bytes of copies that found no room
    slowdown: F64s  # [groups]
    throughput: F64s  # [groups], per second, in the present window
    working: U8s  # [groups], 1 where it was at work at the last end
    row: F64Table  # [capacity, PARTS + 2 * groups + 4 * nodes]
    several: ClassVar[Any] = None  # one crew has the machine to itself: see `CoupledCrews`


@bundle
class CoupledCrews(Coupled):
    """Several crews share the machine; a class of its own, so that what only they need is compiled for them alone."""

    several: I64s = field()  # type: ignore[misc]


@inlined
def moved_since(c, memory, copied, of_class):
    """Write pages read at and written to each node since the last call, and pages moved by class; whether there were any."""
    n, classes = c.at.size, of_class.size
    total, changed, held = 0.0, False, np.zeros(classes)
    for j in range(n):
        node = memory.node[c.at[j]]
        came, used = np.float64(node.migrated_in), np.float64(node.total - node.free)
        came_in, grown = came - c.moved_in[j], used - c.used[j]
        copied[j] = came_in + max(came_in - grown, 0.0)
        total += came_in
        c.moved_in[j], c.used[j] = came, used
        for k in range(classes):
            pages = np.float64(memory.by_class[c.at[j], k])
            of_class[k] += abs(pages - c.by_class[j, k])
            changed = changed or pages != c.by_class[j, k]
            c.by_class[j, k] = pages
            held[k] += pages
    shifted = 0.0
    for k in range(classes):
        of_class[k] /= 2.0
        shifted += of_class[k]
    if shifted <= 0.0:
        for k in range(classes):
            of_class[k] = held[k]
            shifted += held[k]
    for k in range(classes):
        of_class[k] *= total / max(shifted, 1.0)
    return changed or total > 0.0


@inlined
def idles(c, g):
    """Whether a group belongs to phases, and not to the present one."""
    at, found = c.clock[PHASES_OVER], False
    for p in range(c.work.size):
        if c.in_phase[p, g] != 0:
            if p == at:
                return False
            found = True
    return found


@inlined
def at_work(c, tick):
    """Note which groups are at work at a tick; return whether these are others than at the last end."""
    changed = False
    for g in range(c.begin.size):
        works = np.uint8(c.begin[g] <= tick < c.end[g] and not idles(c, g))
        changed = changed or works != c.working[g]
        c.working[g] = works
    return changed


@inlined
def stalled_threads(c, per_s, stalled):
    """Write how many threads of each group wait on average for a page that moves, at pages per second by class."""
    stall_s = c.fact[STALL_S]
    for k in range(per_s.size):
        total = 0.0
        for g in range(stalled.size):
            if c.working[g] != 0:
                total += c.member[g, k] * c.rate_hz[g] / c.slowdown[g]
        if total > 0.0:
            waits = per_s[k] * -math.expm1(-total * stall_s) * stall_s
            for g in range(stalled.size):
                if c.working[g] != 0:
                    stalled[g] += c.member[g, k] * c.rate_hz[g] / c.slowdown[g] / total * waits


@inlined
def slow_down(c, access, tick):
    """Let each group touch its pages as fast as it is found to, and not at all outside its phases.

    Which ticks touch a page at a lower rate are among those that do at a higher one.
    """
    tick_us = c.fact[TICK_US]
    for k in range(c.class_hz.size):
        c.class_hz[k] = 0.0
    for i in range(c.of_rule.size):
        g = c.of_rule[i]
        c.slowed_hz[i] = 0.0 if idles(c, g) else c.rule_hz[i] / c.slowdown[g]
        threshold = np.uint64(np.rint(-math.expm1(-c.slowed_hz[i] * tick_us * 1e-6) * 4294967296.0))
        access.rule[i].threshold = threshold
        if access.rule[i].start <= tick < access.rule[i].end:
            if access.rule[i].slot == np.uint64(0):
                access.threshold[c.class_of_rule[i]] = threshold
            if i < c.of_pages[0]:
                c.class_hz[c.class_of_rule[i]] += c.slowed_hz[i]


@inlined
def solve(several, c, background, weight, moved, fixed, threads, latency, rate):
    """Write latencies and the throughputs of classes; return whether loads and latencies fit each other."""
    if several is not None:
        if threads.size > 1:
            return several_classes(c, background, weight, moved, fixed, threads, latency, rate)
    rate[0] = one_class(c, background, weight[0], moved[0], fixed[0], threads[0], latency)
    return True


@inlined
def go_on(c, access, tick, copies, per_s, faulting, latency, load):
    """Find where pages as they lie, and the groups at work, come to rest, and let touches be as fast from now on.

    Writes latency and load of each node. Returns whether loads and latencies fit each other.
    """
    groups, n, crews = c.begin.size, c.at.size, c.threads.size
    pages, accesses, stalled = np.zeros((groups, n)), np.zeros(groups), np.zeros(groups)
    of_crew, all_pages, total = np.zeros(crews), np.zeros(groups), 0.0
    for g in range(groups):
        for j in range(n):
            for k in range(per_s.size):
                pages[g, j] += c.member[g, k] * c.by_class[j, k]
            all_pages[g] += pages[g, j]
        if c.working[g] != 0:
            accesses[g] = c.rate_hz[g] * all_pages[g]
            of_crew[c.crew[g]] += accesses[g]
            total += accesses[g]
    stalled_threads(c, per_s, stalled)
    weight, moved, rate = np.zeros((crews, n)), np.zeros((crews, n)), np.zeros(crews)
    idle, fixed, threads, row_of = np.zeros(crews), np.zeros(crews), np.zeros(crews), np.full(crews, -1)
    rows, size, think, fast = 0, c.fact[ACCESS_BYTES], c.fact[THINK_NS], c.fast[0]
    for k in range(crews):
        if of_crew[k] > 0.0:
            threads[rows], row_of[k] = c.threads[k], rows
            rows += 1
    for g in range(groups):
        k = c.crew[g]
        if accesses[g] > 0.0:
            row, part = row_of[k], accesses[g] / of_crew[k]
            for j in range(n):
                share = part * pages[g, j] / max(all_pages[g], 1.0)
                weight[row, j] += share / c.out[g, j]
                moved[row, j] += size * share
            idle[row] += part / c.out[g, fast] * (think + c.fact[IDLE_NS])
        if row_of[k] >= 0:
            threads[row_of[k]] -= stalled[g] + faulting * accesses[g] / max(total, 1e-300)
    for k in range(crews):
        row = row_of[k]
        if row >= 0:
            threads[row] = max(threads[row], LEAST_AWAKE * c.threads[k])
            for j in range(n):
                fixed[row] += think * weight[row, j]
    if rows == 0:
        weight[0, fast], moved[0, fast], threads[0], rows = 1.0, size, 1e-9, 1
    others = np.zeros(n)
    for j in range(n):
        others[j] = c.background[j] + copies[j]
    fits = solve(c.several, c, others, weight[:rows], moved[:rows], fixed[:rows], threads[:rows], latency, rate[:rows])
    loads(c, others, moved, rate, latency, load)
    for g in range(groups):
        k = c.crew[g]
        c.throughput[g], c.slowdown[g] = 0.0, 1.0
        if accesses[g] > 0.0:
            row = row_of[k]
            c.throughput[g] = accesses[g] / of_crew[k] * rate[row] * 1e9
            c.slowdown[g] = c.threads[k] / idle[row] / rate[row]
    slow_down(c, access, tick)
    return fits


@inlined
def throughput_of_phase(c):
    """Return the throughput per second of the present phase's groups."""
    total = 0.0
    for g in range(c.begin.size):
        if c.in_phase[c.clock[PHASES_OVER], g] != 0:
            total += c.throughput[g]
    return total


@inlined
def ends_a_phase(c, span_ns):
    """Add what its groups did in a window to the present phase's work; whether that is done now."""
    at = c.clock[PHASES_OVER]
    if at == c.work.size:
        return False
    c.done[0] += throughput_of_phase(c) * span_ns * 1e-9
    if c.done[0] < c.work[at] * ALMOST:
        return False
    c.phase_end_s[at] = c.clock[LAST] * 1e-9
    c.clock[PHASES_OVER] += 1
    c.done[0] = 0.0
    return True


@inlined
def set_end(c):
    """Say when the present window ends: in its time, or when a phase's work is done at the present throughput."""
    at, length = c.clock[PHASES_OVER], c.clock[WINDOW] - c.clock[LAST] % c.clock[WINDOW]
    if at < c.work.size:
        per_ns, left = throughput_of_phase(c) * 1e-9, c.work[at] - c.done[0]
        if left < per_ns * length:
            length = min(max(np.int64(math.ceil(left / per_ns)), c.clock[TICK]), length)
    c.clock[END] = c.clock[LAST] + length


@inlined
def keep_row(c, copies, latency, load, phase):
    """Write down a window."""
    row, n, groups = c.clock[ROWS], c.at.size, c.begin.size
    c.row[row, PHASE] = phase
    at = PARTS
    for g in range(groups):
        c.row[row, at + g] = c.throughput[g]
        c.row[row, at + groups + g] = c.slowdown[g] if c.throughput[g] > 0.0 else np.nan
    at += 2 * groups
    for j in range(n):
        c.row[row, at + j], c.row[row, at + n + j] = latency[j], load[j]
        c.row[row, at + 2 * n + j], c.row[row, at + 3 * n + j] = copies[j], c.waiting[j]


@inlined
def close_window(c, memory, access, taken_ns):
    """End a window: what it was like, and how fast touches are from now on. Return whether loads and latencies fit each other.

    There is room for another row. `taken_ns` is what NUMA balancing has taken from the workload's threads since the start.
    """
    n, now_ns, row = c.at.size, memory.clock[NOW], c.clock[ROWS]
    span_ns, tick, first = max(now_ns - c.clock[LAST], 1), now_ns // c.clock[TICK], row == 0
    c.clock[LAST] = now_ns
    c.row[row, END_S] = now_ns * 1e-9
    copies, of_class, none, fits = np.zeros(n), np.zeros(c.class_hz.size), np.zeros(c.class_hz.size), True
    latency, load = np.zeros(n), np.zeros(n)
    moves, waits = moved_since(c, memory, copies, of_class), False
    for j in range(n):
        waits = waits or c.waiting[j] > 0.0
    if at_work(c, tick) or moves or waits or c.clock[TAKEN] != taken_ns:
        c.clock[QUIET] = 0
    else:
        c.clock[QUIET] += 1
    if c.clock[QUIET] >= QUIET_WINDOWS and not first:
        for k in range(PHASE, PARTS + 2 * c.begin.size + 4 * n):
            c.row[row, k] = c.row[row - 1, k]
    else:
        for j in range(n):
            asked = c.waiting[j] + (0.0 if first else copies[j] * c.fact[PAGE_BYTES])
            copies[j] = min(asked / span_ns, max(MOST * c.peak[j] - c.background[j], 0.0))
            c.waiting[j] = max(asked - copies[j] * span_ns, 0.0)
        for k in range(of_class.size):
            of_class[k] = 0.0 if first else of_class[k] * 1e9 / span_ns
        phase, faulting = c.clock[PHASES_OVER], (taken_ns - c.clock[TAKEN]) / span_ns
        fits = go_on(c, access, tick, copies, of_class, faulting, latency, load)
        keep_row(c, copies, latency, load, phase)
    c.clock[TAKEN], c.clock[ROWS] = taken_ns, row + 1
    if not first:
        if ends_a_phase(c, span_ns):
            at_work(c, tick)
            c.clock[QUIET] = 0
            for j in range(n):
                copies[j] = 0.0
            fits = go_on(c, access, tick, copies, none, 0.0, latency, load) and fits
    set_end(c)
    return fits


@kernel
def end_window(c, memory, access, taken_ns):
    """`close_window`, for Python."""
    return close_window(c, memory, access, taken_ns)


@kernel
def touch_as_found(c, access, tick):
    """`slow_down`, for Python."""
    slow_down(c, access, tick)
