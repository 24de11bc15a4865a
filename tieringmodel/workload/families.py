"""Families of workloads by name: what a scenario file's ``[workload.family]`` may say."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..checks import mapping
from ..errors import InputError, quoted, short
from ..fields import suggest
from ..scenario import Workload
from .named import NAMED, NamedCase, named
from .phases import drift, exchange, rotate, sequence, step
from .rates import Classes, power_law_classes, zipf_classes
from .scatter import scatter
from .shapes import power_law, streaming, two_level, uniform, zipf
from .tenants import mix
from .truth import access_rate_hz, hot_set, page_rate_hz

__all__ = [
    "FAMILIES", "NAMED", "Classes", "NamedCase", "access_rate_hz", "build", "drift", "exchange", "hot_set", "mix", "named",
    "page_rate_hz", "power_law", "power_law_classes", "rotate", "scatter", "sequence", "step", "streaming", "two_level",
    "uniform", "zipf", "zipf_classes",
]  # fmt: skip

FAMILIES: dict[str, Callable[..., Workload]] = {
    "drift": drift,
    "exchange": exchange,
    "named": named,
    "power_law": power_law,
    "rotate": rotate,
    "step": step,
    "streaming": streaming,
    "two_level": two_level,
    "uniform": uniform,
    "zipf": zipf,
}


def build(spec: Mapping[str, Any], where: str = "workload.family") -> Workload:
    """Return the workload that a table with ``kind`` and the family's own arguments describes.

    Parameters
    ----------
    spec : mapping
        ``kind`` is one of `FAMILIES`, ``"mix"`` or ``"sequence"``; the other keys are that function's arguments. ``tenants`` of
        a mix is a table of such tables by name; ``phases`` of a sequence is a list of such tables, each with ``for_us``.
    where : str
        Path of the table, for errors.

    Returns
    -------
    Workload

    Raises
    ------
    InputError
        If the family or an argument is unknown, missing or out of range.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.workload.build({"kind": "uniform", "n_pages": 100, "rate_hz": 2}).n_pages
    100
    """
    arguments = dict(mapping(where, spec, "give kind and arguments of a family"))
    if "kind" not in arguments:
        raise InputError(f"{where}.kind", "is missing", suggest("", [*FAMILIES, "mix", "sequence"]))
    kind = arguments.pop("kind")
    if kind == "mix" and isinstance(arguments.get("tenants"), Mapping):
        tenants = arguments["tenants"].items()
        at = {k: f"{where}.tenants.{short(k)}" for k, _ in tenants}
        arguments["tenants"] = {k: build(_table(v, at[k]), at[k]) for k, v in tenants}
    elif kind == "sequence" and "phases" in arguments:
        if not isinstance(arguments["phases"], list):
            raise InputError(f"{where}.phases", f"{quoted(arguments['phases'])} is not a list", "write a list of tables")
        arguments["phases"] = [_phase(v, f"{where}.phases[{i}]") for i, v in enumerate(arguments["phases"])]
    functions = FAMILIES | {"mix": mix, "sequence": sequence}
    if not isinstance(kind, str) or kind not in functions:
        raise InputError(f"{where}.kind", f"{quoted(kind)} is unknown", suggest(str(kind), functions))
    known = inspect.signature(functions[kind]).parameters
    for key in arguments:
        if key not in known:
            raise InputError(f"{where}.{short(key)}", f"is not an argument of {kind}", suggest(key, known))
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in arguments:
            raise InputError(f"{where}.{key}", "is missing", "it has no default")
    try:
        return functions[kind](**arguments)
    except InputError as error:
        raise type(error)(f"{where} ({error.where})", error.what, error.remedy) from None


def _table(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(where, f"{quoted(value)} is not a table", "write a table with kind and its arguments")
    return value


def _phase(value: object, where: str) -> tuple[Workload, Any]:
    spec = dict(_table(value, where))
    if "for_us" not in spec:
        raise InputError(f"{where}.for_us", "is missing", "say how long the phase lasts, e.g. '10 s'")
    length = spec.pop("for_us")
    return build(spec, where), length
