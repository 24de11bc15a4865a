"""What share of which node shall be what: the quantity that a scenario's goals, or its weights, are about."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import InputError
from .metrics import metric_of
from .quota import Goal
from .scenario import Scenario
from .scheme import Scheme


@dataclass(frozen=True)
class Controlled:
    """The quantity that a scenario's goals are about.

    Attributes
    ----------
    kind : str
        ``"access"``: share of accesses served by the node; ``"used"``: used share of the node's memory.
    nid : int
        The node.
    target_bp : int
        Where it shall be.
    upper_bp : int or None
        Where goals on other nodes leave a gap: the share may be anywhere from `target_bp` up to here.
    """

    kind: str
    nid: int
    target_bp: int
    upper_bp: int | None = None

    def reference_bp(self, share_bp: float) -> float:
        """Return the point between the targets that is next to a share; the target, where there is no gap or no share."""
        if self.upper_bp is None or math.isnan(share_bp):
            return float(self.target_bp)
        return min(max(float(share_bp), float(self.target_bp)), float(self.upper_bp))


def asked_by(goal: Goal) -> Controlled | None:
    """Return the share that a single goal asks for, complements turned into what they mean; None if it is about none."""
    metric = metric_of(goal.metric)
    if not metric.controls:
        return None
    target = 10_000 - goal.target_value if _turned(goal) else goal.target_value
    return Controlled(metric.controls, goal.nid, target)


def _turned(goal: Goal) -> bool:
    """Whether the goal bounds its share from above."""
    return metric_of(goal.metric).rest != goal.complement


def dealt_bp(scheme: Scheme, nid: int) -> int | None:
    """Return the share of pages that a scheme's weights deal to a node, rounded down; None without weights."""
    total = sum(d.weight for d in scheme.dests)
    return sum(d.weight for d in scheme.dests if d.id == nid) * 10_000 // total if total else None


def check_goal_nodes(scenario: Scenario) -> None:
    """Refuse a goal that, at the start or after an event or a commit, is about a node that the machine does not have.

    Raises
    ------
    InputError
        Naming the goal, and what brings it. Linux would take it, and read a constant.
    """
    for where, _, now in (("", 0, scenario), *scenario.changes()):
        for i, context in enumerate(now.contexts):
            for j, scheme in enumerate(context.schemes):
                for k, goal in enumerate(scheme.quota.goals):
                    if "nid" in metric_of(goal.metric).needs:
                        path = f"contexts[{i}].schemes[{j}].quota.goals[{k}].nid"
                        now.machine.need_node(goal.nid, f"{where}.{path}" if where else path)


def controlled(scenario: Scenario, *, at_us: int = 0, node: int | None = None) -> Controlled:
    """Return which share of which node a scenario's goals control, and where it shall be.

    That is what the first goal about a share asks for, of those about the machine's first node if there are any; goals
    about accesses on other nodes bound it from above. Without such a goal, the first weighted destinations ask for it.

    Parameters
    ----------
    scenario : Scenario
        What is or was run.
    at_us : int
        Events and commits up to this time have happened.
    node : int, optional
        Look at the goals on this node only.

    Returns
    -------
    Controlled

    Raises
    ------
    InputError
        If no scheme has a share goal or weighted destinations, or the machine does not have the node.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> from tieringmodel.scenario.controlled import controlled
    >>> controlled(tm.load("rfc-pull-push"))
    Controlled(kind='access', nid=0, target_bp=4000, upper_bp=None)
    """
    check_goal_nodes(scenario)
    for time_us, changed in scenario.stages():
        if time_us > at_us:
            break
        scenario = changed
    schemes = [s for c in scenario.contexts for s in c.schemes]
    goals = [(goal, what) for s in schemes for goal in s.quota.goals if (what := asked_by(goal))]
    fast = scenario.machine.nodes[0].nid
    here = (pair for pair in goals if node in (None, pair[1].nid))
    if first := min(here, key=lambda pair: pair[1].nid != fast, default=None):
        own, floors = first[1], dict[int, int]()
        for goal, what in goals:
            if what.kind == "access" and what.nid != own.nid and not _turned(goal):
                floors[what.nid] = max(floors.get(what.nid, 0), what.target_bp)
        upper = 10_000 - sum(floors.values())
        gap = floors and own.kind == "access" and not _turned(first[0]) and upper > own.target_bp
        return Controlled(own.kind, own.nid, own.target_bp, upper if gap else None)
    for scheme in schemes:
        nid = node if node is not None or not scheme.dests else scheme.dests[0].id
        if nid is not None and (share := dealt_bp(scheme, nid)) is not None:
            scenario.machine.need_node(nid, "dests: id")
            return Controlled("access", nid, share)
    remedy = "add a node_eligible_mem_bp, node_mem_used_bp or node_mem_free_bp goal, or weighted destinations"
    raise InputError("contexts", "no scheme has a goal about a node's share or weighted destinations", remedy)
