"""Complementary schemes: what theory says about TEMPORAL, and that the map repeats single runs."""

from __future__ import annotations

import numpy as np
import pytest

from tieringmodel import InputError, loop
from tieringmodel.studies.pull_push_map import TUNERS, pair_map
from tieringmodel.theory import closed_forms


@pytest.fixture(scope="module")
def ds():
    return pair_map(cells=(9, 6), delays=(0, 2))


def test_temporal_always_rests_where_the_gap_holds_its_quotas(ds):
    wide = ds["gap_bp"].values[None, None, :] >= (
        (ds["delay_windows"].values + 1)[:, None, None] * ds["cap_bp"].values[None, :, None]
    )
    assert wide.sum() > 40
    temporal = list(ds["tuner"].values).index("temporal")
    assert ds["rests"].values[temporal][wide].all()
    assert (ds["residual_bp"].values[temporal][wide] == 0).all()


def test_goals_that_exclude_each_other_swap_two_quotas(ds):
    # Without delay, and with a quota that does not cross the overlap in one window (docs/theory/stability.md, section 3f).
    for j, gap in enumerate(ds["gap_bp"].values):
        for i, cap in enumerate(ds["cap_bp"].values):
            if gap < 0 and cap < -gap / 2:
                pages = round(cap * 100)
                goals = (6000 - int(gap) // 2, 4000 - int(gap) + int(gap) // 2)
                wanted = closed_forms.push_pull(goals, (pages, pages)).residual_pages_per_window
                assert ds["residual_bp"].values[0, 0, i, j] == pytest.approx(wanted / 100, rel=1e-12)
    assert not ds["rests"].values[..., ds["gap_bp"].values < 0].any()


def test_a_cell_is_the_worst_of_its_runs(ds):
    t, d, i, j = TUNERS.index("consist"), 1, 4, 3
    gap, cap = int(ds["gap_bp"][j]), round(float(ds["cap_bp"][i]) * 100)
    goals = (6000 - gap // 2, 10_000 - gap - (6000 - gap // 2))
    moved, beyond = [], []
    for start in (0, 930_000):
        run = loop.run_pair("consist", goals, (cap * 4096,) * 2, 1_000_000, start, delay=2, windows=3000)
        pages = run["pages"].values[-600:] / 100
        moved.append(run["moved"].values[-600:].sum() / 600 / 100)
        low, high = sorted((goals[0], 10_000 - goals[1]))
        beyond.append(max(0.0, low - pages.min(), pages.max() - high))
    assert float(ds["residual_bp"][t, d, i, j]) == pytest.approx(max(moved), rel=1e-12)
    assert float(ds["error_bp"][t, d, i, j]) == pytest.approx(max(beyond), abs=1e-9)


def test_the_goals_leave_the_gap(ds):
    assert np.diff(ds["gap_bp"].values).min() > 0
    assert ds["boundary_x"].values[1] == pytest.approx(3 * ds["cap_bp"].values)


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"cells": (1, 5)}, "cells"),
        ({"gap_bp": (100, -100)}, "gap_bp"),
        ({"gap_bp": (0, 9000), "middle_bp": 9000}, "gap_bp"),
        ({"cap_bp": (0.0, 5.0)}, "cap_bp"),
        ({"delays": ()}, "cap_bp"),
    ],
)
def test_bad_input_is_refused_by_name(options, where):
    with pytest.raises(InputError) as caught:
        pair_map(**options)
    assert caught.value.where == where
