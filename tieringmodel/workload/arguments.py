"""Checks of the arguments that families of workloads take, and draws that no library version changes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .. import checks
from ..errors import InputError
from ..scenario import Attrs
from ..units import FOREVER, MAX_PAGES, integer, number, parse_us

TICK_US = Attrs.sample_us
MAX_GROUPS = 65_535


def whole(where: str, value: object, low: int, high: int) -> int:
    """Return `value` as an int in ``low`` … ``high``, or raise `InputError`."""
    return checks.whole(where, integer(value, where), low, high)


def pages(where: str, value: object, high: int = MAX_PAGES) -> int:
    """Return a number of pages, at least 1."""
    return whole(where, value, 1, high)


def at_least(where: str, value: object, low: float = 0.0) -> float:
    """Return `value` as a finite float that is not below `low`."""
    return checks.number(where, number(value, where), low)


def positive(where: str, value: object) -> float:
    """Return `value` as a finite float above 0."""
    return checks.positive(where, number(value, where))


def share(where: str, value: object) -> float:
    """Return `value` as a share between 0 and 1."""
    return checks.share(where, number(value, where))


def span_us(where: str, value: object, tick_us: int) -> int:
    """Return a time of at least one workload tick, in microseconds; text with a unit is understood."""
    found = parse_us(value, where)
    if not tick_us <= found <= FOREVER // 2:
        raise InputError(where, f"{found} us is shorter than a tick of {tick_us} us, or endless", "write e.g. '5 s'")
    return found


def tick(where: str, value: object) -> int:
    """Return the length of a workload tick in microseconds, `TICK_US` if it is left out; text with a unit is understood."""
    found = TICK_US if value is None else parse_us(value, where)
    if not 1 <= found <= 10**12:
        raise InputError(where, f"{found} us is no length of a tick", "write e.g. '5 ms'")
    return found


def few_enough(where: str, n_groups: int, remedy: str) -> None:
    """Refuse more groups than there can be classes of pages."""
    if n_groups > MAX_GROUPS:
        raise InputError(where, f"would take {n_groups} groups, over {MAX_GROUPS}", remedy)


def draws(n: int, seed: int) -> npt.NDArray[np.uint64]:
    """Return `n` random 64-bit numbers, uint64 (n,): splitmix64 (Steele, Lea and Flood 2014) of a counter from `seed` on."""
    start = np.uint64(seed * 0xD1342543DE82EF95 % 2**64)
    z = (np.arange(1, n + 1, dtype=np.uint64) + start) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def permutation(n: int, seed: int) -> npt.NDArray[np.int64]:
    """Return a random order of 0 … n - 1, int64 (n,), the same for the same seed everywhere."""
    return np.argsort(draws(n, seed), kind="stable").astype(np.int64)
