"""The scenario's dataclasses as a JSON schema, for editors that complete and check, and as a table for people."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..fields import Checked, _hints
from ..units import ULONG_MAX
from .metrics import names
from .rules import BY_SWITCH
from .scenario import SCHEMA_VERSION, Scenario
from .tuners import tuner_names

UNITS = {"_bytes": "bytes", "_us": "us", "_ms": "ms", "_s": "s", "_bp": "bp", "_hz": "Hz", "_ns": "ns", "_permil": "permil"}
"""What the end of a key says about its unit."""
SYSFS = {
    "Context.ops": "contexts/N/operations",
    "Context.addr_unit": "contexts/N/addr_unit",
    "Attrs.sample_us": "monitoring_attrs/intervals/sample_us",
    "Attrs.aggr_us": "monitoring_attrs/intervals/aggr_us",
    "Attrs.update_us": "monitoring_attrs/intervals/update_us",
    "Attrs.min_nr_regions": "monitoring_attrs/nr_regions/min",
    "Attrs.max_nr_regions": "monitoring_attrs/nr_regions/max",
    **{f"IntervalsGoal.{n}": f"monitoring_attrs/intervals/intervals_goal/{n}" for n in
       ("access_bp", "aggrs", "min_sample_us", "max_sample_us")},
    "Target.regions": "targets/N/regions",
    **{f"Scheme.{n}": f"schemes/N/{n}" for n in ("action", "target_nid", "apply_interval_us")},
    "Scheme.filters": "schemes/N/core_filters, ops_filters",
    "Scheme.dests": "schemes/N/dests",
    "Scheme.max_nr_snapshots": "schemes/N/stats/max_nr_snapshots",
    **{f"AccessPattern.{end}_{mine}": f"schemes/N/access_pattern/{name}/{end}" for end in ("min", "max") for mine, name in
       (("sz_bytes", "sz"), ("nr_accesses", "nr_accesses"), ("age", "age"))},
    "Quota.ms": "schemes/N/quotas/ms",
    "Quota.sz_bytes": "schemes/N/quotas/bytes",
    **{f"Quota.{n}": f"schemes/N/quotas/{n}" for n in
       ("reset_interval_ms", "goals", "goal_tuner", "fail_charge_num", "fail_charge_denom")},
    **{f"Weights.{n}": f"schemes/N/quotas/weights/{n}_permil" for n in ("sz", "nr_accesses", "age")},
    "Goal.metric": "quotas/goals/N/target_metric",
    **{f"Goal.{n}": f"quotas/goals/N/{n}" for n in ("target_value", "current_value", "nid")},
    "Goal.memcg_id": "quotas/goals/N/path",
    **{f"Watermarks.{n}": f"schemes/N/watermarks/{n}" for n in ("metric", "interval_us", "high", "mid", "low")},
    **{f"Filter.{n}": f"…_filters/N/{n}" for n in ("type", "matching", "allow")},
    "Filter.start_bytes": "…_filters/N/addr_start",
    "Filter.end_bytes": "…_filters/N/addr_end",
    "Filter.target_idx": "…_filters/N/damon_target_idx",
    "Filter.memcg_id": "…_filters/N/memcg_path",
    "Filter.min_bytes": "…_filters/N/min",
    "Filter.max_bytes": "…_filters/N/max",
    "Dest.id": "dests/N/id",
    "Dest.weight": "dests/N/weight",
}  # fmt: skip
"""Files of DAMON's sysfs tree that hold a field."""


class Row(NamedTuple):
    """A field as people read of it."""

    key: str
    kind: str
    unit: str
    default: str
    values: str
    sysfs: str
    meaning: str


def classes() -> list[type[Checked]]:
    """Return the scenario's class and every class below it, each after what holds it."""
    found: list[type[Checked]] = [Scenario]
    for one in found:
        for hint in _of(one).values():
            found += [c for c in _inner(hint) if c not in found]
    return found


def _inner(hint: Any) -> Iterator[type[Checked]]:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and issubclass(hint, Checked):
        yield hint
    for part in typing.get_args(hint):
        yield from _inner(part)


def _of(cls: type[Checked]) -> dict[str, Any]:
    return _hints(cls)  # type: ignore[arg-type]


def _fields(cls: type[Checked]) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(cls)  # type: ignore[arg-type]


