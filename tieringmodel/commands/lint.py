"""``tieringmodel lint``: what is wrong with a scenario, without running it."""

from __future__ import annotations

import argparse
from typing import Any

from .arguments import SCENARIO_HELP, add_surroundings, open_given
from .explain import folded
from .output import lines, paint_levels, say, strict_json


def add(commands: Any) -> None:
    """Add the command's parser to a set of subparsers."""
    p = commands.add_parser(
        "lint",
        help="what is wrong with a scenario, without running it",
        description="Look a scenario over without running it. Exit status 1 if there is an error-level finding.",
    )
    p.add_argument("scenario", nargs="?", metavar="SCENARIO", help=SCENARIO_HELP)
    add_surroundings(p)
    p.add_argument("--explain", metavar="CODE", help="only print what a code means")
    p.add_argument("--json", action="store_true", help="print one JSON list")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    from dataclasses import asdict

    from ..linting import format_findings, lint
    from ..verdicts.explained import explain

    if arguments.explain:
        say(lines(folded(explain(arguments.explain), arguments)))
        return 0
    findings = lint(open_given(arguments.scenario, arguments).scenario)
    if arguments.json:
        say(strict_json([asdict(f) for f in findings]))
    else:
        say(paint_levels(format_findings(findings)) if findings else "nothing found")
    return 1 if any(f.level == "error" for f in findings) else 0
