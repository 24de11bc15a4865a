"""Folios of several sizes in one machine: where they lie, which of them a walk meets, how they move, and when they are split.

The reference is literal: folios are lists of pages, frames a dictionary, the walk goes from address to address.
"""

from __future__ import annotations

import itertools
import json
from functools import partial
from typing import Any

import numpy as np
import pytest
from reference_buddy import RefZone
from small import MIB, PAGE, scenario

import tieringmodel as tm
from tieringmodel.damon.early_exit import run_builtin
from tieringmodel.damon.goals import current_value
from tieringmodel.errors import InputError
from tieringmodel.kernels.layout import BATCH, FOLIO_ORDER, HIGH_MAX, HIGH_MIN, LOW32, MOVED_WHOLE, SPLIT_FOLIOS
from tieringmodel.kernels.swap import WRITTEN
from tieringmodel.linting.expected_accesses import touches_of
from tieringmodel.memory import reuse
from tieringmodel.scenario.controlled import Controlled
from tieringmodel.simulation.engine import Engine
from tieringmodel.workload.access import AccessTable

HUGE = 512
LARGER = tm.Machine.dram_cxl("32 MiB", "32 MiB", folio_bytes="8 KiB")


def built(*groups: tm.Group, scheme: tm.Scheme | None = None, pages: int = 2048, **changes: Any) -> Engine:
    """Two nodes of 16 MiB, pages on node 1 unless a placement says otherwise."""
    machine = changes.pop("machine", tm.Machine.dram_cxl("16 MiB", "16 MiB"))
    schemes = (scheme or tm.Scheme("migrate_hot", target_nid=0),)
    return Engine(scenario(*schemes, pages=pages, groups=groups, machine=machine, **changes), 1, log_moves=1 << 16)


def visit(engine: Engine, start: int, end: int, context: int = 0) -> tuple[int, int]:
    """Carry out the first scheme's action on pages start … end - 1 of its address space: pages applied, pages passed."""
    k = engine.kdamonds[context]
    k._cursor["start"], k._cursor["end"], k._cursor["target"] = start * PAGE, end * PAGE, 0
    applied, passed, _ = run_builtin(k, 0, k._cursor)
    return applied // PAGE, passed // PAGE


def orders(engine: Engine) -> dict[int, int]:
    """Order of each folio of several pages, by its first logical page."""
    m = engine.memory.arrays
    at = np.flatnonzero(m.folio)
    order = (m.folio[at] & FOLIO_ORDER).astype(np.int64)
    head = at >> order << order
    return dict(zip(((m.rec[head] & LOW32).astype(int) - 1).tolist(), order.tolist(), strict=True))


def sound(engine: Engine) -> None:
    """The memory is one that kernels can follow, and every count is what it counts."""
    engine.memory.restore(engine.memory.state(), engine.access.arrays.first)


# ---- where they lie --------------------------------------------------------------------------------------------------


def test_folios_begin_in_aligned_blocks_and_the_rest_around_them() -> None:
    engine = built(
        tm.Group(0, 3), tm.Group(3, 3 + 2 * HUGE, thp="always"), tm.Group(2000, 2048, folio_bytes="64 KiB"),
        placement=[tm.Placement(0, 2048, nid=1)],
    )  # fmt: skip
    frame, base = engine.memory.frame_of.astype(int), int(engine.memory.arrays.base[1])
    assert orders(engine) == {3: 9, 3 + HUGE: 9, 2000: 4, 2016: 4, 2032: 4}
    assert [f - base for f in (frame[0], frame[3], frame[3 + HUGE])] == [0, HUGE, 2 * HUGE]
    assert frame[3 + 2 * HUGE] - base == 3  # single pages fill what was left before the blocks
    assert all(frame[lo] % 16 == 0 for lo in (2000, 2016, 2032))
    assert np.unique(frame).size == frame.size
    sound(engine)


@pytest.mark.parametrize(("thp", "expected"), [("always", [1, 3]), ("madvise", [0, 1])])
def test_a_share_of_ranges_gets_folios(thp: str, expected: list[int]) -> None:
    engine = built(tm.Group(0, 2048, thp=thp, thp_share=0.5))
    assert orders(engine) == {k * HUGE: 9 for k in expected}


def test_unaligned_ends_of_a_mapping_stay_small() -> None:
    vmas = [tm.Vma(0, 2048, start_bytes=(1 << 30) + 100 * PAGE)]
    assert orders(built(tm.Group(0, 2048, thp="always"), vmas=vmas)) == {k * HUGE - 100: 9 for k in (1, 2, 3)}


def test_folios_are_dealt_by_weights_one_by_one() -> None:
    engine = built(tm.Group(0, 2048, thp="always"), placement=[tm.Placement(0, 2048, weights=(1, 2))])
    assert engine.memory.node_of_pages()[::HUGE].tolist() == [0, 1, 1, 0]
    sound(engine)


