"""How far each knob of an answer may move before the end is missed, and which of its changes it can do without, by runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..remedies.changes import candidate, value_at
from ..scenario import Scenario
from .answer import Margin
from .knobs import Knob
from .runs import REFUSED, Wanted
from .search import Search, Tried


@dataclass
class _Side:
    """One knob on its way to one side: out, twice as far each time, then halfway back."""

    knob: Knob
    step: int
    good: int
    bad: int | None = None
    stride: int = 1

    def next_row(self) -> int | None:
        """Return the position to run next; None when the border is known, or the range ends."""
        if self.bad is None:
            row = min(max(self.good + self.step * self.stride, 0), len(self.knob.rows) - 1)
            return row if row != self.good else None
        middle = (self.good + self.bad) // 2
        return middle if middle not in (self.good, self.bad) else None

    def told(self, row: int, met: bool) -> None:
        """Take note of a run."""
        if met:
            self.good, self.stride = row, self.stride * 2
        else:
            self.bad = row


def margins(search: Search, best: Tried) -> tuple[Margin, ...]:
    """Return the margin of every knob whose values have an order, as far as the budget lasts.

    Parameters
    ----------
    search : Search
        With the budget that is left.
    best : Tried
        The answer; it is run with the first seed and one knob moved.
    """
    knobs = [one for knob in search.knobs if knob.ordered for one in _placed(best.scenario, knob)]
    sides = [_Side(knob, step, knob.at) for knob in knobs for step in (-1, 1)]
    ran_any = False
    while True:
        asked = [(side, row, _with(best.scenario, side.knob, row)) for side in sides if (row := side.next_row()) is not None]
        if not asked or len(asked) > search.left():
            break
        ran_any = True
        ran = [(side, row, made) for side, row, made in asked if made is not None]
        told = iter(search.runs.of([Wanted(made, search.seeds[0]) for _, _, made in ran]))
        for side, row, made in asked:
            values = next(told) if made is not None else {REFUSED: ""}
            side.told(row, REFUSED not in values and search.end.met(values))
    if not ran_any:
        return ()
    return tuple(_margin(low, high) for low, high in zip(sides[::2], sides[1::2], strict=True))


def _placed(scenario: Scenario, knob: Knob) -> Iterator[Knob]:
    """Yield a knob as it stands in an answer; one for each value, where the answer tells its fields apart."""
    row = tuple(value_at(scenario, path) for path in knob.paths)
    if row in knob.rows:
        yield replace(knob, at=knob.rows.index(row))
    elif all(len({*known}) == 1 for known in knob.rows):
        for value in dict.fromkeys(row):
            paths = tuple(path for path, one in zip(knob.paths, row, strict=True) if one == value)
            values = sorted({known[0] for known in knob.rows} | {value})
            rows = tuple((one,) * len(paths) for one in values)
            yield replace(knob, name=paths[0], paths=paths, rows=rows, at=values.index(value))


def _with(scenario: Scenario, knob: Knob, row: int) -> Scenario | None:
    made = candidate(scenario, list(zip(knob.paths, knob.rows[row], strict=True)), "margin")
    return made.scenario if made else None


def _margin(low: _Side, high: _Side) -> Margin:
    def value(row: int | None) -> Any:
        return None if row is None else low.knob.rows[row][-1]

    knob = low.knob
    ends = (value(low.good), value(high.good), value(low.bad), value(high.bad))
    return Margin(knob.paths[-1], knob.paths, value(knob.at), *ends, values=tuple(row[-1] for row in knob.rows))


# ---- what an answer can do without -----------------------------------------------------------------------------------------


def simpler(search: Search, best: Tried) -> Tried:
    """Return a candidate without the changes that it does not need: it meets the end as often, and is as good.

    Parameters
    ----------
    search : Search
        With the budget that is left.
    best : Tried
        The best candidate, run under deviations too.
    """
    original, origin = best, f"{best.origin}, without what it does not need"
    for group in [found for knob in search.knobs if (found := _changes_of(best, knob.paths))]:
        kept = [(c["path"], c["new"]) for c in best.changes if c["path"] not in group]
        made = candidate(search.given, kept, "tune") if kept else None
        if made is None or search.left() < len(search.seeds) + len(best.spread) + search.kept:
            continue
        one = search.add(made.scenario, origin, made)
        search.run([one], search.seeds[:1])
        if one.refused or search.shortfall(one.values.values()) > 0:
            continue
        search.run([one], search.seeds)
        if not search.met(one):
            continue
        search.deviate(one)
        if search.as_good(one, original):
            best = one
    return best


def _changes_of(best: Tried, paths: Sequence[str]) -> set[str]:
    return {c["path"] for c in best.changes} & {*paths}
