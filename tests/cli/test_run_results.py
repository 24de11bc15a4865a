"""What ``run`` writes under which name, prints, and takes back; ``report --text`` and ``explain`` beside it."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.remedies.search import Search
from tieringmodel.verdicts.judge import kinds_of
from tieringmodel.verdicts.record import Fix

FIX = Fix(({"path": "contexts.0", "old": 1, "new": 2},), "contexts.0 = 2", "converged, 2 s, 0 MiB/s", tried=1)
OUT = Path("tieringmodel-out")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with two scenarios of one name in it; nothing is searched for."""
    monkeypatch.chdir(tmp_path)
    Path("small.toml").write_text(scenario(pull(), push()).to_toml(), encoding="utf-8")
    Path("other.toml").write_text(scenario(pull(3000)).to_toml(), encoding="utf-8")
    Path("none.toml").write_text(scenario(pull(), name="").to_toml(), encoding="utf-8")
    monkeypatch.setattr("tieringmodel.remedies.search.search", lambda *_, **__: Search(None, (), 0, ""))
    return tmp_path


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparisons are not drawn."""
    monkeypatch.setattr("tieringmodel.reports.write_report", lambda _, path, **__: path)
    monkeypatch.setattr("tieringmodel.reports.beside.processors", lambda: 1)
    monkeypatch.setattr("tieringmodel.reports.beside.draw", lambda *_: [])


def said(words: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    assert cli.main(words.split()) == code
    out = capsys.readouterr()
    return out.out if code < 2 else out.err


def told(words: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    got: dict[str, Any] = json.loads(said(f"{words} --json", capsys), parse_constant=pytest.fail)
    return got


def stored(path: Path) -> xr.Dataset:
    with xr.open_dataset(path, engine="h5netcdf") as ds:
        return ds.load()


# ---- names ------------------------------------------------------------------------------------------------------------


def test_results_are_named_after_scenarios_and_none_is_lost(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [told(f"run {name}.toml --duration 1", capsys)["file"] for name in ("small", "other", "none", "small")]
    assert names == [str(OUT / name) for name in ("small.nc", "small-2.nc", "none.nc", "small.nc")]
    sc = [scenario(pull(), push()), scenario(pull(3000)), scenario(pull(), name="")]
    assert [stored(Path(n)).attrs["scenario"] for n in names[:3]] == [s.to_json() for s in sc]
    for link in ("latest.nc", "run.nc"):
        assert (OUT / link).readlink() == Path("small.nc")
    assert told("report tieringmodel-out", capsys)["result"] == str(OUT / "small.nc")


@pytest.mark.parametrize("name", ["run", "Latest", "comparison"])
def test_names_with_a_meaning_are_not_taken(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("x.toml").write_text(scenario(pull(), name=name).to_toml())
    assert told("run x.toml --duration 1", capsys)["file"] == str(OUT / f"{name.lower()}-run.nc")


def test_a_result_called_run_nc_stays(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    OUT.mkdir()
    (OUT / "run.nc").write_bytes(b"of an earlier version")
    said("run small.toml --duration 1", capsys)
    assert (OUT / "run.nc").read_bytes() == b"of an earlier version"
    assert (OUT / "latest.nc").readlink() == Path("small.nc")


def test_where_there_are_no_links_a_file_says_which_was_last(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(1, "no links here")

    monkeypatch.setattr(Path, "symlink_to", refused)
    said("run small.toml --duration 1", capsys)
    assert sorted(p.name for p in OUT.iterdir()) == ["latest.txt", "small.nc"]
    assert (OUT / "latest.txt").read_text() == "small.nc\n"
    assert told("report tieringmodel-out", capsys)["result"] == str(OUT / "small.nc")


def test_whatever_a_name_is_the_result_is_written_and_repeated(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files whose names are no UTF-8, scenarios whose names are longer than a file's may be."""
    odd, out = os.fsdecode(b"odd\xff.toml"), os.fsdecode(b"out\xfe")
    Path(odd).write_text(Path("none.toml").read_text(), encoding="utf-8")
    assert "odd\\udcff.toml" in said(f"run {odd} -o {out} --duration 1 --set schemes.*.quota.sz_bytes=8192", capsys)
    ds = stored(Path(out, "odd.nc"))
    assert ds.attrs["command"].endswith("--duration 1 --set 'schemes.*.quota.sz_bytes=8192'")
    said(f"convert none.toml {odd[:-5]}.json", capsys)
    assert "context" in said(f"lint {odd[:-5]}.json", capsys)
    for k, last in enumerate("ab", start=1):
        said(f"run none.toml --duration 1 --set name={'x' * 300}{last}", capsys)
        assert len([p for p in OUT.glob("x*.nc") if len(p.stem) < 140]) == k


