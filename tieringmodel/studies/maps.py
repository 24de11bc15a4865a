"""Stability maps: what becomes of the loop over a grid of parameters, with the boundaries that theory draws."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..checks import whole
from ..errors import InputError
from ..units import GIB, MIB, PAGE_SZ
from ..verdicts.grid import IMPOSSIBLE, Codes, Floats, Tail, classes, tail_of_grid, waste_of
from ..verdicts.record import LOOP_KINDS

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["CONTROLLERS", "gain_map", "quota_map", "start_map"]

CONTROLLERS: dict[str, dict[str, Any]] = {
    "TEMPORAL": {"tuner": "temporal"},
    "CONSIST": {"tuner": "consist"},
    "CONSIST + stop": {"tuner": "consist", "early_exit": True},
}


def quota_map(
    *,
    target_bp: int = 4000,
    memory_bytes: int = 4 * GIB,
    churn_bytes_per_s: int = 8 * MIB,
    cap_bytes: tuple[int, int] = (MIB, 2 * GIB),
    reset_s: tuple[float, float] = (0.02, 50.0),
    duration_s: float = 3600.0,
    cells: int = 48,
) -> xr.Dataset:
    """Map what holding a goal against churn comes to, over size quota and reset interval.

    The hot set changes at a constant rate: what leaves the goal's node per window grows with the reset interval, while
    a size quota is a number of bytes per window whatever its length.

    Parameters
    ----------
    target_bp : int
        Goal; every run starts there.
    memory_bytes : int
        Eligible memory on both nodes.
    churn_bytes_per_s : int
        Bytes that leave the goal's node by themselves.
    cap_bytes : pair of int
        Smallest and largest size quota per window; a grid in equal ratios.
    reset_s : pair of float
        Shortest and longest reset interval, seconds; likewise.
    duration_s : float
        Simulated time; at least 400 windows are run.
    cells : int
        Grid points along each axis.

    Returns
    -------
    xarray.Dataset
        ``kind`` "stability_map" over ``controller`` × ``reset_interval_s`` × ``cap_mib``: class, ripple_bp, error_bp,
        residual_bp, waste; ``boundary_x``, ``boundary_y`` (boundary, point).

    Raises
    ------
    InputError
        When an argument is outside its bounds.

    Notes
    -----
    Boundaries (docs/theory/stability.md, sections 3a and 3c): a quota below the churn per window starves; TEMPORAL's swing, one
    quota, leaves the band when it is wider; with a stop rule CONSIST's swing is one window's churn to either side; and
    below 1e-4 of the pages per window a replacement of churn counts as rest.
    """
    from ..loop import run_many

    whole("cells", cells, 2, 1000)
    for name, (low, high) in (("cap_bytes", cap_bytes), ("reset_s", reset_s)):
        if not 0 < low < high:
            raise InputError(name, f"{(low, high)!r} is no range", "give a smaller and a larger positive number")
    n = memory_bytes // PAGE_SZ
    if not duration_s > 0 or churn_bytes_per_s * reset_s[0] < PAGE_SZ or n < 10_000:
        raise InputError(
            "churn_bytes_per_s", f"{churn_bytes_per_s} of {memory_bytes} B is less than a page per window", "raise it"
        )
    caps = np.geomspace(*cap_bytes, cells).astype(np.int64) // PAGE_SZ * PAGE_SZ
    resets = np.geomspace(*reset_s, cells)
    leaks = np.rint(resets * churn_bytes_per_s / PAGE_SZ).astype(np.int64)
    windows = np.maximum(400, np.rint(duration_s / resets).astype(np.int64))
    start = -(-target_bp * n // 10_000)
    parts = []
    for options in CONTROLLERS.values():
        ds = run_many(
            target_bp=target_bp,
            n_pages=n,
            start_pages=start,
            cap_bytes=caps[None, :],
            leak_pages=leaks[:, None],
            windows=windows[:, None],
            **options,
        )
        tail = tail_of_grid(ds)
        waste = waste_of(ds["moved_pages"].values, ds["final_pages"].values - start)
        parts.append(judged(tail, waste, classes(tail)))
    variables = {k: (np.stack([p[k][0] for p in parts]), *v[1:]) for k, v in parts[0].items()}
    band_mib = 0.02 * target_bp / 1e4 * memory_bytes / MIB
    churn_mib = resets * churn_bytes_per_s / MIB
    ends, every_cap = np.array(reset_s), np.array(cap_bytes) / MIB
    lines = (
        Line("quota = churn per window", churn_mib, resets),
        Line("quota = width of the ±2 % band", np.full(2, 2 * band_mib), ends, 0),
        Line("churn per window = 2 % of the goal", every_cap, np.full(2, band_mib * MIB / churn_bytes_per_s), 2),
        Line("churn per window = 1e-4 of the memory", every_cap, np.full(2, 1e-4 * memory_bytes / churn_bytes_per_s)),
    )
    axes = (
        Axis("controller", np.array(list(CONTROLLERS)), "tuner", "1"),
        Axis("reset_interval_s", resets, "quota reset interval", "s"),
        Axis("cap_mib", caps / MIB, "size quota per window", "MiB"),
    )
    parameters = {
        "target_bp": target_bp,
        "memory_bytes": memory_bytes,
        "churn_bytes_per_s": churn_bytes_per_s,
        "cap_bytes": list(cap_bytes),
        "reset_s": list(reset_s),
        "duration_s": duration_s,
        "cells": cells,
    }
    return map_dataset("quota", axes, variables, lines, parameters)


def gain_map(
    *,
    leak_rates: Sequence[float] = (0.02, 0.05),
    most_delay: int = 8,
    gain: tuple[float, float] = (0.05, 4.0),
    target_bp: int = 4000,
    cells: int = 48,
    windows: int = 8_000,
) -> xr.Dataset:
    """Map the CONSIST loop with a proportional leak over the metric's delay and the tuner's gain.

    Parameters
    ----------
    leak_rates : sequence of float
        Shares of the goal node's pages that leave per window; one panel each.
    most_delay : int
        Delays 0 … this are mapped.
    gain : pair of float
        Smallest and largest gain; the kernel's is 1.
    target_bp : int
        Goal; runs start 5 % below it with the quota of the fixed point.
    cells : int
        Gains, in equal ratios.
    windows : int
        Windows per run.

    Returns
    -------
    xarray.Dataset
        As `quota_map`, over ``leak_rate`` × ``gain`` × ``delay_windows``. A stable loop is a "ripple" here, for it
        replaces what leaks.

    Raises
    ------
    InputError
        When an argument is outside its bounds.

    Notes
    -----
    Runs are of `gain_runs`, in real numbers; boundaries: `tieringmodel.theory.linear`'s critical gain, its
    approximation gain × delay = 1, and the kernel's own gain (docs/theory/stability.md, section 3d).
    """
    from ..theory.gain_runs import gain_runs
    from ..theory.linear import linear

    whole("cells", cells, 2, 1000)
    whole("most_delay", most_delay, 2, 1000)
    if not 0 < gain[0] < gain[1]:
        raise InputError("gain", f"{gain!r} is no range", "give a smaller and a larger positive number")
    if not leak_rates or not 1 <= target_bp <= 10_000:
        raise InputError("leak_rates", f"{leak_rates!r} for a goal of {target_bp!r} bp", "give rates, and 1..10000 bp")
    delays, gains, rates = np.arange(most_delay + 1), np.geomspace(*gain, cells), np.asarray(leak_rates, float)
    if gain[0] <= 1 <= gain[1]:
        gains[np.argmin(np.abs(np.log(gains)))] = 1.0  # the one that exists in a kernel
    target = target_bp / 1e4
    runs = gain_runs(
        gains[None, :, None],
        delays[None, None, :],
        rates[:, None, None],
        target=target,
        start=0.95 * target,
        windows=windows,
    )
    shape = runs.mean.shape
    tail = Tail(
        goal_bp=np.full(shape, float(target_bp)),
        mean_bp=1e4 * runs.mean,
        low_bp=1e4 * runs.low,
        high_bp=1e4 * runs.high,
        moved_share=runs.moved,
        rest_kind=np.full(shape, 0, np.int8),
        limited=np.zeros(shape, bool),
        bounced=np.ones(shape),
    )
    critical = np.array([[linear(r, delay=int(d)).critical_gain for d in delays] for r in rates])
    critical[critical > gain[1]] = np.nan  # beyond the map, as without a delay
    stairs = np.repeat(delays, 2) + np.tile([-0.5, 0.5], delays.size)
    late = np.linspace(1.0, most_delay + 0.5, 80)
    lines = [Line("critical gain", stairs, np.repeat(critical[k], 2), k) for k in range(rates.size)] + [
        Line("gain × delay = 1", late, 1 / late),
        Line("the kernel's gain", np.array([-0.5, most_delay + 0.5]), np.ones(2)),
    ]
    axes = (
        Axis("leak_rate", rates, "share that leaks per window", "1"),
        Axis("gain", gains, "tuner gain", "1"),
        Axis("delay_windows", delays, "delay of the metric", "windows"),
    )
    parameters = {
        "leak_rates": list(leak_rates),
        "most_delay": most_delay,
        "gain": list(gain),
        "target_bp": target_bp,
        "cells": cells,
        "windows": windows,
    }
    variables = judged(tail, waste_of(runs.moved_total, runs.final - 0.95 * target), classes(tail))
    return map_dataset("gain", axes, variables, lines, parameters)


def start_map(
    *,
    controller: str = "CONSIST",
    capacity_bp: Sequence[int] = (10_000, 6_000, 4_000),
    cap_bytes: int | None = None,
    n_pages: int = 1_000_000,
    cells: int = 99,
    windows: int = 4_000,
) -> xr.Dataset:
    """Map where a loop on static memory ends, over goal, start and capacity of the goal's node.

    Parameters
    ----------
    controller : str
        One of `CONTROLLERS`.
    capacity_bp : sequence of int
        Most of the eligible pages that fit on the node, bp; one panel each.
    cap_bytes : int, optional
        Size quota per window.
    n_pages : int
        Eligible pages.
    cells : int
        Grid points along each axis, evenly from 200 bp (start: from 0) to 10000 bp.
    windows : int
        Windows per run: near its goal CONSIST takes hundreds.

    Returns
    -------
    xarray.Dataset
        As `quota_map`, over ``capacity_bp`` × ``start_bp`` × ``target_bp``; cells that start above the capacity have
        class -1 and no other value.

    Raises
    ------
    InputError
        When an argument is outside its bounds.

    Notes
    -----
    Boundaries (docs/theory/stability.md, sections 3b and 3e): goal = capacity, beyond which the quota winds up; start = goal,
    above which a scheme that moves pages in can do nothing; and, for CONSIST without stop or cap, the goal whose mirror
    overshoot reaches the capacity.
    """
    from ..loop import run_many

    whole("cells", cells, 2, 1000)
    if controller not in CONTROLLERS:
        raise InputError("controller", f"{controller!r} is not known", f"use one of {', '.join(CONTROLLERS)}")
    if not capacity_bp or not all(1 <= c <= 10_000 for c in capacity_bp):
        raise InputError("capacity_bp", f"{capacity_bp!r} is outside 1..10000", "give basis points")
    targets = np.rint(np.linspace(200, 10_000, cells)).astype(np.int64)
    starts = np.rint(np.linspace(0, 10_000, cells)).astype(np.int64)
    capacity = np.asarray(capacity_bp, np.int64)[:, None, None]
    start_pages = np.minimum(starts[None, :, None], capacity) * n_pages // 10_000
    ds = run_many(
        target_bp=targets[None, None, :],
        n_pages=n_pages,
        start_pages=start_pages,
        cap_bytes=cap_bytes,
        capacity_pages=capacity * n_pages // 10_000,
        windows=windows,
        **CONTROLLERS[controller],
    )
    tail = tail_of_grid(ds)
    waste = waste_of(ds["moved_pages"].values, ds["final_pages"].values - start_pages)
    possible = np.broadcast_to(starts[None, :, None] <= capacity, tail.mean_bp.shape)
    variables = {
        key: (np.where(possible, values, IMPOSSIBLE if key == "class" else np.nan), text, units)
        for key, (values, text, units) in judged(tail, waste, classes(tail)).items()
    }
    variables["class"] = (variables["class"][0].astype(np.int8), *variables["class"][1:])
    lines = [Line("goal = start", np.array([0.0, 1e4]), np.array([0.0, 1e4]))]
    for k, c in enumerate(capacity_bp):
        lines.append(Line("goal = capacity", np.full(2, float(c)), np.array([0.0, float(c)]), k))
        if controller == "CONSIST" and cap_bytes is None:
            lines.append(Line("overshoot fills the node", *_filling(float(c)), k))
    axes = (
        Axis("capacity_bp", np.asarray(capacity_bp), "capacity of the goal's node", "bp"),
        Axis("start_bp", starts, "start", "bp"),
        Axis("target_bp", targets, "goal", "bp"),
    )
    parameters = {
        "controller": controller,
        "capacity_bp": list(capacity_bp),
        "cap_bytes": cap_bytes,
        "n_pages": n_pages,
        "cells": cells,
        "windows": windows,
    }
    return map_dataset("start", axes, variables, lines, parameters)


def _filling(capacity_bp: float, points: int = 40) -> tuple[Floats, Floats]:
    """Return (goal, start) at which CONSIST's mirror point, goal × (1 + z_f), is just the capacity."""
    from scipy.optimize import brentq

    from ..theory.closed_forms import mirror_overshoot

    def past(goal: float, start: float) -> float:
        return goal * (1 + mirror_overshoot(min(0.0, start / goal - 1))) - capacity_bp

    starts = np.linspace(0, 0.999 * capacity_bp, points)
    goals = [brentq(past, max(start, 1e-3), capacity_bp, args=(start,)) for start in starts]
    return np.array(goals), starts


