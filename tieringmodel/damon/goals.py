"""Quota goal metrics. Core knows the system-wide ones; those that need an address space are asked of the operations set.

The request by name with 0 for "not supported" is the RFC's ``get_goal_metric()``.
"""

from __future__ import annotations

from ..errors import InputError
from ..kernels import scoring
from ..scenario import Goal, Scenario, metrics
from ..scenario.metrics import metric_of, need_metric
from ..units import MIB, ULONG_MAX
from . import metrics_of_the_rfc as of_the_rfc
from .metric_view import Metric, MetricView
from .quota_math import mult_frac
from .quota_rules import share_bp

HUGE_BYTES = 2 * MIB


def _share_bp(view: MetricView, goal: Goal, part: int, total: int, extreme: int) -> int:
    """Return a part of a total in bp, `extreme` where it is none; up to 7.3.3 what is below 0 wraps.

    Raises
    ------
    InputError
        Where Linux would divide by 0.
    """
    if view.rules.node_mem_extremes:
        return mult_frac(part, 10_000, total) if 0 <= part <= total and total else extreme
    if not total:
        text = f"{goal.metric} of a total of 0: this kernel divides by it"
        raise InputError("kernel.node_mem_extremes", text, "set the switch to true, or give the node memory")
    return share_bp(part & ULONG_MAX, total, view.rules)


def _node_pages(view: MetricView, goal: Goal) -> tuple[int, int] | None:
    """Return (pages, free pages) of the goal's node, None if there is no such node."""
    i = view.memory.index_of(goal.nid)
    return None if i < 0 else (int(view.memory.arrays.node[i]["total"]), view.memory.visible_free(i))


def _used_bp(view: MetricView, goal: Goal) -> int:
    if (pages := _node_pages(view, goal)) is None:
        return 0
    total, free = pages
    return _share_bp(view, goal, total - free, total, 10_000)


def _free_bp(view: MetricView, goal: Goal) -> int:
    if (pages := _node_pages(view, goal)) is None:
        return 10_000
    total, free = pages
    return _share_bp(view, goal, free, total, 0)


def _active_pages(view: MetricView) -> tuple[int, int]:
    node = view.memory.arrays.node
    return int(node["active"].sum()), int(node["lru"].sum())


def _active_bp(view: MetricView, goal: Goal) -> int:
    active, lru = _active_pages(view)
    return _share_bp(view, goal, active, lru, 0)


def _inactive_bp(view: MetricView, goal: Goal) -> int:
    active, lru = _active_pages(view)
    return _share_bp(view, goal, lru - active, lru, 0)


def _hugepage_bp(view: MetricView, goal: Goal) -> int:
    """Pages in folios of 2 MiB or more, of all pages on LRU lists: inferred from the metric's name, in no release yet."""
    _, lru = _active_pages(view)
    return 10_000 if lru and view.memory.page_bytes >= HUGE_BYTES else 0  # all folios have one size here


def user_input(goal: Goal, now_us: int) -> int:
    """Return what ``current_values`` says at `now_us`, its last entry that is not in the future; before, ``current_value``.

    For ``user_input`` that is the value fed in, for ``some_mem_psi_us`` the stall time in total.
    """
    value = goal.current_value
    for at_us, given in goal.current_values:
        if at_us <= now_us:
            value = given
    return value


def _user_input(view: MetricView, goal: Goal) -> int:
    return user_input(goal, view.now_us)


def _stall_us(view: MetricView, goal: Goal) -> int:
    """``some_mem_psi_us``: growth of the stall total; the first evaluation asks the tuner to keep things as they are."""
    if view.last_total is not None:
        return (user_input(goal, view.now_us) - view.last_total) & ULONG_MAX
    return 0 if view.tuner == "temporal" and view.esz else goal.target_value


def _memcg_pages(view: MetricView, goal: Goal) -> tuple[int, int] | None:
    """Return (LRU pages of the goal's cgroup on its node, pages of the node), None if there is no such node or cgroup."""
    i, classes = view.memory.index_of(goal.nid), view.memcg_classes.get(goal.memcg_id)
    if i < 0 or classes is None:
        return None
    return int(view.memory.arrays.by_class[i, classes].sum()), int(view.memory.arrays.node[i]["total"])


def _memcg_used_bp(view: MetricView, goal: Goal) -> int:
    if (pages := _memcg_pages(view, goal)) is None:
        return 0
    used, total = pages
    return _share_bp(view, goal, used, total, 10_000)


