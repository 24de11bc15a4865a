"""What a kdamond does once per sampling tick beside looking at pages (docs/step.md).

It can be left and taken up again: it returns a code where Python has to do something, and goes on from there when it is called
again. A kdamond's arrays come as rows of a table of addresses, `PARTS` in each.
"""

from __future__ import annotations

import numpy as np

from . import apply
from ._bundle import at_address
from ._jit import inlined, kernel
from .goals import measure
from .integer import mult_frac
from .intervals import apply_period, samples_of, tune
from .layout import JIFFY, NO_SCORE, NOW, Control, Draws, Loop, Regions, Space
from .regions import copy_region, merge_regions, split_regions, stored_bp
from .scoring import score_histogram
from .window import first_window, next_window, set_effective

PARTS = 8
REGIONS, SPACE, DRAWS, SCRATCH, CONTROL, LOOP, STACK = 0, 2, 3, 4, 5, 6, 7
"""Columns of the table of addresses; the two region arrays that take turns come first."""

DONE, MERGED, REQUESTS, DUE, ADJUST, BEGIN, CALL, EVENTS, ROOM, STACKS, PASSED, UPDATE, FINISHED = range(13)
"""What is asked of Python: nothing; to look at merged regions; to commit; to look before schemes; to measure a quota's goals;
to begin the actions of an application pass, or to carry out one; to take the regions that were handed to actions; room for
``need`` regions, or for more and a larger stack; to see to per-CPU lists; to refit to mappings; to look at the end."""

START, CUT, TAKE, LOOK, WINDOW, OVER, MEASURE, EFFECT, SCORE, ACT, PASS, ENDED, AFTER, RESET, SPLIT, REFIT, TELL, LAST = range(
    18
)
"""Where the body goes on."""
LOOK_MERGED, LOOK_EVENTS, LOOK_FINISHED, LOOK_DUE = 1, 2, 4, 8
EVERYTHING = LOOK_MERGED | LOOK_EVENTS | LOOK_FINISHED
"""Bits of ``wants``: what an observer wants to be told."""

_U0, _U1, _BP = np.uint64(0), np.uint64(1), np.uint64(10_000)
_UINT_MAX = np.int64(2**32 - 1)

_regions, _space, _draws = at_address(Regions), at_address(Space), at_address(Draws)
_control, _loop = at_address(Control), at_address(Loop)


@inlined
def both(parts, c, loop):
    """The region arrays in use, and those that are filled next."""
    side = loop.side[0]
    return _regions(parts[c, REGIONS + side]), _regions(parts[c, REGIONS + 1 - side])


@inlined
def count_of(r):
    """Number of regions."""
    return r.ptr[r.ptr.size - 1]


