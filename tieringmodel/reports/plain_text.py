"""What texts about results are made of: folded paragraphs, small tables, commands over several lines, plain ASCII."""

from __future__ import annotations

import shlex
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence

from ..errors import InputError

NARROWEST = 60
MAIL_WIDTH = 72
"""Columns that survive being quoted in a mail."""
_IN_ASCII = str.maketrans(
    {
        "–": "-", "—": "-", "…": "...", "∞": "inf", "±": "+-", "×": "x", "µ": "u", "→": "->", "≥": ">=", "≤": "<=",
        "\N{REPLACEMENT CHARACTER}": "?",
    }
)  # fmt: skip


def need_width(width: int) -> None:
    """Refuse lines too short for what is said of a result."""
    if width < NARROWEST:
        raise InputError("width", f"{width} columns are too narrow", f"give {NARROWEST} or more")


def ascii_of(text: str) -> str:
    """Return text without any byte above 127: signs in words, letters without their marks, else a question mark."""
    plain = unicodedata.normalize("NFKD", text.translate(_IN_ASCII))
    return "".join(c for c in plain if not unicodedata.combining(c)).encode("ascii", "replace").decode()


def joined(parts: Iterable[Sequence[str]], *, ascii_only: bool = False) -> str:
    """Return parts, each in lines, as one text with an empty line between them; parts without lines are left out."""
    text = "\n\n".join("\n".join(lines) for lines in parts if lines)
    return ascii_of(text) if ascii_only else text


def paragraph(text: str, width: int, first: str = "", later: str | None = None) -> list[str]:
    """Return text as lines; words, and what hyphens join, stay whole, so that folding it back gives the same text.

    Parameters
    ----------
    text : str
        Any.
    width : int
        Longest line, but for longer words.
    first, later : str
        What the first line and the others begin with; by default both alike.
    """
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=first if later is None else later,
        break_long_words=False,
        break_on_hyphens=False,
    )


def columns(rows: Sequence[Sequence[str]], left: Sequence[int] = ()) -> list[str]:
    """Return rows of cells as lines, two spaces between columns; numbers to the right, the columns in `left` to the left."""
    sizes = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(c.ljust(s) if k in left else c.rjust(s) for k, (c, s) in enumerate(zip(row, sizes, strict=True))).rstrip()
        for row in rows
    ]


def command_lines(command: str, width: int, indent: str) -> list[str]:
    r"""Return a command of a shell as lines that a shell takes: each but the last ends with a backslash."""
    try:
        words = [shlex.quote(word) for word in shlex.split(command)]
    except ValueError:  # no command of this package's making
        return [indent + command]
    parts: list[str] = []
    for word in words:
        if parts and parts[-1].startswith("-") and " " not in parts[-1] and not word.startswith("-"):
            parts[-1] += f" {word}"  # an option and its value stay together
        else:
            parts.append(word)
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) + 3 <= width:
            lines[-1] += f" {part}"
        else:
            lines.append(f"{indent}  {part}" if lines else indent + part)
    return [line + " \\" for line in lines[:-1]] + lines[-1:]


def to_repeat(command: str, width: int) -> list[str]:
    """Return how a result is made again, as lines; none where that is not known."""
    return ["To repeat it", *command_lines(command, width, "  ")] if command else []
