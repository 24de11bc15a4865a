"""Whether a page is touched: a pure function of (seed, logical page, tick), whoever asks, in any order."""

from __future__ import annotations

import itertools
import math

import hypothesis.strategies as st
import numpy as np
import pytest
import reference as ref
from hypothesis import given, settings

from tieringmodel.damon.early_exit import run_builtin
from tieringmodel.damon.kdamond import Kdamond
from tieringmodel.damon.regions import RegionSet, SplitState
from tieringmodel.damon.rng import counter_rng, kernel_rng, replay_rng
from tieringmodel.errors import InputError
from tieringmodel.kernels import layout as L
from tieringmodel.kernels._jit import records
from tieringmodel.kernels.layout import Space
from tieringmodel.memory.physical import PhysicalMemory
from tieringmodel.scenario import Context, Group, Machine, Node, Scenario, Workload
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.silent import Silent
from tieringmodel.workload.access import AccessTable, rate_threshold

PAGE, TICK_US = 4096, 5000


class Watch:
    """A workload on one machine, and a kdamond to look at its pages with."""

    def __init__(self, workload, seed=1, *, machine=None, tracked=False, rng=None, plain=True, space=None):
        frames = max(workload.n_pages, 1)
        machine = machine or Machine(nodes=(Node(0, 0, frames * PAGE), Node(1, frames * PAGE, frames * PAGE)))
        self.workload, self.plain = workload, plain
        self.access = AccessTable(workload, TICK_US, seed, plain=not tracked)
        self.memory = PhysicalMemory(
            machine, workload, self.access.page_class, seed, track_young=tracked,
            n_classes=len(self.access.groups_of_class),
        )  # fmt: skip
        context = Context.from_dict({"schemes": [{"action": "migrate_cold", "target_nid": 1}]})
        self.kdamond = Kdamond(
            context, 0, self.memory, self.access, space or self.memory.space_for(1), [[(0, PAGE)]],
            rng or counter_rng(seed), SplitState(), {}, Silent(),
        )  # fmt: skip

    def counts(self, rows, ticks, width=1):
        """nr_accesses of regions after sampling at `ticks`, each looking back `width` ticks."""
        self.kdamond.regions = RegionSet([[[a, b, 0, 0, 0] for a, b in rows]])
        for tick in ticks:
            self.access.enter(tick)
            if not self.plain or width > 1:
                self.access.general()
            self.kdamond.sample(np.array([tick - width]), np.array([tick]))
        return [row[2] for row in self.kdamond.regions.rows()[0]]

    def touched(self, ticks, width=1):
        """bool (ticks, pages): one region per page, so that every page is looked at."""
        frames = self.memory.pfn_of_pages().tolist()
        rows = [(p * PAGE, p * PAGE + PAGE) for p in frames]
        order = np.argsort(frames)
        out = np.zeros((len(ticks), len(frames)), bool)
        for k, tick in enumerate(ticks):
            out[k, order] = np.array(self.counts([rows[i] for i in order], [tick], width), bool)
        return out


def groups(max_groups=4, n=24, kinds=("rate", "period", "hash", "swept")):
    def build(kind, lo, size, start, length, **options):
        return Group(lo, min(lo + size, n), kind=kind, start_tick=start, end_tick=start + length, **options)

    def swept(period, share, **options):
        return build(period=period, sweep_ticks=min(share, period), **options)

    common = {
        "lo": st.integers(0, n - 1),
        "size": st.integers(1, n),
        "start": st.integers(0, 20),
        "length": st.sampled_from([0, 5, 20, 2**40]),
    }
    special = {
        "rate": {"rate_hz": st.sampled_from([0.0, 1.0, 50.0, 200.0, 1e6])},
        "period": {"period": st.integers(1, 7), "phase": st.integers(0, 9), "stride": st.integers(1, 4)},
        "hash": {"threshold": st.integers(0, 2**32 - 1), "salt": st.integers(0, 2**32 - 1)},
    }
    one = [st.builds(build, st.just(kind), **common, **special[kind]) for kind in kinds if kind != "swept"]
    if "swept" in kinds:
        one.append(st.builds(swept, kind=st.just("period"), share=st.integers(0, 7), **common, **special["period"]))
    one = st.one_of(*one)
    return st.lists(one, max_size=max_groups).map(lambda found: Workload(n_pages=n, groups=tuple(found)))


