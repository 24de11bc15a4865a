"""The heat map and the histogram in characters, by hand, and from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.reports.text_heatmap import ROWS, text_heatmap

MIB = 1 << 20


def seen() -> xr.Dataset:
    """Two snapshots of 20 MiB: the lower half hot, then the upper quarter."""
    rows = [(0, 10, 20), (10, 20, 0), (0, 15, 0), (15, 20, 10)]
    start, end, nr = (np.array(column, np.uint64) for column in zip(*rows, strict=True))
    ds = xr.Dataset(
        {
            "region_start": ("region", start * MIB),
            "region_end": ("region", end * MIB),
            "region_nr_accesses": ("region", nr),
            "region_count": ("snapshot", [2, 2]),
        },
        coords={"snapshot_time": ("snapshot", [1.0, 2.0])},
    )
    return ds.assign_attrs(kind="damo record", samples_per_aggr=20)


def test_a_small_map_exactly() -> None:
    lines = text_heatmap(seen(), width=40, ascii_only=True).split("\n")
    rows = [line.partition("|")[2] for line in lines[1 : ROWS + 1]]
    assert rows == ["#."] * 10 + [".."] * 5 + [".+"] * 5
    assert lines[1].startswith("   0 B |")
    at = lines.index("Bytes by access rate at 2 s, 2 regions")
    assert lines[at + 1].split()[:4] == ["0", "%", "15", "MiB"]
    assert [line.split()[-1] for line in lines[at + 1 :] if "#" in line] == ["#" * 18, "#" * 6]
    assert max(map(len, lines)) <= 80


def test_from_runs_and_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    ds = tm.simulate(tm.load("rfc-40-60"), duration="1 s", seed=1, snapshots=5, progress=False)
    tm.to_damo_record(ds, "run.data")
    assert cli.main(["report", "run.data", "--text", "--heatmap", "--ascii"]) == 0
    told = capsys.readouterr().out
    assert told.isascii()
    assert told.startswith("access rate of regions")
    assert "Bytes by access rate" in told
    assert cli.main(["report", "run.data", "--heatmap"]) == 2
    assert "add --text" in capsys.readouterr().err


def test_quiet_says_errors_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["lint", "damon_reclaim.min_age=30000000"]
    cli.main(line)
    assert "assumed" in capsys.readouterr().err
    cli.main([*line, "-q"])
    assert capsys.readouterr().err == ""
    assert cli.main(["lint", "nowhere", "-q"]) == 2
    assert "does not exist" in capsys.readouterr().err
    cli.main(line)
    assert "assumed" in capsys.readouterr().err, "asked anew each time"


def test_the_manual_page_has_every_command_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", "man"]) == 0
    page = capsys.readouterr().out
    assert page.startswith(".TH TIERINGMODEL 1 ")
    for name in cli.COMMANDS:
        assert f'.SH "{name.upper()}"' in page
    assert ".B \\-\\-seeds N" in page
    assert "%(default)" not in page
