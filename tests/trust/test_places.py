"""Files that are written at the end: whether they can be is tried at the start, and nothing of killed writers stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tieringmodel as tm
from tieringmodel import atomic
from tieringmodel.atomic import need_place, replacing
from tieringmodel.errors import InputError


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("typo/run.ck", "there is no folder"),
        ("file/run.ck", "there is no folder"),
        ("folder", "is a folder"),
        ("n" * 300, "nothing can be written there"),
        ("a\0b", "names no file"),
        ("a\ud800b", "names no file"),
    ],
)
def test_a_checkpoint_that_cannot_be_written_is_refused_before_the_run(name: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=says) as caught:
        tm.simulate(tm.load("rfc-40-60"), duration=5, progress=False, checkpoint=f"{tmp_path}/{name}")
    assert caught.value.where == "checkpoint"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_trying_a_place_leaves_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    assert need_place(tmp_path / "x", "here").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    with pytest.raises(InputError, match="here: 3 names no file"):
        need_place(3, "here")  # type: ignore[arg-type]


def test_the_part_of_a_killed_writer_goes_with_the_next_one(tmp_path: Path) -> None:
    code = (
        "import os, sys; from tieringmodel.atomic import replacing\n"
        "with replacing(sys.argv[1]) as part: part.write_text('half'); os.kill(os.getpid(), 9)\n"
    )
    target = tmp_path / "run[1].nc"
    assert subprocess.run([sys.executable, "-c", code, str(target)], check=False).returncode == -9
    (left,) = tmp_path.iterdir()
    others = [left.name.replace("run[1]", "run1"), left.name.replace(atomic._host(), "0" * 8)]
    others.append(f".run[1].{atomic._host()}.{os.getpid()}.{'0' * 8}.part.nc")  # of one that still runs
    for name in others:
        (tmp_path / name).write_text("somebody's")
    with replacing(target) as part:
        part.write_text("whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([target.name, *others])


def test_two_writers_of_one_process_do_not_share_a_file(tmp_path: Path) -> None:
    with replacing(tmp_path / "x.nc") as one:
        one.write_text("one")
        with replacing(tmp_path / "x.nc") as other:
            other.write_text("other")
        assert (tmp_path / "x.nc").read_text() == "other"
    assert (tmp_path / "x.nc").read_text() == "one"


def test_a_long_name_is_written(tmp_path: Path) -> None:
    name = "n" * 250 + ".nc"
    with replacing(tmp_path / name) as part:
        part.write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_the_folder_is_brought_to_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.readlink(f"/proc/self/fd/{fd}")), sync(fd))[1])
    with replacing(tmp_path / "x") as part:
        part.write_text("whole")
    assert synced == [str(part), str(tmp_path)]
