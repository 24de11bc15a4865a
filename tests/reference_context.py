"""A DAMON context of whole runs in slow, literal Python: attributes, checks, aggregation, tuning, updates, commits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import reference as ref
from reference import U32, U64, Region, Targets, Window, align_down, mult_frac
from reference_machine import PAGE, Machine
from reference_ops import Looks, operations, three_ranges
from reference_quota import feed, value_at
from reference_schemes import Pass, Record, Scheme, Target


class Lfsr:
    """The generator of a context: four registers of 32 bit. Iterating gives raw draws, ``drawn`` counts them."""

    def __init__(self, seed: int) -> None:
        x = (seed >> 32 ^ seed << 10 ^ seed) & U32
        self.state = [x + m if x < m else x for m in (2, 8, 16, 128)]
        self.drawn = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        s1, s2, s3, s4 = self.state
        s1 = ((s1 & 0xFFFFFFFE) << 18 ^ (s1 << 6 & U32 ^ s1) >> 13) & U32
        s2 = ((s2 & 0xFFFFFFF8) << 2 ^ (s2 << 2 & U32 ^ s2) >> 27) & U32
        s3 = ((s3 & 0xFFFFFFF0) << 7 ^ (s3 << 13 & U32 ^ s3) >> 21) & U32
        s4 = ((s4 & 0xFFFFFF80) << 13 ^ (s4 << 3 & U32 ^ s4) >> 12) & U32
        self.state = [s1, s2, s3, s4]
        self.drawn += 1
        return s1 ^ s2 ^ s3 ^ s4

    def between(self, low: int, high: int, narrow: bool) -> int:
        """A number in [low, high); ``narrow`` generators know only the low 32 bits of the span."""
        span = high - low
        if span <= U32:
            return low + (next(self) * span >> 32)
        if narrow:
            return low + (next(self) * (span & U32) >> 32 if span & U32 else next(self))
        wide = next(self) << 32
        return low + ((wide | next(self)) * span >> 64)


@dataclass
class Attributes:
    sample_us: int
    aggr_us: int
    ops_update_us: int
    min_nr_regions: int
    max_nr_regions: int
    intervals_goal: Sequence[int]
    aggr_samples: int = field(default=0, compare=False)

    @classmethod
    def new(cls, to: dict) -> Attributes:
        names = ("sample_us", "aggr_us", "ops_update_us", "min_nr_regions", "max_nr_regions", "intervals_goal")
        attributes = cls(*(to[name] for name in names))
        attributes.aggr_samples = attributes.samples(attributes.aggr_us)
        return attributes

    def samples(self, us: int) -> int:
        return us // max(self.sample_us, 1)

    @property
    def window(self) -> int:
        """The most accesses that a region can have."""
        return max(1, min(self.samples(self.aggr_us), U32))


class Shared:
    """What the kernel keeps once for all contexts."""

    def __init__(self, machine: Machine) -> None:
        self.split = {"rotation": 0, "last": 0}
        self.looks = {"paddr": Looks(machine.rules), "vaddr": Looks(machine.rules)}


class Context:
    def __init__(self, to: dict, machine: Machine, shared: Shared, drew: Callable[[int, int], None], record: Record) -> None:
        """``drew(site, count)`` and ``record`` are told what is drawn and what is handed to operations."""
        self.machine, self.rules, self.shared, self.drew, self.record = machine, machine.rules, shared, drew, record
        self.random = Lfsr(to["seed"])
        self.attributes = Attributes.new(to)
        self.set_operations(to)
        self.passed = 0
        self.next_aggregation = self.attributes.samples(self.attributes.aggr_us)
        self.next_update = self.attributes.samples(self.attributes.ops_update_us)
        self.next_tune = self.next_aggregation * self.attributes.intervals_goal[1]
        self.schemes = [Scheme.new(s, self.rules) for s in to["schemes"]]
        for s in self.schemes:
            self.restart_clock(s)
        self.targets = [Target(t["process"]) for t in to["targets"]]
        for target, given in zip(self.targets, to["targets"], strict=True):
            if given["ranges"]:
                set_regions(target.regions, given["ranges"], self.min_sz)
            elif self.ops_name == "vaddr":
                self.init_target(target)
        self.sz_limit = 0
        self.limit_sizes()
        self.commits: list[tuple[int, dict]] = []

    def set_operations(self, to: dict) -> None:
        self.ops_name, self.unit, self.min_sz = to["ops"], to["addr_unit"], to["min_region_sz"]
        self.ops = operations(self.ops_name, self.machine, self.unit)

    def restart_clock(self, s: Scheme) -> None:
        s.next_apply = self.passed + s.period(self.attributes.sample_us, self.attributes.aggr_us)

    @property
    def lists(self) -> Targets:
        return [t.regions for t in self.targets]

    @property
    def regions(self) -> list[Region]:
        return [r for t in self.targets for r in t.regions]

    def window(self) -> Window:
        a = self.attributes
        return Window(self.passed, self.next_aggregation, a.sample_us, a.aggr_us, self.rules)

    # ---- the start

    def init_target(self, target: Target) -> None:
        ranges = aligned_up(three_ranges(self.machine.spaces[target.process]))
        if self.rules["va_init_unsplit"]:
            set_regions(target.regions, ranges, self.min_sz)
            return
        total = sum(end - start for start, end in ranges)
        piece = max(total // self.attributes.min_nr_regions, PAGE)
        for start, end in ranges:
            n = (end - start) // piece
            size = align_down((end - start) // n, PAGE) if n else 0
            if n < 2 or not size:
                target.regions.append(Region(start, end))
                continue
            target.regions += [Region(start + k * size, start + (k + 1) * size) for k in range(n)]
            target.regions[-1].end = end

    def limit_sizes(self) -> None:
        if self.rules["apply_min_nr_regions"]:
            self.sz_limit = ref.apply_min_nr_regions(self.lists, self.attributes.min_nr_regions, self.min_sz)
        else:
            self.sz_limit = ref.size_limit(self.lists, self.attributes.min_nr_regions, self.min_sz)

    # ---- checks

    def prepare(self) -> None:
        before = self.random.drawn
        for target in self.targets:
            for r in target.regions:
                r.sampled = self.random.between(r.start, r.end, not self.rules["ctx_rnd_state"])
                self.ops.prepare(target.process, r.sampled)
        self.count_draws(0, before)

    def check(self) -> int:
        """Count accesses; the largest count of any region."""
        looks = self.shared.looks["paddr" if self.ops_name == "paddr" else "vaddr"]
        most = 0
        for target in self.targets:
            for i, r in enumerate(target.regions):
                hit = looks.check(self.ops, target.process, r.sampled, i > 0 or self.ops_name == "paddr")
                if not self.rules["mvsum_on_demand"]:
                    r.bp = r.bp - r.last * 10_000 // self.attributes.window + (10_000 if hit else 0) & U32
                r.nr += hit
                most = max(most, r.nr)
        return most

    def count_draws(self, site: int, before: int) -> None:
        if self.random.drawn > before:
            self.drew(site, self.random.drawn - before)

    # ---- aggregation

    def merge(self, most: int) -> None:
        a = self.attributes
        ref.merge_regions(self.lists, most // 10, self.sz_limit, a.samples(a.aggr_us), a.max_nr_regions, self.rules)
        if self.rules["apply_min_nr_regions"]:
            self.limit_sizes()

    def reset(self) -> None:
        for r in self.regions:
            if self.rules["fix_mvsum_at_reset"]:
                r.bp = r.nr * 10_000 & U32
            r.last, r.nr = r.nr, 0

    def split(self) -> None:
        n, limit, before = len(self.regions), self.attributes.max_nr_regions, self.random.drawn
        ref.split_regions(self.lists, self.shared.split, limit, self.min_sz, self.random, self.rules)
        self.count_draws(2 if n > limit // 2 else 1, before)

    def tune(self) -> None:
        a, regions = self.attributes, self.regions
        share, _, least, most = a.intervals_goal
        possible = sum(r.size * a.aggr_samples for r in regions) & U64
        seen = sum(r.size * r.nr for r in regions) & U64
        wanted = max((possible * share & U64) // 10_000, 1)
        score = mult_frac(seen, 10_000, wanted) if self.rules["goal_score_mult_frac"] else (seen * 10_000 & U64) // wanted
        factor = feed(100_000_000, score) // 10_000
        if factor <= 10_000:
            factor = 5_000 + factor // 2
        if factor == 10_000:
            return
        sample = max(least, min(most, a.sample_us * factor // 10_000))
        new = Attributes(sample, sample * a.aggr_samples, a.ops_update_us, a.min_nr_regions, a.max_nr_regions, a.intervals_goal)
        new.aggr_samples = a.aggr_samples
        self.set_attributes(new)

    def update(self) -> None:
        """Fit vaddr targets to the address spaces, given ranges or not."""
        if self.ops_name == "vaddr":
            for target in self.targets:
                ranges = aligned_up(three_ranges(self.machine.spaces[target.process]))
                if ranges:
                    set_regions(target.regions, ranges, self.min_sz)
        if not self.rules["apply_min_nr_regions"]:
            self.limit_sizes()

    # ---- schemes

    def scheme_due(self) -> bool:
        return any(self.passed >= s.next_apply for s in self.schemes)

    def set_inputs(self, now: int) -> None:
        """Goals that are told their value get that of the time; so does the total of stalls."""
        for s in self.schemes:
            for goal in s.quota.goals:
                if goal.metric == "user_input":
                    goal.current = value_at(goal.course, now)
                elif goal.metric == "some_mem_psi_us":
                    self.machine.psi_total = value_at(goal.course, now)

    def apply_schemes(self) -> None:
        least = self.attributes.min_nr_regions
        Pass(self.schemes, self.targets, self.window(), self.machine, self.ops, self.min_sz, least, self.record).run()

    # ---- new parameters

    def set_attributes(self, new: Attributes) -> None:
        old, aggregating = self.attributes, self.passed < self.next_aggregation
        self.next_aggregation = self.passed + new.samples(new.aggr_us)
        self.next_update = self.passed + new.samples(new.ops_update_us)
        if all((old.sample_us, old.aggr_us, new.sample_us, new.aggr_us)):
            for r in self.regions:
                self.convert(r, old, new, aggregating)
        self.attributes = new
        for s in self.schemes:
            self.restart_clock(s)

    def convert(self, r: Region, old: Attributes, new: Attributes, aggregating: bool) -> None:
        """Counts and age of a region in the units of new intervals."""

        def converted(count: int) -> int:
            return (mult_frac(count, 10_000, old.window) & U32) * new.window % 2**32 // 10_000

        drop = aggregating and self.rules["attrs_reset_window"]
        if drop or self.rules["attrs_last_nr_accesses"]:
            r.last = converted(r.last)
        r.nr = 0 if drop else converted(r.nr)
        r.bp = (r.last if drop else r.nr) * 10_000 & U32
        r.age = (r.age * old.aggr_us & U64) // new.aggr_us & U32

    def commit(self, to: dict) -> None:
        self.commit_schemes(to["schemes"])
        self.commit_targets(to)
        new = Attributes.new(to)
        if new != self.attributes or not self.rules["commit_compare_attrs"]:
            self.set_attributes(new)
        self.set_operations(to)

    def commit_schemes(self, given: Sequence[dict]) -> None:
        del self.schemes[len(given) :]
        for s, to in zip(self.schemes, given, strict=False):
            s.commit(to)
        for to in given[len(self.schemes) :]:
            self.schemes.append(Scheme.new(to, self.rules))
            self.restart_clock(self.schemes[-1])

    def commit_targets(self, to: dict) -> None:
        given, min_sz = to["targets"], to["min_region_sz"]
        for gone in self.targets[len(given) :]:
            for s in self.schemes:
                if s.quota.charge_target is gone and self.rules["commit_clears_resume"]:
                    s.quota.forget_target()
        del self.targets[len(given) :]
        self.targets += [Target(-1) for _ in given[len(self.targets) :]]
        for target, new in zip(self.targets, given, strict=True):
            target.process = new["process"]
            ranges = [[align_down(start, min_sz), -(-end // min_sz) * min_sz] for start, end in new["ranges"]]
            if self.rules["commit_join_ranges"]:
                ranges = joined(ranges)
            if ranges:
                set_regions(target.regions, ranges, min_sz)


def aligned_up(ranges: Sequence[Sequence[int]]) -> list[list[int]]:
    return [[-(-start // PAGE) * PAGE, -(-end // PAGE) * PAGE] for start, end in ranges]


def joined(ranges: Sequence[Sequence[int]]) -> list[list[int]]:
    out: list[list[int]] = []
    for start, end in ranges:
        if out and out[-1][1] == start:
            out[-1][1] = end
        else:
            out.append([start, end])
    return out


def meets(r: Region, wanted: Sequence[int]) -> bool:
    return r.start < wanted[1] and wanted[0] < r.end


def set_regions(regions: list[Region], ranges: Sequence[Sequence[int]], min_sz: int) -> None:
    """Refit a target's regions to ranges: the counters of what stays are kept."""
    regions[:] = [r for r in regions if any(meets(r, wanted) for wanted in ranges)]
    i = 0
    for wanted in ranges:
        start, end = align_down(wanted[0], min_sz), -(-wanted[1] // min_sz) * min_sz
        met = []
        while i < len(regions):
            if meets(regions[i], wanted):
                met.append(regions[i])
            if regions[i].start >= wanted[1]:
                break
            i += 1
        if not met:
            regions.insert(i, Region(start, end))
            i += 1
            continue
        met[0].start, met[-1].end = start, end
        for left, right in pairwise(met):
            if left.end != right.start:
                regions.insert(ref.position(regions, right), Region(left.end, right.start))
                i += 1
