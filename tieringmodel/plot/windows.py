"""Figures of how one run goes: share against target, what migrates, which moves are undone, at which period it swings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..scenario.controlled import asked_by
from ..units import MIB, PAGE_SZ
from ..verdicts.goal_course import FULL_BP, courses
from ..verdicts.judge import judged
from ..verdicts.page_run import PageRun
from ..verdicts.run_view import Series, series
from ..verdicts.target import goal_node
from ..verdicts.thresholds import RunThresholds, Thresholds
from .reading import RUN, TIME, need, numbers
from .roles import GREY, series_colours
from .style import Sheet, dress, headline, headline_all, ink, label_ends, number

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]
COURSE_SHEET = Sheet(4.6, 2, 1, sharex=True)
"""The sheet of `course`: two axes, one above the other."""
RETURNS_SHEET = Sheet(3.0)
"""The sheet of `returns`."""
SPECTRUM_SHEET = Sheet(3.0)
"""The sheet of `spectrum`."""


def _time(view: Series) -> tuple[npt.NDArray[np.float64], str, float]:
    """Return the edges of the windows, what the axis says, and seconds per window (1 where they are not known)."""
    step = view.window_s or 1.0
    return np.arange(view.y_bp.size, dtype=np.float64) * step, TIME if view.window_s else "Time [windows]", step


def course(ds: xr.Dataset, *, node: int | None = None, ax: Any = None) -> npt.NDArray[Any]:
    """Draw the share that a run controls, its target with the band that counts as reached, and what migrates meanwhile.

    Where pages can be reclaimed, those that were and those that came back count as moved too.

    Parameters
    ----------
    ds : xarray.Dataset
        A run of any kind that `tieringmodel.verdicts.run_view` knows.
    node : int, optional
        Goal node of an interleave run or a simulation; by default that of the run's goal.
    ax : pair of matplotlib Axes, optional
        Upper for the share, lower for the migration; by default a new figure.

    Returns
    -------
    ndarray of two matplotlib Axes

    Raises
    ------
    InputError
        If the dataset is no run, or fewer than two axes are given.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.loop.run("temporal", 4000, 1_000_000, 0, cap_bytes=100 << 20)
    >>> upper, lower = tm.plot.course(ds)
    >>> upper.get_ylabel()
    'Share on node 0 [bp]'
    """
    parts = _parts(ds, node)
    upper, lower = axes = COURSE_SHEET.axes(ax)[:2]
    blue = series_colours(1)[0]
    dress(upper, "", f"Share on node {parts.node} [bp]")
    upper.plot(parts.time, parts.share, color=blue, linewidth=1.3, label="share")
    if parts.target.size:
        upper.axhspan(*parts.band, color=GREY, alpha=0.25, linewidth=0)
        look: dict[str, Any] = {"linewidth": 1.0, "linestyle": (0, (4, 2)), "drawstyle": "steps-post", "label": "target"}
        upper.plot(parts.edges, parts.target, color=ink(), **look)
    dress(lower, parts.time_label, parts.rate_label)
    # The edge keeps a single busy window of thousands visible.
    lower.stairs(parts.rate, parts.time, facecolor=blue, edgecolor=blue, linewidth=0.8, fill=True, alpha=0.5)
    lower.set_ylim(bottom=0)
    upper.set_xlim(0, parts.time[-1])
    label_ends(upper, parts.ends)
    headline_all(axes, parts.headline)
    return np.asarray(axes, dtype=object)


def redraw_course(ds: xr.Dataset, axes: npt.NDArray[Any]) -> None:
    """Let what `course` drew show another run of the same kind: its artists are kept, so that it takes a fraction of the time.

    Parameters
    ----------
    ds : xarray.Dataset
        A run with a target, as the one that was drawn.
    axes : ndarray of two matplotlib Axes
        What `course` returned.
    """
    parts = _parts(ds, None)
    upper, lower = axes
    (share, target, *_), band, bars = upper.lines, upper.patches[0], lower.patches[0]
    share.set_data(parts.time, parts.share)
    target.set_data(parts.edges, parts.target)
    band.set_y(parts.band[0])
    band.set_height(parts.band[1] - parts.band[0])
    bars.set_data(parts.rate, parts.time)
    for one in [*upper.texts, *upper.collections]:  # the names of lines
        one.remove()
    for ax in (upper, lower):
        ax.set_autoscaley_on(True)
        ax.relim()
        ax.autoscale_view(scalex=False)
    lower.set_ylim(bottom=0)
    upper.set_xlim(0, parts.time[-1])
    upper.set_ylabel(f"Share on node {parts.node} [bp]")
    label_ends(upper, parts.ends)
    headline_all(axes, parts.headline)


class _Parts(NamedTuple):
    """What `course` draws; without a target its arrays are empty."""

    node: int
    time: Floats
    share: Floats
    band: tuple[float, float]
    edges: Floats
    target: Floats
    rate: Floats
    time_label: str
    rate_label: str
    ends: list[tuple[float, float, str, str]]
    headline: str


def _parts(ds: xr.Dataset, node: int | None) -> _Parts:
    need(ds, "ds", (), RUN)
    node = goal_node(ds) if node is None else node
    view = series(ds, node=node)
    time, label, step = _time(view)
    ends = [(float(time[-1]), float(view.y_bp[-1]), "share", series_colours(1)[0])]
    band, edges, target = (0.0, 0.0), np.empty(0), np.empty(0)
    if view.target_bp is not None:
        low, high, target, edges = _wanted(ds, view, node, time)
        band = max(low, 0.0), min(high, 10_000.0)  # a floor has no upper end
        ends.append((float(time[-1]), float(target[-1]), "target (grey: where it should be)", ink()))
    page = int(ds.attrs.get("page_bytes", PAGE_SZ))
    unit, verb = "MiB/s" if view.window_s else "MiB per window", "move" if "reclaimed_pages" in ds else "migrate"
    found = judged(ds)
    said = found.headline if found else f"Share {view.y_bp[-1]:.0f} bp at the end"
    rate = view.moved * page / MIB / step
    return _Parts(node, time, view.y_bp, band, edges, target, rate, label, f"{verb.capitalize()}d [{unit}]", ends, said)


def _wanted(ds: xr.Dataset, view: Series, node: int, time: Floats) -> tuple[float, float, Floats, Floats]:
    """Return where the verdict says that the share should be at the end (low, high), and the target over time."""
    if view.kind == "simulation":
        for goal in courses(PageRun(ds, RunThresholds())):
            what, at = asked_by(goal.goal), goal.evaluated
            if what is not None and what.nid == node and at.any():
                turned = what.target_bp != goal.goal.target_value
                ends = [FULL_BP - v if turned else v for v in goal.interval]
                targets = FULL_BP - goal.targets[at] if turned else goal.targets[at]
                return min(ends), max(ends), np.append(targets, targets[-1]), np.append(goal.run.time[at], time[-1])
    target = float(view.target_bp or 0.0)
    band = RunThresholds().band_bp if view.kind == "simulation" else Thresholds().error_share * target
    return target - band, target + band, np.array([target, target]), time[[0, -1]]


def returns(ds: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw which share of all moves was undone after how many windows.

    Parameters
    ----------
    ds : xarray.Dataset
        A page-level run: ``returns`` (time, lag), ``migrated_pages`` (time).
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        If the dataset lacks a variable, or moves were not followed (``log_moves=False``).

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.simulate(tm.load("rfc-40-60"), duration="3 s", seed=1)
    >>> tm.plot.returns(ds).get_xlabel()
    'Until a moved page was back [windows]'
    """
    need(ds, "ds", ("returns", "migrated_pages"), RUN)
    undone, total = numbers(ds, "returns"), float(numbers(ds, "migrated_pages").sum())
    if (undone < 0).any():
        raise InputError("ds", "does not follow single moves", "simulate with log_moves=True and fewer pages at a time")
    target = RETURNS_SHEET.axes(ax)[0]
    share = undone.sum(axis=0) / max(total, 1.0)
    dress(target, "Until a moved page was back [windows]", "Share of all moves [%]")
    target.bar(ds["lag"].values, 100 * share, color=series_colours(1)[0], width=0.8)
    target.set_ylim(0, max(115 * float(share.max(initial=0.0)), 1.0))
    target.set_xlim(0.4, float(ds["lag"].values[-1]) + 0.6)
    within = float(share.sum())
    last = int(ds["lag"].values[-1])
    headline(target, f"{within:.1%} of {total:,.0f} moves were undone within {last} windows")
    return target  # type: ignore[no-any-return]


