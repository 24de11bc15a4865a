"""What is kept of a candidate's run: the measures of ``--expect``, its errors against the goals that were given."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..scenario import Goal, Scenario
from ..verdicts.expect import values_of
from ..verdicts.goal_course import ABOUT, GoalCourse, courses, opposed, share_key
from ..verdicts.judge import verdict
from ..verdicts.page_run import PageRun, SchemeRun
from ..verdicts.rest import inside_since
from ..verdicts.scheme_facts import weights_error_bp
from ..verdicts.thresholds import RunThresholds
from ..verdicts.work_done import done_s, mean_throughput_per_s, phases_of

if TYPE_CHECKING:
    import numpy.typing as npt
    import xarray as xr


@dataclass(frozen=True)
class Measured:
    """Measures a run of a candidate; travels to worker processes.

    Parameters
    ----------
    given : Scenario
        Whose goals and weights say where shares should be, whatever the candidate's own targets are.
    """

    given: Scenario

    def __call__(self, ds: xr.Dataset) -> dict[str, Any]:
        """Return the values that an end or an objective can name, and ``kind`` and ``cause``."""
        found = verdict(ds)
        out: dict[str, Any] = {**values_of(ds, found=found), "kind": found.kind, "cause": found.code}
        run = PageRun(ds, RunThresholds())
        out["abs_error_bp"] = error_bp(run, self.given, float(found.numbers["tail_s"]))
        if math.isfinite(out["settling_s"]):
            out["settling_s"] = max(out["settling_s"], settled_s(run, self.given))
        out["why"] = found.cause or found.left
        if "throughput_per_s" in ds:
            late = run.time >= float(found.numbers["tail_s"])
            rates = ds["throughput_per_s"].values
            out["throughput_per_s"] = float(rates[late].sum(axis=1).mean())
            whole = mean_throughput_per_s(ds)
            out["run_time"] = done_s(ds) if phases_of(ds) else 1.0 / whole if whole else math.inf
        return out


class _Asked(GoalCourse):
    """A goal of the given scenario, seen in a candidate's run."""

    @cached_property
    def targets(self) -> npt.NDArray[np.float64]:
        """The target that was given, at each record."""
        return np.full(self.run.time.size, float(self.goal.target_value))

    @property
    def target(self) -> float:
        """The target that was given."""
        return float(self.goal.target_value)


class _TrueShare(_Asked):
    """A goal that the candidate does not have: its share is known all the same."""

    @cached_property
    def values(self) -> npt.NDArray[np.float64]:
        """The share at each record; nan where it is not known."""
        return self._true_share()

    @cached_property
    def evaluated(self) -> npt.NDArray[np.bool_]:
        """Where the share is known."""
        return ~np.isnan(self.values)


def asked(run: PageRun, given: Scenario) -> list[GoalCourse]:
    """Return what becomes of every given goal about a share in a run of a candidate.

    Parameters
    ----------
    run : PageRun
        The candidate's run.
    given : Scenario
        Whose goals, as they are at the end of the run, count.
    """
    own = [c for c in courses(run) if c.of.acts]
    acting = [s for s in run.schemes if s.acts] or run.schemes
    out: list[GoalCourse] = []
    owners: list[tuple[int, int]] = []
    for i, j, goal in _goals(given, run.end_s):
        key = share_key(goal)
        if key is None or not acting:
            continue
        like = [c for c in own if all(getattr(c.goal, name) == getattr(goal, name) for name in ABOUT)]
        same = next((c for c in like if (c.of.context_number, c.of.place) == (i, j)), like[0] if like else None)
        course: GoalCourse
        if same is not None:
            course = _Asked(run, same.number, same.of, goal, same.since_s)
        else:
            course = _TrueShare(run, -1, acting[0], goal)
        out.append(course)
        owners.append((i, j))
    for course, mine in zip(out, owners, strict=True):
        key = share_key(course.goal)
        assert key is not None
        facing = [o for o, of in zip(out, owners, strict=True) if of != mine and opposed(run, key, share_key(o.goal))]
        course.opposite.extend(facing)
    return out


def _goals(given: Scenario, end_s: float) -> list[tuple[int, int, Goal]]:
    """Return the goals of schemes that act, with their places, as they are when a run ends."""
    now = given
    for at_us, stage in given.stages():
        if at_us * 1e-6 < end_s:
            now = stage
    return [
        (i, j, goal)
        for i, context in enumerate(now.contexts)
        for j, scheme in enumerate(context.schemes)
        if scheme.enabled and (scheme.action.startswith("migrate") or scheme.action == "pageout")
        for goal in scheme.quota.goals
    ]


def error_bp(run: PageRun, given: Scenario, tail_s: float) -> float:
    """Return the mean distance in the tail of the given goals' shares from where they should be, bp; of several, the largest.

    Parameters
    ----------
    run : PageRun
        A candidate's run.
    given : Scenario
        Whose goals and weighted destinations count.
    tail_s : float
        Start of the tail.

    Returns
    -------
    float
        nan where nothing is a share, or one is not known.
    """
    late = run.time >= tail_s
    errors = [
        abs(off[0]) for s in run.schemes if s.acts and s.scheme.dests and (off := weights_error_bp(run, _dealt(s, given)))
    ]
    for course in asked(run, given):
        distance = course.distance(late)
        errors.append(math.nan if distance is None else distance)
    return math.nan if any(map(math.isnan, errors)) else max(errors, default=math.nan)


def _dealt(one: SchemeRun, given: Scenario) -> SchemeRun:
    """Return a scheme with the weights that were given for it."""
    schemes = given.contexts[one.context_number].schemes if one.context_number < len(given.contexts) else ()
    if one.place >= len(schemes) or not schemes[one.place].dests:
        return one
    return replace(one, scheme=one.scheme.replace(dests=schemes[one.place].dests))


def settled_s(run: PageRun, given: Scenario) -> float:
    """Return from when on all given goals' shares are at most a band from where they should be, to the end; inf if never.

    Parameters
    ----------
    run : PageRun
        A candidate's run.
    given : Scenario
        Whose goals count. A band more than for the goals of one's own: targets that are moved by less are as good.
    """
    times = []
    for course in asked(run, given):
        low, high = course.interval
        known = course.evaluated
        y = course.values[known]
        times.append(
            inside_since(run.time[known], (y >= low - course.band) & (y <= high + course.band)) if known.any() else None
        )
    return math.inf if None in times else max((t for t in times if t is not None), default=0.0)
