"""The arrays of a sweep in memory: filled point by point, laid out by the first point that came out well."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .design import Design
from .point import MEASURES, Outcome
from .store import fill_of

if TYPE_CHECKING:
    import xarray as xr

SOURCE = "tieringmodel.sweep"
EXACT = 2**53
"""Up to here every whole number is a float."""
Variable = tuple[tuple[str, ...], npt.NDArray[Any], dict[str, Any]]


class Results:
    """Every point's values.

    What the variables are, and whether they are numbers, truth values or texts, is up to the point of lowest number without
    an error: results of later ones wait until it is known, so that the order in which points finish decides nothing. Whole
    numbers become fractions where any point has a fraction.

    Parameters
    ----------
    design : Design
        The sweep's points.
    time_s : ndarray of float64
        Times of the series.
    measure_name : str
        Who measures, for the variables' descriptions; empty for `MEASURES`.
    """

    def __init__(self, design: Design, time_s: npt.NDArray[np.float64], measure_name: str) -> None:
        self.design, self.time_s, self.measure_name = design, time_s, measure_name
        about = {"units": "1", "source": SOURCE}
        self.variables: dict[str, Variable] = {}
        self.coords: dict[str, Variable] = {}
        self.scalars: list[str] = []
        self.series: list[str] = []
        self.waiting: dict[int, Outcome] = {}
        self.known = False
        self.failed = 0
        self._add("done", np.dtype(bool), about | {"long_name": "the point has been run"})
        self._add("error", np.dtype(object), about | {"long_name": "what went wrong in the point"})

    def _add(self, name: str, dtype: np.dtype[Any], attrs: Mapping[str, Any], extra: Mapping[str, int] | None = None) -> None:
        extra = extra or {}
        shape = (*self.design.shape, *extra.values())
        self.variables[name] = ((*self.design.dims, *extra), np.full(shape, fill_of(dtype), dtype), dict(attrs))

    @property
    def done(self) -> npt.NDArray[np.bool_]:
        """Which points are finished."""
        return self.variables["done"][1]

    def restore(self, stored: Mapping[str, Variable], settings: set[str]) -> None:
        """Take over what a store holds; `settings` are its coordinates of the design."""
        if not stored["done"][1].any():
            return
        n = len(self.design.dims)
        for name, (dims, values, attrs) in stored.items():
            if name in settings:
                continue
            if dims[:n] != self.design.dims:
                self.coords[name] = dims, values, attrs
                continue
            self.variables[name] = dims, values, attrs
            if name not in ("done", "error"):
                (self.series if len(dims) > n else self.scalars).append(name)
                self.known = True
        self.scalars.sort(key=lambda name: [*MEASURES, name].index(name))
        self.failed = int((stored["error"][1] != "").sum())

    def put(self, point: int, outcome: Outcome) -> list[int]:
        """Take in a point; return the points that are finished by that, in order."""
        self.waiting[point] = outcome
        if not self.known:
            first = self._first()
            if first is None:
                return self._settle([k for k in self.waiting if self.waiting[k].error and self._all_failed_below(k)])
            self._lay_out(self.waiting[first])
        return self._settle([*self.waiting])

    def _all_failed_below(self, point: int) -> bool:
        flat = self.done.ravel()
        return all(flat[k] or (k in self.waiting and self.waiting[k].error) for k in range(point))

    def _first(self) -> int | None:
        """Return the point that decides what the variables are, if it is in."""
        good = min((k for k, outcome in self.waiting.items() if not outcome.error), default=None)
        return good if good is not None and self._all_failed_below(good) else None

    def _lay_out(self, outcome: Outcome) -> None:
        for name, value in outcome.values.items():
            dtype = np.dtype({bool: bool, int: np.int64, float: np.float64, str: object}[type(value)])
            units, text = MEASURES[name] if not self.measure_name else ("measure's own", f"{name} by {self.measure_name}")
            self._add(name, dtype, {"units": units, "long_name": text, "source": SOURCE})
            self.scalars.append(name)
        for name, series in outcome.series.items():
            name = self._series_name(name)
            sizes = dict(zip(series.dims, series.values.shape, strict=True))
            self._add(name, series.values.dtype, series.attrs, sizes)
            self.series.append(name)
            self.coords["time"] = ("time",), self.time_s, {"units": "s", "long_name": "simulated time"}
            for dim, values in series.coords.items():
                self.coords[dim] = (dim,), values, {"units": "1", "long_name": dim}
        self.known = True

    def _series_name(self, name: str) -> str:
        return f"{name}_series" if name in self.scalars else name

    def _settle(self, numbers: list[int]) -> list[int]:
        for point in numbers:
            outcome = self.waiting.pop(point)
            at = np.unravel_index(point, self.design.shape)
            text = outcome.error or self._misfit(outcome)
            if text:
                self.variables["error"][1][at] = text
                self.failed += 1
            else:
                for name, value in outcome.values.items():
                    if isinstance(value, float) and self.variables[name][1].dtype.kind == "i":
                        self._make_fractions(name)
                    self.variables[name][1][at] = value
                for name, series in outcome.series.items():
                    self.variables[self._series_name(name)][1][at] = series.values
            self.done[at] = True
        return sorted(numbers)

    def _make_fractions(self, name: str) -> None:
        """Turn a column of whole numbers into floats; points whose number no float holds fail, as they would after it."""
        dims, values, attrs = self.variables[name]
        known = self.done & (self.variables["error"][1] == "")
        for place in map(tuple, np.argwhere(known & (np.abs(values.astype(object)) > EXACT))):
            self.variables["error"][1][place] = _too_large(name, int(values[place]))
            self.failed += 1
            for other in (*self.scalars, *self.series):
                array = self.variables[other][1]
                array[place] = fill_of(array.dtype)
            known[place] = False
        self.variables[name] = dims, np.where(known, values, np.nan), attrs

    def _misfit(self, outcome: Outcome) -> str:
        """Return in what a point's results differ in kind from the first one's."""
        if {*outcome.values} != {*self.scalars}:
            return f"measure: returned {', '.join(outcome.values)}; the first point has {', '.join(self.scalars)}"
        for name, value in outcome.values.items():
            kind = self.variables[name][1].dtype.kind
            if isinstance(value, bool) != (kind == "b") or isinstance(value, str) != (kind == "O"):
                return f"measure: returned {name}={value!r}, another kind of value than in the first point"
            if kind == "f" and isinstance(value, int) and abs(value) > EXACT:
                return _too_large(name, value)
        for name, series in outcome.series.items():
            shape = self.variables[self._series_name(name)][1].shape[len(self.design.dims) :]
            if series.values.shape != shape:
                return f"series: {name!r} has shape {series.values.shape}, {shape} in the first point; sweep those apart"
        return ""

    def dataset(self, coords: Mapping[str, Variable], attrs: Mapping[str, Any]) -> xr.Dataset:
        """Return everything as one dataset."""
        import xarray as xr

        def text(v: Variable) -> Variable:
            dims, values, about = v
            return dims, values.astype(str) if values.dtype == object else values, about

        order = [*self.scalars, *self.series, "error", "done"]
        return xr.Dataset(
            {name: text(self.variables[name]) for name in order},
            {name: text(v) for name, v in {**coords, **self.coords}.items()},
            dict(attrs),
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the whole arrays by name."""
        return {name: values for name, (_, values, _) in self.variables.items()}


def _too_large(name: str, value: int) -> str:
    return f"measure: returned {name}={value}, too large for the float that other points have; return floats or texts in all"


def describe(design: Design, point: int) -> str:
    """Return a point in words: its place and what it changes."""
    axes = ", ".join(f"{p} = {v}" for p, v in design.at(point).items())
    return f"point {point} of {math.prod(design.shape)} ({axes})"
