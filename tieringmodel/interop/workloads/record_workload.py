"""Turn a damo record into a workload: who was touched how often, as DAMON saw it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...scenario import Group, Placement, Vma, Workload
from ...units import PAGE_SZ
from ..damo.records import MAX_RECORD_BYTES, Record, read_damo_record

MAX_GROUPS = 200_000


def read_record_workload(source: str | Path, *, max_bytes: int | str = MAX_RECORD_BYTES) -> Workload:
    """Return the workload of the first record in a file; see `workload_of` (which has the choices).

    Parameters
    ----------
    source : str or Path
        A damo record, as for `read_damo_record`.
    max_bytes : int or str
        Longest accepted text.

    Raises
    ------
    InputError
        As `read_damo_record` and `workload_of`.
    """
    return workload_of(whole_records(source, max_bytes=max_bytes)[0])


def whole_records(source: str | Path, *, max_bytes: int | str = MAX_RECORD_BYTES) -> list[Record]:
    """Return the records of all regions that a file holds, at least one: what schemes were tried on is left out.

    Parameters
    ----------
    source, max_bytes
        As for `read_damo_record`.

    Raises
    ------
    InputError
        As `read_damo_record`, or if there is none.
    """
    records = [r for r in read_damo_record(source, max_bytes=max_bytes) if r.scheme is None and r.snapshots]
    if not records:
        raise InputError(str(source), "holds no record of all regions", "record without --schemes_target_regions")
    return records


def rate_hz(nr_accesses: int, max_nr_accesses: int, sample_us: int) -> float:
    """Return touches per second and page of a Poisson process whose samples find ``nr_accesses / max`` of them touched.

    A sample finds a page touched with probability 1 - exp(-rate * sample). A region found touched in every sample gets
    the rate at which half a sample would have been missed.
    """
    share = min(nr_accesses, max_nr_accesses - 0.5) / max_nr_accesses
    return -math.log1p(-share) / (sample_us * 1e-6)


def workload_of(
    record: Record,
    *,
    physical: bool | None = None,
    keep_idle: bool | None = None,
    sample_us: int | None = None,
    aggr_us: int | None = None,
) -> Workload:
    """Return a workload that touches pages as the record says.

    Every page that any snapshot covers becomes a logical page, in order of address. Between two snapshots a page has the
    rate of its region in the later one, see `rate_hz`; the last rates go on forever. What DAMON did not see stays
    unknown: how accesses spread inside of a region, and all beyond its sampling.

    Parameters
    ----------
    record : Record
        The snapshots.
    physical : bool, optional
        Addresses are frames, where pages then start; else a process' addresses, which become mappings and start where
        allocation puts them. Left out: physical if everything lies below 2**44 (16 TiB).
    keep_idle : bool, optional
        Keep addresses that no snapshot saw touched. Left out: only virtual ones, which are mapped; physical ones may be
        free memory, and as pages of the workload they would fill the machine.
    sample_us, aggr_us : int, optional
        The intervals; needed where the record does not tell them.

    Returns
    -------
    Workload
        Ticks of one sampling interval; nobody chose them, so a scenario that samples more often cuts them.

    Raises
    ------
    InputError
        If intervals or accesses are not known, a count exceeds the samples of an aggregation, or there are too many rates.
    """
    sample, aggr = sample_us or record.sample_us, aggr_us or record.aggr_us
    if not sample or not aggr or aggr < sample:
        raise InputError(
            "record", f"does not tell its intervals (sample {sample}, aggregation {aggr})", "pass sample_us= and aggr_us="
        )
    samples = aggr // sample
    bounds = sorted(
        {
            a // PAGE_SZ if i == 0 else -(-a // PAGE_SZ)
            for s in record.snapshots
            for r in s.rows
            for i, a in enumerate((r[0], r[1]))
        }
    )
    if not bounds:
        raise InputError("record", "holds no region", "record longer")
    edges = np.array(bounds, np.int64)
    pieces = len(bounds) - 1
    covered = np.zeros(pieces, bool)
    counts = np.zeros((len(record.snapshots), pieces), np.int64)
    for k, snapshot in enumerate(record.snapshots):
        for j, (start, end, nr, _) in enumerate(snapshot.rows):
            if nr is None:
                raise InputError(f"record.snapshots[{k}].rows[{j}]", "tells no accesses", "record accesses")
            if nr > samples:
                raise InputError(f"record.snapshots[{k}]", f"counts {nr} of {samples} samples", "pass the right intervals")
            lo, hi = np.searchsorted(edges, (start // PAGE_SZ, -(-end // PAGE_SZ)))
            covered[lo:hi] = True
            counts[k, lo:hi] = nr
    if physical is None:
        physical = bounds[-1] * PAGE_SZ <= 2**44
    if not (not physical if keep_idle is None else keep_idle):
        covered &= counts.any(axis=0)
    if not covered.any():
        raise InputError("record", "saw no access", "record longer, or keep_idle=True")
    lows = np.concatenate(([0], np.cumsum(np.where(covered, np.diff(edges), 0))))
    groups = list(_groups(record, counts, covered, lows, samples, sample))
    runs = list(_runs(edges, covered, lows))
    where: dict[str, Any] = (
        {"placement": tuple(Placement(lo, hi, start_bytes=page * PAGE_SZ) for lo, hi, page in runs)}
        if physical
        else {"vmas": tuple(Vma(lo, hi, page * PAGE_SZ, page) for lo, hi, page in runs)}
    )
    return Workload(int(lows[-1]), tuple(groups), **where, tick_us=sample, tick_chosen=False)


def _groups(
    record: Record, counts: NDArray[Any], covered: NDArray[Any], lows: NDArray[Any], samples: int, sample_us: int
) -> Iterator[Group]:
    """Yield one group for each stretch of equal neighbours and equal successive counts above 0."""
    zero = record.snapshots[0].start_ns
    ticks = [0, *(round((s.end_ns - zero) / (sample_us * 1_000)) for s in record.snapshots)]
    made = 0
    for piece in range(counts.shape[1]):
        if not covered[piece]:
            continue
        column = counts[:, piece]
        cuts = [0, *(np.flatnonzero(np.diff(column)) + 1).tolist(), column.size]
        for first, last in pairwise(cuts):
            nr = int(column[first])
            if nr and ticks[last] > ticks[first]:
                made += 1
                if made > MAX_GROUPS:
                    raise InputError("record", f"makes more than {MAX_GROUPS} rates", "record less or merge snapshots")
                group = Group(
                    int(lows[piece]), int(lows[piece + 1]), rate_hz=rate_hz(nr, samples, sample_us), start_tick=ticks[first]
                )
                yield group.replace(end_tick=ticks[last]) if last < column.size else group


def _runs(edges: NDArray[Any], covered: NDArray[Any], lows: NDArray[Any]) -> Iterator[tuple[int, int, int]]:
    """Yield (first logical page, one past the last, first address in pages) of every run of covered pieces."""
    start: int | None = None
    for piece in range(covered.size + 1):
        inside = piece < covered.size and bool(covered[piece])
        if inside and start is None:
            start = piece
        elif not inside and start is not None:
            yield int(lows[start]), int(lows[piece]), int(edges[start])
            start = None
