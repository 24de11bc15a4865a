"""The answer in a sentence or two: what differs, and because of which rules."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..units import format_bytes, significant
from .difference import MOST, Effect, Row, Side, Together
from .measured import KIND, stem_of


def _phrase(row: Row, value: float) -> str:
    """Return a value of a measure in words."""
    stem = stem_of(row.name)
    number = row.name[len(stem) :]
    text = significant(value) if math.isfinite(value) else "never" if value > 0 else "none"
    if stem == "hot90_s_node":
        return f"90 % of accesses on node {number} {f'after {text} s' if math.isfinite(value) else 'never'}"
    if stem == "hot_share_node":
        return f"{value / 100:.3g} % of accesses on node {number}" if math.isfinite(value) else "no accesses"
    if stem == "settling_s":
        return f"settled after {text} s" if math.isfinite(value) else "not settled"
    if stem == "last_move_s":
        return f"last move at {text} s" if math.isfinite(value) else "no move"
    if stem == "share_mean_bp":
        return f"controlled share {value:.0f} bp"
    if stem == "qt_exceeds_scheme":
        return f"quota of scheme {number} full in {text} windows"
    if row.units == "bytes" and math.isfinite(value):
        return f"{row.name} {format_bytes(value)}"
    if stem == "residual_mib_s":
        return f"{text} MiB/s in the tail"
    unit = {"MiB s-1": " MiB/s", "1": ""}.get(row.units, f" {row.units}")
    return f"{row.name} {text}{unit if math.isfinite(value) else ''}"


def answer_of(
    sides: Sequence[Side], rows: Sequence[Row], effects: Sequence[Effect] = (), together: Together | None = None
) -> str:
    """Return what differs between the columns, by the first measure that does, and which rules explain it."""
    ran = [side for side in sides if not side.error]
    refused = [f"{side.name} was not run: {side.error}." for side in sides if side.error]
    kinds = len({side.kind for side in ran}) > 1
    lead = next((row for row in rows if row.varies), None)
    if len(ran) == 1 or (lead is None and not kinds):
        end = "the same in every measure" if not any(map(Row.relative, rows)) else "no measure differs enough to count"
        end = f"{end} ({ran[0].kind})" if len(ran) > 1 else ran[0].kind
        return " ".join([*refused, f"{and_([side.name for side in ran])}: {end}."])
    said: dict[str, list[str]] = {}
    for k, side in enumerate(ran):
        words = ([_phrase(lead, lead.values[k])] if lead else []) + ([side.kind] if kinds or lead is None else [])
        said.setdefault(", ".join(words), []).append(side.name)
    parts = [f"{and_(names)}: {words}" for words, names in said.items()]
    return " ".join([*refused, "; ".join(parts) + ".", *_reasons(lead.name if lead else KIND, effects, together)])


def _reasons(of: str, effects: Sequence[Effect], together: Together | None) -> list[str]:
    """Return because of which rules a measure differs, as far as rules were run."""
    reasons = [e for e in effects if e.shares.get(of, 0.0) >= MOST and of in e.moved]
    if reasons:
        return [f"Because of {and_([f'{e.switch} ({percent(e.shares[of])} of the difference)' for e in reasons])}."]
    if together is not None and together.switches:
        both = f"together {percent(together.share)} of the difference, no rule alone half of it"
        return [f"Because of {and_(together.switches)} ({both})."]
    return ["No rule alone explains half of it."] if effects else []


def percent(share: float) -> str:
    """Return a share of one in percent."""
    return f"{100 * share:.0f} %"


def and_(names: Sequence[str]) -> str:
    """Return names as a sentence lists them."""
    return ", ".join(names) if len(names) < 2 else f"{', '.join(names[:-1])} and {names[-1]}"
