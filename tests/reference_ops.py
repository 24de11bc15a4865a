"""The operations of paddr, vaddr and fvaddr in slow, literal Python: prepare, check, filters page by page, actions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import reference as ref
from reference_machine import PAGE, Machine, Vma
from reference_rules import Rules

CORE_FILTERS = ("addr", "target")
MADVISE = ("willneed", "cold", "pageout", "hugepage", "nohugepage", "collapse")
HOT, COLD, TOP = "hot", "cold", "top"


class Operations:
    """Monitoring and actions of one context; ``unit`` is the context's address unit."""

    scores: dict[str, str]

    def __init__(self, machine: Machine, unit: int) -> None:
        self.machine, self.unit, self.rules = machine, unit, machine.rules

    def slot_at(self, process: int, address: int) -> int | None:
        raise NotImplementedError

    def prepare(self, process: int, address: int) -> None:
        slot = self.slot_at(process, address)
        if slot is not None:
            self.machine.mkold(self.machine.owner[slot])

    def look(self, process: int, address: int) -> bool | None:
        """Was the folio there accessed? None without a folio."""
        slot = self.slot_at(process, address)
        return None if slot is None else self.machine.young(self.machine.owner[slot])

    def score_of(self, action: str) -> str:
        return self.scores.get(action, TOP)

    # ---- filters

    def matches(self, f: dict, folio: int) -> bool:
        machine = self.machine
        if f["type"] == "young":
            hit = machine.young(folio)
            if hit:
                machine.mkold(folio)
        elif f["type"] == "anon":
            hit = True
        elif f["type"] == "active":
            hit = machine.active[folio]
        elif f["type"] == "memcg":
            hit = machine.memcg_of(folio) == f["memcg_id"]
        elif f["type"] == "hugepage_size":
            hit = f["min"] <= machine.folio_bytes <= f["max"]
        else:
            assert f["type"] == "unmapped", f
            hit = False
        return hit == f["matching"]

    def passes(self, s, folio: int, extra: Sequence[dict] = ()) -> bool:
        if s.core_allowed:
            return True
        for f in (*s.ops_filters, *extra):
            if self.matches(f, folio):
                return f["allow"]
        return not s.ops_default_reject

    def seen_before(self, s, slot: int) -> bool:
        return self.rules["last_applied"] and s.last_applied == slot

    def apply(self, s, process: int, r: ref.Region) -> tuple[int, int]:
        """(applied, passed the filters), both in core units."""
        raise NotImplementedError


class Physical(Operations):
    def __init__(self, machine: Machine, unit: int) -> None:
        super().__init__(machine, unit)
        self.scores = {
            "pageout": COLD, "lru_deprio": COLD, "migrate_cold": COLD, "lru_prio": HOT, "migrate_hot": HOT,
        }  # fmt: skip

    def slot_at(self, process: int, address: int) -> int | None:
        return self.machine.slot_at(address * self.unit)

    def walk(self, s, r: ref.Region, extra: Sequence[dict] = ()) -> tuple[list[int], int]:
        """The slots of the folios that pass, in address order, and their bytes."""
        machine, passed = self.machine, []
        address, end, last = r.start * self.unit, r.end * self.unit, None
        while address < end:
            last = machine.slot_at(address)
            if last is None or self.seen_before(s, last):
                address += PAGE
                continue
            if self.passes(s, machine.owner[last], extra):
                passed.append(last)
            if self.rules["folio_end"]:
                address = machine.start_of(last) + machine.folio_bytes
            else:
                address += machine.folio_bytes
        s.last_applied = last
        return passed, len(passed) * machine.folio_bytes // self.unit

    def apply(self, s, process: int, r: ref.Region) -> tuple[int, int]:
        machine = self.machine
        if s.action == "stat":
            if not s.ops_filters or not self.rules["stat_walk"]:
                return 0, 0
            return 0, self.walk(s, r)[1]
        if s.action in ("migrate_hot", "migrate_cold"):
            slots, passed = self.walk(s, r)
            done = machine.migrate(slots, s.target_nid)
        elif s.action in ("lru_prio", "lru_deprio"):
            slots, passed = self.walk(s, r)
            done = len(slots)
            for slot in slots:
                self.sort(machine.owner[slot], s.action == "lru_prio")
        elif s.action == "pageout":
            young = {"type": "young", "matching": True, "allow": False}
            extra = () if any(f["type"] == "young" for f in s.ops_filters) else (young,)
            slots, passed = self.walk(s, r, extra)
            for slot in slots:
                machine.referenced[machine.owner[slot]] = False
            done = machine.reclaim(slots)
        else:
            return 0, 0
        return done * machine.folio_bytes // self.unit, passed

    def sort(self, folio: int, up: bool) -> None:
        if up and not self.rules["lru_prio_activate"]:
            self.machine.mark_accessed(folio)
        else:
            self.machine.active[folio] = up


