"""Designs: grids, zipped columns and space-filling sets over scenario paths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import MIB, pull, push, scenario

import tieringmodel as tm
from tieringmodel.scenario.paths import read_path, with_paths
from tieringmodel.sweeps.store import blocks, boxes

SC = scenario(pull(), push())
QUOTA = "contexts.0.schemes.0.quota.sz_bytes"
TARGET = "contexts.0.schemes.0.quota.goals.0.target_value"
LEAST, MOST = "contexts.0.attrs.min_nr_regions", "contexts.0.attrs.max_nr_regions"


def test_a_grid_is_every_combination_and_the_last_axis_varies_fastest() -> None:
    design = tm.Design.grid({QUOTA: ["1 MiB", "2 MiB"], "contexts[0].attrs.max_nr_regions": [50, 60, 70], "seed": range(2)})
    assert design.dims == (QUOTA, MOST, "seed")
    assert design.shape == (2, 3, 2)
    assert [design.at(k) for k in (0, 1, 2, 11)] == [
        {QUOTA: "1 MiB", MOST: 50, "seed": 0},
        {QUOTA: "1 MiB", MOST: 50, "seed": 1},
        {QUOTA: "1 MiB", MOST: 60, "seed": 0},
        {QUOTA: "2 MiB", MOST: 70, "seed": 1},
    ]


def test_coordinates_are_what_the_scenario_holds() -> None:
    design = tm.Design.grid({
        QUOTA: ["1 MiB", "0x400"], "contexts.0.schemes.0.quota.goal_tuner": ["consist", "temporal"],
        "contexts.0.schemes.0.enabled": [True, False], "workload.groups.0.rate_hz": [1, 2.5],
        "contexts.0.schemes.1.quota.weights": [{"age": 3}, tm.Weights()], "machine.nodes.0.sz_bytes": np.array([16, 32]) * MIB,
        "contexts.0.schemes.0.quota.goals.0.nid": [0], "contexts.0.attrs.aggr_us": ["0.1 s"],
        "contexts.0.rng_seed": [2**64 - 1, 1], "seed": [2**64 - 1],
    })  # fmt: skip
    found = {p: values.tolist() for p, (_, values) in design.checked(SC).coordinates().items()}
    assert [*found.values()] == [
        [MIB, 1024], ["consist", "temporal"], [True, False], [1.0, 2.5], ['{"age": 3}', "{}"], [16 * MIB, 32 * MIB],
        [0], [100_000], [2**64 - 1, 1], [2**64 - 1],
    ]  # fmt: skip
    assert design.checked(SC).coordinates()["contexts.0.rng_seed"][1].dtype == np.uint64


def test_columns_change_together_even_where_one_alone_would_be_refused() -> None:
    zipped = tm.Design.zip({LEAST: [10, 2000], MOST: [100, 4000]})
    assert zipped.shape == (2,)
    assert {p: v.tolist() for p, (_, v) in zipped.checked(SC).coordinates().items()} == {LEAST: [10, 2000], MOST: [100, 4000]}
    same = tm.Design.grid({(LEAST, MOST): [(10, 100), (2000, 4000)], "seed": [1, 2]})
    assert same == zipped * tm.Design.grid({"seed": [1, 2]})
    two = tm.Design.grid({(LEAST, MOST): [(10, 100)], (QUOTA, TARGET): [(1, 2)]})
    assert two.dims == ("zip", "zip_1")


@pytest.mark.parametrize("kind", ["latin_hypercube", "sobol"])
def test_space_filling_designs_put_one_point_into_every_stratum(kind: str) -> None:
    ranges = {QUOTA: ("1 MiB", "64 MiB", "log"), "workload.groups.0.rate_hz": (1.0, 9.0), TARGET: (1, 10_000)}
    design = getattr(tm.Design, kind)(ranges, 32, seed=7)
    assert design.shape == (32,)
    columns = design.axes[0].columns
    assert all(isinstance(v, int) for v in columns[QUOTA] + columns[TARGET])
    unit = {
        QUOTA: np.log(np.array(columns[QUOTA]) / MIB) / np.log(64),
        "workload.groups.0.rate_hz": (np.array(columns["workload.groups.0.rate_hz"]) - 1) / 8,
        TARGET: (np.array(columns[TARGET]) - 0.5) / 10_000,
    }
    for path, u in unit.items():  # integers are rounded; 1e-4 bp of a stratum is 1/10000 of the range
        strata = np.floor(u * 32).astype(int)
        assert sorted(strata) == [*range(32)] or np.abs(np.sort(u) - (np.arange(32) + 0.5) / 32).max() < 0.5 / 32 + 1e-4, path
    assert design == getattr(tm.Design, kind)(ranges, 32, seed=7)
    assert design != getattr(tm.Design, kind)(ranges, 32, seed=8)


@given(low=st.integers(-50, 1000), width=st.integers(1, 1000), log=st.booleans(), seed=st.integers(0, 99))
def test_integer_ranges_stay_inside_and_reach_both_ends(low: int, width: int, log: bool, seed: int) -> None:
    low = max(low, 1) if log else low
    span: tuple[Any, ...] = (low, low + width, "log") if log else (low, low + width)
    values = tm.Design.latin_hypercube({"a.b": span}, 64, seed=seed).axes[0].columns["a.b"]
    assert all(low <= v <= low + width for v in values)
    if width <= 15 and not log:  # each of 16 values holds at least 4 of 64 strata
        assert {*values} == {*range(low, low + width + 1)}


def test_choices_are_drawn_evenly() -> None:
    values = tm.Design.latin_hypercube({"x": ["a", "b", "c", "d"]}, 64).axes[0].columns["x"]
    assert {v: values.count(v) for v in "abcd"} == dict.fromkeys("abcd", 16)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: tm.Design.grid({}), "design: has no axis"),
        (lambda: tm.Design.grid({QUOTA: "1 MiB"}), "'1 MiB' is not a list of values"),
        (lambda: tm.Design.grid({QUOTA: []}), "has no values"),
        (lambda: tm.Design.grid({QUOTA: [1]}) * tm.Design.zip({QUOTA: [2]}), "is changed by two axes"),
        (lambda: tm.Design.grid({"contexts.0": [1], QUOTA: [1]}), "is changed by two axes (contexts.0)"),
        (lambda: tm.Design.grid({"a": range(2000), "b": range(2000)}), "has 4000000 points"),
        (lambda: tm.Design.zip({"a": [1], "b": [1, 2]}), "a: 1, b: 2"),
        (lambda: tm.Design.zip({"a": [1]}, name="time"), "time: cannot be this axis's name"),
        (lambda: tm.Design.grid({("a", "b"): [(1, 2), (3,)]}), "give 2 values each"),
        (lambda: tm.Design.grid({7: [1]}), "7 is not a path"),
        (lambda: tm.Design.sobol({"a": (0, 1)}, 100), "write 64 or 128"),
        (lambda: tm.Design.sobol({}, 4), "ranges: is empty"),
        (lambda: tm.Design.latin_hypercube({"a": (0, 1)}, 0), "n: 0 is outside 1..1000000"),
        (lambda: tm.Design.latin_hypercube({"a": (2, 1)}, 4), "smaller"),
        (lambda: tm.Design.latin_hypercube({"a": (0, 1, "log")}, 4), "above 0"),
        (lambda: tm.Design.latin_hypercube({"a": (0, 1, "lin")}, 4), "is not a range"),
        (lambda: tm.Design.latin_hypercube({"a": ("x", "y")}, 4), "is not a range"),
        (lambda: tm.Design.latin_hypercube({"x_bytes": ("1 lot", "2 lots")}, 4), "x_bytes: '1 lot' is not understood"),
    ],
)
def test_impossible_designs_are_refused(make: Any, expected: str) -> None:
    with pytest.raises(tm.InputError) as caught:
        make()
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("design", "expected"),
    [
        ({"contexts.0.schemes.0.quota.size": [1]}, "contexts[0].schemes[0].quota.size: is not a known key"),
        ({"contexts.0.schemes.2.enabled": [True]}, "contexts[0].schemes[2]: is not a position in a list of 2; write 0..1"),
        ({"contexts.x.ops": ["paddr"]}, "contexts[x]: is not a position"),
        ({QUOTA + ".deep": [1]}, "quota.sz_bytes.deep: is not a known key; the path ends before it"),
        ({"sneed": range(2)}, "sneed: is not a known key"),
        ({QUOTA: ["1 MiB", "2 Mob"]}, "contexts[0].schemes[0].quota.sz_bytes: '2 Mob' is not understood"),
        ({TARGET: [4000, 40_000]}, "goals[0].target_value: 40000 bp is over 10000; did you mean 4000?"),
        ({QUOTA: ["1 MiB", MIB]}, "has the same value twice"),
        ({"seed": [1, -1]}, "seed: -1 is below 0"),
        ({"seed": [1, True]}, "seed: True is not a whole number"),
    ],
)
def test_a_value_that_no_point_accepts_stops_the_sweep_before_it_begins(design: dict[str, Any], expected: str) -> None:
    with pytest.raises(tm.InputError) as caught:
        tm.sweep(SC, design, duration="1 s")
    assert expected in str(caught.value)


def test_paths_lead_to_what_was_put_there() -> None:
    changes = {QUOTA: "3 MiB", TARGET: 1200, MOST: 77, "machine.migrate_ns_per_page": 5, "contexts.0.schemes.1": pull(1234)}
    changed = with_paths(SC, changes)
    assert [read_path(changed, p) for p in changes] == [3 * MIB, 1200, 77, 5, pull(1234)]
    back = with_paths(changed, {p: read_path(SC, p) for p in changes})
    assert back == SC


@given(shape=st.lists(st.integers(1, 9), min_size=1, max_size=4), most=st.integers(1, 100), data=st.data())
def test_boxes_hold_their_points_and_are_never_too_large(shape: list[int], most: int, data: st.DataObject) -> None:
    block = blocks(shape, most)
    assert np.prod(block) <= most
    points = data.draw(st.lists(st.tuples(*(st.integers(0, n - 1) for n in shape)), min_size=1, max_size=5))
    found = boxes(points, block)
    held = np.zeros(shape, int)
    for box in found:
        held[box] += 1
    assert held.max() == 1
    assert all(held[p] == 1 for p in points)
    assert len(found) <= len(points)
