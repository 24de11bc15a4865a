"""A tick that nobody chose lets DAMON see every sample; one that is chosen stays, and what it hides is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from small import pull, scenario

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.interop.load import open_scenario
from tieringmodel.scenario import tick_over_sample
from tieringmodel.simulation.engine import Engine
from tieringmodel.units import FOREVER
from tieringmodel.workload.access import AccessTable

HOT = {"hot_pages": 100, "hot_rate_hz": 20_000.0}
MASIM = "#regions\na, 4096\nb, 8192\n\n#phases\nmain\n1000\na, 1, 4096, 1\n"


def trace() -> tm.Workload:
    made = tm.read_masim(MASIM)
    return tm.workload.sequence([(made, "1 s"), (made, "2 s")])


MADE: dict[str, Callable[..., tm.Workload]] = {
    "step": lambda **k: tm.workload.step(400, at_us="1 s", **HOT, **k),
    "rotate": lambda **k: tm.workload.rotate(400, places=2, every_us="1 s", duration_us="4 s", **HOT, **k),
    "exchange": lambda **k: tm.workload.exchange(400, bytes_per_s="1 MiB", duration_us="1 s", block_pages=50, **HOT, **k),
    "drift": lambda **k: tm.workload.drift(400, bytes_per_s="1 MiB", duration_us="1 s", block_pages=50, **HOT, **k),
    "streaming": lambda **k: tm.workload.streaming(400, bytes_per_s=4e8, **k),
    "masim": lambda **k: tm.read_masim(MASIM, **k),
    "mix": lambda **k: tm.workload.mix({"a": MADE["step"](**k), "b": tm.workload.uniform(4, rate_hz=1.0)}),
    "sequence": lambda **k: tm.workload.sequence([(MADE["step"](**k), "2 s"), (MADE["rotate"](**k), "9 s")], **k),
}


def watched(workload: tm.Workload, *attrs: tm.Attrs, **more: Any) -> tm.Scenario:
    contexts = tuple(tm.Context(attrs=a) for a in attrs)
    return tm.Scenario(tm.Machine.dram_cxl("32 MiB", "32 MiB"), workload, contexts, **more)


FAST = tm.Attrs(sample_us=1_000)
TUNED = tm.Attrs(sample_us=5_000, intervals_goal=tm.IntervalsGoal(1, 3, 1_000, 10_000_000))


@pytest.mark.parametrize("name", MADE)
def test_a_tick_of_a_family_is_chosen_only_if_it_is_given(name: str) -> None:
    free, chosen = MADE[name](), MADE[name](tick_us=4_000)
    assert (free.tick_us, free.tick_chosen, chosen.tick_us, chosen.tick_chosen) == (5_000, False, 4_000, True)
    event = (tm.Event(10, "contexts.0.attrs.sample_us", 1_000),)
    for made, us in ((free, 1_000), (chosen, 4_000)):
        for sc in (
            watched(made, FAST),
            watched(made, TUNED),
            watched(made, tm.Attrs(), FAST),
            watched(made, tm.Attrs(), events=event),
        ):
            assert (sc.tick_us, Engine(sc).access.tick_us) == (us, us)
            assert (us == 4_000) == bool(tick_over_sample(sc))
            again = tm.Scenario.from_toml(sc.to_toml())
            assert again == sc
            assert again.timed_workload == sc.timed_workload
    assert watched(free, tm.Attrs(sample_us=50_000)).tick_us == 5_000


def test_a_record_s_tick_is_nobody_s(tmp_path: Path) -> None:
    made = MADE["rotate"]()
    ds = tm.simulate(watched(made, tm.Attrs(sample_us=100_000, aggr_us=2_000_000)), duration=6, progress=False)
    path = tm.to_damo_record(ds, tmp_path / "x.data")
    record = open_scenario("rfc-40-60", workload=path).scenario
    assert (record.workload.tick_us, record.workload.tick_chosen) == (100_000, False)
    assert record.tick_us <= min(c.attrs.sample_us for c in record.contexts)
    assert not tick_over_sample(record)


@given(
    st.sampled_from(["rate", "period", "hash"]), st.integers(1, 50), st.integers(0, 60), st.integers(0, 40),
    st.integers(1, 40) | st.just(FOREVER), st.integers(1, 7),
)  # fmt: skip
def test_a_group_in_parts_is_touched_as_often_and_at_the_same_times(
    kind: str, period: int, phase: int, start: int, length: int, parts: int
) -> None:
    group = tm.Group(0, 4, kind, 7.0, period, phase, threshold=2**31, start_tick=start, end_tick=min(start + length, FOREVER))
    cut = group.in_parts(parts)
    assert cut.touch_rate_hz(1000) == pytest.approx(group.touch_rate_hz(1000 * parts), rel=1e-9)
    assert (cut.start_tick, cut.end_tick) == (start * parts, min(group.end_tick * parts, FOREVER))
    in_turn = kind == "period" or (kind == "rate" and period > 1)
    if in_turn:
        ticks = np.arange(300)
        due = ticks[(ticks + phase) % period == 0] * parts
        fine = np.arange(300 * parts)
        assert fine[(fine + cut.phase) % cut.period == 0].tolist() == due.tolist()
    assert group.in_parts(1) == group.replace(phase=phase % period if in_turn else phase)


def test_what_is_never_due_stays_so() -> None:
    far = tm.Group(0, 1, "period", period=2**62, phase=1).in_parts(3)
    assert (far.period, -far.phase % far.period) == (2**62, 2**62 - 1)
    AccessTable(tm.Workload(1, (far,)), 1, 0)


CUTS = (
    (5_000, 1_000, 1_000), (5_000, 3_000, 2_500), (5_000, 7, 5), (9_973, 5, 1), (100_000, 100_000, 100_000),
    (999_999_999_989, 10**9, 1),
)  # fmt: skip


@pytest.mark.parametrize(("counted", "sample", "tick"), CUTS)
def test_a_tick_is_cut_into_equal_parts(counted: int, sample: int, tick: int) -> None:
    made = tm.Workload(10, (tm.Group(0, 5, rate_hz=1.0),), tick_us=counted, tick_chosen=False)
    sc = watched(made, tm.Attrs(sample_us=sample, aggr_us=20 * sample))
    assert sc.tick_us == tick
    assert sc.timed_workload.tick_us == tick


@pytest.mark.parametrize(
    ("attrs", "tick", "seen"),
    [(FAST, 5_000, (20, 100)), (TUNED, 5_000, (4, 20)), (FAST, 1_000, (100, 100)), (FAST, 3_000, (34, 100)),
     (FAST, 10**9, (1, 100)), (tm.Attrs(), 1, (20, 20))],
)  # fmt: skip
def test_how_many_samples_can_find_a_page(attrs: tm.Attrs, tick: int, seen: tuple[int, int]) -> None:
    assert attrs.most_seen(tick) == seen
    ds = tm.simulate(
        watched(tm.Workload(4000, (tm.Group(0, 4000, rate_hz=1e6),), tick_us=tick), attrs), duration=1, progress=False
    ) if tick >= 1_000 and not attrs.intervals_goal.aggrs else None  # fmt: skip
    assert ds is None or int(ds["region_nr_accesses"].max()) in (seen[0], seen[0] - 1)


@pytest.mark.parametrize("goal", [True, False])
def test_run_lint_and_verdict_say_what_is_hidden(goal: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = MADE["rotate"](tick_us=5_000)
    sc = scenario(pull()) if goal else watched(made, FAST)
    sc = sc.replace(workload=made, contexts=tuple(c.replace(attrs=FAST) for c in sc.contexts))
    assert [f.remedy for f in tm.lint(sc) if f.code == "tick-over-sample"] == ["shorten workload.tick_us to 1000"]
    file = tmp_path / "x.toml"
    file.write_text(sc.to_toml())
    assert cli.main(["run", str(file), "--duration", "3", "-o", str(tmp_path)]) == 0
    assert "20 of 100" in capsys.readouterr().out
    if goal:
        assert "20 of 100" in str(tm.analysis.verdict(tm.simulate(sc, duration=3, progress=False)))
    fine = sc.replace(workload=MADE["rotate"]())
    assert not [f for f in tm.lint(fine) if f.code == "tick-over-sample"]


def test_an_event_that_makes_samples_shorter_than_a_chosen_tick_is_told_once() -> None:
    events = tuple(tm.Event(t, "contexts.0.attrs.sample_us", us) for t, us in ((10, 2_500), (20, 1_000), (30, 5_000)))
    found = [
        f for f in tm.lint(watched(MADE["step"](tick_us=5_000), tm.Attrs(), events=events)) if f.code == "tick-over-sample"
    ]
    assert len(found) == 1
    assert "at most 20 of 100 samples" in found[0].message


def test_groups_by_period_keep_their_rate_under_events() -> None:
    group = (tm.Group(0, 100, "period", period=4),)
    plain = watched(tm.Workload(200, group), tm.Attrs())
    finer = plain.replace(events=(tm.Event(1_000_000, "contexts.0.attrs.sample_us", 1_000),))
    assert (plain.tick_us, finer.tick_us) == (5_000, 1_000)
    for sc in (plain, finer, *(now for _, now in finer.stages())):
        assert tm.workload.access_rate_hz(sc) == 5_000.0


def test_actions_are_recorded_by_time_where_events_change_them(tmp_path: Path) -> None:
    sc = scenario(tm.Scheme("stat"), tm.Scheme("migrate_hot", target_nid=1))
    path = "contexts.0.schemes.0.action"
    changed = sc.replace(events=(tm.Event(500_000, path, "lru_prio"), tm.Event(1_000_000, path, "stat")))
    plain, ds = (tm.simulate(s, duration=2, progress=False) for s in (sc, changed))
    assert plain["scheme_action"].dims == ("scheme",)
    assert ds["scheme_action"].dims == ("time", "scheme")
    time = ds["time"].values
    first = np.where((time > 0.51) & (time < 1.0), "lru_prio", "stat")
    clear = (abs(time - 0.5) > 0.11) & (abs(time - 1.0) > 0.11)
    assert ds["scheme_action"].values[clear, 0].tolist() == first[clear].tolist()
    assert set(ds["scheme_action"].values[:, 1]) == {"migrate_hot"}
    from tieringmodel.cost import control_cost
    from tieringmodel.plot.reading import schemes

    assert schemes(ds)[0] == "0: stat, then lru_prio, then stat"
    assert schemes(plain) == ["0: stat", "1: migrate_hot to node 1"]
    assert np.isfinite(control_cost(ds)["cpu_s"].values).all()
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")


@pytest.mark.parametrize("hz", [100, 250, 300, 1000, 1024])
def test_the_control_period_counts_in_jiffies(hz: int) -> None:
    from tieringmodel.linting.scheme_facts import facts_of

    for sample, applied, ms in (
        (2_000, 18_000, 59),
        (2_000, 4_000, 58),
        (3_000, 6_000, 29),
        (1_000, 8_000, 16),
        (5_000, 5_000, 7),
    ):
        goal = tm.Goal("node_mem_used_bp", 9_000, nid=1)
        scheme = tm.Scheme("stat", apply_interval_us=applied, quota=tm.Quota(reset_interval_ms=ms, goals=(goal,)))
        sc = watched(tm.Workload(10), tm.Attrs(sample_us=sample, aggr_us=20 * sample))
        sc = sc.replace(machine=sc.machine.replace(hz=hz), contexts=(sc.contexts[0].replace(schemes=(scheme,)),))
        engine = Engine(sc)
        engine.run(10_000_000)
        expected = 1 + (10_000_000 - applied) / facts_of(sc).schemes[0].window_us
        assert engine.kdamonds[0].quotas[0].resets == pytest.approx(expected, abs=1.5)
