"""A kernel on disk is used again, and never after a helper in another module has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tieringmodel.kernels import _jit

CALLEE = "from ._jit import inlined\n\n@inlined\ndef step():\n    return {}\n"
CALLER = "from ._jit import kernel\nfrom .callee import step\n\n@kernel\ndef call():\n    return step()\n"
PROGRAM = "from room.caller import call; print(call(), sum(call.stats.cache_hits.values()))"


def test_a_changed_callee_recompiles_its_callers(tmp_path):
    room = tmp_path / "room"
    room.mkdir()
    (room / "__init__.py").write_text("")
    shutil.copy(Path(_jit.__file__), room)
    (room / "caller.py").write_text(CALLER)

    def run(value):
        (room / "callee.py").write_text(CALLEE.format(value))
        environment = {
            **os.environ, "PYTHONPATH": str(tmp_path), "TIERINGMODEL_CACHE_DIR": str(tmp_path / "cache"),
            "NUMBA_DISABLE_JIT": "0",  # what is compiled is looked at, whatever the tests themselves run as
        }  # fmt: skip
        out = subprocess.run([sys.executable, "-B", "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
        return [int(word) for word in out.stdout.split()]

    assert run(1) == [1, 0]
    assert run(1) == [1, 1]
    assert run(100) == [100, 0]


def test_every_source_counts(tmp_path):
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("one")
    before = _jit.source_digest(tmp_path)
    (tmp_path / "b.py").write_text("two")
    assert _jit.source_digest(tmp_path) != before
    assert _jit.CACHE_DIR.name == _jit.source_digest()
