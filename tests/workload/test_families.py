"""Families: rates are conserved, errors are as stated, nothing depends on anything but the arguments."""

from __future__ import annotations

import itertools
import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given, settings

from tieringmodel import workload as fam
from tieringmodel.errors import InputError
from tieringmodel.scenario import Group, Memcg, Placement, Workload
from tieringmodel.workload.access import AccessTable
from tieringmodel.workload.arguments import permutation
from tieringmodel.workload.rates import power_sum

RATES = st.floats(1e-3, 1e6)
ULPS = 1e-12  # a few thousand roundings of 1e-16 each


@given(st.integers(1, 3000), st.floats(0, 3), st.integers(1, 80), RATES, st.floats(0, 1))
@settings(max_examples=150)
def test_zipf_keeps_the_sum_and_the_stated_error(n, s, most, total, level):
    made = fam.zipf(n, s=s, accesses_per_s=total, uniform_share=level, max_classes=most)
    assert len(made.groups) <= most
    assert fam.access_rate_hz(made) == pytest.approx(total, rel=ULPS)
    weight = np.arange(1.0, n + 1) ** -s
    own = total * ((1 - level) * weight / weight.sum() + level / n)
    got = fam.page_rate_hz(made)
    error = fam.zipf_classes(n, s, most).max_relative_error
    assert (np.abs(own / got - 1) <= error + 1e-9).all()
    assert (np.diff(got) <= 1e-9 * got[:-1]).all()  # hottest first
    if n <= most:
        np.testing.assert_allclose(got, own, rtol=ULPS)


@pytest.mark.parametrize("s", [0.0, 0.5, 0.99, 1.0, 1.0000001, 2.5, 8.0])
def test_power_sums(s):
    ranks = np.arange(1.0, 20_001)
    for first, end in ((1, 20_001), (1, 40), (1023, 1026), (1000, 9000), (1024, 5122), (12_000, 20_001)):
        assert power_sum(first, end, s) == pytest.approx(math.fsum(ranks[first - 1 : end - 1] ** -s), rel=1e-13)


def test_zipf_errors_shrink_with_classes():
    errors = [fam.zipf_classes(10**6, 1.0, k).max_relative_error for k in (64, 256, 1024)]
    assert errors[0] < 0.12
    assert errors[1] < 0.025
    assert errors == sorted(errors, reverse=True)


@given(st.integers(1, 3000), st.floats(0.2, 4), st.floats(1e-3, 10), st.floats(1.01, 1e5), st.integers(1, 80))
@settings(max_examples=150)
def test_power_law_keeps_the_mean_and_the_stated_error(n, exponent, low, factor, most):
    high = low * factor
    made = fam.power_law(n, exponent=exponent, min_rate_hz=low, max_rate_hz=high, max_classes=most)
    spread = low**-exponent - high**-exponent
    a = 1 - exponent
    area = math.log(factor) if abs(a) < 1e-9 else low**a * math.expm1(a * math.log(factor)) / a
    assert fam.access_rate_hz(made) == pytest.approx(n * exponent * area / spread, rel=1e-9)
    got = fam.page_rate_hz(made)
    middle = ((np.arange(n) + 0.5) / n * spread + high**-exponent) ** (-1 / exponent)
    error = fam.power_law_classes(n, exponent, low, high, most).max_relative_error
    assert (np.abs(middle / got - 1) <= error + 1e-9).all()
    assert low <= got.min() * (1 + 1e-9)
    assert got.max() <= high * (1 + 1e-9)


def test_power_law_errors_are_those_of_the_ratio():
    """With classes of many pages the error is that of a class's span of rates."""
    classes = fam.power_law_classes(10**8, 1.0, 1.0, 1e4, 64)
    assert classes.max_relative_error <= 1e4 ** (1 / 64) - 1


