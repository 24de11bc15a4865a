"""Results that were written to files: one run, a sweep, or several comparisons in groups."""

from __future__ import annotations

import lzma
import os
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..given_files import inside
from .attributes import check_attributes
from .foreign import check_result

if TYPE_CHECKING:
    import xarray as xr

BROKEN_ARCHIVE = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, RuntimeError, SyntaxError, TypeError, ValueError,
    lzma.LZMAError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What ``numpy.load`` was seen or read to raise for an ``.npz`` whose bytes are wrong, beside OSError; of xarray's readers
some of it."""


def read_results(path: str | Path) -> list[xr.Dataset]:
    """Return the datasets in a file or folder that ``tieringmodel run``, ``compare``, ``sweep`` or ``tune`` wrote.

    Parameters
    ----------
    path : str or Path
        A run's file, ``comparison.nc``, a sweep's store or file; a name ending in ``.zarr`` is a Zarr store. Of a folder,
        the newest result in it.

    Returns
    -------
    list of xarray.Dataset
        In memory; one run, one sweep (finished or not), or every comparison in the file.

    Raises
    ------
    InputError
        If there is no such file, it holds none of them, it names other files or code or claims more numbers than there is room
        for (see `check_result`), its attributes are not those of a result (see `check_attributes`), or a newer version of the
        package wrote it in a schema of its own.
    """
    import xarray as xr

    place = results_below(path)[0]
    try:
        check_result(place)
        with xr.open_datatree(place, engine="zarr" if place.suffix == ".zarr" else "h5netcdf") as tree:
            for node in tree.leaves:
                check_attributes(node.attrs, str(place))
            return [node.to_dataset().load() for node in tree.leaves]
    except InputError:
        raise
    except (OSError, *BROKEN_ARCHIVE) as error:
        text = f"cannot be read as a result: {' '.join(str(error).split())[:100]}"
        raise InputError(str(place), text, "give a file that tieringmodel wrote") from None


def results_below(path: str | Path) -> list[Path]:
    """Return the results that a path names: itself, or those in a folder, the newest first.

    Raises
    ------
    InputError
        If there is none, or one is a symbolic link that leads out of the folder.
    """
    place = Path(path)
    if not place.exists():
        raise InputError(str(place), "does not exist", "name the file of a result, such as tieringmodel-out/latest.nc")
    if not place.is_dir() or place.suffix == ".zarr":
        return [place]
    note = place / "latest.txt"
    names = ["comparison.nc", "tuning.nc", "latest.nc", "run.nc", *sorted(p.name for p in place.glob("*.zarr"))]
    names += [note.read_text(encoding="utf-8", errors="replace").strip()] if note.is_file() else []
    paths = {_target(inside(place, name, str(place / name), remedy="name it itself")) for name in names if name}
    paths = {path for path in paths if path.exists()}
    if not paths:
        raise InputError(str(place), "holds neither a run nor a comparison nor a sweep's store", "name the file of a result")
    return sorted(paths, key=_written_ns, reverse=True)


def _target(path: Path) -> Path:
    """Return the name of what a link beside its target leads to, for it says more; any other path as it is."""
    return path.with_name(os.readlink(path)) if path.is_symlink() and os.sep not in os.readlink(path) else path


def _written_ns(result: Path) -> int:
    """Return when a file, or the last file of a store, was written."""
    parts = [p for p in result.rglob("*") if p.is_file()] if result.is_dir() else []
    return max((p.stat().st_mtime_ns for p in (*parts, result)), default=0)
