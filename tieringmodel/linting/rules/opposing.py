"""Rules about schemes that work against each other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product
from math import gcd

from ...scenario import Scenario
from ..finding import Finding, rule
from ..scheme_facts import facts_of
from ..share_goals import SHARES, Wish, facing, overlap, same_pages, wishes
from .pairs import GAP_BP, Pair, used_free_band


@rule
def share_targets(scenario: Scenario) -> Iterator[Finding]:
    """Share goals on different nodes: what is left between their targets."""
    found = [w for w in wishes(scenario) if w.kind in SHARES.values()]
    for kind in sorted({w.kind for w in found}):
        highest: dict[int, Wish] = {}
        for w in (w for w in found if w.kind == kind):
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
            )
        if len(several) == 2 and facing(*(w.at for w in several)) and same_pages(*(w.at for w in several)):
            yield from Pair(*several).findings()


@rule
def used_and_free(scenario: Scenario) -> Iterator[Finding]:
    """A scheme that fills a node up to a used share and one that empties it down to a free share."""
    found = [w for w in wishes(scenario) if w.kind in ("used", "memcg-used")]
    for fill, drain in product(found, found):
        of = [(w.kind, w.node, w.at.scheme.quota.goals[0].memcg_id) for w in (fill, drain)]
        if fill.fills and not drain.fills and of[0] == of[1]:
            yield used_free_band(fill, drain)


@rule
def opposing_schemes(scenario: Scenario) -> Iterator[Finding]:
    """Two migrations without goals that undo each other."""
    free = [at for at in facts_of(scenario).schemes if at.target is not None and not at.scheme.quota.goals]
    for one, other in combinations(free, 2):
        if not facing(one, other) or not overlap(one, other):
            continue
        filtered = any(f.type not in ("addr", "target") for at in (one, other) for f in at.scheme.filters)
        aging = one.scheme.access_pattern.min_age or other.scheme.access_pattern.min_age
        yield Finding(
            "opposing-schemes",
            "warning" if filtered or aging else "error",
            f"{other.path}.access_pattern",
            f"{one.path} and {other.path} move pages in opposite directions without a goal: what matches both "
            "patterns is moved to and fro for ever",
            "make the access patterns disjoint, or give both a node_eligible_mem_bp goal",
        )


@rule
def interleave_against_goal(scenario: Scenario) -> Iterator[Finding]:
    """Weights that name a node for every page, beside a goal that wants another share."""
    weighted = [at for at in facts_of(scenario).schemes if at.migrates and any(d.weight for d in at.scheme.dests)]
    for want in (w for w in wishes(scenario) if w.kind in SHARES.values()):
        for at in weighted:
            total = sum(d.weight for d in at.scheme.dests)
            share = sum(d.weight for d in at.scheme.dests if d.id == want.nid) * 10_000 // total
            if at is want.at or share >= want.bp - 1 or not overlap(at, want.at):
                continue
            common = gcd(want.bp, 10_000)
            yield Finding(
                "interleave-against-goal",
                "warning",
                want.path,
                f"{at.path} deals {share} bp of the pages to node {want.nid}, this goal wants {want.bp} bp there: "
                f"each moves back what the other moved, up to {want.bp - share} bp of the matching pages again and "
                "again",
                f"set target_value = {share}, or weights of {want.bp // common} for node {want.nid} to "
                f"{(10_000 - want.bp) // common} for the rest",
            )
