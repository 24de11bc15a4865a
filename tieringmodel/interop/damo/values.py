"""Quantities as damo writes them: ``"1 m 5 s"``, ``"200.000 MiB"``, ``"0.7 %"``, ``"18,446"``, ``"3 samples"``, ``"max"``.

Meaning of bare numbers and rounding were found by running damo 3.4.3: every size suffix counts in 1024s, fractions of a
byte or microsecond are cut, a bare number is in its field's own unit.
"""

from __future__ import annotations

import re
from decimal import Decimal

from ...errors import InputError, quoted
from ...scenario.metrics import ELIGIBLE
from ...units import UINT_MAX, ULONG_MAX, ungrouped

DROPS_NID = ELIGIBLE
"""The metric whose node damo 3.4.3 drops on its command line."""

_NUMBER = r"[0-9][0-9,]*(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,2})?"
_WHOLE = re.compile(_NUMBER)
_SIZE = re.compile(rf"({_NUMBER})\s*([KMGTPE]?)(?:i?B)?", re.IGNORECASE)
_PART = re.compile(rf"({_NUMBER})\s*(ns|us|ms|s|m|h|d)\s*")
_TIME = re.compile(rf"(?:{_NUMBER}\s*(?:ns|us|ms|s|m|h|d)\s*)+")
_PERCENT = re.compile(rf"({_NUMBER})\s*%")
_SAMPLES = re.compile(rf"({_NUMBER})\s*samples?")
_AGGREGATIONS = re.compile(rf"({_NUMBER})\s*aggr_intervals?")
_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
_LONGEST = 64


