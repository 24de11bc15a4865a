"""HTML that notebooks show: tables without style sheets, so that light and dark themes both work. Everything is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; cells are shown as text, aligned to the left.

    Parameters
    ----------
    head : sequence of str
        Headings; empty for none.
    rows : iterable of sequences
        Cells.

    Returns
    -------
    str
    """
    left = ' style="text-align:left"'
    top = "".join(f"<th{left}>{escape(text)}</th>" for text in head)
    body = "".join("<tr>" + "".join(f"<td{left}>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return "<table>" + (f"<thead><tr>{top}</tr></thead>" if head else "") + f"<tbody>{body}</tbody></table>"


def folded(title: str, text: str) -> str:
    """Return a title that unfolds preformatted text when clicked."""
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"


def titled(title: str, *parts: str) -> str:
    """Return a block under a bold title; `parts` are HTML."""
    return f"<div><b>{escape(title)}</b>{''.join(parts)}</div>"
