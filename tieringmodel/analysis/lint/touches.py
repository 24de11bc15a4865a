"""Who is expected to look hot: the workload's groups turned into access counts of areas."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

from ...scenario import Group, Scenario


class Area(NamedTuple):
    """Logical pages ``lo`` … ``hi`` - 1 that the same groups touch, with the nr_accesses to expect in each phase."""

    lo: int
    hi: int
    nr: tuple[float, ...]


def touch_probability(group: Group, sample_us: int, tick_us: int) -> float:
    """Return the probability that a sampling interval sees a page of the group touched, averaged over its pages."""
    ticks = sample_us / tick_us
    if group.kind == "rate":
        return -math.expm1(-group.rate_hz * sample_us * 1e-6)
    if group.kind == "period":
        return min(ticks / group.period, 1.0) / group.stride
    return 1.0 - float((1.0 - group.threshold / 2**32) ** max(ticks, 1.0))


def areas_of(scenario: Scenario, c: int, phases: tuple[int, ...]) -> list[Area]:
    """Return areas that cover all logical pages, with the nr_accesses that context c can expect in each phase.

    A region's nr_accesses is taken as the number of samples times the probability that a sampling interval sees a page
    touched, by the groups that touch the area and by the time at which a phase begins (workload ticks).
    """
    attrs, groups = scenario.contexts[c].attrs, scenario.workload.groups
    samples = max(attrs.aggr_us // attrs.sample_us, 1)
    chance = [touch_probability(g, attrs.sample_us, scenario.tick_us) for g in groups]
    edges = sorted({0, scenario.workload.n_pages, *(e for g in groups for e in (g.lo, g.hi))})
    out = []
    for lo, hi in pairwise(edges):
        inside = [i for i, g in enumerate(groups) if g.lo <= lo and hi <= g.hi]
        missed = [
            math.prod(1 - chance[i] for i in inside if groups[i].start_tick <= tick < groups[i].end_tick)
            for tick in phases
        ]
        out.append(Area(lo, hi, tuple(samples * (1.0 - m) for m in missed)))
    return out
