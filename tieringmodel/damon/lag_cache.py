"""The detection-lag cache of the RFC's third version: what was just migrated, before monitoring can see it.

Facts: docs/theory/rfc.md, section 3. A page that moves vanishes from its old region at once and appears in the new one only
after it is sampled there; the cache adds what is in flight to the detected bytes of each node.
"""

from __future__ import annotations

from collections.abc import Sequence

SLOTS = 4
COOLDOWN = 3


class LagCache:
    """Bytes in flight by node, over the last charge windows.

    Parameters
    ----------
    n_nodes : int
        Number of nodes.
    timeout_ms : int
        A cache whose last migration is older than this is cleared.
    """

    def __init__(self, n_nodes: int, timeout_ms: int = 10_000) -> None:
        self.n, self.timeout_ms = n_nodes, timeout_ms
        self.detected = [0] * n_nodes
        self.base = [0] * n_nodes
        self.peak = [0] * n_nodes
        self.delta = [[0] * n_nodes for _ in range(SLOTS)]
        self.slot = self.cooldown = 0
        self.active = False
        self.last_ms: int | None = None

    def moved(self, source: int, target: int, n_bytes: int, now_ms: int) -> None:
        """Note a migration of `n_bytes` between nodes (indices)."""
        if source == target or n_bytes <= 0:
            return
        if not self.active:
            self.base, self.peak = list(self.detected), [0] * self.n
        self.delta[self.slot][source] -= n_bytes
        self.delta[self.slot][target] += n_bytes
        self.active, self.cooldown, self.last_ms = True, COOLDOWN, now_ms

    def effective(self, detected: Sequence[int]) -> list[int]:
        """Return the bytes by node that the metric uses in place of the detected ones."""
        self.detected = [int(x) for x in detected]
        if not self.active:
            return list(self.detected)
        self.peak = [max(p, e) for p, e in zip(self.peak, self.detected, strict=True)]
        return [self._node(i, e) for i, e in enumerate(self.detected)]

    def _node(self, i: int, seen: int) -> int:
        flight = sum(slot[i] for slot in self.delta)
        if flight == 0:
            return seen
        if flight > 0:
            return max(seen, self.base[i] + flight)
        base = seen if self.base[i] == 0 and seen > 0 else self.base[i]
        predicted = max(base + flight, 0)
        if seen == 0:
            return predicted
        if self.peak[i] > 0 and seen < self.peak[i] // 4 and predicted > seen:
            return predicted
        return seen if seen > 2 * base else min(seen, predicted)

    def next_window(self, now_ms: int) -> None:
        """Advance to the next slot at the start of a charge window."""
        if not self.active:
            return
        following = (self.slot + 1) % SLOTS
        if self.last_ms is not None and now_ms - self.last_ms > self.timeout_ms:
            self.delta = [[0] * self.n for _ in range(SLOTS)]
            self.active, self.cooldown, self.base = False, 0, list(self.detected)
        elif self.cooldown == 0:
            self.delta[following] = [0] * self.n
        self.slot = following
        if self.active and not any(any(slot) for slot in self.delta):
            if self.cooldown > 0:
                self.cooldown -= 1
            else:
                self.active, self.base = False, list(self.detected)
