"""Rules about filters that do not select what they seem to, and placements that do not exist."""

from __future__ import annotations

from collections.abc import Iterator

from ...damon.table import split_filters
from ...scenario import Scenario
from ..finding import Finding, rule
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
        yield Finding(
            "ops-filters-skipped",
            "warning",
            f"{facts.path}.filters[{facts.scheme.filters.index(allowing[0])}]",
            f"memory that this {allowing[0].type} filter allows passes without a look at the {kinds} filter, and "
            f"memory outside it is not rejected by default but left to the {kinds} filter",
            f"write it as a rejection: matching = {str(not allowing[0].matching).lower()}, allow = false",
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
        passing, region = ("touched", "idle") if young_pass else ("untouched", "hot")
        yield Finding(
            "young-filter",
            "warning",
            f"{facts.path}.filters[{facts.scheme.filters.index(ops[0])}]",
            f"{facts.scheme.action} prefers {region} regions, but the filter lets only their {passing} pages pass",
            f"set allow = {str(not ops[0].allow).lower()}",
        )


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
            "choose an address range of the machine",
        )
    for i, missing in enumerate(places.overfull):
        if missing:
            yield Finding(
                "placement-overfull",
                "error",
                f"machine.nodes[{i}]",
                f"the workload's pages leave {size(missing)} too little for cache_bytes and offline_bytes: the run "
                "will be refused",
                "place fewer pages on the node",
            )
