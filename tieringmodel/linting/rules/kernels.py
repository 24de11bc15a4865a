"""Rules about what a scenario's kernel does otherwise than the newest one (docs/theory/kernels.md, sections 3 and 8)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from ...damon.parameters import quota_is_given
from ...scenario import Scenario, Scheme
from ...scenario.metrics import ELIGIBLE
from ...scenario.rules import BY_SWITCH
from ...units import PAGE_SZ, format_bytes
from ..finding import Finding, fix, rule
from ..first_move import caps_bytes, most_matching_bytes, unlimited_at_first
from ..scheme_facts import SchemeFacts, facts_of
from ..wording import duration, size


def _with(switch: str, instead: str = "") -> tuple[str, tuple[dict[str, Any], ...]]:
    """Return the remedy of a rule that the kernel lacks: in words, and as the switch that shows what it changes."""
    one = BY_SWITCH[switch]
    backports = f" (also {one.backports})" if one.backports else ""
    remedy = f"take Linux {one.since} or later{backports}" + (f", or {instead}" if instead else "")
    return f"{remedy}; kernel.{switch} = true shows what that changes", fix({f"kernel.{switch}": True})


@rule
def first_window(scenario: Scenario) -> Iterator[Finding]:
    """Row 1: until the first charge window ends, the effective quota is 0, and that limits nothing."""
    for facts in (facts for facts in facts_of(scenario).schemes if unlimited_at_first(facts)):
        end_s, taken = facts.evaluation_s(1), most_matching_bytes(facts)
        until = f"from {duration(facts.first_us * 1e-6)} to {duration(end_s)}"
        level = "warning" if taken > caps_bytes(facts) or facts.scheme.quota.goals else "info"
        if math.isinf(end_s):
            until, level = "and that window never ends", "error"
        remedy, change = _with("first_window_esz", "a shorter reset interval, which makes that time shorter")
        yield Finding(
            "first-window-unlimited",
            level,
            f"{facts.path}.quota",
            f"Linux {scenario.kernel.title} begins the first charge window with an effective quota of 0, which is no quota "
            f"at all, {until}: up to {format_bytes(taken)} that match may be taken at once",
            remedy,
            change,
        )


@rule
def quota_full(scenario: Scenario) -> Iterator[Finding]:
    """Rows 4 and 30: a quota is full when it is charged to the last byte, which one that is not aligned never is."""
    for facts in facts_of(scenario).schemes if not scenario.kernel.rules.quota_full_min_region else ():
        quota, step = facts.scheme.quota, facts.context.min_region_sz
        consist = quota.goals and quota.goal_tuner == "consist"
        odd = quota.sz_bytes % step if quota.sz_bytes > step else 0
        if consist or quota.ms:
            below = " below its size quota" if quota.sz_bytes else ""
            seldom = f"what CONSIST grants{below}" if consist else "what a time quota comes to"
            what = f"{seldom} is seldom a multiple of that"
            remedy, change = _with("quota_full_min_region")
        elif odd:
            what = f"{quota.sz_bytes} bytes are no multiple of that"
            remedy, change = "", fix({f"{facts.path}.quota.sz_bytes": quota.sz_bytes - odd})
        else:
            continue
        yield Finding(
            "quota-never-full",
            "warning" if most_matching_bytes(facts) > caps_bytes(facts) or consist else "info",
            f"{facts.path}.quota" + (".sz_bytes" if odd else ""),
            f"on Linux {scenario.kernel.title} a quota is full when it is charged to the last byte, and regions are charged "
            f"in steps of {step} bytes: {what}, and what is none never gets full, so that qt_exceeds stays as it is and no "
            "resume address is set: each pass begins at the lowest address again",
            remedy,
            change,
        )


def _overfull(facts: SchemeFacts) -> tuple[int, int, int] | None:
    """Return (nid, pages that may come, pages of room) of a node that migration can fill; None if there is none."""
    shared, supply = facts.shared, facts.supply()
    weights = {shared.index_of[d.id]: d.weight for d in facts.scheme.dests if d.weight and d.id in shared.index_of}
    if not facts.scheme.dests and facts.target is not None:
        weights = {facts.target: 1}
    for target, weight in weights.items():
        coming = sum(supply) * weight // sum(weights.values()) - supply[target]
        if facts.target is not None:
            coming = sum(supply[i] for i in facts.sources)
        room = max(shared.places.free[target] - shared.reserve[target], 0)
        if coming > room and not _stopped_before(facts, target):
            return shared.nodes[target].nid, coming, room
    return None


def _stopped_before(facts: SchemeFacts, target: int) -> bool:
    """Whether a goal about the target's used memory is met before the node is full, by more than one window moves."""
    shared = facts.shared
    for goal in facts.scheme.quota.goals:
        if goal.metric == "node_mem_used_bp" and shared.index_of.get(goal.nid) == target and not goal.complement:
            spare = shared.total[target] * (10_000 - goal.target_value) // 10_000
            return spare * PAGE_SZ > caps_bytes(facts)
    return False


@rule
def full_target(scenario: Scenario) -> Iterator[Finding]:
    """Row 18: pages whose target node is full go to any node, their own included."""
    for facts in facts_of(scenario).schemes if not scenario.kernel.rules.thisnode else ():
        found = _overfull(facts) if facts.migrates else None
        if found is None:
            continue
        nid, coming, room = found
        remedy, change = _with("thisnode", "up to 6.16")
        yield Finding(
            "full-target-anywhere",
            "warning",
            f"{facts.path}.dests" if facts.scheme.dests else f"{facts.path}.target_nid",
            f"node {nid} has room for {size(room)}, {size(coming)} may be migrated to it: once it is full, Linux "
            f"{scenario.kernel.title} puts pages on any node, also back on their own, and counts and charges each of them",
            remedy,
            change,
        )


