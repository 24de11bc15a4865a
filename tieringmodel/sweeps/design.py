"""Which points a sweep runs: grids, zipped columns, Latin hypercubes and Sobol sequences over scenario paths."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import instance, whole
from ..errors import InputError
from ..fields import _BY_SUFFIX, _plain, suggest
from ..scenario import Scenario
from ..scenario.paths import SEED, normal, read_path, seed_of, with_paths

RESERVED = ("time", "done", "error")
MOST_POINTS = 1_000_000


@dataclass(frozen=True)
class Axis:
    """One dimension of a design: columns of equal length that change together.

    Attributes
    ----------
    name : str
        Dimension in the result.
    columns : dict of str to tuple
        Values by scenario path; ``"seed"`` is the runs' seed.
    """

    name: str
    columns: Mapping[str, tuple[Any, ...]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


@dataclass(frozen=True)
class Design:
    """Points of a sweep: every combination of the positions along its axes. ``a * b`` combines two designs.

    Attributes
    ----------
    axes : tuple of Axis
        The last one varies fastest.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> design = tm.Design.grid({"machine.migrate_ns_per_page": [0, 1240]}) * tm.Design.grid({"seed": range(3)})
    >>> design.size, design.at(4)
    (6, {'machine.migrate_ns_per_page': 1240, 'seed': 1})
    """

    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        paths = [p for a in self.axes for p in a.columns]
        names = [a.name for a in self.axes]
        if not paths:
            raise InputError("design", "has no axis", "give at least one path and its values")
        for k, path in enumerate(paths):
            for other in paths[:k]:
                if path == other or path.startswith(other + ".") or other.startswith(path + "."):
                    raise InputError(path, f"is changed by two axes ({other})", "let one axis change it")
        for name in names:
            if names.count(name) > 1 or name in RESERVED:
                raise InputError(name, "cannot be this axis's name", "give the axis another one: name='…'")
        if self.size > MOST_POINTS:
            raise InputError("design", f"has {self.size} points", f"stay below {MOST_POINTS}")

    @classmethod
    def grid(cls, axes: Mapping[Any, Any]) -> Design:
        """Return every combination of values.

        Parameters
        ----------
        axes : mapping
            Scenario path to list of values, such as ``{"contexts.0.schemes.0.quota.sz_bytes": ["1 MiB", "4 MiB"]}``;
            ``"seed"`` for seeds. A tuple of paths with a list of tuples is one axis along which they change together.

        Raises
        ------
        InputError
            If a value is no list, is empty, or a path stands in two axes.
        """
        made: list[Axis] = []
        for key, values in instance("design", axes, Mapping, "give values by path, or a Design").items():  # type: ignore[type-abstract]
            if isinstance(key, tuple):
                rows = _list(" + ".join(map(str, key)), values)
                if any(not isinstance(r, (tuple, list)) or len(r) != len(key) for r in rows):
                    raise InputError(" + ".join(map(str, key)), "has a row of another length", f"give {len(key)} values each")
                name = "zip" if all(a.name != "zip" for a in made) else f"zip_{len(made)}"
                made += cls.zip({p: [r[k] for r in rows] for k, p in enumerate(key)}, name=name).axes
            else:
                path = normal(key)
                made.append(Axis(path, {path: _list(path, values)}))
        return cls(tuple(made))

    @classmethod
    def zip(cls, columns: Mapping[str, Any], *, name: str = "zip") -> Design:
        """Return one axis along which several paths change together: first values, second values, and so on.

        Parameters
        ----------
        columns : mapping of str to list
            Values by path, all of one length.
        name : str
            Dimension in the result.

        Raises
        ------
        InputError
            If the lengths differ.
        """
        made = {normal(p): _list(normal(p), v) for p, v in columns.items()}
        lengths = {p: len(v) for p, v in made.items()}
        if len({*lengths.values()}) > 1:
            said = ", ".join(f"{p}: {n}" for p, n in lengths.items())
            raise InputError(name, f"has columns of different lengths ({said})", "give as many values for each path")
        return cls((Axis(name, made),) if made else ())

    @classmethod
    def latin_hypercube(cls, ranges: Mapping[str, Any], n: int, *, seed: int = 0, name: str = "point") -> Design:
        """Return `n` points that fill a box evenly along each of its sides.

        Parameters
        ----------
        ranges : mapping of str to tuple or list
            ``(low, high)``, both included, or ``(low, high, "log")`` for equal ratios; a list is a set of choices.
            Whole numbers and texts with a unit give whole numbers, a float in the pair gives floats.
        n : int
            Points.
        seed : int
            Of the design, not of the runs.
        name : str
            Dimension in the result.

        Raises
        ------
        InputError
            If a range is none.

        Notes
        -----
        `scipy.stats.qmc.LatinHypercube`.
        """
        from scipy.stats import qmc

        n = whole("n", n, 1, MOST_POINTS)
        return _filled(ranges, n, lambda d: qmc.LatinHypercube(d, rng=seed).random(n), name)

    @classmethod
    def sobol(cls, ranges: Mapping[str, Any], n: int, *, seed: int = 0, name: str = "point") -> Design:
        """Return the first `n` points of a scrambled Sobol sequence in a box.

        Parameters
        ----------
        ranges : mapping of str to tuple or list
            As in `latin_hypercube`.
        n : int
            Points, a power of two: only those are balanced.
        seed : int
            Of the scrambling.
        name : str
            Dimension in the result.

        Raises
        ------
        InputError
            If `n` is no power of two or a range is none.

        Notes
        -----
        `scipy.stats.qmc.Sobol`.
        """
        from scipy.stats import qmc

        n = whole("n", n, 1, MOST_POINTS)
        if n & (n - 1):
            near = f"{1 << (n.bit_length() - 1)} or {1 << n.bit_length()}"
            raise InputError("n", f"{n} is not a power of two, so a Sobol design would be lopsided", f"write {near}")
        return _filled(ranges, n, lambda d: qmc.Sobol(d, rng=seed).random(n), name)

    def named(self, axes: Mapping[str, str]) -> Design:
        """Return the design with names for some of its axes.

        Parameters
        ----------
        axes : mapping of str to str
            Path by name: ``{"quota": "contexts.0.schemes.0.quota.sz_bytes"}`` makes the axis that changes the path the
            dimension ``quota``.

        Raises
        ------
        InputError
            If no axis changes a path, or a name is a path's.
        """
        given = instance("axes", axes, Mapping, "give paths by name")  # type: ignore[type-abstract]
        wanted = {normal(path): name for name, path in given.items()}
        known = [p for a in self.axes for p in a.columns]
        for path, name in wanted.items():
            if path not in known:
                raise InputError(f"axes[{name!r}]", f"no axis changes {path}", suggest(path, known))
            if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_]\w*", name):
                raise InputError("axes", f"{name!r} is no name", "write a word, e.g. quota")
        new = [next((wanted[p] for p in a.columns if p in wanted), a.name) for a in self.axes]
        return Design(tuple(Axis(name, a.columns) for name, a in zip(new, self.axes, strict=True)))

    def __mul__(self, other: Design) -> Design:
        return Design(self.axes + other.axes)

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the axes."""
        return tuple(a.name for a in self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(len(a) for a in self.axes)

    @property
    def size(self) -> int:
        """Number of points."""
        return math.prod(self.shape)

    def at(self, point: int) -> dict[str, Any]:
        """Return what a point changes, value by path."""
        where = np.unravel_index(point, self.shape)
        return {p: v[int(k)] for a, k in zip(self.axes, where, strict=True) for p, v in a.columns.items()}

    def to_json(self) -> str:
        """Return the design as one line of JSON.

        Raises
        ------
        InputError
            If a value has no form in JSON.
        """
        columns = ({p: [_json_form(p, x) for x in v] for p, v in a.columns.items()} for a in self.axes)
        return json.dumps([{"name": a.name, "columns": c} for a, c in zip(self.axes, columns, strict=True)])

    def checked(self, scenario: Scenario) -> Design:
        """Return the design with its values as the scenario's fields hold them: ``"1 MiB"`` is 1048576.

        Every point's scenario is made once, so that mistakes show before anything runs.

        Raises
        ------
        InputError
            If a path leads nowhere, or no point accepts one of the values.
        """
        settings = [a for a in self.axes if [*a.columns] != [SEED]]
        outer = Design(tuple(settings)) if settings else None
        held: dict[str, list[Any]] = {p: [None] * len(a) for a in self.axes for p in a.columns}
        known = {a.name: np.zeros(len(a), bool) for a in self.axes}
        refused: dict[tuple[str, int], InputError] = {}
        for point in range(outer.size) if outer else ():
            assert outer is not None
            where = dict(zip(outer.dims, map(int, np.unravel_index(point, outer.shape)), strict=True))
            try:
                changed = with_paths(scenario, {p: v for p, v in outer.at(point).items() if p != SEED})
            except InputError as error:
                for item in where.items():
                    refused.setdefault(item, error)
                continue
            for axis in settings:
                k = where[axis.name]
                if not known[axis.name][k]:
                    known[axis.name][k] = True
                    for p in axis.columns:
                        held[p][k] = read_path(changed, p) if p != SEED else None
        for axis in settings:
            for missing in np.flatnonzero(~known[axis.name]):
                raise refused[axis.name, int(missing)]
        columns = ({p: held[p] if p != SEED else [*map(seed_of, v)] for p, v in a.columns.items()} for a in self.axes)
        return Design(tuple(Axis(a.name, {p: tuple(v) for p, v in c.items()}) for a, c in zip(self.axes, columns, strict=True)))

    def coordinates(self) -> dict[str, tuple[str, npt.NDArray[Any]]]:
        """Return (dimension, values) by path; what is no number, truth value or text becomes its JSON.

        Raises
        ------
        InputError
            If an axis of one path has a value twice.
        """
        out: dict[str, tuple[str, npt.NDArray[Any]]] = {}
        for axis in self.axes:
            for p, values in axis.columns.items():
                column = _column(values)
                if len(axis.columns) == 1 and np.unique(column).size < column.size:
                    raise InputError(p, "has the same value twice", "give each value once")
                named = len(axis.columns) == 1 and axis.name not in ("zip", "point", p)
                out[axis.name if named else p] = (axis.name, column)
        return out


def _list(path: str, values: Any) -> tuple[Any, ...]:
    if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__iter__"):
        raise InputError(path, f"{values!r} is not a list of values", "write a list")
    if hasattr(values, "__len__") and len(values) > MOST_POINTS:
        raise InputError(path, f"has {len(values)} values", f"stay below {MOST_POINTS}")
    made = tuple(v.item() if isinstance(v, np.generic) else v for v in values)
    if not made:
        raise InputError(path, "has no values", "give at least one")
    return made


def _filled(ranges: Mapping[str, Any], n: int, draw: Callable[[int], npt.NDArray[np.float64]], name: str) -> Design:
    spread = {normal(p): _spread(normal(p), r) for p, r in ranges.items()}
    if not spread:
        raise InputError("ranges", "is empty", "give at least one path and its range")
    unit = draw(len(spread))
    return Design.zip({p: [f(float(u)) for u in unit[:, k]] for k, (p, f) in enumerate(spread.items())}, name=name)


def _spread(path: str, given: Any) -> Callable[[float], Any]:
    """Return how a number in [0, 1) becomes a value of a range."""
    if isinstance(given, list):
        choices = _list(path, given)
        return lambda u: choices[int(u * len(choices))]
    remedy = "write (low, high), (low, high, 'log'), or a list of choices"
    if not isinstance(given, tuple) or len(given) not in (2, 3) or given[2:] not in ((), ("log",)):
        raise InputError(path, f"{given!r} is not a range", remedy)
    parser = next((p for suffix, p in _BY_SUFFIX if path.endswith(suffix)), None)
    ends = [parser(x, path) if parser else x for x in given[:2]]
    log = len(given) == 3
    if any(isinstance(x, bool) or not isinstance(x, (int, float, np.number)) for x in ends):
        raise InputError(path, f"{given!r} is not a range", remedy)
    low, high = ends
    if not math.isfinite(high - low) or not low < high or (log and low <= 0):
        raise InputError(path, f"{given!r} is not a range", "the first number must be the smaller one, above 0 for 'log'")
    if all(isinstance(x, (int, np.integer)) for x in ends):
        low, high = int(low), int(high)
        if log:  # half a step at either end, so that the ends are as likely as the rest
            a, b = math.log(low - 0.5), math.log(high + 0.5)
            return lambda u: min(max(round(math.exp(a + u * (b - a))), low), high)
        return lambda u: min(low + int(u * (high - low + 1)), high)
    if log:
        return lambda u: float(low * (high / low) ** u)
    return lambda u: float(low + u * (high - low))


def spaced(path: str, low: Any, high: Any, n: int, *, log: bool = False) -> list[Any]:
    """Return `n` values from one to another, both included, at equal distances or ratios; whole numbers where both are.

    Parameters
    ----------
    path : str
        The field that is varied; its name has the unit of ends that are text.
    low, high : int, float or str
        The ends.
    n : int
        How many, two or more; of whole numbers that fall together one is kept.
    log : bool
        Equal ratios in place of equal distances.

    Raises
    ------
    InputError
        If the ends are none, or there are too few values or too many.

    Examples
    --------
    >>> from tieringmodel.sweeps.design import spaced
    >>> spaced("schemes.*.quota.sz_bytes", "1 MiB", "4 MiB", 3, log=True)
    [1048576, 2097152, 4194304]
    """
    _spread(path, (low, high, "log") if log else (low, high))
    if not 2 <= n <= MOST_POINTS:
        raise InputError(path, f"{n} values", f"write 2 to {MOST_POINTS}")
    parser = next((p for suffix, p in _BY_SUFFIX if path.endswith(suffix)), None)
    first, last = (parser(x, path) if parser else x for x in (low, high))
    made = (np.geomspace if log else np.linspace)(float(first), float(last), n).tolist()
    if isinstance(first, int) and isinstance(last, int):
        return [*dict.fromkeys([first, *map(round, made[1:-1]), last])]
    return [float(first), *made[1:-1], float(last)]


def _json_form(path: str, value: Any) -> Any:
    form = _plain(value)
    try:
        json.dumps(form)
    except (TypeError, ValueError):
        raise InputError(path, f"{value!r} cannot be written down", "use numbers, texts or parts of a scenario") from None
    return form


def _column(values: Sequence[Any]) -> npt.NDArray[Any]:
    """Return values as an array: numbers, truth values and texts as such, anything else as its JSON."""
    kinds = {type(v) for v in values}
    if kinds == {bool}:
        return np.array(values, bool)
    if kinds == {int}:
        return np.array(values, np.int64 if max(values) < 2**63 else np.uint64)
    if kinds == {float}:
        return np.array(values, np.float64)
    told = [_plain(v) for v in values]
    if all(isinstance(text, str) for text in told):
        return np.array(told, dtype=str)
    return np.array([json.dumps(one, sort_keys=True) for one in told], dtype=str)
