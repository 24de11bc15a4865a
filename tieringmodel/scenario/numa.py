"""Who else migrates pages: NUMA balancing in memory-tiering mode promotes, kswapd demotes.

Section ``[machine.numa_balancing]`` of a scenario. Source: docs/theory/numa.md, sections 1 and 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isqrt
from typing import ClassVar, Protocol

from ..errors import InputError
from ..fields import Checked
from ..units import GIB, MIB, PAGE_SZ

MODES = ("memory_tiering", "disabled")
NOT_MODELLED = {
    "normal": "kernel.numa_balancing = 1",
    "1": "kernel.numa_balancing = 1",
    "both": "kernel.numa_balancing = 3",
    "3": "kernel.numa_balancing = 3",
}
"""What people write for the kernel's other modes."""
DMA_END, DMA32_END = 16 * MIB, 4 * GIB
DMA_RESERVED_PAGES = 256
"""Pages of ZONE_DMA that firmware keeps on a PC."""
MAX_SCAN_WINDOW_MB = 2560
"""MiB that a process' windows scan in a second at most."""
FEWEST_KBYTES, MOST_KBYTES = 128, 262_144
"""Bounds of min_free_kbytes where it follows from the size of memory."""
THP_PAGES_PER_ZONE = 5632
"""Pages that transparent huge pages ask to keep free in each zone."""


class _Node(Protocol):
    """What is asked of a node: see `Node`."""

    @property
    def nid(self) -> int: ...
    @property
    def unmanaged_bytes(self) -> int: ...
    @property
    def system_ram(self) -> tuple[tuple[int, int], ...]: ...


@dataclass(frozen=True)
class Zone(Checked):
    """A zone's watermarks in pages, as ``/proc/zoneinfo`` lists them: the text behind ``[machine.numa_balancing.zones]``.

    ``protection_pages`` is the zone's lowmem reserve against allocations that could use a higher zone of its node.

    Attributes
    ----------
    nid
        Its node.
    name
        DMA, DMA32, Normal, …
    managed
        Pages that Linux manages.
    min
        The watermark of that name: allocations fail below.
    low
        kswapd wakes below.
    high
        kswapd goes on until a zone has more than that free, in other modes.
    promo
        kswapd goes on until a zone has more than that free, in memory-tiering mode.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Zone(0, "DMA32", managed=482200, min=781, low=1263, high=1745, promo=2227).promo
    2227
    """

    nid: int
    name: str
    managed: int
    min: int
    low: int
    high: int
    promo: int
    protection_pages: int = 0
    _max: ClassVar = {"nid": 1023} | dict.fromkeys(("managed", "min", "low", "high", "promo", "protection_pages"), 2**40)

    def check(self) -> None:
        """Refuse watermarks that fall."""
        if not self.min <= self.low <= self.high <= self.promo:
            text = f"{self.min}, {self.low}, {self.high}, {self.promo} do not rise from min over low and high to promo"
            raise InputError("promo", text, "copy them from /proc/zoneinfo")


