"""Small runs with one fault each, and the same without it: every cause code has both."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from kernel_cases import to_node_0
from small import HOT, MIB, pull, push, scenario

import tieringmodel as tm

ALL = tm.AccessPattern()
COLD = tm.AccessPattern(max_nr_accesses=0)
HOT_HALF = tm.Group(0, 2048, rate_hz=400.0, name="hot")


class Fault(NamedTuple):
    """A run that has the fault, one that has not, and what both may be called."""

    broken: tm.Scenario
    sound: tm.Scenario
    duration_s: float
    kinds: tuple[str, ...]
    first: bool = True
    """Whether the fault is the first cause."""


def used(target_bp: int, nid: int = 0, to: int = 0, **quota: Any) -> tm.Scheme:
    """Hot pages to a node until as much of a node is used."""
    return (
        pull(target_bp, metric="node_mem_used_bp", **quota)
        .replace(target_nid=to)
        .replace(
            quota=tm.Quota(
                **{"sz_bytes": MIB, "reset_interval_ms": 100, "goal_tuner": "temporal"} | quota,
                goals=(tm.Goal("node_mem_used_bp", target_bp, nid=nid),),
            )
        )
    )


def quota(scheme: tm.Scheme, **changes: Any) -> tm.Scheme:
    return scheme.replace(quota=scheme.quota.replace(**changes))


def reclaim(pattern: tm.AccessPattern = COLD, target_bp: int = 6000, **changes: Any) -> tm.Scheme:
    """Pages out until so much of node 0 is free."""
    given = {"sz_bytes": MIB, "reset_interval_ms": 100, "goal_tuner": "temporal"} | changes
    goals = (tm.Goal("node_mem_free_bp", target_bp),)
    return tm.Scheme("pageout", access_pattern=pattern, quota=tm.Quota(goals=goals, **given))


def weights(rule: str, low: int = 2, high: int = 3) -> tm.Scheme:
    dests = (tm.Dest(0, low), tm.Dest(1, high))
    return tm.Scheme(
        "migrate_hot", access_pattern=HOT, dests=dests, dest_rule=rule, quota=tm.Quota(sz_bytes=MIB, reset_interval_ms=100)
    )


def tuned(aggrs: int, apply_us: int) -> tm.Scenario:
    """Interval tuning that halves and doubles the intervals all the time, and a scheme with its own apply interval."""
    goal = tm.IntervalsGoal(access_bp=400, aggrs=aggrs, min_sample_us=1000, max_sample_us=50_000)
    attrs = tm.Attrs(max_nr_regions=100, sample_us=1000, aggr_us=20_000, intervals_goal=goal)
    return scenario(used(3000).replace(apply_interval_us=apply_us), attrs=attrs)


ON_0 = [tm.Placement(0, 4096, 0)]
MARKS = tm.Watermarks("free_mem_rate", interval_us=100_000, high=500, mid=400, low=200)


def swapping(every: int, seconds: int) -> tuple[tm.Group, ...]:
    """Two halves of the workload that are hot in turn, `every` ticks (of 5 ms) each."""
    return tuple(
        tm.Group(
            2048 * (k % 2), 2048 * (k % 2 + 1), rate_hz=400.0, start_tick=k * every, end_tick=(k + 1) * every, name=f"p{k}"
        )
        for k in range(seconds * 200 // every + 2)
    )


PLAIN = to_node_0()


def faults() -> dict[str, Fault]:
    hot_quota = {"sz_bytes": MIB, "reset_interval_ms": 100}
    full = tm.Machine((tm.Node(0, 0, 32 * MIB, kernel_bytes=28 * MIB), tm.Node(1, 32 * MIB, 32 * MIB)))
    return {
        "watermarks-inactive": Fault(
            scenario(reclaim().replace(watermarks=MARKS)),
            scenario(reclaim().replace(watermarks=MARKS.replace(high=900, mid=850, low=100))),
            6,
            ("idle",),
        ),
        "apply-starved": Fault(tuned(3, 500_000), tuned(3, 0), 8, ("stuck",)),
        "run-too-short": Fault(
            scenario(used(3000).replace(apply_interval_us=5_000_000)),
            scenario(used(3000).replace(apply_interval_us=200_000)),
            4,
            ("unfinished",),
        ),
        "met-at-start": Fault(scenario(used(1000), placement=ON_0), scenario(used(3000)), 6, ("converged",)),
        "quota-below-region": Fault(scenario(used(3000, sz_bytes=1000)), scenario(used(3000)), 6, ("stuck",)),
        "nothing-matches": Fault(
            scenario(used(3000).replace(access_pattern=tm.AccessPattern(min_nr_accesses=5, max_nr_accesses=4))),
            scenario(used(3000)),
            6,
            ("stuck",),
        ),
        "rejected-by-filters": Fault(
            scenario(used(3000).replace(filters=(tm.Filter("anon", matching=True, allow=False),)), groups=(HOT_HALF,)),
            scenario(used(3000)),
            6,
            ("stuck",),
        ),
        "young-first-pass": Fault(
            scenario(reclaim(target_bp=8000, sz_bytes=MIB // 8), placement=ON_0, groups=()),
            scenario(used(3000)),
            3,
            ("unfinished",),
        ),
        "destination-full": Fault(
            scenario(PLAIN, machine=full),
            scenario(PLAIN),
            8,
            ("saturated",),
        ),
        "failed-charges": Fault(
            scenario(used(5000, sz_bytes=256 * 1024).replace(access_pattern=ALL), pages=512, groups=()),
            scenario(used(3000)),
            20,
            ("saturated",),
        ),
        "quota-limited": Fault(scenario(used(3000, sz_bytes=64 * 1024)), scenario(used(3000)), 3, ("unfinished",)),
        "capacity": Fault(scenario(used(6000)), scenario(used(2000)), 20, ("saturated",)),
        "metric-blind": Fault(
            scenario(
                contexts=(
                    tm.Context(
                        ops="vaddr",
                        schemes=(tm.Scheme("pageout", quota=tm.Quota(**hot_quota, goals=(tm.Goal("some_mem_psi_us", 9000),))),),
                    ),
                ),
                vmas=(tm.Vma(0, 4096, 1 << 40),),
            ),
            scenario(used(2000)),
            6,
            ("runaway",),
        ),
        "wrong-node": Fault(scenario(used(7000, nid=1, to=0)), scenario(used(2000)), 20, ("wrong-polarity",)),
        "goals-overlap": Fault(
            scenario(pull(6000), push(5000)), scenario(pull(5000), push(4000)), 12, ("limit-cycle", "ripple")
        ),
        "no-gap": Fault(scenario(pull(6000), push(4000)), scenario(pull(5500), push(3000)), 12, ("limit-cycle", "ripple")),
        "opposing-schemes": Fault(
            scenario(PLAIN, PLAIN.replace(target_nid=1)),
            scenario(PLAIN),
            10,
            ("steady-flow",),
        ),
        "step-over": Fault(scenario(used(500, sz_bytes=6 * MIB)), scenario(used(500, sz_bytes=MIB // 8)), 8, ("wrong-point",)),
        "tuner-windup": Fault(
            scenario(used(600, goal_tuner="consist", sz_bytes=0, esz_bp0=256 * 1024 * 10_000)),
            scenario(used(600, sz_bytes=MIB // 8)),
            20,
            ("wrong-point",),
        ),
        "one-way": Fault(
            scenario(used(500, sz_bytes=6 * MIB)), scenario(used(500, sz_bytes=MIB // 8)), 8, ("wrong-point",), first=False
        ),
        "drift": Fault(
            scenario(pull(6000), push(3000), groups=swapping(600, 60)),
            scenario(pull(6000), push(3000)),
            40,
            ("limit-cycle", "ripple", "unfinished"),
        ),
        "measured-differs": Fault(
            scenario(pull(5000), groups=(tm.Group(0, 2048, rate_hz=8.0, name="warm"),), placement=ON_0),
            scenario(pull(5000)),
            12,
            ("stuck", "wrong-point"),
            first=False,
        ),
        "refaults": Fault(
            scenario(reclaim(ALL, 9000), placement=ON_0, groups=(tm.Group(0, 4096, rate_hz=1.0, name="warm"),)),
            scenario(used(3000)),
            40,
            ("limit-cycle", "runaway", "saturated", "ripple", "unfinished"),
            first=False,
        ),
        "redraw": Fault(scenario(weights("iid")), scenario(weights("vma_offset")), 12, ("steady-flow",)),
        "frame-rule": Fault(
            scenario(weights("pfn_mod"), machine=tm.Machine.dram_cxl("32 MiB", "32 MiB").replace(allocator="lifo")),
            scenario(weights("vma_offset")),
            12,
            ("steady-flow", "wrong-point"),
        ),
        "rank-rule": Fault(scenario(weights("first")), scenario(weights("vma_offset")), 12, ("steady-flow",)),
        "offset-rule": Fault(
            scenario(weights("vma_offset", 2048, 2048)), scenario(weights("vma_offset", 1, 1)), 20, ("wrong-point",)
        ),
        "nothing-acts": Fault(scenario(tm.Scheme("stat", access_pattern=HOT)), scenario(used(2000)), 6, ("idle",)),
        "early-exit": Fault(
            scenario(
                quota(pull(9000, metric="node_sys_bp"), goals=(tm.Goal("node_sys_bp", 9000, early_exit="v1", clamp="v1"),))
            ),
            scenario(used(2000)),
            6,
            ("stuck",),
        ),
    }


@functools.cache
def run(code: str, what: str) -> Any:
    """The run that has a fault (``"broken"``), or the same without it (``"sound"``)."""
    fault = faults()[code]
    return tm.simulate(getattr(fault, what), duration=fault.duration_s, seed=1, progress=False)