class Virtual(Operations):
    def __init__(self, machine: Machine, unit: int) -> None:
        super().__init__(machine, unit)
        self.scores = {"pageout": COLD}
        if self.rules["va_migrate"]:
            self.scores |= {"migrate_cold": COLD, "migrate_hot": HOT}

    def slot_at(self, process: int, address: int) -> int | None:
        return self.machine.slot_mapped(process, address)

    def walk(self, s, process: int, r: ref.Region) -> Iterator[tuple[int, Vma, int]]:
        """(slot, mapping, address) of the folios that pass, in address order."""
        machine, address = self.machine, r.start
        while address < r.end:
            vma = machine.vma_at(process, address)
            slot = machine.slot_mapped(process, address)
            if vma is None or slot is None or (s.action == "stat" and self.seen_before(s, slot)):
                address += PAGE
                continue
            if s.action == "stat":  # migration remembers no folio; no recorded run shows it either way
                s.last_applied = slot
            if self.passes(s, machine.owner[slot]):
                yield slot, vma, address
            by_page = not self.rules["merge_after_apply"] and s.action != "stat"  # before 7.2: a folio's next page is the same
            to_its_end = self.rules["folio_end"] or by_page
            inside = (address - vma.start) % machine.folio_bytes if to_its_end else 0
            address = min(address + machine.folio_bytes - inside, vma.end)  # the kernel walks mapping by mapping

    def apply(self, s, process: int, r: ref.Region) -> tuple[int, int]:
        machine = self.machine
        if s.action == "stat":
            if not s.ops_filters or not self.rules["stat_walk"]:
                return 0, 0
            return 0, sum(machine.folio_bytes for _ in self.walk(s, process, r))
        if s.action in ("migrate_hot", "migrate_cold") and self.rules["va_migrate"]:
            return self.migrate(s, process, r), 0
        if s.action in MADVISE:
            return (r.size if self.mapped(process, r) else 0), 0
        return 0, 0

    def migrate(self, s, process: int, r: ref.Region) -> int:
        """A list for each destination, worked off one after the other."""
        machine = self.machine
        dests = s.dests or [[s.target_nid, 1]]
        lists: list[list[int]] = [[] for _ in dests]
        isolated: set[int] = set()
        for slot, vma, address in self.walk(s, process, r):
            i = self.destination(dests, vma, address) if s.dests else 0
            if i is None or slot in isolated:
                continue
            if s.dests and machine.node_of(slot).nid == dests[i][0]:
                continue
            isolated.add(slot)
            lists[i].append(slot)
        moved = sum(machine.migrate(slots, nid) for slots, (nid, _) in zip(lists, dests, strict=True))
        return moved * machine.folio_bytes

    def destination(self, dests: Sequence[Sequence[int]], vma: Vma, address: int) -> int | None:
        order = self.machine.pages.bit_length() - 1
        total = sum(weight for _, weight in dests)
        if not total:
            return None
        x = ((vma.pgoff >> order) + ((address - vma.start) // PAGE >> order)) % total
        for i, (_, weight) in enumerate(dests):
            if x < weight:
                return i
            x -= weight
        return None

    def mapped(self, process: int, r: ref.Region) -> bool:
        """Is every page of a region inside a mapping?"""
        address = r.start
        while address < r.end:
            vma = self.machine.vma_at(process, address)
            if vma is None:
                return False
            address = vma.end
        return True


def operations(ops: str, machine: Machine, unit: int) -> Operations:
    return Physical(machine, unit) if ops == "paddr" else Virtual(machine, unit)


def three_ranges(vmas: Sequence[Vma]) -> list[list[int]]:
    """All mappings but the two largest gaps; nothing with fewer than two gaps."""
    first = second = (0, 0)
    for left, right in pairwise(vmas):
        gap = (left.end, right.start)
        if gap[1] - gap[0] > first[1] - first[0]:
            first, second = gap, first
        elif gap[1] - gap[0] > second[1] - second[0]:
            second = gap
    if second[1] == second[0]:
        return []
    low, high = sorted((first, second))
    return [[vmas[0].start, low[0]], [low[1], high[0]], [high[1], vmas[-1].end]]


class Looks:
    """The answers of checks; kernels without ``fresh_look`` repeat the last one inside the folio that was looked at last."""

    def __init__(self, rules: Rules) -> None:
        self.rules, self.address, self.size, self.accessed = rules, 0, PAGE, False

    def check(self, ops: Operations, process: int, address: int, may_repeat: bool) -> bool:
        if not self.rules["fresh_look"] and may_repeat and self.address // self.size == address * ops.unit // self.size:
            return self.accessed
        answer = ops.look(process, address)
        if answer is not None:
            self.size = ops.machine.folio_bytes
        self.accessed, self.address = bool(answer), address * ops.unit
        return self.accessed
