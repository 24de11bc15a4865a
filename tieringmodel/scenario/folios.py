"""Which pages of a workload form folios of several pages, where folios of several sizes share a machine."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from ..errors import InputError
from ..units import PAGE_SZ, format_bytes
from .context import Context
from .hardware import Machine
from .linux import Kernel
from .workload import Group, Memcg, Placement, Vma, Workload


class FolioRun(NamedTuple):
    """Logical pages ``lo`` … ``hi`` - 1, in folios of 2**``order`` pages each."""

    lo: int
    hi: int
    order: int


def folio_runs(workload: Workload) -> tuple[FolioRun, ...]:
    """Return the pages that form folios of several pages at the start, in order; no two runs overlap.

    A folio begins where the virtual and the physical address of its first page, as far as mappings and placement give them,
    are multiples of its size; where neither does, ``lo`` of the group counts as aligned. It lies within one mapping, one
    placement and one memory cgroup; with ``thp`` what is left at their ends stays in folios of one page.

    Raises
    ------
    InputError
        If ``folio_bytes`` leaves pages over, or groups give the same pages folios of different sizes.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> from tieringmodel.scenario.folios import folio_runs
    >>> folio_runs(tm.Workload(2048, groups=(tm.Group(0, 1100, rate_hz=1, thp="always"),)))
    (FolioRun(lo=0, hi=1024, order=9),)
    """
    said = any(g.thp != "never" or g.folio_bytes is not None for g in workload.groups)
    return _runs(workload) if said else ()


@lru_cache(4)
def _runs(workload: Workload) -> tuple[FolioRun, ...]:
    named = [(i, g) for i, g in enumerate(workload.groups) if g.folio_order]
    cuts = _Cuts(workload)
    found: dict[FolioRun, int] = {}
    for i, g in named:
        whole = list(cuts.runs(g))
        left = g.hi - g.lo - sum(run.hi - run.lo for run in whole)
        if g.folio_bytes is not None and left:
            text = f"{left} of its pages are in no whole, aligned folio of {format_bytes(g.folio_bytes)}"
            fix = f"align lo, hi, mappings, placement and memcgs to {1 << g.folio_order} pages"
            raise InputError(f"workload.groups[{i}].folio_bytes", text, fix)
        for run in _shared(whole, g) if g.thp_share < 1 else whole:
            found.setdefault(run, i)
    out: list[FolioRun] = []
    for run in sorted(found):
        last = out[-1] if out else FolioRun(0, 0, run.order)
        if run.lo > last.hi or (run.lo == last.hi and run.order != last.order):
            out.append(run)
        elif run.order == last.order and (run.lo - last.lo) % (1 << run.order) == 0:
            out[-1:] = [FolioRun(last.lo, max(last.hi, run.hi), run.order)]
        else:
            text = f"pages from {run.lo} on are in other folios by another group"
            raise InputError(f"workload.groups[{found[run]}]", text, "give the folio size of a page range once")
    for i, g in enumerate(workload.groups):
        if g.folio_bytes == PAGE_SZ and any(run.lo < g.hi and g.lo < run.hi for run in out):
            text = "is 4 KiB, and another group puts some of these pages into larger folios"
            raise InputError(f"workload.groups[{i}].folio_bytes", text, "give the folio size of a page range once")
    return tuple(out)


def _shared(runs: list[FolioRun], g: Group) -> Iterator[FolioRun]:
    """Keep the group's share of folios: with ``madvise`` the first ones, else spread evenly."""
    n = 1 << g.folio_order
    total = sum(run.hi - run.lo for run in runs) // n
    kept, k = round(total * g.thp_share), 0
    for run in runs:
        for lo in range(run.lo, run.hi, n):
            if k < kept if g.thp == "madvise" else (k + 1) * kept // total > k * kept // total:
                yield FolioRun(lo, lo + n, run.order)
            k += 1


