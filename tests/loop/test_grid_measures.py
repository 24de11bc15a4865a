"""What a grid says of each run is what its definition says of that run's own trace."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given

import tieringmodel as tm
from tieringmodel import loop
from tieringmodel.loop.grid import tail_length


def by_definition(one: Any, target_bp: int, n_pages: int) -> dict[str, float]:
    """Every measure of a grid from the pages at all window edges and the moves of one run, in plain Python."""
    edges, moved = [*one.pages.values.tolist(), int(one.final_pages)], one.moved.values.tolist()
    windows = len(moved)
    wanted = target_bp * n_pages  # of 10000 times the pages
    inside = [98 * wanted <= 1_000_000 * n <= 102 * wanted for n in edges]
    settled = next((k for k in range(windows + 1) if all(inside[k:])), -1)
    tail = min(windows, max(100, -(-windows // 5)))
    ends = edges[1:][-tail:]
    return {
        "final_pages": edges[-1], "peak_pages": max(edges), "trough_pages": min(edges), "settling_window": settled,
        "last_move_window": max((k for k, m in enumerate(moved) if m), default=-1), "moved_pages": sum(moved),
        "final_esz": int(one.esz[-1]), "tail_mean_pages": sum(ends) / tail, "tail_low_pages": min(ends),
        "tail_high_pages": max(ends), "tail_moved_pages": sum(moved[-tail:]) / tail,
    }  # fmt: skip


@given(
    tuner=st.sampled_from(["consist", "temporal"]), direction=st.sampled_from(["in", "out"]), stop=st.booleans(),
    target_bp=st.integers(1, 10_000), n_pages=st.integers(20, 400), start=st.integers(0, 20), cap_pages=st.integers(1, 12),
    delay=st.integers(0, 4), leak=st.integers(0, 3), windows=st.integers(1, 130), noise=st.sampled_from([0.0, 200.0]),
)  # fmt: skip
@example("temporal", "in", False, 5_000, 100, 0, 1, 0, 0, 60, 0.0)
@example("temporal", "in", False, 5_000, 100, 0, 1, 1, 0, 60, 0.0)  # 51 pages, one beyond the goal: the band's upper edge
@example("temporal", "in", True, 5_000, 100, 0, 1, 2, 0, 60, 0.0)  # 52, one beyond the band
@example("temporal", "out", False, 1_000, 20, 20, 3, 0, 0, 130, 0.0)
@example("consist", "in", False, 5_000, 100, 0, 1, 0, 1, 520, 0.0)  # a fifth of the windows is more than 100
def test_measures(
    tuner: str, direction: str, stop: bool, target_bp: int, n_pages: int, start: int, cap_pages: int, delay: int,
    leak: int, windows: int, noise: float,
) -> None:  # fmt: skip
    given = {
        "cap_bytes": cap_pages * 4096, "delay": delay, "leak_pages": leak, "windows": windows, "noise_bp": noise,
        "early_exit": stop, "direction": direction, "esz_bp0": 4096 * 10**4,
    }  # fmt: skip
    one = loop.run(tuner, target_bp, n_pages, start, **given)
    many = loop.run_many(tuner, np.array([target_bp, target_bp]), n_pages, start, **given)
    for name, value in by_definition(one, target_bp, n_pages).items():
        np.testing.assert_array_equal(many[name].values, [value, value], err_msg=name)


@pytest.mark.parametrize(
    ("tuner", "direction", "start", "settled"),
    [("temporal", "in", 2_040_000, 0), ("temporal", "in", 2_040_001, -1), ("consist", "out", 1_960_000, 0),
     ("consist", "out", 1_959_999, -1)],
)  # fmt: skip
def test_the_band_is_two_percent_to_the_page(tuner: str, direction: str, start: int, settled: int) -> None:
    """4 million pages, half of them wanted; beyond the goal nothing moves."""
    many = loop.run_many(tuner, [5_000], 4_000_000, start, direction=direction, early_exit=True, windows=3)
    assert many.final_pages.values.tolist() == [start]
    assert many.settling_window.values.tolist() == [settled]


@pytest.mark.parametrize(("direction", "start", "moves"), [("in", 50, 0), ("in", 49, 1), ("out", 50, 0), ("out", 51, 1)])
def test_the_early_exit_includes_its_target(direction: str, start: int, moves: int) -> None:
    """Half of 100 pages is the goal: a scheme that fills stops from there on, one that empties down from there.

    The score alone would let an emptying scheme go on: it falls as pages leave, so only the exit can stop it.
    """
    one = loop.run(
        "temporal", 5_000, 100, start, direction=direction, early_exit=True, cap_bytes=4096, clamp_bp=10_000, windows=1
    )
    assert int(one.moved[0]) == moves * int(one.esz[0] > 0)
    free = loop.run("consist", 5_000, 100, start, direction=direction, early_exit=True, esz_bp0=4096 * 10**5, windows=1)
    assert int(free.moved[0]) == moves * min(int(free.esz[0]) // 4096, 100 - start if direction == "in" else start)


def test_noise_stays_within_what_a_share_can_be() -> None:
    for start in (0, 100):
        measured = loop.run("temporal", 1, 100, start, noise_bp=5_000.0, windows=60, cap_bytes=1).measured.values
        assert (measured.min(), measured.max()) == (0, 10_000)


def test_the_grid_says_what_varied_and_what_did_not() -> None:
    many = loop.run_many("consist", [1000, 2000], 100, 0, windows=5)
    said = json.loads(many.attrs["parameters"])
    assert (said["target_bp"], said["n_pages"], said["windows"]) == ({"shape": [2]}, 100, 5)
    assert many.target_bp.values.tolist() == [1000, 2000]
    assert "n_pages" not in many


def test_the_tail_is_a_fifth_of_the_windows_and_a_hundred_at_least() -> None:
    windows = np.array([1, 99, 100, 101, 500, 501, 505, 506, 1000])
    assert tail_length(windows).tolist() == [1, 99, 100, 100, 100, 101, 101, 102, 200]


def test_sums_of_pages_over_windows_must_fit_whatever_stands_beside_them() -> None:
    """The largest product counts, not the largest number of pages."""
    pages, windows = np.array([10**12, 10**11]), np.array([1, 10**8])
    with pytest.raises(tm.InputError, match="overflow the page sums"):
        loop.run_many("consist", 5_000, pages, 0, windows=windows)


def test_a_pair_moves_at_most_what_each_node_holds() -> None:
    """Node 0 begins with 90 of 100 pages: 10 are left to fill it with, 90 to empty it of."""
    pair = loop.run_pair("temporal", (10_000, 10_000), (10**6, 10**6), 100, 90, windows=3)
    assert pair.moved.values.tolist()[0] == [10, 90]
    assert pair.pages.values.tolist()[:2] == [90, 10]
