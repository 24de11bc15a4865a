"""Rules that keep a verdict from saying what its run does not show, each on a small run."""

from __future__ import annotations

import functools

from faults import ALL, COLD, ON_0, PLAIN, quota, swapping, used, weights
from small import MIB, pull, push, scenario

import tieringmodel as tm

HALF_COLD = (tm.Group(0, 2048, rate_hz=400.0, name="hot"), tm.Group(2048, 4096, rate_hz=0.05, name="cold"))
TARGET = "contexts.0.schemes.0.quota.goals.0.target_value"
FEW = tm.Attrs(max_nr_regions=200)
FAST, SLOW = (tm.Target(((lo * MIB, (lo + 32) * MIB),)) for lo in (0, 32))


def ends(at_tick: int) -> tuple[tm.Group, ...]:
    return (tm.Group(0, 2048, rate_hz=400.0, end_tick=at_tick, name="hot"),)


RUNS: dict[str, tuple[tm.Scenario, float]] = {
    "target lowered": (scenario(used(2000)).replace(events=(tm.Event(10_000_000, TARGET, 500),)), 20),
    "cold pages beside": (scenario(weights("vma_offset", 1, 1), groups=HALF_COLD), 20),
    "cold pages beside a goal": (scenario(pull(5000, sz_bytes=MIB // 8), groups=HALF_COLD), 12),
    "rival switched off": (scenario(pull(2000, sz_bytes=8 * MIB), push(500).replace(enabled=False)), 8),
    "input past its goal": (scenario(quota(used(2000), goals=(tm.Goal("user_input", 1000, current_value=5000),))), 8),
    "goal elsewhere": (
        scenario(
            contexts=(
                tm.Context(attrs=FEW, schemes=(pull(9000),), targets=(SLOW,)),
                tm.Context(attrs=FEW, schemes=(PLAIN.replace(target_nid=1),), targets=(FAST,)),
            )
        ),
        8,
    ),
    "workload over": (scenario(pull(6000), push(3000), groups=ends(1000)), 30),
    "phases over": (scenario(pull(6000), push(3000), groups=swapping(600, 6)[:3]), 12),
    "half a window": (scenario(quota(used(9000), reset_interval_ms=1000)), 1.5),
    "memory mostly empty": (
        scenario(
            quota(used(3000, nid=1, to=1), sz_bytes=MIB // 8).replace(
                action="migrate_cold", access_pattern=COLD, filters=(tm.Filter("young"),)
            ),
            pages=1024,
            placement=[tm.Placement(0, 1024, 0)],
            groups=(),
        ),
        30,
    ),
    "overlap at quota speed": (scenario(pull(7000, sz_bytes=MIB // 8), push(6000, sz_bytes=MIB // 8)), 30),
    "cold pages go": (
        scenario(
            tm.Scheme(
                "migrate_cold", access_pattern=ALL, target_nid=1, quota=tm.Quota(sz_bytes=MIB // 16, reset_interval_ms=100)
            ),
            placement=ON_0,
            groups=(),
        ),
        12,
    ),
}


@functools.cache
def found(name: str) -> tm.Verdict:
    sc, duration_s = RUNS[name]
    return tm.verdict(tm.simulate(sc, duration=duration_s, seed=1, progress=False))


def codes(name: str) -> list[str]:
    return [cause.code for cause in found(name).causes]


def test_a_goal_that_an_event_lowered_was_not_stepped_over() -> None:
    assert found("target lowered").kind == "wrong-point"
    assert codes("target lowered") == ["one-way"]


def test_weights_and_shares_count_pages_that_match_not_all_that_are_ever_touched() -> None:
    assert "offset-rule" not in codes("cold pages beside")
    assert "measured-differs" not in codes("cold pages beside a goal")


def test_a_goal_of_a_scheme_switched_off_widens_no_band() -> None:
    assert found("rival switched off").kind == "wrong-point"
    assert codes("rival switched off")[0] in ("step-over", "tuner-windup")


def test_past_a_goal_that_its_scheme_does_not_raise_is_no_wrong_point() -> None:
    assert found("input past its goal").kind == "converged"


def test_a_value_that_never_changed_while_pages_moved_is_blind() -> None:
    assert found("goal elsewhere").kind == "runaway", found("goal elsewhere").text
    assert codes("goal elsewhere")[0] == "metric-blind"


def test_a_workload_that_ended_leaves_nothing_that_matches() -> None:
    text = found("workload over").text
    assert "nothing-matches" in codes("workload over")
    assert "measured-differs" not in codes("workload over")
    assert "nearly nothing happens" not in text


def test_phases_that_are_over_are_no_workload_that_keeps_changing() -> None:
    assert "drift" not in codes("phases over")


def test_half_a_window_does_not_show_that_nothing_more_is_to_be_had() -> None:
    assert found("half a window").kind == "unfinished"
    assert "capacity" not in codes("half a window")


def test_a_first_pass_that_stands_still_is_no_first_pass() -> None:
    assert "young-first-pass" not in codes("memory mostly empty"), found("memory mostly empty").text


def test_overlap_is_said_before_the_quota_and_is_no_drift() -> None:
    assert codes("overlap at quota speed")[0] == "goals-overlap"
    assert "drift" not in codes("overlap at quota speed")


def test_pages_that_go_one_way_do_not_go_for_ever() -> None:
    assert found("cold pages go").kind == "unfinished"
    assert "for ever" not in found("cold pages go").text
