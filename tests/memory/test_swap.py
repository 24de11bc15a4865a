"""Swap devices page by page: the rules of docs/theory/damon.md, section g.4, with numbers worked out by hand."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import xarray as xr
from small import scenario, traced

import tieringmodel as tm
from tieringmodel.damon.early_exit import run_builtin
from tieringmodel.errors import InputError
from tieringmodel.kernels import swap as S
from tieringmodel.memory.need import needed_bytes
from tieringmodel.simulation import checkpoint
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.simulate import scheme_actions

PAGES, MS = 100, 1_000_000
ALL = (tm.Filter("anon", allow=True),)
"""A filter that decides before young pages are turned away."""
ANY_AGE = (tm.Filter("young", matching=True, allow=True), tm.Filter("young", False, True))
DISK = tm.Swap("disk", throughput_bytes_per_s=4_096_000, latency_us=10_000, queue_bytes=64 * 4096, at_once_bp=0)
"""A page in a millisecond, an answer 10 ms later; 64 pages may wait, and none is written at once."""


def engine_of(device: tm.Swap | None, groups: object = (), filters: tuple[tm.Filter, ...] = ALL, **machine: object) -> Engine:
    made = tm.Machine.dram_cxl("1 MiB", "1 MiB").replace(swap=device, **machine)
    scheme = tm.Scheme("pageout", filters=filters)
    placed = [tm.Placement(0, PAGES, 0)]
    return traced(scenario(scheme, pages=PAGES, machine=made, groups=groups, placement=placed, tick_us=1000))[0]  # type: ignore[arg-type]


def visit(engine: Engine, first: int = 0, last: int = 256) -> tuple[int, int, int]:
    """Let the scheme act on node 0's frames now: pages that passed, that were applied, and milliseconds it took."""
    now, k = engine.memory.now_ns, engine.kdamonds[0]
    k.tick = now // (1000 * engine.tick_us)
    k._cursor["start"], k._cursor["end"], k._cursor["core_allowed"] = 4096 * first, 4096 * last, 0
    applied, passed, _ = run_builtin(k, 0, k._cursor)
    return passed >> 12, applied >> 12, (engine.memory.now_ns - now) // MS


