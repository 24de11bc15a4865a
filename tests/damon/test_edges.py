"""Boundaries of goals, exits, splits and draws, one by one."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import MIB, pull, scenario

import tieringmodel as tm
from tieringmodel.damon import goals
from tieringmodel.damon.early_exit import EarlyExit
from tieringmodel.damon.kdamond import Kdamond
from tieringmodel.damon.quota import QuotaState
from tieringmodel.damon.regions import RegionSet
from tieringmodel.damon.rng import kernel_rng, lfsr_registers, replay_rng
from tieringmodel.kernels import draws, scoring
from tieringmodel.kernels.intervals import intervals_score
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.silent import Silent
from tieringmodel.simulation.simulate import scheme_actions


def kdamond_with(goal: tm.Goal, **scheme: Any) -> Kdamond:
    quota = tm.Quota(sz_bytes=MIB, reset_interval_ms=100, goals=(goal,))
    given = {"action": "migrate_hot", "target_nid": 0, "quota": quota} | scheme
    return Engine(scenario(tm.Scheme(**given)), 1, actions=scheme_actions).kdamonds[0]


# ---- values -----------------------------------------------------------------------------------------------------------


def test_all_pages_active_is_10000_and_no_more() -> None:
    k = kdamond_with(tm.Goal("active_mem_bp", 1))
    k.memory.arrays.node["lru"][:], k.memory.arrays.node["active"][:] = (5000, 5000), (5000, 5000)
    assert k.measure_goals(0)[0][0] == 10_000
    k.memory.arrays.node["lru"][:], k.memory.arrays.node["active"][:] = (1, 0), (1, 0)
    assert k.measure_goals(0)[0][0] == 10_000
    k = kdamond_with(tm.Goal("inactive_mem_bp", 1))
    k.memory.arrays.node["lru"][:], k.memory.arrays.node["active"][:] = (1, 0), (0, 0)
    assert k.measure_goals(0)[0][0] == 10_000


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("node_sys_bp", 0), ("node_sys_bp:v1-intent-resident", 0), ("node_target_mem_bp", 0), ("node_eligible_mem_bp:v3", 0),
     ("node_ineligible_mem_bp:v3", 10_000)],
)  # fmt: skip
def test_a_node_that_does_not_exist_holds_nothing(metric: str, expected: int) -> None:
    assert kdamond_with(tm.Goal(metric, 1, nid=7)).measure_goals(0)[0][0] == expected


@pytest.mark.parametrize(("total", "free", "used_bp", "free_bp"), [(0, 0, 10_000, 0), (1, 0, 10_000, 0), (1, 1, 0, 10_000)])
def test_a_node_of_no_or_one_frame(total: int, free: int, used_bp: int, free_bp: int) -> None:
    for metric, expected in ("node_mem_used_bp", used_bp), ("node_mem_free_bp", free_bp):
        k = kdamond_with(tm.Goal(metric, 1))
        k.memory.arrays.node["total"][0], k.memory.arrays.node["free"][0] = total, free
        assert k.measure_goals(0)[0][0] == expected


def test_a_share_of_a_system_without_frames_is_0() -> None:
    k = kdamond_with(tm.Goal("node_sys_bp", 1))
    k.memory.arrays.node["total"][:] = 0
    assert k.measure_goals(0)[0][0] == 0


@pytest.mark.parametrize(
    ("frames", "nid", "expected"), [((1, 0), 0, 9_000), ((1, 0), 1, 1), ((3, 1), 1, 2_500), ((0, 0), 0, 1)]
)
def test_the_tuner_clamp_is_the_share_of_frames_and_never_0(frames: tuple[int, int], nid: int, expected: int) -> None:
    k = kdamond_with(tm.Goal("node_mem_used_bp", 9_000, nid=nid, clamp="tuner"))
    k.memory.arrays.node["total"][:] = frames
    assert goals.effective_target(k.view(0), k.context.schemes[0].quota.goals[0]) == expected


def test_what_a_full_node_can_reach_is_what_it_holds_and_never_0() -> None:
    k = kdamond_with(tm.Goal("node_eligible_mem_bp", 9_000, nid=0, clamp="reachable"))
    goal = k.context.schemes[0].quota.goals[0]
    assert goals.effective_target(k.view(0), goal) == 9_000  # all 16 MiB find room
    k.memory.arrays.node["free"][0] = 0
    assert goals.effective_target(k.view(0), goal) == 1


def test_reserved_frames_are_no_room() -> None:
    k = kdamond_with(tm.Goal("node_eligible_mem_bp", 9_000, nid=0, clamp="reachable"))
    node, goal = k.memory.arrays.node, k.context.schemes[0].quota.goals[0]
    node["free"][0], node["reserve"][0] = 1024 + 7, 7  # a quarter of the 4096 pages, all of them on node 1
    assert goals.effective_target(k.view(0), goal) == 2_500


@pytest.mark.parametrize(("total", "used_bp", "free_bp"), [(0, 10_000, 0), (1, 0, 10_000)])
def test_a_cgroup_on_a_node_without_its_pages(total: int, used_bp: int, free_bp: int) -> None:
    for metric, expected in ("node_memcg_used_bp", used_bp), ("node_memcg_free_bp", free_bp):
        scheme = tm.Scheme("stat", quota=tm.Quota(sz_bytes=1, goals=(tm.Goal(metric, 1, nid=0, memcg_id=3),)))
        k = Engine(scenario(scheme, memcgs=[tm.Memcg(3, 0, 9)]), 1).kdamonds[0]
        k.memory.arrays.node["total"][0] = total
        assert k.measure_goals(0)[0][0] == expected


@pytest.mark.parametrize("unit", [1, 2])
def test_readings_of_whole_regions_count_bytes_where_the_pattern_matches(unit: int) -> None:
    """Three regions on node 1 and one across both nodes; the pattern takes sizes of 8 to 16 pages."""
    page, edge = 4096 // unit, 32 * MIB // unit
    rows = [(edge - 4 * page, edge + 4 * page), (edge + 4 * page, edge + 24 * page), (edge + 24 * page, edge + 36 * page),
            (edge + 36 * page, edge + 40 * page)]  # fmt: skip
    pattern = tm.AccessPattern(min_sz_bytes=8 * page, max_sz_bytes=16 * page)
    values = {}
    for metric in "node_target_mem_bp", "node_eligible_mem_bp:v3":
        for nid in 0, 1:
            scheme = tm.Scheme("stat", pattern, quota=tm.Quota(sz_bytes=1, goals=(tm.Goal(metric, 1, nid=nid),)))
            k = Engine(scenario(contexts=(tm.Context(schemes=(scheme,), addr_unit=unit),)), 1).kdamonds[0]
            k.regions = RegionSet([[[a, b, 0, 0, 0] for a, b in rows]])
            values[metric, nid] = k.measure_goals(0)[0][0]
    assert values == {
        ("node_target_mem_bp", 0): 4 * 10_000 // 8192, ("node_target_mem_bp", 1): 16 * 10_000 // 8192,
        ("node_eligible_mem_bp:v3", 0): 8 * 10_000 // 20, ("node_eligible_mem_bp:v3", 1): 12 * 10_000 // 20,
    }  # fmt: skip


# ---- the early exit ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "inflow", "holds"),
    [(5_999, True, False), (6_000, True, True), (6_001, True, True), (5_999, False, True), (6_000, False, True),
     (6_001, False, False)],
)  # fmt: skip
def test_satisfied_includes_the_target_in_both_directions(value: int, inflow: bool, holds: bool) -> None:
    k = kdamond_with(tm.Goal("node_mem_used_bp", 6_000))
    node = k.memory.arrays.node
    node["total"][0], node["free"][0] = 10_000, 10_000 - value
    assert goals.satisfied(k.view(0), k.context.schemes[0].quota.goals[0], inflow) is holds


def test_the_first_versions_exit_is_at_the_nodes_share_of_all_frames() -> None:
    k = kdamond_with(tm.Goal("node_mem_used_bp", 9_000, nid=0, clamp="v1"))
    goal = k.context.schemes[0].quota.goals[0]
    assert goals.exit_target(k.view(0), goal, 1) == 5_000
    assert goals.exit_target(k.view(0), goal.replace(target_value=4_999), 1) == 4_999
    assert goals.exit_target(k.view(0), goal.replace(clamp="none"), 1) == 1
    k.memory.arrays.node["total"][:] = (16_375, 0)  # 8192 * 10000 / 16375 is 5002.7
    assert goals.exit_target(k.view(0), goal, 1) == 5_002


def test_the_first_version_has_no_exit_for_a_node_without_frames() -> None:
    k = kdamond_with(tm.Goal("node_mem_used_bp", 1, nid=7, clamp="v1"))
    goal = k.context.schemes[0].quota.goals[0]
    assert goals.exit_target(k.view(0), goal, 5) is None
    assert goals.satisfied(k.view(0), goal, inflow=True) is False
    assert goals.satisfied(k.view(0), goal, inflow=False) is False


class Inner:
    began: tuple[Any, ...] = ()

    def begin(self, kdamond: Kdamond, scheme: int) -> None:
        self.began = (kdamond, scheme)

    def __call__(self, kdamond: Kdamond, scheme: int, cursor: Any) -> tuple[int, int, int]:
        return 1, 2, 3


@pytest.mark.parametrize(
    ("exit_", "clamp", "complement", "nid", "value", "stops"),
    [
        # Going in (the goal is the target node's): from the target on. Stored are the values handed to the score.
        ("v1", "none", False, 0, 6_000, True), ("v1", "none", False, 0, 5_999, False),
        ("both", "none", False, 0, 6_000, True), ("both", "none", False, 0, 5_999, False),
        # Going out: down from the target, which the first version does not have.
        ("both", "none", False, 1, 6_000, True), ("both", "none", False, 1, 6_001, False),
        ("v1", "none", False, 1, 6_000, False), ("v1", "none", False, 1, 0, False),
        # A complemented goal hands over 10000 minus both: 5000 handed over is 5000 there, of 6000 wanted.
        ("both", "none", True, 0, 4_000, True), ("both", "none", True, 0, 4_001, False),
        ("both", "none", True, 1, 4_000, True), ("both", "none", True, 1, 3_999, False),
    ],
)  # fmt: skip
def test_the_exit_by_the_last_measured_value(
    exit_: str, clamp: str, complement: bool, nid: int, value: int, stops: bool
) -> None:
    goal = tm.Goal("node_mem_used_bp", 6_000, nid=nid, early_exit=exit_, clamp=clamp, complement=complement)
    k = kdamond_with(goal)
    k.quotas[0].goals = [(value, 4_000 if complement else 6_000)]
    cursor = {"early_exit": 0}
    assert EarlyExit(Inner())(k, 0, cursor) == ((0, 0, 0) if stops else (1, 2, 3))
    assert cursor["early_exit"] == stops


@pytest.mark.parametrize("complement", [False, True])
def test_without_capacity_the_first_version_never_stops(complement: bool) -> None:
    goal = tm.Goal("node_mem_used_bp", 6_000, nid=7, early_exit="v1", clamp="v1", complement=complement)
    k = kdamond_with(goal, target_nid=7)
    k.quotas[0].goals = [(10_000, 6_000)]
    assert EarlyExit(Inner())(k, 0, {"early_exit": 0}) == (1, 2, 3)


def test_what_is_inside_of_an_exit_is_told_when_a_pass_begins() -> None:
    k, inner = kdamond_with(tm.Goal("node_mem_used_bp", 6_000)), Inner()
    EarlyExit(inner).begin(k, 3)
    assert inner.began == (k, 3)
    EarlyExit(None).begin(k, 3)


# ---- which regions match -------------------------------------------------------------------------------------------------


def matches(k: Kdamond, *rows: list[int]) -> list[bool]:
    """Whether regions of [start, end, nr, last, age, ...] match the scheme of a kdamond now."""
    k.regions, out = RegionSet([list(rows)], k.compiled), np.zeros(len(rows), np.bool_)
    view = k.view(0)
    scoring.matching_regions(view.regions, view.n, view.scheme, view.window, view.compiled, out)
    return out.tolist()


def test_every_bound_of_a_pattern_is_inclusive() -> None:
    pattern = tm.AccessPattern(8192, 16384, 5, 7, 10, 12)
    k = Engine(scenario(tm.Scheme("stat", pattern)), 1).kdamonds[0]
    k.passed = k.next_aggregation  # the whole window counts
    good = [0, 12288, 6, 6, 11]
    assert matches(k, good) == [True]
    for column, inside, outside in (1, (8192, 16384), (8191, 16385)), (2, (5, 7), (4, 8)), (4, (10, 12), (9, 13)):
        rows = [[*good[:column], value, *good[column + 1 :]] for value in (*inside, *outside)]
        assert [matches(k, row) for row in rows] == [[True], [True], [False], [False]]


@pytest.mark.parametrize("left", [0, 1, 7, 20])
@pytest.mark.parametrize(("nr", "last"), [(0, 13), (5, 20), (3, 0)])
def test_the_stored_moving_sum_loses_a_length_th_per_sample_in_truncated_bp(left: int, nr: int, last: int) -> None:
    context = tm.Context(moving_sum="stored", schemes=(tm.Scheme("stat"),))
    k = Engine(scenario(contexts=(context,)), 1).kdamonds[0]
    k.passed = k.next_aggregation - left
    expected = (last * 10_000 - (20 - left) * (last * 10_000 // 20) + nr * 10_000) // 10_000
    for bound, found in (expected, True), (expected + 1, False):
        k.schemes["min_nr"] = bound
        assert matches(k, [0, 4096, nr, last, 0, last * 10_000]) == [found]


def test_a_set_of_many_regions_is_kept_whole() -> None:
    rows = [[k, k + 1, k, 0, k] for k in range(100)]
    assert RegionSet([rows]).rows() == [rows]
    assert RegionSet([rows[:1]]).rows() == [rows[:1]]


def test_the_interval_score_wraps_at_64_bits() -> None:
    regions = RegionSet([[[0, 2**62, 1, 0, 0]]])
    most = 3 * 2**62 * 7 % 2**64  # 3 samples, 7 bp of them wanted
    assert most == 2**62
    wanted = most // 10_000
    assert intervals_score(regions.now, 1, 3, 7, None) == 2**62 // wanted * 10_000 + 2**62 % wanted * 10_000 // wanted


@pytest.mark.parametrize("filters", [(), (tm.Filter("young", matching=True, allow=True),)])
def test_migration_takes_time_and_looking_does_not(filters: tuple[tm.Filter, ...]) -> None:
    machine = tm.Machine.dram_cxl("32 MiB", "32 MiB").replace(migrate_ns_per_page=1_000_000)  # a jiffy a page
    quota = tm.Quota(sz_bytes="1 GiB", reset_interval_ms=100)  # time is booked where there is a quota
    for action, nid in ("migrate_hot", 0), ("stat", -1), ("lru_prio", -1):
        scheme = tm.Scheme(action, tm.AccessPattern(min_nr_accesses=5), target_nid=nid, filters=filters, quota=quota)
        engine = Engine(scenario(scheme, machine=machine, pages=512, groups=[tm.Group(0, 256, rate_hz=400.0)]), 1)
        engine.run(300_000)
        moved = int(engine.memory.migrated_pages().sum())
        assert (moved > 0) == (action == "migrate_hot")
        assert int(engine.kdamonds[0].schemes["nr_tried"][0]) > 0
        assert int(engine.kdamonds[0].schemes["total_charged_ns"][0]) == 1_000_000 * moved


@pytest.mark.parametrize("unit", [1, 2, 4])
def test_what_passes_is_counted_in_core_addresses(unit: int) -> None:
    scheme = tm.Scheme("lru_prio", tm.AccessPattern(min_nr_accesses=5))
    context = tm.Context(schemes=(scheme,), addr_unit=unit, attrs=tm.Attrs(max_nr_regions=50))
    k = Engine(scenario(contexts=(context,), pages=512, groups=[tm.Group(0, 512, rate_hz=400.0)]), 1).kdamonds[0]
    k.regions = RegionSet([[[*r[:2], 20, 20, 0] for r in k.regions.rows()[0]]])
    k.passed = k.next_aggregation
    k.apply_schemes()
    row = k.schemes[0]
    assert int(row["sz_tried"]) == k.regions.total
    assert int(row["sz_applied"]) == 512 * 4096 // unit
    assert int(row["sz_ops_filter_passed"]) == int(row["sz_applied"])


def test_virtual_addresses_are_sampled_on_the_frames_of_their_pages() -> None:
    """Only the mapping's first page is touched; its frame lies on the second node, where no page number is."""
    start, page = 1 << 40, 4096
    context = tm.Context(ops="vaddr", schemes=(), attrs=tm.Attrs(min_nr_regions=3, max_nr_regions=10))
    group = tm.Group(0, 1, "period", period=1)
    k = Engine(scenario(contexts=(context,), pages=64, groups=[group], vmas=(tm.Vma(0, 64, start),)), 1).kdamonds[0]
    k.regions = RegionSet([[[start, start + page, 0, 0, 0], [start + page, start + 64 * page, 0, 0, 0]]])
    k.sample(np.arange(20), np.arange(1, 21))
    assert k.regions.now.nr[:2].tolist() == [20, 0]


