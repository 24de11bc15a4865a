"""Rules about quotas, patterns, destinations, filters and monitoring: each triggered, and not by the next of kin."""

from __future__ import annotations

import numpy as np
import pytest
from lint_cases import (
    COLD_PATTERN,
    HOT,
    HOT_PATTERN,
    MIB,
    PAGES,
    codes,
    context,
    eligible,
    found,
    free,
    machine,
    move,
    one,
    only,
    quota,
    scenario,
    used,
    workload,
)

from tieringmodel import interleave
from tieringmodel.kernels.layout import Regions
from tieringmodel.kernels.regions import rescale
from tieringmodel.linting.rules.monitors import lost_counts
from tieringmodel.linting.scheme_facts import facts_of
from tieringmodel.scenario import (
    AccessPattern,
    Attrs,
    Dest,
    Filter,
    Goal,
    Group,
    IntervalsGoal,
    Placement,
    Quota,
    Scenario,
    Target,
    Vma,
    Watermarks,
    Weights,
    Workload,
)
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.simulate import simulate

GOAL = eligible(0, 6000)


def promote(limit: Quota, **changes: object) -> Scenario:
    return scenario(move(0, limit, **changes))


def virtual(*dests: tuple[int, int], work: Workload | None = None, **changes: object) -> Scenario:
    base = work or workload(vmas=(Vma(0, PAGES, 1 << 40),))
    dealt = move(0, Quota(), filters=(), target_nid=-1, dests=tuple(Dest(*d) for d in dests), **changes)
    return Scenario(machine(), base, (context(dealt, ops="vaddr"),))


# ---- charge windows and sizes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ms", [2**31, 2**32 - 1, 2**64 - 1])
def test_an_endless_charge_window_evaluates_once(ms):
    finding = one(promote(quota(GOAL, reset_interval_ms=ms)), "no-reset-interval")
    assert finding.level == "error"
    assert "evaluated once" in finding.message
    sc = promote(quota(used(9000), reset_interval_ms=ms))
    engine = Engine(sc)
    engine.run(5_000_000)
    assert engine.kdamonds[0].quotas[0].resets == 1
    assert one(promote(quota(reset_interval_ms=ms)), "no-reset-interval").level == "warning"


def test_no_charge_window_is_one_per_application():
    finding = one(promote(quota(GOAL, reset_interval_ms=0)), "no-reset-interval")
    assert finding.level == "error"
    assert "evaluated every 1 s (twice in the first application)" in finding.message
    assert one(promote(quota(reset_interval_ms=0)), "no-reset-interval").level == "info"
    assert "no-reset-interval" not in codes(promote(quota(GOAL)))
    assert "no-reset-interval" not in codes(promote(Quota()))


def test_only_the_low_half_of_the_interval_counts():
    finding = one(promote(quota(GOAL, reset_interval_ms=2**32 + 1500)), "no-reset-interval")
    assert finding.level == "warning"
    assert "the charge window is 1.5 s" in finding.message


@pytest.mark.parametrize(
    ("ms", "apply_us", "hz", "period"),
    [(1500, 1_000_000, 1000, 2000), (100, 1_000_000, 1000, 1000), (105, 20_000, 100, 120), (1000, 52_000, 1000, 1000)],
)
def test_the_control_period_is_rounded_up_to_applications(ms, apply_us, hz, period):
    sc = promote(quota(GOAL, reset_interval_ms=ms), apply_interval_us=apply_us)
    sc = sc.replace(machine=machine().replace(hz=hz))
    if period == ms:
        assert "reset-interval-off-grid" not in codes(sc)
    else:
        finding = one(sc, "reset-interval-off-grid")
        assert f"the control period is {period} ms instead of {ms} ms" in finding.message
        assert finding.remedy == f"set reset_interval_ms = {period}"
    engine = Engine(sc)
    engine.run(20 * period * 1000)
    # The first evaluation comes with the first application.
    assert engine.kdamonds[0].quotas[0].resets in (20, 21)


