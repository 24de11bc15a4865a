"""Frames, free lists and counters against a slow reference and against full scans, after any sequence of moves."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given, settings
from numba import njit
from reference_memory import RefMemory, RefNode

from tieringmodel.damon.early_exit import run_builtin
from tieringmodel.damon.kdamond import Kdamond
from tieringmodel.damon.regions import RegionSet, SplitState
from tieringmodel.damon.rng import counter_rng
from tieringmodel.errors import InputError
from tieringmodel.kernels import layout as L
from tieringmodel.kernels import random, scoring
from tieringmodel.kernels._jit import records
from tieringmodel.memory.physical import PhysicalMemory
from tieringmodel.scenario import Buddy, Context, Group, Machine, Node, Placement, Workload
from tieringmodel.simulation.silent import Silent
from tieringmodel.workload.access import AccessTable

PAGE = 4096
ALLOCATORS = ("lowest", "fifo", "lifo", "random", "buddy")
ALONE = {"cpus": 1, "others_pages_per_s": 0}
SEED = 11


def schemes(n_nodes):
    """Migration to every node, plain and through a filter that every page passes, then both LRU actions."""
    every_page = [{"type": "anon", "allow": True}]
    moves = [
        {"action": "migrate_hot", "target_nid": nid, "filters": filters}
        for nid in range(n_nodes)
        for filters in ([], every_page)
    ]
    return [*moves, {"action": "lru_prio"}, {"action": "lru_deprio"}]


def bind(memory, access):
    """A kdamond whose schemes the test drives by hand."""
    context = Context.from_dict({"schemes": schemes(len(memory.nids))})
    space = memory.space_for(1)
    return Kdamond(context, 0, memory, access, space, [[(0, PAGE)]], counter_rng(0), SplitState(), {}, Silent())


def act(kdamond, scheme, first, last):
    """Carry a scheme's action out on page frames [first, last), as a pass of its own; pages handled."""
    kdamond.schemes["last_applied"] = 0
    cursor = records(1, L.CURSOR)[0]
    cursor["start"], cursor["end"] = first * PAGE, last * PAGE
    applied, _, _ = run_builtin(kdamond, scheme, cursor)
    assert applied % PAGE == 0
    return applied // PAGE


