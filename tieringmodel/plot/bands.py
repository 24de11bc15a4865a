"""Recorded values beside the model's bands, all runs and measures in one figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..errors import InputError
from .roles import BLUE, GREY, VERMILLION
from .style import LABEL_PT, SMALL_PT, Sheet, dress, headline, ink, literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_EDGE = 1.6
"""Outermost position that is drawn, in widest bands; what lies beyond is drawn there with an arrow."""


class BandPair(Protocol):
    """What the figure needs of a pair (`tieringmodel.validate.recorded.bands.Pair`)."""

    @property
    def run(self) -> str: ...  # noqa: D102
    @property
    def measure(self) -> str: ...  # noqa: D102
    @property
    def unit(self) -> str: ...  # noqa: D102
    @property
    def recorded(self) -> float: ...  # noqa: D102
    @property
    def low(self) -> float: ...  # noqa: D102
    @property
    def high(self) -> float: ...  # noqa: D102
    @property
    def widest(self) -> float: ...  # noqa: D102
    @property
    def inside(self) -> bool: ...  # noqa: D102


def bands_sheet(pairs: Sequence[BandPair]) -> Sheet:
    """Return the sheet of `recorded_bands`: a line per pair and per run."""
    return Sheet(1.3 + 0.17 * (len(pairs) + len({p.run for p in pairs})))


def recorded_bands(pairs: Sequence[BandPair], *, ax: Axes | None = None) -> Axes:
    """Draw the model's 5–95 % band of every measure of every run, seen from the recorded value.

    Parameters
    ----------
    pairs : sequence of BandPair
        As `tieringmodel.validate.recorded.recordings.compare_runs` yields them, run after run.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib Axes
        The recorded value is the line at 0, the unit the widest band that counts; a pair counts as inside if its bar
        crosses the line and is at most 1 long.

    Raises
    ------
    InputError
        If there are no pairs.
    """
    if not pairs:
        raise InputError("pairs", "is empty", "give pairs of recorded and simulated measures")
    axes: Axes = bands_sheet(pairs).axes(ax)[0]
    places: list[float] = []
    labels: list[str] = []
    headings: list[bool] = []
    y = 0.0
    for k, pair in enumerate(pairs):
        if k == 0 or pair.run != pairs[k - 1].run:
            places, labels, headings, y = [*places, y], [*labels, pair.run], [*headings, True], y + 1
        _bar(axes, pair, y)
        places, labels, headings, y = [*places, y], [*labels, pair.measure], [*headings, False], y + 1
    dress(axes, "Model less recorded value [widest band that counts]", grid="x")
    axes.axvline(0, color=ink(), linewidth=1.2, zorder=3)
    axes.set_xlim(-_EDGE, _EDGE)
    axes.set_ylim(y - 0.4, -0.9)
    axes.set_yticks(places, [literal(text) for text in labels], fontsize=SMALL_PT)
    axes.tick_params(axis="y", length=0)
    for tick, heading in zip(axes.get_yticklabels(), headings, strict=True):
        tick.set_fontweight("bold" if heading else "normal")
    inside = sum(p.inside for p in pairs)
    headline(axes, f"The model's 5–95 % band holds {inside} of {len(pairs)} recorded measures")
    axes.text(1.02, -0.6, "recorded", transform=axes.get_yaxis_transform(), fontsize=LABEL_PT, va="center", color=ink())
    return axes


def _bar(axes: Axes, pair: BandPair, y: float) -> None:
    """Draw one band, and write the recorded value at its right."""
    colour = BLUE if pair.inside else VERMILLION
    # Where no width is allowed (recorded exactly 0), any width is drawn as too much.
    ends = np.array([pair.low, pair.high]) - pair.recorded
    scaled = ends / pair.widest if pair.widest > 0 else np.sign(ends) * _EDGE
    low, high = (float(end) for end in np.clip(np.nan_to_num(scaled, nan=_EDGE), -_EDGE, _EDGE))
    axes.plot([low, high], [y, y], color=colour, linewidth=4.5, solid_capstyle="butt", zorder=4)
    if high - low < 0.02:  # too narrow to be seen
        axes.plot([(low + high) / 2], [y], color=colour, marker="o", markersize=4, linewidth=0, zorder=4)
    for end, beyond, marker in ((low, scaled[0] < -_EDGE, "<"), (high, scaled[1] > _EDGE, ">")):
        if beyond:
            axes.plot([end], [y], color=colour, marker=marker, markersize=5, linewidth=0, zorder=5, clip_on=False)
    unit = "" if pair.unit == "1" else f" {pair.unit}"
    axes.text(
        1.02,
        y,
        f"{pair.recorded:.3g}{unit}",
        transform=axes.get_yaxis_transform(),
        fontsize=SMALL_PT,
        va="center",
        color=ink() if pair.inside else VERMILLION,
    )
    axes.axhline(y, color=GREY, alpha=0.15, linewidth=0.5, zorder=0)
