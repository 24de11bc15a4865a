"""What a run does to its workload: throughput, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .reading import RUN, TIME, need, numbers, plain
from .roles import GREY, series_colours
from .style import Sheet, dress, headline_all, label_ends

if TYPE_CHECKING:
    import xarray as xr

LOOP_SHEET = Sheet(7.2, 3, 1, sharex=True)
"""The sheet of `closed_loop`: three axes, one above the other."""


def closed_loop(ds: xr.Dataset, *, ax: Any = None) -> npt.NDArray[Any]:
    """Draw throughput by group, and below it latency and load of each node, with migration's part of the load.

    Parameters
    ----------
    ds : xarray.Dataset
        A run whose workload has a demand: ``throughput_per_s`` (time, group), ``node_latency_ns``, ``node_load_gbps`` and
        ``migration_gbps`` (time, node).
    ax : three matplotlib Axes, optional
        From top to bottom; by default a new figure.

    Returns
    -------
    ndarray of three matplotlib Axes
        Filled in the lowest: copies of pages.

    Raises
    ------
    InputError
        If the dataset lacks a variable or fewer than three axes are given.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> scenario = tm.load("rfc-40-60")
    >>> nodes = tm.Performance(nodes=[tm.NodeCurve(90, 49), tm.NodeCurve(190, 17)])
    >>> demand = tm.Demand(threads=8, outstanding=16)
    >>> machine, workload = scenario.machine.replace(performance=nodes), scenario.workload.replace(demand=demand)
    >>> ds = tm.simulate(scenario.replace(machine=machine, workload=workload), duration="3 s", seed=1)
    >>> tm.plot.closed_loop(ds)[1].get_ylabel()
    'Latency [ns]'
    """
    need(ds, "ds", ("throughput_per_s", "node_latency_ns", "node_load_gbps", "migration_gbps"), RUN)
    axes = LOOP_SHEET.axes(ax)[:3]
    time, per_s, copies = numbers(ds, "time"), numbers(ds, "throughput_per_s") * 1e-6, numbers(ds, "migration_gbps")
    groups, nodes = [plain(g) for g in ds["group"].values], [f"node {int(n)}" for n in ds["node"].values]
    panels = (
        (axes[0], per_s, groups, "", "Accesses [million per second]"),
        (axes[1], numbers(ds, "node_latency_ns"), nodes, "", "Latency [ns]"),
        (axes[2], numbers(ds, "node_load_gbps"), nodes, TIME, "Load [GB/s]"),
    )
    for panel, values, labels, below, beside in panels:
        dress(panel, below, beside)
        panel.set_xlim(0, time[-1] or 1)
        ends = []
        for k, colour in enumerate(series_colours(len(labels))):
            if panel is axes[2]:
                panel.fill_between(time, copies[:, k], step="pre", color=colour, alpha=0.4, linewidth=0)
            panel.plot(time, values[:, k], color=colour, linewidth=1.2, drawstyle="steps-pre", label=labels[k])
            ends.append((float(time[-1]), float(values[-1, k]), labels[k], colour))
        panel.set_ylim(bottom=0)
        label_ends(panel, ends)
    total = per_s.sum(axis=1)
    axes[0].axhline(total[0], color=GREY, linewidth=1.0, linestyle=(0, (4, 2)), label="_at the start")
    headline_all(axes, _message(total, float(copies.max(initial=0.0))))
    return np.asarray(axes, dtype=object)


def _message(total: npt.NDArray[np.float64], most_gbps: float) -> str:
    if not total[0]:
        return f"Copies take at most {most_gbps:.3g} GB/s of a node"
    change = total[-1] / total[0] - 1
    where = "above" if change >= 0 else "below"
    return f"Throughput ends {abs(change):.1%} {where} its start; copies take at most {most_gbps:.3g} GB/s of a node"
