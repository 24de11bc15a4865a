"""The protocol: names, one's own sources, reports that are refused, and repeatability."""

from __future__ import annotations

import subprocess
import sys

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import tieringmodel as tm
from tieringmodel import InputError
from tieringmodel.hotness.protocol import Reports, check_reports
from tieringmodel.hotness.watching import per_page

h = tm.hotness


class Oracle:
    """The source of the protocol's docstring."""

    def observe(self, activity, rng):
        page = np.flatnonzero(activity.rate_hz)
        touches = rng.poisson(activity.rate_hz[page] * activity.length_us * 1e-6).astype(float)
        return h.page_reports(page, touches, activity.end_us)


def test_the_room_lists_what_it_offers_and_imports_little():
    assert set(h.__all__) <= set(dir(h))
    for name in h.__all__:
        assert getattr(h, name).__module__.startswith("tieringmodel.hotness")
    with pytest.raises(AttributeError):
        h.nothing  # noqa: B018
    heavy = "import sys, tieringmodel as tm; tm.hotness.watch, tm.hotness.fuse, tm.hotness.sources(); "
    heavy += "print([m for m in ('numba', 'scipy', 'xarray', 'matplotlib') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_ones_own_source_takes_part():
    h.register_source("oracle", Oracle, replace=True)
    assert h.sources()[-1] == "oracle"
    truth = h.activity(np.r_[np.full(50, 40.0), np.zeros(150)])
    found = h.watch(h.source("oracle"), h.activities(truth, "5 s"), seed=3)
    assert h.score(found.rate_hz, h.hot_set(truth.rate_hz)) == (1.0, 1.0)
    # 50 pages, 200 touches each: the mean is within four of its standard deviations.
    assert abs(found.rate_hz[:50].mean() - 40) < 4 * np.sqrt(40 / 5 / 50)
    ds = h.compare_sources(("oracle", "chmu"), truth, duration="2 s")
    assert ds["recall"].sel(source="oracle").item() == 1
    with pytest.raises(InputError, match="no at_cost"):
        h.compare_sources(("oracle",), truth, cpu_shares=(0.1,))


