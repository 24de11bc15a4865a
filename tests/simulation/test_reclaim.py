"""Pages that leave memory and come back: what `pageout` takes, who returns and when, what a goal on free memory makes of it."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from scenarios import scenarios
from small import MIB, node_of_pages, scenario, traced

import tieringmodel as tm
from tieringmodel.analysis import verdict
from tieringmodel.damon.early_exit import run_builtin
from tieringmodel.datasets.schema import OF_RECLAIM
from tieringmodel.kernels import layout as L
from tieringmodel.kernels._jit import records
from tieringmodel.memory import reuse as pristine
from tieringmodel.memory.physical import NO_NODE
from tieringmodel.simulation import checkpoint
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.recorder import Recorder
from tieringmodel.simulation.silent import Silent
from tieringmodel.simulation.simulate import scheme_actions

RUNS = settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
EVERYTHING = tm.Scheme("pageout")
OLD_ONES_TOO = tm.Scheme("pageout", filters=(tm.Filter("young", matching=True, allow=True), tm.Filter("young", False, True)))
"""A filter that asks for the age of pages and lets all of them pass."""


def reclaiming(*schemes: tm.Scheme, pages: int = 1000, **given: object) -> tm.Scenario:
    given = {"machine": tm.Machine.dram_cxl("6 MiB", "6 MiB"), "groups": [tm.Group(0, 300, rate_hz=50.0)]} | given
    return scenario(*schemes, pages=pages, **given)  # type: ignore[arg-type]


def whole(memory: object) -> None:
    """Every page is on one frame or out, and all counters are those of a full scan."""
    m = memory.arrays  # type: ignore[attr-defined]
    front, back = int(m.swap[L.AT_FRONT]), int(m.swap[L.AT_BACK])
    out = np.concatenate((m.out[:front], m.out[m.out.size - back :]))
    on_frames = np.sort(memory.owners()[memory.owners() > 0])  # type: ignore[attr-defined]
    pages = np.sort(np.concatenate((on_frames, (out & L.LOW32).astype(np.uint32))))
    assert pages.tolist() == list(range(1, memory.n_pages + 1))  # type: ignore[attr-defined]
    assert int(m.swap[L.RECLAIMED] - m.swap[L.FAULTED]) == front + back == memory.out_pages  # type: ignore[attr-defined]
    assert int(m.node["lru"].sum()) + front + back == memory.n_pages  # type: ignore[attr-defined]
    assert (memory.class_pages().sum(axis=1) == m.node["lru"]).all()  # type: ignore[attr-defined]
    gone = np.setdiff1d(np.arange(memory.n_pages), on_frames.astype(np.int64) - 1)  # type: ignore[attr-defined]
    assert np.flatnonzero(memory.frame_of == L.NO_FRAME).tolist() == gone.tolist()  # type: ignore[attr-defined]
    scan = memory.recount()  # type: ignore[attr-defined]
    for name in ("lru_512", "free_512", "lru_256k", "free_256k"):
        np.testing.assert_array_equal(scan[name], getattr(m, name))
    active = np.add.reduceat((m.rec & L.LOW32 > 0) & (m.rec >> L.ACTIVE_SHIFT & np.uint64(1) > 0), m.base, dtype=np.int64)
    assert active.tolist() == m.node["active"].tolist()
    assert scan["lru"].tolist() == m.node["lru"].tolist()
    assert scan["free"].tolist() == m.node["free"].tolist()


# ---- what is taken ----------------------------------------------------------------------------------------------------


def test_young_pages_are_spared_once_and_made_old() -> None:
    """All pages are young at the start: the first pass takes what sampling has cleared, the second all but the touched."""
    engine, _ = traced(reclaiming(EVERYTHING, groups=[tm.Group(0, 300, "period", period=1)]))
    engine.run(100_000)
    samples = 20 * int(engine.kdamonds[0].regions.n)
    assert 0 < engine.memory.out_pages <= samples < 1000
    assert all(n >= 0 for n in node_of_pages(engine)[:300])
    engine.run(100_000)
    assert np.flatnonzero(np.array(node_of_pages(engine)) < 0).tolist() == list(range(300, 1000))
    assert engine.memory.used_pages().tolist() == [0, 300]
    assert int(engine.kdamonds[0].schemes["sz_applied"][0]) == 700 * 4096
    whole(engine.memory)


def test_a_filter_about_age_stands_for_the_one_that_reclaim_brings() -> None:
    engine, _ = traced(reclaiming(OLD_ONES_TOO, groups=[tm.Group(0, 300, "period", period=1)]))
    engine.run(100_000)
    assert engine.memory.out_pages == 1000
    assert engine.memory.used_pages().tolist() == [0, 0]


def test_pages_of_virtual_addresses_are_counted_and_stay() -> None:
    context = tm.Context("vaddr", schemes=(EVERYTHING,), targets=(tm.Target(),))
    sc = reclaiming(vmas=[tm.Vma(0, 1000, 1 << 40)], contexts=[context])
    engine, _ = traced(sc)
    assert not engine.memory.reclaims
    engine.run(400_000)
    assert engine.memory.used_pages().tolist() == [0, 1000]


def test_runs_that_reclaim_nothing_hold_nothing_for_it() -> None:
    ds = tm.simulate(reclaiming(tm.Scheme("stat")), duration=0.3, progress=False)
    assert not set(OF_RECLAIM) & set(ds)
    assert Engine(reclaiming(tm.Scheme("stat"))).memory.arrays.out.size == 0


def test_an_action_that_an_event_brings_reclaims_from_then_on() -> None:
    sc = reclaiming(tm.Scheme("stat"), groups=[])
    sc = sc.replace(events=(tm.Event(500_000, "contexts.0.schemes.0.action", "pageout"),))
    ds = tm.simulate(sc, duration=1.5, progress=False)
    out = ds["out_pages"].values
    assert (out[ds["time"].values < 0.5] == 0).all()
    assert out[-1] == 1000


# ---- who comes back ---------------------------------------------------------------------------------------------------


def test_touched_pages_come_back_at_the_next_event_to_the_first_node_with_room() -> None:
    """Touched every 50th tick of 5 ms, first at the 90th: out since 0.2 s, in again at 0.5 s, on node 0 up to its reserve."""
    machine = tm.Machine((tm.Node(0, 0, MIB, reserve_pages=56), tm.Node(1, MIB, 6 * MIB)))
    group = tm.Group(0, 300, "period", period=500, phase=410)
    engine, _ = traced(reclaiming(EVERYTHING.replace(max_nr_snapshots=2), groups=[group], machine=machine))
    engine.run(400_000)
    assert engine.memory.out_pages == 1000
    engine.run(50_000)
    assert engine.memory.out_pages == 1000
    engine.run(50_000)
    node = np.array(node_of_pages(engine))
    assert (node == 0).sum() == 200
    assert (node == 1).sum() == 100
    assert (node[300:] == -1).all()
    assert engine.memory.node_of_pages().tolist() == np.where(node < 0, NO_NODE, node).tolist()
    assert (engine.memory.pfn_of_pages() < 0).tolist() == (node < 0).tolist()
    whole(engine.memory)


def test_a_page_without_a_free_frame_waits_for_one() -> None:
    """Touched once; by then all memory but 60 frames is offline, and comes back later."""
    group = tm.Group(0, 300, "period", period=500, phase=410)
    sc = reclaiming(EVERYTHING.replace(max_nr_snapshots=2), groups=[group])
    events = [
        tm.Event(300_000, "machine.nodes.0.offline_bytes", 6 * MIB),
        tm.Event(300_000, "machine.nodes.1.offline_bytes", 1476 * 4096),
        tm.Event(800_000, "machine.nodes.0.offline_bytes", 0),
    ]  # fmt: skip
    ds = tm.simulate(sc.replace(events=tuple(events)), duration=1.2, progress=False)
    time, stalled = np.round(ds["time"].values, 6), ds["stalled_pages"].values
    assert (stalled[(time >= 0.5) & (time <= 0.8)] == 240).all()
    assert stalled[-1] == 0
    assert int(ds["faulted_pages"].sum()) == 300
    assert ds["used_pages"].values[-1].tolist() == [240, 60]


@given(st.floats(0.5, 20), st.integers(0, 5))
@settings(max_examples=8)
def test_who_comes_back_is_who_was_touched(rate: float, seed: int) -> None:
    """Against the rule itself: no page is back untouched, none that was touched is out (`touched` of a plain scan)."""
    sc = reclaiming(OLD_ONES_TOO.replace(max_nr_snapshots=1), groups=[tm.Group(0, 600, rate_hz=rate)])
    engine, _ = traced(sc, seed)
    engine.run(100_000)
    assert engine.memory.out_pages == 1000
    engine.run(300_000)
    threshold = round(-np.expm1(-rate * 5e-3) * 2**32)
    key = int(engine.access.key)

    def mix64(x: int) -> int:
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
        return x ^ x >> 31

    def is_touched(page: int, tick: int) -> bool:
        return mix64((key + ((tick << 32) | page) * 0x9E3779B97F4A7C15) % 2**64) >> 32 < threshold

    expected = [page < 600 and any(is_touched(page, t) for t in range(21, 81)) for page in range(1000)]
    assert [n >= 0 for n in node_of_pages(engine)] == expected


def test_pages_come_back_young() -> None:
    """Reclaim right after the return spares them: they have not been looked at since."""
    group = tm.Group(0, 300, "period", period=500, phase=410)
    engine, _ = traced(reclaiming(EVERYTHING, groups=[group]))
    engine.run(500_000)
    assert engine.memory.out_pages == 700
    engine.run(100_000)
    assert engine.memory.out_pages == 1000


def test_pages_come_back_to_the_list_that_they_were_on() -> None:
    """Pages 0 … 99 are put on the active list before all go out; ten of them are among those that are touched later."""
    group = tm.Group(90, 300, "period", period=500, phase=410)
    first = tm.Scheme("lru_prio", filters=(tm.Filter("memcg", matching=True, allow=True, memcg_id=1),))
    memcgs = (tm.Memcg(1, 0, 100),)
    engine, _ = traced(reclaiming(first, OLD_ONES_TOO.replace(max_nr_snapshots=1), groups=[group], memcgs=memcgs))
    engine.run(100_000)
    assert engine.memory.out_pages == 1000
    assert engine.memory.arrays.node["active"].tolist() == [0, 0]
    engine.kdamonds[0].schemes["active"][0] = 0  # nobody puts pages on that list from now on
    engine.run(400_000)
    assert engine.memory.used_pages().tolist() == [210, 0]
    assert engine.memory.arrays.node["active"].tolist() == [10, 0]
    whole(engine.memory)


def test_what_was_seen_of_a_page_is_forgotten_when_it_goes() -> None:
    """From tick 2**15 on a look shows in the pages' own column."""
    looks = OLD_ONES_TOO.replace(action="stat")
    engine, _ = traced(reclaiming(looks, OLD_ONES_TOO, groups=[tm.Group(0, 300, "period", period=2**20 + 1)]))
    kdamond, arrays = engine.kdamonds[0], engine.memory.arrays
    kdamond.tick = 2**20
    cursor = records(1, L.CURSOR)[0]
    cursor["start"], cursor["end"] = 6 * MIB, 6 * MIB + 4096 * 1000
    for scheme, taken in enumerate((0, 1000)):
        applied, passed, _ = run_builtin(kdamond, scheme, cursor)
        assert (passed, applied) == (4096 * 1000, 4096 * taken)
        assert (arrays.seen > 0).sum() == 1000 - taken
    assert (arrays.out >> np.uint64(L.SEEN_SHIFT) == 0).all()
    engine.memory.fault_in(engine.access.arrays, 2**20 + 1)
    assert engine.memory.out_pages == 700
    assert not arrays.seen.any()
    whole(engine.memory)


