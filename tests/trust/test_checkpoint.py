"""Saved and resumed at any moment is identical to running on; a damaged file is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from scenarios import scenarios
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel.errors import InputError
from tieringmodel.simulation import checkpoint
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.recorder import Recorder
from tieringmodel.simulation.simulate import scheme_actions, simulate

RUNS = settings(
    max_examples=20,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)


def started(sc: tm.Scenario) -> tuple[Engine, Recorder]:
    recorder = Recorder(50, 20)
    engine = Engine(sc, 9, observer=recorder, actions=scheme_actions, log_moves=1000)
    recorder.engine = engine
    recorder.record()
    return engine, recorder


def everything(engine: Engine, recorder: Recorder, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a checkpoint holds, by value; frames are left out: of a kdamond that sleeps they are what happens to be there."""
    tree, arrays = checkpoint.read(checkpoint.save(folder / "state.npz", engine, recorder))
    kept = [n for n in arrays if n == "memory.frames" or not n.endswith(".frames")]
    return tree, {n: (arrays[n].dtype, arrays[n].shape, arrays[n].tobytes()) for n in kept}


@given(
    scenarios(min_contexts=1), st.lists(st.integers(1, 600_000), min_size=1, max_size=3),
    st.sampled_from(["none", "weights", "event", "commits", "watermarks"]),
)  # fmt: skip
@RUNS
def test_saved_and_resumed_is_running_on(tmp_path: Path, data: dict[str, Any], stops: list[int], extra: str) -> None:
    schemes = [s for c in data["contexts"] for s in c["schemes"]]
    if extra == "weights":
        for s in schemes:
            rule = ["vma_offset", "iid", "first", "per_node"][len(s["filters"])]
            s |= {"action": "migrate_hot", "dests": [{"id": 0, "weight": 3}, {"id": 1, "weight": 2}], "dest_rule": rule}
    if extra == "event" and schemes and data["contexts"][0]["schemes"]:
        data["events"] = [
            {"at_us": 90_000, "path": "contexts.0.schemes.0.quota.sz_bytes", "value": 8192},
            {"at_us": 250_000, "path": "contexts.0.attrs.max_nr_regions", "value": 90},
        ]
    if extra == "commits":
        first = data["contexts"][0]
        some, more = first["schemes"][:1], [*first["schemes"], {"action": "stat"}]
        data["commits"] = [
            {"at_us": at_us, "context": 0, "to": {**first, "schemes": to}} for at_us, to in ((90_000, some), (250_000, more))
        ]
    if extra == "watermarks":
        data["machine"]["percpu_lists"] = (data["machine"]["buddy"] or {"cpus": 2})["cpus"]
        for s in schemes:
            s["watermarks"] = {"metric": "free_mem_rate", "interval_us": 7000, "high": 900, "mid": 500, "low": 5}
    sc = tm.Scenario.from_dict(data)
    straight, records = started(sc)
    straight.run_to(600_000_000)
    engine, recorder = started(sc)
    path = tmp_path / "run.npz"
    for stop in sorted(stops):
        engine.run_to(max(stop * 1000, engine.memory.now_ns))
        checkpoint.save(path, engine, recorder)
        recorder = Recorder(50, 20)
        engine = checkpoint.load(path, recorder, observer=recorder, actions=scheme_actions, log_moves=1000)
    engine.run_to(600_000_000)
    assert everything(engine, recorder, tmp_path) == everything(straight, records, tmp_path)
    xr.testing.assert_identical(recorder.dataset(), records.dataset())


SMALL = scenario(pull(), push(), name="checkpointed")


def test_an_interrupted_simulation_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = simulate(SMALL, duration=3, seed=5, progress=False)
    path, save, saved = tmp_path / "run.ckpt", checkpoint.save, []

    def save_and_stop(*arguments: Any) -> None:
        save(*arguments)
        saved.append(arguments)
        if len(saved) == 40:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        simulate(SMALL, duration=3, seed=5, progress=False, checkpoint=path, checkpoint_s=0.0)
    again = simulate(SMALL, duration=3, seed=5, progress=False, checkpoint=path, checkpoint_s=0.0)
    xr.testing.assert_identical(again, whole)
    assert len(saved) == 100
    xr.testing.assert_identical(simulate(SMALL, duration=3, seed=5, progress=False, checkpoint=path), whole)
    with pytest.raises(InputError, match="belongs to a run with another parameters"):
        simulate(SMALL, duration=4, seed=5, progress=False, checkpoint=path)
    with pytest.raises(InputError, match="belongs to a run with another scenario"):
        simulate(SMALL.replace(name="x"), duration=3, seed=5, progress=False, checkpoint=path)
    with pytest.raises(InputError, match="does not go without contexts"):
        simulate(SMALL.replace(contexts=()), duration=3, checkpoint=path)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    engine, recorder = started(SMALL)
    engine.run_to(300_000_000)
    return checkpoint.save(tmp_path_factory.mktemp("good") / "a.npz", engine, recorder).read_bytes()


