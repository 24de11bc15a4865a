"""Sampled instructions (AMD IBS, Intel PEBS): every so many operations the CPU reports the address that one used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..cost.constants import DEFAULT
from ..errors import InputError
from ..fields import Checked
from .protocol import Activity, Floats, Ints, Reports, check_share, joined, page_reports


@dataclass(eq=False)
class InstructionSamples(Checked):
    """One operation in ``period_ops`` is sampled; what it accessed goes to a ring of its CPU, which is drained at times.

    Samples are a Poisson thinning of the accesses: strictly every n-th operation of many interleaved streams looks the
    same from one page. Skid is left out: IBS tags an operation and PEBS has a precise mode. Samples of operations that
    access no memory cost as much and report nothing. A ring that is full loses what comes until it is drained.

    Parameters
    ----------
    period_ops : int
        Operations per sample.
    ops_per_access : float
        Operations executed per memory access, 1 or more (assumed).
    accesses_per_touch : float
        Accesses per touch of a page in the workload.
    n_cpus : int
        CPUs that the accesses spread over evenly.
    ring_entries : int
        Room of a CPU's ring.
    drain_us : int
        Time between two drainings (assumed).
    sample_ns : float
        CPU time per sample (assumed, see `tieringmodel.cost`).
    """

    period_ops: int = int(DEFAULT.ibs_period_ops.default)
    ops_per_access: float = 4.0
    accesses_per_touch: float = 1.0
    n_cpus: int = 8
    ring_entries: int = int(DEFAULT.ibs_ring_entries.default)
    drain_us: int = 100_000
    sample_ns: float = 1_000 * DEFAULT.access_sample_us.default

    def check(self) -> None:
        """Refuse periods and rings of nothing."""
        for name in ("period_ops", "n_cpus", "ring_entries", "drain_us"):
            if getattr(self, name) == 0:
                raise InputError(name, "is 0", "write 1 or more")
        if self.ops_per_access < 1:
            raise InputError("ops_per_access", f"{self.ops_per_access} is below 1", "an access is an operation itself")
        if self.accesses_per_touch <= 0 or self.sample_ns < 0:
            name = "sample_ns" if self.accesses_per_touch > 0 else "accesses_per_touch"
            raise InputError(name, "is negative or 0", "write a positive number")
        self._next_us = -1
        self._fill = np.zeros(self.n_cpus, np.int64)
        self._ring: list[Ints] = []
        self._known: tuple[Floats | None, Floats, float] = (None, np.zeros(0), 0.0)

    def lost_share(self, samples_per_s: float) -> float:
        """Expected share of samples that find the ring full: E[(X − ring)₊] / E[X] for Poisson arrivals X per draining.

        Parameters
        ----------
        samples_per_s : float
            Samples of memory accesses per second, all CPUs together.

        Returns
        -------
        float
        """
        from scipy.special import gammainc

        mean, ring = samples_per_s * self.drain_us * 1e-6 / self.n_cpus, self.ring_entries
        if mean == 0:
            return 0.0
        return float((mean * gammainc(ring, mean) - ring * gammainc(ring + 1, mean)) / mean)

    def detection_probability(self, rate_hz: float, window_s: float, samples_per_s: float = 0.0) -> float:
        """Probability that at least one access of a page is sampled, and kept, in a window of whole drainings.

        1 − exp(−λ a W (1 − loss) / period), exact without loss; with it, as if each sample were lost by itself.

        Parameters
        ----------
        rate_hz : float
            Touches per second of the page, λ.
        window_s : float
            Length W of the window.
        samples_per_s : float
            Of all pages, for the loss.

        Returns
        -------
        float
        """
        kept = 1 - self.lost_share(samples_per_s)
        return float(-np.expm1(-rate_hz * self.accesses_per_touch * window_s * kept / self.period_ops))

    def cost_ns_per_s(self, activity: Activity) -> float:
        """Expected CPU time per second."""
        accesses = float(activity.rate_hz.sum()) * self.accesses_per_touch
        return accesses * self.ops_per_access / self.period_ops * self.sample_ns

    def at_cost(self, share: float, activity: Activity) -> InstructionSamples:
        """Return a fresh source whose period makes it take this share of a CPU; at least every operation is sampled."""
        period = self.period_ops * self.cost_ns_per_s(activity) / check_share(share)
        return self.replace(period_ops=max(int(np.ceil(period)), 1))

    def observe(self, activity: Activity, rng: np.random.Generator) -> Reports:
        """Sample the interval's accesses and drain the rings where due."""
        if self._next_us < 0:
            self._next_us = activity.start_us + self.drain_us
        below, total_hz = self._below(activity)
        per_us = total_hz * 1e-6 * self.accesses_per_touch / self.period_ops
        now_us, cost_ns, lost = activity.start_us, 0.0, 0
        parts: list[Reports] = []
        if self._next_us <= now_us:  # nobody looked for a while: rings were drained all the same
            parts.append(self._drained())
            self._next_us += ((now_us - self._next_us) // self.drain_us + 1) * self.drain_us
        while now_us < activity.end_us:
            until = min(self._next_us, activity.end_us)
            expected = per_us * (until - now_us)
            n = int(rng.poisson(expected))
            others = int(rng.poisson(expected * (self.ops_per_access - 1)))
            cost_ns += (n + others) * self.sample_ns
            # `below` ends with exactly 1, which a random number in [0, 1) never reaches.
            page = np.searchsorted(below, rng.random(n), side="right").astype(np.int64)
            kept = self._keep(rng.integers(self.n_cpus, size=n))
            lost += n - int(kept.sum())
            self._ring.append(page[kept])
            now_us = until
            if now_us == self._next_us:
                parts.append(self._drained())
        return joined(parts, cost_ns, lost)

    def _drained(self) -> Reports:
        """Return what the rings hold as they are drained, and begin anew."""
        pages = np.concatenate([np.zeros(0, np.int64), *self._ring])
        drained = page_reports(pages, self.period_ops / self.accesses_per_touch, self._next_us)
        self._ring, self._next_us = [], self._next_us + self.drain_us
        self._fill[:] = 0
        return drained

    def _below(self, activity: Activity) -> tuple[Floats, float]:
        """Return the cumulative share of the touches by page, and all touches per second."""
        known, below, total_hz = self._known
        if known is not activity.rate_hz:
            below = np.cumsum(activity.rate_hz)
            total_hz = float(below[-1])
            below = below / (total_hz or 1.0)
            self._known = (activity.rate_hz, below, total_hz)
        return below, total_hz

    def _keep(self, cpu: Ints) -> npt.NDArray[np.bool_]:
        """Put samples, in order of arrival, into their CPU's ring; return which found room."""
        order = np.argsort(cpu, kind="stable")
        arrivals = np.bincount(cpu, minlength=self.n_cpus)
        before = np.cumsum(arrivals) - arrivals
        place = np.empty(cpu.size, np.int64)
        place[order] = np.arange(cpu.size) - before[cpu[order]] + self._fill[cpu[order]]
        self._fill = np.minimum(self._fill + arrivals, self.ring_entries)
        return place < self.ring_entries
