"""What a kernel changes: known answers, shares by hand, chance, two scenarios, stored runs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import xarray as xr
from kernel_cases import FREE_PAGES, full_target, to_node_0
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel.differences import running
from tieringmodel.differences.diff import kernels_of, rows_of
from tieringmodel.differences.difference import Difference, Row, Side, apart
from tieringmodel.differences.measured import OF_A_RUN, Scale, in_order, measured, stem_of
from tieringmodel.differences.rules import Search, differing_rules, value_of
from tieringmodel.differences.running import Wanted, side_of
from tieringmodel.scenario.linux import rules_of_release
from tieringmodel.scenario.paths import different_fields, read_path
from tieringmodel.scenario.rules import BY_SWITCH, RULES
from tieringmodel.sweeps.point import Job, Outcome, run_point

FULL = full_target()


@pytest.fixture(scope="module")
def full() -> Difference:
    return tm.diff(FULL, kernels=["7.2", "7.3.4"], duration="6 s", seed=1)


# ---- known answers ----------------------------------------------------------------------------------------------------


def test_a_full_target_is_where_7_2_and_7_3_4_part(full: Difference) -> None:
    old, new = full.sides
    assert (old.name, new.name, old.kind, new.kind) == ("7.2.12", "7.3.4", "steady-flow", "saturated")
    assert new.numbers["migrated_pages"] == FREE_PAGES, "what there was room for"
    assert old.numbers["last_move_s"] == pytest.approx(6.0), "to and fro to the end"
    assert [effect.switch for effect in full.matter] == ["thisnode"]
    (rule,) = full.matter
    assert (rule.value, rule.share, rule.measure) == (False, 1.0, "kind")
    assert set(rule.shares) == {"kind", *(row.name for row in full.rows if row.differs)}
    assert set(rule.shares.values()) == {1.0}
    assert rule.side.numbers == old.numbers, "no other rule of 7.2.12 matters here"
    assert all(effect.same for effect in full.effects if effect != rule)
    assert full.together is None
    assert str(full) == (
        f"7.2.12: {old.numbers['residual_mib_s']:.3g} MiB/s in the tail, steady-flow; 7.3.4: 0 MiB/s in the tail, saturated. "
        "Because of thisnode (100 % of the difference)."
    )


def test_every_rule_that_differs_is_run_or_named(full: Difference) -> None:
    old, new = rules_of_release("7.2.12"), rules_of_release("7.3.4")
    assert {e.switch for e in full.effects} | {*full.not_alone} == {s for s in old if old[s] != new[s]}


def test_columns_are_the_simulations_of_their_kernels(full: Difference) -> None:
    for side in full.sides:
        ds = tm.simulate(FULL.replace(kernel=side.name), duration="6 s", seed=1)
        found = tm.verdict(ds)
        assert {name: value for name, value in measured(ds).items() if name in side.numbers} == side.numbers
        assert (side.kind, side.cause, side.text) == (found.kind, found.code, found.text)
        assert side.numbers["migrated_pages"] == int(ds["migrated_pages"].sum())
        assert side.numbers["hot_share_node0"] == found.hot_share_bp[0]
        assert side.numbers["qt_exceeds_scheme0"] == int(ds["qt_exceeds"][-1, 0])


def test_a_single_switch_is_the_only_rule(full: Difference) -> None:
    found = tm.diff(FULL, kernels=["7.2", tm.Kernel("7.2", thisnode=True)], duration="6 s", seed=1)
    assert [side.name for side in found.sides] == ["7.2.12", "7.2.12, thisnode on"]
    assert [effect.switch for effect in found.effects] == ["thisnode"]
    assert found.sides[1].numbers == full.sides[1].numbers


def test_backwards_the_same_rule_is_switched_the_other_way() -> None:
    found = tm.diff(FULL, kernels=["7.3.4", "7.2"], duration="6 s", seed=1, rules=["thisnode", "folio_end"])
    assert [(e.switch, e.value, e.share) for e in found.matter] == [("thisnode", True, 1.0)]
    assert {e.switch for e in found.effects} == {"thisnode", "folio_end"}


def test_an_effective_quota_of_0_stops_or_is_none() -> None:
    """A TEMPORAL goal of 40 % that is met: from 7.1 on nothing moves any more, before all hot pages do."""
    sc = scenario(pull(4000))
    found = tm.diff(sc, kernels=[tm.Kernel("7.3.4", esz0_stop=False, fresh_look=False), "7.3.4"], duration="6 s", seed=1)
    old, new = (side.numbers["hot_share_node0"] for side in found.sides)
    assert old > 9900
    assert 4000 <= new <= 4000 + 2 * 1250, "a cap of 1 MiB moves an eighth of the hot pages a window"
    assert [effect.switch for effect in found.matter] == ["esz0_stop"]
    assert "Because of esz0_stop (100 % of the difference)." in str(found)


def test_kernels_that_agree_run_no_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Any] = []

    def counted(job: Job, changes: Any, seed: int) -> Outcome:
        ran.append(changes)
        return run_point(job, changes, seed)

    monkeypatch.setattr(running, "run_point", counted)
    found = tm.diff(FULL, kernels=[tm.Kernel("7.3", commit_eligible_nid=False), "7.3"], duration="2 s")
    assert len(ran) == 2
    assert found.same
    assert (found.effects, found.notes) == ((), ())
    assert str(found) == "7.3.4, commit_eligible_nid off and 7.3.4: the same in every measure (saturated)."
    ran.clear()
    assert not tm.diff(FULL, kernels=["7.2", "7.3"], duration="2 s", rules=False).effects
    assert len(ran) == 2


def test_rules_are_those_between_the_first_and_the_last() -> None:
    found = tm.diff(FULL, kernels=["7.3", "7.2", tm.Kernel("7.3", commit_eligible_nid=False)], duration="6 s", seed=1)
    assert [side.kind for side in found.sides] == ["saturated", "steady-flow", "saturated"]
    assert not found.effects
    assert "7.3.4 and 7.3.4, commit_eligible_nid off agree, so no rule was run" in found.notes
    assert str(found).startswith("7.3.4 and 7.3.4, commit_eligible_nid off: 0 MiB/s in the tail, saturated; 7.2.12: ")
    assert any(row.varies and not row.differs for row in found.rows)


def test_one_kernel_is_compared_with_the_scenarios_own() -> None:
    assert [k.release for k in kernels_of(FULL.replace(kernel="6.18"), ["7.2"])] == ["6.18.35", "7.2.12"]
    assert [k.release for k in kernels_of(FULL, "6.12")] == ["7.3.4", "6.12.117"]


def test_a_run_is_asked_about_as_its_scenario(full: Difference) -> None:
    ds = tm.simulate(FULL, duration="6 s", seed=1)
    found = tm.diff(ds, kernels=["7.2", "7.3.4"], rules=False)
    assert found.sides == full.sides


def test_worker_processes_find_the_same(full: Difference) -> None:
    found = tm.diff(FULL, kernels=["7.2", "7.3.4"], duration="6 s", seed=1, rules=["thisnode"], workers=2)
    assert found.sides == full.sides
    assert found.effects == tuple(e for e in full.effects if e.switch == "thisnode")


def test_a_kernel_that_refuses_the_scenario_is_a_column_without_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(job: Job, changes: Any, seed: int) -> Outcome:
        return Outcome(error="x: not there") if changes["kernel"].release == "7.2.12" else run_point(job, changes, seed)

    monkeypatch.setattr(running, "run_point", refusing)
    found = tm.diff(FULL, kernels=["7.2", "6.18", "7.3"], duration="2 s", seed=1)
    assert [side.error for side in found.sides] == ["x: not there", "", ""]
    assert str(found).startswith("7.2.12 was not run: x: not there. 6.18.35: ")
    assert not found.effects
    assert not found.same
    assert found.table["run"].values.tolist() == ["6.18.35", "7.3.4"]
    told = found.to_dict()
    assert all(row["values"][0] is None and row["values"][1] is not None for row in told["measures"])
    with pytest.raises(tm.InputError, match=r"kernels: the scenario runs under none of them: x: not there"):
        tm.diff(FULL, kernels=["7.2", tm.Kernel("7.2", thisnode=True)], duration="2 s")


# ---- shares, by a kernel made up --------------------------------------------------------------------------------------


class MadeUp:
    """Runs whose measures are a function of the kernel's rules."""

    duration_us = 10_000_000

    def __init__(self, numbers: Callable[[Any], dict[str, float] | str]) -> None:
        self.numbers, self.count = numbers, 0

    def sides(self, wanted: Sequence[Wanted]) -> list[Side]:
        self.count += len(wanted)
        return [self.side(one.changes["kernel"], one.name) for one in wanted]

    def side(self, kernel: tm.Kernel, name: str = "") -> Side:
        found = self.numbers(kernel.rules)
        return Side(name, error=found) if isinstance(found, str) else Side(name, "converged", numbers=found)


