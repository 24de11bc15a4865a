"""A kdamond whose work takes time: how much later its aggregations end."""

from __future__ import annotations

import numpy as np

import tieringmodel as tm
from tieringmodel.damon.kdamond import Kdamond
from tieringmodel.simulation.clock import CHECK_NS, WALK_NS
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.silent import Silent


class Ends(Silent):
    """Keeps when aggregations ended."""

    def __init__(self) -> None:
        self.times_ns: list[int] = []

    def aggregated(self, kdamond: Kdamond) -> None:
        self.times_ns.append(kdamond.memory.now_ns)


def test_overload_stretches_samples_by_regions_and_passes_by_pages() -> None:
    """50 regions of an idle range: 20 samples sleep 5 ms each and check 50 regions, then a pass walks what it tried."""
    machine = tm.Machine((tm.Node(0, 0, 256 << 20),), hz=1000)
    attrs = tm.Attrs(sample_us=5_000, aggr_us=100_000, min_nr_regions=50, max_nr_regions=50)
    target = tm.Target(((0, 200 << 20),))
    scheme = tm.Scheme("lru_prio", access_pattern=tm.AccessPattern(max_nr_accesses=0))
    ends = {}
    for overload, schemes in ((False, ()), (True, ()), (True, (scheme,))):
        context = tm.Context(attrs=attrs, targets=(target,), schemes=schemes)
        workload = tm.Workload(1024, placement=(tm.Placement(0, 1024, nid=0),), tick_us=5_000)
        seen = Ends()
        engine = Engine(tm.Scenario(machine.replace(overload=overload), workload, (context,)), seed=1, observer=seen)
        engine.run(400_000)
        ends[overload, bool(schemes)] = seen.times_ns[:3]
        regions = int(engine.kdamonds[0].regions.ptr[-1])
    assert regions == 50
    slept, checked = 100_000_000, 20 * 50 * CHECK_NS
    assert ends[False, False] == [slept, 2 * slept, 3 * slept]
    assert ends[True, False] == [slept + checked, 2 * (slept + checked), 3 * (slept + checked)]
    walked = (200 << 20) // 4096 * WALK_NS
    assert ends[True, True] == [slept + checked, 2 * (slept + checked) + walked, 3 * (slept + checked) + 2 * walked]


def test_recorded_ends_say_what_overload_does() -> None:
    """Where ends of aggregations are recorded, both clocks keep to them."""
    recording = tm.read_recording(tm.data_path("recordings", "C3_pullpush_temporal"))
    scenario = recording.to_scenario()
    assert not scenario.machine.overload
    assert recording.to_scenario(recorded_intervals=False).machine.overload
    loaded = scenario.replace(machine=scenario.machine.replace(overload=True))
    one, two = (tm.simulate(s, duration="20 s", seed=1)["migrated_pages"].values for s in (scenario, loaded))
    assert one.sum() > 0
    np.testing.assert_array_equal(one, two)
