"""Every path that an event can name: a running context carries it out, or the scenario is refused."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

import tieringmodel as tm
from tieringmodel.damon import table
from tieringmodel.damon.kdamond import Kdamond
from tieringmodel.fields import with_path
from tieringmodel.scenario.commits import TAKEN_OVER
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.simulate import scheme_actions

MIB = 1 << 20
S = "schemes.0"
Q, P, W, F = f"{S}.quota", f"{S}.access_pattern", f"{S}.watermarks", f"{S}.filters.0"
G = f"{Q}.goals.0"
BASE = tm.Scenario.from_dict({
    "machine": {"nodes": [{"nid": i, "start_bytes": i * 8 * MIB, "sz_bytes": 8 * MIB} for i in range(2)],
                "migrate_ns_per_page": 20_000, "rmap_ns_per_page": 500},
    "workload": {"n_pages": 1500, "groups": [{"lo": 0, "hi": 700, "rate_hz": 300.0}, {"lo": 700, "hi": 900, "rate_hz": 30.0}],
                 "vmas": [{"lo": 0, "hi": 1500, "start_bytes": 1 << 40},
                          {"lo": 600, "hi": 1500, "start_bytes": 1 << 40, "process": 1}],
                 "memcgs": [{"memcg_id": 1, "lo": 0, "hi": 600}, {"memcg_id": 2, "lo": 600, "hi": 1500}]},
    "contexts": [{
        "attrs": {"max_nr_regions": 100},
        "schemes": [{"action": "migrate_hot", "target_nid": 1, "access_pattern": {"min_nr_accesses": 5},
                     "quota": {"sz_bytes": 200_000, "reset_interval_ms": 100}}],
    }],
})  # fmt: skip

# What a start has beside BASE, by path below its context.
TUNED = {"attrs.intervals_goal": {"access_bp": 400, "aggrs": 1, "min_sample_us": 1000, "max_sample_us": 20_000}}
MARKS = {W: {"metric": "free_mem_rate", "interval_us": 20_000, "high": 1000, "mid": 900, "low": 1}}
PRIORITIES = {f"{P}.min_nr_accesses": 0, f"{Q}.weights": {"nr_accesses": 3, "age": 1}}
DEALT = {f"{S}.dests": [{"id": 0, "weight": 1}, {"id": 1, "weight": 1}], Q: {}}


def goal(metric: str = "node_mem_used_bp", **given: Any) -> dict[str, Any]:
    """A start with one goal."""
    row = {"metric": metric, "target_value": 5000, "nid": 1} | given
    return {f"{Q}.goals": [row], f"{Q}.goal_tuner": "temporal"}


def filtered(kind: str, **given: Any) -> dict[str, Any]:
    """A start with one filter."""
    return {f"{S}.filters": [{"type": kind} | given], f"{P}.min_nr_accesses": 0}


SHARE, FED, STALL = goal(), goal("user_input", current_value=2500), goal("some_mem_psi_us", current_value=5)
MEMCG, ELIGIBLE = goal("node_memcg_used_bp", memcg_id=1), goal("node_eligible_mem_bp:v3", lag_cache=True, lag_timeout_ms=10_000)
MET = goal(nid=0, target_value=9000)  # met before anything leaves the node, but asks for more, so the quota is full
ADDR = filtered("addr", start_bytes=0, end_bytes=2 * MIB, allow=True)
START = 1 << 40
WHOLE = {"targets": [{"regions": [[0, 8 * MIB]]}]}
VIRTUAL = {"ops": "vaddr", "targets": [{"regions": [[START, START + 900 * 4096]]}]}
ONE = BASE.contexts[0].schemes[0].to_dict()
CARRIED_OUT: dict[str, list[tuple[dict[str, Any], Any]]] = {
    "addr_unit": [(WHOLE, 2), ({"targets": [{"regions": [[0, 3 * MIB]]}]}, 4)],
    "min_region_sz": [(WHOLE, MIB), ({}, 64 * 4096)],
    "targets.0.process": [(VIRTUAL, 1)],
    "attrs.sample_us": [({}, 10_000)],
    "attrs.aggr_us": [({}, 50_000)],
    "attrs.update_us": [({}, 1_000_000)],
    "attrs.min_nr_regions": [({}, 60)],
    "attrs.max_nr_regions": [({}, 20)],
    "attrs.intervals_goal.access_bp": [(TUNED, 9000)],
    "attrs.intervals_goal.aggrs": [(TUNED, 3), (TUNED | {"attrs.intervals_goal.aggrs": 0}, 1)],
    "attrs.intervals_goal.min_sample_us": [(TUNED | {"attrs.intervals_goal.access_bp": 9000}, 5000)],
    "attrs.intervals_goal.max_sample_us": [(TUNED | {"attrs.intervals_goal.access_bp": 1}, 6000)],
    "moving_sum": [({f"{S}.apply_interval_us": 35_000}, "stored")],
    "targets": [({"ops": "vaddr"}, [{"regions": [[START, START + MIB]]}, {"regions": [[START + MIB, START + 2 * MIB]]}])],
    "targets.0.regions": [({}, [[0, 3 * MIB]]), ({"targets": [{"regions": [[0, MIB]]}]}, [])],
    "schemes": [({}, []), ({}, [ONE, {"action": "stat"}]), ({"schemes": [ONE, {"action": "stat"}]}, [ONE])],
    f"{S}.action": [({}, "stat"), ({f"{S}.action": "stat"}, "pageout")],
    f"{P}.min_sz_bytes": [({}, 2 * MIB)],
    f"{P}.max_sz_bytes": [({}, 4096)],
    f"{P}.min_nr_accesses": [({}, 20)],
    f"{P}.max_nr_accesses": [({}, 6)],
    f"{P}.min_age": [({}, 3)],
    f"{P}.max_age": [({}, 0)],
    f"{S}.apply_interval_us": [({}, 30_000)],
    f"{S}.target_nid": [({}, 0), ({"ops": "vaddr"}, 0)],
    f"{Q}.ms": [({f"{Q}.sz_bytes": 1 << 40}, 1)],
    f"{Q}.sz_bytes": [({}, 400_000), ({Q: {"reset_interval_ms": 100}}, 4096)],
    f"{Q}.reset_interval_ms": [({}, 200)],
    f"{Q}.goals": [(SHARE, [{"metric": "node_mem_free_bp", "target_value": 10, "nid": 1}]), (SHARE, []),
                   (SHARE, [*SHARE[f"{Q}.goals"], {"metric": "node_mem_free_bp", "target_value": 10, "nid": 1}])],
    f"{G}.metric": [(SHARE, "node_mem_free_bp")],
    f"{G}.target_value": [(SHARE, 500)],
    f"{G}.current_value": [(FED, 6000), (STALL, 9000)],
    f"{G}.nid": [(SHARE, 0)],
    f"{G}.memcg_id": [(MEMCG, 2)],
    f"{G}.complement": [(SHARE, True)],
    f"{G}.clamp": [(SHARE | {f"{G}.target_value": 9000}, "tuner")],
    f"{G}.early_exit": [(MET, "both_fresh"), (MET | {f"{G}.early_exit": "both_fresh"}, "none")],
    f"{G}.lag_cache": [(ELIGIBLE, False), (ELIGIBLE | {f"{G}.lag_cache": False}, True)],
    f"{G}.lag_timeout_ms": [(ELIGIBLE, 1)],
    f"{G}.current_values": [(FED, [[200_000, 9000]]), (STALL, [[200_000, 700], [400_000, 9000]])],
    f"{Q}.goal_tuner": [(FED, "consist")],
    f"{Q}.weights.sz": [(PRIORITIES, 9)],
    f"{Q}.weights.nr_accesses": [(PRIORITIES, 0)],
    f"{Q}.weights.age": [(PRIORITIES, 9)],
    f"{Q}.fail_charge_num": [(filtered("anon", allow=False) | {f"{Q}.fail_charge_denom": 7}, 1)],
    f"{Q}.fail_charge_denom": [(filtered("anon", allow=False) | {f"{Q}.fail_charge_num": 1}, 7)],
    f"{Q}.esz0": [(goal(target_value=1), "bypass"), (goal(target_value=1) | {f"{Q}.esz0": "bypass"}, "stop")],
    f"{Q}.esz_floor_min_region": [({f"{Q}.sz_bytes": 100}, True)],
    f"{Q}.esz_cap_monitored": [({f"{Q}.sz_bytes": 1 << 40}, True)],
    f"{W}.metric": [(MARKS | {f"{W}.high": 10}, "none"), (MARKS | {f"{W}.high": 10, f"{W}.metric": "none"}, "free_mem_rate")],
    f"{W}.interval_us": [(MARKS | {f"{W}.high": 10}, 7_000)],
    f"{W}.high": [(MARKS, 10)],
    f"{W}.mid": [(MARKS | {f"{W}.high": 600, f"{W}.mid": 590}, 10)],
    f"{W}.low": [(MARKS, 950)],
    f"{S}.filters": [({}, [{"type": "young"}]), (ADDR | {Q: {}}, [])],
    f"{F}.type": [(filtered("anon"), "active")],
    f"{F}.matching": [(ADDR, False)],
    f"{F}.allow": [(ADDR, False)],
    f"{F}.start_bytes": [(ADDR, MIB)],
    f"{F}.end_bytes": [(ADDR, 4 * MIB)],
    f"{F}.target_idx": [(filtered("target"), 1)],
    f"{F}.memcg_id": [(filtered("memcg", memcg_id=1), 2)],
    f"{F}.min_bytes": [(filtered("hugepage_size", max_bytes=8192), 8192)],
    f"{F}.max_bytes": [(filtered("hugepage_size", allow=False), 8192)],
    f"{S}.dests": [({}, [{"id": 1, "weight": 3}]), (DEALT, [])],
    f"{S}.dests.0.id": [(DEALT, 1)],
    f"{S}.dests.0.weight": [(DEALT, 5), (DEALT | {"ops": "vaddr"}, 5)],
    f"{S}.dest_rule": [(DEALT, "iid")],
    f"{S}.rmap_done_mark": [(DEALT, True), (DEALT | {f"{S}.rmap_done_mark": True}, False)],
    f"{S}.max_nr_snapshots": [({Q: {}}, 3)],
    f"{S}.enabled": [({}, False), ({f"{S}.enabled": False}, True)],
}  # fmt: skip
REFUSED: dict[str, list[tuple[dict[str, Any], Any]]] = {
    "ops": [({}, "vaddr"), ({"ops": "vaddr"}, "fvaddr")],
    "aggr_times_us": [({}, [200_000 * k for k in range(1, 20)])],
    "aggr_sampled_us": [({"aggr_times_us": [200_000]}, [150_000])],
    "rng_seed": [({}, 77), ({"rng_seed": 0}, None)],
    "sources": [({}, [{"name": "chmu"}]), ({"sources": [{"name": "chmu"}]}, [])],
    "sources.0.name": [({"sources": [{"name": "chmu"}]}, "truth")],
    "sources.0.settings": [({"sources": [{"name": "hint_faults"}]}, ["scan_bytes = 1 MiB"])],
    f"{Q}.esz_bp0": [(SHARE, 500)],
}
EVERY = [(path, start, value) for cases in (CARRIED_OUT, REFUSED) for path, some in cases.items() for start, value in some]
OFFLINE = "machine.nodes.1.offline_bytes"
ALSO = {f"{W}.mid": (tm.Event(200_000, OFFLINE, 4 * MIB), tm.Event(350_000, OFFLINE, 0), tm.Event(600_000, OFFLINE, 4 * MIB))}
"""Events of the machine without which a field is not looked at."""
SAME_RESULT = {f"{Q}.weights.sz", "moving_sum"}
"""Linux reads the first one nowhere; the second one tells how counts are kept, and here both ways come to the same."""


NOT_LEARNT = {
    "stage", "sample_us", "aggr_us", "update_us", "min_nr_regions", "max_nr_regions", "tune_aggrs", "watched", "external",
    "sums_from", "need",
}  # fmt: skip
"""Fields of a turn that follow from parameters, count them, or say how much room there was."""


def paths(cls: type, before: str = "") -> Iterator[str]:
    """All fields below a class, the first of each list, and the lists."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        hint, path = hints[field.name], before + field.name
        inner = next((h for h in typing.get_args(hint) if dataclasses.is_dataclass(h)), None)
        if dataclasses.is_dataclass(hint):
            yield from paths(hint, f"{path}.")
        else:
            yield path
        if inner:
            yield from paths(inner, f"{path}.0.")


