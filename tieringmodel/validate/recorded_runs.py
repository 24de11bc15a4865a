"""The model in the place of the recorded kernel: the same set-up, looked at when the recorder looked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..damon.kdamond import Kdamond
from ..experiment.engine import Engine, Silent
from ..experiment.simulate import scheme_actions
from ..interop.recording import Recording, read_recording
from ..scenario import Dest, Event, Scenario
from .bands import Floats
from .recorded_measures import Trace, Truth, hot_segments, measure, migrates, snapshot_rows, tuned, watched

_BATCH = 4
"""Seeds that a worker simulates at a time."""


class _Regions(Silent):
    """Keeps the regions of the last finished aggregation."""

    def __init__(self) -> None:
        self.columns: dict[str, npt.NDArray[Any]] | None = None
        self.wanted = False

    def aggregated(self, kdamond: Kdamond) -> None:
        """Keep them if anybody will ask."""
        if self.wanted:
            self.columns = kdamond.regions.columns()


def scenario_for(recording: Recording, *, recorded_intervals: bool = True, **options: Any) -> Scenario:
    """Return the run's scenario with what happened in between: weights that changed.

    The files hold the weights after the change; those before stand in the run's name (``…dests_3_2…``, in the order of
    the destinations). Without them the scenario has the later weights throughout.
    """
    scenario = recording.to_scenario(recorded_intervals=recorded_intervals, **options)
    before = re.search(r"dests((?:_\d+)+)", recording.name)
    if recording.weights_changed_ms is None or before is None:
        return scenario
    weights = [int(word) for word in before[1].split("_")[1:]]
    context = scenario.contexts[0]
    events, schemes = [], list(context.schemes)
    for i, scheme in enumerate(context.schemes):
        if len(scheme.dests) != len(weights):
            continue
        schemes[i] = scheme.replace(dests=tuple(Dest(d.id, w) for d, w in zip(scheme.dests, weights, strict=True)))
        later = [d.to_dict() for d in scheme.dests]
        events.append(Event(round(recording.weights_changed_ms * 1000), f"contexts.0.schemes.{i}.dests", later))
    return scenario.replace(contexts=(context.replace(schemes=tuple(schemes)),), events=tuple(events))


def model_trace(recording: Recording, scenario: Scenario, seed: int) -> Trace:
    """Simulate a recorded run and return what the recorder would have seen.

    Parameters
    ----------
    recording : Recording
        With layout and record: says when and where to look.
    scenario : Scenario
        Pages in the order of the layout's segments.
    seed : int
        Everything random follows from it.

    Returns
    -------
    Trace
        At the recorded times; every `stride`-th page of a segment is asked where it is, as by the recorder.
    """
    record, layout, info = recording.record, recording.layout, recording.info
    assert record is not None and layout is not None and info is not None
    regions = _Regions()
    engine = Engine(scenario, seed, observer=regions, actions=scheme_actions)
    memory = engine.memory
    t_ms = np.asarray(record["t_ms"], np.float64)
    lows = np.concatenate(([0], np.cumsum(layout["pages"].astype(np.int64))))
    stride = max(int(info.get("stride", 1)), 1)
    shots = list(snapshot_rows(recording.snapshots)) if watched(recording) and recording.snapshots is not None else []
    truth = Truth(recording) if shots else None
    regions.wanted = bool(shots)
    looks = sorted([(t, 0, k) for k, t in enumerate(t_ms.tolist())] + [(t, 1, k) for k, (t, _, _) in enumerate(shots)])
    share, total, sample = np.full(t_ms.size, np.nan), np.zeros(t_ms.size), np.zeros(t_ms.size)
    judged = np.full((len(shots), 4), np.nan)
    for at_ms, what, k in looks:
        left_us = round(at_ms * 1000) - memory.now_ns // 1000
        if left_us > 0:
            engine.run(left_us)
        if what == 0:
            hot = hot_segments(layout, at_ms)
            frames = [memory.arrays.frame_of[lows[i] : lows[i + 1] : stride] for i in hot]
            pages = sum(f.size for f in frames)
            if pages:
                share[k] = sum(int((f < memory.arrays.base[1]).sum()) for f in frames) / pages
            total[k], sample[k] = memory.migrated_pages().sum(), engine.kdamonds[0].attrs.sample_us
        elif truth is not None and regions.columns is not None:
            c = regions.columns
            judged[k] = truth.judge(at_ms, c["start"], c["end"], c["nr"])
    moved = np.diff(total, prepend=total[0])
    return Trace(t_ms / 1e3, share, moved, sample if tuned(recording) else np.zeros(0), judged, migrates(recording))


def still_trace(recording: Recording, trace: Trace) -> Trace:
    """Return the recorded run as if nothing had moved: every segment stays where the first row saw it."""
    record, layout = recording.record, recording.layout
    assert record is not None and layout is not None
    nodes = sorted({int(name[1:].split("_")[0]) for name in record if name.endswith("_total_kb")})
    share = np.full(trace.share.size, np.nan)
    for k, t in enumerate((trace.time_s * 1e3).tolist()):
        names = [layout["segment"][i] for i in hot_segments(layout, t)]
        by_node = [sum(int(record[f"{name}_n{nid}_pages"][0]) for name in names) for nid in nodes]
        share[k] = by_node[0] / sum(by_node) if sum(by_node) else np.nan
    empty = np.zeros(0)
    return replace(trace, share=share, moved=np.zeros(share.size), sample_us=empty, snapshots=np.zeros((0, 4)))


@lru_cache(maxsize=1)
def _load(path: Path, recorded_intervals: bool) -> tuple[Recording, Scenario]:
    recording = read_recording(path)
    return recording, scenario_for(recording, recorded_intervals=recorded_intervals)


def _simulate(path: Path, recorded_intervals: bool, seeds: Sequence[int]) -> list[dict[str, float]]:
    recording, scenario = _load(path, recorded_intervals)
    return [measure(model_trace(recording, scenario, seed)) for seed in seeds]


def ensembles(
    jobs: Sequence[tuple[Path, bool, int]], workers: int = 1
) -> Iterator[dict[str, Floats]]:
    """Simulate runs with many seeds; yield each one's measures as soon as they are known, in order.

    Parameters
    ----------
    jobs : sequence of (Path, bool, int)
        Run, whether aggregations end when they did, and the number of seeds (1, 2, …).
    workers : int
        Processes; 1 simulates in this one. The results do not depend on it.

    Yields
    ------
    dict of str to float array, shape (seeds,)
        By measure.
    """
    parts = [[(path, own, range(a, min(a + _BATCH, n + 1))) for a in range(1, n + 1, _BATCH)] for path, own, n in jobs]
    if workers <= 1:
        for job in parts:
            yield _table([found for part in job for found in _simulate(*part)])
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [[pool.submit(_simulate, *part) for part in job] for job in parts]
        for job_futures in futures:
            yield _table([found for future in job_futures for found in future.result()])


def _table(found: Sequence[dict[str, float]]) -> dict[str, Floats]:
    return {name: np.array([one[name] for one in found]) for name in found[0]} if found else {}
