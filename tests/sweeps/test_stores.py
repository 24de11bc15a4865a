"""Stores: written as points finish, resumed after a kill, refused when they belong to something else."""

from __future__ import annotations

import errno
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from small import pull, push, scenario
from sweep_measures import final

import tieringmodel as tm
from tieringmodel.simulation.simulate import simulate
from tieringmodel.sweeps import sweep as module

pytestmark = pytest.mark.filterwarnings("ignore:.* points failed; the first")

SC = scenario(pull(), push())
QUOTA = "contexts.0.schemes.0.quota.sz_bytes"
DESIGN: dict[str, Any] = {QUOTA: ["64 KiB", "1 MiB", "2 MiB"], "seed": range(4)}
COMPLETE: dict[str, Any] = {"duration": "2 s", "series": ("share_bp", "used_pages")}


def run(store: Path | None = None, **options: Any) -> xr.Dataset:
    return tm.sweep(SC, DESIGN, store=store, **(COMPLETE | options))


@pytest.fixture(scope="module")
def swept() -> xr.Dataset:
    return run()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, swept: xr.Dataset) -> Path:
    path = tmp_path_factory.mktemp("whole") / "s.zarr"
    xr.testing.assert_identical(run(path), swept)
    return path


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "s.zarr"))


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def forget(path: Path, points: list[tuple[int, ...]]) -> None:
    """Make these points look as if the sweep had been killed before they were written."""
    group = zarr.open_group(path, mode="r+")
    done = group["done"]
    for at in points:
        done[at] = False


def count_runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    seeds: list[int] = []
    original = module.run_point

    def counted(job: Any, changes: Any, seed: int) -> Any:
        seeds.append(changes["seed"])
        return original(job, changes, seed)

    monkeypatch.setattr(module, "run_point", counted)
    return seeds


def test_the_store_is_the_dataset(whole: Path, swept: xr.Dataset) -> None:
    with xr.open_zarr(whole) as stored:
        xr.testing.assert_identical(stored.load(), swept)
        assert stored["migrated_pages"].dtype == np.int64
        assert stored["used_pages"].dtype == swept["used_pages"].dtype


