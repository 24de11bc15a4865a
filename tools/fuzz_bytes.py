"""Coverage-guided fuzzing of the parsers of bytes: compressed and binary files.

    python tools/fuzz_bytes.py [--seconds 60] [--target zlib_record …]

Needs atheris (``pip install atheris``). Each target runs in a process of its own: whatever the bytes, the parser must answer or
raise `InputError`; anything else, a hang of 30 s or 2 GiB of memory ends it with the bytes that did it. Where a format
guards its content (compression, a digest), the target changes the content and packs it anew, so that what is behind the
guard is reached. Exit status 1 if a target failed.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import re
import subprocess
import sys
import tempfile
import warnings
import zlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "trust")]
Target = tuple[Callable[[bytes], None], list[bytes]]
"""What takes the bytes, and bytes to begin with."""


def edited(content: bytes, edits: bytes) -> bytes:
    """Return content with changes: of seven bytes each, where (4), how (1), what (2)."""
    out = bytearray(content)
    for k in range(0, len(edits) - 6, 7):
        at = int.from_bytes(edits[k : k + 4], "little") % (len(out) + 1)
        how, what = edits[k + 4] % 5, edits[k + 5 : k + 7]
        if how == 0:
            out[at : at + 1] = what[:1]
        elif how == 1:
            out[at:at] = what
        elif how == 2:
            del out[at : at + 1 + what[0]]
        elif how == 3:
            out[at : at + 8] = (b"\xff" if what[0] & 1 else b"\0") * 8
        else:
            del out[at:]
    return bytes(out)


EDITS = [bytes([k, k, 0, 0, k % 5, k, 1]) for k in range(0, 250, 31)]


def records(folder: Path, pack: Callable[[bytes], bytes]) -> Target:
    """Records of damo, as JSON and as tracepoints."""
    from doors import events, snap, told

    from tieringmodel.interop.damo.records import monitoring_truth, read_damo_record
    from tieringmodel.interop.workloads.record_workload import workload_of

    path = folder / "damon.data"

    def run(data: bytes) -> None:
        path.write_bytes(pack(data))
        for record in read_damo_record(path, max_bytes=1 << 20):
            monitoring_truth(record)
            workload_of(record)

    texts = [told(snap({}), snap({"end": 8192}, start=10, end=20)), events("1.0 1 0-4096: 1 0", "1.1 1 0-8192: 2 1")]
    return run, [t.encode() for t in texts] + [zlib.compress(t.encode()) for t in texts]


def tables(folder: Path, pack: Callable[[bytes], bytes]) -> Target:
    """Compressed tables of a recording, of accesses, and perf's text."""
    from tieringmodel.interop.recording.tables import read_csv
    from tieringmodel.interop.workloads.traces import read_perf, read_trace

    path = folder / "x.csv.gz"
    readers = [
        lambda: read_csv(path, {"a": "u64", "b": "f64", "c": "text", "d": "u64?"}),
        lambda: read_trace(path, max_bytes=1 << 20),
        lambda: read_perf(path, max_bytes=1 << 20),
    ]

    def run(data: bytes) -> None:
        path.write_bytes(pack(data[1:]))
        readers[data[0] % 3 if data else 0]()

    texts = ["\0a,b,c,d\n1,2.5,x,\n18446744073709551615,1e9,y,7\n", "\1time_s,address,weight\n0.5,0x1000,2\n",
             "\2redis 12/13 [000] 5.000001: 1000 mem-loads: ffff8880 5080022 |OP LOAD\n"]  # fmt: skip
    return run, [t.encode() for t in texts] + [bytes([k]) + gzip.compress(t[1:].encode()) for k, t in enumerate(texts)]


def small_scenario(*schemes: Any) -> Any:
    """128 pages on two nodes of 1 MiB."""
    from small import scenario

    import tieringmodel as tm

    machine, groups = tm.Machine.dram_cxl("1 MiB", "1 MiB"), [tm.Group(0, 64, rate_hz=400.0)]
    return scenario(*schemes, pages=128, machine=machine, groups=groups, attrs=tm.Attrs(max_nr_regions=20))


def golden(folder: Path) -> Target:
    """The archive of a golden run, and the description beside it."""
    from doors import data_path

    from tieringmodel.validate.golden import vectors

    packed, text = (data_path("golden", f"e2e_pull_used_consist.{end}").read_bytes() for end in ("npz", "json"))

    def run(data: bytes) -> None:
        name = folder / "e2e_pull_used_consist.npz"
        name.write_bytes(edited(packed, data) if data[:1] < b"\x80" else packed)
        name.with_suffix(".json").write_bytes(text if data[:1] < b"\x80" else edited(text, data))
        list(vectors.iter_cases(folder))

    return run, EDITS


