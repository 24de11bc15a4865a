"""Rules about goals that no amount of migration can meet."""

from __future__ import annotations

from collections.abc import Iterator

from ...scenario import Goal, Scenario
from ..finding import Finding, rule
from ..goal_reading import reading
from ..plant import Plant, plant
from ..scheme_facts import At, facts_of
from ..wording import size, unmet


def best(at: At, goal: Goal) -> Plant | None:
    """Return the plant of the phase that allows the highest value."""
    plants = [p for phase in at.phases if (p := plant(at, goal, phase)) is not None]
    return max(plants, key=lambda p: p.bp(p.reach_pages), default=None)


@rule
def target_above_capacity(scenario: Scenario) -> Iterator[Finding]:
    """A target beyond what the receiving node can hold, or beyond the pages there are to move."""
    for at in facts_of(scenario).schemes:
        goals = at.scheme.quota.goals
        found = [(k, p, now.target) for k, g in enumerate(goals) if (p := best(at, g)) and (now := reading(at, g))]
        if len(found) == len(goals) and all(p.bp(p.reach_pages) < target for _, p, target in found):
            for k, p, target in found:  # one goal that can be met would stop the scheme
                yield _finding(at, k, p, target)


def _finding(at: At, k: int, p: Plant, target: int) -> Finding:
    goal, reach = at.scheme.quota.goals[k], p.bp(p.reach_pages)
    about = "about " if goal.metric.startswith("node_eligible") else ""
    if p.by_room <= p.by_supply:
        code, level = "target-above-capacity", "error"
        receiving = at.target if at.target is not None else 0
        why = f"node {at.facts.nodes[receiving].nid} takes {size(p.reach_pages - p.start_pages)} more"
        if reserve := at.facts.reserve[receiving]:
            why += f" (allocation fails at {reserve} free pages)"
        remedy = f"set target_value = {reach}" if reach else "make room on the receiving node"
    else:
        code, level = "target-above-supply", "warning"
        why = f"only {about}{size(p.reach_pages - p.start_pages)} of matching pages are there to be moved"
        remedy = f"set target_value = {reach}, or widen the access pattern" if reach else "widen the access pattern"
    return Finding(
        code,
        level,
        f"{at.path}.quota.goals[{k}].target_value",
        f"{goal.metric} of node {goal.nid} can reach {about}{reach} bp at most, the target is {target}: {why}; "
        f"{unmet(at, reach, target)}",
        remedy,
    )
