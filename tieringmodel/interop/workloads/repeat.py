"""Recorded accesses over and over: what ends is gone through again, and then goes on at its mean rates."""

from __future__ import annotations

import math

from ...errors import InputError
from ...scenario import Group, Workload
from ...units import FOREVER
from ...workload.arguments import MAX_GROUPS
from ...workload.phases import sequence

UNTIL_S = 3600
MOST_GROUPS = 16_384
"""Repeats are written out as groups; so many are read, stored and run without being noticed."""


def repeated(workload: Workload, length_ticks: int, times: int | None, what: str) -> tuple[Workload, str]:
    """Return a workload that begins anew after so many ticks, and the sentence that says so.

    Parameters
    ----------
    workload : Workload
        With a tick of its own; nothing of it is later than `length_ticks`.
    length_ticks : int
        How long it takes.
    times : int or None
        How often it is gone through, after which nothing is touched; left out, for an hour, or as often as there is room
        for, after which every page goes on at its mean rate.
    what : str
        What to call it.

    Raises
    ------
    InputError
        If so many repeats need too many groups.
    """
    tick_us = workload.tick_us or 0
    length_us = length_ticks * tick_us
    took = f"{length_us * 1e-6:g} s"
    if times is not None:
        if times * len(workload.groups) > MAX_GROUPS:
            most = max(MAX_GROUPS // len(workload.groups), 1)
            raise InputError(
                "repeat", f"{times} times {len(workload.groups)} rates are too many", f"write at most repeat={most}"
            )
        again = _phases(workload, length_us, times)
        return again, f"the {took} of {what} run {_times(times)}, then nothing is touched"
    if all(g.kind == "rate" and g.start_tick == 0 and g.end_tick >= length_ticks for g in workload.groups):
        steady = tuple(g.replace(end_tick=FOREVER) for g in workload.groups)
        return workload.replace(groups=steady), f"assumed: the accesses of {what} go on after its {took} (repeat=N replaces it)"
    n = max(1, min(math.ceil(UNTIL_S * 1e6 / length_us), MOST_GROUPS // max(len(workload.groups), 1)))
    again = _phases(workload, length_us, n)
    means = _means(workload, length_ticks, n * length_ticks)
    again_s = (
        f"repeat up to {n * length_us * 1e-6:g} s, then" if n > 1 else "are not repeated, which would take too many rates: they"
    )
    said = f"assumed: the {took} of {what} {again_s} go on at their mean rates (repeat=N replaces it)"
    return again.replace(groups=(*again.groups, *means)), said


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


def _phases(workload: Workload, length_us: int, times: int) -> Workload:
    if times == 1:
        return workload
    made = sequence([(workload, length_us)] * times, tick_us=workload.tick_us, ends=True)
    return workload.replace(groups=made.groups)


def _means(workload: Workload, length_ticks: int, start_tick: int) -> tuple[Group, ...]:
    """Return a group from a tick on for each range of pages, with as many touches per second as it had on average."""
    tick_us = workload.tick_us or 1
    found: dict[tuple[int, int, str], float] = {}
    for g in workload.groups:
        share = (min(g.end_tick, length_ticks) - g.start_tick) / length_ticks
        rate_hz = g.touch_rate_hz(tick_us) * share * len(g.touched()) / (g.hi - g.lo)
        key = (g.lo, g.hi, g.name)
        found[key] = found.get(key, 0.0) + rate_hz
    return tuple(
        Group(lo, hi, rate_hz=rate, name=name, start_tick=start_tick) for (lo, hi, name), rate in found.items() if rate
    )
