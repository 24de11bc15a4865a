"""What policies migrate: over time, and what is left of it beside the error of their share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..checks import positive
from ..verdicts.record import AT_REST
from .reading import COMPARISON, TIME, names, need, numbers, ran, settled
from .roles import BASELINE, listed, looks, role_of, short
from .style import SMALL_PT, Sheet, colour_of, dress, headline, headline_all, label_ends, lines, literal, number

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

LINEAR_BELOW_MIB_S = 0.1
RATE_SHEET = Sheet(4.4)
"""The sheet of `migration_rate`."""


def summary_sheet(cmp: xr.Dataset) -> Sheet:
    """Return the sheet of `summary`: two axes side by side, a line per policy."""
    return Sheet(1.5 + 0.26 * cmp.sizes["policy"], 1, 2, sharey=True)


def running_mean(time: npt.NDArray[np.float64], values: npt.NDArray[np.float64], window_s: float) -> npt.NDArray[np.float64]:
    """Return the mean of the samples within half a window on either side; NaN samples do not count.

    Parameters
    ----------
    time : ndarray of float64, shape (t,)
        Ascending, seconds.
    values : ndarray of float64, shape (n, t)
        One row per series.
    window_s : float
        Width of the window, seconds; shorter at both ends.

    Returns
    -------
    ndarray of float64, shape (n, t)
        NaN where a window holds no sample or the middle has no value.
    """
    first = np.searchsorted(time, time - window_s / 2, side="left")
    last = np.searchsorted(time, time + window_s / 2, side="right")
    known = np.isfinite(values)
    sums = np.cumsum(np.where(known, values, 0.0), axis=1)
    counts = np.cumsum(known, axis=1)
    sums, counts = (np.concatenate([np.zeros((len(a), 1)), a], axis=1) for a in (sums, counts))
    count = counts[:, last] - counts[:, first]
    # A cumulated sum leaves dust of rounding where nothing moves; a rate below it is none.
    total, missing = sums[:, last] - sums[:, first], np.full(values.shape, np.nan)
    mean = np.divide(total, count, out=missing, where=known & (count > 0))
    return np.where(np.abs(mean) < 1e-9, 0.0, mean)


def migration_rate(cmp: xr.Dataset, *, window_s: float = 10.0, ax: Axes | None = None) -> Axes:
    """Draw what every policy migrates per second, smoothed; logarithmic above 0.1 MiB/s, so that zero is on the axis.

    Parameters
    ----------
    cmp : xarray.Dataset
        A comparison: ``migrated_mib_s`` (policy, time) in MiB/s.
    window_s : float
        Width of the running mean, seconds.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        If the dataset lacks a variable or the window is not positive.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> cmp = tm.compare({"goals": tm.load("rfc-40-60")}, duration="3 s", seed=1)
    >>> tm.plot.migration_rate(cmp).get_ylabel()
    'Migrated [MiB/s], mean over 10 s'
    """
    need(cmp, "cmp", ("migrated_mib_s",), COMPARISON)
    positive("window_s", window_s, "write e.g. 10")
    target = RATE_SHEET.axes(ax)[0]
    time, policies = numbers(cmp, "time"), names(cmp)
    smooth = running_mean(time, numbers(cmp, "migrated_mib_s"), window_s)
    dress(target, TIME, f"Migrated [MiB/s], mean over {window_s:g} s")
    _rate_scale(target, smooth, "y")
    target.set_xlim(min(0.0, float(time[0])), float(time[-1]))
    ends = lines(target, time, smooth, policies)
    headline(target, _still_moving(cmp, smooth))
    if ends:
        label_ends(target, ends)
    return target  # type: ignore[no-any-return]


def _still_moving(cmp: xr.Dataset, smooth: npt.NDArray[np.float64]) -> str:
    """Return how many of the policies that are no baseline go on migrating by their verdicts, and which most."""
    known = "kind" in cmp and "residual_mib_s" in cmp
    kinds = cmp["kind"].values.tolist() if known else [""] * len(smooth)
    rates = numbers(cmp, "residual_mib_s") if known else np.nan_to_num(smooth[:, -1])
    judged = [k for k, (name, run) in enumerate(zip(names(cmp), ran(cmp), strict=True)) if run and role_of(name) != BASELINE]
    moving = [(float(rates[k]), names(cmp)[k]) for k in judged if rates[k] > 0 and kinds[k] not in AT_REST]
    if not moving:
        return "Every policy has come to rest at the end"
    rate, name = max(moving)
    verb = "migrates" if len(moving) == 1 else "migrate"
    return f"{len(moving)} of {len(judged)} policies still {verb} at the end, {name} most: {number(rate)} MiB/s"


def _both_small(rest: list[str]) -> str:
    if not rest:
        return "No policy combines a small error with little migration"
    return f"Small error and little migration together (filled dots): {listed([short(p) for p in rest])}"


def _rate_scale(ax: Axes, values: npt.NDArray[np.float64], which: str) -> None:
    """Scale an axis of rates: linear from 0 to 0.1 MiB/s, logarithmic above."""
    from matplotlib.ticker import NullLocator

    high = float(values[np.isfinite(values)].max(initial=10 * LINEAR_BELOW_MIB_S))
    decades = int(np.ceil(np.log10(high * 1.3)))
    scale, limits = (ax.set_yscale, ax.set_ylim) if which == "y" else (ax.set_xscale, ax.set_xlim)
    scale("symlog", linthresh=LINEAR_BELOW_MIB_S, linscale=0.5)
    limits(-0.012 if which == "y" else -0.025, high * 1.5)
    axis = ax.yaxis if which == "y" else ax.xaxis
    axis.set_ticks([0.0] + [10.0**k for k in range(-1, decades + 1) if 10.0**k <= high * 1.5])
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: f"{value:g}")


def summary(cmp: xr.Dataset, *, ax: Any = None) -> npt.NDArray[Any]:
    """Draw, for every policy, what it still migrates and how far its share is from the target.

    Parameters
    ----------
    cmp : xarray.Dataset
        A comparison: ``residual_mib_s``, ``share_error_bp``, ``settled`` (policy).
    ax : pair of matplotlib Axes, optional
        Left for the rate, right for the error; by default a new figure.

    Returns
    -------
    ndarray of two matplotlib Axes

    Raises
    ------
    InputError
        If the dataset lacks a variable or fewer than two axes are given.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> cmp = tm.compare({"goals": tm.load("rfc-40-60")}, duration="3 s", seed=1)
    >>> rate, error = tm.plot.summary(cmp)
    >>> rate.get_xlabel()
    'Residual migration [MiB/s]'
    """
    need(cmp, "cmp", ("residual_mib_s", "share_error_bp", "settled"), COMPARISON)
    left, right = axes = summary_sheet(cmp).axes(ax)[:2]
    policies, rest = names(cmp), settled(cmp)
    rate, error = numbers(cmp, "residual_mib_s"), np.abs(numbers(cmp, "share_error_bp"))
    rows = np.arange(len(policies))[::-1]
    _rate_scale(left, rate, "x")
    widest = float(error[np.isfinite(error)].max(initial=100.0))
    right.set_xlim(-0.03 * widest, 1.2 * widest)
    for policy, look, row, ok, values in zip(policies, looks(policies), rows, rest, zip(rate, error, strict=True), strict=True):
        colour = colour_of(look)
        for panel, value, text in zip((left, right), values, (f"{number(values[0])}", f"{values[1]:.0f}"), strict=True):
            known = bool(np.isfinite(value))
            if known:
                panel.plot([0, value], [row, row], color=colour, linewidth=1.2, alpha=0.6, zorder=3)
                panel.plot(
                    value,
                    row,
                    "o",
                    color=colour,
                    markersize=6.5,
                    zorder=4,
                    clip_on=False,
                    markerfacecolor=colour if ok else "none",
                    markeredgewidth=1.5,
                    label=policy,
                )
            panel.annotate(
                text if known else "–",
                (value if known else 0, row),
                (7, 0),
                textcoords="offset points",
                va="center",
                fontsize=SMALL_PT,
            )
    dress(left, "Residual migration [MiB/s]", grid="x")
    dress(right, "Distance from the target share [bp]", grid="x")
    left.set_yticks(rows, [literal(p) for p in policies], fontsize=SMALL_PT)
    left.set_ylim(-0.7, len(policies) - 0.3)
    right.set_ylim(-0.7, len(policies) - 0.3)
    for panel in axes:
        panel.tick_params(axis="y", length=0)
    headline_all(axes, _both_small([p for p, ok in zip(policies, rest, strict=True) if ok and role_of(p) != BASELINE]))
    return np.asarray(axes, dtype=object)
