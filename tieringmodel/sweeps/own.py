"""What a run needs of the user's own, metrics, tuners and sources of hotness, packed for processes that do not know it yet."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..damon.goals import own_metrics, register_metric
from ..errors import InputError
from ..hotness.protocol import own_sources, register_source
from ..plugins import load_plugin, loaded
from ..scenario.tuners import own_tuners, register_tuner


@dataclass(frozen=True)
class Own:
    """A part of one's own: its kind and name, the function as bytes, and whether these lean on the caller's script."""

    kind: str
    name: str
    packed: bytes
    in_main: bool = False


@dataclass(frozen=True)
class Brought:
    """What travels with a job: plug-ins to load, and parts to register where they do not bring them."""

    plugins: tuple[str, ...] = ()
    parts: tuple[Own, ...] = ()


NOTHING = Brought()


def registered_in(text: str) -> dict[str, Any]:
    """Return the user's own functions that the text of a scenario names: metrics, tuners, sources of hotness."""
    every = {**own_metrics(), **own_tuners(), **own_sources()}
    return {name: one for name, one in every.items() if json.dumps(name)[1:-1] in text}


def packed(texts: Iterable[str]) -> Brought:
    """Return what scenarios need of one's own, ready to travel.

    Parameters
    ----------
    texts : iterable of str
        The scenarios and what changes in them.

    Raises
    ------
    InputError
        For a function that no other process can get: one that neither stands at the top level of a module nor can be sent by
        value.
    """
    of_kind: tuple[tuple[str, Mapping[str, Any]], ...] = (
        ("metric", own_metrics()),
        ("tuner", own_tuners()),
        ("hotness source", own_sources()),
    )
    if not loaded() and not any(known for _, known in of_kind):
        return Brought()
    whole = "\n".join(texts)
    parts = [
        _packed(kind, name, one) for kind, known in of_kind for name, one in known.items() if json.dumps(name)[1:-1] in whole
    ]
    return Brought(loaded(), tuple(parts))


def _packed(kind: str, name: str, one: Any) -> Own:
    function = one[1] if kind == "metric" else one
    in_main = getattr(function, "__module__", None) == "__main__"
    try:
        import cloudpickle  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        cloudpickle = None
    try:
        if not in_main or cloudpickle is None:
            return Own(kind, name, pickle.dumps(one), in_main)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        if cloudpickle is None:
            raise _stays(kind, name, error) from None
    try:
        return Own(kind, name, cloudpickle.dumps(one))
    except Exception as error:  # whatever it closes over may refuse in its own way
        raise _stays(kind, name, error) from None


def _stays(kind: str, name: str, error: Exception) -> InputError:
    remedy = "define it at the top level of a module or plug-in, or use executor='serial'"
    return InputError(f"{kind} {name!r}", f"cannot be sent to a worker process: {error}", remedy)


def bring(brought: Brought) -> None:
    """Load plug-ins and register what they did not bring; in the process that packed it nothing happens."""
    for plugin in brought.plugins:
        load_plugin(plugin)
    for part in brought.parts:
        if part.kind == "metric" and part.name not in own_metrics():
            ops, function = pickle.loads(part.packed)
            register_metric(part.name, function, ops)
        elif part.kind == "tuner" and part.name not in own_tuners():
            register_tuner(part.name, pickle.loads(part.packed))
        elif part.kind == "hotness source" and part.name not in own_sources():
            register_source(part.name, pickle.loads(part.packed))
