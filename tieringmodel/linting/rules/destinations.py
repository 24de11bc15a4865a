"""Rules about where a scheme moves pages to and from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import gcd
from typing import Any

import numpy as np

from ...damon.parameters import quota_is_given
from ...fields import suggest
from ...scenario import Scenario, Vma
from ..finding import Finding, fix, rule
from ..scheme_facts import SchemeFacts, facts_of
from ..wording import cap, size

OFF_BP = 200
"""Distance between dealt and wanted share that is worth a warning."""
MOST_WEIGHTS = 64
"""Sums of weights below this are tried as a remedy."""


@rule
def target_node(scenario: Scenario) -> Iterator[Finding]:
    """A migration to nowhere."""
    shared = facts_of(scenario)
    nids = [n.nid for n in shared.nodes]
    for facts in shared.schemes:
        if not facts.migrates:
            if facts.scheme.dests:
                text = f"{facts.scheme.action} has no destinations: they are ignored"
                change = fix({f"{facts.path}.action": "migrate_hot"})
                yield Finding("dests-unused", "info", f"{facts.path}.dests", text, changes=change)
            continue
        nid = facts.scheme.target_nid
        if not facts.scheme.dests and nid not in nids:
            what, path = f"{nid} is no node" if nid < 0 else f"the machine has no node {nid}", f"{facts.path}.target_nid"
            text = f"{what}: nothing migrates, while regions are tried, charged and lose their age"
            change = _other_node(facts, path, facts.sources)
            yield Finding("target-node", "error", path, text, suggest(str(nid), map(str, nids)), change)
        yield from _dests(facts, nids)


def _dests(facts: SchemeFacts, nids: list[int]) -> Iterator[Finding]:
    dests, path = facts.scheme.dests, f"{facts.path}.dests"
    total = sum(d.weight for d in dests)
    if not dests:
        return
    if not total:
        change = fix({f"{path}[{k}].weight": 1 for k in range(len(dests))})
        yield Finding("dests-weights-zero", "error", path, "all weights are 0: no page is ever moved", changes=change)
        return
    for k, d in enumerate(dests):
        if d.id not in nids and d.weight:
            share = d.weight * 10_000 // total
            text = f"the machine has no node {d.id}: the {share} bp of pages dealt to it stay where they are"
            change = _other_node(facts, f"{path}[{k}].id", {nids.index(x.id) for x in dests if x.id in nids})
            yield Finding("target-node", "error", f"{path}[{k}].id", text, suggest(str(d.id), map(str, nids)), change)
    if facts.context.ops == "paddr":
        nid = facts.scheme.target_nid
        instead = f"would move everything to node {nid}" if nid in nids else "would move nothing (target_nid is no node)"
        yield Finding(
            "dests-on-paddr",
            "warning",
            path,
            f"counterfactual: paddr of Linux 7.3.4 ignores destinations and {instead}; the model deals pages by "
            f"dest_rule = {facts.scheme.dest_rule!r}",
            f"set contexts[{facts.c}].ops = 'vaddr', or use target_nid with a goal",
        )
    if facts.scheme.dest_rule == "vma_offset":
        yield from _offsets(facts, [d.weight for d in dests])


def _offsets(facts: SchemeFacts, weights: list[int]) -> Iterator[Finding]:
    """Weights are intervals of the offset modulo their sum: long ones, and hot sets in step with them, miss it."""
    common, total, path = gcd(*weights), sum(weights), f"{facts.path}.dests"
    if common > 1:
        small = [w // common for w in weights]
        off, less = (max(w * (sum(x) - w) / sum(x) for w in x) for x in (weights, small))
        yield Finding(
            "weights-not-reduced",
            "info",
            path,
            f"weights {':'.join(map(str, weights))} deal runs of up to {max(weights)} pages in turn: a contiguous "
            f"range can be off by {off:.3g} pages, with {':'.join(map(str, small))} by {less:.3g}",
            f"set weights {', '.join(map(str, small))}",
            _weights(path, small),
        )
    judged = total < 2**32 and len(weights) <= 256  # what the closed form takes
    dealt = _dealt(facts, weights) if judged else [0] * len(weights)
    pages = sum(dealt)
    if _off_bp(dealt, weights) > OFF_BP:
        got, wanted = (", ".join(f"{n * 10_000 / sum(x):.0f}" for n in x) for x in (dealt, weights))
        yield Finding(
            "weights-share-off",
            "warning",
            path,
            f"the offsets of the {pages} touched pages are not spread evenly over {total}: {got} bp are dealt where "
            f"the weights ask for {wanted} bp",
            "choose weights with a sum that is small and has no divisor in common with the stride of the touched pages",
            _weights(path, next((w for w in _near(weights) if _off_bp(_dealt(facts, w), weights) <= OFF_BP), [])),
        )


def _other_node(facts: SchemeFacts, path: str, taken: Iterable[int]) -> tuple[dict[str, Any], ...]:
    """Return the change to the only node that is left, if there is but one."""
    left = [n.nid for i, n in enumerate(facts.shared.nodes) if i not in taken]
    return fix({path: left[0]} if len(left) == 1 else {})


def _weights(path: str, weights: list[int]) -> tuple[dict[str, Any], ...]:
    return fix({f"{path}[{k}].weight": w for k, w in enumerate(weights)})


def _near(weights: list[int]) -> Iterator[list[int]]:
    """Yield weights of almost the same shares with other, small sums."""
    total = sum(weights)
    for small in range(2, MOST_WEIGHTS):
        near = [round(w * small / total) for w in weights]
        if sum(near) == small and _off_bp(near, weights) <= OFF_BP / 2:
            yield near


def _off_bp(parts: list[int], weights: list[int]) -> float:
    """Return how far the shares of parts are from those of weights at most, in bp; 0 without any part."""
    total, all_parts = sum(weights), sum(parts)
    return max(abs(n / all_parts - w / total) for n, w in zip(parts, weights, strict=True)) * 10_000 if all_parts else 0.0


def _dealt(facts: SchemeFacts, weights: list[int]) -> list[int]:
    """Return how many of the touched pages that match the pattern fall to each destination, by offset."""
    from ...interleave.closed_forms import vma_offset_pages

    workload, attrs = facts.shared.scenario.workload, facts.context.attrs
    out = [0] * len(weights)
    vmas = workload.vmas or (Vma(0, workload.n_pages, 0),)
    lo, hi = (np.array([getattr(v, name) for v in vmas]) for name in ("lo", "hi"))
    for g in workload.groups:
        nr = attrs.aggr_us // attrs.sample_us * g.touch_probability(attrs.sample_us, facts.shared.scenario.tick_us)
        for v in (vmas[k] for k in np.flatnonzero((lo < g.hi) & (g.lo < hi))) if facts.matches(nr) else ():
            if pages := g.touched(v.lo, v.hi):
                counts = vma_offset_pages(weights, len(pages), pages.start - v.lo + v.pgoff, pages.step)
                out = [a + b for a, b in zip(out, counts, strict=True)]
    return out


@rule
def missing_address_filter(scenario: Scenario) -> Iterator[Finding]:
    """A scheme that also visits the node it moves to, or nothing but that."""
    for facts in facts_of(scenario).schemes:
        if facts.context.ops != "paddr" or facts.target is None:
            continue
        node, others = facts.shared.nodes[facts.target], facts.all_but(facts.target)
        if not facts.sources:
            yield Finding(
                "source-is-target",
                "error",
                f"{facts.path}.filters" if facts.scheme.filters else f"contexts[{facts.c}].targets",
                f"nothing but node {node.nid}, the target itself, is monitored and passes the filters: nothing can move",
                "let the filters pass the node to move from",
                fix({f"{facts.path}.filters": [f.to_dict() for f in others]} if facts.scheme.filters else {}),
            )
            continue
        if not facts.shared.bytes_on(facts.passing, facts.target):
            continue
        there, all_pages = facts.supply()[facts.target], sum(facts.supply())
        charged = quota_is_given(facts.scheme.quota)
        share = f" ({there / all_pages:.0%} of what matches)" if all_pages else ""
        text = f"node {node.nid}, the target, passes the filters: pages already there lose their regions' age"
        if charged:
            text += f" and are charged to the quota ({cap(facts.scheme)}) without being moved"
            text += f": {size(there)} at the start{share}"
        yield Finding(
            "missing-address-filter",
            "warning" if charged and (there or not facts.scheme.access_pattern.min_nr_accesses) else "info",
            f"{facts.path}.filters",
            text,
            "add "
            + " and ".join(
                f"{{ type = 'addr', allow = false, start_bytes = {f.start_bytes}, end_bytes = {f.end_bytes} }}" for f in others
            )
            + " before the others",
            fix({f"{facts.path}.filters": [f.to_dict() for f in (*others, *facts.scheme.filters)]}),
        )