def test_addresses_of_a_placement_say_what_can_be_a_folio() -> None:
    low, high = 16 * MIB, 16 * MIB + 512 * PAGE
    place = [tm.Placement(0, 1024, start_bytes=low + PAGE), tm.Placement(1024, 2048, start_bytes=high + 1024 * PAGE)]
    assert orders(built(tm.Group(0, 2048, thp="always"), placement=place)) == {511: 9, 1024: 9, 1536: 9}
    with pytest.raises(InputError, match=r"groups\[0\].folio_bytes: 512 of its pages are in no whole, aligned folio of 2 MiB"):
        built(tm.Group(0, 2048, folio_bytes="2 MiB"), placement=place)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"groups": [tm.Group(0, 1000, folio_bytes="2 MiB")]}, "workload.groups[0].folio_bytes"),
        ({"groups": [tm.Group(0, 1024, folio_bytes="2 MiB"), tm.Group(512, 1024, folio_bytes="64 KiB")]}, "workload.groups[1]"),
        ({"machine": tm.Machine.dram_cxl("16 MiB", "16 MiB", allocator="fifo")}, "machine.allocator"),
        ({"machine": tm.Machine.dram_cxl("16 MiB", "16 MiB", start_bytes=PAGE)}, "machine.nodes[0]"),
        ({"machine": LARGER}, "machine.folio_bytes"),
        ({"groups": [tm.Group(0, 512, "hash", threshold=9), tm.Group(0, 512, thp="always")]}, "workload.groups[0].kind"),
        ({"schemes": (tm.Scheme("migrate_hot", dests=(tm.Dest(0, 1), tm.Dest(1, 1))),)}, "contexts[0].schemes[0].dests"),
        ({"groups": [tm.Group(0, 1024, thp="always"), tm.Group(5, 9, folio_bytes=PAGE)]}, "workload.groups[1].folio_bytes"),
        ({"groups": [tm.Group(0, 9, folio_bytes=PAGE)], "machine": LARGER}, "machine.folio_bytes"),
        ({"contexts": [tm.Context(sources=(tm.SourceOfHotness("chmu"),))]}, "contexts[0].sources"),
        ({"events": [tm.Event("1 s", "workload.vmas", [{"lo": 0, "hi": 2048, "start_bytes": PAGE}])]}, "events[0]"),
        ({"kernel": "6.12.20"}, "kernel"),
    ],
)  # fmt: skip
def test_what_is_not_modelled_is_refused(change: dict[str, Any], where: str) -> None:
    schemes, later = change.pop("schemes", ()), {name: change.pop(name) for name in ("kernel", "events") if name in change}
    given = {"pages": 2048, "groups": [tm.Group(0, 1024, thp="always")], "machine": tm.Machine.dram_cxl("16 MiB", "16 MiB")}
    make = partial(scenario, *schemes, **(given | change))
    with pytest.raises(InputError) as caught:
        make().replace(**later)
    assert caught.value.where == where


