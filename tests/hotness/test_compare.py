"""Truth, scores, comparison of sources, promotion, and the figure."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
import small
import xarray as xr

import tieringmodel as tm
from tieringmodel import InputError
from tieringmodel.cost import DEFAULT
from tieringmodel.hotness.promotion import POLICIES, Policy, zipf_rates
from tieringmodel.plot.hotness import cost_message, sources_at_equal_cost

h = tm.hotness
NAMES = ("accessed_bits", "hint_faults", "chmu", "instruction_samples")


def test_hot_sets():
    rate = np.array([1.0, 5.0, 5.0, 0.0, 3.0, 5.0])
    assert np.flatnonzero(h.hot_set(rate)).tolist() == [1, 2, 5]  # 5 + 5 of 19 are half; the third 5 ties
    assert np.flatnonzero(h.hot_set(rate, 2)).tolist() == [1, 2]
    assert h.hot_set(np.ones(4)).all()


def test_scores():
    hot = np.array([True, True, False, False, False])
    assert h.score(np.array([3.0, 2, 1, 0, 0]), hot) == (1, 1)
    assert h.score(np.array([3.0, 0, 2, 0, 0]), hot) == (0.5, 0.5)
    assert h.score(np.array([3.0, 0, 0, 0, 0]), hot) == (1, 0.5)
    nothing = h.score(np.zeros(5), hot)
    assert math.isnan(nothing.precision)
    assert nothing.recall == 0
    # Ties go by the seed, not by the page number: two of five, either is hot with 2/5.
    ties = [h.score(np.ones(5), hot, seed).recall for seed in range(400)]
    assert abs(np.mean(ties) - 0.4) < 4 * math.sqrt(0.4 * 0.6 / 400)


def test_a_scenario_is_read_with_its_phases_and_places():
    groups = (tm.Group(0, 512, rate_hz=100.0, end_tick=300), tm.Group(512, 1024, rate_hz=80.0, start_tick=301))
    place = (tm.Placement(0, 256, 0), tm.Placement(256, 4096, 1))
    sc = small.scenario(groups=groups, placement=place)
    assert sc.tick_us == 5000
    parts = list(h.activities(sc, "4 s", "1 s"))
    assert parts[0].start_us == 0
    assert parts[-1].end_us == 4_000_000
    assert all(a.end_us == b.start_us for a, b in itertools.pairwise(parts))
    np.testing.assert_array_equal(parts[0].node, np.repeat([0, 1], [256, 3840]))
    # Tick 299 is the last of the first group and ends at 299 * 5 ms; tick 300 belongs to nobody.
    of = {part.start_us: part.rate_hz for part in parts}
    assert of[0][:512].min() == 100 and of[0][512:].max() == 0  # noqa: PT018
    assert of[299 * 5000].max() == 0
    assert of[300 * 5000][512:1024].min() == 80
    # The hot set is that of the last interval: a source that forgets finds it, one that does not confuses the two.
    ds = h.compare_sources(("chmu",), sc, duration="3 s", half_life_s=0.3)
    assert ds.attrs["hot_pages"] == 512
    assert ds["recall"].item() == 1


def test_the_dataset_says_what_it_holds():
    truth = h.activity(np.r_[np.full(100, 50.0), np.full(900, 0.5)])
    ds = h.compare_sources({"a": "chmu", "b": ("chmu", {"node": 0})}, truth, duration="3 s", seeds=(0, 1))
    assert ds.sizes == {"source": 2, "seed": 2}
    assert ds.attrs["chance"] == 0.1
    assert json.loads(ds.attrs["parameters"])["duration_s"] == 3
    for name in ds.data_vars:
        assert {"units", "long_name", "source"} <= set(ds[name].attrs)
    assert ds["lost"].dtype.kind == ds["reports"].dtype.kind == "i"
    assert (ds["recall"].sel(source="a") == 1).all()
    # Counters of another node see nothing.
    blind = ds.sel(source="b", seed=0)
    assert np.isnan(blind["precision"])
    assert blind["delay_s"] == np.inf
    assert blind["reported"] == blind["covered"] == blind["cpu_share"] == 0


@pytest.fixture(scope="module")
def equal():
    rate = np.full(20_000, 0.2)
    rate[np.random.default_rng(1).choice(20_000, 1000, replace=False)] = 60.0
    return h.compare_sources(NAMES, h.activity(rate), duration="10 s", cpu_shares=(0.001, 0.01), seeds=(0, 1))


def test_sources_keep_to_their_cost(equal):
    """At most 2 % over (hint faults and samples are random, 1 % of a CPU are 5000 samples per second and more)."""
    taken = equal["cpu_share"] / equal["cpu_share_allowed"]
    assert (taken < 1.06).all()
    # Accessed bits are bounded by all regions in use, which merging avoids; the others are used up.
    assert (taken.sel(source=["instruction_samples", "chmu"], cpu_share_allowed=0.001) > 0.9).all()
    assert (taken > 0.2).all()


def test_more_cost_finds_more(equal):
    recall = equal["recall"].mean("seed")
    assert (recall.isel(cpu_share_allowed=1) >= recall.isel(cpu_share_allowed=0) - 0.02).all()
    # Scattered hot pages: a counter per page finds them all, regions are hardly better than chance.
    last = recall.isel(cpu_share_allowed=1)
    assert last.sel(source="chmu") == 1
    assert last.sel(source="accessed_bits") < 0.3


def test_costs_and_budgets_of_each_source():
    rate = np.full(10_000, 5.0)
    truth = h.activity(rate)
    for name in NAMES:
        for share in (1e-4, 1e-3, 1e-2):
            held = h.source(name).at_cost(share, truth)
            cost = held.cost_ns_per_s(truth) / 1e9
            assert cost <= share * 1.0001
            assert cost > 0.5 * share or name == "chmu"  # its list is never longer than all units
    few = h.activity(np.full(20, 5.0))
    for name in NAMES:
        assert h.source(name).at_cost(1e-3, few).cost_ns_per_s(few) <= 1e6
        with pytest.raises(InputError, match="share"):
            h.source(name).at_cost(0, few)
    for name in ("hint_faults", "chmu"):
        with pytest.raises(InputError, match="costs more"):
            h.source(name).at_cost(1e-12, few)


def test_the_figure_says_what_the_data_say(equal):
    import matplotlib

    matplotlib.use("agg")
    axes = sources_at_equal_cost(equal)
    assert [a.get_xlabel() for a in axes] == ["CPU time taken [% of one CPU]"] * 3
    assert {t.get_text() for t in axes[0].figure.legends[0].get_texts()} == set(NAMES)
    assert axes[0].get_xscale() == axes[2].get_yscale() == "log"
    assert cost_message(equal).startswith("Most hot pages at 0.1 % of a CPU: chmu, 100 %; at 1 % of a CPU: ")
    swapped = equal.copy(deep=True)
    swapped["recall"].values[...] = 0.0
    swapped["recall"].values[0] = 0.5
    assert cost_message(swapped).endswith("at 1 % of a CPU: accessed_bits, 50 %")
    with pytest.raises(InputError, match="no comparison"):
        sources_at_equal_cost(xr.Dataset())
    matplotlib.pyplot.close(axes[0].figure)


# ---- promotion ----------------------------------------------------------------------------------------------------

TINY = {"process_bytes": "20 MiB", "scan_bytes": "6400 KiB", "work_s": 60.0}


@pytest.fixture(scope="module")
def study():
    """A fortieth of the memory and of the scan: a pass of 3.2 s, as of 256 MiB in 800 MiB."""
    return h.promotion_study(**TINY)


def test_the_published_order_follows_from_where_pages_go(study):
    """Published: none > one-byte record (node 0) > mode 2 and four-byte record (accessing node), all after one access."""
    relative = study["relative_time"].to_series()
    none, local, node0 = relative["none"], relative["first access, accessing node"], relative["first access, node 0"]
    assert none == 1
    assert local < 0.9 * node0 < 0.9 * none
    published = json.loads(study.attrs["published_s"])
    for post in (0, 1):
        one_byte, base = published["one-byte record"][post], published["none"][post]
        assert max(published["four-byte record"][post], published["NUMA balancing mode 2"][post]) < one_byte < base
    # Mode 2 and the four-byte record are one policy here; the posts disagree about which is faster.
    gaps = [published["four-byte record"][k] - published["NUMA balancing mode 2"][k] for k in (0, 1)]
    assert gaps[0] < 0 < gaps[1]


def test_the_clock_alone_also_slows_the_coarse_record(study):
    """A pass of 3.2 s does not fit a window of 3 s but one of 5 s; a shorter pass fits both, and the gap closes."""
    relative = study["relative_time"].to_series()
    coarse, precise = "second access, coarse time, accessing node", "second access, precise time, accessing node"
    assert relative[coarse] > 1.2 * relative[precise]
    # A second access costs a pass, so it is never faster than the first where nothing is short.
    assert relative["first access, accessing node"] < relative[precise]
    faster = h.promotion_study(**TINY | {"scan_bytes": "12800 KiB"})["relative_time"].to_series()
    assert faster[coarse] < 1.05 * faster[precise]


def test_everything_promoted_leaves_the_fast_latency(study):
    first = study.sel(policy="first access, accessing node")
    assert first["promoted_pages"] == 2 * 5120
    assert first["fast_share"] == pytest.approx(1)
    # 100 of 250 ns from the first pass on, faults and copies on top.
    assert 0.4 < first["relative_time"] < 0.4 + 3.2 / 60 + 0.01
    other = study.sel(policy="first access, node 0")
    assert other["fast_share"] == pytest.approx(0.5)
    assert other["remote_share"] == pytest.approx(0.5)


@pytest.mark.parametrize("zipf", [0.0, 1.2])
@pytest.mark.parametrize("remote_ns", [140.0, 240.0])
def test_the_order_does_not_hang_on_what_is_assumed(zipf, remote_ns):
    chosen = {name: POLICIES[name] for name in ("none", "first access, accessing node", "first access, node 0")}
    ds = h.promotion_study(chosen, zipf=zipf, remote_ns=remote_ns, **TINY)
    assert ds.attrs["order"] == "first access, accessing node < first access, node 0 < none"


def test_promotion_studies_of_ones_own():
    ds = h.promotion_study({"mine": Policy(3, "precise", True)}, **TINY)
    assert ds["policy"].values.tolist() == ["none", "mine"]
    assert ds["promoted_pages"].dtype.kind == "i"
    rates = zipf_rates(1000, 1.0, 500.0, 0)
    assert rates.sum() == pytest.approx(500)
    assert rates.max() / rates.min() == pytest.approx(1000)
    for bad in ({"work_s": 0}, {"zipf": -1}, {"process_bytes": 100}, {"scan_bytes": "no"}):
        with pytest.raises(InputError):
            h.promotion_study(**TINY | bad)


def test_every_cost_comes_from_the_table():
    """An argument and the table's entry of the same quantity are one and the same; what the table says, sources assume."""
    one = {name: POLICIES[name] for name in ("first access, node 0",)}
    other = DEFAULT.replace(
        dram_latency_ns=90,
        remote_latency_ns=150,
        cxl_latency_ns=400,
        copy_4k_us=3,
        hint_scan_bytes=6400 << 10,
        hint_scan_period_s=0.5,
    )
    plain = {"process_bytes": "20 MiB", "work_s": 30.0}
    given = {
        "local_ns": 90,
        "remote_ns": 150,
        "cxl_ns": 400,
        "migrate_ns": 3000,
        "scan_bytes": "6400 KiB",
        "scan_period_us": 500_000,
    }
    by_table, by_hand = h.promotion_study(one, costs=other, **plain), h.promotion_study(one, **plain, **given)
    xr.testing.assert_equal(by_table, by_hand)
    dearer = h.promotion_study(one, costs=other.replace(hint_fault_us=50), **plain)
    assert (dearer["fault_share"] > by_table["fault_share"])[1]
    faults, samples = h.source("hint_faults"), h.source("instruction_samples")
    assert (faults.fault_ns, faults.scan_bytes, faults.scan_period_us) == (1000, 256 << 20, 1_000_000)
    assert (faults.accesses, faults.scan_ns_per_page) == (2, 20)
    assert (samples.sample_ns, samples.period_ops, samples.ring_entries) == (500, 262_144, 256)
