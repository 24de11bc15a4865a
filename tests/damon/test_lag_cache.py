"""The RFC's detection-lag cache, number by number (docs/theory/rfc.md, section 3)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small import MIB, pull, scenario, traced

import tieringmodel as tm
from tieringmodel.damon import goals
from tieringmodel.damon.lag_cache import COOLDOWN, SLOTS, LagCache
from tieringmodel.damon.quota import QuotaState


def moving(detected: tuple[int, int] = (100, 300), n_bytes: int = 50) -> LagCache:
    """A cache that saw these bytes and then a migration from node 1 to node 0 at 1000 ms."""
    cache = LagCache(2)
    cache.effective(detected)
    cache.moved(1, 0, n_bytes, now_ms=1000)
    return cache


@pytest.mark.parametrize(
    ("case", "seen", "expected"),
    [
        ("target: what was there plus what is in flight", (100, 300), (150, 250)),
        ("target: more than that is believed", (151, 300), (151, 250)),
        ("target: less is not", (0, 300), (150, 250)),
        ("source: less than predicted is believed", (100, 249), (150, 249)),
        ("source: gone altogether is not", (100, 0), (150, 250)),
        ("source: twice what was there is not yet a new working set", (100, 600), (150, 250)),
        ("source: more than twice is", (100, 601), (150, 601)),
    ],
)
def test_what_counts_while_bytes_are_in_flight(case: str, seen: tuple[int, int], expected: tuple[int, int]) -> None:
    assert tuple(moving().effective(seen)) == expected


def test_a_source_that_falls_below_a_quarter_of_its_peak_has_only_moved() -> None:
    cache = moving()
    cache.effective((100, 300))  # the peak since the migration: 300
    assert cache.effective((100, 75)) == [150, 75]  # 75 = 300 // 4 is not below it
    assert cache.effective((100, 74)) == [150, 250]


def test_a_quarter_of_the_peak_counts_only_where_it_is_below_what_is_predicted() -> None:
    cache = moving(detected=(100, 60), n_bytes=50)
    cache.effective((100, 100))  # peak 100, base 60, predicted 10
    assert cache.effective((100, 20)) == [150, 10]  # below 25 but above 10: the smaller of the two
    assert cache.effective((100, 5)) == [150, 10]


def test_a_source_that_was_empty_counts_from_what_is_seen() -> None:
    assert moving(detected=(0, 0)).effective((0, 80)) == [50, 30]
    assert moving(detected=(0, 0)).effective((0, 0)) == [50, 0]
    assert moving(detected=(0, 0)).effective((0, 1)) == [50, 0]
    assert moving(detected=(0, 1)).effective((0, 5)) == [50, 5]  # one byte is not nothing
    assert moving(detected=(0, 20)).effective((0, 0)) == [50, 0]  # more left than was there: nothing, not less


def test_nothing_moved_changes_nothing() -> None:
    cache = LagCache(2)
    cache.moved(1, 1, 50, now_ms=0)
    cache.moved(1, 0, 0, now_ms=0)
    assert not cache.active
    cache.next_window(10**9)
    assert (cache.slot, cache.cooldown, cache.last_ms) == (0, 0, None)


def test_a_migration_before_the_first_measurement_counts_from_nothing() -> None:
    cache = LagCache(2)
    cache.moved(1, 0, 50, now_ms=0)
    assert cache.effective((0, 0)) == [50, 0]


def test_bytes_that_came_back_are_not_in_flight() -> None:
    cache = moving()
    cache.moved(0, 1, 50, now_ms=1001)
    assert cache.effective((7, 9)) == [7, 9]


def test_the_base_is_what_was_seen_before_the_first_migration() -> None:
    cache = moving()
    cache.effective((400, 500))
    cache.moved(1, 0, 10, now_ms=1001)
    assert cache.base == [100, 300]
    assert cache.peak == [400, 500]
    assert cache.effective((0, 0)) == [160, 240]
    assert cache.peak == [400, 500]


def test_a_migration_of_one_byte_counts() -> None:
    assert moving(n_bytes=1).effective((100, 300)) == [101, 299]


def test_windows_book_into_slots_in_turn() -> None:
    cache = moving()
    for k in range(1, 2 * SLOTS):
        cache.next_window(1000 + k)
        assert cache.slot == k % SLOTS
        cache.moved(1, 0, 1, now_ms=1000 + k)
    # Slots are added to when their turn comes again: no cool-down is over while anything is in flight.
    assert [slot[0] for slot in cache.delta] == [51, 2, 2, 2]
    assert cache.effective((100, 300)) == [157, 243]


def test_the_time_limit_is_the_only_end_while_bytes_are_in_flight() -> None:
    cache = moving()
    cache.effective((120, 280))
    cache.next_window(11_000)
    assert (cache.active, cache.slot, cache.cooldown) == (True, 1, COOLDOWN)
    cache.next_window(11_001)
    assert (cache.active, cache.slot, cache.cooldown) == (False, 2, 0)
    assert cache.base == [120, 280]
    assert not any(any(slot) for slot in cache.delta)
    assert cache.effective((1, 2)) == [1, 2]


def test_without_bytes_in_flight_the_cool_down_is_three_windows() -> None:
    cache = moving()
    cache.moved(0, 1, 50, now_ms=1000)
    cache.effective((110, 290))
    seen = []
    for k in range(COOLDOWN + 2):
        seen.append((cache.active, cache.cooldown))
        cache.next_window(1000 + k)
    assert seen == [(True, 3), (True, 2), (True, 1), (True, 0), (False, 0)]
    assert cache.base == [110, 290]


def test_a_new_migration_begins_a_new_cool_down_and_peak() -> None:
    cache = moving()
    cache.effective((130, 270))
    cache.next_window(20_000)
    assert not cache.active
    cache.effective((140, 260))
    cache.moved(0, 1, 20, now_ms=20_000)
    assert (cache.base, cache.peak, cache.cooldown, cache.last_ms) == ([140, 260], [0, 0], COOLDOWN, 20_000)


def lagging(target_bp: int = 9_000, lag_timeout_ms: int = 10_000) -> tm.Scheme:
    scheme = pull(target_bp, metric="node_eligible_mem_bp:v3", sz_bytes=MIB)
    [goal] = scheme.quota.goals
    goal = goal.replace(lag_cache=True, lag_timeout_ms=lag_timeout_ms)
    return scheme.replace(quota=scheme.quota.replace(goals=(goal,)))


def test_a_run_forgets_what_moved_longer_ago_than_the_time_limit() -> None:
    for limit_ms, kept in (300, False), (10_000, True):
        engine, _ = traced(scenario(lagging(1_000, limit_ms)))
        engine.run(1_500_000)
        [cache] = engine.kdamonds[0].quotas[0].lags
        assert cache is not None
        assert cache.last_ms is not None
        assert cache.last_ms < 2_000  # 1000 jiffies after the start at the latest: the goal was met soon
        assert cache.active is kept


def test_a_run_books_what_it_migrates() -> None:
    engine, _ = traced(scenario(lagging()))
    engine.run(1_000_000)
    kdamond = engine.kdamonds[0]
    [cache] = kdamond.quotas[0].lags
    assert cache is not None
    moved = int(engine.memory.migrated_pages()[0]) * 4096  # into node 0
    assert moved > 0
    assert int(engine.memory.migrated_pages()[1]) == 0
    assert [sum(slot[i] for slot in cache.delta) for i in (0, 1)] == [moved, -moved]
    assert cache.slot == (kdamond.quotas[0].resets - 1) % SLOTS  # the first reset begins the first window
    assert cache.last_ms is not None
    assert 1000 < cache.last_ms <= 2000  # in jiffies of 1 ms, which begin at 1000


def test_the_goal_is_measured_with_what_is_in_flight() -> None:
    """The share of the goal counts migrated bytes at once; without the cache it waits for regions to be sampled."""
    engine, _ = traced(scenario(lagging()))
    engine.run(400_000)
    kdamond = engine.kdamonds[0]
    view = kdamond.view(0, 0)
    goal = kdamond.context.schemes[0].quota.goals[0]
    assert view.lag is not None
    assert goals.current_value(view, goal) > goals.current_value(replace(view, lag=None), goal)


def test_a_cache_survives_new_parameters_unless_it_is_switched() -> None:
    engine, _ = traced(scenario(lagging()))
    engine.run(500_000)
    state = engine.kdamonds[0].quotas[0]
    cache = state.lags[0]
    state.commit(state.quota.replace(sz_bytes=2 * MIB))
    assert state.lags[0] is cache
    off = state.quota.replace(goals=(state.quota.goals[0].replace(lag_cache=False),))
    state.commit(off)
    assert state.lags == [None]


def test_a_cache_takes_its_timeout_over_and_does_not_mind_its_neighbours() -> None:
    on, off = (
        tm.Goal("node_eligible_mem_bp:v3", 6000, lag_cache=True, lag_timeout_ms=500),
        tm.Goal("node_eligible_mem_bp:v3", 6000),
    )
    state = QuotaState(tm.Quota(goals=(on, on)), 1000, 2)
    first = state.lags[0]
    state.commit(state.quota.replace(goals=(on.replace(lag_timeout_ms=70), off)))
    assert state.lags == [first, None]
    assert first is not None
    assert first.timeout_ms == 70
