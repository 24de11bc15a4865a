"""What one point of a sweep is: a run and what is kept of it. Everything here travels to worker processes."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .._version import __version__
from ..errors import InputError, TieringError
from ..scenario import Scenario
from ..scenario.controlled import Controlled, controlled
from ..scenario.paths import SEED, seed_of, with_paths
from ..units import MIB
from ..workload.truth import touched_pages
from .own import NOTHING, Brought, bring

if TYPE_CHECKING:
    import xarray as xr

    from ..verdicts.record import Verdict

Measure = Callable[["xr.Dataset"], Mapping[str, Any]]

MEASURES: dict[str, tuple[str, str]] = {
    "kind": ("1", "verdict"),
    "cause": ("1", "what is proven to have caused it"),
    "fix": ("1", "a change that was run and helps"),
    "settled": ("1", "within the band of the target to the end, and at rest"),
    "settling_s": ("s", "time from which the share stays within the band of the target; inf = never"),
    "target_bp": ("bp", "target"),
    "share_mean_bp": ("bp", "mean controlled share in the tail"),
    "share_sd_bp": ("bp", "standard deviation of the controlled share in the tail"),
    "share_error_bp": ("bp", "mean controlled share in the tail minus target"),
    "overshoot_bp": ("bp", "how far the share went past the target, seen from the start"),
    "residual_mib_s": ("MiB s-1", "migration and reclaim in the tail"),
    "migrated_mib_s": ("MiB s-1", "migration over the whole run"),
    "migrated_pages": ("pages", "pages migrated in the whole run"),
    "ping_pong": ("1", "share of moves undone within 10 windows"),
    "moves_per_page": ("1", "migrations per page that is ever touched"),
}
"""Units and meaning of what is measured unless the caller measures."""
SHARE = "share_bp"


@dataclass(frozen=True)
class Job:
    """What all points of a sweep have in common."""

    scenario: Scenario
    duration_us: int
    measure: Measure | None = None
    what: Controlled | None = None
    series: tuple[str, ...] = ()
    every_us: int = 1_000_000
    snapshots: int = 0
    version: str = __version__
    own: Brought = NOTHING


class Series(NamedTuple):
    """A variable of a run on the sweep's time grid."""

    dims: tuple[str, ...]
    values: npt.NDArray[Any]
    attrs: dict[str, str]
    coords: dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Outcome:
    """What came of a point: values and series by name, or an error."""

    values: dict[str, Any] = field(default_factory=dict)
    series: dict[str, Series] = field(default_factory=dict)
    error: str = ""
    trace: str = ""


def run_point(job: Job, changes: Mapping[str, Any], seed: int) -> Outcome:
    """Run a point and measure it; what goes wrong in it is returned, not raised.

    Parameters
    ----------
    job : Job
        What to run, for how long, and what to keep.
    changes : mapping of str to object
        New values by scenario path; a ``"seed"`` among them replaces `seed`.
    seed : int
        Seed of the run.
    """
    from ..memory.reuse import reused
    from ..simulation.simulate import simulate

    try:
        if job.version != __version__:
            text = f"a worker has tieringmodel {__version__}, the sweep was started by {job.version}"
            raise TieringError(f"executor: {text}; install the same version everywhere")
        bring(job.own)
        scenario = with_paths(job.scenario, {p: v for p, v in changes.items() if p != SEED})
        if job.what:
            scenario.machine.need_node(job.what.nid, "what.nid")
        with reused():
            ds = simulate(
                scenario,
                duration=job.duration_us * 1e-6,
                seed=seed_of(changes.get(SEED, seed)),
                progress=False,
                snapshots=job.snapshots,
            )
        if job.measure is None:
            values: Mapping[str, Any] = summary_measures(ds, scenario, job.what)
        else:
            values = job.measure(ds)
        return Outcome(_scalars(values), {name: resampled(ds, name, job, scenario) for name in job.series})
    except TieringError as error:
        return Outcome(error=str(error), trace=traceback.format_exc())
    except Exception as error:  # a measure may raise anything; the sweep goes on and keeps what it said
        return Outcome(error=f"{type(error).__name__}: {error}", trace=traceback.format_exc())


