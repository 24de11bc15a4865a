"""NUMA balancing in memory-tiering mode and kswapd: numbers worked out by hand from docs/theory/numa.md."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from small import node_of_pages, pull, push

import tieringmodel as tm
from tieringmodel.datasets.schema import OF_BALANCING
from tieringmodel.kernels import kswapd, numa
from tieringmodel.kernels.random import mixed
from tieringmodel.memory.consistency import recount
from tieringmodel.simulation import checkpoint
from tieringmodel.simulation.engine import Engine

PAGES = 4096
FREE = {"min": 0, "low": 0, "high": 0, "promo": 0}
ROOMY = ({"nid": 0, "name": "Normal", "managed": 8192, **FREE},)
"""A single zone that is never too full."""


def tiered(
    *groups: tm.Group,
    slow: tuple[int, int] = (0, PAGES),
    dram: str = "32 MiB",
    contexts: tuple[tm.Context, ...] = (),
    **balancing: Any,
) -> tm.Scenario:
    """4096 pages, of which those of [lo, hi) are on the slower node, on a machine that balances."""
    given = {"zones": ROOMY, "promote_fault_us": 0, "refuse_fault_us": 0, "scan_page_ns": 0} | balancing
    machine = tm.Machine.dram_cxl(dram, "32 MiB", numa_balancing=given)
    lo, hi = slow
    placement = [tm.Placement(a, b, nid) for a, b, nid in ((0, lo, 0), (lo, hi, 1), (hi, PAGES, 0)) if b > a]
    workload = tm.Workload(PAGES, groups=groups, placement=tuple(placement), tick_us=10_000)
    return tm.Scenario(machine, workload, contexts, name="tiered")


def every(ticks: int, lo: int = 0, hi: int = PAGES, start: int = 0, end: int = 2**62) -> tm.Group:
    """All of these pages are touched every so many ticks of 10 ms."""
    return tm.Group(lo, hi, kind="period", period=ticks, start_tick=start, end_tick=end, name=f"{lo}")


def run(scenario: tm.Scenario, seconds: float) -> xr.Dataset:
    return tm.simulate(scenario, duration=seconds, progress=False)


def last(ds: xr.Dataset, *names: str) -> list[int]:
    return [int(ds[name].values[-1]) for name in names]


# ---- watermarks and periods ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("thp", "marks"),
    [
        ("never", [(6, 9, 12, 15), (781, 1263, 1745, 2227), (1671, 2702, 3733, 4764)]),
        ("always", [(42, 52, 62, 72), (5367, 6708, 8049, 9390), (11486, 14357, 17228, 20099)]),
    ],
)
def test_watermarks_of_a_pc_are_those_that_its_zoneinfo_shows(thp: str, marks: list[tuple[int, ...]]) -> None:
    gib = 1 << 30
    dram = tm.Node(0, 0, 2 * gib, unmanaged_bytes=(524288 - 3840 - 482200) * 4096)
    cxl = tm.Node(1, 4 * gib, 4 * gib, unmanaged_bytes=(1048576 - 1031945) * 4096)
    zones = tm.NumaBalancing(transparent_hugepage=thp).zones_of((dram, cxl))
    assert [(z.nid, z.name, z.managed) for z in zones] == [(0, "DMA", 3840), (0, "DMA32", 482200), (1, "Normal", 1031945)]
    assert [(z.min, z.low, z.high, z.promo) for z in zones] == marks
    assert [z.protection_pages for z in zones] == [482200 // 256, 0, 0]


@pytest.mark.parametrize(
    ("rss_mib", "periods"),
    [(256, (1000, 60000)), (2048, (125, 7500)), (2049, (111, 6666)), (16384, (100, 937)), (65536, (100, 234))],
)
def test_scan_periods_follow_the_size_of_the_process(rss_mib: int, periods: tuple[int, int]) -> None:
    assert tm.NumaBalancing().periods_ms(rss_mib * 256) == periods


# ---- windows ---------------------------------------------------------------------------------------------------------


def test_a_window_pays_for_useful_steps_and_for_eight_times_as_much_of_others() -> None:
    engine = Engine(tiered(every(1), slow=(2048, PAGES), scan_size_mb=1))
    assert engine.balancer
    b, memory, access = engine.balancer.arrays, engine.memory.arrays, engine.access.arrays

    def window(now_ms: int) -> tuple[int, int, int]:
        changed = numa.scan_window(b, memory, access, now_ms * 1_000_000)
        return int(changed), int(b.state[numa.OFFSET]), int(b.state[numa.SEQ])

    # 1 MiB is 256 pages; a step ends at the 2 MiB boundary behind it. Four steps of 512 fast pages use up 8 x 256.
    assert window(10) == (0, 2048, 0)
    assert window(20) == (512, 2560, 0)  # one step of slow pages is more than the useful budget
    for end in (3072, 3584):
        assert window(30) == (512, end, 0)
    assert window(40) == (512, 0, 1)  # behind the last mapping the pass ends
    assert window(50)[0] == 0
    assert window(60)[0] == 0  # what is armed stays so, with its old time
    assert np.unique(b.armed).tolist() == [0, 21, 31, 41]


def test_scans_wait_for_cpu_time_of_the_thread() -> None:
    # A new process scans first after 1000 ms of its time, at a fifth of a CPU 5 s; two windows a pass halve its period then.
    ds = run(tiered(every(1), cpu_share=0.2, scan_size_mb=8, scan_period_max_ms=1000), 16)
    at = ds["time"].values[np.flatnonzero(np.diff(ds["numa_pte_updates"].values)) + 1]
    assert at[0] == 6.0  # the record after 5.1 s, when more than 1000 ms have gone by
    assert last(ds, "numa_scan_period_ms") == [500]


def test_what_kernels_are_told_of_a_machine_whose_windows_ran_before() -> None:
    # Of its period of 2000 ms the thread has to go 0.5 x 300 ms until the first window: 1850 ms have gone by.
    given = {"scan_period_ms": 2000, "first_window_ms": 300, "cpu_share": 0.5, "set_before_ms": 34_000, "hot_threshold_ms": 800}
    given |= {"promote_rate_limit_mbps": 3, "scan_period_max_ms": 5000, "scan_size_mb": 2, "promote_fault_us": 150.5}
    given |= {"refuse_fault_us": 75.25, "scan_page_ns": 1000, "kswapd_pages_per_s": 150_000, "scan_period_min_ms": 4000}
    balancer = Engine(tiered(every(1), dram="8192 MiB", **given), 3).balancer
    assert balancer
    setting, state = balancer.arrays.setting.tolist(), balancer.arrays.state
    # 2 MiB a window; 3 MiB/s are 768 pages, 3840 in 5 s; 16 of 8192 MiB are 131072 pages, less than a GiB.
    assert setting == [512, 1000, 150_500, 75_250, 800, 5000, 768, 262_144, 1, 10_000_000, 1000, 3840]
    assert (balancer.cpu_ns, balancer.budget, balancer.step_ns) == (1_850_000_000, 750, 5_000_000)
    found = [state[at] for at in (numa.PERIOD_MS, numa.NEXT_SCAN_MS, numa.ADJUSTED_MS, numa.YOUNGEST, numa.OLDEST)]
    assert found == [2000, 0, -34_000, 3, 0]
    drawn = Engine(tiered(every(1), **given | {"first_window_ms": 0}), 3).balancer
    assert drawn
    assert drawn.cpu_ns == 2_000_000_000 * (mixed(3 ^ 0x4E554D41) >> 32) >> 32
    new = Engine(tiered(every(1), scan_delay_ms=700), 3).balancer
    assert new
    assert [new.arrays.state[at] for at in (numa.PERIOD_MS, numa.NEXT_SCAN_MS, numa.ADJUSTED_MS)] == [700, 700, 0]


# ---- as recorded -----------------------------------------------------------------------------------------------------


def test_recorded_windows_come_when_they_did_and_begin_passes_where_they_did() -> None:
    """Windows of 512 pages: two go on, the third begins anew, the last finds the pass at its end."""
    given = {"scan_size_mb": 2, "windows_ms": [200, 400, 900, 1300], "passes_ms": [200, 900]}
    sc = tiered(slow=(0, 1024), **given)
    engine = Engine(sc, 1)
    found = []
    for ms in range(100, 1500, 100):
        engine.run(100_000)
        assert engine.balancer
        b = engine.balancer.arrays
        found.append((ms, int(b.count[numa.PTE_UPDATES]), int(b.state[numa.SEQ]), np.flatnonzero(b.armed).size))
    changed = [found[0], *(now for before, now in pairwise(found) if now[1:] != before[1:])]
    # The third is in pages that are armed already: it goes on to the end of memory.
    assert changed == [(100, 0, 0, 0), (200, 512, 0, 512), (400, 1024, 0, 1024), (900, 1024, 2, 1024)]
    assert engine.balancer.windows == 4
    assert np.unique(engine.balancer.arrays.armed).tolist() == [0, 201, 401]
    again = Engine(sc, 1)
    again.restore(engine.state())
    assert again.balancer
    assert again.balancer.windows == 4


@pytest.mark.parametrize(("place", "expected"), [(0.0, 0), (0.25, 1024), (0.9999, 4095)])
def test_a_window_comes_while_its_thread_is_at_work_on_a_tick(place: float, expected: int) -> None:
    """All pages are touched every 20 ticks, last in tick 20: those behind the thread's place in it come after the window."""
    engine = Engine(tiered(every(20)), 1)
    assert engine.balancer
    b, memory, access = engine.balancer.arrays, engine.memory.arrays, engine.access.arrays
    numa.scan_window(b, memory, access, 300 * 1_000_000)
    numa.finish_tick(b, memory, access, 0, 30, int(place * 2**32))
    queued = b.queue[: b.state[numa.QUEUED]].tolist()
    assert queued == list(range(expected, PAGES))
    assert set(b.queue_tick[: len(queued)]) == {30}
    assert sorted(queued + b.waiting[: b.state[numa.WAITING]].tolist()) == list(range(PAGES))


