"""Rules about memory that pages can move to and nobody looks at."""

from __future__ import annotations

from collections.abc import Iterator

from ...damon.vaddr import joined
from ...scenario import Scenario
from ...units import format_bytes
from ..finding import Finding, fix, rule
from ..scheme_facts import Ranges, ScenarioFacts, clip, facts_of

UNSEEN = 0.01
"""Share of a node from which on frames that nobody monitors are worth a warning."""


def fillable(shared: ScenarioFacts, node: int) -> Ranges:
    """Return the RAM of a node, in bytes, but for its lowest and highest frames: the kernel's, and those that are offline."""
    n, out = shared.nodes[node], []
    skip, left = n.unmanaged_bytes + n.kernel_bytes, n.sz_bytes - n.offline_bytes
    for start, end in n.system_ram:
        low, high = start + min(skip, end - start), start + min(left, end - start)
        skip, left = skip - (low - start), left - (high - start)
        if low < high:
            out.append((low, high))
    return out


def outside(spans: Ranges, monitored: Ranges) -> Ranges:
    """Return what of the spans no monitored one covers."""
    out = []
    for low, high in spans:
        for start, end in joined(clip(monitored, low, high)):
            if low < start:
                out.append((low, start))
            low = end
        if low < high:
            out.append((low, high))
    return out


@rule
def unmonitored_target(scenario: Scenario) -> Iterator[Finding]:
    """A node that a scheme fills and its context monitors in part: what lands in the rest is out of sight for good."""
    shared = facts_of(scenario)
    said: set[tuple[int, int]] = set()
    for facts in shared.schemes:
        node, seen = facts.target, facts.monitored
        if facts.context.ops != "paddr" or node is None or not facts.sources or (facts.c, node) in said:
            continue
        said.add((facts.c, node))
        missing = outside(fillable(shared, node), seen)
        lost, n = sum(high - low for low, high in missing), shared.nodes[node]
        if lost < UNSEEN * n.sz_bytes or not shared.bytes_on(seen, node):
            continue
        path, unit = f"contexts[{facts.c}].targets[0].regions", facts.context.addr_unit
        where = ", ".join(f"{format_bytes(low)}..{format_bytes(high)}" for low, high in missing)
        regions = joined((a // unit, -(-b // unit)) for a, b in (*seen, *missing))
        yield Finding(
            "unmonitored-target",
            "warning",
            path,
            f"node {n.nid}, to which {facts.path} moves pages, can be filled at {where} ({format_bytes(lost)}), which is not "
            "monitored: what lands there is seen by no scheme and counted by no goal about monitored memory",
            "monitor these addresses, too; or, if there is no memory, give the node its ranges",
            fix({path: [list(region) for region in regions]}),
        )
