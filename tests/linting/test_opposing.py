"""Rules about schemes that work against each other, against the reduced loop where it applies."""

from __future__ import annotations

import pytest
from lint_cases import (
    COLD_PATTERN,
    HOT,
    HOT_PATTERN,
    MIB,
    PAGE,
    PAGES,
    codes,
    context,
    eligible,
    found,
    free,
    machine,
    move,
    one,
    only,
    quota,
    scenario,
    used,
    workload,
)

from tieringmodel import loop
from tieringmodel.scenario import (
    AccessPattern,
    Dest,
    Goal,
    Machine,
    Node,
    Scenario,
    Vma,
)


def opposed(bp_0: int, bp_1: int, sz: int = MIB, tuner: str = "temporal") -> Scenario:
    return scenario(
        move(0, quota(eligible(0, bp_0), sz=sz, tuner=tuner)), move(1, quota(eligible(1, bp_1), sz=sz, tuner=tuner))
    )


def test_the_plain_pair_with_a_gap_has_nothing_but_a_dead_band():
    assert codes(opposed(6000, 3500, sz=PAGE * 512)) == {"dead-band"}


def test_targets_beyond_ten_thousand_swap_for_ever_as_the_pair_does():
    finding = one(opposed(6000, 5000), "targets-overlap")
    assert (finding.level, finding.path) == ("error", "contexts[0].schemes[1].quota.goals[0].target_value")
    assert "sum to 11000 bp, 1000 more than there is" in finding.message
    assert "512 pages per window (2 MiB/s) are swapped" in finding.message
    ds = loop.run_pair("temporal", (6000, 5000), (MIB, MIB), HOT, HOT // 2)
    assert ds.moved.values[-100:].sum(axis=1).tolist() == [512] * 100
    assert "target_value = 3800 (a gap of 200 bp)" in finding.remedy
    assert (
        "CONSIST's quotas grow together by 1.0909 per window"
        in one(opposed(6000, 5000, tuner="consist"), "targets-overlap").message
    )
    assert "all matching pages change places" in one(opposed(6000, 5000, sz=0), "targets-overlap").message


def test_consist_quotas_grow_along_each_other():
    ds = loop.run_pair("consist", (6000, 5000), (2**62, 2**62), 10**9, 545_454_545, windows=150)
    esz = ds.esz.values[60:100, 0].astype(float)
    assert (esz[1:] / esz[:-1]).mean() == pytest.approx(2 - 10 / 11, abs=2e-3)


@pytest.mark.parametrize("caps", [(MIB, MIB), (MIB, 2 * MIB)])
def test_targets_without_a_gap_never_rest(caps):
    sc = scenario(move(0, quota(eligible(0, 6001), sz=caps[0])), move(1, quota(eligible(1, 3999), sz=caps[1])))
    finding = one(sc, "targets-no-gap")
    assert finding.level == "warning"
    pages = [c // PAGE for c in caps]
    mean = 2 * pages[0] * pages[1] / sum(pages)
    assert f"{mean:.0f} pages per window" in finding.message
    # 6001 bp of 19999 pages is no whole number of pages: no start hits the point.
    ds = loop.run_pair("temporal", (6001, 3999), caps, 19_999, 8_000)
    assert ds.moved.values[-300:].sum() / 300 == pytest.approx(mean, rel=0.01)
    wide = scenario(move(0, quota(eligible(0, 6000), sz=caps[0])), move(1, quota(eligible(1, 3700), sz=caps[1])))
    assert "targets-no-gap" not in codes(wide)


def test_consist_without_a_gap_and_exact_stops():
    assert "CONSIST keeps both quotas as they are" in one(opposed(6000, 4000, tuner="consist"), "targets-no-gap").message
    exact = [eligible(n, bp, early_exit="both_fresh") for n, bp in ((0, 6000), (1, 4000))]
    sc = scenario(move(0, quota(exact[0])), move(1, quota(exact[1])))
    assert "targets-no-gap" not in codes(sc)


def test_a_step_wider_than_the_gap_can_cross_it_for_ever():
    sc = opposed(6000, 3950)
    finding = one(sc, "gap-below-step")
    assert "moves 128 bp of the 78.1 MiB that match and can cross the gap of 50 bp" in finding.message
    ds = loop.run_pair("temporal", (6000, 3950), (MIB, MIB), HOT, 11_999)
    assert ds.moved.values[-100:].sum(axis=1).min() > 0
    cap = int(finding.remedy.split(" ")[2])
    assert 2 * cap / PAGE * 10_000 / HOT <= 50
    quiet = loop.run_pair("temporal", (6000, 3950), (cap, cap), HOT, 11_999)
    assert quiet.moved.values[-100:].sum() == 0
    assert "gap-below-step" not in codes(opposed(6000, 3950, sz=cap))
    band = one(opposed(6000, 3950, sz=cap), "dead-band")
    assert (band.level, "6000 to 6050 bp: a dead band of 50 bp" in band.message) == ("info", True)


def test_pairs_are_only_made_of_schemes_about_the_same_pages():
    other = move(1, quota(eligible(1, 5000)), access_pattern=COLD_PATTERN)
    assert "targets-overlap" not in codes(scenario(move(0, quota(eligible(0, 6000))), other))
    two_goals = move(1, quota(eligible(1, 5000), Goal("user_input", 1)))
    assert "targets-overlap" not in codes(scenario(move(0, quota(eligible(0, 6000))), two_goals))
    apart = Scenario(
        machine(), workload(), (context(move(0, quota(eligible(0, 6000)))), context(move(1, quota(eligible(1, 5000)))))
    )
    assert one(apart, "targets-overlap").path == "contexts[1].schemes[0].quota.goals[0].target_value"


def test_complements_and_ineligible_goals_count_as_what_they_mean():
    # 10000 minus the share of node 0, at least 10000 - 5000: the share of node 1 is at least 5000 bp.
    turned = move(1, quota(eligible(0, 5000, complement=True)))
    assert "sum to 11000 bp" in one(scenario(move(0, quota(eligible(0, 6000))), turned), "targets-overlap").message
    old = move(1, quota(Goal("node_ineligible_mem_bp", 5000, nid=0)))
    assert "sum to 11000 bp" in one(scenario(move(0, quota(eligible(0, 6000))), old), "targets-overlap").message


def test_three_nodes_share_ten_thousand():
    nodes = Machine((*machine().nodes, Node(2, 512 * MIB, 256 * MIB)))
    schemes = [move(to, quota(eligible(to, bp)), filters=only((to + 1) % 3)) for to, bp in ((0, 5000), (1, 3000), (2, 2500))]
    assert "on 3 nodes sum to 10500 bp, 500 more" in one(scenario(*schemes, machine=nodes), "targets-overlap").message
    schemes[2] = move(2, quota(eligible(2, 1500)), filters=only(0))
    assert "targets-overlap" not in codes(scenario(*schemes, machine=nodes))


def test_used_and_free_targets_of_one_node():
    def pair(u: int, f: int, pattern: AccessPattern = COLD_PATTERN) -> Scenario:
        down = move(1, quota(free(f)), action="migrate_cold", access_pattern=pattern)
        return scenario(move(0, quota(used(u))), down)

    finding = one(pair(9970, 50), "used-free-overlap")
    assert finding.level == "info"
    assert "used is between 9950 and 9970 bp, a band of 20 bp; a window moves at most 1 MiB = 39 bp in" in finding.message
    assert "target_value = 30" in finding.remedy
    assert one(pair(9970, 50, HOT_PATTERN), "used-free-overlap").level == "warning"
    assert "dead band of 10 bp" in one(pair(9970, 20), "dead-band").message
    assert "used-free-overlap" not in codes(pair(9970, 20))
    other_node = scenario(move(0, quota(used(9970))), move(0, quota(free(50, nid=1)), action="migrate_cold"))
    assert "used-free-overlap" not in codes(other_node)


def test_two_migrations_without_goals_undo_each_other():
    there, back = move(0, quota(), filters=only(1)), move(1, quota(), filters=only(0))
    assert one(scenario(there, back), "opposing-schemes").level == "error"
    aged = back.replace(access_pattern=HOT_PATTERN.replace(min_age=3))
    assert one(scenario(there, aged), "opposing-schemes").level == "warning"
    assert not found(scenario(there, back.replace(access_pattern=COLD_PATTERN)), "opposing-schemes")
    assert not found(scenario(there, back.replace(filters=only(1))), "opposing-schemes")


def test_weights_beside_a_goal_that_wants_another_share():
    def both(weight: int) -> Scenario:
        dealt = move(0, quota(), filters=(), target_nid=-1, dests=(Dest(0, weight), Dest(1, 10 - weight)))
        virtual = context(dealt, ops="vaddr")
        return Scenario(
            machine(), workload(vmas=(Vma(0, PAGES, 1 << 40),)), (virtual, context(move(0, quota(eligible(0, 6000)))))
        )

    finding = one(both(5), "interleave-against-goal")
    assert finding.path == "contexts[1].schemes[0].quota.goals[0].target_value"
    assert "deals 5000 bp of the pages to node 0, this goal wants 6000 bp there" in finding.message
    assert "weights of 3 for node 0 to 2 for the rest" in finding.remedy
    assert "interleave-against-goal" not in codes(both(6))
    assert "interleave-against-goal" not in codes(both(7))
