"""The sweep over edges gives the very table that asking every group about every interval gives."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
import reference_access as ref
from hypothesis import given, settings

from tieringmodel.errors import InputError
from tieringmodel.kernels._jit import kernel
from tieringmodel.kernels.access import rules_touched
from tieringmodel.scenario import Group, Memcg, Workload
from tieringmodel.workload.access import AccessTable, _slots

N, TICK_US = 40, 5000
INSTANTS = st.one_of(st.integers(0, 12), st.just(2**62))


@st.composite
def any_group(draw):
    lo = draw(st.integers(0, N - 1))
    return Group(
        lo, draw(st.integers(lo + 1, N)), kind=draw(st.sampled_from(["rate", "period", "hash"])),
        rate_hz=draw(st.sampled_from([0.0, 0.1, 3.7, 1e6])), period=draw(st.integers(1, 3)),
        phase=draw(st.integers(0, 3)), stride=draw(st.integers(1, 3)), threshold=draw(st.integers(0, 2**32)),
        salt=draw(st.integers(0, 9)), start_tick=draw(INSTANTS), end_tick=draw(INSTANTS),
    )  # fmt: skip


@st.composite
def workloads(draw):
    groups = draw(st.lists(any_group(), max_size=12))
    if draw(st.booleans()):
        groups = [g.replace(kind="rate") for g in groups]
    edges = sorted(draw(st.sets(st.integers(0, N), max_size=6)))
    memcgs = tuple(Memcg(k + 1, lo, hi, k // 2) for k, (lo, hi) in enumerate(zip(edges[::2], edges[1::2], strict=False)))
    return Workload(N, tuple(groups), memcgs=memcgs)


def same(workload, ticks, plain=True):
    new, old = AccessTable(workload, TICK_US, 1, plain), ref.SlowTable(workload, TICK_US, plain)
    np.testing.assert_array_equal(new.page_class, old.page_class)
    assert new.page_class.dtype == old.page_class.dtype
    assert new.groups_of_class == old.groups_of_class
    np.testing.assert_array_equal(new.arrays.memcg, old.memcg)
    np.testing.assert_array_equal(new.arrays.first, old.first)
    np.testing.assert_array_equal(new.arrays.rule, old.rule)
    assert new.arrays.rule.dtype == old.rule.dtype
    assert new.changes == old.changes
    assert new.memcg_classes.keys() == old.memcg_classes.keys()
    for tick in ticks:
        until, threshold, is_plain = old.enter(tick)
        assert new.enter(tick) == until
        assert (bool(new.arrays.plain), new.arrays.threshold.dtype) == (is_plain, threshold.dtype)
        np.testing.assert_array_equal(new.arrays.threshold, threshold)
        np.testing.assert_array_equal(new.touch_rate_hz(tick), old.touch_rate_hz(tick))  # to the last bit


@given(workloads(), st.booleans(), st.permutations([*range(14), 2**61]))
@settings(max_examples=150)
def test_the_sweep_is_the_old_table(workload, plain, ticks):
    same(workload, ticks, plain)


@given(st.lists(any_group(), max_size=30))
@settings(max_examples=200)
def test_slots(groups):
    assert _slots(groups) == ref.slots_of(groups)


def test_shapes_in_use():
    """Nested, interleaved and repeated ranges in several phases, larger than what hypothesis draws."""
    rng = np.random.default_rng(3)
    groups = []
    for k in range(300):
        lo, start = int(rng.integers(0, 3000)), int(rng.integers(0, 50))
        span = {"end_tick": start + int(rng.integers(0, 30))} if k % 3 else {}
        groups.append(Group(lo, lo + int(rng.integers(1, 900)), rate_hz=float(rng.random()), start_tick=start, **span))
    same(Workload(4000, tuple(groups)), range(0, 90, 7))


def test_ten_thousand_groups_over_each_other_in_time():
    """One place that ten thousand phases touch in turn, and ten thousand places touched once each."""
    turns = tuple(Group(0, 4, rate_hz=1.0 + k, start_tick=k, end_tick=k + 1) for k in range(10_000))
    table = AccessTable(Workload(4, turns), TICK_US, 1)
    assert len(table.groups_of_class) == 2
    assert not table.arrays.rule["slot"].any()
    assert table.touch_rate_hz(5000).tolist() == [0.0, 5001.0]
    places = tuple(Group(k, k + 1, rate_hz=1.0) for k in reversed(range(10_000)))
    table = AccessTable(Workload(10_000, places), TICK_US, 1)
    np.testing.assert_array_equal(table.page_class, np.arange(1, 10_001))
    assert table.groups_of_class[1] == (9_999,)


def test_too_many_classes():
    """Each group shares a page with the one before and has a page of its own: two classes a group."""
    groups = tuple(Group(2 * k, 2 * k + 3, rate_hz=1.0) for k in range(32_769))
    with pytest.raises(InputError, match="65535 classes"):
        AccessTable(Workload(65_540, groups), TICK_US, 1)
    table = AccessTable(Workload(65_540, groups[:-1]), TICK_US, 1)
    assert len(table.groups_of_class) == 65_536


@kernel
def touched_within(access, cls, after, until):
    return rules_touched(access, cls, 0, after, until)


@given(st.lists(any_group(), min_size=1, max_size=12), st.integers(-1, 14), st.integers(0, 14))
@settings(max_examples=300)
def test_no_rule_in_force_is_passed_over(groups, after, until):
    """Rules in any order of time: page 0 is touched in each tick in which one of them is in force, and in no other."""
    groups = [g.replace(lo=0, hi=1, kind="period", period=1, stride=1) for g in groups]
    arrays = AccessTable(Workload(1, tuple(groups)), TICK_US, 1).arrays
    asked = range(after + 1, until + 1)
    expected = any(g.start_tick <= tick < g.end_tick for g in groups for tick in asked)
    assert touched_within(arrays, np.int64(1), np.int64(after), np.int64(until)) == expected
