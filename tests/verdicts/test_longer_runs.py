"""A verdict holds when the same run goes on: small random runs, judged at several lengths."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis import HealthCheck, given, settings
from small import HOT, MIB, scenario

import tieringmodel as tm
from tieringmodel.verdicts.record import KINDS

COLD, ALL = tm.AccessPattern(max_nr_accesses=0), tm.AccessPattern()
MOVE = ("limit-cycle", "ripple", "steady-flow")
"""Kinds of runs whose pages go on moving."""


@st.composite
def goals(draw: Any) -> tm.Goal:
    metric = draw(
        st.sampled_from(
            (
                "node_mem_used_bp",
                "node_mem_free_bp",
                "node_eligible_mem_bp",
                "node_eligible_mem_bp",
                "user_input",
                "node_sys_bp",
            )
        )
    )
    given = {"current_value": draw(st.sampled_from([2000, 9999]))} if metric == "user_input" else {}
    return tm.Goal(metric, draw(st.sampled_from([300, 1200, 3000, 4000, 6000, 9000])), nid=draw(st.integers(0, 1)), **given)


@st.composite
def schemes(draw: Any) -> tm.Scheme:
    action = draw(st.sampled_from(("migrate_hot", "migrate_hot", "migrate_cold", "pageout")))
    quota = tm.Quota(
        sz_bytes=draw(st.sampled_from([0, 1000, MIB // 16, MIB // 4, MIB, 4 * MIB])),
        reset_interval_ms=100,
        goals=tuple(draw(st.lists(goals(), max_size=2))),
        goal_tuner=draw(st.sampled_from(["temporal", "temporal", "consist"])),
    )
    pattern = draw(st.sampled_from([HOT, HOT, ALL, COLD.replace(min_age=draw(st.sampled_from([0, 20])))]))
    young = tm.Filter("young", matching=True, allow=draw(st.booleans()))
    given: dict[str, Any] = {"target_nid": draw(st.integers(0, 1))} if action != "pageout" else {}
    if action == "migrate_hot" and not quota.goals and draw(st.booleans()):
        rule = draw(st.sampled_from(["vma_offset", "iid", "pfn_mod", "first"]))
        given = {"dests": (tm.Dest(0, 2), tm.Dest(1, 3)), "dest_rule": rule}
    return tm.Scheme(
        action,
        access_pattern=pattern,
        quota=quota,
        filters=draw(st.sampled_from([(), (), (), (young,)])),
        enabled=draw(st.sampled_from([True, True, True, False])),
        apply_interval_us=draw(st.sampled_from([0, 0, 0, 10_000, 300_000])),
        **given,
    )


@st.composite
def runs(draw: Any) -> tuple[tm.Scenario, float]:
    """A scenario and its length; its events and phases are over after two seconds."""
    rate = draw(st.sampled_from([2.0, 30.0, 400.0]))
    first = draw(st.sampled_from([0, 200, 400]))
    groups = [tm.Group(0, 2048, rate_hz=rate, start_tick=first, name="late")]
    if first:
        groups.append(tm.Group(1024, 4096, rate_hz=400.0, end_tick=first, name="early"))
    if draw(st.booleans()):
        groups.append(tm.Group(2048, 4096, rate_hz=0.5, name="cold"))
    some = draw(st.lists(schemes(), min_size=1, max_size=2))
    events = []
    if some[0].quota.goals and draw(st.booleans()):
        path = "contexts.0.schemes.0.quota.goals.0.target_value"
        events.append(tm.Event(1_500_000, path, draw(st.sampled_from([500, 2500, 8000]))))
    cut = draw(st.sampled_from([0, 1024, 4096]))
    parts = [tm.Placement(lo, hi, nid) for lo, hi, nid in ((0, cut, 0), (cut, 4096, 1)) if hi > lo]
    one = scenario(*some, groups=groups, placement=parts).replace(events=tuple(events))
    return one, draw(st.sampled_from([6.0, 12.0, 24.0]))


def agrees(ds: Any, found: tm.Verdict) -> None:
    """What a verdict says of times, and whether it can be said at all, by the dataset."""
    time = ds["time"].values
    moved = ds["migrated_pages"].values + (ds["reclaimed_pages"].values if "reclaimed_pages" in ds else 0)
    at = np.flatnonzero(moved)
    assert found.last_move_s == (float(time[at[-1]]) if at.size else None)
    assert found.kind in KINDS
    assert ("for ever" in found.text) == (found.kind in MOVE)
    assert all(cause.evidence for cause in found.causes if cause.code != "unexplained")
    json.dumps(found.to_dict(), allow_nan=False)
    if found.kind == "converged":
        assert found.settling_s is not None or not any(g["met_since_s"] is not None for g in found.goals)
    if found.settling_s is not None:
        assert found.kind in ("converged", "ripple")
        assert found.settling_s == 0 or found.settling_s in time
        late = time > found.settling_s
        acting = [s for s in tm.Scenario.from_json(ds.attrs["scenario"]).contexts[0].schemes if s.enabled]
        if found.kind == "converged" and not all(s.quota.goals for s in acting):
            assert not moved[late].any()


def kinds_at(ds: Any, start_s: float) -> list[tuple[float, str]]:
    """Kinds of a run cut off at several lengths after its last disturbance."""
    time, out = ds["time"].values, []
    for share in (0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0):
        end_s = start_s + share * (time[-1] - start_s)
        part = ds.isel(time=slice(0, int(np.searchsorted(time, end_s + 1e-9))))
        if part.sizes["time"] > 2:
            out.append((float(end_s), tm.verdict(part).kind))
    return out


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(runs())
def test_a_longer_run_does_not_reverse_a_verdict(case: tuple[tm.Scenario, float]) -> None:
    sc, duration_s = case
    ds = tm.simulate(sc, duration=duration_s, seed=1, progress=False)
    agrees(ds, tm.verdict(ds))
    said = kinds_at(ds, 2.0)
    assert len({kind for _, kind in said} - {"unfinished"}) <= 1, said
