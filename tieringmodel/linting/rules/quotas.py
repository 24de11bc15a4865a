"""Rules about charge windows, quota sizes and what is charged."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ...damon.parameters import quota_is_given, reset_interval_jiffies
from ...scenario import Scenario
from ...scenario.folios import folio_runs
from ...units import MIB, PAGE_SZ, UINT_MAX, format_bytes
from ..finding import Finding, fix, rule
from ..first_move import matching_bytes, score_at_start, time_cap_bytes
from ..scheme_facts import facts_of
from ..wording import duration, size

SPARSE, USELESS = 0.9, 0.1
"""Below these shares of movable memory, charging what cannot move is worth a remark, or a warning."""


@rule
def no_reset_interval(scenario: Scenario) -> Iterator[Finding]:
    """A quota without charge windows: evaluated once for ever, or at every application."""
    for facts in facts_of(scenario).schemes:
        quota, path = facts.scheme.quota, f"{facts.path}.quota.reset_interval_ms"
        if not quota_is_given(facts.scheme.quota):
            continue
        ms, set_it = quota.reset_interval_ms, fix({path: 1000})
        low = ms & UINT_MAX
        if math.isinf(facts.window_us):
            text = f"{ms} ms counts as endless (bit 31 of its low 32 bits is set; damo's default 'max' is that): "
            text += "the goals are evaluated once, at the first application, and " if quota.goals else ""
            text += "the quota is never refilled"
            yield Finding("no-reset-interval", "error" if quota.goals else "warning", path, text, changes=set_it)
        elif low == 0:
            text = f"with a reset interval of {ms} ms every application starts a new charge window"
            if quota.goals:
                every = duration(facts.apply_us * 1e-6)
                text += f": the goals are evaluated every {every} (twice in the first application), and so is the quota"
            yield Finding("no-reset-interval", "error" if quota.goals else "info", path, text, changes=set_it)
        elif low != ms:
            text = f"Linux takes the low 32 bits of {ms} ms: the charge window is {duration(low * 1e-3)}"
            yield Finding("no-reset-interval", "warning", path, text, changes=fix({path: low}))


@rule
def reset_interval_off_grid(scenario: Scenario) -> Iterator[Finding]:
    """A charge window can only end at an application: the control period is rounded up."""
    for facts in facts_of(scenario).schemes:
        attrs, quota = facts.context.attrs, facts.scheme.quota
        jiffies = reset_interval_jiffies(quota.reset_interval_ms, scenario.machine.hz)
        if not quota_is_given(facts.scheme.quota) or not jiffies or facts.context.aggr_times_us:
            continue
        wanted = (quota.reset_interval_ms & UINT_MAX) * 1000
        periods = sorted({*facts.windows_us})
        if periods == [wanted]:
            continue
        reasons = [f"a charge window ends only at an application, every {duration(facts.apply_us * 1e-6)}"]
        if jiffies * 1_000_000 != wanted * scenario.machine.hz:
            reasons.append(f"HZ = {scenario.machine.hz} makes it {jiffies} jiffies of {1e3 / scenario.machine.hz:g} ms")
        if (facts.scheme.apply_interval_us or attrs.aggr_us) % attrs.sample_us:
            reasons.append(f"applications happen after whole sampling intervals of {duration(attrs.sample_us * 1e-6)}")
        period, text = f"{facts.window_us * 1e-3:.10g} ms", f"set reset_interval_ms = {facts.window_us * 1e-3:.10g}"
        changes = fix({f"{facts.path}.quota.reset_interval_ms": round(facts.window_us * 1e-3)})
        if len(periods) > 1:
            reasons.append("applications come in the middle of jiffies")
            period = " or ".join(f"{p * 1e-3:.10g}" for p in periods) + f" ms, {facts.window_us * 1e-3:.4g} ms on average,"
            text = f"let applications be whole jiffies of {1e3 / scenario.machine.hz:g} ms apart"
        yield Finding(
            "reset-interval-off-grid",
            "info",
            f"{facts.path}.quota.reset_interval_ms",
            f"the control period is {period} instead of {wanted / 1000:g} ms: " + "; ".join(reasons),
            text,
            changes if facts.window_us % 1000 == 0 and len(periods) == 1 else fix({}),
        )


@rule
def quota_size(scenario: Scenario) -> Iterator[Finding]:
    """A size quota that holds no region, or whose last bytes are never used."""
    for facts in facts_of(scenario).schemes:
        sz, step = facts.scheme.quota.sz_bytes, facts.context.min_region_sz
        path = f"{facts.path}.quota.sz_bytes"
        if 0 < sz < step and not facts.scheme.quota.esz_floor_min_region:
            yield Finding(
                "quota-below-region",
                "error",
                path,
                f"{sz} bytes are less than the smallest region of {step} bytes: the quota counts as full at once, "
                "nothing is ever done",
                changes=fix({path: max(MIB, step)}),
            )
        elif sz > step and sz % step:
            usable = sz - sz % step
            text = f"the last {sz % step} of {sz} bytes are less than the smallest region of {step} and never used"
            yield Finding("quota-not-pages", "info", path, text, changes=fix({path: usable}))


@rule
def weights_zero(scenario: Scenario) -> Iterator[Finding]:
    """A quota without priority weights: every region scores the same."""
    scored = ("pageout", "lru_prio", "lru_deprio", "migrate_hot", "migrate_cold")
    for facts in facts_of(scenario).schemes:
        quota, weights = facts.scheme.quota, facts.scheme.quota.weights
        by_score = scored if facts.context.ops == "paddr" else ("pageout", "migrate_hot", "migrate_cold")
        if not quota_is_given(facts.scheme.quota) or weights.nr_accesses or weights.age or facts.scheme.action not in by_score:
            continue
        score = 0 if facts.scheme.action in ("migrate_hot", "lru_prio") else 99
        matching = sum(facts.supply())
        binding = facts.cap_pages is not None and matching > facts.cap_pages
        text = f"both priority weights are 0, so every region scores {score} and regions are taken in address order"
        if weights.sz:
            text += f" (sz = {weights.sz} is accepted and unused)"
        if binding:
            text += f"; {size(matching)} match, the quota does {format_bytes(quota.sz_bytes)} per window"
        path = f"{facts.path}.quota.weights"
        change = fix({f"{path}.nr_accesses": 100, f"{path}.age": 100})
        yield Finding("weights-zero", "warning" if binding else "info", path, text, changes=change)


@rule
def large_folios(scenario: Scenario) -> Iterator[Finding]:
    """A folio moves whole, however little of it the quota was charged for."""
    mixed = [PAGE_SZ << run.order for run in folio_runs(scenario.workload)]
    folio = max([scenario.machine.folio_bytes, *mixed])
    for facts in facts_of(scenario).schemes if folio > PAGE_SZ else ():
        most, region = facts.scheme.quota.sz_bytes, facts.context.min_region_sz * facts.context.addr_unit
        if facts.migrates and facts.context.ops == "paddr" and quota_is_given(facts.scheme.quota) and most < 64 * folio:
            yield Finding(
                "large-folios",
                "info",
                "workload.groups" if mixed else "machine.folio_bytes",
                f"{facts.path}: a piece of {format_bytes(region)} that the quota lets through moves the folio of "
                f"{format_bytes(folio)} it lies in: small quotas move up to {folio // region} times what they are charged",
                f"give quota.sz_bytes = {64 * folio} or more, so that it counts folios",
                fix({f"{facts.path}.quota.sz_bytes": 64 * folio}),
            )


@rule
def failed_charges(scenario: Scenario) -> Iterator[Finding]:
    """Regions are charged whole, also for frames that hold no page that the action can take."""
    for facts in facts_of(scenario).schemes:
        quota, pattern = facts.scheme.quota, facts.scheme.access_pattern
        idle = pattern.min_nr_accesses == 0 and pattern.max_sz_bytes
        takes = facts.migrates or facts.reclaims
        if (
            not takes
            or facts.context.ops != "paddr"
            or not quota_is_given(facts.scheme.quota)
            or quota.fail_charge_denom
            or not idle
        ):
            continue
        matching, movable = matching_bytes(facts), sum(facts.supply(0)) * PAGE_SZ
        if not matching or movable >= SPARSE * matching:
            continue
        path = f"{facts.path}.quota.fail_charge_denom"
        swap = scenario.machine.swap
        to_disk = facts.reclaims and swap is not None and swap.kind == "disk"  # where pages just written would count as failed
        yield Finding(
            "failed-charges",
            "warning" if movable < USELESS * matching and (score_at_start(facts) or 0) < 10_000 else "info",
            path,
            f"of {format_bytes(matching)} that look untouched, {format_bytes(movable)} are pages on an LRU list; the rest "
            f"(free, kernel, holes) is charged in full and {'reclaims' if facts.reclaims else 'moves'} nothing: "
            f"{1 - movable / matching:.0%} of the quota over one visit of all",
            changes=() if to_disk else fix({path.replace("denom", "num"): 1, path: 4096}),
        )


@rule
def quota_bound(scenario: Scenario) -> Iterator[Finding]:
    """Of a size and a time quota the smaller one decides."""
    for facts in facts_of(scenario).schemes:
        quota, time_bytes, path = facts.scheme.quota, time_cap_bytes(facts), f"{facts.path}.quota"
        if not quota.sz_bytes or not quota.ms:
            continue
        measured = facts.migrates and scenario.machine.migrate_ns_per_page
        worth = f"at {scenario.machine.migrate_ns_per_page} ns per page" if measured else "while no time is measured"
        by_time = time_bytes < quota.sz_bytes
        enough_ms = -(-quota.ms * quota.sz_bytes // time_bytes)
        yield Finding(
            "quota-bound",
            "info",
            f"{path}.ms" if by_time else f"{path}.sz_bytes",
            f"of two quotas the smaller one decides, {'ms' if by_time else 'sz_bytes'}: {quota.ms} ms per window are "
            f"{format_bytes(time_bytes)} {worth}, sz_bytes is {format_bytes(quota.sz_bytes)}",
            changes=fix({f"{path}.ms": enough_ms if by_time else 0}),
        )
