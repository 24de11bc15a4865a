"""Schemes of whole runs in slow, literal Python: patterns, filters, quotas, and one pass of all schemes over all regions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reference import Region, Targets, Window, align_down, merge_two, position, size_limit, split_at
from reference_machine import Machine
from reference_ops import CORE_FILTERS, Operations
from reference_quota import (
    MEMCG_METRICS,
    NODE_METRICS,
    Goal,
    Quota,
    measure_active,
    measure_eligible,
    measure_node,
    measure_psi,
)
from reference_rules import LATEST, Rules

STATISTICS = ("nr_tried", "sz_tried", "nr_applied", "sz_applied", "sz_ops_filter_passed", "qt_exceeds", "nr_snapshots")


@dataclass
class Target:
    process: int
    regions: list[Region] = field(default_factory=list)


@dataclass
class Watermarks:
    metric: int
    interval_us: int
    high: int
    mid: int
    low: int
    active: bool = True

    def wait_us(self, free_rate: int) -> int:
        """How long to wait; 0 for an active scheme."""
        if not self.metric:
            return 0
        outside = free_rate > self.high or free_rate < self.low
        if outside or (free_rate >= self.mid and not self.active):
            self.active = False
            return self.interval_us
        self.active = True
        return 0


@dataclass
class Scheme:
    given: dict
    quota: Quota
    wmarks: Watermarks
    rules: Rules
    core_filters: list[dict] = field(default_factory=list)
    ops_filters: list[dict] = field(default_factory=list)
    core_allowed: bool = False
    last_applied: int | None = None  # a slot
    next_apply: int = 0
    stats: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATISTICS, 0))

    @classmethod
    def new(cls, to: dict, rules: Rules = LATEST) -> Scheme:
        scheme = cls(to, Quota.new(to, rules), Watermarks(*to["wmarks"]), rules)
        scheme.set_filters()
        return scheme

    def commit(self, to: dict) -> None:
        """New parameters; quota state, resume point, statistics and clocks stay. Whatever its marks said, it is active."""
        self.given = to
        self.quota.commit(to)
        self.wmarks = Watermarks(*to["wmarks"])
        self.set_filters()

    def set_filters(self) -> None:
        self.core_filters = [f for f in self.given["filters"] if f["type"] in CORE_FILTERS]
        self.ops_filters = [f for f in self.given["filters"] if f["type"] not in CORE_FILTERS]

    @property
    def action(self) -> str:
        return self.given["action"]

    @property
    def target_nid(self) -> int:
        return self.given["target_nid"]

    @property
    def dests(self) -> list[list[int]]:
        return self.given["dests"]

    @property
    def core_default_reject(self) -> bool:
        if not self.rules["allow_filters"] or self.ops_filters or not self.core_filters:
            return False
        return self.core_filters[-1]["allow"]

    @property
    def ops_default_reject(self) -> bool:
        return self.rules["allow_filters"] and bool(self.ops_filters) and self.ops_filters[-1]["allow"]

    def period(self, sample_us: int, aggr_us: int) -> int:
        return (self.given["apply_interval_us"] or aggr_us) // max(sample_us, 1)

    def pattern_ok(self, r: Region, window: Window) -> bool:
        low_sz, high_sz, low_nr, high_nr, low_age, high_age = self.given["pattern"]
        return low_sz <= r.size <= high_sz and low_nr <= window.mvsum(r) <= high_nr and low_age <= r.age <= high_age


Record = Callable[[int, int, Region, int, int, int, int, int], None]
"""(scheme, target, region, nr_accesses, age, score, applied, passed) of a region that was handed to the operation."""


@dataclass
class Pass:
    """One pass of the schemes over the regions."""

    schemes: Sequence[Scheme]
    targets: Sequence[Target]
    window: Window
    machine: Machine
    ops: Operations
    min_sz: int
    min_nr_regions: int
    record: Record

    @property
    def rules(self) -> Rules:
        return self.machine.rules

    @property
    def lists(self) -> Targets:
        return [t.regions for t in self.targets]

    def run(self) -> None:
        passed = self.window.passed
        due = [passed >= s.next_apply for s in self.schemes]
        working = [now and s.wmarks.active for s, now in zip(self.schemes, due, strict=True)]
        if not any(working):
            return
        for s, works in zip(self.schemes, working, strict=True):
            if works:
                self.adjust_quota(s)
        limit = size_limit(self.lists, self.min_nr_regions, self.min_sz)
        for target in self.targets:
            if self.rules["walk_split_regions"]:
                i = 0
                while i < len(target.regions):
                    i = self.visit(target, target.regions[i], working, limit)
            else:
                for r in list(target.regions):
                    self.visit(target, r, working, limit)
        for s, now in zip(self.schemes, due, strict=True):
            if now:
                s.next_apply = passed + s.period(self.window.sample_us, self.window.aggr_us)
                s.last_applied = None

    def visit(self, target: Target, r: Region, working: Sequence[bool], limit: int) -> int:
        """Every scheme on one region; the position of the next one."""
        for index, s in enumerate(self.schemes):
            if not working[index] or s.quota.full(self.min_sz):
                continue
            skip, r = self.skip_charged(s, target, r)
            if skip:
                continue
            most = s.given["max_nr_snapshots"] if self.rules["max_nr_snapshots"] else 0
            if most and s.stats["nr_snapshots"] >= most:
                continue
            if self.eligible(s, r):
                self.act(index, target, r)
            if self.rules["max_nr_snapshots"] and target.regions[-1] is r:
                s.stats["nr_snapshots"] += 1
        i = position(target.regions, r)
        if self.rules["merge_after_apply"] and i:
            left = target.regions[i - 1]
            same = (left.age, left.last, left.nr) == (r.age, r.last, r.nr)
            if left.end == r.start and same and left.size + r.size <= limit:
                stored = left.bp  # of the running window: not what the counts so far would give
                merge_two(left, r)
                left.bp = stored
                del target.regions[i]
                return i
        return i + 1

    # ---- which regions

    def score(self, s: Scheme, r: Region) -> int:
        kind = self.ops.score_of(s.action)
        if kind == "top":
            return 99
        hot = self.window.hot(r, (s.quota.weights[1], s.quota.weights[2]))
        return hot if kind == "hot" else 99 - hot

    def eligible(self, s: Scheme, r: Region) -> bool:
        if not s.pattern_ok(r, self.window):
            return False
        return not s.quota.is_set or self.score(s, r) >= s.quota.min_score

    def skip_charged(self, s: Scheme, target: Target, r: Region) -> tuple[bool, Region]:
        """Is the region passed over because an earlier pass charged it? And the region that the schemes go on with."""
        quota = s.quota
        if quota.charge_target is None:
            return False, r
        if quota.charge_target is not target:
            return True, r
        if not self.rules["skip_only_charged"]:
            return self.skip_charged_once(quota, target, r)
        skip, address = False, quota.charge_addr
        if address and r.end <= address:
            skip = True
        elif address and r.start < address:
            skip = True
            size = self.charged_part(r, address)
            if size:
                self.split(target, r, size)
        if target.regions[-1] is r:
            quota.forget_target()
        return skip, r

    def skip_charged_once(self, quota: Quota, target: Target, r: Region) -> tuple[bool, Region]:
        """The last region is passed over, whatever the address; the first one that is not clears the address."""
        address = quota.charge_addr
        if target.regions[-1] is r:
            quota.forget_target()
            return True, r
        if address and r.end <= address:
            return True, r
        if address and r.start < address:
            size = self.charged_part(r, address)
            if not size:
                return True, r
            self.split(target, r, size)
            r = target.regions[position(target.regions, r) + 1]
        quota.forget_target()
        return False, r

    def charged_part(self, r: Region, address: int) -> int:
        """How much of a region to cut off in front; 0 if it is too small to be cut."""
        size = align_down(address - r.start, self.min_sz)
        if size:
            return size
        return self.min_sz if r.size > self.min_sz else 0

    def split(self, target: Target, r: Region, size: int) -> None:
        split_at(target.regions, position(target.regions, r), size)

    # ---- core filters

    def dropped(self, s: Scheme, target: Target, r: Region) -> bool:
        s.core_allowed = False
        for f in s.core_filters:
            if self.core_match(f, target, r) == f["matching"]:
                if not self.rules["allow_filters"]:
                    return True
                s.core_allowed = f["allow"]
                return not f["allow"]
        return s.core_default_reject

    def core_match(self, f: dict, target: Target, r: Region) -> bool:
        if f["type"] == "target":
            return next(i for i, t in enumerate(self.targets) if t is target) == f["idx"]
        start, end = align_down(f["start"], self.min_sz), align_down(f["end"], self.min_sz)
        if start <= r.start and r.end <= end:
            return True
        if r.end <= start or end <= r.start:
            return False
        if r.start < start:
            self.split(target, r, start - r.start)
            return False
        self.split(target, r, end - r.start)
        return True

    # ---- quotas

    def adjust_quota(self, s: Scheme) -> None:
        quota = s.quota
        if not quota.adjusted:
            return
        s.stats["qt_exceeds"] += quota.window(
            self.machine.jiffies, self.machine.hz, self.min_sz, lambda goal: self.measure(s, goal)
        )
        self.set_threshold(s)

    def set_threshold(self, s: Scheme) -> None:
        histogram: dict[int, int] = {}
        for target in self.targets:
            i = 0
            while i < len(target.regions):
                r = target.regions[i]
                if s.pattern_ok(r, self.window):
                    drop = self.rules["histogram_core_filters"] and self.dropped(s, target, r)
                    if not drop:
                        score = self.score(s, r)
                        histogram[score] = histogram.get(score, 0) + r.size
                i += 1
        total, score = 0, max(histogram, default=0)
        while True:
            total += histogram.get(score, 0)
            if total >= s.quota.esz or score == 0:
                break
            score -= 1
        s.quota.min_score = score

    def measure(self, s: Scheme, goal: Goal) -> None:
        if goal.metric == "some_mem_psi_us":
            measure_psi(goal, s.quota, self.machine.psi_total)
        elif goal.metric in NODE_METRICS or goal.metric in MEMCG_METRICS:
            measure_node(goal, self.machine)
        elif goal.metric in ("active_mem_bp", "inactive_mem_bp"):
            measure_active(goal, self.machine)
        elif goal.metric == "node_eligible_mem_bp":
            regions = [r for t in self.targets for r in t.regions if s.pattern_ok(r, self.window)]
            measure_eligible(goal, self.machine, regions, self.ops.unit)
        else:
            assert goal.metric == "user_input", goal.metric

    # ---- application

    def act(self, index: int, target: Target, r: Region) -> None:
        s = self.schemes[index]
        quota, size = s.quota, r.size
        if quota.is_set and quota.charged_sz + size > quota.esz:
            size = align_down(quota.esz - quota.charged_sz, self.min_sz)
            if size == 0:
                self.count(s, 0, 0, 0)
                return
            self.split(target, r, size)
        if self.dropped(s, target, r):
            return
        if self.rules["charge_filtered_sz"]:
            size = r.size
        seen, age, score = self.window.mvsum(r), r.age, self.score(s, r)
        before = self.machine.coarse
        applied, passed = self.ops.apply(s, target.process, r)
        passed = passed if self.rules["filter_passed"] else 0
        quota.total_charged_ns += self.machine.coarse - before
        quota.charge(size, applied)
        if quota.full(self.min_sz):
            quota.charge_target = target
            quota.charge_addr = r.end if self.rules["charge_addr_end"] else r.end + 1
        number = next(i for i, t in enumerate(self.targets) if t is target)
        self.record(index, number, r, seen, age, score, applied, passed)
        if s.action != "stat":
            r.age = 0
        self.count(s, size, applied, passed)

    @staticmethod
    def count(s: Scheme, size: int, applied: int, passed: int) -> None:
        s.stats["nr_tried"] += 1
        s.stats["sz_tried"] += size
        s.stats["nr_applied"] += applied > 0
        s.stats["sz_applied"] += applied
        s.stats["sz_ops_filter_passed"] += passed
