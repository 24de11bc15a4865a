from __future__ import annotations

from pathlib import Path

import pytest

from tieringmodel import datafiles
from tieringmodel.datafiles import data_path
from tieringmodel.errors import InputError


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An empty package folder that `datafiles` takes for its own."""
    folder = tmp_path / "site" / "tieringmodel"
    folder.mkdir(parents=True)
    monkeypatch.setattr(datafiles, "files", lambda name: folder)
    return folder


def fill(folder: Path) -> Path:
    (folder / "golden").mkdir(parents=True)
    (folder / "golden" / "a.csv").write_text("1\n")
    return folder


def test_ships_the_recording_of_the_main_job():
    assert (data_path("recordings", "C3_pullpush_temporal") / "record.csv").is_file()
    assert data_path("recordings/C3_pullpush_temporal") == data_path() / "recordings" / "C3_pullpush_temporal"


def test_wheel_data_wins_over_a_folder_beside_the_package(package):
    fill(package.parent / "data")
    (package.parent / "pyproject.toml").touch()
    inside = fill(package / "_data")
    assert data_path("golden", "a.csv") == inside / "golden" / "a.csv"


def test_checkout_data_stands_beside_the_package(package):
    beside = fill(package.parent / "data")
    (package.parent / "pyproject.toml").touch()
    assert data_path("golden") == beside / "golden"


def test_foreign_data_folder_is_not_taken(package):
    fill(package.parent / "data")
    with pytest.raises(InputError, match="reinstall tieringmodel"):
        data_path()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("golden", "b.csv"), r"^data/golden/b\.csv: no such shipped file; data/golden holds a\.csv$"),
        (("nowhere", "b.csv"), r"^data/nowhere/b\.csv: no such shipped file; data holds golden$"),
        (("golden/a.csv/b",), r"^data/golden/a\.csv/b: no such shipped file; data/golden holds a\.csv$"),
        (("..", "golden"), r"'\.\.' leads out of the data folder"),
        (("golden/../..",), r"leads out of the data folder"),
        (("/etc",), r"'/etc' leads out of the data folder"),
    ],
)
def test_error_says_what_is_there(package, parts, message):
    fill(package / "_data")
    with pytest.raises(InputError, match=message):
        data_path(*parts)
