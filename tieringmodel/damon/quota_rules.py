"""Quota arithmetic of a kernel: that of `quota_math`, or what came before a change (docs/theory/kernels.md, section 3)."""

from __future__ import annotations

from collections.abc import Sequence

from ..scenario.linux import Rules
from ..units import PAGE_SZ, ULONG_MAX
from . import quota_math
from .quota_math import ESZ_SCALE, mult_frac


def share_bp(value: int, whole: int, rules: Rules) -> int:
    """Return a value over a whole in bp; up to 7.1 the product wraps at 64 bits."""
    if rules.goal_score_mult_frac:
        return mult_frac(value, 10_000, whole)
    return (value * 10_000 & ULONG_MAX) // whole


def quota_score(pairs: Sequence[tuple[int, int]], rules: Rules) -> int:
    """Return the score of a quota from (current value, target) of its goals."""
    if rules.goal_score_mult_frac:
        return quota_math.quota_score(pairs)
    return max((share_bp(current, target, rules) for current, target in pairs), default=0)


def feed_loop_next_input(last_input: int, score: int, rules: Rules) -> int:
    """Return the next input of the proportional loop; before it was capped, products and sums wrapped at 64 bits."""
    if rules.feed_loop_cap:
        return quota_math.feed_loop_next_input(last_input, score)
    compensation = (last_input * abs(score - 10_000) & ULONG_MAX) // 10_000
    if score < 10_000:
        return (last_input + compensation) & ULONG_MAX
    return last_input - compensation if last_input > (compensation + 10_000) & ULONG_MAX else 10_000


def next_esz_bp(tuner: str, esz_bp: int, score: int, sz_bytes: int, rules: Rules) -> int:
    """Return the next ``esz_bp`` of the named tuner; up to 7.3.3 a byte cap in 1/10000 byte wraps at 64 bits."""
    if tuner == "consist" and not rules.feed_loop_cap:
        return feed_loop_next_input(max(esz_bp, 10_000), score, rules)
    if tuner == "temporal" and not rules.temporal_huge_sz and sz_bytes and score < 10_000:
        return sz_bytes * ESZ_SCALE & ULONG_MAX
    return quota_math.next_esz_bp(tuner, esz_bp, score, sz_bytes)


def set_effective(
    *,
    sz_bytes: int,
    ms: int,
    esz_bp: int | None,
    total_charged_sz: int,
    total_charged_ns: int,
    min_region_sz: int,
    rules: Rules,
) -> int:
    """Return the effective quota in bytes; the arguments are those of `quota_math.set_effective`.

    A time quota once allowed less than a minimal region, then at least one even where the goal says less.
    """
    if not ms or (rules.time_quota_min_region and rules.time_quota_zero_esz and rules.throughput_mult_frac):
        return quota_math.set_effective(
            sz_bytes=sz_bytes,
            ms=ms,
            esz_bp=esz_bp,
            total_charged_sz=total_charged_sz,
            total_charged_ns=total_charged_ns,
            min_region_sz=min_region_sz,
        )
    bytes_per_ms = PAGE_SZ * 1024
    if total_charged_ns and rules.throughput_mult_frac:
        bytes_per_ms = mult_frac(total_charged_sz, 1_000_000, total_charged_ns)
    elif total_charged_ns:
        bytes_per_ms = (total_charged_sz * 1_000_000 & ULONG_MAX) // total_charged_ns
    of_time, of_goal = bytes_per_ms * ms & ULONG_MAX, ULONG_MAX if esz_bp is None else esz_bp // ESZ_SCALE
    least = min_region_sz if rules.time_quota_min_region else 0
    esz = min(max(of_time, least), of_goal) if rules.time_quota_zero_esz else max(min(of_time, of_goal), least)
    return min(esz, sz_bytes) if sz_bytes else esz
