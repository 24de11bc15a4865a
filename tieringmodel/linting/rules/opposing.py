"""Rules about schemes that work against each other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product
from math import gcd
from typing import Any, NamedTuple

from ...scenario import Scenario
from ...scenario.controlled import dealt_bp
from ...theory import closed_forms
from ...units import PAGE_SZ
from ..finding import Finding, fix, rule
from ..scheme_facts import SchemeFacts, facts_of
from ..share_goals import SHARES, ShareGoal, facing, overlap, same_pages, share_goals_of
from ..wording import base2_cap, cap, rate, size

GAP_BP = 200
"""Gap between two targets that is proposed."""


@rule
def share_targets(scenario: Scenario) -> Iterator[Finding]:
    """Share goals on different nodes: what is left between their targets."""
    goals = [w for w in share_goals_of(scenario) if w.kind in SHARES]
    for kind in sorted({w.kind for w in goals}):
        highest: dict[int, ShareGoal] = {}
        for w in (w for w in goals if w.kind == kind):
            if w.node not in highest or w.bp > highest[w.node].bp:
                highest[w.node] = w
        several = list(highest.values())
        total = sum(w.bp for w in several)
        if len(several) > 2 and total > 10_000:
            yield Finding(
                "targets-overlap",
                "error",
                several[-1].path,
                f"share goals on {len(several)} nodes sum to {total} bp, {total - 10_000} more than there is: at "
                "least one is always missed and its scheme never stops",
                f"lower the targets to a sum of {10_000 - GAP_BP} or less",
                fix({w.path: w.asking(w.bp * (10_000 - GAP_BP) // total) for w in several}),
            )
        if len(several) == 2 and facing(*(w.facts for w in several)) and same_pages(*(w.facts for w in several)):
            yield from _Pair(*several).findings()


@rule
def used_and_free(scenario: Scenario) -> Iterator[Finding]:
    """A scheme that fills a node up to a used share and one that empties it down to a free share."""
    goals = [w for w in share_goals_of(scenario) if w.kind not in SHARES]
    for fill, drain in product(goals, goals):
        of = [(w.kind, w.node, w.facts.scheme.quota.goals[0].memcg_id) for w in (fill, drain)]
        if fill.fills and not drain.fills and of[0] == of[1]:
            yield _used_free_band(fill, drain)


@rule
def opposing_schemes(scenario: Scenario) -> Iterator[Finding]:
    """Two migrations without goals that undo each other."""
    free = [facts for facts in facts_of(scenario).schemes if facts.target is not None and not facts.scheme.quota.goals]
    for one, other in combinations(free, 2):
        if not facing(one, other) or not overlap(one, other):
            continue
        filtered = any(f.type not in ("addr", "target") for facts in (one, other) for f in facts.scheme.filters)
        aging = one.scheme.access_pattern.min_age or other.scheme.access_pattern.min_age
        yield Finding(
            "opposing-schemes",
            "warning" if filtered or aging else "error",
            f"{other.path}.access_pattern",
            f"{one.path} and {other.path} move pages in opposite directions without a goal: what matches both "
            "patterns is moved to and fro, at every application",
            "make the access patterns disjoint, or give both a node_eligible_mem_bp goal",
            _disjoint(one, other),
        )


@rule
def interleave_against_goal(scenario: Scenario) -> Iterator[Finding]:
    """Weights that name a node for every page, beside a goal that wants another share."""
    weighted = [facts for facts in facts_of(scenario).schemes if facts.migrates and any(d.weight for d in facts.scheme.dests)]
    for want in (w for w in share_goals_of(scenario) if w.kind in SHARES):
        for facts in weighted:
            share = dealt_bp(facts.scheme, want.nid)
            if facts is want.facts or share is None or share >= want.bp - 1 or not overlap(facts, want.facts):
                continue
            common = gcd(want.bp, 10_000)
            yield Finding(
                "interleave-against-goal",
                "warning",
                want.path,
                f"{facts.path} deals {share} bp of the pages to node {want.nid}, this goal wants {want.bp} bp there: "
                f"each moves back what the other moved, up to {want.bp - share} bp of the matching pages again and "
                "again",
                f"set target_value = {want.asking(share)}, or weights of {want.bp // common} for node {want.nid} to "
                f"{(10_000 - want.bp) // common} for the rest",
                fix({want.path: want.asking(share)}),
            )


def _disjoint(one: SchemeFacts, other: SchemeFacts) -> tuple[dict[str, Any], ...]:
    """Return the change after which one scheme takes what is hotter than what the other takes."""
    cold, hot = sorted(
        (other, one), key=lambda facts: (facts.scheme.access_pattern.min_nr_accesses, facts.scheme.action == "migrate_hot")
    )
    border = max(hot.scheme.access_pattern.min_nr_accesses, 1)
    wanted = {(hot, "min"): border, (cold, "max"): border - 1}
    if cold.scheme.access_pattern.min_nr_accesses >= border:
        wanted[cold, "min"] = 0
    return fix({f"{facts.path}.access_pattern.{end}_nr_accesses": value for (facts, end), value in wanted.items()})


def _step_bp(facts: SchemeFacts) -> float:
    """Return what one full window moves, as a share of the eligible pages in bp; 10000 without a size quota."""
    if facts.cap_pages is None or not facts.touched_pages:
        return 10_000.0
    return min(facts.cap_pages * 10_000 / facts.touched_pages, 10_000.0)


class _Pair(NamedTuple):
    """Two schemes that each move pages from the other's node to their own (docs/theory/stability.md, section 3f)."""

    one: ShareGoal
    other: ShareGoal

    @property
    def total(self) -> int:
        """Sum of the targets in bp."""
        return self.one.bp + self.other.bp

    @property
    def steps_bp(self) -> tuple[float, float]:
        """What a full window of each moves."""
        return _step_bp(self.one.facts), _step_bp(self.other.facts)

    @property
    def window_us(self) -> float:
        """The longer control period."""
        return max(w.facts.window_us for w in self)

    @property
    def caps(self) -> tuple[int, int] | None:
        """Pages per window of each, at most all there are; None if one has no size quota."""
        a, b = self.one.facts.cap_pages, self.other.facts.cap_pages
        most = self.one.facts.touched_pages or 2**62
        return (min(a, most), min(b, most)) if a is not None and b is not None else None

    def findings(self) -> Iterator[Finding]:
        """Yield what the targets leave between them; nothing if a quota is too small to move anything."""
        if min(self.steps_bp) == 0:
            return
        gap = 10_000 - self.total
        temporal = all(w.facts.scheme.quota.goal_tuner == "temporal" for w in self)
        stops = all(w.facts.scheme.quota.goals[0].early_exit == "both_fresh" for w in self)
        head = (
            f"goals of {self.one.bp} bp on node {self.one.nid} and {self.other.bp} bp on node {self.other.nid} sum to "
            f"{self.total} bp"
        )
        if gap < 0:
            yield self._finding("targets-overlap", "error", f"{head}, {-gap} more than there is: {self._swap(temporal)}")
        elif gap == 0 and not (temporal and stops):
            yield self._finding("targets-no-gap", "warning", f"{head}: {self._restless(temporal)}")
        elif temporal and not stops and max(self.steps_bp) > gap:
            larger = max(self, key=lambda w: _step_bp(w.facts)).facts
            yield Finding(
                "gap-below-step",
                "warning",
                self.other.path,
                f"{head}: nothing moves between {self.one.bp} and {10_000 - self.other.bp} bp on node "
                f"{self.one.nid}, but a window of {cap(larger.scheme)} moves {max(self.steps_bp):.0f} bp of the "
                f"{size(larger.touched_pages)} that match and can cross the gap of {gap} bp",
                self._smaller(gap),
                fix(self._caps(gap)),
            )
        else:
            yield Finding(
                "dead-band",
                "info",
                self.other.path,
                f"nothing moves while node {self.one.nid} holds {self.one.bp} to {10_000 - self.other.bp} bp: a "
                f"dead band of {gap} bp, {gap / max(self.steps_bp):.2g} windows of the larger quota",
            )

    def _finding(self, code: str, level: str, text: str) -> Finding:
        target = 10_000 - self.one.bp - GAP_BP
        small = {} if max(self.steps_bp) <= GAP_BP / 2 else self._caps(GAP_BP)
        targets = {self.other.path: self.other.asking(target)}
        if target <= 0:
            targets = {w.path: w.asking(w.bp * (10_000 - GAP_BP) // self.total) for w in self}
        remedy = f"set target_value = {targets[self.other.path]} (a gap of {GAP_BP} bp)"
        if target <= 0:
            remedy = f"lower both targets to a sum of {10_000 - GAP_BP} (a gap of {GAP_BP} bp)"
        remedy += f" and {self._smaller(GAP_BP)}" if small else ""
        return Finding(code, level, self.other.path, text, remedy, fix(targets | small))

    def _swap(self, temporal: bool) -> str:
        if not temporal:
            growth = 2 - 10_000 / self.total
            return f"no placement meets both, and CONSIST's quotas grow together by {growth:.4f} per window"
        if self.caps is None:
            return "no placement meets both, and without a size quota all matching pages change places in every window"
        pages = closed_forms.push_pull((self.one.bp, self.other.bp), self.caps).residual_pages_per_window
        return (
            f"no placement meets both, and even if every move is seen at once {pages} pages per window "
            f"({rate(pages, self.window_us)}) are swapped"
        )

    def _restless(self, temporal: bool) -> str:
        if not temporal:
            return (
                "both are met in one point only, and there CONSIST keeps both quotas as they are: what one moves "
                "in, the other moves out"
            )
        text = "both are met in one point only, so in nearly every window one scheme is below its target and moves "
        if self.caps is None:
            return f"{text}all matching pages"
        a, b = self.caps
        pages = 2 * a * b / max(a + b, 1)  # the two take turns so that what goes in comes out
        steps = " and ".join(f"{s:.0f}" for s in sorted(set(self.steps_bp)))
        return (
            f"{text}its whole quota, {pages:.0f} pages per window ({rate(pages, self.window_us)}): steps of "
            f"{steps} bp of the {size(self.one.facts.touched_pages)} that match, and more where moved pages leave "
            "the metric until they are sampled again"
        )

    def _caps(self, gap: int) -> dict[str, Any]:
        pages = min(w.facts.touched_pages for w in self) or 2**16
        return {f"{w.facts.path}.quota.sz_bytes": base2_cap(pages * gap / 20_000) for w in self}

    def _smaller(self, gap: int) -> str:
        return f"sz_bytes = {min(self._caps(gap).values())} in both schemes, so that two windows do not cross the gap"


def _used_free_band(fill: ShareGoal, drain: ShareGoal) -> Finding:
    """Return what a used and a free target of one node leave between them."""
    total = fill.facts.shared.total[fill.node]
    steps = [
        f"{size(c)} = {c * 10_000 / total:.0f} bp" if c is not None else "everything"
        for c in (fill.facts.cap_pages, drain.facts.cap_pages)
    ]
    low, high = sorted((fill.bp, 10_000 - drain.bp))
    head = f"used {fill.bp} bp and free {drain.bp} bp of node {fill.nid} ({size(total)})"
    tail = f"a window moves at most {steps[0]} in, {steps[1]} out"
    if fill.bp + drain.bp <= 10_000:
        text = f"{head}: both rest while used is {low} to {high} bp, a dead band of {high - low} bp; {tail}"
        return Finding("dead-band", "info", drain.path, text)
    text = f"{head} overlap: both schemes act while used is between {low} and {high} bp, a band of {high - low} bp; {tail}"
    meeting = 10_000 - fill.bp
    gap = min(GAP_BP, -(-meeting // 2))
    step, target = base2_cap(total * gap / 20_000), drain.asking(meeting - gap)
    capped = {
        f"{w.facts.path}.quota.sz_bytes": step
        for w in (fill, drain)
        if w.facts.cap_pages is None or w.facts.cap_pages * PAGE_SZ > step
    }
    change = fix({drain.path: target} | capped)
    remedy = f"for rest leave a gap below target_value = {drain.asking(meeting)}: set target_value = {target}"
    remedy += f" and sz_bytes = {step} in both schemes" if capped else ""
    if overlap(fill.facts, drain.facts):
        text += "; a page can match both patterns and is moved to and fro"
        return Finding("used-free-overlap", "warning", drain.path, text, remedy, change)
    text += "; there they exchange pages until none matches one of the patterns"
    return Finding("used-free-overlap", "info", drain.path, text, remedy, change)
