"""A scenario says everything: the machine, who touches its memory, and the DAMON contexts that watch and move it.

Names are the kernel's (``Documentation/admin-guide/mm/damon``); defaults are the kernel's unless a field says so.
"""

from .commits import Commit, Event
from .context import Attrs, Context, IntervalsGoal, SourceOfHotness, Target
from .hardware import ALLOCATORS, Buddy, Machine, Node
from .linux import Kernel
from .numa import NumaBalancing, Zone
from .performance import Background, Demand, NodeCurve, Performance, Phase
from .quota import CLAMPS, EARLY_EXITS, Goal, Quota, Weights
from .scenario import Scenario, need_scenario, tick_over_sample
from .scheme import (
    ACTIONS,
    CORE_FILTERS,
    DEST_RULES,
    OPS_FILTERS,
    AccessPattern,
    Dest,
    Filter,
    Scheme,
    Watermarks,
)
from .swap import Swap
from .workload import Group, Memcg, Placement, Vma, Workload

__all__ = [
    "ACTIONS", "ALLOCATORS", "CLAMPS", "CORE_FILTERS", "DEST_RULES", "EARLY_EXITS", "OPS_FILTERS", "AccessPattern", "Attrs",
    "Background", "Buddy", "Commit", "Context", "Demand", "Dest", "Event", "Filter", "Goal", "Group", "IntervalsGoal",
    "Kernel", "Machine", "Memcg", "Node", "NodeCurve", "NumaBalancing", "Performance", "Phase", "Placement", "Quota",
    "Scenario", "Scheme", "SourceOfHotness", "Swap", "Target", "Vma", "Watermarks", "Weights", "Workload", "Zone",
    "need_scenario", "tick_over_sample",
]  # fmt: skip
