"""Intervals that change while a kdamond runs (docs/theory/damon.md, sections a.2, a.5 and b.5)."""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel
from .integer import U0, U1, U10000, feed_loop_next_input
from .regions import rescale
from .window import share_bp

_SCALE, _1M = np.uint64(100_000_000), np.int64(1_000_000)
_UINT_MAX = np.int64(2**32 - 1)
_LONGEST_US = np.int64(2**52)
"""142 years: no run lasts so long, and its nanoseconds fit."""


@inlined
def samples_of(sample_us, aggr_us):
    """The largest possible nr_accesses of a region."""
    return max(np.int64(1), min(aggr_us // max(sample_us, np.int64(1)), _UINT_MAX))


@kernel
def intervals_score(r, n, aggr_samples, access_bp, rules):
    """``damon_get_intervals_score``: observed access events over the goal, in bp (u64); sums and products wrap."""
    most = seen = U0
    for i in range(n):
        size = r.end[i] - r.start[i]
        most, seen = most + size * np.uint64(aggr_samples), seen + size * np.uint64(r.nr[i])
    return share_bp(seen, max(most * np.uint64(access_bp) // U10000, U1), rules)


@kernel
def adaptation_bp(score):
    """``damon_get_intervals_adaptation_bp``: the factor for an intervals score, in bp (u64)."""
    factor = feed_loop_next_input(_SCALE, score) // U10000
    return np.uint64(5_000) + factor // np.uint64(2) if factor <= U10000 else factor


@inlined
def apply_period(turn, s):
    """Sampling ticks between two applications of a scheme."""
    interval = np.int64(s.apply_us) if s.apply_us != U0 else turn.aggr_us
    return interval // turn.sample_us


@kernel
def set_intervals(turn, schemes, funnel, r, n, sample_us, aggr_us, aggregating, rules):
    """Take over intervals (``damon_set_attrs``): timers restart, results are converted to the new units."""
    before = np.uint64(samples_of(turn.sample_us, turn.aggr_us))
    after = np.uint64(samples_of(sample_us, aggr_us))
    rescale(r, n, before, after, np.uint64(turn.aggr_us), np.uint64(aggr_us), aggregating, rules)
    turn.sample_us, turn.aggr_us = sample_us, aggr_us
    turn.next_aggregation = turn.passed + aggr_us // sample_us
    turn.next_ops_update = turn.passed + turn.update_us // sample_us
    turn.sums_from = turn.passed
    for i in range(schemes.size):
        s = schemes[i]
        if turn.passed < np.int64(s.next_apply):
            funnel[i].nr_restarted += U1
        s.next_apply = np.uint64(turn.passed + apply_period(turn, s))


@kernel
def tune(turn, schemes, funnel, r, n, rules):
    """Adapt the sampling interval to the observed access events (``kdamond_tune_intervals``)."""
    adapt = np.int64(adaptation_bp(intervals_score(r, n, turn.aggr_samples, turn.access_bp, rules)))
    if adapt == 10_000:
        return
    # In two terms: an interval times the factor may be beyond 63 bits.
    wanted = turn.sample_us // 10_000 * adapt + turn.sample_us % 10_000 * adapt // 10_000
    sample_us = max(turn.min_sample_us, min(turn.max_sample_us, wanted))
    set_intervals(turn, schemes, funnel, r, n, sample_us, sample_us * turn.aggr_samples, False, rules)


@inlined
def slept_ns(turn):
    """How long a sampling interval's sleep lasts, in ns (``kdamond_usleep``): whole jiffies from a length on."""
    sample_us = min(turn.sample_us, _LONGEST_US)
    if sample_us < turn.whole_from_us:
        return sample_us * np.int64(1000)
    seconds, rest = sample_us // _1M, sample_us % _1M
    return (seconds * turn.hz + (rest * turn.hz + _1M - 1) // _1M) * (np.int64(1_000_000_000) // turn.hz)
