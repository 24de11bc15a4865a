"""What a terminal or a plain-text mail shows of a difference: the answer, measures side by side, rules, fields."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from ..differences.answer import percent
from ..differences.difference import LEAST_SHARE, Difference, Effect, Row, Together
from ..errors import printable, short
from ..units import format_bytes, significant
from .plain_text import MAIL_WIDTH, columns, joined, need_width, paragraph
from .text_of_comparison import written

MOST_FIELDS = 20
MOST_MEASURES = 5
"""So many measures are named of a rule, the first in order."""
_UNITS = {"MiB s-1": "MiB/s", "1": "", "bytes": ""}
LONGEST_HEAD = 14
"""Longer names of columns stand in front of the table."""


def text_of_diff(found: Difference, *, width: int = MAIL_WIDTH, ascii_only: bool = False) -> str:
    """Return what is printed about a difference.

    Parameters
    ----------
    found : Difference
        From `tieringmodel.diff`.
    width : int
        Longest line, 60 or more; only a single word can be longer.
    ascii_only : bool
        No byte above 127.

    Returns
    -------
    str
        Lines without trailing newline; the answer comes first.

    Raises
    ------
    InputError
        If the width is too small.
    """
    need_width(width)
    parts = [
        paragraph(printable(found.answer), width),
        [*paragraph(printable(found.title), width), *_measures(found, width)],
        _rules(found, width),
        _fields(found.fields, width),
        [line for note in found.notes for line in paragraph(f"Note: {printable(note)}.", width)],
    ]
    return joined(parts, ascii_only=ascii_only)


def _measures(found: Difference, width: int) -> list[str]:
    """Return the table of the measures that differ, and which ones do not."""
    shown = [row for row in found.rows if row.varies]
    kinds = [side.kind for side in found.columns]
    several = len(kinds) > 1
    lines: list[str] = []
    if shown or len({*kinds}) > 1:
        lines = _table([printable(side.name) for side in found.columns], kinds, shown, width)
    others = [row for row in found.rows if not row.varies] if several and not found.same else []
    alike, near = [row for row in others if not row.relative()], [row for row in others if row.relative()]
    for text, rows in (("Too little apart to count", near), ("The same", alike)):
        if rows:
            lines += paragraph(f"{text}: {', '.join(row.name for row in rows)}.", width, "", "  ")
    return lines


def _table(names: Sequence[str], kinds: Sequence[str], rows: Sequence[Row], width: int) -> list[str]:
    """Return measures by column, columns below each other where they do not fit; long names stand in front, numbered."""
    legend: list[str] = []
    heads = [*names]
    if max(map(len, names)) > LONGEST_HEAD:
        heads = [f"({k})" for k in range(1, len(names) + 1)]
        pairs = zip(heads, names, strict=True)
        legend = [line for head, name in pairs for line in paragraph(f"{head} {name}", width, "", "    ")]
    cells = [["", *heads], ["kind", *kinds], *([_label(row), *(_cell(row, v) for v in row.values)] for row in rows)]
    if len(names) == 2:
        cells = [[*line, change] for line, change in zip(cells, ["change", "", *map(_change, rows)], strict=True)]
    first, out = 1, list[str]()
    while first < len(cells[0]):
        for last in range(len(cells[0]), first, -1):
            part = columns([[line[0], *line[first:last]] for line in cells], left=(0,))
            if max(map(len, part)) <= width or last == first + 1:
                break
        out += part
        first = last
    return [*legend, *out]


def _label(row: Row) -> str:
    """Return a measure's name, with its unit where neither the name nor its values say it."""
    unit = _UNITS.get(row.units, row.units)
    ends = ("_s", "_bp", "_mib_s", "_pages")
    return row.name if not unit or row.name.endswith(ends) else f"{row.name} [{unit}]"


def _cell(row: Row, value: float) -> str:
    return format_bytes(value) if row.units == "bytes" and math.isfinite(value) else written(value, significant)


def _change(row: Row) -> str:
    text = _cell(row, row.change) if math.isfinite(row.change) else ""
    return f"+{text}" if text and row.change > 0 else text


def _rules(found: Difference, width: int) -> list[str]:
    """Return what each rule does that was left out alone, and which could not be."""
    if not found.effects and not found.not_alone:
        return []
    first, last = printable(found.sides[0].name), printable(found.sides[-1].name)
    n = len(found.effects) + len(found.not_alone)
    about = f"{n} rules differ. With one of them as in {first}" if n > 1 else f"One rule differs. With it as in {first}"
    lines = paragraph(f"{about}, {last} goes so much of the way back:", width)
    if found.together is not None:
        lines += paragraph(_together(found.together, first, last), width, "  ", "    ")
        abouts = [e.about for e in found.effects if e.switch in found.together.switches]
        lines += [line for about in abouts for line in paragraph(about, width, "    ")]
    for effect in found.matter:
        lines += paragraph(f"{effect.switch}: {_explains(effect)}", width, "  ", "    ")
        if found.together is None or effect.switch not in found.together.switches:
            lines += paragraph(effect.about, width, "    ")
    texts = list[str]()
    others = [effect for effect in found.effects if not effect.matters]
    texts += [f"{e.switch}: under 10 %, or away: {_list(e.moved)}" for e in others if e.moved]
    small = [effect.switch for effect in others if not effect.same and not effect.moved]
    texts += [f"Effects too small to count: {', '.join(small)}."] if small else []
    nothing = sum(effect.same for effect in others)
    texts += [f"Without effect on any measure: {nothing} of {n}."] if nothing else []
    reasons: dict[str, list[str]] = {}
    for switch, why in found.not_alone.items():
        reasons.setdefault(printable(why), []).append(switch)
    texts += [f"Not left out alone: {', '.join(names)}: {why}." for why, names in reasons.items()]
    return lines + [line for text in texts for line in paragraph(text, width, "  ", "    ")]


def _explains(effect: Effect) -> str:
    """Return which shares of which measures a rule explains, in order of the measures."""
    names = [name for name, share in effect.shares.items() if share >= LEAST_SHARE and name in effect.moved]
    parts = [
        f"{share} of {', '.join(same)}" for share, same in groupby(names[:MOST_MEASURES], lambda n: percent(effect.shares[n]))
    ]
    more = len(names) - MOST_MEASURES
    return "; ".join(parts) + (f"; {more} more" if more > 0 else "")


def _together(one: Together, first: str, last: str) -> str:
    if not one.switches:
        return f"All of them together: {percent(one.share)} of {one.measure}; the rest is in what was not left out."
    each = ", ".join(f"{name} {percent(share)}" for name, share in one.each.items())
    ways = f" The other way, {first} with one of them as in {last}: {each}." if each else ""
    return f"{' + '.join(one.switches)} together: {percent(one.share)} of {one.measure}.{ways}"


def _list(names: Sequence[str]) -> str:
    more = len(names) - MOST_MEASURES
    return ", ".join(names[:MOST_MEASURES]) + (f" and {more} more" if more > 0 else "")


def _fields(fields: Sequence[dict[str, Any]], width: int) -> list[str]:
    """Return the fields in which two scenarios differ."""
    if not fields:
        return []
    lines = ["Fields that differ"]
    for one in fields[:MOST_FIELDS]:
        lines += paragraph(f"{one['path']}: {_value(one['old'])} → {_value(one['new'])}", width, "  ", "    ")
    return lines + ([f"  and {len(fields) - MOST_FIELDS} more"] if len(fields) > MOST_FIELDS else [])


def _value(value: Any) -> str:
    return printable(short("none" if value is None else value))
