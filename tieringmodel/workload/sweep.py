"""Sequential passes over a range of pages, as groups that touch block after block."""

from __future__ import annotations

from ..scenario import Group
from ..units import FOREVER


def sweep_groups(
    lo: int,
    hi: int,
    passes_per_s: float,
    tick_us: int,
    *,
    stride: int = 1,
    start_tick: int = 0,
    end_tick: int = FOREVER,
    name: str = "",
    max_groups: int = 4096,
) -> tuple[Group, ...]:
    """Return groups that touch every `stride`-th page of ``lo`` … ``hi`` - 1 in order, pass after pass.

    A pass takes a whole number of ticks, the nearest to ``1 / passes_per_s``; the pages are cut into as many blocks as a pass
    has ticks (at most `max_groups` and one per page), and a block is touched in the tick in which the sweep reaches its
    first page. A pass therefore touches each page exactly once, at a time that is early or late by the blocks' length and
    half a tick's share of the pass.

    Where a pass is shorter than a tick every page is touched in every tick; with stride 1 the passes that a touch per tick
    leaves out are added as a rate, so that the expected touches per second stay `passes_per_s` for every page.

    Parameters
    ----------
    lo, hi : int
        Range of logical pages.
    passes_per_s : float
        Passes over the range per second, above 0.
    tick_us : int
        Length of a workload tick.
    stride : int
        Distance of touched pages, in pages.
    start_tick, end_tick : int
        When the sweep goes on; a pass begins at `start_tick`.
    name : str
        Name of the groups.
    max_groups : int
        Most blocks.

    Returns
    -------
    tuple of Group
    """
    ticks = 1e6 / passes_per_s / tick_us
    period = max(1, round(ticks))
    visited = -(-(hi - lo) // stride)
    n_blocks = min(period, visited, max_groups)
    groups = []
    for k in range(n_blocks):
        first, end = k * visited // n_blocks, (k + 1) * visited // n_blocks
        groups.append(
            Group(
                lo + first * stride,
                min(lo + end * stride, hi),
                kind="period",
                period=period,
                stride=stride,
                phase=-(start_tick + k * period // n_blocks) % period,
                start_tick=start_tick,
                end_tick=end_tick,
                name=name,
            )
        )
    rest_hz = passes_per_s - 1e6 / tick_us
    if rest_hz > 0 and stride == 1:
        groups.append(Group(lo, hi, rate_hz=rest_hz, start_tick=start_tick, end_tick=end_tick, name=name))
    return tuple(groups)
