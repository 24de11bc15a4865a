"""Turn a recording's set-up into a scenario: machine, workload, placement and contexts, without its outcome."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InputError
from ...scenario import Context, Group, Machine, Node, Placement, Scenario, Target, Vma, Workload
from ...units import LONGEST_US, MIB, PAGE_SZ
from .read import PHASE
from .recorded_rates import recorded_groups
from .tables import Table

if TYPE_CHECKING:
    from .read import Recording

HZ = 250
"""CONFIG_HZ of the recorded kernel."""
DOCUMENTED_ENDS = (640 * MIB, 1536 * MIB)
"""Ends of node 0 and node 1 of the machine that the recordings' README describes."""
_MEMORY_BLOCK = 128 * MIB


def three_regions(ranges: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Return three ranges that cover all mappings except the two biggest gaps between them.

    The kernel's first guess at a process' address space (``__damon_va_three_regions``; docs/theory/damon.md, section g.6):
    the gaps below the heap, the mmap area and the stack are so large that monitoring them would be a waste.

    Parameters
    ----------
    ranges : sequence of (int, int)
        Start and end of each mapping, in address order.

    Returns
    -------
    three pairs of int
        Start and end of each range. Of equally big gaps the first counts.

    Raises
    ------
    InputError
        If the mappings are out of order, or have fewer than two gaps (Linux then monitors nothing).
    """
    first, second = (0, 0), (0, 0)
    for i, (start, end) in enumerate(ranges):
        if end <= start or (i and start < ranges[i - 1][1]):
            raise InputError(f"ranges[{i}]", f"{start}..{end} is empty or out of order", "sort and separate them")
        gap = (ranges[i - 1][1], start) if i else (0, 0)
        if gap[1] - gap[0] > first[1] - first[0]:
            first, second = gap, first
        elif gap[1] - gap[0] > second[1] - second[0]:
            second = gap
    if second[0] == second[1]:
        raise InputError("ranges", "have fewer than two gaps (EINVAL)", "give the ranges to monitor")
    low, high = sorted((first, second))
    return (ranges[0][0], low[0]), (low[1], high[0]), (high[1], ranges[-1][1])


def scenario_of(
    recording: Recording,
    *,
    recorded_intervals: bool = True,
    recorded_rates: bool = False,
    lru_share_of_other: float = 0.0,
    machine: Machine | None = None,
) -> Scenario:
    """Return the set-up of a recorded run as a scenario.

    Every page of the layout becomes a logical page, segment after segment. A segment whose rate is one access per
    workload tick or more is touched periodically, a slower one at random; an idle one has no group. Pages start on the
    recorded frames, or on their segment's node where no frame was recorded.

    Parameters
    ----------
    recording : Recording
        With layout, info, contexts and, unless `machine` is given, the periodic record.
    recorded_intervals : bool
        Let aggregations end when they did (``Context.aggr_times_us``) instead of after the nominal interval, which a
        loaded machine stretches.
    recorded_rates : bool
        Touch segments as often as their counters say (`tieringmodel.interop.recording.recorded_rates`) instead of at the
        configured rates, which a loaded machine misses.
    lru_share_of_other : float
        Share (0 … 1) of the memory in use that is not the workload's which lies on LRU lists, where DAMON sees it.
        The record does not tell; the rest counts as kernel memory.
    machine : Machine or None
        Replaces the machine found in the recording: nodes split at a bound of address filters or monitored ranges that
        agrees best with where segments lie, or else the documented ones; MemTotal and MemFree from the record.

    Returns
    -------
    Scenario
        Named after the run. Destination weights are those at the end of the run.

    Raises
    ------
    InputError
        If a table is missing or contradicts another one, or an argument is out of range.
    """
    if not 0 <= lru_share_of_other <= 1:
        raise InputError("lru_share_of_other", f"{lru_share_of_other} is no share", "write 0 … 1")
    layout, info = recording.layout, recording.info
    if layout is None or info is None or not recording.contexts:
        names = ("layout.csv", layout), ("info.txt", info), ("damon_config.txt", recording.contexts or None)
        missing = ", ".join(name for name, value in names if value is None)
        raise InputError(str(recording.path), f"has no {missing}", "a scenario needs layout, info and configuration")
    tick_ms = info.get("tick_ms", 0.0)
    if not 1 <= tick_ms * 1_000 <= LONGEST_US or tick_ms * 1_000 % 1:
        raise InputError(str(recording.path / "info.txt"), f"tick_ms is {tick_ms:g}", "write the workload's tick")
    placement = tuple(_placement(layout, recording.physmap))
    lows = _lows(layout)
    vmas = tuple(
        Vma(int(lo), int(hi), int(start), int(start) // PAGE_SZ)
        for lo, hi, start in zip(lows[:-1], lows[1:], layout["va_start"], strict=True)
    )
    groups = tuple(_groups(layout, tick_ms))
    if recorded_rates:
        groups = tuple(recorded_groups(recording, groups, tick_ms))
    workload = Workload(int(lows[-1]), groups, placement, vmas, tick_us=round(tick_ms * 1_000))
    if machine is None:
        machine = _machine(recording, placement, lru_share_of_other)
    contexts = tuple(_with_targets(context, layout) for context in recording.contexts)
    times = recording.aggregation_times_us
    if recorded_intervals and times is not None:
        if len(contexts) != 1:
            text = f"times of aggregations belong to one context, there are {len(contexts)}"
            raise InputError(str(recording.path), text, "pass recorded_intervals=False")
        contexts = (contexts[0].replace(aggr_times_us=tuple(times.tolist())),)
    return Scenario(machine, workload, contexts, name=recording.name)


def _lows(layout: Table) -> list[int]:
    """Return the first logical page of each segment, and the number of pages."""
    return [0, *np.cumsum(layout["pages"].astype(np.int64)).tolist()]


def _groups(layout: Table, tick_ms: float) -> Iterator[Group]:
    """Yield who touches what, by segment and phase."""
    lows = _lows(layout)
    columns = [name for name in layout if PHASE.fullmatch(name)]
    starts = [round(int(m[1]) / tick_ms) for m in map(PHASE.fullmatch, columns) if m]
    for row, segment in enumerate(layout["segment"]):
        for phase, column in enumerate(columns):
            rate_hz = float(layout[column][row])
            if rate_hz == 0:
                continue
            per_tick = rate_hz * tick_ms / 1_000
            group = Group(lows[row], lows[row + 1], rate_hz=rate_hz, start_tick=starts[phase], name=segment)
            if per_tick >= 1:  # a page is touched in a tick or not: more than once looks like once
                group = group.replace(kind="period", rate_hz=0.0, period=max(1, round(1 / per_tick)))
            yield group.replace(end_tick=starts[phase + 1]) if phase + 1 < len(starts) else group


def _placement(layout: Table, physmap: Table | None) -> Iterator[Placement]:
    """Yield recorded runs of frames, and for the pages between them their segment's node."""
    for row, (lo, hi) in enumerate(zip(_lows(layout)[:-1], _lows(layout)[1:], strict=True)):
        runs: list[tuple[int, int, int]] = []
        if physmap is not None:
            mine = np.flatnonzero(physmap["segment"] == layout["segment"][row])
            va, pa, size = (physmap[name][mine].tolist() for name in ("va_start", "pa_start", "bytes"))
            base = int(layout["va_start"][row])
            runs = sorted((lo + (v - base) // PAGE_SZ, n // PAGE_SZ, p) for v, n, p in zip(va, size, pa, strict=True))
        nid, covered = int(layout["init_node"][row]), lo
        for first, pages, start_bytes in [*runs, (hi, 0, 0)]:
            if first > covered:
                yield Placement(covered, first, nid=nid)
            if pages:
                yield Placement(first, first + pages, nid=nid, start_bytes=start_bytes)
            covered = first + pages


def _with_targets(context: Context, layout: Table) -> Context:
    """Give a virtual context without ranges the kernel's three, or all of the workload where that rule fails.

    The rule needs the gaps around a process' heap and stack, which the layout does not list.
    """
    if context.ops == "paddr" or any(target.regions for target in context.targets):
        return context
    spans: list[tuple[int, int]] = []
    for start, end in sorted(zip(layout["va_start"].tolist(), layout["va_end"].tolist(), strict=True)):
        if spans and spans[-1][1] == start:
            start = spans.pop()[0]
        spans.append((start, end))
    return context.replace(targets=(Target(three_regions(spans) if len(spans) > 2 else tuple(spans)),))


def _machine(recording: Recording, placement: Sequence[Placement], lru_share: float) -> Machine:
    """Return nodes with MemTotal and MemFree of the periodic row nearest to DAMON's start."""
    record = recording.record
    if record is None or record.n_rows == 0:
        raise InputError(str(recording.path), "has no record.csv with MemTotal and MemFree", "pass machine=")
    row = int(np.argmin(np.abs(record["t_ms"])))
    nids = sorted(int(name[1:-9]) for name in record if name.startswith("n") and name.endswith("_total_kb"))
    total = [int(record[f"n{nid}_total_kb"][row]) * 1024 for nid in nids]
    free = [int(record[f"n{nid}_free_kb"][row]) * 1024 for nid in nids]
    if nids != [0, 1]:
        text = f"describes nodes {', '.join(map(str, nids))}; their bounds can be found for nodes 0 and 1 only"
        raise InputError(str(record.path), text, "pass machine=")
    cut, end = _bounds(recording, placement, total)
    nodes = []
    for nid, (start, stop) in enumerate(((0, cut), (cut, end))):
        mine = sum(
            max(0, min(stop, p.start_bytes + (p.hi - p.lo) * PAGE_SZ) - max(start, p.start_bytes))
            if p.start_bytes is not None
            else (p.hi - p.lo) * PAGE_SZ * (p.nid == nid)
            for p in placement
        )
        other = total[nid] - free[nid] - mine
        if other < 0:
            text = f"node {nid} has {total[nid] - free[nid]} bytes in use, the workload alone {mine}"
            raise InputError(record.where(row), text, "pass machine=")
        cache = int(other * lru_share) // PAGE_SZ * PAGE_SZ
        nodes.append(Node(nid, start, stop - start, 0, stop - start - total[nid], other - cache, cache))
    return Machine(tuple(nodes), hz=HZ)


def _bounds(recording: Recording, placement: Sequence[Placement], total: Sequence[int]) -> tuple[int, int]:
    """Return the ends of node 0 and node 1 in bytes: bounds that the configuration names, or the documented ones."""
    filters, ranges = [], []
    for context in recording.contexts:
        if context.ops == "paddr":
            found = (f for scheme in context.schemes for f in scheme.filters if f.type == "addr")
            filters += [bound * context.addr_unit for f in found for bound in (f.start_bytes, f.end_bytes)]
            ranges += [bound * context.addr_unit for t in context.targets for region in t.regions for bound in region]
    runs = [(p.nid, p.start_bytes, p.start_bytes + (p.hi - p.lo) * PAGE_SZ) for p in placement if p.start_bytes is not None]
    need = max([sum(total), *ranges, *(stop for _, _, stop in runs)])
    ends = [bound for bound in (*filters, DOCUMENTED_ENDS[1]) if need <= bound < 2**63]
    end = min(ends) if ends else -(-need // _MEMORY_BLOCK) * _MEMORY_BLOCK

    def misplaced(cut: int) -> int:
        above = sum(max(0, stop - max(start, cut)) for nid, start, stop in runs if nid == 0)
        return above + sum(max(0, min(stop, cut) - start) for nid, start, stop in runs if nid == 1)

    cuts = [cut for cut in (*filters, *ranges, DOCUMENTED_ENDS[0]) if total[0] <= cut <= end - total[1]]
    if not cuts:
        text = f"no bound splits 0..{end} into nodes of {total[0]} and {total[1]} bytes"
        raise InputError(str(recording.path), text, "pass machine=")
    return min(cuts, key=misplaced), end
