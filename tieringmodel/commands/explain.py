"""``tieringmodel explain``: what a kind of a verdict, the code of a cause or a code of lint means."""

from __future__ import annotations

import argparse
from typing import Any

from .output import ascii_only, lines, say, strict_json, width_of


def add(commands: Any) -> None:
    """Add the command's parser to a set of subparsers."""
    p = commands.add_parser(
        "explain",
        help="what a verdict's word means",
        description="Print what proves the code of a cause, an example, and what usually helps; or what a kind or a code of "
        "lint says. Without a code, list them all.",
    )
    words = "a code or a kind, as 'run' and 'lint' print them: quota-limited, wrong-point, targets-no-gap, …"
    p.add_argument("code", nargs="?", metavar="CODE", help=words)
    p.add_argument("--ascii", action="store_true", help="print plain ASCII, for a mail")
    p.add_argument("--json", action="store_true", help="print one JSON object: code, text")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    from ..verdicts.explained import explain, listed

    text = explain(arguments.code) if arguments.code is not None else listed()
    say(strict_json({"code": arguments.code, "text": text}) if arguments.json else lines(folded(text, arguments)))
    return 0


def folded(text: str, arguments: argparse.Namespace) -> str:
    """Return an explanation as it is printed."""
    from ..reports.plain_text import ascii_of, paragraph

    out = []
    for one in text.splitlines():
        out += paragraph(one.strip(), width_of(), "  ", "    ") if one.startswith(" ") else [one]
    return ascii_of("\n".join(out)) if ascii_only(arguments) else "\n".join(out)
