"""Quota goal metrics, as a scheme asks for them: shipped ones are measured by kernels, one's own in Python.

Core knows the system-wide ones; those that need an address space are asked of the operations set. The request by name with 0
for "not supported" is the RFC's ``get_goal_metric()``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..kernels import goals as of
from ..kernels._jit import records
from ..kernels.layout import GOAL
from ..memory.physical import PhysicalMemory
from ..scenario import Goal, Scenario, metrics
from ..scenario.linux import Rules
from ..scenario.metrics import metric_of, need_metric
from ..scenario.tuners import number_of
from .metric_view import Metric, MetricView
from .quota_math import mult_frac

CODES = {
    "user_input": of.INPUT,
    "some_mem_psi_us": of.STALL,
    "node_mem_used_bp": of.USED,
    "node_mem_free_bp": of.FREE,
    "node_memcg_used_bp": of.MEMCG_USED,
    "node_memcg_free_bp": of.MEMCG_FREE,
    "active_mem_bp": of.ACTIVE,
    "inactive_mem_bp": of.INACTIVE,
    "hugepage_mem_bp": of.HUGE,  # inferred from its name, in no release yet
    "node_eligible_mem_bp": of.ELIGIBLE,
    "node_sys_bp": of.FRAMES_OF_SYSTEM,
    "node_sys_bp:v1-literal": of.FRAMES_OF_SYSTEM,
    "node_sys_bp:v1-intent-resident": of.RESIDENT_OF_SYSTEM,
    "node_sys_bp:v1-intent-share": of.RESIDENT_OF_NODES,
    "node_sys_bp:frames-share": of.FRAMES_OF_NODES,
    "node_target_mem_bp": of.MATCHING_OF_SPANNED,
    "node_target_mem_bp:v2": of.MATCHING_OF_SPANNED,
    "node_eligible_mem_bp:v3": of.ELIGIBLE_V3,
    "node_eligible_mem_bp:v4": of.ELIGIBLE,
    "node_ineligible_mem_bp": of.INELIGIBLE,
    "node_ineligible_mem_bp:v3": of.INELIGIBLE_V3,
    "node_ineligible_mem_bp:v4": of.INELIGIBLE,
}
"""How each metric of `scenario.metrics.SHIPPED` is measured."""
OWN: dict[str, Metric] = {}
"""Metrics that `register_metric` was given, by name."""
_CLAMPS = {"tuner": of.TUNER, "reachable": of.REACHABLE}


def user_input(goal: Goal, now_us: int) -> int:
    """Return what ``current_values`` says at `now_us`, its last entry that is not in the future; before, ``current_value``.

    For ``user_input`` that is the value fed in, for ``some_mem_psi_us`` the stall time in total.
    """
    value = goal.current_value
    for at_us, given in goal.current_values:
        if at_us <= now_us:
            value = given
    return value


def write_down(
    configured: Sequence[Goal], ops: str, index_of: Callable[[int], int], memcg_classes: Mapping[int, npt.NDArray[np.bool_]]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
    """Return goals as kernels read them: the parameters in GOAL records, and the courses and cgroups that these lead to.

    Parameters
    ----------
    configured : sequence of Goal
        The goals of a context, scheme by scheme.
    ops : str
        Its operations set: one that does not know a metric answers 0.
    index_of : callable
        Maps a node id to the machine's node index, -1 if it has none.
    memcg_classes : mapping of int to ndarray of bool, shape (n_classes,)
        Page classes of each memory cgroup and its descendants.

    Returns
    -------
    goals : ndarray of GOAL, shape (max(goals, 1),)
    course : ndarray of uint64, shape (2 * entries,)
        Times in us and values of what users feed in.
    member : ndarray of uint8, shape (cgroups * n_classes,)
        1 for the classes of each cgroup.
    """
    rows = records(max(len(configured), 1), GOAL)
    course: list[int] = []
    members: list[npt.NDArray[np.bool_]] = []
    for row, goal in zip(rows, configured, strict=False):
        row["metric"] = CODES.get(goal.metric, of.OWN) if ops in metric_of(goal.metric).ops else of.NOT_SUPPORTED
        row["node"], row["complement"] = index_of(goal.nid), goal.complement
        row["target"], row["clamp"] = goal.target_value, _CLAMPS.get(goal.clamp, of.UNCLAMPED)
        row["start"], row["course_first"] = goal.current_value, len(course) // 2
        course += [number for entry in goal.current_values for number in entry]
        row["course_last"], row["members"] = len(course) // 2, -1
        if (classes := memcg_classes.get(goal.memcg_id)) is not None:
            row["members"] = sum(one.size for one in members)
            members.append(classes)
    member = np.concatenate([np.zeros(0, np.bool_), *members]).astype(np.uint8)
    return rows, np.array(course, np.uint64), member


def looks_at_regions(row: Any) -> bool:
    """Whether a goal, a GOAL record, counts bytes in regions."""
    return bool(of.FRAMES_OF_SYSTEM <= row["metric"] < of.OWN or row["clamp"] == of.REACHABLE)


def by_python(goal: Goal, memory: PhysicalMemory, rules: Rules) -> bool:
    """Whether kernels do not measure a goal: one's own metric, what Python remembers, or where Linux may divide by 0."""
    listed = memory.machine.percpu_lists > 0 and metric_of(goal.metric).counts == "used"
    return goal.metric not in CODES or goal.lag_cache or listed or not rules.node_mem_extremes


