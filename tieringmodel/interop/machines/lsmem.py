"""Nodes from ``lsmem --json``: which blocks of memory are online, and on which node."""

from __future__ import annotations

import re
from typing import Any

from ...errors import InputError, quoted
from ...scenario import Node
from ...units import PAGE_SZ
from ..documents import parse_json
from .blocks import Ram, widened

_RANGE = re.compile(r"0x([0-9a-fA-F]{1,16})-0x([0-9a-fA-F]{1,16})")
_HOW = "run lsmem --json -o RANGE,STATE,NODE"


def from_lsmem(text: str, where: str) -> tuple[Node, ...]:
    """Return the nodes that ``lsmem --json -o RANGE,STATE,NODE`` lists, in order of address.

    Parameters
    ----------
    text : str
        What it printed.
    where : str
        Names it in errors.

    Returns
    -------
    tuple of Node
        Of what is online; blocks that are offline are holes. Nothing is known of what is in use.

    Raises
    ------
    InputError
        If it is no such list, the column NODE is missing, nothing is online, or nodes overlap.

    Examples
    --------
    >>> from tieringmodel.interop.machines.lsmem import from_lsmem
    >>> low = '{"range": "0x0-0x7fffffff", "state": "online", "node": 0}'
    >>> high = '{"range": "0x100000000-0x17fffffff", "state": "online", "node": 0}'
    >>> [hex(start) for start, _ in from_lsmem(f'{{"memory": [{low}, {high}]}}', "lsmem.json")[0].ranges]
    ['0x0', '0x100000000']
    """
    table = parse_json(text, where)
    rows = table.get("memory") if isinstance(table, dict) else None
    if not isinstance(rows, list) or not rows:
        raise InputError(where, "has no list 'memory'", _HOW)
    ram = [found for i, row in enumerate(rows) if (found := _online(row, f"{where}: memory[{i}]"))]
    if not ram:
        raise InputError(where, "lists no memory that is online", _HOW)
    ram = widened(ram, PAGE_SZ, where)
    nodes = (Node(nid, ranges=tuple((a, b) for a, b, of in ram if of == nid)) for nid in {nid for *_, nid in ram})
    return tuple(sorted(nodes, key=lambda node: node.extent))


def _online(row: Any, where: str) -> Ram | None:
    """Return a row's range and node; None if it is offline."""
    if not isinstance(row, dict):
        raise InputError(where, f"{quoted(row)} is not an object", _HOW)
    for name in ("range", "state", "node"):
        if name not in row:
            raise InputError(where, f"has no {name!r}", _HOW)
    bounds = _RANGE.fullmatch(str(row["range"]))
    nid = str(row["node"])
    if not bounds or int(bounds[2], 16) < int(bounds[1], 16):
        raise InputError(f"{where}.range", f"{quoted(row['range'])} is not first-last address in hexadecimal", _HOW)
    if not re.fullmatch(r"[0-9]{1,4}", nid):
        raise InputError(f"{where}.node", f"{quoted(row['node'])} is not the number of a node", _HOW)
    return (int(bounds[1], 16), int(bounds[2], 16) + 1, int(nid)) if row["state"] == "online" else None
