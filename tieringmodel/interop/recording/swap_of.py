"""The swap device of a recording: its kind, its size, and how fast it wrote."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...scenario import Swap
from ...units import KIB, PAGE_SZ
from .tables import Table

FLAGS = {"swap_zram": "zram", "swap_disk": "disk"}
"""Kinds of swap devices, by what ``info.txt`` says of them."""


def swap_of(info: Mapping[str, float], extra: Table | None) -> Swap | None:
    """Return the swap device that was on, None without one.

    Parameters
    ----------
    info : mapping of str to float
        ``swap_zram`` or ``swap_disk`` above 0 says which.
    extra : Table or None
        Its size is the most that was free (``swap_free_kb``). What a disk writes in a second is the most that was written from
        one row to the next (``pswpout``): the speed of the machine's device is an input, as its memory is. How long zram
        compresses was not recorded; where ends of aggregations are, they say it.

    Returns
    -------
    Swap or None
        Without ``extra`` of no limits.
    """
    kind = next((kind for name, kind in FLAGS.items() if info.get(name, 0) > 0), None)
    if kind is None:
        return None
    capacity_bytes = throughput = None
    if extra is not None and extra.n_rows and "swap_free_kb" in extra:
        capacity_bytes = int(np.max(extra["swap_free_kb"])) * KIB
    if kind == "disk" and extra is not None and extra.n_rows > 1 and "pswpout" in extra:
        took_s = np.diff(np.asarray(extra["t_ms"], np.float64)) / 1e3
        pages = np.diff(np.asarray(extra["pswpout"], np.float64))
        fastest = float(np.max(pages[took_s > 0] / took_s[took_s > 0], initial=0.0))
        throughput = int(fastest * PAGE_SZ) or None
    return Swap(kind, throughput_bytes_per_s=throughput, capacity_bytes=capacity_bytes)
