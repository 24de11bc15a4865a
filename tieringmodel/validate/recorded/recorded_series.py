"""What is measured beside the share of hot pages: segments, memory that others move, memory that is taken out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ...interop.recording.memcgs_of import bytes_on_node, segments_of
from ...interop.recording.scenario_of import Recording
from ...kernels.numa import COUNTS
from ...kernels.numa import DEMOTED_ALL as DEMOTED_PAGES
from ...kernels.numa import PROMOTED as PROMOTED_PAGES
from ...simulation.engine import Engine
from ...units import KIB, MIB, PAGE_SZ
from .bands import Floats
from .recorded_kinds import MEMCGS, OTHERS, PAGEOUT, SEGMENTS, kinds_of, tables

ON_FIRST, MIB_ON_FIRST = "share on node 0: ", "on node 0: "
PROMOTED, DEMOTED = "promoted by others", "demoted by others"
OF_MEMCG, TRIED, APPLIED = "on node 0: memory cgroup ", "tried by scheme ", "applied by scheme "
RECLAIMED, FREE, OUT = "reclaimed", "free on node 0", "not mapped"
SILENCE = "longest silence"
_QUARTERS = (0.25, 0.5, 0.75, 1.0)


class _Course(Protocol):
    """What is asked of a trace: see `recorded_measures.Trace`."""

    @property
    def time_s(self) -> Floats: ...
    @property
    def series(self) -> Mapping[str, Floats]: ...
    @property
    def silence_s(self) -> float: ...


@dataclass(frozen=True)
class About:
    """One number of a series: its mean over the last third, its value at a part of the run, or the longest silence.

    Attributes
    ----------
    name, unit : str
        For people.
    series : str
        Which series; empty for the silence.
    at : float
        Part of the run at which the value is taken; nan for the mean of the last third.
    """

    name: str
    unit: str
    series: str
    at: float = math.nan

    def rows(self, trace: _Course) -> Floats:
        """Return the values that are averaged: the last third, or the one nearest to the part of the run."""
        if not self.series:
            return np.array([trace.silence_s])
        time, values = trace.time_s, trace.series[self.series]
        end = float(time[-1])
        if math.isnan(self.at):
            return np.asarray(values[time >= time[0] + (end - float(time[0])) * 2 / 3])
        return np.asarray(values[[int(np.argmin(np.abs(time - self.at * end)))]])

    def of(self, trace: _Course) -> float:
        """Return the number."""
        return float(self.rows(trace).mean())


def about(series: Mapping[str, Floats], silence_s: float) -> Iterator[About]:
    """Yield the measures of a trace's series, in the order of the series."""
    for name in series:
        if name.startswith(ON_FIRST):
            yield About(name, "1", name)
        elif name in (PROMOTED, DEMOTED, OUT) or name.startswith((OF_MEMCG, TRIED, APPLIED)):
            yield About(name, "MiB", name, 1.0)
        else:
            yield from (About(f"{name} at {100 * at:.0f} %", "MiB", name, at) for at in _QUARTERS)
    if not math.isnan(silence_s):
        yield About(SILENCE, "s", "")


def recorded_series(recording: Recording) -> dict[str, Floats]:
    """Return what a recorder saw beside hot pages, float64 (n_rows,) by name: shares are of 1, all else in MiB."""
    record, layout = tables(recording)
    kinds, extra = kinds_of(recording), recording.extra
    columns = {name: np.asarray(record[name], np.float64) for name in record}
    more = {name: np.asarray(extra[name], np.float64) for name in extra} if extra is not None else {}
    out: dict[str, Floats] = {}
    nids = sorted(int(name[1:-9]) for name in record if name.startswith("n") and name.endswith("_total_kb"))
    if SEGMENTS in kinds:
        for segment in layout["segment"]:
            on = [columns[f"{segment}_n{nid}_pages"] for nid in nids]
            out[ON_FIRST + segment] = on[0] / np.maximum(np.sum(on, axis=0), 1)
    if OTHERS in kinds:
        for segment in layout["segment"]:
            out[MIB_ON_FIRST + segment] = columns[f"{segment}_n{nids[0]}_pages"] * PAGE_SZ / MIB
        for name, start in ((PROMOTED, "pgpromote_success"), (DEMOTED, "pgdemote_")):
            counted = [values for column, values in more.items() if column.startswith(start)]
            if counted:
                total = np.sum(counted, axis=0)
                out[name] = (total - total[0]) * PAGE_SZ / MIB
    if PAGEOUT in kinds:
        out[RECLAIMED] = np.sum([columns[f"s{i}_sz_applied"] for i in pageout_schemes(recording)], axis=0) / MIB
        out[FREE] = columns[f"n{nids[0]}_free_kb"] * KIB / MIB
        absent = [more[f"{s}_absent_pages"] for s in layout["segment"] if f"{s}_absent_pages" in more]
        if absent:
            out[OUT] = np.sum(absent, axis=0) * PAGE_SZ / MIB
    if MEMCGS in kinds:
        of_segment = segments_of(layout, recording.memcg_paths)
        for i, path in enumerate(recording.memcg_paths, start=1):
            mine = [s for s, k in zip(layout["segment"], of_segment, strict=True) if k == i]
            counted = np.sum([columns[f"{s}_n{nids[0]}_pages"] for s in mine] or [np.zeros(record.n_rows)], axis=0) * PAGE_SZ
            told = bytes_on_node(extra, path, nids[0])
            out[OF_MEMCG + path] = (counted if told is None else told) / MIB
        for i in range(sum(len(c.schemes) for c in recording.contexts)):
            out[f"{TRIED}{i}"], out[f"{APPLIED}{i}"] = columns[f"s{i}_sz_tried"] / MIB, columns[f"s{i}_sz_applied"] / MIB
    return out


