"""Rules about kernels: each fires where the kernel has the older rule, and not on 7.3.4 nor on the next of kin."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lint_cases import MIB, PAGES, codes, context, eligible, found, machine, move, one, quota, scenario, used, workload

import tieringmodel as tm
from tieringmodel.linting import lint
from tieringmodel.linting.rules import kernels
from tieringmodel.linting.scheme_facts import facts_of
from tieringmodel.scenario import Attrs, Commit, Dest, Event, Filter, Goal, Quota, Scenario, Scheme, Target, Vma
from tieringmodel.scenario.linux import NAMES
from tieringmodel.scenario.rules import RULES

SHARE = Goal("node_eligible_mem_bp:v4", 6000, nid=0)
"""A goal that every kernel runs, as the model's own."""


def limit(*goals: Goal, **changes: object) -> Quota:
    """A quota of 1 MiB per second, with CONSIST, which every kernel has."""
    return quota(*goals, **({"tuner": "consist"} | changes))


def old(kernel: tm.Kernel | str, *schemes: Scheme, **changes: object) -> Scenario:
    return scenario(*schemes, **changes).replace(kernel=kernel)


def promote(quota: Quota, **changes: object) -> Scheme:
    """A migration to node 0 with a filter that rejects, as every kernel has it."""
    return move(0, quota, **({"filters": (Filter("addr", end_bytes=256 * MIB),)} | changes))


def demote(quota: Quota, **changes: object) -> Scheme:
    return move(1, quota, **({"filters": ()} | changes))


def fires(sc: Scenario, code: str, *, since: str, **beside: bool) -> None:
    """The code is there on kernels without the rule, and on no other that can run the scenario."""
    switch = next(r.switch for r in RULES if r.since == since and f"kernel.{r.switch}" in one(sc, code).remedy)
    for name in NAMES:
        kernel = tm.Kernel(name)
        if list(sc.missing(kernel)):
            continue
        assert (code in codes(sc.replace(kernel=name))) == (not getattr(kernel.rules, switch)), name
        both = (sc.replace(kernel=tm.Kernel("7.3.4", **beside, **{switch: value})) for value in (False, True))
        assert [code in codes(s) for s in both] == [True, False]


# ---- row 1: the first charge window -----------------------------------------------------------------------------------


def test_the_first_window_is_unlimited_and_how_long() -> None:
    sc = old("6.12", promote(limit()), workload=workload(0))
    finding = one(sc, "first-window-unlimited")
    assert (finding.level, finding.path) == ("warning", "contexts[0].schemes[0].quota")
    assert "from 1 s to 2 s" in finding.message
    assert "up to 78.1 MiB that match" in finding.message
    assert finding.remedy.startswith("take Linux 6.18 or later, or a shorter reset interval")
    fires(sc, "first-window-unlimited", since="6.18", esz0_stop=False)
    assert one(old("6.12", promote(limit(sz=256 * MIB))), "first-window-unlimited").level == "info"
    endless = old("6.12", promote(limit(reset_interval_ms=2**31)))
    assert one(endless, "first-window-unlimited").level == "error"
    assert "that window never ends" in one(endless, "first-window-unlimited").message


@pytest.mark.parametrize("quota", [Quota(), limit(esz0="stop"), limit(reset_interval_ms=0)])
def test_no_quota_a_stop_at_0_and_windows_that_end_at_once_have_no_free_first_window(quota: Quota) -> None:
    assert "first-window-unlimited" not in codes(old("6.12", promote(quota)))


def test_what_is_said_of_the_first_move_knows_the_first_window() -> None:
    sc = old("6.12", promote(limit(SHARE)), workload=workload(8_000))
    assert "first-move" not in codes(sc)
    assert "first-move" in codes(sc.replace(kernel="6.18"))
    from tieringmodel.linting.first_move import first_move_s

    (before,), (after,) = (facts_of(s).schemes for s in (sc, sc.replace(kernel="6.18")))
    assert first_move_s(before) == 1.0
    assert first_move_s(after) > 10
    assert (before.evaluation_s(1), after.evaluation_s(1)) == (2.0, 1.0)


# ---- rows 4 and 30: what is full --------------------------------------------------------------------------------------


