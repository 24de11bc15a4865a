"""Quantities in and out: bytes, microseconds, basis points. The unit of a number is in its name."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation, Overflow

from .errors import InputError, quoted

PAGE_SZ = 4096
MAX_PAGES = 2**32 - 2
"""Pages, or frames of a machine: 32 bits number them and leave two numbers free."""
ULONG_MAX = 2**64 - 1
LONG_MAX = 2**63 - 1
FOREVER = 2**62
"""A workload tick that no run comes to."""
LONGEST_US = FOREVER // 1000
"""146 years: the longest time that a signed 64-bit clock in ns counts, with room to add."""
UINT_MAX = 2**32 - 1
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
MOST_DIGITS = 40
"""A number that fits 64 bits has 20; what is longer is refused before anybody calculates with it."""

_BYTES: dict[str, int] = {"": 1, "b": 1, "byte": 1, "bytes": 1}
for _i, _letter in enumerate("kmgtp", 1):
    _BYTES |= {f"{_letter}ib": 1024**_i, f"{_letter}b": 1000**_i, _letter: 1024**_i}
_TIME_US: dict[str, Decimal | int] = {
    "ns": Decimal("0.001"), "us": 1, "µs": 1, "usec": 1, "ms": 1_000, "msec": 1_000, "": 1, "s": 1_000_000,
    "sec": 1_000_000, "m": 60_000_000, "min": 60_000_000, "h": 3_600_000_000, "hour": 3_600_000_000,
}  # fmt: skip
_BP: dict[str, int] = {"": 1, "bp": 1, "%": 100}
_UNITLESS = re.compile(r"\s*(max|0x[0-9a-f_]+)\s*", re.IGNORECASE)
_GROUPED = re.compile(r"[-+]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]*)?([eE][-+]?[0-9]+)?")
_EXPONENT = re.compile(r"\s*[-+0-9.,_]+[eE][-+]?[0-9]+\s*")
"""A bare number, though there is a letter in it."""
_QUANTITY = re.compile(r"\s*([-+0-9.,_eE]*?[0-9.])\s*([a-zA-Zµ%]*)\s*")


def ungrouped(text: str, where: str) -> str:
    """Return a number's text without thousands separators.

    Raises
    ------
    InputError
        If a comma does not part groups of three digits: ``"1,5"`` is no 15.
    """
    if "," in text and not _GROUPED.fullmatch(text):
        raise InputError(where, f"{text!r} has a comma that does not part thousands", "write decimals with a point, as in 1.5")
    return text.replace(",", "").replace("_", "")


def _quantity(text: str, scale: Mapping[str, Decimal | int], where: str, example: str) -> int:
    match = _QUANTITY.fullmatch(text)
    if not match or match[2].lower() not in scale:
        raise InputError(where, f"{text!r} is not understood", f"write it like {example}")
    try:
        value = Decimal(ungrouped(match[1], where)) * scale[match[2].lower()]
    except (InvalidOperation, Overflow):
        raise InputError(where, f"{text!r} is not a number with a unit", f"write it like {example}") from None
    if value.adjusted() > MOST_DIGITS:  # int() of it would be as long as its exponent says
        raise InputError(where, f"{text!r} has more than {MOST_DIGITS} digits", f"write it like {example}")
    if value != value.to_integral_value():
        raise InputError(where, f"{text!r} is not a whole number of the base unit", f"write it like {example}")
    return int(value)


def _has_unit(text: str) -> bool:
    return bool(re.search(r"[a-zA-Zµ]", text)) and not _EXPONENT.fullmatch(text)


def integer(value: object, where: str) -> int:
    """Return `value` as an int: an int, an integral float, a decimal or 0x string, or ``"max"`` (2**64 - 1).

    Raises
    ------
    InputError
        If it is anything else (booleans, NaN and fractions included).
    """
    if isinstance(value, str):
        if value.strip().lower() == "max":
            return ULONG_MAX
        try:
            return _short(int(ungrouped(value.strip(), where), 0), where)
        except InputError:
            raise
        except ValueError:
            pass
    elif not isinstance(value, bool):
        try:
            if value == (truncated := int(value)):  # type: ignore[call-overload]
                return _short(int(truncated), where)
        except InputError:
            raise
        except (TypeError, ValueError, OverflowError):
            pass
    raise InputError(where, f"{quoted(value)} is not a whole number", "write an integer, or 'max' for 2**64 - 1")


def _short(value: int, where: str) -> int:
    if value.bit_length() > 4 * MOST_DIGITS:
        text = f"has {value.bit_length()} bits, far more than any quantity here"
        raise InputError(where, text, "write an integer, or 'max' for 2**64 - 1")
    return value


def number(value: object, where: str) -> float:
    """Return `value` as a finite float.

    Raises
    ------
    InputError
        If it is not a finite number.
    """
    try:
        if isinstance(value, (bool, bytes)):
            raise TypeError
        result = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError(where, f"{quoted(value)} is not a number", "write a finite number") from None
    except OverflowError:
        raise InputError(where, "is an integer beyond every float", "write a finite number") from None
    if not math.isfinite(result):
        raise InputError(where, f"{quoted(value)} is not finite", "write a finite number")
    return result


def parse_bytes(value: object, where: str = "bytes") -> int:
    """Return a size in bytes from an int or text such as ``"16 GiB"`` (1024s), ``"200 MB"`` (1000s) or ``"max"``.

    Raises
    ------
    InputError
        If the text is not a size.
    """
    if isinstance(value, str) and not _UNITLESS.fullmatch(value):
        return _quantity(value, _BYTES, where, "'16 GiB', '200 MB' or an integer")
    return integer(value, where)


def parse_us(value: object, where: str = "us") -> int:
    """Return a time in microseconds from an int or text such as ``"5 ms"``, ``"1.5 s"`` or ``"10 min"``.

    Raises
    ------
    InputError
        If the text is not a time.
    """
    if isinstance(value, str) and not _UNITLESS.fullmatch(value):
        return _quantity(value, _TIME_US, where, "'5 ms', '2 s' or an integer of microseconds")
    return integer(value, where)


def parse_ms(value: object, where: str = "ms") -> int:
    """Return a time in milliseconds from an int (ms) or text with a unit (``"1 s"``).

    Raises
    ------
    InputError
        If the text is not a whole number of milliseconds.
    """
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        value += " ms"
    if isinstance(value, str) and _has_unit(value) and not _UNITLESS.fullmatch(value):
        us = _quantity(value, _TIME_US, where, "'500 ms', '1 s' or an integer of milliseconds")
        if us % 1000:
            raise InputError(where, f"{value!r} is not a whole number of milliseconds", "write e.g. '500 ms'")
        return us // 1000
    return integer(value, where)


def parse_bp(value: object, where: str = "bp") -> int:
    """Return basis points from an int (bp) or text such as ``"99.7 %"``.

    Raises
    ------
    InputError
        If the text is not a share.
    """
    if isinstance(value, str) and not _UNITLESS.fullmatch(value):
        return _quantity(value, _BP, where, "'40 %' or an integer of basis points")
    return integer(value, where)


def parse_duration_us(value: object, where: str = "duration") -> int:
    """Return a simulated duration in microseconds; bare numbers are seconds.

    Raises
    ------
    InputError
        If it is not a positive time.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        us = round(number(value, where) * 1e6)
    else:
        text = str(value)
        if _UNITLESS.fullmatch(text):
            us = integer(text, where) * 1_000_000
        else:
            text = text if _has_unit(text) else text + " s"
            us = _quantity(text, _TIME_US, where, "'120 s', '10 min' or a number of seconds")
    if us <= 0:
        raise InputError(where, f"{value!r} is not a positive time", "write it like '120 s'")
    return us


def significant(value: float) -> str:
    """Return a value with three significant digits, without exponent down to 0.001."""
    if value and abs(value) < 0.001:
        return f"{value:.0e}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def format_bytes(n: float) -> str:
    """Return a size in words, binary units, at most one decimal."""
    value = float(n)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024 or unit == "TiB":
            return f"{value:.0f} {unit}" if value == int(value) else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")