def test_pages_that_come_back_pass_through_the_lists_of_a_cpu() -> None:
    """What goes out lengthens the list of its node, what comes back is taken from the list of the node that it comes to."""
    nodes = (tm.Node(0, 0, 64 * MIB, percpu_pages=600), tm.Node(1, 64 * MIB, 64 * MIB))
    machine = tm.Machine(nodes, percpu_lists=1)
    group = tm.Group(0, 300, "period", period=500, phase=410)
    engine, _ = traced(reclaiming(OLD_ONES_TOO.replace(max_nr_snapshots=1), groups=[group], machine=machine))
    lists = engine.memory.page_lists
    assert lists is not None
    engine.run(100_000)
    (near,), (far,) = lists.lists
    assert (near.count, engine.memory.out_pages) == (600, 1000)
    assert far.count > 0
    before = near.count, far.count
    engine.memory.fault_in(engine.access.arrays, 90)
    assert engine.memory.used_pages().tolist() == [300, 0]
    assert (near.count, far.count) == (before[0] - 300, before[1])


# ---- goals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tuner", ["temporal", "consist"])
def test_reclaim_to_30_percent_free(tuner: str) -> None:
    """The claim about the two tuners: TEMPORAL stops at the goal, within one window's quota; CONSIST goes on beyond."""
    cap = 100_000_000 // 50  # 100 MB/s on a fiftieth of the memory
    quota = tm.Quota(
        sz_bytes=cap, reset_interval_ms=1000, goals=(tm.Goal("node_mem_free_bp", 3000, nid=0),), goal_tuner=tuner,
        esz_bp0=cap * 10_000 if tuner == "consist" else 0,
    )  # fmt: skip
    scheme = tm.Scheme("pageout", tm.AccessPattern(max_nr_accesses=0), quota=quota)
    sc = reclaiming(
        scheme, pages=8000, machine=tm.Machine.dram_cxl("32 MiB", "2 MiB"), groups=[tm.Group(0, 2000, rate_hz=100.0)],
        placement=[tm.Placement(0, 8000, 0)],
    )  # fmt: skip
    ds = tm.simulate(sc, duration=30, seed=1, progress=False)
    free_bp = 1e4 * ds["free_pages"].values[:, 0] / 8192
    found = verdict(ds)
    if tuner == "temporal":
        assert 3000 <= free_bp[-1] <= 3000 + 1e4 * cap / 4096 / 8192
        assert int(ds["esz_bytes"][-1, 0]) == 0
        assert (found.kind, found.code) in (("converged", ""), ("wrong-point", "step-over"))
    else:
        assert free_bp[-1] > 5000
        assert (found.kind, found.code) == ("wrong-point", "tuner-windup")
    assert int(ds["reclaimed_pages"].sum()) == int(ds["sz_applied"][-1, 0]) // 4096
    cut = tm.compare({"pageout": sc}, duration=15, seed=1, progress=False)
    if tuner == "consist":
        assert "the consist tuner still allowed" in str(cut["cause"].values[0])
    assert (ds["used_pages"].sum("node") + ds["out_pages"] == 8000).all()
    assert (ds["reclaimed_pages"].cumsum() - ds["faulted_pages"].cumsum() == ds["out_pages"]).all()
    for name in OF_RECLAIM:
        assert ds[name].dims == ("time",)
        assert {"units", "long_name"} <= set(ds[name].attrs)