def test_where_nothing_was_touched_lately_no_tick_is_finished() -> None:
    engine = Engine(tiered(every(1, start=100)), 1)
    assert engine.balancer
    b, memory, access = engine.balancer.arrays, engine.memory.arrays, engine.access.arrays
    numa.scan_window(b, memory, access, 300 * 1_000_000)
    numa.finish_tick(b, memory, access, 0, 30, 0)
    assert (b.state[numa.QUEUED], b.state[numa.WAITING]) == (0, PAGES)


def test_faults_take_longer_while_the_thread_has_little_of_a_cpu() -> None:
    """Pages armed at 1 s are touched at 1.01 s, 1 ms each; 20 ms each from 1.1 s on: 90 and 45 until they are 1 s old."""
    given = {"windows_ms": [1000], "passes_ms": [1000], "fault_from_ms": [1100, 1900], "fault_factors": [20, 1]}
    sc = tiered(every(1, start=101), promote_fault_us=1000, refuse_fault_us=0, hot_threshold_ms=1000, **given)
    ds = run(sc, 6)
    assert last(ds, "pgpromote_success", "numa_hint_faults") == [90 + 40 + 100, PAGES]
    assert last(ds, "numa_stall_us") == [(90 + 40 * 20 + 100) * 1000]


@pytest.mark.parametrize(
    ("given", "where"),
    [({"windows_ms": [5, 5]}, "windows_ms"), ({"windows_ms": [5], "passes_ms": [6]}, "passes_ms"),
     ({"fault_from_ms": [5]}, "fault_factors"), ({"fault_from_ms": [5], "fault_factors": [0]}, "fault_factors"),
     ({"fault_from_ms": [7, 5], "fault_factors": [1, 1]}, "fault_from_ms")],
)  # fmt: skip
def test_what_cannot_have_been_recorded_is_refused(given: dict[str, Any], where: str) -> None:
    with pytest.raises(tm.InputError) as caught:
        tm.NumaBalancing(**given)
    assert caught.value.where == where


