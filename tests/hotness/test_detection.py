"""Detection probabilities in closed form against simulation; binomial tolerances of four standard deviations, fixed seeds."""

from __future__ import annotations

import math
from collections import OrderedDict

import numpy as np
import pytest
from small import MIB, scenario, traced

import tieringmodel as tm
from tieringmodel.hotness.tlb import characteristic_time_s, set_probability

h = tm.hotness


def within(hits: float, trials: int, p: float, sigmas: float = 4) -> bool:
    return abs(hits - trials * p) <= sigmas * math.sqrt(trials * p * (1 - p)) + 1e-9


def watched(name, rate, duration, interval="1 s", seed=1, node=1, **parameters):
    return h.watch(h.source(name, **parameters), h.activities(h.activity(rate, node), duration, interval), seed=seed)


# ---- accessed bits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate_hz", "hot_share"), [(20.0, 1.0), (300.0, 0.25), (3.0, 0.5)])
@pytest.mark.parametrize("interval", ["100 ms", "37 ms"])
def test_regions_find_their_touched_part(rate_hz, hot_share, interval):
    """2000 regions of 8 pages, the first ones touched; samples of 5 ms however the intervals cut them."""
    rate = np.tile(np.r_[np.full(int(8 * hot_share), rate_hz), np.zeros(8 - int(8 * hot_share))], 2000)
    edges = tuple(range(0, 16001, 8))
    found = watched("accessed_bits", rate, "100 ms", interval, edges=edges)
    one = h.source("accessed_bits", edges=edges)
    p = one.detection_probability(rate_hz, 0.1, hot_share)
    regions = found.first_us.reshape(-1, 8)
    assert (regions == regions[:, :1]).all()
    assert within((regions[:, 0] >= 0).sum(), 2000, p)
    q = hot_share * float(one.sample_probability(np.array([rate_hz]))[0])
    counts = found.rate_hz.reshape(-1, 8)[:, 0] * 0.1
    assert within(counts.sum(), 2000 * 20, q)
    # 20 samples of 2000 regions; regions report at the end of the aggregation.
    assert found.cost_ns == 2000 * 20 * 400.0
    assert set(np.unique(found.first_us)) <= {-1, 100_000}


def test_a_folio_is_accessed_as_a_whole():
    """One page in eight touched: with folios of eight every sampled page answers for it."""
    rate = np.tile(np.r_[200.0, np.zeros(7)], 1000)
    edges = tuple(range(0, 8001, 8))
    alone = watched("accessed_bits", rate, "100 ms", edges=edges)
    folio = watched("accessed_bits", rate, "100 ms", edges=edges, folio_pages=8)
    q = 1 - math.exp(-200 * 0.005)
    assert within(alone.rate_hz[::8].sum() * 0.1, 20_000, q / 8)
    assert within(folio.rate_hz[::8].sum() * 0.1, 20_000, q)


@pytest.mark.parametrize(("rate_hz", "tau_s"), [(40.0, 0.02), (40.0, 0.2), (5.0, 0.07), (200.0, 0.004), (900.0, 0.001)])
def test_bits_behind_a_fixed_survival_time(rate_hz, tau_s):
    """A Poisson process whose touches count only after a gap longer than τ, against the sum of the renewal argument."""
    rng, window_s, windows = np.random.default_rng(7), 0.1, 20_000
    times = np.cumsum(rng.exponential(1 / rate_hz, int(rate_hz * window_s * windows * 1.1)))
    walks = times[1:][np.diff(times) > tau_s]
    seen = np.unique((walks / window_s).astype(int))
    p = float(set_probability(np.array([rate_hz]), window_s, tau_s)[0])
    # Neighbouring windows are weakly dependent (a walk keeps the next one τ away): six sigma.
    assert within((seen < windows).sum(), windows, p, 6)


