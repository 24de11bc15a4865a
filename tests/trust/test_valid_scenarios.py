"""A scenario that the checks accept runs through every door, or is refused there in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from scenarios import PAGE, contexts, groups, machines, schemes

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.comparison.policies import Controlled, policies
from tieringmodel.reports import write_report
from tieringmodel.scenario.scheme import DEST_RULES

OF_NODES = ("node_memcg_used_bp", "node_memcg_free_bp", "node_mem_used_bp", "node_mem_free_bp", "node_eligible_mem_bp")


@st.composite
def goals(draw: Any) -> dict[str, Any]:
    return {
        "metric": draw(st.sampled_from(OF_NODES)), "nid": draw(st.sampled_from([0, 1, 1, 1, 7])),
        "memcg_id": draw(st.integers(1, 2)),
        "target_value": draw(st.sampled_from([1, 4000, 9999])), "lag_cache": draw(st.sampled_from([False, False, True])),
        "complement": draw(st.booleans()),
    }  # fmt: skip


@st.composite
def any_scenarios(draw: Any) -> dict[str, Any]:
    """What the strategies of other tests leave out: memory that is taken, destinations, mappings, several targets, goals."""
    machine = draw(machines())
    for node in machine["nodes"]:
        for name in ("kernel_bytes", "cache_bytes", "unmanaged_bytes", "offline_bytes"):
            node[name] = draw(st.sampled_from([0, 0, 0, 50 * PAGE, node["sz_bytes"]]))
    n = draw(st.integers(2, 300))
    cuts = sorted({0, n, *draw(st.lists(st.integers(1, n - 1), max_size=5))})
    vmas = [
        {"lo": lo, "hi": hi, "start_bytes": (k + 1) * (1 << 30), "pgoff": draw(st.integers(0, 9))}
        for k, (lo, hi) in enumerate(pairwise(cuts))
    ]
    some = draw(st.lists(contexts(machine), max_size=2))
    for context in some:
        context["ops"] = draw(st.sampled_from(["paddr", "vaddr"]))
        if context["ops"] == "vaddr":
            context["targets"] = [{}] * draw(st.integers(1, 3))
        elif draw(st.sampled_from([False, False, True])):
            context["attrs"] |= {"aggr_us": 5_000_000}  # longer than the run
        if draw(st.booleans()):
            context["schemes"] = [
                draw(schemes(1 << 20)) | {"action": draw(st.sampled_from(["migrate_hot", "pageout", "stat"]))}
            ]
        for scheme in context["schemes"]:
            if draw(st.booleans()):
                scheme["dests"] = [{"id": k, "weight": draw(st.integers(0, 3))} for k in range(2)]
                scheme |= {"dest_rule": draw(st.sampled_from(DEST_RULES)), "rmap_done_mark": draw(st.booleans())}
            if draw(st.booleans()):
                scheme["quota"]["goals"] = [draw(goals())]
    return {
        "machine": machine,
        "workload": {
            "n_pages": n,
            "groups": draw(st.lists(groups(n), max_size=3)),
            "vmas": vmas,
            "memcgs": [{"memcg_id": 1, "lo": 0, "hi": 1 + n // 2}, {"memcg_id": 2, "lo": 1 + n // 2, "hi": n}][: 1 + (n > 2)],
        },
        "contexts": some,
    }


def outcome(door: Callable[[], Any]) -> str:
    """Return what a door refuses, in one line; any other error is one of the test's."""
    said = ""
    try:
        door()
    except tm.TieringError as error:
        said = str(error)
    assert "\n" not in said
    return said


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(any_scenarios())
def test_what_is_accepted_runs_or_is_refused_in_a_sentence(tmp_path: Path, data: dict[str, Any]) -> None:
    try:
        sc = tm.Scenario.from_dict(data)
    except tm.InputError:
        return
    tm.lint(sc)  # lint tells of faults, and refuses none
    runs: list[Any] = []
    refused = outcome(lambda: runs.append(tm.simulate(sc, duration=0.2, seed=1, snapshots=5, progress=False)))
    missing = [
        (c, s, g) for c, x in enumerate(sc.contexts) for s, y in enumerate(x.schemes) for g, z in enumerate(y.quota.goals)
        if z.metric.startswith("node_") and z.nid not in (0, 1)
    ]  # fmt: skip
    if missing:
        c, s, g = missing[0]
        assert refused.startswith(f"contexts[{c}].schemes[{s}].quota.goals[{g}].nid: node ")
        assert "not in the machine" in outcome(lambda: tm.compare({"goal": sc}, duration=0.2, progress=False))
    if not runs:
        return
    (ds,) = runs
    outcome(lambda: tm.analysis.verdict(ds))
    write_report([ds], tmp_path / "report.html", command="x")
    path = tmp_path / "record.json"
    if not outcome(lambda: tm.to_damo_record(ds, path)):
        records = tm.read_damo_record(path)
        assert sum(len(s.rows) for r in records for s in r.snapshots) == ds.sizes["region"]
        assert len(records) == sum(len(c.targets) for c in sc.contexts)
    outcome(lambda: policies(sc))


