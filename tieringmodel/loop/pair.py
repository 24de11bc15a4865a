"""Two opposing schemes on the same pages: one fills node 0, the other fills node 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import choice
from ..errors import InputError
from ..kernels import loop as kernels
from . import arguments as check
from .record import dataset

if TYPE_CHECKING:
    import xarray as xr

BYTES_OF_A_WINDOW = 7 * 8
"""The pages, both schemes' moves and quotas, the coordinate and its index."""


def _two(name: str, value: Any) -> tuple[Any, Any]:
    try:
        first, second = value
    except (TypeError, ValueError):
        raise InputError(name, f"{value!r} is not a pair", "give one value for node 0 and one for node 1") from None
    return first, second


def run_pair(
    tuner: str,
    targets_bp: Sequence[int],
    caps_bytes: Sequence[int | None],
    n_pages: int,
    start_pages: int,
    *,
    delay: int = 0,
    windows: int = 400,
) -> xr.Dataset:
    """Run a pull scheme into node 0 and a push scheme into node 1 side by side, each with the goal on its target node.

    Both schemes measure at the window's start and move at once; each moves at most what its source node held then.

    Parameters
    ----------
    tuner : {"consist", "temporal"}
        Tuner of both schemes.
    targets_bp : sequence of two int
        Goals of node 0 and node 1 in basis points (1..10000 each).
    caps_bytes : sequence of two (int or None)
        Size quotas per window in bytes of the scheme into node 0 and the scheme into node 1; None for no cap.
    n_pages : int
        Eligible pages on both nodes together.
    start_pages : int
        Pages on node 0 before window 0.
    delay : int
        Windows between a move and its appearance in the metric.
    windows : int
        Number of quota windows.

    Returns
    -------
    xarray.Dataset
        ``kind`` "loop_pair": pages(window) on node 0 at the window's start (int64), moved(window, scheme) (int64),
        esz(window, scheme) in bytes (uint64), and the scalar final_pages on node 0. Scheme 0 moves into node 0, scheme 1
        into node 1 (coordinate target_node).

    Raises
    ------
    InputError
        When an argument is of the wrong kind or outside its bounds.

    Notes
    -----
    Source: docs/theory/stability.md, section 3f.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.loop.run_pair("temporal", (6000, 5000), (80 << 20, 40 << 20), 1_000_000, 0)
    >>> ds["moved"].values[-1].tolist()  # pages, pull and push: for ever
    [20480, 10240]
    """
    choice("tuner", tuner, ("consist", "temporal"))
    targets = [check.whole(f"targets_bp[{i}]", value, "target_bp") for i, value in enumerate(_two("targets_bp", targets_bp))]
    given = _two("caps_bytes", caps_bytes)
    caps = [check.limit("cap_bytes", value, f"caps_bytes[{i}]") for i, value in enumerate(given)]
    pages_total, start = check.whole("n_pages", n_pages), check.whole("start_pages", start_pages)
    check.start_fits(start, pages_total, pages_total, True)
    lag, length = check.whole("delay", delay), check.whole("windows", windows)
    check.length_fits(length, BYTES_OF_A_WINDOW)

    pages = np.empty(length, np.int64)
    moved, esz = np.empty((length, 2), np.int64), np.empty((length, 2), np.uint64)
    final = kernels.pair_trace(
        tuner == "consist",
        np.array(targets, np.uint64),
        pages_total,
        start,
        np.array(caps, np.uint64),
        lag,
        pages,
        moved,
        esz,
    )
    return dataset(
        "loop_pair",
        {
            "tuner": tuner,
            "targets_bp": targets,
            "caps_bytes": [None if g is None else c for g, c in zip(given, caps, strict=True)],
            "n_pages": pages_total,
            "start_pages": start,
            "delay": lag,
            "windows": length,
        },
        {
            "pages": (("window",), pages),
            "moved": (("window", "scheme"), moved),
            "esz": (("window", "scheme"), esz),
            "final_pages": ((), np.int64(final)),
        },
        {"window": np.arange(length), "scheme": [0, 1], "target_node": ("scheme", [0, 1])},
    )
