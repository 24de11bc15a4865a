"""Formulas against rounds. Statistical limits are five standard deviations, worked out beside each."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieringmodel.errors import InputError
from tieringmodel.interleave import closed_forms as forms
from tieringmodel.interleave import ping_pong, run

ANY_WEIGHTS = [(40, 60), (2, 3), (1, 9), (1, 2, 3), (5, 0, 3, 2)]


@pytest.mark.parametrize("weights", ANY_WEIGHTS)
def test_iid_rate_occupancy_and_ping_pong(weights):
    n, rounds = 20_000, 60
    ds = run("iid", weights, n, rounds, seed=11)
    m, p = forms.moved_fraction(weights), forms.shares(weights)
    rho = forms.moved_autocorrelation(weights)
    steady = ds.moved.values[2:] / n
    spread = math.sqrt(m * (1 - m) / n / steady.size * (1 + 2 * abs(rho)))
    assert steady.mean() == pytest.approx(m, abs=5 * spread)
    mean = ds.occupancy.values[1:].mean(axis=0) / n
    assert np.all(np.abs(mean - p) <= 5 * np.sqrt(p * (1 - p) / n / rounds))
    for within in (1, 2, 5):
        # Moves of one page share rounds: at most `within` + 1 neighbours are dependent.
        moves = steady.sum() * n / (within + 1)
        expected = forms.ping_pong_probability(weights, within)
        assert ping_pong(ds, within) == pytest.approx(expected, abs=5 * math.sqrt(expected * (1 - expected) / moves))


def test_iid_two_node_values():
    assert forms.moved_fraction((40, 60)) == pytest.approx(0.48)
    assert forms.moved_autocorrelation((40, 60)) == pytest.approx(0.04 / 1.04)
    assert forms.occupancy_std_bp((40, 60), 50_000) == pytest.approx(21.9089, abs=1e-4)
    for weights in [(1, 99), (40, 60), (7, 3)]:
        assert forms.ping_pong_probability(weights, 1) == pytest.approx(0.5)
    assert [forms.ping_pong_probability((40, 60), k) for k in (2, 3, 10)] == pytest.approx([0.74, 0.86, 0.99692], abs=1e-5)
    assert forms.band_exit_probability((40, 60), 100_000) == pytest.approx(2.4e-7, rel=0.05)
    assert forms.band_exit_probability((40, 60), 1000) == pytest.approx(0.61, abs=0.005)


@pytest.mark.parametrize("weights", [(40, 60), (1, 9), (1, 2, 3)])
def test_iid_autocorrelation(weights):
    """5000 rounds: the estimate's standard deviation is below 1.1 / sqrt(5000) = 0.016 for these weights."""
    moved = run("iid", weights, 2000, 5001, seed=3).moved.values[2:]
    for lag, expected in ((1, forms.moved_autocorrelation(weights)), (2, 0.0)):
        assert np.corrcoef(moved[lag:], moved[:-lag])[0, 1] == pytest.approx(expected, abs=0.08)


@pytest.mark.parametrize(("weights", "start"), [((40, 60), 0), ((40, 60), 1), ((1, 2, 3), 2)])
def test_quota_decay(weights, start):
    n, q = 100_000, 0.05
    ds = run("iid", weights, n, 120, start_node=start, share_per_round=q, seed=4)
    expected = forms.expected_shares(weights, 120, start, q)
    assert np.array_equal(expected[0], np.eye(len(weights))[start])
    assert np.abs(ds.occupancy.values / n - expected).max() <= 5 * 0.5 / math.sqrt(n)
    # 20 rounds in equilibrium; neighbouring rounds deal different pages.
    rate = forms.moved_fraction(weights, q)
    assert ds.moved.values[-20:].mean() / n == pytest.approx(rate, abs=5 * math.sqrt(rate / n / 20) + 0.003 * q)


def test_ping_pong_under_a_quota():
    weights, q, n = (40, 60), 0.1, 50_000
    ds = run("iid", weights, n, 200, share_per_round=q, seed=6)
    expected = forms.ping_pong_probability(weights, 10, q)
    moves = n * 140 * forms.moved_fraction(weights, q) / 3
    assert ping_pong(ds, 10, skip=50) == pytest.approx(expected, abs=5 * math.sqrt(expected * (1 - expected) / moves))


@pytest.mark.parametrize(("weights", "rest"), [((40, 60), 5), ((1, 9), 3), ((1, 2, 3), 2), ((40, 60), 0)])
def test_refractory_rate_and_bias(weights, rest):
    n = 50_000
    ds = run("iid", weights, n, 200, refractory=rest, seed=9)
    tail = slice(60, None)  # the common start has decayed: cycles of R + 1/p rounds have dephased
    # 140 rounds hold at least 140 / (R + 10) independent visits per page.
    visits = n * 140 / (rest + 10)
    assert ds.moved.values[tail].mean() / n == pytest.approx(
        forms.refractory_moved_fraction(weights, rest), abs=5 * 0.5 / math.sqrt(visits)
    )
    mean = ds.occupancy.values[tail].mean(axis=0) / n
    assert np.abs(mean - forms.refractory_shares(weights, rest)).max() <= 5 * 0.5 / math.sqrt(visits)


def test_refractory_values():
    assert forms.refractory_moved_fraction((40, 60), 5) == pytest.approx(0.141176, abs=1e-6)
    assert forms.refractory_shares((40, 60), 5)[0] == pytest.approx(0.4706, abs=5e-5)
    assert forms.refractory_shares((40, 60), 10**6) == pytest.approx([0.5, 0.5], abs=1e-5)


