"""Parameters that change while a kdamond runs (``damon_commit_ctx``): what is new is taken over, what was learnt survives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..kernels import layout as L
from ..kernels._jit import records
from ..scenario import Context
from . import table
from .goals import check_goal
from .kdamond import STAT_FIELDS, Action, EarlyExit, Kdamond
from .quota import QuotaState
from .regions import RegionSet, set_regions

_SURVIVES = ("due", "esz", "charged_sz", "total_charged_ns", "charge_target", "charge_addr", "min_score", *STAT_FIELDS)


def commit(kdamond: Kdamond, context: Context, actions: dict[int, Action], ranges: Sequence[Sequence[tuple[int, int]]]) -> None:
    """Give a running kdamond a context's new parameters; what it has learnt survives (``damon_commit_ctx``).

    Schemes at the same position are updated in place: effective quota, tuner state, charge window, priority threshold and
    statistics survive. Schemes that are new start from nothing; those that are gone take their state with them. Attributes
    are set as ``damon_set_attrs`` does only when they differ. Targets are refitted to their ranges.

    Parameters
    ----------
    kdamond : Kdamond
        What runs.
    context : Context
        The new parameters.
    actions : dict of int to Action
        Actions that the application pass does not carry out itself, by scheme.
    ranges : sequence of sequence of (int, int)
        Monitored ranges by target.

    Raises
    ------
    InputError
        If a goal names an unknown metric; nothing has changed then.
    """
    for i, scheme in enumerate(context.schemes):
        for j, goal in enumerate(scheme.quota.goals):
            check_goal(goal, f"contexts[{kdamond.index}].schemes[{i}].quota.goals[{j}]")
    external = dict(actions)
    for i, (old, new) in enumerate(zip(kdamond.context.schemes, context.schemes, strict=False)):
        if i in external and (old.dests, old.dest_rule, old.target_nid) == (new.dests, new.dest_rule, new.target_nid):
            external[i] = kdamond.actions[i]
    for i, scheme in enumerate(context.schemes):
        if any(g.early_exit != "none" for g in scheme.quota.goals):
            external[i] = EarlyExit(external.get(i))
    rows, filters = table.build(context, kdamond.memory.index_of, set(external))
    kept = min(len(rows), len(kdamond.schemes))
    for name in _SURVIVES:
        rows[name][:kept] = kdamond.schemes[name][:kept]
    for i in range(kept):
        if context.schemes[i].quota.esz0 == "bypass":
            rows["quota_set"][i] = rows["esz"][i] != 0
        kdamond.quotas[i].commit(context.schemes[i].quota)
    funnel, rejected = records(len(rows), L.FUNNEL), np.zeros(len(filters), np.uint64)
    funnel[:kept] = kdamond.funnel[:kept]
    if np.array_equal(filters, kdamond.filters):
        rejected[:] = kdamond.rejected
    kdamond.funnel, kdamond.rejected = funnel, rejected
    memory = kdamond.memory
    fresh = [QuotaState(s.quota, memory.machine.hz, memory.nids.size) for s in context.schemes[kept:]]
    kdamond.quotas = [*kdamond.quotas[:kept], *fresh]
    kdamond.context, kdamond.schemes, kdamond.filters, kdamond.actions = context, rows, filters, external
    kdamond.fit_scratch()
    kdamond.next_apply = kdamond.next_apply[:kept]
    kdamond.next_apply += [kdamond.passed + kdamond.apply_period(i) for i in range(kept, len(rows))]
    if context.attrs != kdamond.attrs:
        kdamond.set_attrs(context.attrs)
    _refit(kdamond, ranges)


def _refit(kdamond: Kdamond, ranges: Sequence[Sequence[tuple[int, int]]]) -> None:
    before = kdamond.regions.rows()
    after = [set_regions(before[t] if t < len(before) else [], r, kdamond.min_sz) for t, r in enumerate(ranges)]
    if after != before:
        kdamond.regions = RegionSet(after)
        kdamond.schemes["charge_target"] *= (kdamond.schemes["charge_target"] <= len(after)).astype(np.uint64)
