"""A scenario on another machine: address ranges that were whole nodes are whole nodes there."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from ...scenario import Context, Machine, Scenario

Ranges = Mapping[tuple[int, int], tuple[int, int]]


def moved(scenario: Scenario, machine: Machine) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what changes of a scenario on another machine, and a sentence if ranges of addresses moved with their nodes.

    Monitored ranges and address filters that are exactly a run of whole nodes of the scenario's own machine become the same
    nodes' on the other one. All other addresses stay.

    Parameters
    ----------
    scenario : Scenario
        With a machine of its own.
    machine : Machine
        The other one.
    """
    new = {n.nid: n.extent for n in machine.nodes}
    old = [(n.nid, *n.extent) for n in scenario.machine.nodes if n.nid in new]
    ranges = {(a[1], b[2]): (new[a[0]][0], new[b[0]][1]) for a, b in product(old, old) if a[1] <= b[1]}
    ranges = {before: after for before, after in ranges.items() if before != after and after[0] < after[1]}
    contexts = tuple(_context(c, ranges) for c in scenario.contexts)
    commits = tuple(c.replace(to=_context(c.to, ranges)) for c in scenario.commits)
    if (contexts, commits) == (scenario.contexts, scenario.commits):
        return {"machine": machine}, ()
    said = "address ranges that are whole nodes of the scenario's own machine are those nodes of the given one"
    return {"machine": machine, "contexts": contexts, "commits": commits}, (said,)


def _context(context: Context, ranges: Ranges) -> Context:
    if context.ops != "paddr":
        return context
    unit = context.addr_unit

    def there(start: int, end: int) -> tuple[int, int]:
        low, high = ranges.get((start * unit, end * unit), (start * unit, end * unit))
        return (low // unit, high // unit) if low % unit == high % unit == 0 else (start, end)

    targets = tuple(t.replace(regions=tuple(there(*region) for region in t.regions)) for t in context.targets)
    schemes = []
    for scheme in context.schemes:
        filters = []
        for f in scheme.filters:
            if f.type == "addr":
                start, end = there(f.start_bytes, f.end_bytes)
                f = f.replace(start_bytes=start, end_bytes=end)
            filters.append(f)
        schemes.append(scheme.replace(filters=tuple(filters)))
    return context.replace(targets=targets, schemes=tuple(schemes))
