"""Quota goal metrics: what each counts, and what it is a share of.

Sources: docs/theory/damon.md, section f.2, and docs/theory/rfc.md, sections 3 and 7. `g` is a GOAL record. Counts by node come
first, where a metric looks at regions; the value is made of them.
"""

from __future__ import annotations

import numpy as np

from ._bundle import columns
from ._jit import inlined, kernel
from .bits import BLOCK
from .integer import U0, U1, U10000, ULONG_MAX, mult_frac
from .layout import FOLIO_ORDER, MAX_ORDER
from .scoring import covered_bytes, eligible_bytes, online_bytes, pattern_matches, resident_bytes
from .window import TEMPORAL, share_bp

(
    NOT_SUPPORTED, INPUT, STALL, USED, FREE, MEMCG_USED, MEMCG_FREE, ACTIVE, INACTIVE, HUGE,
    FRAMES_OF_SYSTEM, RESIDENT_OF_SYSTEM, RESIDENT_OF_NODES, FRAMES_OF_NODES, MATCHING_OF_SPANNED,
    ELIGIBLE, INELIGIBLE, ELIGIBLE_V3, INELIGIBLE_V3, OWN,
) = range(20)  # fmt: skip
"""Codes of metrics; from `FRAMES_OF_SYSTEM` on they look at regions. `OWN`: only Python can answer."""
UNCLAMPED, TUNER, REACHABLE = 0, 1, 2

_HUGE_SHIFT = np.uint64(21)
_10000 = np.int64(10_000)


@inlined
def looks_at_regions(metric):
    """Whether a metric counts bytes by node in regions."""
    return FRAMES_OF_SYSTEM <= metric < OWN


@kernel
def matching_frame_bytes(r, n, scheme, window, rules, space, counts):
    """Bytes by node of existing frames, occupied or not, in regions that match the pattern (i64[nodes])."""
    counts[:] = 0
    for i in range(n):
        if pattern_matches(r, i, scheme, window, rules):
            from_byte, to_byte = np.int64(r.start[i] * space.unit), np.int64(r.end[i] * space.unit)
            for k in range(space.first.size):
                counts[space.node[k]] += covered_bytes(space, k, from_byte, to_byte)


@kernel
def first_frame_bytes(r, n, scheme, window, rules, space, counts):
    """Whole size of every matching region, booked on the node of its first frame (i64[nodes])."""
    counts[:] = 0
    for i in range(n):
        size = r.end[i] - r.start[i]
        if pattern_matches(r, i, scheme, window, rules):
            page = np.int64((r.start[i] * space.unit) >> space.shift)
            for k in range(space.first.size):
                if space.first[k] <= page < space.last[k]:
                    counts[space.node[k]] += np.int64(size * space.unit)


@kernel
def count(metric, r, n, scheme, window, space, memory, rules, counts):
    """Bytes by node that a metric is made of (i64[nodes]); none in virtual address spaces, which no such metric looks at."""
    if space.virtual:
        for k in range(memory.node.size):
            counts[k] = 0
        return
    if metric == FRAMES_OF_SYSTEM or metric == FRAMES_OF_NODES:
        online_bytes(r, n, space, counts)
    elif metric == RESIDENT_OF_SYSTEM or metric == RESIDENT_OF_NODES:
        resident_bytes(r, n, space, memory, counts)
    elif metric == MATCHING_OF_SPANNED:
        matching_frame_bytes(r, n, scheme, window, rules, space, counts)
    elif metric == ELIGIBLE_V3 or metric == INELIGIBLE_V3:
        first_frame_bytes(r, n, scheme, window, rules, space, counts)
    else:
        eligible_bytes(r, n, scheme, window, rules, space, memory, counts)


@inlined
def part_bp(part, whole, extreme, rules):
    """A part of a whole in bp, `extreme` where it is none (i64 -> u64); up to 7.3.3 what is below 0 wraps."""
    if rules is not None:
        if not rules.node_mem_extremes:
            return share_bp(np.uint64(part), np.uint64(whole), rules)
    if 0 <= part <= whole and whole > 0:
        return mult_frac(np.uint64(part), U10000, np.uint64(whole))
    return extreme


@inlined
def in_pages(g, memory, space, hidden, members, rules):
    """Value of a metric that the machine's counters answer (u64, bp); `hidden` free pages are not in ``MemFree``."""
    metric, i = g.metric, g.node
    if metric == ACTIVE or metric == INACTIVE or metric == HUGE:
        active, lru = np.int64(0), np.int64(0)
        for k in range(memory.node.size):
            active, lru = active + memory.node[k].active, lru + memory.node[k].lru
        if metric == HUGE:
            return huge_bp(memory.folio, lru, space.shift)
        return part_bp(active if metric == ACTIVE else lru - active, lru, U0, rules)
    uses = metric == USED or metric == MEMCG_USED
    if i < 0 or ((metric == MEMCG_USED or metric == MEMCG_FREE) and g.members < 0):
        return U0 if uses else U10000
    total = memory.node[i].total
    if metric == USED or metric == FREE:
        used = total - max(memory.node[i].free - hidden, np.int64(0))
    else:
        used = np.int64(0)
        for c in range(columns(memory.by_class)):
            if members[g.members + c] != 0:
                used += memory.by_class[i, c]
    return part_bp(used, total, U10000, rules) if uses else part_bp(total - used, total, U0, rules)


