"""Small scenarios that several test files start from, and an observer that writes down what regions looked like."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

import tieringmodel as tm
from tieringmodel.damon.kdamond import Kdamond
from tieringmodel.damon.table import RUNNING
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.silent import Silent

MIB = 1 << 20
PAGE = 4096
HOT = tm.AccessPattern(min_nr_accesses=5)


def pull(target_bp: int = 6000, *, metric: str = "node_eligible_mem_bp", sz_bytes: int = MIB, **quota: Any) -> tm.Scheme:
    """Hot pages to node 0 until the goal is met."""
    goals = (tm.Goal(metric, target_bp),)
    given = {"reset_interval_ms": 100, "goal_tuner": "temporal"} | quota
    return tm.Scheme("migrate_hot", access_pattern=HOT, target_nid=0, quota=tm.Quota(sz_bytes=sz_bytes, goals=goals, **given))


def push(target_bp: int = 4000, *, sz_bytes: int = MIB, **quota: Any) -> tm.Scheme:
    """Hot pages to node 1 until the goal is met."""
    goals = (tm.Goal("node_eligible_mem_bp", target_bp, nid=1),)
    given = {"reset_interval_ms": 100, "goal_tuner": "temporal"} | quota
    return tm.Scheme("migrate_hot", access_pattern=HOT, target_nid=1, quota=tm.Quota(sz_bytes=sz_bytes, goals=goals, **given))


def scenario(
    *schemes: tm.Scheme,
    contexts: Iterable[tm.Context] | None = None,
    pages: int = 4096,
    groups: Iterable[tm.Group] = (tm.Group(0, 2048, rate_hz=400.0, name="hot"),),
    machine: tm.Machine | None = None,
    placement: Iterable[tm.Placement] | None = None,
    attrs: tm.Attrs | None = None,
    name: str = "small",
    **workload: Any,
) -> tm.Scenario:
    """32 MiB of DRAM and of CXL; 16 MiB of pages on CXL, the first half hot; one context with these schemes."""
    if contexts is None:
        contexts = (tm.Context(attrs=attrs or tm.Attrs(max_nr_regions=200), schemes=schemes),)
    return tm.Scenario(
        machine or tm.Machine.dram_cxl("32 MiB", "32 MiB"),
        tm.Workload(pages, groups=tuple(groups), placement=tuple(placement or (tm.Placement(0, pages, 1),)), **workload),
        tuple(contexts),
        name=name,
    )


class Trace(Silent):
    """Regions after merging and at the end of each aggregation, scheme rows, placement: everything that must repeat."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []

    def aggregated(self, kdamond: Kdamond) -> None:
        self.rows.append((kdamond.memory.now_ns, kdamond.index, "merged", kdamond.regions.rows()))

    def finished(self, kdamond: Kdamond, aggregation: bool) -> None:
        self.rows.append(
            (
                kdamond.memory.now_ns, kdamond.index, aggregation, kdamond.regions.rows(),
                [kdamond.schemes[name].tolist() for name in RUNNING], kdamond.memory.owner_crc32(),
            )
        )  # fmt: skip


def traced(sc: tm.Scenario, seed: int = 1, **engine: Any) -> tuple[Engine, Trace]:
    """An engine that has not run yet, with the actions a simulation would give it, and its trace."""
    from tieringmodel.simulation.simulate import scheme_actions

    trace = Trace()
    return Engine(sc, seed, observer=trace, actions=scheme_actions, **engine), trace


def node_of_pages(engine: Engine) -> list[int]:
    """Node id of every workload page, by a plain scan of the frames."""
    memory = engine.memory
    out = [-1] * memory.workload_pages
    for i, node in enumerate(memory.machine.nodes):
        base = int(memory.arrays.base[i])
        owners = memory.arrays.rec[base : base + node.sz_bytes // PAGE] & np.uint64(0xFFFFFFFF)
        used = memory.arrays.lru_bits
        for frame, owner in enumerate(owners.tolist(), base):
            if int(used[frame // 64]) >> (frame % 64) & 1 and 0 < owner <= memory.workload_pages:
                out[owner - 1] = node.nid
    return out
