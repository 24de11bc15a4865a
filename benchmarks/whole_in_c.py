"""The whole loop beside C that is compiled here and now: same regions, as many pages moved, the same page on every frame."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tieringmodel.damon.kdamond import Kdamond
from tieringmodel.kernels.layout import BOOT_JIFFIES
from tieringmodel.scenario import Scenario
from tieringmodel.simulation.engine import Engine

from .against_c import CAPACITY, columns_of, compiled, has_compiler, world_of
from .baselines.setting import PAGE, Setting
from .loop import AGGREGATION_US, WORKLOADS, mean
from .measure import Spread, Table, Work, gate, interleaved, ratio
from .scenarios import tiered

BEFORE, TIMED = 20, 200
MOST = 1.2
_U64 = ctypes.c_uint64
End = tuple[list[npt.NDArray[Any]], int, npt.NDArray[np.uint64]]
"""Columns of regions, pages moved, records of all frames."""


class Scheme(ctypes.Structure):
    """``struct scheme``."""

    _fields_ = [(name, _U64) for name in (
        "min_sz", "max_sz", "min_nr", "max_nr", "min_age", "max_age", "weight_nr", "weight_age", "cap", "window", "goal",
        "is_consist", "esz_bp", "esz", "charged", "next_reset", "resume", "is_resuming", "nr_tried", "sz_tried", "sz_applied",
        "moved",
    )]  # fmt: skip


class Machine(ctypes.Structure):
    """``struct machine``."""

    _fields_ = [("rec", ctypes.c_void_p), ("free_bits", ctypes.c_void_p)] + [
        (name, _U64 * 2) for name in ("first", "last", "nr_free", "hint")
    ] + [(name, _U64) for name in ("target", "aggr_us", "jiffy_us", "boot_jiffies", "merge_limit", "granularity")]  # fmt: skip


def scheme_of(k: Kdamond, setting: Setting) -> Scheme:
    """Return the scheme's parameters and where it stands."""
    s, q, quota = k.schemes[0], k.quotas[0], setting.scheme.quota
    (goal,) = quota.goals
    same = ("min_sz", "max_sz", "min_nr", "max_nr", "min_age", "max_age", "weight_nr", "weight_age", "esz", "next_reset")
    return Scheme(
        **{name: int(s[name]) for name in same}, cap=quota.sz_bytes, window=q.reset_jiffies, goal=goal.target_value,
        is_consist=quota.goal_tuner == "consist", esz_bp=q.esz_bp, charged=int(s["charged_sz"]),
        resume=int(s["charge_addr"]), is_resuming=int(s["charge_target"]),
    )  # fmt: skip


def machine_of(k: Kdamond, setting: Setting) -> Machine:
    """Return the memory that a context works on; C writes to it."""
    m, pair = k.memory.arrays, _U64 * 2
    first, last = zip(*setting.spans, strict=True)
    return Machine(
        m.rec.ctypes.data, m.free_bits.ctypes.data, pair(*first), pair(*last), pair(*m.node["free"].tolist()),
        pair(*(lo // 64 for lo in first)), setting.target, setting.attrs.aggr_us, 10**6 // setting.hz, BOOT_JIFFIES,
        setting.size_limit(last[-1] * PAGE), setting.min_sz,
    )  # fmt: skip


class WholeLoops:
    """The same runs, from the same state, by the package and by C."""

    def __init__(self, scenario: Scenario, function: Any, before: int = BEFORE, timed: int = TIMED) -> None:
        self.scenario, self.function, self.before, self.timed = scenario, function, before, timed
        self.ends: dict[tuple[int, str], tuple[Any, ...]] = {}
        self.regions: list[int] = []
        self.moved: list[int] = []
        self.unread: tuple[int, str, Callable[[], End]] | None = None
        function.argtypes = [*[ctypes.c_void_p] * 8, *[_U64] * 5]

    def start(self, seed: int) -> Engine:
        """Return a run that has begun."""
        self.read()
        engine = Engine(self.scenario, seed)
        engine.run(self.before * AGGREGATION_US)
        return engine

    def package(self, seed: int) -> Work:
        """Let the package go on."""
        engine = self.start(seed)
        moved = int(engine.memory.migrated_pages().sum())

        def end() -> End:
            k = engine.kdamonds[0]
            self.regions.append(k.regions.n)
            self.moved.append(int(engine.memory.migrated_pages().sum()) - moved)
            return list(k.regions.columns().values()), self.moved[-1], engine.memory.arrays.rec

        self.unread = seed, "package", end
        return partial(engine.run, self.timed * AGGREGATION_US)

    def c(self, seed: int) -> Work:
        """Let C go on."""
        engine, setting = self.start(seed), Setting(self.scenario, seed)
        k = engine.kdamonds[0]
        world, scheme, machine = world_of(k), scheme_of(k, setting), machine_of(k, setting)
        columns, n = columns_of(k), [k.regions.n]
        pointers = [*(ctypes.byref(one) for one in (world, scheme, machine)), *(c.ctypes.data for c in columns)]
        ticks = k.attrs.aggr_us // k.attrs.sample_us

        def run() -> None:
            n.append(self.function(*pointers, n[0], CAPACITY, self.before * ticks, ticks, self.timed))

        def end() -> End:
            return [c[: n[-1]] for c in columns], scheme.moved, engine.memory.arrays.rec

        self.unread = seed, "c", end
        return run

    def read(self) -> None:
        """Note how the last run ended; that is not timed."""
        if self.unread:
            seed, name, end = self.unread
            columns, moved, rec = end()
            places = int(rec @ np.arange(1, rec.size + 1, dtype=np.uint64))
            self.ends[seed, name], self.unread = ([c.tolist() for c in columns], moved, places), None

    def agree(self) -> bool:
        """Tell whether regions, moved pages and every frame's page are the same."""
        self.read()
        return all(self.ends[seed, "package"] == self.ends[seed, "c"] for seed, _ in self.ends)


def table(footprints: list[tuple[str, int]], rounds: int) -> Table:
    """Answer how the whole loop compares with C."""
    t = Table(
        "Whole loop and C with the same draws (us per aggregation of 20 ticks)",
        ("memory", "workload", "regions", "pages moved", "package", "C", "ratio", f"gate <= {MOST}", "same end"),
        "C is c/whole_loop.c on arrays, gcc -O3 -march=native, compiled in this run: the scheme with quota, goal, tuner,\n"
        "histogram and migration. It keeps no other counters than the scheme's. Same end: regions, pages moved, page by frame.",
    )
    if not has_compiler():
        t.note += " There is no gcc here."
        return t
    with tempfile.TemporaryDirectory() as folder:
        function = compiled(folder, "whole_loop")
        for label, footprint in footprints:
            for workload, arguments in WORKLOADS.items():
                loops = WholeLoops(tiered(footprint, **arguments), function)
                took = interleaved({"package": loops.package, "c": loops.c}, rounds)
                same = loops.agree()
                us = {name: Spread.of([1e6 * s / loops.timed for s in v]) for name, v in took.items()}
                share = ratio(took["package"], took["c"])
                t.add(
                    label, workload, mean(loops.regions), mean(loops.moved), us["package"], us["c"], share,
                    gate(share.median <= MOST), same,
                )  # fmt: skip
    return t
