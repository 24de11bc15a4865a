"""CONSIST or TEMPORAL for complementary schemes: what either leaves moving, and where it misses its share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .maps import bar, edges_of
from .reading import numbers
from .style import LABEL_PT, SMALL_PT, Sheet, dress, headline_all, ink

if TYPE_CHECKING:
    import xarray as xr


def pair_sheet(ds: xr.Dataset) -> Sheet:
    """Return the sheet of `consist_or_temporal`: a row per tuner, a column per delay."""
    return Sheet(5.6, ds.sizes["tuner"], ds.sizes["delay_windows"], sharex=True, sharey=True)


def pair_message(ds: xr.Dataset) -> str:
    """Return what the map of complementary schemes says, from its data.

    Parameters
    ----------
    ds : xarray.Dataset
        From `tieringmodel.studies.pair_map`.

    Returns
    -------
    str
        How often either tuner rests where the gap is (delay + 1) quotas or more, and where it is narrower.
    """
    names = [str(t) for t in ds["tuner"].values]
    t, c = names.index("temporal"), names.index("consist")
    gap, cap, delay = numbers(ds, "gap_bp"), numbers(ds, "cap_bp"), numbers(ds, "delay_windows")
    wide = gap[None, None, :] >= (delay[:, None, None] + 1) * cap[None, :, None]
    rests = [
        [f"{100 * float(np.asarray(ds['rests'].values[k], bool)[where].mean()):.0f} %" for k in (t, c)]
        for where in (wide, ~wide & (gap > 0))
        if where.any()
    ]
    parts = [
        f"TEMPORAL rests in {both[0]}, CONSIST in {both[1]} of settings with a gap of (delay + 1) quotas or more"
        if n == 0
        else f"in {both[0]} and {both[1]} with a narrower one"
        for n, both in enumerate(rests)
    ]
    return "; ".join(parts)


def consist_or_temporal(ds: xr.Dataset, *, ax: Any = None) -> npt.NDArray[Any]:
    """Draw what complementary schemes leave moving, and where they miss their share, for both tuners.

    Parameters
    ----------
    ds : xarray.Dataset
        From `tieringmodel.studies.pair_map`.
    ax : sequence of matplotlib Axes, optional
        One per tuner and delay, row by row; by default a new figure.

    Returns
    -------
    ndarray of matplotlib Axes
        A row per tuner, a column per delay.

    Raises
    ------
    InputError
        If the dataset is no such map.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> from tieringmodel.studies.pull_push_map import pair_map
    >>> tm.plot.consist_or_temporal(pair_map(cells=(5, 4), windows=300)).shape
    (2, 3)
    """
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap, LogNorm
    from matplotlib.ticker import NullFormatter

    if getattr(ds, "attrs", {}).get("name") != "pair":
        raise InputError("ds", "is no map of two schemes", "give what tieringmodel.studies.pair_map returns")
    sheet = pair_sheet(ds)
    axes = sheet.axes(ax)[: sheet.rows * sheet.cols].reshape(sheet.rows, sheet.cols)
    x, y = edges_of(numbers(ds, "gap_bp"), False), edges_of(numbers(ds, "cap_bp"), True)
    residual, error = numbers(ds, "residual_bp"), numbers(ds, "error_bp")
    high = max(1.0, float(residual.max()))
    # Light enough at its dark end for the hatching to be seen.
    shades = ListedColormap(colormaps["YlGnBu"](np.linspace(0.1, 0.72, 256)))
    mesh = None
    for row, tuner in enumerate(ds["tuner"].values):
        for column, delay in enumerate(ds["delay_windows"].values):
            panel = axes[row, column]
            panel.set_yscale("log")
            panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            panel.yaxis.set_minor_formatter(NullFormatter())
            dress(panel)
            panel.grid(visible=False)
            mesh = panel.pcolormesh(
                x,
                y,
                np.where(residual[row, column] >= 0.1, residual[row, column], np.nan),
                cmap=shades,
                norm=LogNorm(0.1, high),
                rasterized=True,
            )
            panel.contourf(
                numbers(ds, "gap_bp"),
                numbers(ds, "cap_bp"),
                error[row, column],
                levels=[200, np.inf],
                colors="none",
                hatches=["////"],
            )
            late = f"delay {int(delay)} window{'' if delay == 1 else 's'}"
            panel.set_title(f"{str(tuner).upper()}, {late}", loc="left", fontsize=LABEL_PT)
            panel.set_xlim(x[0], x[-1])
            panel.set_ylim(y[0], y[-1])
    _boundaries_of_pair(axes, ds)
    for panel in axes[-1]:
        panel.set_xlabel("Gap between the goals [bp]", fontsize=LABEL_PT)
    for panel in axes[:, 0]:
        panel.set_ylabel("Size quota [bp per window]", fontsize=LABEL_PT)
    bar(axes.ravel(), mesh, "migrated for ever, white: nothing", "bp of the pages per window")
    headline_all(axes.ravel(), pair_message(ds))
    return axes


def _boundaries_of_pair(axes: npt.NDArray[Any], ds: xr.Dataset) -> None:
    from matplotlib import patheffects
    from matplotlib.patches import Patch

    casing = [patheffects.Stroke(linewidth=3.2, foreground="white"), patheffects.Normal()]
    shown: list[Any] = []
    xs, ys, panels = numbers(ds, "boundary_x"), numbers(ds, "boundary_y"), ds["boundary_panel"].values
    for x, y, panel in zip(xs, ys, panels, strict=True):
        for row in axes:
            shown = row[panel].plot(x, y, color=ink(), linewidth=1.5, path_effects=casing, scalex=False, scaley=False, zorder=5)
    for panel in axes.ravel():
        none = panel.axvline(0, color=ink(), linewidth=1.0, linestyle=(0, (4, 2)), zorder=5)
    axes[0, 0].figure.legend(
        [*shown, none, Patch(facecolor="none", edgecolor=ink(), hatch="////", linewidth=0)],
        ["gap = (delay + 1) quotas", "goals sum to 10000 bp", "share misses the goals by more than 200 bp"],
        loc="outside lower center",
        ncols=3,
        fontsize=SMALL_PT,
        frameon=False,
        handlelength=3.0,
    )
