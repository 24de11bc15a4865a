"""Regions, attributes, moving sums and scores: worked cases, numbered.

Numbers are inputs and outputs of the kernel's own KUnit tests (``mm/damon/tests/core-kunit.h``, ``vaddr-kunit.h``), or follow
from the formulas of docs/theory/damon.md.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tieringmodel.damon.intervals import adapt_intervals, nr_samples
from tieringmodel.damon.kdamond import Kdamond
from tieringmodel.damon.regions import RegionSet, SplitState, set_regions
from tieringmodel.damon.rng import counter_rng, replay_rng
from tieringmodel.damon.vaddr import three_regions
from tieringmodel.errors import KernelRefusal
from tieringmodel.kernels import regions as rk
from tieringmodel.kernels import scoring
from tieringmodel.kernels.intervals import adaptation_bp, intervals_score
from tieringmodel.kernels.turn import left_window_bp
from tieringmodel.scenario import Attrs, Context
from tieringmodel.validate.golden.bare_kdamond import bare_kdamond

MIB = 1 << 20
ULONG_MAX = 2**64 - 1


def spans(rows):
    return [(r[0], r[1]) for r in rows]


def plain(*pairs):
    return [[a, b, 0, 0, 0] for a, b in pairs]


# ---- 1. region primitives -----------------------------------------------------------------------------------------


def test_1_1_a_new_region_is_blank():
    assert set_regions([], [(1, 2)], 1) == [[1, 2, 0, 0, 0]]
    assert [RegionSet([rows]).n for rows in ([], plain((1, 2)))] == [0, 1]


def test_1_2_reset_keeps_regions_and_remembers_counts():
    starts = [(10, 20, 30), (5, 42, 49), (13, 33, 55)]
    ends = [(15, 27, 40), (31, 45, 55), (23, 44, 66)]
    counts = [(42, 95, 84), (10, 20, 30), (0, 1, 2)]
    regions = RegionSet([[[a, b, n, 7, 3] for a, b, n in zip(*t, strict=True)] for t in zip(starts, ends, counts, strict=True)])
    regions.reset_aggregated()
    rows = regions.rows()
    assert [len(t) for t in rows] == [3, 3, 3]
    assert [[r[2] for r in t] for t in rows] == [[0, 0, 0]] * 3
    assert [tuple(r[3] for r in t) for t in rows] == counts
    assert {r[4] for t in rows for r in t} == {3}


def test_1_3_both_parts_of_a_split_inherit():
    kdamond = kdamond_with({"type": "addr", "start_bytes": 25, "end_bytes": 1000, "allow": True}, min_sz=1)
    kdamond.regions = RegionSet([[[0, 100, 42, 15, 10]]])
    kdamond.min_score(0)
    assert kdamond.regions.rows() == [[[0, 25, 42, 15, 10], [25, 100, 42, 15, 10]]]


def test_1_4_merging_averages_by_size():
    regions = RegionSet([[[0, 100, 10, 0, 9], [100, 300, 20, 0, 21]]])
    rk.merge_pass(regions.now, regions.ptr, np.uint64(10), np.uint64(300), False, None, None)
    assert regions.rows() == [[[0, 300, 16, 0, 17]]]


def test_1_5_one_merge_pass():
    starts = (0, 100, 114, 122, 130, 156, 170, 184, 230)
    ends = (100, 112, 122, 130, 156, 170, 184, 230, 10170)
    counts = (0, 0, 10, 10, 20, 30, 1, 2, 5)
    regions = RegionSet([[[a, b, n, 0, 0] for a, b, n in zip(starts, ends, counts, strict=True)]])
    rk.merge_pass(regions.now, regions.ptr, np.uint64(9), np.uint64(9999), True, None, None)
    rows = regions.rows()[0]
    assert spans(rows) == [(0, 112), (114, 130), (130, 156), (156, 170), (170, 230), (230, 10170)]
    assert [r[2] for r in rows] == [0, 10, 20, 30, 1, 5]
    assert [r[4] for r in rows] == [1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("case", "pieces", "min_sz", "before", "at_most"),
    [
        ("1.6", 2, 1, [(0, 22)], 2),
        ("1.7", 4, 1, [(0, 220)], 4),
        ("1.8", 4, 5, [(0, 220), (300, 400), (500, 700)], 12),
    ],
)
def test_1_6_split_makes_at_most_so_many(case, pieces, min_sz, before, at_most):
    for seed in range(200):
        regions = RegionSet([plain(*before)])
        regions.split_each(pieces, min_sz, counter_rng(seed))
        rows = regions.rows()[0]
        assert len(before) <= len(rows) <= at_most
        assert all((b - a) % min_sz == 0 for a, b in spans(rows))
        assert sum(b - a for a, b in spans(rows)) == sum(b - a for a, b in before)


def raw(*tenths):
    """Recorded 32-bit draws that give these numbers of tenths, 1 … 9."""
    return replay_rng([(d - 1) * 2**32 // 9 + 1 for d in tenths] or [0])


@pytest.mark.parametrize(
    ("case", "size", "min_sz", "pieces", "tenths", "cuts"),
    [
        ("1.9", 100, 1, 2, [3], [30]),
        ("1.10", 100, 1, 3, [5, 5], [25, 50]),
        ("1.11", 100, 1, 3, [9, 1], [9, 90]),
        ("1.12", 40960, 4096, 2, [1], [4096]),
        ("1.12", 40960, 4096, 2, [3], [12288]),
        ("1.13", 8192, 4096, 2, [], []),
    ],
)
def test_1_9_split_with_given_draws(case, size, min_sz, pieces, tenths, cuts):
    regions, rng = RegionSet([plain((0, size))]), raw(*tenths)
    regions.split_each(pieces, min_sz, rng)
    edges = [0, *cuts, size]
    assert spans(regions.rows()[0]) == list(itertools.pairwise(edges))
    assert rng.taken == len(tenths)


@pytest.mark.parametrize("tenth", range(1, 10))
def test_1_13_the_partial_split_takes_regions_of_two_minima(tenth):
    """Two of three allowed regions: step 3, so only the first is cut, where a tenth aligns to something."""
    regions, rng = RegionSet([plain((0, 8192), (8192, 16384))]), raw(tenth)
    regions.split(SplitState(), 3, 4096, rng)
    assert rng.taken == 1
    cut = [(0, 8192)] if tenth < 5 else [(0, 4096), (4096, 8192)]
    assert spans(regions.rows()[0]) == [*cut, (8192, 16384)]


def test_1_14_split_above_half_of_the_maximum():
    regions, rng, state = (
        RegionSet([plain(*((100 * i, 100 * i + 100) for i in range(760)))]),
        counter_rng(3),
        SplitState(),
    )
    regions.split(state, 1500, 1, rng)
    assert (regions.n, rng.taken, state.state()) == (1140, 380, {"last_nr_regions": 760, "rotation": 1})


def test_1_15_the_last_region_ends_the_pass():
    """A pass counts as a snapshot exactly once, when it comes by the last region."""
    kdamond = kdamond_with(min_sz=1)
    for n in (1, 2, 3, 4):
        kdamond.regions = RegionSet([plain(*((2 * i, 2 * i + 2) for i in range(n)))])
        kdamond.passed = kdamond.next_aggregation = 20 * n
        kdamond.apply_schemes()
        assert int(kdamond.schemes["nr_snapshots"][0]) == n


@pytest.mark.parametrize(
    ("nr", "last", "draws"),
    [
        (1000, 0, 0),  # at the maximum: none
        (501, 0, 251),  # every 2nd
        (750, 0, 188),  # every 4th
        (900, 0, 90),  # every 10th
        (999, 0, 1),  # every 1000th
        (500, 500, 500),  # all in two: 500 is not below a third
        (300, 300, 600),  # all in three
        (300, 299, 300),  # all in two
    ],
)
def test_1_16_which_regions_are_split(nr, last, draws):
    regions, rng, state = (
        RegionSet([plain(*((100 * i, 100 * i + 100) for i in range(nr)))]),
        raw(*[5] * 600),
        SplitState(),
    )
    state.last_nr_regions = last
    regions.split(state, 1000, 1, rng)
    assert (rng.taken, regions.n, state.last_nr_regions) == (draws, nr + draws, nr)


# ---- 2. set_regions -----------------------------------------------------------------------------------------------

VADDR = [(10, 20), (20, 30), (50, 55), (55, 57), (57, 59), (70, 80), (80, 90), (90, 100)]


@pytest.mark.parametrize(
    ("case", "old", "ranges", "new"),
    [
        ("2.1", [], [(5, 15), (15, 25)], [(5, 15), (15, 25)]),
        ("2.2", [(4, 16), (24, 32)], [(18, 23)], [(18, 23)]),
        ("2.3", [(4, 16), (24, 32)], [(8, 28)], [(8, 16), (16, 24), (24, 28)]),
        ("2.4", [(0, 4), (4, 17)], [(0, 15), (25, 40)], [(0, 4), (4, 15), (25, 40)]),
        ("2.5", [(0, 4), (42, 52)], [(0, 15), (25, 40), (44, 50)], [(0, 15), (25, 40), (44, 50)]),
        ("2.6", [(3, 8), (8, 10)], [(4, 6)], [(4, 6)]),
        ("2.8", VADDR, [(5, 27), (45, 55), (73, 104)], [(5, 20), (20, 27), (45, 55), (73, 80), (80, 90), (90, 104)]),
        ("2.9", VADDR, [(5, 27), (56, 57), (65, 104)], [(5, 20), (20, 27), (56, 57), (65, 80), (80, 90), (90, 104)]),
        ("2.10", VADDR, [(5, 27), (61, 63), (65, 104)], [(5, 20), (20, 27), (61, 63), (65, 80), (80, 90), (90, 104)]),
        ("2.11", VADDR, [(5, 7), (30, 32), (65, 68)], [(5, 7), (30, 32), (65, 68)]),
    ],
)
def test_2_set_regions(case, old, ranges, new):
    before = [[a, b, 3 + i, 2, 9] for i, (a, b) in enumerate(old)]
    after = set_regions(before, ranges, 1)
    assert spans(after) == new
    survivors = {tuple(r[2:]) for r in before}
    assert all(tuple(r[2:]) in survivors or r[2:] == [0, 0, 0] for r in after)
    assert spans(before) == old  # the input stays as it was


@pytest.mark.parametrize("ranges", [[(5, 15), (14, 20)], [(5, 15), (2, 4)], [(5, 5)], [(9, 5)]])
def test_2_12_overlapping_or_empty_ranges_are_refused(ranges):
    before = plain((4, 16))
    with pytest.raises(KernelRefusal, match="EINVAL"):
        set_regions(before, ranges, 1)
    assert before == plain((4, 16))


def test_2_13_ranges_are_aligned_outwards():
    assert spans(set_regions([], [(100, 5000)], 4096)) == [(0, 8192)]


def test_2_three_regions():
    mappings = [(10, 20), (20, 25), (200, 210), (210, 220), (300, 305), (307, 330)]
    assert list(three_regions(mappings)) == [(10, 25), (200, 220), (300, 330)]


# ---- 3. minimum number of regions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "size", "min_sz", "min_nr", "limit", "count"),
    [
        ("3.1", 10, 1, 10, 1, 10),
        ("3.2", 10, 1, 15, 1, 10),
        ("3.3", 10, 2, 2, 6, 2),
        ("3.4", 10, 2, 10, 2, 5),
        ("3.5", 1 << 30, 4096, 10, 107376640, 10),
    ],
)
def test_3_minimum_count(case, size, min_sz, min_nr, limit, count):
    regions = RegionSet([plain((0, size))])
    assert regions.apply_min_nr_regions(min_nr, min_sz) == limit
    rows = spans(regions.rows()[0])
    assert len(rows) == count
    assert rows == [(a, min(a + limit, size)) for a in range(0, size, limit)]


# ---- 4. attributes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "changes", "where"),
    [
        ("4.1", {}, None),
        ("4.2", {"min_nr_regions": 1}, "min_nr_regions"),
        ("4.2b", {"min_nr_regions": 3}, None),
        ("4.3", {"max_nr_regions": 9}, "max_nr_regions"),
        ("4.3b", {"max_nr_regions": 10}, None),
        ("4.4", {"aggr_us": 4999}, "sample_us"),
        ("4.4b", {"aggr_us": 5000}, None),
        (
            "goal",
            {"intervals_goal": {"access_bp": 400, "aggrs": 3, "min_sample_us": 5001, "max_sample_us": 9000}},
            "sample_us",
        ),
        ("goal off", {"intervals_goal": {"access_bp": 400, "min_sample_us": 5001, "max_sample_us": 9000}}, None),
        ("goal", {"intervals_goal": {"aggrs": 3, "min_sample_us": 9000, "max_sample_us": 5000}}, "sample_us"),
    ],
)
def test_4_validity(case, changes, where):
    if where is None:
        assert Attrs(**changes).min_nr_regions == changes.get("min_nr_regions", 10)
        return
    with pytest.raises(KernelRefusal, match="EINVAL") as caught:
        Attrs(**changes)
    assert caught.value.where == where


def test_4_5_minimum_region_size_is_a_power_of_two():
    assert Context(min_region_sz=4096).min_region_sz == 4096
    with pytest.raises(KernelRefusal, match="EINVAL"):
        Context(min_region_sz=4095)


def converted(old, new, row, aggregating=False):
    kdamond = bare_kdamond(Kdamond, {"attrs": {"sample_us": old[0], "aggr_us": old[1]}})
    kdamond.regions = RegionSet([[[0, 4096, *row]]])
    kdamond.set_attrs(Attrs(sample_us=new[0], aggr_us=new[1]), aggregating)
    return kdamond.regions.rows()[0][0][2:]


@pytest.mark.parametrize(
    ("case", "old", "new", "before", "after"),
    [
        ("4.6", (10, 1000), (100, 10_000), [15, 15, 20], [15, 15, 2]),
        ("4.7", (10, 1000), (1, 1000), [15, 15, 2], [150, 150, 2]),
        ("4.8", (10, 1000), (1, 100), [150, 150, 2], [150, 150, 20]),
    ],
)
def test_4_6_results_follow_the_intervals(case, old, new, before, after):
    assert converted(old, new, before) == after


def test_4_9_counts_of_an_unfinished_window_are_dropped():
    assert converted((10, 1000), (1, 1000), [15, 15, 2], aggregating=True) == [0, 150, 2]
    kdamond = bare_kdamond(Kdamond, {"attrs": {"sample_us": 10, "aggr_us": 1000}})
    kdamond.regions = RegionSet([[[0, 4096, 15, 15, 2]]])
    kdamond.passed = kdamond.next_aggregation - 1
    kdamond.set_attrs(Attrs(sample_us=1, aggr_us=1000))
    assert kdamond.regions.rows() == [[[0, 4096, 0, 150, 2]]]
    assert kdamond.next_aggregation == 99 + 1000


@pytest.mark.parametrize(("samples", "lossy"), [(30, True), (20, False), (100, False), (200, False), (500, False)])
def test_4_10_converting_to_the_same_intervals(samples, lossy):
    attrs = (5, 5 * samples)
    got = [converted(attrs, attrs, [n, n, 7])[0] for n in range(samples + 1)]
    assert (got != list(range(samples + 1))) is lossy
    if lossy:
        assert [got[n] for n in (1, 2, 4, 5, 7)] == [0, 1, 3, 4, 6]
        assert [got[n] for n in range(0, 31, 3)] == list(range(0, 31, 3))
        assert sum(n - g for n, g in enumerate(got[:15])) == 10


# ---- 5. moving sum ------------------------------------------------------------------------------------------------


def score(nr, last=0, age=0, left_bp=0, samples=20, aggr_us=100_000, weights=(1, 1)):
    """(moving sum, hot, cold) of one region."""
    out = np.zeros((1, 3), np.uint64)
    small = (np.array([v], np.uint32) for v in (nr, last, age))
    large = (np.array([v], np.uint64) for v in (left_bp, samples, aggr_us, *weights))
    scoring.scores_of(*small, *large, out)
    return tuple(out[0].tolist())


@pytest.mark.parametrize(
    ("nr", "last", "left_bp", "expected"),
    [(0, 49, 10_000, 49), (3, 10, 7_000, 10), (3, 10, 5_000, 8), (32, 100, 1_000, 42), (42, 49, 0, 42)],
)
def test_5_moving_sum(nr, last, left_bp, expected):
    assert score(nr, last, left_bp=left_bp)[0] == expected


@pytest.mark.parametrize(
    ("passed", "following", "nr", "last", "expected"),
    [
        (0, 10, 5, 3, 3),
        (0, 10, 0, 7, 7),
        (5, 10, 3, 10, 8),
        (8, 10, 3, 10, 5),
        (10, 10, 42, 49, 42),
        (11, 10, 42, 49, 42),
    ],
)
def test_5_moving_sum_at_a_sampling_tick(passed, following, nr, last, expected):
    assert score(nr, last, left_bp=left_window_bp(passed, following, 1, 10))[0] == expected


def test_5_a_third_of_the_window():
    assert left_window_bp(13, 20, 5_000, 100_000) == 3500
    assert score(4, 20, left_bp=3500)[0] == 11
    assert nr_samples(5_000, 100_000) == 20


# ---- 9. scores ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mvsum", "age", "hot"),
    [
        (0, 0, (24, 49, 0)),
        (1, 0, (26, 49, 4)),
        (10, 0, (49, 49, 49)),
        (20, 0, (74, 49, 99)),
        (5, 50, (38, 53, 24)),
        (20, 1000, (79, 59, 99)),
        (0, 10, (23, 47, 0)),
        (0, 600, (19, 39, 0)),
        (0, 36_000, (14, 30, 0)),
    ],
)
def test_9_scores(mvsum, age, hot):
    for weights, expected in zip(((1, 1), (0, 1), (1, 0)), hot, strict=True):
        assert score(mvsum, age=age, weights=weights) == (mvsum, expected, 99 - expected)
    assert score(mvsum, age=age, weights=(0, 0)) == (mvsum, 0, 99)


def test_9_age_in_seconds_is_32_bits_wide():
    """2**32 s of age count like 0 s: the kernel keeps the seconds in an unsigned int."""
    aggr_us = 1_000_000 * 2**10
    assert score(20, age=2**22, aggr_us=aggr_us) == score(20, age=0, aggr_us=aggr_us)
    assert score(20, age=2**22 - 1, aggr_us=aggr_us)[1] == 99  # log2 is at its maximum of 32 just before


# ---- 10. interval tuning ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score_bp", "factor_bp"),
    [
        (0, 20_000), (2500, 17_500), (5000, 15_000), (9000, 11_000), (9999, 10_001), (10_000, 10_000), (10_001, 9999),
        (11_000, 9500), (12_000, 9000), (15_000, 7500), (20_000, 5000), (10**9, 5000),
    ],
)  # fmt: skip
def test_10_adaptation(score_bp, factor_bp):
    assert adapt_intervals(score_bp) == adaptation_bp(np.uint64(score_bp)) == factor_bp


def tuning(nr, low=1, high=10**7):
    goal = {"access_bp": 400, "aggrs": 3, "min_sample_us": low, "max_sample_us": high}
    kdamond = bare_kdamond(Kdamond, {"attrs": {"intervals_goal": goal}})
    kdamond.regions = RegionSet([[[0, MIB, nr, nr, 8]]])
    return kdamond


def test_10_example():
    kdamond = tuning(1)
    assert intervals_score(kdamond.regions.now, kdamond.regions.n, 20, 400, None) == 12_500
    kdamond.tune_intervals()
    assert (kdamond.attrs.sample_us, kdamond.attrs.aggr_us) == (4375, 87_500)
    assert kdamond.regions.rows() == [[[0, MIB, 1, 1, 9]]]  # 8 * 100000 // 87500


@pytest.mark.parametrize(
    ("nr", "low", "high", "sample_us"), [(20, 5000, 10**7, 5000), (0, 5000, 8000, 8000), (0, 1, 10**7, 10_000)]
)
def test_10_intervals_stay_in_their_range(nr, low, high, sample_us):
    kdamond = tuning(nr, low, high)
    kdamond.tune_intervals()
    assert (kdamond.attrs.sample_us, kdamond.attrs.aggr_us) == (sample_us, 20 * sample_us)


def test_10_no_change_restarts_nothing():
    kdamond = bare_kdamond(
        Kdamond,
        {"attrs": {"intervals_goal": {"access_bp": 500, "aggrs": 3, "min_sample_us": 1, "max_sample_us": 10**7}}},
    )
    kdamond.regions = RegionSet([[[0, MIB, 1, 1, 8]]])
    kdamond.passed, before = 20, kdamond.next_aggregation
    kdamond.tune_intervals()  # one of 20 samples is exactly 5 %
    assert (kdamond.next_aggregation, kdamond.attrs.sample_us) == (before, 5000)


def kdamond_with(*filters, min_sz=4096, **scheme):
    return bare_kdamond(Kdamond, {"min_region_sz": min_sz, "schemes": [{"filters": list(filters)} | scheme]})
