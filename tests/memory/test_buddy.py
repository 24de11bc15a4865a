"""Which free frame the `buddy` allocator gives next: exactly, against the plainest lists that do the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from reference_buddy import RefBuddy, RefZone, constants
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel.errors import InputError
from tieringmodel.kernels import buddy, frames, zone_lists
from tieringmodel.kernels.layout import (
    BATCH,
    BEGIN,
    COUNT,
    CPU,
    CPUS,
    END,
    FREE_COUNT,
    HIGH,
    HIGH_MAX,
    HIGH_MIN,
    LOW32,
    NOW,
    ORDERS,
    REMOTE,
    SECONDS,
    TOP_ORDER,
)
from tieringmodel.memory.physical import PhysicalMemory
from tieringmodel.simulation.engine import Engine

ALONE = {"cpus": 1, "others_pages_per_s": 0, "cpu_changes_bp": 0}
SECOND, PAGE, GIB = 1_000_000_000, 4096, 1 << 30


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


def listed(memory: PhysicalMemory, k: int) -> list[int]:
    """The frames of a list, head first, counted from the first node's first."""
    out, frame = [], int(memory.arrays.ends[k, 0])
    while frame >= 0:
        out.append(frame)
        frame = (int(memory.arrays.rec[frame]) >> 32) - 1
    return out


def blocks(memory: PhysicalMemory, z: int) -> list[list[int]]:
    return [listed(memory, z * ORDERS + order) for order in range(ORDERS)]


def singles(memory: PhysicalMemory, z: int, cpu: int = 0) -> list[int]:
    m = memory.arrays
    return listed(memory, 2 * m.base.size * ORDERS + z * int(m.crew[CPUS]) + cpu)


def test_sixteen_frames_by_hand() -> None:
    """docs/theory/damon.md, section g.7: batch 4, lists of 8, one free block of order 4."""
    memory = memory_of(10, (tm.Node(0, 0, 16 * PAGE), tm.Node(1, 4 << 20, 512 * PAGE)))
    m = memory.arrays
    m.zone[0, [BATCH, HIGH_MIN, HIGH_MAX]] = 4, 8, 8
    m.pcp[0, HIGH] = 8
    assert blocks(memory, 0) == [[], [], [], [], [0], *[[]] * 6]
    assert move(memory, [0, 1, 2, 3, 4, 5], 0) == [0, 1, 2, 3, 4, 5]
    assert (singles(memory, 0), blocks(memory, 0)[:4]) == ([6, 7], [[], [], [], [8]])
    move(memory, [4, 3, 1], 1)
    assert singles(memory, 0) == [1, 3, 4, 6, 7]
    assert move(memory, [8, 7, 6, 9], 0) == [1, 3, 4, 6], "holes first, in the order opposite to that in which they came up"
    move(memory, [5, 6, 7, 2, 8, 0, 9], 1)  # on 5, 4, 3, 2, 1, 0, 6
    assert (singles(memory, 0), blocks(memory, 0)[:4]) == ([6, 0, 1, 2], [[3, 7], [4], [], [8]])
    assert move(memory, [5, 6, 7, 2, 8, 0, 9, 1], 0) == [6, 0, 1, 2, 3, 7, 4, 5]


def test_lengths_of_lists_are_those_of_a_recorded_machine() -> None:
    """Two CPUs, nodes of 2 and of 4 GiB: the formulas give what /proc/zoneinfo said within 1 %."""
    managed, recorded = (484_496, 1_031_945), [(63, 631, 30_137), (63, 1_351, 64_496)]
    nodes = tuple(
        tm.Node(i, i << 33, size << 30, unmanaged_bytes=((size << 18) - of) * PAGE)
        for i, (size, of) in enumerate(zip((2, 4), managed, strict=True))
    )
    zone = memory_of(8, nodes, cpus=2).arrays.zone[[0, 2]]
    for i in 0, 1:
        given = zone[i, [BATCH, HIGH_MIN, HIGH_MAX]].tolist()
        assert given == list(constants(managed[i], sum(managed), 2))
        assert given == pytest.approx(recorded[i], rel=0.01)
    assert zone[:, REMOTE].tolist() == [0, 1]


