"""Holes where nothing but a configuration tells of them: what lies between monitored ranges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from ...damon.vaddr import joined
from ...scenario import Context
from ...units import PAGE_SZ, format_bytes

Ranges = tuple[tuple[int, int], ...]


def holes_between(contexts: Iterable[Context]) -> Ranges:
    """Return the gaps of whole pages between the physical ranges that contexts monitor, in bytes.

    Parameters
    ----------
    contexts : iterable of Context
        Those of virtual addresses say nothing; where one of physical addresses monitors everything there is no gap.

    Returns
    -------
    tuple of (int, int)
        In order of address.
    """
    targets = [(c.addr_unit, t.regions) for c in contexts if c.ops == "paddr" for t in c.targets]
    if not all(regions for _, regions in targets):
        return ()
    monitored = joined((start * unit, end * unit) for unit, regions in targets for start, end in regions)
    gaps = ((-(-end // PAGE_SZ) * PAGE_SZ, start // PAGE_SZ * PAGE_SZ) for (_, end), (start, _) in pairwise(monitored))
    return tuple(gap for gap in gaps if gap[0] < gap[1])


def without(start: int, end: int, holes: Sequence[tuple[int, int]]) -> Ranges:
    """Return what of [start, end) lies in no hole; holes are in order of address."""
    out = []
    for low, high in holes:
        if low > start and high > start:
            out.append((start, min(low, end)))
        start = max(start, high)
    out.append((start, end))
    return tuple((a, b) for a, b in out if a < b)


def told(ranges: Sequence[tuple[int, int]]) -> str:
    """Return ranges in words."""
    return ", ".join(f"{format_bytes(start)}..{format_bytes(end)}" for start, end in ranges)
