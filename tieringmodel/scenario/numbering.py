"""Numbers of schemes and goals over a whole run, in which they may come and go."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from .quota import Goal
from .scenario import Scenario
from .scheme import Scheme

T = TypeVar("T")
START = -1
"""The stage before the first step."""
Counts = tuple[tuple[int, ...], ...]
"""How many goals each scheme of each context has."""
Place = tuple[int, int, int]
"""Of a scheme: its context, its position there, and how often the position was filled before. Of a goal: the number of its
scheme, its position there, and how often that was filled before."""


@dataclass(frozen=True)
class Numbering:
    """Which number each scheme and each goal has at each stage of a run.

    Linux keeps what a scheme has learnt by its position: what is at the same position before and after a commit is the same
    scheme. One that fills a position anew is another one. So it is with the goals of a scheme. Numbers go by context,
    position and time; where nothing comes or goes, schemes are counted through over all contexts, goals over all schemes.

    A stage is `START`, or the position of the step among `Scenario.steps` after which things stand as it says.

    Attributes
    ----------
    scenarios : tuple of Scenario
        The scenario from the start on and after each step.
    at_us : tuple of int
        Time of each step.
    schemes, goals : tuple of (int, int, int)
        Which ones ever were: see `Place`.
    scheme_numbers, goal_numbers : tuple
        By stage (the start first) and context: numbers of schemes by position; goals' numbers by scheme and position.
    """

    scenarios: tuple[Scenario, ...]
    at_us: tuple[int, ...]
    schemes: tuple[Place, ...]
    goals: tuple[Place, ...]
    scheme_numbers: tuple[tuple[tuple[int, ...], ...], ...]
    goal_numbers: tuple[tuple[tuple[tuple[int, ...], ...], ...], ...]

    @property
    def changes(self) -> bool:
        """Whether any scheme or goal comes or goes."""
        return len(set(self.goal_numbers)) > 1

    def schemes_of(self, context: int, stage: int = START) -> tuple[int, ...]:
        """Return the numbers of a context's schemes at a stage, by position."""
        return self.scheme_numbers[stage + 1][context]

    def goals_of(self, context: int, stage: int = START) -> tuple[tuple[int, ...], ...]:
        """Return the numbers of the goals of a context's schemes at a stage, by scheme and position."""
        return self.goal_numbers[stage + 1][context]

    def stage_at(self, at_us: int) -> int:
        """Return the stage at a time: steps up to it are done."""
        return sum(each <= at_us for each in self.at_us) - 1

    def since_s(self, stage: int) -> float:
        """Return from when a stage is, in seconds; inf for the one after the last."""
        return 0.0 if stage == START else self.at_us[stage] * 1e-6 if stage < len(self.at_us) else math.inf

    def span_s(self, number: int) -> tuple[float, float]:
        """Return from when a scheme is there, and from when it is no longer, in seconds; inf if it stays."""
        stages = [stage for stage, _ in self.scheme_over_time(number)]
        return self.since_s(stages[0]), self.since_s(stages[-1] + 1)

    def scheme_over_time(self, number: int) -> Iterator[tuple[int, Scheme]]:
        """Yield (stage, the scheme of that number as it is from then on), for every stage at which it is there."""
        context, position, _ = self.schemes[number]
        for k, (scenario, numbers) in enumerate(zip(self.scenarios, self.scheme_numbers, strict=True)):
            if number in numbers[context]:
                yield k - 1, scenario.contexts[context].schemes[position]

    def goal_over_time(self, number: int) -> Iterator[tuple[int, Goal]]:
        """Yield (stage, the goal of that number as it is from then on), for every stage at which it is there."""
        scheme, position, _ = self.goals[number]
        context, place, _ = self.schemes[scheme]
        for stage, its_scheme in self.scheme_over_time(scheme):
            if number in self.goals_of(context, stage)[place]:
                yield stage, its_scheme.quota.goals[position]

    def last_scheme(self, number: int, stage: int | None = None) -> Scheme:
        """Return the scheme of a number as it was last, up to a stage; as it is first, if it comes later."""
        return _last(self.scheme_over_time(number), stage)

    def last_goal(self, number: int, stage: int | None = None) -> Goal:
        """Return the goal of a number as it was last, up to a stage; as it is first, if it comes later."""
        return _last(self.goal_over_time(number), stage)


def _last(courses: Iterator[tuple[int, T]], stage: int | None) -> T:
    _, found = next(courses)
    for when, other in courses:
        if stage is not None and when > stage:
            break
        found = other
    return found


def numbered(scenario: Scenario, steps: Iterable[tuple[int, Scenario, int | None]] | None = None) -> Numbering:
    """Return which number each scheme and each goal of a scenario has, at the start and after each step.

    Parameters
    ----------
    scenario : Scenario
        With its events and commits.
    steps : iterable, optional
        Its `Scenario.steps`, where they are known already.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> from tieringmodel.scenario.numbering import numbered
    >>> one, two = tm.Context(schemes=[{}]), tm.Context(schemes=[{}, {}])
    >>> commits = tm.Commit("1 s", 0, one), tm.Commit("2 s", 0, two)
    >>> found = numbered(tm.load("rfc-40-60").replace(contexts=[two, one], commits=commits))
    >>> [numbers for numbers, _ in found.scheme_numbers], [numbers for _, numbers in found.scheme_numbers]
    ([(0, 1), (0,), (0, 2)], [(3,), (3,), (3,)])
    """
    listed = [*(scenario.steps() if steps is None else steps)]
    stages = [scenario.replace(events=(), commits=()) if listed else scenario, *(now for _, now, _ in listed)]
    shapes: list[Counts] = [tuple(tuple(len(s.quota.goals) for s in c.schemes) for c in now.contexts) for now in stages]
    schemes = _filled([{(c, p) for c, counts in enumerate(shape) for p in range(len(counts))} for shape in shapes])
    number_of = {place: k for k, place in enumerate(sorted(set().union(*(set(now.values()) for now in schemes))))}
    goals = _filled(
        [
            {(number_of[now[c, p]], j) for c, counts in enumerate(shape) for p, n in enumerate(counts) for j in range(n)}
            for shape, now in zip(shapes, schemes, strict=True)
        ]
    )
    goal_of = {place: k for k, place in enumerate(sorted(set().union(*(set(now.values()) for now in goals))))}
    scheme_numbers, goal_numbers = [], []
    for shape, now, aims in zip(shapes, schemes, goals, strict=True):
        numbers = tuple(tuple(number_of[now[c, p]] for p in range(len(counts))) for c, counts in enumerate(shape))
        scheme_numbers.append(numbers)
        goal_numbers.append(
            tuple(
                tuple(tuple(goal_of[aims[k, j]] for j in range(n)) for k, n in zip(mine, counts, strict=True))
                for mine, counts in zip(numbers, shape, strict=True)
            )
        )
    return Numbering(
        tuple(stages), tuple(at_us for at_us, _, _ in listed), tuple(number_of), tuple(goal_of), tuple(scheme_numbers),
        tuple(goal_numbers),
    )  # fmt: skip


def _filled(stages: list[set[tuple[int, int]]]) -> list[dict[tuple[int, int], Place]]:
    """Return what fills each position at each stage: the same as before, or, where it was empty, the next one."""
    times: dict[tuple[int, int], int] = {}
    out: list[dict[tuple[int, int], Place]] = []
    for now in stages:
        before = out[-1] if out else {}
        for place in now - before.keys():
            times[place] = times.get(place, -1) + 1
        out.append({place: (*place, times[place]) for place in now})
    return out