def started(start: dict[str, Any]) -> tm.Scenario:
    sc = BASE
    for path, value in start.items():
        sc = with_path(sc, f"contexts.0.{path}", value)
    return sc


def with_event(start: dict[str, Any], path: str, value: Any) -> tm.Scenario:
    return started(start).replace(events=(tm.Event(150_000, f"contexts.0.{path}", value), *ALSO.get(path, ())))


def ran(sc: tm.Scenario) -> Engine:
    engine = Engine(sc, 3, actions=scheme_actions)
    engine.run(900_000)
    return engine


@cache
def undisturbed(path: str, at: int) -> Any:
    return learnt(ran(started(CARRIED_OUT[path][at][0]).replace(events=ALSO.get(path, ()))))


def flat(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: flat(v) for key, v in value.items()}
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    return [flat(v) for v in value] if isinstance(value, (list, tuple)) else value


def learnt(engine: Engine) -> Any:
    """What a run has come to, without any parameter."""
    state = engine.state()
    for kdamond in state["kdamonds"]:
        del kdamond["context"], kdamond["attrs"], kdamond["actions"]
        kdamond["turn"] = kdamond["turn"][[n for n in kdamond["turn"].dtype.names if n not in NOT_LEARNT]].tolist()
        kdamond["regions"].pop("sum_bp", None)  # kept where moving sums are stored
    del state["stages_done"]
    return flat(state)


