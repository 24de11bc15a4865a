"""Fields of a scenario by dotted path: several changed at once, or read."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any, Protocol

from ..checks import whole
from ..errors import InputError
from ..fields import Checked, places, position, suggest
from .commits import NOT_CARRIED, Commit, Event

SEED = "seed"
"""Stands among paths for the seed of the run, which is not a field of the scenario."""


class _Timed(Protocol):
    """A scenario, which is above this module."""

    def events_and_commits(self) -> list[tuple[str, Event | Commit]]: ...


def normal(path: object) -> str:
    """Return a path in its dotted form: ``contexts[0].ops`` is ``contexts.0.ops``."""
    if not isinstance(path, str) or not path:
        raise InputError("design", f"{path!r} is not a path", "write e.g. 'contexts.0.schemes.0.quota.sz_bytes'")
    return re.sub(r"\[(\d+)\]", r".\1", path)


def seed_of(value: Any) -> int:
    """Return a seed as an int.

    Raises
    ------
    InputError
        If it is no whole number from 0 to 2**64 - 1.
    """
    return whole(SEED, value, remedy="write e.g. range(8)")


def with_paths(item: Any, changes: Mapping[str, Any]) -> Any:
    """Return a copy of a scenario (or a part of it) with several fields changed at once, then checked.

    Parameters
    ----------
    item : Checked or tuple
        What to change a copy of.
    changes : mapping of str to object
        New values by dotted path, in any form the field accepts. In a whole scenario ``*`` is every position of a list, and
        ``schemes.`` stands for ``contexts.*.schemes.``

    Raises
    ------
    InputError
        If a path leads nowhere or the values do not fit, alone or together.
    """
    if isinstance(item, Checked) and hasattr(item, "contexts"):  # a whole scenario
        changes = _placed(item, changes)
    deeper: dict[str, dict[str, Any]] = {}
    for path, value in changes.items():
        head, _, rest = path.partition(".")
        deeper.setdefault(head, {})[rest] = value
    if isinstance(item, tuple):
        new = list(item)
        for head, below in deeper.items():
            k = position(head, len(item) - 1)
            if k < 0:
                remedy = f"write 0..{len(item) - 1}" if item else "the list is empty"
                raise InputError(f"[{head}]", f"is not a position in a list of {len(item)}", remedy)
            new[k] = _below(item[k], below, f"[{head}]")
        return tuple(new)
    names = [f.name for f in dataclasses.fields(item)] if isinstance(item, Checked) else []  # type: ignore[arg-type]
    for head in deeper:
        if head not in names:
            raise InputError(head, "is not a known key", suggest(head, names) if names else "the path ends before it")
    return item.replace(**{head: _below(getattr(item, head), below, head) for head, below in deeper.items()})


def _placed(scenario: Checked, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes with the places that their wildcards name."""
    out: dict[str, Any] = {}
    for path, value in changes.items():
        for place in places(scenario, normal(path)):
            if place in out:
                raise InputError(path, f"changes {place}, which another path changes, too", "let one of them change it")
            out[place] = value
    return out


def _below(item: Any, changes: Mapping[str, Any], head: str) -> Any:
    if "" in changes:
        return changes[""]
    try:
        return with_paths(item, changes)
    except InputError as error:
        raise error.under(head) from None


def read_path(item: Any, path: str) -> Any:
    """Return what a scenario holds at a dotted path that exists; of several places that wildcards name, at the first."""
    path = places(item, path)[0]
    for part in path.split("."):
        item = item[int(part)] if isinstance(item, tuple) else getattr(item, part)
    return item


def different_fields(one: Any, other: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted path, value, other value) of every field in which two scenarios, or parts of them, differ.

    Of lists of unequal length, what only one has stands beside None.

    Parameters
    ----------
    one, other : Checked, tuple or a plain value
        What to go through, side by side.
    path : str
        Where in the scenario they are.
    """
    if one == other:
        return
    if isinstance(one, Checked) and type(one) is type(other):
        parts = [(f.name, getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one)]  # type: ignore[arg-type]
    elif isinstance(one, tuple) and isinstance(other, tuple) and any(isinstance(part, Checked) for part in (*one, *other)):
        parts = [(str(k), *pair) for k, pair in enumerate(zip_longest(one, other))]
    else:
        yield path, one, other
        return
    for name, mine, others in parts:
        yield from different_fields(mine, others, f"{path}.{name}" if path else name)


def in_force(scenario: _Timed, path: str, at_us: int | None = None) -> str | None:
    """Return where to change a field so that the change holds at the end: an event or a commit may set it.

    Parameters
    ----------
    scenario : Scenario
        With its events and commits.
    path : str
        Dotted, in the scenario as it is then.
    at_us : int, optional
        Look at what has happened up to this time, in place of the end.

    Returns
    -------
    str or None
        A path in the scenario as it is given, as ``events.0.value`` or ``commits.1.to.schemes.0.quota.sz_bytes``. None if an
        event replaces more than the field.
    """
    for where, change in reversed(scenario.events_and_commits()):
        if at_us is not None and change.at_us > at_us:
            continue
        rest = path.removeprefix(change.path if isinstance(change, Event) else f"contexts.{change.context}")
        if rest == path or rest[:1] not in ("", "."):
            continue
        if isinstance(change, Event):
            return None if rest else f"{normal(where)}.value"
        if rest[1:] not in NOT_CARRIED:
            return f"{normal(where)}.to{rest}"
    return path
