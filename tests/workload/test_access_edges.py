"""Touches and accessed state to the bit: hashes, thresholds, and clears that are long ago."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from small import scenario

import tieringmodel as tm
from tieringmodel.kernels import access as kernels
from tieringmodel.simulation.engine import Engine
from tieringmodel.workload.access import AccessTable, rate_threshold

touched, clear_young, young = kernels.touched, kernels.clear_young, kernels.young


@numba.njit
def was_touched(access: Any, record: Any, after: Any, until: Any) -> Any:
    return touched(access, record, after, until)


@numba.njit
def cleared_then_young(access: Any, memory: Any, frame: Any, cleared: Any, now: Any) -> Any:
    clear_young(memory, frame, cleared)
    return young(access, memory, frame, now)


def engine_with(group: tm.Group, *schemes: tm.Scheme) -> Engine:
    return Engine(scenario(*schemes, pages=64, groups=[group], machine=tm.Machine.dram_cxl("1 MiB", "1 MiB")), 1)


def mixed(page: int, tick: int, salt: int) -> int:
    """The hash of the golden workloads, as their README gives it."""
    h = (page * int(kernels._C1) + tick * int(kernels._C2) + salt) % 2**32
    h = (h ^ h >> 16) * int(kernels._M1) % 2**32
    h = (h ^ h >> 15) * int(kernels._M2) % 2**32
    return h ^ h >> 16


@pytest.mark.parametrize(("page", "tick", "salt"), [(0, 1, 0), (5, 77, 9), (63, 12_345, 2**31)])
def test_a_hash_group_is_touched_below_its_threshold(page: int, tick: int, salt: int) -> None:
    h = mixed(page, tick, salt)
    for threshold, expected in (h, False), (h + 1, True):
        engine = engine_with(tm.Group(0, 64, "hash", threshold=threshold, salt=salt))
        record = engine.memory.arrays.rec[engine.memory.frame_of[page]]
        assert bool(was_touched(engine.access.arrays, record, tick - 1, tick)) is expected


@pytest.mark.parametrize("tick", [3, 2**15 - 2, 2**15 - 1, 2**15, 40_000, 2**16 + 5, 2**30 + 2**17 + 3])
def test_a_cleared_page_remembers_its_tick_in_31_bits(tick: int) -> None:
    """Touched in every tick: young again from the tick after the clear on, and not before."""
    young_only = tm.Scheme("stat", filters=(tm.Filter("young", matching=True, allow=True),))
    engine = engine_with(tm.Group(0, 64, "period", period=1), young_only)
    memory, access = engine.memory, engine.access.arrays
    frame = np.int64(memory.frame_of[7])
    record = int(memory.arrays.rec[frame])
    assert not cleared_then_young(access, memory.arrays, frame, tick, tick)
    assert cleared_then_young(access, memory.arrays, frame, tick, tick + 1)
    low_49_bits = 2**49 - 1  # owner, class and the page's own bits stay
    assert int(memory.arrays.rec[frame]) & low_49_bits == record & low_49_bits


def test_a_table_stands_at_tick_0_when_it_is_made() -> None:
    """Thresholds and rates of what is in force at tick 0, also for another seed, and of what follows at tick 1."""
    groups = (tm.Group(0, 8, rate_hz=7.0, end_tick=1), tm.Group(8, 16, rate_hz=9.0, start_tick=1))
    table = AccessTable(tm.Workload(16, groups), 5000, 1)
    for one in (table, table.with_seed(2)):
        assert one.arrays.threshold.tolist() == [0, rate_threshold(7.0, 5000), 0]
        assert one.enter(0) == 1
        assert one.enter(1) == 2**62
        assert one.arrays.threshold.tolist() == [0, 0, rate_threshold(9.0, 5000)]


def test_expected_touches_of_every_kind() -> None:
    """A rate, every second page at every fourth tick, a hash that a quarter of all ticks pass; 200 ticks a second."""
    quarter = 2**30
    groups = (
        tm.Group(0, 8, rate_hz=7.0),
        tm.Group(8, 16, "period", period=4, stride=2),
        tm.Group(16, 24, "hash", threshold=quarter),
    )
    table = AccessTable(tm.Workload(24, groups), 5000, 1)
    np.testing.assert_array_equal(table.touch_rate_hz(0), [0.0, 7.0, 25.0, 50.0])
