"""Parameters that change while a kdamond runs (``damon_commit_ctx``): what is new is taken over, what was learnt survives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..scenario import Context
from .early_exit import EarlyExit
from .kdamond import Action, Kdamond
from .regions import RegionSet, set_regions

OF_ACTIONS = ("dests", "dest_rule", "target_nid", "rmap_done_mark")
"""Fields of a scheme of which an action that is not built in is made; while they stay it keeps what it remembers."""


def commit(kdamond: Kdamond, context: Context, actions: dict[int, Action], ranges: Sequence[Sequence[tuple[int, int]]]) -> None:
    """Give a running kdamond a context's new parameters; what it has learnt survives (``damon_commit_ctx``).

    Which fields may differ is said in `scenario.commits`.

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
    """
    made = dict(actions)
    for i, (old, new) in enumerate(zip(kdamond.context.schemes, context.schemes, strict=False)):
        running = kdamond.actions.get(i)
        running = running.inner if isinstance(running, EarlyExit) else running
        if i in made and running and all(getattr(old, name) == getattr(new, name) for name in OF_ACTIONS):
            made[i] = running
    kdamond.configure(context, made)
    if context.attrs != kdamond.attrs:
        kdamond.set_attrs(context.attrs)
    _refit(kdamond, ranges)


def _refit(kdamond: Kdamond, ranges: Sequence[Sequence[tuple[int, int]]]) -> None:
    before = kdamond.regions.rows()
    after = [set_regions(before[t] if t < len(before) else [], r, kdamond.min_sz) for t, r in enumerate(ranges)]
    if after != before:
        kdamond.regions = RegionSet(after, kdamond.compiled)
        kdamond.schemes["charge_target"] *= (kdamond.schemes["charge_target"] <= len(after)).astype(np.uint64)
