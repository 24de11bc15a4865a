"""Closed answers about placement: how to interleave, when to pack, when rmap walks beat oscillation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..checks import number, whole
from ..errors import InputError
from .constants import DEFAULT, Costs
from .performance import NodePerformance, bandwidth_time, loaded_latency_ns, need_nodes


def optimum_interleave(nodes: Sequence[NodePerformance]) -> npt.NDArray[np.float64]:
    """Return the shares with which all nodes finish at once: proportional to bandwidth.

    Parameters
    ----------
    nodes : sequence of NodePerformance
        One or more.

    Returns
    -------
    ndarray of float64, shape (n_nodes,)
        They sum to 1.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.cost.optimum_interleave(tm.cost.default_nodes()).round(2).tolist()
    [0.73, 0.27]
    """
    need_nodes(nodes)
    bandwidth = np.array([n.bandwidth_gbps for n in nodes], np.float64)
    return np.asarray(bandwidth / bandwidth.sum())


def best_weights(nodes: Sequence[NodePerformance], max_weight: int = 10) -> tuple[int, int]:
    """Return the two small interleave weights with the least bandwidth-bound time; of equals, the smallest sum.

    Parameters
    ----------
    nodes : sequence of NodePerformance
        Two nodes.
    max_weight : int
        Largest weight tried; 0 is tried too.

    Returns
    -------
    tuple of two int
        Without a common divisor.

    Raises
    ------
    InputError
        If there are not two nodes or no weight to try.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.cost.best_weights(tm.cost.default_nodes())
    (3, 1)
    """
    need_nodes(nodes)
    if len(nodes) != 2 or whole("max_weight", max_weight, 0, 10**4) < 1:
        raise InputError("nodes" if len(nodes) != 2 else "max_weight", "does not fit", "give two nodes and a weight from 1")
    pairs = [(a, b) for a in range(max_weight + 1) for b in range(max_weight + 1) if a + b and math.gcd(a, b) == 1]
    times = {p: float(bandwidth_time(np.array(p) / sum(p), nodes)) for p in pairs}
    return min(pairs, key=lambda p: (round(times[p], 12), sum(p)))


class PackOrInterleave(NamedTuple):
    """Where packing the hot set on the fast node stops paying.

    Attributes
    ----------
    break_even_gbps : float
        Demand above which interleaving has the lower mean latency; inf if it never has.
    packed_ns, interleaved_ns : float
        Mean latency of either at the demand that was asked about; inf beyond a node's bandwidth.
    interleave : bool
        Whether interleaving is faster at that demand.
    """

    break_even_gbps: float
    packed_ns: float
    interleaved_ns: float
    interleave: bool


def pack_or_interleave(
    nodes: Sequence[NodePerformance], demand_gbps: float, shares: Sequence[float] | None = None
) -> PackOrInterleave:
    """Return whether hot data belongs on the fast node alone or interleaved, at a demand and in general.

    Parameters
    ----------
    nodes : sequence of NodePerformance
        Node 0 is the fast one.
    demand_gbps : float
        10**9 bytes per second that the hot data is read with.
    shares : sequence of float, optional
        Interleaving to compare with; by default the bandwidth optimum.

    Returns
    -------
    PackOrInterleave
        The break-even is found by bisection to 1e-9 of the fast node's bandwidth.

    Raises
    ------
    InputError
        If shares or demand do not fit.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> answer = tm.cost.pack_or_interleave(tm.cost.default_nodes(), demand_gbps=30)
    >>> answer.interleave, round(answer.break_even_gbps)
    (False, 61)
    """
    p = optimum_interleave(nodes) if shares is None else np.asarray(shares, np.float64)
    if p.shape != (len(nodes),) or (p < 0).any() or not math.isclose(float(p.sum()), 1.0, abs_tol=1e-6):
        raise InputError("shares", f"{list(p)} are not one share per node", "let them sum to 1")

    def packed(demand: float) -> float:
        return loaded_latency_ns(nodes[0], demand)

    def interleaved(demand: float) -> float:
        return sum(float(s) * loaded_latency_ns(n, float(s) * demand) for s, n in zip(p, nodes, strict=True) if s > 0)

    low, high = 0.0, nodes[0].bandwidth_gbps
    if interleaved(0.0) < packed(0.0):
        edge = 0.0
    elif not interleaved(high) < math.inf:
        edge = math.inf
    else:
        while high - low > 1e-9 * nodes[0].bandwidth_gbps:
            middle = (low + high) / 2
            low, high = (low, middle) if interleaved(middle) < packed(middle) else (middle, high)
        edge = high
    here, spread = packed(demand_gbps), interleaved(demand_gbps)
    return PackOrInterleave(edge, here, spread, spread < here)


class RmapOrOscillation(NamedTuple):
    """What identity costs, and what its absence costs, per page and round.

    Attributes
    ----------
    rmap_us : float
        One rmap walk per page and round.
    oscillation_us : float
        Copies per page and round of weights that are redrawn: 2 p0 p1 times a copy.
    break_even_us : float
        Cost of one rmap walk at which both are equal.
    break_even_mappings : float
        Mappings per page at which both are equal.
    rmap_wins : bool
        Whether walks are cheaper, at the defaults.
    certain : bool
        Whether that answer holds over the whole range of the walk's cost.
    """

    rmap_us: float
    oscillation_us: float
    break_even_us: float
    break_even_mappings: float
    rmap_wins: bool
    certain: bool


def rmap_or_oscillation(share: float, costs: Costs = DEFAULT, *, mappings: int = 1) -> RmapOrOscillation:
    """Return whether rmap walks beat the extra copies of weights without page identity.

    Parameters
    ----------
    share : float
        Wanted share of node 0, 0 … 1.
    costs : Costs
        ``rmap_walk_us`` and ``copy_4k_us`` are used.
    mappings : int
        Page-table mappings per page.

    Returns
    -------
    RmapOrOscillation
        Two nodes, many rounds: a walk of every page in every round against 2 p0 p1 copies.
        Source: docs/theory/stability.md, section 2.

    Raises
    ------
    InputError
        If the share or the mappings are out of range.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.cost.rmap_or_oscillation(0.4).rmap_wins
    True
    """
    share = number("share", share, 0, 1, "write a share")
    if number("mappings", mappings) < 1:
        raise InputError("mappings", f"{mappings} is below 1", "write 1 or more")
    copies = 2 * share * (1 - share) * costs.copy_4k_us.default
    walk = costs.rmap_walk_us
    wins = [mappings * walk.at(e) < copies for e in ("low", "default", "high")]
    per_mapping = walk.default
    return RmapOrOscillation(
        mappings * per_mapping,
        copies,
        copies / mappings,
        copies / per_mapping if per_mapping else math.inf,
        wins[1],
        len(set(wins)) == 1,
    )
