"""The table of goal metrics: every door knows the same names, in a fresh process too; results outlive their metrics."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small import HOT, pull, push, scenario

import tieringmodel as tm
from tieringmodel.comparison.policies import policies
from tieringmodel.comparison.presets import preset
from tieringmodel.cost import control_cost
from tieringmodel.damon.goals import CODES, OWN, current_value, unregister_metric
from tieringmodel.interop.damo.json import read_damo
from tieringmodel.interop.sysfs.portable import portable
from tieringmodel.interop.sysfs.read import read_dump
from tieringmodel.plot import course
from tieringmodel.reports import write_report
from tieringmodel.scenario.metrics import AS_POSTED, ELIGIBLE, OPS, SHIPPED, Unregistered, metric_of, names
from tieringmodel.simulation.engine import Engine

NAMES = list(SHIPPED)
ALIKE = {"node_sys_bp:v1-literal", "node_target_mem_bp:v2", "node_eligible_mem_bp:v4", "node_ineligible_mem_bp:v4"}
"""Other names of a metric that has a shorter one."""


def with_goal(name: str, **goal: Any) -> tm.Scenario:
    needs = {"memcg_id": 1} if "memcg_id" in metric_of(name).needs else {}
    quota = tm.Quota(sz_bytes=1 << 20, reset_interval_ms=100, goals=(tm.Goal(name, 4000, **needs, **goal),))
    sc = scenario(memcgs=(tm.Memcg(1, 0, 2048),))
    context = sc.contexts[0].replace(schemes=(tm.Scheme("migrate_hot", HOT, target_nid=0, quota=quota),))
    return sc.replace(contexts=(context,), kernel=kernel_with(name))


def kernel_with(name: str) -> tm.Kernel:
    """The default kernel, or one that has the metric."""
    return tm.Kernel("next" if metric_of(name).linux == "next" else "7.3.4")


def damo(goal: dict[str, Any]) -> dict[str, Any]:
    """Parameters of damo with one goal."""
    return {"kdamonds": [{"contexts": [{"targets": [{"regions": []}], "schemes": [{"quotas": {"goals": [goal]}}]}]}]}


@pytest.fixture
def own() -> Iterator[str]:
    """A metric of one's own, known while the test runs."""
    tm.register_metric("idle_bp", lambda view, goal: 3000, ops=("paddr",))
    yield "idle_bp"
    unregister_metric("idle_bp")


def test_each_metric_has_one_function_and_one_set_of_facts() -> None:
    assert list(CODES) == NAMES == names()
    assert not OWN
    facts = [(m.counts, m.over, m.rest) for m in SHIPPED.values() if m.name not in ALIKE]
    doubled = {f for f in facts if facts.count(f) > 1}
    assert doubled == {("eligible", "nodes", False), ("eligible", "nodes", True)}  # version 3 books by first frames
    assert all(SHIPPED[m.opposite].counts == m.counts for m in SHIPPED.values() if m.opposite)
    assert all(SHIPPED[m.opposite].rest != m.rest for m in SHIPPED.values() if m.opposite)


@pytest.mark.parametrize("name", NAMES)
def test_every_door_knows_the_metric(name: str) -> None:
    sc, metric = with_goal(name), SHIPPED[name]
    assert tm.Scenario.from_toml(sc.to_toml()) == sc == tm.Scenario.from_json(sc.to_json())
    assert 0 <= current_value(Engine(sc).kdamonds[0].view(0), sc.contexts[0].schemes[0].quota.goals[0]) <= 10_000
    assert "metric-unknown" not in {f.code for f in tm.lint(sc)}
    lines = (
        "action migrate_hot",
        f"quotas/goals/0/target_metric {name}",
        "quotas/goals/0/target_value 400",
        "quotas/goals/0/path /a",
    )
    dump = "operations paddr\ntargets/0/regions/0/start 0\ntargets/0/regions/0/end 4096\n"
    (scheme,) = read_dump(dump + "".join(f"schemes/0/{line}\n" for line in lines)).contexts[0].schemes
    assert scheme.quota.goals[0].metric == name
    table = {"metric": name, "target_value": 400, "nid": 0} | ({"memcg_path": "/a"} if "memcg_id" in metric.needs else {})
    assert read_damo(damo(table)).contexts[0].schemes[0].quota.goals[0].metric == name
    for how, becomes in (("what-works", ELIGIBLE), ("seed-faithful", AS_POSTED)):
        (goal,) = preset(sc, how).contexts[0].schemes[0].quota.goals
        assert goal.metric == (becomes if metric.monitored else name)
    if metric.linux:
        assert portable(sc).contexts[0].schemes[0].quota.goals[0].metric == name
    else:
        with pytest.raises(tm.InputError, match=r"is not in Linux 7\.3\.4"):
            portable(sc)
    if metric.controls:
        assert ("goal: node_sys_bp as posted" in policies(sc)) == metric.monitored
    else:
        with pytest.raises(tm.InputError, match="no scheme has a goal about a node's share"):
            policies(sc)


@pytest.mark.parametrize("name", NAMES)
def test_a_misspelt_metric_is_refused_everywhere_with_the_nearest(name: str) -> None:
    wrong = name[:2] + name[3:]
    said = rf"'{wrong[:20]}[^']*' is not a goal metric; did you mean '{name}'"  # long names are cut
    sc = with_goal(name)
    doors = (
        lambda: tm.Goal(wrong, "40 %"),
        lambda: tm.Goal(name, 4000).replace(metric=wrong),
        lambda: tm.Scenario.from_toml(sc.to_toml().replace(name, wrong)),
        lambda: tm.Scenario.from_json(sc.to_json().replace(f'"{name}"', f'"{wrong}"')),
        lambda: sc.replace(events=(tm.Event(10, "contexts.0.schemes.0.quota.goals.0.metric", wrong),)),
        lambda: read_damo(damo({"metric": wrong})),
    )
    for door in doors:
        with pytest.raises(tm.InputError, match=said):
            door()
    with pytest.raises(tm.InputError, match=rf"'{name[:20]}[^']*' is a metric of the model"):
        tm.register_metric(name, len, replace=True)


