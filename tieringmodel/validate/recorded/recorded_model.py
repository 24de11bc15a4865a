"""The model in the place of the recorded kernel: the same set-up, looked at when the recorder looked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ...damon.kdamond import Kdamond
from ...interop.recording.numa_of import MEASURED_US
from ...interop.recording.scenario_of import Recording
from ...kernels.layout import NO_FRAME
from ...memory.zones import draw_from
from ...scenario import Buddy, Context, Scenario
from ...scenario.metrics import metric_of
from ...simulation.clock import ContextClock
from ...simulation.engine import Engine
from ...simulation.silent import Silent
from ...simulation.simulate import scheme_actions
from ...units import KIB, PAGE_SZ
from .bands import Floats
from .recorded_kinds import MEMCGS, PAGEOUT, SHARE, check_stride, kinds_of, stretches_s, tables, tuned
from .recorded_measures import Trace, Truth, hot_segments, snapshot_rows, watched
from .recorded_series import modelled_series, told_ms, told_series

CPUS = 2
"""CPUs of the recorded machine, all on node 0 (data/recordings/README.md)."""
HELD_UP = 10
"""An aggregation of more than so many usual ones lasted that long because of a pass of schemes that take pages out."""
_FAULTS = 0x4855
"""Draws what hint faults take."""
_ROW, _SHOT, _TOLD = range(3)
"""What is looked at: a row of the record, a snapshot of regions, kdamond's statistics."""
SLEEPS_IN_JIFFIES_US = 20_000
"""Longer sampling intervals are slept in whole jiffies, shorter ones by a timer (``kdamond_usleep``)."""


@dataclass(frozen=True)
class Mechanisms:
    """What of the recorded machine the model has; each can be switched off to see what it does.

    Attributes
    ----------
    recorded_intervals : bool
        Aggregations last as long as they did; if the sampling interval is tuned, each sample takes longer than its
        interval by as much as it did.
    recorded_rates : bool
        The workload misses ticks as it did.
    turns : bool
        Of a workload that is sampled more often than it ticks pages are touched one after the other.
    passes : bool
        What schemes do takes the end of an aggregation, after its last sample.
    page_lists : bool
        MemFree does not count free pages on per-CPU lists.
    allocator : str
        Which free frame comes next (`tieringmodel.scenario.Machine.allocator`); empty: as `Recording.to_scenario` has it.
    lru_share_of_other : float
        Share of the memory that is not the workload's which DAMON sees.
    roams : bool
        Migrations are carried out by any CPU, not always the same.
    swap : bool
        Reclaimed pages go to the recorded swap device; else they leave memory at once, in no time.
    damon_seed, cpu_seed : int or None
        Keep DAMON's draws, or the CPUs that carry out migrations, the same in every seed.
    """

    recorded_intervals: bool = True
    recorded_rates: bool = True
    turns: bool = True
    passes: bool = True
    page_lists: bool = True
    allocator: str = ""
    lru_share_of_other: float = 0.0
    roams: bool = True
    swap: bool = True
    damon_seed: int | None = None
    cpu_seed: int | None = None


@dataclass(frozen=True, eq=False)
class Setup:
    """A recorded run, ready to simulate.

    Attributes
    ----------
    recording : Recording
        Says when and where to look.
    scenario : Scenario
        Pages in the order of the layout's segments.
    sleeps : Sleeps or None
        Where the sampling interval is tuned: how much longer than it a sample takes.
    mechanisms : Mechanisms
        What it was made with.
    """

    recording: Recording
    scenario: Scenario
    sleeps: Sleeps | None
    mechanisms: Mechanisms