@dataclass(frozen=True)
class NumaBalancing(Checked):
    """Promotion by hint faults (``kernel.numa_balancing`` = 2) and demotion by kswapd, as Linux 7.3.4 does both.

    ``mode``: ``"memory_tiering"`` promotes, ``"disabled"`` leaves demotion alone; 1 and 3 of the kernel are refused. The first
    node has the CPUs and is the top tier; all others are slower memory. ``scan_delay_ms`` … ``hot_threshold_ms`` are files of
    debugfs' ``sched/numa_balancing``, ``promote_rate_limit_mbps`` is the sysctl of that name (MiB a second),
    ``demotion_enabled`` the one below ``/sys/kernel/mm/numa``. Watermarks are those of ``zones``, which must list every zone
    of the first node, lowest first. Left out, they follow from sizes of nodes by ``min_free_kbytes`` (0: by the kernel's
    formula), ``watermark_scale_factor`` and ``transparent_hugepage``, which unless ``"never"`` raises min_free_kbytes.

    Assumptions: the workload is one process of one thread, which uses ``cpu_share`` of a CPU beside its hint faults.
    ``scan_period_ms`` is its scan period at the start (0: it starts as a new process), the next window is due at
    ``first_window_ms`` (0: at a random time), and the mode was set ``set_before_ms`` before. ``promote_fault_us`` and
    ``refuse_fault_us`` are what a hint fault takes of the thread's time, with and without a promotion, ``scan_page_ns`` a page
    table entry that a window changes, and ``kswapd_pages_per_s`` is how many pages kswapd looks at; left out, they are those
    of `tieringmodel.cost`.

    What was recorded of a process goes before that: ``windows_ms`` are the times at which it scanned, in the midst of a tick's
    touches, those of them that are in ``passes_ms`` from the first page on. Then it scans until entries change or the pass
    ends, and no other window is due. From each time of ``fault_from_ms`` on a fault takes ``fault_factors`` times as long,
    because the thread had that little of a CPU.

    Attributes
    ----------
    scan_period_min_ms
        Shortest time from one scanned window to the next.
    scan_period_max_ms
        Longest time from one scanned window to the next.
    scan_size_mb
        How much one window scans, in MiB.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> machine = tm.Machine.dram_cxl("1 GiB", "4 GiB", numa_balancing={"demotion_enabled": True})
    >>> machine.numa_balancing.hot_threshold_ms
    1000
    """

    mode: str = "memory_tiering"
    scan_delay_ms: int = 1000
    scan_period_min_ms: int = 1000
    scan_period_max_ms: int = 60_000
    scan_size_mb: int = 256
    hot_threshold_ms: int = 1000
    promote_rate_limit_mbps: int = 65_536
    demotion_enabled: bool = False
    min_free_kbytes: int = 0
    watermark_scale_factor: int = 10
    transparent_hugepage: str = "always"
    zones: tuple[Zone, ...] = ()
    cpu_share: float = 1.0
    scan_period_ms: int = 0
    first_window_ms: int = 0
    set_before_ms: int = 0
    promote_fault_us: float | None = None
    refuse_fault_us: float | None = None
    scan_page_ns: float | None = None
    kswapd_pages_per_s: float | None = None
    windows_ms: tuple[int, ...] = ()
    passes_ms: tuple[int, ...] = ()
    fault_from_ms: tuple[int, ...] = ()
    fault_factors: tuple[int, ...] = ()
    _choices: ClassVar = {"mode": MODES, "transparent_hugepage": ("always", "madvise", "never")}
    _max: ClassVar = {
        **dict.fromkeys(
            (
                "scan_delay_ms",
                "scan_period_min_ms",
                "scan_period_max_ms",
                "scan_period_ms",
                "first_window_ms",
                "set_before_ms",
            ),
            10**9,
        ),
        "scan_size_mb": MAX_SCAN_WINDOW_MB,
        "hot_threshold_ms": 2**20,  # twice that is what the 21 bits of a page's access time hold
        "promote_rate_limit_mbps": 2**32,
        "min_free_kbytes": 2**40,
        "watermark_scale_factor": 3000,
    }

    def __post_init__(self) -> None:
        """Refuse the kernel's other modes by name, then check as ever."""
        if sysctl := NOT_MODELLED.get(str(self.mode)):
            text = f"{self.mode!r} ({sysctl}) balances pages of the first tier by faults, too, and is not modelled"
            remedy = "write 'memory_tiering' for 2, or 'disabled' for 0, which leaves demotion alone"
            raise InputError("mode", text, remedy)
        super().__post_init__()

    def check(self) -> None:
        """Refuse settings that the kernel refuses, and shares and costs that are none."""
        for name in ("scan_period_min_ms", "scan_period_max_ms", "scan_size_mb", "hot_threshold_ms", "watermark_scale_factor"):
            if getattr(self, name) == 0:
                raise InputError(name, "is 0", "write 1 or more")
        if self.scan_period_max_ms < self.scan_period_min_ms:
            text = f"{self.scan_period_max_ms} is below scan_period_min_ms {self.scan_period_min_ms}"
            raise InputError("scan_period_max_ms", text, "write at least as much")
        if not 0 < self.cpu_share <= 1:
            raise InputError("cpu_share", f"{self.cpu_share:g} is no share of a CPU", "write more than 0 and at most 1")
        for name in ("promote_fault_us", "refuse_fault_us", "scan_page_ns", "kswapd_pages_per_s"):
            value = getattr(self, name)
            if value is not None and not (value > 0 if name == "kswapd_pages_per_s" else value >= 0):
                remedy = "write a number above 0" if name == "kswapd_pages_per_s" else "write 0 or more"
                raise InputError(name, f"{value:g} is out of range", remedy)
            if value is not None and value > 1e9:
                raise InputError(name, f"{value:g} is over 1e9", "write a smaller number")
        if self.first_window_ms and not self.scan_period_ms:
            text = "is about a process that ran before, and scan_period_ms is 0, that of a new one"
            raise InputError("first_window_ms", text, "give both, or neither")
        for name in ("windows_ms", "passes_ms", "fault_from_ms"):
            times = getattr(self, name)
            if any(b <= a for a, b in pairwise(times)) or max(times, default=0) > 10**9:
                raise InputError(name, "is not a list of rising times below 10**9 ms", "sort it, each time once")
        if not set(self.passes_ms) <= set(self.windows_ms):
            raise InputError("passes_ms", "has a time that is not in windows_ms", "list the windows that begin a pass")
        if len(self.fault_factors) != len(self.fault_from_ms):
            text = f"has {len(self.fault_factors)} numbers for {len(self.fault_from_ms)} times of fault_from_ms"
            raise InputError("fault_factors", text, "give one for each")
        if self.fault_factors and not 1 <= min(self.fault_factors) <= max(self.fault_factors) <= 10**6:
            raise InputError(
                "fault_factors", "holds a number that is not 1 … 10**6", "write 1 for a thread with a CPU of its own"
            )
        if self.mode == "disabled" and not self.demotion_enabled:
            raise InputError(
                "mode", "'disabled' without demotion does nothing", "leave the section out, or set demotion_enabled"
            )

    def floor_ms(self) -> int:
        """Return the shortest scan period: what lets windows scan `MAX_SCAN_WINDOW_MB` MiB a second."""
        return 1000 // (MAX_SCAN_WINDOW_MB // self.scan_size_mb)

    def periods_ms(self, rss_pages: int) -> tuple[int, int]:
        """Return the least and the greatest scan period of a process of so many pages, in ms.

        Source: docs/theory/numa.md, section 1.

        Examples
        --------
        >>> import tieringmodel as tm
        >>> tm.NumaBalancing().periods_ms(524_288)
        (125, 7500)
        """
        windows = max(-(-rss_pages // (self.scan_size_mb * MIB // PAGE_SZ)), 1)
        least = max(self.floor_ms(), self.scan_period_min_ms // windows)
        return least, max(least, self.scan_period_max_ms // windows)

    def zones_of(self, nodes: Sequence[_Node]) -> tuple[Zone, ...]:
        """Return every zone with its watermarks: those given, or else computed from the nodes' sizes.

        Source: docs/theory/numa.md, section 4.
        """
        if self.zones:
            return self.zones
        sizes = [(node.nid, name, pages) for node in nodes for name, pages in managed_zones(node)]
        highs = [0] * len(sizes)
        made: list[Zone] = []
        for _ in range(1 if self.min_free_kbytes else 2):
            made = self._marked(sizes, self.min_free_kbytes or self._min_free_kbytes(sizes, highs))
            highs = [zone.high for zone in made]
        return tuple(made)

    def _min_free_kbytes(self, sizes: Sequence[tuple[int, str, int]], highs: Sequence[int]) -> int:
        pages = sum(max(size - high, 0) for (_, _, size), high in zip(sizes, highs, strict=True))
        return min_free_kbytes(pages, len(sizes) if self.transparent_hugepage != "never" and any(highs) else 0)

    def _marked(self, sizes: Sequence[tuple[int, str, int]], kbytes: int) -> list[Zone]:
        total, out = sum(pages for _, _, pages in sizes), []
        for k, (nid, name, pages) in enumerate(sizes):
            least = kbytes // 4 * pages // total
            step = max(least // 4, pages * self.watermark_scale_factor // 10_000)
            higher = sum(more for other, _, more in sizes[k + 1 :] if other == nid)
            out.append(Zone(nid, name, pages, least, least + step, least + 2 * step, least + 3 * step, higher // 256))
        return out


def min_free_kbytes(pages: int, huge_zones: int = 0) -> int:
    """Return min_free_kbytes of so many pages, and of so many zones where transparent huge pages are in use (khugepaged).

    Source: docs/theory/numa.md, section 4.
    """
    kbytes = min(max(isqrt(16 * 4 * pages), FEWEST_KBYTES), MOST_KBYTES)
    return max(kbytes, 4 * min(THP_PAGES_PER_ZONE * huge_zones, pages // 20))


def managed_zones(node: _Node) -> list[tuple[str, int]]:
    """Return a node's zones, lowest first, and how many pages of each Linux manages.

    Of what it does not, up to `DMA_RESERVED_PAGES` are of ZONE_DMA, the others of the largest zones.
    """
    bounds = (("DMA", 0, DMA_END), ("DMA32", DMA_END, DMA32_END), ("Normal", DMA32_END, 2**63))
    pages = {
        name: sum(max(min(end, last) - max(start, first), 0) for start, end in node.system_ram) // PAGE_SZ
        for name, first, last in bounds
    }
    left = node.unmanaged_bytes // PAGE_SZ
    taken = min(left, pages["DMA"], DMA_RESERVED_PAGES)
    pages["DMA"], left = pages["DMA"] - taken, left - taken
    for name in sorted(pages, key=lambda one: -pages[one]):
        taken = min(left, pages[name])
        pages[name], left = pages[name] - taken, left - taken
    return [(name, n) for name, n in pages.items() if n]