BOTH = {"nodes": [{"nid": k, "start_bytes": k << 22, "sz_bytes": 1 << 22} for k in range(2)]}


def small(scheme: dict[str, Any], **context: Any) -> tm.Scenario:
    workload = {"n_pages": 500, "groups": [{"lo": 0, "hi": 200, "rate_hz": 500.0}], "vmas": [
        {"lo": 100 * k, "hi": 100 * k + 100, "start_bytes": (k + 1) << 30} for k in range(5)]}  # fmt: skip
    return tm.Scenario.from_dict({"machine": BOTH, "workload": workload, "contexts": [{"schemes": [scheme], **context}]})


@pytest.mark.parametrize("rule", DEST_RULES)
@pytest.mark.parametrize("ops", ["paddr", "vaddr"])
def test_a_done_mark_matters_only_where_pages_are_looked_up(rule: str, ops: str) -> None:
    dests = [{"id": 0, "weight": 1}, {"id": 1, "weight": 1}]
    scheme = {"action": "migrate_hot", "dest_rule": rule, "dests": dests}
    plain, marked = (
        tm.simulate(small(scheme | {"rmap_done_mark": mark}, ops=ops), duration=1, progress=False) for mark in (False, True)
    )
    assert int(plain["migrated_pages"].sum()) > 0
    if (rule, ops) == ("vma_offset", "paddr"):
        assert 0 < int(marked["rmap_walks"][-1, 0]) < int(plain["rmap_walks"][-1, 0])
    else:
        assert plain.drop_attrs().equals(marked.drop_attrs())


GOAL = {"metric": "node_eligible_mem_bp", "nid": 1, "target_value": 4000, "lag_cache": True}


@pytest.mark.parametrize("start", [0, 4096, 1 << 20])
def test_a_lag_cache_counts_on_the_node_where_a_region_starts(start: int) -> None:
    quota = {"sz_bytes": "1 MiB", "reset_interval_ms": 100, "goal_tuner": "temporal", "goals": [GOAL]}
    sc = small({"action": "migrate_hot", "target_nid": 1, "quota": quota})
    nodes = tuple(n.replace(start_bytes=n.start_bytes + start) for n in sc.machine.nodes)
    sc = sc.replace(
        machine=sc.machine.replace(nodes=nodes),
        contexts=(sc.contexts[0].replace(targets=(tm.Target(((0, start + (2 << 22)),)),)),),
    )
    assert int(tm.simulate(sc, duration=2, progress=False)["migrated_pages"].sum()) > 0
    for ops in ("vaddr", "fvaddr"):
        with pytest.raises(tm.InputError, match=r"goals\[0\].lag_cache: follows regions .*; use ops paddr") as caught:
            small({"quota": quota | {"goals": [GOAL | {"metric": "node_mem_used_bp"}]}}, ops=ops)
        assert caught.value.where == "contexts[0].schemes[0].quota.goals[0].lag_cache"


