"""What a scenario is compared with: small tables worked out by hand, and placements exact to the page."""

from __future__ import annotations

import numpy as np
import pytest
from small import HOT, MIB, PAGE, node_of_pages, pull, push, scenario

import tieringmodel as tm
from tieringmodel.comparison.policies import (
    WEIGHT_POLICIES,
    Policy,
    as_posted,
    goal_name,
    policies,
    weighted,
    weights_of,
    with_gap,
)  # fmt: skip
from tieringmodel.damon.regions import RegionSet, scratch
from tieringmodel.damon.rng import counter_rng
from tieringmodel.kernels import sampling
from tieringmodel.memory.physical import PhysicalMemory
from tieringmodel.scenario.controlled import Controlled
from tieringmodel.simulation.engine import Engine
from tieringmodel.workload.access import AccessTable

HOT_TO_0 = tm.Scheme("migrate_hot", target_nid=0)


def goal(metric: str, target: int, nid: int = 0, tuner: str = "consist") -> tm.Scheme:
    goals = (tm.Goal(metric, target, nid=nid),)
    return HOT_TO_0.replace(quota=tm.Quota(goals=goals, reset_interval_ms=100, goal_tuner=tuner))


def dealt(*weights: int, nids: tuple[int, ...] = (0, 1), rule: str = "vma_offset") -> tm.Scheme:
    dests = tuple(tm.Dest(n, w) for n, w in zip(nids, weights, strict=True))
    return tm.Scheme("migrate_hot", dests=dests, dest_rule=rule)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (Controlled("access", 0, 6000), (3, 2)),
        (Controlled("access", 0, 4000), (2, 3)),
        (Controlled("access", 1, 9970), (997, 3)),
        (Controlled("access", 0, 1), (1, 9999)),
        (Controlled("access", 0, 10_000), (1, 0)),
        # Node 0: 8192 - 256 managed pages, 512 of them kernel and cache; 30 % = 2380, less 512 = 1868 of 4096: 4560 bp.
        (Controlled("used", 0, 3000), (57, 68)),
        (Controlled("used", 1, 2500), (1, 1)),  # 2048 of 8192
        (Controlled("used", 0, 10_000), (1, 0)),  # more than the workload has
        (Controlled("used", 0, 100), (0, 1)),  # less than the kernel takes
    ],
)
def test_weights_that_ask_for_the_same_share(what: Controlled, expected: tuple[int, int]) -> None:
    node = tm.Node(0, 0, 32 * MIB, kernel_bytes=MIB, cache_bytes=MIB, unmanaged_bytes=MIB)
    sc = scenario(machine=tm.Machine((node, tm.Node(1, 32 * MIB, 32 * MIB))))
    assert weights_of(sc, what) == expected


# ---- weights in place of goals ----------------------------------------------------------------------------------------


def test_the_weighted_scheme_deals_what_the_goals_moved() -> None:
    weights = tm.Weights(nr_accesses=100, age=100)
    only = tm.Filter("addr", allow=True, end_bytes=MIB)
    schemes = tuple(s.replace(filters=(only,), quota=s.quota.replace(weights=weights)) for s in (pull(), push()))
    sc = scenario(*schemes, name="x")
    made = weighted(sc, "iid", "lifo")
    (context,) = made.contexts
    assert context.replace(schemes=()) == sc.contexts[0].replace(schemes=())
    assert context.schemes == (
        tm.Scheme(
            "migrate_hot", access_pattern=HOT, quota=tm.Quota(sz_bytes=MIB, reset_interval_ms=100),
            dests=(tm.Dest(0, 3), tm.Dest(1, 2)), dest_rule="iid",
        ),
    )  # fmt: skip
    assert made.workload == sc.workload
    assert made.machine == sc.machine.replace(allocator="lifo")
    assert made.name == "x: iid"


def test_destinations_are_listed_by_node_id() -> None:
    assert weighted(scenario(goal("node_eligible_mem_bp", 3000, 1)), "iid").contexts[0].schemes[0].dests == (
        tm.Dest(0, 7), tm.Dest(1, 3),
    )  # fmt: skip


def test_identity_needs_virtual_addresses() -> None:
    sc = scenario(pull(), attrs=tm.Attrs(max_nr_regions=50))
    sc = sc.replace(contexts=(sc.contexts[0].replace(addr_unit=2, min_region_sz=2048, targets=(tm.Target(((0, MIB),)),)),))
    (context,) = weighted(sc, "vma_offset").contexts
    assert (context.ops, context.targets, context.addr_unit, context.min_region_sz) == ("vaddr", (tm.Target(),), 1, PAGE)
    assert weighted(sc, "vma_offset").workload.vmas == (tm.Vma(0, 4096, 1 << 40),)
    (frames,) = weighted(sc, "pfn_mod").contexts
    assert (frames.ops, frames.addr_unit, frames.targets) == ("paddr", 2, (tm.Target(((0, MIB),)),))
    own = (tm.Vma(0, 100, 1 << 30, 7),)
    mapped = sc.replace(workload=sc.workload.replace(vmas=own))
    assert weighted(mapped, "vma_offset").workload.vmas == own


