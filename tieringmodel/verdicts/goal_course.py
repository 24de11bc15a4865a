"""What becomes of a goal over time: its value, the target in force, where its share should be, and who moves it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..scenario import Goal
from ..scenario.metrics import metric_of
from .page_run import PageRun, SchemeRun

Floats = npt.NDArray[np.float64]
FULL_BP = 10_000.0
ABOUT = "metric", "nid", "memcg_id", "complement"
"""Fields of a goal that say what it is about."""


@dataclass(frozen=True)
class GoalCourse:
    """One goal of one scheme over a run.

    Attributes
    ----------
    run : PageRun
        The run.
    number : int
        Of the goal, over all schemes and all that ever were.
    of : SchemeRun
        The scheme whose goal it is.
    goal : Goal
        As it is at the end.
    since_s : float
        From when it is about what it is about: since it came, or since its metric, node or cgroup were changed.
    opposite : list of GoalCourse
        Goals of other schemes that ask for less of the same share.
    """

    run: PageRun
    number: int
    of: SchemeRun
    goal: Goal
    since_s: float = 0.0
    opposite: list[GoalCourse] = field(default_factory=list)

    @cached_property
    def evaluated(self) -> npt.NDArray[np.bool_]:
        """Records at which the goal has a value: its quota was evaluated before."""
        resets = self.run.column("resets", self.of.number)
        if resets is None:
            return ~np.isnan(self._true_share())
        return resets > (resets[self.run.before(self.since_s)] if self.since_s else 0)

    @cached_property
    def since(self) -> npt.NDArray[np.bool_]:
        """Records at which the goal has a value and its scheme does what it does."""
        return np.asarray(self.evaluated & (self.run.time >= self.of.since_s - 1e-9))

    @cached_property
    def start(self) -> float:
        """Value when it was first evaluated since its scheme does what it does; nan if it never was."""
        known = self.values[self.since]
        return float(known[0]) if known.size else math.nan

    @cached_property
    def values(self) -> Floats:
        """Value at each record, nan before the first evaluation."""
        if self.run.has("goal_current"):
            known = self.run.ds["goal_current"].values[:, self.number].astype(float)
        else:
            known = self._true_share()
        return np.where(self.evaluated, known, np.nan)

    def _true_share(self) -> Floats:
        """What the value would be if it were measured without error, for datasets that do not keep it; nan if not known."""
        key = share_key(self.goal)
        if key is None or key[0] == "memcg" or key[1] not in self.run.nids:
            return np.full(self.run.time.size, np.nan)
        share = self.run.share_of_node(key[0] == "used", key[1])
        return share if key[3] else FULL_BP - share

    @cached_property
    def targets(self) -> Floats:
        """Target in force at each record."""
        if not self.run.has("goal_target"):
            return np.full(self.run.time.size, float(self.goal.target_value))
        return self.run.ds["goal_target"].values[:, self.number].astype(float)

    @property
    def value(self) -> float | None:
        """Value at the end; None if it was never evaluated."""
        return float(self.values[-1]) if self.evaluated[-1] else None

    @property
    def target(self) -> float:
        """Target at the end."""
        return float(self.targets[-1]) if self.evaluated[-1] else float(self.goal.target_value)

    @property
    def is_share(self) -> bool:
        """Whether it is a share in bp."""
        return metric_of(self.goal.metric).unit == "bp"

    @property
    def unit(self) -> str:
        """Unit of its values, with a space before it."""
        unit = metric_of(self.goal.metric).unit
        return f" {unit}" if unit else ""

    @cached_property
    def band(self) -> float:
        """Largest distance from where it should be."""
        if not self.is_share:
            return self.run.limits.band_share * self.target
        return min(self.run.limits.band_bp, min(self.target, FULL_BP - self.target) / 2)

    @cached_property
    def met(self) -> npt.NDArray[np.bool_]:
        """Whether it is met, at each record."""
        return self.evaluated & (np.nan_to_num(self.values) >= self.targets)

    def missed_since(self, start_s: float) -> bool:
        """Whether it is missed in every evaluation from a time on; a goal never evaluated misses nothing."""
        late = (self.run.time >= start_s) & self.evaluated
        return bool(late.any() and not self.met[late].any())

    @cached_property
    def met_since_s(self) -> float | None:
        """Time from which on it is met to the end."""
        from .rest import inside_since

        return inside_since(self.run.time, self.met)

    @cached_property
    def always_met(self) -> bool:
        """Whether it was met at every evaluation."""
        return bool(self.since.any() and self.met[self.since].all())

    @cached_property
    def effect(self) -> int:
        """What the scheme's action does to the value: 1 raises it, -1 lowers it, 0 nothing or not known."""
        return effect_of(self.of, self.goal)

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Where the value should be at the end; what its scheme does not raise may be as far beyond the target as it likes."""
        target, band = self.target, self.band
        if self.opposite:
            ends = [FULL_BP - other.target for other in self.opposite]
            return min(target, *ends) - band, max(target, *ends) + band
        applied = self.run.last("sz_applied", self.of.number, default=1.0)
        if self.effect <= 0 or not applied:
            return target, math.inf
        # What was beyond from the start, and was not moved there, is fine.
        return target, max(target + band, target if math.isnan(self.start) else self.start)

    def distance(self, late: npt.NDArray[np.bool_]) -> float | None:
        """Mean distance of its value from where it should be, over some records; None if it was evaluated at none of them."""
        y = self.values[late & self.evaluated]
        low, high = self.interval
        return float(np.maximum(np.maximum(low - y, y - high), 0.0).mean()) if y.size else None

    @cached_property
    def inside(self) -> npt.NDArray[np.bool_]:
        """Whether it is where it should be, at each record."""
        low, high = self.interval
        known = np.nan_to_num(self.values, nan=-1.0)
        return self.evaluated & (known >= low - 1e-9) & (known <= high + 1e-9)

    @cached_property
    def blind(self) -> bool:
        """Whether its scheme acts and the value does not see it: by what they are, or never a change in the whole run."""
        if self.effect == 0:
            return True
        run, known = self.run, self.values[self.since]
        applied = run.last("sz_applied", self.of.number) * self.of.context.addr_unit
        return bool(known.size and not np.ptp(known) and applied > run.limits.stuck_share * run.memory_bytes)

    @property
    def name(self) -> str:
        """The goal in words."""
        needs = metric_of(self.goal.metric).needs
        where = f" of node {self.goal.nid}" if "nid" in needs else ""
        group = f", memcg {self.goal.memcg_id}" if "memcg_id" in needs else ""
        return f"{'the complement of ' if self.goal.complement else ''}{self.goal.metric}{where}{group}"


def effect_of(one: SchemeRun, goal: Goal) -> int:
    """Return what a scheme's action does to a goal's value: 1 raises it, -1 lowers it, 0 nothing or not known."""
    metric, action = metric_of(goal.metric), one.scheme.action
    sign = -1 if metric.rest != goal.complement else 1
    if metric.counts == "active":
        return sign * {"lru_prio": 1, "lru_deprio": -1}.get(action, 0)
    if metric.counts not in ("used", "memcg", "resident", "eligible") or one.scheme.dests:
        return 0
    if action == "pageout":
        return -sign if one.reclaims and not metric.monitored else 0
    if not action.startswith("migrate"):
        return 0
    return sign if one.scheme.target_nid == goal.nid else -sign


def share_key(goal: Goal) -> tuple[str, int, int, bool] | None:
    """Return which share a goal is about, and whether it asks for more of it; None for goals that are about none."""
    metric = metric_of(goal.metric)
    if metric.counts not in ("used", "memcg", "eligible"):
        return None
    memcg = goal.memcg_id if metric.counts == "memcg" else 0
    return metric.counts, goal.nid, memcg, metric.rest == goal.complement


def courses(run: PageRun) -> list[GoalCourse]:
    """Return every goal of every scheme that is switched on and acts, or counts, with its opposites."""
    end = len(run.stages) - 1
    out = [
        GoalCourse(run, number, one, goal, run.unchanged_since_s(run.numbering.goal_over_time(number), ABOUT, end))
        for one in run.schemes
        for number, goal in zip(one.goal_numbers, one.scheme.quota.goals, strict=True)
    ]
    for course in out:
        mine = share_key(course.goal)
        for other in out:
            if (
                other.of.acts
                and mine is not None
                and other.of.number != course.of.number
                and opposed(run, mine, share_key(other.goal))
            ):
                course.opposite.append(other)
    return out


def opposed(run: PageRun, mine: tuple[str, int, int, bool], other: tuple[str, int, int, bool] | None) -> bool:
    """Return whether two goals are about one share, one asking for more of it and one for less."""
    if other is None or mine[0] != other[0] or mine[2] != other[2]:
        return False
    if mine[1] == other[1]:
        return mine[3] != other[3]
    # On two nodes, more of what is shared out between them on one is less on the other.
    return mine[0] == "eligible" and len(run.nids) == 2 and mine[3] == other[3]
