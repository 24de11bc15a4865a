"""Two ways to read a scenario: as the RFC was posted, and as the idea works."""

from __future__ import annotations

from collections.abc import Callable

from ..checks import text
from ..errors import InputError
from ..fields import suggest
from ..scenario import Context, Filter, Goal, Kernel, Scenario, Scheme, need_scenario
from ..scenario.metrics import AS_POSTED, ELIGIBLE, metric_of


def _read_as(metric: str, scheme: Scheme) -> tuple[Goal, ...]:
    """Return the scheme's goals, those about monitored memory in one reading of the RFC's metric."""
    known = metric_of(metric)
    changes = {"metric": metric, "early_exit": known.early_exit, "clamp": known.clamp, "complement": False}
    return tuple(g.replace(**changes) if metric_of(g.metric).monitored else g for g in scheme.quota.goals)


def _seed_faithful(context: Context, scheme: Scheme, scenario: Scenario) -> Scheme:
    quota = scheme.quota.replace(goals=_read_as(AS_POSTED, scheme), goal_tuner="consist", esz0="bypass")
    return scheme.replace(quota=quota)


def _what_works(context: Context, scheme: Scheme, scenario: Scenario) -> Scheme:
    filters = scheme.filters
    home = next((n for n in scenario.machine.nodes if n.nid == scheme.target_nid), None)
    if scheme.action.startswith("migrate") and home and context.ops == "paddr" and not filters:
        stretches = scenario.machine.stretches(scenario.machine.nodes.index(home))
        filters = tuple(
            Filter("addr", allow=False, start_bytes=start // context.addr_unit, end_bytes=end // context.addr_unit)
            for start, end in stretches
        )
    quota = scheme.quota.replace(goals=_read_as(ELIGIBLE, scheme), goal_tuner="temporal", esz0="")
    return scheme.replace(quota=quota, filters=filters)


_PRESETS: dict[str, tuple[Callable[[Context, Scheme, Scenario], Scheme], str]] = {
    "seed-faithful": (_seed_faithful, "stored"),
    "what-works": (_what_works, ""),
}


def preset(scenario: Scenario, name: str) -> Scenario:
    """Return the scenario with its share goals and kernel rules read in one of two ways.

    Parameters
    ----------
    scenario : Scenario
        Schemes without share goals keep their goals. Commits are read so, too; events stay as they are.
    name : str
        ``"seed-faithful"``: ``node_sys_bp`` as the RFC's patches compute it, CONSIST, early exit and clamp of version 1, an
        effective quota of 0 taken for no quota, stored moving sum. ``"what-works"``: the merged metric, TEMPORAL, an address
        filter that leaves memory on the target node alone where a scheme has no filter, the scenario's kernel, or Linux
        7.3.4 where that is older.

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
    need_scenario(scenario)
    if text("name", name) not in _PRESETS:
        raise InputError("name", f"{name!r} is not a preset", suggest(name, _PRESETS))
    change, moving_sum = _PRESETS[name]
    every = (*scenario.contexts, *(c.to for c in scenario.commits))
    read = {c: c.replace(schemes=tuple(change(c, s, scenario) for s in c.schemes), moving_sum=moving_sum) for c in every}
    contexts = tuple(read[c] for c in scenario.contexts)
    commits = tuple(c.replace(to=read[c.to]) for c in scenario.commits)
    old = name == "what-works" and not scenario.kernel.has(Kernel.base)
    kernel = Kernel() if old else scenario.kernel
    return scenario.replace(contexts=contexts, commits=commits, kernel=kernel, name=f"{scenario.name} ({name})".strip())