@pytest.mark.parametrize("name", ["accessed_bits", "hint_faults", "chmu", "instruction_samples"])
def test_a_seed_repeats_and_another_differs(name):
    rate = np.r_[np.full(300, 30.0), np.full(700, 2.0)]
    parameters = {"period_ops": 50} if name == "instruction_samples" else {}
    one, same, other = (
        h.watch(h.source(name, **parameters), h.activities(h.activity(rate), "3 s"), seed=seed) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(one.rate_hz, same.rate_hz)
    np.testing.assert_array_equal(one.first_us, same.first_us)
    assert one[3:] == same[3:]
    assert not np.array_equal(one.rate_hz, other.rate_hz)
    assert one.reports > 0
    assert one.cost_ns > 0


@pytest.mark.parametrize(
    ("call", "where"),
    [
        (lambda: h.source("chmo"), "source"),
        (lambda: h.source("chmu", treshold=3), "chmu.treshold"),
        (lambda: h.source("chmu", threshold=2**16), "chmu.threshold"),
        (lambda: h.source("hint_faults", scan_bytes=100), "hint_faults.scan_bytes"),
        (lambda: h.source("hint_faults", record="exact"), "hint_faults.record"),
        (lambda: h.source("hint_faults", record="coarse", window_us="5 s"), "hint_faults.window_us"),
        (lambda: h.source("accessed_bits", sample_us="1 s"), "accessed_bits.sample_us"),
        (lambda: h.source("accessed_bits", edges=(0, 5, 5)), "accessed_bits.edges"),
        (lambda: h.source("instruction_samples", ops_per_access=0.5), "instruction_samples.ops_per_access"),
        (lambda: h.register_source("chmu", Oracle), "name"),
        (lambda: h.register_source("own", 3), "hotness source"),
        (lambda: h.activity([-1.0]), "rate_hz"),
        (lambda: h.activity([[1.0]]), "rate_hz"),
        (lambda: h.activity([1.0, 2.0], node=[0]), "node"),
        (lambda: h.watch(Oracle(), []), "intervals"),
        (lambda: h.watch(Oracle(), [h.activity([1.0]), h.activity([1.0])]), "intervals"),
        (lambda: h.watch(Oracle(), [h.activity([1.0])], half_life_s=0), "half_life_s"),
        (lambda: list(h.activities(h.activity([1.0]), "1 s", 0)), "interval"),
        (lambda: h.hot_set(np.zeros(3)), "rate_hz"),
        (lambda: h.hot_set(np.ones(3), 4), "hot_pages"),
        (lambda: h.compare_sources((), h.activity([1.0])), "sources"),
        (lambda: h.compare_sources({"a": 3}, h.activity([1.0])), "sources.a"),
        (lambda: h.compare_sources(("chmu",), h.activity([1.0]), cpu_shares=(0,)), "cpu_shares"),
    ],
)
def test_bad_input_names_its_place(call, where):
    with pytest.raises(InputError) as error:
        call()
    assert error.value.where == where
    assert error.value.remedy


def test_a_factory_without_the_parameter_is_named():
    h.register_source("oracle", Oracle, replace=True)
    with pytest.raises(InputError, match="oracle"):
        h.source("oracle", speed=3)


@pytest.mark.parametrize(
    "change",
    [
        {"first": np.array([0, 10])}, {"first": np.array([-1, 2])}, {"touches": np.array([1.0])},
        {"touches": np.array([1.0, np.nan])}, {"cost_ns": -1.0}, {"lost": -1}, {"covered": 1.5},
        {"pages": np.array([1, 0])},
    ],
)  # fmt: skip
def test_malformed_reports_are_refused(change):
    good = h.page_reports([0, 9], 1.0, 5)
    assert check_reports(good, 10) is good
    with pytest.raises(InputError, match="reports"):
        check_reports(good._replace(**change), 10)


@given(st.lists(st.tuples(st.integers(0, 29), st.integers(1, 12), st.integers(0, 9), st.integers(1, 50)), max_size=12))
@settings(max_examples=100)
def test_reports_of_pages_and_runs_add_up(rows):
    """Against page by page; weights are small integers, so that float sums are exact."""
    rows = [(first, min(pages, 30 - first), touches, time) for first, pages, touches, time in rows]
    columns = [np.array([row[k] for row in rows], np.int64) for k in range(4)]
    reports = Reports(columns[0], columns[1], columns[2].astype(float), columns[3])
    expected, first, last = np.zeros(30), np.full(30, -1), np.full(30, -1)
    for lo, pages, touches, time in rows:
        expected[lo : lo + pages] += touches
        for p in range(lo, lo + pages):
            first[p] = time if first[p] < 0 else min(first[p], time)
            last[p] = max(last[p], time)
    np.testing.assert_array_equal(per_page(reports, reports.touches, 30), expected)

    class Fixed:
        def observe(self, activity, rng):
            return reports

    found = h.watch(Fixed(), [h.activity(np.ones(30), length_us="1 s")])
    np.testing.assert_array_equal(found.rate_hz, expected)
    np.testing.assert_array_equal(found.first_us, first)
    np.testing.assert_array_equal(found.last_us, last)


def test_half_life_weighs_old_reports_less():
    """One report of 8 touches in the middle of four seconds, half-life one second: 8 / 4 over the weight of the time."""

    class Once:
        def observe(self, activity, rng):
            page = [0] if activity.end_us == 2_000_000 else []
            return h.page_reports(page, 8.0, activity.end_us)

    truth = h.activity(np.ones(2))
    found = h.watch(Once(), h.activities(truth, "4 s"), half_life_s=1.0)
    time_weight = (1 - 0.5**4) / np.log(2)  # integral of 2**-t over the four seconds
    np.testing.assert_allclose(found.rate_hz, [8 / 4 / time_weight, 0], rtol=1e-12)
    # Longer steps say the same.
    again = h.watch(Once(), h.activities(truth, "4 s", "2 s"), half_life_s=1.0)
    np.testing.assert_allclose(again.rate_hz, found.rate_hz, rtol=1e-12)
