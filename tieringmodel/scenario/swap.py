"""Swap as a device: where the action ``pageout`` puts anonymous pages, how fast, and how many fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..errors import InputError
from ..fields import Checked
from ..units import MIB

KINDS = ("zram", "disk")
MAX_BYTES_PER_S = 10**15


@dataclass(frozen=True)
class Swap(Checked):
    """A swap device: reclaimed anonymous pages are written to it, and read from it when they are touched.

    ``"zram"`` compresses at once: a page that passes is freed in the same visit, and kdamond is busy meanwhile. A ``"disk"``
    writes later: the first visit unmaps a page, and the next one frees it, if nobody touched it in between; a touch of a page
    that still has its frame costs no I/O. Pages are handed to a disk 32 at a time, and while ``queue_bytes`` wait to be
    written kdamond waits, too.

    ``throughput_bytes_per_s``: what is written, or read, in a second; left out no time passes. ``latency_us``: until an answer
    comes, beside that. ``capacity_bytes``: what fits in; left out everything does. Where it is full anonymous pages stay.
    Kernels do not tell ``queue_bytes``: the default, 128 requests of 128 KiB, is an assumption, to be varied. Of what is handed
    to a disk ``at_once_bp`` pages of 10000 are written by the time kdamond looks at them again, and leave in the first visit
    already: at most the last of the 32. The default is what an emulated disk was found to do (1.1 %, docs/theory/damon.md,
    section g.4).

    Attributes
    ----------
    kind
        Whether pages are compressed in memory or written to a disk.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> disk = tm.Swap("disk", throughput_bytes_per_s="200 MiB", latency_us=100, capacity_bytes="8 GiB")
    >>> disk.page_ns(4096)
    19531
    """

    kind: str
    throughput_bytes_per_s: int | None = None
    latency_us: int = 0
    capacity_bytes: int | None = None
    queue_bytes: int = 16 * MIB
    at_once_bp: int = 100
    _choices: ClassVar = {"kind": KINDS}
    _in_bytes: ClassVar = frozenset({"throughput_bytes_per_s"})
    _max: ClassVar = {
        "throughput_bytes_per_s": MAX_BYTES_PER_S,
        "latency_us": 60_000_000,
        "capacity_bytes": 2**62,
        "queue_bytes": 2**40,
        "at_once_bp": 10_000,
    }

    def check(self) -> None:
        """Refuse a device that never is done."""
        if self.throughput_bytes_per_s is not None and self.throughput_bytes_per_s < 4096:
            text = f"{self.throughput_bytes_per_s} takes more than a second for a page"
            raise InputError("throughput_bytes_per_s", text, "write e.g. '200 MiB', or leave it out")

    def page_ns(self, page_bytes: int) -> int:
        """Return how long the device takes for a page, in nanoseconds."""
        return page_bytes * 10**9 // self.throughput_bytes_per_s if self.throughput_bytes_per_s else 0
