"""NUMA hint faults: a scan takes pages' permissions away, the first touch after it faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from ..cost.constants import DEFAULT
from ..errors import InputError
from ..fields import Checked
from ..units import PAGE_SZ
from .protocol import Activity, Floats, Ints, Reports, check_held, check_share, joined, page_reports

_TICK_US = 1000.0


class Record(NamedTuple):
    """How a page's last access is remembered: in units of `bucket_us`, modulo `wrap_us`; `window_us` joins two accesses."""

    bucket_us: int
    wrap_us: int
    window_us: int


# CONFIG_HZ = 1000. Linux series "mm: Hot page tracking and promotion infrastructure" (20260504060924.344313-1-bharata@amd.com),
# include/linux/pghot.h: one byte per page holds 5 bits of 128 ms, four bytes hold 14 bits of 1 ms.
RECORDS = {"coarse": Record(128_000, 4_096_000, 3_000_000), "precise": Record(1_000, 16_384_000, 5_000_000)}


@dataclass(eq=False)
class HintFaults(Checked):
    """A scan walks the address space and marks pages; a marked page's first touch is reported, and clears the mark.

    ``accesses`` faults within ``window_us`` of one another make a page hot (2 by default, 1 as in NUMA balancing mode 2).
    The time of the last fault is remembered as ``record`` says; both forms wrap around, so an old fault can pass for a
    recent one. One fault stands for the touches that its latency promises until the scan comes by again: pass / latency,
    the latency in whole milliseconds as the kernel keeps it.

    Parameters
    ----------
    scan_bytes, scan_period_us : int
        What one scan marks, and how often it runs; the period stays fixed (the kernel adapts it to 1 … 60 s).
    accesses : int
        Faults that make a page hot, 1 … 7.
    record : {"coarse", "precise"}
        One byte or four bytes of memory per page.
    window_us : int
        Two faults at most that far apart count together; 0 takes the record's own: 3 s coarse, 5 s precise.
    hot_threshold_us : int
        Faults later than that after the mark do not count; 0 counts all.
    skip_nodes : tuple of int
        Nodes whose pages the scan leaves alone (the fast tier in NUMA balancing mode 2).
    fault_ns, scan_ns_per_page : float
        CPU time (assumed, see `tieringmodel.cost`).
    """

    scan_bytes: int = int(DEFAULT.hint_scan_bytes.default)
    scan_period_us: int = int(1e6 * DEFAULT.hint_scan_period_s.default)
    accesses: int = int(DEFAULT.promote_after.default)
    record: str = "precise"
    window_us: int = 0
    hot_threshold_us: int = 0
    skip_nodes: tuple[int, ...] = ()
    fault_ns: float = 1_000 * DEFAULT.hint_fault_us.default
    scan_ns_per_page: float = DEFAULT.scan_page_ns.default
    _choices: ClassVar = {"record": tuple(RECORDS)}
    _max: ClassVar = {"accesses": 7}

    def check(self) -> None:
        """Refuse scans of nothing and windows that the record cannot hold."""
        if self.scan_bytes < PAGE_SZ:
            raise InputError("scan_bytes", f"{self.scan_bytes} is less than a page", "write e.g. '256 MiB'")
        if self.scan_period_us == 0 or self.accesses == 0:
            raise InputError("accesses" if self.scan_period_us else "scan_period_us", "is 0", "write 1 or more")
        record = RECORDS[self.record]
        if self.window_us >= record.wrap_us:
            text = f"{self.window_us} us does not fit the {self.record} record, which wraps at {record.wrap_us} us"
            raise InputError("window_us", text, "shorten it")
        if self.fault_ns < 0 or self.scan_ns_per_page < 0:
            raise InputError("fault_ns" if self.fault_ns < 0 else "scan_ns_per_page", "is negative", "write nanoseconds")
        self._marked_us = np.zeros(0)
        self._last_us = np.zeros(0, np.int64)
        self._freq = np.zeros(0, np.uint8)
        self._cursor, self._next_us, self._pass_us = 0, -1, 0.0

    @property
    def scan_pages(self) -> int:
        """Pages that one scan passes."""
        return self.scan_bytes // PAGE_SZ

    def scans_per_pass(self, n_pages: int) -> int:
        """Scans until every page was passed."""
        return -(-n_pages // self.scan_pages)

    def detection_probability(self, rate_hz: float, window_s: float, n_pages: int) -> float:
        """Probability that a page picked at random faults at least once in a window that begins with the first scan.

        The page's mark comes at scan j of the pass with equal odds, its first touch an exponential time later:
        mean over j of 1 − exp(−λ (W − jT)₊), the last scan of a pass weighing what it covers.

        Parameters
        ----------
        rate_hz : float
            Touches per second of the page, λ.
        window_s : float
            Length W of the window.
        n_pages : int
            Pages in the scanned address space.

        Returns
        -------
        float
        """
        j = np.arange(self.scans_per_pass(n_pages))
        weight = np.minimum(self.scan_pages, n_pages - j * self.scan_pages) / n_pages
        left = np.maximum(window_s - j * self.scan_period_us * 1e-6, 0.0)
        return float((weight * -np.expm1(-rate_hz * left)).sum())

    def second_access_probability(self, rate_hz: float, n_pages: int) -> float:
        """Probability that two faults of successive passes are at most a window apart, given a fault in the first pass.

        With the pass P a whole number of scans, λ the rate and w the window, the gap is P + L₂ − L₁, where L₁ is
        exponential below P and L₂ exponential. For w ≥ P: 1 − exp(−λ(w−P)) (1 + exp(−λP)) / 2. For w < P:
        (e^{−λd} / 2 − e^{−λP} + e^{−λ(2P−d)} / 2) / (1 − e^{−λP}) with d = P − w. The record's buckets and its wrapping
        are left out: they matter only in the simulation.

        Parameters
        ----------
        rate_hz : float
            Touches per second of the page.
        n_pages : int
            Pages in the scanned address space, a multiple of a scan's.

        Returns
        -------
        float
        """
        window_s = (self.window_us or RECORDS[self.record].window_us) * 1e-6
        pass_s = self.scans_per_pass(n_pages) * self.scan_period_us * 1e-6
        if window_s >= pass_s:
            return float(1 - np.exp(-rate_hz * (window_s - pass_s)) * (1 + np.exp(-rate_hz * pass_s)) / 2)
        short = pass_s - window_s
        a, b, c = (np.exp(-rate_hz * t) for t in (short, pass_s, 2 * pass_s - short))
        return float((a / 2 - b + c / 2) / -np.expm1(-rate_hz * pass_s))

    def cost_ns_per_s(self, activity: Activity) -> float:
        """Expected CPU time per second: the scan, and a fault of each marked page that is touched before the next mark."""
        n, period_s = activity.n_pages, self.scan_period_us * 1e-6
        scans = self.scans_per_pass(n)
        if np.isin(activity.node, self.skip_nodes).all():
            return min(self.scan_pages, n) / period_s * self.scan_ns_per_page
        rates = activity.rate_hz[~np.isin(activity.node, self.skip_nodes)]
        faulting = -np.expm1(-rates * scans * period_s).sum() / n
        return float(n / (scans * period_s) * (self.scan_ns_per_page + self.fault_ns * faulting))

    def at_cost(self, share: float, activity: Activity) -> HintFaults:
        """Return a fresh source whose scan size makes it take this share of a CPU; at a full scan, more often."""
        bearable, low, high = check_share(share), 1, activity.n_pages
        held = self.replace(scan_bytes=high * PAGE_SZ)
        if held.cost_ns_per_s(activity) <= bearable:
            while held.scan_period_us > 1000:
                faster = held.replace(scan_period_us=max(int(held.scan_period_us * 0.9), 1000))
                if faster.cost_ns_per_s(activity) > bearable:
                    break
                held = faster
            return held
        check_held(self.replace(scan_bytes=PAGE_SZ).cost_ns_per_s(activity), bearable, "a scan of one page")
        while high - low > max(1, low // 100):
            middle = (low + high) // 2
            if self.replace(scan_bytes=middle * PAGE_SZ).cost_ns_per_s(activity) <= bearable:
                low = middle
            else:
                high = middle
        return self.replace(scan_bytes=low * PAGE_SZ)

    def observe(self, activity: Activity, rng: np.random.Generator) -> Reports:
        """Carry out the scans due in the interval and report the faults in it.

        The time to a marked page's first touch is drawn when it is marked; while the mark outlives an interval it is
        drawn again from the new interval's rates, which changes nothing for a process without memory.
        """
        n = activity.n_pages
        if self._next_us < 0:
            self._next_us = activity.start_us
            self._marked_us = np.full(n, np.nan)
            self._last_us, self._freq = np.zeros(n, np.int64), np.zeros(n, np.uint8)
            self._pass_us = n / min(self.scan_pages, n) * self.scan_period_us
        pending = np.flatnonzero(~np.isnan(self._marked_us))
        fault_us = np.full(n, np.inf)
        fault_us[pending] = activity.start_us + self._first_touch_us(activity, pending, rng)
        looked_at, visited, faults = pending.size, 0, 0
        parts: list[Reports] = []
        while self._next_us < activity.end_us:
            now_us, count = self._next_us, min(self.scan_pages, n)
            page = np.arange(self._cursor, self._cursor + count) % n
            self._cursor = (self._cursor + count) % n
            self._next_us += self.scan_period_us
            visited += count
            gone = page[fault_us[page] <= now_us]
            faults += gone.size
            parts.append(self._faulted(gone, fault_us))
            fault_us[gone] = np.inf
            free = page[np.isnan(self._marked_us[page]) & ~np.isin(activity.node[page], self.skip_nodes)]
            self._marked_us[free] = now_us
            fault_us[free] = now_us + self._first_touch_us(activity, free, rng)
            looked_at += free.size
        gone = np.flatnonzero(fault_us < activity.end_us)
        faults += gone.size
        parts.append(self._faulted(gone, fault_us))
        cost_ns = visited * self.scan_ns_per_page + faults * self.fault_ns
        return joined(parts, cost_ns, covered=min(looked_at / n, 1.0))

    def _first_touch_us(self, activity: Activity, page: Ints, rng: np.random.Generator) -> Floats:
        rate = activity.rate_hz[page]
        scale = np.divide(1e6, rate, out=np.full(page.size, np.inf), where=rate > 0)
        return np.asarray(rng.standard_exponential(page.size) * scale)

    def _faulted(self, page: Ints, fault_us: Floats) -> Reports:
        """Clear the marks of pages that fault, book their accesses, and return those that are hot now."""
        at_us = np.floor(fault_us[page]).astype(np.int64)
        latency_us = fault_us[page] - self._marked_us[page]
        self._marked_us[page] = np.nan
        if self.hot_threshold_us:
            quick = latency_us <= self.hot_threshold_us
            page, at_us, latency_us = page[quick], at_us[quick], latency_us[quick]
        record = RECORDS[self.record]
        age_us = (at_us // 1000 * 1000 - self._last_us[page]) % record.wrap_us
        joins = age_us <= (self.window_us or record.window_us)
        freq = np.where(joins, np.minimum(self._freq[page] + 1, 7), 1).astype(np.uint8)
        self._freq[page], self._last_us[page] = freq, at_us // record.bucket_us * record.bucket_us
        hot = freq >= self.accesses
        touches = self._pass_us / np.maximum(np.ceil(latency_us[hot] / _TICK_US), 1.0) / _TICK_US
        return page_reports(page[hot], touches, at_us[hot])
