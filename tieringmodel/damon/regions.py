"""A context's regions: two sets of arrays that kernels read from and write to in turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, KernelRefusal
from ..kernels import regions as rk
from ..kernels import turn
from ..kernels.layout import Regions, Scratch
from ..kernels.older import Older
from ..stored import Stored, like, same_kind
from ..units import ULONG_MAX
from .rng import Rng

COLUMNS = ("start", "end", "nr", "last", "age")
SUM = "sum_bp"
"""The column that comes after them where the kernel's compiled code is an older one."""
Row = Sequence[int]
MAX_REGIONS = 2**26
"""Regions of a context; each takes 56 to 64 bytes in two sets of arrays. Linux would run out of memory, too."""


class SplitState(Stored):
    """The two function-static variables of the split code; Linux 7.3 shares them between all contexts.

    Attributes
    ----------
    both : ndarray of int64, shape (2,)
        They, for kernels.
    """

    def __init__(self) -> None:
        self.both = np.zeros(2, np.int64)

    @property
    def last_nr_regions(self) -> int:
        """How many regions there were before the last split."""
        return int(self.both[0])

    @last_nr_regions.setter
    def last_nr_regions(self, value: int) -> None:
        self.both[0] = value

    @property
    def rotation(self) -> int:
        """How often some of the regions were split."""
        return int(self.both[1])

    @rotation.setter
    def rotation(self, value: int) -> None:
        self.both[1] = value

    def state(self) -> dict[str, Any]:
        """Return both by name."""
        return {"last_nr_regions": self.last_nr_regions, "rotation": self.rotation}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned."""
        for k, name in enumerate(("last_nr_regions", "rotation")):
            self.both[k] = like(0, state[name], name)


def empty(capacity: int, sums: bool = False, targets: int = 0) -> Regions:
    """Return region arrays of the given capacity, with or without room for moving sums, for so many targets."""
    sizes = [capacity] * len(COLUMNS) + [capacity * sums]
    start, end, nr, last, age, sum_bp = (np.zeros(n, np.uint64 if i < 2 else np.uint32) for i, n in enumerate(sizes))
    return Regions(start, end, nr, last, age, sum_bp, np.zeros(targets + 1, np.int64))


def scratch(capacity: int) -> Scratch:
    """Return room for sampling that many regions."""
    kinds = np.int64, np.uint64, np.uint64, np.int64, np.uint64, np.int64
    return Scratch(*(np.zeros(capacity + 1, kind) for kind in kinds))


def grown(r: Regions) -> Regions:
    """Return region arrays of twice the capacity with the same entries."""
    larger = empty(2 * r.start.size, bool(r.sum_bp.size), r.ptr.size - 1)
    for to, column in zip(larger, r, strict=True):
        to[: column.size] = column
    return larger


def set_regions(rows: Sequence[Row], ranges: Sequence[tuple[int, int]], min_region_sz: int) -> list[list[int]]:
    """Fit one target's regions to new ranges (``damon_set_regions``).

    Regions that meet no range vanish, the first and last ones meeting a range are stretched or trimmed to it, holes
    are filled by fresh regions.

    Parameters
    ----------
    rows : sequence of (start, end, nr_accesses, last_nr_accesses, age, ...)
        Present regions in address order, core addresses, and what else `RegionSet.rows` says of each.
    ranges : sequence of (start, end)
        New ranges; starts are aligned down, ends up, to `min_region_sz`.
    min_region_sz : int
        Alignment in core address units.

    Returns
    -------
    list of list of int
        The new regions.

    Raises
    ------
    KernelRefusal
        If an aligned range is empty or begins before the previous one's end (EINVAL).
    """
    aligned: list[tuple[int, int]] = []
    for i, (start, end) in enumerate(ranges):
        low, high = start - start % min_region_sz, -(-end // min_region_sz) * min_region_sz
        if low >= high or (aligned and low < aligned[-1][1]):
            text = f"{start}..{end} is empty or overlaps the range before (EINVAL)"
            raise KernelRefusal(f"ranges[{i}]", text, "sort and separate the ranges")
        aligned.append((low, high))
    kept = [list(r) for r in rows if any(r[0] < high and low < r[1] for low, high in aligned)]
    out: list[list[int]] = []
    unseen = [0] * (len(rows[0]) - 2 if rows else len(COLUMNS) - 2)
    for low, high in aligned:
        inside = [r for r in kept if r[0] < high and low < r[1]]
        if not inside:
            out.append([low, high, *unseen])
            continue
        kept = [r for r in kept if r[0] >= inside[-1][1]]
        inside[0][0], inside[-1][1] = low, high
        for k, region in enumerate(inside):
            if k and inside[k - 1][1] != region[0]:
                out.append([inside[k - 1][1], region[0], *unseen])
            out.append(region)
    return out


class RegionSet(Stored):
    """Regions of all targets of one context, in list order.

    Parameters
    ----------
    targets : sequence of sequence of (start, end, nr_accesses, last_nr_accesses, age)
        Regions by target; what is missing at the end of a row is 0.
    rules : Older, optional
        What an older kernel's compiled code does. Rows then have a sixth column: a stored moving sum in bp, without the
        accesses of the running window and what it lost since it was last set.

    Attributes
    ----------
    pair : list of two Regions
        Arrays that take turns: kernels read from one and write to the other. Entries beyond ``n`` are meaningless.
    side : ndarray of int64, shape (1,)
        Which one is in use.
    """

    def __init__(self, targets: Sequence[Sequence[Row]], rules: Older | None = None) -> None:
        self.rules, self._sums = rules, rules is not None
        self._names = (*COLUMNS, SUM) if self._sums else COLUMNS
        rows = [row for t in targets for row in t]
        ptr = np.concatenate(([0], np.cumsum([len(t) for t in targets]))).astype(np.int64)
        self._hold([[row[k] if k < max(len(row), len(COLUMNS)) else 0 for row in rows] for k in range(len(self._names))], ptr)

    def _hold(self, columns: Sequence[Any], ptr: npt.NDArray[np.int64]) -> None:
        n = int(ptr[-1])
        self.pair = [empty(max(64, 4 * n), self._sums, ptr.size - 1) for _ in range(2)]
        self.side = np.zeros(1, np.int64)
        self.now.ptr[:] = ptr
        for to, column in zip(self._kept(self.now), columns, strict=True):
            to[:n] = column

    @property
    def now(self) -> Regions:
        """Arrays in use."""
        return self.pair[int(self.side[0])]

    @property
    def spare(self) -> Regions:
        """Arrays that a kernel fills next."""
        return self.pair[1 - int(self.side[0])]

    @property
    def ptr(self) -> npt.NDArray[np.int64]:
        """Where each target's regions begin."""
        return np.asarray(self.now.ptr)

    @property
    def total(self) -> int:
        """Sum of the regions' sizes."""
        return int(self.sizes().sum())

    def under(self, rules: Older | None) -> RegionSet:
        """Return the regions for kernels that take these `rules`.

        Sums that were not kept so far are what they would be had nothing but samples moved them since the window began.
        """
        if (rules and tuple(rules)) == (self.rules and tuple(self.rules)):
            return self
        kept = self.rules is not None and self.rules.stored_sum
        rows = [[row if kept else [*row[:5], row[3] * 10_000 % 2**32] for row in t] for t in self.rows()]
        return RegionSet(rows, rules)

    def _kept(self, r: Regions) -> list[npt.NDArray[Any]]:
        """Return the columns of region arrays that hold anything."""
        return [getattr(r, name) for name in self._names]

    def state(self) -> dict[str, Any]:
        """Return the columns in use and where targets begin, arrays by name."""
        columns = {name: c[: self.n].copy() for name, c in zip(self._names, self._kept(self.now), strict=True)}
        return {**columns, "ptr": self.ptr}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned for as many targets.

        Raises
        ------
        KeyError, ValueError
            If something is missing, or these are no regions.
        """
        ptr = same_kind(state["ptr"], "ptr", self.ptr.dtype, self.ptr.shape)
        n = state["start"].size
        if ptr[0] != 0 or ptr[-1] != n or (np.diff(ptr) < 0).any():
            raise ValueError("ptr does not divide the regions")
        columns = [
            same_kind(state[name], name, c.dtype, (n,)) for name, c in zip(self._names, self._kept(self.now), strict=True)
        ]
        if (columns[0] >= columns[1]).any():
            raise ValueError("start and end hold an empty region")
        self._hold(columns, ptr.copy())

    @property
    def n(self) -> int:
        """Number of regions over all targets."""
        return int(self.ptr[-1])

    def reserve(self, capacity: int) -> None:
        """Make sure that the spare arrays, which a kernel will fill next, hold `capacity` regions."""
        if capacity > MAX_REGIONS:
            text = f"up to {capacity} regions, more than {MAX_REGIONS}, would have to be kept"
            raise InputError("regions", text, "lower min_nr_regions and max_nr_regions, or raise min_region_sz")
        if self.spare.start.size < capacity:
            self.pair[1 - int(self.side[0])] = empty(2 * capacity, self._sums, self.ptr.size - 1)

    def swap(self) -> None:
        """Make the spare arrays the present ones, after a kernel has filled them."""
        self.side[0] = 1 - self.side[0]

    def rows(self) -> list[list[list[int]]]:
        """Return ``[start, end, nr_accesses, last_nr_accesses, age, ...]`` per region and target, as Python ints."""
        columns = [c[: self.n].tolist() for c in self._kept(self.now)]
        flat = [list(row) for row in zip(*columns, strict=True)]
        return [flat[a:b] for a, b in zip(self.ptr[:-1], self.ptr[1:], strict=True)]

    def columns(self) -> dict[str, npt.NDArray[np.uint64] | npt.NDArray[np.uint32]]:
        """Return copies of the columns in use, by name."""
        return {name: c[: self.n].copy() for name, c in zip(COLUMNS, self.now, strict=False)}

    def sizes(self) -> npt.NDArray[np.uint64]:
        """Return the size of every region, uint64 (n,)."""
        return np.asarray(self.now.end[: self.n] - self.now.start[: self.n])

    def size_limit(self, min_nr_regions: int, min_region_sz: int) -> int:
        """Return ``damon_region_sz_limit``: the mean size at the minimum count, at least one minimal region."""
        return int(turn.size_limit(self.now, min(min_nr_regions, 2**62), np.uint64(min_region_sz)))

    def apply_min_nr_regions(self, min_nr_regions: int, min_region_sz: int) -> int:
        """Cut regions so that the minimum count is kept; return the size limit (``damon_apply_min_nr_regions``)."""
        if min_region_sz < 1:
            raise ValueError("min_region_sz is 0")
        asked = min(min_nr_regions, 2**62), np.uint64(min_region_sz), self.rules
        limit, n = turn.cut_to_min_nr(self.now, self.spare, *asked)
        if n > self.spare.start.size:
            self.reserve(n)
            turn.cut_to_min_nr(self.now, self.spare, *asked)
        if n > self.n:
            self.swap()
        return int(limit)

    def sums_bp(self, window: Any) -> npt.NDArray[np.uint32]:
        """Return the stored moving sum of every region, in bp, uint32 (n,), as of a WINDOW record."""
        out = np.zeros(self.n, np.uint32)
        rk.stored_sums(self.now, self.n, window, out)
        return out

    def reset_aggregated(self, window: Any = None, fix_sums: bool = True) -> None:
        """Remember the finished window's counts and start the next at zero (``kdamond_reset_aggregated``).

        Stored moving sums start from the finished count, or (`fix_sums` false, up to 6.15) from what they are. `window` is the
        WINDOW record, needed where there are any; from then on no samples are gone.
        """
        turn.reset(self.now, window, fix_sums, self.rules)

    def merge(self, threshold: int, sz_limit: int, max_thres: int, max_nr_regions: int, window: Any = None) -> None:
        """Age and merge (``kdamond_merge_regions``), in place; `window`: see `reset_aggregated`."""
        limits = np.uint64(threshold), np.uint64(min(sz_limit, ULONG_MAX)), np.uint64(max_thres)
        rules = self.rules
        rk.merge_regions(self.now, self.ptr, *limits, min(max_nr_regions, 2**62), rules, window if rules else None)

    def split_each(self, pieces: int, min_region_sz: int, rng: Rng) -> None:
        """Split every region at random into up to that many pieces (``damon_split_regions_of`` on all targets)."""
        self.reserve(pieces * self.n + 16)
        cuts = np.zeros(pieces, np.uint64)
        size, out = np.uint64(min_region_sz), self.spare
        rk.split_all(self.now, self.ptr, pieces, size, rng, cuts, out, out.ptr, self.rules)
        self.swap()

    def split(self, state: SplitState, max_nr_regions: int, min_region_sz: int, rng: Rng, some: bool = True) -> None:
        """Split regions at random where the maximum count leaves room (``kdamond_split_regions``).

        Near the maximum some are split, or (`some` false, up to 7.2) none.
        """
        self.reserve(3 * self.n + 16)
        limits = min(max_nr_regions, 2**62), np.uint64(min_region_sz), some
        if rk.split_regions(self.now, *limits, state.both, rng, np.zeros(3, np.uint64), self.spare, self.rules):
            self.swap()
