"""What a policy is to the reader of a comparison: measured, a goal, weights, or something to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..comparison.policies import BASELINES

RECORDED, GOAL, WEIGHTS, OWN, BASELINE = "recorded", "goal", "weights", "own", "baseline"

# Okabe & Ito (2008) without black and yellow: black is the text's colour, yellow too faint on white.
BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"
GREY = "#8A8A8A"
_BY_ROLE = {
    RECORDED: ("ink",),
    GOAL: (BLUE,),
    WEIGHTS: (GREEN, VERMILLION, ORANGE, PURPLE, SKY),
    OWN: (PURPLE, SKY, ORANGE, VERMILLION, GREEN),
    BASELINE: (GREY,),
}
_WIDTH = {RECORDED: 2.2, GOAL: 1.7, WEIGHTS: 1.2, OWN: 1.5, BASELINE: 1.0}
_ORDER = {RECORDED: 6.0, GOAL: 5.0, WEIGHTS: 4.0, OWN: 4.5, BASELINE: 3.0}
Dashes = tuple[float, tuple[float, ...]]
_DASHES: tuple[Dashes, ...] = ((0, ()), (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))
_BASELINE_DASHES: tuple[Dashes, ...] = ((0, (6, 3)), (0, (2, 2)), (0, (8, 2, 2, 2)), (0, (1, 3)))


class Look(NamedTuple):
    """How a policy's line is drawn. The colour ``"ink"`` stands for that of the text."""

    colour: str
    width: float
    dashes: Dashes
    order: float


def role_of(policy: str) -> str:
    """Return what a policy is, by its name: ``"recorded"``, ``"goal"``, ``"weights"``, ``"baseline"``, or ``"own"``."""
    for role in (RECORDED, GOAL, WEIGHTS):
        if policy.startswith(role):
            return role
    compared_with = policy in BASELINES or policy.startswith("without ") or policy.endswith(" alone")
    return BASELINE if compared_with else OWN


def short(policy: str) -> str:
    """Return a policy's name for a sentence about policies."""
    return policy.removeprefix("weights: ").removeprefix("goal: ")


def looks(policies: Sequence[str]) -> list[Look]:
    """Return a look for each policy; the same list gets the same looks in every figure."""
    seen = dict.fromkeys(_BY_ROLE, 0)
    out = []
    for policy in policies:
        role = role_of(policy)
        k = seen[role]
        seen[role] += 1
        colours = _BY_ROLE[role]
        dashes = _BASELINE_DASHES if role == BASELINE else _DASHES
        turn, place = (k, 0) if role == BASELINE else divmod(k, len(colours))
        # Every other turn backwards: the colour that comes twice in a row differs by its dashes, as a pair should.
        colour = colours[-1 - place if turn % 2 else place]
        width = _WIDTH[WEIGHTS] if role == GOAL and k else _WIDTH[role]
        out.append(Look(colour, width, dashes[turn % len(dashes)], _ORDER[role]))
    return out


def series_colours(n: int) -> list[str]:
    """Return colours for `n` nodes or schemes; beyond six they repeat."""
    return [(BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY)[k % 6] for k in range(n)]


def listed(names: Sequence[str], most: int = 3) -> str:
    """Return words as a list in a sentence; beyond `most`, the rest is counted."""
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} more"]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1] if names else ""
