"""A stored page-level run as the judge reads it: when what moved, what each scheme came to, when it was disturbed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..scenario import Context, Goal, Scenario, Scheme
from ..scenario.folios import folio_runs
from ..scenario.metrics import metric_of
from ..scenario.numbering import START, numbered
from ..units import FOREVER, MIB
from .run_view import moved_pages, reading_window_s
from .thresholds import RunThresholds

if TYPE_CHECKING:
    import xarray as xr

Floats = npt.NDArray[np.float64]
ONGOING = 1.5
"""A workload goes on changing if it last did so at most that many of its usual gaps before the end."""
SERIES = 5
"""So many events that take memory are a leak, fewer are events."""
ONE_WAY = 0.5
"""Moves of which that part is a net shift go one way."""
STANDINGS = frozenset({"esz_bytes", "esz_bp", "score", "charged_bytes", "min_score", "top_rate", "top_age", "quota_bound"})
"""Columns of a scheme that say how things stand; all others count from its start on."""
DOES = "action", "access_pattern", "target_nid", "filters", "dests", "dest_rule"
"""Fields of a scheme that say what it does to which pages; all others say how much of it, and when."""
CLEARLY = 0.75
"""Pages whose expected nr_accesses are that part of a pattern's least count as matching."""


def lasts(at_s: Floats, end_s: float) -> bool:
    """Return whether a series of times goes on to the end."""
    return at_s.size > 1 and end_s - at_s[-1] <= ONGOING * float(np.median(np.diff(at_s)))


@dataclass(frozen=True)
class SchemeRun:
    """One scheme of a run: where it stands, and its counters.

    Attributes
    ----------
    number : int
        Over all contexts and all schemes that ever were.
    context_number, place : int
        Its context, and its position there.
    scheme : Scheme
        As it is at the end.
    context : Context
        As it is at the end.
    goal_numbers : tuple of int
        Numbers of its goals.
    came_s : float
        From when it is there.
    since_s : float
        From when it does what it does: since it came, or since its action, pattern, filters or destinations were changed.
    """

    number: int
    context_number: int
    place: int
    scheme: Scheme
    context: Context
    goal_numbers: tuple[int, ...] = ()
    came_s: float = 0.0
    since_s: float = 0.0

    @property
    def path(self) -> str:
        """Path of the scheme in its scenario."""
        return f"contexts.{self.context_number}.schemes.{self.place}"

    @property
    def acts(self) -> bool:
        """Whether it migrates or reclaims."""
        return self.scheme.enabled and (self.scheme.action.startswith("migrate") or self.scheme.action == "pageout")

    @property
    def reclaims(self) -> bool:
        """Whether it takes pages out of memory."""
        return self.scheme.action == "pageout" and self.context.ops == "paddr"

    @property
    def asks_for_accesses(self) -> bool:
        """Whether only regions that are accessed match its pattern."""
        return self.scheme.access_pattern.min_nr_accesses > 0


