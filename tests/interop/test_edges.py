"""Readers where one more line, target or file decides: by hand."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damo_cases import scenario

import tieringmodel as tm
from tieringmodel.interop.damo.json import read_damo
from tieringmodel.interop.damo.write import damo_json
from tieringmodel.interop.load import open_scenario
from tieringmodel.interop.machines.folder import is_collected
from tieringmodel.interop.recording.read import _first_rows
from tieringmodel.interop.recording.scenario_of import recorded_groups
from tieringmodel.interop.sysfs.portable import portable
from tieringmodel.interop.sysfs.shell import _commands

ZONEINFO = "Node 0, zone   Normal\n  pages free     1\n        min      1\n"
DAMON = "/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds 1\n"


class Table(dict[str, Any]):
    """As much of a table as its readers ask for."""

    def where(self, row: int) -> str:
        return f"table.csv:{row + 2}"


def test_aggregations_begin_where_their_number_changes_and_nobody_writes_into_that() -> None:
    rows = _first_rows(Table(agg=np.array([0, 0, 1, 2, 2])), notes := [])  # type: ignore[arg-type]
    assert (rows.tolist(), rows.flags.writeable, notes) == ([0, 2, 3, 5], False, [])
    for agg in ([1, 2], [0, 2], [0, 1, 0]):
        with pytest.raises(tm.InputError, match="number aggregations 0, 1, 2"):
            _first_rows(Table(agg=np.array(agg)), [])  # type: ignore[arg-type]


def test_a_tick_that_lasts_over_rows_is_in_the_row_in_which_it_ends() -> None:
    # Ticks of 10 ms: 10 end by the first row, none in the next, 5 in the third, and none up to the last one.
    record = Table(
        t_ms=np.array([100.0, 200.0, 300.0, 400.0]),
        ticks=np.array([10, 10, 15, 15], np.uint64),
        hot_touches=np.array([100, 100, 150, 150]),
    )
    groups = (tm.Group(0, 10, "period", period=1, name="hot"),)
    parts = [(g.start_tick, g.end_tick, g.period) for g in recorded_groups(record, groups, 10)]  # type: ignore[arg-type]
    assert parts == [(0, 10, 1), (10, 30, 4), (40, 2**62, 1)]


def test_rates_of_a_record_hold_between_its_rows_and_those_of_the_group_around_them() -> None:
    # Ten pages, ticks of 2 ms, rows at ticks 5, 10 and 20: 100 touches of each page in 10 ms, none in 20 ms.
    record = Table(t_ms=np.array([10.0, 20.0, 40.0]), hot_touches=np.array([0, 1000, 1000]))
    groups = (tm.Group(0, 10, rate_hz=7.0, name="hot"),)
    parts = list(recorded_groups(record, groups, 2))  # type: ignore[arg-type]
    assert [(g.start_tick, g.rate_hz) for g in parts] == [(0, 7.0), (5, 10_000.0), (20, 7.0)]
    assert [g.end_tick for g in parts] == [5, 10, groups[0].end_tick]


@pytest.mark.parametrize(
    ("line", "commands"),
    [
        ("echo 1 > a || exit 1; echo 2 > b", [["echo", "1", ">", "a"], ["echo", "2", ">", "b"]]),
        ("echo 1 > a || { echo no; exit 1; }; echo 2 > b", [["echo", "1", ">", "a"], ["echo", "2", ">", "b"]]),
        ("echo 1 > a || { { x; }; y; } && echo 2", [["echo", "1", ">", "a"], ["echo", "2"]]),
        ("echo 1 && echo 2 & echo 3 ;; # echo 4", [["echo", "1"], ["echo", "2"], ["echo", "3"]]),
    ],
)
def test_commands_of_a_line_stand_for_themselves(line: str, commands: list[list[str]]) -> None:
    assert _commands(line, "x.sh:1") == commands


def two_targets(**first: Any) -> Any:
    """What damo would be told of a context with two targets."""
    region = tm.Target(((4096, 8192),))
    data = damo_json(portable(scenario(tm.Context("vaddr", targets=(region, region))), pids=((41, 42),)))
    data["kdamonds"][0]["contexts"][0]["targets"][0] |= first
    return data


def test_an_obsolete_target_is_left_out_and_those_behind_it_are_not() -> None:
    dump = read_damo(two_targets(obsolete=True))
    assert dump.pids == ((42,),)
    assert len(dump.contexts[0].targets) == 1
    assert any("obsolete" in note for note in dump.notes)


@pytest.mark.parametrize(("pid", "told"), [(41, True), (42, False), (0, False)])
def test_several_processes_are_one_workload_and_that_is_said(tmp_path: Path, pid: int, told: bool) -> None:
    path = tmp_path / "told.json"
    path.write_text(json.dumps(two_targets(pid=pid)))
    assert any("several processes" in note for note in open_scenario(path).notes) is told


@pytest.mark.parametrize("weight", [None, 0, "0", 3])
def test_a_probe_that_weighs_nothing_only_observes(weight: Any) -> None:
    data = two_targets()
    data["kdamonds"][0]["contexts"][0]["probes"] = [{"weight": weight}]
    if weight == 3:
        with pytest.raises(tm.InputError, match=r"probes\[0\].*weighted probe"):
            read_damo(data)
    else:
        assert any("only observes" in note for note in read_damo(data).notes)


def test_a_folder_is_what_its_files_describe(tmp_path: Path) -> None:
    assert is_collected(tmp_path) is None
    (tmp_path / "damon.txt").write_text(DAMON)
    assert is_collected(tmp_path) is None
    (tmp_path / "zoneinfo.txt").write_text(ZONEINFO)
    assert is_collected(tmp_path) == tmp_path / "damon.txt"
    (tmp_path / "damon.txt").unlink()
    with pytest.raises(tm.InputError, match="describes a machine and nothing that DAMON does"):
        is_collected(tmp_path)


def test_a_node_of_three_digits_asks_for_no_machine_of_its_own() -> None:
    line = shlex.split("damo start --numa_node 100 --damos_action stat")
    with pytest.raises(tm.InputError) as caught:
        open_scenario(line)
    assert "100" in str(caught.value)
