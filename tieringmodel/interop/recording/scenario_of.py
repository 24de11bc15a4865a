"""A recording of a real kernel, and the scenario that repeats its set-up without its outcome."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...damon.vaddr import joined, three_regions
from ...errors import InputError
from ...scenario import Commit, Context, Group, Kernel, Machine, Node, Placement, Scenario, Target, Vma, Workload, Zone
from ...units import LONGEST_US, PAGE_SZ
from .machine_of import machine_of, swap_of
from .memcgs_of import memcgs_of
from .numa_of import as_recorded, balancing_of
from .tables import Table
from .timing import PARTS, Turns, last_samples_us, recorded_groups, turns_of

PHASE = re.compile(r"rate_hz_from_(\d+)ms")
"""Columns of the layout with access rates, from a time on."""


@dataclass(frozen=True, eq=False)
class KdamondTables:
    """What was recorded of one kdamond: see the attributes of `Recording` of these names."""

    resets: Table | None = None
    applies: Table | None = None
    aggregated: Table | None = None
    aggregation_rows: NDArray[np.int64] | None = None

    @property
    def aggregation_times_us(self) -> NDArray[np.int64] | None:
        """End of each aggregation in microseconds since DAMON was turned on (time of its first event)."""
        if self.aggregated is None or self.aggregation_rows is None:
            return None
        starts_ms: NDArray[np.float64] = self.aggregated["t_ms"][self.aggregation_rows[:-1]]
        return np.rint(starts_ms * 1_000).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Recording:
    """One run. A table that the run does not have is None.

    All ``t_ms`` count from the moment DAMON was turned on (``info["t0_mono_ms"]`` of the guest's monotonic clock).

    Attributes
    ----------
    path : Path
        The run's directory.
    layout, physmap : Table or None
        Segments of the workload with their access rates by phase; physical runs of each at the start.
    record, resets, applies, snapshots, intervals : Table or None
        Periodic counters, quota resets, statistics events, snapshots of regions, tuned sampling intervals.
    aggregated : Table or None
        Regions after every aggregation; rows of aggregation ``k`` are ``aggregation_rows[k]`` up to
        ``aggregation_rows[k + 1]``.
    aggregation_rows : array of int64 or None
        First row of each aggregation, and the number of rows.
    quota_steps : Table or None
        Quota resets driven in lock-step.
    info : mapping of str to float
        Settings of the recorder.
    contexts : tuple of Context
        From the dump of DAMON's sysfs tree, taken at the end of the run; where settings were changed, those of the start.
    weights_changed_ms : float or None
        When the schemes' destination weights were changed: one of `changes`, if the run's name has those before it, or else the
        contexts hold those after the change.
    notes : tuple of str
        What the files say beyond the attributes.
    kernel : Kernel or None
        The recorded kernel, where ``version`` or ``proc/version`` says so.
    changes : tuple of (int, tuple of Context)
        Milliseconds, and the contexts from then on, for each change of settings.
    nodes : tuple of Node
        From ``zoneinfo.txt``, where there is one: which ranges of addresses the nodes have.
    untold : Path or None
        What says that commands ran while it was recorded, where no file says what they changed.
    extra : Table or None
        Counters of the kernel's beside those of `record`, in rows of the same times.
    kdamonds : tuple of KdamondTables
        Where several ran: resets, applies and aggregations of each, which the recording's own attributes then lack.
    zones : tuple of Zone
        Watermarks, from ``zoneinfo.txt``, where there is one.
    """

    path: Path
    layout: Table | None = None
    physmap: Table | None = None
    record: Table | None = None
    resets: Table | None = None
    applies: Table | None = None
    aggregated: Table | None = None
    aggregation_rows: NDArray[np.int64] | None = None
    snapshots: Table | None = None
    intervals: Table | None = None
    quota_steps: Table | None = None
    info: Mapping[str, float] | None = None
    contexts: tuple[Context, ...] = ()
    weights_changed_ms: float | None = None
    notes: tuple[str, ...] = ()
    kernel: Kernel | None = None
    changes: tuple[tuple[int, tuple[Context, ...]], ...] = ()
    untold: Path | None = None
    nodes: tuple[Node, ...] = ()
    extra: Table | None = None
    kdamonds: tuple[KdamondTables, ...] = ()
    zones: tuple[Zone, ...] = ()
    memcg_paths: tuple[str, ...] = ()

    def of_kdamond(self, k: int) -> KdamondTables:
        """Return what was recorded of one of the kdamonds, by its number."""
        if self.kdamonds:
            return self.kdamonds[k]
        return KdamondTables(self.resets, self.applies, self.aggregated, self.aggregation_rows)

    @property
    def name(self) -> str:
        """Name of the run, that of its directory."""
        return self.path.resolve().name

    @property
    def aggregation_times_us(self) -> NDArray[np.int64] | None:
        """End of each aggregation of the only kdamond, in microseconds since DAMON was turned on (time of its first event)."""
        return None if self.kdamonds else self.of_kdamond(0).aggregation_times_us

    def to_scenario(
        self,
        *,
        recorded_intervals: bool = True,
        recorded_rates: bool = False,
        lru_share_of_other: float = 0.0,
        machine: Machine | None = None,
        kernel: Kernel | None = None,
        balancing: bool = True,
        turns: bool = True,
        passes: bool = True,
    ) -> Scenario:
        """Return the set-up of a recorded run as a scenario.

        Every page of the layout becomes a logical page, segment after segment. A segment whose rate is one access per
        workload tick or more is touched periodically, a slower one at random; an idle one has no group. Pages start on the
        recorded frames, or on their segment's node where no frame was recorded. If ``info.txt`` says ``thp 1``, segments whose
        name ends in ``_thp`` are in folios of 2 MiB wherever virtual and physical addresses are aligned for one.

        Parameters
        ----------
        recorded_intervals : bool
            Let aggregations end when they did (``Context.aggr_times_us``) instead of after the nominal interval, which a
            loaded machine stretches. Where intervals were changed on the way they end after the nominal one all the same.
            Where they do, kdamond's work takes time (``Machine.overload``). The first scan window of NUMA balancing runs when
            it did.
        recorded_rates : bool
            Touch segments as often as their counters say (`recorded_groups`) instead of at the
            configured rates, which a loaded machine misses.
        lru_share_of_other : float
            Share (0 … 1) of the memory in use that is not the workload's which lies on LRU lists, where DAMON sees it.
            The record does not tell; the rest counts as kernel memory.
        machine : Machine or None
            Replaces the machine found in the recording: nodes as ``zoneinfo.txt`` has them, or else split at a bound of
            address filters or monitored ranges that agrees best with where segments lie, or at the documented ones, with
            holes where nothing between monitored ranges is known of; MemTotal and MemFree from the record. Its allocator is
            ``"buddy"`` where folios have one size, else ``"lowest"``. Its swap device is the one that ``info.txt`` names
            (`swap_of`).
        kernel : Kernel or None
            Replaces the recorded kernel; without either it is the default.
        balancing : bool
            Let NUMA balancing promote and kswapd demote where ``info.txt`` says that they did (`recording.numa_of`).
        turns : bool
            Where a context samples more often than the workload ticks: let the pages of a tick be touched one after the other
            while it lasts (`turns_of`), instead of all at once. Not with NUMA balancing, whose faults are counted by ticks.
        passes : bool
            Let the last sample of an aggregation in which schemes acted be as early as in one in which they did not
            (`last_samples_us`), instead of at its end.

        Returns
        -------
        Scenario
            Named after the run; its commits are the recorded changes of settings.

        Raises
        ------
        InputError
            If a table is missing or contradicts another one, commands ran and no settings from 0 ms on say what they changed,
            or an argument is out of range.
        """
        if not 0 <= lru_share_of_other <= 1:
            raise InputError("lru_share_of_other", f"{lru_share_of_other} is no share", "write 0 … 1")
        layout, info = self.layout, self.info
        if layout is None or info is None or not self.contexts:
            names = ("layout.csv", layout), ("info.txt", info), ("damon_config.txt", self.contexts or None)
            missing = ", ".join(name for name, value in names if value is None)
            raise InputError(str(self.path), f"has no {missing}", "a scenario needs layout, info and configuration")
        if self.untold:
            remedy = (
                "write damon_config_from_0ms.txt with the settings of the start, and one for each change, named after its time"
            )
            raise InputError(str(self.untold), "says that commands ran, and no file says what they changed", remedy)
        tick_ms = info.get("tick_ms", 0.0)
        if not 1 <= tick_ms * 1_000 <= LONGEST_US or tick_ms * 1_000 % 1:
            raise InputError(str(self.path / "info.txt"), f"tick_ms is {tick_ms:g}", "write the workload's tick")
        placement = tuple(_placement(layout, self.physmap))
        lows = _lows(layout)
        vmas = tuple(
            Vma(int(lo), int(hi), int(start), int(start) // PAGE_SZ)
            for lo, hi, start in zip(lows[:-1], lows[1:], layout["va_start"], strict=True)
        )
        groups, within = tuple(_groups(layout, tick_ms)), None
        if turns and not info.get("numa_balancing") and any(c.attrs.sample_us < tick_ms * 1_000 for c in self.contexts):
            within = turns_of(self.record, groups, tick_ms)
        if within:
            tick_ms /= PARTS
            groups = tuple(within.at(g.in_parts(PARTS).replace(period=g.period * PARTS)) for g in groups)
        if recorded_rates:
            # Hint faults are those of a tick's touches in their order: who touches at random does so in ticks that were taken.
            in_ticks = within or (Turns({}) if info.get("numa_balancing") else None)
            groups = tuple(recorded_groups(self._periodic(), groups, tick_ms, in_ticks))
        if info.get("thp"):
            groups += tuple(_huge(layout))
        workload = Workload(
            int(lows[-1]), groups, placement, vmas, round(tick_ms * 1_000), memcgs=memcgs_of(layout, self.memcg_paths)
        )
        given = machine
        if machine is None:
            machine = machine_of(self, placement, lru_share_of_other)
            recorded = as_recorded(self.extra, self.record) if recorded_intervals else {}
            machine = machine.replace(numa_balancing=balancing_of(info, self.zones, recorded) if balancing else None)
        contexts = tuple(_with_targets(context, layout) for context in self.contexts)
        commits = tuple(_commits(contexts, [(ms, [_with_targets(c, layout) for c in now]) for ms, now in self.changes]))
        same = all(c.to.attrs.same_intervals(contexts[c.context].attrs) for c in commits)
        if recorded_intervals and same:
            contexts = tuple(self._as_timed(k, context, passes) for k, context in enumerate(contexts))
        if given is None:
            timed, swap = all(c.aggr_times_us for c in contexts), swap_of(info, self.extra, self._passes_s)
            machine = machine.replace(overload=not timed, swap=swap)
        of_linux = kernel or self.kernel or Kernel()
        return Scenario(machine, workload, contexts, name=self.name, kernel=of_linux, commits=commits)

    def _periodic(self) -> Table:
        if self.record is None:
            raise InputError(str(self.path), "has no record.csv to take rates from", "pass recorded_rates=False")
        return self.record

    def _passes_s(self) -> float:
        """Return how long schemes' passes kept kdamonds busy, 0 where that is not known."""
        timed = (self._as_timed(k, context, True) for k, context in enumerate(self.contexts))
        return sum(sum(c.aggr_times_us) - sum(c.aggr_sampled_us) for c in timed if c.aggr_sampled_us) * 1e-6

    def _as_timed(self, k: int, context: Context, passes: bool) -> Context:
        """Return a context whose aggregations end when they did, where that was recorded."""
        tables = self.of_kdamond(k)
        if (times := tables.aggregation_times_us) is None:
            return context
        ends = tuple(times.tolist())
        at_work = [i for i, scheme in enumerate(context.schemes) if scheme.action != "stat"]
        sampled = last_samples_us(ends, tables.applies, at_work) if passes else ()
        return context.replace(aggr_times_us=ends, aggr_sampled_us=sampled)


def _commits(start: Sequence[Context], changes: Sequence[tuple[int, Sequence[Context]]]) -> Iterator[Commit]:
    """Yield what is committed at each change of settings: contexts that differ from what ran before."""
    before = start
    for at_ms, now in changes:
        yield from (Commit(at_ms * 1_000, i, c) for i, (c, old) in enumerate(zip(now, before, strict=True)) if c != old)
        before = now


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


def _huge(layout: Table) -> Iterator[Group]:
    """Yield the segments on transparent huge pages, those whose name ends in ``_thp``: who touches them others say."""
    for (lo, hi), segment in zip(pairwise(_lows(layout)), layout["segment"], strict=True):
        if segment.endswith("_thp"):
            yield Group(lo, hi, name=segment, thp="always")


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
    ranges = joined(zip(layout["va_start"].tolist(), layout["va_end"].tolist(), strict=True))
    return context.replace(targets=(Target(three_regions(ranges) if len(ranges) > 2 else ranges),))
