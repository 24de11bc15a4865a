"""The recorder's tables are those that the reader of recordings takes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import tieringmodel as tm
from tieringmodel.interop.recording.memcgs_of import bytes_on_node

SCRIPT = Path(__file__).parents[2] / "scripts" / "record_run.sh"
HEAD = "  kdamond.0-77   [001] .....  "


def test_traces_become_tables(tmp_path: Path) -> None:
    (tmp_path / "info.txt").write_text("t0_mono_ms 1000\nnr_schemes 1\n", encoding="utf-8")
    stat = "ctx_idx=0 scheme_idx=0 nr_tried=1 sz_tried=2 nr_applied=3 sz_applied=4 sz_ops_filter_passed=5 "
    stat += "qt_exceeds=6 nr_snapshots=7"
    lines = [f"{HEAD}1.100000: damon_aggregated: target_id=0 nr_regions=2 4096-8192: 3 1",
             f"{HEAD}1.100010: damon_aggregated: target_id=0 nr_regions=2 8192-12288: 0 2",
             f"{HEAD}1.100020: damos_stat_after_apply_interval: {stat}",
             f"{HEAD}1.100030: damos_esz: ctx_idx=0 scheme_idx=0 esz=5",
             f"{HEAD}1.200000: damon_aggregated: target_id=0 nr_regions=1 4096-12288: 2 0"]  # fmt: skip
    (tmp_path / "trace.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    subprocess.run(["sh", str(SCRIPT), "--tables", str(tmp_path)], check=True)
    recording = tm.read_recording(tmp_path)
    assert recording.aggregated is not None
    assert recording.applies is not None
    assert recording.aggregated["agg"].tolist() == [0, 0, 1]
    assert recording.aggregated["t_ms"].tolist() == [100.0, 100.01, 200.0]
    assert recording.aggregated["end"].tolist() == [8192, 12288, 12288]
    assert recording.aggregated["age"].tolist() == [1, 2, 0]
    assert [int(recording.applies[n][0]) for n in ("nr_tried", "sz_applied", "nr_snapshots")] == [1, 4, 7]
    assert recording.notes == ()
    (record,) = tm.read_damo_record(tmp_path / "trace.txt")
    assert [len(s.rows) for s in record.snapshots] == [2, 1]


def fake(folder: Path) -> Path:
    """A machine's /sys and /proc, as files that keep what is written to them, with two schemes set up and DAMON off."""
    root = folder / "root"
    admin = root / "sys" / "kernel" / "mm" / "damon" / "admin" / "kdamonds" / "0"
    files = {admin / "state": "off\n", admin / "pid": "-1\n"}
    for line in tm.data_path("recordings", "C3_pullpush_temporal", "damon_config.txt").read_text().splitlines():
        path, *values = line.split()
        files[admin / "contexts" / "0" / path] = "\n".join(values) + "\n"
    files[admin / "contexts" / "0" / "avail_operations"] = "vaddr\nfvaddr\npaddr\n"
    for nid in (0, 1):
        kb = f"Node {nid} MemTotal:  {2000 + nid} kB\nNode {nid} MemFree:  {1000 + nid} kB\nNode {nid} MemUsed:  1000 kB\n"
        files[root / "sys" / "devices" / "system" / "node" / f"node{nid}" / "meminfo"] = kb
    instance = root / "sys" / "kernel" / "tracing" / "instances" / "tieringmodel"
    stat = "ctx_idx=0 scheme_idx=0 nr_tried=1 sz_tried=2 nr_applied=3 sz_applied=4 sz_ops_filter_passed=5 "
    stat += "qt_exceeds=6 nr_snapshots=7"
    events = f"{HEAD}1.1: damos_stat_after_apply_interval: {stat}\n"
    events += f"{HEAD}1.1: damon_aggregated: target_id=0 nr_regions=1 4096-12288: 2 0\n"
    files |= {instance / "trace_pipe": events, instance / "events" / "damon" / "damon_aggregated" / "enable": "0\n"}
    proc = root / "proc"
    files[proc / "version"] = "Linux version 7.3.4+deb13-cloud-amd64 (builder)\n"
    files[proc / "vmstat"] = "nr_free_pages 9\npgmigrate_success 12\npgmigrate_fail 3\n"
    files[proc / "zoneinfo"] = tm.data_path("recordings", "E5_hole_inside_node0", "zoneinfo.txt").read_text()
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (proc / "uptime").symlink_to("/proc/uptime")
    return root


def record(folder: Path, root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"TIERINGMODEL_ROOT": str(root)}
    return subprocess.run(["sh", str(SCRIPT), *words], env=environment, capture_output=True, text=True, cwd=folder)


def test_what_is_recorded_is_read(tmp_path: Path) -> None:
    root = fake(tmp_path)
    done = record(tmp_path, root, "run1", "2")
    assert (done.returncode, done.stderr) == (0, "")
    recording = tm.read_recording(tmp_path / "run1")
    assert recording.notes == ()
    assert recording.contexts == tm.read_recording(tm.data_path("recordings", "C3_pullpush_temporal")).contexts
    assert str(recording.kernel) == "Linux 7.3.4"
    assert [node.extent[1] >> 30 for node in recording.nodes] == [6, 8]
    table = recording.record
    assert table is not None
    assert table.n_rows in (1, 2)
    assert [int(table[name][0]) for name in ("n0_total_kb", "n1_free_kb", "pgmigrate_success", "pgmigrate_fail")] == [
        2000, 1001, 12, 3,
    ]  # fmt: skip
    stats = root / "sys/kernel/mm/damon/admin/kdamonds/0/contexts/0/schemes/1/stats/nr_tried"
    assert int(table["s1_nr_tried"][0]) == int(stats.read_text())
    assert recording.info["total_ms"] == 2000
    assert recording.applies is not None
    assert recording.aggregated is not None
    assert (root / "sys/kernel/mm/damon/admin/kdamonds/0/state").read_text() == "off\n"
    instance = root / "sys/kernel/tracing/instances/tieringmodel"
    assert (instance / "events/damon/damon_aggregated/enable").read_text() == "1\n"


