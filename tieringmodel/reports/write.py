"""A report: one HTML file about comparisons, runs and sweeps that needs nothing beside itself."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..atomic import need_place, replacing
from ..checks import file_name
from ..errors import InputError
from ..plot.files import slug
from ..scenario import Scenario
from . import comparison_section, run_section, sweep_section, tuning_section
from .comparison_section import Figures

if TYPE_CHECKING:
    import xarray as xr
    from jinja2 import Environment

_PACKAGES = ("numpy", "numba", "scipy", "xarray", "matplotlib")


def write_report(
    comparisons: Sequence[xr.Dataset],
    path: str | Path,
    *,
    command: str,
    figures: str | Path | None = None,
    drawn: Sequence[Figures] | None = None,
) -> Path:
    """Write one page of HTML that shows results and says what they came to; return its path.

    Parameters
    ----------
    comparisons : sequence of xarray.Dataset
        One section each: what `tieringmodel.compare`, `tieringmodel.simulate` or `tieringmodel.sweep` returns, or what
        ``tieringmodel tune`` stored. The attributes ``name``, ``title``, ``question``, ``scenario`` (JSON), ``duration_s``,
        ``seed`` and ``tieringmodel`` (version) are shown where they exist.
    path : str or Path
        The file to write; its folder is made if it does not exist.
    command : str
        The command line that made the comparisons, for the reader who wants to repeat them.
    figures : str or Path, optional
        A folder for the figures of comparisons as PNG files, as `save_figures` writes them; both at once take less time.
    drawn : sequence of list of (str, str), optional
        Figures of every comparison that are there already, as elements of SVG and their captions, taken as they are; empty
        lists leave figures out. By default they are drawn.

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
    place.parent.mkdir(parents=True, exist_ok=True)
    need_place(place, "path")
    given = [None] * len(comparisons) if drawn is None else drawn
    sections = [_section(c, ident_of(k, c), figures, given[k]) for k, c in enumerate(comparisons)]
    for k, section in enumerate(sections, start=1):
        section["where"] = section["title"] if len(sections) == 1 else f"{k}, {section['title']}"
    text = (
        templates()
        .get_template("page.html")
        .render(
            title="Tiering report" if len(sections) > 1 else sections[0]["title"],
            sections=sections,
            command=command,
            versions=_versions(comparisons),
        )
    )
    with replacing(place) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return place


def report(
    results: xr.Dataset | str | Path | Sequence[xr.Dataset | str | Path], path: str | Path = "report.html", *, command: str = ""
) -> Path:
    """Write one page of HTML about results; return its path.

    Parameters
    ----------
    results : xarray.Dataset, str, Path, or a sequence of these
        What `simulate`, `compare`, `sweep` or `tune` returns, or files of these; a folder stands for the newest in it.
    path : str or Path
        The file to write.
    command : str
        How the results were made, for the reader who wants to repeat them; by default what they say themselves.

    Returns
    -------
    Path
        The file: inline styles and figures, no script, no address.

    Raises
    ------
    InputError
        If there is nothing to report, or a file is no result.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.report(tm.simulate(tm.load("rfc-40-60"), duration="3 s"), "page.html").name
    'page.html'
    """
    from ..datasets.read import read_results, results_below

    alone = hasattr(results, "data_vars") or isinstance(results, (str, Path))
    given: list[Any] = [results] if alone else list(results)  # type: ignore[arg-type]
    every: list[xr.Dataset] = []
    for one in given:
        every += [one] if hasattr(one, "data_vars") else read_results(results_below(file_name("results", one))[0])
    own = dict.fromkeys(str(ds.attrs["command"]) for ds in every if ds.attrs.get("command"))
    return write_report(every, path, command=command or "\n".join(own) or "tm.report(…)")


def _title(cmp: xr.Dataset) -> str:
    if _is_sweep(cmp):
        return f"Sweep of {cmp.attrs.get('name') or 'a scenario'}"
    if _is_tuning(cmp):
        return f"Tuning of {cmp.attrs.get('name') or 'a scenario'}"
    return str(cmp.attrs.get("title") or cmp.attrs.get("name") or ("Comparison" if "policy" in cmp.dims else "Run"))


def headline(c: xr.Dataset) -> str:
    """Return what a page says first about a result."""
    if _is_sweep(c):
        return sweep_section.headline(c)
    if _is_tuning(c):
        return tuning_section.headline(c)
    return comparison_section.headline(c) if "policy" in c.dims else run_section.headline(c)


def _is_sweep(c: xr.Dataset) -> bool:
    return bool(c.attrs.get("kind") == "sweep")


def _is_tuning(c: xr.Dataset) -> bool:
    return bool(c.attrs.get("kind") == "tuning")


def ident_of(k: int, c: xr.Dataset) -> str:
    """Return what begins every id in the section of a page's `k`-th result."""
    return f"s{k}-{slug(str(c.attrs.get('name', '')))}"


def _section(c: xr.Dataset, ident: str, folder: str | Path | None, given: Figures | None) -> dict[str, Any]:
    """Return what the templates need to know about a result, and the name of the template of its kind."""
    if _is_sweep(c):
        kind, facts = "sweep", sweep_section.section(c, ident)
    elif _is_tuning(c):
        kind, facts = "tuning", tuning_section.section(c, ident)
    elif "policy" in c.dims:
        figures = [*comparison_section.draw(c, ident, folder)] if given is None else given
        kind, facts = "comparison", comparison_section.section(c, ident, figures)
    else:
        kind, facts = "run", run_section.section(c, ident)
    repeat = [f"seed {c.attrs['seed']}"] if "seed" in c.attrs else []
    repeat += [f"duration {c.attrs['duration_s']:g} s"] if "duration_s" in c.attrs else []
    about = {"title": _title(c), "question": c.attrs.get("question"), "scenario": _scenario(c), "repeat": repeat}
    return {"template": f"{kind}.html", "ident": ident, **about, **facts}


@cache
def templates() -> Environment:
    """Return the pages' templates, which escape whatever is put into them; each is compiled once in a process."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _scenario(c: xr.Dataset) -> tuple[str, str] | None:
    source = str(c.attrs.get("scenario", ""))
    if not source:
        return None
    try:
        return "Scenario (TOML)", Scenario.from_json(source, stored=True).to_toml()
    except (InputError, json.JSONDecodeError, TypeError) as error:
        # A result of another version is still worth a report; the reader gets what the file holds.
        return f"Scenario (as stored; this version does not read it: {error})", source


def _versions(comparisons: Sequence[xr.Dataset]) -> list[tuple[str, str]]:
    made = sorted({str(c.attrs["tieringmodel"]) for c in comparisons if "tieringmodel" in c.attrs} - {__version__})
    own = __version__ + (f" (results made by {', '.join(made)})" if made else "")
    out = [("tieringmodel", own), ("Python", platform.python_version())]
    for name in _PACKAGES:
        try:
            out.append((name, version(name)))
        except PackageNotFoundError:
            out.append((name, "not installed"))
    return out