def setup(recording: Recording, mechanisms: Mechanisms | None = None) -> Setup:
    """Return the model of a recorded run.

    Parameters
    ----------
    recording : Recording
        With layout, info, record and configuration.
    mechanisms : Mechanisms, optional
        By default all of them.

    Raises
    ------
    InputError
        As `Recording.to_scenario`.
    """
    m = mechanisms or Mechanisms()
    check_stride(recording)
    sleeps = Sleeps.of(recording) if m.recorded_intervals and tuned(recording) else None
    scenario = recording.to_scenario(
        recorded_intervals=m.recorded_intervals and sleeps is None,
        recorded_rates=m.recorded_rates,
        lru_share_of_other=m.lru_share_of_other,
        turns=m.turns,
        passes=m.passes,
    )
    machine = scenario.machine.with_allocator(m.allocator) if m.allocator else scenario.machine
    scenario = scenario.replace(machine=machine if m.swap else machine.replace(swap=None))
    measured = PAGEOUT in kinds_of(recording)  # then MemFree is among the measures
    if measured:
        scenario = scenario.replace(contexts=tuple(_not_held_up(c) for c in scenario.contexts))
    if m.damon_seed is not None:
        scenario = scenario.replace(contexts=tuple(c.replace(rng_seed=m.damon_seed) for c in scenario.contexts))
    if m.page_lists and (reads_mem_free(scenario.contexts) or machine.numa_balancing or measured):
        scenario = _with_page_lists(recording, scenario, m.roams)
    return Setup(recording, scenario, sleeps, m)


def _not_held_up(context: Context) -> Context:
    """Return the context with aggregations that a scheme's pass held up replaced by as many usual ones.

    How long taking pages out keeps kdamond busy is what the model is asked: it must not be told.
    """
    edges = np.array((0, *context.aggr_times_us), np.int64)
    if edges.size < 3:
        return context
    usual = int(np.median(np.diff(edges)))
    filled = [[b] if b - a <= HELD_UP * usual else [*range(a + usual, b, usual), b] for a, b in pairwise(edges.tolist())]
    times = [t for part in filled for t in part]
    least = context.attrs.aggr_us // context.attrs.sample_us
    kept = [t for t, later in zip(times, [*times[1:], times[-1] + usual], strict=True) if later - t >= least]
    return context.replace(aggr_times_us=tuple(kept), aggr_sampled_us=())


def reads_mem_free(contexts: Sequence[Context]) -> bool:
    """Return whether a goal of the contexts reads MemFree."""
    return any(metric_of(g.metric).counts == "used" for c in contexts for s in c.schemes for g in s.quota.goals)


# ---- MemFree and per-CPU lists ---------------------------------------------------------------------------------------


def free_pages_on_lists(recording: Recording) -> tuple[int, ...]:
    """Return how many free pages per node were on per-CPU lists when DAMON was turned on.

    MemFree plus the workload's pages on a node would not change if MemFree counted every free page; what it gains while
    lists shrink was on them. The 95 % quantile over the record stands for "all lists are empty", since rows taken in the
    middle of a migration count some pages twice.
    """
    record, layout = tables(recording)
    row = int(np.argmin(np.abs(record["t_ms"])))
    held = []
    for nid in sorted(int(name[1:-9]) for name in record if name.startswith("n") and name.endswith("_total_kb")):
        seen = np.asarray(record[f"n{nid}_free_kb"], np.float64) * KIB / PAGE_SZ
        seen = seen + sum(np.asarray(record[f"{name}_n{nid}_pages"], np.float64) for name in layout["segment"])
        held.append(max(int(np.quantile(seen, 0.95) - seen[row]), 0))
    return tuple(held)


def _with_page_lists(recording: Recording, scenario: Scenario, roams: bool) -> Scenario:
    """Return the scenario whose MemFree does not count pages on per-CPU lists.

    Those pages are free, so they are taken out of the memory that others use.
    """
    held = list(free_pages_on_lists(recording))
    if assumed := scenario.machine.handed_out:  # what others take there in a second comes from lists, and goes back to them
        held[0] = max(held[0], CPUS * assumed.others_pages_per_s)
    nodes = []
    for node, pages in zip(scenario.machine.nodes, held, strict=True):
        kernel_bytes = node.kernel_bytes - min(pages * PAGE_SZ, node.kernel_bytes)
        nodes.append(node.replace(kernel_bytes=kernel_bytes, percpu_pages=pages))

    machine = scenario.machine.replace(nodes=tuple(nodes), percpu_lists=CPUS, percpu_roams=roams)
    if not roams and machine.allocator == "buddy":
        machine = machine.replace(buddy=Buddy(cpus=CPUS, cpu_changes_bp=0))
    return scenario.replace(machine=machine)


