"""What a recorder keeps, row by row: which rows know their moves, counts of moves undone, and how often a run reports."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from small import pull, scenario

from tieringmodel.simulation import returns as returns_module
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.records import SETTLED, Records
from tieringmodel.simulation.report_driven import ReportedKdamond
from tieringmodel.simulation.returns import MAX_LAG, Returns

LAYOUT = np.dtype([("value", "u8")])


def filled(n: int, settled: int) -> Records:
    records = Records(LAYOUT, 1, 1, room=1, most=10_000)
    for k in range(n):
        records.append(k / 10, np.array((k,), LAYOUT)[()])
    records.settled(settled)
    return records


def values(records: Records) -> list[int]:
    return [int(v) for v in records.table["value"]]


@pytest.mark.parametrize(("settled", "after"), [(3, 3), (5, 4), (4, 4)])
def test_a_row_that_is_forgotten_knows_no_moves(settled: int, after: int) -> None:
    records = filled(5, settled)
    records.drop_last()
    assert (values(records), int(records._state[SETTLED])) == ([0, 1, 2, 3], after)


def test_rows_that_stay_all_know_their_moves() -> None:
    records = filled(5, 1)
    records.keep_only(np.array([0, 3, 4]))
    assert (values(records), records.time_s.tolist(), int(records._state[SETTLED])) == ([0, 3, 4], [0.0, 0.3, 0.4], 3)
    records.replace(records.table[1:].copy(), records.time_s[1:].copy())
    assert (values(records), int(records._state[SETTLED])) == ([3, 4], 2)


def test_there_is_room_from_the_start_and_twice_as_much_when_it_is_used_up() -> None:
    records = Records(LAYOUT, 1, 1, room=1, most=10_000)
    start = len(records._time)
    assert start > 0
    for k in range(start + 1):
        records.append(float(k), np.array((k,), LAYOUT)[()])
    assert len(records._time) == 2 * start
    assert values(records) == list(range(start + 1))
    full = Records(LAYOUT, 1, 1, room=1, most=start + 10)
    for k in range(start + 10):
        assert not full.full
        full.append(float(k), np.array((k,), LAYOUT)[()])
    assert full.full
    assert len(full._time) == full.most == start + 10


def test_moves_that_are_too_old_are_counted_into_their_rows_and_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Page 7 goes to node 1 and back in the next window, for 60 windows of a second; a look comes after every fourth record."""
    monkeypatch.setattr(returns_module, "RECORDS", 4)
    monkeypatch.setattr(returns_module, "MOVES", 4)
    kept = Returns(1.0, nodes=2)
    there, back = np.uint64(7) | np.uint64(1) << np.uint64(48), np.uint64(7) | np.uint64(1) << np.uint64(32)
    for k in range(60):
        kept.add(np.array([there if k % 2 == 0 else back]), 0, float(k), k)
        assert kept._size == sum(m.size for m in kept.moves)
    assert kept.let_go > 0
    by_lag, left = kept.table(60)
    assert by_lag.sum(axis=1).tolist() == [1] * 59 + [0]
    assert by_lag.shape == (60, MAX_LAG + 1)
    assert left.sum() == 59
    kept.add(np.array([], np.uint64), 0, 60.0 + MAX_LAG, 60)  # nothing before it can be undone in time any more
    kept._let_go()
    assert (len(kept.moves), len(kept)) == (1, 61)
    kept.thin(np.arange(61) // 20)
    thinned, _ = kept.table(4)
    assert thinned.sum(axis=1).tolist() == [20, 20, 19, 0]
    assert thinned.sum(axis=0).tolist() == by_lag.sum(axis=0).tolist()


def test_progress_is_told_once_a_second_at_most() -> None:
    engine, told = Engine(scenario(pull()), 1), []
    engine.run_to(8_000_000_000, told.append)
    assert told == sorted(told)
    assert 8 <= len(told) <= 10
    assert told[-1] == pytest.approx(8.0, abs=0.2)


def test_a_region_is_counted_once_for_each_window_in_which_a_report_touches_it() -> None:
    start = np.arange(0, 40, 10, dtype=np.uint64)
    now = SimpleNamespace(start=start, end=start + np.uint64(10), nr=np.zeros(4, np.uint32))
    low, high, window = (np.array(column) for column in ((5, 12, 29, 0), (25, 15, 31, 1), (0, 0, 1, 3)))
    kdamond = SimpleNamespace(regions=SimpleNamespace(n=4, now=now, ptr=np.array([0, 4])), _addresses=lambda *_: (low, high))
    ReportedKdamond._count(kdamond, low, high, window)  # type: ignore[arg-type]
    assert now.nr.tolist() == [2, 1, 2, 1]
    two = SimpleNamespace(n=4, now=now, ptr=np.array([0, 2, 4]))  # two targets
    now.nr[:] = 0
    ReportedKdamond._count(SimpleNamespace(regions=two, _addresses=kdamond._addresses), low, high, window)  # type: ignore[arg-type]
    assert now.nr.tolist() == [2, 1, 2, 1]
