"""``tieringmodel diff``: the answer first, exit statuses for scripts, stored runs, narrow terminals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kernel_cases import FREE_PAGES, full_target

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.commands.diff import parse_kernels
from tieringmodel.commands.output import strict_json
from tieringmodel.differences.difference import Difference, Effect, Row, Side, Together
from tieringmodel.reports.text_of_diff import text_of_diff

KERNELS = ["diff", "full.toml", "--kernels", "7.2,7.3.4", "--duration", "6"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full.toml").write_text(full_target().to_toml(), encoding="utf-8")
    (tmp_path / "twice.toml").write_text(full_target(sz_bytes=2 << 20).to_toml(), encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def found() -> Difference:
    """What the command of `KERNELS` is to tell."""
    return tm.diff(full_target(), kernels=["7.2", "7.3.4"], duration="6 s", seed=1)


@pytest.mark.usefixtures("folder")
def test_the_answer_comes_first_then_measures_then_rules(found: Difference, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(KERNELS) == 0
    text = capsys.readouterr().out
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    assert paragraphs[0] == str(found)
    assert paragraphs[0].endswith("Because of thisnode (100 % of the difference).")
    assert paragraphs[1].startswith("full target: 6 s simulated, seed 1 7.2.12 7.3.4 change kind steady-flow saturated")
    assert "The same: " in paragraphs[1]
    others = len(found.effects) - 1
    assert paragraphs[2].startswith(
        f"{others + 1} rules differ. With one of them as in 7.2.12, 7.3.4 goes so much of the way back: thisnode: 100 % of "
    )
    assert f"Without effect on any measure: {others} of {others + 1}." in paragraphs[2]
    assert paragraphs[3].startswith("Note: one seed; ")
    assert max(map(len, text.splitlines())) <= 72


@pytest.mark.usefixtures("folder")
def test_json_and_a_file(found: Difference, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*KERNELS, "--json", "-o", "d.json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert Path("d.json").read_text(encoding="utf-8") == out
    told = json.loads(out, parse_constant=pytest.fail)
    assert told == json.loads(strict_json(found.to_dict()))
    assert {row["name"]: row["values"] for row in told["measures"]}["migrated_pages"][1] == FREE_PAGES


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--rtol", "0"], 1),
        (["--rtol", "1e9"], 1),  # another kind of verdict is a difference whatever the tolerance
        ([], 0),
    ],
)
def test_exit_statuses_of_kernels(words: list[str], status: int) -> None:
    assert cli.main([*KERNELS, "--no-rules", *words]) == status


@pytest.mark.usefixtures("folder")
def test_what_if_is_one_scenario_with_set(capsys: pytest.CaptureFixture[str]) -> None:
    change = ["--set", "schemes.*.quota.sz_bytes=2 MiB", "--json"]
    assert cli.main(["diff", "full.toml", *change, "--duration", "2", "--seed", "1"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert cli.main(["diff", "full.toml", "twice.toml", "--json", "--duration", "2", "--seed", "1"]) == 0
    two = json.loads(capsys.readouterr().out)
    assert told["measures"] == two["measures"]
    assert told["fields"] == two["fields"] != []
    assert [run["name"] for run in told["runs"]] == ["as given", "changed"]
    assert cli.main(["run", "full.toml", "--duration", "2", "--no-fix", "-q"]) == 0
    capsys.readouterr()
    assert cli.main(["diff", "tieringmodel-out/full-target.nc", *change]) == 0
    assert json.loads(capsys.readouterr().out)["measures"] == told["measures"]
    with pytest.raises(SystemExit, match="2"):
        cli.main(["diff", "full.toml"])
    assert "or one with --set" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_stored_runs_hold_a_change_to_a_tolerance(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("full", "twice"):
        assert cli.main(["run", f"{name}.toml", "--duration", "2", "--no-fix", "-o", name]) == 0
    capsys.readouterr()
    assert cli.main(["diff", "full/full-target.nc", "full", "--rtol", "0"]) == 0, "a folder stands for the newest result in it"
    assert "the same in every measure" in " ".join(capsys.readouterr().out.split())
    assert cli.main(["diff", "full", "twice"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("full/full-target.nc: "), "files of one name are told apart by their folders"
    assert "  contexts.0.schemes.0.quota.sz_bytes: 1048576 → 2097152" in text
    assert cli.main(["diff", "full", "twice", "--rtol", "0.1", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert max(_relative(row["values"]) for row in told["measures"]) > 0.1
    assert cli.main(["diff", "full", "twice", "--rtol", "1"]) == 0
    assert cli.main(["diff", "full", "full.toml", "--rtol", "0"]) == 0, "the scenario is run as the stored run was"
    assert cli.main(["diff", "full", "full.toml", "--duration", "2"]) == 2
    assert cli.main(["compare", "rfc-40-60", "--duration", "1", "-o", "c"]) == 0
    capsys.readouterr()
    assert cli.main(["diff", "full", "c/comparison.nc"]) == 2
    assert capsys.readouterr().err == "tieringmodel: c/comparison.nc: is a comparison; give what 'run' wrote\n"


def _relative(values: list[Any]) -> float:
    one, other = (float(value) for value in values)
    return abs(one - other) / max(abs(one), abs(other)) if one != other else 0.0


@pytest.mark.usefixtures("folder")
def test_two_scenarios(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["diff", "full.toml", "twice.toml", "--duration", "2", "--seeds", "2", "--ascii"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("full.toml: ")
    assert "seeds 1 to 2" in text
    assert "sz_bytes: 1048576 -> 2097152" in text
    assert text.isascii()


@pytest.mark.usefixtures("folder")
def test_a_stored_result_under_kernels_gives_scenario_length_and_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "full.toml", "--duration", "3", "--seed", "7", "--no-fix"]) == 0
    capsys.readouterr()
    assert cli.main(["diff", "tieringmodel-out/latest.nc", "--kernels", "7.2", "--no-rules"]) == 0
    text = capsys.readouterr().out
    assert "full target: 3 s simulated, seed 7" in text
    assert text.startswith("7.3.4: "), "of one kernel alone the scenario's own comes first"


@pytest.mark.usefixtures("folder")
def test_without_a_duration_it_is_as_long_as_the_longest_verdict_takes(capsys: pytest.CaptureFixture[str]) -> None:
    from tieringmodel.remedies.auto_duration import auto_duration

    assert cli.main(["diff", "full.toml", "--kernels", "7.2,7.3", "--no-rules"]) == 0
    longest = max(auto_duration(full_target().replace(kernel=k), seed=1).duration_s for k in ("7.2", "7.3"))
    assert f"full target: {longest:g} s simulated" in capsys.readouterr().out


def test_kernels_in_a_list() -> None:
    found = parse_kernels("6.12, 7.2.12,thisnode on, fresh_look off ,7.3")
    assert found == [tm.Kernel("6.12"), tm.Kernel("7.2.12", thisnode=True, fresh_look=False), tm.Kernel("7.3")]
    for text, says in (
        ("thisnode on", "--kernels: 'thisnode on' is no kernel that is modelled"),
        ("7.2,thisnod on", "--kernels: 'thisnod' is no switch of a kernel; did you mean 'thisnode'?"),
        ("7.2,thisnode of", "--kernels: thisnode is neither on nor off"),
        ("7.2,", "--kernels: '' is no kernel that is modelled"),
        ("6.12,temporal_huge_sz on", "--kernels: temporal_huge_sz is about something that Linux 6.12.117 does not have"),
    ):
        with pytest.raises(tm.InputError) as caught:
            parse_kernels(text)
        assert str(caught.value).startswith(says)


# ---- the text, of results made up -------------------------------------------------------------------------------------


def effect(switch: str, shares: dict[str, float], moved: tuple[str, ...], **given: Any) -> Effect:
    return Effect(switch, False, given.get("about", ""), shares, moved, Side(""), given.get("same", False))


def made_up(names: tuple[str, ...], **given: Any) -> Difference:
    sides = tuple(Side(name, "converged", numbers={"settling_s": float(k)}) for k, name in enumerate(names))
    rows = (Row("settling_s", tuple(float(k) for k in range(len(names))), 0.1),)
    return Difference("kernels", "a title", sides, rows, "The answer.", **given)


@pytest.mark.parametrize("width", [60, 72, 120])
@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("long", [False, True])
def test_any_number_of_columns_fits(width: int, count: int, long: bool) -> None:
    names = tuple(f"7.2.12, thisnode on, fresh_look o{'n' * k}" if long else f"6.1{k}.117" for k in range(count))
    text = text_of_diff(made_up(names), width=width)
    assert max(map(len, text.splitlines())) <= width
    if count > 1:
        cells = [line.split()[1:] for line in text.splitlines() if line.startswith("settling_s")]
        assert [cell for line in cells for cell in line][:count] == [f"{k}" for k in range(count)]
        assert all(name in " ".join(text.split()) for name in names)


def test_what_rules_do_is_told_in_full() -> None:
    side = Side("")
    found = made_up(
        ("A", "B"),
        effects=(
            effect("first", {"kind": 0.0, "settling_s": 0.456}, ("settling_s",), about="A: one thing. B: another."),
            effect("second", {"settling_s": 0.05}, ("settling_s", "ping_pong")),
            effect("third", {"settling_s": 0.0}, ()),
            effect("fourth", {"settling_s": 0.0}, (), same=True),
        ),
        together=Together(("first", "third"), "settling_s", 0.95, side, {"first": 0.5, "third": 1.0}),
        not_alone={"fifth": "not there", "sixth": "not there"},
    )
    text = " ".join(text_of_diff(found).split())
    assert text.endswith(
        "6 rules differ. With one of them as in A, B goes so much of the way back: "
        "first + third together: 95 % of settling_s. The other way, A with one of them as in B: first 50 %, third 100 %. "
        "A: one thing. B: another. first: 46 % of settling_s second: under 10 %, or away: settling_s, ping_pong "
        "Effects too small to count: third. Without effect on any measure: 1 of 6. Not left out alone: fifth, sixth: not there."
    )
    with pytest.raises(tm.InputError, match="width: 40 columns are too narrow"):
        text_of_diff(found, width=40)