def search(
    numbers: Callable[[Any], dict[str, float] | str], first: str = "6.18", last: str = "7.3"
) -> tuple[Search, list[str]]:
    runs, a, b = MadeUp(numbers), tm.Kernel(first), tm.Kernel(last)
    sides = runs.side(a, "A"), runs.side(b, "B")
    scale = Scale.of(FULL, 10.0)
    return Search(runs, FULL, (a, b), sides, rows_of(sides, scale), scale), differing_rules(a, b)[0]  # type: ignore[arg-type]


def test_the_share_is_how_far_a_run_goes_back() -> None:
    def numbers(rules: Any) -> dict[str, float]:
        share = 1000 + 5000 * rules.esz0_stop + 3000 * rules.merge_after_apply - 2000 * rules.thisnode
        return {"hot_share_node0": share, "migrated_pages": 1000.0 * (2 - rules.count_age_once)}

    found, switches = search(numbers)
    effects, refused = found.effects(switches)
    assert refused == {}
    shares = {e.switch: e.shares["hot_share_node0"] for e in effects}
    assert {name: share for name, share in shares.items() if share} == pytest.approx(
        {"esz0_stop": 5 / 6, "merge_after_apply": 3 / 6, "thisnode": -2 / 6}
    )
    assert [(e.switch, e.measure) for e in effects if e.matters] == [
        ("count_age_once", "migrated_pages"), ("esz0_stop", "hot_share_node0"), ("merge_after_apply", "hot_share_node0"),
    ]  # fmt: skip
    assert [e.switch for e in effects if e.moved and not e.matters] == ["thisnode"]
    assert sum(e.same for e in effects) == len(effects) - 4
    assert found.together(effects) is None


