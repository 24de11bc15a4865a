"""Rules about goals that no amount of migration can meet."""

from __future__ import annotations

from collections.abc import Iterator

from ...scenario import Goal, Scenario
from ...scenario.metrics import metric_of
from ..finding import Finding, fix, rule
from ..goal_reading import reading
from ..plant import Plant, plant
from ..scheme_facts import SchemeFacts, facts_of
from ..wording import size, unmet


def best(facts: SchemeFacts, goal: Goal) -> Plant | None:
    """Return the plant of the phase that allows the highest value."""
    plants = [p for phase in facts.phases if (p := plant(facts, goal, phase)) is not None]
    return max(plants, key=lambda p: p.bp(p.reach_pages), default=None)


@rule
def target_above_capacity(scenario: Scenario) -> Iterator[Finding]:
    """A target beyond what the receiving node can hold, or beyond the pages there are to move."""
    for facts in facts_of(scenario).schemes:
        goals = facts.scheme.quota.goals
        known = [(k, p, now.target) for k, g in enumerate(goals) if (p := best(facts, g)) and (now := reading(facts, g))]
        if len(known) == len(goals) and all(p.bp(p.reach_pages) < target for _, p, target in known):
            for k, p, target in known:  # one goal that can be met would stop the scheme
                yield _finding(facts, k, p, target)


def _finding(facts: SchemeFacts, k: int, p: Plant, target: int) -> Finding:
    goal, reachable_bp = facts.scheme.quota.goals[k], p.bp(p.reach_pages)
    about = "about " if metric_of(goal.metric).by_pattern else ""
    if p.by_room <= p.by_supply:
        code, level = "target-above-capacity", "error"
        receiving = facts.target if facts.target is not None else 0
        why = f"node {facts.shared.nodes[receiving].nid} takes {size(p.reach_pages - p.start_pages)} more"
        if reserve := facts.shared.reserve[receiving]:
            why += f" (allocation fails at {reserve} free pages)"
        remedy = "" if reachable_bp else "make room on the receiving node"
    else:
        code, level = "target-above-supply", "warning"
        why = f"only {about}{size(p.reach_pages - p.start_pages)} of matching pages are there to be moved"
        remedy = (
            f"set target_value = {reachable_bp}, or widen the access pattern" if reachable_bp else "widen the access pattern"
        )
    path = f"{facts.path}.quota.goals[{k}].target_value"
    return Finding(
        code,
        level,
        path,
        f"{goal.metric} of node {goal.nid} can reach {about}{reachable_bp} bp at most, the target is {target}: {why}; "
        f"{unmet(facts, reachable_bp, target)}",
        remedy,
        fix({path: reachable_bp} if reachable_bp else {}),
    )