def test_a_quota_below_a_region_is_always_full():
    finding = one(promote(quota(GOAL, sz=4095)), "quota-below-region")
    assert (finding.level, finding.path) == ("error", "contexts[0].schemes[0].quota.sz_bytes")
    assert int(simulate(promote(quota(used(9000), sz=4095)), duration="3 s")["migrated_pages"].sum()) == 0
    assert not codes(promote(quota(GOAL, sz=4096))) & {"quota-below-region", "quota-not-pages"}
    coarse = scenario(contexts=(context(move(0, quota(GOAL, sz=4096)), min_region_sz=8192),))
    assert "less than the smallest region of 8192" in one(coarse, "quota-below-region").message
    assert "last 1 of 1576961 bytes" in one(promote(quota(GOAL, sz=1_576_961)), "quota-not-pages").message


def test_a_quota_without_priorities():
    for weights in (Weights(), Weights(sz=7)):
        finding = one(promote(quota(GOAL, weights=weights)).replace(workload=workload(8_000)), "weights-zero")
        assert finding.level == "warning"
        assert "every region scores 0" in finding.message
        assert ("sz = 7 is accepted and unused" in finding.message) == bool(weights.sz)
    assert one(promote(quota(GOAL, sz=512 * MIB, weights=Weights())), "weights-zero").level == "info"
    cold = scenario(move(1, quota(free(5000), weights=Weights()), action="migrate_cold"))
    assert "every region scores 99" in one(cold, "weights-zero").message
    assert "weights-zero" not in codes(promote(quota(GOAL, weights=Weights(age=1))))
    assert "weights-zero" not in codes(promote(Quota()))


def test_charging_what_cannot_move():
    demote = move(1, quota(free(7000), fail_charge_denom=0), action="migrate_cold")
    sparse = scenario(demote, machine=machine(kernel_bytes=64 * MIB))
    finding = one(sparse, "failed-charges")
    # 65536 frames of node 0 less 20000 hot pages look untouched; 10000 of them are idle pages.
    assert "of 177.9 MiB that look untouched, 39.1 MiB are pages" in finding.message
    assert "78%" in finding.message
    ds = simulate(sparse, duration="240 s")
    tried, applied = (int(ds[name].values[-1, 0]) for name in ("sz_tried", "sz_applied"))
    # All idle pages moved in the first round; borders of regions and later rounds make it a bound only.
    assert applied / tried < 1 - 0.7
    assert "failed-charges" not in codes(
        scenario(demote.replace(quota=quota(free(7000), fail_charge_num=1, fail_charge_denom=4096)))
    )
    full = workload(45_000, n_pages=65_000, groups=(Group(0, HOT, rate_hz=400.0),), placement=(Placement(0, 65_000, 0),))
    assert "failed-charges" not in codes(scenario(demote, workload=full))


# ---- patterns and actions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "field", "text"),
    [
        (AccessPattern(max_sz_bytes=0), "max_sz_bytes", "Linux creates it as 0"),
        (AccessPattern(max_sz_bytes=4095), "max_sz_bytes", "below the smallest region of 4096"),
        (AccessPattern(min_sz_bytes=8192, max_sz_bytes=4096), "min_sz_bytes", "8192 is above max_sz_bytes = 4096"),
        (AccessPattern(min_nr_accesses=5, max_nr_accesses=4), "min_nr_accesses", "5 is above max_nr_accesses = 4"),
        (AccessPattern(min_nr_accesses=21), "min_nr_accesses", "21 is above the 20 samples"),
        (AccessPattern(min_age=3, max_age=2), "min_age", "3 is above max_age = 2"),
        (AccessPattern(min_sz_bytes=64 * MIB), "min_sz_bytes", "in at least 10"),
    ],
)
def test_a_pattern_that_no_region_matches(pattern, field, text):
    finding = one(promote(quota(GOAL), access_pattern=pattern), "empty-pattern")
    assert finding.level == "error"
    assert finding.path == f"contexts[0].schemes[0].access_pattern.{field}"
    assert text in finding.message
    assert int(simulate(promote(Quota(), access_pattern=pattern), duration="2 s")["sz_tried"].values[-1, 0]) == 0


