"""Many seeds of recorded runs, in one process or several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np

from ..interop.recording import read_recording
from .bands import Floats
from .recorded_measures import measure
from .recorded_model import Mechanisms, Setup, model_trace, setup

Measured = dict[str, Floats]
"""Of each measure, one value per seed."""
_BATCH = 4
"""Seeds that a process simulates at a time."""


class Job(NamedTuple):
    """Seeds 1 … `seeds` of one run."""

    path: Path
    mechanisms: Mechanisms
    seeds: int


@lru_cache(maxsize=2)
def _load(path: Path, mechanisms: Mechanisms) -> Setup:
    return setup(read_recording(path), mechanisms)


def _simulate(path: Path, mechanisms: Mechanisms, seeds: range) -> list[dict[str, float]]:
    model = _load(path, mechanisms)
    return [measure(model_trace(model, seed)) for seed in seeds]


def _parts(job: Job) -> Iterator[tuple[Path, Mechanisms, range]]:
    for first in range(1, job.seeds + 1, _BATCH):
        yield job.path, job.mechanisms, range(first, min(first + _BATCH, job.seeds + 1))


def _table(found: Sequence[dict[str, float]]) -> Measured:
    return {name: np.array([one[name] for one in found]) for name in found[0]} if found else {}


class Runner:
    """Simulates jobs; with more than one worker in processes of its own. The results do not depend on it.

    Parameters
    ----------
    workers : int
        Processes; 1 simulates in this one. Where processes cannot be started, all happens in this one.
    """

    def __init__(self, workers: int = 1) -> None:
        self._pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if workers > 1 else None

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def start(self, job: Job) -> Callable[[], Measured]:
        """Begin with a job; return what waits for its measures."""

        def here() -> Measured:
            return _table([found for part in _parts(job) for found in _simulate(*part)])

        if self._pool is None:
            return here
        try:
            futures = [self._pool.submit(_simulate, *part) for part in _parts(job)]
        except BrokenProcessPool:
            return here

        def elsewhere() -> Measured:
            try:
                return _table([found for future in futures for found in future.result()])
            except BrokenProcessPool:
                return here()

        return elsewhere