def _choices(cls: type[Checked], name: str) -> tuple[str, ...]:
    open_ended = {("Goal", "metric"): names, ("Quota", "goal_tuner"): tuner_names}
    known = open_ended.get((cls.__name__, name))
    return tuple(known()) if known else cls._choices.get(name, ())


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a scenario file, TOML or JSON.

    Returns
    -------
    dict
        Draft 2020-12. Numbers may be text with a unit; names of metrics and tuners may be one's own.

    Examples
    --------
    >>> from tieringmodel.scenario.schema import json_schema
    >>> json_schema()["$defs"]["Quota"]["properties"]["sz_bytes"]["anyOf"][0]["maximum"] == 2**64 - 1
    True
    """
    defs = {one.__name__: _of_class(one) for one in classes()}
    top = defs.pop("Scenario")
    top["properties"] = {"schema_version": {"const": SCHEMA_VERSION}} | top["properties"]
    work = defs["Workload"]  # of files: see `interop.workloads.family.with_family`
    work["properties"] = {"family": {"type": "object", "description": "a family in place of groups"}} | work["properties"]
    work.pop("required", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Scenario of tieringmodel",
        **top,
        "$defs": defs,
    }


def _of_class(cls: type[Checked]) -> dict[str, Any]:
    hints = _of(cls)
    properties, required = {}, []
    for one in _fields(cls):
        properties[one.name] = _of_field(cls, one, hints[one.name])
        if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
            required.append(one.name)
    about = _about(cls).replace("``", "`")
    out: dict[str, Any] = {"type": "object", "description": about, "additionalProperties": False, "properties": properties}
    return out | ({"required": required} if required else {})


def _of_field(cls: type[Checked], one: dataclasses.Field[Any], hint: Any) -> dict[str, Any]:
    made = _of_hint(cls, one.name, hint)
    unit = _unit(cls, one.name)
    told = [part for part in (f"in {unit}" if unit else "", SYSFS.get(f"{cls.__name__}.{one.name}", "")) if part]
    about = meaning(cls, one.name).replace("``", "`")
    made = {"description": f"{about} ({'; '.join(told)})" if told else about} | made
    if one.default is not dataclasses.MISSING and isinstance(one.default, (bool, int, float, str)):
        made["default"] = "max" if one.default == ULONG_MAX else one.default
    return made


def _of_hint(cls: type[Checked], name: str, hint: Any) -> dict[str, Any]:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_of_hint(cls, name, a) for a in args if a is not type(None)]}
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            return {"type": "array", "items": _of_hint(cls, name, args[0])}
        return {"type": "array", "prefixItems": [_of_hint(cls, name, a) for a in args], "minItems": len(args)}
    if dataclasses.is_dataclass(hint):
        there = {"$ref": f"#/$defs/{hint.__name__}"}  # type: ignore[union-attr]
        return {"anyOf": [there, {"type": "string"}]} if hasattr(hint, "from_text") else there
    if hint is bool:
        return {"type": "boolean"}
    if hint is int:
        low, most = (-(2**31), 2**31 - 1) if name in cls._signed else (0, cls._max.get(name, ULONG_MAX))
        return {"anyOf": [{"type": "integer", "minimum": low, "maximum": most}, {"type": "string"}]}
    if hint is float:
        return {"anyOf": [{"type": "number"}, {"type": "string"}]}
    if hint is str:
        known = _choices(cls, name)
        if name in cls._choices:
            return {"enum": list(known)}
        return {"type": "string"} | ({"examples": list(known)} if known else {})
    return {}


def _unit(cls: type[Checked], name: str) -> str:
    if name in cls._in_bytes:
        return "bytes"
    return next((unit for end, unit in UNITS.items() if name.endswith(end)), "")


def _about(cls: type[Checked]) -> str:
    return inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " ")


def meaning(cls: type[Checked], name: str) -> str:
    """Return what a field means, by its class's docstring: its entry below Attributes, else the first sentence that names it.

    Parameters
    ----------
    cls : type
        A class of `classes`.
    name : str
        The field.

    Returns
    -------
    str
        One line of reStructuredText; empty if the docstring does not name the field.

    Examples
    --------
    >>> from tieringmodel.scenario import Node, Scheme
    >>> meaning(Scheme, "apply_interval_us")
    'Time from one application to the next; 0 is the aggregation interval.'
    >>> meaning(Node, "percpu_pages")
    '``percpu_pages`` of the free pages are on per-CPU lists at the start, where the machine has such lists.'
    """
    if cls.__name__ == "Kernel" and name in BY_SWITCH:
        rule = BY_SWITCH[name]
        return f"On: {rule.after}. Off: {rule.before}."
    prose, _, attributes = inspect.cleandoc(cls.__doc__ or "").partition("Attributes\n----------\n")
    entry = re.search(rf"^{name}\n((?: +.*\n?)+)", attributes, re.MULTILINE)
    if entry:
        return " ".join(entry[1].split())
    parts = [" ".join(part.split()) for part in prose.partition("Examples\n")[0].split("\n\n")]
    sentences = [one for part in parts for one in re.split(r"(?<=\.)\s+(?=[A-Z`])", part)]
    named = re.compile(rf"(``[^`]*\b{name}\b[^`]*``|`{name}`)")
    # What begins with the name is about it; another sentence may only mention it.
    found = [s for s in sentences if re.match(rf"``{name}``", s)] or [s for s in sentences if named.search(s)]
    return found[0] if found else ""


def table() -> list[tuple[str, str, list[Row]]]:
    """Return every class (its name, its first sentence, a row for each field), for the documentation."""
    out = []
    for cls in classes():
        hints = _of(cls)
        rows = []
        for one in _fields(cls):
            place = SYSFS.get(f"{cls.__name__}.{one.name}", "")
            values = ", ".join(_choices(cls, one.name))
            kind, unit, default = _kind(hints[one.name]), _unit(cls, one.name), _default(one)
            rows.append(Row(one.name, kind, unit, default, values, place, meaning(cls, one.name)))
        out.append((cls.__name__, _about(cls), rows))
    return out


def _default(one: dataclasses.Field[Any]) -> str:
    """Return what stands for a field that is left out."""
    if one.default_factory is not dataclasses.MISSING:
        return "its defaults"
    if one.default is dataclasses.MISSING:
        return "required"
    if type(one.default) is int and one.default == ULONG_MAX:
        return "max"
    if isinstance(one.default, bool):
        return str(one.default).lower()
    return "none" if one.default in (None, ()) else repr(one.default)


def _kind(hint: Any) -> str:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_kind(a) for a in args if a is not type(None))
    if origin is tuple:
        return f"list of {_kind(args[0])}" if len(args) == 2 and args[1] is Ellipsis else f"[{', '.join(map(_kind, args))}]"
    words: dict[Any, str] = {bool: "true or false", int: "whole number", float: "number", str: "text", object: "any"}
    return words.get(hint, getattr(hint, "__name__", str(hint)))
