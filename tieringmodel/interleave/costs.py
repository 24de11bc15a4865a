"""What placement and control cost over many rounds: walks, copies, scans (docs/theory/stability.md, section 2)."""

from __future__ import annotations

from dataclasses import dataclass

from ..checks import number, whole


@dataclass(frozen=True)
class PlacementCosts:
    """Cost of four ways to the same share, in the unit of the cost arguments.

    Attributes
    ----------
    rmap_every_round, rmap_done_mark : float
        Weights by VMA offset, walking rmap for every candidate in every round, or once per page.
    without_identity : float
        Weights redrawn in every round.
    bp_goal : float
        A share goal: a scan of the monitored pages per round, and the missing pages copied once.
    rmap_breaks_even : bool
        Whether rmap in every round beats redrawing in the long run: walk / move below 2 p0 p1.
    goal_breaks_even : bool
        Whether the goal's scan beats one walk per candidate: monitored * scan below pages * walk.
    """

    rmap_every_round: float
    rmap_done_mark: float
    without_identity: float
    bp_goal: float
    rmap_breaks_even: bool
    goal_breaks_even: bool


def placement_costs(
    n_pages: int,
    rounds: int,
    share: float,
    start_share: float,
    *,
    walk: float,
    move: float,
    scan: float,
    monitored_pages: int | None = None,
) -> PlacementCosts:
    """Return what two-node placement costs over a number of rounds.

    Parameters
    ----------
    n_pages : int
        Candidate pages.
    rounds : int
        Rounds (or quota windows) looked at.
    share : float
        Wanted share of node 0, 0 … 1: p0.
    start_share : float
        Share of node 0 at the start, 0 … 1.
    walk, move, scan : float
        Cost of one rmap walk, of one page copy, and of looking at one page for the metric, in one unit.
    monitored_pages : int, optional
        Pages that the metric scans; by default the candidates.

    Returns
    -------
    PlacementCosts
        With M0 = n (x0 p1 + (1 - x0) p0) first moves: T n c_r + M0 c_m; n c_r + M0 c_m; M0 c_m + (T - 1) 2 p0 p1 n c_m;
        T n_mon c_s + abs(x0 - p0) n c_m.

    Raises
    ------
    InputError
        If a count, share or cost is out of range.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> costs = tm.interleave.placement_costs(1000, 10, 0.4, 1.0, walk=0.2, move=1.24, scan=0.04)
    >>> round(costs.without_identity), round(costs.rmap_every_round), round(costs.bp_goal)
    (6101, 2744, 1144)
    """
    for name, value in (("share", share), ("start_share", start_share)):
        number(name, value, 0, 1, "write a share")
    for name, value in (("walk", walk), ("move", move), ("scan", scan)):
        number(name, value, 0, remedy="write a cost, 0 or more")
    n_pages, rounds = (whole(name, n, 1, remedy="write 1 or more") for name, n in (("n_pages", n_pages), ("rounds", rounds)))
    monitored = n_pages if monitored_pages is None else monitored_pages
    swap = 2 * share * (1 - share)
    first = n_pages * (start_share * (1 - share) + (1 - start_share) * share)
    return PlacementCosts(
        rmap_every_round=rounds * n_pages * walk + first * move,
        rmap_done_mark=n_pages * walk + first * move,
        without_identity=first * move + (rounds - 1) * swap * n_pages * move,
        bp_goal=rounds * monitored * scan + abs(start_share - share) * n_pages * move,
        rmap_breaks_even=walk < swap * move,
        goal_breaks_even=monitored * scan < n_pages * walk,
    )
