"""Which kernel wrote it: ``/proc/version`` beside a dump of sysfs or in a recording's directory."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import InputError, quoted
from ..given_files import inside
from ..scenario import Kernel
from ..scenario.linux import MAINLINE, NAMES, SHORT
from ..scenario.rules import RULES
from .documents import opened

FILES = ("proc/version", "version", "version.txt")
"""Where the text is looked for, below a directory."""
_MOST_BYTES = 1024
_RELEASE = re.compile(r"(?:Linux (?:version |(?=\d)|(?!version )\S{1,64} ))?(\d{1,4}\.\d{1,4})(?:\.(\d{1,4}))?(?!\d)")


def kernel_of(text: str, where: str) -> tuple[Kernel, tuple[str, ...]]:
    """Return the kernel whose rules stand for a release, and a note where that has no record of its own.

    Parameters
    ----------
    text : str
        ``"Linux version 6.12.117+deb13-amd64 …"`` or what ``uname -r``, ``-sr`` or ``-a`` print.
    where : str
        Where it was read, for messages.

    Raises
    ------
    InputError
        If no kernel of its line is modelled.
    """
    found = _RELEASE.match(text.strip())
    if not found:
        raise InputError(where, f"{quoted(text.strip())} names no kernel", "write 'Linux version 6.12.117 …', or give --kernel")
    line, patch = found[1], found[2]
    release = line if patch is None else f"{line}.{patch}"
    if release in NAMES and line not in MAINLINE:
        return Kernel(release), ()
    if line in MAINLINE:
        return Kernel(line), (f"{where}: Linux {release} has no record: mainline rules of {line} are used, no vectors",)
    if line not in SHORT:
        remedy = f"name one that is to stand for it: --kernel NAME, one of {', '.join(NAMES)}"
        raise InputError(where, f"Linux {release} is not modelled, nor is another kernel of its line", remedy)
    return Kernel(SHORT[line]), (f"{where}: Linux {release} has no record: {_instead(line, int(patch or 0))}",)


def _instead(line: str, patch: int) -> str:
    """Return which rules are used, and what is known to differ."""
    near = SHORT[line]
    known = int(near.rpartition(".")[2])
    point = re.compile(rf"\b{re.escape(line)}\.(\d+)(?! or before)\b")
    took = [(rule.switch, point.search(f"{rule.since}, {rule.backports}")) for rule in RULES]
    lacks = [f"{switch} ({line}.{at[1]})" for switch, at in took if at and patch < int(at[1]) <= known]
    if lacks:
        return f"the rules of {near} are used, which took since then {', '.join(lacks)}"
    return f"the rules of {near}, the nearest of its line, are used" + (
        "; what it took later is not known" if patch > known else ""
    )


def beside(source: Path, *, allow_files: bool = False) -> tuple[Kernel, tuple[str, ...]] | None:
    """Return the kernel that a text in a directory, or beside a file or a directory, names; None if there is no such text.

    Parameters
    ----------
    source : Path
        A dump of sysfs or a recording. What ends in ``sys/kernel/mm/damon/admin`` lies beside the directory that holds
        ``sys``. Beside a source, a text counts if it begins as ``/proc/version`` does.
    allow_files : bool
        The text may be a symbolic link that leads out of the directory.

    Raises
    ------
    InputError
        If the text names no kernel, or one that is not modelled.
    """
    for name in FILES if source.is_dir() else ():
        if (source / name).is_file():
            path = inside(source, name, str(source / name), allow_files=allow_files)
            return kernel_of(_beginning(path), str(path))
    around = _around(source.absolute())
    for path in (around / name for name in FILES) if around else ():
        if path.is_file() and (text := _beginning(path)).startswith("Linux version "):
            return kernel_of(text, str(path))
    return None


def read_kernel(path: Path) -> tuple[Kernel, tuple[str, ...]]:
    """Return the kernel that a file's text names, and notes: see `kernel_of`.

    Raises
    ------
    InputError
        If it names none, or one that is not modelled.
    """
    return kernel_of(_beginning(path), str(path))


def _beginning(path: Path) -> str:
    with opened(path) as stream:
        return stream.read(_MOST_BYTES).decode("utf-8", "replace")


def _around(source: Path) -> Path | None:
    """Return the directory in which a source lies; None where that is this machine's own and the source a copy."""
    folder = source
    for name in ("admin", "damon", "mm", "kernel", "sys"):
        folder = folder.parent if folder.name == name else folder
    folder = folder if folder != source else folder.parent
    return None if folder == folder.parent and source.parts[1:2] != ("sys",) else folder