def test_lists_are_longer_where_huge_pages_are_in_use() -> None:
    """F1's /proc/zoneinfo: three zones with 5632 pages each to be kept free, 3354 and 7178 pages on a list at least."""
    sizes = ((2, 484_496), (4, 1_031_945))
    nodes = [tm.Node(i, i << 33, size << 30, unmanaged_bytes=((size << 18) - of) * PAGE) for i, (size, of) in enumerate(sizes)]
    machine = tm.Machine(tuple(nodes), allocator="buddy")
    workload = tm.Workload(1024, (tm.Group(0, 1024, thp="always"),), (tm.Placement(0, 1024, 1),))
    zone = Engine(tm.Scenario(machine, workload)).memory.arrays.zone[[0, 2]]
    for i, least in enumerate((3354, 7178)):
        assert zone[i, HIGH_MIN] == pytest.approx(least, rel=0.01)


def test_boot_hands_out_odd_pieces_first_and_then_the_largest_blocks_from_below() -> None:
    memory = memory_of(1030, (tm.Node(0, 0, 16 << 20), tm.Node(1, (16 << 20) + 3 * PAGE, 4096 * PAGE)))
    # Node 1 begins three frames behind a multiple of 4 MiB; its first 1030 frames are in use.
    found = [[f - memory.arrays.base[1] for f in one] for one in blocks(memory, 2)]
    assert found[0] == [1030, 4095]
    assert found[10] == [2045, 3069]
    assert all((f + 3) % (1 << order) == 0 for order in range(ORDERS) for f in found[order])
    assert sum(len(one) << order for order, one in enumerate(found)) == 4096 - 1030


@pytest.mark.parametrize(("given", "expected"), [(50, [40, 10]), (15, [8, 7]), (0, [0, 0])])
def test_lists_at_the_start_are_one_cpus_but_what_others_take_in_a_second(given: int, expected: list[int]) -> None:
    """50 pages, of which others take 10 a second: 10 are on the other CPU's list. A node without CPUs has all on one."""
    nodes = tuple(tm.Node(i, i << 30, 16 << 20, percpu_pages=given) for i in (0, 1))
    machine = tm.Machine(nodes, allocator="buddy", percpu_lists=2, buddy={"others_pages_per_s": 10})
    memory = PhysicalMemory(machine, tm.Workload(8), np.zeros(8, np.uint16))
    assert memory.arrays.pcp[:2, COUNT].tolist() == expected
    assert memory.arrays.pcp[4:6, COUNT].tolist() == [given, 0]
    assert {len(listed(memory, k)) for k in range(len(memory.arrays.ends) - 4, len(memory.arrays.ends))} == {10}
    assert memory.visible_free(0) == memory.free_pages()[0] - given


def test_the_first_cpu_to_work_is_drawn() -> None:
    """Every seed has its own: 400 of them differ from half and half by less than four standard deviations."""
    first = [int(memory_of(seed=seed, cpus=2).arrays.crew[CPU]) for seed in range(400)]
    assert abs(sum(first) - 200) < 4 * 10


def test_a_block_and_its_buddy_merge_up_to_the_largest_order() -> None:
    memory = memory_of(8, (tm.Node(0, 0, 4 << 20), tm.Node(1, 4 << 20, 4 << 20)))
    before = blocks(memory, 0)
    assert before[10] == [0]
    taken = move(memory, list(range(8)), 0)
    move(memory, list(range(8)), 1)
    buddy.give_back(memory.arrays, np.int64(0), np.int64(0), np.int64(memory.arrays.pcp[0, COUNT]))
    assert taken == list(range(8))
    assert blocks(memory, 0) == before


