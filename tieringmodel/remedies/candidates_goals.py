"""What may help goals that exclude or cross each other or are blind, and weights: edits for each cause, smallest first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

from ..scenario.metrics import metric_of
from ..verdicts.goal_course import GoalCourse
from ..verdicts.page_run import SchemeRun
from ..verdicts.record import Cause
from .candidates_funnel import larger_quota
from .case import Case
from .changes import Edits, plain

AGES_S = 10.0, 60.0
"""For how long a region is to be untouched before it is reclaimed."""


def other_node(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """The goal on a node whose metric the action raises, or the metric's other side, or the pages to the goal's node."""
    for path, g in case.goals_of(one):
        if g.effect >= 0:
            continue
        for nid in case.run.nids:
            if nid != g.goal.nid and case.effect_at(one, g, nid) > 0:
                yield [(f"{path}.nid", nid)]
        if one.scheme.target_nid >= 0 and g.goal.nid != one.scheme.target_nid:
            yield [(f"{one.path}.target_nid", g.goal.nid)]
        other = metric_of(g.goal.metric).opposite
        if other and g.goal.target_value < 10_000:
            yield [(f"{path}.metric", other), (f"{path}.target_value", 10_000 - g.goal.target_value)]


def _facing(case: Case, number: int) -> Iterator[tuple[GoalCourse, GoalCourse]]:
    for a in case.goals:
        if a.of.number == number:
            yield from ((a, b) for b in a.opposite if b.of.acts)


def gap(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """A target lowered so that a gap wider than a step opens between the two; or smaller steps."""
    for a, b in _facing(case, one.number):
        step = float(cause.evidence.get("step_bp", max(case.step_bp(a), case.step_bp(b))))
        total = a.target + b.target
        # Wider than a step; twice that, for steps that wander; and one that only smaller steps stay inside.
        for wanted in (step + 100, 2 * step, 200.0):
            needed = total - 10_000 + math.ceil(wanted / 100) * 100
            for g in sorted((a, b), key=lambda g: -g.target):
                if 0 < needed < g.target:
                    yield [(f"{case.path_of(g)}.target_value", int(g.target - needed))]
        caps = [(s, case.quiet_bytes(s)) for s in (a.of, b.of)]
        edits = [(f"{s.path}.quota.sz_bytes", sz) for s, sz in caps if not 0 < s.scheme.quota.sz_bytes <= sz]
        yield edits
        tuners = [(f"{s.path}.quota.goal_tuner", "temporal") for s in (a.of, b.of)]
        yield tuners


def seeing_metric(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """A metric that the action changes: of the node that pages go to, or leave."""
    target = one.scheme.target_nid
    if not one.scheme.action.startswith("migrate") or target not in case.run.nids:
        return
    at = case.run.nids.index(target)
    used, free = (float(case.ds[name].values[0, at]) for name in ("used_pages", "free_pages"))
    more = min(free, case.run.last("sz_applied", one.number) * one.context.addr_unit / case.run.page_bytes) / 2
    wanted = int(1e4 * (used + more) / (used + free) // 10 * 10)
    for path, _ in case.goals_of(one):
        yield [(f"{path}.metric", "node_mem_used_bp"), (f"{path}.nid", target), (f"{path}.target_value", wanted)]


def disjoint(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """Patterns that no region matches both of; or a pause before a region is taken; or one scheme alone."""
    pair = [s for n in cause.evidence.get("schemes", ()) for s in case.schemes(n)]
    if len(pair) != 2:
        return
    hot, cold = sorted(pair, key=lambda s: -s.scheme.access_pattern.min_nr_accesses)
    a, b = hot.scheme.access_pattern, cold.scheme.access_pattern
    if a.min_nr_accesses and b.max_nr_accesses >= a.min_nr_accesses:
        yield [(f"{cold.path}.access_pattern.max_nr_accesses", a.min_nr_accesses - 1)]
    elif not a.min_nr_accesses:
        yield [(f"{hot.path}.access_pattern.min_nr_accesses", 1), (f"{cold.path}.access_pattern.max_nr_accesses", 0)]
    yield from older(case, cold, cause)
    for s in (cold, hot):
        if not s.scheme.quota.goals:
            yield [(f"{s.path}.enabled", False)]


def older(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """Take only what nobody touched for a while."""
    pattern, path = one.scheme.access_pattern, f"{one.path}.access_pattern"
    if pattern.max_nr_accesses and not pattern.min_nr_accesses:
        yield [(f"{path}.max_nr_accesses", 0)]
    for age_s in AGES_S:
        if (age := round(age_s * 1e6 / one.context.attrs.aggr_us)) > pattern.min_age:
            yield [(f"{path}.min_age", age)]


def less_reclaim(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """A goal that leaves in memory what comes back."""
    for path, g in case.goals_of(one):
        start, reached = case.start(g), min(max(case.tail_values(g), default=0.0), g.target)
        if g.is_share and (lower := int((start + reached) / 2 // 10 * 10)) > start + g.band:
            yield [(f"{path}.target_value", lower)]


def quicker(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """Keep up with the workload."""
    if one.scheme.quota.goals:
        yield from larger_quota(case, one, cause)


def offsets(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """Let a page's offset decide where it goes, which no move changes."""
    yield [(f"{one.path}.dest_rule", "vma_offset")]


def finer_weights(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """The same weights by smaller numbers, so that their cycle is shorter than what is hot; or more per window."""
    if cause.evidence.get("pending"):
        yield from larger_quota(case, one, cause)
    dests = one.scheme.dests
    weights = [d.weight for d in dests]
    common = math.gcd(*weights) or 1
    for reduced in ([w // common for w in weights], _nearly(weights)):
        if reduced and reduced != weights:
            yield [(f"{one.path}.dests", [plain(d.replace(weight=w)) for d, w in zip(dests, reduced, strict=True)])]


def _nearly(weights: list[int], most: int = 10) -> list[int]:
    """Return small weights of nearly the same shares; none where a share would be lost."""
    total = sum(weights)
    shares = [Fraction(w, total).limit_denominator(most) for w in weights] if total else []
    scale = math.lcm(*(s.denominator for s in shares)) if shares else 1
    out = [int(s * scale) for s in shares]
    return out if sum(out) == scale and all((w > 0) == (n > 0) for w, n in zip(weights, out, strict=True)) else []
