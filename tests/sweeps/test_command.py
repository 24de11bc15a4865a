"""``tieringmodel sweep``: axes from the command line, a short table, a store that goes on by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import xarray as xr
import zarr
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.sweeps.design import spaced

SC = scenario(pull(), push())
QUOTA = "contexts.0.schemes.0.quota.sz_bytes"
TARGET = "contexts.0.schemes.0.quota.goals.0.target_value"
LEAST, MOST = "contexts.0.attrs.min_nr_regions", "contexts.0.attrs.max_nr_regions"
QUICK = ["--executor", "serial", "--duration", "2 s"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.toml").write_text(SC.to_toml(), encoding="utf-8")
    return tmp_path


def test_axes_become_dimensions_and_the_store_holds_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "x.toml", "--grid", f"{QUOTA}=64 KiB,1MiB", "--zip", f"{LEAST}=10,20", "--zip", f"{MOST}=100,200"]
    assert cli.main([*words, "--seeds", "2", *QUICK, "-o", "a/s.zarr"]) == 0
    out, err = capsys.readouterr()
    design = {QUOTA: ["64 KiB", "1 MiB"], (LEAST, MOST): [(10, 100), (20, 200)], "seed": range(2)}
    expected = tm.sweep(SC, design, duration="2 s")
    with xr.open_zarr(folder / "a/s.zarr") as got:
        xr.testing.assert_identical(got.load(), expected)
    assert err == ""
    lines = out.splitlines()
    assert lines[0].split()[:3] == ["sz_bytes", "min_nr_regions", "max_nr_regions"]
    assert len(lines) == 1 + 4 + 3  # heads, rows; an empty line, the kernel, the store
    assert lines[1].startswith("64 KiB    10              100 ")
    assert lines[-1] == "8 points; wrote a/s.zarr"


def test_the_same_command_goes_on_by_itself(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "x.toml", "--grid", f"{TARGET}=3000,6000", *QUICK]
    assert cli.main(words) == 0
    first = capsys.readouterr().out
    (store,) = (folder / "tieringmodel-out").iterdir()
    assert store.suffix == ".zarr"
    before = {p: p.stat().st_mtime_ns for p in store.rglob("c/*") if p.is_file()}
    assert cli.main(words) == 0
    assert capsys.readouterr().out == first
    assert {p: p.stat().st_mtime_ns for p in store.rglob("c/*") if p.is_file()} == before
    (folder / "x.toml").write_text(scenario(pull(5000), push()).to_toml(), encoding="utf-8")
    assert cli.main(words) == 0
    assert len([*(folder / "tieringmodel-out").iterdir()]) == 2


def test_a_span_is_a_grid_of_many_values(capsys: pytest.CaptureFixture[str]) -> None:
    spans = ["--grid", f"{QUOTA}=1MiB:4MiB:3:log", "--grid", f"{TARGET}=4000:6000:3", "--axis", f"quota={QUOTA}"]
    assert cli.main(["sweep", "x.toml", *spans, *QUICK, "-o", "s.nc"]) == 0
    assert [line.split("  ")[0].strip() for line in capsys.readouterr().out.splitlines()[:10:3]] == [
        "quota",
        "1 MiB",
        "2 MiB",
        "4 MiB",
    ]
    with xr.open_dataset("s.nc", engine="h5netcdf") as got:
        assert got["quota"].values.tolist() == [1 << 20, 2 << 20, 4 << 20]
        assert got[TARGET].values.tolist() == [4000, 5000, 6000]
    assert spaced("x", 0.0, 1.0, 3) == [0.0, 0.5, 1.0]
    assert spaced("x", 1, 3, 9) == [1, 2, 3]
    assert cli.main(["sweep", "x.toml", "--grid", f"{TARGET}=4000:6000:1", *QUICK]) == 2
    assert "1 values; write 2 to" in capsys.readouterr().err


def test_designs_that_fill_space(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spans = ["--range", f"{QUOTA}=64KiB:4MiB:log", "--range", f"{TARGET}=1000:6000"]
    assert cli.main(["sweep", "x.toml", "--sobol", "4", *spans, *QUICK, "-o", "s.nc", "--json", "--seed", "5"]) == 0
    told = json.loads(capsys.readouterr().out)
    design = tm.Design.sobol({QUOTA: ("64 KiB", "4 MiB", "log"), TARGET: (1000, 6000)}, 4, seed=5)
    expected = tm.sweep(SC, design, duration="2 s", seed=5)
    with xr.open_dataset(folder / "s.nc", engine="h5netcdf") as got:
        xr.testing.assert_identical(got.load(), expected)
    assert told["points"] == 4
    assert told["failed"] == 0
    assert told["dims"] == {"point": 4}
    assert [row[QUOTA] for row in told["rows"]] == expected[QUOTA].values.tolist()
    assert [row["verdict"] for row in told["rows"]] == expected["kind"].values.tolist()
    assert cli.main(["sweep", "x.toml", "--lhs", "3", *spans, *QUICK, "-o", "l.nc"]) == 0
    assert [p.name for p in folder.iterdir() if p.suffix == ".part"] == []


def test_failed_points_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "x.toml", "--grid", f"{LEAST}=10,300", "--grid", f"{MOST}=100,400", *QUICK, "-o", "s.nc"]
    assert cli.main(words) == 1
    out, err = capsys.readouterr()
    assert "failed" in out.splitlines()[3]
    assert "4 points, 1 failed; wrote s.nc" in out
    assert err == (
        "tieringmodel: 1 points failed; the first: contexts[0].attrs.max_nr_regions: 100 is below min_nr_regions 300 (EINVAL); "
        "raise it\n"
    )


def test_long_tables_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    values = ",".join(map(str, range(3000, 3025)))
    assert cli.main(["sweep", "x.toml", "--grid", f"{TARGET}={values}", "--executor", "serial", "--duration", "0.2 s"]) == 0
    assert "… and 5 more" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "--grid: is missing"),
        (["--grid", "a"], "--grid: 'a' is not PATH=V1,V2"),
        (["--grid", "a="], "--grid: 'a=' is not PATH=V1,V2"),
        (["--grid", f"{QUOTA}=1 B,2Mob"], "sz_bytes: '2Mob' is not understood"),
        (["--grid", f"{QUOTA}=1,5 MiB"], "holds a comma that may stand for decimals or thousands"),
        (["--zip", f"{QUOTA}=1 MiB,2,5 MiB"], "holds a comma that may stand for decimals or thousands"),
        (["--grid", f"{QUOTA}=1,000"], "holds a comma that may stand for decimals or thousands"),
        (["--grid", "workload.speed=1"], "workload.speed: is not a known key"),
        (["--zip", "a=1", "--zip", "a=2"], "--zip: names a twice"),
        (["--zip", "a=1", "--zip", "b=2,3"], "a: 1, b: 2"),
        (["--seeds", "0"], "--seeds: 0 is below 1"),
        (["--seeds", "x"], "argument --seeds: invalid int value"),
        (["--lhs", "4"], "--range: goes with --lhs N or --sobol N"),
        (["--range", "a=1:2"], "--range: goes with --lhs N or --sobol N"),
        (["--lhs", "4", "--range", "a=1"], "--range: 'a=1' is not PATH=LOW:HIGH[:log]"),
        (["--lhs", "4", "--sobol", "4", "--range", "a=1:2"], "--sobol: does not go with --lhs"),
        (["--sobol", "3", "--range", f"{QUOTA}=1:2"], "n: 3 is not a power of two"),
        (["--seeds", "2", "--executor", "cloud"], "--executor: 'cloud' is not known"),
        (["--seeds", "2", "--executor", "serial", "--workers", "3"], "workers: 3 does not fit executor 'serial'"),
        (["--seeds", "2", "-o", "x.csv"], "-o: 'x.csv' is neither a .zarr store nor a .nc file"),
        (["--seeds", "2", "-o", "x.toml/s.zarr"], "x.toml: File exists"),
        (["--seeds", "2", "--duration", "soon"], "duration: 'soon' is not understood"),
    ],
)
def test_mistakes_are_one_sentence(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = cli.main(["sweep", "x.toml", *words])
    except SystemExit as end:
        code = int(str(end.code))
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert expected in err
    assert err.startswith("tieringmodel")
    assert err.count("\n") == 1


def test_ctrl_c_says_how_to_go_on(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from tieringmodel.simulation import simulate

    def impatient(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(simulate, "simulate", impatient)
    assert cli.main(["sweep", "x.toml", "--seeds", "2", *QUICK, "-o", "s.zarr"]) == 130
    said = "tieringmodel: interrupted; 0 of 2 points are finished, the same call goes on from s.zarr\n"
    assert capsys.readouterr().err == said


def test_points_of_other_code_are_counted_on_stderr(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "x.toml", "--seeds", "2", *QUICK, "-o", "s.zarr"]
    assert cli.main(words) == 0
    first = capsys.readouterr().out
    for more, fate in ((["--keep-old"], "kept"), ([], "computed again")):
        group = zarr.open_group("s.zarr", mode="r+", use_consolidated=False)
        codes = [code | {"tieringmodel": "of another day"} for code in json.loads(str(group.attrs["code"]))]
        group.attrs["code"] = json.dumps(codes)
        assert cli.main([*words, *more]) == 0
        said = f"tieringmodel: s.zarr: of 2 points 2 were made with other code of tieringmodel; they are {fate}\n"
        assert capsys.readouterr() == (first, said)
    assert cli.main(words) == 0
    assert capsys.readouterr() == (first, "")
