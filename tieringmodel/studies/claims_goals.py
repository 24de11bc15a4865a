"""Claim (iii): a target-state goal settles and stops."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..units import PAGE_SZ
from .rfc_claims import Case, Claim, Evidence, Make, build, counted

if TYPE_CHECKING:
    import xarray as xr

N_PAGES = 100_000
CAP_PAGES = 2_000
TARGET_BP = 6_000
WINDOWS = 400
DELAY = 5
LEAK_PAGES = 100
NOISE_BP = 100

Floats = npt.NDArray[np.float64]


def judged(setting: str, condition: str, ds: xr.Dataset, n_pages: int, evidence: Make, esz: Floats | None = None) -> Case:
    """Return the case of a loop or a pair of loops; the claim holds if the run converged."""
    from .. import analysis

    found = analysis.verdict(ds, check_fix=False)
    kind, measured = found.kind, found.numbers
    share = 1e4 * np.append(ds["pages"].values, ds["final_pages"].values) / n_pages
    moved = ds["moved"].values
    moved = (moved.sum(axis=1) if moved.ndim == 2 else moved) / n_pages
    late = float(measured["residual_per_page_per_window"])
    return Case(
        setting,
        condition,
        kind == "converged",
        f"{kind} at {share[-1]:.0f} bp" + (f", {100 * late:.3g} % of all pages move per window" if late else ""),
        share,
        moved,
        float(measured["target_bp"]),
        evidence(ds, measured),
        np.zeros(0) if esz is None else esz,
    )


def _goal(
    setting: str, condition: str, evidence: Make = lambda ds, measured: (), tuner: str = "temporal", **changes: Any
) -> Case:
    """Run the RFC's wish, 40 % on node 0 and 60 % on node 1 from an empty node 1, with one thing changed."""
    from .. import loop

    arguments: dict[str, Any] = {
        "target_bp": TARGET_BP,
        "n_pages": N_PAGES,
        "start_pages": 0,
        "cap_bytes": CAP_PAGES * PAGE_SZ,
        "windows": WINDOWS,
    } | changes
    ds = loop.run(tuner, **arguments)
    return judged(setting, condition, ds, N_PAGES, evidence)


def _ends(what: str, expected_bp: float) -> Make:
    what += ", share of the goal's node at the end"
    return counted(what, lambda ds, _: 1e4 * int(ds["final_pages"]) / N_PAGES, expected_bp, unit="bp")


def _base(ds: xr.Dataset, measured: Mapping[str, Any]) -> tuple[Evidence, ...]:
    from ..theory import closed_forms

    theory = closed_forms.temporal_stop(N_PAGES, 0, TARGET_BP, CAP_PAGES)
    what = "TEMPORAL with a cap of 2 %"
    return (
        Evidence(f"{what}, windows until nothing moves", measured["quiescence_windows"], theory.active_windows),
        *_ends(what, 1e4 * theory.final_pages / N_PAGES)(ds, measured),
        Evidence(f"{what}, moves per page beyond the net change", measured["excess_moves_per_page"], 0.0, 1e-12),
    )


def _stopped(ds: xr.Dataset, measured: Mapping[str, Any]) -> tuple[Evidence, ...]:
    # The last step before the stop is at most one cap (docs/theory/stability.md, section 3c).
    share = 1e4 * int(ds["final_pages"]) / N_PAGES
    half = 1e4 * CAP_PAGES / N_PAGES / 2
    return (Evidence("CONSIST with stop, share at the end", share, TARGET_BP + half, half, "bp"),)


def _churn(ds: xr.Dataset, measured: Mapping[str, Any]) -> tuple[Evidence, ...]:
    # Over the tail the relay's sum can be off by one cap at either end.
    late, tail = measured["residual_pages_per_window"], measured["tail_windows"]
    return (Evidence("churn, pages moved per window, late", late, LEAK_PAGES, CAP_PAGES / tail, "pages"),)


