"""``tieringmodel explain``: what a kind of a verdict or the code of a cause means."""

from __future__ import annotations

import argparse
from typing import Any

from .output import ascii_only, lines, say, strict_json, width_of


def add(commands: Any) -> None:
    """Add the command's parser to a set of subparsers."""
    p = commands.add_parser(
        "explain",
        help="what a verdict's word means",
        description="Print what proves the code of a cause, an example, and what usually helps; or what a kind says.",
    )
    p.add_argument("code", metavar="CODE", help="a code or a kind, as 'run' prints them: quota-limited, wrong-point, …")
    p.add_argument("--ascii", action="store_true", help="print plain ASCII, for a mail")
    p.add_argument("--json", action="store_true", help="print one JSON object: code, text")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    from ..verdicts.explained import explain

    text = explain(arguments.code)
    say(strict_json({"code": arguments.code, "text": text}) if arguments.json else lines(folded(text, arguments)))
    return 0


def folded(text: str, arguments: argparse.Namespace) -> str:
    """Return an explanation as it is printed."""
    from ..reports.plain_text import ascii_of, paragraph

    first, *rest = text.splitlines()
    out = [first, *(line for one in rest for line in paragraph(one.strip(), width_of(), "  ", "    "))]
    return ascii_of("\n".join(out)) if ascii_only(arguments) else "\n".join(out)
