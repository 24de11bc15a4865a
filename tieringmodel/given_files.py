"""Which files may be read: those that the user named, and of what these name themselves only what lies beside them."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import InputError, quoted

LIFT = "copy it there, or allow it: --allow-files, allow_files=True"


def inside(folder: Path, name: str | Path, where: str, *, allow_files: bool = False, remedy: str = LIFT) -> Path:
    """Return ``folder / name``, a file that a document or a listing named and not the user.

    Parameters
    ----------
    folder : Path
        The folder that the user named, or that of the file that the user named.
    name : str or Path
        The file, relative to the folder or not.
    where : str
        Who named it, for the message.
    allow_files : bool
        Any file will do.
    remedy : str
        What to do where it is refused.

    Raises
    ------
    InputError
        If it lies outside of the folder once symbolic links are followed.
    """
    path = folder / name
    try:
        below = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    except ValueError as error:  # no file system takes such a name
        raise InputError(where, f"{quoted(str(name))} names no file ({error})", "write the name of a file") from None
    if not (below or allow_files):
        raise InputError(where, f"{quoted(str(name))} leads out of {folder}, and nobody asked for it", remedy)
    return path


def folders(folder: Path) -> list[Path]:
    """Return a folder and those in it, in order.

    Raises
    ------
    InputError
        If one is a symbolic link that leads out.
    """
    below = sorted(p for p in folder.iterdir() if p.is_dir())
    return [folder, *(inside(folder, p.name, str(p), remedy="name that folder itself") for p in below)]
