"""When schemes are due, how long they only look, which quota decides and what watching costs: said before, and run."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from lint_cases import (
    COLD_PATTERN,
    HOT,
    MIB,
    codes,
    context,
    eligible,
    found,
    free,
    machine,
    move,
    one,
    quota,
    scenario,
    used,
    workload,
)
from remedy_cases import GAP, TWO_CGROUPS, reclaim, striped

import tieringmodel as tm
from tieringmodel.linting import Finding
from tieringmodel.linting.first_move import first_move_s, first_pass_s, most_matching_bytes
from tieringmodel.linting.scheme_facts import facts_of
from tieringmodel.scenario import (
    Attrs,
    Filter,
    Goal,
    Group,
    IntervalsGoal,
    Machine,
    Memcg,
    Node,
    Quota,
    Scenario,
    Target,
    Vma,
    Watermarks,
)

MS = 1000


def tuned(apply_us: int, access_bp: int, low_us: int, high_us: int, rate_hz: float = 400.0, aggrs: int = 3) -> Scenario:
    goal = IntervalsGoal(access_bp, aggrs, low_us, high_us)
    scheme = move(0, quota(used(9000)), apply_interval_us=apply_us)
    hot = workload(0, groups=(Group(0, HOT, rate_hz=rate_hz),))
    return scenario(contexts=(context(scheme, attrs=Attrs(intervals_goal=goal)),), workload=hot)


# ---- interval tuning ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("apply_us", "starved"), [(0, False), (100 * MS, False), (300 * MS, False), (304 * MS, False),
                                                   (305 * MS, True), (1000 * MS, True)])  # fmt: skip
def test_a_round_of_three_aggregations_is_the_edge(apply_us, starved):
    sc = tuned(apply_us, 400, 5 * MS, 5 * MS)
    ds = tm.simulate(sc, duration="4 s")
    assert (int(ds["nr_due"].values[-1, 0]) == 0) == starved
    assert ("apply-starved" in codes(sc)) == starved
    if starved:
        finding = one(sc, "apply-starved")
        assert (finding.level, finding.path) == ("error", "contexts[0].schemes[0].apply_interval_us")
        # Also intervals that cannot change are set again: each tuning restarts the clock (section c.6).
        assert "every 3 aggregations (300 ms as it starts)" in finding.message
        assert finding.message.endswith("the scheme is never due")
        assert finding.remedy == "set apply_interval_us = 300000"


@pytest.mark.parametrize("access_bp", [20, 100, 400, 1200, 3000])
@pytest.mark.parametrize("rate_hz", [0.5, 20.0, 400.0])
def test_whether_tuning_starves_a_scheme_is_what_the_run_has(access_bp, rate_hz):
    sc = tuned(1000 * MS, access_bp, 5 * MS, 10_000 * MS, rate_hz)
    ds = tm.simulate(sc, duration="30 s")
    due = np.flatnonzero(ds["nr_due"].values[:, 0])
    finding = one(sc, "apply-starved")
    clock = facts_of(sc).schemes[0].clock
    assert (finding.level == "error") == (math.isinf(clock.first_us) and clock.steady)
    assert due.size == 0 or finding.level != "error"
    assert due.size > 0 or math.isinf(clock.first_us)
    assert f"the tuning goal is {access_bp / 1e4:.2%}" in finding.message
    if math.isinf(clock.first_us) and not clock.steady:
        assert finding.level == "warning"
        assert "rarely or never due" in finding.message
    elif due.size:
        assert ds["time"].values[due[0]] == pytest.approx(clock.first_us * 1e-6, rel=0.35)
        assert "is first due at about" in finding.message
    else:
        assert "as long as the workload lets tuning keep the sampling interval at" in finding.message


def test_a_scheme_can_be_due_at_first_and_starve_later():
    sc = tuned(300 * MS, 100, 1 * MS, 5 * MS)
    finding = one(sc, "apply-starved")
    assert finding.level == "warning"
    assert "not due any more once tuning has brought the sampling interval down to 1 ms" in finding.message
    due = tm.simulate(sc, duration="20 s")["nr_due"].values[:, 0]
    assert 0 < due[-1] == due[due.size // 2]


def test_expected_accesses_are_those_that_tuning_sees():
    sc = tuned(300 * MS, 400, 5 * MS, 5 * MS)
    # 20000 pages of 131072, seen in 1 - exp(-2) of the samples.
    assert facts_of(sc).accessed(0, 5 * MS) == pytest.approx(HOT / 131_072 * -math.expm1(-2))
    mapped = Scenario(machine(), workload(vmas=(Vma(0, 40_000, 1 << 40),)), (context(ops="vaddr"),))
    assert facts_of(mapped).accessed(0, 5 * MS) == pytest.approx(HOT / 40_000 * -math.expm1(-2))


def test_nothing_is_said_about_the_tuner_of_a_scheme_that_is_never_applied():
    quiet = tuned(1000 * MS, 400, 5 * MS, 5 * MS)
    scheme = move(0, quota(used(9000), tuner="consist"), apply_interval_us=1000 * MS)
    sc = quiet.replace(contexts=(quiet.contexts[0].replace(schemes=(scheme,)),))
    assert not codes(sc) & {"windup-under-cap", "consist-overshoot"}
    finding = one(sc, "first-move")
    assert "never lets the scheme be applied" in finding.message
    assert "temporal" not in finding.remedy
    assert math.isinf(first_move_s(facts_of(sc).schemes[0]))
    asleep = scenario(move(0, quota(used(9000)), watermarks=Watermarks("free_mem_rate", 1, 500, 400, 200)))
    assert math.isinf(first_move_s(facts_of(asleep).schemes[0]))


# ---- the first look -----------------------------------------------------------------------------------------------


def test_one_look_at_all_takes_as_long_as_said():
    sc = reclaim()
    finding = one(sc, "young-first-pass")
    assert (finding.level, finding.path) == ("warning", "contexts[0].schemes[0].action")
    facts = facts_of(sc).schemes[0]
    # 512 MiB less 20000 hot pages, 4 MiB a second.
    assert most_matching_bytes(facts) == 512 * MIB - HOT * 4096
    length_s = first_pass_s(facts)
    assert length_s == pytest.approx((512 * MIB - HOT * 4096) / (4 * MIB))
    assert (
        f"the {(512 * MIB - HOT * 4096) / MIB:.1f} MiB that match takes about {length_s:.3g} s (at 4 MiB/s by its quota)"
        in finding.message
    )
    ds = tm.simulate(sc, duration="40 s")
    tried, at_s = ds["sz_tried"].values[:, 0], ds["time"].values
    assert tried[-1] / at_s[-1] == pytest.approx(most_matching_bytes(facts) / length_s, rel=0.05)
    looked, first = (float(ds[name].values[at_s <= length_s / 8, 0][-1]) for name in ("sz_resident", "sz_first_look"))
    assert first > 0.9 * looked > 0
    cheap = reclaim(quota=quota(free(9000), sz=4 * MIB, fail_charge_num=1, fail_charge_denom=4096))
    assert "young-first-pass" not in codes(cheap)
    assert first_pass_s(facts_of(cheap).schemes[0]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("action", "filters", "said"),
    [
        ("migrate_cold", (Filter("young"),), "this filter"),
        ("migrate_cold", (Filter("young", matching=False, allow=True),), "this filter"),
        ("migrate_cold", (Filter("young", allow=True),), ""),
        ("migrate_cold", (Filter("young", matching=False),), ""),
        ("migrate_cold", (), ""),
        ("pageout", (Filter("young"),), "this filter"),
        ("pageout", (Filter("young", allow=True),), ""),
        ("pageout", (Filter("addr", allow=True, end_bytes=256 * MIB),), ""),
        ("pageout", (), "reclaim"),
    ],
)
def test_who_turns_young_pages_away(action, filters, said):
    sc = reclaim(action=action, filters=filters, target_nid=1 if action == "migrate_cold" else -1)
    findings = found(sc, "young-first-pass")
    assert [f.message.startswith(f"{said} turns young pages away") for f in findings] == [True] * bool(said)
    ds = tm.simulate(sc, duration="6 s")
    assert (ds["sz_applied"].values[-1, 0] < 0.2 * ds["sz_resident"].values[-1, 0]) == bool(said)


def test_consist_looks_at_what_its_growing_quota_allows():
    sc = reclaim(quota=quota(free(9000), sz=4 * MIB, tuner="consist"))
    facts = facts_of(sc).schemes[0]
    ds = tm.simulate(sc, duration="60 s")
    full = float(first_pass_s(facts))
    held = float(ds["time"].values[np.argmax(ds["esz_bytes"].values[:, 0] >= 4096)])
    assert first_move_s(facts) == pytest.approx(held + full, rel=0.02)
    assert "looking once at all takes" in one(sc, "first-move").message
    # Without goals or quotas one application looks at everything.
    assert "young-first-pass" not in codes(reclaim(quota=Quota()))
    assert first_pass_s(facts_of(reclaim(quota=Quota())).schemes[0]) == 1


def test_regions_must_be_old_enough():
    aged = reclaim(action="migrate_cold", target_nid=1, filters=(Filter("addr", start_bytes=256 * MIB, end_bytes=512 * MIB),),
                   access_pattern=COLD_PATTERN.replace(min_age=700))  # fmt: skip
    finding = one(aged, "first-move")
    assert finding.level == "info"
    assert finding.message == "a region matches when it is 70 s old"
    assert first_move_s(facts_of(aged).schemes[0]) == 70
    ds = tm.simulate(aged, duration="80 s")
    assert ds["time"].values[ds["migrated_pages"].values > 0][0] == pytest.approx(70, abs=2)


# ---- quotas, ranges, regions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ms", "sz", "ns", "says"), [(1, 16, 0, "ms: 1 ms per window are 4 MiB while no time"),
                                                      (8, 16, 0, "sz_bytes: 8 ms per window are 32 MiB"),
                                                      (2, 16, 1000, "ms: 2 ms per window are 7.8 MiB at 1000 ns")])  # fmt: skip
def test_of_two_quotas_the_smaller_one_decides(ms, sz, ns, says):
    limit = quota(sz=sz * MIB, ms=ms)
    sc = scenario(move(0, limit), workload=workload(0), machine=machine().replace(migrate_ns_per_page=ns))
    finding = one(sc, "quota-bound")
    assert finding.level == "info"
    assert says in finding.message
    ds = tm.simulate(sc, duration="8 s")
    bound = int(ds["quota_bound"].values[40, 0])
    assert bound == (2 if "ms:" in says[:3] else 1)
    said_mib = min(sz, float(says.split(" are ")[1].split(" MiB")[0]))
    assert float(ds["esz_bytes"].values[-1, 0]) / MIB == pytest.approx(said_mib, rel=0.1)
    assert "quota-bound" not in codes(scenario(move(0, quota(sz=sz * MIB))))
    assert "quota-bound" not in codes(scenario(move(0, quota(ms=ms, sz=0))))


def test_holes_are_monitored_where_no_ranges_are_given():
    sc = scenario(move(0, quota(used(5000))), machine=GAP)
    finding = one(sc, "no-ranges")
    assert (finding.level, finding.path) == ("warning", "contexts[0].targets[0].regions")
    assert "all 1.2 GiB from the first to the last address are monitored, 768 MiB of them holes" in finding.message
    assert finding.changes[0]["value"] == [[0, 256 * MIB], [1024 * MIB, 1280 * MIB]]
    given = sc.replace(contexts=(context(*sc.contexts[0].schemes, targets=(Target(((0, 256 * MIB),)),)),))
    assert "no-ranges" not in codes(given)
    assert "no-ranges" not in codes(scenario(move(0, quota(used(5000)))))
    far = GAP.replace(nodes=(GAP.nodes[0], GAP.nodes[1].replace(start_bytes=300 * MIB)))
    assert one(sc.replace(machine=far), "no-ranges").level == "info"


def monitoring(*ranges, to=0, **first):
    """Return a scheme that fills node `to` in a context that monitors some ranges, in MiB."""
    regions = tuple((low * MIB, high * MIB) for low, high in ranges)
    of = context(move(to, quota(eligible(0, 5000))), targets=(Target(regions),))
    return scenario(contexts=(of,), machine=machine(**first))


def test_frames_that_can_be_filled_and_are_not_monitored_are_named():
    """What the kernel holds and what is offline cannot be filled; nodes that nobody looks at at all are other rules' matter."""
    finding = one(monitoring((0, 128), (256, 512)), "unmonitored-target")
    assert (finding.level, finding.path) == ("warning", "contexts[0].targets[0].regions")
    assert "node 0, to which contexts[0].schemes[0] moves pages, can be filled at 128 MiB..256 MiB (128 MiB)" in finding.message
    assert finding.changes[0]["value"] == [[0, 512 * MIB]]
    both = one(monitoring((32, 128), (192, 200), (256, 512)), "unmonitored-target")
    assert "at 0 B..32 MiB, 128 MiB..192 MiB, 200 MiB..256 MiB (152 MiB)" in both.message
    lower = one(monitoring((32, 128), (256, 512), kernel_bytes=20 * MIB, offline_bytes=100 * MIB), "unmonitored-target")
    assert "at 20 MiB..32 MiB, 128 MiB..156 MiB (40 MiB)" in lower.message
    assert lower.changes[0]["value"] == [[20 * MIB, 156 * MIB], [256 * MIB, 512 * MIB]]
    for quiet in (
        monitoring((0, 256), (256, 512)),
        monitoring((0, 254), (256, 512)),  # below 1 % of the node
        monitoring((256, 512)),
        monitoring((32, 256), (256, 512), kernel_bytes=32 * MIB),
        monitoring((0, 128), (256, 512), to=1),
    ):
        assert "unmonitored-target" not in codes(quiet)
    assert "unmonitored-target" not in codes(finding.applied_to(monitoring((0, 128), (256, 512))))


