"""Machines: NUMA nodes in address order, and how frames are handed out and copied."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, ClassVar

from ..errors import InputError
from ..fields import Checked, suggest
from ..units import PAGE_SZ, format_bytes
from .linux import Rules
from .numa import NumaBalancing
from .performance import Performance, numbers_of
from .swap import Swap

SIZES = ("start_bytes", "sz_bytes", "unmanaged_bytes", "kernel_bytes", "cache_bytes", "offline_bytes")
"""Fields of a node that are whole pages, and whole folios."""
ALLOCATORS = ("lowest", "fifo", "lifo", "random", "buddy")


@dataclass(frozen=True)
class Node(Checked):
    """A NUMA node: `sz_bytes` of System RAM from `start_bytes`, or ``ranges`` of it where there are holes between them.

    ``ranges`` are [start, end) in physical bytes, ascending. Ranges that touch are one, and a single one is the same as
    `start_bytes` and `sz_bytes`; of several these two are the first address and the sum. Holes have no frames: addresses
    there lead nowhere. Without ``ranges`` and `start_bytes` a node begins where the one before it in the machine ends.
    ``unmanaged_bytes`` are frames outside MemTotal (firmware, memory map); ``kernel_bytes`` are allocated but on no LRU
    list; ``cache_bytes`` are LRU pages that nobody touches. Allocation from the node fails while its free pages are at
    or below ``reserve_pages`` (the watermark). ``offline_bytes`` are taken from the top of the free memory.
    ``percpu_pages`` of the free pages are on per-CPU lists at the start, where the machine has such lists.

    Attributes
    ----------
    nid
        Its number.
    start_bytes
        Its first physical address.
    sz_bytes
        How much System RAM it has.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Node(nid=0, start_bytes=0, sz_bytes="1 GiB").sz_bytes
    1073741824
    >>> tm.Node(nid=0, ranges=[["0", "2 GiB"], ["4 GiB", "6 GiB"]]).sz_bytes >> 30
    4
    """

    nid: int
    start_bytes: int | None = None
    sz_bytes: int = 0
    reserve_pages: int = 0
    unmanaged_bytes: int = 0
    kernel_bytes: int = 0
    cache_bytes: int = 0
    offline_bytes: int = 0
    percpu_pages: int = 0
    ranges: tuple[tuple[int, int], ...] = ()
    _max: ClassVar = {"nid": 1023, "reserve_pages": 2**52}
    _in_bytes: ClassVar = frozenset({"ranges"})

    def check(self) -> None:
        """Refuse empty, unaligned or overfull nodes."""
        if self.ranges:
            self._take_ranges()
        for name in SIZES:
            if (getattr(self, name) or 0) % PAGE_SZ:
                raise InputError(name, f"{getattr(self, name)} is not a multiple of {PAGE_SZ}", "align it to a page")
        if self.sz_bytes == 0:
            raise InputError("sz_bytes", "is missing, or 0: the node is empty", "write e.g. '16 GiB', or give ranges")
        if self.extent[1] >= 2**63:
            raise InputError("sz_bytes", f"{self.sz_bytes} ends beyond 2**63", "write e.g. '16 GiB'")
        if self.unmanaged_bytes + self.kernel_bytes + self.cache_bytes + self.offline_bytes > self.sz_bytes:
            raise InputError("cache_bytes", "the occupied parts exceed the node", "make them smaller")

    def _take_ranges(self) -> None:
        """Refuse ranges that are none, join those that touch, and say where they begin and how much they are."""
        joined: list[tuple[int, int]] = []
        for i, (start, end) in enumerate(self.ranges):
            where, said = f"ranges[{i}]", f"{start:#x}..{end:#x}"
            if start % PAGE_SZ or end % PAGE_SZ:
                raise InputError(where, f"{said} does not begin and end at multiples of {PAGE_SZ}", "align it to pages")
            if start >= end:
                raise InputError(where, f"{said} is empty", "write [start, end] with the end behind the last byte")
            if joined and start < joined[-1][1]:
                what = "overlaps the range before" if end > self.ranges[i - 1][0] else "lies before the range before"
                raise InputError(where, f"{said} {what}", "list ranges in address order, each byte once")
            if joined and start == joined[-1][1]:
                start = joined.pop()[0]
            joined.append((start, end))
        derived = {"start_bytes": joined[0][0], "sz_bytes": sum(end - start for start, end in joined)}
        for name, value in derived.items():
            if getattr(self, name) not in (None if name == "start_bytes" else 0, value):
                text = f"{getattr(self, name)} contradicts ranges, which give {value}"
                raise InputError(name, text, "change ranges, and leave start_bytes and sz_bytes out")
            object.__setattr__(self, name, value)
        object.__setattr__(self, "ranges", tuple(joined) if len(joined) > 1 else ())

    @property
    def system_ram(self) -> tuple[tuple[int, int], ...]:
        """The ranges that have frames, [start, end) in physical bytes: `ranges`, or the only one."""
        start = self.start_bytes or 0
        return self.ranges or ((start, start + self.sz_bytes),)

    @property
    def extent(self) -> tuple[int, int]:
        """First address and the one behind the last, in bytes: what the node spans with its holes."""
        return self.system_ram[0][0], self.system_ram[-1][1]

    @property
    def place(self) -> str:
        """Where the node begins, or which ranges it has, in words."""
        ranges = (f"{format_bytes(start)}..{format_bytes(end)}" for start, end in self.ranges)
        return " and ".join(ranges) or format_bytes(self.extent[0])

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; what ``ranges`` say is not said again."""
        out = super().to_dict()
        return {k: v for k, v in out.items() if k not in ("start_bytes", "sz_bytes")} if self.ranges else out

    def replace(self, **changes: Any) -> Node:
        """Return a copy with fields changed; new ``ranges`` are all there is to say of where it lies."""
        return super().replace(**({"start_bytes": None, "sz_bytes": 0} if "ranges" in changes else {}) | changes)


