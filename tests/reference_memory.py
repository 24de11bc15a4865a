"""A machine's frames in slow, literal Python: lists of free frames and a dictionary of owners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from reference_buddy import RefBuddy, RefZone, constants


@dataclass
class RefNode:
    ranges: list[tuple[int, int]]  # page frames [first, last) of System RAM, in order
    reserve: int = 0
    free: list[int] = field(default_factory=list)  # in the order of the free list
    owner: dict[int, int] = field(default_factory=dict)  # page frame -> logical page
    failed: int = 0
    unmanaged: int = 0
    buddy: RefBuddy | None = None  # where one hands out frames; they are numbered without holes there

    def __post_init__(self) -> None:
        self.free = [frame for first, last in self.ranges for frame in range(first, last)]


class RefMemory:
    """Nodes, an allocation policy, and migration.

    ``pick(node index, draw number, n)`` gives the position of the n free frames, in address order, that a random
    allocation takes.
    """

    def __init__(self, nodes: Sequence[RefNode], policy: str, stop_run: bool, pick: Callable[[int, int, int], int]) -> None:
        self.nodes, self.policy, self.stop_run, self.pick = list(nodes), policy, stop_run, pick
        self.draws = 0
        self.active: set[int] = set()

    def place_at(self, page: int, frame: int) -> None:
        node = next(n for n in self.nodes if any(first <= frame < last for first, last in n.ranges))
        node.free.remove(frame)
        node.owner[frame] = page

    def occupy(self, i: int, n: int) -> None:
        for _ in range(n):
            self.nodes[i].free.remove(min(self.nodes[i].free))

    def place_lowest(self, page: int, order: Sequence[int]) -> None:
        """At the start reserves do not count; the next node serves when one is full."""
        node = next(self.nodes[i] for i in order if self.nodes[i].free)
        frame = min(node.free)
        node.free.remove(frame)
        node.owner[frame] = page

    def take(self, i: int) -> int | None:
        node = self.nodes[i]
        if len(node.free) <= node.reserve:
            return None
        if self.policy == "lowest":
            frame = min(node.free)
        elif self.policy == "random":
            frame = sorted(node.free)[self.pick(i, self.draws, len(node.free))]
            self.draws += 1
        elif self.policy == "buddy":
            handed_out = self.buddy_of(i).take(0)
            assert handed_out is not None
            frame = self.every_frame(i)[handed_out]
        else:
            frame = node.free[0]
        node.free.remove(frame)
        return frame

    def every_frame(self, i: int) -> list[int]:
        return [frame for first, last in self.nodes[i].ranges for frame in range(first, last)]

    def buddy_of(self, i: int) -> RefBuddy:
        """On one CPU, where nobody else takes frames, within the first second, and all below 4 GiB."""
        node, every = self.nodes[i], self.every_frame(i)
        if node.buddy is None:
            managed = [sum(last - first for first, last in one.ranges) - one.unmanaged for one in self.nodes]
            free = [k for k, frame in enumerate(every) if frame in set(node.free)]
            bounds = constants(managed[i], sum(managed), 1)
            node.buddy = RefBuddy([(0, RefZone(free, len(every), bounds, skew=every[0] % 1024, remote=i > 0))])
        return node.buddy

    def give(self, i: int, frame: int) -> None:
        if self.policy == "buddy":
            self.buddy_of(i).give(0, self.every_frame(i).index(frame))
        if self.policy == "lifo":
            self.nodes[i].free.insert(0, frame)
        else:
            self.nodes[i].free.append(frame)

    def move(self, source: int, frame: int, target: int) -> bool:
        new = self.take(target)
        if new is None:
            self.nodes[target].failed += 1
            return False
        page = self.nodes[source].owner.pop(frame)
        self.give(source, frame)
        self.nodes[target].owner[new] = page
        return True

    def migrate(self, first: int, last: int, target: int) -> int:
        """Migrate a region of page frames: in runs of ranges of one node, by address, each from its highest frame down."""
        moved = 0
        every = sorted((a, b, i) for i, node in enumerate(self.nodes) for a, b in node.ranges)
        for i, run in groupby(every, key=lambda span: span[2]):
            if i == target:
                continue
            spans = [(max(a, first), min(b, last)) for a, b, _ in run]
            here = [f for f in self.nodes[i].owner if any(a <= f < b for a, b in spans)]
            for frame in sorted(here, reverse=True):
                if self.move(i, frame, target):
                    moved += 1
                elif self.stop_run:
                    break
        return moved

    def mark(self, first: int, last: int, active: bool) -> int:
        """Put a region's pages on the active or the inactive list."""
        pages = {p for n in self.nodes for f, p in n.owner.items() if first <= f < last}
        self.active = self.active | pages if active else self.active - pages
        return len(pages)

    def frame_of(self) -> dict[int, int]:
        return {page: frame for n in self.nodes for frame, page in n.owner.items()}
