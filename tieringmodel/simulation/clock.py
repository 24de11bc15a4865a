"""When a context's sampling ticks happen: nominal intervals, or recorded ends of aggregations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..cost.constants import DEFAULT
from ..damon.kdamond import Kdamond
from ..kernels import ticks
from ..stored import Stored
from ..units import LONG_MAX

MAX_BATCH = 4096
CHECK_NS = round(2_000 * DEFAULT.rmap_walk_us.default)
"""A region checked in a sample: a walk of its page's mappings to clear the accessed bit, and one to read it."""
WALK_NS = round(DEFAULT.frame_walk_ns.default)
"""A page that a scheme's pass walks."""
_COUNT = np.arange(MAX_BATCH + 1)


@dataclass(init=False, eq=False, repr=False)
class ContextClock(Stored):
    """The times of a context's sampling ticks.

    A sleep of four jiffies and more lasts whole jiffies, rounded up (``kdamond_usleep``; up to Linux 6.12 one of more than
    20 ms), unless the machine says otherwise. With ``aggr_times_us`` the ticks of aggregation j are evenly spaced between the
    recorded ends of j - 1 and j; beyond the recording its intervals repeat. Where the machine says so, work takes time and
    intervals get longer by it: each sample `CHECK_NS` for each region, each pass `WALK_NS` for each page of the regions that
    schemes tried, ``stat`` without filters apart, which looks at none; a context whose ends are recorded keeps to them. While
    ``wait_ns`` is not 0 the context sleeps, because all its schemes are inactive; recorded times are shifted by that, and by
    ``late_ns``, for which it waited for a swap device.
    """

    last_ns: int = 0
    start_ns: int = 0
    late_ns: int = 0
    wait_ns: int = 0
    shortest_us: int = 0

    def __init__(self, kdamond: Kdamond, tick_ns: int) -> None:
        self.kdamond, self.tick_ns = kdamond, tick_ns
        self.ends = kdamond.ends
        if kdamond.memory.machine.overload and not self.ends.size:
            kdamond.turn["check_ns"], kdamond.turn["walk_ns"] = CHECK_NS, WALK_NS

    def slept_ns(self, sleep_us: int) -> int:
        """Return how long a sleep lasts."""
        return self.kdamond.memory.machine.slept_ns(sleep_us, self.kdamond.rules)

    def begin(self, wait_us: int) -> None:
        """Begin a round of the loop, with a sleep of `wait_us` if that is not 0.

        From look to look the shortest wait that any scheme asked for stays in force, until one is active; also if a commit has
        left no scheme.
        """
        if wait_us and self.shortest_us:
            wait_us = min(wait_us, self.shortest_us)
        self.shortest_us = wait_us
        self.wait_ns = self.slept_ns(wait_us)

    def _edges(self, n: int) -> npt.NDArray[np.int64]:
        """Return the time that the next tick looks back to, and those of the next n ticks (ns)."""
        k = self.kdamond
        if not self.ends.size:
            checks_ns = int(k.turn["check_ns"]) * k.regions.n
            if k.turn["is_latched"]:
                return self.last_ns + (self.slept_ns(k.slept_before_us) + checks_ns) * _COUNT[:2]
            return self.last_ns + (self.slept_ns(k.attrs.sample_us) + checks_ns) * _COUNT[: n + 1]
        per = k.attrs.aggr_us // k.attrs.sample_us
        aggregation, step = np.divmod(np.arange(k.passed, k.passed + n), per)
        j = aggregation % k.sampled.size
        quotient, rest = np.divmod(k.sampled[j] - self.ends[j], per)  # parts of length * (step + 1) // per that cannot overflow
        times = self._recorded_begin(aggregation) + quotient * (step + 1) + rest * (step + 1) // per
        return np.concatenate(([self.last_ns], times))

    def _recorded_begin(self, aggregation: Any) -> Any:
        """Return when recorded aggregations begin, by number, which is when those before ended; they repeat when used up."""
        lap, j = np.divmod(aggregation, self.ends.size - 1)
        return self.start_ns + self.late_ns + lap * self.ends[-1] + self.ends[j]

    def next_wake(self) -> int:
        """Return the time of the next sampling tick, or of the end of a sleep, in ns."""
        if self.wait_ns:
            return self.last_ns + self.wait_ns
        return int(self._edges(1)[1])

    def alone(self) -> bool:
        """Whether kernels can run on by themselves: accessed bits, nothing asked, and nobody sleeps."""
        return not self.wait_ns and self.kdamond.in_turn()

    def lend(self) -> None:
        """Let kernels have the context's clock."""
        turn = self.kdamond.turn
        turn["last_ns"], turn["start_ns"], turn["tick_ns"] = self.last_ns, self.start_ns + self.late_ns, self.tick_ns

    def take_back(self) -> None:
        """Note when the last tick of the kernels was."""
        self.last_ns = int(self.kdamond.turn["last_ns"])
        self.late_ns = int(self.kdamond.turn["start_ns"]) - self.start_ns

    def wake(self) -> int:
        """End a sleep; return the time in ns."""
        self.last_ns += self.wait_ns
        self.start_ns += self.wait_ns
        return self.last_ns

    def asleep_ns(self, now_ns: int) -> int:
        """Return how long the context has slept up to now."""
        return self.start_ns + min(max(now_ns - self.last_ns, 0), self.wait_ns)

    def ahead(self, n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the next n tick times (ns) and the workload ticks (after, until] that each looks back on."""
        edges = self._edges(max(min(n, (LONG_MAX - self.last_ns) // self.slept_ns(self.kdamond.attrs.sample_us)), 1))
        ticks = edges // self.tick_ns
        return edges[1:], ticks[:-1], ticks[1:]

    def advance(self, times: npt.NDArray[np.int64]) -> None:
        """Note that these ticks are done."""
        self.last_ns = int(times[-1])

    def body(self) -> None:
        """Run the loop body; the next sleep starts where it ends."""
        k = self.kdamond
        k.body()
        if self.ends.size and k.memory.arrays.device is not None:
            self.late_ns += max(k.memory.now_ns - self.last_ns, 0)
        walked_ns = int(ticks.walked_ns(k.turn, k.schemes, k.space)) if k.turn["walk_ns"] else 0
        self.last_ns = max(self.last_ns, k.memory.now_ns + walked_ns, self._recorded_end())

    def _recorded_end(self) -> int:
        """Return when the aggregation ended whose last sample was the present one, as recorded; 0 where that is not so."""
        k = self.kdamond
        if not self.ends.size or k.passed % (per := k.attrs.aggr_us // k.attrs.sample_us):
            return 0
        return int(self._recorded_begin(k.passed // per))