def parameters(k: Kdamond) -> Any:
    """What a kdamond has made of its context's fields, whenever it did so."""
    columns = {name: k.schemes[name] for name in k.schemes.dtype.names if name not in table.RUNNING}
    actions = {
        i: (type(action), {n: v for n, v in vars(getattr(action, "inner", action) or action).items() if n in
            ("rule", "weights", "cuts", "total_u32", "done_mark", "dests", "seed")})
        for i, action in k.actions.items()
    }  # fmt: skip
    quotas = [(q.quota, q.reset_jiffies, [lag and lag.timeout_ms for lag in q.lags]) for q in k.quotas]
    ends = [(int(r[0][0]), int(r[-1][1])) for r in k.regions.rows()]
    flags = k.watched, int(k.turn["sleeps"]), k._looks, k.min_sz, k.compiled is None
    return flat([k.context, columns, k.filters, actions, quotas, ends, flags, k.space.first, k.space.unit])


def test_every_field_of_a_context_has_its_case() -> None:
    assert sorted([*CARRIED_OUT, *REFUSED]) == sorted(paths(tm.Context))
    for cls, names in TAKEN_OVER.items():
        assert set(names.split()) <= {f.name for f in dataclasses.fields(cls)}


@pytest.mark.parametrize(("path", "at"), [(path, at) for path, some in CARRIED_OUT.items() for at in range(len(some))])
def test_what_is_accepted_is_carried_out(path: str, at: int) -> None:
    start, value = CARRIED_OUT[path][at]
    sc = with_event(start, path, value)
    changed = with_path(started(start), f"contexts.0.{path}", value)
    engine = ran(sc)
    assert engine.kdamonds[0].context == changed.contexts[0] != started(start).contexts[0]
    assert (learnt(engine) == undisturbed(path, at)) == (path in SAME_RESULT)
    if not path.startswith("attrs."):  # tuning goes on from there
        assert parameters(engine.kdamonds[0]) == parameters(Engine(changed, 3, actions=scheme_actions).kdamonds[0])


