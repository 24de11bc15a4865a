"""CONSIST or TEMPORAL for complementary schemes: what either leaves moving, over the goals' gap, cap and delay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..units import PAGE_SZ
from .maps import Axis, Line, map_dataset

if TYPE_CHECKING:
    import xarray as xr

TUNERS = ("temporal", "consist")
QUIET_BP = 1.0
"""Moves per eligible page and window up to which a pair rests: 1e-4 (docs/theory/stability.md, section 4)."""


def pair_map(
    *,
    middle_bp: int = 6000,
    delays: Sequence[int] = (0, 1, 3),
    gap_bp: tuple[int, int] = (-1000, 3000),
    cap_bp: tuple[float, float] = (5.0, 2000.0),
    starts_bp: Sequence[int] = (0, 9_300),
    n_pages: int = 1_000_000,
    cells: tuple[int, int] = (33, 18),
    windows: int = 3_000,
) -> xr.Dataset:
    """Map a pull and a push scheme with goals on either node, under both tuners.

    Parameters
    ----------
    middle_bp : int
        Node 0's share halfway between the two goals.
    delays : sequence of int
        Windows between a move and its appearance in the metric; one panel each.
    gap_bp : pair of int
        Least and largest gap, 10000 less the sum of the goals; below 0 no placement meets both.
    cap_bp : pair of float
        Smallest and largest size quota of either scheme per window, bp of the eligible pages, in equal ratios.
    starts_bp : sequence of int
        Node 0's share before window 0; the worst of them counts.
    n_pages : int
        Eligible pages.
    cells : pair of int
        Grid points along gap and cap.
    windows : int
        Windows per run; the last fifth, at least 100, is judged.

    Returns
    -------
    xarray.Dataset
        ``kind`` "stability_map" over ``tuner`` × ``delay_windows`` × ``cap_bp`` × ``gap_bp``: residual_bp (moves of
        both schemes per window and eligible page), error_bp (largest distance of node 0's share from the band between
        the goals), rests (bool: at most 1 bp moves per window, within 2 % of the nearer goal).

    Raises
    ------
    InputError
        When an argument is outside its bounds.

    Notes
    -----
    Source: docs/theory/stability.md, section 3f. Boundary: TEMPORAL moves up to (delay + 1) caps after its goal is met, so
    a gap of that width always holds it.
    """
    from ..loop import run_pair

    if min(cells) < 2 or windows < 100:
        raise InputError("cells", f"{cells!r} of {windows} windows", "give 2 or more each, and 100 windows or more")
    half_gap = max(abs(g) for g in gap_bp) / 2
    if gap_bp[0] >= gap_bp[1] or not half_gap < middle_bp < 10_000 - half_gap:
        raise InputError("gap_bp", f"{gap_bp!r} around {middle_bp} bp leaves no goals", "keep both goals in 1..10000")
    if not 1e4 / n_pages <= cap_bp[0] < cap_bp[1] or not delays or not starts_bp:
        raise InputError("cap_bp", f"{cap_bp!r} is no range of whole pages", "give a smaller and a larger one")
    gaps = np.rint(np.linspace(*gap_bp, cells[0])).astype(np.int64)
    caps = np.rint(np.geomspace(*cap_bp, cells[1]) * n_pages / 1e4).astype(np.int64)
    goals = [(middle_bp - int(g) // 2, 10_000 - int(g) - (middle_bp - int(g) // 2)) for g in gaps]
    shape = (len(TUNERS), len(delays), cells[1], cells[0])
    residual, error, rests = np.zeros(shape), np.zeros(shape), np.ones(shape, bool)
    tail = max(100, windows // 5)
    for at in np.ndindex(shape):
        tuner, delay, cap, goal = TUNERS[at[0]], delays[at[1]], int(caps[at[2]]) * PAGE_SZ, goals[at[3]]
        ends = sorted((float(goal[0]), 10_000.0 - goal[1]))
        band = 0.02 * goal[0]
        for start in starts_bp:
            ds = run_pair(tuner, goal, (cap, cap), n_pages, start * n_pages // 10_000, delay=delay, windows=windows)
            moved = 1e4 * float(ds["moved"].values[-tail:].sum()) / tail / n_pages
            pages = ds["pages"].values[-tail:]
            low, high = 1e4 * int(pages.min()) / n_pages, 1e4 * int(pages.max()) / n_pages
            beyond = max(0.0, ends[0] - low, high - ends[1])
            residual[at], error[at] = max(float(residual[at]), moved), max(float(error[at]), beyond)
            rests[at] &= moved <= QUIET_BP and beyond <= band
    caps_bp = 1e4 * caps / n_pages
    lines = [
        Line(f"gap = {delay + 1} × cap" if delay else "gap = cap", (delay + 1) * caps_bp, caps_bp, k)
        for k, delay in enumerate(delays)
    ]
    axes = (
        Axis("tuner", np.array(TUNERS), "tuner", "1"),
        Axis("delay_windows", np.asarray(delays), "delay of the metric", "windows"),
        Axis("cap_bp", caps_bp, "size quota per window, share of the eligible pages", "bp"),
        Axis("gap_bp", gaps, "gap between the goals (10000 less their sum)", "bp"),
    )
    parameters = {
        "middle_bp": middle_bp,
        "delays": list(delays),
        "gap_bp": list(gap_bp),
        "cap_bp": list(cap_bp),
        "starts_bp": list(starts_bp),
        "n_pages": n_pages,
        "cells": list(cells),
        "windows": windows,
    }
    variables = {
        "residual_bp": (residual, "pages moved per window of the tail per eligible page, worst start", "bp"),
        "error_bp": (error, "largest distance of the share from the band between the goals, worst start", "bp"),
        "rests": (rests, "at most 1 bp moves per window, within 2 % of the nearer goal, from every start", "1"),
    }
    return map_dataset("pair", axes, variables, lines, parameters)
