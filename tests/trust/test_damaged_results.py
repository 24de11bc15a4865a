"""Stored results that something was done to: attributes are checked once, what a file claims is bounded before it is read."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr.codecs
from good import GOOD
from small import pull, scenario

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.datasets.attributes import ATTRIBUTES, NEEDED, check_attributes
from tieringmodel.datasets.read import read_results, results_below
from tieringmodel.datasets.schema import SCHEMA_VERSION
from tieringmodel.errors import InputError

N = 50_000_000


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's file."""
    ds = tm.simulate(tm.Scenario.from_dict(GOOD), duration=1, seed=1, progress=False)
    path = tmp_path_factory.mktemp("result") / "run.nc"
    ds.to_netcdf(path, engine="h5netcdf")
    read_results(path)
    return path


@pytest.fixture
def damaged(stored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(stored, tmp_path / "run.nc"))


@pytest.mark.parametrize(
    ("name", "least"), [("seed", 0), ("n_pages", 0), ("samples_per_aggr", 0), ("page_bytes", 1), ("schema_version", 1)]
)
def test_a_whole_number_is_refused_beyond_its_ends_alone(name: str, least: int) -> None:
    good = {"kind": "simulation", "scenario": "{}", "duration_s": 1.0, "seed": 1, "window_s": 1.0, "n_pages": 3}
    most = SCHEMA_VERSION if name == "schema_version" else 2**64 - 1
    for value in (least, most):
        check_attributes(good | {name: value}, "x.nc")
    for value in (least - 1, most + 1, True):
        if name != "schema_version" or value > most:
            with pytest.raises(InputError, match=f"x.nc: {name}"):
                check_attributes(good | {name: value}, "x.nc")


def test_of_what_a_reader_says_a_hundred_characters_are_told(damaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise ValueError("line\n" + "x" * 300)

    monkeypatch.setattr(xr, "open_datatree", fails)
    with pytest.raises(InputError) as caught:
        read_results(damaged)
    assert f": line {'x' * 95};" in str(caught.value)


def test_a_folder_names_its_results_the_newest_first(damaged: Path) -> None:
    folder = damaged.parent
    shutil.copy(damaged, folder / "mine.nc")
    (folder / "latest.txt").write_text("mine.nc\n")
    for k, name in enumerate(("run.nc", "mine.nc")):
        os.utime(folder / name, ns=(k, k))
    assert [p.name for p in results_below(folder)] == ["mine.nc", "run.nc"]
    (folder / "latest.txt").unlink()
    assert [p.name for p in results_below(folder)] == ["run.nc"]
    damaged.unlink()
    with pytest.raises(InputError, match="holds neither a run"):
        results_below(folder)


WRONG: list[Any] = ["x", "", "[[", -1, 0.5, float("nan"), np.array([1, 2]), np.array([1.0, 2.0])]


@pytest.mark.parametrize("name", sorted(ATTRIBUTES))
def test_an_attribute_of_another_form_is_refused(name: str) -> None:
    good = {
        "kind": "simulation", "scenario": "{}", "parameters": "{}", "duration_s": 1.0, "seed": 1, "window_s": 1.0, "n_pages": 3,
    }  # fmt: skip
    check_attributes(good | {"mine": object()}, "x")
    refused = []
    for value in WRONG:
        try:
            check_attributes(good | {name: value}, "x.nc")
        except InputError as error:
            refused.append(str(error))
    assert len(refused) >= 5
    assert all(text.startswith(f"x.nc: {name}: ") and " is not " in text for text in refused)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in NEEDED.items() for name in names])
def test_an_attribute_that_is_not_there_is_named(kind: str, name: str) -> None:
    made: dict[str, Any] = dict.fromkeys(("scenario", "parameters", "answer"), "{}") | {
        "design": "[]",
        "name": "",
        "controlled": "",
    }
    made |= {"duration_s": 1.0, "seed": 1, "window_s": 1.0, "n_pages": 1, "kind": kind}
    check_attributes(made, "x.nc")
    with pytest.raises(InputError, match=f"lacks the attribute {name} that a {kind} has"):
        check_attributes({k: v for k, v in made.items() if k != name}, "x.nc")


