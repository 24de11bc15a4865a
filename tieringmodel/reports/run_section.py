"""What a page says about one run: its verdict in words, its measures, its figures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..datasets.kernel import kernel_of
from ..plot.files import has_regions, varies
from ..scenario import Scenario
from ..units import MIB, significant
from ..verdicts.expect import values_of
from ..verdicts.funnel import describe
from ..verdicts.goal_course import courses
from ..verdicts.judge import Verdict, judged
from ..verdicts.page_run import PageRun
from ..verdicts.run_view import reading_window_s, series
from ..verdicts.target import goal_node
from ..verdicts.thresholds import RunThresholds
from .answer_chart import Band, Drawn, Line, drawn
from .drawing import svg
from .text_of_comparison import MISSING, written

if TYPE_CHECKING:
    import xarray as xr

FIGURES = {
    "esz": "Effective quota of every scheme, and the score that steers it.",
    "occupancy": "Pages in use on each node; dashed, the nodes' sizes.",
    "closed_loop": "Accesses per second, latency and load of each node; filled, copies of pages.",
    "regions": "What DAMON sees: how often each region was found accessed.",
    "returns": "Which share of all moves was undone after how many windows.",
    "spectrum": "At which periods the share swings in the second half.",
}
MEASURES = {
    "settling_s": ("settling time", "s"),
    "last_move_s": ("last move", "s"),
    "overshoot_bp": ("overshoot", "bp"),
    "steady_state_error_bp": ("steady-state error", "bp"),
    "limit_cycle_amplitude_bp": ("amplitude at the end", "bp"),
    "limit_cycle_period_windows": ("period at the end", "windows"),
    "residual_mib_s": ("moved at the end", "MiB/s"),
    "abs_error_bp": ("distance from where it should be", "bp"),
    "ping_pong": ("moves undone", "of all moves"),
    "moves_per_page": ("moves", "per page"),
    "waste_ratio": ("wasted moves", "of all moves"),
}


def headline(ds: xr.Dataset) -> str:
    """Return what kind of run it was."""
    return _kind(judged(ds))


def _kind(found: Verdict | None) -> str:
    return found.kind if found else "not judged"


def section(ds: xr.Dataset, ident: str) -> dict[str, Any]:
    """Return what ``run.html`` shows: the verdict, the measures, the figures and what was known before."""
    from ..linting import format_findings, lint

    found = judged(ds)
    scenario = Scenario.from_json(str(ds.attrs["scenario"]), stored=True) if ds.attrs.get("scenario") else None
    findings = lint(scenario) if scenario and scenario.contexts else None
    return {
        "headline": _kind(found),
        "answer": _answer(ds, ident) if found else None,
        "causes": [(c.code, c.text) for c in found.causes] if found else [],
        "facts": kernel_of(ds),
        "verdict": found,
        "goals": [[_cell(v) for v in g.values()] for g in found.goals] if found else [],
        "funnel": [describe(f) for f in found.funnel] if found else [],
        "measures": _measures(ds, found) if found else [],
        "figures": [(svg(n, ds, f"{ident}-{n}", FIGURES[n]), FIGURES[n]) for n in figures_of(ds, found is not None)],
        "findings": format_findings(findings) if findings else "",
    }


_COLOURS = ("var(--blue)", "var(--l1)", "var(--l2)", "var(--l3)", "var(--l4)")


def _answer(ds: xr.Dataset, ident: str) -> Drawn | None:
    """Return the chart of every share that a goal is about, of all contexts; without one, of the accesses that nodes serve."""
    run = PageRun(ds, RunThresholds())
    if run.time.size < 2:
        return None
    moved = np.maximum(run.moved, 0.0) * run.page_bytes / MIB / np.diff(run.time, prepend=0.0).clip(1e-9)
    goals = [g for g in courses(run) if g.evaluated.any() and g.of.acts] or [g for g in courses(run) if g.evaluated.any()]
    lines, bands = [], []
    units = [g for g in goals if g.is_share] or goals[:1]
    for k, goal in enumerate(units):
        name = f"{goal.name} (scheme {goal.of.number})"
        colour = _COLOURS[k % len(_COLOURS)]
        lines.append(Line(name, goal.values, moved if k == 0 else None, colour, "" if k < len(_COLOURS) else "5 2"))
        at = goal.evaluated
        low, high = goal.interval
        last = float(goal.targets[-1])
        bands.append(
            Band(run.time[at], goal.targets[at], max(last - low, 0.0), min(max(high - last, 0.0), 1e9), f"target of {name}")
        )
    unit = "bp" if not units or units[0].is_share else units[0].unit.strip() or "value"
    if not lines and "access_share_bp" in ds:
        for i, nid in enumerate(run.nids):
            served = ds["access_share_bp"].values[:, i].astype(float)
            lines.append(
                Line(f"accesses that node {nid} serves", served, moved if i == 0 else None, _COLOURS[i % len(_COLOURS)])
            )
    if not lines:
        return None
    about = "; ".join(f"{one.name}: {one.y[~np.isnan(one.y)][-1]:.0f} at the end" for one in lines if (~np.isnan(one.y)).any())
    return drawn(f"{ident}-answer", run.time, lines, bands, unit=unit, says=f"Course over time. {about}", rate="MiB/s moved")


def _cell(value: Any) -> str:
    return MISSING if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def figures_of(ds: xr.Dataset, goal: bool = True) -> list[str]:
    """Return the names of the figures that the run has data for."""
    windows = int(float(ds["time"].values[-1]) / reading_window_s(ds))
    share = series(ds, node=goal_node(ds)).y_bp if goal and windows else np.zeros(1)
    followed = not bool((ds["returns"].values < 0).any())
    has = {
        "esz": ds.sizes["scheme"] > 0 and (varies(ds["esz_bytes"].values) or varies(ds["score"].values)),
        "occupancy": varies(ds["used_pages"].values),
        "closed_loop": "throughput_per_s" in ds and varies(ds["throughput_per_s"].values),
        "regions": has_regions(ds),
        "returns": followed and bool(ds["returns"].values.any()),
        "spectrum": windows >= 16 and varies(share[share.size // 2 :]),
    }
    return [name for name in FIGURES if has.get(name, True)]


def _measures(ds: xr.Dataset, found: Verdict) -> list[tuple[str, str, str]]:
    values = values_of(ds, found=found)
    known = [(label, values[name], unit) for name, (label, unit) in MEASURES.items() if name in values]
    return [(label, "never" if math.isinf(value) else written(value, significant), unit) for label, value, unit in known]
