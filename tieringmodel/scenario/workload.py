"""Workloads: logical pages, who touches them, where they start, where they are mapped."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ..checks import positive, share
from ..errors import InputError
from ..fields import Checked
from ..units import FOREVER, LONG_MAX, LONGEST_US, MIB, PAGE_SZ, UINT_MAX
from .performance import Demand, check_outstanding

LONGEST_SWEEP = 2**31 - 1
"""Ticks within which the pages of a period can have their turns."""
HUGE_BYTES = 2 * MIB
"""Size of a transparent huge page, and of the largest folio among others."""


@dataclass(frozen=True)
class Group(Checked):
    """Who touches logical pages ``lo`` … ``hi`` - 1 from workload tick ``start_tick`` up to ``end_tick``.

    ``kind``: ``"rate"`` touches each page at ``rate_hz`` as a Poisson process, with a ``period`` in
    ticks where ``(tick + phase) % period == 0`` alone; ``"period"`` touches every ``stride``-th
    page whenever ``(tick + phase) % period == 0``, or, with ``sweep_ticks``, one after the other, evenly, within so many ticks
    from then on; ``"hash"`` touches page p in tick t iff the 32-bit mix of
    ``p * 0x9E3779B1 + t * 0x85EBCA77 + salt`` is below ``threshold`` (the golden runs' generator).

    ``folio_bytes`` puts the group's pages into folios of that size (4 KiB … 2 MiB, a power of two): one accessed state each,
    set by a touch of any of its pages, and one place in memory. Without it ``thp`` says what Linux does: ``"always"`` backs
    every aligned range of 2 MiB by one folio, ``"madvise"`` those that the group advises, ``"never"`` (the default) none.
    ``thp_share`` of these ranges get their folio: with ``"always"`` spread evenly, with ``"madvise"`` the first ones. Of groups
    that share pages one says it for all; which ranges are aligned: `tieringmodel.scenario.folios.folio_runs`.

    ``dirty_share`` of the pages, evenly spread, belong to files and are dirtied by every touch; ``unevictable_share`` are
    locked in memory (``mlock``); all others are anonymous. The action ``pageout`` leaves both where they are, and is charged
    for them; a page of a file that was not touched for 30 seconds has been written by the flusher, and leaves without swap.

    With ``Workload.demand``: ``threads`` of the group's own, which touch nothing else, and its own ``outstanding``.

    Attributes
    ----------
    rate_hz
        Touches of each page a second, of kind rate.
    period
        Ticks from one touch to the next, of kind period.
    phase
        Ticks by which these are shifted.
    stride
        Every so many pages are touched, of kind period.
    threshold
        Of 2**32: how likely a page is touched in a tick, of kind hash.
    salt
        What tells one such group from another.
    name
        What results call it.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Group(0, 512, rate_hz=400, name="hot").hi
    512
    """

    lo: int
    hi: int
    kind: str = "rate"
    rate_hz: float = 0.0
    period: int = 1
    phase: int = 0
    stride: int = 1
    sweep_ticks: int = 0
    threshold: int = 0
    salt: int = 0
    start_tick: int = 0
    end_tick: int = FOREVER
    name: str = ""
    folio_bytes: int | None = None
    thp: str = "never"
    thp_share: float = 1.0
    threads: float | None = None
    outstanding: float | tuple[float, ...] | None = None
    dirty_share: float = 0.0
    unevictable_share: float = 0.0
    _choices: ClassVar = {"kind": ("rate", "period", "hash"), "thp": ("always", "madvise", "never")}
    _max: ClassVar = {"threshold": 2**32, "salt": UINT_MAX, "hi": 2**52, "sweep_ticks": LONGEST_SWEEP} | dict.fromkeys(
        ("end_tick", "start_tick", "period", "phase", "stride"), FOREVER
    )

    def check(self) -> None:
        """Refuse empty ranges and impossible rates."""
        if self.hi <= self.lo:
            raise InputError("hi", f"{self.hi} is not above lo {self.lo}", "give a non-empty page range")
        if self.period < 1 or self.stride < 1:
            raise InputError("period" if self.period < 1 else "stride", "is 0", "write 1 or more")
        if self.sweep_ticks > (self.period if self.kind == "period" else 0):
            text = (
                f"{self.sweep_ticks} is above the period"
                if self.kind == "period"
                else f"belongs to periods, not to {self.kind!r}"
            )
            raise InputError("sweep_ticks", text, "write within how many ticks of a period all pages are touched, or 0")
        if self.rate_hz < 0:
            raise InputError("rate_hz", f"{self.rate_hz} is negative", "write accesses per second and page")
        if self.threads is not None:
            positive("threads", self.threads)
        if self.outstanding is not None:
            check_outstanding(self.outstanding)
        share("dirty_share", self.dirty_share)
        share("unevictable_share", self.unevictable_share)
        if self.dirty_share + self.unevictable_share > 1:
            text = f"{self.dirty_share:g} and unevictable_share {self.unevictable_share:g} are more than all pages"
            raise InputError("dirty_share", text, "write shares that add up to 1 at most")
        size = PAGE_SZ if self.folio_bytes is None else self.folio_bytes
        if not PAGE_SZ <= size <= HUGE_BYTES or size & (size - 1):
            raise InputError("folio_bytes", f"{size} is no power of two from 4 KiB to 2 MiB", "write '64 KiB' or '2 MiB'")
        if self.folio_bytes is not None and self.thp != "never":
            raise InputError("thp", f"is {self.thp!r} beside folio_bytes", "give one of the two")
        if not 0 <= self.thp_share <= 1 or (self.thp_share < 1 and self.thp == "never"):
            fix = "write 0 … 1, with thp = 'always' or 'madvise'"
            raise InputError("thp_share", f"{self.thp_share} is no share of ranges with thp = {self.thp!r}", fix)

    @property
    def folio_order(self) -> int:
        """Binary logarithm of the pages of the group's folios, 0 for folios of one page."""
        size = self.folio_bytes or (PAGE_SZ if self.thp == "never" else HUGE_BYTES)
        return (size // PAGE_SZ).bit_length() - 1

    def touched(self, lo: int = 0, hi: int = 2**52) -> range:
        """Return the pages from `lo` up to `hi` that the group touches: every one, or every ``stride``-th of a ``"period"``."""
        stride = self.stride if self.kind == "period" else 1
        first = max(self.lo, lo)
        return range(first + -(first - self.lo) % stride, min(self.hi, hi), stride)

    def touch_rate_hz(self, tick_us: int) -> float:
        """Return the touches per second to expect of a page in `touched`, from ``start_tick`` up to ``end_tick``.

        Parameters
        ----------
        tick_us : int
            Length of a workload tick: `Scenario.tick_us`.

        Returns
        -------
        float
            ``rate_hz`` as it stands (of several touches in one tick only one is seen), or ticks per second over ``period``,
            or times the share of hashes below ``threshold``.

        Examples
        --------
        >>> Group(0, 8, "period", period=2).touch_rate_hz(1_000)
        500.0
        """
        if self.kind == "rate":
            return self.rate_hz
        return 1e6 / tick_us / self.period if self.kind == "period" else 1e6 / tick_us * self.threshold / 2**32

    def touch_probability(self, window_us: int, tick_us: int) -> float:
        """Return the probability that a window of time sees a page of the group touched, averaged over the group's pages.

        Parameters
        ----------
        window_us : int
            Length of the window, such as a sampling interval.
        tick_us : int
            Length of a workload tick: `Scenario.tick_us`.

        Returns
        -------
        float
        """
        ticks = window_us / tick_us
        if self.kind == "rate":
            burst_us = self.period * tick_us if self.period > 1 else 0
            seen = min(window_us / burst_us, 1.0) if burst_us else 1.0
            return -math.expm1(-self.rate_hz * max(window_us, burst_us) * 1e-6) * seen
        if self.kind == "period":
            return min(ticks / self.period, 1.0) / ((self.hi - self.lo) / len(self.touched()))
        return 1.0 - float((1.0 - self.threshold / 2**32) ** max(ticks, 1.0))

    def in_parts(self, parts: int) -> Group:
        """Return the group counted in ticks that are `parts` times shorter: its touches per second and its times stay."""
        changes = {name: min(getattr(self, name) * parts, FOREVER) for name in ("start_tick", "end_tick")}
        if self.kind == "period" or (self.kind == "rate" and self.period > 1):
            first = min(-self.phase % self.period * parts, FOREVER - 1)
            changes["period"] = min(self.period * parts, FOREVER)
            changes["phase"] = -first % changes["period"]
            changes["sweep_ticks"] = min(self.sweep_ticks * parts, changes["period"], LONGEST_SWEEP)
        elif self.kind == "hash":
            changes["threshold"] = round(self.threshold / parts)
        return self.replace(**changes)


@dataclass(frozen=True)
class Placement(Checked):
    """Where logical pages ``lo`` … ``hi`` - 1 lie at the start.

    With ``start_bytes``: on consecutive frames from that physical address. Otherwise each page in turn takes the lowest
    free frame of node ``nid`` (of the other nodes, in order, if it is full). ``weights``, one per node of the machine,
    replaces ``nid`` by static interleaving: page lo + k belongs to the node whose interval holds k mod the weights' sum.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Placement(0, 512, nid=1).nid
    1
    """

    lo: int
    hi: int
    nid: int = 0
    start_bytes: int | None = None
    weights: tuple[int, ...] = ()
    _max: ClassVar = {"weights": UINT_MAX}


@dataclass(frozen=True)
class Vma(Checked):
    """A virtual mapping of logical pages ``lo`` … ``hi`` - 1 at ``start_bytes``; ``pgoff`` is vm_pgoff in pages of 4 KiB.

    ``process``: in whose address space, that of process 0 unless it says otherwise (`Target.process`).

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Vma(0, 512, start_bytes=1 << 30).pgoff
    0
    """

    lo: int
    hi: int
    start_bytes: int
    pgoff: int = 0
    process: int = 0
    _max: ClassVar = {"process": UINT_MAX}


@dataclass(frozen=True)
class Memcg(Checked):
    """Logical pages ``lo`` … ``hi`` - 1 belong to memory cgroup ``memcg_id``, a child of ``parent_id`` (0: of the root).

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Memcg(memcg_id=1, lo=0, hi=512).parent_id
    0
    """

    memcg_id: int
    lo: int
    hi: int
    parent_id: int = 0
    _max: ClassVar = {"memcg_id": LONG_MAX, "parent_id": LONG_MAX}


@dataclass(frozen=True)
class Workload(Checked):
    """Logical pages, who touches them, where they start, where they are mapped and which memory cgroup they belong to.

    A page is what the machine calls one: ``Machine.folio_bytes``, 4 KiB unless it says otherwise. Groups can put pages of 4 KiB
    into larger folios (`Group`).

    ``tick_us`` is the grain of access decisions: a page is touched or not in each tick, and the answer depends only on
    (seed, page, tick). Left out, groups count in the shortest sampling interval of the contexts. A tick that nobody chose,
    left out or with ``tick_chosen`` false as that of a family, is cut into parts where DAMON may come to sample more often
    (`Scenario.timed_workload`); one that is chosen stays.

    ``demand`` closes the loop: ``rate_hz`` of groups is what they do without any load with all their pages on the fast node,
    and from window to window they are slower by what `tieringmodel.cost.closed_loop` says. Groups without ``threads`` share
    those of ``demand``, in proportion to their accesses.

    Attributes
    ----------
    groups
        Who touches which pages, how often.
    n_pages
        How many logical pages there are.
    placement
        Where pages start.
    vmas
        Where pages are mapped, for contexts that monitor virtual addresses.
    memcgs
        Which memory cgroup pages belong to.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> workload = tm.Workload(1024, groups=(tm.Group(0, 512, rate_hz=400),))
    >>> tm.workload.access_rate_hz(workload)
    204800.0
    """

    n_pages: int
    groups: tuple[Group, ...] = ()
    placement: tuple[Placement, ...] = ()
    vmas: tuple[Vma, ...] = ()
    tick_us: int | None = None
    memcgs: tuple[Memcg, ...] = ()
    tick_chosen: bool = True
    demand: Demand | None = None
    _max: ClassVar = {"n_pages": 2**52, "tick_us": LONGEST_US}

    def check(self) -> None:
        """Refuse page ranges beyond the workload and pages placed twice or never."""
        for i, g in enumerate(self.groups):
            if self.demand and g.kind != "rate":
                text = f"a group of kind {g.kind!r} cannot slow down"
                raise InputError(f"groups[{i}].kind", text, "write rate, or leave demand out")
            if not self.demand and (g.threads is not None or g.outstanding is not None):
                name = "outstanding" if g.threads is None else "threads"
                raise InputError(f"groups[{i}].{name}", "is given without demand", "give workload.demand")
        self._check_phases()
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

    def _check_phases(self) -> None:
        """Refuse phases of groups that nobody knows, and those that never end."""
        names = [g.name or f"group{i}" for i, g in enumerate(self.groups)]
        for k, phase in enumerate(self.demand.phases if self.demand else ()):
            for i, name in enumerate(phase.groups):
                if names.count(name) != 1:
                    text = f"{name!r} is the name of {'no group' if name not in names else 'several groups'}"
                    raise InputError(f"demand.phases[{k}].groups[{i}]", text, f"name one of {', '.join(names) or 'the groups'}")
            if not any(g.rate_hz > 0 for g, name in zip(self.groups, names, strict=True) if name in phase.groups):
                text = "touch nothing, so that the phase never ends"
                raise InputError(f"demand.phases[{k}].groups", text, "give one of them a rate_hz, or leave the phase out")
