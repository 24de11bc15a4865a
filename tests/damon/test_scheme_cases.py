"""Filters, quotas, charging and the resume pointer: worked cases, numbered.

They are those of ``mm/damon/tests/core-kunit.h`` (6), or follow from docs/theory/damon.md, sections d.4 to e.6.
"""

from __future__ import annotations

import pytest

from tieringmodel.damon.kdamond import Kdamond
from tieringmodel.damon.regions import RegionSet
from tieringmodel.damon.table import default_rejects
from tieringmodel.scenario import Filter
from tieringmodel.validate.golden.bare_kdamond import bare_kdamond, scheme_columns
from tieringmodel.validate.golden.unit_schemes import ModuloStub

MIB = 1 << 20
PAGE = 4096


# ---- 6. filters ---------------------------------------------------------------------------------------------------

CORE_ALLOW, CORE_REJECT = Filter("target", allow=True), Filter("target", allow=False)
OPS_ALLOW, OPS_REJECT = Filter("anon", allow=True), Filter("anon", allow=False)


@pytest.mark.parametrize(
    ("case", "filters", "core", "ops"),
    [
        ("6.1", (), False, False),
        ("6.2", (CORE_ALLOW,), True, False),
        ("6.3", (CORE_REJECT,), False, False),
        ("6.4", (CORE_REJECT, OPS_ALLOW), False, True),
        ("6.5", (CORE_ALLOW, OPS_ALLOW), False, True),
        ("order does not matter across layers", (OPS_ALLOW, CORE_ALLOW), False, True),
        ("the last of a layer decides", (CORE_REJECT, CORE_ALLOW), True, False),
        ("the last of a layer decides", (OPS_ALLOW, OPS_REJECT), False, False),
    ],
)
def test_6_default_reject(case, filters, core, ops):
    assert default_rejects(filters) == (core, ops)


def kept_by_filter(region, address_filter, min_sz):
    """The regions that a stat scheme with this filter handles, and all regions after that."""
    kdamond = bare_kdamond(
        Kdamond,
        {"min_region_sz": min_sz, "attrs": {"min_nr_regions": 1000}, "schemes": [{"filters": [address_filter]}]},
        lambda memory: ModuloStub(memory, 0),
    )
    kdamond.regions, kdamond.passed = RegionSet([[[*region, 5, 5, 7]]]), kdamond.next_aggregation
    kdamond.schemes["keep_age"] = 0  # mark what was handled by its age
    kdamond.apply_schemes()
    rows = kdamond.regions.rows()[0]
    return [tuple(r[:2]) for r in rows if r[4] == 0], [tuple(r[:2]) for r in rows]


@pytest.mark.parametrize(
    ("case", "region", "hits", "after"),
    [
        ("6.6", (3, 5), [(3, 5)], [(3, 5)]),
        ("6.7", (1, 2), [], [(1, 2)]),
        ("6.8", (6, 8), [], [(6, 8)]),
        ("6.9", (1, 4), [(2, 4)], [(1, 2), (2, 4)]),
        ("6.10", (2, 8), [(2, 6)], [(2, 6), (6, 8)]),
        ("both borders", (1, 8), [(2, 6)], [(1, 2), (2, 6), (6, 8)]),
    ],
)
@pytest.mark.parametrize("matching", [True, False])
@pytest.mark.parametrize("allow", [True, False])
def test_6_address_filter(case, region, hits, after, matching, allow):
    """``matching = False`` inverts hits (6.11), ``allow`` what a hit means; the cuts are the same."""
    address_filter = {"type": "addr", "start_bytes": 2, "end_bytes": 6, "matching": matching, "allow": allow}
    kept, rows = kept_by_filter(region, address_filter, 1)
    hit = [r for r in after if (r in hits) == matching]
    assert rows == after
    assert kept == (hit if allow else [r for r in after if r not in hit])


def test_6_12_filter_ranges_are_aligned_down_at_both_ends():
    address_filter = {"type": "addr", "start_bytes": 5000, "end_bytes": 10_000, "allow": True}
    assert kept_by_filter((0, 16384), address_filter, 4096) == (
        [(4096, 8192)],
        [(0, 4096), (4096, 8192), (8192, 16384)],
    )


# ---- 11. quota, charge, resume ------------------------------------------------------------------------------------