def test_a_run_that_goes_beyond_the_first_kernel_is_not_all_of_the_way() -> None:
    found, switches = search(lambda r: {"hot_share_node0": 1000 * r.esz0_stop - 250 * r.esz0_stop * (1 - r.thisnode) + 4000})
    effects, _ = found.effects(switches)
    assert {e.switch: e.shares["hot_share_node0"] for e in effects if e.switch in ("esz0_stop", "thisnode")} == {
        "esz0_stop": 1.0, "thisnode": 0.25,
    }  # fmt: skip


def test_what_never_comes_counts_as_the_end_of_the_run() -> None:
    found, switches = search(lambda r: {"settling_s": math.inf if not r.esz0_stop else 2.0 if r.merge_after_apply else 6.0})
    effects, _ = found.effects(switches)
    assert [(e.switch, e.share) for e in effects if e.matters] == [("esz0_stop", 1.0), ("merge_after_apply", 0.5)]
    found, switches = search(lambda r: {"last_move_s": math.nan if r.esz0_stop else 3.0})
    effects, _ = found.effects(switches)
    assert [(e.switch, e.share) for e in effects if e.matters] == [("esz0_stop", 1.0)]


@pytest.mark.parametrize("count", [2, 3])
def test_rules_that_act_together_only(count: int) -> None:
    names = ("esz0_stop", "merge_after_apply", "split_some_regions")[:count]
    found, switches = search(lambda r: {"hot_share_node0": 9000.0 if any(getattr(r, n) for n in names) else 1000.0})
    effects, _ = found.effects(switches)
    assert not any(e.matters or e.moved for e in effects)
    together = found.together(effects)
    assert together is not None
    assert set(together.switches) == {*names}
    assert together.share == 1.0
    assert together.each == dict.fromkeys(names, 1.0), "in the first kernel one of them is enough"


