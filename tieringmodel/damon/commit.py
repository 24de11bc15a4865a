"""Parameters that change while a kdamond runs (``damon_commit_ctx``): what is new is taken over, what was learnt survives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import InputError
from ..kernels.layout import Space
from ..scenario import Context
from .early_exit import EarlyExit
from .intervals import nr_samples
from .kdamond import Kdamond
from .observers import Action

NOWHERE = 2**63
"""A resume pointer into a target that is gone: no region is ever behind it."""
OF_ACTIONS = ("dests", "dest_rule", "target_nid", "rmap_done_mark")
"""Fields of a scheme of which an action that is not built in is made; while they stay it keeps what it remembers."""


@dataclass(frozen=True)
class Request:
    """What a kdamond is asked to take over in its next loop body; what it has learnt survives (``damon_commit_ctx``).

    Which fields may differ is said in `scenario.commits`.

    Schemes at the same position are updated in place: effective quota, tuner state, charge window, priority threshold and
    statistics survive. Schemes that are new start from nothing, their first application an interval ahead; those that are
    gone take their state with them. Targets are fitted to their ranges, attributes are set as ``damon_set_attrs`` does only
    when they differ from those that run, tuned or not.

    Parameters
    ----------
    context : Context
        The new parameters.
    actions : dict of int to Action
        Actions that the application pass does not carry out itself, by scheme.
    space : callable
        Tells where a context's core addresses lead, and what is mapped by target where they are virtual. It is asked when the
        request is carried out: mappings may have changed since it was made.
    ranges : list
        Monitored ranges by target; None leaves a target's regions as they are.
    stage : int
        Position among the scenario's stages.
    """

    context: Context
    actions: dict[int, Action]
    space: Callable[[Context], tuple[Space, list[list[tuple[int, int]]]]]
    ranges: list[list[tuple[int, int]] | None]
    stage: int = -1

    def __call__(self, kdamond: Kdamond) -> None:
        """Commit."""
        made = dict(self.actions)
        for i, (old, new) in enumerate(zip(kdamond.context.schemes, self.context.schemes, strict=False)):
            running = kdamond.actions.get(i)
            running = running.inner if isinstance(running, EarlyExit) else running
            if i in made and running and all(getattr(old, name) == getattr(new, name) for name in OF_ACTIONS):
                made[i] = running
        context = self.context if kdamond.rules.commit_eligible_nid else with_nodes_of(kdamond.context, self.context)
        kdamond.space, kdamond.processes = self.space(context)
        kdamond.configure(context, made)
        self._targets(kdamond)
        if self.context.attrs != kdamond.attrs or not kdamond.rules.commit_compare_attrs:
            kdamond.set_attrs(self.context.attrs)
            kdamond.aggr_samples = nr_samples(self.context.attrs.sample_us, self.context.attrs.aggr_us)
        kdamond.min_sz, kdamond.stage = self.context.min_region_sz, self.stage

    def _targets(self, kdamond: Kdamond) -> None:
        """Fit the targets, and forget where a quota that was full shall go on in one that is gone."""
        ranges = self.ranges
        if kdamond.rules.commit_join_ranges:
            ranges = [new and touching_joined(new, self.context.min_region_sz) for new in ranges]
        kdamond.fit_regions(ranges, self.context.min_region_sz)
        gone = kdamond.schemes["charge_target"] > len(ranges)
        if kdamond.rules.commit_clears_resume:
            kdamond.schemes["charge_target"][gone] = kdamond.schemes["charge_addr"][gone] = 0
        else:
            kdamond.schemes["charge_target"][gone] = NOWHERE


def with_nodes_of(old: Context, new: Context) -> Context:
    """Return a context whose ``node_eligible_mem_bp`` goals keep the node of the goal in whose place they come.

    Linux 7.2 does not copy it. That of a goal in a new place would be whatever was in memory.

    Raises
    ------
    InputError
        If there is such a goal in a new place.
    """
    schemes = list(new.schemes)
    for i, scheme in enumerate(new.schemes):
        before = old.schemes[i].quota.goals if i < len(old.schemes) else ()
        goals = list(scheme.quota.goals)
        for j, goal in enumerate(goals):
            if goal.metric != "node_eligible_mem_bp":
                continue
            if j >= len(before):
                text = "is new in a commit, and this kernel does not copy its node"
                raise InputError(f"schemes[{i}].quota.goals[{j}]", text, "give the goal from the start")
            goals[j] = goal.replace(nid=before[j].nid)
        schemes[i] = scheme.replace(quota=scheme.quota.replace(goals=tuple(goals)))
    return new.replace(schemes=tuple(schemes))


def touching_joined(ranges: list[tuple[int, int]], min_region_sz: int) -> list[tuple[int, int]]:
    """Return ranges on whole minimal regions, those that touch joined (``damon_commit_target_regions``)."""
    out: list[tuple[int, int]] = []
    for start, end in ranges:
        low, high = start - start % min_region_sz, -(-end // min_region_sz) * min_region_sz
        if out and out[-1][1] == low:
            low = out.pop()[0]
        out.append((low, high))
    return out
