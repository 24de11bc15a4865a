"""Linux's buddy allocator and per-CPU lists in slow, literal Python: lists of blocks by order, lists of single frames.

Frames are numbered from 0 in a zone; `skew` says how far behind a multiple of the largest block the first one lies.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isqrt

ORDERS = 11


def constants(managed: int, of_all: int, cpus: int) -> tuple[int, int, int]:
    """Batch, least and most length of a CPU's list, as the formulas for a zone of so many pages have them."""
    part = min(managed >> 12, 64)
    batch = 1 if part <= 1 else 2 ** (int(1.5 * part).bit_length() - 1) - 1
    min_free_kb = min(max(isqrt(of_all * 4 * 16), 128), 262_144)
    lowest = min_free_kb // 4 * managed // max(of_all, 1)
    low = lowest + max(lowest // 4, managed * 10 // 10_000)
    return batch, max(low // cpus, 4 * batch), max(managed // 8 // cpus, 4 * batch)


class RefList:
    """A CPU's list of a zone's single frames, its head first."""

    def __init__(self, high: int) -> None:
        self.frames: list[int] = []
        self.high, self.factor, self.freed, self.quiet = high, 0, 0, 0


class RefZone:
    """A zone's blocks, the head of each order first, and the list of each CPU."""

    def __init__(
        self,
        free: Iterable[int],
        size: int,
        bounds: tuple[int, int, int],
        *,
        cpus: int = 1,
        skew: int = 0,
        remote: bool = False,
    ) -> None:
        self.size, self.skew, self.remote = size, skew, remote
        self.batch, self.high_min, self.high_max = bounds
        self.blocks: list[list[int]] = [[] for _ in range(ORDERS)]
        self.lists = [RefList(self.high_min) for _ in range(cpus)]
        left = set(free)
        frame = 0
        while frame < size:
            if frame not in left:
                frame += 1
                continue
            order = 0
            while order < ORDERS - 1:
                n = 2 << order
                if (frame + skew) % n or not all(f in left for f in range(frame, frame + n)):
                    break
                order += 1
            self.blocks[order].append(frame)
            frame += 1 << order

    def free(self) -> list[int]:
        """Every free frame, wherever it is."""
        out = [f for order, blocks in enumerate(self.blocks) for b in blocks for f in range(b, b + (1 << order))]
        return sorted(out + [f for one in self.lists for f in one.frames])

    def smallest(self, least: int = 0) -> int | None:
        """Take the first 2**least frames of the smallest block that has so many; its upper halves stay."""
        order = next((o for o in range(least, ORDERS) if self.blocks[o]), None)
        if order is None:
            return None
        block = self.blocks[order].pop(0)
        while order > least:
            order -= 1
            self.blocks[order].insert(0, block + (1 << order))
        return block

    def buddy(self, frame: int, order: int) -> int:
        return (frame + self.skew ^ 1 << order) - self.skew

    def give_back(self, frame: int, order: int = 0) -> None:
        """Merge 2**order frames with their buddies while those are free."""
        while order < ORDERS - 1 and (other := self.buddy(frame, order)) in self.blocks[order]:
            self.blocks[order].remove(other)
            frame, order = min(frame, other), order + 1
        whole = min(frame, self.buddy(frame, order))
        near = order < ORDERS - 2 and self.buddy(whole, order + 1) in self.blocks[order + 1]
        self.blocks[order].insert(len(self.blocks[order]) if near else 0, frame)

    def drain(self, one: RefList, n: int) -> None:
        for _ in range(n):
            self.give_back(one.frames.pop())
        one.quiet = 0

    def take(self, cpu: int) -> int | None:
        """Take the head of a CPU's list, after a refill if it is empty."""
        one = self.lists[cpu]
        one.freed >>= 1
        if not one.frames:
            wanted = self.batch << one.factor
            one.high = min(one.high + wanted, self.high_max)
            room = max(one.high - self.batch, self.batch)
            if wanted <= room and one.factor < 5:
                one.factor += 1
            one.quiet = 0
            for _ in range(min(wanted, room)):
                frame = self.smallest()
                if frame is None:
                    break
                one.frames.append(frame)
        return one.frames.pop(0) if one.frames else None

    def give(self, cpu: int, frame: int) -> None:
        """Free a frame on a CPU."""
        one = self.lists[cpu]
        one.factor >>= 1
        one.frames.insert(0, frame)
        one.freed = min(one.freed + 1, 32 * self.batch)
        if len(one.frames) >= (high := one.high):
            if high < one.freed + self.batch:
                one.high = min(one.freed + self.batch, self.high_max)
            self.drain(one, min(max(one.freed, self.batch), high - self.batch, len(one.frames)))

    def second(self) -> None:
        """What a second does to the lists."""
        for one in self.lists:
            quiet = one.quiet + 1
            if one.high > self.high_min:
                one.high = max(len(one.frames) - 32 * self.batch, one.high - one.high // 8, self.high_min)
            if len(one.frames) > one.high:
                self.drain(one, len(one.frames) - one.high)
                quiet = 0
            if self.remote and quiet > 3 and one.frames:
                self.drain(one, min(len(one.frames), self.batch))
                quiet = 0
            one.quiet = quiet


class RefBuddy:
    """A node: its zones in the order in which they are used, on so many CPUs."""

    def __init__(self, zones: list[tuple[int, RefZone]]) -> None:
        self.zones = zones

    def take(self, cpu: int) -> int | None:
        """Take a frame of the node for a CPU; where all zones and its lists are empty, from the other CPUs' lists."""
        for first, zone in self.zones:
            frame = zone.take(cpu)
            if frame is not None:
                return first + frame
        cpus = len(self.zones[0][1].lists)
        for k in range(cpus):
            for first, zone in self.zones:
                if frames := zone.lists[(cpu + k) % cpus].frames:
                    return first + frames.pop(0)
        return None

    def give(self, cpu: int, frame: int) -> None:
        first, zone = next((a, z) for a, z in self.zones if a <= frame < a + z.size)
        zone.give(cpu, frame - first)

    def second(self) -> None:
        for _, zone in self.zones:
            zone.second()