def test_virtual_contexts_stay_as_they_are() -> None:
    target = tm.Target(((1 << 30, (1 << 30) + MIB),))
    context = tm.Context(ops="fvaddr", targets=(target,), schemes=(dealt(1, 1),))
    sc = scenario(contexts=(context,), vmas=(tm.Vma(0, 4096, 1 << 30),))
    for rule, _ in WEIGHT_POLICIES.values():
        (made,) = weighted(sc, rule).contexts
        assert (made.ops, made.targets) == ("fvaddr", (target,))


def _tiers(*more: tm.Context) -> tm.Scenario:
    """The usual pair: one context per node demotes, the other promotes."""
    cold = tm.Scheme(
        "migrate_cold", access_pattern=tm.AccessPattern(max_nr_accesses=0), target_nid=1,
        quota=tm.Quota(goals=(tm.Goal("node_mem_free_bp", 50),), reset_interval_ms=1000),
    )  # fmt: skip
    hot = HOT_TO_0.replace(
        access_pattern=HOT, quota=tm.Quota(goals=(tm.Goal("node_mem_used_bp", 9970),), reset_interval_ms=1000)
    )
    return scenario(
        contexts=(
            *more,
            tm.Context(targets=(tm.Target(((0, 32 * MIB),)),), schemes=(cold,)),
            tm.Context(targets=(tm.Target(((32 * MIB, 64 * MIB),)),), schemes=(hot,), attrs=tm.Attrs(sample_us=10_000)),
        )
    )


def test_of_several_contexts_the_promoting_one_deals_what_all_of_them_watch() -> None:
    watching_only = tm.Context(schemes=(tm.Scheme(),))
    made = weighted(_tiers(watching_only), "first")
    assert [len(c.schemes) for c in made.contexts] == [0, 0, 1]
    dealing = made.contexts[2]
    assert dealing.attrs.sample_us == 10_000
    assert dealing.schemes[0].access_pattern == HOT
    assert dealing.targets == (tm.Target(((0, 64 * MIB),)),)
    assert [c.targets for c in made.contexts[:2]] == [c.targets for c in _tiers(watching_only).contexts[:2]]


def test_ranges_in_other_units_are_joined_in_those_of_the_dealing_context() -> None:
    coarse = tm.Context(
        addr_unit=4096, min_region_sz=1, targets=(tm.Target(((0, 100), (300, 301))),),
        schemes=(tm.Scheme("migrate_cold", target_nid=1),),
    )  # fmt: skip
    fine = tm.Context(targets=(tm.Target(((50 * PAGE, 200 * PAGE),)),), schemes=(pull(),))
    made = weighted(scenario(contexts=(coarse, fine)), "iid")
    assert made.contexts[1].targets == (tm.Target(((0, 200 * PAGE), (300 * PAGE, 301 * PAGE))),)
    whole = coarse.replace(targets=(tm.Target(),))
    assert weighted(scenario(contexts=(whole, fine)), "iid").contexts[1].targets == (tm.Target(),)


def test_without_a_migrating_scheme_there_are_no_weights_but_baselines() -> None:
    sc = scenario(goal("node_mem_free_bp", 5000).replace(action="pageout", target_nid=-1))
    with pytest.raises(tm.InputError, match="no scheme migrates"):
        weighted(sc, "iid")
    assert [*policies(sc)] == ["goal: node_mem_free_bp consist", "all-fast", "all-slow", "static interleave", "oracle"]


# ---- the nearest change that rests ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "gap_bp", "expected"),
    [
        (6000, 4000, 200, (5900, 3900)),
        (6000, 4001, 200, (5900, 3900)),  # 201 too many: the odd one from the second
        (7000, 5000, 100, (5950, 3950)),
        (4000, 3000, 200, (4000, 3000)),  # there is a gap already
        (10_000, 100, 200, (9799, 1)),
        (100, 10_000, 200, (1, 9799)),
        (10_000, 10_000, 200, (4900, 4900)),
    ],
)
def test_targets_are_lowered_until_there_is_a_gap(first: int, second: int, gap_bp: int, expected: tuple[int, int]) -> None:
    made = with_gap(scenario(pull(first), push(second)), gap_bp)
    assert made is not None
    goals = [s.quota.goals[0] for s in made.contexts[0].schemes]
    assert tuple(g.target_value for g in goals) == expected
    assert [g.nid for g in goals] == [0, 1]
    assert sum(expected) <= 10_000 - gap_bp


