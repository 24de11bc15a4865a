"""Scores, access patterns and core filters: what a scheme thinks of a region before it acts."""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel
from .bits import clz, count_range
from .integer import mult_frac
from .layout import ADDR, COLD, HOT
from .regions import align_down, stored_bp

_U0, _U1, _U10000 = np.uint64(0), np.uint64(1), np.uint64(10_000)
_U99, _U100 = np.uint64(99), np.uint64(100)
_MASK32 = np.uint64(0xFFFFFFFF)
_HALF = np.int64(2**31)


@inlined
def mvsum(nr, last, left_bp):
    """``damon_nr_accesses_mvsum``: this window's count plus the part of the last one still inside the sliding window."""
    if left_bp == _U10000:
        return np.uint64(last)
    return (np.uint64(nr) + mult_frac(np.uint64(last), left_bp, _U10000)) & _MASK32


@inlined
def moving_sum_of(cur, window, rules):
    """The moving sum that schemes see of the current region: on demand (7.3), or the stored one."""
    if rules is not None:
        if rules.stored_sum:
            return stored_bp(cur.nr, cur.last, cur.sum_bp, window) // _U10000
    return mvsum(cur.nr, cur.last, window.left_bp)


@inlined
def moving_sum_at(r, i, window, rules):
    """The moving sum that schemes see of entry i."""
    if rules is not None:
        if rules.stored_sum:
            return stored_bp(r.nr[i], r.last[i], r.sum_bp[i], window) // _U10000
    return mvsum(r.nr[i], r.last[i], window.left_bp)