def test_values_are_on_disk_before_their_points_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tieringmodel.sweeps import store

    synced: list[set[str]] = []

    def to_disk(given: set[Path]) -> None:
        synced.append({str(p.relative_to(tmp_path)) for p in given if p.stat().st_size})
        real(given)

    real = store.to_disk
    monkeypatch.setattr(store, "to_disk", to_disk)
    monkeypatch.setattr(store, "UNSYNCED_S", -1.0)
    ds = tm.sweep(SC, {"seed": range(2)}, duration="0.2 s", store=tmp_path, measure=final, progress=False)
    assert synced[1::2] == [{"done/c/0"}] * (len(synced) // 2)
    for values in synced[::2]:
        assert values == {f"{name}/c/0" for name in ds.data_vars if name != "done"}


def test_a_finished_sweep_runs_nothing_again(copy: Path, swept: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    before, seeds = files(copy), count_runs(monkeypatch)
    xr.testing.assert_identical(run(copy), swept)
    assert seeds == []
    assert files(copy) == before


def test_only_what_is_missing_is_run(copy: Path, whole: Path, swept: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    forget(copy, [(0, 1), (2, 3)])
    (copy / "kind/c/0/0.aaaa.partial").write_bytes(b"left by a kill")
    seeds = count_runs(monkeypatch)
    xr.testing.assert_identical(run(copy), swept)
    assert seeds == [1, 3]
    assert files(copy) == files(whole)


def test_what_fails_is_kept_across_a_resume(tmp_path: Path) -> None:
    design = {"contexts.0.attrs.min_nr_regions": [10, 300], "contexts.0.attrs.max_nr_regions": [100, 400]}
    options: dict[str, Any] = {"duration": "1 s", "measure": final}
    expected = tm.sweep(SC, design, **options)
    assert (expected["error"] != "").sum() == 1
    path = tmp_path / "s.zarr"
    tm.sweep(SC, design, store=path, **options)
    forget(path, [(0, 0)])
    again = tm.sweep(SC, design, store=path, **options)
    xr.testing.assert_identical(again, expected)


KILLED = """
import sys
from pathlib import Path
import tieringmodel as tm
from tieringmodel.sweeps import sweep as module
from slow_points import slow_point
from test_stores import COMPLETE, DESIGN, SC
module.WRITE_EVERY_S = 0.0
module.run_point = slow_point
if __name__ == "__main__":
    executor = sys.argv[2]
    options = {"workers": 2} if executor == "processes" else {}
    tm.sweep(SC, DESIGN, store=sys.argv[1], executor=executor, **{**COMPLETE, "duration": "30 s"}, **options)
"""


@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_a_killed_sweep_goes_on_and_ends_as_if_nothing_had_happened(executor: str, tmp_path: Path) -> None:
    script, store = tmp_path / "script.py", tmp_path / "s.zarr"
    script.write_text(KILLED)
    here = Path(__file__).parent
    paths = [str(here.parents[1]), str(here.parent), str(here)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    began = subprocess.Popen([sys.executable, script, store, executor], env=environment)
    limit = time.monotonic() + 300
    while _done(store) == 0 and began.poll() is None and time.monotonic() < limit:
        time.sleep(0.01)
    began.send_signal(signal.SIGKILL)
    assert began.wait() == -signal.SIGKILL
    n = _done(store)
    assert 0 < n < 12
    resumed = run(store, duration="30 s")
    assert resumed["done"].all()
    fresh = tmp_path / "fresh.zarr"
    xr.testing.assert_identical(resumed, run(fresh, duration="30 s"))
    assert files(store) == files(fresh)


def _done(store: Path) -> int:
    """Points that a store counts as finished; 0 before there is one."""
    try:
        return int(np.asarray(zarr.open_group(store, mode="r")["done"][...]).sum())
    except (FileNotFoundError, KeyError):
        return 0


def test_ctrl_c_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swept: xr.Dataset) -> None:
    path, count = tmp_path / "s.zarr", [0]
    from tieringmodel.simulation import simulate as home

    def impatient(*arguments: Any, **options: Any) -> xr.Dataset:
        count[0] += 1
        if count[0] == 6:
            raise KeyboardInterrupt
        return simulate(*arguments, **options)

    monkeypatch.setattr(home, "simulate", impatient)
    with pytest.raises(KeyboardInterrupt, match=r"5 of 12 points are finished, the same call goes on from .*s.zarr"):
        run(path)
    assert _done(path) == 5
    xr.testing.assert_identical(run(path), swept)


# ---- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"duration": "3 s"}, "holds a sweep with another duration_s; name another store"),
        ({"series": ()}, "with another series"),
        ({"measure": final, "snapshots": 1}, "with another measure and another snapshots"),
    ],
)
def test_another_sweep_is_refused(options: dict[str, Any], expected: str, copy: Path) -> None:
    before = files(copy)
    with pytest.raises(tm.InputError) as caught:
        run(copy, **options)
    assert expected in str(caught.value)
    assert files(copy) == before


def test_another_design_or_scenario_is_refused(copy: Path) -> None:
    with pytest.raises(tm.InputError, match="with another design;"):
        tm.sweep(SC, DESIGN | {"seed": range(5)}, store=copy, **COMPLETE)
    with pytest.raises(tm.InputError, match="with another scenario;"):
        tm.sweep(scenario(pull(5000), push()), DESIGN, store=copy, **COMPLETE)


# ---- other code -------------------------------------------------------------------------------------------------------


def of_other_code(path: Path) -> None:
    """Make a store look as if another build of the package had made it."""
    group = zarr.open_group(path, mode="r+", use_consolidated=False)
    codes = [code | {"tieringmodel": "0" * 16} for code in json.loads(str(group.attrs["code"]))]
    group.attrs.update({"code": json.dumps(codes), "tieringmodel": "0.0.1"})


def test_points_of_other_code_are_run_again(copy: Path, swept: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    forget(copy, [(0, 1), (2, 3)])
    of_other_code(copy)
    seeds = count_runs(monkeypatch)
    with pytest.warns(UserWarning, match="of 12 points 10 were made with other code of tieringmodel; they are computed again"):
        xr.testing.assert_identical(run(copy), swept)
    assert len(seeds) == 12
    assert [p.name for p in copy.parent.iterdir()] == ["s.zarr"]
    xr.testing.assert_identical(run(copy), swept)
    assert len(seeds) == 12


def test_points_of_other_code_stay_if_asked(copy: Path, swept: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    forget(copy, [(0, 1), (2, 3)])
    of_other_code(copy)
    seeds = count_runs(monkeypatch)
    with pytest.warns(UserWarning, match="of 12 points 10 were made with other code of tieringmodel; they are kept"):
        mixed = run(copy, keep_old=True)
    assert seeds == [1, 3]
    assert len(json.loads(mixed.attrs["code"])) == 2
    xr.testing.assert_equal(mixed, swept)
    with xr.open_zarr(copy) as stored:
        xr.testing.assert_identical(stored.load(), mixed)
    with pytest.warns(UserWarning, match="of 12 points 12 were made .* computed again"):  # which are old is not known
        xr.testing.assert_identical(run(copy), swept)


def test_a_measure_that_reads_other_values_is_run_again(tmp_path: Path) -> None:
    path = tmp_path / "s.zarr"
    for factor in (1, 2):
        measure = functools.partial(scaled, factor=factor)
        options: dict[str, Any] = {"measure": measure, "duration": "1 s"}
        expected = tm.sweep(SC, {"seed": range(3)}, **options)
        if factor == 1:
            xr.testing.assert_identical(tm.sweep(SC, {"seed": range(3)}, store=path, **options), expected)
        else:
            with pytest.warns(UserWarning, match="of 3 points 3 were made with another measure"):
                again = tm.sweep(SC, {"seed": range(3)}, store=path, **options)
            xr.testing.assert_identical(again, expected)


def scaled(ds: xr.Dataset, factor: int) -> dict[str, Any]:
    return {"x": factor * ds.attrs["seed"], **({"y": "more"} if factor == 2 else {})}


@pytest.mark.parametrize("order", [range(4), [3, 2, 1, 0], [1, 3, 0, 2]])
@pytest.mark.parametrize("every_s", [0.0, 1e9])
def test_whole_numbers_become_fractions_in_any_order(
    order: Any, every_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WRITE_EVERY_S", every_s)  # after each point, or all at the end
    path = tmp_path / "s.zarr"
    ds = tm.sweep(SC, {"seed": order}, measure=mixed_kinds, duration="0.3 s", store=path)
    assert ds["x"].dtype == float
    assert ds["n"].dtype == np.int64
    assert ds["x"].sel(seed=range(4)).values.tolist() == [0.0, 1.0, 2.75, 3.0]
    told = ds["error"].sel(seed=range(4)).values.tolist()
    assert told[:3] == ["", "", ""]
    assert told[3] == ""
    with xr.open_zarr(path) as stored:
        xr.testing.assert_identical(stored.load(), ds)


def mixed_kinds(ds: xr.Dataset) -> dict[str, Any]:
    seed = int(ds.attrs["seed"])
    return {"x": 2.75 if seed == 2 else seed, "n": seed, "t": "x" * (1 + 10 * seed)}


@pytest.mark.parametrize("order", [range(3), [2, 1, 0]])
def test_numbers_that_no_float_holds_fail_beside_fractions(order: Any) -> None:
    ds = tm.sweep(SC, {"seed": order}, measure=large, duration="0.3 s").sel(seed=range(3))
    assert ds["x"].values[[0, 2]].tolist() == [1.0, 0.5]
    assert np.isnan(ds["x"].values[1])
    assert ds["n"].values.tolist() == [0, -1, 2]
    said = f"measure: returned x={2**53 + 1}, too large for the float that other points have; return floats or texts in all"
    assert ds["error"].values.tolist() == ["", said, ""]


def large(ds: xr.Dataset) -> dict[str, Any]:
    seed = int(ds.attrs["seed"])
    return {"x": [1, 2**53 + 1, 0.5][seed], "n": seed}


def test_a_kill_while_numbers_become_fractions_loses_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_EVERY_S", 0.0)
    options: dict[str, Any] = {"measure": mixed_kinds, "duration": "0.3 s"}
    expected = tm.sweep(SC, {"seed": range(4)}, **options)
    from tieringmodel.sweeps.store import Store

    def stop(*_: Any) -> None:
        raise SystemExit("killed")

    for name in ("_declare", "write"):  # before the column is made anew, and before it is filled
        path, changing, original = tmp_path / f"{name}.zarr", [False], Store.declare
        whole = getattr(Store, name)

        def declare(self: Any, variables: Any, coords: Any, changing: Any = changing, original: Any = original) -> bool:
            changing[0] = "x" in self.group and self.group["x"].dtype != variables["x"][1].dtype
            return bool(original(self, variables, coords))

        def once(self: Any, *rest: Any, changing: Any = changing, whole: Any = whole) -> Any:
            return stop() if changing[0] else whole(self, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(Store, "declare", declare)
            patch.setattr(Store, name, once)
            with pytest.raises(SystemExit):
                tm.sweep(SC, {"seed": range(4)}, store=path, **options)
        xr.testing.assert_identical(tm.sweep(SC, {"seed": range(4)}, store=path, **options), expected)


def test_two_sweeps_do_not_share_a_store(copy: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    handle = os.open(copy, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(tm.InputError, match="is being written by another sweep"):
        run(copy)
    os.close(handle)
    run(copy)


def test_other_things_in_the_way_are_left_alone(tmp_path: Path) -> None:
    file, folder, foreign = tmp_path / "file", tmp_path / "folder", tmp_path / "foreign.zarr"
    file.write_text("mine")
    folder.mkdir()
    (folder / "mine").write_text("mine")
    zarr.open_group(foreign, mode="w", attributes={"kind": "else"})
    for path in (file, folder, foreign):
        before = files(tmp_path)
        with pytest.raises(tm.InputError, match="exists and is not a sweep's store; name another place"):
            run(path)
        assert files(tmp_path) == before
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty")["done"].all()


def damaged(name: str, how: str, copy: Path) -> None:
    file = copy / name
    content = file.read_bytes()
    if how == "gone":
        file.unlink()
    elif how == "short":
        file.write_bytes(content[: len(content) // 2])
    else:
        file.write_bytes(bytes([content[0] ^ 1]) + content[1:])


@pytest.mark.parametrize("how", ["gone", "short", "flipped"])
@pytest.mark.parametrize("name", ["done/c/0/0", "error/c/0/0", "migrated_pages/c/0/0", "kind/c/0/0", "share_bp/c/0/0/0",
                                  "done/zarr.json"])  # fmt: skip
def test_damage_is_told_in_one_sentence(name: str, how: str, copy: Path) -> None:
    damaged(name, how, copy)
    if name == "done/c/0/0" and how == "gone":  # as if nothing had been run yet
        assert run(copy)["done"].all()
        return
    with pytest.raises(tm.InputError, match=r"s.zarr: is damaged \(.*\); remove it and run the sweep again") as caught:
        run(copy)
    assert "\n" not in str(caught.value)


def test_broken_attributes_are_damage(copy: Path) -> None:
    (copy / "zarr.json").write_text("{")
    with pytest.raises(tm.InputError, match="is damaged"):
        run(copy)
    (copy / "zarr.json").write_text(json.dumps({"attributes": 3}))
    with pytest.raises(tm.InputError, match="is damaged"):
        run(copy)


def test_a_full_disk_is_told_and_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swept: xr.Dataset) -> None:
    path, count = tmp_path / "s.zarr", [0]
    monkeypatch.setattr(module, "WRITE_EVERY_S", 0.0)
    from zarr.storage import LocalStore

    original = LocalStore.set

    async def full(self: Any, key: str, value: Any) -> None:
        count[0] += 1
        if count[0] > 150:
            raise OSError(errno.ENOSPC, "No space left on device")
        await original(self, key, value)

    monkeypatch.setattr(LocalStore, "set", full)
    with pytest.raises(tm.TieringError, match=r"s.zarr: No space left on device; what was finished before is safe"):
        run(path)
    monkeypatch.undo()
    n = _done(path)
    assert 0 < n < 12
    xr.testing.assert_identical(run(path), swept)
