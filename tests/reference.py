"""DAMON in slow, literal Python: the specification's words as code, on lists of objects, to hold the kernels against.

Written from the specification alone and sharing nothing with the package. Numbers wrap as the kernel's do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from reference_rules import LATEST, Rules

U64, U32 = 2**64 - 1, 2**32 - 1


@dataclass
class Region:
    start: int
    end: int
    nr: int = 0
    last: int = 0
    age: int = 0
    bp: int = 0  # the moving sum in basis points that kernels before 7.3 keep
    sampled: int = 0  # the address that the last prepare drew

    @property
    def size(self) -> int:
        return self.end - self.start

    def row(self) -> list[int]:
        return [self.start, self.end, self.nr, self.last, self.age]


Targets = list[list[Region]]


def targets_of(rows: Sequence[Sequence[Sequence[int]]]) -> Targets:
    return [[Region(*row) for row in target] for target in rows]


def rows_of(targets: Targets) -> list[list[list[int]]]:
    return [[r.row() for r in target] for target in targets]


def mult_frac(x: int, numerator: int, denominator: int) -> int:
    return (x // denominator * numerator + x % denominator * numerator // denominator) & U64


def signed(x: int) -> int:
    """The low 32 bits as an int."""
    return (x & U32 ^ 2**31) - 2**31


def align_down(x: int, unit: int) -> int:
    return x // unit * unit


def split_at(target: list[Region], i: int, size: int) -> None:
    left = target[i]
    target.insert(i + 1, Region(left.start + size, left.end, left.nr, left.last, left.age, left.bp))
    left.end = left.start + size


def merge_two(left: Region, right: Region) -> None:
    a, b = left.size, right.size
    left.nr = (left.nr * a + right.nr * b & U64) // (a + b) & U32
    left.age = (left.age * a + right.age * b & U64) // (a + b) & U32
    left.bp = left.nr * 10_000 & U32
    left.end = right.end


def position(target: list[Region], region: Region) -> int:
    return next(i for i, r in enumerate(target) if r is region)


# ---- c.1 to c.4 ---------------------------------------------------------------------------------------------------


def merge_pass(target: list[Region], threshold: int, sz_limit: int, count_age: bool, rules: Rules = LATEST) -> None:
    i = 0
    while i < len(target):
        r = target[i]
        if count_age:
            woke = rules["age_reset_on_zero"] and (r.nr == 0) != (r.last == 0)
            if abs(r.nr - r.last) > threshold or woke:
                r.age = 0
            else:
                r.age = r.age + 1 & U32
        previous = target[i - 1] if i else None
        if previous and previous.end == r.start and abs(r.nr - previous.nr) <= threshold and previous.size + r.size <= sz_limit:
            merge_two(previous, r)
            del target[i]
        else:
            i += 1


def merge_regions(
    targets: Targets, threshold: int, sz_limit: int, max_thres: int, max_nr_regions: int, rules: Rules = LATEST
) -> None:
    count_age = True
    while True:
        for target in targets:
            merge_pass(target, threshold, sz_limit, count_age, rules)
        count_age = not rules["count_age_once"]
        if sum(map(len, targets)) <= max_nr_regions:
            return
        if rules["cap_merge_threshold"]:
            if max_thres <= threshold:
                return
            threshold = max(1, threshold * 2) if threshold < max_thres // 2 else max_thres
        else:
            threshold = max(1, threshold * 2)
            if threshold // 2 >= max_thres:
                return


def size_limit(targets: Targets, min_nr_regions: int, min_sz: int) -> int:
    return max(sum(r.size for t in targets for r in t) // min_nr_regions, min_sz)


def apply_min_nr_regions(targets: Targets, min_nr_regions: int, min_sz: int) -> int:
    limit = -(-size_limit(targets, min_nr_regions, min_sz) // min_sz) * min_sz
    for target in targets:
        i = 0
        while i < len(target):
            if target[i].size > limit:
                split_at(target, i, limit)
            i += 1
    return limit


def tenth(draw: int) -> int:
    """1 … 9 from 32 random bits."""
    return 1 + (draw * 9 >> 32)


def split_each(targets: Targets, pieces: int, min_sz: int, draws: Iterator[int]) -> None:
    for target in targets:
        for r in list(target):
            size = r.size
            for _ in range(pieces - 1):
                if size <= 2 * min_sz:
                    break
                left = align_down(tenth(next(draws)) * size // 10, min_sz)
                if left == 0 or left >= size:
                    continue
                split_at(target, position(target, r), left)
                size = left


def split_regions(
    targets: Targets, state: dict[str, int], limit: int, min_sz: int, draws: Iterator[int], rules: Rules = LATEST
) -> None:
    """``state`` holds the shared variables ``rotation`` and ``last``."""
    n = sum(map(len, targets))
    if not rules["split_some_regions"] and n > limit // 2:
        return
    if n < limit and n > limit // 2:
        step = limit // (limit - n)
        offset = state["rotation"] % step
        state["rotation"] += 1
        numbered = [(t, r) for t in targets for r in t]
        for index, (target, r) in enumerate(numbered):
            if index % step == offset and r.size >= 2 * min_sz:
                left = align_down(tenth(next(draws)) * r.size // 10, min_sz)
                if 0 < left < r.size:
                    split_at(target, position(target, r), left)
    elif n < limit:
        split_each(targets, 3 if state["last"] == n and n < limit // 3 else 2, min_sz, draws)
    state["last"] = n


# ---- d, e: schemes ------------------------------------------------------------------------------------------------


@dataclass
class AddrFilter:
    start: int
    end: int
    matching: bool
    allow: bool


@dataclass
class TargetFilter:
    index: int
    matching: bool
    allow: bool


@dataclass
class RefScheme:
    score: str  # "hot", "cold" or "top"
    pattern: tuple[int, int, int, int, int, int] = (0, U64, 0, U32, 0, U32)
    sz: int = 0
    ms: int = 0
    reset_jiffies: int = 0
    weights: tuple[int, int] = (0, 0)
    fail_charge: tuple[int, int] = (0, 0)
    max_nr_snapshots: int = 0
    filters: Sequence[AddrFilter | TargetFilter] = ()
    keep_age: bool = False
    next_apply: int = 0
    state: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            (
                "esz", "charged_sz", "total_charged_sz", "total_charged_ns", "charged_from", "charge_target",
                "charge_addr", "min_score", "nr_tried", "sz_tried", "nr_applied", "sz_applied",
                "sz_ops_filter_passed", "qt_exceeds", "nr_snapshots",
            ),
            0,
        )
    )  # fmt: skip

    @property
    def quota_set(self) -> bool:
        return bool(self.sz or self.ms)

    @property
    def default_reject(self) -> bool:
        return bool(self.filters) and self.filters[-1].allow


@dataclass
class Window:
    """What the moving sum and the scores depend on."""

    passed: int
    next_aggregation: int
    sample_us: int
    aggr_us: int
    rules: Rules = field(default_factory=lambda: LATEST)

    def mvsum(self, r: Region) -> int:
        if not self.rules["mvsum_on_demand"]:
            return r.bp // 10_000
        length = max(self.aggr_us, 1) // max(self.sample_us, 1)
        left = max(self.next_aggregation - self.passed, 0)
        left_bp = mult_frac(left, 10_000, length)
        return r.last if left_bp == 10_000 else r.nr + mult_frac(r.last, left_bp, 10_000) & U32

    def hot(self, r: Region, weights: tuple[int, int]) -> int:
        seen = self.mvsum(r) if self.rules["score_mvsum"] else r.nr
        frequency = mult_frac(seen, 100, max(self.aggr_us // max(self.sample_us, 1), 1))
        seconds = r.age * self.aggr_us // 1_000_000 & U32
        log_age = min(seconds.bit_length(), 32)
        if frequency == 0:
            log_age = -log_age
        recency = (log_age + 32) * 100 // 32 // 2
        heat, total = weights[0] * frequency + weights[1] * recency & U32, sum(weights) & U32
        if total:
            heat //= total
        heat = signed(signed(heat) * 99)
        return min(max((abs(heat) // 100) * (1 if heat > 0 else -1), 0), 99)

    def score(self, s: RefScheme, r: Region) -> int:
        return {"hot": self.hot(r, s.weights), "cold": 99 - self.hot(r, s.weights), "top": 99}[s.score]

    def pattern_ok(self, s: RefScheme, r: Region) -> bool:
        low_sz, high_sz, low_nr, high_nr, low_age, high_age = s.pattern
        return low_sz <= r.size <= high_sz and low_nr <= self.mvsum(r) <= high_nr and low_age <= r.age <= high_age


Operation = Callable[[int, int, Region], tuple[int, int, int]]
"""(scheme, target, region) -> bytes applied, bytes passed, ns."""


class Damos:
    """``kdamond_apply_schemes`` on one context."""

    def __init__(self, schemes: Sequence[RefScheme], min_sz: int, min_nr_regions: int, operation: Operation) -> None:
        self.schemes, self.min_sz, self.min_nr, self.operation = schemes, min_sz, min_nr_regions, operation
        self.applied: list[list[int]] = []

    def full(self, s: RefScheme) -> bool:
        charged, esz = s.state["charged_sz"], s.state["esz"]
        return s.quota_set and (charged >= esz or esz - charged < self.min_sz)

    def dropped(self, s: RefScheme, targets: Targets, t: int, i: int) -> bool:
        r = targets[t][i]
        for f in s.filters:
            if isinstance(f, AddrFilter):
                start, end = align_down(f.start, self.min_sz), align_down(f.end, self.min_sz)
                if start <= r.start and r.end <= end:
                    inside = True
                elif r.end <= start or end <= r.start:
                    inside = False
                elif r.start < start:
                    split_at(targets[t], i, start - r.start)
                    inside = False
                else:
                    split_at(targets[t], i, end - r.start)
                    inside = True
            else:
                inside = t == f.index
            if inside == f.matching:
                return not f.allow
        return s.default_reject

    def set_effective(self, s: RefScheme) -> None:
        if not s.ms:
            s.state["esz"] = s.sz
            return
        ns = s.state["total_charged_ns"]
        rate = mult_frac(s.state["total_charged_sz"], 1_000_000, ns) if ns else 4096 * 1024
        esz = min(U64, max(rate * s.ms, self.min_sz))
        s.state["esz"] = min(esz, s.sz) if s.sz else esz

    def adjust(self, s: RefScheme, targets: Targets, window: Window, jiffies: int) -> None:
        if not s.quota_set:
            return
        if s.state["total_charged_sz"] == 0 and s.state["charged_from"] == 0:
            s.state["charged_from"] = jiffies
            self.set_effective(s)
        if jiffies >= s.state["charged_from"] + s.reset_jiffies:
            s.state["qt_exceeds"] += self.full(s)
            s.state["total_charged_sz"] += s.state["charged_sz"]
            s.state["charged_from"], s.state["charged_sz"] = jiffies, 0
            self.set_effective(s)
        s.state["min_score"] = self.threshold(s, targets, window)[1]

    def threshold(self, s: RefScheme, targets: Targets, window: Window) -> tuple[dict[int, int], int]:
        histogram = dict.fromkeys(range(100), 0)
        highest = 0
        for t, target in enumerate(targets):
            i = 0
            while i < len(target):
                r = target[i]
                if window.pattern_ok(s, r) and not self.dropped(s, targets, t, i):
                    histogram[window.score(s, r)] += r.size
                    highest = max(highest, window.score(s, r))
                i += 1
        total, score = 0, highest
        while True:
            total += histogram[score]
            if total >= s.state["esz"] or score == 0:
                return histogram, score
            score -= 1

    def skip_charged(self, s: RefScheme, targets: Targets, t: int, i: int) -> bool:
        state, r = s.state, targets[t][i]
        if state["charge_target"] == 0:
            return False
        if state["charge_target"] != t + 1:
            return True
        address, skip = state["charge_addr"], False
        if address and r.end <= address:
            skip = True
        elif address and r.start < address:
            skip = True
            size = align_down(address - r.start, self.min_sz)
            if size == 0 and r.size > self.min_sz:
                size = self.min_sz
            if size:
                split_at(targets[t], i, size)
        if targets[t][-1] is r:
            state["charge_target"] = state["charge_addr"] = 0
        return skip

    def act(self, index: int, targets: Targets, t: int, i: int, window: Window) -> None:
        s, r = self.schemes[index], targets[t][i]
        state, applied, passed, size = s.state, 0, 0, r.size
        mvsum, age, score = window.mvsum(r), r.age, window.score(s, r)
        run = True
        if s.quota_set and state["charged_sz"] + size > state["esz"]:
            size = align_down(state["esz"] - state["charged_sz"], self.min_sz)
            if size == 0:
                run = False
            else:
                split_at(targets[t], i, size)
        if run:
            if self.dropped(s, targets, t, i):
                return
            size = r.size
            applied, passed, ns = self.operation(index, t, r)
            state["total_charged_ns"] += ns
            numerator, denominator = s.fail_charge
            if denominator == 0 or applied > size:
                state["charged_sz"] += size
            else:
                state["charged_sz"] += applied + mult_frac(size - applied, numerator, denominator)
            if self.full(s):
                state["charge_target"], state["charge_addr"] = t + 1, r.end
            self.applied.append([index, t, r.start, r.end, mvsum, age, score, applied])
            if not s.keep_age:
                r.age = 0
        state["nr_tried"] += 1
        state["sz_tried"] += size
        state["nr_applied"] += applied > 0
        state["sz_applied"] += applied
        state["sz_ops_filter_passed"] += passed

    def run(self, targets: Targets, window: Window, jiffies: int, periods: Sequence[int]) -> None:
        """One call; `periods` are the schemes' apply intervals in samples."""
        self.applied = []
        due = [window.passed >= s.next_apply for s in self.schemes]
        if not any(due):
            return
        for s, now in zip(self.schemes, due, strict=True):
            if now:
                self.adjust(s, targets, window, jiffies)
        limit = size_limit(targets, self.min_nr, self.min_sz)
        for t, target in enumerate(targets):
            i = 0
            while i < len(target):
                r = target[i]
                for index, s in enumerate(self.schemes):
                    if not due[index] or self.full(s) or self.skip_charged(s, targets, t, i):
                        continue
                    if s.max_nr_snapshots and s.state["nr_snapshots"] >= s.max_nr_snapshots:
                        continue
                    if window.pattern_ok(s, r) and (not s.quota_set or window.score(s, r) >= s.state["min_score"]):
                        self.act(index, targets, t, i, window)
                    if target[-1] is r:
                        s.state["nr_snapshots"] += 1
                left = target[i - 1] if i else None
                if (
                    left
                    and left.end == r.start
                    and (left.age, left.last, left.nr) == (r.age, r.last, r.nr)
                    and left.size + r.size <= limit
                ):
                    merge_two(left, r)
                    del target[i]
                else:
                    i += 1
        for index, s in enumerate(self.schemes):
            if due[index]:
                s.next_apply = window.passed + periods[index]


# ---- workload groups (golden/README.md, section 6) ----------------------------------------------------------------


def mix32(h: int) -> int:
    h ^= h >> 16
    h = h * 0x7FEB352D & U32
    h ^= h >> 15
    h = h * 0x846CA68B & U32
    return h ^ h >> 16


def period_touches(p: int, t: int, *, lo: int, hi: int, period: int, phase: int, stride: int, sweep: int = 0) -> bool:
    late = (p - lo) * sweep // (hi - lo)
    return (t + phase - late) % period == 0 and (p - lo) % stride == 0


def hash_touches(p: int, t: int, *, threshold: int, salt: int) -> bool:
    return mix32(p * 0x9E3779B1 + t * 0x85EBCA77 + salt & U32) < threshold
