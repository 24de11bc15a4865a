"""How fast access checks are: beside the same algorithm in numpy, and beside reading the same memory and nothing else."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tieringmodel.damon.regions import empty, scratch
from tieringmodel.damon.rng import Rng, counter_rng
from tieringmodel.kernels import sampling
from tieringmodel.kernels._jit import kernel
from tieringmodel.simulation.engine import Engine

from .baselines.same_algorithm import SameAlgorithm
from .measure import Spread, Table, Work, gate, interleaved, ratio
from .scenarios import tiered

TICKS = 20
CHECKS = 100_000
"""About as many checks make one measurement, so that starting a program does not count."""


@kernel
def gather(records: Any, index: Any, out: Any) -> None:
    """Read records in the order of `index`: what no sampling kernel can avoid."""
    for i in range(index.size):
        out[i] = records[index[i]]


class Checks:
    """The same regions and draws for the kernel and for numpy."""

    def __init__(self, footprint: int, n_regions: int) -> None:
        scenario = tiered(footprint)
        self.engine, self.numpy = Engine(scenario, seed=1), SameAlgorithm(scenario, seed=1)
        self.resize(n_regions)

    def resize(self, n_regions: int) -> None:
        """Cover the machine by that many regions of about equal size."""
        setting = self.numpy.setting
        borders = np.linspace(0, setting.spans[-1][1], n_regions + 1).astype(np.uint64) * np.uint64(4096)
        self.regions, self.scratch = empty(n_regions), scratch(n_regions)
        self.regions.start[:], self.regions.end[:] = borders[:-1], borders[1:]
        self.numpy.start, self.numpy.end = borders[:-1].copy(), borders[1:].copy()
        self.windows = max(CHECKS // (TICKS * n_regions), 1)
        self.hits: dict[tuple[int, str], npt.NDArray[Any]] = {}

    def ticks(self, seed: int) -> range:
        """Return the first tick of every aggregation in a round."""
        return range(seed * self.windows * TICKS, (seed + 1) * self.windows * TICKS, TICKS)

    def kernel(self, seed: int) -> Work:
        """Prepare one call per aggregation."""
        windows = [np.arange(tick, tick + TICKS) for tick in self.ticks(seed)]
        return partial(self._kernel, seed, counter_rng(seed), windows)

    def _kernel(self, seed: int, rng: Rng, windows: list[npt.NDArray[np.int64]]) -> None:
        k, r = self.engine.kdamonds[0], self.regions
        own, ptr = (k.space, k.memory.arrays, k.access.arrays, rng, self.scratch), np.array([0, r.nr.size])
        r.nr[:] = 0
        for after in windows:
            sampling.sample_plain(r, ptr, after, after + 1, *own)
        self.hits[seed, "kernel"] = r.nr.copy()

    def one_tick(self, seed: int) -> Work:
        """Let numpy work on all regions at once, one tick after the other."""
        return partial(self._numpy, seed, "tick", 1)

    def all_ticks(self, seed: int) -> Work:
        """Let numpy work on all regions and all ticks at once."""
        return partial(self._numpy, seed, "all", TICKS)

    def _numpy(self, seed: int, name: str, at_once: int) -> None:
        b = self.numpy
        b.setting.draw_key, b.taken = int(counter_rng(seed).state[2]), 0
        hits = np.zeros(b.start.size, np.int64)
        for first in self.ticks(seed):
            for tick in range(first, first + TICKS, at_once):
                hits += b.sample(tick, at_once)
        self.hits[seed, name] = hits

    def gather(self, seed: int) -> Work:
        """Read as many random records."""
        records = self.engine.memory.arrays.rec
        index = np.random.default_rng(seed).integers(0, records.size, (self.windows, TICKS * self.regions.nr.size))
        out = np.empty(index.shape[1], np.uint64)
        return lambda: [gather(records, row, out) for row in index]

    def agree(self) -> bool:
        """Tell whether every round gave the same hits, and some."""
        seeds = {seed for seed, _ in self.hits}
        same = all(np.array_equal(self.hits[s, "kernel"], self.hits[s, other]) for s in seeds for other in ("tick", "all"))
        return same and all(self.hits[s, "kernel"].any() for s in seeds)


def tables(footprints: list[tuple[str, int]], rounds: int) -> list[Table]:
    """Answer both questions about sampling."""
    against_numpy = Table(
        "Access checks: the kernel and the same algorithm in numpy (ns per region and tick)",
        ("memory", "regions", "kernel", "numpy by tick", "ratio", "gate >= 3", "numpy, 20 ticks at once", "ratio", "equal"),
        "The language's gain, both programs calculate the same. numpy is vectorised over the regions; the second variant\n"
        "also over the 20 ticks of an aggregation, the best numpy found.",
    )
    against_memory = Table(
        "Access checks: the kernel and bare random reads of the same memory (ns per region and tick)",
        ("memory", "regions", "kernel", "reads only", "ratio", "gate <= 2.5 (1000 regions)"),
    )
    for label, footprint in footprints:
        checks = Checks(footprint, 100)
        for n in (100, 300, 1_000):
            checks.resize(n)
            programs = {"kernel": checks.kernel, "tick": checks.one_tick, "all": checks.all_ticks, "gather": checks.gather}
            took = interleaved(programs, rounds)
            ns = {name: Spread.of([1e9 * t / checks.windows / TICKS / n for t in v]) for name, v in took.items()}
            gain, reads = ratio(took["tick"], took["kernel"]), ratio(took["kernel"], took["gather"])
            against_numpy.add(
                label, n, ns["kernel"], ns["tick"], gain, gate(gain.median >= 3), ns["all"],
                ratio(took["all"], took["kernel"]), checks.agree(),
            )  # fmt: skip
            verdict = gate(reads.median <= 2.5) if n == 1_000 else ""
            against_memory.add(label, n, ns["kernel"], ns["gather"], reads, verdict)
    return [against_numpy, against_memory]
