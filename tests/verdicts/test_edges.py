"""Where verdicts change their mind: values on the edge, by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import faults
import numpy as np
import pytest

import tieringmodel as tm
from tieringmodel.verdicts.judge_loop import _repeats
from tieringmodel.verdicts.page_run import PageRun, lasts
from tieringmodel.verdicts.rest import rate_has_trend, share_has_trend
from tieringmodel.verdicts.scheme_facts import growth, too_short
from tieringmodel.verdicts.thresholds import RunThresholds

LIMITS = RunThresholds()


@pytest.mark.parametrize(("behind", "trend"), [([5.5, 6, 6, 6.5], True), ([5.5, 5.75, 5.75, 6], False)])
def test_a_rate_has_a_trend_from_one_and_a_half_times_on(behind: list[float], trend: bool) -> None:
    # Eight eighths of 1 s: 16 before the middle, 24 or 23 behind it, and both rise all the way, or nearly.
    assert rate_has_trend(np.arange(9.0), np.array([0.0, 2, 3.5, 4.5, 6, *behind]), 0.0, LIMITS) is trend


def test_one_eighth_with_half_of_all_moves_is_a_trend_and_none_is_none() -> None:
    time = np.arange(9.0)
    assert rate_has_trend(time, np.array([0.0, 1, 1, 1, 7, 1, 1, 1, 1]), 0.0, LIMITS)
    assert not rate_has_trend(time, np.array([0.0, 1, 1, 1, 6, 1, 1, 1, 1]), 0.0, LIMITS)
    assert not rate_has_trend(time, np.zeros(9), 0.0, LIMITS)


@pytest.mark.parametrize(("steps", "trend"), [([0.4] * 7, True), ([-0.4] * 7, True), ([0.4, -0.3] * 3 + [0.4], False)])
def test_a_share_that_creeps_has_a_trend_one_that_trembles_has_none(steps: list[float], trend: bool) -> None:
    eighths = 5000 + np.cumsum([0.0, *steps])
    assert share_has_trend(np.arange(8) + 0.01, eighths, 0.0, 100.0, LIMITS) is trend


@pytest.mark.parametrize(("times", "end", "on"), [([5.0], 5.0, False), ([1, 2, 3], 4.5, True), ([1, 2, 3], 4.6, False)])
def test_a_series_goes_on_for_one_and_a_half_steps(times: list[float], end: float, on: bool) -> None:
    with np.errstate(all="raise"):
        assert bool(lasts(np.array(times), end)) is on


@pytest.mark.parametrize(("share", "repeats"), [(1.0, False), (0.99, True)])
def test_a_series_repeats_itself_if_more_than_a_share_of_its_swing_returns(share: float, repeats: bool) -> None:
    assert _repeats(np.array([0.0, 1, 0, 1, 0, 1, 0, 1]), 2.0, share) is repeats


class Counters(SimpleNamespace):
    """As much of a page-level run as facts about one scheme ask for."""

    def has(self, name: str) -> bool:
        return name in self.of

    def column(self, name: str, scheme: int) -> Any:
        return self.of.get(name)

    def last(self, name: str, scheme: int) -> float:
        return float(self.of[name][-1])

    def asleep_s(self, one: Any) -> float:
        return 0.0

    def at(self, when_s: float) -> int:
        return 0


@pytest.mark.parametrize(("esz", "factor"), [([1, 16], 2), ([0, 16], 1), ([16, 0], 1), ([0, 0], 1), (None, 1)])
def test_a_quota_grows_by_the_root_of_its_growth_per_window(esz: list[float] | None, factor: float) -> None:
    of = {} if esz is None else {"esz_bp": np.array(esz, float)}
    run = Counters(of=of, end_s=4.0, window_s=1.0)
    with np.errstate(all="raise"):
        assert growth(run, SimpleNamespace(number=0, came_s=0.0), 0.0) == pytest.approx(factor)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("quota", "short"),
    [
        (tm.Quota(ms=5, reset_interval_ms=4000), True),
        (tm.Quota(sz_bytes=4096, reset_interval_ms=4000), True),
        (tm.Quota(goals=(tm.Goal("node_mem_used_bp", 5000),), reset_interval_ms=4000), True),
        (tm.Quota(sz_bytes=4096, reset_interval_ms=3999), False),
        (tm.Quota(reset_interval_ms=4000), False),
    ],
)
def test_a_run_is_too_short_for_a_quota_of_any_kind_whose_first_window_it_does_not_see_end(
    quota: tm.Quota, short: bool
) -> None:
    run = Counters(of={"nr_due": [3], "nr_restarted": [0], "resets": [1]}, end_s=4.0)
    one: Any = SimpleNamespace(number=0, came_s=0.0, since_s=0.0, scheme=tm.Scheme("migrate_hot", target_nid=0, quota=quota))
    assert too_short(run, one) == (("end of its first quota window", 4.0) if short else None)  # type: ignore[arg-type]


def test_pages_are_of_4_kib_where_a_result_does_not_say() -> None:
    ds = faults.run(next(iter(faults.faults())), "broken")
    assert ds.attrs["page_bytes"] == 4096
    older = ds.copy()
    older.attrs = {name: value for name, value in ds.attrs.items() if name != "page_bytes"}
    assert PageRun(older, LIMITS).page_bytes == 4096


def test_memory_that_is_taken_at_the_very_end_counts() -> None:
    ds = faults.run(next(iter(faults.faults())), "broken")
    end_us = round(float(ds["time"].values[-1]) * 1e6)
    sc = tm.Scenario.from_json(ds.attrs["scenario"])
    nid = sc.machine.nodes[1].nid
    events = tuple(tm.Event(at, f"machine.nodes.{nid}.offline_bytes", 0) for at in (1000, end_us, end_us + 1000))
    run = PageRun(ds.assign_attrs(scenario=sc.replace(events=events).to_json()), LIMITS)
    assert run.leaks_s.tolist() == [0.001, end_us * 1e-6]
