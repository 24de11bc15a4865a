"""What the run did to its workload, where that has a demand: throughput while it settles and afterwards."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..units import format_bytes

if TYPE_CHECKING:
    import xarray as xr

    from .page_run import PageRun

EQUAL = 5e-4
"""Relative changes below are said to be none: 0.05 % would be written as 0.1 or 0.0."""


def changes(ds: xr.Dataset, settling_s: float | None) -> dict[str, float]:
    """Return by how much throughput differs from that at the start, before anything moved.

    Parameters
    ----------
    ds : xarray.Dataset
        A run; without ``throughput_per_s`` there is nothing to say.
    settling_s : float, optional
        From when on the run is where it should be; None if it never is.

    Returns
    -------
    dict of str to float
        ``throughput_while_settling`` and ``throughput_afterwards``: mean over time, minus 1; without the time that it settles,
        ``throughput_over_the_run``. Empty if nothing ran at the start, or groups begin or end: then there is no one reference.
    """
    if "throughput_per_s" not in ds:
        return {}
    by_group, time = ds["throughput_per_s"].values, ds["time"].values
    at_work = by_group > 0
    start = by_group[0].sum()
    if not start or (at_work != at_work[0]).any() or time.size < 2:
        return {}
    span, total = np.diff(time), by_group[1:].sum(axis=1) / start - 1

    def mean(chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
        return float((span * total)[chosen].sum() / span[chosen].sum())

    if settling_s is None:
        return {"throughput_over_the_run": mean(span > 0)}
    settling = time[1:] <= settling_s
    found = {}
    if span[settling].sum() > 0:
        found["throughput_while_settling"] = mean(settling)
    if span[~settling].sum() > 0:
        found["throughput_afterwards"] = mean(~settling)
    return found


def sentence(found: dict[str, float]) -> str:
    """Return one line on what `changes` found, empty without any."""
    when = {
        "throughput_while_settling": "while it settles",
        "throughput_afterwards": "afterwards",
        "throughput_over_the_run": "over the run",
    }
    parts = [f"{_said(found[name])} {words}" for name, words in when.items() if name in found]
    return f"It {', '.join(parts)}, against its throughput at the start." if parts else ""


def kernel_moves(run: PageRun) -> str:
    """Return in words what the kernel migrated beside DAMON, empty where the machine has no NUMA balancing."""
    balancing = run.scenario.machine.numa_balancing
    if balancing is None or not run.has("pgpromote_success"):
        return ""

    def moved(name: str) -> str:
        return format_bytes(float(run.values(name)[-1]) * run.page_bytes)

    said = f"NUMA balancing promoted {moved('pgpromote_success')}"
    return f"{said}, kswapd demoted {moved('pgdemote_kswapd')}" if balancing.demotion_enabled else said


def phases_of(ds: xr.Dataset) -> list[dict[str, Any]]:
    """Return the phases of a run's work, in order: ``groups``, ``work`` and ``end_s``, None where it was not done."""
    found: list[dict[str, Any]] = json.loads(str(ds.attrs.get("phases", "[]")))
    return found


def done_s(ds: xr.Dataset) -> float:
    """Return when the last phase's work was done, inf if it was not, NaN where there are no phases."""
    phases = phases_of(ds)
    if not phases:
        return math.nan
    end_s = phases[-1]["end_s"]
    return math.inf if end_s is None else float(end_s)


def mean_throughput_per_s(ds: xr.Dataset) -> float:
    """Return a run's accesses per second, NaN without a demand: each record stands for the time since the one before."""
    if "throughput_per_s" not in ds or ds.sizes["time"] < 2:
        return math.nan
    return float(np.average(ds["throughput_per_s"].values[1:].sum(axis=1), weights=np.diff(ds["time"].values)))


def phases_done(ds: xr.Dataset) -> str:
    """Return one line on when each phase of the work was done, empty without any."""
    phases = phases_of(ds)
    done = [f"{'+'.join(p['groups'])} at {p['end_s']:.4g} s" for p in phases if p["end_s"] is not None]
    left = ["+".join(p["groups"]) for p in phases if p["end_s"] is None]
    parts = [f"done: {', '.join(done)}"] if done else []
    parts += [f"not done: {', '.join(left)}" if left else "after that they touch nothing"] if phases else []
    return f"Work {'; '.join(parts)}." if parts else ""


def _said(change: float) -> str:
    if abs(change) < EQUAL:
        return "leaves the workload as fast"
    return f"{'gains' if change > 0 else 'costs'} the workload {abs(change) * 100:.1f} %"
