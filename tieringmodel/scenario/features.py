"""Which release first has what a scenario uses? See docs/theory/kernels.md, section 6."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from ..errors import InputError
from ..units import PAGE_SZ
from .linux import NEXT, Kernel
from .metrics import metric_of

if TYPE_CHECKING:
    from .context import Context
    from .quota import Quota
    from .scheme import Scheme

FEATURES = {
    "addr filter": "6.6",
    "target filter": "6.6",
    "apply_interval_us": "6.7",
    "goals": "6.8",
    "young filter": "6.10",
    "migrate_hot": "6.11",
    "migrate_cold": "6.11",
    "allow": "6.14",
    "active filter": "6.15",
    "hugepage_size filter": "6.15",
    "unmapped filter": "6.15",
    "intervals_goal": "6.15",
    "dests": "6.17",
    "addr_unit": "6.18",
    "min_region_sz": "6.18",
    "max_nr_snapshots": "7.0",
    "temporal": "7.1",
    "collapse": "7.2",
    "fail_charge": "7.2",
}
"""The first mainline release with a feature that a scenario can use; those of goal metrics are in `metrics.SHIPPED`."""
_BY_RULE = {"allow": "allow_filters", "max_nr_snapshots": "max_nr_snapshots", "fail_charge": "fail_charge"}
"""Features that a switch of a kernel turns on or off."""
_MODELLED = {"allow": "6.15"}
"""Features whose first releases have them in a form that is not modelled."""
_INSTEAD = {
    "allow": "write the filters so that they reject",
    "intervals_goal": "set the intervals by hand",
    "dests": "use target_nid",
    "addr_unit": "write 1",
    "min_region_sz": "write 4096",
    "max_nr_snapshots": "leave it out",
    "temporal": 'write "consist"',
    "fail_charge": "leave it out",
}


class Used(NamedTuple):
    """A feature that a scenario uses: where, what, and the first release that has it."""

    path: str
    feature: str
    since: str


def features_of(contexts: tuple[Context, ...]) -> Iterator[Used]:
    """Yield the features that contexts use, with their first release.

    What no kernel has is the model's own and yields nothing, whatever the kernel: readings of the RFC and metrics of one's
    own, ``complement``, ``clamp``, ``early_exit``, ``lag_cache``, ``esz_bp0``, ``esz_floor_min_region``,
    ``esz_cap_monitored``, sources of hotness, schemes that are not ``enabled``, ``dests`` on paddr. Nor does what a kernel
    takes and does not carry out: migration in vaddr before 6.17, an action that an operations set does not know. What the
    model's own builds on does: ``goals``, ``temporal``, ``dests`` where addresses are virtual.
    """
    for i, context in enumerate(contexts):
        where = f"contexts[{i}]"
        if context.attrs.intervals_goal.aggrs:
            yield _used(f"{where}.attrs.intervals_goal", "intervals_goal")
        if context.addr_unit != 1:
            yield _used(f"{where}.addr_unit", "addr_unit")
        if context.min_region_sz != PAGE_SZ:
            yield _used(f"{where}.min_region_sz", "min_region_sz")
        for j, scheme in enumerate(context.schemes):
            yield from _of_scheme(scheme, f"{where}.schemes[{j}]", context.ops != "paddr")


def is_in(kernel: Kernel, use: Used) -> bool:
    """Return whether a kernel has a feature, as released or by a switch."""
    rule = _BY_RULE.get(use.feature)
    return getattr(kernel.rules, rule) if rule else kernel.has(use.since)


_UNCHECKED = ContextVar("_UNCHECKED", default=False)


@contextmanager
def whatever_kernel() -> Iterator[None]:
    """Inside the block scenarios may use what their kernel lacks: `Scenario.missing` says what that is."""
    before = _UNCHECKED.set(True)
    try:
        yield
    finally:
        _UNCHECKED.reset(before)


def check_features(contexts: tuple[Context, ...], kernel: Kernel) -> None:
    """Refuse what a kernel lacks, but inside `whatever_kernel`.

    Raises
    ------
    InputError
        Naming path, feature and the release where it appears.
    """
    for use in features_of(contexts) if not _UNCHECKED.get() else ():
        if not is_in(kernel, use):
            raise InputError(use.path, *_refusal(use, kernel))


def _refusal(use: Used, kernel: Kernel) -> tuple[str, str]:
    """Return what is wrong with a feature that a kernel lacks, and what to do."""
    instead = _INSTEAD.get(use.feature, "another metric" if use.path.endswith("metric") else "")
    rule, there = _BY_RULE.get(use.feature, ""), kernel.has(use.since)
    if there and kernel.switches.get(rule) is False:
        return f"{use.feature} is not in {kernel}", f"drop the switch {rule}, or {instead}"
    since = _MODELLED.get(use.feature, use.since)
    remedy = f"take {repr(NEXT) if since == NEXT else f'{since} or later'}" + (f", or {instead}" if instead else "")
    return f"{use.feature} is not {'modelled for' if there else 'in'} Linux {kernel.release}", remedy


def _of_scheme(scheme: Scheme, where: str, virtual: bool) -> Iterator[Used]:
    if scheme.action in FEATURES:
        yield _used(f"{where}.action", scheme.action)
    if scheme.apply_interval_us:
        yield _used(f"{where}.apply_interval_us", "apply_interval_us")
    if scheme.dests and virtual:
        yield _used(f"{where}.dests", "dests")
    if scheme.max_nr_snapshots:
        yield _used(f"{where}.max_nr_snapshots", "max_nr_snapshots")
    for k, one in enumerate(scheme.filters):
        if f"{one.type} filter" in FEATURES:
            yield _used(f"{where}.filters[{k}].type", f"{one.type} filter")
        if one.allow:
            yield _used(f"{where}.filters[{k}].allow", "allow")
    yield from _of_quota(scheme.quota, f"{where}.quota")


def _of_quota(quota: Quota, where: str) -> Iterator[Used]:
    if quota.goal_tuner in FEATURES:
        yield _used(f"{where}.goal_tuner", quota.goal_tuner)
    for name in ("fail_charge_num", "fail_charge_denom"):
        if getattr(quota, name):
            yield _used(f"{where}.{name}", "fail_charge")
    if quota.goals:
        yield _used(f"{where}.goals", "goals")
    for k, goal in enumerate(quota.goals):
        if since := metric_of(goal.metric).linux:
            yield Used(f"{where}.goals[{k}].metric", goal.metric, since)


def _used(path: str, feature: str) -> Used:
    return Used(path, feature, FEATURES[feature])
