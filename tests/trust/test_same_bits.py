"""The same seed gives the same bits: compiled or in plain Python, in this process or another, whatever ran before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import same_bits

import tieringmodel as tm


def test_plain_python_gives_the_compiled_bits() -> None:
    root = str(Path(tm.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "error", str(Path(same_bits.__file__))], capture_output=True, text=True, timeout=240,
        env=os.environ | {"PYTHONPATH": root, "NUMBA_DISABLE_JIT": "1", "PYTHONHASHSEED": "5"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    compiled = same_bits.digests()
    assert json.loads(done.stdout) == compiled
    moved = {name: int(text.split()[-1]) for name, text in compiled.items() if name in same_bits.scenarios()}
    assert min(moved.values()) > 0, "every run must move something, or it shows little"
    assert same_bits.digests() == compiled


def test_bits_of_this_version() -> None:
    """Across Python versions and processors; a change belongs under "Numerical changes" in the changelog."""
    recorded = json.loads(Path(__file__).with_name("same_bits.json").read_text())
    assert same_bits.digests() == recorded
