"""What the rounds must do on average or exactly, in formulas; every one is tested against `interleave.run`.

Weights are a sequence of integers, one per node; p_i = w_i / W. Formulas: docs/theory/stability.md, sections 1 and 2, where
two-node results are carried over to any number of nodes if the argument allows it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..units import ULONG_MAX
from .setup import checked_weights, integer, round_half_up

Shares = NDArray[np.float64]


def shares(weights: Sequence[int]) -> Shares:
    """Return p_i = w_i / W.

    Parameters
    ----------
    weights : sequence of int
        One per node, >= 0, sum > 0.

    Returns
    -------
    float64 array (node)
    """
    checked = checked_weights("weights", weights)
    return np.array(checked, np.float64) / sum(checked)


def _share(where: str, value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise InputError(where, f"{value!r} is not a share", "give a number from 0 to 1")
    return float(value)


def _node(where: str, value: int, p: Shares) -> int:
    return integer(where, value, 0, p.size - 1, "name a node with a weight")


def _at_least_two_used(p: Shares) -> Shares:
    if np.count_nonzero(p) < 2:
        raise InputError("weights", "a single node has all the weight, so nothing moves", "weight two nodes or more")
    return p


def _two_nodes(p: Shares) -> tuple[float, float]:
    if p.size != 2:
        raise InputError("weights", f"this formula is for two nodes, not {p.size}", "give two weights")
    return float(p[0]), float(p[1])


# Independent redraws (section 1a) and their rate limits (1b, 1c) ---------------------------------------------------


def moved_fraction(weights: Sequence[int], share_per_round: float = 1.0) -> float:
    """Pages moved per page and round by ``"iid"`` once spread: q (1 - sum p_i**2), with two nodes 2 q p_0 p_1.

    Parameters
    ----------
    weights : sequence of int
        Interleave weights.
    share_per_round : float
        q, the share of pages dealt per round.

    Returns
    -------
    float
        1 / round. The first round from all pages on node i moves q (1 - p_i) instead.
    """
    p = shares(weights)
    return _share("share_per_round", share_per_round) * float(1.0 - p @ p)


def moved_autocorrelation(weights: Sequence[int]) -> float:
    """Lag-1 autocorrelation of the number of pages moved per round by ``"iid"``, all pages dealt; 0 at longer lags.

    (sum p_i (1 - p_i)**2 - m**2) / (m (1 - m)) with m = `moved_fraction`; for two nodes
    (1 - 4 p_0 p_1) / (2 - 4 p_0 p_1).

    Parameters
    ----------
    weights : sequence of int
        Interleave weights, at least two of them positive.

    Returns
    -------
    float
    """
    p = _at_least_two_used(shares(weights))
    m = float(1.0 - p @ p)
    return (float(p @ (1.0 - p) ** 2) - m * m) / (m * (1.0 - m))


def ping_pong_probability(weights: Sequence[int], within: int, share_per_round: float = 1.0) -> float:
    """Probability that a page that ``"iid"`` moved is back on its origin within some rounds, once spread.

    sum p_i (1 - p_i) (1 - (1 - q p_i)**K) / (1 - sum p_i**2). With two nodes and q = 1 it is
    1 - (p_0**K + p_1**K) / 2: exactly one half in the next round, whatever the weights.

    Parameters
    ----------
    weights : sequence of int
        Interleave weights, at least two of them positive.
    within : int
        K, rounds, >= 1.
    share_per_round : float
        q, the share of pages dealt per round.

    Returns
    -------
    float
    """
    p = _at_least_two_used(shares(weights))
    rounds = integer("within", within, 1, 2**31)
    back = 1.0 - (1.0 - _share("share_per_round", share_per_round) * p) ** rounds
    return float(p * (1.0 - p) @ back) / float(1.0 - p @ p)


def expected_shares(
    weights: Sequence[int], rounds: int, start_node: int = 0, share_per_round: float = 1.0
) -> NDArray[np.float64]:
    """Mean occupancy under ``"iid"`` after 0 ... rounds rounds: p + (1 - q)**k (x_0 - p), the quota's decay.

    (1 - q)**l is also the autocorrelation of the occupancy at lag l.

    Parameters
    ----------
    weights : sequence of int
        Interleave weights.
    rounds : int
        Last round, >= 0.
    start_node : int
        Where all pages start.
    share_per_round : float
        q, the share of pages dealt per round.

    Returns
    -------
    float64 array (round, node)
        Shares of all pages.
    """
    p = shares(weights)
    start = np.zeros(p.size)
    start[_node("start_node", start_node, p)] = 1.0
    decay = (1.0 - _share("share_per_round", share_per_round)) ** np.arange(integer("rounds", rounds, 0, 2**31) + 1)
    return p + decay[:, None] * (start - p)


def occupancy_std_bp(weights: Sequence[int], n_pages: int, node: int = 0) -> float:
    """Return the standard deviation of a node's share under ``"iid"``: 10000 sqrt(p (1 - p) / N) basis points.

    Parameters
    ----------
    weights : sequence of int
        Interleave weights.
    n_pages : int
        N.
    node : int
        Which node.

    Returns
    -------
    float
        Basis points.
    """
    p = shares(weights)
    here = float(p[_node("node", node, p)])
    return 10_000 * math.sqrt(here * (1.0 - here) / integer("n_pages", n_pages, 1, 2**62))


def band_exit_probability(weights: Sequence[int], n_pages: int, band: float = 0.02, node: int = 0) -> float:
    """Probability that one ``"iid"`` round leaves a node outside its share times (1 ± band), normal approximation.

    Parameters
    ----------
    weights : sequence of int
        Interleave weights, at least two of them positive.
    n_pages : int
        N.
    band : float
        Half width relative to the node's share, >= 0.
    node : int
        Which node; its weight must be positive.

    Returns
    -------
    float
    """
    p = _at_least_two_used(shares(weights))
    here = float(p[_node("node", node, p)])
    if band < 0 or here == 0:
        raise InputError("band", f"{band!r} around a share of {here:g} is no band", "give a width >= 0 and a weighted node")
    return math.erfc(band * here * 10_000 / occupancy_std_bp(weights, n_pages, node) / math.sqrt(2))


def refractory_moved_fraction(weights: Sequence[int], refractory: int) -> float:
    """Pages moved per page and round by ``"iid"`` with a rest of R rounds after each move: m / (1 + R m).

    Renewal argument: a visit to node i lasts R + 1 / (1 - p_i) rounds. Two nodes: 2 p_0 p_1 / (1 + 2 R p_0 p_1).

    Parameters
    ----------
    weights : sequence of int
        Interleave weights.
    refractory : int
        R, rounds.

    Returns
    -------
    float
        1 / round.
    """
    m = moved_fraction(weights)
    return m / (1.0 + integer("refractory", refractory, 0, 2**31) * m)


def refractory_shares(weights: Sequence[int], refractory: int) -> Shares:
    """Mean occupancy under the same rest: p_i (1 + R (1 - p_i)) / (1 + R m), pulled towards equal shares.

    Parameters
    ----------
    weights : sequence of int
        Interleave weights.
    refractory : int
        R, rounds.

    Returns
    -------
    float64 array (node)
    """
    p = shares(weights)
    rest = integer("refractory", refractory, 0, 2**31)
    biased: Shares = p * (1.0 + rest * (1.0 - p)) / (1.0 + rest * float(1.0 - p @ p))
    return biased


# The hash of the frame number (section 1d) -------------------------------------------------------------------------


def pfn_mod_shares(weights: Sequence[int], start_node: int = 0) -> Shares:
    """Where pages end under ``"pfn_mod"`` with fresh or random frames and ample memory.

    A page that enters node i stays for good with probability p_i, else it enters j with p_j. Two nodes, all from
    node 0: p_0 / (1 - p_0 p_1) end there, not p_0.

    Parameters
    ----------
    weights : sequence of int
        Interleave weights.
    start_node : int
        Where all pages start.

    Returns
    -------
    float64 array (node)
    """
    p = shares(weights)
    hops = np.tile(p, (p.size, 1))
    np.fill_diagonal(hops, 0.0)
    ends = np.linalg.solve(np.eye(p.size) - hops, np.diag(p)) if np.count_nonzero(p) > 1 else np.diag(p) + hops
    settled: Shares = ends[_node("start_node", start_node, p)]
    return settled


def pfn_mod_moved(weights: Sequence[int], rounds: int, start_node: int = 0) -> NDArray[np.float64]:
    """Pages moved per page by rounds 0 ... rounds of the same process (0 in round 0).

    Two nodes from node 0: p_1, p_0 p_1, p_0 p_1**2, ... alternately times p_0 and p_1.

    Parameters
    ----------
    weights : sequence of int
        Interleave weights.
    rounds : int
        Last round, >= 0.
    start_node : int
        Where all pages start.

    Returns
    -------
    float64 array (round)
    """
    p = shares(weights)
    entering = np.zeros(p.size)
    entering[_node("start_node", start_node, p)] = 1.0
    moved = np.zeros(integer("rounds", rounds, 0, 2**31) + 1)
    for t in range(1, moved.size):
        entering = p * (entering.sum() - entering)
        moved[t] = entering.sum()
    return moved


def pfn_mod_moves_per_page(weights: Sequence[int], start_node: int = 0) -> float:
    """Return the moves per page until the same process rests: p_1 (1 + p_0) / (1 - p_0 p_1) for two nodes from node 0.

    Parameters
    ----------
    weights : sequence of int
        Interleave weights.
    start_node : int
        Where all pages start.

    Returns
    -------
    float
    """
    p = shares(weights)
    start = _node("start_node", start_node, p)
    if np.count_nonzero(p) < 2:
        return float(p[start] == 0)
    hops = np.tile(p, (p.size, 1))
    np.fill_diagonal(hops, 0.0)
    return float(np.linalg.solve(np.eye(p.size) - hops, 1.0 - p)[start])


def pfn_mod_lifo_cycle(weights: Sequence[int], start_node: int = 0) -> tuple[float, float, float]:
    """Return the endless cycle of ``"pfn_mod"`` on LIFO frames, two nodes.

    A freed frame is always one its page had to leave, and the next page to arrive gets just that: a cohort of
    p_0 p_1 N pages goes to and fro in unison.

    Parameters
    ----------
    weights : sequence of int
        Two interleave weights.
    start_node : int
        Where all pages start.

    Returns
    -------
    tuple of float
        Pages moved per page by every round after the first, and the start node's share after odd and after even rounds.
    """
    p = shares(weights)
    start = _node("start_node", start_node, p)
    p0, p1 = _two_nodes(p)
    return p0 * p1, float(p[start]), float(p[start]) + p0 * p1


def pfn_mod_unsettled_pages(weights: Sequence[int], frames: Sequence[int], n_pages: int) -> float:
    """Pages that can never rest under ``"pfn_mod"``: N - sum p_i F_i, if positive.

    Only p_i F_i frames of node i send their page to node i. With freed frames reused (random, FIFO) and room to move,
    this is also the number of pages moved by every later round.

    Parameters
    ----------
    weights, frames : sequence of int
        Interleave weights and frames per node.
    n_pages : int
        N.

    Returns
    -------
    float
        Pages.
    """
    p = shares(weights)
    if len(frames) != p.size:
        raise InputError("frames", f"{len(frames)} counts for {p.size} weights", "give one count per node")
    good = float(p @ np.array([integer(f"frames[{i}]", f, 0, 2**62) for i, f in enumerate(frames)], np.float64))
    return max(0.0, integer("n_pages", n_pages, 1, 2**62) - good)


# Rank rules (section 1e) and page identity (section 2) -------------------------------------------------------------


def first_moved_pages(weights: Sequence[int], n_pages: int) -> int:
    """Pages that ``"first"`` moves in every round after the first: twice the smaller of the two parts, exactly.

    Parameters
    ----------
    weights : sequence of int
        Two interleave weights.
    n_pages : int
        N.

    Returns
    -------
    int
    """
    checked = checked_weights("weights", weights)
    _two_nodes(shares(checked))
    n = integer("n_pages", n_pages, 1, 2**62)
    to_node1 = round_half_up(checked[1] * n, sum(checked))
    return 2 * min(to_node1, n - to_node1)


def vma_offset_pages(weights: Sequence[int], n_pages: int, vma_start: int = 0, stride: int = 1) -> list[int]:
    """Pages per node after one full pass of ``"vma_offset"``, exactly, for any stride.

    The pages with (offset mod W) < c number sum_k floor(a_k / W) - floor((a_k - c) / W), two lattice-point sums.

    Parameters
    ----------
    weights : sequence of int
        Interleave weights.
    n_pages : int
        N.
    vma_start, stride : int
        Offset of page 0 and distance of neighbouring pages' offsets, pages, >= 0.

    Returns
    -------
    list of int
    """
    checked = checked_weights("weights", weights)
    n = integer("n_pages", n_pages, 1, 2**62)
    start, step = integer("vma_start", vma_start, 0, ULONG_MAX), integer("stride", stride, 0, ULONG_MAX)
    total, upto, counts = sum(checked), 0, []
    below = [0]
    for weight in checked:
        upto += weight
        # One period is added to keep the sum's arguments non-negative; it adds 1 to every term.
        shifted = _floor_sum(n, total, step, start + total - upto) - n
        below.append(_floor_sum(n, total, step, start) - shifted)
        counts.append(below[-1] - below[-2])
    return counts


def vma_offset_worst_error(weights: Sequence[int]) -> float:
    """Largest distance of a node's page count from its share, over all starts and lengths at stride 1.

    max w_i (W - w_i) / W pages; w_0 w_1 / W for two nodes, and it is reached.

    Parameters
    ----------
    weights : sequence of int
        Interleave weights, not reduced: {40, 60} errs up to 24 pages where {2, 3} errs up to 1.2.

    Returns
    -------
    float
        Pages.
    """
    checked = checked_weights("weights", weights)
    return max(w * (sum(checked) - w) for w in checked) / sum(checked)


def _floor_sum(n: int, modulus: int, step: int, start: int) -> int:
    """Sum of floor((start + step * k) / modulus) over k = 0 ... n - 1, by the Euclidean descent, all >= 0."""
    total = 0
    while True:
        total += (n - 1) * n // 2 * (step // modulus) + n * (start // modulus)
        step, start = step % modulus, start % modulus
        last = step * n + start
        if last < modulus:
            return total
        n, start, modulus, step = last // modulus, last % modulus, step, modulus
