"""What a tuning came to: the configuration to run, or the nearest miss, with the runs that say so."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..scenario import Scenario
from ..verdicts.record import Verdict, plain
from .end import AHEAD, OBJECTIVES
from .runs import REFUSED
from .search import Search, Tried

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Margin:
    """How far one knob of the answer may move while all others stay.

    Attributes
    ----------
    path : str
        Of its last field.
    paths : tuple of str
        Of all its fields.
    value : object
        Where it stands.
    low, high : object
        The last values on either side with which the end was met; `value` itself if its neighbour misses it.
    missed_below, missed_above : object
        The first values with which it was missed; None if the range ends, or the budget did, before it is.
    values : tuple
        All that the knob can be set to, in order.
    """

    path: str
    paths: tuple[str, ...]
    value: Any
    low: Any
    high: Any
    missed_below: Any = None
    missed_above: Any = None
    values: tuple[Any, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        names = ("path", "value", "low", "high", "missed_below", "missed_above")
        lists = {"paths": list(self.paths), "values": list(self.values)}
        return {name: getattr(self, name) for name in names} | lists


@dataclass(frozen=True)
class Tuned:
    """Which configuration to run; ``str()`` of it is what is printed.

    Attributes
    ----------
    met : bool
        Whether a candidate meets the end with all seeds.
    scenario : Scenario
        The one to recommend; where none meets the end, the nearest miss, which is no recommendation.
    changes : tuple of dict
        ``path``, ``old`` and ``new`` of each field that differs from what was given; empty if none meets the end.
    verdict : Verdict
        On its run with the first seed.
    measures : dict of str to dict
        ``mean``, ``low`` and ``high`` over the seeds of each measure.
    margins : tuple of Margin
        How far each knob may move before the end is missed.
    beats : tuple of dict
        What was always tried beside it: ``candidate``, ``met``, and by measure the difference with its interval.
    robust : dict of str to bool
        Whether it meets the end under each deviation of workload and clock, and with each further seed.
    tried : tuple of dict
        Every candidate: ``number``, ``origin``, ``text``, ``changes``, ``runs``, ``met``, ``shortfall``, ``measures``.
    front : tuple of int
        With several objectives: numbers of the candidates that none other is better than in all of them.
    nearest_miss : dict or None
        If none meets the end: ``changes``, ``text``, ``clauses`` with their values, and ``prevents``, what is proven.
    about : dict
        ``end``, ``objective``, ``seeds``, ``duration_s``, ``budget_s``, ``simulated_s``, ``runs``, ``knobs``, ``chosen``.
    text : str
        What is printed.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> found = tm.tune(tm.load("rfc-40-60"), "settling_s < 1", duration="3 s", budget=0, seeds=1)
    >>> found.met, [clause["text"] for clause in found.nearest_miss["clauses"]]
    (False, ['settling_s < 1'])
    """

    met: bool
    scenario: Scenario
    changes: tuple[dict[str, Any], ...]
    verdict: Verdict
    measures: dict[str, dict[str, float]]
    margins: tuple[Margin, ...] = ()
    beats: tuple[dict[str, Any], ...] = ()
    robust: dict[str, bool] = field(default_factory=dict)
    tried: tuple[dict[str, Any], ...] = ()
    front: tuple[int, ...] = ()
    nearest_miss: dict[str, Any] | None = None
    about: dict[str, Any] = field(default_factory=dict)
    text: str = ""

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """Return all but the scenario as plain data, for JSON; what is not known or never happens is None."""
        out: dict[str, Any] = plain(
            {
                "met": self.met,
                "changes": list(self.changes),
                "text": self.text,
                "verdict": self.verdict.to_dict(),
                "measures": self.measures,
                "margins": [one.to_dict() for one in self.margins],
                "beats": list(self.beats),
                "robust": self.robust,
                "front": list(self.front),
                "tried": list(self.tried),
                "nearest_miss": self.nearest_miss,
                **self.about,
            }
        )
        return out


def measures_of(one: Tried) -> dict[str, dict[str, float]]:
    """Return mean, least and largest value over a candidate's seeds of every measure that is a number."""
    runs = [v for v in one.values.values() if REFUSED not in v]
    names = [n for n, v in (runs[0] if runs else {}).items() if isinstance(v, (int, float)) and all(n in r for r in runs)]
    out = {}
    for name in names:
        values = [float(r[name]) for r in runs]
        out[name] = {"mean": sum(values) / len(values), "low": min(values), "high": max(values)}
    return out


def row_of(search: Search, one: Tried) -> dict[str, Any]:
    """Return a candidate as a line of ``tried``."""
    found = {n: v["mean"] for n, v in measures_of(one).items() if n in named(search)}
    short = math.inf if one.refused else search.shortfall(one.values.values())
    return {
        "number": one.number,
        "origin": one.origin,
        "text": one.text,
        "changes": list(one.changes),
        "positions": one.positions,
        "runs": len(one.values) + len(one.spread),
        "met": search.met(one),
        "refused": one.refused,
        "shortfall": max(short, AHEAD),
        "measures": found,
    }


def named(search: Search) -> list[str]:
    """Return the measures that the end or the objectives name, each once."""
    clauses = search.end.clauses(next(iter(search.tried[0].values.values())))
    names = [c.name for c in clauses if not isinstance(c.wanted, str)]
    return list(dict.fromkeys([*names, *(OBJECTIVES[name][0] for name in search.objectives)]))


def beaten(search: Search, best: Tried, others: list[Tried]) -> tuple[dict[str, Any], ...]:
    """Return what the answer is better or worse by than each of some candidates.

    Differences are those of runs with the same seed, other minus answer; the interval is Student's, of their mean.
    """
    out = []
    for other in others:
        if other is best:
            continue
        by = {} if other.refused else {n: _difference(best, other, n) for n in named(search)}
        out.append(
            {"candidate": other.origin, "number": other.number, "text": other.text, "met": search.met(other)} | {"by": by}
        )
    return tuple(out)


def _difference(best: Tried, other: Tried, name: str) -> dict[str, float]:
    """Return the means of a measure and their difference with its interval; nan where it is not known."""
    from scipy import stats

    seeds = [s for s in best.values if s in other.values]
    mine = np.array([float(best.values[s].get(name, math.nan)) for s in seeds])
    theirs = np.array([float(other.values[s].get(name, math.nan)) for s in seeds])
    with np.errstate(invalid="ignore"):
        apart = theirs - mine
        mean = float(apart.mean())
    half = math.nan
    if len(seeds) > 1 and np.isfinite(apart).all():
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(seeds) - 1) * apart.std(ddof=1) / math.sqrt(len(seeds)))
    return {
        "answer": float(mine.mean()),
        "other": float(theirs.mean()),
        "difference": mean,
        "low": mean - half,
        "high": mean + half,
    }
