"""Region snapshots as a picture: a ragged list of regions becomes a grid, and the grid a heatmap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..scenario import Node
from ..units import GIB, MIB
from . import reading
from .roles import listed
from .style import LABEL_PT, SMALL_PT, Sheet, dress, headline, headline_all

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

REGIONS = ("region_count", "region_start", "region_end", "region_nr_accesses", "snapshot_time")
_HOT = "(hot: accessed in half of the samples or more)"
Floats = npt.NDArray[np.float64]


class Ragged(NamedTuple):
    """Regions of consecutive snapshots: row ``r`` belongs to snapshot ``snapshot[r]``; addresses in bytes."""

    snapshot: npt.NDArray[np.int64]
    start: Floats
    end: Floats
    value: Floats
    time: Floats


def rasterise(regions: Ragged, edges: Floats) -> Floats:
    """Return the mean of the regions' value over each cell, weighted by bytes; NaN where no region lies.

    Parameters
    ----------
    regions : Ragged
        Regions of one snapshot do not overlap.
    edges : ndarray of float64, shape (cells + 1,)
        Evenly spaced addresses, bytes.

    Returns
    -------
    ndarray of float64, shape (cells, snapshots)
        Each region is a step up at its start and a step down at its end; the part of a cell behind a step is booked
        in that cell, the rest in the next one, and a cumulated sum along addresses does the cells between.
    """
    cells, snapshots = edges.size - 1, regions.time.size
    size = (edges[-1] - edges[0]) / cells
    steps = np.zeros((2, snapshots * (cells + 2)))
    for address, sign in ((regions.start, 1.0), (regions.end, -1.0)):
        at = np.clip((address - edges[0]) / size, 0, cells)
        cell = np.floor(at).astype(np.int64)
        part = at - cell
        slot = regions.snapshot * (cells + 2) + cell
        for shift, weight in ((0, sign * (1 - part)), (1, sign * part)):
            for k, value in enumerate((weight, weight * regions.value)):
                steps[k] += np.bincount(slot + shift, value, steps.shape[1])
    covered, heat = np.cumsum(steps.reshape(2, snapshots, cells + 2), axis=2)[:, :, :cells]
    mean: Floats = np.divide(heat, covered, out=np.full(heat.shape, np.nan), where=covered > 1e-6)
    return mean.T


def time_edges(time: Floats) -> Floats:
    """Return the edges of columns that each end with their snapshot: a snapshot tells of the time before it."""
    first = time[0] - (time[1] - time[0] if time.size > 1 else time[0])
    return np.concatenate([[max(0.0, float(first))], time])


def regions_of(ds: xr.Dataset, context: int) -> Ragged:
    """Return the regions that one context's snapshots hold.

    Raises
    ------
    InputError
        If the dataset lacks a variable, its counts do not add up, or the context has no snapshot.
    """
    reading.need(ds, "ds", REGIONS, f"{reading.RUN} or {reading.COMPARISON}")
    count = np.asarray(ds["region_count"].values, np.int64)
    if count.sum() != ds.sizes["region"] or (count < 0).any():
        text = f"region_count adds up to {count.sum()}, but there are {ds.sizes['region']} regions"
        raise InputError("ds", text, "do not cut `snapshot` or `region` alone")
    owner = np.asarray(ds["snapshot_context"].values) if "snapshot_context" in ds else np.zeros(count.size, np.int64)
    mine = owner == context
    if not (mine & (count > 0)).any():
        remedy = "simulate with snapshots=200, and for longer than an aggregation of the context"
        raise InputError("context", f"{context} has no region snapshot", remedy)
    rows = np.repeat(mine, count)
    number = np.repeat(np.cumsum(mine) - 1, count)[rows]
    time = np.asarray(ds["snapshot_time"].values, np.float64)[mine]
    unit = _units(ds, context, time)[number]
    start, end, value = (ds[f"region_{k}"].values[rows].astype(np.float64) for k in ("start", "end", "nr_accesses"))
    return Ragged(number, start * unit, end * unit, value, time)


def _units(ds: xr.Dataset, context: int, time: Floats) -> Floats:
    """Return by how much core addresses are smaller than physical ones, by snapshot: the context's addr_unit."""
    unit = np.full(time.size, float(reading.context(ds, context).get("addr_unit", 1)))
    for at_s, now in reading.stages(ds)[1:]:
        for watched in now.contexts[context : context + 1]:
            # It is taken over after the merging that a snapshot shows.
            unit[time > at_s + watched.attrs.sample_us * 1e-6] = watched.addr_unit
    return unit