# ---- committing -------------------------------------------------------------------------------------------------------


def recommit(engine: Engine, context: tm.Context, targets: int | None = None) -> Kdamond:
    engine.request(0, context, targets)(engine.kdamonds[0])
    return engine.kdamonds[0]


@pytest.mark.parametrize(("esz0", "esz", "limited"), [("bypass", 0, 0), ("bypass", 1, 1), ("stop", 0, 1), ("stop", 1, 1)])
def test_only_the_bypass_reads_a_quota_of_0_as_none_when_committed(esz0: str, esz: int, limited: int) -> None:
    engine = Engine(scenario(pull(esz0=esz0)), 1)
    engine.kdamonds[0].schemes["esz"] = esz
    k = recommit(engine, engine.scenario.contexts[0])
    assert (int(k.schemes["quota_set"][0]), int(k.schemes["esz"][0])) == (limited, esz)


def test_a_committed_quota_keeps_what_its_goals_measured_and_takes_what_users_say() -> None:
    said, measured = tm.Goal("user_input", 5_000, current_value=10), tm.Goal("node_mem_used_bp", 6_000, current_value=20)
    state = QuotaState(tm.Quota(sz_bytes=1, goals=(said, measured)), 1000)
    state.goals = [(11, 5_000), (21, 6_000)]
    told = tuple(g.replace(target_value=7_000, current_value=99) for g in (said, measured, measured))
    state.commit(tm.Quota(sz_bytes=1, goals=told))
    assert state.goals == [(99, 7_000), (21, 7_000), (99, 7_000)]
    assert [state.last_total(j) for j in range(3)] == [None, None, None]


