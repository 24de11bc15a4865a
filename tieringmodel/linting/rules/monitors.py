"""Rules about monitoring: intervals, regions, and contexts that look at the same memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise

import numpy as np

from ...cost.constants import DEFAULT, ESTIMATES
from ...cost.control import monitoring_share
from ...scenario import Context, Scenario, tick_over_sample
from ...units import PAGE_SZ, UINT_MAX, format_bytes
from ..finding import Finding, fix, rule
from ..scheme_facts import Ranges, ScenarioFacts, clip, facts_of
from ..wording import duration, size

COSTLY = 0.25
"""Share of a CPU for access checks that is worth a warning."""
SPARSE_NR = 5.0
"""An area seen so often is hot enough to be looked for."""
DISTURBED = 0.01
"""Share of samples that another context spoils, above which it is worth a warning."""


def lost_counts(samples: int) -> list[int]:
    """Return the access counts that a conversion to basis points and back makes smaller."""
    return [n for n in range(samples + 1) if n * 10_000 // samples * samples // 10_000 != n]


@rule
def lossy_intervals(scenario: Scenario) -> Iterator[Finding]:
    """Interval tuning converts access counts through basis points, which truncates twice."""
    for c, context in enumerate(scenario.contexts):
        attrs = context.attrs
        samples = max(1, min(attrs.aggr_us // attrs.sample_us, UINT_MAX))
        if attrs.intervals_goal.aggrs and samples <= 10_000 and (lost := lost_counts(samples)):
            shown = ", ".join(map(str, lost[:5])) + (" …" if len(lost) > 5 else "")
            near = next((n for n in range(samples + 1, 10_001) if not lost_counts(n)), 20)
            yield Finding(
                "lossy-intervals",
                "info",
                f"contexts[{c}].attrs.aggr_us",
                f"{samples} samples per aggregation do not divide 10000: whenever the intervals are tuned, "
                f"{len(lost)} of the counts 0 … {samples} ({shown}) lose one although the number of samples stays",
                f"set aggr_us = {attrs.sample_us * near} ({near} samples)",
                fix({f"contexts[{c}].attrs.aggr_us": attrs.sample_us * near}),
            )
        if attrs.aggr_us % attrs.sample_us:
            usable_us = attrs.aggr_us // attrs.sample_us * attrs.sample_us
            text = f"an aggregation is a whole number of samples: {usable_us} us instead of {attrs.aggr_us} us"
            path = f"contexts[{c}].attrs.aggr_us"
            yield Finding("interval-remainder", "info", path, text, changes=fix({path: usable_us}))


@rule
def tick_longer_than_a_sample(scenario: Scenario) -> Iterator[Finding]:
    """Pages are touched or not in each tick: of the samples that fall into one, a single one can find it."""
    for c, (text, sample_us) in tick_over_sample(scenario).items():
        path, groups = f"contexts[{c}].attrs.sample_us", scenario.workload.groups
        # Groups of another kind say in ticks what they touch: they would be others.
        change = fix({"workload.tick_us": sample_us} if all(g.kind == "rate" for g in groups) else {})
        yield Finding("tick-over-sample", "warning", path, text, f"shorten workload.tick_us to {sample_us}", change)


MAX_COMPARED = 64
"""Contexts: their pairs grow with the square."""


@rule
def contexts_share_memory(scenario: Scenario) -> Iterator[Finding]:
    """Two contexts clear the accessed state that the other one is about to read."""
    shared, n = facts_of(scenario), len(scenario.contexts)
    if n > MAX_COMPARED:
        text = f"of {n} contexts only the first {MAX_COMPARED} are compared with each other for memory that both sample"
        fewer = "let one context monitor the memory and give it all schemes"
        yield Finding("two-contexts-same-memory", "info", f"contexts[{MAX_COMPARED}].targets", text, fewer)
    for (a, one), (b, other) in combinations(enumerate(scenario.contexts[:MAX_COMPARED]), 2):
        pages = _common(shared, a, b)
        if not pages:
            continue
        # The other context picks one page per region and sampling interval, and clears it.
        picks = other.attrs.max_nr_regions * max(one.attrs.sample_us / other.attrs.sample_us, 1.0)
        back = one.attrs.max_nr_regions * max(other.attrs.sample_us / one.attrs.sample_us, 1.0)
        worst = min(max(picks, back) / pages, 1.0)
        young = any(f.type == "young" for x in (one, other) for s in x.schemes for f in s.filters)
        text = (
            f"contexts[{a}] and contexts[{b}] both sample {size(pages)}: each clears accessed state that the other "
            f"is about to read; with max_nr_regions regions this spoils at most {worst:.2g} of the samples"
        )
        if young:
            text += ", and young filters clear every page that they let pass as young"
        yield Finding(
            "two-contexts-same-memory",
            "warning" if worst > DISTURBED or young else "info",
            f"contexts[{b}].targets",
            text,
            "let one context monitor the memory and give it all schemes",
        )


def _common(shared: ScenarioFacts, a: int, b: int) -> int:
    """Pages that both contexts monitor."""
    one, other = shared.monitored[a], shared.monitored[b]
    physical = [shared.scenario.contexts[k].ops == "paddr" for k in (a, b)]
    if all(physical):
        return sum(y - x for lo, hi in other for x, y in clip(one, lo, hi)) // PAGE_SZ
    if not any(physical):
        mapped = shared.logical(one)
        return _pages([(x, y) for lo, hi in shared.logical(other) for x, y in clip(mapped, lo, hi)])
    ranges, pages = (one, shared.logical(other)) if physical[0] else (other, shared.logical(one))
    n = [0] * len(shared.nodes)
    for lo, hi in pages:
        n = [x + y for x, y in zip(n, shared.places.on_nodes(lo, hi), strict=True)]
    return sum(k * shared.bytes_on(ranges, i) // shared.nodes[i].sz_bytes for i, k in enumerate(n))


def _pages(ranges: Ranges) -> int:
    return sum(b - a for a, b in ranges)


@rule
def too_few_regions(scenario: Scenario) -> Iterator[Finding]:
    """More areas of different access rate than regions to tell them apart, or areas too sparse for regions to find."""
    shared = facts_of(scenario)
    for c, context in enumerate(scenario.contexts):
        most, attrs = int(runs_by_phase(shared, c, context).max()), context.attrs
        touches, pages = shared.touches(c), max(shared.scenario.workload.n_pages, 1)
        area = np.arange(len(touches.edges) - 1)
        mean = float(np.diff(touches.edges) @ touches.at(area, np.zeros_like(area))) / pages
        sparse = mean < 1 and touches.nr.max(initial=0.0) > SPARSE_NR and most > 2 * attrs.min_nr_regions
        if most <= attrs.max_nr_regions and not sparse:
            continue
        monitored = sum(b - a for a, b in shared.monitored[c]) // PAGE_SZ
        fewest = max(-(-monitored * most // (2 * pages)), attrs.min_nr_regions)
        regions = {"min_nr_regions": fewest, "max_nr_regions": max(3 * fewest, attrs.max_nr_regions)}
        too_many = f"the workload has {most} neighbouring areas of different access rate, "
        too_many += (
            f"but there are at most {attrs.max_nr_regions} regions: some average over hot and cold memory"
            if most > attrs.max_nr_regions
            else f"seen in {mean:.2g} samples on average: regions that average over several look idle and are merged"
        )
        limit = size(monitored / max(attrs.min_nr_regions, 1))
        yield Finding(
            "too-few-regions",
            "warning" if most > attrs.max_nr_regions else "info",
            f"contexts[{c}].attrs." + ("max_nr_regions" if most > attrs.max_nr_regions else "min_nr_regions"),
            f"{too_many}; what looks alike is merged up to {limit}: min_nr_regions = {attrs.min_nr_regions} alone limits that",
            changes=fix({f"contexts[{c}].attrs.{name}": value for name, value in regions.items()}),
        )


@rule
def monitoring_cost(scenario: Scenario) -> Iterator[Finding]:
    """So many regions that looking at them costs a good part of a CPU."""
    shared = facts_of(scenario)
    for c, context in enumerate(scenario.contexts):
        attrs, path = context.attrs, f"contexts[{c}].attrs.max_nr_regions"
        extent = sum(b - a for a, b in shared.monitored[c])
        regions = min(attrs.max_nr_regions, max(extent // (context.min_region_sz * context.addr_unit), 1))
        low, share, high = (monitoring_share(regions, attrs.sample_us, attrs.aggr_us, DEFAULT.at(e)) for e in ESTIMATES)
        if share > COSTLY:
            fewer = {path: max(int(regions * COSTLY / share), 9)}
            if 3 * attrs.min_nr_regions > fewer[path]:
                fewer[path.replace("max_", "min_")] = fewer[path] // 3
            yield Finding(
                "monitoring-cost",
                "warning",
                path,
                f"{regions} regions every {duration(attrs.sample_us * 1e-6)} are {regions / attrs.sample_us * 1e6:.3g} access "
                f"checks/s: about {share:.0%} of a CPU ({low:.0%} to {high:.0%})",
                changes=fix(fewer),
            )


@rule
def no_ranges(scenario: Scenario) -> Iterator[Finding]:
    """A paddr context without ranges: everything from the first to the last address is monitored, holes included."""
    shared = facts_of(scenario)
    for c, context in enumerate(scenario.contexts):
        open_ended = [k for k, t in enumerate(context.targets) if not t.regions]
        if context.ops != "paddr" or not open_ended:
            continue
        nodes, unit = shared.nodes, context.addr_unit
        low, high = scenario.machine.extent
        extent = high - low
        holes = extent - sum(n.sz_bytes for n in nodes)
        empty = holes + sum(n.unmanaged_bytes + n.offline_bytes for n in nodes)
        if not holes:
            continue
        path = f"contexts[{c}].targets[{open_ended[0]}].regions"
        yield Finding(
            "no-ranges",
            "warning" if 2 * empty > extent else "info",
            path,
            f"without ranges all {format_bytes(extent)} from the first to the last address are monitored, "
            f"{format_bytes(holes)} of them holes: regions and quota are spent on addresses without memory",
            "give the nodes' ranges",
            fix({path: [[start // unit, end // unit] for start, end, _ in scenario.machine.spans]}),
        )


def runs_by_phase(shared: ScenarioFacts, c: int, context: Context) -> np.ndarray:
    """Return for each phase how many runs of equal access rate follow each other in the monitored address space."""
    touches, phases = shared.touches(c), len(shared.phases)
    order = np.array(_in_order(shared, c, context), np.int64).reshape(-1, 2)
    space, area = order.T
    first = np.append(True, space[1:] != space[:-1])[: len(space)]
    pair = np.flatnonzero(~first)  # of the piece and the one before it
    # Two neighbours can change sides only where the access rate of one of them changes.
    starts = np.searchsorted(touches.area, np.arange(len(touches.edges)))
    both = np.concatenate((area[pair], area[pair - 1]))
    n = starts[both + 1] - starts[both]
    piece = np.arange(n.sum()) + np.repeat(starts[both] - (np.cumsum(n) - n), n)
    which, since = np.divmod(np.unique(np.repeat(np.tile(pair, 2), n) * phases + touches.since[piece]), phases)
    until = np.append(since[1:], 0)[: len(since)]
    until[until == 0] = phases
    apart = touches.at(area[which], since) != touches.at(area[which - 1], since)
    change = np.bincount(since[apart], minlength=phases + 1) - np.bincount(until[apart], minlength=phases + 1)
    return np.asarray(first.sum() + change[:-1].cumsum())


def _in_order(shared: ScenarioFacts, c: int, context: Context) -> list[tuple[int, int]]:
    """Return (address space, area) of every piece of memory in order of addresses; each node is a space of its own."""
    touches, pieces, n = shared.touches(c), [], len(shared.nodes)
    edges = touches.edges.tolist()
    if context.ops == "paddr":
        starts, lowest = [], [node.extent[0] for node in shared.nodes]
        for run in shared.places.runs:  # without an address they fill the lowest frames in order
            starts.append(lowest if run.start_bytes is None else [run.start_bytes] * n)
            if run.start_bytes is None:
                more = run.counts(run.lo, run.hi, n)
                lowest = [start + pages * PAGE_SZ for start, pages in zip(lowest, more, strict=True)]
        for a, (lo, hi) in enumerate(pairwise(edges)):
            for k in shared.places.overlapping(lo, hi):
                run = shared.places.runs[k]
                before = run.counts(run.lo, lo, n)
                for node in set(run.nodes):
                    pieces.append((node, starts[k][node] + before[node] * PAGE_SZ, a))
    else:
        for v in shared.scenario.workload.vmas:
            for a in touches.overlapping(v.lo, v.hi):
                pieces.append((0, v.start_bytes + max(edges[a] - v.lo, 0) * PAGE_SZ, a))
    pieces.sort(key=lambda p: p[:2])
    return [(space, a) for space, _, a in pieces]
