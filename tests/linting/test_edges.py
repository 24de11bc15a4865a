"""Where rules of lint change their mind: values on the edge, by hand, and two recurrences beside their definitions."""

from __future__ import annotations

import math

import pytest
from lint_cases import MIB, PAGE, context, eligible, free, machine, move, one, quota, scenario, workload

from tieringmodel.damon.quota_math import consist_esz_bp
from tieringmodel.linting import format_findings, lint
from tieringmodel.linting.apply_clock import apply_clock
from tieringmodel.linting.first_move import windows_to_try
from tieringmodel.linting.plant import Course, Plant, consist_course
from tieringmodel.linting.rules.coverage import fillable
from tieringmodel.linting.rules.destinations import _dealt
from tieringmodel.linting.scheme_facts import facts_of
from tieringmodel.linting.share_goals import overlap
from tieringmodel.scenario import AccessPattern, Attrs, Group, IntervalsGoal, Machine, Node, Scheme, Target


@pytest.mark.parametrize(("score", "held"), [(14_999, False), (15_000, True)])
def test_intervals_are_held_down_by_a_score_half_above_its_goal(score: int, held: bool) -> None:
    # 350 ms are 70 samples of 5 ms and 46 of 7.5 ms; a tuning comes after 60. At its least, 5 ms, the interval stays.
    attrs = Attrs(5_000, 100_000, intervals_goal=IntervalsGoal(400, 3, 5_000, 10_000))
    clock = apply_clock(attrs, 350_000, lambda _: score)
    assert (clock.sample_us, clock.in_the_end, clock.steady) == (5_000, False, held)


@pytest.mark.parametrize(("least", "meet"), [(5, True), (6, False)])
def test_patterns_that_share_one_value_overlap(least: int, meet: bool) -> None:
    low, high = AccessPattern(max_nr_accesses=5), AccessPattern(min_nr_accesses=least)
    a, b = facts_of(scenario(Scheme("stat", low), Scheme("stat", high))).schemes
    assert overlap(a, b) is overlap(b, a) is meet


