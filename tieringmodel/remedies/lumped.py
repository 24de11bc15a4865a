"""What a scheme's goal comes to if all that moves is one page count: milliseconds, before anything runs."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..linting.plant import plant
from ..linting.scheme_facts import SchemeFacts, facts_of
from ..linting.share_goals import ShareGoal, facing, share_goals_of
from ..loop import run, run_pair
from ..scenario import Scenario
from ..scenario.metrics import metric_of
from ..units import PAGE_SZ
from ..verdicts.thresholds import RunThresholds

MOST_WINDOWS = 2000


class Lumped(NamedTuple):
    """The end of a lumped loop."""

    arrives: bool
    """Whether it comes to rest within the band of its goal."""
    windows: int
    """Windows up to the last move."""


def lumped(facts: SchemeFacts, windows: int = MOST_WINDOWS) -> Lumped | None:
    """Run the lumped loop of a scheme's goal, with the scheme that faces it if there is one.

    Parameters
    ----------
    facts : SchemeFacts
        The scheme, in its scenario.
    windows : int
        Quota windows that there are, at most `MOST_WINDOWS` are run.

    Returns
    -------
    Lumped or None
        None where the scenario fixes no loop: several goals, time quotas, metrics of no share, goals met from the start.
    """
    windows = min(windows, MOST_WINDOWS)
    goals = list(share_goals_of(facts.shared.scenario))
    mine = next((w for w in goals if w.facts.path == facts.path), None)
    if mine is None or facts.scheme.quota.ms or math.isinf(facts.window_us) or windows < 1:
        return None
    others = [w for w in goals if w is not mine and w.kind == mine.kind and facing(w.facts, facts)]
    return _pair(mine, others, windows) if others else _single(facts, windows)


def _pair(mine: ShareGoal, others: list[ShareGoal], windows: int) -> Lumped | None:
    facts, quotas = mine.facts, [w.facts.scheme.quota for w in (mine, *others)]
    if len(others) > 1 or mine.kind != "eligible" or quotas[0].goal_tuner != quotas[1].goal_tuner or not facts.touched_pages:
        return None
    n_pages, here = facts.touched_pages, facts.eligible(0)
    start = min(here[mine.node] * n_pages // max(sum(here), 1), n_pages)
    caps = [q.sz_bytes or None for q in quotas]
    ds = run_pair(quotas[0].goal_tuner, (mine.bp, others[0].bp), caps, n_pages, start, windows=windows)
    moved = ds["moved"].values.sum(axis=1)
    return Lumped(not moved[-max(windows // 10, 1) :].any(), _last(moved))


def _single(facts: SchemeFacts, windows: int) -> Lumped | None:
    quota = facts.scheme.quota
    goal = quota.goals[0]
    p = plant(facts, goal)
    if p is None or not p.n_pages or facts.reclaims or metric_of(goal.metric).counts not in ("used", "eligible"):
        return None
    if p.bp(p.start_pages) >= goal.target_value:
        return None
    if p.bp(p.reach_pages) < goal.target_value or 0 < quota.sz_bytes < PAGE_SZ:
        return Lumped(False, 0)
    ds = run(
        quota.goal_tuner,
        goal.target_value,
        p.n_pages,
        p.start_pages,
        cap_bytes=quota.sz_bytes or None,
        capacity_pages=min(p.reach_pages, p.n_pages),
        windows=windows,
        esz_bp0=quota.esz_bp0,
    )
    over = p.bp(int(ds["final_pages"])) - goal.target_value
    return Lumped(0 <= over <= RunThresholds().band_bp, _last(ds["moved"].values))


def _last(moved: np.ndarray) -> int:
    at = np.flatnonzero(moved)
    return int(at[-1]) + 1 if at.size else 0


def expected_settling_s(scenario: Scenario) -> float:
    """Return when the slowest scheme of a scenario is expected to have moved what it has to, in seconds; 0 if nobody knows.

    Parameters
    ----------
    scenario : Scenario
        What would be run.
    """
    latest_s = 0.0
    for facts in facts_of(scenario).schemes:
        if not facts.migrates and not facts.reclaims:
            continue
        end = lumped(facts)
        if end is not None:
            latest_s = max(latest_s, facts.evaluation_s(end.windows + 1) if end.arrives else 0.0)
        elif facts.cap_pages and not math.isinf(facts.window_us):
            elsewhere = sum(facts.supply()[i] for i in facts.sources)
            latest_s = max(latest_s, facts.evaluation_s(math.ceil(elsewhere / facts.cap_pages) + 1))
    return latest_s