def check_metrics(scenario: Scenario) -> None:
    """Refuse a metric that nobody registered, as that of a stored result can be.

    Raises
    ------
    InputError
        Listing the known metrics.
    """
    for i, context in enumerate(scenario.contexts):
        for j, scheme in enumerate(context.schemes):
            for k, goal in enumerate(scheme.quota.goals):
                need_metric(goal.metric, f"contexts[{i}].schemes[{j}].quota.goals[{k}].metric")


def _counted(view: MetricView, metric: int) -> npt.NDArray[np.int64]:
    """Return the bytes by node that a metric is made of."""
    counts = np.zeros(view.memory.nids.size, np.int64)
    of.count(metric, view.regions, view.n, view.scheme, view.window, view.space, view.memory.arrays, view.compiled, counts)
    return counts


def current_value(view: MetricView, goal: Goal) -> int:
    """Return a goal's present value; an operations set that does not know the metric answers 0.

    Raises
    ------
    InputError
        Where Linux would divide by 0.
    """
    rows, course, member = write_down([goal], view.ops, view.memory.index_of, view.memcg_classes)
    row, metric = rows[0], int(rows[0]["metric"])
    if metric == of.OWN:
        return OWN[goal.metric](view, goal)
    counts, hidden = np.zeros(view.memory.nids.size, np.int64), 0
    if of.FRAMES_OF_SYSTEM <= metric < of.OWN:
        counts = _counted(view, metric)
        if view.lag is not None and row["node"] >= 0 and metric in _LAGGING:
            counts = np.array(view.lag.effective(counts.tolist()), np.int64)
            if not counts.any():
                return 10_000 - view.last_value if metric in (of.INELIGIBLE, of.INELIGIBLE_V3) else view.last_value
    elif metric in (of.USED, of.FREE) and row["node"] >= 0:
        i = int(row["node"])
        hidden = int(view.memory.arrays.node["free"][i]) - view.memory.visible_free(i)
    if not view.rules.node_mem_extremes and _whole_pages(view, row, metric) == 0:
        text = f"{goal.metric} of a total of 0: this kernel divides by it"
        raise InputError("kernel.node_mem_extremes", text, "set the switch to true, or give the node memory")
    row["last_total"], row["has_total"] = view.last_total or 0, view.last_total is not None
    at, quota = np.int64(view.now_us), (np.uint64(number_of(view.tuner)), np.uint64(view.esz))
    machine = view.memory.arrays, view.space, view.compiled
    return int(of.value_of(row, counts, np.int64(hidden), course, member, at, *quota, *machine))


_LAGGING = (of.ELIGIBLE, of.INELIGIBLE, of.ELIGIBLE_V3, of.INELIGIBLE_V3)
"""Metrics that a lag cache corrects."""


