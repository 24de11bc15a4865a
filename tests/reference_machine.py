"""A machine in slow, literal Python: nodes, folios on frames, address spaces, a workload, migration and reclaim.

A folio is known by its logical number and lies on a slot: a place for one folio, counted from the first node's start.
What is known of a folio (accessed bit, idle, active, referenced) goes with it from slot to slot.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import reference as ref
from reference_rules import LATEST, Rules

PAGE = 4096


@dataclass
class Node:
    nid: int
    first: int  # slot
    slots: int
    reserve: int
    free: list[int] = field(default_factory=list)  # a heap

    def __post_init__(self) -> None:
        self.free = list(range(self.first, self.first + self.slots))

    def take(self) -> int:
        return heapq.heappop(self.free)

    def has_room(self) -> bool:
        return len(self.free) > self.reserve


@dataclass
class Vma:
    """Logical folios ``lo`` … ``hi - 1``, mapped one after the other from ``start``."""

    lo: int
    hi: int
    start: int
    pgoff: int
    folio_bytes: int

    @property
    def end(self) -> int:
        return self.start + (self.hi - self.lo) * self.folio_bytes

    def holds(self, address: int) -> bool:
        return self.start <= address < self.end

    def folio(self, address: int) -> int:
        return self.lo + (address - self.start) // self.folio_bytes


class Machine:
    def __init__(self, run: dict, rules: Rules = LATEST) -> None:
        self.rules, self.on_full, self.cost = rules, run["on_full"], run["cost_ns_per_page"]
        self.hz, self.jiffies0 = run["hz"], run["jiffies0"]
        self.pages = run["folio_pages"]
        self.folio_bytes = self.pages * PAGE
        self.base = run["nodes"][0][1] // self.pages
        self.nodes = [Node(nid, self.slot_of(first), n // self.pages, reserve) for nid, first, n, reserve in run["nodes"]]
        n = run["logical"]
        self.slot: list[int] = [-1] * n  # -1: nowhere
        self.owner: list[int] = [-1] * (self.nodes[-1].first + self.nodes[-1].slots)
        self.accessed, self.idle = [False] * n, [False] * n
        self.active, self.referenced = [False] * n, [False] * n
        self.out: list[int] = []
        self.wanted: set[int] = set()  # out and touched since
        self.groups, self.memcgs = run["groups"], run["memcgs"]
        self.spaces = [self.space(vmas) for vmas in run["processes"]]
        self.vma_events = run["vma_events"]
        self.clock = self.migrated = self.failed = self.psi_total = 0
        self.place(run["place"])

    def space(self, vmas: Sequence[Sequence[int]]) -> list[Vma]:
        return sorted((Vma(*row, self.folio_bytes) for row in vmas), key=lambda v: v.start)

    # ---- where folios are

    def slot_of(self, frame: int) -> int:
        return frame // self.pages - self.base

    def place(self, rows: Iterable[Sequence[int]]) -> None:
        """Reserves do not count here."""
        for lo, hi, nid in rows:
            first = self.node(nid)
            order = [*([first] if first else []), *(n for n in self.nodes if n is not first)]
            for folio in range(lo, hi):
                self.put(folio, next(n for n in order if n.free).take())

    def put(self, folio: int, slot: int) -> None:
        self.slot[folio], self.owner[slot] = slot, folio

    def clear(self, slot: int) -> None:
        self.owner[slot] = -1
        heapq.heappush(self.node_of(slot).free, slot)

    def node(self, nid: int) -> Node | None:
        return next((n for n in self.nodes if n.nid == nid), None)

    def node_of(self, slot: int) -> Node:
        return next(n for n in self.nodes if n.first <= slot < n.first + n.slots)

    def slot_at(self, address: int) -> int | None:
        """The slot of the folio that a physical address lies in; None if it holds none."""
        slot = address // self.folio_bytes - self.base
        return slot if 0 <= slot < len(self.owner) and self.owner[slot] >= 0 else None

    def start_of(self, slot: int) -> int:
        return (slot + self.base) * self.folio_bytes

    def vma_at(self, process: int, address: int) -> Vma | None:
        return next((v for v in self.spaces[process] if v.holds(address)), None)

    def slot_mapped(self, process: int, address: int) -> int | None:
        vma = self.vma_at(process, address)
        slot = self.slot[vma.folio(address)] if vma else -1
        return slot if slot >= 0 else None

    # ---- accessed state

    def young(self, folio: int) -> bool:
        return self.accessed[folio] or not self.idle[folio]

    def mkold(self, folio: int) -> None:
        self.accessed[folio], self.idle[folio] = False, True

    def tick(self, t: int) -> None:
        """Address spaces change, then the workload runs."""
        for event in self.vma_events:
            if event["at"] == t:
                self.spaces[event["process"]] = self.space(event["vmas"])
        for group in self.groups:
            if group["t0"] <= t < group["t1"]:
                for folio in self.touched(group, t):
                    if self.slot[folio] < 0:
                        self.wanted.add(folio)
                    else:
                        self.accessed[folio] = True

    @staticmethod
    def touched(group: dict, t: int) -> Iterator[int]:
        lo, hi = group["lo"], group["hi"]
        if group["kind"] == "hash":
            for p in range(lo, hi):
                if ref.hash_touches(p, t, threshold=group["thr"], salt=group["salt"]):
                    yield p
        elif (t + group["phase"]) % group["period"] == 0:
            yield from range(lo, hi, group["stride"])

    # ---- time

    @property
    def jiffy_ns(self) -> int:
        return 10**9 // self.hz

    @property
    def jiffies(self) -> int:
        return self.jiffies0 + self.clock // self.jiffy_ns

    @property
    def coarse(self) -> int:
        return self.clock // self.jiffy_ns * self.jiffy_ns

    # ---- migration and reclaim

    def migrate(self, slots: Sequence[int], nid: int) -> int:
        """The folios of a list, in the order in which they were isolated; how many moved."""
        target = self.node(nid)
        if target is None:
            return 0
        moved = 0
        for source, run in groupby(slots, key=lambda slot: self.node_of(slot).nid):
            if source != nid:
                moved += self.migrate_run(list(run)[::-1], target)
        return moved

    def migrate_run(self, slots: Sequence[int], target: Node) -> int:
        moved = 0
        for slot in slots:
            new = self.allocate(target)
            if new is None:
                self.failed += 1
                if self.on_full == "stop_run":
                    break
                continue
            self.put(self.owner[slot], new)
            self.clear(slot)
            self.clock += self.cost
            moved += 1
        self.migrated += moved
        return moved

    def allocate(self, target: Node) -> int | None:
        """A slot on the target; kernels without ``thisnode`` go on to the nodes behind it, and round."""
        at = self.nodes.index(target)
        order = [target] if self.rules["thisnode"] else self.nodes[at:] + self.nodes[:at]
        node = next((n for n in order if n.has_room()), None)
        return node.take() if node else None

    def reclaim(self, slots: Sequence[int]) -> int:
        for slot in slots:
            folio = self.owner[slot]
            self.clear(slot)
            self.slot[folio] = -1
            self.accessed[folio] = self.idle[folio] = False
            self.out.append(folio)
        return len(slots)

    def fault_in(self) -> None:
        for folio in [f for f in self.out if f in self.wanted]:
            node = next((n for n in self.nodes if n.has_room()), None)
            if node is None:
                return
            self.put(folio, node.take())
            self.out.remove(folio)
            self.wanted.remove(folio)
            self.accessed[folio], self.idle[folio] = True, False

    def mark_accessed(self, folio: int) -> None:
        """The first call sets a flag, the second one activates."""
        if self.active[folio]:
            self.referenced[folio] = True
        elif self.referenced[folio]:
            self.active[folio], self.referenced[folio] = True, False
        else:
            self.referenced[folio] = True
        self.idle[folio] = False

    # ---- what is measured

    def used(self, node: Node) -> int:
        return node.slots - len(node.free)

    def free_rate(self) -> int:
        return sum(len(n.free) for n in self.nodes) * 1000 // sum(n.slots for n in self.nodes)

    def memcg_of(self, folio: int) -> int | None:
        return next((m[0] for m in self.memcgs if m[2] <= folio < m[3]), None)

    def memcg_used(self, memcg: int, node: Node) -> int | None:
        """Folios of the group and of those below it; None if there is no such group."""
        parents = {m[0]: m[1] for m in self.memcgs}
        if memcg not in parents and memcg not in parents.values():
            return None

        def below(m: int | None) -> bool:
            return m == memcg or (m in parents and below(parents[m]))

        slots = range(node.first, node.first + node.slots)
        return sum(self.owner[s] >= 0 and below(self.memcg_of(self.owner[s])) for s in slots)

    def lru_active(self) -> int:
        return sum(a and s >= 0 for a, s in zip(self.active, self.slot, strict=True))

    def owners(self) -> np.ndarray:
        return np.array(self.owner, np.int64).astype(np.uint32) + np.uint32(1)

    def owner_crc32(self) -> int:
        return zlib.crc32(self.owners().astype("<u4").tobytes())
