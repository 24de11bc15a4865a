"""What is printed about a run: complete, narrow, ASCII where asked, and true of runs by earlier versions."""

from __future__ import annotations

import shlex
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from small import MIB, pull, push, scenario

import tieringmodel as tm
from tieringmodel.datasets.schema import VARIABLES
from tieringmodel.reports.plain_text import ascii_of, command_lines, paragraph
from tieringmodel.reports.text_chart import ASCII, UNICODE, course, rates
from tieringmodel.reports.text_of_run import FINDINGS_OF, text_of_run
from tieringmodel.verdicts.explained import CAUSES
from tieringmodel.verdicts.record import Cause, Fix


def folded(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def run() -> xr.Dataset:
    ds = tm.simulate(scenario(pull(), push(), name="Müller … 1"), duration="6 s", seed=1, progress=False)
    return ds.assign_attrs(command="tieringmodel run 'a file.toml' --seed 1 --duration '6 s'")


@pytest.mark.parametrize("width", [60, 72, 100])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_everything_fits_and_the_verdict_is_in_it(run: xr.Dataset, width: int, ascii_only: bool) -> None:
    found = tm.verdict(run)
    text = text_of_run(run, found, width=width, ascii_only=ascii_only)
    lines = text.split("\n")
    assert max(map(len, lines)) <= width
    assert not any(line != line.rstrip() for line in lines)
    assert folded(found.text) in folded(text)
    assert text.isascii() is ascii_only
    for head in ("The numbers that prove it", "Goals", "Migrated [MiB/s]", "What became of the pages", "To repeat it"):
        assert any(line.startswith(head) for line in lines), head
    for cause in found.causes:
        assert f"  {cause.code}" in text


def test_goals_are_a_table(run: xr.Dataset) -> None:
    found = tm.verdict(run)
    rows = [line.split() for line in text_of_run(run, found).split("\n") if " node_eligible_mem_bp  " in line]
    for row, goal in zip(rows, found.goals, strict=True):
        assert row[:5] == [str(goal[k]) for k in ("scheme", "metric", "nid", "target", "value")]
        assert (row[5] == "-") == (goal["met_since_s"] is None)
    never = replace(found, goals=tuple(g | {"value": None} for g in found.goals))
    assert text_of_run(run, never).count("never read") == len(rows)


def test_the_long_funnel_has_every_counter_of_every_scheme(run: xr.Dataset) -> None:
    text = text_of_run(run, tm.verdict(run), funnel=True)
    names = [name for name, about in VARIABLES.items() if about.dims == ("time", "scheme")]
    assert len(names) > 25
    for name in names:
        assert text.count(f"\n  {name} ") == 2, name
    applied = run["nr_applied"].values[-1]
    assert [int(line.split()[1]) for line in text.split("\n") if line.startswith("  nr_applied ")] == applied.tolist()


def test_a_run_by_an_earlier_version_has_a_text(run: xr.Dataset) -> None:
    new = [n for n in VARIABLES if n in run and "application pass" in VARIABLES[n].source]
    new += ["held_windows", "full_windows", "quota_bound", "undone_pages", "rejected_bytes", "asleep_us"]
    old = run.drop_vars(new).drop_vars([c for c in run.coords if str(c).startswith("filter")])
    old.attrs.pop("command")
    text = text_of_run(old, tm.verdict(old), place="old.nc", funnel=True)
    assert text.endswith("To repeat it\n  tieringmodel run old.nc")
    assert "nr_due" not in text


def test_what_is_flat_is_told_and_not_drawn() -> None:
    still = tm.simulate(scenario(), duration="2 s", seed=1, progress=False)
    text = text_of_run(still, tm.verdict(still))
    assert "Share of accesses throughout: node 0 0 bp, node 1 10000 bp.\nNothing was moved." in text
    assert "|" not in text
    assert "│" not in text
    share = still["access_share_bp"] + np.linspace(0, 0.9, still.sizes["time"])[:, None]
    assert "│" not in text_of_run(still.assign(access_share_bp=share), tm.verdict(still)), "0 to 0.9 bp"


def test_a_fix_stands_with_its_outcome_and_a_vain_search_with_what_was_tried(run: xr.Dataset) -> None:
    found = tm.verdict(run)
    fix = Fix(({"path": "a", "old": 1, "new": 2},), "a = 2", "converged, 3 s, 0 MiB/s", tried=3, untried=1)
    text = folded(text_of_run(run, replace(found, fix=fix)))
    assert "What helps with a = 2: converged, 3 s, 0 MiB/s; 3 tried, 1 left untried" in text
    vain = folded(text_of_run(run, found, tried="2 changes were tried, none helps (b = 3: stuck)"))
    assert "No change was found that helps 2 changes were tried, none helps (b = 3: stuck)" in vain
    assert "helps" not in text_of_run(run, found)


def test_seeds_that_differ_are_named(run: xr.Dataset) -> None:
    found = tm.verdict(run)
    kinds = {1: found.kind, 2: "stuck", 3: found.kind}
    assert "Of 3 seeds, 1 differs: 2 (stuck)." in text_of_run(run, replace(found, seeds=kinds))
    assert "Of 2 seeds, none differs." in text_of_run(run, replace(found, seeds={1: found.kind, 2: found.kind}))
    assert "seeds" not in text_of_run(run, replace(found, seeds={1: found.kind}))


def test_causes_beyond_the_paragraph_are_told_in_words(run: xr.Dataset) -> None:
    causes = tuple(
        Cause("drift", None, f"sentence {k}", {"last_s": 1.5, "moved_bytes": 3 * MIB, "swing": {}}) for k in range(4)
    )
    text = text_of_run(run, replace(tm.verdict(run), causes=causes))
    assert text.count("  drift: last 1.5 s, moved 3 MiB\n") == 3
    assert "  drift: sentence 3; last 1.5 s, moved 3 MiB\n" in text


def test_lint_is_repeated_where_it_came_true(run: xr.Dataset) -> None:
    found = tm.verdict(run)
    cause = Cause("no-gap", 0, "x", {"gap_bp": 0})
    cycle = text_of_run(run, replace(found, kind="limit-cycle", causes=(cause,)))
    assert "Known without a run, by lint\n  warning: contexts[0].schemes[1].quota.goals[0].target_value: goals of" in cycle
    assert "for ever" in cycle
    for kind in ("unfinished", "wrong-point"):  # what only a stationary tail proves is not said of them
        assert "for ever" not in text_of_run(run, replace(found, kind=kind, text=kind, causes=(cause,)))
    other = replace(found, kind="limit-cycle", causes=(replace(cause, code="refaults"),))
    assert "Known without a run" not in text_of_run(run, other)
    assert set(FINDINGS_OF) <= set(CAUSES)


def test_a_width_or_a_dataset_that_does_not_do_is_refused(run: xr.Dataset) -> None:
    with pytest.raises(tm.InputError, match="width: 59 columns are too narrow; give 60 or more"):
        text_of_run(run, tm.verdict(run), width=59)
    with pytest.raises(tm.InputError, match="no variable 'resets'"):
        text_of_run(run.drop_vars("resets"), tm.verdict(run))


# ---- charts -----------------------------------------------------------------------------------------------------------


def test_a_chart_shows_values_targets_and_gaps() -> None:
    time = np.arange(1.0, 11.0)
    y = np.array([np.nan, np.nan, 0, 0, 0, 0, 8, 8, 8, 8], float)
    lines = course(time, [("*", y)], [np.full(10, 4.0)], width=20, look=ASCII)
    assert [line[:10] for line in lines] == ["       8 |"] + ["         |"] * 3 + ["       4 |"] + ["         |"] * 3 + [
        "       0 |"
    ]
    rows = [line[10:].ljust(10) for line in lines]
    assert rows[0] == "      ****"
    assert rows[8] == "  *****   "
    assert rows[4] == "------*---", "the step passes the target"
    assert all(row[6] == "*" for row in rows), "a column holds all values that it spans"


def test_a_second_series_is_drawn_over_the_first() -> None:
    time = np.array([1.0, 2.0])
    lines = course(time, [("0", np.array([1.0, 1.0])), ("1", np.array([1.0, 0.0]))], [], width=12, look=UNICODE)
    assert lines[0] == "       1 │1"[:10] + "11"
    assert lines[-1].endswith("│ 1")


def test_bars_are_rates_and_nothing_above_zero_is_lost() -> None:
    time = np.arange(1.0, 11.0)
    amount = np.array([0, 0, 9, 0, 3, 0.001, 0, 0, 0, 9.0])
    lines = rates(time, amount, width=20, look=ASCII)
    assert [line[10:].ljust(10) for line in lines[:3]] == ["  #      #", "  #      #", "  # #.   #"]
    assert lines[0].startswith("       9 |")
    assert lines[2].startswith("       0 |")
    assert lines[3] == "         +" + "-" * 10
    assert lines[4].split() == ["0", "5", "10", "s"]
    assert len(lines[4]) == 20
    # Two seconds in a column: the mean of both.
    half = rates(time, amount, width=15, look=ASCII)
    assert half[0].startswith("     4.5 |")


# ---- what texts are made of -------------------------------------------------------------------------------------------


def test_commands_over_several_lines_are_the_same_command() -> None:
    words = [
        "tieringmodel",
        "run",
        "a file.toml",
        "--seed",
        "1",
        "--duration",
        "120 s",
        "--workload",
        "w" * 60,
        "--",
        "damo",
        "x",
    ]
    lines = command_lines(shlex.join(words), 72, "  ")
    assert len(lines) > 1
    assert all(line.endswith(" \\") for line in lines[:-1])
    assert max(map(len, lines)) <= 77, "only a word of its own is longer"
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == words
    assert command_lines("it's", 72, "  ") == ["  it's"]


def test_paragraphs_fold_back_to_what_they_were() -> None:
    text = "wrong-point: contexts[0].schemes[0].quota.goals[0].target_value of node-eligible is " + "long-" * 20
    assert folded("\n".join(paragraph(text, 60, "  "))) == text


@pytest.mark.parametrize(
    ("text", "plain"),
    [("∞ – … ± × µs → ≥ ≤", "inf - ... +- x us -> >= <="), ("Müller é", "Muller e"), ("日本", "??"), ("plain ~", "plain ~")],
)
def test_ascii(text: str, plain: str) -> None:
    assert ascii_of(text) == plain
