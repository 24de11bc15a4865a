"""Published measurements and predictions in one picture: V1's four targets and V4's line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .reading import need, numbers
from .style import LABEL_PT, SMALL_PT, Sheet, dress, headline, ink

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

SHEET = Sheet(3.8)
MAKER = "tieringmodel.validate.published.hardware_figures"
PUBLISHED, MODEL = "#D55E00", "#0072B2"  # vermillion and blue: apart for every kind of colour vision


def hardware_v1(ds: xr.Dataset, *, ax: Any = None) -> Axes:
    """Draw how far published and predicted means lie from their targets, with one standard deviation each.

    Parameters
    ----------
    ds : xarray.Dataset
        Over ``target``: target_percent, published_mean, published_sd, model_mean, model_sd, all in per cent or points;
        attribute ``delay``.
    ax : matplotlib Axes, optional
        By default a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        If the dataset lacks a variable.
    """
    need(ds, "ds", ("target_percent", "published_mean", "published_sd", "model_mean", "model_sd"), MAKER)
    axes: Axes = SHEET.axes(ax)[0]
    target = numbers(ds, "target_percent")
    place = range(target.size)
    looks = (("published", "o", PUBLISHED, -0.09), (f"model, delay {int(ds.attrs['delay'])} windows", "s", MODEL, 0.09))
    for (name, marker, colour, shift), prefix in zip(looks, ("published", "model"), strict=True):
        off = numbers(ds, f"{prefix}_mean") - target
        axes.errorbar(
            [k + shift for k in place],
            off,
            yerr=numbers(ds, f"{prefix}_sd"),
            fmt=marker,
            color=colour,
            capsize=4,
            markersize=7,
            linewidth=1.8,
            label=f"{name}: mean ± 1 sd",
        )
    axes.axhline(0, color=ink(), linewidth=1.0)
    dress(axes, "Target: share of the hot set on DRAM [%]", "Mean share less target [percentage points]")
    axes.set_xticks(list(place), [f"{t:g}" for t in target])
    axes.set_xlim(-0.5, target.size - 0.5)
    worst = float(abs(numbers(ds, "model_mean") - numbers(ds, "published_mean")).max())
    axes.legend(loc="upper right", fontsize=SMALL_PT, frameon=False)
    headline(axes, f"One delay, {int(ds.attrs['delay'])} windows, predicts every published mean within {worst:.2f} points")
    return axes


def hardware_v4(ds: xr.Dataset, *, ax: Any = None) -> Axes:
    """Draw published run times over the part on CXL, the predicted line and its tolerance.

    Parameters
    ----------
    ds : xarray.Dataset
        Over ``point``: cxl_gb, published, predicted; attributes ``tolerance``, ``calibrated_gb`` and ``calibrated_time``.
    ax : matplotlib Axes, optional
        By default a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        If the dataset lacks a variable.
    """
    need(ds, "ds", ("cxl_gb", "published", "predicted"), MAKER)
    axes: Axes = SHEET.axes(ax)[0]
    end, top, tolerance = (float(ds.attrs[k]) for k in ("calibrated_gb", "calibrated_time", "tolerance"))
    line = [1.0, top]
    axes.fill_between(
        [0, end],
        [v - tolerance for v in line],
        [v + tolerance for v in line],
        color=MODEL,
        alpha=0.15,
        linewidth=0,
        label=f"± {tolerance:g}",
    )
    axes.plot([0, end], line, color=MODEL, linewidth=1.8, label="model: proportional to the part on CXL")
    axes.plot(numbers(ds, "cxl_gb"), numbers(ds, "published"), "o", color=PUBLISHED, markersize=7, label="published")
    axes.plot([end], [top], "D", color=ink(), markersize=7, label="published, calibrates the slope")
    dress(axes, "Redis memory on CXL [GB]", "Run time, none on CXL = 1 [1]")
    axes.set_xlim(0, 1.03 * end)
    worst = float(abs(numbers(ds, "predicted") - numbers(ds, "published")).max())
    axes.legend(loc="upper left", fontsize=SMALL_PT, frameon=False)
    axes.xaxis.label.set_fontsize(LABEL_PT)
    headline(axes, f"Run time grows in proportion to the part on CXL: every point within {worst:.3f}")
    return axes
