"""The four allocators of one node, each against the plainest list that does the same."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tieringmodel.interleave.frames import Fifo, Fresh, Lifo, RandomHashed, RandomListed, free_frames

STEPS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.randoms(use_true_random=False)), max_size=25)


def lists(base, used, size):
    n = size // 4
    yield "fifo", Fifo(base + used, base + size, 10**9)
    yield "lifo", Lifo(base + used, base + size)
    yield "listed", RandomListed(base + used, base + size, 3)
    yield "hashed", RandomHashed(base, used, size, max(n, size), 3)


@given(STEPS, st.integers(0, 20), st.integers(1, 30))
def test_every_list_agrees_with_a_plain_one(steps, used, spare):
    base, size = 1000, used + spare
    for name, frames in lists(base, used, size):
        plain = deque(range(base + used, base + size))
        held = list(range(base, base + used))
        for take, give, rng in steps:
            take = min(take, len(plain))
            got = frames.take(take).tolist()
            if name in ("fifo", "lifo"):
                assert got == [plain.popleft() for _ in range(take)]
            else:
                assert len(set(got)) == take
                assert set(got) <= set(plain)
                plain = deque(set(plain) - set(got))
            held += got
            back = sorted(rng.sample(held, min(give, len(held))))
            held = [f for f in held if f not in back]
            frames.give(np.array(back, np.int64))
            for f in back:
                plain.appendleft(f) if name == "lifo" else plain.append(f)
            assert frames.available() == len(plain)


def test_fresh_never_reuses():
    frames = Fresh(5, 10)
    assert frames.take(3).tolist() == [5, 6, 7]
    frames.give(np.array([5, 6, 7]))
    assert frames.available() == 2
    assert frames.take(2).tolist() == [8, 9]


def test_a_lifo_list_starts_with_its_lowest_frame_on_top():
    frames = Lifo(5, 2**32)
    assert frames.take(2).tolist() == [5, 6]
    frames.give(np.array([1, 3]))
    assert frames.take(4).tolist() == [3, 1, 7, 8]


@pytest.mark.parametrize("kind", ["listed", "hashed"])
def test_random_frames_are_uniform_over_the_free_ones(kind):
    """Chi-square over 40 free frames, 400 rounds of 10 takes that all come back; 1e-4 quantile as the limit."""
    if kind == "listed":
        frames = RandomListed(60, 100, 11)
    else:
        frames = RandomHashed(0, 60, 100, 100, 11)
    seen = np.zeros(100)
    for _ in range(400):
        got = frames.take(10)
        seen[got] += 1
        frames.give(np.sort(got))
    assert seen[:60].sum() == 0
    # Ten of forty without replacement: the variance of each count is 3/4 of the multinomial one.
    statistic = ((seen[60:] - 100) ** 2 / 100).sum() / 0.75
    assert stats.chi2.ppf(1e-4, 39) < statistic < stats.chi2.ppf(1 - 1e-4, 39)


@pytest.mark.parametrize("allocator", ["fresh", "fifo", "lifo", "random"])
def test_a_node_of_2_to_the_40_frames_costs_nothing(allocator):
    base, size = 2**33, 2**40
    frames = free_frames(allocator, base, 3, size, n_pages=100, rounds=1000, key=1)
    got = frames.take(100)
    assert np.unique(got).size == 100
    assert got.min() >= base + 3
    assert got.max() < base + size
    assert frames.available() == size - 103
    if allocator == "random":
        assert got.max() > base + size // 2
    else:
        assert got.tolist() == list(range(base + 3, base + 103))


def test_fifo_reaches_freed_frames_when_the_never_used_ones_are_gone():
    frames = free_frames("fifo", 0, 4, 7, n_pages=4, rounds=3, key=0)
    assert frames.take(2).tolist() == [4, 5]
    frames.give(np.array([0, 2]))
    assert frames.take(3).tolist() == [6, 0, 2]
    assert frames.available() == 0


@given(st.lists(st.integers(0, 2**40), unique=True, min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_the_hash_set_forgets_what_is_removed_and_only_that(frames, rng):
    from tieringmodel.kernels.placement_frames import EMPTY, add_frames, remove_frames

    table = np.full(128, EMPTY, np.int64)
    add_frames(np.array(frames, np.int64), table)
    gone = rng.sample(frames, rng.randint(0, len(frames)))
    remove_frames(np.array(gone, np.int64), table)
    rest = sorted(set(frames) - set(gone))
    assert sorted(table[table != EMPTY].tolist()) == rest
    remove_frames(np.array(rest, np.int64), table)
    assert (table == EMPTY).all()
