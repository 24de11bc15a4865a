"""The controller on one number per window and the page-level model: where they agree to the page, and where not."""

from __future__ import annotations

import numpy as np
import pytest

import tieringmodel as tm

MIB = 1 << 20
NODE_PAGES = 16384  # 64 MiB


def pages_run(tuner: str, sz_bytes: int, target_bp: int, windows: int) -> tuple[np.ndarray, np.ndarray]:
    """Used pages of node 0 before each window, and its effective quota: one scheme pulls from node 1, window by window."""
    quota = tm.Quota(
        sz_bytes=sz_bytes, reset_interval_ms=100, goal_tuner=tuner, goals=(tm.Goal("node_mem_used_bp", target_bp, nid=0),)
    )
    source = tm.Filter("addr", allow=True, start_bytes=64 * MIB, end_bytes=128 * MIB)
    scheme = tm.Scheme("migrate_hot", target_nid=0, quota=quota, filters=(source,))
    scenario = tm.Scenario(
        tm.Machine.dram_cxl("64 MiB", "64 MiB"),
        tm.Workload(8192, placement=(tm.Placement(0, 8192, 1),)),
        (tm.Context(schemes=(scheme,)),),
    )
    ds = tm.simulate(scenario, duration=windows * 0.1, seed=1, snapshots=0, progress=False)
    return ds["used_pages"].sel(node=0).values[:-1], ds["esz_bytes"].values[1:, 0]


@pytest.mark.parametrize(
    ("tuner", "cap", "target"), [("temporal", MIB, 1500), ("temporal", 3 * MIB, 2000), ("consist", 0, 1000)]
)
def test_both_models_agree_to_the_page_where_the_metric_is_exact(tuner, cap, target):
    """The used share of a node needs no monitoring, and the pages lie side by side: nothing tells the models apart."""
    windows = 24
    used, esz = pages_run(tuner, cap, target, windows)
    loop = tm.loop.run(tuner, target, NODE_PAGES, 0, cap_bytes=cap or None, capacity_pages=8192, windows=windows)
    np.testing.assert_array_equal(esz, loop["esz"].values)
    np.testing.assert_array_equal(used, loop["pages"].values)


def test_detection_makes_them_differ():
    """A goal about hot memory sees moved pages late: the page-level model overshoots more than one window without delay."""
    ds = tm.simulate(tm.load("rfc-40-60"), duration=60, seed=1, snapshots=0, progress=False)
    share = ds["access_share_bp"].sel(node=0).values
    cap_bp = 16 * MIB // 4096 * 10_000 / 65536
    ideal = tm.loop.run_pair("temporal", (4000, 6000), (16 * MIB,) * 2, 65536, 65536, windows=60)
    share_ideal = ideal["pages"].values / 65536 * 1e4
    assert np.ptp(share_ideal[30:]) <= cap_bp + 1  # one window back and forth
    assert np.ptp(share[ds["time"].values > 30]) >= cap_bp * 0.99
    assert abs(np.median(share[ds["time"].values > 30]) - 4000) <= cap_bp
