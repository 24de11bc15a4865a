"""The loop between placement and workload, closed while a run goes on."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import HOT, MIB, pull, push, scenario

import tieringmodel as tm
from tieringmodel.errors import InputError
from tieringmodel.kernels import coupled as coupled_kernels
from tieringmodel.reports.text_of_comparison import text_of_comparison
from tieringmodel.simulation import checkpoint
from tieringmodel.simulation.coupling import Coupling
from tieringmodel.simulation.engine import Engine
from tieringmodel.units import significant
from tieringmodel.workload.access import AccessTable

FAST = {"nid": 0, "idle_latency_ns": 90, "bandwidth_gbps": 49, "curve": [[0, 90], [0.8, 140], [0.98, 180]]}
SLOW = {"nid": 1, "idle_latency_ns": 190, "bandwidth_gbps": 17}
DEMAND = {"threads": 8, "outstanding": 16}


def coupled(*schemes: tm.Scheme, demand: Any = None, nodes: Any = (FAST, SLOW), **options: Any) -> tm.Scenario:
    machine = tm.Machine.dram_cxl("32 MiB", "32 MiB", performance={"nodes": list(nodes)})
    return scenario(*schemes, machine=machine, demand=DEMAND if demand is None else demand, **options)


def test_every_record_is_a_fixed_point() -> None:
    ds = tm.simulate(coupled(pull(), push()), duration="3 s", seed=1)
    time, window = ds["time"].values, ds.attrs["window_s"]
    at = np.isclose(time / window, np.rint(time / window)) & (time > 0)
    assert at.sum() > 10
    shares = ds["access_share_bp"].values[at] / 1e4
    found = tm.cost.closed_loop(shares, [FAST, SLOW], DEMAND, ds["migration_gbps"].values[at])
    np.testing.assert_allclose(ds["throughput_per_s"].values[at, 0], found.throughput_per_s, rtol=1e-4)  # less stalled threads
    assert (ds["throughput_per_s"].values[at, 0] <= found.throughput_per_s * (1 + 1e-12)).all()
    np.testing.assert_allclose(ds["node_load_gbps"].values[at], found.load_gbps, rtol=1e-3)
    full = 8 * 16 / 90e-9
    np.testing.assert_allclose(ds["slowdown"].values * ds["throughput_per_s"].values, full, rtol=1e-12)
    assert ds["throughput_per_s"].dims == ("time", "group")
    assert ds["group"].values.tolist() == ["hot"]


def test_rates_follow_one_window_later() -> None:
    ds = tm.simulate(coupled(pull(), push()), duration="3 s", seed=1)
    rate = ds["class_rate_hz"].isel(page_class=1).values
    assert ds["page_class"].values[1] == "hot"
    slowdown, time, window = ds["slowdown"].values[:, 0], ds["time"].values, ds.attrs["window_s"]
    for k in np.flatnonzero(time > 2 * window):
        before = slowdown[np.flatnonzero(time <= (np.ceil(time[k] / window - 1e-6) - 1) * window + 1e-9)[-1]]
        assert rate[k] == pytest.approx(400 / before, rel=1e-12)


@pytest.mark.parametrize("seconds", [1.0, 1.05])
def test_the_last_window_ends_with_the_run_once(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    ends: list[int] = []
    really = Coupling.step
    monkeypatch.setattr(Coupling, "step", lambda self: (really(self), ends.append(self.last_ns)))
    tm.simulate(coupled(pull(), push()), duration=seconds, seed=1, progress=False)
    assert ends[-1] == seconds * 1e9
    assert ends == sorted(set(ends))


def test_migration_takes_bandwidth_and_what_does_not_fit_waits() -> None:
    ds = tm.simulate(coupled(pull(9000, sz_bytes=4 << 20)), duration="2 s", seed=1)
    moved = ds["migrated_in_pages"].values[-1].sum() * 4096
    assert moved > 1e6
    ends = np.unique(np.ceil(ds["time"].values / ds.attrs["window_s"] - 1e-6), return_index=True)[1]
    carried = ds["migration_gbps"].values[ends[1:]].sum(axis=0) * ds.attrs["window_s"] * 1e9
    assert carried == pytest.approx([moved, moved], rel=0.02)  # written at node 0, read at node 1
    crowded = [FAST, SLOW | {"bandwidth_gbps": 1}]
    busy = {"threads": 1, "outstanding": 1, "background": [{"nid": 1, "gbps": 0.949}]}
    late = tm.simulate(coupled(pull(9000, sz_bytes=4 << 20), nodes=crowded, demand=busy), duration="2 s", seed=1)
    assert late["migration_gbps"].sel(node=1).max() == pytest.approx(0.001)
    assert late["migration_waiting_bytes"].sel(node=1).max() > 0
    assert (late["node_load_gbps"].sel(node=1) <= 1).all()


def test_groups_with_threads_of_their_own_slow_down_by_themselves() -> None:
    groups = (
        tm.Group(0, 1024, rate_hz=400, name="chase", threads=1, outstanding=1),
        tm.Group(1024, 2048, rate_hz=400, name="sequence", threads=1, outstanding=(7, 10)),
    )
    placement = (tm.Placement(0, 1024, 0), tm.Placement(1024, 4096, 1))
    ds = tm.simulate(coupled(groups=groups, placement=placement, contexts=()), duration="3 s", seed=1)
    per_s = ds["throughput_per_s"].isel(time=-1)
    one = tm.cost.closed_loop([1, 0], [FAST, SLOW], {"threads": 1, "outstanding": 1})
    other = tm.cost.closed_loop([0, 1], [FAST, SLOW], {"threads": 1, "outstanding": 10})
    assert float(per_s.sel(group="chase")) == pytest.approx(one.throughput_per_s, rel=1e-9)
    assert float(per_s.sel(group="sequence")) == pytest.approx(other.throughput_per_s, rel=1e-9)
    assert float(ds["slowdown"].isel(time=-1).sel(group="sequence")) == pytest.approx(7 / 90 / (10 / 190), rel=1e-9)


def test_who_rests_has_no_throughput() -> None:
    groups = (tm.Group(0, 2048, rate_hz=400.0, name="hot", start_tick=400),)
    ds = tm.simulate(coupled(pull(), groups=groups), duration="4 s", seed=1)
    first, last = ds.isel(time=0), ds.isel(time=-1)
    assert first["throughput_per_s"].item() == 0
    assert np.isnan(first["slowdown"].item())
    assert last["throughput_per_s"].item() > 0


def test_the_scenario_goes_through_toml_and_json() -> None:
    sc = coupled(pull(), demand=DEMAND | {"outstanding": [7, 10], "background": [{"nid": 0, "gbps": 6}]})
    assert tm.Scenario.from_toml(sc.to_toml()) == sc
    assert tm.Scenario.from_json(sc.to_json()) == sc


SECTIONS = """
n_pages = 4096
groups = [{ lo = 0, hi = 2048, rate_hz = 400.0, outstanding = [7, 10], name = "hot" }, { lo = 2048, hi = 4096, rate_hz = 9.0 }]
[demand]
threads = 15
outstanding = 8.0
bytes_per_access = 64
think_ns = 0.0
read_share = 0.5
background = [ { nid = 0, gbps = 60.0 }, { nid = 0, threads = 5, outstanding = 24 } ]
"""


def test_a_preset_and_background_in_a_file_give_what_the_solver_gives() -> None:
    workload = tomllib.loads(SECTIONS)
    machine = tm.Machine.dram_cxl("32 MiB", "32 MiB", performance={"preset": "turin-cxl"})
    sc = tm.Scenario(machine=machine, workload=tm.Workload.from_dict(workload))
    ds = tm.simulate(tm.Scenario.from_toml(sc.to_toml()), duration="2 s", seed=1)
    only_hot = sc.replace(workload=sc.workload.replace(groups=sc.workload.groups[:1]))
    ran = tm.simulate(only_hot, duration="2 s", seed=1)
    found = tm.cost.closed_loop([1, 0], "turin-cxl", workload["demand"] | {"outstanding": [7, 10]})
    assert ran["throughput_per_s"].values[-1, 0] == pytest.approx(found.throughput_per_s, rel=1e-9)
    np.testing.assert_allclose(ran["node_latency_ns"].values[-1], found.latency_ns, rtol=1e-9)
    part = 400 / 409  # of the shared threads' accesses
    time = part / 7 + (1 - part) / 8
    total, latency = ds["throughput_per_s"].values[-1].sum(), ds["node_latency_ns"].values[-1, 0]
    assert total * time * latency * 1e-9 == pytest.approx(15, rel=1e-9)
    assert ds["group"].values.tolist() == ["hot", "group1"]


def test_same_bits_and_no_word_of_it_without_the_sections() -> None:
    plain = tm.simulate(scenario(pull()), duration="1 s", seed=1)
    assert not {"throughput_per_s", "slowdown", "node_latency_ns"} & set(plain.variables)
    one, two = (tm.simulate(coupled(pull()), duration="1 s", seed=1) for _ in range(2))
    assert one.identical(two)
    assert tm.simulate(scenario(pull()), duration="1 s", seed=1).identical(plain)


def test_the_verdict_says_what_it_costs_and_gains() -> None:
    hot = tm.Scheme("migrate_hot", access_pattern=HOT, target_nid=0, quota=tm.Quota(sz_bytes=MIB, reset_interval_ms=100))
    ds = tm.simulate(coupled(hot), duration="20 s", seed=1)
    verdict = tm.verdict(ds)
    assert verdict.settling_s is not None
    per_s, time = ds["throughput_per_s"].values[:, 0], ds["time"].values
    after = time[1:] > verdict.settling_s
    for chosen, name, words in (
        (~after, "throughput_while_settling", "while it settles"),
        (after, "throughput_afterwards", "afterwards"),
    ):
        change = np.average(per_s[1:][chosen] / per_s[0], weights=np.diff(time)[chosen]) - 1
        assert verdict.numbers[name] == pytest.approx(change, rel=1e-12)
        assert f"{'gains' if change > 0 else 'costs'} the workload {abs(change) * 100:.1f} % {words}" in verdict.text
    assert "throughput" not in tm.verdict(tm.simulate(scenario(pull()), duration="1 s", seed=1)).text


def test_compare_tells_throughput_and_the_best_placement() -> None:
    sc = coupled(pull(6000), push(4000))
    made = tm.policies(sc)
    assert "best placement" in made
    assert "best placement" not in tm.policies(scenario(pull(6000), push(4000)))
    chosen = {name: made[name] for name in (next(iter(made)), "all-fast", "all-slow", "best placement")}
    ds = tm.compare(chosen, duration="4 s", seed=1)
    best, fast, slow = (float(ds["throughput_per_s"].sel(policy=p)) for p in ("best placement", "all-fast", "all-slow"))
    share = tm.cost.best_share([FAST, SLOW], DEMAND)
    top = tm.cost.closed_loop([share, 1 - share], [FAST, SLOW], DEMAND).throughput_per_s
    assert best == pytest.approx(top, rel=2e-3)
    assert best == ds["throughput_per_s"].max()
    assert fast == pytest.approx(tm.cost.closed_loop([1, 0], [FAST, SLOW], DEMAND).throughput_per_s, rel=1e-9)
    assert slow == pytest.approx(tm.cost.closed_loop([0, 1], [FAST, SLOW], DEMAND).throughput_per_s, rel=1e-9)
    first = ds["throughput_per_s"].values[0]
    text = text_of_comparison(ds.assign_attrs(name="small"))
    assert f"best placement: {significant(best / 1e6)} million/s, {significant(4 * first / best)} s" in text
    np.testing.assert_allclose(ds["run_time_s"].values, 4 * first / ds["throughput_per_s"].values)


def test_slower_pages_are_touched_in_some_of_the_same_ticks() -> None:
    groups = (tm.Group(0, 32, rate_hz=200.0), tm.Group(16, 64, rate_hz=50.0))
    rates = np.full(4, np.nan)
    engine = Engine(coupled(groups=groups, pages=64), 3)
    untouched = Engine(coupled(groups=groups, pages=64), 3).access
    engine.coupling = coupling = Coupling(engine, 1.0, rates)
    coupling.arrays.slowdown[:] = 4, 2
    coupled_kernels.touch_as_found(coupling.arrays, engine.access.arrays, 0)
    coupling.check(True)
    table = engine.access
    assert table.enter(0) == 2**62
    assert rates.tolist() == table.touch_rate_hz(0).tolist() == [0.0, 50.0, 75.0, 25.0]
    assert untouched.touch_rate_hz(0).tolist() == [0.0, 200.0, 250.0, 50.0]
    slow = tm.Workload(64, groups=(tm.Group(0, 32, rate_hz=50.0), tm.Group(16, 64, rate_hz=25.0)))
    same = AccessTable(slow, 5000, 0)
    same.enter(0)
    assert table.arrays.rule["threshold"].tolist() == same.arrays.rule["threshold"].tolist()
    by_one_group = [0, 1, 3]
    assert table.arrays.threshold[by_one_group].tolist() == same.arrays.threshold[by_one_group].tolist()


CREWS = (tm.Group(0, 1024, rate_hz=400, threads=1), tm.Group(1024, 2048, rate_hz=300, start_tick=150, end_tick=500))
CHANGES = (tm.Event(1_500_000, "contexts.0.schemes.0.quota.sz_bytes", 1 << 19),)


@pytest.mark.parametrize(
    "sc",
    [coupled(pull(), push()), coupled(pull(), groups=CREWS).replace(events=CHANGES)],
    ids=["plain", "crews and changes"],
)
def test_windows_that_a_kernel_ends_are_those_that_python_ends(sc: tm.Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, ended = tm.simulate(sc, duration="4 s", seed=1), []
    real = Coupling.step
    monkeypatch.setattr(Coupling, "step", lambda self: (ended.append(self.engine.memory.now_ns), real(self)))
    monkeypatch.setattr(Coupling, "in_kernels", property(lambda self: None))
    again = tm.simulate(sc, duration="4 s", seed=1)
    assert len(ended) > 30
    assert again.identical(whole)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: scenario(pull(), demand=DEMAND), "machine.performance"),
        (lambda: coupled(pull(), nodes=[FAST]), "performance"),
        (lambda: coupled(pull(), groups=(tm.Group(0, 8, "period", period=2),)), "kind"),
        (lambda: scenario(pull(), groups=(tm.Group(0, 8, rate_hz=1, threads=2),)), "demand"),
        (lambda: coupled(pull(), demand=DEMAND | {"outstanding": [1, 2, 3]}), "outstanding"),
        (lambda: coupled(pull(), demand=DEMAND | {"background": [{"nid": 5, "gbps": 1}]}), "background"),
        (lambda: tm.Performance("skylake", nodes=[FAST]), "both"),
        (lambda: tm.Performance(), "neither"),
        (lambda: tm.Group(0, 8, rate_hz=1, threads=0), "threads"),
        (lambda: tm.Group(0, 8, rate_hz=1, outstanding=[0, 1]), "outstanding"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, word: str) -> None:
    with pytest.raises(InputError, match=word):
        make()


def test_a_background_that_leaves_nothing_is_refused() -> None:
    full = coupled(pull(), demand=DEMAND | {"background": [{"nid": 1, "gbps": 17}]})
    with pytest.raises(InputError, match="background"):
        tm.simulate(full, duration="1 s", seed=1)


# ---- phases by work -----------------------------------------------------------------------------------------------------

BUILD, PROBE = tm.Group(0, 1024, rate_hz=200.0, name="build"), tm.Group(1024, 2048, rate_hz=200.0, name="probe")
PHASES = [{"work": 2.6e9, "groups": ["build"]}, {"work": 1.7e9, "groups": ["probe"]}]
IN_PHASES = {"threads": 8, "outstanding": 4, "phases": PHASES}
ON_SLOW_PER_S = 8 * 4 / 190e-9


def in_phases(*schemes: tm.Scheme, **options: Any) -> tm.Scenario:
    return coupled(*schemes, demand=IN_PHASES, groups=(BUILD, PROBE), pages=2048, **options)


def test_a_phase_lasts_until_its_work_is_done() -> None:
    """Nothing moves: 32 accesses in flight, 190 ns each, so the ends can be worked out."""
    ds = tm.simulate(in_phases(contexts=()), duration="30 s", seed=1)
    phases = json.loads(ds.attrs["phases"])
    assert [p["groups"] for p in phases] == [["build"], ["probe"]]
    ends = [2.6e9 / ON_SLOW_PER_S, (2.6e9 + 1.7e9) / ON_SLOW_PER_S]
    assert [p["end_s"] for p in phases] == pytest.approx(ends, abs=2e-5)  # 15.4375 and 25.53125, rounded up to microseconds
    time, throughput = ds["time"].values, ds["throughput_per_s"].values
    first, second = (time > 0) & (time < ends[0] + 1e-4), (time > ends[0] + 1e-4) & (time < ends[1] + 1e-4)
    assert (first.sum(), second.sum()) == (16, 11)  # a window of a second each, and where a phase ends
    np.testing.assert_allclose(throughput[first], [[ON_SLOW_PER_S, 0]] * 16, rtol=1e-12)
    np.testing.assert_allclose(throughput[second], [[0, ON_SLOW_PER_S]] * 11, rtol=1e-12)
    assert (throughput[time > ends[1] + 1e-4] == 0).all()
    assert ds["phase"].values[[0, -1]].tolist() == [0, 2]


def test_promotion_ends_phases_sooner_and_who_has_no_turn_touches_nothing() -> None:
    ds = tm.simulate(in_phases(pull(9900)), duration="30 s", seed=1)
    ends = [p["end_s"] for p in json.loads(ds.attrs["phases"])]
    assert 2.6e9 / (8 * 4 / 90e-9) < ends[0] < 14
    assert ends[1] - ends[0] < 1.7e9 / ON_SLOW_PER_S
    rate, time = ds["class_rate_hz"], ds["time"].values
    classes = ds["page_class"].values.tolist()
    build, probe = (rate.isel(page_class=classes.index(name)).values for name in ("build", "probe"))
    first, second = time < ends[0], (time > ends[0] + 0.3) & (time < ends[1])
    assert (build[first] > 0).all()
    assert (probe[first] == 0).all()
    assert (build[second] == 0).all()
    assert (probe[second] > 0).all()
    work = np.diff(time, prepend=0) @ ds["throughput_per_s"].values
    np.testing.assert_allclose(work, [2.6e9, 1.7e9], rtol=0.02)  # records are a window apart


def test_phases_are_told_and_policies_differ_by_when_all_is_done() -> None:
    sc = in_phases(pull(9900))
    found = tm.verdict(tm.simulate(sc, duration="15 s", seed=1))
    assert "Work done: build at" in found.text
    assert found.text.endswith("not done: probe.")
    cmp = tm.compare({"goal": sc, "nothing": sc.replace(contexts=())}, duration="22 s")
    took = cmp["run_time_s"].values
    assert took[0] < 22
    assert np.isnan(took[1])
    assert "nothing: 168 million/s, not done" in text_of_comparison(cmp)


def test_a_phase_that_never_ends_is_refused() -> None:
    groups = tm.Group(0, 9, name="idle"), BUILD
    with pytest.raises(InputError, match=r"demand\.phases\[0\]\.groups: touch nothing"):
        coupled(demand=IN_PHASES | {"phases": [{"work": 1, "groups": ["idle"]}]}, groups=groups)


@pytest.mark.parametrize(("name", "word"), [("biuld", "no group"), ("twice", "several groups")])
def test_phases_of_nobody_are_refused(name: str, word: str) -> None:
    groups = BUILD, PROBE, tm.Group(0, 9, name="twice"), tm.Group(9, 12, name="twice")
    demand = IN_PHASES | {"phases": [{"work": 1, "groups": [name]}]}
    with pytest.raises(InputError, match=rf"demand\.phases\[0\]\.groups\[0\].*{word}"):
        coupled(demand=demand, groups=groups)


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("saves", [1, 30, 70])
def test_a_killed_run_goes_on_from_its_checkpoint(saves: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the first window, in the first phase and in the second one."""
    sc, path = in_phases(pull(9900)), tmp_path / "kept.npz"
    whole = tm.simulate(sc, duration="20 s", seed=2)
    left, real = [saves], checkpoint.save

    def save_and_die(*given: Any) -> Path:
        real(*given)
        left[0] -= 1
        if not left[0]:
            raise _KilledError
        return path

    monkeypatch.setattr(checkpoint, "save", save_and_die)
    with pytest.raises(_KilledError):
        tm.simulate(sc, duration="20 s", seed=2, checkpoint=path, checkpoint_s=0)
    monkeypatch.setattr(checkpoint, "save", real)
    again = tm.simulate(sc, duration="20 s", seed=2, checkpoint=path)
    assert again.identical(whole)
