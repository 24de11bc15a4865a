"""The attributes of results: which there are, what they have to be, and a refusal of a stored result in which they are not."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

from ..errors import InputError, quoted
from ..scenario.scenario import need_schema
from ..units import ULONG_MAX
from .schema import SCHEMA_VERSION

_WROTE = "give a file that tieringmodel wrote"


class _Form(NamedTuple):
    """What an attribute has to be, in words and as a test; a scenario's text is for `Scenario.from_json` to read."""

    words: str
    fits: Callable[[Any], bool]


def _whole(low: int) -> _Form:
    return _Form(
        f"a whole number of {low} or more",
        lambda v: isinstance(v, Integral) and not isinstance(v, bool) and low <= int(v) <= ULONG_MAX,
    )


def _json(kind: type, word: str) -> _Form:
    def fits(value: Any) -> bool:
        try:
            return isinstance(value, str) and isinstance(json.loads(value), kind)
        except (ValueError, RecursionError):
            return False

    return _Form(f"JSON of {word}", fits)


_TEXT = _Form("text", lambda v: isinstance(v, str))
_SECONDS = _Form("a number of seconds", lambda v: isinstance(v, Real) and math.isfinite(v) and float(v) >= 0)
_ABOVE_0 = _Form("a number of seconds above 0", lambda v: _SECONDS.fits(v) and v > 0)
_OBJECT, _LIST = _json(dict, "an object"), _json(list, "a list")
ATTRIBUTES: dict[str, _Form] = {
    **dict.fromkeys("name title question kernel scenario tieringmodel command controlled lint length digest".split(), _TEXT),
    **dict.fromkeys("parameters seeds answer folios".split(), _OBJECT),
    **dict.fromkeys("design phases".split(), _LIST),
    "duration_s": _SECONDS,
    "window_s": _ABOVE_0,
    "every_s": _ABOVE_0,
    **dict.fromkeys("seed n_pages samples_per_aggr".split(), _whole(0)),
    "page_bytes": _whole(1),
}
NEEDED: dict[str, tuple[str, ...]] = {
    "simulation": ("scenario", "duration_s", "seed", "window_s", "n_pages"),
    "comparison": ("name", "duration_s", "seed", "controlled"),
    "sweep": ("parameters", "design", "duration_s"),
    "tuning": ("answer", "duration_s"),
}
"""Kinds of results that are read from files, and what each cannot do without."""


def check_attributes(attrs: Mapping[Any, Any], where: str) -> None:
    """Refuse a stored result whose attributes are not what this package writes.

    Parameters
    ----------
    attrs : mapping
        A dataset's attributes.
    where : str
        Its file, for the message.

    Raises
    ------
    InputError
        If its schema is newer or none, its kind is none of `NEEDED`, it lacks an attribute that its kind needs, or one of
        `ATTRIBUTES` is of another form. Attributes of other names are the user's.
    """
    need_schema(attrs.get("schema_version", 1), SCHEMA_VERSION, f"{where}: schema_version")
    kind = attrs.get("kind")
    if not isinstance(kind, str) or kind not in NEEDED:
        raise InputError(where, f"holds a result of kind {quoted(kind)}", "give a run, a comparison, a sweep or a tuning")
    for name in NEEDED[kind]:
        if name not in attrs:
            raise InputError(where, f"lacks the attribute {name} that a {kind} has", _WROTE)
    for name, form in ATTRIBUTES.items():
        if name in attrs and not form.fits(attrs[name]):
            raise InputError(f"{where}: {name}", f"{quoted(attrs[name])} is not {form.words}", _WROTE)
