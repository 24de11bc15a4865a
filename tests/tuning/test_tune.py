"""`tune`: the answer was run, is the same on any number of workers, and nothing is gained by moving the goal posts."""

from __future__ import annotations

import json
import math
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
import xarray as xr

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.plot.files import figure
from tieringmodel.remedies.changes import candidate
from tieringmodel.scenario.paths import with_paths
from tieringmodel.tuning.answer import Tuned
from tieringmodel.tuning.dataset import dataset_of
from tieringmodel.tuning.end import MISSED, End, total
from tieringmodel.tuning.knobs import changed, knobs_of, positions_of, setting
from tieringmodel.tuning.measured import Measured
from tieringmodel.tuning.spread import NOMINAL, STRETCHED, spread

END = "residual_mib_s < 0.1, abs_error_bp < 300"
MIB = 1 << 20
RFC = tm.load("rfc-40-60")
PAIR = small.scenario(small.pull(6000), small.push(4000))
"""A pair without a gap, in 16 MiB: it swings for ever."""
FIRST = "contexts.0.schemes.0.quota.goals.0.target_value"
SECOND = "contexts.0.schemes.1.quota.goals.0.target_value"
BUDGET = 62 * 20.0
OPTIONS: dict[str, Any] = {"duration": "20 s", "seeds": 2, "budget": BUDGET, "progress": False}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    store = tmp_path_factory.mktemp("tune") / "runs.jsonl"
    found = tm.tune(PAIR, END, store=store, **OPTIONS)
    found.about["store"] = str(store)  # for the tests below
    return found


# ---- the answer -------------------------------------------------------------------------------------------------------


def test_the_answer_meets_the_end_that_the_given_does_not(tuned: Tuned) -> None:
    assert tuned.met
    assert not tuned.tried[0]["met"]
    for seed in (1, 2):
        values = Measured(PAIR)(tm.simulate(tuned.scenario, duration="20 s", seed=seed))
        assert values["residual_mib_s"] < 0.1
        assert values["abs_error_bp"] < 300


def test_the_answer_is_the_given_with_its_changes(tuned: Tuned) -> None:
    assert with_paths(PAIR, {c["path"]: c["new"] for c in tuned.changes}) == tuned.scenario
    assert tuned.scenario.machine == PAIR.machine
    assert tuned.scenario.workload == PAIR.workload


def test_what_is_always_tried_was_run_with_all_seeds(tuned: Tuned) -> None:
    origins = [row["origin"] for row in tuned.tried]
    assert origins[0] == "given"
    assert {"DAMON's defaults", "damo's auto-tuned intervals", "lint: targets-no-gap"} <= {*origins}
    for row in tuned.tried:
        if row["origin"] in ("given", "DAMON's defaults", "damo's auto-tuned intervals", "lint: targets-no-gap"):
            assert row["runs"] >= 2
    assert {one["candidate"] for one in tuned.beats} >= {"given", "DAMON's defaults"}


def test_nothing_is_met_that_was_not_run_with_all_seeds(tuned: Tuned) -> None:
    assert all(row["runs"] >= 2 for row in tuned.tried if row["met"])


def test_the_budget_holds_but_for_what_is_always_tried(tuned: Tuned) -> None:
    assert tuned.about["simulated_s"] <= BUDGET
    assert tuned.about["simulated_s"] == tuned.about["runs"] * 20


def test_differences_are_of_the_same_seeds_and_hold_their_mean(tuned: Tuned) -> None:
    given = next(one for one in tuned.beats if one["candidate"] == "given")["by"]["residual_mib_s"]
    assert given["difference"] == pytest.approx(given["other"] - given["answer"])
    assert given["low"] <= given["difference"] <= given["high"]
    assert given["difference"] > 1


def test_margins_are_where_the_end_is_missed(tuned: Tuned) -> None:
    assert tuned.margins
    margin = next(m for m in tuned.margins if m.missed_above is not None or m.missed_below is not None)
    for value, met in ((margin.low, True), (margin.high, True), (margin.missed_below, False), (margin.missed_above, False)):
        if value is not None:
            made = candidate(tuned.scenario, [(path, value) for path in margin.paths], "test")
            ds = tm.simulate(made.scenario if made else tuned.scenario, duration="20 s", seed=1, snapshots=0)
            assert End(END).met(Measured(PAIR)(ds)) == met


def test_the_same_on_two_workers(tuned: Tuned) -> None:
    two = tm.tune(PAIR, END, **OPTIONS, executor="processes", workers=2)
    assert {k: v for k, v in tuned.to_dict().items() if k != "store"} == two.to_dict()


