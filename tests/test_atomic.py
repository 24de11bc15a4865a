"""Files that are whole or not there: their other names, and what is said when writing fails."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from tieringmodel import atomic
from tieringmodel.atomic import replacing, replacing_netcdf
from tieringmodel.errors import InputError


@pytest.mark.parametrize("length", [1, 160, 161, 252])
def test_a_name_of_any_length_has_another_one_beside_it(tmp_path: Path, length: int) -> None:
    path = tmp_path / f"{'x' * length}.nc"
    with replacing(path) as temporary:
        assert temporary.name.startswith(f".{'x' * length}.") == (length <= 160)
        assert temporary.suffix == ".nc"
        temporary.write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "whole"


def test_the_file_is_on_disk_before_it_gets_its_name_and_the_folder_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, bool]] = []
    monkeypatch.setattr(os, "fsync", lambda fd: seen.append((stat.S_ISDIR(os.fstat(fd).st_mode), path.exists())))
    opened, closed, really = [], [], (os.open, os.close)
    monkeypatch.setattr(os, "open", lambda *given: opened.append(really[0](*given)) or opened[-1])
    monkeypatch.setattr(os, "close", lambda fd: closed.append(fd) or really[1](fd))
    path = tmp_path / "a.nc"
    with replacing(path) as temporary:
        temporary.write_text("whole")
    assert seen == [(False, False), (True, True)]
    assert (len(opened), closed) == (1, opened)


@pytest.mark.parametrize(("said", "told"), [("the cable is out", "the cable is out"), ("", "No space left on device")])
def test_an_error_names_the_file_that_the_user_knows(tmp_path: Path, said: str, told: str) -> None:
    def fail() -> None:
        with replacing(tmp_path / "a.nc") as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, said, str(temporary))

    with pytest.raises(OSError, match=told) as caught:
        fail()
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "a.nc"))
    assert list(tmp_path.iterdir()) == []


def test_what_hdf5_says_of_a_failed_write_is_cut_to_its_reason(tmp_path: Path) -> None:
    def fail() -> None:
        with replacing_netcdf(tmp_path / "a.nc", 1000, 3) as temporary:
            assert temporary.stat().st_size == 1000 + (3 + 8) * 16384  # a header for each variable, and eight more
            raise RuntimeError("Can't write data (file write failed: time = now, errno = 28)")

    with pytest.raises(OSError, match=r"cannot be written \(Can't write data\)") as caught:
        fail()
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, str(tmp_path / "a.nc"))
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_a_live_one_writes_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, gone = tmp_path / "a.nc", 2**31 - 1  # no process has that number
    alive = atomic._temporary(path)
    monkeypatch.setattr(os, "getpid", lambda: gone)
    left = atomic._temporary(path), atomic._temporary(tmp_path / "b.nc")
    for part in (alive, *left):
        part.touch()
    with replacing(path) as temporary:
        temporary.write_text("whole")
    assert sorted(tmp_path.iterdir()) == sorted([path, alive, left[1]])


def test_why_a_place_cannot_be_written_to_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "touch", refuses)
    with pytest.raises(InputError, match=r"nothing can be written there \(Permission denied\)"):
        atomic.need_place(tmp_path / "a.nc", "-o")
