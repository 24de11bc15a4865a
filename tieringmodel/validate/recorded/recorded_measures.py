"""What is measured of a run, recorded or simulated: one small type for both, one table of measures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ...interop.recording.scenario_of import PHASE, Recording
from ...interop.recording.tables import Table
from ...units import MIB, PAGE_SZ
from .bands import Floats, block_length, bootstrap_interval
from .recorded_kinds import SHARE, kinds_of, migrates, stretches_s, tables, tuned
from .recorded_series import About, about, recorded_series, silence_s

HOT_SHARE_OF_RATE = 0.5
"""A segment is hot while its rate is at least this share of the highest rate in force."""
CYCLES = 3
"""Fewer than this many whole cycles in the second half are no cycle."""
LATE = " in the second half"
"""Suffix of measures that tell a slow start from what comes after it."""
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Trace:
    """What the recorder saw, or would have seen.

    Attributes
    ----------
    time_s : float array, shape (n,)
        Times of the recorder's rows since DAMON was turned on.
    share : float array, shape (n,)
        Share of the hot segments' pages on node 0; nan while nothing is hot.
    moved : float array, shape (n,)
        Pages migrated since the row before; 0 in the first.
    sample_us : float array, shape (n,)
        Sampling interval in force; empty unless it is tuned.
    snapshots : float array, shape (m, 4)
        Per region snapshot: share of its hot bytes that are truly hot, share of the truly hot bytes that it calls hot,
        number of regions, MiB that it calls hot. Empty without snapshots.
    moves : bool
        Whether the share of hot pages is what schemes are about.
    looked_at : int
        Fewest hot pages that the recorder asked for their node in one row.
    series : mapping of str to float array, shape (n,)
        What else is measured, by name: see `recorded_series.about`.
    stretches_s : tuple of (float, float)
        Where settings were changed: the times between which they stayed, each of which has measures of its own.
    silence_s : float
        The longest time between two aggregations of a kdamond; nan where nobody asks.
    """

    time_s: Floats
    share: Floats
    moved: Floats
    sample_us: Floats
    snapshots: Floats
    moves: bool
    looked_at: int = 0
    series: Mapping[str, Floats] = field(default_factory=dict)
    stretches_s: tuple[tuple[float, float], ...] = ()
    silence_s: float = math.nan

    def between(self, rows: Rows, start_s: float) -> Trace:
        """Return these rows as a trace of its own that starts at a time."""
        moved, sample = self.moved[rows].copy(), self.sample_us[rows] if self.sample_us.size else self.sample_us
        moved[:1] = 0
        return replace(
            self, time_s=self.time_s[rows] - start_s, share=self.share[rows], moved=moved, sample_us=sample, stretches_s=()
        )

    def second_half(self) -> Trace:
        """Return the rows of the second half of the recorded time."""
        rows = np.flatnonzero(self.time_s >= (self.time_s[0] + self.time_s[-1]) / 2)
        sample = self.sample_us[rows] if self.sample_us.size else self.sample_us
        return replace(self, time_s=self.time_s[rows], share=self.share[rows], moved=self.moved[rows], sample_us=sample)

    def resampled(self, rows: Rows) -> Trace:
        """Return the trace with these rows, spaced in time as each was from its predecessor."""
        steps = np.diff(self.time_s, prepend=2 * self.time_s[0] - self.time_s[1])
        time = self.time_s[0] + np.cumsum(steps[rows]) - steps[rows[0]]
        sample = self.sample_us[rows] if self.sample_us.size else self.sample_us
        return replace(self, time_s=time, share=self.share[rows], moved=self.moved[rows], sample_us=sample)


def _migrated_mib_s(trace: Trace) -> float:
    """Migration between the first and the last row."""
    return float(trace.moved[1:].sum()) * PAGE_SZ / MIB / float(trace.time_s[-1] - trace.time_s[0])


def _first_move_s(trace: Trace) -> float:
    """Time of the first row after a migration; inf if nothing ever moves."""
    busy = np.flatnonzero(trace.moved)
    return float(trace.time_s[busy[0]]) if busy.size else math.inf


def cycle(trace: Trace) -> tuple[float, float]:
    """Return period in seconds and amplitude (half of peak to trough) of the share's swing.

    A cycle lasts from one rise through the upper threshold to the next, with a fall through the lower one in between;
    the thresholds are half a standard deviation above and below the mean, so that ripples on the way do not count. Any
    shape of swing has a period in this sense, as a bang-bang controller's irregular one.

    Returns
    -------
    tuple of float
        Mean over all whole cycles; twice nan for fewer than `CYCLES`.
    """
    time, share = trace.time_s, trace.share
    known = ~np.isnan(share)
    time, share = time[known], share[known]
    if share.size < 2 or np.ptp(share) == 0:
        return math.nan, math.nan
    middle, half = share.mean(), share.std() / 2
    state = np.where(share > middle + half, 1, np.where(share < middle - half, -1, 0))
    outer = np.flatnonzero(state)
    rises = outer[1:][(state[outer[1:]] == 1) & (state[outer[:-1]] == -1)]
    if rises.size <= CYCLES:
        return math.nan, math.nan
    swings = [float(np.ptp(share[a : b + 1])) / 2 for a, b in pairwise(rises.tolist())]
    return float(time[rises[-1]] - time[rises[0]]) / (rises.size - 1), float(np.mean(swings))


def _column(index: int) -> Callable[[Trace], float]:
    def mean(trace: Trace) -> float:
        values = trace.snapshots[:, index]
        return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan

    return mean


@dataclass(frozen=True)
class Measure:
    """One number of a run.

    Attributes
    ----------
    name, unit : str
        For people.
    of : callable
        Takes the trace, or its second half.
    kind : str
        ``"share"`` (of the second half), ``"flow"`` (of the whole run), ``"interval"`` (of the second half) or
        ``"snapshot"``.
    """

    name: str
    unit: str
    of: Callable[[Trace], float]
    kind: str


MEASURES = (
    Measure("hot share mean", "1", lambda t: float(np.nanmean(t.share)), "share"),
    Measure("hot share sd", "1", lambda t: round(float(np.nanstd(t.share)), 12), "share"),
    Measure("hot share min", "1", lambda t: float(np.nanmin(t.share)), "share"),
    Measure("hot share max", "1", lambda t: float(np.nanmax(t.share)), "share"),
    Measure("migrated", "MiB/s", _migrated_mib_s, "flow"),
    Measure("first move", "s", _first_move_s, "flow"),
    Measure("cycle period", "s", lambda t: cycle(t)[0], "share"),
    Measure("cycle amplitude", "1", lambda t: cycle(t)[1], "share"),
    Measure("hot bytes found true", "1", _column(0), "snapshot"),
    Measure("true hot bytes found", "1", _column(1), "snapshot"),
    Measure("regions", "1", _column(2), "snapshot"),
    Measure("hot found", "MiB", _column(3), "snapshot"),
    Measure("sampling interval", "ms", lambda t: float(t.sample_us.mean()) / 1e3, "interval"),
)


def _has(trace: Trace, kind: str) -> bool:
    if kind == "snapshot":
        return len(trace.snapshots) > 0
    if kind == "interval":
        return trace.sample_us.size > 0
    if not trace.moves or trace.time_s.size < 4:
        return False
    return kind == "flow" or bool(np.isfinite(trace.second_half().share).any())


def parts(trace: Trace) -> Iterator[tuple[str, Trace]]:
    """Yield the whole trace, or every stretch of the same settings with what its measures' names end in."""
    if not trace.stretches_s:
        yield "", trace
    for start_s, end_s in trace.stretches_s:
        rows = np.flatnonzero((trace.time_s >= start_s) & (trace.time_s < end_s))
        if rows.size:
            last_s = f"{end_s:.0f} s" if math.isfinite(end_s) else "the end"
            yield f", {start_s:.0f} s to {last_s}", trace.between(rows, start_s)


