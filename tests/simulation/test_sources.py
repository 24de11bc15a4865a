"""Contexts that count reports of other sources in place of accessed bits."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

import tieringmodel as tm
from tieringmodel.hotness import protocol
from tieringmodel.interop.sysfs.portable import portable
from tieringmodel.simulation.engine import Engine

MIB = 1 << 20
PAGES = 4096
HOT = 1024


def scenario(*sources: tm.SourceOfHotness, ops: str = "paddr", schemes: tuple[tm.Scheme, ...] = ()) -> tm.Scenario:
    """1024 hot pages at 400 Hz of 4096 on node 1."""
    machine = tm.Machine((tm.Node(0, 0, 32 * MIB), tm.Node(1, 32 * MIB, 32 * MIB)))
    workload = tm.Workload(
        PAGES, (tm.Group(0, HOT, rate_hz=400.0, name="hot"),), (tm.Placement(0, PAGES, 1),),
        vmas=(tm.Vma(0, PAGES, 1 << 30),),
    )  # fmt: skip
    context = tm.Context(
        ops=ops, attrs=tm.Attrs(sample_us=5000, aggr_us=100_000, max_nr_regions=200), schemes=schemes, sources=sources
    )
    return tm.Scenario(machine, workload, (context,))


PULL = tm.Scheme(
    "migrate_hot", target_nid=0, access_pattern=tm.AccessPattern(min_nr_accesses=5),
    quota=tm.Quota(
        sz_bytes=MIB // 2, reset_interval_ms=200, goal_tuner="temporal",
        goals=(tm.Goal("node_mem_used_bp", 1000, nid=0),),
    ),
)  # fmt: skip
IBS = tm.SourceOfHotness("instruction_samples", ("period_ops = 200", "drain_us = 5 ms"))


class Whole:
    """Reports every page that is ever touched at the end of every interval; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def observe(self, activity: tm.hotness.Activity, rng: np.random.Generator) -> tm.hotness.Reports:
        self.asked += 1
        return tm.hotness.page_reports(np.flatnonzero(activity.rate_hz), 1.0, activity.end_us, cost_ns=7.0)


class Late(Whole):
    """Tells 20 ms later."""

    def observe(self, activity: tm.hotness.Activity, rng: np.random.Generator) -> tm.hotness.Reports:
        found = super().observe(activity, rng)
        return found._replace(time_us=found.time_us + 20_000)


@pytest.fixture
def own() -> Iterator[None]:
    tm.hotness.register_source("whole", Whole)
    tm.hotness.register_source("late", Late)
    yield
    protocol._own.clear()


@pytest.mark.parametrize("ops", ["paddr", "vaddr"])
def test_a_region_grows_by_one_for_each_interval_with_a_report(ops: str, own: None) -> None:
    """One call covers a batch of ticks and reports at its end: each region that holds a hot page counts exactly one."""
    engine = Engine(scenario(tm.SourceOfHotness("whole"), tm.SourceOfHotness("whole"), ops=ops))
    (kdamond,) = engine.kdamonds
    kdamond.sample(np.array([0, 1, 2]), np.array([1, 2, 3]))
    n = kdamond.regions.n
    start = kdamond.regions.now.start[:n].astype(np.int64)
    end = kdamond.regions.now.end[:n].astype(np.int64)
    first = 1 << 30 if ops == "vaddr" else 32 * MIB
    holds = (start < first + HOT * 4096) & (end > first)
    assert 0 < holds.sum() < n
    np.testing.assert_array_equal(kdamond.regions.now.nr[:n], holds.astype(np.uint32))
    assert kdamond.passed == 3


def test_reports_count_when_they_come(own: None) -> None:
    engine = Engine(scenario(tm.SourceOfHotness("late")))
    (kdamond,) = engine.kdamonds
    for tick in range(1, 8):
        kdamond.check(tick)
        expected = max(tick - 4, 0)  # 20 ms are four ticks
        assert int(kdamond.regions.now.nr[: kdamond.regions.n].max()) == expected


def test_sources_steer_schemes_and_say_what_they_cost() -> None:
    ds = tm.simulate(scenario(IBS, schemes=(PULL,)), duration="8 s", seed=1, progress=False)
    # 1000 bp of 8192 frames, passed by less than one quota of 128 pages; hot pages alone are taken.
    moved = int(ds["migrated_pages"].sum())
    assert 819 <= moved < 819 + 128
    hot = ds["page_class"].values.tolist().index("hot")
    assert int(ds["class_pages"].values[-1, 0, hot]) > 0.9 * moved
    (told,) = json.loads(ds.attrs["sources"])
    assert told["source"] == "instruction_samples"
    # 1024 pages at 400 Hz for 8 s, one report per 200 operations of which the default makes 4 per touch.
    touches = HOT * 400 * 8
    assert told["reports"] + told["lost"] == pytest.approx(touches * 1 / 200, rel=0.05)
    assert told["cost_ns"] > 0
    again = tm.simulate(scenario(IBS, schemes=(PULL,)), duration="8 s", seed=1, progress=False)
    assert again.identical(ds)


def test_a_device_knows_only_its_own_node() -> None:
    """Counters of node 1 see the hot pages there; once pages are on node 0 nobody reports them, and they look cold."""
    chmu = tm.SourceOfHotness("chmu", ("node = 1", "epoch_us = 5 ms", "threshold = 1", "unit_pages = 1", "list_entries = 4096"))
    ds = tm.simulate(scenario(chmu, schemes=(PULL.replace(quota=tm.Quota()),)), duration="3 s", seed=1, progress=False)
    assert float(ds["access_share_bp"].values[-1, 0]) == 10_000
    last = slice(-int(ds["region_count"].values[-1]), None)
    assert int(ds["region_nr_accesses"].values[last].max()) == 0


def test_accessed_bits_stay_as_they_are_without_sources() -> None:
    plain = scenario(schemes=(PULL,))
    assert plain == tm.Scenario.from_toml(plain.to_toml())
    assert "sources" not in plain.to_json()
    mixed = scenario(IBS, schemes=(PULL,))
    assert mixed == tm.Scenario.from_toml(mixed.to_toml())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (tm.SourceOfHotness("nobody"), "contexts[0].sources[0].source: 'nobody' is unknown"),
        (tm.SourceOfHotness("chmu", ("epoch 5 ms",)), "contexts[0].sources[0].settings[0]: 'epoch 5 ms' is no setting"),
        (tm.SourceOfHotness("chmu", ("epok_us = 5 ms",)), "contexts[0].sources[0]"),
    ],
)
def test_unknown_sources_and_settings_are_refused(source: tm.SourceOfHotness, message: str) -> None:
    with pytest.raises(tm.InputError) as caught:
        tm.simulate(scenario(source), duration="1 s", progress=False)
    assert message in str(caught.value)


def test_linux_has_no_such_sources() -> None:
    with pytest.raises(tm.InputError, match="sources"):
        portable(scenario(IBS))


def test_links_of_free_frames_are_not_taken_for_pages() -> None:
    base = scenario(IBS, schemes=(PULL,))
    runs = [
        tm.simulate(base.replace(machine=base.machine.replace(allocator=a)), duration="1 s", seed=1, progress=False)
        for a in ("lowest", "fifo")
    ]
    assert int(runs[1]["migrated_pages"].sum()) > 0
    np.testing.assert_array_equal(runs[0]["migrated_pages"], runs[1]["migrated_pages"])  # one way only: no frame comes back
