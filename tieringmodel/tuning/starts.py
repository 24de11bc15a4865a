"""Which candidates are always tried: what was given, DAMON's defaults, damo's intervals that tune themselves, lint's fixes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..linting import lint
from ..remedies.case import Case
from ..remedies.changes import Candidate, both, candidate
from ..remedies.table import singles
from ..scenario import Attrs, IntervalsGoal, Scenario
from ..scenario.paths import normal

if TYPE_CHECKING:
    import xarray as xr

GIVEN = "given"
DEFAULTS = "DAMON's defaults"
DAMO = "damo's auto-tuned intervals"
AUTOTUNED = Attrs(intervals_goal=IntervalsGoal(access_bp=400, aggrs=3, min_sample_us=5_000, max_sample_us=10_000_000))
"""What damo sets for ``--monitoring_intervals_autotune``: 4 % of the accesses in 3 aggregations, samples of 5 ms to 10 s."""
MOST_FIXES = 12


@dataclass(frozen=True)
class Start:
    """A candidate that is always tried: where it comes from, and what it changes (nothing: None)."""

    origin: str
    candidate: Candidate | None


def starts(ds: xr.Dataset, scenario: Scenario) -> list[Start]:
    """Return the candidates that are always tried; what the scenario refuses, or has already, is left out.

    Parameters
    ----------
    ds : xarray.Dataset
        The run of the given scenario, with region snapshots: what is proven about it has changes that may help.
    scenario : Scenario
        What was given.
    """
    out = [Start(GIVEN, None)]
    for origin, edits in ((DEFAULTS, _defaults(scenario)), (DAMO, _autotuned(scenario))):
        if made := candidate(scenario, edits, origin):
            out.append(Start(origin, made))
    found = lint_fixes(scenario)
    together: Candidate | None = None
    for one in found:
        together = one if together is None else both(together, one, scenario) or together
    fixes = [(f"lint: {one.code}", one) for one in found]
    if together is not None and len(found) > 1:
        fixes.append(("lint: all together", together))
    fixes += [(f"fix: {one.code}", one) for one in singles(Case(ds))]
    seen: set[Any] = set()
    for origin, fix in fixes:
        if fix.key not in seen and len(seen) < MOST_FIXES:
            seen.add(fix.key)
            out.append(Start(origin, fix))
    return out


def lint_fixes(scenario: Scenario) -> list[Candidate]:
    """Return what lint says to change, but for notes of what is worth knowing."""
    edits = [(f.code, [(normal(c["path"]), c["value"]) for c in f.changes]) for f in lint(scenario) if f.level != "info"]
    return [made for code, of_it in edits if of_it and (made := candidate(scenario, of_it, code))]


def _contexts(scenario: Scenario) -> list[int]:
    """Return the contexts whose intervals are not recorded."""
    return [i for i, context in enumerate(scenario.contexts) if not context.aggr_times_us]


def _autotuned(scenario: Scenario) -> list[tuple[str, Any]]:
    return [
        (f"contexts.{i}.attrs.{name}", getattr(AUTOTUNED, name))
        for i in _contexts(scenario)
        for name in ("intervals_goal", "sample_us", "aggr_us")
    ]


def _defaults(scenario: Scenario) -> list[tuple[str, Any]]:
    """Return edits to what Linux sets where nobody says anything; what a scheme is for, its goals and quotas, stays."""
    plain = Attrs()
    names = ("intervals_goal", "sample_us", "aggr_us", "update_us", "min_nr_regions", "max_nr_regions")
    edits: list[tuple[str, Any]] = [(f"contexts.{i}.attrs.{n}", getattr(plain, n)) for i in _contexts(scenario) for n in names]
    for i, context in enumerate(scenario.contexts):
        for j, _ in enumerate(context.schemes):
            path = f"contexts.{i}.schemes.{j}"
            edits += [(f"{path}.apply_interval_us", 0), (f"{path}.quota.goal_tuner", "consist"), (f"{path}.quota.sz_bytes", 0)]
            edits += [(f"{path}.quota.weights.{n}", 0) for n in ("sz", "nr_accesses", "age")]
    return edits