def scheme(quota, **fields):
    return {"action": "migrate_hot", "quota": {"reset_interval_ms": 100} | quota} | fields


def kdamond_with(*schemes, fail_mod=0, ns_per_page=0):
    return bare_kdamond(
        Kdamond, {"schemes": list(schemes)}, lambda memory: ModuloStub(memory, fail_mod), ns_per_page=ns_per_page
    )


def next_pass(kdamond, rows=None):
    """Let an aggregation go by and apply schemes; (start, end) of what was handled."""
    if rows is not None:
        kdamond.regions = RegionSet([rows])
    kdamond.passed += 20
    kdamond.next_aggregation = kdamond.passed
    kdamond.memory.arrays.clock[0] += 100_000_000
    kdamond.observer.events = []
    kdamond.apply_schemes()
    return [(int(e["start"]), int(e["end"])) for part in kdamond.observer.events for e in part]


def regions_of(size, n, nr=10):
    return [[i * size, (i + 1) * size, nr, nr, 30 + i] for i in range(n)]


def test_11_a_a_full_quota_cuts_and_the_next_window_resumes_there():
    kdamond = kdamond_with(scheme({"sz_bytes": 10 * MIB}))
    rows = regions_of(4 * MIB, 5)
    assert next_pass(kdamond, rows) == [(0, 4 * MIB), (4 * MIB, 8 * MIB), (8 * MIB, 10 * MIB)]
    state = scheme_columns(kdamond, 0)
    assert (state["charged_sz"], state["charge_target"] - 1, state["charge_addr"]) == (10 * MIB, 0, 10 * MIB)
    assert [r[:2] for r in kdamond.regions.rows()[0]][2:4] == [[8 * MIB, 10 * MIB], [10 * MIB, 12 * MIB]]
    assert next_pass(kdamond) == [(10 * MIB, 12 * MIB), (12 * MIB, 16 * MIB), (16 * MIB, 20 * MIB)]
    # That window ended full exactly at the last region: one pass only clears the pointer.
    assert scheme_columns(kdamond, 0)["qt_exceeds"] == 1
    assert next_pass(kdamond, rows) == []
    assert scheme_columns(kdamond, 0)["charge_target"] == 0
    assert next_pass(kdamond, rows)[0] == (0, 4 * MIB)


def test_11_a_a_pointer_inside_a_region_cuts_it():
    kdamond = kdamond_with(scheme({"sz_bytes": 10 * MIB}))
    next_pass(kdamond, regions_of(4 * MIB, 5))
    assert next_pass(kdamond, regions_of(20 * MIB, 1)) == [(10 * MIB, 20 * MIB)]
    kdamond = kdamond_with(scheme({"sz_bytes": 10 * MIB}))
    next_pass(kdamond, regions_of(4 * MIB, 5))
    # Less than a page before the pointer, the skipped part still is one minimal region.
    start = 10 * MIB - 100
    assert next_pass(kdamond, [[start, start + 8 * PAGE, 5, 5, 5]]) == [(start + PAGE, start + 8 * PAGE)]


@pytest.mark.parametrize(
    ("charge", "applied_pages", "charged"),
    [((1, 4096), 256, 1_048_576 + 768), ((0, 0), 256, 4 * MIB), ((0, 5), 256, MIB), ((1, 1), 256, 4 * MIB)],
)
def test_11_b_failed_bytes_are_charged_at_a_rate(charge, applied_pages, charged):
    """Four MiB of which one is applied: pages 0, 4, 8 … succeed, three of four fail."""
    quota = {"sz_bytes": 100 * MIB, "fail_charge_num": charge[0], "fail_charge_denom": charge[1]}
    kdamond = kdamond_with(scheme(quota))

    class QuarterStub(ModuloStub):
        def __call__(self, kdamond, scheme, cursor):
            size = int(cursor["end"] - cursor["start"])
            return size // 4, size, 0

    kdamond.actions[0] = QuarterStub(kdamond.memory, 0)
    assert next_pass(kdamond, regions_of(4 * MIB, 1)) == [(0, 4 * MIB)]
    state = scheme_columns(kdamond, 0)
    assert state["sz_applied"] == applied_pages * PAGE
    assert state["charged_sz"] == charged


