"""Sliders without a display: what they set, what they show, what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tieringmodel as tm
from tieringmodel.errors import InputError
from tieringmodel.plot.explore import Knobs, Picture, draw, knobs_of, rendered

PNG = b"\x89PNG\r\n\x1a\n"


def test_knobs_in_seconds_become_windows() -> None:
    knobs = Knobs(interval_ms=400, delay_ms=1000, leak_percent_per_s=19, duration_s=10)
    assert knobs.windows == 25
    assert knobs.delay_windows == 3
    # What 2.5 windows leave is what a second leaves; log1p and expm1 are good to a few ulp.
    assert math.isclose((1 - knobs.leak_rate) ** 2.5, 0.81, rel_tol=1e-14)
    assert Knobs(leak_percent_per_s=100).leak_rate == 1
    assert Knobs(delay_ms=0).delay_windows == 0


def test_the_run_is_the_loop_with_those_arguments() -> None:
    knobs = Knobs(8, 2000, 7000, 3000, "consist", 0.0, 1024, 2500, 300)
    ds = knobs.run()
    direct = tm.loop.run("consist", 7000, 262_144, 65_536, cap_bytes=8 << 20, delay=2, windows=150)
    np.testing.assert_array_equal(ds["pages"], direct["pages"])
    assert ds.attrs["window_s"] == 2
    free = Knobs(quota_mib=0).run()
    assert int(free["moved"][0]) == 2**20  # TEMPORAL without a cap moves all at once


def test_what_is_drawn_is_the_run_in_seconds_and_its_verdict() -> None:
    knobs = Knobs(interval_ms=500, duration_s=200)
    figure, found = draw(knobs)
    upper, lower = figure.axes
    line = upper.lines[0]
    ds = knobs.run()
    edges = np.append(ds["pages"].values, ds["final_pages"].values)
    np.testing.assert_array_equal(line.get_ydata(), 1e4 * (edges / 2**20))
    assert line.get_xdata()[-1] == 200
    assert "[s]" in lower.get_xlabel()
    assert found.kind == tm.analysis.verdict(ds).kind == "converged"
    picture, words = rendered(knobs)
    assert picture.startswith(PNG)
    assert "16.0 MiB per 500 ms" in words or "16 MiB per 500 ms" in words


def test_a_figure_that_is_kept_shows_what_a_new_one_would() -> None:
    """Titles of one line and of two, other scales, no quota: artists are moved, and nothing of the last course is left."""
    turns = [
        Knobs(),
        Knobs(quota_mib=128, leak_percent_per_s=1.0, delay_ms=3000),
        Knobs(target_bp=3000, tuner="consist", quota_mib=0),
        Knobs(interval_ms=5000, start_bp=9000, duration_s=1000),
        Knobs(),
    ]
    kept = Picture(turns[0])
    artists = [id(line) for line in kept.figure.axes[0].lines]
    for knobs in turns[1:]:
        assert rendered(knobs, kept) == rendered(knobs)
    assert [id(line) for line in kept.figure.axes[0].lines] == artists


def test_a_scenario_says_where_the_sliders_stand() -> None:
    scenario = tm.load("rfc-40-60")
    panel = tm.plot.explore(scenario, delay_ms=1000)
    wanted = {"target_bp": 6000, "quota_mib": 16, "interval_ms": 1000, "tuner": "temporal", "delay_ms": 1000}
    assert {name: panel.controls[name].value for name in wanted} == wanted
    assert knobs_of(scenario)["eligible_mib"] == 256  # the hot pages, all on node 0 at the start
    with pytest.raises(InputError, match="has no scheme that moves pages for a share"):
        tm.plot.explore(scenario.set("schemes.*.action", "stat"))


def test_turning_a_control_redraws() -> None:
    panel = tm.plot.explore(target_bp=6300, quota_mib=24)
    assert set(panel.controls) == {"quota_mib", "interval_ms", "target_bp", "delay_ms", "leak_percent_per_s", "tuner"}
    assert panel.controls["target_bp"].value == 6300  # a value between the steps is added to them
    assert (panel.picture.value, panel.words.value) == rendered(Knobs(target_bp=6300, quota_mib=24))
    panel.controls["tuner"].value = "consist"
    panel.controls["delay_ms"].value = 3000
    assert (panel.picture.value, panel.words.value) == rendered(
        Knobs(target_bp=6300, quota_mib=24, tuner="consist", delay_ms=3000)
    )
    panel.controls["quota_mib"].value = 0
    assert "no size quota" in panel.words.value


def test_what_no_loop_can_run_with_is_said_in_place() -> None:
    panel = tm.plot.explore(duration_s=2001, interval_ms=200)
    before = panel.picture.value
    panel.controls["interval_ms"].value = 100
    assert "not possible" in panel.words.value
    assert "20010 intervals" in panel.words.value
    assert panel.picture.value == before
    panel.controls["interval_ms"].value = 200
    assert "not possible" not in panel.words.value


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"quota": 3}, "explore.quota"), ({"tuner": "pid"}, "explore.tuner"), ({"target_bp": 0}, "explore.target_bp"),
        ({"leak_percent_per_s": 101}, "explore.leak_percent_per_s"), ({"duration_s": 1}, "explore.duration_s"),
        ({"start_bp": 10_001}, "explore.start_bp"), ({"interval_ms": 0}, "explore.interval_ms"),
    ],
)  # fmt: skip
def test_wrong_defaults_are_named(given: dict[str, object], where: str) -> None:
    with pytest.raises(InputError) as error:
        tm.plot.explore(**given)
    assert str(error.value).startswith(where + ":")


def test_without_ipywidgets_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ipywidgets", None)
    with pytest.raises(InputError, match=r"pip install 'tieringmodel\[notebook\]'"):
        tm.plot.explore()
