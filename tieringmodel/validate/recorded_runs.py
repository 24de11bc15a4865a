"""Many seeds of recorded runs, in one process or several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..interop.recording import read_recording
from .bands import Floats
from .recorded_measures import measure
from .recorded_model import Mechanisms, Setup, model_trace, setup

_BATCH = 4
"""Seeds that a process simulates at a time."""


class Job(NamedTuple):
    """Seeds 1 … `seeds` of one run."""

    path: Path
    mechanisms: Mechanisms
    seeds: int


@lru_cache(maxsize=1)
def _load(path: Path, mechanisms: Mechanisms) -> Setup:
    return setup(read_recording(path), mechanisms)


def _simulate(path: Path, mechanisms: Mechanisms, seeds: range) -> list[dict[str, float]]:
    model = _load(path, mechanisms)
    return [measure(model_trace(model, seed)) for seed in seeds]


def _parts(job: Job) -> Iterator[tuple[Path, Mechanisms, range]]:
    for first in range(1, job.seeds + 1, _BATCH):
        yield job.path, job.mechanisms, range(first, min(first + _BATCH, job.seeds + 1))


def ensembles(jobs: Sequence[Job], workers: int = 1) -> Iterator[dict[str, Floats]]:
    """Simulate runs with many seeds; yield each one's measures as soon as they are known, in order.

    Parameters
    ----------
    jobs : sequence of Job
        What to simulate.
    workers : int
        Processes; 1 simulates in this one. The results do not depend on it.

    Yields
    ------
    dict of str to float array, shape (seeds,)
        By measure.
    """
    if workers <= 1:
        for job in jobs:
            yield _table([found for part in _parts(job) for found in _simulate(*part)])
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [[pool.submit(_simulate, *part) for part in _parts(job)] for job in jobs]
        for of_job in futures:
            yield _table([found for future in of_job for found in future.result()])


def _table(found: Sequence[dict[str, float]]) -> dict[str, Floats]:
    return {name: np.array([one[name] for one in found]) for name in found[0]} if found else {}