def ratchet_end_bp(windows: int = WINDOWS) -> tuple[float, float]:
    """Return mean and standard deviation, in bp, of where TEMPORAL ends under noise: the exact chain of its windows.

    From z bp beyond the goal a window moves one cap if the noise, rounded to whole bp, falls below -z.
    """
    step = 1e4 * CAP_PAGES / N_PAGES
    above = step * np.arange(round(1e4 / step) + 1) - TARGET_BP
    moves = np.array([0.5 * math.erfc((z + 0.5) / NOISE_BP / math.sqrt(2)) for z in above])
    moves[-1] = 0.0
    chain = np.zeros(above.size)
    chain[0] = 1.0
    for _ in range(windows):
        going = chain * moves
        chain = chain - going
        chain[1:] += going[:-1]
    mean = float(chain @ above)
    return TARGET_BP + mean, math.sqrt(float(chain @ above**2) - mean**2)


def _noisy(ds: xr.Dataset, measured: Mapping[str, Any]) -> tuple[Evidence, ...]:
    from .. import loop

    seeds = np.arange(400)
    many = loop.run_many(
        "temporal",
        TARGET_BP,
        N_PAGES,
        0,
        cap_bytes=CAP_PAGES * PAGE_SZ,
        noise_bp=float(NOISE_BP),
        windows=WINDOWS,
        seed=seeds,
    )
    mean, spread = ratchet_end_bp()
    share = 1e4 * float(many["final_pages"].mean()) / N_PAGES
    what = f"noise of {NOISE_BP} bp, mean share at the end of {seeds.size} runs"
    return (Evidence(what, share, mean, 5 * spread / math.sqrt(seeds.size), "bp"),)


def claim_iii() -> Claim:
    """A goal in basis points settles and stops: a setting in which it does, and one departure after the other."""
    from ..theory import closed_forms

    late = closed_forms.temporal_stop(N_PAGES, 0, TARGET_BP, CAP_PAGES, DELAY).final_pages
    cases = [
        _goal("TEMPORAL, cap 2 %", "", _base),
        _goal("CONSIST + stop, cap 2 %", "", _stopped, "consist", early_exit=True),
        _goal(
            "goal on the source node", "the goal is on the receiving node",
            _ends("as written, goal of 4000 bp on the node to be emptied", 1e4), target_bp=4000, start_pages=N_PAGES,
            direction="out", early_exit=True,
        ),
        _goal(
            # A frame's node is constant: the metric stays at its first value whatever moves, as with endless delay.
            "metric counts frames", "the metric counts data and not frames", _ends("frame-counting metric", 1e4),
            delay=WINDOWS,
        ),
        _goal(
            "CONSIST without stop", "something stops the scheme at the goal (TEMPORAL, or CONSIST with a stop rule)",
            _ends("CONSIST without stop or cap", closed_forms.consist_end_bp(TARGET_BP, 0)), "consist", cap_bytes=None,
        ),
        _goal("TEMPORAL, no cap", "a size quota caps each window", _ends("TEMPORAL without cap", 1e4), cap_bytes=None),
        _goal(
            f"metric {DELAY} windows late", "the metric does not lag",
            _ends(f"delay of {DELAY} windows", 1e4 * late / N_PAGES), delay=DELAY,
        ),
        _goal(
            f"metric noise {NOISE_BP} bp", "the metric carries no noise", _noisy, noise_bp=float(NOISE_BP), seed=1,
        ),
        _goal(
            "0.1 % churn per window", "the hot set stands still", _churn, leak_pages=LEAK_PAGES,
        ),
        _goal(
            "start above the goal", "the start is below the goal", _ends("start at 8000 bp", 8000.0),
            start_pages=N_PAGES * 8 // 10,
        ),
    ]  # fmt: skip
    text = (
        "A goal in basis points on a node's share makes the quota loop settle: migration runs while the share is short "
        "of the goal and stops when it is met, without knowing any page."
    )
    return build("iii", text, cases, departures=True)
