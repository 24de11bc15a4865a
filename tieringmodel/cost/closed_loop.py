"""A workload with limited misses in flight on memory that slows down under load: throughput, balance, the best placement.

Source: docs/theory/coupling.md, sections 1 to 5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from ..checks import number
from ..errors import InputError
from ..scenario.performance import Demand, NodeCurve, numbers_of, per_node, preset_nodes
from .performance import NodePerformance

if TYPE_CHECKING:
    from ..kernels.closed_loop import Curves

F8 = npt.NDArray[np.float64]
Nodes = str | Sequence[NodeCurve | NodePerformance | Mapping[str, Any]]
"""A preset's name, or a record per node."""


class ClosedLoop(NamedTuple):
    """Where a workload and its memory come to rest.

    Attributes
    ----------
    throughput_per_s : float, or ndarray of float64
        Accesses per second of all threads; an array where shares or background have more than one dimension.
    latency_ns : ndarray of float64, shape (..., n_nodes)
        Of an access to each node.
    load_gbps : ndarray of float64, shape (..., n_nodes)
        10**9 bytes per second of each node: own and background.
    """

    throughput_per_s: Any
    latency_ns: F8
    load_gbps: F8


class Prepared(NamedTuple):
    """Nodes as kernels want them, for one demand: see `machine_of`."""

    curves: Curves
    background: F8
    peak: F8

    def with_background(self, more: F8) -> F8:
        """Return background with more added; a load above a bandwidth is an `InputError`."""
        total = self.background + more
        if (total > self.peak).any():
            i = int(np.argmax((total > self.peak).reshape(-1, self.peak.size).any(axis=0)))
            found = total.reshape(-1, self.peak.size)[:, i].max()
            raise InputError("background_gbps", f"{found:g} GB/s is above node {i}'s {self.peak[i]:g}", "write less")
        return total


def nodes_of(nodes: Nodes) -> tuple[NodeCurve, ...]:
    """Return records of nodes, from a preset's name, dicts or records."""
    if isinstance(nodes, str):
        return preset_nodes(nodes, "nodes")
    if not isinstance(nodes, Sequence) or not nodes:
        raise InputError("nodes", "is no list of nodes", "give a record per node, or a preset's name")
    made = []
    for i, node in enumerate(nodes):
        if isinstance(node, NodePerformance):
            node = NodeCurve(node.idle_latency_ns, node.bandwidth_gbps, queue_ns=node.queue_ns, name=node.name)
        made.append(node if isinstance(node, NodeCurve) else NodeCurve.from_dict(cast(Mapping[str, Any], node), f"nodes[{i}]"))
    numbered = numbers_of(made)
    if len(set(numbered)) < len(numbered):
        raise InputError("nodes", "two nodes share a nid", "number them differently")
    return tuple(made)


def demand_of(demand: Demand | Mapping[str, Any]) -> Demand:
    """Return a record of demand."""
    return demand if isinstance(demand, Demand) else Demand.from_dict(demand, "demand")


def machine_of(records: Sequence[NodeCurve], demand: Demand) -> Prepared:
    """Return nodes under the background of a demand, with bandwidths at its share of reads."""
    from ..kernels.closed_loop import QUEUE_END, Curves

    peak = np.array([record.peak_gbps(demand.read_share) for record in records])
    points: list[tuple[tuple[float, float], ...]] = []
    for record in records:
        idle, queue = record.idle_latency_ns, record.queue_ns or 0.0
        if record.curve:
            points.append(record.curve)
        elif queue:
            points.append(((0.0, idle), (QUEUE_END, idle + queue * QUEUE_END / (2 * (1 - QUEUE_END)))))
        else:
            points.append(((0.0, idle),))
    load = [share * top for few, top in zip(points, peak, strict=True) for share, _ in few]
    known, background, loops = numbers_of(records), np.zeros(len(records)), np.zeros(len(records))
    for k, one in enumerate(demand.background):
        if one.nid not in known:
            text = f"node {one.nid} is not among the nodes {', '.join(map(str, known))}"
            raise InputError(f"demand.background[{k}].nid", text, "name one of them")
        i = known.index(one.nid)
        background[i] += one.gbps or 0.0
        loops[i] += one.in_flight * demand.bytes_per_access
    curves = Curves(
        start=np.concatenate(([0], np.cumsum([len(few) for few in points]))).astype(np.int64),
        load=np.array(load),
        ns=np.array([ns for few in points for _, ns in few]),
        queue_ns=np.array([0.0 if record.curve else record.queue_ns or 0.0 for record in records]),
        peak=peak,
        loops=loops,
    )
    return Prepared(curves, background, peak)


