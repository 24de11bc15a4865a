"""Ping-pong: which moves are undone, and after how many windows, against a literal walk over the log."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel.simulation.recorder import MAX_LAG, Returns
from tieringmodel.verdicts.row import ping_pong_ratio

Move = tuple[int, int, int]


def packed(moves: list[Move]) -> np.ndarray:
    return np.array([page | a << 32 | b << 48 for page, a, b in moves], np.uint64)


def literal(records: list[list[Move]], time: list[float], window_s: float) -> list[list[int]]:
    out = [[0] * (MAX_LAG + 1) for _ in records]
    log = [(r, move) for r, moves in enumerate(records) for move in moves]
    for i, (r, (page, source, _)) in enumerate(log):
        for later, (other, _, target) in log[i + 1 :]:
            if other == page and target == source:
                lag = round((time[later] - time[r]) / window_s)
                if lag <= MAX_LAG:
                    out[r][lag] += 1
                break
    return out


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[list[Move]], list[float], float]:
    """Pages that wander among three nodes; several moves of a page may fall into one record."""
    where = [draw(st.integers(0, 2)) for _ in range(4)]
    records: list[list[Move]] = []
    for _ in range(draw(st.integers(0, 12))):
        moves = []
        for _ in range(draw(st.integers(0, 6))):
            page = draw(st.integers(0, 3))
            target = draw(st.integers(0, 2).filter(lambda n, page=page: n != where[page]))
            moves.append((page, where[page], target))
            where[page] = target
        records.append(moves)
    gaps = draw(st.lists(st.sampled_from([0.1, 0.5, 1.0, 3.7, 20.0]), min_size=len(records), max_size=len(records)))
    return records, np.cumsum(gaps).tolist(), draw(st.sampled_from([0.1, 1.0, 2.0]))


@pytest.mark.parametrize("most", [1 << 12, 2])
@given(log=logs())
def test_returns_are_those_of_a_walk_over_the_log(most: int, log: tuple[list[list[Move]], list[float], float]) -> None:
    records, time, window_s = log
    returns = Returns(window_s, 3)
    returns._records = most
    for row, (moves, time_s) in enumerate(zip(records, time, strict=True)):
        returns.add(packed(moves), 0, time_s, row)
    got = returns.table(len(records))[0]
    assert got.dtype == np.int64
    assert got.tolist() == literal(records, time, window_s)
    assert (got.sum(axis=1) <= [len(m) for m in records]).all()


def test_a_page_is_back_when_it_next_reaches_the_node_it_left() -> None:
    # 0 -> 1 at 1 s, 1 -> 2 at 2 s, 2 -> 0 at 4 s, 0 -> 1 at 5 s: of the four, the first is undone after 3 windows
    # and the second (it left node 1) after 3.
    records: list[list[Move]] = [[(5, 0, 1)], [(5, 1, 2)], [(5, 2, 0)], [(5, 0, 1)]]
    returns = Returns(1.0, 3)
    for row, (moves, time_s) in enumerate(zip(records, [1.0, 2.0, 4.0, 5.0], strict=True)):
        returns.add(packed(moves), 0, time_s, row)
    table = returns.table(4)[0]
    assert {(int(r), int(lag)) for r, lag in np.argwhere(table)} == {(0, 3), (1, 3)}


def test_lags_are_counted_in_windows_and_end_at_the_longest() -> None:
    records: list[list[Move]] = [[(1, 0, 1), (2, 0, 1)], [(1, 1, 0)], [(2, 1, 0)]]
    returns = Returns(2.0, 2)
    for row, (moves, time_s) in enumerate(zip(records, [0.0, 64.0, 65.1], strict=True)):
        returns.add(packed(moves), 0, time_s, row)
    table = returns.table(3)[0]
    assert table[0, 32] == 1
    assert table.sum() == 1


def test_lost_moves_make_the_whole_table_unknown() -> None:
    returns = Returns(1.0, 2)
    returns.add(packed([(1, 0, 1)]), 0, 1.0, 0)
    returns.add(packed([(1, 1, 0)]), 3, 2.0, 1)
    assert (returns.table(2)[0] == -1).all()
    assert np.isnan(ping_pong_ratio(returns.table(2)[0], np.array([1, 4]), 10))


@pytest.mark.parametrize(("within", "expected"), [(0, 0.0), (1, 0.25), (2, 0.25), (3, 0.75), (10, 0.75)])
def test_the_ratio_counts_returns_within_so_many_windows(within: int, expected: float) -> None:
    table = np.zeros((3, MAX_LAG + 1), np.int64)
    table[0, 1], table[1, 3], table[2, 30] = 1, 2, 1
    assert ping_pong_ratio(table, np.array([2, 2, 0]), within) == expected


def test_without_moves_nothing_bounces() -> None:
    none = np.zeros((2, MAX_LAG + 1), np.int64)
    assert ping_pong_ratio(none, np.array([0, 0]), 10) == 0.0
    assert np.isnan(ping_pong_ratio(None, np.array([0, 0]), 10))
    assert np.isnan(ping_pong_ratio(None, np.array([3, 0]), 10))


def test_a_simulation_counts_what_its_own_log_says() -> None:
    from tieringmodel.simulation.engine import Engine
    from tieringmodel.simulation.recorder import Recorder

    sc = scenario(pull(6000), push(4000))
    recorder = Recorder(0, 1, 0.1)
    engine = Engine(sc, 5, observer=recorder, log_moves=1 << 18)
    recorder.engine = engine
    recorder.record()
    engine.run(6_000_000)
    recorder.settle()
    records = [[(int(m) & 0xFFFFFFFF, int(m) >> 32 & 0xFFFF, int(m) >> 48) for m in moves] for moves in recorder.returns.moves]
    ds = recorder.dataset()
    assert sum(map(len, records)) > 5000
    by_page: dict[int, list[tuple[int, int, int]]] = {}
    expected = np.zeros((len(records), MAX_LAG + 1), int)
    for r in range(len(records) - 1, -1, -1):
        for page, source, target in reversed(records[r]):
            later = by_page.setdefault(page, [])
            if (back := next((at for at, _, t in reversed(later) if t == source), None)) is not None:
                lag = round((float(ds["time"][back]) - float(ds["time"][r])) / 0.1)
                if lag <= MAX_LAG:
                    expected[r, lag] += 1
            later.append((r, source, target))
    np.testing.assert_array_equal(ds["returns"], expected)
    whole = tm.simulate(sc, duration="6 s", seed=5)
    np.testing.assert_array_equal(whole["returns"], expected)
