"""The RFC's five pages: rows that are exact by the rule, and properties that any draw must keep."""

from __future__ import annotations

import numpy as np
import pytest

from tieringmodel import InputError
from tieringmodel.studies import five_pages_table, rfc_five_pages

EXACT = {
    "last": ([3, 0, 0, 0, 0, 0, 0, 0], [2, 2, 2], True, True),
    "first": ([3, 4, 4, 4, 4, 4, 4, 4], [2, 2, 2], False, True),
    "per_node": ([3, 2, 2, 2, 2, 2, 2, 2], [2, 2, 2], False, True),
    "push_only": ([3, 1, 1, 0, 0, 0, 0, 0], [2, 1, 0], True, False),
    "pfn_mod {40,60}": ([0] * 8, [5, 5, 5], True, False),
    "pfn_mod {2,3}": ([3, 1, 0, 0, 0, 0, 0, 0], [2, 3, 3], True, False),
    "pfn_mod {2,3}, LIFO": ([3, 1, 1, 1, 1, 1, 1, 1], [2, 3, 2], False, False),
    "vma_offset {40,60}": ([0] * 8, [5, 5, 5], True, False),
    "vma_offset {2,3}": ([3, 0, 0, 0, 0, 0, 0, 0], [2, 2, 2], True, True),
}


@pytest.fixture(scope="module")
def ds():
    return rfc_five_pages()


@pytest.mark.parametrize("reading", EXACT)
def test_rows_that_do_not_depend_on_a_draw(ds, reading):
    moved, on_node0, settled, at_ratio = EXACT[reading]
    row = ds.sel(reading=reading)
    assert row["moved"].values[1:].tolist() == moved
    assert row["node0_pages"].values[1:4].tolist() == on_node0
    assert (bool(row["settled"]), bool(row["at_ratio"])) == (settled, at_ratio)


def test_counts_follow_from_the_pages(ds):
    node = ds["node"].values
    assert (ds["node0_pages"].values == (node == 0).sum(axis=2)).all()
    assert (ds["moved"].values[:, 1:] == (np.diff(node.astype(int), axis=1) != 0).sum(axis=2)).all()
    assert (node[:, 0] == 0).all()


def test_the_coin_has_no_rest(ds):
    # Five pages rest for one round with probability .6^2.4·.4^… < .2 at most: never in the whole second half of 60.
    long = rfc_five_pages(60, seed=3).sel(reading="iid")
    assert not bool(long["settled"])
    assert int(long["last_move_iteration"]) > 50


def test_the_first_iteration_is_the_one_that_the_rfc_shows(ds):
    assert ds["node"].sel(reading="last", iteration=1).values.tolist() == [0, 0, 1, 1, 1]


def test_the_table_has_a_line_per_reading(ds):
    lines = five_pages_table(ds, 3).splitlines()
    assert len(lines) == 1 + ds.sizes["reading"]
    assert lines[1].split()[:5] == ["last", "00000", "00111", "00111", "00111"]
    assert lines[2].endswith("never settles")
    assert lines[1].endswith("settles at 40/60")
    assert lines[4].endswith("settles with 0 of 5 on node 0")


@pytest.mark.parametrize("iterations", [1, 0, -3, 2.5, True, "8"])
def test_a_wrong_count_is_refused(iterations):
    with pytest.raises(InputError, match="iterations"):
        rfc_five_pages(iterations)


def test_another_dataset_is_refused(ds):
    with pytest.raises(InputError, match="five-page"):
        five_pages_table(ds.drop_attrs())