@pytest.mark.parametrize("needed_mib", [3, 40, 400])
def test_consist_charges_what_its_quota_has_grown_to(needed_mib: int) -> None:
    scheme = move(0, quota(eligible(0, 9000), sz=8 * MIB, tuner="consist", esz_bp0=PAGE * 5000))
    facts = facts_of(scenario(scheme, workload=workload(5_000))).schemes[0]  # 2500 bp of hot memory on node 0
    state, charged, windows, score = PAGE * 5000, 0, 0, 2500 * 10_000 // 9000
    while charged < needed_mib * MIB:
        state = consist_esz_bp(state, score)
        esz = min(state // 10_000, 8 * MIB)
        windows += esz >= PAGE
        charged += esz * (esz >= PAGE)
    assert math.ceil(windows_to_try(facts, needed_mib * MIB)) == windows


def test_a_scheme_that_is_on_the_grid_hides_none_behind_it_that_is_not() -> None:
    on, off = (quota(eligible(node, 5000), reset_interval_ms=ms) for node, ms in ((0, 1000), (1, 1050)))
    assert one(scenario(move(0, on), move(1, off)), "reset-interval-off-grid").path.startswith("contexts[0].schemes[1]")


def course(p: Plant, target: int, cap: int, start: int) -> Course | None:
    """CONSIST on a plant, window by window."""
    quotas, pages, first = [start], p.start_pages, None
    above = 0
    for k in range(20_000):
        score = 10_000 * min(10_000 * pages // p.n_pages, 10_000) // target
        if score < 10_000 and pages == p.by_supply and first is None:
            return None
        quotas.append(consist_esz_bp(quotas[-1], score))
        if score >= 10_000 and first is None:
            first = k, quotas[-2] // 10_000
        esz = min(quotas[-1] // 10_000, cap)
        if first and esz < PAGE:
            return Course(*first, above, pages)
        if first and pages == p.by_supply and quotas[-1] == quotas[-2]:
            return Course(*first, math.inf, pages)
        above += first is not None and esz == cap
        pages = min(pages + esz // PAGE, p.by_supply)
    return None


@pytest.mark.parametrize("pages_bp0", [1, 7, 40])
@pytest.mark.parametrize("target", [2000, 6000, 8999, 9001])
def test_consist_on_a_plant_is_its_recurrence(target: int, pages_bp0: int) -> None:
    p = Plant(1000, 150, 900, 950)
    for cap in (60 * PAGE, 10**9):
        for start in (10_000 * PAGE * pages_bp0, 10_000 * PAGE * pages_bp0 - 1):
            assert consist_course(p, target, cap, start) == course(p, target, cap, start)


@pytest.mark.parametrize(("kernel", "left"), [(150, [(250, 300), (400, 480)]), (250, [(450, 480)])])
def test_what_of_a_node_in_pieces_can_be_filled(kernel: int, left: list[tuple[int, int]]) -> None:
    # Pages of the kernel fill the first piece and half of the second, or of the third; of 300 the highest 20 are offline.
    pieces = ((0, 100 * PAGE), (200 * PAGE, 300 * PAGE), (400 * PAGE, 500 * PAGE))
    node = Node(0, ranges=pieces, kernel_bytes=kernel * PAGE, offline_bytes=20 * PAGE)
    sc = scenario(machine=Machine((node, machine().nodes[1])), workload=workload(0))
    assert fillable(facts_of(sc), 0) == [(lo * PAGE, hi * PAGE) for lo, hi in left]
    assert fillable(facts_of(sc), 1) == [(256 * MIB, 512 * MIB)]


def test_without_mappings_offsets_count_from_the_first_page() -> None:
    scheme = move(0, quota(eligible(0, 5000)))
    facts = facts_of(scenario(scheme, workload=workload(0, groups=(Group(0, 7, rate_hz=400.0),)))).schemes[0]
    assert _dealt(facts, [3, 2]) == [3 + 2, 2]
    assert _dealt(facts, [1, 4]) == [1 + 1, 4 + 1]


@pytest.mark.parametrize(("unit", "least"), [(1, 4096), (8, 1024), (4096, 2)])
def test_a_folio_is_as_many_times_a_piece_as_it_has_bytes(unit: int, least: int) -> None:
    scheme = move(0, quota(eligible(0, 5000)), filters=())
    large = workload(0, groups=(Group(0, 20_480, rate_hz=400.0, folio_bytes=2 * MIB),))
    sc = scenario(workload=large, contexts=(context(scheme, addr_unit=unit, min_region_sz=least),))
    assert f"up to {2 * MIB // (unit * least)} times" in one(sc, "large-folios").message


@pytest.mark.parametrize(("start_mib", "level"), [(767, "info"), (769, "warning")])
def test_more_than_half_without_memory_is_worth_a_warning(start_mib: int, level: str) -> None:
    nodes = Node(0, 0, 256 * MIB), Node(1, start_mib * MIB, 256 * MIB)
    sc = scenario(machine=Machine(nodes), contexts=(context(Scheme("stat"), targets=(Target(),)),))
    assert one(sc, "no-ranges").level == level


@pytest.mark.parametrize(("target", "fate"), [(10_000, "never acts then"), (1, "never acts then")])
def test_a_goal_on_the_only_node_seen_is_met_whatever_it_asks(target: int, fate: str) -> None:
    only = Target(((0, 256 * MIB),))
    sc = scenario(contexts=(context(move(1, quota(eligible(0, target)), filters=()), targets=(only,)),))
    assert (
        f"10000 bp as soon as anything matches, against {target}, and the scheme {fate}"
        in one(sc, "goal-without-effect").message
    )


def test_who_empties_a_node_is_who_moves_pages_out_of_it() -> None:
    pull, push = move(0, quota(eligible(0, 5000))), move(1, quota(free(5000)))
    shared = facts_of(scenario(pull, push, Scheme("stat")))
    assert [[shared.drained(node, shared.schemes[k]) for node in (0, 1)] for k in (0, 1)] == [[True, False], [False, True]]
    assert [[shared.filled(node, shared.schemes[k]) for node in (0, 1)] for k in (0, 1)] == [[False, True], [True, False]]


def test_what_is_printed_of_a_finding_is_all_of_it() -> None:
    low, high = AccessPattern(min_nr_accesses=6, max_nr_accesses=5), quota(eligible(0, 5000))
    findings = lint(scenario(move(0, high, access_pattern=low)))
    printed = " ".join(format_findings(findings, width=60).split())
    assert findings
    for finding in findings:
        for part in (finding.code, finding.level, finding.path, finding.message, finding.remedy):
            assert " ".join(part.split()) in printed