def summary_measures(
    ds: xr.Dataset, scenario: Scenario, what: Controlled | None = None, *, found: Verdict | None = None
) -> dict[str, Any]:
    """Return `MEASURES` of a run.

    Parameters
    ----------
    ds : xarray.Dataset
        From `simulate`.
    scenario : Scenario
        What was run.
    what : Controlled, optional
        The share to judge by; by default what the scenario's goals control at the end. Where they leave a gap, errors are
        those from the point of it next to the run's end.
    found : Verdict, optional
        The verdict on the run, if it is known.

    Raises
    ------
    InputError
        If the scenario controls no share.
    """
    from ..verdicts.judge import verdict
    from ..verdicts.measures import overshoot_bp
    from ..verdicts.row import row_of
    from ..verdicts.target import end_us, share_bp

    what = what or controlled(scenario, at_us=end_us(ds))
    n_pages = touched_pages(scenario.workload) if what.kind == "access" else scenario.workload.n_pages
    y, time, moved = share_bp(ds, what), ds["time"].values, ds["migrated_pages"].values
    reference = what.reference_bp(y[-1])
    found = verdict(ds) if found is None else found
    row = row_of(ds, y, n_pages, reference, found)
    late = y[time >= found.numbers["tail_s"] - 1e-9]
    known = late[~np.isnan(late)]
    migrated_bytes = float(moved.sum()) * scenario.machine.folio_bytes
    return {
        "kind": row.kind,
        "cause": row.cause,
        "fix": row.fix,
        "settled": row.settled,
        "settling_s": row.settling_s,
        "target_bp": float(what.target_bp),
        "share_mean_bp": float(known.mean()) if known.size else float("nan"),
        "share_sd_bp": float(known.std()) if known.size else float("nan"),
        "share_error_bp": row.share_error_bp,
        "overshoot_bp": overshoot_bp(y, reference) if not np.isnan(y).any() else float("nan"),
        "residual_mib_s": row.residual_mib_s,
        "migrated_mib_s": migrated_bytes / MIB / json.loads(ds.attrs["parameters"])["duration_s"],
        "migrated_pages": int(moved.sum()),
        "ping_pong": row.ping_pong,
        "moves_per_page": row.moves_per_page,
    }


def grid_times(job: Job) -> npt.NDArray[np.float64]:
    """Return the times of the series in seconds: 0, every step, up to the end."""
    return np.asarray(np.arange(0, job.duration_us + 1, job.every_us) * 1e-6)


def resampled(ds: xr.Dataset, name: str, job: Job, scenario: Scenario) -> Series:
    """Return a variable as it last was at each of the sweep's times.

    Raises
    ------
    InputError
        If the run has no variable of that name over time.
    """
    from ..verdicts.target import end_us, records_at, share_bp

    at = records_at(ds["time"].values, grid_times(job))
    if name == SHARE:
        what = job.what or controlled(scenario, at_us=end_us(ds))
        attrs = {"units": "bp", "long_name": f"{what.kind} share of node {what.nid}", "source": "tieringmodel.sweep"}
        return Series(("time",), share_bp(ds, what)[at], attrs, {})
    if name not in ds.data_vars or ds[name].dims[:1] != ("time",):
        known = [str(n) for n in ds.data_vars if ds[n].dims[:1] == ("time",)]
        raise InputError("series", f"{name!r} is not a variable over time", "use one of " + ", ".join((SHARE, *known)))
    variable = ds[name]
    coords = {str(d): ds[d].values for d in variable.dims[1:] if d in ds.coords}
    attrs = {str(k): str(v) for k, v in variable.attrs.items()}
    return Series(tuple(map(str, variable.dims)), variable.values[at], attrs, coords)


def _scalars(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return measured values as plain Python scalars."""
    if not isinstance(values, Mapping) or not values:
        raise InputError("measure", f"returned {values!r}", "return a dictionary of numbers, truth values or texts")
    out = {}
    for name, value in values.items():
        plain = value.item() if isinstance(value, np.generic) or getattr(value, "ndim", None) == 0 else value
        if isinstance(plain, np.generic):
            plain = plain.item()
        if not isinstance(name, str) or not isinstance(plain, (bool, int, float, str)):
            raise InputError("measure", f"returned {name!r}: {value!r}", "return numbers, truth values or texts by name")
        if isinstance(plain, int) and not -(2**63) <= plain < 2**63:
            raise InputError("measure", f"returned {name!r}: {plain}, beyond 64 bits", "return it as a float")
        out[name] = plain
    return out
