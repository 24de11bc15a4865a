"""Sweeps of the loop by named axes: a whole grid in one kernel call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import choice, mapping
from ..errors import InputError
from .arguments import NO_LIMIT
from .grid import run_many

if TYPE_CHECKING:
    import xarray as xr

_WORDS = {"tuner": ("consist", "temporal"), "direction": ("in", "out")}
_UNITS = {
    "target_bp": "bp", "clamp_bp": "bp", "noise_bp": "bp", "n_pages": "pages", "start_pages": "pages", "leak_pages": "pages",
    "capacity_pages": "pages", "cap_bytes": "bytes", "esz_bp0": "bytes/10000", "delay": "windows", "windows": "windows",
}  # fmt: skip


def sweep(axes: Mapping[Any, Any], **fixed: Any) -> xr.Dataset:
    """Run the loop at every combination of values and keep final values and summary measures.

    Parameters
    ----------
    axes : mapping
        Argument of `run` to list of values; each is a dimension of the result, in this order. A tuple of arguments with a
        list of tuples changes together along one dimension, ``"zip"``. Noise of equal seeds is the same at every point.
    **fixed : int, float, bool or str
        The other arguments of `run`.

    Returns
    -------
    xarray.Dataset
        ``kind`` "loop_sweep": the variables of `run_many`, every varied argument a coordinate. "No cap" and the like are
        the number that stands for them: 2**64 - 1, 10000 bp, 2**42 pages.

    Raises
    ------
    InputError
        When an argument is missing, unknown, given twice, or outside its bounds.

    Notes
    -----
    Every point equals `run` with its arguments. One kernel call for each combination of tuner and direction.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.loop.sweep({"target_bp": [2000, 4000]}, tuner="temporal", n_pages=100_000, start_pages=0, cap_bytes=4 << 20)
    >>> ds.final_pages.values.tolist()
    [20480, 40960]
    """
    import xarray as xr

    columns = _columns(axes)
    names = [n for c in columns.values() for n in c]
    for name in names:
        if names.count(name) > 1 or name in fixed:
            raise InputError(name, "is given twice", "vary it along one axis or fix it")
    shape = tuple(len(next(iter(c.values()))) for c in columns.values())
    spread = {
        n: np.asarray(values).reshape([-1 if k == j else 1 for j in range(len(shape))])
        for k, c in enumerate(columns.values())
        for n, values in c.items()
    }
    choices = {n: spread.pop(n, np.array(fixed.pop(n, None if n == "tuner" else "in"))) for n in _WORDS}
    for name, options in _WORDS.items():
        if choices[name].size == 0:
            raise InputError(name, "names nothing", f"use one of {', '.join(options)}")
        for word in choices[name].ravel().tolist():
            choice(name, word, options)
    chosen = {n: np.broadcast_to(w, shape) for n, w in choices.items()}
    results: dict[str, Any] = {}
    about: dict[str, dict[str, Any]] = {}
    for tuner, direction in product(*_WORDS.values()):
        here = (chosen["tuner"] == tuner) & (chosen["direction"] == direction)
        if not here.any():
            continue
        picked = {n: np.broadcast_to(v, shape)[here] for n, v in spread.items()}
        part = run_many(tuner, direction=direction, **picked, **fixed)
        for key, variable in part.data_vars.items():
            array = results.setdefault(str(key), np.empty(shape, variable.dtype))
            array[here] = variable.values
            about[str(key)] = {str(k): v for k, v in variable.attrs.items()}
    dims = tuple(columns)
    coords = {
        n: ((dim,), values, {"units": _UNITS.get(n, "1"), "long_name": n})
        for dim, c in columns.items()
        for n, values in c.items()
    }
    given = {n: w.item() for n, w in choices.items() if not w.ndim} | fixed
    attrs = {"kind": "loop_sweep", "source": "tieringmodel.loop.sweep", "parameters": json.dumps(given, default=float)}
    return xr.Dataset({n: (dims, v, about[n]) for n, v in results.items()}, coords, attrs)


def _columns(axes: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Return values by dimension and argument."""
    if not mapping("axes", axes, "give values by argument"):
        raise InputError("axes", "is empty", "give at least one argument and its values")
    out: dict[str, dict[str, Any]] = {}
    for key, values in axes.items():
        if isinstance(values, (str, bytes)) or not hasattr(values, "__len__") or not len(values):
            raise InputError(str(key), f"{values!r} is not a list of values", "write a list")
        if isinstance(key, tuple):
            if any(not isinstance(row, (tuple, list)) or len(row) != len(key) for row in values):
                raise InputError(" + ".join(map(str, key)), "has a row of another length", f"give {len(key)} values each")
            name = "zip" if "zip" not in out else f"zip_{len(out)}"
            out[name] = {n: _values(n, [row[k] for row in values]) for k, n in enumerate(key)}
        else:
            out[key] = {key: _values(key, list(values))}
    return out


def _values(name: str, values: list[Any]) -> Any:
    if name in _WORDS:
        return np.array([str(v) for v in values])
    # A list of numbers beyond 63 bits beside small ones would become floats.
    limit = NO_LIMIT.get(name)
    plain = [limit if v is None and limit is not None else v for v in values]
    big = name in ("cap_bytes", "esz_bp0", "seed") and all(isinstance(v, (int, np.integer)) and v >= 0 for v in plain)
    return np.array(plain, np.uint64) if big and max(plain) < 2**64 else np.array(plain)
