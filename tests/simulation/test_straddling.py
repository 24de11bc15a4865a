"""A region across the border of two nodes: the whole of it is walked before any page moves."""

from __future__ import annotations

import numpy as np
import pytest

import tieringmodel as tm
from tieringmodel.damon.weighted import WeightedMigrate
from tieringmodel.kernels.layout import Space
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.silent import Silent

PAGE = 4096


class Events(Silent):
    """Keeps (bytes passing, bytes applied) of every region handed to the action."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int]] = []

    def applied(self, kdamond, events) -> None:
        self.rows += [(int(e["sz_filter_passed"]), int(e["sz_applied"])) for e in events]


@pytest.mark.parametrize("filters", [(), (tm.Filter("young", matching=True, allow=False),)])
def test_pages_that_arrive_are_not_looked_at_again(filters):
    """100 pages lie on node 0 above page 300; the region reaches into node 1, where they land on the lowest frames."""
    base = 512 * PAGE
    nodes = (tm.Node(0, base, 512 * PAGE), tm.Node(1, base + 512 * PAGE, 512 * PAGE))
    scheme = tm.Scheme("migrate_cold", target_nid=1, filters=filters)
    target = tm.Target(((base + 300 * PAGE, base + 1024 * PAGE),))
    context = tm.Context(attrs=tm.Attrs(aggr_us=50_000, min_nr_regions=3), targets=(target,), schemes=(scheme,))
    workload = tm.Workload(400, placement=(tm.Placement(0, 400, 0),))
    seen = Events()
    engine = Engine(tm.Scenario(tm.Machine(nodes=nodes), workload, (context,)), 1, observer=seen)
    # A page that was never sampled counts as young: let every page be old, so that the filter passes it.
    if filters:
        engine.memory.arrays.seen[:] = 1
    engine.run(50_000)
    assert seen.rows[0] == (100 * PAGE, 100 * PAGE)
    assert np.array_equal(engine.memory.used_pages(), [300, 100])


def test_the_folio_that_a_region_ends_in_is_remembered_by_its_frame():
    """Node 1 begins at page 8: a region that ends in that page, one that ends before it, and the next one."""
    space = Space(
        np.array([0, 8]), np.array([8, 16]), np.array([0, 512]), np.zeros(2, np.int64), np.array([0, 2]), False, False,
        np.uint64(1), np.uint64(12),
    )  # fmt: skip
    action = WeightedMigrate((tm.Dest(0, 1), tm.Dest(1, 1)), "pfn_mod")
    row = {"last_applied": 0}
    ends_in_it, later = np.array([6, 7, 512]), np.array([512, 513])
    assert action._not_again(row, ends_in_it, 8 * PAGE + 1, space).tolist() == [6, 7, 512]
    assert row["last_applied"] == 513
    assert action._not_again(row, later, 10 * PAGE, space).tolist() == [513]
    assert row["last_applied"] == 514
    # The region's last page holds nothing: nothing is to be passed over.
    assert action._not_again(row, np.array([6, 7]), 8 * PAGE + 1, space).tolist() == [6, 7]
    assert row["last_applied"] == 0
    assert action._not_again(row, np.array([6, 7]), 8 * PAGE, space).tolist() == [6, 7]
    assert row["last_applied"] == 8
