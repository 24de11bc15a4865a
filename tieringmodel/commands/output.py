"""How commands speak: colour where somebody looks and has not declined it, JSON that every reader accepts."""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import sys
from typing import TextIO

from .. import progress
from ..errors import printable

_CODES = {"good": "32", "bad": "31", "warn": "33", "soft": "2"}
_LEVELS = {"error": "bad", "warning": "warn", "info": "soft"}


class Ours(str):
    """Text whose colours and line ends are ours; all else in it is printable."""


def be_quiet(quiet: bool) -> None:
    """Say nothing on stderr but what is wrong, and show no progress; or do so again."""
    progress.quiet = quiet


def say(*parts: str, to: TextIO | None = None, wrong: bool = False) -> None:
    """Print a line on stdout or another stream at once; on stderr, what is not `wrong` is a note, which `be_quiet` silences.

    Names and values may come from files: whatever is not `Ours` is made printable, so that it cannot steer a terminal or
    begin a line.
    """
    if progress.quiet and to is sys.stderr and not wrong:
        return
    print("".join(part if isinstance(part, Ours) else printable(part) for part in parts), file=to, flush=True)


def lines(text: str) -> Ours:
    """Return text of several lines, each made printable; for tables, whose cells have no line ends."""
    return Ours("\n".join(map(printable, text.split("\n"))))


def coloured(stream: TextIO) -> bool:
    """Whether to write colours: on a terminal that can, unless ``NO_COLOR`` says otherwise (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, tone: str, stream: TextIO | None = None) -> str:
    """Return text in a tone, ``"good"``, ``"bad"``, ``"warn"`` or ``"soft"``, for stdout or another stream."""
    if not coloured(sys.stdout if stream is None else stream):
        return text
    return Ours(f"\x1b[{_CODES[tone]}m{printable(text)}\x1b[0m")


def mark(ok: bool) -> str:
    """Return the word, four wide, that begins the line of a check."""
    return Ours(paint("ok", "good") + "  ") if ok else paint("FAIL", "bad")


def paint_levels(findings: str) -> str:
    """Return the text of findings with the level that begins a line painted."""
    levels = r"^(error|warning|info)(?=: )"
    return Ours(re.sub(levels, lambda m: paint(m[0], _LEVELS[m[0]]), lines(findings), flags=re.MULTILINE))


def width_of(stream: TextIO | None = None) -> int:
    """Return how wide text may be: as the terminal, or as a mail where nobody looks."""
    from ..reports.plain_text import MAIL_WIDTH, NARROWEST

    stream = sys.stdout if stream is None else stream
    return max(NARROWEST, shutil.get_terminal_size().columns) if stream.isatty() else MAIL_WIDTH


def ascii_only(arguments: argparse.Namespace) -> bool:
    """Return whether to print plain ASCII: asked for, or all that the stream can write."""
    return bool(getattr(arguments, "ascii", False)) or not (sys.stdout.encoding or "").lower().startswith("utf")


def complain(text: str) -> None:
    """Say on stderr what is wrong, in one line."""
    say(paint("tieringmodel:", "bad", sys.stderr), f" {text}", to=sys.stderr, wrong=True)


def strict_json(value: object) -> str:
    """Return JSON that every reader accepts: numbers that are not finite as the words inf, -inf and nan."""

    def plain(one: object) -> object:
        if isinstance(one, dict):
            return {key: plain(item) for key, item in one.items()}
        if isinstance(one, (list, tuple)):
            return [plain(item) for item in one]
        return str(one) if isinstance(one, float) and not math.isfinite(one) else one

    # DEL is the one control character that JSON leaves as it is.
    return json.dumps(plain(value), allow_nan=False).replace("\x7f", "\\u007f")
