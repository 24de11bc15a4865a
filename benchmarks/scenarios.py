"""What the benchmarks simulate: one paddr context at DAMON's defaults, one scheme that migrates with a goal."""

from __future__ import annotations

from itertools import cycle, pairwise

from tieringmodel.scenario import (
    AccessPattern,
    Attrs,
    Context,
    Goal,
    Group,
    Machine,
    Placement,
    Quota,
    Scenario,
    Scheme,
    Weights,
    Workload,
)
from tieringmodel.units import PAGE_SZ

MOSTLY_IDLE = (0.0, 0.5, 2.0, 8.0, 0.0, 40.0, 1.0, 0.0, 150.0, 4.0, 0.0, 15.0, 0.2, 600.0, 0.0, 3.0)
"""Touches per second and page, area by area. Few regions stay apart: DAMON settles at about 50."""
ALL_WARM = (20.0, 60.0, 140.0, 300.0)
"""With 256 areas neighbours differ and counts are noisy: close to DAMON's limit of 1000 regions."""


def tiered(
    footprint_bytes: int,
    *,
    areas: int = 16,
    rates_hz: tuple[float, ...] = MOSTLY_IDLE,
    max_nr_regions: int = 1_000,
    fast_bytes: int | None = None,
    used_share: float = 0.9,
    hole_bytes: int = 0,
    quota: Quota | None = None,
    pattern: AccessPattern | None = None,
) -> Scenario:
    """Return a machine of `footprint_bytes` on two nodes, used to `used_share`, with `areas` areas of different rates.

    The scheme pulls hot memory into node 0 until 99.7 % of it are used, the goal of mainline's tiering example. It starts
    at 70 % and takes at most 1/256 of the footprint per second. The temporal tuner does so from the first second on; the
    other one needs a minute from its first byte to the first page, which would be measured as a loop that does nothing.
    """
    fast = fast_bytes or footprint_bytes // 2
    machine = Machine.dram_cxl(fast, footprint_bytes - fast)
    if hole_bytes:
        first, second = machine.nodes
        machine = machine.replace(nodes=(first, second.replace(start_bytes=second.extent[0] + hole_bytes)))
    n_pages = int(footprint_bytes * used_share) // PAGE_SZ
    edges = [n_pages * i // areas for i in range(areas + 1)]
    groups = tuple(
        Group(lo, hi, rate_hz=rate) for (lo, hi), rate in zip(pairwise(edges), cycle(rates_hz), strict=False) if rate
    )
    in_fast = int(fast * min(used_share, 0.7)) // PAGE_SZ
    placement = (Placement(0, in_fast, 0), Placement(in_fast, n_pages, 1))
    goal = Goal("node_mem_used_bp", 9_970, nid=0)
    scheme = Scheme(
        "migrate_hot",
        pattern or AccessPattern(min_nr_accesses=1),
        target_nid=0,
        quota=quota
        or Quota(
            sz_bytes=footprint_bytes // 256,
            reset_interval_ms=1_000,
            goals=(goal,),
            goal_tuner="temporal",
            weights=Weights(0, 1, 1),
        ),
    )
    return Scenario(
        machine, Workload(n_pages, groups, placement), (Context(attrs=Attrs(max_nr_regions=max_nr_regions), schemes=(scheme,)),)
    )