def test_a_hole_is_no_frame_that_can_be_filled():
    """A node of two ranges, both of them monitored."""
    ranges = ((0, 128 * MIB), (1024 * MIB, 1152 * MIB))
    regions = ((0, 128 * MIB), (1024 * MIB, 1152 * MIB), (2048 * MIB, 2304 * MIB))
    scheme = move(0, quota(eligible(0, 5000)), filters=(Filter("addr", start_bytes=0, end_bytes=2048 * MIB),))
    sc = scenario(contexts=(context(scheme, targets=(Target(regions),)),))
    far = Machine((Node(0, ranges=ranges), Node(1, 2048 * MIB, 256 * MIB)))
    assert "unmonitored-target" not in codes(sc.replace(machine=far))
    solid = Machine((Node(0, 0, 1152 * MIB), Node(1, 2048 * MIB, 256 * MIB)))
    assert "can be filled at 128 MiB..1 GiB (896 MiB)" in one(sc.replace(machine=solid), "unmonitored-target").message


def test_the_cost_of_very_many_regions_is_that_of_the_run():
    sc = striped(20, 500, 3000, min_nr_regions=4000, max_nr_regions=8000)
    finding = one(sc, "monitoring-cost")
    assert finding.level == "warning"
    assert "8000 regions every 5 ms are 1.6e+06 access checks/s: about 78% of a CPU" in finding.message
    ds = tm.simulate(sc, duration="4 s")
    cost = tm.cost.control_cost(ds)["cpu_share"].sel(component=["access checks", "region upkeep"]).sum("component")
    per_region = cost.sel(estimate="default") / float(ds["nr_regions"].mean())
    assert float(per_region) * 8000 == pytest.approx(0.78, rel=0.02)
    assert "monitoring-cost" not in codes(striped(20, 500, 3000))
    # No more regions than pages.
    small = scenario(contexts=(context(attrs=Attrs(max_nr_regions=10_000), targets=(Target(((0, 4 * MIB),)),)),))
    assert "monitoring-cost" not in codes(small)


