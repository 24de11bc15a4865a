"""Files say which schema they follow: none is the first, a newer one is refused, and none of it decides a result."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import xarray as xr
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel.comparison.compare import write_comparison
from tieringmodel.datasets.read import read_results

QUOTA = "contexts.0.schemes.0.quota.sz_bytes"
SC = scenario(pull(), push(), name="small")


def as_toml(version: object) -> str:
    return SC.to_toml().replace("schema_version = 1\n", "" if version is None else f"schema_version = {version}\n")


def test_scenarios_say_their_schema_and_are_read_without_it() -> None:
    assert tomllib.loads(SC.to_toml())["schema_version"] == json.loads(SC.to_json())["schema_version"] == 1
    assert "schema_version" not in as_toml(None)
    assert tm.Scenario.from_toml(as_toml(None)) == tm.Scenario.from_toml(as_toml(1)) == SC
    assert tm.Scenario.from_json(json.dumps(SC.to_dict())) == tm.Scenario.from_json(SC.to_json()) == SC


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_a_scenario_of_a_newer_schema_is_refused_from_a_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"new.{suffix}"
    path.write_text(as_toml(2) if suffix == "toml" else json.dumps({"schema_version": 2} | SC.to_dict()))
    with pytest.raises(tm.InputError, match=r"schema_version: 2 is newer than 1, .*; read it with the version that wrote it"):
        tm.load(path)


@pytest.mark.parametrize("version", ["0", "-1", "true", "'1'", "1.0", "[1]"])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(tm.InputError, match=r"schema_version: .* is no version of a schema; write 1, or leave it out"):
        tm.Scenario.from_toml(as_toml(version))


def written(name: str, ds: xr.Dataset, folder: Path) -> Path:
    if name == "comparison":
        return write_comparison([ds], folder / "comparison.nc")
    ds.to_netcdf(folder / f"{name}.nc", engine="h5netcdf")
    return folder / f"{name}.nc"


@pytest.fixture(scope="module")
def results() -> dict[str, xr.Dataset]:
    return {
        "run": tm.simulate(SC, duration="1 s", progress=False),
        "comparison": tm.compare({"one": SC}, duration="1 s", progress=False),
        "sweep": tm.sweep(SC, {QUOTA: ["64 KiB"]}, duration="1 s", progress=False),
    }


@pytest.mark.parametrize("name", ["run", "comparison", "sweep"])
def test_results_say_their_schema(name: str, results: dict[str, xr.Dataset], tmp_path: Path) -> None:
    ds = results[name]
    assert ds.attrs["schema_version"] == 1
    (back,) = read_results(written(name, ds, tmp_path))
    assert back.attrs["schema_version"] == 1
    old = ds.copy()
    del old.attrs["schema_version"]
    (back,) = read_results(written(name, old, tmp_path))
    assert back.attrs["kind"] == ds.attrs["kind"]
    with pytest.raises(tm.InputError, match=rf"{name}\.nc: schema_version: 2 is newer than 1"):
        read_results(written(name, ds.assign_attrs(schema_version=2), tmp_path))


def test_a_store_begun_before_there_were_versions_goes_on(results: dict[str, xr.Dataset], tmp_path: Path) -> None:
    store = tmp_path / "s.zarr"
    tm.sweep(SC, {QUOTA: ["64 KiB"]}, duration="1 s", store=store, progress=False)
    about = json.loads((store / "zarr.json").read_text())
    assert about["attributes"].pop("schema_version") == 1
    about["attributes"]["scenario"] = json.dumps(SC.to_dict(), sort_keys=True)
    (store / "zarr.json").write_text(json.dumps(about))
    again = tm.sweep(SC, {QUOTA: ["64 KiB"]}, duration="1 s", store=store, progress=False)
    xr.testing.assert_equal(again, results["sweep"])
    assert read_results(store)[0].attrs["kind"] == "sweep"
    about = json.loads((store / "zarr.json").read_text())
    about["attributes"]["schema_version"] = 2
    (store / "zarr.json").write_text(json.dumps(about))
    with pytest.raises(tm.InputError, match="schema_version: 2 is newer than 1"):
        read_results(store)
