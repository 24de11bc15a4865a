"""Why one feedback loop does what it does, and the nearest knob that changes it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..theory import closed_forms
from ..theory.exponents import noise_floor
from ..theory.linear import linear
from ..units import PAGE_SZ
from .run_view import Series
from .thresholds import Diagnosis, LoopState, Thresholds, cap_pages, quiet_cap_pages

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Loop:
    """A single loop with what the causes below ask of it."""

    ds: xr.Dataset
    view: Series
    measured: dict[str, Any]
    state: LoopState
    limits: Thresholds

    def __getattr__(self, name: str) -> Any:
        """Look up an argument of the run."""
        try:
            return self.view.parameters[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def goal_bp(self) -> int:
        """Goal in force: the smaller of target and clamp."""
        return round(self.view.target_bp or 0)

    @property
    def start_bp(self) -> float:
        """Share at the start in bp."""
        return float(self.view.y_bp[0])

    @property
    def end_bp(self) -> float:
        """Share at the last edge in bp."""
        return float(self.view.y_bp[-1])

    @property
    def goal_pages(self) -> int:
        """Fewest pages that meet the goal."""
        return int(-(-self.goal_bp * self.n_pages // 10_000))

    @property
    def leak_at_goal(self) -> int:
        """Pages that leave per window while the goal is met."""
        return int(self.leak_pages + int(self.leak_rate * self.goal_pages))

    @property
    def roomy_cap(self) -> int:
        """Largest cap in pages that keeps (delay + 1) caps inside the band."""
        return quiet_cap_pages(self.measured["band_bp"], self.n_pages, self.delay)

    @property
    def quiet_cap(self) -> int:
        """`roomy_cap`, and no more than the run's own cap."""
        own = cap_pages(self.cap_bytes)
        return self.roomy_cap if not own else min(own, self.roomy_cap)

    @property
    def quiet_cap_bytes(self) -> int:
        """`quiet_cap` in bytes."""
        return self.quiet_cap * PAGE_SZ

    @property
    def feedable_cap_bytes(self) -> int:
        """Cap in bytes that refills the leak and keeps the swing inside the band as far as the delay allows."""
        return self.feedable_cap_at(self.delay)

    def feedable_cap_at(self, delay: int) -> int:
        """`feedable_cap_bytes` if the delay were `delay` windows."""
        leak, roomy = self.leak_at_goal, quiet_cap_pages(self.measured["band_bp"], self.n_pages, delay)
        # Where the leak alone already crosses the band, the smallest surplus swings least.
        return (leak + (roomy if leak <= roomy else max(1, leak // 20))) * PAGE_SZ


def _caps(count: int) -> str:
    return "one cap" if count == 1 else f"{count} caps"


def _wrong_polarity(loop: Loop) -> Diagnosis:
    head = (
        "the goal is on the node that the scheme empties: more quota lowers the metric, where the tuner expects it to "
        "rise (positive feedback)"
    )
    if loop.start_bp > loop.goal_bp:
        turned = 10_000 - loop.goal_bp
        done = (
            f"it reads {loop.start_bp:.0f} bp against a goal of {loop.goal_bp} as achieved and never starts"
            if not loop.view.moved.any()
            else f"the run ends at {loop.end_bp:.0f} bp"
        )
        return Diagnosis(
            f"{head}; {done}",
            f"put the goal on the receiving node: at least {turned} bp there",
            _turned(loop, turned) | {"direction": "in"},
            code="wrong-node",
        )
    return Diagnosis(
        f"{head}; below its goal it pushes harder the further it falls, to {loop.end_bp:.0f} bp",
        "use a scheme that moves pages into the goal's node (direction='in')",
        {"direction": "in", "cap_bytes": loop.quiet_cap_bytes} | _stop(loop),
        code="wrong-node",
    )


def _turned(loop: Loop, target_bp: int) -> dict[str, Any]:
    return {
        "target_bp": target_bp,
        "clamp_bp": None,
        "capacity_pages": None,
        "start_pages": loop.n_pages - loop.start_pages,
        "cap_bytes": min(loop.quiet_cap, quiet_cap_pages(loop.limits.error_share * target_bp, loop.n_pages, loop.delay))
        * PAGE_SZ,
    } | _stop(loop)


def _stop(loop: Loop) -> dict[str, Any]:
    # CONSIST keeps a quota at its goal; only a stop rule makes it rest there.
    return {"early_exit": True} if loop.tuner == "consist" else {}


def _saturated(loop: Loop) -> Diagnosis:
    ceiling = loop.n_pages if loop.capacity_pages is None else min(loop.capacity_pages, loop.n_pages)
    reach = ceiling * 10_000 // loop.n_pages
    if reach < loop.goal_bp and loop.end_bp >= 0.98 * reach:
        esz = int(loop.ds["esz"].values[-1])
        growth = closed_forms.windup_growth(math.floor(loop.end_bp), loop.goal_bp)
        effect = (
            f"its quota winds up by {growth:.4f} per window, to {esz} B"
            if loop.tuner == "consist"
            else f"TEMPORAL asks for {esz} B in every window for ever"
        )
        return Diagnosis(
            f"the goal of {loop.goal_bp} bp is above what is reachable ({reach} bp fit): {effect}",
            f"clamp the goal to what is reachable: clamp_bp={max(1, reach)}",
            {"clamp_bp": max(1, reach)},
            code="capacity",
        )
    own = cap_pages(loop.cap_bytes) or 0
    leak = loop.leak_pages + int(loop.leak_rate * loop.ds["pages"].values[-1])
    if leak >= own:
        return Diagnosis(
            f"the leak takes {leak} pages per window, all that the cap of {own} pages brings in",
            f"raise the cap above the leak at the goal: cap_bytes={loop.feedable_cap_bytes}",
            {"cap_bytes": loop.feedable_cap_bytes},
            code="drift",
        )
    if loop.leak_at_goal >= own:
        return Diagnosis(
            f"at the goal {loop.leak_at_goal} pages per window would leave, the cap brings in {own}: it is never reached",
            f"raise the cap above the leak at the goal: cap_bytes={loop.feedable_cap_bytes}",
            {"cap_bytes": loop.feedable_cap_bytes},
            code="drift",
        )
    missing = loop.goal_pages - int(loop.ds["final_pages"])
    more = -(-missing // max(1, own - leak))
    if 2 * own > loop.roomy_cap:
        return _longer(loop, f"still on its way at the cap of {own} pages per window", loop.windows + more)
    return Diagnosis(
        f"the cap of {own} pages per window is too small for the distance: about {more} more windows to go",
        f"raise the cap: cap_bytes={loop.feedable_cap_bytes}",
        {"cap_bytes": loop.feedable_cap_bytes} | _stop(loop),
        code="quota-limited",
    )


def _longer(loop: Loop, cause: str, until: int) -> Diagnosis:
    windows = int(until) + loop.delay + 300
    changes: dict[str, Any] = {"windows": windows}
    if loop.tuner == "consist" and not loop.leak_at_goal:
        changes |= {"early_exit": True, "cap_bytes": loop.quiet_cap_bytes}
    return Diagnosis(
        f"{cause}; the run of {loop.windows} windows is too short",
        ("run longer, and stop at the goal: " if len(changes) > 1 else "run longer: ")
        + ", ".join(f"{name}={value}" for name, value in changes.items()),
        changes,
        code="run-too-short",
    )


def _stuck(loop: Loop) -> Diagnosis:
    changes = {"tuner": "temporal", "cap_bytes": loop.quiet_cap_bytes}
    if cap_pages(loop.cap_bytes) == 0:
        return Diagnosis(
            f"the cap of {loop.cap_bytes} B is less than one page of {PAGE_SZ} B: nothing can ever move",
            f"raise the cap: cap_bytes={loop.quiet_cap_bytes}",
            {"cap_bytes": loop.quiet_cap_bytes} | _stop(loop),
            code="quota-below-region",
        )
    score = int(loop.ds["score"].values[-1])
    first = closed_forms.first_page_window(score, loop.esz_bp0) if not loop.view.moved.any() else math.inf
    until = f"dead time until about window {first:.0f}" if first < math.inf else "and it does not grow to one"
    return Diagnosis(
        f"the quota is {int(loop.ds['esz'].values[-1])} B, still under one page of {PAGE_SZ} B: {until} "
        f"(growth {2 - score / 10_000:.4f} per window from a cold start)",
        f"use the temporal tuner with cap_bytes={loop.quiet_cap_bytes}: it has no dead time",
        changes,
        code="quota-below-region",
    )


def _wrong_point(loop: Loop) -> Diagnosis:
    if loop.end_bp < loop.goal_bp:
        return _longer(loop, "still on its way up", 4 * loop.windows)
    if not loop.view.moved.any():
        turned = max(1, 10_000 - loop.goal_bp)
        return Diagnosis(
            f"the run starts at {loop.start_bp:.0f} bp, above the goal, and a scheme that only moves pages in "
            "cannot lower that",
            f"add a scheme with a goal on the other node: at least {turned} bp there",
            _turned(loop, turned),
            code="one-way",
        )
    if loop.noise_bp > 0 and loop.measured["overshoot_bp"] <= 5 * loop.noise_bp + loop.measured["band_bp"]:
        return Diagnosis(
            f"noise of {loop.noise_bp:g} bp now and then reads as a missed goal, and moves in one direction are "
            "never undone: the share ratchets up",
            "average the metric before the tuner sees it (noise_bp=0)",
            {"noise_bp": 0.0, "cap_bytes": loop.quiet_cap_bytes} | _stop(loop),
            code="noise",
        )
    changes = {"cap_bytes": loop.quiet_cap_bytes} | _stop(loop)
    fix = f"set cap_bytes={loop.quiet_cap_bytes}" + (" and early_exit=True" if loop.tuner == "consist" else "")
    own = cap_pages(loop.cap_bytes)
    if loop.tuner == "consist" and not loop.early_exit:
        ideal = closed_forms.consist_end_bp(loop.goal_bp, loop.start_bp)
        return Diagnosis(
            "CONSIST reaches its goal with a large quota that shrinks by only 2 - score per window and nothing "
            f"stops the moves: the overshoot mirrors the approach (about {ideal:.0f} bp without cap and delay)",
            fix,
            changes,
            code="tuner-windup",
        )
    if own is None:
        return Diagnosis(
            "without a size quota "
            + (
                "one window moves every eligible page, and the goal is read only once per window"
                if loop.tuner == "temporal"
                else "the last step before the stop is as large as CONSIST's quota has "
                "grown, and windows that are not yet seen in the metric add to it"
            ),
            fix,
            changes,
            code="step-over",
        )
    lag = f"a relay that sees its moves {loop.delay} windows late" if loop.delay else "a goal read once per window"
    return Diagnosis(f"{lag} overshoots by up to {_caps(loop.delay + 1)} of {own} pages", fix, changes, code="step-over")


def _leaking(loop: Loop) -> Diagnosis:
    leak, band = loop.leak_at_goal, loop.measured["band_bp"]
    swings = loop.measured["limit_cycle_amplitude_bp"] > band
    if loop.tuner == "consist" and not loop.early_exit and swings:
        # Where the rate takes less than a page, only the constant part leaks.
        proportional = int(loop.leak_rate * loop.goal_pages) > loop.leak_pages
        if proportional:
            lin = linear(loop.leak_rate, delay=loop.delay)
            if loop.delay:  # one window is marginal at a gain of 1, more are unstable
                return Diagnosis(
                    f"at a delay of {loop.delay} the tuner's gain of 1 is at or above the critical "
                    f"{lin.critical_gain:.4f} (spectral radius {lin.spectral_radius:.4f}): oscillations grow until "
                    "a limit holds them",
                    "let a window last longer than the lag (delay=0)",
                    {"delay": 0},
                    code="unstable-gain",
                )
        if loop.noise_bp > 0 and proportional:
            floor = noise_floor(loop.leak_rate, loop.noise_bp, loop.goal_bp, delay=loop.delay).share_sd_bp
            if floor > 0.1 * band:
                calm = min(loop.noise_bp, loop.noise_bp * band / (4 * floor))
                return Diagnosis(
                    f"noise of {loop.noise_bp:g} bp shakes a weakly damped loop: it alone leaves a standard deviation "
                    f"of {floor:.0f} bp in the share",
                    f"average the metric down to noise_bp={calm:.3g}",
                    {"noise_bp": calm},
                    code="noise",
                )
        if not proportional:
            return Diagnosis(
                f"against a constant leak of {leak} pages CONSIST is a centre: an oscillation neither fades nor "
                "grows, its size is that of the start",
                f"use the temporal tuner with cap_bytes={loop.feedable_cap_bytes}",
                {"tuner": "temporal", "cap_bytes": loop.feedable_cap_bytes},
                code="undamped",
            )
        return _longer(loop, "the oscillation around the goal still fades", 4 * loop.windows)
    if swings and cap_pages(loop.cap_bytes) != loop.feedable_cap_bytes // PAGE_SZ:
        own = "no cap" if loop.cap_bytes is None else f"a cap of {cap_pages(loop.cap_bytes)} pages"
        changes: dict[str, Any] = {"cap_bytes": loop.feedable_cap_bytes}
        if loop.delay and (loop.delay + 1) * leak > 2 * band * loop.n_pages / 1e4:
            changes = {"cap_bytes": loop.feedable_cap_at(0), "delay": 0}
        return Diagnosis(
            f"on-off control with {own} against a leak of {leak} pages per window"
            + (f", seen {loop.delay} windows late," if loop.delay else "")
            + " never rests: the share swings by up to (delay + 1) caps",
            f"shrink the cap to just above the leak: cap_bytes={changes['cap_bytes']}"
            + (", and let a window last longer than the lag (delay=0)" if "delay" in changes else ""),
            changes,
            code="drift",
        )
    most = max(1, int(loop.limits.residual_per_page * loop.n_pages))
    rate = loop.limits.residual_per_page * loop.n_pages / loop.goal_pages
    fewer: dict[str, Any] = (
        {"leak_pages": min(loop.leak_pages, most)}
        if loop.leak_rate == 0
        else {"leak_rate": min(loop.leak_rate, rate), "leak_pages": 0}
    )
    told = ", ".join(f"{name}={value:g}" for name, value in fewer.items())
    if loop.tuner == "consist":
        # CONSIST damps with the leak: with hardly any it would overshoot instead.
        fewer |= {"tuner": "temporal", "cap_bytes": loop.quiet_cap_bytes}
        told += f", with the temporal tuner and cap_bytes={loop.quiet_cap_bytes}"
    return Diagnosis(
        f"about {leak} pages per window leave the goal node by themselves and must be replaced: no quota goes below that rate",
        f"lower the churn: {told}",
        fewer,
        code="drift",
    )


def _moving(loop: Loop) -> Diagnosis:
    if loop.leak_at_goal > 0:
        return _leaking(loop)
    if loop.noise_bp > 0:
        return Diagnosis(
            f"noise of {loop.noise_bp:g} bp keeps reading as a missed goal, and moves in one direction are never "
            "undone: the share ratchets up",
            "average the metric before the tuner sees it (noise_bp=0)",
            {"noise_bp": 0.0, "cap_bytes": loop.quiet_cap_bytes} | _stop(loop),
            code="noise",
        )
    if loop.tuner == "consist":
        return Diagnosis(
            "CONSIST keeps a quota beyond its goal and nothing stops the moves",
            f"set early_exit=True and cap_bytes={loop.quiet_cap_bytes}",
            {"early_exit": True, "cap_bytes": loop.quiet_cap_bytes},
            code="tuner-windup",
        )
    return _longer(loop, "still moving", 4 * loop.windows)


_BY_KIND: dict[str, Callable[[Loop], Diagnosis]] = {
    "wrong-polarity": _wrong_polarity,
    "saturated": _saturated,
    "stuck": _stuck,
    "wrong-point": _wrong_point,
    "limit-cycle": _moving,
    "ripple": _moving,
    "runaway": _moving,
}


def diagnose_loop(kind: str, loop: Loop) -> Diagnosis:
    """Return cause and remedy of a single loop that was found to be of `kind`."""
    reference = loop.measured["target_bp"]
    if abs(reference - loop.goal_bp) > loop.measured["band_bp"]:
        return Diagnosis(
            f"the loop's goal in force is {loop.goal_bp} bp, not the {reference:.0f} bp that it is judged by",
            f"set target_bp={round(reference)} without a lower clamp",
            {"target_bp": max(1, round(reference)), "clamp_bp": None},
            code="other-reference",
        )
    if kind == "wrong-point" and (loop.leak_at_goal > 0 and loop.view.moved[-loop.measured["tail_windows"] :].any()):
        return _leaking(loop)
    return _BY_KIND[kind](loop)