@dataclass(frozen=True)
class Buddy(Checked):
    """What else happens to free frames with the ``"buddy"`` allocator: assumptions, to be varied.

    The first node has ``cpus`` CPUs, and each keeps lists of single free frames. ``others_pages_per_s``: pages of 4 KiB of
    the first node that other tasks take on each CPU every second, from where anybody would, and free two seconds later; they
    count as free all the time, since what others hold is ``kernel_bytes``, and a run begins with two seconds of them.
    Migrations are carried out on one CPU, at first any, and after each second on another one with a chance of
    ``cpu_changes_bp``. ``Node.percpu_pages`` are on one CPU's list at the start, but what others take in a second from each
    other one.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Machine.dram_cxl("1 GiB", "4 GiB", allocator="buddy", buddy={"cpus": 8}).buddy.cpus
    8
    """

    cpus: int = 2
    others_pages_per_s: int = 100
    cpu_changes_bp: int = 3000
    _max: ClassVar = {"cpus": 4096, "others_pages_per_s": 1_000_000, "cpu_changes_bp": 10_000}

    def check(self) -> None:
        """Refuse a node without CPUs."""
        if self.cpus == 0:
            raise InputError("cpus", "0 leaves nobody to migrate", "write 1 or more")


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

    ``allocator`` says which free frame is handed out: the ``"lowest"``, the one freed first (``"fifo"``) or last (``"lifo"``),
    a ``"random"`` one. ``"buddy"`` hands frames out as Linux does, from lists of CPUs and blocks of each order, those from 4
    GiB on before those below (`tieringmodel.kernels.buddy`), with ``buddy`` as its assumptions. Its own lists are then those
    that ``percpu_lists`` keeps from ``MemFree``, and ``buddy.cpu_changes_bp`` says how often another CPU works.

    ``overload``: a kdamond's work takes time, so that many regions and long passes stretch its aggregations
    (`tieringmodel.simulation.clock.ContextClock`); where ends of aggregations are recorded, those say it.

    ``swap``: a device that takes what ``pageout`` reclaims (`Swap`); without one everything leaves memory at once, in no time.

    ``performance``: how fast nodes answer under load; with ``workload.demand`` it slows accesses (`Workload`).

    ``numa_balancing``: the kernel's own promotion and demotion, beside DAMON or without it (`NumaBalancing`).

    Attributes
    ----------
    nodes
        NUMA nodes, in address order.
    migrate_ns_per_page
        Time that one page's migration takes of a kdamond.
    rmap_ns_per_page
        Time that one walk of the reverse mapping takes of a kdamond.
    shared_split_state
        Whether all kdamonds share the static variables of the split code, as in Linux 7.3, or each has its own.

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
    buddy: Buddy | None = None
    overload: bool = False
    performance: Performance | None = None
    swap: Swap | None = None
    numa_balancing: NumaBalancing | None = None
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
        if self.buddy and self.allocator != "buddy":
            text = f"is about an allocator that the machine does not have: it has {self.allocator!r}"
            raise InputError("buddy", text, "leave it out, or set allocator = 'buddy'")
        if self.percpu_lists and self.buddy and self.buddy.cpus != self.percpu_lists:
            text = f"{self.buddy.cpus} contradicts percpu_lists, which gives {self.percpu_lists} CPUs"
            raise InputError("buddy.cpus", text, "give both the number of CPUs")
        self._lay_out()
        if len({n.nid for n in self.nodes}) != len(self.nodes):
            raise InputError("nodes", "two nodes share a nid", "number them differently")
        if self.performance:
            known, told = sorted(n.nid for n in self.nodes), sorted(numbers_of(self.performance.records))
            if told != known:
                text = f"is about nodes {', '.join(map(str, told))}, the machine has {', '.join(map(str, known))}"
                raise InputError("performance", text, "give a record for each node")
        if self.numa_balancing:
            self._check_balancing(self.numa_balancing)

    def _check_balancing(self, balancing: NumaBalancing) -> None:
        """Refuse NUMA balancing on machines with one node, with larger folios, and with zones of other nodes."""
        if len(self.nodes) < 2:
            raise InputError("numa_balancing", "needs a second node, the slower memory", "give one, or leave it out")
        if self.folio_bytes > PAGE_SZ:
            text = f"is about single pages of {PAGE_SZ} bytes, folios have {self.folio_bytes}"
            raise InputError("numa_balancing", text, "leave folio_bytes out")
        for k, zone in enumerate(balancing.zones):
            self.need_node(zone.nid, f"numa_balancing.zones[{k}].nid")
        if balancing.zones and not any(zone.nid == self.nodes[0].nid for zone in balancing.zones):
            text = f"name none of node {self.nodes[0].nid}, the top tier"
            raise InputError("numa_balancing.zones", text, "list that node's zones, lowest first")

    @property
    def handed_out(self) -> Buddy | None:
        """Assumptions of the ``"buddy"`` allocator where the machine has it: those given, or else the usual ones."""
        if self.allocator != "buddy":
            return None
        return self.buddy or Buddy(cpus=self.percpu_lists or Buddy.cpus)

    def with_allocator(self, allocator: str) -> Machine:
        """Return the machine with another allocator; ``buddy`` stays where it has that one."""
        return self.replace(allocator=allocator, buddy=self.buddy if allocator == "buddy" else None)

    def whole_from_us(self, rules: Rules) -> int:
        """Return from which length on, in microseconds, a kdamond's sleep lasts whole jiffies; 2**62 for none."""
        if not self.whole_jiffies:
            return 2**62
        return -(-4_000_000 // self.hz) if rules.sleep_four_jiffies else 20_001

    def _lay_out(self) -> None:
        """Let nodes without an address follow the one before; refuse an order or sizes that do not fit, and overlaps."""
        nodes: list[Node] = []
        for i, node in enumerate(self.nodes):
            at = f"nodes[{i}]"
            if node.start_bytes is None:
                node = node.replace(start_bytes=nodes[-1].extent[1] if nodes else 0)
            if nodes and node.extent[0] < nodes[-1].extent[0]:
                raise InputError(f"{at}.start_bytes", "lies below the node before", "list nodes in address order")
            for k, bounds in enumerate(node.ranges):
                if any(bound % self.folio_bytes for bound in bounds):
                    text = (
                        f"{bounds[0]:#x}..{bounds[1]:#x} does not begin and end at multiples of folio_bytes {self.folio_bytes}"
                    )
                    raise InputError(f"{at}.ranges[{k}]", text, "align it to a folio")
            for name in SIZES:
                if getattr(node, name) % self.folio_bytes:
                    text = f"{getattr(node, name)} is not a multiple of folio_bytes {self.folio_bytes}"
                    raise InputError(f"{at}.{name}", text, "align it to a folio")
            nodes.append(node)
        object.__setattr__(self, "nodes", tuple(nodes))
        spans = self.spans
        for (_, end, before), (start, _, i) in pairwise(spans):
            if start < end:
                where = f"nodes[{i}].{'ranges' if self.nodes[i].ranges else 'start_bytes'}"
                text = f"overlaps the node before: node {self.nodes[before].nid} ends at {end:#x}"
                raise InputError(where, text, "list nodes in address order, each byte once")

    @property
    def spans(self) -> list[tuple[int, int, int]]:
        """Where there are frames, in order of address: start and end in physical bytes, index of the node."""
        return sorted((start, end, i) for i, node in enumerate(self.nodes) for start, end in node.system_ram)

    def stretches(self, i: int) -> list[tuple[int, int]]:
        """Return the fewest stretches, in physical bytes, with the RAM of node index i and no other's; holes may lie inside."""
        runs = ((k, list(run)) for k, run in groupby(self.spans, key=lambda span: span[2]))
        return [(run[0][0], run[-1][1]) for k, run in runs if k == i]

    @property
    def extent(self) -> tuple[int, int]:
        """The lowest physical address and the one behind the highest, in bytes; holes lie inside."""
        return self.spans[0][0], self.spans[-1][1]

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
