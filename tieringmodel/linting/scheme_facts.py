"""What a scenario fixes before it runs: periods, sources and targets of schemes, who will look hot, who lies where.

Page counts are exact; which pages match an access pattern is an expectation (`touches_of`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..damon.parameters import default_rejects, reset_interval_jiffies, split_filters
from ..scenario import Context, Filter, Scenario, Scheme
from ..units import FOREVER, PAGE_SZ, UINT_MAX
from .apply_clock import ApplyClock, apply_clock
from .expected_accesses import Touches, touches_of
from .initial_placement import Places

MOST_WINDOWS = 1000
"""Evaluations that are looked at for one that comes at the same time within its jiffy as an earlier one."""


class Matching(NamedTuple):
    """Pages per node that match an access pattern."""

    by_phase: list[list[int]]
    ever: list[int]
    """Of the areas that match in any phase."""


@dataclass(frozen=True)
class SchemeFacts:
    """A scheme, and everything about it that does not need a run. Nodes are indices of the machine."""

    shared: ScenarioFacts
    c: int
    s: int

    @property
    def context(self) -> Context:
        """Its context."""
        return self.shared.scenario.contexts[self.c]

    @property
    def scheme(self) -> Scheme:
        """The scheme itself."""
        return self.context.schemes[self.s]

    @property
    def path(self) -> str:
        """Where it stands in the scenario."""
        return f"contexts[{self.c}].schemes[{self.s}]"

    @property
    def migrates(self) -> bool:
        """Whether it moves pages between nodes."""
        return self.scheme.action in ("migrate_hot", "migrate_cold")

    @property
    def reclaims(self) -> bool:
        """Whether it takes pages out of memory."""
        return self.scheme.action == "pageout" and self.context.ops == "paddr"

    @cached_property
    def apply_us(self) -> float:
        """Time from one application to the next: whole sampling intervals, stretched as the recorded ones are."""
        attrs, times = self.context.attrs, self.context.aggr_times_us
        ticks = max((self.scheme.apply_interval_us or attrs.aggr_us) // attrs.sample_us, 1)
        nominal = attrs.aggr_us // attrs.sample_us * attrs.sample_us
        tick_us = self.shared.scenario.machine.slept_ns(attrs.sample_us, self.shared.scenario.kernel.rules) / 1000
        return ticks * attrs.sample_us * times[-1] / len(times) / nominal if times else ticks * tick_us

    @cached_property
    def clock(self) -> ApplyClock:
        """When it is applied first, and whether interval tuning ever lets it be."""
        attrs, goal = self.context.attrs, self.context.attrs.intervals_goal

        def score(sample_us: int) -> int:
            return int(self.shared.accessed(self.c, sample_us) * 1e8 / max(goal.access_bp, 1))

        return apply_clock(attrs, self.scheme.apply_interval_us, score)

    @property
    def starved(self) -> bool:
        """Whether it is not expected ever to be applied."""
        return math.isinf(self.clock.first_us)

    @cached_property
    def asleep(self) -> str:
        """Why its watermarks let it sleep as long as free memory stays what it is; "" where it is awake."""
        marks, free = self.scheme.watermarks, self.shared.free_permil
        if marks.metric == "none" or marks.low <= free <= marks.high:
            return ""
        return f"above high = {marks.high}" if free > marks.high else f"below low = {marks.low}"

    @cached_property
    def windows_us(self) -> list[float]:
        """Times from one goal evaluation to the next, over and over: inf where the kernel takes a charge window for endless.

        An evaluation comes with the first application that is the reset interval later by the clock of jiffies. Where an
        application comes in the middle of a jiffy, that is less than the interval at times.
        """
        hz, apply_ns = self.shared.scenario.machine.hz, round(self.apply_us * 1000)
        jiffies, jiffy_ns = reset_interval_jiffies(self.scheme.quota.reset_interval_ms, hz), 10**9 // hz
        if jiffies is None:
            return [math.inf]
        now, seen, out = apply_ns, dict[int, int](), list[float]()
        while now % jiffy_ns not in seen and len(out) < MOST_WINDOWS:
            seen[now % jiffy_ns] = len(out)
            steps = max(-(-((now // jiffy_ns + jiffies) * jiffy_ns - now) // apply_ns), 1)
            now += steps * apply_ns
            out.append(steps * self.apply_us)
        return out[seen.get(now % jiffy_ns, 0) :]

    @cached_property
    def window_us(self) -> float:
        """Time from one goal evaluation to the next, on average."""
        return sum(self.windows_us) / len(self.windows_us)

    def evaluation_s(self, k: int) -> float:
        """Return when the goals are evaluated for the k-th time (k = 1 is the first), in seconds."""
        at_start = self.shared.scenario.kernel.rules.first_window_esz
        if self.scheme.quota.reset_interval_ms & UINT_MAX == 0:  # expired right at its start: twice in the first application
            k = max(k - 1, 1) if at_start else k
        elif not at_start:
            k += 1
        return (self.first_us + (k - 1) * self.window_us if k > 1 else self.first_us) * 1e-6

    @property
    def first_us(self) -> float:
        """When it is applied for the first time."""
        return self.apply_us if self.context.aggr_times_us else self.clock.first_us

    @cached_property
    def target(self) -> int | None:
        """The only node that it moves pages to; None if there is none, or several."""
        named = {d.id for d in self.scheme.dests if d.weight} if self.scheme.dests else {self.scheme.target_nid}
        index = self.shared.index_of.get(next(iter(named))) if len(named) == 1 else None
        return index if self.migrates else None

    @cached_property
    def monitored(self) -> Ranges:
        """Monitored spans in bytes of the context's address space."""
        return self.shared.monitored[self.c]

    @cached_property
    def passing(self) -> Ranges:
        """What of `monitored` passes the core filters."""
        return passing_ranges(self.scheme, self.monitored, self.context.addr_unit, self.context.min_region_sz)

    def all_but(self, node: int) -> tuple[Filter, ...]:
        """Return the filters that reject a node's addresses: one, unless another node's lie between them."""
        unit, stretches = self.context.addr_unit, self.shared.scenario.machine.stretches(node)
        return tuple(Filter("addr", start_bytes=start // unit, end_bytes=end // unit) for start, end in stretches)

    @cached_property
    def sources(self) -> frozenset[int]:
        """Nodes from which it moves pages."""
        every = range(len(self.shared.nodes))
        if self.context.ops == "paddr":
            return frozenset(i for i in every if i != self.target and self.shared.bytes_on(self.passing, i))
        return frozenset(i for i in every if i != self.target)

    def matches(self, nr: float | np.ndarray) -> np.ndarray:
        """Whether expected nr_accesses fit the access pattern."""
        p = self.scheme.access_pattern
        return np.asarray((p.min_nr_accesses <= np.rint(nr)) & (np.rint(nr) <= p.max_nr_accesses))

    def eligible(self, phase: int | None = None) -> list[int]:
        """Return pages per node of monitored memory that match the access pattern, in a phase or (None) in any."""
        return self._pages(phase, False)

    def supply(self, phase: int | None = None) -> list[int]:
        """Return pages per node that match the access pattern and pass the core filters."""
        return self._pages(phase, True)

    @cached_property
    def _known(self) -> dict[bool, Matching]:
        return {}

    def _pages(self, phase: int | None, filtered: bool) -> list[int]:
        if filtered not in self._known:
            self._known[filtered] = self.shared.pages(self, self.passing if filtered else self.monitored)
        known = self._known[filtered]
        return known.ever if phase is None else known.by_phase[phase]

    @cached_property
    def phases(self) -> list[int]:
        """The phases that differ in `eligible` or `supply`, each the first of its kind, in order."""
        first: dict[tuple[int, ...], int] = {}
        for p in range(len(self.shared.phases)):
            first.setdefault((*self.eligible(p), *self.supply(p)), p)
        return list(first.values())

    @cached_property
    def touched_pages(self) -> int:
        """Eligible pages in the phase with the fewest, of those with any; 0 if there never are any."""
        return min((n for p in self.phases if (n := sum(self.eligible(p)))), default=0)

    @cached_property
    def cap_pages(self) -> int | None:
        """Whole pages per window that the size quota allows; None without one."""
        return self.scheme.quota.sz_bytes // PAGE_SZ if self.scheme.quota.sz_bytes else None


class ScenarioFacts:
    """Everything that rules ask about a scenario, computed when first asked.

    Parameters
    ----------
    scenario : Scenario
        What will be run.

    Attributes
    ----------
    original, scenario : Scenario
        The scenario as given, and in pages of 4 KiB.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.original = scenario
        self.scenario = scenario = in_base_pages(scenario)
        self.nodes = scenario.machine.nodes
        self.index_of = {n.nid: i for i, n in enumerate(self.nodes)}
        self.total = [(n.sz_bytes - n.unmanaged_bytes - n.offline_bytes) // PAGE_SZ for n in self.nodes]
        self.reserve = [n.reserve_pages for n in self.nodes]
        self.schemes = [
            SchemeFacts(self, c, s) for c, x in enumerate(scenario.contexts) for s, y in enumerate(x.schemes) if y.enabled
        ]
        changes = {t for g in scenario.workload.groups for t in (g.start_tick, g.end_tick)}
        self.phases = (0, *sorted(t for t in changes if 0 < t < FOREVER))
        self._touches: dict[int, Touches] = {}
        self._nodes_of: dict[int, np.ndarray] = {}

    @cached_property
    def places(self) -> Places:
        """The initial placement."""
        return Places(self.scenario)

    @cached_property
    def monitored(self) -> list[Ranges]:
        """Monitored spans of each context in bytes of its address space."""
        out = []
        for context in self.scenario.contexts:
            unit, step = context.addr_unit, context.min_region_sz
            if context.ops == "paddr":
                low, high = self.scenario.machine.extent
                all_bytes = [(low // unit, high // unit)]
            else:
                all_bytes = [(v.start_bytes, v.start_bytes + (v.hi - v.lo) * PAGE_SZ) for v in self.scenario.workload.vmas]
            named = [r for t in context.targets for r in (t.regions or all_bytes)]
            out.append(sorted(((a - a % step) * unit, -(-b // step) * step * unit) for a, b in named))
        return out

    @cached_property
    def free_permil(self) -> int:
        """Free memory of the machine at the start, in permil."""
        return sum(self.places.free) * 1000 // max(sum(self.total), 1)

    def bytes_on(self, ranges: Ranges, node: int) -> int:
        """Return how many bytes of a node the physical spans cover."""
        return sum(b - a for start, end in self.nodes[node].system_ram for a, b in clip(ranges, start, end))

    def touches(self, c: int) -> Touches:
        """Return the workload's areas with nr_accesses as context c will count them; they cover all logical pages."""
        if c not in self._touches:
            self._touches[c] = touches_of(self.scenario, self.scenario.contexts[c].attrs, self.phases)
        return self._touches[c]

    def accessed(self, c: int, sample_us: int) -> float:
        """Return the share of access checks that are expected to see an access at a sampling interval, as it begins."""
        attrs = self.scenario.contexts[c].attrs
        samples = attrs.aggr_us // attrs.sample_us
        touches = touches_of(self.scenario, attrs.replace(sample_us=sample_us, aggr_us=sample_us * samples), self.phases)
        monitored = self.monitored[c]
        if self.scenario.contexts[c].ops == "paddr":
            part = [self.bytes_on(monitored, i) / n.sz_bytes for i, n in enumerate(self.nodes)]
            pages = self._on_nodes(c) @ np.array(part)
        else:
            pages = self._mapped(c, monitored).sum(axis=1)
        nr = touches.at(np.arange(len(pages)), np.zeros(len(pages), np.int64))
        return float(pages @ nr / samples) * PAGE_SZ / max(sum(b - a for a, b in monitored), 1)

    def pages(self, facts: SchemeFacts, ranges: Ranges) -> Matching:
        """Return pages per node inside `ranges` that match a scheme's pattern; a node covered in part counts in part."""
        touches, physical = self.touches(facts.c), facts.context.ops == "paddr"
        here = self._on_nodes(facts.c) if physical else self._mapped(facts.c, ranges)
        fits = facts.matches(touches.nr)
        change = np.zeros((len(self.phases) + 1, len(self.nodes)), np.int64)  # from the phase before to this one
        np.add.at(change, touches.since[fits], here[touches.area[fits]])
        np.subtract.at(change, touches.until[fits], here[touches.area[fits]])
        rows = np.vstack((change[:-1].cumsum(axis=0), here[np.unique(touches.area[fits])].sum(axis=0)))
        if physical and facts.matches(0.0):
            rows += np.array(self.places.cache)
        known = rows.tolist()
        if physical:
            parts = [(self.bytes_on(ranges, i), n.sz_bytes) for i, n in enumerate(self.nodes)]
            known = [[x * part // size for x, (part, size) in zip(row, parts, strict=True)] for row in known]
        return Matching(known[:-1], known[-1])

    def _on_nodes(self, c: int) -> np.ndarray:
        """Return pages per area and node."""
        if c not in self._nodes_of:
            edges = self.touches(c).edges.tolist()
            self._nodes_of[c] = self._table([self.places.on_nodes(lo, hi) for lo, hi in pairwise(edges)])
        return self._nodes_of[c]

    def _mapped(self, c: int, ranges: Ranges) -> np.ndarray:
        """Return pages per area and node, as often as virtual spans map them."""
        touches = self.touches(c)
        edges = touches.edges.tolist()
        out = self._table([[0] * len(self.nodes)] * (len(edges) - 1))
        for lo, hi in self.logical(ranges):
            for a in touches.overlapping(lo, hi):
                out[a] += self.places.on_nodes(max(edges[a], lo), min(edges[a + 1], hi))
        return out

    def _table(self, rows: list[list[int]]) -> np.ndarray:
        return np.array(rows, np.int64).reshape(-1, len(self.nodes))

    def logical(self, ranges: Ranges) -> Ranges:
        """Return the logical pages in virtual spans."""
        out = []
        for v in self.scenario.workload.vmas:
            for a, b in clip(ranges, v.start_bytes, v.start_bytes + (v.hi - v.lo) * PAGE_SZ):
                out.append((v.lo + (a - v.start_bytes) // PAGE_SZ, v.lo - (v.start_bytes - b) // PAGE_SZ))
        return sorted(out)

    def resident(self, c: int) -> list[int]:
        """Return LRU pages per node in the monitored memory of a paddr context."""
        on_lru = [
            a + b for a, b in zip(self.places.on_nodes(0, self.scenario.workload.n_pages), self.places.cache, strict=True)
        ]
        return [n * self.bytes_on(self.monitored[c], i) // self.nodes[i].sz_bytes for i, n in enumerate(on_lru)]

    def filled(self, node: int, but: SchemeFacts) -> bool:
        """Whether another scheme moves pages into the node."""
        return any(facts.target == node and facts.sources for facts in self.schemes if facts is not but)

    def drained(self, node: int, but: SchemeFacts) -> bool:
        """Whether another scheme moves pages out of the node, or reclaims them."""
        return any((facts.migrates or facts.reclaims) and node in facts.sources for facts in self.schemes if facts is not but)


_LAST: deque[ScenarioFacts] = deque(maxlen=8)


def facts_of(scenario: Scenario) -> ScenarioFacts:
    """Return the facts about a scenario; the same object while rules ask about the same scenario."""
    # By identity: events may hold lists, so a scenario need not have a hash.
    known = next((f for f in list(_LAST) if f.original is scenario), None)
    if known is None:
        known = ScenarioFacts(scenario)
        _LAST.append(known)
    return known


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
        With its workload in ticks (`Scenario.timed_workload`); the same object if all is so already.
    """
    n, workload = scenario.machine.folio_bytes // PAGE_SZ, scenario.timed_workload
    if n == 1:
        return scenario if workload is scenario.workload else scenario.replace(workload=workload)
    ranges = {
        name: tuple(one.replace(lo=one.lo * n, hi=one.hi * n) for one in getattr(workload, name))
        for name in ("groups", "placement", "vmas", "memcgs")
    }
    nodes = tuple(node.replace(reserve_pages=node.reserve_pages * n) for node in scenario.machine.nodes)
    return scenario.replace(
        machine=scenario.machine.replace(nodes=nodes, folio_bytes=PAGE_SZ),
        workload=workload.replace(n_pages=workload.n_pages * n, **ranges),
        events=(),
        commits=(),
    )


Ranges = list[tuple[int, int]]


def clip(ranges: Iterable[tuple[int, int]], lo: int, hi: int) -> Ranges:
    """Return what the spans have inside lo … hi."""
    return [(max(a, lo), min(b, hi)) for a, b in ranges if max(a, lo) < min(b, hi)]


def passing_ranges(scheme: Scheme, monitored: Ranges, unit: int, step: int) -> Ranges:
    """Return what of the monitored spans passes a scheme's core filters (docs/theory/damon.md, sections d.4 and d.5).

    Parameters
    ----------
    scheme : Scheme
        The scheme; of a context's targets, only the first is looked at.
    monitored : list of (int, int)
        Bytes.
    unit, step : int
        ``addr_unit``, and the smallest region in core addresses to which filters' bounds are rounded down.
    """
    core, _ = split_filters(scheme.filters)
    bounds: dict[int, tuple[int, int]] = {
        k: ((f.start_bytes - f.start_bytes % step) * unit, (f.end_bytes - f.end_bytes % step) * unit)
        for k, f in enumerate(core)
        if f.type == "addr"
    }

    def hits(k: int, f: Filter, lo: int, hi: int) -> bool:
        inside = bounds[k][0] <= lo and hi <= bounds[k][1] if k in bounds else f.target_idx == 0
        return inside == f.matching

    edges = {e for start_end in monitored for e in start_end} | {e for pair in bounds.values() for e in pair}
    out: Ranges = []
    for lo, hi in pairwise(sorted(edges)):
        decisive = next((f for k, f in enumerate(core) if hits(k, f, lo, hi)), None)
        if clip(monitored, lo, hi) and (decisive.allow if decisive else not default_rejects(scheme.filters)[0]):
            out.append((lo, hi))
    return out