def test_limits_of_the_survival_time():
    rate = np.array([0.0, 1.0, 50.0, 3000.0, 1e6])
    np.testing.assert_array_equal(set_probability(rate, 0.01), -np.expm1(-rate * 0.01))
    np.testing.assert_allclose(set_probability(rate, 0.01, 1e-9), set_probability(rate, 0.01), rtol=2e-3)
    np.testing.assert_allclose(set_probability(rate, 0.01, 0.05), rate * 0.01 * np.exp(-rate * 0.05), rtol=1e-12)
    assert (set_probability(rate, 0.01, np.inf) == 0).all()
    for tau_s in np.geomspace(1e-6, 1, 40):
        p = set_probability(np.geomspace(1e-3, 1e6, 200), 0.1, tau_s)
        assert (p >= 0).all()
        assert (p <= 1).all()


def test_characteristic_time_solves_its_equation():
    rate = np.random.default_rng(1).lognormal(1, 2, 3000)
    tau_s = characteristic_time_s(rate, 500)
    assert abs(-np.expm1(-rate * tau_s).sum() - 500) < 1e-6
    assert characteristic_time_s(rate, 0) == 0
    assert characteristic_time_s(np.r_[rate, np.zeros(10)], 3000) == np.inf


def test_a_tlb_with_least_recently_used_replacement():
    """An event-by-event TLB of 80 entries under 400 pages: what Che's one time for all pages leaves out is below 0.02."""
    rng = np.random.default_rng(2)
    rate = 400.0 / np.arange(1, 401) ** 0.8
    window_s, windows = 0.2, 400
    times = np.sort(rng.random(rng.poisson(rate.sum() * window_s * windows))) * window_s * windows
    page = rng.choice(400, times.size, p=rate / rate.sum())
    tlb: OrderedDict[int, None] = OrderedDict()
    seen = np.zeros((400, windows), bool)
    for p, w in zip(page.tolist(), (times / window_s).astype(int).tolist(), strict=True):
        if p in tlb:
            tlb.move_to_end(p)
            continue
        seen[p, w] = True
        tlb[p] = None
        if len(tlb) > 80:
            tlb.popitem(last=False)
    expected = set_probability(rate, window_s, characteristic_time_s(rate, 80))
    assert expected.min() < 0.1 < 0.9 < expected.max()
    for part in np.array_split(np.arange(400), 10):
        assert abs(seen[part].mean() - expected[part].mean()) < 0.02
    # The hottest page stays in the TLB and is not seen, although it is touched in every window.
    assert seen[0].mean() < 0.1


def test_tlb_reach_hides_the_hottest_region():
    rate = np.r_[np.full(100, 400.0), np.full(900, 5.0)]
    edges = (0, 100, *range(200, 1001, 100))
    plain = watched("accessed_bits", rate, "2 s", edges=edges)
    reach = watched("accessed_bits", rate, "2 s", edges=edges, tlb_reach_pages=200)
    assert plain.rate_hz[0] > 10 * plain.rate_hz[500]
    assert reach.rate_hz[0] < reach.rate_hz[500]
    tau_s = characteristic_time_s(rate, 200)
    one = h.source("accessed_bits", edges=edges)
    q = one.sample_probability(np.array([5.0]), tau_s)[0]
    assert within(reach.rate_hz[100::100].sum() * 2, 9 * 400, q)


def test_adaptive_regions_find_a_run_of_hot_pages():
    rate = np.full(1 << 16, 0.05)
    rate[30_000:34_000] = 100.0
    hot = h.hot_set(rate)
    found = watched("accessed_bits", rate, "10 s", max_nr_regions=200)
    assert min(h.score(found.rate_hz, hot)) > 0.97
    # 200 regions' samples are an upper bound, ten regions' the lower one.
    assert 10 * 400 * 200 * 10 <= found.cost_ns <= 200 * 400 * 200 * 10


def test_adaptive_regions_are_as_many_as_damon_has():
    """A run's 400 hot of 4096 pages: regions after splitting, means of four seeds (a seed's is within 0.4 of them)."""
    attrs, hz, pages = tm.Attrs(min_nr_regions=10, max_nr_regions=30), (0.5, 299.5), tm.Target(((32 * MIB, 48 * MIB),))
    groups = tm.Group(0, 4096, rate_hz=hz[0]), tm.Group(1000, 1400, rate_hz=hz[1])
    sc = scenario(contexts=(tm.Context(attrs=attrs, targets=(pages,)),), groups=groups)
    [steady] = h.activities(sc, "20 s", "20 s")
    damon, own = [], []
    for seed in range(4):
        engine, trace = traced(sc, seed=seed)
        engine.run(20_000_000)
        damon += [len(row[3][0]) for row in trace.rows if row[2] is True]
        source, draws = h.source("accessed_bits", min_nr_regions=10, max_nr_regions=30), np.random.default_rng(seed)
        for k in range(200):
            source.observe(steady._replace(start_us=k * 100_000, length_us=100_000), draws)
            own.append(source._edges().size - 1)
    assert len(damon) == len(own) == 800
    assert abs(np.mean(own) - np.mean(damon)) < 0.8