def test_sparse_hot_memory_is_found_by_more_regions_at_least_not_at_most():
    finding = one(striped(100, 16, 600), "too-few-regions")
    assert (finding.level, finding.path) == ("info", "contexts[0].attrs.min_nr_regions")
    assert "seen in 0.46 samples on average" in finding.message
    assert "merged up to 51.2 MiB: min_nr_regions = 10 alone limits that" in finding.message
    more = striped(100, 16, 600, max_nr_regions=5000)
    few, many = (
        tm.simulate(sc, duration="10 s")["sz_matched"].values[-1, 0] for sc in (more, finding.applied_to(striped(100, 16, 600)))
    )
    assert many > 10 * few
    assert "too-few-regions" not in codes(striped(20, 500, 3000))


# ---- cgroups ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "level"),
    [
        ((Filter("memcg", allow=True, memcg_id=8),), "error"),
        ((Filter("memcg", memcg_id=7),), "error"),
        ((Filter("memcg", matching=False, memcg_id=8),), "error"),
        ((Filter("memcg", allow=True, memcg_id=8), Filter("young", allow=True)), "warning"),
        ((Filter("memcg", allow=True, memcg_id=7),), ""),
        ((Filter("memcg", allow=True, memcg_id=9),), ""),  # below 7
        ((Filter("memcg", memcg_id=8),), ""),
        ((Filter("memcg", allow=True, memcg_id=8), Filter("memcg", allow=True, memcg_id=7)), ""),
        ((Filter("young", allow=True),), ""),
    ],
)
def test_a_goal_and_a_filter_of_different_cgroups(filters, level):
    below = (Memcg(7, 0, 100), Memcg(9, 100, HOT // 2, 7), TWO_CGROUPS.memcgs[1])
    cgroups = TWO_CGROUPS.replace(memcgs=below) if filters[0].memcg_id == 9 else TWO_CGROUPS
    goal = Goal("node_memcg_used_bp", 900, nid=0, memcg_id=7)
    sc = scenario(move(0, quota(goal), filters=filters), workload=cgroups)
    findings = found(sc, "goal-of-another-cgroup")
    assert [f.level for f in findings] == ([level] if level else [])
    ds = tm.simulate(sc, duration="5 s")
    if level == "error":
        assert findings[0].path.startswith("contexts[0].schemes[0].filters[")
        assert "the goal node_memcg_used_bp counts cgroup 7" in findings[0].message
        assert not ds["goal_current"].values.any()
        assert not found(findings[0].applied_to(sc), "goal-of-another-cgroup")
    if not level:
        assert ds["goal_current"].values.any()


# ---- findings as data ---------------------------------------------------------------------------------------------


def test_a_finding_says_its_changes_and_makes_them():
    change = {"path": "contexts[0].schemes[0].quota.sz_bytes", "value": 8192}
    finding = Finding("too-small", "info", "contexts[0].schemes[0].quota.sz_bytes", "is small", changes=(change,))
    assert finding.remedy == "set sz_bytes = 8192"
    sc = scenario(move(0, quota(used(9000), sz=4096)))
    assert finding.applied_to(sc).contexts[0].schemes[0].quota.sz_bytes == 8192
    assert Finding("fine", "info", "name", "is fine").applied_to(sc) == sc
    with pytest.raises(tm.InputError, match=r"contexts"):
        finding.applied_to(sc.replace(contexts=()))


def test_the_command_prints_changes_as_json(tmp_path):
    path = tmp_path / "scenario.json"
    path.write_text(reclaim().to_json())
    done = subprocess.run([sys.executable, "-m", "tieringmodel", "lint", "--json", path], capture_output=True, text=True)
    rows = {row["code"]: row for row in json.loads(done.stdout)}
    assert rows["young-first-pass"]["changes"] == [
        {"path": "contexts.0.schemes.0.quota.fail_charge_num", "value": 1},
        {"path": "contexts.0.schemes.0.quota.fail_charge_denom", "value": 4096},
    ]
