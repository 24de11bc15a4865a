"""How a scheme's action bears on a goal's metric: the sign, and the value at the start."""

from __future__ import annotations

from typing import NamedTuple

from ..damon.quota_math import mult_frac
from ..scenario import Goal, Scenario
from ..scenario.metrics import GoalMetric, metric_of
from ..units import PAGE_SZ
from .scheme_facts import SchemeFacts


def effect(facts: SchemeFacts, goal: Goal) -> int | None:
    """Return +1 if the action raises the goal's value as core sees it, -1 if it lowers it, 0 if it cannot change it.

    A complemented goal is handed over as 10000 minus, which turns the sign. None: not known from the scenario.
    """
    sign = _effect(facts, goal)
    return -sign if sign and goal.complement else sign


def _effect(facts: SchemeFacts, goal: Goal) -> int | None:
    metric, action = metric_of(goal.metric), facts.scheme.action
    turned = -1 if metric.rest else 1
    if metric.counts == "huge":
        return None if action in ("hugepage", "nohugepage", "collapse") else 0
    if metric.counts == "active":
        towards = {"lru_prio": 1, "lru_deprio": -1}.get(action, 0 if facts.migrates else None)
        return None if towards is None else turned * towards
    node = facts.shared.index_of.get(goal.nid)
    if not metric.needs or node is None:
        return None
    if action == "pageout":
        return -turned * (node in facts.sources) if not metric.monitored else None
    if not facts.migrates or facts.target is None:
        return None
    seen = [i for i in range(len(facts.shared.nodes)) if facts.shared.bytes_on(facts.monitored, i)]
    alone = metric.over == "nodes" and seen == [node]
    if metric.counts == "frames" or (metric.monitored and (node not in seen or alone)):
        return 0
    return turned * (1 if node == facts.target else -1 if node in facts.sources else 0)


class Reading(NamedTuple):
    """A goal's value and target as core gets them at the start."""

    value: int
    target: int
    exact: bool
    """False where the value rests on who is expected to match the access pattern."""

    @property
    def score(self) -> int:
        """10000 = achieved."""
        return mult_frac(self.value, 10_000, self.target)


def reading(facts: SchemeFacts, goal: Goal) -> Reading | None:
    """Return the goal's value and target before anything has moved; None if the scenario does not fix them."""
    node, metric = facts.shared.index_of.get(goal.nid), metric_of(goal.metric)
    if metric.counts == "input":
        return None if goal.current_values else Reading(goal.current_value, goal.target_value, True)
    if not metric.needs or node is None or facts.context.ops not in metric.ops:
        return None
    part, total = amounts(facts, metric, goal, node)
    value = mult_frac(part, 10_000, total) if total else 10_000 * (not metric.monitored and not metric.rest)
    value = 10_000 - value if metric.monitored and metric.rest else min(value, 10_000)
    target = _clamped(facts, goal, node)
    if goal.complement:
        value, target = 10_000 - value, max(10_000 - target, 1)
    return Reading(value, target, not metric.by_pattern) if target else None


def _clamped(facts: SchemeFacts, goal: Goal, node: int) -> int:
    shared = facts.shared
    if goal.clamp == "tuner":
        return min(goal.target_value, mult_frac(shared.total[node], 10_000, sum(shared.total)))
    if goal.clamp != "reachable":
        return goal.target_value
    matching = facts.eligible(0)
    room = max(shared.places.free[node] - shared.reserve[node], 0)
    reachable_bp = mult_frac(matching[node] + room, 10_000, sum(matching)) if sum(matching) else 10_000
    return min(goal.target_value, max(min(reachable_bp, 10_000), 1))


def amounts(facts: SchemeFacts, metric: GoalMetric, goal: Goal, node: int) -> tuple[int, int]:
    """Return numerator and denominator of a metric at the start, in pages (bytes for frame counts)."""
    shared = facts.shared
    total, free = shared.total[node], shared.places.free[node]
    if not metric.monitored:
        mine = memcg_pages(facts, goal.memcg_id)[node] if metric.counts == "memcg" else total - free
        mine = min(max(mine, 0), total) if metric.rest else max(mine, 0)  # more than there is, where memory went offline
        return total - mine if metric.rest else mine, total
    if metric.counts == "frames":
        frames = [shared.bytes_on(facts.monitored, i) for i in range(len(shared.nodes))]
        return frames[node], sum(frames) if metric.over == "nodes" else sum(shared.total) * PAGE_SZ
    by_node = shared.resident(facts.c) if metric.counts == "resident" else facts.eligible(0)
    if metric.over == "spanned":
        return by_node[node], shared.nodes[node].sz_bytes // PAGE_SZ
    return by_node[node], sum(shared.total) if metric.over == "system" else sum(by_node)


def memcgs_below(scenario: Scenario, memcg_id: int) -> set[int]:
    """Return a memory cgroup and those below it."""
    members = {memcg_id}
    while more := {m.memcg_id for m in scenario.workload.memcgs if m.parent_id in members} - members:
        members |= more
    return members


def memcg_pages(facts: SchemeFacts, memcg_id: int) -> list[int]:
    """Return the pages per node of a memory cgroup and those below it."""
    shared, out = facts.shared, [0] * len(facts.shared.nodes)
    members = memcgs_below(shared.scenario, memcg_id)
    for m in shared.scenario.workload.memcgs:
        if m.memcg_id in members:
            out = [a + b for a, b in zip(out, shared.places.on_nodes(m.lo, m.hi), strict=True)]
    return out
