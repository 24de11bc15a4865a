"""``tieringmodel schema``: the JSON schema of scenario files, for editors."""

from __future__ import annotations

import argparse
import json
from typing import Any

from .output import lines, say


def add(commands: Any) -> None:
    """Add the command's parser to a set of subparsers."""
    commands.add_parser(
        "schema",
        help="the JSON schema of scenario files",
        description="Print the JSON schema of scenario files (TOML and JSON), with which editors complete and check them: "
        "tieringmodel schema > scenario.schema.json, then write '#:schema ./scenario.schema.json' on the first line of "
        "a file (Even Better TOML, Taplo), or name it in the editor's settings.",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    from ..scenario.schema import json_schema

    say(lines(json.dumps(json_schema(), indent=2)))
    return 0
