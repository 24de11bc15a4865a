"""Rules about access patterns and actions that do nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ...damon.parameters import idle, quota_is_given
from ...scenario import Scenario
from ...scenario.metrics import metric_of
from ...units import ULONG_MAX, format_bytes
from ..finding import Finding, fix, rule
from ..first_move import age_s
from ..scheme_facts import SchemeFacts, facts_of
from ..wording import duration, size

OLD_S = 86_400.0
"""A minimal age above a day is taken for a slip of units."""
_PADDR = ("pageout", "lru_prio", "lru_deprio", "migrate_hot", "migrate_cold", "stat")
_VADDR = (
    "willneed",
    "cold",
    "pageout",
    "hugepage",
    "nohugepage",
    "collapse",
    "migrate_hot",
    "migrate_cold",
    "stat",
)


def _impossible(facts: SchemeFacts) -> Iterator[tuple[str, str, int]]:
    """Yield (field, why, value that can be met) for bounds that no region can meet."""
    p, attrs, step = facts.scheme.access_pattern, facts.context.attrs, facts.context.min_region_sz
    most = max(attrs.aggr_us // attrs.sample_us, 1)
    for low, high in (("min_sz_bytes", "max_sz_bytes"), ("min_nr_accesses", "max_nr_accesses"), ("min_age", "max_age")):
        a, b = getattr(p, low), getattr(p, high)
        if a > b:
            yield low, f"{a} is above {high} = {b}", b
    if p.max_sz_bytes < step:
        why = f"{p.max_sz_bytes} is below the smallest region of {step} bytes"
        yield "max_sz_bytes", why + (" (Linux creates it as 0)" if p.max_sz_bytes == 0 else ""), ULONG_MAX
    if p.max_nr_accesses >= p.min_nr_accesses > most:
        yield (
            "min_nr_accesses",
            f"{p.min_nr_accesses} is above the {most} samples of an aggregation of {attrs.aggr_us} us",
            most,
        )
    total = sum(b - a for a, b in facts.monitored) // facts.context.addr_unit
    limit = max(total // attrs.min_nr_regions, step)
    limit = -(-limit // step) * step
    if p.max_sz_bytes >= p.min_sz_bytes > limit:
        why = f"{p.min_sz_bytes} is above {limit}, the largest region of {format_bytes(total)}"
        yield "min_sz_bytes", why + f" in at least {attrs.min_nr_regions}", step


@rule
def empty_pattern(scenario: Scenario) -> Iterator[Finding]:
    """An access pattern that no region can ever match, or that nobody here will."""
    for facts in facts_of(scenario).schemes:
        path, p, attrs = f"{facts.path}.access_pattern", facts.scheme.access_pattern, facts.context.attrs
        wrong = list(_impossible(facts))
        for name, why, value in wrong:
            change = fix({f"{path}.{name}": value})
            yield Finding("empty-pattern", "error", f"{path}.{name}", f"matches no region: {why}", changes=change)
        if age_s(facts) > OLD_S and p.min_age <= p.max_age:
            text = f"a region must stay as it is for {p.min_age} aggregations, {duration(age_s(facts))}, before it matches; "
            text += "ages count aggregations, not microseconds"
            change = fix({f"{path}.min_age": p.min_age // attrs.aggr_us})
            yield Finding("empty-pattern", "warning", f"{path}.min_age", text, changes=change)
        if wrong or not p.min_nr_accesses or attrs.intervals_goal.aggrs:
            continue
        samples = max(attrs.aggr_us // attrs.sample_us, 1)
        busiest = float(facts.shared.touches(facts.c).nr.max(initial=0.0))
        chance = busiest / samples
        # A count of independent samples stays within four standard deviations of its mean.
        if busiest + 4 * (samples * chance * (1 - chance)) ** 0.5 < p.min_nr_accesses:
            lower, longer = f"{path}.min_nr_accesses", f"contexts[{facts.c}].attrs.aggr_us"
            enough_us = math.ceil(1.5 * p.min_nr_accesses / chance) * attrs.sample_us if chance else 0
            yield Finding(
                "pattern-matches-nothing",
                "warning",
                lower,
                f"the busiest pages are expected to be seen in {busiest:.2g} of {samples} samples, the pattern asks "
                f"for {p.min_nr_accesses}: next to nothing will match",
                changes=fix({longer: enough_us} if 0 < busiest < 1 else {lower: int(busiest)}),
            )


@rule
def unsupported_action(scenario: Scenario) -> Iterator[Finding]:
    """An action that the operations set does not have."""
    for facts in facts_of(scenario).schemes:
        known = _PADDR if facts.context.ops == "paddr" else _VADDR
        able = [action for action in known if not idle(facts.context, action, scenario.kernel.rules)]
        if facts.scheme.action in able:
            continue
        charged = ", charged to the quota" if quota_is_given(facts.scheme.quota) else ""
        yield Finding(
            "unsupported-action",
            "error",
            f"{facts.path}.action",
            f"operations set {facts.context.ops} of Linux {scenario.kernel.title} has no {facts.scheme.action}: regions are "
            f"tried{charged} and lose their age, and nothing is done to them",
            f"use one of {', '.join(able)}",
        )


@rule
def action_not_modelled(scenario: Scenario) -> Iterator[Finding]:
    """An action that the operations set has, and that this package counts without carrying it out."""
    for facts in facts_of(scenario).schemes:
        action, goals = facts.scheme.action, facts.scheme.quota.goals
        if facts.context.ops == "paddr" or action not in _VADDR or action in ("migrate_hot", "migrate_cold", "stat"):
            continue
        yield Finding(
            "action-not-modelled",
            "error" if any(metric_of(g.metric).counts != "input" for g in goals) else "warning",
            f"{facts.path}.action",
            f"{action} is not modelled: regions are tried, and stay as they are"
            + ("; the goals do not hear of it" if goals else ""),
            "read its numbers as what it would try, or leave the scheme out",
        )


@rule
def watermarks_inactive(scenario: Scenario) -> Iterator[Finding]:
    """Watermarks that keep a scheme asleep: migration does not change the machine's free memory."""
    shared = facts_of(scenario)
    for facts in (facts for facts in shared.schemes if facts.asleep):
        marks, free, path = facts.scheme.watermarks, shared.free_permil, f"{facts.path}.watermarks"
        change = {"high": free + 1} if free > marks.high else {"low": free * 3 // 4}
        yield Finding(
            "watermarks-inactive",
            "error" if not any(s.action == "pageout" for c in scenario.contexts for s in c.schemes) else "warning",
            path,
            f"{free} permil of the machine's memory ({size(sum(shared.places.free))}) are free, {facts.asleep}: the scheme "
            "sleeps, and migration between nodes does not change that",
            changes=fix({f"{path}.{name}": value for name, value in change.items()}),
        )
