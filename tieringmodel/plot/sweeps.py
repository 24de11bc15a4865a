"""Figures of sweeps: one measure over the settings, the mean of its seeds."""

from __future__ import annotations

import math
import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..fields import suggest
from ..units import format_bytes
from .maps import IMPOSSIBLE_COLOUR, bar
from .reading import need, plain
from .roles import BLUE, GREY
from .style import LABEL_PT, SMALL_PT, Sheet, dress, headline_all, literal

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]

SWEEP = "tieringmodel.sweep"
SEED = "seed"
MOST_CELLS_WITH_NUMBERS = 80
MOST_TICKS = 12
LOG_FROM = 20.0
"""A numeric axis whose values span this ratio is logarithmic."""
UNITS = {"1": "", "measure's own": "", "MiB s-1": "MiB/s"}


@dataclass(frozen=True)
class Side:
    """One setting that is varied, by name, with its values as numbers (or positions) and as text."""

    name: str
    at: Floats
    texts: list[str]
    numeric: bool

    @property
    def bytes(self) -> bool:
        """Whether the values are sizes."""
        return self.numeric and self.name.endswith("_bytes")


@dataclass(frozen=True)
class View:
    """A measure over at most two axes: means, least and greatest over what the axes leave open; NaN where nothing ran."""

    dims: tuple[str, ...]
    sides: list[list[Side]]
    mean: Floats
    least: Floats
    most: Floats
    over: str

    @property
    def scattered(self) -> bool:
        """Whether the settings are points in space rather than a grid."""
        return len(self.dims) == 1 and len(self.sides[0]) > 1 and all(s.numeric for s in self.sides[0][:2])


def measured(ds: xr.Dataset) -> list[str]:
    """Return the numbers that a sweep measured at every point, in its order."""
    need(ds, "ds", ("done", "error"), SWEEP)
    dims = set(ds["done"].dims)
    return [str(n) for n in ds.data_vars if n != "done" and set(ds[n].dims) == dims and ds[n].dtype.kind in "biuf"]


def chosen(ds: xr.Dataset, measure: str | None) -> str:
    """Return the measure to draw: the given one, else what is migrated at the end, else the first.

    Raises
    ------
    InputError
        If there is no such measure, or none at all.
    """
    known = measured(ds)
    if not known:
        raise InputError("ds", "the sweep has no numbers: every point failed, or measured texts", "look at its error")
    if measure is None:
        return "residual_mib_s" if "residual_mib_s" in known else known[0]
    if measure not in known:
        raise InputError("measure", f"{measure!r} was not measured as a number", suggest(measure, known))
    return measure


def short(paths: list[str]) -> list[str]:
    """Return the shortest endings that tell the paths apart."""
    out = []
    for path in paths:
        parts = path.split(".")
        n = next(n for n in range(1, len(parts) + 1) if sum(p.split(".")[-n:] == parts[-n:] for p in paths) == 1)
        out.append(".".join(parts[-n:]))
    return out


def _side(ds: xr.Dataset, path: str, name: str) -> Side:
    values = ds[path].values
    if values.dtype.kind in "iuf":
        in_bytes = path.endswith("_bytes") or ds[path].attrs.get("units") == "bytes"  # a named axis says it so
        text = format_bytes if in_bytes else "{:.4g}".format
        return Side(name, values.astype(np.float64), [text(v.item()) for v in values], True)
    return Side(name, np.arange(values.size, dtype=np.float64), [plain(v) for v in values], False)


def _view(ds: xr.Dataset, measure: str) -> View:
    dims = tuple(str(d) for d in ds["done"].dims)
    kept = tuple(d for d in dims if d != SEED)[:2] or dims
    rest = [d for d in dims if d not in kept]
    order = [*kept, *rest]
    values = np.asarray(ds[measure].transpose(*order).values, np.float64)
    good = (ds["done"].transpose(*order).values.astype(bool)) & (ds["error"].transpose(*order).values == "")
    values = np.where(good, values, np.nan).reshape(*(ds.sizes[d] for d in kept), -1)
    there = ~np.isnan(values)
    count = there.sum(axis=-1)
    none = count == 0
    total = np.where(there, values, 0.0).sum(axis=-1)
    mean = np.where(none, np.nan, total / np.maximum(count, 1))
    least = np.where(none, np.nan, np.where(there, values, np.inf).min(axis=-1))
    most = np.where(none, np.nan, np.where(there, values, -np.inf).max(axis=-1))
    paths = [[str(c) for c in ds.coords if ds[c].dims == (d,)] for d in kept]
    flat = [p for column in paths for p in column]
    name_of = dict(zip(flat, short(flat), strict=True))
    sides = [[_side(ds, p, name_of[p]) for p in column] for column in paths]
    seeds = [f"{ds.sizes[SEED]} seeds"] if SEED in rest else []
    others = [d.rsplit(".", 1)[-1] for d in rest if d != SEED]
    return View(kept, sides, mean, least, most, " and ".join([*others, *seeds]))


