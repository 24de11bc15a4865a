"""Two schemes on the same pages."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieringmodel import loop
from tieringmodel.errors import InputError

M = 1_000_000
PAGE = 4096
ULONG_MAX = 2**64 - 1


def reference(tuner, targets, caps, n_pages, start, delay, windows):
    """Return (pages, moves, quotas), each window from the state at its start."""
    pages, moves, quotas, state = [start], [], [], [0, 0]
    for k in range(windows):
        seen, n = pages[max(0, k - delay)], pages[k]
        moved, esz = [0, 0], [0, 0]
        for s in range(2):
            share = (seen if s == 0 else n_pages - seen) * 10_000 // n_pages
            score = share * 10_000 // targets[s]
            if tuner == "temporal":
                cap = caps[s]
                whole = cap is not None and cap <= ULONG_MAX // 10_000
                state[s] = 0 if score >= 10_000 else cap * 10_000 if whole else ULONG_MAX
            else:
                last = max(state[s], 10_000)
                d = abs(score - 10_000)
                if score >= 20_000:
                    state[s] = 10_000
                elif d:
                    comp = last * d // 10_000 if last < ULONG_MAX // d else (last // 10_000) * d
                    state[s] = min(last + comp, ULONG_MAX) if score < 10_000 else max(last - comp, 10_000)
                else:
                    state[s] = last
            esz[s] = state[s] // 10_000 if caps[s] is None else min(state[s] // 10_000, caps[s])
            moved[s] = min(esz[s] // PAGE, n_pages - n if s == 0 else n)
        pages.append(n + moved[0] - moved[1])
        moves.append(moved)
        quotas.append(esz)
    return pages, moves, quotas


@settings(max_examples=150)
@given(
    tuner=st.sampled_from(["consist", "temporal"]),
    targets=st.tuples(st.integers(1, 10_000), st.integers(1, 10_000)),
    caps=st.tuples(*[st.none() | st.integers(1, 10**9) | st.integers(1, ULONG_MAX)] * 2),
    n_pages=st.integers(1, 10**6),
    share=st.floats(0, 1),
    delay=st.integers(0, 5),
    windows=st.integers(1, 120),
)
def test_every_window_equals_the_literal_pair(tuner, targets, caps, n_pages, share, delay, windows):
    start = int(share * n_pages)
    pages, moves, quotas = reference(tuner, targets, caps, n_pages, start, delay, windows)
    ds = loop.run_pair(tuner, targets, caps, n_pages, start, delay=delay, windows=windows)
    assert ds.pages.values.tolist() == pages[:-1]
    assert int(ds.final_pages) == pages[-1]
    assert ds.moved.values.tolist() == moves
    assert ds.esz.values.tolist() == quotas
    assert 0 <= min(pages)
    assert max(pages) <= n_pages


def test_goals_that_do_not_fit_together_swap_for_ever():
    ds = loop.run_pair("temporal", (6000, 5000), (20_000 * PAGE, 10_000 * PAGE), M, 0)
    assert int(ds.moved[-200:].sum()) == 200 * 20_000
    assert 590_000 <= int(ds.pages[-200:].min()) <= int(ds.pages[-200:].max()) <= 600_000


def test_goals_with_a_gap_come_to_rest():
    ds = loop.run_pair("temporal", (5000, 4000), (20_000 * PAGE, 10_000 * PAGE), M, 0)
    assert int(ds.final_pages) == 500_000
    assert int(ds.moved[25:].sum()) == 0


def test_consist_on_its_ray_grows_by_two_minus_one_over_the_sum():
    # x = goal 0 / sum, so both scores are 1 / sum: 5000 of 5000 + 6000.
    n_pages = 11_000_000
    ds = loop.run_pair("consist", (5500, 6600), (None, None), n_pages, 5_000_000, windows=60)
    esz = ds.esz.values.astype(float)
    growth = esz[45:55] / esz[44:54]
    score = 5_000_000 * 10_000 // n_pages * 10_000 // 5500
    np.testing.assert_allclose(growth, 2 - score / 10_000, rtol=1e-3)  # the floored bp differ by scheme
    assert float(np.abs(np.diff(ds.pages.values[:40])).max()) == 0


def test_dataset_and_errors():
    ds = loop.run_pair("temporal", (5000, 4000), (None, 4096), 100, 0, windows=3)
    assert ds.attrs["kind"] == "loop_pair"
    assert ds.moved.dims == ds.esz.dims == ("window", "scheme")
    assert ds.esz.dtype == np.uint64
    assert [ds.moved.sel(scheme=k).values.tolist() for k in (0, 1)] == [[100, 0, 0], [0, 1, 1]]
    assert ds.target_node.values.tolist() == [0, 1]
    assert loop.run_pair(**json.loads(ds.attrs["parameters"])).identical(ds)
    with pytest.raises(InputError, match=r"targets_bp: .*not a pair"):
        loop.run_pair("temporal", (5000,), (None, None), 100, 0)
    with pytest.raises(InputError, match=r"targets_bp\[1\]: 0 is outside 1\.\.10000"):
        loop.run_pair("temporal", (5000, 0), (None, None), 100, 0)
    with pytest.raises(InputError, match=r"caps_bytes\[0\]: 0 is below 1"):
        loop.run_pair("temporal", (5000, 4000), (0, None), 100, 0)
    with pytest.raises(InputError, match=r"start_pages: 101 is more than n_pages 100"):
        loop.run_pair("temporal", (5000, 4000), (None, None), 100, 101)