def test_patterns_at_the_edge_match():
    # 512 MiB in 10 regions of at least 53687091 bytes, rounded up to pages.
    edge = AccessPattern(min_sz_bytes=53_690_368, max_sz_bytes=2**40)
    assert "empty-pattern" not in codes(promote(quota(GOAL), access_pattern=edge))
    assert "empty-pattern" in codes(promote(quota(GOAL), access_pattern=edge.replace(min_sz_bytes=53_690_369)))
    assert "empty-pattern" not in codes(promote(quota(GOAL), access_pattern=AccessPattern(min_nr_accesses=20)))
    days = AccessPattern(min_age=10_000_000)
    assert one(promote(quota(GOAL), access_pattern=days), "empty-pattern").level == "warning"


def test_a_pattern_that_nobody_here_will_match():
    idle = workload(30_000, groups=(Group(0, HOT, rate_hz=2.0),))
    finding = one(promote(quota(GOAL), access_pattern=HOT_PATTERN).replace(workload=idle), "pattern-matches-nothing")
    # 20 samples of 5 ms at 2 Hz: 0.2 touches expected.
    assert "seen in 0.2 of 20 samples" in finding.message
    busy = idle.replace(groups=(Group(0, HOT, rate_hz=40.0),))
    assert "pattern-matches-nothing" not in codes(promote(quota(GOAL)).replace(workload=busy))


@pytest.mark.parametrize(
    ("ops", "action", "ok"),
    [("paddr", "willneed", False), ("paddr", "lru_prio", True), ("paddr", "collapse", False), ("vaddr", "cold", True),
     ("vaddr", "lru_deprio", False), ("fvaddr", "migrate_hot", True), ("paddr", "stat", True)],
)  # fmt: skip
def test_actions_of_the_operations_sets(ops, action, ok):
    scheme = move(0, quota(Goal("user_input", 100)), action=action, access_pattern=HOT_PATTERN)
    sc = Scenario(machine(), workload(vmas=(Vma(0, PAGES, 1 << 40),)), (context(scheme, ops=ops),))
    assert ("unsupported-action" in codes(sc)) != ok
    if not ok:
        assert one(sc, "unsupported-action").level == "error"
        assert "charged to the quota" in one(sc, "unsupported-action").message


@pytest.mark.parametrize(
    ("ops", "action", "says"),
    [("paddr", "pageout", ""), ("vaddr", "pageout", "regions are tried, and stay"),
     ("vaddr", "hugepage", "regions are tried"), ("paddr", "stat", ""), ("paddr", "lru_deprio", ""), ("vaddr", "stat", ""),
     ("paddr", "hugepage", "")],
)  # fmt: skip
def test_actions_that_are_counted_only(ops, action, says):
    def built(goal):
        scheme = move(0, quota(goal), action=action, target_nid=-1, access_pattern=COLD_PATTERN)
        return Scenario(machine(), workload(vmas=(Vma(0, PAGES, 1 << 40),)), (context(scheme, ops=ops),))

    if not says:
        assert "action-not-modelled" not in codes(built(free(4000)))
        return
    finding = one(built(free(4000)), "action-not-modelled")
    assert (finding.level, finding.path) == ("error", "contexts[0].schemes[0].action")
    assert f"{action} is not modelled: {says}" in finding.message
    assert finding.message.endswith("the goals do not hear of it")
    assert one(built(Goal("user_input", 100)), "action-not-modelled").level == "warning"


def test_watermarks_that_keep_a_scheme_asleep():
    # 71072 of 131072 pages are free: 542 permil.
    marks = Watermarks("free_mem_rate", 1_000_000, 500, 400, 200)
    finding = one(promote(quota(GOAL), watermarks=marks), "watermarks-inactive")
    assert finding.level == "error"
    assert "542 permil" in finding.message
    assert "above high = 500" in finding.message
    assert int(simulate(promote(quota(used(9000)), watermarks=marks), duration="3 s")["sz_tried"].sum()) == 0
    assert "watermarks-inactive" not in codes(promote(quota(GOAL), watermarks=marks.replace(high=542)))
    assert (
        "below low = 600"
        in one(promote(quota(GOAL), watermarks=marks.replace(high=900, mid=700, low=600)), "watermarks-inactive").message
    )


# ---- destinations and filters -------------------------------------------------------------------------------------