@st.composite
def machines(draw):
    """Two or three nodes with ragged sizes, holes between them, frames taken at boot, cache pages and reserves."""
    nodes, at = [], draw(st.integers(0, 40))
    for nid in range(draw(st.integers(2, 3))):
        size = draw(st.sampled_from([1, 40, 511, 512, 700, 1500]))
        taken = [draw(st.integers(0, size // 8)) for _ in range(3)]
        reserve = draw(st.sampled_from([0, 0, 5, size // 4]))
        cut, hole = draw(st.integers(0, size)), draw(st.sampled_from([0, 0, 1, 600]))
        ranges = [(at, at + cut), (at + cut + hole, at + size + hole)]
        ranges = [(first * PAGE, last * PAGE) for first, last in ranges if first < last]
        nodes.append(Node(nid, None, 0, reserve, *(n * PAGE for n in taken), ranges=ranges))
        at += size + hole + draw(st.sampled_from([0, 3, 600]))
        if nid == 1 and hole > 100 and cut % size and nodes[0].extent[1] < ranges[0][0] and draw(st.booleans()):
            # Node 0 goes on inside node 1's hole.
            more = (ranges[0][1], ranges[0][1] + 80 * PAGE)
            nodes[0] = nodes[0].replace(ranges=(*nodes[0].system_ram, more))
    options = {
        "allocator": draw(st.sampled_from(ALLOCATORS)),
        "on_full": draw(st.sampled_from(["stop_run", "try_all"])),
    }
    alone = Buddy(**ALONE) if options["allocator"] == "buddy" else None
    return Machine(nodes=tuple(nodes), buddy=alone, **options)


def room(machine):
    return sum(n.sz_bytes - n.unmanaged_bytes - n.kernel_bytes - n.cache_bytes for n in machine.nodes) // PAGE


def leaves_room(machine, placement):
    """Whether pages that spill over from full nodes leave every node its cache pages."""
    free = [(n.sz_bytes - n.unmanaged_bytes - n.kernel_bytes) // PAGE for n in machine.nodes]
    for p in placement:
        left = p.hi - p.lo
        for i in [p.nid, *(i for i in range(len(free)) if i != p.nid)]:
            here = min(free[i], left)
            free[i], left = free[i] - here, left - here
    return all(f >= n.cache_bytes // PAGE for f, n in zip(free, machine.nodes, strict=True))


@njit
def below(key, counter, n):
    return random.below(key, counter, n)


def reference_of(machine, workload):
    nodes = [
        RefNode([(a // PAGE, b // PAGE) for a, b in n.system_ram], n.reserve_pages, unmanaged=n.unmanaged_bytes // PAGE)
        for n in machine.nodes
    ]
    keys = [np.uint64(random.mixed(SEED ^ (i + 1))) for i in range(len(nodes))]
    pick = lambda i, draw, n: int(below(keys[i], np.uint64(draw), np.uint64(n)))  # noqa: E731
    ref = RefMemory(nodes, machine.allocator, machine.on_full == "stop_run", pick)
    for p in workload.placement:
        if p.start_bytes is not None:
            for k in range(p.hi - p.lo):
                ref.place_at(p.lo + k, p.start_bytes // PAGE + k)
    for i, n in enumerate(machine.nodes):
        ref.occupy(i, (n.unmanaged_bytes + n.kernel_bytes) // PAGE)
    for p in workload.placement or (Placement(0, workload.n_pages),):
        if p.start_bytes is None:
            for page in range(p.lo, p.hi):
                ref.place_lowest(page, [p.nid, *(i for i in range(len(nodes)) if i != p.nid)])
    page = workload.n_pages
    for i, n in enumerate(machine.nodes):
        for _ in range(n.cache_bytes // PAGE):
            ref.place_lowest(page, [i])
            page += 1
    return ref


def free_list(memory, i):
    """Frames of node i in the order of its linked list."""
    m, frames = memory.arrays, []
    frame = int(m.node[i]["head"])
    while frame >= 0:
        assert int(m.rec[frame]) & 0xFFFFFFFF == 0  # a free frame holds no page
        frames.append(int(memory.pfn_of(np.array([frame]))[0]))
        frame = (int(m.rec[frame]) >> 32) - 1
    assert (frames == []) == (int(m.node[i]["tail"]) < 0) or memory.machine.allocator == "lifo"
    return frames


def same(memory, ref):
    """Everything that can be seen of the memory, and every counter, agrees with the reference and with a full scan."""
    m = memory.arrays
    owner = np.full(m.rec.size, -1)
    for i, node in enumerate(ref.nodes):
        dense = {frame: k for k, frame in enumerate(f for first, last in node.ranges for f in range(first, last))}
        for frame, page in node.owner.items():
            owner[m.base[i] + dense[frame]] = page
    held = np.flatnonzero(owner >= 0)
    np.testing.assert_array_equal((m.rec[held] & L.LOW32).astype(np.int64) - 1, owner[held])
    assert not (np.delete(m.rec, held) & L.LOW32).any()
    np.testing.assert_array_equal(m.frame_of[owner[held]], held)
    assert np.unique(m.frame_of).size == memory.n_pages == held.size
    scan = memory.recount()
    for name in ("lru_512", "free_512", "lru_256k", "free_256k"):
        np.testing.assert_array_equal(scan[name], getattr(m, name))
    for i, node in enumerate(ref.nodes):
        row, free = m.node[i], sorted(node.free)
        assert int(row["free"]) == len(free) == scan["free"][i]
        assert int(row["lru"]) == len(node.owner) == scan["lru"][i]
        assert int(row["alloc_failed"]) == node.failed
        assert int(row["active"]) == len(ref.active.intersection(node.owner.values()))
        bits = np.unpackbits(m.free_bits.view(np.uint8), bitorder="little")[m.base[i] : m.base[i] + m.frames[i]]
        assert memory.pfn_of(np.flatnonzero(bits) + m.base[i]).tolist() == free
        if ref.policy in ("fifo", "lifo"):
            assert free_list(memory, i) == node.free
        assert 0 <= len(free) <= row["total"] + memory.machine.nodes[i].unmanaged_bytes // PAGE
    classes = (m.rec[held] >> L.SHIFT32) & L.CLASS_MASK
    node_of = np.searchsorted(m.base, held, side="right") - 1
    by_class = np.zeros_like(m.by_class)
    np.add.at(by_class, (node_of, classes.astype(np.int64)), 1)
    np.testing.assert_array_equal(by_class, memory.class_pages())


@given(st.data())
@settings(max_examples=60)
def test_any_sequence_of_moves(data):
    machine = data.draw(machines())
    n = data.draw(st.integers(0, room(machine)))
    cut = data.draw(st.integers(0, n))
    nids = st.integers(0, len(machine.nodes) - 1)
    placement = tuple(Placement(lo, hi, data.draw(nids)) for lo, hi in ((0, cut), (cut, n)) if hi > lo)
    groups = tuple(Group(lo, hi, rate_hz=1) for lo, hi in ((0, cut), (cut // 2, n)) if hi > lo)
    workload = Workload(n_pages=n, placement=placement, groups=groups)
    assume(leaves_room(machine, placement))
    access = AccessTable(workload, 5000, SEED)
    memory = PhysicalMemory(machine, workload, access.page_class, SEED, n_classes=len(access.groups_of_class), log_moves=10**5)
    ref, kdamond = reference_of(machine, workload), bind(memory, access)
    same(memory, ref)
    before = memory.pfn_of_pages()
    top = machine.extent[1] // PAGE
    for _ in range(data.draw(st.integers(1, 6))):
        first = data.draw(st.integers(0, top))
        last = data.draw(st.integers(first, top + 5))
        scheme = data.draw(st.integers(0, len(kdamond.schemes) - 1))
        if scheme < 2 * len(ref.nodes):
            assert act(kdamond, scheme, first, last) == ref.migrate(first, last, scheme // 2)
        else:
            assert act(kdamond, scheme, first, last) == ref.mark(first, last, scheme == 2 * len(ref.nodes))
        same(memory, ref)
        frames = ref.frame_of()
        assert memory.pfn_of_pages().tolist() == [frames[p] for p in range(n)]
    moves, lost = memory.take_log()
    assert lost == 0
    assert moves.size == memory.migrated_pages().sum() == int(memory.arrays.node["migrated_out"].sum())
    assert (memory.used_pages() + memory.free_pages() == memory.arrays.node["total"]).all()
    # Replaying the log of moves from the start ends where the pages are.
    starts = np.array([(start // PAGE, i) for start, _, i in machine.spans])
    node = starts[np.searchsorted(starts[:, 0], before, side="right") - 1, 1].tolist()
    for move in moves.tolist():
        page, source, target = move & 0xFFFFFFFF, move >> 32 & 0xFFFF, move >> 48
        if page < n:
            assert node[page] == source
            node[page] = target
    assert node == memory.node_of_pages().tolist()


def two_nodes(allocator="lowest", on_full="stop_run", reserve=0, pages=(600, 100), n=600, **options):
    machine = Machine(
        nodes=(Node(0, 0, pages[0] * PAGE), Node(1, pages[0] * PAGE, pages[1] * PAGE, reserve)),
        allocator=allocator,
        on_full=on_full,
    )
    workload = Workload(n_pages=n, **options)
    access = AccessTable(workload, 5000, SEED)
    memory = PhysicalMemory(machine, workload, access.page_class, SEED)
    return memory, bind(memory, access)


TO_0, TO_1 = 0, 2


@pytest.mark.parametrize("reserve", [0, 1, 30, 99, 100, 500])
@pytest.mark.parametrize(("on_full", "all_fail"), [("stop_run", False), ("try_all", True)])
def test_allocation_fails_at_the_watermark(reserve, on_full, all_fail):
    memory, kdamond = two_nodes(on_full=on_full, reserve=reserve)
    fits = max(100 - reserve, 0)
    assert act(kdamond, TO_1, 0, 600) == fits
    assert memory.free_pages().tolist() == [fits, 100 - fits]
    assert int(memory.arrays.node["alloc_failed"][1]) == (600 - fits if all_fail else 1)
    # Runs are worked off from the highest frame down, so a full target receives the top of the region.
    assert np.flatnonzero(memory.node_of_pages() == 1).tolist() == list(range(600 - fits, 600))


def test_order_of_frames_by_allocator():
    """Five pages go to node 1 and back; the allocators hand out frames 600 … 604, then node 0's freed ones."""
    for allocator, back in (("lowest", [0, 1, 2, 3, 4]), ("fifo", [4, 3, 2, 1, 0]), ("lifo", [0, 1, 2, 3, 4])):
        memory, kdamond = two_nodes(allocator)
        act(kdamond, TO_1, 0, 5)
        # Highest page first: page 4 takes the lowest frame, and its own frame is freed first.
        assert memory.pfn_of_pages()[:5].tolist() == [604, 603, 602, 601, 600]
        act(kdamond, TO_0, 600, 605)
        # Frame 604 (page 0) moves first.
        assert memory.pfn_of_pages()[:5].tolist() == back


def test_random_allocation_is_uniform_over_free_frames():
    """3000 single moves into 1000 free frames and straight back: chi-square over 20 bins of 50 frames.

    19 degrees of freedom: 45 is exceeded with probability 7e-4 by a uniform allocator, and the seed is fixed.
    """
    memory, kdamond = two_nodes("random", pages=(600, 1000), n=1)
    hits = np.zeros(20, int)
    for _ in range(3000):
        assert act(kdamond, TO_1, 0, 600) == 1
        hits[(int(memory.pfn_of_pages()[0]) - 600) // 50] += 1
        act(kdamond, TO_0, 600, 1600)
    assert ((hits - 150) ** 2 / 150).sum() < 45


@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_counters_across_blocks_of_a_gibibyte(allocator):
    """Nodes of 300000 and 280000 frames share one of the coarse counters of 2**18 frames."""
    memory, kdamond = two_nodes(allocator, pages=(300_000, 280_000), n=290_000)
    assert act(kdamond, TO_1, 5_000, 280_000) == 275_000
    there = memory.pfn_of_pages()
    back = int(((there >= 310_000) & (there < 320_000)).sum())
    assert back == 10_000 or allocator in ("random", "buddy")
    assert act(kdamond, TO_0, 310_000, 320_000) == back
    scan, m = memory.recount(), memory.arrays
    for name in ("lru_512", "free_512", "lru_256k", "free_256k"):
        np.testing.assert_array_equal(scan[name], getattr(m, name))
    assert scan["lru"].tolist() == [15_000 + back, 275_000 - back] == m.node["lru"].tolist()
    assert np.unique(m.frame_of).size == memory.n_pages
    np.testing.assert_array_equal((m.rec[m.frame_of] & L.LOW32) - np.uint64(1), np.arange(memory.n_pages))


@given(
    st.lists(st.tuples(st.integers(0, 1600 * PAGE), st.integers(1, 700 * PAGE)), min_size=1, max_size=5),
    st.integers(0, 2**32),
)
@settings(max_examples=60)
def test_resident_bytes_of_any_ranges(ranges, seed):
    """Counted through three levels of counters; a page that a region covers in part counts with the covered bytes."""
    machine = Machine(nodes=(Node(0, 0, 700 * PAGE), Node(1, 900 * PAGE, 600 * PAGE)), allocator="random")
    workload = Workload(n_pages=650)
    access = AccessTable(workload, 5000, SEED)
    memory = PhysicalMemory(machine, workload, access.page_class, seed)
    act(bind(memory, access), TO_1, seed % 300, 500)
    regions = RegionSet([[[a, a + n, 0, 0, 0]] for a, n in ranges])
    counts = np.zeros(2, np.int64)
    scoring.resident_bytes(regions.now, regions.n, memory.space, memory.arrays, counts)
    expected, pfn = [0, 0], memory.pfn_of_pages().tolist()
    for a, n in ranges:
        for p in pfn:
            expected[p >= 900] += max(min((p + 1) * PAGE, a + n) - max(p * PAGE, a), 0)
    assert counts.tolist() == expected


# ---- placement ----------------------------------------------------------------------------------------------------


def test_pages_spill_into_the_next_node():
    memory, _ = two_nodes(n=650)
    assert memory.node_of_pages().tolist() == [0] * 600 + [1] * 50
    assert memory.pfn_of_pages().tolist() == list(range(650))


def test_explicit_frames_come_before_everything_else():
    places = (Placement(0, 3, 0), Placement(3, 5, start_bytes=1 * PAGE), Placement(5, 7, nid=1))
    memory, _ = two_nodes(n=7, placement=places)
    assert memory.pfn_of_pages().tolist() == [0, 3, 4, 1, 2, 600, 601]


def test_frames_taken_at_boot_and_cache_pages():
    machine = Machine(nodes=(Node(0, 8 * PAGE, 100 * PAGE, 0, 10 * PAGE, 5 * PAGE, 7 * PAGE), Node(1, 200 * PAGE, 50 * PAGE)))
    memory = PhysicalMemory(machine, Workload(n_pages=20), np.zeros(20, np.uint16))
    assert memory.pfn_of_pages().tolist() == list(range(8 + 15, 8 + 35))
    assert memory.n_pages == 27
    assert memory.arrays.node["total"].tolist() == [90, 50]
    assert memory.arrays.node["lru"].tolist() == [27, 0]
    assert memory.used_pages().tolist() == [5 + 20 + 7, 0]
    assert memory.owners().nonzero()[0].tolist() == list(range(15, 42))
    assert memory.owners().size == 250 - 8


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (
            (Placement(0, 5, start_bytes=598 * PAGE), Placement(5, 7)),
            r"placement\[0\]\.start_bytes: .* not inside one node",
        ),
        ((Placement(0, 5, start_bytes=2000 * PAGE), Placement(5, 7)), r"placement\[0\]\.start_bytes: .* not inside"),
        (
            (Placement(0, 5, start_bytes=0), Placement(5, 7, start_bytes=4 * PAGE)),
            r"placement\[1\]: .*page 5 is already",
        ),
    ],
)
def test_impossible_frames_are_refused(places, message):
    with pytest.raises(InputError, match=message):
        two_nodes(n=7, placement=places)


@pytest.mark.parametrize(
    ("own", "placement", "message"),
    [
        ({"cache_bytes": 10 * PAGE}, (), r"nodes\[0\]: .*leaves 5 pages free on it, cache_bytes need 10"),
        (
            {"kernel_bytes": 10 * PAGE},
            (Placement(0, 95, start_bytes=0),),
            r"nodes\[0\]: .*leaves 5 pages free .* need 10",
        ),
    ],
)
def test_a_node_keeps_room_for_its_own_pages(own, placement, message):
    machine = Machine(nodes=(Node(0, 0, 100 * PAGE, **own), Node(1, 100 * PAGE, 100 * PAGE)))
    with pytest.raises(InputError, match=message):
        PhysicalMemory(machine, Workload(n_pages=95, placement=placement), np.zeros(95, np.uint16))


@pytest.mark.parametrize(("tracked", "most"), [(False, 12.5), (True, 14.5)])
def test_memory_per_frame(tracked, most):
    """All arrays of a machine whose every frame holds a page, with and without the column of cleared states."""
    frames = 1 << 20
    machine = Machine(nodes=(Node(0, 0, frames // 2 * PAGE), Node(1, frames // 2 * PAGE, frames // 2 * PAGE)))
    n = frames
    memory = PhysicalMemory(machine, Workload(n_pages=n), np.zeros(n, np.uint16), track_young=tracked)
    held = sum(a.nbytes for a in memory.arrays)
    assert held / frames <= most
