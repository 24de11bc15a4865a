"""What a page says about a comparison: its verdict in sentences, read off its table, the table itself, its figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..datasets.kernel import kernel_of
from ..plot.files import drawn as shown_of
from ..plot.files import figure, files_of, save_png
from ..plot.reading import names, verdict
from ..plot.roles import BASELINE, RECORDED, listed, looks, role_of
from ..verdicts.row import NOT_IN_KERNEL
from ..verdicts.thresholds import RunThresholds
from .answer_chart import Band, Drawn, Line, drawn
from .drawing import svg
from .text_of_comparison import MISSING, NUMBERS, Row, rows

if TYPE_CHECKING:
    import xarray as xr

FIGURES = {
    "share_panels": "The share, one policy in each panel; behind it the recorded kernel or, without one, the first policy.",
    "migration_rate": "What each policy migrates. The axis is linear up to 0.1 MiB/s, so that zero is on it, and "
    "logarithmic above.",
    "summary": "What is still migrated in the end, and how far the share is from the target. Filled dots have settled.",
    "regions": "What DAMON sees under the first policy: how often each region was found accessed.",
}

Figures = list[tuple[str, str]]
"""SVG elements and their captions, as `draw` yields them."""


class Sentences(NamedTuple):
    """Sentences about one comparison; the lists hold (policy, sentence), `fixes` (fix, policies that it is for).

    `missing`: policies that were not run, for the kernel lacks what they take.
    """

    headline: str
    recorded: str
    settled: list[tuple[str, str]]
    unsettled: list[tuple[str, str]]
    fixes: list[tuple[str, str]]
    baselines: str
    missing: list[tuple[str, str]]


def _end(text: str) -> str:
    return text if not text or text[-1] in ".!?" else text + "."


def _facts(row: Row) -> list[str]:
    if row.settled:
        when = "" if row.settling in (MISSING, "∞") else f"after {row.settling} s"
        moves = "" if row.numbers[3] == MISSING else f"{row.numbers[3]} moves per page"
        return [when, moves]
    kind = row.kind if row.kind != "converged" else ""
    error = "" if row.numbers[0] == MISSING else f"{row.numbers[0]} bp from the target"
    rate = {MISSING: "", "0": "moves nothing"}.get(row.numbers[1], f"{row.numbers[1]} MiB/s go on")
    return [kind, error, rate]


def _sentence(row: Row) -> str:
    facts = ", ".join(text for text in _facts(row) if text)
    return _end((f"({facts})" if facts else "") + (f": {row.cause}" if row.cause else ""))


def _baselines(table: list[Row]) -> str:
    rest = [r.policy for r in table if r.settled]
    away = [f"{r.policy} by {r.numbers[0]} bp" for r in table if not r.settled]
    parts = [f"{listed(rest, len(rest))} at rest at the target"] if rest else []
    return _end("; ".join([*parts, f"off the target: {listed(away, len(away))}"] if away else parts))


def _recorded(table: list[Row]) -> str:
    """Return how the measured run compares with the first policy, which is the model of its set-up."""
    measured = next((r for r in table if role_of(r.policy) == RECORDED), None)
    if measured is None or measured is table[0]:
        return ""

    def facts(row: Row) -> str:
        kind = "settled" if row.settled else row.kind or "not settled"
        return f"{kind}, share error {row.numbers[0]} bp, {row.numbers[1]} MiB/s"

    model = table[0]
    same = "the same verdict" if (measured.settled, measured.kind) == (model.settled, model.kind) else "another verdict"
    return f"Measured ({measured.policy}): {facts(measured)}. Modelled ({model.policy}): {facts(model)}; {same}."


def sentences(cmp: xr.Dataset) -> Sentences:
    """Return the verdict of a comparison.

    Parameters
    ----------
    cmp : xarray.Dataset
        As for `tieringmodel.reports.text_of_comparison.table`.

    Returns
    -------
    Sentences
        Which policies settled at the target, which did not and why, how the baselines stand, and what would help whom.

    Raises
    ------
    InputError
        If the dataset lacks a variable.
    """
    every = [(row, role_of(name)) for row, name in zip(rows(cmp), names(cmp), strict=True)]
    table, roles = [row for row, _ in every if row.kind != NOT_IN_KERNEL], [r for row, r in every if row.kind != NOT_IN_KERNEL]
    judged = [r for r, role in zip(table, roles, strict=True) if role != BASELINE]
    fixes: dict[str, list[str]] = {}
    for row in judged:
        if row.fix and not row.settled:
            fixes.setdefault(row.fix, []).append(row.policy)
    return Sentences(
        _end(verdict(cmp)),
        _recorded(table),
        [(r.policy, _sentence(r)) for r in judged if r.settled],
        [(r.policy, _sentence(r)) for r in judged if not r.settled],
        [(_end(fix), f"(for {listed(who, len(who))})") for fix, who in fixes.items()],
        _baselines([r for r, role in zip(table, roles, strict=True) if role == BASELINE]),
        [(row.policy, _end(row.cause)) for row, _ in every if row.kind == NOT_IN_KERNEL],
    )


def headline(cmp: xr.Dataset) -> str:
    """Return how many policies come to rest at the target, and which."""
    return sentences(cmp).headline


def draw(cmp: xr.Dataset, ident: str, folder: str | Path | None = None) -> Iterator[tuple[str, str]]:
    """Yield each figure of a comparison that shows something, as an SVG element with its caption, drawn once.

    Parameters
    ----------
    cmp : xarray.Dataset
        A comparison.
    ident : str
        Begins every id in the elements.
    folder : str or Path, optional
        Where the figures go as PNG files, too, as `tieringmodel.plot.save_figures` names them.
    """
    files = files_of(cmp, folder) if folder is not None else {}
    shows = shown_of(cmp)
    for name, caption in FIGURES.items():
        if name in shows:
            yield svg(name, cmp, f"{ident}-{name}", caption, files.get(name)), caption
    for name in files.keys() - FIGURES.keys():
        save_png(figure(name, cmp), files[name])


_CSS = {
    "#0072B2": "var(--blue)",
    "#D55E00": "var(--l1)",
    "#009E73": "var(--l2)",
    "#E69F00": "var(--l3)",
    "#CC79A7": "var(--l4)",
    "#56B4E9": "var(--l5)",
    "#8A8A8A": "var(--soft)",
    "ink": "var(--ink)",
}
"""The colours of figures as the page has them, light or dark."""
_SHOWN = 4
"""Lines that show before anybody asks for more."""


def _answer(cmp: xr.Dataset, ident: str) -> Drawn | None:
    """Return the chart of every policy that has a share; the first few show, baselines only where there is nothing else."""
    values, time = cmp["share_bp"].values.astype(float), cmp["time"].values.astype(float)
    rates = cmp["migrated_mib_s"].values.astype(float)
    policies = names(cmp)
    known = [k for k in range(len(policies)) if np.isfinite(values[k]).any()]
    if not known or time.size < 2:
        return None
    first = [k for k in known if role_of(policies[k]) != BASELINE][:_SHOWN] or known[:_SHOWN]
    styles = looks(policies)
    lines = [
        Line(
            policies[k],
            values[k],
            rates[k],
            _CSS.get(styles[k].colour, styles[k].colour),
            " ".join(f"{d:g}" for d in styles[k].dashes[1]),
            k in first,
        )
        for k in known
    ]
    target = float(cmp["target_bp"])
    band = RunThresholds().band_bp
    bands = [Band(time[:1], np.array([target]), band, band)] if np.isfinite(target) else []
    ends = "; ".join(f"{policies[k]}: {values[k][np.isfinite(values[k])][-1]:.0f}" for k in known)
    says = f"Share over time in bp, at the end {ends}"
    return drawn(f"{ident}-answer", time, lines, bands, unit="bp", says=says, rate="MiB/s migrated")


def section(cmp: xr.Dataset, ident: str, figures: Figures) -> dict[str, Any]:
    """Return what ``comparison.html`` shows, with these figures; `ident` begins every id in it."""
    target = float(cmp["target_bp"])
    facts = [f"target {target:.0f} bp ({target / 100:g} %)"] if np.isfinite(target) else []
    for name, write in (("controlled", "{}"), ("duration_s", "simulated {:.0f} s"), ("seed", "seed {}")):
        if name in cmp.attrs:
            facts.append(write.format(cmp.attrs[name]))
    facts += [kernel_of(cmp)] if kernel_of(cmp) else []
    said = sentences(cmp)
    return {
        "headline": said.headline,
        "answer": _answer(cmp, ident),
        "facts": facts,
        "said": said,
        "columns": [("settling time", "s"), *((c.name, c.unit) for c in NUMBERS)],
        "rows": rows(cmp),
        "figures": figures,
        "findings": cmp.attrs.get("lint"),
    }