@rule
def sample_reuse(scenario: Scenario) -> Iterator[Finding]:
    """Row 37: a sample in the folio that was checked last repeats the answer of then, from one tick to the next, too."""
    shared, folio = facts_of(scenario), scenario.machine.folio_bytes
    if scenario.kernel.rules.fresh_look or folio == PAGE_SZ:
        return
    for c, context in enumerate(scenario.contexts):
        if context.sources or context.ops != "paddr" or not shared.monitored[c]:
            continue
        folios = (max(b for _, b in shared.monitored[c]) - 1) // folio - min(a for a, _ in shared.monitored[c]) // folio + 1
        remedy, change = _with("fresh_look")
        yield Finding(
            "sample-reuse",
            "warning" if folios == 1 else "info",
            f"contexts[{c}].targets",
            f"Linux {scenario.kernel.title} remembers the folio that it checked last and repeats its answer while samples fall "
            "on it: "
            + (
                f"all that is monitored lies in one folio of {format_bytes(folio)}, which is looked at once and keeps that "
                "answer"
                if folios == 1
                else f"regions that share a folio of {format_bytes(folio)} share a look, and a range inside one would keep its "
                "first answer"
            ),
            remedy,
            change,
        )


@rule
def min_nr_regions(scenario: Scenario) -> Iterator[Finding]:
    """Row 6: min_nr_regions limits merging, and makes no regions."""
    rules = scenario.kernel.rules
    for c, context in enumerate(scenario.contexts if not rules.apply_min_nr_regions else ()):
        attrs = context.attrs
        given = sum(len(t.regions) or (1 if context.ops == "paddr" else attrs.min_nr_regions) for t in context.targets)
        if given >= attrs.min_nr_regions:
            continue
        split = math.ceil(math.log2(attrs.min_nr_regions / max(given, 1)))
        out_of_reach = not rules.split_some_regions and 2 * attrs.min_nr_regions > attrs.max_nr_regions
        when = (
            f"above max_nr_regions / 2 = {attrs.max_nr_regions // 2} regions none is split, so that many may never exist"
            if out_of_reach
            else f"splitting takes {split} aggregations or more ({duration(split * attrs.aggr_us * 1e-6)}) to get there"
        )
        remedy, change = _with("apply_min_nr_regions", "give ranges that are that many")
        yield Finding(
            "min-regions-merge-only",
            "warning" if out_of_reach else "info",
            f"contexts[{c}].attrs.min_nr_regions",
            f"on Linux {scenario.kernel.title} min_nr_regions = {attrs.min_nr_regions} only keeps regions from merging "
            f"further: monitoring begins with {given}, and {when}",
            remedy,
            change,
        )


def _committed(scenario: Scenario) -> Iterator[tuple[str, int, str, Scheme, Scheme | None, str]]:
    """Yield (path of an event or commit, time, path of a scheme, how it is then, how it was, its path in the scenario)."""
    stages = [("", 0, scenario), *scenario.changes()]
    for (_, _, before), (where, at_us, now) in pairwise(stages):
        for c, context in enumerate(now.contexts):
            old = before.contexts[c].schemes
            for s, scheme in enumerate(context.schemes):
                was = old[s] if s < len(old) else None
                if was != scheme:
                    yield where, at_us, f"contexts.{c}.schemes.{s}", scheme, was, f"contexts[{c}].schemes[{s}]"


@rule
def removed_quota(scenario: Scenario) -> Iterator[Finding]:
    """Row 17: a quota whose limits a commit takes away is not adjusted any more."""
    if scenario.kernel.rules.adjust_quota_while_esz:
        return
    for where, at_us, path, now, was, shown in _committed(scenario):
        if was is None or not quota_is_given(was.quota) or quota_is_given(now.quota):
            continue
        number = int(where.rpartition("[")[2].rstrip("]"))
        remedy, change = _with("adjust_quota_while_esz", "set a size quota of 'max' instead of none")
        if where.startswith("events") and scenario.events[number].path == f"{path}.quota.sz_bytes":
            remedy, change = "set a size quota of 'max' instead of none", fix({f"{where}.value": "max"})
        elif where.startswith("commits"):
            inside = path.split(".", 2)[2]
            remedy, change = "set a size quota of 'max' instead of none", fix({f"{where}.to.{inside}.quota.sz_bytes": "max"})
        yield Finding(
            "quota-outlives-commit",
            "warning",
            where,
            f"at {duration(at_us * 1e-6)} {shown} loses every limit of its quota, but Linux {scenario.kernel.title} adjusts "
            "a quota without limits no more: the last effective quota and what was charged to it stay, and once it is full "
            "the scheme does nothing",
            remedy,
            change,
        )


@rule
def stale_nid(scenario: Scenario) -> Iterator[Finding]:
    """Row 22: a commit does not carry the nid of a node_eligible_mem_bp goal."""
    if scenario.kernel.rules.commit_eligible_nid:
        return
    for where, at_us, _, now, was, shown in _committed(scenario):
        old = was.quota.goals if was else ()
        for k, goal in enumerate(now.quota.goals):
            if goal.metric != ELIGIBLE or (k < len(old) and old[k].nid == goal.nid):
                continue
            stays = f"it stays about node {old[k].nid}" if k < len(old) else "of a goal that is new it is undefined"
            remedy, change = _with("commit_eligible_nid")
            yield Finding(
                "stale-nid",
                "warning",
                where,
                f"at {duration(at_us * 1e-6)} {shown}.quota.goals[{k}] is to be about node {goal.nid}, but a commit on Linux "
                f"{scenario.kernel.title} does not carry the nid of {ELIGIBLE}: {stays}",
                remedy,
                change,
            )
