"""Refused input: one sentence with the argument, the value and the remedy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tieringmodel import loop
from tieringmodel.errors import InputError

GOOD = {"tuner": "temporal", "target_bp": 4000, "n_pages": 1000, "start_pages": 0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tuner": "pid"}, r"tuner: 'pid' is not known; use one of consist, temporal"),
        ({"direction": "up"}, r"direction: 'up' is not known"),
        ({"target_bp": 0}, r"target_bp: 0 is outside 1\.\.10000"),
        ({"target_bp": 50_000}, r"target_bp: 50000 is outside"),
        ({"target_bp": 0.4}, r"target_bp: 0\.4 is not a whole number"),
        ({"target_bp": True}, r"target_bp: True is not a whole number"),
        ({"target_bp": "4000"}, r"target_bp: '4000' is not a whole number"),
        ({"n_pages": 0}, r"n_pages: 0 is outside"),
        ({"n_pages": 2**42 + 1}, r"n_pages: \d+ is outside"),
        ({"start_pages": 1001}, r"start_pages: 1001 is more than n_pages 1000"),
        ({"start_pages": -1}, r"start_pages: -1 is outside"),
        ({"cap_bytes": 0}, r"cap_bytes: 0 is below 1.*None for no cap"),
        ({"cap_bytes": 2**64}, r"cap_bytes: \d+ is outside"),
        ({"delay": -1}, r"delay: -1 is outside"),
        ({"leak_pages": -1}, r"leak_pages: -1 is outside"),
        ({"leak_rate": 1.5}, r"leak_rate: 1\.5 is outside 0\.\.1"),
        ({"leak_rate": float("nan")}, r"leak_rate: nan is not finite"),
        ({"leak_rate": "x"}, r"leak_rate: 'x' is not a number"),
        ({"capacity_pages": 10, "start_pages": 11}, r"start_pages: 11 is more than capacity_pages 10"),
        ({"capacity_pages": 10, "direction": "out"}, r"capacity_pages: .*'out' only empties it"),
        ({"clamp_bp": 0}, r"clamp_bp: 0 is outside"),
        ({"early_exit": 1}, r"early_exit: 1 is not a truth value"),
        ({"noise_bp": -1.0}, r"noise_bp: -1 is outside"),
        ({"noise_bp": float("inf")}, r"noise_bp: inf is not finite"),
        ({"windows": 0}, r"windows: 0 is outside"),
        ({"windows": float("inf")}, r"windows: inf is not a whole number"),
        ({"esz_bp0": 2**64}, r"esz_bp0: \d+ is outside"),
        ({"seed": -1}, r"seed: -1 is below 0"),
    ],
)
def test_refusals_name_the_argument(change, message):
    with pytest.raises(InputError, match=message):
        loop.run(**{**GOOD, **change})


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="run_all"):
        _ = loop.run_all
    assert set(loop.__all__) <= set(dir(loop))


def test_importing_the_rooms_loads_nothing_heavy():
    code = (
        "import sys; from tieringmodel import analysis, loop; "
        "print([m for m in ('numba', 'xarray', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
