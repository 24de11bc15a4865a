"""A small scenario for every code whose remedy is a change, and what a run says about the complaint before and after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from lint_cases import (
    COLD_PATTERN,
    HOT,
    HOT_PATTERN,
    MIB,
    PAGES,
    context,
    eligible,
    free,
    machine,
    move,
    only,
    quota,
    scenario,
    used,
    workload,
)

import tieringmodel as tm
from tieringmodel.scenario import (
    AccessPattern,
    Attrs,
    Dest,
    Event,
    Filter,
    Goal,
    Group,
    IntervalsGoal,
    Machine,
    Memcg,
    Node,
    Placement,
    Quota,
    Scenario,
    Swap,
    Target,
    Vma,
    Watermarks,
    Weights,
    Workload,
)

REFUSED = -1.0
"""What is read where a run is refused."""


class Case(NamedTuple):
    """A code, a scenario that has it, what to read off a run, and what must be true of it before and after."""

    code: str
    scenario: Scenario
    seconds: float
    read: Callable[[Any], float]
    changed: Callable[[float, float], bool]


def moved(ds: Any) -> float:
    return float(ds["migrated_pages"].sum())


def reclaimed(ds: Any) -> float:
    return float(ds["reclaimed_pages"].sum())


def last(name: str, k: int = 0) -> Callable[[Any], float]:
    return lambda ds: float(ds[name].values[-1, k])


def late(ds: Any) -> float:
    """Pages moved in the last quarter."""
    return float(ds["migrated_pages"].values[ds["time"].values > 0.75 * ds.attrs["duration_s"]].sum())


def undone(ds: Any) -> float:
    """Moves that led back."""
    return float(ds["undone_pages"].sum())


def first(ds: Any) -> float:
    """When the first page moved."""
    pages = ds["migrated_pages"].values > 0
    return float(ds["time"].values[pages.argmax()]) if pages.any() else 1e9


def miss(k: int = 0) -> Callable[[Any], float]:
    """How far a goal is beyond its target in the end, in bp."""
    return lambda ds: float(ds["goal_current"].values[-1, k]) - float(ds["goal_target"].values[-1, k])


def span(ds: Any) -> float:
    """How much the first goal's value changes once it was read."""
    values = ds["goal_current"].values[ds["resets"].values[:, 0] > 0, 0].astype(float)
    return float(np.ptp(values[values > 0])) if (values > 0).any() else 0.0


def per_due(name: str) -> Callable[[Any], float]:
    return lambda ds: float(ds[name].values[-1, 0]) / max(float(ds["nr_due"].values[-1, 0]), 1.0)


def part(name: str, of: str) -> Callable[[Any], float]:
    return lambda ds: float(ds[name].values[-1, 0]) / max(float(ds[of].values[-1, 0]), 1.0)


def on_node_0(group: str) -> Callable[[Any], float]:
    return lambda ds: float(ds["class_pages"].sel(page_class=group).values[-1, 0])


def off_grid(ds: Any) -> float:
    """Share by which the control period differs from the reset interval."""
    reset_ms = Scenario.from_json(ds.attrs["scenario"]).contexts[0].schemes[0].quota.reset_interval_ms
    return abs(float(ds.attrs["duration_s"]) * 1e3 / float(ds["resets"].values[-1, 0]) / reset_ms - 1)


def checks(ds: Any) -> float:
    """Share of a CPU for access checks."""
    return float(tm.cost.control_cost(ds)["cpu_share"].sel(component="access checks", estimate="default"))


def starts(before: float, after: float) -> bool:
    return before == 0 < after


def ends(before: float, after: float) -> bool:
    return before > 0 == after


def falls(before: float, after: float) -> bool:
    return after < 0.5 * before


def grows(before: float, after: float) -> bool:
    return after > 1.2 * before > 0


def runs(before: float, after: float) -> bool:
    return before == REFUSED < after


def virtual(*weights: int, work: Workload | None = None, **changes: Any) -> Scenario:
    dests = tuple(Dest(k % 2, w) for k, w in enumerate(weights))
    base = work or workload(vmas=(Vma(0, PAGES, 1 << 40),))
    dealt = move(0, Quota(), filters=(), target_nid=-1, dests=dests).replace(**changes)
    return Scenario(machine(), base, (context(dealt, ops="vaddr"),))


def promote(limit: Quota, on_0: int = 0, **changes: Any) -> Scenario:
    """Hot pages, the first of them on node 0, to be moved to node 0."""
    return scenario(move(0, limit, **changes), workload=workload(on_0))


