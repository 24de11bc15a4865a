"""The machine and the workload that a DAMON configuration does not name: given, or assumed and said."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ..errors import InputError
from ..scenario import Context, Kernel, Machine, Node, Scenario
from ..units import GIB, PAGE_SZ
from .machines.line import to_line
from .machines.monitored import holes_between, told, without
from .machines.read import GivenMachine
from .workloads.line import default_workload
from .workloads.placed import Surroundings
from .workloads.read import Description

_GUESS_LIMIT_BYTES = 1 << 40


def surround(
    contexts: tuple[Context, ...],
    machine: GivenMachine | None,
    workload: Description | None,
    name: str = "",
    *,
    assumed: bool = False,
    kernel: Kernel | None = None,
    memcgs: int = 0,
) -> tuple[Scenario, tuple[str, ...]]:
    """Return a scenario of contexts, and one sentence for each thing that had to be assumed (none if nothing had).

    Parameters
    ----------
    contexts : tuple of Context
        What DAMON is told.
    machine, workload : GivenMachine, callable or None
        What is given: see `read_machine` and `read_workload`.
    name : str
        Name of the scenario.
    assumed : bool
        `machine` is a guess itself.
    kernel : Kernel, optional
        Which Linux runs.
    memcgs : int
        How many control groups the contexts name.

    Raises
    ------
    InputError
        If addresses lie outside of the machine, or what is missing cannot be guessed.
    """
    if machine is None:
        machine, assumed = GivenMachine(default_machine(contexts)), True
    hardware, said = machine.machine, list[str]()
    if assumed:
        spans = hardware.spans
        gaps = [(a, b) for a, b in holes_between(contexts) if not any(start < b and a < end for start, end, _ in spans)]
        unseen = f", without {told(gaps)}, which nobody monitors" if gaps else ""
        said.append(f"assumed: machine {to_line(hardware)}{unseen} (--machine replaces it)")
    check_addresses(contexts, hardware)
    on = Surroundings(hardware, contexts, machine.ids, memcgs, machine.placed)
    if workload is None:
        work, line = default_workload(on)
        said.append(f"assumed: workload {line} (--workload replaces it)")
    else:
        work, notes = workload(on)
        said += notes
    return Scenario(hardware, work, contexts, name, kernel=kernel or Kernel()), tuple(said)


def _physical(contexts: Sequence[Context], what: str) -> list[tuple[int, int]]:
    """Return ranges in bytes: monitored ones (``"regions"``), or those of address filters that end somewhere."""
    found = []
    for c in contexts:
        if c.ops == "paddr":
            ranges = (
                c.targets[0].regions
                if what == "regions"
                else ((f.start_bytes, f.end_bytes) for s in c.schemes for f in s.filters if f.type == "addr")
            )
            found += [(start * c.addr_unit, end * c.addr_unit) for start, end in ranges]
    return sorted({r for r in found if r[0] < r[1] < 2**63})


def check_addresses(contexts: Sequence[Context], machine: Machine) -> None:
    """Refuse a context whose monitored physical ranges all miss the machine, and filters that do.

    Raises
    ------
    InputError
        Naming the context and both sides' addresses.
    """
    nodes = [(start, end) for start, end, _ in machine.spans]
    for i, context in enumerate(contexts):
        for what, path in (("regions", "targets[0].regions"), ("filters", "schemes: address filters")):
            ranges = _physical([context], what)
            if ranges and not any(start < stop and low < end for start, end in ranges for low, stop in nodes):
                have = ", ".join(f"{low:#x}..{stop:#x}" for low, stop in nodes)
                text = f"{ranges[0][0]:#x}..{ranges[-1][1]:#x} lies outside of every node ({have})"
                raise InputError(f"contexts[{i}].{path}", text, "give the machine that the addresses belong to (--machine)")


def nids_of(contexts: Sequence[Context]) -> set[int]:
    """Return 0, 1 and every node id that the contexts name."""
    nids = {0, 1}
    for c in contexts:
        for s in c.schemes:
            nids |= {s.target_nid, *(d.id for d in s.dests), *(g.nid for g in s.quota.goals)}
    return {nid for nid in nids if nid >= 0}


def equal_nodes(count: int) -> Machine:
    """Return a machine of `count` adjacent nodes of 1 GiB from address 0."""
    return Machine(tuple(Node(nid, nid * GIB, GIB) for nid in range(count)))


def default_machine(contexts: Sequence[Context]) -> Machine:
    """Return a machine that fits the configuration's addresses and node ids.

    Without physical addresses: 1 GiB for each node. With address filters, or else monitored ranges: one node for each
    disjoint range in order of address; a single range is cut off the rest; where there is no rest it is the
    node that every migration leaves, and else halved. What lies between monitored ranges is a hole.

    Raises
    ------
    InputError
        If the ranges do not tell the nodes, or end beyond 1 TiB.
    """
    count = max(nids_of(contexts)) + 1
    if count > 64:
        raise InputError("machine", f"node {count - 1} is named and no machine is given", "give it (--machine)")
    regions, filters = _physical(contexts, "regions"), _physical(contexts, "filters")
    every = sorted({*regions, *filters})
    if not every:
        return equal_nodes(count)
    low, high = every[0][0], max(end for _, end in every)
    ranges = filters or regions
    into = {s.target_nid for c in contexts for s in c.schemes if s.action.startswith("migrate") and not s.dests}
    if len(every) == 1 and count == 2 and into in ({0}, {1}):  # the only range is where pages come from
        start, end = every[0]
        size = end - start if into == {1} else min(end - start, start)
        if size:
            ranges = [(start, end), (end, end + size)] if into == {1} else [(start - size, start), (start, end)]
    if len(ranges) == 1 and count == 2:
        start, end = ranges[0]
        cut = start if start > low else end if end < high else (low + high) // 2 // PAGE_SZ * PAGE_SZ
        ranges = [(low, cut), (cut, high)]
    apart = all(a[1] <= b[0] for a, b in pairwise(ranges))
    aligned = [(start // PAGE_SZ * PAGE_SZ, -(-end // PAGE_SZ) * PAGE_SZ) for start, end in ranges]
    if len(ranges) != count or not apart or high > _GUESS_LIMIT_BYTES or any(s >= e for s, e in aligned):
        text = f"{len(every)} address ranges up to {high:#x} do not tell where {count} nodes lie"
        raise InputError(
            "machine", text, "describe the nodes (--machine dram=SIZE@START,cxl=SIZE@START, or machine= in Python)"
        )
    holes = holes_between(contexts)
    nodes = (without(start, end, holes) or ((start, end),) for start, end in aligned)
    return Machine(tuple(Node(nid, ranges=ram) for nid, ram in enumerate(nodes)))
