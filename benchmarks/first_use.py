"""What a first use costs in a new process: import and one run, with kernels to compile and with kernels on disk."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .measure import Spread, Table, gate

PROGRAM = """
import resource, sys, time
began = time.perf_counter(), time.process_time()
import tieringmodel as tm
imported = time.perf_counter()
if sys.argv[1] == "run":
    machine = tm.Machine.dram_cxl("1 GiB", "1 GiB")
    quota = tm.Quota(sz_bytes=1 << 24, goals=(tm.Goal("node_mem_used_bp", 9970, nid=0),))
    scheme = tm.Scheme("migrate_hot", target_nid=0, quota=quota)
    workload = tm.Workload(1 << 17, (tm.Group(0, 1 << 15, rate_hz=100.0),), (tm.Placement(0, 1 << 17, 1),))
    tm.simulate(tm.Scenario(machine, workload, (tm.Context(schemes=(scheme,)),)), duration=2.0, progress=False)
print(imported - began[0], time.perf_counter() - began[0], time.process_time() - began[1])
"""
ROOT = Path(__file__).resolve().parent.parent


def new_process(cache: str, what: str) -> tuple[float, float, float]:
    """Return seconds to import, seconds in all, and seconds of processor time in all."""
    environment = {**os.environ, "TIERINGMODEL_CACHE_DIR": cache, "PYTHONPATH": str(ROOT)}
    out = subprocess.run([sys.executable, "-c", PROGRAM, what], env=environment, capture_output=True, text=True, check=True)
    imported, whole, busy = map(float, out.stdout.split())
    return imported, whole, busy


def table(rounds: int) -> Table:
    """Answer what a first use costs."""
    t = Table(
        "First use: a new process imports the package and runs 2 simulated seconds with migration and a goal",
        ("kernels", "import [s]", "import and run [s]", "processor time [s]", "gate"),
        "Elapsed time, so a busy machine counts.",
    )
    for label, limit in (("to compile", 8.0), ("on disk", 1.0)):
        took = []
        with tempfile.TemporaryDirectory() as cache:
            if limit == 1.0:
                new_process(cache, "run")
            for k in range(rounds):
                took.append(new_process(cache if limit == 1.0 else f"{cache}/{k}", "run"))
        imported, whole, busy = (Spread.of(v) for v in zip(*took, strict=True))
        t.add(label, imported, whole, busy, f"<= {limit:g} {gate(min(whole.low, busy.low) <= limit)}")
    return t
