"""How much memory a run takes per frame, measured by the system in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .measure import Table, gate

PROGRAM = """
import sys, time
def resident():
    lines = open("/proc/self/status").read().splitlines()
    return [1024 * int(line.split()[1]) for line in lines if line.startswith(("VmHWM", "VmRSS"))]
from benchmarks.scenarios import tiered
from tieringmodel.simulation.engine import Engine
Engine(tiered(1 << 30), seed=1).run(1_000_000)
before = resident()[1]
began = time.perf_counter()
engine = Engine(tiered(int(sys.argv[1])), seed=1)
built = time.perf_counter() - began
engine.run(1_000_000)
peak, steady = resident()
print(built, peak - before, steady - before)
"""
ROOT = Path(__file__).resolve().parent.parent


def table(footprints: list[tuple[str, int]]) -> Table:
    """Answer how much memory a run takes."""
    t = Table(
        "Memory of a run, bytes per frame (90 % of the frames hold a page)",
        ("machine", "frames", "built in [s]", "steady", "gate", "peak", "gate"),
    )
    for label, footprint in footprints:
        out = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(footprint)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        built, peak, steady = map(float, out.stdout.split())
        frames = footprint // 4096
        a, b = steady / frames, peak / frames
        t.add(label, frames, built, a, f"<= 12.5 {gate(a <= 12.5)}", b, f"<= 16 {gate(b <= 16)}")
    return t
