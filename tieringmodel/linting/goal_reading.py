"""How a scheme's action bears on a goal's metric: the sign, and the value at the start."""

from __future__ import annotations

from typing import NamedTuple

from ..damon.quota_math import mult_frac
from ..scenario import Goal
from ..units import PAGE_SZ
from .scheme_facts import SchemeFacts

FAMILY = {
    "node_mem_used_bp": "used", "node_mem_free_bp": "free",
    "node_memcg_used_bp": "memcg-used", "node_memcg_free_bp": "memcg-free",
    "node_eligible_mem_bp": "eligible", "node_eligible_mem_bp:v3": "eligible", "node_eligible_mem_bp:v4": "eligible",
    "node_ineligible_mem_bp": "ineligible", "node_ineligible_mem_bp:v3": "ineligible",
    "node_ineligible_mem_bp:v4": "ineligible",
    "node_target_mem_bp": "matching", "node_target_mem_bp:v2": "matching",
    "node_sys_bp": "literal", "node_sys_bp:v1-literal": "literal", "node_sys_bp:frames-share": "frames-share",
    "node_sys_bp:v1-intent-resident": "resident", "node_sys_bp:v1-intent-share": "share",
}  # fmt: skip
"""What a metric of a node counts; metrics of one family share sign and plant."""
LITERAL = ("literal", "frames-share")
OF_NODE = ("used", "free", "memcg-used", "memcg-free")
"""Families that need no address space: core answers them for every operations set."""
FALLING = ("free", "memcg-free", "ineligible")
"""Families whose value falls as pages enter the node."""


def family(goal: Goal) -> str:
    """Return the family of a goal's metric, "" for metrics that are not about a node."""
    return FAMILY.get(goal.metric, "")


def effect(facts: SchemeFacts, goal: Goal) -> int | None:
    """Return +1 if the action raises the goal's value as core sees it, -1 if it lowers it, 0 if it cannot change it.

    A complemented goal is handed over as 10000 minus, which turns the sign. None: not known from the scenario.
    """
    sign = _effect(facts, goal)
    return -sign if sign and goal.complement else sign


def _effect(facts: SchemeFacts, goal: Goal) -> int | None:
    kind, action = family(goal), facts.scheme.action
    if goal.metric in ("active_mem_bp", "inactive_mem_bp"):
        towards = {"lru_prio": 1, "lru_deprio": -1}.get(action, 0 if facts.migrates else None)
        return towards if towards is None or goal.metric == "active_mem_bp" else -towards
    node = facts.shared.index_of.get(goal.nid)
    if not kind or node is None:
        return None
    turned = -1 if kind in FALLING else 1
    if action == "pageout":
        return -turned * (node in facts.sources) if kind in OF_NODE else None
    if not facts.migrates or facts.target is None:
        return None
    seen = [i for i in range(len(facts.shared.nodes)) if facts.shared.bytes_on(facts.monitored, i)]
    alone = kind in ("eligible", "ineligible", "share") and seen == [node]
    if kind in LITERAL or (kind not in OF_NODE and (node not in seen or alone)):
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
    node, kind = facts.shared.index_of.get(goal.nid), family(goal)
    if goal.metric == "user_input":
        return None if goal.current_values else Reading(goal.current_value, goal.target_value, True)
    if not kind or node is None or (facts.context.ops != "paddr" and kind not in OF_NODE):
        return None
    part, total = amounts(facts, kind, goal, node)
    value = mult_frac(part, 10_000, total) if total else 0
    value = 10_000 - value if kind == "ineligible" else min(value, 10_000)
    target = _clamped(facts, goal, node)
    if goal.complement:
        value, target = 10_000 - value, max(10_000 - target, 1)
    return Reading(value, target, kind not in ("eligible", "ineligible", "matching")) if target else None


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


def amounts(facts: SchemeFacts, kind: str, goal: Goal, node: int) -> tuple[int, int]:
    """Return numerator and denominator of a family's value at the start, in pages (bytes for frame counts)."""
    shared = facts.shared
    total, free = shared.total[node], shared.places.free[node]
    if kind in ("used", "free"):
        return total - free if kind == "used" else free, total
    if kind in OF_NODE:
        mine = memcg_pages(facts, goal.memcg_id)[node]
        return mine if kind == "memcg-used" else total - mine, total
    if kind in LITERAL:
        frames = [shared.bytes_on(facts.monitored, i) for i in range(len(shared.nodes))]
        return frames[node], sum(frames) if kind == "frames-share" else sum(shared.total) * PAGE_SZ
    by_node = shared.resident(facts.c) if kind in ("resident", "share") else facts.eligible(0)
    if kind == "matching":
        return by_node[node], shared.nodes[node].sz_bytes // PAGE_SZ
    return by_node[node], sum(shared.total) if kind == "resident" else sum(by_node)


def memcg_pages(facts: SchemeFacts, memcg_id: int) -> list[int]:
    """Return the pages per node of a memory cgroup and those below it."""
    shared, memcgs = facts.shared, facts.shared.scenario.workload.memcgs
    members, out = {memcg_id}, [0] * len(facts.shared.nodes)
    while more := {m.memcg_id for m in memcgs if m.parent_id in members} - members:
        members |= more
    for m in memcgs:
        if m.memcg_id in members:
            out = [a + b for a, b in zip(out, shared.places.on_nodes(m.lo, m.hi), strict=True)]
    return out