def measured(trace: Trace) -> Iterator[tuple[Measure, Trace]]:
    """Yield every measure that a trace has, named as of this run, and the part of the trace that it is of."""
    for suffix, part in parts(trace):
        for m in (m for m in MEASURES if _has(part, m.kind)):
            yield replace(m, name=m.name + suffix), part.second_half() if m.kind in ("share", "interval") else part


def measures_of(trace: Trace) -> list[Measure | About]:
    """Return the measures that a trace has."""
    return [*(m for m, _ in measured(trace)), *about(trace.series, trace.silence_s)]


def measure(trace: Trace) -> dict[str, float]:
    """Return every measure by name; nan for one of `MEASURES` that the run does not have.

    Those of snapshots come a second time, with `LATE` after their names, over the second half of the snapshots.
    """
    out = {m.name: math.nan for m in MEASURES} | {m.name: m.of(part) for m, part in measured(trace)}
    late = replace(trace, snapshots=trace.snapshots[len(trace.snapshots) // 2 :])
    out |= {m.name + LATE: m.of(late) for m in MEASURES if m.kind == "snapshot" and _has(late, "snapshot")}
    return out | {m.name: m.of(trace) for m in about(trace.series, trace.silence_s)}


def _of_rows(m: Measure, trace: Trace, rows: Rows) -> float:
    return m.of(replace(trace, snapshots=trace.snapshots[rows]) if m.kind == "snapshot" else trace.resampled(rows))


def intervals(trace: Trace, resamples: int = 400) -> dict[str, tuple[float, float]]:
    """Return the block-bootstrap interval of every measure that the run has, by name.

    A value at one time has none: both ends are the value.
    """
    out: dict[str, tuple[float, float]] = {}
    for m, part in measured(trace):
        if m.kind == "snapshot":
            column = [x.name for x in MEASURES if x.kind == "snapshot"].index(m.name)
            series = np.nan_to_num(part.snapshots[:, column])
        else:
            series = {"flow": part.moved, "share": np.nan_to_num(part.share), "interval": part.sample_us}[m.kind]
        out[m.name] = bootstrap_interval(partial(_of_rows, m, part), series.size, block_length(series), resamples)
    for one in about(trace.series, trace.silence_s):
        values = one.rows(trace)
        mean = partial(_mean_of, values)
        value = one.of(trace)
        out[one.name] = (
            bootstrap_interval(mean, values.size, block_length(values), resamples) if values.size > 1 else (value, value)
        )
    return out


def _mean_of(values: Floats, rows: Rows) -> float:
    return float(values[rows].mean())


def resolution(trace: Trace, m: Measure | About) -> float:
    """Return the smallest difference of a measure that the recorder can see: one page it looked at, for shares of pages."""
    shares = isinstance(m, Measure) and m.unit == "1" and m.kind == "share"
    return 1 / trace.looked_at if shares and trace.looked_at else 0.0


# ---- recorded --------------------------------------------------------------------------------------------------------


def hot_segments(layout: Table, t_ms: float) -> list[int]:
    """Return the rows of the segments that are hot at a time; none while nothing is touched."""
    columns = [(int(m[1]), name) for name, m in ((name, PHASE.fullmatch(name)) for name in layout) if m]
    rates = layout[[name for start, name in columns if start <= max(t_ms, 0)][-1]]
    top = float(rates.max())
    return [i for i, rate in enumerate(rates) if rate > 0 and rate >= HOT_SHARE_OF_RATE * top]


def hot_pages(recording: Recording, row: int | None = None) -> Floats:
    """Return the hot segments' pages on every node at every row, float64 (n_rows, n_nodes).

    Parameters
    ----------
    recording : Recording
        With layout and record.
    row : int, optional
        Where the pages are is taken from this row throughout; what is hot changes as it did.
    """
    record, layout = tables(recording)
    nids = sorted(int(name[1:].split("_")[0]) for name in record if name.endswith("_total_kb"))
    out = np.zeros((record.n_rows, len(nids)))
    for k, t_ms in enumerate(np.asarray(record["t_ms"], np.float64).tolist()):
        names = [layout["segment"][i] for i in hot_segments(layout, t_ms)]
        out[k] = [sum(int(record[f"{name}_n{nid}_pages"][k if row is None else row]) for name in names) for nid in nids]
    return out


def first_node_share(pages: Floats) -> Floats:
    """Return the share of the first node in pages by node, nan where there are none."""
    total = pages.sum(axis=1)
    return np.asarray(np.divide(pages[:, 0], total, out=np.full(total.size, np.nan), where=total > 0))


def still_trace(recording: Recording) -> Trace:
    """Return the recorded run as if nothing had moved: every segment stays where the first row saw it."""
    share = first_node_share(hot_pages(recording, row=0))
    moved, none, trace = np.zeros(share.size), np.zeros(0), recorded_trace(recording)
    still = {name: np.full(values.size, values[0]) for name, values in trace.series.items()}
    return replace(
        trace, share=share, moved=moved, sample_us=none, snapshots=np.zeros((0, 4)), series=still, silence_s=math.nan
    )


def recorded_trace(recording: Recording) -> Trace:
    """Return what the recorder saw."""
    record, _ = tables(recording)
    t_ms, pages = np.asarray(record["t_ms"], np.float64), hot_pages(recording)
    share, hot = first_node_share(pages), pages.sum(axis=1)
    moved = np.diff(np.asarray(record["pgmigrate_success"], np.float64), prepend=float(record["pgmigrate_success"][0]))
    sample = np.zeros(0)
    if tuned(recording):
        table = recording.intervals
        assert table is not None
        known = np.concatenate(([recording.contexts[0].attrs.sample_us], np.asarray(table["sample_us"], np.float64)))
        sample = known[np.searchsorted(np.asarray(table["t_ms"], np.float64), t_ms, side="right")]
    stride = max(int((recording.info or {}).get("stride", 1)), 1)
    looked_at = int(hot[hot > 0].min(initial=math.inf) // stride) if (hot > 0).any() else 0
    moves, shots = SHARE in kinds_of(recording), _recorded_snapshots(recording)
    more = recorded_series(recording), stretches_s(recording), silence_s(recording)
    return Trace(t_ms / 1e3, share, moved, sample, shots, moves, looked_at, *more)


def _recorded_snapshots(recording: Recording) -> Floats:
    table = recording.snapshots
    if table is None or not watched(recording):
        return np.zeros((0, 4))
    truth = Truth(recording)
    rows = [
        truth.judge(t_ms, table["start"][a:b], table["end"][a:b], table["nr_accesses"][a:b])
        for t_ms, a, b in snapshot_rows(table)
    ]
    return np.array(rows, np.float64).reshape(-1, 4)


def snapshot_rows(table: Table) -> Iterator[tuple[float, int, int]]:
    """Yield time in ms, first row and one past the last row of every snapshot."""
    edges = np.flatnonzero(np.diff(table["snap"], prepend=-1))
    for a, b in zip(edges.tolist(), [*edges[1:].tolist(), table.n_rows], strict=True):
        yield float(table["t_done_ms"][a]), a, b


def watched(recording: Recording) -> bool:
    """Whether the truth behind the run's snapshots is known: addresses are virtual, or nothing moves and all frames are."""
    layout, physmap = recording.layout, recording.physmap
    if recording.snapshots is None or not recording.snapshots.n_rows or layout is None or len(recording.contexts) != 1:
        return False
    if recording.contexts[0].ops != "paddr":
        return True
    return not migrates(recording) and physmap is not None


class Truth:
    """Where the hot segments are in the address space that DAMON monitors."""

    def __init__(self, recording: Recording) -> None:
        assert recording.layout is not None
        self.layout = recording.layout
        virtual = recording.contexts[0].ops != "paddr"
        self.unit = recording.contexts[0].addr_unit
        names = list(self.layout["segment"])
        self.runs: list[list[tuple[int, int]]] = [[] for _ in names]
        if virtual:
            for i, (lo, hi) in enumerate(zip(self.layout["va_start"], self.layout["va_end"], strict=True)):
                self.runs[i].append((int(lo), int(hi)))
        else:
            table = recording.physmap
            assert table is not None
            for name, start, size in zip(table["segment"], table["pa_start"], table["bytes"], strict=True):
                self.runs[names.index(name)].append((int(start), int(start) + int(size)))
        self._edges: dict[tuple[int, ...], Floats] = {}

    def _hot(self, t_ms: float) -> Floats:
        """Return the hot runs at a time, sorted, float64 (2, n): exact below 2**53."""
        which = tuple(hot_segments(self.layout, t_ms))
        if which not in self._edges:
            runs = sorted(run for i in which for run in self.runs[i])
            self._edges[which] = np.array(runs, np.float64).reshape(-1, 2).T
        return self._edges[which]

    def judge(
        self, t_ms: float, start: npt.NDArray[np.uint64], end: npt.NDArray[np.uint64], nr: npt.NDArray[np.uint64]
    ) -> tuple[float, float, float, float]:
        """Return precision, recall, number of regions and hot MiB of a snapshot (see `Trace.snapshots`).

        A region is called hot if its nr_accesses is at least half of the snapshot's highest.
        """
        lo, hi = start.astype(np.float64) * self.unit, end.astype(np.float64) * self.unit
        accesses = nr.astype(np.float64)
        top = float(accesses.max(initial=0))
        called = (accesses > 0) & (accesses >= top / 2)
        first, last = self._hot(t_ms)
        sizes = np.concatenate(([0.0], np.cumsum(last - first)))

        def below(at: Floats) -> Floats:
            """Truly hot bytes below an address."""
            k = np.searchsorted(first, at, side="right")
            over = np.where(k > 0, np.maximum(last[np.maximum(k - 1, 0)] - at, 0.0), 0.0) if first.size else 0.0
            return np.asarray(sizes[k] - over)

        both = float((below(hi) - below(lo))[called].sum())
        hot, true = float((hi - lo)[called].sum()), float(sizes[-1])
        return both / hot if hot else math.nan, both / true if true else math.nan, float(nr.size), hot / MIB
