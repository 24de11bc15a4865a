"""A run that starts from what the one before left behind is the run that builds everything anew."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import process
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from scenarios import PAGE, contexts, groups
from small import MIB, pull, push, scenario

import tieringmodel as tm
from tieringmodel.memory import need
from tieringmodel.memory import reuse as pristine
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.simulate import scheme_actions

RUNS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
RULES = ("iid", "pfn_mod", "first", "per_node", "push_only", "vma_offset")


@pytest.fixture(autouse=True)
def nothing_kept():
    pristine.forget()
    yield
    pristine.forget()


@st.composite
def wide(draw: Any) -> dict[str, Any]:
    """A scenario over several of the parts that are put back: tens of thousands of frames, few of which move."""
    sizes = [draw(st.integers(5_000, 20_000)) * PAGE for _ in range(2)]
    spare = st.sampled_from([0, 0, 700 * PAGE])
    nodes = [
        {"nid": i, "start_bytes": sum(sizes[:i]), "sz_bytes": size, "cache_bytes": draw(spare), "offline_bytes": draw(spare),
         "kernel_bytes": draw(spare), "percpu_pages": 60}
        for i, size in enumerate(sizes)
    ]  # fmt: skip
    machine = {
        "nodes": nodes, "allocator": draw(st.sampled_from(["lowest", "fifo", "lifo", "random", "buddy"])),
        "migrate_ns_per_page": draw(st.sampled_from([0, 2_000])), "percpu_lists": draw(st.sampled_from([0, 2])),
        "on_full": draw(st.sampled_from(["stop_run", "try_all"])),
    }  # fmt: skip
    room = [size // PAGE - 2_200 for size in sizes]
    n = sum(room) * draw(st.integers(5, 10)) // 10
    cut = draw(st.integers(max(0, n - room[1]), min(n, room[0])))
    pieces = [{"lo": lo, "hi": hi, "nid": nid} for lo, hi, nid in ((0, cut, 0), (cut, n, 1)) if hi > lo]
    dealt = [{"lo": 0, "hi": n, "weights": [cut, n - cut]}] if draw(st.booleans()) else pieces
    workload = {
        "n_pages": n, "groups": draw(st.lists(groups(n), max_size=4)), "placement": dealt,
        "vmas": [{"lo": 0, "hi": n, "start_bytes": 1 << 40}],
    }  # fmt: skip
    made = draw(st.lists(contexts(machine), min_size=1, max_size=2))
    virtual = draw(st.integers(0, 3)) == 0
    for context in made:
        if virtual:
            context["ops"], context["targets"], context["min_region_sz"] = "vaddr", [{}], PAGE
            context["schemes"] = [{"action": "migrate_hot", "quota": {"sz_bytes": 50 * PAGE, "reset_interval_ms": 50}}]
        for scheme in context["schemes"]:
            if scheme["action"].startswith("migrate") and (virtual or draw(st.integers(0, 2)) == 0):
                scheme["dests"] = [{"id": 0, "weight": 3}, {"id": 1, "weight": 2}]
                scheme["dest_rule"] = "vma_offset" if virtual else draw(st.sampled_from(RULES))
    events = []
    if draw(st.booleans()):
        events.append({"at_us": 90_000, "path": "machine.nodes.1.offline_bytes", "value": 0})
    return {"machine": machine, "workload": workload, "contexts": made, "events": events}


def described(engine: Engine) -> list[Any]:
    """Everything that a run's future depends on."""
    memory, access = engine.memory, engine.access
    arrays = [np.asarray(a).tobytes() for a in memory.arrays]
    tables = [np.asarray(a).tobytes() for a in access.arrays]
    lists = memory.page_lists.state() if memory.page_lists else None
    kdamonds = [(k.regions.rows(), np.asarray(k.schemes).tobytes(), k.rng.state.tobytes()) for k in engine.kdamonds]
    return [arrays, tables, lists, [a.tobytes() for a in memory.offline], kdamonds, access.page_class.tobytes()]


def started(sc: tm.Scenario, seed: int) -> Engine:
    return Engine(sc, seed, actions=scheme_actions, log_moves=500)


@given(wide(), st.integers(0, 3), st.sampled_from(["same", "machine", "rates"]))
@RUNS
def test_what_is_put_back_is_what_would_be_built(data: dict[str, Any], seed: int, change: str) -> None:
    first = tm.Scenario.from_dict(data)
    second = first
    if change == "machine":
        second = first.replace(machine=first.machine.replace(migrate_ns_per_page=7, on_full="try_all", hz=250))
    if change == "rates":
        faster = tuple(replace(g, rate_hz=g.rate_hz + 9) for g in first.workload.groups)
        second = first.replace(workload=first.workload.replace(groups=faster))
    pristine.forget()
    with pristine.reused():
        one = started(first, 3)
        one.run(180_000)
    frames = one.memory.arrays.rec
    for _ in range(2):
        with pristine.reused():
            again, anew = started(second, seed), None
            assert again.memory.arrays.rec is frames
            open_, pristine._shelf.open = pristine._shelf.open, False
            anew = started(second, seed)
            pristine._shelf.open = open_
            assert described(again) == described(anew)
            for engine in (again, anew):
                engine.run(150_000)
            assert described(again) == described(anew)


def test_another_layout_is_built_anew() -> None:
    sc = scenario(pull())
    fewer = sc.replace(workload=sc.workload.replace(n_pages=4000, groups=(), placement=()))
    wider = sc.replace(machine=tm.Machine.dram_cxl("32 MiB", "64 MiB"))
    split = sc.replace(workload=sc.workload.replace(groups=(tm.Group(0, 2000, rate_hz=400.0),)))
    tracked = sc.replace(contexts=sc.contexts * 2)
    for other in (fewer, wider, split, tracked):
        with pristine.reused():
            one = started(sc, 1)
        with pristine.reused():
            two = started(other, 1)
        assert two.memory.arrays.rec is not one.memory.arrays.rec
        assert described(two) == described(started(other, 1))
        pristine.forget()


