"""How far the workload and the clock may be from what was assumed: the scenarios to which a configuration is held as well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate, repeat

from ..errors import InputError
from ..scenario import Group, Scenario
from ..units import FOREVER

HUGE_PAGES = 512
HOT = 0.5
"""A group is hot while its rate is at least that part of the highest."""
STRETCH = 1.34
"""Aggregations of 1 s lasted that many times as long in the recording C3_pullpush_temporal (data/recordings)."""

RATES = {"rates × 0.5": 0.5, "rates × 2": 2.0}
SIZES = {"hot set − 20 %": 0.8, "hot set + 20 %": 1.2}
STRETCHED, NOMINAL = f"aggregations × {STRETCH:g}", "aggregations as told"


def spread(scenario: Scenario, duration_us: int) -> dict[str, Scenario]:
    """Return a scenario under each deviation, by name; without those that it cannot be given.

    Parameters
    ----------
    scenario : Scenario
        A candidate.
    duration_us : int
        Length of its runs.

    Returns
    -------
    dict of str to Scenario
        All access rates by 0.5 and 2; each hot group's pages by 0.8 and 1.2, what begins where it ends moves along; and
        aggregations that last longer than told, as on the recorded machine, or as told where the scenario's are recorded.
    """
    out: dict[str, Scenario] = {}
    deviations: dict[str, Callable[[], Scenario]] = {
        **{name: lambda f=factor: _rates(scenario, f) for name, factor in RATES.items()},  # type: ignore[misc]
        **{name: lambda f=factor: _sizes(scenario, f) for name, factor in SIZES.items()},  # type: ignore[misc]
    }
    recorded = any(c.aggr_times_us for c in scenario.contexts)
    deviations[NOMINAL if recorded else STRETCHED] = lambda: _clock(scenario, duration_us)
    for name, make in deviations.items():
        try:
            made = make()
        except InputError:
            continue
        if made != scenario:
            out[name] = made
    return out


def _rates(scenario: Scenario, factor: float) -> Scenario:
    groups = tuple(_faster(g, factor) for g in scenario.workload.groups)
    return scenario.replace(workload=scenario.workload.replace(groups=groups))


def _faster(group: Group, factor: float) -> Group:
    if group.kind == "rate":
        return group.replace(rate_hz=group.rate_hz * factor)
    if group.kind == "period":
        return group.replace(period=max(round(group.period / factor), 1))
    return group.replace(threshold=min(round(group.threshold * factor), 2**32))


def _sizes(scenario: Scenario, factor: float) -> Scenario:
    workload = scenario.workload
    rates = [g.rate_hz if g.kind == "rate" else g.touch_rate_hz(scenario.tick_us or 1) for g in workload.groups]
    most = max(rates, default=0.0)
    hot = [most > 0 and rate >= HOT * most for rate in rates]
    ends: dict[int, int] = {}
    for group in (g for g, one in zip(workload.groups, hot, strict=True) if one):
        pages = round((group.hi - group.lo) * factor)
        pages -= pages % HUGE_PAGES if pages > HUGE_PAGES else 0
        ends.setdefault(group.hi, min(group.lo + max(pages, 1), workload.n_pages))
    groups = [_moved(group, one, ends, alone=not _rotates(group)) for group, one in zip(workload.groups, hot, strict=True)]
    return scenario.replace(workload=workload.replace(groups=tuple(groups)))


def _rotates(group: Group) -> bool:
    """Whether a group is there for a part of the time only: others that begin where it ends are not its neighbours."""
    return (group.start_tick, group.end_tick) != (0, FOREVER)


def _moved(group: Group, hot: bool, ends: dict[int, int], *, alone: bool) -> Group:
    if hot:
        return group.replace(hi=ends[group.hi])
    return group.replace(lo=ends[group.lo]) if alone and group.lo in ends and ends[group.lo] < group.hi else group


def _clock(scenario: Scenario, duration_us: int) -> Scenario:
    """Return a scenario whose aggregations last longer than told, or as told where they are recorded."""
    contexts = []
    for context in scenario.contexts:
        times: tuple[int, ...] = ()
        if not context.aggr_times_us and not context.attrs.intervals_goal.aggrs:
            step_us = round(context.attrs.aggr_us * STRETCH)
            times = tuple(accumulate(repeat(step_us, duration_us // step_us + 1)))
        contexts.append(replace(context, aggr_times_us=times, aggr_sampled_us=()))
    return scenario.replace(contexts=tuple(contexts))
