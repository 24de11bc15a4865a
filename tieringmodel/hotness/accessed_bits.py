"""Page table accessed bits as DAMON samples them: one page per region and sampling interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..cost.constants import DEFAULT
from ..damon.regions import RegionSet, SplitState
from ..damon.rng import counter_rng
from ..errors import InputError
from ..fields import Checked
from .protocol import Activity, Floats, Ints, Reports, check_share, joined
from .tlb import characteristic_time_s, set_probability


@dataclass(eq=False)
class AccessedBits(Checked):
    """DAMON's regions, one page of each looked at per sampling interval; a region's count stands for all of its pages.

    A count is the number of sampling intervals with a touch, so pages touched more often than once per interval look
    alike. Folio granularity: an access to any page of an aligned run of ``folio_pages`` makes all of them accessed
    (docs/theory/damon.md, section b.4). With ``tlb_reach_pages`` touches that hit the TLB are missed (`tlb`).

    Parameters
    ----------
    sample_us, aggr_us : int
        Sampling and aggregation interval.
    min_nr_regions, max_nr_regions : int
        Bounds of the adaptive regions, which merge and split as in `damon.regions.RegionSet`.
    edges : tuple of int
        Fixed regions instead: the first page of each, and one past the last page.
    folio_pages : int
        Pages per folio.
    tlb_reach_pages : int
        Pages whose translations fit the TLB; 0 means that every touch sets the bit.
    check_ns : float
        CPU time per region and sample (assumed, see `tieringmodel.cost`).
    """

    sample_us: int = 5_000
    aggr_us: int = 100_000
    min_nr_regions: int = 10
    max_nr_regions: int = 1_000
    edges: tuple[int, ...] = ()
    folio_pages: int = 1
    tlb_reach_pages: int = 0
    check_ns: float = 2_000 * DEFAULT.rmap_walk_us.default

    def check(self) -> None:
        """Refuse what the kernel refuses, and regions that do not ascend."""
        if not 0 < self.sample_us <= self.aggr_us:
            raise InputError("sample_us", f"{self.sample_us} us is not in 1..{self.aggr_us}", "shorten it")
        if not 3 <= self.min_nr_regions <= self.max_nr_regions:
            raise InputError("min_nr_regions", "is below 3 or above max_nr_regions", "write e.g. 10")
        if self.folio_pages == 0:
            raise InputError("folio_pages", "is 0", "write 1, or 512 for 2 MiB folios")
        if self.edges and (self.edges[0] != 0 or list(self.edges) != sorted(set(self.edges)) or len(self.edges) < 2):
            raise InputError("edges", "do not ascend from 0", "write 0, then the first page of each further region, the end")
        if self.check_ns < 0:
            raise InputError("check_ns", f"{self.check_ns} is negative", "write nanoseconds")
        self._regions: RegionSet | None = None
        self._counts = np.zeros(0, np.int64)
        self._done = 0
        self._next_us = -1
        self._known: tuple[Floats | None, Floats, float] = (None, np.zeros(0), 0.0)

    @property
    def samples(self) -> int:
        """Samples per aggregation: the largest count of a region."""
        return self.aggr_us // self.sample_us

    def sample_probability(self, rate_hz: Floats, tau_s: float = 0.0) -> Floats:
        """Probability that a folio with these touches per second is found accessed in one sample (see `set_probability`)."""
        return set_probability(rate_hz, self.sample_us * 1e-6, tau_s)

    def detection_probability(self, rate_hz: float, window_s: float, hot_share: float = 1.0, tau_s: float = 0.0) -> float:
        """Probability that a region counts at least one access in a window.

        Parameters
        ----------
        rate_hz : float
            Touches per second of a folio of the region's touched part.
        window_s : float
            Length of the window, in whole samples.
        hot_share : float
            Share of the region that is touched at all.
        tau_s : float
            Characteristic time of the TLB.

        Returns
        -------
        float
            1 − (1 − hot_share · q)^samples with q of `sample_probability`.
        """
        q = hot_share * float(self.sample_probability(np.array([rate_hz]), tau_s)[0])
        return float(1 - (1 - q) ** int(round(window_s * 1e6) // self.sample_us))

    def cost_ns_per_s(self, activity: Activity) -> float:
        """CPU time per second when all regions are in use, which is DAMON's own bound of its overhead."""
        regions = len(self.edges) - 1 if self.edges else self.max_nr_regions
        return regions * self.check_ns * 1e6 / self.sample_us

    def at_cost(self, share: float, activity: Activity) -> AccessedBits:
        """Return a fresh source that takes at most this share of a CPU: more or fewer regions, at ten a longer interval."""
        if self.edges:
            raise InputError("edges", "fix the cost", "leave them out to compare at equal cost")
        # Below twice the minimum DAMON could not split its first regions.
        least = 2 * self.min_nr_regions
        bearable = check_share(share)
        bearable = bearable / (self.check_ns * 1e6 / self.sample_us) if self.check_ns else float(activity.n_pages)
        most = int(min(max(bearable, least), max(least, activity.n_pages // self.folio_pages)))
        stretch = max(1.0, least / bearable)
        sample_us = int(np.ceil(self.sample_us * stretch))
        return self.replace(max_nr_regions=most, sample_us=sample_us, aggr_us=sample_us * self.samples)

    def observe(self, activity: Activity, rng: np.random.Generator) -> Reports:
        """Sample every region once per sampling interval that ends in the interval; report at ends of aggregations."""
        if self._next_us < 0:
            self._begin(activity, rng)
        rates, tau_s = self._rates(activity)
        parts: list[Reports] = []
        cost_ns = 0.0
        while self._next_us <= activity.end_us:
            edges = self._edges()
            now = min((activity.end_us - self._next_us) // self.sample_us + 1, self.samples - self._done)
            size = np.diff(edges)
            page = edges[:-1] + (rng.random((now, size.size)) * size).astype(np.int64)
            hit = rng.random(page.shape) < self.sample_probability(rates[page // self.folio_pages], tau_s)
            self._counts += hit.sum(axis=0)
            self._done += now
            self._next_us += now * self.sample_us
            cost_ns += page.size * self.check_ns
            if self._done == self.samples:
                parts.append(self._report(edges, self._next_us - self.sample_us))
        return joined(parts, cost_ns)

    def _begin(self, activity: Activity, rng: np.random.Generator) -> None:
        self._next_us = activity.start_us + self.sample_us
        if self.edges:
            if self.edges[-1] != activity.n_pages:
                text = f"end at page {self.edges[-1]}, the activity has {activity.n_pages} pages"
                raise InputError("edges", text, "let the last one be the number of pages")
        else:
            self._regions, self._split = RegionSet([[[0, activity.n_pages, 0, 0, 0]]]), SplitState()
            self._draws = counter_rng(int(rng.integers(2**63)))
            self._limit = self._regions.apply_min_nr_regions(self.min_nr_regions, self.folio_pages)
        self._counts = np.zeros(self._edges().size - 1, np.int64)

    def _edges(self) -> Ints:
        if self._regions is None:
            return np.array(self.edges, np.int64)
        now, n = self._regions.now, self._regions.n
        return np.append(now.start[:n], now.end[n - 1]).astype(np.int64)

    def _rates(self, activity: Activity) -> tuple[Floats, float]:
        """Return the rate of each folio and the TLB's characteristic time; they change only with the activity's array."""
        known, rates, tau_s = self._known
        if known is not activity.rate_hz:
            rates = activity.rate_hz
            if self.folio_pages > 1:
                rates = np.add.reduceat(rates, np.arange(0, activity.n_pages, self.folio_pages))
            tau_s = characteristic_time_s(rates, -(-self.tlb_reach_pages // self.folio_pages))
            self._known = (activity.rate_hz, rates, tau_s)
        return rates, tau_s

    def _report(self, edges: Ints, time_us: int) -> Reports:
        counts = self._counts
        seen = np.flatnonzero(counts)
        report = Reports(
            edges[:-1][seen],
            np.diff(edges)[seen],
            counts[seen].astype(np.float64),
            np.full(seen.size, time_us, np.int64),
        )
        if (regions := self._regions) is not None:
            regions.now.nr[: regions.n] = counts
            regions.merge(int(counts.max()) // 10, self._limit, self.samples, self.max_nr_regions)
            self._limit = regions.apply_min_nr_regions(self.min_nr_regions, self.folio_pages)
            regions.reset_aggregated()
            regions.split(self._split, self.max_nr_regions, self.folio_pages, self._draws)
        self._counts = np.zeros(self._edges().size - 1, np.int64)
        self._done = 0
        return report
