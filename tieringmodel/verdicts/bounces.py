"""How many moves come back when a model counts pages but does not name them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]


def _share(part: Counts, whole: Counts) -> npt.NDArray[np.float64]:
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
    return uniform_ping_pong(moved, none, _share(leaked, pages + moved), never, within)


def pair_ping_pong(pages: Counts, moved: Counts, n_pages: int, within: int) -> float:
    """Return `uniform_ping_pong` of two opposing schemes; ``moved`` is (window, scheme), scheme 0 fills the goal node.

    Which pages are swapped is not part of the reduced model: oldest first would give 0 for small caps, newest first 1;
    the uniform pick stands for scores that carry no information about which page moved last.
    """
    return uniform_ping_pong(moved[:, 0], moved[:, 1], _share(moved[:, 1], pages), _share(moved[:, 0], n_pages - pages), within)
