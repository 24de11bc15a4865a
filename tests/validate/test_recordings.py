"""Recorded runs beside the model: what is measured, what of the machine is modelled, and what is said about it."""

import io
import itertools
import math
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.interop.recording.memcgs_of import memcgs_of, segments_of
from tieringmodel.interop.recording.read import Recording, read_recording
from tieringmodel.interop.recording.tables import Table
from tieringmodel.interop.recording.timing import last_samples_us, recorded_groups, turns_of
from tieringmodel.kernels import numa
from tieringmodel.scenario import Group
from tieringmodel.simulation.engine import Engine
from tieringmodel.validate.recorded.bands import Pair
from tieringmodel.validate.recorded.recorded_causes import DAMON_FIXED, cause, variants
from tieringmodel.validate.recorded.recorded_kinds import check_stride, kinds_of, lacks
from tieringmodel.validate.recorded.recorded_measures import (
    MEASURES,
    Trace,
    Truth,
    cycle,
    intervals,
    measure,
    recorded_trace,
    still_trace,
)
from tieringmodel.validate.recorded.recorded_model import Mechanisms, Sleeps, free_pages_on_lists, model_trace, setup
from tieringmodel.validate.recorded.recorded_runs import Job, Runner
from tieringmodel.validate.recorded.recordings import cases, compare_runs, line, run_case, runs_below, summary

C2, C3, C8, D1, B4 = (
    "C2_tier_consist",
    "C3_pullpush_temporal",
    "C8_pullpush_temporal_q2M",
    "D1_dests_3_2_noquota",
    "B4_intervals_autotune",
)


def recorded(name: str) -> Recording:
    return read_recording(tm.data_path("recordings", name))


