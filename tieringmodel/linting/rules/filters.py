"""Rules about filters that do not select what they seem to, and placements that do not exist."""

from __future__ import annotations

from collections.abc import Iterator

from ...damon.parameters import default_rejects, split_filters
from ...scenario import Scenario, Scheme
from ...units import PAGE_SZ
from ..finding import Finding, fix, rule
from ..goal_reading import memcgs_below
from ..scheme_facts import facts_of
from ..wording import size


@rule
def ops_filters_skipped(scenario: Scenario) -> Iterator[Finding]:
    """An allowing core filter decides alone: the operations filters are not asked, and its default does not reject."""
    for facts in facts_of(scenario).schemes:
        core, ops = split_filters(facts.scheme.filters)
        allowing = [f for f in core if f.allow]
        if not allowing or not ops:
            continue
        kinds = " and ".join(dict.fromkeys(f.type for f in ops))
        path = f"{facts.path}.filters[{facts.scheme.filters.index(allowing[0])}]"
        yield Finding(
            "ops-filters-skipped",
            "warning",
            path,
            f"memory that this {allowing[0].type} filter allows passes without a look at the {kinds} filter, and "
            f"memory outside it is not rejected by default but left to the {kinds} filter",
            f"write it as a rejection: matching = {str(not allowing[0].matching).lower()}, allow = false",
            fix({f"{path}.matching": not allowing[0].matching, f"{path}.allow": False}),
        )


@rule
def young_filter(scenario: Scenario) -> Iterator[Finding]:
    """A young filter that undoes what the action is for."""
    for facts in facts_of(scenario).schemes:
        core, ops = split_filters(facts.scheme.filters)
        if not facts.migrates or len(ops) != 1 or ops[0].type != "young" or any(f.allow for f in core):
            continue
        young_pass = ops[0].allow == ops[0].matching
        if young_pass == (facts.scheme.action == "migrate_hot"):
            continue
        path = f"{facts.path}.filters[{facts.scheme.filters.index(ops[0])}]"
        passing, region = ("touched", "idle") if young_pass else ("untouched", "hot")
        yield Finding(
            "young-filter",
            "warning",
            path,
            f"{facts.scheme.action} prefers {region} regions, but the filter lets only their {passing} pages pass",
            f"set allow = {str(not ops[0].allow).lower()}",
            fix({f"{path}.allow": not ops[0].allow}),
        )


@rule
def goal_of_another_cgroup(scenario: Scenario) -> Iterator[Finding]:
    """A goal about one memory cgroup, and filters that pick the pages of another."""
    for facts in facts_of(scenario).schemes:
        core, ops = split_filters(facts.scheme.filters)
        named = [f for f in ops if f.type == "memcg"]
        if not named or any(f.allow for f in core):
            continue
        for goal in facts.scheme.quota.goals:
            if not goal.metric.startswith("node_memcg_"):
                continue
            members = memcgs_below(facts.shared.scenario, goal.memcg_id)
            can_pass = any(_may_pass(facts.scheme, m) for m in members)
            if can_pass and (members & {f.memcg_id for f in named} or not any(f.allow for f in named)):
                continue
            wrong = next((f for f in named if (f.allow == f.matching) == (f.memcg_id not in members)), named[0])
            picks, path = wrong.allow == wrong.matching, f"{facts.path}.filters[{facts.scheme.filters.index(wrong)}]"
            picked = f"{'picks' if picks else 'rejects'} pages of memory cgroup {wrong.memcg_id}"
            moved = "pages of other kinds alone can change it" if can_pass else "nothing that passes changes it"
            yield Finding(
                "goal-of-another-cgroup",
                "warning" if can_pass else "error",
                f"{path}.memcg_id",
                f"this filter {picked}, the goal {goal.metric} counts cgroup {goal.memcg_id}: {moved}",
                changes=fix({f"{path}.memcg_id": goal.memcg_id} if picks else {f"{path}.allow": not wrong.allow}),
            )


def _may_pass(scheme: Scheme, memcg_id: int) -> bool:
    """Whether some page of a memory cgroup gets past the operations filters; other kinds of filters may say either."""
    for f in split_filters(scheme.filters)[1]:
        if f.type == "memcg":
            if (f.memcg_id == memcg_id) == f.matching:
                return f.allow
        elif f.allow:
            return True
    return not default_rejects(scheme.filters)[1]


@rule
def placement_fits(scenario: Scenario) -> Iterator[Finding]:
    """Pages placed at addresses that no node has, or where no room is left for the rest of a node."""
    places = facts_of(scenario).places
    for k in places.outside:
        yield Finding(
            "placement-outside",
            "error",
            f"workload.placement[{k}].start_bytes",
            f"{scenario.workload.placement[k].start_bytes} does not start a range inside one node: the run will be refused",
            "choose an address range of the machine, or leave start_bytes out",
            fix({f"workload.placement[{k}].start_bytes": None}),
        )
    for i, missing in enumerate(places.overfull):
        if missing:
            less = scenario.machine.nodes[i].cache_bytes - missing * PAGE_SZ
            yield Finding(
                "placement-overfull",
                "error",
                f"machine.nodes[{i}]",
                f"the workload's pages leave {size(missing)} too little for cache_bytes and offline_bytes: the run "
                "will be refused",
                "place fewer pages on the node" + (f", or set cache_bytes = {less}" if less >= 0 else ""),
                fix({f"machine.nodes[{i}].cache_bytes": less} if less >= 0 else {}),
            )
