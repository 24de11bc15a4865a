"""Many seeds of recorded runs, in one process or several."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np

from ...interop.recording.read import read_recording
from ...memory.reuse import reused
from .bands import Floats, widest
from .recorded_measures import Trace, intervals, measure
from .recorded_model import Mechanisms, Setup, model_trace, setup

Measured = dict[str, Floats]
"""Of each measure, one value per seed."""
_BATCH = 4
"""Seeds that a process simulates at a time."""


WIDEST = ", widest band that counts"
"""Ends the name of a measure where it is how wide a band may be to say something of a seed's value."""


class Job(NamedTuple):
    """Seeds 1 … `seeds` of one run; the first `judged` of them are measured as if they were recorded, with `WIDEST`."""

    path: Path
    mechanisms: Mechanisms
    seeds: int
    judged: int = 0


_read = lru_cache(maxsize=3)(read_recording)
"""Experiments with one run ask for it again and again, in turn with those that are begun ahead."""


@lru_cache(maxsize=4)
def _load(path: Path, mechanisms: Mechanisms) -> Setup:
    return setup(_read(path), mechanisms)


def _simulate(path: Path, mechanisms: Mechanisms, seeds: range, judged: int) -> list[dict[str, float]]:
    model = _load(path, mechanisms)
    return [_measured(_one(model, seed), seed <= judged) for seed in seeds]


def _one(model: Setup, seed: int) -> Trace:
    with reused():
        return model_trace(model, seed)


def _measured(trace: Trace, judged: bool) -> dict[str, float]:
    values = measure(trace)
    if not judged:
        return values
    return values | {name + WIDEST: widest(values[name], *ends) for name, ends in intervals(trace).items()}


def _parts(job: Job) -> Iterator[tuple[Path, Mechanisms, range, int]]:
    for first in range(1, job.seeds + 1, _BATCH):
        yield job.path, job.mechanisms, range(first, min(first + _BATCH, job.seeds + 1)), job.judged


def _table(rows: Sequence[dict[str, float]]) -> Measured:
    return {name: np.array([one.get(name, math.nan) for one in rows]) for name in rows[0]} if rows else {}


class Runner:
    """Simulates jobs; with more than one worker in processes of its own. The results do not depend on it.

    Parameters
    ----------
    workers : int
        Processes; 1 simulates in this one. Where processes cannot be started, all happens in this one.
    tick : callable, optional
        Is told, while one waits for measures, how many seeds are simulated and how many were asked for.
    """

    def __init__(self, workers: int = 1, tick: Callable[[int, int], None] = lambda done, total: None) -> None:
        self._tick, self._total, self._done = tick, 0, 0
        self._waiting: dict[Future[list[dict[str, float]]], int] = {}
        self._pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if workers > 1 else None

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def start(self, job: Job) -> Callable[[], Measured]:
        """Begin with a job; return what waits for its measures."""
        self._total += job.seeds

        def here() -> Measured:
            rows = []
            for part in _parts(job):
                rows += _simulate(*part)
                self._done += len(part[2])
                self._report()
            return _table(rows)

        if self._pool is None:
            return here
        try:
            futures = {self._pool.submit(_simulate, *part): len(part[2]) for part in _parts(job)}
        except BrokenProcessPool:
            return here
        self._waiting |= futures

        def elsewhere() -> Measured:
            try:
                return _table([row for future in futures for row in self._result(future)])
            except BrokenProcessPool:
                for future in futures:
                    self._waiting.pop(future, None)
                return here()

        return elsewhere

    def _result(self, future: Future[list[dict[str, float]]]) -> list[dict[str, float]]:
        while not wait([future], timeout=0.5).done:
            self._report()
        self._report()
        return future.result()

    def _report(self) -> None:
        self._tick(self._done + sum(seeds for future, seeds in self._waiting.items() if future.done()), self._total)
