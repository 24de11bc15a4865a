"""Weighted interleave by vaddr and a share goal by paddr on the same pages: when they agree and when they fight.

The RFC calls the two complementary. Each moves a page where it wants it without asking the other, so they come to rest only
if the weights and the goals ask for the same share.
"""

from __future__ import annotations

from ..errors import InputError
from ..scenario import AccessPattern, Attrs, Context, Dest, Quota, Scenario, Scheme, Target, Vma
from .policies import with_gap


def together(scenario: Scenario, weights: tuple[int, int], *, gap_bp: int = 800) -> Scenario:
    """Return the scenario with a vaddr context beside its own that interleaves the same pages.

    Parameters
    ----------
    scenario : Scenario
        One paddr context with two opposing share goals.
    weights : tuple of int
        Weights of the first and second node.
    gap_bp : int
        Gap between the goals, with a quota that cannot cross it (see `with_gap`), so that any unrest left is the fight's.

    Returns
    -------
    Scenario
        The vaddr context comes second; it has the first scheme's size quota and no priorities.

    Raises
    ------
    InputError
        If the scenario has no pair of opposing share goals.
    """
    base = with_gap(scenario, gap_bp)
    if base is None:
        raise InputError("scenario", "has no two opposing share goals", "give one such as the shipped rfc-40-60")
    model = scenario.contexts[0].schemes[0]
    nodes = scenario.machine.nodes
    scheme = Scheme(
        action="migrate_hot",
        access_pattern=AccessPattern(min_nr_accesses=model.access_pattern.min_nr_accesses),
        quota=Quota(sz_bytes=model.quota.sz_bytes, reset_interval_ms=model.quota.reset_interval_ms),
        dests=(Dest(nodes[0].nid, weights[0]), Dest(nodes[1].nid, weights[1])),
    )
    attrs = scenario.contexts[0].attrs
    interleave = Context(
        ops="vaddr",
        attrs=Attrs(attrs.sample_us, attrs.aggr_us, attrs.update_us, attrs.min_nr_regions, attrs.max_nr_regions),
        targets=(Target(),),
        schemes=(scheme,),
    )
    workload = base.workload
    if not workload.vmas:
        workload = workload.replace(vmas=(Vma(0, workload.n_pages, 1 << 40),))
    name = f"{scenario.name} with interleave {weights[0]}:{weights[1]}"
    return base.replace(workload=workload, contexts=(base.contexts[0], interleave), name=name)
