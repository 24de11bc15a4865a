"""Region arithmetic: merging, minimum count, splitting. Targets are consecutive slices given by ``ptr`` (i64[targets + 1])."""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel
from .draws import rand_range

_U0, _U1, _U2, _U10 = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(10)
_LOW32, _BP = np.uint64(0xFFFFFFFF), np.uint64(10_000)


@inlined
def align_down(x, unit):
    """Largest multiple of `unit` at or below x (u64)."""
    return x - x % unit


@inlined
def copy_region(src, i, dst, j, rules):
    """Copy entry i of `src` to entry j of `dst`."""
    dst.start[j], dst.end[j] = src.start[i], src.end[i]
    dst.nr[j], dst.last[j], dst.age[j] = src.nr[i], src.last[i], src.age[i]
    if rules is not None:
        dst.sum_bp[j] = src.sum_bp[i]


@inlined
def lost_bp(last, window):
    """What a stored moving sum has lost since it was set: a length-th of the last count per sample, in bp and truncated."""
    return window.gone * ((np.uint64(last) * _BP & _LOW32) // window.samples)


@inlined
def stored_bp(nr, last, sum_bp, window):
    """The running moving sum that kernels up to 7.2 store in each region: every sample moves it, in bp of 32 bits.

    Between the times at which something else sets it, it is what it then was without its accesses, `sum_bp`, plus those of
    the window, minus what it lost since. So samples need not touch it.
    """
    return (np.uint64(sum_bp) - lost_bp(last, window) + np.uint64(nr) * _BP) & _LOW32


@kernel
def stored_sums(r, n, window, out):
    """Write the stored moving sums of n regions, in bp, to `out` (u32[n])."""
    for i in range(n):
        out[i] = np.uint32(stored_bp(r.nr[i], r.last[i], r.sum_bp[i], window))


@inlined
def merge_two(r, left, right, rules, window):
    """Merge entry `right` into `left`: size-weighted, truncated means; ``last`` stays the left one's.

    A stored moving sum is the new count's from now on.
    """
    sl, sr = r.end[left] - r.start[left], r.end[right] - r.start[right]
    total = sl + sr
    r.nr[left] = np.uint32((np.uint64(r.nr[left]) * sl + np.uint64(r.nr[right]) * sr) // total)
    r.age[left] = np.uint32((np.uint64(r.age[left]) * sl + np.uint64(r.age[right]) * sr) // total)
    r.end[left] = r.end[right]
    if rules is not None:
        if rules.stored_sum:
            r.sum_bp[left] = np.uint32(lost_bp(r.last[left], window) & _LOW32)


@inlined
def _distance(a, b):
    return a - b if a > b else b - a


@inlined
def _grows_older(score, last, threshold, rules):
    """Whether a region's access frequency stayed what it was; up to 6.17, silence is no frequency of its own."""
    if _distance(score, last) > threshold:
        return False
    if rules is not None:
        if not rules.age_reset_on_zero:
            return True
    return (score == _U0) == (last == _U0)


@kernel
def merge_pass(r, ptr, threshold, sz_limit, count_age, rules, window):
    """One pass over all targets, in place: ages first, then merging into the left neighbour. Returns the region count."""
    out = np.int64(0)
    begin = ptr[0]
    for t in range(ptr.size - 1):
        end = ptr[t + 1]
        first = out
        for i in range(begin, end):
            score, last = np.uint64(r.nr[i]), np.uint64(r.last[i])
            if count_age:
                older = _grows_older(score, last, threshold, rules)
                r.age[i] = np.uint32(np.uint64(r.age[i]) + _U1) if older else np.uint32(0)
            prev = out - 1
            if (
                out > first
                and r.end[prev] == r.start[i]
                and _distance(np.uint64(r.nr[prev]), score) <= threshold
                and (r.end[prev] - r.start[prev]) + (r.end[i] - r.start[i]) <= sz_limit
            ):
                if i != out:
                    copy_region(r, i, r, out, rules)
                merge_two(r, prev, out, rules, window)
            else:
                if i != out:
                    copy_region(r, i, r, out, rules)
                out += 1
        begin = end
        ptr[t + 1] = out
    return out


@kernel
def merge_regions(r, ptr, threshold, sz_limit, max_thres, max_nr_regions, rules, window):
    """``kdamond_merge_regions``: passes with doubling threshold until the count fits or the threshold is exhausted.

    `rules` is an `Older` or None, `window` a WINDOW record where there are `rules`.
    """
    count_age = True
    while True:
        n = merge_pass(r, ptr, threshold, sz_limit, count_age, rules, window)
        if rules is None:
            count_age = False
        else:
            count_age = not rules.count_age_once
        if n <= max_nr_regions or max_thres <= threshold:
            return n
        threshold = _doubled(threshold, max_thres, rules)


@inlined
def _doubled(threshold, max_thres, rules):
    """Return the threshold of the next pass: at most the maximum, up to 7.2 less than twice as much."""
    if rules is not None:
        if not rules.cap_merge_threshold:
            return max(_U1, threshold * _U2)
    return max(_U1, threshold * _U2) if threshold < max_thres // _U2 else max_thres


@kernel
def split_all(r, ptr, nr_subs, min_sz, rng, cuts, out, out_ptr, rules):
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
            copy_region(r, i, out, n, rules)
            while k > 0:
                k -= 1
                out.end[n] = cuts[k]
                n += 1
                copy_region(r, i, out, n, rules)
                out.start[n] = cuts[k]
            n += 1
        out_ptr[t + 1] = n
    return n


@kernel
def split_some(r, ptr, step, offset, min_sz, rng, out, out_ptr, rules):
    """``damon_split_some_regions``: cut every `step`-th region, numbered over all targets from `offset`, in two."""
    n, index = np.int64(0), np.int64(0)
    out_ptr[0] = 0
    for t in range(ptr.size - 1):
        for i in range(ptr[t], ptr[t + 1]):
            size = r.end[i] - r.start[i]
            copy_region(r, i, out, n, rules)
            if index % step == offset and size >= _U2 * min_sz:
                sub = align_down(rand_range(rng, _U1, _U10) * size // _U10, min_sz)
                if sub != _U0 and sub < size:
                    out.end[n] = r.start[i] + sub
                    n += 1
                    copy_region(r, i, out, n, rules)
                    out.start[n] = r.start[i] + sub
            n += 1
            index += 1
        out_ptr[t + 1] = n
    return n


@kernel
def split_regions(r, max_nr_regions, min_sz, some, state, rng, cuts, out, rules):
    """Split regions at random where the maximum count leaves room (``kdamond_split_regions``); whether `out` has them.

    Near the maximum some are split, or (`some` false, up to 7.2) none. `state` (i64[2]) holds the static variables
    last_nr_regions and rotation, `cuts` (u64[3]) is room for one region's; `out` has room for three regions for each.
    """
    n, done = r.ptr[r.ptr.size - 1], False
    if n > max_nr_regions // 2 and not some:
        return False
    if max_nr_regions // 2 < n < max_nr_regions:
        step = max_nr_regions // (max_nr_regions - n)
        offset = state[1] % step
        state[1] += 1
        split_some(r, r.ptr, step, offset, min_sz, rng, out, out.ptr, rules)
        done = True
    elif n < max_nr_regions:
        subs = 3 if state[0] == n and n < max_nr_regions // 3 else 2
        split_all(r, r.ptr, subs, min_sz, rng, cuts, out, out.ptr, rules)
        done = True
    state[0] = n
    return done


@kernel
def rescale(r, n, samples_old, samples_new, aggr_old, aggr_new, aggregating, rules):
    """Express counts and ages in new intervals (``damon_update_monitoring_result``): through bp, truncating twice.

    In the middle of a window its count starts anew. A stored moving sum becomes the count's, in the middle of a window the
    last one's: no sample has moved it yet. Older kernels leave one count or the other as it was.
    """
    anew, last_too = aggregating, True
    if rules is not None:
        anew = aggregating and rules.attrs_reset_window
        last_too = anew or rules.attrs_last_nr_accesses
    for i in range(n):
        last = np.uint64(r.last[i])
        last_bp = (last // samples_old) * _BP + (last % samples_old) * _BP // samples_old
        if last_too:
            r.last[i] = np.uint32((last_bp * samples_new & _LOW32) // _BP)
        nr = np.uint64(r.nr[i])
        nr_bp = (nr // samples_old) * _BP + (nr % samples_old) * _BP // samples_old
        r.nr[i] = np.uint32(0) if anew else np.uint32((nr_bp * samples_new & _LOW32) // _BP)
        r.age[i] = np.uint32(np.uint64(r.age[i]) * aggr_old // aggr_new)
        if rules is not None:
            r.sum_bp[i] = np.uint32(np.uint64(r.last[i]) * _BP & _LOW32) if anew else np.uint32(0)
