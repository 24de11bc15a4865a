"""DAMON's adaptive regions over pages, by the kernels of the page-level model."""

from __future__ import annotations

import numpy as np

from ..kernels.layout import Draws, Regions
from .protocol import Ints


def _empty(capacity: int) -> Regions:
    return Regions(*(np.zeros(capacity, np.uint64) for _ in range(2)), *(np.zeros(capacity, np.uint32) for _ in range(3)))


class AdaptiveRegions:
    """Regions that merge where neighbours look alike and split at random, as ``kdamond`` adjusts them.

    Parameters
    ----------
    n_pages : int
        Pages monitored.
    least, most : int
        ``min_nr_regions`` and ``max_nr_regions``.
    unit : int
        Smallest region and alignment, in pages.
    seed : int
        Key of the split points.
    """

    def __init__(self, n_pages: int, least: int, most: int, unit: int, seed: int) -> None:
        from ..kernels import draws

        self.least, self.most, self.unit = least, most, np.uint64(unit)
        state = np.zeros(8, np.uint64)
        state[draws.KIND], state[draws.KEY] = draws.COUNTER, np.uint64(seed)
        self._draws = Draws(state, np.zeros(1, np.uint32))
        self._now, self._spare = _empty(4 * most + 16), _empty(4 * most + 16)
        edges = np.unique(np.linspace(0, n_pages, least + 1).astype(np.int64) // unit * unit)
        edges[-1] = n_pages
        self._ptr = np.array([0, edges.size - 1], np.int64)
        self._now.start[: edges.size - 1], self._now.end[: edges.size - 1] = edges[:-1], edges[1:]
        self._limit = -(-n_pages // least)
        self._last = 0

    def edges(self) -> Ints:
        """Return the first page of each region and, last, one past the last page."""
        n = int(self._ptr[1])
        return np.concatenate((self._now.start[:n], self._now.end[n - 1 : n])).astype(np.int64)

    def adjust(self, nr_accesses: Ints, samples: int) -> None:
        """Merge by the finished aggregation's counts, then split (``kdamond_merge_regions``, ``kdamond_split_regions``)."""
        from ..kernels import regions as rk

        n, now = int(self._ptr[1]), self._now
        now.nr[:n] = nr_accesses
        threshold = np.uint64(int(nr_accesses.max(initial=0)) // 10)
        rk.merge_regions(now, self._ptr, threshold, np.uint64(max(self._limit, 1)), np.uint64(samples), self.most)
        n = int(self._ptr[1])
        now.last[:n], now.nr[:n] = now.nr[:n], 0
        if n <= self.most // 2:
            pieces = 3 if n == self._last and n < self.most // 3 else 2
            after = np.zeros(2, np.int64)
            rk.split_all(now, self._ptr, pieces, self.unit, self._draws, np.zeros(pieces, np.uint64), self._spare, after)
            self._now, self._spare, self._ptr = self._spare, now, after
        self._last = n
