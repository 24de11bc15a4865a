"""Which free frame the `buddy` allocator gives next: exactly, against the plainest lists that do the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel.errors import InputError
from tieringmodel.kernels import buddy, frames
from tieringmodel.kernels.layout import CPU, LOW32, NOW, SECONDS
from tieringmodel.memory.physical import PhysicalMemory
from tieringmodel.simulation.engine import Engine

ALONE = {"cpus": 1, "others_pages_per_s": 0, "cpu_changes_bp": 0}
SECOND = 1_000_000_000


def memory_of(pages: int = 20, nodes: Any = None, seed: int = 1, **assumed: int) -> PhysicalMemory:
    machine = tm.Machine.dram_cxl("1 MiB", "1 MiB") if nodes is None else tm.Machine(nodes)
    machine = machine.replace(allocator="buddy", buddy=ALONE | assumed)
    placed = tm.Workload(pages, placement=(tm.Placement(0, pages, 1),))
    return PhysicalMemory(machine, placed, np.zeros(pages, np.uint16), seed)


def move(memory: PhysicalMemory, pages: list[int], target: int) -> list[int]:
    """Migrate pages in this order; return the frames that they get, counted from their node's first."""
    chosen = memory.frame_of[pages].astype(np.int64)
    moved = frames.migrate_chosen(memory.arrays, chosen, np.full(len(pages), 1 - target), np.full(len(pages), target))
    assert moved == len(pages)
    return (memory.frame_of[pages].astype(np.int64) - memory.arrays.base[target]).tolist()


def test_fresh_frames_rise_and_the_one_freed_last_comes_first() -> None:
    memory = memory_of()
    assert move(memory, [19, 18, 17, 16], 0) == [0, 1, 2, 3]
    assert move(memory, [18], 1) == [16], "its own, 18, was freed before those of pages 17 and 16"
    assert move(memory, [15, 14], 0) == [1, 4], "first the frame that 18 has left"


def test_holes_are_filled_from_the_top_of_the_stack_before_anything_fresh() -> None:
    memory = memory_of()
    move(memory, [9, 8, 7, 6, 5, 4], 0)  # frames 9 … 4 of node 1 are freed, 4 last; pages lie on 0 … 5
    assert move(memory, [8, 6, 4], 1) == [4, 5, 6]  # and 1, 3, 5 of node 0 are freed
    assert move(memory, [0, 1, 2, 3, 10], 0) == [5, 3, 1, 6, 7]


def test_frames_from_4_gib_on_come_first_and_then_those_below() -> None:
    gib = 1 << 30
    node = tm.Node(0, ranges=[[2 * gib - (64 << 12), 2 * gib], [4 * gib, 4 * gib + (64 << 12)]])
    memory = memory_of(100, (node, tm.Node(1, 5 * gib, 512 << 12)))
    got = move(memory, list(range(100)), 0)
    assert got == [*range(64, 128), *range(36)]
    assert memory.pfn_of_pages()[0] == 4 * gib >> 12


def test_each_cpu_has_stacks_of_its_own_and_an_empty_node_gives_what_others_have() -> None:
    memory = memory_of(100, (tm.Node(0, 0, 64 << 12), tm.Node(1, 1 << 20, 512 << 12)), cpus=2)
    crew = memory.arrays.crew
    assert move(memory, [3, 2, 1], 0) == [0, 1, 2]
    move(memory, [3, 2], 1)  # CPU 0 has freed frames 0 and 1 of node 0
    crew[CPU] = 1
    assert move(memory, [10, 11], 0) == [3, 4]
    crew[CPU] = 0
    assert move(memory, [12], 0) == [1]
    crew[CPU] = 1
    rest = move(memory, list(range(20, 79)), 0)
    assert rest == list(range(5, 64)), "fresh ones"
    assert move(memory, [90], 0) == [0], "the other CPU's"
    assert memory.arrays.node["free"].tolist()[0] == 0


class Lists:
    """The rules in lists: two CPUs, stacks of two nodes, what is fresh, what others hold since when."""

    def __init__(self, fresh: list[list[int]], per_s: int) -> None:
        self.fresh, self.per_s = fresh, per_s
        self.stacks: list[list[list[int]]] = [[[], []], [[], []]]
        self.held: list[list[list[int]]] = [[[], []], [[], []]]

    def take(self, node: int, cpu: int) -> int:
        return self.stacks[node][cpu].pop() if self.stacks[node][cpu] else self.fresh[node].pop(0)

    def second(self) -> None:
        for cpu in 0, 1:
            taken = [self.take(0, cpu) for _ in range(self.per_s)]
            self.stacks[0][cpu] += self.held[cpu].pop(0)
            self.held[cpu].append(taken)