def most_accesses(ds: xr.Dataset, regions: Ragged, context: int) -> float:
    """Return the number of samples per aggregation, the most accesses a region can have."""
    if "samples_per_aggr" in ds.attrs:
        return float(ds.attrs["samples_per_aggr"])
    known = ((at_s, now.contexts[context : context + 1]) for at_s, now in reading.stages(ds))
    watched = [c.attrs for at_s, contexts in known if at_s <= regions.time[-1] for c in contexts]
    if watched:
        return max(1.0, *(float(attrs.aggr_us // attrs.sample_us) for attrs in watched))
    return max(1.0, float(regions.value.max()))


def physical(ds: xr.Dataset, context: int) -> bool:
    """Return whether the context watches physical addresses."""
    return bool(reading.context(ds, context).get("ops", "paddr") == "paddr")


def node_ranges(ds: xr.Dataset, context: int) -> list[tuple[int, int, int]]:
    """Return (nid, first byte, one past the last) of each range of the scenario's nodes; none for virtual addresses."""
    if not physical(ds, context):
        return []
    nodes = map(Node.from_dict, reading.scenario(ds).get("machine", {}).get("nodes", []))
    return [(node.nid, start, end) for node in nodes for start, end in node.system_ram]


def widest_area(regions: Ragged) -> tuple[float, float]:
    """Return the start and end of the largest area; areas are apart by more than all regions are wide.

    Heap, mappings and stack of a process are separated by holes that would leave nothing to see of them.
    """
    order = np.argsort(regions.start, kind="stable")
    start, end = regions.start[order], np.maximum.accumulate(regions.end[order])
    holes = np.maximum(start[1:] - end[:-1], 0)
    covered = end[-1] - start[0] - holes.sum()
    cuts = np.flatnonzero(holes > covered)
    lows, highs = start[np.concatenate([[0], cuts + 1])], end[np.concatenate([cuts, [-1]])]
    best = int(np.argmax(highs - lows))
    return float(lows[best]), float(highs[best])


def contexts_of(ds: xr.Dataset) -> list[int]:
    """Return the contexts that have a region snapshot; context 0 where there is none at all."""
    reading.need(ds, "ds", REGIONS, f"{reading.RUN} or {reading.COMPARISON}")
    count = np.asarray(ds["region_count"].values)
    owner = np.asarray(ds["snapshot_context"].values) if "snapshot_context" in ds else np.zeros(count.size, np.int64)
    return np.unique(owner[count > 0]).tolist() or [0]


def heatmap_sheet(ds: xr.Dataset, *, context: int | None = None, rows: int = 400) -> Sheet:
    """Return the sheet of `heatmap`: one context above the other."""
    n = len(contexts_of(ds)) if context is None else 1
    return Sheet(4.2 if n == 1 else 0.6 + 2.6 * n, n, 1)


def covered_bytes(start: Floats, end: Floats, low: float = -np.inf, high: float = np.inf) -> float:
    """Return the bytes between two addresses that lie in any of some ranges; what several of them hold counts once."""
    order = np.argsort(start, kind="stable")
    first, last = np.clip(start[order], low, high), np.maximum.accumulate(np.clip(end[order], low, high))
    before = np.concatenate(([-np.inf], last[:-1]))[: first.size]
    return float(np.maximum(last - np.maximum(first, before), 0).sum())


def _message(ds: xr.Dataset, parts: dict[int, Ragged], most: dict[int, float]) -> str:
    """Return how much is hot in the first and in the last snapshot, and on which nodes, over all contexts."""
    said = []
    for last in (False, True):
        nodes: dict[tuple[int, int, int], None] = {}
        ranges: dict[bool, list[Floats]] = {True: [], False: []}
        for context, regions in parts.items():
            hot = regions.value >= most[context] / 2
            hot &= regions.snapshot == (regions.time.size - 1 if last else 0)
            nodes |= dict.fromkeys(node_ranges(ds, context))
            ranges[physical(ds, context)].append(np.stack([regions.start[hot], regions.end[hot]]))
        start, end = np.concatenate([np.zeros((2, 0)), *ranges[True]], axis=1)
        sizes: dict[str, float] = {}
        for nid, low, high in nodes:
            name = f" on node {nid}"
            sizes[name] = sizes.get(name, 0.0) + covered_bytes(start, end, low, high)
        sizes = sizes or {"": covered_bytes(start, end)}
        sizes[" of virtual memory"] = sum(float((r[1] - r[0]).sum()) for r in ranges[False])
        said.append(listed([f"{size / MIB:.0f} MiB{where}" for where, size in sizes.items() if size], 6) or "nothing")
    return f"Hot at first: {said[0]}; at last: {said[1]} {_HOT}"


def heatmap(ds: xr.Dataset, *, context: int | None = None, rows: int = 400, ax: Any = None) -> Any:
    """Draw how often regions were found accessed, over time and address.

    Parameters
    ----------
    ds : xarray.Dataset
        A run or a comparison (then of its first policy) with region snapshots. Node boundaries come from its
        ``scenario`` attribute.
    context : int, optional
        Whose regions; by default those of every context, one below the other.
    rows : int
        Cells along the addresses.
    ax : matplotlib Axes or sequence of them, optional
        Where to draw, one for each context; by default a new figure.

    Returns
    -------
    matplotlib Axes, or ndarray of them
        One where one context is drawn, else one for each.

    Raises
    ------
    InputError
        If there are no snapshots to draw, `rows` is not positive, or there are fewer axes than contexts.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.simulate(tm.load("rfc-40-60"), duration="3 s", seed=1)
    >>> tm.plot.heatmap(ds).get_ylabel()
    'Physical address [MiB]'
    """
    if rows < 1:
        raise InputError("rows", f"{rows} is not positive", "write e.g. 400")
    shown = contexts_of(ds) if context is None else [context]
    parts = {one: regions_of(ds, one) for one in shown}
    most = {one: most_accesses(ds, regions, one) for one, regions in parts.items()}
    axes = heatmap_sheet(ds, context=context).axes(ax)
    for panel, (one, regions) in zip(axes, parts.items(), strict=False):
        _panel(panel, ds, one, regions, most[one], rows)
        if len(shown) > 1:
            ops = reading.context(ds, one).get("ops", "paddr")
            panel.set_title(f"Context {one} ({ops})", loc="left", fontsize=LABEL_PT)
    if len(shown) == 1:
        headline(axes[0], _message(ds, parts, most))
        return axes[0]
    headline_all(axes, _message(ds, parts, most))
    return axes[: len(shown)]


def _panel(target: Axes, ds: xr.Dataset, context: int, regions: Ragged, most: float, rows: int) -> None:
    """Draw one context; `most` accesses a region can have."""
    nodes = node_ranges(ds, context)
    low, high = float(regions.start.min()), float(regions.end.max())
    zero, label = 0.0, "Physical address"
    if not physical(ds, context):
        low, high = widest_area(regions)
        # Mappings lie so high that their distance from 0 would hide the distances between them.
        zero, label = low, f"Virtual address above {int(low):#x}"
    for _, first, last in nodes:
        if first < high and last > low:
            low, high = min(low, first), max(high, last)
    edges = np.linspace(low, high, rows + 1)
    scale, unit = (MIB, "MiB") if high - low < 8 * GIB else (GIB, "GiB")
    share = rasterise(regions, edges) / most
    time = time_edges(regions.time)
    mesh = target.pcolormesh(time, (edges - zero) / scale, share, cmap="inferno", vmin=0, vmax=1, rasterized=True)
    dress(target, reading.TIME, f"{label} [{unit}]")
    target.grid(visible=False)
    target.set_ylim((low - zero) / scale, (high - zero) / scale)
    for k, (nid, first, last) in enumerate(nodes):
        if last <= low or first >= high:
            continue
        if k:
            target.axhline(first / scale, color="white", linewidth=2.2, label="_node boundary")
            target.axhline(first / scale, color="black", linewidth=1.0, linestyle=(0, (4, 2)), label="_node boundary")
        middle = (max(first, low) + min(last, high)) / 2 / scale
        target.annotate(
            f"node {nid}",
            (1, middle),
            (4, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            rotation=270,
            fontsize=SMALL_PT,
        )
    bar = target.figure.colorbar(mesh, ax=target, pad=0.035, fraction=0.05)
    bar.set_label(f"nr_accesses / {most:.0f} samples [1]", fontsize=SMALL_PT)
    bar.ax.tick_params(labelsize=SMALL_PT)
