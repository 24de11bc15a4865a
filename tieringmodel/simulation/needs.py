"""What a run must keep of its pages, over all that events and commits make of its contexts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..scenario import Scenario, Workload

Stage = tuple[int, Scenario, int | None]
"""Time in microseconds, the scenario from then on, and which context a commit is for: see `Scenario.steps`."""


class Needs(NamedTuple):
    """What a run must keep of its pages beside their records, over all that events make of its contexts."""

    young: bool
    """When accessed state was last cleared: contexts and kswapd clear each other's bits, filters and reclaim read them."""
    frame_of: bool
    """Where each page is: virtual address spaces, weighted destinations and NUMA balancing look pages up by identity."""
    out: bool
    """Pages without a frame: the action ``pageout`` of paddr contexts takes them out of memory."""
    marks: bool
    """Which pages were marked accessed: up to 6.19, ``lru_prio`` of paddr contexts activates a page the second time."""
    device: bool
    """What a swap device remembers of pages, and which of them cannot be reclaimed: where any are taken out."""


def needs(scenario: Scenario, stages: Sequence[Stage]) -> Needs:
    """Return what a run of a scenario and of what becomes of it, `Scenario.steps`, needs."""
    contexts = [c for each in (scenario, *(stage[1] for stage in stages)) for c in each.contexts]
    out = any(c.ops == "paddr" and s.action == "pageout" for c in contexts for s in c.schemes)
    young = out or len(scenario.contexts) > 1 or any(f.type == "young" for c in contexts for s in c.schemes for f in s.filters)
    young = young or maps_change(scenario, stages)
    balancing = scenario.machine.numa_balancing
    young = young or bool(contexts and balancing and balancing.demotion_enabled)
    frame_of = balancing is not None or any(c.ops != "paddr" or any(s.dests for s in c.schemes) for c in contexts)
    lru_prio = any(c.ops == "paddr" and s.action == "lru_prio" for c in contexts for s in c.schemes)
    device = out and (scenario.machine.swap is not None or any(staying(scenario.workload)))
    return Needs(young, frame_of or device, out, lru_prio and not scenario.kernel.rules.lru_prio_activate, device)


def most_records(scenario: Scenario, stages: Sequence[Stage], duration_us: int, window_us: int, every_us: int) -> int:
    """Return how many records a run keeps at most: one for every aggregation and application, or without contexts a window.

    Where intervals are tuned they are as short as they may become; `every_us` keeps one in so much time, 0 keeps all.
    """
    most = duration_us // window_us
    for now in (scenario, *(stage[1] for stage in stages)):
        rows = 0
        for c in now.contexts:
            shortest_us = c.attrs.aggr_us * c.attrs.shortest_sample_us // c.attrs.sample_us
            clocks_us = {max(shortest_us, 1), *(s.apply_interval_us or c.attrs.aggr_us for s in c.schemes)}
            rows += sum(duration_us // us + 1 for us in clocks_us)
        most = max(most, rows)
    return (min(most, duration_us // every_us) if every_us else most) + len(stages) + 2


def staying(workload: Workload) -> Iterator[str]:
    """Yield the paths of groups that have pages which ``pageout`` leaves in memory."""
    for i, group in enumerate(workload.groups):
        if group.dirty_share or group.unevictable_share:
            yield f"workload.groups[{i}]"


def maps_change(scenario: Scenario, stages: Sequence[Stage]) -> bool:
    """Whether mappings of a monitored process change, perhaps between the preparation and the check of a sample."""
    virtual = any(c.ops != "paddr" for c in scenario.contexts)
    return virtual and any(stage[1].workload.vmas != scenario.workload.vmas for stage in stages)