def test_the_other_way_round_beyond_is_not_all_of_the_way_either() -> None:
    def numbers(rules: Any) -> dict[str, float]:
        new = rules.esz0_stop + rules.merge_after_apply
        return {"hot_share_node0": (1000.0, 9800.0, 9000.0)[new]}

    found, switches = search(numbers)
    together = found.together(found.effects(switches)[0])
    assert together is not None
    assert together.each == pytest.approx({"esz0_stop": 0.9, "merge_after_apply": 0.9})


def test_rules_of_which_the_first_kernel_needs_all() -> None:
    """Left out of the last kernel, each is a reason by itself."""
    names = ("esz0_stop", "merge_after_apply")
    found, switches = search(lambda r: {"hot_share_node0": 9000.0 if all(getattr(r, n) for n in names) else 1000.0})
    effects, _ = found.effects(switches)
    assert {e.switch for e in effects if e.matters} == {*names}
    assert found.together(effects) is None


def test_what_no_rule_explains() -> None:
    """What came with something that 6.18 does not have cannot be taken back by a switch."""
    found, switches = search(lambda r: {"hot_share_node0": 1000.0 * (1 + r.thisnode) + 8000.0 * r.age_reset_on_zero})
    found.was = Side("A", "converged", numbers={"hot_share_node0": 100.0})
    effects, _ = found.effects(switches)
    together = found.together(effects)
    assert together is not None
    assert (together.switches, together.each) == ((), {})
    assert 0 < together.share < 0.2


def test_a_run_that_is_refused_is_named() -> None:
    found, switches = search(
        lambda r: (
            "node 1: division by 0" if r.esz0_stop and not r.node_mem_extremes else {"hot_share_node0": 1000.0 * r.esz0_stop}
        )
    )
    effects, refused = found.effects(switches)
    assert refused == {"node_mem_extremes": "node 1: division by 0"}
    assert [e.switch for e in effects if e.matters] == ["esz0_stop"]


def test_rules_that_cannot_be_left_out_alone_have_a_reason() -> None:
    able, unable = differing_rules(tm.Kernel("6.12"), tm.Kernel("7.3"))
    assert set(unable) == {"node_mem_extremes", "temporal_huge_sz", "commit_eligible_nid"}
    assert set(unable.values()) == {"Linux 6.12.117 does not have what it is about"}
    assert set(able) == {r.switch for r in RULES if rules_of_release("6.12.117")[r.switch] is False}
    back = differing_rules(tm.Kernel("7.3"), tm.Kernel("6.12"))
    assert back == (able, unable)
    asked = differing_rules(tm.Kernel("7.2"), tm.Kernel("7.3"), ["thisnode", "esz0_stop"])
    assert asked == (["thisnode"], {"esz0_stop": "is the same in both"})
    assert value_of(tm.Kernel("6.12", thisnode=False), "thisnode") is False
    assert value_of(tm.Kernel("6.12"), "temporal_huge_sz") is None


def test_what_a_rule_does_is_told_where_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    told = BY_SWITCH["thisnode"]._replace(before="any node", after="the target")
    monkeypatch.setitem(BY_SWITCH, "thisnode", told)
    found = tm.diff(FULL, kernels=["7.2", "7.3.4"], duration="2 s", rules=["thisnode"])
    assert found.matter[0].about == "7.2.12: any node. 7.3.4: the target."
    back = tm.diff(FULL, kernels=["7.3.4", "7.2"], duration="2 s", rules=["thisnode"])
    assert back.matter[0].about == "7.3.4: the target. 7.2.12: any node."


# ---- measures and chance ----------------------------------------------------------------------------------------------