@pytest.mark.parametrize("ops", ["vaddr", "fvaddr"])
@pytest.mark.parametrize("name", NAMES)
def test_an_operations_set_that_has_no_answer(name: str, ops: str) -> None:
    context = with_goal(name).contexts[0]
    if SHIPPED[name].refused:
        with pytest.raises(tm.KernelRefusal, match="needs paddr"):
            context.replace(ops=ops)
        return
    sc = scenario(vmas=(tm.Vma(0, 4096, 1 << 40),), memcgs=(tm.Memcg(1, 0, 2048),))
    sc = sc.replace(contexts=(context.replace(ops=ops),), kernel=kernel_with(name))
    goal = sc.contexts[0].schemes[0].quota.goals[0]
    assert ("metric-unsupported" in {f.code for f in tm.lint(sc)}) == (ops not in SHIPPED[name].ops)
    if ops not in SHIPPED[name].ops:
        assert current_value(Engine(sc).kdamonds[0].view(0), goal) == 0


@pytest.mark.parametrize("name", [n for n in NAMES if SHIPPED[n].monitored])
def test_goals_about_monitored_memory_cost_walks(name: str) -> None:
    ds = tm.simulate(with_goal(name), duration="1 s", snapshots=4)
    assert ("mean over" in control_cost(ds).attrs["matching_bytes"]) == SHIPPED[name].by_pattern


def test_a_fresh_process_knows_the_same_names() -> None:
    """Whatever is imported first: today's run imported everything."""
    program = """
import json, sys
import tieringmodel as tm
from importlib import import_module
import_module(sys.argv[1])
from tieringmodel.scenario.metrics import names
def refused(name):
    try:
        tm.register_metric(name, len, replace=True)
    except tm.InputError:
        return True
known = names()
print(json.dumps([known, [n for n in known if refused(n)], [tm.Goal(n, 1).metric for n in known]]))
"""
    for room in ("tieringmodel", "tieringmodel.interop.sysfs.read", "tieringmodel.comparison.presets", "tieringmodel.cost"):
        done = subprocess.run([sys.executable, "-c", program, room], capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == [NAMES, NAMES, NAMES], room


def test_a_metric_of_ones_own_is_known_while_it_is_registered(own: str) -> None:
    assert metric_of(own).ops == ("paddr",)
    assert "metric-unknown" not in {f.code for f in tm.lint(with_goal(own))}
    assert read_damo(damo({"metric": own, "target_value": 4})).contexts[0].schemes[0].quota.goals == (tm.Goal(own, 4),)
    with pytest.raises(tm.InputError, match="is taken"):
        tm.register_metric(own, len)
    tm.register_metric(own, lambda view, goal: 7, replace=True)
    assert metric_of(own).ops == OPS
    unregister_metric(own)
    with pytest.raises(tm.InputError, match="'idle_bp' is not a goal metric"):
        tm.Goal(own, 4000)


def test_a_scenario_whose_metric_was_withdrawn_does_not_run(own: str) -> None:
    sc = with_goal(own)
    unregister_metric(own)
    with pytest.raises(tm.InputError, match=r"contexts\[0\]\.schemes\[0\]\.quota\.goals\[0\]\.metric: 'idle_bp'"):
        tm.simulate(sc, duration="1 s")


def test_a_stored_result_outlives_its_metric(own: str, tmp_path: Path) -> None:
    first, second = pull(6000), push(4000)
    mixed = first.replace(quota=first.quota.replace(goals=(*first.quota.goals, tm.Goal(own, 3000))))
    change = (tm.Event(1_000_000, "contexts.0.schemes.1.quota.goals.0.metric", own),)
    sc = scenario(mixed, second).replace(events=change)
    tm.simulate(sc, duration="3 s", snapshots=4).to_netcdf(tmp_path / "run.nc", engine="h5netcdf")
    known = judged(tmp_path / "run.nc")
    unregister_metric(own)
    assert judged(tmp_path / "run.nc") == known
    text = open_dataset(tmp_path / "run.nc").attrs["scenario"]
    with pytest.raises(tm.InputError, match="'idle_bp' is not a goal metric"):
        tm.Scenario.from_json(text)
    stored = tm.Scenario.from_json(text, stored=True)
    assert isinstance(stored.contexts[0].schemes[0].quota.goals[1].metric, Unregistered)
    assert "'idle_bp' is not a goal metric: the run will be refused" in {f.message for f in tm.lint(stored)}
    with pytest.raises(tm.InputError, match="'idle_bp' is not a goal metric"):
        tm.simulate(stored, duration="1 s")
    page = write_report([open_dataset(tmp_path / "run.nc")], tmp_path / "r.html", command="x").read_text(encoding="utf-8")
    assert known["kind"] in page
    course(open_dataset(tmp_path / "run.nc"))
    tm.to_damo_record(open_dataset(tmp_path / "run.nc"), tmp_path / "damon.data")


def open_dataset(path: Path) -> Any:
    import xarray as xr

    return xr.open_dataset(path, engine="h5netcdf")


def judged(path: Path) -> dict[str, Any]:
    """What is said of a stored run."""
    ds = open_dataset(path)
    verdict = tm.analysis.verdict(ds)
    cost = control_cost(ds)["total_cpu_s"].values.tolist()
    return {"kind": verdict.kind, "cause": verdict.cause, "text": repr(verdict.numbers), "cost": cost}
