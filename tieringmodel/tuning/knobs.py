"""What may change: knobs of a scenario, each with the values that are tried."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..fields import Checked, suggest
from ..remedies.changes import Candidate, Edits, candidate, plain
from ..scenario import Context, Scenario, Scheme, Weights
from ..scenario.metrics import metric_of
from ..scenario.paths import in_force, normal, read_path, with_paths
from ..units import MIB, ULONG_MAX

Row = tuple[Any, ...]
"""The values of a knob's fields at one of its positions."""

OFFSETS_BP = (-600, -450, -300, -200, -150, -100, -70, -50, -30, -20, -10, -5, 0, 20, 50, 100, 200, 300)
"""By how much the target of a share is moved. Moved or not, errors are counted from the target that was given."""
PARTS = (0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)
"""By what targets are multiplied that are no shares."""
RESETS_MS = (200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000)
APPLIES_US = (0, 100_000, 200_000, 300_000, 500_000, 1_000_000, 2_000_000, 3_000_000, 5_000_000, 10_000_000)
AGGREGATIONS_US = (50_000, 100_000, 200_000, 300_000, 500_000, 1_000_000, 2_000_000)
LONGEST_SAMPLES_US = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
COUNTS = (1, 2, 3, 4, 5, 7, 10, 14, 20)
AGES = (0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 100)
WEIGHTS = ((0, 1, 0), (0, 0, 1), (0, 1, 1), (1, 1, 1))
FACTORS = (0.1, 0.2, 0.5, 0.7, 1.0, 1.5, 2.0, 5.0, 10.0)
"""By what any other number is multiplied that `change` names."""
LEAST_QUOTA_BYTES = 1 << 17
PREFIX = "fix:"
"""Begins the names of knobs that make a change, lint's for example, or leave it."""


@dataclass(frozen=True)
class Knob:
    """Fields that change together.

    Attributes
    ----------
    name : str
        The path of its first field, or ``fix:`` and a code.
    paths : tuple of str
        Its fields, dotted.
    rows : tuple of tuple
        Values of these fields, position by position.
    ordered : bool
        Whether neighbouring positions are alike.
    at : int
        The position of what was given.
    """

    name: str
    paths: tuple[str, ...]
    rows: tuple[Row, ...]
    ordered: bool
    at: int

    def edits(self, position: int) -> Edits:
        """Return what to set for a position; nothing where it is what was given."""
        return [] if position == self.at else list(zip(self.paths, self.rows[position], strict=True))


def knobs_of(scenario: Scenario, change: Sequence[str] = (), fixes: Sequence[Candidate] = ()) -> list[Knob]:
    """Return what may change in a scenario, without values that it refuses.

    Parameters
    ----------
    scenario : Scenario
        As it was given.
    change : sequence of str
        Paths, if only these may change: ``"contexts.0.schemes.0.quota.sz_bytes"``, or with values of one's own,
        ``"contexts.0.schemes.0.quota.sz_bytes=1 MiB,2 MiB"``. By default goal targets, tuner, size quota, reset and apply
        intervals, monitoring intervals, min_nr_accesses, min_age and weights of schemes that migrate or reclaim; schemes
        that hold the same value share a knob, goals have one each.
    fixes : sequence of Candidate
        Changes, of lint for example, that may be made or left; those of fields that have a knob are passed over.

    Raises
    ------
    InputError
        If a path leads nowhere, or its field can take no other value.
    """
    made = [_named(scenario, text) for text in change] if change else [*_defaults(scenario)]
    out = [knob for one in made if (knob := _accepted(scenario, one))]
    if change:
        named = [one.name for one in made]
        for one, text in zip(made, change, strict=True):
            if named.count(one.name) > 1:
                raise InputError("change", f"names {one.name} more than once", "name each field once")
            if not any(knob.name == one.name for knob in out):
                raise InputError("change", f"{text!r} takes no other value in this scenario", "name another field")
        return out
    taken = {path for knob in out for path in knob.paths}
    for fix in fixes:
        paths = tuple(c["path"] for c in fix.changes)
        name = f"{PREFIX}{fix.code}"
        if not taken & {*paths}:
            taken |= {*paths}
            rows = tuple(c["old"] for c in fix.changes), tuple(c["new"] for c in fix.changes)
            number = sum(knob.name.partition("#")[0] == name for knob in out)
            out.append(Knob(f"{name}#{number + 1}" if number else name, paths, rows, False, 0))
    if not out:
        raise InputError("scenario", "has no scheme that migrates or reclaims", "give one, or name what may change")
    return out