@inlined
def hot_score(moving_sum, age, samples, aggr_us, weight_nr, weight_age):
    """``damon_hot_score``: weighted access share and log2 of the age in seconds, 0 … 99 (u64).

    Share and seconds are 32 bits wide in the kernel: 136 years of age start anew at 0.
    """
    whole, rest = moving_sum // samples, moving_sum % samples
    frequency = (whole * _U100 + (rest * _U100 & _MASK32) // samples) & _MASK32
    seconds = (np.uint64(age) * aggr_us // np.uint64(1_000_000)) & _MASK32
    log_age = np.int64(0)
    if seconds > _U0:
        log_age = min(np.int64(64) - np.int64(clz(seconds)), np.int64(32))
    if frequency == _U0:
        log_age = -log_age
    recency = np.uint64((log_age + 32) * 100 // 32 // 2)
    score = (weight_nr * frequency + weight_age * recency) & _MASK32
    total = (weight_nr + weight_age) & _MASK32
    if total != _U0:
        score = score // total
    return bounded_score(score)


@inlined
def bounded_score(score):
    """Scale a subscore to 0 … 99 as the kernel does, in signed 32 bits: weights whose sum is near a multiple of 2^32 wrap."""
    signed = np.int64(score) - np.int64((score >> np.uint64(31)) << np.uint64(32))
    product = np.uint64(signed * 99 + _HALF) & _MASK32
    scaled = (np.int64(product) - _HALF) // 100
    return np.uint64(min(max(scaled, np.int64(0)), np.int64(99)))


@inlined
def region_score(scheme, moving_sum, nr, age, window, rules):
    """Score of a region for a scheme's action: hot, cold (99 - hot), or 99 where the operations set has no opinion.

    Older kernels score by the running window's count.
    """
    if rules is not None:
        if not rules.score_mvsum:
            moving_sum = np.uint64(nr)
    if scheme.score == HOT or scheme.score == COLD:
        hot = hot_score(moving_sum, age, window.samples, window.aggr_us, scheme.weight_nr, scheme.weight_age)
        return hot if scheme.score == HOT else _U99 - hot
    return _U99


@inlined
def pattern_ok(scheme, size, moving_sum, age):
    """Six inclusive bounds of the access pattern."""
    return (
        scheme.min_sz <= size <= scheme.max_sz
        and scheme.min_nr <= moving_sum <= scheme.max_nr
        and scheme.min_age <= age <= scheme.max_age
    )


@inlined
def pattern_matches(r, i, scheme, window, rules):
    """Whether entry i matches the access pattern."""
    return pattern_ok(scheme, r.end[i] - r.start[i], moving_sum_at(r, i, window, rules), np.uint64(r.age[i]))


@inlined
def push_right(cur, stack, size, rules):
    """Cut the current region after `size` bytes; the right part is visited next."""
    k = cur.depth
    stack.start[k], stack.end[k] = cur.start + size, cur.end
    stack.nr[k], stack.last[k], stack.age[k] = cur.nr, cur.last, cur.age
    if rules is not None:
        stack.sum_bp[k] = cur.sum_bp
    cur.end = cur.start + size
    cur.depth = k + 1


@inlined
def core_drops(cur, scheme, filters, stack, min_sz, rules):
    """Which core filter drops the current region, -1 = none. An address filter cuts regions that straddle its borders.

    What no filter lets pass is dropped by the last one.
    """
    cur.core_allowed = 0
    for k in range(scheme.core_first, scheme.core_last):
        f = filters[k]
        if f.type == ADDR:
            start, end = align_down(f.start, min_sz), align_down(f.end, min_sz)
            if start <= cur.start and cur.end <= end:
                inside = True
            elif cur.end <= start or end <= cur.start:
                inside = False
            elif cur.start < start:
                push_right(cur, stack, start - cur.start, rules)
                inside = False
            else:
                push_right(cur, stack, end - cur.start, rules)
                inside = True
        else:
            inside = f.index == cur.target
        if inside == (f.matching != _U0):
            cur.core_allowed = np.int64(f.allow)
            return np.int64(-1) if f.allow != _U0 else np.int64(k)
    return np.int64(scheme.core_last) - 1 if scheme.core_reject != _U0 else np.int64(-1)


@inlined
def fetch(cur, r, i, rules):
    """Make region i the current one."""
    cur.start, cur.end = r.start[i], r.end[i]
    cur.nr, cur.last, cur.age = r.nr[i], r.last[i], r.age[i]
    if rules is not None:
        cur.sum_bp = r.sum_bp[i]


@inlined
def store(cur, out, n, rules):
    """Write the current region to entry n."""
    out.start[n], out.end[n] = cur.start, cur.end
    out.nr[n], out.last[n], out.age[n] = cur.nr, cur.last, cur.age
    if rules is not None:
        out.sum_bp[n] = cur.sum_bp


@inlined
def is_scored(cur, scheme, filters, stack, min_sz, rules):
    """Whether a region that matches the pattern counts for the threshold: up to 7.0 whatever core filters say."""
    if rules is not None:
        if not rules.histogram_core_filters:
            return True
    return core_drops(cur, scheme, filters, stack, min_sz, rules) < 0


@kernel
def score_histogram(control, scheme_index, r, ptr, out, out_ptr, stack, rules):
    """Bytes by score over regions that match the pattern and pass the core filters; returns ``min_score``.

    Writes the regions, cut where an address filter cuts them, to `out`. The threshold is the highest score at which the
    regions scoring at least that much fill the effective quota (part 2 of ``damos_adjust_quota``). `rules` is an `Older` or
    None.
    """
    cur, window = control.cursor[0], control.window[0]
    scheme, filters, histogram = control.scheme[scheme_index], control.filter, control.histogram
    for score in range(histogram.size):
        histogram[score] = _U0
    n, top = np.int64(0), _U0
    out_ptr[0] = 0
    for t in range(ptr.size - 1):
        cur.target = t
        for i in range(ptr[t], ptr[t + 1]):
            fetch(cur, r, i, rules)
            cur.depth = 0
            while True:
                moving_sum = moving_sum_of(cur, window, rules)
                if pattern_ok(scheme, cur.end - cur.start, moving_sum, np.uint64(cur.age)) and is_scored(
                    cur, scheme, filters, stack, window.min_sz, rules
                ):
                    score = region_score(scheme, moving_sum, cur.nr, cur.age, window, rules)
                    histogram[np.int64(score)] += cur.end - cur.start
                    top = max(top, score)
                store(cur, out, n, rules)
                n += 1
                if cur.depth == 0:
                    break
                cur.depth -= 1
                fetch(cur, stack, cur.depth, rules)
        out_ptr[t + 1] = n
    score, total = top, _U0
    while True:
        total += histogram[np.int64(score)]
        if total >= scheme.esz or score == _U0:
            return score
        score -= _U1


@kernel
def eligible_bytes(r, n, scheme, window, rules, space, memory, counts):
    """LRU bytes of each node in regions that match the pattern (``node_eligible_mem_bp`` looks at nothing else).

    `counts` (i64[nodes]) receives bytes; a page that a region covers in part counts with the covered bytes.
    """
    counts[:] = 0
    start, end = _U0, _U0
    for i in range(n):
        if pattern_matches(r, i, scheme, window, rules):
            start, end = joined(counts, memory, space, start, end, r.start[i], r.end[i])
    add_resident(counts, memory, space, start, end)


@kernel
def matching_regions(r, n, scheme, window, rules, out):
    """Tell which of n regions match the pattern (bool[n])."""
    for i in range(n):
        out[i] = pattern_matches(r, i, scheme, window, rules)


@inlined
def add_resident(counts, memory, space, start, end):
    """Add the LRU bytes of [start, end), core addresses, to `counts` by node."""
    from_byte, to_byte = np.int64(start * space.unit), np.int64(end * space.unit)
    bits = np.int64(space.shift)
    page = np.int64(1) << bits
    for k in range(space.first.size):
        low, high = max(from_byte, space.first[k] << bits), min(to_byte, space.last[k] << bits)
        if low >= high:
            continue
        shift = space.base[k] - space.first[k]
        first, last = low >> bits, (high + page - 1) >> bits
        total = page * count_resident(memory, first + shift, last + shift)
        before, behind = low & (page - 1), high & (page - 1)
        if before and count_resident(memory, first + shift, first + shift + 1):
            total -= before
        if behind and count_resident(memory, last - 1 + shift, last + shift):
            total -= page - behind
        counts[space.node[k]] += total


@inlined
def joined(counts, memory, space, start, end, next_start, next_end):
    """Join two neighbouring ranges, for they share an edge that costs a walk; else count the first; return what is left."""
    if end == next_start:
        return start, next_end
    add_resident(counts, memory, space, start, end)
    return next_start, next_end


@inlined
def covered_bytes(space, k, from_byte, to_byte):
    """Bytes of [from_byte, to_byte) that lie in range k of the space."""
    bits = np.int64(space.shift)
    return max(min(to_byte, space.last[k] << bits) - max(from_byte, space.first[k] << bits), 0)


@inlined
def count_resident(memory, a, b):
    """LRU pages on frames [a, b)."""
    return count_range(memory.lru_bits, memory.lru_512, memory.lru_256k, a, b)


@kernel
def resident_bytes(r, n, space, memory, counts):
    """LRU bytes by node in all regions, whatever their pattern."""
    counts[:] = 0
    start, end = _U0, _U0
    for i in range(n):
        start, end = joined(counts, memory, space, start, end, r.start[i], r.end[i])
    add_resident(counts, memory, space, start, end)


@kernel
def online_bytes(r, n, space, counts):
    """Bytes by node of frames that exist in all regions, occupied or not: the literal reading of the RFC's metric."""
    counts[:] = 0
    for i in range(n):
        from_byte, to_byte = np.int64(r.start[i] * space.unit), np.int64(r.end[i] * space.unit)
        for k in range(space.first.size):
            counts[space.node[k]] += covered_bytes(space, k, from_byte, to_byte)


@kernel
def scores_of(nr, last, age, left_bp, samples, aggr_us, weight_nr, weight_age, out):
    """Moving sum, hot and cold score of equally long arrays into `out` (u64[n, 3]), for tests and replays."""
    for i in range(nr.size):
        moving_sum = mvsum(nr[i], last[i], left_bp[i])
        hot = hot_score(moving_sum, age[i], samples[i], aggr_us[i], weight_nr[i], weight_age[i])
        out[i, 0], out[i, 1], out[i, 2] = moving_sum, hot, _U99 - hot