# ---- tuned sampling intervals ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Sleeps:
    """How much longer than the sampling interval a sample took in the recording, over time.

    Short intervals are slept by a timer and long ones in jiffies, so each kind has its own course.

    Attributes
    ----------
    at_ns : tuple of two int arrays
        Middle of each aggregation; first short intervals, then long ones.
    longer_ns : tuple of two int arrays
        Excess of each sample in it.
    """

    at_ns: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    longer_ns: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]

    @classmethod
    def of(cls, recording: Recording) -> Sleeps | None:
        """Return the courses of a run that recorded its aggregations and its intervals."""
        ends_us, table = recording.aggregation_times_us, recording.intervals
        if ends_us is None or table is None or not ends_us.size:
            return None
        attrs = recording.contexts[0].attrs
        ends = np.concatenate(([0], ends_us)).astype(np.float64)
        middle_us = (ends[1:] + ends[:-1]) / 2
        known = np.concatenate(([attrs.sample_us], np.asarray(table["sample_us"], np.float64)))
        nominal = known[np.searchsorted(np.asarray(table["t_ms"], np.float64) * 1e3, middle_us)]
        longer = np.maximum(np.diff(ends) / (attrs.aggr_us // attrs.sample_us) - nominal, 0)
        at, excess = (np.rint(values * 1e3).astype(np.int64) for values in (middle_us, longer))
        short = nominal <= SLEEPS_IN_JIFFIES_US
        return cls((at[short], at[~short]), (excess[short], excess[~short]))

    def longer(self, sample_us: int, now_ns: int) -> int:
        """Return the excess of a sample that starts now: that of the nearest recorded one of its kind, or of any."""
        kind = int(sample_us > SLEEPS_IN_JIFFIES_US)
        kind = kind if self.at_ns[kind].size else 1 - kind
        return int(self.longer_ns[kind][np.argmin(np.abs(self.at_ns[kind] - now_ns))])


class _SleepClock(ContextClock):
    """Sampling ticks by the interval in force, each longer by what the recorded machine took."""

    def __init__(self, kdamond: Kdamond, tick_ns: int, sleeps: Sleeps) -> None:
        super().__init__(kdamond, tick_ns)
        self.sleeps = sleeps
        kdamond.turn["check_ns"] = kdamond.turn["walk_ns"] = 0  # what its work takes is in them

    def alone(self) -> bool:
        """Never: kernels that run on sleep as long as they are told."""
        return False

    def _edges(self, n: int) -> npt.NDArray[np.int64]:
        sample_us = self.kdamond.attrs.sample_us
        step = sample_us * 1000 + self.sleeps.longer(sample_us, self.last_ns)
        return np.asarray(self.last_ns + step * np.arange(n + 1))


def _with_drawn_faults(scenario: Scenario, seed: int) -> Scenario:
    """Return the scenario with what hint faults take drawn from what was measured, where NUMA balancing is on."""
    balancing = scenario.machine.numa_balancing
    if balancing is None:
        return scenario
    rng = np.random.default_rng((seed, _FAULTS))
    took = {name: float(rng.uniform(*measured)) for name, measured in MEASURED_US.items()}
    return scenario.replace(machine=scenario.machine.replace(numa_balancing=balancing.replace(**took)))


# ---- a run -----------------------------------------------------------------------------------------------------------


class _Watch(Silent):
    """Keeps the regions of the last aggregation, and the longest time between two of a kdamond."""

    def __init__(self, regions: bool) -> None:
        self.wanted = regions
        self.columns: dict[str, npt.NDArray[Any]] | None = None
        self.last_ns: dict[int, int] = {}
        self.silence_ns = 0

    def aggregated(self, kdamond: Kdamond) -> None:
        """Keep the regions if anybody will ask."""
        if self.wanted:
            self.columns = kdamond.regions.columns()
        now_ns = kdamond.memory.now_ns
        self.silence_ns = max(self.silence_ns, now_ns - self.last_ns.get(kdamond.index, 0))
        self.last_ns[kdamond.index] = now_ns


def model_trace(model: Setup, seed: int) -> Trace:
    """Simulate a recorded run and return what the recorder would have seen.

    Parameters
    ----------
    model : Setup
        From `setup`.
    seed : int
        Everything random follows from it.

    Returns
    -------
    Trace
        At the recorded times; every `stride`-th page of a segment is asked where it is, as by the recorder.
    """
    recording = model.recording
    record, layout = tables(recording)
    shots = list(snapshot_rows(recording.snapshots)) if watched(recording) and recording.snapshots is not None else []
    truth = Truth(recording) if shots else None
    watch = _Watch(bool(shots))
    engine = Engine(_with_drawn_faults(model.scenario, seed), seed, observer=watch, actions=scheme_actions)
    memory = engine.memory
    if model.mechanisms.cpu_seed is not None and memory.page_lists:
        memory.page_lists.draw_from(model.mechanisms.cpu_seed)
    elif model.mechanisms.cpu_seed is not None:
        draw_from(memory.arrays, model.mechanisms.cpu_seed)
    if model.sleeps is not None:
        engine.clocks[0] = _SleepClock(engine.kdamonds[0], engine.tick_us * 1000, model.sleeps)
    t_ms = np.asarray(record["t_ms"], np.float64)
    lows = np.concatenate(([0], np.cumsum(layout["pages"].astype(np.int64))))
    stride = max(int((recording.info or {}).get("stride", 1)), 1)
    share, total, sample = np.full(t_ms.size, np.nan), np.zeros(t_ms.size), np.zeros(t_ms.size)
    judged = np.full((len(shots), 4), np.nan)
    kinds, series = kinds_of(recording), dict[str, Floats]()
    told = told_ms(recording).tolist() if kinds & {PAGEOUT, MEMCGS} else []
    at = ((_ROW, t_ms.tolist()), (_SHOT, [t for t, _, _ in shots]), (_TOLD, told))
    for at_ms, what, k in sorted((t, what, k) for what, times in at for k, t in enumerate(times)):
        left_us = round(at_ms * 1000) - memory.now_ns // 1000
        if left_us > 0:
            engine.run(left_us)
        found: dict[str, float] = {}
        if what == _ROW:
            frame_of = memory.frame_of
            asked = [frame_of[lows[i] : lows[i + 1] : stride] for i in range(lows.size - 1)] if kinds - {SHARE} else []
            pages = [(int((f < memory.arrays.base[1]).sum()), int((f != NO_FRAME).sum())) for f in asked]
            found = modelled_series(recording, engine, pages) if kinds - {SHARE} else {}
            frames = [frame_of[lows[i] : lows[i + 1] : stride] for i in hot_segments(layout, at_ms)]
            if frames:
                share[k] = sum(int((f < memory.arrays.base[1]).sum()) for f in frames) / sum(f.size for f in frames)
            total[k], sample[k] = memory.migrated_pages().sum(), engine.kdamonds[0].attrs.sample_us
        elif what == _TOLD:
            found = told_series(recording, engine)
        elif truth is not None and watch.columns is not None:
            c = watch.columns
            judged[k] = truth.judge(at_ms, c["start"], c["end"], c["nr"])
        for name, value in found.items():
            series.setdefault(name, np.zeros(t_ms.size))[k] = value
    moved = np.diff(total, prepend=total[0])
    sample = sample if tuned(recording) else np.zeros(0)
    silence_s = watch.silence_ns / 1e9 if PAGEOUT in kinds else math.nan
    more = series, stretches_s(recording), silence_s
    return Trace(t_ms / 1e3, share, moved, sample, judged, SHARE in kinds, 0, *more)
