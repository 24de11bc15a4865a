"""Facts of a scheme in a run that kinds and causes both ask for: what was due, what grows, what binds."""

from __future__ import annotations

import math

import numpy as np

from .goal_course import GoalCourse
from .page_run import PageRun, SchemeRun

NEARLY_ALL, NEARLY_NOTHING = 0.9, 0.001
"""Parts from which on a stage loses nearly everything, or lets nearly nothing pass."""
MOST = 0.5
FEW_WINDOWS = 3
"""A tail of fewer windows does not show that a scheme gets nothing more."""


def missed(run: PageRun, goals: list[GoalCourse], tail_s: float) -> bool:
    """Return whether a scheme's goals are missed: none of them was met in any evaluation of the tail."""
    return bool(goals) and all(g.missed_since(tail_s) for g in goals)


def apply_s(one: SchemeRun) -> float:
    """Return a scheme's apply interval in seconds."""
    return (one.scheme.apply_interval_us or one.context.attrs.aggr_us) * 1e-6


def starved(run: PageRun, one: SchemeRun) -> bool:
    """Return whether interval tuning restarted the apply clock each time before it ended."""
    return run.has("nr_restarted") and not run.last("nr_due", one.number) and run.last("nr_restarted", one.number) > 0


def too_short(run: PageRun, one: SchemeRun) -> tuple[str, float] | None:
    """Return what the run's length alone kept back, and when it would have come (s); None if nothing."""
    if not run.has("nr_due") or starved(run, one) or run.asleep_s(one) > 0:
        return None
    if not run.last("nr_due", one.number):
        return "first application", one.since_s + apply_s(one)
    quota = one.scheme.quota
    first_s, resets = one.came_s + quota.reset_interval_ms * 1e-3, run.column("resets", one.number)
    evaluated = 0.0 if resets is None else float(resets[-1])
    if (quota.goals or quota.sz_bytes or quota.ms) and evaluated <= 1 and first_s >= run.end_s:
        return "end of its first quota window", first_s
    return None


def growth(run: PageRun, one: SchemeRun, since_s: float) -> float:
    """Return by what factor the effective quota grew per window since a time; 1 = not at all."""
    esz = run.column("esz_bp", one.number)
    if esz is None:
        return 1.0
    since_s = max(since_s, one.came_s)
    first = esz[run.at(since_s)]
    windows = max((run.end_s - since_s) / run.window_s, 1.0)
    return float((esz[-1] / first) ** (1 / windows)) if first > 0 and esz[-1] > 0 else 1.0


def region_bytes(one: SchemeRun) -> int:
    """Return the bytes of the smallest region."""
    return one.context.min_region_sz * one.context.addr_unit


def waits_for_growth(run: PageRun, one: SchemeRun, since_s: float) -> bool:
    """Return whether the effective quota binds a missed goal and still grows."""
    if not one.scheme.quota.goals or growth(run, one, since_s) <= 1.001:
        return False
    under = float(run.esz_bytes(one)[-1]) < region_bytes(one)
    if under or not run.has("held_windows"):
        return under
    held, full = (run.grown(name, one.number, since_s) for name in ("held_windows", "full_windows"))
    capped = run.last("quota_bound", one.number) == 1
    return bool(held and held == full and not capped)


def first_hold_s(run: PageRun, one: SchemeRun) -> float:
    """Return when a growing effective quota will hold a region (s); inf if it does not grow."""
    factor = growth(run, one, run.end_s / 2)
    esz = float(run.esz_bytes(one)[-1])
    if factor <= 1.0 or esz <= 0:
        return math.inf
    return run.end_s + run.window_s * max(math.log(region_bytes(one) / esz) / math.log(factor), 0.0)


def pages_of_pass(run: PageRun, one: SchemeRun, since_s: float | None = None) -> float:
    """Return the bytes that match at one pass, as a mean since a time: by default over the last tenth of the run."""
    since = run.end_s - max(run.end_s / 10, run.window_s) if since_s is None else since_s
    due = run.grown("nr_due", one.number, since)
    return run.grown("sz_matched", one.number, since) * one.context.addr_unit / due if due else 0.0


