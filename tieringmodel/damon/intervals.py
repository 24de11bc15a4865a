"""What DAMON makes of its sampling and aggregation intervals (docs/theory/damon.md, sections a.2 and b.5)."""

from __future__ import annotations

from ..scenario import Attrs
from ..scenario.linux import Rules, default_rules
from ..units import UINT_MAX
from .quota_math import feed_loop_next_input
from .quota_rules import share_bp
from .regions import RegionSet


def adapt_intervals(score: int) -> int:
    """Return the factor of ``damon_get_intervals_adaptation_bp`` for an intervals score, in bp."""
    factor = feed_loop_next_input(100_000_000, score) // 10_000
    return 5_000 + factor // 2 if factor <= 10_000 else factor


def intervals_score(regions: RegionSet, aggr_samples: int, access_bp: int, rules: Rules | None = None) -> int:
    """Return the observed access events over the goal, in bp (``damon_get_intervals_score``)."""
    most = regions.total * aggr_samples % 2**64
    seen = int((regions.sizes() * regions.now.nr[: regions.n]).sum())
    return share_bp(seen, max(most * access_bp % 2**64 // 10_000, 1), rules or default_rules())


def tuned_attrs(attrs: Attrs, regions: RegionSet, aggr_samples: int, rules: Rules) -> Attrs | None:
    """Return attributes with the sampling interval adapted to what was seen, None where it is right as it is."""
    goal = attrs.intervals_goal
    adapt = adapt_intervals(intervals_score(regions, aggr_samples, goal.access_bp, rules))
    if adapt == 10_000:
        return None
    sample_us = max(goal.min_sample_us, min(goal.max_sample_us, attrs.sample_us * adapt // 10_000))
    return attrs.replace(sample_us=sample_us, aggr_us=sample_us * aggr_samples)


def nr_samples(sample_us: int, aggr_us: int) -> int:
    """Return the largest possible nr_accesses of a region."""
    return max(1, min(aggr_us // max(sample_us, 1), UINT_MAX))