def test_11_c_a_rest_below_one_minimal_region_is_full():
    kdamond = kdamond_with(scheme({"sz_bytes": 5000}))
    assert next_pass(kdamond, regions_of(2 * PAGE, 3)) == [(0, PAGE)]
    assert scheme_columns(kdamond, 0)["charged_sz"] == PAGE


@pytest.mark.parametrize(
    ("quota", "handled"),
    [
        ({"sz_bytes": 4095}, 0),
        ({"goals": [{"metric": "user_input", "target_value": 10, "current_value": 10}], "goal_tuner": "temporal"}, 0),
        ({"goals": [{"metric": "user_input", "target_value": 10, "current_value": 9}], "goal_tuner": "temporal"}, 3),
        ({"goals": [{"metric": "user_input", "target_value": 10, "current_value": 9}]}, 0),  # consist: 1 byte
        ({}, 3),
    ],
)
def test_11_d_an_effective_quota_of_nothing_stops_no_quota_does_not(quota, handled):
    kdamond = kdamond_with(scheme(quota))
    assert len(next_pass(kdamond, regions_of(2 * PAGE, 3))) == handled


@pytest.mark.parametrize(("esz", "min_score"), [(4 * MIB, 74), (4 * MIB + 1, 49), (0, 99), (20 * MIB, 0), (1, 99)])
def test_11_e_priority_threshold(esz, min_score):
    """1 MiB at score 99, 3 MiB at 74, 10 MiB at 49."""
    kdamond = kdamond_with(scheme({"sz_bytes": 1, "weights": {"nr_accesses": 1}}))
    edges = [0, MIB, 4 * MIB, 14 * MIB]
    rows = [[a, b, nr, nr, 0] for a, b, nr in zip(edges, edges[1:], (20, 15, 10), strict=False)]
    kdamond.regions, kdamond.passed = RegionSet([rows]), kdamond.next_aggregation
    kdamond.schemes["esz"] = esz
    assert kdamond.min_score(0) == min_score
    assert {i: int(n) for i, n in enumerate(kdamond.histogram) if n} == {99: MIB, 74: 3 * MIB, 49: 10 * MIB}


def test_no_eligible_region_means_no_threshold():
    kdamond = kdamond_with(scheme({"sz_bytes": MIB}, access_pattern={"min_nr_accesses": 21}))
    kdamond.schemes["min_score"] = 7
    assert next_pass(kdamond, regions_of(PAGE, 3)) == []
    assert scheme_columns(kdamond, 0)["min_score"] == 0


def test_effective_time_quota_follows_the_measured_throughput():
    """4 MiB per ms before anything was measured, then what 1 ms per page really gives."""
    kdamond = kdamond_with(scheme({"ms": 10}), ns_per_page=1_000_000)
    handled = next_pass(kdamond, regions_of(PAGE * 25, 4))
    assert int(kdamond.schemes["esz"][0]) == 4096 * 1024 * 10
    assert len(handled) == 4
    next_pass(kdamond, regions_of(PAGE * 25, 4))
    assert int(kdamond.schemes["esz"][0]) == PAGE * 10


def test_stat_keeps_ages_and_migration_clears_them():
    for action, age in (("stat", 30), ("migrate_cold", 0), ("hugepage", 0)):
        kdamond = kdamond_with(scheme({}, action=action))
        next_pass(kdamond, regions_of(PAGE, 1))
        assert kdamond.regions.rows()[0][0][4] == age


def test_a_scheme_that_has_taken_its_snapshots_does_nothing():
    kdamond = kdamond_with(scheme({}, max_nr_snapshots=2))
    assert [len(next_pass(kdamond, regions_of(PAGE, 2))) for _ in range(4)] == [2, 2, 0, 0]
    assert scheme_columns(kdamond, 0)["nr_snapshots"] == 2


def test_an_unlimited_reset_interval_never_refills_the_quota():
    """damo's default ``max`` has bit 31 set in its low half, which the kernel takes for infinite."""
    for reset_ms, passes in ((2**64 - 1, [1, 0, 0]), (100, [1, 1, 1]), (2**32 + 100, [1, 1, 1])):
        kdamond = kdamond_with(scheme({"sz_bytes": PAGE, "reset_interval_ms": reset_ms}))
        rows = regions_of(PAGE, 4)
        assert [len(next_pass(kdamond, rows)) for _ in passes] == passes
