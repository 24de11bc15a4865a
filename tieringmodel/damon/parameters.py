"""What follows from a scheme's parameters alone, for who runs nothing: no array, no kernel."""

from __future__ import annotations

from ..scenario import CORE_FILTERS, Context, Filter, Quota
from ..scenario.linux import Rules
from ..units import UINT_MAX


def split_filters(filters: tuple[Filter, ...]) -> tuple[list[Filter], list[Filter]]:
    """Return core and operations filters, each in installation order."""
    return [f for f in filters if f.type in CORE_FILTERS], [f for f in filters if f.type not in CORE_FILTERS]


def default_rejects(filters: tuple[Filter, ...]) -> tuple[bool, bool]:
    """Whether memory that matches no filter is rejected by the core and by the operations layer.

    The last filter of a layer decides (``allow`` means: only these); the core layer never rejects by default while
    operations filters exist, because they still have a say.
    """
    core, ops = split_filters(filters)
    return bool(core and core[-1].allow and not ops), bool(ops and ops[-1].allow)


def quota_is_given(quota: Quota) -> bool:
    """Whether a quota's parameters set any limit at all."""
    return bool(quota.sz_bytes or quota.ms or quota.goals)


def esz0_stops(quota: Quota, rules: Rules) -> bool:
    """Whether an effective quota of 0 stops the scheme, rather than to mean that there is no quota."""
    return quota.esz0 == "stop" or (not quota.esz0 and rules.esz0_stop)


def operations(context: Context) -> str:
    """Return whose actions a context has: those of paddr, or of vaddr and fvaddr."""
    return "paddr" if context.ops == "paddr" else "vaddr"


def idle(context: Context, action: str, rules: Rules) -> bool:
    """Whether the kernel takes an action in a virtual address space and does nothing."""
    return context.ops != "paddr" and action.startswith("migrate") and not rules.va_migrate


def reset_interval_jiffies(ms: int, hz: int) -> int | None:
    """Return the charge window's length in jiffies, rounded up; None where the kernel takes it for infinite.

    The kernel converts the low 32 bits and treats values with bit 31 set as practically infinite.
    """
    ms &= UINT_MAX
    return None if ms >> 31 else -(-ms * hz // 1000)