def later(engine: Engine, ms: int) -> None:
    """Let time pass, and look for touches as at an event."""
    clock = engine.memory.arrays.clock
    clock[0] += ms * MS
    engine.memory.fault_in(engine.access.arrays, int(clock[0]) // (engine.tick_us * 1000))


def device(engine: Engine, *at: int) -> list[int]:
    return [int(engine.memory.arrays.device[i]) for i in at]


def test_zram_frees_in_the_same_visit_and_kdamond_compresses_meanwhile() -> None:
    """100 pages of 1 ms and 0.5 ms each: 150 ms. Read back, they lose their slots and are written again."""
    zram = tm.Swap("zram", throughput_bytes_per_s=4_096_000, latency_us=500)
    engine = engine_of(zram, [tm.Group(0, PAGES, "period", period=1000)])
    assert visit(engine) == (100, 100, 150)
    assert engine.memory.out_pages == device(engine, S.USED)[0] == 100
    later(engine, 900)  # tick 1000 lies behind
    assert engine.memory.out_pages == 0
    assert device(engine, S.USED, S.READ, S.READ_NS, S.MINOR) == [0, 100, 150 * MS, 0]
    assert visit(engine)[:2] == (100, 100)
    assert device(engine, S.WRITTEN) == [200]


def test_a_disk_unmaps_at_the_first_visit_and_frees_at_the_second() -> None:
    """Two times 32 pages find room in the queue at once; the third waits until 32 ms, the last four until 36 ms."""
    engine = engine_of(DISK)
    free = engine.memory.free_pages()[0]
    assert visit(engine) == (100, 0, 36)
    assert device(engine, S.WRITTEN, S.USED, S.UNMAPPED_NOW, S.WAITED_NS) == [100, 100, 100, 36 * MS]
    assert (engine.memory.free_pages()[0], engine.memory.unmapped_pages, engine.memory.out_pages) == (free, 100, 0)
    assert sorted(set(engine.memory.arrays.written // MS)) == [42, 74, 106, 110]
    later(engine, 30)  # 66 ms: the first 32 are written
    assert visit(engine) == (100, 32, 0)
    assert device(engine, S.KEPT_WRITEBACK) == [68]
    assert engine.memory.arrays.node["active"][0] == 68
    later(engine, 44)  # 110 ms: all are
    assert visit(engine) == (68, 68, 0)
    assert device(engine, S.WRITTEN, S.UNMAPPED_NOW) == [100, 0]
    assert engine.memory.free_pages()[0] == free + 100


def test_the_page_that_completes_a_request_is_freed_where_the_device_is_done_at_once() -> None:
    """One page in 32: three of 100, for the last four are handed over when the list ends."""
    engine = engine_of(tm.Swap("disk"))
    assert visit(engine) == (100, 3, 0)
    assert visit(engine) == (97, 97, 0)


@pytest.mark.parametrize(("at_once_bp", "freed"), [(0, 0), (100, 0), (110, 1), (250, 2), (312, 2), (313, 3), (10_000, 3)])
def test_of_requests_as_many_are_written_at_once_as_were_found_to_be(at_once_bp: int, freed: int) -> None:
    """Three requests of 32 pages, of each of which the last may be done: 0.96 pages of 96 are due with 100 of 10000."""
    engine = engine_of(DISK.replace(at_once_bp=at_once_bp))
    assert visit(engine)[:2] == (100, freed)
    assert engine.memory.out_pages == freed
    assert device(engine, S.UNMAPPED_NOW, S.WRITTEN) == [100 - freed, 100]
    later(engine, 200)
    assert visit(engine) == (100 - freed, 100 - freed, 0)


def test_a_touch_before_the_second_visit_costs_no_read_and_keeps_the_slot() -> None:
    engine = engine_of(DISK, [tm.Group(0, 10, "period", period=100)])
    visit(engine)
    later(engine, 100)
    assert device(engine, S.MINOR, S.READ, S.UNMAPPED_NOW, S.USED) == [10, 0, 90, 100]
    assert visit(engine) == (100, 100, 0), "its content is on the device: nothing is written"
    assert device(engine, S.WRITTEN) == [100]
    later(engine, 100)
    assert device(engine, S.MINOR, S.READ, S.READ_NS) == [10, 10, 110 * MS]
    assert device(engine, S.USED) == [100], "a page that was read keeps its slot, too"


def test_a_disk_over_half_full_takes_slots_back_when_pages_are_touched() -> None:
    """100 of 180 slots are used: ten touched pages give theirs up while more than 90 are."""
    engine = engine_of(DISK.replace(capacity_bytes=180 * 4096), [tm.Group(0, 40, "period", period=150)])
    visit(engine)
    later(engine, 120)
    assert device(engine, S.MINOR, S.USED) == [40, 90]
    assert visit(engine)[:2] == (100, 90)
    assert device(engine, S.WRITTEN) == [110]


@pytest.mark.parametrize("kind", ["zram", "disk"])
def test_where_swap_is_full_pages_stay_and_become_active(kind: str) -> None:
    engine = engine_of(tm.Swap(kind, capacity_bytes=40 * 4096, throughput_bytes_per_s=4_096_000, queue_bytes=0))
    applied = 40 if kind == "zram" else 0
    assert visit(engine)[:2] == (100, applied)
    assert device(engine, S.KEPT_FULL, S.USED) == [60, 40]
    assert engine.memory.arrays.node["active"][0] == 60


def test_a_device_that_nobody_waits_for_delays_no_recorded_aggregation() -> None:
    nobody = tm.Scheme("pageout", access_pattern=tm.AccessPattern(min_age=1000), filters=ALL)
    ends = []
    for swap in (None, tm.Swap("zram")):
        machine = tm.Machine.dram_cxl("1 MiB", "1 MiB").replace(swap=swap)
        context = tm.Context(schemes=(nobody,), aggr_times_us=(100_000, 210_000, 300_000))
        engine, trace = traced(scenario(contexts=[context], pages=PAGES, machine=machine, groups=(), tick_us=1000))
        engine.run(1_000_000)
        ends.append([row[0] for row in trace.rows if row[2] == "merged"])
    assert len(ends[0]) >= 9
    assert ends[0] == ends[1]


def test_dirty_and_locked_pages_stay_and_are_charged() -> None:
    """30 dirty pages of files and 20 locked ones of 100; what nobody touched for 30 s the flusher has written."""
    group = tm.Group(0, PAGES, "period", period=100_000, dirty_share=0.3, unevictable_share=0.2)
    engine = engine_of(tm.Swap("zram"), [group], ANY_AGE)
    assert visit(engine) == (100, 50, 0)
    assert device(engine, S.KEPT_DIRTY, S.KEPT_MLOCKED, S.WRITTEN) == [30, 20, 50]
    assert engine.memory.arrays.node["active"][0] == 30, "a dirty page is activated, a locked one is put back"
    later(engine, 30_001)
    assert visit(engine) == (50, 30, 0)
    assert device(engine, S.WRITTEN, S.USED) == [50, 50], "a clean page of a file needs no slot"
    later(engine, 70_000)  # tick 100000 touches all
    assert device(engine, S.READ) == [50]
    assert visit(engine)[1] == 50, "touched, pages of files are dirty again"


def test_pages_of_files_are_not_anonymous() -> None:
    engine = engine_of(None, [tm.Group(0, PAGES, dirty_share=0.25)])
    assert visit(engine) == (75, 75, 0)
    assert engine_of(None).memory.arrays.device is None


def test_the_first_visit_takes_what_sampling_has_marked() -> None:
    """20 samples an aggregation mark N (1 - (1 - 1/N)^20) of a region's N frames; the second visit takes all that is idle.

    Nine regions of 436 frames with a page each, and one of 428 of which 172 have pages: 184 in the mean.
    """
    machine = tm.Machine.dram_cxl("16 MiB", "1 MiB").replace(swap=tm.Swap("zram"))
    sc = scenario(tm.Scheme("pageout"), pages=4096, machine=machine, groups=(), placement=[tm.Placement(0, 4096, 0)])
    engines = [traced(sc, seed)[0] for seed in range(8)]
    for engine in engines:
        assert [(end - start) // 4096 for start, end, *_ in engine.kdamonds[0].regions.rows()[0]] == [436] * 9 + [428]
        engine.run(100_000)
    wanted = 9 * 436 * (1 - (1 - 1 / 436) ** 20) + 172 * (1 - (1 - 1 / 428) ** 20)
    assert wanted == pytest.approx(184, abs=0.5)
    # Of one run the standard deviation is about 3: draws that meet again, and how many of the last region's hit a page.
    assert np.mean([engine.memory.out_pages for engine in engines]) == pytest.approx(wanted, abs=4)
    engines[0].run(100_000)
    assert engines[0].memory.out_pages == 4096


def test_a_folio_goes_page_by_page_and_a_locked_one_whole_stays() -> None:
    group = tm.Group(0, 1024, folio_bytes="2 MiB")
    made = tm.Machine.dram_cxl("8 MiB", "1 MiB").replace(swap=DISK)
    placed = [tm.Placement(0, 1024, 0)]
    engine = traced(scenario(tm.Scheme("pageout", filters=ALL), pages=1024, machine=made, groups=[group], placement=placed))[0]
    assert visit(engine, 0, 2048)[:2] == (1024, 0)
    assert device(engine, S.WRITTEN, S.UNMAPPED_NOW) == [1024, 1024]
    assert not engine.memory.arrays.folio.any(), "its pages are freed, and come back, one by one"


# ---- runs -------------------------------------------------------------------------------------------------------------

IDLE = tm.AccessPattern(max_nr_accesses=0)
QUOTA = tm.Quota(sz_bytes=64 * 4096, reset_interval_ms=100, fail_charge_num=1, fail_charge_denom=4096)


def running(kind: str | None = "disk", quota: tm.Quota = QUOTA, **more: object) -> tm.Scenario:
    """1000 pages, a hundred of them touched now and then, go to a device that writes one in a millisecond."""
    of = None if kind is None else DISK.replace(kind=kind, **more)
    machine = tm.Machine.dram_cxl("8 MiB", "1 MiB").replace(swap=of)
    return scenario(
        tm.Scheme("pageout", access_pattern=IDLE, quota=quota, filters=ALL),
        pages=1000,
        machine=machine,
        groups=[tm.Group(0, 100, rate_hz=2.0, name="rare")],
        placement=[tm.Placement(0, 1000, 0)],
    )


@functools.cache
def simulated(kind: str, denom: int) -> xr.Dataset:
    quota = QUOTA if denom else QUOTA.replace(fail_charge_num=0, fail_charge_denom=0)
    return tm.simulate(running(kind, quota), duration=6, seed=1, progress=False)


def test_charged_in_part_all_pages_pass_a_quota_of_64_at_once_and_the_verdict_says_so() -> None:
    """1000 pages charged 1/4096 each are less than one: all pass in one pass, which takes 1000 - 64 ms and more."""
    ds = simulated("disk", 4096)
    first = int(np.flatnonzero(ds["device_written_pages"].values)[0])
    assert ds["device_written_pages"].values[first] > 800
    assert ds["device_wait_us"].values[first] == pytest.approx(1000 * (ds["device_written_pages"].values[first] - 64), abs=32e3)
    assert ds["time"].values[first] - ds["time"].values[first - 1] > 0.7
    cause = next(c for c in tm.verdict(ds).causes if c.code == "quota-broken")
    assert cause.evidence["failed_bytes"] > 800 * 4096 > 10 * cause.evidence["esz_bytes"]
    assert "charged 1/4096" in cause.text


def test_charged_in_full_the_quota_holds() -> None:
    ds = simulated("disk", 0)
    assert ds["device_written_pages"].values.max() <= 64
    assert not [c for c in tm.verdict(ds).causes if c.code == "quota-broken"]


def test_lint_warns_of_a_quota_that_a_disk_breaks() -> None:
    found = {f.code: f for f in tm.lint(running())}
    assert found["disk-breaks-quota"].level == "warning"
    assert "3.9 MiB pass in a window of 256 KiB" in found["disk-breaks-quota"].message
    for sound in (running("zram"), running(None), running(quota=QUOTA.replace(fail_charge_num=0, fail_charge_denom=0))):
        assert "disk-breaks-quota" not in [f.code for f in tm.lint(sound)]


def test_stall_time_stays_at_zero_while_nobody_but_damon_reclaims() -> None:
    """Refaults from disk wait, and their folios have no mark of a working set: ``some_mem_psi_us`` is 0, the score too."""
    goal = tm.Goal("some_mem_psi_us", 2000)
    ds = tm.simulate(running(quota=QUOTA.replace(goals=(goal,))), duration=6, seed=1, progress=False)
    assert ds["device_read_pages"].values.sum() > 50
    assert ds["read_wait_us"].values.sum() == ds["device_read_pages"].values.sum() * 11_000
    later = ds["resets"].values[:, 0] > 1  # the first reading starts from nothing
    assert later.sum() > 20
    assert not ds["goal_current"].values[later].any()
    assert not ds["score"].values[later].any()


def test_a_run_goes_on_from_a_checkpoint(tmp_path) -> None:
    sc = running(capacity_bytes="3 MiB")
    straight = Engine(sc, 1, actions=scheme_actions)
    straight.run(3_000_000)
    engine = Engine(sc, 1, actions=scheme_actions)
    engine.run(1_400_000)
    assert device(engine, S.UNMAPPED_NOW) > [100]
    engine = checkpoint.load(checkpoint.save(tmp_path / "a.npz", engine), actions=scheme_actions)
    engine.run_to(straight.memory.now_ns)
    for name in straight.memory.arrays.layout:
        assert np.array_equal(getattr(engine.memory.arrays, name), getattr(straight.memory.arrays, name)), name


@pytest.mark.parametrize("at", [S.USED, S.UNMAPPED_NOW, S.CAPACITY, S.BIO, S.CACHED, S.EVENT_NS])
def test_a_device_that_cannot_be_is_refused(at: int) -> None:
    engine = Engine(running(), 1, actions=scheme_actions)
    engine.run(1_400_000)
    state = {name: np.array(a) for name, a in engine.memory.state().items() if isinstance(a, np.ndarray)}
    state |= {"offline": engine.memory.offline, "page_lists": None}
    engine.memory.restore(state, engine.access.arrays.first)
    state["device"][at] = -1
    with pytest.raises(ValueError, match="swap device contradicts"):
        engine.memory.restore(state, engine.access.arrays.first)


def test_recorded_times_come_later_by_what_kdamond_waited() -> None:
    sc = running()
    context = sc.contexts[0].replace(aggr_times_us=tuple(range(100_000, 3_000_001, 100_000)))
    engine, trace = traced(sc.replace(contexts=(context,)))
    engine.run(3_000_000)
    late = engine.clocks[0].late_ns
    assert late == device(engine, S.WAITED_NS)[0] > 500 * MS
    merged = [now for now, _, what, *_ in trace.rows if what == "merged"]
    assert (merged[-1] - late) % (100 * MS) == 0


def test_what_a_device_takes_of_this_computers_memory_is_counted() -> None:
    plain, more = (needed_bytes(1000, 800, True, True, out=True, device=device) for device in (False, True))
    arrays = engine_of(DISK).memory.arrays
    assert more - plain == 800 * sum(getattr(arrays, name).itemsize for name in ("about", "since", "written", "cached"))


# ---- what is written down ---------------------------------------------------------------------------------------------


def test_a_device_and_shares_survive_being_written_down() -> None:
    sc = running("zram", capacity_bytes="1 GiB")
    sc = sc.replace(workload=sc.workload.replace(groups=(tm.Group(0, 9, dirty_share=0.5, unevictable_share=0.25),)))
    assert tm.Scenario.from_dict(sc.to_dict()) == sc
    assert sc.to_dict()["machine"]["swap"]["kind"] == "zram"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": "floppy"}, "kind"),
        ({"throughput_bytes_per_s": 100}, "more than a second for a page"),
        ({"throughput_bytes_per_s": -1}, "throughput_bytes_per_s"),
        ({"latency_us": 10**9}, "latency_us"),
        ({"capacity_bytes": "lots"}, "capacity_bytes"),
        ({"queue_bytes": 2**41}, "queue_bytes"),
    ],
)
def test_devices_that_are_none_are_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        tm.Swap(**{"kind": "disk"} | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("shares", [(1.5, 0.0), (0.0, -0.1), (0.7, 0.4), (float("nan"), 0.0)])
def test_shares_that_are_none_are_refused(shares: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="share"):
        tm.Group(0, 10, dirty_share=shares[0], unevictable_share=shares[1])


def test_what_nothing_uses_is_said() -> None:
    sc = running()
    sc = sc.replace(contexts=(sc.contexts[0].replace(schemes=(tm.Scheme("stat"),)),))
    assert [f.path for f in tm.lint(sc) if f.code == "unused-swap"] == ["machine.swap"]
    assert Engine(sc).memory.arrays.device is None


@pytest.mark.parametrize(("run", "kind"), [("J1_pageout_psi_zram", "zram"), ("J2_pageout_freebp_disk", "disk")])
def test_a_recording_says_which_device_it_had(run: str, kind: str) -> None:
    """1 GiB less a page of the header. Passes took 30.809 s in J1, 105.566 s in J2, for whose last 16 MiB nobody waited."""
    found = tm.read_recording(tm.data_path("recordings", run)).to_scenario().machine.swap
    assert found is not None
    assert (found.kind, found.capacity_bytes) == (kind, (1 << 30) - 4096)
    pages_per_s = 36330 / 30.809409 if kind == "zram" else (231697 - 4096) / 105.566341
    assert found.throughput_bytes_per_s == pytest.approx(pages_per_s * 4096, abs=1)
