"""The quota arithmetic against the kernel's own numbers (golden vectors) and worked cases of the specification."""

import csv
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieringmodel.damon import quota_math as qm
from tieringmodel.errors import InputError

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
ULONG_MAX = 2**64 - 1
MIB = 1 << 20
u64 = st.integers(0, ULONG_MAX)


def test_every_golden_feed_loop_row():
    with gzip.open(GOLDEN / "feed_loop.csv.gz", "rt") as file:
        rows = [tuple(map(int, row.values())) for row in csv.DictReader(file)]
    assert len(rows) == 8004
    assert [r for r in rows if qm.feed_loop_next_input(r[0], r[1]) != r[2]] == []


def test_every_golden_goal_sequence():
    steps = 0
    with gzip.open(GOLDEN / "goals.jsonl.gz", "rt") as file:
        for line in file:
            case = json.loads(line)
            esz_bp = case["esz_bp0"]
            for k, (currents, charged_sz, charged_ns, *expected) in enumerate(case["steps"]):
                score = qm.quota_score(zip(currents, case["targets"], strict=True))
                esz_bp = qm.next_esz_bp(case["tuner"], esz_bp, score, case["sz"])
                esz = qm.set_effective(
                    sz_bytes=case["sz"], ms=case["ms"], esz_bp=esz_bp, total_charged_sz=charged_sz,
                    total_charged_ns=charged_ns, min_region_sz=case["min_region_sz"],
                )  # fmt: skip
                assert [score, esz_bp, esz] == expected, (case["id"], k)
                steps += 1
    assert steps == 80 * 200


