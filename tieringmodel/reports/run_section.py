"""What a page says about one run: its verdict in words, its measures, its figures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..plot.files import has_regions
from ..scenario import Scenario
from ..verdicts.judge import Verdict, judged
from .drawing import svg
from .text_of_comparison import significant, written

if TYPE_CHECKING:
    import xarray as xr

FIGURES = {
    "course": "Above, the share that the scheme controls and its target; below, what migrates or is reclaimed meanwhile.",
    "esz": "Effective quota of every scheme, and the score that steers it.",
    "occupancy": "Pages in use on each node; dashed, the nodes' sizes.",
    "regions": "What DAMON sees: how often each region was found accessed.",
    "returns": "Which share of all moves was undone after how many windows.",
    "spectrum": "At which periods the share swings in the second half.",
}
MEASURES = {
    "settling_s": ("settling time", "s"),
    "quiescence_s": ("last migration", "s"),
    "overshoot_bp": ("overshoot", "bp"),
    "steady_state_error_bp": ("steady-state error", "bp"),
    "limit_cycle_amplitude_bp": ("amplitude at the end", "bp"),
    "limit_cycle_period_windows": ("period at the end", "windows"),
    "residual_pages_per_s": ("residual migration", "pages/s"),
    "ping_pong": ("moves undone", "of all moves"),
    "moves_per_page": ("moves", "per page"),
    "waste_ratio": ("wasted moves", "of all moves"),
}


def headline(ds: xr.Dataset) -> str:
    """Return what kind of run it was."""
    return _kind(judged(ds))


def _kind(found: Verdict | None) -> str:
    return found.kind if found else "no goal"


def section(ds: xr.Dataset, ident: str) -> dict[str, Any]:
    """Return what ``run.html`` shows: the verdict, the measures, the figures and what was known before."""
    from ..linting import format_findings, lint

    found = judged(ds)
    scenario = Scenario.from_json(str(ds.attrs["scenario"]), stored=True) if ds.attrs.get("scenario") else None
    findings = lint(scenario) if scenario and scenario.contexts else None
    shown = figures_of(ds, found is not None)
    return {
        "headline": _kind(found),
        "verdict": found,
        "measures": _measures(found) if found else [],
        "figures": [(svg(name, ds, f"{ident}-{name}", FIGURES[name]), FIGURES[name]) for name in shown],
        "findings": format_findings(findings) if findings else "",
    }


def figures_of(ds: xr.Dataset, goal: bool = True) -> list[str]:
    """Return the names of the figures that the run has data for."""
    windows = int(float(ds["time"].values[-1]) / float(ds.attrs["window_s"]))
    has = {
        "course": goal and windows > 0,
        "esz": ds.sizes["scheme"] > 0,
        "regions": has_regions(ds),
        "returns": not bool((ds["returns"].values < 0).any()) and bool(ds["migrated_pages"].values.any()),
        "spectrum": goal and windows >= 16,
    }
    return [name for name in FIGURES if has.get(name, True)]


def _measures(found: Verdict) -> list[tuple[str, str, str]]:
    rows = []
    for name, (label, unit) in MEASURES.items():
        if name in found.numbers:
            value = float(found.numbers[name])
            rows.append((label, "never" if math.isinf(value) else written(value, significant), unit))
    return rows