def changed(scenario: Scenario, knobs: Sequence[Knob], positions: Sequence[int]) -> Candidate | None:
    """Return a scenario with its knobs at some positions; None where it stays as it is, or refuses them together."""
    edits = [edit for knob, at in zip(knobs, positions, strict=True) for edit in knob.edits(at)]
    return candidate(scenario, edits, "tune") if edits else None


def setting(scenario: Scenario, knobs: Sequence[Knob], positions: Sequence[int]) -> Scenario | None:
    """Return what `changed` does, without the words for it, in a tenth of the time; None where the values are refused."""
    edits = [edit for knob, at in zip(knobs, positions, strict=True) for edit in knob.edits(at)]
    try:
        made: Scenario = with_paths(scenario, {in_force(scenario, path) or path: value for path, value in edits})
        return made
    except InputError:
        return None


def positions_of(scenario: Scenario, knobs: Sequence[Knob], one: Candidate) -> list[int] | None:
    """Return the positions at which knobs make a candidate's scenario; None where they do not."""
    new = {c["path"]: c["new"] for c in one.changes}
    out = []
    for knob in knobs:
        row = tuple(new.pop(path, old) for path, old in zip(knob.paths, _row(scenario, knob.paths), strict=True))
        if row not in knob.rows:
            return None
        out.append(knob.rows.index(row))
    return None if new else out


# ---- which fields, and which values ----------------------------------------------------------------------------------------


def _defaults(scenario: Scenario) -> Iterator[Knob]:
    last = [scenario, *(stage for _, stage in scenario.stages())][-1]
    schemes = [
        (i, f"contexts.{i}.schemes.{j}", scheme)
        for i, context in enumerate(last.contexts)
        for j, scheme in enumerate(context.schemes)
        if scheme.enabled and (scheme.action.startswith("migrate") or scheme.action == "pageout")
    ]
    for _, path, scheme in schemes:
        for k in range(len(scheme.quota.goals)):
            yield _one(last, f"{path}.quota.goals.{k}.target_value")
    limited = [(path, scheme) for _, path, scheme in schemes if scheme.quota.reset_interval_ms or scheme.quota.goals]
    yield from _shared(last, [f"{path}.quota.goal_tuner" for path, scheme in limited if scheme.quota.goals])
    yield from _shared(last, [f"{path}.quota.sz_bytes" for path, _ in limited])
    yield from _shared(last, [f"{path}.quota.reset_interval_ms" for path, s in limited if s.quota.reset_interval_ms < 2**31])
    yield from _shared(last, [f"{path}.apply_interval_us" for _, path, _ in schemes])
    fields = [(path, s) for _, path, s in schemes if s.access_pattern.min_nr_accesses]
    yield from _shared(last, [f"{path}.access_pattern.min_nr_accesses" for path, _ in fields])
    yield from _shared(last, [f"{path}.access_pattern.min_age" for _, path, _ in schemes])
    yield from _shared(last, [f"{path}.quota.weights" for path, _ in limited])
    for i in dict.fromkeys(i for i, _, _ in schemes):
        yield from _intervals(i, last.contexts[i])


