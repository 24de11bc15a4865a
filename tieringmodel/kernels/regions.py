"""Region arithmetic: merging, minimum count, splitting. Targets are consecutive slices given by ``ptr`` (i64[targets + 1])."""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel
from .draws import rand_range

_U0, _U1, _U2, _U10 = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(10)
_LOW32 = np.uint64(0xFFFFFFFF)


@inlined
def align_down(x, unit):
    """Largest multiple of `unit` at or below x (u64)."""
    return x - x % unit


@inlined
def copy_region(src, i, dst, j):
    """Copy entry i of `src` to entry j of `dst`."""
    dst.start[j], dst.end[j] = src.start[i], src.end[i]
    dst.nr[j], dst.last[j], dst.age[j] = src.nr[i], src.last[i], src.age[i]


@inlined
def merge_two(r, left, right):
    """Merge entry `right` into `left`: size-weighted, truncated means; ``last`` stays the left one's."""
    sl, sr = r.end[left] - r.start[left], r.end[right] - r.start[right]
    total = sl + sr
    r.nr[left] = np.uint32((np.uint64(r.nr[left]) * sl + np.uint64(r.nr[right]) * sr) // total)
    r.age[left] = np.uint32((np.uint64(r.age[left]) * sl + np.uint64(r.age[right]) * sr) // total)
    r.end[left] = r.end[right]


@inlined
def _distance(a, b):
    return a - b if a > b else b - a


@kernel
def merge_pass(r, ptr, threshold, sz_limit, count_age):
    """One pass over all targets, in place: ages first, then merging into the left neighbour. Returns the region count."""
    out = np.int64(0)
    begin = ptr[0]
    for t in range(ptr.size - 1):
        end = ptr[t + 1]
        first = out
        for i in range(begin, end):
            score, last = np.uint64(r.nr[i]), np.uint64(r.last[i])
            if count_age:
                if _distance(score, last) > threshold or (score == _U0) != (last == _U0):
                    r.age[i] = np.uint32(0)
                else:
                    r.age[i] = np.uint32(np.uint64(r.age[i]) + _U1)
            prev = out - 1
            if (
                out > first
                and r.end[prev] == r.start[i]
                and _distance(np.uint64(r.nr[prev]), score) <= threshold
                and (r.end[prev] - r.start[prev]) + (r.end[i] - r.start[i]) <= sz_limit
            ):
                if i != out:
                    copy_region(r, i, r, out)
                merge_two(r, prev, out)
            else:
                if i != out:
                    copy_region(r, i, r, out)
                out += 1
        begin = end
        ptr[t + 1] = out
    return out


@kernel
def merge_regions(r, ptr, threshold, sz_limit, max_thres, max_nr_regions):
    """``kdamond_merge_regions``: passes with doubling threshold until the count fits or the threshold is exhausted."""
    count_age = True
    while True:
        n = merge_pass(r, ptr, threshold, sz_limit, count_age)
        count_age = False
        if n <= max_nr_regions or max_thres <= threshold:
            return n
        if threshold < max_thres // _U2:
            threshold = max(_U1, threshold * _U2)
        else:
            threshold = max_thres


@kernel
def split_all(r, ptr, nr_subs, min_sz, rng, cuts, out, out_ptr):
    """``damon_split_regions_of`` for every target: up to `nr_subs` pieces each; later cuts divide the left piece again.

    `cuts` (u64[nr_subs]) is room for one region's.
    """
    n = np.int64(0)
    out_ptr[0] = 0
    for t in range(ptr.size - 1):
        for i in range(ptr[t], ptr[t + 1]):
            start, size, k = r.start[i], r.end[i] - r.start[i], 0
            for _ in range(nr_subs - 1):
                if size <= _U2 * min_sz:
                    break
                sub = align_down(rand_range(rng, _U1, _U10) * size // _U10, min_sz)
                if sub == _U0 or sub >= size:
                    continue
                cuts[k] = start + sub
                k += 1
                size = sub
            copy_region(r, i, out, n)
            while k > 0:
                k -= 1
                out.end[n] = cuts[k]
                n += 1
                copy_region(r, i, out, n)
                out.start[n] = cuts[k]
            n += 1
        out_ptr[t + 1] = n
    return n


@kernel
def split_some(r, ptr, step, offset, min_sz, rng, out, out_ptr):
    """``damon_split_some_regions``: cut every `step`-th region, numbered over all targets from `offset`, in two."""
    n, index = np.int64(0), np.int64(0)
    out_ptr[0] = 0
    for t in range(ptr.size - 1):
        for i in range(ptr[t], ptr[t + 1]):
            size = r.end[i] - r.start[i]
            copy_region(r, i, out, n)
            if index % step == offset and size >= _U2 * min_sz:
                sub = align_down(rand_range(rng, _U1, _U10) * size // _U10, min_sz)
                if sub != _U0 and sub < size:
                    out.end[n] = r.start[i] + sub
                    n += 1
                    copy_region(r, i, out, n)
                    out.start[n] = r.start[i] + sub
            n += 1
            index += 1
        out_ptr[t + 1] = n
    return n


@kernel
def rescale(r, n, samples_old, samples_new, aggr_old, aggr_new, aggregating):
    """Express counts and ages in new intervals (``damon_update_monitoring_result``): through bp, truncating twice."""
    bp = np.uint64(10_000)
    for i in range(n):
        last = np.uint64(r.last[i])
        last_bp = (last // samples_old) * bp + (last % samples_old) * bp // samples_old
        r.last[i] = np.uint32((last_bp * samples_new & _LOW32) // bp)
        nr = np.uint64(r.nr[i])
        nr_bp = (nr // samples_old) * bp + (nr % samples_old) * bp // samples_old
        r.nr[i] = np.uint32(0) if aggregating else np.uint32((nr_bp * samples_new & _LOW32) // bp)
        r.age[i] = np.uint32(np.uint64(r.age[i]) * aggr_old // aggr_new)
