"""Frozen dataclasses that check themselves: conversion by field name and type, unknown keys refused, dict in and out."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, Self

from . import units
from .checks import storable
from .errors import InputError, quoted, short
from .units import LONG_MAX

T = typing.TypeVar("T")
MOST_NAMES = 40
"""How many known names a message lists."""

_BY_SUFFIX: tuple[tuple[str, Callable[[object, str], int]], ...] = (
    ("_bytes", units.parse_bytes),
    ("_us", units.parse_us),
    ("_ms", units.parse_ms),
    ("_bp", units.parse_bp),
)


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


_fields: Callable[[Any], tuple[dataclasses.Field[Any], ...]] = cache(dataclasses.fields)
_OTHER = object()


@cache
def _plan(cls: type[Checked]) -> tuple[tuple[str, Any], ...]:
    """Return the fields' names, and their defaults where checking leaves them as they are: what most fields have."""
    plan = []
    for field in _fields(cls):
        settled = _OTHER
        with suppress(InputError):
            settled = field.default if cls._checked(field.name, field.default) is field.default else _OTHER
        plan.append((field.name, settled))
    return tuple(plan)


def suggest(word: str, known: typing.Iterable[str]) -> str:
    """Return a remedy that lists the known words, the nearest first."""
    names = list(known)
    near = difflib.get_close_matches(word[:100], names, 1)
    more = f" and {len(names) - MOST_NAMES} others" if len(names) > MOST_NAMES else ""
    return (f"did you mean {near[0]!r}? " if near else "") + "known: " + ", ".join(map(short, names[:MOST_NAMES])) + more


def _convert(value: Any, hint: Any, name: str, where: str) -> Any:
    if hint is bool:
        if isinstance(value, (bool, int)) and value in (0, 1):
            return bool(value)
        raise InputError(where, f"{quoted(value)} is not true or false", "write true or false")
    if hint is int:
        parser = next((p for suffix, p in _BY_SUFFIX if name.endswith(suffix)), units.integer)
        return parser(value, where)
    if hint is float:
        return units.number(value, where)
    if hint is str:
        if not isinstance(value, str):
            raise InputError(where, f"{quoted(value)} is not text", "write text in quotes")
        return storable(where, value)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        inner = [h for h in typing.get_args(hint) if h is not type(None)]
        listed = [
            h for h in inner if typing.get_origin(h) is tuple and hasattr(value, "__iter__") and not isinstance(value, str)
        ]
        return None if value is None else _convert(value, (listed or inner)[0], name, where)
    if origin is tuple:
        args = typing.get_args(hint)
        if isinstance(value, (str, Mapping)) or not hasattr(value, "__iter__"):
            raise InputError(where, f"{quoted(value)} is not a list", "write a list")
        items = list(value)
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(_convert(v, args[0], name, f"{where}[{i}]") for i, v in enumerate(items))
        if len(items) != len(args):
            raise InputError(where, f"has {len(items)} entries", f"write {len(args)}")
        return tuple(_convert(v, h, name, f"{where}[{i}]") for i, (v, h) in enumerate(zip(items, args, strict=True)))
    if dataclasses.is_dataclass(hint):
        if isinstance(value, hint):  # type: ignore[arg-type]
            return value
        if isinstance(value, str) and hasattr(hint, "from_text"):
            return hint.from_text(value, where)
        if isinstance(value, Mapping):
            return hint.from_dict(value, where)  # type: ignore[union-attr]
        what, remedy = "is not a table", f"write a table of {hint.__name__} fields"  # type: ignore[union-attr]
        if hasattr(hint, "from_text"):
            what, remedy = "is neither text nor a table", f"write text in quotes, or a table of {hint.__name__} fields"  # type: ignore[union-attr]
        raise InputError(where, f"{quoted(value)} {what}", remedy)
    return value


