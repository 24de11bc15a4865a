"""Rules about goals and tuners: each with a scenario that triggers it, and one changed a little that does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from lint_cases import (
    HOT,
    MIB,
    NODE_PAGES,
    PAGE,
    PAGES,
    codes,
    context,
    eligible,
    free,
    machine,
    move,
    one,
    quota,
    scenario,
    used,
    workload,
)

from tieringmodel import loop
from tieringmodel.errors import InputError
from tieringmodel.linting.plant import consist_course, first_evaluation, plant
from tieringmodel.linting.scheme_facts import facts_of
from tieringmodel.linting.wording import ordinal
from tieringmodel.scenario import (
    AccessPattern,
    Goal,
    Machine,
    Memcg,
    Node,
    Placement,
    Scenario,
    Target,
    Vma,
    Workload,
)
from tieringmodel.simulation.simulate import simulate
from tieringmodel.theory import closed_forms

# ---- goal-on-source and goal-without-effect -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("goal", "field", "value", "remedy"),
    [
        (eligible(0, 4000), "nid", 5000, "nid = 1, target_value = 6000"),
        (used(4000), "metric", 4577, "metric = 'node_mem_free_bp' and target_value = 6000"),
        (free(4000, nid=1), "metric", 5422, "metric = 'node_mem_used_bp' and target_value = 6000"),
        (Goal("node_sys_bp:v1-intent-share", 4000, nid=0), "nid", 5000, "nid = 1, target_value = 6000"),
        (Goal("node_ineligible_mem_bp", 4000, nid=1), "metric", 5000, "'node_eligible_mem_bp' and target_value = 6000"),
    ],
)
def test_a_goal_on_the_emptied_node_is_positive_feedback(goal, field, value, remedy):
    sc = scenario(move(1, quota(goal)), workload=workload(30_000, groups=(workload().groups[0].replace(lo=20_000, hi=40_000),)))
    finding = one(sc, "goal-on-source")
    assert finding.level == "error"
    assert finding.path.startswith("contexts[0].schemes[0].quota.goals[0].")
    assert f"starts at {value} bp against {goal.target_value}" in finding.message
    assert "nothing moves" in finding.message
    assert remedy in finding.remedy
    assert "complement = true" in finding.remedy
    assert "goal-on-source" not in codes(scenario(move(1, quota(goal.replace(complement=True)))))


def test_the_wrong_sign_freezes_above_the_goal_and_runs_away_below_as_the_loop_does():
    for tuner in ("consist", "temporal"):
        above = scenario(move(1, quota(eligible(0, 3000), tuner=tuner)), workload=workload(8_000))
        message = one(above, "goal-on-source").message
        assert "starts at 4000 bp against 3000" in message
        assert ("1 byte at most" if tuner == "consist" else "the quota is 0") in message
        assert int(loop.run(tuner, 3000, HOT, 8_000, direction="out").moved.sum()) == 0
        below = above.replace(workload=workload(2_000))
        assert "starts at 1000 bp, below 3000, and is pushed further down" in one(below, "goal-on-source").message
        assert int(loop.run(tuner, 3000, HOT, 2_000, direction="out").final_pages) == 0


def test_an_early_exit_in_both_directions_makes_the_wrong_sign_inert():
    goal = eligible(0, 3000, early_exit="both_fresh")
    sc = scenario(move(1, quota(goal)), workload=workload(2_000))
    assert "early exit stops the action" in one(sc, "goal-on-source").message


def test_another_goal_with_the_right_sign_makes_it_a_warning():
    finding = one(scenario(move(1, quota(eligible(0, 3000), eligible(1, 6000)))), "goal-on-source")
    assert (finding.level, finding.path) == ("warning", "contexts[0].schemes[0].quota.goals[0].nid")


def test_actions_on_lru_lists_and_reclaim_have_signs_too():
    lru = scenario(move(0, quota(Goal("inactive_mem_bp", 4000)), action="lru_prio", target_nid=-1))
    assert one(lru, "goal-on-source").path.endswith("goals[0].metric")
    right = scenario(move(0, quota(Goal("active_mem_bp", 4000)), action="lru_prio", target_nid=-1))
    assert not codes(right) & {"goal-on-source", "goal-without-effect"}
    assert one(scenario(move(0, quota(Goal("active_mem_bp", 4000)))), "goal-without-effect").level == "warning"
    reclaim = scenario(move(0, quota(used(4000, nid=1)), action="pageout", target_nid=-1))
    assert one(reclaim, "goal-on-source").level == "error"
    assert "goal-on-source" not in codes(scenario(move(0, quota(free(4000, nid=1)), action="pageout", target_nid=-1)))


def test_reclaim_frees_what_matches_and_needs_no_receiver():
    """Up to every page that matches and no further, wherever there is room: pages leave memory."""

    def built(bp):
        cold = AccessPattern(max_nr_accesses=0)
        return scenario(move(0, quota(free(bp)), action="pageout", target_nid=-1, access_pattern=cold, filters=()))

    facts = facts_of(built(5000)).schemes[0]
    p = plant(facts, facts.scheme.quota.goals[0])
    assert p.reach_pages == p.start_pages + facts.supply()[0]
    assert p.start_pages < p.reach_pages < p.n_pages
    reach = p.bp(p.reach_pages)
    assert "target-above-supply" not in codes(built(reach))
    assert f"can reach {reach} bp at most" in one(built(reach + 1), "target-above-supply").message


def test_a_goal_on_a_node_that_takes_no_part_is_only_switched_by_it():
    three = Machine((*machine().nodes, Node(2, 512 * MIB, 256 * MIB)))
    finding = one(scenario(move(0, quota(used(4000, nid=2))), machine=three), "goal-without-effect")
    assert (finding.level, finding.path) == ("warning", "contexts[0].schemes[0].quota.goals[0].nid")
    assert "starts at 0 bp against 4000" in finding.message
    assert "nid = 0" in finding.remedy
    assert "goal-without-effect" not in codes(scenario(move(0, quota(used(4000))), machine=three))


@pytest.mark.parametrize(("nid", "value", "fate"), [(0, "0 bp for ever", "never stops"), (1, "10000 bp as soon", "never acts")])
def test_a_share_of_monitored_memory_is_constant_when_one_node_is_monitored(nid, value, fate):
    goal = quota(eligible(nid, 4000))
    half = scenario(contexts=(context(move(0, goal, filters=()), targets=(Target(((256 * MIB, 512 * MIB),)),)),))
    finding = one(half, "goal-without-effect")
    assert finding.level == "error"
    assert value in finding.message
    assert f"against 4000, and the scheme {fate}" in finding.message
    assert "goal-without-effect" not in codes(scenario(move(0, quota(eligible(0, 4000)))))


# ---- metrics ------------------------------------------------------------------------------------------------------


def test_metrics_that_nobody_or_another_operations_set_answers():
    stored = scenario(move(0, quota(used(4000)))).to_json().replace("node_mem_used_bp", "node_mem_used")
    unknown = one(Scenario.from_json(stored, stored=True), "metric-unknown")
    assert "did you mean 'node_mem_used_bp'" in unknown.remedy
    virtual = scenario(
        workload=workload(vmas=(Vma(0, PAGES, 1 << 40),)),
        contexts=(context(move(0, quota(Goal("node_sys_bp", 4000)), filters=()), ops="vaddr"),),
    )
    finding = one(virtual, "metric-unsupported")
    assert finding.level == "error"
    assert "TEMPORAL asks for its whole 1 MiB in every window" in finding.message
    core = virtual.replace(contexts=(context(move(0, quota(used(4000)), filters=()), ops="vaddr"),))
    assert not codes(core) & {"metric-unsupported", "metric-unknown"}


@pytest.mark.parametrize(("goal", "nid"), [(used(4000, nid=7), 0), (free(4000, nid=7), 1)])
def test_a_node_that_does_not_exist_is_refused(goal, nid):
    sc = scenario(move(0, quota(goal)))
    finding = one(sc, "goal-node")
    assert finding.path == "contexts[0].schemes[0].quota.goals[0].nid"
    assert finding.message == "the machine has no node 7: the run will be refused"
    with pytest.raises(InputError, match="node 7 is not in the machine"):
        simulate(sc, duration="1 s")
    assert finding.changes[0]["value"] == nid  # used asks for the receiving node, free for the source
    assert "known: 0, 1" in finding.remedy


def test_a_memory_cgroup_that_does_not_exist():
    goal = Goal("node_memcg_used_bp", 4000, memcg_id=3)
    assert one(scenario(move(0, quota(goal))), "memcg-unknown").level == "error"
    with_it = scenario(move(0, quota(goal)), workload=workload(memcgs=(Memcg(3, 0, HOT),)))
    assert "memcg-unknown" not in codes(with_it)


@pytest.mark.parametrize(
    ("metric", "constant"),
    [("node_sys_bp", 5000), ("node_sys_bp:v1-literal", 5000), ("node_sys_bp:frames-share", 5000)],
)
def test_counting_frames_is_a_constant_above_or_below_the_goal(metric, constant):
    for target, fate in ((4000, "inert"), (constant, "inert"), (constant + 1, "winds up by 1.0002")):
        finding = one(scenario(move(1, quota(Goal(metric, target, nid=1), tuner="consist"))), "literal-metric")
        assert finding.level == "error"
        assert f"{constant} bp for ever, against {target}" in finding.message
        assert fate in finding.message
    assert closed_forms.windup_growth(constant, constant + 1) == pytest.approx(1.0002)
    assert "literal-metric" not in codes(scenario(move(1, quota(Goal("node_sys_bp:v1-intent-share", 6000, nid=1)))))
    other = quota(Goal(metric, 6000, nid=1), eligible(1, 9000))
    assert one(scenario(move(1, other)), "literal-metric").level == "warning"


def test_the_literal_constant_is_that_of_the_run():
    sc = scenario(move(1, quota(Goal("node_sys_bp", 6000, nid=1))), machine=machine(unmanaged_bytes=64 * MIB))
    # 256 MiB of frames over 448 MiB of managed memory.
    assert "5714 bp for ever, against 6000 (score 9523)" in one(sc, "literal-metric").message
    ds = simulate(sc, duration="8 s")
    assert ds["goal_current"].values[-1, 0] == 5714
    assert int(ds["migrated_pages"].sum()) > 0


def test_an_effective_quota_of_zero_that_means_no_quota():
    assert one(scenario(move(1, quota(eligible(1, 6000)).replace(esz0="bypass"))), "esz0-bypass").level == "error"
    assert "esz0-bypass" not in codes(scenario(move(1, quota(eligible(1, 6000), tuner="consist").replace(esz0="bypass"))))


# ---- tuners -------------------------------------------------------------------------------------------------------


def test_the_first_move_comes_at_the_twelfth_evaluation_at_best():
    finding = one(scenario(move(1, quota(Goal("user_input", 100), tuner="consist"))), "first-move")
    assert finding.level == "info"
    assert "4 KiB at the 12th evaluation, after 12 s" in finding.message
    ds = loop.run("consist", 4000, 10**6, 0)
    assert np.flatnonzero(ds.moved.values)[0] + 1 == first_evaluation(0, PAGE) == 12
    assert closed_forms.first_page_window(0) + 1 == 12
    assert "first-move" not in codes(scenario(move(1, quota(Goal("user_input", 100)))))
    slow = scenario(move(1, quota(Goal("user_input", 100), tuner="consist").replace(reset_interval_ms=6000)))
    assert one(slow, "first-move").level == "warning"
    assert "after 67 s" in one(slow, "first-move").message


@pytest.mark.parametrize("score", [1, 5000, 7810, 9713, 9990])
def test_the_first_evaluation_near_the_goal_is_that_of_the_loop(score):
    ds = loop.run("consist", 10_000, 10_000, score, windows=12_000)
    assert np.flatnonzero(ds.moved.values)[0] + 1 == first_evaluation(score, PAGE)


def test_a_start_near_the_goal_is_slow_and_the_model_agrees():
    goal = used(5000)
    sc = scenario(move(0, quota(goal, tuner="consist").replace(reset_interval_ms=100), apply_interval_us=100_000))
    finding = one(sc, "first-move")
    # 30000 of 65536 pages are used: 4577 bp, score 9154, growth 1.0846.
    assert "score is 9154 (x 1.0846 per window)" in finding.message
    k = first_evaluation(9154, PAGE)
    assert k is not None
    assert f"at the {ordinal(k)} evaluation, after {k * 0.1:.3g} s" in finding.message
    ds = simulate(sc, duration=f"{k * 0.1 + 0.5} s")
    esz, resets = ds["esz_bytes"].values[:, 0], ds["resets"].values[:, 0]
    assert resets[np.argmax(esz >= PAGE)] == k


def test_a_goal_that_is_met_at_the_start_never_moves_and_saturated_states_start_later():
    assert "achieved, nothing moves" in one(scenario(move(0, quota(used(4000), tuner="consist"))), "first-move").message
    warm = quota(Goal("user_input", 100), tuner="consist").replace(esz_bp0=PAGE * 5_000)
    assert "at the 1st evaluation" in one(scenario(move(1, warm)), "first-move").message
    floor = quota(Goal("user_input", 100), tuner="consist").replace(esz_floor_min_region=True)
    assert "first-move" not in codes(scenario(move(1, floor)))


def test_windup_under_a_cap_is_the_loops():
    sc = scenario(move(0, quota(eligible(0, 6000), sz=16 * PAGE, tuner="consist")), workload=workload(8_000))
    finding = one(sc, "windup-under-cap")
    facts = facts_of(sc).schemes[0]
    p = plant(facts, facts.scheme.quota.goals[0])
    assert p is not None
    assert (p.n_pages, p.start_pages, p.reach_pages) == (HOT, 8_000, HOT)
    course = consist_course(p, 6000, 16 * PAGE)
    ds = loop.run("consist", 6000, HOT, 8_000, cap_bytes=16 * PAGE, windows=2_000)
    crossing = int(np.argmax(ds.score.values >= 10_000))
    above = int((ds.esz.values[crossing:] == 16 * PAGE).sum())
    assert course == (crossing, course.esz_bytes, above, int(ds.final_pages))
    free_run = loop.run("consist", 6000, HOT, 8_000, windows=1)
    assert int(free_run.esz[0]) == 1
    assert finding.level == "warning"
    assert f"at window {crossing} " in finding.message
    assert f"for {above} windows more" in finding.message
    assert f"ends at {int(ds.final_pages) * 10_000 // HOT} bp" in finding.message
    worst = math.log((2**64 - 1) / 10_000 / (16 * PAGE)) / -math.log(0.8)
    assert f"takes {math.ceil(worst)} windows at a score of 12000" in finding.message
    assert "windup-under-cap" not in codes(scenario(move(0, quota(eligible(0, 6000), sz=16 * PAGE))))


def test_the_way_down_from_the_largest_state_takes_the_windows_said():
    ds = loop.run("consist", 5000, 10_000, 6_000, cap_bytes=MIB, esz_bp0=2**64 - 1, capacity_pages=6_000, windows=200)
    back = int(np.argmax(ds.esz.values < MIB))
    sc = scenario(move(0, quota(eligible(0, 6000), sz=MIB, tuner="consist")))
    # 2^64 - 1 is one step of 0.8 before the first quota.
    assert f"takes {back + 1} windows" in one(sc, "windup-under-cap").message


def test_consist_without_a_cap_ends_at_the_mirror_point():
    sc = scenario(move(0, quota(eligible(0, 4000), sz=0, tuner="consist")), workload=workload(2_000))
    finding = one(sc, "consist-overshoot")
    final = int(loop.run("consist", 4000, HOT, 2_000).final_pages) * 10_000 // HOT
    # The closed form takes pages for infinitely small.
    assert final == pytest.approx(closed_forms.consist_end_bp(4000, 1000), abs=40)
    assert f"ends at {final} bp" in finding.message
    stop = quota(eligible(0, 4000, early_exit="both"), sz=0, tuner="consist")
    assert "consist-overshoot" not in codes(scenario(move(0, stop), workload=workload(2_000)))


def test_temporal_without_a_cap_moves_everything_in_one_window():
    sc = scenario(move(0, quota(eligible(0, 6000), sz=0)), workload=workload(8_000))
    finding = one(sc, "no-cap")
    assert finding.level == "warning"
    assert "the first window moves 46.9 MiB, node_eligible_mem_bp goes from 4000 to 10000 bp, target 6000" in finding.message
    assert int(loop.run("temporal", 6000, HOT, 8_000, windows=1).final_pages) == HOT
    cap = int(finding.remedy.rsplit(" ", 1)[1])
    assert cap == 512 * 1024  # the largest power of two below 2 % of 6000 bp of 20000 pages
    capped = scenario(move(0, quota(eligible(0, 6000), sz=cap)), workload=workload(8_000))
    assert "no-cap" not in codes(capped)
    timed = scenario(move(0, quota(eligible(0, 6000), sz=0).replace(ms=10)), workload=workload(8_000))
    assert "no-cap" not in codes(timed)
    small = scenario(
        move(0, quota(used(5000), sz=0)), workload=workload(30_000, groups=(workload().groups[0].replace(hi=32_000),))
    )
    assert one(small, "no-cap").level == "info"
    assert "from 4577 to 4882 bp" in one(small, "no-cap").message


# ---- reach --------------------------------------------------------------------------------------------------------


def test_a_target_beyond_the_node_winds_up_as_the_loop_does():
    # 10000 of 65536 pages stay free: the hot set gets at most 18000 of 20000 pages onto node 0.
    full = machine(kernel_bytes=(NODE_PAGES - 40_000) * PAGE)
    sc = scenario(move(0, quota(eligible(0, 9500), tuner="consist")), machine=full)
    sc = sc.replace(workload=workload(30_000, groups=(workload().groups[0].replace(lo=22_000, hi=42_000),)))
    finding = one(sc, "target-above-capacity")
    assert finding.level == "error"
    assert "can reach about 9000 bp at most, the target is 9500" in finding.message
    assert "winds up by 1.0527 per window" in finding.message
    assert finding.remedy == "set target_value = 9000"
    ds = loop.run("consist", 9500, HOT, 8_000, capacity_pages=18_000, windows=400)
    growth = ds.esz.values[100:200].astype(float)
    assert (growth[1:] / growth[:-1]).mean() == pytest.approx(1.0527, abs=1e-5)
    reachable = sc.contexts[0].schemes[0].replace(quota=quota(eligible(0, 9000), tuner="consist"))
    assert "target-above-capacity" not in codes(sc.replace(contexts=(context(reachable),)))
    # With a scheme that clears the node of idle pages, all but the kernel's memory counts as room.
    clearing = move(1, quota(free(100)), action="migrate_cold")
    assert "target-above-capacity" not in codes(sc.replace(contexts=(context(*sc.contexts[0].schemes, clearing),)))


def test_the_watermark_keeps_used_memory_below_its_target():
    work = Workload(120_000, (), (Placement(0, 60_000, 0), Placement(60_000, 120_000, 1)))
    all_pages = move(0, quota(used(9970)), access_pattern=AccessPattern())
    high = scenario(all_pages, machine=machine(reserve_pages=656), workload=work)
    finding = one(high, "target-above-capacity")
    assert "can reach 9899 bp at most, the target is 9970" in finding.message
    assert "allocation fails at 656 free pages" in finding.message
    assert "TEMPORAL asks for its whole 1 MiB in every window" in finding.message


def test_too_few_pages_to_move_are_a_warning():
    # 15000 hot pages are on node 1; node 0 starts at 5000 of 65536 pages.
    sc = scenario(move(0, quota(used(5000))), workload=workload(5_000))
    finding = one(sc, "target-above-supply")
    assert finding.level == "warning"
    assert "can reach 3051 bp at most" in finding.message
    assert "target-above-supply" not in codes(scenario(move(0, quota(used(3000))), workload=workload(5_000)))
    assert "target-above-supply" not in codes(scenario(move(0, quota(used(5000), used(3000))), workload=workload(5_000)))
    drain = scenario(move(1, quota(free(9000)), action="migrate_cold"), workload=workload(30_000))
    # 10000 idle pages can go: 35536 + 10000 of 65536 are free then.
    assert "can reach 6948 bp at most" in one(drain, "target-above-supply").message


def test_a_clamp_to_what_is_reachable_answers_the_rule():
    full = machine(kernel_bytes=(NODE_PAGES - 40_000) * PAGE)
    work = workload(30_000, groups=(workload().groups[0].replace(lo=22_000, hi=42_000),))
    goal = eligible(0, 9500, clamp="reachable")
    assert "target-above-capacity" not in codes(scenario(move(0, quota(goal)), machine=full, workload=work))


def test_a_quota_that_holds_one_region_is_said_to_hold_it() -> None:
    """Below that CONSIST never moves anything, and another finding says so."""
    for sz, said in ((4095, False), (4096, True)):
        assert ("first-move" in codes(scenario(move(0, quota(eligible(0, 6000), sz=sz, tuner="consist"))))) == said
