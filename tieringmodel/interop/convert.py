"""Write a scenario in the form that a file name asks for."""

from __future__ import annotations

import warnings
from pathlib import Path

from ..atomic import replacing
from ..checks import file_name
from ..errors import InputError, printable
from ..scenario import Kernel, Machine, Scenario, Workload
from .load import Loaded, open_scenario

FORMS = {
    ".toml": "the scenario, defaults left out",
    ".json": "damo's parameters",
    ".sh": "writes to DAMON's sysfs files",
    ".damo": "a damo start command",
}


def converted(loaded: Loaded, suffix: str, *, pid: int | None = None) -> tuple[str, tuple[str, ...]]:
    """Return a scenario as text, and what of it the text does not say.

    Parameters
    ----------
    loaded : Loaded
        What to write.
    suffix : str
        ``".toml"`` (everything), ``".json"``, ``".sh"`` or ``".damo"`` (the contexts only).
    pid : int, optional
        Process of every virtual target whose process is not known.

    Returns
    -------
    text : str
        Content of the file.
    notes : tuple of str
        What is left behind, one sentence each; ``.sh`` and ``.damo`` hold them as comments too.

    Raises
    ------
    InputError
        For an unknown suffix, or what the form cannot say: the RFC's metric, clamps and so on outside of TOML.
    """
    if suffix == ".toml":
        return loaded.scenario.to_toml(), ()
    if suffix not in FORMS:
        raise InputError(f"*{suffix}", "is no form that can be written", "end the name in " + ", ".join(FORMS))
    from .damo.values import DROPS_NID
    from .damo.write import PINNED, damo_command, damo_text
    from .sysfs.portable import portable
    from .sysfs.write import sysfs_script

    scenario = loaded.scenario
    pids = loaded.pids or tuple((0,) * len(c.targets) for c in scenario.contexts)
    if pid is not None:
        pids = tuple(tuple(p or pid for p in row) for row in pids)
    for_linux = portable(scenario, memcg_paths=loaded.memcg_paths, pids=pids)
    notes = [*for_linux.marks, f"{suffix} holds the contexts only, neither machine nor workload"]
    if suffix == ".sh":
        return sysfs_script(for_linux, scenario.name), tuple(notes)
    if suffix == ".damo":
        return damo_command(for_linux), tuple(notes)
    if any(g.metric == DROPS_NID and g.nid for c in for_linux.contexts for s in c.schemes for g in s.quota.goals):
        notes.append(f"damo {PINNED} keeps the nid of {DROPS_NID} in its files; its command line drops it")
    return damo_text(for_linux), tuple(notes)


def write_converted(loaded: Loaded, target: Path, *, pid: int | None = None) -> tuple[str, ...]:
    """Write a scenario to a file in the form of its suffix; return what the file does not say.

    Parameters
    ----------
    loaded : Loaded
        What to write.
    target : Path
        Replaced if it exists. A ``.sh`` script is made executable.
    pid : int, optional
        As for `converted`.

    Raises
    ------
    InputError
        As `converted`; nothing is written then.
    """
    if not target.suffix:
        raise InputError(str(target), "has no suffix that tells the form", "end the name in " + ", ".join(FORMS))
    text, notes = converted(loaded, target.suffix, pid=pid)
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
        if target.suffix == ".sh":
            temporary.chmod(0o755)
    return notes


def convert(
    source: Scenario | str | Path,
    target: str | Path,
    *,
    machine: Machine | str | Path | None = None,
    workload: Workload | str | Path | None = None,
    kernel: Kernel | str | None = None,
    pid: int | None = None,
    allow_files: bool = False,
) -> Path:
    """Write a scenario in another form: damo's parameters, a damo line, a script of sysfs writes, TOML.

    Parameters
    ----------
    source : Scenario, str or Path
        A scenario, or whatever `load` takes.
    target : str or Path
        The file to write; its suffix says the form: ``.toml``, ``.json``, ``.sh``, ``.damo``.
    machine, workload, kernel, allow_files
        As for `load`.
    pid : int, optional
        Process of every virtual target whose process is not known.

    Returns
    -------
    Path
        The file.

    Warns
    -----
    UserWarning
        With everything that was assumed on the way in, or that the form does not say.

    Raises
    ------
    InputError
        If the source cannot be read, the suffix is unknown, or the form cannot say what the scenario needs.

    Examples
    --------
    >>> import warnings
    >>> import tieringmodel as tm
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     tm.convert("rfc-40-60", "setup.sh").read_text().splitlines()[0]
    '#!/bin/sh'
    """
    if isinstance(source, Scenario):
        loaded = Loaded(source)
    else:
        loaded = open_scenario(source, machine=machine, workload=workload, kernel=kernel, allow_files=allow_files)
    path = file_name("target", target)
    notes = (*loaded.notes, *write_converted(loaded, path, pid=pid))
    if notes:
        warnings.warn(printable("; ".join(notes)), stacklevel=2)
    return path