@kernel
def left_window_bp(passed, next_aggregation, sample_us, aggr_us):
    """Return the share of the last aggregation still inside the sliding window, in bp (docs/theory/damon.md, section b.5)."""
    left = np.uint64(max(next_aggregation - passed, np.int64(0)))
    return mult_frac(left, _BP, np.uint64(max(aggr_us, 1) // max(sample_us, 1)))


@inlined
def set_window(turn, window):
    """Write down the moving-sum window of the present tick."""
    window.left_bp = left_window_bp(turn.passed, turn.next_aggregation, turn.sample_us, turn.aggr_us)
    window.samples = np.uint64(samples_of(turn.sample_us, turn.aggr_us))
    window.aggr_us, window.min_sz, window.tick = np.uint64(turn.aggr_us), turn.min_sz, turn.tick
    window.gone = np.uint64(max(turn.passed - turn.sums_from, np.int64(0)))


@kernel
def refresh_window(turns, windows):
    """`set_window` for callers outside the kernels."""
    set_window(turns[0], windows[0])


@inlined
def total_size(r):
    """Core addresses in all regions (u64)."""
    total = _U0
    for i in range(count_of(r)):
        total += r.end[i] - r.start[i]
    return total


@kernel
def size_limit(r, min_nr_regions, min_sz):
    """``damon_region_sz_limit``: the mean size at the minimum count, at least one minimal region (u64)."""
    return max(total_size(r) // np.uint64(max(min_nr_regions, np.int64(1))), min_sz)


@inlined
def cut_limit(r, min_nr_regions, min_sz):
    """The size above which regions are cut, so that the minimum count is kept: `size_limit` in whole minimal regions."""
    return (size_limit(r, min_nr_regions, min_sz) + min_sz - _U1) // min_sz * min_sz


@inlined
def pieces_of(r, i, limit):
    """Into how many pieces of at most that size a region is cut."""
    return np.int64((r.end[i] - r.start[i] - _U1) // limit) + 1


@inlined
def pieces(r, limit):
    """How many regions there are once none is larger than the limit."""
    n = np.int64(0)
    for i in range(count_of(r)):
        n += pieces_of(r, i, limit)
    return n


@inlined
def cut(r, out, limit, rules):
    """Write the regions, those larger than the limit cut into pieces of that size and the rest, to `out`."""
    n = np.int64(0)
    out.ptr[0] = 0
    for t in range(r.ptr.size - 1):
        for i in range(r.ptr[t], r.ptr[t + 1]):
            for k in range(pieces_of(r, i, limit)):
                copy_region(r, i, out, n, rules)
                out.start[n] = r.start[i] + np.uint64(k) * limit
                if k > 0:
                    out.end[n - 1] = out.start[n]
                n += 1
        out.ptr[t + 1] = n


@kernel
def cut_to_min_nr(r, out, min_nr_regions, min_sz, rules):
    """Write the regions, cut so that the minimum count is kept, to `out`, if there are more then and room for them.

    Returns
    -------
    limit, n : u64, i64
        The size above which regions are cut, and how many there are then.
    """
    limit = cut_limit(r, min_nr_regions, min_sz)
    n = pieces(r, limit)
    if count_of(r) < n <= out.start.size:
        cut(r, out, limit, rules)
    return limit, n


@kernel
def reset(r, window, fix_sums, rules):
    """Remember the finished window's counts and start the next at zero (``kdamond_reset_aggregated``)."""
    for i in range(count_of(r)):
        if rules is not None:
            if rules.stored_sum:
                now = np.uint64(r.nr[i]) * _BP if fix_sums else stored_bp(r.nr[i], r.last[i], r.sum_bp[i], window)
                r.sum_bp[i] = np.uint32(now & np.uint64(_UINT_MAX))
        r.last[i] = r.nr[i]
        r.nr[i] = np.uint32(0)


@inlined
def merge(r, turn, window, rules):
    """``kdamond_merge_regions`` of a finished aggregation; regions that are equal within a tenth of the highest count."""
    top = np.uint32(0)
    for i in range(count_of(r)):
        top = max(top, r.nr[i])
    threshold, most = np.uint64(top) // np.uint64(10), np.uint64(turn.aggr_us // turn.sample_us)
    merge_regions(r, r.ptr, threshold, turn.sz_limit, most, turn.max_nr_regions, rules, window)


@inlined
def find_due(turn, schemes, funnel):
    """Note which schemes are due (``passed`` has reached their time); whether an active one is."""
    ready = False
    for i in range(schemes.size):
        s = schemes[i]
        s.due = np.uint64(turn.passed >= np.int64(s.next_apply))
        if s.due != _U0:
            if s.active != _U0:
                funnel[i].nr_due += _U1
                ready = True
            else:
                funnel[i].nr_inactive += _U1
    return ready


@inlined
def set_next_apply(turn, schemes):
    """Note when the schemes that were due are due again."""
    for i in range(schemes.size):
        s = schemes[i]
        if s.due != _U0:
            s.next_apply = np.uint64(turn.passed + apply_period(turn, s))


@inlined
def begin_pass(turn, control, r, out):
    """Start an application pass: nothing was visited yet, no folio looked at."""
    cur = control.cursor[0]
    cur.phase = cur.target = cur.next = cur.n_out = cur.first_out = cur.depth = cur.scheme = 0
    cur.n_events = 0
    for i in range(control.scheme.size):
        control.scheme[i].last_applied = _U0
    out.ptr[0] = 0
    turn.limit = size_limit(r, turn.min_nr_regions, turn.min_sz)


@kernel
def body(parts, c, memory, access, rules, counts):
    """Run what follows the access check of a sampling tick: merge, schemes, tuning, reset, split (see the module's text).

    Parameters
    ----------
    parts : u64 table (contexts, PARTS)
        Addresses of each context's arrays.
    c : int
        Which context.
    memory : Memory
        Frames and pages.
    access : Access or None
        None where no action has to look at a page: see `apply.apply_pass`.
    rules : Older or None
        What an older kernel does.
    counts : i64[nodes] or None
        Room to count bytes; None where no goal looks at regions.
    """
    loop, control, space = _loop(parts[c, LOOP]), _control(parts[c, CONTROL]), _space(parts[c, SPACE])
    turn, window, schemes, cur = loop.turn[0], control.window[0], control.scheme, control.cursor[0]
    stack = _regions(parts[c, STACK])
    while True:
        r, out = both(parts, c, loop)
        if turn.at == START:
            if turn.is_latched == 0:
                turn.latched, turn.update = turn.next_aggregation, turn.next_ops_update
            turn.is_latched, turn.due = 0, 0
            turn.aggregation = np.int64(turn.passed >= turn.latched)
            set_window(turn, window)
            if turn.aggregation:
                merge(r, turn, window, rules)
            turn.at = CUT
        if turn.at == CUT:
            if turn.aggregation and turn.cuts:
                limit, n = cut_to_min_nr(r, out, turn.min_nr_regions, turn.min_sz, rules)
                if n > out.start.size:
                    turn.need = n
                    return ROOM
                if n > count_of(r):
                    loop.side[0] = 1 - loop.side[0]
                turn.sz_limit = limit
            turn.at = TAKE
            if turn.aggregation and (turn.wants & LOOK_MERGED or (turn.every > 0 and turn.aggregations % turn.every == 0)):
                return MERGED
            continue
        if turn.at == TAKE:
            turn.at = LOOK
            if turn.pending and (turn.aggregation or turn.any_tick):
                return REQUESTS
            continue
        if turn.at == LOOK:
            turn.at = AFTER
            if find_due(turn, schemes, control.funnel):
                set_window(turn, window)
                turn.due, turn.at, turn.scheme = 1, WINDOW, 0
                if turn.wants & LOOK_DUE:
                    return DUE
        if turn.at == WINDOW:
            if turn.scheme == schemes.size:
                turn.at = ACT
                if turn.external:
                    return BEGIN
                continue
            s = schemes[turn.scheme]
            if s.due == _U0 or s.active == _U0 or s.adjusted == _U0:
                turn.scheme += 1
                continue
            turn.at = SCORE
            jiffies = np.uint64(turn.jiffies0 + memory.clock[NOW] // memory.clock[JIFFY])
            if jiffies >= s.next_reset:
                turn.at = turn.then = OVER
                if first_window(control.quota[turn.scheme], s, jiffies, rules):
                    turn.at = MEASURE
        if turn.at == OVER:
            turn.at = turn.then = SCORE
            jiffies = np.uint64(turn.jiffies0 + memory.clock[NOW] // memory.clock[JIFFY])
            if next_window(control.quota[turn.scheme], schemes[turn.scheme], jiffies, turn.min_sz, rules):
                turn.at = MEASURE
        if turn.at == MEASURE:
            q, turn.at = control.quota[turn.scheme], EFFECT
            if q.goal_last > q.goal_first:
                if q.by_python != _U0:
                    return ADJUST
                now_us = turn.tick if turn.by_ticks else memory.clock[NOW] // np.int64(1000)
                measure(control, turn.scheme, r, count_of(r), space, memory, rules, counts, now_us)
        if turn.at == EFFECT:
            q, turn.at = control.quota[turn.scheme], turn.then
            monitored = total_size(r) * space.unit if q.capped != _U0 else _U0
            set_effective(q, schemes[turn.scheme], control.goal, turn.min_sz, monitored, rules)
            if turn.at == OVER:
                continue
        if turn.at == SCORE:
            s = schemes[turn.scheme]
            if s.score != NO_SCORE:
                need = count_of(r) + 4 * control.filter.size * max(r.ptr.size - 1, 1) + 16
                if need > out.start.size:
                    turn.need = need
                    return ROOM
                s.min_score = score_histogram(control, turn.scheme, r, r.ptr, out, out.ptr, stack, rules)
                loop.side[0] = 1 - loop.side[0]
            turn.scheme += 1
            turn.at = WINDOW
            continue
        if turn.at == ACT:
            begin_pass(turn, control, r, out)
            turn.at = PASS
        if turn.at == PASS:
            code = apply.apply_pass(control, r, r.ptr, out, out.ptr, stack, turn.limit, space, memory, access, rules)
            if code == apply.ROOM:
                return STACKS
            if code == apply.CALL:
                return CALL
            if code == apply.DONE:
                turn.at = ENDED
            if cur.n_events > 0 and turn.wants & LOOK_EVENTS:
                return EVENTS
            cur.n_events = 0
            continue
        if turn.at == ENDED:
            loop.side[0] = 1 - loop.side[0]
            set_next_apply(turn, schemes)
            turn.at = AFTER
            if turn.lists:
                return PASSED
            continue
        if turn.at == AFTER:
            turn.at = REFIT
            if turn.aggregation:
                turn.at = RESET
                if turn.tune_aggrs and turn.passed >= turn.next_tune:
                    turn.next_aggregation = turn.latched
                    turn.next_tune += turn.aggr_samples * turn.tune_aggrs
                    tune(turn, schemes, control.funnel, r, count_of(r), rules)
        if turn.at == RESET:
            turn.next_aggregation = turn.latched + turn.aggr_us // turn.sample_us
            set_window(turn, window)
            reset(r, window, turn.fix_sums != 0, rules)
            turn.sums_from = turn.passed
            turn.at = SPLIT
        if turn.at == SPLIT:
            need = 3 * count_of(r) + 16
            if need > out.start.size:
                turn.need = need
                return ROOM
            some = turn.splits_some != 0
            if split_regions(
                r, turn.max_nr_regions, turn.min_sz, some, loop.split, _draws(parts[c, DRAWS]), loop.cuts, out, rules
            ):
                loop.side[0] = 1 - loop.side[0]
            turn.aggregations += 1
            turn.at = REFIT
        if turn.at == REFIT:
            if turn.passed >= turn.update:
                turn.next_ops_update = turn.update + turn.update_us // turn.sample_us
                if turn.refits:
                    turn.at = TELL
                    return UPDATE
            turn.at = TELL
        if turn.at == TELL:
            if (turn.aggregation or turn.due) and turn.wants & LOOK_FINISHED:
                turn.at = LAST
                return FINISHED
        turn.at = START
        return DONE