@given(st.integers(2, 5000), st.floats(0.001, 0.999), st.floats(0, 1), RATES, st.integers(0, 700), st.integers(0, 2**64 - 1))
@settings(max_examples=100)
def test_two_levels(n, hot, to_hot, total, run, seed):
    made = fam.two_level(n, hot_share=hot, access_share=to_hot, accesses_per_s=total, scatter_pages=run, seed=seed)
    assert fam.access_rate_hz(made) == pytest.approx(total, rel=ULPS)
    pages = min(max(round(n * hot), 1), n - 1)
    rate = fam.page_rate_hz(made)
    assert math.fsum(np.sort(rate)[::-1][:pages]) >= (to_hot if pages / n <= to_hot else 0) * total * (1 - 1e-9)


@given(st.integers(1, 400), st.integers(1, 60), st.integers(0, 2**64 - 1), st.data())
@settings(max_examples=150)
def test_scattering_deals_runs(n, run, seed, data):
    groups = []
    for _ in range(data.draw(st.integers(0, 4))):
        lo = data.draw(st.integers(0, n - 1))
        hi = data.draw(st.integers(lo + 1, n))
        kind = data.draw(st.sampled_from(["rate", "period"]))
        groups.append(Group(lo, hi, kind=kind, rate_hz=7.0, period=3, stride=data.draw(st.integers(1, 5))))
    before = Workload(n, tuple(groups), tick_us=5000)
    after = fam.scatter(before, run_pages=run, seed=seed)
    assert after == fam.scatter(before, run_pages=run, seed=seed)
    old, new = fam.page_rate_hz(before), fam.page_rate_hz(after)
    whole = n // run
    home = permutation(whole, seed)
    for k in range(whole):
        np.testing.assert_array_equal(new[k * run : (k + 1) * run], old[home[k] * run : (home[k] + 1) * run])
    np.testing.assert_array_equal(new[whole * run :], old[whole * run :])


def test_scattering_is_random_and_seeded():
    plain = fam.uniform(512 * 200, hot_pages=512 * 100, rate_hz=1.0)
    one, two = (fam.scatter(plain, run_pages=512, seed=seed) for seed in (1, 2))
    assert one != two
    hot = fam.hot_set(one, min_rate_hz=1.0).reshape(200, 512)
    assert (hot.all(axis=1) ^ ~hot.any(axis=1)).all()
    changes = int(np.abs(np.diff(hot[:, 0].astype(int))).sum())
    assert abs(changes - 100) <= 4 * math.sqrt(50)  # 199 neighbours, half of them differ


@given(st.integers(1, 30), st.integers(1, 9000), st.integers(1, 400))
@settings(max_examples=150)
def test_streams_touch_each_page_once_a_pass(n, speed_pages, most):
    """Speed in pages per second, ticks of 100 ms."""
    made = fam.streaming(n, bytes_per_s=speed_pages * 4096, tick_us=100_000, max_groups=most)
    period = max(1, round(10 * n / speed_pages))
    seen = np.zeros((2 * period, n), int)
    for g in (g for g in made.groups if g.kind == "period"):
        for t in range(2 * period):
            if (t + g.phase) % g.period == 0:
                seen[t, g.lo : g.hi : g.stride] += 1
    np.testing.assert_array_equal(seen[:period].sum(axis=0), 1)
    np.testing.assert_array_equal(seen[:period], seen[period:])
    first = seen[:period].argmax(axis=0)
    assert first[0] == 0
    assert (np.diff(first) >= 0).all()
    blocks = min(period, n, most)
    assert (np.abs(first - np.arange(n) * period / n) <= 1 + period / blocks).all()
    if 10 * n / speed_pages >= 1:
        assert fam.access_rate_hz(made) == pytest.approx(speed_pages, rel=0.5 / period + 1e-9)  # whole ticks
    else:
        assert fam.access_rate_hz(made) == pytest.approx(speed_pages, rel=ULPS)


def test_a_stream_passes_at_its_speed():
    made = fam.streaming(25_600, bytes_per_s="100 MiB")  # a pass a second
    assert len(made.groups) == 200
    assert made.groups[0].period == 200
    assert fam.access_rate_hz(made) == pytest.approx(25_600)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.floats(0, 1), st.integers(0, 60))