def test_frames_from_4_gib_on_come_first_and_then_those_below() -> None:
    node = tm.Node(0, ranges=[[2 * GIB - (64 << 12), 2 * GIB], [4 * GIB, 4 * GIB + (64 << 12)]])
    memory = memory_of(100, (node, tm.Node(1, 5 * GIB, 512 << 12)))
    got = move(memory, list(range(100)), 0)
    assert got == [*range(64, 128), *range(36)]
    assert memory.pfn_of_pages()[0] == 4 * GIB >> 12


def test_a_machine_of_huge_folios_has_blocks_up_to_4_mib() -> None:
    machine = tm.Machine.dram_cxl("64 MiB", "64 MiB", allocator="buddy", folio_bytes="2 MiB")
    memory = PhysicalMemory(machine, tm.Workload(4), np.zeros(4, np.uint16))
    assert memory.arrays.zone[0, TOP_ORDER] == 1
    assert [len(one) for one in blocks(memory, 0)[:3]] == [0, 14, 0], "others take pages of 4 KiB: not one of 2 MiB a second"


class Machine:
    """Two nodes of the reference with what a second does to them: lists shrink, others take and return.

    Others hold what they took in the last two seconds already; it all fits into the first zone.
    """

    def __init__(self, memory: PhysicalMemory, cpus: int, per_s: int) -> None:
        m, self.per_s, self.cpus = memory.arrays, per_s, cpus
        free = np.unpackbits(m.free_bits.view(np.uint8), bitorder="little").astype(bool)
        self.nodes = []
        for i in 0, 1:
            zones = []
            for z in 2 * i, 2 * i + 1:
                begin, end = m.zone[z, BEGIN], m.zone[z, END]
                bounds = tuple(m.zone[z, [BATCH, HIGH_MIN, HIGH_MAX]].tolist())
                kept = RefZone(np.flatnonzero(free[begin:end]).tolist(), int(end - begin), bounds, cpus=cpus, remote=i > 0)
                zones.append((int(begin - m.base[i]), kept))
            self.nodes.append(RefBuddy(zones))
        first = [zone for _, zone in self.nodes[0].zones if zone.size]
        self.held = [[[first[0].smallest() for _ in range(per_s)] for _ in (0, 1)] for _ in range(cpus)]

    def second(self) -> None:
        for node in self.nodes:
            node.second()
        for cpu in range(self.cpus):
            taken = [self.nodes[0].take(cpu) for _ in range(self.per_s)]
            for frame in self.held[cpu].pop(0):
                self.nodes[0].give(cpu, frame)
            self.held[cpu].append(taken)


@pytest.mark.parametrize(("per_s", "bounds"), [(0, None), (3, None), (10, (7, 28, 90)), (25, (15, 60, 400))])
def test_long_runs_against_lists(per_s: int, bounds: tuple[int, int, int] | None) -> None:
    rng, pages = np.random.default_rng(per_s), 900
    memory = memory_of(pages, (tm.Node(0, 0, 1600 << 12), tm.Node(1, 8 << 20, 1600 << 12)), cpus=2, others_pages_per_s=per_s)
    m = memory.arrays
    if bounds:
        m.zone[:, [BATCH, HIGH_MIN, HIGH_MAX]] = bounds
        m.pcp[:, HIGH] = bounds[1]
    machine = Machine(memory, 2, per_s)
    place = {page: (1, page) for page in range(pages)}
    for _ in range(250):
        if rng.integers(3) == 0:
            m.clock[NOW] += SECOND
            machine.second()
        cpu, target = int(rng.integers(2)), int(rng.integers(2))
        m.crew[CPU] = cpu
        there = [page for page, (node, _) in place.items() if node != target]
        chosen = rng.permutation(there)[: int(rng.integers(1, 60))].tolist()
        expected = []
        for page in chosen:
            expected.append(machine.nodes[target].take(cpu))
            machine.nodes[1 - target].give(cpu, place[page][1])
            place[page] = (target, expected[-1])
        assert move(memory, chosen, target) == expected
    for i in 0, 1:
        for z, (_, ref) in zip((2 * i, 2 * i + 1), machine.nodes[i].zones, strict=True):
            assert [[f - m.zone[z, BEGIN] for f in one] for one in blocks(memory, z)] == ref.blocks
            assert [int(m.pcp[2 * z + cpu, FREE_COUNT]) for cpu in (0, 1)] == [one.freed for one in ref.lists]
    assert m.crew[SECONDS] == m.clock[NOW] // SECOND > 50


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