def test_recordings_say_when_windows_came_and_how_slow_the_thread_was() -> None:
    """G2's thread handled 272 faults of 167.5 us in 989.2 ms: a fault took 22 times as long. G1's was at work all the time."""
    found = []
    for name in ("G1_numab_tiering_alone", "G2_numab_with_damon_demotion"):
        found.append(tm.read_recording(tm.data_path("recordings", name)).to_scenario().machine.numa_balancing)
    one, two = found
    assert one
    assert two
    # 839, 357 and 4856 faults before the rows at 13101.2, 28105.0 and 109100.9 ms
    assert one.windows_ms == one.passes_ms == (12_961, 28_045, 108_288)
    assert one.fault_factors == ()
    assert (two.passes_ms, len(two.windows_ms)) == ((6_954, 77_598), 13)
    assert (two.fault_from_ms, two.fault_factors) == ((7_111, 8_101), (22, 1))


# ---- hint faults -----------------------------------------------------------------------------------------------------


def test_a_thread_promotes_no_more_than_its_threshold_over_the_time_of_a_fault() -> None:
    # 4096 pages are touched 10 ms after they are armed; at 1 ms a promotion the last one that is 999 ms old is number 990.
    ds = run(tiered(every(1), promote_fault_us=1000, refuse_fault_us=100, scan_period_min_ms=60_000), 10)
    assert last(ds, "pgpromote_success", "pgpromote_candidate", "numa_hint_faults", "numa_pte_updates") == [
        990,
        990,
        4096,
        4096,
    ]
    assert last(ds, "numa_stall_us") == [990 * 1000 + (4096 - 990) * 100]


