"""What a run remembers is all in its state: an engine that took it up differs in nothing from the one that gave it."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest
from small import MIB, pull, scenario

import tieringmodel as tm
from tieringmodel.kernels._bundle import Bundle
from tieringmodel.simulation import checkpoint
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.simulate import scheme_actions

SCRATCH = {
    "_scratch", "_stack", "_windows", "_window", "_cursors", "_cursor", "_events", "histogram", "control", "_cuts", "_loop",
    "_table", "_table_of", "turn",
}  # fmt: skip
"""Overwritten before it is read again."""
TOLD = {"need", "limit", "scheme", "last_ns", "start_ns", "tick_ns"}
"""Fields of a kdamond's TURN record that are said anew before a kernel reads them."""
ROOM = {"side", "log", "dirty", "dirty_pages"}
"""What a kernel fills next, and what the next run of a sweep wants to know."""
FOLLOWS = {"_entered", "_entered_plain", "_rates", "threshold", "plain", "ranked", "ranked_records", "observer", "make_actions"}
"""From the clock, or from the call; looked up again."""


def parts_of(a: Any, b: Any) -> list[tuple[str, Any, Any]] | None:
    """What two objects of one type consist of, side by side; None if they are to be compared as they are."""
    if isinstance(a, np.random.Generator):
        return [("", a.bit_generator.state, b.bit_generator.state)]
    if isinstance(a, Bundle):
        return [(f".{n}", np.asarray(getattr(a, n)), np.asarray(getattr(b, n))) for n in a.layout if n not in ROOM | FOLLOWS]
    if isinstance(a, (list, tuple)) and len(a) == len(b):
        return [(f"[{i}]", x, y) for i, (x, y) in enumerate(zip(a, b, strict=True))]
    if isinstance(a, dict) and a.keys() == b.keys():
        return [(f"[{key}]", a[key], b[key]) for key in a]
    if not hasattr(a, "__dict__") or isinstance(a, tm.Scenario):
        return None
    parts = {name: (getattr(a, name), getattr(b, name)) for name in sorted(vars(a).keys() - SCRATCH - ROOM - FOLLOWS)}
    if "pair" in parts:  # beyond the regions in use there is room for more
        parts["pair"] = a.rows(), b.rows()
    if "turns" in parts:
        parts["turns"] = tuple({n: int(k.turns[n][0]) for n in k.turns.dtype.names if n not in TOLD} for k in (a, b))
    if "own" in parts:
        parts["own"] = tuple({n: int(q.own[n][0]) for n in q.own.dtype.names} for q in (a, b))
    if "_frames" in parts:
        parts["_frames"] = a.state()["frames"], b.state()["frames"]
    return [(f".{name}", x, y) for name, (x, y) in parts.items()]


def differences(one: Any, other: Any) -> list[str]:
    """The shortest path to everything that two objects hold and that is not equal, whatever the names of what they hold."""
    ahead, seen, out = deque([("", one, other)]), set(), []
    while ahead:
        where, a, b = ahead.popleft()
        if type(a) is not type(b):
            out.append(where)
        elif isinstance(a, np.ndarray):
            out += [where] * ((a.dtype, a.shape, a.tobytes()) != (b.dtype, b.shape, b.tobytes()))
        elif (parts := parts_of(a, b)) is None:
            out += [where] * bool(a != b)
        elif id(a) not in seen:
            if hasattr(a, "__dict__"):  # what is made only to be compared may get the place of what was
                seen.add(id(a))
            ahead += [(where + name, x, y) for name, x, y in parts]
    return out


def everything() -> tm.Scenario:
    """Watermarks, tuners, weights, a lag cache, reclaim, per-CPU lists, two contexts, events of the machine and a context."""
    marks = tm.Watermarks("free_mem_rate", 20_000, high=900, mid=850, low=800)
    goal = tm.Goal("node_eligible_mem_bp", 6000, nid=0, lag_cache=True)
    lagging = pull().replace(quota=tm.Quota(sz_bytes=MIB, reset_interval_ms=100, goals=(goal,), goal_tuner="temporal"))
    asleep = tm.Scheme("migrate_cold", target_nid=1, watermarks=marks)
    dests = (tm.Dest(0, 1), tm.Dest(1, 2))
    dealt = tm.Scheme("migrate_hot", dests=dests, dest_rule="per_node", apply_interval_us=300_000)
    all_ages = tm.Filter("young", matching=True, allow=True), tm.Filter("young", matching=False, allow=True)
    quota = tm.Quota(sz_bytes=24 * MIB, reset_interval_ms=200)
    old = tm.Scheme("pageout", tm.AccessPattern(max_nr_accesses=1), quota=quota, filters=all_ages)
    attrs = tm.Attrs(max_nr_regions=200)
    contexts = tm.Context(attrs=attrs, schemes=(lagging, asleep, old)), tm.Context(attrs=attrs, schemes=(dealt, asleep))
    events = (
        tm.Event(150_000, "machine.nodes.0.offline_bytes", 2 * MIB),
        tm.Event(250_000, "contexts.0.attrs.min_nr_regions", 90),
        tm.Event(9_000_000, "machine.nodes.0.offline_bytes", 0),
    )
    machine = tm.Machine.dram_cxl("32 MiB", "32 MiB", migrate_ns_per_page=500).replace(percpu_lists=2)
    groups = tm.Group(0, 1024, rate_hz=400.0), tm.Group(1000, 2000, rate_hz=30.0), tm.Group(2000, 3000, "period", period=70)
    return scenario(contexts=contexts, machine=machine, groups=groups).replace(events=events)


