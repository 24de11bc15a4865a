"""Per-CPU lists of free pages against Linux' arithmetic and what a real kernel's MemFree did."""

import copy

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import tieringmodel as tm
from tieringmodel.interop.recording.read import read_recording
from tieringmodel.memory.page_lists import PageList, batch_pages, low_watermark_pages
from tieringmodel.simulation.engine import Engine

MANAGED = 599_760 // 4
"""Pages of node 0 in the recordings."""


def test_batches_are_the_steps_in_which_memfree_falls() -> None:
    """C10's first promotions take 31, 62, 124, … pages off MemFree, up to 31 << 5."""
    assert batch_pages(MANAGED) == 31
    record = read_recording(tm.data_path("recordings", "C10_tier_consist_farstart")).record
    assert record is not None
    steps = -np.diff(record["n0_free_kb"][27:34].astype(np.int64)) // 4
    assert steps.tolist() == [0, 31, 62, 124, 248, 992]
    one = PageList(31, 310, 9_000)
    taken = []
    for pages in (1, 31, 62, 124, 248, 496):
        before = one.count
        one.allocate(pages)
        taken.append(one.count + pages - before)
    assert taken == [31, 62, 124, 248, 496, 992]
    assert (batch_pages(1), batch_pages(1 << 30)) == (1, 63)


def test_lists_shrink_as_memfree_grew() -> None:
    """In C5 one CPU's list drains from 10 s on: an eighth per second."""
    record = read_recording(tm.data_path("recordings", "C5_tier_temporal_shift")).record
    assert record is not None
    grown = np.diff(record["n0_free_kb"][10:16].astype(np.int64)) // 4
    one = PageList(31, 310, 9_000, 1_500)
    drained = []
    for _ in grown:
        before = one.count
        one.decay()
        drained.append(before - one.count)
    assert drained == grown.tolist()
    for _ in range(100):
        one.decay()
    assert one.count == one.high == 310


@given(st.lists(st.tuples(st.sampled_from(["allocate", "free", "decay"]), st.integers(0, 5_000)), max_size=30))
def test_lists_stay_inside_their_bounds(steps: list[tuple[str, int]]) -> None:
    one = PageList(31, 310, 9_000)
    for what, pages in steps:
        if what == "decay":
            one.decay()
        else:
            getattr(one, what)(pages)
        assert 310 <= one.high <= 9_000
        # A list is emptied when it reaches its length, which may have been longer a moment ago.
        assert 0 <= one.count <= 9_000


def test_watermark() -> None:
    # min_free_kbytes is the root of 16 times the memory in kB; a quarter of the minimum comes on top.
    assert low_watermark_pages(1 << 18, 1 << 18) == 1024 + 262
    assert low_watermark_pages(0, 0) == 0


def test_lengths_are_four_batches_at_least() -> None:
    short = PageList(31, 10, 20)
    assert (short.high_min, short.high_max, short.high) == (124, 124, 124)
    assert PageList(31, 124, 200).high_min == 124
    assert PageList(31, 125, 200).high_min == 125


def test_a_full_list_gives_back_what_was_freed_at_once_but_a_batch() -> None:
    """16 pages fill a list of length 16: it grows to 16 + 4, and gives back 16 - 4."""
    one = PageList(4, 16, 64)
    one.free(15)
    assert (one.count, one.high) == (15, 16)
    one = PageList(4, 16, 64)
    one.free(16)
    assert (one.count, one.high, one.free_count) == (4, 20, 16)


def test_every_list_shrinks_once_a_second() -> None:
    machine = tm.Machine.dram_cxl("64 MiB", "64 MiB").replace(percpu_lists=3)
    memory = Engine(tm.Scenario(machine, tm.Workload(16, placement=(tm.Placement(0, 16, 0),)), ()), 1).memory
    lists = memory.page_lists
    assert lists is not None
    memory.arrays.clock[0] = 10 * 10**9
    for node in lists.lists:
        for one in node:
            one.high, one.count = one.high_max, one.high_max - 5
    lists._decay()  # what was due before
    copies = [[copy.copy(one) for one in node] for node in lists.lists]
    memory.arrays.clock[0] += 5 * 10**9
    held = lists.held().tolist()
    for node in copies:
        for one in node:
            for _ in range(5):
                one.decay()
    assert held == [sum(one.count for one in node) for node in copies]
    assert lists.held().tolist() == held  # nothing is due again


def test_refills_double_up_to_what_the_list_may_hold_less_a_batch() -> None:
    for length, factors, refills in (16, [1, 2, 2, 2], [4, 8, 12, 12]), (20, [1, 2, 3, 3], [4, 8, 16, 16]):
        one, seen, got = PageList(4, length, length), [], []
        for _ in range(4):
            one.count = 0
            one.allocate(1)
            got.append(one.count + 1)
            seen.append(one.alloc_factor)
        assert (seen, got) == (factors, refills)
