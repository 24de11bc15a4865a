"""A tuning as text: the answer, its margins, and what it was held against."""

from __future__ import annotations

from .plain_text import ascii_of, paragraph


def text_of_tuning(text: str, *, width: int, ascii_only: bool = False) -> str:
    """Return what a tuning says, as it is printed.

    Parameters
    ----------
    text : str
        Of `tieringmodel.tuning.answer.Tuned`, a line for each thing.
    width : int
        Longest line, but for longer words.
    ascii_only : bool
        Write no character beyond ASCII.
    """
    out: list[str] = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip())]
        out += paragraph(line.strip(), width, indent, f"{indent}  ")
    said = "\n".join(out)
    return ascii_of(said) if ascii_only else said
