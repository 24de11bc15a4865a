"""The verdict line: what settled means, and which kind and cause an unsettled policy gets."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel.comparison.policies import weighted
from tieringmodel.verdicts.summary import Summary, judge

PAGES, MIB_PAGES = 10_000, 256
GOAL = scenario(pull(4000))
TIME = np.arange(101.0)


def verdict(share: Any, moved: Any, returns: np.ndarray | None = None, **other: Any) -> Summary:
    y = np.broadcast_to(np.asarray(share, float), TIME.shape)
    m = np.broadcast_to(np.asarray(moved, np.int64), TIME.shape)
    table = np.zeros((TIME.size, 33), np.int64) if returns is None else returns
    given = {"window_s": 1.0, "n_pages": PAGES, "target_bp": 4000, "policy": "goal", "scenario": GOAL} | other
    return judge(TIME, y, m, table, **given)


def ramp(until: int, start: float = 0.0, end: float = 4000.0) -> np.ndarray:
    return np.minimum(start + (end - start) * TIME / until, end) if end > start else np.maximum(
        start + (end - start) * TIME / until, end
    )  # fmt: skip


def test_a_ramp_that_stops_at_the_target_has_settled() -> None:
    moved = np.where((TIME > 0) & (TIME <= 20), 200, 0)
    found = verdict(ramp(20), moved)
    # 2 % of 4000 is 80 bp: inside from 3920 on, first at 20 s (19 s: 3800).
    assert (found.settled, found.kind, found.settling_s) == (True, "converged", 20.0)
    assert found.share_error_bp == 0.0
    assert found.residual_mib_s == 0.0
    assert found.ping_pong == 0.0
    assert found.moves_per_page == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("share", "moved", "kind"),
    [
        (0.0, 0, "stuck"),
        (4000.0, 0, "converged"),
        (4080.0, 0, "converged"),
        (4081.0, 0, "wrong-point"),  # a goal is a floor: past it nothing is owed, and nothing takes it back
        (3919.0, 0, "stuck"),
        (2000 + 1500 * np.sign(np.sin(TIME / 4)), 600, "limit-cycle"),  # on one side, but for ever to and fro
        (np.where(TIME < 75, 4400, 4900), 30, "wrong-point"),  # one step is no cycle
        (4500.0, 10, "wrong-point"),  # moves on, but never to the target
        (np.where(TIME < 5, 0, 4500), np.where(TIME == 5, 4500, 0), "wrong-point"),
        (4000 + 300 * (TIME % 2 * 2 - 1), 600, "limit-cycle"),
        (4000 + 79 * (TIME % 2 * 2 - 1), 158, "ripple"),
        (4000.0, 10, "ripple"),  # the share stands still, pages do not
        (4000.0, 1, "converged"),  # one page of ten thousand a window is allowed
        (ramp(400), 10, "drifting"),
        (np.full(101, np.nan), 0, "stuck"),
        (np.where(TIME < 10, 4000, np.nan), 0, "stuck"),
    ],
)
def test_kinds(share: Any, moved: Any, kind: str) -> None:
    found = verdict(share, moved)
    assert found.kind == kind
    assert found.settled == (kind == "converged")
    assert found.cause
    assert found.fix or kind == "converged"


def test_without_accesses_there_is_no_share() -> None:
    found = verdict(np.full(101, np.nan), 0)
    assert np.isnan(found.share_error_bp)
    assert "nothing is accessed" in found.cause
    half = verdict(np.where(TIME % 2, 3000, np.nan), 0)  # gaps alone are no verdict
    assert half.share_error_bp == -1000


def test_settling_in_the_last_third_does_not_count() -> None:
    late = np.where(TIME < 67, 0.0, 4000.0)
    assert verdict(late, np.where(TIME == 67, 4000, 0)).settling_s == float("inf")
    early = np.where(TIME < 66, 0.0, 4000.0)
    assert verdict(early, np.where(TIME == 66, 4000, 0)).settling_s == 66.0


def test_bouncing_pages_are_not_settled() -> None:
    moved = np.where(TIME < 10, 400, 0)
    share = np.where(TIME < 10, 3000, 4000)
    bounces = np.zeros((TIME.size, 33), np.int64)
    bounces[5, 3], bounces[6, 10], bounces[7, 11] = 30, 9, 999
    assert verdict(share, moved, bounces).ping_pong == pytest.approx(39 / 4000)
    assert verdict(share, moved, bounces).settled
    bounces[6, 10] = 12
    assert not verdict(share, moved, bounces).settled


def test_the_residual_is_counted_after_settling_else_in_the_second_half() -> None:
    moved = np.where(TIME <= 20, 200, MIB_PAGES)
    unsettled = verdict(np.where(TIME % 2, 3000, 5000), moved)
    assert unsettled.residual_mib_s == pytest.approx(1.0)
    assert unsettled.share_error_bp == pytest.approx(np.where(TIME[50:] % 2, -1000, 1000).mean())
    settled_share = verdict(np.where(TIME < 10, 0, 4000), np.where(TIME <= 20, 200, 0))
    assert settled_share.residual_mib_s == pytest.approx(10 * 200 / 256 / 90)
    assert settled_share.kind == "ripple"


@pytest.mark.parametrize(
    ("policy", "sc", "share", "moved", "words"),
    [
        ("goal", GOAL, 0.0, 0, ["no quota is granted"]),
        ("goal", scenario(pull(4000, goal_tuner="consist")), 0.0, 0, ["CONSIST starts at 1 byte", "12 evaluations"]),
        ("goal", scenario(pull(6000), push(4000)), 4000 + 300 * (TIME % 2), 600, ["sum to 10000 bp", "1 MiB", "swing 300"]),
        ("goal", scenario(pull(6000), push(3000)), 4000 + 300 * (TIME % 2), 600, ["TEMPORAL keeps acting", "swing 300"]),
        ("goal", GOAL, np.where(TIME < 5, 0, 4500), np.where(TIME == 5, 4500, 0), ["500 bp above", "1 MiB"]),
        ("goal", scenario(pull(4000, goal_tuner="consist")), 4500.0, 0, ["floor", "500 bp"]),
        ("goal", scenario(pull(6000), push(4000)), 4500.0, 0, ["no quota"]),
        ("goal", GOAL, 4500.0, 600, ["keep moving", "500 bp above"]),
        ("goal", GOAL, ramp(400), 10, ["still on the way"]),
        ("goal", scenario(pull(4000, metric="node_sys_bp")), 0.0, 0, ["which migration cannot change"]),
        ("weights: iid redraw", weighted(GOAL, "iid"), 4000.0, 4800, ["48.00% of the touched pages", "draws the node anew"]),
        ("weights: vma_offset", weighted(GOAL, "vma_offset"), 4000.0, 0, ["moved once, then left alone"]),
        ("weights: vma_offset", weighted(GOAL, "vma_offset"), 5000.0, 0, ["+1000 bp"]),
        ("weights: pfn_mod", weighted(GOAL, "pfn_mod", "lifo"), 5000.0, 1000, ["freed frames are reused first"]),
        ("weights: pfn_mod", weighted(GOAL, "pfn_mod", "fifo"), 5263.0, 0, ["first frame that agrees", "+1263 bp"]),
        ("weights: first share", weighted(GOAL, "first"), 4000.0, 8000, ["lowest frames", "80.00%"]),
        ("weights: last share", weighted(GOAL, "last"), 4000.0, 0, ["highest frames"]),
        ("oracle", scenario(contexts=()), 4000.0, 0, ["knows the workload"]),
        ("all-fast", scenario(contexts=()), 10_000.0, 0, ["+6000 bp off"]),
        ("static interleave", scenario(contexts=()), 4000.0, 0, ["placed at the target"]),
    ],
)
def test_causes_name_the_mechanism_and_its_numbers(
    policy: str, sc: tm.Scenario, share: Any, moved: Any, words: list[str]
) -> None:
    found = verdict(share, moved, policy=policy, scenario=sc)
    for word in words:
        assert word in found.cause
    assert found.fix or found.kind == "converged" or policy == "all-fast"


def test_a_run_of_one_record_has_a_verdict() -> None:
    found = judge(
        np.zeros(1), np.array([4000.0]), np.zeros(1, np.int64), np.zeros((1, 33), np.int64), window_s=1.0,
        n_pages=PAGES, target_bp=4000, policy="goal", scenario=GOAL,
    )  # fmt: skip
    assert found.kind == "converged"
    assert {f.name for f in fields(found)} >= {"settled", "kind", "cause", "fix"}
