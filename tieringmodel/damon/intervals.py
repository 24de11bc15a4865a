"""What DAMON makes of its sampling and aggregation intervals, for who asks by numbers (docs/theory/damon.md, section a.2)."""

from __future__ import annotations

from ..units import UINT_MAX
from .quota_math import feed_loop_next_input


def adapt_intervals(score: int) -> int:
    """Return the factor of ``damon_get_intervals_adaptation_bp`` for an intervals score, in bp."""
    factor = feed_loop_next_input(100_000_000, score) // 10_000
    return 5_000 + factor // 2 if factor <= 10_000 else factor


def nr_samples(sample_us: int, aggr_us: int) -> int:
    """Return the largest possible nr_accesses of a region."""
    return max(1, min(aggr_us // max(sample_us, 1), UINT_MAX))