# ---- hint faults --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", [0.3, 2.0, 40.0])
@pytest.mark.parametrize(("duration", "interval"), [("2500 ms", "1 s"), ("4 s", "170 ms"), ("1 s", "1 s")])
def test_first_faults(rate_hz, duration, interval):
    """3000 pages, scans of 1000 at 0, 1, 2 s."""
    found = watched("hint_faults", np.full(3000, rate_hz), duration, interval, scan_bytes=1000 * 4096, accesses=1)
    one = h.source("hint_faults", scan_bytes=1000 * 4096, accesses=1)
    p = one.detection_probability(rate_hz, found.duration_us * 1e-6, 3000)
    assert within((found.first_us >= 0).sum(), 3000, p)


def test_the_scan_needs_a_last_short_stretch():
    one = h.source("hint_faults", scan_bytes=1000 * 4096)
    assert one.scans_per_pass(2500) == 3
    # Touched at once: what was passed is found. 1000, 2000, 2500 of 2500 pages.
    assert [one.detection_probability(1e9, w, 2500) for w in (0.5, 1.5, 2.5)] == pytest.approx([0.4, 0.8, 1.0])


def faults(rate, duration, **parameters):
    """Page and time of every report, by page, then time."""
    source, rng = h.source("hint_faults", **parameters), np.random.default_rng(3)
    rows = [source.observe(part, rng) for part in h.activities(h.activity(rate), duration)]
    page, time = (np.concatenate([getattr(row, k) for row in rows]) for k in ("first", "time_us"))
    order = np.lexsort((time, page))
    return page[order], time[order]


