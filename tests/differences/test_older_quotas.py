"""Quotas before 6.18 and 7.2: no limit until the first charge window ends, never full where they are not aligned."""

from __future__ import annotations

from kernel_cases import plain_quota
from small import MIB

import tieringmodel as tm


def test_up_to_6_17_nothing_is_limited_before_the_first_window_ends() -> None:
    found = tm.diff(plain_quota(), kernels=["6.12.117", "6.18"], duration="20 s", seed=1)
    old, new = (side.numbers["hot90_s_node0"] for side in found.sides)
    assert old < 1.0, "within the first charge window"
    assert 14.0 <= new <= 16.0, "1 MiB a window, 14.4 of 16 MiB"
    assert found.matter[0].switch == "first_window_esz"
    assert found.matter[0].side.numbers["hot90_s_node0"] == old
    assert found.matter[0].shares["hot90_s_node0"] == 1.0
    assert found.together is None
    assert "Because of first_window_esz (100 % of the difference)." in str(found)


def test_from_7_1_on_an_effective_quota_of_0_stops_so_two_rules_go_together() -> None:
    found = tm.diff(plain_quota(), kernels=["6.12.117", "7.3.4"], duration="20 s", seed=1)
    old, new = (side.numbers["hot90_s_node0"] for side in found.sides)
    assert old < 1.0
    assert 14.0 <= new <= 16.0
    assert all(effect.shares["hot90_s_node0"] < 0.5 for effect in found.effects)
    assert found.together is not None
    assert set(found.together.switches) == {"first_window_esz", "esz0_stop"}
    assert found.together.share >= 0.9
    assert min(found.together.each.values()) >= 0.9, "a backport of either limits the first window"


def test_a_quota_that_is_not_aligned_is_never_full_before_7_2() -> None:
    kernels = [tm.Kernel("7.3.4", quota_full_min_region=False), "7.3.4"]
    found = tm.diff(plain_quota(sz_bytes=MIB - 1000), kernels=kernels, duration="20 s", seed=1)
    old, new = (side.numbers["qt_exceeds_scheme0"] for side in found.sides)
    assert old == 0
    assert new >= 14
    assert [effect.switch for effect in found.matter] == ["quota_full_min_region"]
    aligned = tm.diff(plain_quota(), kernels=kernels, duration="20 s", seed=1)
    assert aligned.same
