"""Modules of one's own that register metrics, tuners, policies, hotness sources, lint rules: found, loaded, told to workers.

A plug-in is a module; importing it registers what it brings. Installed packages offer theirs as entry points of `GROUP`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path

from .errors import InputError, TieringError

GROUP = "tieringmodel.plugins"
OWN_TOO = "; one's own are known after --plugin FILE.py, or once they are registered"
"""What a list of known names says besides."""
_loaded: dict[str, str] = {}
_asked = False


def load_plugin(name: str | Path) -> None:
    r"""Import a plug-in, so that what it registers is known here, and in every process that works for this one.

    Parameters
    ----------
    name : str or Path
        A file ``*.py``, or the name of a module. Loaded once, however often it is named.

    Raises
    ------
    InputError
        If there is no such module, or it fails while it is imported.

    Examples
    --------
    >>> from pathlib import Path
    >>> import tieringmodel as tm
    >>> text = "import tieringmodel as tm\ntm.register_tuner('halve', lambda score, esz_bp: esz_bp // 2)\n"
    >>> _ = Path("mine.py").write_text(text)
    >>> tm.load_plugin("mine.py")
    >>> tm.Quota(goal_tuner="halve").goal_tuner
    'halve'
    >>> tm.unregister_tuner("halve")
    """
    given = str(name)
    path = Path(given)
    is_file = path.suffix == ".py"
    key = str(path.absolute()) if is_file else given
    if key in _loaded:
        return
    where = f"plug-in {given}"
    if is_file and not path.is_file():
        raise InputError(where, "does not exist", "give a file *.py, or the name of a module")
    _loaded[key] = module = f"tieringmodel_plugin_{hashlib.sha256(key.encode()).hexdigest()[:12]}" if is_file else given
    try:
        if not is_file:
            importlib.import_module(module)
            return
        spec = importlib.util.spec_from_file_location(module, key)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[module] = made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
    except BaseException as error:
        _loaded.pop(key, None)
        sys.modules.pop(module, None) if is_file else None
        if isinstance(error, ModuleNotFoundError) and error.name == given.partition(".")[0]:
            raise InputError(where, "is no module that can be imported", "give the file, or install its package") from None
        if isinstance(error, TieringError):
            raise InputError(where, str(error), "correct it") from None
        if not isinstance(error, Exception):
            raise
        raise InputError(where, f"fails while it is imported: {type(error).__name__}: {error}", "correct it") from error


def load_installed() -> None:
    """Load the plug-ins that installed packages offer; looked for once in a process.

    Raises
    ------
    InputError
        If one fails while it is imported.
    """
    global _asked
    if _asked:
        return
    _asked = True
    from importlib.metadata import entry_points

    for entry in entry_points(group=GROUP):
        load_plugin(entry.module)


def loaded() -> tuple[str, ...]:
    """Return the plug-ins that were loaded, in order: names of modules and absolute paths of files."""
    return tuple(_loaded)
