"""Results that were written to files: one run, or several comparisons in groups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    import xarray as xr


def read_results(path: str | Path) -> list[xr.Dataset]:
    """Read what ``tieringmodel run`` and ``tieringmodel compare`` write.

    Parameters
    ----------
    path : str or Path
        ``run.nc``, ``comparison.nc``, or a folder with one of them; a name ending in ``.zarr`` is a Zarr store.

    Returns
    -------
    list of xarray.Dataset
        In memory; one run, or every comparison in the file.

    Raises
    ------
    InputError
        If there is no such file, or it holds neither.
    """
    import xarray as xr

    place = Path(path)
    if place.is_dir() and place.suffix != ".zarr":
        found = [place / name for name in ("comparison.nc", "run.nc") if (place / name).exists()]
        if not found:
            raise InputError(str(place), "holds neither comparison.nc nor run.nc", "name the file of a result")
        place = found[0]
    if not place.exists():
        raise InputError(str(place), "does not exist", "name the file of a result, such as tieringmodel-out/run.nc")
    try:
        with xr.open_datatree(place, engine="zarr" if place.suffix == ".zarr" else "h5netcdf") as tree:
            parts = [node.to_dataset().load() for node in tree.leaves]
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        text = f"cannot be read as a result: {' '.join(str(error).split())[:200]}"
        raise InputError(str(place), text, "give a file that tieringmodel wrote") from None
    for part in parts:
        if part.attrs.get("kind") not in ("simulation", "comparison"):
            kind = part.attrs.get("kind")
            raise InputError(str(place), f"holds a result of kind {kind!r}", "give one of a run or a comparison")
    return parts
