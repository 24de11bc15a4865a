"""Which rules of kernels make a difference: each is left out of the last kernel alone; several together where none does it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..errors import InputError
from ..scenario import Kernel, Scenario
from ..scenario.linux import RULES, Rule, rules_of_release
from .difference import Effect, Row, Side, Together, apart
from .measured import KIND, Scale
from .running import Runs, Wanted

ENOUGH = 0.9
"""So much of a difference is explained by whatever is to explain it."""


def value_of(kernel: Kernel, switch: str) -> bool | None:
    """Return a rule's switch in a kernel; None where what it is about does not exist."""
    return kernel.switches.get(switch, rules_of_release(kernel.release)[switch])


def differing_rules(first: Kernel, last: Kernel, only: Sequence[str] | None = None) -> tuple[list[str], dict[str, str]]:
    """Return the rules that differ and can be as in the first kernel in the last one, and why others cannot.

    Parameters
    ----------
    first, last : Kernel
        The kernels.
    only : sequence of str, optional
        The rules to look at; by default all.
    """
    able, unable = list[str](), dict[str, str]()
    for rule in RULES:
        switch, was, now = rule.switch, value_of(first, rule.switch), value_of(last, rule.switch)
        if was == now or (only is not None and switch not in only):
            continue
        if was is None or now is None:
            unable[switch] = f"Linux {(first if was is None else last).release} does not have what it is about"
            continue
        try:
            last.replace(**{switch: was})
        except InputError as error:
            unable[switch] = str(error)
        else:
            able.append(switch)
    return able, unable


def _about(rule: Rule, value: bool) -> str:
    """Return what Linux does with a rule as in the first kernel, then as in the last one; "" where it is not told."""
    if not rule.before or not rule.after:
        return ""
    was, now = (rule.after, rule.before) if value else (rule.before, rule.after)
    return f"{was}; now {now}"


class Search:
    """The search for the rules that make the difference between two kernels.

    Parameters
    ----------
    runs : Runs
        How to run.
    scenario : Scenario
        What to run.
    first, last : Kernel
        The kernels.
    sides : tuple of Side
        What the two came to.
    rows : sequence of Row
        Their measures.
    scale : Scale
        Which change of a measure counts.
    """

    def __init__(
        self,
        runs: Runs,
        scenario: Scenario,
        kernels: tuple[Kernel, Kernel],
        sides: tuple[Side, Side],
        rows: Sequence[Row],
        scale: Scale,
    ) -> None:
        self.runs, self.scenario, self.scale = runs, scenario, scale
        self.first, self.last = kernels
        self.was, self.now = sides
        self.rows = [row for row in rows if row.differs]
        self.differing = ([KIND] if self.was.kind != self.now.kind else []) + [row.name for row in self.rows]
        self.lead = self.rows[0].name if self.rows else KIND
        self.tolerance = {row.name: row.tolerance for row in rows}

    def effects(self, switches: Sequence[str]) -> tuple[list[Effect], dict[str, str]]:
        """Return what each rule does alone, what explains most first, and why some could not be run."""
        found = self._run([(switch,) for switch in switches])
        refused = {switch: found[switch,].error for switch in switches if found[switch,].error}
        rules = {rule.switch: rule for rule in RULES}
        effects = [self._effect(rules[switch], found[switch,]) for switch in switches if switch not in refused]
        measures = [*self.differing, ""]
        return sorted(effects, key=lambda e: (not e.matters, -round(e.share, 2), measures.index(e.measure))), refused

    def together(self, effects: Sequence[Effect]) -> Together | None:
        """Return a smallest set of rules that explains the first measure that differs; None if a rule does so alone.

        Without rules, if not even all of them do.
        """
        if not effects or max(effect.shares[self.lead] for effect in effects) >= ENOUGH:
            return None
        everything = tuple(effect.switch for effect in effects)
        acting = tuple(effect.switch for effect in effects if not effect.same)
        for tried in dict.fromkeys((acting, everything)):
            side = self._together(tried)
            if (share := self._share(self.lead, side)) >= ENOUGH:
                break
        else:
            return Together((), self.lead, share, side)
        kept = list(tried)
        for switch in reversed(tried):  # what explains least alone goes first
            fewer = tuple(name for name in kept if name != switch)
            if fewer and self._share(self.lead, without := self._together(fewer)) >= ENOUGH:
                kept, side = [*fewer], without
        return Together(tuple(kept), self.lead, self._share(self.lead, side), side)

    def _together(self, switches: tuple[str, ...]) -> Side:
        return self._run([switches])[switches] if switches else self.now

    def _run(self, sets: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], Side]:
        """Run the last kernel with each set of rules as in the first one."""
        kernels = [self.last.replace(**{name: value_of(self.first, name) for name in switches}) for switches in sets]
        wanted = [Wanted(", ".join(names), self.scenario, {"kernel": k}) for names, k in zip(sets, kernels, strict=True)]
        return dict(zip(sets, self.runs.sides(wanted), strict=True))

    def _effect(self, rule: Rule, side: Side) -> Effect:
        names = [name for name in self.now.numbers if name in side.numbers]
        gaps = {name: apart(self.now.numbers[name], side.numbers[name]) for name in names}
        kind = [KIND] if side.kind != self.now.kind else []
        value = value_of(self.first, rule.switch)
        return Effect(
            rule.switch,
            bool(value),
            _about(rule, bool(value)),
            {name: self._share(name, side) for name in self.differing},
            (*kind, *(name for name, gap in gaps.items() if gap > self.tolerance.get(name, 0.0))),
            side,
            same=not kind and not any(gaps.values()),
        )

    def _share(self, name: str, side: Side) -> float:
        """Return which share of the way from the last kernel's value of a measure back to the first one's a run goes."""
        if side.error:
            return 0.0
        if name == KIND:
            return float(side.kind == self.was.kind)
        was, now, here = (self._finite(name, one.numbers.get(name, math.nan)) for one in (self.was, self.now, side))
        if math.isnan(was + now + here):
            return float(apart(was, here) == 0.0)
        return 1.0 - abs(here - was) / abs(now - was)

    def _finite(self, name: str, value: float) -> float:
        """Return a value to calculate with: what never happens counts as the end of the run."""
        return self.runs.duration_us * 1e-6 if math.isinf(value) else value
