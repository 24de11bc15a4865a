"""Rules about what the kernel migrates beside DAMON."""

from __future__ import annotations

from collections.abc import Iterator

from ...scenario import Scenario
from ...workload.truth import touched_pages
from ..finding import Finding, fix, rule
from ..scheme_facts import facts_of
from ..wording import size


@rule
def promotion_without_room(scenario: Scenario) -> Iterator[Finding]:
    """NUMA balancing promotes to a node that cannot hold what is touched, and nobody makes room there."""
    balancing, shared = scenario.machine.numa_balancing, facts_of(scenario)
    if balancing is None or balancing.mode != "memory_tiering" or balancing.demotion_enabled:
        return
    makes_room = [facts for facts in shared.schemes if facts.reclaims or (facts.migrates and facts.target != 0)]
    node, page = shared.nodes[0], scenario.machine.folio_bytes
    taken = node.unmanaged_bytes + node.kernel_bytes + node.cache_bytes + node.offline_bytes
    room, touched = (node.sz_bytes - taken) // page, touched_pages(scenario.workload)
    if makes_room or touched <= room:
        return
    path = "machine.numa_balancing.demotion_enabled"
    yield Finding(
        "promotion-without-room",
        "warning",
        path,
        f"{size(touched)} are touched and node {node.nid} holds {size(room)} of them at most: when it is full hint faults "
        "promote nothing more, for kswapd does not demote and no scheme takes pages away from there",
        "set demotion_enabled = true, or add a scheme that migrates cold pages away",
        fix({path: True}),
    )
