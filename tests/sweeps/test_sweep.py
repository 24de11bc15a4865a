"""Sweeps: one dataset of many runs, the same bits on every executor."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from small import MIB, pull, push, scenario
from sweep_measures import deadly, final, picky

import tieringmodel as tm
from tieringmodel.scenario.controlled import Controlled, controlled
from tieringmodel.sweeps import executors
from tieringmodel.verdicts.row import row_of
from tieringmodel.verdicts.target import share_bp

pytestmark = pytest.mark.filterwarnings("ignore:.* points failed; the first")

SC = scenario(pull(), push())
QUOTA = "contexts.0.schemes.0.quota.sz_bytes"
TARGET = "contexts.0.schemes.0.quota.goals.0.target_value"
DESIGN: dict[Any, Any] = {QUOTA: ["64 KiB", "1 MiB"], TARGET: [3000, 6000], "seed": range(3)}
SERIES = ("share_bp", "used_pages", "esz_bytes")


def run(executor: Any = "serial", **options: Any) -> xr.Dataset:
    return tm.sweep(SC, DESIGN, duration="5 s", series=SERIES, every="0.5 s", executor=executor, **options)


@pytest.fixture(scope="module")
def swept() -> xr.Dataset:
    return run()


def at_point(quota: int, target: int) -> tm.Scenario:
    return scenario(pull(target, sz_bytes=quota), push())


def test_every_point_is_the_simulation_of_its_scenario(swept: xr.Dataset) -> None:
    assert swept["kind"].dims == (QUOTA, TARGET, "seed")
    assert swept["used_pages"].dims == (QUOTA, TARGET, "seed", "time", "node")
    assert swept[QUOTA].values.tolist() == [65536, MIB]
    np.testing.assert_allclose(swept["time"], np.arange(11) / 2, rtol=1e-15)
    for quota in (65536, MIB):
        for target in (3000, 6000):
            for seed in range(3):
                one = at_point(quota, target)
                ds = tm.simulate(one, duration="5 s", seed=seed)
                got = swept.sel({QUOTA: quota, TARGET: target, "seed": seed})
                what = controlled(one)
                assert what == Controlled("access", 0, target, 6000 if target < 6000 else None)
                time, y, moved = ds["time"].values, share_bp(ds, what), ds["migrated_pages"].values
                reference = what.reference_bp(y[-1])
                found = tm.verdict(ds)
                row = row_of(ds, y, 2048, reference, found)
                for name in ("kind", "cause", "fix", "settled", "settling_s", "share_error_bp", "residual_mib_s"):
                    assert got[name].item() == getattr(row, name), name
                assert got["migrated_pages"].item() == moved.sum()
                assert got["migrated_mib_s"].item() == pytest.approx(moved.sum() / 256 / 5)
                assert got["target_bp"].item() == target
                late = y[time >= found.numbers["tail_s"] - 1e-9]
                assert got["share_mean_bp"].item() == pytest.approx(late.mean())
                assert got["share_sd_bp"].item() == pytest.approx(late.std())
                assert got["overshoot_bp"].item() == max(0.0, y.max() - reference)  # it starts at 0
                at = [max(k for k, t in enumerate(time) if t <= g + 1e-9) for g in np.arange(11) / 2]
                np.testing.assert_array_equal(got["share_bp"], y[at])
                np.testing.assert_array_equal(got["used_pages"], ds["used_pages"].values[at])
                np.testing.assert_array_equal(got["esz_bytes"], ds["esz_bytes"].values[at])


def test_the_dataset_describes_itself(swept: xr.Dataset) -> None:
    for name in swept.data_vars:
        assert {"units", "long_name", "source"} <= set(swept[name].attrs), name
    assert swept[QUOTA].attrs["units"] == "bytes"
    assert swept.attrs["kind"] == "sweep"
    assert tm.Scenario.from_json(swept.attrs["scenario"]) == SC
    assert "seed" not in swept.attrs
    assert swept["done"].all()
    assert (swept["error"] == "").all()
    assert swept["migrated_pages"].dtype == np.int64
    assert swept["esz_bytes"].dtype == np.uint64


def test_points_of_a_seed_see_the_same_accesses() -> None:
    """Common random numbers: what differs between two settings is due to the settings alone."""
    without_effect = {"contexts.0.attrs.update_us": [10**6, 10**7], "seed": [4, 5]}
    share = tm.sweep(SC, without_effect, duration="3 s", series=["share_bp"], every="0.1 s")["share_bp"]
    np.testing.assert_array_equal(share[0], share[1])
    assert (share[0, 0] != share[0, 1]).any()


def test_processes_and_threads_give_the_same_bits(swept: xr.Dataset) -> None:
    xr.testing.assert_identical(run("processes", workers=2), swept)
    for workers in (1, 3):
        with ThreadPoolExecutor(workers) as pool:
            xr.testing.assert_identical(run(pool), swept)


def test_runs_take_over_what_the_last_one_left_in_any_order() -> None:
    """Axes that change where pages lie between axes that do not: all points are the runs of their own scenarios."""
    dealt = tm.Scheme("migrate_hot", dests=(tm.Dest(0, 3), tm.Dest(1, 2)), dest_rule="iid")
    base, cost = scenario(pull(), dealt), "machine.migrate_ns_per_page"
    design = {cost: [0, 2000], "machine.allocator": ["lowest", "random"], QUOTA: ["64 KiB", "1 MiB"], "seed": [3, 4]}
    options: dict[str, Any] = {"duration": "1 s", "measure": final, "series": ["used_pages"], "every": "0.1 s"}
    forwards = tm.sweep(base, design, **options)
    with ThreadPoolExecutor(2) as pool:
        xr.testing.assert_identical(tm.sweep(base, design, executor=pool, **options), forwards)
    turned = tm.sweep(base, dict(reversed(design.items())), **options)  # the axis that changes fastest comes first
    for name in ("used_pages", "share", "moved_any"):
        np.testing.assert_array_equal(turned[name].transpose(*forwards[name].dims), forwards[name])
    for ns in (0, 2000):
        for allocator in ("lowest", "random"):
            for quota in (65536, MIB):
                machine = base.machine.replace(migrate_ns_per_page=ns, allocator=allocator)
                one = scenario(pull(sz_bytes=quota), dealt, machine=machine)
                for seed in (3, 4):
                    ds = tm.simulate(one, duration="1 s", seed=seed)
                    got = forwards.sel({cost: ns, "machine.allocator": allocator, QUOTA: quota, "seed": seed})
                    at = [max(k for k, t in enumerate(ds["time"].values) if t <= g + 1e-9) for g in np.arange(11) / 10]
                    np.testing.assert_array_equal(got["used_pages"], ds["used_pages"].values[at])
                    assert got["share"].item() == final(ds)["share"]


class Backwards(Executor):
    """Runs what it was given only when asked for a result, the last first."""

    def __init__(self) -> None:
        self.stack: list[tuple[Future[Any], Any, Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.stack.append((future, fn, args))
        return future

    def work(self) -> None:
        while self.stack:
            future, fn, args = self.stack.pop()
            future.set_result(fn(*args))


def test_the_order_of_finishing_decides_nothing(swept: xr.Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pool = Backwards()
    wait = executors.cf.wait
    monkeypatch.setattr(executors.cf, "wait", lambda *a: (pool.work(), wait(*a))[1])
    xr.testing.assert_identical(run(pool, store=tmp_path / "s.zarr"), swept)
    # Seed 0 fails, so seed 1 says that n is an integer and seed 3's fraction does not fit, in any order.
    expected = tm.sweep(SC, {"seed": range(5)}, duration="1 s", measure=picky)
    again = tm.sweep(SC, {"seed": range(5)}, duration="1 s", measure=picky, executor=pool)
    xr.testing.assert_identical(again, expected)
    assert expected["n"].values.tolist() == [-1, 1, 1, -1, 1]
    assert expected["n"].dtype == np.int64
    assert expected["error"].values.tolist() == [
        "ValueError: no luck with 0", "", "",
        "measure: returned n='many', another kind of value than in the first point", "",
    ]  # fmt: skip


def test_a_measure_of_ones_own() -> None:
    found = tm.sweep(SC, {TARGET: [1000, 6000]}, duration="5 s", seed=3, measure=final)
    for k, target in enumerate((1000, 6000)):
        ds = tm.simulate(at_point(MIB, target), duration="5 s", seed=3)
        assert {n: found[n].values[k] for n in ("used", "share", "moved_any", "word")} == final(ds)
    assert found["used"].dtype == np.int64
    assert found.attrs["seed"] == 3
    assert {*found.data_vars} == {"used", "share", "moved_any", "word", "error", "done"}


def test_a_point_that_fails_keeps_its_error_and_the_others_go_on() -> None:
    alone = {"contexts.0.attrs.min_nr_regions": [10, 300], "contexts.0.attrs.max_nr_regions": [100, 400]}
    with pytest.warns(UserWarning, match="1 of 4 points failed; the first: contexts.0..attrs"):
        found = tm.sweep(SC, alone, duration="1 s")
    assert (found["error"] != "").values.tolist() == [[False, False], [True, False]]
    assert "contexts[0].attrs.max_nr_regions: 100 is below min_nr_regions 300" in found["error"].values[1, 0]
    assert np.isnan(found["share_mean_bp"].values[1, 0])
    assert found["kind"].values[1, 0] == ""
    with pytest.raises(tm.TieringError, match=r"point 2 of 4 \(contexts.0.attrs.min_nr_regions = 300, .*is below"):
        tm.sweep(SC, alone, duration="1 s", on_error="raise")


def test_every_point_may_fail() -> None:
    base = scenario(pull(metric="user_input"), push())
    with pytest.raises(tm.TieringError, match=r"every point failed \(2\); the first: RuntimeError: no"):
        tm.sweep(base, {"machine.hz": [100, 1000]}, duration="1 s", measure=_no)


def _no(_: xr.Dataset) -> dict[str, Any]:
    raise RuntimeError("no")


@pytest.mark.parametrize("returned", [{}, 3, {"a": [1, 2]}, {"a": None}, {1: 2}, {"a": 2**63}])
def test_measures_that_cannot_be_kept(returned: Any) -> None:
    with pytest.raises(tm.TieringError, match="the first: measure: returned "):
        tm.sweep(SC, {"seed": [1]}, duration="0.1 s", measure=lambda _: returned)


# ---- processes that die -----------------------------------------------------------------------------------------------


def test_processes_that_die_are_replaced_and_only_the_guilty_point_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEP_TEST_MARK", str(tmp_path / "mark"))
    found = tm.sweep(SC, {"seed": range(6)}, duration="1 s", measure=deadly, executor="processes", workers=2)
    assert (tmp_path / "mark").exists()
    assert found["error"].values.tolist() == ["", "", executors.DIED, "", "", ""]
    others = tm.sweep(SC, {"seed": [0, 1, 3, 4, 5]}, duration="1 s", measure=deadly)
    np.testing.assert_array_equal(found["moved"].sel(seed=others["seed"]), others["moved"])
    with ProcessPoolExecutor(1, get_context("spawn")) as pool, pytest.raises(tm.TieringError, match="its workers are gone"):
        tm.sweep(SC, {"seed": [2, 3]}, duration="1 s", measure=deadly, executor=pool)


def test_a_script_without_a_guard_can_start_processes(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import tieringmodel as tm\nfrom small import *\nprint('once')\n"
        "found = tm.sweep(scenario(pull()), {'seed': range(2)}, duration='1 s', executor='processes', workers=2)\n"
        "print((found.error == '').all().item())\n"
    )
    tests = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tests.parent), str(tests)])}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert (done.stdout, done.stderr) == ("once\nTrue\n", "")
    script.write_text(
        "import tieringmodel as tm\nfrom small import *\ndef m(ds): return {'a': 1}\ntry:\n"
        "    tm.sweep(scenario(pull()), {'seed': range(2)}, duration='1 s', executor='processes', workers=2, measure=m)\n"
        "except tm.TieringError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert "worker processes end while they start; call sweep below 'if __name__ ==" in done.stdout


# ---- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"duration": "soon"}, "duration: 'soon'"),
        ({"seed": -1}, "seed: -1"),
        ({"executor": "cloud"}, "executor: 'cloud' runs nothing; write 'serial'"),
        ({"executor": "serial", "workers": 2}, "workers: 2 does not fit executor 'serial'"),
        ({"executor": "processes", "workers": 0}, "workers: 0 does not fit"),
        ({"executor": "processes", "measure": lambda ds: {"a": 1}}, "measure: cannot be sent to a worker process"),
        ({"measure": 3}, "measure: 3 cannot be called"),
        ({"series": "share_bp"}, "series: 'share_bp' is not a list of names"),
        ({"series": ["share_bp", "share_bp"]}, "series: names a variable twice"),
        ({"every": 0}, "every: 0 is not a positive time"),
        ({"snapshots": -1}, "snapshots: -1"),
        ({"on_error": "ignore"}, "on_error: 'ignore' is not known"),
        ({"store": "x.nc"}, "store: x.nc would be netCDF"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(tm.InputError) as caught:
        tm.sweep(SC, {"seed": [1]}, **({"duration": "1 s"} | options))
    assert expected in str(caught.value)


def test_a_scenario_that_controls_nothing_needs_a_measure() -> None:
    idle = scenario(tm.Scheme())
    with pytest.raises(tm.InputError, match=r"no scheme has a goal .* or pass measure= or what="):
        tm.sweep(idle, {"seed": [1]}, duration="1 s")
    found = tm.sweep(idle, {"seed": [1]}, duration="1 s", what=Controlled("used", 1, 5000))
    assert found["share_mean_bp"].item() == 5000  # 16 of 32 MiB


def test_unknown_series_are_told_in_each_point() -> None:
    with pytest.raises(tm.TieringError, match="series: 'shares' is not a variable over time; use one of share_bp, used_pages"):
        tm.sweep(SC, {"seed": [1]}, duration="1 s", series=["shares"])
