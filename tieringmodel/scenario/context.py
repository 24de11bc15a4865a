"""DAMON contexts: what is monitored, how, and by which schemes it is acted on."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

from ..errors import InputError, KernelRefusal
from ..fields import Checked
from ..units import LONGEST_US, PAGE_SZ, UINT_MAX, ULONG_MAX
from .metrics import OPS, metric_of
from .scheme import Scheme


@dataclass(frozen=True)
class IntervalsGoal(Checked):
    """Auto-tuning of the sampling interval; off while ``aggrs`` is 0.

    Attributes
    ----------
    access_bp
        Share of the observed accesses to aim at.
    aggrs
        Aggregations from one tuning to the next; 0 is off.
    min_sample_us
        Shortest sampling interval.
    max_sample_us
        Longest sampling interval.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.IntervalsGoal(access_bp="4 %", aggrs=3, min_sample_us="5 ms", max_sample_us="10 s").access_bp
    400
    """

    access_bp: int = 0
    aggrs: int = 0
    min_sample_us: int = 0
    max_sample_us: int = 0
    _max: ClassVar = {"max_sample_us": LONGEST_US}


@dataclass(frozen=True)
class Attrs(Checked):
    """Monitoring attributes with the kernel's defaults and its validity rules (``damon_set_attrs``).

    Attributes
    ----------
    sample_us
        Time between two looks at a region.
    aggr_us
        Time after which counts are complete, regions merge and split, and schemes apply.
    update_us
        Time between two looks at the monitored ranges of a process.
    min_nr_regions
        Fewest regions that merging aims at.
    max_nr_regions
        Most regions.
    intervals_goal
        How the two intervals tune themselves.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Attrs(sample_us="5 ms", aggr_us="100 ms").aggr_us
    100000
    """

    sample_us: int = 5_000
    aggr_us: int = 100_000
    update_us: int = 60_000_000
    min_nr_regions: int = 10
    max_nr_regions: int = 1_000
    intervals_goal: IntervalsGoal = field(default_factory=IntervalsGoal)
    _max: ClassVar = {"sample_us": LONGEST_US}

    def check(self) -> None:
        """Answer as the kernel: EINVAL for contradicting attributes."""
        goal = self.intervals_goal
        if self.min_nr_regions < 3:
            raise KernelRefusal("min_nr_regions", f"{self.min_nr_regions} is below 3 (EINVAL)", "write 3 or more")
        if self.min_nr_regions > self.max_nr_regions:
            text = f"{self.max_nr_regions} is below min_nr_regions {self.min_nr_regions} (EINVAL)"
            raise KernelRefusal("max_nr_regions", text, "raise it")
        if self.sample_us > self.aggr_us:
            text = f"{self.sample_us} us is longer than aggr_us {self.aggr_us} us (EINVAL)"
            raise KernelRefusal("sample_us", text, "shorten it")
        if goal.aggrs and not goal.min_sample_us <= self.sample_us <= goal.max_sample_us:
            text = f"{self.sample_us} us is outside [{goal.min_sample_us}, {goal.max_sample_us}] us (EINVAL)"
            raise KernelRefusal("sample_us", text, "keep it inside the intervals goal's range")
        if self.sample_us == 0:
            raise InputError("sample_us", "0 would never advance simulated time", "write 1 or more")

    def same_intervals(self, other: Attrs) -> bool:
        """Whether aggregations are cut in as many samples, of the same nominal length, and tuned alike."""
        names = ("sample_us", "aggr_us", "intervals_goal")
        return all(getattr(self, name) == getattr(other, name) for name in names)

    @property
    def shortest_sample_us(self) -> int:
        """The shortest sampling interval that can come into force, at least 1."""
        return max(self.intervals_goal.min_sample_us, 1) if self.intervals_goal.aggrs else self.sample_us

    def most_seen(self, tick_us: int) -> tuple[int, int]:
        """Return how many of an aggregation's samples can find a page touched at most, and how many samples it has.

        Pages are touched or not in each tick: of the samples that fall into one, a single one can find it.
        """
        samples = max(self.aggr_us // self.sample_us, 1)
        return min(samples, -(-samples * self.shortest_sample_us // tick_us)), samples


@dataclass(frozen=True)
class Target(Checked):
    """Monitored address ranges in core addresses; empty means everything the machine or the process has.

    ``process``: whose addresses they are, where the context monitors virtual ones (`Vma.process`).

    Attributes
    ----------
    regions
        Ranges [start, end) in core addresses.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Context(targets=(tm.Target(((0, 1 << 30),)),)).ops
    'paddr'
    """

    regions: tuple[tuple[int, int], ...] = ()
    process: int = 0
    _max: ClassVar = {"process": UINT_MAX}


@dataclass(frozen=True)
class SourceOfHotness(Checked):
    """A source of access reports by its name in `tieringmodel.hotness`, with settings such as ``"scan_bytes = 256 MiB"``.

    Attributes
    ----------
    name
        Which source.
    settings
        Its settings, a text for each.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> source = tm.SourceOfHotness("hint_faults", ("scan_bytes = 256 MiB",))
    >>> tm.Context(sources=(source,)).sources[0].name
    'hint_faults'
    """

    name: str
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Context(Checked):
    """One kdamond's context. ``aggr_times_us`` replaces nominal intervals by recorded ends of aggregations.

    ``aggr_sampled_us`` says when the last sample of each recorded aggregation was: what schemes do comes behind it and takes
    the rest of its time. Left out, samples go on until its end.

    ``moving_sum``: ``"on_demand"`` is 7.3's way to see nr_accesses between aggregations, ``"stored"`` the running value of
    kernels up to 7.2; left out, the scenario's kernel decides. ``sources``: whose reports count as accesses; none means DAMON's
    own accessed bits.

    Attributes
    ----------
    ops
        What is monitored: physical addresses, or virtual ones of processes.
    attrs
        Intervals and numbers of regions.
    targets
        Address ranges; none means one target with everything.
    schemes
        What is done to which regions, in order.
    addr_unit
        Bytes of one core address.
    min_region_sz
        Smallest region, in core addresses.
    rng_seed
        Seed of its random numbers, in place of the run's.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Context(ops="paddr", schemes=(tm.Scheme("stat"),)).attrs.aggr_us
    100000
    """

    ops: str = "paddr"
    attrs: Attrs = field(default_factory=Attrs)
    targets: tuple[Target, ...] = (Target(),)
    schemes: tuple[Scheme, ...] = ()
    addr_unit: int = 1
    min_region_sz: int = PAGE_SZ
    aggr_times_us: tuple[int, ...] = ()
    aggr_sampled_us: tuple[int, ...] = ()
    rng_seed: int | None = None
    moving_sum: str = ""
    sources: tuple[SourceOfHotness, ...] = ()
    _choices: ClassVar = {"ops": OPS, "moving_sum": ("", "on_demand", "stored")}
    _max: ClassVar = {"aggr_times_us": LONGEST_US, "aggr_sampled_us": LONGEST_US}

    def check(self) -> None:
        """Answer as the kernel on start and commit."""
        if self.min_region_sz == 0 or self.min_region_sz & (self.min_region_sz - 1):
            text = f"{self.min_region_sz} is not a power of two (EINVAL)"
            raise KernelRefusal("min_region_sz", text, "write 4096 or another power of two")
        if self.addr_unit == 0:
            raise KernelRefusal("addr_unit", "0 is refused (EINVAL)", "write 1")
        if self.ops == "paddr" and len(self.targets) != 1:
            raise KernelRefusal("targets", f"paddr takes one target, got {len(self.targets)} (EINVAL)", "give one")
        for i, target in enumerate(self.targets):
            end = 0
            for j, (start, stop) in enumerate(target.regions):
                low = start - start % self.min_region_sz
                if stop <= start or low < end:
                    text = f"{start}..{stop} is empty or overlaps the range before once aligned (EINVAL)"
                    raise KernelRefusal(f"targets[{i}].regions[{j}]", text, "sort and separate the ranges")
                end = -(-stop // self.min_region_sz) * self.min_region_sz
                if end > ULONG_MAX:
                    text = f"{stop} is beyond 2**64 - 1 once aligned to {self.min_region_sz}"
                    raise InputError(f"targets[{i}].regions[{j}]", text, "end the range earlier")
        for i, scheme in enumerate(self.schemes):
            for j, goal in enumerate(scheme.quota.goals):
                metric = metric_of(goal.metric)
                if metric.refused and self.ops not in metric.ops:
                    path = f"schemes[{i}].quota.goals[{j}].metric"
                    text = f"{goal.metric} needs {metric.ops[0]}, the context uses {self.ops} (EINVAL)"
                    raise KernelRefusal(path, text, "use ops paddr or another metric")
                if goal.lag_cache and self.ops != "paddr":
                    text = f"follows regions from node to node, which addresses of {self.ops} do not tell"
                    raise InputError(f"schemes[{i}].quota.goals[{j}].lag_cache", text, "use ops paddr, or leave it out")
        if any(b <= a for a, b in pairwise((0, *self.aggr_times_us))):
            raise InputError("aggr_times_us", "does not increase from 0", "list the ends of aggregations in order")
        samples = self.attrs.aggr_us // self.attrs.sample_us
        if any(b - a < samples for a, b in pairwise((0, *self.aggr_times_us))):
            text = f"leaves less than 1 us for each of an aggregation's {samples} samples"
            raise InputError("aggr_times_us", text, "raise attrs.sample_us, or correct the times")
        if self.aggr_sampled_us and len(self.aggr_sampled_us) != len(self.aggr_times_us):
            text = f"has {len(self.aggr_sampled_us)} entries, aggr_times_us has {len(self.aggr_times_us)}"
            raise InputError("aggr_sampled_us", text, "give one for each aggregation, or leave it out")
        for j, (a, last, b) in enumerate(zip((0, *self.aggr_times_us), self.aggr_sampled_us, self.aggr_times_us, strict=False)):
            if not a + samples <= last <= b:
                text = f"{last} is not from {a} + {samples} samples of 1 us to {b}"
                raise InputError(f"aggr_sampled_us[{j}]", text, "write when the aggregation's last sample was")
