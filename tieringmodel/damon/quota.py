"""A scheme's quota over time: charge windows, the tuner's state, and the goals' values when they were last used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import whole
from ..kernels import window
from ..kernels._jit import records
from ..kernels.layout import BOOT_JIFFIES, GOAL, QUOTA
from ..kernels.older import compiled_rules
from ..memory.physical import PhysicalMemory
from ..scenario import Context, Goal, Quota
from ..scenario.linux import Rules, default_rules
from ..scenario.metrics import metric_of
from ..scenario.tuners import OWN, next_state, number_of
from ..stored import Stored, like
from ..units import ULONG_MAX
from . import goals
from .lag_cache import LagCache
from .parameters import esz0_stops, quota_is_given, reset_interval_jiffies
from .quota_math import quota_score

Measure = Callable[[], Sequence[tuple[int, int]]]

BOOT_S = 300
"""Seconds from boot, when a run begins, until the kernel's own counter of jiffies is 0."""


class InQuota:
    """A whole number in a quota's QUOTA record."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, quota: Any, owner: type) -> int:
        return int(quota.own[0][self.name])

    def __set__(self, quota: Any, value: int) -> None:
        quota.own[self.name] = whole(self.name, value)


@dataclass(init=False, eq=False, repr=False)
class QuotaState(Stored):
    """What ``struct damos_quota`` remembers, beside the fields that the application pass keeps in the scheme table.

    Attributes
    ----------
    own : ndarray of QUOTA, shape (1,)
        What kernels read and write: the tuner's state, the charge window, and the parameters.
    goal_rows : ndarray of GOAL, shape (goals,)
        The same of the goals.
    lags : list of (LagCache or None)
        Bytes in flight, for the goals that ask for them.
    """

    lags: list[LagCache | None]

    esz_bp, score, resets, rmap_walks = InQuota(), InQuota(), InQuota(), InQuota()
    held_windows, full_windows, quota_bound = InQuota(), InQuota(), InQuota()
    charged_from, total_charged_sz = InQuota(), InQuota()

    def __init__(self, quota: Quota, hz: int, n_nodes: int = 0, rules: Rules | None = None) -> None:
        self.hz, self.n_nodes, self.rules = hz, n_nodes, rules or default_rules()
        self.compiled = compiled_rules(self.rules, False)
        self.own, self.goal_rows = records(1, QUOTA), records(0, GOAL)
        self.lags = []
        self._use(quota)
        self.esz_bp = quota.esz_bp0
        self.lags = [self.lag_of(g) for g in quota.goals]

    def _use(self, quota: Quota) -> None:
        """Write down parameters; goals at the same position keep what was measured last."""
        self.quota = quota
        self.reset_jiffies = reset_interval_jiffies(quota.reset_interval_ms, self.hz)
        self.own["boot_jiffies"] = BOOT_JIFFIES + BOOT_S * self.hz
        self.own["reset_jiffies"] = ULONG_MAX if self.reset_jiffies is None else self.reset_jiffies
        self.own["sz_bytes"], self.own["ms"] = quota.sz_bytes, quota.ms
        self.own["tuner"] = number_of(quota.goal_tuner)
        self.own["given"], self.own["stops"] = quota_is_given(quota), esz0_stops(quota, self.rules)
        self.own["capped"], self.own["floored"] = quota.esz_cap_monitored, quota.esz_floor_min_region
        before, self.goal_rows = self.goal_rows, records(len(quota.goals), GOAL)
        self.goal_table = self.goal_rows
        self.own["goal_first"], self.own["goal_last"] = 0, len(quota.goals)
        for j, (row, goal) in enumerate(zip(self.goal_rows, quota.goals, strict=True)):
            row["goal_current"], row["goal_target"] = goal.current_value, goal.target_value
            row["has_total"] = not self.rules.psi_first_round  # such a kernel takes the total for 0 before
            if j < len(before):
                if metric_of(goal.metric).counts != "input":
                    row["goal_current"] = before[j]["goal_current"]
                if not self.rules.psi_first_round:
                    row["last_total"], row["has_total"] = before[j]["last_total"], before[j]["has_total"]

    def lag_of(self, goal: Goal, lag: LagCache | None = None) -> LagCache | None:
        """Return the lag cache of a goal that asks for one: `lag`, if there is one, else an empty one."""
        if not goal.lag_cache:
            return None
        lag = lag or LagCache(self.n_nodes)
        lag.timeout_ms = goal.lag_timeout_ms
        return lag

    def settle(self, quotas: npt.NDArray[Any], goals: npt.NDArray[Any], i: int, first: int) -> None:
        """Move into a context's tables: row `i` of the quotas, rows from `first` on of the goals; parameters are there."""
        self.own["goal_first"], self.own["goal_last"] = first, first + len(self.goal_rows)
        quotas[i : i + 1], rows = self.own, goals[first : first + len(self.goal_rows)]
        for name in _MEASURED:
            rows[name] = self.goal_rows[name]
        self.own, self.goal_rows, self.goal_table = quotas[i : i + 1], rows, goals

    def last_total(self, goal: int) -> int | None:
        """Return what a goal's growing total was at its last evaluation; None before the first one."""
        row = self.goal_rows[goal]
        return int(row["last_total"]) if row["has_total"] else None

    def state(self) -> dict[str, Any]:
        """Return what was learnt and measured, and the lag caches (see `Stored.state`)."""
        learnt = {name: int(self.own[0][name]) for name in _LEARNT}
        totals = [self.last_total(j) for j in range(len(self.goal_rows))]
        return super().state() | learnt | {"goals": [list(pair) for pair in self.goals], "last_totals": totals}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is not what a quota with these parameters could have stored.
        """
        super().restore(state)
        for name in _LEARNT:
            self.own[name] = like(int(self.own[0][name]), state[name], name)
        self.goals = [(value, target) for value, target in like(self.goals, state["goals"], "goals")]
        for row, total in zip(self.goal_rows, state["last_totals"], strict=True):
            row["last_total"], row["has_total"] = like(0, total or 0, "last_totals"), total is not None

    @property
    def goals(self) -> list[tuple[int, int]]:
        """Value and target per goal, as last handed to the score."""
        return [(int(row["goal_current"]), int(row["goal_target"])) for row in self.goal_rows]

    @goals.setter
    def goals(self, pairs: Sequence[tuple[int, int]]) -> None:
        for j, (row, (value, target)) in enumerate(zip(self.goal_rows, pairs, strict=True)):
            row["goal_current"] = whole(f"goals[{j}].current", value)
            row["goal_target"] = whole(f"goals[{j}].target", target, 1)

    def set_effective(
        self, row: Any, min_region_sz: int, measure: Measure, monitored_bytes: Callable[[], int] | None = None
    ) -> None:
        """Evaluate goals and caps into the effective quota (``damos_set_effective_quota``).

        Raises
        ------
        InputError
            If a goal's value is no unsigned 64-bit integer, or its target 0.
        """
        if self.quota.goals:
            self.take(list(measure()))
        monitored = monitored_bytes() if monitored_bytes and self.quota.esz_cap_monitored else ULONG_MAX
        limits = np.uint64(min_region_sz), np.uint64(monitored)
        window.set_effective(self.own[0], row, self.goal_table, *limits, self.compiled)

    def take(self, goals: Sequence[tuple[int, int]]) -> None:
        """Keep what goals measured, and ask the user's own tuner, if it is one, for its next state; kernels leave it alone."""
        self.goals = list(goals)
        if int(self.own[0]["tuner"]) == OWN:
            self.esz_bp = next_state(self.quota.goal_tuner, quota_score(self.goals), self.esz_bp)

    def note(self, row: Any) -> None:
        """Tell the application pass whether there is a quota to adjust, and from which jiffy on that starts a new window."""
        window.note_window(self.own[0], row, self.compiled)

    def adjust(
        self,
        row: Any,
        jiffies: int,
        min_region_sz: int,
        measure: Measure,
        monitored_bytes: Callable[[], int] | None = None,
    ) -> None:
        """Start a new charge window where one is due (part 1 of ``damos_adjust_quota``), as `kernels.turn.body` does."""
        self.note(row)
        if not row["adjusted"]:
            return
        now, least, own = np.uint64(jiffies), np.uint64(min_region_sz), self.own[0]
        if window.first_window(own, row, now, self.compiled):
            self.set_effective(row, min_region_sz, measure, monitored_bytes)
        if window.next_window(own, row, now, least, self.compiled):
            self.note_lags(jiffies)
            self.set_effective(row, min_region_sz, measure, monitored_bytes)

    def note_lags(self, jiffies: int) -> None:
        """Tell lag caches that a charge window begins."""
        for lag in self.lags:
            if lag:
                lag.next_window(jiffies * 1000 // self.hz)

    def commit(self, quota: Quota, fed: Sequence[int | None] = ()) -> None:
        """Take over new parameters; tuner state, charge window and totals survive.

        `fed`: what users have fed each goal so far, None for those that are measured.
        """
        for row, value in zip(self.goal_rows, fed, strict=False):
            if value is not None:
                row["goal_current"] = value
        self._use(quota)
        kept = [*self.lags, *[None] * len(quota.goals)]
        self.lags = [self.lag_of(g, lag) for g, lag in zip(quota.goals, kept, strict=False)]


_LEARNT = (
    "esz_bp", "score", "resets", "rmap_walks", "held_windows", "full_windows", "quota_bound", "charged_from",
    "total_charged_sz",
)  # fmt: skip
_MEASURED = ("goal_current", "goal_target", "last_total", "has_total")


def tables_of(
    quotas: Sequence[QuotaState], context: Context, memory: PhysicalMemory, memcg_classes: Mapping[int, npt.NDArray[np.bool_]]
) -> tuple[tuple[npt.NDArray[Any], ...], npt.NDArray[np.int64] | None]:
    """Move a context's quotas and their goals into tables of their own.

    Returns
    -------
    tables : tuple of ndarray
        QUOTA, GOAL, and the goals' courses and cgroups: see `goals.write_down`.
    counts : ndarray of int64, shape (n_nodes,), or None
        Room to count bytes by node, where a goal looks at regions.
    """
    configured = [g for s in context.schemes for g in s.quota.goals]
    rows, course, member = goals.write_down(configured, context.ops, memory.index_of, memcg_classes)
    table, first = records(len(quotas), QUOTA), 0
    for i, quota in enumerate(quotas):
        quota.settle(table, rows, i, first)
        first += len(quota.goal_rows)
        own_tuner = int(quota.own[0]["tuner"]) == OWN
        quota.own["by_python"] = own_tuner or any(goals.by_python(g, memory, quota.rules) for g in quota.quota.goals)
    counts = np.zeros(memory.nids.size, np.int64) if any(map(goals.looks_at_regions, rows)) else None
    return (table, rows, course, member), counts
