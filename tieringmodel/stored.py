"""What changes while a run goes on, stored and restored by the object that holds it: plain data and arrays, no code."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from .fields import Checked
from .units import LONG_MAX, ULONG_MAX


class Stored:
    """Base of dataclasses whose fields are what they remember; whatever else they hold follows from how they were made.

    A subclass declares each field once and says in `state` and `restore` only what has no such form.
    """

    def state(self) -> dict[str, Any]:
        """Return every field as plain data and arrays; these are the object's own, to be written before it goes on."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}  # type: ignore[arg-type]

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned.

        Raises
        ------
        KeyError, TypeError, ValueError
            If a field is missing, or of another kind than the one it replaces.
        """
        for f in fields(self):  # type: ignore[arg-type]
            setattr(self, f.name, like(getattr(self, f.name), state[f.name], f.name))


def _plain(value: Any) -> Any:
    if isinstance(value, Stored):
        return value.state()
    if isinstance(value, Checked):
        return value.to_dict()
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def like(now: Any, stored: Any, name: str) -> Any:
    """Return a stored value in the form of the one it replaces; `now` may be an array or None that is not filled yet.

    Raises
    ------
    TypeError, ValueError
        If it is of another kind or length.
    """
    if isinstance(now, Stored):
        now.restore(stored)
        return now
    if isinstance(now, Checked):
        return type(now).from_dict(stored, name)
    if isinstance(now, np.ndarray):
        return same_kind(stored, name, now.dtype, now.shape if now.size else stored.shape).copy()
    if isinstance(now, (list, tuple)):
        return type(now)(like(n, s, f"{name}[{i}]") for i, (n, s) in enumerate(zip(now, stored, strict=True)))
    if type(stored) is not type(now) and not (now is None and type(stored) is int):
        raise ValueError(f"{name} is {stored!r}, not of type {type(now).__name__}")
    if isinstance(stored, int) and not -LONG_MAX <= stored <= ULONG_MAX:
        raise ValueError(f"{name} does not fit 64 bits")
    return stored


def same_kind(stored: npt.NDArray[Any], name: str, dtype: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return a stored array if it has this dtype and shape, else raise `ValueError`."""
    if stored.dtype != dtype or stored.shape != shape:
        raise ValueError(f"{name} is {stored.dtype}{stored.shape}, not {dtype}{shape}")
    return stored
