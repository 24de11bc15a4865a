"""A made-up comparison and a made-up run of realistic size: twelve policies, 120 times, ragged region snapshots."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tieringmodel.scenario import Context, Goal, Group, Machine, Placement, Quota, Scenario, Scheme, Workload

MIB = 1 << 20
POLICIES = [
    "goal: node_eligible_mem_bp temporal", "recorded kernel", "weights: vma_offset", "weights: iid",
    "weights: pfn_mod, fifo frames", "weights: pfn_mod, lifo frames", "weights: first share", "weights: last share",
    "all-fast", "all-slow", "static interleave", "oracle",
]  # fmt: skip
SETTLED = ["weights: vma_offset", "static interleave", "oracle"]


def scenario() -> Scenario:
    goal = Quota(sz_bytes=16 * MIB, reset_interval_ms=1000, goals=(Goal("node_eligible_mem_bp", 6000, nid=0),))
    return Scenario(
        Machine.dram_cxl(640 * MIB, 896 * MIB),
        Workload(100_000, groups=(Group(0, 40_000, rate_hz=50.0, name="hot"),), placement=(Placement(0, 100_000, 1),)),
        contexts=(Context(schemes=(Scheme("migrate_hot", target_nid=0, quota=goal),)),),
        name="made up",
    )


def regions(count: np.ndarray, top: int) -> dict[str, tuple[str, np.ndarray]]:
    """Return evenly cut regions below `top`, with accesses that differ by row."""
    edges = [np.linspace(0, top, n + 1).astype(np.uint64) // 4096 * 4096 for n in count]
    total = int(count.sum())
    return {
        "region_count": ("snapshot", count),
        "region_start": ("region", np.concatenate([e[:-1] for e in edges])),
        "region_end": ("region", np.concatenate([e[1:] for e in edges])),
        "region_nr_accesses": ("region", (np.arange(total) % 21).astype(np.uint32)),
        "region_age": ("region", np.arange(total).astype(np.uint32)),
    }


@pytest.fixture(scope="session")
def comparison() -> xr.Dataset:
    time = np.arange(1.0, 121.0)
    n = len(POLICIES)
    rng = np.random.default_rng(1)
    share = np.full((n, time.size), 6000.0)
    share[:2] = 6000 * (1 - np.exp(-time / 8)) + 400 * rng.standard_normal((2, time.size))
    share[2] = 6000 * (1 - np.exp(-time / 4))
    share[3:8] += 1500 * np.sin(time / np.arange(5, 10)[:, None])
    share[8], share[9] = 10_000, 0
    rate = np.zeros((n, time.size))
    rate[:2] = 10 + rng.standard_normal((2, time.size))
    rate[2] = 20 * np.exp(-time / 4) * (time < 30)
    rate[3:8] = np.arange(1, 6)[:, None]
    rest = np.isin(POLICIES, SETTLED)
    error = share[:, 60:].mean(axis=1) - 6000
    moving = rate[:, 60:].mean(axis=1)
    bounced = np.where(moving > 0, 0.4, 0.0)
    bounced[1] = np.nan
    policy = {
        "settled": rest,
        "settling_s": np.where(rest, 12.0, np.inf),
        "share_error_bp": error,
        "residual_mib_s": moving,
        "ping_pong": bounced,
        "moves_per_page": rate.sum(axis=1) * 256 / 40_000,
        "kind": np.where(rest, "converged", np.where(moving > 0, "ripple", "wrong-point")),
        "cause": np.array([f"mechanism number {k}, told in so many words that a line must break" for k in range(n)]),
        "fix": np.where(rest, "", "lower the quota"),
    }
    top = 1536 * MIB
    return xr.Dataset(
        {
            "share_bp": (("policy", "time"), share, {"units": "bp", "long_name": "share of accesses served by node 0"}),
            "migrated_mib_s": (("policy", "time"), rate, {"units": "MiB s-1"}),
            "target_bp": ((), 6000.0),
            **{name: ("policy", values) for name, values in policy.items()},
            **regions(np.array([10, 0, 25, 40]), top),
        },
        coords={
            "policy": POLICIES,
            "time": ("time", time, {"units": "s"}),
            "node": [0, 1],
            "snapshot_time": ("snapshot", np.array([1.0, 2.0, 3.0, 4.0])),
        },
        attrs={
            "name": "made up/1", "title": "Made up", "question": "Who comes to rest?", "scenario": scenario().to_json(),
            "duration_s": 120.0, "seed": 7, "tieringmodel": "0.1.0", "samples_per_aggr": 20,
        },
    )  # fmt: skip


@pytest.fixture(scope="session")
def run() -> xr.Dataset:
    time = np.arange(0.1, 30.0, 0.1)
    on = (time // 1 % 2 == 0)[:, None] == np.array([True, False])
    used = np.stack([100_000 + 1000 * time, 80_000 - 1000 * time], axis=1).astype(np.int64)
    return xr.Dataset(
        {
            "esz_bytes": (("time", "scheme"), np.where(on, 16 * MIB, 0).astype(np.uint64)),
            "score": (("time", "scheme"), np.where(on, 9000, 11_000).astype(np.uint64)),
            "resets": (("time", "scheme"), np.repeat(np.arange(time.size)[:, None], 2, axis=1)),
            "used_pages": (("time", "node"), used),
            "free_pages": (("time", "node"), 200_000 - used),
            **regions(np.array([4, 4, 8, 8]), 1536 * MIB),
        },
        coords={
            "time": time,
            "node": [0, 1],
            "scheme": [0, 1],
            "scheme_action": ("scheme", ["migrate_hot", "migrate_hot"]),
            "snapshot_time": ("snapshot", np.array([1.0, 1.0, 2.0, 2.0])),
            "snapshot_context": ("snapshot", np.array([0, 1, 0, 1])),
        },
        attrs={"kind": "simulation", "scenario": scenario().to_json(), "seed": 1, "duration_s": 30.0},
    )
