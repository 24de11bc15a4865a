"""A scenario says everything: the machine, who touches its memory, and the DAMON contexts that watch and move it.

Names are the kernel's (``Documentation/admin-guide/mm/damon``); defaults are the kernel's unless a field says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from .errors import InputError, KernelRefusal
from .fields import Checked, suggest
from .units import PAGE_SZ, UINT_MAX, ULONG_MAX

ACTIONS = (
    "willneed", "cold", "pageout", "hugepage", "nohugepage", "collapse",
    "lru_prio", "lru_deprio", "migrate_hot", "migrate_cold", "stat",
)  # fmt: skip
CORE_FILTERS = ("addr", "target")
OPS_FILTERS = ("anon", "active", "memcg", "young", "hugepage_size", "unmapped")
ALLOCATORS = ("lowest", "fifo", "lifo", "random")
DEST_RULES = ("vma_offset", "iid", "pfn_mod", "first", "last")
EARLY_EXITS = ("none", "v1", "both_fresh")
CLAMPS = ("none", "tuner")


@dataclass(frozen=True)
class Node(Checked):
    """A NUMA node: `sz_bytes` of physical address space from `start_bytes`.

    ``unmanaged_bytes`` are frames outside MemTotal (firmware, memory map); ``kernel_bytes`` are allocated but on no LRU
    list; ``cache_bytes`` are LRU pages that nobody touches. Allocation from the node fails while its free pages are at
    or below ``reserve_pages`` (the watermark).
    """

    nid: int
    start_bytes: int
    sz_bytes: int
    reserve_pages: int = 0
    unmanaged_bytes: int = 0
    kernel_bytes: int = 0
    cache_bytes: int = 0
    _max: ClassVar = {"nid": 1023}

    def check(self) -> None:
        """Refuse empty, unaligned or overfull nodes."""
        for name in ("start_bytes", "sz_bytes", "unmanaged_bytes", "kernel_bytes", "cache_bytes"):
            if getattr(self, name) % PAGE_SZ:
                raise InputError(name, f"{getattr(self, name)} is not a multiple of {PAGE_SZ}", "align it to a page")
        if self.sz_bytes == 0 or self.start_bytes + self.sz_bytes >= 2**63:
            raise InputError("sz_bytes", f"{self.sz_bytes} is empty or ends beyond 2**63", "write e.g. '16 GiB'")
        if self.unmanaged_bytes + self.kernel_bytes + self.cache_bytes > self.sz_bytes:
            raise InputError("cache_bytes", "the occupied parts exceed the node", "make them smaller")


@dataclass(frozen=True)
class Machine(Checked):
    """Nodes in address order, and how frames are handed out and copied.

    ``on_full``: after the first failed order-0 allocation the kernel abandons the rest of a migration run
    (``"stop_run"``); ``"try_all"`` tries every page (the golden runs' stub). ``hz`` is CONFIG_HZ: quota windows are
    counted in jiffies.
    """

    nodes: tuple[Node, ...]
    hz: int = 1000
    allocator: str = "lowest"
    on_full: str = "stop_run"
    migrate_ns_per_page: int = 0
    shared_split_state: bool = True
    _choices: ClassVar = {"allocator": ALLOCATORS, "on_full": ("stop_run", "try_all")}
    _max: ClassVar = {"hz": 1_000_000}

    def check(self) -> None:
        """Refuse machines without nodes, with repeated ids or with overlapping ranges."""
        if not self.nodes:
            raise InputError("nodes", "is empty", "give at least one node")
        if self.hz == 0:
            raise InputError("hz", "0 is no tick rate", "write 100, 250 or 1000")
        end = 0
        for i, node in enumerate(self.nodes):
            if node.start_bytes < end:
                raise InputError(f"nodes[{i}].start_bytes", "overlaps the node before", "list nodes in address order")
            end = node.start_bytes + node.sz_bytes
        if len({n.nid for n in self.nodes}) != len(self.nodes):
            raise InputError("nodes", "two nodes share a nid", "number them differently")

    @classmethod
    def dram_cxl(cls, dram: int | str, cxl: int | str, start_bytes: int = 0, **options: Any) -> Machine:
        """Return the usual pair: node 0 (DRAM) at `start_bytes`, node 1 (CXL) directly after it."""
        first = Node(0, start_bytes, dram)  # type: ignore[arg-type]
        return cls(nodes=(first, Node(1, start_bytes + first.sz_bytes, cxl)), **options)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Group(Checked):
    """Who touches logical pages ``lo`` … ``hi`` - 1 from workload tick ``start_tick`` up to ``end_tick``.

    ``kind``: ``"rate"`` touches each page at ``rate_hz`` as a Poisson process; ``"period"`` touches every ``stride``-th
    page whenever ``(tick + phase) % period == 0``; ``"hash"`` touches page p in tick t iff the 32-bit mix of
    ``p * 0x9E3779B1 + t * 0x85EBCA77 + salt`` is below ``threshold`` (the golden runs' generator).
    """

    lo: int
    hi: int
    kind: str = "rate"
    rate_hz: float = 0.0
    period: int = 1
    phase: int = 0
    stride: int = 1
    threshold: int = 0
    salt: int = 0
    start_tick: int = 0
    end_tick: int = 2**62
    name: str = ""
    _choices: ClassVar = {"kind": ("rate", "period", "hash")}
    _max: ClassVar = {"threshold": UINT_MAX, "salt": UINT_MAX, "hi": 2**32 - 2, "end_tick": 2**62, "start_tick": 2**62}

    def check(self) -> None:
        """Refuse empty ranges and impossible rates."""
        if self.hi <= self.lo:
            raise InputError("hi", f"{self.hi} is not above lo {self.lo}", "give a non-empty page range")
        if self.period < 1 or self.stride < 1:
            raise InputError("period" if self.period < 1 else "stride", "is 0", "write 1 or more")
        if self.rate_hz < 0:
            raise InputError("rate_hz", f"{self.rate_hz} is negative", "write accesses per second and page")


@dataclass(frozen=True)
class Placement(Checked):
    """Where logical pages ``lo`` … ``hi`` - 1 lie at the start.

    With ``start_bytes``: on consecutive frames from that physical address. Otherwise each page in turn takes the lowest
    free frame of node ``nid`` (of the other nodes, in order, if it is full). ``weights``, one per node of the machine,
    replaces ``nid`` by static interleaving: page lo + k belongs to the node whose interval holds k mod the weights' sum.
    """

    lo: int
    hi: int
    nid: int = 0
    start_bytes: int | None = None
    weights: tuple[int, ...] = ()


@dataclass(frozen=True)
class Vma(Checked):
    """A virtual mapping of logical pages ``lo`` … ``hi`` - 1 at ``start_bytes``; ``pgoff`` is vm_pgoff in pages."""

    lo: int
    hi: int
    start_bytes: int
    pgoff: int = 0


@dataclass(frozen=True)
class Memcg(Checked):
    """Logical pages ``lo`` … ``hi`` - 1 belong to memory cgroup ``memcg_id``, a child of ``parent_id`` (0: of the root)."""

    memcg_id: int
    lo: int
    hi: int
    parent_id: int = 0
    _max: ClassVar = {"memcg_id": 2**63 - 1, "parent_id": 2**63 - 1}


@dataclass(frozen=True)
class Workload(Checked):
    """Logical pages, who touches them, where they start, where they are mapped and which memory cgroup they belong to.

    ``tick_us`` is the grain of access decisions: a page is touched or not in each tick, and the answer depends only on
    (seed, page, tick). Left out, it is the shortest sampling interval of the contexts.
    """

    n_pages: int
    groups: tuple[Group, ...] = ()
    placement: tuple[Placement, ...] = ()
    vmas: tuple[Vma, ...] = ()
    tick_us: int | None = None
    memcgs: tuple[Memcg, ...] = ()
    _max: ClassVar = {"n_pages": 2**32 - 2}

    def check(self) -> None:
        """Refuse page ranges beyond the workload and pages placed twice or never."""
        for name in ("groups", "placement", "vmas", "memcgs"):
            for i, item in enumerate(getattr(self, name)):
                if item.hi > self.n_pages or item.hi <= item.lo:
                    text = f"{item.lo}..{item.hi} is empty or beyond the workload's {self.n_pages} pages"
                    raise InputError(f"{name}[{i}]", text, "keep 0 <= lo < hi <= n_pages")
        if not self.placement:
            return
        covered = 0
        for lo, hi in sorted((p.lo, p.hi) for p in self.placement):
            if lo != covered:
                word = "placed twice" if lo < covered else "placed nowhere"
                text = f"page {min(lo, covered)} is {word}"
                raise InputError("placement", text, "place every page once, or leave placement out")
            covered = hi
        if covered != self.n_pages:
            raise InputError("placement", f"page {covered} is placed nowhere", "place every page once")


@dataclass(frozen=True)
class IntervalsGoal(Checked):
    """Auto-tuning of the sampling interval; off while ``aggrs`` is 0."""

    access_bp: int = 0
    aggrs: int = 0
    min_sample_us: int = 0
    max_sample_us: int = 0


@dataclass(frozen=True)
class Attrs(Checked):
    """Monitoring attributes with the kernel's defaults and its validity rules (``damon_set_attrs``)."""

    sample_us: int = 5_000
    aggr_us: int = 100_000
    update_us: int = 60_000_000
    min_nr_regions: int = 10
    max_nr_regions: int = 1_000
    intervals_goal: IntervalsGoal = field(default_factory=IntervalsGoal)

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


@dataclass(frozen=True)
class AccessPattern(Checked):
    """Six inclusive bounds: size in bytes, nr_accesses in samples per aggregation, age in aggregations."""

    min_sz_bytes: int = 0
    max_sz_bytes: int = ULONG_MAX
    min_nr_accesses: int = 0
    max_nr_accesses: int = UINT_MAX
    min_age: int = 0
    max_age: int = UINT_MAX
    _max: ClassVar = {k: UINT_MAX for k in ("min_nr_accesses", "max_nr_accesses", "min_age", "max_age")}


@dataclass(frozen=True)
class Goal(Checked):
    """A quota goal. ``target_value`` and ``current_value`` are in the metric's own unit (bp for all ``*_bp``).

    Beside the nine metrics of Linux 7.3.4, ``node_sys_bp`` of the RFC is offered by reading: ``node_sys_bp`` and
    ``node_sys_bp:v1-literal`` count frames over system memory, ``:v1-intent-resident`` resident pages over system
    memory, ``:v1-intent-share`` resident pages over resident pages of all nodes. ``complement``, ``clamp`` and
    ``early_exit`` belong to the RFC and its successors; mainline 7.3.4 has none of them.
    ``current_values`` gives a ``user_input`` goal its course: (time in microseconds, value) pairs.
    """

    metric: str
    target_value: int
    current_value: int = 0
    nid: int = 0
    memcg_id: int = 0
    complement: bool = False
    clamp: str = "none"
    early_exit: str = "none"
    current_values: tuple[tuple[int, int], ...] = ()
    _signed: ClassVar = frozenset({"nid"})
    _choices: ClassVar = {"clamp": CLAMPS, "early_exit": EARLY_EXITS}

    def check(self) -> None:
        """Refuse a zero target (EINVAL) and shares beyond 10000 bp."""
        if self.target_value == 0:
            raise KernelRefusal("target_value", "0 is refused by the kernel (EINVAL)", "write a positive target")
        if self.metric.partition(":")[0].endswith("_bp") and self.target_value > 10_000:
            near = self.target_value // 10
            hint = f"did you mean {near}?" if near <= 10_000 else "write 1..10000"
            raise InputError("target_value", f"{self.target_value} bp is over 10000", hint)


@dataclass(frozen=True)
class Weights(Checked):
    """Priority weights of a quota; ``sz`` is accepted and unused, as in the kernel."""

    sz: int = 0
    nr_accesses: int = 0
    age: int = 0
    _max: ClassVar = {"sz": UINT_MAX, "nr_accesses": UINT_MAX, "age": UINT_MAX}


@dataclass(frozen=True)
class Quota(Checked):
    """How much a scheme may do per ``reset_interval_ms``: ``sz_bytes``, ``ms`` of time, and goals."""

    ms: int = 0
    sz_bytes: int = 0
    reset_interval_ms: int = 0
    goals: tuple[Goal, ...] = ()
    goal_tuner: str = "consist"
    weights: Weights = field(default_factory=Weights)
    fail_charge_num: int = 0
    fail_charge_denom: int = 0
    _choices: ClassVar = {"goal_tuner": ("consist", "temporal")}
    _max: ClassVar = {"fail_charge_num": UINT_MAX, "fail_charge_denom": UINT_MAX}


@dataclass(frozen=True)
class Watermarks(Checked):
    """Activation by free memory: ``metric`` ``"none"`` or ``"free_mem_rate"`` (permil of the system's memory)."""

    metric: str = "none"
    interval_us: int = 0
    high: int = 0
    mid: int = 0
    low: int = 0
    _choices: ClassVar = {"metric": ("none", "free_mem_rate")}


@dataclass(frozen=True)
class Filter(Checked):
    """A DAMOS filter; ``addr`` and ``target`` are judged by core, the others per folio by the operations set."""

    type: str
    matching: bool = True
    allow: bool = False
    start_bytes: int = 0
    end_bytes: int = 0
    target_idx: int = 0
    memcg_id: int = 0
    min_bytes: int = 0
    max_bytes: int = 0
    _choices: ClassVar = {"type": CORE_FILTERS + OPS_FILTERS}

    def check(self) -> None:
        """Answer as the kernel: EINVAL for reversed ranges."""
        if self.type == "addr" and self.end_bytes < self.start_bytes:
            raise KernelRefusal("end_bytes", f"{self.end_bytes} is below start_bytes (EINVAL)", "swap them")
        if self.type == "hugepage_size" and self.max_bytes < self.min_bytes:
            raise KernelRefusal("max_bytes", f"{self.max_bytes} is below min_bytes (EINVAL)", "swap them")


@dataclass(frozen=True)
class Dest(Checked):
    """One weighted destination of a migrate action: node ``id`` and its unreduced ``weight``."""

    id: int
    weight: int
    _max: ClassVar = {"id": 1023, "weight": UINT_MAX}


@dataclass(frozen=True)
class Scheme(Checked):
    """A DAMOS scheme.

    ``dest_rule`` says how ``dests`` are dealt: ``"vma_offset"`` is what vaddr does (and paddr with rmap would do);
    the others are the RFC's counterfactual, weights without page identity.
    """

    action: str = "stat"
    access_pattern: AccessPattern = field(default_factory=AccessPattern)
    apply_interval_us: int = 0
    target_nid: int = -1
    quota: Quota = field(default_factory=Quota)
    watermarks: Watermarks = field(default_factory=Watermarks)
    filters: tuple[Filter, ...] = ()
    dests: tuple[Dest, ...] = ()
    dest_rule: str = "vma_offset"
    max_nr_snapshots: int = 0
    _signed: ClassVar = frozenset({"target_nid"})
    _choices: ClassVar = {"action": ACTIONS, "dest_rule": DEST_RULES}


@dataclass(frozen=True)
class Target(Checked):
    """Monitored address ranges in core addresses; empty means everything the machine or workload has."""

    regions: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Context(Checked):
    """One kdamond's context. ``aggr_times_us`` replaces nominal intervals by recorded ends of aggregations."""

    ops: str = "paddr"
    attrs: Attrs = field(default_factory=Attrs)
    targets: tuple[Target, ...] = (Target(),)
    schemes: tuple[Scheme, ...] = ()
    addr_unit: int = 1
    min_region_sz: int = PAGE_SZ
    aggr_times_us: tuple[int, ...] = ()
    rng_seed: int | None = None
    _choices: ClassVar = {"ops": ("paddr", "vaddr", "fvaddr")}

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
        for i, scheme in enumerate(self.schemes):
            for j, goal in enumerate(scheme.quota.goals):
                if goal.metric.startswith("node_eligible_mem_bp") and self.ops != "paddr":
                    path = f"schemes[{i}].quota.goals[{j}].metric"
                    text = f"{goal.metric} needs paddr, the context uses {self.ops} (EINVAL)"
                    raise KernelRefusal(path, text, "use ops paddr or another metric")
        if any(b <= a for a, b in zip(self.aggr_times_us, self.aggr_times_us[1:], strict=False)):
            raise InputError("aggr_times_us", "does not increase", "list the ends of aggregations in order")


@dataclass(frozen=True)
class Scenario(Checked):
    """Everything a run depends on, except its duration and seed."""

    machine: Machine
    workload: Workload
    contexts: tuple[Context, ...] = ()
    name: str = ""

    @property
    def tick_us(self) -> int:
        """Length of a workload tick: what the workload says, else the shortest sampling interval of the contexts."""
        shortest = [c.attrs.intervals_goal.min_sample_us if c.attrs.intervals_goal.aggrs else c.attrs.sample_us
                    for c in self.contexts]  # fmt: skip
        return self.workload.tick_us or max(min(shortest, default=Attrs.sample_us), 1)

    def check(self) -> None:
        """Refuse workloads that do not fit and ids that the machine does not have."""
        room = sum(n.sz_bytes - n.unmanaged_bytes - n.kernel_bytes - n.cache_bytes for n in self.machine.nodes)
        if self.workload.n_pages * PAGE_SZ > room:
            text = f"{self.workload.n_pages} pages exceed the machine's {room // PAGE_SZ} free frames"
            raise InputError("workload.n_pages", text, "shrink the workload or enlarge a node")
        nids = [n.nid for n in self.machine.nodes]
        for i, place in enumerate(self.workload.placement):
            if place.weights and (len(place.weights) != len(nids) or not sum(place.weights)):
                text = f"{list(place.weights)} are not one weight per node"
                raise InputError(f"workload.placement[{i}].weights", text, f"give {len(nids)} weights, not all 0")
            if place.start_bytes is None and place.nid not in nids:
                text = f"node {place.nid} is not in the machine"
                raise InputError(f"workload.placement[{i}].nid", text, suggest(str(place.nid), map(str, nids)))
        for i, context in enumerate(self.contexts):
            if context.ops != "paddr" and not self.workload.vmas:
                raise InputError(f"contexts[{i}].ops", f"{context.ops} needs mappings", "give workload.vmas")

    def to_toml(self) -> str:
        """Return the scenario as TOML text that `tieringmodel.load` reads back to an equal scenario."""
        import tomli_w

        return tomli_w.dumps(self.to_dict())

    def to_json(self) -> str:
        """Return the scenario as one line of JSON (the ``scenario`` attribute of every dataset)."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_toml(cls, source: str | Path) -> Scenario:
        """Read TOML text or a TOML file.

        Raises
        ------
        InputError
            Naming file and line for broken TOML, path and value for a wrong field.
        """
        import tomllib

        text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
        where = str(source) if isinstance(source, Path) else "TOML text"
        try:
            data: Mapping[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InputError(where, f"is not valid TOML: {error}", "see the message for line and column") from None
        return cls.from_dict(data)

    @classmethod
    def from_json(cls, text: str) -> Scenario:
        """Read what `to_json` wrote."""
        return cls.from_dict(json.loads(text))
