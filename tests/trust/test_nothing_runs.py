"""SECURITY.md's promise, format by format: what a file holds is read as data, and nothing in it runs."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr
from doors import golden, npz
from good import GOOD
from watched import CODE, RUNS, watched
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

import tieringmodel as tm
from tieringmodel.datafiles import data_path
from tieringmodel.datasets.foreign import CODECS
from tieringmodel.datasets.read import read_results
from tieringmodel.errors import InputError
from tieringmodel.interop.load import open_scenario
from tieringmodel.interop.machines.read import read_machine
from tieringmodel.interop.workloads.read import read_workload
from tieringmodel.interop.workloads.record_workload import read_record_workload
from tieringmodel.simulation import checkpoint
from tieringmodel.sweeps.store import FORMAT, Store

CODE_TEXT = "__import__('os').mkdir('EXECUTED')"
SHELL_TEXT = "$(mkdir EXECUTED)`mkdir EXECUTED`;mkdir EXECUTED"


class Runs:
    """What a pickle of this does when it is read."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("EXECUTED",)


PICKLE = pickle.dumps(Runs())


def written(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def dataset(**attrs: Any) -> xr.Dataset:
    """The least that `read_results` takes for a result."""
    about = {"kind": "simulation", "scenario": CODE_TEXT, "duration_s": 6.0, "seed": 1, "window_s": 1.0, "n_pages": 1}
    return xr.Dataset({"x": ("time", np.arange(6.0))}, attrs=about | attrs)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def reads(act: Callable[[], object], *, refused: bool | None) -> None:
    """It is read, or refused (None: either), and nothing is run, started or unpickled meanwhile."""
    with watched() as seen:
        try:
            act()
            answer = False
        except InputError:
            answer = True
    assert refused in (None, answer)
    assert [event for event in seen if event[0] in (*RUNS, *CODE) and not _of_an_import(event)] == []
    assert not Path("EXECUTED").exists()


def _of_an_import(event: tuple[str, Any]) -> bool:
    return event[0] in ("marshal.loads", "code.__new__", "ctypes.dlopen")  # a module that is used for the first time


def test_a_pickle_that_is_read_is_noticed() -> None:
    """The net has no hole: what numpy does when it may."""
    written(Path("x.npy"), b"")
    np.save("x.npy", np.array([Runs()], dtype=object), allow_pickle=True)
    with pytest.raises(AssertionError):
        reads(lambda: np.load("x.npy", allow_pickle=True), refused=None)


# ---- texts ------------------------------------------------------------------------------------------------------------

TOML = tm.Scenario.from_dict(GOOD).to_toml()
DAMO = {"kdamonds": [{"contexts": [{"ops": "paddr", "targets": [], "schemes": []}]}]}
LINES = data_path("recordings", "C1_tier_temporal", "damon_config.txt").read_text()
YAML_TAGS = [
    '!!python/object/apply:os.mkdir ["EXECUTED"]',
    '!!python/object/new:os.mkdir ["EXECUTED"]',
    '!!python/object/apply:builtins.eval ["' + CODE_TEXT + '"]',
    "!!python/name:os.mkdir",
    "!!python/module:os",
    "&a [*a]",
]
MASIM = "a, 409600\n\n{}\n1000\na, 1, 1, 1\n"


@pytest.mark.parametrize(
    "text", [CODE_TEXT, SHELL_TEXT, "!" + SHELL_TEXT, "{" + CODE_TEXT + "}", "%s" + CODE_TEXT, "{0.__class__}"]
)
@pytest.mark.parametrize(
    ("name", "content", "refused"),
    [
        ("name.toml", lambda t: f"name = {json.dumps(t)}\n" + TOML, False),
        ("number.toml", lambda t: TOML.replace("rate_hz = 10.0", f"rate_hz = {json.dumps(t)}"), True),
        ("family.toml", lambda t: f'{TOML.partition("[workload]")[0]}[workload.family]\nkind = {json.dumps(t)}\n', True),
        ("key.toml", lambda t: f"{json.dumps(t)} = 1\n" + TOML, True),
        ("name.json", lambda t: json.dumps(GOOD | {"name": t}), False),
        ("number.json", lambda t: json.dumps(GOOD | {"events": t}), True),
        ("damo.json", lambda t: json.dumps({"kdamonds": [{"contexts": [{"ops": t}]}]}), True),
        ("damo.yaml", lambda t: json.dumps({"kdamonds": [{"contexts": [{"ops": t}]}]}), True),
        ("line.damo", lambda t: f"damo start {t}", True),
        ("dump.txt", lambda t: LINES + f"./schemes/0/quotas/goals/0/path {t}\n", None),
        ("action.txt", lambda t: LINES.replace("migrate_hot", t), True),
        ("tree/operations", lambda t: t, True),
        ("tree/targets/nr_targets", lambda t: t, True),
    ],
)  # fmt: skip
def test_scenarios(text: str, name: str, content: Callable[[str], str], refused: bool | None) -> None:
    place = written(Path(name), content(text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        reads(lambda: open_scenario(Path(place.parts[0])), refused=refused)


@pytest.mark.parametrize("tag", YAML_TAGS)
@pytest.mark.parametrize("around", ["{}", "kdamonds: {}", "kdamonds:\n- contexts:\n  - ops: {}", "{}: 1"])
def test_yaml(tag: str, around: str) -> None:
    place = written(Path("x.yaml"), around.format(tag) + "\n")
    reads(lambda: tm.load(place), refused=True)


@pytest.mark.parametrize("text", [CODE_TEXT, SHELL_TEXT, "=cmd|' /C mkdir EXECUTED'!A0", PICKLE.decode("latin-1")])
def test_tables_and_traces(text: str) -> None:
    run = Path(shutil.copytree(data_path("recordings", "C1_tier_temporal"), "run"))
    layout = (run / "layout.csv").read_text().split("\n")
    for name, content, act in (
        ("run/layout.csv", "\n".join([layout[0], text, *layout[1:]]), lambda p: tm.read_recording(p.parent)),
        ("trace.csv", f"time_s,address\n0.5,{text}\n", tm.read_trace),
        ("perf.txt", f"{text} 1/1 [0] 1.0: 1 cpu/mem/: {text}\n", tm.read_perf),
        ("w.masim", MASIM.format(text) + f"b, {text}, 1, 1\n", tm.read_masim),
        ("feed_loop.csv", f"last_input,score,next\n1,2,{text}\n", lambda p: golden((p.name, p.read_bytes()), p.parent)),
    ):
        place = written(Path(name), content)
        reads(lambda act=act, place=place: act(place), refused=True)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("packed", [bytes, zlib.compress, gzip.compress], ids=["plain", "zlib", "gzip"])
def test_pickles_where_other_bytes_are_expected(protocol: int, packed: Callable[[bytes], bytes]) -> None:
    content = packed(pickle.dumps(Runs(), protocol))
    for name, act in (
        ("damon.data", read_record_workload),
        ("damon.data.gz", read_record_workload),
        ("machine", read_machine), ("work", read_workload),
        ("x.toml", tm.load), ("x.json", tm.load), ("x.yaml", tm.load), ("x.damo", tm.load), ("x.txt", tm.load),
        ("x.csv", tm.read_trace), ("x.csv.gz", tm.read_trace), ("x.perf", tm.read_perf), ("x.masim", tm.read_masim),
        ("x.nc", read_results), ("x.zarr", read_results), ("x.checkpoint", checkpoint.read),
    ):  # fmt: skip
        place = written(Path(name), content)
        reads(lambda act=act, place=place: act(place), refused=True)


# ---- arrays -----------------------------------------------------------------------------------------------------------


def test_checkpoints_and_golden_runs() -> None:
    objects = np.array([Runs()], dtype=object)
    archive = io.BytesIO()
    np.savez(archive, digest=objects, json=objects, **{"regA.tick": objects})
    bare = io.BytesIO()
    np.save(bare, objects, allow_pickle=True)
    plain = npz(digest=np.zeros(1), json=np.frombuffer(PICKLE, np.uint8))  # a golden run would pass it over
    for content in (archive.getvalue(), bare.getvalue(), PICKLE, plain):
        place = written(Path("x.checkpoint"), content)
        reads(lambda place=place: checkpoint.read(place), refused=True)
    for content in (archive.getvalue(), bare.getvalue(), PICKLE):
        for end in (".json", ".npz"):
            shutil.copy(data_path("golden", f"e2e_pull_used_consist{end}"), ".")
        reads(lambda content=content: golden(("e2e_pull_used_consist.npz", content), Path.cwd()), refused=True)


def test_netcdf_holds_bytes_and_nothing_else() -> None:
    """A pickle in an attribute, in a variable of any type, and as PyTables leaves it."""
    dataset().assign(p=("b", np.frombuffer(PICKLE, np.uint8))).to_netcdf("x.nc", engine="h5netcdf")
    with h5py.File("x.nc", "a") as file:
        file.attrs["pickled"] = np.void(PICKLE)
        file.attrs["PYTABLES_FORMAT_VERSION"] = "2.1"
        file["x"].attrs["FILTERS"] = PICKLE.replace(b"\0", b"0")
        file["x"].attrs["note"] = np.void(PICKLE)
    reads(lambda: read_results("x.nc"), refused=False)


def external_link(file: h5py.File, secret: Path) -> None:
    file["y"] = h5py.ExternalLink(str(secret), "/x")


def external_link_to_a_group(file: h5py.File, secret: Path) -> None:
    file.create_group("below")["more"] = h5py.ExternalLink(str(secret), "/")


def soft_link(file: h5py.File, secret: Path) -> None:
    file["y"] = h5py.SoftLink("/x")


def external_bytes(file: h5py.File, secret: Path) -> None:
    file.create_dataset("y", (8,), "u1", external=[(str(secret), 0, 8)])


def virtual(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout((6,), "f8")
    layout[:] = h5py.VirtualSource(str(secret), "x", (6,))
    file.create_virtual_dataset("y", layout)


def plugin(file: h5py.File, secret: Path) -> None:
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((6,))
    plan.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())
    h5py.h5d.create(file.id, b"y", h5py.h5t.NATIVE_DOUBLE, h5py.h5s.create_simple((6,)), plan)


@pytest.mark.parametrize("spoil", [external_link, external_link_to_a_group, soft_link, external_bytes, virtual, plugin])
def test_netcdf_that_names_other_files_or_code(spoil: Callable[[h5py.File, Path], None], tmp_path: Path) -> None:
    dataset().to_netcdf(tmp_path / "secret.h5", engine="h5netcdf")
    dataset().to_netcdf("x.nc", engine="h5netcdf")
    reads(lambda: read_results("x.nc"), refused=False)
    with h5py.File("x.nc", "a") as file:
        spoil(file, tmp_path / "secret.h5")
    reads(lambda: read_results("x.nc"), refused=True)


@pytest.mark.parametrize(
    "encoding", [{}, {"zlib": True}, {"compression": "lzf"}, {"zlib": True, "shuffle": True, "fletcher32": True}]
)  # fmt: skip
def test_netcdf_as_people_pack_it(encoding: dict[str, Any]) -> None:
    dataset().to_netcdf("x.nc", engine="h5netcdf", encoding={"x": encoding})
    (found,) = read_results("x.nc")
    xr.testing.assert_identical(found, dataset())


# ---- Zarr -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encoding",
    [{}, {"compressors": [ZstdCodec()]}, {"compressors": [BloscCodec()]}, {"compressors": [GzipCodec()]}, {"compressors": None},
     {"shards": (6,), "chunks": (3,)}],
)  # fmt: skip
def test_zarr_as_people_pack_it(encoding: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)  # that other readers may not know consolidated metadata
        text = dataset().assign(names=("time", np.array(list("abcdef"), dtype=object)))
        text.to_zarr("x.zarr", zarr_format=3, encoding={"x": encoding})
        (found,) = read_results("x.zarr")
    xr.testing.assert_identical(found, text)


def format_2(folder: Path) -> None:
    """A store that numcodecs before 0.16.6 unpickles as it is opened and read."""
    folder.mkdir(parents=True, exist_ok=True)
    array = {
        "zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "compressor": None, "fill_value": None, "order": "C",
        "filters": [{"id": "pickle"}],
    }  # fmt: skip
    (folder / ".zgroup").write_text('{"zarr_format": 2}')
    (folder / ".zattrs").write_text('{"kind": "simulation"}')
    (folder / "y").mkdir(exist_ok=True)
    (folder / "y" / ".zarray").write_text(json.dumps(array))
    (folder / "y" / ".zattrs").write_text('{"_ARRAY_DIMENSIONS": ["n"]}')
    (folder / "y" / "0").write_bytes(PICKLE)


@pytest.fixture
def store() -> Path:
    group = zarr.create_group("good.zarr", zarr_format=3, attributes={"kind": "simulation"})
    group.create_array("x", shape=(6,), dtype="f8", chunks=(3,), shards=(6,), dimension_names=["time"])[...] = np.arange(6.0)
    group.create_group("below").create_array("z", shape=(1,), dtype="f8", dimension_names=["n"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        zarr.consolidate_metadata("good.zarr")
    return Path("good.zarr")


def named_places(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a store's metadata that names a codec."""
    found = []
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if key in ("codecs", "index_codecs"):
            found += [(*at, key, i) for i in range(len(value))]
        found += named_places(value, (*at, key))
    return found


EVIL = [
    "pickle", "numcodecs.pickle", "numcodecs.json2", "numcodecs.msgpack2", "numcodecs.zstd", "os.mkdir", "", None, 3, [],
    "BYTES", "../bytes",
]  # fmt: skip


@pytest.mark.parametrize("evil", EVIL, ids=repr)
@pytest.mark.parametrize(
    "form", [lambda name: {"name": name}, lambda name: {"name": name, "configuration": {}}, lambda name: name]
)
def test_zarr_with_codecs_that_are_not_listed(store: Path, evil: object, form: Callable[[object], object]) -> None:
    tried = 0
    for file in sorted(store.rglob("zarr.json")):
        text = file.read_text()
        for place in named_places(json.loads(text)):
            data = json.loads(text)
            inner: Any = data
            for step in place[:-1]:
                inner = inner[step]
            inner[place[-1]] = form(evil)
            file.write_text(json.dumps(data))
            reads(lambda: read_results(store), refused=True)
            tried += 1
        file.write_text(text)
    assert tried >= 14  # of arrays, shards, their index, and all of them again where the group collects them
    reads(lambda: read_results(store / "x.zarr"), refused=True)


def test_zarr_of_format_2_anywhere(store: Path) -> None:
    format_2(Path("old.zarr"))
    for place in (store / "below", store / "x", store):
        copied = Path(shutil.copytree(store, f"{place.name}-copy.zarr"))
        format_2(copied / place.relative_to(store))
        reads(lambda copied=copied: read_results(copied), refused=True)
    with pytest.raises(InputError, match=r"old\.zarr: is a Zarr store of format 2, which can name code to run; write it anew"):
        read_results("old.zarr")
    (store / "zarr.json").write_text(json.dumps(json.loads((store / "zarr.json").read_text()) | {"zarr_format": 2}))
    with pytest.raises(InputError, match="is damaged, or not of Zarr's format 3"):
        read_results(store)


def test_zarr_with_links_and_transformers(store: Path, tmp_path: Path) -> None:
    secret = written(tmp_path / "elsewhere" / "secret", bytes(48))
    chunk = next(p for p in store.rglob("c/*") if p.is_file())
    for place in (chunk, store / "x" / "zarr.json", store / "below"):
        copied = Path(shutil.copytree(store, f"link-{place.name}.zarr"))
        inside = copied / place.relative_to(store)
        if inside.is_dir():
            shutil.rmtree(inside)
        else:
            inside.unlink()
        inside.symlink_to(secret.parent if place.is_dir() else secret)
        with pytest.raises(InputError, match="is a symbolic link, which no store has"):
            read_results(copied)
    meta = store / "x" / "zarr.json"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"storage_transformers": [{"name": "pickle"}]}))
    with pytest.raises(InputError, match="names storage transformers"):
        read_results(store)


def test_a_sweep_does_not_go_on_in_a_foreign_store(tmp_path: Path) -> None:
    attrs = {"kind": "sweep", "format": FORMAT, "tieringmodel": tm.__version__, "digest": "d", "code": "[]"}
    path = tmp_path / "s.zarr"
    Store(path, attrs, ["seed"], [2], {}).close()
    reads(lambda: Store(path, attrs, ["seed"], [2], {}).close(), refused=False)
    copied = Path(shutil.copytree(path, tmp_path / "old.zarr"))
    format_2(copied)
    reads(lambda: Store(copied, attrs, ["seed"], [2], {}), refused=True)
    meta = path / "done" / "zarr.json"
    meta.write_text(meta.read_text().replace('"crc32c"', '"numcodecs.pickle"'))
    reads(lambda: Store(path, attrs, ["seed"], [2], {}), refused=True)


def test_the_list_of_codecs_is_data_in_data_out() -> None:
    assert all(not name.startswith("numcodecs") and "pickle" not in name for name in CODECS)