@given(st.data())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_damage_is_noticed(tmp_path: Path, good: bytes, data: st.DataObject) -> None:
    path, raw = tmp_path / "a.npz", bytearray(good)
    at = data.draw(st.integers(0, len(raw) - 1))
    if data.draw(st.booleans()):
        raw[at] ^= data.draw(st.integers(1, 255))
    else:
        del raw[at:]
    path.write_bytes(raw)
    try:
        engine = checkpoint.load(path, actions=scheme_actions, log_moves=1000)
    except InputError:
        return
    # What is left are the archive's own fields that nobody reads, such as dates.
    path.write_bytes(good)
    same = checkpoint.load(path, actions=scheme_actions, log_moves=1000)
    assert (engine.memory.owner_crc32(), engine.memory.now_ns) == (same.memory.owner_crc32(), 300_000_000)


def forged(path: Path, good: bytes, change: Any) -> None:
    """A checkpoint with a right digest and wrong contents."""
    path.write_bytes(good)
    tree, arrays = checkpoint.read(path)
    arrays = {n: a.copy() for n, a in arrays.items()}
    change(tree, arrays)
    text = json.dumps(tree)
    np.savez(path, digest=np.array(checkpoint._digest(arrays, text)), json=np.frombuffer(text.encode(), np.uint8), **arrays)


def put(name: str, at: Any, value: Any) -> Any:
    def change(tree: dict[str, Any], arrays: dict[str, Any]) -> None:
        arrays[name][at] = value

    return change


def tree_put(name: str, value: Any) -> Any:
    return lambda tree, arrays: tree.__setitem__(name, value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (put("memory.rec", 0, 2**32 - 1), "every page once"),
        (put("memory.rec", 5000, 1), "every page once"),
        (put("memory.base", 1, 0), "memory.base is not that of the machine"),
        (put("memory.by_class", (0, 0), 9), "by_class of its memory"),
        (put("memory.lru_bits", 0, 5), "lru_bits of its memory"),
        (put("memory.free_512", 0, 7), "contradict its bitmaps"),
        (put("memory.node", 0, 0), "policy|key|try_all"),
        (put("kdamonds.0.regions.ptr", 1, 3), "does not divide the regions"),
        (put("kdamonds.0.regions.start", 0, 2**63), "empty region"),
        (lambda t, a: a.__setitem__("memory.rec", a["memory.rec"][:-1]), "memory.rec is uint64"),
        (lambda t, a: a.pop("memory.rec"), "memory.rec"),
        (lambda t, a: a.pop("kdamonds.0.rng.0"), "kdamonds.0.rng.0"),
        (tree_put("scenario", "{"), "is not valid JSON"),
        (tree_put("version", "0.0.1"), "was written by another build"),
        (tree_put("kernels", "?"), "was written by another build"),
        (tree_put("format", 1), "was written by another build"),
        (tree_put("seed", "x"), "does not fit"),
        (tree_put("clocks", [1]), "does not fit"),
        (tree_put("kdamonds", []), "does not fit"),
        (lambda t, a: t.pop("recorder"), "holds no records"),
    ],
)
def test_forged_checkpoints_are_refused(tmp_path: Path, good: bytes, change: Any, says: str) -> None:
    path = tmp_path / "a.npz"
    forged(path, good, change)
    recorder = Recorder(50, 20)
    with pytest.raises(InputError, match=says):
        checkpoint.load(path, recorder, observer=recorder, actions=scheme_actions, log_moves=1000)


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    for name, content in {"a": b"", "b": b"PK", "c": b"\x80\x04pickle"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="is no checkpoint"):
            checkpoint.read(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        checkpoint.read(tmp_path / "none")
    np.savez_compressed(tmp_path / "z.npz", a=np.zeros(10**6))
    with pytest.raises(InputError, match="compressed"):
        checkpoint.read(tmp_path / "z.npz")


def test_lists_of_free_pages_go_on_too(tmp_path):
    """MemFree lags by what the lists hold; a resumed run must not forget it."""
    push = tm.Scheme(
        "migrate_cold", target_nid=1, access_pattern=tm.AccessPattern(max_nr_accesses=0),
        quota=tm.Quota(
            sz_bytes=1 << 17, reset_interval_ms=200, goal_tuner="temporal", goals=(tm.Goal("node_mem_free_bp", 5000, nid=0),)
        ),
    )  # fmt: skip
    nodes = (tm.Node(0, 0, 64 << 20, percpu_pages=300), tm.Node(1, 64 << 20, 64 << 20))
    scenario = tm.Scenario(tm.Machine(nodes, percpu_lists=2), tm.Workload(8500), (tm.Context(schemes=(push,)),))
    straight = Engine(scenario, 3)
    straight.run(6_000_000)
    first = Engine(scenario, 3)
    first.run(3_000_000)
    resumed = checkpoint.load(checkpoint.save(tmp_path / "c", first))
    resumed.run(3_000_000)
    assert straight.memory.page_lists.held().sum() > 0
    assert resumed.memory.page_lists.state() == straight.memory.page_lists.state()
    assert resumed.memory.owner_crc32() == straight.memory.owner_crc32()


def test_sources_of_hotness_cannot_be_kept(tmp_path):
    context = tm.Context(sources=(tm.SourceOfHotness("instruction_samples"),))
    scenario = tm.Scenario(tm.Machine.dram_cxl("4 MiB", "4 MiB"), tm.Workload(100), (context,))
    with pytest.raises(tm.InputError, match="sources"):
        checkpoint.save(tmp_path / "c", Engine(scenario))