@pytest.mark.parametrize(("path", "at"), [(path, at) for path, some in REFUSED.items() for at in range(len(some))])
def test_what_stays_is_refused_in_a_sentence(path: str, at: int) -> None:
    start, value = REFUSED[path][at]
    with pytest.raises(tm.InputError) as caught:
        with_event(start, path, value)
    assert caught.value.where == "events[0].path"
    field = "sources" if path.startswith("sources") else path
    why = "the same addresses would" if field == "ops" else "a running context does not take it over"
    assert caught.value.what.startswith(f"contexts.0.{field} cannot change while running: {why}")
    assert caught.value.remedy


@pytest.mark.parametrize("start", [{}, {"targets": [{}]}])
def test_a_unit_of_addresses_changes_with_the_regions_alone(start: dict[str, Any]) -> None:
    with pytest.raises(tm.InputError, match="addr_unit cannot change while running: without regions, those of the start"):
        with_event(start, "addr_unit", 2)


@pytest.mark.parametrize(("path", "start", "value"), EVERY, ids=[path for path, _, _ in EVERY])
def test_a_context_given_as_a_whole_is_what_is_different_in_it(path: str, start: dict[str, Any], value: Any) -> None:
    """It does not matter how long the path is: neither to what is refused nor to what is carried out."""
    before = started(start)
    after = with_path(before, f"contexts.0.{path}", value).contexts

    def stages(contexts: tuple[tm.Context, ...]) -> list[tuple[int, tuple[tm.Context, ...]]]:
        whole = tm.Event(150_000, "contexts", [c.to_dict() for c in contexts])
        return [(at_us, sc.contexts) for at_us, sc in before.replace(events=(whole,)).stages()]

    if path in REFUSED:
        with pytest.raises(tm.InputError, match=r"^events\[0\]\.path: "):
            stages(after)
    else:
        assert stages(after) == [(150_000, after)]
    assert stages(before.contexts) == [(150_000, before.contexts)]


