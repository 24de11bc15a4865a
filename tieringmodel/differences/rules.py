"""Which rules of kernels make a difference: each is left out of the last kernel alone; several together where none does it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress

from ..errors import InputError
from ..scenario import Kernel, Scenario
from ..scenario.linux import rules_of_release
from ..scenario.rules import BY_SWITCH, RULES, Rule
from .difference import MOST, Effect, Row, Side, Together, apart
from .measured import KIND, Scale, in_order
from .running import Runs, Wanted

ENOUGH = 0.9
"""So much of a difference rules explain together, where they are to explain it."""


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
        if (was == now and only is None) or (only is not None and switch not in only):
            continue
        if was == now:
            unable[switch] = "is the same in both"
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
        found = dict(zip(switches, self._run([[switch] for switch in switches]), strict=True))
        refused = {switch: side.error for switch, side in found.items() if side.error}
        effects = [self._effect(BY_SWITCH[switch], side) for switch, side in found.items() if not side.error]
        measures = [*self.differing, ""]
        return sorted(effects, key=lambda e: (not e.matters, -round(e.share, 2), measures.index(e.measure))), refused

    def together(self, effects: Sequence[Effect]) -> Together | None:
        """Return rules that together explain the first measure that differs; None if one alone explains half of it.

        First those that act are left out together, else all; then they are put back one by one, what explains least alone
        first, as long as nine tenths stay explained.
        """
        if not effects or max(effect.shares[self.lead] for effect in effects) >= MOST:
            return None
        everything = tuple(effect.switch for effect in effects)
        for tried in dict.fromkeys((tuple(effect.switch for effect in effects if not effect.same), everything)):
            side = self._without(tried)
            if (share := self._share(self.lead, side)) >= ENOUGH:
                break
        else:
            return Together((), self.lead, share, side)
        kept = tried
        for switch in reversed(tried):
            fewer = tuple(name for name in kept if name != switch)
            if fewer and (less := self._share(self.lead, without := self._without(fewer))) >= ENOUGH:
                kept, side, share = fewer, without, less
        return Together(kept, self.lead, share, side, self._each(kept))

    def _each(self, switches: Sequence[str]) -> dict[str, float]:
        """Return how far the first kernel goes towards the last one with each rule alone as there."""
        kernels = dict[str, Kernel]()
        for switch in switches:
            with suppress(InputError):  # the first kernel may refuse what the last one takes
                kernels[switch] = self.first.replace(**{switch: value_of(self.last, switch)})
        sides = self.runs.sides([Wanted(name, self.scenario, {"kernel": kernel}) for name, kernel in kernels.items()])
        ran = [(name, side) for name, side in zip(kernels, sides, strict=True) if not side.error]
        return {name: self._way(self.lead, self.was, self.now, side) for name, side in ran}

    def _without(self, switches: tuple[str, ...]) -> Side:
        return self._run([switches])[0] if switches else self.now

    def _run(self, sets: Sequence[Sequence[str]]) -> list[Side]:
        """Run the last kernel with each set of rules as in the first one."""
        kernels = [self.last.replace(**{name: value_of(self.first, name) for name in switches}) for switches in sets]
        return self.runs.sides([Wanted("", self.scenario, {"kernel": kernel}) for kernel in kernels])

    def _effect(self, rule: Rule, side: Side) -> Effect:
        here, now = side.numbers, self.now.numbers
        gaps = {name: apart(now.get(name, math.nan), here.get(name, math.nan)) for name in in_order({*now, *here})}
        kind = [KIND] if side.kind != self.now.kind else []
        value = value_of(self.first, rule.switch)
        return Effect(
            rule.switch,
            bool(value),
            self._about(rule, bool(value)),
            {name: self._share(name, side) for name in self.differing},
            (*kind, *(name for name, gap in gaps.items() if gap > self.tolerance.get(name, 0.0))),
            side,
            same=not kind and not any(gaps.values()),
        )

    def _about(self, rule: Rule, value: bool) -> str:
        """Return what each kernel does where a rule differs; "" where nobody has told it."""
        if not rule.before or not rule.after:
            return ""
        was, now = (rule.after, rule.before) if value else (rule.before, rule.after)
        return f"{self.was.name}: {was}. {self.now.name}: {now}."

    def _share(self, name: str, side: Side) -> float:
        """Return which share of the way from the last kernel's value of a measure back to the first one's a run goes."""
        return self._way(name, self.now, self.was, side)

    def _way(self, name: str, start: Side, end: Side, side: Side) -> float:
        """Return which share of the way between two runs another one goes: 1 = it arrives, less if it goes beyond, too."""
        if side.error:
            return 0.0
        if name == KIND:
            return float(side.kind == end.kind)
        values = [self._finite(name, one.numbers.get(name, math.nan)) for one in (start, end, side)]
        if any(map(math.isnan, values)) or values[0] == values[1]:
            return float(apart(values[1], values[2]) == 0.0)
        return 1.0 - abs(values[2] - values[1]) / abs(values[0] - values[1])

    def _finite(self, name: str, value: float) -> float:
        """Return a value to calculate with: what never happens counts as the end of the run."""
        return self.runs.duration_us * 1e-6 if math.isinf(value) else value