def _whole_pages(view: MetricView, row: Any, metric: int) -> int:
    """Return the total of which a metric takes a share by the machine's counters, -1 for others."""
    node = view.memory.arrays.node
    if metric in (of.ACTIVE, of.INACTIVE):
        return int(node["lru"].sum())
    of_node = metric in (of.USED, of.FREE) or (metric in (of.MEMCG_USED, of.MEMCG_FREE) and row["members"] >= 0)
    return int(node["total"][row["node"]]) if of_node and row["node"] >= 0 else -1


def effective_target(view: MetricView, goal: Goal) -> int:
    """Return the target that is scored, after the ``"tuner"`` and ``"reachable"`` clamps.

    A node that the machine does not have clamps nothing, and no clamp reaches 0, which no score could be made of.
    """
    rows, _, _ = write_down([goal], view.ops, view.memory.index_of, {})
    reachable = rows[0]["clamp"] == of.REACHABLE and rows[0]["node"] >= 0
    counts = _counted(view, of.ELIGIBLE) if reachable else np.zeros(view.memory.nids.size, np.int64)
    return int(of.scored_target(rows[0], counts, view.memory.arrays, view.space))


def reachable_bp(view: MetricView, i: int) -> int:
    """Return the largest share of eligible memory that node index i can hold now: what is there, plus its free frames."""
    return int(of.reachable_bp(i, _counted(view, of.ELIGIBLE), view.memory.arrays, view.space))


def exit_target(view: MetricView, goal: Goal, scored: int) -> int | None:
    """Return the target of the early exit; None where the first version has none (a node without capacity).

    Its clamp is the node's spanned share of managed system memory, which holes can make larger than what is there.
    """
    if goal.clamp != "v1":
        return scored
    i = view.memory.index_of(goal.nid)
    total = int(view.memory.arrays.node["total"].sum())
    spanned = view.memory.spanned_bytes(i) // view.memory.page_bytes if i >= 0 else 0
    capacity = mult_frac(spanned, 10_000, total) if total else 0
    return min(goal.target_value, capacity) if capacity else None


def measure(view: MetricView, goal: Goal) -> tuple[int, int]:
    """Return (value, target) as handed to the score; a complemented goal hands over both as 10000 minus."""
    value, target = current_value(view, goal), effective_target(view, goal)
    if goal.complement:
        return 10_000 - value, max(10_000 - target, 1)
    return value, target


def satisfied(view: MetricView, goal: Goal, inflow: bool) -> bool:
    """Whether the directional early exit of the goal holds now: at least the target going in, at most it going out."""
    value, target = current_value(view, goal), exit_target(view, goal, effective_target(view, goal))
    if target is None:
        return False
    return value >= target if inflow else value <= target


def register_metric(name: str, metric: Metric, ops: tuple[str, ...] | None = None, *, replace: bool = False) -> None:
    """Offer a goal metric by name, so that scenarios can use it (``get_goal_metric()`` of the RFC).

    Parameters
    ----------
    name : str
        Name in ``Goal.metric``. Names ending in ``_bp`` have targets of at most 10000.
    metric : callable
        ``metric(view, goal) -> int``: plain Python on a `MetricView`; 0 … 2**64 - 1.
    ops : tuple of str, optional
        The operations sets that can answer (``"paddr"``, ``"vaddr"``, ``"fvaddr"``); by default core answers for all.
    replace : bool
        Take the place of a metric that was registered under this name before, as when a notebook's cell is run again.
        Those that the model brings along cannot be replaced.

    Raises
    ------
    InputError
        If the name is taken, or an operations set is unknown.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.register_metric("constant_bp", lambda view, goal: 2500)
    >>> tm.Goal("constant_bp", 4000).target_value
    4000
    >>> tm.unregister_metric("constant_bp")
    """
    metrics.add_own(name, metrics.OPS if ops is None else ops, metric, replace=replace)
    OWN[name] = metric


def own_metrics() -> dict[str, object]:
    """Return what `register_metric` was given, by name: operations sets and the function."""
    return {name: (metric_of(name).ops, function) for name, function in OWN.items()}


def unregister_metric(name: str) -> None:
    """Withdraw a metric that `register_metric` offered; other names are ignored.

    Parameters
    ----------
    name : str
        As it was registered.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.unregister_metric("nobody has this name")
    """
    if name not in metrics.SHIPPED:
        metrics.drop_own(name)
        OWN.pop(name, None)
