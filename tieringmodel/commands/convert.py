"""``tieringmodel convert``: a scenario in another form."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .arguments import SCENARIO_HELP, add_surroundings, open_given
from .output import say, strict_json


def add(commands: Any) -> None:
    """Add the command's parser to a set of subparsers."""
    p = commands.add_parser(
        "convert",
        help="a scenario in another form",
        description="Write a scenario in the form that OUT's suffix asks for: .toml the scenario with every default left "
        "out; .json damo's parameters; .sh writes to DAMON's sysfs files, to review and run; .damo a damo start command. "
        "What the scenario's kernel cannot be told is refused.",
    )
    p.add_argument(
        "files", nargs="+", metavar="FILE", help="IN OUT, or OUT alone before '-- damo start …'; IN: " + SCENARIO_HELP
    )
    p.add_argument("--pid", metavar="N", type=int, help="the process of virtual targets, for .json and .damo")
    add_surroundings(p)
    p.add_argument("--json", action="store_true", help="print one JSON object: the file, and the notes on both ways")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    from ..interop.convert import write_converted

    target = Path(arguments.files[-1])
    loaded = open_given(None if arguments.line else arguments.files[0], arguments)
    notes = write_converted(loaded, target, pid=arguments.pid)
    for note in notes:
        say(f"tieringmodel: {note}", to=sys.stderr)
    if arguments.json:
        say(strict_json({"file": str(target), "notes": [*loaded.notes, *notes]}))
    else:
        say(f"wrote {target}")
    return 0
