"""Which machine is meant: a line, a file or a folder, told by its content."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import InputError, quoted
from ...scenario import Machine, Node
from ...scenario.scenario import read_toml
from ..documents import MAX_TEXT_BYTES, decode, read_bytes
from .folder import looks_like, sorted_out
from .line import EXAMPLE, from_line, is_line
from .lsmem import from_lsmem
from .numactl import from_numactl
from .zoneinfo import from_zoneinfo

FORMS = (
    f"a line such as {EXAMPLE}, TOML with a [machine], /proc/zoneinfo, numactl -H, lsmem --json, or a folder with such files"
)


class GivenMachine(NamedTuple):
    """A machine that the user gave, and what goes with it.

    ``notes``: what was assumed or left out. ``ids``: names that its nodes go by. ``placed``: a file beside it that says
    where pages lie. ``kernel``: a file that says which Linux runs there.
    """

    machine: Machine
    notes: tuple[str, ...] = ()
    ids: Mapping[str, int] = {}
    placed: str | None = None
    kernel: Path | None = None


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
    if not isinstance(source, (str, Path)) or not str(source).strip():
        raise InputError("--machine", f"{quoted(source)} names nothing", f"give {FORMS}")
    path, text = Path(source), str(source)
    if is_line(text) and not exists(path):
        machine, ids = from_line(text)
        return GivenMachine(machine, ids=ids)
    if not exists(path):
        raise InputError(f"--machine: {text}", "does not exist", f"give {FORMS}")
    return _read_folder(path, allow_files) if path.is_dir() else _read_file(path)


def _read_folder(folder: Path, allow_files: bool) -> GivenMachine:
    """Return the machine that a folder's files describe together: each is asked what it knows best."""
    found, other = sorted_out(folder, allow_files=allow_files)
    source = next((kind for kind in ("machine", "zoneinfo", "lsmem", "numactl") if kind in found), None)
    if source is None:
        raise InputError(
            str(folder), "holds no file that describes a machine", "fill it with scripts/collect.sh, or name a file"
        )
    given = _read_file(found[source])
    notes = [*given.notes]
    if source == "zoneinfo" and "lsmem" in found:
        blocks = from_lsmem(_text(found["lsmem"]), str(found["lsmem"]))
        given, said = _in_blocks(given, blocks, found)
        notes.append(said)
    if other:
        notes.append(
            f"{folder}: nothing about a machine is read from {', '.join(other[:4])}{' and others' if other[4:] else ''}"
        )
    placed = next((str(found[kind]) for kind in ("numa_maps", "numastat") if kind in found), None)
    return given._replace(notes=tuple(notes), placed=placed, kernel=found.get("kernel"))


def _in_blocks(given: GivenMachine, blocks: tuple[Node, ...], found: Mapping[str, Path]) -> tuple[GivenMachine, str]:
    """Return a machine whose memory lies in the blocks that are online, with what zoneinfo says is managed and in use."""
    known = {n.nid: n for n in given.machine.nodes}
    names = f"{found['lsmem'].name} and {found['zoneinfo'].name}"
    if sorted(known) != sorted(n.nid for n in blocks):
        return given, f"{names} tell of different nodes: {found['zoneinfo'].name} is taken"
    nodes = []
    for block in blocks:
        node = known[block.nid]
        managed = node.sz_bytes - node.unmanaged_bytes
        if managed > block.sz_bytes:
            return given, f"{names} contradict each other about node {node.nid}: {found['zoneinfo'].name} is taken"
        nodes.append(node.replace(ranges=block.system_ram, unmanaged_bytes=block.sz_bytes - managed))
    return given._replace(machine=given.machine.replace(nodes=tuple(nodes))), f"addresses are those of {found['lsmem'].name}"


def exists(path: Path) -> bool:
    """Tell whether there is such a file or folder."""
    try:
        return path.exists()
    except (OSError, ValueError):  # no file system takes such a name
        return False


def _text(path: Path) -> str:
    return decode(read_bytes(path, MAX_TEXT_BYTES), str(path))


def _read_file(path: Path) -> GivenMachine:
    """Return the machine that one file describes."""
    if path.suffix == ".toml":
        return GivenMachine(_of_toml(path))
    if path.is_fifo():
        raise InputError(str(path), "is a pipe, which can be read only once", "write it to a file and give that")
    where, text = str(path), _text(path)
    kind = looks_like(text)
    if kind == "zoneinfo":
        return GivenMachine(_of_nodes(from_zoneinfo(text, where), where))
    if kind == "numactl":
        return GivenMachine(*from_numactl(text, where))
    if kind == "lsmem":
        return GivenMachine(_of_nodes(from_lsmem(text, where), where))
    if kind == "machine":
        return GivenMachine(_of_toml(path))
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    what = f"begins with {quoted(first)} and describes no machine" if first else "is empty"
    raise InputError(where, what, f"give {FORMS}")


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
