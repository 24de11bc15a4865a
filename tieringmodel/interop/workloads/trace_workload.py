"""From recorded accesses to groups: rates by region of memory and by span of time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...scenario import Group, Vma, Workload
from ...units import MIB, PAGE_SZ, parse_bytes, parse_us
from ...workload import arguments as check
from .traces import Trace


def trace_workload(
    trace: Trace,
    *,
    region_bytes: int | str = 2 * MIB,
    bin_us: int | str = "1 s",
    join_bytes: int | str = 64 * MIB,
    mapped: tuple[tuple[int, int], ...] = (),
    tick_us: int | str = check.TICK_US,
) -> Workload:
    r"""Return the workload that touches memory as recorded: a constant rate per region and span of time.

    The rate of a page is the accesses that fell into its region in the span, by the region's pages and the span's length;
    so accesses are conserved, while what happens within a region or a span is lost. Time begins with the earliest access.
    After the last span nothing is touched.

    Parameters
    ----------
    trace : Trace
        As `read_trace` or `read_perf` return it.
    region_bytes : int or str
        Size of regions, a multiple of 4096; they begin at multiples of it.
    bin_us : int or str
        Length of a span of time, a multiple of the tick.
    join_bytes : int or str
        Regions with accesses belong to one mapping if at most this much lies between them; the memory in between then
        counts as mapped and never touched. A sampled trace misses such memory; how much there is, is an assumption.
    mapped : tuple of (int, int), optional
        The ranges of addresses that are mapped, if known, instead of what `join_bytes` makes of the accesses.
    tick_us : int or str
        Length of a workload tick.

    Returns
    -------
    Workload
        Mappings at the recorded addresses; groups named by their region's address.

    Raises
    ------
    InputError
        If an access lies outside `mapped`, an argument is out of range, or regions and spans make too many groups.

    Examples
    --------
    >>> from pathlib import Path
    >>> import tieringmodel as tm
    >>> _ = Path("accesses.csv").write_text("time_s,address\n0.0,4096\n0.5,8192\n1.5,8192\n")
    >>> workload = tm.trace_workload(tm.read_trace("accesses.csv"))
    >>> workload.n_pages, len(workload.groups)
    (512, 2)
    """
    tick = check.tick("tick_us", tick_us)
    size = parse_bytes(region_bytes, "region_bytes")
    if size < PAGE_SZ or size % PAGE_SZ:
        raise InputError("region_bytes", f"{size} is not a multiple of {PAGE_SZ}", "write e.g. '2 MiB'")
    span = parse_us(bin_us, "bin_us")
    if span < tick or span % tick:
        raise InputError("bin_us", f"{span} us is not a multiple of the tick of {tick} us", "write e.g. '1 s'")
    page = (trace.address // np.uint64(PAGE_SZ)).astype(np.int64)
    first, end = _mappings(page, size // PAGE_SZ, parse_bytes(join_bytes, "join_bytes") // PAGE_SZ, mapped)
    inside = np.searchsorted(first, page, side="right") - 1
    missed = (inside < 0) | (page >= end[inside])
    if missed.any():
        where = int(trace.address[missed][0])
        text = f"{int(missed.sum())} accesses, the first to {where:#x}, lie outside"
        raise InputError("mapped", text, "add the ranges that are missing, or leave 'mapped' out")
    base = np.cumsum(end - first) - (end - first)
    n_pages = check.whole("trace", int((end - first).sum()), 1, check.MAX_PAGES)
    region = page // (size // PAGE_SZ)
    bin_ = ((trace.time_s - trace.time_s.min()) * (1e6 / span)).astype(np.int64)
    order = np.lexsort((bin_, region, inside))
    inside, region, bin_ = inside[order], region[order], bin_[order]
    new = np.ones(order.size, bool)
    new[1:] = (inside[1:] != inside[:-1]) | (region[1:] != region[:-1]) | (bin_[1:] != bin_[:-1])
    at = np.flatnonzero(new)
    check.few_enough("trace", at.size, "use larger regions or longer spans")
    counts = np.add.reduceat(trace.accesses[order], at)
    per_bin = span // tick
    groups = []
    for m, r, b, count in zip(inside[at].tolist(), region[at].tolist(), bin_[at].tolist(), counts.tolist(), strict=True):
        lo = max(r * (size // PAGE_SZ), int(first[m]))
        hi = min((r + 1) * (size // PAGE_SZ), int(end[m]))
        shift = int(base[m] - first[m])
        rate_hz = count / (hi - lo) / (span * 1e-6)
        if rate_hz:
            groups.append(
                Group(
                    lo + shift,
                    hi + shift,
                    rate_hz=rate_hz,
                    start_tick=b * per_bin,
                    end_tick=(b + 1) * per_bin,
                    name=f"{lo * PAGE_SZ:#x}",
                )
            )
    vmas = (Vma(b, b + e - f, f * PAGE_SZ) for b, f, e in zip(base.tolist(), first.tolist(), end.tolist(), strict=True))
    return Workload(n_pages, tuple(groups), vmas=tuple(vmas), tick_us=tick)


def _mappings(
    page: npt.NDArray[np.int64], region: int, join: int, mapped: tuple[tuple[int, int], ...]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return first and end page of each mapping, int64 (n,)."""
    if mapped:
        last = 0
        for i, (a, b) in enumerate(mapped):
            if a % PAGE_SZ or b % PAGE_SZ or not last <= a < b <= 2**64:
                raise InputError(f"mapped[{i}]", f"{a:#x}..{b:#x} is empty, unaligned or out of order", "sort whole pages")
            last = b
        return np.array([a // PAGE_SZ for a, _ in mapped]), np.array([b // PAGE_SZ for _, b in mapped])
    used = np.unique(page // region)
    apart = np.flatnonzero((np.diff(used) - 1) * region > join)
    first, last_used = used[np.concatenate(([0], apart + 1))], used[np.concatenate((apart, [used.size - 1]))]
    return first * region, (last_used + 1) * region
