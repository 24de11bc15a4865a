"""How far a scheme can bring its goal's metric, and what CONSIST does on the way, on memory that nothing else moves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from ..damon.quota_math import consist_esz_bp
from ..scenario import Goal
from ..scenario.metrics import metric_of
from ..units import PAGE_SZ, ULONG_MAX
from .goal_reading import amounts, effect
from .scheme_facts import SchemeFacts


@dataclass(frozen=True)
class Plant:
    """What a scheme with one goal moves, reduced to one page count: the goal is met at a share of `n_pages`.

    Attributes
    ----------
    n_pages : int
        The metric's denominator in pages.
    start_pages : int
        Its numerator at the start.
    by_supply, by_room : int
        Numerator once every page that ever matches has left the sources, and once the receiving node is full.
    """

    n_pages: int
    start_pages: int
    by_supply: int
    by_room: int

    @property
    def reach_pages(self) -> int:
        """Largest numerator that the scheme can bring about."""
        return max(min(self.by_supply, self.by_room), self.start_pages)

    def bp(self, pages: int) -> int:
        """Return the metric at a numerator of `pages`."""
        return min(pages * 10_000 // self.n_pages, 10_000)


def plant(facts: SchemeFacts, goal: Goal, phase: int = 0) -> Plant | None:
    """Return the plant of a goal that the scheme raises; None where the scenario does not fix one."""
    shared, node, metric = facts.shared, facts.shared.index_of.get(goal.nid), metric_of(goal.metric)
    empties = metric.counts == "used" and metric.rest
    if effect(facts, goal) != 1 or goal.complement or node is None or facts.context.ops != "paddr":
        return None
    known = metric.counts in ("used", "resident") or (metric.counts == "eligible" and not metric.rest)
    if not known:
        return None
    start, n_pages = amounts(facts, metric, goal, node)
    if metric.counts != "eligible" and not n_pages:  # all of the node is offline, or nothing resident
        return None
    if facts.reclaims and empties:  # no node has to take what leaves memory
        return Plant(n_pages, start, n_pages if shared.filled(node, facts) else start + facts.supply()[node], n_pages)
    if facts.target is None:
        return None
    target, total = facts.target, shared.total
    # What another scheme takes off the receiving node makes room there: at most all but the kernel's own.
    clearable = shared.drained(target, facts)
    kernel = shared.nodes[target].kernel_bytes // PAGE_SZ
    room = max((total[target] - kernel if clearable else shared.places.free[target]) - shared.reserve[target], 0)
    supply = facts.supply()
    from_sources = sum(supply[i] for i in facts.sources)
    if empties:
        return Plant(n_pages, start, start + supply[node], n_pages if clearable else start + room)
    if metric.counts == "used":
        filled = any(shared.filled(i, facts) for i in facts.sources)
        return Plant(n_pages, start, n_pages if filled else start + from_sources, n_pages - shared.reserve[target])
    if metric.counts == "eligible":
        now, here = facts.eligible(phase), facts.supply(phase)
        start, n_pages, from_sources = now[node], sum(now), sum(here[i] for i in facts.sources)
    if not n_pages:
        return None
    return Plant(n_pages, start, start + from_sources, room if clearable else start + room)


class Course(NamedTuple):
    """What CONSIST does on a plant that nothing else moves."""

    crossing: int
    """First window whose score is at least 10000."""
    esz_bytes: int
    """Quota before it, not limited by the cap."""
    windows_above: float
    """Windows from the crossing on in which the quota still is the cap (without cap: holds a page); inf for ever."""
    end_pages: int
    """Numerator in the end."""


def consist_course(p: Plant, target_bp: int, cap_bytes: int | None, esz_bp0: int = 0, windows: int = 20_000) -> Course | None:
    """Run the integer loop of docs/theory/stability.md, section 0 on a static plant until nothing moves any more.

    Returns
    -------
    Course or None
        None if the goal is not reached within that many windows, or cannot be.
    """
    state, x, crossing, peak, above = esz_bp0, p.start_pages, -1, 0, 0
    cap = cap_bytes or ULONG_MAX
    for window in range(windows):
        score = p.bp(x) * 10_000 // target_bp
        if score < 10_000 and x == p.reach_pages and crossing < 0:
            return None
        before, state = state, consist_esz_bp(state, score)
        if score >= 10_000 and crossing < 0:
            crossing, peak = window, before // 10_000
        esz = min(state // 10_000, cap)
        moved = min(esz // PAGE_SZ, p.reach_pages - x)
        if crossing >= 0:
            if esz < PAGE_SZ:
                return Course(crossing, peak, above, x)
            if moved == 0 and state == before:
                return Course(crossing, peak, math.inf, x)
            above += esz == cap or not cap_bytes
        x += moved
    return None


def first_evaluation(score: int, min_region_sz: int, esz_bp0: int = 0, most: int = 1_000_000) -> int | None:
    """Return at which evaluation (from 1) CONSIST's quota first holds a region at a constant score; None for never."""
    state = esz_bp0
    for k in range(1, most + 1):
        following = consist_esz_bp(state, score)
        if following >= min_region_sz * 10_000:
            return k
        if following <= state:
            return None
        state = following
    return None
