"""Nodes with holes: frames lie only in System RAM, addresses in a hole lead nowhere, one range is the short form."""

from itertools import pairwise

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import tieringmodel as tm
from tieringmodel.damon.regions import RegionSet
from tieringmodel.errors import InputError
from tieringmodel.kernels import scoring
from tieringmodel.memory.physical import PhysicalMemory
from tieringmodel.scenario.hardware import ALLOCATORS

MIB, PAGE = 1 << 20, 4096
NEAR = tm.Node(0, ranges=[["0", "8 MiB"], ["16 MiB", "24 MiB"]])
FAR = tm.Node(1, sz_bytes="32 MiB")
HOT = (tm.Group(0, 2048, rate_hz=1000),)


def scenario(*schemes, placement=(), regions=((0, 56 * MIB),), node=NEAR, **options):
    """Return 8 MiB of hot pages on two nodes, of which the first has a hole from 8 to 16 MiB."""
    context = tm.Context(targets=(tm.Target(regions),), schemes=schemes)
    return tm.Scenario(tm.Machine((node, FAR), **options), tm.Workload(2048, HOT, placement), (context,))


def memory_of(machine, places, pages=2048):
    """Return the memory of a machine with placed pages."""
    return PhysicalMemory(machine, tm.Workload(pages, placement=places), np.zeros(pages, np.uint16))


def test_free_frames_lie_in_the_ranges_only():
    """12 MiB promoted to a node of two ranges of 8 MiB fill the first one and half of the second."""
    placement = (tm.Placement(0, 3072, start_bytes=24 * MIB),)
    workload = tm.Workload(3072, (tm.Group(0, 3072, rate_hz=1000),), placement)
    context = tm.Context(targets=(tm.Target(((24 * MIB, 56 * MIB),)),), schemes=(tm.Scheme("migrate_hot", target_nid=0),))
    engine = tm.Scenario(tm.Machine((NEAR, FAR)), workload, (context,))
    ds = tm.simulate(engine, duration="2 s", seed=1)
    assert ds["used_pages"].values[-1].tolist() == [3072, 0]
    memory = memory_of(engine.machine, (tm.Placement(0, 3072, 0),), 3072)
    pfn = memory.pfn_of_pages()
    assert pfn.tolist() == [*range(2048), *range(4096, 5120)]
    owners = memory.owners()
    assert owners.size == 56 * MIB // PAGE
    assert owners[4096:5120].tolist() == list(range(2049, 3073))
    assert not owners[2048:4096].any()


@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_no_allocator_takes_what_is_not_there(allocator):
    """A node of 4 MiB with a hole takes 4 MiB and not a page more."""
    node = tm.Node(0, ranges=[["0", "1 MiB"], ["3 MiB", "6 MiB"]])
    machine = tm.Machine((node, tm.Node(1, "8 MiB", "32 MiB")), allocator=allocator)
    context = tm.Context(targets=(tm.Target(((8 * MIB, 40 * MIB),)),), schemes=(tm.Scheme("migrate_hot", target_nid=0),))
    workload = tm.Workload(2048, HOT, (tm.Placement(0, 2048, nid=1),))
    ds = tm.simulate(tm.Scenario(machine, workload, (context,)), duration="2 s", seed=1)
    assert ds["used_pages"].values[-1].tolist() == [1024, 1024]
    assert ds["free_pages"].values[-1].tolist() == [0, 8192 - 1024]


def test_samples_in_a_hole_find_nothing_and_count_for_sizes():
    """Regions cover the hole; no sample inside it ever finds an access, however hot the memory around it is."""
    placement = (tm.Placement(0, 1024, start_bytes=4 * MIB), tm.Placement(1024, 2048, start_bytes=16 * MIB))
    ds = tm.simulate(scenario(tm.Scheme("stat"), placement=placement), duration="4 s", seed=3)
    start, end, nr = (ds[f"region_{name}"].values.astype(np.int64) for name in ("start", "end", "nr_accesses"))
    inside = (start >= 8 * MIB) & (end <= 16 * MIB)
    assert inside.any()
    assert not nr[inside].any()
    assert nr[(start >= 4 * MIB) & (end <= 8 * MIB)].min() > 0
    per_snapshot = np.split(end - start, np.cumsum(ds["region_count"].values)[:-1])
    assert {int(sizes.sum()) for sizes in per_snapshot} == {56 * MIB}