def checkpoints(folder: Path) -> Target:
    """A checkpoint with a right digest around wrong content."""
    import numpy as np
    from small import pull, push

    from tieringmodel.simulation import checkpoint
    from tieringmodel.simulation.engine import Engine
    from tieringmodel.simulation.simulate import scheme_actions

    engine = Engine(small_scenario(pull(), push()), 1, actions=scheme_actions, log_moves=100)
    engine.run(300_000)
    path = checkpoint.save(folder / "state.npz", engine)
    tree, arrays = checkpoint.read(path)
    text, names = json.dumps(tree), sorted(arrays)

    def run(data: bytes) -> None:
        said, kept = text, dict(arrays)
        if data[:1] < b"\x40":
            said = edited(text.encode(), data[1:]).decode(errors="replace")
        elif data[1:]:
            name = names[data[0] % len(names)]
            old = kept[name]
            raw = edited(old.tobytes(), data[1:])
            kept[name] = np.frombuffer(raw[: len(raw) // old.itemsize * old.itemsize], old.dtype)
            if kept[name].size == old.size:
                kept[name] = kept[name].reshape(old.shape)
        file = io.BytesIO()
        digest = np.array(checkpoint._digest(kept, said))
        np.savez(file, digest=digest, json=np.frombuffer(said.encode(), np.uint8), **kept)  # type: ignore[arg-type]
        path.write_bytes(file.getvalue())
        checkpoint.load(path, actions=scheme_actions).run(400_000)

    return run, [bytes([17 * k % 256]) + e for k, e in enumerate(EDITS * 2)]


def results(folder: Path, suffix: str) -> Target:
    """A result as netCDF, or a sweep's store: a file of it is damaged."""
    from small import pull

    import tieringmodel as tm
    from tieringmodel.datasets.read import read_results

    sc = small_scenario(pull())
    if suffix == "nc":
        ds = tm.simulate(sc, duration="0.3 s", seed=1, snapshots=2, progress=False)
        place = folder / "run.nc"
        ds.to_netcdf(place, engine="h5netcdf")
        files = [place]
    else:
        place = folder / "sweep.zarr"
        tm.sweep(sc, {"contexts.0.schemes.0.quota.sz_bytes": [4096, 8192]}, duration="0.3 s", store=place, progress=False)
        files = sorted(p for p in place.rglob("*") if p.is_file() and p.name != ".lock")
    whole = {p: p.read_bytes() for p in files}

    def run(data: bytes) -> None:
        changed = files[data[0] % len(files)] if data else files[0]
        changed.write_bytes(edited(whole[changed], data[1:]))
        try:
            read_results(place)
        finally:
            changed.write_bytes(whole[changed])

    return run, [bytes([k]) + e for k, e in enumerate(EDITS * 8)]


TARGETS: dict[str, Callable[[Path], Target]] = {
    "raw_record": lambda folder: records(folder, bytes),
    "zlib_record": lambda folder: records(folder, zlib.compress),
    "raw_gzip": lambda folder: tables(folder, bytes),
    "gzip_table": lambda folder: tables(folder, gzip.compress),
    "golden_npz": golden,
    "checkpoint": checkpoints,
    "netcdf": lambda folder: results(folder, "nc"),
    "zarr": lambda folder: results(folder, "zarr"),
}


def fuzz(name: str, options: list[str]) -> None:
    """Fuzz one target in this process, which atheris ends."""
    import atheris

    for kernel in (ROOT / "tieringmodel" / "kernels").glob("[a-z]*.py"):
        import_module(f"tieringmodel.kernels.{kernel.stem}")  # numba compiles what stands there
    with atheris.instrument_imports(include=["tieringmodel"]):
        for part in (
            "simulation.checkpoint",
            "interop.workloads.record_workload",
            "datasets.read",
            "interop.workloads.traces",
            "validate.golden.vectors",
        ):
            import_module(f"tieringmodel.{part}")
    from tieringmodel.errors import InputError

    warnings.simplefilter("ignore")
    folder = Path(tempfile.mkdtemp())
    (scratch := folder / "scratch").mkdir()
    (corpus := folder / "corpus").mkdir()
    run, seeds = TARGETS[name](scratch)
    for k, seed in enumerate(seeds):
        (corpus / str(k)).write_bytes(seed)

    def one(data: bytes) -> None:
        try:
            run(data)
        except InputError as error:
            if not str(error).isprintable():
                raise AssertionError(f"{error!r} is more than a line") from None

    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()


def main() -> int:
    """Fuzz each target for a while; return the exit status."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=int, default=60, help="for each target")
    options.add_argument("--target", nargs="*", default=list(TARGETS), choices=list(TARGETS))
    options.add_argument("--here", help=argparse.SUPPRESS)
    given = options.parse_args()
    limits = [f"-max_total_time={given.seconds}", "-timeout=30", "-rss_limit_mb=2048", "-max_len=4096", "-print_final_stats=1"]
    if given.here:
        fuzz(given.here, limits)
    failed = []
    for name in given.target:
        with tempfile.TemporaryDirectory() as folder:
            words: list[Any] = [sys.executable, __file__, "--here", name, "--seconds", str(given.seconds)]
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
            runs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
            print(f"{name}: {runs[1] if runs else 'no'} executions, exit status {done.returncode}", flush=True)
            if done.returncode:
                failed.append(name)
                print(done.stdout[-3000:], done.stderr[-6000:], sep="\n")
                for crash in Path(folder).glob("*-*"):
                    print(f"{crash.name}: {crash.read_bytes()[:2000]!r}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