Variable = tuple[npt.NDArray[Any], str, str]
"""Values, long name, unit."""


@dataclass(frozen=True)
class Axis:
    """One dimension of a map."""

    name: str
    values: npt.NDArray[Any]
    long_name: str
    units: str


@dataclass(frozen=True)
class Line:
    """A boundary from theory, in the coordinates of the map's two axes; `panel` -1 = every panel."""

    name: str
    x: Floats
    y: Floats
    panel: int = -1


def map_dataset(
    name: str,
    axes: Sequence[Axis],
    variables: Mapping[str, Variable],
    lines: Sequence[Line],
    parameters: Mapping[str, Any],
) -> xr.Dataset:
    """Return the dataset of a map: `axes` are panel, vertical and horizontal, `variables` name (values, text, unit)."""
    import xarray as xr

    source = f"tieringmodel.studies.{name}_map"
    dims = tuple(a.name for a in axes)
    data: dict[str, Any] = {
        key: (dims, values, {"long_name": text, "units": units, "source": source})
        for key, (values, text, units) in variables.items()
    }
    if "class" in data:
        data["class"][2].update(
            flag_values=list(range(-1, len(LOOP_KINDS))), flag_meanings=" ".join(("impossible", *LOOP_KINDS))
        )
    length = max((line.x.size for line in lines), default=0)
    for which, unit_of in (("x", axes[-1]), ("y", axes[-2])):
        values = np.full((len(lines), length), np.nan)
        for k, line in enumerate(lines):
            values[k, : line.x.size] = getattr(line, which)
        about = {"long_name": f"boundary: {unit_of.long_name}", "units": unit_of.units, "source": source}
        data[f"boundary_{which}"] = (("boundary", "point"), values, about)
    panels = np.array([line.panel for line in lines], np.int64)
    about = {"long_name": "panel of the boundary, -1 = every panel", "units": "1", "source": source}
    data["boundary_panel"] = ("boundary", panels, about)
    coords: dict[str, Any] = {a.name: (a.name, a.values, {"long_name": a.long_name, "units": a.units}) for a in axes} | {
        "boundary": ("boundary", [line.name for line in lines])
    }
    if "class" in data:
        coords["class_name"] = ("class_code", list(LOOP_KINDS))
    return xr.Dataset(
        data,
        coords,
        {
            "kind": "stability_map",
            "name": name,
            "source": source,
            "panel": axes[-3].name,
            "y": axes[-2].name,
            "x": axes[-1].name,
            "parameters": json.dumps(dict(parameters)),
        },
    )


def judged(tail: Tail, waste: Floats, codes: Codes) -> dict[str, Variable]:
    """Return the variables of a map of single loops, for `map_dataset`."""
    return {
        "class": (codes, "verdict: index of class_name, -1 = cannot be set up", "1"),
        "ripple_bp": ((tail.high_bp - tail.low_bp) / 2, "half the swing of the share in the tail", "bp"),
        "error_bp": (tail.mean_bp - tail.goal_bp, "mean share in the tail minus the goal", "bp"),
        "residual_bp": (1e4 * tail.moved_share, "pages moved per window of the tail per eligible page", "bp"),
        "waste": (waste, "share of all moves beyond the net change of placement", "1"),
    }
