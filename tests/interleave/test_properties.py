"""What holds for every rule, allocator and frame count: nothing is lost, no frame has two pages, quotas are kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieringmodel.errors import InputError
from tieringmodel.interleave import ping_pong
from tieringmodel.interleave.model import as_dataset
from tieringmodel.interleave.rounds import RETURN_LAGS, play
from tieringmodel.interleave.setup import ALLOCATORS, RULES, Setup


@st.composite
def setups(draw, limited=True):
    rule = draw(st.sampled_from(RULES))
    nodes = 2 if rule in ("first", "last") else draw(st.integers(1, 5))
    weights = draw(st.lists(st.integers(0, 9), min_size=nodes, max_size=nodes).filter(any))
    n_pages = draw(st.integers(1, 60))
    start = draw(st.integers(0, nodes - 1))
    frames = None
    if limited and draw(st.booleans()):
        frames = draw(st.lists(st.integers(0, 300), min_size=nodes, max_size=nodes))
        frames[start] += n_pages
        frames = tuple(frames)
    return Setup(
        rule,
        tuple(weights),
        n_pages,
        rounds=draw(st.integers(0, 15)),
        allocator=draw(st.sampled_from(ALLOCATORS)),
        frames=frames,
        start_node=start,
        share_per_round=draw(st.sampled_from([1.0, 1.0, 0.7, 0.3])),
        refractory=draw(st.sampled_from([0, 0, 1, 4])),
        seed=draw(st.integers(0, 2**64 - 1)),
    )


def play_or_none(setup, **options):
    try:
        return play(setup, **options)
    except InputError:
        assert setup.allocator == "fresh"
        return None


@settings(max_examples=300)
@given(setups())
def test_pages_and_frames_are_conserved(setup):
    outcome = play_or_none(setup, keep_frames=True)
    if outcome is None:
        return
    node, pfn = outcome.node, outcome.pfn
    assert (outcome.occupancy.sum(axis=1) == setup.n_pages).all()
    assert (outcome.occupancy <= np.array(setup.frame_counts)).all()
    for t, row in enumerate(node):
        assert np.bincount(row, minlength=setup.nodes).tolist() == outcome.occupancy[t].tolist()
    assert np.unique(pfn).size == setup.n_pages
    bases = np.concatenate([[0], np.cumsum(setup.frame_counts)])
    assert (np.searchsorted(bases, pfn, side="right") - 1 == node[-1]).all()
    changed = node[1:] != node[:-1]
    assert outcome.moved.tolist() == [0, *changed.sum(axis=1).tolist()]
    assert (outcome.moved <= setup.dealt_pages).all()
    for rest in range(1, setup.refractory + 1):
        assert not (changed[rest:] & changed[:-rest]).any()


@settings(max_examples=150)
@given(setups())
def test_following_frames_changes_nothing_where_they_do_not_matter(setup):
    followed, free = play_or_none(setup, keep_frames=True), play_or_none(setup)
    assert (followed is None) == (free is None)
    if followed is not None:
        assert np.array_equal(followed.node, free.node)
        assert np.array_equal(followed.moved, free.moved)


def brute_ping_pong(node, within, skip):
    rounds = node.shape[0] - 1
    moves = back = 0
    for t in range(skip + 1, rounds - within + 1):
        for page in np.flatnonzero(node[t] != node[t - 1]):
            moves += 1
            back += node[t - 1, page] in node[t + 1 : t + within + 1, page]
    return back / moves if moves else 0.0


@settings(max_examples=150)
@given(setups(limited=False), st.integers(1, 6), st.integers(0, 4))
def test_ping_pong_is_its_definition_with_and_without_history(setup, within, skip):
    if setup.rounds - within < skip + 1:
        return
    kept, summed = play(setup), play(setup, history_cells=0)
    assert np.array_equal(kept.moved, summed.moved)
    assert np.array_equal(kept.occupancy, summed.occupancy)
    assert summed.node is None
    expected = brute_ping_pong(kept.node, within, skip)
    assert ping_pong(as_dataset(setup, kept), within, skip) == expected
    assert ping_pong(as_dataset(setup, summed), within, skip) == expected


def test_without_history_long_lags_are_refused():
    setup = Setup("iid", (1, 1), 10, 400)
    ds = as_dataset(setup, play(setup, history_cells=0))
    assert ds.returns.dims == ("round", "lag")
    assert ping_pong(ds, RETURN_LAGS) == pytest.approx(1.0)
    with pytest.raises(InputError, match=r"within: 129 is outside 1\.\.128; this run was too large"):
        ping_pong(ds, RETURN_LAGS + 1)


@settings(max_examples=60)
@given(st.sampled_from(["per_node", "push_only"]), st.integers(1, 50), st.integers(0, 2**32), st.data())
def test_counted_rules_move_their_counts_exactly(rule, n_pages, seed, data):
    weights = tuple(data.draw(st.lists(st.integers(0, 9), min_size=3, max_size=3).filter(any)))
    outcome = play(Setup(rule, weights, n_pages, 6, seed=seed))
    total = sum(weights)
    for t in range(1, 7):
        leaving = [0, 0, 0]
        for i in range(3):
            if rule == "per_node" or i == 0:
                c = int(outcome.occupancy[t - 1, i])
                leaving[i] = (2 * c * (total - weights[i]) + total) // (2 * total)
        assert outcome.moved[t] == sum(leaving)
        before, after = outcome.node[t - 1], outcome.node[t]
        for i in range(3):
            assert np.count_nonzero((before == i) & (after != i)) == leaving[i]