class Intervals(Silent):
    """The sampling interval at the end of each aggregation."""

    def __init__(self) -> None:
        self.us: list[int] = []

    def finished(self, kdamond: Kdamond, aggregation: bool) -> None:
        self.us.append(kdamond.attrs.sample_us)


def test_intervals_are_tuned_after_every_so_many_aggregations() -> None:
    goal = tm.IntervalsGoal(access_bp=400, aggrs=3, min_sample_us=1_000, max_sample_us=100_000)
    seen = Intervals()
    Engine(scenario(tm.Scheme("stat"), attrs=tm.Attrs(max_nr_regions=50, intervals_goal=goal)), 1, observer=seen).run(2_000_000)
    changed = [i for i, (one, other) in enumerate(pairwise([5_000, *seen.us])) if one != other]
    assert changed[:2] == [2, 5]
    assert all(i % 3 == 2 for i in changed)


def test_schemes_that_are_gone_leave_nothing_behind() -> None:
    engine = Engine(scenario(pull(), pull(), pull()), 1)
    context = engine.scenario.contexts[0]
    k = recommit(engine, context.replace(schemes=context.schemes[:1]))
    assert [len(x) for x in (k.next_apply, k.quotas, k.schemes, k.context.schemes)] == [1, 1, 1, 1]


