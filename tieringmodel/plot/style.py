"""What all figures share: sheets of axes, titles that wrap, labels at the ends of lines."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .roles import GREY, Look, looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_IN = 8.0
LONGEST_LABEL = 40
TITLE_PT, LABEL_PT, SMALL_PT = 11.0, 9.0, 8.0
_GAP_PT = 3.0


class Sheet(NamedTuple):
    """The axes of one figure, `WIDTH_IN` wide."""

    height_in: float
    rows: int = 1
    cols: int = 1
    sharex: bool = False
    sharey: bool = False

    def _options(self) -> dict[str, Any]:
        return {"sharex": self.sharex, "sharey": self.sharey, "squeeze": False}

    def figure(self) -> tuple[Figure, npt.NDArray[Any]]:
        """Return a figure that no window and no pyplot knows, and its axes (row by row)."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH_IN, self.height_in), layout="constrained")
        FigureCanvasAgg(figure)
        return figure, figure.subplots(self.rows, self.cols, **self._options()).ravel()

    def axes(self, ax: Any) -> npt.NDArray[Any]:
        """Return the axes to draw on: those given, or new ones from pyplot.

        Raises
        ------
        InputError
            If fewer axes are given than the figure needs.
        """
        if ax is None:
            from matplotlib import pyplot as plt

            size = (WIDTH_IN, self.height_in)
            made: npt.NDArray[Any]
            _, made = plt.subplots(self.rows, self.cols, figsize=size, layout="constrained", **self._options())
            return made.ravel()
        given: npt.NDArray[Any] = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
        if not all(hasattr(a, "pcolormesh") for a in given):
            raise InputError("ax", f"{ax!r} holds something that is not an Axes", "pass axes of matplotlib")
        if given.size < self.rows * self.cols:
            raise InputError("ax", f"{given.size} axes are too few", f"pass {self.rows * self.cols}")
        return given


def ink() -> str:
    """Return the colour of text, which is also that of what must stand out."""
    from matplotlib import rcParams

    return str(rcParams["text.color"])


def literal(text: str) -> str:
    """Return text that matplotlib shows as it is: a dollar sign begins no formula."""
    return text.replace("$", r"\$")


def dress(ax: Axes, x: str = "", y: str = "", grid: str = "y") -> None:
    """Label both axes and leave only the lines that help reading."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=SMALL_PT)
    ax.grid(visible=True, axis=grid, color=GREY, alpha=0.3, linewidth=0.6)  # type: ignore[arg-type]
    ax.set_axisbelow(True)
    if x:
        ax.set_xlabel(literal(x), fontsize=LABEL_PT)
    if y:
        ax.set_ylabel(literal(y), fontsize=LABEL_PT)


def headline(ax: Axes, text: str) -> None:
    """Put the figure's message over the axes; over the whole figure if it has no other axes."""
    figure = ax.figure
    alone = len(figure.axes) == 1
    width_in = figure.get_figwidth() * (0.95 if alone else ax.get_position().width)  # type: ignore[union-attr]
    lines = textwrap.fill(text, max(24, int(width_in * 72 / (0.6 * TITLE_PT))))
    ax.set_title(literal(lines), loc="left", fontsize=TITLE_PT, fontweight="bold", pad=8)


def folded(figure: Any, text: str) -> str:
    """Return a message in lines that fit over a whole figure."""
    return textwrap.fill(text, max(24, int(figure.get_figwidth() * 72 / (0.6 * TITLE_PT))))


def headline_all(axes: Sequence[Any] | npt.NDArray[Any], text: str) -> None:
    """Put one message over several axes of one figure."""
    figure = axes[0].figure
    figure.suptitle(literal(folded(figure, text)), x=0.01, ha="left", fontsize=TITLE_PT, fontweight="bold")


def spread(wanted: npt.NDArray[np.float64], gap: float, top: float = 1.0) -> npt.NDArray[np.float64]:
    """Return positions at least `gap` apart, in the order of `wanted` and as near to it as least squares allow.

    Parameters
    ----------
    wanted : ndarray of float64, shape (n,)
        Ascending.
    gap : float
        Smallest distance.
    top : float
        Largest position, as long as everything fits between 0 and `top`.

    Returns
    -------
    ndarray of float64, shape (n,)
        By pooling adjacent violators: positions less ``k * gap`` must not decrease.
    """
    steps = gap * np.arange(wanted.size)
    pools: list[tuple[float, int]] = []
    for value in wanted - steps:
        mean, size = float(value), 1
        while pools and pools[-1][0] > mean:
            last, count = pools.pop()
            mean, size = (last * count + mean * size) / (count + size), count + size
        pools.append((mean, size))
    flat = np.repeat([mean for mean, _ in pools], [size for _, size in pools]) if pools else np.zeros(0)
    low, high = 0.0, top - (steps[-1] if steps.size else 0.0)
    return np.asarray(np.clip(flat, low, max(high, low)) + steps, np.float64)


def label_ends(ax: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Write each line's name right of the axes, without overlaps, with a leader from the line's end.

    Parameters
    ----------
    ax : Axes
        With its final limits.
    ends : sequence of (x, y, name, colour)
        Last point of each line in data coordinates.
    """
    from matplotlib.collections import LineCollection

    size_pt = 72 * ax.figure.get_size_inches() * ax.get_position().size  # type: ignore[union-attr]
    last = ax.transAxes.inverted().transform(ax.transData.transform([(x, y) for x, y, _, _ in ends]))
    order = np.argsort(last[:, 1], kind="stable")
    places = spread(last[order, 1], 1.4 * SMALL_PT / size_pt[1], top=0.98)
    leaders = []
    for k, place in zip(order, places, strict=True):
        name = ends[k][2]
        text = name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…"
        ax.annotate(
            literal(text),
            (1.05, float(place)),
            xycoords="axes fraction",
            va="center",
            fontsize=SMALL_PT,
            annotation_clip=False,
        )
        leaders.append(((last[k, 0], last[k, 1]), (1.05 - _GAP_PT / size_pt[0], place)))
    # All in one artist, and no arrows: the layout measures each of them again and again, which took half of the time.
    colours = [ends[k][3] for k in order]
    drawn = LineCollection(leaders, linewidths=1.0, colors=colours, zorder=3, transform=ax.transAxes, clip_on=False)
    ax.add_collection(drawn, autolim=False)


def colour_of(look: Look) -> str:
    """Return the colour to draw with."""
    return ink() if look.colour == "ink" else look.colour


def lines(
    ax: Axes, time: npt.NDArray[np.float64], values: npt.NDArray[np.float64], policies: list[str]
) -> list[tuple[float, float, str, str]]:
    """Draw a line per policy that has values; return the ends for their labels."""
    ends = []
    for policy, look, row in zip(policies, looks(policies), values, strict=True):
        finite = np.flatnonzero(np.isfinite(row))
        if not finite.size:
            continue
        colour = colour_of(look)
        dashes = look.dashes if look.dashes[1] else "-"
        ax.plot(time, row, color=colour, linewidth=look.width, linestyle=dashes, zorder=look.order, label=policy)
        ends.append((float(time[finite[-1]]), float(row[finite[-1]]), policy, colour))
    return ends


def number(value: float) -> str:
    """Return a positive number for people: three digits, no exponent for what they meet."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