def test_pages_are_armed_and_fault_by_the_same_jiffies() -> None:
    # Windows of 128 MiB come every 50 ms: at 1050 ms, when jiffies of 4 ms say 1048. So do they at the touch, 1 ms later.
    base = tiered(every(1), scan_size_mb=128)
    sc = base.replace(machine=base.machine.replace(hz=250), workload=base.workload.replace(tick_us=1000))
    assert last(run(sc, 1.2), "numa_hint_faults", "pgpromote_success") == [PAGES, PAGES]


def test_the_longest_period_at_the_highest_rate_still_is_a_number() -> None:
    engine = Engine(tiered(every(1), promote_rate_limit_mbps=2**32, scan_period_max_ms=10**9))
    assert engine.balancer
    assert engine.balancer.arrays.setting[numa.REFERENCE] == 2**56


def test_a_page_touched_late_is_refused_and_gets_no_second_chance_before_the_next_pass() -> None:
    late = every(1, 0, 1000, start=400)  # armed at 1.1 s, touched from 4 s on
    soon = every(1, 1000, 3000)
    ds = run(tiered(late, soon, scan_period_min_ms=60_000), 8)
    assert last(ds, "numa_pte_updates", "numa_hint_faults", "pgpromote_success") == [4096, 3000, 2000]


def test_the_threshold_climbs_while_fewer_candidates_come_than_the_rate_limit_lets_pass() -> None:
    ds = run(tiered(tm.Group(0, PAGES, rate_hz=0.5), scan_period_min_ms=200, scan_period_max_ms=1000), 12)
    assert set(np.diff(ds["numa_threshold_ms"].values)) == {0, 125}
    assert last(ds, "numa_threshold_ms") == [2000]  # twice the hot threshold is the most


def test_the_rate_limit_lets_so_many_candidates_of_a_second_pass() -> None:
    ds = run(tiered(every(1), promote_rate_limit_mbps=1, scan_period_min_ms=60_000), 4)
    assert last(ds, "pgpromote_candidate", "pgpromote_success") == [4096, 256]
    nothing = run(tiered(every(1), promote_rate_limit_mbps=0, scan_period_min_ms=60_000), 4)
    assert last(nothing, "pgpromote_candidate", "pgpromote_success") == [4096, 0]


def test_while_more_than_a_gib_is_free_late_pages_are_promoted_too() -> None:
    late = every(1, 0, 1000, start=400)
    ds = run(tiered(late, dram="1536 MiB", scan_period_min_ms=60_000), 8)
    assert last(ds, "pgpromote_success", "pgpromote_candidate", "pgpromote_candidate_nrl") == [1000, 0, 1000]


# ---- room ------------------------------------------------------------------------------------------------------------

SMALL = {"nid": 0, "name": "Normal", "managed": 2048, "min": 20, "low": 30, "high": 40, "promo": 50}
DMA = {"nid": 0, "name": "DMA", "managed": 256, "min": 2, "low": 3, "high": 4, "promo": 5, "protection_pages": 100}


@pytest.mark.parametrize(("zones", "left"), [((SMALL,), 41), ((DMA, SMALL), 30 + 4 + 1 + 100)])
def test_promotion_stops_where_no_zone_is_above_high(zones: tuple[dict[str, Any], ...], left: int) -> None:
    ds = run(tiered(every(1), dram="8 MiB", zones=zones, scan_period_min_ms=60_000), 4)
    assert last(ds, "pgpromote_success", "pgpromote_candidate") == [2048 - left, 4096]
    assert int(ds["free_pages"].values[-1, 0]) == left


