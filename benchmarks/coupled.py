"""What the closed loop between placement and workload adds to a run."""

from __future__ import annotations

from functools import partial
from typing import Any

import tieringmodel as tm

from .measure import Spread, Table, Work, gate, interleaved, ratio

MOST = 1.3
DEMAND = {"threads": 8, "outstanding": 8}
ALIKE = {"nodes": [{"nid": nid, "idle_latency_ns": 90, "bandwidth_gbps": 400} for nid in (0, 1)]}


def _coupled(scenario: tm.Scenario, performance: Any) -> tm.Scenario:
    machine, workload = scenario.machine, scenario.workload
    return scenario.replace(machine=machine.replace(performance=performance), workload=workload.replace(demand=DEMAND))


def table(seconds: int, rounds: int) -> Table:
    """Answer by how much a run takes longer whose workload follows its memory."""
    t = Table(
        f"The closed loop: `simulate`, {seconds} s, CPU time over that of the same scenario without it",
        ("scenario", "without, s", "nodes alike", f"gate <= {MOST:g}", "regions", "turin-cxl", "regions"),
        "Nodes alike slow nobody down: the same pages are touched and moved. Slower touches make other regions, often more.",
    )
    shipped = tm.load("rfc-40-60")
    watched = shipped.replace(contexts=tuple(c.replace(schemes=()) for c in shipped.contexts))
    for name, given in (("rfc-40-60", shipped), ("the same without schemes", watched)):
        kinds = {"plain": given, "alike": _coupled(given, ALIKE), "turin": _coupled(given, {"preset": "turin-cxl"})}
        regions: dict[str, float] = {}

        def prepared(kind: str, scenario: tm.Scenario, seed: int, regions: dict[str, float] = regions) -> Work:
            def run() -> None:
                ds = tm.simulate(scenario, duration=seconds, seed=1, progress=False)
                regions[kind] = float(ds["nr_regions"].mean())

            return run

        took = interleaved({kind: partial(prepared, kind, sc) for kind, sc in kinds.items()}, rounds)
        alike, turin = (ratio(took[kind], took["plain"]) for kind in ("alike", "turin"))
        numbers = round(regions["alike"] / regions["plain"], 2), turin, round(regions["turin"] / regions["plain"], 2)
        t.add(name, Spread.of(took["plain"]), alike, gate(alike.median <= MOST), *numbers)
    return t
