"""Earlier and later readings of the RFC's goal metric, by name.

``node_target_mem_bp`` is version 2, ``node_eligible_mem_bp:v3`` and ``node_ineligible_mem_bp:v3`` version 3,
``node_eligible_mem_bp:v4`` another name for the merged form (docs/theory/rfc.md, sections 3 and 7).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..kernels import readings, scoring
from ..scenario import Goal
from .metric_view import Metric, MetricView
from .quota_math import mult_frac


def sys_bp(count: str, over: str) -> Metric:
    """Return the metric of version 1 that counts ``"frames"`` or ``"resident"`` pages, over the system's or all nodes'."""

    def metric(view: MetricView, goal: Goal) -> int:
        i = view.memory.index_of(goal.nid)
        if i < 0:
            return 0
        if count == "frames":
            by_node = view.bytes_by_node(scoring.online_bytes, view.space)
        else:
            by_node = view.bytes_by_node(scoring.resident_bytes, view.space, view.memory.arrays)
        if over == "system":
            total = int(view.memory.arrays.node["total"].sum()) * view.memory.page_bytes
        else:
            total = int(by_node.sum())
        return mult_frac(int(by_node[i]), 10_000, total) if total else 0

    return metric


def _matching(view: MetricView, goal: Goal, first_frame: bool) -> npt.NDArray[np.int64]:
    if first_frame:
        by_node = view.bytes_by_node(readings.first_frame_bytes, view.scheme, view.window, view.compiled, view.space)
    else:
        by_node = view.bytes_by_node(
            scoring.eligible_bytes, view.scheme, view.window, view.compiled, view.space, view.memory.arrays
        )
    if view.lag is not None:
        return np.array(view.lag.effective(by_node.tolist()), np.int64)
    return by_node


def eligible_bp(first_frame: bool) -> Metric:
    """Return the share-of-eligible-memory metric; `first_frame` books whole regions on their first frame's node (v3)."""

    def metric(view: MetricView, goal: Goal) -> int:
        i = view.memory.index_of(goal.nid)
        if i < 0:
            return 0
        by_node = _matching(view, goal, first_frame)
        total = int(by_node.sum())
        if total == 0:
            return view.last_value if view.lag is not None else 0
        return mult_frac(int(by_node[i]), 10_000, total)

    return metric


def ineligible_v3(view: MetricView, goal: Goal) -> int:
    """Return 10000 minus the eligible share of version 3; where that is 0, all."""
    value = eligible_bp(True)(view, goal)
    return 10_000 if value == 0 else 10_000 - value


def ineligible_v4(view: MetricView, goal: Goal) -> int:
    """Return 10000 minus the eligible share as it was merged."""
    return 10_000 - eligible_bp(False)(view, goal)


def target_mem_bp(view: MetricView, goal: Goal) -> int:
    """Return frames of the node in matching regions over the node's spanned size (version 2)."""
    i = view.memory.index_of(goal.nid)
    if i < 0:
        return 0
    by_node = view.bytes_by_node(readings.matching_frame_bytes, view.scheme, view.window, view.compiled, view.space)
    spanned = view.memory.spanned_bytes(i)
    return mult_frac(int(by_node[i]), 10_000, spanned) if spanned else 0