@inlined
def spanned_pages(space, i):
    """Pages from node i's first address to its last one, with the holes between."""
    first, last = np.int64(2**62), np.int64(0)
    for k in range(space.first.size):
        if space.node[k] == i:
            first, last = min(first, space.first[k]), max(last, space.last[k])
    return max(last - first, np.int64(0))


@inlined
def huge_bp(folio, lru, shift):
    """Share of the LRU pages that are in folios of 2 MiB or more (u64, bp); where those are of several sizes, by a scan."""
    if folio is None:
        return U10000 if lru > 0 and shift >= _HUGE_SHIFT else U0
    pages = np.int64(0)
    for block in range(folio.size // BLOCK):
        pages += BLOCK * np.int64(folio[block * BLOCK] & FOLIO_ORDER == MAX_ORDER)
    return mult_frac(np.uint64(pages), U10000, np.uint64(max(lru, np.int64(1))))


@inlined
def of_counts(g, counts, memory, space):
    """Value of a metric that looks at regions (u64, bp)."""
    metric, i, nodes = g.metric, g.node, memory.node.size
    if i < 0:
        part = whole = np.int64(0)
    else:
        part, whole = counts[i], np.int64(0)
        if metric == MATCHING_OF_SPANNED:
            whole = spanned_pages(space, i) << np.int64(space.shift)
        elif metric == FRAMES_OF_SYSTEM or metric == RESIDENT_OF_SYSTEM:
            for k in range(nodes):
                whole += memory.node[k].total
            whole = whole << np.int64(space.shift)
        else:
            for k in range(nodes):
                whole += counts[k]
    share = mult_frac(np.uint64(part), U10000, np.uint64(whole)) if whole > 0 else U0
    if metric == INELIGIBLE or metric == INELIGIBLE_V3:
        return U10000 - share
    return share


@inlined
def fed_in(g, course, now_us):
    """What users feed in at a time (u64): the last entry of the course that is not in the future; before, ``current_value``."""
    value = g.start
    for k in range(g.course_first, g.course_last):
        if course[2 * k] <= np.uint64(now_us):
            value = course[2 * k + 1]
    return value


@inlined
def of_input(g, course, now_us, tuner, esz):
    """Value of a metric whose numbers users give (u64).

    ``some_mem_psi_us`` is the growth of the stall total; the first evaluation asks the tuner to keep things as they are.
    """
    total = fed_in(g, course, now_us)
    if g.metric == INPUT:
        return total
    if g.has_total != 0:
        grown = total - g.last_total
    else:
        grown = U0 if tuner == np.uint64(TEMPORAL) and esz != U0 else g.target
    return grown


@kernel
def scored_target(g, counts, memory, space):
    """The target that is scored (u64): no clamp reaches 0, and a node that the machine does not have clamps nothing."""
    i, most = g.node, ULONG_MAX
    if g.clamp == TUNER and i >= 0:
        total = np.int64(0)
        for k in range(memory.node.size):
            total += memory.node[k].total
        most = mult_frac(np.uint64(memory.node[i].total), U10000, np.uint64(max(total, np.int64(1))))
    if counts is not None:
        if g.clamp == REACHABLE and i >= 0:
            most = reachable_bp(i, counts, memory, space)
    return min(g.target, max(most, U1))


@kernel
def reachable_bp(i, counts, memory, space):
    """The largest share of eligible bytes that node i can hold now (u64): what is there, plus its free frames."""
    total = np.int64(0)
    for k in range(memory.node.size):
        total += counts[k]
    if total == 0:
        return U0
    room = max(memory.node[i].free - memory.node[i].reserve, np.int64(0)) << np.int64(space.shift)
    return min(mult_frac(np.uint64(counts[i] + room), U10000, np.uint64(total)), U10000)


@kernel
def value_of(g, counts, hidden, course, members, now_us, tuner, esz, memory, space, rules):
    """Value of a metric (u64), from `counts` where it looks at regions; None where no metric asked for does."""
    if g.metric == NOT_SUPPORTED:
        return U0
    if g.metric == INPUT or g.metric == STALL:
        return of_input(g, course, now_us, tuner, esz)
    if counts is not None:
        if looks_at_regions(g.metric):
            return of_counts(g, counts, memory, space)
    return in_pages(g, memory, space, hidden, members, rules)


@inlined
def measure(control, i, r, n, space, memory, rules, counts, now_us):
    """Measure the goals of scheme i; `counts` (i64[nodes]) is None where none of the context's goals looks at regions.

    A complemented goal hands over value and target as 10000 minus.
    """
    q, s, window = control.quota[i], control.scheme[i], control.window[0]
    course, members = control.course, control.member
    for j in range(q.goal_first, q.goal_last):
        g = control.goal[j]
        if counts is not None:
            if looks_at_regions(g.metric):
                count(g.metric, r, n, s, window, space, memory, rules, counts)
        value = value_of(g, counts, np.int64(0), course, members, now_us, q.tuner, s.esz, memory, space, rules)
        if counts is not None:
            if g.clamp == REACHABLE:
                count(ELIGIBLE, r, n, s, window, space, memory, rules, counts)
        target = scored_target(g, counts, memory, space)
        if g.complement != 0:
            value, target = U10000 - value, max(U10000 - target, U1)
        g.goal_current, g.goal_target = value, target
    for j in range(q.goal_first, q.goal_last):
        g = control.goal[j]
        if g.metric == STALL:
            g.last_total, g.has_total = fed_in(g, course, now_us), 1
