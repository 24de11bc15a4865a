"""Which candidates each cause has: code → functions that yield edits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

from ..linting import lint
from ..verdicts.page_run import SchemeRun
from ..verdicts.record import Cause
from . import candidates_funnel as funnel
from . import candidates_goals as goals
from .case import Case
from .changes import Candidate, Edits, both, candidate

Builder = Callable[[Case, SchemeRun, Cause], Iterator[Edits]]
MOST_PAIRS = 24

TABLE: dict[str, tuple[Builder, ...]] = {
    "watermarks-inactive": (funnel.watermarks_inactive,),
    "apply-starved": (funnel.apply_starved,),
    "run-too-short": (funnel.run_too_short,),
    "quota-below-region": (funnel.temporal, funnel.region_fits, funnel.smaller_steps),
    "nothing-matches": (funnel.nothing_matches,),
    "young-first-pass": (funnel.filters,),
    "rejected-by-filters": (funnel.filters,),
    "early-exit": (funnel.early_exit,),
    "destination-full": (funnel.room, funnel.lower_goal),
    "failed-charges": (funnel.charges,),
    "capacity": (funnel.wider_pattern, funnel.lower_goal),
    "quota-limited": (funnel.temporal, funnel.larger_quota, funnel.lower_goal),
    "wrong-node": (goals.other_node,),
    "goals-overlap": (goals.gap,),
    "no-gap": (goals.gap,),
    "redraw": (goals.offsets,),
    "frame-rule": (goals.offsets,),
    "rank-rule": (goals.offsets,),
    "offset-rule": (goals.finer_weights,),
    "opposing-schemes": (goals.disjoint,),
    "drift": (funnel.temporal, goals.quicker),
    "refaults": (goals.older, goals.less_reclaim),
    "quota-broken": (funnel.whole_charges,),
    "metric-blind": (goals.seeing_metric,),
    "tuner-windup": (funnel.temporal, funnel.smaller_steps),
    "step-over": (funnel.smaller_steps, funnel.temporal),
    "one-way": (funnel.temporal, funnel.smaller_steps, funnel.opposite),
    "measured-differs": (funnel.more_regions, funnel.longer_look),
    "nothing-acts": (funnel.switched_on,),
    "unexplained": (funnel.temporal, funnel.smaller_steps, funnel.larger_quota),
}
"""For ``met-at-start`` there is nothing to help."""
MORE = ("quota-limited", "capacity")
"""Codes of schemes that could do with more."""
LATER = ("wrong-node", "goals-overlap", "no-gap", "opposing-schemes", "drift", "tuner-windup", "step-over", "one-way")
"""Codes of pages that move: while none does, nothing is gained by changing what they are about."""


def singles(case: Case) -> list[Candidate]:
    """Return one change for each thing that may help, in order of the causes, without repeats; if nothing is known, lint's."""
    out: list[Candidate] = []
    causes = case.found.causes
    if case.found.kind in ("idle", "stuck") and causes and causes[0].code not in LATER:
        causes = tuple(c for c in causes if c.code not in LATER)
    astray = {c.scheme for c in causes if c.code in ("metric-blind", "wrong-node")}  # more of the same is no help
    causes = tuple(c for c in causes if c.code not in MORE or c.scheme not in astray)
    for cause in causes:
        for builder in TABLE.get(cause.code, ()):
            for one in case.schemes(cause.scheme) or case.run.schemes[:1]:
                for edits in builder(case, one, cause):
                    made = candidate(case.scenario, edits, cause.code)
                    if made:
                        out.append(made)
    if not out and causes:
        remedies = [[(c["path"], c["value"]) for c in f.changes] for f in lint(case.scenario) if f.level != "info"]
        out = [made for edits in remedies if (made := candidate(case.scenario, edits, causes[0].code))]
    return unique(out)


def unique(candidates: list[Candidate]) -> list[Candidate]:
    """Return the first of each kind of equal changes."""
    out: dict[frozenset[tuple[str, str]], Candidate] = {}
    for one in candidates:
        out.setdefault(one.key, one)
    return list(out.values())


def pairs(case: Case, ones: list[Candidate]) -> list[Candidate]:
    """Return two changes made at once, for all that change different things; the first of them in order."""
    made = [both(one, other, case.scenario) for one, other in combinations(ones, 2)]
    return unique([*ones, *(pair for pair in made if pair)])[len(ones) :][:MOST_PAIRS]
