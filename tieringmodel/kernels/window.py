"""A scheme's quota: its charge windows, the score of its goals, the tuners, the effective quota.

Formulas: docs/theory/damon.md, sections e.2 and f.3 to f.6; what older kernels do: docs/theory/kernels.md, section 3.
`q` is a QUOTA record, `s` a SCHEME record, `rules` an `Older` or None.
"""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel
from .integer import U0, U1, U10000, ULONG_MAX, feed_loop_next_input, mult_frac
from .tuner import consist_esz_bp, temporal_esz_bp
from .visit import quota_full

LIMITS = ("", "size", "time", "goal")
"""What can bound an effective quota: nothing, ``sz_bytes``, ``ms``, or the tuner's state."""
NOTHING, SIZE, TIME, GOAL = 0, 1, 2, 3
CONSIST, TEMPORAL, OWN = 0, 1, 2

_BYTES_PER_MS, _NS_PER_MS = np.uint64(4096 * 1024), np.uint64(1_000_000)


@inlined
def share_bp(value, whole, rules):
    """A value over a whole in bp (u64); up to 7.1 the product wraps at 64 bits."""
    if rules is not None:
        if not rules.goal_score_mult_frac:
            return value * U10000 // whole
    return mult_frac(value, U10000, whole)


@inlined
def quota_score(q, goals, rules):
    """``damos_quota_score``: the best achieved goal decides; 0 without goals (u64, bp)."""
    score = U0
    for j in range(q.goal_first, q.goal_last):
        one = share_bp(goals[j].goal_current, goals[j].goal_target, rules)
        if one > score:
            score = one
    return score


@inlined
def feed_loop(last_input, score, rules):
    """The next input of the proportional loop (u64); before it was capped, products and sums wrapped at 64 bits."""
    if rules is not None:
        if not rules.feed_loop_cap:
            distance = score - U10000 if score > U10000 else U10000 - score
            compensation = last_input * distance // U10000
            if score < U10000:
                return last_input + compensation
            return last_input - compensation if last_input > compensation + U10000 else U10000
    return feed_loop_next_input(last_input, score)


@inlined
def next_esz_bp(tuner, esz_bp, score, sz_bytes, rules):
    """The tuner's next state (u64); up to 7.3.3 a byte cap in 1/10000 byte wraps at 64 bits."""
    if tuner == np.uint64(CONSIST):
        if rules is not None:
            if not rules.feed_loop_cap:
                return feed_loop(esz_bp if esz_bp > U10000 else U10000, score, rules)
        return consist_esz_bp(esz_bp, score)
    if tuner == np.uint64(OWN):  # Python has asked it
        return esz_bp
    if rules is not None:
        if not rules.temporal_huge_sz and sz_bytes != U0 and score < U10000:
            return sz_bytes * U10000
    return temporal_esz_bp(score, sz_bytes)


@inlined
def bytes_per_ms(q, s, rules):
    """The throughput measured so far, or 4 MiB per ms (u64)."""
    if s.total_charged_ns == U0:
        return _BYTES_PER_MS
    if rules is not None:
        if not rules.throughput_mult_frac:
            return q.total_charged_sz * _NS_PER_MS // s.total_charged_ns
    return mult_frac(q.total_charged_sz, _NS_PER_MS, s.total_charged_ns)


@inlined
def esz_of_time(of_time, of_goal, min_sz, rules):
    """What a time quota leaves of the goal's (u64): at least a minimal region's time, once even where the goal says less."""
    least = min_sz
    if rules is not None:
        if not rules.time_quota_min_region:
            least = U0
        if not rules.time_quota_zero_esz:
            return max(min(of_time, of_goal), least)
    return min(max(of_time, least), of_goal)


@inlined
def apply_limits(q, s, goals, min_sz, monitored, rules):
    """``damos_set_effective_quota``: score and caps become the effective quota; `monitored` are the monitored bytes (u64)."""
    has_goals = q.goal_last > q.goal_first
    of_goal = ULONG_MAX
    if has_goals:
        score = quota_score(q, goals, rules)
        q.score = np.int64(score)
        q.esz_bp = next_esz_bp(q.tuner, q.esz_bp, score, q.sz_bytes, rules)
        of_goal = q.esz_bp // U10000
    q.resets += 1
    esz = q.sz_bytes
    if has_goals or q.ms != U0:
        esz = of_goal
        if q.ms != U0:
            esz = esz_of_time(bytes_per_ms(q, s, rules) * q.ms, of_goal, min_sz, rules)
        if q.sz_bytes != U0:
            esz = min(esz, q.sz_bytes)
    if q.capped != U0:
        esz = min(esz, monitored)
    if q.floored != U0 and esz != U0:
        esz = max(esz, min_sz)
    s.esz = esz
    if q.sz_bytes != U0 and esz == q.sz_bytes:
        q.quota_bound = SIZE
    elif has_goals and esz == of_goal:
        q.quota_bound = GOAL
    else:
        q.quota_bound = TIME if q.ms != U0 else NOTHING


@inlined
def is_over(q, jiffies):
    """Whether a charge window has lasted its length."""
    begun = q.charged_from if q.charged_from != U0 else q.boot_jiffies
    return q.reset_jiffies != ULONG_MAX and jiffies >= begun + q.reset_jiffies


@kernel
def note_window(q, s, rules):
    """Note whether there is a quota to look at or to adjust, and from which jiffy on that starts a new window."""
    s.quota_set = U1 if s.esz != U0 or (q.stops != U0 and q.given != U0) else U0
    adjusted = q.given != U0 or s.esz != U0
    if rules is not None:
        if not rules.adjust_quota_while_esz:
            adjusted = q.given != U0
    s.adjusted = U1 if adjusted else U0
    s.next_reset = U0
    if q.total_charged_sz != U0 or q.charged_from != U0:
        begun = q.charged_from if q.charged_from != U0 else q.boot_jiffies
        s.next_reset = ULONG_MAX if q.reset_jiffies == ULONG_MAX else begun + q.reset_jiffies


@kernel
def first_window(q, s, jiffies, rules):
    """Begin the first charge window, where none was begun; whether the effective quota is to be set already."""
    if q.total_charged_sz != U0 or q.charged_from != U0:
        return False
    if rules is not None:
        if not rules.charged_from_jiffies:
            return rules.first_window_esz and q.resets == 0
    q.charged_from = jiffies
    if rules is not None:
        return rules.first_window_esz
    return True


@kernel
def next_window(q, s, jiffies, min_sz, rules):
    """End a charge window that has lasted its length and begin the next; whether it did."""
    if not is_over(q, jiffies):
        note_window(q, s, rules)
        return False
    full = quota_full(s, min_sz, rules)
    if full:
        s.qt_exceeds += U1
    if s.esz >= min_sz:
        q.held_windows += 1
        if full:
            q.full_windows += 1
    q.total_charged_sz += s.charged_sz
    q.charged_from, s.charged_sz = jiffies, U0
    return True


@kernel
def set_effective(q, s, goals, min_sz, monitored, rules):
    """`apply_limits`, and `note_window` of what came of it."""
    apply_limits(q, s, goals, min_sz, monitored, rules)
    note_window(q, s, rules)
