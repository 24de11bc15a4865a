"""The doors through which users hand something in; each takes one bad input and lets the package answer."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from good import GOOD as SMALL
from good import PAGE, changed

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.damon import quota_math
from tieringmodel.damon.regions import set_regions
from tieringmodel.datafiles import data_path
from tieringmodel.errors import InputError
from tieringmodel.interop.damo.json import read_damo
from tieringmodel.interop.sysfs.read import read_dump
from tieringmodel.interop.workloads.record_workload import read_record_workload
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.simulate import scheme_actions
from tieringmodel.theory.gain_runs import gain_runs
from tieringmodel.units import parse_bp, parse_bytes, parse_duration_us, parse_ms, parse_us
from tieringmodel.validate.golden import vectors

U64 = 2**64
NAN, INF = float("nan"), float("inf")

GOOD: dict[str, Any] = {
    **SMALL,
    "workload": {**SMALL["workload"], "memcgs": [{"memcg_id": 1, "lo": 0, "hi": 50}]},
    "contexts": [{**SMALL["contexts"][0], "attrs": {"max_nr_regions": 100}}],
    "events": [{"at_us": 1000, "path": "contexts.0.schemes.0.enabled", "value": False}],
}
N, P, W = ("machine", "nodes", 1), ("workload", "placement", 0), ("workload", "groups", 0)
C = ("contexts", 0)
A, S = (*C, "attrs"), (*C, "schemes", 0)
Q, E = (*S, "quota"), ("events", 0)
G, F, D = (*Q, "goals", 0), (*S, "filters", 0), (*S, "dests", 0)


def gz(text: str | bytes) -> bytes:
    return gzip.compress(text.encode() if isinstance(text, str) else text, mtime=0)


def zeros(mib: int) -> bytes:
    """A gzip file that unfolds to that many MiB of zeros."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(mib)) + packer.flush()


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def pickled() -> bytes:
    """An NPZ file with a pickle in it that would make a folder if anybody ran it."""
    import os

    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, ("EXECUTED",)

    file = io.BytesIO()
    np.savez(file, **{"regA.tick": np.array([Runs()], dtype=object)})
    return file.getvalue()


def lying_npz() -> bytes:
    """A small NPZ file whose array says that it has 2**50 elements."""
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        header = b"{'descr': '<u8', 'fortran_order': False, 'shape': (1125899906842624,), }"
        archive.writestr("regA.tick.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64))
    return file.getvalue()


def told(*snapshots: Any, **changes: Any) -> str:
    """What damo would have recorded of one target."""
    intervals = {"sample_us": 5_000, "aggr_us": 100_000}
    return json.dumps({"kdamond_idx": 0, "intervals": intervals, "target_id": 0, "snapshots": snapshots} | changes)


def snap(*regions: Any, start: int = 0, end: int = 10) -> dict[str, Any]:
    """A snapshot; of each region what differs from a page at 0 that was accessed once."""
    page = {"start": 0, "end": PAGE, "nr_accesses": {"samples": 1}, "age": {"aggr_intervals": 0}}
    rows = [page | r if isinstance(r, dict) else r for r in regions]
    return {"start_time": start, "end_time": end, "regions": rows}


def events(*said: str) -> str:
    """Lines of tracepoint text, from a time, a number of regions and what is said of one."""
    lines = (text.split(" ", 2) for text in said)
    return "".join(f"kdamond.0 1 [0] {t}: damon:damon_aggregated: target_id=0 nr_regions={n} {r}\n" for t, n, r in lines)


# ---- doors ------------------------------------------------------------------------------------------------------------


def field(given: tuple[tuple[Any, ...], Any], folder: Path) -> None:
    """A scenario's field, checked alone, with the rest, or when a run begins."""
    Engine(tm.Scenario.from_dict(changed(*given, GOOD)), 1, actions=scheme_actions)


def toml(given: str | bytes, folder: Path) -> None:
    path = folder / "x.toml"
    path.write_bytes(given.encode() if isinstance(given, str) else given)
    tm.load(path)


def dump(given: str, folder: Path) -> None:
    """Lines of a sysfs dump."""
    read_dump(given + "\n")


def recording(given: tuple[Any, ...], folder: Path) -> None:
    """A recorded run in which a file is replaced (name, bytes), or an old text in it (name, old, new)."""
    run = folder / "run"
    if not run.exists():
        shutil.copytree(data_path("recordings", "C1_tier_temporal"), run)
    name, *change = given
    path = run / name
    if len(change) == 2:
        text = path.read_text()
        assert change[0] in text
        path.write_text(text.replace(*change, 1))
    else:
        path.write_bytes(change[0] if isinstance(change[0], bytes) else change[0].encode())
    tm.read_recording(run).to_scenario()


def golden(given: tuple[str, str | bytes], folder: Path) -> None:
    """A folder with one file of vectors."""
    name, content = given
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    list(vectors.iter_cases(folder))


def damo(given: dict[str, Any], folder: Path) -> None:
    """A context of damo's parameters."""
    read_damo({"kdamonds": [{"contexts": [given]}]})


def record(given: str | bytes, folder: Path) -> None:
    """A file that damo recorded, as a workload."""
    path = folder / "damon.data"
    path.write_bytes(given.encode() if isinstance(given, str) else given)
    read_record_workload(path)


def whole_run(given: tuple[Any, ...], folder: Path) -> None:
    """A golden run in which the trace (bytes) or a text of the description (old, new) is replaced."""
    for end in (".json", ".npz"):
        shutil.copy(data_path("golden", f"e2e_pull_used_consist{end}"), folder)
    path = folder / "e2e_pull_used_consist.json"
    if len(given) == 1:
        path.with_suffix(".npz").write_bytes(given[0])
    else:
        text = path.read_text()
        assert given[0] in text
        path.write_text(text.replace(given[0], given[1], 1))
    list(vectors.iter_cases(folder))


def call(given: str, folder: Path) -> None:
    """A call from Python."""
    eval(given, globals() | {"folder": folder})


def command(given: str, folder: Path) -> None:
    """A command line: exit status 2 and one sentence on stderr."""
    (folder / "good.toml").write_text(tm.Scenario.from_dict(GOOD).to_toml())
    (folder / "file").write_text("a file\n")
    err, sys.stderr = sys.stderr, io.StringIO()
    try:
        status = cli.main([word.replace("DIR", str(folder)) for word in given.split()])
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        said, sys.stderr = sys.stderr.getvalue(), err
    assert status == 2, f"exit status {status}"
    assert said.count("\n") == 1
    raise InputError("", said.strip(), "said by the command line")


DOORS: dict[str, Callable[[Any, Path], None]] = {
    f.__name__: f for f in (field, toml, dump, damo, record, recording, golden, whole_run, call, command)
}
_USED_BY_CALLS = (gain_runs, quota_math, set_regions, parse_bp, parse_bytes, parse_duration_us, parse_ms, parse_us)
