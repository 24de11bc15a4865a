"""The obvious program: every page's access bit is drawn in every tick, counts are full scans, regions are objects."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tieringmodel.scenario import Scenario

from .setting import ALL, GAMMA, LOW32, PAGE, U64, Quota, Seen, Setting, as_rows, mix, mix_in_place


@dataclass(slots=True)
class Region:
    """Half-open address range with its counts."""

    start: int
    end: int
    nr: int = 0
    last: int = 0
    age: int = 0

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start


class Obvious:
    """A run of `Setting`'s model."""

    def __init__(self, scenario: Scenario, seed: int = 0) -> None:
        self.setting = s = Setting(scenario, seed)
        self.page_at = s.page_at
        self.pages = np.arange(s.class_of.size, dtype=np.uint64)
        self.limit = s.limits[s.class_of]
        self.list = [Region(a, b) for a, b in s.first_regions()]
        self.sz_limit = s.up(s.size_limit(s.spans[-1][1] * PAGE))
        self.quota = Quota(s)
        self.taken = self.tick = self.rotation = self.last_count = 0

    def regions(self) -> U64:
        """Return the regions as rows."""
        return as_rows(*([getattr(r, name) for r in self.list] for name in ("start", "end", "nr", "last", "age")))

    def run(self, aggregations: int, seen: Seen | None = None) -> None:
        """Run that many aggregations."""
        attrs = self.setting.attrs
        for _ in range(aggregations):
            for _ in range(attrs.aggr_us // attrs.sample_us):
                self.sample()
            self.merge()
            if seen:
                seen("aggregated", self.regions())
            self.apply()
            for r in self.list:
                r.last, r.nr = r.nr, 0
            self.split()
            if seen:
                seen("finished", self.regions())

    def rand(self, left: int, right: int) -> int:
        """Draw from [left, right)."""
        span = right - left
        bits = self._bits()
        if span <= LOW32:
            return left + (bits * span >> 32)
        return left + ((bits << 32 | self._bits()) * span >> 64)

    def _bits(self) -> int:
        self.taken += 1
        return mix((self.setting.draw_key + self.taken * GAMMA) & ALL) >> 32

    def sample(self) -> None:
        """Draw all access bits of the tick, then look at one page per region."""
        self.tick += 1
        x = self.pages | np.uint64(self.tick << 32)
        x *= np.uint64(GAMMA)
        x += np.uint64(self.setting.access_key)
        touched = mix_in_place(x) >> np.uint64(32) < self.limit
        for r in self.list:
            page = int(self.page_at[self.rand(r.start, r.end) // PAGE - self.setting.pfn0])
            r.nr += bool(page and touched[page - 1])

    def merge(self) -> None:
        """Age the regions and merge neighbours of similar counts until they are few enough."""
        attrs = self.setting.attrs
        most = attrs.aggr_us // attrs.sample_us
        threshold = max(r.nr for r in self.list) // 10
        for r in self.list:
            r.age = 0 if abs(r.nr - r.last) > threshold or (r.nr == 0) != (r.last == 0) else r.age + 1
        while True:
            out = self.list[:1]
            for r in self.list[1:]:
                left = out[-1]
                if abs(left.nr - r.nr) <= threshold and left.size + r.size <= self.sz_limit:
                    join(left, r)
                else:
                    out.append(r)
            self.list = out
            if len(out) <= attrs.max_nr_regions or most <= threshold:
                break
            threshold = max(1, 2 * threshold) if threshold < most // 2 else most
        cut = []
        for r in self.list:
            while r.size > self.sz_limit:
                cut.append(replace(r, end=r.start + self.sz_limit))
                r.start += self.sz_limit
            cut.append(r)
        self.list = cut

    def split(self) -> None:
        """Split at random, with the kernel's choice of which regions and how many pieces."""
        n, most, min_sz = len(self.list), self.setting.attrs.max_nr_regions, self.setting.min_sz
        out: list[Region] = []
        right: list[Region]
        if most // 2 < n < most:
            step = most // (most - n)
            offset = self.rotation % step
            self.rotation += 1
            for i, r in enumerate(self.list):
                out += self.cut(r) if i % step == offset and r.size >= 2 * min_sz else [r]
            self.list = out
        elif n < most:
            cuts = 2 if self.last_count == n and n < most // 3 else 1
            for r in self.list:
                left, right = r, []
                for _ in range(cuts):
                    if left.size <= 2 * min_sz:
                        break
                    left, *rest = self.cut(left)
                    right = rest + right
                out += [left, *right]
            self.list = out
        self.last_count = n

    def cut(self, r: Region) -> list[Region]:
        """Cut a region in two at a tenth of its size, drawn from 1 to 9, unless the left piece would be empty."""
        left = self.setting.down(self.rand(1, 10) * r.size // 10)
        if not left:
            return [r]
        return [replace(r, end=r.start + left), replace(r, start=r.start + left)]

    # ---- the scheme -----------------------------------------------------------------------------------------------

    def apply(self) -> None:
        """Adjust the quota, then act on region after region."""
        s, q = self.setting, self.quota
        q.begin(self.tick * s.attrs.sample_us, self.used)
        needed = self.min_score() if q.limited else 0
        limit = s.size_limit(s.spans[-1][1] * PAGE)
        out: list[Region] = []
        todo = self.list[::-1]
        while todo:
            r = todo.pop()
            if not q.full:
                skip = bool(q.resume) and r.start < q.resume
                if skip and q.resume < r.end:
                    size = s.down(q.resume - r.start) or (s.min_sz if r.size > s.min_sz else 0)
                    if size:
                        todo.append(replace(r, start=r.start + size))
                        r.end = r.start + size
                if not todo:
                    q.resume = 0
                if not skip and self.matches(r) and (not q.limited or self.score(r) >= needed):
                    if q.limited and q.charged + r.size > q.esz:
                        room = s.down(q.esz - q.charged)
                        todo.append(replace(r, start=r.start + room))
                        r.end = r.start + room
                    self.migrate(r)
                    q.charged += r.size
                    if q.full:
                        q.resume = r.end
                    r.age = 0
            if out and (out[-1].nr, out[-1].last, out[-1].age) == (r.nr, r.last, r.age) and r.end - out[-1].start <= limit:
                join(out[-1], r)
            else:
                out.append(r)
        self.list = out

    def matches(self, r: Region) -> bool:
        """Tell whether the region fits the access pattern."""
        p = self.setting.scheme.access_pattern
        return (
            p.min_sz_bytes <= r.size <= p.max_sz_bytes
            and p.min_nr_accesses <= r.nr <= p.max_nr_accesses
            and p.min_age <= r.age <= p.max_age
        )

    def score(self, r: Region) -> int:
        """Return how hot the region is, 0 ... 99."""
        attrs, weights = self.setting.attrs, self.setting.scheme.quota.weights
        frequency = r.nr * 100 // (attrs.aggr_us // attrs.sample_us)
        log_age = min((r.age * attrs.aggr_us // 1_000_000).bit_length(), 32)
        recency = ((log_age if frequency else -log_age) + 32) * 100 // 32 // 2
        score = weights.nr_accesses * frequency + weights.age * recency
        return min(score // max(weights.nr_accesses + weights.age, 1) * 99 // 100, 99)

    def min_score(self) -> int:
        """Return the highest score at which regions of at least that score fill the quota."""
        sizes = [0] * 100
        for r in self.list:
            if self.matches(r):
                sizes[self.score(r)] += r.size
        total, score = 0, max((i for i, size in enumerate(sizes) if size), default=0)
        while True:
            total += sizes[score]
            if total >= self.quota.esz or score == 0:
                return score
            score -= 1

    def used(self, node: int) -> tuple[int, int]:
        """Count a node's used frames by looking at all of them."""
        lo, hi = self.setting.spans[node]
        return int(np.count_nonzero(self.page_at[lo:hi])), hi - lo

    def migrate(self, r: Region) -> None:
        """Move the region's pages to the target node, the highest frame first, to its lowest free frames."""
        s = self.setting
        lo, hi = s.spans[s.target]
        for node, (first, last) in enumerate(s.spans):
            a, b = max(r.start // PAGE - s.pfn0, first), min(-(-r.end // PAGE) - s.pfn0, last)
            if a >= b or node == s.target:
                continue
            source = a + np.flatnonzero(self.page_at[a:b])[::-1]
            free = lo + np.flatnonzero(self.page_at[lo:hi] == 0)
            n = min(source.size, free.size)
            self.page_at[free[:n]] = self.page_at[source[:n]]
            self.page_at[source[:n]] = 0


def join(left: Region, right: Region) -> None:
    """Merge the right neighbour into the left region: truncated means by size."""
    total = left.size + right.size
    left.nr = (left.nr * left.size + right.nr * right.size) // total
    left.age = (left.age * left.size + right.age * right.size) // total
    left.end = right.end
