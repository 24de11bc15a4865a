"""What is proposed for a fault, in which order it is run, and that what is printed holds."""

from __future__ import annotations

import functools
import json
import time
from typing import Any

import numba
import numpy as np
import pytest
from faults import COLD, faults, reclaim, used
from small import HOT, MIB, pull, push, scenario

import tieringmodel as tm
from tieringmodel.fields import with_path
from tieringmodel.kernels._jit import _compiling
from tieringmodel.linting.scheme_facts import facts_of
from tieringmodel.remedies import trial
from tieringmodel.remedies.case import Case
from tieringmodel.remedies.changes import Candidate
from tieringmodel.remedies.helps import Standing, helps
from tieringmodel.remedies.lumped import lumped
from tieringmodel.remedies.ranking import ranked
from tieringmodel.remedies.search import LONGER, Search, budget_for, search
from tieringmodel.remedies.table import LATER, TABLE, pairs, singles
from tieringmodel.verdicts.explained import CAUSES

FAULTS = faults()
S0 = "contexts.0.schemes.0"
SOME = object()
"""Any value."""
PROPOSED: dict[str, tuple[tuple[str, Any], ...]] = {
    "watermarks-inactive": ((f"{S0}.watermarks.metric", "none"), (f"{S0}.watermarks.mid", SOME)),
    "apply-starved": ((f"{S0}.apply_interval_us", 0), (f"{S0}.apply_interval_us", 60_000)),
    "run-too-short": ((f"{S0}.apply_interval_us", 0),),
    "quota-below-region": ((f"{S0}.quota.sz_bytes", 4096), (f"{S0}.quota.sz_bytes", MIB)),
    "nothing-matches": ((f"{S0}.access_pattern.min_nr_accesses", 1), (f"{S0}.access_pattern.max_nr_accesses", SOME)),
    "rejected-by-filters": ((f"{S0}.filters.0.allow", True), (f"{S0}.filters", [])),
    "young-first-pass": ((f"{S0}.quota.fail_charge_denom", 4096),),  # as lint proposes
    "destination-full": (("contexts.0.schemes.1", SOME),),
    "failed-charges": ((f"{S0}.quota.fail_charge_denom", 4096), (f"{S0}.quota.sz_bytes", MIB)),
    "quota-limited": ((f"{S0}.quota.sz_bytes", 256 * 1024), (f"{S0}.quota.sz_bytes", MIB)),
    "capacity": ((f"{S0}.access_pattern.min_nr_accesses", 1), (f"{S0}.quota.goals.0.target_value", 2500)),
    "metric-blind": ((f"{S0}.quota.goal_tuner", "temporal"),),  # as lint proposes: no metric sees what is only counted
    "wrong-node": ((f"{S0}.quota.goals.0.nid", 0), (f"{S0}.target_nid", 1)),
    "goals-overlap": ((f"{S0}.quota.goals.0.target_value", SOME),),
    "no-gap": ((f"{S0}.quota.goals.0.target_value", SOME), ("contexts.0.schemes.1.quota.goals.0.target_value", SOME)),
    "opposing-schemes": (("contexts.0.schemes.1.enabled", False),),
    "step-over": ((f"{S0}.quota.sz_bytes", 256 * 1024),),
    "tuner-windup": ((f"{S0}.quota.goal_tuner", "temporal"), (f"{S0}.quota.sz_bytes", SOME)),
    "one-way": (("contexts.0.schemes.1", SOME),),
    "drift": ((f"{S0}.quota.sz_bytes", 4 * MIB),),
    "measured-differs": (("contexts.0.attrs.aggr_us", 500_000),),
    "refaults": ((f"{S0}.access_pattern.min_age", 100), (f"{S0}.access_pattern.max_nr_accesses", 0)),
    "redraw": ((f"{S0}.dest_rule", "vma_offset"),),
    "frame-rule": ((f"{S0}.dest_rule", "vma_offset"),),
    "rank-rule": ((f"{S0}.dest_rule", "vma_offset"),),
    "offset-rule": ((f"{S0}.dests", [{"id": 0, "weight": 1}, {"id": 1, "weight": 1}]),),
    "early-exit": ((f"{S0}.quota.goals.0.early_exit", "none"),),
}
NOTHING = {"met-at-start", "nothing-acts"}
"""Faults that are none, or for which another scheme is all that helps."""
MARKS = tm.Watermarks("free_mem_rate", interval_us=100_000, high=1000, mid=950, low=900)
MORE: dict[str, tuple[tm.Scenario, str, tuple[tuple[str, Any], ...]]] = {
    "free under low": (
        scenario(reclaim().replace(watermarks=MARKS)),
        "watermarks-inactive",
        ((f"{S0}.watermarks.low", 375), (f"{S0}.watermarks.low", 0)),
    ),
    "too old": (
        scenario(used(2000).replace(access_pattern=tm.AccessPattern(min_nr_accesses=5, min_age=20, max_age=21))),
        "nothing-matches",
        ((f"{S0}.access_pattern.min_age", 0),),
    ),
    "too small": (
        scenario(used(2000).replace(access_pattern=tm.AccessPattern(min_sz_bytes=1 << 30, min_nr_accesses=5))),
        "nothing-matches",
        ((f"{S0}.access_pattern.min_sz_bytes", 0),),
    ),
    "too seldom": (
        scenario(
            used(2000).replace(access_pattern=tm.AccessPattern(min_nr_accesses=18)),
            groups=(tm.Group(0, 2048, rate_hz=20.0, name="warm"),),
        ),
        "nothing-matches",
        ((f"{S0}.access_pattern.min_nr_accesses", 1), ("contexts.0.attrs.aggr_us", SOME)),
    ),
    "one of two filters": (
        scenario(used(2000).replace(filters=(tm.Filter("anon"), tm.Filter("young", allow=True)))),
        "rejected-by-filters",
        ((f"{S0}.filters", [{"type": "young", "allow": True}]), (f"{S0}.filters", []), (f"{S0}.filters.0.allow", True)),
    ),
    "a tuner that starts at a byte": (
        scenario(used(2000, goal_tuner="consist", reset_interval_ms=1000)),
        "quota-below-region",
        ((f"{S0}.quota.goal_tuner", "temporal"),),
    ),
    "switched off": (scenario(used(2000).replace(enabled=False)), "nothing-acts", ((f"{S0}.enabled", True),)),
    "frames do not move": (
        scenario(pull(9000, metric="node_sys_bp", sz_bytes=64 * 1024)),
        "metric-blind",
        ((f"{S0}.quota.goals.0.metric", "node_mem_used_bp"), (f"{S0}.quota.goals.0.target_value", SOME)),
    ),
    "overlapping patterns": (
        scenario(
            tm.Scheme("migrate_hot", access_pattern=HOT, target_nid=0, quota=tm.Quota(sz_bytes=MIB, reset_interval_ms=100)),
            tm.Scheme(
                "migrate_cold",
                access_pattern=COLD.replace(max_nr_accesses=40),
                target_nid=1,
                quota=tm.Quota(sz_bytes=MIB, reset_interval_ms=100),
            ),
        ),
        "opposing-schemes",
        (("contexts.0.schemes.1.access_pattern.max_nr_accesses", 4),),
    ),
}