def test_watermarks_hear_of_pages_that_come_back_in_their_sleep() -> None:
    """Asleep above `high`, awake again once touched pages have taken the memory back."""
    marks = tm.Watermarks("free_mem_rate", 20_000, high=900, mid=850, low=0)
    group = tm.Group(0, 1000, "period", period=2, start_tick=120)
    sc = reclaiming(OLD_ONES_TOO.replace(watermarks=marks), groups=[group], machine=tm.Machine.dram_cxl("6 MiB", "64 KiB"),
                    placement=[tm.Placement(0, 1000, 0)])  # fmt: skip
    engine, _ = traced(sc)
    engine.run(500_000)
    assert engine.memory.out_pages == 1000
    assert not engine.kdamonds[0].schemes["active"][0]
    engine.run(2_000_000)
    assert int(engine.memory.arrays.swap[L.RECLAIMED]) > 1000


# ---- any run ----------------------------------------------------------------------------------------------------------


class Look(Silent):
    def finished(self, kdamond: object, aggregation: bool) -> None:
        whole(kdamond.memory)  # type: ignore[attr-defined]


def with_reclaim(data: dict[str, object], virtual: bool) -> tm.Scenario:
    for context in data["contexts"]:  # type: ignore[attr-defined]
        for k, scheme in enumerate(context["schemes"]):
            if k % 2 == 0:
                scheme |= {"action": "pageout", "target_nid": -1}
        if not context["schemes"]:
            context["schemes"] = [{"action": "pageout"}]
    n = data["workload"]["n_pages"]  # type: ignore[index]
    if virtual and n:
        data["workload"]["vmas"] = [{"lo": 0, "hi": n, "start_bytes": 1 << 40}]  # type: ignore[index]
        moves = {"action": "migrate_hot", "dests": [{"id": 0, "weight": 1}, {"id": 1, "weight": 1}]}
        data["contexts"].append({"ops": "vaddr", "targets": [{}], "schemes": [moves]})  # type: ignore[attr-defined]
    return tm.Scenario.from_dict(data)


