"""Results that were written to files: one run, a sweep, or several comparisons in groups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    import xarray as xr

KINDS = ("simulation", "comparison", "sweep")

def read_results(path: str | Path) -> list[xr.Dataset]:
    """Read what ``tieringmodel run``, ``compare`` and ``sweep`` write.

    Parameters
    ----------
    path : str or Path
        ``run.nc``, ``comparison.nc``, a sweep's store or file, or a folder with one of them, looked for in the order
        comparison, run, sweep; a name ending in ``.zarr`` is a Zarr store.

    Returns
    -------
    list of xarray.Dataset
        In memory; one run, one sweep (finished or not), or every comparison in the file.

    Raises
    ------
    InputError
        If there is no such file, it holds none of them, or a folder holds several sweeps.
    """
    import xarray as xr

    place = Path(path)
    if place.is_dir() and place.suffix != ".zarr":
        place = _in_folder(place)
    if not place.exists():
        raise InputError(str(place), "does not exist", "name the file of a result, such as tieringmodel-out/run.nc")
    try:
        with xr.open_datatree(place, engine="zarr" if place.suffix == ".zarr" else "h5netcdf") as tree:
            parts = [node.to_dataset().load() for node in tree.leaves]
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        text = f"cannot be read as a result: {' '.join(str(error).split())[:200]}"
        raise InputError(str(place), text, "give a file that tieringmodel wrote") from None
    for part in parts:
        if part.attrs.get("kind") not in KINDS:
            kind = part.attrs.get("kind")
            raise InputError(str(place), f"holds a result of kind {kind!r}", "give a run, a comparison or a sweep")
    return parts


def _in_folder(folder: Path) -> Path:
    """Return the result in a folder."""
    for name in ("comparison.nc", "run.nc"):
        if (folder / name).exists():
            return folder / name
    stores = sorted(folder.glob("*.zarr"))
    if not stores:
        raise InputError(str(folder), "holds neither comparison.nc nor run.nc nor a sweep's store", "name the file of a result")
    if len(stores) > 1:
        raise InputError(str(folder), f"holds {len(stores)} stores", "name one: " + ", ".join(map(str, stores[:5])))
    return stores[0]
