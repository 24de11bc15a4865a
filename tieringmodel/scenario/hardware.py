"""Machines: NUMA nodes in address order, and how frames are handed out and copied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import InputError
from ..fields import Checked, suggest
from ..units import PAGE_SZ
from .linux import Rules

ALLOCATORS = ("lowest", "fifo", "lifo", "random")


@dataclass(frozen=True)
class Node(Checked):
    """A NUMA node: `sz_bytes` of physical address space from `start_bytes`.

    ``unmanaged_bytes`` are frames outside MemTotal (firmware, memory map); ``kernel_bytes`` are allocated but on no LRU
    list; ``cache_bytes`` are LRU pages that nobody touches. Allocation from the node fails while its free pages are at
    or below ``reserve_pages`` (the watermark). ``offline_bytes`` are taken from the top of the free memory.
    ``percpu_pages`` of the free pages are on per-CPU lists at the start, where the machine has such lists.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Node(nid=0, start_bytes=0, sz_bytes="1 GiB").sz_bytes
    1073741824
    """

    nid: int
    start_bytes: int
    sz_bytes: int
    reserve_pages: int = 0
    unmanaged_bytes: int = 0
    kernel_bytes: int = 0
    cache_bytes: int = 0
    offline_bytes: int = 0
    percpu_pages: int = 0
    _max: ClassVar = {"nid": 1023, "reserve_pages": 2**52}

    def check(self) -> None:
        """Refuse empty, unaligned or overfull nodes."""
        for name in ("start_bytes", "sz_bytes", "unmanaged_bytes", "kernel_bytes", "cache_bytes", "offline_bytes"):
            if getattr(self, name) % PAGE_SZ:
                raise InputError(name, f"{getattr(self, name)} is not a multiple of {PAGE_SZ}", "align it to a page")
        if self.sz_bytes == 0 or self.start_bytes + self.sz_bytes >= 2**63:
            raise InputError("sz_bytes", f"{self.sz_bytes} is empty or ends beyond 2**63", "write e.g. '16 GiB'")
        if self.unmanaged_bytes + self.kernel_bytes + self.cache_bytes + self.offline_bytes > self.sz_bytes:
            raise InputError("cache_bytes", "the occupied parts exceed the node", "make them smaller")


@dataclass(frozen=True)
class Machine(Checked):
    """Nodes in address order, and how frames are handed out and copied.

    ``on_full``: after the first failed order-0 allocation the kernel abandons the rest of a migration run
    (``"stop_run"``); ``"try_all"`` tries every page (the golden runs' stub). ``hz`` is CONFIG_HZ: quota windows are
    counted in jiffies.

    ``folio_bytes`` is the size of every folio on an LRU list, and with it of what everything else here calls a page:
    logical pages, frames, what is touched, migrated and counted. Core addresses, regions and quotas keep their grain.

    ``whole_jiffies``: a kdamond's sleep of four jiffies or more lasts whole jiffies, rounded up, as Linux sleeps (in Linux
    6.12 a sleep above 20 ms).

    ``percpu_lists`` CPUs keep lists of freed pages, which ``MemFree`` does not count and allocations take first (0: no
    lists; see `tieringmodel.memory.page_lists`). With ``percpu_roams`` each pass runs on any of these CPUs.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> [node.nid for node in tm.Machine.dram_cxl("1 GiB", "4 GiB").nodes]
    [0, 1]
    """

    nodes: tuple[Node, ...]
    hz: int = 1000
    allocator: str = "lowest"
    on_full: str = "stop_run"
    migrate_ns_per_page: int = 0
    rmap_ns_per_page: int = 0
    shared_split_state: bool = True
    folio_bytes: int = PAGE_SZ
    percpu_lists: int = 0
    percpu_roams: bool = True
    whole_jiffies: bool = True
    _choices: ClassVar = {"allocator": ALLOCATORS, "on_full": ("stop_run", "try_all")}
    # 2**32 pages of a second each still fit the clock beside the longest run.
    _max: ClassVar = {
        "hz": 1_000_000,
        "folio_bytes": 2**30,
        "percpu_lists": 4096,
        "migrate_ns_per_page": 10**9,
        "rmap_ns_per_page": 10**9,
    }

    def check(self) -> None:
        """Refuse machines without nodes, with repeated ids or with overlapping ranges."""
        if not self.nodes:
            raise InputError("nodes", "is empty", "give at least one node")
        if self.hz == 0:
            raise InputError("hz", "0 is no tick rate", "write 100, 250 or 1000")
        if self.folio_bytes < PAGE_SZ or self.folio_bytes & (self.folio_bytes - 1):
            text = f"{self.folio_bytes} is not a power of two of {PAGE_SZ} bytes or more"
            raise InputError("folio_bytes", text, "write '4 KiB', '64 KiB' or '2 MiB'")
        if self.percpu_lists and self.folio_bytes > PAGE_SZ:
            text = f"lists hold pages of {PAGE_SZ} bytes, folios have {self.folio_bytes}"
            raise InputError("percpu_lists", text, "leave it out: large folios are freed to the node")
        end = 0
        for i, node in enumerate(self.nodes):
            if node.start_bytes < end:
                raise InputError(f"nodes[{i}].start_bytes", "overlaps the node before", "list nodes in address order")
            for name in ("start_bytes", "sz_bytes", "unmanaged_bytes", "kernel_bytes", "cache_bytes", "offline_bytes"):
                if getattr(node, name) % self.folio_bytes:
                    text = f"{getattr(node, name)} is not a multiple of folio_bytes {self.folio_bytes}"
                    raise InputError(f"nodes[{i}].{name}", text, "align it to a folio")
            end = node.start_bytes + node.sz_bytes
        if len({n.nid for n in self.nodes}) != len(self.nodes):
            raise InputError("nodes", "two nodes share a nid", "number them differently")

    def whole_from_us(self, rules: Rules) -> int:
        """Return from which length on, in microseconds, a kdamond's sleep lasts whole jiffies; 2**62 for none."""
        if not self.whole_jiffies:
            return 2**62
        return -(-4_000_000 // self.hz) if rules.sleep_four_jiffies else 20_001

    def slept_ns(self, sleep_us: int, rules: Rules) -> int:
        """Return how long a kdamond's sleep lasts, in nanoseconds (``kdamond_usleep``).

        Parameters
        ----------
        sleep_us : int
            What is asked for.
        rules : Rules
            What the kernel does.

        Returns
        -------
        int
            Whole jiffies, rounded up, from four jiffies on (without ``sleep_four_jiffies``: from above 20 ms on), unless
            ``whole_jiffies`` is off; else what was asked for.
        """
        if sleep_us < self.whole_from_us(rules):
            return sleep_us * 1000
        return -(-sleep_us * self.hz // 1_000_000) * (1_000_000_000 // self.hz)

    def need_node(self, nid: int, where: str) -> None:
        """Raise `InputError` at the path `where` if no node has that id."""
        known = [n.nid for n in self.nodes]
        if nid not in known:
            raise InputError(where, f"node {nid} is not in the machine", suggest(str(nid), map(str, known)))

    @classmethod
    def dram_cxl(cls, dram: int | str, cxl: int | str, start_bytes: int = 0, **options: Any) -> Machine:
        """Return the usual pair: node 0 (DRAM) at `start_bytes`, node 1 (CXL) directly after it."""
        first = Node(0, start_bytes, dram)  # type: ignore[arg-type]
        return cls(nodes=(first, Node(1, start_bytes + first.sz_bytes, cxl)), **options)  # type: ignore[arg-type]
