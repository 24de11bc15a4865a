"""What a comparison of kernels, scenarios or runs says: columns, measures, rules that matter, fields that differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ..rich_html import table, titled
from .measured import KIND, OF_A_RUN, stem_of

if TYPE_CHECKING:
    import xarray as xr

LEAST_SHARE = 0.1
"""A rule matters from this share of a difference on,"""
MOST = 0.5
"""and is a reason of it from this one on."""


@dataclass(frozen=True)
class Side:
    """One column: what was run, and what it came to.

    Attributes
    ----------
    name : str
        The kernel, the scenario or the run.
    kind, cause, text : str
        Of its verdict; of several seeds, those of the kind of most.
    numbers : dict of str to float
        Its measures by name, those that are defined; of several seeds, their medians.
    spread : dict of str to float
        How far the measures of several seeds are apart; empty for one.
    seeds : dict of int to str
        The kind of each seed, where several were run.
    error : str
        Why it was not run; "" if it was.
    """

    name: str
    kind: str = ""
    cause: str = ""
    text: str = ""
    numbers: dict[str, float] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)
    seeds: dict[int, str] = field(default_factory=dict)
    error: str = ""


def apart(one: float, other: float) -> float:
    """Return how far two values of a measure are apart: 0 for two of the same, infinite or undefined ones too."""
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    return abs(one - other) if math.isfinite(one) and math.isfinite(other) else math.inf


class Row(NamedTuple):
    """A measure of all columns, and how far two of its values may be apart to be called the same."""

    name: str
    values: tuple[float, ...]
    tolerance: float

    @property
    def units(self) -> str:
        """Its unit."""
        return OF_A_RUN[stem_of(self.name)].units

    @property
    def change(self) -> float:
        """Last value minus first one; 0 where both are infinite or undefined."""
        first, last = self.values[0], self.values[-1]
        return last - first if apart(first, last) else 0.0

    @property
    def differs(self) -> bool:
        """Whether the first and the last value are further apart than counts."""
        return apart(self.values[0], self.values[-1]) > self.tolerance

    @property
    def varies(self) -> bool:
        """Whether any value is further from the first one than counts."""
        return any(apart(self.values[0], value) > self.tolerance for value in self.values)

    def relative(self) -> float:
        """Return how far values are from the first one, as a share of the larger of the two; the largest of them."""
        first, out = self.values[0], 0.0
        for value in self.values[1:]:
            gap = apart(first, value)
            out = max(out, gap / max(abs(first), abs(value)) if math.isfinite(gap) and gap else gap)
        return out


def beyond(sides: Sequence[Side], rows: Sequence[Row], rtol: float) -> list[str]:
    """Return the measures, the kind among them, that differ from the first column's by more than a relative tolerance."""
    kinds = [KIND] if len({side.kind for side in sides}) > 1 else []
    return kinds + [row.name for row in rows if row.relative() > rtol]


@dataclass(frozen=True)
class Effect:
    """What one rule does: the last kernel was run with this rule alone as in the first one.

    Attributes
    ----------
    switch : str
        The rule.
    value : bool
        Its switch in the first kernel, with which the last one was run.
    about : str
        What each of the two kernels does; "" where nobody has told it.
    shares : dict of str to float
        For each measure that differs: which share of the way back to the first kernel's value it goes. 1 = all of it; below 0
        = it goes the other way.
    moved : tuple of str
        Measures that are no longer what they are in the last kernel, by more than counts.
    side : Side
        That run.
    same : bool
        No measure is different at all.
    """

    switch: str
    value: bool
    about: str
    shares: dict[str, float]
    moved: tuple[str, ...]
    side: Side
    same: bool

    @property
    def measure(self) -> str:
        """The measure of whose difference the rule explains most, the first of them in order; "" if no measure differs."""
        return max(self.shares, key=lambda name: round(self.shares[name], 2), default="")

    @property
    def share(self) -> float:
        """The share of that measure's difference that the rule explains."""
        return self.shares.get(self.measure, 0.0)

    @property
    def matters(self) -> bool:
        """Whether that is a tenth or more, of a change that counts."""
        return self.share >= LEAST_SHARE and self.measure in self.moved


