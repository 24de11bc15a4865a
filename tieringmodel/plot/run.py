"""Figures of one run: what the quotas do, and what fills the nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..units import PAGE_SZ, format_bytes
from .reading import RUN, TIME, need, numbers, schemes
from .roles import GREY, listed, series_colours
from .style import Sheet, dress, headline, headline_all, label_ends

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

ESZ_SHEET = Sheet(4.6, 2, 1, sharex=True)
"""The sheet of `esz`: two axes, one above the other."""
OCCUPANCY_SHEET = Sheet(3.4)
"""The sheet of `occupancy`."""


def esz(ds: xr.Dataset, *, ax: Any = None) -> npt.NDArray[Any]:
    """Draw every scheme's effective quota and, below it, the score that steers it, while the scheme is there.

    Parameters
    ----------
    ds : xarray.Dataset
        A run: ``esz_bytes``, ``score`` (time, scheme).
    ax : pair of matplotlib Axes, optional
        Upper for the quota, lower for the score; by default a new figure.

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
    >>> ds = tm.simulate(tm.load("rfc-40-60"), duration="3 s", seed=1)
    >>> quota, score = tm.plot.esz(ds)
    >>> quota.get_ylabel()
    'Effective quota [bytes]'
    """
    need(ds, "ds", ("esz_bytes", "score"), RUN)
    upper, lower = axes = ESZ_SHEET.axes(ax)[:2]
    time, quota, score = numbers(ds, "time"), numbers(ds, "esz_bytes"), numbers(ds, "score")
    if "resets" in ds:
        score = np.where(numbers(ds, "resets") > 0, score, np.nan)
    there = ds["active"].values if "active" in ds else np.full(quota.shape, True)
    quota, score = np.where(there, quota, np.nan), np.where(there, score, np.nan)
    labels, colours = schemes(ds), series_colours(ds.sizes["scheme"])
    dress(upper, "", "Effective quota [bytes]")
    dress(lower, TIME, "Score [bp of the goal]")
    _quota_scale(upper, quota)
    lower.axhline(10_000, color=GREY, linewidth=1.0, linestyle=(0, (4, 2)), label="_goal reached")
    for k, colour in enumerate(colours):
        upper.fill_between(time, quota[:, k], step="post", color=colour, alpha=0.3, linewidth=0)
    for panel, values in ((upper, quota), (lower, score)):
        panel.set_xlim(0, time[-1] or 1)
        ends = []
        for k, colour in enumerate(colours):
            panel.plot(time, values[:, k], color=colour, linewidth=1.0, drawstyle="steps-post", label=labels[k])
            known = np.flatnonzero(np.isfinite(values[:, k]))
            if known.size:
                ends.append((float(time[-1]), float(values[known[-1], k]), labels[k], colour))
        panel.set_ylim(bottom=0)
        if panel is lower:
            ends.append((float(time[-1]), 10_000.0, "goal reached", GREY))
        label_ends(panel, ends)
    headline_all(axes, _open_message(quota))
    return np.asarray(axes, dtype=object)


def _quota_scale(ax: Axes, quota: npt.NDArray[np.float64]) -> None:
    """Scale and label an axis of bytes; logarithmic from one page on where quotas differ by orders of magnitude."""
    from matplotlib.ticker import NullLocator

    positive, highest = quota[quota > 0], float(np.nanmax(quota, initial=PAGE_SZ))
    # CONSIST starts at one byte; without a cap TEMPORAL asks for 2**64 / 10000.
    if positive.size and highest > 100 * positive.min():
        ax.set_yscale("symlog", linthresh=PAGE_SZ)
        decades = int(np.ceil(np.log2(highest / PAGE_SZ) / 4)) + 1
        every = max(1, decades // 5)
        ax.yaxis.set_ticks([0.0] + [float(PAGE_SZ * 16**k) for k in range(0, decades, every)])
        ax.yaxis.set_minor_locator(NullLocator())
    else:
        step = 2.0 ** np.floor(np.log2(highest / 4))
        ax.yaxis.set_ticks(np.arange(0, highest + step, step))
    ax.yaxis.set_major_formatter(lambda value, _: format_bytes(value))


def _open_message(quota: npt.NDArray[np.float64]) -> str:
    known = ((k, column[~np.isnan(column)]) for k, column in enumerate(quota.T))
    shares = [f"scheme {k} in {100 * float((column >= PAGE_SZ).mean()):.0f} %" for k, column in known if column.size]
    return f"Quotas of a page or more: {listed(shares, 6)} of the records" if shares else "There is no scheme"


def occupancy(ds: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw how many pages of each node are in use.

    Parameters
    ----------
    ds : xarray.Dataset
        A run: ``used_pages``, ``free_pages`` (time, node).
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib Axes
        Dashed lines are the nodes' sizes.

    Raises
    ------
    InputError
        If the dataset lacks a variable.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.simulate(tm.load("rfc-40-60"), duration="3 s", seed=1)
    >>> tm.plot.occupancy(ds).get_ylabel()
    'Used [pages of 4 KiB]'
    """
    need(ds, "ds", ("used_pages", "free_pages"), RUN)
    target = OCCUPANCY_SHEET.axes(ax)[0]
    time, used, free = (numbers(ds, name) for name in ("time", "used_pages", "free_pages"))
    nids = [int(n) for n in ds["node"].values]
    page = int(ds.attrs.get("page_bytes", PAGE_SZ))
    dress(target, TIME, f"Used [pages of {format_bytes(page)}]")
    target.set_xlim(0, time[-1] or 1)
    target.set_ylim(0, 1.05 * float((used + free).max()))
    target.yaxis.set_major_formatter("{x:,.0f}")
    ends = []
    for k, colour in enumerate(series_colours(len(nids))):
        full = used[:, k] + free[:, k]
        target.plot(time, full, color=colour, linewidth=0.9, linestyle=(0, (4, 2)))
        target.plot(time, used[:, k], color=colour, linewidth=1.8, label=f"node {nids[k]}")
        for word, pages in (("used", used[-1, k]), ("size", full[-1])):
            text = f"node {nids[k]} {word}: {format_bytes(pages * page)}"
            ends.append((float(time[-1]), float(pages), text, colour))
    gain = used[-1, 0] - used[0, 0]
    word = "gains" if gain >= 0 else "loses"
    headline(target, f"Node {nids[0]} {word} {abs(gain):,.0f} pages ({format_bytes(abs(gain) * page)})")
    label_ends(target, ends)
    return target  # type: ignore[no-any-return]
