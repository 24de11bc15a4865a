"""Counters in a CXL device: the hotness monitoring unit (CHMU) of CXL 3.2, section 8.2.8, in its epoch mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..cost.constants import DEFAULT
from ..errors import InputError
from ..fields import Checked
from .protocol import Activity, Floats, Ints, Reports, check_held, check_share, joined


@dataclass(eq=False)
class Chmu(Checked):
    """A device counts accesses to each unit of its own memory; at the end of an epoch the hot ones go to a list.

    A unit is listed if its counter reached ``threshold``; counters stop at ``2**counter_bits - 1``. What does not fit the
    list is lost and counted as lost: ``overflow="top"`` keeps the highest counts (a device that sorts), ``"address"`` the
    lowest addresses (one that walks its counters). Software reads and empties the list at every end of an epoch. One
    counter per unit is assumed; the standard leaves a device free to have fewer and to be less exact.

    Parameters
    ----------
    node : int
        NUMA node of the device's memory; it sees nothing else.
    epoch_us : int
        Time between two looks at the counters.
    unit_pages : int
        Pages per counter.
    counter_bits : int
        Width of a counter, 1 … 63.
    threshold : int
        Smallest listed count.
    list_entries : int
        Room in the list.
    overflow : {"top", "address"}
        What a full list keeps.
    downsampling : int
        One access in that many is counted, at random.
    accesses_per_touch : float
        Accesses that reach the device per touch of a page in the workload.
    entry_ns : float
        CPU time per entry read (assumed, see `tieringmodel.cost`).
    """

    node: int = 1
    epoch_us: int = 100_000
    unit_pages: int = 1
    counter_bits: int = 16
    threshold: int = 1
    list_entries: int = 4096
    overflow: str = "top"
    downsampling: int = 1
    accesses_per_touch: float = 1.0
    entry_ns: float = DEFAULT.list_entry_ns.default
    _choices: ClassVar = {"overflow": ("top", "address")}
    _max: ClassVar = {"counter_bits": 63}

    def check(self) -> None:
        """Refuse counters that can never reach the threshold."""
        for name in ("epoch_us", "unit_pages", "counter_bits", "threshold", "list_entries", "downsampling"):
            if getattr(self, name) == 0:
                raise InputError(name, "is 0", "write 1 or more")
        if self.threshold >= 2**self.counter_bits:
            text = f"{self.threshold} is beyond a counter of {self.counter_bits} bits"
            raise InputError("threshold", text, "lower it, or widen the counters")
        if self.accesses_per_touch <= 0 or self.entry_ns < 0:
            name = "entry_ns" if self.accesses_per_touch > 0 else "accesses_per_touch"
            raise InputError(name, "is negative or 0", "write a positive number")
        self._counts = np.zeros(0, np.int64)
        self._next_us = -1
        self._known: tuple[Floats | None, Ints | None, Floats, Ints] = (None, None, np.zeros(0), np.zeros(0, np.int64))

    def detection_probability(self, rate_hz: float, window_s: float) -> float:
        """Probability that a unit is listed in at least one whole epoch of the window, were the list long enough.

        Counts of an epoch are Poisson: 1 − P(N < threshold)^epochs.

        Parameters
        ----------
        rate_hz : float
            Touches per second of the unit, all its pages together.
        window_s : float
            Length of the window.

        Returns
        -------
        float
        """
        from scipy.special import gammainc

        mean = rate_hz * self.epoch_us * 1e-6 * self.accesses_per_touch / self.downsampling
        once = float(gammainc(self.threshold, mean))
        return float(1 - (1 - once) ** int(round(window_s * 1e6) // self.epoch_us))

    def cost_ns_per_s(self, activity: Activity) -> float:
        """CPU time per second with a full list at every end of an epoch, or one of all units if there are fewer."""
        units = min(self.list_entries, -(-int((activity.node == self.node).sum()) // self.unit_pages))
        return units * self.entry_ns * 1e6 / self.epoch_us

    def at_cost(self, share: float, activity: Activity) -> Chmu:
        """Return a fresh source whose list is as long as this share of a CPU can read."""
        bearable = check_share(share)
        units = -(-activity.n_pages // self.unit_pages)
        entries = bearable / (self.entry_ns * 1e6 / self.epoch_us) if self.entry_ns else float(units)
        held = self.replace(list_entries=int(min(max(entries, 1), units)))
        check_held(held.cost_ns_per_s(activity), bearable, "a list of one entry")
        return held

    def observe(self, activity: Activity, rng: np.random.Generator) -> Reports:
        """Count the interval's accesses and read the list at the ends of epochs in it."""
        rate, pages = self._units(activity)
        if self._next_us < 0:
            self._next_us = activity.start_us + self.epoch_us
            self._counts = np.zeros(rate.size, np.int64)
        elif self._next_us <= activity.start_us:  # nobody looked for a while: counters began anew at each end of an epoch
            self._counts[:] = 0
            self._next_us += ((activity.start_us - self._next_us) // self.epoch_us + 1) * self.epoch_us
        touched = np.flatnonzero(rate)
        now_us, cost_ns, lost = activity.start_us, 0.0, 0
        parts: list[Reports] = []
        while now_us < activity.end_us:
            until = min(self._next_us, activity.end_us)
            scale = (until - now_us) * 1e-6 * self.accesses_per_touch / self.downsampling
            self._counts[touched] += rng.poisson(rate[touched] * scale)
            now_us = until
            if now_us == self._next_us:
                report, dropped = self._read(pages, activity.n_pages, now_us)
                parts.append(report)
                cost_ns += report.first.size * self.entry_ns
                lost += dropped
                self._next_us += self.epoch_us
        return joined(parts, cost_ns, lost, float((activity.node == self.node).mean()))

    def _units(self, activity: Activity) -> tuple[Floats, Ints]:
        """Return touches per second of each unit's pages on the own node, and how many these are."""
        known, node, rate, pages = self._known
        if known is not activity.rate_hz or node is not activity.node:
            own = activity.node == self.node
            starts = np.arange(0, activity.n_pages, self.unit_pages)
            rate = np.add.reduceat(np.where(own, activity.rate_hz, 0.0), starts)
            pages = np.add.reduceat(own.astype(np.int64), starts)
            self._known = (activity.rate_hz, activity.node, rate, pages)
        return rate, pages

    def _read(self, pages: Ints, n_pages: int, time_us: int) -> tuple[Reports, int]:
        hot = np.flatnonzero(self._counts >= self.threshold)
        counts = np.minimum(self._counts[hot], 2**self.counter_bits - 1)
        self._counts = np.zeros_like(self._counts)
        dropped = max(hot.size - self.list_entries, 0)
        if dropped:
            order = np.argsort(-counts, kind="stable") if self.overflow == "top" else np.arange(hot.size)
            kept = np.sort(order[: self.list_entries])
            hot, counts = hot[kept], counts[kept]
        first = hot * self.unit_pages
        touches = counts * self.downsampling / self.accesses_per_touch / np.maximum(pages[hot], 1)
        return (
            Reports(first, np.minimum(self.unit_pages, n_pages - first), touches, np.full(hot.size, time_us, np.int64)),
            dropped,
        )