# ---- kswapd ----------------------------------------------------------------------------------------------------------


def test_kswapd_demotes_the_oldest_that_nobody_touches_until_a_zone_is_balanced() -> None:
    # 2000 of 2048 frames are in use, and 41 free ones end promotion: 7 pages. Pages 0 … 99 are touched all the time. kswapd
    # ages, passes over 64 of them, ages again, and now all 100 are younger. Q is 40, and with 81 free the zone is above promo.
    groups = every(1, 0, 100), every(1, 2000, PAGES)
    tight = {"dram": "8 MiB", "zones": (SMALL,), "demotion_enabled": True, "scan_period_min_ms": 60_000}
    engine = Engine(tiered(*groups, slow=(2000, PAGES), **tight))
    engine.run(2_000_000)
    assert engine.balancer
    count = engine.balancer.arrays.count
    assert (count[numa.PROMOTED], count[numa.DEMOTED_ALL], count[numa.KSWAPD_LOOKS]) == (7, 40, 104)
    assert np.flatnonzero(np.array(node_of_pages(engine))[:2000] == 1).tolist() == list(range(100, 140))
    assert int(engine.memory.free_pages()[0]) == 41 + 40


def test_a_round_that_begins_with_aging_demotes_one_batch_and_a_dma_zone_lets_none_end_early() -> None:
    # Q = max(4, 32) + max(40, 32) = 72. 21 pages would bring the higher zone from low (30) above promo (50), but a round goes
    # on; only two generations are left, so kswapd ages first, and that round looks at 64 pages.
    tight = {"dram": "8 MiB", "zones": (DMA, SMALL), "demotion_enabled": True, "scan_period_min_ms": 60_000}
    engine = Engine(tiered(every(1, 1800, PAGES), slow=(1800, PAGES), **tight))
    engine.run(2_000_000)
    assert engine.balancer
    count = engine.balancer.arrays.count
    assert (count[numa.PROMOTED], count[numa.DEMOTED_ALL]) == (2048 - 1800 - 135, 64)
    assert np.flatnonzero(np.array(node_of_pages(engine))[:1800] == 1).tolist() == list(range(64))


def test_without_demotion_nothing_makes_room() -> None:
    ds = run(tiered(every(1, 2000, PAGES), slow=(2000, PAGES), dram="8 MiB", zones=(SMALL,)), 5)
    assert last(ds, "pgpromote_success", "pgdemote_kswapd", "pgscan_kswapd") == [7, 0, 0]


# ---- beside DAMON ----------------------------------------------------------------------------------------------------


def beside() -> tm.Scenario:
    attrs = tm.Attrs(max_nr_regions=100)
    contexts = (tm.Context(attrs=attrs, schemes=(pull(5000), push(6000))),)
    zones = (SMALL | {"promo": 400, "high": 300, "low": 200},)
    groups = tm.Group(0, 1500, rate_hz=40.0, name="hot"), tm.Group(1500, 3000, rate_hz=2.0, name="warm")
    return tiered(
        *groups, slow=(1000, PAGES), dram="8 MiB", zones=zones, contexts=contexts, demotion_enabled=True, scan_size_mb=4
    )


def test_beside_damon_every_page_is_on_one_frame_and_generations_hold_those_of_the_first_node() -> None:
    engine = Engine(beside(), 3)
    for _ in range(10):
        engine.run(500_000)
        m, b = engine.memory.arrays, engine.balancer.arrays  # type: ignore[union-attr]
        scan = recount(m)
        assert scan["free"].tolist() == m.node["free"].tolist()
        assert scan["lru"].tolist() == m.node["lru"].tolist()
        numa.hint_faults(b, m, engine.access.arrays, 0, 0, 0)  # follows what DAMON moved, and nothing else
        assert (b.generation != 255).tolist() == [nid == 0 for nid in node_of_pages(engine)]
        assert not (b.armed[b.generation != 255]).any()
    assert b.count[numa.PROMOTED] > 0
    assert b.count[numa.DEMOTED_ALL] > 0
    assert int(m.node["migrated_in"].sum()) > int(b.count[numa.PROMOTED] + b.count[numa.DEMOTED_ALL])