@pytest.mark.parametrize("per_s", [0, 3, 10])
def test_seconds_of_other_tasks_against_lists(per_s: int) -> None:
    rng, pages = np.random.default_rng(per_s), 200
    memory = memory_of(pages, (tm.Node(0, 0, 600 << 12), tm.Node(1, 4 << 20, 600 << 12)), cpus=2, others_pages_per_s=per_s)
    lists = Lists([list(range(600)), list(range(pages, 600))], per_s)
    place = {page: (1, page) for page in range(pages)}
    for _ in range(300):
        if rng.integers(4) == 0:
            memory.arrays.clock[NOW] += SECOND
            lists.second()
        cpu, target = int(rng.integers(2)), int(rng.integers(2))
        memory.arrays.crew[CPU] = cpu
        there = [page for page, (node, _) in place.items() if node != target]
        chosen = rng.permutation(there)[: int(rng.integers(1, 12))].tolist()
        expected = []
        for page in chosen:
            expected.append(lists.take(target, cpu))
            lists.stacks[1 - target][cpu].append(place[page][1])
            place[page] = (target, expected[-1])
        assert move(memory, chosen, target) == expected
    assert memory.arrays.crew[SECONDS] == memory.arrays.clock[NOW] // SECOND > 50


def test_the_cpu_changes_as_often_as_said() -> None:
    memory = memory_of(cpus=4, cpu_changes_bp=3000)
    seen = []
    for _ in range(2000):
        memory.arrays.clock[NOW] += SECOND
        move(memory, [0], int(memory.arrays.base[1] <= memory.frame_of[0]) ^ 1)
        seen.append(int(memory.arrays.crew[CPU]))
    changes = np.count_nonzero(np.diff(seen))
    assert abs(changes - 600) < 4 * 20.5  # four standard deviations of 2000 draws with chance 0.3
    assert set(seen) == {0, 1, 2, 3}


def run_of(**assumed: int) -> Engine:
    machine = tm.Machine.dram_cxl("4 MiB", "8 MiB", allocator="buddy", buddy={"others_pages_per_s": 20, **assumed})
    schemes = pull(sz_bytes=500_000), push(sz_bytes=300_000)
    return Engine(scenario(*schemes, pages=1200, groups=[tm.Group(0, 300, rate_hz=300.0)], machine=machine), 3)


def test_every_free_frame_is_fresh_or_on_one_list_at_any_time() -> None:
    engine = run_of()
    for _ in range(12):
        engine.run(700_000)
        m = engine.memory.arrays
        linked = buddy.count_linked(m, np.zeros_like(m.free_bits))
        assert linked + np.bitwise_count(m.fresh_bits).sum() == m.node["free"].sum()
        assert not (m.fresh_bits & ~m.free_bits).any()
        counted = engine.memory.recount()
        assert (counted["free"] == m.node["free"]).all()
        assert (counted["lru_512"] == m.lru_512).all()
    assert engine.memory.migrated_pages().min() > 0
    assert linked > 0


def test_offline_frames_leave_their_lists_and_the_rest_starts_anew() -> None:
    memory = memory_of(40)
    move(memory, list(range(39, 19, -1)), 0)
    memory.set_offline(1, 230)  # of 256, 20 hold pages: 6 stay free
    m = memory.arrays
    assert buddy.count_linked(m, np.zeros_like(m.free_bits)) == 0
    assert (m.fresh_bits == m.free_bits).all()
    assert move(memory, [30, 31, 32], 1) == [20, 21, 22]
    memory.set_offline(1, 0)
    assert move(memory, [33, 34, 35, 36], 1) == [23, 24, 25, 26]


DAMAGES = {
    "a frame on two stacks": lambda m: m["stack"].__setitem__((1, 0), m["stack"][1, 1]),
    "a frame in use on a stack": lambda m: m["stack"].__setitem__((1, 0), int(np.flatnonzero(m["rec"] & LOW32)[-1])),
    "a circle": lambda m: m["rec"].__setitem__(top(m), np.uint64(top(m) + 1) << np.uint64(32)),
    "a cursor that passed fresh frames": lambda m: m["cursor"].__setitem__(1, 32),
    "another CPU than there are": lambda m: m["crew"].__setitem__(CPU, 2),
    "a fresh frame in use": lambda m: m["fresh_bits"].__setitem__(slice(None), ~np.uint64(0)),
}


def top(state: dict[str, Any]) -> int:
    return int(state["stack"].max())


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_state_that_kernels_could_not_follow_is_refused(damage: str) -> None:
    engine = run_of()
    engine.run(6_000_000)
    state = engine.state()
    run_of().restore(state)
    arrays = {name: np.array(value) if isinstance(value, np.ndarray) else value for name, value in state["memory"].items()}
    DAMAGES[damage](arrays)
    with pytest.raises(ValueError, match="memory"):
        run_of().restore(state | {"memory": arrays})


@pytest.mark.parametrize(
    ("fields", "where"),
    [({"allocator": "lifo", "buddy": {}}, "buddy"), ({"buddy": {"cpus": 0}}, "buddy.cpus"),
     ({"buddy": {"cpus": 4}, "percpu_lists": 2}, "buddy.cpus"),
     ({"buddy": {"cpu_changes_bp": 10_001}}, "buddy.cpu_changes_bp")],
)  # fmt: skip
def test_assumptions_that_contradict_the_machine_are_refused(fields: dict[str, Any], where: str) -> None:
    with pytest.raises(InputError) as caught:
        tm.Machine.from_dict({"nodes": [{"nid": 0, "sz_bytes": "1 MiB"}], "allocator": "buddy"} | fields)
    assert caught.value.where == where
    assert tm.Machine.dram_cxl("1 MiB", "1 MiB", allocator="buddy", percpu_lists=6).handed_out == tm.scenario.Buddy(cpus=6)
