"""What a kernel lacks is refused, with the release where it appears; what is the model's own is not."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from small import HOT, MIB, scenario

import tieringmodel as tm
from tieringmodel.damon.goals import current_value
from tieringmodel.interop.load import shipped_names
from tieringmodel.scenario.features import FEATURES, Used
from tieringmodel.scenario.linux import NAMES, SHORT, version
from tieringmodel.scenario.metrics import SHIPPED
from tieringmodel.simulation.engine import Engine

OLD, QUOTA = tm.Kernel("6.12"), tm.Quota(sz_bytes=MIB, reset_interval_ms=100)


def moving(*, context: dict[str, Any] | None = None, **scheme: Any) -> tm.Scenario:
    """A scheme that uses nothing that 6.12 does not have, with changes, on a kernel that has everything."""
    given = {"action": "migrate_hot", "access_pattern": HOT, "target_nid": 0, "quota": QUOTA} | scheme
    mine = tm.Context(**({"schemes": (tm.Scheme(**given),)} | (context or {})))
    return scenario(vmas=(tm.Vma(0, 4096, 1 << 40),)).replace(contexts=(mine,), kernel="next")


def with_goal(metric: str, **goal: Any) -> tm.Scenario:
    return moving(quota=QUOTA.replace(goals=(tm.Goal(metric, 4000, **goal),)))


def tuned(aggrs: int) -> tm.Attrs:
    return tm.Attrs(intervals_goal=tm.IntervalsGoal(400, aggrs, 5000, 10**7))


DEALT = tm.Scheme("migrate_hot", dests=(tm.Dest(0, 1),))
USES: list[tuple[str, str, tm.Scenario]] = [
    ("intervals_goal", "attrs.intervals_goal", moving(context={"attrs": tuned(3)})),
    ("addr_unit", "addr_unit", moving(context={"addr_unit": 2})),
    ("min_region_sz", "min_region_sz", moving(context={"min_region_sz": 8192})),
    ("allow", "schemes[0].filters[0].allow", moving(filters=(tm.Filter("anon", allow=True),))),
    ("active filter", "schemes[0].filters[0].type", moving(filters=(tm.Filter("active"),))),
    ("hugepage_size filter", "schemes[0].filters[0].type", moving(filters=(tm.Filter("hugepage_size"),))),
    ("unmapped filter", "schemes[0].filters[0].type", moving(filters=(tm.Filter("unmapped"),))),
    ("dests", "schemes[0].dests", moving(context={"ops": "vaddr", "schemes": (DEALT,)})),
    ("max_nr_snapshots", "schemes[0].max_nr_snapshots", moving(max_nr_snapshots=3)),
    ("temporal", "schemes[0].quota.goal_tuner", moving(quota=QUOTA.replace(goal_tuner="temporal"))),
    ("fail_charge", "schemes[0].quota.fail_charge_num", moving(quota=QUOTA.replace(fail_charge_num=1, fail_charge_denom=9))),
    ("collapse", "schemes[0].action", moving(action="collapse", target_nid=-1)),
    *((m, "schemes[0].quota.goals[0].metric", with_goal(m)) for m, facts in SHIPPED.items() if facts.linux),
]  # fmt: skip


def since_of(feature: str) -> str:
    return FEATURES.get(feature) or SHIPPED[feature].linux


@pytest.mark.parametrize(("feature", "path", "sc"), USES, ids=[use[0] for use in USES])
def test_a_kernel_that_lacks_a_feature_refuses_it_with_the_release_where_it_appears(
    feature: str, path: str, sc: tm.Scenario
) -> None:
    since = since_of(feature)
    modelled = {"allow": "6.15"}.get(feature, since)
    assert Used(f"contexts[0].{path}", feature, since) in list(sc.features())
    for name in NAMES:
        release = SHORT.get(name, name)
        if version(release) >= version(modelled):
            assert sc.replace(kernel=name).kernel.base == name
            continue
        assert any(use.feature == feature for use in sc.missing(tm.Kernel(name)))
        where = re.escape(f"contexts[0].{path}: {feature} is not ")
        take = "'next'" if since == "next" else rf"{re.escape(modelled)} or later"
        with pytest.raises(tm.InputError, match=rf"^{where}(in|modelled for) Linux {re.escape(release)}; take {take}"):
            sc.replace(kernel=name)


def test_every_feature_that_came_after_the_oldest_kernel_is_tried_here() -> None:
    late = {f for f, since in FEATURES.items() if version(since) > version("6.12")}
    late |= {m for m, facts in SHIPPED.items() if facts.linux}
    assert {use[0] for use in USES} == late


def test_the_message_is_one_sentence_with_a_way_out() -> None:
    with pytest.raises(tm.InputError) as error:
        with_goal("node_mem_used_bp").replace(kernel="6.12.117")
    assert str(error.value) == (
        "contexts[0].schemes[0].quota.goals[0].metric: node_mem_used_bp is not in Linux 6.12.117; "
        "take 6.16 or later, or another metric"
    )


# ---- what must not trip -----------------------------------------------------------------------------------------------

OWN: dict[str, Callable[[], tm.Scenario]] = {
    "defaults": moving,
    "another address space": lambda: moving(context={"ops": "vaddr", "schemes": (tm.Scheme("migrate_hot", target_nid=0),)}),
    "a tuner that is not new": lambda: moving(quota=QUOTA.replace(goal_tuner="consist", goals=(tm.Goal("user_input", 9),))),
    "an interval goal that is off": lambda: moving(context={"attrs": tuned(0)}),
    "filters that reject": lambda: moving(filters=(tm.Filter("young"), tm.Filter("addr", end_bytes=MIB), tm.Filter("target"))),
    "a reading of the RFC": lambda: with_goal("node_sys_bp", complement=True, clamp="v1", early_exit="v1"),
    "the merged metric's fourth version": lambda: with_goal("node_eligible_mem_bp:v4", lag_cache=True),
    "rules of quotas": lambda: moving(
        quota=QUOTA.replace(esz0="stop", esz_bp0=1, esz_floor_min_region=True, esz_cap_monitored=True)
    ),
    "weights without page identity": lambda: moving(dests=(tm.Dest(0, 1), tm.Dest(1, 1)), dest_rule="iid"),
    "weights on paddr": lambda: moving(dests=(tm.Dest(0, 1), tm.Dest(1, 1)), rmap_done_mark=True),
    "a source of hotness": lambda: moving(context={"sources": (tm.SourceOfHotness("hint_faults"),)}),
    "a scheme that is off": lambda: moving(enabled=False),
    "a moving sum": lambda: moving(context={"moving_sum": "on_demand"}),
}  # fmt: skip


@pytest.mark.parametrize("what", OWN)
def test_what_is_the_models_own_is_allowed_on_every_kernel(what: str) -> None:
    sc = OWN[what]()
    for name in NAMES:
        assert list(sc.replace(kernel=name).missing()) == []


def test_what_the_models_own_builds_on_has_to_be_there() -> None:
    tuned = moving(quota=QUOTA.replace(goal_tuner="temporal", esz_bp0=1))
    dealt = moving(context={"ops": "vaddr", "schemes": (DEALT.replace(dest_rule="iid"),)})
    assert [use.feature for use in tuned.missing(OLD)] == ["temporal"]
    assert [use.feature for use in dealt.missing(OLD)] == ["dests"]


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_scenarios_run_on_the_default_kernel(name: str) -> None:
    assert tm.load(name).kernel == tm.Kernel()


# ---- switches, events, commits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sc", "switch", "name"),
    [
        (moving(max_nr_snapshots=3), "max_nr_snapshots", "6.18"),
        (moving(quota=QUOTA.replace(fail_charge_num=1, fail_charge_denom=9)), "fail_charge", "7.1"),
        (moving(filters=(tm.Filter("anon", allow=True),)), "allow_filters", "6.14"),
    ],
)
def test_a_switch_makes_its_feature_available_or_takes_it_away(sc: tm.Scenario, switch: str, name: str) -> None:
    assert sc.replace(kernel=tm.Kernel(name, **{switch: True})).kernel.changed == {switch: True}
    with pytest.raises(tm.InputError, match=f"is not in Linux 7.3.4, {switch} off; drop the switch {switch}, or "):
        sc.replace(kernel=tm.Kernel("7.3.4", **{switch: False}))


def test_events_and_commits_are_walked_and_refused() -> None:
    event = tm.Event("1 s", "contexts.0.schemes.0.max_nr_snapshots", 3)
    commit = tm.Commit("1 s", 0, tm.Context(schemes=(tm.Scheme("stat", max_nr_snapshots=3),)))
    later = [moving().replace(events=(event,)), moving().replace(commits=(commit,))]
    for sc, where in zip(later, ("events[0].contexts[0]", "commits[0].to"), strict=True):
        path = f"{where}.schemes[0].max_nr_snapshots"
        assert list(sc.missing(OLD)) == [Used(path, "max_nr_snapshots", "7.0")]
        with pytest.raises(tm.InputError, match=rf"^{re.escape(path)}: max_nr_snapshots is not in Linux 6\.12\.117"):
            sc.replace(kernel=OLD)
    twice = moving(max_nr_snapshots=2).replace(events=(event,))
    assert [use.path for use in twice.missing(OLD)] == ["contexts[0].schemes[0].max_nr_snapshots"]


# ---- "next" -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("folio_bytes", "expected"), [(4096, 0), (MIB, 0), (2 * MIB, 10_000), (4 * MIB, 10_000)])
def test_memory_in_huge_pages_is_all_or_nothing_of_what_is_on_the_lists(folio_bytes: int, expected: int) -> None:
    machine = tm.Machine.dram_cxl("32 MiB", "32 MiB").replace(folio_bytes=folio_bytes)
    sc = with_goal("hugepage_mem_bp")
    work = tm.Workload(4, placement=(tm.Placement(0, 4, 1),), groups=(tm.Group(0, 2, rate_hz=10.0),))
    kdamond = Engine(tm.Scenario(machine, work, sc.contexts, kernel="next")).kdamonds[0]
    goal = sc.contexts[0].schemes[0].quota.goals[0]
    assert current_value(kdamond.view(0), goal) == expected
    kdamond.memory.arrays.node["lru"][:] = 0
    assert current_value(kdamond.view(0), goal) == 0