def trace(share: np.ndarray, moved: np.ndarray | None = None, step_s: float = 1.0) -> Trace:
    n = share.size
    return Trace(step_s * np.arange(n), share, np.zeros(n) if moved is None else moved, np.zeros(0), np.zeros((0, 4)), True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (C2, D1):
        shutil.copytree(tm.data_path("recordings", name), tmp_path / name)
    return tmp_path


# ---- measures ----------------------------------------------------------------------------------------------------


def test_a_sine_has_its_period_and_amplitude() -> None:
    period, amplitude = cycle(trace(0.5 + 0.1 * np.sin(2 * np.pi * np.arange(200) / 13)))
    assert period == pytest.approx(13, rel=0.02)  # crossings are seen once a second, over 14 cycles
    assert amplitude == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("share", [np.full(50, 0.4), np.linspace(0, 1, 50), np.sin(np.arange(50) / 5), np.full(9, np.nan)])
def test_what_does_not_swing_has_no_cycle(share: np.ndarray) -> None:
    assert all(math.isnan(value) for value in cycle(trace(share)))


def test_measures_of_a_step() -> None:
    share = np.r_[np.zeros(10), np.ones(10)]
    moved = np.zeros(20)
    moved[10] = 512  # 2 MiB in 19 s
    got = measure(trace(share, moved))
    assert got["first move"] == 10
    assert got["migrated"] == pytest.approx(2 / 19)
    assert (got["hot share mean"], got["hot share sd"], got["hot share min"], got["hot share max"]) == (1, 0, 1, 1)
    assert math.isnan(got["cycle period"])
    assert math.isnan(got["sampling interval"])
    assert measure(trace(share))["first move"] == math.inf
    assert all(math.isnan(v) for v in measure(replace(trace(share), moves=False)).values())


def test_all_rows_in_order_are_the_trace_itself() -> None:
    one = recorded_trace(recorded(C8))
    same = one.resampled(np.arange(one.time_s.size))
    assert same.time_s == pytest.approx(one.time_s, abs=1e-9)
    assert measure(same) == pytest.approx(measure(one), nan_ok=True)


def test_every_measure_of_a_recording_has_an_interval() -> None:
    one = recorded_trace(recorded(B4))
    had = {name for name, value in measure(one).items() if math.isfinite(value) and name in {m.name for m in MEASURES}}
    bounds = intervals(one, resamples=50)
    assert set(bounds) == had == {"hot bytes found true", "true hot bytes found", "regions", "hot found", "sampling interval"}
    assert all(low <= high for low, high in bounds.values())


def test_snapshots_are_judged_by_where_the_hot_segments_are() -> None:
    recording = recorded(B4)
    layout = recording.layout
    assert layout is not None
    truth, names = Truth(recording), list(layout["segment"])
    hot, late = names.index("hot"), names.index("late")
    bounds = [(int(layout["va_start"][i]), int(layout["va_end"][i])) for i in (hot, late)]
    start, end = (np.array(values, np.uint64) for values in zip(*bounds, strict=True))
    mib = [(b - a) / 2**20 for a, b in bounds]
    nr = np.array([20, 9], np.uint64)  # the second is below half of the first
    assert truth.judge(0, start, end, nr) == (1, 1, 2, mib[0])
    assert truth.judge(60_000, start, end, nr) == (1, mib[0] / sum(mib), 2, mib[0])
    assert truth.judge(0, start, end, nr[::-1]) == (0, 0, 2, mib[1])
    wide = np.array([bounds[0][0] - 2**20], np.uint64), np.array([bounds[0][1] + 2**20], np.uint64)
    assert truth.judge(0, *wide, nr[:1]) == (mib[0] / (mib[0] + 2), 1, 1, mib[0] + 2)
    none = truth.judge(0, start, end, np.zeros(2, np.uint64))
    assert math.isnan(none[0])
    assert none[1:] == (0, 2, 0)


def test_nothing_moves_keeps_the_first_row_and_follows_the_phases() -> None:
    recording = recorded(C2)
    one, still = recorded_trace(recording), still_trace(recording)
    assert np.array_equal(one.share, still.share)  # nothing did move, but what is hot changed
    assert set(np.unique(still.share)) == {0.0, 1.0}
    assert not still.moved.any()


# ---- what of the machine is modelled -----------------------------------------------------------------------------


def test_missed_ticks_are_missed() -> None:
    recording = recorded("C10_tier_consist_farstart")
    record = recording.record
    assert record is not None
    configured = [g for g in recording.to_scenario().workload.groups if g.name == "hot"]
    groups = list(recorded_groups(recording.record, configured, 20.0))
    edges = np.rint(np.asarray(record["t_ms"], float) / 20).astype(int)
    touched = np.zeros(edges[-1] + 1, bool)
    for g in groups:
        ticks = np.arange(g.start_tick, min(g.end_tick, touched.size))
        assert not touched[ticks].any()
        touched[ticks[ticks % g.period == 0]] = True
    pages = configured[0].hi - configured[0].lo
    wanted = np.diff(np.asarray(record["hot_touches"], float)) / pages
    got = np.add.reduceat(touched, edges[:-1])
    phase = (record["t_ms"][1:] < 110_000) & (np.diff(edges) > 0)
    # Two periods, each beginning anywhere in its cycle: one touch more or less for either, and a row's edge.
    assert np.abs(got - np.minimum(wanted, np.diff(edges)))[phase].max() <= 3
    assert got[phase].sum() == pytest.approx(wanted[phase].sum(), rel=0.02)


def test_a_tick_takes_what_lies_between_two_less_half_of_one() -> None:
    """Of 30 ticks of 10 ms 20 were taken: one took 10 ms; 300 pages in each, 200 at random: turns of 5, 2.5 and 2.5 ms."""
    record = Table(Path("record.csv"), {"ticks": np.array([5, 25]), "missed_ticks": np.array([0, 10])})
    groups = (
        Group(0, 150, "period", name="first"),
        Group(150, 300, "period", period=2, name="every other tick"),
        Group(300, 1050, rate_hz=10, name="random"),
    )
    turns = turns_of(record, groups, 10.0)
    assert turns is not None
    assert turns.of_segment == {("first", 0): (0, 5), ("every other tick", 0): (5, 2.5), ("random", 0): (7.5, 2.5)}
    first, other, random = (turns.at(g.in_parts(10)) for g in groups)
    assert (first.period, first.phase, first.sweep_ticks) == (10, 0, 5)
    assert (other.period, other.phase, other.sweep_ticks) == (20, 15, 2)
    assert random.sweep_ticks == 0
    assert turns_of(record, groups[2:], 10.0) is None


def test_samples_last_as_long_as_in_the_aggregation_before_in_which_nothing_was_done() -> None:
    """Of six aggregations scheme 0 acts in the second and the last two, scheme 1 in none that lasts longer than usual."""
    ends = [100_000, 350_000, 470_000, 600_000, 680_000, 990_000]
    columns = {
        "t_ms": np.array([90.0, 340.0, 465.0, 590.0, 679.0, 989.0, 345.0]),
        "scheme": np.array([0, 0, 0, 0, 0, 0, 1]),
        "sz_applied": np.array([0, 8, 8, 8, 12, 16, 4], np.uint64),
    }
    applies = Table(Path("applies.csv"), columns)
    assert last_samples_us(ends, applies, [0]) == (100_000, 200_000, 470_000, 600_000, 680_000, 810_000)
    assert last_samples_us(ends, applies, [1]) == (100_000, 200_000, 470_000, 600_000, 680_000, 990_000)
    assert last_samples_us(ends, applies, []) == last_samples_us(ends, None, [0]) == ()
    always = Table(Path("applies.csv"), columns | {"sz_applied": np.array([1, 2, 3, 4, 5, 6, 0], np.uint64)})
    assert last_samples_us(ends, always, [0]) == (), "no aggregation says how long samples last"


def test_a_recorded_pass_comes_behind_the_samples() -> None:
    """E3: where 7 MiB and more migrate an aggregation lasts 301 ms in the median, elsewhere 145: samples last 146 in both."""
    context = recorded("E3_pullpush_temporal_defaults").to_scenario().contexts[0]
    ends, sampled = np.array((0, *context.aggr_times_us)), np.array(context.aggr_sampled_us)
    lasts, samples = np.diff(ends), sampled - ends[:-1]
    acted = samples < lasts
    assert 60 < acted.sum() < 75
    assert np.median(lasts[acted]) > 1.8 * np.median(lasts[~acted])
    assert np.median(samples[acted]) == pytest.approx(np.median(samples[~acted]), rel=0.05)


def test_only_who_looks_more_often_than_the_workload_ticks_sees_turns() -> None:
    for name, parts in (("E3_pullpush_temporal_defaults", 10), ("C3_pullpush_temporal", 1)):
        recording = recorded(name)
        scenario = recording.to_scenario()
        assert scenario.workload.tick_us == recording.info["tick_ms"] * 1000 / parts
        assert (scenario.workload.groups[0].sweep_ticks > 0) == (parts > 1)
    assert recorded("E3_pullpush_temporal_defaults").to_scenario(turns=False).workload.groups[0].sweep_ticks == 0


def test_free_pages_on_lists_show_as_memfree_grows() -> None:
    record = recorded("C10_tier_consist_farstart").record
    assert record is not None
    before_moves = (int(record["n0_free_kb"][21]) - int(record["n0_free_kb"][0])) // 4
    held = free_pages_on_lists(recorded("C10_tier_consist_farstart"))
    assert before_moves < held[0] < 2 * before_moves


def test_short_and_long_sleeps_have_their_own_excess() -> None:
    sleeps = Sleeps.of(recorded(B4))
    assert sleeps is not None
    short, long = (np.median(part) for part in sleeps.longer_ns)
    assert 0 < short < 4e6 < long  # a timer is late by less than a jiffy of 4 ms, schedule_timeout() by more
    assert sleeps.longer(5_000, 0) == sleeps.longer_ns[0][0]
    assert sleeps.longer(30_000, 10**18) == sleeps.longer_ns[1][-1]


def test_a_tuned_run_sleeps_as_long_as_the_recorded_one() -> None:
    """Four seeds lie within 2.5 % of the recorded mean interval; sleeping as long as told is 19 % off."""
    recording = recorded(B4)
    kept, told = (model_trace(setup(recording, m), 1) for m in (Mechanisms(), Mechanisms(recorded_intervals=False)))
    wanted = recorded_trace(recording).sample_us.mean()
    assert kept.sample_us.mean() == pytest.approx(wanted, rel=0.05)
    assert told.sample_us.mean() != pytest.approx(wanted, rel=0.05)


def test_weights_change_when_they_did() -> None:
    scenario = setup(recorded(D1)).scenario
    assert [d.weight for d in scenario.contexts[0].schemes[0].dests] == [3, 2]
    ((at_us, later),) = scenario.stages()
    assert at_us == pytest.approx(60_292_977, abs=1_000)
    assert [d.weight for d in later.contexts[0].schemes[0].dests] == [1, 1]


def test_weighted_destinations_are_those_recorded() -> None:
    recording = recorded(D1)
    one, model = recorded_trace(recording), model_trace(setup(recording), 1)
    # One of 28672 hot pages was somewhere else in the recording.
    assert model.share == pytest.approx(one.share, abs=1.5 / 28672)
    assert np.array_equal(model.moved > 0, one.moved > 0)


def test_mechanisms_can_be_switched_off() -> None:
    recording = recorded("C1_tier_temporal")
    whole = setup(recording)
    assert whole.scenario.machine.percpu_lists == 2
    assert whole.scenario.machine.nodes[0].percpu_pages > 0
    bare = setup(recording, Mechanisms(recorded_intervals=False, recorded_rates=False, page_lists=False))
    assert bare.scenario.machine.percpu_lists == 0
    assert bare.scenario == recording.to_scenario(recorded_intervals=False)


# ---- the comparison ----------------------------------------------------------------------------------------------


def test_runs_and_their_pairs(folder: Path) -> None:
    one, two = compare_runs(folder, seeds=4, workers=1, causes=False)
    assert (one.name, two.name) == (C2, D1)
    assert [p.measure for p in one.pairs] == [
        "hot share mean", "hot share sd", "hot share min", "hot share max", "migrated"
    ]  # fmt: skip
    assert all(p.inside and p.width == 0 and p.crps == 0 for p in one.pairs)
    stretches = [", 0 s to 60 s", ", 60 s to the end"]
    assert {p.measure for p in two.pairs if p.inside} >= {
        f"hot share {m}{s}" for m in ("mean", "sd", "min", "max") for s in stretches
    }
    assert [p.recorded for p in two.pairs if p.measure.startswith("hot share min")] == pytest.approx([0.6, 0.5], abs=1e-4)
    assert [p.measure for p in two.pairs if p.measure.startswith("first move")] == ["first move, 0 s to 60 s"]
    said = summary([*one.pairs, *two.pairs])
    assert said.ok
    assert "of that of 'nothing moves'" in said.detail


def test_results_do_not_depend_on_the_processes() -> None:
    job = Job(tm.data_path("recordings", C8), Mechanisms(), 5)
    ticks: dict[int, list[tuple[int, int]]] = {1: [], 2: []}
    with Runner(2, lambda *tick: ticks[2].append(tick)) as two:
        elsewhere = two.start(job)()
    here = Runner(1, lambda *tick: ticks[1].append(tick)).start(job)()
    assert ticks[1] == [(4, 5), (5, 5)], "as batches of four are done"
    assert ticks[2] == sorted(ticks[2])
    assert ticks[2][-1] == (5, 5)
    assert list(here) == list(elsewhere)
    for name, values in here.items():
        assert np.array_equal(values, elsewhere[name], equal_nan=True)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_told_how_far_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen, seconds = Screen(), itertools.count(step=5)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("tieringmodel.progress.time.monotonic", lambda: float(next(seconds)))
    for _ in compare_runs(folder, seeds=2, workers=1, causes=False):
        assert screen.getvalue().endswith("\r\x1b[K"), "nothing stands where the case will be printed"
    shown = [line.split(": ") for line in screen.getvalue().split("\r") if ": " in line]
    assert [name for name, _ in shown] == [*[f"{C2}, 1 of 2"] * 2, *[f"{D1}, 2 of 2"] * 2]
    assert [text.split()[1] for _, text in shown] == ["2/8", "4/8", "6/8", "8/8"]
    assert shown[-1][1].split()[4:7] == ["seeds/s", "0", "s"]


def test_a_broken_run_is_named_and_the_others_are_compared(folder: Path) -> None:
    record = folder / C2 / "record.csv"
    record.write_text(record.read_text().replace("hot_touches", "hot_touched"))
    bad, good, verdict = cases(folder, seeds=2, workers=1, causes=False)
    assert (bad.ok, bad.name) == (False, f"{C2}/bands")
    assert "record.csv:1" in bad.detail
    assert good.name == f"{D1}/bands"
    assert verdict.name == "bands"
    assert verdict.detail.endswith("bands of 2 seeds are narrow: between their extremes lie 1 of 3 further values")
    assert verdict.checked == good.checked == 11


def test_folders_without_runs_have_no_bands(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert runs_below(tmp_path) == []
    assert list(cases(tmp_path)) == []
    assert list(cases(tm.data_path("recordings", C2), seeds=0)) == []
    assert runs_below(tm.data_path("recordings", C2)) == [tm.data_path("recordings", C2)]


def test_causes() -> None:
    names = set(variants(recorded("C1_tier_temporal")))
    assert {"nominal intervals", "MemFree without lag", DAMON_FIXED} <= names
    assert "MemFree without lag" not in variants(recorded(C8))
    assert "sleeps as long as told" in variants(recorded(B4))
    off = Pair("run", "m", "1", 1.0, 0.9, 1.1, 0.5, 0.6, crps=0.45)
    tried = {"a": {"m": np.full(4, 0.7)}, "b": {"m": np.array([0.9, 1.1, 0.9, 1.1])}, DAMON_FIXED: {"m": np.ones(4)}}
    model = {"m": np.array([0.5, 0.6, 0.5, 1.0])}
    assert cause(off, {"m": 1.0}, model, tried) == "1 of 4 seeds lie above; with 'b' the band is 0.9 … 1.1, which holds it"
    wide = Pair("run", "m", "1", 1.0, 1.0, 1.0, 0.0, 2.0, crps=0.1)
    said = cause(wide, {"m": 1.0}, model, tried)
    assert said == f"band too wide, 0 with '{DAMON_FIXED}', 0 with 'a'"
    assert line(replace(off, cause=said)).startswith("OUTSIDE m 1 (0.9 … 1.1), band 0.5 … 0.6, width 0.1 of 0.6: band")


def test_on_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(folder / D1)
    assert cli.main(["validate", "--recordings", str(folder), "--seeds", "2"]) == 0
    exact, run, verdict, total = capsys.readouterr().out.splitlines()
    assert exact.startswith(f"ok   recording {C2}/resets.csv: 1008 values")
    assert run.startswith(f"ok   recording {C2}/bands: 5 values; 5 of 5 measures inside the model's band (of a run that")
    assert "that the model made itself: 5.0); hot share mean 0.8 (" in run
    assert verdict.startswith("ok   recording bands: 5 values; 5 of 5 pairs inside, 100 % (of a run that the model ")
    assert "itself: 5.0); CRPS is 1.000 of " in verdict
    assert total == "3 cases, 1018 values, 0 failed"
    assert cli.main(["validate", "--recordings", str(folder), "--seeds", "0"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_the_figure() -> None:
    from matplotlib.figure import Figure

    from tieringmodel.plot.bands import bands_sheet, recorded_bands

    good = Pair("one", "m", "s", 1.0, 0.9, 1.1, 0.95, 1.05, crps=0.0)
    wide = Pair("two", "m", "1", 0.0, 0.0, 0.0, 0.0, 1.0, crps=0.0)
    figure, axes = bands_sheet([good, wide]).figure()
    assert isinstance(figure, Figure)
    ax = recorded_bands([good, wide], ax=axes[0])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["one", "m", "two", "m"]
    assert "1 of 2" in ax.get_title(loc="left")
    with pytest.raises(tm.InputError, match="empty"):
        recorded_bands([])


# ---- other kinds of runs -----------------------------------------------------------------------------------------

F1, G1, H2, J2, K1 = (
    "F1_thp_mixed_pullpush", "G1_numab_tiering_alone", "H2_vaddr_weights_vs_paddr_goal_stride31", "J2_pageout_freebp_disk",
    "K1_online_commit",
)  # fmt: skip


def test_kinds_of_runs() -> None:
    """The README's table of measures: which kind each recording is."""
    wanted = {
        C2: {"share"}, D1: {"share"}, K1: {"share"}, F1: {"share", "segments"}, H2: {"share", "segments"},
        G1: {"others", "segments"}, J2: {"pageout"}, "B2_paddr": set(),
    }  # fmt: skip
    assert {name: set(kinds_of(recorded(name))) for name in wanted} == wanted


def test_measures_of_segments_are_means_of_the_last_third() -> None:
    one = recorded_trace(recorded(F1))
    got, bounds = measure(one), intervals(one, resamples=50)
    # From the columns of record.csv: rows from 2/3 of the recorded time on.
    last = one.time_s >= one.time_s[0] + (one.time_s[-1] - one.time_s[0]) * 2 / 3
    assert got["share on node 0: warm_thp"] == pytest.approx(one.series["share on node 0: warm_thp"][last].mean())
    assert 0.59 < got["share on node 0: warm_thp"] < 0.69
    assert got["share on node 0: warm_4k"] == 0
    low, high = bounds["share on node 0: warm_thp"]
    assert low < got["share on node 0: warm_thp"] < high


def test_measures_of_memory_that_others_move_are_values_at_quarters() -> None:
    one = recorded_trace(recorded(G1))
    got, bounds = measure(one), intervals(one, resamples=50)
    assert [got[f"on node 0: hot at {at} %"] for at in (25, 50, 75, 100)] == [64] * 4
    assert got["on node 0: warm at 100 %"] == 6432 * 4096 / 2**20
    assert got["promoted by others"] == (22594 - 4812) * 4096 / 2**20
    assert got["demoted by others"] == 2009 * 4096 / 2**20
    assert bounds["promoted by others"] == (got["promoted by others"],) * 2
    assert math.isnan(got["hot share mean"])
    assert lacks(recorded(G1)) == ()


def test_measures_of_pageout() -> None:
    got = measure(recorded_trace(recorded(J2)))
    assert got["reclaimed at 100 %"] == 110956544 / 2**20
    assert got["free on node 0 at 100 %"] == 899720 / 1024
    assert got["not mapped"] == (19040 + 123744) * 4096 / 2**20
    assert got["longest silence"] == pytest.approx(103.8, abs=0.05)
    assert lacks(recorded(J2)) == ()


def test_the_model_is_not_told_how_long_pageout_takes() -> None:
    """J2: an aggregation of 104 s becomes as many usual ones; all others stay."""
    (context,) = setup(recorded(J2)).scenario.contexts
    told = np.diff(recorded(J2).aggregation_times_us)
    given = np.diff(context.aggr_times_us)
    assert told.max() > 100e6
    assert given.max() < 10 * np.median(told) + 2
    assert context.aggr_times_us[-1] == recorded(J2).aggregation_times_us[-1]


def test_stretches_between_commits_have_measures_of_their_own() -> None:
    one = recorded_trace(recorded(K1))
    assert one.stretches_s == ((0, 40.193), (40.193, 80.174), (80.174, math.inf))
    got = measure(one)
    means = [got[f"hot share mean, {part}"] for part in ("0 s to 40 s", "40 s to 80 s", "80 s to the end")]
    assert means == pytest.approx([0.5965, 0.3526, 0.0283], abs=1e-4)
    rows = (one.time_s >= 60.2) & (one.time_s < 80.174)
    assert means[1] == pytest.approx(one.share[rows].mean(), abs=0.01)
    assert got["first move, 40 s to 80 s"] == pytest.approx(2.908, abs=1e-3), "counted from the stretch's start"


def test_strides_that_weights_deal_by_are_refused() -> None:
    """H2 was recorded with stride 31: with 32 only pages are asked that weights 1:1 send to node 0."""
    recording = recorded(H2)
    check_stride(recording)
    even = replace(recording, info=dict(recording.info or {}) | {"stride": 32})
    said = (
        "stride 32 asks for one in 2 of the pages that weights deal by offset modulo 2, always the same; record with stride 31"
    )
    with pytest.raises(tm.InputError, match=said):
        setup(even)
    threes = replace(recorded(D1), info=dict(recorded(D1).info or {}) | {"stride": 10})
    with pytest.raises(tm.InputError, match="modulo 5, always the same; record with stride 9"):
        check_stride(threes)


def test_both_contexts_of_a_run_keep_their_recorded_times() -> None:
    contexts = setup(recorded(H2)).scenario.contexts
    assert [len(c.aggr_times_us) for c in contexts] == [689, 472]


def test_what_the_model_lacks_is_said_in_the_runs_line(capsys: pytest.CaptureFixture[str]) -> None:
    normal = replace(recorded(G1), info=dict(recorded(G1).info or {}) | {"numa_balancing": 1})
    of_run = run_case("run", [], lacks(normal))
    assert of_run.detail.startswith("the model has no NUMA balancing in mode 1; 0 of 0 measures")


def test_numa_balancing_and_kswapd_of_a_recording_are_modelled() -> None:
    """G1: hot memory goes to node 0 in passes, and kswapd's watermarks are those of its zoneinfo.txt."""
    recording = recorded(G1)
    model = setup(recording)
    balancing = model.scenario.machine.numa_balancing
    assert balancing is not None
    assert (balancing.mode, balancing.demotion_enabled) == ("memory_tiering", True)
    marks = {(z.nid, z.name): (z.min, z.low, z.high, z.promo, z.protection_pages) for z in balancing.zones}
    assert marks[0, "DMA"] == (6, 9, 12, 15, 1892)
    assert marks[0, "DMA32"] == (781, 1263, 1745, 2227, 0)
    engine = Engine(model.scenario, 1)
    engine.run(14_000_000)
    assert engine.balancer is not None
    assert int(engine.balancer.arrays.count[numa.PTE_UPDATES]) == 60724, "as recorded: hot and warm pages on node 1"
    assert recording.to_scenario(balancing=False).machine.numa_balancing is None


def test_what_the_model_lacks_is_the_cause_of_pairs_outside(tmp_path: Path) -> None:
    shutil.copytree(tm.data_path("recordings", G1), tmp_path / G1)
    info = tmp_path / G1 / "info.txt"
    info.chmod(0o644)
    info.write_text(info.read_text(encoding="utf-8").replace("numa_balancing 2", "numa_balancing 1"), encoding="utf-8")
    (run,) = compare_runs(tmp_path, seeds=2, workers=1)
    assert (run.error, run.beside) == ("", True)
    outside = {p.measure: p.cause for p in run.pairs if not p.inside}
    assert outside["share on node 0: warm"] == "the model has no NUMA balancing in mode 1"
    assert {p.measure for p in run.pairs if p.inside} >= {f"on node 0: cold0 at {at} %" for at in (25, 50, 75, 100)}


def test_experiments_with_orders_of_single_frames_need_single_frames() -> None:
    assert "lowest free frame first" in variants(recorded("F2_thp_off_pullpush"))
    assert "last freed frame reused first" not in variants(recorded(F1))


def test_quick_is_eight_seeds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(folder / D1)
    assert cli.main(["validate", "--recordings", str(folder), "--quick"]) == 0
    assert "bands of 8 seeds are narrow" in capsys.readouterr().out
    assert cli.main(["validate", "--recordings", str(folder), "--quick", "--seeds", "3"]) == 2
    assert "--quick: is --seeds 8, and --seeds 3 is given, too; leave one out" in capsys.readouterr().err


@pytest.mark.parametrize(("seeds", "nominal", "experiment"), [(8, 8, 4), (64, 16, 16), (3, 3, 2)])
def test_runs_are_begun_two_ahead_and_few_seeds_leave_half_to_experiments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeds: int, nominal: int, experiment: int
) -> None:
    asked: list[tuple[str, int]] = []

    class Nobody(Runner):
        def start(self, job: Job) -> Any:
            asked.append((job.path.name, job.seeds))
            values = measure(recorded_trace(read_recording(job.path)))
            return lambda: {name: np.full(job.seeds, value + 9) for name, value in values.items()}  # outside, all of them

    for name in "abcd":
        shutil.copytree(tm.data_path("recordings", C2), tmp_path / name)
    of = "tieringmodel.validate.recorded.recordings"
    monkeypatch.setattr(f"{of}.Runner", Nobody)
    monkeypatch.setattr(f"{of}.intervals", lambda trace: {name: (value, value) for name, value in measure(trace).items()})
    first, *further = compare_runs(tmp_path, seeds=seeds, workers=1)
    changes = len(variants(recorded(C2)))
    assert not any(p.inside for p in first.pairs)
    assert [run for run, _ in asked] == [*"aabbcc", *["a"] * changes, *"dd", *(run for run in "bcd" for _ in range(changes))]
    assert {n for _, n in asked[:2]} == {seeds, nominal}
    assert {n for _, n in asked[6 : 6 + changes]} == {experiment}
    assert len(further) == 3


# ---- memory cgroups ----------------------------------------------------------------------------------------------


def with_memcg(folder: Path, path: str, extra: bool) -> Path:
    """C3, its first scheme for one memory cgroup only, whose bytes on node 0 ``extra.csv`` tells.

    Its address filter rejects what lies outside, for one that allows would leave nothing to the other filters.
    """
    run = shutil.copytree(tm.data_path("recordings", C3), folder / C3)
    config = run / "damon_config.txt"
    mine = {"nr_filters": 1, "0/type": "memcg", "0/matching": "N", "0/allow": "N", "0/memcg_path": path}
    rejects = {f"./schemes/0/core_filters/0/{name} Y": f"./schemes/0/core_filters/0/{name} N" for name in ("allow", "matching")}
    lines = [rejects.get(line.strip(), line) for line in config.read_text().splitlines() if "schemes/0/ops_filters" not in line]
    config.write_text("\n".join([*lines, *(f"./schemes/0/ops_filters/{name} {value}" for name, value in mine.items())]) + "\n")
    if extra:
        times = read_recording(run).record["t_ms"].tolist()
        rows = [f"{t},{k * 1024},7" for k, t in enumerate(times)]
        (run / "extra.csv").write_text("\n".join(["t_ms,app_hot_n0_anon_kb,app_hot_n1_anon_kb", *rows]) + "\n")
    return run


def test_segments_named_after_a_memory_cgroup_are_in_it(tmp_path: Path) -> None:
    recording = read_recording(with_memcg(tmp_path, "/app.slice/hot", True))
    assert recording.memcg_paths == ("/app.slice/hot",)
    sc = recording.to_scenario()
    hot = sc.workload.groups[0]
    assert sc.workload.memcgs == (tm.Memcg(1, hot.lo, hot.hi),)
    assert sc.contexts[0].schemes[0].filters[-1].memcg_id == 1
    series = recorded_trace(recording).series
    assert series["on node 0: memory cgroup /app.slice/hot"].tolist() == list(range(recording.record.n_rows))
    assert series["tried by scheme 1"][-1] == recording.record["s1_sz_tried"][-1] / (1 << 20)
    modelled = model_trace(setup(recording), 1).series
    assert modelled.keys() == series.keys()
    assert modelled["applied by scheme 0"][-1] > 0  # all that it may take is hot


def test_a_memory_cgroup_without_a_segment_is_said(tmp_path: Path) -> None:
    recording = read_recording(with_memcg(tmp_path, "/batch", False))
    assert recording.to_scenario().workload.memcgs == ()
    assert any("no segment of layout.csv is named after memory cgroup /batch" in note for note in recording.notes)
    modelled = model_trace(setup(recording), 1).series
    assert modelled["applied by scheme 0"][-1] == 0


def test_words_tell_which_memory_cgroup_a_segment_is_in() -> None:
    layout = Table(
        Path("layout.csv"), {"segment": np.array(["a_hot", "ab", "hot_a_b", "cold"]), "pages": np.array([4, 4, 4, 4])}
    )
    paths = ("/user/a", "/user/a/a-b", "/user")
    assert segments_of(layout, paths) == [1, 0, 2, 0]
    assert memcgs_of(layout, paths) == (tm.Memcg(1, 0, 4, 3), tm.Memcg(2, 8, 12, 1))
