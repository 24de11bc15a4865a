"""A machine in one line: ``dram=512G,cxl=256G``, names to nodes in order."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...errors import InputError, quoted
from ...scenario import Machine, Node
from ...units import PAGE_SZ, parse_bytes

EXAMPLE = "dram=512G,cxl=256G"
_WORDS = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}=")
_NODE = re.compile(r"node(\d{1,4})")
_OPTIONS = ("folio", "hz")


def is_line(text: str) -> bool:
    """Tell whether a text is meant as a line of ``name=value`` and not as the name of a file."""
    return bool(_WORDS.match(text))


def entries(text: str, where: str, example: str) -> list[tuple[str, str]]:
    """Return the (name, value) pairs of a line.

    Raises
    ------
    InputError
        If a part is no ``name=value``.
    """
    found = []
    for part in text.split(","):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not (equals and value and _WORDS.fullmatch(f"{name}=")):
            raise InputError(where, f"{quoted(part)} is not NAME=VALUE", f"write it like {example}")
        found.append((name, value))
    return found


def size(text: str, where: str) -> int:
    """Return a size in bytes above 0; a unit is asked for, since a bare number is hardly ever meant in bytes.

    Raises
    ------
    InputError
        If it is none.
    """
    if not re.search(r"[a-zA-Z]", text):
        raise InputError(where, f"{quoted(text)} has no unit", f"write {text}G or {text}M")
    found = parse_bytes(text, where)
    if found <= 0:
        raise InputError(where, f"{quoted(text)} is nothing", "write a size such as 16G")
    return found


def from_line(text: str, where: str = "--machine") -> tuple[Machine, Mapping[str, int]]:
    """Return the machine that a line describes, and the id of each node that has one name of its own.

    Parameters
    ----------
    text : str
        ``NAME=SIZE[@START]`` for each node, in order of address. Names are free; nodes are numbered in order, but for names
        such as ``node2``, which number themselves. Without a start, a node begins where the one before it ends. A node with
        a hole is ``2G@0+2G@4G``. ``folio=2M`` sets ``folio_bytes``, ``hz=250`` the tick rate.
    where : str
        For messages.

    Returns
    -------
    Machine, mapping of str to int

    Raises
    ------
    InputError
        Naming the part that cannot be read, or what `Machine` refuses.

    Examples
    --------
    >>> machine, ids = from_line("dram=4G,cxl=2G@6G")
    >>> [(n.nid, n.start_bytes >> 30, n.sz_bytes >> 30) for n in machine.nodes], ids["cxl"]
    ([(0, 0, 4), (1, 6, 2)], 1)
    """
    nodes: list[Node] = []
    ids: dict[str, int] = {}
    options: dict[str, int] = {}
    end = 0
    for name, value in entries(text, where, EXAMPLE):
        here = f"{where}: {name}"
        if name in _OPTIONS:
            if name in options:
                raise InputError(here, "is given twice", "give it once")
            options[name] = size(value, here) if name == "folio" else _hz(value, here)
            continue
        numbered = _NODE.fullmatch(name)
        nid = int(numbered[1]) if numbered else len(nodes)
        if any(n.nid == nid for n in nodes):
            raise InputError(here, f"node {nid} is given twice", "name all nodes node0, node1, …, or none of them")
        try:
            nodes.append(Node(nid, ranges=_ranges(value, end, here)))
        except InputError as error:
            raise (error if error.where.startswith(here) else InputError(here, error.what, error.remedy)) from None
        end = nodes[-1].extent[1]
        ids[name] = -1 if name in ids else nid
    if not nodes:
        raise InputError(where, "names no node", f"write it like {EXAMPLE}")
    try:
        machine = Machine(tuple(nodes), hz=options.get("hz", Machine.hz), folio_bytes=options.get("folio", PAGE_SZ))
    except InputError as error:
        raise InputError(f"{where}: {error.where}", error.what, error.remedy) from None
    return machine, {name: nid for name, nid in ids.items() if nid >= 0} | {f"node{n.nid}": n.nid for n in nodes}


def _ranges(text: str, start: int, where: str) -> tuple[tuple[int, int], ...]:
    """Return the ranges of ``SIZE[@START]``, joined by ``+`` where there are holes between them."""
    found = []
    for part in text.split("+"):
        length, at, begin = part.partition("@")
        start = parse_bytes(begin, f"{where}: start") if at else start
        found.append((start, start + size(length, where)))
        start = found[-1][1]
    return tuple(found)


def _hz(text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 8 and int(text)):
        raise InputError(where, f"{quoted(text)} is no tick rate", "write 100, 250 or 1000")
    return int(text)


def to_line(machine: Machine) -> str:
    """Return the line that `from_line` reads as the nodes of a machine: their ids and where their memory lies.

    Parameters
    ----------
    machine : Machine
        Of which nodes alone are told.
    """
    parts, end = [], 0
    for node in machine.nodes:
        ram = []
        for start, stop in node.system_ram:
            ram.append(short(stop - start) + ("" if start == end else f"@{short(start)}"))
            end = stop
        parts.append(f"node{node.nid}={'+'.join(ram)}")
    return ",".join(parts)


def short(sz_bytes: int) -> str:
    """Return a size as briefly as `parse_bytes` reads it back exactly: ``"512G"``."""
    for unit, scale in (("T", 40), ("G", 30), ("M", 20), ("K", 10)):
        if sz_bytes and sz_bytes % (1 << scale) == 0:
            return f"{sz_bytes >> scale}{unit}"
    return f"{sz_bytes}B"
