"""A run that is looked at and gone on with is, at each of its lengths, a run of that length."""

from __future__ import annotations

import pytest
import xarray as xr
from faults import reclaim, used
from small import MIB, pull, push, scenario

import tieringmodel as tm
from tieringmodel.simulation.running import Running

MARKS = tm.Watermarks("free_mem_rate", interval_us=700_000, high=800, mid=780, low=100)
FIRST = tm.Context(schemes=(pull(6000),))
SCENARIOS = {
    "one context": scenario(pull(6000), push(3900)),
    "an event": scenario(used(2000)).replace(
        events=(tm.Event(at_us="2 s", path="contexts.0.schemes.0.quota.goals.0.target_value", value=1000),)
    ),
    "asleep in between": scenario(reclaim(target_bp=9000, sz_bytes=MIB).replace(watermarks=MARKS)),
    "asleep for ever": scenario(used(2000).replace(watermarks=MARKS.replace(high=500, mid=400))),
    "two contexts": scenario(contexts=(FIRST, FIRST.replace(schemes=(push(3000),), attrs=tm.Attrs(aggr_us=130_000)))),
    "sources": scenario(
        contexts=(
            FIRST.replace(
                sources=(
                    tm.SourceOfHotness("hint_faults", ("scan_bytes = 1 MiB",)),
                    tm.SourceOfHotness("instruction_samples"),
                    tm.SourceOfHotness("accessed_bits"),
                )
            ),
        ),
    ),
}
LENGTHS_S = 1.0, 2.537, 5.0  # one of them in the midst of an aggregation


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_length_is_the_run_of_that_length_bit_for_bit(name: str) -> None:
    run = Running(SCENARIOS[name], lengths_us=[round(s * 1e6) for s in LENGTHS_S], seed=3, snapshots=7)
    for length_s in LENGTHS_S:
        alone = tm.simulate(SCENARIOS[name], duration=length_s, seed=3, snapshots=7, progress=False)
        xr.testing.assert_identical(run.to(round(length_s * 1e6)), alone)
    run.close()


def test_lengths_keep_different_snapshots() -> None:
    run = Running(SCENARIOS["one context"], lengths_us=[2_000_000, 5_000_000], snapshots=4)
    times = [run.to(us)["snapshot_time"].values.round(6).tolist() for us in (2_000_000, 5_000_000)]
    assert times == [[0.1, 0.6, 1.1, 1.6], [0.1, 1.4, 2.7, 4.0]]


def test_what_the_callback_raises_ends_the_run() -> None:
    def stop(simulated_s: float) -> None:
        if simulated_s > 0.5:
            raise StopIteration

    with pytest.raises(StopIteration):
        Running(SCENARIOS["one context"], lengths_us=[2_000_000]).to(2_000_000, stop)
