"""A region's visit by a scheme: quota, resume pointer, filters before the action, charge and statistics after it.

`rules` is an `Older` or None (see `older`); a WINDOW record is `window`.
"""

from __future__ import annotations

import numpy as np

from ._jit import inlined
from .integer import mult_frac
from .regions import align_down
from .scoring import core_drops, moving_sum_of, push_right, region_score, store

_U0, _U1 = np.uint64(0), np.uint64(1)
FETCH, VISIT, RESUME = 0, 1, 2


@inlined
def quota_full(s, min_sz, rules):
    """``damos_quota_is_full``: nothing left, or (from 7.2 on) less than one minimal region."""
    if s.quota_set == _U0:
        return False
    if rules is not None:
        if not rules.quota_full_min_region:
            return s.charged_sz >= s.esz
    return s.charged_sz >= s.esz or s.esz - s.charged_sz < min_sz


@inlined
def is_last(cur, ptr):
    """Whether the current region is the last one of its target, counting pieces still to be visited."""
    return cur.depth == 0 and cur.next == ptr[cur.target + 1]


@inlined
def skip_charged(cur, ptr, s, stack, out, min_sz, rules):
    """``damos_skip_charged_region``: pass over what the last window already handled; may cut the region."""
    if rules is not None:
        if not rules.skip_only_charged:
            return skip_up_to_charged(cur, ptr, s, out, min_sz, rules)
    if s.charge_target == _U0:
        return False
    if np.uint64(cur.target + 1) != s.charge_target:
        return True
    skip, addr = False, s.charge_addr
    if addr != _U0 and cur.end <= addr:
        skip = True
    elif addr != _U0 and cur.start < addr:
        skip = True
        size = align_down(addr - cur.start, min_sz)
        if size == _U0 and cur.end - cur.start > min_sz:
            size = min_sz
        if size != _U0:
            push_right(cur, stack, size, rules)
    if is_last(cur, ptr):
        s.charge_target = _U0
        s.charge_addr = _U0
    return skip


@inlined
def skip_up_to_charged(cur, ptr, s, out, min_sz, rules):
    """`skip_charged` up to 7.2: the last region is always passed over, and the first that is not forgets the pointer.

    Where that one is cut, the part before the pointer goes to the output, the part behind is the current region: this scheme
    and those after it go on with it at once.
    """
    if s.charge_target == _U0:
        return False
    if np.uint64(cur.target + 1) != s.charge_target:
        return True
    last, addr = is_last(cur, ptr), s.charge_addr
    if not last and addr != _U0 and cur.start < addr:
        if cur.end <= addr:
            return True
        size = align_down(addr - cur.start, min_sz)
        if size == _U0:
            if cur.end - cur.start <= min_sz:
                return True
            size = min_sz
        end, cur.end = cur.end, cur.start + size
        append(cur, out, rules)
        cur.start, cur.end = cur.end, end
    s.charge_target = _U0
    s.charge_addr = _U0
    return last


@inlined
def charged_size(cur, rules):
    """Size of the region that an action was handed, for charge and statistics: up to 7.2 that before a filter cut it."""
    if rules is not None:
        if not rules.charge_filtered_sz:
            return cur.handed
    return cur.end - cur.start


@inlined
def account(cur, s, size, min_sz, rules):
    """After the action: time, charge and resume pointer (``damos_apply_scheme``)."""
    s.total_charged_ns += cur.elapsed
    if s.fail_denom == _U0 or cur.applied > size:
        s.charged_sz += size
    else:
        s.charged_sz += cur.applied + mult_frac(size - cur.applied, s.fail_num, s.fail_denom)
    if quota_full(s, min_sz, rules):
        s.charge_target = np.uint64(cur.target + 1)
        s.charge_addr = cur.end
        if rules is not None:
            if not rules.charge_addr_end:
                s.charge_addr += _U1


@inlined
def count_try(cur, s, size):
    """Update the scheme's statistics for one try."""
    s.nr_tried += _U1
    s.sz_tried += size
    if cur.applied > _U0:
        s.nr_applied += _U1
    s.sz_applied += cur.applied
    s.sz_ops_filter_passed += cur.passed


@inlined
def count_snapshot(s, rules):
    """Count a pass over a target, where the kernel does."""
    if rules is not None:
        if not rules.max_nr_snapshots:
            return
    s.nr_snapshots += _U1


@inlined
def begin_action(cur, s, filters, stack, window, tally, rejected, rules):
    """Fit the current region into the quota and pass it through the core filters; True if the action shall run."""
    size = cur.end - cur.start
    if s.quota_set != _U0 and s.charged_sz + size > s.esz:
        room = align_down(s.esz - s.charged_sz, window.min_sz)
        if room == _U0:
            cur.applied = cur.passed = _U0
            count_try(cur, s, _U0)
            return False
        push_right(cur, stack, room, rules)
    if rules is not None:
        cur.handed = cur.end - cur.start
    decisive = core_drops(cur, s, filters, stack, window.min_sz, rules)
    if decisive >= 0:
        tally.sz_dropped += cur.end - cur.start
        rejected[decisive] += cur.end - cur.start
    return decisive < 0


@inlined
def matches(cur, s, window, tally, rules):
    """Whether the current region matches the access pattern; remembers moving sum and score in the cursor."""
    cur.mvsum = moving_sum_of(cur, window, rules)
    size, age = cur.end - cur.start, np.uint64(cur.age)
    tally.top_rate = max(tally.top_rate, cur.mvsum)
    in_size, in_rate = s.min_sz <= size <= s.max_sz, s.min_nr <= cur.mvsum <= s.max_nr
    in_age = s.min_age <= age <= s.max_age
    if in_rate:
        tally.top_age = max(tally.top_age, age)
    if in_size and in_rate and in_age:
        cur.score = region_score(s, cur.mvsum, cur.nr, cur.age, window, rules)
        return True
    if in_rate and in_age:
        tally.sz_but_size += size
    elif in_size and in_age:
        tally.sz_but_rate += size
    elif in_size and in_rate:
        tally.sz_but_age += size
    return False


@inlined
def append(cur, out, rules):
    """Append the current region to the output."""
    store(cur, out, cur.n_out, rules)
    cur.n_out += 1


@inlined
def finish_region(cur, out, merge_limit, rules):
    """Append the current region to the output, or (from 7.2 on) merge it into an equal left neighbour."""
    append(cur, out, rules)
    cur.phase = FETCH
    if rules is not None:
        if not rules.merge_after_apply:
            return
    n = cur.n_out - 1
    if (
        n > cur.first_out
        and out.end[n - 1] == cur.start
        and out.age[n - 1] == cur.age
        and out.last[n - 1] == cur.last
        and out.nr[n - 1] == cur.nr
        and cur.end - out.start[n - 1] <= merge_limit
    ):
        out.end[n - 1] = cur.end
        cur.n_out = n


@inlined
def next_region(cur, r, ptr, out_ptr):
    """Advance to the next piece, region or target; False at the end, and where there is no target."""
    while cur.target < ptr.size - 1:
        if cur.depth > 0:
            cur.depth -= 1
            return True
        if cur.next < ptr[cur.target + 1]:
            cur.next += 1
            return True
        out_ptr[cur.target + 1] = cur.n_out
        cur.target += 1
        cur.first_out = cur.n_out
    return False
