"""What a page says about one run: its verdict in words, its measures, its figures."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from ..plot.files import has_regions
from ..scenario import Scenario
from ..verdicts.judge import Verdict, judged
from .drawing import svg
from .text_of_comparison import MISSING, significant

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


def body(ds: xr.Dataset, ident: str) -> str:
    """Return the verdict, the table of measures and the figures of a run as HTML.

    Parameters
    ----------
    ds : xarray.Dataset
        What `tieringmodel.simulate` returns.
    ident : str
        Begins every id.

    Returns
    -------
    str
    """
    from ..linting import format_findings, lint

    found = judged(ds)
    parts = []
    if found is None:
        parts.append('<p class="headline">This run has no goal that it could be judged by.</p>')
    else:
        parts.append(f'<p class="headline">{escape(found.kind)}</p>\n<p>{escape(found.cause)}.</p>')
        if found.fix:
            parts.append(f"<p><b>What would help:</b> {escape(str(found.fix))}.</p>")
        parts.append("<h3>Measures</h3>" + _table(found))
    parts.append("<h3>Figures</h3>")
    for name in figures_of(ds, found is not None):
        caption = FIGURES[name]
        drawn = svg(name, ds, f"{ident}-{name}", caption)
        parts.append(f'<figure><div class="scroll">{drawn}</div><figcaption>{escape(caption)}</figcaption></figure>')
    if ds.attrs.get("scenario"):
        scenario = Scenario.from_json(str(ds.attrs["scenario"]))
        if scenario.contexts and (findings := lint(scenario)):
            parts.append(f"<h3>Seen without running</h3>\n<pre>{escape(format_findings(findings))}</pre>")
    return "\n".join(parts)


def figures_of(ds: xr.Dataset, goal: bool = True) -> list[str]:
    """Return the names of the figures that the run has data for."""
    windows = int(float(ds["time"].values[-1]) / float(ds.attrs["window_s"]))
    has = {
        "course": goal,
        "esz": ds.sizes["scheme"] > 0,
        "regions": has_regions(ds),
        "returns": not bool((ds["returns"].values < 0).any()) and bool(ds["migrated_pages"].values.any()),
        "spectrum": goal and windows >= 16,
    }
    return [name for name in FIGURES if has.get(name, True)]


def _table(found: Verdict) -> str:
    rows = []
    for name, (words, unit) in MEASURES.items():
        if name in found.numbers:
            value = float(found.numbers[name])
            text = MISSING if math.isnan(value) else "never" if math.isinf(value) else significant(value)
            rows.append(f"<tr><th scope=row>{words}</th><td class=n>{escape(text)}</td><td>{escape(unit)}</td></tr>")
    return '<div class="scroll"><table><tbody>\n' + "\n".join(rows) + "\n</tbody></table></div>"
