"""Rules about how the two tuners approach a goal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ...scenario import Scenario
from ...units import ULONG_MAX, format_bytes
from ..finding import Finding, fix, rule
from ..first_move import SLOW_S, age_s, first_pass_s, score_at_start, unlimited_at_first
from ..goal_reading import reading
from ..plant import Course, Plant, consist_course, first_evaluation, plant
from ..scheme_facts import SchemeFacts, facts_of
from ..wording import base2_cap, duration, ordinal, size

BAND = 0.02
"""Overshoot within this share of the target is not worth a warning."""
TEMPORAL = "set goal_tuner = 'temporal'"


def tuned(scenario: Scenario, tuner: str) -> Iterator[SchemeFacts]:
    """Yield the schemes with goals whose quota the tuner sets more than once, as far as they are ever applied."""
    for facts in facts_of(scenario).schemes:
        quota = facts.scheme.quota
        if quota.goals and quota.goal_tuner == tuner and not (math.isinf(facts.window_us) or facts.starved or facts.asleep):
            yield facts


def temporal(facts: SchemeFacts, **more: int) -> tuple[dict[str, Any], ...]:
    """Return the change to the other tuner."""
    path = f"{facts.path}.quota"
    return fix({f"{path}.goal_tuner": "temporal"} | {f"{path}.{name}": value for name, value in more.items()})


def quiet_cap(facts: SchemeFacts, p: Plant | None, target_bp: int = 10_000) -> int:
    """Return a size quota in bytes that moves at most `BAND` of the target in one window."""
    return base2_cap((p.n_pages if p else facts.touched_pages or 2**16) * target_bp * BAND / 10_000)


def only_goal(facts: SchemeFacts) -> tuple[Plant, int] | None:
    """Return plant and target of a scheme with one goal that starts below its target; None otherwise."""
    goals = facts.scheme.quota.goals
    p, now = plant(facts, goals[0]), reading(facts, goals[0])
    if len(goals) != 1 or p is None or now is None or p.bp(p.start_pages) >= now.target:
        return None
    return p, now.target


@rule
def first_move(scenario: Scenario) -> Iterator[Finding]:
    """CONSIST starts at one byte; how long until its quota holds a region, and until a page can move."""
    for facts in facts_of(scenario).schemes:
        quota = facts.scheme.quota
        if facts.starved and quota.goals:
            text = "nothing moves: interval tuning never lets the scheme be applied (apply-starved)"
            path = f"{facts.path}.apply_interval_us"
            change = fix({path: facts.clock.round_ticks * facts.clock.shortest_us})
            yield Finding("first-move", "info", path, text, changes=change)
        elif age_s(facts) > SLOW_S and quota.goal_tuner != "consist":
            yield Finding("first-move", "info", f"{facts.path}.access_pattern.min_age", _held_up(facts).removeprefix("; "))
    for facts in tuned(scenario, "consist"):
        quota, step = facts.scheme.quota, facts.context.min_region_sz
        best = first_evaluation(0, step, quota.esz_bp0)
        if best is None or quota.esz_floor_min_region or 0 < quota.sz_bytes < step or unlimited_at_first(facts):
            continue
        text = (
            f"CONSIST starts at {format_bytes(max(quota.esz_bp0 // 10_000, 1))} and at most doubles per window: its "
            f"quota first holds a region of {format_bytes(step)} at the {ordinal(best)} evaluation, after "
            f"{duration(facts.evaluation_s(best))}, even while the metric is 0"
        )
        slow, score = facts.evaluation_s(best) > SLOW_S, score_at_start(facts)
        if score:
            exact = all(r.exact for r in (reading(facts, g) for g in quota.goals) if r)
            text += f"; from the initial placement the score is {'' if exact else 'about '}{score}"
            k = first_evaluation(score, step, quota.esz_bp0) if score < 10_000 else None
            if score >= 10_000:
                text += ": achieved, nothing moves"
            else:
                text += f" (x {2 - score / 10_000:.4f} per window)"
                text += (
                    f": at the {ordinal(k)} evaluation, after {duration(facts.evaluation_s(k))}"
                    if k
                    else ", for which a million windows do not suffice"
                )
                slow = slow or k is None or facts.evaluation_s(k) > SLOW_S
        size_too = {} if quota.sz_bytes else {"sz_bytes": quiet_cap(facts, plant(facts, quota.goals[0]))}
        remedy = TEMPORAL + "".join(f" with {name} = {value}" for name, value in size_too.items())
        yield Finding(
            "first-move",
            "warning" if slow else "info",
            f"{facts.path}.quota.goal_tuner",
            text + _held_up(facts),
            f"{remedy}: it has no dead time",
            temporal(facts, **size_too),
        )


def _held_up(facts: SchemeFacts) -> str:
    """Return what else keeps pages back, in words."""
    age, look = age_s(facts), first_pass_s(facts)
    text = f"; a region matches when it is {duration(age)} old" if age else ""
    return text + (
        f"; the first look at a page only makes it old, and looking once at all takes {duration(look)}" if look else ""
    )


@rule
def windup_under_cap(scenario: Scenario) -> Iterator[Finding]:
    """CONSIST's state is not limited by the size quota: it grows on and takes windows to come back."""
    for facts in tuned(scenario, "consist"):
        quota = facts.scheme.quota
        if not facts.context.min_region_sz <= quota.sz_bytes < ULONG_MAX // 10_000:
            continue
        back = math.ceil(math.log(ULONG_MAX / 10_000 / quota.sz_bytes) / -math.log(0.8))
        text = (
            f"the size quota of {format_bytes(quota.sz_bytes)} limits what is done, not the tuner's state, which "
            f"goes on growing while the goal is missed: from its largest value it takes {back} windows at a score "
            "of 12000 until the quota is below the cap"
        )
        level, alone = "info" if (score_at_start(facts) or 0) >= 10_000 else "warning", only_goal(facts)
        if alone and quota.goals[0].early_exit == "none":
            p, target = alone
            course = consist_course(p, target, quota.sz_bytes, quota.esz_bp0)
            if course:
                text += f"; {_told(facts, p, target, course)}"
                level = "info" if p.bp(course.end_pages) <= target * (1 + BAND) else level
        path = f"{facts.path}.quota.sz_bytes"
        yield Finding("windup-under-cap", level, path, text, f"{TEMPORAL}: it has no state", temporal(facts))


