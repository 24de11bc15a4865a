"""NUMA balancing and demotion of a recorded machine: what was on, and the figures that hold for the emulated one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...scenario import NumaBalancing, Zone
from .tables import Table

TIERING = 2
"""Bit of ``kernel.numa_balancing``: memory tiering."""
EMULATED = {
    "promote_fault_us": 167.5,
    "refuse_fault_us": 87.5,
    "kswapd_pages_per_s": 150_000.0,
}
"""Middles of what was measured of the emulated machine: 150 to 185 us a promoting fault, 75 to 100 us a refused one, and at
least so many pages a second that kswapd looks at. Source: docs/theory/numa.md, section 6."""
ASSUMED = {"scan_page_ns": 1000.0, "cpu_share": 0.065, "scan_period_ms": 2000, "set_before_ms": 34_000}
"""Not recorded: the time to arm a page, the share of a CPU that the workload's thread had beside faults, its scan period when
DAMON was turned on, after one pass with promotions, and when NUMA balancing was. Source: docs/theory/numa.md, section 6."""


def first_window_ms(extra: Table | None) -> int:
    """Return when the first window changed page table entries, 0 where that was not recorded: the last row before it shows."""
    if extra is None or "numa_pte_updates" not in extra or extra.n_rows < 2:
        return 0
    rises = np.flatnonzero(np.diff(extra["numa_pte_updates"]) > 0)
    return max(round(float(extra["t_ms"][rises[0]])), 1) if rises.size else 0


def balancing_of(info: Mapping[str, float], zones: Sequence[Zone], first_ms: int = 0) -> NumaBalancing | None:
    """Return the machine's NUMA balancing and demotion, None where ``info.txt`` has neither.

    Parameters
    ----------
    info : mapping of str to float
        ``numa_balancing`` (the sysctl) and ``demotion`` (the switch).
    zones : sequence of Zone
        Watermarks of all nodes; computed where there are none.
    first_ms : int
        When the first window is due, 0 for a random time.

    Examples
    --------
    >>> from tieringmodel.interop.recording.numa_of import balancing_of
    >>> balancing_of({"numa_balancing": 2, "demotion": 1}, ()).demotion_enabled
    True
    """
    promotes, demotes = int(info.get("numa_balancing", 0)) & TIERING > 0, info.get("demotion", 0) > 0
    if not promotes and not demotes:
        return None
    mode = "memory_tiering" if promotes else "disabled"
    own = {"mode": mode, "demotion_enabled": demotes, "zones": tuple(zones), "first_window_ms": first_ms}
    return NumaBalancing.from_dict(own | EMULATED | ASSUMED)