@functools.cache
def run(code: str) -> Any:
    return tm.simulate(FAULTS[code].broken, duration=FAULTS[code].duration_s, seed=1, progress=False)


@functools.cache
def searched(code: str) -> Search:
    return search(run(code), progress=False)


def proposed(candidates: list[Candidate]) -> list[tuple[str, Any]]:
    return [(change["path"], change["new"]) for one in candidates for change in one.changes]


def missing(wanted: tuple[tuple[str, Any], ...], candidates: list[Candidate]) -> list[tuple[str, Any]]:
    known = proposed(candidates)
    return [(path, new) for path, new in wanted if not any(p == path and (new is SOME or n == new) for p, n in known)]


@pytest.mark.parametrize("code", PROPOSED)
def test_each_fault_has_candidates(code: str) -> None:
    ones = singles(Case(run(code)))
    assert not missing(PROPOSED[code], ones), [one.text for one in ones]
    for one in ones:
        assert one.code in {cause.code for cause in tm.verdict(run(code)).causes}
        for change in one.changes:  # what stood there stands there, and what is new can be read back
            again = with_path(FAULTS[code].broken, change["path"], json.loads(json.dumps(change["new"])))
            assert tm.Scenario.from_toml(again.to_toml()) == again != FAULTS[code].broken


@pytest.mark.parametrize("name", MORE)
def test_what_is_proposed_follows_the_evidence(name: str) -> None:
    made, code, wanted = MORE[name]
    case = Case(tm.simulate(made, duration=10, seed=1, progress=False))
    assert code in [cause.code for cause in case.found.causes], case.found.text
    assert not missing(wanted, singles(case)), [one.text for one in singles(case)]


