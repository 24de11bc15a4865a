"""What a loop accepts: one checker per kind of argument, the same bounds for a single run and for a grid."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..units import LONG_MAX, ULONG_MAX

NO_CAP = ULONG_MAX
"""Cap that never binds: TEMPORAL asks for everything below the goal, as it does without a size quota."""
MOST_PAGES = 2**42
"""Largest page count (16 PiB): page counts times 10000 bp times a tolerance stay inside 64 bits, and inside a float."""
MAX_WINDOWS = 10**8

WHOLE: dict[str, tuple[int, int, str]] = {
    "target_bp": (1, 10_000, "give the goal in basis points, 1 to 10000"),
    "n_pages": (1, MOST_PAGES, f"give a page count from 1 to {MOST_PAGES}"),
    "start_pages": (0, MOST_PAGES, "give a page count from 0 to n_pages"),
    "cap_bytes": (1, ULONG_MAX, "give bytes per window from 1 to 2**64 - 1, or None for no cap"),
    "delay": (0, 2**31, "give a number of windows, 0 or more"),
    "leak_pages": (0, MOST_PAGES, "give pages per window, 0 or more"),
    "capacity_pages": (0, MOST_PAGES, "give a page count, or None when all pages fit"),
    "clamp_bp": (1, 10_000, "give basis points, 1 to 10000, or None for no clamp"),
    "windows": (1, MAX_WINDOWS, f"give a number of windows from 1 to {MAX_WINDOWS}"),
    "esz_bp0": (0, ULONG_MAX, "give a 64-bit number of 1/10000 bytes"),
    "seed": (0, ULONG_MAX, "give a seed from 0 to 2**64 - 1"),
}
REAL: dict[str, tuple[float, float, str]] = {
    "leak_rate": (0.0, 1.0, "give the share of the goal node's pages that leaves per window, 0 to 1"),
    "noise_bp": (0.0, 10_000.0, "give a standard deviation in basis points, 0 to 10000"),
}
NO_LIMIT: dict[str, int] = {"cap_bytes": NO_CAP, "capacity_pages": MOST_PAGES, "clamp_bp": 10_000}
"""What None stands for where a limit may be left out."""


def choice(name: str, value: object, options: tuple[str, ...]) -> str:
    """Return `value` when it is one of `options`."""
    if not isinstance(value, str) or value not in options:
        raise InputError(name, f"{value!r} is not known", f"use one of {', '.join(options)}")
    return value


def flag(name: str, value: object) -> bool:
    """Return `value` when it is a truth value."""
    if not isinstance(value, bool | np.bool_):
        raise InputError(name, f"{value!r} is not a truth value", "use True or False")
    return bool(value)


def whole(name: str, value: Any, bounds: str | None = None) -> int:
    """Return `value` as an int when it is a whole number inside the bounds of `WHOLE` (under `bounds`, else `name`)."""
    low, high, remedy = WHOLE[bounds or name]
    if isinstance(value, bool | np.bool_):
        raise InputError(name, f"{value!r} is a truth value", remedy)
    try:
        number = int(value) if isinstance(value, float | np.floating) and value == int(value) else operator.index(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(name, f"{value!r} is not a whole number", remedy) from None
    if not low <= number <= high:
        raise InputError(name, f"{number} is outside {low}..{high}", remedy)
    return number


def limit(name: str, value: Any, where: str | None = None) -> int:
    """Return `whole`, or the number that stands for no limit when `value` is None."""
    return NO_LIMIT[name] if value is None else whole(where or name, value, name)


def real(name: str, value: Any) -> float:
    """Return `value` as a float inside the bounds of `REAL`."""
    low, high, remedy = REAL[name]
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(name, f"{value!r} is not a number", remedy) from None
    if not low <= number <= high:
        raise InputError(name, f"{number:g} is outside {low:g}..{high:g}", remedy)
    return number


def whole_array(name: str, value: Any) -> npt.NDArray[Any]:
    """Return `value` as an int64 array (uint64 where the bounds need it); each element obeys `whole`."""
    if value is None and name in NO_LIMIT:
        value = NO_LIMIT[name]
    array = np.asarray(value)
    if array.size == 0:
        raise InputError(name, "an empty array has no runs", "give at least one value")
    dtype = np.uint64 if WHOLE[name][1] > LONG_MAX else np.int64
    if array.dtype.kind in "iu" or (array.dtype.kind == "f" and np.array_equal(array, np.rint(array))):
        for extreme in (array.min(), array.max()):
            whole(name, extreme)
        return array.astype(dtype)
    return np.array([whole(name, element) for element in array.ravel()], dtype).reshape(array.shape)


def real_array(name: str, value: Any) -> npt.NDArray[np.float64]:
    """Return `value` as a float64 array; each element obeys `real`."""
    array = np.asarray(value)
    if array.size == 0:
        raise InputError(name, "an empty array has no runs", "give at least one value")
    try:
        array = array.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError(name, f"{value!r} is not a number", REAL[name][2]) from None
    for extreme in (array.min(), array.max()):
        real(name, extreme)
    return array


def flag_array(name: str, value: Any) -> npt.NDArray[np.bool_]:
    """Return `value` as an array of truth values."""
    array = np.asarray(value)
    if array.dtype != np.bool_:
        raise InputError(name, f"{value!r} is not a truth value", "use True or False")
    return array


def start_fits(start_pages: int, n_pages: int, capacity_pages: int, inward: bool) -> None:
    """Refuse a start that the machine could not hold."""
    if start_pages > n_pages:
        raise InputError("start_pages", f"{start_pages} is more than n_pages {n_pages}", "start with n_pages or fewer")
    if inward and start_pages > capacity_pages:
        raise InputError(
            "start_pages",
            f"{start_pages} is more than capacity_pages {capacity_pages}",
            "start with what fits on the goal node",
        )


def capacity_has_meaning(capacity_given: bool, inward: bool) -> None:
    """Refuse a goal-node capacity for a scheme that only empties that node."""
    if capacity_given and not inward:
        raise InputError(
            "capacity_pages",
            "limits the room on the goal node, but direction 'out' only empties it",
            "leave capacity_pages at None",
        )
