"""``tieringmodel validate``: the evidence against this build."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import InputError
from .output import lines, mark, say, strict_json
from .results import MOST_SEEDS

QUICK = 8
"""Seeds of `--quick`."""


def add(commands: Any) -> None:
    """Add the command's parser to a set of subparsers."""
    p = commands.add_parser(
        "validate",
        help="replay the evidence against this build",
        description="Replay golden vectors, recordings, anchor cases and published measurements against this build; without "
        "options everything that ships. Exit status 1 if a case fails.",
    )
    p.add_argument("--vectors", metavar="DIR", type=Path, help="a folder of golden vectors")
    p.add_argument("--recordings", metavar="DIR", type=Path, help="a folder of recordings")
    p.add_argument(
        "--seeds",
        metavar="N",
        type=int,
        default=None,
        help="simulate every recorded run with N seeds (default 64; 0 replays only what is exact)",
    )
    p.add_argument("--quick", action="store_true", help=f"as --seeds {QUICK}: for daily use, with narrow bands")
    p.add_argument("--anchors", action="store_true", help="the anchor cases")
    p.add_argument("--hardware", action="store_true", help="published measurements of real machines, as a table")
    p.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    from ..validate.replay import replay

    if arguments.seeds is not None and arguments.seeds < 0:
        raise InputError("--seeds", f"{arguments.seeds} is negative", "write 0 to replay only what is exact, or more")
    if arguments.seeds is not None and arguments.seeds > MOST_SEEDS:
        raise InputError("--seeds", f"{arguments.seeds} is over {MOST_SEEDS}", f"write at most {MOST_SEEDS}")
    cases = []
    chosen = arguments.vectors, arguments.recordings, arguments.anchors, arguments.hardware
    if arguments.quick and arguments.seeds is not None:
        raise InputError("--quick", f"is --seeds {QUICK}, and --seeds {arguments.seeds} is given, too", "leave one out")
    for case in replay(*chosen, seeds=QUICK if arguments.quick else arguments.seeds):
        cases.append(case)
        if not arguments.json:
            detail = f"; {case.detail}" if case.detail else ""
            say(mark(case.ok), f" {case.kind:9s} {case.name}: {case.checked} values{detail}")
            if arguments.hardware and case.report:
                say(lines(case.report))
    if not cases:
        raise InputError("validate", "found nothing to check", "name a folder with vectors or recordings")
    ok = all(c.ok for c in cases)
    if arguments.json:
        say(strict_json({"cases": [c.as_dict() for c in cases], "ok": ok}))
    else:
        failed = sum(not c.ok for c in cases)
        say(f"{len(cases)} cases, {sum(c.checked for c in cases)} values, {failed} failed")
    return 0 if ok else 1
