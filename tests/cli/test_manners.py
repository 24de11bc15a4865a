"""Colour where it is welcome, one JSON object where a script asks, exit statuses in every help."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.commands import output
from tieringmodel.validate.case import Case

GREEN, RED, YELLOW = "\x1b[32m", "\x1b[31m", "\x1b[33m"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(scenario(pull(), push()).to_toml(), encoding="utf-8")
    return tmp_path


@pytest.fixture
def two_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Case("anchor", "good", True, 1), Case("anchor", "bad", False, 1, "x")]
    monkeypatch.setattr("tieringmodel.validate.replay.replay", lambda *_, **__: iter(found))


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
@pytest.mark.usefixtures("two_cases")
def test_marks_are_coloured_on_terminals_that_want_it(
    variables: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    assert cli.main(["validate"]) == 1
    text = screen.getvalue()
    assert (f"{GREEN}ok" in text, f"{RED}FAIL" in text) == (coloured, coloured)
    assert ("\x1b" in text) == coloured
    plain = text.replace(GREEN, "").replace(RED, "").replace("\x1b[0m", "")
    assert plain.splitlines() == [
        "ok   anchor    good: 1 values", "FAIL anchor    bad: 1 values; x", "2 cases, 2 values, 1 failed",
    ]  # fmt: skip


@pytest.mark.usefixtures("two_cases")
def test_nothing_is_coloured_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["validate"]) == 1
    assert cli.main(["lint", "nowhere"]) == 2
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err


def test_levels_and_complaints(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    text = "error: a [b]\n    warning: not at a line's start\nwarning: c [d]\nerrors: no"
    assert output.paint_levels(text) == (
        f"{RED}error\x1b[0m: a [b]\n    warning: not at a line's start\n{YELLOW}warning\x1b[0m: c [d]\nerrors: no"
    )
    cli.main(["lint", "C2_tier_consist"])
    assert f"{YELLOW}warning\x1b[0m: " in screen.getvalue()
    cli.main(["lint", "nowhere"])
    assert f"{RED}tieringmodel:\x1b[0m nowhere: does not exist" in screen.getvalue()


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    """Run, and return the only line on stdout as JSON that every reader takes."""
    assert cli.main(words) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return json.loads(out, parse_constant=pytest.fail)


def test_a_comparison_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = said(["compare", "small.toml", "--duration", "2", "--json"], capsys)
    assert Path(told["file"]).exists()
    assert Path(told["report"]).exists()
    (small,) = told["scenarios"]
    assert {k: small[k] for k in ("name", "target_bp", "duration_s", "seed")} == {
        "name": "small", "target_bp": 6000, "duration_s": 2, "seed": 1,
    }  # fmt: skip
    sc = scenario(pull(), push())
    expected = tm.compare(tm.policies(sc), duration=2, seed=1)
    assert [row["policy"] for row in small["rows"]] == list(expected["policy"].values)
    for name in ("settled", "settling_s", "share_error_bp", "ping_pong", "kind", "fix"):
        wanted = json.loads(output.strict_json(expected[name].values.tolist()))
        assert [row[name] for row in small["rows"]] == wanted
    assert "inf" in [row["settling_s"] for row in small["rows"]]


def test_a_report_and_a_conversion_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "small.toml", "--duration", "2"]) == 0
    capsys.readouterr()
    told = said(["report", "tieringmodel-out", "--json"], capsys)
    assert told["file"] == "tieringmodel-out/report.html"
    kind = tm.analysis.verdict(tm.simulate(scenario(pull(), push()), duration="2 s", seed=1)).kind
    assert told["sections"] == [{"name": "small", "kind": "simulation", "headline": kind}]
    told = said(["convert", "small.toml", "small.json", "--json"], capsys)
    assert told["file"] == "small.json"
    assert any("neither machine nor workload" in note for note in told["notes"])


@pytest.mark.parametrize("command", ["", *cli.COMMANDS])
def test_every_help_tells_the_exit_statuses(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([*command.split(), "--help"])
    assert "Exit status: 0 fine, 1 a check failed, 2 wrong input, 130 interrupted." in capsys.readouterr().out


@pytest.mark.parametrize("words", [["run"], ["lint"], ["sweep"], ["convert", "a"], ["run", "--speed"]])
def test_a_complaint_about_words_names_the_help_that_helps(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(words)
    text = capsys.readouterr().err
    assert text.startswith(f"tieringmodel {words[0]}: ") or "--speed" in text
    assert f"see 'tieringmodel {words[0]} --help'" in text or "--speed" in text


def test_a_report_is_about_the_newest_result(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", "small.toml", "--duration", "1"]) == 0
    assert cli.main(["run", "small.toml", "--duration", "1"]) == 0
    capsys.readouterr()
    assert cli.main(["report", "tieringmodel-out", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["result"] == "tieringmodel-out/small.nc"
    assert err == "tieringmodel: this is about tieringmodel-out/small.nc, which is newer than comparison.nc\n"


def test_a_run_is_judged_at_the_node_of_its_goal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "push.toml").write_text(scenario(push(4000)).to_toml(), encoding="utf-8")
    told = said(["run", "push.toml", "--duration", "2", "--json", "--expect", "target_bp == 4000"], capsys)
    assert told["measures"]["target_bp"] == 4000
    ds = tm.simulate(scenario(push(4000)), duration=2, seed=1)
    assert output.strict_json(tm.analysis.measures(ds)) == output.strict_json(tm.analysis.measures(ds, node=1))
    assert tm.analysis.verdict(ds).kind == tm.analysis.verdict(ds, node=1).kind
    given = tm.analysis.measures(ds, target_bp=5000)
    assert output.strict_json(given) == output.strict_json(tm.analysis.measures(ds, target_bp=5000, node=0))
    assert tm.plot.course(ds)[0].get_ylabel() == "Share on node 1 [bp]"
    both = tm.simulate(scenario(push(4000), pull(6000)), duration=2, seed=1)
    assert tm.analysis.measures(both)["target_bp"] == 6000, "node 0, where there is a goal about it"