def started() -> Engine:
    return Engine(everything(), 5, actions=scheme_actions, log_moves=10_000)


@pytest.mark.parametrize("us", [120_000, 731_000, 1_503_000])
def test_an_engine_that_took_up_a_state_is_the_one_that_gave_it(tmp_path, us: int) -> None:
    engine = started()
    engine.run(us)
    again = checkpoint.load(checkpoint.save(tmp_path / "a.npz", engine), actions=scheme_actions, log_moves=10_000)
    assert differences(engine, again) == []
    for one in (engine, again):
        one.run(400_000)
    assert differences(engine, again) == []


@pytest.mark.parametrize("exits", [("both", "both", "both"), ("both", "none"), ("none", "both")])
def test_what_weights_remember_outlives_commits_of_the_goal_around_them(tmp_path, exits: tuple[str, ...]) -> None:
    """A goal's early exit comes and goes by events; the action inside of it, and the count of its passes, stay."""

    def scheme(early_exit: str) -> tm.Scheme:
        goal = tm.Goal("node_mem_used_bp", 6000, nid=0, early_exit=early_exit)
        dests = tm.Dest(0, 1), tm.Dest(1, 2)
        quota = tm.Quota(sz_bytes=MIB, reset_interval_ms=100, goals=(goal,))
        return tm.Scheme("migrate_hot", dests=dests, dest_rule="per_node", quota=quota)

    def event(k: int, early_exit: str) -> tm.Event:
        return tm.Event(200_000 * k, "contexts.0.schemes.0.quota.goals.0.early_exit", early_exit)

    sc = scenario(scheme(exits[0])).replace(events=tuple(event(k, one) for k, one in enumerate(exits) if k))
    engine = Engine(sc, 5, actions=scheme_actions)
    inside = getattr(engine.kdamonds[0].actions[0], "inner", engine.kdamonds[0].actions[0])
    engine.run(1_000_000)
    action = engine.kdamonds[0].actions[0]
    assert (action.inner if exits[-1] == "both" else action) is inside
    assert inside.passes == 10
    again = checkpoint.load(checkpoint.save(tmp_path / "a.npz", engine), actions=scheme_actions)
    assert differences(engine, again) == []


def test_everything_that_a_run_remembers_has_changed_by_then() -> None:
    """Else the test before would not see what is missing from a state."""
    engine, fresh = started(), started()
    engine.run(731_000)
    expected = {f".memory.arrays.{n}" for n in ("rec", "node", "by_class", "clock", "free_bits", "lru_bits", "out", "swap")}
    expected |= {".memory.offline[0]", ".clocks[0].last_ns", ".done", ".kdamonds[1].actions[0].passes"}
    expected |= {
        f".memory.page_lists.{n}" for n in ("_rng[state][state]", "moved_in[0]", "lists[0][0].count", "lists[1][0].high")
    }
    quota = "own[resets]", "own[score]", "lags[0].active"
    turn = "sz_limit", "passed", "tick", "aggregations", "next_aggregation"
    kdamond = *(f"turns[{name}]" for name in turn), "_frames", "schemes"
    expected |= {
        f".kdamonds[0].{name}"
        for name in (*kdamond, *(f"quotas[0].{name}" for name in quota), "rng.state", "_attrs.min_nr_regions")
    }
    assert expected - set(differences(engine, fresh)) == set()
    rows, before = engine.kdamonds[0].schemes, fresh.kdamonds[0].schemes
    changed = "active", "next_apply", "esz", "charged_sz", "min_score", "nr_tried", "qt_exceeds"
    assert [name for name in changed if (rows[name] == before[name]).all()] == []
