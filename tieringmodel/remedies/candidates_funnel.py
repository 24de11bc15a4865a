"""What may help a scheme whose pages are lost on the way from waking up to moving: edits for each stage, smallest first."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..linting.rules.monitors import runs_by_phase
from ..linting.scheme_facts import facts_of
from ..scenario import Goal
from ..scenario.metrics import metric_of
from ..units import MIB, UINT_MAX, ULONG_MAX
from ..verdicts.page_run import SchemeRun
from ..verdicts.record import Cause
from ..verdicts.scheme_facts import apply_s, region_bytes, starved
from .case import Case
from .changes import Edits, plain

MOST_REGIONS = 20_000
"""More regions cost more time than they are worth."""
FREE_BP = 200
"""What is to be free on a node that pages are brought to for no goal."""
FACTORS = 4, 16
"""By what limits are raised."""


def apply_starved(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """Apply at each aggregation, or at the last one that interval tuning leaves; or tune less often."""
    attrs = one.context.attrs
    goal, path = attrs.intervals_goal, f"{one.path}.apply_interval_us"
    also = [s for s in case.run.schemes if starved(case.run, s) and s.acts and s.number != one.number]
    longest = goal.aggrs * attrs.aggr_us
    for value in (longest, 0):
        if value != one.scheme.apply_interval_us:
            yield [(path, value)]
    if goal.aggrs:
        needed = math.ceil(one.scheme.apply_interval_us / attrs.aggr_us)
        yield [(f"contexts.{one.context_number}.attrs.intervals_goal.aggrs", needed)]
    if also:
        yield [(f"{s.path}.apply_interval_us", 0) for s in (one, *also)]


def watermarks_inactive(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """Marks that the free memory lies between, or none."""
    free, marks = int(cause.evidence["free_permil"]), one.scheme.watermarks
    path = f"{one.path}.watermarks"
    if free < marks.low:
        yield [(f"{path}.low", free // 2)]
        yield [(f"{path}.low", 0)]
    else:
        above = min(free + max((1000 - free) // 2, 1), 1000)
        yield [(f"{path}.mid", above)] + ([(f"{path}.high", above)] if marks.high < above else [])
    yield [(f"{path}.metric", "none")]


def run_too_short(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """Intervals that end within the run."""
    if apply_s(one) >= case.run.end_s:
        yield [(f"{one.path}.apply_interval_us", 0)]
    if one.scheme.quota.reset_interval_ms * 1e-3 >= case.run.end_s:
        yield [(f"{one.path}.quota.reset_interval_ms", 1000)]


def temporal(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """The tuner without a state."""
    if one.scheme.quota.goals and one.scheme.quota.goal_tuner != "temporal":
        yield [(f"{one.path}.quota.goal_tuner", "temporal")]


def smaller_steps(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """A size quota whose steps stay inside the band; with it the tuner without a state."""
    quiet = case.quiet_bytes(one)
    for sz_bytes in (quiet, quiet // 4):
        if sz_bytes >= region_bytes(one) and not 0 < one.scheme.quota.sz_bytes <= sz_bytes:
            yield [(f"{one.path}.quota.sz_bytes", sz_bytes)]


def region_fits(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """A limit that holds a region."""
    quota, region = one.scheme.quota, region_bytes(one)
    if 0 < quota.sz_bytes < region:
        yield [(f"{one.path}.quota.sz_bytes", region)]
        yield [(f"{one.path}.quota.sz_bytes", max(MIB, 16 * region))]
    if quota.ms:
        yield [(f"{one.path}.quota.ms", 0)]


def nothing_matches(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """A pattern that matches what was seen, or monitoring that sees what the pattern asks for."""
    bound = cause.evidence.get("bound")
    yield from {"rate": _rate, "age": _age, "size": _size}[str(bound)](case, one)


def _rate(case: Case, one: SchemeRun) -> Iterator[Edits]:
    pattern, attrs, path = one.scheme.access_pattern, one.context.attrs, f"{one.path}.access_pattern"
    seen = case.seen(one, "nr_accesses")
    for least in sorted({seen, 1}, reverse=True):
        if 0 < least < pattern.min_nr_accesses:
            yield [(f"{path}.min_nr_accesses", least)]
    if pattern.max_nr_accesses < UINT_MAX:
        yield [(f"{path}.max_nr_accesses", max(seen, pattern.max_nr_accesses + 1))]
    if pattern.min_nr_accesses > seen and not attrs.intervals_goal.aggrs:
        factor = math.ceil(2 * pattern.min_nr_accesses / max(seen, 1))
        yield [(f"contexts.{one.context_number}.attrs.aggr_us", attrs.aggr_us * factor)]
    yield from more_regions(case, one, None)


def _age(case: Case, one: SchemeRun) -> Iterator[Edits]:
    pattern, path = one.scheme.access_pattern, f"{one.path}.access_pattern"
    for least in sorted({case.seen(one, "age"), 0}, reverse=True):
        if least < pattern.min_age:
            yield [(f"{path}.min_age", least)]
    if pattern.max_age < UINT_MAX:
        yield [(f"{path}.max_age", UINT_MAX)]
    yield from longer_look(case, one, None)


def _size(case: Case, one: SchemeRun) -> Iterator[Edits]:
    pattern, path = one.scheme.access_pattern, f"{one.path}.access_pattern"
    if pattern.min_sz_bytes:
        yield [(f"{path}.min_sz_bytes", 0)]
    if pattern.max_sz_bytes < ULONG_MAX:
        yield [(f"{path}.max_sz_bytes", ULONG_MAX)]


def more_regions(case: Case, one: SchemeRun, cause: Cause | None) -> Iterator[Edits]:
    """Enough regions to tell the workload's areas apart."""
    attrs, path = one.context.attrs, f"contexts.{one.context_number}.attrs"
    areas = int(runs_by_phase(facts_of(case.run.final), one.context_number, one.context).max())
    for n in (3 * areas,):
        if attrs.min_nr_regions < n <= MOST_REGIONS:
            wider = [(f"{path}.max_nr_regions", n)] if n > attrs.max_nr_regions else []
            yield [*wider, (f"{path}.min_nr_regions", n)]


