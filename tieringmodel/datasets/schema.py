"""The variables of a run's dataset: dims, units, meaning and source, in one table that writers and docs share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy.typing as npt

if TYPE_CHECKING:
    import xarray as xr

SCHEMA_VERSION = 1
"""Of datasets of runs, comparisons and sweeps; raised when a variable or attribute changes its meaning or is gone."""


Coordinate = tuple[str | tuple[str, ...], npt.NDArray[Any]]


class Variable(NamedTuple):
    """One output variable."""

    dims: tuple[str, ...]
    units: str
    long_name: str
    source: str

    @property
    def attrs(self) -> dict[str, str]:
        """What the dataset says about it."""
        return {"units": self.units, "long_name": self.long_name, "source": self.source}


_NODE, _SCHEME, _GOAL = ("time", "node"), ("time", "scheme"), ("time", "goal")
_KERNEL = "Linux mm/damon/core.c"
_MODEL = "tieringmodel memory counters"

VARIABLES: dict[str, Variable] = {
    "used_pages": Variable(_NODE, "pages", "managed pages in use", _MODEL),
    "free_pages": Variable(_NODE, "pages", "free pages", _MODEL),
    "migrated_in_pages": Variable(_NODE, "pages", "pages migrated into the node since the start", _MODEL),
    "alloc_failed": Variable(_NODE, "1", "failed target allocations on the node since the start", _MODEL),
    "class_pages": Variable(("time", "node", "page_class"), "pages", "LRU pages of an access class", _MODEL),
    "class_rate_hz": Variable(("time", "page_class"), "Hz", "expected touches per page", "workload groups"),
    "access_share_bp": Variable(
        _NODE, "bp", "share of all expected accesses that the node serves", "class_pages weighted by class_rate_hz"
    ),
    "migrated_pages": Variable(("time",), "pages", "pages migrated since the previous record", _MODEL),
    "returns": Variable(
        ("time", "lag"),
        "pages",
        "pages moved in this record that were back at their old node `lag` windows later",
        "log of moves",
    ),
    "esz_bytes": Variable(_SCHEME, "bytes", "effective quota", f"{_KERNEL} damos_set_effective_quota"),
    "esz_bp": Variable(_SCHEME, "bytes/10000", "tuner state", f"{_KERNEL} damos_goal_tune_esz_bp_*"),
    "score": Variable(_SCHEME, "bp", "quota score at the last evaluation", f"{_KERNEL} damos_quota_score"),
    "resets": Variable(_SCHEME, "1", "quota evaluations since the start", f"{_KERNEL} damos_adjust_quota"),
    "charged_bytes": Variable(_SCHEME, "bytes", "charged in the present window", f"{_KERNEL} damos_charge_quota"),
    "min_score": Variable(_SCHEME, "1", "priority threshold", f"{_KERNEL} damos_adjust_quota"),
    "nr_tried": Variable(_SCHEME, "1", "regions tried", "DAMOS statistics"),
    "sz_tried": Variable(_SCHEME, "bytes", "bytes tried", "DAMOS statistics"),
    "nr_applied": Variable(_SCHEME, "1", "regions applied", "DAMOS statistics"),
    "sz_applied": Variable(_SCHEME, "bytes", "bytes applied", "DAMOS statistics"),
    "sz_ops_filter_passed": Variable(_SCHEME, "bytes", "bytes passing operations filters", "DAMOS statistics"),
    "qt_exceeds": Variable(_SCHEME, "1", "windows that ended with the quota full", "DAMOS statistics"),
    "nr_snapshots": Variable(_SCHEME, "1", "complete passes", "DAMOS statistics"),
    "rmap_walks": Variable(_SCHEME, "1", "pages looked up through rmap since the start", "weighted destinations on paddr"),
    "goal_current": Variable(_GOAL, "metric's own", "goal value at the last evaluation", "damos_quota_goal"),
    "goal_target": Variable(_GOAL, "metric's own", "goal target in force", "damos_quota_goal"),
    **{
        name: Variable(_SCHEME, units, about, "tieringmodel counters of the application pass")
        for name, units, about in (
            ("nr_due", "1", "application passes in which the scheme was due and active"),
            ("nr_inactive", "1", "application passes that found the scheme inactive"),
            ("nr_restarted", "1", "times the apply clock began anew before it had ended"),
            ("sz_matched", "bytes", "bytes that matched the access pattern, over all passes, tried or not"),
            ("sz_but_size", "bytes", "bytes that the size bounds alone kept from matching"),
            ("sz_but_rate", "bytes", "bytes that the access rate alone kept from matching"),
            ("sz_but_age", "bytes", "bytes that the age alone kept from matching"),
            ("top_rate", "samples", "highest nr_accesses seen"),
            ("top_age", "aggregations", "highest age seen where the access rate was right"),
            ("sz_dropped", "bytes", "bytes dropped by core filters"),
            ("sz_resident", "bytes", "bytes of pages that the action looked at"),
            ("sz_there", "bytes", "bytes of pages looked at that were on the target already"),
            ("sz_young", "bytes", "bytes of pages rejected because they were young, and made old"),
            ("sz_first_look", "bytes", "bytes of pages that were young because nobody had looked before"),
            ("sz_no_frame", "bytes", "bytes of pages for which the target had no free frame"),
            ("sz_early_exit", "bytes", "bytes passed over by an early exit"),
        )
    },
    "held_windows": Variable(_SCHEME, "1", "finished windows whose effective quota held a region", _MODEL),
    "full_windows": Variable(_SCHEME, "1", "those of `held_windows` that ended with the quota full", _MODEL),
    "quota_bound": Variable(_SCHEME, "1", "what bounds the effective quota: 0 nothing, 1 size, 2 time, 3 goal", _MODEL),
    "rejected_bytes": Variable(
        ("filter",), "bytes", "bytes that the filter rejected since its context's filters were last changed", _MODEL
    ),
    "undone_pages": Variable(("node",), "pages", "moves into the node that were undone within the longest lag", "log of moves"),
    "asleep_us": Variable(("time", "context"), "us", "time asleep because every scheme was inactive", _MODEL),
    "nr_regions": Variable(("time", "context"), "1", "monitoring regions", _KERNEL),
    "sample_us": Variable(("time", "context"), "us", "sampling interval in force", _KERNEL),
    "region_count": Variable(("snapshot",), "1", "rows of `region` that belong to the snapshot", "after merging"),
    "region_start": Variable(("region",), "bytes", "first core address", "after merging"),
    "region_end": Variable(("region",), "bytes", "one past the last core address", "after merging"),
    "region_nr_accesses": Variable(("region",), "samples", "nr_accesses of the finished aggregation", "after merging"),
    "region_age": Variable(("region",), "aggregations", "age", "after merging"),
}

OF_RECLAIM: dict[str, Variable] = {
    "reclaimed_pages": Variable(("time",), "pages", "pages reclaimed since the previous record", _MODEL),
    "faulted_pages": Variable(("time",), "pages", "reclaimed pages back in memory since the previous record", _MODEL),
    "out_pages": Variable(("time",), "pages", "pages that are reclaimed and on no node", _MODEL),
    "stalled_pages": Variable(("time",), "pages", "touched pages of `out_pages` for which no frame is free", _MODEL),
}
"""Variables of runs in which pages can be reclaimed, beside `VARIABLES`."""

_DEVICE = "tieringmodel.kernels.swap"
OF_SWAP: dict[str, Variable] = {
    "device_written_pages": Variable(("time",), "pages", "pages handed to the swap device since the previous record", _DEVICE),
    "device_read_pages": Variable(("time",), "pages", "pages read from it since the previous record: major faults", _DEVICE),
    "minor_faults": Variable(("time",), "1", "touches of unmapped pages with a frame since the previous record", _DEVICE),
    "read_wait_us": Variable(("time",), "us", "time that tasks waited for reads since the previous record", _DEVICE),
    "device_wait_us": Variable(("time",), "us", "time that kdamonds waited for the device since the previous record", _DEVICE),
    "kept_swap_full_pages": Variable(("time",), "pages", "pages that stayed since the previous record: swap is full", _DEVICE),
    "kept_writeback_pages": Variable(("time",), "pages", "pages that stayed since then: they are being written", _DEVICE),
    "kept_dirty_pages": Variable(("time",), "pages", "pages that stayed since then: dirty pages of files", _DEVICE),
    "kept_unevictable_pages": Variable(("time",), "pages", "pages that stayed since then: locked in memory", _DEVICE),
    "unmapped_pages": Variable(("time",), "pages", "pages that are unmapped and have a frame: swap cache", _DEVICE),
    "swap_used_pages": Variable(("time",), "pages", "slots of the swap device in use", _DEVICE),
}
"""Variables of runs that reclaim to a swap device, or around pages that cannot be reclaimed, beside `OF_RECLAIM`."""

OF_TARGETS: dict[str, Variable] = {
    "region_target": Variable(("region",), "1", "target of a region's context", "after merging"),
}
"""Variables of runs in which a context has several targets, beside `VARIABLES`."""

OF_COMMITS: dict[str, Variable] = {
    "active": Variable(_SCHEME, "1", "whether the scheme is one of the context that runs", "tieringmodel.scenario.numbering"),
    "goal_active": Variable(_GOAL, "1", "whether the goal is one of a scheme that runs", "tieringmodel.scenario.numbering"),
}
"""Variables of runs in which schemes or goals come or go, beside `VARIABLES`: who is not there keeps its last values."""

_GROUP, _LOOP = ("time", "group"), "tieringmodel.cost.closed_loop"
OF_LOOP: dict[str, Variable] = {
    "throughput_per_s": Variable(_GROUP, "1/s", "accesses per second of a group, in the window that holds the record", _LOOP),
    "node_latency_ns": Variable(_NODE, "ns", "latency of an access under load", _LOOP),
    "node_load_gbps": Variable(_NODE, "GB/s", "load: own accesses, background and copies", _LOOP),
    "migration_gbps": Variable(_NODE, "GB/s", "bytes read and written by copies of pages", _MODEL),
    "migration_waiting_bytes": Variable(
        _NODE, "bytes", "bytes of copies that take longer, as background and copies are at 0.95 of the bandwidth", _MODEL
    ),
    "phase": Variable(("time",), "1", "phases of the work that are over", _LOOP),
    "slowdown": Variable(_GROUP, "1", "throughput without any load, all on the fast node, over throughput", _LOOP),
}
"""Variables of runs whose workload has a demand, beside `VARIABLES`: of the window in which each record lies."""

_TIME, _NUMA = ("time",), "Linux vmstat; tieringmodel.kernels.numa"
OF_BALANCING: dict[str, Variable] = {
    "pgpromote_success": Variable(_TIME, "pages", "pages promoted by hint faults since the start", _NUMA),
    "pgpromote_candidate": Variable(_TIME, "pages", "hot pages that faulted, promoted or not, since the start", _NUMA),
    "pgpromote_candidate_nrl": Variable(_TIME, "pages", "pages that faulted while much memory was free", _NUMA),
    "pgdemote_kswapd": Variable(_TIME, "pages", "pages demoted by kswapd since the start", _NUMA),
    "numa_pte_updates": Variable(_TIME, "1", "page table entries armed for a hint fault since the start", _NUMA),
    "numa_hint_faults": Variable(_TIME, "1", "hint faults since the start", _NUMA),
    "pgscan_kswapd": Variable(_TIME, "pages", "pages that kswapd looked at since the start", _NUMA),
    "numa_stall_us": Variable(_TIME, "us", "time that the workload's thread spent in hint faults", "tieringmodel.kernels.numa"),
    "numa_scan_us": Variable(_TIME, "us", "time that it spent on scan windows", "tieringmodel.kernels.numa"),
    "numa_threshold_ms": Variable(_TIME, "ms", "latency of a hint fault below which the page is hot", _NUMA),
    "numa_scan_period_ms": Variable(_TIME, "ms", "scan period of the workload's process", _NUMA),
}
"""Variables of runs on machines with NUMA balancing, beside `VARIABLES`."""

COORDINATES: dict[str, tuple[str, str]] = {
    "time": ("s", "simulated time since DAMON was turned on"),
    "node": ("1", "NUMA node id"),
    "scheme": ("1", "scheme, numbered over all contexts"),
    "goal": ("1", "goal, numbered over all schemes"),
    "context": ("1", "context"),
    "page_class": ("1", "pages touched by the same groups"),
    "group": ("1", "group of the workload, by name"),
    "lag": ("windows", "quota windows until a page was back"),
    "snapshot_time": ("s", "time of a region snapshot"),
    "snapshot_context": ("1", "context of a region snapshot"),
    "scheme_context": ("1", "context of a scheme"),
    "scheme_action": ("1", "action of a scheme; by time too where it changes"),
    "goal_scheme": ("1", "scheme of a goal"),
    "goal_metric": ("1", "metric of a goal; by time too where it changes"),
    "filter": ("1", "filter of the last contexts, numbered over all schemes, core filters of a scheme before the others"),
    "filter_scheme": ("1", "scheme of a filter"),
    "filter_type": ("1", "type of a filter"),
}


def described(data: Mapping[str, npt.NDArray[Any]], coords: Mapping[str, Coordinate]) -> xr.Dataset:
    """Return variables and coordinates (dimensions, values) as a dataset that says what they are.

    Everything is handed over in xarray's own types: given bare arrays it asks whether they are Dask's, and loads Dask for
    that where it is installed, a quarter of a warm first use.
    """
    import pandas as pd  # type: ignore[import-untyped]
    import xarray as xr
    from xarray.indexes import PandasIndex

    made = {
        name: xr.Variable(dim, values, dict(zip(("units", "long_name"), COORDINATES[name], strict=True)), fastpath=True)
        for name, (dim, values) in coords.items()
    }
    indexes = {
        name: PandasIndex(pd.Index(values), dim, coord_dtype=values.dtype)
        for name, (dim, values) in coords.items()
        if name == dim
    }
    for index in indexes.values():
        made |= index.create_variables(made)
    about = VARIABLES | OF_RECLAIM | OF_SWAP | OF_TARGETS | OF_COMMITS | OF_LOOP | OF_BALANCING
    variables = {name: xr.Variable(about[name].dims, values, about[name].attrs, fastpath=True) for name, values in data.items()}
    return xr.Dataset(variables, xr.Coordinates(made, indexes))
