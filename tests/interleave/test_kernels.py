"""The kernels a full simulation calls region by region: pieces give the same as the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieringmodel.interleave.rules import cut_points, round_key
from tieringmodel.kernels import placement

U64 = st.integers(0, 2**64 - 1)
WEIGHTS = st.lists(st.integers(0, 2**31), min_size=1, max_size=5).filter(lambda w: 0 < sum(w) < 2**32)


def interval(x, weights):
    for i, w in enumerate(weights):
        if x < w:
            return i
        x -= w
    raise AssertionError


@given(st.lists(U64, max_size=20), WEIGHTS)
def test_intervals(values, weights):
    out = np.empty(len(values), np.int64)
    placement.dest_by_interval(np.array(values, np.uint64), np.array(weights, np.uint64), out)
    assert out.tolist() == [interval(v % sum(weights), weights) for v in values]


@given(st.integers(0, 40), st.data())
def test_ranks_in_pieces(total, data):
    k = data.draw(st.integers(0, total))
    cut = data.draw(st.integers(0, total))
    for from_top in (False, True):
        whole = [int(r >= total - k) if from_top else int(r < k) for r in range(total)]
        low, high = np.empty(cut, np.uint8), np.empty(total - cut, np.uint8)
        placement.rank_dest(0, total, k, from_top, low)
        placement.rank_dest(cut, total, k, from_top, high)
        assert [*low.tolist(), *high.tolist()] == whole


@given(U64, st.lists(U64, max_size=20), st.integers(0, 2**32), WEIGHTS, st.data())
def test_redraws_depend_on_key_page_and_round_only(key, pages, round_number, weights, data):
    pages = np.array(pages, np.uint64)
    key, round_number, cuts = np.uint64(key), np.uint64(round_number), cut_points(tuple(weights))
    whole = np.empty(pages.size, np.uint8)
    placement.iid_redraw(key, pages, round_number, cuts, whole)
    order = np.array(data.draw(st.permutations(range(pages.size))), np.intp)
    shuffled = np.empty(pages.size, np.uint8)
    placement.iid_redraw(key, pages[order], round_number, cuts, shuffled)
    assert np.array_equal(shuffled, whole[order])
    assert all(weights[d] > 0 for d in whole)


def test_redraw_frequencies():
    """Four nodes, one without weight, 2e5 draws: each count within five standard deviations."""
    weights, n = (1, 0, 5, 2), 200_000
    out = np.empty(n, np.uint8)
    placement.iid_redraw(np.uint64(5), np.arange(n, dtype=np.uint64), np.uint64(1), cut_points(weights), out)
    p = np.array(weights) / 8
    assert (np.abs(np.bincount(out, minlength=4) - n * p) <= 5 * np.sqrt(n * p * (1 - p))).all()


@settings(max_examples=60)
@given(st.integers(0, 60), U64, st.data())
def test_deals_are_exact_and_continue_across_pieces(n, key, data):
    source = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)), np.uint8)
    dealt = np.array(data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)), np.uint8)
    piles = np.zeros((3, 3), np.int64)
    for i in source[dealt == 1]:
        piles[i, data.draw(st.integers(0, 2))] += 1
    pages = np.arange(n, dtype=np.uint64)
    whole, pieces, cut = np.empty(n, np.uint8), np.empty(n, np.uint8), data.draw(st.integers(0, n))
    placement.deal_counts(np.uint64(key), pages, source, dealt, piles.copy(), whole)
    left = piles.copy()
    for part in (slice(0, cut), slice(cut, n)):
        placement.deal_counts(np.uint64(key), pages[part], source[part], dealt[part], left, pieces[part])
    assert not left.any()
    assert np.array_equal(whole, pieces)
    assert np.array_equal(whole[dealt == 0], source[dealt == 0])
    for i in range(3):
        got = np.bincount(whole[(dealt == 1) & (source == i)], minlength=3)
        assert got.tolist() == piles[i].tolist()


def test_deals_are_uniform():
    """Two of five, 20000 deals: all ten pairs equally often, chi-square below its 1 - 1e-4 quantile for 9."""
    pages, source, dealt = np.arange(5, dtype=np.uint64), np.zeros(5, np.uint8), np.ones(5, np.uint8)
    out, seen = np.empty(5, np.uint8), {}
    for seed in range(20_000):
        key = round_key(seed, 0, 0)
        placement.deal_counts(key, pages, source, dealt, np.array([[3, 2]]), out)
        seen[tuple(out)] = seen.get(tuple(out), 0) + 1
    assert len(seen) == 10
    assert sum((c - 2000) ** 2 / 2000 for c in seen.values()) < 33.7


@given(U64, U64, st.integers(0, 30), WEIGHTS, st.integers(0, 2**40))
def test_folio_destination(start, distance, order, weights, pgoff):
    addr = (start + distance) % 2**64
    ilx = placement.vma_interleave_index(np.uint64(addr), np.uint64(start), np.uint64(pgoff), np.uint64(order))
    expected = (pgoff >> order) + ((distance >> 12) >> order)
    assert int(ilx) == expected
    got = placement.weighted_dest(np.uint64(ilx), np.array(weights, np.uint64))
    assert got == interval(expected % sum(weights), weights)


@pytest.mark.parametrize(("weights", "ilx", "dest"), [([0, 0], 5, -1), ([2**31, 2**31], 5, -1), ([2**32 - 1, 3], 7, 0)])
def test_the_sum_of_weights_has_32_bits(weights, ilx, dest):
    assert placement.weighted_dest(np.uint64(ilx), np.array(weights, np.uint64)) == dest


@settings(max_examples=60)
@given(st.lists(st.integers(0, 10**6), unique=True, max_size=40), st.data())
def test_merge_keeps_the_order_of_frames(pfn, data):
    pfn = np.array(pfn, np.int64)
    order = np.argsort(pfn)
    left = np.array(data.draw(st.lists(st.booleans(), min_size=pfn.size, max_size=pfn.size)), bool)
    pfn[left] += 10**6 + 1 - 2 * pfn[left] if data.draw(st.booleans()) else 10**6 + 1
    moved = np.flatnonzero(left)
    out = np.empty_like(order)
    if np.unique(pfn).size == pfn.size:
        placement.merge_by_frame(order, left, pfn, moved[np.argsort(pfn[moved])], out)
        assert np.array_equal(out, np.argsort(pfn))