class PageRun:
    """A page-level run.

    Parameters
    ----------
    ds : xarray.Dataset
        Of kind "simulation".
    limits : RunThresholds
        By what it is judged.
    """

    def __init__(self, ds: xr.Dataset, limits: RunThresholds) -> None:
        self.ds, self.limits = ds, limits
        self.time: Floats = np.asarray(ds["time"].values, np.float64)
        self.end_s = float(self.time[-1])
        self.window_s = reading_window_s(ds)
        self.n_pages = float(ds.attrs["n_pages"])
        self.page_bytes = int(ds.attrs.get("page_bytes", 4096))
        self.scenario = Scenario.from_json(ds.attrs["scenario"], stored=True)
        self.numbering = numbered(self.scenario)
        stages = zip(self.numbering.at_us, self.numbering.scenarios[1:], strict=True)
        self.stages = [(at_us * 1e-6, stage) for at_us, stage in stages if at_us * 1e-6 <= self.end_s]
        self.final = self.stages[-1][1] if self.stages else self.scenario
        self.nids: list[int] = ds["node"].values.tolist()
        self.moved = np.asarray(moved_pages(ds), np.float64)
        if "faulted_pages" in ds:
            self.moved = self.moved - ds["faulted_pages"].values
        self.schemes: list[SchemeRun] = []
        for i in range(len(self.final.contexts)):
            stage = self._stage_of(i)
            context = self.numbering.scenarios[stage + 1].contexts[i]
            goals = self.numbering.goals_of(i, stage)
            for j, (n, scheme) in enumerate(zip(self.numbering.schemes_of(i, stage), context.schemes, strict=True)):
                since_s = self.unchanged_since_s(self.numbering.scheme_over_time(n), DOES, stage)
                came_s, _ = self.numbering.span_s(n)
                self.schemes.append(SchemeRun(n, i, j, scheme, context, goals[j], came_s, since_s))

    def _stage_of(self, context: int) -> int:
        """Return the stage that a context had come to at the end; it may not have heard of the last step yet."""
        last = len(self.stages) - 1
        if "active" not in self.ds:
            return last
        numbers = self.numbering
        there = [n for n in np.flatnonzero(self.values("active")[-1]).tolist() if numbers.schemes[n][0] == context]
        aims = [g for g in np.flatnonzero(self.values("goal_active")[-1]).tolist() if numbers.goals[g][0] in there]
        for stage in range(last, START - 1, -1):
            goals = sorted(g for of_scheme in numbers.goals_of(context, stage) for g in of_scheme)
            if (sorted(numbers.schemes_of(context, stage)), goals) == (there, aims):
                return stage
        return last

    def unchanged_since_s(self, course: Iterable[tuple[int, object]], fields: Sequence[str], stage: int) -> float:
        """Return from when fields of a scheme or goal, known from stage to stage, are what they are at a stage, seconds."""
        since_s, before = 0.0, tuple[object, ...]()
        for when, one in course:
            now = tuple(getattr(one, name) for name in fields)
            if when <= stage and now != before:
                since_s, before = self.numbering.since_s(when), now
        return since_s

    # ---- counters -------------------------------------------------------------------------------------------------

    def values(self, name: str) -> npt.NDArray[Any]:
        """Return a variable as an array: it is asked for a hundred times, and a labelled array is made anew each time."""
        return np.asarray(self.ds.variables[name].values)

    def has(self, name: str) -> bool:
        """Whether the dataset holds a variable; those of earlier versions lack some."""
        return name in self.ds

    def column(self, name: str, scheme: int) -> Floats | None:
        """Return a counter of a scheme over time; None where the dataset lacks it."""
        return np.asarray(self.values(name)[:, scheme], np.float64) if name in self.ds else None

    def last(self, name: str, scheme: int, default: float = 0.0) -> float:
        """Return a counter of a scheme at the end: what it counted since the scheme does what it does."""
        if name not in self.ds:
            return default
        values, first = self.values(name)[:, scheme], self._base.get(scheme)
        if first is None or name in STANDINGS:
            return float(values[-1])
        return float(values[-1]) - float(values[first])

    @cached_property
    def _base(self) -> dict[int, int]:
        """The last record before a scheme does what it does, by its number; not for those that did so from the start."""
        late = (s for s in self.schemes if s.since_s)
        return {s.number: self.before(s.since_s) for s in late}

    def lived_s(self, one: SchemeRun) -> float:
        """Return for how long a scheme has done what it does."""
        return self.end_s - one.since_s

    def esz_bytes(self, one: SchemeRun) -> Floats:
        """Return a scheme's effective quota over time in bytes; 0 where the dataset lacks it."""
        esz = self.column("esz_bytes", one.number)
        return np.zeros(self.time.size) if esz is None else esz * one.context.addr_unit

    def grown(self, name: str, scheme: int, start_s: float) -> float:
        """Return by how much a counter of a scheme has grown since a time."""
        if name not in self.ds:
            return 0.0
        values = self.values(name)[:, scheme]
        return float(values[-1]) - float(values[max(self.at(start_s), self._base.get(scheme, 0))])

    def at(self, when_s: float) -> int:
        """Return the last record at or before a time."""
        return max(int(np.searchsorted(self.time, when_s + 1e-9, side="right")) - 1, 0)

    def before(self, when_s: float) -> int:
        """Return the last record before a time."""
        return max(int(np.searchsorted(self.time, when_s - 1e-9)) - 1, 0)

    def after(self, since_s: float) -> npt.NDArray[np.bool_] | slice:
        """Return which records tell of the time since something is as it is: those after it; all, if it was so at the start."""
        return self.time > since_s if since_s else slice(None)

    def asleep_s(self, one: SchemeRun) -> float:
        """Return how long a scheme was inactive since it does what it does."""
        slept = 0.0
        if "asleep_us" in self.ds:
            asleep_us = self.values("asleep_us")[:, one.context_number]
            first = self._base.get(one.number)
            slept = (float(asleep_us[-1]) - (0.0 if first is None else float(asleep_us[first]))) * 1e-6
        due, idle = self.last("nr_due", one.number), self.last("nr_inactive", one.number)
        return slept + max(self.lived_s(one) - slept, 0.0) * idle / max(due + idle, 1.0)

    # ---- the run ----------------------------------------------------------------------------------------------------

    @cached_property
    def memory_bytes(self) -> float:
        """Bytes of all LRU pages at the start: what schemes can act on."""
        return float(self.values("class_pages")[0].sum()) * self.page_bytes

    @cached_property
    def rate_changes_s(self) -> Floats:
        """Times at which the workload changed."""
        rates = self.values("class_rate_hz")
        return np.asarray(self.time[1:][(rates[1:] != rates[:-1]).any(axis=1)])

    @cached_property
    def leaks_s(self) -> Floats:
        """Times of events that take memory from a node or give it back."""
        times = {e.at_us * 1e-6 for e in self.scenario.events if e.path.endswith(".offline_bytes")}
        return np.array(sorted(t for t in times if t <= self.end_s))

    @cached_property
    def changes_on(self) -> bool:
        """Whether the workload's groups begin or end at the run's end or after it."""
        ticks = [t for group in self.scenario.workload.groups for t in (group.start_tick, group.end_tick)]
        tick_s = self.scenario.tick_us * 1e-6
        return any(self.end_s <= (t + 1) * tick_s for t in ticks if t < FOREVER)

    @cached_property
    def leaks_on(self) -> bool:
        """Whether memory is taken or given back to the very end."""
        return self.leaks_s.size >= SERIES and lasts(self.leaks_s, self.end_s)

    @cached_property
    def keeps_changing(self) -> bool:
        """Whether the workload, or the memory there is, changes to the very end: that is how it is, and no disturbance."""
        at = self.rate_changes_s
        return self.leaks_on or (self.changes_on and lasts(at, self.end_s))

    @cached_property
    def change_gap_s(self) -> float:
        """Usual time between two changes of a workload, or of the memory there is, that keeps changing."""
        return float(np.median(np.diff(self.leaks_s if self.leaks_on else self.rate_changes_s)))

    @cached_property
    def disturbed_s(self) -> float:
        """Time of the last event, commit or change of the workload; 0 without any."""
        times = [at_s for at_s, _ in self.stages if not (self.leaks_on and at_s in self.leaks_s)]
        if self.rate_changes_s.size and not self.keeps_changing:
            times.append(float(self.rate_changes_s[-1]))
        return max((t for t in times if t < self.end_s), default=0.0)

    def one_way(self, start_s: float) -> bool:
        """Return whether most of what moved from a time on is a net shift between nodes, or out of memory: it must end."""
        first = self.at(start_s)
        pages = self.values("class_pages")[[first, -1]].sum(axis=2).astype(float)
        moved = float(self.moved[first + 1 :].sum())
        return 0 < moved * ONE_WAY <= float(np.abs(pages[1] - pages[0]).max())

    @cached_property
    def last_move_s(self) -> float | None:
        """Time of the last record in which any page was migrated or reclaimed; None if none was."""
        at = np.flatnonzero(self.moved)
        return float(self.time[at[-1]]) if at.size else None

    @cached_property
    def first_move_s(self) -> float | None:
        """Time of the first record in which any page was migrated or reclaimed; None if none was."""
        at = np.flatnonzero(self.moved)
        return float(self.time[at[0]]) if at.size else None

    def mib_s(self, start_s: float) -> float:
        """Return the mean rate of migration and reclaim from a time to the end, MiB/s."""
        after = self.time > start_s + 1e-9
        return float(self.moved[after].sum()) * self.page_bytes / MIB / max(self.end_s - start_s, 1e-9)

    @cached_property
    def hot_share_bp(self) -> dict[int, float | None]:
        """Share of accesses that each node serves, as last known; None where nothing was accessed."""
        share = self.values("access_share_bp")
        known = np.flatnonzero(~np.isnan(share).any(axis=1))
        return {nid: float(share[known[-1], i]) if known.size else None for i, nid in enumerate(self.nids)}

    @cached_property
    def is_accessed(self) -> bool:
        """Whether anything is ever accessed."""
        return bool(self.values("class_rate_hz").any())

    def matching_share_bp(self, one: SchemeRun) -> Floats:
        """Return the share of the pages that a scheme is after that lies on each node, bp, (n_records, nodes).

        Those are the pages touched often enough to match its pattern at that time; where none is, those touched at least a
        tenth as often as the hottest. nan where nothing is touched.
        """
        rates, attrs = self._seen_hz(self.values("class_rate_hz")), one.context.attrs
        sample_us = self.values("sample_us")[-1, one.context_number] if self.has("sample_us") else attrs.sample_us
        expected = attrs.aggr_us / attrs.sample_us * -np.expm1(-rates * float(sample_us) * 1e-6)
        after = (rates > 0) & (expected >= CLEARLY * one.scheme.access_pattern.min_nr_accesses)
        warm = (rates > 0) & (rates >= rates.max(axis=1, initial=0.0, keepdims=True) / 10)
        after = np.where(after.any(axis=1, keepdims=True) & one.asks_for_accesses, after, warm)
        pages = (self.values("class_pages") * after[:, None, :]).sum(axis=2).astype(float)
        total = pages.sum(axis=1, keepdims=True)
        return np.asarray(np.divide(1e4 * pages, total, out=np.full(pages.shape, np.nan), where=total > 0))

    def _seen_hz(self, rates: Floats) -> Floats:
        """Return how often each class's pages look touched: in folios of several pages as often as all of these are."""
        workload = self.scenario.timed_workload
        if not folio_runs(workload):
            return rates
        from ..workload.access import AccessTable

        return AccessTable(workload, self.scenario.tick_us, 0).seen_rate_hz(rates)

    def bytes_shared(self, goal: Goal) -> float:
        """Return the bytes that a goal's share is one of: of touched pages, or of its node."""
        if metric_of(goal.metric).counts == "eligible":
            touched = self.values("class_rate_hz").any(axis=0)
            return float(self.values("class_pages")[-1][:, touched].sum()) * self.page_bytes
        if goal.nid not in self.nids:
            return 0.0
        at = self.nids.index(goal.nid)
        return float(self.values("used_pages")[-1, at] + self.values("free_pages")[-1, at]) * self.page_bytes

    @cached_property
    def oracle(self) -> dict[str, Any] | None:
        """What an oracle was to reach, where one placed the pages."""
        import json

        asked = json.loads(self.ds.attrs.get("parameters", "{}")).get("oracle")
        return dict(asked) if asked else None

    def share_of_node(self, metric_counts_used: bool, nid: int) -> Floats:
        """Return the share that a node's used memory has of its own, or that it serves of the accesses, bp."""
        at = self.nids.index(nid)
        if not metric_counts_used:
            return np.asarray(self.values("access_share_bp")[:, at], np.float64)
        used, free = (self.values(name)[:, at].astype(float) for name in ("used_pages", "free_pages"))
        return np.asarray(1e4 * used / np.maximum(used + free, 1.0))