def test_every_free_frame_is_in_one_block_or_on_one_list_at_any_time() -> None:
    engine = run_of()
    for _ in range(12):
        engine.run(700_000)
        m = engine.memory.arrays
        assert zone_lists.count_listed(m, np.zeros_like(m.free_bits)) == m.node["free"].sum()
        counted = engine.memory.recount()
        assert (counted["free"] == m.node["free"]).all()
        assert (counted["lru_512"] == m.lru_512).all()
    assert engine.memory.migrated_pages().min() > 0
    assert m.pcp[:, COUNT].sum() > 0


def test_the_last_frames_are_those_on_other_lists_and_what_others_hold() -> None:
    memory = memory_of(100, (tm.Node(0, 0, 64 << 12), tm.Node(1, 1 << 20, 512 << 12)), cpus=2, others_pages_per_s=5)
    memory.arrays.clock[NOW] += SECOND
    first = move(memory, [99], 0)
    held = [listed(memory, k) for k in range(len(memory.arrays.ends) - 4, len(memory.arrays.ends))]
    assert [len(one) for one in held] == [5, 5, 5, 5]
    rest = move(memory, list(range(63)), 0)
    assert sorted(first + rest) == list(range(64))
    assert rest[-20:] == held[0] + held[1] + held[2] + held[3]
    assert memory.arrays.node["free"][0] == 0


def test_offline_frames_leave_their_lists_and_the_rest_starts_anew() -> None:
    memory = memory_of(40)
    move(memory, list(range(39, 19, -1)), 0)
    memory.set_offline(1, 230)  # of 256, 20 hold pages: 6 stay free
    m = memory.arrays
    assert m.pcp[:, COUNT].sum() == 0
    assert [[f - m.base[1] for f in one] for one in blocks(memory, 2)[:3]] == [[], [24], [20]]
    assert move(memory, [30, 31, 32], 1) == [24, 25, 20]
    memory.set_offline(1, 0)
    assert zone_lists.count_listed(m, np.zeros_like(m.free_bits)) == m.node["free"].sum()


def some(m: dict[str, Any]) -> int:
    """A free frame with one behind it in its list."""
    return int(m["ends"][m["ends"][:, 0] != m["ends"][:, 1], 0][0])


DAMAGES = {
    "a list that begins with another's frame": lambda m: m["ends"].__setitem__((0, 0), int(m["ends"].max())),
    "a frame in use on a list": lambda m: m["ends"].__setitem__((0, 0), int(np.flatnonzero(m["rec"] & LOW32)[-1])),
    "a circle": lambda m: m["rec"].__setitem__(some(m), np.uint64(some(m) + 1) << np.uint64(32)),
    "a list whose way back is another": lambda m: m["back"].__setitem__(some(m), 7),
    "a way back from a frame in use": lambda m: m["back"].__setitem__(int(np.flatnonzero(m["rec"] & LOW32)[-1]), 3),
    "a block that is in no list": lambda m: m["order"].__setitem__(int(np.flatnonzero(m["rec"] & LOW32)[-1]), 3),
    "a block of another order": lambda m: m["order"].__setitem__(int(np.flatnonzero(m["order"])[0]), 11),
    "more blocks than there are": lambda m: m["blocks"].__setitem__((0, 0), 5000),
    "a list shorter than it says": lambda m: m["pcp"].__setitem__((0, COUNT), m["pcp"][0, COUNT] + 1),
    "a list that may be too long": lambda m: m["pcp"].__setitem__((0, HIGH), 1 << 40),
    "another zone": lambda m: m["zone"].__setitem__((0, BATCH), 5),
    "another CPU than there are": lambda m: m["crew"].__setitem__(CPU, 2),
}


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
