"""Contexts that take turns inside a kernel do what they do one sampling tick at a time."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from scenarios import PAGE, contexts, groups, machines
from small import HOT, MIB, Trace, pull, push, scenario

import tieringmodel as tm
from tieringmodel.damon.rng import kernel_rng
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.simulate import scheme_actions

RUNS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
RECLAIM = {"action": "pageout", "access_pattern": {"max_nr_accesses": 1}}
PULL = {"action": "migrate_hot", "target_nid": 0, "quota": {"sz_bytes": 40 * PAGE, "reset_interval_ms": 50}}


class OneByOne(Engine):
    """Python wakes every context for every sampling tick, a lone one whose pages nobody else looks at for each event."""

    def _run_in_turn(self, end_ns: int) -> bool:
        return False

    def _run_alone(self, c: Any, end_ns: int) -> bool:
        return False


@st.composite
def crowds(draw: Any) -> dict[str, Any]:
    """Two to four contexts on the same memory, each with its own intervals and its own part of it."""
    machine = draw(machines())
    top = machine["nodes"][1]["start_bytes"] + machine["nodes"][1]["sz_bytes"]
    n = sum(node["sz_bytes"] for node in machine["nodes"]) // PAGE * 2 // 3
    made = draw(st.lists(contexts(machine), min_size=2, max_size=4))
    for context in made:
        attrs = context["attrs"]
        per = max(attrs["aggr_us"] // attrs["sample_us"], 1)
        attrs["sample_us"] = draw(st.sampled_from([1_000, 2_000, 3_000, 5_000, 7_000]))
        attrs["aggr_us"] = attrs["sample_us"] * per + 300
        kind = draw(st.integers(0, 7))
        if kind == 0:
            ends = np.cumsum(draw(st.lists(st.integers(20_000, 150_000), min_size=1, max_size=3)))
            context["aggr_times_us"] = ends.tolist()
            if draw(st.booleans()):
                lasts = np.diff(ends, prepend=0) * draw(st.integers(30, 100)) // 100
                context["aggr_sampled_us"] = (ends - np.diff(ends, prepend=0) + lasts).tolist()
            attrs.pop("intervals_goal", None)
        elif kind == 1:
            high = draw(st.sampled_from([350, 400, 900]))
            marks = {"metric": "free_mem_rate", "interval_us": 20_000, "high": high, "mid": high - 10, "low": 100}
            context["schemes"] = [{**scheme, "watermarks": marks} for scheme in (RECLAIM, *context["schemes"])]
        elif kind == 2:
            context |= {"ops": "vaddr", "targets": [{}], "schemes": [PULL], "min_region_sz": PAGE}
        elif kind == 3:
            context["schemes"] = [PULL]
        elif kind == 4:
            context["sources"] = [{"name": "accessed_bits"}]
    workload = {
        "n_pages": n, "groups": draw(st.lists(groups(n), max_size=4)), "vmas": [{"lo": 0, "hi": n, "start_bytes": 1 << 40}],
    }  # fmt: skip
    if tick := draw(st.sampled_from([0, 1_000, 5_000, 20_000])):
        workload["tick_us"] = tick
    events = []
    if draw(st.booleans()):
        events.append({"at_us": draw(st.sampled_from([33_000, 90_000])), "path": "machine.nodes.1.reserve_pages", "value": 3})
    if draw(st.booleans()):
        half = top // 2 // (4 * PAGE) * 4 * PAGE
        fewer = [{"regions": [[0, half + draw(st.integers(0, 20)) * 4 * PAGE]]}]
        at = next((i for i, c in enumerate(made) if "targets" in c and c.get("ops") != "vaddr"), None)
        if at is not None:
            events.append({"at_us": 70_000, "path": f"contexts.{at}.targets", "value": fewer})
    events.sort(key=lambda e: e["at_us"])
    machine["overload"] = draw(st.booleans())
    return {"machine": machine, "workload": workload, "contexts": made, "events": events}


def described(engine: Engine, trace: Trace) -> list[Any]:
    """Everything that can be seen of a run, and what decides how it goes on but for when pages were last looked at."""
    memory = engine.memory
    out: list[Any] = [
        memory.owner_crc32(), memory.arrays.clock.tolist(), memory.arrays.node.tobytes(), memory.class_pages().tolist(),
        [(c.last_ns, c.start_ns, c.wait_ns) for c in engine.clocks], trace.rows,
    ]  # fmt: skip
    for k in engine.kdamonds:
        out += [k.regions.rows(), np.asarray(k.schemes).tobytes(), k.rng.state.tolist(), k._frames[: k.regions.n].tolist()]
        out += [k.passed, k.tick, k.next_aggregation, k.next_apply, [(q.esz_bp, q.charged_from) for q in k.quotas]]
    return out


def ran(kind: type[Engine], data: dict[str, Any], stops: list[int], kernel_draws: bool) -> list[Any]:
    trace = Trace()
    sc = tm.Scenario.from_dict(data)
    rngs = [kernel_rng(5 + i) for i in range(len(sc.contexts))] if kernel_draws else None
    engine = kind(sc, 3, observer=trace, actions=scheme_actions, rngs=rngs)
    for stop in stops:
        engine.run_to(max(stop * 1000, engine.memory.now_ns))
    return described(engine, trace)


@given(crowds(), st.lists(st.integers(0, 400_000), max_size=3), st.booleans())
@RUNS
def test_turns_are_ticks_one_by_one(data: dict[str, Any], stops: list[int], kernel_draws: bool) -> None:
    stops = [*sorted(stops), 400_000]
    assert ran(Engine, data, stops, kernel_draws) == ran(OneByOne, data, stops, kernel_draws)


FAST = tm.Scheme("migrate_hot", HOT, target_nid=0, quota=tm.Quota(sz_bytes=MIB))
MARKS = tm.Watermarks("free_mem_rate", 100_000, high=800, mid=780, low=50)
SLEEPY = tm.Scheme("pageout", tm.AccessPattern(max_nr_accesses=1), quota=tm.Quota(sz_bytes=MIB), watermarks=MARKS)
"""Reclaims until more than 80 % of memory are free, then sleeps."""


@pytest.mark.parametrize("overload", [False, True])
@pytest.mark.parametrize("contexts", [[tm.Context(schemes=(FAST,))], [tm.Context(schemes=(SLEEPY,))], None])
@pytest.mark.parametrize("base", ["7.3.4", "6.18"])
def test_turns_on_older_kernels_busy_and_asleep(base: str, contexts: list[tm.Context] | None, overload: bool) -> None:
    """6.18 repeats its last answer within a folio."""
    both = [tm.Context(schemes=(SLEEPY,)), tm.Context(attrs=tm.Attrs(7_000, 70_000), schemes=(FAST,))]
    sc = scenario(contexts=contexts or both)
    sc = sc.replace(machine=sc.machine.replace(overload=overload), kernel=tm.Kernel(base))
    in_turn, one_by_one = (ran(kind, sc.to_dict(), [700_000, 4_000_000], False) for kind in (Engine, OneByOne))
    assert in_turn == one_by_one


def test_contexts_clear_each_others_accessed_state() -> None:
    """A page per region: whoever looks second at the same moment finds what the first one cleared, but for new touches."""
    attrs = tm.Attrs(5_000, 100_000, min_nr_regions=10, max_nr_regions=10)
    ranges = (tm.Target(tuple((i * PAGE, (i + 1) * PAGE) for i in range(10))),)
    one = tm.Context(attrs=attrs, targets=ranges)
    crowd = scenario(
        contexts=(one, one), pages=10, groups=(tm.Group(0, 10, "period", period=1),), placement=(tm.Placement(0, 10, 0),)
    )
    engine = Engine(crowd, 1)
    engine.run(99_000)
    first, second = ([nr for target in k.regions.rows() for _, _, nr, _, _ in target] for k in engine.kdamonds)
    assert first == [19] * 10  # touched in every tick since the last look
    assert second == [0] * 10  # in the tick that begins now, nobody has touched it yet


@pytest.mark.parametrize("n", [1, 2, 4])
def test_kernels_run_contexts_in_turn_by_themselves(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = Engine._one_tick
    monkeypatch.setattr(Engine, "_one_tick", lambda self, c: (calls.append(1), real(self, c)))
    young = tm.Scheme("stat", filters=(tm.Filter("young"),))
    context = tm.Context(schemes=(pull(), push(), young))
    engine = Engine(scenario(contexts=[context] * n), 1)
    engine.run(1_000_000)
    assert sum(k.passed for k in engine.kdamonds) == n * 200
    assert sum(k.aggregations for k in engine.kdamonds) == n * 10
    assert calls == []


@pytest.mark.parametrize("alone", [True, False])
def test_samples_of_a_recorded_aggregation_end_before_what_schemes_do(alone: bool) -> None:
    """Of 100 ms the last 60 are a pass: a page touched every 15 ms is seen in 2 of 4 samples, one in 9 more from its end on."""
    group = tm.Group(0, 64, "period", period=15)
    machine = tm.Machine.dram_cxl("1 MiB", "1 MiB")
    attrs = tm.Attrs(sample_us=25_000, aggr_us=100_000, min_nr_regions=3, max_nr_regions=10)
    context = tm.Context(attrs=attrs, aggr_times_us=(100_000, 200_000), aggr_sampled_us=(40_000, 140_000))
    workload = tm.Workload(256, groups=(group,), tick_us=1_000)
    engine = Engine(tm.Scenario(machine, workload, (context,) if alone else (context, tm.Context())), 1)
    times = []
    clock = engine.clocks[0]
    for _ in range(9):
        times.append(clock.next_wake() // 1_000_000)
        engine.run_to(clock.next_wake(), lambda *_: None)
    assert times == [10, 20, 30, 40, 110, 120, 130, 140, 210]
