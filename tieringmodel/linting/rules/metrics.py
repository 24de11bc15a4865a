"""Rules about goal metrics that do not measure what they seem to."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from ...damon.parameters import esz0_stops
from ...fields import suggest
from ...scenario import Goal, Scenario
from ...scenario.metrics import metric_of, names
from ..finding import Finding, fix, rule
from ..goal_reading import reading
from ..scheme_facts import SchemeFacts, facts_of
from ..wording import fate


@rule
def metric_known(scenario: Scenario) -> Iterator[Finding]:
    """A metric that nobody knows or the operations set does not answer, or of a node or cgroup that does not exist."""
    for facts in facts_of(scenario).schemes:
        for k, goal in enumerate(facts.scheme.quota.goals):
            path = f"{facts.path}.quota.goals[{k}]"
            metric = metric_of(goal.metric)
            if goal.metric not in names():
                text = f"{goal.metric!r} is not a goal metric: the run will be refused"
                near = difflib.get_close_matches(goal.metric, names(), 1)
                change = fix({f"{path}.metric": near[0]} if near else {})
                yield Finding("metric-unknown", "error", f"{path}.metric", text, suggest(goal.metric, names()), change)
            elif facts.context.ops not in metric.ops:
                yield Finding(
                    "metric-unsupported",
                    "error",
                    f"{path}.metric",
                    f"operations set {facts.context.ops} does not know {goal.metric} and answers 0, which does not "
                    f"mean 'ignored' but 'missed by all there is': {_fate_of(facts, goal, 0)}",
                    f"set contexts[{facts.c}].ops = {metric.ops[0]!r}, or use a metric of core such as node_mem_used_bp",
                    fix({f"{path}.metric": "node_mem_used_bp", f"{path}.complement": False}),
                )
            else:
                yield from _place(facts, goal, path)


def _fate_of(facts: SchemeFacts, goal: Goal, value: int) -> str:
    if goal.complement:
        return fate(facts, 10_000 - value, max(10_000 - goal.target_value, 1))
    return fate(facts, value, goal.target_value)


def _place(facts: SchemeFacts, goal: Goal, path: str) -> Iterator[Finding]:
    shared, metric = facts.shared, metric_of(goal.metric)
    nids = [n.nid for n in shared.nodes]
    value = 10_000 if metric.rest else 0
    if "nid" in metric.needs and goal.nid not in nids:
        text = f"the machine has no node {goal.nid}: the run will be refused"
        on = facts.target if facts.target is not None and value == 0 else min(facts.sources, default=None)
        change = fix({f"{path}.nid": nids[on]} if on is not None else {})
        yield Finding("goal-node", "error", f"{path}.nid", text, suggest(str(goal.nid), map(str, nids)), change)
    memcgs = sorted({m for x in shared.scenario.workload.memcgs for m in (x.memcg_id, x.parent_id) if m})
    if "memcg_id" in metric.needs and goal.memcg_id not in memcgs:
        text = f"the workload has no memory cgroup {goal.memcg_id}, so {goal.metric} always reads {value} bp: "
        remedy = f"use one of {', '.join(map(str, memcgs))}" if memcgs else "give workload.memcgs"
        text += _fate_of(facts, goal, value)
        change = fix({f"{path}.memcg_id": memcgs[0]} if len(memcgs) == 1 else {})
        yield Finding("memcg-unknown", "error", f"{path}.memcg_id", text, remedy, change)


@rule
def literal_metric(scenario: Scenario) -> Iterator[Finding]:
    """Counting frames: the node of a frame never changes, so migration cannot move the value."""
    for facts in facts_of(scenario).schemes:
        for k, goal in enumerate(facts.scheme.quota.goals):
            now = reading(facts, goal) if metric_of(goal.metric).counts == "frames" else None
            if now is None:
                continue
            decides = len(facts.scheme.quota.goals) == 1 or now.score >= 10_000
            outcome = (
                f" (score {now.score}): {fate(facts, now.value, now.target)}"
                if decides
                else (": it never decides, the other goals of the quota do")
            )
            yield Finding(
                "literal-metric",
                "error" if decides else "warning",
                f"{facts.path}.quota.goals[{k}].metric",
                f"{goal.metric} counts frames of node {goal.nid} in the monitored ranges, which no migration "
                f"changes: it is {now.value} bp for ever, against {now.target}{outcome}",
                "use node_eligible_mem_bp, or node_sys_bp:v1-intent-share",
                fix({f"{facts.path}.quota.goals[{k}].metric": "node_eligible_mem_bp"}),
            )


@rule
def esz0_bypass(scenario: Scenario) -> Iterator[Finding]:
    """Row 3: before Linux 7.1 an effective quota of 0 means no quota, and TEMPORAL sets it to 0 when it means stop."""
    for facts in facts_of(scenario).schemes:
        quota = facts.scheme.quota
        if quota.goals and quota.goal_tuner == "temporal" and not esz0_stops(quota, scenario.kernel.rules):
            why = "with 'bypass' (Linux before 7.1)" if quota.esz0 else f"on Linux {scenario.kernel.title}"
            yield Finding(
                "esz0-bypass",
                "error",
                f"{facts.path}.quota.esz0",
                f"TEMPORAL stops by an effective quota of 0, which {why} means no quota "
                "at all: as soon as the goal is met, everything that matches is moved",
                changes=fix({f"{facts.path}.quota.esz0": "stop"}),
            )