def test_every_cause_of_a_run_is_provided_for() -> None:
    assert {*PROPOSED, *NOTHING} == {*FAULTS}
    assert {*TABLE} - {"unexplained"} <= {*CAUSES}
    assert {*FAULTS} - {*TABLE} == {"met-at-start"}
    assert {*LATER} <= {*TABLE}
    assert all(searched(code).tried == () for code in NOTHING)


CONVERGE = {
    "watermarks-inactive": 1,
    "apply-starved": 2,
    "quota-below-region": 2,
    "rejected-by-filters": 2,
    "capacity": 1,
    "no-gap": 1,
    "step-over": 1,
    "tuner-windup": 2,
    "redraw": 1,
    "offset-rule": 1,
}
"""Changes that it takes."""


@pytest.mark.parametrize("code", CONVERGE)
def test_a_fix_holds_when_it_is_made_and_run_for_longer(code: str) -> None:
    fix = searched(code).fix
    assert fix is not None, searched(code).text
    assert fix.outcome.startswith("converged, "), searched(code).text
    assert len(fix.changes) == CONVERGE[code]
    assert fix.tried == len(searched(code).tried)
    assert fix.untried == 0
    mended = FAULTS[code].broken
    for change in json.loads(json.dumps(fix.to_dict()))["changes"]:
        mended = with_path(mended, change["path"], change["new"])
    ds = tm.simulate(mended, duration=LONGER * FAULTS[code].duration_s, seed=1, progress=False)
    found = tm.verdict(ds)
    assert found.kind == "converged"
    assert tm.verdict(run(code)).kind != "converged"
    assert fix.verdict is not None
    assert fix.verdict.to_dict() == found.to_dict()
    assert f"{found.settling_s:.3g} s" in fix.outcome


def test_pairs_come_after_single_changes() -> None:
    tried = searched("tuner-windup").tried
    numbers = [len(fix.changes) for fix in tried]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 2
    assert {fix.changes[0]["path"] for fix in tried[:-1]} >= {c["path"] for c in tried[-1].changes}  # each alone, before
    assert not any(fix.outcome.startswith("converged") for fix in tried[:-1])


def test_the_same_dataset_gets_the_same_search() -> None:
    for code in ("tuner-windup", "measured-differs"):
        again = search(run(code), progress=False)
        assert again.text == searched(code).text
        assert [fix.to_dict() for fix in again.tried] == [fix.to_dict() for fix in searched(code).tried]


def test_what_was_tried_in_vain_is_said() -> None:
    done = searched("destination-full")
    assert done.fix is None
    assert len(done.tried) == 1
    assert not done.untried
    text = "migrate_cold to node 1 until node_mem_free_bp of node 0 is 200: stuck, 0 MiB/s (run for 8 s)"
    assert done.text == f"one change was tried, none helps (one more scheme in context 0, {text})"
    assert str(done) == done.text
    assert searched("met-at-start").text == "there is nothing to help"
    assert searched("nothing-acts").text == "no change is known that could help"
    assert tm.find_fix(run("destination-full")) is None


def test_without_budget_nothing_is_run() -> None:
    done = search(run("no-gap"), budget_s=0, progress=False)
    assert done.fix is None
    assert not done.tried
    assert done.untried > 1
    assert done.text == f"none of {done.untried} changes was tried to its end, 0 CPU seconds did not suffice"
    with pytest.raises(tm.InputError, match="budget_s"):
        tm.find_fix(run("no-gap"), budget_s=-1)


def test_a_search_ends_with_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**9))
    monkeypatch.setattr(trial, "working_cpu_s", lambda: 0.2 * next(clock))  # every look costs a fifth of a second
    done = search(run("tuner-windup"), budget_s=20, progress=False)
    spent = 0.2 * next(clock)
    assert 0 < len(done.tried) < len(searched("tuner-windup").tried)
    assert done.untried > 0
    assert spent < 120
    assert "more were not tried, 20 CPU seconds did not suffice" in done.text


def test_a_run_that_would_exceed_the_budget_is_not_begun() -> None:
    budget = trial.Budget(1e6)
    budget.used_s, budget.simulated_s = 10.0, 1.0
    budget.need(1e4)
    with pytest.raises(trial.Spent):
        budget.need(2e5)


