"""Interleaved timing, and tables of what came out."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Work = Callable[[], object]


@dataclass(frozen=True)
class Spread:
    """Median, minimum and maximum of several measurements."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise measurements."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{short(self.median)} [{short(self.low)}-{short(self.high)}]"


def short(x: float) -> str:
    """Write a number with about three digits."""
    return f"{x:.0f}" if abs(x) >= 100 else f"{x:.3g}"


def interleaved(programs: Mapping[str, Callable[[int], Work]], rounds: int) -> dict[str, list[float]]:
    """Return seconds of processor time per round for each program.

    ``programs[name](seed)`` prepares, untimed, what is then called once. Every round has its own seed, and the order
    turns around from round to round; a first round is not counted, it compiles.
    """
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for seed in range(rounds + 1):
        for name in list(programs)[:: 1 if seed % 2 else -1]:
            work = programs[name](seed)
            began = time.process_time()
            work()
            took = time.process_time() - began
            if seed:
                seconds[name].append(took)
    return seconds


def ratio(over: Sequence[float], under: Sequence[float]) -> Spread:
    """Return the quotient of two programs' times, round by round."""
    return Spread.of([a / b for a, b in zip(over, under, strict=True)])


@dataclass
class Table:
    """One question and its answers."""

    question: str
    columns: tuple[str, ...]
    note: str = ""
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def add(self, *cells: Any) -> None:
        """Append a row."""
        self.rows.append(cells)

    def text(self) -> str:
        """Return the table as aligned text."""
        lines = [self.columns, *(tuple(_text(c) for c in row) for row in self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        body = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]
        body.insert(1, "  ".join("-" * w for w in widths))
        return "\n".join([f"## {self.question}", *([self.note] if self.note else []), "", *body, ""])

    def data(self) -> dict[str, Any]:
        """Return the table for JSON."""
        rows = [[vars(c) if isinstance(c, Spread) else c for c in row] for row in self.rows]
        return {"question": self.question, "note": self.note, "columns": self.columns, "rows": rows}


def _text(cell: Any) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "NO"
    return short(cell) if isinstance(cell, float) else str(cell)


def gate(holds: bool) -> str:
    """Say whether a limit was kept; a miss on a busy machine is a reason to repeat, not proof."""
    return "holds" if holds else "MISSED"
