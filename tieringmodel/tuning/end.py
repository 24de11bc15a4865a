"""What a tuned run has to meet, and how far a run is from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..fields import suggest
from ..verdicts.expect import Clause, compared, parse

MISSED = 10.0
"""Shortfall of a clause that is not a matter of more or less, or of a measure that is undefined or infinite."""
AHEAD = -4.0
"""No clause counts as further met than this: what rests at 0 is not endlessly better than what moves a page a minute."""
SMALL = 1e-3
"""Part of a bound that is added to both sides, so that a measure of 0 has a logarithm."""

OBJECTIVES: dict[str, tuple[str, int]] = {
    "residual": ("residual_mib_s", 1),
    "settling": ("settling_s", 1),
    "error": ("abs_error_bp", 1),
    "throughput": ("throughput_per_s", -1),
    "run-time": ("run_time", 1),
}
"""Measure of each objective, and whether less (1) or more (-1) of it is better."""


@dataclass(frozen=True)
class End:
    """Clauses in the words of ``--expect``, all of which have to hold in every run.

    Parameters
    ----------
    text : str
        ``"residual_mib_s < 0.5, abs_error_bp < 300"``.
    """

    text: str

    def __post_init__(self) -> None:
        parse(self.text, "end")

    def clauses(self, values: Mapping[str, Any]) -> list[Clause]:
        """Return each clause with a run's value."""
        return compared(parse(self.text), values, "end")

    def met(self, values: Mapping[str, Any]) -> bool:
        """Whether a run meets every clause."""
        return all(clause.ok for clause in self.clauses(values))

    def shortfalls(self, values: Mapping[str, Any]) -> list[float]:
        """Return how far each clause is from being met, as a logarithm: 0 at its bound, below 0 where it is met."""
        return [_shortfall(c, p[2]) for c, p in zip(self.clauses(values), parse(self.text), strict=True)]


def _shortfall(clause: Clause, comparison: str) -> float:
    value, wanted = clause.value, clause.wanted
    if isinstance(value, str) or isinstance(wanted, str) or comparison in ("==", "!="):
        return 0.0 if clause.ok else MISSED
    if math.isnan(value):
        return MISSED
    least = SMALL * max(abs(wanted), SMALL)
    low, high = (value, wanted) if comparison.startswith("<") else (wanted, value)
    if min(low, high) < 0:  # a scale without a zero of its own
        apart = (low - high) / max(abs(wanted), 1.0)
    elif math.isinf(low) or math.isinf(high):
        apart = MISSED if math.isinf(low) else AHEAD
    else:
        apart = math.log((low + least) / (high + least))
    apart = min(max(apart, AHEAD), MISSED)
    return min(apart, 0.0) if clause.ok else max(apart, 1e-6)


def total(shortfalls: Sequence[float]) -> float:
    """Return a run's shortfall: the sum of what is missing, or, where nothing is, that of the clause met most narrowly."""
    missing = sum(max(one, 0.0) for one in shortfalls)
    return missing or max(shortfalls)


def objectives(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of objectives, checked.

    Raises
    ------
    InputError
        If one is not known, or named twice.
    """
    for name in names:
        if name not in OBJECTIVES:
            raise InputError("objective", f"{name!r} is not known", suggest(name, OBJECTIVES))
    if len({*names}) < len(names):
        raise InputError("objective", "names one twice", "name each once")
    return tuple(names)
