"""A run is as long as it takes to judge it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import xarray as xr
from faults import used
from small import scenario

import tieringmodel as tm
from tieringmodel.remedies.auto_duration import auto_duration, first_length, known_length_s
from tieringmodel.remedies.lumped import expected_settling_s
from tieringmodel.remedies.trial import Budget, Spent


def test_it_is_doubled_until_that_is_judged_and_is_a_run_of_that_length() -> None:
    made = scenario(used(500, goal_tuner="consist", reset_interval_ms=1000))
    done = auto_duration(made, seed=2, progress=False)
    assert done.duration_s == 60
    assert done.verdict.kind == "wrong-point"
    assert tm.verdict(tm.simulate(made, duration=30, seed=2, progress=False)).kind == "unfinished"
    assert done.text == "ran 60 s: 30 s at least, doubled until that is judged"
    xr.testing.assert_identical(done.ds, tm.simulate(made, duration=60, seed=2, progress=False))


def test_it_lasts_three_times_what_is_expected_to_settle() -> None:
    made = scenario(used(2000, sz_bytes=32 * 1024))
    pages = 2000 * 8192 // 10_000
    assert expected_settling_s(made) == pytest.approx(0.1 * (pages / 8 + 1), abs=0.2)
    length_s, why = first_length(made)
    assert length_s == 62
    assert why == "3 times the 20.6 s in which it is expected to settle"
    assert expected_settling_s(scenario(tm.Scheme("stat"))) == 0


def test_it_lasts_past_the_last_event_and_the_last_change_of_the_workload() -> None:
    event = tm.Event(at_us="40 s", path="contexts.0.schemes.0.quota.goals.0.target_value", value=1000)
    assert first_length(scenario(used(2000)).replace(events=(event,))) == (70, "the last event at 40 s, and 30 s at least")
    groups = (tm.Group(0, 2048, rate_hz=400.0, end_tick=10_000), tm.Group(2048, 4096, rate_hz=400.0))
    assert first_length(scenario(used(2000), groups=groups)) == (
        80,
        "the last change of the workload at 50 s, and 30 s at least",
    )
    slow = used(2000, reset_interval_ms=9000)
    assert first_length(scenario(slow, groups=()))[0] >= 90


def test_a_recording_or_trace_says_how_long_it_is() -> None:
    traced = scenario(used(2000), groups=(tm.Group(0, 2048, rate_hz=400.0, end_tick=700),))
    assert known_length_s(traced) == 3.5
    done = auto_duration(traced, progress=False)
    assert (done.duration_s, done.text) == (3.5, "ran 3.5 s: as long as its recording or trace")
    times = tuple(range(100_000, 1_200_001, 100_000))
    recorded = scenario(contexts=(tm.Context(aggr_times_us=times, schemes=(used(2000),)),))
    assert known_length_s(recorded) == 1.2
    assert auto_duration(recorded, recorded_s=2.0, progress=False).duration_s == 2.0
    assert known_length_s(scenario(used(2000))) is None


def test_without_schemes_it_is_short() -> None:
    done = auto_duration(scenario(contexts=()), progress=False)
    assert done.duration_s == 30
    assert done.verdict.kind == "idle"


def test_no_longer_run_is_begun_when_the_budget_is_spent() -> None:
    slow = scenario(used(500, goal_tuner="consist", reset_interval_ms=1000))
    done = auto_duration(slow, budget_s=0, progress=False)
    assert done.duration_s == 30
    assert done.verdict.kind == "unfinished"
    assert done.text == "ran 30 s: 0 CPU seconds do not last for 60 s (30 s at least)"
    xr.testing.assert_identical(done.ds, tm.simulate(slow, duration=30, progress=False))


def test_a_first_length_beyond_the_budget_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    made = scenario(used(2000, sz_bytes=4 * 4096, reset_interval_ms=1000))
    assert first_length(made)[0] > 240
    monkeypatch.setattr(Budget, "need", _only_up_to(130))
    done = auto_duration(made, progress=False)
    assert 60 < done.duration_s < 130
    assert done.text.startswith(f"ran {done.duration_s:g} s: 30 CPU seconds do not last for ")
    xr.testing.assert_identical(done.ds, tm.simulate(made, duration=done.duration_s, progress=False))


def _only_up_to(most_s: float) -> Callable[[Budget, float], None]:
    def need(self: Budget, simulated_s: float) -> None:
        if self.simulated_s + simulated_s > most_s:
            raise Spent

    return need
