"""What a loop accepts: one checker per kind of argument, the same bounds for a single run and for a grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import checks
from ..errors import InputError
from ..memory.need import check_bytes
from ..units import ULONG_MAX

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


def length_fits(windows: int, n_bytes: int) -> None:
    """Refuse more windows than there is memory for; `n_bytes` are those of one window, in the trace and in its dataset."""
    what = f"{windows} windows take"
    check_bytes("windows", windows * n_bytes, what, "give fewer windows")


def whole(name: str, value: Any, bounds: str | None = None) -> int:
    """Return `value` as an int when it is a whole number inside the bounds of `WHOLE` (under `bounds`, else `name`)."""
    return checks.whole(name, value, *WHOLE[bounds or name])


def limit(name: str, value: Any, where: str | None = None) -> int:
    """Return `whole`, or the number that stands for no limit when `value` is None."""
    return NO_LIMIT[name] if value is None else whole(where or name, value, name)


def real(name: str, value: Any) -> float:
    """Return `value` as a float inside the bounds of `REAL`."""
    return checks.number(name, value, *REAL[name])


def whole_array(name: str, value: Any) -> npt.NDArray[Any]:
    """Return `value` as an int64 array (uint64 where the bounds need it); each element obeys `whole`."""
    return checks.whole_array(name, NO_LIMIT.get(name) if value is None else value, *WHOLE[name])


def real_array(name: str, value: Any) -> npt.NDArray[np.float64]:
    """Return `value` as a float64 array; each element obeys `real`."""
    return checks.number_array(name, value, *REAL[name])


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
