"""Figures of tunings: the candidates by two measures, and how far the answer's knobs may move."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .reading import need
from .roles import BLUE, GREY
from .style import SMALL_PT, Sheet, dress, headline, headline_all, ink, literal

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

TUNE = "tieringmodel.tune"
FRONT_SHEET = Sheet(4.2)
LOG_FROM = 50.0
"""A measure that spans this ratio is drawn on a logarithmic scale that begins linearly at 0."""
DECADES = 1e3
"""Between its largest value and where it begins at most."""
LABELLED = 5
UNITS = {"_mib_s": "MiB/s", "_per_s": "1/s", "_bp": "bp", "_s": "s"}


def answer_of(ds: xr.Dataset) -> dict[str, Any]:
    """Return the answer that a tuning's dataset carries.

    Raises
    ------
    InputError
        If it carries none.
    """
    need(ds, "ds", ("met", "value", "origin"), TUNE)
    try:
        found: dict[str, Any] = json.loads(str(ds.attrs["answer"]))
        return found
    except (KeyError, ValueError):
        raise InputError("ds", "carries no answer", f"pass what {TUNE} wrote") from None


def tuning_front(ds: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw the candidates of a tuning by the first two measures that its end or objectives name.

    Parameters
    ----------
    ds : xarray.Dataset
        From `tieringmodel.tuning.dataset.dataset_of`.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
        Those that meet the end filled, the others hollow, the answer as a star; a line through the front, where there is one.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> from tieringmodel.tuning.dataset import dataset_of
    >>> end = "residual_mib_s < 0.5, abs_error_bp < 300"
    >>> found = tm.tune(tm.load("rfc-40-60"), end, duration="10 s", budget=0, seeds=1)
    >>> tm.plot.tuning_front(dataset_of(found)).get_xlabel()
    'residual_mib_s [MiB/s]'
    """
    answer = answer_of(ds)
    names = [str(n) for n in ds["measure"].values][:2]
    if not names:
        raise InputError("ds", "names no measure that is a number", "give an end with one, such as residual_mib_s < 1")
    axes: Any = FRONT_SHEET.axes(ax)[0]
    met, values = ds["met"].values.astype(bool), ds["value"].values
    x = values[:, 0]
    y = values[:, 1] if len(names) > 1 else ds["shortfall"].values
    known = np.isfinite(x) & np.isfinite(y)
    axes.scatter(x[known & ~met], y[known & ~met], s=22, facecolors="none", edgecolors=GREY, label="misses the end", zorder=2)
    axes.scatter(x[known & met], y[known & met], s=24, color=BLUE, label="meets the end", zorder=3)
    best = int(np.flatnonzero(ds["candidate"].values == answer["chosen"])[0])
    if known[best]:
        label = "answer" if answer["met"] else "nearest miss"
        axes.scatter(x[[best]], y[[best]], s=130, marker="*", color=ink(), label=label, zorder=4)
    front = np.isin(ds["candidate"].values, answer["front"]) & known
    if front.sum() > 1:
        order = np.argsort(x[front])
        axes.plot(x[front][order], y[front][order], color=BLUE, linewidth=1.2, zorder=1)
    for name, along in (("x", x[known]), ("y", y[known])):
        positive = along[along > 0]
        if positive.size and along.min() >= 0 and positive.max() > LOG_FROM * positive.min():
            getattr(axes, f"set_{name}scale")("symlog", linthresh=float(max(positive.min(), positive.max() / DECADES)))
    for k in [k for k in range(min(LABELLED, len(x))) if known[k]]:
        text = str(ds["origin"].values[k])
        if any(known[j] and (x[j], y[j]) == (x[k], y[k]) for j in range(k)):
            continue
        axes.annotate(literal(text), (x[k], y[k]), xytext=(4, 4), textcoords="offset points", fontsize=SMALL_PT - 1)
    dress(axes, _label(names[0]), _label(names[1]) if len(names) > 1 else "shortfall", grid="both")
    axes.legend(fontsize=SMALL_PT, frameon=False, loc="best")
    headline(axes, f"{int(met.sum())} of {met.size} candidates meet {answer['end']}")
    return axes  # type: ignore[no-any-return]


def _label(name: str) -> str:
    unit = next((unit for suffix, unit in UNITS.items() if name.endswith(suffix)), "")
    return f"{name} [{unit}]" if unit else name


def margins_sheet(ds: xr.Dataset) -> Sheet:
    """Return the sheet that `tuning_margins` needs."""
    return Sheet(1.2 + 0.32 * max(len(answer_of(ds)["margins"]), 1))


def tuning_margins(ds: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw how far each knob of a tuning's answer may move, the others staying, before the end is missed.

    Parameters
    ----------
    ds : xarray.Dataset
        From `tieringmodel.tuning.dataset.dataset_of`.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
        A line for each knob over the places of its values: thick where the end is met, a cross where it is missed first.

    Raises
    ------
    InputError
        If the tuning has no margins: no candidate met its end.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> from tieringmodel.tuning.dataset import dataset_of
    >>> end = "residual_mib_s < 0.5, abs_error_bp < 300"
    >>> path = "contexts.0.schemes.1.quota.goals.0.target_value"
    >>> found = tm.tune(tm.load("rfc-40-60"), end, duration="30 s", budget=30 * 40, seeds=1, change=[path])
    >>> tm.plot.tuning_margins(dataset_of(found)).get_xlabel()
    ''
    """
    from ..tuning.text import title

    answer = answer_of(ds)
    if not answer["margins"]:
        raise InputError("ds", "has no margins: no candidate meets the end, or the budget did not last", "draw tuning_front")
    axes: Any = margins_sheet(ds).axes(ax)[0]
    narrow = []
    for k, one in enumerate(answer["margins"]):
        listed = one["values"]
        last = len(listed) - 1

        def at(value: Any, listed: list[Any] = listed, last: int = last) -> float:
            return float(listed.index(value) / last)

        axes.plot([0, 1], [k, k], color=GREY, linewidth=1, alpha=0.5, zorder=1)
        axes.plot([at(one["low"]), at(one["high"])], [k, k], color=BLUE, linewidth=6, solid_capstyle="round", zorder=2)
        axes.plot([at(one["value"])], [k], "o", color=ink(), markersize=5, zorder=4)
        missed = [at(one[name]) for name in ("missed_below", "missed_above") if one[name] is not None]
        axes.plot(missed, [k] * len(missed), "x", color=ink(), markersize=6, zorder=3)
        if missed:
            narrow.append((min(abs(m - at(one["value"])) for m in missed), title(one["paths"])))
    axes.set_yticks(range(len(answer["margins"])), [literal(title(one["paths"])) for one in answer["margins"]])
    axes.invert_yaxis()
    axes.set_xticks([0, 1], ["least tried", "most tried"])
    dress(axes, grid="x")
    first = f": the end is missed first by moving {min(narrow)[1]}" if narrow else ": no knob misses the end alone"
    headline_all([axes], f"How far each knob may move, the others as in the answer{first}")
    return axes  # type: ignore[no-any-return]
