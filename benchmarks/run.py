"""Print how fast the package is, as tables of ratios: ``python benchmarks/run.py [--quick] [--json FILE] [--only WORD]``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numba
import numpy as np

from benchmarks import (
    against_c,
    counting,
    coupled,
    first_use,
    footprint,
    loop,
    many,
    migration,
    page_simulators,
    sampling,
    sweep,
    whole,
    whole_in_c,
)
from benchmarks.measure import Table

GIB = 1 << 30
SMALL, LARGE, HUGE = ("1 GiB", GIB), ("64 GiB", 64 * GIB), ("1 TiB", 1024 * GIB)


def questions(quick: bool) -> dict[str, Callable[[], list[Table]]]:
    """Return what can be measured, by name."""
    rounds = 5 if quick else 15
    footprints = [SMALL, ("4 GiB", 4 * GIB)] if quick else [SMALL, LARGE]
    same = [(*f, w, False, 20, 100, 3 if quick else 7) for f in footprints for w in loop.WORKLOADS]
    slow = "mostly idle", True
    obvious = [(*SMALL, *slow, 10, 5, 3)] if quick else [(*SMALL, *slow, 50, 10, 5), (*LARGE, *slow, 0, 1, 3)]
    sizes = footprints if quick else [*footprints, HUGE]
    defaults = [(*f, w, 1_000) for f in sizes for w in loop.WORKLOADS]
    most = [(*f, "all warm", 10_000) for f in sizes]
    few = [(*f, "mostly idle", 1_000, before, 400) for f in footprints for before in (20, 600)]
    stretches = few + [(*footprints[-1], "all warm", most, 20, 100) for most in (1_000, 10_000)]
    swept = [(*SMALL, 20, 1.8)] if quick else [(*SMALL, 60, 1.8), (*LARGE, 60, 1.6)]
    return {
        "sampling": lambda: sampling.tables(footprints, rounds * 3),
        "baselines": lambda: [loop.against_baselines(same + obvious)],
        "speed": lambda: [loop.speed(defaults + most, 2, 5 if quick else 10, 3 if quick else 5)],
        "c": lambda: [against_c.table(footprints, 3 if quick else 7)],
        "whole-loop": lambda: [whole.table(stretches, 3 if quick else 5)],
        "simulate": lambda: [whole.simulate_table(GIB, 20, 40 if quick else 140, 3 if quick else 5)],
        "many": lambda: [many.table(*((8, 2, 10, 1) if quick else (64, 40, 60, 5)))],
        "closed-loop": lambda: [coupled.table(60 if quick else 120, 3 if quick else 9)],
        "whole-loop-c": lambda: [whole_in_c.table(footprints, 3 if quick else 5)],
        "first-use": lambda: [first_use.table(1 if quick else 3)],
        "memory": lambda: [footprint.table([("16 GiB", 16 * GIB)] if quick else [LARGE, HUGE])],
        "counting": lambda: [counting.table(2**26 if quick else 2**28, rounds)],
        "grids": lambda: [sweep.grids(1_000, 400, rounds)],
        "workers": lambda: [sweep.workers(swept, 8 if quick else 16, 1 if quick else 5)],
        "page-simulators": lambda: [page_simulators.table([("64 MiB", GIB // 16), SMALL][: 1 if quick else 2], 3)],
        "migration": lambda: [migration.table(sizes, rounds)],
    }


def machine() -> dict[str, object]:
    """Return what the numbers depend on."""
    return {
        "processor": platform.processor() or platform.machine(),
        "threads": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "load_at_start": os.getloadavg()[0],
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description="Measure the package against what one would write.")
    parser.add_argument("--quick", action="store_true", help="everything small, under a minute")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the tables to FILE")
    parser.add_argument("--only", metavar="NAME", choices=list(questions(True)), help="measure one thing")
    options = parser.parse_args(arguments)
    facts, began = machine(), time.monotonic()
    print("median [minimum-maximum] over interleaved rounds, processor time")
    print(", ".join(f"{k} {v}" for k, v in facts.items()))
    tables = []
    for name, measure in questions(options.quick).items():
        if options.only in (None, name):
            for table in measure():
                print("\n" + table.text(), flush=True)
                tables.append(table)
    print(f"{time.monotonic() - began:.0f} s")
    if options.json:
        data = {"machine": facts, "quick": options.quick, "tables": [t.data() for t in tables]}
        options.json.write_text(json.dumps(data, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
