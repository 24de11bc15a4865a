"""Many simulations in one process do not make it grow (``TIERINGMODEL_LOAD=10000`` for the long form)."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from small import MIB, pull, push, scenario

import tieringmodel as tm
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.simulate import scheme_actions

GIB = 1 << 30

RUNS = int(os.environ.get("TIERINGMODEL_LOAD", "300"))
WARM = 60
MOST_MIB = 24
"""A run's log of moves alone takes 16 MiB: two that stay behind show."""


def resident_mib() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def test_memory_does_not_grow() -> None:
    sc = scenario(pull(), pages=512, groups=[tm.Group(0, 256, rate_hz=400.0)], machine=tm.Machine.dram_cxl("4 MiB", "4 MiB"))
    first = None
    for k in range(RUNS):
        ds = tm.simulate(sc, duration=0.3, seed=k, progress=False)
        tm.loop.run("consist", 5000, 100, 0, windows=20)
        assert int(ds["class_pages"][-1].sum()) == 512
        if k == WARM:
            gc.collect()
            first = resident_mib()
    gc.collect()
    assert first is not None
    assert resident_mib() - first < MOST_MIB


@pytest.mark.load
def test_a_day_of_64_gib() -> None:
    """Two goals, migration all day long, a hot set that moves every half hour: nothing lost, nothing piled up."""
    sc = day()
    engine = Engine(sc, 1, actions=scheme_actions)
    pages, first, moved = sc.workload.n_pages, 0.0, []
    for hour in range(24):
        engine.run(3_600_000_000)
        assert engine.memory.now_ns >= (hour + 1) * 3_600_000_000_000
        memory, [k] = engine.memory, engine.kdamonds
        assert (memory.used_pages() + memory.free_pages() == memory.arrays.node["total"]).all()
        assert int(memory.arrays.node["lru"].sum()) == pages
        assert (memory.free_pages() >= 0).all()
        assert memory.arrays.node["migrated_in"].sum() == memory.arrays.node["migrated_out"].sum()
        rows = k.regions.rows()[0]
        assert 10 <= len(rows) <= 1000
        assert all(a < b for a, b, *_ in rows)
        assert all(r[1] <= s[0] for r, s in pairwise(rows))
        for row in k.schemes:
            assert int(row["charged_sz"]) <= 64 * MIB + k.min_sz
            assert int(row["sz_applied"]) <= int(row["sz_tried"])
        moved.append(int(memory.migrated_pages().sum()))
        gc.collect()
        if hour == 0:
            for array in memory.arrays:  # the system hands memory out when it is first written to
                if isinstance(array, np.ndarray):
                    array.reshape(-1).view(np.uint8)[::4096] += 0
            first = resident_mib()
        assert resident_mib() - first < MOST_MIB
    assert np.unique(memory.frame_of).size == pages  # no page lost, none on two frames
    assert memory.recount()["lru"].tolist() == memory.arrays.node["lru"].tolist()
    assert (np.diff(moved) > 0).all(), "every hour brings two new hot sets, so pages move"


WEEK = """
import resource, sys
import tieringmodel as tm
ds = tm.simulate(tm.load("rfc-40-60"), duration="168 h", seed=1, progress=False)
found = tm.verdict(ds)
missing = int(ds["migrated_pages"].sum() - ds["migrated_in_pages"][-1].sum())
unknown, peak_mib = int((ds["returns"] < 0).any()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
print(missing, unknown, found.kind, ds.sizes["time"], peak_mib)
"""


@pytest.mark.load
def test_a_week_of_a_shipped_scenario_takes_a_gib() -> None:
    done = subprocess.run([sys.executable, "-c", WEEK], capture_output=True, text=True, check=True)
    missing, unknown, kind, records, peak_mib = done.stdout.split()
    assert (missing, unknown, kind) == ("0", "0", "limit-cycle")
    assert 10_000 < int(records) < 70_000
    assert int(peak_mib) <= 1024


def day() -> tm.Scenario:
    """64 GiB of pages on two nodes of 48 GiB, 8 GiB of them hot, at another place every half hour."""
    n = 64 * GIB // 4096
    work = tm.workload.rotate(
        n, hot_pages=n // 8, places=8, every_us="30 min", duration_us="24 h", hot_rate_hz=400.0, tick_us="5 ms"
    )
    quota = {"sz_bytes": 64 * MIB, "reset_interval_ms": 1000}
    ends = [tm.Filter("addr", allow=True, start_bytes=48 * GIB * k, end_bytes=48 * GIB * (k + 1)) for k in (0, 1)]
    schemes = pull(6000, **quota).replace(filters=(ends[1],)), push(4000, **quota).replace(filters=(ends[0],))
    return tm.Scenario(
        tm.Machine.dram_cxl("48 GiB", "48 GiB"),
        work.replace(placement=(tm.Placement(0, n, weights=(1, 1)),)),
        (tm.Context(schemes=schemes),),
    )


@pytest.mark.load
@pytest.mark.cluster
@pytest.mark.filterwarnings("default")  # dask's own warnings are not ours
def test_64_sweeps_at_once_on_one_cluster() -> None:
    from distributed import Client, LocalCluster

    sc = scenario(pull(), pages=512, groups=[tm.Group(0, 256, rate_hz=400.0)], machine=tm.Machine.dram_cxl("4 MiB", "4 MiB"))

    def design(k: int) -> dict[str, Any]:
        return {"contexts.0.schemes.0.quota.sz_bytes": [4096 * (k + 1), 8192 * (k + 1)], "seed": [k, k + 1]}

    def one(k: int, executor: Any) -> Any:
        return tm.sweep(sc, design(k), duration="1 s", measure=migrated, executor=executor, progress=False)

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        with ThreadPoolExecutor(64) as pool:
            together = list(pool.map(lambda k: one(k, client), range(64)))
    for k, got in enumerate(together):
        alone = one(k, "serial")
        assert got.identical(alone), k
    assert len({int(ds["pages"].sum()) for ds in together}) > 1, "not all the same answer"


def migrated(ds: Any) -> dict[str, int]:
    return {"pages": int(ds["migrated_pages"].sum()), "left": int(ds["class_pages"][-1].sum())}
