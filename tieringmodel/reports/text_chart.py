"""Charts made of characters: a series against its targets, and below it how much moved, for terminals and mails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..units import significant

Floats = npt.NDArray[np.float64]
ROWS, RATE_ROWS = 9, 3
_LABEL = 8


class Strokes(NamedTuple):
    """The characters of a chart: target, axes, corner, and bars from low to full."""

    target: str
    side: str
    floor: str
    corner: str
    bars: str


ASCII = Strokes("-", "|", "-", "+", ".:#")
UNICODE = Strokes("╌", "│", "─", "└", "▁▂▃▄▅▆▇█")


def strokes(ascii_only: bool) -> Strokes:
    """Return the characters to draw with."""
    return ASCII if ascii_only else UNICODE


def course(
    time_s: Floats, series: Sequence[tuple[str, Floats]], targets: Sequence[Floats], *, width: int, look: Strokes
) -> list[str]:
    """Return lines that show series over time.

    Parameters
    ----------
    time_s : ndarray of float64, shape (n,)
        Times of records.
    series : sequence of (str, ndarray of float64 (n,))
        The character of each series and its values; nan leaves a gap. A later one is drawn over an earlier one.
    targets : sequence of ndarray of float64, shape (n,)
        Lines behind the series.
    width : int
        Columns.
    look : Strokes
        The characters.

    Returns
    -------
    list of str
        Rows from the highest value down: the range of the values within each column, not a mean that would hide a swing.
    """
    columns = width - _LABEL - 2
    everything = np.concatenate([y for _, y in series] + list(targets))
    known = everything[~np.isnan(everything)]
    low, high = float(known.min()), float(known.max())
    scale = (ROWS - 1) / (high - low or 1.0)
    cells = [[" "] * columns for _ in range(ROWS)]
    labels = {0: high, ROWS - 1: low}
    for y in targets:
        for k, (least, _) in enumerate(_ranges(time_s, y, columns)):
            if not np.isnan(least):
                cells[_row(least, low, scale)][k] = look.target
        last = y[~np.isnan(y)]
        if last.size:
            labels[_row(float(last[-1]), low, scale)] = float(last[-1])
    for mark, y in series:
        for k, (least, most) in enumerate(_ranges(time_s, y, columns)):
            if not np.isnan(least):
                for row in range(_row(most, low, scale), _row(least, low, scale) + 1):
                    cells[row][k] = mark
    return [_line(f"{labels[row]:.0f}" if row in labels else "", cells[row], look) for row in range(ROWS)]


def rates(time_s: Floats, amount: Floats, *, width: int, look: Strokes) -> list[str]:
    """Return lines that show amounts per second as bars, and the axis of times below them.

    Parameters
    ----------
    time_s, amount : ndarray of float64, shape (n,)
        Times of records, and what came since the record before.
    width : int
        Columns.
    look : Strokes
        The characters.

    Returns
    -------
    list of str
        The highest bar fills the height; whatever is above 0 shows.
    """
    columns = width - _LABEL - 2
    end_s = float(time_s[-1])
    at = np.minimum(np.ceil(time_s / end_s * columns - 1e-9).astype(int) - 1, columns - 1)
    rate = np.bincount(np.maximum(at, 0), amount, columns) * columns / end_s
    top, steps = float(rate.max()), len(look.bars)
    heights = np.ceil(rate / (top or 1.0) * RATE_ROWS * steps - 1e-9).astype(int)
    lines = []
    for row in range(RATE_ROWS):
        above = heights - (RATE_ROWS - 1 - row) * steps
        cells = [look.bars[min(h, steps) - 1] if h > 0 else " " for h in above.tolist()]
        lines.append(_line({0: significant(top), RATE_ROWS - 1: "0"}.get(row, ""), cells, look))
    return [*lines, *_axis(end_s, columns, look)]


def _axis(end_s: float, columns: int, look: Strokes) -> list[str]:
    middle, last = f"{end_s / 2:.4g}", f"{end_s:.4g} s"
    words = "0" + middle.center(columns - 2 * len(last) + 1).rjust(columns - len(last) - 1) + last
    return [" " * (_LABEL + 1) + look.corner + look.floor * columns, " " * (_LABEL + 2) + words]


def _line(label: str, cells: Sequence[str], look: Strokes) -> str:
    return f"{label:>{_LABEL}} {look.side}{''.join(cells)}".rstrip()


def _row(value: float, low: float, scale: float) -> int:
    return ROWS - 1 - round((value - low) * scale)


def _ranges(time_s: Floats, y: Floats, columns: int) -> list[tuple[float, float]]:
    """Return the least and the most value in each column of time; where no record is, the value before goes on."""
    edges = np.linspace(0.0, float(time_s[-1]), columns + 1)
    # A record holds from its time on: each column begins with the last record before it.
    starts = np.maximum(np.searchsorted(time_s, edges[:-1] + 1e-9, side="right") - 1, 0)
    ends = np.searchsorted(time_s, edges[1:] + 1e-9, side="right")
    out = []
    for start, end in zip(starts, np.maximum(ends, starts + 1), strict=True):
        part = y[start:end]
        part = part[~np.isnan(part)]
        out.append((float(part.min()), float(part.max())) if part.size else (np.nan, np.nan))
    return out