@pytest.mark.parametrize("nid", [-1, 2])
def test_a_migration_to_nowhere(nid):
    finding = one(promote(quota(GOAL), target_nid=nid), "target-node")
    assert (finding.level, finding.path) == ("error", "contexts[0].schemes[0].target_nid")
    assert "target-node" not in codes(promote(quota(GOAL), target_nid=0))
    assert "target-node" not in codes(promote(quota(Goal("user_input", 100)), action="stat", target_nid=nid))


def test_destinations_that_do_not_exist_or_weigh_nothing():
    finding = one(virtual((0, 3), (5, 1)), "target-node")
    assert finding.path == "contexts[0].schemes[0].dests[1].id"
    assert "the 2500 bp of pages dealt to it stay" in finding.message
    assert one(virtual((0, 0), (1, 0)), "dests-weights-zero").level == "error"
    assert not found(virtual((0, 3), (1, 2)), "dests-weights-zero")
    assert one(promote(Quota(), action="stat", dests=(Dest(0, 1),)), "dests-unused").level == "info"


def test_destinations_on_paddr_are_counterfactual():
    sc = promote(quota(), dests=(Dest(0, 3), Dest(1, 2)), dest_rule="pfn_mod")
    finding = one(sc, "dests-on-paddr")
    assert finding.level == "warning"
    assert "would move everything to node 0" in finding.message
    nowhere = promote(quota(), dests=(Dest(0, 3), Dest(1, 2)), target_nid=-1)
    assert "would move nothing" in one(nowhere, "dests-on-paddr").message
    assert not found(virtual((0, 3), (1, 2)), "dests-on-paddr")


def test_weights_that_are_not_reduced():
    finding = one(virtual((0, 40), (1, 60)), "weights-not-reduced")
    # w0 w1 / W pages: 24 and 1.2.
    assert "off by 24 pages, with 2:3 by 1.2" in finding.message
    assert interleave.closed_forms.vma_offset_worst_error([40, 60]) == 24
    assert not found(virtual((0, 2), (1, 3)), "weights-not-reduced")
    equal = one(virtual((0, 2), (1, 2), (1, 2)), "weights-not-reduced")
    assert equal.remedy == "set weights 1, 1, 1"


@pytest.mark.parametrize(
    ("weights", "stride", "start", "shares"),
    [((40, 60), 1, 0, "10000, 0"), ((2, 3), 5, 0, "10000, 0"), ((2, 3), 5, 2, "0, 10000")],
)
def test_hot_offsets_in_step_with_the_weights(weights, stride, start, shares):
    n = 20 if stride == 1 else 1000
    group = Group(0, n * stride, kind="period", stride=stride)
    work = Workload(PAGES, (group,), vmas=(Vma(0, PAGES, 1 << 40, start),))
    pattern = AccessPattern(min_nr_accesses=1)
    sc = virtual((0, weights[0]), (1, weights[1]), work=work, access_pattern=pattern)
    finding = one(sc, "weights-share-off")
    assert f"{shares} bp are dealt where the weights ask for 4000, 6000 bp" in finding.message
    ds = interleave.run("vma_offset", weights, n, 1, vma_start=start, stride=stride)
    dealt = ds.occupancy.values[-1] * 10_000 // n
    assert ", ".join(map(str, dealt)) == shares
    if finding.changes:
        assert not found(finding.applied_to(sc), "weights-share-off")
    even = virtual((0, 2), (1, 3), work=work.replace(groups=(group.replace(stride=1, hi=1000),)), access_pattern=pattern)
    assert not found(even, "weights-share-off")
    cold = virtual((0, weights[0]), (1, weights[1]), work=work, access_pattern=COLD_PATTERN)
    assert not found(cold, "weights-share-off")


