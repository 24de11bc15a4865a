"""Write the region snapshots of a run as a damo record that ``damo report`` shows."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...atomic import replacing
from ...checks import file_name
from ...errors import InputError
from ...scenario import Attrs, Scenario
from .write import intervals_json

if TYPE_CHECKING:
    import xarray as xr

SUFFIXES = {".data": "json_compressed", ".json": "json", ".txt": "perf_script"}


def to_damo_record(ds: xr.Dataset, path: str | Path) -> Path:
    """Write a run's region snapshots as a damo record.

    Parameters
    ----------
    ds : xarray.Dataset
        From `simulate` with ``snapshots`` above 0.
    path : str or Path
        ``*.data`` (what ``damo record`` writes and ``damo report --input`` reads), ``*.json`` (the same, not
        compressed), or ``*.txt`` (``perf script`` text). Replaced if it exists.

    Returns
    -------
    Path
        The file: one record for each target of each context. A snapshot spans one aggregation and
        ends at its time; the times between thinned snapshots belong to none.

    Raises
    ------
    InputError
        If the suffix is another one, the dataset has no snapshots or no scenario, or does not tell regions by target.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.simulate(tm.load("rfc-40-60"), duration="3 s", seed=1)
    >>> tm.to_damo_record(ds, "monitored.json").name
    'monitored.json'
    """
    path = file_name("path", path)
    if path.suffix not in SUFFIXES:
        raise InputError(str(path), "is no name of a damo record", "end it in " + ", ".join(SUFFIXES))
    if not hasattr(ds, "attrs") or "scenario" not in ds.attrs or "region_count" not in ds or not ds.sizes.get("snapshot"):
        raise InputError("ds", "holds no region snapshots of a simulation", "simulate(…, snapshots=200)")
    records = _records(ds, Scenario.from_json(ds.attrs["scenario"], stored=True))
    if path.suffix == ".txt":
        content = "".join(_events(records)).encode()
    else:
        content = json.dumps(records, indent=None if path.suffix == ".data" else 2).encode()
    with replacing(path) as temporary:
        temporary.write_bytes(zlib.compress(content) if path.suffix == ".data" else content)
    return path


def _records(ds: xr.Dataset, scenario: Scenario) -> list[dict[str, Any]]:
    ends = np.cumsum(ds["region_count"].values)
    columns = [ds[f"region_{name}"].values for name in ("start", "end", "nr_accesses", "age")]
    times_ns = np.rint(ds["snapshot_time"].values * 1e9).astype(np.int64)
    targets = ds["region_target"].values if "region_target" in ds else np.zeros(ds.sizes["region"], np.int64)
    out = []
    for k, context in enumerate(scenario.contexts):
        if "region_target" not in ds and len(context.targets) > 1:
            raise InputError("ds", f"does not say to which target regions of contexts[{k}] belong", "run the scenario again")
        here = np.repeat(ds["snapshot_context"].values == k, ds["region_count"].values)
        for target in range(max(len(context.targets), int(targets[here].max(initial=0)) + 1)):
            out.append(_record(ds, columns, times_ns, ends, targets, k, target, context.attrs))
    return out


def _record(
    ds: xr.Dataset,
    columns: list[NDArray[Any]],
    times_ns: NDArray[Any],
    ends: NDArray[Any],
    targets: NDArray[Any],
    k: int,
    target: int,
    attrs: Attrs,
) -> dict[str, Any]:
    """Return the record of one target of context k."""
    # damo takes a first snapshot's start literally, so what is before an aggregation must not be told.
    snapshots: list[dict[str, Any]] = []
    for i in np.flatnonzero(ds["snapshot_context"].values == k).tolist():
        mine = np.arange(int(ends[i] - ds["region_count"].values[i]), int(ends[i]))
        mine = mine[targets[mine] == target]
        rows = np.stack([c[mine].astype(np.uint64) for c in columns], axis=1).tolist()
        end_ns = int(times_ns[i])
        regions = [_region(s, e, nr, age, attrs.aggr_us) for s, e, nr, age in rows]
        snapshots.append(
            {
                "start_time": str(max(end_ns - attrs.aggr_us * 1_000, 0)),
                "end_time": str(end_ns),
                "regions": regions,
                "total_bytes": str(sum(int(r["end"]) - int(r["start"]) for r in regions)),
                "damos_stats": None,
                "sample_interval_us": str(attrs.sample_us),
            }
        )
    return {"kdamond_idx": k, "context_idx": 0, "intervals": intervals_json(attrs), "scheme_idx": None,
            "target_id": target, "scheme_filters": [], "snapshots": snapshots, "data_source": "unknown"}  # fmt: skip


def _region(start: int, end: int, nr_accesses: int, age: int, aggr_us: int) -> dict[str, Any]:
    return {
        "start": str(start),
        "end": str(end),
        "nr_accesses": {"samples": nr_accesses, "percent": None},
        "age": {"usec": str(age * aggr_us), "aggr_intervals": str(age)},
        "probe_hits": [],
        "sz_filter_passed": "0",
    }


def _events(records: list[dict[str, Any]]) -> list[str]:
    """Return tracepoint lines of all records in order of time; each record is a target there."""
    lines = []
    for k, record in enumerate(records):
        for snapshot in record["snapshots"]:
            end_ns, n = int(snapshot["end_time"]), len(snapshot["regions"])
            head = f"kdamond.{k} 0 [000] {end_ns // 10**9}.{end_ns % 10**9:09d}: damon:damon_aggregated: target_id={k}"
            for r in snapshot["regions"]:
                text = f"{r['start']}-{r['end']}: {r['nr_accesses']['samples']} {r['age']['aggr_intervals']}"
                lines.append((end_ns, f"{head} nr_regions={n} {text}\n"))
    return [line for _, line in sorted(lines, key=lambda item: item[0])]
