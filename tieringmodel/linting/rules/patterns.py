"""Rules about access patterns and actions that do nothing."""

from __future__ import annotations

from collections.abc import Iterator

from ...damon.table import quota_is_set
from ...scenario import Scenario
from ...units import format_bytes
from ..finding import Finding, rule
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


def _impossible(facts: SchemeFacts) -> Iterator[tuple[str, str, str]]:
    """Yield (field, why, remedy) for bounds that no region can meet."""
    p, attrs, step = facts.scheme.access_pattern, facts.context.attrs, facts.context.min_region_sz
    most = max(attrs.aggr_us // attrs.sample_us, 1)
    for low, high in (("min_sz_bytes", "max_sz_bytes"), ("min_nr_accesses", "max_nr_accesses"), ("min_age", "max_age")):
        a, b = getattr(p, low), getattr(p, high)
        if a > b:
            yield low, f"{a} is above {high} = {b}", f"set {low} = {b}"
    if p.max_sz_bytes < step:
        why = f"{p.max_sz_bytes} is below the smallest region of {step} bytes"
        yield (
            "max_sz_bytes",
            why + (" (Linux creates it as 0)" if p.max_sz_bytes == 0 else ""),
            "set max_sz_bytes = 'max'",
        )
    if p.max_nr_accesses >= p.min_nr_accesses > most:
        why = f"{p.min_nr_accesses} is above the {most} samples of an aggregation of {attrs.aggr_us} us"
        yield "min_nr_accesses", why, f"set min_nr_accesses = {most}"
    total = sum(b - a for a, b in facts.monitored) // facts.context.addr_unit
    limit = max(total // attrs.min_nr_regions, step)
    limit = -(-limit // step) * step
    if p.max_sz_bytes >= p.min_sz_bytes > limit:
        why = f"{p.min_sz_bytes} is above {limit}, the largest region of {format_bytes(total)}"
        why += f" in at least {attrs.min_nr_regions}"
        yield "min_sz_bytes", why, f"set min_sz_bytes = {step}, or lower contexts[{facts.c}].attrs.min_nr_regions"


@rule
def empty_pattern(scenario: Scenario) -> Iterator[Finding]:
    """An access pattern that no region can ever match, or that nobody here will."""
    for facts in facts_of(scenario).schemes:
        path, p, attrs = f"{facts.path}.access_pattern", facts.scheme.access_pattern, facts.context.attrs
        wrong = list(_impossible(facts))
        for name, why, remedy in wrong:
            yield Finding("empty-pattern", "error", f"{path}.{name}", f"matches no region: {why}", remedy)
        age_s = p.min_age * attrs.aggr_us * 1e-6
        if age_s > OLD_S and p.min_age <= p.max_age:
            text = f"a region must stay unchanged for {p.min_age} aggregations, {duration(age_s)}, before it matches"
            yield Finding("empty-pattern", "warning", f"{path}.min_age", text, "ages count aggregations, not microseconds")
        if wrong or not p.min_nr_accesses or attrs.intervals_goal.aggrs:
            continue
        samples = max(attrs.aggr_us // attrs.sample_us, 1)
        busiest = float(facts.shared.touches(facts.c).nr.max(initial=0.0))
        chance = busiest / samples
        # A count of independent samples stays within four standard deviations of its mean.
        if busiest + 4 * (samples * chance * (1 - chance)) ** 0.5 < p.min_nr_accesses:
            yield Finding(
                "pattern-matches-nothing",
                "warning",
                f"{path}.min_nr_accesses",
                f"the busiest pages are expected to be seen in {busiest:.2g} of {samples} samples, the pattern asks "
                f"for {p.min_nr_accesses}: nothing will match",
                f"set min_nr_accesses = {max(int(busiest), 1)}, or lengthen aggr_us"
                if busiest >= 1
                else f"raise contexts[{facts.c}].attrs.aggr_us (now {attrs.aggr_us})",
            )


@rule
def unsupported_action(scenario: Scenario) -> Iterator[Finding]:
    """An action that the operations set does not have."""
    for facts in facts_of(scenario).schemes:
        able = _PADDR if facts.context.ops == "paddr" else _VADDR
        if facts.scheme.action in able:
            continue
        charged = ", charged to the quota" if quota_is_set(facts.scheme) else ""
        yield Finding(
            "unsupported-action",
            "error",
            f"{facts.path}.action",
            f"operations set {facts.context.ops} has no {facts.scheme.action}: regions are tried{charged} and lose their "
            "age, and nothing is done to them",
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
            "error" if any(g.metric != "user_input" for g in goals) else "warning",
            f"{facts.path}.action",
            f"{action} is not modelled: regions are tried, and stay as they are"
            + ("; the goals do not hear of it" if goals else ""),
            "read its numbers as what it would try, or leave the scheme out",
        )


@rule
def watermarks_inactive(scenario: Scenario) -> Iterator[Finding]:
    """Watermarks that keep a scheme asleep: migration does not change the machine's free memory."""
    shared = facts_of(scenario)
    for facts in shared.schemes:
        marks = facts.scheme.watermarks
        if marks.metric == "none":
            continue
        free = sum(shared.places.free) * 1000 // max(sum(shared.total), 1)
        if marks.low <= free <= marks.high:
            continue
        side = f"above high = {marks.high}" if free > marks.high else f"below low = {marks.low}"
        yield Finding(
            "watermarks-inactive",
            "error" if not any(s.action == "pageout" for c in scenario.contexts for s in c.schemes) else "warning",
            f"{facts.path}.watermarks",
            f"{free} permil of the machine's memory ({size(sum(shared.places.free))}) are free, {side}: the scheme "
            "is inactive, and migration between nodes does not change that",
            f"set high = {max(free + 1, marks.high)}, low = {min(free, marks.low)}",
        )
