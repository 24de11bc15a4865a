"""Figures that a second process draws: the same as here, and nothing is lost when it fails."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest
import xarray as xr

from tieringmodel.reports import beside
from tieringmodel.reports.beside import Beside
from tieringmodel.reports.comparison_section import draw


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as it takes for a second process to be started."""
    monkeypatch.setattr(beside, "processors", lambda: 2)


@pytest.fixture
def drawn_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is drawn in this process is a word."""
    monkeypatch.setattr(beside, "draw", lambda comparison, ident, folder: iter([("drawn here", ident)]))


def ended(process: Beside) -> bool:
    return process.process is not None and process.process.poll() is not None


def test_elements_and_files_are_those_that_are_drawn_here(comparison: xr.Dataset, tmp_path: Path) -> None:
    small = comparison.isel(policy=slice(2)).drop_dims(["region", "snapshot"])
    with Beside(tmp_path / "there") as there:
        there.draw(small, "a")
        assert there.process is not None
        assert os.getpgid(there.process.pid) != os.getpgid(0)  # a terminal's Ctrl-C does not reach it
        got = there.results()
    assert ended(there)
    assert there.why == ""
    assert got == [list(draw(small, "a", tmp_path / "here"))]
    files = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "there").iterdir())
    assert all((tmp_path / "here" / f).read_bytes() == (tmp_path / "there" / f).read_bytes() for f in files)


@pytest.mark.usefixtures("drawn_here")
def test_a_process_that_ends_loses_nothing(comparison: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Beside(tmp_path) as killed:
        assert killed.process is not None
        killed.process.kill()
        killed.draw(comparison, "a")
        assert killed.results() == [[("drawn here", "a")]]
    assert killed.why == "the process that draws figures ended (signal 9); they are drawn anew"
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Beside(tmp_path) as failed:
        failed.draw(comparison, "b")
        assert failed.results() == [[("drawn here", "b")]]
    assert failed.why == "the process that draws figures ended (status 1); they are drawn anew"
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with Beside(tmp_path) as none:
        none.draw(comparison, "c")
        assert (none.results(), none.why) == ([[("drawn here", "c")]], "")


@pytest.mark.usefixtures("drawn_here")
def test_what_cannot_be_written_is_said_of_its_file(comparison: xr.Dataset, tmp_path: Path) -> None:
    taken = tmp_path / "comparison-share.png"
    taken.mkdir()
    with Beside(tmp_path) as there:
        there.draw(comparison.assign_attrs(name=""), "a")
        with pytest.raises(OSError, match="Is a directory") as error:
            there.results()
    assert error.value.filename == str(taken)
    assert ended(there)


def test_an_interruption_leaves_no_process_and_no_half_of_a_file(comparison: xr.Dataset, tmp_path: Path) -> None:
    there = Beside(tmp_path)

    def interrupted() -> None:
        with there:
            there.draw(comparison, "a")
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
            there.results()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore Ctrl-C
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended(there)
    assert not [path for path in tmp_path.iterdir() if ".part" in path.name]


def test_one_processor_draws_alone(
    comparison: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn_here: None
) -> None:
    monkeypatch.setattr(beside, "processors", lambda: 1)
    with Beside(tmp_path) as alone:
        alone.draw(comparison, "a")
        assert (alone.process, alone.results(), alone.why) == (None, [[("drawn here", "a")]], "")
