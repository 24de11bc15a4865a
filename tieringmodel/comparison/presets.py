"""Two ways to read a scenario: as the RFC was posted, and as the idea works."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import InputError
from ..fields import suggest
from ..scenario import Context, Filter, Goal, Scenario, Scheme

RFC_SHARES = ("node_sys_bp", "node_target_mem_bp", "node_eligible_mem_bp", "node_ineligible_mem_bp")


def is_share(goal: Goal) -> bool:
    """Whether the goal is about a node's share of memory, in any version of the RFC's metric."""
    return goal.metric.partition(":")[0] in RFC_SHARES


def _seed_faithful(context: Context, scheme: Scheme, scenario: Scenario) -> Scheme:
    goals = tuple(
        g.replace(metric="node_sys_bp:v1-literal", early_exit="v1", clamp="v1", complement=False) if is_share(g) else g
        for g in scheme.quota.goals
    )
    return scheme.replace(quota=scheme.quota.replace(goals=goals, goal_tuner="consist", esz0="bypass"))


def _what_works(context: Context, scheme: Scheme, scenario: Scenario) -> Scheme:
    goals = tuple(
        g.replace(metric="node_eligible_mem_bp", early_exit="none", clamp="none", complement=False) if is_share(g) else g
        for g in scheme.quota.goals
    )
    filters = scheme.filters
    home = next((n for n in scenario.machine.nodes if n.nid == scheme.target_nid), None)
    if scheme.action.startswith("migrate") and home and context.ops == "paddr" and not filters:
        unit = context.addr_unit
        last = (home.start_bytes + home.sz_bytes) // unit
        filters = (Filter("addr", allow=False, start_bytes=home.start_bytes // unit, end_bytes=last),)
    quota = scheme.quota.replace(goals=goals, goal_tuner="temporal", esz0="stop")
    return scheme.replace(quota=quota, filters=filters)


_PRESETS: dict[str, tuple[Callable[[Context, Scheme, Scenario], Scheme], str]] = {
    "seed-faithful": (_seed_faithful, "stored"),
    "what-works": (_what_works, "on_demand"),
}


def preset(scenario: Scenario, name: str) -> Scenario:
    """Return the scenario with its share goals and kernel rules read in one of two ways.

    Parameters
    ----------
    scenario : Scenario
        Schemes without share goals keep their goals.
    name : str
        ``"seed-faithful"``: ``node_sys_bp`` as the RFC's patches compute it, CONSIST, early exit and clamp of version 1, an
        effective quota of 0 taken for no quota, stored moving sum. ``"what-works"``: the merged metric, TEMPORAL, an address
        filter that leaves memory on the target node alone where a scheme has no filter, the rules of Linux 7.3.

    Returns
    -------
    Scenario

    Raises
    ------
    InputError
        If there is no such preset.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.preset(tm.load("rfc-40-60"), "seed-faithful").contexts[0].schemes[0].quota.goals[0].metric
    'node_sys_bp:v1-literal'
    """
    if name not in _PRESETS:
        raise InputError("name", f"{name!r} is not a preset", suggest(name, _PRESETS))
    change, moving_sum = _PRESETS[name]
    contexts = tuple(
        c.replace(schemes=tuple(change(c, s, scenario) for s in c.schemes), moving_sum=moving_sum) for c in scenario.contexts
    )
    return scenario.replace(contexts=contexts, name=f"{scenario.name} ({name})".strip())
