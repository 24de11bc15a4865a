"""The verdict of many loops at once, from the summary measures that `tieringmodel.loop.run_many` keeps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..units import PAGE_SZ, ULONG_MAX
from .record import LOOP_KINDS
from .thresholds import Thresholds

if TYPE_CHECKING:
    import xarray as xr

Codes = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float64]
CODE = {kind: np.int8(k) for k, kind in enumerate(LOOP_KINDS)}
IMPOSSIBLE = np.int8(-1)
"""Code of a cell that cannot be set up."""


class Tail(NamedTuple):
    """What the end of many runs looks like; arrays of one shape."""

    goal_bp: Floats
    """Goal in force."""
    mean_bp: Floats
    """Share of the goal's node over the window ends of the tail."""
    low_bp: Floats
    high_bp: Floats
    moved_share: Floats
    """Pages moved per eligible page and window of the tail."""
    rest_kind: Codes
    """What a run is that moves nothing and is not converged: by what its tuner asks for."""
    limited: npt.NDArray[np.bool_]
    """Every tail window moved all that the quota allowed."""
    bounced: Floats
    """Upper bound of the share of moves that are undone within `Thresholds.within` windows."""


def classes(tail: Tail, limits: Thresholds | None = None) -> Codes:
    """Return the verdict's kind per run, as an index into `tieringmodel.verdicts.record.LOOP_KINDS`.

    Parameters
    ----------
    tail : Tail
        Measures of the tails.
    limits : Thresholds, optional
        What converged means; the verdict's own thresholds by default.

    Returns
    -------
    int8 array
        The order of the tests is that of `tieringmodel.verdicts.judge_loop.classify`, for schemes that move pages in and
        metrics without noise. Whether a swing still grows ("runaway") needs a whole trace: here it is a limit cycle.
    """
    limit = limits or Thresholds()
    band = limit.error_share * tail.goal_bp
    distance = np.maximum(np.abs(tail.low_bp - tail.goal_bp), np.abs(tail.high_bp - tail.goal_bp))
    inside = distance <= band + 1e-9
    quiet = tail.moved_share <= limit.residual_per_page
    swings = (tail.high_bp - tail.low_bp) / 2 > band
    rules = [
        (inside & quiet & (tail.bounced <= limit.ping_pong), CODE["converged"]),
        ((tail.moved_share == 0) & inside & (tail.rest_kind == CODE["wrong-point"]), CODE["ripple"]),
        (tail.moved_share == 0, tail.rest_kind),
        (tail.limited & (tail.mean_bp < tail.goal_bp - band), CODE["saturated"]),
        (inside, CODE["ripple"]),
        (swings, CODE["limit-cycle"]),
        (np.abs(tail.mean_bp - tail.goal_bp) <= band, CODE["ripple"]),
    ]
    found = np.full(tail.goal_bp.shape, CODE["wrong-point"], np.int8)
    for applies, code in reversed(rules):
        found = np.where(applies, code, found).astype(np.int8)
    return found


def tail_of_grid(ds: xr.Dataset) -> Tail:
    """Return the tails of `tieringmodel.loop.run_many`.

    Parameters
    ----------
    ds : xarray.Dataset
        ``kind`` "loop_grid", direction "in", no noise.

    Returns
    -------
    Tail
        Arrays of the grid's shape. `Tail.bounced` takes every page for as likely to leave as when the node was
        emptiest.

    Raises
    ------
    InputError
        When the dataset is of another kind, or its runs move pages out or measure with noise.
    """
    if ds.attrs.get("kind") != "loop_grid":
        raise InputError("ds", f"kind {ds.attrs.get('kind')!r} is no grid of loops", "give what loop.run_many returns")
    given = json.loads(ds.attrs["parameters"])
    shape = ds["final_pages"].shape

    def argument(name: str, default: float) -> npt.NDArray[Any]:
        value = ds[name].values if name in ds.coords else given[name]
        return np.broadcast_to(np.asarray(default if value is None else value), shape)

    if given["direction"] != "in" or (argument("noise_bp", 0.0) > 0).any():
        raise InputError("ds", "holds runs that move out, or measure with noise", "judge those one by one: verdict()")
    n = argument("n_pages", 0).astype(float)
    goal = np.minimum(argument("target_bp", 0), argument("clamp_bp", 10_000)).astype(float)
    capacity = np.minimum(argument("capacity_pages", 2**42).astype(float), n)
    cap = np.minimum(argument("cap_bytes", ULONG_MAX).astype(float) // PAGE_SZ, n)
    final, moved = ds["final_pages"].values, ds["tail_moved_pages"].values
    low = ds["tail_low_pages"].values
    leak = argument("leak_pages", 0) + argument("leak_rate", 0.0) * low
    wants_more = np.floor(1e4 * final / n) < goal
    full = np.where(final == capacity, CODE["saturated"], CODE["stuck"])
    # A page that was moved in leaves with the leak of each later window, drawn from all pages there.
    chance = np.minimum(1.0, leak / np.maximum(ds["trough_pages"].values, 1))
    return Tail(
        goal_bp=goal,
        mean_bp=1e4 * ds["tail_mean_pages"].values / n,
        low_bp=1e4 * low / n,
        high_bp=1e4 * ds["tail_high_pages"].values / n,
        moved_share=moved / n,
        rest_kind=np.where(wants_more, full, CODE["wrong-point"]).astype(np.int8),
        limited=(moved > 0) & (moved == cap),
        bounced=np.where(leak > 0, 1.0 - (1.0 - chance) ** Thresholds().within, 0.0),
    )


def waste_of(moved_pages: npt.NDArray[Any], net_pages: npt.NDArray[Any]) -> Floats:
    """Return the share of moves beyond the net change of placement; nan without a move, or where a leak moved more."""
    moved, net = np.asarray(moved_pages, float), np.abs(np.asarray(net_pages, float))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = 1.0 - net / moved
    return np.where((moved > 0) & (ratio >= 0), ratio, np.nan)
