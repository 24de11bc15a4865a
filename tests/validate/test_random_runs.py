"""Whole random runs, with commits, processes, changing mappings and watermarks: the engine and the literal reference agree."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_runs import KERNELS, random_run, wild_run
from reference_run import play

from tieringmodel.errors import InputError
from tieringmodel.validate.golden import e2e

RUNS = int(os.environ.get("TIERINGMODEL_RANDOM_RUNS", "12"))
"""How many for each kernel; `.ci/full random` asks for more."""
RESULTS = {
    "aggregations": 0, "rng_count": 0, "rng_crc32": 0, "owner_initial_crc32": 0, "owner_final_crc32": 0, "values": 0,
    "rng_initial_state": [], "rng_raw_complete": False,
}  # fmt: skip
"""Keys of a recorded run that say what came out."""


def differences(run: dict[str, Any]) -> list[str]:
    expected = dict(play(run))
    try:
        _, trace = e2e.replay(RESULTS | run)
    except InputError as error:
        return [] if "this kernel divides by it" in error.what else [str(error)]  # undefined in Linux, refused by name
    return [text for _, text in e2e._differences(trace, expected, f"{run['kernel']} {run['name']}") if text]


@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=RUNS, deadline=None, derandomize="TIERINGMODEL_RANDOM_RUNS" not in os.environ)  # the suite: the same
@given(seed=st.integers(0, 2**32))
def test_a_random_run_is_what_the_reference_makes_of_it(kernel: str, seed: int) -> None:
    assert differences((wild_run if seed % 3 == 0 else random_run)(seed, kernel)) == []


@pytest.mark.parametrize(("kernel", "seed"), [("7.3.4", 452353), ("7.2.12", 7304), ("6.18", 321)])
def test_pages_come_back_after_commits_and_to_nobody_asleep(kernel: str, seed: int) -> None:
    """A commit between aggregations moves when a scheme is due, and thereby whether pages that are out come back."""
    assert differences(random_run(seed, kernel)) == []


@pytest.mark.parametrize(
    ("kernel", "seed"),
    [("6.12.117", 900002359), ("6.12.117", 900003263), ("7.2.12", 900002717), ("7.2.12", 900002893), ("6.18", 900004398)],
)
def test_fed_values_that_two_commits_meet_and_walks_that_start_anew_in_each_mapping(kernel: str, seed: int) -> None:
    """Committed together or asleep, a goal keeps the value that its users fed; a walk enters a mapping at its start."""
    assert differences(random_run(seed, kernel)) == []


def test_a_difference_is_seen() -> None:
    """A rule that only one of them follows: else the test above would hold nothing."""
    run = next(r for r in map(random_run, range(200)) if r["commits"] and not r["clocked"])
    changed = run | {"commits": []}
    expected = dict(play(changed))
    _, trace = e2e.replay(RESULTS | run)
    assert any(text for _, text in e2e._differences(trace, expected, ""))
    assert all(isinstance(column, np.ndarray) for column in expected.values())
