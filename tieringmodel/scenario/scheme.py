"""DAMOS schemes: what to do with which regions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..errors import InputError, KernelRefusal
from ..fields import Checked
from ..units import LONG_MAX, UINT_MAX, ULONG_MAX
from .quota import Quota

ACTIONS = (
    "willneed", "cold", "pageout", "hugepage", "nohugepage", "collapse",
    "lru_prio", "lru_deprio", "migrate_hot", "migrate_cold", "stat",
)  # fmt: skip
CORE_FILTERS = ("addr", "target")
OPS_FILTERS = ("anon", "active", "memcg", "young", "hugepage_size", "unmapped")
DEST_RULES = ("vma_offset", "iid", "pfn_mod", "first", "last", "per_node", "push_only")


@dataclass(frozen=True)
class AccessPattern(Checked):
    """Six inclusive bounds: size in bytes, nr_accesses in samples per aggregation, age in aggregations.

    Attributes
    ----------
    min_sz_bytes
        Smallest region.
    max_sz_bytes
        Largest region.
    min_nr_accesses
        Fewest samples of an aggregation in which the region was accessed.
    max_nr_accesses
        Most such samples.
    min_age
        Fewest aggregations for which the region stayed as it is.
    max_age
        Most such aggregations.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.AccessPattern(min_nr_accesses=5).min_nr_accesses
    5
    """

    min_sz_bytes: int = 0
    max_sz_bytes: int = ULONG_MAX
    min_nr_accesses: int = 0
    max_nr_accesses: int = UINT_MAX
    min_age: int = 0
    max_age: int = UINT_MAX
    _max: ClassVar = {k: UINT_MAX for k in ("min_nr_accesses", "max_nr_accesses", "min_age", "max_age")}


@dataclass(frozen=True)
class Watermarks(Checked):
    """Activation by free memory: ``metric`` ``"none"`` or ``"free_mem_rate"`` (permil of the system's memory).

    Attributes
    ----------
    metric
        What is looked at: nothing, or the permil of memory that is free.
    interval_us
        Time from one look to the next while inactive.
    high
        Above, the scheme is inactive.
    mid
        Below, it becomes active.
    low
        Below, it is inactive.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Watermarks("free_mem_rate", "1 s", high=500, mid=300, low=50).interval_us
    1000000
    """

    metric: str = "none"
    interval_us: int = 0
    high: int = 0
    mid: int = 0
    low: int = 0
    _choices: ClassVar = {"metric": ("none", "free_mem_rate")}


@dataclass(frozen=True)
class Filter(Checked):
    """A DAMOS filter; ``addr`` and ``target`` are judged by core, the others per folio by the operations set.

    Attributes
    ----------
    type
        What is asked of a page or an address.
    matching
        Whether those of the type are meant, or all others.
    allow
        Whether what is meant passes, or is kept out.
    start_bytes
        First address, of type addr.
    end_bytes
        End of the addresses, of type addr.
    target_idx
        Number of the target, of type target.
    memcg_id
        Number of the memory cgroup, of type memcg.
    min_bytes
        Smallest folio, of type hugepage_size.
    max_bytes
        Largest folio, of type hugepage_size.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Filter("addr", allow=True, start_bytes="1 GiB", end_bytes="2 GiB").end_bytes
    2147483648
    """

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
    _max: ClassVar = {"target_idx": 2**31 - 1, "memcg_id": LONG_MAX}

    def check(self) -> None:
        """Answer as the kernel: EINVAL for reversed ranges."""
        if self.type == "addr" and self.end_bytes < self.start_bytes:
            raise KernelRefusal("end_bytes", f"{self.end_bytes} is below start_bytes (EINVAL)", "swap them")
        if self.type == "hugepage_size" and self.max_bytes < self.min_bytes:
            raise KernelRefusal("max_bytes", f"{self.max_bytes} is below min_bytes (EINVAL)", "swap them")


@dataclass(frozen=True)
class Dest(Checked):
    """One weighted destination of a migrate action: node ``id`` and its unreduced ``weight``.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Scheme("migrate_hot", dests=(tm.Dest(0, 40), tm.Dest(1, 60))).dests[1].weight
    60
    """

    id: int
    weight: int
    _max: ClassVar = {"id": 1023, "weight": UINT_MAX}


@dataclass(frozen=True)
class Scheme(Checked):
    """What is done to which regions, how often, how much, and where to: a DAMOS scheme.

    ``dest_rule`` says how ``dests`` are dealt: ``"vma_offset"`` is what vaddr does; on paddr it walks rmap for every
    candidate, which costs the machine's ``rmap_ns_per_page``, and with ``rmap_done_mark`` not for pages that arrived (where
    no rmap is walked, the mark changes nothing). The others are the RFC's counterfactual, weights without page identity. A
    scheme that is not ``enabled`` does nothing until an event switches it on.

    Attributes
    ----------
    dests
        Weighted nodes that a migration deals pages to, in place of `target_nid`.
    action
        What is done: migrate_hot, pageout, stat, …
    access_pattern
        Which regions.
    apply_interval_us
        Time from one application to the next; 0 is the aggregation interval.
    target_nid
        Node that a migration goes to; -1 is none.
    quota
        How much per window, and for which goals.
    watermarks
        When it is active.
    filters
        Which pages of a region, in order.
    max_nr_snapshots
        After so many applications it stops; 0 is never.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Scheme("migrate_hot", target_nid=1, access_pattern=tm.AccessPattern(min_nr_accesses=5)).target_nid
    1
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
    rmap_done_mark: bool = False
    max_nr_snapshots: int = 0
    enabled: bool = True
    _signed: ClassVar = frozenset({"target_nid"})
    _choices: ClassVar = {"action": ACTIONS, "dest_rule": DEST_RULES}

    def check(self) -> None:
        """Refuse a rank rule that is to split pages between any but two destinations."""
        if self.dests and self.action.startswith("migrate"):
            need_rule(self.dests, self.dest_rule)


def need_rule(dests: tuple[Dest, ...], rule: str) -> None:
    """Refuse destinations that a rule cannot deal to.

    Raises
    ------
    InputError
        If there are none, or not two of them for a rank rule.
    """
    if not dests:
        raise InputError("dests", "is empty", "give node ids with weights")
    if rule in ("first", "last") and len(dests) != 2:
        raise InputError("dest_rule", f"{rule!r} splits between two nodes, got {len(dests)}", "use another rule")
