"""The package's own algorithm in numpy: accesses decided when looked at, counters kept, arithmetic on all regions at once.

What depends on the previous region (merging, and a split whose next draw depends on the last cut) is a Python loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tieringmodel.scenario import Scenario

from .setting import GAMMA, LOW32, PAGE, U64, Quota, Seen, Setting, as_rows, mix_in_place

_LOW, _32, _12, _1 = np.uint64(LOW32), np.uint64(32), np.uint64(12), np.uint64(1)
_GAMMA = np.uint64(GAMMA)
BLOCK = 512


class SameAlgorithm:
    """A run of `Setting`'s model; `records` packs class << 32 | logical page + 1 by frame."""

    def __init__(self, scenario: Scenario, seed: int = 0) -> None:
        self.setting = s = Setting(scenario, seed)
        self.quota = Quota(s)
        page = s.page_at.astype(np.uint64)
        here = page > 0
        self.records = page
        self.records[here] |= s.class_of[s.page_at[here] - 1].astype(np.uint64) << _32
        self.free = [hi - lo - int(np.count_nonzero(page[lo:hi])) for lo, hi in s.spans]
        self.free_512 = [self._free_by_block(lo, hi) for lo, hi in s.spans]
        self.taken = 0
        self.tick = self.rotation = self.last_count = self.migrated = 0
        first = s.first_regions()
        self.start = np.array([a for a, _ in first], np.uint64)
        self.end = np.array([b for _, b in first], np.uint64)
        self.nr = np.zeros(len(first), np.int64)
        self.last, self.age = self.nr.copy(), self.nr.copy()
        total = s.spans[-1][1] * PAGE
        self.merge_limit = s.size_limit(total)
        self.sz_limit = s.up(self.merge_limit)

    def _free_by_block(self, lo: int, hi: int) -> npt.NDArray[np.int64]:
        return np.add.reduceat(self.records[lo:hi] == 0, np.arange(0, hi - lo, BLOCK), dtype=np.int64)

    def regions(self) -> U64:
        """Return the regions as rows."""
        return as_rows(self.start, self.end, self.nr, self.last, self.age)

    def run(self, aggregations: int, seen: Seen | None = None) -> None:
        """Run that many aggregations."""
        per = self.setting.attrs.aggr_us // self.setting.attrs.sample_us
        for _ in range(aggregations):
            self.nr += self.sample(self.tick, per)
            self.tick += per
            self.merge()
            if seen:
                seen("aggregated", self.regions())
            self.apply()
            self.last, self.nr = self.nr, np.zeros_like(self.nr)
            self.split()
            if seen:
                seen("finished", self.regions())

    # ---- sampling -------------------------------------------------------------------------------------------------

    def draws(self, counter: U64) -> U64:
        """Return 32 random bits per counter, in place."""
        counter += _1
        counter *= _GAMMA
        counter += np.uint64(self.setting.draw_key)
        mix_in_place(counter)
        counter >>= _32
        return counter

    def sample(self, after: int, ticks: int) -> npt.NDArray[np.int64]:
        """Check one page per region in each of the next ticks; return hits per region.

        All ticks of an aggregation are one two-dimensional calculation: half the time of one tick after the other.
        """
        s, span = self.setting, self.end - self.start
        wide = span > _LOW
        first = np.cumsum(1 + wide) - 1 - wide
        per_tick = span.size + int(np.count_nonzero(wide))
        turn = np.arange(ticks, dtype=np.uint64)[:, None]
        counter = np.uint64(self.taken) + turn * np.uint64(per_tick) + first.astype(np.uint64)
        self.taken += ticks * per_tick
        if wide.any():
            low = self.draws(counter[:, wide] + _1)
            high = self.draws(counter)
            bits = (high * span) >> _32
            bits[:, wide] = _mul_high(high[:, wide], low, span[wide])
        else:
            bits = self.draws(counter)
            bits *= span
            bits >>= _32
        bits += self.start
        bits >>= _12
        bits -= np.uint64(s.pfn0)
        record = self.records[bits.view(np.int64)]
        page = record & _LOW
        limit = s.limits[(record >> _32).view(np.int64)]
        limit[page == 0] = 0
        page -= _1
        page |= (turn + np.uint64(after + 1)) << _32
        page *= _GAMMA
        page += np.uint64(s.access_key)
        mix_in_place(page)
        page >>= _32
        return np.asarray(np.count_nonzero(page < limit, axis=0))

    # ---- regions --------------------------------------------------------------------------------------------------

    def merge(self) -> None:
        """Age all regions at once, then merge left to right until they are few enough."""
        attrs, size_limit = self.setting.attrs, self.sz_limit
        threshold, most = int(self.nr.max()) // 10, attrs.aggr_us // attrs.sample_us
        changed = (np.abs(self.nr - self.last) > threshold) | ((self.nr == 0) != (self.last == 0))
        self.age = np.where(changed, 0, self.age + 1)
        rows = list(zip(*(c.tolist() for c in (self.start, self.end, self.nr, self.last, self.age)), strict=True))
        while True:
            rows = _merged(rows, threshold, size_limit)
            if len(rows) <= attrs.max_nr_regions or most <= threshold:
                break
            threshold = max(1, 2 * threshold) if threshold < most // 2 else most
        self._take(rows)
        if int((self.end - self.start).max()) > self.sz_limit:
            self._take([
                (at, min(at + self.sz_limit, end), nr, last, age)
                for start, end, nr, last, age in rows for at in range(start, end, self.sz_limit)
            ])  # fmt: skip

    def _take(self, rows: list[tuple[int, int, int, int, int]]) -> None:
        start, end, nr, last, age = zip(*rows, strict=True)
        self.start, self.end = np.array(start, np.uint64), np.array(end, np.uint64)
        self.nr, self.last, self.age = (np.array(c, np.int64) for c in (nr, last, age))

    def split(self) -> None:
        """Split at random, with the kernel's choice of which regions and how many pieces."""
        n, most = self.start.size, self.setting.attrs.max_nr_regions
        size, min_sz = (self.end - self.start).view(np.int64), self.setting.min_sz
        if most // 2 < n < most:
            step = most // (most - n)
            chosen = np.flatnonzero((np.arange(n) % step == self.rotation % step) & (size >= 2 * min_sz))
            self.rotation += 1
            self._cut(chosen, size)
        elif n < most:
            if self.last_count == n and n < most // 3:
                self._cut_twice(size)
            else:
                self._cut(np.flatnonzero(size > 2 * min_sz), size)
        self.last_count = n

    def _cut(self, chosen: npt.NDArray[np.int64], size: npt.NDArray[np.int64]) -> None:
        """Cut each chosen region in two, one draw each."""
        left = self._tenths(chosen.size) * size[chosen] // 10
        self.taken += chosen.size
        left -= left % self.setting.min_sz
        chosen, left = chosen[left > 0], left[left > 0]
        middle = self.start[chosen] + left.astype(np.uint64)
        self._divide(chosen + 1, middle, chosen)

    def _tenths(self, n: int) -> npt.NDArray[np.int64]:
        """Return the next n draws as 1 ... 9, without taking them."""
        return 1 + (self.draws(np.arange(self.taken, self.taken + n, dtype=np.uint64)).view(np.int64) * 9 >> 32)

    def _divide(self, at: npt.NDArray[np.int64], border: U64, owner: npt.NDArray[np.int64]) -> None:
        """Insert borders; `at` says before which region, `owner` whose counts the right piece inherits."""
        self.nr, self.last, self.age = (np.insert(c, at, c[owner]) for c in (self.nr, self.last, self.age))
        self.start = np.insert(self.start, at, border)
        self.end = np.append(self.start[1:], self.end[-1:])

    def _cut_twice(self, size: npt.NDArray[np.int64]) -> None:
        """Cut each region up to twice; the second cut divides the left piece, so its draw depends on the first."""
        min_sz = self.setting.min_sz
        tenths = self._tenths(2 * size.size).tolist()
        used, owner, border = 0, [], []
        for i, (start, left) in enumerate(zip(self.start.tolist(), size.tolist(), strict=True)):
            cuts = []
            for _ in range(2):
                if left <= 2 * min_sz:
                    break
                cut = tenths[used] * left // 10
                cut -= cut % min_sz
                used += 1
                if cut:
                    cuts.append(start + cut)
                    left = cut
            owner += [i] * len(cuts)
            border += cuts[::-1]
        self.taken += used
        whose = np.array(owner, np.int64)
        self._divide(whose + 1, np.array(border, np.uint64), whose)

    # ---- the scheme -----------------------------------------------------------------------------------------------

    def apply(self) -> None:
        """Adjust the quota, then act on the regions above the priority threshold until it is used up."""
        s, pattern, q = self.setting, self.setting.scheme.access_pattern, self.quota
        size = self.end - self.start
        q.begin(self.tick * s.attrs.sample_us, lambda i: (self._frames(i) - self.free[i], self._frames(i)))
        wanted = (pattern.min_nr_accesses <= self.nr) & (self.nr <= pattern.max_nr_accesses)
        wanted &= (pattern.min_age <= self.age) & (self.age <= pattern.max_age)
        if q.limited:
            score = self._scores()
            fits = wanted & (pattern.min_sz_bytes <= size) & (size <= np.uint64(pattern.max_sz_bytes))
            bytes_by_score = np.zeros(100, np.uint64)
            np.add.at(bytes_by_score, score[fits], size[fits])
            enough = np.flatnonzero(np.cumsum(bytes_by_score[::-1]) >= q.esz)
            top = int(score[fits].max()) if fits.any() else 0
            wanted &= score >= min(99 - int(enough[0]) if enough.size else 0, top)
        if not q.full:
            self._visit(wanted)
        self._join_equal()

    def _frames(self, node: int) -> int:
        lo, hi = self.setting.spans[node]
        return hi - lo

    def _scores(self) -> npt.NDArray[np.int64]:
        """Return the hot score of every region."""
        attrs, weights = self.setting.attrs, self.setting.scheme.quota.weights
        frequency = self.nr * 100 // (attrs.aggr_us // attrs.sample_us)
        seconds = self.age * attrs.aggr_us // 1_000_000
        log_age = np.minimum(np.frexp(seconds)[1].astype(np.int64), 32)
        log_age = np.where(frequency == 0, -log_age, log_age)
        score = weights.nr_accesses * frequency + weights.age * ((log_age + 32) * 100 // 32 // 2)
        score //= max(weights.nr_accesses + weights.age, 1)
        return np.asarray(np.minimum(score * 99 // 100, 99))

    def _visit(self, wanted: npt.NDArray[np.bool_]) -> None:
        """Act on wanted regions in address order; regions are cut where the last window stopped and where this one does."""
        s, q, last = self.setting, self.quota, self.start.size - 1
        pattern = s.scheme.access_pattern
        todo = set(np.flatnonzero(wanted).tolist())
        if q.resume:
            todo |= {last, max(int(np.searchsorted(self.start, np.uint64(q.resume))) - 1, 0)}
        pieces: list[tuple[int, int, int, int]] = []
        for i in sorted(todo):
            if q.full:
                break
            stack = [(int(self.start[i]), int(self.end[i]))]
            while stack:
                start, end = stack.pop()
                age = int(self.age[i])
                if not q.full:
                    skip = bool(q.resume) and start < q.resume
                    if skip and q.resume < end:
                        size = s.down(q.resume - start) or (s.min_sz if end - start > s.min_sz else 0)
                        if size:
                            stack.append((start + size, end))
                            end = start + size
                    if not stack and i == last:
                        q.resume = 0
                    if not skip and wanted[i] and pattern.min_sz_bytes <= end - start <= pattern.max_sz_bytes:
                        if q.limited and q.charged + end - start > q.esz:
                            room = s.down(q.esz - q.charged)
                            stack.append((start + room, end))
                            end = start + room
                        self.migrate(start // PAGE - s.pfn0, -(-end // PAGE) - s.pfn0)
                        q.charged += end - start
                        if q.full:
                            q.resume = end
                        age = 0
                pieces.append((i, start, end, age))
        self._put(pieces)

    def _put(self, pieces: list[tuple[int, int, int, int]]) -> None:
        """Replace each region that was visited by its pieces."""
        index = np.array([p[0] for p in pieces], np.int64)
        count = np.ones(self.start.size, np.int64)
        visited, counts = np.unique(index, return_counts=True)
        count[visited] = counts
        at = np.repeat(np.isin(np.arange(self.start.size), visited), count)
        self._each(lambda column: np.repeat(column, count))
        self.start[at] = [p[1] for p in pieces]
        self.end[at] = [p[2] for p in pieces]
        self.age[at] = [p[3] for p in pieces]

    def _join_equal(self) -> None:
        """Merge regions that equal their left neighbour in everything, up to the size limit."""
        same = (self.nr[1:] == self.nr[:-1]) & (self.last[1:] == self.last[:-1]) & (self.age[1:] == self.age[:-1])
        keep = np.ones(self.start.size, np.bool_)
        left = 0
        for i in (np.flatnonzero(same) + 1).tolist():
            if keep[i - 1]:
                left = i - 1
            if self.end[i] - self.start[left] <= self.merge_limit:
                keep[i] = False
                self.end[left] = self.end[i]
        if not keep.all():
            self._each(lambda column: column[keep])

    def _each(self, change: Callable[[Any], Any]) -> None:
        """Change all five columns alike."""
        self.start, self.end = change(self.start), change(self.end)
        self.nr, self.last, self.age = change(self.nr), change(self.last), change(self.age)

    # ---- memory ---------------------------------------------------------------------------------------------------

    def migrate(self, first: int, last: int) -> None:
        """Move the pages on frames [first, last) to the target node, the highest frame first, to its lowest free frames."""
        for node, (lo, hi) in enumerate(self.setting.spans):
            a, b = max(first, lo), min(last, hi)
            if a >= b or node == self.setting.target:
                continue
            source = a + np.flatnonzero(self.records[a:b])[::-1]
            source = source[: self.free[self.setting.target]]
            target = self.lowest_free(self.setting.target, source.size)
            self.records[target] = self.records[source]
            self.records[source] = 0
            self._count(node, source, 1)
            self._count(self.setting.target, target, -1)
            self.migrated += source.size

    def lowest_free(self, node: int, n: int) -> npt.NDArray[np.int64]:
        """Return the n lowest free frames of a node, found through the counts by block."""
        if not n:
            return np.zeros(0, np.int64)
        lo, hi = self.setting.spans[node]
        blocks = np.flatnonzero(self.free_512[node])
        enough = int(np.searchsorted(np.cumsum(self.free_512[node][blocks]), n))
        blocks = blocks[: enough + 1]
        if blocks[-1] - blocks[0] + 1 == blocks.size:
            a, b = lo + int(blocks[0]) * BLOCK, min(lo + (int(blocks[-1]) + 1) * BLOCK, hi)
            return np.asarray(a + np.flatnonzero(self.records[a:b] == 0)[:n])
        frames = (lo + blocks[:, None] * BLOCK + np.arange(BLOCK)).ravel()
        frames = frames[frames < hi]
        return np.asarray(frames[self.records[frames] == 0][:n])

    def _count(self, node: int, frames: npt.NDArray[np.int64], sign: int) -> None:
        """Keep the counters: frames that became free (+1) or taken (-1)."""
        self.free[node] += sign * frames.size
        if frames.size:
            by_block = np.bincount((frames - self.setting.spans[node][0]) // BLOCK)
            self.free_512[node][: by_block.size] += sign * by_block


def _merged(rows: list[tuple[int, int, int, int, int]], threshold: int, limit: int) -> list[tuple[int, int, int, int, int]]:
    """Merge each region into its left neighbour where counts are near and the size allows; truncated weighted means."""
    out: list[tuple[int, int, int, int, int]] = []
    a, b, nr, last, age = rows[0]
    for row in rows[1:]:
        start, end, nr2, _, age2 = row
        if -threshold <= nr - nr2 <= threshold and end - a <= limit:
            left, right, total = b - a, end - start, end - a
            nr, age, b = (nr * left + nr2 * right) // total, (age * left + age2 * right) // total, end
        else:
            out.append((a, b, nr, last, age))
            a, b, nr, last, age = row
    out.append((a, b, nr, last, age))
    return out


def _mul_high(high: U64, low: U64, span: U64) -> U64:
    """Return the high 64 bits of (high << 32 | low) * span."""
    c, d = span >> _32, span & _LOW
    middle = high * d + ((low * d) >> _32)
    return np.asarray(high * c + (middle >> _32) + ((low * c + (middle & _LOW)) >> _32))