def clears_bits(run: PageRun, one: SchemeRun) -> bool:
    """Return whether a scheme turns pages away because they are young."""
    return run.has("sz_young") and run.last("sz_young", one.number) > 0


def first_pass_left_s(run: PageRun, one: SchemeRun) -> float:
    """Return how long the first pass over what matches still lasts (s); 0 if it is over or decides nothing."""
    looked = run.last("sz_resident", one.number)
    if not clears_bits(run, one) or run.last("sz_first_look", one.number) < MOST * looked:
        return 0.0
    here = min(pages_of_pass(run, one), run.memory_bytes)
    late = run.grown("sz_first_look", one.number, run.end_s * (1 - run.limits.tail_share))
    return max(here - looked, 0.0) * run.end_s * run.limits.tail_share / late if late else 0.0


def first_visit_left_s(run: PageRun, one: SchemeRun, since_s: float) -> float:
    """Return how long a scheme under a quota still needs to have tried as much as matches (s); 0 if it has, or rests."""
    tried = run.last("sz_tried", one.number) * one.context.addr_unit
    late = run.grown("sz_tried", one.number, since_s) * one.context.addr_unit
    left = pages_of_pass(run, one) - tried
    return left * (run.end_s - since_s) / late if left > 0 and late > 0 else 0.0


def wanted_and_full(run: PageRun, one: SchemeRun, since_s: float) -> tuple[float, float, float]:
    """Return bytes since a time that passed and were elsewhere, that found no free frame, and that were there already."""
    n, unit = one.number, one.context.addr_unit
    passed = run.grown("sz_ops_filter_passed", n, since_s) * unit
    there, no_frame = run.grown("sz_there", n, since_s), run.grown("sz_no_frame", n, since_s)
    if one.context.ops != "paddr":
        passed = run.grown("sz_applied", n, since_s) * unit + there + no_frame
    return max(passed - there, 0.0), no_frame, there


def quota_full(run: PageRun, one: SchemeRun, since_s: float) -> bool:
    """Return whether every finished window since a time ended with the quota full, where it held a region."""
    held, full = (run.grown(name, one.number, since_s) for name in ("held_windows", "full_windows"))
    return bool(held and held == full)


def limit_of(run: PageRun, one: SchemeRun, since_s: float) -> str:
    """Return what keeps a scheme from more at the end: ``"frames"``, ``"there"``, ``"gone"``, ``"quota"``, or nothing."""
    wanted, no_frame, there = wanted_and_full(run, one, since_s)
    if no_frame and no_frame >= MOST * max(wanted, no_frame):
        return "frames"
    if there and there >= NEARLY_ALL * (wanted + there):
        return "there"
    if quota_full(run, one, since_s):
        return "quota"
    late = run.end_s - since_s >= FEW_WINDOWS * run.window_s and run.grown("nr_due", one.number, since_s)
    if run.has("sz_matched") and late and run.last("sz_applied", one.number):
        if not run.grown("sz_applied", one.number, since_s):
            return "gone"
    return ""


def weights_error_bp(run: PageRun, one: SchemeRun) -> tuple[float, int] | None:
    """Return how far the pages that match are from a scheme's weights at most (bp), and on which node; None if not known."""
    total = sum(d.weight for d in one.scheme.dests)
    shares = run.matching_share_bp(one)
    known = shares[~np.isnan(shares).any(axis=1)]
    if not total or not known.size:
        return None
    share = known[-1]
    wanted = {nid: 0.0 for nid in run.nids}
    for d in one.scheme.dests:
        if d.id in wanted:
            wanted[d.id] += 1e4 * d.weight / total
    errors = [(float(share[i]) - wanted[nid], nid) for i, nid in enumerate(run.nids)]
    return max(errors, key=lambda pair: abs(pair[0]))
