"""What the judge found in a page-level run, for causes to read."""

from __future__ import annotations

from dataclasses import dataclass

from .goal_course import GoalCourse
from .page_run import PageRun, SchemeRun
from .rest import Rest
from .scheme_facts import missed


@dataclass(frozen=True)
class State:
    """What the judge found, for causes to read.

    Attributes
    ----------
    run : PageRun
        The run.
    goals : list of GoalCourse
        Every goal of every scheme that acts.
    kind : str
        The kind of the verdict.
    tail_s : float
        Start of the tail.
    rest : Rest
        Whether pages rest, and how long they have.
    """

    run: PageRun
    goals: list[GoalCourse]
    kind: str
    tail_s: float
    rest: Rest

    @property
    def at_rest(self) -> bool:
        """Whether pages rest."""
        return self.rest.at_rest

    def goals_of(self, one: SchemeRun) -> list[GoalCourse]:
        """Goals of a scheme."""
        return [g for g in self.goals if g.of.number == one.number]

    def unmet(self, one: SchemeRun) -> bool:
        """Whether a scheme's quota waits for its goals: its score was under 10000 in every evaluation of the tail."""
        return missed(self.run, self.goals_of(one), self.tail_s)
