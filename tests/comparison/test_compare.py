"""Several policies side by side: the same accesses, the real kernel beside the model, one file."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import h5netcdf
import numpy as np
import pytest
import xarray as xr
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel.comparison.compare import RECORDED, _Seen, _work, recorded_series, write_comparison
from tieringmodel.comparison.policies import Policy, policies
from tieringmodel.reports.text_of_comparison import _work as text_of_work
from tieringmodel.scenario.controlled import Controlled, controlled
from tieringmodel.verdicts.target import share_bp

PULLPUSH = scenario(pull(), push())


@pytest.fixture(scope="module")
def compared() -> xr.Dataset:
    return tm.compare(policies(PULLPUSH), duration="6 s", seed=3, title="t", question="q?")


def test_every_row_is_the_simulation_of_its_policy(compared: xr.Dataset) -> None:
    made = policies(PULLPUSH)
    assert compared["policy"].values.tolist() == [*made]
    what = controlled(PULLPUSH)
    for name in ("goal: node_eligible_mem_bp temporal", "weights: iid redraw", "all-slow", "oracle"):
        policy = made[name]
        ds = tm.simulate(policy.scenario, duration="6 s", seed=3, oracle=what if policy.oracle else None)
        row = compared.sel(policy=name)
        share, moved = share_bp(ds, what), np.cumsum(ds["migrated_pages"].values)
        at = [max(k for k, t in enumerate(ds["time"].values) if t <= g + 1e-9) for g in row["time"].values]
        np.testing.assert_array_equal(row["share_bp"], share[at])
        step = float(row["time"][1])
        np.testing.assert_allclose(row["migrated_mib_s"][1:], np.diff(moved[at]) / 256 / step, rtol=1e-12)
        assert float(row["moves_per_page"]) == moved[-1] / 2048
        total = float((row["migrated_mib_s"].values * step).sum())
        assert total == pytest.approx(moved[-1] / 256)


def test_regions_of_the_first_policy_are_kept(compared: xr.Dataset) -> None:
    alone = tm.simulate(PULLPUSH, duration="6 s", seed=3)
    for name in ("region_count", "region_start", "region_end", "region_nr_accesses", "region_age", "snapshot_time"):
        np.testing.assert_array_equal(compared[name], alone[name])


@pytest.mark.parametrize(("per_s", "run_s"), [([4e7, 2e7, 0.0], [3.0, 6.0, np.nan]), ([0.0, 0.0], [np.nan, np.nan])])
def test_a_policy_under_which_nothing_is_accessed_has_no_time_for_it(per_s: list[float], run_s: list[float]) -> None:
    work = _work([_Seen(np.zeros(2), np.zeros(2), {}, of_one) for of_one in per_s], PULLPUSH, 3.0)
    np.testing.assert_array_equal(work["run_time_s"][1], run_s)
    text = text_of_work(xr.Dataset(work, {"policy": [*"abc"[: len(per_s)]]}), 80)
    assert text[-1].split(": ")[1] == "0 million/s, not done"


def test_everything_is_described(compared: xr.Dataset) -> None:
    for name in compared.data_vars:
        assert {"units", "long_name", "source"} <= set(compared[name].attrs), name
    assert compared.attrs["kind"] == "comparison"
    assert compared.attrs["title"] == "t"
    assert compared.attrs["question"] == "q?"
    assert tm.Scenario.from_json(compared.attrs["scenario"]) == PULLPUSH
    assert json.loads(compared.attrs["parameters"])["policies"] == [*policies(PULLPUSH)]
    assert compared["settled"].dtype == bool
    assert float(compared["target_bp"]) == 6000
    again = tm.compare(policies(PULLPUSH), duration="6 s", seed=3, title="t", question="q?")
    xr.testing.assert_identical(compared, again)


def test_baselines_and_oracle_hold_what_they_promise(compared: xr.Dataset) -> None:
    end = compared["share_bp"].isel(time=-1).to_series()
    assert end["all-fast"] == 10_000
    assert end["all-slow"] == 0
    # 2048 hot pages: 409 rounds of 3 to 2 and 3 more; the nearest to 60 % is 1229.
    assert end["static interleave"] == pytest.approx(1230 / 2048 * 1e4)
    assert end["oracle"] == pytest.approx(1229 / 2048 * 1e4)
    assert compared["settled"].sel(policy="oracle")
    assert float(compared["moves_per_page"].sel(policy="oracle")) == 1229 / 2048
    assert not compared["settled"].sel(policy="goal: node_eligible_mem_bp temporal")


def test_plain_scenarios_are_compared_by_the_share_that_is_asked_for() -> None:
    runs = {"a": scenario(pull(3000)), "b": scenario(pull(7000))}
    found = tm.compare(runs, duration="4 s", seed=1, what=Controlled("used", 1, 5000))
    assert found.attrs["controlled"] == "used share of node 1"
    assert float(found["share_bp"].isel(time=0, policy=0)) == 5000  # 16 of 32 MiB
    assert found["share_bp"].isel(time=-1).values[1] < found["share_bp"].isel(time=-1).values[0]
    by_goal = tm.compare(runs, duration="4 s", seed=1)
    assert float(by_goal["target_bp"]) == 3000


@pytest.mark.parametrize(
    ("runs", "arguments", "where"),
    [
        ({}, {}, "scenarios"),
        ({"a": scenario()}, {}, "contexts"),
        ({"a": PULLPUSH}, {"duration": "no"}, "duration"),
        ({"a": PULLPUSH}, {"seed": -1}, "seed"),
    ],
)
def test_wrong_arguments_are_refused(
    runs: Mapping[str, tm.Scenario | Policy], arguments: dict[str, object], where: str
) -> None:
    with pytest.raises(tm.InputError) as caught:
        tm.compare(runs, **({"duration": "1 s"} | arguments))  # type: ignore[arg-type]
    assert caught.value.where == where


# ---- the real kernel beside the model ---------------------------------------------------------------------------------


def recording(name: str) -> tuple[tm.Scenario, object, list[dict[str, str]], list[dict[str, str]]]:
    folder = tm.data_path("recordings", name)
    read = tm.read_recording(folder)
    tables = []
    for file in ("record.csv", "layout.csv"):
        with (folder / file).open(newline="") as f:
            tables.append(list(csv.DictReader(f)))
    return read.to_scenario(), read, *tables  # type: ignore[return-value]


def test_the_recorded_row_is_what_the_csv_says() -> None:
    sc, read, record, _ = recording("C3_pullpush_temporal")
    found = tm.compare({"goal": sc}, duration="100 s", seed=1, recording=read)  # type: ignore[arg-type]
    assert found["policy"].values.tolist() == ["goal", RECORDED]
    row = found.sel(policy=RECORDED)
    rows = [r for r in record if float(r["t_ms"]) <= 100_000]
    time = [float(r["t_ms"]) / 1000 for r in rows]
    share = [1e4 * int(r["hot_n0_pages"]) / (int(r["hot_n0_pages"]) + int(r["hot_n1_pages"])) for r in rows]
    pages = [int(r["pgmigrate_success"]) for r in rows]
    tail_s = time[-1] * 2 / 3  # of a run that moves the last third counts
    late = [k for k, t in enumerate(time) if t >= tail_s]
    assert float(row["share_error_bp"]) == pytest.approx(sum(share[k] for k in late) / len(late) - 6000)
    assert float(row["residual_mib_s"]) == pytest.approx((pages[-1] - pages[late[0] - 1]) / 256 / (time[-1] - tail_s))
    assert float(row["moves_per_page"]) == pytest.approx((pages[-1] - pages[0]) / 40_960)
    assert np.isnan(row["ping_pong"])
    assert not row["settled"]
    assert str(row["kind"].values) == "limit-cycle"
    for g, got in zip(found["time"].values, row["share_bp"].values, strict=True):
        known = [s for t, s in zip(time, share, strict=True) if t <= g + 1e-9]
        assert got == pytest.approx(known[-1]) if known and g <= time[-1] else np.isnan(got)


def test_shares_of_a_changing_workload_follow_its_phases() -> None:
    sc, read, record, layout = recording("C5_tier_temporal_shift")
    phases = {int(c.removeprefix("rate_hz_from_").removesuffix("ms")): c for c in layout[0] if c.startswith("rate_hz")}
    assert len(phases) > 1
    time, share, moved = recorded_series(read, sc, Controlled("access", 0, 5000))  # type: ignore[arg-type]
    for k, r in enumerate(record):
        column = phases[max(start for start in phases if start <= float(r["t_ms"]))]
        rates = {row["segment"]: float(row[column]) for row in layout}
        served = [sum(rate * int(r[f"{s}_n{nid}_pages"]) for s, rate in rates.items()) for nid in (0, 1)]
        assert share[k] == pytest.approx(1e4 * served[0] / sum(served))
        assert time[k] == pytest.approx(float(r["t_ms"]) / 1000)
    assert moved[0] == 0
    assert moved.sum() == int(record[-1]["pgmigrate_success"]) - int(record[0]["pgmigrate_success"])
    _, used, _ = recorded_series(read, sc, controlled(sc))  # type: ignore[arg-type]
    total, free = (np.array([int(r[f"n0_{w}_kb"]) for r in record]) for w in ("total", "free"))
    np.testing.assert_allclose(used, 1e4 * (total - free) / total)


def test_a_comparison_shorter_than_the_recordings_first_rows_leaves_it_out() -> None:
    sc, read, *_ = recording("C3_pullpush_temporal")
    found = tm.compare({"goal": sc}, duration="1 s", seed=1, recording=read)  # type: ignore[arg-type]
    assert found["policy"].values.tolist() == ["goal"]


# Seeds differ by 96 bp and 3.4 % (C3), 19 bp and 4 % (C8), standard deviations of 24 and 12 seeds. What is left is the model's
# error: recorded 5997 bp and 10.5 MiB/s, 5974 bp and 1.53 MiB/s; in the mean of the seeds 5843 bp and 9.7 MiB/s, 5941 bp and
# 1.48 MiB/s. One seed may be off by that error and 2.7 standard deviations (C3), the mean of four by it and 1.5 of its own.
@pytest.mark.parametrize(
    ("name", "band_bp", "mean_bp", "band_rate"),
    [("C3_pullpush_temporal", 415, 227, 0.25), ("C8_pullpush_temporal_q2M", 80, 53, 0.2)],
)
def test_the_models_ripple_is_the_kernels(name: str, band_bp: float, mean_bp: float, band_rate: float) -> None:
    sc, read, *_ = recording(name)
    what = controlled(sc)
    kernel = recorded_series(read, sc, what)  # type: ignore[arg-type]
    end = float(kernel[0][-1])

    def ripple(time: np.ndarray, share: np.ndarray, moved: np.ndarray) -> tuple[float, float, float]:
        grid = np.arange(60.0, end, 0.5)
        y = share[np.searchsorted(time, grid, side="right") - 1]
        late = time >= 60
        return float(y.mean()), float(y.std()), moved[late][1:].sum() / 256 / (time[-1] - time[late][0])

    mean, sd, rate = ripple(*kernel)
    means, rates = [], []
    for seed in range(4):
        ds = tm.simulate(sc, duration=end, seed=seed, snapshots=0)
        got = ripple(ds["time"].values, share_bp(ds, what), ds["migrated_pages"].values)
        assert abs(got[0] - mean) < band_bp
        assert abs(got[2] / rate - 1) < band_rate
        assert 0.7 < got[1] / sd < 1.4
        means.append(got[0])
        rates.append(got[2])
    assert abs(np.mean(means) - mean) < mean_bp
    assert abs(np.mean(rates) / rate - 1) < band_rate / 2


# ---- one file ---------------------------------------------------------------------------------------------------------


def test_one_file_holds_the_table_and_a_group_for_each_scenario(compared: xr.Dataset, tmp_path: Path) -> None:
    other = tm.compare({"goal": scenario(pull(3000))}, duration="3 s", seed=1)
    one = compared.assign_attrs(name="first/one")
    two = other.assign_attrs(name="two")
    path = write_comparison([one, two], tmp_path / "comparison.nc")
    assert [p.name for p in tmp_path.iterdir()] == ["comparison.nc"]
    with h5netcdf.File(path) as file:
        assert sorted(file.groups) == ["first-one", "two"]
    for group, expected in (("first-one", one), ("two", two)):
        with xr.open_dataset(path, group=group, engine="h5netcdf") as back:
            xr.testing.assert_identical(back.load(), expected)
    with xr.open_dataset(path, engine="h5netcdf") as table:
        rows = table.to_dataframe()
    assert rows["scenario"].tolist() == ["first/one"] * 13 + ["two"]
    assert rows["policy"].tolist() == [*one["policy"].values, "goal"]
    for name in ("settled", "settling_s", "share_error_bp", "residual_mib_s", "ping_pong", "moves_per_page", "kind", "fix"):
        assert (
            rows[name].tolist() == pytest.approx([*one[name].values, *two[name].values], nan_ok=True)
            if (rows[name].dtype.kind == "f")
            else rows[name].tolist() == [*one[name].values, *two[name].values]
        )
    assert rows["target_bp"].tolist() == [6000.0] * 13 + [3000.0]
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        assert {"first-one", "two"} <= set(tree.children)


def test_a_file_that_cannot_be_written_leaves_the_old_one_alone(compared: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "comparison.nc"
    path.write_bytes(b"old")
    broken = compared.assign_attrs(name="x", what=object())
    with pytest.raises(TypeError):
        write_comparison([broken], path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["comparison.nc"]


def test_results_need_names_of_their_own(compared: xr.Dataset, tmp_path: Path) -> None:
    named = compared.assign_attrs(name="x")
    for results in ([named, named], [], [compared.assign_attrs(name="")]):
        with pytest.raises(tm.InputError, match="results"):
            write_comparison(results, tmp_path / "comparison.nc")