def test_a_region_across_the_hole_is_one_run():
    """All 8 MiB around the hole move in one application; what is tried is 20 MiB, the hole with it, what is applied 8 MiB.

    The list goes from the highest address down: the page at 20 MiB - 4 KiB takes the lowest free frame.
    """
    placement = (tm.Placement(0, 1024, start_bytes=4 * MIB), tm.Placement(1024, 2048, start_bytes=16 * MIB))
    attrs = tm.Attrs(min_nr_regions=3, max_nr_regions=3)
    base = scenario(tm.Scheme("migrate_hot", target_nid=1), placement=placement, regions=((0, 20 * MIB),))
    one = base.replace(contexts=(base.contexts[0].replace(attrs=attrs),))
    ds = tm.simulate(one, duration="0.1 s", seed=1)
    assert int(ds["sz_tried"].values[-1].sum()) == 20 * MIB
    assert int(ds["sz_applied"].values[-1].sum()) == 8 * MIB
    assert ds["used_pages"].values[-1].tolist() == [0, 2048]


def test_counters_book_ranges_by_their_node():
    """Regions of 6 to 23 and of 23 to 26 MiB: frames that exist, and LRU bytes, a page of node 1 among them."""
    machine = tm.Machine((NEAR, FAR))
    places = ((0, 1024, 4), (1024, 1536, 22), (1536, 2048, 24))
    memory = memory_of(machine, tuple(tm.Placement(lo, hi, start_bytes=at * MIB) for lo, hi, at in places))
    assert memory.node_of_pages().tolist() == [0] * 1536 + [1] * 512
    regions, counts = RegionSet([[[6 * MIB, 23 * MIB, 0, 0, 0], [23 * MIB, 26 * MIB, 0, 0, 0]]]), np.zeros(2, np.int64)
    r, n = regions.now, regions.n
    scoring.online_bytes(r, n, memory.space, counts)
    assert (counts // MIB).tolist() == [2 + 7 + 1, 2]
    scoring.resident_bytes(r, n, memory.space, memory.arrays, counts)
    assert (counts // MIB).tolist() == [2 + 2, 2]
    assert memory.spanned_bytes(0) == 24 * MIB


@given(
    st.lists(st.tuples(st.integers(0, 1600 * PAGE), st.integers(1, 900 * PAGE)), min_size=1, max_size=5),
    st.integers(0, 2**32),
)
@settings(max_examples=40)
def test_resident_bytes_across_holes(ranges, seed):
    """A page that a region covers in part counts with the covered bytes, on whichever side of a hole it lies."""
    machine = tm.Machine(
        (tm.Node(0, ranges=[(0, 300 * PAGE), (500 * PAGE, 901 * PAGE)]), tm.Node(1, 1000 * PAGE, 600 * PAGE)),
        allocator="random",
    )
    places = (tm.Placement(0, 650, 0, weights=(1 + seed % 3, 1 + seed % 2)),)
    memory = memory_of(machine, places, 650)
    regions, counts = RegionSet([[[a, a + n, 0, 0, 0]] for a, n in ranges]), np.zeros(2, np.int64)
    scoring.resident_bytes(regions.now, regions.n, memory.space, memory.arrays, counts)
    expected = [0, 0]
    for p in memory.pfn_of_pages().tolist():
        assert p < 300 or 500 <= p < 901 or 1000 <= p < 1600
        for a, n in ranges:
            expected[p >= 1000] += max(min((p + 1) * PAGE, a + n) - max(p * PAGE, a), 0)
    assert counts.tolist() == expected


@given(
    first=st.integers(0, 64),
    cuts=st.lists(st.integers(1, 2047), max_size=3, unique=True),
    allocator=st.sampled_from(ALLOCATORS),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=15, deadline=None)
def test_one_range_is_the_short_form(first, cuts, allocator, seed):
    """However a span is written, as one range or as several that touch, machine and dataset are those of the short form."""
    edges = [(first + k) * PAGE for k in (0, *sorted(cuts), 2048)]
    ranges = tuple(pairwise(edges))
    long, short = tm.Node(0, ranges=ranges), tm.Node(0, edges[0], 2048 * PAGE)
    assert long == short
    assert long.to_dict() == short.to_dict() == {"nid": 0, "start_bytes": edges[0], "sz_bytes": 2048 * PAGE}
    runs = []
    for node in (long, short):
        context = tm.Context(schemes=(tm.Scheme("migrate_hot", target_nid=0), tm.Scheme("migrate_cold", target_nid=1)))
        workload = tm.Workload(3000, (tm.Group(0, 1000, rate_hz=300),), (tm.Placement(0, 3000, 0, weights=(1, 2)),))
        machine = tm.Machine((node, tm.Node(1, sz_bytes=4000 * PAGE)), allocator=allocator)
        runs.append(tm.simulate(tm.Scenario(machine, workload, (context,)), duration="0.5 s", seed=seed))
    assert runs[0].drop_attrs().identical(runs[1].drop_attrs())
    assert runs[0].attrs["scenario"] == runs[1].attrs["scenario"]


def test_a_machine_with_holes_round_trips():
    """TOML and JSON keep ranges, and say nothing twice; a saved run can be taken up again."""
    given_ = scenario(tm.Scheme("stat"))
    for text in (given_.to_toml(), given_.to_json()):
        assert "16777216" in text
    assert tm.Scenario.from_toml(given_.to_toml()) == given_ == tm.Scenario.from_json(given_.to_json())
    assert given_.machine.nodes[0].to_dict() == {"nid": 0, "ranges": [[0, 8 * MIB], [16 * MIB, 24 * MIB]]}
    assert (given_.machine.nodes[1].start_bytes, given_.machine.extent) == (24 * MIB, (0, 56 * MIB))
    text = given_.to_toml().replace("[\n", "[").replace("16777216", '"16 MiB"')
    assert tm.Scenario.from_toml(text) == given_


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([{"ranges": [[0, 4096], [0, 8192]]}], r"nodes\[0\]\.ranges\[1\]: 0x0\.\.0x2000 overlaps the range before"),
        ([{"ranges": [[8192, 12288], [0, 4096]]}], r"nodes\[0\]\.ranges\[1\]: 0x0\.\.0x1000 lies before the range before"),
        ([{"ranges": [[0, 100]]}], r"nodes\[0\]\.ranges\[0\]: 0x0\.\.0x64 does not begin and end at multiples of 4096"),
        ([{"ranges": [[4096, 4096]]}], r"nodes\[0\]\.ranges\[0\]: 0x1000\.\.0x1000 is empty"),
        ([{"ranges": [["0"]]}], r"nodes\[0\]\.ranges\[0\]: has 1 entries; write 2"),
        ([{"ranges": [["0", "1 zz"]]}], r"nodes\[0\]\.ranges\[0\]\[1\]: '1 zz' is not understood"),
        ([{"ranges": [[0, 4096]], "sz_bytes": 8192}], r"nodes\[0\]\.sz_bytes: 8192 contradicts ranges, which give 4096"),
        ([{"ranges": [[4096, 8192]], "start_bytes": 0}], r"nodes\[0\]\.start_bytes: 0 contradicts ranges, which give 4096"),
        ([{}], r"nodes\[0\]\.sz_bytes: is missing"),
        ([{"ranges": [[0, 4096], [2**63 - 4096, 2**63]]}], r"nodes\[0\]\.sz_bytes: 8192 ends beyond 2\*\*63"),
        (
            [{"ranges": [[0, 4096], [16384, 20480]]}, {"ranges": [[4096, 8192], [16384, 24576]]}],
            r"nodes\[1\]\.ranges: overlaps the node before: node 0 ends at 0x5000",
        ),
        (
            [{"start_bytes": 8192, "sz_bytes": 4096}, {"start_bytes": 0, "sz_bytes": 4096}],
            r"nodes\[1\]\.start_bytes: lies below",
        ),
    ],
)
def test_ranges_that_are_refused(nodes, message):
    """One clear sentence each."""
    with pytest.raises(InputError, match=message):
        tm.Machine.from_dict({"nodes": [{"nid": i} | node for i, node in enumerate(nodes)]})