def test_a_quota_that_is_no_multiple_of_a_region_never_gets_full() -> None:
    sc = old("6.18", promote(limit(sz=MIB + 1000)), workload=workload(0))
    finding = one(sc, "quota-never-full")
    assert (finding.level, finding.path) == ("warning", "contexts[0].schemes[0].quota.sz_bytes")
    assert "1049576 bytes are no multiple of that, and what is none never gets full" in finding.message
    assert finding.changes == ({"path": "contexts.0.schemes.0.quota.sz_bytes", "value": MIB},)
    assert "quota-never-full" not in codes(finding.applied_to(sc))
    assert "quota-never-full" not in codes(sc.replace(kernel="7.3.4"))
    assert "quota-never-full" not in codes(old("6.18", promote(limit())))  # 256 regions


def test_what_consist_grants_and_what_time_comes_to_is_no_multiple_either() -> None:
    tuned = old("6.18", promote(limit(used(6000))))
    assert "what CONSIST grants below its size quota is seldom a multiple of that" in one(tuned, "quota-never-full").message
    fires(tuned, "quota-never-full", since="7.2")
    timed = old("6.18", promote(limit(sz=0, ms=10)))
    assert "what a time quota comes to" in one(timed, "quota-never-full").message
    assert "quota-never-full" not in codes(old(tm.Kernel("7.3.4", quota_full_min_region=False), promote(quota(used(6000)))))


# ---- row 18: where pages go when the target is full -------------------------------------------------------------------

SMALL = machine(kernel_bytes=200 * MIB)
"""Node 0 has room for 56 MiB, less than the 78 MiB that are hot."""


def test_a_target_that_can_fill_sends_pages_anywhere() -> None:
    sc = old("6.18", promote(limit()), machine=SMALL, workload=workload(0))
    finding = one(sc, "full-target-anywhere")
    assert (finding.level, finding.path) == ("warning", "contexts[0].schemes[0].target_nid")
    assert "node 0 has room for 56 MiB, 78.1 MiB may be migrated to it" in finding.message
    assert "or up to 6.16" in finding.remedy
    fires(sc, "full-target-anywhere", since="7.3")
    assert "full-target-anywhere" not in codes(old("6.18", promote(limit()), workload=workload(0)))


def test_a_goal_that_is_met_before_the_node_is_full_keeps_it_from_filling() -> None:
    for bp, fills in ((9000, False), (9990, True)):
        sc = old("6.18", promote(limit(used(bp))), machine=SMALL, workload=workload(0))
        assert ("full-target-anywhere" in codes(sc)) == fills
    other = old("6.18", promote(limit(used(9000, nid=1))), machine=SMALL, workload=workload(0))
    assert "full-target-anywhere" in codes(other)


def test_weighted_destinations_can_fill_too() -> None:
    mapped = workload(0, vmas=(Vma(0, PAGES, 1 << 40),))
    for weight, fills in ((9, True), (1, False)):
        dealt = promote(Quota(), filters=(), target_nid=-1, dests=(Dest(0, weight), Dest(1, 1)))
        sc = Scenario(SMALL, mapped, (context(dealt, ops="vaddr"),), kernel="6.18")
        assert ("full-target-anywhere" in codes(sc)) == fills
        assert all(f.path == "contexts[0].schemes[0].dests" for f in found(sc, "full-target-anywhere"))


# ---- row 3: an effective quota of 0 -----------------------------------------------------------------------------------


def test_temporal_without_a_stop_at_0() -> None:
    sc = scenario(move(1, quota(eligible(1, 6000)))).replace(kernel=tm.Kernel("7.2", esz0_stop=False))
    finding = one(sc, "esz0-bypass")
    assert finding.level == "error"
    assert "which on Linux 7.2.12, esz0_stop off means no quota" in finding.message
    assert "esz0-bypass" not in codes(finding.applied_to(sc))
    assert "esz0-bypass" not in codes(sc.replace(kernel="7.2"))
    assert "esz0-bypass" not in codes(old("6.18", promote(limit(used(6000)))))


# ---- row 37: sample reuse ---------------------------------------------------------------------------------------------


