"""When a scheme can first move a page, and what holds it up: its clock, its quota, ages, pages that count as young."""

from __future__ import annotations

import math

from ..damon.parameters import default_rejects, esz0_stops, quota_is_given, split_filters
from ..damon.quota_math import consist_esz_bp
from ..units import MIB, PAGE_SZ, UINT_MAX
from .goal_reading import reading
from .plant import first_evaluation
from .scheme_facts import SchemeFacts

UNMEASURED_BYTES_PER_MS = 4 * MIB
"""What a time quota is worth before any time was measured."""
MOST_WINDOWS = 1_000_000
SLOW_S = 60.0
"""A first move after this time is worth a warning."""


def time_cap_bytes(facts: SchemeFacts) -> int:
    """Return what the time quota allows per window, in bytes; 0 without one.

    Migration takes time where the machine says how much; everything else never has any measured.
    """
    quota, page_ns = facts.scheme.quota, facts.shared.scenario.machine.migrate_ns_per_page
    if not quota.ms:
        return 0
    per_ms = PAGE_SZ * 1_000_000 // page_ns if facts.migrates and page_ns else UNMEASURED_BYTES_PER_MS
    return max(per_ms * quota.ms, facts.context.min_region_sz)


def caps_bytes(facts: SchemeFacts) -> float:
    """Return what the size and the time quota allow per window, in bytes; inf without any."""
    return min((cap for cap in (facts.scheme.quota.sz_bytes, time_cap_bytes(facts)) if cap), default=math.inf)


def score_at_start(facts: SchemeFacts) -> int | None:
    """Return the score of a scheme's goals from the initial placement; None where the scenario does not fix it."""
    readings = [reading(facts, g) for g in facts.scheme.quota.goals]
    return max((r.score for r in readings if r), default=None) if all(readings) else None


def matching_bytes(facts: SchemeFacts, phase: int = 0) -> int:
    """Return the bytes that match the pattern and pass the core filters in a phase, frames without a page included."""
    shared, supply = facts.shared, sum(facts.supply(phase))
    if facts.context.ops != "paddr" or facts.scheme.access_pattern.min_nr_accesses:
        return supply * PAGE_SZ
    nodes = range(len(shared.nodes))
    frames = sum(shared.bytes_on(facts.passing, i) for i in nodes) // PAGE_SZ
    resident = [
        n * shared.bytes_on(facts.passing, i) // max(shared.bytes_on(facts.monitored, i), 1)
        for i, n in enumerate(shared.resident(facts.c))
    ]
    return (frames - (sum(resident) - supply)) * PAGE_SZ


def turns_young_away(facts: SchemeFacts) -> int | None:
    """Return the position of the filter that lets no young page pass, -1 for reclaim itself; None if young pages pass.

    A page whose accessed state nobody ever cleared counts as young.
    """
    core, ops = split_filters(facts.scheme.filters)
    if any(f.allow for f in core) or not (facts.migrates or facts.reclaims):
        return None
    young = next((f for f in ops if f.type == "young"), None)
    if young is None:
        return -1 if facts.reclaims else None
    passes = young.allow if young.matching else not default_rejects(facts.scheme.filters)[1]
    return None if passes else facts.scheme.filters.index(young)


def windows_to_try(facts: SchemeFacts, n_bytes: float) -> float:
    """Return in how many windows, from the first whose quota holds a region on, so many bytes are charged."""
    quota, cap, score = facts.scheme.quota, caps_bytes(facts), score_at_start(facts)
    if not quota.goals or quota.goal_tuner != "consist" or score is None:
        return n_bytes / cap
    if score >= 10_000:
        return math.inf
    state, charged, windows = quota.esz_bp0, 0.0, 0
    for _ in range(MOST_WINDOWS):
        before, state = state, consist_esz_bp(state, score)
        esz = min(state // 10_000, cap)
        if esz >= cap or state == before:
            return windows + (n_bytes - charged) / esz if esz >= facts.context.min_region_sz else math.inf
        if esz >= facts.context.min_region_sz:
            windows += 1
            charged += esz
            if charged >= n_bytes:
                return windows
    return math.inf


def most_matching_bytes(facts: SchemeFacts) -> int:
    """Return `matching_bytes` of the phase with the most."""
    return max(matching_bytes(facts, phase) for phase in facts.phases)


def first_pass_s(facts: SchemeFacts) -> float:
    """Return how long one look at all that matches takes (s), at which pages that nobody looked at are only made old.

    Pages come by a second time sooner where old regions do not go first. 0 where young pages pass, or touched memory is
    asked for, whose pages are young again at the next look.
    """
    quota = facts.scheme.quota
    if turns_young_away(facts) is None or facts.scheme.access_pattern.min_nr_accesses:
        return 0.0
    fails = quota.fail_charge_num / quota.fail_charge_denom if quota.fail_charge_denom else 1.0
    windows = windows_to_try(facts, most_matching_bytes(facts) * fails) if quota_is_given(facts.scheme.quota) else 0.0
    return max(windows * facts.window_us if windows else 0.0, facts.apply_us) * 1e-6


def unlimited_at_first(facts: SchemeFacts) -> bool:
    """Whether a scheme's quota limits nothing until its first charge window ends, as before Linux 6.18."""
    quota, rules = facts.scheme.quota, facts.shared.scenario.kernel.rules
    windows = quota_is_given(quota) and quota.reset_interval_ms & UINT_MAX
    return bool(windows and not rules.first_window_esz and not esz0_stops(quota, rules) and not facts.starved)


def quota_holds_s(facts: SchemeFacts) -> float:
    """Return when the effective quota first holds a region (s); inf for never."""
    if unlimited_at_first(facts):
        return facts.first_us * 1e-6
    quota, k, step = facts.scheme.quota, 1, facts.context.min_region_sz
    score = score_at_start(facts) if quota.goals else 0
    if caps_bytes(facts) < step or (score is not None and score >= 10_000):
        return math.inf
    if quota.goals and quota.goal_tuner == "consist" and not quota.esz_floor_min_region:
        k = first_evaluation(score or 0, step, quota.esz_bp0) or 0
    return facts.evaluation_s(k) if k else math.inf


def first_move_s(facts: SchemeFacts) -> float:
    """Return when the scheme moves its first pages (s): due, its quota a region, the region old enough, all looked at once.

    Parameters
    ----------
    facts : SchemeFacts
        The scheme.

    Returns
    -------
    float
        inf where the scenario says that it never will: starved by interval tuning, asleep, goals met, no quota.
    """
    if facts.starved or facts.asleep:
        return math.inf
    return max(quota_holds_s(facts), age_s(facts)) + first_pass_s(facts)


def age_s(facts: SchemeFacts) -> float:
    """Return how long a region must stay as it is before it matches (s)."""
    return facts.scheme.access_pattern.min_age * facts.context.attrs.aggr_us * 1e-6
