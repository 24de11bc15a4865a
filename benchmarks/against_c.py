"""The monitoring loop beside C that is compiled here and now: same draws, same regions at the end."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tieringmodel.damon.kdamond import Kdamond
from tieringmodel.kernels import draws
from tieringmodel.simulation.engine import Engine

from .measure import Spread, Table, Work, gate, interleaved, ratio
from .scenarios import ALL_WARM, tiered

FOLDER = Path(__file__).resolve().parent / "c"
BEFORE, TIMED, TICKS = 30, 50, 20
CAPACITY = 1 << 20


class World(ctypes.Structure):
    """``struct world``."""

    _fields_ = [("rec", ctypes.c_void_p), ("threshold", ctypes.c_void_p)] + [
        (name, ctypes.c_uint64)
        for name in ("access_key", "draw_key", "pos", "rotation", "last_nr", "max_nr", "sz_limit", "max_thres")
    ]  # fmt: skip


def has_compiler() -> bool:
    """Tell whether C can be compiled here."""
    return shutil.which("gcc") is not None


def compiled(folder: str, name: str, *flags: str) -> Any:
    """Compile c/NAME.c and return its function of that name."""
    target = Path(folder) / f"{name}{''.join(flags)}.so"
    options = ["-O3", "-march=native", "-shared", "-fPIC", *flags]
    subprocess.run(["gcc", *options, "-o", str(target), str(FOLDER / f"{name}.c")], check=True)
    function = getattr(ctypes.CDLL(str(target)), name)
    function.restype = ctypes.c_uint64
    return function


def world_of(k: Kdamond) -> World:
    """Return what C has to know of a context and its machine."""
    m, access, attrs = k.memory.arrays, k.access.arrays, k.attrs
    return World(
        m.rec.ctypes.data, access.threshold.ctypes.data, int(access.key), int(k.rng.state[draws.KEY]),
        int(k.rng.state[draws.POS]), k.split_state.rotation, k.split_state.last_nr_regions, attrs.max_nr_regions,
        k.sz_limit, attrs.aggr_us // attrs.sample_us,
    )  # fmt: skip


def columns_of(k: Kdamond) -> list[npt.NDArray[Any]]:
    """Return a copy of a context's regions with room for more."""
    own = k.regions.columns()
    columns = [np.zeros(CAPACITY, column.dtype) for column in own.values()]
    for to, column in zip(columns, own.values(), strict=True):
        to[: column.size] = column
    return columns


class Loops:
    """The same monitoring, from the same state, by the package and by C."""

    def __init__(self, footprint: int, most: int, areas: int) -> None:
        base = tiered(footprint, areas=areas, rates_hz=ALL_WARM, max_nr_regions=most)
        self.scenario = base.replace(contexts=(base.contexts[0].replace(schemes=()),))
        self.ends: dict[tuple[int, str], Any] = {}
        self.regions: list[int] = []

    def start(self, seed: int) -> Engine:
        """Return a run that has settled."""
        engine = Engine(self.scenario, seed)
        engine.run(BEFORE * 100_000)
        return engine

    def package(self, seed: int) -> Work:
        """Let the package go on."""
        return partial(self._package, seed, self.start(seed))

    def _package(self, seed: int, engine: Engine) -> None:
        engine.run(TIMED * 100_000)
        regions = engine.kdamonds[0].regions
        self.regions.append(regions.n)
        self.ends[seed, "package"] = [column.tolist() for column in regions.columns().values()]

    def c(self, name: str, function: Any, seed: int) -> Work:
        """Let C go on."""
        engine = self.start(seed)
        k = engine.kdamonds[0]
        return partial(self._c, seed, name, function, world_of(k), columns_of(k), k.regions.n, engine)

    def _c(self, seed: int, name: str, function: Any, world: World, columns: Any, n: int, engine: Engine) -> None:
        function.argtypes = [ctypes.POINTER(World), *[ctypes.c_void_p] * 5, *[ctypes.c_uint64] * 5]
        pointers = [c.ctypes.data for c in columns]
        n = function(ctypes.byref(world), *pointers, n, CAPACITY, BEFORE * TICKS, TICKS, TIMED)
        self.ends[seed, name] = [column[:n].tolist() for column in columns]

    def agree(self) -> bool:
        """Tell whether all ended with the same regions."""
        seeds = {seed for seed, _ in self.ends}
        return all(self.ends[s, "package"] == self.ends[s, other] for s in seeds for other in ("arrays", "list"))


def table(footprints: list[tuple[str, int]], rounds: int) -> Table:
    """Answer how the monitoring loop compares with C."""
    t = Table(
        "Monitoring loop (no schemes) and C with the same draws (ns per region and tick)",
        ("memory", "regions", "package", "C, arrays", "ratio", "gate <= 1.5", "C, linked list", "ratio", "same regions"),
        "gcc -O3 -march=native, compiled in this run. The package's time includes Python between the aggregations.",
    )
    if not has_compiler():
        t.note += " There is no gcc here."
        return t
    with tempfile.TemporaryDirectory() as folder:
        arrays, linked = compiled(folder, "monitor", "-DLIST=0"), compiled(folder, "monitor", "-DLIST=1")
        for label, footprint in footprints:
            for most, areas in ((1_000, 256), (10_000, 256)):
                loops = Loops(footprint, most, areas)
                programs: dict[str, Callable[[int], Work]] = {
                    "package": loops.package, "arrays": partial(loops.c, "arrays", arrays),
                    "list": partial(loops.c, "list", linked),
                }  # fmt: skip
                took = interleaved(programs, rounds)
                checks = [TIMED * TICKS * n for n in loops.regions[1:]]
                ns = {name: Spread.of([1e9 * s / k for s, k in zip(v, checks, strict=True)]) for name, v in took.items()}
                one, other = ratio(took["package"], took["arrays"]), ratio(took["package"], took["list"])
                t.add(
                    label, round(np.mean(loops.regions)), ns["package"], ns["arrays"], one, gate(one.median <= 1.5),
                    ns["list"], other, loops.agree(),
                )  # fmt: skip
    return t
