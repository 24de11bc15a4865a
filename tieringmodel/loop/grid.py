"""Many loops at once: the same window step over a grid of parameters, summarised instead of traced."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..checks import choice, flag_array
from ..errors import InputError
from ..kernels import loop as kernels
from ..memory.need import check_bytes
from . import arguments as check
from .record import dataset

if TYPE_CHECKING:
    import xarray as xr

BYTES_OF_A_RUN = 32 * 8
"""An array per argument, and the results with what is derived from them."""

_DEFAULTS: dict[str, Any] = {
    "cap_bytes": None,
    "delay": 0,
    "leak_pages": 0,
    "leak_rate": 0.0,
    "capacity_pages": None,
    "clamp_bp": None,
    "early_exit": False,
    "noise_bp": 0.0,
    "windows": 400,
    "esz_bp0": 0,
    "seed": 0,
}
_REQUIRED = ("target_bp", "n_pages", "start_pages")


def tail_length(windows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how many last windows count as the tail: 100 or a fifth, whichever is more, and no more than there are."""
    return np.minimum(windows, np.maximum(100, -(-windows // 5)))


def _checked(name: str, value: Any) -> npt.NDArray[Any]:
    if name == "early_exit":
        return flag_array(name, value).copy()
    return check.real_array(name, value) if name in check.REAL else check.whole_array(name, value)


def _spread(array: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return an array's values for every run of a grid, as a new array or as the given one."""
    if array.shape == shape and array.ndim == 1:
        return array
    out = np.empty(shape, array.dtype)
    out[...] = array
    return out.ravel()


@cache
def _default(name: str) -> npt.NDArray[Any]:
    """Return an argument's default as an array; nobody writes to it."""
    return _checked(name, _DEFAULTS[name])


def run_many(
    tuner: str,
    target_bp: Any = None,
    n_pages: Any = None,
    start_pages: Any = None,
    *,
    direction: str = "in",
    **arrays: Any,
) -> xr.Dataset:
    """Run a grid of control loops in one kernel call and keep final values and summary measures only.

    Parameters
    ----------
    tuner : {"consist", "temporal"}
        Tuner of every run.
    target_bp, n_pages, start_pages : int or array
        As in `run`; scalars or arrays that broadcast against the others.
    direction : {"in", "out"}
        As in `run`, the same for every run.
    **arrays : int, float, bool or array
        Any other argument of `run`: cap_bytes, delay, leak_pages, leak_rate, capacity_pages, clamp_bp, early_exit,
        noise_bp, windows, esz_bp0, seed. Inside an array, "no cap" is ``2**64 - 1``, "no capacity limit" is n_pages
        and "no clamp" 10000.

    Returns
    -------
    xarray.Dataset
        ``kind`` "loop_grid" with dimensions grid_0, grid_1, … of the broadcast shape and each varied argument as a
        coordinate: final_pages, peak_pages, trough_pages, last_move_window, settling_window (2 % of the goal in force,
        no minimum stay), moved_pages, final_esz, and over the tail (last 100 windows or 20 %, whichever is more)
        tail_mean_pages, tail_low_pages, tail_high_pages, tail_moved_pages.

    Raises
    ------
    InputError
        When an argument is unknown, of the wrong kind, outside its bounds, or does not broadcast.

    Notes
    -----
    Every run equals `run` with the same arguments, noise included. Source: docs/theory/stability.md, sections 0 and 4.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.loop.run_many("temporal", 4000, 1_000_000, 0, cap_bytes=100 << 20, delay=[0, 1, 3])
    >>> ds.final_pages.values.tolist()
    [409600, 435200, 486400]
    """
    choice("tuner", tuner, ("consist", "temporal"))
    inward = choice("direction", direction, ("in", "out")) == "in"
    unknown = sorted(set(arrays) - set(_DEFAULTS))
    if unknown:
        raise InputError(unknown[0], "is not an argument of a loop", f"use one of {', '.join((*_REQUIRED, *_DEFAULTS))}")
    check.capacity_has_meaning(arrays.get("capacity_pages") is not None, inward)
    given = {"target_bp": target_bp, "n_pages": n_pages, "start_pages": start_pages, **_DEFAULTS, **arrays}
    for name in _REQUIRED:
        if given[name] is None:
            raise InputError(name, "is missing", check.WHOLE[name][2])
    checked = {
        name: _default(name) if name in _DEFAULTS and name not in arrays else _checked(name, given[name]) for name in given
    }
    try:
        shape = np.broadcast_shapes(*(array.shape for array in checked.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in checked.items() if array.ndim)
        raise InputError(
            "run_many", f"shapes do not broadcast ({shapes})", "give scalars or arrays of matching shape"
        ) from None
    check_bytes("run_many", math.prod(shape) * BYTES_OF_A_RUN, f"a grid of {math.prod(shape)} runs takes", "give fewer points")
    # An array per argument keeps the kernel's signature, and so its compiled form, the same for every grid.
    a = {name: _spread(array, shape) for name, array in checked.items()}
    worst = int(np.argmax(a["start_pages"] - a["n_pages"]))
    check.start_fits(int(a["start_pages"][worst]), int(a["n_pages"][worst]), check.MOST_PAGES, False)
    worst = int(np.argmax(a["start_pages"] - a["capacity_pages"]))
    check.start_fits(int(a["start_pages"][worst]), check.MOST_PAGES, int(a["capacity_pages"][worst]), inward)
    worst = int(np.argmax(a["n_pages"].astype(float) * a["windows"]))
    if int(a["n_pages"][worst]) * int(a["windows"][worst]) >= 2**63:
        raise InputError(
            "windows",
            f"{a['windows'][worst]} windows of {a['n_pages'][worst]} pages overflow the page sums",
            "use fewer windows or pages",
        )

    goal = np.minimum(a["target_bp"], a["clamp_bp"])
    wanted = goal * a["n_pages"]
    low, high = -(-98 * wanted // 1_000_000), 102 * wanted // 1_000_000
    tail = tail_length(a["windows"])
    runs = goal.size
    final, peak, trough, last_move, last_outside, moved, tail_pages, tail_low, tail_high, tail_moved = (
        np.empty(runs, np.int64) for _ in range(10)
    )
    final_esz = np.empty(runs, np.uint64)
    kernels.grid(
        tuner == "consist",
        inward,
        a["windows"],
        goal.astype(np.uint64),
        a["n_pages"],
        a["start_pages"],
        a["cap_bytes"],
        np.minimum(a["capacity_pages"], a["n_pages"]),
        a["early_exit"],
        np.minimum(a["delay"], a["windows"]),
        a["leak_pages"],
        a["leak_rate"],
        a["noise_bp"],
        a["seed"],
        a["esz_bp0"],
        low,
        high,
        tail,
        final,
        peak,
        trough,
        last_move,
        last_outside,
        moved,
        tail_pages,
        tail_low,
        tail_high,
        tail_moved,
        final_esz,
    )
    settling = np.where(last_outside < a["windows"], last_outside + 1, -1)
    results = {
        "final_pages": final,
        "peak_pages": peak,
        "trough_pages": trough,
        "last_move_window": last_move,
        "settling_window": settling,
        "moved_pages": moved,
        "final_esz": final_esz,
        "tail_mean_pages": tail_pages / tail,
        "tail_low_pages": tail_low,
        "tail_high_pages": tail_high,
        "tail_moved_pages": tail_moved / tail,
    }
    dims = tuple(f"grid_{axis}" for axis in range(len(shape)))
    varied = {name: (dims, a[name].reshape(shape)) for name, array in checked.items() if array.ndim}
    parameters = {
        "tuner": tuner,
        "direction": direction,
        **{name: np.asarray(given[name]) if name in varied else given[name] for name in given},
    }
    return dataset("loop_grid", parameters, {name: (dims, values.reshape(shape)) for name, values in results.items()}, varied)
