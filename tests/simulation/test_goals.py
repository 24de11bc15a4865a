"""Goal metrics: the kernel's nine by name, each against its rule on plain numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import MIB, PAGE, node_of_pages, pull, scenario, traced

import tieringmodel as tm
from tieringmodel.damon import goals
from tieringmodel.damon.kdamond import Kdamond
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.silent import Silent
from tieringmodel.simulation.simulate import scheme_actions

NINE = (
    "user_input", "some_mem_psi_us", "node_mem_used_bp", "node_mem_free_bp", "node_memcg_used_bp", "node_memcg_free_bp",
    "active_mem_bp", "inactive_mem_bp", "node_eligible_mem_bp",
)  # fmt: skip


def kdamond_with(*goals: tm.Goal, ops: str = "paddr", sc: dict[str, Any] | None = None, **quota: Any) -> Kdamond:
    given = {"sz_bytes": MIB, "reset_interval_ms": 100} | quota
    scheme = tm.Scheme("stat", quota=tm.Quota(goals=goals, **given))
    vmas = (tm.Vma(0, 4096, 1 << 40),) if ops != "paddr" else ()
    built = scenario(contexts=(tm.Context(ops=ops, schemes=(scheme,)),), vmas=vmas, **(sc or {}))
    return Engine(built, 1).kdamonds[0]


def value(goal: tm.Goal, **options: Any) -> int:
    return kdamond_with(goal, **options).measure_goals(0)[0][0]


@pytest.mark.parametrize("metric", NINE)
def test_all_nine_metrics_are_accepted_by_name_and_run(metric: str) -> None:
    ds = tm.simulate(scenario(pull(5000, metric=metric)), duration="0.5 s", seed=1)
    assert ds["goal_metric"].values.tolist() == [metric]
    assert int(ds["resets"][-1, 0]) > 0


def test_an_unknown_metric_is_refused_and_the_known_ones_are_listed() -> None:
    with pytest.raises(tm.InputError) as caught:
        tm.Goal("node_mem_usedbp", 5)
    assert caught.value.where == "metric"
    assert "did you mean 'node_mem_used_bp'?" in caught.value.remedy
    assert all(name in caught.value.remedy for name in NINE)


@pytest.mark.parametrize("metric", ["node_sys_bp", "node_sys_bp:v1-intent-share", "node_sys_bp:v1-intent-resident"])
def test_what_an_operations_set_does_not_measure_is_0(metric: str) -> None:
    goal = tm.Goal(metric, 5000, nid=1)
    assert value(goal) > 0
    assert value(goal, ops="vaddr") == value(goal, ops="fvaddr") == 0


def test_the_eligible_share_of_virtual_memory_is_refused_as_the_kernel_does() -> None:
    with pytest.raises(tm.KernelRefusal, match="EINVAL"):
        value(tm.Goal("node_eligible_mem_bp", 5000), ops="vaddr")


def test_system_wide_metrics_do_not_depend_on_the_operations_set() -> None:
    for metric in NINE[:-1]:
        goal = tm.Goal(metric, 5000, current_value=7, nid=1)
        assert value(goal) == value(goal, ops="vaddr")


# ---- used and free ----------------------------------------------------------------------------------------------------


@given(total=st.integers(0, 3000), free=st.integers(0, 3000))
def test_used_and_free_of_a_node(total: int, free: int) -> None:
    k = kdamond_with(tm.Goal("node_mem_used_bp", 1, nid=1), tm.Goal("node_mem_free_bp", 1, nid=1))
    k.memory.arrays.node["total"][1], k.memory.arrays.node["free"][1] = total, free
    wrong = total == 0 or total < free
    expected = (10_000, 0) if wrong else ((total - free) * 10_000 // total, free * 10_000 // total)
    assert tuple(v for v, _ in k.measure_goals(0)) == expected


def test_a_node_that_does_not_exist_is_full_of_free_memory_and_holds_nothing() -> None:
    for nid in (-1, 2, 7):
        assert value(tm.Goal("node_mem_used_bp", 1, nid=nid)) == 0
        assert value(tm.Goal("node_mem_free_bp", 1, nid=nid)) == 10_000
        assert value(tm.Goal("node_eligible_mem_bp", 1, nid=nid)) == 0
        assert value(tm.Goal("node_memcg_used_bp", 1, nid=nid, memcg_id=1), sc={"memcgs": (tm.Memcg(1, 0, 9),)}) == 0
        free = tm.Goal("node_memcg_free_bp", 1, nid=nid, memcg_id=1)
        assert value(free, sc={"memcgs": (tm.Memcg(1, 0, 9),)}) == 10_000


# ---- active and inactive ----------------------------------------------------------------------------------------------


def test_active_and_inactive_are_shares_of_all_lru_pages() -> None:
    both = tm.Goal("active_mem_bp", 1), tm.Goal("inactive_mem_bp", 1)
    lru_prio = tm.Scheme("lru_prio", access_pattern=tm.AccessPattern(min_nr_accesses=5))
    stat = tm.Scheme("stat", quota=tm.Quota(sz_bytes=1, reset_interval_ms=100, goals=both))
    engine = Engine(scenario(lru_prio, stat), 1)
    assert [v for v, _ in engine.kdamonds[0].measure_goals(1)] == [0, 10_000]
    engine.run(1_000_000)
    active = int(engine.memory.arrays.node["active"].sum())
    assert 1000 < active < 3000  # about the 2048 hot pages
    assert [v for v, _ in engine.kdamonds[0].measure_goals(1)] == [active * 10_000 // 4096, (4096 - active) * 10_000 // 4096]
    # Migrated pages stay on their list.
    assert active == sum(int(r) >> 48 & 1 for r in engine.memory.arrays.rec[engine.memory.frame_of])


def test_without_lru_pages_neither_is_active_nor_inactive() -> None:
    k = kdamond_with(tm.Goal("active_mem_bp", 1), tm.Goal("inactive_mem_bp", 1))
    k.memory.arrays.node["lru"][:] = 0
    assert [v for v, _ in k.measure_goals(0)] == [0, 0]
    k.memory.arrays.node["lru"][:], k.memory.arrays.node["active"][:] = (2, 1), (1, 0)
    assert [v for v, _ in k.measure_goals(0)] == [3333, 6666]


# ---- memory cgroups ---------------------------------------------------------------------------------------------------

MEMCGS = (
    tm.Memcg(7, 0, 1000), tm.Memcg(8, 1500, 2500, parent_id=9), tm.Memcg(9, 2500, 2600, parent_id=4),
    tm.Memcg(7, 3000, 3100),
)  # fmt: skip
OWN = {7: {*range(1000), *range(3000, 3100)}, 8: {*range(1500, 2500)}, 9: {*range(2500, 2600)}}
WITH_DESCENDANTS = {7: OWN[7], 8: OWN[8], 9: OWN[9] | OWN[8], 4: OWN[9] | OWN[8]}


def test_cgroup_pages_on_a_node_are_counted_with_descendants_while_pages_move() -> None:
    asked = [tm.Goal(f"node_memcg_{what}_bp", 1, nid=nid, memcg_id=m)
             for m in (*WITH_DESCENDANTS, 5) for nid in (0, 1) for what in ("used", "free")]  # fmt: skip
    stat = tm.Scheme("stat", quota=tm.Quota(sz_bytes=1, reset_interval_ms=100, goals=tuple(asked)))
    engine = Engine(scenario(pull(), stat, memcgs=MEMCGS), 1, actions=scheme_actions)
    engine.run(300_000)
    for _ in range(3):
        engine.run(200_000)
        node = node_of_pages(engine)
        expected = []
        for m in (*WITH_DESCENDANTS, 5):
            for nid in (0, 1):
                pages = sum(node[p] == nid for p in WITH_DESCENDANTS.get(m, ()))
                used, free = pages * 10_000 // 8192, (8192 - pages) * 10_000 // 8192
                expected += [used, free] if m != 5 else [0, 10_000]  # 5: no such cgroup
        assert [v for v, _ in engine.kdamonds[0].measure_goals(1)] == expected
    assert 0 < node.count(0) < 4096


def test_a_cgroup_beyond_the_nodes_size_counts_as_full() -> None:
    used, free = (tm.Goal(f"node_memcg_{what}_bp", 1, nid=1, memcg_id=7) for what in ("used", "free"))
    k = kdamond_with(used, free, sc={"memcgs": MEMCGS})
    k.memory.arrays.node["total"][1] = 1000  # 1100 pages are there
    assert [v for v, _ in k.measure_goals(0)] == [10_000, 0]
    k.memory.arrays.node["total"][1] = 1100
    assert [v for v, _ in k.measure_goals(0)] == [10_000, 0]
    k.memory.arrays.node["total"][1] = 3000
    assert [v for v, _ in k.measure_goals(0)] == [3666, 6333]
    k.memory.arrays.node["total"][1] = 0
    assert [v for v, _ in k.measure_goals(0)] == [10_000, 0]


@pytest.mark.parametrize(
    ("memcgs", "where", "text"),
    [
        ([tm.Memcg(0, 0, 5)], "workload.memcgs[0].memcg_id", "0 stands for no memory cgroup"),
        ([tm.Memcg(1, 0, 5), tm.Memcg(2, 4, 6)], "workload.memcgs[1]", "page 4"),
        ([tm.Memcg(2, 90, 100), tm.Memcg(1, 0, 95)], "workload.memcgs[0]", "page 90"),
        ([tm.Memcg(1, 0, 5), tm.Memcg(1, 7, 8, parent_id=3)], "workload.memcgs[1].parent_id", "3 differs"),
        ([tm.Memcg(1, 0, 5, parent_id=1)], "workload.memcgs", "1 -> 1"),
        ([tm.Memcg(i, i, i + 1, parent_id=i % 3 + 1) for i in (1, 2, 3)], "workload.memcgs", "1 -> 2 -> 3 -> 1"),
    ],
)
def test_cgroups_that_are_no_tree_of_disjoint_pages_are_refused(memcgs: list[tm.Memcg], where: str, text: str) -> None:
    with pytest.raises(tm.InputError) as caught:
        Engine(scenario(memcgs=tuple(memcgs)))
    assert caught.value.where == where
    assert text in caught.value.what


def test_cgroups_beyond_the_workload_are_refused() -> None:
    with pytest.raises(tm.InputError, match=r"memcgs\[0\]"):
        scenario(memcgs=(tm.Memcg(1, 0, 4097),))


def test_cgroups_split_classes_but_not_accesses_and_survive_toml() -> None:
    sc = scenario(pull(), memcgs=MEMCGS)
    assert tm.Scenario.from_toml(sc.to_toml()) == sc
    ds, plain = (tm.simulate(s, duration="2 s", seed=1) for s in (sc, scenario(pull())))
    np.testing.assert_array_equal(ds["region_nr_accesses"], plain["region_nr_accesses"])
    np.testing.assert_array_equal(ds["access_share_bp"], plain["access_share_bp"])
    assert ds["page_class"].values.tolist() == [
        "untouched", "hot in memcg 7", "hot", "hot in memcg 8", "untouched in memcg 8", "untouched in memcg 9",
        "untouched in memcg 7",
    ]  # fmt: skip
    sizes = dict(zip(ds["page_class"].values.tolist(), ds["class_pages"][0].sum("node").values.tolist(), strict=True))
    assert sizes == {
        "untouched": 4096 - 3100 + 400, "hot in memcg 7": 1000, "hot": 500, "hot in memcg 8": 548,
        "untouched in memcg 8": 452, "untouched in memcg 9": 100, "untouched in memcg 7": 100,
    }  # fmt: skip


def test_a_cgroup_filter_takes_that_cgroup_alone() -> None:
    only = pull(10_000).replace(filters=(tm.Filter("memcg", matching=True, allow=True, memcg_id=9),))
    sc = scenario(only, memcgs=MEMCGS, groups=(tm.Group(0, 4096, rate_hz=400.0),))
    engine, _ = traced(sc)
    engine.run(5_000_000)
    node = node_of_pages(engine)
    assert {p for p in range(4096) if node[p] == 0} == OWN[9]  # its descendant, 8, is another cgroup to a filter


# ---- stall time -------------------------------------------------------------------------------------------------------


class Goals(Silent):
    def __init__(self) -> None:
        self.values: list[tuple[tuple[int, int], ...]] = []
        self.esz: list[int] = []

    def finished(self, kdamond: Kdamond, aggregation: bool) -> None:
        self.values.append(tuple(kdamond.quotas[0].goals))
        self.esz.append(int(kdamond.schemes[0]["esz"]))


def psi(*course: tuple[int, int], target: int = 500, start: int = 0) -> tm.Goal:
    return tm.Goal("some_mem_psi_us", target, current_value=start, current_values=course)


def stalls(tuner: str, *given: tm.Goal, seconds: float = 0.6) -> Goals:
    seen = Goals()
    scheme = tm.Scheme("stat", quota=tm.Quota(sz_bytes=MIB, reset_interval_ms=100, goals=given, goal_tuner=tuner))
    Engine(scenario(scheme), 1, observer=seen).run(round(seconds * 1e6))
    return seen


COURSE = ((0, 1000), (150_000, 1600), (250_000, 1600), (350_000, 2400), (420_000, 2500))


def test_stall_time_is_the_growth_between_evaluations() -> None:
    seen = stalls("consist", psi(*COURSE), seconds=0.7)
    # At 100, 200, … ms; the first evaluation reads the target: nothing is known yet.
    assert [v[0] for v in seen.values] == [(500, 500), (600, 500), (0, 500), (800, 500), (100, 500), (0, 500), (0, 500)]
    assert seen.esz[0] == 1


def test_the_first_evaluation_keeps_the_tuner_where_it_is() -> None:
    assert stalls("temporal", psi(*COURSE), seconds=0.1).values == [((500, 500),)]
    k = kdamond_with(psi(*COURSE), goal_tuner="temporal")
    k.schemes["esz"] = MIB
    assert k.measure_goals(0) == [(0, 500)]
    assert k.measure_goals(0) == [(0, 500)]  # no time has passed: no growth
    k = kdamond_with(psi(*COURSE), goal_tuner="consist")
    k.schemes["esz"] = MIB
    assert k.measure_goals(0) == [(500, 500)]
    temporal = stalls("temporal", psi(*COURSE))
    assert temporal.esz == [0, 0, MIB, 0, MIB, MIB]


def test_every_goal_remembers_its_own_total() -> None:
    seen = stalls("consist", psi(*COURSE), psi((0, 0), (180_000, 40), target=9), seconds=0.4)
    assert seen.values == [
        ((500, 500), (9, 9)), ((600, 500), (40, 9)), ((0, 500), (0, 9)), ((800, 500), (0, 9)),
    ]  # fmt: skip


def test_a_window_of_no_length_evaluates_twice_at_first() -> None:
    seen = Goals()
    scheme = tm.Scheme("stat", quota=tm.Quota(goals=(psi(*COURSE),), reset_interval_ms=0))
    Engine(scenario(scheme), 1, observer=seen).run(200_000)
    assert seen.values == [((0, 500),), ((600, 500),)]


def test_before_its_course_the_total_is_the_current_value() -> None:
    seen = stalls("consist", psi((250_000, 900), start=300), seconds=0.4)
    assert [v[0][0] for v in seen.values] == [500, 0, 600, 0]


@pytest.mark.parametrize(
    ("goal", "where"),
    [
        (psi((0, 5), (10, 4)), "current_values[1]"),
        (psi((0, 5), (0, 6)), "current_values[1]"),
        (psi((10, 5), (3, 6)), "current_values[1]"),
        (psi((10, 5), start=6), "current_values[0]"),
        (tm.Goal("user_input", 5, current_values=((5, 1), (5, 2))), "current_values[1]"),
    ],
)
def test_courses_that_run_backwards_are_refused(goal: tm.Goal, where: str) -> None:
    with pytest.raises(tm.InputError) as caught:
        value(goal)
    assert caught.value.where == f"contexts[0].schemes[0].quota.goals[0].{where}"


def test_an_early_exit_may_look_at_the_growth_without_ending_the_window() -> None:
    """A fresh look before every region must not be taken for an evaluation."""
    goal = psi(*COURSE).replace(early_exit="both_fresh")
    scheme = pull().replace(quota=tm.Quota(sz_bytes=MIB, reset_interval_ms=100, goals=(goal,), goal_tuner="temporal"))
    seen = Goals()
    Engine(scenario(scheme), 1, observer=seen).run(400_000)
    assert [v[0] for v in seen.values] == [(500, 500), (600, 500), (0, 500), (800, 500)]


# ---- user input and several goals -------------------------------------------------------------------------------------


def test_user_input_is_what_was_last_fed_in() -> None:
    goal = tm.Goal("user_input", 100, current_value=3, current_values=((150_000, 50), (300_000, 70)))
    assert [goals.user_input(goal, us) for us in (0, 149_999, 150_000, 299_999, 300_000, 10**9)] == [3, 3, 50, 50, 70, 70]
    assert [v[0][0] for v in stalls("consist", goal, seconds=0.4).values] == [3, 50, 70, 70]


def test_the_best_achieved_goal_decides() -> None:
    low, high = tm.Goal("user_input", 6000, current_value=3000), tm.Goal("user_input", 100, current_value=120)
    k = kdamond_with(low, high)
    k.adjust_quota(0)
    assert k.quotas[0].score == 12_000
    assert k.quotas[0].goals == [(3000, 6000), (120, 100)]


def test_partial_pages_count_with_the_bytes_that_a_region_covers() -> None:
    from tieringmodel.damon.regions import RegionSet

    k = kdamond_with(tm.Goal("node_eligible_mem_bp", 1, nid=1))
    start = 32 * MIB
    k.regions = RegionSet([[[start - 100, start + 300, 9, 9, 0], [start + PAGE, start + 2 * PAGE, 9, 9, 0]]])
    assert k.measure_goals(0) == [(10_000, 1)]
    k.memory.arrays.node["total"][:] = 1
    view = k.view(0)
    from tieringmodel.kernels import scoring

    assert view.bytes_by_node(scoring.eligible_bytes, view.scheme, view.window, None, view.space, k.memory.arrays).tolist() == [
        0, 300 + PAGE,
    ]  # fmt: skip