@pytest.mark.parametrize(
    ("weights", "start"), [((2, 3), 0), ((2, 3), 1), ((1, 1), 0), ((40, 60), 0), ((1, 2, 3), 0), ((3, 0, 2), 1)]
)
def test_pfn_mod_absorption(weights, start):
    """Fresh frames: deterministic up to the frames at the ends of each round's run, at most W per node and round."""
    n, rounds = 100_000, 60
    ds = run("pfn_mod", weights, n, rounds, start_node=start)
    slack = rounds * sum(weights) * len(weights) / n
    assert ds.moved.values[-1] == 0
    assert ds.occupancy.values[-1] / n == pytest.approx(forms.pfn_mod_shares(weights, start), abs=slack)
    assert ds.moved.values.sum() / n == pytest.approx(forms.pfn_mod_moves_per_page(weights, start), abs=slack)
    expected = forms.pfn_mod_moved(weights, rounds, start)
    assert ds.moved.values / n == pytest.approx(expected, abs=slack / 6)
    assert expected.sum() == pytest.approx(forms.pfn_mod_moves_per_page(weights, start))


def test_pfn_mod_values():
    p0, p1 = 0.4, 0.6
    assert forms.pfn_mod_shares((40, 60))[0] == pytest.approx(p0 / (1 - p0 * p1))
    assert forms.pfn_mod_shares((40, 60), 1)[0] == pytest.approx(p0 * p0 / (1 - p0 * p1))
    assert forms.pfn_mod_moves_per_page((40, 60)) == pytest.approx(p1 * (1 + p0) / (1 - p0 * p1))
    assert forms.pfn_mod_moves_per_page((40, 60), 1) == pytest.approx(p0 * (1 + p1) / (1 - p0 * p1))
    assert forms.pfn_mod_moved((40, 60), 5) == pytest.approx([0, 0.6, 0.24, 0.144, 0.0576, 0.03456])
    assert forms.pfn_mod_shares((0, 7), 0) == pytest.approx([0, 1])
    assert forms.pfn_mod_shares((0, 7), 1) == pytest.approx([0, 1])
    assert forms.pfn_mod_moves_per_page((0, 7), 0) == 1.0
    assert forms.pfn_mod_moves_per_page((0, 7), 1) == 0.0


@pytest.mark.parametrize(("weights", "start"), [((2, 3), 0), ((2, 3), 1), ((1, 4), 0), ((3, 2), 0)])
def test_pfn_mod_lifo_cycle(weights, start):
    n = 10_000
    ds = run("pfn_mod", weights, n, 41, allocator="lifo", start_node=start)
    moved, odd, even = forms.pfn_mod_lifo_cycle(weights, start)
    slack = sum(weights) / n
    share = ds.occupancy.values[:, start] / n
    assert ds.moved.values[2:] / n == pytest.approx(moved, abs=slack)
    assert share[1::2] == pytest.approx(odd, abs=slack)
    assert share[2::2] == pytest.approx(even, abs=slack)


@pytest.mark.parametrize(
    ("frames", "n_pages", "residual"),
    [((10_000, 5000), 8000, 1000), ((20_000, 10_000), 15_000, 1000), ((5000, 5000), 4000, 0)],
)
def test_pfn_mod_needs_enough_good_frames(frames, n_pages, residual):
    assert forms.pfn_mod_unsettled_pages((2, 3), frames, n_pages) == residual
    for allocator in ("random", "fifo"):
        ds = run("pfn_mod", (2, 3), n_pages, 800, allocator=allocator, frames=frames, seed=1)
        assert (ds.moved.values[-20:] == residual).all()


@given(st.integers(1, 50), st.integers(1, 50), st.integers(2, 300))
def test_first_rule(w0, w1, n_pages):
    moved = run("first", (w0, w1), n_pages, 5).moved.values
    assert (moved[2:] == forms.first_moved_pages((w0, w1), n_pages)).all()


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=4).filter(any),
    st.integers(1, 400),
    st.integers(0, 10**12),
    st.integers(1, 200),
)
def test_vma_offset_counts_exactly(weights, n_pages, vma_start, stride):
    ds = run("vma_offset", weights, n_pages, 1, vma_start=vma_start, stride=stride)
    counts = forms.vma_offset_pages(weights, n_pages, vma_start, stride)
    assert ds.occupancy.values[1].tolist() == counts
    if stride == 1:
        error = np.abs(np.array(counts) - forms.shares(weights) * n_pages).max()
        assert error <= forms.vma_offset_worst_error(weights) + 1e-9


@pytest.mark.parametrize(("weights", "worst"), [((2, 3), 1.2), ((40, 60), 24.0)])
def test_vma_offset_bound_is_reached(weights, worst):
    assert forms.vma_offset_worst_error(weights) == pytest.approx(worst)
    errors = [
        abs(forms.vma_offset_pages(weights, n, start)[0] - 0.4 * n)
        for start in range(sum(weights))
        for n in range(1, sum(weights))
    ]
    assert max(errors) == pytest.approx(worst)


def test_errors_name_their_argument():
    for call, where in [
        (lambda: forms.moved_autocorrelation((0, 5)), "weights"),
        (lambda: forms.pfn_mod_lifo_cycle((1, 1, 1)), "weights"),
        (lambda: forms.ping_pong_probability((1, 1), 0), "within"),
        (lambda: forms.expected_shares((1, 1), 5, 2), "start_node"),
        (lambda: forms.expected_shares((1, 1), 5, 0, 1.5), "share_per_round"),
        (lambda: forms.pfn_mod_unsettled_pages((1, 1), (5,), 3), "frames"),
        (lambda: forms.band_exit_probability((1, 1), 10, -1.0), "band"),
    ]:
        with pytest.raises(InputError, match=f"^{where}"):
            call()
