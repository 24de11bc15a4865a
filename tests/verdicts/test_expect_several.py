"""Expectations over several runs, their JUnit form, the pytest fixture."""

from __future__ import annotations

import json
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

import tieringmodel as tm
from tieringmodel.cli import main
from tieringmodel.reports.junit import Case, junit
from tieringmodel.verdicts.expect import expect_of_runs, over_runs, parse

pytest_plugins = ["pytester"]
RUNS = [{"kind": "ripple" if k == 3 else "converged", "x": float(x), "y": math.nan} for k, x in enumerate((5, 1, 9, 3))]


@pytest.mark.parametrize(
    ("name", "value"),
    [("p0(x)", 1), ("p25(x)", 1), ("p26(x)", 3), ("median(x)", 3), ("p95(x)", 9), ("max(x)", 9), ("min(x)", 1),
     ("mean(x)", 4.5), ("share(kind == converged)", 0.75), ("share(x > 2)", 0.75)],
)  # fmt: skip
def test_numbers_over_runs(name: str, value: float) -> None:
    ((_, told, _, _),) = parse(f"{name} < 3")
    assert over_runs(told, RUNS) == value


def test_undefined_meets_nothing_and_the_shown_run_decides_the_rest() -> None:
    clauses = expect_of_runs(RUNS, "max(y) < 1e9, x == 1, p50(x) == 3, kind == converged", shown=1)
    assert [clause.ok for clause in clauses] == [False, True, True, True]


@pytest.mark.parametrize(
    ("text", "said"),
    [("p101(x) < 3", "p101 is no percentile"), ("max(z) < 3", "'z' is not a measure"), ("share(x) > 1", "not understood"),
     ("max(kind) < 3", "'kind' is not a measure"), ("mean(x) < y", "'y' in")],
)  # fmt: skip
def test_refusals(text: str, said: str) -> None:
    with pytest.raises(tm.InputError, match=said):
        expect_of_runs(RUNS, text)


def test_junit_is_xml_whatever_it_says() -> None:
    top = ElementTree.fromstring(junit('a "suite" <&>', [Case("x < 3", True, ""), Case("\x00", False, "\x1b[31m<no>")]))
    assert top.attrib == {"tests": "2", "failures": "1"}
    assert [one.get("name") for one in top.iter("testcase")] == ["x < 3", "\ufffd"]
    assert [one.text for one in top.iter("failure")] == ["\ufffd[31m<no>"]


def test_run_and_sweep_exit_by_what_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["-o", str(tmp_path / "out"), "--duration", "2", "--no-fix"]
    clauses = "max(migrated_pages_total) < 1"
    line = ["run", "rfc-40-60", *out, "--seeds", "2", "--expect"]
    assert main([*line, "share(kind == unfinished) == 1", "--junit", str(tmp_path / "j.xml")]) == 0
    assert main([*line, "p95(hot_share_node0) < 1", "--junit", str(tmp_path / "j.xml")]) == 1
    assert [one.get("name") for one in ElementTree.parse(tmp_path / "j.xml").iter("testcase")] == ["p95(hot_share_node0) < 1"]
    assert main([*line, clauses]) == 2
    grid = ["--grid", "schemes.*.quota.sz_bytes=1MiB,4MiB", "--axis", "quota=schemes.*.quota.sz_bytes", "--seeds", "2"]
    where = ["--duration", "2 s", "--executor", "serial", "-o", str(tmp_path / "s.zarr"), "--junit", str(tmp_path / "k.xml")]
    capsys.readouterr()
    assert main(["sweep", "rfc-40-60", *grid, *where, "--expect", "max(migrated_pages) < 1000, kind != stuck", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)["expect"]
    assert [case["ok"] for case in told] == [True, True, False, True]
    assert told[2]["name"] == "max(migrated_pages) < 1000 at quota = 4194304"


def test_the_fixture_says_which_clause_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_it(tiering_run):
            runs = tiering_run("rfc-40-60", "kind == unfinished, max(residual_mib_s) < 1000", duration="1 s", seeds=2)
            assert len(runs) == 2

        def test_not(tiering_run):
            tiering_run("rfc-40-60", "kind == converged", duration="1 s", seeds=2)
    """)
    result = pytester.runpytest("-p", "no:tieringmodel", "-p", "tieringmodel.pytest_plugin", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*kind == converged: kind is unfinished (seed 1); *(seed 2)*"])