def spectrum(ds: xr.Dataset, *, node: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw at which periods the share swings in the second half of a run.

    Parameters
    ----------
    ds : xarray.Dataset
        A run of any kind that `tieringmodel.verdicts.run_view` knows, of at least 16 windows.
    node : int, optional
        Goal node of an interleave run or a simulation; by default that of the run's goal.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib Axes
        Amplitude in basis points over the period: the periodogram of the detrended, Hann-weighted share, scaled so
        that a sinusoid of amplitude A peaks at A.

    Raises
    ------
    InputError
        If the dataset is no run, or is too short.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.loop.run("consist", 4000, 1_000_000, 0, leak_rate=0.05)
    >>> tm.plot.spectrum(ds).get_xlabel()
    'Period [windows]'
    """
    from scipy.signal import detrend

    need(ds, "ds", (), RUN)
    view = series(ds, node=goal_node(ds) if node is None else node)
    half = view.y_bp[view.y_bp.size // 2 :]
    if half.size < 8:
        raise InputError("ds", f"has {view.y_bp.size - 1} windows", "run at least 16")
    _, _, step = _time(view)
    weight = np.hanning(half.size)
    amplitude = 2 * np.abs(np.fft.rfft(detrend(half) * weight))[1:] / weight.sum()
    period = half.size * step / np.arange(1, amplitude.size + 1)
    target = SPECTRUM_SHEET.axes(ax)[0]
    unit = "s" if view.window_s else "windows"
    dress(target, f"Period [{unit}]", "Amplitude [bp]")
    target.plot(period, amplitude, color=series_colours(1)[0], linewidth=1.2)
    target.set_xscale("log")
    for axis_format in (target.xaxis.set_major_formatter, target.xaxis.set_minor_formatter):
        axis_format(lambda value, _: f"{value:g}")
    target.set_xlim(float(period[-1]), float(period[0]))
    target.set_ylim(bottom=0)
    peak = int(np.argmax(amplitude))
    if amplitude[peak] < 1:
        headline(target, "No swing of a basis point or more")
    else:
        headline(target, f"Largest swing: ±{number(float(amplitude[peak]))} bp every {number(float(period[peak]))} {unit}")
    return target  # type: ignore[no-any-return]
