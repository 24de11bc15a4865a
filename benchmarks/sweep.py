"""How fast sweeps are: a grid of the reduced loop beside plain C, and two workers beside one."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import tieringmodel as tm
from tieringmodel.scenario import Scenario

from .loop import WORKLOADS
from .measure import Spread, Table, Work, gate, interleaved, ratio
from .scenarios import tiered

SOURCE = Path(__file__).parent / "baselines" / "loop.c"
FLAGS = ("-O3", "-march=native", "-shared", "-fPIC")
MIB = 1 << 20
_I, _U, _F = (np.ctypeslib.ndpointer(t, flags="C") for t in (np.int64, np.uint64, np.float64))
_OUT = ("final", "peak", "trough", "last_move", "last_outside", "moved", "tail_pages", "tail_low", "tail_high", "tail_moved")


class Grid:
    """A grid of loop runs, by the package and by C, on the same arguments."""

    def __init__(self, tuner: str, runs: int, windows: int, delay: int, library: ctypes.CDLL) -> None:
        self.tuner, self.runs, self.windows, self.delay, self.library = tuner, runs, windows, delay, library
        self.runs_of: dict[int, Any] = {}
        self.plain_of: dict[int, dict[str, npt.NDArray[Any]]] = {}

    def arguments(self, seed: int) -> dict[str, npt.NDArray[Any]]:
        """Draw starts, caps, leaks."""
        rng, n = np.random.default_rng(seed), self.runs
        return {
            "target_bp": rng.integers(500, 9_500, n), "start_pages": rng.integers(0, 10**6, n),
            "cap_bytes": np.exp(rng.uniform(np.log(MIB), np.log(2 << 30), n)).astype(np.uint64),
            "leak_pages": rng.integers(0, 2_000, n), "leak_rate": rng.choice([0.0, 0.01], n),
        }  # fmt: skip

    def package(self, seed: int) -> Work:
        """Prepare the package's run."""
        given = self.arguments(seed)

        def run() -> None:
            self.runs_of[seed] = tm.loop.run_many(self.tuner, n_pages=10**6, windows=self.windows, delay=self.delay, **given)

        return run

    def plain(self, seed: int) -> Work:
        """Prepare the run in C."""
        given, n = self.arguments(seed), self.runs
        pages, tail = np.full(n, 10**6), min(self.windows, max(100, -(-self.windows // 5)))
        wanted = given["target_bp"] * pages
        out = {name: np.empty(n, np.int64) for name in _OUT} | {"esz": np.empty(n, np.uint64)}
        self.plain_of[seed] = out
        delay = np.full(n, self.delay)
        call = self.library.grid
        whole = ctypes.c_int64
        call.argtypes = [ctypes.c_int, whole, whole, _I, _I, _I, _U, _I, _I, _F, _I, _I, whole, *[_I] * 11, _U]
        call.restype = None
        return partial(
            call, self.tuner == "consist", n, self.windows, given["target_bp"], pages, given["start_pages"], given["cap_bytes"],
            delay, given["leak_pages"], given["leak_rate"], -(-98 * wanted // 10**6), 102 * wanted // 10**6, tail,
            np.empty(self.delay + 1, np.int64), *out.values(),
        )  # fmt: skip

    def agree(self) -> bool:
        """Tell whether both came to the same."""
        names = {name: f"{name}_pages" for name in ("final", "moved", "peak", "tail_low")} | {"esz": "final_esz"}
        return all(
            np.array_equal(self.runs_of[seed][ours].values, plain[name])
            for seed, plain in self.plain_of.items() for name, ours in names.items()
        )  # fmt: skip


def compiled(folder: Path) -> ctypes.CDLL | None:
    """Return the C loop, compiled now; None without a compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    target = folder / "loop.so"
    subprocess.run([compiler, *FLAGS, "-o", str(target), str(SOURCE)], check=True)
    return ctypes.CDLL(str(target))


def grids(runs: int, windows: int, rounds: int) -> Table:
    """Compare `tieringmodel.loop.run_many` with C."""
    table = Table(
        "Grids of the reduced loop: tieringmodel.loop.run_many and plain C (ns per window)",
        ("tuner", "delay", "runs", "windows", "package", "C", "package's time over C's", "gate <= 1.2", "same results"),
        f"All of run_many: checks, kernel, dataset. C is {SOURCE.name}, compiled now with {' '.join(FLAGS[:2])}.",
    )
    with tempfile.TemporaryDirectory() as folder:
        library = compiled(Path(folder))
        if library is None:
            table.note += " There is no C compiler here."
            return table
        for tuner in ("consist", "temporal"):
            for delay in (0, 3):
                both = Grid(tuner, runs, windows, delay, library)
                took = interleaved({"package": both.package, "plain": both.plain}, rounds)
                per = {name: Spread.of([1e9 * t / runs / windows for t in v]) for name, v in took.items()}
                share = ratio(took["package"], took["plain"])
                found = per["package"], per["plain"], share, gate(share.median <= 1.2), both.agree()
                table.add(tuner, delay, runs, windows, *found)
    return table


def spin(loops: int) -> int:
    """Keep a processor busy with something that needs no memory."""
    x = 1
    for _ in range(loops):
        x = (x * 1103515245 + 12345) % 2147483648
    return x


def _wall(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _sweep(scenario: Scenario, pool: ProcessPoolExecutor, points: int, seconds: int) -> None:
    tm.sweep(scenario, {"seed": range(points)}, duration=seconds, executor=pool, progress=False, on_error="raise")


def _spins(pool: ProcessPoolExecutor, points: int, loops: int) -> None:
    list(pool.map(spin, [loops] * points))


def workers(footprints: list[tuple[str, int, int, float]], points: int, rounds: int) -> Table:
    """Measure what a second worker brings; a footprint is (label, bytes, simulated seconds, limit)."""
    table = Table(
        "Two workers beside one (wall time)",
        ("memory", "points", "s/point", "speedup", "pure-CPU loop", "share of it", "at least", "at least 0.95"),
        "Processes are started and warm. The pure-CPU loop is the same number of equal tasks, as long as a point, in the same\n"
        "pools in the same round: its speedup says what the machine and its other users left.",
    )
    spawn = get_context("spawn")
    for label, footprint, seconds, limit in footprints:
        scenario = tiered(footprint, **WORKLOADS["all warm"])
        with ProcessPoolExecutor(1, spawn) as one, ProcessPoolExecutor(2, spawn) as two:
            for pool in (one, two, two):
                _sweep(scenario, pool, 4, seconds)
            per_point = _wall(partial(_sweep, scenario, one, 2, seconds)) / 2
            loops = round(1e6 * per_point / _wall(partial(_spins, one, 1, 10**6)))
            ups: dict[str, list[float]] = {"sweep": [], "spin": []}
            for k in range(rounds):
                pools = (one, two) if k % 2 else (two, one)
                swept = {id(p): _wall(partial(_sweep, scenario, p, points, seconds)) for p in pools}
                spun = {id(p): _wall(partial(_spins, p, points, loops)) for p in pools}
                ups["sweep"].append(swept[id(one)] / swept[id(two)])
                ups["spin"].append(spun[id(one)] / spun[id(two)])
        up, share = Spread.of(ups["sweep"]), ratio(ups["sweep"], ups["spin"])
        table.add(
            label, points, per_point, up, Spread.of(ups["spin"]), share, f"{limit} {gate(up.median >= limit)}",
            gate(share.median >= 0.95),
        )  # fmt: skip
    return table
