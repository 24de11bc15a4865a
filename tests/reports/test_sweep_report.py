"""The page and the figure about a sweep: from real stores, and what both say about each point."""

from __future__ import annotations

import json
import shlex
from html import unescape
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgba
from small import pull, push, scenario
from sweep_measures import final

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.datasets.read import read_results
from tieringmodel.errors import InputError
from tieringmodel.plot.files import figure
from tieringmodel.reports import write_report
from tieringmodel.reports.text_of_sweep import command, rows

QUOTA = "contexts.0.schemes.0.quota.sz_bytes"
OTHER = "contexts.0.schemes.1.quota.sz_bytes"
TARGET = "contexts.0.schemes.0.quota.goals.0.target_value"
SC = scenario(pull(), push())


@pytest.fixture(scope="module")
def grid() -> xr.Dataset:
    design = {QUOTA: ["64 KiB", "1 MiB", "2 MiB"], TARGET: [3000, 6000], "seed": range(2)}
    return tm.sweep(SC, design, duration="3 s")


def drawn(ds: xr.Dataset, **options: object) -> tuple[mpl.axes.Axes, str]:
    made = figure("sweep_map", ds, **options)
    return made.axes[0], " ".join(made.get_suptitle().split())


def test_a_map_shows_the_mean_over_seeds_of_every_setting(grid: xr.Dataset) -> None:
    ax, title = drawn(grid, measure="migrated_mib_s")
    expected = grid["migrated_mib_s"].mean("seed").transpose(TARGET, QUOTA).values
    np.testing.assert_allclose(ax.collections[0].get_array(), expected)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["64 KiB", "1 MiB", "2 MiB"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["3000", "6000"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("sz_bytes", "target_value")
    assert title.startswith("Migration over the whole run: ")
    assert title.endswith("(mean over 2 seeds)")
    assert sorted(float(t.get_text()) for t in ax.texts) == pytest.approx(sorted(expected.ravel()), rel=0.005)  # 3 digits


def test_numbers_in_cells_can_be_read(grid: xr.Dataset) -> None:
    def luminance(colour: object) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgba(colour)[:3]]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    for measure in ("migrated_mib_s", "share_error_bp"):
        figure_ = figure("sweep_map", grid, measure=measure)
        figure_.canvas.draw()
        ax = figure_.axes[0]
        for text, face in zip(ax.texts, ax.collections[0].get_facecolors(), strict=True):
            dark, light = sorted((luminance(text.get_color()), luminance(face)))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, "WCAG 2 AA"


def test_signed_measures_have_their_zero_in_the_middle(grid: xr.Dataset) -> None:
    mesh = drawn(grid, measure="share_error_bp")[0].collections[0]
    assert mesh.get_cmap().name == "PuOr"
    assert mesh.norm.vmin == -mesh.norm.vmax


def test_never_and_failed_are_told_apart_from_numbers(grid: xr.Dataset) -> None:
    ds = grid.assign(error=grid["error"].astype(object)).copy(deep=True)
    ds["settling_s"].values[:] = 5.0
    ds["settling_s"].values[0, 0, 0] = np.inf
    ds["error"].values[1, 1, :] = "oops"
    ds["done"].values[2, 0, 1] = False
    ds["settling_s"].values[2, 0, 1] = 100.0
    texts = np.array([t.get_text() for t in drawn(ds, measure="settling_s")[0].texts]).reshape(2, 3)
    assert texts.tolist() == [["never", "5", "5"], ["5", "–", "5"]]
    found = {row[0]: row for row in rows(ds.sel({TARGET: [3000]}))[1]}
    assert found[2 << 20][2].endswith("not run yet 1")
    ds["settling_s"].values[:] = np.inf
    assert "never at any setting" in drawn(ds, measure="settling_s")[1]
    assert len(figure("sweep_map", ds, measure="settling_s").axes) == 1, "no colours to explain"


def test_one_axis_is_a_line_and_seeds_alone_are_dots(grid: xr.Dataset) -> None:
    ax, title = drawn(grid.isel({TARGET: 1}, drop=True), measure="migrated_mib_s")
    expected = grid["migrated_mib_s"].isel({TARGET: 1}).mean("seed")
    for line in ax.lines:
        np.testing.assert_allclose(line.get_ydata(), expected)
        assert line.get_xdata().tolist() == [65536, 1 << 20, 2 << 20]
    assert ax.get_xscale() == "log"
    assert "at sz_bytes " in title
    (dots,) = drawn(grid.isel({TARGET: 1, QUOTA: 0}, drop=True), measure="migrated_pages")[0].lines
    assert dots.get_xdata().tolist() == [0, 1]
    assert dots.get_linestyle() == "None"


def test_settings_that_fill_space_are_dots() -> None:
    design = tm.Design.latin_hypercube({QUOTA: ("64 KiB", "4 MiB", "log"), OTHER: ("64 KiB", "4 MiB")}, 4)
    ds = tm.sweep(SC, design, duration="1 s")
    ax = drawn(ds, measure="migrated_pages")[0]
    at = np.asarray(ax.collections[0].get_offsets())
    np.testing.assert_array_equal(at, np.stack([ds[QUOTA].values, ds[OTHER].values], axis=1))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("0.quota.sz_bytes", "1.quota.sz_bytes")


def test_texts_and_columns_that_change_together() -> None:
    tuner = "contexts.0.schemes.0.quota.goal_tuner"
    ds = tm.sweep(SC, {(tuner, TARGET): [("consist", 3000), ("temporal", 6000)]}, duration="1 s", measure=final)
    ax, title = drawn(ds)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["consist\n3000", "temporal\n6000"]
    assert title.startswith("Used by final")
    assert rows(ds)[0] == [tuner, TARGET]


def test_wrong_measures_and_datasets_are_refused(grid: xr.Dataset) -> None:
    with pytest.raises(InputError, match="'nothing' was not measured as a number"):
        tm.plot.sweep_map(grid, measure="nothing")
    with pytest.raises(InputError, match="was not measured as a number"):
        tm.plot.sweep_map(grid, measure="kind")
    with pytest.raises(InputError, match=r"pass what tieringmodel\.sweep returns"):
        tm.plot.sweep_map(grid.drop_vars("done"))


def test_from_store_to_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("scenario.toml").write_text(SC.to_toml(), encoding="utf-8")
    words = ["sweep", "scenario.toml", "--grid", f"{QUOTA}=64 KiB,1 MiB", "--grid", f"{TARGET}=3000,6000", "--seeds", "2",
             "--duration", "2 s", "--executor", "serial"]  # fmt: skip
    assert cli.main([*words, "-o", "out/s.zarr"]) == 0
    capsys.readouterr()
    assert cli.main(["report", "out", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["file"] == "out/report.html"
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert told["sections"][0]["headline"] in page
    assert page.count("<figure>") == 2
    assert page.count("<tr><td") == 4
    assert "://" not in page
    (ds,) = read_results("out/s.zarr")
    line = command(ds)
    assert line in unescape(page)
    assert cli.main([*shlex.split(line)[1:], "-o", "again.nc", "--executor", "serial"]) == 0
    (again,) = read_results("again.nc")
    assert again.attrs["digest"] == ds.attrs["digest"]
    assert cli.main([*words, "-o", "out/another.zarr"]) == 0
    capsys.readouterr()
    assert cli.main(["report", "out"]) == 0
    assert capsys.readouterr().err == "tieringmodel: this is about out/another.zarr, which is newer than s.zarr\n"


def test_a_sweep_that_no_command_line_can_say(grid: xr.Dataset) -> None:
    assert command(tm.sweep(SC, {"seed": [3]}, duration="1 s", measure=final)) == ""
    two = tm.Design.zip({QUOTA: [1 << 20], TARGET: [3000]}) * tm.Design.zip(
        {OTHER: [1 << 20], "contexts.0.attrs.max_nr_regions": [300]}, name="b"
    )
    assert command(tm.sweep(SC, two, duration="1 s")) == ""
    words = shlex.split(command(tm.sweep(SC, {"seed": [3, 5]}, duration="1 s")))
    assert words[3:5] == ["--grid", "seed=3,5"]


def test_failures_and_long_tables(grid: xr.Dataset, tmp_path: Path) -> None:
    targets = list(range(3000, 3055))
    ds = tm.sweep(SC, {TARGET: targets}, duration="0.2 s")
    ds["error"] = ds["error"].astype(object)
    ds["error"].values[:7] = [f"<reason {k}>" for k in range(7)]
    page = write_report([ds, grid], tmp_path / "r.html", command="x").read_text(encoding="utf-8")
    assert page.count("<tr><td") == 50 + 6
    assert "… and 5 more" in page
    assert "7 failed" in page
    assert "&lt;reason 4&gt;" in page
    assert "reason 5" not in page
    assert "… and 2 more" in page
    ds["error"].values[:] = "no"
    assert "<figure>" not in write_report([ds], tmp_path / "none.html", command="x").read_text(encoding="utf-8")