def test_compiling_is_not_what_a_run_costs() -> None:
    """Else the first candidate on a cold cache looks as if no longer run could be paid for."""

    @numba.njit
    def compiled(x: float) -> float:
        return float(np.sum(np.sort(np.arange(x))))

    budget, whole, compiling = trial.Budget(60), time.process_time(), _compiling.cpu_s
    with budget.measured(1.0):
        compiled(5.0)
    took, went = time.process_time() - whole, _compiling.cpu_s - compiling
    assert went > 0
    assert 0 <= budget.used_s <= took - went
    compiling = _compiling.cpu_s
    compiled(6.0)
    assert _compiling.cpu_s == compiling


def test_the_budget_follows_the_run() -> None:
    assert [budget_for(cpu_s) for cpu_s in (0.01, 1.5, 40.0)] == [10.0, 30.0, 60.0]


def test_loops_have_the_fix_of_their_verdict() -> None:
    ds = tm.loop.run("temporal", 6000, 1_000_000, 0)
    fix = tm.find_fix(ds)
    assert fix is not None
    assert fix.to_dict() == tm.verdict(ds).fix.to_dict()


def test_lint_and_the_lumped_loop_decide_the_order() -> None:
    case = Case(run("step-over"))
    ones = singles(case)
    order = ranked(case.scenario, ones[::-1], 200)
    assert order[0].changes[0]["path"].endswith("sz_bytes")
    sizes = [one.size for one in order]
    assert sizes == sorted(sizes)
    steps = {sz: lumped(facts_of(scenario(used(500, sz_bytes=sz))).schemes[0]) for sz in (6 * MIB, MIB // 8)}
    assert not steps[6 * MIB].arrives
    assert steps[MIB // 8].arrives
    assert steps[MIB // 8].windows == 500 * 32 * MIB // 10_000 // (MIB // 8) + 1
    assert not lumped(facts_of(scenario(pull(6000), push(4000))).schemes[0]).arrives
    assert lumped(facts_of(scenario(pull(5000), push(2000))).schemes[0]).arrives
    assert lumped(facts_of(scenario(reclaim())).schemes[0]) is None


def test_pairs_change_different_things() -> None:
    ones = singles(Case(run("tuner-windup")))
    both = pairs(Case(run("tuner-windup")), ones)
    assert both
    for pair in both:
        paths = [change["path"] for change in pair.changes]
        assert len({*paths}) == len(paths) > 1
    assert len({pair.key for pair in both}) == len(both)


@pytest.mark.parametrize(
    ("before", "after", "helped"),
    [
        (("stuck", 3000, 0, 0), ("unfinished", 2000, 5, 1e6), True),
        (("stuck", 3000, 0, 0), ("saturated", 2000, 0, 100), False),  # hardly anything moved
        (("stuck", 3000, 0, 0), ("runaway", 3000, 9, 1e6), False),
        (("limit-cycle", 300, 16, 1e6), ("ripple", 300, 4, 1e6), True),
        (("limit-cycle", 300, 16, 1e6), ("limit-cycle", 300, 15.5, 1e6), False),
        (("limit-cycle", 300, 16, 1e6), ("limit-cycle", 100, 60, 1e6), False),  # nearer, but much louder
        (("limit-cycle", 300, 16, 1e6), ("wrong-point", 900, 0, 1e6), False),  # calm, but further off
        (("saturated", 3000, 0, 1e6), ("saturated", 1000, 2, 1e6), True),
        (("saturated", 3000, 0, 1e6), ("saturated", 2950, 0, 1e6), False),
        (("unfinished", 3000, 9, 1e6), ("unfinished", 3000, 0, 1e6), False),  # what has not begun is calm
        (("wrong-polarity", 3000, 0, 1e6), ("saturated", 4000, 0, 1e6), True),
        (("wrong-point", 3000, 0, 1e6), ("converged", 0, 0, 1e6), True),
    ],
)
def test_to_help_is_to_move_more_than_seeds_do(before: tuple[Any, ...], after: tuple[Any, ...], helped: bool) -> None:
    one, other = (Standing(*values, memory_bytes=1e6) for values in (before, after))
    assert bool(helps(one, other)) == helped
    if helped and before[0] not in ("stuck", "wrong-polarity") and after[0] != "converged":
        assert not helps(one, other, (5000.0, 50.0))


def test_a_field_that_an_event_sets_is_changed_there() -> None:
    event = tm.Event(at_us="4 s", path=f"{S0}.quota.goals.0.target_value", value=6000)
    made = scenario(used(2000)).replace(events=(event,))
    ones = singles(Case(tm.simulate(made, duration=20, seed=1, progress=False)))
    assert ("events.0.value", 2400) in proposed(ones)
    assert next(one.text for one in ones if "event" in one.text) == "2400 instead of 6000 from event 0 on"
