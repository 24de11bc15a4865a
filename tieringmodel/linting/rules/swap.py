"""Rules about swap devices: what a disk makes of a quota, and what nothing uses."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ...scenario import Scenario
from ...units import format_bytes
from ..finding import Finding, fix, rule
from ..first_move import caps_bytes
from ..scheme_facts import facts_of
from ..wording import duration


@rule
def disk_breaks_quota(scenario: Scenario) -> Iterator[Finding]:
    """A page first written to a disk is not freed in that visit: it counts as failed."""
    disk = scenario.machine.swap
    if disk is None or disk.kind != "disk":
        return
    for facts in facts_of(scenario).schemes:
        quota, cap = facts.scheme.quota, caps_bytes(facts)
        if not facts.reclaims or not quota.fail_charge_denom or math.isinf(cap):
            continue
        times = quota.fail_charge_denom / max(quota.fail_charge_num, 1)
        if times <= 1:
            continue
        pages = sum(facts.supply(0)) * scenario.machine.folio_bytes
        passes = min(cap * times, pages)
        if passes <= cap:
            continue
        busy = ""
        if disk.throughput_bytes_per_s:
            seconds = max(passes - disk.queue_bytes, 0) / disk.throughput_bytes_per_s
            busy = f", which keeps kdamond busy for {duration(seconds)}" if seconds >= 1e-3 else ""
        path = f"{facts.path}.quota.fail_charge_denom"
        yield Finding(
            "disk-breaks-quota",
            "warning",
            path,
            f"a page first written to disk is not freed in that visit and counts as failed: charged "
            f"{quota.fail_charge_num}/{quota.fail_charge_denom}, up to {format_bytes(passes)} pass in a window of "
            f"{format_bytes(cap)}{busy}",
            "charge failures in full (fail_charge_denom = 0)",
            fix({path.replace("denom", "num"): 0, path: 0}),
        )


@rule
def unused_swap(scenario: Scenario) -> Iterator[Finding]:
    """A swap device, and pages that cannot be reclaimed, matter where something reclaims."""
    if any(facts.reclaims for facts in facts_of(scenario).schemes):
        return
    if any(event.value == "pageout" for event in scenario.events) or scenario.commits:
        return
    unused = ["machine.swap"] if scenario.machine.swap else []
    for i, group in enumerate(scenario.workload.groups):
        shares = ("dirty_share", "unevictable_share")
        unused += [f"workload.groups[{i}].{name}" for name in shares if getattr(group, name)]
    for path in unused:
        yield Finding("unused-swap", "info", path, "nothing depends on it: no paddr scheme has the action pageout")
