"""Schemes, goals, filters and targets that come and go while a run goes on: what is recorded, and what a checkpoint keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from changing import changing, contexts
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel.datasets.schema import OF_COMMITS
from tieringmodel.scenario.numbering import START, numbered
from tieringmodel.simulation import checkpoint
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.recorder import Recorder
from tieringmodel.simulation.running import Running
from tieringmodel.simulation.simulate import scheme_actions

END = 2.6


@pytest.fixture(scope="module")
def ds() -> xr.Dataset:
    return tm.simulate(changing(), duration=END, seed=1, progress=False)


def test_who_fills_a_position_anew_is_another_one() -> None:
    found = numbered(changing())
    assert found.at_us == (903_000, 953_000, 1_300_000, 1_600_000, 1_900_000)
    assert found.scheme_numbers[0] == ((0, 1), (4,))
    assert [found.schemes_of(0, stage) for stage in range(START, 5)] == [(0, 1), (0,), (0,), *[(0, 2, 3)] * 3]
    assert found.schemes == ((0, 0, 0), (0, 1, 0), (0, 1, 1), (0, 2, 0), (1, 0, 0))
    # Goals by scheme: of 0 first one, then two, then one; of 1 and of 2, which fill the same position, one each.
    assert [found.goals_of(0, stage) for stage in range(START, 5)] == [
        ((0,), (2,)), ((0, 1),), ((0, 1),), ((0, 1), (3,), ()), ((0, 1), (3,), ()), ((0,), (3,), ())
    ]  # fmt: skip
    assert found.goals == ((0, 0, 0), (0, 1, 0), (1, 0, 0), (2, 0, 0))
    assert [found.stage_at(us) for us in (0, 902_999, 903_000, 10**9)] == [START, START, 0, 4]
    assert [goal.metric for _, goal in found.goal_over_time(1)] == ["node_mem_used_bp"] * 2 + ["node_mem_free_bp"] * 2
    assert found.last_goal(0, 3).target_value == 5000, "the event at 1.6 s"
    assert found.last_scheme(1) == push(), "it was there at the start only"
    assert found.last_scheme(3, START).action == "stat", "it is yet to come"


def test_an_event_may_append_and_take_away_too() -> None:
    goals = "contexts.0.schemes.0.quota.goals"
    more = tm.Event("1 s", f"{goals}.1", {"metric": "node_mem_used_bp", "target_value": 5000})
    none = tm.Event("2 s", goals, [])
    found = numbered(scenario(pull()).replace(events=(more, none)))
    assert found.goal_numbers == ((((0,),),), (((0, 1),),), (((),),))
    assert found.changes
    assert not numbered(scenario(pull(), push())).changes


def test_columns_run_over_all_that_ever_were(ds: xr.Dataset) -> None:
    assert ds["scheme"].values.tolist() == [0, 1, 2, 3, 4]
    assert ds["scheme_context"].values.tolist() == [0, 0, 0, 0, 1]
    assert ds["scheme_action"].values.tolist() == ["migrate_hot"] * 3 + ["stat"] * 2
    assert ds["goal_scheme"].values.tolist() == [0, 0, 1, 2]
    time = ds["time"].values

    def between(low_s: float, high_s: float) -> list[bool]:
        return ((time >= low_s) & (time < high_s)).tolist()

    wanted = [(0, END), (0, 0.905), (1.3, END), (1.3, END), (0, END)]
    assert ds["active"].values.T.tolist() == [between(*times) for times in wanted]
    wanted = [(0, END), (0.905, 1.9), (0, 0.905), (1.3, END)]
    assert ds["goal_active"].values.T.tolist() == [between(*times) for times in wanted]
    metric = ds["goal_metric"]
    assert metric.dims == ("time", "goal")
    assert metric.values[[0, -1], 1].tolist() == ["node_mem_used_bp", "node_mem_free_bp"]
    assert set(metric.values[:, 0]) == {"node_eligible_mem_bp"}


def test_who_is_gone_keeps_its_last_values_and_who_is_yet_to_come_has_none(ds: xr.Dataset) -> None:
    counters = ("nr_tried", "sz_tried", "sz_applied", "nr_snapshots", "resets", "nr_due", "sz_matched", "held_windows")
    there = ds["active"].values
    for name in (*counters, "esz_bytes", "score"):
        values = ds[name].values.astype(np.int64)
        for k in range(5):
            known = np.flatnonzero(there[:, k])
            assert not values[: known[0], k].any()
            assert (values[known[-1] :, k] == values[known[-1], k]).all()
        if name in counters:
            assert (np.diff(values, axis=0) >= 0).all()
    tried = ds["nr_tried"].values[-1]
    assert (tried > 0).all()
    # What comes to a position that was left begins from nothing.
    first = int(there[:, 2].argmax())
    assert ds["resets"].values[first, 2] <= 1 < ds["resets"].values[first, 1]


def test_a_scheme_that_stays_keeps_what_it_has_learnt(ds: xr.Dataset) -> None:
    """Its position is never left, whatever comes beside it: its column is the one that a run of it alone continues."""
    applied, there = ds["sz_applied"].values[:, 0], ds["active"].values[:, 0]
    assert there.all()
    assert applied[-1] > applied[ds["active"].values[:, 1]][-1] > 0


def test_filters_are_those_of_the_contexts_at_the_end() -> None:
    ds = tm.simulate(changing(), duration=1.8, seed=1, progress=False)
    assert ds["filter_type"].values.tolist() == ["addr", "young"]
    assert ds["filter_scheme"].values.tolist() == [0, 0]


def test_runs_in_which_nothing_comes_or_goes_say_nothing_of_it() -> None:
    sc = scenario(pull(), push())
    same = tm.Commit("0.3 s", 0, sc.contexts[0].replace(schemes=(pull(5000), push(5000))))
    for one in (sc, sc.replace(commits=(same,))):
        ds = tm.simulate(one, duration=0.6, seed=1, progress=False)
        assert not set(OF_COMMITS) & set(ds.data_vars)
        assert ds["goal_metric"].dims == ("goal",)


def test_schemes_may_come_to_a_context_that_had_none_and_all_may_go() -> None:
    (_, full), *_ = contexts()
    empty = full.replace(schemes=())
    sc = scenario(contexts=[empty]).replace(commits=(tm.Commit("0.3 s", 0, full), tm.Commit("0.6 s", 0, empty)))
    ds = tm.simulate(sc, duration=1, seed=1, progress=False)
    there = ds["active"].values
    assert not there[0].any()
    assert not there[-1].any()
    assert there.any(axis=0).all()
    assert ds["nr_tried"].values[-1].tolist() == ds["nr_tried"].values[there[:, 0]][-1].tolist()


def test_a_run_that_ends_before_a_commit_knows_of_it_and_it_never_is_there() -> None:
    ds = tm.simulate(changing(), duration=0.6, seed=1, progress=False)
    assert ds["active"].values.any(axis=0).tolist() == [True, True, False, False, True]
    assert not ds["nr_tried"].values[:, 2:4].any()
    assert ds["goal_metric"].values.tolist()[1] == "node_mem_used_bp", "what it will be first"


# ---- checkpoints ------------------------------------------------------------------------------------------------------


def started(sc: tm.Scenario) -> tuple[Engine, Recorder]:
    recorder = Recorder(50, 20)
    engine = recorder.engine = Engine(sc, 9, observer=recorder, actions=scheme_actions, log_moves=100_000)
    recorder.record()
    return engine, recorder


@pytest.fixture(scope="module")
def straight() -> xr.Dataset:
    engine, recorder = started(changing())
    engine.run(round(END * 1e6))
    return recorder.dataset()


def resumed(engine: Engine, recorder: Recorder, path: Path) -> tuple[Engine, Recorder]:
    checkpoint.save(path, engine, recorder)
    again = Recorder(50, 20)
    return checkpoint.load(path, again, observer=again, actions=scheme_actions, log_moves=100_000), again


def pending(engine: Engine) -> list[list[Any]]:
    return [[request.stage for request in k.pending] for k in engine.kdamonds]


@pytest.mark.parametrize(
    ("us", "waiting"),
    [
        (902_999, [[], []]),
        (904_000, [[0], []]),  # the other context's tick at 903 ms has seen it, this one's comes at 905 ms
        (905_000, [[], []]),
        (957_000, [[], [1]]),
        (1_299_000, [[], []]),
        (1_305_000, [[], []]),
        (1_600_000, [[], []]),
        (1_950_000, [[], []]),
    ],
)
def test_stopped_and_resumed_around_commits_is_running_on(
    tmp_path: Path, straight: xr.Dataset, us: int, waiting: list[list[int]]
) -> None:
    engine, recorder = started(changing())
    engine.run_to(us * 1000)
    assert pending(engine) == waiting
    engine, recorder = resumed(engine, recorder, tmp_path / "a.npz")
    assert pending(engine) == waiting
    engine.run_to(round(END * 1e9))
    xr.testing.assert_identical(recorder.dataset(), straight)


def test_stopped_at_every_change_is_running_on(tmp_path: Path, straight: xr.Dataset) -> None:
    engine, recorder = started(changing())
    for us in (600_000, 904_000, 957_000, 1_301_000, 1_599_999, 1_903_000, 2_222_222):
        engine.run_to(us * 1000)
        engine, recorder = resumed(engine, recorder, tmp_path / "a.npz")
    engine.run_to(round(END * 1e9))
    xr.testing.assert_identical(recorder.dataset(), straight)


def test_a_run_that_is_looked_at_is_one_of_that_length() -> None:
    lengths = [600_000, 904_000, 1_500_000, 2_600_000]
    run = Running(changing(), lengths_us=lengths, seed=1)
    for us in lengths:
        xr.testing.assert_identical(run.to(us), tm.simulate(changing(), duration=us * 1e-6, seed=1, progress=False))
    run.close()


def virtual() -> tm.Scenario:
    vmas = tm.Vma(0, 100, 1 << 40), tm.Vma(100, 200, 1 << 41), tm.Vma(200, 300, 1 << 42)
    context = tm.Context("vaddr", targets=(tm.Target(),), schemes=(tm.Scheme("migrate_hot", target_nid=0),))
    return scenario(contexts=(context,), pages=300, groups=[tm.Group(0, 100, rate_hz=100.0)], vmas=vmas)


def test_a_virtual_context_needs_a_target() -> None:
    """Linux ends a kdamond that has none left; before, the pass over no target wrote beyond its arrays."""
    sc = virtual()
    kept = sc.contexts[0]
    with pytest.raises(tm.InputError, match=r"^commits\[0\]\.to\.targets: are none: a kdamond of vaddr stops for good"):
        sc.replace(commits=(tm.Commit(1_000_000, 0, kept.replace(targets=())),))
    with pytest.raises(tm.InputError, match=r"^contexts\[0\]\.targets: are none"):
        sc.replace(contexts=(kept.replace(targets=()),))


def test_what_is_refused_is_named_as_the_commit_writes_it() -> None:
    sc = virtual()
    with pytest.raises(tm.InputError, match=r"^commits\[0\]\.to: contexts\.0\.ops cannot change while running: the same"):
        sc.replace(commits=(tm.Commit(1_000_000, 0, sc.contexts[0].replace(ops="fvaddr")),))
