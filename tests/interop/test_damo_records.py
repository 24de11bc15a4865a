"""damo's records in every form: read, written, shown by the real damo, and turned into workloads."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import tieringmodel as tm
from tieringmodel.interop.damo.program import run_damo
from tieringmodel.interop.damo.record_write import to_damo_record
from tieringmodel.interop.damo.records import Record, Snapshot, monitoring_truth, read_damo_record
from tieringmodel.interop.load import open_scenario
from tieringmodel.interop.workloads.record_workload import rate_hz, workload_of

MIB = 1 << 20


@pytest.fixture(scope="module")
def run() -> xr.Dataset:
    machine = tm.Machine.dram_cxl("64 MiB", "64 MiB")
    work = tm.Workload(16384, (tm.Group(0, 4096, rate_hz=400.0),), (tm.Placement(0, 16384, weights=(1, 1)),))
    contexts = (tm.Context(), tm.Context(targets=(tm.Target(((0, 64 * MIB),)),)))
    return tm.simulate(tm.Scenario(machine, work, contexts), duration="3 s", seed=1, snapshots=12, progress=False)


@pytest.mark.parametrize("suffix", [".data", ".json", ".txt"])
def test_what_is_written_reads_back_exactly(run: xr.Dataset, tmp_path: Path, suffix: str) -> None:
    path = to_damo_record(run, tmp_path / f"x{suffix}")
    if not suffix.startswith(".json"):
        with pytest.raises(tm.InputError, match=f"is a record of accesses.*; give it as --workload {path.name} beside"):
            tm.load(path)
    records = read_damo_record(path)
    assert len(records) == 2
    ends = np.cumsum(run["region_count"].values)
    for k, record in enumerate(records):
        truth = monitoring_truth(record)
        mine = run["snapshot_context"].values == k
        np.testing.assert_array_equal(truth["region_count"], run["region_count"].values[mine])
        rows = np.concatenate([np.arange(e - n, e) for e, n in zip(ends[mine], run["region_count"].values[mine], strict=True)])
        for name in ("start", "end", "nr_accesses", "age"):
            got = truth[f"region_{name}"]
            np.testing.assert_array_equal(got, run[f"region_{name}"].values[rows])
            assert got.attrs["units"] == run[f"region_{name}"].attrs["units"]
        # Thinned: the tracepoint text knows no intervals, so its first snapshot's start is extrapolated.
        steps = np.diff(truth["snapshot_time"].values)
        np.testing.assert_allclose(steps, np.diff(run["snapshot_time"].values[mine]), rtol=0, atol=2e-9)  # whole ns


@pytest.mark.parametrize(
    "words",
    [["report", "access", "--raw_number"], ["report", "access", "--style", "simple-boxes"], ["report", "record_info"],
     ["report", "heatmap", "--output", "raw", "--resol", "5", "4"], ["validate"]],
)  # fmt: skip
def test_the_real_damo_shows_a_run(run: xr.Dataset, tmp_path: Path, words: list[str]) -> None:
    path = to_damo_record(run, tmp_path / "run.data")
    one = ["--kdamond_idx", "0", "--context_idx", "0"] if "heatmap" in words else []
    done = run_damo(*words, "--input", str(path), *one)
    assert done.returncode == 0, done.stdout + done.stderr
    if "heatmap" in words:
        cells = np.array([line.split() for line in done.stdout.splitlines()], float)
        assert cells.shape == (20, 3)
        low = cells[:, 1] < cells[:, 1].max() / 2
        # The hot quarter lies at the bottom of both nodes; pages are dealt alternately, each node's lowest frames first.
        assert np.nansum(cells[low, 2]) > 0


@pytest.mark.parametrize(("form", "name"), [("perf_script", "x.txt"), ("json", "x.json"), ("json_compressed", "x.data")])
def test_what_the_real_damo_converts_is_read_the_same(run: xr.Dataset, tmp_path: Path, form: str, name: str) -> None:
    # One context: in perf_script form damo does not tell contexts apart.
    scenario = tm.Scenario.from_json(run.attrs["scenario"])
    one = run.isel(snapshot=run["snapshot_context"].values == 0)
    rows = np.repeat(run["snapshot_context"].values == 0, run["region_count"].values)
    one = one.isel(region=rows).assign_attrs(scenario=scenario.replace(contexts=scenario.contexts[:1]).to_json())
    path, out = to_damo_record(one, tmp_path / "run.data"), tmp_path / name
    done = run_damo("convert_record_format", "--record_file", str(path), "--format", form, "--output_file", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    (got,), (want,) = read_damo_record(out), read_damo_record(path)
    assert [s.rows for s in got.snapshots] == [s.rows for s in want.snapshots]
    assert [s.end_ns for s in got.snapshots] == [s.end_ns for s in want.snapshots]  # whole microseconds in both


def test_ftrace_text_and_other_events(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    head = "          <...>-77    [001] .....   "
    lines = ["# tracer: nop", f"{head}1.000000: damon_aggregated: target_id=0 nr_regions=2 0-4096: 3 1",
             f"{head}1.000001: sched_switch: x", f"{head}1.000002: damon_aggregated: target_id=0 nr_regions=2 4096-8192: 0 9",
             f"{head}1.100000: damon_aggregated: target_id=0 nr_regions=1 0-8192: 2 0",
             f"{head}1.100000: damon_esz: ctx_idx=0"]  # fmt: skip
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (record,) = read_damo_record(path)
    assert [s.rows for s in record.snapshots] == [((0, 4096, 3, 1), (4096, 8192, 0, 9)), ((0, 8192, 2, 0),)]
    assert [(s.start_ns, s.end_ns) for s in record.snapshots] == [(900_000_000, 10**9), (10**9, 11 * 10**8)]


def snapshot(**changes: Any) -> dict[str, Any]:
    region = {"start": "0", "end": "4,096", "nr_accesses": {"samples": 3, "percent": None},
              "age": {"usec": None, "aggr_intervals": "2"}}  # fmt: skip
    return {"start_time": "0", "end_time": "100000000", "regions": [region | changes]}


def record_text(**changes: Any) -> str:
    return json.dumps([{"target_id": 0, "snapshots": [snapshot(**changes)]}])


def test_a_minimal_record(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text(record_text(), encoding="utf-8")
    assert read_damo_record(path)[0].snapshots == (Snapshot(0, 10**8, ((0, 4096, 3, 2),)),)
    made_up = json.loads(record_text())
    extra = snapshot(end="0", nr_accesses={"samples": -1, "percent": None}, age={"usec": None, "aggr_intervals": -1})
    made_up[0]["snapshots"].append(extra | {"end_time": "200000000"})
    path.write_text(json.dumps(made_up), encoding="utf-8")
    assert len(read_damo_record(path)[0].snapshots) == 1


def test_regions_may_have_addresses_only_and_ages_without_a_unit(tmp_path: Path) -> None:
    path = tmp_path / "x"
    data = json.loads(record_text(age={"usec": "5000000", "aggr_intervals": None}))
    data[0]["snapshots"][0]["regions"].append({"start": "8192", "end": "12288"})
    path.write_text(json.dumps(data), encoding="utf-8")
    (got,) = read_damo_record(path)
    assert got.snapshots[0].rows == ((0, 4096, 3, None), (8192, 12288, None, None))
    assert set(monitoring_truth(got).data_vars) == {"region_start", "region_end", "region_count"}
    with pytest.raises(tm.InputError, match=r"snapshots\[0\].rows\[1\]: tells no accesses"):
        workload_of(got, sample_us=5_000, aggr_us=100_000)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"PERFILE2....", "perf script -i x.data"),
        (b"", "no damon_aggregated"),
        (b"hello\n", "no damon_aggregated"),
        (b"\xff\xfe\x00", "UTF-8"),
        (zlib.compress(b"x" * 50)[:-8], "middle of its compressed"),
        (b"\x78\x9c" + b"\xff" * 40, "intact zlib"),
        (zlib.compress(b" " * (3 * MIB)), "unpacks to more than"),
        (b"[" * 100_000, "nested too deeply|not JSON"),
        (b'[{"snapshots": NaN}]', "NaN"),
        (b'[{"snapshots": [' + b"9" * 5000 + b"]}]", "digits|not an object"),
        (b'[{"no": 1}]', "no damo record"),
        (b'[1]', "not an object"),
        (record_text(end="99999999999999999999").encode(), "outside 0"),
        (record_text(end="0").encode(), "empty or overlaps"),
        (record_text(start="-1").encode(), "not understood"),
        (record_text(nr_accesses={"samples": 10**12}).encode(), "outside 0"),
        (record_text(nr_accesses={"samples": 1.5}).encode(), "not whole"),
        (record_text(nr_accesses={"samples": None, "percent": 40}).encode(), "gives no samples but percent"),
        (record_text(age={"aggr_intervals": "x"}).encode(), "not understood"),
        (b"k 1 [0] 1.0: damon:damon_aggregated: target_id=0 nr_regions=2 0-1: 1 1\n"
         b"k 1 [0] 1.1: damon:damon_aggregated: target_id=0 nr_regions=3 0-1: 1 1\n", "events are missing"),
        (b"k 1 [0] 1.0: damon:damon_aggregated: target_id=0 nr_reg", "whole damon_aggregated event"),
        (b"k 1 [0] 2.0: damon:damon_aggregated: target_id=0 nr_regions=1 0-1: 1 1\n"
         b"k 1 [0] 1.1: damon:damon_aggregated: target_id=0 nr_regions=1 0-1: 1 1\n", "not in order"),
    ],
)  # fmt: skip
def test_hostile_and_broken_records(tmp_path: Path, raw: bytes, said: str) -> None:
    path = tmp_path / "x.data"
    path.write_bytes(raw)
    with pytest.raises(tm.InputError, match=said):
        read_damo_record(path, max_bytes="2 MiB")


@given(st.integers(1, 10**6), st.integers(1, 1000), st.data())
def test_rates_give_the_recorded_share_of_samples(sample_us: int, most: int, data: st.DataObject) -> None:
    nr = data.draw(st.integers(0, most))
    touched = -np.expm1(-rate_hz(nr, most, sample_us) * sample_us * 1e-6)
    assert touched * most == pytest.approx(min(nr, most - 0.5), rel=1e-9)  # log1p and expm1, few ulp


def record(*snapshots: Snapshot) -> Record:
    return Record(0, 0, 0, None, 5_000, 100_000, snapshots)


def test_a_workload_follows_the_snapshots() -> None:
    first = Snapshot(0, 10**8, ((0, 2 * MIB, 10, 0), (4 * MIB, 8 * MIB, 0, 0)))
    second = Snapshot(10**8, 2 * 10**8, ((0, MIB, 5, 0), (MIB, 2 * MIB, 10, 1), (4 * MIB, 8 * MIB, 0, 0)))
    work = workload_of(record(first, second), keep_idle=True)
    assert work.n_pages == 6 * MIB // 4096
    assert work.placement == (tm.Placement(0, 512, start_bytes=0), tm.Placement(512, 1536, start_bytes=4 * MIB))
    ten, five = rate_hz(10, 20, 5_000), rate_hz(5, 20, 5_000)
    assert work.groups == (
        tm.Group(0, 256, rate_hz=ten, end_tick=20), tm.Group(0, 256, rate_hz=five, start_tick=20),
        tm.Group(256, 512, rate_hz=ten),
    )  # fmt: skip
    assert workload_of(record(first, second)).n_pages == 512  # physical: what is never touched may be free
    virtual = workload_of(record(first, second), physical=False)
    assert virtual.vmas == (tm.Vma(0, 512, 0, 0), tm.Vma(512, 1536, 4 * MIB, 1024))
    with pytest.raises(tm.InputError, match="does not tell its intervals"):
        workload_of(Record(0, 0, 0, None, None, None, (first,)))
    with pytest.raises(tm.InputError, match="10 of 5 samples"):
        workload_of(record(first), sample_us=20_000)
    with pytest.raises(tm.InputError, match="saw no access"):
        workload_of(record(Snapshot(0, 1, ((0, 4096, 0, 0),))))


def test_a_monitored_workload_is_monitored_the_same_again(run: xr.Dataset, tmp_path: Path) -> None:
    path = to_damo_record(run, tmp_path / "run.data")
    (tmp_path / "m.toml").write_text(tm.Scenario.from_json(run.attrs["scenario"]).to_toml(), encoding="utf-8")
    loaded = open_scenario("damo start --numa_node 0 1", machine=tmp_path / "m.toml", workload=path)
    assert [note.partition(": ")[2][:34] for note in loaded.notes[:3]] == [
        "the first of 2 records is taken (c", "physical addresses never seen touc", "after its 2.8 s the last rates go ",
    ]  # fmt: skip
    again = tm.simulate(loaded.scenario, duration="3 s", seed=2, snapshots=12, progress=False)

    def touched_bytes(ds: xr.Dataset) -> float:
        ends = np.cumsum(ds["region_count"].values)
        means = []
        for i in np.flatnonzero((ds["snapshot_context"].values == 0) & (ds["snapshot_time"].values > 1.0)):
            rows = slice(ends[i] - ds["region_count"].values[i], ends[i])
            size = ds["region_end"].values[rows] - ds["region_start"].values[rows]
            means.append(float((size * ds["region_nr_accesses"].values[rows]).sum()) / 20)
        return float(np.mean(means))

    # A region's rate is known to about one sample of twenty, and boundaries are redrawn: a tenth.
    assert touched_bytes(again) == pytest.approx(touched_bytes(run), rel=0.1)


def test_only_runs_with_snapshots_can_be_written(run: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(tm.InputError, match="no name of a damo record"):
        to_damo_record(run, tmp_path / "x.csv")
    with pytest.raises(tm.InputError, match="holds no region snapshots"):
        to_damo_record(run.isel(snapshot=slice(0, 0)), tmp_path / "x.data")


def test_a_pointer_as_target_and_events_without_age(tmp_path: Path) -> None:
    big = (1 << 64) - 512
    event = f"kdamond.0  1 [0] 1.0: damon:damon_aggregated: target_id={big} nr_regions=1 4096-8192: 3\n"
    (tmp_path / "x.txt").write_text(event)
    (record,) = read_damo_record(tmp_path / "x.txt")
    assert (record.target, record.snapshots[0].rows) == (big, ((4096, 8192, 3, None),))
    ds = monitoring_truth(record)
    assert "region_age" not in ds
    ds.to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    data = {"kdamond_idx": 0, "context_idx": 0, "target_id": big, "snapshots": []}
    (tmp_path / "x.json").write_text(json.dumps([data]))
    assert read_damo_record(tmp_path / "x.json")[0].target == big