class Checked:
    """Base of the scenario's dataclasses.

    Every field is converted by its type and the unit in its name, then checked. Integers must fit u64 unless the
    field is listed in ``_signed``; ``_max`` bounds single fields. ``_in_bytes``: fields that are sizes without saying so.
    """

    _signed: typing.ClassVar[frozenset[str]] = frozenset()
    _max: typing.ClassVar[Mapping[str, int]] = {}
    _choices: typing.ClassVar[Mapping[str, tuple[str, ...]]] = {}
    _in_bytes: typing.ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        for name, settled in _plan(type(self)):  # type: ignore[arg-type]
            value = getattr(self, name)
            if value is not settled:
                object.__setattr__(self, name, self._checked(name, value))
        self.check()

    @classmethod
    def _checked(cls, field: str, value: Any) -> Any:
        name = f"{field}_bytes" if field in cls._in_bytes else field
        value = _convert(value, _hints(cls)[field], name, field)  # type: ignore[arg-type]
        low, most = (-(2**31), 2**31 - 1) if field in cls._signed else (0, units.ULONG_MAX)
        _check_range(value, low, cls._max.get(field, most), field)
        if field in cls._choices and value not in cls._choices[field]:
            raise InputError(field, f"{value!r} is unknown", suggest(str(value), cls._choices[field]))
        return value

    def check(self) -> None:
        """Raise `InputError` where fields contradict each other."""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "") -> Self:
        """Build from a plain mapping; unknown keys and wrong values raise `InputError` naming their path."""
        if not isinstance(data, Mapping):
            raise InputError(where or cls.__name__, f"{quoted(data)} is not a table", f"write a table of {cls.__name__} fields")
        known = [f.name for f in _fields(cls)]
        for key in data:
            if key not in known:
                path = f"{where}.{short(key)}" if where else short(key) or "''"
                raise InputError(path, "is not a known key", suggest(str(key), known))
        required = [
            f.name for f in _fields(cls) if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        ]
        for key in required:
            if key not in data:
                raise InputError(f"{where}.{key}" if where else key, "is missing", "it has no default")
        try:
            return cls(**data)
        except InputError as error:
            raise (error.under(where) if where else error) from None

    def to_plain(self) -> Any:
        """Return what stands for the item in a list or table: `to_dict`, or text where a class has a short form."""
        return self.to_dict()

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists and scalars; fields at their default are left out, so is None."""
        out: dict[str, Any] = {}
        for field in _fields(type(self)):
            value = getattr(self, field.name)
            default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
            if value is not None and value != default:
                out[field.name] = _plain(value)
        return out

    def replace(self, **changes: Any) -> Self:
        """Return a copy with fields changed (and checked again)."""
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]


def position(head: str, end: int) -> int:
    """Return the position that a part of a path names, at most `end`; -1 if it names none."""
    return int(head) if head.isascii() and head.isdigit() and len(head) < 10 and int(head) <= end else -1


def places(item: object, path: str) -> tuple[str, ...]:
    """Return the dotted paths that a path with wildcards names: ``*`` is every position of a list.

    ``schemes.`` at the beginning stands for ``contexts.*.schemes.``. A path without either names itself, even if not there.

    Parameters
    ----------
    item : Checked
        In which to look.
    path : str
        ``contexts.0.schemes.*.quota.sz_bytes``.

    Raises
    ------
    InputError
        If ``*`` stands where no list is, or the list is empty.
    """
    whole = f"contexts.*.{path}" if path.partition(".")[0] == "schemes" else path
    if "*" not in whole:
        return (whole,)
    found = tuple(_below(item, whole.split("."), (), path))
    if not found:
        raise InputError(path, "names nothing in this scenario", "write positions that it has")
    return found


def _below(one: Any, heads: list[str], before: tuple[str, ...], path: str) -> Iterator[str]:
    """Yield the paths that heads name below a part of a scenario, which itself is found at `before`."""
    if not heads:
        yield ".".join(before)
        return
    head, *rest = heads
    if head != "*":
        k = position(head, len(one) - 1) if isinstance(one, tuple) else 0
        if k >= 0:
            yield from _below(one[k] if isinstance(one, tuple) else getattr(one, head, None), rest, (*before, head), path)
        return
    if not isinstance(one, tuple):
        raise InputError(path, "has a * where no list is", "write e.g. schemes.*.quota.sz_bytes")
    for k, inner in enumerate(one):
        yield from _below(inner, rest, (*before, str(k)), path)


def with_path(item: T, path: str, value: Any) -> T:
    """Return a copy of a scenario (or a part of it) with one field changed.

    Parameters
    ----------
    item : Checked
        What to change a copy of.
    path : str
        Dotted names and list positions: ``contexts.0.schemes.0.quota.sz_bytes``. A position one past the end appends.
    value : object
        The new value, in any form the field accepts.

    Raises
    ------
    InputError
        If the path leads nowhere or the value does not fit.
    """
    head, _, rest = path.partition(".")
    if isinstance(item, tuple):
        k = position(head, len(item) - bool(rest))
        if k < 0:
            raise InputError(head, f"is not a position in a list of {len(item)}", f"write 0..{max(len(item) - 1, 0)}")
        return (*item[:k], _inside(item[k], f"[{k}]", rest, value) if rest else value, *item[k + 1 :])  # type: ignore[return-value]
    names = [f.name for f in dataclasses.fields(item)] if isinstance(item, Checked) else []  # type: ignore[arg-type]
    if head not in names:
        raise InputError(head, "is not a known key", suggest(head, names) if names else "the path ends before it")
    changed = _inside(getattr(item, head), head, rest, value) if rest else value
    return item.replace(**{head: changed})  # type: ignore[attr-defined,no-any-return]


def _inside(item: T, head: str, rest: str, value: Any) -> T:
    try:
        return with_path(item, rest, value)
    except InputError as error:
        raise error.under(head) from None


def _check_range(value: Any, low: int, top: int, where: str) -> None:
    """Refuse integers outside [low, top], those inside tuples too."""
    if isinstance(value, tuple):
        for i, item in enumerate(value):
            _check_range(item, low, top, f"{where}[{i}]")
    elif isinstance(value, int) and not isinstance(value, bool) and not low <= value <= top:
        raise InputError(where, f"{value} is outside {low}..{top}", "write a value inside that range")


def _plain(value: Any) -> Any:
    if isinstance(value, Checked):
        return value.to_plain()
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if isinstance(value, int) and not isinstance(value, bool) and value > LONG_MAX:
        return "max" if value == units.ULONG_MAX else hex(value)
    return value
