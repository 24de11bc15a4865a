"""How long a run has to be: as long as it takes to judge it, or as its accesses are known for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..checks import whole
from ..progress import Progress
from ..scenario import Scenario, need_scenario
from ..simulation.running import Running
from ..simulation.simulate import simulate, window_s
from ..units import FOREVER
from ..verdicts.judge import verdict
from ..verdicts.record import Verdict
from .lumped import expected_settling_s
from .trial import Budget, Spent

if TYPE_CHECKING:
    import xarray as xr

LEAST_S = 30.0
SETTLINGS = 3
"""So many times what is expected to settle, a run lasts at first."""
DOUBLINGS = 12


@dataclass(frozen=True)
class AutoRun:
    """A run whose length was not given.

    Attributes
    ----------
    ds : xarray.Dataset
        The run; `tieringmodel.simulate` gives the same, bit for bit, for that duration.
    verdict : Verdict
        The verdict on it.
    duration_s : float
        Its length.
    text : str
        How long it ran and why: "ran 60 s: …".
    """

    ds: xr.Dataset
    verdict: Verdict
    duration_s: float
    text: str


def known_length_s(scenario: Scenario) -> float | None:
    """Return the length of the recording or trace that a scenario is made from; None if there is none.

    Recorded ends of aggregations count, and workloads all of whose accesses end.
    """
    recorded = [c.aggr_times_us[-1] * 1e-6 for c in scenario.contexts if c.aggr_times_us]
    ends = [g.end_tick for g in scenario.workload.groups]
    if not recorded and ends and max(ends) < FOREVER:
        recorded = [max(ends) * scenario.tick_us * 1e-6]
    return max(recorded, default=None)


def first_length(scenario: Scenario) -> tuple[float, str]:
    """Return how long a run lasts at first, in whole seconds, and why.

    Parameters
    ----------
    scenario : Scenario
        What is to be run.

    Returns
    -------
    float
        Three times the settling that lint and the lumped loop expect, at least 30 s and ten windows, so long after the
        last event or commit and the last change of the workload, too.
    str
        Which of these it is.
    """
    ticks = {t for g in scenario.workload.groups for t in (g.start_tick, g.end_tick) if 0 < t < FOREVER}
    times_us = {
        what: max((c.at_us for c in of), default=0) for what, of in (("event", scenario.events), ("commit", scenario.commits))
    }
    changed = max(times_us, key=lambda what: times_us[what])
    changed_s = times_us[changed] * 1e-6
    phases_s = max(ticks, default=0) * scenario.tick_us * 1e-6
    settling_s, windows_s = expected_settling_s(scenario), 10 * window_s(scenario)
    lengths = {
        f"{SETTLINGS} times the {settling_s:.3g} s in which it is expected to settle": SETTLINGS * settling_s,
        f"{LEAST_S:g} s at least": LEAST_S,
        f"ten windows of {windows_s / 10:g} s": windows_s,
    }
    why = max(lengths, key=lambda name: lengths[name])
    disturbed_s = max(changed_s, phases_s)
    if not disturbed_s:
        return math.ceil(lengths[why]), why
    what = changed if changed_s == disturbed_s else "change of the workload"
    return math.ceil(disturbed_s + lengths[why]), f"the last {what} at {disturbed_s:g} s, and {why}"


def auto_duration(
    scenario: Scenario,
    *,
    seed: int = 0,
    budget_s: float = 30.0,
    recorded_s: float | None = None,
    snapshots: int = 200,
    log_moves: bool = True,
    progress: bool | None = None,
) -> AutoRun:
    """Run a scenario for as long as it takes to judge it.

    Parameters
    ----------
    scenario : Scenario
        What to run.
    seed, snapshots, log_moves, progress
        As for `tieringmodel.simulate`.
    budget_s : float
        CPU seconds, after which no longer run is begun.
    recorded_s : float, optional
        Length of the recording beside the scenario.

    Returns
    -------
    AutoRun
        As long as the recording or trace if there is one; else as `first_length` says, doubled until the verdict is not
        ``unfinished`` or the budget is spent.

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> from tieringmodel.remedies.auto_duration import auto_duration
    >>> auto_duration(tm.load("rfc-40-60"), seed=1).text
    'ran 30 s: 30 s at least'
    """
    need_scenario(scenario)
    seed = whole("seed", seed)
    budget, options = Budget(budget_s), {"snapshots": snapshots, "log_moves": log_moves}
    given_s = recorded_s or known_length_s(scenario)
    if given_s or not scenario.contexts:
        length_s, why = (given_s, "as long as its recording or trace") if given_s else first_length(scenario)
        ds = simulate(scenario, duration=length_s, seed=seed, progress=progress, **options)  # type: ignore[arg-type]
        return AutoRun(ds, verdict(ds), length_s, f"ran {length_s:g} s: {why}")
    first_s, why = first_length(scenario)
    # Shorter ones are there for machines on which the first one is too long for the budget.
    shorter = [first_s / 2**k for k in range(DOUBLINGS, 0, -1) if first_s / 2**k >= LEAST_S]
    lengths_s = [*shorter, *(first_s * 2**k for k in range(DOUBLINGS))]
    run = Running(scenario, seed=seed, lengths_us=[round(s * 1e6) for s in lengths_s], **options)  # type: ignore[arg-type]
    at_s = 0.0
    with Progress(scenario.name or "simulate", first_s, "s", progress) as bar:
        for length_s in lengths_s:
            try:
                if at_s:
                    budget.need(length_s - at_s)
            except Spent:
                break
            bar.update(at_s, max(length_s, first_s))
            with budget.measured(length_s - at_s):
                ds = run.to(round(length_s * 1e6), bar.update)
            at_s, found = length_s, verdict(ds)
            if at_s >= first_s and found.kind != "unfinished":
                break
    run.close()
    if at_s > first_s:
        why += ", doubled until " + ("that is judged" if found.kind != "unfinished" else f"{budget_s:g} CPU seconds were spent")
    elif at_s < first_s or found.kind == "unfinished":
        why = f"{budget_s:g} CPU seconds do not last for {first_s if at_s < first_s else 2 * first_s:g} s ({why})"
    return AutoRun(ds, found, at_s, f"ran {at_s:g} s: {why}")