def test_a_target_that_is_new_begins_with_its_range() -> None:
    vmas = (tm.Vma(0, 4096, 1 << 40),)
    half = (1 << 40) + 2048 * 4096
    one = tm.Context(ops="vaddr", targets=(tm.Target(((1 << 40, half),)),))
    engine = Engine(scenario(contexts=(one,), vmas=vmas), 1)
    before = engine.kdamonds[0].regions.rows()
    k = recommit(engine, one.replace(targets=(*one.targets, tm.Target(((half, half + 4096),)))), 1)
    after = k.regions.rows()
    assert after[0] == before[0]
    assert [tuple(r[:2]) for r in after[1]] == [(half, half + 4096)]


# ---- draws ------------------------------------------------------------------------------------------------------------


def test_the_kernels_generator_is_lfsr113() -> None:
    s, mask = list(lfsr_registers(2024)), 2**32 - 1
    rng, out = kernel_rng(2024), np.empty(200, np.uint32)
    draws.draw_many(rng, out)
    expected = []
    for _ in out:
        s[0] = ((s[0] & ~1) << 18 & mask) ^ (((s[0] << 6 & mask) ^ s[0]) >> 13)
        s[1] = ((s[1] & ~7) << 2 & mask) ^ (((s[1] << 2 & mask) ^ s[1]) >> 27)
        s[2] = ((s[2] & ~15) << 7 & mask) ^ (((s[2] << 13 & mask) ^ s[2]) >> 21)
        s[3] = ((s[3] & ~127) << 13 & mask) ^ (((s[3] << 3 & mask) ^ s[3]) >> 12)
        expected.append(s[0] ^ s[1] ^ s[2] ^ s[3])
    assert out.tolist() == expected


