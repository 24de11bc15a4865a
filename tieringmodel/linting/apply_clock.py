"""When a scheme is due, where interval tuning restarts its clock (docs/theory/damon.md, section c.6)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from ..damon.intervals import adapt_intervals
from ..scenario import Attrs

VARIES = 1.5
"""Factor by which observed access events, and the intervals that follow from them, are taken to vary."""
ROUNDS = 64
"""Tunings after which intervals that still change are taken as they are."""


class ApplyClock(NamedTuple):
    """A scheme's applications under interval tuning.

    Each tuning restarts the clock, also one that leaves the intervals as they are: a scheme is due within `round_ticks`
    sampling intervals or not at all.
    """

    first_us: float
    """Its first application; inf if it never comes."""
    in_the_end: bool
    """Whether it is due at the sampling interval to which tuning leads."""
    certain: bool
    """Whether that holds at every sampling interval that tuning may choose."""
    steady: bool
    """Whether a scheme that is not due stays so although access counts vary around what is expected."""
    sample_us: int
    """The sampling interval to which tuning leads."""
    shortest_us: int
    """The shortest one on the way."""
    round_ticks: int
    """Sampling intervals from one tuning to the next; 0 without tuning."""


def apply_clock(attrs: Attrs, apply_us: int, score: Callable[[int], int]) -> ApplyClock:
    """Return when a scheme is due.

    Parameters
    ----------
    attrs : Attrs
        Intervals as they start.
    apply_us : int
        The scheme's apply interval; 0 = the aggregation interval.
    score : callable
        The score of the intervals goal that is expected at a sampling interval, in bp.

    Returns
    -------
    ApplyClock
    """
    samples, goal, sample = attrs.aggr_us // attrs.sample_us, attrs.intervals_goal, attrs.sample_us

    def ticks(sample_us: int) -> int:
        return max(apply_us // sample_us, 1) if apply_us else samples

    round_ticks = samples * goal.aggrs
    if not round_ticks:
        return ApplyClock(ticks(sample) * sample, True, True, True, sample, sample, 0)
    longest, shortest = max(goal.max_sample_us, sample), min(max(goal.min_sample_us, 1), sample)
    certain = (ticks(longest) > round_ticks) == (ticks(shortest) > round_ticks)
    if certain and ticks(sample) <= round_ticks:
        return ApplyClock(ticks(sample) * sample, True, True, True, sample, shortest, round_ticks)
    now_us, first_us, low = 0, math.inf, sample
    for _ in range(ROUNDS):
        if ticks(sample) <= round_ticks:
            first_us = min(first_us, now_us + ticks(sample) * sample)
        now_us += round_ticks * sample
        factor = adapt_intervals(score(sample))
        before, sample = sample, max(goal.min_sample_us, min(goal.max_sample_us, sample * factor // 10_000), 1)
        low = min(low, sample)
        if sample == before:
            break
    held = sample <= max(goal.min_sample_us, 1) and score(sample) >= 10_000 * VARIES
    steady = held or ticks(int(sample * VARIES)) > round_ticks
    return ApplyClock(first_us, ticks(sample) <= round_ticks, certain, steady, sample, low, round_ticks)