def opposed(bp_0: int, bp_1: int, sz: int = 4 * MIB) -> Scenario:
    schemes = (move(n, quota(eligible(n, bp), sz=sz)) for n, bp in enumerate((bp_0, bp_1)))
    return scenario(*schemes, workload=workload(8_000))


def tuned(apply_us: int, samples: int = 20, sample_us: int = 5_000) -> Scenario:
    goal = IntervalsGoal(100, 3, sample_us, sample_us)
    attrs = Attrs(sample_us=sample_us, aggr_us=sample_us * samples, intervals_goal=goal)
    scheme = move(0, quota(used(9000)), apply_interval_us=apply_us)
    return scenario(contexts=(context(scheme, attrs=attrs),), workload=workload(0))


def reclaim(**changes: Any) -> Scenario:
    cold = move(0, quota(free(9000), sz=4 * MIB), action="pageout", target_nid=-1, filters=(), access_pattern=COLD_PATTERN)
    pages = Workload(60_000, (Group(0, HOT, rate_hz=400.0),), (Placement(0, 60_000, 0),))
    return scenario(cold.replace(**changes), workload=pages)


def to_disk() -> Scenario:
    """Failures charged 1/4096, 4 MiB per window, and a disk that writes 200 MiB in a second."""
    sc = reclaim(quota=quota(free(9000), sz=4 * MIB, fail_charge_num=1, fail_charge_denom=4096))
    return sc.replace(machine=sc.machine.replace(swap=Swap("disk", throughput_bytes_per_s=200 * MIB)))


def striped(n: int, hot: int, pitch: int, **attrs: int) -> Scenario:
    groups = tuple(Group(k * pitch, k * pitch + hot, rate_hz=400.0) for k in range(n))
    stat = move(0, Quota(), action="stat", target_nid=-1, filters=(), access_pattern=AccessPattern(min_nr_accesses=10))
    work = Workload(PAGES, groups, (Placement(0, PAGES, 0),))
    return Scenario(machine(), work, (context(stat, attrs=Attrs(**attrs)),))


def folios() -> Scenario:
    big = Machine(tuple(Node(k, k * 256 * MIB, 256 * MIB) for k in (0, 1)), folio_bytes=2 * MIB)
    work = Workload(100, (Group(0, 40, rate_hz=400.0),), (Placement(0, 100, 1),))
    return Scenario(big, work, (context(move(0, quota(used(4000)))),))