@given(scenarios(min_contexts=1), st.booleans())
@RUNS
def test_pages_are_on_one_frame_or_out_and_counters_are_those_of_a_scan(data: dict[str, object], virtual: bool) -> None:
    sc = with_reclaim(data, virtual)
    engine = Engine(sc, 3, observer=Look(), actions=scheme_actions, log_moves=100)
    if virtual:
        engine.run(400_000)
    else:
        engine.run_lockstep(80)
    whole(engine.memory)


@given(scenarios(min_contexts=1), st.booleans(), st.lists(st.integers(1, 500), min_size=1, max_size=3))
@RUNS
def test_saved_and_resumed_is_running_on(tmp_path, data, virtual, stops) -> None:
    sc = with_reclaim(data, virtual)

    def started() -> tuple[Engine, Recorder]:
        recorder = Recorder(50, 20)
        engine = recorder.engine = Engine(sc, 9, observer=recorder, actions=scheme_actions, log_moves=1000)
        recorder.record()
        return engine, recorder

    straight, records = started()
    straight.run_to(500_000_000)
    engine, recorder = started()
    for stop in sorted(stops):
        engine.run_to(max(stop * 1_000_000, engine.memory.now_ns))
        checkpoint.save(tmp_path / "a.npz", engine, recorder)
        recorder = Recorder(50, 20)
        engine = checkpoint.load(tmp_path / "a.npz", recorder, observer=recorder, actions=scheme_actions, log_moves=1000)
    engine.run_to(500_000_000)
    xr.testing.assert_identical(recorder.dataset(), records.dataset())
    for name in set(engine.memory.arrays.layout) - {"log"}:  # what the log held before it was read is left over in it
        assert np.array_equal(getattr(engine.memory.arrays, name), getattr(straight.memory.arrays, name)), name


