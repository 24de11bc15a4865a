"""One word for a run, the reason for it, the numbers behind it, and what to change."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..units import PAGE_SZ
from .causes_loop import Loop, diagnose_loop
from .causes_pair_and_rule import diagnose_interleave, diagnose_other, diagnose_pair
from .measures import measures, tail_of
from .record import Cause, Fix, Verdict
from .run_view import Series, judged_by
from .thresholds import Diagnosis, LoopState, Thresholds, loop_state

if TYPE_CHECKING:
    import xarray as xr

MOST_WINDOWS = 20_000
"""Longest approach that a remedy is followed for; slower ones show as what they are by then."""


def kind_of_moving(y_bp: npt.NDArray[np.float64], target_bp: float, band_bp: float) -> str:
    """Return the kind of a run that keeps moving pages without a cycle, from where its share is meanwhile.

    Parameters
    ----------
    y_bp : ndarray of float64
        Share in the tail; nan where it has no value.
    target_bp, band_bp : float
        The reference, and the distance from it that counts as none.

    Returns
    -------
    str
        ``"wrong-point"`` if the share stays on one side, beyond the band on average, else ``"ripple"``.
    """
    around = float(np.nanmin(y_bp)) <= target_bp <= float(np.nanmax(y_bp))
    return "ripple" if around or abs(float(np.nanmean(y_bp)) - target_bp) <= band_bp else "wrong-point"


def _repeats(y: npt.NDArray[np.float64], period: float, share: float) -> bool:
    """Return whether more than `share` of the swing returns after one period: noise passes the period test at times."""
    if not math.isfinite(period) or not 0 < round(period) <= y.size // 2:
        return False
    lag = round(period)
    first, second = y[:-lag] - y[:-lag].mean(), y[lag:] - y[lag:].mean()
    scale = math.sqrt(float(first @ first) * float(second @ second))
    return scale > 0 and float(first @ second) > share * scale


def _at_rest(view: Series, state: LoopState, inside: bool) -> str:
    if state.wants_more:
        return "saturated" if state.no_room else "stuck"
    if inside:
        return "ripple"
    known_rule = view.kind in ("loop", "loop_pair", "interleave")
    return "wrong-point" if known_rule or view.moved.any() else "stuck"


def classify(view: Series, measured: dict[str, Any], state: LoopState, limits: Thresholds) -> str:
    """Return the kind of a run from its share, its moves and its pages' returns, never from the share alone.

    Parameters
    ----------
    view : Series
        The run.
    measured : dict
        `measures` of it.
    state : LoopState
        What its tuners are doing at the end.
    limits : Thresholds
        What converged means.

    Returns
    -------
    str
        One of `KINDS`. A moving run is a limit cycle when it swings beyond the band with a period, or to both sides of
        the reference without randomness; a ripple when it keeps moving pages at or around the right share.
    """
    tail, target, band = measured["tail_windows"], measured["target_bp"], measured["band_bp"]
    y = view.y_bp[-tail:]
    distance = np.abs(y - target)
    inside = bool(distance.max() <= band + 1e-9)
    quiet = measured["residual_per_page_per_window"] <= limits.residual_per_page
    if inside and quiet and measured["ping_pong"] <= limits.ping_pong:
        return "converged"
    if view.parameters.get("direction") == "out":
        return "wrong-polarity"
    if not view.moved[-tail:].any():
        return _at_rest(view, state, inside)
    if state.swap_all or state.growing:
        return "runaway"
    if state.limited and y.mean() < target - band:
        return "saturated"
    if inside:
        return "ripple"
    half = tail // 2
    if half and distance[half:].min() > band and distance[half:].max() > 1.1 * distance[:half].max() + 0.1 * band:
        return "runaway"
    swings = measured["limit_cycle_amplitude_bp"] > band
    random = view.kind not in ("loop", "loop_pair") or view.parameters.get("noise_bp", 0.0) > 0
    # Noise on a weakly damped loop looks like a cycle for a while; only a true one keeps its shape.
    if swings and _repeats(y, measured["limit_cycle_period_windows"], 0.9 if random else 0.5):
        return "limit-cycle"
    if swings and not random and y.min() < target < y.max():
        return "limit-cycle"
    return kind_of_moving(y, target, band)


def _diagnose(
    kind: str, ds: xr.Dataset, view: Series, measured: dict[str, Any], state: LoopState, limits: Thresholds
) -> Diagnosis:
    if kind == "converged":
        return Diagnosis(
            f"every edge of the tail is within {measured['band_bp']:.0f} bp of {measured['target_bp']:.0f} bp, "
            "and pages rest where they are"
        )
    if view.kind == "loop":
        return diagnose_loop(kind, Loop(ds, view, measured, state, limits))
    if view.kind == "loop_pair":
        return diagnose_pair(kind, view, measured)
    return (diagnose_interleave if view.kind == "interleave" else diagnose_other)(kind, view, measured)


def _check(view: Series, changes: dict[str, Any], limits: Thresholds) -> dict[str, Any]:
    """Run a loop with the remedy's arguments and report what becomes of it."""
    from ..loop import run, run_pair

    arguments = {**view.parameters, **changes}
    # Long enough for a small cap to arrive and to rest for a whole tail afterwards.
    needed = 60 * (arguments["delay"] + 1) + 300
    if view.kind == "loop" and arguments["cap_bytes"] is not None:
        surplus = arguments["cap_bytes"] // PAGE_SZ - arguments["leak_pages"]
        needed = max(needed, 300 + min(MOST_WINDOWS, arguments["n_pages"] // max(1, surplus)))
    arguments["windows"] = max(arguments["windows"], needed)
    again = (run if view.kind == "loop" else run_pair)(**arguments)
    found = verdict_of_series(again, target_bp=None, node=None, limits=limits, check_fix=False)
    numbers = found.numbers
    return {
        "fix_kind": found.kind,
        "fix_error_bp": numbers["steady_state_error_bp"],
        "fix_residual_per_page_per_window": numbers["residual_per_page_per_window"],
        "fix_ping_pong": numbers["ping_pong"],
        "fix_windows": arguments["windows"],
    }


def verdict_of_series(
    ds: xr.Dataset, *, target_bp: float | None, node: int | None, check_fix: bool, limits: Thresholds
) -> Verdict:
    """Return the verdict on a loop, a pair of loops, an interleave run, or a share alone.

    Parameters
    ----------
    ds : xarray.Dataset
        The run.
    target_bp, node
        See `tieringmodel.verdict`.
    check_fix : bool
        Run a loop again with the proposed change and put what becomes of it into ``numbers``.
    limits : Thresholds
        By what it is judged.

    Returns
    -------
    Verdict
        The tail is the last 100 windows or 20 %, whichever is more, but at most half of a run of fewer than 200 windows.

    Notes
    -----
    Rule: docs/theory/stability.md, section 4, stable = settled and quiet and pages resting.
    """
    node, view, reference = judged_by(ds, node, target_bp)
    windows = view.moved.size
    tail = tail_of(windows) if windows >= 200 else max(1, windows // 2)
    measured = measures(
        ds,
        target_bp=reference,
        band_bp=limits.error_share * reference,
        node=node,
        tail_windows=tail,
        within=max(1, min(limits.within, (windows - 1) // 2)),
    )
    state = loop_state(ds, view, tail)
    kind = classify(view, measured, state, limits)
    found = _diagnose(kind, ds, view, measured, state, limits)
    numbers = {**measured, "thresholds": limits._asdict(), "fix_arguments": dict(found.changes)}
    if check_fix and found.changes and view.kind in ("loop", "loop_pair"):
        numbers |= _check(view, found.changes, limits)
    causes = (Cause(found.code, None, found.cause, evidence_of(measured)),) if found.cause else ()
    changes = tuple({"path": name, "old": view.parameters.get(name), "new": new} for name, new in found.changes.items())
    outcome = str(numbers.get("fix_kind", ""))
    return Verdict(
        kind=kind,
        text=f"{kind}: {found.cause}.",
        causes=causes,
        settling_s=measured.get("settling_s"),
        numbers=numbers,
        thresholds=limits._asdict(),
        fix=Fix(changes, found.fix, outcome, tried=int(bool(outcome))) if found.fix else None,
    )


def evidence_of(measured: dict[str, Any]) -> dict[str, Any]:
    """Return the measures that a cause of a loop rests on."""
    names = ("steady_state_error_bp", "residual_per_page_per_window", "overshoot_bp", "limit_cycle_amplitude_bp")
    return {name: measured[name] for name in names}