COUNTED = AccessPattern(min_nr_accesses=1)
IN_STEP = Workload(PAGES, (Group(0, 40, kind="period", name="hot"),), (Placement(0, PAGES, 1),), (Vma(0, PAGES, 1 << 40),))
GAP = Machine((Node(0, 0, 256 * MIB), Node(1, 1024 * MIB, 256 * MIB)))
THREE = Machine((*machine().nodes, Node(2, 512 * MIB, 256 * MIB)))
IDLE = Workload(120_000, (), (Placement(0, 60_000, 0), Placement(60_000, 120_000, 1)))
TWO_CGROUPS = workload(0, memcgs=(Memcg(7, 0, HOT // 2), Memcg(8, HOT // 2, HOT)))
HALF = Target(((256 * MIB, 512 * MIB),))
MIXED = (Group(0, HOT, rate_hz=60.0, name="warm"), Group(HOT, HOT + 5_000, rate_hz=2000.0, name="busy"))
SELDOM = workload(0, groups=(Group(0, HOT, rate_hz=2.0),))
SLEEPY = Watermarks("free_mem_rate", 1_000_000, 500, 400, 200)


def both_ways() -> Scenario:
    up, down = move(0, quota(used(9500), sz=4 * MIB), filters=only(1)), move(1, quota(free(600), sz=4 * MIB), filters=only(0))
    work = Workload(90_000, (Group(0, 90_000, rate_hz=400.0),), (Placement(0, 62_000, 0), Placement(62_000, 90_000, 1)))
    return scenario(up, down, workload=work)


def against_goal() -> Scenario:
    dealt = move(0, Quota(), filters=(), target_nid=-1, dests=(Dest(0, 5), Dest(1, 5)))
    contexts = (context(dealt, ops="vaddr"), context(move(0, quota(eligible(0, 8000), sz=4 * MIB))))
    return Scenario(machine(), workload(0, vmas=(Vma(0, PAGES, 1 << 40),)), contexts)


LIMIT = quota(tuner="consist")


def on_old(kernel: str, limit: Quota, **changes: Any) -> Scenario:
    """Hot pages on node 1, to be moved to node 0, with nothing that an older kernel lacks."""
    reject = (Filter("addr", end_bytes=256 * MIB),)
    return scenario(move(0, limit, filters=reject), workload=workload(0), kernel=kernel, **changes)


def in_one_folio() -> Scenario:
    """A folio of 2 MiB that is idle at first and hot from 2 s on, monitored alone."""
    work = Workload(64, (Group(0, 16, rate_hz=400.0, start_tick=400),), (Placement(0, 64, 1),), tick_us=5_000)
    one = context(move(0, Quota(), filters=()), targets=(Target(((256 * MIB, 258 * MIB),)),))
    return Scenario(machine().replace(folio_bytes=2 * MIB), work, (one,), kernel="6.18")


CASES = (
    Case("apply-starved", tuned(305_000), 10, last("nr_due"), starts),
    Case("young-first-pass", reclaim(), 15, reclaimed, grows),
    Case("first-move", promote(quota(used(3000), tuner="consist")), 40, first, falls),
    # destinations
    Case("dests-unused", promote(Quota(), action="stat", dests=(Dest(0, 1), Dest(1, 1)), filters=()), 5, moved, starts),
    Case("target-node", promote(quota(used(9000)), target_nid=-1), 5, moved, starts),
    Case("target-node", virtual(3, 1).replace(
        contexts=(context(virtual(3, 1).contexts[0].schemes[0].replace(dests=(Dest(0, 3), Dest(5, 1))), ops="vaddr"),)
    ), 5, on_node_0("hot"), lambda before, after: before == HOT and after == HOT * 3 // 4),
    Case("dests-weights-zero", virtual(0, 0), 5, moved, starts),
    Case("weights-not-reduced", virtual(40, 60, work=IN_STEP, access_pattern=COUNTED), 5, on_node_0("hot"),
         lambda before, after: (before, after) == (40, 16)),
    Case("weights-share-off", virtual(40, 60, work=IN_STEP, access_pattern=COUNTED), 5, on_node_0("hot"),
         lambda before, after: (before, after) == (40, 16)),
    Case("source-is-target", promote(quota(used(9000)), filters=only(0)), 5, moved, starts),
    Case("missing-address-filter", promote(quota(used(9000)), 10_000, filters=()), 10, moved, grows),
    # signs
    Case("goal-on-source", scenario(move(1, quota(used(6000), sz=4 * MIB))), 20, miss(), lambda a, b: a < -1500 and b >= 0),
    Case("goal-without-effect", scenario(move(0, quota(used(2000, nid=2), sz=8 * MIB)), machine=THREE, workload=workload(0)),
         20, last("goal_current"), starts),
    Case("goal-without-effect", scenario(contexts=(context(move(0, quota(eligible(0, 4000)), filters=()), targets=(HALF,)),),
         workload=workload(0)), 10, last("goal_current"), starts),
    # filters and placement
    Case("ops-filters-skipped", scenario(move(0, Quota(), filters=(*only(1), Filter("memcg", allow=True, memcg_id=7))),
         workload=TWO_CGROUPS), 5, moved, lambda before, after: before > 1.5 * after > 0),
    Case("young-filter", scenario(move(0, quota(), filters=(Filter("young"),)),
         workload=workload(0, groups=(Group(0, HOT, kind="period"),))), 5, moved, starts),
    Case("goal-of-another-cgroup", scenario(move(0, quota(Goal("node_memcg_used_bp", 900, nid=0, memcg_id=7)),
         filters=(Filter("memcg", allow=True, memcg_id=8),)), workload=TWO_CGROUPS), 10, last("goal_current"), starts),
    Case("placement-outside", promote(quota()).replace(
        workload=workload(0, placement=(Placement(0, PAGES, 0, start_bytes=128 * MIB),))), 2, moved, runs),
    Case("placement-overfull", promote(quota()).replace(
        workload=Workload(65_000, placement=(Placement(0, 65_000, 0),)), machine=machine(cache_bytes=4 * MIB)), 2, moved, runs),
    # metrics
    Case("metric-unsupported", Scenario(machine(), workload(vmas=(Vma(0, PAGES, 1 << 40),)),
         (context(move(0, quota(Goal("node_sys_bp", 4000)), filters=()), ops="vaddr"),)), 5, last("goal_current"), starts),
    Case("goal-node", promote(quota(used(4000, nid=7))), 10, last("goal_current"), runs),
    Case("memcg-unknown", scenario(move(0, quota(Goal("node_memcg_used_bp", 4000, memcg_id=3))),
         workload=workload(0, memcgs=(Memcg(9, 0, HOT),))), 10, last("goal_current"), starts),
    Case("literal-metric", promote(quota(Goal("node_sys_bp", 6000, nid=0)), 8_000), 10, span, starts),
    Case("esz0-bypass", scenario(move(1, quota(eligible(1, 6000), sz=4 * MIB, esz0="bypass")), workload=workload(8_000)),
         10, moved, falls),
    # monitoring
    Case("interval-remainder", scenario(contexts=(context(move(0, Quota()), attrs=Attrs(sample_us=30_000)),)), 9,
         lambda ds: float(Scenario.from_json(ds.attrs["scenario"]).contexts[0].attrs.aggr_us) / 1e6
         - float(np.diff(ds["snapshot_time"].values).min()), lambda a, b: a > 0.009 and abs(b) < 1e-6),
    Case("tick-over-sample", promote(Quota()).replace(workload=workload(0, tick_us=20_000)), 5, last("top_rate"), grows),
    Case("too-few-regions", striped(100, 16, 600, max_nr_regions=150), 10, per_due("sz_matched"), lambda a, b: b > 10 * a),
    Case("too-few-regions", striped(100, 16, 600), 10, per_due("sz_matched"), lambda a, b: b > 10 * a),
    Case("monitoring-cost", striped(20, 500, 3000, min_nr_regions=4000, max_nr_regions=8000), 2, checks, falls),
    Case("no-ranges", scenario(move(0, Quota(), action="stat", target_nid=-1, filters=(), access_pattern=AccessPattern()),
         machine=GAP), 5, per_due("sz_matched"), falls),
    Case("unmonitored-target", scenario(contexts=(context(move(0, quota(eligible(0, 2000), sz=4 * MIB)), targets=(
         Target(((0, 8 * MIB), (256 * MIB, 512 * MIB))),)),), workload=workload(0)), 30, moved, falls),
    # schemes against each other
    Case("targets-overlap", opposed(6000, 5000), 30, late, falls),
    Case("targets-no-gap", opposed(6000, 4000), 30, late, falls),
    Case("gap-below-step", opposed(6100, 3800), 60, late, falls),
    Case("opposing-schemes", scenario(move(0, quota(), filters=only(1)), move(1, quota(), filters=only(0))), 20, undone, falls),
    Case("interleave-against-goal", against_goal(), 20, late, falls),
    Case("used-free-overlap", both_ways(), 30, late, falls),
    Case("promotion-without-room", scenario(contexts=(), machine=machine().replace(
         nodes=(Node(0, 0, 32 * MIB), Node(1, 32 * MIB, 480 * MIB)), numa_balancing={"transparent_hugepage": "never"}),
         workload=workload(0, groups=(Group(0, HOT, rate_hz=2.0),))), 30, moved, grows),
    # patterns and watermarks
    Case("empty-pattern", promote(Quota(), access_pattern=AccessPattern(min_nr_accesses=21)).replace(
        workload=workload(0, groups=(Group(0, HOT, kind="period"),))), 5, last("sz_tried"), starts),
    Case("empty-pattern", promote(Quota(), access_pattern=AccessPattern(min_age=2_000_000)), 5, last("sz_tried"), starts),
    Case("pattern-matches-nothing", scenario(move(0, quota(used(9000))), workload=SELDOM), 30, moved, starts),
    Case("watermarks-inactive", promote(quota(used(9000)), watermarks=SLEEPY), 5, moved, starts),
    # quotas
    Case("no-reset-interval", promote(quota(used(9000), reset_interval_ms=2**31)), 5, last("resets"), grows),
    Case("reset-interval-off-grid", promote(quota(used(9000), reset_interval_ms=1500)), 40, off_grid, falls),
    Case("quota-below-region", promote(quota(used(9000), sz=4095)), 5, last("sz_tried"), starts),
    Case("quota-not-pages", promote(quota(used(9000), sz=1_576_961)), 5, lambda ds: last("esz_bytes")(ds) % 4096, ends),
    Case("weights-zero", promote(quota(used(9000), weights=Weights())).replace(workload=workload(0, groups=MIXED)), 10,
         on_node_0("busy"), grows),
    Case("large-folios", folios(), 5, part("sz_applied", "sz_tried"), lambda a, b: b < 1.1 < a),
    Case("failed-charges", scenario(move(1, quota(free(9000)), action="migrate_cold"), machine=machine(kernel_bytes=64 * MIB)),
         30, moved, starts),
    Case("failed-charges", reclaim(quota=quota(free(9000), sz=64 * MIB)), 10, reclaimed, grows),
    Case("disk-breaks-quota", to_disk(), 8, lambda ds: float(ds["device_written_pages"].max()), lambda a, b: b <= 1024 < a),
    Case("quota-bound", promote(quota(sz=16 * MIB, ms=1)), 3, last("quota_bound"), lambda a, b: (a, b) == (2, 1)),
    # kernels
    Case("esz0-bypass", scenario(move(1, quota(eligible(1, 6000), sz=4 * MIB)), workload=workload(8_000),
         kernel=tm.Kernel("7.3.4", esz0_stop=False)), 10, moved, falls),
    Case("quota-outlives-commit", scenario(move(0, quota(tuner="consist")), workload=workload(0), kernel=tm.Kernel(
         "7.3.4", adjust_quota_while_esz=False), events=(Event("3 s", "contexts.0.schemes.0.quota.sz_bytes", 0),)), 10, moved,
         grows),
    Case("first-window-unlimited", on_old("6.12", LIMIT), 2.5, moved, falls),
    Case("quota-never-full", on_old("6.18", LIMIT.replace(sz_bytes=MIB + 1000)), 5, last("qt_exceeds"), starts),
    Case("full-target-anywhere", on_old("6.18", Quota(), machine=machine(kernel_bytes=200 * MIB)), 10, late, ends),
    Case("sample-reuse", in_one_folio(), 6, last("sz_matched"), starts),
    Case("min-regions-merge-only", on_old("6.18", LIMIT).replace(contexts=(context(
         on_old("6.18", LIMIT).contexts[0].schemes[0], attrs=Attrs(min_nr_regions=100)),)), 1,
         lambda ds: float(ds["nr_regions"].values[0, 0]), grows),
    Case("stale-nid", scenario(move(0, quota(eligible(0, 9000)), action="stat", target_nid=-1, access_pattern=HOT_PATTERN,
         filters=()), workload=workload(8_000), kernel="7.2",
         events=(Event("5 s", "contexts.0.schemes.0.quota.goals.0.nid", 1),)), 10, last("goal_current"), grows),
    # tuners
    Case("windup-under-cap", promote(quota(eligible(0, 6000), sz=4 * MIB, tuner="consist"), 8_000), 120, miss(),
         lambda a, b: a > 800 > b),
    Case("consist-overshoot", promote(quota(eligible(0, 4000), sz=0, tuner="consist"), 2_000), 120, miss(),
         lambda a, b: a > 800 > b),
    Case("no-cap", promote(quota(eligible(0, 6000), sz=0), 8_000), 30, miss(), lambda a, b: a > 3000 and b < 800),
    # capacity
    Case("target-above-capacity", scenario(move(0, quota(used(9970), sz=16 * MIB), access_pattern=AccessPattern()),
         machine=machine(reserve_pages=656), workload=IDLE),
         10, miss(), lambda a, b: a < 0 <= b),
    Case("target-above-supply", scenario(move(0, quota(used(5000), sz=16 * MIB)), workload=workload(5_000)), 30, miss(),
         lambda a, b: a < -1000 and abs(b) < 200),
)  # fmt: skip

PROSE = {
    "action-not-modelled": "nothing in a scenario makes the package carry the action out",
    "dests-on-paddr": "another operations set needs address spaces that only the user can describe",
    "two-contexts-same-memory": "which context keeps its intervals and filters is the user's decision",
    "unsupported-action": "which of the actions that exist was meant is not in the scenario",
}
"""Codes whose remedy is words only, and why."""

ELSEWHERE = {
    "lossy-intervals": "counts are lost between two readings of a run; test_schemes.py compares with the kernel's conversion",
    "metric-unknown": "no run begins; test_goals.py reads the change",
}
"""Codes whose change has no run to compare, and where it is tested."""

WITHOUT = {"dead-band": "it states what is fine", "unused-swap": "nothing is wrong, and nothing depends on it"}
"""Codes without a remedy."""
