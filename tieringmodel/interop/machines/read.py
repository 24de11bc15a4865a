"""Which machine is meant: a line, a file or a folder, told by its content."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import InputError, quoted
from ...scenario import Kernel, Machine, Node
from ...scenario.scenario import read_toml
from ..documents import MAX_TEXT_BYTES, decode, read_bytes
from .line import EXAMPLE, from_line, is_line
from .lsmem import from_lsmem
from .numactl import from_numactl, is_numactl
from .zoneinfo import from_zoneinfo

FORMS = (
    f"a line such as {EXAMPLE}, TOML with a [machine], /proc/zoneinfo, numactl -H, lsmem --json, or a folder with such files"
)

_ZONEINFO = re.compile(r"\s*Node \d+, zone")


class GivenMachine(NamedTuple):
    """A machine that the user gave, and what goes with it.

    ``notes``: what was assumed or left out. ``ids``: names that its nodes go by. ``placed``: a file beside it that says
    where pages lie. ``kernel``: which Linux runs there.
    """

    machine: Machine
    notes: tuple[str, ...] = ()
    ids: Mapping[str, int] = {}
    placed: str | None = None
    kernel: Kernel | None = None


def read_machine(source: Machine | str | Path, *, allow_files: bool = False) -> GivenMachine:
    """Return the machine that the user means.

    Parameters
    ----------
    source : Machine, str or Path
        A machine; a line as for `from_line`; or a file whose content tells what it is: TOML with a ``[machine]``, the text
        of ``/proc/zoneinfo``, what ``numactl -H`` or ``lsmem --json`` print; or a folder with such files.
    allow_files : bool
        Files of a folder may be symbolic links that lead out of it.

    Raises
    ------
    InputError
        Naming the file and what is wrong in it, or if it is none of these.

    Examples
    --------
    >>> read_machine("dram=4G,cxl=2G").machine.nodes[1].start_bytes >> 30
    4
    """
    if isinstance(source, Machine):
        return GivenMachine(source)
    path, text = Path(source), str(source)
    if is_line(text) and not exists(path):
        machine, ids = from_line(text)
        return GivenMachine(machine, ids=ids)
    if not exists(path):
        raise InputError(f"--machine: {text}", "does not exist", f"give {FORMS}")
    return read_machine_file(path)


def exists(path: Path) -> bool:
    """Tell whether there is such a file or folder."""
    try:
        return path.exists()
    except (OSError, ValueError):  # no file system takes such a name
        return False


def read_machine_file(path: Path) -> GivenMachine:
    """Return the machine that one file describes.

    Raises
    ------
    InputError
        Naming the file and what is wrong in it.
    """
    if path.suffix == ".toml":
        return GivenMachine(_of_toml(path))
    where, text = str(path), decode(read_bytes(path, MAX_TEXT_BYTES), str(path))
    if _ZONEINFO.match(text):
        return GivenMachine(_of_nodes(from_zoneinfo(text, where), where))
    if is_numactl(text):
        return GivenMachine(*from_numactl(text, where))
    if text.lstrip().startswith("{"):
        return GivenMachine(_of_nodes(from_lsmem(text, where), where))
    if re.search(r"^\s*\[+machine\b", text, re.MULTILINE):
        return GivenMachine(_of_toml(path))
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    raise InputError(where, f"begins with {quoted(first)} and describes no machine", f"give {FORMS}")


def _of_nodes(nodes: tuple[Node, ...], where: str) -> Machine:
    try:
        return Machine(nodes)
    except InputError as error:
        raise InputError(f"{where}: {error.where}", error.what, error.remedy) from None


def _of_toml(path: Path) -> Machine:
    return Machine.from_dict(toml_part(path, "machine"), f"{path}: machine")


def toml_part(path: Path, name: str) -> dict[str, Any]:
    """Return the table `name` of a TOML file, which may hold a whole scenario.

    Raises
    ------
    InputError
        If the file is not readable TOML or has no such table.
    """
    part = read_toml(path).get(name)
    if not isinstance(part, dict):
        raise InputError(str(path), f"has no [{name}]", f"add the table, as in a scenario's [{name}]")
    return part
