"""A report: one HTML file about comparisons, runs and sweeps that needs nothing beside itself."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._version import __version__
from ..atomic import replacing
from ..errors import InputError
from ..plot.files import files_of, has_regions, slug
from ..scenario import Scenario
from ..verdicts.judge import judged
from . import run_section, sweep_section
from .drawing import svg
from .page import PAGE, STYLE
from .text_of_comparison import NUMBERS, Row, rows
from .words import words

if TYPE_CHECKING:
    import xarray as xr

FIGURES = {
    "share": "Share over time of every policy, against the target. Thick dark: recorded kernel, if there is one; thick "
    "blue: goals; thin: weights; grey and dashed: baselines.",
    "share_panels": "The same, one policy in each panel; behind it in grey the recorded kernel or, without one, the "
    "first policy.",
    "migration_rate": "What each policy migrates. The axis is linear up to 0.1 MiB/s, so that zero is on it, and "
    "logarithmic above.",
    "summary": "What is still migrated in the end, and how far the share is from the target. Filled dots have settled.",
    "regions": "What DAMON sees under the first policy: how often each region was found accessed.",
}
_PACKAGES = ("numpy", "numba", "scipy", "xarray", "matplotlib")


def write_report(
    comparisons: Sequence[xr.Dataset], path: str | Path, *, command: str, figures: str | Path | None = None
) -> Path:
    """Write one page of HTML that shows results and says what they came to; return its path.

    Parameters
    ----------
    comparisons : sequence of xarray.Dataset
        One section each: what `tieringmodel.compare`, `tieringmodel.simulate` or `tieringmodel.sweep` returns. The
        attributes ``name``, ``title``, ``question``, ``scenario`` (JSON), ``duration_s``, ``seed`` and ``tieringmodel``
        (version) are shown where they exist.
    path : str or Path
        The file to write; its folder is made if it does not exist.
    command : str
        The command line that made the comparisons, for the reader who wants to repeat them.
    figures : str or Path, optional
        A folder for the figures of comparisons as PNG files, as `save_figures` writes them; both at once take less time.

    Returns
    -------
    Path
        The file: inline styles and figures, no script, no address.

    Raises
    ------
    InputError
        If there is nothing to report, a dataset lacks a variable, or the path is a folder.
    """
    if hasattr(comparisons, "data_vars"):
        raise InputError("comparisons", "is one dataset", "put it into a list")
    if not comparisons:
        raise InputError("comparisons", "is empty", "pass at least one comparison")
    place = Path(path)
    if place.is_dir():
        raise InputError("path", f"{place} is a folder", f"write {place / 'report.html'}")
    ids = [f"s{k}-{slug(str(c.attrs.get('name', '')))}" for k, c in enumerate(comparisons)]
    sections = [_section(c, i, figures) for c, i in zip(comparisons, ids, strict=True)]
    text = PAGE.substitute(
        title="Tiering report" if len(comparisons) > 1 else escape(_title(comparisons[0])),
        style=STYLE,
        contents=_contents(comparisons, ids),
        sections="\n".join(sections),
        command=escape(command),
        seeds=_seeds(comparisons),
        versions=_versions(comparisons),
    )
    place.parent.mkdir(parents=True, exist_ok=True)
    with replacing(place) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return place


def _title(cmp: xr.Dataset) -> str:
    if _is_sweep(cmp):
        return f"Sweep of {cmp.attrs.get('name') or 'a scenario'}"
    return str(cmp.attrs.get("title") or cmp.attrs.get("name") or ("Comparison" if "policy" in cmp.dims else "Run"))


def _contents(comparisons: Sequence[xr.Dataset], ids: list[str]) -> str:
    if len(comparisons) == 1:
        return ""
    items = [
        f'<li><a href="#{i}">{escape(_title(c))}</a>: {escape(headline(c))}</li>' for c, i in zip(comparisons, ids, strict=True)
    ]
    return "<nav><ul>\n" + "\n".join(items) + "\n</ul></nav>"


def headline(c: xr.Dataset) -> str:
    """Return what a page says first about a result."""
    if _is_sweep(c):
        return sweep_section.headline(c)
    if "policy" in c.dims:
        return words(c).headline
    found = judged(c)
    return found.kind if found else "no goal"


def _is_sweep(c: xr.Dataset) -> bool:
    return bool(c.attrs.get("kind") == "sweep")


def _section(cmp: xr.Dataset, ident: str, figures: str | Path | None) -> str:
    parts = [f'<section id="{ident}">', f"<h2>{escape(_title(cmp))}</h2>"]
    if cmp.attrs.get("question"):
        parts.append(f'<p class="question">{escape(str(cmp.attrs["question"]))}</p>')
    if _is_sweep(cmp):
        return "\n".join([*parts, sweep_section.body(cmp, ident), _scenario(cmp), "</section>"])
    if "policy" not in cmp.dims:
        return "\n".join([*parts, run_section.body(cmp, ident), _scenario(cmp), "</section>"])
    parts += [_verdict(cmp), "<h3>Table</h3>", _table(cmp), "<h3>Figures</h3>"]
    files = files_of(cmp, figures) if figures is not None else {}
    for name, caption in FIGURES.items():
        if name == "regions" and not has_regions(cmp):
            continue
        drawn = svg(name, cmp, f"{ident}-{name}", caption, files.get(name))
        parts.append(f'<figure><div class="scroll">{drawn}</div><figcaption>{escape(caption)}</figcaption></figure>')
    if cmp.attrs.get("lint"):
        parts.append(f"<h3>Seen without running</h3>\n<pre>{escape(str(cmp.attrs['lint']))}</pre>")
    parts += [_scenario(cmp), "</section>"]
    return "\n".join(parts)


def _verdict(cmp: xr.Dataset) -> str:
    said = words(cmp)
    target = float(cmp["target_bp"])
    parts = [f'<p class="headline">{escape(said.headline)}</p>']
    facts = [f"target {target:.0f} bp ({target / 100:g} %)"] if np.isfinite(target) else []
    for name, label in (("controlled", ""), ("duration_s", "simulated "), ("seed", "seed ")):
        if name in cmp.attrs:
            value = cmp.attrs[name]
            facts.append(label + (f"{float(value):.0f} s" if name == "duration_s" else str(value)))
    parts.append(f'<p class="facts">{escape(" · ".join(facts))}</p>')
    if said.recorded:
        parts.append(f"<p>{escape(said.recorded)}</p>")
    for title, items in (
        ("Settled at the target", said.settled),
        ("Not settled, and why", said.unsettled),
        ("What would help", said.fixes),
    ):
        if items:
            entries = "\n".join(f"<li><b>{escape(head)}</b> {escape(text)}</li>" for head, text in items)
            parts.append(f"<h3>{title}</h3>\n<ul>\n{entries}\n</ul>")
    if said.baselines:
        parts.append(f"<p><b>Baselines:</b> {escape(said.baselines)}</p>")
    return "\n".join(parts)


def _table(cmp: xr.Dataset) -> str:
    heads = ["<th scope=col>policy</th>", "<th scope=col>settled?</th>"]
    heads.append("<th scope=col class=n>settling time<small>s</small></th>")
    for column in NUMBERS:
        heads.append(f"<th scope=col class=n>{column.name}<small>{column.unit}</small></th>")
    heads.append("<th scope=col>verdict</th>")
    body = "\n".join(_row(r) for r in rows(cmp))
    top = "".join(heads)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table, scrolls sideways"><table>\n'
        f"<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _row(row: Row) -> str:
    settling = "never" if row.settling == "∞" else row.settling
    mark = "<td class=yes>✓ yes</td>" if row.settled else "<td class=no>✗ no</td>"
    numbers = "".join(f"<td class=n>{escape(text)}</td>" for text in (settling, *row.numbers))
    return f"<tr><th scope=row>{escape(row.policy)}</th>{mark}{numbers}<td>{escape(row.kind)}</td></tr>"


def _scenario(cmp: xr.Dataset) -> str:
    source = str(cmp.attrs.get("scenario", ""))
    if not source:
        return ""
    try:
        title, text = "Scenario (TOML)", Scenario.from_json(source).to_toml()
    except (InputError, json.JSONDecodeError, TypeError) as error:
        # A result of another version is still worth a report; the reader gets what the file holds.
        title, text = f"Scenario (as stored; this version does not read it: {error})", source
    return f"<details><summary>{escape(title)}</summary><pre><code>{escape(text)}</code></pre></details>"


def _seeds(comparisons: Sequence[xr.Dataset]) -> str:
    parts = []
    for c in comparisons:
        known = [f"seed {c.attrs['seed']}"] if "seed" in c.attrs else []
        known += [f"duration {c.attrs['duration_s']:g} s"] if "duration_s" in c.attrs else []
        if known:
            parts.append(f"<li>{escape(_title(c))}: {escape(', '.join(known))}</li>")
    return "<ul>\n" + "\n".join(parts) + "\n</ul>" if parts else ""


def _versions(comparisons: Sequence[xr.Dataset]) -> str:
    made = sorted({str(c.attrs["tieringmodel"]) for c in comparisons if "tieringmodel" in c.attrs} - {__version__})
    own = __version__ + (f" (results made by {', '.join(made)})" if made else "")
    out = [("tieringmodel", own), ("Python", platform.python_version())]
    for name in _PACKAGES:
        try:
            out.append((name, version(name)))
        except PackageNotFoundError:
            out.append((name, "not installed"))
    return "\n".join(f"<tr><th scope=row>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in out)
