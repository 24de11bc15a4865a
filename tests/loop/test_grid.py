"""Grids of loops."""

from __future__ import annotations

import numpy as np
import pytest

from tieringmodel import loop
from tieringmodel.errors import InputError

M = 1_000_000


def test_every_cell_of_a_grid_is_a_run():
    targets, delays, seeds = np.array([1000, 4000, 9000])[:, None, None], np.array([0, 1, 5])[:, None], np.arange(2)
    many = loop.run_many(
        "consist",
        targets,
        M,
        0,
        delay=delays,
        seed=seeds,
        leak_rate=0.03,
        noise_bp=20.0,
        windows=150,
        cap_bytes=np.array(50_000 * 4096),
        esz_bp0=10**9,
    )
    assert many.final_pages.dims == ("grid_0", "grid_1", "grid_2")
    assert many.final_pages.shape == (3, 3, 2)
    assert many.target_bp.dims == many.final_pages.dims
    for i, target in enumerate(targets.ravel()):
        for j, delay in enumerate(delays.ravel()):
            for k, seed in enumerate(seeds):
                one = loop.run(
                    "consist",
                    target,
                    M,
                    0,
                    delay=delay,
                    seed=seed,
                    leak_rate=0.03,
                    noise_bp=20.0,
                    windows=150,
                    cap_bytes=50_000 * 4096,
                    esz_bp0=10**9,
                )
                cell = many.isel(grid_0=i, grid_1=j, grid_2=k)
                assert int(cell.final_pages) == int(one.final_pages)
                assert float(cell.tail_moved_pages) == float(one.moved[-100:].mean())


def test_limits_inside_arrays_have_numbers_for_none():
    many = loop.run_many(
        "temporal",
        4000,
        M,
        0,
        cap_bytes=np.array([2**64 - 1, 4096 * 10_000], np.uint64),
        capacity_pages=np.array([M, 300_000]),
        clamp_bp=np.array([10_000, 2000]),
    )
    bare = loop.run("temporal", 4000, M, 0)
    limited = loop.run("temporal", 4000, M, 0, cap_bytes=4096 * 10_000, capacity_pages=300_000, clamp_bp=2000)
    assert many.final_pages.values.tolist() == [int(bare.final_pages), int(limited.final_pages)] == [M, 200_000]


def test_windows_may_differ():
    many = loop.run_many("temporal", 10_000, 1000, 0, cap_bytes=4096, windows=[1, 5, 300])
    assert many.final_pages.values.tolist() == [1, 5, 300]
    assert many.tail_moved_pages.values.tolist() == [1.0, 1.0, 1.0]
    assert many.settling_window.values.tolist() == [-1, -1, -1]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"target": 1}, r"target: is not an argument of a loop; use one of target_bp"),
        ({"target_bp": [4000, 0]}, r"target_bp: 0 is outside 1\.\.10000"),
        ({"target_bp": [4000.5]}, r"target_bp: .*4000\.5.* is not a whole number"),
        ({"target_bp": [True, False]}, r"target_bp: .*True_? is not a whole number"),
        ({"target_bp": []}, r"target_bp: is an empty array"),
        ({"leak_rate": [0.5, np.nan]}, r"leak_rate: .*nan.* is not finite"),
        ({"early_exit": [0, 1]}, r"early_exit: .*not a truth value"),
        ({"delay": [0, 1], "seed": [0, 1, 2]}, r"shapes do not broadcast \(delay \(2,\), seed \(3,\)\)"),
        ({"start_pages": [0, 10**7]}, r"start_pages: 10000000 is more than n_pages 1000000"),
        ({"start_pages": [0, 500_000], "capacity_pages": 400_000}, r"more than capacity_pages 400000"),
        ({"direction": "out", "capacity_pages": [5]}, r"capacity_pages: .*only empties it"),
        ({"n_pages": 2**42, "windows": 2**22}, r"windows: .*overflow"),
    ],
)
def test_refusals_name_the_argument(kwargs, message):
    with pytest.raises(InputError, match=message):
        loop.run_many("temporal", **{"target_bp": 4000, "n_pages": M, "start_pages": 0, **kwargs})


def test_a_missing_size_is_named():
    with pytest.raises(InputError, match=r"n_pages: is missing"):
        loop.run_many("temporal", 4000)