def test_a_controlled_node_must_be_there(tmp_path: Path) -> None:
    sc = small({"action": "migrate_hot", "target_nid": 1})
    for what in (Controlled("used", 7, 5000), Controlled("access", 7, 5000)):
        with pytest.raises(tm.InputError, match=r"what.nid: node 7 is not in the machine; known: 0, 1"):
            tm.compare({"a": sc}, duration=1, what=what, progress=False)
        with pytest.raises(tm.InputError, match=r"oracle.nid: node 7 is not in the machine"):
            tm.simulate(sc.replace(contexts=()), duration=1, oracle=what, progress=False)
        with pytest.raises(tm.TieringError, match=r"every point failed \(1\); the first: .*node 7 is not in the machine"):
            tm.sweep(sc, {"seed": [1]}, duration="0.2 s", what=what)
    goal = {"metric": "node_mem_used_bp", "nid": 1, "target_value": 4000}
    moved = small({"action": "migrate_hot", "target_nid": 1, "quota": {"goals": [goal], "reset_interval_ms": 100}})
    path = "contexts.0.schemes.0.quota.goals.0.nid"
    with pytest.warns(UserWarning, match="1 of 2 points failed"):
        ds = tm.sweep(moved, {path: [1, 7]}, duration="0.2 s")
    assert [bool(e) for e in ds["error"].values] == [False, True]
    later = moved.replace(events=(tm.Event(100_000, path, 7),))
    with pytest.raises(tm.InputError, match=r"goals\[0\].nid: node 7 is not in the machine"):
        tm.simulate(later, duration=1, progress=False)


@pytest.mark.parametrize("head", ["²", "٣", "x", "-1", "1.5", "", "9" * 5000, "00000000000"])
def test_a_position_is_a_plain_number(head: str) -> None:
    from tieringmodel.fields import with_path
    from tieringmodel.scenario.paths import with_paths

    sc = small({})
    for change in (lambda p: with_path(sc, p, "vaddr"), lambda p: with_paths(sc, {p: "vaddr"})):
        with pytest.raises(tm.InputError):
            change(f"contexts.{head}.ops")
    with pytest.raises(tm.InputError):
        sc.replace(events=({"at_us": 1, "path": f"contexts.{head}.ops", "value": "vaddr"},))


@pytest.mark.parametrize("words", [["run", "rfc-40-60", "-o", "a\0b"], ["report", "a\0b"], ["sweep", "\0", "--seeds", "1"],
                                   ["run", "--", "damo", "start", "\0"], ["lint", "a", "--machine", "x\0"]])  # fmt: skip
def test_a_nul_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("tieringmodel: ")
    assert err.endswith("holds a NUL, which no file and no option has in its name\n")


def test_a_report_leaves_out_what_is_not_there(tmp_path: Path) -> None:
    sc = small({"action": "migrate_hot", "target_nid": 1})
    slow = sc.contexts[0].replace(attrs=tm.Attrs(sample_us=1_000_000, aggr_us=30_000_000))
    for number, some in enumerate([(slow,), (slow, sc.contexts[0]), (sc.contexts[0], slow), ()]):
        ds = tm.simulate(sc.replace(contexts=some), duration=1, progress=False)
        page = write_report([ds], tmp_path / f"{number}.html", command="x").read_text()
        assert ("nr_accesses" in page) == (sc.contexts[0] in some)


def test_regions_of_several_targets_are_told_apart(tmp_path: Path) -> None:
    sc = small({}, ops="vaddr", targets=[{}, {"regions": [[1 << 30, (1 << 30) + 40 * PAGE]]}, {}])
    ds = tm.simulate(sc, duration=1, progress=False)
    for name in ("a.json", "a.data", "a.txt"):
        records = tm.read_damo_record(tm.to_damo_record(ds, tmp_path / name))
        assert [r.target for r in records] == [0, 1, 2]
        for target, record in enumerate(records):
            rows = np.array([row for s in record.snapshots for row in s.rows])
            mine = ds["region_target"].values == target
            assert rows[:, 0].tolist() == ds["region_start"].values[mine].tolist()
            assert len(record.snapshots) == ds.sizes["snapshot"] > 1
    assert (ds["region_end"].values[ds["region_target"].values == 1] <= (1 << 30) + 40 * PAGE).all()
    old = ds.drop_vars("region_target")
    with pytest.raises(tm.InputError, match=r"does not say to which target regions of contexts\[0\] belong"):
        tm.to_damo_record(old, tmp_path / "b.json")
    assert "region_target" not in tm.simulate(small({}), duration=1, progress=False)
