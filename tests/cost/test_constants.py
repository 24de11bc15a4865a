"""The table of constants: what it takes, refuses and says."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

import tieringmodel as tm
from tieringmodel.cost import DEFAULT, Cost, Costs


def test_published_defaults() -> None:
    values = {c.name: c.default for c in DEFAULT}
    assert values["copy_4k_us"] == 1.24
    assert values["copy_64k_us"] == 9.8
    assert values["copy_2m_us"] == 190.0
    assert values["frame_walk_ns"] == 40.0
    assert values["ibs_period_ops"] == 262_144
    assert values["hint_scan_bytes"] == 256 << 20
    assert (DEFAULT.rmap_walk_us.low, DEFAULT.rmap_walk_us.default, DEFAULT.rmap_walk_us.high) == (0.04, 0.2, 0.92)
    assert (DEFAULT.cxl_latency_ns.low, DEFAULT.cxl_latency_ns.high) == (140.0, 410.0)


def test_published_copies_are_the_published_rates() -> None:
    """3.31 and 11.02 GB/s, to the digits that are published."""
    assert round(4096 / DEFAULT.copy_4k_us.default * 1e-3, 1) == 3.3
    assert round((2 << 20) / DEFAULT.copy_2m_us.default * 1e-3, 1) == 11.0


def test_every_constant_names_itself_its_unit_and_its_source() -> None:
    for cost in DEFAULT:
        assert getattr(DEFAULT, cost.name) is cost
        assert cost.unit
        assert cost.source
        assert cost.at("low") <= cost.default <= cost.at("high")
        assert cost.assumed or cost.at("low") == cost.at("high") == cost.default


def test_what_has_no_clean_figure_is_said_to_be_assumed() -> None:
    names = {c.name for c in DEFAULT.assumed()}
    assert {"rmap_walk_us", "hint_fault_us", "access_sample_us", "block_test_ns"} <= names
    assert not {"copy_4k_us", "frame_walk_ns", "dram_latency_ns"} & names


def test_replace_leaves_the_rest_and_the_original_alone() -> None:
    made = DEFAULT.replace(rmap_walk_us=0.5, copy_4k_us=Cost("copy_4k_us", 2.0, "us", "mine", 1.0, 3.0, True))
    assert (made.rmap_walk_us.low, made.rmap_walk_us.default, made.rmap_walk_us.high) == (0.5, 0.5, 0.5)
    assert made.copy_4k_us.high == 3.0
    assert made.frame_walk_ns == DEFAULT.frame_walk_ns
    assert DEFAULT.rmap_walk_us.default == 0.2
    assert Costs() == DEFAULT


def test_ends_of_all_ranges() -> None:
    low, high = DEFAULT.at("low"), DEFAULT.at("high")
    assert low.rmap_walk_us.default == 0.04
    assert high.rmap_walk_us.default == 0.92
    assert low.copy_4k_us.default == high.copy_4k_us.default == 1.24


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rmap_walk": 1.0}, "did you mean 'rmap_walk_us'"),
        ({"rmap_walk_us": -1.0}, "is no cost"),
        ({"rmap_walk_us": math.inf}, "not finite"),
        ({"rmap_walk_us": "fast"}, "rmap_walk_us"),
    ],
)
def test_refused_values(change: dict[str, float], message: str) -> None:
    with pytest.raises(tm.InputError, match=message):
        DEFAULT.replace(**change)


def test_a_default_outside_its_range_is_refused() -> None:
    with pytest.raises(tm.InputError, match=r"outside its range 2\.\.3"):
        Cost("x", 1.0, "us", "mine", 2.0, 3.0)
    with pytest.raises(tm.InputError, match="estimate"):
        DEFAULT.rmap_walk_us.at("middle")
    with pytest.raises(tm.InputError, match="is no Cost"):
        Costs(rmap_walk_us=0.2)  # type: ignore[arg-type]


def test_importing_costs_is_cheap() -> None:
    code = "import sys, tieringmodel as tm; tm.cost.DEFAULT; print({'numba', 'xarray', 'scipy'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