def test_contexts_neither_come_nor_go() -> None:
    for contexts in ([], [BASE.contexts[0].to_dict()] * 2):
        with pytest.raises(tm.InputError, match="changes how many contexts there are"):
            BASE.replace(events=(tm.Event(150_000, "contexts", contexts),))


def test_what_is_taken_over_elsewhere_stays_where_something_else_says_it() -> None:
    ends = {"aggr_times_us": [200_000 * k for k in range(1, 20)]}
    with pytest.raises(tm.InputError, match=r"contexts\.0\.attrs cannot change .*: aggr_times_us holds for the intervals"):
        with_event(ends, "attrs.sample_us", 10_000)
    with_event(ends, "attrs.max_nr_regions", 50)
    with_event(ends, f"{Q}.sz_bytes", 4096)
    for start, value in ((SHARE, 7), (SHARE | {f"{G}.current_value": 7}, 0)):
        with pytest.raises(tm.InputError, match=r"goals\.0\.current_value cannot change .*: node_mem_used_bp is measured"):
            with_event(start, f"{G}.current_value", value)
    measured = {"metric": "node_mem_used_bp", "target_value": 5000}
    with_event(FED, G, measured)
    with pytest.raises(tm.InputError, match="is measured"):
        with_event(FED, G, measured | {"current_value": 9})


# ---- actions ----------------------------------------------------------------------------------------------------------

ACTIONS = tm.scenario.ACTIONS
ONE_BY_ONE = [a for i, one in enumerate(ACTIONS) for other in ACTIONS[i + 1 :] for a in (one, other)] + [ACTIONS[0]]
"""All of them, in an order in which each comes before and after each other one; but for the last one, before it only."""


@pytest.mark.parametrize("contexts", [1, 2])
@pytest.mark.parametrize("early_exit", ["none", "both_fresh"])
@pytest.mark.parametrize("dealt", [False, True])
@pytest.mark.parametrize("ops", ["paddr", "vaddr"])
def test_any_action_turns_into_any_other(ops: str, dealt: bool, early_exit: str, contexts: int) -> None:
    """Built-in ones, those by weights, early exits around both; with what memory must know of its pages from the start."""
    dests = [{"id": 0, "weight": 2}, {"id": 1, "weight": 3}] if dealt else []
    start = {"ops": ops, f"{S}.dests": dests, f"{S}.dest_rule": "per_node", **SHARE, f"{G}.early_exit": early_exit}
    start |= {f"{P}.min_nr_accesses": 1, f"{S}.apply_interval_us": 5_000, f"{Q}.reset_interval_ms": 5}
    sc = started(start)
    sc = sc.replace(contexts=(sc.contexts[0], *BASE.contexts[: contexts - 1]), machine=tm.Machine(BASE.machine.nodes))
    times = [5_000 * (k + 30) for k in range(len(ONE_BY_ONE))]
    events = [tm.Event(at, f"contexts.0.{S}.action", action) for at, action in zip(times, ONE_BY_ONE, strict=True)]
    engine = Engine(sc.replace(events=events), 3, actions=scheme_actions)
    kdamond, made, applied = engine.kdamonds[0], {}, 0
    for at, action in zip(times, ONE_BY_ONE, strict=True):
        engine.run_to(at * 1000)
        if action not in made:
            scheme = kdamond.context.schemes[0].replace(action=action)
            made[action] = Engine(
                sc.replace(contexts=(kdamond.context.replace(schemes=(scheme,)), *sc.contexts[1:])), 3, actions=scheme_actions
            )
        assert parameters(kdamond) == parameters(made[action].kdamonds[0])
        applied += int(kdamond.schemes["nr_applied"][0])
    assert applied > 0
