"""What a second process of a command loads: kernels from the disk, and nothing that it has no use for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import tieringmodel as tm

PROGRAM = """
import sys
from tieringmodel.cli import main
from tieringmodel.kernels import _jit
assert main({words!r}) == 0
print(_jit._compiling.cpu_s, [m for m in {heavy!r} if m in sys.modules])
"""
UNUSED = ("numba.np.arraymath", "scipy.stats", "scipy.signal", "matplotlib", "jinja2", "tieringmodel.remedies.search")


def last_line(words: list[str], heavy: tuple[str, ...], folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(Path(tm.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(words=words, heavy=heavy)],
        env=environment, cwd=folder, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    return done.stdout.splitlines()[-1]


def test_a_run_with_every_measure_compiles_nothing_and_loads_no_statistics(tmp_path: Path) -> None:
    words = ["run", "rfc-40-60", "--duration", "20", "-o", str(tmp_path), "--no-fix", "--json", "--expect", "settling_s > 0"]
    for _ in range(2):
        said = last_line(words, UNUSED, tmp_path)
        if said == "0.0 []":
            break  # kernels were on disk: nothing was compiled
    assert said == "0.0 []"


def test_comparing_compiles_nothing_and_leaves_drawing_to_others(tmp_path: Path) -> None:
    words = ["compare", "rfc-40-60", "--duration", "5", "-o", str(tmp_path), "--no-figures"]
    for _ in range(2):
        said = last_line(words, ("scipy.stats", "matplotlib"), tmp_path)
        if said == "0.0 []":
            break
    assert said == "0.0 []"
