"""Many simulations in one process do not make it grow (``TIERINGMODEL_LOAD=10000`` for the long form)."""

from __future__ import annotations

import gc
import os

from small import pull, scenario

import tieringmodel as tm

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