def test_the_truth(rates, part, count):
    groups = tuple(Group(k, k + 1, rate_hz=float(r)) for k, r in enumerate(rates) if r)
    made = Workload(len(rates), groups)
    np.testing.assert_array_equal(fam.page_rate_hz(made), rates)
    assert fam.access_rate_hz(made) == sum(rates)
    np.testing.assert_array_equal(fam.hot_set(made, min_rate_hz=20.0), np.array(rates) >= 20)
    hot = fam.hot_set(made, access_share=part)
    served = np.array(rates)[hot].sum()
    assert served >= part * sum(rates) * (1 - 1e-12)
    if hot.any():
        assert served - np.array(rates)[hot].min() < part * sum(rates)
    count = min(count, len(rates))
    hot = fam.hot_set(made, n_pages=count)
    assert hot.sum() == count
    assert sorted(np.array(rates)[hot].tolist(), reverse=True) == sorted(rates, reverse=True)[:count]


# ---- tenants ------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 50), min_size=1, max_size=5), st.booleans())
def test_no_page_in_two_tenants(sizes, own):
    made = {f"t{k}": fam.uniform(n, rate_hz=float(k + 1)) for k, n in enumerate(sizes)}
    if own and sizes[0] > 2:
        made["t0"] = made["t0"].replace(memcgs=(Memcg(77, 1, 2), Memcg(78, 2, 3, 77)))
    mixed = fam.mix(made)
    assert mixed.n_pages == sum(sizes)
    owner = np.zeros(mixed.n_pages, int)
    for m in mixed.memcgs:
        assert not owner[m.lo : m.hi].any()
        owner[m.lo : m.hi] = m.memcg_id
    assert owner.all()
    table = AccessTable(mixed, 5000, 1)
    edges = np.cumsum([0, *sizes])
    for k in range(len(sizes)):
        mine = table.memcg_classes[k + 1][table.page_class]
        assert mine[edges[k] : edges[k + 1]].all()
        assert mine.sum() == sizes[k]
        np.testing.assert_array_equal(fam.page_rate_hz(mixed)[edges[k] : edges[k + 1]], float(k + 1))
    spans = sorted((v.start_bytes, v.start_bytes + (v.hi - v.lo) * 4096) for v in mixed.vmas)
    assert all(b <= c for (_, b), (c, _) in itertools.pairwise(spans))
    assert fam.access_rate_hz(mixed) == pytest.approx(sum(n * (k + 1) for k, n in enumerate(sizes)))


def test_tenants_keep_names_placement_and_ticks():
    stream = fam.streaming(100, bytes_per_s="1 MB")
    mixed = fam.mix(
        {"a": fam.uniform(10, rate_hz=1.0), "b": stream.replace(placement=(Placement(0, 100, 1),))}, memcg_ids={"a": 5, "b": 9}
    )
    assert mixed.tick_us == 5000
    assert [(p.lo, p.hi, p.nid) for p in mixed.placement] == [(0, 10, 0), (10, 110, 1)]
    assert mixed.groups[0].name == "a/hot"
    assert {g.name for g in mixed.groups[1:]} == {"b/stream"}
    assert [(m.memcg_id, m.lo, m.hi) for m in mixed.memcgs] == [(5, 0, 10), (9, 10, 110)]


def test_tenants_that_do_not_go_together():
    one = fam.uniform(10, rate_hz=1.0)
    with pytest.raises(InputError, match="ticks"):
        fam.mix({"a": one.replace(tick_us=1), "b": one.replace(tick_us=2)})
    with pytest.raises(InputError, match="give every tenant one id"):
        fam.mix({"a": one}, memcg_ids={"b": 1})
    with pytest.raises(InputError, match="belongs to tenant 'a'"):
        fam.mix({"a": one, "b": one}, memcg_ids={"a": 1, "b": 1})
    with pytest.raises(InputError, match="belongs to tenant 'a'"):
        fam.mix({"a": one, "b": one.replace(memcgs=(Memcg(1, 0, 4),))})
    with pytest.raises(InputError, match="is empty"):
        fam.mix({})