@pytest.mark.parametrize(
    "group",
    [{"folio_bytes": 12288}, {"folio_bytes": "4 MiB"}, {"folio_bytes": 2048}, {"folio_bytes": PAGE, "thp": "always"},
     {"thp_share": 0.5}, {"thp": "always", "thp_share": 1.5}, {"thp": "sometimes"}],
)  # fmt: skip
def test_a_group_says_what_can_be(group: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        tm.Group(0, 512, **group)


def test_blocks_that_are_missing_at_the_start_are_named() -> None:
    machine = tm.Machine((tm.Node(0, 0, 4 * MIB, kernel_bytes=PAGE), tm.Node(1, 4 * MIB, 4 * MIB, kernel_bytes=PAGE)))
    with pytest.raises(InputError, match="no aligned run of 512 free frames left for 1 of the folios from page 1024 on"):
        built(tm.Group(0, 1536, folio_bytes="2 MiB"), pages=1536, machine=machine)


# ---- who touches them ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("context_count", [1, 2])
def test_a_touch_of_one_page_is_seen_in_all_of_its_folio(context_count: int) -> None:
    groups = tm.Group(0, 1024, thp="always"), tm.Group(512, 1024), tm.Group(700, 701, "period"), tm.Group(1100, 1101, "period")
    region = tm.Target(((16 * MIB, 24 * MIB),))
    contexts = [tm.Context(targets=(region,), attrs=tm.Attrs(min_nr_regions=3, max_nr_regions=16))] * context_count
    engine = built(*groups, contexts=contexts)
    engine.run(5_000_000)
    r, n = engine.kdamonds[0].regions.now, engine.kdamonds[0].regions.n
    ends = ((column[:n] // PAGE).astype(int) - 4096 for column in (r.start, r.end))
    rows = list(zip(*(column.tolist() for column in (*ends, r.last[:n])), strict=True))
    hot = sum(min(b, 1024) - max(a, 512) for a, b, n in rows if n >= 18 and a < 1024 and b > 512)
    cold = sum(b - a for a, b, n in rows if n <= 2)
    assert hot > 400, rows
    assert cold > 1300, rows


@pytest.mark.parametrize("plain", [True, False])
def test_rates_of_a_folio_add_up(plain: bool) -> None:
    groups = [tm.Group(0, 2048, thp="always", rate_hz=0.05, name="warm")]
    groups += [] if plain else [tm.Group(0, 2048, rate_hz=0.05, start_tick=1)]  # a second rate in force at the same time
    attrs = tm.Attrs(sample_us=10_000, aggr_us=1_000_000, min_nr_regions=3, max_nr_regions=4)
    contexts = [tm.Context(targets=(tm.Target(((16 * MIB, 24 * MIB),)),), attrs=attrs)]
    engine = built(*groups, contexts=contexts)
    counted, samples = 0, 0
    for _ in range(60):
        engine.run(1_000_000)
        r, n = engine.kdamonds[0].regions.now, engine.kdamonds[0].regions.n
        counted, samples = counted + int(r.last[:n].sum()), samples + 100 * n
    expected = 1 - np.exp(-0.01 * 512 * (0.05 if plain else 0.1))
    assert abs(counted / samples - expected) < 5 * np.sqrt(expected / samples) + 0.01 * expected, (counted / samples, expected)


def test_a_stride_touches_the_folios_that_hold_one_of_its_pages() -> None:
    group = tm.Group(0, 2048, "period", stride=1024, folio_bytes="2 MiB")
    table = built(group).access
    assert [(lo, hi, order) for lo, hi, order, _ in table.folios] == [
        (0, 512, 9),
        (512, 1024, 9),
        (1024, 1536, 9),
        (1536, 2048, 9),
    ]
    touched = [table.arrays.first[c] < table.arrays.first[c + 1] for *_, c in table.folios]
    assert touched == [True, False, True, False]


# ---- the walk and the charge -----------------------------------------------------------------------------------------


def test_a_region_acts_on_all_of_the_folios_it_touches() -> None:
    engine = built(tm.Group(0, 2048, thp="always"))
    assert visit(engine, 4096 + 100, 4096 + 600) == (1024, 1024)
    assert engine.memory.node_of_pages()[::HUGE].tolist() == [0, 0, 1, 1]
    assert engine.memory.arrays.mixed.tolist() == [2, 0]
    assert int(engine.memory.arrays.node["migrated_in"][0]) == 1024
    moves, lost = engine.memory.take_log()
    assert (sorted((moves & LOW32).tolist()), lost) == (list(range(1024)), 0)
    sound(engine)


def test_the_folio_that_was_looked_at_last_is_passed_over() -> None:
    engine = built(tm.Group(0, 2048, thp="always"), scheme=tm.Scheme("stat", filters=(tm.Filter("anon", matching=False),)))
    assert visit(engine, 4096, 4096 + 600) == (0, 1024)
    assert visit(engine, 4096 + 600, 4096 + 1024) == (0, 0)
    assert visit(engine, 4096 + 1024, 4096 + 1025) == (0, 512)


def test_up_to_7_2_the_walk_goes_on_a_folio_behind_where_it_is() -> None:
    engine = built(tm.Group(0, 2048, thp="always"))
    engine.kdamonds[0].schemes["whole_steps"] = 1
    assert visit(engine, 4096 + 100, 4096 + 600) == (512, 512)
    assert visit(engine, 4096 + 1100, 4096 + 1700) == (1024, 1024)


def test_a_quota_is_charged_for_the_piece_and_the_folio_moves_whole() -> None:
    quota = tm.Quota(sz_bytes=100 * PAGE, reset_interval_ms=1000)
    scheme = tm.Scheme("migrate_hot", target_nid=0, quota=quota, apply_interval_us=1_000_000)
    target = tm.Target(((16 * MIB, 24 * MIB),))
    engine = built(tm.Group(0, 2048, thp="always"), contexts=[tm.Context(targets=(target,), schemes=(scheme,))])
    engine.run(1_100_000)
    row = engine.kdamonds[0].schemes[0]
    assert (int(row["sz_tried"]), int(row["sz_applied"])) == (100 * PAGE, 2 * MIB)
    assert int(row["charged_sz"]) == 100 * PAGE


@pytest.mark.parametrize("allocator", ["lowest", "random", "buddy"])
def test_a_folio_without_a_block_is_split_and_what_fits_moves(allocator: str) -> None:
    machine = tm.Machine((tm.Node(0, 0, 4 * MIB, kernel_bytes=700 * PAGE), tm.Node(1, 4 * MIB, 8 * MIB)), allocator=allocator)
    engine = built(tm.Group(0, 1024, folio_bytes="2 MiB"), pages=1024, machine=machine, placement=[tm.Placement(0, 1024, 1)])
    assert visit(engine, 1024, 2048) == (324, 1024)  # 1024 - 700 free frames, no two of which are in a free block
    assert orders(engine) == {}
    assert engine.memory.arrays.mixed.tolist() == [0, 2]
    node = engine.memory.node_of_pages()
    assert np.flatnonzero(node[512:] == 0).tolist() == list(range(1, 325))  # of the highest folio, tails first
    assert (node[:512] == 1).all()
    sound(engine)


@pytest.mark.parametrize(("full", "goes_to"), [(1, 1), (2, 2)])
def test_where_folios_may_go_anywhere_the_next_node_with_a_block_takes_them(full: int, goes_to: int) -> None:
    """As in Linux 6.17 to 7.2. Nodes 0 … `full` - 1 lack a page of the kernel's; the source, node 3, may take it itself."""
    nodes = [tm.Node(i, 2 * i * MIB, 2 * MIB, kernel_bytes=PAGE * (i < full)) for i in range(3)] + [
        tm.Node(3, 6 * MIB, 4 * MIB)
    ]
    engine = built(
        tm.Group(0, 512, folio_bytes="2 MiB"), pages=512, machine=tm.Machine(nodes), placement=[tm.Placement(0, 512, 3)]
    )
    engine.memory.arrays.node["anywhere"] = 1
    assert visit(engine, 1536, 2560) == (512, 512)
    assert set(engine.memory.node_of_pages().tolist()) == {goes_to}
    assert engine.memory.arrays.mixed.tolist() == [1, 0]


def test_the_watermark_holds_for_all_frames_of_a_block() -> None:
    machine = tm.Machine((tm.Node(0, 0, 4 * MIB, reserve_pages=513), tm.Node(1, 4 * MIB, 8 * MIB)))
    engine = built(tm.Group(0, 1024, folio_bytes="2 MiB"), pages=1024, machine=machine, placement=[tm.Placement(0, 1024, 1)])
    assert visit(engine, 1024, 2048) == (511, 1024)  # 1024 free, and 513 stay: not one folio, but single pages of both
    assert engine.memory.arrays.mixed.tolist() == [0, 2]
    machine = machine.replace(nodes=(machine.nodes[0].replace(reserve_pages=512), machine.nodes[1]))
    engine = built(tm.Group(0, 1024, folio_bytes="2 MiB"), pages=1024, machine=machine, placement=[tm.Placement(0, 1024, 1)])
    assert visit(engine, 1024, 2048) == (512, 1024)
    assert engine.memory.arrays.mixed.tolist() == [1, 1]


@pytest.mark.parametrize("looks", [True, False])
def test_pages_of_a_split_folio_are_as_young_as_it_was(looks: bool) -> None:
    machine = tm.Machine((tm.Node(0, 0, 2 * MIB, kernel_bytes=PAGE), tm.Node(1, 2 * MIB, 4 * MIB)))
    young = tm.Scheme("stat", filters=(tm.Filter("young", allow=True),))
    pull = tm.Scheme("migrate_hot", target_nid=0)
    groups = tm.Group(0, 512, folio_bytes="2 MiB"), tm.Group(5, 6, "period" if looks else "rate")
    contexts = [tm.Context(schemes=(young,)), tm.Context(schemes=(pull,))]
    engine = built(*groups, pages=512, machine=machine, placement=[tm.Placement(0, 512, 1)], contexts=contexts)
    assert visit(engine, 512, 1024) == (0, 512)  # nobody had looked: young, and made old
    for k in engine.kdamonds:
        k.tick = 3
    assert visit(engine, 512, 1024, context=1) == (511, 512)
    assert engine.memory.arrays.mixed.tolist() == [0, 1]
    engine.kdamonds[0].schemes["last_applied"] = 0
    assert visit(engine, 0, 1024) == (0, 512 if looks else 0)
    sound(engine)


# ---- filters and other actions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("low", "high", "expected"), [("2 MiB", "2 MiB", 512), (0, PAGE, 256), ("64 KiB", "1 MiB", 256)])
def test_folios_are_told_apart_by_size(low: Any, high: Any, expected: int) -> None:
    size = tm.Filter("hugepage_size", allow=True, min_bytes=low, max_bytes=high)
    groups = tm.Group(0, 512, thp="always"), tm.Group(512, 768, folio_bytes="64 KiB")
    engine = built(*groups, pages=1024, scheme=tm.Scheme("migrate_hot", target_nid=0, filters=(size,)))
    assert visit(engine, 4096, 8192) == (expected, expected)
    assert int(engine.kdamonds[0].rejected.sum()) == (1024 - expected) * PAGE
    sound(engine)


def test_one_decision_per_folio_whether_it_is_young() -> None:
    scheme = tm.Scheme("migrate_hot", target_nid=0, filters=(tm.Filter("young", allow=True),))
    engine = built(tm.Group(0, 1024, thp="always"), tm.Group(1000, 1001, "period"), pages=1024, scheme=scheme)
    assert visit(engine, 4096 + 512, 4096 + 1024) == (512, 512)
    engine.kdamonds[0].tick = 5
    engine.kdamonds[0].schemes["last_applied"] = 0
    assert visit(engine, 0, 512) == (0, 512)  # made old in the visit, touched at page 1000 since
    assert visit(engine, 0, 512) == (0, 0)  # the folio that was looked at last
    engine.kdamonds[0].schemes["last_applied"] = 0
    assert visit(engine, 0, 512) == (0, 0)  # old now


def test_lists_take_whole_folios() -> None:
    schemes = tm.Scheme("lru_prio"), tm.Scheme("lru_deprio")
    contexts = [tm.Context(schemes=(one,)) for one in schemes]
    engine = built(tm.Group(0, 1024, thp="always"), pages=1024, contexts=contexts)
    assert visit(engine, 4096 + 10, 4096 + 1024) == (1024, 1024)
    assert visit(engine, 4096 + 10, 4096 + 11, context=1) == (512, 512)
    assert engine.memory.arrays.node["active"].tolist() == [0, 512]
    sound(engine)


def test_reclaim_takes_whole_folios_and_pages_come_back_one_by_one() -> None:
    groups = tm.Group(0, 1024, thp="always"), tm.Group(100, 103, "period", start_tick=50)
    scheme = tm.Scheme("pageout", filters=(tm.Filter("anon", allow=True),))
    engine = built(*groups, pages=1024, scheme=scheme)
    assert visit(engine, 4096 + 500, 4096 + 512) == (512, 512)
    assert engine.memory.out_pages == 512
    assert orders(engine) == {512: 9}
    sound(engine)
    engine.memory.fault_in(engine.access.arrays, 60)
    assert engine.memory.out_pages == 509
    assert orders(engine) == {512: 9}
    sound(engine)


def test_holes_inside_a_node_are_walked_over_and_its_blocks_used() -> None:
    ranges = (0, 4 * MIB), (8 * MIB, 12 * MIB)
    machine = tm.Machine((tm.Node(0, ranges=ranges), tm.Node(1, 16 * MIB, 16 * MIB)))
    engine = built(tm.Group(0, 2048, thp="always"), machine=machine, placement=[tm.Placement(0, 2048, nid=1)])
    assert visit(engine, 4096, 8192) == (2048, 2048)
    assert engine.memory.pfn_of_pages()[::HUGE].tolist() == [2048 + HUGE, 2048, HUGE, 0]  # from the highest address down
    sound(engine)
    engine.kdamonds[0].schemes["target"] = 1
    assert visit(engine, 500, 2049) == (3 * HUGE, 3 * HUGE)
    sound(engine)
    uneven = machine.nodes[0].replace(ranges=((0, 4 * MIB + PAGE), (8 * MIB, 12 * MIB)))
    with pytest.raises(InputError, match=r"machine.nodes\[0\]: has RAM from 0x0 to 0x401000"):
        built(tm.Group(0, 2048, thp="always"), machine=machine.replace(nodes=(uneven, machine.nodes[1])))


def test_huge_pages_are_counted() -> None:
    groups = tm.Group(0, 512, thp="always"), tm.Group(512, 768, folio_bytes="1 MiB")
    goal = tm.Goal("hugepage_mem_bp", 5000)
    sc = scenario(tm.Scheme("migrate_hot", target_nid=0), pages=2048, groups=groups).replace(kernel="next")
    scheme = tm.Scheme("migrate_hot", target_nid=0, quota=tm.Quota(goals=(goal,), reset_interval_ms=100))
    kdamond = Engine(sc.replace(contexts=(tm.Context(schemes=(scheme,)),))).kdamonds[0]
    assert current_value(kdamond.view(0), goal) == 2500


# ---- processes -------------------------------------------------------------------------------------------------------


def test_virtual_addresses_lead_to_folios_and_weights_deal_them() -> None:
    dests = tm.Dest(0, 1), tm.Dest(1, 1)
    contexts = [tm.Context(ops="fvaddr", schemes=(tm.Scheme("migrate_hot", dests=dests),))]
    vmas = [tm.Vma(0, 2048, start_bytes=1 << 30, pgoff=0)]
    groups = tm.Group(0, 1024, thp="always"), tm.Group(1024, 1536, folio_bytes="1 MiB")
    engine = built(*groups, contexts=contexts, vmas=vmas)
    first = (1 << 30) // PAGE
    assert visit(engine, first + 300, first + 2048) == (512 + 256 + 256, 0)
    node = engine.memory.node_of_pages()
    assert node[0:1536:256].tolist() == [0, 0, 1, 1, 0, 1]
    assert node[1536:].tolist() == [0, 1] * 256
    assert visit(engine, first, first + 2048) == (0, 0)
    sound(engine)


def test_a_process_has_its_folios_migrated_whole() -> None:
    contexts = [tm.Context(ops="fvaddr", schemes=(tm.Scheme("migrate_hot", target_nid=0),))]
    engine = built(tm.Group(0, 1024, thp="always"), contexts=contexts, vmas=[tm.Vma(0, 2048, start_bytes=1 << 30)])
    first = (1 << 30) // PAGE
    assert visit(engine, first + 511, first + 513) == (1024, 0)
    assert visit(engine, first + 1030, first + 1031) == (1, 0)
    sound(engine)


# ---- against the reference -------------------------------------------------------------------------------------------


class Literal:
    """Frames of two nodes; a folio is a tuple of pages."""

    def __init__(self, engine: Engine, starts: list[int], sizes: list[int], reserve: list[int]) -> None:
        m = engine.memory.arrays
        self.starts, self.sizes, self.reserve = starts, sizes, reserve
        self.owner: dict[int, int] = {}
        self.used: set[int] = set()
        for i, (base, start) in enumerate(zip(m.base.tolist(), starts, strict=True)):
            for k in range(sizes[i]):
                if not int(m.free_bits[(base + k) // 64]) >> ((base + k) % 64) & 1:
                    self.used.add(start + k)
                if page := int(m.rec[base + k] & LOW32):
                    self.owner[start + k] = page - 1
        self.folio: dict[int, tuple[int, ...]] = {}
        for frame, page in self.owner.items():
            mark = int(m.folio[self.dense(m, frame)])
            n = 1 << (mark & 0xFF)
            self.folio[page] = tuple(self.owner[f] for f in range(frame // n * n, frame // n * n + n))

    def dense(self, m: Any, frame: int) -> int:
        i = self.node(frame)
        return int(m.base[i]) + frame - self.starts[i]

    def node(self, frame: int) -> int:
        return next(i for i, s in enumerate(self.starts) if s <= frame < s + self.sizes[i])

    def frames(self, i: int) -> range:
        return range(self.starts[i], self.starts[i] + self.sizes[i])

    def block(self, i: int, n: int) -> int | None:
        free = [f for f in self.frames(i) if f not in self.used]
        if len(free) - n < self.reserve[i]:
            return None
        every = set(free)
        return next((f for f in free if f % n == 0 and all(f + k in every for k in range(n))), None)

    def move(self, folio: tuple[int, ...], where: dict[int, int], target: int) -> bool:
        new = self.block(target, len(folio))
        if new is None:
            return False
        for k, page in enumerate(folio):
            self.used.discard(where[page])
            del self.owner[where[page]]
            self.owner[new + k] = page
            self.used.add(new + k)
        return True

    def visit(self, start: int, end: int, target: int, last: int | None) -> tuple[int, int, int | None]:
        """Pages applied and passed, and the frame on which the folio looked at last begins (as ``struct folio *`` says it)."""
        at, looked = start, None
        found: list[tuple[int, ...]] = []
        while at < end:
            page = self.owner.get(at)
            looked = None if page is None else at - self.folio[page].index(page)
            if page is None or looked == last:
                at += 1
                continue
            found.append(self.folio[page])
            at += len(self.folio[page]) - self.folio[page].index(page)
        where = {page: frame for frame, page in self.owner.items()}
        applied = 0
        for source, run in itertools.groupby(found, key=lambda f: self.node(where[f[0]])):
            if source != target:
                applied += self.run(list(run)[::-1], where, target)
        return applied, sum(map(len, found)), looked

    def run(self, folios: list[tuple[int, ...]], where: dict[int, int], target: int) -> int:
        moved = 0
        while folios:
            batch: list[tuple[int, ...]] = []
            while folios and sum(map(len, batch)) < 512:
                batch.append(folios.pop(0))
            split = []
            for f in batch:
                if self.move(f, where, target):
                    moved += len(f)
                elif len(f) == 1:
                    return moved
                else:
                    split += [(p,) for p in (*f[1:], f[0])]
                    self.folio |= {p: (p,) for p in f}
            for f in split:
                if not self.move(f, where, target):
                    break
                moved += 1
        return moved


class LiteralBuddy(Literal):
    """The same with zones and one CPU's lists: a folio takes a block of its order and gives it back whole, a page is listed."""

    def __init__(self, engine: Engine, starts: list[int], sizes: list[int], reserve: list[int]) -> None:
        super().__init__(engine, starts, sizes, reserve)
        bounds = [tuple(engine.memory.arrays.zone[2 * i, [BATCH, HIGH_MIN, HIGH_MAX]].tolist()) for i in (0, 1)]
        self.zones = [
            RefZone([f - starts[i] for f in self.frames(i) if f not in self.used], sizes[i], bounds[i], remote=i > 0)
            for i in (0, 1)
        ]

    def block(self, i: int, n: int) -> int | None:
        room = sum(f not in self.used for f in self.frames(i)) - n
        if room < self.reserve[i]:
            return None
        found = self.zones[i].take(0) if n == 1 else self.zones[i].smallest(n.bit_length() - 1)
        return None if found is None else self.starts[i] + found

    def move(self, folio: tuple[int, ...], where: dict[int, int], target: int) -> bool:
        if not super().move(folio, where, target):
            return False
        head = where[folio[0]]
        source = self.node(head)
        if len(folio) == 1:
            self.zones[source].give(0, head - self.starts[source])
        else:
            self.zones[source].give_back(head - self.starts[source], len(folio).bit_length() - 1)
        return True


@pytest.mark.parametrize(("of", "seed"), [*((Literal, k) for k in range(12)), *((LiteralBuddy, k) for k in range(6))])
def test_random_regions_do_what_the_reference_does(of: type[Literal], seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = ["4 KiB", "8 KiB", "32 KiB", "128 KiB", "256 KiB", "512 KiB", "1 MiB", "2 MiB"]
    cuts = [0, *sorted(rng.choice(np.arange(1, 4), 3, replace=False).tolist()), 4]
    groups = [tm.Group(a * 512, b * 512, folio_bytes=sizes[rng.integers(len(sizes))]) for a, b in itertools.pairwise(cuts)]
    reserve = rng.integers(0, 40, 2).tolist()
    small = int(rng.integers(2, 5)) * MIB  # too little for all of the pages, and not whole blocks
    machine = tm.Machine((
        tm.Node(0, 0, small, kernel_bytes=int(rng.integers(0, 300)) * PAGE, reserve_pages=reserve[0]),
        tm.Node(1, 8 * MIB, 14 * MIB, reserve_pages=reserve[1]),
    ))  # fmt: skip
    if of is LiteralBuddy:
        machine = machine.replace(allocator="buddy", buddy={"cpus": 1, "others_pages_per_s": 0})
    place = [tm.Placement(0, 2048, nid=1)]
    engines = [
        built(*groups, machine=machine, placement=place, scheme=tm.Scheme("migrate_hot", target_nid=nid)) for nid in (0, 1)
    ]
    engine = engines[0]
    literal = of(engine, [0, 2048], [small // PAGE, 14 * MIB // PAGE], reserve)
    last: int | None = None
    for _ in range(40):
        target = int(rng.integers(2))
        engine.kdamonds[0].schemes["target"] = target
        start = int(rng.integers(0, 2048 + 3584))
        end = start + int(rng.integers(1, 1500))
        applied, passed, last = literal.visit(start, min(end, 2048 + 3584), target, last)
        assert visit(engine, start, min(end, 2048 + 3584)) == (applied, passed)
        frame, m = engine.memory.frame_of.astype(int), engine.memory.arrays
        expected = {page: literal.dense(m, f) for f, page in literal.owner.items()}
        assert frame.tolist() == [expected[p] for p in range(2048)]
        large = {f[0]: len(f).bit_length() - 1 for f in literal.folio.values() if len(f) > 1}
        assert orders(engine) == large
        sound(engine)
    assert engine.memory.arrays.mixed[MOVED_WHOLE] + engine.memory.arrays.mixed[SPLIT_FOLIOS] > 0 or not orders(engine)


# ---- who else asks about them ----------------------------------------------------------------------------------------


def test_lint_and_verdicts_expect_of_a_page_what_its_folio_shows() -> None:
    groups = tm.Group(0, 1024, thp="always", rate_hz=0.01, name="warm"), tm.Group(512, 768, rate_hz=2.0, name="hot")
    sc = built(*groups, tm.Group(1024, 2048, rate_hz=0.01, name="warm")).scenario
    nr = touches_of(sc, sc.contexts[0].attrs, (0,))
    shown = [512 * 0.01, 512 * 0.01 + 256 * 2.0, 0.01]
    assert nr.edges.tolist() == [0, 512, 1024, 2048]
    np.testing.assert_allclose(nr.at(np.arange(3), np.zeros(3, int)), [20 * -np.expm1(-hz * 0.005) for hz in shown])
    table = AccessTable(sc.timed_workload, sc.tick_us, 0)
    # Pages of the first group alone: 512 in the first folio, 256 in the second.
    expected = [0.0, (512 * shown[0] + 256 * shown[1]) / 768, shown[1], 0.01]
    assert table.class_names == ["untouched", "warm", "warm+hot", "warm"]
    np.testing.assert_allclose(table.seen_rate_hz(table.touch_rate_hz(0)[None])[0], expected)


def test_an_oracle_moves_folios_whole() -> None:
    groups = tm.Group(0, 1024, thp="always", rate_hz=1.0), tm.Group(1024, 2048, rate_hz=1.0)
    sc = scenario(pages=2048, groups=groups, contexts=())
    ds = tm.simulate(sc, duration="2 s", oracle=Controlled("access", 0, 7000))
    assert ds["access_share_bp"].sel(node=0).values[-1] == pytest.approx(7000, abs=5)
    assert json.loads(ds.attrs["folios"]) == {"moved_whole": 2, "split": 0, "left": 2}
    ds = tm.simulate(sc, duration="2 s", oracle=Controlled("access", 0, 2000))
    assert ds["access_share_bp"].sel(node=0).values[-1] == 2500  # the first folio, and not half of it


def test_random_single_pages_leave_blocks_whole() -> None:
    machine = tm.Machine.dram_cxl("16 MiB", "16 MiB", allocator="random")
    engine = built(tm.Group(0, 1024, thp="always"), pages=1800, machine=machine)
    assert visit(engine, 4096 + 1024, 8192) == (776, 776)
    free = engine.memory.arrays.free_512[:8].tolist()
    assert sorted(free)[2:] == [512] * 6
    assert visit(engine, 4096, 4096 + 1024) == (1024, 1024)
    assert engine.memory.arrays.mixed.tolist() == [2, 0]
    sound(engine)


# ---- the rest of the house -------------------------------------------------------------------------------------------


def test_folios_and_pages_of_4_kib_share_what_a_machine_has_free() -> None:
    """Two CPUs, others at work, a disk: after each second every free frame is in one block, on one list, or held."""
    machine = tm.Machine.dram_cxl("16 MiB", "16 MiB", allocator="buddy", swap=tm.Swap("disk"))
    groups = (
        tm.Group(0, 1024, thp="always", rate_hz=1.0),
        tm.Group(1024, 1200, rate_hz=300.0),
        tm.Group(1200, 2048, rate_hz=0.1),
    )
    schemes = (
        tm.Scheme("migrate_hot", target_nid=0, access_pattern=tm.AccessPattern(min_nr_accesses=1)),
        tm.Scheme("migrate_hot", target_nid=1, access_pattern=tm.AccessPattern(min_nr_accesses=5)),
        tm.Scheme("pageout", access_pattern=tm.AccessPattern(max_nr_accesses=0), filters=(tm.Filter("anon", allow=True),)),
    )
    engine = Engine(scenario(*schemes, pages=2048, groups=groups, machine=machine), 1)
    for _ in range(8):
        engine.run(500_000)
        sound(engine)
    assert engine.memory.migrated_pages().min() > 0
    assert engine.memory.arrays.mixed[MOVED_WHOLE] > 0
    assert engine.memory.arrays.device[WRITTEN] > 0


def test_folios_of_4_kib_change_nothing() -> None:
    hot = tm.Group(0, 2048, rate_hz=400.0, name="hot")
    plain, said = (scenario(tm.Scheme("migrate_hot", target_nid=0), groups=[g]) for g in (hot, hot.replace(folio_bytes=PAGE)))
    a, b = (tm.simulate(sc, duration="2 s", seed=3) for sc in (plain, said))
    assert all(a[name].identical(b[name]) for name in a)


def test_a_run_goes_on_from_a_state_and_a_broken_one_is_refused() -> None:
    groups = tm.Group(0, 1024, thp="always", rate_hz=1.0), tm.Group(1024, 2048, rate_hz=300.0)
    whole, cut = built(*groups), built(*groups)
    whole.run(900_000)
    cut.run(400_000)
    again = built(*groups)
    again.restore(cut.state())
    again.run(500_000)
    assert again.memory.owner_crc32() == whole.memory.owner_crc32()
    assert (again.memory.arrays.folio == whole.memory.arrays.folio).all()
    state = cut.memory.state()
    at = np.flatnonzero(state["folio"])
    for frame, mark in ((at[0], 0), (at[3], state["folio"][at[3]] + 1), (np.flatnonzero(state["rec"] == 0)[0], 9)):
        broken = state["folio"].copy()
        broken[frame] = mark
        with pytest.raises(ValueError, match="folio"):
            again.memory.restore(state | {"folio": broken}, again.access.arrays.first)


def test_a_run_that_takes_over_what_the_last_one_left_is_the_same() -> None:
    sc = scenario(tm.Scheme("migrate_hot", target_nid=0), groups=[tm.Group(0, 2048, thp="always", rate_hz=2.0)])
    crc = []
    reuse.forget()
    for seed in (1, 2, 1, 2):
        with reuse.reused():
            engine = Engine(sc, seed)
            engine.run(700_000)
            crc.append((engine.memory.owner_crc32(), engine.memory.arrays.mixed.tolist(), engine.memory.arrays.folio.sum()))
    reuse.forget()
    assert crc[:2] == crc[2:]
    assert crc[0][1][0] > 0