def test_each_of_several_kdamonds_has_tables_of_its_own(tmp_path: Path) -> None:
    root = fake(tmp_path)
    kdamonds = root / "sys/kernel/mm/damon/admin/kdamonds"
    shutil.copytree(kdamonds / "0", kdamonds / "1")
    (kdamonds / "nr_kdamonds").write_text("2\n")
    (kdamonds / "1/contexts/0/schemes/1/stats/nr_tried").write_text("123\n")
    pipe = root / "sys/kernel/tracing/instances/tieringmodel/trace_pipe"
    mine = pipe.read_text()
    pipe.write_text(mine + mine.replace("kdamond.0-77", "kdamond.1-78").replace("4096-12288: 2 0", "4096-12288: 5 6"))
    done = record(tmp_path, root, "run1", "1")
    assert (done.returncode, done.stderr) == (0, "")
    recording = tm.read_recording(tmp_path / "run1")
    assert recording.notes == ()
    assert len(recording.contexts) == 2
    assert recording.contexts[0].schemes == recording.contexts[1].schemes
    assert [one.aggregated["nr_accesses"].tolist() for one in recording.kdamonds] == [[2], [5]]
    assert [one.applies["nr_tried"].tolist() for one in recording.kdamonds] == [[1], [1]]
    assert int(recording.record["s3_nr_tried"][0]) == 123
    assert {(kdamonds / k / "state").read_text() for k in "01"} == {"off\n"}


def test_counters_and_memory_cgroups_that_are_named_are_recorded(tmp_path: Path) -> None:
    root = fake(tmp_path)
    ops = root / "sys/kernel/mm/damon/admin/kdamonds/0/contexts/0/schemes/0/ops_filters"
    for name, value in (("type", "memcg"), ("matching", "N"), ("allow", "N"), ("memcg_path", "/app.slice/hot")):
        (ops / "0").mkdir(parents=True, exist_ok=True)
        (ops / "0" / name).write_text(value + "\n")
    (ops / "nr_filters").write_text("1\n")
    cgroup = root / "sys/fs/cgroup/app.slice/hot/memory.numa_stat"
    cgroup.parent.mkdir(parents=True)
    cgroup.write_text("file N0=1 N1=2\nanon N0=4096 N1=8192\nanon_thp N0=7 N1=7\n")
    (root / "proc/vmstat").write_text("pgmigrate_success 12\npgmigrate_fail 3\npgpromote_success 5\npswpout 6\n")
    (root / "proc/meminfo").write_text("SwapTotal: 100 kB\nSwapFree: 60 kB\n")
    (root / "proc/pressure").mkdir()
    (root / "proc/pressure/memory").write_text(
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=77\nfull avg10=0 avg60=0 total=1\n"
    )
    assert record(tmp_path, root, "run1", "1").returncode == 0
    recording = tm.read_recording(tmp_path / "run1")
    extra = recording.extra
    assert extra is not None
    assert {name: int(extra[name][0]) for name in extra if name != "t_ms"} == {
        "pgpromote_success": 5, "pswpout": 6, "swap_free_kb": 60, "psi_some_us": 77,
        "app_slice_hot_n0_anon": 4096, "app_slice_hot_n1_anon": 8192,
    }  # fmt: skip
    found = bytes_on_node(extra, recording.memcg_paths[0], 1)
    assert found is not None
    assert found[0] == 8192


def test_older_kernels_have_fewer_files(tmp_path: Path) -> None:
    root = fake(tmp_path)
    for scheme in (root / "sys/kernel/mm/damon/admin/kdamonds/0/contexts/0/schemes").glob("[0-9]"):
        (scheme / "stats" / "sz_ops_filter_passed").unlink()
        (scheme / "quotas" / "effective_bytes").unlink()
    assert record(tmp_path, root, "run1", "1").returncode == 0
    table = tm.read_recording(tmp_path / "run1").record
    assert table is not None
    assert int(table["s0_sz_ops_filter_passed"][0]) == int(table["s0_effective_bytes"][0]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run1", "soon"), "soon is no number of seconds"),
        (("root", "1"), "root exists already"),
        (("run1",), "how long to record"),
    ],
)
def test_the_script_starts_nothing_that_it_cannot_end(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    root = fake(tmp_path)
    done = record(tmp_path, root, *words)
    assert done.returncode != 0
    assert said in done.stderr
    state = root / "sys/kernel/mm/damon/admin/kdamonds/0/state"
    assert state.read_text() == "off\n"
    state.write_text("on\n")
    assert "kdamond 0 is not off" in record(tmp_path, root, "run1", "1").stderr
    state.unlink()
    assert "no kdamond is configured, or this is not root" in record(tmp_path, root, "run1", "1").stderr
    assert not (tmp_path / "run1").exists()


def test_the_scripts_are_ones_that_the_shell_understands() -> None:
    for name in ("record_run.sh", "collect.sh"):
        subprocess.run(["sh", "-n", str(SCRIPT.with_name(name))], check=True)
