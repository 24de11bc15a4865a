"""What was changed while a run was recorded, as its ``notes.txt`` or its name tells it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ...errors import InputError
from ...scenario import Context, Dest, Scheme
from ...units import number, parse_bytes
from .tables import read_text

_BASE, _AT = re.compile(r"as (\w+)"), re.compile(r"at (\d{1,9}) s ([^()]+?)(?: \([^()]*\))?")
_WORDS = (
    "targets N/N/…, caps SIZE, consist or temporal, nr_accesses>=N, min_nr_regions N, max_nr_regions N, separated by commas"
)
Settings = tuple[int, tuple[Context, ...]]
"""Milliseconds, and the contexts from then on."""


class _Command(NamedTuple):
    """A command that ran: when it was planned and when it was done, in ms."""

    planned: float
    done: float


def commands(events: Path) -> list[_Command]:
    """Return the rows of ``events.csv``: ``planned_ms,start_ms,done_ms,command``; the last may hold commas.

    Raises
    ------
    InputError
        If a row has no times.
    """
    out = []
    for i, line in enumerate(read_text(events).splitlines()[1:], start=2):
        cells = line.split(",", 3)
        if len(cells) != 4:
            raise InputError(f"{events}:{i}", f"has {len(cells)} cells", "write planned_ms,start_ms,done_ms,command")
        planned, _, done = (number(cell, f"{events}:{i}") for cell in cells[:3])
        out.append(_Command(planned, done))
    return out


def changes(
    events: Path, notes: Path, last: tuple[Context, ...], start_of: Callable[[str], tuple[Context, ...] | None]
) -> list[Settings] | None:
    """Return the settings of the start and after each command, if the line says what every command changed.

    The line reads ``as RUN; at 40 s CHANGE, CHANGE (HOW); at 80 s …``: the start is that of another run beside this one, and
    the clauses belong to the commands in order. A command has changed what it does when it is done.

    Parameters
    ----------
    events, notes : Path
        The two files.
    last : tuple of Context
        The settings at the end, which the changes must lead to.
    start_of : callable
        Takes the beginning of a run's name, returns the settings of that run, or None if there is none.

    Returns
    -------
    list of (int, tuple of Context) or None
        None if the line is not of this form, or the other run is not there.

    Raises
    ------
    InputError
        If there is a clause for each command, but one of them is not understood, or they do not lead to the last settings.
    """
    first, *clauses = [clause.strip() for clause in read_text(notes).strip().split(";")]
    base, ran = _BASE.fullmatch(first), commands(events)
    told = [_AT.fullmatch(clause) for clause in clauses]
    if not base or len(told) != len(ran) or not all(told) or (contexts := start_of(base[1])) is None:
        return None
    settings: list[Settings] = [(0, contexts)]
    for said, command in zip(told, ran, strict=True):
        assert said is not None
        if int(said[1]) * 1_000 != command.planned:
            text = f"tells of a command at {said[1]} s, events.csv of one at {command.planned / 1_000:g} s"
            raise InputError(f"{notes}:1", text, "list commands in order")
        for words in said[2].split(","):
            contexts = _changed(contexts, words.strip(), f"{notes}:1")
        settings.append((round(command.done), contexts))
    if last and contexts != last:
        text = f"its changes to the settings of {base[1]} do not lead to those of damon_config.txt"
        raise InputError(f"{notes}:1", text, "write damon_config_from_0ms.txt, and one for each change")
    return settings


def earlier_weights(run: str, last: tuple[Context, ...]) -> tuple[Context, ...] | None:
    """Return the contexts with the weights that stand in a run's name (``…dests_3_2…``, in the order of the destinations).

    A dump tells the weights of the end only. None if the name does not say, or no scheme has as many destinations.
    """
    said = re.search(r"dests((?:_\d{1,9})+)", run)
    weights = [int(word) for word in said[1].split("_")[1:]] if said else []

    def earlier(scheme: Scheme) -> Scheme:
        if len(scheme.dests) != len(weights):
            return scheme
        return scheme.replace(dests=tuple(Dest(d.id, w) for d, w in zip(scheme.dests, weights, strict=True)))

    before = tuple(c.replace(schemes=tuple(map(earlier, c.schemes))) for c in last)
    return before if weights and before != last else None


def _changed(contexts: Sequence[Context], words: str, where: str) -> tuple[Context, ...]:
    """Return the contexts after one change, which holds for all schemes."""

    def each(change: Callable[[Scheme], Scheme]) -> tuple[Context, ...]:
        return tuple(c.replace(schemes=tuple(change(s) for s in c.schemes)) for c in contexts)

    if m := re.fullmatch(r"targets (\d{1,18}(?:/\d{1,18})*)", words):
        values = [int(value) for value in m[1].split("/")]
        if len(values) != sum(len(s.quota.goals) for c in contexts for s in c.schemes):
            raise InputError(where, f"{words!r} does not name a target for each goal", "list them in order of schemes")
        left = iter(values)
        return each(
            lambda s: s.replace(quota=s.quota.replace(goals=tuple(g.replace(target_value=next(left)) for g in s.quota.goals)))
        )
    if m := re.fullmatch(r"caps (\d.*)", words):
        size = parse_bytes(m[1], where)
        return each(lambda s: s.replace(quota=s.quota.replace(sz_bytes=size)))
    if words in ("consist", "temporal"):
        return each(lambda s: s.replace(quota=s.quota.replace(goal_tuner=words)))
    if m := re.fullmatch(r"nr_accesses>=(\d{1,9})", words):
        least = int(m[1])
        return each(lambda s: s.replace(access_pattern=s.access_pattern.replace(min_nr_accesses=least)))
    if m := re.fullmatch(r"(min|max)_nr_regions (\d{1,9})", words):
        return tuple(replace(c, attrs=c.attrs.replace(**{f"{m[1]}_nr_regions": int(m[2])})) for c in contexts)
    raise InputError(where, f"{words!r} is no change that is understood", f"write {_WORDS}")
