"""The page about one run, its figures, and the way from a file to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.datasets.read import read_results
from tieringmodel.errors import InputError
from tieringmodel.plot.files import drawn, figure
from tieringmodel.reports import write_report
from tieringmodel.reports.run_section import FIGURES, figures_of


@pytest.fixture(scope="module")
def run() -> xr.Dataset:
    ds = tm.simulate(scenario(pull(), push()), duration="6 s", seed=1, progress=False)
    return ds.assign_attrs(name="<b>small</b>")


def test_the_page_names_verdict_measures_and_every_figure(run: xr.Dataset, tmp_path: Path) -> None:
    text = write_report([run], tmp_path / "r.html", command="tieringmodel run 'a & b'").read_text(encoding="utf-8")
    assert tm.analysis.verdict(run).kind in text
    assert "settling time" in text
    assert text.count("<figure>") == len(figures_of(run)) == len(FIGURES) - 1, "all but that of a demand"
    assert "&lt;b&gt;small" in text
    assert "<b>small" not in text
    assert "://" not in text
    assert "a &amp; b" in text


def test_runs_and_comparisons_share_a_page(run: xr.Dataset, comparison: xr.Dataset, tmp_path: Path) -> None:
    text = write_report([run, comparison], tmp_path / "r.html", command="x").read_text(encoding="utf-8")
    assert text.count("<section ") == 2
    assert "Tiering report" in text


def test_a_run_without_goal_or_moves_still_has_a_page(tmp_path: Path) -> None:
    still = tm.simulate(scenario(), duration="2 s", seed=1, progress=False)
    assert "course" not in figures_of(still, goal=False)
    text = write_report([still], tmp_path / "r.html", command="x").read_text(encoding="utf-8")
    assert '<p class="headline">idle' in text


def test_figures_say_what_the_numbers_are(run: xr.Dataset) -> None:
    lags = figure("returns", run).axes[0]
    total = float(run["migrated_pages"].sum())
    heights = np.array([bar.get_height() for bar in lags.patches])
    np.testing.assert_allclose(heights / 100, run["returns"].values.sum(axis=0) / total)
    upper, lower = figure("course", run).axes[:2]
    assert upper.lines[0].get_ydata()[-1] == tm.analysis.series(run).y_bp[-1]
    assert lower.patches[0].get_data().values.sum() * float(run.attrs["window_s"]) * 256 == pytest.approx(
        tm.analysis.series(run).moved.sum()
    )


def test_the_spectrum_of_a_sinusoid_peaks_at_its_period_and_amplitude() -> None:
    windows = 512
    pages = 500_000 + np.rint(50_000 * np.sin(2 * np.pi * np.arange(windows + 1) / 32)).astype(np.int64)
    ds = tm.loop.run("temporal", 4000, 1_000_000, 0, windows=windows)
    ds["pages"].values[:] = pages[:-1]
    ds["final_pages"].values[()] = pages[-1]
    line = figure("spectrum", ds).axes[0].lines[0]
    period, amplitude = line.get_xdata(), line.get_ydata()
    peak = int(np.argmax(amplitude))
    assert period[peak] == pytest.approx(32, rel=0.02)
    assert amplitude[peak] == pytest.approx(500, rel=0.02)


def test_moves_that_were_not_followed_have_no_histogram() -> None:
    ds = tm.simulate(scenario(pull()), duration="2 s", seed=1, progress=False, log_moves=False)
    with pytest.raises(InputError, match="log_moves=True"):
        figure("returns", ds)


def test_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.toml").write_text(scenario(pull()).to_toml(), encoding="utf-8")
    assert cli.main(["run", "s.toml", "--duration", "3", "-o", "out"]) == 0
    assert cli.main(["report", "out"]) == 0
    assert "tieringmodel run s.toml --seed 1 --duration 3" in Path("out/report.html").read_text(encoding="utf-8")
    assert cli.main(["report", "out/run.nc", "-o", "two.html"]) == 0
    assert Path("two.html").exists()
    (stored,) = read_results("out")
    assert stored.attrs["kind"] == "simulation"


@pytest.mark.parametrize(("name", "message"), [("nothing", "does not exist"), (".", "holds neither"), ("bad.nc", "cannot be")])
def test_what_is_no_result_is_refused(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.nc").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert cli.main(["report", name]) == 2
    assert message in capsys.readouterr().err


def test_the_headline_of_a_course_is_the_verdicts(run: xr.Dataset) -> None:
    found = tm.verdict(run)
    assert found.headline.startswith(f"{found.kind}: ")
    assert found.text.startswith(found.headline)
    made = figure("course", run)
    assert made.get_suptitle().replace("\n", " ") == found.headline
    band = made.axes[0].patches[0]
    assert (band.get_y(), band.get_height()) == (5800.0, 400.0), "between the goals of both schemes, widened by a band"


def test_a_target_that_changes_is_drawn_as_it_was_in_force() -> None:
    sc = scenario(pull(3000))
    later = tm.Event(2_000_000, "contexts.0.schemes.0.quota.goals.0.target_value", 7000)
    ds = tm.simulate(sc.replace(events=(later,)), duration="4 s", seed=1, progress=False)
    (line,) = [line for line in figure("course", ds).axes[0].lines if line.get_label() == "target"]
    assert [float(v) for v in dict.fromkeys(line.get_ydata())] == [3000.0, 7000.0]


def test_what_is_flat_or_empty_is_not_drawn(comparison: xr.Dataset) -> None:
    still = tm.simulate(scenario(), duration="2 s", seed=1, progress=False)
    assert figures_of(still) == ["regions"]
    cold = tm.simulate(scenario(groups=()), duration="2 s", seed=1, progress=False)
    assert figures_of(cold) == []
    assert drawn(comparison) == ["share", "share_panels", "migration_rate", "regions", "summary"]
    flat = comparison.assign(share_bp=comparison["share_bp"] * 0, migrated_mib_s=comparison["migrated_mib_s"] * 0)
    assert drawn(flat) == ["regions", "summary"]


def test_who_still_migrates_is_asked_of_the_verdicts(comparison: xr.Dataset) -> None:
    title = figure("migration_rate", comparison).axes[0].get_title(loc="left").replace("\n", " ")
    assert title.startswith("7 of 8 policies still migrate at the end, ")
    kinds = np.where(comparison["kind"] == "ripple", "wrong-point", comparison["kind"])
    rest = comparison.assign(kind=("policy", kinds))  # stray pages are no migration, whatever the line shows
    assert figure("migration_rate", rest).axes[0].get_title(loc="left") == "Every policy has come to rest at the end"
