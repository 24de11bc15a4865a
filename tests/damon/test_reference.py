"""The kernels against the slow, literal reference on random cases (`tests/reference.py`)."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
import reference as ref
from hypothesis import given, settings

from tieringmodel.damon.kdamond import Kdamond
from tieringmodel.damon.regions import RegionSet, SplitState
from tieringmodel.damon.rng import kernel_rng, replay_rng
from tieringmodel.kernels import draws
from tieringmodel.kernels import regions as rk
from tieringmodel.validate.golden.bare_kdamond import Applied, bare_kdamond
from tieringmodel.validate.golden.unit_schemes import ModuloStub

PAGE = 4096
UINT_MAX, ULONG_MAX = 2**32 - 1, 2**64 - 1

counts = st.one_of(st.integers(0, 20), st.sampled_from([0, 0, 1, 20]))
ages = st.one_of(st.integers(0, 60), st.sampled_from([0, 10**6, UINT_MAX - 1, UINT_MAX]))


@st.composite
def contexts(draw, max_targets=3, unit=PAGE, longest=40):
    """Targets of up to a dozen regions, some adjacent and some not, sizes in multiples of `unit`."""
    targets = []
    for _ in range(draw(st.integers(1, max_targets))):
        at, rows = draw(st.integers(0, 50)), []
        for _ in range(draw(st.integers(1, 12))):
            at += draw(st.sampled_from([0, 0, 0, 3]))
            size = draw(st.one_of(st.integers(1, longest), st.sampled_from([1, 2, 2**30])))
            rows.append([at * unit, (at + size) * unit, draw(counts), draw(counts), draw(ages)])
            at += size
        targets.append(rows)
    return targets


@given(contexts(), st.integers(0, 25), st.sampled_from([1, 2, 5, 30, 2**31]), st.integers(1, 40), st.integers(0, 60))
def test_merge(rows, threshold, limit_pages, max_nr, max_thres):
    """Ages near 2**32 times sizes of 4 TiB exceed 2**64: both sides must wrap there."""
    regions, expected = RegionSet(rows), ref.targets_of(rows)
    regions.merge(threshold, limit_pages * PAGE, max_thres, max_nr)
    ref.merge_regions(expected, threshold, limit_pages * PAGE, max_thres, max_nr)
    assert regions.rows() == ref.rows_of(expected)


def test_merge_wraps_at_64_bits():
    size, age = 2**40, 2**32 - 2
    regions = RegionSet([[[0, size, 3, 3, age], [size, 2 * size, 3, 3, age]]])
    regions.merge(0, ULONG_MAX, 1, 10)
    wrapped = ((age + 1) * size * 2) % 2**64 // (2 * size)
    assert regions.rows() == [[[0, 2 * size, 3, 3, wrapped % 2**32]]]
    assert wrapped != age + 1


@given(contexts(), st.booleans(), st.integers(0, 25))
def test_one_merge_pass(rows, count_age, threshold):
    regions, expected = RegionSet(rows), ref.targets_of(rows)
    rk.merge_pass(regions.now, regions.ptr, np.uint64(threshold), np.uint64(ULONG_MAX), count_age, None, None)
    for target in expected:
        ref.merge_pass(target, threshold, ULONG_MAX, count_age)
    assert regions.rows() == ref.rows_of(expected)


@given(contexts(longest=200), st.integers(3, 60), st.sampled_from([PAGE, 4 * PAGE]))
def test_minimum_count(rows, min_nr, min_sz):
    regions, expected = RegionSet(rows), ref.targets_of(rows)
    assert regions.apply_min_nr_regions(min_nr, min_sz) == ref.apply_min_nr_regions(expected, min_nr, min_sz)
    assert regions.rows() == ref.rows_of(expected)


@pytest.mark.parametrize("source", ["lfsr113", "recorded draws"])
@given(rows=contexts(), max_nr=st.integers(1, 80), min_sz=st.sampled_from([PAGE, 4 * PAGE]), seed=st.integers(0, 2**64 - 1))
@settings(max_examples=60)
def test_split(source, rows, max_nr, min_sz, seed):
    raw = np.zeros(4000, np.uint32)
    generator = kernel_rng(seed)
    draws.draw_many(generator, raw)
    rng = kernel_rng(seed) if source == "lfsr113" else replay_rng(raw)
    regions, expected, state = RegionSet(rows), ref.targets_of(rows), SplitState()
    expected_state, stream = {"rotation": 0, "last": 0}, iter(raw.tolist())
    for _ in range(4):
        regions.split(state, max_nr, min_sz, rng)
        ref.split_regions(expected, expected_state, max_nr, min_sz, stream)
        assert regions.rows() == ref.rows_of(expected)
        assert state.state() == {"rotation": expected_state["rotation"], "last_nr_regions": expected_state["last"]}
    assert rng.taken == raw.size - len(list(stream))


@st.composite
def scheme_pairs(draw):
    """The same scheme twice: as the package's fields and as the reference's."""
    action, score = draw(
        st.sampled_from([("migrate_hot", "hot"), ("migrate_cold", "cold"), ("pageout", "cold"), ("stat", "top")])
    )
    low_nr, low_age, low_sz = draw(st.integers(0, 8)), draw(st.integers(0, 8)), draw(st.sampled_from([0, 2, 6])) * PAGE
    pattern = (low_sz, draw(st.sampled_from([ULONG_MAX, 30 * PAGE])), low_nr, UINT_MAX, low_age, UINT_MAX)
    sz = draw(st.sampled_from([0, 1, PAGE, 5 * PAGE + 17, 20 * PAGE, 200 * PAGE]))
    ms = draw(st.sampled_from([0, 0, 1]))
    reset_ms = draw(st.sampled_from([0, 50, 100, 250]))
    weights = draw(st.integers(0, 100)), draw(st.integers(0, 100))
    fail = draw(st.sampled_from([(0, 0), (0, 7), (1, 4096), (1, 3), (2, 1)]))
    snapshots = draw(st.sampled_from([0, 0, 2]))
    filters, ref_filters = [], []
    for _ in range(draw(st.integers(0, 2))):
        matching, allow = draw(st.booleans()), draw(st.booleans())
        if draw(st.booleans()):
            start = draw(st.integers(0, 200 * PAGE))
            end = start + draw(st.integers(0, 100 * PAGE))
            filters.append({"type": "addr", "matching": matching, "allow": allow, "start_bytes": start, "end_bytes": end})
            ref_filters.append(ref.AddrFilter(start, end, matching, allow))
        else:
            index = draw(st.integers(0, 2))
            filters.append({"type": "target", "matching": matching, "allow": allow, "target_idx": index})
            ref_filters.append(ref.TargetFilter(index, matching, allow))
    names = ("min_sz_bytes", "max_sz_bytes", "min_nr_accesses", "max_nr_accesses", "min_age", "max_age")
    fields = {
        "action": action,
        "access_pattern": dict(zip(names, pattern, strict=True)),
        "apply_interval_us": draw(st.sampled_from([0, 50_000])),
        "filters": filters,
        "max_nr_snapshots": snapshots,
        "quota": {
            "sz_bytes": sz, "ms": ms, "reset_interval_ms": reset_ms, "fail_charge_num": fail[0],
            "fail_charge_denom": fail[1], "weights": {"nr_accesses": weights[0], "age": weights[1]},
        },
    }  # fmt: skip
    expected = ref.RefScheme(score, pattern, sz, ms, reset_ms, weights, fail, snapshots, ref_filters, keep_age=action == "stat")
    return fields, expected


STATE = {
    "esz": "esz", "charged_sz": "charged_sz", "total_charged_ns": "total_charged_ns", "charge_target": "charge_target",
    "charge_addr": "charge_addr", "min_score": "min_score", "nr_tried": "nr_tried", "sz_tried": "sz_tried",
    "nr_applied": "nr_applied", "sz_applied": "sz_applied", "sz_ops_filter_passed": "sz_ops_filter_passed",
    "qt_exceeds": "qt_exceeds", "nr_snapshots": "nr_snapshots",
}  # fmt: skip


@given(
    st.lists(scheme_pairs(), min_size=1, max_size=3),
    st.lists(contexts(longest=60), min_size=2, max_size=5),
    st.sampled_from([PAGE, 4 * PAGE]),
    st.integers(3, 12),
    st.sampled_from([0, 1, 2, 5]),
)
@settings(max_examples=150)
def test_application_passes(schemes, steps, min_sz, min_nr, fail_mod):
    """Quotas, priorities, filters, charging, the resume pointer and re-merging over several passes and windows."""
    if min_sz != PAGE:
        steps = [[[[a * 4, b * 4, *rest] for a, b, *rest in target] for target in rows] for rows in steps]
    steps = [
        [[row for row in target if row[1] - row[0] < 2**30] or [[0, min_sz, 0, 0, 0]] for target in rows] for rows in steps
    ]
    kdamond = bare_kdamond(
        Kdamond,
        {"attrs": {"min_nr_regions": min_nr}, "min_region_sz": min_sz, "schemes": [s for s, _ in schemes]},
        lambda memory: ModuloStub(memory, fail_mod),
        ns_per_page=30_000,
    )
    clock = kdamond.memory.arrays.clock

    def operation(index, target, region):
        pages = [p for p in range(region.start // PAGE, region.end // PAGE) if not fail_mod or p % fail_mod]
        before, now[0] = now[0], now[0] + 30_000 * len(pages)
        return len(pages) * PAGE, region.size, (now[0] // 10**6 - before // 10**6) * 10**6

    now = [0]
    damos = ref.Damos([s for _, s in schemes], min_sz, min_nr, operation)
    periods = [(s["apply_interval_us"] or 100_000) // 5_000 for s, _ in schemes]
    for s, period in zip(damos.schemes, periods, strict=True):
        s.next_apply = period
    for k, rows in enumerate(steps, 1):
        passed = 10 * k
        window = ref.Window(passed, -(-passed // 20) * 20, 5_000, 100_000)
        now[0] = max(now[0], 50_000_000 * k)
        expected = ref.targets_of(rows)
        kdamond.regions = RegionSet(rows)
        kdamond.passed, kdamond.next_aggregation, clock[0] = passed, window.next_aggregation, now[0]
        kdamond.observer.events = []
        kdamond.apply_schemes()
        damos.run(expected, window, 1000 + now[0] // 10**6, periods)
        assert isinstance(kdamond.observer, Applied)
        columns = ("scheme", "target", "start", "end", "mvsum", "age", "score", "sz_applied")
        handed = [[int(row[c]) for c in columns] for part in kdamond.observer.events for row in part]
        assert handed == damos.applied
        assert kdamond.regions.rows() == ref.rows_of(expected)
        assert int(clock[0]) == now[0]
        for i, s in enumerate(damos.schemes):
            got = {name: int(kdamond.schemes[i][column]) for name, column in STATE.items()}
            assert got == {name: s.state[name] for name in STATE}
            assert kdamond.quotas[i].total_charged_sz == s.state["total_charged_sz"]
            assert kdamond.quotas[i].charged_from == s.state["charged_from"]
            assert kdamond.next_apply[i] == s.next_apply


@given(contexts(max_targets=2, longest=60), scheme_pairs())
def test_histogram(rows, scheme):
    """The scores' histogram, its threshold, and where address filters cut while it is built."""
    fields, expected = scheme
    kdamond = bare_kdamond(Kdamond, {"schemes": [fields]})
    kdamond.regions, kdamond.passed = RegionSet(rows), kdamond.next_aggregation
    kdamond.schemes["esz"] = expected.state["esz"] = 30 * PAGE
    targets = ref.targets_of(rows)
    window = ref.Window(20, 20, 5_000, 100_000)
    histogram, threshold = ref.Damos([expected], PAGE, 10, lambda *_: (0, 0, 0)).threshold(expected, targets, window)
    assert kdamond.min_score(0) == threshold
    assert dict(enumerate(kdamond.histogram.tolist())) == histogram
    assert kdamond.regions.rows() == ref.rows_of(targets)


def test_a_pass_that_cuts_thousands_of_times():
    """With a fail charge a quota of failing pages cuts on and on: the pass's own buffers must grow with it."""

    def scheme(action, pages, numerator):
        quota = {
            "sz_bytes": pages * PAGE, "reset_interval_ms": 1000, "fail_charge_num": numerator, "fail_charge_denom": 1000,
        }  # fmt: skip
        return {"action": action, "quota": quota}

    n = 30_000
    schemes = [scheme("migrate_hot", 10_000, 1), scheme("migrate_cold", 1, 0)]
    kdamond = bare_kdamond(Kdamond, {"schemes": schemes}, lambda memory: ModuloStub(memory, 1))
    kdamond.regions, kdamond.passed = RegionSet([[[0, n * PAGE, 5, 5, 5]]]), kdamond.next_aggregation
    kdamond.apply_schemes()
    rows = kdamond.regions.rows()[0]
    assert rows[0][0] == 0
    assert rows[-1][1] == n * PAGE
    assert all(left[1] == right[0] for left, right in itertools.pairwise(rows))
    assert len(rows) == 10  # equal neighbours merge again up to a tenth of the whole
    assert int(kdamond.schemes["nr_tried"][1]) == n
