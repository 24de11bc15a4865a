"""Moves one by one: how many, from where to where, in which log, for every allocator."""

from __future__ import annotations

import numpy as np
import pytest
from small import PAGE, pull, scenario

import tieringmodel as tm
from tieringmodel.errors import InputError
from tieringmodel.memory.columns import count_on_node
from tieringmodel.simulation.engine import Engine


@pytest.mark.parametrize("allocator", ["lowest", "fifo", "lifo", "random", "buddy"])
def test_every_page_of_a_region_moves_and_is_logged(allocator: str) -> None:
    n = 1500  # three blocks of 512 frames, the last one not full
    machine = tm.Machine.dram_cxl("8 MiB", "8 MiB").replace(allocator=allocator)
    everything = tm.Scheme("migrate_hot", target_nid=0)
    engine = Engine(scenario(everything, pages=n, groups=[], machine=machine), 1, log_moves=2 * n)
    engine.run(300_000)
    memory = engine.memory
    assert memory.migrated_pages().tolist() == [n, 0]
    assert memory.used_pages().tolist() == [n, 0]
    moves, lost = memory.take_log()
    assert lost == 0
    assert sorted((moves & np.uint64(2**32 - 1)).tolist()) == list(range(n))
    assert {(int(m) >> 32 & 0xFFFF, int(m) >> 48) for m in moves} == {(1, 0)}
    assert memory.take_log()[0].size == 0


def test_moves_go_out_as_well() -> None:
    machine = tm.Machine.dram_cxl("4 MiB", "4 MiB")
    out = tm.Scheme("migrate_cold", target_nid=1)
    sc = scenario(out, pages=100, groups=[], machine=machine, placement=[tm.Placement(0, 100, 0)])
    engine = Engine(sc, 1, log_moves=100)
    engine.run(300_000)
    assert {(int(m) >> 32 & 0xFFFF, int(m) >> 48) for m in engine.memory.take_log()[0]} == {(0, 1)}


def test_a_log_that_is_put_back_comes_first_and_what_does_not_fit_is_counted() -> None:
    memory = Engine(scenario(pull(), pages=16, groups=[], machine=tm.Machine.dram_cxl("1 MiB", "1 MiB")), 1, log_moves=4).memory
    first = np.array([11, 12, 13], np.uint64)
    memory.put_back(first)
    assert [x.tolist() if isinstance(x, np.ndarray) else x for x in memory.take_log()] == [[11, 12, 13], 0]
    memory.put_back(np.array([21, 22], np.uint64))
    memory.put_back(first)
    moves, lost = memory.take_log()
    assert (moves.tolist(), lost) == ([11, 12, 13, 21], 1)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 64, 77])
def test_counting_a_column_of_nodes(size: int) -> None:
    nodes = np.random.default_rng(size).integers(0, 3, size).astype(np.uint8)
    for nid in 0, 1, 2, 255:
        assert count_on_node(nodes, nid) == int((nodes == nid).sum())


@pytest.mark.parametrize(
    ("column", "nid", "where"),
    [(np.zeros(8, np.uint8), 256, "nid"), (np.zeros(8, np.uint8), -1, "nid"), (np.zeros(8, np.int64), 0, "node"),
     (np.zeros(16, np.uint8)[::2], 0, "node"), (np.zeros((2, 8), np.uint8), 0, "node")],
)  # fmt: skip
def test_a_column_that_is_none_is_refused(column: np.ndarray, nid: int, where: str) -> None:
    with pytest.raises(InputError) as caught:
        count_on_node(column, nid)
    assert caught.value.where == where


def test_more_frames_than_a_page_number_can_name_are_refused_before_memory_is_asked_for() -> None:
    huge = tm.Machine.dram_cxl(PAGE << 33, PAGE << 33)
    with pytest.raises(InputError, match="frames"):
        Engine(tm.Scenario(huge, tm.Workload(1, placement=(tm.Placement(0, 1, 0),)), ()), 1)
