"""The anchor cases as they are replayed by `tieringmodel validate`."""

from __future__ import annotations

import pytest

from tieringmodel.validate.theory.anchors_loop import ANCHORS, TABLE, Check, case, cases


@pytest.fixture(scope="module")
def done():
    return {c.name: c for c in cases()}


@pytest.mark.parametrize("name", [*ANCHORS, *(f"table:{row}" for row in TABLE)])
def test_anchor_holds(done, name):
    assert done[name].ok, done[name].detail
    assert done[name].kind == "anchor"
    assert done[name].checked >= 5


def test_a_difference_is_named():
    failed = case("x", [Check("first", 1.0, 1.0), Check("second", 2.0, 3.0, 0.5), Check("third", 5.0, 4.0)])
    assert (failed.ok, failed.checked, failed.detail) == (False, 3, "second: expected 3 ± 0.5, got 2")
