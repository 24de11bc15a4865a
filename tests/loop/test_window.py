"""The compiled window loop against a literal one in Python integers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieringmodel import loop

ULONG_MAX = 2**64 - 1
MASK = ULONG_MAX


def feed(last: int, score: int) -> int:
    if score == 10_000:
        return last
    if score >= 20_000:
        return 10_000
    d = abs(score - 10_000)
    comp = last * d // 10_000 if last < ULONG_MAX // d else (last // 10_000) * d
    if score > 10_000:
        return max(last - comp, 10_000)
    return last + comp if last < ULONG_MAX - comp else ULONG_MAX


def mix(x: int) -> int:
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def noise(scale: float, seed: int, k: int) -> int:
    key = mix(seed)
    first, second = (
        ((mix(key + (counter + 1) * 0x9E3779B97F4A7C15 & MASK) >> 11) + 0.5) / 2**53 for counter in (2 * k, 2 * k + 1)
    )
    return round(scale * math.sqrt(-2 * math.log(first)) * math.cos(2 * math.pi * second))


def tune(tuner: str, state: int, score: int, cap: int | None) -> int:
    if tuner == "consist":
        return feed(max(state, 10_000), score)
    if score >= 10_000:
        return 0
    return cap * 10_000 if cap is not None and cap <= ULONG_MAX // 10_000 else ULONG_MAX


def reference(
    tuner,
    target_bp,
    n_pages,
    start_pages,
    *,
    cap_bytes=None,
    delay=0,
    leak_pages=0,
    leak_rate=0.0,
    capacity_pages=None,
    clamp_bp=None,
    early_exit=False,
    noise_bp=0.0,
    direction="in",
    windows=400,
    esz_bp0=0,
    seed=0,
):
    pages, moves, quotas, state = [start_pages], [], [], esz_bp0
    for k in range(windows):
        n = pages[k]
        cur = pages[max(0, k - delay)] * 10_000 // n_pages
        if noise_bp:
            cur = min(max(cur + noise(noise_bp, seed, k), 0), 10_000)
        t = target_bp if clamp_bp is None else min(target_bp, clamp_bp)
        state = tune(tuner, state, cur * 10_000 // t, cap_bytes)
        esz = state // 10_000 if cap_bytes is None else min(state // 10_000, cap_bytes)
        if direction == "in":
            room = min(n_pages if capacity_pages is None else capacity_pages, n_pages) - n
            stop, sign = cur >= t, 1
        else:
            room, stop, sign = n, cur <= t, -1
        moved = 0 if early_exit and stop else min(esz // 4096, room)
        leak = min(n + sign * moved, leak_pages + int(leak_rate * n))
        pages.append(n + sign * moved - leak)
        moves.append(moved)
        quotas.append(esz)
    return pages, moves, quotas


@st.composite
def arguments(draw):
    n_pages = draw(st.one_of(st.integers(1, 50), st.integers(1, 10**6), st.integers(1, 2**42)))
    direction = draw(st.sampled_from(["in", "in", "out"]))
    capacity = draw(st.none() | st.integers(0, 2 * n_pages)) if direction == "in" else None
    most = n_pages if capacity is None else min(n_pages, capacity)
    caps = st.none() | st.integers(1, 20_000) | st.integers(1, 4096 * n_pages) | st.integers(1, ULONG_MAX)
    return {
        "tuner": draw(st.sampled_from(["consist", "temporal"])),
        "target_bp": draw(st.integers(1, 10_000)),
        "n_pages": n_pages,
        "start_pages": draw(st.integers(0, most)),
        "cap_bytes": draw(caps),
        "delay": draw(st.integers(0, 4) | st.integers(0, 200)),
        "leak_pages": draw(st.just(0) | st.integers(0, max(1, n_pages // 50))),
        "leak_rate": draw(st.just(0.0) | st.floats(0, 1)),
        "capacity_pages": capacity,
        "clamp_bp": draw(st.none() | st.integers(1, 10_000)),
        "early_exit": draw(st.booleans()),
        "noise_bp": draw(st.just(0.0) | st.floats(0, 500)),
        "direction": direction,
        "windows": draw(st.integers(1, 150)),
        "esz_bp0": draw(st.just(0) | st.integers(0, 10**12) | st.integers(0, ULONG_MAX)),
        "seed": draw(st.integers(0, ULONG_MAX)),
    }


@settings(max_examples=300)
@given(arguments())
def test_every_window_equals_the_literal_loop(kwargs):
    pages, moves, quotas = reference(**kwargs)
    ds = loop.run(**kwargs)
    assert ds.pages.values.tolist() == pages[:-1]
    assert int(ds.final_pages) == pages[-1]
    assert ds.moved.values.tolist() == moves
    assert ds.esz.values.tolist() == quotas


@settings(max_examples=100)
@given(arguments())
def test_pages_are_conserved_and_stay_inside_the_machine(kwargs):
    ds = loop.run(**kwargs)
    pages = np.append(ds.pages.values, ds.final_pages.values)
    assert pages.min() >= 0
    assert pages.max() <= kwargs["n_pages"]
    sign = 1 if kwargs["direction"] == "in" else -1
    np.testing.assert_array_equal(np.diff(pages), sign * ds.moved.values - ds.leaked.values)
    assert ds.moved.values.min() >= 0
    assert ds.leaked.values.min() >= 0


@settings(max_examples=100)
@given(arguments())
def test_a_grid_of_one_equals_the_run(kwargs):
    ds = loop.run(**kwargs)
    many = loop.run_many(**kwargs)
    pages = np.append(ds.pages.values, ds.final_pages.values)
    tail = min(kwargs["windows"], max(100, -(-kwargs["windows"] // 5)))
    busy = np.flatnonzero(ds.moved.values)
    assert many.final_pages.dims == ()
    assert int(many.final_pages) == pages[-1]
    assert int(many.peak_pages) == pages.max()
    assert int(many.trough_pages) == pages.min()
    assert int(many.last_move_window) == (busy[-1] if busy.size else -1)
    assert int(many.moved_pages) == ds.moved.values.sum()
    assert int(many.final_esz) == int(ds.esz[-1])
    assert int(many.tail_low_pages) == pages[-tail:].min()
    assert int(many.tail_high_pages) == pages[-tail:].max()
    assert float(many.tail_mean_pages) == int(pages[-tail:].sum()) / tail
    assert float(many.tail_moved_pages) == int(ds.moved.values[-tail:].sum()) / tail
    goal = kwargs["target_bp"] if kwargs["clamp_bp"] is None else min(kwargs["target_bp"], kwargs["clamp_bp"])
    off = [
        k for k, n in enumerate(pages.tolist()) if abs(10_000 * n - goal * kwargs["n_pages"]) * 50 > goal * kwargs["n_pages"]
    ]
    settled = off[-1] + 1 if off else 0
    assert int(many.settling_window) == (settled if settled <= kwargs["windows"] else -1)


@pytest.mark.parametrize(("tuner", "cap"), [("consist", None), ("temporal", 40960), ("temporal", None)])
def test_the_noise_is_standard_normal_and_its_own_draw_per_window(tuner, cap):
    # Nobody moves at a clamped goal of 1 bp, so the measurement is 5000 bp plus noise.
    ds = loop.run(tuner, 5000, 1000, 500, cap_bytes=cap, clamp_bp=1, noise_bp=100.0, windows=40_000, seed=7)
    z = (ds.measured.values - 5000) / 100
    # Standard errors: mean 1/200, variance sqrt(2)/200, lag 1 1/200, tail share 0.0011; four of each.
    assert abs(z.mean()) < 0.02
    assert abs(z.var() - 1) < 0.03
    assert abs(np.corrcoef(z[1:], z[:-1])[0, 1]) < 0.02
    assert abs((np.abs(z) > 1.96).mean() - 0.05) < 0.005
    other = loop.run(tuner, 5000, 1000, 500, cap_bytes=cap, clamp_bp=1, noise_bp=100.0, windows=40_000, seed=8)
    assert abs(np.corrcoef(z, other.measured.values)[0, 1]) < 0.02
