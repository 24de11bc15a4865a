"""Rules about the sign between an action and its goal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...scenario import Goal, Scenario
from ...scenario.metrics import metric_of
from ..finding import Finding, fix, rule
from ..goal_reading import Reading, effect, reading
from ..scheme_facts import SchemeFacts, facts_of


def _subject(goal: Goal) -> str:
    what = f"{goal.metric} of node {goal.nid}" if metric_of(goal.metric).needs else goal.metric
    return f"the complement of {what}" if goal.complement else what


def _turned(facts: SchemeFacts, goal: Goal) -> tuple[str, dict[str, Any]]:
    """Return the change that makes the sign right, in words and as fields of the goal."""
    metric, rest = metric_of(goal.metric), max(10_000 - goal.target_value, 1)
    if goal.complement:
        return "set complement = false", {"complement": False}
    if metric.needs and metric.opposite:
        text = f"set metric = {metric.opposite!r} and target_value = {rest}"
        others = facts.sources if metric.rest else {i for i in (facts.target,) if i is not None}
        if facts.migrates and not metric.monitored and len(others) == 1:
            nid = facts.shared.nodes[min(others)].nid
            return f"put it on the {'source' if metric.rest else 'receiving node'}: nid = {nid}, or {text}", {"nid": nid}
        return text, {"metric": metric.opposite, "target_value": rest}
    if metric.needs and facts.target is not None:
        nid = facts.shared.nodes[facts.target].nid
        text = f"put the goal on the receiving node: nid = {nid}, target_value = {rest}"
        return text, {"nid": nid, "target_value": rest}
    to = "inactive_mem_bp" if goal.metric == "active_mem_bp" else "active_mem_bp"
    return f"set metric = {to!r}, or change the action", {"metric": to}


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
            metric = metric_of(goal.metric)
            remedy, change = _turned(facts, goal)
            path = f"{facts.path}.quota.goals[{k}]"
            if not saved and not goal.complement and metric.needs:
                remedy += ", or complement = true (not in Linux 7.3.4)"
            yield Finding(
                "goal-on-source",
                "warning" if saved else "error",
                f"{path}." + ("nid" if metric.monitored and not metric.rest else "metric"),
                f"{facts.scheme.action} lowers {_subject(goal)}, but the tuner raises the quota to raise the metric "
                f"(positive feedback); {_consequence(facts, goal, reading(facts, goal))}",
                remedy,
                fix({f"{path}.{name}": value for name, value in change.items()}),
            )


@rule
def goal_without_effect(scenario: Scenario) -> Iterator[Finding]:
    """A goal whose metric the scheme cannot change at all."""
    for facts in facts_of(scenario).schemes:
        for k, goal in enumerate(facts.scheme.quota.goals):
            if effect(facts, goal) == 0 and metric_of(goal.metric).counts != "frames":
                yield _unmoved(facts, goal, f"{facts.path}.quota.goals[{k}]")


def _unmoved(facts: SchemeFacts, goal: Goal, path: str) -> Finding:
    seen = [n.nid for i, n in enumerate(facts.shared.nodes) if facts.shared.bytes_on(facts.monitored, i)]
    now, metric = reading(facts, goal), metric_of(goal.metric)
    if metric.monitored and (goal.nid not in seen or seen == [goal.nid]):
        nodes = ", ".join(map(str, seen)) or "none"
        value, target = 10_000 * ((goal.nid in seen) != metric.rest), goal.target_value
        value, target = (10_000 - value, max(10_000 - target, 1)) if goal.complement else (value, target)
        always = "as soon as anything matches" if goal.nid in seen else "for ever"
        fate = "never acts then" if value >= target else "never stops"
        everything: dict[str, Any] = {f"contexts[{facts.c}].targets": [{}]}
        if facts.target is not None and not facts.scheme.filters:
            everything[f"{facts.path}.filters"] = [f.to_dict() for f in facts.all_but(facts.target)]
        return Finding(
            "goal-without-effect",
            "error",
            f"{path}.nid",
            f"{_subject(goal)} counts monitored memory only, and the context monitors node{'s' * (len(seen) > 1)} "
            f"{nodes}: it is {value} bp {always}, against {target}, and the scheme {fate}",
            "monitor all nodes and choose the source by an addr filter",
            fix(everything),
        )
    reads = "" if now is None else f" (it starts at {now.value} bp against {now.target})"
    change: dict[str, Any] = {f"{path}.metric": "node_mem_used_bp"}
    remedy = "use a metric of the node, e.g. node_mem_used_bp"
    if facts.target is not None:
        nid = facts.shared.nodes[facts.target].nid
        if metric.needs:
            remedy, change = f"put the goal on the receiving node: nid = {nid}", {}
        change |= {f"{path}.nid": nid}
    return Finding(
        "goal-without-effect",
        "warning",
        f"{path}.nid" if metric.needs else f"{path}.metric",
        f"{facts.scheme.action} does not change {_subject(goal)}{reads}: only something else can meet or miss this "
        "goal, which merely switches the scheme on and off",
        remedy,
        fix(change if facts.target is not None else {}),
    )
