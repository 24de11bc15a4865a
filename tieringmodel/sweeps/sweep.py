"""Many runs of one scenario with some of its fields changed: one dataset, on any executor, resumable."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import whole
from ..errors import InputError, TieringError
from ..progress import Progress
from ..scenario import Scenario, need_scenario
from ..scenario.controlled import Controlled, controlled
from ..scenario.paths import SEED, seed_of, with_paths
from ..simulation.simulate import attributes, check_length
from ..units import parse_duration_us
from .design import Design
from .executors import run_all
from .identity import code_of
from .own import registered_in
from .point import Job, Measure, grid_times, run_point
from .results import Results, Variable, describe
from .store import FORMAT, Store

if TYPE_CHECKING:
    import xarray as xr

WRITE_EVERY_S = 1.0
_UNITS = {"_bytes": "bytes", "_us": "us", "_ms": "ms", "_bp": "bp", "_hz": "Hz", "_pages": "pages"}


def sweep(
    scenario: Scenario,
    design: Mapping[Any, Any] | Design,
    *,
    duration: str | float = "120 s",
    axes: Mapping[str, str] | None = None,
    seed: int = 0,
    executor: Any = "serial",
    workers: int | None = None,
    store: str | Path | None = None,
    measure: Measure | None = None,
    what: Controlled | None = None,
    series: Sequence[str] = (),
    every: str | float = "1 s",
    snapshots: int = 0,
    keep_old: bool = False,
    on_error: str = "keep",
    progress: bool | None = None,
) -> xr.Dataset:
    """Run a scenario at many settings of some of its fields and put the results into one dataset.

    Parameters
    ----------
    scenario : Scenario
        What to run.
    design : mapping or Design
        Values by scenario path, a grid of all combinations: ``{"contexts.0.schemes.0.quota.sz_bytes": ["1 MiB",
        "4 MiB"], "seed": range(8)}``; ``*`` is every position of a list, as in `Scenario.set`.
        See `Design` for columns that change together, Latin hypercubes and Sobol designs.
        Every point of a seed sees the same accesses and the same draws.
    axes : mapping of str to str, optional
        Names for dimensions, path by name: ``{"quota": "schemes.*.quota.sz_bytes"}``; others are named by their path.
    duration : str or float
        Simulated time of each run: ``"120 s"``, or seconds.
    seed : int
        Seed of all runs when it is not an axis of the design.
    executor : str, concurrent.futures.Executor or distributed.Client
        ``"serial"``, ``"processes"`` (started for this call; those that die are replaced), or something that runs. The
        results are the same bits on each. Metrics, tuners and sources of one's own that the scenario names travel with it, and
        plug-ins are loaded there, too; what cannot travel is refused before the first point.
    workers : int, optional
        Number of ``"processes"``; by default one per processor.
    store : str or Path, optional
        A Zarr store that is written as points finish. If it holds a part of this same sweep, only the rest is run. Points
        that were made by other code (of this package, of the measure and what it reads, of registered metrics and sources)
        are run again.
    measure : callable, optional
        ``measure(ds)`` returns numbers, truth values and texts by name; by default `MEASURES`, see Returns. For
        ``"processes"`` it must stand at the top level of a module.
    what : Controlled, optional
        The share to judge by; by default what each point's goals control.
    series : sequence of str
        Variables of the runs, or ``"share_bp"``, to keep over time.
    every : str or float
        Step of their time grid; each value is the last one recorded at or before that time.
    snapshots : int
        Region snapshots in the dataset that `measure` gets, as in `simulate`.
    keep_old : bool
        Keep stored points that were made by other code.
    on_error : {"keep", "raise"}
        Whether a point that fails keeps its message in ``error`` and the sweep goes on, or stops it.
    progress : bool, optional
        Show rate and time left on stderr; by default only on a terminal or in a notebook.

    Returns
    -------
    xarray.Dataset
        The axes of the design are the leading dimensions, in its order, and every path is a coordinate. Unless measured
        otherwise: kind, cause, fix, settled, settling_s, target_bp, share_mean_bp, share_sd_bp, share_error_bp,
        overshoot_bp, residual_mib_s, migrated_mib_s, migrated_pages, ping_pong, moves_per_page. Always ``error``, empty
        where all is well (elsewhere floats are NaN, integers -1, texts empty), and ``done``.

    Warns
    -----
    UserWarning
        If points in the store were made by other code: how many, and whether they are run again. If some points failed: how
        many, and why the first did.

    Raises
    ------
    InputError
        If an argument is wrong, no point accepts a value, the store is of another sweep or damaged, or a measure for a store
        reads something whose value cannot be told (a lock, an open file).
    TieringError
        If every point failed, with the first reason; if a point fails and `on_error` is ``"raise"``, the executor's workers are
        gone, or the disk is full.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> design = {"contexts.0.schemes.0.quota.sz_bytes": ["1 MiB", "4 MiB"]}
    >>> ds = tm.sweep(tm.load("rfc-40-60"), design, duration="2 s", progress=False)
    >>> dict(ds.sizes)["contexts.0.schemes.0.quota.sz_bytes"]
    2
    """
    need_scenario(scenario)
    asked = design if isinstance(design, Design) else Design.grid(design)
    made = (asked.named(axes) if axes else asked).checked(scenario)
    if on_error not in ("keep", "raise"):
        raise InputError("on_error", f"{on_error!r} is not known", "write 'keep' or 'raise'")
    job = _job(scenario, duration, measure, what, series, every, snapshots)
    columns = made.coordinates()
    if measure is None:
        _controls_something(job, made)
    seed = seed_of(seed)
    measure_name = "" if measure is None else str(getattr(measure, "__qualname__", None) or type(measure).__qualname__)
    results = Results(made, grid_times(job), measure_name)
    paths = {a.name: next(iter(a.columns)) for a in made.axes}
    coords = {p: ((dim,), values, _about(paths[dim] if p == dim else p)) for p, (dim, values) in columns.items()}
    attrs = _attributes(job, made, seed, measure_name)
    try:
        attrs["code"] = json.dumps([code_of(measure, registered_in(f"{attrs['scenario']} {attrs['design']}"))], sort_keys=True)
    except InputError:
        if store is not None:
            raise
    kept = _open(store, attrs, made, coords, keep_old)
    if kept:
        attrs["code"] = kept.attrs["code"]
        if kept.said:
            warnings.warn(kept.said, stacklevel=2)
    try:
        if kept:
            results.restore(kept.read(), {*coords})
        _run(job, made, seed, results, kept, executor, workers, on_error, progress)
        if kept:
            kept.finish()
    finally:
        if kept:
            kept.close()
    ds = results.dataset(coords, attrs)
    _tell_failures(ds)
    return ds


def _tell_failures(ds: xr.Dataset) -> None:
    """Raise if no point succeeded; warn if some failed."""
    errors = ds["error"].values.ravel()
    failed = errors[errors != ""]
    if failed.size and failed.size == errors.size:
        raise TieringError(f"sweep: every point failed ({failed.size}); the first: {failed[0]}")
    if failed.size:
        text = f"{failed.size} of {errors.size} points failed; the first: {failed[0]}; see ds['error']"
        warnings.warn(text, SomeFailed, stacklevel=3)


class SomeFailed(UserWarning):
    """Points of a sweep failed, others did not."""


def _job(
    scenario: Scenario,
    duration: str | float,
    measure: Measure | None,
    what: Controlled | None,
    series: Sequence[str],
    every: str | float,
    snapshots: int,
) -> Job:
    duration_us, every_us = parse_duration_us(duration), parse_duration_us(every, "every")
    check_length(duration_us, duration)
    if measure is not None and not callable(measure):
        raise InputError("measure", f"{measure!r} cannot be called", "give a function of a dataset")
    if isinstance(series, str) or not all(isinstance(s, str) for s in series):
        raise InputError("series", f"{series!r} is not a list of names", "write e.g. ['share_bp']")
    if len({*series}) != len(series):
        raise InputError("series", "names a variable twice", "name each once")
    return Job(scenario, duration_us, measure, what, tuple(series), every_us, whole("snapshots", snapshots, 0, 2**31))


def _controls_something(job: Job, design: Design) -> None:
    """Refuse a sweep whose points control no share at all: the default measures would fail in each."""
    if job.what:
        return
    error: InputError | None = None
    for point in range(min(design.size, 1000)):
        try:
            controlled(with_paths(job.scenario, {p: v for p, v in design.at(point).items() if p != SEED}))
            return
        except InputError as refusal:
            error = error or refusal
    assert error is not None
    raise InputError(error.where, error.what, f"{error.remedy}; or pass measure= or what=")


def _attributes(job: Job, design: Design, seed: int, measure_name: str) -> dict[str, Any]:
    seeded = any(SEED in a.columns for a in design.axes)
    out = attributes(
        job.scenario,
        job.duration_us,
        seed,
        measure=measure_name,
        what=asdict(job.what) if job.what else None,
        series=list(job.series),
        every_s=job.every_us * 1e-6,
        snapshots=job.snapshots,
    )
    if seeded:
        del out["seed"]
        parameters = json.loads(out["parameters"])
        del parameters["seed"]
        out["parameters"] = json.dumps(parameters, sort_keys=True)
    elif seed >= 2**63:
        out["seed"] = str(seed)
    out |= {"kind": "sweep", "design": design.to_json(), "format": FORMAT}
    # What decides the results: a store goes on under a later schema of files, too.
    deciding = {k: v for k, v in out.items() if k not in ("schema_version", "tieringmodel", "kernel")}
    deciding["scenario"] = json.dumps(job.scenario.to_dict(), sort_keys=True)
    return out | {"digest": hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:16]}


def _about(path: str) -> dict[str, str]:
    units = next((u for suffix, u in _UNITS.items() if path.endswith(suffix)), "1")
    return {"units": units, "long_name": "seed of the run" if path == SEED else path}


def _open(
    store: str | Path | None, attrs: Mapping[str, Any], design: Design, coords: Mapping[str, Variable], keep_old: bool
) -> Store | None:
    if store is None:
        return None
    path = Path(store)
    if path.suffix == ".nc":
        raise InputError("store", f"{store} would be netCDF, which cannot be written point by point", "name it *.zarr")
    return Store(path, attrs, design.dims, design.shape, coords, keep_old)


def _run(
    job: Job,
    design: Design,
    seed: int,
    results: Results,
    kept: Store | None,
    executor: Any,
    workers: int | None,
    on_error: str,
    progress: bool | None,
) -> None:
    """Run the points that are missing and write them as they come."""
    left = np.flatnonzero(~results.done.ravel()).tolist()
    tasks = {k: (job, design.at(k), seed) for k in left}
    unwritten: list[int] = []
    last = time.monotonic()

    def write() -> None:
        nonlocal last
        indices = [tuple(map(int, np.unravel_index(k, design.shape))) for k in unwritten]
        unwritten.clear()  # first: a full disk is told once
        if kept and indices:
            if kept.declare({n: v for n, v in results.variables.items() if n not in ("done", "error")}, results.coords):
                indices = [tuple(map(int, at)) for at in np.argwhere(results.done)]
            kept.write(indices, results.arrays())
        last = time.monotonic()

    try:
        with (
            closing(run_all(executor, run_point, tasks, workers)) as finished,
            Progress("sweep", len(tasks), "points", progress) as bar,
        ):
            count = 0
            for item in finished:
                if item is not None:
                    count += 1
                    point, outcome = item
                    if outcome.error and on_error == "raise":
                        error = TieringError(f"{describe(design, point)}: {outcome.error}")
                        error.add_note(outcome.trace)
                        raise error
                    unwritten += results.put(point, outcome)
                if time.monotonic() - last > WRITE_EVERY_S:
                    write()
                bar.update(count)
    except KeyboardInterrupt:
        write()
        there = f", the same call goes on from {kept.path}" if kept else "; name a store to be able to go on"
        n = int(results.done.sum())
        raise KeyboardInterrupt(f"{n} of {design.size} points are finished{there}") from None
    finally:
        write()
