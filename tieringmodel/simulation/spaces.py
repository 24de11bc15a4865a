"""Where the addresses of a context lead, and what of them is monitored at the start."""

from __future__ import annotations

import numpy as np

from ..damon.vaddr import evenly_cut, three_parts
from ..errors import InputError
from ..kernels.layout import Space
from ..memory.physical import PhysicalMemory
from ..scenario import Context, Machine, Vma
from ..scenario.linux import Rules

Processes = list[list[tuple[int, int]]]
"""Start and end of what is mapped, by target; empty where addresses are physical."""


def space_of(context: Context, vmas: tuple[Vma, ...], memory: PhysicalMemory, rules: Rules) -> tuple[Space, Processes]:
    """Return where a context's core addresses lead, and what is mapped by target."""
    if context.ops == "paddr":
        return memory.space_for(context.addr_unit), []
    size, shift = memory.page_bytes, int(memory.shift)
    rows: list[tuple[int, int, int, int]] = []
    ptr, mapped = [0], []
    for target in context.targets:
        here = sorted((v for v in vmas if v.process == target.process), key=lambda v: v.start_bytes)
        for v in here:
            first = v.start_bytes // size
            rows.append((first, first + v.hi - v.lo, v.lo, (v.pgoff >> (shift - 12)) - first))
        ptr.append(len(rows))
        mapped.append([(v.start_bytes, v.start_bytes + (v.hi - v.lo) * size) for v in here])
    start, end, base, deal = (np.array([row[k] for row in rows], np.int64) for k in range(4))
    unit, bounds = np.uint64(context.addr_unit), np.array(ptr, np.int64)
    return Space(start, end, base, deal, bounds, True, not rules.tail_pages, unit, memory.shift), mapped


def ranges_of(
    context: Context, machine: Machine, processes: Processes, rules: Rules, where: str, nothing: bool
) -> list[list[tuple[int, int]]]:
    """Return what a context monitors at the start, by target: given ranges, else the machine, or parts of a process.

    Where a process has fewer than two gaps Linux monitors nothing; here, every mapping, unless `nothing` will do.

    Raises
    ------
    InputError
        At `where`, if nothing is left to monitor.
    """
    unit, out = context.addr_unit, []
    for k, target in enumerate(context.targets):
        ranges = list(target.regions)
        if not ranges and context.ops == "paddr":
            ranges = [(machine.extent[0] // unit, machine.extent[1] // unit)]
        elif not ranges:
            ranges = three_parts(processes[k]) or ([] if nothing else processes[k])
            if not rules.va_init_unsplit:
                ranges = evenly_cut(ranges, context.attrs.min_nr_regions)
        if not ranges and not nothing:
            text = "has no address range"
            raise InputError(f"{where}[{k}]", text, "give regions, or a machine or mapping to take them from")
        out.append(ranges)
    return out