@pytest.mark.parametrize(
    ("name", "value", "command"),
    [
        ("seed", 0.5, "report {}"),
        ("scenario", 3, "report --text {}"),
        ("window_s", None, "lint {}"),
        ("duration_s", "soon", "run {} --duration 1"),
        ("n_pages", -1, "diff {} {}"),
    ],
)
def test_every_command_that_reads_a_result_says_so(
    name: str, value: Any, command: str, damaged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with h5py.File(damaged, "r+") as file:
        del file.attrs[name]
        if value is not None:
            file.attrs[name] = value
    words = command.replace("{}", str(damaged)).split()
    words += ["-o", str(damaged.with_name("out"))] if words[0] == "run" else []
    assert cli.main(words) == 2
    err = capsys.readouterr().err
    assert name in err
    assert err.count("\n") == 1


CHANGES = ["time", "esz_bytes", "used_pages", "nr_regions", "nan", "dims", "units", "fill"]


@pytest.mark.parametrize(("option", "change"), [*(("--text", c) for c in CHANGES), ("--json", "time")])
def test_variables_that_something_was_done_to(
    option: str, change: str, stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tieringmodel.reports import write

    monkeypatch.setattr(write, "templates", lambda: pytest.fail("the page was made"))  # drawing takes time
    with xr.open_dataset(stored, engine="h5netcdf") as file:
        ds = file.load()
    path = tmp_path / "x.nc"
    if change == "nan":
        ds["time"] = ds["time"] * np.nan
    elif change == "dims":
        ds = ds.isel(scheme=0)
    elif change == "units":
        ds["used_pages"].attrs["units"] = "days since never"
    elif change == "fill":
        ds = ds.assign(class_pages=ds["class_pages"].astype("f8") * np.nan)
    else:
        ds = ds.drop_vars(change)
    ds.to_netcdf(path, engine="h5netcdf")
    try:
        status = cli.main(["report", option, str(path)])
    except pytest.fail.Exception:
        return
    assert status in (0, 2)
    assert capsys.readouterr().err.count("\n") == (1 if status else 0)


def test_a_file_that_claims_more_than_it_holds_is_not_read(damaged: Path) -> None:
    with h5py.File(damaged, "r+") as file:
        file.create_dataset("more", shape=(N,), dtype="f8", chunks=(1 << 20,), compression="gzip")
    with pytest.raises(InputError, match=r"claims 381\.\d MiB of numbers, of which a file of .* holds a small part"):
        read_results(damaged)


SWEEP = {"kind": "sweep", "parameters": "{}", "design": "[]", "duration_s": 1.0}


def store(folder: Path) -> Path:
    path = folder / "x.zarr"
    xr.Dataset({"seed": ("seed", [1])}, attrs=SWEEP).to_zarr(path, zarr_format=3, consolidated=True)
    return path


def with_shape(about: Path, *where: str, n: int = N) -> None:
    """Let a store's metadata claim many numbers."""
    tree = node = json.loads(about.read_text())
    for name in where:
        node = node[name]
    node["shape"] = [n]
    about.write_text(json.dumps(tree))


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
@pytest.mark.parametrize("form", ["netcdf", "array", "collected"])
def test_the_memory_limit_covers_reading(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.nc"
    if form == "netcdf":
        xr.Dataset({"more": ("n", np.zeros(4 << 20, np.uint8))}, attrs=SWEEP).to_netcdf(path, engine="h5netcdf")
    else:
        path = store(tmp_path)
    monkeypatch.setenv("TIERINGMODEL_MEMORY_LIMIT", "73 MiB")  # 64 MiB for the interpreter, and 4 MiB twice
    read_results(path)
    if form == "array":
        with_shape(path / "seed/zarr.json")
    elif form == "collected":
        with_shape(path / "zarr.json", "consolidated_metadata", "metadata", "seed")
    else:
        monkeypatch.setenv("TIERINGMODEL_MEMORY_LIMIT", "71 MiB")
    with pytest.raises(InputError, match=f"{path.name}: claims .* of numbers: to read it takes .*, 7[13] MiB are free"):
        read_results(path)


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
@pytest.mark.parametrize("shards", [False, True])
@pytest.mark.parametrize("codec", ["zstd", "gzip", "blosc"])
def test_chunks_that_unpack_to_more_than_they_may(
    codec: str, shards: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some kilobytes of zeros, packed, in the place of eight numbers."""
    packer = {"zstd": zarr.codecs.ZstdCodec, "gzip": zarr.codecs.GzipCodec, "blosc": zarr.codecs.BloscCodec}[codec]()
    how = {"compressors": [packer], "chunks": (8,)} | ({"shards": (16,)} if shards else {})
    for name, n in (("good", 16), ("long", 1 << 20)):
        how |= {} if name == "good" else {"chunks": (n,), "shards": (2 * n,) if shards else None}
        data = xr.Dataset({"seed": ("seed", np.zeros(2 * n))}, attrs=SWEEP)
        data.to_zarr(tmp_path / f"{name}.zarr", zarr_format=3, encoding={"seed": how}, consolidated=True)
    monkeypatch.setenv("TIERINGMODEL_MEMORY_LIMIT", "73 MiB")
    if shards and codec != "zstd":
        with pytest.raises(InputError, match="is a shard packed with blosc or gzip; pack the chunks of shards with zstd"):
            read_results(tmp_path / "good.zarr")
        return
    assert read_results(tmp_path / "good.zarr")[0]["seed"].size == 32
    there, packed = tmp_path / "good.zarr/seed/c/0", (tmp_path / "long.zarr/seed/c/0").read_bytes()
    there.write_bytes((there.read_bytes() if codec == "zstd" else b"") + packed)  # a frame may follow another
    assert len(packed) < 1 << 20
    with pytest.raises(InputError, match=r"good\.zarr: claims .* MiB of numbers: to read it takes .*, 73 MiB are free"):
        read_results(tmp_path / "good.zarr")


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_a_store_that_is_packed_twice(tmp_path: Path) -> None:
    about = store(tmp_path) / "seed/zarr.json"
    tree = json.loads(about.read_text())
    tree["codecs"] = [tree["codecs"][0], *[{"name": "gzip", "configuration": {"level": 1}}] * 2]
    about.write_text(json.dumps(tree))
    with pytest.raises(InputError, match="seed: is packed twice; pack it once"):
        read_results(tmp_path / "x.zarr")


@pytest.mark.parametrize("name", ["done", "seed"])
def test_a_store_that_is_resumed_claims_no_more_than_its_sweep_has(name: str, tmp_path: Path) -> None:
    sc, where = scenario(pull()), tmp_path / "s.zarr"
    tm.sweep(sc, {"seed": [1]}, duration=0.2, store=where, progress=False)
    with_shape(where / name / "zarr.json", n=10**13)
    with pytest.raises(InputError, match=r"s.zarr: claims \d+\.\d TiB of numbers: to read it takes"):
        tm.sweep(sc, {"seed": [1]}, duration=0.2, store=where, progress=False)
    if name == "done":
        with_shape(where / name / "zarr.json", n=2)
        with pytest.raises(InputError, match=r"is damaged \(ValueError: done has the shape \(2,\)\)"):
            tm.sweep(sc, {"seed": [1]}, duration=0.2, store=where, progress=False)


NO_ARRAYS = [{"shape": "x"}, {"shape": [-1]}, {"shape": [True]}, {"data_type": "float7"}, {"chunk_grid": 3}]


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
@pytest.mark.parametrize("change", NO_ARRAYS, ids=str)
def test_a_store_with_an_array_of_no_shape(change: dict[str, Any], tmp_path: Path) -> None:
    about = store(tmp_path) / "seed/zarr.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | change))
    with pytest.raises(InputError, match="is damaged: an array without shape, chunks or type"):
        read_results(tmp_path / "x.zarr")
