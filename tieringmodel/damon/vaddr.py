"""Ranges of addresses: joined where they touch, and what Linux monitors of a process when nobody says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import InputError
from ..units import PAGE_SZ


def joined(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return ranges in order of address, those that touch or overlap as one."""
    out: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if out and start <= out[-1][1]:
            start, end = out[-1][0], max(end, out.pop()[1])
        out.append((start, end))
    return tuple(out)


def three_parts(mapped: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the three ranges that Linux monitors of a process with these mappings; none with fewer than two gaps.

    Both ends of a range are rounded up to whole pages.
    """
    try:
        parts = three_regions(mapped)
    except InputError:
        return []
    return [(-(-start // PAGE_SZ) * PAGE_SZ, -(-end // PAGE_SZ) * PAGE_SZ) for start, end in parts]


def evenly_cut(ranges: Sequence[tuple[int, int]], min_nr_regions: int) -> list[tuple[int, int]]:
    """Return ranges cut into even pieces, about `min_nr_regions` in all, as Linux up to 7.0 begins with those of a process.

    Pieces are whole pages, the last one of a range takes the rest (``damon_va_evenly_split_region``).
    """
    size, out = max(sum(end - start for start, end in ranges) // max(min_nr_regions, 1), PAGE_SZ), []
    for start, end in ranges:
        pieces = max((end - start) // size, 1)
        piece = (end - start) // pieces // PAGE_SZ * PAGE_SZ
        cuts = [start + k * piece for k in range(pieces)] if piece else [start]
        out += list(zip(cuts, [*cuts[1:], end], strict=True))
    return out


def three_regions(ranges: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Return three ranges that cover all mappings except the two biggest gaps between them.

    The kernel's first guess at a process' address space (``__damon_va_three_regions``; docs/theory/damon.md, section g.6):
    the gaps below the heap, the mmap area and the stack are so large that monitoring them would be a waste.

    Parameters
    ----------
    ranges : sequence of (int, int)
        Start and end of each mapping, in address order.

    Returns
    -------
    three pairs of int
        Start and end of each range. Of equally big gaps the first counts.

    Raises
    ------
    InputError
        If the mappings are out of order, or have fewer than two gaps (Linux then monitors nothing).
    """
    first, second = (0, 0), (0, 0)
    for i, (start, end) in enumerate(ranges):
        if end <= start or (i and start < ranges[i - 1][1]):
            raise InputError(f"ranges[{i}]", f"{start}..{end} is empty or out of order", "sort and separate them")
        gap = (ranges[i - 1][1], start) if i else (0, 0)
        if gap[1] - gap[0] > first[1] - first[0]:
            first, second = gap, first
        elif gap[1] - gap[0] > second[1] - second[0]:
            second = gap
    if second[0] == second[1]:
        raise InputError("ranges", "have fewer than two gaps (EINVAL)", "give the ranges to monitor")
    low, high = sorted((first, second))
    return (ranges[0][0], low[0]), (low[1], high[0]), (high[1], ranges[-1][1])
