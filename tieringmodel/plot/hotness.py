"""What hotness sources find, and how soon, at equal cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .reading import numbers
from .roles import series_colours
from .style import LABEL_PT, SMALL_PT, Sheet, dress, headline_all

if TYPE_CHECKING:
    import xarray as xr

SHEET = Sheet(4.0, 1, 3, sharex=True)
MARKERS = "osD^vP"
_PANELS = (
    ("precision", "Precision", "Share of a source's hottest pages [1]"),
    ("recall", "Recall", "Share of the hot pages [1]"),
    ("delay_s", "Until half was reported", "Time [s]"),
)


def cost_message(ds: xr.Dataset) -> str:
    """Return what a comparison at equal cost says: who finds most with the least and with the most CPU time.

    Parameters
    ----------
    ds : xarray.Dataset
        From `tieringmodel.hotness.compare_sources` with ``cpu_shares``.

    Returns
    -------
    str
    """
    names = [str(name) for name in ds["source"].values]
    recall = numbers(ds, "recall").mean(axis=2)
    shares = numbers(ds, "cpu_share_allowed")
    parts = []
    for column in dict.fromkeys((int(shares.argmin()), int(shares.argmax()))):
        best = int(recall[:, column].argmax())
        ties = [name for name, value in zip(names, recall[:, column], strict=True) if value > recall[best, column] - 0.01]
        who = " and ".join(ties) if len(ties) < 3 else f"{len(ties)} of {len(names)} sources"
        parts.append(f"at {100 * shares[column]:.3g} % of a CPU: {who}, {100 * recall[best, column]:.0f} %")
    return "Most hot pages " + "; ".join(parts)


def sources_at_equal_cost(ds: xr.Dataset, *, ax: Any = None) -> npt.NDArray[Any]:
    """Draw precision, recall and delay of hotness sources over the CPU time that they take.

    Parameters
    ----------
    ds : xarray.Dataset
        From `tieringmodel.hotness.compare_sources` with ``cpu_shares``.
    ax : sequence of three matplotlib Axes, optional
        By default a new figure.

    Returns
    -------
    ndarray of matplotlib Axes, shape (3,)

    Raises
    ------
    InputError
        If the dataset is no such comparison.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> truth = tm.hotness.activity([100.0] * 64 + [0.1] * 960)
    >>> ds = tm.hotness.compare_sources(["accessed_bits", "hint_faults"], truth, duration="3 s", cpu_shares=[0.001, 0.01])
    >>> len(tm.plot.sources_at_equal_cost(ds))
    3
    """
    from matplotlib.ticker import FuncFormatter

    if getattr(ds, "attrs", {}).get("kind") != "hotness" or "cpu_share_allowed" not in ds.dims:
        text = "give what tieringmodel.hotness.compare_sources(..., cpu_shares=...) returns"
        raise InputError("ds", "is no comparison of hotness sources at equal cost", text)
    axes = SHEET.axes(ax)[:3]
    names = [str(name) for name in ds["source"].values]
    taken = 100 * numbers(ds, "cpu_share").mean(axis=2)
    colours = series_colours(len(names))
    for panel, (name, title, label) in zip(axes, _PANELS, strict=True):
        dress(panel, "CPU time taken [% of one CPU]", label)
        panel.set_title(title, loc="left", fontsize=LABEL_PT)
        panel.set_xscale("log")
        values = numbers(ds, name)
        for k, colour in enumerate(colours):
            row = np.where(np.isfinite(values[k]), values[k], np.nan)
            seen = ~np.isnan(row).all(axis=1)
            x, row = taken[k][seen], row[seen]
            panel.plot(
                x,
                np.nanmean(row, axis=1),
                color=colour,
                marker=MARKERS[k % len(MARKERS)],
                markersize=5,
                linewidth=1.5,
                linestyle=("-", "--")[k // 6 % 2],
                label=names[k],
            )
            if row.shape[1] > 1:
                panel.fill_between(x, np.nanmin(row, axis=1), np.nanmax(row, axis=1), color=colour, alpha=0.15, linewidth=0)
        if name == "delay_s":
            panel.set_yscale("log")
            panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        else:
            panel.set_ylim(-0.03, 1.03)
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    chance = float(ds.attrs["chance"])
    axes[0].axhline(chance, color="0.5", linewidth=1.0, linestyle=(0, (2, 2)))
    axes[0].annotate(
        "picked at random",
        (0.0, chance),
        (3, -3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="left",
        va="top",
        fontsize=SMALL_PT,
        color="0.35",
    )
    handles, labels = axes[1].get_legend_handles_labels()
    axes[0].figure.legend(
        handles, labels, loc="outside lower center", ncols=3, fontsize=SMALL_PT, frameon=False, handlelength=3.0
    )
    headline_all(axes, cost_message(ds))
    return axes
