"""Ranges of addresses: joined where they touch, and the three that Linux monitors of a process."""

from __future__ import annotations

import pytest

from tieringmodel.damon.vaddr import joined, three_regions
from tieringmodel.errors import InputError


def test_ranges_that_touch_or_overlap_are_one():
    assert joined([(8, 9), (0, 3), (3, 5), (4, 6)]) == ((0, 6), (8, 9))
    assert joined([(0, 9), (2, 3)]) == ((0, 9),)
    assert joined([]) == ()


def test_three_regions():
    maps = [(10, 20), (20, 25), (200, 210), (210, 220), (300, 305), (307, 330)]
    assert three_regions(maps) == ((10, 25), (200, 220), (300, 330))
    # Equal gaps: the earlier ones stay.
    assert three_regions([(0, 1), (3, 4), (6, 7), (9, 10)]) == ((0, 1), (3, 4), (6, 10))
    assert three_regions([(0, 1), (2, 3), (5, 6), (9, 10)]) == ((0, 3), (5, 6), (9, 10))
    for few in ([], [(0, 5)], [(0, 5), (5, 6), (8, 9)]):
        with pytest.raises(InputError, match="fewer than two gaps"):
            three_regions(few)
    with pytest.raises(InputError, match=r"ranges\[1\]"):
        three_regions([(5, 6), (1, 2)])