def longer_look(case: Case, one: SchemeRun, cause: Cause | None) -> Iterator[Edits]:
    """More samples in an aggregation, whose counts wander less."""
    attrs = one.context.attrs
    if not attrs.intervals_goal.aggrs:
        yield [(f"contexts.{one.context_number}.attrs.aggr_us", 5 * attrs.aggr_us)]


def filters(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """The filter that rejects turned round, or left out; or all of them."""
    named, path = str(cause.evidence.get("filter", "young")), f"{one.path}.filters"
    given = one.scheme.filters
    for k, f in enumerate(given):
        if f.type == named:
            yield [(f"{path}.{k}.allow", not f.allow)]
            yield [(path, [plain(x) for i, x in enumerate(given) if i != k])]
    if len(given) > 1:
        yield [(path, [])]


def early_exit(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """Goals that do not stop a pass."""
    for path, g in case.goals_of(one):
        if g.goal.early_exit != "none":
            yield [(f"{path}.early_exit", "none")]


def room(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """Another node that has room, or a scheme that makes room."""
    free = case.ds["free_pages"].values[-1]
    for i, nid in enumerate(case.run.nids):
        if one.scheme.target_nid not in (nid, -1) and free[i] > case.run.n_pages / 100 and len(case.run.nids) > 2:
            yield [(f"{one.path}.target_nid", nid)]
    yield from opposite(case, one, cause)


def opposite(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """A scheme that brings pages back from where the goal's share is too large, with a gap between both goals."""
    scheme, target = one.scheme, one.scheme.target_nid
    if not scheme.action.startswith("migrate") or len(case.run.nids) < 2 or not case.covers(one.context_number, target):
        return
    free = case.ds["free_pages"].values[-1].tolist()
    back = max((amount, -i) for i, amount in enumerate(free) if case.run.nids[i] != target)
    back_nid, pattern = case.run.nids[-back[1]], scheme.access_pattern
    cold = pattern.replace(min_nr_accesses=0, max_nr_accesses=max(pattern.min_nr_accesses - 1, 0), min_age=0)
    added = scheme.replace(target_nid=back_nid, filters=())
    demoting = added.replace(action="migrate_cold", access_pattern=cold)
    wanted = [] if scheme.quota.goals else [(demoting, Goal("node_mem_free_bp", FREE_BP, nid=target))]
    for _, g in case.goals_of(one):
        metric, rest = metric_of(g.goal.metric), max(int(10_000 - g.target - g.band), 50)
        if g.effect <= 0 or g.goal.nid != target or metric.rest or g.goal.complement:
            continue
        if metric.counts == "eligible":
            wanted.append((added, Goal(g.goal.metric, rest, nid=back_nid)))
        elif metric.counts == "used":
            wanted.append((demoting, Goal(metric.opposite, rest, nid=target)))
    for new, goal in wanted:
        quota = scheme.quota.replace(
            goals=(goal,),
            goal_tuner="temporal",
            sz_bytes=scheme.quota.sz_bytes or case.quiet_bytes(one),
            reset_interval_ms=scheme.quota.reset_interval_ms or 1000,
        )
        yield [(f"contexts.{one.context_number}.schemes.{len(one.context.schemes)}", new.replace(quota=quota).to_dict())]


def charges(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """Charge little for what fails."""
    path = f"{one.path}.quota"
    yield [(f"{path}.fail_charge_num", 1), (f"{path}.fail_charge_denom", 4096)]
    yield from larger_quota(case, one, cause)


def whole_charges(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """Charge in full what fails."""
    path = f"{one.path}.quota"
    yield [(f"{path}.fail_charge_num", 0), (f"{path}.fail_charge_denom", 0)]


def larger_quota(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """More per window, or more windows."""
    quota, path = one.scheme.quota, f"{one.path}.quota"
    for factor in FACTORS:
        for name in ("sz_bytes", "ms"):
            if value := getattr(quota, name):
                yield [(f"{path}.{name}", value * factor)]
    if quota.reset_interval_ms * 1e-3 > 2 * apply_s(one):
        yield [(f"{path}.reset_interval_ms", max(quota.reset_interval_ms // 4, round(apply_s(one) * 1000)))]


def wider_pattern(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """Let more regions match."""
    pattern, path = one.scheme.access_pattern, f"{one.path}.access_pattern"
    for least in (1, 0):
        if pattern.min_nr_accesses > least:
            yield [(f"{path}.min_nr_accesses", least)]
    if pattern.min_age:
        yield [(f"{path}.min_age", 0)]


def lower_goal(case: Case, one: SchemeRun, cause: Cause) -> Iterator[Edits]:
    """Targets that were reached."""
    if case.found.kind == "unfinished":  # who knows how far it gets
        return
    edits = []
    for path, g in case.goals_of(one):
        reached = min(case.tail_values(g), default=0.0)
        unit = 100 if g.is_share and reached >= 200 else 10 ** max(int(math.log10(max(reached, 1))) - 1, 0)
        lower = int(reached // unit * unit)
        if g.effect > 0 and case.start(g) < lower < g.target:  # not what is met from the start
            edits.append((f"{path}.target_value", lower))
    if edits:
        yield edits


def switched_on(case: Case, one: SchemeRun | None, cause: Cause) -> Iterator[Edits]:
    """Enable a scheme that would act."""
    for s in case.run.schemes:
        if not s.scheme.enabled and (s.scheme.action.startswith("migrate") or s.scheme.action == "pageout"):
            yield [(f"{s.path}.enabled", True)]
