"""What a page-level run came to, in one word: the first kind of the list that its series prove."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .goal_course import GoalCourse, courses
from .page_run import PageRun, SchemeRun
from .rest import EIGHTHS, Rest, leaves, rate_has_trend, rest_of, share_has_trend
from .scheme_facts import (
    MOST,
    NEARLY_ALL,
    NEARLY_NOTHING,
    first_pass_left_s,
    first_visit_left_s,
    limit_of,
    missed,
    pages_of_pass,
    too_short,
    waits_for_growth,
    wanted_and_full,
    weights_error_bp,
)
from .statistics import limit_cycle_period


@dataclass(frozen=True)
class Found:
    """Kind of a run, and what the decision rests on."""

    kind: str
    tail_s: float
    """Start of the tail."""
    rest: Rest
    left: str = ""
    """What is left to happen, of an unfinished run."""


class Judge:
    """Decides the kind of a page-level run.

    Parameters
    ----------
    run : PageRun
        The run.
    """

    def __init__(self, run: PageRun) -> None:
        self.run = run
        self.goals = [g for g in courses(run) if g.of.acts]
        self.acting = [s for s in run.schemes if s.acts]
        limits, span = run.limits, run.end_s - run.disturbed_s
        self.rest = rest_of(run.time, run.moved, run.disturbed_s, run.window_s, run.n_pages, limits)
        start_s = 0.0 if run.keeps_changing else run.disturbed_s
        if run.keeps_changing:
            needed_s = max(self.rest.needed_s, limits.silence_changes * run.change_gap_s)
            self.rest = Rest(self.rest.at_rest and self.rest.silent_s >= needed_s, self.rest.silent_s, needed_s)
        if self.rest.at_rest:
            self.tail_s = run.end_s - min(max(limits.silence_share * span, limits.silence_windows * run.window_s), span)
        else:
            self.tail_s = run.end_s - limits.tail_share * (run.end_s - start_s)

    def found(self) -> Found:
        """Return the kind."""
        left = ""
        for kind, holds in (
            ("idle", self.idle),
            ("unfinished", self.unfinished),
            ("wrong-polarity", self.wrong_polarity),
            ("runaway", self.runaway),
            ("stuck", self.stuck),
            ("saturated", self.saturated),
        ):
            said = holds()
            if said:
                left = said if isinstance(said, str) else ""
                return Found(kind, self.tail_s, self.rest, left)
        kind = self.at_rest() if self.rest.at_rest else self.in_motion()
        few = "" if kind else f"the share has left its band fewer than {self.run.limits.excursions} times"
        return Found(kind or "unfinished", self.tail_s, self.rest, few)

    # ---- helpers --------------------------------------------------------------------------------------------------

    def goals_of(self, one: SchemeRun) -> list[GoalCourse]:
        """Goals of a scheme."""
        return [g for g in self.goals if g.of.number == one.number]

    def waiting(self, one: SchemeRun) -> bool:
        """Whether a scheme has goals and none of them was met in the tail."""
        return missed(self.run, self.goals_of(one), self.tail_s)

    def right(self, goal: GoalCourse) -> npt.NDArray[np.bool_]:
        """Whether a goal is where it should be at each record, or short of it while another goal of its scheme is met."""
        satisfied = np.any([other.met for other in self.goals_of(goal.of)], axis=0)
        return np.asarray(goal.inside | (goal.evaluated & satisfied & (goal.values < goal.interval[0])))

    def ever_bytes(self, one: SchemeRun) -> float:
        """Bytes that a scheme ever moved or reclaimed."""
        return self.run.last("sz_applied", one.number) * one.context.addr_unit

    def share_trends(self) -> bool:
        """Whether a controlled share or the distance to a goal has a trend in the tail."""
        run, limits = self.run, self.run.limits
        for g in self.goals:
            least = limits.trend_bp if g.is_share else g.band / 2
            if share_has_trend(run.time, g.values, self.tail_s, least, limits):
                return True
        if any(s.scheme.dests for s in self.acting) or not self.goals:
            return any(
                share_has_trend(run.time, share, self.tail_s, limits.trend_bp, limits)
                for one in self.acting
                if one.scheme.dests or not self.goals
                for share in run.matching_share_bp(one).T
            )
        return False

    # ---- kinds, in order ------------------------------------------------------------------------------------------

    def idle(self) -> bool:
        """Nothing could have acted."""
        run = self.run
        if run.oracle:
            return False
        if not self.acting:
            return True
        if all(run.asleep_s(s) >= run.limits.asleep_share * run.lived_s(s) > 0 for s in self.acting):
            return True
        return not run.is_accessed and all(s.asks_for_accesses for s in self.acting)

    def unfinished(self) -> str:
        """The end is not stationary; says what is left."""
        run = self.run
        for one in self.acting:
            waited = too_short(run, one)
            if waited and not self.ever_bytes(one):
                return f"scheme {one.number} waits for the {waited[0]} at {waited[1]:g} s"
        for one in self.acting:
            goals = self.goals_of(one)
            if (self.waiting(one) or not goals) and (left_s := first_pass_left_s(run, one)):
                return f"scheme {one.number} is on its first pass over memory, {left_s:.0f} s are left"
            little = self.ever_bytes(one) < run.limits.stuck_share * run.memory_bytes
            if ((self.waiting(one) and little) or not goals) and (left_s := first_visit_left_s(run, one, self.tail_s)):
                return f"scheme {one.number} has not tried all that matches once, {left_s:.0f} s are left"
            if self.waiting(one) and waits_for_growth(run, one, self.tail_s):
                return f"the effective quota of scheme {one.number} still grows"
            if (self.waiting(one) or not goals) and self._too_young(one):
                pattern = one.scheme.access_pattern
                return f"no region has reached the age of {pattern.min_age} aggregations that scheme {one.number} asks for"
        if self.rest.at_rest:
            return ""
        silent_s, needed_s = self.rest.silent_s, self.rest.needed_s
        why = ""
        if run.moved[run.time > self.tail_s].sum() == 0 or silent_s > needed_s / 2:
            why = "the silence is too short"
        elif (run.end_s - self.tail_s) / run.window_s < EIGHTHS:
            why = f"the last {run.end_s - self.tail_s:.3g} s are too few windows of {run.window_s:g} s to tell a trend"
        elif rate_has_trend(run.time, run.moved, self.tail_s, run.limits):
            why = "the rate of migration still changes"
        elif self.share_trends():
            why = "the controlled share still changes"
        elif not run.keeps_changing and run.one_way(self.tail_s):
            why = "pages still move one way, which must end"
        if why and silent_s >= 2 * run.window_s:
            return f"nothing moved for {silent_s:.1f} s, {needed_s - silent_s:.1f} s more are needed to call it rest"
        return why

    def _too_young(self, one: SchemeRun) -> bool:
        """Whether an age that the run was too short for is all that keeps regions from matching."""
        run, n, pattern = self.run, one.number, one.scheme.access_pattern
        if not run.has("sz_but_age") or run.last("sz_matched", n) > NEARLY_NOTHING * run.memory_bytes:
            return False
        aggregations = run.lived_s(one) * 1e6 / one.context.attrs.aggr_us
        return bool(run.last("sz_but_age", n) and aggregations <= pattern.min_age + 1)

    def wrong_polarity(self) -> bool:
        """A goal is missed, and the scheme's own moves took its metric away from the target."""
        for g in self.goals:
            if g.effect < 0 and g.missed_since(self.tail_s) and self.ever_bytes(g.of):
                if g.value is not None and g.start - g.value > min(g.band, run_step(self.run)):
                    return True
        return False

    def runaway(self) -> bool:
        """A goal is missed, its scheme goes on, its metric does not answer, and its quota grows or stands at its cap."""
        run, limits = self.run, self.run.limits
        windows = max((run.end_s - self.tail_s) / run.window_s, 1.0)
        for one in self.acting:
            if not self.waiting(one):
                continue
            applied = run.grown("sz_applied", one.number, self.tail_s) * one.context.addr_unit
            if applied <= limits.residual_per_page * run.n_pages * run.page_bytes * windows:
                continue
            answers = any(np.ptp(g.values[(run.time >= self.tail_s) & g.evaluated]) > g.band for g in self.goals_of(one))
            stays = (
                run.values("faulted_pages")[run.time >= self.tail_s].sum() * run.page_bytes < MOST * applied
                if (one.reclaims and run.has("faulted_pages"))
                else True
            )
            blind = all(g.blind for g in self.goals_of(one)) or not stays
            esz = run.column("esz_bp", one.number)
            if esz is None:
                continue
            grows = esz[-1] > esz[run.at(self.tail_s)]
            capped = run.last("quota_bound", one.number) in (1, 2)
            if blind and not answers and (grows or capped or esz[-1] >= 2.0**64 - 2.0**11):
                return True
        return False

    def stuck(self) -> bool:
        """A goal is missed, or a scheme without goals was never due or matched nearly nothing; nearly nothing ever moved.

        What a scheme with an opposing goal did to the same share counts.
        """
        run = self.run
        for one in self.acting:
            on_its_share = [one, *(other.of for g in self.goals_of(one) for other in g.opposite)]
            if max(self.ever_bytes(s) for s in on_its_share) >= run.limits.stuck_share * run.memory_bytes:
                continue
            if self.goals_of(one):
                if self.waiting(one) or (run.has("resets") and not run.last("resets", one.number)):
                    return True
            elif run.has("nr_due") and not run.last("nr_due", one.number):
                return True
            elif run.has("sz_matched") and pages_of_pass(run, one, run.disturbed_s) < NEARLY_NOTHING * run.memory_bytes:
                return True
        return False

    def saturated(self) -> bool:
        """A goal is missed, or a scheme without goals asks for what it does not get, because a limit binds."""
        run = self.run
        for one in self.acting:
            if self.goals_of(one):
                if self.waiting(one) and limit_of(run, one, self.tail_s):
                    return True
                continue
            wanted, no_frame, _ = wanted_and_full(run, one, self.tail_s)
            if no_frame and no_frame >= NEARLY_ALL * max(wanted, no_frame):
                return True
        return False

    def in_motion(self) -> str:
        """The kind of a run whose pages go on moving; empty if the share leaves its band too seldom to tell."""
        run = self.run
        late = run.time >= self.tail_s
        for_goals = any(run.grown("sz_applied", s.number, self.tail_s) > 0 for s in self.acting if self.goals_of(s))
        if not for_goals:
            return "steady-flow"
        left = False
        for g in self.goals:
            y = g.values[late & g.evaluated]
            if not y.size:
                continue
            low, high = g.interval
            outside = (y < low - 1e-9) | (y > high + 1e-9)
            if leaves(y, low, high) >= run.limits.excursions or outside.all():
                return "limit-cycle"
            period = limit_cycle_period(y)
            if outside.any() and np.isfinite(period) and y.size >= run.limits.excursions * period:
                return "limit-cycle"
            left |= bool(outside.any())
        return "" if left else "ripple"

    def at_rest(self) -> str:
        """The kind of a run whose pages rest."""
        run = self.run
        for g in self.goals:
            late = g.evaluated & (run.time >= self.tail_s)
            if late.any() and self.right(g)[late].mean() < MOST:  # one noisy reading at the end decides nothing
                return "wrong-point"
        for one in (s for s in self.acting if s.scheme.dests):
            off = weights_error_bp(run, one)
            if off is not None and abs(off[0]) > run.limits.band_bp:
                return "wrong-point"
        if run.oracle and (share := self._oracle_share()) is not None:
            if abs(share - float(run.oracle["target_bp"])) > run.limits.band_bp:
                return "wrong-point"
        return "converged"

    def _oracle_share(self) -> float | None:
        run, asked = self.run, self.run.oracle or {}
        at = run.nids.index(asked["nid"])
        if asked["kind"] == "used":
            used, free = (run.values(name)[-1, at] for name in ("used_pages", "free_pages"))
            return float(1e4 * used / (used + free)) if used + free else None
        return run.hot_share_bp[asked["nid"]]


def run_step(run: PageRun) -> float:
    """Return the change of a share that one window's stray pages make, bp; the least that counts as a move away."""
    return 1.0 if run.n_pages else 0.0
