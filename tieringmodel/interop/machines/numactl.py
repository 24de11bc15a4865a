"""A machine from the text of ``numactl -H``: how much memory each node has, and nothing about where."""

from __future__ import annotations

import re

from ...errors import InputError
from ...scenario import Machine, Node
from ...units import MIB

_SIZE = re.compile(r"node (\d{1,4}) size: (\d{1,12}) MB")


def is_numactl(text: str) -> bool:
    """Tell whether a text is what ``numactl -H`` prints."""
    return text.lstrip().startswith("available:") or bool(_SIZE.search(text))


def from_numactl(text: str, where: str) -> tuple[Machine, tuple[str, ...]]:
    r"""Return the machine that ``numactl -H`` describes, and what had to be assumed.

    numactl prints each node's ``MemTotal`` in MiB. Addresses are not told: nodes follow each other from 0.

    Parameters
    ----------
    text : str
        What it printed.
    where : str
        Where the text is from, for messages.

    Returns
    -------
    Machine, tuple of str

    Raises
    ------
    InputError
        If it is cut off, or no node has memory.

    Examples
    --------
    >>> text = "available: 2 nodes (0-1)\nnode 0 size: 64000 MB\nnode 1 size: 128000 MB\n"
    >>> [node.sz_bytes >> 20 for node in from_numactl(text, "numactl.txt")[0].nodes]
    [64000, 128000]
    """
    found = [(int(m[1]), int(m[2])) for m in _SIZE.finditer(text)]
    announced = re.match(r"\s*available: (\d{1,4}) nodes?", text)
    if announced and int(announced[1]) != len(found):
        raise InputError(where, f"tells the sizes of {len(found)} of {announced[1]} nodes", "copy all that numactl -H prints")
    nodes, start = [], 0
    for nid, mib in found:
        if mib:
            nodes.append(Node(nid, start, mib * MIB))
            start += mib * MIB
    if not nodes:
        raise InputError(where, "tells of no node with memory", "give all that numactl -H prints")
    empty = [str(nid) for nid, mib in found if not mib]
    try:
        machine = Machine(tuple(nodes))
    except InputError as error:
        raise InputError(f"{where}: {error.where}", error.what, error.remedy) from None
    notes = [
        f"assumed: nodes follow each other from address 0, for {where} tells sizes only (/proc/zoneinfo or lsmem --json as "
        "--machine tells addresses)"
    ]
    notes += [f"{where}: node {', '.join(empty)} has no memory and is left out"] if empty else []
    return machine, tuple(notes)