# Worked cases of docs/theory/damon.md, section f.4.
FEED = [
    *((900_000, s, r) for s, r in [
        (0, 1_800_000), (1, 1_799_910), (200, 1_782_000), (2_000, 1_620_000), (5_000, 1_350_000), (9_999, 900_090),
        (10_000, 900_000), (10_001, 899_910), (12_000, 720_000), (15_000, 450_000), (18_000, 180_000), (19_999, 10_000),
        (20_000, 10_000), (250_000_000, 10_000),
    ]),
    *((10_000, s, r) for s, r in [(0, 20_000), (5_000, 15_000), (9_999, 10_001), (10_001, 10_000), (15_000, 10_000)]),
    *((ULONG_MAX, s, r) for s, r in [
        (5_000, ULONG_MAX), (9_999, ULONG_MAX), (10_001, 18_444_899_399_302_180_660),
        (15_000, 9_223_372_036_854_776_615),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("last", "score", "expected"), FEED)
def test_feed_worked_cases(last, score, expected):
    assert qm.feed_loop_next_input(last, score) == expected


def test_feed_kunit_inequalities():
    feed = qm.feed_loop_next_input
    assert feed(900_000, 200) > 900_000 > feed(900_000, 250_000_000)
    assert feed(900_000, 200) > feed(900_000, 2_000)


@pytest.mark.parametrize("score", [1, 5_000, 9_999, 10_001, 15_000])
def test_feed_changes_its_product_where_it_would_overflow(score):
    distance = abs(score - 10_000)
    first = ULONG_MAX // distance  # the first input that is divided before it is multiplied
    for last, step in ((first - 1, (first - 1) * distance // 10_000), (first, first // 10_000 * distance)):
        expected = min(last + step, ULONG_MAX) if score < 10_000 else last - step
        assert qm.feed_loop_next_input(last, score) == expected


def drive(tuner, scores, sz_bytes=0, esz_bp=0):
    sizes = []
    for score in scores:
        esz_bp = qm.next_esz_bp(tuner, esz_bp, score, sz_bytes)
        sizes.append(qm.set_effective(sz_bytes=sz_bytes, esz_bp=esz_bp))
    return sizes


def test_consist_from_nothing():
    assert drive("consist", [0] * 16) == [2**k for k in range(1, 17)]
    assert drive("consist", [5_000] * 30) == [
        1, 2, 3, 5, 7, 11, 17, 25, 38, 57, 86, 129, 194, 291, 437, 656, 985, 1477, 2216, 3325, 4987, 7481, 11222,
        16833, 25250, 37876, 56814, 85221, 127831, 191747,
    ]  # fmt: skip
    for score in (10_000, 20_000, 10**9):
        assert drive("consist", [score] * 3) == [1, 1, 1]
    assert qm.consist_esz_bp(0, 10_000) == 10_000


def test_consist_winds_up_under_a_cap():
    assert drive("consist", [0] * 80, sz_bytes=MIB)[-1] == MIB
    esz_bp = 0
    for _ in range(80):
        esz_bp = qm.consist_esz_bp(esz_bp, 0)
    assert esz_bp == ULONG_MAX
    # From there it takes log(1.8447e15 / 2e8) / log 1.25 = 71.9 windows of factor 0.8 to come down to 200 MB.
    falls = 0
    while esz_bp // 10_000 > 200_000_000:
        esz_bp, falls = qm.consist_esz_bp(esz_bp, 12_000), falls + 1
    assert falls == 72


def test_temporal():
    assert drive("temporal", [9_999]) == [1_844_674_407_370_955]
    assert drive("temporal", [9_999, 10_000, 10_001, 0], sz_bytes=200 * MIB) == [209_715_200, 0, 0, 209_715_200]
    huge = 1_844_674_407_370_955
    assert qm.temporal_esz_bp(0, huge) == huge * 10_000
    assert qm.temporal_esz_bp(0, huge + 1) == ULONG_MAX
    assert drive("temporal", [0], sz_bytes=huge + 1) == [huge]


def test_effective_quota():
    assert qm.set_effective() == 0
    assert qm.set_effective(sz_bytes=5_000) == 5_000
    assert qm.set_effective(ms=10) == 41_943_040
    gib = dict(ms=10, total_charged_sz=1 << 30)
    assert qm.set_effective(**gib, total_charged_ns=2 * 10**9) == 5_368_700
    assert qm.set_effective(**gib, total_charged_ns=2 * 10**9, sz_bytes=4_096) == 4_096
    assert qm.set_effective(ms=10, total_charged_sz=1, total_charged_ns=10**9) == 4_096
    assert qm.set_effective(ms=10, total_charged_sz=1, total_charged_ns=10**9, min_region_sz=512) == 512
    assert qm.set_effective(ms=10, esz_bp=0) == 0, "a stopped goal is not reopened by the time quota"


def test_score():
    assert qm.quota_score([(3_000, 6_000)]) == 5_000
    assert qm.quota_score([(1, 2), (6, 5)]) == 12_000
    assert qm.quota_score([(10_000, 100)]) == 1_000_000
    assert qm.quota_score([]) == 0


@given(u64, st.integers(0, 30_000), st.integers(0, 30_000))
def test_feed_falls_with_the_score(last, one, other):
    # From one byte up: below, the floor of 10000 that only over-achievement enforces would raise the input.
    last = max(last, 10_000)
    low, high = sorted((one, other))
    # The two products round differently: the divided one may be short by less than `distance` <= 10000.
    slack = 10_000 if last >= ULONG_MAX // 10_000 else 0
    assert qm.feed_loop_next_input(last, low) >= qm.feed_loop_next_input(last, high) - slack
    assert qm.feed_loop_next_input(last, 10_000) == last


@given(u64, st.integers(0, 10_000), st.integers(1, ULONG_MAX))
def test_mult_frac_is_exact_while_nothing_overflows(x, numerator, denominator):
    exact = x * numerator // denominator
    fits = exact <= ULONG_MAX and (x % denominator) * numerator <= ULONG_MAX
    got = qm.mult_frac(x, numerator, denominator)
    assert got == exact if fits else 0 <= got <= ULONG_MAX


def test_mult_frac_wraps_each_product():
    assert qm.mult_frac(ULONG_MAX, 10_000, 1) == -10_000 % 2**64
    assert qm.mult_frac(2**63, 4, 2**64 - 1) == 0, "the remainder's product 2**65 wraps to 0"


@pytest.mark.parametrize(
    ("call", "where"),
    [
        (lambda: qm.mult_frac(1, 1, 0), "denominator"),
        (lambda: qm.mult_frac(-1, 1, 1), "x"),
        (lambda: qm.quota_score([(1, 1), (1, 0)]), "pairs[1].target"),
        (lambda: qm.quota_score([(0.5, 1)]), "pairs[0].current"),
        (lambda: qm.feed_loop_next_input(2**64, 0), "last_input"),
        (lambda: qm.feed_loop_next_input(0, -1), "score"),
        (lambda: qm.consist_esz_bp(-1, 0), "esz_bp"),
        (lambda: qm.temporal_esz_bp(0, -1), "sz_bytes"),
        (lambda: qm.next_esz_bp("pid", 0, 0, 0), "tuner"),
        (lambda: qm.set_effective(ms=-1), "ms"),
        (lambda: qm.set_effective(ms=1, min_region_sz=-1), "min_region_sz"),
    ],
)
def test_wrong_arguments_are_named(call, where):
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.where == where
