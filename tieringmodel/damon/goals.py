"""Quota goal metrics. Core knows the system-wide ones; those that need an address space are asked of the operations set.

The request by name with 0 for "not supported" is the RFC's ``get_goal_metric()``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..fields import suggest
from ..kernels import scoring
from ..kernels.layout import Regions, Space
from ..memory.physical import PhysicalMemory
from ..scenario import Goal
from .quota_math import mult_frac


@dataclass(frozen=True)
class MetricView:
    """What a metric may look at.

    Attributes
    ----------
    memory : PhysicalMemory
        Counters by node; read only.
    regions : Regions
        The context's regions (arrays); the first ``n`` entries count.
    n : int
        Number of regions.
    scheme : numpy record
        Row of the scheme table (pattern bounds).
    window : numpy record
        Moving-sum window of this pass.
    space : Space
        Where core addresses lead.
    now_us : int
        Simulated time.
    ops : str
        ``"paddr"``, ``"vaddr"`` or ``"fvaddr"``.
    esz : int
        The present effective quota, bytes.
    tuner : str
        ``"consist"`` or ``"temporal"``.
    """

    memory: PhysicalMemory
    regions: Regions
    n: int
    scheme: Any
    window: Any
    space: Space
    now_us: int
    ops: str
    esz: int
    tuner: str

    def bytes_by_node(self, kernel: Callable[..., None], *arguments: Any) -> npt.NDArray[np.int64]:
        """Run one of the counting kernels over the regions; bytes per node, int64 (n_nodes,)."""
        counts = np.zeros(self.memory.nids.size, np.int64)
        kernel(self.regions, self.n, *arguments, counts)
        return counts


Metric = Callable[[MetricView, Goal], int]


def _node_share(view: MetricView, goal: Goal, invalid: int, share: Callable[[int, int], int]) -> int:
    i = view.memory.index_of(goal.nid)
    if i < 0:
        return invalid
    node = view.memory.arrays.node[i]
    return share(int(node["total"]), int(node["free"]))


def _used_bp(view: MetricView, goal: Goal) -> int:
    def share(total: int, free: int) -> int:
        return mult_frac(total - free, 10_000, total) if 0 < total and free <= total else 10_000

    return _node_share(view, goal, 0, share)


def _free_bp(view: MetricView, goal: Goal) -> int:
    def share(total: int, free: int) -> int:
        return mult_frac(free, 10_000, total) if 0 < total and free <= total else 0

    return _node_share(view, goal, 10_000, share)


def _active_pages(view: MetricView) -> tuple[int, int]:
    node = view.memory.arrays.node
    return int(node["active"].sum()), int(node["lru"].sum())


def _active_bp(view: MetricView, goal: Goal) -> int:
    active, lru = _active_pages(view)
    return mult_frac(active, 10_000, max(lru, 1))


def _inactive_bp(view: MetricView, goal: Goal) -> int:
    active, lru = _active_pages(view)
    return mult_frac(lru - active, 10_000, max(lru, 1))


def user_input(goal: Goal, now_us: int) -> int:
    """Return what the user has fed in by `now_us`: the last entry of ``current_values`` that is not in the future."""
    value = goal.current_value
    for at_us, given in goal.current_values:
        if at_us <= now_us:
            value = given
    return value


def _user_input(view: MetricView, goal: Goal) -> int:
    return user_input(goal, view.now_us)


def _eligible_bp(view: MetricView, goal: Goal) -> int:
    i = view.memory.index_of(goal.nid)
    if i < 0:
        return 0
    by_node = view.bytes_by_node(scoring.eligible_bytes, view.scheme, view.window, view.space, view.memory.arrays)
    total = int(by_node.sum())
    return mult_frac(int(by_node[i]), 10_000, total) if total else 0


def _sys_bp(count: str, denominator: str) -> Metric:
    def metric(view: MetricView, goal: Goal) -> int:
        i = view.memory.index_of(goal.nid)
        if i < 0:
            return 0
        if count == "frames":
            by_node = view.bytes_by_node(scoring.online_bytes, view.space)
        else:
            by_node = view.bytes_by_node(scoring.resident_bytes, view.space, view.memory.arrays)
        if denominator == "system":
            total = int(view.memory.arrays.node["total"].sum()) * 4096
        else:
            total = int(by_node.sum())
        return mult_frac(int(by_node[i]), 10_000, total) if total else 0

    return metric


CORE_METRICS: dict[str, Metric] = {
    "user_input": _user_input,
    "node_mem_used_bp": _used_bp,
    "node_mem_free_bp": _free_bp,
    "active_mem_bp": _active_bp,
    "inactive_mem_bp": _inactive_bp,
}
PADDR_METRICS: dict[str, Metric] = {
    "node_eligible_mem_bp": _eligible_bp,
    "node_sys_bp": _sys_bp("frames", "system"),
    "node_sys_bp:v1-literal": _sys_bp("frames", "system"),
    "node_sys_bp:v1-intent-resident": _sys_bp("resident", "system"),
    "node_sys_bp:v1-intent-share": _sys_bp("resident", "resident"),
    "node_sys_bp:frames-share": _sys_bp("frames", "frames"),
}
VADDR_METRICS: dict[str, Metric] = {}
OPS_METRICS = {"paddr": PADDR_METRICS, "vaddr": VADDR_METRICS, "fvaddr": VADDR_METRICS}


def check_metric(name: str, where: str) -> None:
    """Raise `InputError` listing the known metrics if `name` is none of them."""
    known = [*CORE_METRICS, *PADDR_METRICS, *VADDR_METRICS]
    if name not in known:
        raise InputError(where, f"{name!r} is not a goal metric", suggest(name, known))


def current_value(view: MetricView, goal: Goal) -> int:
    """Return a goal's present value; an operations set that does not know the metric answers 0."""
    metric = CORE_METRICS.get(goal.metric) or OPS_METRICS[view.ops].get(goal.metric)
    return metric(view, goal) if metric else 0


def effective_target(view: MetricView, goal: Goal) -> int:
    """Return the target after the capacity clamp: with ``clamp="tuner"`` at most the node's share of system memory."""
    if goal.clamp == "none":
        return goal.target_value
    i = view.memory.index_of(goal.nid)
    total = view.memory.arrays.node["total"]
    capacity_bp = mult_frac(int(total[i]), 10_000, int(total.sum())) if i >= 0 else 0
    return min(goal.target_value, capacity_bp)


def measure(view: MetricView, goal: Goal) -> tuple[int, int]:
    """Return (value, target) as handed to the score; a complemented goal hands over both as 10000 minus."""
    value, target = current_value(view, goal), effective_target(view, goal)
    if goal.complement:
        return 10_000 - value, max(10_000 - target, 1)
    return value, target


def satisfied(view: MetricView, goal: Goal, inflow: bool) -> bool:
    """Whether the directional early exit of the goal holds now: at least the target going in, at most it going out."""
    value, target = current_value(view, goal), effective_target(view, goal)
    return value >= target if inflow else value <= target
