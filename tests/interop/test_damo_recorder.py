"""The recorder's tables are those that the reader of recordings takes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import tieringmodel as tm

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


def test_the_script_is_one_the_shell_understands() -> None:
    subprocess.run(["sh", "-n", str(SCRIPT)], check=True)