def with_folios(kernel: str, ranges: tuple[tuple[int, int], ...], folio: int = 2 * MIB, **changes: object) -> Scenario:
    work = tm.Workload(64, (tm.Group(0, 16, rate_hz=400.0),), (tm.Placement(0, 64, 1),))
    one = context(promote(limit()), targets=(Target(ranges),)).replace(**changes)
    return Scenario(machine().replace(folio_bytes=folio), work, (one,), kernel=kernel)


def test_a_range_in_one_large_folio_keeps_its_first_answer() -> None:
    sc = with_folios("6.18", ((256 * MIB, 257 * MIB), (257 * MIB, 258 * MIB)))
    finding = one(sc, "sample-reuse")
    assert (finding.level, finding.path) == ("warning", "contexts[0].targets")
    assert "all that is monitored lies in one folio of 2 MiB" in finding.message
    assert finding.remedy.startswith("take Linux 7.3 or later (also 6.12.110, 7.2.5)")
    fires(sc, "sample-reuse", since="7.3")
    assert one(with_folios("6.18", ((256 * MIB, 259 * MIB),)), "sample-reuse").level == "info"
    assert one(with_folios("6.18", ()), "sample-reuse").level == "info"
    assert "sample-reuse" not in codes(old("6.18", promote(limit())))  # folios of 4 KiB
    source = tm.SourceOfHotness("hint_faults")
    assert "sample-reuse" not in codes(with_folios("6.18", (), sources=(source,)))


# ---- row 6: min_nr_regions --------------------------------------------------------------------------------------------


def watching(kernel: str, least: int, most: int = 1000, ranges: int = 1) -> Scenario:
    each = 512 * MIB // ranges
    target = Target(tuple((k * each, (k + 1) * each) for k in range(ranges)))
    attrs = Attrs(min_nr_regions=least, max_nr_regions=most)
    return Scenario(machine(), workload(), (context(promote(limit()), attrs=attrs, targets=(target,)),), kernel=kernel)


def test_min_nr_regions_makes_no_regions() -> None:
    sc = watching("6.18", 100)
    finding = one(sc, "min-regions-merge-only")
    assert (finding.level, finding.path) == ("info", "contexts[0].attrs.min_nr_regions")
    assert "monitoring begins with 1, and splitting takes 7 aggregations or more (700 ms)" in finding.message
    fires(sc, "min-regions-merge-only", since="7.1")
    never = one(watching("6.18", 100, most=150), "min-regions-merge-only")
    assert never.level == "warning"
    assert "above max_nr_regions / 2 = 75 regions none is split" in never.message
    assert "min-regions-merge-only" not in codes(watching("6.18", 4, ranges=4))


def test_virtual_targets_without_ranges_are_cut_at_their_start() -> None:
    mapped = workload(0, vmas=(Vma(0, PAGES, 1 << 40),))
    sc = Scenario(machine(), mapped, (context(Scheme("stat"), ops="vaddr"),), kernel="6.18")
    assert "min-regions-merge-only" not in codes(sc)


# ---- rows 17 and 22: commits ------------------------------------------------------------------------------------------

SIZE = "contexts.0.schemes.0.quota.sz_bytes"


def test_a_quota_that_an_event_takes_away_stays() -> None:
    sc = old("6.18", promote(limit()), events=(Event("60 s", SIZE, 0),))
    finding = one(sc, "quota-outlives-commit")
    assert (finding.level, finding.path) == ("warning", "events[0]")
    assert finding.message.startswith("at 60 s contexts[0].schemes[0] loses every limit of its quota, but Linux 6.18.35 ")
    assert finding.changes == ({"path": "events.0.value", "value": "max"},)
    assert "quota-outlives-commit" not in codes(finding.applied_to(sc))
    assert "quota-outlives-commit" not in codes(sc.replace(kernel="7.3.4"))
    assert "quota-outlives-commit" not in codes(sc.replace(events=(Event("60 s", SIZE, 4096),)))
    timed = old("6.18", promote(limit(ms=10)), events=(Event("60 s", SIZE, 0),))
    assert "quota-outlives-commit" not in codes(timed)
    later = old("6.18", promote(limit()), events=(Event("50 s", SIZE, 4096), Event("60 s", SIZE, 0)))
    assert one(later, "quota-outlives-commit").path == "events[1]"
    whole = old("6.18", promote(limit()), events=(Event("60 s", SIZE.removesuffix(".sz_bytes"), {}),))
    fires(whole, "quota-outlives-commit", since="7.3")


