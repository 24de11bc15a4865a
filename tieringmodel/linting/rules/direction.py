"""Rules about the sign between an action and its goal."""

from __future__ import annotations

from collections.abc import Iterator

from ...scenario import Goal, Scenario
from ..finding import Finding, rule
from ..goal_reading import FALLING, LITERAL, OF_NODE, Reading, effect, family, reading
from ..scheme_facts import SchemeFacts, facts_of


def _subject(goal: Goal) -> str:
    what = f"{goal.metric} of node {goal.nid}" if family(goal) else goal.metric
    return f"the complement of {what}" if goal.complement else what


def _turned(facts: SchemeFacts, goal: Goal) -> str:
    """Return the change that makes the sign right."""
    kind, rest = family(goal), 10_000 - goal.target_value
    if goal.complement:
        return "set complement = false"
    if kind in OF_NODE:
        to = goal.metric.replace("_free_", "_used_") if kind in FALLING else goal.metric.replace("_used_", "_free_")
        return f"set metric = {to!r} and target_value = {rest}"
    if kind == "ineligible":
        return f"set metric = 'node_eligible_mem_bp' and target_value = {rest}"
    if kind and facts.target is not None:
        nid = facts.shared.nodes[facts.target].nid
        return f"put the goal on the receiving node: nid = {nid}, target_value = {rest}"
    return "swap active_mem_bp and inactive_mem_bp, or change the action"


def _consequence(facts: SchemeFacts, goal: Goal, now: Reading | None) -> str:
    if now is None:
        return "above its target it never starts, below it pushes harder the further it falls"
    if now.score >= 10_000:
        granted = "1 byte at most" if facts.scheme.quota.goal_tuner == "consist" else "0"
        reads = f"it starts at {now.value} bp against {now.target}, which counts as achieved"
        return f"{reads}: the quota is {granted} and nothing moves"
    start = f"it starts at {now.value} bp, below {now.target}"
    if goal.early_exit in ("both", "both_fresh"):
        return f"{start}, where the early exit stops the action: nothing moves"
    return f"{start}, and is pushed further down until nothing is left to move"


@rule
def goal_on_source(scenario: Scenario) -> Iterator[Finding]:
    """A goal whose metric falls when the scheme acts: the tuner expects it to rise."""
    for facts in facts_of(scenario).schemes:
        goals = facts.scheme.quota.goals
        signs = [effect(facts, g) for g in goals]
        for k, goal in enumerate(goals):
            if signs[k] != -1:
                continue
            saved = 1 in signs
            on_node = family(goal) in ("eligible", "share", "resident", "matching")
            remedy = _turned(facts, goal)
            if not saved and not goal.complement and family(goal):
                remedy += ", or complement = true (not in Linux 7.3.4)"
            yield Finding(
                "goal-on-source",
                "warning" if saved else "error",
                f"{facts.path}.quota.goals[{k}]." + ("nid" if on_node else "metric"),
                f"{facts.scheme.action} lowers {_subject(goal)}, but the tuner raises the quota to raise the metric "
                f"(positive feedback); {_consequence(facts, goal, reading(facts, goal))}",
                remedy,
            )


@rule
def goal_without_effect(scenario: Scenario) -> Iterator[Finding]:
    """A goal whose metric the scheme cannot change at all."""
    for facts in facts_of(scenario).schemes:
        for k, goal in enumerate(facts.scheme.quota.goals):
            if effect(facts, goal) == 0 and family(goal) not in LITERAL:
                yield _unmoved(facts, goal, f"{facts.path}.quota.goals[{k}]")


def _unmoved(facts: SchemeFacts, goal: Goal, path: str) -> Finding:
    seen = [n.nid for i, n in enumerate(facts.shared.nodes) if facts.shared.bytes_on(facts.monitored, i)]
    now = reading(facts, goal)
    if family(goal) not in ("", *OF_NODE) and (goal.nid not in seen or seen == [goal.nid]):
        nodes = ", ".join(map(str, seen)) or "none"
        value, target = 10_000 * ((goal.nid in seen) != (family(goal) == "ineligible")), goal.target_value
        value, target = (10_000 - value, max(10_000 - target, 1)) if goal.complement else (value, target)
        always = "as soon as anything matches" if goal.nid in seen else "for ever"
        fate = "never acts then" if value >= target else "never stops"
        return Finding(
            "goal-without-effect",
            "error",
            f"{path}.nid",
            f"{_subject(goal)} counts monitored memory only, and the context monitors node{'s' * (len(seen) > 1)} "
            f"{nodes}: it is {value} bp {always}, against {target}, and the scheme {fate}",
            "monitor all nodes and choose the source by an addr filter",
        )
    reads = "" if now is None else f" (it starts at {now.value} bp against {now.target})"
    remedy = "use a metric of the node, e.g. node_mem_used_bp"
    if family(goal) and facts.target is not None:
        remedy = f"put the goal on the receiving node: nid = {facts.shared.nodes[facts.target].nid}"
    return Finding(
        "goal-without-effect",
        "warning",
        f"{path}.nid" if family(goal) else f"{path}.metric",
        f"{facts.scheme.action} does not change {_subject(goal)}{reads}: only something else can meet or miss this "
        "goal, which merely switches the scheme on and off",
        remedy,
    )