def plain_groups(n=24):
    """Rates, and periods that touch every page in every tick: what the short path may serve."""

    def build(lo, size, start, length, rate_hz):
        return Group(lo, min(lo + size, n), rate_hz=rate_hz, start_tick=start, end_tick=start + length)

    lo, length = st.integers(0, n - 1), st.sampled_from([0, 5, 20, 2**40])
    rate = st.builds(build, lo, st.integers(1, n), st.integers(0, 20), length, st.sampled_from([1.0, 50.0, 200.0]))
    always = st.builds(lambda lo, start: Group(lo, n, kind="period", start_tick=start), lo, st.integers(0, 20))
    return st.lists(st.one_of(rate, always), max_size=4).map(lambda found: Workload(n_pages=n, groups=tuple(found)))


TICKS = list(range(1, 45))


@given(plain_groups(), st.integers(0, 2**64 - 1))
@settings(max_examples=40)
def test_the_short_path_answers_as_the_rules_do(workload, seed):
    short, general = Watch(workload, seed), Watch(workload, seed, plain=False)
    np.testing.assert_array_equal(short.touched(TICKS), general.touched(TICKS))


def test_a_late_group_of_overlapping_ones_keeps_its_own_draws():
    """From tick 20 on only the second of two overlapping rates is left; its answers must not become the first's."""
    workload = Workload(n_pages=200, groups=(Group(0, 200, rate_hz=50, end_tick=20), Group(0, 200, rate_hz=50, start_tick=10)))
    short, general = Watch(workload).touched(TICKS), Watch(workload, plain=False).touched(TICKS)
    np.testing.assert_array_equal(short, general)
    assert short[20:].any()


