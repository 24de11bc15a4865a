"""How far each knob of an answer may move before the end is missed, by runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .answer import Margin
from .knobs import Knob, changed
from .runs import REFUSED, Wanted
from .search import Search, Tried


@dataclass
class _Side:
    """One knob on its way to one side."""

    knob: Knob
    row: int
    step: int
    good: int
    bad: int | None = None
    stride: int = 1

    def next_row(self) -> int | None:
        """Return the position to run next: further and further until the end is missed, then between; None when known."""
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
    at = best.positions or search.positions(best)
    if at is None:  # what lint or the causes propose, beside the knobs: nothing has a position
        return ()
    sides = [_Side(knob, at[k], step, at[k]) for k, knob in enumerate(search.knobs) if knob.ordered for step in (-1, 1)]
    while True:
        asked: list[tuple[_Side, int, Any]] = []
        for side in sides:
            if (row := side.next_row()) is None:
                continue
            k = search.knobs.index(side.knob)
            made = changed(search.given, search.knobs, [*at[:k], row, *at[k + 1 :]])
            asked.append((side, row, made.scenario if made else search.given))
        if not asked or len(asked) > search.left():
            break
        told = search.runs.of([Wanted(scenario, search.seeds[0]) for _, _, scenario in asked])
        for (side, row, _), values in zip(asked, told, strict=True):
            side.told(row, REFUSED not in values and search.end.met(values))
    return tuple(_margin(low, high) for low, high in zip(sides[::2], sides[1::2], strict=True))


def _margin(low: _Side, high: _Side) -> Margin:
    def value(row: int | None) -> Any:
        return None if row is None else low.knob.rows[row][-1]

    return Margin(low.knob.paths[-1], value(low.row), value(low.good), value(high.good), value(low.bad), value(high.bad))