def test_a_scheme_that_also_visits_its_target():
    sc = promote(quota(GOAL), filters=())
    finding = one(sc, "missing-address-filter")
    assert finding.level == "warning"
    # All 20000 hot pages start on node 0.
    assert "78.1 MiB at the start (100% of what matches)" in finding.message
    assert "start_bytes = 0, end_bytes = 268435456" in finding.remedy
    assert one(promote(Quota(), filters=()), "missing-address-filter").level == "info"
    elsewhere = promote(quota(GOAL), filters=()).replace(workload=workload(0))
    assert one(elsewhere, "missing-address-filter").level == "info"  # nothing is there yet, free frames do not match
    fixed = (Filter("addr", start_bytes=0, end_bytes=256 * MIB),)
    assert "missing-address-filter" not in codes(promote(quota(GOAL), filters=fixed))
    assert "missing-address-filter" not in codes(promote(quota(GOAL)))
    ds = simulate(promote(quota(used(9000)), filters=()), duration="5 s")
    assert int(ds["sz_tried"].values[-1, 0]) > 0
    assert int(ds["sz_applied"].values[-1, 0]) == 0


def test_a_scheme_that_visits_nothing_but_its_target():
    finding = one(promote(quota(GOAL), filters=only(0)), "source-is-target")
    assert (finding.level, finding.path) == ("error", "contexts[0].schemes[0].filters")
    ranged = scenario(contexts=(context(move(0, quota(used(9000)), filters=()), targets=(Target(((0, MIB),)),)),))
    assert one(ranged, "source-is-target").path == "contexts[0].targets"
    assert "source-is-target" not in codes(promote(quota(GOAL), filters=only(1)))


def test_an_allowing_address_filter_skips_the_others():
    young = Filter("young", allow=True)
    finding = one(promote(quota(GOAL), filters=(*only(1), young)), "ops-filters-skipped")
    assert finding.path == "contexts[0].schemes[0].filters[0]"
    reject = (only(1)[0].replace(matching=False, allow=False), young)
    assert "ops-filters-skipped" not in codes(promote(quota(GOAL), filters=reject))
    assert "ops-filters-skipped" not in codes(promote(quota(GOAL)))
    # The remedy selects what was meant: node 1 only.
    assert facts_of(promote(quota(GOAL), filters=reject)).schemes[0].passing == [(256 * MIB, 512 * MIB)]


@pytest.mark.parametrize(
    ("action", "matching", "allow", "wrong"),
    [("migrate_hot", True, True, False), ("migrate_hot", True, False, True), ("migrate_hot", False, True, True),
     ("migrate_hot", False, False, False), ("migrate_cold", True, False, False), ("migrate_cold", True, True, True)],
)  # fmt: skip
def test_a_young_filter_against_its_action(action, matching, allow, wrong):
    filters = (Filter("young", matching=matching, allow=allow),)
    assert bool(found(promote(quota(), action=action, filters=filters), "young-filter")) == wrong


def test_a_young_filter_against_its_action_moves_nothing():
    hot = workload(0, groups=(Group(0, HOT, kind="period"),))
    away = promote(quota(), filters=(Filter("young"),)).replace(workload=hot)
    assert found(away, "young-filter")
    assert int(simulate(away, duration="5 s")["migrated_pages"].sum()) == 0


def test_placements_that_cannot_be():
    outside = workload(0, placement=(Placement(0, PAGES, 0, start_bytes=128 * MIB),))
    assert one(promote(quota(GOAL)).replace(workload=outside), "placement-outside").path == "workload.placement[0].start_bytes"
    full = Workload(65_000, placement=(Placement(0, 65_000, 0),))
    finding = one(promote(quota(GOAL)).replace(workload=full, machine=machine(cache_bytes=4 * MIB)), "placement-overfull")
    assert (finding.level, finding.path) == ("error", "machine.nodes[0]")
    assert "1.9 MiB too little" in finding.message
    assert not codes(promote(quota(GOAL))) & {"placement-outside", "placement-overfull"}


# ---- monitoring ---------------------------------------------------------------------------------------------------


def tuned(samples: int) -> Scenario:
    goal = IntervalsGoal(400, 3, 5_000, 10_000_000)
    attrs = Attrs(sample_us=5_000, aggr_us=5_000 * samples, intervals_goal=goal)
    return scenario(contexts=(context(move(0, quota(GOAL)), attrs=attrs),))


