"""Where the data that ships with the package lies: golden vectors, recordings, tables, example scenarios.

A wheel carries the folder ``data`` as ``tieringmodel/_data``; a checkout, installed editable or not, has it at its top.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path, PurePosixPath

from .checks import text
from .errors import InputError


def data_path(*parts: str) -> Path:
    """Return the path of a file or folder among the shipped data.

    Parameters
    ----------
    *parts : str
        Names below the data folder, each possibly with slashes: ``"recordings", "C3_pullpush_temporal"``.
        None gives the folder itself.

    Returns
    -------
    pathlib.Path
        An existing file or folder.

    Raises
    ------
    InputError
        If a part leaves the data folder, or nothing of that name is shipped.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.data_path("scenarios", "rfc-40-60.toml").name
    'rfc-40-60.toml'
    """
    for part in parts:
        steps = PurePosixPath(text("data_path", part))
        if steps.is_absolute() or ".." in steps.parts:
            raise InputError("data_path", f"{part!r} leads out of the data folder", "name a file below it")
    root = _root()
    path = root.joinpath(*parts)
    if not path.exists():
        known = path.parent
        while not known.is_dir():
            known = known.parent
        here = sorted(entry.name for entry in known.iterdir())
        names = (", ".join(here[:20]) + (f" and {len(here) - 20} others" if len(here) > 20 else "")) or "nothing"
        shown = "/".join(("data", *known.relative_to(root).parts))
        raise InputError("/".join(("data", *parts)), "no such shipped file", f"{shown} holds {names}")
    return path


def _root() -> Path:
    package = Path(str(files("tieringmodel")))
    inside = package / "_data"
    if inside.is_dir():
        return inside
    checkout = package.parent
    # The project file tells a checkout from a site-packages folder where some other project left a "data".
    if (checkout / "data").is_dir() and (checkout / "pyproject.toml").is_file():
        return checkout / "data"
    raise InputError("data", "the data folder is neither in the package nor beside it", "reinstall tieringmodel")
