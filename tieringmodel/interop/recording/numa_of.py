"""NUMA balancing and demotion of a recorded machine: what was on, and the figures that hold for the emulated one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...scenario import NumaBalancing, Zone
from .tables import Table

TIERING = 2
"""Bit of ``kernel.numa_balancing``: memory tiering."""
MEASURED_US = {"promote_fault_us": (150.0, 185.0), "refuse_fault_us": (75.0, 100.0)}
"""Least and most that a promoting and a refused fault took on the emulated machine. Source: docs/theory/numa.md, section 6."""
EMULATED = {name: (least + most) / 2 for name, (least, most) in MEASURED_US.items()} | {"kswapd_pages_per_s": 150_000.0}
"""Middles of that, and how many pages a second kswapd looks at, at least."""
ASSUMED = {"scan_page_ns": 1000.0, "cpu_share": 0.065, "scan_period_ms": 2000, "set_before_ms": 34_000}
"""Not recorded: the time to arm a page, the share of a CPU that the workload's thread had beside faults, its scan period when
DAMON was turned on, after one pass with promotions, and when NUMA balancing was. Source: docs/theory/numa.md, section 6."""


def as_recorded(extra: Table | None, record: Table | None) -> dict[str, tuple[int, ...]]:
    """Return when windows came and when the thread had little of a CPU, as fields of `NumaBalancing`; {} where not recorded.

    A window came before the row that first shows its entries (``numa_pte_updates``), by as much as the faults since the row
    before that take (``numa_hint_faults``); those that changed at least half as many as the most begin a pass. Where a whole
    row passed without the end of a workload tick (``ticks``) the thread did nothing but handle faults: it had as much of a CPU
    as these take, all promoting.

    Parameters
    ----------
    extra, record : Table or None
        Row by row of the same times.
    """
    told = {"numa_pte_updates", "numa_hint_faults"}
    if extra is None or record is None or extra.n_rows < 2 or not told <= set(extra):
        return {}
    at_ms = np.asarray(extra["t_ms"], np.float64)
    changed, faults = (np.diff(np.asarray(extra[f"numa_{name}"], np.float64)) for name in ("pte_updates", "hint_faults"))
    lasted, took = np.diff(at_ms), faults * EMULATED["promote_fault_us"] / 1e3
    begun_ms = np.maximum(np.rint(at_ms[1:] - np.minimum(took, lasted)), 1).astype(np.int64)
    most = float(changed.max())
    out = {
        name: tuple(np.unique(begun_ms[(changed > 0) & (changed >= least)]).tolist())
        for name, least in (("windows_ms", 1), ("passes_ms", most / 2))
    }
    if record.n_rows != extra.n_rows or "ticks" not in record:
        return out
    starved = (np.diff(record["ticks"].astype(np.int64)) == 0) & (took < lasted)
    factors = np.where(starved, np.clip(np.rint(lasted / np.maximum(took, 1e-3)), 1, 10**6), 1).astype(np.int64)
    begins = np.flatnonzero(np.diff(factors, prepend=1))
    return out | {
        "fault_from_ms": tuple(np.rint(np.maximum(at_ms[begins], 0)).astype(np.int64).tolist()),
        "fault_factors": tuple(factors[begins].tolist()),
    }


def balancing_of(
    info: Mapping[str, float], zones: Sequence[Zone], recorded: Mapping[str, tuple[int, ...]] | None = None
) -> NumaBalancing | None:
    """Return the machine's NUMA balancing and demotion, None where ``info.txt`` has neither.

    Parameters
    ----------
    info : mapping of str to float
        ``numa_balancing`` (the sysctl) and ``demotion`` (the switch).
    zones : sequence of Zone
        Watermarks of all nodes; computed where there are none.
    recorded : mapping of str to tuple of int, optional
        From `as_recorded`; without it windows are due as their period says, the first at a random time.

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
    own = {"mode": mode, "demotion_enabled": demotes, "zones": tuple(zones)}
    return NumaBalancing.from_dict(own | EMULATED | ASSUMED | dict(recorded or {}))