def test_ranges_are_whole_folios_and_placements_stay_out_of_holes():
    """A folio cannot lie in a hole in part, nor a placement reach into one."""
    with pytest.raises(InputError, match=r"nodes\[0\]\.ranges\[1\]: 0x400000\.\.0x501000 does not begin and end at multiples"):
        tm.Machine((tm.Node(0, ranges=[(0, 2 * MIB), (4 * MIB, 5 * MIB + PAGE)]),), folio_bytes=2 * MIB)
    machine = tm.Machine((NEAR, FAR))
    with pytest.raises(
        InputError, match=r"placement\[0\]\.start_bytes: bytes 8384512 .* not inside one node, or reach into a hole"
    ):
        memory_of(machine, (tm.Placement(0, 2048, start_bytes=8 * MIB - PAGE),))


def test_changing_ranges_and_sizes():
    """New ranges replace address and size; a size alone contradicts them."""
    moved = NEAR.replace(ranges=[["1 GiB", "2 GiB"]])
    assert (moved.start_bytes, moved.sz_bytes, moved.ranges) == (1 << 30, 1 << 30, ())
    assert NEAR.replace(kernel_bytes=MIB).ranges == NEAR.ranges
    with pytest.raises(InputError, match="sz_bytes: 8388608 contradicts ranges, which give 16777216"):
        NEAR.replace(sz_bytes=8 * MIB)