def fixed_points(machine: Prepared, background: F8, weight: F8, moved: F8, fixed: F8, threads: F8) -> tuple[F8, F8, F8]:
    """Return throughputs per ns (windows, classes), latencies and loads (windows, nodes): see `kernels.closed_loop`."""
    from ..kernels import closed_loop as kernels

    windows, classes, n = weight.shape
    rate, latency, load = np.empty((windows, classes)), np.empty((windows, n)), np.empty((windows, n))
    given = (np.ascontiguousarray(a, np.float64) for a in (background, weight, moved, fixed, threads))
    arrays: tuple[Any, ...] = (*given, rate, latency, load)
    if classes == 1:
        kernels.alone(machine.curves, *arrays)
    elif missed := kernels.together(machine.curves, *arrays):
        raise no_fixed_point(f"{missed} of {windows} placements", "have")
    return rate, latency, load


def no_fixed_point(where: str, has: str = "has") -> InputError:
    """Return the error of placements that no throughput fits."""
    text = f"{where} {has} no loads and latencies that fit each other"
    return InputError("outstanding", text, "give each group one number of misses in flight, not one per node")


def _shares(shares: Any, n_nodes: int) -> F8:
    try:
        out = np.asarray(shares, np.float64)
    except (TypeError, ValueError):
        raise InputError("shares", "are not numbers", "give the share of accesses that each node serves") from None
    if out.shape[-1:] != (n_nodes,):
        raise InputError("shares", f"has {out.shape[-1:]} entries for {n_nodes} nodes", "give one share per node")
    if not np.isfinite(out).all() or (out < 0).any() or (np.abs(out.sum(axis=-1) - 1.0) > 1e-6).any():
        text = "are not finite, negative or do not sum to 1"
        raise InputError("shares", text, "give the share of accesses that each node serves")
    return np.asarray(out)


def _background(background_gbps: Any, n_nodes: int) -> F8:
    try:
        out = np.asarray(background_gbps, np.float64)
    except (TypeError, ValueError):
        raise InputError("background_gbps", "is no number", "write GB/s, one for all nodes or one per node") from None
    if out.ndim and out.shape[-1] != n_nodes:
        raise InputError("background_gbps", f"has {out.shape[-1]} entries for {n_nodes} nodes", "write one per node")
    if not np.isfinite(out).all() or (out < 0).any():
        raise InputError("background_gbps", "is negative or not finite", "write 0 or more GB/s")
    return np.asarray(out)


def check_room(background: F8, peak: F8, used: npt.NDArray[np.bool_]) -> None:
    """Refuse nodes that shall serve accesses, and have no bandwidth left for any."""
    none_left = used & (background >= peak)
    if none_left.any():
        i = int(np.argmax(none_left.reshape(-1, peak.size).any(axis=0)))
        text = f"{peak[i]:g} GB/s is all that node {i} has, and it has a share of accesses"
        raise InputError("background_gbps", text, "leave it some bandwidth")


