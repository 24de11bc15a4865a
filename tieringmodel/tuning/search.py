"""The search: which candidates are run with which seeds, in an order that only the seed decides."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..linting.scheme_facts import facts_of
from ..progress import Progress
from ..remedies.changes import Candidate
from ..remedies.lumped import lumped
from ..scenario import Scenario
from .end import AHEAD, MISSED, OBJECTIVES, End, total
from .knobs import Knob, changed, positions_of, setting
from .runs import REFUSED, Runs, Values, Wanted
from .sampler import Sampler
from .spread import spread
from .starts import Start

BATCH = 8
"""So many candidates are asked for at once, on however many workers they run."""
LUMPED = 96
"""So many settings are looked at in the lumped loop for each batch that is run."""
FINALISTS = 4
"""So many candidates that meet the end with all seeds are held to deviations of workload and clock, and to further seeds."""
FURTHER = 2
"""Finalists are held to so many times as many further seeds."""
PROBED = 2
"""So many of a batch that meet the end with all seeds are held to these at once: what is brittle is no example to follow."""
SEARCHED = 0.75
"""Part of the budget that is left for finding candidates; the rest is for finalists and margins."""
NEARLY = 0.01
"""What is worse in an objective by that part is as good, if it takes a change less."""
WORST = 1e3
"""Stands for an objective that is undefined or infinite."""


@dataclass
class Tried:
    """A candidate and its runs.

    Attributes
    ----------
    number : int
        In order of trying; 0 is what was given.
    origin : str
        Where it comes from.
    scenario : Scenario
        What was run.
    candidate : Candidate or None
        Its changes; None for what was given.
    values : dict of int to dict
        What its runs came to, by seed.
    spread : dict of str to dict
        What it came to with the first seed under deviations of workload and clock, and with further seeds, by name.
    """

    number: int
    origin: str
    scenario: Scenario
    candidate: Candidate | None
    positions: list[int] | None = None
    values: dict[int, Values] = field(default_factory=dict)
    spread: dict[str, Values] = field(default_factory=dict)

    @property
    def refused(self) -> str:
        """Why it could not be run; "" if it could."""
        return next((str(v[REFUSED]) for v in self.values.values() if REFUSED in v), "")

    @property
    def text(self) -> str:
        """Its changes in words."""
        return self.candidate.text if self.candidate else "nothing changed"

    @property
    def changes(self) -> tuple[dict[str, Any], ...]:
        """Its changes: path, old and new."""
        return self.candidate.changes if self.candidate else ()


class Search:
    """Candidates, run by run.

    Parameters
    ----------
    given : Scenario
        What was given.
    runs : Runs
        Where candidates are run.
    end : End
        What has to be met.
    objectives : tuple of str
        What is made small beyond that; none: the distance from the end's bounds is made large.
    seeds : list of int
        Of all runs; the first is everybody's first.
    knobs : list of Knob
        What may change.
    budget_s : float
        Simulated seconds of page-level runs.
    bar : Progress
        Shows how much of the budget is spent.
    """

    def __init__(
        self,
        given: Scenario,
        runs: Runs,
        end: End,
        *,
        objectives: tuple[str, ...],
        seeds: list[int],
        knobs: list[Knob],
        budget_s: float,
        bar: Progress,
    ) -> None:
        self.given, self.runs, self.end, self.objectives, self.seeds = given, runs, end, objectives, seeds
        self.knobs, self.budget_s, self.bar = knobs, budget_s, bar
        self.tried: list[Tried] = []
        self.by_scenario: dict[Scenario, Tried] = {}

    # ---- how good a candidate is -------------------------------------------------------------------------------------

    def shortfall(self, values: Iterable[Values]) -> float:
        """Return the largest shortfall of some runs; of a refused one `MISSED` for each clause."""
        each = [MISSED * 4 if REFUSED in one else total(self.end.shortfalls(one)) for one in values]
        return max(each)

    def met(self, one: Tried) -> bool:
        """Whether a candidate was run with all seeds and meets the end in each run."""
        return self.complete(one) and self.shortfall(one.values.values()) <= 0

    def complete(self, one: Tried) -> bool:
        """Whether a candidate was run with all seeds."""
        return not one.refused and all(seed in one.values for seed in self.seeds)

    def objective(self, one: Tried) -> tuple[float, ...]:
        """Return the numbers to make small, means over its runs; nearness to the end's bounds where no objective is named."""
        if not self.objectives:
            return (self.shortfall([*one.values.values(), *one.spread.values()]),)
        out = []
        for name in self.objectives:
            measure, sign = OBJECTIVES[name]
            known = [sign * float(v.get(measure, math.nan)) for v in one.values.values()]
            mean = sum(known) / len(known)
            out.append(mean if math.isfinite(mean) else WORST * (1 + abs(self.budget_s)))
        return tuple(out)

    def held(self, one: Tried) -> int:
        """Return under how many deviations, and with how many further seeds, a candidate meets the end."""
        return sum(REFUSED not in v and self.end.met(v) for v in one.spread.values())

    def unfinished(self, one: Tried) -> int:
        """Return how many of a candidate's runs are not at their end: what they do later is not known."""
        return sum(v.get("kind") == "unfinished" for v in one.values.values())

    def as_good(self, one: Tried, other: Tried) -> bool:
        """Whether a candidate that meets the end can stand for another: as finished, as robust, and nearly as good."""
        if self.unfinished(one) > self.unfinished(other) or self.held(one) < self.held(other):
            return False
        if not self.objectives:  # half of the distance from the bounds is enough, a change less is worth more
            return self.objective(one)[0] <= self.objective(other)[0] / 2
        pairs = zip(self.objective(one), self.objective(other), strict=True)
        return all(mine <= theirs + NEARLY * abs(theirs) for mine, theirs in pairs)

    def order(self, one: Tried) -> tuple[Any, ...]:
        """Return by what candidates are ordered, the best first."""
        return (
            bool(one.refused),
            not self.met(one),
            max(self.shortfall(one.values.values()), 0.0),
            self.unfinished(one),
            -self.held(one),
            self.objective(one),
            one.candidate.size if one.candidate else 0,
            one.number,
        )

    # ---- running -----------------------------------------------------------------------------------------------------

    def add(self, scenario: Scenario, origin: str, candidate: Candidate | None, positions: list[int] | None = None) -> Tried:
        """Return the candidate of a scenario: the one that is known if it was tried before."""
        if scenario not in self.by_scenario:
            self.by_scenario[scenario] = Tried(len(self.tried), origin, scenario, candidate, positions)
            self.tried.append(self.by_scenario[scenario])
        return self.by_scenario[scenario]

    def run(self, tried: Sequence[Tried], seeds: Sequence[int]) -> None:
        """Run candidates with seeds."""
        wanted = [(one, seed) for one in tried for seed in seeds if seed not in one.values and not one.refused]
        before = self.runs.simulated_s
        step_s = self.runs.duration_us * 1e-6
        told = self.runs.of(
            [Wanted(one.scenario, seed) for one, seed in wanted],
            lambda done: self.bar.update(min(before + done * step_s, self.budget_s), self.budget_s),
        )
        for (one, seed), values in zip(wanted, told, strict=True):
            one.values[seed] = values

    def left(self, part: float = 1.0) -> int:
        """Return how many runs of that part of the budget are left."""
        return int((part * self.budget_s - self.runs.simulated_s) / (self.runs.duration_us * 1e-6) + 1e-9)

    def begin(self, starts: Sequence[Start]) -> None:
        """Run what is always tried, with all seeds."""
        for start in starts:
            scenario = start.candidate.scenario if start.candidate else self.given
            self.add(scenario, start.origin, start.candidate)
        whole = [one for one in self.tried if not one.origin.startswith("fix")]
        self.run(whole, self.seeds)
        self._batch([one for one in self.tried if one not in whole], part=1.0)

    def find(self, seed: int) -> None:
        """Look for better candidates: settings that the lumped loop likes first, then those that the sampler asks for."""
        sampler = Sampler(self.knobs, max(len(self.objectives), 1), seed)
        self._probe(self.tried)
        for one in self.tried:
            one.positions = self.positions(one)
            if one.positions is not None and not one.refused:
                sampler.add(one.positions, *self._told(one))
        if self.left(SEARCHED) >= BATCH and not self._done():
            first = self._liked(sampler)
            self._batch(first)
            for one in first:
                if one.positions is not None and not one.refused:
                    sampler.add(one.positions, *self._told(one))
        while self.left(SEARCHED) >= BATCH and not self._done():
            before = self.runs.simulated_s
            asked = sampler.ask(BATCH)
            made = [(trial, at, changed(self.given, self.knobs, at)) for trial, at in asked]
            found = [self.add(c.scenario, "search", c, at) if c else self._same(at) for _, at, c in made]
            self._batch([one for one in found if one is not None])
            for (trial, _, _), tried in zip(made, found, strict=True):
                if tried is None or tried.refused:
                    sampler.tell(trial, 0.0, None)
                else:
                    sampler.tell(trial, *self._told(tried))
            if self.runs.simulated_s == before:  # nothing new was asked for: what may change is exhausted
                break

    def _same(self, positions: list[int]) -> Tried | None:
        """Return what was given for the positions that change nothing; None for settings that are refused together."""
        return self.tried[0] if all(at == knob.at for at, knob in zip(positions, self.knobs, strict=True)) else None

    def positions(self, one: Tried) -> list[int] | None:
        """Return where a candidate's knobs stand; None if they do not make it."""
        if one.candidate is None:
            return [knob.at for knob in self.knobs]
        return positions_of(self.given, self.knobs, one.candidate)

    def _told(self, one: Tried) -> tuple[float, tuple[float, ...]]:
        """Return what the sampler is told: what is missing to the end, and the objectives; with none, the former alone."""
        short = self.shortfall([*one.values.values(), *one.spread.values()])
        return short, self.objective(one) if self.objectives else (short,)

    def _done(self) -> bool:
        """Whether no candidate can be better than one that there is: held everywhere, with the distance at its most."""
        if self.objectives:
            return False
        return any(
            self.met(one)
            and one.spread
            and self.held(one) == len(one.spread)
            and not self.unfinished(one)
            and self.objective(one)[0] <= AHEAD
            for one in self.tried
        )

    def _probe(self, batch: Sequence[Tried]) -> None:
        """Hold the best of a batch to deviations of workload and clock, and to further seeds."""
        best = sorted((one for one in batch if self.met(one) and not one.spread), key=self.order)
        for one in best[:PROBED]:
            self.deviate(one, SEARCHED)

    def _batch(self, batch: Sequence[Tried], part: float = SEARCHED) -> None:
        """Run candidates with the first seed; those that meet the end with it, or come closest so far, with all."""
        known = [self.shortfall(one.values.values()) for one in self.tried if self.complete(one)]
        self.run(batch, self.seeds[:1])
        best = min(known, default=math.inf)
        first = self.seeds[0]
        ran = [one for one in {one.number: one for one in batch}.values() if not one.refused]
        close = [one for one in ran if (short := self.shortfall([one.values[first]])) <= 0 or short < best]
        room = max(self.left(part), 0) // max(len(self.seeds) - 1, 1)
        close.sort(key=lambda one: (self.shortfall(one.values.values()), one.number))
        self.run(close[:room], self.seeds)
        self._probe(batch)

    def _liked(self, sampler: Sampler) -> list[Tried]:
        """Return a batch of settings: of many that cover the ranges evenly, those that end well in the lumped loop."""
        windows = max(int(self.runs.duration_us * 1e-6), 1)
        ranked: list[tuple[int, float, int, list[int]]] = []
        for k, at in enumerate(sampler.even(LUMPED)):
            scenario = setting(self.given, self.knobs, at)
            if scenario is not None and scenario not in self.by_scenario:
                ranked.append((*_lumped(scenario, windows), k, at))
        made = [(changed(self.given, self.knobs, at), at) for *_, at in sorted(ranked)[:BATCH]]
        return [self.add(one.scenario, "lumped loop", one, at) for one, at in made if one is not None]

    @property
    def kept(self) -> int:
        """Runs that are kept for margins: one on either side of each knob."""
        return 2 * sum(knob.ordered for knob in self.knobs)

    def deviate(self, one: Tried, part: float = 1.0) -> None:
        """Run a candidate under deviations of workload and clock, and with further seeds, if that part of the budget lasts."""
        deviating = spread(one.scenario, self.runs.duration_us)
        wanted = {name: Wanted(scenario, self.seeds[0]) for name, scenario in deviating.items()}
        for k in range(FURTHER * len(self.seeds)):
            seed = self.seeds[-1] + 1 + k
            wanted[f"seed {seed}"] = Wanted(one.scenario, seed)
        if self.left(part) >= len(wanted):
            one.spread = dict(zip(wanted, self.runs.of([*wanted.values()]), strict=True))

    def choose(self) -> Tried:
        """Hold the best candidates to deviations as well; return the one to recommend, or the nearest miss.

        With several objectives the best are those of the front.
        """
        best = sorted(front(self) or [one for one in self.tried if self.met(one)], key=self.order)
        for one in best[:FINALISTS]:
            if not one.spread and (one is best[0] or self.left() >= self.kept + len(best[0].spread)):
                self.deviate(one)
        if best:
            return min((one for one in best if one.spread), key=self.order, default=best[0])
        nearest = sorted((one for one in self.tried if not one.refused), key=self.order)
        for one in nearest[:FINALISTS]:
            if self.left() >= len(self.seeds):
                self.run([one], self.seeds)
        return min((one for one in nearest if self.complete(one)), key=self.order)


def front(search: Search) -> list[Tried]:
    """Return the candidates that meet the end and than which none is better in all objectives; none with one objective."""
    if len(search.objectives) < 2:
        return []
    ones = [one for one in search.tried if search.met(one)]
    values = {one.number: search.objective(one) for one in ones}

    def better(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
        return one != other and all(a <= b for a, b in zip(one, other, strict=True))

    return [one for one in ones if not any(better(value, values[one.number]) for value in values.values())]


def _lumped(scenario: Scenario, windows: int) -> tuple[int, float]:
    """Return how many schemes do not come to rest at their goal in the lumped loop, and how long the slowest takes, seconds."""
    lost, slowest_s = 0, 0.0
    for facts in facts_of(scenario).schemes:
        end = lumped(facts, windows)
        if end is not None:
            lost += not end.arrives
            slowest_s = max(slowest_s, facts.evaluation_s(end.windows + 1) if end.arrives else 0.0)
    return lost, slowest_s
