"""Numbers in words, the same in every rule."""

from __future__ import annotations

import math

from ..damon.quota_math import mult_frac
from ..scenario import Scheme
from ..theory import closed_forms
from ..units import MIB, PAGE_SZ, format_bytes
from .scheme_facts import SchemeFacts


def size(pages: float) -> str:
    """Return a number of pages as a size."""
    return format_bytes(pages * PAGE_SZ)


def duration(seconds: float) -> str:
    """Return a time: milliseconds below one second, seconds up to ten minutes, then minutes, hours or days."""
    if math.isinf(seconds):
        return "for ever"
    for limit, unit, name in ((1, 1e-3, "ms"), (600, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds / 86_400:.3g} days"


def rate(pages: float, window_us: float) -> str:
    """Return pages per window as a rate."""
    return f"{pages * PAGE_SZ / MIB / (window_us * 1e-6):.3g} MiB/s"


def ordinal(k: int) -> str:
    """Return "1st", "2nd", "3rd", "4th" and so on."""
    ending = "th" if k // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(k % 10, "th")
    return f"{k}{ending}"


def cap(scheme: Scheme) -> str:
    """Return a scheme's size quota in words."""
    return format_bytes(scheme.quota.sz_bytes) if scheme.quota.sz_bytes else "no size quota"


def fate(facts: SchemeFacts, value: int, target: int) -> str:
    """Return what becomes of a scheme whose only goal stays at a value."""
    if mult_frac(value, 10_000, target) >= 10_000:
        left = "1 byte" if facts.scheme.quota.goal_tuner == "consist" else "0"
        return f"the quota stays at {left}, the scheme is inert"
    return unmet(facts, value, target)


def unmet(facts: SchemeFacts, value: int, target: int) -> str:
    """Return what the tuner does about a goal that never gets beyond a value below its target."""
    limit = cap(facts.scheme) if facts.scheme.quota.sz_bytes else ""
    if facts.scheme.quota.goal_tuner == "consist":
        growth = closed_forms.windup_growth(value, target)
        return f"the quota winds up by {growth:.4f} per window without end" + f" (applied up to {limit})" * bool(limit)
    return f"TEMPORAL asks for {f'its whole {limit}' if limit else 'everything'} in every window"


def base2_cap(pages: float) -> int:
    """Return the largest power of two of bytes within that many pages, at least one page: a quota to propose."""
    return 1 << ((max(int(pages), 1) * PAGE_SZ).bit_length() - 1)