def test_a_quota_that_a_commit_takes_away_stays() -> None:
    first = old("6.18", promote(limit()))
    to = first.contexts[0].replace(schemes=(promote(Quota()),))
    sc = first.replace(commits=(Commit("9 s", 0, to),))
    finding = one(sc, "quota-outlives-commit")
    assert finding.path == "commits[0]"
    changed = finding.applied_to(sc)
    assert changed.commits[0].to.schemes[0].quota.sz_bytes == 2**64 - 1
    assert "quota-outlives-commit" not in codes(changed)
    assert "quota-outlives-commit" not in codes(sc.replace(kernel="7.3.4"))
    gone = first.replace(commits=(Commit("9 s", 0, to.replace(schemes=())),))
    assert "quota-outlives-commit" not in codes(gone)


def test_a_commit_leaves_the_node_of_an_eligible_goal() -> None:
    base = scenario(move(0, quota(eligible(0, 6000)))).replace(kernel="7.2")
    path = "contexts.0.schemes.0.quota.goals.0"
    sc = base.replace(events=(Event("60 s", f"{path}.nid", 1),))
    finding = one(sc, "stale-nid")
    assert (finding.level, finding.path) == ("warning", "events[0]")
    assert "is to be about node 1" in finding.message
    assert "it stays about node 0" in finding.message
    fires(sc, "stale-nid", since="7.3.4")
    assert "stale-nid" not in codes(base.replace(events=(Event("60 s", f"{path}.target_value", 5000),)))
    assert "stale-nid" not in codes(old("7.2", promote(limit(used(9000))), events=(Event("60 s", f"{path}.nid", 1),)))
    new = base.replace(events=(Event("60 s", "contexts.0.schemes.0.quota.goals.1", eligible(1, 4000).to_dict()),))
    assert "of a goal that is new it is undefined" in one(new, "stale-nid").message


# ---- what else knows the kernel ---------------------------------------------------------------------------------------


def test_virtual_migration_came_with_a_release() -> None:
    mapped = workload(0, vmas=(Vma(0, PAGES, 1 << 40),))
    sc = Scenario(machine(), mapped, (context(promote(Quota(), filters=()), ops="vaddr"),))
    for name in NAMES:
        assert ("unsupported-action" in codes(sc.replace(kernel=name))) == (not tm.Kernel(name).has("6.17"))
    assert "of Linux 6.12.117 has no migrate_hot" in one(sc.replace(kernel="6.12"), "unsupported-action").message


@pytest.mark.parametrize("name", NAMES)
def test_no_change_is_offered_that_the_kernel_lacks(name: str) -> None:
    sc = old(name, promote(limit(SHARE)), demote(limit(sz=MIB + 1)), workload=workload(8_000))
    findings = lint(sc)
    for finding in findings:
        assert finding.applied_to(sc).kernel.base == name
    temporal = [f for f in findings if "goal_tuner = 'temporal'" in f.remedy]
    assert temporal
    for finding in temporal:
        assert bool(finding.changes) == tm.Kernel(name).has("7.1")
        assert ("(not in this kernel: temporal is first in 7.1)" in finding.remedy) == (not finding.changes)


def test_the_default_kernel_has_none_of_these() -> None:
    source = Path(kernels.__file__).read_text(encoding="utf-8")
    mine = set(re.findall(r'^ +"([a-z]+(?:-[a-z0-9]+)+)",$', source, re.MULTILINE))
    page = (Path(__file__).parents[2] / "docs" / "theory" / "kernels.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `([a-z0-9-]+)` \| [0-9, ]+ \|", page, re.MULTILINE))
    assert told == mine | {"esz0-bypass"}
    for name in ("rfc-40-60", "C3_pullpush_temporal", "D1_dests_3_2_noquota"):
        for kernel in ("7.3.4", "next"):
            assert not codes(tm.load(name, kernel=kernel)) & mine