@given(scenarios(min_contexts=1))
@RUNS
def test_what_a_sweep_puts_back_is_what_would_be_built(data) -> None:
    sc = with_reclaim(data, False)
    pristine.forget()
    with pristine.reused():
        Engine(sc, 3, actions=scheme_actions).run(300_000)
    with pristine.reused():
        again = Engine(sc, 4, actions=scheme_actions)
        open_, pristine._shelf.open = pristine._shelf.open, False
        anew = Engine(sc, 4, actions=scheme_actions)
        pristine._shelf.open = open_
        for _ in range(2):
            for a, b in zip(again.memory.arrays, anew.memory.arrays, strict=True):
                assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
            for engine in (again, anew):
                engine.run(250_000)
    pristine.forget()


def put(name: str, at: object, value: int):
    return lambda arrays: arrays[name].__setitem__(at, value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (put("memory.swap", L.AT_FRONT, 5), "swap contradicts itself"),
        (put("memory.swap", L.AT_BACK, 2**40), "swap contradicts itself"),
        (put("memory.swap", L.LOOKED, -1), "swap contradicts itself"),
        (put("memory.swap", L.STALLED, 1), "no pages of this run"),
        (put("memory.out", 0, 1 << 32 | 999), "every page once"),
        (put("memory.out", 0, 0xFFFF << 32 | 1), "no pages of this run"),
        (put("memory.out", 0, 1 << 62 | 1 << 32 | 1), "no pages of this run"),
        (put("memory.out", 0, 1), "not looked for"),
        (put("memory.out", -1, 1 << 32 | 1), "not looked for"),
        (put("memory.out", 0, 1 << 32), "every page once"),
        (put("memory.node", (0,), (2**40,) + (0,) * 14), "policy|try_all|key|offline"),
        (lambda arrays: arrays["memory.node"]["free"].__setitem__(0, 2**40), "contradict its bitmaps"),
        (lambda arrays: arrays["memory.node"]["total"].__setitem__(1, 5), "no frames that are offline"),
        (lambda arrays: arrays.__setitem__("memory.offline.0", np.array([0, 2**40])), "no frames that are offline"),
        (lambda arrays: arrays.__setitem__("memory.offline.1", np.array([2000])), "no frames that are offline"),
    ],
)
def test_forged_states_are_refused(tmp_path, change, says) -> None:
    engine = Engine(reclaiming(OLD_ONES_TOO, groups=[tm.Group(0, 300, rate_hz=1.0)]), 1)
    engine.run(100_000)
    assert engine.memory.out_pages == 1000
    path = checkpoint.save(tmp_path / "a.npz", engine)
    tree, stored = checkpoint.read(path)
    arrays = {n: a.copy() for n, a in stored.items()}
    first = engine.access.arrays.first
    engine.memory.restore(checkpoint._joined(tree["memory"], arrays), first)
    change(arrays)
    with pytest.raises(ValueError, match=says):
        engine.memory.restore(checkpoint._joined(tree["memory"], arrays), first)