def test_nodes_without_an_address_follow_the_one_before():
    """The first begins at 0; a node behind one with holes begins behind its last range."""
    nodes = tm.Machine(
        (tm.Node(0, sz_bytes="1 GiB"), tm.Node(1, sz_bytes="2 GiB"), NEAR.replace(nid=2, ranges=[["5 GiB", "6 GiB"]]))
    )
    assert [node.extent[0] >> 30 for node in nodes.nodes] == [0, 1, 5]
    assert nodes.stretches(0) == [(0, 1 << 30)]
    between = tm.Machine((NEAR, tm.Node(1, "8 MiB", "8 MiB"), tm.Node(2, "24 MiB", "8 MiB")))
    assert between.stretches(0) == [(0, 8 * MIB), (16 * MIB, 24 * MIB)]
    assert tm.Machine((NEAR, FAR)).stretches(0) == [(0, 24 * MIB)]


def test_a_share_of_what_a_node_spans_counts_its_hole():
    """RFC v2: 16 MiB of frames in a node of 24 MiB with its hole are two thirds, where all that is monitored matches."""
    goal = tm.Goal("node_target_mem_bp:v2", 9000, nid=0)
    scheme = tm.Scheme("migrate_hot", target_nid=0, quota=tm.Quota(sz_bytes=4096, goals=(goal,), reset_interval_ms=100))
    ds = tm.simulate(scenario(scheme), duration="1 s", seed=1)
    assert set(ds["goal_current"].values[5:, 0].tolist()) == {6666}


@pytest.mark.parametrize("metric", ["node_eligible_mem_bp:v3", "node_sys_bp:frames-share"])
def test_earlier_readings_book_ranges_by_their_node(metric):
    """12 MiB of node 0's two ranges and 28 MiB of node 1 are monitored, and all of it matches: 3000 bp."""
    goal = tm.Goal(metric, 9000, nid=0)
    scheme = tm.Scheme("migrate_hot", target_nid=0, quota=tm.Quota(sz_bytes=4096, goals=(goal,), reset_interval_ms=100))
    regions = ((0, 8 * MIB), (16 * MIB, 20 * MIB), (28 * MIB, 56 * MIB))
    ds = tm.simulate(scenario(scheme, regions=regions), duration="1 s", seed=1)
    assert set(ds["goal_current"].values[5:, 0].tolist()) == {3000}
