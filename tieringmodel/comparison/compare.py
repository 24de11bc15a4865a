"""Several policies on the same accesses, judged alike, in one dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..atomic import replacing_netcdf
from ..datasets.schema import SCHEMA_VERSION
from ..errors import InputError
from ..linting import format_findings, lint
from ..memory import reuse
from ..scenario import Scenario, need_scenario
from ..scenario.controlled import Controlled, controlled
from ..simulation.simulate import attributes, simulate
from ..units import MIB, parse_duration_us
from ..verdicts.row import Row, row_not_run, row_of, row_of_recording
from ..verdicts.target import records_at, share_bp
from ..verdicts.work_done import done_s, mean_throughput_per_s
from ..workload.truth import touched_pages
from .policies import Policy, goal_name

if TYPE_CHECKING:
    import xarray as xr

    from ..interop.recording.scenario_of import Recording

RECORDED = "recorded kernel"


class _Seen(NamedTuple):
    """One policy at the comparison's points: share, MiB/s migrated, its row, accesses per second, when its work was done."""

    share_bp: npt.NDArray[np.float64]
    mib_s: npt.NDArray[np.float64]
    row: Row
    per_s: float = np.nan
    done_s: float = np.nan


def compare(
    scenarios: Mapping[str, Scenario | Policy],
    *,
    duration: str | float,
    seed: int = 0,
    what: Controlled | None = None,
    recording: Recording | None = None,
    progress: bool | None = None,
    title: str = "",
    question: str = "",
) -> xr.Dataset:
    """Run several scenarios with the same random numbers and put them side by side.

    Parameters
    ----------
    scenarios : mapping of str to Scenario or Policy
        What to compare, by name; region snapshots of the first are kept.
    duration : str or float
        Simulated time, as in `simulate`.
    seed : int
        The same for every policy.
    what : Controlled, optional
        The share to judge by; by default what the first scenario's goals control at the end. Where they leave a gap, errors
        are those from the point of it next to each run's end.
    recording : Recording, optional
        A real kernel's run of the same scenario, shown as policy ``"recorded kernel"``.
    progress : bool, optional
        As in `simulate`.
    title, question : str
        For reports.

    Returns
    -------
    xarray.Dataset
        Dims ``policy`` and ``time`` (s): ``share_bp``, ``migrated_mib_s``; per policy ``settled``, ``settling_s``,
        ``share_error_bp`` (mean of the verdict's tail, minus target), ``residual_mib_s`` (in that tail), ``ping_pong``
        (share of moves undone within 10 windows), ``moves_per_page``
        (per page ever touched), ``kind``, ``cause``, ``fix``; where workloads have a demand ``throughput_per_s`` (all groups,
        mean over the run) and ``run_time_s`` (of the demand's phases, else for the accesses of the first policy's run);
        region snapshots of the first policy that is run. A policy that needs what the kernel lacks is not run: its kind is
        "not in this kernel", its cause says what came when, its numbers are NaN.

    Raises
    ------
    InputError
        If there is nothing to compare, or no share to judge by.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> scenario = tm.load("rfc-40-60")
    >>> ds = tm.compare({"goals": scenario, "nothing": scenario.replace(contexts=())}, duration="3 s", seed=1)
    >>> ds["policy"].values.tolist()
    ['goals', 'nothing']
    >>> ds["share_bp"].dims
    ('policy', 'time')
    """
    import xarray as xr

    if not isinstance(scenarios, Mapping):
        raise InputError("scenarios", f"{type(scenarios).__name__} is not a mapping", "give {name: scenario, …}")
    if not scenarios:
        raise InputError("scenarios", "is empty", "give at least one scenario")
    duration_us = parse_duration_us(duration)
    duration_s = duration_us * 1e-6
    runs = {
        name: s if isinstance(s, Policy) else Policy(need_scenario(s, f"scenarios[{name!r}]")) for name, s in scenarios.items()
    }
    if all(policy.missing for policy in runs.values()):
        raise InputError("scenarios", "hold nothing that the kernel can run", "give a scenario that it can")
    first = next(policy.scenario for policy in runs.values() if not policy.missing)
    what = what or controlled(next(iter(runs.values())).scenario, at_us=duration_us - 1)
    for policy in runs.values():
        policy.scenario.machine.need_node(what.nid, "what.nid")
    n_eligible = touched_pages(first.workload) if what.kind == "access" else first.workload.n_pages
    grid = np.linspace(0.0, duration_s, 1 + min(1000, max(60, int(duration_s))))
    page_mib = first.machine.folio_bytes / MIB
    seen: dict[str, _Seen] = {}
    snapshots: xr.Dataset | None = None
    with reuse.batch():
        for name, policy in runs.items():
            if policy.missing:
                never = np.full(grid.size, np.nan)
                seen[name] = _Seen(never, never, row_not_run(policy.missing.feature, policy.missing.since))
                continue
            with reuse.reused():
                ds = simulate(
                    policy.scenario,
                    duration=duration,
                    seed=seed,
                    progress=progress,
                    snapshots=200 if snapshots is None else 0,
                    oracle=what if policy.oracle else None,
                )
            snapshots = ds if snapshots is None else snapshots
            y, time = share_bp(ds, what), ds["time"].values
            rate = _rate(time, np.cumsum(ds["migrated_pages"].values) * page_mib, grid)
            row = row_of(ds, y, n_eligible, what.reference_bp(y[-1]))
            seen[name] = _Seen(y[records_at(time, grid)], rate, row, mean_throughput_per_s(ds), done_s(ds))
    time, y, moved = _recorded_until(recording, first, what, duration_s)
    if time.size > 1:
        at = records_at(time, grid)
        share = np.where((at >= 0) & (grid <= time[-1]), y[np.maximum(at, 0)], np.nan)
        rate = _rate(time, np.cumsum(moved) * page_mib, grid)
        known = {"n_pages": n_eligible, "target_bp": what.reference_bp(y[-1]), "page_mib": page_mib}
        recorded = _Seen(share, rate, row_of_recording(time, y, np.asarray(moved, float), **known))
        head, *tail = seen.items()
        seen = dict((head, (RECORDED, recorded), *tail))
    data = _table([one.row for one in seen.values()])
    share_name = f"{'share of accesses served by' if what.kind == 'access' else 'used share of'} node {what.nid}"
    shares, rates = np.array([one.share_bp for one in seen.values()]), np.array([one.mib_s for one in seen.values()])
    over = ("policy", "time")
    data["share_bp"] = (over, shares, {"units": "bp", "long_name": share_name})
    data["migrated_mib_s"] = (over, rates, {"units": "MiB s-1", "long_name": "migrated since the previous point"})
    data |= _work(list(seen.values()), first, duration_s)
    data["target_bp"] = ((), float(what.target_bp), {"units": "bp", "long_name": "target"})
    assert snapshots is not None
    for name in ("region_count", "region_start", "region_end", "region_nr_accesses", "region_age"):
        data[name] = snapshots[name]
    ds = xr.Dataset(
        data,
        coords={
            "policy": ("policy", np.array(list(seen), dtype=str)),
            "time": ("time", grid, {"units": "s", "long_name": "simulated time"}),
            "snapshot_time": ("snapshot", snapshots["snapshot_time"].values, {"units": "s"}),
            "snapshot_context": ("snapshot", snapshots["snapshot_context"].values, {"units": "1"}),
        },
    )
    for name in data:
        ds[name].attrs.setdefault("source", "tieringmodel.compare")
    ds.attrs.update(attributes(first, duration_us, seed, policies=list(runs)))
    attrs = first.contexts[0].attrs if first.contexts else None
    ds.attrs.update(
        kind="comparison",
        title=title or first.name or goal_name(first),
        question=question,
        samples_per_aggr=attrs.aggr_us // attrs.sample_us if attrs else 0,
        controlled=f"{what.kind} share of node {what.nid}",
        lint=format_findings(lint(first)) if first.contexts else "",
    )
    return ds


