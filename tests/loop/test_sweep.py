"""Sweeps of the loop: every point is the run with its arguments."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import tieringmodel as tm

MIB = 1 << 20


def test_every_point_is_a_run() -> None:
    axes = {
        "tuner": ["consist", "temporal"], ("target_bp", "leak_pages"): [(4000, 10), (6000, 200), (9000, 0)],
        "cap_bytes": [MIB, None], "seed": [0, 2**64 - 1], "direction": ["in"],
    }  # fmt: skip
    found = tm.loop.sweep(axes, n_pages=10_000, start_pages=500, noise_bp=20.0, windows=60, delay=1)
    assert dict(found.sizes) == {"tuner": 2, "zip": 3, "cap_bytes": 2, "seed": 2, "direction": 1}
    assert found["cap_bytes"].values.tolist() == [MIB, 2**64 - 1]
    assert found["leak_pages"].dims == ("zip",)
    for at in product(*(range(n) for n in found["final_pages"].shape)):
        tuner, (target, leak) = axes["tuner"][at[0]], axes["target_bp", "leak_pages"][at[1]]  # type: ignore[index]
        one = tm.loop.run(
            tuner, target, 10_000, 500, leak_pages=leak, cap_bytes=[MIB, None][at[2]], seed=[0, 2**64 - 1][at[3]],
            noise_bp=20.0, windows=60, delay=1,
        )  # fmt: skip
        assert found["final_pages"].values[at] == one["final_pages"]
        assert found["moved_pages"].values[at] == one["moved"].sum()
        assert found["final_esz"].values[at] == one["esz"][-1]
    for name in found.variables:
        assert {"units", "long_name"} <= set(found[name].attrs), name


def test_both_directions_of_one_grid() -> None:
    found = tm.loop.sweep({"direction": ["out", "in"], "start_pages": np.arange(0, 1000, 250)}, tuner="temporal",
                          target_bp=5000, n_pages=1000, cap_bytes=40_960, windows=200)  # fmt: skip
    assert found["final_pages"].values[1].min() >= 500
    for k, start in enumerate(range(0, 1000, 250)):
        one = tm.loop.run("temporal", 5000, 1000, start, cap_bytes=40_960, windows=200, direction="out")
        assert found["final_pages"].values[0, k] == one["final_pages"]


@pytest.mark.parametrize(
    ("axes", "fixed", "expected"),
    [
        ({}, {}, "axes: is empty"),
        ({"delay": 3}, {}, "delay: 3 is not a list of values"),
        ({"delay": []}, {}, "delay: [] is not a list"),
        ({"tuner": "consist"}, {}, "'consist' is not a list"),
        ({"tuner": ["consist", "pid"]}, {}, "tuner: 'pid' is not known"),
        ({"delay": [1]}, {"delay": 2}, "delay: is given twice"),
        ({"delay": [1], ("delay", "seed"): [(1, 2)]}, {}, "delay: is given twice"),
        ({("delay", "seed"): [(1, 2), (3,)]}, {}, "give 2 values each"),
        ({"gain": [1]}, {}, "gain: is not an argument of a loop"),
        ({"target_bp": [1, 20_000]}, {}, "target_bp: 20000 is outside 1..10000"),
        ({"delay": [None]}, {}, "delay: None is not a whole number"),
    ],
)
def test_wrong_axes(axes: dict[Any, Any], fixed: dict[str, Any], expected: str) -> None:
    others = {"tuner": "consist", "target_bp": 4000, "n_pages": 1000, "start_pages": 0}
    rest = {k: v for k, v in others.items() if k not in axes} | fixed
    with pytest.raises(tm.InputError) as caught:
        tm.loop.sweep(axes, **rest)
    assert expected in str(caught.value)


def test_a_tuner_is_needed() -> None:
    with pytest.raises(tm.InputError, match="tuner: None is not known"):
        tm.loop.sweep({"delay": [0]}, target_bp=4000, n_pages=1000, start_pages=0)
