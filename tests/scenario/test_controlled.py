"""What share of which node shall be what: small tables worked out by hand."""

from __future__ import annotations

import pytest
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel.scenario.controlled import Controlled, controlled

HOT_TO_0 = tm.Scheme("migrate_hot", target_nid=0)


def goal(metric: str, target: int, nid: int = 0, complement: bool = False) -> tm.Scheme:
    goals = (tm.Goal(metric, target, nid=nid, complement=complement),)
    return HOT_TO_0.replace(quota=tm.Quota(goals=goals, reset_interval_ms=100))


def dealt(*weights: int, nids: tuple[int, ...] = (0, 1)) -> tm.Scheme:
    return tm.Scheme("migrate_hot", dests=tuple(tm.Dest(n, w) for n, w in zip(nids, weights, strict=True)))


@pytest.mark.parametrize(
    ("schemes", "expected"),
    [
        ([goal("node_eligible_mem_bp", 3000, 1)], Controlled("access", 1, 3000)),
        ([goal("node_sys_bp:v1-literal", 4000)], Controlled("access", 0, 4000)),
        ([goal("node_mem_used_bp", 8000)], Controlled("used", 0, 8000)),
        ([goal("node_mem_free_bp", 2100)], Controlled("used", 0, 7900)),
        ([goal("user_input", 5), goal("node_mem_free_bp", 50, 1)], Controlled("used", 1, 9950)),
        ([tm.Scheme(), dealt(3, 2)], Controlled("access", 0, 6000)),
        ([dealt(1, 2, nids=(1, 0))], Controlled("access", 1, 3333)),
        ([dealt(0, 0), dealt(1, 1)], Controlled("access", 0, 5000)),
        ([dealt(3, 2), goal("node_eligible_mem_bp", 100)], Controlled("access", 0, 100)),
        ([goal("node_eligible_mem_bp", 4000, 0, True)], Controlled("access", 0, 6000)),
        ([goal("node_mem_used_bp", 4000, 1, True)], Controlled("used", 1, 6000)),
        ([goal("node_mem_free_bp", 4000, 1, True)], Controlled("used", 1, 4000)),
        ([goal("node_ineligible_mem_bp", 3000)], Controlled("access", 0, 7000)),
        ([goal("node_target_mem_bp", 3000), goal("node_mem_used_bp", 10)], Controlled("used", 0, 10)),
        ([goal("node_memcg_used_bp", 3000), goal("node_eligible_mem_bp:v3", 10)], Controlled("access", 0, 10)),
    ],
)
def test_what_is_controlled(schemes: list[tm.Scheme], expected: Controlled) -> None:
    assert controlled(scenario(*schemes)) == expected
    two = scenario(contexts=(tm.Context(schemes=(tm.Scheme(),)), tm.Context(schemes=tuple(schemes))))
    assert controlled(two) == expected


@pytest.mark.parametrize("schemes", [[], [tm.Scheme()], [goal("user_input", 5)], [dealt(0, 0)]])
def test_without_a_share_nothing_is_controlled(schemes: list[tm.Scheme]) -> None:
    with pytest.raises(tm.InputError, match="no scheme has a goal about a node's share"):
        controlled(scenario(*schemes))


def test_opposing_goals_leave_what_lies_between_them() -> None:
    assert controlled(scenario(pull(6000), push(4000))) == Controlled("access", 0, 6000)
    gap = controlled(scenario(pull(6000), push(2500)))
    assert gap == Controlled("access", 0, 6000, 7500)
    assert [gap.reference_bp(y) for y in (0.0, 6500.5, 9000.0, float("nan"))] == [6000, 6500.5, 7500, 6000]
    assert controlled(scenario(pull(6000), push(4500))) == Controlled("access", 0, 6000)  # overlap: the first one's
    assert controlled(scenario(pull(6000), push(2500)), node=1) == Controlled("access", 1, 2500, 4000)
    other = goal("node_mem_used_bp", 2500, 1)
    assert controlled(scenario(pull(6000), other)) == Controlled("access", 0, 6000)  # not about accesses
    ceiling = goal("node_eligible_mem_bp", 3000, 1, True)
    assert controlled(scenario(pull(6000), ceiling)) == Controlled("access", 0, 6000)
    assert controlled(scenario(ceiling, pull(2000)), node=1) == Controlled("access", 1, 7000)


def test_a_goal_about_the_first_node_comes_first() -> None:
    assert controlled(scenario(push(4000))) == Controlled("access", 1, 4000)
    assert controlled(scenario(push(4000), pull(6000))) == Controlled("access", 0, 6000)
    assert controlled(scenario(push(4000), goal("node_mem_free_bp", 100))) == Controlled("used", 0, 9900)


def test_goals_on_three_nodes_share_what_is_left() -> None:
    shares = [goal("node_eligible_mem_bp", bp, nid) for nid, bp in enumerate((5000, 3000, 1500))]
    three = tuple(tm.Node(i, i << 25, 1 << 25) for i in range(3))
    sc = scenario(*shares, machine=tm.Machine(three))
    assert controlled(sc) == Controlled("access", 0, 5000, 5500)
    assert controlled(sc, node=2) == Controlled("access", 2, 1500, 2000)


def test_events_change_what_is_controlled() -> None:
    base = "contexts.0.schemes.{}.quota.goals.0.target_value"
    events = (tm.Event(40, base.format(0), 7000), tm.Event(40, base.format(1), 2500), tm.Event(90, base.format(0), 100))
    sc = scenario(pull(6000), push(4000)).replace(events=events)
    assert controlled(sc) == controlled(sc, at_us=39) == Controlled("access", 0, 6000)
    assert controlled(sc, at_us=40) == controlled(sc, at_us=89) == Controlled("access", 0, 7000, 7500)
    assert controlled(sc, at_us=90) == Controlled("access", 0, 100, 7500)
    weights = scenario(dealt(3, 2)).replace(events=(tm.Event(5, "contexts.0.schemes.0.dests.0.weight", 1),))
    assert [controlled(weights, at_us=t).target_bp for t in (4, 5)] == [6000, 3333]


def test_a_node_is_asked_for() -> None:
    assert controlled(scenario(dealt(3, 2)), node=1) == Controlled("access", 1, 4000)
    with pytest.raises(tm.InputError, match="no scheme has a goal"):
        controlled(scenario(pull(6000)), node=1)


def test_every_door_judges_by_the_targets_at_the_end() -> None:
    """A goal that an event lowers, in a run whose share stays where it was: compare, sweep and verdict say so alike."""
    event = (tm.Event(1_000_000, "contexts.0.schemes.0.quota.goals.0.target_value", 1),)
    sc = scenario(pull(6000)).replace(events=event)
    ds = tm.simulate(sc, duration="2 s", seed=0)
    assert tm.analysis.series(ds).target_bp == 1
    assert float(tm.compare({"it": sc}, duration="2 s")["target_bp"]) == 1
    assert tm.sweep(sc, {"seed": [0]}, duration="2 s", progress=False)["target_bp"].values.tolist() == [1]
    before = tm.simulate(sc, duration="1 s", seed=0)  # the event comes when nothing follows any more
    assert tm.analysis.series(before).target_bp == 6000