# ---- arguments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "where"),
    [
        (lambda: fam.uniform(0, rate_hz=1), "uniform.n_pages"),
        (lambda: fam.uniform(10, rate_hz=0), "uniform.rate_hz"),
        (lambda: fam.uniform(10, rate_hz=float("nan")), "uniform.rate_hz"),
        (lambda: fam.uniform(10, rate_hz=1, hot_pages=11), "uniform.hot_pages"),
        (lambda: fam.two_level(10, hot_share=1, access_share=1, accesses_per_s=1), "two_level.hot_share"),
        (lambda: fam.two_level(10, hot_share=0.1, access_share=1.1, accesses_per_s=1), "two_level.access_share"),
        (lambda: fam.zipf(10, s=-1, accesses_per_s=1), "zipf.s"),
        (lambda: fam.zipf(10, s=9, accesses_per_s=1), "zipf.s"),
        (lambda: fam.zipf(10, s=1, accesses_per_s=1, max_classes=0), "zipf.max_classes"),
        (lambda: fam.power_law(10, exponent=1, min_rate_hz=2, max_rate_hz=2), "power_law.max_rate_hz"),
        (lambda: fam.power_law(10, exponent=0, min_rate_hz=1, max_rate_hz=2), "power_law.exponent"),
        (lambda: fam.streaming(10, bytes_per_s=0), "streaming.bytes_per_s"),
        (lambda: fam.streaming(10, bytes_per_s=1, tick_us=0), "streaming.tick_us"),
        (lambda: fam.hot_set(Workload(5)), "hot_set"),
        (lambda: fam.hot_set(Workload(5), n_pages=6), "hot_set.n_pages"),
        (lambda: fam.hot_set(Workload(5), n_pages=1, min_rate_hz=1), "hot_set"),
        (lambda: fam.scatter(Workload(5, (Group(0, 5, kind="hash"),)), run_pages=1), "scatter.groups[0].kind"),
        (lambda: fam.scatter(Workload(5, memcgs=(Memcg(1, 0, 5),))), "scatter"),
        (lambda: fam.scatter(fam.uniform(200_000, rate_hz=1, hot_pages=100_000), run_pages=0), "scatter.run_pages"),
        (lambda: fam.named("V99"), "named.name"),
        (lambda: fam.named("V1", 0), "named.scale"),
        (lambda: fam.named("V1", 5), "named.scale"),
    ],
)
def test_arguments_are_checked(call, where):
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.where == where


def test_too_many_runs():
    with pytest.raises(InputError, match="use longer runs"):
        fam.scatter(fam.uniform(400_000, rate_hz=1, hot_pages=200_000), run_pages=1)


# ---- named cases --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", fam.NAMED)
def test_named_cases_scale(name):
    case = fam.NAMED[name]
    assert all(text.strip() for text in case[:4])
    some, fewer = fam.named(name, 0.5), fam.named(name, 0.05)
    assert fewer.n_pages == pytest.approx(some.n_pages / 10, rel=4e-3)
    assert fam.access_rate_hz(fewer) == pytest.approx(fam.access_rate_hz(some) / 10, rel=2e-2)


def test_named_sizes():
    gib = (1 << 30) // 4096
    assert fam.named("V1").n_pages == fam.named("V2").n_pages == 32 * gib
    assert fam.named("taobench") == fam.named("V5")
    assert fam.named("V5").n_pages == 270 * gib
    assert fam.named("V10").n_pages == 50 * gib
    assert fam.access_rate_hz(fam.named("V10")) == 0
    assert fam.named("graph500").n_pages * 4096 == pytest.approx(100e9, rel=1e-4)
    assert fam.named("redis-ycsb-c").n_pages == pytest.approx(51.4 * gib, rel=1e-3)


def test_taobench_displaces_what_is_published():
    tao = fam.named("taobench", 1 / 16)
    before, after = (fam.hot_set(tao, at, min_rate_hz=1.0) for at in (0, "60 s"))
    assert before.sum() == after.sum() == pytest.approx(0.13 * tao.n_pages, rel=1e-3)
    left = [g for g in tao.groups if g.end_tick * tao.tick_us <= 60e6 - 1]
    moved = sum(g.hi - g.lo for g in left) * 4096 * 16
    assert moved == pytest.approx(10 * 2**30, rel=0.01)  # one block of 160 either way


@given(st.integers(1, 40))
def test_permutations(n):
    assume(n)
    assert sorted(permutation(n, 3).tolist()) == list(range(n))
