"""Causes beside the funnel: goals that exclude each other, what the workload undoes, overshoot, weights, wrong nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..scenario.metrics import metric_of
from ..units import format_bytes
from .causes_pair_and_rule import RULE_CODES
from .goal_course import FULL_BP, GoalCourse
from .record import Cause
from .scheme_facts import MOST, quota_full, weights_error_bp
from .state import State
from .work_done import kernel_moves

BROKEN = 2.0
"""A quota is broken if so many times its bytes pass between two records."""


def _wrong_node(state: State) -> Iterator[Cause]:
    for g in state.goals:
        applied = state.run.last("sz_applied", g.of.number) * g.of.context.addr_unit
        if g.effect >= 0 or not applied or not g.missed_since(state.tail_s):
            continue
        start = g.start
        if g.value is None or start - g.value <= 0:
            continue
        does = "reclaims" if g.of.scheme.action == "pageout" else f"moves pages to node {g.of.scheme.target_nid}"
        text = f"it {does}, which lowers {g.name}: {start:.0f} at first, {g.value:.0f} now, {g.target:.0f} asked for"
        evidence = {"first_value": start, "value": g.value, "target": g.target, "applied_bytes": applied}
        yield Cause("wrong-node", g.of.number, text, evidence)


def _metric_blind(state: State) -> Iterator[Cause]:
    run = state.run
    for g in state.goals:
        applied = run.last("sz_applied", g.of.number) * g.of.context.addr_unit
        if not g.blind or not g.missed_since(state.tail_s) or applied <= run.limits.stuck_share * run.memory_bytes:
            continue
        known = g.values[g.evaluated & (run.time >= state.tail_s)]
        if not known.size or np.ptp(known) > g.band:
            continue
        also = ""
        if g.of.scheme.action == "pageout" and not g.of.reclaims:
            also = "; pageout of virtual addresses is counted here, no page leaves memory"
        text = f"{format_bytes(applied)} were applied and {g.name} stayed at {known[-1]:.0f} of {g.target:.0f}{g.unit}{also}"
        evidence = {"applied_bytes": applied, "value": float(known[-1]), "range": float(np.ptp(known)), "target": g.target}
        yield Cause("metric-blind", g.of.number, text, evidence)


def _both_move(state: State, a: GoalCourse, b: GoalCourse) -> bool:
    return all(state.run.grown("sz_applied", g.of.number, state.tail_s) > 0 for g in (a, b))


def _pairs(state: State) -> Iterator[tuple[GoalCourse, GoalCourse]]:
    for a in state.goals:
        yield from ((a, b) for b in a.opposite if a.number < b.number and b.of.acts)


def asked(g: GoalCourse) -> str:
    """Return a goal as what it asks for."""
    return f"{g.name} >= {g.target:.0f}"


def _overlap(state: State) -> Iterator[Cause]:
    for a, b in _pairs(state):
        total = a.target + b.target
        if total > FULL_BP and state.kind != "converged":
            text = f"{asked(a)} and {asked(b)} ask for {total:.0f} of 10000 bp: one of them is always missed"
            yield Cause("goals-overlap", a.of.number, text, {"targets": [a.target, b.target], "sum_bp": total})


def step_bp(state: State, g: GoalCourse) -> float:
    """Return by how much one window's moves of a goal's scheme changed its share at most in the tail, bp."""
    run = state.run
    applied, resets = run.column("sz_applied", g.of.number), run.column("resets", g.of.number)
    if applied is None or resets is None:
        return 0.0
    late = run.time >= state.tail_s
    ends = np.flatnonzero(np.diff(resets[late], prepend=-1.0))  # a window begins where the quota is evaluated
    moved = np.diff(applied[late][ends], append=applied[-1]) * g.of.context.addr_unit
    return FULL_BP * float(moved.max(initial=0.0)) / max(run.bytes_shared(g.goal), 1.0)


def _no_gap(state: State) -> Iterator[Cause]:
    if state.at_rest:
        return
    for a, b in _pairs(state):
        gap, step = FULL_BP - a.target - b.target, max(step_bp(state, a), step_bp(state, b))
        if not 0 <= gap < step or not _both_move(state, a, b):
            continue
        met = "in one point only" if gap == 0 else f"within {gap:.0f} bp only"
        text = (
            f"{asked(a)} and {asked(b)} are both met {met}, and a window's moves change the share by up to {step:.0f} bp: "
            "it steps over"
        )
        yield Cause("no-gap", a.of.number, text, {"targets": [a.target, b.target], "gap_bp": gap, "step_bp": step})


def _drift(state: State) -> Iterator[Cause]:
    run = state.run
    if not run.keeps_changing:
        return
    at = run.leaks_s if run.leaks_on else run.rate_changes_s
    what = "memory of a node was taken or given back" if run.leaks_on else "the workload changed"
    swings = {g.name: float(np.ptp(g.values[g.evaluated])) for g in state.goals if g.evaluated.any()}
    moved = run.moved[run.time >= state.tail_s].sum() * run.page_bytes
    if not moved and state.at_rest:
        return
    text = f"{what} {at.size} times, last at {at[-1]:.0f} s; {format_bytes(moved)} moved in the tail"
    yield Cause("drift", None, text, {"changes": int(at.size), "last_s": float(at[-1]), "swing": swings, "moved_bytes": moved})


def _leak(state: State) -> Iterator[Cause]:
    """A share that falls although its scheme moves with a full quota: something moves it the other way."""
    run = state.run
    if state.kind != "saturated":
        return
    for g in state.goals:
        if g.opposite or not g.missed_since(state.tail_s) or g.effect <= 0 or not quota_full(run, g.of, state.tail_s):
            continue
        moved = run.grown("sz_applied", g.of.number, state.tail_s) * g.of.context.addr_unit
        late = g.values[(run.time >= state.tail_s) & g.evaluated]
        by_moves = FULL_BP * moved / max(run.bytes_shared(g.goal), 1.0)
        if late.size > 1 and late[-1] - late[0] <= min(g.band, by_moves / 2) and by_moves > g.band:
            course = f"{g.name} went from {late[0]:.0f} to {late[-1]:.0f}"
            text = f"{format_bytes(moved)} moved in the tail with the quota full, worth {by_moves:.0f} bp, and {course}"
            yield Cause("drift", g.of.number, text, {"moved_bytes": moved, "from": float(late[0]), "to": float(late[-1])})


def _refaults(state: State) -> Iterator[Cause]:
    run = state.run
    if not run.has("faulted_pages"):
        return
    faulted = run.values("faulted_pages")
    back, out = float(faulted.sum()), float(run.values("reclaimed_pages").sum())
    if faulted[run.time >= state.tail_s].any() and back >= 0.1 * out:
        one = next((s for s in run.schemes if s.reclaims and s.acts), None)
        text = f"of {format_bytes(out * run.page_bytes)} reclaimed {format_bytes(back * run.page_bytes)} came back"
        evidence = {"reclaimed_pages": out, "faulted_pages": back}
        yield Cause("refaults", one.number if one else None, text, evidence)


def broken_quotas(state: State) -> Iterator[Cause]:
    """Yield schemes whose failures are charged in part, and which let several quotas pass to a disk at once."""
    run = state.run
    of = run.scenario.machine.swap
    if of is None or of.kind != "disk" or not run.has("device_wait_us"):
        return
    waited, written = run.values("device_wait_us"), run.values("device_written_pages")
    for one in (s for s in run.schemes if s.reclaims and s.acts and s.scheme.quota.fail_charge_denom):
        passed, esz = run.column("sz_ops_filter_passed", one.number), run.esz_bytes(one)
        applied = run.column("sz_applied", one.number)
        if passed is None or applied is None:
            continue
        unit = one.context.addr_unit
        at_once = np.diff(passed, prepend=0.0) * unit
        failed = at_once - np.diff(applied, prepend=0.0) * unit
        broken = (esz > 0) & (failed > BROKEN * esz) & (written > 0)
        if not broken.any():
            continue
        k = int(np.argmax(np.where(broken, failed, 0.0)))
        quota = one.scheme.quota
        text = (
            f"{format_bytes(at_once[k])} passed at once under a quota of {format_bytes(esz[k])}: a page first written to disk "
            f"is not freed yet, counts as failed and is charged {quota.fail_charge_num}/{quota.fail_charge_denom}; kdamond "
            f"waited {waited[k] * 1e-6:.1f} s for the device"
        )
        evidence = {
            "passed_bytes": float(at_once[k]),
            "failed_bytes": float(failed[k]),
            "esz_bytes": float(esz[k]),
            "at_s": float(run.time[k]),
            "waited_s": float(waited[k]) * 1e-6,
            "written_pages": float(written[k]),
        }
        yield Cause("quota-broken", one.number, text, evidence)


def _measured(state: State) -> Iterator[Cause]:
    """The eligible metric sees regions that match; the truth is where the pages that it is after lie."""
    run = state.run
    if state.kind not in ("wrong-point", "saturated", "limit-cycle", "stuck"):
        return
    late = run.time >= state.tail_s
    for g in state.goals:
        if metric_of(g.goal.metric).counts != "eligible" or g.goal.nid not in run.nids or not g.evaluated.any():
            continue
        truth = run.matching_share_bp(g.of)[late, run.nids.index(g.goal.nid)]
        truth = 1e4 - truth if metric_of(g.goal.metric).rest != g.goal.complement else truth
        seen = g.values[late]
        known = ~np.isnan(truth) & ~np.isnan(seen)
        if not known.any():
            continue
        apart, error = float((seen[known] - truth[known]).mean()), abs(float(seen[known].mean()) - g.target)
        if abs(apart) > max(g.band, error):
            measured, true = float(seen[known].mean()), float(truth[known].mean())
            text = f"{g.name} reads {measured:.0f} bp in the tail, and {true:.0f} bp of the pages it is after lie there"
            yield Cause("measured-differs", g.of.number, text, {"measured_bp": measured, "true_bp": true})


def _overshot(state: State) -> Iterator[Cause]:
    """One-way goals past their target: who carried them there."""
    run = state.run
    if state.kind not in ("wrong-point", "unfinished", "runaway"):
        return
    for g in state.goals:
        applied = run.column("sz_applied", g.of.number)
        if g.effect <= 0 or g.value is None or g.opposite or g.always_met or applied is None or not applied[-1]:
            continue
        past = g.value - g.target
        entered = np.flatnonzero(g.met[1:] & ~g.met[:-1] & g.since[1:]) + 1
        if past <= g.band or not entered.size:
            continue
        # What moved in windows that began with the goal met is the tuner's doing, what the last window before did is a step.
        began_met = g.met[:-1] & g.since[1:]
        moved = float(np.diff(applied)[began_met].sum()) * g.of.context.addr_unit / run.page_bytes
        carried = float(np.diff(g.values)[began_met].sum())
        esz = float(run.esz_bytes(g.of)[g.met].max())
        last = int(entered[-1])
        when = f"when {g.name} was met at {run.time[last]:.1f} s"
        before, at = float(g.values[last - 1]), float(g.values[last])
        if moved and esz and carried >= MOST * past:
            text = (
                f"{when}, the {g.of.scheme.quota.goal_tuner} tuner still allowed up to {format_bytes(esz)} per window: "
                f"{moved:.0f} pages moved with the goal met, to {past:.0f}{g.unit} past it"
            )
            evidence = {"esz_bytes_when_met": esz, "moved_after_met_pages": moved, "value_when_met": at, "value": g.value}
            yield Cause("tuner-windup", g.of.number, text, evidence)
        elif before < g.target and at - g.target >= MOST * past:
            text = f"{when}, one window had carried it from {before:.0f} to {at:.0f}, past the goal of {g.target:.0f}"
            yield Cause("step-over", g.of.number, text, {"before": before, "after": at, "target": g.target})
        if not [s for s in run.schemes if s.acts and s.number != g.of.number]:
            again = f" (it was met and missed again {entered.size - 1} times)" if entered.size > 2 else ""
            text = f"{g.name} is {past:.0f}{g.unit} past its goal{again}, and no scheme moves pages the other way"
            text += f"; {said} meanwhile" if (said := kernel_moves(run)) else ""
            evidence = {"value": g.value, "target": g.target, "times_met": int(entered.size)}
            yield Cause("one-way", g.of.number, text, evidence)


WHY = {
    "iid": "each visit draws a page's node anew",
    "per_node": "each visit draws anew which pages go where",
    "push_only": "each visit draws anew which pages are pushed",
    "pfn_mod": "the frame number names the node, and every move changes it",
    "first": "the rank among frames names the node, and every move changes who ranks where",
    "last": "the rank among frames names the node, and every move changes who ranks where",
}


def _weights(state: State) -> Iterator[Cause]:
    run = state.run
    for one in (s for s in run.schemes if s.acts and s.scheme.dests):
        off = weights_error_bp(run, one)
        moved = run.grown("sz_applied", one.number, state.tail_s) * one.context.addr_unit
        off_bp = abs(off[0]) if off else 0.0
        evidence: dict[str, Any] = {"moved_bytes": moved, "off_bp": off_bp, "rule": one.scheme.dest_rule}
        where = (
            f"; node {off[1]} has {abs(off[0]):.0f} bp too {'many' if off[0] > 0 else 'few'} of the pages that match"
            if off
            else ""
        )
        if one.scheme.dest_rule in WHY:
            code, text = RULE_CODES[one.scheme.dest_rule], WHY[one.scheme.dest_rule]
            if moved or (off_bp > run.limits.band_bp and run.last("sz_applied", one.number)):
                yield Cause(code, one.number, f"{text}: {format_bytes(moved)} moved in the tail{where}", evidence)
        elif off_bp > run.limits.band_bp and run.last("nr_due", one.number):
            waits = bool(moved) and quota_full(run, one, state.tail_s)
            why = (
                "its quota is full in every window, pages are still pending"
                if waits
                else "hot offsets are not spread evenly over them"
            )
            evidence["pending"] = waits
            yield Cause("offset-rule", one.number, f"each page's offset names its node{where}: {why}", evidence)


def _opposing(state: State) -> Iterator[Cause]:
    run = state.run
    moving = [s for s in run.schemes if s.acts and not s.reclaims and run.last("sz_applied", s.number) > 0]
    opposed = {frozenset((a.of.number, b.of.number)) for a, b in _pairs(state)}
    if len(moving) != 2 or "undone_pages" not in run.ds or state.at_rest:
        return
    a, b = moving
    since_s = max(a.since_s, b.since_s)
    late = run.after(since_s)
    undone = float(run.values("returns")[late].sum() if since_s else run.values("undone_pages").sum())
    moved = float(run.moved[late].sum())
    if frozenset((a.number, b.number)) in opposed or a.scheme.target_nid == b.scheme.target_nid or undone < 0.1 * moved:
        return
    text = f"{undone:.0f} of {moved:.0f} moves were undone: it and scheme {b.number} move the same pages to and fro"
    evidence = {"undone_pages": undone, "moved_pages": moved, "schemes": [a.number, b.number]}
    yield Cause("opposing-schemes", a.number, text, evidence)


DYNAMICS: tuple[Callable[[State], Iterator[Cause]], ...] = (
    _wrong_node,
    _overlap,
    _no_gap,
    _weights,
    _opposing,
    _drift,
    _leak,
    _refaults,
    _metric_blind,
    _overshot,
    _measured,
)
