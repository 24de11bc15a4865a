"""Rules about when a scheme is applied, and how long it only looks at pages."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ...scenario import Scenario
from ...units import PAGE_SZ, format_bytes
from ..finding import Finding, fix, rule
from ..first_move import SLOW_S, caps_bytes, first_pass_s, most_matching_bytes, turns_young_away
from ..scheme_facts import SchemeFacts, facts_of
from ..wording import duration, rate

LONG_WINDOWS = 10
"""A first pass that takes more windows is worth a warning."""


@rule
def apply_starved(scenario: Scenario) -> Iterator[Finding]:
    """Interval tuning restarts the apply clock: a scheme whose apply interval is longer than a round is never due."""
    for facts in facts_of(scenario).schemes:
        clock, attrs, path = facts.clock, facts.context.attrs, f"{facts.path}.apply_interval_us"
        if not clock.round_ticks or (clock.in_the_end and clock.first_us <= clock.round_ticks * attrs.sample_us):
            continue
        level, fate = _fate(facts)
        text = (
            f"interval tuning restarts the apply clock every {attrs.intervals_goal.aggrs} aggregations "
            f"({duration(clock.round_ticks * attrs.sample_us * 1e-6)} as it starts), before the apply interval of "
            f"{duration(facts.scheme.apply_interval_us * 1e-6)} ends: {fate}"
        )
        if not clock.certain:
            seen, wanted = facts.shared.accessed(facts.c, attrs.sample_us), attrs.intervals_goal.access_bp * 1e-4
            text += f"; {seen:.2%} of the access checks are expected to see an access, the tuning goal is {wanted:.2%}"
        yield Finding("apply-starved", level, path, text, changes=fix({path: clock.round_ticks * clock.shortest_us}))


def _fate(facts: SchemeFacts) -> tuple[str, str]:
    """Return level and words for a scheme whose clock is restarted too early at some time."""
    clock = facts.clock
    to = f"{duration(clock.sample_us * 1e-6)}"
    if facts.starved and clock.certain:
        return "error", "the scheme is never due"
    if facts.starved:
        never = "never" if clock.steady else "rarely or never"
        level = "error" if clock.steady and len(facts.shared.phases) == 1 else "warning"
        return level, f"the scheme is {never} due as long as the workload lets tuning keep the sampling interval at {to}"
    if clock.in_the_end:
        level = "warning" if clock.first_us * 1e-6 > SLOW_S else "info"
        return (
            level,
            f"the scheme is first due at about {duration(clock.first_us * 1e-6)}, when tuning has made intervals longer",
        )
    return "warning", f"the scheme is not due any more once tuning has brought the sampling interval down to {to}"


@rule
def young_first_pass(scenario: Scenario) -> Iterator[Finding]:
    """Pages that nobody looked at count as young: where young pages are turned away, the first pass clears bits only."""
    for facts in facts_of(scenario).schemes:
        length_s, position = first_pass_s(facts), turns_young_away(facts)
        if facts.starved or facts.asleep or not facts.apply_us * 1e-6 < length_s < math.inf:
            continue
        path, cap = f"{facts.path}.quota", caps_bytes(facts)
        limit = f"at {rate(cap / PAGE_SZ, facts.window_us)} by its quota" if cap < math.inf else "as its quota grows"
        yield Finding(
            "young-first-pass",
            "warning" if length_s > min(LONG_WINDOWS * facts.window_us * 1e-6, SLOW_S) else "info",
            f"{facts.path}.action" if position == -1 else f"{facts.path}.filters[{position}]",
            f"{'reclaim' if position == -1 else 'this filter'} turns young pages away, and a page that nobody has looked at "
            f"counts as young: the first look only makes it old. Looking once at the "
            f"{format_bytes(most_matching_bytes(facts))} that match takes about {duration(length_s)} ({limit})",
            "charge little for what is not done: set fail_charge_num = 1, fail_charge_denom = 4096",
            fix({f"{path}.fail_charge_num": 1, f"{path}.fail_charge_denom": 4096}),
        )
