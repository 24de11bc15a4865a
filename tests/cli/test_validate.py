"""`tieringmodel validate`: evidence that holds, evidence that does not, and what is said about each."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.validate.case import Case
from tieringmodel.validate.replay import replay

RUN = "e2e_pull_used_consist"


def golden(folder: Path, *names: str) -> Path:
    for name in names:
        shutil.copy(tm.data_path("golden", name), folder)
    return folder


def recordings(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).mkdir()
        for file in tm.data_path("recordings", name).iterdir():
            if file.name in ("resets.csv", "quota_steps.csv", "damon_config.txt"):
                shutil.copy(file, folder / name)
    return folder


def test_evidence_that_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golden(tmp_path, "mvsum.csv.gz", f"{RUN}.json", f"{RUN}.npz")
    assert cli.main(["validate", "--vectors", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert lines[0].startswith(f"ok   e2e       {RUN} (lfsr113): ")
    assert lines[1].startswith(f"ok   e2e       {RUN} (recorded draws): ")
    assert lines[2] == "ok   vector    mvsum.csv.gz: 2000 values"
    counts = [int(line.split(": ")[1].split()[0]) for line in lines[:3]]
    assert counts[0] > 100_000
    assert lines[3] == f"3 cases, {sum(counts)} values, 0 failed"


def test_one_altered_cell_fails_and_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golden(tmp_path, "mvsum.csv.gz", "feed_loop.csv.gz")
    rows = gzip.decompress((tmp_path / "feed_loop.csv.gz").read_bytes()).decode().splitlines()
    cells = rows[6].split(",")
    expected = str(int(cells[-1]) + 1)
    rows[6] = ",".join([*cells[:-1], expected])
    (tmp_path / "feed_loop.csv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    assert cli.main(["validate", "--vectors", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    bad, good, total = out.splitlines()
    file = tmp_path / "feed_loop.csv.gz"
    assert bad == f"FAIL vector    feed_loop.csv.gz: 5 values; {file}:7, next (compiled): expected {expected}, got {cells[-1]}"
    assert good.startswith("ok   vector    mvsum.csv.gz")
    assert total.endswith("1 failed")


@pytest.mark.parametrize("column", ["node.used0", "regA.nr_accesses", "scheme.esz_bp", "events.sz_applied"])
def test_one_altered_value_of_a_run_fails_and_is_named(column: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golden(tmp_path, f"{RUN}.json")
    with np.load(tm.data_path("golden", f"{RUN}.npz")) as stored:
        arrays = {name: stored[name].copy() for name in stored.files}
    row = arrays[column].size // 2
    right = int(arrays[column][row])
    arrays[column][row] += 1
    np.savez_compressed(tmp_path / f"{RUN}.npz", **arrays)
    assert cli.main(["validate", "--json", "--vectors", str(tmp_path)]) == 1
    said = json.loads(capsys.readouterr().out)
    assert not said["ok"]
    step = int(arrays[column.split(".")[0] + ".tick"][row])
    for case in said["cases"]:
        assert not case["ok"]
        assert case["detail"] == f"{RUN}.npz: step {step}, {column}[{row}]: expected {right + 1}, got {right}"


def test_one_altered_reset_of_a_recording_fails_and_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recordings(tmp_path, "C3_pullpush_temporal", "A_quota_steps")
    file = tmp_path / "C3_pullpush_temporal" / "resets.csv"
    rows = file.read_text().splitlines()
    header = rows[0].split(",")
    cells = rows[9].split(",")
    at = header.index("esz")
    right = cells[at]
    cells[at] = str(int(right) + 4096)
    rows[9] = ",".join(cells)
    file.write_text("\n".join(rows) + "\n")
    assert cli.main(["validate", "--recordings", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok   recording A_quota_steps/quota_steps.csv")
    assert lines[1].startswith("FAIL recording C3_pullpush_temporal/resets.csv")
    for word in ("resets.csv:10", "esz", str(int(right) + 4096), right):
        assert word in lines[1]


def test_json_is_one_object_of_the_agreed_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golden(tmp_path, "mvsum.csv.gz")
    words = ["validate", "--json", "--vectors", str(tmp_path), "--recordings", str(recordings(tmp_path, "A_quota_steps"))]
    assert cli.main(words) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    said = json.loads(out)
    assert set(said) == {"cases", "ok"}
    assert said["ok"] is True
    assert [c["kind"] for c in said["cases"]] == ["vector", "recording"]
    for case in said["cases"]:
        assert set(case) == {"kind", "name", "ok", "checked", "detail"}
        assert {k: type(v) for k, v in case.items()} == {"kind": str, "name": str, "ok": bool, "checked": int, "detail": str}


def test_only_what_is_named_is_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in ("weights", "loop"):
        monkeypatch.setattr(f"tieringmodel.validate.theory.anchors_{room}.cases", lambda r=room: [Case("anchor", r, True, 1)])
    golden(tmp_path, "mvsum.csv.gz")
    assert [c.kind for c in replay(vectors=tmp_path)] == ["vector"]
    assert [c.name for c in replay(anchors=True)] == ["weights", "loop"]
    both = replay(vectors=tmp_path, recordings=recordings(tmp_path, "A_quota_steps"))
    assert [c.kind for c in both] == ["vector", "recording"]


def test_cases_are_said_as_they_are_done(tmp_path: Path) -> None:
    """A broken file does not keep back what came before it."""
    golden(tmp_path, "feed_loop.csv.gz", "mvsum.csv.gz")
    (tmp_path / "mvsum.csv.gz").write_bytes(b"nothing")
    found = replay(vectors=tmp_path)
    assert next(found).ok
    with pytest.raises(tm.InputError, match=r"mvsum\.csv\.gz"):
        next(found)


def test_without_options_everything_that_ships_is_replayed() -> None:
    kinds = []
    for case in replay():
        kinds.append(case.kind)
        if len(kinds) == 2:
            break
    assert kinds == ["vector", "e2e"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--vectors", "nowhere"], "nowhere: is not a folder"),
        (["--vectors", "empty"], "empty: holds no vector files"),
        (["--recordings", "nowhere"], "nowhere: "),
        (["--recordings", "empty"], "empty: holds no recorded quota resets"),
        (["--vectors", "broken"], "mvsum.csv:2"),
        (["--json", "--vectors", "broken"], "mvsum.csv:2"),
        (["--recordings", "nowhere", "--seeds", "-1"], "--seeds: -1 is negative"),
    ],
)
def test_wrong_folders_are_one_sentence(
    words: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    header = gzip.decompress(tm.data_path("golden", "mvsum.csv.gz").read_bytes()).decode().splitlines()[0]
    (tmp_path / "broken" / "mvsum.csv").write_text(f"{header}\n{','.join(['x'] * (header.count(',') + 1))}\n")
    assert cli.main(["validate", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err
    assert err.count("\n") == 1
