"""The same scenario in pages of 4 KiB, so that every rule counts in one unit whatever the folio size."""

from __future__ import annotations

from ..scenario import Scenario
from ..units import PAGE_SZ


def in_base_pages(scenario: Scenario) -> Scenario:
    """Return the scenario with every folio written as the base pages it consists of.

    Sizes in bytes stay. A folio's touches become touches of each of its pages, for an access anywhere in a folio is
    seen everywhere in it. What only whole folios do (to move at once, or not at all) is lost.

    Parameters
    ----------
    scenario : Scenario
        With any ``machine.folio_bytes``.

    Returns
    -------
    Scenario
        The same object if its folios are base pages already.
    """
    n = scenario.machine.folio_bytes // PAGE_SZ
    if n == 1:
        return scenario
    workload = scenario.workload
    ranges = {
        name: tuple(one.replace(lo=one.lo * n, hi=one.hi * n) for one in getattr(workload, name))
        for name in ("groups", "placement", "vmas", "memcgs")
    }
    nodes = tuple(node.replace(reserve_pages=node.reserve_pages * n) for node in scenario.machine.nodes)
    return scenario.replace(
        machine=scenario.machine.replace(nodes=nodes, folio_bytes=PAGE_SZ),
        workload=workload.replace(n_pages=workload.n_pages * n, **ranges),
        events=(),
    )