def _work(seen: list[_Seen], first: Scenario, duration_s: float) -> dict[str, Any]:
    """Return what policies do to workloads that have a demand: throughputs, and times for the same work."""
    per_s, done = np.array([one.per_s for one in seen]), np.array([one.done_s for one in seen])
    if not np.isfinite(per_s).any():
        return {}
    if first.workload.demand and first.workload.demand.phases:
        run_s, of, long_name = np.where(np.isfinite(done), done, np.nan), "phases", "when the last phase's work was done"
    else:
        accesses, of = duration_s * per_s[np.isfinite(per_s)][0], "accesses"
        run_s = np.divide(accesses, per_s, out=np.full(per_s.shape, np.nan), where=per_s > 0)
        long_name = "time for the accesses of the first policy's run, at the mean throughput; NaN where nothing was accessed"
    about = {"units": "s-1", "long_name": "accesses per second of all threads, mean over the run"}
    return {
        "throughput_per_s": ("policy", per_s, about),
        "run_time_s": ("policy", run_s, {"units": "s", "long_name": long_name, "of": of}),
    }


def _rate(time: npt.NDArray[np.float64], moved_mib: npt.NDArray[Any], grid: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Migrated MiB/s between the points of `grid`; NaN beyond the series."""
    at = records_at(time, grid)
    total = np.where(at >= 0, moved_mib[np.maximum(at, 0)], 0)
    rate = np.diff(total, prepend=total[0]) / np.diff(grid, prepend=grid[0] - (grid[1] - grid[0]))
    rate[grid > time[-1] + (grid[1] - grid[0])] = np.nan
    return np.asarray(rate)


ROW = {
    "settled": "1",
    "settling_s": "s",
    "share_error_bp": "bp",
    "residual_mib_s": "MiB s-1",
    "ping_pong": "1",
    "moves_per_page": "1",
    "kind": "1",
    "cause": "1",
    "fix": "1",
}
"""What is known of each policy, with its unit: the columns of the table."""
_LONG = {
    "settled": "within the band of the target to the end, and at rest",
    "settling_s": "time from which the share stays within the band of the target; inf = never",
    "share_error_bp": "mean share in the tail minus target",
    "residual_mib_s": "migration and reclaim in the tail",
    "ping_pong": "share of moves undone within 10 windows",
    "moves_per_page": "migrations per page that is ever touched",
    "kind": "verdict",
    "cause": "what is proven to have caused it",
    "fix": "a change that was run and helps",
}


def _table(summaries: list[Row]) -> dict[str, Any]:
    rows = [asdict(s) for s in summaries]
    return {
        name: ("policy", np.array([r[name] for r in rows]), {"units": units, "long_name": _LONG[name]})
        for name, units in ROW.items()
    }


def recorded_series(
    recording: Recording, scenario: Scenario, what: Controlled
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return what the real kernel did: time (s), controlled share (bp), pages migrated since the previous row.

    Raises
    ------
    InputError
        If the recording lacks the columns.
    """
    record = recording.record
    if record is None:
        raise InputError(recording.name, "has no record.csv", "give a complete recording")
    time = np.asarray(record["t_ms"], float) * 1e-3
    count = np.asarray(record["pgmigrate_success"], np.int64)
    moved = np.concatenate(([0], count[1:] - count[:-1]))
    if what.kind == "used":
        total = np.asarray(record[f"n{what.nid}_total_kb"], float)
        return time, np.asarray(1e4 * (total - np.asarray(record[f"n{what.nid}_free_kb"], float)) / total), moved
    tick, tick_us = np.asarray(record["t_ms"], float) * 1e3 / scenario.tick_us, scenario.tick_us
    groups = scenario.timed_workload.groups
    served, total = np.zeros(time.size), np.zeros(time.size)
    segments = dict.fromkeys(g.name for g in groups)
    for name in segments:
        rate = np.zeros(time.size)
        for g in (g for g in groups if g.name == name):
            rate[(tick >= g.start_tick) & (tick < g.end_tick)] = g.touch_rate_hz(tick_us) * len(g.touched()) / (g.hi - g.lo)
        for nid in (n.nid for n in scenario.machine.nodes):
            pages = np.asarray(record[f"{name}_n{nid}_pages"], float) * rate
            total += pages
            served += pages if nid == what.nid else 0
    share = np.divide(served, total, out=np.full(time.size, np.nan), where=total > 0)
    return time, np.asarray(1e4 * share), moved


def _recorded_until(
    recording: Recording | None, scenario: Scenario, what: Controlled, end_s: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return `recorded_series` up to a time; empty arrays without recording."""
    if recording is None or recording.record is None:
        return np.zeros(0), np.zeros(0), np.zeros(0, np.int64)
    time, y, moved = recorded_series(recording, scenario, what)
    return time[time <= end_s], y[time <= end_s], moved[time <= end_s]


def write_comparison(results: list[xr.Dataset], path: Path) -> Path:
    """Write comparisons to one netCDF file: the verdict table of all in the root, each one in a group of its name.

    The table has a row for each scenario and policy. The file opens with ``xarray.open_datatree``, and group by group
    with ``xarray.open_dataset(..., group=...)``.

    Parameters
    ----------
    results : list of xarray.Dataset
        What `compare` returned, each with an attribute ``name`` of its own; a slash in it becomes a dash in the group.
    path : Path
        File to write; replaced if it exists, left alone if writing fails.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If there are no results, or two share a name.
    """
    import xarray as xr

    groups = [str(ds.attrs["name"]).replace("/", "-") for ds in results]
    if not groups or len({*groups}) != len(groups) or "" in groups:
        raise InputError("results", f"have the names {groups}", "give each result an attribute 'name' of its own")
    columns: dict[str, list[npt.NDArray[Any]]] = {
        "scenario": [np.repeat(str(ds.attrs["name"]), ds.sizes["policy"]) for ds in results],
        **{name: [ds[name].values for ds in results] for name in ("policy", *ROW)},
        "target_bp": [np.repeat(ds["target_bp"].values, ds.sizes["policy"]) for ds in results],
    }
    table = xr.Dataset(
        {n: ("row", np.concatenate(v), results[0][n].attrs if n in results[0] else {}) for n, v in columns.items()}
    )
    table.attrs = {
        "title": "tieringmodel comparison",
        "schema_version": SCHEMA_VERSION,
        "tieringmodel": results[0].attrs["tieringmodel"],
    }
    parts = [table, *results]
    size, variables = sum(ds.nbytes for ds in parts), sum(len(ds.variables) for ds in parts)
    with replacing_netcdf(path, size, variables) as temporary:
        table.to_netcdf(temporary, mode="w", engine="h5netcdf")
        for ds, group in zip(results, groups, strict=True):
            ds.to_netcdf(temporary, mode="a", group=group, engine="h5netcdf")
    return path
