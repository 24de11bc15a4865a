"""How fast the whole loop is: sampling, merging, the quota's goal, migration, splitting."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tieringmodel.damon.kdamond import Kdamond
from tieringmodel.scenario import Scenario
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.silent import Silent

from .baselines.obvious import Obvious
from .baselines.same_algorithm import SameAlgorithm
from .measure import Spread, Table, Work, interleaved, ratio
from .scenarios import ALL_WARM, tiered

AGGREGATION_US = 100_000
WORKLOADS: dict[str, dict[str, Any]] = {"mostly idle": {}, "all warm": {"areas": 256, "rates_hz": ALL_WARM}}


def mean(values: list[int]) -> int:
    """Return the mean, rounded."""
    return round(float(np.mean(values)))


class Counted(Silent):
    """Counts regions as the next window samples them."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def finished(self, kdamond: Kdamond, aggregation: bool) -> None:
        """Note the count after the split."""
        self.counts.append(kdamond.regions.n)


def counted(scenario: Scenario, seed: int, before_us: int, timed_us: int) -> list[int]:
    """Return the region count of each aggregation, from a run of its own: counting takes every aggregation to Python."""
    observer = Counted()
    engine = Engine(scenario, seed=seed, observer=observer)
    engine.run(before_us)
    observer.counts.clear()
    engine.run(timed_us)
    return observer.counts


class Runs:
    """A scenario run by the package and by one baseline, after the same start."""

    def __init__(self, scenario: Scenario, baseline: Callable[..., Any], before: int, timed: int) -> None:
        self.scenario, self.baseline, self.before, self.timed = scenario, baseline, before, timed
        self.last: dict[tuple[int, str], Any] = {}
        self.counts: list[int] = []
        self.moved: list[int] = []

    def package(self, seed: int) -> Work:
        """Prepare a run of the package."""
        self.counts += counted(self.scenario, seed, self.before * AGGREGATION_US, self.timed * AGGREGATION_US)
        engine = Engine(self.scenario, seed=seed)
        engine.run(self.before * AGGREGATION_US)
        return partial(self._package, seed, engine)

    def _package(self, seed: int, engine: Engine) -> None:
        moved = int(engine.memory.migrated_pages().sum())
        engine.run(self.timed * AGGREGATION_US)
        r = engine.kdamonds[0].regions
        self.last[seed, "package"] = np.array([c.astype(np.uint64) for c in r.columns().values()])
        self.moved.append(int(engine.memory.migrated_pages().sum()) - moved)

    def other(self, seed: int) -> Work:
        """Prepare a run of the baseline."""
        program = self.baseline(self.scenario, seed)
        program.run(self.before)
        return partial(self._other, seed, program)

    def _other(self, seed: int, program: Any) -> None:
        program.run(self.timed)
        self.last[seed, "other"] = program.regions()

    def agree(self) -> bool:
        """Tell whether all runs ended with the same regions."""
        seeds = {seed for seed, _ in self.last}
        return all(np.array_equal(self.last[seed, "package"], self.last[seed, "other"]) for seed in seeds)


def against_baselines(cases: list[tuple[str, int, str, bool, int, int, int]]) -> Table:
    """Compare whole runs; a case is (label, bytes, workload, obvious?, aggregations before, timed, rounds)."""
    table = Table(
        "Whole loop: the package and the baselines (ms per aggregation of 20 ticks)",
        ("memory", "workload", "baseline", "regions", "pages moved", "package", "baseline takes", "ratio", "same regions"),
        "'same algorithm' is the language's gain. 'obvious' draws a bit per page and tick and counts by scanning: that ratio\n"
        "is almost all the gain of the algorithm, O(regions) instead of O(pages), not of numba.",
    )
    for label, footprint, workload, obvious, before, timed, rounds in cases:
        runs = Runs(tiered(footprint, **WORKLOADS[workload]), Obvious if obvious else SameAlgorithm, before, timed)
        took = interleaved({"package": runs.package, "other": runs.other}, rounds)
        ms = {name: Spread.of([1e3 * t / timed for t in v]) for name, v in took.items()}
        table.add(
            label, workload, "obvious" if obvious else "same algorithm", mean(runs.counts), mean(runs.moved),
            ms["package"], ms["other"], ratio(took["other"], took["package"]), runs.agree(),
        )  # fmt: skip
    return table


def speed(cases: list[tuple[str, int, str, int]], before_s: int, timed_s: int, rounds: int) -> Table:
    """Measure simulated seconds per second of processor time; a case is (label, bytes, workload, max_nr_regions)."""
    table = Table(
        "Whole loop: simulated seconds per second of processor time",
        ("memory", "workload", "max regions", "mean regions", "pages moved", "speed", "us/aggregation", "ns/region and tick"),
        "5 ms sampling, 100 ms aggregation, min 10 regions, migrate_hot with goal node_mem_used_bp 99.7 % and 4 KiB pages.\n"
        "Rows with max 1000 are DAMON's defaults. Absolute numbers depend on the machine and its load.",
    )
    for label, footprint, workload, most in cases:
        scenario = tiered(footprint, max_nr_regions=most, **WORKLOADS[workload])
        counts: list[int] = []
        moved: list[int] = []

        def prepare(seed: int, scenario: Any = scenario, counts: list[int] = counts, moved: list[int] = moved) -> Work:
            counts.append(mean(counted(scenario, seed, before_s * 1_000_000, timed_s * 1_000_000)))
            engine = Engine(scenario, seed=seed)
            engine.run(before_s * 1_000_000)
            start = int(engine.memory.migrated_pages().sum())

            def run() -> None:
                engine.run(timed_s * 1_000_000)
                moved.append(int(engine.memory.migrated_pages().sum()) - start)

            return run

        took = interleaved({"run": prepare}, rounds)["run"]
        per_region = [1e9 * t / (timed_s * 200) / n for t, n in zip(took, counts[1:], strict=True)]
        table.add(
            label, workload, most, mean(counts), mean(moved), Spread.of([timed_s / t for t in took]),
            Spread.of([1e6 * t / (timed_s * 10) for t in took]), Spread.of(per_region),
        )  # fmt: skip
    return table
