"""Runs for a comparison: the same seeds for each, here or in worker processes, with one progress bar."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np

from ..progress import Progress
from ..scenario import Scenario
from ..sweeps.executors import run_all
from ..sweeps.point import Job, Outcome, run_point
from ..verdicts.judge import kinds_of
from .difference import Side
from .measured import TEXTS, measured

WORTH_S = 20.0
"""Worker processes are started for runs that take longer than this together; starting them takes seconds."""


class Wanted(NamedTuple):
    """A column to be run: its name, the scenario, and what is changed in it, by path."""

    name: str
    scenario: Scenario
    changes: Mapping[str, Any]


class Runs:
    """What all runs of a comparison have in common, and how they are run.

    Parameters
    ----------
    duration_us : int
        Simulated time of each.
    seeds : sequence of int
        Seeds of each.
    workers : int, optional
        Worker processes, 1 = none; left out, one per processor where the runs take long enough.
    progress : bool, optional
        As in `tieringmodel.simulate`.
    """

    def __init__(self, duration_us: int, seeds: Sequence[int], workers: int | None, progress: bool | None) -> None:
        self.duration_us, self.seeds, self.workers = duration_us, tuple(seeds), workers
        self.bar = Progress("diff", 1, "runs", progress)
        self.done = 0
        self.one_takes_s = 0.0

    def sides(self, wanted: Sequence[Wanted]) -> list[Side]:
        """Run each with every seed; return what each came to."""
        tasks = {
            k * len(self.seeds) + i: (Job(one.scenario, self.duration_us, measured), one.changes, seed)
            for k, one in enumerate(wanted)
            for i, seed in enumerate(self.seeds)
        }
        outcomes = dict[int, Outcome]()
        many = self.workers > 1 if self.workers else len(tasks) * self.one_takes_s > WORTH_S
        executor, total = "processes" if many else "serial", self.done + len(tasks)
        before, times_s = time.monotonic(), list[float]()
        with closing(run_all(executor, run_point, tasks, self.workers if many else None)) as finished:
            for item in finished:
                if item is not None:
                    outcomes[item[0]] = item[1]
                    now = time.monotonic()
                    times_s.append(now - before)
                    before = now
                self.bar.update(self.done + len(outcomes), total)
        self.done = total
        if not many and times_s:
            self.one_takes_s = min(times_s)  # the first run loads what is compiled
        n = len(self.seeds)
        return [_side(one.name, self.seeds, [outcomes[k * n + i] for i in range(n)]) for k, one in enumerate(wanted)]


def _side(name: str, seeds: Sequence[int], outcomes: Sequence[Outcome]) -> Side:
    """Return what the runs of all seeds came to."""
    error = next((one.error for one in outcomes if one.error), "")
    return Side(name, error=error) if error else side_of(name, [one.values for one in outcomes], seeds)


def side_of(name: str, values: Sequence[Mapping[str, Any]], seeds: Sequence[int] = ()) -> Side:
    """Return a column from what was measured of each seed's run: medians of what is defined, and the verdict of most."""
    kinds = [str(one["kind"]) for one in values]
    most = kinds_of(kinds)
    first = values[kinds.index(most)]
    names = [n for n in first if n not in TEXTS]
    columns = {n: np.array([float(one.get(n, math.nan)) for one in values]) for n in names}
    several = len(values) > 1
    return Side(
        name,
        **{text: str(first[text]) for text in TEXTS},
        numbers={n: value for n, column in columns.items() if not math.isnan(value := _median(column))},
        spread={n: _range(column) for n, column in columns.items()} if several else {},
        seeds=dict(zip(seeds, kinds, strict=True)) if several else {},
    )


def _median(values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """Return the median, where there are two in the middle the lower one, so that it is a value of some seed."""
    return float(np.sort(values)[(len(values) - 1) // 2])


def _range(values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """Return how far known values are apart; infinite if some happen and others never do."""
    known = values[~np.isnan(values)]
    if not known.size or np.isinf(known).all():
        return 0.0
    return float(known.max() - known.min())
