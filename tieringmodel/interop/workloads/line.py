"""A workload in one line: ``total=400G,hot=40G@200Hz,placed=node1``; and the one that is assumed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...errors import InputError, quoted
from ...scenario import Context, Group, Machine, Memcg, Placement, Vma, Workload
from ...units import format_bytes, number
from ..machines.line import entries, short, size
from .placed import Surroundings, assumed_place, placement, rooms

EXAMPLE = "total=400G,hot=40G@200Hz,placed=node1"
HOT_HZ, COLD_HZ = 400.0, 0.2
_MMAP_BASE = 0x7F00_0000_0000
_RATE = re.compile(r"([0-9.]+(?:e-?\d{1,2})?)\s*(k?)hz", re.IGNORECASE)
_CGROUP = re.compile(r"cgroup(\d{1,6})")


class Part(NamedTuple):
    """Pages of one heat: ``NAME=SIZE@RATE[@PLACE][@cgroupN]``."""

    name: str
    sz_bytes: int
    rate_hz: float
    placed: str = ""
    memcg_id: int = 0

    def __str__(self) -> str:
        places = [f"@{self.placed}"] if self.placed else []
        places += [f"@cgroup{self.memcg_id}"] if self.memcg_id else []
        return f"{self.name}={short(self.sz_bytes)}@{self.rate_hz:g}Hz" + "".join(places)


class WorkloadLine(NamedTuple):
    """What a line says; what it leaves out is None or empty."""

    total_bytes: int | None = None
    parts: tuple[Part, ...] = ()
    rest_hz: float | None = None
    placed: str = ""

    def __str__(self) -> str:
        total = [] if self.total_bytes is None else [f"total={short(self.total_bytes)}"]
        rest = [] if self.rest_hz is None else [f"rest={self.rest_hz:g}Hz"]
        return ",".join([*total, *map(str, self.parts), *rest, *([f"placed={self.placed}"] if self.placed else [])])


def parse_line(text: str, where: str = "--workload") -> WorkloadLine:
    """Return what a line says of a workload.

    Parameters
    ----------
    text : str
        ``total=SIZE`` (else the sum of the parts); ``NAME=SIZE@RATE`` for pages that are touched, each at that rate per
        second, with ``@node1`` or another place and ``@cgroup1`` after it; ``rest=RATE`` for all others; ``placed=PLACE``,
        where pages start that say nothing else: see `placement`.
    where : str
        For messages.

    Raises
    ------
    InputError
        Naming the part that cannot be read.

    Examples
    --------
    >>> line = parse_line("total=4G,hot=1G@200Hz,placed=node1")
    >>> line.parts[0].rate_hz, line.placed, str(line)
    (200.0, 'node1', 'total=4G,hot=1G@200Hz,placed=node1')
    """
    total: int | None = None
    rest: float | None = None
    placed = ""
    parts: list[Part] = []
    seen: set[str] = set()
    for name, value in entries(text, where, EXAMPLE):
        here = f"{where}: {name}"
        if name in seen and name in ("total", "rest", "placed"):
            raise InputError(here, "is given twice", "give it once")
        seen.add(name)
        if name == "total":
            total = size(value, here)
        elif name == "rest":
            rest = _rate(value.removeprefix("@"), here)
        elif name == "placed":
            placed = value
        else:
            parts.append(_part(name, value, here))
    if total is None and not parts:
        raise InputError(where, "names no memory", f"write it like {EXAMPLE}")
    asked = sum(p.sz_bytes for p in parts)
    if total is not None and asked > total:
        text = f"{format_bytes(total)} is less than the {format_bytes(asked)} of {', '.join(p.name for p in parts)}"
        raise InputError(f"{where}: total", text, f"write total={short(asked)} or more")
    return WorkloadLine(total, tuple(parts), rest, placed)


def _part(name: str, value: str, where: str) -> Part:
    sz_text, *more = (word.strip() for word in value.split("@"))
    rate: float | None = None
    placed, memcg_id = "", 0
    for word in more:
        if _RATE.fullmatch(word) and rate is None:
            rate = _rate(word, where)
        elif (cgroup := _CGROUP.fullmatch(word)) and not memcg_id and int(cgroup[1]):
            memcg_id = int(cgroup[1])
        elif not placed and word and not re.match(r"[0-9.]+($|[a-zA-Z])", word):
            placed = word
        else:
            raise InputError(where, f"{quoted(word)} is no rate, place or cgroup", f"write e.g. {name}=40G@200Hz@node1@cgroup1")
    if rate is None:
        what = f"{quoted(placed)} is no rate" if placed else "has no rate"
        raise InputError(where, what, f"write how often each page is touched: {name}={sz_text}@200Hz, or @0Hz")
    return Part(name, size(sz_text, where), rate, placed, memcg_id)


def _rate(text: str, where: str) -> float:
    found = _RATE.fullmatch(text.strip())
    if not found:
        raise InputError(where, f"{quoted(text)} is no rate", "write touches per second and page, e.g. 200Hz or 0.2Hz")
    return number(found[1], where) * (1000 if found[2] else 1)


def build(line: WorkloadLine, on: Surroundings, where: str = "--workload") -> tuple[Workload, tuple[str, ...]]:
    """Return the workload that a line describes on a machine, and a sentence for each thing that had to be assumed.

    Parameters
    ----------
    line : WorkloadLine
        The parts follow each other from page 0, then the rest; sizes are rounded up to pages.
    on : Surroundings
        The machine gives the page size; contexts on virtual addresses need mappings, which fill their fixed ranges first.
    where : str
        For messages.

    Raises
    ------
    InputError
        If it does not fit the machine, or a place is not in it.
    """
    page = on.machine.folio_bytes
    counts = [-(-p.sz_bytes // page) for p in line.parts]
    n_pages = max(sum(counts), -(-(line.total_bytes or 0) // page))
    room = room_of(on.machine)
    if n_pages > room:
        text = f"{format_bytes(n_pages * page)} exceed the {format_bytes(room * page)} that the machine has free"
        raise InputError(where, text, "make it smaller, or give a larger machine (--machine)")
    notes: list[str] = []
    placed, rest_pages = line.placed, n_pages - sum(counts)
    if not placed and (rest_pages or not all(p.placed for p in line.parts)):
        placed, said = default_place(n_pages, on)
        notes.append(said)
    if rest_pages and line.rest_hz is None:
        other = "other " if line.parts else ""
        notes.append(
            f"assumed: the {other}{format_bytes(rest_pages * page)} are never touched (rest={COLD_HZ:g}Hz replaces it)"
        )
    runs = [*zip(line.parts, counts, strict=True), (Part("rest", 1, line.rest_hz or 0.0), rest_pages)]
    groups: list[Group] = []
    places: list[Placement] = []
    memcgs: list[Memcg] = []
    lo = 0
    for part, count in runs:
        if not count:
            continue
        if part.rate_hz:
            groups.append(Group(lo, lo + count, rate_hz=part.rate_hz, name=part.name))
        if part.memcg_id:
            memcgs.append(Memcg(part.memcg_id, lo, lo + count))
        place = placement(part.placed or placed, lo, lo + count, on, f"{where}: {part.name if part.placed else 'placed'}")
        same = places and (places[-1].nid, places[-1].weights) == (place.nid, place.weights)
        if same:
            place = places.pop().replace(hi=lo + count)
        places.append(place)
        lo += count
    notes += spilt(places, on.machine)
    vmas = mappings(n_pages, on.contexts, page)
    return Workload(n_pages, tuple(groups), tuple(places), vmas, memcgs=tuple(memcgs)), tuple(notes)


def room_of(machine: Machine) -> int:
    """Return how many pages of a workload fit into a machine."""
    return sum(rooms(machine).values())


def spilt(places: Sequence[Placement], machine: Machine) -> Iterator[str]:
    """Yield a sentence for each node that has no room for all pages that are to start on it."""
    for nid, room in rooms(machine).items():
        asked = sum(p.hi - p.lo for p in places if p.nid == nid and not p.weights and p.start_bytes is None)
        if asked > room:
            asked_bytes, room_bytes = (format_bytes(pages * machine.folio_bytes) for pages in (asked, room))
            yield f"node {nid} has room for {room_bytes} of the {asked_bytes} that start there: the last ones start elsewhere"


def default_place(n_pages: int, on: Surroundings) -> tuple[str, str]:
    """Return where pages start that say nothing of it, and the sentence that says so."""
    if on.placed:
        return on.placed, f"pages start on the nodes in the shares of {on.placed} (placed=node1 replaces it)"
    place = assumed_place(n_pages, on)
    last = on.machine.nodes[-1].nid
    return (
        place,
        f"assumed: placed={place}, where pages start (placed={'even' if place != 'even' else f'node{last}'} replaces it)",
    )


def mappings(n_pages: int, contexts: Sequence[Context], page: int) -> tuple[Vma, ...]:
    """Return where pages are mapped for contexts on virtual addresses: in their fixed ranges, and after the last of them."""
    virtual = [c for c in contexts if c.ops != "paddr"]
    if not virtual:
        return ()
    fixed = sorted({r for c in virtual for t in c.targets for r in t.regions})
    vmas: list[Vma] = []
    lo, free = 0, _MMAP_BASE
    for start, end in fixed:
        count = min(-(-end // page) - start // page, n_pages - lo)
        if count:
            vmas.append(Vma(lo, lo + count, start // page * page, start // page))
        lo, free = lo + count, -(-end // page) * page
    if lo < n_pages:
        vmas.append(Vma(lo, n_pages, free, free // page))
    return tuple(vmas)


def default_workload(on: Surroundings) -> tuple[Workload, str]:
    """Return a workload of two levels, half of the memory and a quarter of it hot, and the line that says so.

    Where a virtual context has fixed ranges, exactly those are mapped. Where the source names control groups, each has as
    many pages as the others and as what is in none. Pages start so that DAMON has something to do (`assumed_place`).

    Parameters
    ----------
    on : Surroundings
        Machine and contexts.

    Returns
    -------
    Workload, str

    Raises
    ------
    InputError
        If the fixed ranges exceed the machine.
    """
    page, room = on.machine.folio_bytes, room_of(on.machine)
    fixed = sorted({r for c in on.contexts if c.ops != "paddr" for t in c.targets for r in t.regions})
    n_pages = sum(-(-end // page) - start // page for start, end in fixed) or max(room // 2, 4)
    if n_pages > room:
        text = f"the monitored ranges have {n_pages} pages, the machine {room}"
        raise InputError("workload", text, "describe it (--workload, or workload= in Python)")
    parts: list[Part] = []
    each = n_pages // (on.memcgs + 1)
    for memcg_id in range(1, on.memcgs + 1) if each > 1 else ():
        hot = max(each // 4, 1)
        parts += [Part(f"hot{memcg_id}", hot * page, HOT_HZ, "", memcg_id)]
        parts += [Part(f"cold{memcg_id}", (each - hot) * page, COLD_HZ, "", memcg_id)]
    left = n_pages - sum(p.sz_bytes for p in parts) // page
    parts.append(Part("hot", max(left // 4, 1) * page, HOT_HZ))
    place, _ = default_place(n_pages, on)
    line = WorkloadLine(n_pages * page, tuple(parts), COLD_HZ, place)
    return build(line, on)[0], str(line)
