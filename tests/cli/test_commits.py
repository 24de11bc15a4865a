"""A scenario in which schemes, goals, filters, attributes and targets come and go, through every door."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from changing import changing, contexts
from small import pull

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.plot.reading import schemes
from tieringmodel.remedies.auto_duration import first_length
from tieringmodel.scenario.paths import in_force
from tieringmodel.sweeps.point import SHARE

LENGTH = 6


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("changing.toml").write_text(changing().to_toml(), encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def ds() -> xr.Dataset:
    return tm.simulate(changing(), duration=LENGTH, seed=1, progress=False)


def said(words: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    assert cli.main(words.split()) == code
    out = capsys.readouterr()
    assert "Traceback" not in out.out + out.err
    return out.out if code < 2 else out.err


# ---- commands ---------------------------------------------------------------------------------------------------------


def test_run_report_and_run_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(f"run changing.toml --duration {LENGTH} --seed 1 --fix-budget 2 --funnel -o out", capsys)
    assert "Counters of scheme 2 (migrate_hot to node 1), whole run" in text
    assert "Counters of scheme 1" not in text, "it is gone"
    told = json.loads(said(f"run changing.toml --duration {LENGTH} --seed 1 --no-fix -o out --json", capsys))
    assert [f["scheme"] for f in told["verdict"]["funnel"]] == [0, 2, 3, 4]
    assert [goal["scheme"] for goal in told["verdict"]["goals"]] == [0, 2]
    page = said("report out/changing.nc -o page", capsys)
    assert "wrote" in page
    assert "1: migrate_hot to node 1 until 0.903 s" in Path("page").read_text(encoding="utf-8")
    assert "scheme 2 since 1.3 s" in said("report --text out/changing.nc", capsys)
    # A result is a scenario wherever one is wanted, with its commits.
    again = json.loads(said("run out/changing.nc --no-fix -o again --json", capsys))
    assert again["migrated_pages"] == told["migrated_pages"]


def test_what_comes_after_the_end_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said("run changing.toml --duration 1.5 --seed 1 --no-fix -o out", capsys)
    text = " ".join(said("report --text out/changing.nc", capsys).split())
    assert "Of the scenario's events and commits 2 changes come after the end, from 1.6 s on." in text
    long = said(f"run changing.toml --duration {LENGTH} --seed 1 --no-fix -o long", capsys)
    assert "after the end" not in " ".join(long.split())


def test_an_interrupted_run_is_taken_up(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"run changing.toml --duration {LENGTH} --seed 1 --no-fix"
    text = said(f"{words} --resume -o out", capsys)
    assert text == said(f"{words} -o out", capsys).replace("changing-2.nc", "changing.nc")


def test_lint_says_when(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said("lint changing.toml", capsys)
    assert "until 903 ms: goals of 6000 bp on node 0 and 4000 bp on node 1" in " ".join(text.split())
    assert "from 1.9 s on: goals of 6000 bp on node 0 and 4000 bp on node 1" in " ".join(text.split()), "another scheme"


def test_compare_refuses_what_its_policies_would_undo(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said("compare changing.toml --duration 2 -o out", capsys, code=2)
    assert text.startswith("tieringmodel: commits[0]: changes contexts, which policies replace; ")


def test_sweep_sets_fields_of_commits_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    field = "commits.3.to.schemes.0.quota.goals.0.target_value"
    said(f"sweep changing.toml --grid {field}=4000,6000 --duration 4 --seeds 1 --executor serial -o out.nc", capsys)
    with xr.open_dataset("out.nc", engine="h5netcdf") as found:
        assert sorted(found["target_bp"].values.ravel().tolist()) == [4000.0, 6000.0], "what holds at the end"


def test_convert_counts_what_it_leaves_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = contexts()[0][1].replace(schemes=(pull(),))  # no goal whose nid damo drops
    sc = changing().replace(contexts=(start,), events=(), commits=[tm.Commit(10**6, 0, to) for _, to in contexts()[1:]])
    Path("one.toml").write_text(sc.to_toml(), encoding="utf-8")
    for form in ("json", "sh", "damo"):
        notes = json.loads(said(f"convert one.toml one.{form} --json", capsys))["notes"]
        assert "commits: 3 whole contexts that take over later are left out" in notes
    said("convert one.toml two.toml", capsys)
    assert tm.load("two.toml") == sc


# ---- python -----------------------------------------------------------------------------------------------------------


def test_text_in_and_out() -> None:
    sc = changing()
    assert tm.Scenario.from_toml(sc.to_toml()) == sc
    assert tm.Scenario.from_json(sc.to_json()) == sc
    assert tm.Scenario.from_dict(sc.to_dict()) == sc
    page = sc._repr_html_()
    assert page.index("at 0.903 s") < page.index("at 0.953 s") < page.index("at 1.6 s") < page.index("at 1.9 s")
    assert "contexts[0] as a whole: migrate_hot to node 0, migrate_hot to node 1, stat" in page
    assert "contexts.0.schemes.0.quota.goals.0.target_value" in page


def test_a_verdict_judges_what_runs_at_the_end(ds: xr.Dataset) -> None:
    found = tm.verdict(ds)
    assert {f.scheme for f in found.funnel} == {0, 2, 3, 4}
    assert {f.scheme: f.since_s for f in found.funnel} == {0: 1.9, 2: 1.3, 3: 1.3, 4: 0.0}
    assert {c.scheme for c in found.causes} <= {0, 2, None}, "a scheme that is gone has no cause"
    applied, tried = ds["sz_applied"].values[:, 0], ds["nr_due"].values[:, 2]
    assert found.funnel[0].applied_bytes == applied[-1] - applied[ds["time"].values < 1.9][-1]
    assert found.funnel[1].due == tried[-1]


def test_figures_and_texts_are_drawn(ds: xr.Dataset, tmp_path: Path) -> None:
    assert schemes(ds) == [
        "0: migrate_hot to node 0", "1: migrate_hot to node 1 until 0.903 s", "2: migrate_hot to node 1 from 1.3 s",
        "3: stat from 1.3 s", "4: stat",
    ]  # fmt: skip
    quota, _ = tm.plot.esz(ds)
    lengths = [int(np.isfinite(line.get_ydata()).sum()) for line in quota.get_lines() if line.get_label() in schemes(ds)]
    assert lengths == ds["active"].values.sum(axis=0).tolist(), "a scheme's curve is as long as it is there"
    for name in ("course", "heatmap", "occupancy", "returns", "spectrum"):
        getattr(tm.plot, name)(ds)
    record = tm.to_damo_record(ds, tmp_path / "record.json")
    assert len(json.loads(record.read_text())) == 3, "a context with one target, and one that has two later"


def test_costs_follow_goals_and_actions(ds: xr.Dataset) -> None:
    """Evaluations of goals that read counters are counted while the goals are there."""
    there, resets = ds["goal_active"].values, np.diff(ds["resets"].values.astype(int), axis=0, prepend=0)
    reads = sum(int(resets[there[:, g], k].sum()) for g, k in enumerate(ds["goal_scheme"].values))
    each_s = tm.cost.Costs().counter_read_us.default * 1e-6
    found = tm.cost.control_cost(ds, metrics="counters")["cpu_s"].sel(component="goal metrics", estimate="default")
    assert float(found) == pytest.approx(reads * each_s)
    assert np.isfinite(tm.cost.control_cost(ds)["total_cpu_s"].values).all()


def test_a_run_without_a_length_lasts_beyond_the_last_commit() -> None:
    length_s, why = first_length(changing())
    assert length_s > 31
    assert why.startswith("the last commit at 1.9 s, and ")
    late = tm.Event("5 s", "contexts.0.schemes.0.quota.goals.0.target_value", 5000)
    assert first_length(changing(events=(late,)))[1].startswith("the last event at 5 s, and ")


def test_changes_are_made_where_they_hold_at_the_end() -> None:
    sc, quota = changing(), "schemes.0.quota.sz_bytes"
    assert in_force(sc, f"contexts.0.{quota}") == f"commits.3.to.{quota}"
    assert in_force(sc, f"contexts.0.{quota}", 0) == f"contexts.0.{quota}"
    assert in_force(sc, f"contexts.0.{quota}", 1_000_000) == f"commits.0.to.{quota}"
    target = "contexts.0.schemes.0.quota.goals.0.target_value"
    assert in_force(sc, target, 1_700_000) == "events.0.value"
    assert in_force(sc, target, 1_300_000) == "commits.2.to.schemes.0.quota.goals.0.target_value"
    assert in_force(sc, "contexts.1.attrs") == "commits.1.to.attrs"
    assert in_force(sc, "contexts.0.rng_seed") == "contexts.0.rng_seed", "no commit carries it"
    assert in_force(sc, "machine.hz") == "machine.hz"
    late = tm.Event("5 s", "contexts.0.schemes.0.quota", {"sz_bytes": 4096, "reset_interval_ms": 100})
    assert in_force(changing(events=(late,)), f"contexts.0.{quota}") is None


def test_findings_change_what_holds_when_they_are_said() -> None:
    for finding in tm.lint(changing()):
        for change in finding.changes:
            assert change["path"].startswith(("commits.", "contexts.")), change
        finding.applied_to(changing())
    late = [f for f in tm.lint(changing()) if f.message.startswith("from 1.9 s on: goals of 6000 bp")]
    assert {c["path"].split(".to.")[0] for f in late for c in f.changes} == {"commits.3"}


def test_a_fix_is_made_in_the_commit_that_holds(ds: xr.Dataset) -> None:
    fix = tm.find_fix(ds, budget_s=20)
    assert fix is not None
    assert {change["path"].partition(".to.")[0] for change in fix.changes} == {"commits.3"}
    assert "from commit 3 on" in fix.text


def test_sweeps_and_comparisons_in_python_carry_commits_out() -> None:
    sc = changing()
    swept = tm.sweep(sc, {"seed": [1, 2]}, duration=3, series=(SHARE, "active"), progress=False)
    assert swept["active"].dims[-1] == "scheme"
    assert swept["active"].isel(scheme=1).values.ravel()[0] == 1
    both = tm.compare({"changing": sc, "as it starts": sc.replace(commits=(), events=())}, duration=3, seed=1, progress=False)
    assert not np.array_equal(*both["share_bp"].values)


def test_presets_read_commits_too() -> None:
    read = tm.preset(changing(), "seed-faithful")
    assert read.commits[2].to.schemes[0].quota.goals[0].metric == "node_sys_bp:v1-literal"
    tm.simulate(read, duration=2, seed=1, progress=False)


def test_a_goal_of_a_node_that_is_not_there_is_refused_with_what_brings_it() -> None:
    sc = changing()
    goal = sc.contexts[0].schemes[0].quota.goals[0].replace(nid=7)
    scheme = sc.contexts[0].schemes[0]
    to = sc.contexts[0].replace(schemes=(scheme.replace(quota=scheme.quota.replace(goals=(goal,))),))
    with pytest.raises(tm.InputError, match=r"^commits\[0\]\.contexts\[0\]\.schemes\[0\]\.quota\.goals\[0\]\.nid: "):
        tm.simulate(sc.replace(events=(), commits=(tm.Commit(5, 0, to),)), duration=1, progress=False)
