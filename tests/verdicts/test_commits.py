"""What runs at the end is judged, by what it did since it does that."""

from __future__ import annotations

import math
from typing import Any

import pytest
import xarray as xr
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel.verdicts.goal_course import courses
from tieringmodel.verdicts.page_run import PageRun
from tieringmodel.verdicts.thresholds import RunThresholds


def ran(start: tm.Scenario, *changes: tuple[str, tuple[tm.Scheme, ...]], duration: float = 12, **context: Any) -> xr.Dataset:
    """A run of one context whose schemes are replaced at times."""
    base = start.contexts[0]
    commits = tuple(tm.Commit(at, 0, base.replace(schemes=schemes, **context)) for at, schemes in changes)
    return tm.simulate(start.replace(commits=commits), duration=duration, seed=1, progress=False)


def seen(ds: xr.Dataset) -> PageRun:
    return PageRun(ds, RunThresholds())


def codes(ds: xr.Dataset) -> list[tuple[str, int | None]]:
    return [(cause.code, cause.scheme) for cause in tm.verdict(ds).causes]


def test_a_pattern_that_matches_no_longer_is_not_hidden_by_what_it_matched() -> None:
    never = pull(9000).replace(access_pattern=tm.AccessPattern(min_nr_accesses=500))
    ds = ran(scenario(pull(9000, sz_bytes=64 << 10)), ("3 s", (never,)))
    assert ds["sz_applied"].values[-1, 0] > 0, "it has moved pages before"
    assert codes(ds)[0] == ("nothing-matches", 0)
    assert tm.verdict(ds).kind == "stuck"
    assert tm.verdict(ds).funnel[0].applied_bytes == 0
    # The same pattern from the start is judged the same.
    assert codes(ran(scenario(never))) == codes(ds)


def test_a_filter_that_is_gone_is_no_cause() -> None:
    nowhere = tm.Filter("addr", matching=True, allow=False, start_bytes=0, end_bytes=1 << 40)
    blocked, free = pull(9900).replace(filters=(nowhere,)), pull(9900, sz_bytes=8192)
    ds = ran(scenario(blocked), ("9 s", (free,)))
    assert ("rejected-by-filters", 0) not in codes(ds)
    assert ("rejected-by-filters", 0) in codes(ran(scenario(blocked)))
    funnel = tm.verdict(ds).funnel[0]
    assert (funnel.since_s, funnel.applied_bytes > 0) == (9.0, True)


def test_quotas_and_targets_may_change_without_a_new_account() -> None:
    """They say how much of it, not what: its counters go on."""
    ds = ran(scenario(pull(6000)), ("3 s", (pull(7000, sz_bytes=8192),)))
    (one,) = seen(ds).schemes
    assert (one.came_s, one.since_s) == (0.0, 0.0)
    assert tm.verdict(ds).funnel[0].applied_bytes == ds["sz_applied"].values[-1, 0]


def test_a_scheme_that_came_late_waits_from_then_on() -> None:
    slow = pull(9000).replace(apply_interval_us=8_000_000)
    ds = ran(scenario(tm.Scheme("stat")), ("6 s", (tm.Scheme("stat"), slow)))
    found = tm.verdict(ds)
    assert (found.kind, found.code) == ("unfinished", "run-too-short")
    assert "the first application comes after 14 s, the run ended after 12 s" in str(found)
    asleep = seen(ds).asleep_s(seen(ds).schemes[1])
    assert asleep == 0


def test_a_goal_that_came_has_a_value_once_it_was_evaluated() -> None:
    first = pull(6000)
    more = tm.Goal("node_mem_used_bp", "90 %", nid=0)
    both = first.replace(quota=first.quota.replace(goals=(*first.quota.goals, more)))
    ds = ran(scenario(first), ("3 s", (both,)))
    old, new = courses(seen(ds))
    assert (old.number, new.number, old.since_s, new.since_s) == (0, 1, 0.0, 3.0)
    assert not new.evaluated[ds["time"].values < 3].any()
    assert new.evaluated[ds["time"].values > 3.2].all()
    assert old.evaluated[ds["time"].values > 0.2].all()
    # In its place another metric: what the first one read is none of its values.
    other = first.replace(quota=first.quota.replace(goals=(more,)))
    (goal,) = courses(seen(ran(scenario(first), ("3 s", (other,)))))
    known = goal.values[goal.evaluated]
    assert known.size
    assert float(known.max()) < 3000, "at most half of the pages fit; the share before was 6000"


def test_a_scheme_that_is_gone_has_neither_goals_nor_causes() -> None:
    ds = ran(scenario(pull(), push()), ("3 s", (pull(),)))
    found = tm.verdict(ds)
    assert {goal["scheme"] for goal in found.goals} == {f.scheme for f in found.funnel} == {0}
    assert all(cause.scheme in (0, None) for cause in found.causes)
    assert not courses(seen(ds))[0].opposite


def test_what_nobody_has_taken_over_yet_is_not_judged() -> None:
    """A context that wakes seldom has not heard of a commit of the last moment; another one records the end."""
    sc = scenario(pull(), push())
    seldom = tm.Context(attrs=tm.Attrs(2_000_000, 4_000_000), schemes=(tm.Scheme("stat"), tm.Scheme("stat")))
    commit = tm.Commit("9 s", 1, seldom.replace(schemes=(tm.Scheme("stat"),)))
    ds = tm.simulate(sc.replace(contexts=(*sc.contexts, seldom), commits=(commit,)), duration=9.5, seed=1, progress=False)
    assert ds["active"].values[-1].tolist() == [True] * 4
    assert [s.number for s in seen(ds).schemes] == [0, 1, 2, 3]
    later = tm.simulate(sc.replace(contexts=(*sc.contexts, seldom), commits=(commit,)), duration=13, seed=1, progress=False)
    assert [s.number for s in seen(later).schemes] == [0, 1, 2]


def test_undone_moves_of_before_are_not_held_against_it() -> None:
    """Two schemes swap pages; then one is left, which moves what it gets for good."""
    ds = ran(scenario(pull(), push()), ("6 s", (pull(10_000, sz_bytes=8192),)), duration=8)
    (funnel,) = tm.verdict(ds).funnel
    assert ds["undone_pages"].values.sum() > 1000
    assert funnel.since_s == 0.0, "it is the scheme of the start, with another target and quota"
    elsewhere = tm.Filter("addr", matching=True, allow=False, start_bytes=0, end_bytes=32 << 20)
    other = pull(10_000, sz_bytes=8192).replace(filters=(elsewhere,))
    moved = ran(scenario(pull(), push()), ("6 s", (other,)), duration=8)
    (funnel,) = tm.verdict(moved).funnel
    assert funnel.since_s == 6.0
    assert funnel.returned_bytes == 0
    assert funnel.applied_bytes > 0


@pytest.mark.parametrize("at", ["0 s", "12 s"])
def test_a_commit_at_either_end_is_judged(at: str) -> None:
    found = tm.verdict(ran(scenario(pull(), push()), (at, (pull(),))))
    assert found.kind
    assert math.isfinite(found.numbers["tail_s"])