def sweep_sheet(ds: xr.Dataset) -> Sheet:
    """Return the sheet of `sweep_map`, higher for more values on the upright axis."""
    need(ds, "ds", ("done", "error"), SWEEP)
    sizes = [n for d, n in ds["done"].sizes.items() if d != SEED]
    return Sheet(min(7.0, 1.9 + 0.34 * sizes[1]) if len(sizes) > 1 else 3.4)


def sweep_map(ds: xr.Dataset, *, measure: str | None = None, ax: Any = None) -> Axes:
    """Draw one measure of a sweep: a map over its first two axes, a line over a single one.

    Parameters
    ----------
    ds : xarray.Dataset
        What `tieringmodel.sweep` returns, or a store of it.
    measure : str, optional
        A number that was measured; by default ``residual_mib_s``, or the first one of a measure of your own.
    ax : matplotlib Axes, optional
        By default a new figure.

    Returns
    -------
    matplotlib Axes
        Means over seeds and over axes beyond the second. Settings that fill space (`Design.latin_hypercube`,
        `Design.sobol`, zipped columns of numbers) are dots over their first two columns.

    Raises
    ------
    InputError
        If the dataset is no sweep, or has no such measure.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> design = {"contexts.0.schemes.0.quota.sz_bytes": ["1 MiB", "4 MiB"]}
    >>> ds = tm.sweep(tm.load("rfc-40-60"), design, duration="2 s", progress=False)
    >>> tm.plot.sweep_map(ds).get_xlabel()
    'sz_bytes'
    """
    name = chosen(ds, measure)
    view = _view(ds, name)
    axes: Axes = sweep_sheet(ds).axes(ax)[0]
    unit = UNITS.get(unit := str(ds[name].attrs.get("units", "1")), unit)
    what = re.sub(r" \([^)]*\)|;.*", "", str(ds[name].attrs.get("long_name", name)))
    if view.scattered:
        _scatter(axes, view, name, what, unit)
    elif len(view.dims) > 1:
        _map(axes, view, name, what, unit)
    else:
        _line(axes, view, what, unit)
    headline_all([axes], _message(view, what, unit))
    return axes


def _message(view: View, what: str, unit: str) -> str:
    """Return the least and the greatest value, and where they are."""
    head, over = f"{what[:1].upper()}{what[1:]}", f" (mean over {view.over})" if view.over else ""
    finite = np.isfinite(view.mean)
    if not finite.any():
        return f"{head}: {'never' if np.isinf(view.mean).any() else 'nothing measured'} at any setting{over}"
    least, most = float(view.mean[finite].min()), float(view.mean[finite].max())
    if least == most:
        return f"{head}: {_value(least, unit)} at every setting{over}"
    return f"{head}: {_value(least, unit)} {_where(view, least)}, {_value(most, unit)} {_where(view, most)}{over}"


def _value(value: float, unit: str) -> str:
    return (f"{value:.3g} {unit}" if abs(value) < 1000 else f"{value:.0f} {unit}").rstrip()


def _where(view: View, value: float) -> str:
    at = np.argwhere(view.mean == value)
    if len(at) > 1:
        return f"at {len(at)} of {view.mean.size} settings"
    shown = [(s, int(k)) for side, k in zip(view.sides, at[0], strict=True) for s in side[:2]]
    return "at " + ", ".join(f"{s.name} {s.texts[k]}" for s, k in shown)


def _colours(name: str, values: Floats) -> tuple[str, Any]:
    """Return a colour map whose lightness orders the values, diverging where they have two signs, and its norm."""
    from matplotlib.colors import Normalize

    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if low < 0 < high or name.endswith("_error_bp"):
        most = max(abs(low), abs(high)) or 1.0
        return "PuOr", Normalize(-most, most)
    return "cividis", Normalize(low, high if high > low else low + 1.0)


def _thin(n: int) -> range:
    return range(0, n, math.ceil(n / MOST_TICKS))


def _map(ax: Axes, view: View, name: str, what: str, unit: str) -> None:
    across, up = view.sides[0][0], view.sides[1][0]
    values = view.mean.T
    cmap, norm = _colours(name, values)
    shown = np.ma.masked_invalid(values)
    ax.set_facecolor(IMPOSSIBLE_COLOUR)
    # Cells of equal size, whatever the values: a sweep's settings are seldom evenly spaced, and every one counts.
    mesh = ax.pcolormesh(
        np.arange(values.shape[1] + 1),
        np.arange(values.shape[0] + 1),
        shown,
        cmap=cmap,
        norm=norm,
        edgecolors="white",
        linewidth=0.8 if values.size <= MOST_CELLS_WITH_NUMBERS else 0.0,
    )
    for k, axis in enumerate((ax.xaxis, ax.yaxis)):
        side, picked = (across, up)[k], _thin(len((across, up)[k].texts))
        axis.set_ticks([i + 0.5 for i in picked], [literal(_told(view, k, i)) for i in picked])
        axis.set_label_text(literal(_names(view, k) or side.name), fontsize=LABEL_PT)
    ax.tick_params(labelsize=SMALL_PT, length=0)
    ax.spines[:].set_visible(False)
    if values.size <= MOST_CELLS_WITH_NUMBERS:
        _cells(ax, values, mesh)
    _bar(ax, mesh, view, what, unit)


