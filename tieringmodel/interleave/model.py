"""Place pages by weights, round after round, and count how often they come back: `run` and `ping_pong`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..checks import dataset, whole
from ..errors import InputError
from ..kernels import placement as kernels
from .rounds import RETURN_LAGS, Outcome, play
from .setup import Setup

if TYPE_CHECKING:
    import xarray as xr


def run(
    rule: str,
    weights: Sequence[int],
    n_pages: int,
    rounds: int,
    *,
    allocator: str = "fresh",
    frames: Sequence[int] | None = None,
    start_node: int = 0,
    vma_start: int = 0,
    stride: int = 1,
    share_per_round: float = 1.0,
    refractory: int = 0,
    seed: int = 0,
) -> xr.Dataset:
    """Place pages by weight, round after round, with or without knowing which page is which.

    A round is synchronous: all destinations are chosen from the state at its start, pages move in ascending old
    PFN, and the frames they leave become free when all have moved. Page i starts on frame i of `start_node`;
    node i's frames follow node i - 1's.

    Parameters
    ----------
    rule : str
        ``"iid"``: every dealt page draws a node with probability w_i / W. ``"pfn_mod"``: the interval of cumulated
        weights that holds PFN mod W. ``"first"`` / ``"last"`` (two nodes): the (2 w_1 n + W) // (2 W) lowest /
        highest PFNs of the n dealt pages go to node 1, the others to node 0. ``"per_node"``: of the dealt pages on
        each node, the share w_j / W goes to each other node j, counts rounded half up (cumulated over j), drawn
        uniformly. ``"push_only"``: the same, but only for pages on `start_node`. ``"vma_offset"``: the interval
        that holds (vma_start + stride * page) mod W.
    weights : sequence of int
        One per node, each >= 0, not reduced; W is their sum, 1 to 2**32 - 1.
    n_pages : int
        Pages, 1 to 2**32 - 1.
    rounds : int
        Rounds to play, >= 0.
    allocator : str
        ``"fresh"``: the next never-used frame. ``"fifo"``: freed frames go to the tail. ``"lifo"``: to the head, the
        lowest frame on top at the start. ``"random"``: uniform over the free frames.
    frames : sequence of int, optional
        Frames per node; 2**32 each if not given. Where no frame is free the page stays and is not counted.
    start_node : int
        Where all pages are before round 1.
    vma_start : int
        Offset, in pages, of page 0 in its VMA (``"vma_offset"`` only).
    stride : int
        Distance, in pages, of neighbouring pages' offsets (``"vma_offset"`` only), >= 1.
    share_per_round : float
        Share of all pages that is dealt per round, a fresh uniform draw of a fixed count (rounded half up); the
        others stay.
    refractory : int
        Rounds after a move in which a page is not dealt even if drawn.
    seed : int
        0 to 2**64 - 1. One seed gives the same bits whatever the machine does beside it.

    Returns
    -------
    xarray.Dataset
        Over ``round`` = 0 ... rounds: ``occupancy(round, node)`` int64 pages after that many rounds, ``moved(round)``
        int64 pages moved by that round, and up to 2**28 cells ``node(round, page)`` uint8, where each page was.
        Beyond that ``returns(round, lag)`` uint32 stands in for ``node``: moves of that round whose page was first
        back on its origin ``lag`` = 1 ... 128 rounds later. Attributes ``kind`` and ``parameters`` (JSON).

    Raises
    ------
    InputError
        If an argument is out of range, `rule` cannot serve that many nodes, the pages do not fit on their start
        node, or a fresh allocator runs out of frames.

    Notes
    -----
    Rules and allocators: docs/theory/stability.md, sections 1 and 2; the RFC's two cases are ``"vma_offset"`` (weights with
    rmap) and everything else (weights without).

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.interleave.run("last", (40, 60), 5, 3)
    >>> ds["moved"].values.tolist()
    [0, 3, 0, 0]
    """
    setup = Setup(
        rule=rule,
        weights=weights,  # type: ignore[arg-type]
        n_pages=n_pages,
        rounds=rounds,
        allocator=allocator,
        frames=frames,  # type: ignore[arg-type]
        start_node=start_node,
        vma_start=vma_start,
        stride=stride,
        share_per_round=share_per_round,
        refractory=refractory,
        seed=seed,
    )
    return as_dataset(setup, play(setup))


def as_dataset(setup: Setup, outcome: Outcome) -> xr.Dataset:
    """Return `outcome` as the dataset that `run` describes."""
    import xarray as xr

    source = f"interleave rounds, rule {setup.rule}, allocator {setup.allocator}"

    def about(long_name: str, units: str) -> dict[str, str]:
        return {"long_name": long_name, "units": units, "source": source}

    variables: dict[str, tuple[object, ...]] = {
        "occupancy": (("round", "node"), outcome.occupancy, about("pages per node after the round", "pages")),
        "moved": ("round", outcome.moved, about("pages moved by the round", "pages")),
    }
    coordinates: dict[str, tuple[object, ...]] = {
        "round": ("round", np.arange(setup.rounds + 1), about("rounds played", "1")),
    }
    if outcome.node is not None:
        # Named like the dimension of `occupancy`, xarray wants it among the coordinates.
        coordinates["node"] = (("round", "page"), outcome.node, about("node of each page after the round", "1"))
    if outcome.returns is not None:
        coordinates["lag"] = ("lag", np.arange(1, RETURN_LAGS + 1), about("rounds until the page is back", "1"))
        text = "moves of the round whose page was first back on its origin after the lag"
        variables["returns"] = (("round", "lag"), outcome.returns[:, 1:], about(text, "pages"))
    attributes = {"kind": "interleave", "parameters": json.dumps(setup.parameters())}
    return xr.Dataset(variables, coordinates, attributes)


def ping_pong(ds: xr.Dataset, within: int, skip: int = 1) -> float:
    """Share of moves whose page is back on the node it came from within some rounds.

    A move of round t counts as undone if the page is on its node of before round t after one of the rounds
    t + 1 ... t + within. Moves of rounds skip + 1 ... rounds - within are counted (docs/theory/stability.md, section 4).

    Parameters
    ----------
    ds : xarray.Dataset
        From `run`.
    within : int
        Rounds, 1 to rounds - skip - 1; at most 128 if `ds` holds ``returns`` and not ``node``.
    skip : int
        Leading rounds whose moves are not counted, >= 0; 1 leaves out the first spread from the start node.

    Returns
    -------
    float
        Ratio in [0, 1]; 0.0 if nothing moved in the counted rounds.

    Raises
    ------
    InputError
        If `ds` is not from `run`, or no round is left to count.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.interleave.run("iid", (40, 60), 10_000, 60, seed=1)
    >>> round(tm.interleave.ping_pong(ds, 1), 2)
    0.5
    """
    dataset("ds", ds, "give a dataset of run()")
    if "moved" not in ds or not ("node" in ds.variables or "returns" in ds.variables):
        raise InputError("ds", "holds neither node(round, page) nor returns(round, lag)", "give a dataset of run()")
    rounds = ds.sizes["round"] - 1
    skip = whole("skip", skip, 0, max(rounds, 0))
    if "returns" in ds.variables:
        within = whole("within", within, 1, ds.sizes["lag"], "this run was too large to keep longer lags")
        by_lag = ds["returns"].values[:, :within]
    else:
        within = whole("within", within, 1, max(rounds, 1))
        by_lag = returns_by_lag(ds["node"].values, within)
    if skip + 1 > rounds - within:
        raise InputError(
            "within",
            f"{within} leaves no move to count after skipping {skip} of {rounds} rounds",
            "play more rounds, or count a shorter return",
        )
    counted = slice(skip + 1, rounds - within + 1)
    moves = int(ds["moved"].values[counted].sum())
    return int(by_lag[counted].sum()) / moves if moves else 0.0


def returns_by_lag(node: np.ndarray, lags: int) -> np.ndarray:
    """First returns from every page's history.

    Parameters
    ----------
    node : uint8 array (round, page)
        Where each page was.
    lags : int
        Longest lag to count.

    Returns
    -------
    uint32 array (round, lag)
        Column k: moves of that round whose page was first back on its origin after k + 1 rounds.
    """
    node = np.ascontiguousarray(node)
    rounds, pages = node.shape[0] - 1, node.shape[1]
    returns = np.zeros((rounds + 1, lags + 1), np.uint32)
    left_in = np.zeros((pages, int(node.max()) + 1), np.int32)
    for t in range(1, rounds + 1):
        kernels.count_returns(node[t - 1], node[t], t, left_in, returns)
    return returns[:, 1:]
