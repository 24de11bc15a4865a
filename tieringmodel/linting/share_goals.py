"""What schemes with one goal ask for, and whether two of them are about the same pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..scenario import Scenario
from ..scenario.metrics import metric_of
from .goal_reading import effect, reading
from .scheme_facts import SchemeFacts, facts_of

SHARES = ("eligible", "resident")
"""What is counted on all nodes."""


@dataclass(frozen=True)
class ShareGoal:
    """A scheme whose only goal asks for a share of a node.

    Attributes
    ----------
    facts : SchemeFacts
        The scheme.
    kind : str
        What is counted: ``"eligible"`` or ``"resident"`` pages of all nodes, ``"used"`` or ``"memcg"`` ones of one.
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

    def asking(self, bp: int) -> int:
        """Return the target_value with which it asks for another share."""
        return 10_000 - bp if self.facts.scheme.quota.goals[0].complement else bp

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
        metric, now = metric_of(goals[0].metric), reading(facts, goals[0])
        node = facts.shared.index_of[goals[0].nid]
        share = metric.counts in SHARES and metric.over == "nodes"
        if now is None or (share and node != facts.target and len(facts.shared.nodes) != 2):
            continue
        if share:
            yield ShareGoal(facts, metric.counts, facts.target, now.target, True)
        elif metric.over == "node":
            yield ShareGoal(facts, metric.counts, node, now.target, node == facts.target)


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
