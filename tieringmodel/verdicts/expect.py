"""Expectations about a run in a line of text, for tests and for exit codes: ``"settling_s < 60, overshoot_bp < 200"``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import checks
from ..errors import InputError
from ..fields import suggest
from ..units import MIB, PAGE_SZ
from .explained import CAUSES
from .goal_course import courses
from .judge import KINDS, Verdict, verdict
from .measures import measured
from .page_run import PageRun
from .run_view import judged_by
from .scheme_facts import weights_error_bp
from .target import need_dataset
from .thresholds import RunThresholds

if TYPE_CHECKING:
    import xarray as xr

_COMPARED = r"\s*(<=|>=|==|!=|<|>)\s*([-+.\w]+)\s*"
_CLAUSE = re.compile(r"\s*([a-z_][a-z_0-9]*)" + _COMPARED)
_OVER = re.compile(r"\s*(p\d{1,3}|min|max|mean|median)\(\s*([a-z_][a-z_0-9]*)\s*\)" + _COMPARED)
_SHARE = re.compile(r"\s*share\(([^()]*)\)" + _COMPARED)
_WORDS = ("kind", "cause")
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


def parse(text: str, where: str = "expect") -> list[tuple[str, str, str, float | str]]:
    """Return (clause, name, comparison, wanted value) for each clause of `text`.

    Parameters
    ----------
    text : str
        Clauses separated by commas: a measure, one of ``< <= > >= == !=``, and a number (``inf`` included); or ``kind`` or
        ``cause`` with ``==`` or ``!=`` and a verdict's kind, or the code of its first cause. Over several runs:
        ``p95(measure)``, ``min``, ``max``, ``mean`` and ``median``, and ``share(clause)``, the share of runs that meet it.
    where : str
        Names it in errors.

    Raises
    ------
    InputError
        If a clause is none, or its value is not what its name asks for.
    """
    out: list[tuple[str, str, str, float | str]] = []
    for clause in checks.text("expect", text).split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None and (over := _several(clause, where)):
            out.append(over)
            continue
        if match is None:
            example = "write it like 'settling_s < 60, overshoot_bp < 200'"
            raise InputError(where, f"{clause.strip()!r} is not understood", example)
        name, comparison, word = match.groups()
        if name in _WORDS:
            if comparison not in ("==", "!="):
                raise InputError(where, f"{clause.strip()!r} orders verdicts", f"compare {name} with == or !=")
            known = KINDS if name == "kind" else tuple(CAUSES)
            if word not in known:
                raise InputError(where, f"{word!r} is not a {'verdict' if name == 'kind' else name}", suggest(word, known))
            out.append((clause.strip(), name, comparison, word))
            continue
        try:
            wanted = float(word)
        except ValueError:
            wanted = math.nan
        if math.isnan(wanted):
            raise InputError(where, f"{word!r} in {clause.strip()!r} is not a number", "write a plain number")
        out.append((clause.strip(), name, comparison, wanted))
    return out


def _several(clause: str, where: str) -> tuple[str, str, str, float | str] | None:
    """Return what a clause over several runs says; None if it is none."""
    if match := _OVER.fullmatch(clause):
        function, measure, comparison, word = match.groups()
        if function[1:].isdigit() and int(function[1:]) > 100:
            raise InputError(where, f"{function} is no percentile", "write p0 … p100")
        name = f"{function}({measure})"
    elif match := _SHARE.fullmatch(clause):
        inner, comparison, word = match.groups()
        ((told, *_),) = parse(inner, where)
        name = f"share({told})"
    else:
        return None
    try:
        wanted = float(word)
    except ValueError:
        raise InputError(where, f"{word!r} in {clause.strip()!r} is not a number", "write a plain number") from None
    return clause.strip(), name, comparison, wanted


def is_over_several(name: str) -> bool:
    """Tell whether a clause's name asks for a number over several runs."""
    return name.endswith(")")


def over_runs(name: str, runs: Sequence[Mapping[str, Any]], where: str = "expect") -> float:
    """Return a number over several runs: ``"p95(overshoot_bp)"``, ``"share(kind == converged)"``.

    Parameters
    ----------
    name : str
        As `parse` returns it.
    runs : sequence of mapping
        Values of each run by name.
    where : str
        Names the clause in errors.

    Returns
    -------
    float
        A percentile is the smallest value that as many percent of the runs do not exceed, one that occurred. Undefined (nan)
        where a run's value is.

    Raises
    ------
    InputError
        If a run has no such measure.
    """
    function, _, inner = name[:-1].partition("(")
    if function == "share":
        return sum(compared(parse(inner), run, where)[0].ok for run in runs) / len(runs)
    for run in runs:
        if inner not in run or isinstance(run[inner], str):
            known = [n for n, value in run.items() if not isinstance(value, str)]
            raise InputError(where, f"{inner!r} is not a measure of this run", suggest(inner, known))
    values = sorted(float(run[inner]) for run in runs)
    if any(map(math.isnan, values)):
        return math.nan
    if function == "mean":
        return math.fsum(values) / len(values)
    percent = {"min": 0, "max": 100, "median": 50}.get(function)
    rank = math.ceil(len(values) * (int(function[1:]) if percent is None else percent) / 100)
    return values[max(rank - 1, 0)]


def expect_of_runs(runs: Sequence[Mapping[str, Any]], text: str, shown: int = 0) -> list[Clause]:
    """Return whether several runs meet expectations: those over several of all runs, others of the run that is shown.

    Parameters
    ----------
    runs : sequence of mapping
        Values of each run by name, ``kind`` and ``cause`` among them.
    text : str
        See `parse`.
    shown : int
        Which run.

    Raises
    ------
    InputError
        As `expect`.
    """
    return _met(parse(text), runs, shown)