class _Cuts:
    """Where mappings, placements and memory cgroups begin and end, and how addresses are aligned between."""

    def __init__(self, workload: Workload) -> None:
        placed = [p for p in workload.placement if p.start_bytes is not None]
        self.vmas, self.placed = sorted(workload.vmas, key=lambda v: v.lo), sorted(placed, key=lambda p: p.lo)
        ranges: tuple[Vma | Placement | Memcg, ...] = (*workload.vmas, *workload.placement, *workload.memcgs)
        self.edges = sorted({edge for r in ranges for edge in (r.lo, r.hi)})
        self.starts = [p.lo for p in self.placed]

    def runs(self, g: Group) -> Iterator[FolioRun]:
        """Yield the whole folios of a group, run by run."""
        inside = self.edges[bisect_right(self.edges, g.lo) : bisect_right(self.edges, g.hi - 1)]
        n = 1 << g.folio_order
        for a, b in pairwise((g.lo, *inside, g.hi)):
            offsets = {o % n for o in self._offsets(a)} or {-g.lo % n}
            if len(offsets) == 1:
                (offset,) = offsets
                lo, hi = a + -(a + offset) % n, b - (b + offset) % n
                if lo < hi:
                    yield FolioRun(lo, hi, g.folio_order)

    def _offsets(self, page: int) -> Iterator[int]:
        """Yield what, added to a page number, gives its page's number in an address space."""
        k = bisect_right(self.starts, page) - 1
        here = [v for v in self.vmas if v.lo <= page < v.hi] + [p for p in self.placed[max(k, 0) : k + 1] if page < p.hi]
        yield from ((item.start_bytes or 0) // PAGE_SZ - item.lo for item in here)


def check_folios(machine: Machine, workload: Workload, contexts: Sequence[Context], kernel: Kernel) -> None:
    """Refuse what the model does not know of machines whose folios are of several sizes.

    Raises
    ------
    InputError
        Naming it.
    """
    said = [i for i, g in enumerate(workload.groups) if g.thp != "never" or g.folio_bytes is not None]
    if said and machine.folio_bytes != PAGE_SZ:
        text = f"is {format_bytes(machine.folio_bytes)} for all folios, and workload.groups[{said[0]}] says what its own are"
        raise InputError("machine.folio_bytes", text, "leave out one of the two: groups choose on machines of 4 KiB")
    runs = folio_runs(workload)
    if not runs:
        return
    size = PAGE_SZ << max(run.order for run in runs)
    beside = f"beside groups with folios of {format_bytes(size)}"
    if machine.allocator in ("fifo", "lifo"):
        text = f"{machine.allocator!r} hands out single frames, and does not go {beside}"
        raise InputError("machine.allocator", text, "write 'buddy', 'lowest' or 'random'")
    for start, end, i in machine.spans:
        inner = end != machine.nodes[i].extent[1]  # frames are numbered on behind a hole: there blocks must not straddle it
        if start % size or (inner and end % size):
            text = f"has RAM from {start:#x} to {end:#x}, which are no multiples of the largest folio, {format_bytes(size)}"
            raise InputError(f"machine.nodes[{i}]", text, "align where its ranges begin, and end before a hole")
    if not kernel.rules.tail_pages:
        text = f"Linux {kernel.title} sees a folio at its first page only, which is not modelled {beside}"
        raise InputError("kernel", text, "choose a later kernel, or machine.folio_bytes for all folios")
    for i, group in enumerate(workload.groups):
        if group.kind == "hash" and any(run.lo < group.hi and group.lo < run.hi for run in runs):
            text = "is 'hash', which touches single pages of the golden runs, over larger folios"
            raise InputError(f"workload.groups[{i}].kind", text, "write 'rate' or 'period'")
    for i, context in enumerate(contexts):
        if context.sources:
            text = f"see single pages, and do not go {beside}"
            raise InputError(f"contexts[{i}].sources", text, "leave them out, or set machine.folio_bytes for all folios")
        for j, scheme in enumerate(context.schemes):
            builtin = context.ops != "paddr" and scheme.dest_rule == "vma_offset"
            if scheme.dests and scheme.action.startswith("migrate") and not builtin:
                text = f"deal single pages on paddr or by rules of the model's own, and do not go {beside}"
                fix = "name one target_nid, use vaddr with 'vma_offset', or set machine.folio_bytes for all folios"
                raise InputError(f"contexts[{i}].schemes[{j}].dests", text, fix)