def test_measures_stand_in_order_and_have_a_unit() -> None:
    ds = tm.simulate(scenario(pull(), push()), duration="3 s", seed=1)
    names = {name for name in measured(ds) if name not in ("cause", "text", "kind")}
    assert {stem_of(name) for name in names} == {*OF_A_RUN} - {"kind"}
    ordered = in_order(names)
    assert ordered[:4] == ["hot90_s_node0", "hot90_s_node1", "hot_share_node0", "hot_share_node1"]
    assert ordered[-2:] == ["qt_exceeds_scheme0", "qt_exceeds_scheme1"]
    scale = Scale.of(FULL, 100.0)
    assert all(scale.tolerance(name, 0.0) > 0 for name in names)
    assert scale.tolerance("last_move_s", 3.0) == 1.0, "a hundredth of the run"
    assert scale.tolerance("migrated_pages", 1e6, math.inf) == 1e4


def test_a_node_serves_most_from_the_first_record_that_says_so() -> None:
    ds = tm.simulate(FULL.replace(contexts=()), duration="2 s")
    assert measured(ds)["hot90_s_node0"] == math.inf
    ds["access_share_bp"].values[1:, 0] = 9000
    assert measured(ds)["hot90_s_node0"] == ds["time"].values[1]


def test_values_are_apart() -> None:
    assert apart(math.inf, math.inf) == apart(math.nan, math.nan) == apart(2.0, 2.0) == 0.0
    assert apart(math.inf, 2.0) == apart(math.nan, 2.0) == math.inf
    row = Row("settling_s", (2.0, 3.0, math.inf), 0.5)
    assert (row.differs, row.varies, row.relative(), row.units) == (True, True, math.inf, "s")
    assert Row("settling_s", (4.0, 3.0), 2.0).relative() == 0.25
    assert not Row("settling_s", (4.0, 3.0), 2.0).differs
    assert Row("settling_s", (math.inf, math.inf), 2.0).change == 0.0


def test_of_several_seeds_the_median_counts_and_chance_does_not() -> None:
    values = [{"kind": k, "cause": "", "text": k, "last_move_s": s} for k, s in (("a", 1.0), ("b", 3.0), ("b", 8.0))]
    kinds = [one | {"kind": {"a": "ripple", "b": "stuck"}[str(one["kind"])]} for one in values]
    side = side_of("x", kinds, [4, 5, 6])
    assert (side.kind, side.text) == ("stuck", "b")
    assert side.numbers == {"last_move_s": 3.0}
    assert side.spread == {"last_move_s": 7.0}
    assert side.seeds == {4: "ripple", 5: "stuck", 6: "stuck"}
    other = Side("y", "stuck", numbers={"last_move_s": 9.0})
    (row,) = rows_of([side, other], Scale.of(FULL, 10.0))
    assert (row.tolerance, row.differs) == (7.0, False)


def test_seeds_are_run_one_by_one() -> None:
    found = tm.diff(FULL, kernels=["7.2", "7.3"], duration="2 s", seed=3, seeds=3, rules=["thisnode"])
    assert [*found.sides[0].seeds] == [3, 4, 5]
    alone = [tm.diff(FULL, kernels=["7.2", "7.3"], duration="2 s", seed=s, rules=False) for s in (3, 4, 5)]
    each = sorted(one.sides[0].numbers["migrated_pages"] for one in alone)
    assert found.sides[0].numbers["migrated_pages"] == each[1]
    assert found.sides[0].spread["migrated_pages"] == each[2] - each[0]
    assert [e.switch for e in found.matter] == ["thisnode"]
    assert found.title == "full target: 2 s simulated, seeds 3 to 5"
    assert found.notes == ()


# ---- what comes out ---------------------------------------------------------------------------------------------------


def test_the_result_as_table_json_and_html(full: Difference) -> None:
    table = full.table
    assert table.sizes == {"run": 2}
    assert table["migrated_pages"].sel(run="7.3.4") == FREE_PAGES
    assert table["kind"].values.tolist() == ["steady-flow", "saturated"]
    for name in table.data_vars:
        assert {"units", "long_name", "source"} <= set(table[name].attrs), name
    told = json.loads(json.dumps(full.to_dict()))
    assert told["answer"] == str(full)
    assert told["rules"][0]["switch"] == "thisnode"
    by_name = {row["name"]: row for row in told["measures"]}
    assert by_name["migrated_pages"]["values"][1] == FREE_PAGES
    assert by_name["settling_s"]["values"] == [math.inf, math.inf]
    html = full._repr_html_()
    assert "thisnode" in html
    assert "<script" not in html
    assert full.beyond(0.0)[0] == "kind"
    assert "sz_tried_scheme0" in full.beyond(0.0)
    assert "sz_tried_scheme0" not in full.beyond(0.5)


