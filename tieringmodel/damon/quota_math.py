"""The quota arithmetic of DAMON on plain Python integers, wrapping where the kernel's 64-bit registers wrap.

These functions are the reference: they run once per charge window, so clarity counts more than speed. The compiled
twin for whole arrays is `tieringmodel.kernels.integer`. Formulas: docs/theory/damon.md, sections e.2 and f.3 to f.6.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..checks import listed, whole
from ..errors import InputError
from ..fields import suggest
from ..scenario.tuners import SHIPPED
from ..units import PAGE_SZ, ULONG_MAX

TUNERS = SHIPPED
ESZ_SCALE = 10_000
"""``esz_bp`` counts 1/10000 bytes, so that small relative steps survive truncation."""


def mult_frac(x: int, numerator: int, denominator: int) -> int:
    """Return ``x * numerator / denominator`` truncated, as the kernel's two-term macro computes it.

    Quotient and remainder of ``x / denominator`` are scaled apart, each product modulo 2**64: equal to the exact
    quotient as long as neither product nor the result overflows.

    Parameters
    ----------
    x, numerator, denominator : int
        Unsigned 64-bit values.

    Returns
    -------
    int
        Unsigned 64-bit value.

    Raises
    ------
    InputError
        If an argument is no unsigned 64-bit integer, or the denominator is 0.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.damon.mult_frac(7, 10_000, 30)
    2333
    """
    x, numerator, denominator = whole("x", x), whole("numerator", numerator), whole("denominator", denominator, 1)
    quotient, remainder = divmod(x, denominator)
    return (quotient * numerator + (remainder * numerator & ULONG_MAX) // denominator) & ULONG_MAX


def quota_score(pairs: Iterable[tuple[int, int]]) -> int:
    """Return the score of a quota: its best achieved goal decides (``damos_quota_score``; section f.3).

    Parameters
    ----------
    pairs : iterable of (int, int)
        Current and target value of each goal, in the metric's own unit.

    Returns
    -------
    int
        Basis points: 10000 is achieved exactly, more is over-achieved; 0 without goals.

    Raises
    ------
    InputError
        If a value is no unsigned 64-bit integer or a target is 0.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.damon.quota_score([(3000, 6000), (6000, 5000)])
    12000
    """
    score = 0
    for i, pair in enumerate(listed("pairs", pairs, "give (value, target) pairs")):
        if len(listed(f"pairs[{i}]", pair, "give value and target")) != 2:
            raise InputError(f"pairs[{i}]", f"has {len(pair)} entries", "give value and target")
        current, target = pair
        try:
            score = max(score, mult_frac(current, 10_000, target))
        except InputError as error:
            name = {"x": "current", "denominator": "target"}[error.where]
            raise InputError(f"pairs[{i}].{name}", error.what, error.remedy) from None
    return score


def feed_loop_next_input(last_input: int, score: int) -> int:
    """Return the next input of the proportional loop (``damon_feed_loop_next_input``; section f.4).

    The input changes by the relative distance of `score` from 10000: twice as much at score 0, unchanged at 10000,
    down to 10000 (one byte, in ``esz_bp``) at 20000 and above.

    Parameters
    ----------
    last_input : int
        Unsigned 64-bit value.
    score : int
        Basis points, 10000 = achieved.

    Returns
    -------
    int
        Unsigned 64-bit value; saturates at 2**64 - 1. Only over-achievement enforces the floor of 10000.

    Raises
    ------
    InputError
        If an argument is no unsigned 64-bit integer.
    """
    last_input, score = whole("last_input", last_input), whole("score", score)
    if score == 10_000:
        return last_input
    if score >= 20_000:
        return 10_000
    distance = abs(score - 10_000)
    # Above ULONG_MAX / distance the product would overflow: the kernel then divides first and loses low digits.
    fits = last_input < ULONG_MAX // distance
    compensation = last_input * distance // 10_000 if fits else last_input // 10_000 * distance
    if score > 10_000:
        return max(last_input - compensation, 10_000)
    return last_input + compensation if last_input < ULONG_MAX - compensation else ULONG_MAX


def consist_esz_bp(esz_bp: int, score: int) -> int:
    """Return the next ``esz_bp`` of the CONSIST tuner (section f.5); it never falls below 10000, one byte.

    Parameters
    ----------
    esz_bp : int
        State before, in 1/10000 byte; 0 at the start.
    score : int
        Basis points, from `quota_score`.

    Returns
    -------
    int
        State after, in 1/10000 byte. The byte cap does not limit it: it winds up.

    Raises
    ------
    InputError
        If an argument is no unsigned 64-bit integer.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.damon.consist_esz_bp(0, 0)  # two bytes
    20000
    """
    return feed_loop_next_input(max(whole("esz_bp", esz_bp), 10_000), score)


def temporal_esz_bp(score: int, sz_bytes: int) -> int:
    """Return the next ``esz_bp`` of the TEMPORAL tuner (section f.6): all or nothing.

    Parameters
    ----------
    score : int
        Basis points, from `quota_score`.
    sz_bytes : int
        Byte cap of the quota; 0 = none.

    Returns
    -------
    int
        0 once the goal is achieved; before, the cap in 1/10000 byte, or 2**64 - 1 without a (representable) cap.

    Raises
    ------
    InputError
        If an argument is no unsigned 64-bit integer.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.damon.temporal_esz_bp(9999, 1 << 20), tm.damon.temporal_esz_bp(10_000, 1 << 20)
    (10485760000, 0)
    """
    if whole("score", score) >= 10_000:
        return 0
    sz_bytes = whole("sz_bytes", sz_bytes)
    return sz_bytes * ESZ_SCALE if 0 < sz_bytes <= ULONG_MAX // ESZ_SCALE else ULONG_MAX


def next_esz_bp(tuner: str, esz_bp: int, score: int, sz_bytes: int) -> int:
    """Return the next ``esz_bp`` of the named tuner.

    Parameters
    ----------
    tuner : str
        ``"consist"`` or ``"temporal"``.
    esz_bp : int
        State before, in 1/10000 byte (only consist looks at it).
    score : int
        Basis points, from `quota_score`.
    sz_bytes : int
        Byte cap of the quota, 0 = none (only temporal looks at it).

    Returns
    -------
    int
        State after, in 1/10000 byte.

    Raises
    ------
    InputError
        If the tuner is unknown or a number is no unsigned 64-bit integer.
    """
    if tuner == "consist":
        return consist_esz_bp(esz_bp, score)
    if tuner == "temporal":
        return temporal_esz_bp(score, sz_bytes)
    raise InputError("tuner", f"{tuner!r} is unknown", suggest(str(tuner), TUNERS))


def set_effective(
    *,
    sz_bytes: int = 0,
    ms: int = 0,
    esz_bp: int | None = None,
    total_charged_sz: int = 0,
    total_charged_ns: int = 0,
    min_region_sz: int = PAGE_SZ,
) -> int:
    """Return the effective quota ``esz`` in bytes (``damos_set_effective_quota``; section e.2).

    Parameters
    ----------
    sz_bytes : int
        Byte cap; 0 = none.
    ms : int
        Time cap in milliseconds; 0 = none. It becomes bytes through the throughput measured so far, or
        4 MiB per ms while nothing was measured, and allows at least one minimal region.
    esz_bp : int or None
        State after the tuner in 1/10000 byte; None without goals.
    total_charged_sz : int
        Bytes charged in all windows so far.
    total_charged_ns : int
        Time that took, in nanoseconds; 0 = not measured yet.
    min_region_sz : int
        Bytes.

    Returns
    -------
    int
        Bytes. Without time cap and goals it is `sz_bytes` itself: 0 then means that there is no quota.

    Raises
    ------
    InputError
        If an argument is no unsigned 64-bit integer.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.damon.set_effective(sz_bytes=1 << 20, esz_bp=20_000)
    2
    """
    sz_bytes, ms = whole("sz_bytes", sz_bytes), whole("ms", ms)
    if not ms and esz_bp is None:
        return sz_bytes
    esz = ULONG_MAX if esz_bp is None else whole("esz_bp", esz_bp) // ESZ_SCALE
    if ms:
        bytes_per_ms = PAGE_SZ * 1024
        if whole("total_charged_ns", total_charged_ns):
            bytes_per_ms = mult_frac(whole("total_charged_sz", total_charged_sz), 1_000_000, total_charged_ns)
        esz = min(esz, max(bytes_per_ms * ms & ULONG_MAX, whole("min_region_sz", min_region_sz)))
    return min(esz, sz_bytes) if sz_bytes else esz