@pytest.mark.parametrize(
    ("rate_hz", "window_us"), [(1.0, 3_500_000), (1.0, 2_200_000), (0.2, 5_000_000), (5.0, 2_900_000), (5.0, 3_000_000)]
)
def test_second_faults_within_a_window(rate_hz, window_us):
    """Passes of 3 s over 30000 pages, the first fault in the first pass."""
    scan = {"scan_bytes": 10_000 * 4096}
    page, time = faults(np.full(30_000, rate_hz), "60 s", accesses=1, **scan)
    start = np.flatnonzero(np.diff(page, prepend=-1))
    start = start[(start + 1 < page.size)]
    early = start[time[start] < page[start] // 10_000 * 1_000_000 + 3_000_000]
    # Whoever faulted in the first pass faults again within a minute: exp(-0.2 * 54) is below 1e-4 of them.
    gap = time[early + 1] - time[early]
    gap[page[early + 1] != page[early]] = 2**40
    p = h.source("hint_faults", window_us=window_us, **scan).second_access_probability(rate_hz, 30_000)
    assert early.size > 10_000
    assert within((gap <= window_us).sum(), early.size, p)


@pytest.mark.parametrize("record", ["coarse", "precise"])
def test_records_join_faults_by_their_own_clock(record):
    """Every report after two faults, recomputed from all faults: buckets rounded down, modulo what the record holds."""
    rate = np.random.default_rng(0).lognormal(0, 1, 2000)
    scan = {"scan_bytes": 700 * 4096}
    page, time = faults(rate, "60 s", accesses=1, **scan)
    got = faults(rate, "60 s", accesses=2, record=record, **scan)
    bucket, wrap, window = {"coarse": (128, 4096, 3000), "precise": (1, 16384, 5000)}[record]
    ms = time // 1000
    age = (ms[1:] - ms[:-1] // bucket * bucket) % wrap
    again = np.flatnonzero((page[1:] == page[:-1]) & (age <= window)) + 1
    assert 0 < again.size < page.size - 2000
    np.testing.assert_array_equal(got[0], page[again])
    np.testing.assert_array_equal(got[1], time[again])


def test_the_coarse_record_confuses_old_and_new():
    """Passes of 9 s: the precise record sees 9 s and waits for ever, the coarse one sees 9 s mod 4.096 s = 0.8 s."""
    rate = np.full(900, 1000.0)
    scan = {"scan_bytes": 100 * 4096}
    precise = watched("hint_faults", rate, "20 s", record="precise", **scan)
    coarse = watched("hint_faults", rate, "20 s", record="coarse", **scan)
    assert precise.reports == 0
    assert (coarse.first_us >= 0).all()
    assert coarse.first_us.min() >= 9_000_000
    assert precise.cost_ns == coarse.cost_ns


def test_costs_marks_thresholds_and_nodes():
    node = np.r_[np.zeros(500, np.int64), np.ones(500, np.int64)]
    rate = np.r_[np.full(250, 1e6), np.full(250, 0.0), np.full(250, 1e6), np.full(250, 0.0)]
    found = watched("hint_faults", rate, "10 s", node=node, accesses=1, skip_nodes=(0,), scan_bytes=500 * 4096)
    # Two scans of 500 pages make a pass: ten scans, five of the second half; a touched page faults each time.
    assert found.reports == 5 * 250
    assert found.cost_ns == 10 * 500 * 20.0 + 5 * 250 * 1000.0
    assert (found.first_us[500:750] >= 1_000_000).all()
    assert (np.delete(found.first_us, np.s_[500:750]) == -1).all()
    slow = watched("hint_faults", np.full(2000, 1.0), "900 ms", accesses=1, hot_threshold_us="500 ms")
    assert within(slow.reports, 2000, 1 - math.exp(-0.5))
    assert slow.first_us.max() <= 500_000


def test_expected_cost_of_hint_faults():
    rate = np.r_[np.full(5000, 0.4), np.full(5000, 30.0)]
    found = watched("hint_faults", rate, "50 s", scan_bytes=2000 * 4096)
    expected = h.source("hint_faults", scan_bytes=2000 * 4096).cost_ns_per_s(h.activity(rate)) * 50
    # The first pass has no faults of earlier marks, the last marks' faults lie beyond the end: one pass in ten.
    assert found.cost_ns == pytest.approx(expected, rel=0.03)


# ---- device counters ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate_hz", "options"),
    [
        (20.0, {"threshold": 3}), (4.0, {}), (300.0, {"threshold": 10, "downsampling": 4}),
        (50.0, {"unit_pages": 4, "threshold": 20}), (5.0, {"accesses_per_touch": 8.0, "threshold": 6}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("interval", ["1 s", "70 ms"])
def test_units_over_the_threshold(rate_hz, options, interval):
    found = watched("chmu", np.full(4000, rate_hz), "300 ms", interval, list_entries=10_000, **options)
    unit = options.get("unit_pages", 1)
    p = h.source("chmu", **options).detection_probability(rate_hz * unit, 0.3)
    listed = found.first_us.reshape(-1, unit)
    assert (listed == listed[:, :1]).all()
    assert within((listed[:, 0] >= 0).sum(), 4000 // unit, p)
    assert found.lost == 0
    assert found.cost_ns == found.reports * 500.0


def test_counts_are_of_the_own_node_only():
    node = np.tile([0, 1], 500)
    found = watched("chmu", np.full(1000, 100.0), "5 s", node=node)
    assert (found.rate_hz[::2] == 0).all()
    assert found.covered == 0.5
    # 500 pages, 500 touches each; the mean within four sigma.
    assert abs(found.rate_hz[1::2].mean() - 100) < 4 * math.sqrt(100 / 5 / 500)
    pairs = watched("chmu", np.full(1000, 100.0), "5 s", node=node, unit_pages=2)
    assert abs(pairs.rate_hz.mean() - 100) < 4 * math.sqrt(100 / 5 / 500)


def test_counters_saturate():
    found = watched("chmu", np.full(100, 1e5), "1 s", counter_bits=8)
    np.testing.assert_allclose(found.rate_hz, 255 * 10, rtol=1e-12)


@pytest.mark.parametrize("overflow", ["top", "address"])
def test_a_full_list_loses_and_says_so(overflow):
    rate = np.linspace(1000, 9000, 500)
    found = watched("chmu", rate, "1 s", list_entries=100, overflow=overflow)
    assert found.reports == 10 * 100
    assert found.lost == 10 * 400
    seen = np.flatnonzero(found.rate_hz)
    if overflow == "address":
        np.testing.assert_array_equal(seen, np.arange(100))
    else:
        # An epoch's count of the 100th hottest page has a standard deviation of 27, its rank is 16 touches away per 100.
        assert seen.min() > 300


# ---- sampled instructions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate_hz", "period"), [(50.0, 100), (2000.0, 4096)])
@pytest.mark.parametrize("interval", ["1 s", "130 ms"])
def test_samples_are_a_thinning(rate_hz, period, interval):
    rate = np.r_[np.full(3000, rate_hz), np.zeros(1000)]
    found = watched("instruction_samples", rate, "2 s", interval, period_ops=period, ring_entries=1 << 20)
    one = h.source("instruction_samples", period_ops=period)
    assert within((found.first_us[:3000] >= 0).sum(), 3000, one.detection_probability(rate_hz, 2.0))
    assert (found.first_us[3000:] == -1).all()
    mean = 3000 * rate_hz * 2 / period
    assert abs(found.reports - mean) < 4 * math.sqrt(mean)
    # Each sample counts for a period; those of other operations cost as much (4 operations per access).
    np.testing.assert_allclose(found.rate_hz.sum() * 2, found.reports * period, rtol=1e-12)
    assert abs(found.cost_ns / 500.0 - 4 * mean) < 4 * math.sqrt(4 * mean)
    assert found.cost_ns == pytest.approx(2 * one.cost_ns_per_s(h.activity(rate)), rel=4 / math.sqrt(4 * mean))


@pytest.mark.parametrize("factor", [0.6, 1.0, 2.5])
def test_rings_lose_what_the_closed_form_says(factor):
    """Rings of 50 on 4 CPUs, drained every 10 ms: arrivals around 50 per ring and draining."""
    per_s = factor * 50 * 4 / 0.01
    rate = np.full(1000, per_s * 10 / 1000)
    options = {"period_ops": 10, "n_cpus": 4, "ring_entries": 50, "drain_us": 10_000}
    one = h.source("instruction_samples", **options)
    for interval in ("1 s", "3 ms"):
        found = watched("instruction_samples", rate, "2 s", interval, **options)
        total = found.reports + found.lost
        # 800 rings; a ring's loss has a standard deviation below that of its arrivals.
        spread = 4 * math.sqrt(800 * factor * 50)
        assert abs(total - 2 * per_s) < spread
        assert abs(found.lost - one.lost_share(per_s) * 2 * per_s) < spread
        assert found.reports <= 800 * 50
    assert one.lost_share(0) == 0
    assert one.lost_share(per_s * 1000) == pytest.approx(1 - 1 / (1000 * factor), abs=1e-3)


def test_what_is_in_a_ring_at_the_end_is_not_yet_reported():
    found = watched("instruction_samples", np.full(100, 1000.0), "90 ms", period_ops=10)
    assert found.reports == found.lost == 0
    assert found.cost_ns > 0


# ---- while nobody looks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["chmu", "instruction_samples"])
def test_a_source_that_nobody_asked_for_a_while_goes_on_at_its_own_times(name: str) -> None:
    """A context that sleeps leaves a gap: 150 ms are seen, then nothing until 1.23 s; ends are at multiples of 100 ms."""
    source = h.source(name, **({"period_ops": 1000} if name == "instruction_samples" else {}))
    rng = np.random.default_rng(1)
    for start_us, length_us, ends in ((0, 150_000, {100_000}), (1_230_000, 200_000, {1_300_000, 1_400_000})):
        found = source.observe(h.activity([5e4] * 8, start_us=start_us, length_us=length_us), rng)
        late = {200_000} if start_us and name == "instruction_samples" else set()  # what the rings held is drained in time
        assert set(found.time_us.tolist()) == ends | late
        assert found.first.size > 0
