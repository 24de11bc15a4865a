"""Arguments that are numbers of a kind or one of several words: checked in one place, refused in the same words everywhere.

What a text means (``"5 ms"``) is for `tieringmodel.units` to say; here a text is no number.
"""

from __future__ import annotations

import math
import numbers
import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from . import units
from .errors import InputError, quoted

if TYPE_CHECKING:
    import numpy.typing as npt

T = TypeVar("T")


def said(value: object) -> str:
    """Return what a message shows of a value; Python does not write integers of thousands of digits."""
    try:
        return repr(value)
    except ValueError:
        return "an integer of thousands of digits"


def whole(where: str, value: Any, low: int = 0, high: int = units.ULONG_MAX, remedy: str = "", *, exact: bool = False) -> int:
    """Return an integer, or unless `exact` a float without a fraction, as an int in ``low`` … ``high``.

    All else is an `InputError`.
    """
    try:
        if exact and isinstance(value, float):
            raise TypeError
        found = value if type(value) is int else _index(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(where, f"{said(value)} is not a whole number", remedy or _within(low, high)) from None
    if found < low and high == units.ULONG_MAX:
        raise InputError(where, f"{said(found)} is below {low}", remedy or f"write {low} or more")
    if not low <= found <= high:
        raise InputError(where, f"{said(found)} is outside {low}..{high}", remedy or _within(low, high))
    return found


def _within(low: int, high: int) -> str:
    return f"give a whole number from {low} to {high}"


def _index(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    without_fraction = isinstance(value, numbers.Real) and value == int(value)  # type: ignore[call-overload]
    return int(value) if without_fraction else operator.index(value)


def number(where: str, value: Any, low: float = -math.inf, high: float = math.inf, remedy: str = "") -> float:
    """Return a finite number in ``low`` … ``high`` as a float; all else is an `InputError`."""
    if isinstance(value, str):
        raise InputError(where, f"{said(value)} is not a number", remedy or "write a finite number")
    try:
        found = units.number(value, where)
    except InputError as error:
        raise InputError(where, error.what, remedy or error.remedy) from None
    if found < low and high == math.inf:
        raise InputError(where, f"{found:g} is below {low:g}", remedy or f"write {low:g} or more")
    if not low <= found <= high:
        raise InputError(where, f"{found:g} is outside {low:g}..{high:g}", remedy or "write a number inside that range")
    return found


def positive(where: str, value: Any, remedy: str = "write a finite number above 0") -> float:
    """Return a finite number above 0 as a float; all else is an `InputError`."""
    try:
        found = number(where, value)
    except InputError:
        found = 0.0
    if found <= 0:
        raise InputError(where, f"{said(value)} is not a positive number", remedy)
    return found


def share(where: str, value: Any) -> float:
    """Return a number from 0 to 1 as a float; all else is an `InputError`."""
    try:
        return number(where, value, 0, 1)
    except InputError:
        raise InputError(where, f"{said(value)} is not a share", "give a number from 0 to 1") from None


def choice(where: str, value: object, options: Sequence[str]) -> str:
    """Return a word that is one of `options`; all else is an `InputError` that lists them."""
    if not isinstance(value, str) or value not in options:
        raise InputError(where, f"{said(value)} is not known", f"use one of {', '.join(options)}")
    return value


def flag(where: str, value: Any) -> bool:
    """Return a truth value, numpy's too, as a bool; all else is an `InputError`."""
    if not isinstance(value, bool) and type(value).__name__ not in ("bool", "bool_"):
        raise InputError(where, f"{said(value)} is not a truth value", "use True or False")
    return bool(value)


def text(where: str, value: Any) -> str:
    """Return a text; all else is an `InputError`."""
    if not isinstance(value, str):
        raise InputError(where, f"{said(value)} is not text", "write it in quotes")
    return value


def storable(where: str, value: str) -> str:
    """Return a text that files can hold: no NUL, which HDF5 does not take, and no half of a character; else an `InputError`."""
    if "\0" in value:
        raise InputError(where, f"{value!r} holds a NUL, which no result can store", "leave it out")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            remedy = "write it in UTF-8, in a locale of UTF-8"
            raise InputError(where, f"{value!r} is no text of whole characters", remedy) from None
    return value


def file_name(where: str, value: Any) -> Path:
    """Return the path that a text or a path names; all else is an `InputError`."""
    if not isinstance(value, (str, os.PathLike)) or "\0" in str(value):
        raise InputError(where, f"{said(value)} is not the name of a file or folder", "write a text or a pathlib.Path")
    return Path(value)


def instance(where: str, value: Any, cls: type[T], remedy: str) -> T:
    """Return what is of a class; all else is an `InputError`."""
    if not isinstance(value, cls):
        raise InputError(where, f"{type(value).__name__} is not a {cls.__name__}", remedy)
    return value


def float_array(where: str, value: Any) -> npt.NDArray[Any]:
    """Return numbers of any shape as float64, nan and infinities included; all else is an `InputError`."""
    import numpy as np

    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iuf":
            raise TypeError
    except (TypeError, ValueError):
        raise InputError(where, f"{quoted(value)} holds other things than numbers", "give numbers") from None
    return array.astype(np.float64)


def int_array(where: str, value: Any) -> npt.NDArray[Any]:
    """Return whole numbers of any shape as int64, none too; all else is an `InputError`."""
    import numpy as np

    array = float_array(where, value)
    if not (np.isfinite(array).all() and np.array_equal(array, np.rint(array)) and (np.abs(array) < 2.0**63).all()):
        raise InputError(where, "holds something else than whole numbers of 64 bits", "give whole numbers")
    return np.asarray(value).astype(np.int64)


def dataset(where: str, value: Any, remedy: str) -> Any:
    """Return a dataset, that is what has variables and attributes by name; all else is an `InputError`."""
    if not (hasattr(value, "attrs") and hasattr(value, "variables") and hasattr(value.attrs, "get")):
        raise InputError(where, f"{quoted(value)} is no dataset", remedy)
    return value


def listed(where: str, value: Any, remedy: str) -> list[Any]:
    """Return the items of what can be gone through; text and all else is an `InputError`."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise InputError(where, f"{quoted(value)} is no list", remedy)
    return list(value)


def mapping(where: str, value: Any, remedy: str) -> Any:
    """Return a table by name; all else is an `InputError`."""
    if not isinstance(value, Mapping):
        raise InputError(where, f"{quoted(value)} is no table", remedy)
    return value


def whole_array(where: str, value: Any, low: int = 0, high: int = units.ULONG_MAX, remedy: str = "") -> npt.NDArray[Any]:
    """Return an array of whole numbers in ``low`` … ``high`` as int64, as uint64 where `high` needs it; see `whole`."""
    import numpy as np

    array = _filled(where, value)
    dtype = np.uint64 if high > units.LONG_MAX else np.int64
    if array.dtype.kind in "iu" or (array.dtype.kind == "f" and np.array_equal(array, np.rint(array))):
        for extreme in (array.min(), array.max()):
            whole(where, extreme, low, high, remedy)
        return array.astype(dtype)
    return np.array([whole(where, one, low, high, remedy) for one in array.ravel()], dtype).reshape(array.shape)


def number_array(where: str, value: Any, low: float, high: float, remedy: str = "") -> npt.NDArray[Any]:
    """Return an array of finite numbers in ``low`` … ``high`` as float64; see `number`."""
    array = _filled(where, value)
    if array.dtype.kind not in "iuf":
        raise InputError(where, f"{said(value)} is not a number", remedy or "write finite numbers")
    for extreme in (array.min(), array.max()):
        number(where, extreme, low, high, remedy)
    return array.astype("f8")


def flag_array(where: str, value: Any) -> npt.NDArray[Any]:
    """Return an array of truth values."""
    array = _filled(where, value)
    if array.dtype.kind != "b":
        raise InputError(where, f"{said(value)} is not a truth value", "use True or False")
    return array


def _filled(where: str, value: Any) -> npt.NDArray[Any]:
    import numpy as np

    array = np.asarray(value)
    if array.size == 0:
        raise InputError(where, "is an empty array", "give at least one value")
    return array
