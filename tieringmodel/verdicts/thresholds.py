"""What a cause and its remedy are made of, and the state of a feedback loop that the causes read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..units import PAGE_SZ
from .run_view import Series

if TYPE_CHECKING:
    import xarray as xr


class Thresholds(NamedTuple):
    """What a run must keep to be called converged."""

    error_share: float = 0.02
    """Largest distance of every tail edge from the reference, as a share of the reference."""
    residual_per_page: float = 1e-4
    """Most moves per eligible page and window in the tail."""
    ping_pong: float = 0.01
    """Largest share of moves that are undone."""
    within: int = 10
    """Windows within which a page that returns counts as undone."""


class RunThresholds(NamedTuple):
    """By what a page-level run is judged."""

    band_bp: float = 200.0
    """Largest distance of a share from where it should be."""
    band_share: float = 0.02
    """The same for metrics that are no share, as a part of the target."""
    residual_per_page: float = 1e-4
    """At rest: at most this part of the workload's pages moves per window in the mean of the tail."""
    burst: float = 10.0
    """At rest: no window moves more than so many times that."""
    silence_windows: float = 10.0
    """At rest: silent for at least so many windows,"""
    silence_share: float = 0.1
    """for at least this part of the time since the last disturbance,"""
    silence_pauses: float = 2.0
    """and for at least so many times the longest pause before,"""
    silence_changes: float = 3.0
    """and for at least so many changes of a workload that changes to the end."""
    tail_share: float = 1 / 3
    """The tail of a run that moves, as a part of the time since the last disturbance."""
    trend_tau: float = 0.64
    """Kendall's tau over eighths of the tail, from which on a rate has a trend,"""
    trend_ratio: float = 1.5
    """if its halves are so many times apart; or one eighth with half of all moves."""
    trend_bp: float = 100.0
    """A share has a trend if the means of the tail's halves differ by more than that"""
    trend_swing: float = 0.4
    """and by that part of its swing; what rises evenly has 0.5. Or if it goes one way from each eighth to the next."""
    stuck_share: float = 1e-3
    """Stuck: less than this part of the memory in a scheme's ranges was ever moved."""
    asleep_share: float = 0.95
    """Idle: asleep for at least this part of the run."""
    excursions: int = 3
    """A limit cycle leaves the band at least so often in the tail, or repeats itself so often."""


@dataclass(frozen=True)
class Diagnosis:
    """Mechanism in plain words, the remedy in words, and the arguments that the remedy changes."""

    cause: str
    fix: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    code: str = "unexplained"


@dataclass(frozen=True)
class LoopState:
    """What a loop or a pair of loops is doing at the end of its run.

    Attributes
    ----------
    wants_more : bool
        A goal is missed at the last edge, so its tuner asks for quota.
    no_room : bool
        The scheme that wants more finds no page or no room.
    limited : bool
        In every tail window the scheme moved all that cap or room allowed, and its goal was missed.
    swap_all : bool
        Two schemes each moved everything their source held, in every tail window.
    growing : bool
        Two schemes move ever more: the last quarter of the tail at least twice the quarter before.
    """

    wants_more: bool = False
    no_room: bool = False
    limited: bool = False
    swap_all: bool = False
    growing: bool = False


def cap_pages(cap_bytes: int | None) -> int | None:
    """Return the whole pages per window that a cap allows; None without cap."""
    return None if cap_bytes is None else cap_bytes // PAGE_SZ


def quiet_cap_pages(band_bp: float, n_pages: int, delay: int) -> int:
    """Return the largest cap whose overshoot, (delay + 1) caps, stays inside the band; at least one page."""
    return max(1, int(band_bp * n_pages / 1e4) // (delay + 1))


def loop_state(ds: xr.Dataset, view: Series, tail: int) -> LoopState:
    """Return the state of a run of kind "loop" or "loop_pair"; the default state for any other."""
    p = view.parameters
    if view.kind == "loop":
        return _single_state(ds, p, round(view.target_bp or 0), tail)
    return _pair_state(ds, p, tail) if view.kind == "loop_pair" else LoopState()


def _single_state(ds: xr.Dataset, p: dict[str, Any], goal_bp: int, tail: int) -> LoopState:
    n_pages, final = p["n_pages"], int(ds["final_pages"])
    inward = p["direction"] == "in"
    ceiling = n_pages if p["capacity_pages"] is None else min(p["capacity_pages"], n_pages)
    pages, moved, esz = (ds[name].values[-tail:] for name in ("pages", "moved", "esz"))
    room = ceiling - pages if inward else pages
    cap = cap_pages(p["cap_bytes"])
    most = room if cap is None else np.minimum(room, cap)
    full = (moved == most) & (esz >= PAGE_SZ) & (ds["score"].values[-tail:] < 10_000)
    return LoopState(
        wants_more=final * 10_000 // n_pages < goal_bp,
        no_room=(ceiling - final if inward else final) == 0,
        limited=bool(full.all()),
    )


def _pair_state(ds: xr.Dataset, p: dict[str, Any], tail: int) -> LoopState:
    n_pages, final = p["n_pages"], int(ds["final_pages"])
    on_goal = (final, n_pages - final)
    wants = [on_goal[i] * 10_000 // n_pages < p["targets_bp"][i] for i in range(2)]
    pages, moved = ds["pages"].values[-tail:], ds["moved"].values[-tail:]
    total = moved.sum(axis=1)
    quarter = max(1, tail // 4)
    last, before = total[-quarter:].sum(), total[-2 * quarter : -quarter].sum()
    return LoopState(
        wants_more=any(wants),
        no_room=all(n_pages - on_goal[i] == 0 for i in range(2) if wants[i]) and any(wants),
        swap_all=bool(np.all(moved[:, 0] == n_pages - pages) and np.all(moved[:, 1] == pages)),
        growing=bool(before > 0 and last >= 2 * before),
    )
