"""One door for everything that can be a scenario."""

from __future__ import annotations

from pathlib import Path

from ..datafiles import data_path
from ..errors import InputError
from ..scenario import Scenario
from .recording import read_recording


def load(source: str | Path) -> Scenario:
    """Return the scenario in a TOML file, a recording directory, or the name of one that ships with the package.

    Parameters
    ----------
    source : str or Path
        A ``.toml`` file, a directory with a recording (``damon_config.txt``, ``layout.csv``, …), or a name such as
        ``"rfc-40-60"`` or ``"C3_pullpush_temporal"``.

    Returns
    -------
    Scenario

    Raises
    ------
    InputError
        If there is nothing of that name, or what is there is not a scenario.
    """
    path = resolve(source)
    if path.is_dir():
        return read_recording(path).to_scenario()
    if path.suffix == ".toml":
        try:
            return Scenario.from_toml(path)
        except UnicodeDecodeError as error:
            raise InputError(str(path), f"is not UTF-8 text: {error}", "save it as UTF-8") from None
        except InputError as error:
            if error.where == str(path):
                raise
            raise type(error)(f"{path}: {error.where}", error.what, error.remedy) from None
    raise InputError(str(source), "is neither a TOML scenario nor a recording directory", "give one of these")


def resolve(source: str | Path) -> Path:
    """Return the path that `source` names: itself if it exists, else the file or recording of that name in the package.

    Raises
    ------
    InputError
        If there is no such thing.
    """
    if not isinstance(source, (str, Path)) or not source:
        raise InputError("source", f"{source!r} is not a path", "give a file, or a name as text")
    path = Path(source)
    try:
        if path.exists():
            return path
    except (OSError, ValueError) as error:  # no file system takes such a name
        raise InputError(str(source), f"is no file's name: {error}", "give a file") from None
    shipped = [data_path("scenarios") / f"{source}.toml", data_path("recordings") / str(source)]
    for candidate in shipped:
        if path.name == str(source) and candidate.exists():
            return candidate
    names = sorted(p.stem for p in data_path("scenarios").glob("*.toml"))
    names += sorted(p.name for p in data_path("recordings").iterdir() if (p / "damon_config.txt").exists())
    raise InputError(str(source), "does not exist", "give a file, or one of " + ", ".join(names))
