"""What a goal metric may look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels.layout import Regions, Space
from ..kernels.older import Older
from ..memory.physical import PhysicalMemory
from ..scenario import Goal
from ..scenario.linux import Rules, default_rules
from .lag_cache import LagCache


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
    memcg_classes : mapping of int to ndarray of bool
        Page classes of each memory cgroup and its descendants.
    last_total : int or None
        What a metric that measures growth read at the goal's previous evaluation.
    last_value : int
        The goal's value at its previous evaluation.
    lag : LagCache or None
        Bytes in flight, where the goal asks for them.
    rules : Rules
        What the kernel does.
    compiled : Older or None
        What counting kernels take as `rules`.
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
    memcg_classes: Mapping[int, npt.NDArray[np.bool_]]
    last_total: int | None = None
    last_value: int = 0
    lag: LagCache | None = None
    rules: Rules = field(default_factory=default_rules)
    compiled: Older | None = None

    def bytes_by_node(self, kernel: Callable[..., None], *arguments: Any) -> npt.NDArray[np.int64]:
        """Run one of the counting kernels over the regions; bytes per node, int64 (n_nodes,)."""
        counts = np.zeros(self.memory.nids.size, np.int64)
        kernel(self.regions, self.n, *arguments, counts)
        return counts


Metric = Callable[[MetricView, Goal], int]
