"""What the benchmarks compare is equal, in the small; no test looks at a clock."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import (
    against_c,
    counting,
    coupled,
    loop,
    many,
    migration,
    page_simulators,
    run,
    sampling,
    sweep,
    whole,
    whole_in_c,
)
from benchmarks.baselines.same_algorithm import SameAlgorithm
from benchmarks.measure import Spread, Table, interleaved, ratio
from benchmarks.scenarios import tiered
from tieringmodel.scenario import Goal, Quota, Weights

MIB = 1 << 20


@pytest.mark.parametrize("n_regions", [10, 137])
def test_kernel_and_numpy_see_the_same_accesses(n_regions: int) -> None:
    checks = sampling.Checks(64 * MIB, n_regions)
    for seed in range(3):
        for prepare in (checks.kernel, checks.one_tick, checks.all_ticks):
            prepare(seed)()
    assert checks.agree()


def test_scan_and_counters_find_the_same_pages() -> None:
    assert counting.Occupied(1 << 18).agree()


@pytest.mark.parametrize("scattered", [False, True])
def test_kernel_and_numpy_migrate_the_same_pages(scattered: bool) -> None:
    moves = migration.Moves(64 * MIB, scattered)
    for seed in range(4):
        moves.kernel(seed)()
        moves.other(seed)()
    assert min(moves.moved["kernel"]) > 0
    assert moves.agree()
    recounted = moves.engine.memory.recount()
    assert recounted["lru"].tolist() == moves.engine.memory.arrays.node["lru"].tolist()


def test_page_simulators_miss_equally_often(tmp_path: Path) -> None:
    second = page_simulators.Second(tiered(4 * MIB, fast_bytes=MIB), tmp_path)
    names = {"plain": second.plain} | ({"library": second.library} if page_simulators.installed() else {})
    for seed in range(2):
        for prepare in names.values():
            prepare(seed)()
        # Poisson: the rates' sum is the mean, and the standard deviation its root.
        mean = sum(g.rate_hz * (g.hi - g.lo) for g in second.scenario.workload.groups)
        assert abs(second.accesses[seed] - mean) < 5 * mean**0.5
        assert second.fast_pages < second.misses[seed, "plain"] < second.accesses[seed]
    assert second.agree()


@pytest.mark.parametrize("tuner", ["consist", "temporal"])
@pytest.mark.parametrize("delay", [0, 3])
def test_grids_of_the_loop_and_plain_c_come_to_the_same(tuner: str, delay: int, tmp_path: Path) -> None:
    library = sweep.compiled(tmp_path)
    if library is None:  # without a compiler the benchmark has nothing to compare with either
        assert sweep.grids(1, 1, 1).rows == []
        return
    both = sweep.Grid(tuner, 300, 150, delay, library)
    for seed in range(3):
        both.package(seed)()
        both.plain(seed)()
    assert both.agree()


@pytest.mark.parametrize("linked_list", [False, True])
def test_monitoring_in_c_ends_with_the_same_regions(linked_list: bool, tmp_path: Path) -> None:
    if not against_c.has_compiler():
        assert against_c.table([("64 MiB", 64 * MIB)], 1).rows == []
        return
    loops = against_c.Loops(64 * MIB, 1_000, 64)
    function = against_c.compiled(str(tmp_path), "monitor", f"-DLIST={int(linked_list)}")
    for seed in range(2):
        loops.package(seed)()
        for name in ("arrays", "list"):
            loops.c(name, function, seed)()
    assert min(loops.regions) > 100
    assert loops.agree()


@pytest.mark.parametrize("workload", list(loop.WORKLOADS))
@pytest.mark.parametrize("tuner", ["consist", "temporal"])
def test_the_whole_loop_in_c_ends_the_same(tuner: str, workload: str, tmp_path: Path) -> None:
    if not against_c.has_compiler():
        assert whole_in_c.table([("64 MiB", 64 * MIB)], 1).rows == []
        return
    # The tuner's state starts near the cap, or it would need a minute until the first page; odd caps cut regions.
    quota = Quota(
        sz_bytes=MIB + 4096 * 37, reset_interval_ms=700, goals=(Goal("node_mem_used_bp", 9_970, nid=0),), goal_tuner=tuner,
        weights=Weights(0, 3, 1), esz_bp0=MIB * 5_000,
    )  # fmt: skip
    scenario = tiered(256 * MIB, quota=quota, **loop.WORKLOADS[workload])
    loops = whole_in_c.WholeLoops(scenario, against_c.compiled(str(tmp_path), "whole_loop"), before=3, timed=400)
    for seed in range(3):
        loops.package(seed)()
        loops.c(seed)()
    assert min(loops.moved) > 1_000
    assert loops.agree()


def test_bare_sampling_checks_the_regions_of_the_run() -> None:
    part = whole.Whole(64 * MIB, "mostly idle", 1_000, before=3, timed=4)
    part.bare(1)
    seen, numpy = part.seen(1), SameAlgorithm(part.scenario, 1)
    numpy.run(3)
    numpy.taken = 0  # bare sampling draws from the start, and nothing but addresses
    hits = np.zeros(max(s.size for s in seen.starts), np.int64)
    assert len(seen.starts) == 4
    for k, (starts, ends) in enumerate(zip(seen.starts, seen.ends, strict=True)):
        if k == 0:
            np.testing.assert_array_equal(starts, numpy.start)
            np.testing.assert_array_equal(ends, numpy.end)
        numpy.start, numpy.end = starts, ends
        hits[: starts.size] += numpy.sample((3 + k) * sampling.TICKS, sampling.TICKS)
    assert hits.any()
    np.testing.assert_array_equal(part.hits[1], hits)


def test_the_whole_loop_is_timed_beside_sampling_and_reads() -> None:
    table = whole.table([("64 MiB", 64 * MIB, "mostly idle", 1_000, 20, 10)], 1)
    label, regions, moved, *times = table.rows[0]
    assert label == "64 MiB"
    assert regions > 10
    assert moved > 0
    assert sum(isinstance(cell, Spread) for cell in times) == 5


def test_simulations_have_a_record_for_each_aggregation() -> None:
    part = whole.Simulated(64 * MIB, 1, 3)
    for name in part.lengths:
        part.run(name, 0)()
    assert part.records == {"short": 11, "long": 31}
    part.reads(0)()
    assert whole.simulate_table(64 * MIB, 1, 2, 1).rows[0][4] == 10


def test_many_runs_are_those_that_are_named() -> None:
    part = many.Many(2, 1, 3)
    part.recording(0)()
    part.sweep(1)()
    assert [(p.name, p.error) for p in part.pairs] == [(many.RECORDING, "")]
    assert len(part.pairs[0].pairs) > 3
    assert part.swept.sizes["contexts.0.schemes.0.quota.sz_bytes"] == 5
    assert part.swept.done.all()
    assert len(many.table(2, 1, 2, 1).rows) == 2


def test_rounds_alternate_and_have_fresh_seeds() -> None:
    calls: list[tuple[str, int]] = []
    programs = {name: lambda seed, name=name: lambda: calls.append((name, seed)) for name in "ab"}
    took = interleaved(programs, 3)
    assert calls == [("b", 0), ("a", 0), ("a", 1), ("b", 1), ("b", 2), ("a", 2), ("a", 3), ("b", 3)]
    assert [len(v) for v in took.values()] == [3, 3]


def test_ratios_are_taken_round_by_round() -> None:
    assert ratio([2.0, 9.0, 4.0], [1.0, 3.0, 4.0]) == Spread(2.0, 1.0, 3.0)


def test_tables_can_be_read_and_stored() -> None:
    table = Table("Which?", ("a", "bb"), "A note.")
    table.add("x", Spread(1.0, 0.5, 1234.0))
    table.add(True, 0.25)
    assert table.text().splitlines() == [
        "## Which?", "A note.", "", "a    bb", "---  ------------", "x    1 [0.5-1234]", "yes  0.25",
    ]  # fmt: skip
    assert json.loads(json.dumps(table.data()))["rows"][0][1] == {"median": 1.0, "low": 0.5, "high": 1234.0}


def test_one_question_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "questions", lambda quick: {"counting": lambda: [counting.table(1 << 18, 1)]})
    assert run.main(["--quick", "--only", "counting", "--json", str(tmp_path / "out.json")]) == 0
    assert "count_on_node" in capsys.readouterr().out
    stored = json.loads((tmp_path / "out.json").read_text())
    assert stored["quick"] is True
    assert len(stored["tables"]) == 1


def test_nodes_alike_leave_a_coupled_run_as_it_is() -> None:
    rows = coupled.table(2, 1).rows
    assert [row[4] for row in rows] == [1.0, 1.0]  # as many regions as without
