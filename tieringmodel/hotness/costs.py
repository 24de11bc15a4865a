"""What looking costs: CPU time of each source's elementary act. All are assumptions, with the range they are drawn from."""

from __future__ import annotations

from typing import NamedTuple


class Assumed(NamedTuple):
    """A cost without a clean published figure: a default inside a range, and where the range comes from."""

    default_ns: float
    low_ns: float
    high_ns: float
    why: str


CHECK = Assumed(
    400.0, 80.0, 1840.0, "two reverse-mapping walks per sample (clear, then look), 0.04 to 0.92 us each, 0.2 us assumed"
)
SCAN_PAGE = Assumed(20.0, 5.0, 100.0, "change of one page table entry and its share of the TLB flush")
FAULT = Assumed(2000.0, 500.0, 5000.0, "a minor fault that only restores the entry and books the access")
SAMPLE = Assumed(2000.0, 500.0, 5000.0, "interrupt, decoding and ring entry of one IBS or PEBS sample")
LIST_ENTRY = Assumed(500.0, 100.0, 1500.0, "uncached read of one hot-list entry from the device, and its translation")