def pageout_schemes(recording: Recording) -> list[int]:
    """Return the numbers, over all contexts, of the schemes that take pages out."""
    schemes = [s for c in recording.contexts for s in c.schemes]
    return [i for i, s in enumerate(schemes) if s.action == "pageout"]


def silence_s(recording: Recording) -> float:
    """Return the longest time without an aggregation of a kdamond that takes pages out; nan where none does."""
    times = [
        np.diff(found, prepend=0)
        for k, context in enumerate(recording.contexts)
        if any(s.action == "pageout" for s in context.schemes)
        and (found := recording.of_kdamond(k).aggregation_times_us) is not None
    ]
    return max((float(one.max(initial=0)) for one in times), default=math.nan) / 1e6


def modelled_series(recording: Recording, engine: Engine, pages: Sequence[tuple[int, int]]) -> dict[str, float]:
    """Return what a recorder would see now of a model of the run: the values of `recorded_series`, without those not modelled.

    Without what kdamond tells, which a recorder has to wait for: see `told_series`.

    Parameters
    ----------
    recording : Recording
        Whose model runs.
    engine : Engine
        The model.
    pages : sequence of (int, int)
        Of each segment: how many of the pages asked for are on the first node, and how many there are on any.
    """
    _, layout = tables(recording)
    kinds, memory = kinds_of(recording), engine.memory
    out: dict[str, float] = {}
    for segment, (on, everywhere), size in zip(layout["segment"], pages, layout["pages"].tolist(), strict=True):
        share = on / max(everywhere, 1)
        if SEGMENTS in kinds:
            out[ON_FIRST + segment] = share
        if OTHERS in kinds:
            out[MIB_ON_FIRST + segment] = share * size * PAGE_SZ / MIB
    if OTHERS in kinds:
        count = engine.balancer.arrays.count if engine.balancer else np.zeros(COUNTS, np.int64)
        out |= {PROMOTED: int(count[PROMOTED_PAGES]) * PAGE_SZ / MIB, DEMOTED: int(count[DEMOTED_PAGES]) * PAGE_SZ / MIB}
    if PAGEOUT in kinds:
        out[FREE] = memory.visible_free(0) * PAGE_SZ / MIB
        out[OUT] = memory.unmapped_pages * PAGE_SZ / MIB
    if MEMCGS in kinds:
        out |= {OF_MEMCG + path: 0.0 for path in recording.memcg_paths}
        sizes = zip(segments_of(layout, recording.memcg_paths), pages, layout["pages"].tolist(), strict=True)
        for i, (on, everywhere), size in sizes:
            if i:
                out[OF_MEMCG + recording.memcg_paths[i - 1]] += on / max(everywhere, 1) * size * PAGE_SZ / MIB
    return out


def told_series(recording: Recording, engine: Engine) -> dict[str, float]:
    """Return the values of `recorded_series` that are kdamond's statistics, as they are now in a model of the run."""
    kinds, out = kinds_of(recording), dict[str, float]()
    schemes = [s for k in engine.kdamonds for s in k.schemes]
    if PAGEOUT in kinds:
        out[RECLAIMED] = sum(int(schemes[i]["sz_applied"]) for i in pageout_schemes(recording)) / MIB
    if MEMCGS in kinds:
        for i, s in enumerate(schemes):
            out[f"{TRIED}{i}"], out[f"{APPLIED}{i}"] = int(s["sz_tried"]) / MIB, int(s["sz_applied"]) / MIB
    return out


def told_ms(recording: Recording) -> Floats:
    """Return when kdamond told the statistics of each row, float64 (n_rows,): at the row's end.

    kdamond answers between two aggregations, so a recorder waits for as long as it is busy; all else was read before that.
    """
    record, _ = tables(recording)
    at_ms = np.asarray(record["t_ms"], np.float64)
    return at_ms + np.asarray(record["rec_cost_ms"], np.float64) if "rec_cost_ms" in record else at_ms