@pytest.mark.parametrize("samples", [1, 7, 20, 30, 100, 333])
def test_counts_lost_by_tuning_are_those_of_the_kernel(samples):
    counts = np.arange(samples + 1, dtype=np.uint32)
    regions_of = [np.zeros(samples + 1, np.uint64) for _ in range(2)]
    regions = Regions(*regions_of, counts.copy(), counts.copy(), np.zeros(samples + 1, np.uint32))
    n, aggr = np.uint64(samples), np.uint64(100_000)
    rescale(regions, samples + 1, n, n, aggr, aggr, False, None)
    assert lost_counts(samples) == np.flatnonzero(regions.nr != counts).tolist()
    lossy = "lossy-intervals" in codes(tuned(samples))
    assert lossy == bool(lost_counts(samples)) == bool(10_000 % samples)


def test_thirty_samples_lose_two_of_three_counts():
    finding = one(tuned(30), "lossy-intervals")
    assert "20 of the counts 0 … 30 (1, 2, 4, 5, 7 …) lose one" in finding.message
    assert finding.remedy == "set aggr_us = 200000 (40 samples)"
    fixed = scenario(contexts=(context(move(0, quota(GOAL)), attrs=Attrs(aggr_us=150_000)),))
    assert "lossy-intervals" not in codes(fixed)


def test_an_aggregation_of_whole_samples():
    odd = scenario(contexts=(context(move(0, quota(GOAL)), attrs=Attrs(sample_us=30_000)),))
    assert "90000 us instead of 100000 us" in one(odd, "interval-remainder").message
    assert "interval-remainder" not in codes(scenario(move(0, quota(GOAL))))


def test_two_contexts_on_the_same_memory():
    def both(*spans: tuple[int, int], regions: int = 100, filters: tuple[Filter, ...] = ()) -> Scenario:
        contexts = [context(attrs=Attrs(max_nr_regions=regions), targets=(Target((s,)),)) for s in spans]
        demote = move(1, quota(free(5000)), action="migrate_cold", filters=filters)
        return scenario(contexts=(contexts[0].replace(schemes=(demote,)), contexts[1]))

    finding = one(both((0, 256 * MIB), (128 * MIB, 512 * MIB)), "two-contexts-same-memory")
    assert (finding.level, finding.path) == ("info", "contexts[1].targets")
    # 100 picks among 32768 pages.
    assert "128 MiB" in finding.message
    assert "at most 0.0031 of the samples" in finding.message
    assert one(both((0, 256 * MIB), (128 * MIB, 512 * MIB), regions=1000), "two-contexts-same-memory").level == "warning"
    young = both((0, 256 * MIB), (128 * MIB, 512 * MIB), filters=(Filter("young"),))
    assert one(young, "two-contexts-same-memory").level == "warning"
    assert not found(both((0, 256 * MIB), (256 * MIB, 512 * MIB)), "two-contexts-same-memory")


def test_a_virtual_and_a_physical_context_on_the_same_pages():
    work = workload(30_000, vmas=(Vma(0, PAGES, 1 << 40),))
    watch = context(ops="vaddr")
    half = context(targets=(Target(((256 * MIB, 512 * MIB),)),))
    sc = Scenario(machine(), work, (watch, half))
    assert "117.2 MiB" in one(sc, "two-contexts-same-memory").message  # the 30000 pages on node 1
    two = Scenario(machine(), work, (watch, context(ops="fvaddr", targets=(Target((((1 << 40), (1 << 40) + MIB),)),))))
    assert "both sample 1 MiB" in one(two, "two-contexts-same-memory").message


def test_more_areas_than_regions():
    stripes = tuple(Group(k * 1000, k * 1000 + 500, rate_hz=400.0) for k in range(20))
    work = Workload(PAGES, stripes, (Placement(0, PAGES, 0),), (Vma(0, PAGES, 1 << 40),))

    def watched(ops: str, limit: int) -> Scenario:
        return Scenario(machine(), work, (context(ops=ops, attrs=Attrs(max_nr_regions=limit)),))

    for ops in ("paddr", "vaddr"):
        # 20 hot stripes, each followed by idle pages.
        assert "40 neighbouring areas" in one(watched(ops, 39), "too-few-regions").message
        assert not found(watched(ops, 40), "too-few-regions")
