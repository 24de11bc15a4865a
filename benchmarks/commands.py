"""How long one looks at the prompt: whole commands with kernels on disk, beside importing what all of them need."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time

from .first_use import ROOT
from .measure import Spread, Table, gate, ratio

IMPORTS = [sys.executable, "-c", "import numpy, numba, xarray"]
LENGTH = ["--duration", "120 s"]
COMMANDS = {
    "--help": (["--help"], 0.15),
    "lint rfc-40-60": (["lint", "rfc-40-60"], 0.5),
    "run rfc-40-60 --no-fix": (["run", "rfc-40-60", *LENGTH, "--no-fix"], 1.54),
    "run rfc-40-60, its fix found and run": (["run", "rfc-40-60", *LENGTH], 4.6),
}
"""Arguments, and the limit of processor time in times of the imports."""
COMPARE = {"first table": 1.54, "both tables": 2.7, "all files": 5.4}
"""Parts of ``compare``, held by elapsed time."""


def timed(command: list[str], folder: str, tables: str = "") -> tuple[float, float, list[float]]:
    """Run a process in a folder; return its elapsed and processor time, and when lines that begin a table came."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    lines: list[float] = []
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [time.perf_counter() - began for line in process.stdout if tables and tables in line]
        if process.wait():
            assert process.stderr is not None
            raise RuntimeError(f"{' '.join(command)}: {process.stderr.read()}")
    elapsed, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, lines


def table(rounds: int, quick: bool) -> Table:
    """Answer how long commands take whose kernels are on disk."""
    t = Table(
        "Commands in a new process, kernels on disk, 120 simulated seconds",
        ("command", "elapsed [s]", "processor time [s]", "over importing numpy, numba and xarray", "gate"),
        "Ratios of processor time, for compare of elapsed time, round by round; compare keeps two processors busy.",
    )
    own = [sys.executable, "-m", "tieringmodel"]
    compare = [*own, "compare", *(["--duration", "20 s"] if quick else LENGTH)]
    base, took, compared = [], {name: list[tuple[float, float]]() for name in COMMANDS}, []
    with tempfile.TemporaryDirectory() as folder:
        for k in range(rounds + 1):  # the first one compiles
            imports = timed(IMPORTS, folder)
            runs = {name: timed([*own, *words], folder)[:2] for name, (words, _) in COMMANDS.items()}
            whole = timed(compare, folder, "access share of")
            if k:
                base.append(imports)
                compared.append([*whole[2], whole[0]])
                for name, times in runs.items():
                    took[name].append(times)
    elapsed, busy = [b[0] for b in base], [b[1] for b in base]
    t.add("importing numpy, numba and xarray", Spread.of(elapsed), Spread.of(busy), "", "")
    for name, (_, limit) in COMMANDS.items():
        one, cpu = zip(*took[name], strict=True)
        over = ratio(cpu, busy)
        t.add(name, Spread.of(one), Spread.of(cpu), over, f"<= {limit:g} {gate(over.low <= limit)}")
    for (name, limit), times in zip(COMPARE.items(), zip(*compared, strict=True), strict=True):
        over = ratio(times, elapsed)
        t.add(f"compare, {name}", Spread.of(times), "", over, f"<= {limit:g} {gate(over.low <= limit)}")
    return t