def _text(value: object, where: str, example: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise InputError(where, f"{quoted(value)} is not a number or text", f"write it like {example}")
    text = repr(value) if isinstance(value, float) else str(value)
    if len(text) > _LONGEST:
        raise InputError(where, f"{text[:20]!r}… has {len(text)} characters", f"write it like {example}")
    return text.strip()


def _decimal(text: str, where: str, example: str) -> Decimal:
    if not _WHOLE.fullmatch(text):
        raise InputError(where, f"{text!r} is not understood", f"write it like {example}")
    return Decimal(ungrouped(text, where))


def _fit(value: int, where: str, top: int = ULONG_MAX) -> int:
    if not 0 <= value <= top:
        raise InputError(where, f"{value} is outside 0..{top}", "write a value inside that range, or 'max'")
    return value


def count(value: object, where: str, top: int = ULONG_MAX) -> int:
    """Return a whole number; ``"max"`` is `top`.

    Raises
    ------
    InputError
        If it is no whole number in 0 … `top`.
    """
    text = _text(value, where, "10 or 'max'")
    if text == "max":
        return top
    number = _decimal(text, where, "10 or 'max'")
    if number != number.to_integral_value():
        raise InputError(where, f"{text!r} is not whole", "write a whole number")
    return _fit(int(number), where, top)


def node(value: object, where: str) -> int:
    """Return a node's number.

    Raises
    ------
    InputError
        If it is none; -1, which Linux has for "no node", in words.
    """
    if value in (-1, "-1"):
        raise InputError(where, "-1 is no node here: Linux has it for 'no node'", "write the node that is meant, e.g. 0")
    return count(value, where, 2**31 - 1)


def in_unit(value: object, unit: str) -> object:
    """Return a value with a unit after it if it is a bare number."""
    return f"{value} {unit}" if _WHOLE.fullmatch(str(value).strip()) and not isinstance(value, bool) else value


def size_bytes(value: object, where: str) -> int:
    """Return a size in bytes; K, M, G, T, P (with or without B or iB) count in 1024s; ``"max"`` is 2**64 - 1.

    Raises
    ------
    InputError
        If it is no size.
    """
    text = _text(value, where, "'200 MiB'")
    if text == "max":
        return ULONG_MAX
    match = _SIZE.fullmatch(text)
    if not match:
        raise InputError(where, f"{text!r} is not a size", "write it like '200 MiB' or 4096")
    scale = 1024 ** " KMGTPE".index(match[2].upper() or " ")
    return _fit(int(_decimal(match[1], where, "'200 MiB'") * scale), where)


def time_in(value: object, where: str, unit: str = "us") -> int:
    """Return a time in `unit` (``"us"`` or ``"ms"``); bare numbers are in that unit, ``"max"`` is 2**64 - 1.

    Raises
    ------
    InputError
        If it is no time, over 2**64 - 1, or not a whole number of milliseconds where these are asked for.
    """
    text = _text(value, where, "'5 ms'")
    if text == "max":
        return ULONG_MAX
    if _WHOLE.fullmatch(text):
        bare = int(_decimal(text, where, "'5 ms'"))
        if bare > ULONG_MAX:
            remedy = "write 'max', or print the file without --raw, whose times damo itself reads 1000 times too long"
            raise InputError(where, f"{text} {unit} is over 2**64 - 1", remedy)
        return bare
    if not _TIME.fullmatch(text):
        raise InputError(where, f"{text!r} is not a time", "write it like '5 ms' or '1 m 5 s'")
    ns = sum(_decimal(n, where, "'5 ms'") * _NS[u] for n, u in _PART.findall(text))
    if unit == "ms" and ns % 10**6:
        raise InputError(where, f"{text!r} is not a whole number of milliseconds", "write e.g. '500 ms'")
    return _fit(int(ns) // _NS[unit], where)


def share(value: object, where: str, per_percent: int) -> int:
    """Return a share in the unit of which 1 % has `per_percent` (bp: 100, permil: 10); bare numbers are in that unit.

    Raises
    ------
    InputError
        If it is no whole number of that unit.
    """
    text = _text(value, where, "'40 %'")
    match = _PERCENT.fullmatch(text)
    number = _decimal(match[1], where, "'40 %'") * per_percent if match else _decimal(text, where, "'40 %'")
    if number != number.to_integral_value():
        raise InputError(where, f"{text!r} is not a whole number of {'bp' if per_percent == 100 else 'permil'}", "round it")
    return _fit(int(number), where)


def samples_of_percent(percent: float, sample_us: int, aggr_us: int) -> int:
    """Return nr_accesses for an access rate in percent, cut to whole samples (docs/theory/damon.md, section h.4)."""
    return int(percent * (aggr_us / sample_us) / 100)


def nr_accesses(value: object, where: str, sample_us: int, aggr_us: int) -> int:
    """Return a bound of nr_accesses in samples from percent (also bare), ``"3 samples"`` or ``"max"``.

    Raises
    ------
    InputError
        If it is none of these. Rates beyond 2**32 - 1 samples count as ``"max"``.
    """
    text = _text(value, where, "'5 %' or '3 samples'")
    if text == "max":
        return UINT_MAX
    match = _SAMPLES.fullmatch(text)
    if match:
        return count(match[1], where, UINT_MAX)
    match = _PERCENT.fullmatch(text)
    number = _decimal(match[1] if match else text, where, "'5 %' or '3 samples'")
    return min(samples_of_percent(float(number), sample_us, aggr_us), UINT_MAX)


def age(value: object, where: str, aggr_us: int) -> int:
    """Return a bound of age in aggregations from a time (bare numbers: microseconds) or ``"3 aggr_intervals"``.

    Raises
    ------
    InputError
        If it is no time. Ages beyond 2**32 - 1 aggregations count as ``"max"``.
    """
    text = _text(value, where, "'10 s'")
    match = _AGGREGATIONS.fullmatch(text)
    if match:
        return count(match[1], where, UINT_MAX)
    return UINT_MAX if text == "max" else min(time_in(text, where) // aggr_us, UINT_MAX)


def percent_for(samples: int, sample_us: int, aggr_us: int) -> str:
    """Return the percentage that damo turns into `samples`, ``"max"`` for 2**32 - 1.

    Rounded up in the sixth decimal, because damo cuts to whole samples.
    """
    if samples == UINT_MAX:
        return "max"
    exact = Decimal(samples) * 100 * sample_us / aggr_us
    up = exact.quantize(Decimal("0.000001"), rounding="ROUND_CEILING")
    text = f"{up:f}".rstrip("0").rstrip(".") if "." in f"{up:f}" else f"{up:f}"
    if samples_of_percent(float(text), sample_us, aggr_us) != samples:
        text = f"{up + Decimal('0.000001'):f}"
    return text
