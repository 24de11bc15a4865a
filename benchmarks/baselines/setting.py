"""What both baselines start from: a scenario in plain numbers, the random bits, and the arithmetic of one quota.

Nothing here is taken from the package but the scenario's fields: hash, thresholds and tuner are written down again, so that
equal traces mean two programs agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tieringmodel.scenario import Scenario

U64 = npt.NDArray[np.uint64]
LOW32 = 2**32 - 1
ALL = 2**64 - 1
GAMMA = 0x9E3779B97F4A7C15
_M1, _M2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
PAGE = 4096


class Seen(Protocol):
    """Told of the regions, uint64 (5, n): start, end, nr_accesses, last_nr_accesses, age."""

    def __call__(self, point: str, regions: U64) -> None: ...


def mix(x: int) -> int:
    """Mix 64 bits as splitmix64 does at its end."""
    x = ((x ^ x >> 30) * _M1) & ALL
    x = ((x ^ x >> 27) * _M2) & ALL
    return x ^ x >> 31


def mix_in_place(x: U64) -> U64:
    """Do the same to every element; allocates one temporary."""
    y = x >> np.uint64(30)
    x ^= y
    x *= np.uint64(_M1)
    x ^= np.right_shift(x, np.uint64(27), out=y)
    x *= np.uint64(_M2)
    x ^= np.right_shift(x, np.uint64(31), out=y)
    return x


class Setting:
    """One paddr context, one migrate_hot scheme, pages with constant rates; anything else is refused.

    Attributes
    ----------
    spans : list of (int, int)
        Node by node: first and one past the last frame, counted from the machine's first page frame.
    page_at : ndarray of uint32, shape (n_frames,)
        Logical page + 1 on each frame at the start, 0 = none; frames between nodes stay 0.
    class_of : ndarray of uint16, shape (n_pages,)
        Index into `limits` for each page.
    limits : ndarray of uint64
        A page of the class is touched in a tick iff 32 hashed bits are below this.
    """

    def __init__(self, scenario: Scenario, seed: int) -> None:
        machine, workload = scenario.machine, scenario.workload
        (context,) = scenario.contexts
        (scheme,) = context.schemes
        self.attrs, self.min_sz, self.scheme = context.attrs, context.min_region_sz, scheme
        quota = scheme.quota
        refused = {
            "another operations set, address unit, range or clock": context.ops != "paddr" or context.addr_unit != 1
            or context.targets[0].regions or context.aggr_times_us or workload.tick_us not in (None, self.attrs.sample_us),
            "interval tuning or an apply interval": self.attrs.intervals_goal.aggrs or scheme.apply_interval_us,
            "another action, filters, snapshots or watermarks": scheme.action != "migrate_hot" or scheme.filters
            or scheme.max_nr_snapshots or scheme.watermarks.metric != "none",
            "a time quota or a fail charge": quota.ms or quota.fail_charge_denom,
            "another goal": any(
                g.metric != "node_mem_used_bp" or g.complement or g.clamp != "none" or g.early_exit != "none"
                for g in quota.goals
            ),
            "holes within nodes": any(n.ranges for n in machine.nodes),
            "another allocator, a copy cost or reserved frames": machine.allocator != "lowest" or machine.migrate_ns_per_page
            or any(n.reserve_pages or n.unmanaged_bytes or n.kernel_bytes or n.cache_bytes for n in machine.nodes),
            "other groups than rates": any(g.kind != "rate" or g.start_tick or g.end_tick < 2**62 for g in workload.groups),
            "placement at an address or by weights": any(p.start_bytes is not None or p.weights for p in workload.placement),
        }  # fmt: skip
        if wrong := [what for what, found in refused.items() if found]:
            raise ValueError(f"the baselines know no {', no '.join(wrong)}")
        self.nids = [n.nid for n in machine.nodes]
        self.target = self.nids.index(scheme.target_nid)
        self.pfn0 = machine.nodes[0].extent[0] // PAGE
        self.spans = [(start // PAGE - self.pfn0, end // PAGE - self.pfn0) for start, end in (n.extent for n in machine.nodes)]
        self.hz = machine.hz
        self.access_key = mix(seed % 2**64 ^ 0xA5A5)
        stream = seed if context.rng_seed is None else context.rng_seed
        self.draw_key = mix(stream % 2**64 ^ mix(1))
        self._place(scenario)
        self._rates(scenario)

    def _place(self, scenario: Scenario) -> None:
        """Put pages on the lowest free frames of their node, or of the next one that has any."""
        self.page_at = np.zeros(self.spans[-1][1], np.uint32)
        taken = [lo for lo, _ in self.spans]
        workload = scenario.workload
        for lo, hi, nid in [(p.lo, p.hi, p.nid) for p in workload.placement] or [(0, workload.n_pages, self.nids[0])]:
            first = self.nids.index(nid)
            for i in [first, *(k for k in range(len(self.nids)) if k != first)]:
                n = min(hi - lo, self.spans[i][1] - taken[i])
                self.page_at[taken[i] : taken[i] + n] = np.arange(lo + 1, lo + n + 1, dtype=np.uint32)
                taken[i] += n
                lo += n

    def _rates(self, scenario: Scenario) -> None:
        workload, tick_s = scenario.workload, self.attrs.sample_us * 1e-6
        self.class_of = np.zeros(workload.n_pages, np.uint16)
        limits = [0]
        for i, g in enumerate(workload.groups):
            if self.class_of[g.lo : g.hi].any():
                raise ValueError("the baselines know no overlapping groups")
            self.class_of[g.lo : g.hi] = i + 1
            limits.append(round(-math.expm1(-g.rate_hz * tick_s) * 2**32))
        self.limits = np.array(limits, np.uint64)

    def first_regions(self) -> list[tuple[int, int]]:
        """Return the first regions: the whole machine, cut into equal pieces for the minimum count."""
        start, end = self.pfn0 * PAGE, (self.pfn0 + self.spans[-1][1]) * PAGE
        limit = self.up(self.size_limit(end - start))
        return [(at, min(at + limit, end)) for at in range(start, end, limit)]

    def size_limit(self, total: int) -> int:
        """Return the largest size a region may have."""
        return max(total // self.attrs.min_nr_regions, self.min_sz)

    def up(self, size: int) -> int:
        """Round up to whole minimal regions."""
        return -(-size // self.min_sz) * self.min_sz

    def down(self, size: int) -> int:
        """Round down to whole minimal regions."""
        return size - size % self.min_sz


class Quota:
    """What may be charged in a window, and the loop that adapts it."""

    def __init__(self, setting: Setting) -> None:
        self.config, self.setting = setting.scheme.quota, setting
        self.limited = bool(self.config.sz_bytes or self.config.goals)
        self.window = -(-self.config.reset_interval_ms * setting.hz // 1000)
        self.esz = self.esz_bp = self.charged = self.total = self.began = 0
        self.resume = 0
        """Address up to which the last window got; 0 = start anywhere."""

    @property
    def full(self) -> bool:
        """Whether less than one minimal region is left."""
        return self.limited and self.esz - self.charged < self.setting.min_sz

    def begin(self, now_us: int, used: Callable[[int], tuple[int, int]]) -> None:
        """Start a new window if it is time; `used` gives used and all frames of a node."""
        if not self.limited:
            return
        now = 1000 + now_us * 1000 // (10**9 // self.setting.hz)
        if not self.total and not self.began:
            self.began = now
            self._adapt(used)
        if now >= self.began + self.window:
            self.total += self.charged
            self.began, self.charged = now, 0
            self._adapt(used)

    def _adapt(self, used: Callable[[int], tuple[int, int]]) -> None:
        cap = self.config.sz_bytes
        if not self.config.goals:
            self.esz = cap
            return
        score = 0
        for goal in self.config.goals:
            pages, of = used(self.setting.nids.index(goal.nid))
            score = max(score, pages * 10_000 // of * 10_000 // goal.target_value)
        if self.config.goal_tuner == "temporal":
            self.esz_bp = 0 if score >= 10_000 else cap * 10_000 if cap else ALL
        else:
            last = max(self.esz_bp, 10_000)
            step = last * min(abs(10_000 - score), 10_000) // 10_000
            if last * 10_000 > ALL:
                raise OverflowError("the tuner's state left the range these baselines know")
            self.esz_bp = last + step if score < 10_000 else max(last - step, 10_000)
        self.esz = min(self.esz_bp // 10_000, cap or ALL)


def as_rows(*columns: Any) -> U64:
    """Return the five columns as one array."""
    return np.array([np.asarray(c, np.uint64) for c in columns])
