"""Per-CPU lists: pages that were freed but that the node's count of free memory does not show yet."""

from __future__ import annotations

from collections import deque


class FreeLag:
    """What one node's per-CPU lists hold back from ``MemFree``.

    A freed page waits in a list until a periodic drain returns it; allocations take the youngest first. The real
    lists drain in batches and resize themselves (mm/page_alloc.c, mm/vmstat.c); here each page waits the same time.

    Parameters
    ----------
    pages : int
        The most that the lists hold; what exceeds it is free at once.
    drain_ns : int
        How long a page waits, in nanoseconds.
    free_pages : int
        Free pages of the node at the start, none of them in a list.
    """

    def __init__(self, pages: int, drain_ns: int, free_pages: int) -> None:
        self.pages, self.drain_ns = pages, drain_ns
        self.waiting: deque[tuple[int, int]] = deque()
        self.held, self.last = 0, free_pages

    def note(self, free_pages: int, now_ns: int) -> None:
        """Note how many pages are free now, counted with those in the lists."""
        self._drain(now_ns)
        change, self.last = free_pages - self.last, free_pages
        if change > 0:
            change = min(change, self.pages - self.held)
            if change:
                self.waiting.append((now_ns, change))
                self.held += change
        while change < 0 and self.waiting:
            at_ns, pages = self.waiting.pop()
            taken = min(pages, -change)
            self.held -= taken
            change += taken
            if taken < pages:
                self.waiting.append((at_ns, pages - taken))

    def visible(self, free_pages: int, now_ns: int) -> int:
        """Return how many of the free pages ``MemFree`` counts."""
        self.note(free_pages, now_ns)
        return free_pages - self.held

    def _drain(self, now_ns: int) -> None:
        while self.waiting and self.waiting[0][0] + self.drain_ns <= now_ns:
            self.held -= self.waiting.popleft()[1]
