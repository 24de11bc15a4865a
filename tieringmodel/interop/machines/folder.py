"""A folder of texts that ``scripts/collect.sh`` gathers: which of them says what, told by content."""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import InputError
from ...given_files import inside
from ..documents import opened
from .numactl import is_numactl

_MOST_FILES = 256
_HEAD_BYTES = 1 << 16
_LOOKS = (
    ("zoneinfo", re.compile(r"\A\s*Node \d+, zone")),
    ("lsmem", re.compile(r'\A\s*\{\s*"memory"')),
    ("numa_maps", re.compile(r"\A[0-9a-f]{4,16} (?:default|bind|interleave|prefer|local|weighted|\?)")),
    ("numastat", re.compile(r"^[ \t]+Node 0\b.*\n[ \t-]+\n(?:.*\n){0,200}?(?:Total|AnonPages)[ \t]", re.MULTILINE)),
    ("kernel", re.compile(r"\ALinux (?:version )?\S")),
    ("damon", re.compile(r"^(?:.*/)?(?:nr_kdamonds|avail_operations|operations)[ :]", re.MULTILINE)),
    ("machine", re.compile(r"^[ \t]*\[+machine\b", re.MULTILINE)),
)


def looks_like(text: str) -> str:
    """Return what a text of a machine is: ``"zoneinfo"``, ``"numactl"``, …, or "" if it says nothing of one."""
    return "numactl" if is_numactl(text) else next((kind for kind, form in _LOOKS if form.search(text)), "")


def sorted_out(folder: Path, *, allow_files: bool = False) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Return the files of a folder by what they say, and the names of those that say nothing of a machine.

    Parameters
    ----------
    folder : Path
        What lies in folders below it is not looked at.
    allow_files : bool
        Files may be symbolic links that lead out of it.

    Raises
    ------
    InputError
        If two files say the same, or there are too many.
    """
    names = sorted(p.name for p in folder.iterdir() if p.is_file())
    if len(names) > _MOST_FILES:
        raise InputError(str(folder), f"holds {len(names)} files", "name the one that describes the machine")
    found: dict[str, Path] = {}
    other = []
    for name in names:
        path = inside(folder, name, str(folder / name), allow_files=allow_files)
        with opened(path) as stream:
            kind = looks_like(stream.read(_HEAD_BYTES).decode("utf-8", "replace"))
        if kind in found and kind != "kernel":
            text = f"{found[kind].name} and {name} both look like {kind}"
            raise InputError(str(folder), text, "take one away, or name the file itself")
        if kind:
            found.setdefault(kind, path)
        else:
            other.append(name)
    return found, tuple(other)


def is_collected(folder: Path, *, allow_files: bool = False) -> Path | None:
    """Return the dump of DAMON's sysfs tree in a folder that describes a machine, too; None if it is no such folder.

    Raises
    ------
    InputError
        If it describes a machine alone, or as `sorted_out`.
    """
    if not any((folder / name).is_file() for name in ("damon.txt", "zoneinfo.txt", "lsmem.json", "numactl.txt")):
        return None
    found, _ = sorted_out(folder, allow_files=allow_files)
    if not found.keys() & {"zoneinfo", "lsmem", "numactl"}:
        return None
    if "damon" not in found:
        remedy = f"give a scenario and --machine {folder}, or run collect.sh as root where DAMON is set up"
        raise InputError(str(folder), "describes a machine and nothing that DAMON does", remedy)
    return found["damon"]
