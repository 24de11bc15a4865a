"""The machine and the workload that a DAMON configuration does not name: given, or assumed and said."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..scenario import Context, Group, Kernel, Machine, Node, Placement, Scenario, Vma, Workload
from ..scenario.scenario import read_toml
from ..units import GIB, PAGE_SZ, format_bytes
from .machines.monitored import holes_between, told, without
from .workloads.family import with_family
from .workloads.masim import read_masim

HOT_HZ, COLD_HZ = 400.0, 0.2
_GUESS_LIMIT_BYTES = 1 << 40
_MMAP_BASE = 0x7F00_0000_0000


def toml_part(path: Path, name: str) -> dict[str, Any]:
    """Return the table `name` of a TOML file, which may hold a whole scenario.

    Raises
    ------
    InputError
        If the file is not readable TOML or has no such table.
    """
    part = read_toml(path).get(name)
    if not isinstance(part, dict):
        raise InputError(str(path), f"has no [{name}]", f"add the table, as in a scenario's [{name}]")
    return part


def read_machine(source: Machine | str | Path) -> Machine:
    """Return a machine, read from the ``[machine]`` of a TOML file unless it is one.

    Raises
    ------
    InputError
        Naming the file and what is wrong in it.
    """
    if isinstance(source, Machine):
        return source
    return Machine.from_dict(toml_part(Path(source), "machine"), f"{source}: machine")


def read_workload(source: Workload | str | Path, *, allow_files: bool = False) -> Workload:
    """Return a workload, read from the ``[workload]`` of a TOML file, a ``.masim`` file or a damo record unless it is one.

    Files that a TOML file names lie in its folder unless `allow_files`.

    Raises
    ------
    InputError
        Naming the file and what is wrong in it.
    """
    if isinstance(source, Workload):
        return source
    if Path(source).suffix == ".toml":
        part = toml_part(Path(source), "workload")
        made = with_family({"workload": part}, Path(source).parent, allow_files=allow_files)["workload"]
        return made if isinstance(made, Workload) else Workload.from_dict(part, f"{source}: workload")
    if Path(source).suffix == ".masim":
        return read_masim(source)
    from .workloads.record_workload import read_record_workload

    return read_record_workload(source)


def surround(
    contexts: tuple[Context, ...],
    machine: Machine | None,
    workload: Workload | None,
    name: str = "",
    *,
    assumed: bool = False,
    kernel: Kernel | None = None,
) -> tuple[Scenario, tuple[str, ...]]:
    """Return a scenario of contexts, and one sentence for all that had to be assumed (none if nothing had).

    Parameters
    ----------
    contexts : tuple of Context
        What DAMON is told.
    machine, workload : Machine, Workload or None
        What is given.
    name : str
        Name of the scenario.
    assumed : bool
        `machine` is a guess itself.
    kernel : Kernel, optional
        Which Linux runs.

    Raises
    ------
    InputError
        If addresses lie outside of the machine, or what is missing cannot be guessed.
    """
    guesses = []
    if machine is None:
        machine, assumed = default_machine(contexts), True
    if assumed:
        nodes = ", ".join(f"node {n.nid} {format_bytes(n.sz_bytes)} at {n.place}" for n in machine.nodes)
        spans = machine.spans
        gaps = [(a, b) for a, b in holes_between(contexts) if not any(start < b and a < end for start, end, _ in spans)]
        guesses.append(f"machine {nodes}" + (f" without {told(gaps)}, which nobody monitors" if gaps else ""))
    check_addresses(contexts, machine)
    if workload is None:
        workload = default_workload(contexts, machine)
        text = f"{format_bytes(workload.n_pages * machine.folio_bytes)} dealt evenly over the nodes"
        guesses.append(f"workload {text}, a quarter touched at {HOT_HZ:g} Hz, the rest at {COLD_HZ:g} Hz")
    options = " and ".join(f"--{g.partition(' ')[0]}" for g in guesses)
    said = (f"assumed: {'; '.join(guesses)} (to replace by {options})",) if guesses else ()
    return Scenario(machine, workload, contexts, name, kernel=kernel or Kernel()), said


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
        raise InputError("machine", text, "describe the nodes (--machine FILE.toml, or machine= in Python)")
    holes = holes_between(contexts)
    nodes = (without(start, end, holes) or ((start, end),) for start, end in aligned)
    return Machine(tuple(Node(nid, ranges=ram) for nid, ram in enumerate(nodes)))


def default_workload(contexts: Sequence[Context], machine: Machine) -> Workload:
    """Return a workload of two levels: half of the memory, a quarter of it hot, dealt evenly over the nodes.

    Where a virtual context has fixed ranges, exactly those are mapped.

    Raises
    ------
    InputError
        If the fixed ranges exceed the machine.
    """
    page = machine.folio_bytes
    room = sum(n.sz_bytes - n.unmanaged_bytes - n.kernel_bytes - n.cache_bytes for n in machine.nodes) // page
    virtual = [c for c in contexts if c.ops != "paddr"]
    fixed = sorted({r for c in virtual for t in c.targets for r in t.regions})
    n_pages, vmas = max(room // 2, 4), []
    if fixed:
        n_pages = 0
        for start, end in fixed:
            size = -(-end // page) - start // page
            vmas.append(Vma(n_pages, n_pages + size, start // page * page, start // page))
            n_pages += size
    elif virtual:
        vmas = [Vma(0, n_pages, _MMAP_BASE, _MMAP_BASE // page)]
    if n_pages > room:
        text = f"the monitored ranges have {n_pages} pages, the machine {room}"
        raise InputError("workload", text, "describe it (--workload FILE.toml, or workload= in Python)")
    hot = max(n_pages // 4, 1)
    groups = [Group(0, hot, rate_hz=HOT_HZ, name="hot")]
    groups += [Group(hot, n_pages, rate_hz=COLD_HZ, name="cold")] if hot < n_pages else []
    placement = Placement(0, n_pages, machine.nodes[0].nid, weights=(1,) * len(machine.nodes))
    return Workload(n_pages, tuple(groups), (placement,), tuple(vmas))
