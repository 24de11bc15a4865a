"""What schemes with one goal ask for, and whether two of them are about the same pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..scenario import Scenario
from .goal_reading import effect, family, reading
from .scheme_facts import SchemeFacts, facts_of

SHARES = {"eligible": "eligible", "ineligible": "eligible", "share": "share"}


@dataclass(frozen=True)
class ShareGoal:
    """A scheme whose only goal asks for a share of a node.

    Attributes
    ----------
    facts : At
        The scheme.
    kind : str
        What is counted: ``"eligible"`` or ``"share"`` of all nodes' pages, ``"used"`` or ``"memcg-used"`` of one.
    node : int
        Index of the node whose share the scheme moves.
    bp : int
        The goal is met from this value on; for a scheme that empties the node it is that of the rest (free).
    fills : bool
        Whether the scheme moves pages into the node.
    """

    facts: SchemeFacts
    kind: str
    node: int
    bp: int
    fills: bool

    @property
    def path(self) -> str:
        """Where the target stands."""
        return f"{self.facts.path}.quota.goals[0].target_value"

    @property
    def nid(self) -> int:
        """The node's id."""
        return self.facts.shared.nodes[self.node].nid


def share_goals_of(scenario: Scenario) -> Iterator[ShareGoal]:
    """Yield the schemes with one goal that they raise, complements turned into what they mean."""
    for facts in facts_of(scenario).schemes:
        goals = facts.scheme.quota.goals
        if len(goals) != 1 or not facts.migrates or facts.target is None or effect(facts, goals[0]) != 1:
            continue
        kind, now = family(goals[0]), reading(facts, goals[0])
        node = facts.shared.index_of[goals[0].nid]
        if now is None or (kind in SHARES and node != facts.target and len(facts.shared.nodes) != 2):
            continue
        if kind in SHARES:
            yield ShareGoal(facts, SHARES[kind], facts.target, now.target, True)
        elif kind in ("used", "free", "memcg-used", "memcg-free"):
            yield ShareGoal(facts, kind.replace("free", "used"), node, now.target, node == facts.target)


def same_pages(one: SchemeFacts, other: SchemeFacts) -> bool:
    """Whether both schemes pick pages by the same accesses and age."""
    a, b = (x.scheme.access_pattern for x in (one, other))
    return all(getattr(a, f) == getattr(b, f) for f in ("min_nr_accesses", "max_nr_accesses", "min_age", "max_age"))


def overlap(one: SchemeFacts, other: SchemeFacts) -> bool:
    """Whether a region can match both access patterns."""
    a, b = (x.scheme.access_pattern for x in (one, other))
    return all(
        max(getattr(a, f"min_{f}"), getattr(b, f"min_{f}")) <= min(getattr(a, f"max_{f}"), getattr(b, f"max_{f}"))
        for f in ("sz_bytes", "nr_accesses", "age")
    )


def facing(one: SchemeFacts, other: SchemeFacts) -> bool:
    """Whether each moves pages out of the node that the other moves them to."""
    return one.target in other.sources and other.target in one.sources
