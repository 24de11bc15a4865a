"""Nodes from the text of ``/proc/zoneinfo``: where their RAM lies, what Linux manages of it, and what is in use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ...errors import InputError
from ...scenario import Node, Zone
from ...units import MIB, PAGE_SZ
from .blocks import widened

_ZONE = re.compile(r"Node\s+(\d+), zone\s+(\S+)")
_NUMBER = re.compile(r"\s*(pages free|[a-z_]+:?)\s+(\d{1,15})")
_PROTECTION = re.compile(r"\s*protection: \(([\d, ]*)\)")
_NEEDED = ("spanned", "present", "managed", "start_pfn")
_LRU = ("nr_inactive_anon", "nr_active_anon", "nr_inactive_file", "nr_active_file", "nr_unevictable")
_MOVABLE = 3
"""Which entry of a zone's protection holds for memory of processes: that of ZONE_MOVABLE."""
_GRAIN = 2 * MIB
"""Bounds of RAM are rounded to this: less than that between RAM and RAM is taken for frames without management."""


@dataclass
class _Zone:
    nid: int
    where: str
    name: str = ""
    numbers: dict[str, int] = field(default_factory=dict)
    protection: list[int] = field(default_factory=list)


def from_zoneinfo(text: str, where: str) -> tuple[Node, ...]:
    r"""Return the nodes that the text of ``/proc/zoneinfo`` describes, in order of address.

    A zone that spans more frames than are present has a hole; its RAM is taken to lie at the start of what it spans, as
    below the PCI hole of a PC. Bounds are rounded outwards to 2 MiB.

    Parameters
    ----------
    text : str
        The file's text.
    where : str
        Names it in errors.

    Returns
    -------
    tuple of Node
        With ``unmanaged_bytes`` (RAM that no zone manages), ``kernel_bytes`` (in use, on no LRU list: pages on per-CPU lists
        count as used), and ``reserve_pages`` (minimum watermarks with the protection that holds for processes). What was on
        LRU lists is free, for the workload to take. Nodes without memory are left out.

    Raises
    ------
    InputError
        If there is no zone with memory, a zone lacks one of the numbers, or nodes overlap.

    Examples
    --------
    >>> from tieringmodel.interop.machines.zoneinfo import from_zoneinfo
    >>> zone = "pages free 9\n min 1\n spanned 1024\n present 1024\n managed 1000\n start_pfn: 512\n"
    >>> [(node.nid, node.start_bytes >> 20, node.sz_bytes >> 20) for node in from_zoneinfo(f"Node 0, zone DMA32\n {zone}", "")]
    [(0, 2, 4)]
    """
    zones = list(_zones(text, where))
    filled = [zone for zone in zones if zone.numbers.get("present")]
    if not filled:
        raise InputError(where, "names no zone with memory", "give the text of /proc/zoneinfo")
    for zone in filled:
        for name in (*_NEEDED, "pages free", "min"):
            if name not in zone.numbers:
                raise InputError(zone.where, f"the zone has no {name!r}", "give the whole of /proc/zoneinfo")
    ram = widened([(*_ram(zone), zone.nid) for zone in filled], _GRAIN, where)
    nodes = []
    for nid in sorted({zone.nid for zone in filled}):
        mine = [zone for zone in filled if zone.nid == nid]
        ranges = tuple((start, end) for start, end, of in ram if of == nid)
        total = sum(end - start for start, end in ranges)
        managed = sum(zone.numbers["managed"] for zone in mine)
        free = sum(zone.numbers["pages free"] for zone in mine)
        on_lru = sum(zone.numbers.get(name, 0) for zone in zones if zone.nid == nid for name in _LRU)
        if free > managed or managed * PAGE_SZ > total:
            text = f"node {nid} has {free} pages free of {managed} managed in {total} bytes"
            raise InputError(mine[0].where, text, "give the file as Linux wrote it")
        nodes.append(
            Node(
                nid,
                ranges=ranges,
                unmanaged_bytes=total - managed * PAGE_SZ,
                kernel_bytes=max(managed - free - on_lru, 0) * PAGE_SZ,
                reserve_pages=sum(_kept(zone) for zone in mine),
            )
        )
    return tuple(sorted(nodes, key=lambda node: node.extent))


def watermarks(text: str, where: str) -> tuple[Zone, ...]:
    """Return the zones with memory that the text of ``/proc/zoneinfo`` describes, with their watermarks, as they are listed.

    Parameters
    ----------
    text : str
        The file's text.
    where : str
        Names it in errors.

    Returns
    -------
    tuple of Zone
        Without zones of which ``promo`` is not told: kernels before 5.18 have none.

    Raises
    ------
    InputError
        If watermarks fall.
    """
    marks = ("min", "low", "high", "promo")
    return tuple(
        Zone.from_dict(
            {"nid": zone.nid, "name": zone.name, "managed": zone.numbers["managed"], "protection_pages": _protection(zone)}
            | {mark: zone.numbers[mark] for mark in marks},
            zone.where,
        )
        for zone in _zones(text, where)
        if zone.numbers.get("managed") and all(mark in zone.numbers for mark in marks)
    )


def _zones(text: str, where: str) -> Iterator[_Zone]:
    """Yield each zone with its numbers; of a number that stands twice, as those of CPUs do, the first."""
    zone = None
    for i, line in enumerate(text.splitlines(), start=1):
        if head := _ZONE.match(line):
            if zone:
                yield zone
            zone = _Zone(int(head[1]), f"{where}:{i}", head[2])
        elif zone and (protection := _PROTECTION.fullmatch(line.rstrip())):
            zone.protection = [int(word) for word in protection[1].replace(",", " ").split()]
        elif zone and (number := _NUMBER.match(line)):
            zone.numbers.setdefault(number[1].rstrip(":"), int(number[2]))
    if zone:
        yield zone


def _ram(zone: _Zone) -> tuple[int, int]:
    """Return where a zone's RAM lies, in bytes."""
    n = zone.numbers
    hole = n["spanned"] - n["present"]
    if hole < 0:
        raise InputError(zone.where, f"{n['present']} pages are present of {n['spanned']}", "give the file as Linux wrote it")
    pages = n["present"] if hole * PAGE_SZ >= _GRAIN else n["spanned"]
    return n["start_pfn"] * PAGE_SZ, (n["start_pfn"] + pages) * PAGE_SZ


def _kept(zone: _Zone) -> int:
    """Return how many pages of a zone a process' request leaves free."""
    return min(zone.numbers["min"] + _protection(zone), zone.numbers["managed"])


def _protection(zone: _Zone) -> int:
    """Return how many pages of a zone are kept for requests that no higher zone can meet."""
    return zone.protection[min(_MOVABLE, len(zone.protection) - 1)] if zone.protection else 0