def test_quotas_shrink_below_the_gap_and_only_shrink() -> None:
    # 2048 touched pages: 200 bp are 40.96 pages; the power of two below is 32 pages.
    made = with_gap(scenario(pull(), push(sz_bytes=3 * PAGE), tm.Scheme()))
    assert made is not None
    sizes = [s.quota.sz_bytes for s in made.contexts[0].schemes]
    assert sizes == [32 * PAGE, 3 * PAGE, 0]
    assert [s.quota.goal_tuner for s in made.contexts[0].schemes] == ["temporal", "temporal", "consist"]
    unlimited = with_gap(scenario(pull(sz_bytes=0, goal_tuner="consist"), push()))
    assert unlimited is not None
    assert unlimited.contexts[0].schemes[0].quota.sz_bytes == 32 * PAGE
    assert made.name == "small: gap"


@pytest.mark.parametrize(
    "schemes",
    [
        [pull()],
        [pull(), pull(4000)],  # both on node 0
        [pull(), goal("node_mem_used_bp", 4000, 1)],
        [pull(), push(), push()],
    ],
)
def test_other_goals_have_no_gap(schemes: list[tm.Scheme]) -> None:
    assert with_gap(scenario(*schemes)) is None


def test_a_gap_settles_where_complementary_targets_do_not() -> None:
    sc = scenario(pull(), push(), machine=tm.Machine.dram_cxl("32 MiB", "32 MiB"))
    made = with_gap(sc)
    assert made is not None
    end = {}
    for name, s in (("complementary", sc), ("gap", made)):
        ds = tm.simulate(s, duration="20 s", seed=1)
        end[name] = int(ds["migrated_pages"].values[-50:].sum())
        share = ds["access_share_bp"].sel(node=0).values[-50:]
        swing = float(share.max() - share.min())
        assert swing == 0 if name == "gap" else swing > 500
    assert 5900 <= share[-1] <= 6100
    assert end["gap"] == 0
    assert end["complementary"] > 500


# ---- as the patches were posted ---------------------------------------------------------------------------------------


def test_the_goals_as_posted() -> None:
    made = as_posted(scenario(pull(), tm.Scheme(), push()))
    assert made is not None
    first, stat, second = made.contexts[0].schemes

    def posted(s: tm.Scheme, target: int) -> tm.Quota:
        goal = tm.Goal("node_sys_bp:v1-literal", target, nid=s.target_nid, early_exit="v1", clamp="v1")
        return s.quota.replace(goals=(goal,), goal_tuner="consist", esz0="bypass")

    assert first == pull().replace(quota=posted(pull(), 6000))
    assert stat == tm.Scheme(quota=tm.Quota(goal_tuner="consist", esz0="bypass"))
    assert second == push().replace(quota=posted(push(), 4000))
    assert made.contexts[0].moving_sum == "stored"
    assert as_posted(scenario(goal("node_mem_used_bp", 4000))) is None


def test_the_metric_as_posted_does_not_see_migration() -> None:
    made = as_posted(scenario(pull(), push()))
    assert made is not None
    ds = tm.simulate(made, duration="5 s", seed=1)
    assert (ds["goal_current"].values[-1] == [5000, 5000]).all()  # two nodes of one size, whatever lies on them
    assert (ds["goal_current"].values[1:] == ds["goal_current"].values[-1]).all()


# ---- everything that compare runs -------------------------------------------------------------------------------------


def test_the_whole_list_and_its_order() -> None:
    both = policies(scenario(pull(), push()))
    assert [*both] == [
        "goal: node_eligible_mem_bp temporal", "goal: gap and small quota", "goal: node_sys_bp as posted",
        "weights: vma_offset", "weights: iid redraw", "weights: pfn_mod, fresh frames", "weights: pfn_mod, lifo frames",
        "weights: first share", "weights: last share", "all-fast", "all-slow", "static interleave", "oracle",
    ]  # fmt: skip
    assert both["goal: node_eligible_mem_bp temporal"] == Policy(scenario(pull(), push()))
    assert [p.oracle for p in both.values()] == [False] * 12 + [True]
    assert goal_name(scenario(dealt(1, 1))) in policies(scenario(dealt(1, 1)))


def _end(policy: Policy) -> list[int]:
    return node_of_pages(Engine(policy.scenario, 1))


