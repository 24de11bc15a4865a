"""Expectations about a run in a line of text, for tests and for exit codes: ``"settling_s < 60, overshoot_bp < 200"``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import InputError
from ..fields import suggest
from ..units import MIB, PAGE_SZ
from .judge import KINDS, verdict
from .measures import measures

if TYPE_CHECKING:
    import xarray as xr

_CLAUSE = re.compile(r"\s*([a-z_]+)\s*(<=|>=|==|!=|<|>)\s*([-+.\w]+)\s*")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


class Clause(NamedTuple):
    """One expectation, and what the run says about it."""

    text: str
    name: str
    wanted: float | str
    value: float | str
    ok: bool

    def __str__(self) -> str:
        value = self.value if isinstance(self.value, str) else "undefined" if math.isnan(self.value) else f"{self.value:g}"
        return f"{self.text}: {self.name} is {value}"


def parse(text: str) -> list[tuple[str, str, str, float | str]]:
    """Return (clause, name, comparison, wanted value) for each clause of `text`.

    Parameters
    ----------
    text : str
        Clauses separated by commas: a measure, one of ``< <= > >= == !=``, and a number (``inf`` included); or
        ``kind`` with ``==`` or ``!=`` and a verdict.

    Raises
    ------
    InputError
        If a clause is none, or its value is not what its name asks for.
    """
    out: list[tuple[str, str, str, float | str]] = []
    for clause in text.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            example = "write it like 'settling_s < 60, overshoot_bp < 200'"
            raise InputError("expect", f"{clause.strip()!r} is not understood", example)
        name, comparison, word = match.groups()
        if name == "kind":
            if comparison not in ("==", "!="):
                raise InputError("expect", f"{clause.strip()!r} orders verdicts", "compare kind with == or !=")
            if word not in KINDS:
                raise InputError("expect", f"{word!r} is not a verdict", suggest(word, KINDS))
            out.append((clause.strip(), name, comparison, word))
            continue
        try:
            wanted = float(word)
        except ValueError:
            wanted = math.nan
        if math.isnan(wanted):
            raise InputError("expect", f"{word!r} in {clause.strip()!r} is not a number", "write a plain number")
        out.append((clause.strip(), name, comparison, wanted))
    return out


def values_of(ds: xr.Dataset, *, target_bp: float | None = None, node: int | None = None) -> dict[str, float]:
    """Return the numbers that expectations can name: the scalar `measures`, and ``residual_mib_s``.

    Parameters
    ----------
    ds : xarray.Dataset
        A run of any kind.
    target_bp, node : float, int, optional
        See `measures`.

    Returns
    -------
    dict of str to float
    """
    found = measures(ds, target_bp=target_bp, node=node)
    out = {name: float(value) for name, value in found.items() if isinstance(value, (int, float))}
    if "residual_pages_per_s" in out:
        out["residual_mib_s"] = residual_mib_s(ds, out)
    return out


def residual_mib_s(ds: xr.Dataset, measured: Mapping[str, Any]) -> float:
    """Return the migration at the end of a run in MiB/s, from its `measures`."""
    return float(measured["residual_pages_per_s"]) * int(ds.attrs.get("page_bytes", PAGE_SZ)) / MIB


def expect(ds: xr.Dataset, text: str, *, target_bp: float | None = None, node: int | None = None) -> list[Clause]:
    """Return whether a run meets each expectation of a line of text, and what it says instead.

    Parameters
    ----------
    ds : xarray.Dataset
        A run of any kind that `measures` knows.
    text : str
        See `parse`. A measure that is undefined (nan) meets no expectation.
    target_bp, node : float, int, optional
        See `measures`.

    Returns
    -------
    list of Clause
        In the order of the text.

    Raises
    ------
    InputError
        If `text` is not understood or names no measure.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.loop.run("temporal", 4000, 1_000_000, 0, cap_bytes=100 << 20)
    >>> [(clause.ok, str(clause)) for clause in tm.analysis.expect(ds, "overshoot_bp < 100")]
    [(True, 'overshoot_bp < 100: overshoot_bp is 96')]
    """
    wanted = parse(text)
    values: dict[str, float] = {}
    if any(name != "kind" for _, name, _, _ in wanted):
        values = values_of(ds, target_bp=target_bp, node=node)
    out = []
    for clause, name, comparison, value in wanted:
        if name != "kind" and name not in values:
            raise InputError("expect", f"{name!r} is not a measure of this run", suggest(name, [*values, "kind"]))
        found: float | str = verdict(ds, target_bp=target_bp, node=node).kind if name == "kind" else values[name]
        out.append(Clause(clause, name, value, found, bool(_COMPARE[comparison](found, value))))
    return out
