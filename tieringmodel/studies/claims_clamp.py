"""Claim (iv): clamping a goal to capacity keeps the tuner from impossible targets and two contexts from thrashing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..units import PAGE_SZ
from .claims_goals import WINDOWS, judged
from .rfc_claims import Case, Claim, Evidence, Make, build, counted

if TYPE_CHECKING:
    import xarray as xr

CLAMP_PAGES = 1_000_000
REACH_BP = 4_000
WANTED_BP = 5_000
SPANNED_BP = 4_400
PAIR_TARGETS = (7_000, 5_000)
PAIR_CAPACITY = (6_000, 4_000)
PAIR_CAP_PAGES = 7_000
SEEN = "the tuner sees the clamp, which as posted only the stop rule did"


def _clamp(setting: str, condition: str, clamp_bp: int | None, evidence: Make, tuner: str = "consist") -> Case:
    from .. import loop

    ds = loop.run(
        tuner,
        WANTED_BP,
        CLAMP_PAGES,
        0,
        capacity_pages=CLAMP_PAGES * REACH_BP // 10_000,
        clamp_bp=clamp_bp,
        windows=WINDOWS,
        cap_bytes=None if tuner == "consist" else CLAMP_PAGES // 100 * PAGE_SZ,
    )
    return judged(setting, condition, ds, CLAMP_PAGES, evidence, ds["esz"].values.astype(float))


def _growth(what: str, expected: float) -> Make:
    """Quota growth per window, over the twenty windows after the node is full."""

    def growth(ds: xr.Dataset, measured: Mapping[str, Any]) -> float:
        esz = ds["esz"].values.astype(float)
        full = int(np.argmax(ds["pages"].values == CLAMP_PAGES * REACH_BP // 10_000))
        return float((esz[full + 20] / esz[full]) ** (1 / 20))

    # Whole bytes of a quota of more than 1e8 bytes.
    return counted(f"{what}, quota growth per window once the node is full", growth, expected, 1e-6)


def _asks(what: str, expected_bytes: int) -> Make:
    return counted(f"{what}, quota asked for at the end", lambda ds, _: int(ds["esz"].values[-1]), expected_bytes, 0, "B")


def _pair(setting: str, condition: str, targets: tuple[int, int], residual: float) -> Case:
    from .. import loop

    ds = loop.run_pair("temporal", targets, (PAIR_CAP_PAGES * PAGE_SZ,) * 2, CLAMP_PAGES, 0, windows=WINDOWS)
    what = f"{setting}, pages moved per window, late"
    moved = counted(what, lambda _, measured: measured["residual_pages_per_window"], residual, unit="pages")
    return judged(setting, condition, ds, CLAMP_PAGES, moved, ds["esz"].values.sum(axis=1).astype(float))


def _never_above() -> Evidence:
    """Largest sum of two goals after clamping to shares that sum to 10000, over every pair of goals on a grid."""
    goals = np.arange(1, 10_001, 37)
    first = np.arange(1, 10_000, 37)
    sums = [int((np.minimum(goals, c)[:, None] + np.minimum(goals, 10_000 - c)[None, :]).max()) for c in first.tolist()]
    return Evidence("largest sum of two goals clamped to shares of one memory", max(sums), 10_000, 37, "bp")


def claim_iv() -> Claim:
    """Clamping to capacity: the same wish with the clamp, without it, above what is reachable, and for two schemes."""
    from ..theory import closed_forms

    clamped = (min(PAIR_TARGETS[0], PAIR_CAPACITY[0]), min(PAIR_TARGETS[1], PAIR_CAPACITY[1]))
    # A gap of two caps, taken from both goals alike.
    gap = 2 * PAIR_CAP_PAGES * 10_000 // CLAMP_PAGES // 2
    caps = (PAIR_CAP_PAGES, PAIR_CAP_PAGES)
    cases = [
        _clamp("CONSIST, clamped to what fits", "", REACH_BP, _growth("CONSIST clamped", 1.0)),
        _clamp("TEMPORAL, clamped to what fits", "", REACH_BP, _asks("TEMPORAL clamped", 0), "temporal"),
        _clamp(
            # v1 reads the clamp in its stop rule only; a full node takes nothing either way, and the tuner goes on.
            "CONSIST, clamp not in the tuner", SEEN, None,
            _growth("CONSIST that does not see the clamp", closed_forms.windup_growth(REACH_BP, WANTED_BP)),
        ),
        _clamp(
            "TEMPORAL, clamp not in the tuner", SEEN, None,
            _asks("TEMPORAL that does not see the clamp", CLAMP_PAGES // 100 * PAGE_SZ), "temporal",
        ),
        _clamp(
            "CONSIST, clamp above reach", "the clamp is no more than the node can take", SPANNED_BP,
            _growth("clamp 400 bp above reach", closed_forms.windup_growth(REACH_BP, SPANNED_BP)),
        ),
        _pair(
            "pair, goals + clamp + gap", "", (clamped[0] - gap, clamped[1] - gap),
            closed_forms.push_pull((clamped[0] - gap, clamped[1] - gap), caps).residual_pages_per_window,
        ),
        _pair(
            # From just short of one goal a whole cap crosses the single point that meets both, and the other answers.
            "pair, clamps sum to 10000", "two clamped goals leave a gap of a cap between them", clamped, PAIR_CAP_PAGES,
        ),
        _pair(
            "pair, goals not clamped", SEEN, PAIR_TARGETS,
            closed_forms.push_pull(PAIR_TARGETS, caps).residual_pages_per_window,
        ),
    ]  # fmt: skip
    text = (
        "Clamping a goal to what its node can hold keeps the quota from chasing an impossible target, and keeps two "
        "contexts with opposing goals from thrashing."
    )
    return build("iv", text, cases, departures=True, extra=(_never_above(),))
