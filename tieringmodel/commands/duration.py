"""How long to simulate: as given, as long as what was recorded, or as a verdict takes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

from ..errors import InputError
from ..units import parse_duration_us

if TYPE_CHECKING:
    import xarray as xr

    from ..scenario import Scenario

AUTO = "auto"
BUDGET_S = 30.0


class Length(NamedTuple):
    """How long to simulate, as text or in seconds; the run itself where finding it out took one, and what it says of it."""

    duration: str | float
    ds: xr.Dataset | None = None
    text: str = ""


def add_duration(command: argparse.ArgumentParser) -> None:
    """Add ``--duration`` and ``--budget``."""
    add = command.add_argument
    add(
        "--duration",
        metavar="T",
        default=AUTO,
        help="simulated time, e.g. '120 s' (bare numbers: seconds), or auto, the default: as long as what was recorded, "
        "else as a verdict takes",
    )
    add("--budget", metavar="SECONDS", type=float, default=BUDGET_S, help="CPU time that auto may take (default %(default)g)")


def is_auto(arguments: argparse.Namespace) -> bool:
    """Return whether the command is to find the duration itself."""
    return bool(arguments.duration == AUTO)


def check_duration(arguments: argparse.Namespace) -> None:
    """Refuse what is no duration, and a budget of nothing, before the work begins."""
    if not is_auto(arguments):
        parse_duration_us(arguments.duration)
    if not arguments.budget > 0:
        raise InputError("--budget", f"{arguments.budget:g} is not a positive time", "write seconds of CPU time, e.g. 30")


def length_of(arguments: argparse.Namespace, scenario: Scenario, recorded_s: float | None) -> Length:
    """Return how long to simulate.

    Parameters
    ----------
    arguments : argparse.Namespace
        With ``duration``, ``budget`` and ``seed``.
    scenario : Scenario
        What will run.
    recorded_s : float or None
        Length of the recording or the stored run that it comes from.
    """
    if not is_auto(arguments):
        return Length(arguments.duration)
    if recorded_s:
        return Length(recorded_s)
    from ..remedies.auto_duration import auto_duration

    found = auto_duration(scenario, seed=arguments.seed, budget_s=arguments.budget)
    return Length(found.duration_s, found.ds, found.text)
