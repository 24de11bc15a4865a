"""A region across the border of two nodes: the whole of it is walked before any page moves."""

from __future__ import annotations

import numpy as np
import pytest

import tieringmodel as tm
from tieringmodel.experiment.engine import Engine, Silent

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
