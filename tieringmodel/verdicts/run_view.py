"""One view of every kind of run: goal-node share, moves per window, occupancy. One adapter per dataset kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..scenario.controlled import Controlled
from .target import goal_node, need_dataset, pages_of, share_bp, target_of

if TYPE_CHECKING:
    import xarray as xr

Counts = npt.NDArray[np.int64]


def _ratio(part: Counts, whole: Counts) -> npt.NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), 0.0)


def uniform_ping_pong(
    moved_in: Counts,
    moved_out: Counts,
    chance_out: npt.NDArray[np.float64],
    chance_in: npt.NDArray[np.float64],
    within: int,
) -> float:
    """Return the expected share of moves whose page is back on its old node within some windows.

    Parameters
    ----------
    moved_in, moved_out : int64 arrays, one entry per window
        Pages the schemes moved into and out of the goal node.
    chance_out, chance_in : float arrays, one entry per window
        Chance that a given page leaves (enters) the goal node in that window.
    within : int
        Windows after the move that count.

    Returns
    -------
    float
        Expectation when every page of a node is equally likely to be picked; moves of windows up to
        ``T - 1 - within`` count (docs/theory/stability.md, section 4). 0.0 when nothing moves in them, nan when the run is not
        longer than `within`.
    """
    counted = moved_in.size - within
    if counted < 1:
        return float("nan")
    stay_in, stay_out = np.ones(counted), np.ones(counted)
    for later in range(1, within + 1):
        stay_in *= 1.0 - chance_out[later : later + counted]
        stay_out *= 1.0 - chance_in[later : later + counted]
    moves = int(moved_in[:counted].sum() + moved_out[:counted].sum())
    if moves == 0:
        return 0.0
    back = moved_in[:counted] @ (1.0 - stay_in) + moved_out[:counted] @ (1.0 - stay_out)
    return float(back / moves)


def single_ping_pong(pages: Counts, moved: Counts, leaked: Counts, inward: bool, within: int) -> float:
    """Return `uniform_ping_pong` of one scheme: only the leak takes pages back, and only those that a scheme moved in.

    Reads the leak as pages of the goal node, drawn uniformly after the window's move, that go to the other node.
    Without a leak, or for a scheme that moves pages out, nothing ever returns and the ratio is exactly 0.
    """
    none = np.zeros_like(moved)
    never: npt.NDArray[np.float64] = np.zeros(moved.size)
    if not inward:
        return uniform_ping_pong(none, moved, never, never, within)
    return uniform_ping_pong(moved, none, _ratio(leaked, pages + moved), never, within)


def pair_ping_pong(pages: Counts, moved: Counts, n_pages: int, within: int) -> float:
    """Return `uniform_ping_pong` of two opposing schemes; ``moved`` is (window, scheme), scheme 0 fills the goal node.

    Which pages are swapped is not part of the reduced model: oldest first would give 0 for small caps, newest first 1;
    the uniform pick stands for scores that carry no information about which page moved last.
    """
    return uniform_ping_pong(moved[:, 0], moved[:, 1], _ratio(moved[:, 1], pages), _ratio(moved[:, 0], n_pages - pages), within)


Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """A run as the measures see it; T windows have T + 1 edges.

    Attributes
    ----------
    kind : str
        The dataset's ``kind``.
    y_bp : float64 array, T + 1
        Goal-node share at the edges, in basis points, not floored.
    moved : float64 array, T
        Pages moved between edge k and edge k + 1.
    n_pages : float
        Eligible pages.
    x : float64 array, (T + 1, nodes)
        Pages per node at the edges, in units of `n_pages`: shares, but in a page-level run with pages that nobody touches.
    window_s : float or None
        Seconds per window, where the run knows it.
    ping_pong : callable or None
        ``ping_pong(within)``: share of moves undone within that many windows; None where pages cannot be told apart.
    target_bp : float or None
        The goal in force, where the run knows it.
    parameters : dict
        The parameters that the dataset carries.
    """

    kind: str
    y_bp: Floats
    moved: Floats
    n_pages: float
    x: Floats
    window_s: float | None = None
    ping_pong: Callable[[int], float] | None = None
    target_bp: float | None = None
    parameters: dict[str, Any] = field(default_factory=dict)


def _two_nodes(share: Floats) -> Floats:
    return np.column_stack([share, 1.0 - share])


def _edges(ds: xr.Dataset) -> npt.NDArray[np.int64]:
    return np.append(ds["pages"].values, ds["final_pages"].values).astype(np.int64)


def _loop(ds: xr.Dataset, parameters: dict[str, Any], node: int) -> Series:
    n = int(parameters["n_pages"])
    share = _edges(ds) / n
    pages, moved, leaked = (ds[name].values for name in ("pages", "moved", "leaked"))
    inward = parameters["direction"] == "in"
    clamp = parameters["clamp_bp"]
    return Series(
        "loop",
        1e4 * share,
        moved.astype(float),
        n,
        _two_nodes(share),
        window_s=ds.attrs.get("window_s"),
        ping_pong=lambda within: single_ping_pong(pages, moved, leaked, inward, within),
        target_bp=float(parameters["target_bp"] if clamp is None else min(parameters["target_bp"], clamp)),
        parameters=parameters,
    )


def _loop_pair(ds: xr.Dataset, parameters: dict[str, Any], node: int) -> Series:
    n = int(parameters["n_pages"])
    share = _edges(ds) / n
    pages, moved = ds["pages"].values, ds["moved"].values
    low, high = float(parameters["targets_bp"][0]), 1e4 - parameters["targets_bp"][1]
    # Between the two goals both are met: the reference is the point of that band next to where the run ends.
    target = min(max(1e4 * float(share[-1]), low), high) if low <= high else low
    return Series(
        "loop_pair",
        1e4 * share,
        moved.sum(axis=1).astype(float),
        n,
        _two_nodes(share),
        ping_pong=lambda within: pair_ping_pong(pages, moved, n, within),
        target_bp=target,
        parameters=parameters,
    )


def _interleave(ds: xr.Dataset, parameters: dict[str, Any], node: int) -> Series:
    occupancy = ds["occupancy"].transpose("round", "node").values
    n = float(occupancy[0].sum())
    if not 0 <= node < occupancy.shape[1]:
        raise InputError("node", f"{node} is not among {occupancy.shape[1]} nodes", "name a node of the dataset")

    def bounced(within: int) -> float:
        from ..interleave import ping_pong

        # The definition counts the first round's moves as well; too short a run has no ratio.
        return float(ping_pong(ds, within, skip=0)) if within < ds.sizes["round"] - 1 else float("nan")

    weights = parameters.get("weights")
    target = None if weights is None else 1e4 * weights[node] / sum(weights)
    return Series(
        "interleave",
        1e4 * occupancy[:, node] / n,
        ds["moved"].values[1:].astype(float),
        n,
        occupancy / n,
        ping_pong=bounced,
        target_bp=target,
        parameters=parameters,
    )


def judged_by(ds: xr.Dataset, node: int | None, target_bp: float | None) -> tuple[int, Series, float]:
    """Return the node that a run is judged by, the run seen from there, and the reference in basis points.

    The node is that of the run's goal unless it is given; with a target of the caller's own it is 0.
    """
    if node is None:
        node = goal_node(ds) if target_bp is None else 0
    view = series(ds, node=node)
    reference = view.target_bp if target_bp is None else float(target_bp)
    if reference is None:
        raise InputError("target_bp", "is missing and the run does not name a goal", "give the wanted share in basis points")
    return node, view, reference


def reading_window_s(ds: xr.Dataset) -> float:
    """Return the shortest time in which a page-level run can be read, in seconds.

    A quota window, or where not every record is kept, the time that each kept one stands for.
    """
    return max(float(ds.attrs["window_s"]), float(ds.attrs.get("every_s", 0.0)))


def moved_pages(ds: xr.Dataset) -> npt.NDArray[np.int64]:
    """Return pages of a page-level run that changed place since the previous record, int64 (n_records,).

    Those that migrated, and where pages can be reclaimed also those that were, and those that came back.
    """
    names = [n for n in ("migrated_pages", "reclaimed_pages", "faulted_pages") if n in ds]
    return np.asarray(sum(ds[n].values for n in names))


def _simulation(ds: xr.Dataset, parameters: dict[str, Any], node: int) -> Series:
    nids = ds["node"].values.tolist()
    if node not in nids:
        raise InputError("node", f"{node} is not among the nodes {nids}", "name a node of the run")
    window_s, time = reading_window_s(ds), ds["time"].values
    # Records come with every aggregation and application; the measures count in quota windows.
    windows = int((time[-1] + 1e-9) / window_s)
    edge = np.searchsorted(time, np.arange(windows + 1) * window_s + 1e-9, side="right") - 1
    what = target_of(ds, node)
    share = share_bp(ds, what or Controlled("access", node, 0))
    moved = moved_pages(ds)
    pages = ds["class_pages"].values.sum(axis=2)
    if "out_pages" in ds:
        pages = np.column_stack((pages, ds["out_pages"].values))  # one more place to be
    n_pages = (0 if what and what.kind == "used" else pages_of(ds)) or float(ds.attrs["n_pages"])
    lags, returns = ds["lag"].values, ds["returns"].values

    def bounced(within: int) -> float:
        if (returns < 0).any():  # where moves were not followed
            return float("nan")
        total = int(moved.sum())
        return float(returns[:, lags <= within].sum() / total) if total else 0.0

    return Series(
        "simulation",
        share[edge],
        np.diff(np.cumsum(moved)[edge]).astype(float),
        n_pages,
        # Moves of any page count, so pages anywhere are set in relation to the same number.
        pages[edge] / n_pages,
        window_s=window_s,
        ping_pong=bounced,
        # Between two goals both are met: the reference is the point of that band next to where the run ends.
        target_bp=what.reference_bp(share[-1]) if what else None,
        parameters=parameters,
    )


ADAPTERS: dict[str, Callable[[xr.Dataset, dict[str, Any], int], Series]] = {
    "loop": _loop,
    "loop_pair": _loop_pair,
    "interleave": _interleave,
    "simulation": _simulation,
}
"""Adapter per dataset ``kind``; a new kind of run adds its own."""


def series(ds: xr.Dataset, *, node: int = 0) -> Series:
    """Return a run's share, moves and occupancy in one form.

    Parameters
    ----------
    ds : xarray.Dataset
        A run with a ``kind`` that has an adapter: "loop", "loop_pair", "interleave", "simulation", and those added to
        `ADAPTERS`.
    node : int
        Goal node of an interleave run or a simulation. A simulation is read as the share of accesses that the node
        serves, or, where its goal there is about used memory, as the used share of the node.

    Returns
    -------
    Series
        See there.

    Raises
    ------
    InputError
        When the dataset's kind is not known, or has too few windows to measure anything.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.loop.run("temporal", 4000, 1_000_000, 0, cap_bytes=100 << 20)
    >>> view = tm.analysis.series(ds)
    >>> view.y_bp[:3].tolist(), view.moved[:2].tolist()
    ([0.0, 256.0, 512.0], [25600.0, 25600.0])
    """
    need_dataset(ds)
    kind = ds.attrs.get("kind")
    if kind not in ADAPTERS:
        raise InputError("ds.attrs['kind']", f"{kind!r} has no adapter", f"give a run of kind {', '.join(ADAPTERS)}")
    parameters = json.loads(ds.attrs.get("parameters", "{}"))
    result = ADAPTERS[kind](ds, parameters, node)
    if result.moved.size < 1:
        raise InputError("ds", "has no window", "run at least one")
    return result