# ---- a result is a scenario -------------------------------------------------------------------------------------------


def test_a_stored_run_is_repeated_bit_for_bit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said("run small.toml --duration 1.5 --seed 7 -o a", capsys)
    text = said("run a/latest.nc -o b", capsys)
    first, second = stored(Path("a/small.nc")), stored(Path("b/small.nc"))
    assert second.attrs.pop("command") == "tieringmodel run a/small.nc --seed 7 --duration '1.5 s'"
    first.attrs.pop("command")
    xr.testing.assert_identical(first, second)
    assert "tieringmodel run a/small.nc --seed 7 --duration '1.5 s'" in " ".join(text.split())
    assert told("run a/small.nc -o b --seed 8 --duration 1", capsys)["verdict"]["seeds"].keys() == {"8"}


def test_a_mail_says_on_what_and_how_to_repeat_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a line leaves open is called assumed; what was changed first, and by which plug-in, is in the command."""
    Path("own.py").write_text("import tieringmodel as tm\n")
    text = said("run small.toml --duration 1 --set schemes.*.quota.sz_bytes=64KiB --plugin own.py --no-fix", capsys)
    assert "\nMachine: node 0 32 MiB, node 1 32 MiB. Workload: 16 MiB; hot 8 MiB at\n400 Hz.\n" in text
    command = stored(OUT / "small.nc").attrs["command"]
    assert command == "tieringmodel run small.toml --seed 1 --duration 1 --set 'schemes.*.quota.sz_bytes=64KiB' --plugin own.py"
    again = shlex.split(command)[1:]
    assert cli.main([*again, "-o", "again", "--no-fix"]) == 0
    capsys.readouterr()
    xr.testing.assert_identical(stored(OUT / "small.nc"), stored(Path("again/small.nc")))
    line = "run --duration 1 --no-fix --workload total=64M,hot=8M@100Hz -- damo start --damos_action stat"
    said(line, capsys)
    mail = " ".join(said(f"report --text {OUT}", capsys).split())
    assert "Machine (assumed): node 0 1 GiB, node 1 1 GiB. Workload: 64 MiB; hot 8 MiB at 100 Hz" in mail


@pytest.mark.usefixtures("no_page")
def test_results_are_taken_wherever_a_scenario_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said("run small.toml --duration 1", capsys)
    want = said("lint small.toml", capsys)
    assert said("lint tieringmodel-out/run.nc", capsys) == want
    said("convert tieringmodel-out/small.nc again.toml", capsys)
    assert tm.load("again.toml") == tm.load("tieringmodel-out/small.nc") == scenario(pull(), push())
    said("sweep small.toml --seeds 2 --duration 1 --executor serial -o s.zarr", capsys)
    assert tm.load("s.zarr") == scenario(pull(), push())
    said("compare small.toml --duration 1", capsys)
    assert tm.load(OUT / "comparison.nc") == scenario(pull(), push())
    said("compare small.toml other.toml --duration 1", capsys)
    assert "holds results of several scenarios; give the result of one run" in said(f"lint {OUT}/comparison.nc", capsys, 2)
    (OUT / "bad.nc").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert "bad.nc: cannot be read as a result" in said(f"run {OUT}/bad.nc", capsys, 2)


@pytest.mark.usefixtures("folder", "no_page")
def test_a_result_of_the_version_before_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    new = said("run small.toml --duration 1 --no-fix", capsys)
    ds = stored(OUT / "small.nc")
    ds.attrs["tieringmodel"] = "0.1.0"
    ds.to_netcdf("old.nc", engine="h5netcdf")
    assert said("report --text old.nc", capsys) == new.partition("\nwrote")[0]
    assert said("diff old.nc tieringmodel-out/small.nc", capsys).startswith("old.nc and small.nc: the same in every measure")
    assert tm.load("old.nc") == scenario(pull(), push())
    said("report old.nc -o page.html", capsys)


def test_without_a_duration_a_run_is_as_long_as_a_verdict_takes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said("run small.toml -o a", capsys)
    got = stored(Path("a/small.nc"))
    length = float(got.attrs["duration_s"])
    assert length >= 30
    assert f"--duration auto ran {length:g} s: " in text
    assert text.split("wrote")[0] == said("report --text a/small.nc", capsys) + "\n"
    assert got.attrs.pop("length").startswith(f"ran {length:g} s")
    command = got.attrs.pop("command")
    assert command == f"tieringmodel run small.toml --seed 1 --duration '{length:g} s'"
    xr.testing.assert_identical(got, tm.simulate(scenario(pull(), push()), duration=length, seed=1, progress=False))
    seconds = told("run small.toml --duration auto --budget 0.001 -o b", capsys)
    assert seconds["verdict"]["kind"], "what the budget does not last for is judged as far as it came"


@pytest.mark.usefixtures("no_page")
def test_what_was_recorded_says_how_long(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tieringmodel.interop.load import open_scenario

    recorded = tm.read_recording(tm.data_path("recordings", "C8_pullpush_temporal_q2M")).record
    assert open_scenario("C8_pullpush_temporal_q2M").duration_s == pytest.approx(recorded["t_ms"][-1] / 1e3)
    said("run small.toml --duration 1.5 -o a", capsys)
    assert told("compare a/small.nc", capsys)["scenarios"][0]["duration_s"] == 1.5


# ---- texts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", ["", "--ascii", "--ascii --funnel"])
def test_a_report_in_text_is_what_run_printed(options: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = said(f"run small.toml --duration 3 {options}", capsys)
    text = said(f"report --text tieringmodel-out/small.nc {options}", capsys)
    assert printed == f"{text}\nwrote tieringmodel-out/small.nc\n"
    assert text.isascii() is ("--ascii" in options)
    assert ("nr_restarted" in text) is ("--funnel" in options)


@pytest.mark.usefixtures("no_page")
def test_comparisons_and_sweeps_have_a_text_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = said("compare small.toml --duration 1 --ascii", capsys)
    text = said("report --text tieringmodel-out --ascii", capsys)
    assert text.isascii()
    assert printed.startswith(f"\n{text}\nwrote ")
    assert max(map(len, printed.splitlines())) <= 72 + len("    contexts[0].schemes[1]")  # a path is not broken
    swept = said("sweep small.toml --seeds 2 --duration 1 --executor serial -o s.zarr", capsys)
    assert swept.startswith(said("report --text s.zarr", capsys))


def test_a_terminal_gets_its_width(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    assert max(map(len, said("run small.toml --duration 3", capsys).splitlines())) <= 72
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert 100 < max(map(len, said("run small.toml --duration 3", capsys).splitlines())) <= 110


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("report --text small.toml", "small.toml: cannot be read as a result"),
        ("report --text nowhere.nc", "nowhere.nc: does not exist"),
        ("report --text loop.nc", "loop.nc: holds a result of kind 'loop'"),
        ("report --text cut.nc", "no variable 'resets'"),
        ("report --text bare.nc", "bare.nc: lacks the attribute name that a comparison has"),
        ("report --text small.toml --json", "--text: prints and writes no page"),
        ("report --ascii small.toml", "--ascii: is about the text; add --text"),
        ("run small.toml --duration 1 --seeds 0", "--seeds: 0 is below 1"),
        ("compare small.toml --duration 1 --seeds 0", "--seeds: 0 is below 1"),
        ("run small.toml --resume", "--resume: needs one run of a known length"),
        ("run small.toml --duration 1 --seeds 2 --resume", "--resume: needs one run of a known length"),
        ("run small.toml --every 1", "--every: needs a run of a known length"),
        ("run small.toml --duration 1 --every never", "--every: 'never' is not understood"),
        ("run small.toml --duration 1 --fix-budget 0", "--fix-budget: 0 is not a positive time; or write --no-fix"),
        ("run small.toml --budget nan", "--budget: nan is not a positive time"),
        ("run small.toml --duration soon", "write it like '120 s', '10 min' or a number of seconds"),
        ("explain no-gab", "'no-gab' is no kind, no cause and no code of lint; did you mean 'no-gap'?"),
    ],
)
def test_what_does_not_go_is_one_sentence(words: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tm.loop.run("temporal", 4000, 100_000, 0).to_netcdf("loop.nc", engine="h5netcdf")
    if "bare" in words:
        xr.Dataset(attrs={"kind": "comparison"}).to_netcdf("bare.nc", engine="h5netcdf")
    if "cut" in words:
        tm.simulate(scenario(pull()), duration=1, seed=1, progress=False).drop_vars("resets").to_netcdf(
            "cut.nc", engine="h5netcdf"
        )
    err = said(words, capsys, 2)
    assert message in err
    assert err.count("\n") == 1


# ---- fixes, seeds, JSON -----------------------------------------------------------------------------------------------


def test_a_fix_is_looked_for_within_a_budget_and_printed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    budgets: list[float] = []
    outcome = [Search(FIX, (FIX,), 0, str(FIX))]

    def search(ds: xr.Dataset, *, found: tm.analysis.Verdict, budget_s: float) -> Search:
        assert found.kind == tm.verdict(ds).kind
        budgets.append(budget_s)
        return outcome[0]

    monkeypatch.setattr("tieringmodel.remedies.search.search", search)
    text = said("run small.toml --duration 2 --fix-budget 7", capsys)
    assert "What helps\n  with contexts.0 = 2: converged, 2 s, 0 MiB/s; 1 tried\n" in text
    got = told("run small.toml --duration 2", capsys)
    assert got["verdict"]["fix"]["outcome"] == FIX.outcome
    assert got["tried"]["text"] == str(FIX)
    assert budgets[0] == 7
    assert 0 < budgets[1] <= 60
    outcome[0] = Search(None, (FIX,), 4, "one change was tried, none helps")
    assert "No change was found that helps\n  one change was tried, none helps\n" in said("run small.toml --duration 2", capsys)
    got = told("run small.toml --duration 2", capsys)
    assert got["verdict"]["fix"] is None
    assert got["tried"]["untried"] == 4
    said("run small.toml --duration 2 --no-fix", capsys)
    Path("easy.toml").write_text(scenario(pull(100), placement=(tm.Placement(0, 4096, 0),)).to_toml())
    assert told("run easy.toml --duration 4", capsys)["verdict"]["kind"] == "converged"
    assert len(budgets) == 4, "neither with --no-fix nor for what has converged"


def test_seeds_are_judged_by_the_most(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from tieringmodel.verdicts import judge

    real, kinds = judge.verdict, {3: "stuck", 4: "ripple", 5: "ripple"}
    monkeypatch.setattr(judge, "verdict", lambda ds: replace(real(ds), kind=kinds[ds.attrs["seed"]]))
    text = said("run small.toml --duration 1 --seed 3 --seeds 3", capsys)
    assert "Of 3 seeds, 1 differs: 3 (stuck)." in text
    assert "small: 1 s simulated, seed 4;" in text, "the first of the most"
    got = told("run small.toml --duration 1 --seed 3 --seeds 3", capsys)
    assert (got["verdict"]["kind"], got["verdict"]["seeds"]) == ("ripple", {"3": "stuck", "4": "ripple", "5": "ripple"})
    assert stored(Path(got["file"])).attrs["seed"] == 4
    assert "Of 3 seeds, " in said(f"report --text {got['file']}", capsys)


@pytest.mark.usefixtures("no_page")
def test_a_comparison_over_seeds_says_who_differs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    got = told("compare small.toml --duration 1 --seeds 3", capsys)["scenarios"][0]
    singles = [told(f"compare small.toml --duration 1 --seed {s}", capsys)["scenarios"][0] for s in (1, 2, 3)]
    for k, row in enumerate(got["rows"]):
        kinds = [one["rows"][k]["kind"] for one in singles]
        assert list(got["seeds"][row["policy"]].values()) == kinds
        assert row["kind"] == kinds_of(kinds)
        assert row in [one["rows"][k] for one in singles]


def test_json_has_everything(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    got = told("run small.toml --duration 3 --expect kind!=idle", capsys)
    assert set(got) == {"file", "verdict", "cause", "migrated_pages", "measures", "expect", "tried"}
    ds = stored(Path(got["file"]))
    found = tm.verdict(ds)
    assert got["verdict"] == json.loads(json.dumps(found.to_dict())) | {"seeds": {"1": found.kind}}
    assert got["cause"] == found.cause
    assert got["migrated_pages"] == int(ds["migrated_pages"].sum())
    assert got["measures"]["residual_mib_s"] == found.residual_mib_s
    Path("bare.toml").write_text(scenario(contexts=()).to_toml())
    got = told("run bare.toml --duration 2", capsys)
    assert got["verdict"]["kind"] == "idle"
    assert got["measures"] == {
        "settling_s": "inf", "last_move_s": "nan", "residual_mib_s": 0.0, "abs_error_bp": "nan", "hot_share_node0": 0.0,
        "hot_share_node1": 10000.0,
    }  # fmt: skip


def test_codes_and_kinds_are_explained(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said("explain no-gap", capsys)
    assert text.startswith("no-gap (cause)\n  proven by: ")
    assert max(map(len, text.splitlines())) <= 72
    assert said("lint --explain no-gap", capsys) == text
    assert said("explain wrong-point", capsys) == "wrong-point (kind)\n  Pages rest, but not where they should be.\n"
    assert told("explain no-gap", capsys)["code"] == "no-gap"
    assert said("lint --explain no-cap", capsys).startswith("no-cap (lint)\n")
    every = said("explain", capsys)
    assert max(map(len, every.splitlines())) <= 72
    assert {"no-gap,", "wrong-point,", "no-cap,"} <= {*every.split()}
    with pytest.raises(SystemExit, match="2"):
        cli.main(["lint", "small.toml", "--explain", "no-gap"])