def closed_loop(
    shares: Sequence[float] | F8,
    nodes: Nodes,
    demand: Demand | Mapping[str, Any],
    background_gbps: float | Sequence[float] | F8 = 0,
) -> ClosedLoop:
    """Return how fast a workload runs whose accesses are served by nodes in given shares: throughput, latencies, loads.

    Parameters
    ----------
    shares : array of float, shape (..., n_nodes)
        Share of accesses that each node serves, in the order of `nodes`.
    nodes : str, or sequence of NodeCurve, NodePerformance or dict
        A preset's name, or a record per node with the keys of ``machine.performance.nodes``: ``idle_latency_ns``,
        ``bandwidth_gbps`` (10**9 bytes per second), and if known ``curve``, ``peaks_gbps``, ``queue_ns``.
    demand : Demand or dict
        With the keys of ``workload.demand``: ``threads`` and ``outstanding`` (misses in flight of each, a number or one per
        node); ``bytes_per_access`` (64), ``think_ns`` (0), ``read_share`` (1), ``background``.
    background_gbps : float or array of float, shape (..., n_nodes)
        GB/s that others ask of each node, on top of the background of `demand`. One number holds for every node.

    Returns
    -------
    ClosedLoop
        ``throughput_per_s`` times the time of an access, ``think_ns`` and the mean latency, is what is in flight:
        ``threads * outstanding`` (Little's law). A node's load is own plus background and never above its bandwidth; where it
        is full, its latency is what makes throughput fit, the last of its curve or more. Of several full nodes the lowest
        latencies rise first, to a common value. Exact to rounding. Source: docs/theory/coupling.md, section 1.

    Raises
    ------
    InputError
        If shares are negative or do not sum to 1 (within 1e-6); if a number is not finite, or nothing where something is
        needed; if a curve falls; if background leaves a node that has a share no bandwidth; if a key or preset is unknown.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> fast = {"idle_latency_ns": 90, "bandwidth_gbps": 49, "curve": [[0, 90], [0.8, 140], [0.98, 180]]}
    >>> nodes = [fast, {"idle_latency_ns": 190, "bandwidth_gbps": 17}]
    >>> at_rest = tm.cost.closed_loop([0.7, 0.3], nodes, {"threads": 8, "outstanding": 4})
    >>> round(at_rest.throughput_per_s), at_rest.latency_ns.round(1).tolist(), at_rest.load_gbps.round(1).tolist()
    (246424920, [104.1, 190.0], [11.0, 4.7])
    """
    records, wanted = nodes_of(nodes), demand_of(demand)
    n = len(records)
    share, machine = _shares(shares, n), machine_of(records, wanted)
    background = machine.with_background(_background(background_gbps, n))
    shape = np.broadcast_shapes(share.shape, background.shape)
    share, background = np.broadcast_to(share, shape).reshape(-1, n), np.broadcast_to(background, shape).reshape(-1, n)
    check_room(background, machine.peak, share > 0)
    weight, windows = share / per_node(wanted.outstanding, n), len(share)
    rate, latency, load = fixed_points(
        machine,
        background,
        weight[:, None],
        share[:, None] * wanted.bytes_per_access,
        wanted.think_ns * weight.sum(axis=1, keepdims=True),
        np.full((windows, 1), wanted.threads),
    )
    per_s = (rate[:, 0] * 1e9).reshape(shape[:-1])
    return ClosedLoop(per_s if shape[:-1] else float(per_s), latency.reshape(shape), load.reshape(shape))


def _pair(nodes: Nodes, demand: Demand | Mapping[str, Any], background_gbps: Any) -> tuple[Prepared, F8, Demand]:
    """Return two nodes, what others ask of them, and the demand."""
    records, wanted = nodes_of(nodes), demand_of(demand)
    if len(records) != 2:
        raise InputError("nodes", f"are {len(records)}", "give two nodes: the share of the first is asked for")
    machine = machine_of(records, wanted)
    background = machine.with_background(np.broadcast_to(_background(background_gbps, 2), 2))
    check_room(background, machine.peak, np.ones(2, np.bool_))
    per_node(wanted.outstanding, 2)
    return machine, background, wanted