def test_a_figure_says_moved_where_pages_are_reclaimed() -> None:
    goal = tm.Goal("node_mem_free_bp", 9000)
    quota = tm.Quota(sz_bytes=1 << 20, goals=(goal,))
    old = tm.Scheme("pageout", access_pattern=tm.AccessPattern(max_nr_accesses=0), quota=quota)
    ds = tm.simulate(reclaiming(old), duration="5 s", seed=1)
    _, lower = tm.plot.course(ds)
    assert lower.get_ylabel() == "Moved [MiB/s]"
    drawn = sum(ds["reclaimed_pages"].values + ds["faulted_pages"].values) * 4096 / 2**20
    assert float(lower.patches[0].get_data().values.sum()) == pytest.approx(drawn, abs=1e-9)


def test_a_workload_without_pages_is_saved_and_loaded(tmp_path) -> None:
    sc = tm.Scenario(tm.Machine.dram_cxl("1 MiB", "1 MiB"), tm.Workload(0), (tm.Context(schemes=(EVERYTHING,)),))
    engine = Engine(sc, 1)
    engine.run(100_000)
    again = checkpoint.load(checkpoint.save(tmp_path / "a.npz", engine))
    assert (again.memory.n_pages, again.memory.now_ns) == (0, 100_000_000)
