"""Figures without a window: one by name, or all of a comparison in a folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from ..atomic import replacing
from ..checks import file_name
from ..errors import InputError
from . import flows, run, shares, snapshots, sweeps, tuning, windows, workload
from .style import Sheet

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

DPI = 150
LONGEST_STEM = 120
"""Characters of a file's name that come from a scenario's; file systems take 255 for all of a name."""


class Kind(NamedTuple):
    """A figure: its function and the sheet that it needs for a dataset."""

    draw: Callable[..., Any]
    sheet: Sheet | Callable[..., Sheet]


KINDS = {
    "share": Kind(shares.share, shares.SHARE_SHEET),
    "share_panels": Kind(shares.share_panels, shares.panels_sheet),
    "migration_rate": Kind(flows.migration_rate, flows.RATE_SHEET),
    "regions": Kind(snapshots.heatmap, snapshots.heatmap_sheet),
    "summary": Kind(flows.summary, flows.summary_sheet),
    "esz": Kind(run.esz, run.ESZ_SHEET),
    "occupancy": Kind(run.occupancy, run.OCCUPANCY_SHEET),
    "closed_loop": Kind(workload.closed_loop, workload.LOOP_SHEET),
    "course": Kind(windows.course, windows.COURSE_SHEET),
    "returns": Kind(windows.returns, windows.RETURNS_SHEET),
    "spectrum": Kind(windows.spectrum, windows.SPECTRUM_SHEET),
    "sweep_map": Kind(sweeps.sweep_map, sweeps.sweep_sheet),
    "tuning_front": Kind(tuning.tuning_front, tuning.FRONT_SHEET),
    "tuning_margins": Kind(tuning.tuning_margins, tuning.margins_sheet),
}
OF_A_COMPARISON = ("share", "share_panels", "migration_rate", "regions", "summary")


def figure(name: str, ds: xr.Dataset, **options: Any) -> Figure:
    """Return a figure that pyplot does not know, for writing it to a file.

    Parameters
    ----------
    name : str
        One of ``share``, ``share_panels``, ``migration_rate``, ``regions``, ``summary``, ``esz``, ``occupancy``,
        ``closed_loop``, ``course``, ``returns``, ``spectrum``, ``sweep_map``, ``tuning_front``, ``tuning_margins``.
    ds : xarray.Dataset
        What to draw.
    **options
        Keyword arguments of the figure's function.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    InputError
        If the name is unknown or the dataset does not fit.
    """
    if name not in KINDS:
        raise InputError("name", f"{name!r} is no figure", "known: " + ", ".join(KINDS))
    kind = KINDS[name]
    wanted = options if kind.draw is snapshots.heatmap else {}  # how many axes it needs depends on them
    made, axes = (kind.sheet if isinstance(kind.sheet, Sheet) else kind.sheet(ds, **wanted)).figure()
    kind.draw(ds, ax=axes if axes.size > 1 else axes[0], **options)
    return made


def has_regions(ds: xr.Dataset) -> bool:
    """Return whether there is a region snapshot to draw: one with regions that do not all look alike."""
    if "region_count" not in ds or not (ds["region_count"] > 0).any():
        return False
    return varies(ds["region_nr_accesses"].values.astype(float))


def varies(values: npt.NDArray[Any], axis: int = 0) -> bool:
    """Return whether a series holds different values along an axis; one that is flat or empty is no figure."""
    known = np.asarray(values, float)
    if not known.shape[axis]:
        return False
    low, high = np.fmin.reduce(known, axis=axis), np.fmax.reduce(known, axis=axis)
    return bool((high > low).any())


def drawn(cmp: xr.Dataset) -> list[str]:
    """Return the figures of a comparison that show something."""
    shows = {
        "share": lambda: varies(cmp["share_bp"].values, axis=1),
        "share_panels": lambda: varies(cmp["share_bp"].values, axis=1),
        "migration_rate": lambda: bool((np.nan_to_num(cmp["migrated_mib_s"].values) > 0).any()),
        "regions": lambda: has_regions(cmp),
    }
    return [name for name in OF_A_COMPARISON if name not in shows or shows[name]()]


def slug(text: str) -> str:
    """Return a name that every file system takes."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower() or "comparison"
    return plain if len(plain) <= LONGEST_STEM else f"{plain[:LONGEST_STEM]}-{crc32(text.encode(errors='surrogatepass')):08x}"


def save_figures(cmp: xr.Dataset, folder: str | Path) -> list[Path]:
    """Write the figures of a comparison as PNG files.

    Parameters
    ----------
    cmp : xarray.Dataset
        A comparison; its ``name`` attribute begins the files' names.
    folder : str or Path
        Is made if it does not exist.

    Returns
    -------
    list of Path
        ``<name>-share.png``, ``-migration_rate.png``, ``-regions.png``, ``-summary.png``; what is flat or empty is not drawn.

    Raises
    ------
    InputError
        If the folder is a file, or the dataset does not fit.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> cmp = tm.compare({"goals": tm.load("rfc-40-60")}, duration="3 s", seed=1)
    >>> [path.name for path in tm.plot.save_figures(cmp, "figures")]
    ['rfc-40-60-share.png', 'rfc-40-60-migration_rate.png', 'rfc-40-60-regions.png', 'rfc-40-60-summary.png']
    """
    paths = files_of(cmp, folder)
    for name, path in paths.items():
        save_png(figure(name, cmp), path)
    return [*paths.values()]


def drawn_of_tuning(ds: xr.Dataset) -> list[str]:
    """Return the figures of a tuning that show something."""
    shows = {"tuning_front": bool(ds.sizes["measure"]), "tuning_margins": bool(tuning.answer_of(ds)["margins"])}
    return [name for name, there in shows.items() if there]


def save_tuning(ds: xr.Dataset, folder: str | Path) -> list[Path]:
    """Write the figures of a tuning as PNG files; return them.

    Parameters
    ----------
    ds : xarray.Dataset
        Of kind "tuning".
    folder : str or Path
        Is made if it does not exist.
    """
    place, paths = made_folder(folder), []
    for name in drawn_of_tuning(ds):
        paths.append(place / f"{name}.png")
        save_png(figure(name, ds), paths[-1])
    return paths


def made_folder(folder: str | Path) -> Path:
    """Return a folder that is there afterwards.

    Raises
    ------
    InputError
        If it is a file.
    """
    place = file_name("folder", folder)
    if place.exists() and not place.is_dir():
        raise InputError("folder", f"{place} is a file", "name a folder")
    place.mkdir(parents=True, exist_ok=True)
    return place


def files_of(cmp: xr.Dataset, folder: str | Path) -> dict[str, Path]:
    """Return where `save_figures` puts which figure; the folder is there afterwards."""
    place = made_folder(folder)
    prefix = slug(str(cmp.attrs.get("name", "")))
    return {name: place / f"{prefix}-{name}.png" for name in drawn(cmp) if name != "share_panels"}


def lay_out(made: Figure) -> None:
    """Put everything in its place for good: as often as it is written afterwards, it is drawn once, and not laid out anew."""
    engine, dpi = made.get_layout_engine(), made.dpi
    if engine is not None:
        made.dpi = DPI
        engine.execute(made)
        made.dpi = dpi
        made.set_layout_engine(None)


def save_png(made: Figure, path: Path, **options: Any) -> None:
    """Write a figure to a PNG file; options are those of its ``savefig``."""
    lay_out(made)
    with replacing(path) as temporary:
        made.savefig(temporary, dpi=DPI, format="png", **options)