def _told(facts: SchemeFacts, p: Plant, target: int, course: Course) -> str:
    """Return what CONSIST does on static memory, in words."""
    goal, at_cap = facts.scheme.quota.goals[0], facts.scheme.quota.sz_bytes
    text = (
        f"alone on static memory the {target} bp are reached at window {course.crossing} "
        f"({duration(facts.evaluation_s(course.crossing + 1))}) with a state of {format_bytes(course.esz_bytes)}"
    )
    if course.windows_above:
        hold = "from then on" if math.isinf(course.windows_above) else f"for {course.windows_above:.0f} windows more"
        text += f", the quota {'is the whole cap' if at_cap else 'holds a page'} {hold}"
    return f"{text}, and {goal.metric} ends at {p.bp(course.end_pages)} bp"


@rule
def consist_overshoot(scenario: Scenario) -> Iterator[Finding]:
    """CONSIST without a size quota crosses its goal with all that its quota has grown to."""
    for facts in tuned(scenario, "consist"):
        quota, alone = facts.scheme.quota, only_goal(facts)
        if not alone or quota.sz_bytes or quota.ms or quota.goals[0].early_exit != "none":
            continue
        p, target = alone
        course = consist_course(p, target, None, quota.esz_bp0)
        if course is None or p.bp(course.end_pages) <= target * (1 + BAND):
            continue
        yield Finding(
            "consist-overshoot",
            "warning",
            f"{facts.path}.quota.sz_bytes",
            "without a size quota the overshoot mirrors the approach, for the quota shrinks by 2 - score per "
            "window only; " + _told(facts, p, target, course),
            f"set sz_bytes = {quiet_cap(facts, p, target)} with goal_tuner = 'temporal'",
            temporal(facts, sz_bytes=quiet_cap(facts, p, target)),
        )


@rule
def no_cap(scenario: Scenario) -> Iterator[Finding]:
    """TEMPORAL without a cap: one window moves everything that matches."""
    for facts in tuned(scenario, "temporal"):
        quota = facts.scheme.quota
        if quota.sz_bytes or quota.ms or not facts.migrates or any(g.early_exit == "both_fresh" for g in quota.goals):
            continue
        text = "without a size quota TEMPORAL grants everything that matches until the goals are read again, "
        text += f"{duration(facts.window_us * 1e-6)} later"
        level, alone = "warning", only_goal(facts)
        if alone:
            p, target = alone
            end = p.bp(p.reach_pages)
            text += (
                f": the first window moves {size(p.reach_pages - p.start_pages)}, {quota.goals[0].metric} goes from "
                f"{p.bp(p.start_pages)} to {end} bp, target {target}"
            )
            level = "info" if end <= target * (1 + BAND) else level
        elif facts.target is not None:
            text += f": {size(sum(facts.supply()[i] for i in facts.sources))} in one window"
        path = f"{facts.path}.quota.sz_bytes"
        change = fix({path: quiet_cap(facts, *alone) if alone else quiet_cap(facts, None)})
        yield Finding("no-cap", level, path, text, changes=change)
