"""The two quota-goal tuners as pure functions of state and score; the page-level and the reduced loop call both."""

from __future__ import annotations

from ._jit import kernel
from .integer import U0, U10000, ULONG_MAX, feed_loop_next_input

ESZ_MAX = ULONG_MAX // U10000


@kernel
def consist_esz_bp(esz_bp, score):
    """CONSIST (u64, u64) -> u64: the feedback step from a state of at least one byte (``esz_goal_consist``)."""
    if esz_bp < U10000:
        esz_bp = U10000
    return feed_loop_next_input(esz_bp, score)


@kernel
def temporal_esz_bp(score, sz_cap):
    """TEMPORAL (u64, u64) -> u64: nothing at or above the goal; below it the size quota, or all there is if 0."""
    if score >= U10000:
        return U0
    if U0 < sz_cap <= ESZ_MAX:
        return sz_cap * U10000
    return ULONG_MAX