def _bar(ax: Axes, mesh: Any, view: View, what: str, unit: str) -> None:
    if np.isfinite(view.mean).any():
        bar(np.array([ax]), mesh, textwrap.fill(what, 36), unit or "1")


def _told(view: View, k: int, i: int) -> str:
    """Return a position's values; of columns that change together, all of them."""
    return "\n".join(side.texts[i] for side in view.sides[k])


def _names(view: View, k: int) -> str:
    return ", ".join(side.name for side in view.sides[k])


def _cells(ax: Axes, values: Floats, mesh: Any) -> None:
    """Write every cell's number into it, dark on light and light on dark."""
    for row, column in np.ndindex(*values.shape):
        value = float(values[row, column])
        text, colour = ("never" if np.isinf(value) else "–"), "black"
        if np.isfinite(value):
            red, green, blue, _ = mesh.cmap(mesh.norm(value))
            # Relative luminance without the gamma curve is enough to choose between two inks.
            text, colour = _value(value, ""), "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.45 else "white"
        ax.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=SMALL_PT, color=colour)


def _scales(ax: Axes, side: Side, axis: str) -> None:
    """Make an axis logarithmic where its values ask for it, and label it with values as people write them."""
    from matplotlib.ticker import MaxNLocator

    mine = ax.xaxis if axis == "x" else ax.yaxis
    if not side.numeric:
        mine.set_ticks(side.at.tolist(), [literal(t) for t in side.texts])
        return
    if side.at.min() > 0 and side.at.max() / side.at.min() >= LOG_FROM:
        (ax.set_xscale if axis == "x" else ax.set_yscale)("log", base=2 if side.bytes else 10)
    elif (side.at == np.rint(side.at)).all():
        mine.set_major_locator(MaxNLocator(MOST_TICKS - 2, integer=True))
    if side.bytes:
        mine.set_major_formatter(lambda v, _: format_bytes(round(v)) if v > 0 else "0")


def _line(ax: Axes, view: View, what: str, unit: str) -> None:
    side = view.sides[0][0]
    dress(ax, _names(view, 0), f"{what[:1].upper()}{what[1:]}" + (f" [{unit}]" if unit else ""))
    order = np.argsort(side.at, kind="stable")
    at, mean = side.at[order], view.mean[order]
    _scales(ax, side, "x")
    if len(view.sides[0]) > 1 or side.at.size <= MOST_TICKS:  # at the values that were run
        ax.minorticks_off()
        ax.set_xticks(side.at.tolist(), [literal(_told(view, 0, i)) for i in range(side.at.size)])
    finite = np.isfinite(mean)
    if view.over:
        low, high = view.least[order], view.most[order]
        span = np.isfinite(low) & np.isfinite(high)
        ax.fill_between(at, low, high, where=span, color=BLUE, alpha=0.2, linewidth=0)
        ax.vlines(at[span], low[span], high[span], color=BLUE, linewidth=1.0, alpha=0.6)
    if side.numeric and side.name != SEED:  # between two seeds there is nothing
        ax.plot(at, np.where(finite, mean, np.nan), color=BLUE, linewidth=1.5)
    ax.plot(at[finite], mean[finite], color=BLUE, linestyle="", marker="o", markersize=5)
    ax.update_datalim(np.column_stack([at, np.zeros(at.size)]), updatey=False)  # settings without a number, too
    ax.margins(x=0.05)
    for text, where in (("never", np.isinf(mean)), ("failed", np.isnan(mean))):
        for x in at[where]:
            ax.annotate(
                text,
                (x, 0.97),
                xycoords=ax.get_xaxis_transform(),
                ha="center",
                va="top",
                rotation=90,
                fontsize=SMALL_PT,
                color=GREY,
            )


def _scatter(ax: Axes, view: View, name: str, what: str, unit: str) -> None:
    across, up = view.sides[0][:2]
    dress(ax, across.name, up.name, grid="both")
    cmap, norm = _colours(name, view.mean)
    good = np.isfinite(view.mean)
    mesh = ax.scatter(
        across.at[good], up.at[good], c=view.mean[good], cmap=cmap, norm=norm, s=60, edgecolors=GREY, linewidths=0.8, zorder=3
    )
    ax.scatter(across.at[~good], up.at[~good], marker="x", color=GREY, s=40, zorder=3)
    _scales(ax, across, "x")
    _scales(ax, up, "y")
    _bar(ax, mesh, view, what, unit)