def test_arrivals_wake_kswapd_where_every_zone_is_at_low_and_room_gives_it_hope_again() -> None:
    zones = (
        {"nid": 0, "name": "DMA", "managed": 96, "min": 0, "low": 40, "high": 50, "promo": 60, "protection_pages": 56},
        {"nid": 0, "name": "DMA32", "managed": 8096, "min": 0, "low": 10, "high": 20, "promo": 9000},
    )  # DMA's 96 free pages are low and its protection; DMA32's 4000 are above low, and below promo
    engine = Engine(tiered(every(1), slow=(0, 0), zones=zones, demotion_enabled=True))
    assert engine.balancer
    b, others = engine.balancer.arrays, (engine.memory.arrays, engine.access.arrays, 1, 0)

    def runs(woken: int, failures: int = 0) -> list[int]:
        b.state[numa.WOKEN], b.state[numa.RUNNING], b.state[numa.FAILURES] = woken, 0, failures
        kswapd.kswapd(b, *others)
        return [int(b.state[numa.RUNNING]), int(b.state[numa.FAILURES])]

    assert runs(numa.ARRIVED) == [0, 0]
    assert runs(numa.NO_ROOM) == [1, 0]
    assert runs(numa.NO_ROOM, failures=16) == [0, 16]
    b.zone[numa.Z_LOW, 1] = 4000
    assert runs(numa.ARRIVED) == [1, 0]
    b.zone[numa.Z_PROMO, 1] = 3999
    assert runs(numa.NO_ROOM, failures=16) == [0, 0]


def test_in_how_many_pieces_a_run_goes_makes_no_difference(tmp_path: Path) -> None:
    whole, pieces = Engine(beside(), 5), Engine(beside(), 5)
    whole.run_to(4_000_000_000)
    for end_ms in (333, 1_100, 2_650):
        pieces.run_to(end_ms * 1_000_000)
        pieces = checkpoint.load(checkpoint.save(tmp_path / "run", pieces))
    pieces.run_to(4_000_000_000)
    assert whole.balancer
    assert pieces.balancer
    assert whole.memory.owner_crc32() == pieces.memory.owner_crc32()
    for name in ("count", "state", "generation", "armed"):
        np.testing.assert_array_equal(getattr(whole.balancer.arrays, name), getattr(pieces.balancer.arrays, name))
    assert whole.balancer.arrays.count[numa.DEMOTED_ALL] > 0


def test_a_stored_run_whose_generations_are_no_lists_is_refused(tmp_path: Path) -> None:
    engine = Engine(beside(), 5)
    engine.run_to(1_000_000_000)
    state = engine.state()
    state["balancer"]["arrays"]["after"] = np.zeros(PAGES, np.int32)
    with pytest.raises(ValueError, match="no lists"):
        engine.balancer.restore(state["balancer"])  # type: ignore[union-attr]


def test_datasets_say_what_was_counted_only_where_there_is_something_to_count() -> None:
    ds = run(beside(), 3)
    assert set(OF_BALANCING) <= set(ds)
    assert (np.diff(ds["numa_hint_faults"].values) >= 0).all()
    bare = beside().replace(machine=beside().machine.replace(numa_balancing=None))
    assert not set(OF_BALANCING) & set(run(bare, 1))


def test_costs_add_up_faults_windows_and_what_kswapd_looks_at() -> None:
    ds = run(tiered(every(1, 2000, PAGES), slow=(2000, PAGES), dram="8 MiB", zones=(SMALL,), demotion_enabled=True), 4)
    cost = tm.cost.control_cost(ds)["cpu_s"].sel(estimate="default")
    promoted, faults, armed, looked = last(ds, "pgpromote_success", "numa_hint_faults", "numa_pte_updates", "pgscan_kswapd")
    assert float(cost.sel(component="hint faults")) == pytest.approx(12e-6 * promoted + 1e-6 * (faults - promoted))
    assert float(cost.sel(component="scan windows")) == pytest.approx(20e-9 * armed)
    assert float(cost.sel(component="kswapd")) == pytest.approx(0.2e-6 * looked)
    moved = int(ds["migrated_pages"].values.sum())
    assert float(cost.sel(component="copies")) == pytest.approx(1.24e-6 * (moved - promoted))
    assert min(promoted, armed, looked, moved - promoted) > 0


