"""Moving hot sets: at every time each page is in one level, the hot set has its size, and it moves as it should."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given, settings

from tieringmodel import workload as fam
from tieringmodel.errors import InputError
from tieringmodel.scenario import Group, Workload
from tieringmodel.units import FOREVER
from tieringmodel.workload.windows import Window, hot_windows

TICK = 1000
HOT, COLD = 50.0, 2.0
COMMON = {"hot_rate_hz": HOT, "cold_rate_hz": COLD, "tick_us": TICK}


def levels(made, ticks):
    """bool (ticks, pages), True where hot; checks that every page is in exactly one group at each tick."""
    hot = np.zeros((len(ticks), made.n_pages), bool)
    for k, tick in enumerate(ticks):
        count = np.zeros(made.n_pages, int)
        for g in made.groups:
            if g.start_tick <= tick < g.end_tick:
                count[g.lo : g.hi] += 1
                hot[k, g.lo : g.hi] |= g.name == "hot"
        assert (count == 1).all()
        rate = fam.page_rate_hz(made, tick * TICK)
        np.testing.assert_array_equal(rate, np.where(hot[k], HOT, COLD))
    return hot


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 30), st.data())
def test_step(n, size, at, data):
    size = min(size, n)
    to = data.draw(st.none() | st.integers(0, n - size))
    made = fam.step(n, hot_pages=size, to_page=to, at_us=at * TICK, **COMMON)
    hot = levels(made, [0, at - 1, at, 10 * at, FOREVER - 1])
    for row, start in zip(hot, (0, 0, *[n - size if to is None else to] * 3), strict=True):
        np.testing.assert_array_equal(np.flatnonzero(row), np.arange(start, start + size))


@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 10), st.integers(1500, 9000), st.integers(1, 80_000))
@settings(max_examples=60)
def test_rotate(places, size, spare, every_us, duration_us):
    n = places * size + spare
    duration_us = max(duration_us, TICK)
    made = fam.rotate(n, hot_pages=size, places=places, every_us=every_us, duration_us=duration_us, **COMMON)
    turns = -(-duration_us // every_us)
    ticks = range(round(turns * every_us / TICK) + 3)
    hot = levels(made, ticks)
    changes = [round(k * every_us / TICK) for k in range(turns)]
    for tick in ticks:
        turn = sum(c <= tick for c in changes) - 1
        start = turn % places * n // places
        np.testing.assert_array_equal(np.flatnonzero(hot[tick]), np.arange(start, start + size))


@given(st.integers(2, 12), st.data(), st.integers(1, 3), st.integers(1, 4000), st.integers(1, 60), st.integers(0, 2**64 - 1))
@settings(max_examples=60)
def test_exchange(n_blocks, data, block, speed_pages, length, seed):
    """As many pages leave as enter, block by block, at the given speed."""
    n_hot = data.draw(st.integers(1, n_blocks - 1))
    made = fam.exchange(
        n_blocks * block, hot_pages=n_hot * block, block_pages=block, bytes_per_s=speed_pages * 4096,
        duration_us=length * TICK, seed=seed, **COMMON,
    )  # fmt: skip
    hot = levels(made, range(length + 3))
    np.testing.assert_array_equal(hot.sum(axis=1), n_hot * block)
    assert hot[0, : n_hot * block].all()
    steps = length * speed_pages // (1000 * block)
    at = np.array([-(-k * 1000 * block // speed_pages) for k in range(1, steps + 1)])
    for tick in range(length + 2):
        entered = (hot[tick + 1] & ~hot[tick]).sum()
        assert entered == (hot[tick] & ~hot[tick + 1]).sum()
        assert entered <= (at == tick + 1).sum() * block  # a block may come back within a tick
        if (at == tick + 1).sum() == 1:
            assert entered == block


@given(st.integers(1, 12), st.data(), st.integers(1, 3), st.integers(1, 4000), st.integers(1, 60))
@settings(max_examples=60)
def test_drift(n_blocks, data, block, speed_pages, length):
    n_hot = data.draw(st.integers(1, n_blocks))
    made = fam.drift(
        n_blocks * block, hot_pages=n_hot * block, block_pages=block, bytes_per_s=speed_pages * 4096,
        duration_us=length * TICK, **COMMON,
    )  # fmt: skip
    hot = levels(made, range(length + 3))
    steps = length * speed_pages // (1000 * block)
    at = np.array([-(-k * 1000 * block // speed_pages) for k in range(1, steps + 1)])
    for tick in range(length + 3):
        first = (at <= tick).sum()
        expected = np.zeros(n_blocks, bool)
        expected[(first + np.arange(n_hot)) % n_blocks] = True
        np.testing.assert_array_equal(hot[tick], np.repeat(expected, block))


def test_only_hot_groups_without_a_cold_rate():
    made = fam.rotate(40, hot_pages=10, places=4, every_us=TICK, duration_us="1 s", hot_rate_hz=1.0, tick_us=TICK)
    assert {g.name for g in made.groups} == {"hot"}
    assert len(made.groups) == 1000
    assert sum(g.end_tick - g.start_tick for g in made.groups if g.end_tick < FOREVER) == 999


@given(st.lists(st.integers(500, 9000), min_size=1, max_size=6), st.booleans())
def test_sequences_tile_time(lengths, ends):
    phases = [(fam.uniform(7, rate_hz=float(k + 1)), length) for k, length in enumerate(lengths)]
    edges = [round(t / TICK) for t in np.cumsum([0, *lengths])]
    if any(a == b for a, b in itertools.pairwise(edges)):
        with pytest.raises(InputError, match="half a tick"):
            fam.sequence(phases, tick_us=TICK, ends=ends)
        return
    made = fam.sequence(phases, tick_us=TICK, ends=ends)
    for tick in range(edges[-1] + 2):
        phase = min(sum(e <= tick for e in edges) - 1, len(lengths) - 1)
        expected = 0.0 if ends and tick >= edges[-1] else phase + 1.0
        np.testing.assert_array_equal(fam.page_rate_hz(made, tick * TICK), expected)


def test_a_phase_begins_where_its_sweep_begins():
    stream = fam.streaming(10, bytes_per_s=10 * 4096, tick_us=TICK)  # a pass a second
    made = fam.sequence([(Workload(10), 337_000), (stream, "3 s")], tick_us=TICK)
    first = made.groups[0]
    assert (337 + first.phase) % first.period == 0
    again = fam.sequence([(stream, "1 s"), (stream, "1 s")], tick_us=TICK)
    assert [g.phase for g in again.groups[:10]] == [g.phase for g in again.groups[10:]]


@pytest.mark.parametrize(
    ("call", "where"),
    [
        (lambda: fam.step(10, hot_pages=3, to_page=8, at_us="1 s", hot_rate_hz=1.0), "step.to_page"),
        (lambda: fam.step(10, hot_pages=3, at_us=10, hot_rate_hz=1.0), "step.at_us"),
        (lambda: fam.step(10, hot_pages=3, at_us="1 s", hot_rate_hz=1.0, cold_rate_hz=1.0), "step.cold_rate_hz"),
        (lambda: fam.rotate(10, hot_pages=6, places=2, every_us="1 s", duration_us="9 s", hot_rate_hz=1.0),
         "rotate.hot_pages"),
        (lambda: fam.exchange(1024, hot_pages=600, bytes_per_s=1, duration_us="1 s", hot_rate_hz=1.0),
         "exchange.hot_pages"),
        (lambda: fam.exchange(1024, hot_pages=1024, bytes_per_s=1, duration_us="1 s", hot_rate_hz=1.0),
         "exchange.hot_pages"),
        (lambda: fam.drift(1024, hot_pages=512, bytes_per_s="100 GB", duration_us="9 h", hot_rate_hz=1.0), "drift"),
        (lambda: fam.sequence([]), "sequence.phases"),
        (lambda: fam.sequence([(Workload(1), "1 s"), (Workload(2), "1 s")]), "sequence.phases[1]"),
        (lambda: fam.sequence([(Workload(1, (Group(0, 1, kind="hash"),)), "1 s")]), "sequence.phases[0].groups[0].kind"),
    ],
)  # fmt: skip
def test_arguments_are_checked(call, where):
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.where.startswith(where)


SPANS = st.tuples(st.integers(0, 19), st.integers(1, 8), st.integers(0, 19), st.integers(0, 8))


@given(st.lists(SPANS, max_size=6))
@example([(3, 2, 0, 5)])
def test_windows_leave_no_page_and_no_tick_out(spans):
    """Every page is hot exactly inside its windows, and in exactly one group at every tick."""
    windows = [Window(lo, min(lo + n, 20), on, on + long) for lo, n, on, long in spans]
    made = hot_windows(20, windows, 10.0, 1.0, 5000, "test")
    for page in range(20):
        for tick in range(30):
            here = [g.name for g in made.groups if g.lo <= page < g.hi and g.start_tick <= tick < g.end_tick]
            hot = any(w.lo <= page < w.hi and w.on <= tick < w.off for w in windows)
            assert here == ["hot" if hot else "cold"]