def test_a_store_goes_on_where_it_stopped(tuned: Tuned, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Path(tuned.about["store"])
    lines = store.read_text(encoding="utf-8").splitlines(keepends=True)
    assert len(lines) == tuned.about["runs"]
    store.write_text("".join(lines[:-1]) + lines[-1][: len(lines[-1]) // 2], encoding="utf-8")  # cut off in its last line
    ran = []
    from tieringmodel.tuning.runs import run_point

    monkeypatch.setattr("tieringmodel.tuning.runs.run_point", lambda *a: ran.append(a) or run_point(*a))
    again = tm.tune(PAIR, END, store=store, **OPTIONS)
    assert len(ran) == 1
    assert again.changes == tuned.changes
    assert [row["shortfall"] for row in again.tried] == [row["shortfall"] for row in tuned.tried]


def test_a_time_is_translated_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = OPTIONS | {"budget": "0.1 s", "seeds": 1, "store": tmp_path / "runs.jsonl"}
    one = tm.tune(PAIR, END, **options)
    assert f"taken as {one.about['budget_s']:g} simulated seconds" in str(one)
    monkeypatch.setattr("tieringmodel.tuning.tune.working_cpu_s", iter(range(0, 10_000, 100)).__next__)
    assert tm.tune(PAIR, END, **options).to_dict() == one.to_dict()


def test_a_candidate_that_is_refused_is_told_and_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from tieringmodel.sweeps.point import run_point

    def sometimes(job: Any, *others: Any) -> Any:
        goal = job.scenario.contexts[0].schemes[1].quota.goals[0].target_value
        return run_point(job, {"contexts.0.attrs.sample_us": 0} if goal != 4000 else others[0], *others[1:])

    monkeypatch.setattr("tieringmodel.tuning.runs.run_point", sometimes)
    found = tm.tune(PAIR, END, **OPTIONS | {"budget": 0.0, "seeds": 1})
    refused = [row for row in found.tried if row["refused"]]
    assert refused
    assert not any(row["met"] for row in refused)
    assert all(c["new"] == 4000 for c in found.changes if c["path"] == SECOND)


def test_a_damaged_store_is_refused(tmp_path: Path) -> None:
    store = tmp_path / "runs.jsonl"
    store.write_text('{"key": 1}\n{"key": "a", "values": {}}\n', encoding="utf-8")
    with pytest.raises(tm.InputError, match="damaged"):
        tm.tune(PAIR, END, store=store, **OPTIONS)


def test_an_end_that_nothing_meets_has_a_nearest_miss() -> None:
    found = tm.tune(PAIR, "residual_mib_s < 0.5, settling_s < 0.01", **OPTIONS | {"budget": 0.0})
    assert not found.met
    assert found.changes == ()
    assert found.beats == ()
    miss = found.nearest_miss
    assert miss is not None
    assert [c["ok"] for c in miss["clauses"]] == [True, False]
    assert "no candidate meets the end" in str(found)


def test_several_objectives_give_a_front() -> None:
    found = tm.tune(PAIR, END, objective=["settling", "error"], **OPTIONS | {"budget": 20 * 40.0})
    rows = {
        row["number"]: (row["measures"]["settling_s"], row["measures"]["abs_error_bp"]) for row in found.tried if row["met"]
    }
    assert found.front
    for number in found.front:
        settling, error = rows[number]
        assert not any(s <= settling and e <= error and (s, e) != (settling, error) for s, e in rows.values())
    assert found.about["chosen"] in found.front or "without what" in found.tried[found.about["chosen"]]["origin"]


def test_only_what_is_named_changes() -> None:
    path = "contexts.0.schemes.0.quota.sz_bytes"
    found = tm.tune(PAIR, "residual_mib_s < 0.5", change=[f"{path}=256 KiB,512 KiB"], **OPTIONS)
    assert {c["path"] for row in found.tried for c in row["changes"]} <= {path}
    assert {c["new"] for row in found.tried for c in row["changes"]} <= {MIB // 4, MIB // 2}


# ---- errors are counted against what was given ------------------------------------------------------------------------


def test_moving_the_target_moves_no_error() -> None:
    ds = tm.simulate(RFC, duration="40 s", seed=1)
    lower = with_paths(RFC, {FIRST: 2000, SECOND: 5900})
    moved = tm.simulate(lower, duration="40 s", seed=1)
    own = tm.analysis.expect(moved, "abs_error_bp < 1e9")[0].value
    asked = Measured(RFC)(moved)["abs_error_bp"]
    share = float(moved["access_share_bp"].sel(node=0).values[-1])
    assert asked > own, "where the goals that were given ask for 4000 bp, less is an error"
    assert asked == pytest.approx(3800 - share, abs=150)
    assert Measured(RFC)(ds)["abs_error_bp"] == pytest.approx(tm.analysis.expect(ds, "abs_error_bp < 1e9")[0].value)


def test_a_goal_that_is_gone_is_still_asked_for() -> None:
    less = with_paths(RFC, {"contexts.0.schemes.0.quota.goals": ()})
    ds = tm.simulate(less, duration="20 s", seed=1)
    found = Measured(RFC)(ds)
    assert math.isfinite(found["abs_error_bp"])


# ---- parts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clause", "value", "short"),
    [
        ("residual_mib_s < 0.5", 0.5, 1e-6),
        ("residual_mib_s < 0.5", 5.0, math.log((5 + 5e-4) / (0.5 + 5e-4))),
        ("residual_mib_s < 0.5", math.nan, MISSED),
        ("residual_mib_s < 0.5", math.inf, MISSED),
        ("settling_s <= 60", 30.0, math.log((30 + 0.06) / (60 + 0.06))),
        ("hot_share_node0 > 9000", 4500.0, math.log((9000 + 9) / (4500 + 9))),
        ("kind == converged", "ripple", MISSED),
        ("kind == converged", "converged", 0.0),
    ],
)
def test_shortfalls(clause: str, value: Any, short: float) -> None:
    assert End(clause).shortfalls({clause.split()[0]: value}) == [pytest.approx(short)]


def test_a_shortfall_is_what_is_missing_or_the_narrowest() -> None:
    assert total([1.0, -2.0, 0.5]) == 1.5
    assert total([-1.0, -2.0]) == -1.0


def test_knobs_hold_what_was_given_and_nothing_refused() -> None:
    for name in ("rfc-40-60", "C3_pullpush_temporal"):
        scenario = tm.load(name)
        knobs = knobs_of(scenario)
        assert len({knob.name for knob in knobs}) == len(knobs)
        for knob in knobs:
            assert changed(scenario, [knob], [knob.at]) is None
            for row in range(len(knob.rows)):
                if row != knob.at:
                    made = changed(scenario, [knob], [row])
                    assert made is not None
                    assert positions_of(scenario, [knob], made) == [row]
                    assert setting(scenario, [knob], [row]) == made.scenario
    recorded = {knob.name for knob in knobs}
    assert not any("attrs" in name for name in recorded), "recorded ends of aggregations hold for their intervals only"


def test_deviations_change_what_they_say() -> None:
    found = spread(RFC, 10_000_000)
    assert [g.rate_hz for g in found["rates × 0.5"].workload.groups] == [200.0]
    assert found["hot set + 20 %"].workload.groups[0].hi == 78_336, "65536 × 1.2, whole 2 MiB"
    times = found[STRETCHED].contexts[0].aggr_times_us
    assert times[:2] == (134_000, 268_000)
    assert times[-1] >= 10_000_000
    recorded = spread(tm.load("C3_pullpush_temporal"), 10_000_000)
    assert recorded[NOMINAL].contexts[0].aggr_times_us == ()


def test_what_begins_where_a_hot_set_ends_moves_along() -> None:
    groups = (tm.Group(0, 1000, rate_hz=100.0, name="hot"), tm.Group(1000, 4000, rate_hz=1.0, name="cold"))
    scenario = RFC.replace(workload=RFC.workload.replace(groups=groups))
    grown = spread(scenario, 1_000_000)["hot set + 20 %"].workload.groups
    assert (grown[0].hi, grown[1].lo) == (1024, 1024)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ({"end": "residual < 1"}, "end: 'residual' is not a measure"),
        ({"end": "residual_mib_s 1"}, "not understood"),
        ({"objective": "speed"}, "'speed' is not known"),
        ({"objective": ["error", "error"]}, "twice"),
        ({"objective": "throughput"}, "give the workload a demand"),
        ({"change": ["contexts.0.schemes.0.quota.size"]}, "not a field"),
        ({"change": ["contexts.0.schemes.0.quota.sz_bytes=x"]}, "no value"),
        ({"change": "contexts"}, "one text"),
        ({"change": ["contexts.0.attrs.aggr_us", "contexts.0.attrs.aggr_us=1 s"]}, "more than once"),
        ({"seeds": 0}, "seeds"),
        ({"budget": "soon"}, "budget"),
        ({"budget": -1.0}, "budget"),
        ({"scenario": PAIR.replace(contexts=())}, "no contexts"),
    ],
)
def test_bad_input(call: dict[str, Any], says: str) -> None:
    options = {"scenario": PAIR, "end": END, **OPTIONS, "duration": "2 s", "budget": 0.0, "seeds": 1} | call
    with pytest.raises(tm.InputError, match=re.escape(says)):
        tm.tune(options.pop("scenario"), options.pop("end"), **options)


# ---- files ------------------------------------------------------------------------------------------------------------


def test_figures_and_dataset(tuned: Tuned) -> None:
    ds = dataset_of(tuned)
    assert figure("tuning_front", ds).axes[0].get_title(loc="left").startswith(f"{int(ds['met'].sum())} of")
    assert "How far each knob may move" in figure("tuning_margins", ds).get_suptitle()
    assert ds["value"].dims == ("candidate", "measure")
    nothing = dataset_of(replace(tuned, margins=()))
    with pytest.raises(tm.InputError, match="has no margins"):
        tm.plot.tuning_margins(nothing)


def test_the_command_writes_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "pair.toml"
    source.write_text(PAIR.to_toml(), encoding="utf-8")
    words = ["tune", str(source), "--end", END, "--duration", "20 s", "--seeds", "1", "--budget", "0", "-o", str(tmp_path)]
    assert cli.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    wanted = {"met", "changes", "verdict", "measures", "margins", "beats", "tried", "nearest_miss"}
    assert wanted <= {*found}
    assert tm.load(tmp_path / "tuned.toml") == with_paths(PAIR, {c["path"]: c["new"] for c in found["changes"]})
    assert {"tuned.toml", "tuned.json", "tuned.sh", "runs.jsonl", "tuning.nc", "tuning_front.png", "answer.json"} <= {
        p.name for p in tmp_path.iterdir()
    }
    with xr.open_dataset(tmp_path / "tuning.nc", engine="h5netcdf") as ds:
        assert np.isfinite(ds["value"].values).any()
    assert cli.main(["report", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "lint: targets-no-gap" in page
    capsys.readouterr()
    assert cli.main(["report", "--text", str(tmp_path)]) == 0
    assert "met with one seed" in capsys.readouterr().out


def test_the_command_fails_where_nothing_meets_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "pair.toml"
    source.write_text(PAIR.to_toml(), encoding="utf-8")
    words = ["tune", str(source), "--end", "settling_s < 0.01", "--duration", "20 s", "--seeds", "1", "--budget", "0"]
    assert cli.main([*words, "-o", str(tmp_path), "--ascii"]) == 1
    out = capsys.readouterr().out
    assert out.isascii()
    assert "nearest miss" in out
    assert not (tmp_path / "tuned.toml").exists()
    assert (tmp_path / "nearest-miss.toml").exists()


def test_throughput_of_a_workload_with_a_demand() -> None:
    nodes = tm.Performance(nodes=[tm.NodeCurve(90, 49), tm.NodeCurve(190, 17)])
    machine = tm.Machine.dram_cxl("32 MiB", "32 MiB", performance=nodes)
    scenario = small.scenario(small.pull(6000), machine=machine, demand={"threads": 8, "outstanding": 4})
    change = ["contexts.0.schemes.0.quota.goals.0.target_value=3000,6000,9000"]
    found = tm.tune(scenario, "residual_mib_s < 50", objective="throughput", change=change, **OPTIONS | {"budget": 20 * 30.0})
    rows = [row for row in found.tried if row["met"]]
    best = max(row["measures"]["throughput_per_s"] for row in rows)
    assert len(rows) == 3
    assert found.measures["throughput_per_s"]["mean"] == pytest.approx(best, rel=0.01)


def test_without_optuna_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(tm.InputError, match=re.escape("needs the package optuna; pip install 'tieringmodel[tune]'")):
        tm.tune(PAIR, END, **OPTIONS)


def test_a_damo_line_is_tuned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = (
        "damo start --numa_node 0 --damos_action migrate_hot 1 --damos_access_rate 25% max --damos_quota_interval 1s "
        "--damos_quota_space 16M --damos_quota_goal node_mem_used_bp 60% 1"
    )
    words = ["tune", "--end", "residual_mib_s < 0.5", "--machine", "dram=64M,cxl=64M", "--duration", "5 s", "--seeds", "1"]
    assert cli.main([*words, "--budget", "0", "-o", str(tmp_path), "--json", "--", *line.split()]) == 0
    assert json.loads(capsys.readouterr().out)["met"]
    assert "damo start" in (tmp_path / "tuned.damo").read_text(encoding="utf-8")