def _met(wanted: list[tuple[str, str, str, float | str]], runs: Sequence[Mapping[str, Any]], shown: int) -> list[Clause]:
    several = {name: over_runs(name, runs) for _, name, _, _ in wanted if is_over_several(name)}
    return compared(wanted, {**runs[shown], **several})


def values_of(
    ds: xr.Dataset, *, target_bp: float | None = None, node: int | None = None, found: Verdict | None = None
) -> dict[str, float]:
    """Return the numbers that expectations can name: the scalar `measures`, and those of the verdict.

    Parameters
    ----------
    ds : xarray.Dataset
        A run of any kind.
    target_bp, node : float, int, optional
        See `measures`.
    found : Verdict, optional
        The verdict on the run, if it is known.

    Returns
    -------
    dict of str to float
        A page-level run without a target of the caller's own has what its verdict says: ``settling_s`` (inf = never),
        ``last_move_s`` (nan = nothing ever moved), ``residual_mib_s``, ``abs_error_bp`` (mean distance in the tail of the
        controlled shares from where they should be), and ``hot_share_node0``, … (bp, at the end), with the scalar `measures`
        where a share is controlled, whose tail is the verdict's.
    """
    if ds.attrs.get("kind") != "simulation" or target_bp is not None:
        return _measured(ds, target_bp, node)
    found = verdict(ds) if found is None else found
    try:
        out = _measured(ds, None, node, float(found.numbers["tail_s"]))
    except InputError:  # no share is controlled
        out = {}
    return out | {
        "settling_s": math.inf if found.settling_s is None else found.settling_s,
        "last_move_s": math.nan if found.last_move_s is None else found.last_move_s,
        "residual_mib_s": found.residual_mib_s,
        "abs_error_bp": _abs_error_bp(ds, found),
        **{f"hot_share_node{nid}": math.nan if bp is None else bp for nid, bp in found.hot_share_bp.items()},
    }


def everything_of(ds: xr.Dataset, found: Verdict) -> dict[str, Any]:
    """Return all that expectations of a run can name: its numbers, and the kind and first cause of the verdict on it."""
    return {"kind": found.kind, "cause": found.code} | values_of(ds, found=found)


def _measured(ds: xr.Dataset, target_bp: float | None, node: int | None, tail_s: float | None = None) -> dict[str, float]:
    _, view, reference = judged_by(ds, node, target_bp)
    options = {}
    if tail_s is not None:
        windows = view.moved.size
        tail = min(max(round((1 - tail_s / float(ds.attrs["duration_s"])) * windows), 1), windows)
        options = {"tail_windows": tail, "hold_windows": tail}
    found = measured(view, reference, n_resamples=0, **options)  # intervals are no numbers to compare
    out = {name: float(value) for name, value in found.items() if isinstance(value, (int, float))}
    if "residual_pages_per_s" in out:
        out["residual_mib_s"] = out["residual_pages_per_s"] * int(ds.attrs.get("page_bytes", PAGE_SZ)) / MIB
    return out


def _abs_error_bp(ds: xr.Dataset, found: Verdict) -> float:
    """Return the mean distance of the controlled shares in the tail from where they should be; of several, the largest."""
    run = PageRun(ds, RunThresholds())
    late = run.time >= float(found.numbers["tail_s"])
    errors = [abs(off[0]) for s in run.schemes if s.acts and s.scheme.dests and (off := weights_error_bp(run, s))]
    for goal in courses(run):
        if goal.of.acts and goal.is_share and (distance := goal.distance(late)) is not None:
            errors.append(distance)
    return max(errors, default=math.nan)


def expect(
    ds: xr.Dataset, text: str, *, target_bp: float | None = None, node: int | None = None, found: Verdict | None = None
) -> list[Clause]:
    """Return whether a run meets each expectation of a line of text, and what it says instead.

    Parameters
    ----------
    ds : xarray.Dataset
        A run of any kind that `measures` knows.
    text : str
        See `parse`. A measure that is undefined (nan) meets no expectation.
    target_bp, node : float, int, optional
        See `measures`.
    found : Verdict, optional
        The verdict on the run by that target and node, if it is known.

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
    need_dataset(ds)
    if found is None and _judged(ds, target_bp, wanted):
        found = verdict(ds, target_bp=target_bp, node=node, check_fix=False)
    values: dict[str, Any] = {} if found is None else {"kind": found.kind, "cause": found.code}
    if any(name not in _WORDS for _, name, _, _ in wanted):
        values |= values_of(ds, target_bp=target_bp, node=node, found=found)
    return _met(wanted, [values], 0)


def compared(wanted: list[tuple[str, str, str, float | str]], values: Mapping[str, Any], where: str = "expect") -> list[Clause]:
    """Return whether values meet what `parse` read; `where` names it in errors.

    Raises
    ------
    InputError
        If a clause names none of the values.
    """
    out = []
    for clause, name, comparison, value in wanted:
        if name not in values:
            known = dict.fromkeys([*(n for n, known in values.items() if not isinstance(known, str)), *_WORDS])
            raise InputError(where, f"{name!r} is not a measure of this run", suggest(name, known))
        out.append(Clause(clause, name, value, values[name], bool(_COMPARE[comparison](values[name], value))))
    return out


def _judged(ds: xr.Dataset, target_bp: float | None, wanted: list[tuple[str, str, str, float | str]]) -> bool:
    """Return whether the verdict is asked for: by name, as a share of runs, or for a page-level run's numbers."""
    own = ds.attrs.get("kind") == "simulation" and target_bp is None
    return own or any(name in _WORDS or is_over_several(name) for _, name, _, _ in wanted)
