"""Weights by VMA offset on physical addresses: the same destinations as vaddr, at the price of rmap walks."""

from __future__ import annotations

import pytest

import tieringmodel as tm

MIB = 1 << 20


def run(**options):
    """4096 touched pages on node 0, weights 2:3, everything dealt once per 200 ms."""
    scheme = tm.Scheme(
        "migrate_hot", dests=(tm.Dest(0, 2), tm.Dest(1, 3)), quota=tm.Quota(reset_interval_ms=200),
        apply_interval_us=200_000, **options,
    )  # fmt: skip
    scenario = tm.Scenario(
        tm.Machine.dram_cxl("32 MiB", "32 MiB", rmap_ns_per_page=200),
        tm.Workload(4096, groups=(tm.Group(0, 4096, rate_hz=1000.0),), placement=(tm.Placement(0, 4096, 0),)),
        (tm.Context(schemes=(scheme,)),),
    )
    return tm.simulate(scenario, duration=2, seed=1, snapshots=0, progress=False)


@pytest.mark.parametrize("mark", [False, True])
def test_rmap_places_as_vaddr_does_and_walks_once_per_candidate(mark):
    ds = run(rmap_done_mark=mark)
    on_1 = int(ds["class_pages"].sel(node=1).sum("page_class")[-1])
    assert on_1 == 819 * 3  # 4096 = 819 * 5 + 1, and the odd page belongs to node 0
    assert int(ds["migrated_pages"].sum()) == on_1
    # The walks take time: nine passes fit into 2 s instead of ten. Each looks at every page, the first one twice at those
    # that it moves up; with a mark, nothing is looked at again.
    walks = int(ds["rmap_walks"][-1, 0])
    assert walks == (4096 if mark else 9 * 4096 + on_1)
    assert float(ds["time"][2]) == pytest.approx(0.2 + (4096 + (0 if mark else on_1)) * 200e-9)


def test_costs_and_break_even():
    costs = tm.interleave.placement_costs(1000, 10, 0.4, 1.0, walk=0.2, move=1.24, scan=0.04)
    assert costs.rmap_every_round == pytest.approx(10 * 1000 * 0.2 + 600 * 1.24)
    assert costs.rmap_done_mark == pytest.approx(1000 * 0.2 + 600 * 1.24)
    assert costs.without_identity == pytest.approx(600 * 1.24 + 9 * 480 * 1.24)
    assert costs.bp_goal == pytest.approx(10 * 1000 * 0.04 + 600 * 1.24)
    assert costs.rmap_breaks_even  # 0.2 / 1.24 = 0.16 < 0.48
    assert costs.goal_breaks_even
    assert not tm.interleave.placement_costs(10, 1, 0.4, 1.0, walk=0.6, move=1.24, scan=1).rmap_breaks_even
    with pytest.raises(tm.InputError, match="share"):
        tm.interleave.placement_costs(10, 1, 1.4, 1.0, walk=0.6, move=1.24, scan=1)


def test_redrawing_costs_what_the_closed_form_says():
    """Ten rounds of the page process: first moves and 2 p0 p1 of the pages in every later round."""
    ds = tm.interleave.run("iid", (40, 60), 20_000, 10, seed=3)
    predicted = tm.interleave.placement_costs(20_000, 10, 0.4, 1.0, walk=0, move=1, scan=0).without_identity
    # 98,400 moves expected; successive rounds are nearly independent: a standard deviation of about 220.
    assert int(ds["moved"].sum()) == pytest.approx(predicted, abs=900)


def deal(rule: str, duration: float):
    """1000 pages on node 0, weights 40:60, everything dealt in every window of 200 ms."""
    scheme = tm.Scheme(
        "migrate_hot", dests=(tm.Dest(0, 40), tm.Dest(1, 60)), dest_rule=rule, apply_interval_us=200_000,
        quota=tm.Quota(reset_interval_ms=200),
    )  # fmt: skip
    scenario = tm.Scenario(
        tm.Machine.dram_cxl("32 MiB", "32 MiB"),
        tm.Workload(1000, groups=(tm.Group(0, 1000, rate_hz=1000.0),), placement=(tm.Placement(0, 1000, 0),)),
        (tm.Context(schemes=(scheme,)),),
    )
    ds = tm.simulate(scenario, duration=duration, seed=1, snapshots=0, progress=False)
    return ds["class_pages"].sel(node=0).sum("page_class").values[::2], ds["migrated_pages"].values[::2]


def test_push_only_drains_as_the_page_process_does():
    """60 % of what is left on node 0 goes in every window, never back: 1000, 400, 160, 64 …; regions round on their own."""
    on_0, _ = deal("push_only", 1.0)
    ideal = tm.interleave.run("push_only", (40, 60), 1000, 5)["occupancy"].sel(node=0).values
    # The 1000 pages lie in at most two of the initial regions: each rounds by at most half a page and window.
    assert abs(on_0[: ideal.size] - ideal).max() <= 5


def test_per_node_keeps_the_share_and_never_rests():
    on_0, moved = deal("per_node", 3.0)
    assert abs(on_0[1:] - 400).max() <= 25
    # 60 % of node 0's and 40 % of node 1's pages cross in every window: 480 of 1000.
    assert abs(moved[2:] - 480).max() <= 25
