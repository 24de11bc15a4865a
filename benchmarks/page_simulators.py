"""The package beside simulators that replay every access: plain Python, and `libcachesim` where it is installed.

All get the same machine, workload and second. The replaying ones keep the fast node as a cache with least recently used
replacement, the policy that both can do and that agree access by access; drawing and writing their trace is not timed.
The package runs its scenario: DAMON's checks and regions, the scheme with goal and quota, migration. Its accesses are decided
where DAMON looks, so its time hardly depends on how many there are; theirs is proportional to it. This is a statement about
the two ways to model, not about the quality of the programs.
"""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tieringmodel.scenario import Scenario
from tieringmodel.simulation.engine import Engine
from tieringmodel.units import PAGE_SZ

from .measure import Spread, Table, Work, interleaved, ratio
from .scenarios import tiered

_ENTRY = np.dtype([("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")])
"""A request in the trace format that libcachesim calls oracleGeneral."""


def installed() -> Any:
    """Return the module `libcachesim`, or None."""
    try:
        import libcachesim
    except ImportError:
        return None
    return libcachesim


def trace(scenario: Scenario, seconds: float, seed: int) -> npt.NDArray[np.uint64]:
    """Return the page of every access in that time: independent Poisson processes make independent draws by rate."""
    groups, rng = scenario.workload.groups, np.random.default_rng(seed)
    touched = np.array([g.rate_hz * (g.hi - g.lo) for g in groups])
    total = rng.poisson(touched.sum() * seconds)
    chosen = rng.choice(len(groups), total, p=touched / touched.sum())
    lows, sizes = (np.array(v) for v in zip(*((g.lo, g.hi - g.lo) for g in groups), strict=True))
    return (lows[chosen] + (rng.random(total) * sizes[chosen]).astype(np.int64)).astype(np.uint64)


class Second:
    """One simulated second of a scenario, by each program."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self.folder = scenario, folder
        self.fast_pages = scenario.machine.nodes[0].sz_bytes // PAGE_SZ
        self.accesses: list[int] = []
        self.misses: dict[tuple[int, str], int] = {}

    def package(self, seed: int) -> Work:
        """Prepare the package, past the first aggregations."""
        engine = Engine(self.scenario, seed=seed)
        engine.run(2_000_000)
        return partial(engine.run, 1_000_000)

    def plain(self, seed: int) -> Work:
        """Prepare plain Python."""
        pages = trace(self.scenario, 1.0, seed).tolist()
        self.accesses.append(len(pages))
        return partial(self._plain, seed, pages)

    def _plain(self, seed: int, pages: list[int]) -> None:
        fast: OrderedDict[int, None] = OrderedDict()
        misses = 0
        for page in pages:
            if page in fast:
                fast.move_to_end(page)
                continue
            misses += 1
            if len(fast) >= self.fast_pages:
                fast.popitem(last=False)
            fast[page] = None
        self.misses[seed, "plain"] = misses

    def library(self, seed: int) -> Work:
        """Prepare libcachesim."""
        lib, pages = installed(), trace(self.scenario, 1.0, seed)
        entries = np.zeros(pages.size, _ENTRY)
        entries["id"], entries["size"], entries["next"] = pages + np.uint64(1), 1, -1
        path = self.folder / "trace.bin"
        entries.tofile(path)
        reader = lib.TraceReader(
            trace=str(path), trace_type=lib.TraceType.ORACLE_GENERAL_TRACE,
            reader_init_params=lib.ReaderInitParam(ignore_obj_size=True),
        )  # fmt: skip
        return partial(self._library, seed, lib.LRU(cache_size=self.fast_pages), reader, pages.size)

    def _library(self, seed: int, cache: Any, reader: Any, accesses: int) -> None:
        self.misses[seed, "library"] = round(cache.process_trace(reader)[0] * accesses)

    def agree(self) -> bool:
        """Whether both caches missed equally often in every round."""
        return all(self.misses[seed, "plain"] == n for (seed, name), n in self.misses.items() if name == "library")


def table(sizes: list[tuple[str, int]], rounds: int) -> Table:
    """Compare processor time per simulated second.

    Parameters
    ----------
    sizes : list of (str, int)
        Name and bytes of the machines.
    rounds : int
        Rounds that count.

    Returns
    -------
    Table
    """
    out = Table(
        "One simulated second beside simulators that replay every access",
        ("memory", "program", "accesses", "ms per second", "over package"),
        "The replaying programs keep node 0 as an LRU cache of pages; the package monitors, tunes and migrates.",
    )
    for name, size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            second = Second(tiered(size, fast_bytes=size // 4), Path(folder))
            programs: dict[str, Callable[[int], Work]] = {"tieringmodel": second.package, "plain Python, LRU": second.plain}
            if installed():
                programs["libcachesim, LRU"] = second.library
            took = interleaved(programs, rounds)
            if not second.agree():
                raise AssertionError("the two caches disagree")
            accesses = f"{np.median(second.accesses):.2g}"
            for program, seconds in took.items():
                told = "decided where looked at" if program == "tieringmodel" else accesses
                out.add(name, program, told, Spread.of([1e3 * s for s in seconds]), ratio(seconds, took["tieringmodel"]))
    if not installed():
        out.note += "\nlibcachesim is not installed (pip install libcachesim)."
    return out