@dataclass(frozen=True)
class Together:
    """Rules that explain a difference together where none does alone.

    Attributes
    ----------
    switches : tuple of str
        The rules; without any of them less than nine tenths are explained. Empty if all rules together do not explain that.
    measure : str
        What they explain: the first measure that differs.
    share : float
        Which share of its difference: how far the last kernel goes back with these rules as in the first one.
    side : Side
        That run.
    each : dict of str to float
        The other way round: which share of the way the first kernel goes with this rule alone as in the last one.
    """

    switches: tuple[str, ...]
    measure: str
    share: float
    side: Side
    each: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """What differs between kernels, scenarios or runs; ``str()`` of it is the answer in a sentence or two.

    Attributes
    ----------
    what : str
        ``"kernels"``, ``"scenarios"`` or ``"runs"``.
    title : str
        What they have in common.
    sides : tuple of Side
        The columns.
    rows : tuple of Row
        The measures of the columns that were run, the answers first.
    answer : str
        The answer in a sentence or two.
    effects : tuple of Effect
        Every rule that was run, what explains most first; empty where none was.
    not_alone : dict of str to str
        Rules that differ and could not be left out alone, with the reason.
    together : Together or None
        Rules that explain the first measure that differs where none does alone.
    fields : tuple of dict
        ``path``, ``old`` and ``new`` of each field in which the first and the last scenario differ.
    notes : tuple of str
        What else has to be said.
    """

    what: str
    title: str
    sides: tuple[Side, ...]
    rows: tuple[Row, ...]
    answer: str = ""
    effects: tuple[Effect, ...] = ()
    not_alone: dict[str, str] = field(default_factory=dict)
    together: Together | None = None
    fields: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[Side, ...]:
        """The columns that were run."""
        return tuple(side for side in self.sides if not side.error)

    @property
    def same(self) -> bool:
        """Whether every column was run, and all have the same kind and the same value of every measure."""
        return len(self.columns) == len(self.sides) and not self.beyond(0.0)

    @property
    def matter(self) -> tuple[Effect, ...]:
        """The rules that matter, what explains most first."""
        return tuple(effect for effect in self.effects if effect.matters)

    def beyond(self, rtol: float) -> list[str]:
        """Return the measures, the kind among them, that differ from the first column's by more than a relative tolerance.

        Parameters
        ----------
        rtol : float
            Largest difference as a share of the larger of two values.
        """
        return beyond(self.columns, self.rows, rtol)

    @property
    def table(self) -> xr.Dataset:
        """Kind, cause and measures of the columns that were run, as variables over the dimension ``run``."""
        import numpy as np
        import xarray as xr

        source = "tieringmodel.diff"
        data: dict[str, Any] = {
            name: ("run", np.array([getattr(side, name) for side in self.columns], str)) for name in ("kind", "cause")
        }
        data |= {row.name: ("run", np.array(row.values)) for row in self.rows}
        ds = xr.Dataset(data, coords={"run": ("run", np.array([side.name for side in self.columns], str))})
        for name in ds.data_vars:
            units, text = ("1", "code of its first cause") if name == "cause" else OF_A_RUN[stem_of(str(name))]
            ds[name].attrs = {"units": units, "long_name": text, "source": source}
        ds.attrs = {"kind": "difference", "title": self.title, "answer": self.answer}
        return ds

    def __str__(self) -> str:
        return self.answer

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain data, for JSON; inf is never, nan is not known, None stands for a column without a run."""
        return {
            "what": self.what,
            "title": self.title,
            "answer": self.answer,
            "same": self.same,
            "runs": [
                {name: getattr(side, name) for name in ("name", "kind", "cause", "text", "error")}
                | {"seeds": {str(seed): kind for seed, kind in side.seeds.items()}}
                for side in self.sides
            ],
            "measures": [
                {name: getattr(row, name) for name in ("name", "units", "change", "tolerance", "differs")}
                | {"values": self._beside_each(row.values)}
                for row in self.rows
            ],
            "rules": [
                {name: getattr(e, name) for name in ("switch", "value", "about", "share", "measure", "matters", "same")}
                | {"shares": e.shares, "moved": list(e.moved), "kind": e.side.kind, "numbers": e.side.numbers}
                for e in self.effects
            ],
            "not_alone": dict(self.not_alone),
            "together": self.together
            and {name: getattr(self.together, name) for name in ("measure", "share", "each")}
            | {"switches": list(self.together.switches), "numbers": self.together.side.numbers},
            "fields": [dict(one) for one in self.fields],
            "notes": list(self.notes),
        }

    def _beside_each(self, values: Sequence[float]) -> list[float | None]:
        """Return values of the columns that were run with None for the others."""
        left = iter(values)
        return [None if side.error else next(left) for side in self.sides]

    def _repr_html_(self) -> str:
        head = ("measure", *(side.name for side in self.columns), "change", "unit")
        kinds = [(KIND, *(side.kind for side in self.columns), "", "")]
        shown = [(row.name, *(f"{v:g}" for v in row.values), f"{row.change:+g}", row.units) for row in self.rows if row.varies]
        rules = [(e.switch, f"{e.share:.0%} of {e.measure}", e.about) for e in self.matter]
        changes = [(f["path"], f"{f['old']}", f"{f['new']}") for f in self.fields]
        parts = [table((), [(self.answer,)]), table(head, [*kinds, *shown])]
        parts += [table(("rule", "explains", "what Linux does"), rules)] if rules else []
        parts += [table(("field", "first", "last"), changes)] if changes else []
        return titled(self.title, *parts)
