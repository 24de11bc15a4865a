"""Run time that follows from where accesses are served: latency-bound, bandwidth-bound, idle and loaded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..checks import float_array, instance, number, positive, said
from ..errors import InputError
from .constants import DEFAULT, Costs

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class NodePerformance:
    """How fast a memory node answers.

    Attributes
    ----------
    idle_latency_ns : float
        Latency of a read without load.
    bandwidth_gbps : float
        10**9 bytes per second at most.
    queue_ns : float
        Service time of the queue that load builds up; see `loaded_latency_ns`.
    name : str
        For people.
    """

    idle_latency_ns: float
    bandwidth_gbps: float
    queue_ns: float = DEFAULT.queue_ns.default
    name: str = ""

    def __post_init__(self) -> None:
        for field in ("idle_latency_ns", "bandwidth_gbps"):
            positive(field, getattr(self, field))
        number("queue_ns", self.queue_ns, 0)


def default_nodes(costs: Costs = DEFAULT) -> tuple[NodePerformance, NodePerformance]:
    """Return DRAM and CXL with the table's latencies and bandwidths.

    Parameters
    ----------
    costs : Costs
        The table.

    Returns
    -------
    tuple of two NodePerformance

    Examples
    --------
    >>> import tieringmodel as tm
    >>> [node.name for node in tm.cost.default_nodes()]
    ['DRAM', 'CXL']
    """
    return (
        NodePerformance(costs.dram_latency_ns.default, costs.dram_bandwidth_gbps.default, costs.queue_ns.default, "DRAM"),
        NodePerformance(costs.cxl_latency_ns.default, costs.cxl_bandwidth_gbps.default, costs.queue_ns.default, "CXL"),
    )


def loaded_latency_ns(node: NodePerformance, load_gbps: float) -> float:
    """Return a node's latency under load, in nanoseconds.

    Parameters
    ----------
    node : NodePerformance
        The node.
    load_gbps : float
        10**9 bytes per second that are asked of it.

    Returns
    -------
    float
        ``idle + queue * u / (2 (1 - u))`` with utilisation u: the mean wait of an M/D/1 queue (Poisson arrivals, constant
        service time ``queue_ns``) on top of the idle latency; inf from full utilisation on. Assumed: one queue per node,
        and no difference between reads and writes.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.cost.loaded_latency_ns(tm.cost.default_nodes()[0], 36)
    110.0
    """
    load_gbps = number("load_gbps", load_gbps, 0.0)
    instance("node", node, NodePerformance, "take one of tieringmodel.cost.default_nodes()")
    u = load_gbps / node.bandwidth_gbps
    return node.idle_latency_ns + node.queue_ns * u / (2 * (1 - u)) if u < 1 else math.inf


def need_nodes(nodes: object) -> None:
    """Refuse what is no list of nodes."""
    if not isinstance(nodes, Sequence) or not all(isinstance(n, NodePerformance) for n in nodes):
        raise InputError("nodes", f"{said(nodes)} is no list of nodes", "take those of tieringmodel.cost.default_nodes()")


def _shares(shares: Sequence[float] | npt.NDArray[np.float64], nodes: Sequence[NodePerformance]) -> npt.NDArray[np.float64]:
    out: npt.NDArray[np.float64] = float_array("shares", shares)
    need_nodes(nodes)
    if out.shape[-1:] != (len(nodes),):
        raise InputError("shares", f"has {out.shape[-1:]} entries for {len(nodes)} nodes", "give one share per node")
    known = out[~np.isnan(out).any(axis=-1)]
    if (known < 0).any() or not np.allclose(known.sum(axis=-1), 1.0, atol=1e-6):
        raise InputError("shares", "are negative or do not sum to 1", "give the share of accesses that each node serves")
    return out


def _bound(memory_bound: float) -> float:
    if not 0 <= memory_bound <= 1:
        raise InputError("memory_bound", f"{memory_bound!r} is outside 0..1", "write the share of time that waits for memory")
    return float(memory_bound)


def latency_time(
    shares: Sequence[float] | npt.NDArray[np.float64],
    nodes: Sequence[NodePerformance],
    *,
    memory_bound: float = 1.0,
    load_gbps: float = 0.0,
) -> npt.NDArray[np.float64]:
    """Return run time relative to everything on node 0, for a workload that waits for each access.

    Parameters
    ----------
    shares : array of float, shape (..., n_nodes)
        Share of accesses that each node serves.
    nodes : sequence of NodePerformance
        Node 0 is the reference.
    memory_bound : float
        Share of the run time on node 0, without load, that waits for memory.
    load_gbps : float
        Bytes per nanosecond that the accesses ask for, split by `shares`; 0 for idle latencies.

    Returns
    -------
    ndarray of float64, shape (...)
        ``1 - m + m * sum(share * latency) / latency_0``.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> float(tm.cost.latency_time([0.4, 0.6], tm.cost.default_nodes()))
    1.9
    """
    s, m = _shares(shares, nodes), _bound(memory_bound)
    idle = np.array([n.idle_latency_ns for n in nodes])
    if load_gbps:
        utilisation = s * load_gbps / np.array([n.bandwidth_gbps for n in nodes])
        wait = np.where(utilisation < 1, utilisation / (2 * np.maximum(1 - utilisation, 1e-300)), np.inf)
        latency = idle + np.array([n.queue_ns for n in nodes]) * wait
    else:
        latency = np.broadcast_to(idle, s.shape)
    return np.asarray(1 - m + m * (s * latency).sum(axis=-1) / idle[0])


def bandwidth_time(
    shares: Sequence[float] | npt.NDArray[np.float64], nodes: Sequence[NodePerformance], *, memory_bound: float = 1.0
) -> npt.NDArray[np.float64]:
    """Return run time relative to everything on node 0, for a workload that saturates its memory.

    Parameters
    ----------
    shares : array of float, shape (..., n_nodes)
        Share of the bytes that each node serves.
    nodes : sequence of NodePerformance
        Node 0 is the reference.
    memory_bound : float
        Share of the run time on node 0 that waits for memory.

    Returns
    -------
    ndarray of float64, shape (...)
        ``1 - m + m * max(share / bandwidth) * bandwidth_0``: nodes work side by side, the last one to finish decides.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> float(tm.cost.bandwidth_time([0.75, 0.25], tm.cost.default_nodes()))
    0.75
    """
    s, m = _shares(shares, nodes), _bound(memory_bound)
    bandwidth = np.array([n.bandwidth_gbps for n in nodes])
    return np.asarray(1 - m + m * (s / bandwidth).max(axis=-1) * bandwidth[0])


def relative_time(
    ds: xr.Dataset,
    nodes: Sequence[NodePerformance] | None = None,
    *,
    kind: str = "latency",
    memory_bound: float = 1.0,
    load_gbps: float = 0.0,
) -> xr.DataArray:
    """Return a run's predicted time per unit of work over time, relative to all accesses on the first node.

    Parameters
    ----------
    ds : xarray.Dataset
        With ``access_share_bp(time, node)``: a run of `tieringmodel.simulate`.
    nodes : sequence of NodePerformance, optional
        One per node of the run, in its order; by default DRAM and CXL of the cost table.
    kind : {"latency", "bandwidth"}
        Which of `latency_time` and `bandwidth_time` applies.
    memory_bound, load_gbps : float
        Passed on; a load only for latency.

    Returns
    -------
    xarray.DataArray
        Over ``time``, unit 1; nan where nothing is accessed.

    Raises
    ------
    InputError
        If the dataset has no shares, or nodes do not fit.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.simulate(tm.load("rfc-40-60"), duration="3 s", seed=1)
    >>> tm.cost.relative_time(ds).dims
    ('time',)
    """
    import xarray as xr

    if "access_share_bp" not in getattr(ds, "variables", {}):
        raise InputError("ds", "has no access_share_bp", "pass what tieringmodel.simulate returned")
    if kind not in ("latency", "bandwidth"):
        raise InputError("kind", f"{kind!r} is unknown", "write latency or bandwidth")
    if kind == "bandwidth" and load_gbps:
        raise InputError("load_gbps", "does not go with kind bandwidth", "leave it out: the memory is saturated")
    made = default_nodes() if nodes is None else tuple(nodes)
    shares = ds["access_share_bp"].transpose("time", "node").values / 1e4
    if kind == "latency":
        values = latency_time(shares, made, memory_bound=memory_bound, load_gbps=load_gbps)
    else:
        values = bandwidth_time(shares, made, memory_bound=memory_bound)
    attrs = {"units": "1", "long_name": f"time per unit of work, {kind}-bound, all on the first node = 1"}
    return xr.DataArray(values, coords={"time": ds["time"]}, dims=("time",), name="relative_time", attrs=attrs)


def mean_relative_time(
    ds: xr.Dataset,
    nodes: Sequence[NodePerformance] | None = None,
    *,
    kind: str = "latency",
    memory_bound: float = 1.0,
    load_gbps: float = 0.0,
    from_s: float = 0.0,
) -> float:
    """Return the relative time of the work done in a run: the harmonic mean of `relative_time`, weighted by time.

    Parameters
    ----------
    ds, nodes, kind, memory_bound, load_gbps
        See `relative_time`.
    from_s : float
        Leave out what came before, in seconds.

    Returns
    -------
    float
        Time per unit of work over the run, all on the first node = 1. Each record stands for the time since the one
        before; nan without accesses.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.simulate(tm.load("rfc-40-60"), duration="3 s", seed=1)
    >>> 1 < tm.cost.mean_relative_time(ds) < 2.5
    True
    """
    over = relative_time(ds, nodes, kind=kind, memory_bound=memory_bound, load_gbps=load_gbps)
    time = over["time"].values
    begin = np.maximum(np.concatenate(([0.0], time[:-1])), from_s)
    span, values = np.maximum(time - begin, 0.0), over.values
    known = ~np.isnan(values) & (span > 0)
    return float(span[known].sum() / (span[known] / values[known]).sum()) if known.any() else math.nan