def _memcg_free_bp(view: MetricView, goal: Goal) -> int:
    if (pages := _memcg_pages(view, goal)) is None:
        return 10_000
    used, total = pages
    return _share_bp(view, goal, total - used, total, 0)


FUNCTIONS: dict[str, Metric] = {
    "user_input": _user_input,
    "some_mem_psi_us": _stall_us,
    "node_mem_used_bp": _used_bp,
    "node_mem_free_bp": _free_bp,
    "node_memcg_used_bp": _memcg_used_bp,
    "node_memcg_free_bp": _memcg_free_bp,
    "active_mem_bp": _active_bp,
    "inactive_mem_bp": _inactive_bp,
    "hugepage_mem_bp": _hugepage_bp,
    "node_eligible_mem_bp": of_the_rfc.eligible_bp(False),
    "node_sys_bp": of_the_rfc.sys_bp("frames", "system"),
    "node_sys_bp:v1-literal": of_the_rfc.sys_bp("frames", "system"),
    "node_sys_bp:v1-intent-resident": of_the_rfc.sys_bp("resident", "system"),
    "node_sys_bp:v1-intent-share": of_the_rfc.sys_bp("resident", "nodes"),
    "node_sys_bp:frames-share": of_the_rfc.sys_bp("frames", "nodes"),
    "node_target_mem_bp": of_the_rfc.target_mem_bp,
    "node_target_mem_bp:v2": of_the_rfc.target_mem_bp,
    "node_eligible_mem_bp:v3": of_the_rfc.eligible_bp(True),
    "node_eligible_mem_bp:v4": of_the_rfc.eligible_bp(False),
    "node_ineligible_mem_bp": of_the_rfc.ineligible_v4,
    "node_ineligible_mem_bp:v3": of_the_rfc.ineligible_v3,
    "node_ineligible_mem_bp:v4": of_the_rfc.ineligible_v4,
}
"""How each metric of `scenario.metrics.SHIPPED` is measured; one's own are added by `register_metric`."""


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


def current_value(view: MetricView, goal: Goal) -> int:
    """Return a goal's present value; an operations set that does not know the metric answers 0."""
    return FUNCTIONS[goal.metric](view, goal) if view.ops in metric_of(goal.metric).ops else 0


def effective_target(view: MetricView, goal: Goal) -> int:
    """Return the target that is scored, after the ``"tuner"`` and ``"reachable"`` clamps.

    A node that the machine does not have clamps nothing, and no clamp reaches 0, which no score could be made of.
    """
    i = view.memory.index_of(goal.nid)
    if goal.clamp in ("none", "v1") or i < 0:
        return goal.target_value
    node = view.memory.arrays.node
    if goal.clamp == "tuner":
        capacity_bp = mult_frac(int(node["total"][i]), 10_000, max(int(node["total"].sum()), 1))
        return min(goal.target_value, max(capacity_bp, 1))
    return min(goal.target_value, max(reachable_bp(view, i), 1))


def reachable_bp(view: MetricView, i: int) -> int:
    """Return the largest share of eligible memory that node index i can hold now: what is there, plus its free frames."""
    by_node = view.bytes_by_node(
        scoring.eligible_bytes, view.scheme, view.window, view.compiled, view.space, view.memory.arrays
    )
    node, total = view.memory.arrays.node, int(by_node.sum())
    room = max(int(node["free"][i] - node["reserve"][i]), 0) * view.memory.page_bytes
    return min(mult_frac(int(by_node[i]) + room, 10_000, total), 10_000) if total else 10_000


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
    >>> from tieringmodel.damon.goals import unregister_metric
    >>> unregister_metric("constant_bp")
    """
    metrics.add_own(name, metrics.OPS if ops is None else ops, replace=replace)
    FUNCTIONS[name] = metric


def own_metrics() -> dict[str, object]:
    """Return what `register_metric` was given, by name: operations sets and the function."""
    return {name: (metric_of(name).ops, function) for name, function in FUNCTIONS.items() if name not in metrics.SHIPPED}


def unregister_metric(name: str) -> None:
    """Withdraw a metric that `register_metric` offered; other names are ignored.

    Parameters
    ----------
    name : str
        As it was registered.
    """
    if name not in metrics.SHIPPED:
        metrics.drop_own(name)
        FUNCTIONS.pop(name, None)