@pytest.mark.parametrize(("target", "weights"), [(6000, (3, 2)), (2500, (1, 3)), (9999, (9999, 1))])
def test_baselines_are_exact_to_the_page(target: int, weights: tuple[int, int]) -> None:
    made = policies(scenario(pull(target)))
    assert _end(made["all-fast"]) == [0] * 4096
    assert _end(made["all-slow"]) == [1] * 4096
    assert _end(made["static interleave"]) == [0 if p % sum(weights) < weights[0] else 1 for p in range(4096)]
    assert _end(made["oracle"]) == [1] * 4096  # the oracle begins where the scenario does
    for name in ("all-fast", "all-slow", "static interleave"):
        ds = tm.simulate(made[name].scenario, duration="2 s", seed=1)
        assert int(ds["migrated_pages"].sum()) == 0


def test_baselines_overflow_to_the_other_node_when_one_is_full() -> None:
    nodes = (tm.Node(5, 0, 8 * MIB, kernel_bytes=MIB), tm.Node(3, 8 * MIB, 32 * MIB))
    sc = scenario(
        goal("node_eligible_mem_bp", 5000, 5).replace(target_nid=5), machine=tm.Machine(nodes),
        placement=(tm.Placement(0, 4096, 3),),
    )  # fmt: skip
    made = policies(sc)
    room = 7 * 256
    assert _end(made["all-fast"]) == [5] * room + [3] * (4096 - room)
    assert _end(made["all-slow"]) == [3] * 4096
    assert _end(made["static interleave"]) == [5 if p % 2 == 0 and p < 2 * room else 3 for p in range(4096)]


def test_interleaving_among_three_nodes_leaves_the_third_alone() -> None:
    machine = tm.Machine(tuple(tm.Node(i, i * 32 * MIB, 32 * MIB) for i in range(3)))
    made = policies(scenario(pull(7500), machine=machine))
    assert _end(made["static interleave"]) == [0 if p % 4 < 3 else 1 for p in range(4096)]
    assert made["static interleave"].scenario.workload.placement[0].weights == (3, 1, 0)


def test_every_policy_sees_the_same_accesses() -> None:
    """Also where the workload's tick follows from contexts that a baseline does not have."""
    groups = (
        tm.Group(0, 2000, rate_hz=9.0, end_tick=40),
        tm.Group(1000, 3000, rate_hz=5.0, start_tick=20),
        tm.Group(3000, 4096, kind="period", period=7, start_tick=30),
    )
    sc = scenario(pull(), push(), groups=groups, attrs=tm.Attrs(sample_us=50_000, aggr_us=1_000_000))
    answers, phases = [], []
    for policy in policies(sc).values():
        engine = Engine(policy.scenario, 11)
        assert engine.tick_us == 50_000
        engine.access.general()
        access = engine.access
        touched = []
        for tick in range(1, 80, 3):
            for page in range(0, 4096, 61):
                cls = int(access.page_class[page])
                touched.append(_touched(access, cls, page, tick))
        answers.append(touched)
        phases.append([access.touch_rate_hz(t)[access.page_class].sum() for t in (0, 19, 20, 30, 40, 100)])
    assert 0 < sum(answers[0]) < len(answers[0])
    assert all(a == answers[0] for a in answers[1:])
    assert all(p == phases[0] for p in phases[1:])


def _touched(access: AccessTable, cls: int, page: int, tick: int) -> bool:
    """One page at one tick, through a memory of its own so that placement plays no part."""
    memory = PhysicalMemory(tm.Machine(nodes=(tm.Node(0, 0, PAGE),)), tm.Workload(1), np.zeros(1, np.uint16))
    memory.arrays.rec[0] = np.uint64(cls) << np.uint64(32) | np.uint64(page + 1)
    regions = RegionSet([[[0, PAGE, 0, 0, 0]]])
    sampling.sample_rules(
        regions.now, regions.ptr, np.array([tick - 1]), np.array([tick]), memory.space, memory.arrays, access.arrays,
        counter_rng(0), scratch(1),
    )  # fmt: skip
    return bool(regions.now.nr[0])


def test_what_a_machine_does_beside_damon_is_switched_off_in_a_policy_each() -> None:
    plain = tm.load("rfc-40-60")
    machine = plain.machine.replace(
        allocator="buddy", buddy=tm.Buddy(), swap=tm.Swap("zram"), numa_balancing=tm.NumaBalancing(demotion_enabled=True)
    )
    run = tm.policies(plain.replace(machine=machine))
    changed = {name: run[name].scenario.machine for name in run if name.startswith("without ")}
    assert changed == {
        "without numa_balancing": machine.replace(numa_balancing=None),
        "without swap": machine.replace(swap=None),
        "without buddy": machine.replace(allocator="lowest", buddy=None),
    }
    assert run["numa_balancing alone"].scenario.contexts == ()
    assert not [name for name in tm.policies(plain) if name.startswith("without ")]
