"""How far the whole loop is from what it cannot avoid: checking the same regions, and reading as many records at random."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

import tieringmodel as tm
from tieringmodel.damon.kdamond import Kdamond
from tieringmodel.damon.regions import empty, scratch
from tieringmodel.damon.rng import counter_rng
from tieringmodel.kernels import sampling
from tieringmodel.kernels._jit import kernel
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.silent import Silent

from .loop import AGGREGATION_US, WORKLOADS, mean
from .measure import Spread, Table, Work, gate, interleaved, ratio
from .sampling import TICKS, gather
from .scenarios import tiered

MOST_OVER_SAMPLING, LEAST_SPEED, MOST_READS = 2.0, 400, 18_000
READS = 1 << 18
"""So many reads at once make one call of `gather`."""


@kernel
def replay(
    starts: Any, ends: Any, edges: Any, r: Any, ptr: Any, ticks: Any, space: Any, memory: Any, access: Any, rng: Any, room: Any
) -> None:
    """Check the regions ``starts[edges[k]:edges[k + 1]]`` in the ticks of aggregation k, and do nothing else."""
    for k in range(edges.size - 1):
        n = edges[k + 1] - edges[k]
        for i in range(n):
            r.start[i], r.end[i] = starts[edges[k] + i], ends[edges[k] + i]
        ptr[1] = n
        after = ticks[k]
        sampling.sample_plain(r, ptr, after, after + 1, space, memory, access, rng, room)


class Borders(Silent):
    """Keeps the regions that the next aggregation checks."""

    def __init__(self) -> None:
        self.starts: list[npt.NDArray[np.uint64]] = []
        self.ends: list[npt.NDArray[np.uint64]] = []

    def finished(self, kdamond: Kdamond, aggregation: bool) -> None:
        """Note the regions after the split."""
        r = kdamond.regions
        self.starts.append(r.now.start[: r.n].copy())
        self.ends.append(r.now.end[: r.n].copy())


class Whole:
    """The same aggregations of a scenario: run, only checked, and only read."""

    def __init__(self, footprint: int, workload: str, most: int, before: int, timed: int) -> None:
        self.scenario = tiered(footprint, max_nr_regions=most, **WORKLOADS[workload])
        self.before, self.timed = before, timed
        self.hits: dict[int, npt.NDArray[np.uint32]] = {}
        self.borders: dict[int, Borders] = {}
        self.regions: list[int] = []
        self.moved: list[int] = []

    def start(self, seed: int, observer: Silent | None = None) -> Engine:
        """Return a run that has come to where the timed part begins."""
        engine = Engine(self.scenario, seed=seed, observer=observer)
        engine.run(self.before * AGGREGATION_US)
        return engine

    def seen(self, seed: int) -> Borders:
        """Return a run's regions in each aggregation; the last seed's are kept."""
        if seed not in self.borders:
            observer = Borders()
            engine = self.start(seed, observer)
            del observer.starts[:-1], observer.ends[:-1]
            moved = int(engine.memory.migrated_pages().sum())
            engine.run(self.timed * AGGREGATION_US)
            observer.starts.pop(), observer.ends.pop()
            self.borders = {seed: observer}
            self.regions.append(mean([s.size for s in observer.starts]))
            self.moved.append(int(engine.memory.migrated_pages().sum()) - moved)
        return self.borders[seed]

    def package(self, seed: int) -> Work:
        """Prepare the whole loop, which asks for nothing in Python but at its end."""
        return partial(self.start(seed).run, self.timed * AGGREGATION_US)

    def bare(self, seed: int) -> Work:
        """Prepare `tieringmodel.kernels.sampling.sample_plain` for the same regions and ticks; it was called once before."""
        seen, engine = self.seen(seed), self.start(seed)
        k, most = engine.kdamonds[0], max(s.size for s in seen.starts)
        edges = np.concatenate([[0], np.cumsum([s.size for s in seen.starts])])
        ticks = TICKS * (self.before + np.arange(len(seen.starts)))[:, None] + np.arange(TICKS)
        own = np.zeros(2, np.int64), ticks, k.space, k.memory.arrays, k.access.arrays, counter_rng(seed), scratch(most)
        arguments = np.concatenate(seen.starts), np.concatenate(seen.ends), edges, empty(most), *own
        replay(*arguments)
        self.hits[seed] = arguments[3].nr.copy()
        return partial(replay, *arguments)

    def reads(self, seed: int) -> Work:
        """Prepare as many random reads of the same records as there are checks."""
        checks = TICKS * sum(s.size for s in self.seen(seed).starts)
        return read(self.start(seed).memory.arrays.rec, seed, checks)


def read(records: npt.NDArray[np.uint64], seed: int, n: int) -> Work:
    """Return n random reads of the records, which were read once before."""
    sizes = [min(READS, n - at) for at in range(0, n, READS)]
    index = [np.random.default_rng([seed, i]).integers(0, records.size, size) for i, size in enumerate(sizes)]
    out = np.empty(READS, np.uint64)

    def run() -> None:
        for row in index:
            gather(records, row, out)

    run()
    return run


def table(cases: list[tuple[str, int, str, int, int, int]], rounds: int) -> Table:
    """Answer how far it is; a case is (label, bytes, workload, max_nr_regions, aggregations before, timed)."""
    t = Table(
        "Whole loop, bare sampling of the same regions and ticks, and as many random reads (us per aggregation of 20 ticks)",
        (
            "memory", "regions", "pages moved", "whole loop", "sampling", "ratio", f"gate <= {MOST_OVER_SAMPLING:g} (few)",
            "simulated s per s", f"gate >= {LEAST_SPEED} (many, 64 GiB)", "reads alone allow",
        ),
        "Engine.run at DAMON's defaults without records; migrate_hot with goal node_mem_used_bp 99.7 % (scenarios.py).",
    )  # fmt: skip
    for label, footprint, workload, most, before, timed in cases:
        whole = Whole(footprint, workload, most, before, timed)
        took = interleaved({"loop": whole.package, "bare": whole.bare, "reads": whole.reads}, rounds)
        us = {name: Spread.of([1e6 * s / timed for s in v]) for name, v in took.items()}
        share, regions = ratio(took["loop"], took["bare"]), mean(whole.regions)
        speed, bound = (Spread.of([timed * AGGREGATION_US / 1e6 / s for s in took[name]]) for name in ("loop", "reads"))
        few = gate(share.median <= MOST_OVER_SAMPLING) if regions < 200 else ""
        many = gate(speed.median >= LEAST_SPEED) if regions >= 200 and footprint >= 1 << 36 else ""
        t.add(label, regions, mean(whole.moved), us["loop"], us["bare"], share, few, speed, many, bound)
    return t


class Simulated:
    """`tieringmodel.simulate` of a machine, long and short, and random reads of its records."""

    def __init__(self, footprint: int, short_s: int, long_s: int) -> None:
        self.scenario = tiered(footprint)
        self.lengths = {"short": short_s, "long": long_s}
        self.records = {name: 0 for name in self.lengths}
        self.rec = Engine(self.scenario).memory.arrays.rec

    def run(self, name: str, seed: int) -> Work:
        """Prepare a run."""

        def work() -> None:
            ds = tm.simulate(self.scenario, duration=self.lengths[name], seed=seed, progress=False)
            self.records[name] = int(ds.sizes["time"])

        return work

    def reads(self, seed: int) -> Work:
        """Prepare a million random reads."""
        return read(self.rec, seed, 10**6)


def simulate_table(footprint: int, short_s: int, long_s: int, rounds: int) -> Table:
    """Answer what an aggregation of `tieringmodel.simulate` costs beside what is done once per run."""
    t = Table(
        f"tieringmodel.simulate, {footprint / (1 << 30):g} GiB, few regions: processor time per aggregation",
        ("us/aggregation", "ns/read", "in random reads", f"gate <= {MOST_READS}", "aggregations", "ms for the rest of a run"),
        f"A run of {long_s} s minus one of {short_s} s, with records and 200 snapshots each; the rest: set-up and dataset.\n"
        f"Random reads of the records of all frames, {footprint / 512 / (1 << 20):g} MiB, in the same round.",
    )
    both = Simulated(footprint, short_s, long_s)
    took = interleaved({"short": partial(both.run, "short"), "long": partial(both.run, "long"), "reads": both.reads}, rounds)
    n = (long_s - short_s) * 1_000_000 // AGGREGATION_US
    each = [(a - b) / n for a, b in zip(took["long"], took["short"], strict=True)]
    read_s = [s / 1e6 for s in took["reads"]]
    rest = [b - e * short_s * 1_000_000 / AGGREGATION_US for b, e in zip(took["short"], each, strict=True)]
    per = ratio(each, read_s)
    t.add(
        Spread.of([1e6 * s for s in each]), Spread.of([1e9 * s for s in read_s]), per, gate(per.median <= MOST_READS), n,
        Spread.of([1e3 * s for s in rest]),
    )  # fmt: skip
    return t
