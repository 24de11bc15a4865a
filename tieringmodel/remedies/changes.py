"""Changes of a scenario: where they are made, what stood there, and how they read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..fields import Checked, with_path
from ..linting.wording import duration
from ..scenario import Scenario
from ..scenario.numbering import numbered
from ..scenario.paths import in_force, read_path
from ..units import ULONG_MAX, format_bytes
from ..verdicts.record import Fix

Edits = Sequence[tuple[str, Any]]
"""Dotted paths and the values that shall stand there."""


@dataclass(frozen=True)
class Candidate:
    """A change that may help.

    Attributes
    ----------
    changes : tuple of dict
        ``path``, ``old`` and ``new`` of each field, as in `Fix`.
    scenario : Scenario
        With the change made.
    text : str
        The change in words.
    code : str
        The cause that it is made for.
    size : int
        How large a change it is: fields that are changed, a scheme that is added counts for more.
    """

    changes: tuple[dict[str, Any], ...]
    scenario: Scenario
    text: str
    code: str
    size: int

    @property
    def keeps_goals(self) -> bool:
        """Whether every goal asks for what it asked for, so that distances from goals can be compared."""
        return not any(".goals" in change["path"] or change["path"].startswith("events") for change in self.changes)

    @property
    def key(self) -> frozenset[tuple[str, str]]:
        """What is changed to what, whatever the order: equal for equal changes."""
        return frozenset((change["path"], repr(change["new"])) for change in self.changes)

    def fix(self, outcome: str = "", **numbers: Any) -> Fix:
        """Return it as what became of it."""
        return Fix(self.changes, self.text, outcome, **numbers)


ADDED = 3
"""A scheme that is added counts as much as so many fields."""


def candidate(scenario: Scenario, edits: Edits, code: str) -> Candidate | None:
    """Return edits as a change of a scenario; None where they change nothing or cannot be made."""
    changes, made = [], scenario
    for path, value in edits:
        placed = in_force(scenario, path)
        if placed is None:
            return None
        try:
            old = value_at(made, placed)
            made = with_path(made, placed, value)
        except InputError:
            return None
        new = value_at(made, placed)
        if new != old:
            changes.append({"path": placed, "old": old, "new": new})
    if not changes:
        return None
    size = sum(ADDED if change["old"] is None else 1 for change in changes)
    return Candidate(tuple(changes), made, in_words(scenario, changes), code, size)


def both(one: Candidate, other: Candidate, scenario: Scenario) -> Candidate | None:
    """Return two candidates as one; None where they change the same thing."""
    paths = [change["path"] for change in (*one.changes, *other.changes)]
    if any(a != b and f"{b}.".startswith(f"{a}.") for a in paths for b in paths) or len({*paths}) < len(paths):
        return None
    made = candidate(scenario, [(c["path"], c["new"]) for c in (*one.changes, *other.changes)], one.code)
    return made if made and len(made.changes) == len(paths) else None


def value_at(item: Any, path: str) -> Any:
    """Return what stands at a dotted path, as plain data; None at the position after the last of a list."""
    try:
        return plain(read_path(item, path))
    except IndexError:
        return None


def plain(value: Any) -> Any:
    """Return a value as JSON and TOML know it."""
    if isinstance(value, Checked):
        return value.to_plain()
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return "max" if value == ULONG_MAX and not isinstance(value, bool) else value


def in_words(scenario: Scenario, changes: Iterable[dict[str, Any]]) -> str:
    """Return changes as one phrase: what is set where, and what stood there."""
    return " and ".join(_one(scenario, change) for change in changes)


def _one(scenario: Scenario, change: dict[str, Any]) -> str:
    parts, old, new = change["path"].split("."), change["old"], change["new"]
    if parts[0] == "events":
        return f"{shown(parts[-1], new)} instead of {shown(parts[-1], old)} from event {parts[1]} on"
    since, given = "", parts
    if parts[0] == "commits":
        since, parts = f" from commit {parts[1]} on", ["contexts", str(scenario.commits[int(parts[1])].context), *parts[3:]]
    where = place(scenario, parts) + since
    if old is None and parts[-2] == "schemes":
        goals = new.get("quota", {}).get("goals", [])
        until = "".join(f" until {g['metric']} of node {g.get('nid', 0)} is {g['target_value']}" for g in goals)
        return f"one more scheme in {where}, {new['action']} to node {new['target_nid']}{until}"
    name = _named(scenario, given)
    if name == "filters" and len(new) < len(old):
        gone = [f["type"] for f in old if f not in new]
        return f"{where} without its {' and '.join(gone)} filter{'s' * (len(gone) > 1)}"
    return f"{name} = {shown(parts[-1], new)} in {where} (was {shown(parts[-1], old)})"


def _named(scenario: Scenario, parts: Sequence[str]) -> str:
    """Return a field by its name, and what it is part of below a scheme or context."""
    if len(parts) > 2 and parts[-3] == "goals":
        return f"{parts[-1]} of its goal"
    if len(parts) > 2 and parts[-3] == "filters":
        return f"{parts[-1]} of its {value_at(scenario, '.'.join((*parts[:-1], 'type')))} filter"
    return f"{parts[-2]}.{parts[-1]}" if parts[-2] in ("intervals_goal", "watermarks") else parts[-1]


def place(scenario: Scenario, parts: Sequence[str]) -> str:
    """Return the scheme (numbered over all that ever were) or context that a path, as it is at the end, is in."""
    if len(parts) > 4 and parts[2] == "schemes":
        found = numbered(scenario)
        return f"scheme {found.schemes_of(int(parts[1]), len(found.at_us) - 1)[int(parts[3])]}"
    return f"context {parts[1]}"


def shown(name: str, value: Any) -> str:
    """Return a field's value with its unit."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and name.endswith("_bytes"):
        return format_bytes(value) if value else "0 (no limit)"
    if isinstance(value, int) and name.endswith(("_us", "_ms")) and value:
        return duration(value * (1e-6 if name.endswith("_us") else 1e-3))
    if name == "dests":
        return "weights " + ":".join(str(d["weight"]) for d in value)
    return repr(value)
