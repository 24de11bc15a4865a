"""What control and placement cost: walks, copies, faults, samples; latency and bandwidth of the result.

Every constant is a parameter with a default, a unit, a source and a range (`Costs`). `control_cost` turns a run into CPU
seconds, `relative_time` turns it into run time by an open queue; `closed_loop` says what a placement does to a workload
whose misses in flight are limited; the rest is arithmetic on the same constants.
"""

from .closed_loop import ClosedLoop, auto_weights, balance, best_share, closed_loop
from .constants import DEFAULT, ESTIMATES, Cost, Costs
from .control import WalkBudget, control_cost, control_window_s, migration_s, walk_budget, walk_s
from .performance import (
    NodePerformance,
    bandwidth_time,
    default_nodes,
    latency_time,
    loaded_latency_ns,
    mean_relative_time,
    relative_time,
)
from .placement import (
    PackOrInterleave,
    RmapOrOscillation,
    best_weights,
    optimum_interleave,
    pack_or_interleave,
    rmap_or_oscillation,
)

__all__ = [
    "DEFAULT", "ESTIMATES", "ClosedLoop", "Cost", "Costs", "NodePerformance", "PackOrInterleave", "RmapOrOscillation",
    "WalkBudget", "auto_weights", "balance", "bandwidth_time", "best_share", "best_weights", "closed_loop", "control_cost",
    "control_window_s", "default_nodes", "latency_time", "loaded_latency_ns", "mean_relative_time", "migration_s",
    "optimum_interleave", "pack_or_interleave", "relative_time", "rmap_or_oscillation", "walk_budget", "walk_s",
]  # fmt: skip