def kept() -> bool:
    return pristine._shelf.kept is not None


def test_nothing_is_kept_of_a_run_that_fails_or_outside_a_sweep() -> None:
    sc = scenario(pull())
    started(sc, 1)
    assert not kept()
    full = sc.replace(events=(tm.Event(5_000, "machine.nodes.1.offline_bytes", 32 * MIB),))
    with pytest.raises(tm.InputError, match="go offline"), pristine.reused():
        started(full, 1).run(20_000)
    assert not kept()
    with pristine.reused():
        started(sc, 1)
    assert kept()
    started(sc, 1)
    assert kept()  # a run outside leaves it alone
    pristine.forget()
    tm.sweep(sc, {"seed": [1, 2]}, duration="1 s")
    assert not kept()


def test_no_copies_are_made_while_every_run_has_another_layout() -> None:
    sizes = ("32 MiB", "40 MiB", "48 MiB")
    found = []
    for size in (*sizes, sizes[-1], sizes[-1]):
        with pristine.reused():
            started(scenario(pull(), machine=tm.Machine.dram_cxl(size, size)), 1)
        found.append(kept())
    assert found == [True, False, False, True, True]


def test_a_copy_that_does_not_fit_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    sc = scenario(pull())
    frames, pages = 16384, sc.workload.n_pages
    alone = need.needed_bytes(frames, pages, False, False)
    both = need.needed_bytes(frames, pages, False, False, copied=True)
    for limit, fits in ((alone, False), (both - 1, False), (both, True)):
        pristine.forget()
        monkeypatch.setenv(need.LIMIT, str(limit))
        with pristine.reused():
            started(sc, 1)
        assert kept() == fits
    copies = pristine._shelf.kept._copies  # type: ignore[union-attr]
    assert sum(a.nbytes for a in copies.values()) <= both - alone + 1024  # counts of nodes and classes are not estimated


def test_a_worker_counts_on_its_part_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    sc = scenario(pull())
    both = need.needed_bytes(16384, sc.workload.n_pages, False, False, copied=True)
    monkeypatch.setenv(need.LIMIT, str(2 * both - 1))
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    asked = sc.machine, sc.workload.n_pages, False, False
    found = []
    thread = threading.Thread(target=lambda: found.append(need.copy_fits(*asked)))
    thread.start()
    thread.join()
    assert (need.copy_fits(*asked), *found) == (True, False)
    monkeypatch.setattr(process, "_parent_process", object())
    assert not need.copy_fits(*asked)


def test_kept_arrays_are_let_go_before_others_are_built() -> None:
    with pristine.reused():
        one = started(scenario(pull()), 1)
    alive = [1]
    weakref.finalize(one.memory.arrays, alive.clear)
    del one
    gc.collect()
    assert alive
    with pristine.reused():
        started(scenario(push(), machine=tm.Machine.dram_cxl("48 MiB", "32 MiB")), 1)
        gc.collect()
        assert not alive


def restored_after(sc: tm.Scenario, use: Callable[[Engine], None]) -> None:
    pristine.forget()
    with pristine.reused():
        one = started(sc, 1)
        use(one)
    with pristine.reused():
        again = started(sc, 1)
        assert again.memory.arrays.rec is one.memory.arrays.rec
    assert described(again) == described(started(sc, 1))


def test_links_of_free_frames_beside_those_that_come_back_are_put_back() -> None:
    """Node 0 loses its highest 4096 frames, a part of their own; that they come back shows in the part before, too."""
    for allocator in ("fifo", "lifo"):
        first, second = tm.Machine.dram_cxl("64 MiB", "64 MiB", allocator=allocator).nodes
        machine = tm.Machine((first.replace(offline_bytes=16 * MIB), second), allocator=allocator)
        back = tm.Event(5_000, "machine.nodes.0.offline_bytes", 0)
        restored_after(scenario(pull(), machine=machine).replace(events=(back,)), lambda engine: engine.run(20_000))


def test_late_clears_of_accessed_bits_are_put_back() -> None:
    """From tick 2**15 on a clear shows in the pages' own column."""

    def late(engine: Engine) -> None:
        engine.kdamonds[0].tick = 2**20
        engine.kdamonds[0].prepare()

    restored_after(scenario(contexts=(tm.Context(), tm.Context())), late)


def test_a_table_is_made_once_for_each_key_that_runs_ask_for_in_turn() -> None:
    made: list[str] = []

    def ask(key: str) -> str:
        with pristine.reused():
            return pristine.shared(key, lambda: made.append(key) or f"for {key}")  # type: ignore[func-returns-value]

    assert [ask(key) for key in "aabba"] == ["for a", "for a", "for b", "for b", "for a"]
    assert made == ["a", "b", "a"]
    pristine.shared("a", lambda: made.append("outside"))
    assert made[3:] == ["outside"]


def test_nothing_is_out_marked_or_written_in_a_memory_that_was_put_back() -> None:
    memory = started(scenario(tm.Scheme("pageout", quota=tm.Quota(ms=5))), 1).memory
    arrays = replace(memory.arrays, marked=np.zeros(3, np.uint64))
    kept = pristine.Kept("layout", arrays, [])
    for name in ("out", "marked", "dirty", "dirty_pages"):
        assert getattr(arrays, name).size
        getattr(arrays, name)[:] = 1
    back = kept.restored(5)
    assert not any(np.any(getattr(back, name)) for name in ("out", "marked", "dirty", "dirty_pages"))
    assert back.log.tolist() == [0] * 5
