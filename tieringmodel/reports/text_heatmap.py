"""What DAMON saw as characters: a heat map of addresses over time, and how many bytes were how hot, for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..plot.snapshots import Ragged, most_accesses, rasterise, regions_of
from ..units import format_bytes
from .plain_text import MAIL_WIDTH

if TYPE_CHECKING:
    import xarray as xr

UNICODE, ASCII = " ·░▒▓█", " .:+*#"
ROWS, BUCKETS = 20, 10


def text_heatmap(ds: xr.Dataset, *, width: int = MAIL_WIDTH, ascii_only: bool = False) -> str:
    """Return the heat map and the histogram of every context that has region snapshots.

    Parameters
    ----------
    ds : xarray.Dataset
        A run or a comparison with snapshots, or a record (`tieringmodel.interop.damo.records.monitoring_truth`).
    width : int
        Columns.
    ascii_only : bool
        Plain ASCII.

    Raises
    ------
    InputError
        If no context has a snapshot.
    """
    owners = sorted({int(c) for c in ds["snapshot_context"].values}) if "snapshot_context" in ds else [0]
    parts = []
    for context in owners:
        regions = regions_of(ds, context)
        most = most_accesses(ds, regions, context)
        head = f"Context {context}: " if len(owners) > 1 else ""
        parts.append(_map(regions, most, head, width, ascii_only))
        parts.append(_histogram(regions, most, width, ascii_only))
    return "\n\n".join(parts)


def _edges(regions: Ragged, cells: int) -> npt.NDArray[np.float64]:
    return np.linspace(regions.start.min(), regions.end.max(), cells + 1)


def _map(regions: Ragged, most: float, head: str, width: int, ascii_only: bool) -> str:
    """Rows from the lowest address up, columns of time; the mean of a column's snapshots."""
    shades = ASCII if ascii_only else UNICODE
    edges = _edges(regions, ROWS)
    labels = [format_bytes(int(edge)) for edge in edges[:-1]]
    left = max(map(len, labels))
    columns = max(min(width - left - 3, regions.time.size), 1)
    values = rasterise(regions, edges) / most
    at = np.minimum(np.arange(regions.time.size) * columns // max(regions.time.size, 1), columns - 1)
    rows = []
    for label, row in zip(labels, values, strict=True):
        known = ~np.isnan(row)
        count = np.bincount(at[known], minlength=columns)
        sums = np.bincount(at[known], row[known], minlength=columns)
        cells = "".join(
            " " if not n else shades[min(1 + int(np.ceil(max(s / n, 0.0) * (len(shades) - 2) - 1e-9)), len(shades) - 1)]
            for s, n in zip(sums.tolist(), count.tolist(), strict=True)
        )
        rows.append(f"{label:>{left}} |{cells}".rstrip())
    first, last = f"{regions.time[0]:.4g}", f"{regions.time[-1]:.4g} s"
    foot = f"{'':>{left}} +{'-' * columns}\n{'':>{left}}  {first}{last:>{max(columns - len(first), len(last) + 1)}}"
    legend = f"{head}access rate of regions, address up over time; '{shades[1]}' none, '{shades[-1]}' in every sample"
    return "\n".join([legend, *rows, foot])


def _histogram(regions: Ragged, most: float, width: int, ascii_only: bool) -> str:
    """Bytes by access rate, of the last snapshot."""
    last = regions.snapshot == regions.snapshot.max()
    size, rate = (regions.end - regions.start)[last], regions.value[last] / most
    at = np.minimum((rate * BUCKETS).astype(int), BUCKETS - 1)
    sums = np.bincount(np.where(rate > 0, at + 1, 0), size, BUCKETS + 1)
    names = ["0 %", *(f"{100 * k // BUCKETS} - {100 * (k + 1) // BUCKETS} %" for k in range(BUCKETS))]
    told = [format_bytes(int(s)) for s in sums]
    left, right = max(map(len, names)), max(map(len, told))
    room = max(width - left - right - 6, 8)
    top = float(sums.max()) or 1.0
    bar = "#" if ascii_only else "█"
    lines = [
        f"{name:>{left}}  {text:>{right}}  {bar * int(np.ceil(room * float(s) / top - 1e-9))}".rstrip()
        for name, text, s in zip(names, told, sums, strict=True)
    ]
    regions_told = f"{int(last.sum())} regions"
    return "\n".join([f"Bytes by access rate at {regions.time[-1]:.4g} s, {regions_told}", *lines])
