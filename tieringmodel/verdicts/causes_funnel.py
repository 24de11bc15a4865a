"""Causes on a scheme's way from waking up to moving pages: each stage that can lose everything, with its proof."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..units import UINT_MAX, ULONG_MAX, format_bytes
from .page_run import SchemeRun
from .record import Cause
from .scheme_facts import (
    MOST,
    NEARLY_ALL,
    NEARLY_NOTHING,
    apply_s,
    clears_bits,
    first_hold_s,
    first_pass_left_s,
    growth,
    limit_of,
    pages_of_pass,
    region_bytes,
    starved,
    too_short,
    wanted_and_full,
)
from .state import State


def _asleep(state: State, one: SchemeRun) -> Cause | None:
    run, marks = state.run, one.scheme.watermarks
    asleep = run.asleep_s(one)
    if marks.metric == "none" or asleep < run.limits.asleep_share * run.lived_s(one):
        return None
    managed = (run.ds["used_pages"].values + run.ds["free_pages"].values)[-1].sum()
    free = int(run.ds["free_pages"].values[-1].sum() * 1000 // managed)
    where = f"over high ({marks.high})" if free > marks.high else f"under low ({marks.low})" if free < marks.low else "between"
    if where == "between":
        where = f"not under mid ({marks.mid})"
    text = f"asleep for {asleep:.1f} of {run.lived_s(one):.1f} s: {free} permil of memory are free, {where}"
    evidence = {"asleep_s": asleep, "free_permil": free, "high": marks.high, "mid": marks.mid, "low": marks.low}
    return Cause("watermarks-inactive", one.number, text, evidence)


def _apply_starved(state: State, one: SchemeRun) -> Cause | None:
    run, goal = state.run, one.context.attrs.intervals_goal
    if not starved(run, one):
        return None
    restarts = int(run.last("nr_restarted", one.number))
    every = f" after every {goal.aggrs} aggregations" if goal.aggrs else ""
    text = (
        f"never applied in {run.lived_s(one):.1f} s: its apply interval is {apply_s(one):g} s, and the apply clock was "
        f"restarted {restarts} times before it ended, by interval tuning{every}"
    )
    evidence = {"apply_interval_s": apply_s(one), "restarts": restarts, "due": 0, "aggrs": goal.aggrs}
    return Cause("apply-starved", one.number, text, evidence)


def _run_too_short(state: State, one: SchemeRun) -> Cause | None:
    waited = too_short(state.run, one)
    if waited is None:
        return None
    text = f"the {waited[0]} comes after {waited[1]:g} s, the run ended after {state.run.end_s:g} s"
    return Cause("run-too-short", one.number, text, {"due_at_s": waited[1], "end_s": state.run.end_s})


def met_at_start(state: State, one: SchemeRun) -> Cause | None:
    """Return the cause of a scheme whose goal was met at every evaluation: nothing was asked of it."""
    goals = state.goals_of(one)
    if not any(g.always_met for g in goals) or state.run.moved.any() or state.run.last("sz_applied", one.number):
        return None
    goal = next(g for g in goals if g.always_met)
    n = int(state.run.last("resets", one.number))
    text = (
        f"{goal.name} was met at all {n} evaluations ({goal.value:.0f} of {goal.target:.0f}{goal.unit}): nothing was asked for"
    )
    return Cause("met-at-start", one.number, text, {"evaluations": n, "value": goal.value, "target": goal.target})


def _quota_below_region(state: State, one: SchemeRun) -> Cause | None:
    run, region = state.run, region_bytes(one)
    esz = run.esz_bytes(one)
    if not run.last("resets", one.number) or not (one.scheme.quota.goals or one.scheme.quota.sz_bytes or one.scheme.quota.ms):
        return None
    known = run.column("resets", one.number)
    under = (esz < region) & (known > 0 if known is not None else True)
    asked = np.zeros(esz.size, bool)
    for goal in state.goals_of(one):
        asked |= goal.evaluated & ~goal.met
    if not state.goals_of(one):
        asked[:] = True
    if not (under & asked).any() or (under & asked).sum() < MOST * max(asked.sum(), 1):
        return None
    held = np.flatnonzero(~under & asked)
    evidence = {"esz_bytes": float(esz[-1]), "region_bytes": region, "growth_per_window": growth(run, one, run.end_s / 2)}
    if under[-1]:
        text = f"the effective quota is {format_bytes(esz[-1])}, less than a region of {format_bytes(region)}"
        at_s = first_hold_s(run, one)
        if math.isfinite(at_s):
            percent = 100 * (evidence["growth_per_window"] - 1)
            text += f"; it grows by {percent:.0f} % per window and holds one at about {at_s:.0f} s"
            evidence["holds_at_s"] = at_s
    else:
        since = float(run.time[held[0]])
        evidence["held_since_s"] = since
        text = f"the effective quota first held a region ({format_bytes(region)}) at {since:.1f} s; now {format_bytes(esz[-1])}"
    return Cause("quota-below-region", one.number, text, evidence)


def _nothing_matches(state: State, one: SchemeRun) -> Cause | None:
    run, n, unit = state.run, one.number, one.context.addr_unit
    if not run.has("sz_matched") or not run.last("nr_due", n):
        return None
    since_s = run.disturbed_s if run.grown("nr_due", n, run.disturbed_s) else 0.0
    matched = pages_of_pass(run, one, since_s)
    if matched > NEARLY_NOTHING * run.memory_bytes:
        return None
    pattern, aggr = one.scheme.access_pattern, one.context.attrs
    by = {name: run.last(f"sz_but_{name}", n) * unit for name in ("rate", "age", "size")}
    which = max(by, key=lambda name: by[name])
    top_rate, top_age = int(run.last("top_rate", n)), int(run.last("top_age", n))
    samples = max(aggr.aggr_us // max(aggr.sample_us, 1), 1)
    evidence = {"matched_bytes": matched, "bound": which, "top_nr_accesses": top_rate, "top_age": top_age}
    evidence |= {f"kept_by_{name}_bytes": value for name, value in by.items()}
    if not by[which]:
        which = evidence["bound"] = "rate" if top_rate < pattern.min_nr_accesses else "age"
    asked = {
        "rate": f"nr_accesses {pattern.min_nr_accesses} to {_top(pattern.max_nr_accesses)}",
        "age": f"an age of {pattern.min_age} to {_top(pattern.max_age)} aggregations",
        "size": f"regions of {format_bytes(pattern.min_sz_bytes)} to {_top(pattern.max_sz_bytes, ULONG_MAX, format_bytes)}",
    }[which]
    if run.last("sz_matched", n):
        kept = by[which] / run.last("nr_due", n)
        since = f"since {since_s:.0f} s " if since_s else ""
        text = f"{since}{format_bytes(matched)} matched a pass; {asked} asked for kept back {format_bytes(kept)} a pass"
    else:
        seen = {"rate": f"at most {top_rate} of {samples} seen", "age": f"at most {top_age} seen at that access rate"}.get(
            which
        )
        text = f"no region matched the access pattern: {asked} asked for" + (f", {seen}" if seen else "")
    return Cause("nothing-matches", n, text, evidence)


def _top(value: int, most: int = UINT_MAX, say: Callable[[int], str] = str) -> str:
    return "any" if value >= most else say(value)


def _young_first_pass(state: State, one: SchemeRun) -> Cause | None:
    run, n = state.run, one.number
    if not run.has("sz_first_look"):
        return None
    looked, first = run.last("sz_resident", n), run.last("sz_first_look", n)
    going_on = run.grown("sz_first_look", n, run.end_s * (1 - run.limits.tail_share))
    if not looked or first < MOST * looked or not clears_bits(run, one) or not going_on:
        return None
    left = first_pass_left_s(run, one)
    text = (
        f"{format_bytes(first)} of {format_bytes(looked)} looked at were young because nobody had looked before: "
        "their bits were cleared, nothing else"
    )
    if left:
        text += f"; the first pass lasts {run.end_s + left:.0f} s"
    return Cause(
        "young-first-pass",
        n,
        text,
        {"first_look_bytes": first, "looked_at_bytes": looked, "first_pass_s": run.end_s + left, "left_s": left},
    )


def _rejected(state: State, one: SchemeRun) -> Cause | None:
    run, n, unit = state.run, one.number, one.context.addr_unit
    dropped, tried = run.last("sz_dropped", n) * unit, run.last("sz_tried", n) * unit
    resident, passed = run.last("sz_resident", n), run.last("sz_ops_filter_passed", n) * unit
    by_core = dropped > 0 and dropped >= NEARLY_ALL * (dropped + tried) and tried <= NEARLY_NOTHING * run.memory_bytes
    by_ops = resident > 0 and one.scheme.filters and passed <= (1 - NEARLY_ALL) * resident
    if not by_core and not by_ops:
        return None
    which, most = "", 0.0
    if "rejected_bytes" in run.ds and run.ds.sizes["filter"]:
        mine = np.flatnonzero(run.ds["filter_scheme"].values == n)
        amounts = run.ds["rejected_bytes"].values[mine].astype(float)
        if amounts.size:
            which, most = str(run.ds["filter_type"].values[mine[amounts.argmax()]]), float(amounts.max())
    by = f"the {which} filter rejected {format_bytes(most)}" if which else "filters rejected them"
    if by_core:
        text = f"{format_bytes(dropped)} matched and were dropped before anything was tried: {by}"
        return Cause("rejected-by-filters", n, text, {"dropped_bytes": dropped, "tried_bytes": tried, "filter": which})
    text = f"of {format_bytes(resident)} in pages looked at, {format_bytes(passed)} passed: {by}"
    return Cause(
        "rejected-by-filters",
        n,
        text,
        {"looked_at_bytes": resident, "passed_bytes": passed, "filter": which, "by_it_bytes": most},
    )


def _destination_full(state: State, one: SchemeRun) -> Cause | None:
    run = state.run
    wanted, no_frame, _ = wanted_and_full(run, one, 0.0)
    if not no_frame or no_frame < MOST * max(wanted, no_frame) or one.scheme.target_nid not in run.nids:
        if not (one.scheme.dests and no_frame and no_frame >= MOST * max(wanted, no_frame)):
            return None
    applied = run.last("sz_applied", one.number) * one.context.addr_unit
    nid = one.scheme.target_nid
    where, free = "a destination", 0
    if nid in run.nids:
        free = int(run.ds["free_pages"].values[-1, run.nids.index(nid)]) * run.page_bytes
        where = f"node {nid} ({format_bytes(free)} free at the end)"
    text = f"{format_bytes(no_frame)} passed and found no free frame on {where}; {format_bytes(applied)} were moved"
    return Cause(
        "destination-full", one.number, text, {"no_frame_bytes": no_frame, "applied_bytes": applied, "free_bytes": free}
    )


def _early_exit(state: State, one: SchemeRun) -> Cause | None:
    run, n, unit = state.run, one.number, one.context.addr_unit
    passed_over, tried = run.last("sz_early_exit", n) * unit, run.last("sz_tried", n) * unit
    if not passed_over or passed_over < NEARLY_ALL * tried:
        return None
    goal = state.goals_of(one)[0]
    seen = "never evaluated" if goal.value is None else f"{goal.value:.0f} of {goal.target:.0f}{goal.unit}"
    text = f"the early exit passed over {format_bytes(passed_over)} of {format_bytes(tried)}: {goal.name} is {seen}"
    return Cause("early-exit", n, text, {"passed_over_bytes": passed_over, "tried_bytes": tried, "value": goal.value})


def _failed_charges(state: State, one: SchemeRun) -> Cause | None:
    run, n, unit = state.run, one.number, one.context.addr_unit
    tried, applied = run.last("sz_tried", n) * unit, run.last("sz_applied", n) * unit
    held, full = (run.grown(name, n, state.tail_s) for name in ("held_windows", "full_windows"))
    if not run.has("sz_resident") or one.context.ops != "paddr" or not tried or not full or full < MOST * held:
        return None
    useless = max(tried - run.last("sz_resident", n) - run.last("sz_early_exit", n) * unit, 0.0)
    if useless < NEARLY_ALL * tried or applied > (1 - NEARLY_ALL) * tried:
        return None
    text = (
        f"of {format_bytes(tried)} that used up the quota {format_bytes(useless)} hold no page that the action can take, "
        f"{format_bytes(applied)} were {_done(one)}"
    )
    return Cause("failed-charges", n, text, {"tried_bytes": tried, "applied_bytes": applied, "useless_bytes": useless})


def _quota_limited(state: State, one: SchemeRun) -> Cause | None:
    run, n = state.run, one.number
    if not run.has("held_windows"):
        return None
    held, full = run.last("held_windows", n), run.last("full_windows", n)
    late = run.grown("held_windows", n, state.tail_s), run.grown("full_windows", n, state.tail_s)
    if not full or full < NEARLY_ALL * held or late[1] < NEARLY_ALL * late[0] or not state.unmet(one):
        return None
    esz = float(run.esz_bytes(one)[-1])
    bound = {1: "sz_bytes", 2: "ms", 3: "its goal's tuner"}.get(int(run.last("quota_bound", n)), "")
    by = f", set by {bound}" if bound else ""
    text = f"{full:.0f} of {held:.0f} windows ended with the quota full ({format_bytes(esz)}{by}) and the goal missed"
    return Cause("quota-limited", n, text, {"full_windows": full, "windows": held, "esz_bytes": esz, "bound_by": bound})


def _capacity(state: State, one: SchemeRun) -> Cause | None:
    run, n = state.run, one.number
    limit = limit_of(run, one, state.tail_s)
    if limit not in ("there", "gone") or not state.unmet(one):
        return None
    goal = state.goals_of(one)[0]
    if not goal.effect:  # what the action cannot change lacks no pages
        return None
    gap = f"{goal.name} is {goal.value:.0f} of {goal.target:.0f}{goal.unit}"
    matched = pages_of_pass(run, one)
    evidence: dict[str, Any] = {"value": goal.value, "target": goal.target, "matched_bytes": matched}
    if limit == "there":
        wanted, _, there = wanted_and_full(run, one, state.tail_s)
        evidence |= {"there_bytes": there, "elsewhere_bytes": wanted}
        most = "all" if not wanted else f"{math.floor(100 * there / (there + wanted)):.0f} %"
        text = f"{most} of what passed in the tail was on node {one.scheme.target_nid} already; {gap}"
        return Cause("capacity", n, text, evidence)
    applied = run.last("sz_applied", n) * one.context.addr_unit
    evidence["applied_bytes"] = applied
    return Cause("capacity", n, f"{format_bytes(applied)} were {_done(one)}, and nothing more is to be had; {gap}", evidence)


def _done(one: SchemeRun) -> str:
    return "reclaimed" if one.reclaims else "moved"


STAGES: tuple[Callable[[State, SchemeRun], Cause | None], ...] = (
    _asleep,
    _apply_starved,
    _run_too_short,
    met_at_start,
    _quota_below_region,
    _nothing_matches,
    _young_first_pass,
    _failed_charges,
    _rejected,
    _early_exit,
    _destination_full,
    _capacity,
    _quota_limited,
)
"""The funnel: the first stage that loses nearly everything is the scheme's cause."""
