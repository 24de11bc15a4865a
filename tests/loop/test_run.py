"""What `run` returns, in known numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tieringmodel import loop
from tieringmodel.kernels.integer import feed_loop_next_input
from tieringmodel.kernels.tuner import consist_esz_bp, temporal_esz_bp

M = 1_000_000
MIB = 2**20
ULONG_MAX = 2**64 - 1


@pytest.mark.parametrize(
    ("last", "score", "following"),
    [
        (10_000, 0, 20_000),
        (900_000, 200, 1_782_000),
        (900_000, 250_000_000, 10_000),
        (50_000, 15_000, 25_000),
        (10_000, 19_999, 10_000),
        (123_456_789, 9_999, 123_469_134),
        (2**63, 5_000, 13_835_058_055_282_160_808),
        (ULONG_MAX, 12_500, 13_835_058_055_282_164_115),
        (ULONG_MAX, 9_999, ULONG_MAX),
    ],
)
def test_feed_unit_values(last, score, following):
    assert int(feed_loop_next_input(np.uint64(last), np.uint64(score))) == following
    assert int(consist_esz_bp(np.uint64(last), np.uint64(score))) == following


def test_consist_starts_from_one_byte():
    assert int(consist_esz_bp(np.uint64(0), np.uint64(0))) == 20_000
    assert int(consist_esz_bp(np.uint64(0), np.uint64(10_000))) == 10_000


@pytest.mark.parametrize(
    ("score", "cap", "state"),
    [
        (9_999, 0, ULONG_MAX),
        (9_999, 200 * MIB, 200 * MIB * 10_000),
        (10_000, 200 * MIB, 0),
        (25_000, 0, 0),
        (0, ULONG_MAX // 10_000, ULONG_MAX // 10_000 * 10_000),
        (0, ULONG_MAX // 10_000 + 1, ULONG_MAX),
    ],
)
def test_temporal_states(score, cap, state):
    assert int(temporal_esz_bp(np.uint64(score), np.uint64(cap))) == state


def test_consist_half_way_sequence():
    # 0 of 10000 pages with a noise-free score of 5000 cannot be had from the start; half the goal can.
    ds = loop.run("consist", 4000, M, 200_000, windows=30)
    assert ds.score.values[0] == 5000
    assert ds.esz.values[:20].tolist() == [
        1,
        2,
        3,
        5,
        7,
        11,
        17,
        25,
        38,
        57,
        86,
        129,
        194,
        291,
        437,
        656,
        985,
        1477,
        2216,
        3325,
    ]
    assert int(np.flatnonzero(ds.moved.values)[0]) == 20


@pytest.mark.parametrize("delay", [0, 1, 2, 3, 7])
def test_temporal_stops_after_the_same_caps_plus_the_delay(delay):
    ds = loop.run("temporal", 4000, M, 0, cap_bytes=100 * MIB, delay=delay)
    assert int(ds.final_pages) == 25_600 * (16 + delay)


def test_an_early_exit_does_not_stop_the_tuner():
    ds = loop.run("consist", 4000, M, 0, early_exit=True)
    assert int(ds.final_pages) == 508_704
    pages = ds.esz.values // 4096
    assert pages[30:33].tolist() == [156_157, 113_729, 82_829]
    assert int(ds.esz[-1]) == 1


def test_the_cap_bounds_the_quota_and_not_the_state():
    ds = loop.run("consist", 4000, M, 0, cap_bytes=4096, windows=100)
    assert int(ds.esz.max()) == 4096
    # The state kept growing under the cap: a start with that state and no cap goes on where it was.
    free = loop.run("consist", 4000, M, 0, esz_bp0=ULONG_MAX, windows=1)
    assert int(free.esz[0]) == ULONG_MAX // 10_000


def test_the_leak_is_counted_from_the_start_of_the_window_and_leaves_last():
    ds = loop.run("temporal", 10_000, 100, 50, cap_bytes=10 * 4096, leak_pages=3, leak_rate=0.1, windows=1)
    assert (int(ds.moved[0]), int(ds.leaked[0]), int(ds.final_pages)) == (10, 8, 52)
    drained = loop.run("temporal", 1, 100, 5, leak_pages=50, windows=2)
    assert drained.leaked.values.tolist() == [5, 50]


def test_out_moves_out_and_stops_only_below():
    ds = loop.run("temporal", 4000, M, 300_000, cap_bytes=100 * MIB, direction="out")
    assert int(ds.final_pages) == 0
    assert int(loop.run("temporal", 4000, M, 300_000, direction="out", early_exit=True).final_pages) == 300_000
    # The loop sign is wrong: above its goal the tuner asks for nothing.
    assert int(loop.run("temporal", 4000, M, M, direction="out").final_pages) == M


def test_dataset_carries_types_units_and_parameters():
    ds = loop.run("consist", 4000, M, 0, windows=5, cap_bytes=8192, leak_rate=0.25)
    assert ds.attrs["kind"] == "loop"
    assert ds.esz.dtype == np.uint64
    assert ds.pages.dtype == ds.moved.dtype == ds.final_pages.dtype == np.int64
    assert ds.pages.dims == ds.esz.dims == ("window",)
    assert ds.window.values.tolist() == [0, 1, 2, 3, 4]
    for name in ds.data_vars:
        assert {"long_name", "units", "source"} <= set(ds[name].attrs)
    again = loop.run(**json.loads(ds.attrs["parameters"]))
    assert again.identical(ds)


def test_whole_floats_are_taken_as_integers():
    assert loop.run("temporal", 4000.0, 1e6, 0.3 * M, windows=3).identical(loop.run("temporal", 4000, M, 300_000, windows=3))
