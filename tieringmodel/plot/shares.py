"""Where the share goes: all policies in one view, and each in a panel of its own."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .reading import COMPARISON, TIME, names, need, numbers, settled, verdict
from .roles import BASELINE, GREY, RECORDED, listed, looks, role_of
from .style import (
    LABEL_PT,
    SMALL_PT,
    Sheet,
    colour_of,
    dress,
    headline,
    headline_all,
    ink,
    label_ends,
    lines,
    literal,
    number,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

PANEL_COLUMNS = 3
SHARE_SHEET = Sheet(4.4)
"""The sheet of `share`."""


def panels_sheet(cmp: xr.Dataset) -> Sheet:
    """Return the sheet of `share_panels`: one row for every three panels."""
    count = max(1, len(_with_panel(cmp)))
    rows = -(-count // PANEL_COLUMNS)
    return Sheet(0.9 + 1.6 * rows, rows, min(count, PANEL_COLUMNS), sharex=True, sharey=True)


def _with_panel(cmp: xr.Dataset) -> list[int]:
    """Return the policies that get a panel: all with a share, but baselines only where there is nothing else."""
    known = np.flatnonzero(np.isfinite(numbers(cmp, "share_bp")).any(axis=1))
    policies = names(cmp)
    return [int(k) for k in known if role_of(policies[k]) != BASELINE] or [int(k) for k in known]


def _share_label(cmp: xr.Dataset) -> str:
    text = str(cmp["share_bp"].attrs.get("long_name", "share of the fast node"))
    return textwrap.fill(text[:1].upper() + text[1:] + " [bp]", 46)


def _target(ax: Axes, cmp: xr.Dataset) -> list[tuple[float, float, str, str]]:
    """Draw the target, if there is one; return the end of its line for a label."""
    target = float(cmp["target_bp"])
    if not np.isfinite(target):
        return []
    ax.axhline(target, color=ink(), linewidth=0.9, alpha=0.55, zorder=2, label="_target")
    return [(ax.get_xlim()[1], target, f"TARGET {target:.0f} bp", ink())]


def _share_axis(ax: Axes, values: npt.NDArray[np.float64], time: npt.NDArray[np.float64]) -> None:
    highest = values[np.isfinite(values)].max(initial=10_000)
    ax.set_ylim(-200, 1.02 * float(highest))
    ax.set_yticks(range(0, 10_001, 2000))
    ax.set_xlim(min(0.0, float(time[0])), float(time[-1]))


def share(cmp: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw every policy's share over time against the target.

    Parameters
    ----------
    cmp : xarray.Dataset
        A comparison: ``share_bp`` (policy, time) in bp, scalar ``target_bp``, ``settled`` (policy).
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure. Names stand right of the axes.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        If the dataset lacks a variable.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> cmp = tm.compare({"goals": tm.load("rfc-40-60")}, duration="3 s", seed=1)
    >>> tm.plot.share(cmp).get_xlabel()
    'Time since DAMON was turned on [s]'
    """
    need(cmp, "cmp", ("share_bp", "target_bp", "settled"), COMPARISON)
    target = SHARE_SHEET.axes(ax)[0]
    time, values = numbers(cmp, "time"), numbers(cmp, "share_bp")
    dress(target, TIME, _share_label(cmp))
    _share_axis(target, values, time)
    ends = lines(target, time, values, names(cmp)) + _target(target, cmp)
    headline(target, verdict(cmp))
    if ends:
        label_ends(target, ends)
    return target  # type: ignore[no-any-return]


def share_panels(cmp: xr.Dataset, *, ax: Any = None) -> npt.NDArray[Any]:
    """Draw every policy's share in a panel of its own, with the recorded kernel's behind it in grey.

    Where nothing was recorded, the first policy is behind the others.

    Parameters
    ----------
    cmp : xarray.Dataset
        As for `share`; ``kind`` and ``settling_s`` (policy), if there, say in each panel what became of the policy.
    ax : sequence of matplotlib Axes, optional
        One for each panel; by default a new figure with three columns.

    Returns
    -------
    ndarray of matplotlib Axes, shape (n,)
        One for each policy that has a share, in the order of the dataset; baselines have none.

    Raises
    ------
    InputError
        If the dataset lacks a variable, no policy has a share, or there are fewer axes than panels.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> cmp = tm.compare({"goals": tm.load("rfc-40-60")}, duration="3 s", seed=1)
    >>> len(tm.plot.share_panels(cmp))
    1
    """
    need(cmp, "cmp", ("share_bp", "target_bp", "settled"), COMPARISON)
    values, time, policies = numbers(cmp, "share_bp"), numbers(cmp, "time"), names(cmp)
    shown = _with_panel(cmp)
    if not shown:
        raise InputError("cmp", "no policy has a share", "check share_bp")
    sheet = panels_sheet(cmp)
    axes = (sheet if ax is None else Sheet(sheet.height_in, 1, len(shown))).axes(ax)
    style, rest = looks(policies), settled(cmp)
    behind = next((k for k in shown if role_of(policies[k]) == RECORDED), shown[0])
    for panel, k in zip(axes, shown, strict=False):
        look = style[k]
        dress(panel)
        _share_axis(panel, values, time)
        if k != behind:
            panel.plot(time, values[behind], color=GREY, linewidth=0.7, alpha=0.8)
        panel.plot(time, values[k], color=colour_of(look), linewidth=max(1.4, look.width * 0.8), zorder=5)
        _target(panel, cmp)
        title = f"{literal(policies[k])}\n{_outcome(cmp, k, bool(rest[k]))}"
        panel.set_title(title, loc="left", fontsize=SMALL_PT, pad=3)
        grid = panel.get_subplotspec()
        if grid is None or grid.is_first_col():
            panel.set_ylabel("Share [bp]", fontsize=LABEL_PT)
        if grid is None or grid.is_last_row():
            panel.set_xlabel("Time [s]", fontsize=LABEL_PT)
    target = float(cmp["target_bp"])
    for spare in axes[len(shown) :]:
        dress(spare)
        spare.grid(visible=False)
        spare.spines["left"].set_visible(False)
        spare.tick_params(left=False)
    if len(axes) > len(shown):
        text = f"straight line: target {target:.0f} bp\n" if np.isfinite(target) else ""
        text += literal(f"grey: {policies[behind]}")
        axes[len(shown)].text(0, 10_000, text, va="top", fontsize=SMALL_PT)
    headline_all(axes, "Outcomes: " + listed(_tally(cmp, shown), most=6))
    return axes[: len(shown)]


def _tally(cmp: xr.Dataset, shown: list[int]) -> list[str]:
    """Return each outcome with its number of policies, the settled first, then the most frequent."""
    rest = settled(cmp)
    outcomes = ["settled" if rest[k] else _outcome(cmp, k, False) for k in shown]
    kinds = sorted(set(outcomes), key=lambda w: (w != "settled", -outcomes.count(w), w))
    return [f"{outcomes.count(w)} {w}" for w in kinds]


def _outcome(cmp: xr.Dataset, k: int, rest: bool) -> str:
    when = float(cmp["settling_s"].values[k]) if "settling_s" in cmp else np.nan
    if rest:
        return f"settled after {number(when)} s" if np.isfinite(when) else "settled"
    kind = str(cmp["kind"].values[k]) if "kind" in cmp else ""
    return kind if kind and kind != "converged" else "not settled"