def balance(nodes: Nodes, demand: Demand | Mapping[str, Any], background_gbps: float | Sequence[float] | F8 = 0) -> float:
    """Return the share of accesses on the first of two nodes at which both answer equally fast.

    Parameters
    ----------
    nodes, demand, background_gbps
        See `closed_loop`; two nodes.

    Returns
    -------
    float
        0 or 1 if one node answers faster whatever the share; the smallest share if latencies are equal on an interval; if
        both nodes are full, the ratio of their free bandwidths. It is where access latency alone leads, not the optimum:
        see `best_share`. Source: docs/theory/coupling.md, section 5.

    Raises
    ------
    InputError
        As `closed_loop`, or if there are not two nodes.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> fast = {"idle_latency_ns": 90, "bandwidth_gbps": 49, "curve": [[0, 90], [0.8, 140], [0.98, 180]]}
    >>> nodes = [fast, {"idle_latency_ns": 190, "bandwidth_gbps": 17}]
    >>> [round(tm.cost.balance(nodes, {"threads": 8, "outstanding": m}), 6) for m in (16, 30)]
    [1.0, 0.742424]
    """
    machine, background, wanted = _pair(nodes, demand, background_gbps)

    def ahead(share: float) -> bool:
        """Whether the first node answers no faster than the second."""
        shares = np.array([share, 1 - share])
        weight = shares / per_node(wanted.outstanding, 2)
        fixed = np.full((1, 1), wanted.think_ns * weight.sum())
        arrays = (weight[None, None], shares[None, None] * wanted.bytes_per_access, fixed, np.full((1, 1), wanted.threads))
        _, ((first, second),), _ = fixed_points(machine, background[None], *arrays)
        return bool(first >= second * (1 - 1e-12))

    free = machine.peak - background
    low, high = 0.0, 1.0
    if ahead(low):
        return low
    if not ahead(high):
        return high
    while not math.isclose(low, high, rel_tol=1e-15, abs_tol=1e-18):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (low, middle) if ahead(middle) else (middle, high)
    ratio = float(free[0] / free.sum())
    return ratio if math.isclose(high, ratio, rel_tol=1e-11) else high


def best_share(nodes: Nodes, demand: Demand | Mapping[str, Any], background_gbps: float | Sequence[float] | F8 = 0) -> float:
    """Return the share of accesses on the first of two nodes that gives the most throughput.

    Parameters
    ----------
    nodes, demand, background_gbps
        See `closed_loop`; two nodes.

    Returns
    -------
    float
        The best of all shares, the smallest of equals; if both nodes are full, the ratio of their free bandwidths. There
        latency plus load times its slope is equal, not latency. Source: docs/theory/coupling.md, section 5.

    Raises
    ------
    InputError
        As `closed_loop`, or if there are not two nodes.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> fast = {"idle_latency_ns": 90, "bandwidth_gbps": 49, "curve": [[0, 90], [0.8, 140], [0.98, 180]]}
    >>> nodes = [fast, {"idle_latency_ns": 190, "bandwidth_gbps": 17}]
    >>> [round(tm.cost.best_share(nodes, {"threads": 8, "outstanding": m}), 3) for m in (4, 16, 30)]
    [1.0, 0.734, 0.742]
    """
    from ..kernels import closed_loop as kernels

    machine, background, wanted = _pair(nodes, demand, background_gbps)
    weight = 1 / np.array(per_node(wanted.outstanding, 2))
    in_bytes = wanted.threads * wanted.bytes_per_access
    return float(kernels.best_share(machine.curves, np.ascontiguousarray(background), wanted.think_ns, weight, in_bytes))


def auto_weights(bandwidths_gbps: Sequence[float]) -> list[int]:
    """Return the weights that Linux gives nodes of these bandwidths for weighted interleaving.

    Parameters
    ----------
    bandwidths_gbps : sequence of float
        GB/s of each node, the smaller of read and write bandwidth; 0 where the firmware does not say. Linux counts whole
        MB/s: what is beyond them is dropped.

    Returns
    -------
    list of int
        ``max(1, 32 * bandwidth // sum)``, without a common divisor. Source: docs/theory/coupling.md, section 4.

    Raises
    ------
    InputError
        If there are no bandwidths, or one is negative or not finite.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.cost.auto_weights([2.4, 4.0]), tm.cost.auto_weights([3, 0]), tm.cost.auto_weights([0, 0])
    ([3, 5], [32, 1], [1, 1])
    """
    if isinstance(bandwidths_gbps, str) or not hasattr(bandwidths_gbps, "__len__") or not len(bandwidths_gbps):
        raise InputError("bandwidths_gbps", "is no list of bandwidths", "give GB/s of each node")
    given = [number(f"bandwidths_gbps[{i}]", one, 0) for i, one in enumerate(bandwidths_gbps)]
    whole = [int(Fraction(repr(one)) * 1000) for one in given]
    total = sum(whole)
    weights = [max(1, 32 * one // total) if total else 1 for one in whole]
    divisor = math.gcd(*weights)
    return [weight // divisor for weight in weights]