WORDS = st.integers(0, 2**32 - 1)


@given(left=WORDS, span=st.integers(2**32, 2**64 - 1 - 2**32), high=WORDS, low=WORDS)
def test_a_wide_range_takes_the_high_half_of_a_product_of_two_draws(left: int, span: int, high: int, low: int) -> None:
    rng = replay_rng(np.array([high, low], np.uint32))
    got = draws.rand_one(rng, np.uint64(left), np.uint64(left + span))
    assert int(got) == left + (((high << 32 | low) * span) >> 64)
    assert rng.taken == 2


@pytest.mark.parametrize(("span", "taken"), [(2**32 - 1, 1), (2**32, 2)])
def test_one_draw_up_to_32_bits(span: int, taken: int) -> None:
    rng = replay_rng(np.full(2, 2**32 - 1, np.uint32))
    assert int(draws.rand_one(rng, np.uint64(0), np.uint64(span))) == span - 1
    assert rng.taken == taken


def test_a_recorded_stream_that_runs_out_is_refused() -> None:
    rng = replay_rng(np.zeros(1, np.uint32))
    rng.check("x")
    draws.rand_one(rng, np.uint64(0), np.uint64(5))
    rng.check("x")
    draws.rand_one(rng, np.uint64(0), np.uint64(5))
    with pytest.raises(tm.InputError, match="needs 2 draws, the recording has 1"):
        rng.check("x")


