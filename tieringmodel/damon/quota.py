"""A scheme's quota over time: charge windows, the tuner's state, and the goals' values when they were last used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..kernels.layout import BOOT_JIFFIES
from ..scenario import Goal, Quota
from ..scenario.linux import Rules, default_rules
from ..scenario.metrics import metric_of
from ..stored import Stored
from ..units import UINT_MAX, ULONG_MAX
from . import quota_math, quota_rules
from .lag_cache import LagCache
from .table import quota_is_given, quota_is_set

Measure = Callable[[], Sequence[tuple[int, int]]]

BOOT_S = 300
"""Seconds from boot, when a run begins, until the kernel's own counter of jiffies is 0."""
LIMITS = ("", "size", "time", "goal")
"""What can bound an effective quota: nothing, ``sz_bytes``, ``ms``, or the tuner's state."""


def reset_interval_jiffies(ms: int, hz: int) -> int | None:
    """Return the charge window's length in jiffies, rounded up; None where the kernel takes it for infinite.

    The kernel converts the low 32 bits and treats values with bit 31 set as practically infinite.
    """
    ms &= UINT_MAX
    return None if ms >> 31 else -(-ms * hz // 1000)


@dataclass(init=False, eq=False, repr=False)
class QuotaState(Stored):
    """What ``struct damos_quota`` remembers, beside the fields that the application pass keeps in the scheme table.

    Attributes
    ----------
    esz_bp : int
        The tuner's state, 1/10000 byte.
    charged_from : int
        Start of the charge window in jiffies; 0 = no window was ever started.
    total_charged_sz : int
        Bytes charged in finished windows.
    goals : list of (int, int)
        Value and target per goal, as last handed to the score.
    last_totals : list of (int or None)
        What each goal's growing total was at its last evaluation; None before the first one.
    lags : list of (LagCache or None)
        Bytes in flight, for the goals that ask for them.
    held_windows, full_windows : int
        Finished windows whose effective quota held a region, and those of them that ended full.
    bound : int
        Which of `LIMITS` the effective quota is made of.
    """

    esz_bp: int
    goals: list[tuple[int, int]]
    last_totals: list[int | None]
    lags: list[LagCache | None]
    charged_from: int = 0
    total_charged_sz: int = 0
    score: int = 0
    resets: int = 0
    held_windows: int = 0
    full_windows: int = 0
    bound: int = 0

    def __init__(self, quota: Quota, hz: int, n_nodes: int = 0, rules: Rules | None = None) -> None:
        self.quota, self.hz, self.n_nodes, self.rules = quota, hz, n_nodes, rules or default_rules()
        self.reset_jiffies = reset_interval_jiffies(quota.reset_interval_ms, hz)
        self.esz_bp = quota.esz_bp0
        self.goals = [(g.current_value, g.target_value) for g in quota.goals]
        self.last_totals = [None] * len(quota.goals)
        self.lags = [self.lag_of(g) for g in quota.goals]

    def lag_of(self, goal: Goal, lag: LagCache | None = None) -> LagCache | None:
        """Return the lag cache of a goal that asks for one: `lag`, if there is one, else an empty one."""
        if not goal.lag_cache:
            return None
        lag = lag or LagCache(self.n_nodes)
        lag.timeout_ms = goal.lag_timeout_ms
        return lag

    def set_effective(
        self, row: Any, min_region_sz: int, measure: Measure, monitored_bytes: Callable[[], int] | None = None
    ) -> None:
        """Evaluate goals and caps into the effective quota (``damos_set_effective_quota``)."""
        quota = self.quota
        esz_bp: int | None = None
        if quota.goals:
            self.goals = list(measure())
            self.score = quota_rules.quota_score(self.goals, self.rules)
            tuner = quota.goal_tuner, self.esz_bp, self.score, quota.sz_bytes
            self.esz_bp = esz_bp = quota_rules.next_esz_bp(*tuner, self.rules)
        self.resets += 1
        esz = quota_rules.set_effective(
            sz_bytes=quota.sz_bytes,
            ms=quota.ms,
            esz_bp=esz_bp,
            total_charged_sz=self.total_charged_sz,
            total_charged_ns=int(row["total_charged_ns"]),
            min_region_sz=min_region_sz,
            rules=self.rules,
        )
        if quota.esz_cap_monitored and monitored_bytes:
            esz = min(esz, monitored_bytes())
        if quota.esz_floor_min_region and esz:
            esz = max(esz, min_region_sz)
        row["esz"] = esz
        tuned = None if esz_bp is None else esz_bp // quota_math.ESZ_SCALE
        bound = "size" if quota.sz_bytes and esz == quota.sz_bytes else "goal" if esz == tuned else "time" if quota.ms else ""
        self.bound = LIMITS.index(bound)

    def note(self, row: Any) -> None:
        """Tell kernels whether there is a quota to adjust, and from which jiffy on that starts a new window."""
        row["quota_set"] = quota_is_set(self.quota, int(row["esz"]), self.rules)
        row["adjusted"] = self.is_adjusted(row)
        begun = self.total_charged_sz or self.charged_from
        end = ULONG_MAX if self.reset_jiffies is None else self._since() + self.reset_jiffies
        row["next_reset"] = min(end, ULONG_MAX) if begun else 0

    def _since(self) -> int:
        return self.charged_from or BOOT_JIFFIES + BOOT_S * self.hz

    def is_adjusted(self, row: Any) -> bool:
        """Whether ``damos_adjust_quota`` has anything to do: there are limits, or what is left of them."""
        return quota_is_given(self.quota) or (self.rules.adjust_quota_while_esz and row["esz"] != 0)

    def is_full(self, charged: int, esz: int, min_region_sz: int) -> bool:
        """Whether a quota of `esz` bytes is used up, or (from 7.2 on) less than a minimal region of it is left."""
        if not quota_is_set(self.quota, esz, self.rules):
            return False
        return charged >= esz or (self.rules.quota_full_min_region and esz - charged < min_region_sz)

    def last_total(self, goal: int) -> int | None:
        """Return what a goal's growing total was at its last evaluation.

        Before the first one there is none, which up to 7.2 counts as 0.
        """
        total = self.last_totals[goal]
        return 0 if total is None and not self.rules.psi_first_round else total

    def adjust(
        self,
        row: Any,
        jiffies: int,
        min_region_sz: int,
        measure: Measure,
        monitored_bytes: Callable[[], int] | None = None,
    ) -> None:
        """Start a new charge window where one is due (part 1 of ``damos_adjust_quota``)."""
        if not self.is_adjusted(row):
            return
        if self.total_charged_sz == 0 and self.charged_from == 0:
            first = self.rules.first_window_esz and not self.resets
            if self.rules.charged_from_jiffies:
                first, self.charged_from = self.rules.first_window_esz, jiffies
            if first:
                self.set_effective(row, min_region_sz, measure, monitored_bytes)
        if self.reset_jiffies is None or jiffies < self._since() + self.reset_jiffies:
            self.note(row)
            return
        charged, esz = int(row["charged_sz"]), int(row["esz"])
        full = self.is_full(charged, esz, min_region_sz)
        if full:
            row["qt_exceeds"] += 1
        if esz >= min_region_sz:
            self.held_windows += 1
            self.full_windows += full
        self.total_charged_sz += charged
        self.charged_from = jiffies
        row["charged_sz"] = 0
        for lag in self.lags:
            if lag:
                lag.next_window(jiffies * 1000 // self.hz)
        self.set_effective(row, min_region_sz, measure, monitored_bytes)
        self.note(row)

    def commit(self, quota: Quota, fed: Sequence[int | None] = ()) -> None:
        """Take over new parameters; tuner state, charge window and totals survive.

        `fed`: what users have fed each goal so far, None for those that are measured.
        """
        kept = [value for value, _ in self.goals]
        for j, value in enumerate(fed):
            kept[j] = kept[j] if value is None else value
        asked = [metric_of(g.metric).counts == "input" for g in quota.goals]
        values = [g.current_value if asked[j] or j >= len(kept) else kept[j] for j, g in enumerate(quota.goals)]
        self.goals = [(value, g.target_value) for value, g in zip(values, quota.goals, strict=True)]
        totals = [] if self.rules.psi_first_round else self.last_totals
        self.last_totals = [*totals, *[None] * len(quota.goals)][: len(quota.goals)]
        kept_lags = [*self.lags, *[None] * len(quota.goals)]
        self.lags = [self.lag_of(g, lag) for g, lag in zip(quota.goals, kept_lags, strict=False)]
        self.quota = quota
        self.reset_jiffies = reset_interval_jiffies(quota.reset_interval_ms, self.hz)
