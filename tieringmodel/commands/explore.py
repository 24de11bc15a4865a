"""``tieringmodel explore``: a page with sliders for one scheme's goal."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import InputError
from .arguments import SCENARIO_HELP, add_surroundings, open_given
from .output import say, strict_json


def add(commands: Any) -> None:
    """Add the command's parser to a set of subparsers."""
    p = commands.add_parser(
        "explore",
        help="a page with sliders for one goal's control loop",
        description="Write one self-contained page, no server, with sliders for target, tuner, quota, interval, delay, leak, "
        "hot set and noise of the first scheme that moves pages for a share, live curves, the verdict, and the damo line that "
        "the sliders come to.",
    )
    p.add_argument("scenario", nargs="?", metavar="SCENARIO", help=SCENARIO_HELP + " (default: rfc-40-60)")
    p.add_argument("-o", "--output", metavar="FILE", type=Path, default=Path("explore.html"), help="default: explore.html")
    p.add_argument("--duration", metavar="T", default="600", help="simulated time (default 600 s)")
    add_surroundings(p)
    p.add_argument("--json", action="store_true", help="print one JSON object: the page's file")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    from ..reports.explore_page import write_explore
    from ..units import parse_duration_us

    if arguments.scenario is not None and arguments.line:
        raise InputError("SCENARIO", "is given twice, before and after --", "give it once")
    duration_s = parse_duration_us(arguments.duration, "--duration") * 1e-6
    source = None if arguments.line else arguments.scenario or "rfc-40-60"
    written = write_explore(open_given(source, arguments), arguments.output, duration_s=duration_s)
    say(strict_json({"file": str(written)}) if arguments.json else f"wrote {written}")
    return 0
