"""Actions of virtual address spaces beside migration: what they count, and that nobody else's pages hear of it."""

from __future__ import annotations

import numpy as np
import pytest
from small import scenario

import tieringmodel as tm
from tieringmodel.simulation.engine import Engine

PAGE = 4096
BASE = 1 << 40
VMAS = (tm.Vma(0, 100, BASE), tm.Vma(100, 300, BASE + 200 * PAGE))
"""100 pages, a hole of 100 pages, 200 pages."""
MADVISE = ("willneed", "cold", "pageout", "hugepage", "nohugepage", "collapse")


def after_one_pass(action, *filters, touched=(0, 300), regions=((BASE, BASE + 100 * PAGE), (BASE, BASE + 400 * PAGE))):
    """The scheme's statistics after one application to each of the given regions, and the engine."""
    contexts = tuple(
        tm.Context(
            "vaddr", tm.Attrs(min_nr_regions=3), (tm.Target((region,)),),
            (tm.Scheme(action, access_pattern=tm.AccessPattern(), target_nid=-1, filters=filters),),
        )
        for region in regions
    )  # fmt: skip
    sc = scenario(
        contexts=contexts, pages=300, groups=[tm.Group(*touched, rate_hz=1000.0)], vmas=VMAS,
        machine=tm.Machine.dram_cxl("8 MiB", "8 MiB"),
    )  # fmt: skip
    engine = Engine(sc, 1)
    active = engine.memory.arrays.node["active"].copy()
    engine.run(100_000)
    np.testing.assert_array_equal(engine.memory.arrays.node["active"], active)
    assert engine.memory.out_pages == 0
    rows = [k.schemes[0] for k in engine.kdamonds]
    assert all(int(row["sz_tried"]) == b - a for row, (a, b) in zip(rows, regions, strict=True))
    return [(int(row["sz_applied"]) // PAGE, int(row["sz_ops_filter_passed"]) // PAGE) for row in rows]


@pytest.mark.parametrize("action", MADVISE)
def test_madvise_takes_regions_that_are_mapped_throughout(action):
    """Source: docs/theory/damon.md, section d.8."""
    whole, _ = after_one_pass(action)
    assert whole == (100, 0)


def test_madvise_takes_nothing_of_a_region_with_a_hole():
    # Three regions of two pages: the first is mapped, the second half of it, the third not at all.
    [with_hole] = after_one_pass("cold", regions=((BASE + 97 * PAGE, BASE + 103 * PAGE),))
    assert with_hole == (2, 0)
    [empty] = after_one_pass("cold", regions=((BASE + 100 * PAGE, BASE + 200 * PAGE),))
    assert empty == (0, 0)


@pytest.mark.parametrize("action", ["lru_prio", "lru_deprio"])
def test_lists_are_not_reached_through_virtual_addresses(action):
    assert after_one_pass(action) == [(0, 0), (0, 0)]


def test_stat_counts_the_pages_that_pass_and_no_hole():
    assert after_one_pass("stat") == [(0, 0), (0, 0)]  # without operations filters it does not look
    assert after_one_pass("stat", tm.Filter("anon", matching=True, allow=True)) == [(0, 100), (0, 300)]
    assert after_one_pass("stat", tm.Filter("anon", matching=True, allow=False)) == [(0, 0), (0, 0)]


def test_places_in_the_interleaving_count_pages_of_the_machine_from_the_start_of_the_file():
    """A folio of 16 KiB is one page here, and ``vm_pgoff`` counts pages of 4 KiB: 12 of them are three."""
    sizes = {"folio_bytes": 4 * PAGE}
    for folio, pgoff, first in ((1, 12, BASE // PAGE), (4, 3, BASE // PAGE // 4)):
        vma = tm.Vma(0, 100, BASE, pgoff=12)
        machine = tm.Machine.dram_cxl("8 MiB", "8 MiB", **(sizes if folio > 1 else {}))
        sc = scenario(
            contexts=(tm.Context("vaddr", targets=(tm.Target(),)),), pages=100, groups=(), vmas=(vma,), machine=machine
        )
        space = Engine(sc, 1).kdamonds[0].space
        assert (space.first.tolist(), space.last.tolist(), space.deal.tolist()) == ([first], [first + 100], [pgoff - first])