@pytest.mark.parametrize(
    ("weight_nr", "weight_age", "frequency", "age_s", "expected"),
    [
        (2**31, 2**31, 51, 0, 0),  # the sum is 0, nothing is divided; 101 * 2**31 is -2**31, times 99 the same again
        (2**31, 2**31, 50, 0, 0),
        (2**32 - 1, 1, 20, 0, 29),  # the sum is 0; 50 - 20 = 30, scaled
        (2**32 - 1, 1, 80, 0, 0),  # -30 is bounded
        (2**32 - 1, 2, 100, 0, 0),  # the sum is 1; 100 - 100 = 0
        (2**32 - 1, 3, 40, 0, 54),  # the sum is 2; (150 - 40) / 2 = 55
        (2**32 - 1, 3, 100, 0, 24),  # (150 - 100) / 2
        (2**32 - 3, 4, 100, 0, 0),  # 200 - 300 is 2**32 - 100 before it is divided by 1: -100
        (3_000_000_000, 0, 40, 0, 0),  # 120e9 wraps to 4035883008; over 3e9 that is 1, not 40
        (30_000_000, 0, 100, 0, 99),
    ],
)
def test_scores_of_weights_of_2_31_and_more(weight_nr: int, weight_age: int, frequency: int, age_s: int, expected: int) -> None:
    """The product wraps at 32 bits unsigned, is divided by a sum that wraps, and is then read as signed."""
    out = np.zeros((1, 3), np.uint64)
    nr, last, age = (np.array([n], np.uint32) for n in (frequency, 0, age_s))
    left, samples, aggr_us = (np.array([n], np.uint64) for n in (0, 100, 1_000_000))
    weights = (np.array([n], np.uint64) for n in (weight_nr, weight_age))
    scoring.scores_of(nr, last, age, left, samples, aggr_us, *weights, out)
    assert out[0].tolist() == [frequency, expected, 99 - expected]