@given(groups(), st.integers(0, 2**64 - 1), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_the_order_of_questions_and_the_regions_do_not_matter(workload, seed, shuffle):
    """Asked in another order, for one page at a time and through one large region, the answers stay the same."""
    expected = Watch(workload, seed).touched(TICKS)
    again = Watch(workload, seed)
    order = list(range(len(TICKS)))
    shuffle.shuffle(order)
    for k in order[:6]:
        np.testing.assert_array_equal(again.touched([TICKS[k]])[0], expected[k])
    for k in order[:10]:
        page = shuffle.randrange(workload.n_pages)
        draw = -(-page * 2**32 // workload.n_pages)  # the 32-bit draw that picks this page's first byte
        whole = Watch(workload, seed, rng=replay_rng([draw]))
        assert whole.counts([(0, workload.n_pages * PAGE)], [TICKS[k]]) == [int(expected[k, page])]


@given(groups(), st.integers(0, 1000))
@settings(max_examples=40)
def test_a_longer_look_back_is_the_or_of_its_ticks(workload, seed):
    each = Watch(workload, seed).touched(TICKS)
    for width in (2, 7):
        ticks = [t for t in TICKS if t >= width][::5]
        np.testing.assert_array_equal(
            Watch(workload, seed).touched(ticks, width), [each[t - width : t].any(axis=0) for t in ticks]
        )


@given(groups(), st.integers(0, 1000))
@settings(max_examples=25)
def test_a_migrated_page_answers_as_before(workload, seed):
    expected, moved = Watch(workload, seed).touched(TICKS), Watch(workload, seed)
    cursor = records(1, L.CURSOR)[0]
    cursor["start"], cursor["end"] = 3 * PAGE, 11 * PAGE
    run_builtin(moved.kdamond, 0, cursor)
    assert (moved.memory.node_of_pages() == 1).sum() == 8
    np.testing.assert_array_equal(moved.touched(TICKS), expected)


@given(groups(max_groups=3, kinds=("period", "hash")))
@settings(max_examples=40)
def test_periods_and_hashes_follow_the_formula(workload):
    expected = np.zeros((len(TICKS), workload.n_pages), bool)
    for g in workload.groups:
        for k, t in enumerate(TICKS):
            for p in range(g.lo, g.hi):
                if g.start_tick <= t < g.end_tick:
                    if g.kind == "period":
                        hit = ref.period_touches(p, t, lo=g.lo, hi=g.hi, period=g.period, phase=g.phase, stride=g.stride)
                    else:
                        hit = ref.hash_touches(p, t, threshold=g.threshold, salt=g.salt)
                    expected[k, p] |= hit
    for plain in (True, False):
        np.testing.assert_array_equal(Watch(workload, 5, plain=plain).touched(TICKS), expected)
    assert (Watch(workload, 6).touched(TICKS) == expected).all()  # no seed in these kinds


def within(hits, trials, p, sigmas=4):
    """Binomial: with four sigma one of 16000 honest tests would fail, and the seeds are fixed."""
    return abs(hits - trials * p) <= sigmas * math.sqrt(trials * p * (1 - p))


@pytest.mark.parametrize("rate_hz", [0.5, 20.0, 138.6, 900.0])
@pytest.mark.parametrize("plain", [True, False])
def test_rates_are_poisson(rate_hz, plain):
    workload = Workload(n_pages=2000, groups=(Group(0, 2000, rate_hz=rate_hz),))
    hits = Watch(workload, 3, plain=plain).touched(range(1, 101))
    p = 1 - math.exp(-rate_hz * TICK_US * 1e-6)
    assert within(hits.sum(), hits.size, p)
    # Neighbouring ticks, and neighbouring pages, are independent.
    assert within((hits[1:] & hits[:-1]).sum(), hits[1:].size, p * p, 6)
    assert within((hits[:, 1:] & hits[:, :-1]).sum(), hits[:, 1:].size, p * p, 6)


def test_overlapping_rates_add():
    workload = Workload(n_pages=2000, groups=(Group(0, 2000, rate_hz=60), Group(500, 1500, rate_hz=90)))
    hits = Watch(workload, 3).touched(range(1, 101))
    for pages, rate_hz in ((slice(0, 500), 60), (slice(500, 1500), 150), (slice(1500, 2000), 60)):
        part = hits[:, pages]
        assert within(part.sum(), part.size, 1 - math.exp(-rate_hz * TICK_US * 1e-6))


def test_seeds_differ_and_repeat():
    workload = Workload(n_pages=500, groups=(Group(0, 500, rate_hz=100),))
    one, two, same = (Watch(workload, seed).touched(TICKS) for seed in (1, 2, 1))
    np.testing.assert_array_equal(one, same)
    p = 1 - math.exp(-0.5)
    assert within((one & two).sum(), one.size, p * p)


@pytest.mark.parametrize(
    ("rate_hz", "tick_us", "threshold"),
    [(0, 5000, 0), (1e9, 5000, 2**32), (100, 5000, round((1 - math.exp(-0.5)) * 2**32)), (1e-4, 1000, 429)],
)
def test_thresholds(rate_hz, tick_us, threshold):
    assert rate_threshold(rate_hz, tick_us) == threshold


# ---- sampling by one context and by several -----------------------------------------------------------------------


def regions_over(data, top):
    edges = sorted(data.draw(st.sets(st.integers(0, top), min_size=2, max_size=9)))
    return [(a, b) for a, b in itertools.pairwise(edges) if data.draw(st.booleans())] or [(edges[0], edges[1])]


@given(st.data())
@settings(max_examples=60)
def test_prepare_and_check_sample_what_a_batch_does(data):
    """Single ticks with the accessed state of every page, and whole batches: same draws, same counts.

    The machine has holes (one of them longer than 2**32 bytes, where an address takes two draws) and free frames.
    """
    workload = data.draw(groups(n=40))
    far = data.draw(st.sampled_from([60, 60 + (1 << 22)]))
    machine = Machine(nodes=(Node(0, 7 * PAGE, 30 * PAGE), Node(1, far * PAGE, 30 * PAGE)))
    rows = regions_over(data, (far + 40) * PAGE)
    make = data.draw(st.sampled_from([counter_rng, kernel_rng]))
    batch = Watch(workload, 4, machine=machine, rng=make(9))
    single = Watch(workload, 4, machine=machine, rng=make(9), tracked=True)
    single.kdamond.regions = RegionSet([[[a, b, 0, 0, 0] for a, b in rows]])
    for tick in TICKS:
        single.kdamond.tick = tick - 1
        single.kdamond.prepare()
        single.access.enter(tick)
        single.kdamond.check(tick)
    expected = [row[2] for row in single.kdamond.regions.rows()[0]]
    assert batch.counts(rows, TICKS) == expected
    once = Watch(workload, 4, machine=machine, rng=make(9), plain=False)
    once.kdamond.regions = RegionSet([[[a, b, 0, 0, 0] for a, b in rows]])
    once.access.general()
    ticks = np.array(TICKS)
    once.kdamond.sample(ticks - 1, ticks)
    assert [row[2] for row in once.kdamond.regions.rows()[0]] == expected
    assert batch.kdamond.rng.taken == single.kdamond.rng.taken == once.kdamond.rng.taken
    wide = sum(b - a >= 2**32 for a, b in rows)
    assert once.kdamond.rng.taken == len(TICKS) * (len(rows) + wide)


@pytest.mark.parametrize("unit", [1, 2, 4096])
def test_address_units_and_virtual_addresses(unit):
    """The same pages seen through core addresses of several bytes, and through a virtual mapping."""
    workload = Workload(n_pages=64, groups=(Group(10, 50, kind="period", period=3),))
    plain = Watch(workload, 4).touched(TICKS)
    watch = Watch(workload, 4)
    watch.kdamond.space = watch.memory.space_for(unit)
    edges = np.arange(65) * PAGE // unit
    assert watch.counts(list(itertools.pairwise(edges)), TICKS) == plain.sum(axis=0).tolist()
    space = Space(
        np.array([1000]), np.array([1064]), np.array([0]), np.array([-1000]), np.array([0, 1]), True, False,
        np.uint64(1), np.uint64(12),
    )  # fmt: skip
    watch = Watch(workload, 4, space=space)
    edges = (np.arange(65) + 1000) * PAGE
    assert watch.counts(list(itertools.pairwise(edges)), TICKS) == plain.sum(axis=0).tolist()


def test_two_observers_share_the_accessed_state():
    """What one context clears the next one no longer sees; a page nobody ever sampled counts as accessed."""
    workload = Workload(n_pages=8, groups=(Group(0, 8, kind="period", period=4),))
    watch = Watch(workload, 1, tracked=True)
    kdamond = watch.kdamond

    def look(at, now):
        kdamond.regions = RegionSet([[[0, 8 * PAGE, 0, 0, 0]]])
        if at is not None:
            kdamond.tick = at
            kdamond.prepare()
        kdamond.check(now)
        return kdamond.regions.rows()[0][0][2]

    assert look(0, 3) == 0
    assert look(0, 4) == 1
    assert look(None, 6) == 1  # nothing has cleared it since tick 4
    assert look(5, 7) == 0  # cleared at tick 5 although touched at 4
    assert look(5, 8) == 1


@given(groups(max_groups=3, kinds=("swept",)), st.integers(0, 2**32))
@settings(max_examples=30)
def test_pages_of_a_swept_period_have_their_turns_one_after_the_other(workload, seed):
    watch = Watch(workload, seed)
    expected = np.zeros((len(TICKS), workload.n_pages), bool)
    for g in workload.groups:
        rule = {"lo": g.lo, "hi": g.hi, "period": g.period, "phase": g.phase, "stride": g.stride, "sweep": g.sweep_ticks}
        for k, t in enumerate(TICKS):
            for p in range(g.lo, g.hi):
                expected[k, p] |= g.start_tick <= t < g.end_tick and ref.period_touches(p, t, **rule)
    np.testing.assert_array_equal(watch.touched(TICKS), expected)


def test_turns_of_a_swept_period_fill_its_ticks_evenly_and_in_order():
    workload = Workload(8000, groups=(Group(0, 8000, "period", period=20, sweep_ticks=8),))
    hits = Watch(workload, 3).touched(range(20, 40))
    assert (hits.sum(axis=0) == 1).all()
    assert hits.sum(axis=1).tolist() == [1000] * 8 + [0] * 12
    assert (np.argmax(hits, axis=0) == np.arange(8000) // 1000).all()


def test_a_rate_with_a_period_is_touched_in_its_ticks_alone_and_as_often():
    """40 touches a second in bursts of 25 ms (5 ticks): of 1 - exp(-1) of the pages each."""
    burst = Group(0, 8000, rate_hz=40.0, period=5, phase=2)
    hits = Watch(Workload(8000, groups=(burst,)), 3).touched(range(1, 41))
    in_turn = (np.arange(1, 41) + 2) % 5 == 0
    assert not hits[~in_turn].any()
    assert all(within(n, 8000, 1 - np.exp(-1.0)) for n in hits[in_turn].sum(axis=1))
    assert burst.touch_probability(10_000, 5_000) == pytest.approx(0.4 * (1 - np.exp(-1.0)))
    assert burst.touch_probability(50_000, 5_000) == pytest.approx(1 - np.exp(-2.0))
    parts = burst.in_parts(4)
    assert (parts.period, parts.phase, parts.rate_hz) == (20, 8, 40.0)


@given(st.integers(1, 12), st.integers(0, 12), st.integers(0, 11), st.integers(0, 3))
@settings(max_examples=30)
def test_a_folio_is_touched_whenever_one_of_its_pages_is(period, share, phase, lo):
    """Folios of four pages, the first of which may begin before the range does."""
    swept = Group(lo, 16, "period", period=period, phase=phase, sweep_ticks=min(share, period))
    single = Watch(Workload(n_pages=16, groups=(swept,)), 0).touched(TICKS)
    folios = Watch.__new__(Watch)
    groups = (swept, Group(0, 16, folio_bytes=4 * PAGE))
    engine = Engine(Scenario(Machine.dram_cxl("2 MiB", "2 MiB"), Workload(16, groups=groups), (Context(),)), 0)
    folios.plain, folios.access, folios.memory, folios.kdamond = False, engine.access, engine.memory, engine.kdamonds[0]
    expected = single.reshape(len(TICKS), 4, 4).any(axis=2).repeat(4, axis=1)
    np.testing.assert_array_equal(folios.touched(TICKS), expected)


def test_turns_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="sweep_ticks: 6 is above the period; write within how many ticks"):
        Group(0, 8, "period", period=5, sweep_ticks=6)


@pytest.mark.parametrize(("sampled", "where"), [((19, 150_000), 0), ((100_001, 150_000), 0), ((100_000, 100_019), 1)])
def test_last_samples_that_cannot_be_are_refused(sampled, where):
    with pytest.raises(InputError, match=rf"aggr_sampled_us\[{where}\]: .*; write when the aggregation's last sample was"):
        Context(aggr_times_us=(100_000, 200_000), aggr_sampled_us=sampled)