def test_compare_runs_either_mechanism_alone_and_baselines_without_both() -> None:
    runs = tm.policies(beside())
    assert {"numa_balancing alone", "without numa_balancing"} <= set(runs)
    alone, without = runs["numa_balancing alone"].scenario, runs["without numa_balancing"].scenario
    assert alone.machine.numa_balancing is not None
    assert not alone.contexts
    assert without.machine.numa_balancing is None
    assert without.contexts == beside().contexts
    for name in ("all-fast", "all-slow", "static interleave", "oracle"):
        assert runs[name].scenario.machine.numa_balancing is None
    chosen = {name: runs[name] for name in (next(iter(runs)), "numa_balancing alone", "without numa_balancing")}
    moved = tm.compare(chosen, duration="3 s", seed=1, progress=False)["migrated_mib_s"].sum("time").values
    assert (moved > 0).all()
    assert len(set(moved.tolist())) == 3


def test_faults_take_their_time_from_a_workload_with_a_demand() -> None:
    def throughput(us: float) -> float:
        base = tiered(
            tm.Group(0, PAGES, rate_hz=100.0), promote_fault_us=us, refuse_fault_us=us, promote_rate_limit_mbps=0,
            scan_period_min_ms=1000, scan_size_mb=16,
        )  # fmt: skip
        nodes = [tm.NodeCurve(100, 50), tm.NodeCurve(100, 50)]
        workload = base.workload.replace(demand=tm.Demand(threads=2, outstanding=1))
        machine = base.machine.replace(performance={"nodes": nodes})
        return float(
            run(base.replace(workload=workload, machine=machine), 6)["throughput_per_s"].sum("group").values[2:].mean()
        )

    # Nothing moves; a pass of 4096 faults of 100 us takes 0.41 s of one of two threads.
    free, costly = throughput(0), throughput(100)
    assert 0.7 < costly / free < 0.95


def test_a_scenario_with_the_section_reads_back_as_it_was() -> None:
    scenario = beside()
    assert tm.Scenario.from_json(scenario.to_json()) == scenario
    assert tm.Scenario.from_toml(scenario.to_toml()) == scenario


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"scan_size_mb": 0}, "scan_size_mb"),
        ({"scan_size_mb": 2561}, "scan_size_mb"),
        ({"scan_period_min_ms": 5000, "scan_period_max_ms": 1000}, "scan_period_max_ms"),
        ({"cpu_share": 0}, "cpu_share"),
        ({"cpu_share": 1.5}, "cpu_share"),
        ({"promote_fault_us": -1}, "promote_fault_us"),
        ({"kswapd_pages_per_s": 0}, "kswapd_pages_per_s"),
        ({"mode": "disabled"}, "mode"),
        ({"mode": "normal"}, "mode"),
        ({"zones": [SMALL | {"nid": 1}]}, "zones"),
        ({"zones": [SMALL | {"nid": 7}]}, r"zones\[0\].nid"),
        ({"zones": [SMALL | {"low": 10}]}, "promo"),
    ],
)
def test_bad_settings_are_refused_by_name(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(tm.InputError, match=path):
        tiered(every(1), **changes)


@pytest.mark.parametrize(("mode", "sysctl"), [("normal", 1), (1, 1), ("1", 1), ("both", 3), (3, 3)])
def test_modes_that_are_not_modelled_are_refused_by_the_number_that_linux_has_for_them(mode: Any, sysctl: int) -> None:
    with pytest.raises(tm.InputError, match=rf"mode: .*numa_balancing = {sysctl}\).*not modelled; write 'memory_tiering'"):
        tiered(every(1), mode=mode)


def test_larger_folios_and_a_single_node_are_refused() -> None:
    with pytest.raises(tm.InputError, match="numa_balancing"):
        tm.Machine.dram_cxl("32 MiB", "32 MiB", folio_bytes="2 MiB", numa_balancing={})
    with pytest.raises(tm.InputError, match="numa_balancing"):
        tm.Machine((tm.Node(0, sz_bytes="32 MiB"),), numa_balancing={})
    with pytest.raises(tm.InputError, match="numa_balancing"):
        tiered(tm.Group(0, PAGES, rate_hz=1.0, thp="always"))
