"""A sweep as a table: one row per setting, verdicts and means over its seeds; and the command that makes it again."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import printable
from ..plot.sweeps import short
from ..units import format_bytes

if TYPE_CHECKING:
    import xarray as xr

MOST_ROWS = 20
SHOWN = {
    "settling_s": "settling s",
    "share_mean_bp": "mean bp",
    "share_sd_bp": "sd bp",
    "overshoot_bp": "overshoot bp",
    "residual_mib_s": "MiB/s",
    "ping_pong": "ping-pong",
}
MOST_MEASURES = 8


def asked(ds: xr.Dataset) -> dict[str, Any]:
    """Return the arguments that a sweep was called with, besides scenario and design."""
    found: dict[str, Any] = json.loads(str(ds.attrs["parameters"]))
    return found


def measures_of(ds: xr.Dataset) -> list[str]:
    """Return the measures that a table shows: the usual ones, or of a measure of one's own the first numbers."""
    if not asked(ds).get("measure"):
        return [*SHOWN]
    dims = ds["done"].dims
    return [str(n) for n in ds.data_vars if n != "done" and ds[n].dims == dims and ds[n].dtype.kind in "biuf"][:MOST_MEASURES]


def rows(ds: xr.Dataset) -> tuple[list[str], list[list[Any]]]:
    """Return a row for each setting.

    Parameters
    ----------
    ds : xarray.Dataset
        From `tieringmodel.sweep`.

    Returns
    -------
    paths : list of str
        The coordinates that begin every row.
    rows : list of list
        Values of the coordinates, verdicts with their counts, and the mean over the seeds that did not fail of each
        of `measures_of`.
    """
    dims = [str(d) for d in ds["done"].dims if d != "seed"]
    axes = {d: [str(c) for c in ds.coords if ds[c].dims == (d,)] for d in dims}
    shown = measures_of(ds)
    out = []
    for at in np.ndindex(*(ds.sizes[d] for d in dims)):
        place = dict(zip(dims, map(int, at), strict=True))
        point = ds.isel(place)
        ran, ok = np.atleast_1d(point["done"].values).astype(bool), np.atleast_1d(point["error"].values == "")
        good = ran & ok
        kinds = Counter(np.atleast_1d(point["kind"].values)[good].tolist()) if "kind" in ds else Counter()
        kinds["failed"], kinds["not run yet"] = int((ran & ~ok).sum()), int((~ran).sum())
        told = ", ".join(k if n == ok.size else f"{k} {n}" for k, n in kinds.most_common() if n)
        means = [float(np.mean(np.atleast_1d(point[name].values)[good])) if good.any() else float("nan") for name in shown]
        out.append([*(point[c].values.item() for d in dims for c in axes[d]), told, *means])
    return [c for d in dims for c in axes[d]], out


def cells(ds: xr.Dataset, most: int) -> tuple[list[str], list[list[str]], int]:
    """Return headings, the first `most` rows as text, and how many rows there are."""
    paths, found = rows(ds)
    shown = [list(row) for row in found[:most]]
    for k, path in enumerate(paths):
        if path.endswith("_bytes") or ds[path].attrs.get("units") == "bytes":  # a named axis says it so
            for row in shown:
                row[k] = format_bytes(row[k])
    heads = [*short(paths), "verdict", *(SHOWN.get(name, name) for name in measures_of(ds))]
    return heads, [[_cell(c) for c in row] for row in shown], len(found)


def table(ds: xr.Dataset) -> str:
    """Return a short table of a sweep as plain text."""
    heads, shown, total = cells(ds, MOST_ROWS)
    widths = [max(map(len, column)) for column in zip(heads, *shown, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in (heads, *shown)]
    if total > MOST_ROWS:
        lines.append(f"… and {total - MOST_ROWS} more")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value))


def command(ds: xr.Dataset, scenario: str = "scenario.toml") -> str:
    """Return the command line that makes a sweep again from its scenario; empty if no command line can say it."""
    words = ["tieringmodel", "sweep", scenario]
    axes = json.loads(str(ds.attrs["design"]))
    own = any(asked(ds).get(name) for name in ("measure", "what", "series"))
    if own or sum(len(axis["columns"]) > 1 for axis in axes) > 1:
        return ""
    for axis in axes:
        option = "--grid" if len(axis["columns"]) == 1 else "--zip"
        for path, values in axis["columns"].items():
            if any(not isinstance(v, (str, int, float)) or "," in str(v) or v == "" for v in values):
                return ""
            texts = [v if isinstance(v, str) else json.dumps(v) for v in values]
            words += ["--seeds", str(len(values))] if _counted(path, values, option) else [option, f"{path}={','.join(texts)}"]
    if "seed" in ds.attrs:
        words += ["--seed", str(ds.attrs["seed"])]
    return shlex.join([*words, "--duration", f"{float(ds.attrs['duration_s']):g} s"])


def _counted(path: str, values: list[Any], option: str) -> bool:
    return path == "seed" and option == "--grid" and values == [*range(len(values))]