def _intervals(i: int, context: Context) -> Iterator[Knob]:
    """Yield what may change about a context's intervals: nothing where their ends are recorded."""
    attrs, path = context.attrs, f"contexts.{i}.attrs"
    if context.aggr_times_us:
        return
    if attrs.intervals_goal.aggrs:
        goal = attrs.intervals_goal
        longest = sorted({v for v in LONGEST_SAMPLES_US if v >= attrs.sample_us} | {goal.max_sample_us})
        name, at = f"{path}.intervals_goal.max_sample_us", longest.index(goal.max_sample_us)
        yield Knob(name, (name,), tuple((v,) for v in longest), True, at)
        return
    samples = max(attrs.aggr_us // attrs.sample_us, 1)
    lengths = sorted({*AGGREGATIONS_US, attrs.aggr_us})
    rows = tuple((attrs.sample_us if v == attrs.aggr_us else v // samples, v) for v in lengths)
    yield Knob(f"{path}.aggr_us", (f"{path}.sample_us", f"{path}.aggr_us"), rows, True, lengths.index(attrs.aggr_us))


def _shared(scenario: Scenario, paths: Sequence[str]) -> Iterator[Knob]:
    """Yield a knob for each value that fields of schemes hold."""
    values = {path: plain(read_path(scenario, path)) for path in paths}
    told: list[Any] = []
    for value in values.values():
        if value not in told:
            told.append(value)
            yield _one(scenario, *(path for path, other in values.items() if other == value))


def _one(scenario: Scenario, *paths: str) -> Knob:
    """Return a knob that sets fields, which hold the same value, to the same values."""
    value = plain(read_path(scenario, paths[0]))
    values, ordered = _values(scenario, paths[0], value)
    if value not in values:
        values = sorted([*values, value]) if ordered else [value, *values]
    rows = tuple((v,) * len(paths) for v in values)
    return Knob(paths[0], tuple(paths), rows, ordered, values.index(value))


def _values(scenario: Scenario, path: str, value: Any) -> tuple[list[Any], bool]:
    name = path.rpartition(".")[2]
    parent = read_path(scenario, path.rpartition(".")[0])
    if name == "target_value":
        share = metric_of(parent.metric).unit == "bp"
        moved = [value + d for d in OFFSETS_BP] if share else [round(value * p) for p in PARTS]
        return sorted({v for v in moved if 1 <= v <= (10_000 if share else ULONG_MAX)}), True
    if name == "sz_bytes":
        memory = sum(node.sz_bytes for node in scenario.machine.nodes)
        most = max(value, min(max(4 * value, 256 * MIB), memory // 8), LEAST_QUOTA_BYTES)
        return [1 << k for k in range(LEAST_QUOTA_BYTES.bit_length() - 1, most.bit_length() + 1) if 1 << k <= most], True
    if name == "weights":
        return [plain(Weights(*parts)) for parts in WEIGHTS], False
    known = {
        "reset_interval_ms": RESETS_MS,
        "apply_interval_us": APPLIES_US,
        "min_nr_accesses": COUNTS,
        "min_age": AGES,
    }
    if name in known:
        return list(known[name]), True
    choices = getattr(type(parent), "_choices", {}) if isinstance(parent, Checked) else {}
    if name in choices:
        return list(choices[name]), False
    if isinstance(value, bool):
        return [False, True], False
    if isinstance(value, (int, float)) and value:
        return sorted({type(value)(value * f) for f in FACTORS}), True
    return [], True


def _named(scenario: Scenario, text: str) -> Knob:
    """Return the knob that a path names, maybe with values after an equals sign."""
    path, equals, listed = text.partition("=")
    path = normal(path.strip())
    try:
        value = plain(read_path(scenario, path))
    except (AttributeError, IndexError, ValueError, TypeError):
        raise InputError("change", f"{path!r} is not a field of the scenario", _nearest(scenario, path)) from None
    placed = in_force(scenario, path) or path
    if not equals:
        return _one(scenario, placed) if placed == path else dataclasses.replace(_one(scenario, path), paths=(placed,))
    values: list[Any] = []
    for word in listed.split(","):
        made = candidate(scenario, [(path, _typed(word.strip(), value))], "tune")
        one = made.changes[0]["new"] if made else value
        if made is None and str(value) != word.strip():
            raise InputError("change", f"{word.strip()!r} is no value for {path}", "write values that the field takes")
        values += [] if one in values else [one]
    values += [] if value in values else [value]
    ordered = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    values = sorted(values) if ordered else values
    return Knob(path, (placed,), tuple((v,) for v in values), ordered, values.index(value))


def _typed(word: str, like: Any) -> Any:
    """Return text as a number where the field holds one and the text is one; fields read units themselves."""
    if isinstance(like, bool):
        return {"true": True, "false": False}.get(word.lower(), word)
    try:
        return int(word) if isinstance(like, int) else float(word) if isinstance(like, float) else word
    except ValueError:
        return word


def _nearest(scenario: Scenario, path: str) -> str:
    """Return a remedy for a path that leads nowhere: what is there instead."""
    head, _, last = path.rpartition(".")
    try:
        parent = read_path(scenario, head) if head else scenario
    except (AttributeError, IndexError, ValueError, TypeError):
        return "write e.g. contexts.0.schemes.0.quota.sz_bytes"
    if isinstance(parent, (Context, Scheme, Checked)):
        return suggest(last, [f.name for f in dataclasses.fields(parent)])  # type: ignore[arg-type]
    return "write e.g. contexts.0.schemes.0.quota.sz_bytes"


def _row(scenario: Scenario, paths: Sequence[str]) -> Row:
    return tuple(plain(read_path(scenario, in_force(scenario, path) or path)) for path in paths)


def _accepted(scenario: Scenario, knob: Knob) -> Knob | None:
    """Return a knob without the values that the scenario refuses alone; None if nothing is left to choose."""
    kept = [
        row
        for k, row in enumerate(knob.rows)
        if k == knob.at or candidate(scenario, list(zip(knob.paths, row, strict=True)), "tune") is not None
    ]
    at = kept.index(knob.rows[knob.at])
    return dataclasses.replace(knob, rows=tuple(kept), at=at) if len(kept) > 1 else None