# ---- two scenarios, two runs ------------------------------------------------------------------------------------------


def test_two_scenarios_side_by_side_with_the_fields_that_differ() -> None:
    other = full_target(sz_bytes=2 << 20).replace(name="twice")
    found = tm.diff(FULL, other, duration="6 s", seed=1)
    assert [side.name for side in found.sides] == ["full target", "twice"]
    assert found.fields == ({"path": "contexts.0.schemes.0.quota.sz_bytes", "old": 1 << 20, "new": 2 << 20},)
    assert found.what == "scenarios"
    assert not found.effects
    old, new = (side.numbers["last_move_s"] for side in found.sides)
    assert new < old
    assert str(found) == f"full target: last move at {old:g} s; twice: last move at {new:g} s."


def test_two_stored_runs_are_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (tm.simulate(FULL.replace(kernel=k), duration="2 s", seed=1) for k in ("7.2", "7.3.4"))
    monkeypatch.setattr(running, "run_point", None)
    found = tm.diff(one, other)
    assert [side.name for side in found.sides] == ["full target (1)", "full target (2)"]
    assert {f["path"]: (f["old"], f["new"]) for f in found.fields} == {"kernel.base": ("7.2", "7.3.4")}
    assert found.what == "runs"
    assert found.notes == ()
    assert found.sides[1].numbers["migrated_pages"] == FREE_PAGES
    again = tm.diff(one, one, names=["a", "b"])
    assert again.same
    assert str(again) == "a and b: the same in every measure (unfinished)."
    later = other.assign_attrs(parameters=json.dumps({"duration_s": 3.0, "seed": 2}), tieringmodel="0.0.1")
    assert tm.diff(one, later).notes == (
        "the runs last 2.0 and 3.0 s", "the runs have the seeds 1 and 2",
        f"the runs were made by tieringmodel {tm.__version__} and 0.0.1",
    )  # fmt: skip


def test_a_scenario_beside_a_run_is_run_as_that_was() -> None:
    ds = tm.simulate(FULL, duration="3 s", seed=5)
    found = tm.diff(ds, FULL)
    assert found.same
    assert found.title.endswith("3 s simulated, seed 5")
    for arguments in ({"duration": "2 s"}, {"seed": 1}, {"seeds": 2}):
        with pytest.raises(tm.InputError, match="those of a stored run"):
            tm.diff(ds, FULL, **arguments)  # type: ignore[arg-type]


def test_a_run_without_counters_of_today_is_compared_by_what_it_has() -> None:
    ds = tm.simulate(FULL, duration="2 s", seed=1)
    found = tm.diff(ds.drop_vars(["qt_exceeds", "sz_tried"]), ds)
    assert np.isnan(dict((row.name, row.values) for row in found.rows)["qt_exceeds_scheme0"][0])
    with pytest.raises(tm.InputError, match="one: is a result of kind 'sweep'"):
        tm.diff(xr.Dataset(attrs={"kind": "sweep"}), ds)


def test_different_fields() -> None:
    one = scenario(pull(), push())
    schemes = one.contexts[0].schemes
    other = one.replace(
        contexts=(one.contexts[0].replace(schemes=(schemes[0].replace(target_nid=1), schemes[1], to_node_0())),),
        kernel=tm.Kernel("7.2", thisnode=True),
    )
    found = {path: (old, new) for path, old, new in different_fields(one, other)}
    assert found == {
        "contexts.0.schemes.0.target_nid": (0, 1),
        "contexts.0.schemes.2": (None, to_node_0()),
        "kernel.base": ("7.3.4", "7.2"),
        "kernel.thisnode": (None, True),
    }
    assert read_path(other, "contexts.0.schemes.2") == to_node_0()
    assert list(different_fields(one, one)) == []
