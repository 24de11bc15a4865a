"""Where a workload's pages start: on a node, dealt over nodes, or as ``numastat`` or ``numa_maps`` saw them lie."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ...errors import InputError, quoted
from ...fields import suggest
from ...scenario import Context, Machine, Placement
from ...scenario.metrics import metric_of
from ...units import PAGE_SZ
from ..documents import MAX_TEXT_BYTES, decode, read_bytes

EVEN = "even"
_WEIGHTS = re.compile(r"\d{1,6}(:\d{1,6})+")
_PARTS = 64
"""Shares that a file tells are rounded to so many parts: finer than any share is measured."""
_LONGEST_LINE = 16 * 1024
"""numastat writes some 16 characters for each of at most 1024 nodes."""
_NODES = re.compile(r"(?:\s+Node \d+)+(?:\s+Total)?\s*")
_MAPPED = re.compile(r"[0-9a-f]{4,16} (?:default|bind|interleave|prefer|local|weighted|\?)")


class Surroundings(NamedTuple):
    """What a workload's description is read beside.

    ``ids``: names of nodes. ``memcgs``: how many control groups the source names. ``placed``: a file that says where the
    pages lie, where the machine came with one.
    """

    machine: Machine
    contexts: Sequence[Context] = ()
    ids: Mapping[str, int] = {}
    memcgs: int = 0
    placed: str | None = None


def placement(text: str, lo: int, hi: int, on: Surroundings, where: str) -> Placement:
    """Return where pages ``lo`` … ``hi`` - 1 start.

    Parameters
    ----------
    text : str
        ``"node1"`` or another name of a node; ``"even"``; weights of the nodes in order, ``"3:1"``; or a file with what
        ``numastat -p``, ``numastat -m`` or ``/proc/PID/numa_maps`` says, whose shares of the nodes become weights.
    lo, hi : int
        The pages.
    on : Surroundings
        With the machine.
    where : str
        For messages.

    Raises
    ------
    InputError
        If it is none of these, or a node is not in the machine.
    """
    nids = [n.nid for n in on.machine.nodes]
    first = nids[0]
    if text == EVEN:
        return Placement(lo, hi, first, weights=(1,) * len(nids))
    if _WEIGHTS.fullmatch(text):
        weights = tuple(map(int, text.split(":")))
        if len(weights) != len(nids) or not any(weights):
            what = f"{quoted(text)} is not one weight for each of {len(nids)} nodes"
            raise InputError(where, what, f"write e.g. {':'.join('1' * len(nids))}, not all 0")
        return Placement(lo, hi, first, weights=weights)
    numbered = re.fullmatch(r"node(\d{1,4})", text)
    if text in on.ids or numbered:
        nid = on.ids[text] if text in on.ids else int(numbered[1]) if numbered else first
        on.machine.need_node(nid, where)
        return Placement(lo, hi, nid)
    if not is_file(text):
        known = [*on.ids, *(f"node{nid}" for nid in nids if f"node{nid}" not in on.ids), EVEN]
        raise InputError(
            where, f"{quoted(text)} is no node and no file", f"{suggest(text, known)}, weights such as 3:1 or a file"
        )
    return Placement(lo, hi, first, weights=_weights(shares(Path(text)), nids, where))


def is_file(text: str) -> bool:
    """Tell whether a text is the name of a file."""
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # no file system takes such a name
        return False


def _weights(found: Mapping[int, float], nids: Sequence[int], where: str) -> tuple[int, ...]:
    for nid, pages in found.items():
        if pages and nid not in nids:
            raise InputError(
                where, f"tells of node {nid}, which the machine has not", "give the machine that it is of (--machine)"
            )
    total = math.fsum(found.values())
    parts = [round(found.get(nid, 0.0) / total * _PARTS) for nid in nids]
    common = math.gcd(*parts)
    return tuple(p // common for p in parts)


def shares(path: Path) -> dict[int, float]:
    """Return how much lies on each node by id, in MiB, as numastat or numa_maps says.

    Raises
    ------
    InputError
        If the file is neither, or tells of nothing.
    """
    where, text = str(path), decode(read_bytes(path, MAX_TEXT_BYTES), str(path))
    found = _of_numa_maps(text) if _MAPPED.match(text) else _of_numastat(text, where)
    if not math.fsum(found.values()):
        raise InputError(where, "tells of no page on any node", "take it while the workload runs")
    return found


def _of_numa_maps(text: str) -> dict[int, float]:
    found: dict[int, float] = {}
    for line in text.splitlines():
        page_kb = re.search(r"\bkernelpagesize_kB=(\d{1,9})", line)
        for nid, pages in re.findall(r"\bN(\d{1,4})=(\d{1,15})\b", line):
            mib = int(pages) * int(page_kb[1] if page_kb else PAGE_SZ // 1024) / 1024
            found[int(nid)] = found.get(int(nid), 0.0) + mib
    return found


def _of_numastat(text: str, where: str) -> dict[int, float]:
    """Return the last ``Total`` of each block of columns, or of ``-m`` what programs have: ``AnonPages``."""
    found: dict[int, float] = {}
    nids: list[int] = []
    for line in (line for line in text.splitlines() if len(line) < _LONGEST_LINE):
        if _NODES.fullmatch(line):
            nids = [int(nid) for nid in re.findall(r"Node (\d{1,4})", line)]
        elif nids and (row := re.match(r"(Total|AnonPages)\s+([-0-9. ]+)$", line.rstrip())):
            values = [float(v) for v in row[2].split() if re.fullmatch(r"\d{1,15}(\.\d{1,6})?", v)]
            if len(values) < len(nids):
                raise InputError(where, f"{quoted(line.strip())} has {len(values)} of {len(nids)} nodes", "copy it whole")
            found |= dict(zip(nids, values, strict=False))
    if not found:
        remedy = "give the text of numastat -p PID, numastat -m or /proc/PID/numa_maps"
        raise InputError(where, "does not say how much memory lies on which node", remedy)
    return found


def assumed_place(n_pages: int, on: Surroundings) -> str:
    """Return where pages are assumed to start, so that DAMON has something to do.

    Dealt evenly over the nodes, unless weights would find their own work done; or all on the first node, or the last, where
    every goal would be met at the start. A quarter of the pages, the first ones, counts as what is eligible.

    Parameters
    ----------
    n_pages : int
        Pages of the workload.
    on : Surroundings
        With machine and contexts.
    """
    nids = [n.nid for n in on.machine.nodes]
    weighted = any(s.dests for c in on.contexts for s in c.schemes)
    places = [*([] if weighted else [EVEN]), f"node{nids[0]}", f"node{nids[-1]}"]
    return next((place for place in places if not _all_met(place, n_pages, on)), places[0])


def _all_met(place: str, n_pages: int, on: Surroundings) -> bool:
    """Return whether there are goals for shares, and all of them are met where pages start at a place."""
    everything, hot = _pages_on(place, n_pages, on.machine), _pages_on(place, max(n_pages // 4, 1), on.machine)
    page, nodes = on.machine.folio_bytes, {n.nid: n for n in on.machine.nodes}
    met = []
    for goal in (g for c in on.contexts for s in c.schemes for g in s.quota.goals):
        metric, node = metric_of(goal.metric), nodes.get(goal.nid)
        if not metric.controls or node is None:
            continue
        if metric.controls == "used":
            own = node.kernel_bytes + node.cache_bytes + everything[goal.nid] * page
            share = own / max(node.sz_bytes - node.unmanaged_bytes, 1)
        else:
            share = hot[goal.nid] / max(sum(hot.values()), 1)
        met.append((1 - share if metric.rest else share) * 10_000 >= 0.98 * goal.target_value)
    return bool(met) and all(met)


def rooms(machine: Machine) -> dict[int, int]:
    """Return how many pages of a workload each node has room for, by id."""
    page = machine.folio_bytes
    return {n.nid: (n.sz_bytes - n.unmanaged_bytes - n.kernel_bytes - n.cache_bytes) // page for n in machine.nodes}


def _pages_on(place: str, n_pages: int, machine: Machine) -> dict[int, float]:
    """Return how many pages start on each node; what finds a node full goes to the others in order."""
    room = rooms(machine)
    wanted = {nid: n_pages / len(room) if place == EVEN else float(n_pages * (place == f"node{nid}")) for nid in room}
    found = {nid: min(wanted[nid], room[nid]) for nid in room}
    left = n_pages - sum(found.values())
    for nid in room:
        more = min(left, room[nid] - found[nid])
        found[nid], left = found[nid] + more, left - more
    return found
