"""Anchor cases of the control loop (docs/theory/anchors.md, sections P6 to P10), goal rows of the reference comparison."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from ... import analysis, loop
from ...theory import closed_forms
from ...units import MIB, PAGE_SZ, ULONG_MAX
from ..case import Case

PAGES = 1_000_000
TABLE_PAGES = 100_000


class Check(NamedTuple):
    """One number against its anchor; a tolerance of 0 means exactly."""

    what: str
    got: float
    wanted: float
    tolerance: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether `got` is within the tolerance of `wanted`."""
        return self.got == self.wanted or abs(self.got - self.wanted) <= self.tolerance


def case(name: str, checks: Iterable[Check]) -> Case:
    """Return the outcome of `checks`: the first failure, or all that was measured."""
    done = list(checks)
    failed = next((c for c in done if not c.holds), None)
    if failed is not None:
        within = f" ± {failed.tolerance:g}" if failed.tolerance else ""
        detail = f"{failed.what}: expected {failed.wanted:.12g}{within}, got {failed.got:.12g}"
    else:
        detail = ", ".join(f"{c.what} {c.got:.10g}" for c in done)
    return Case("anchor", name, failed is None, len(done), detail)


def temporal() -> Iterable[Check]:
    """P6: TEMPORAL stops after a fixed number of caps, plus one per window of delay; without cap it moves all."""
    cap_pages = 100 * MIB // PAGE_SZ
    for delay in (0, 1, 3):
        ds = loop.run("temporal", 4000, PAGES, 0, cap_bytes=100 * MIB, delay=delay)
        yield Check(f"final pages d={delay}", int(ds.final_pages), cap_pages * (16 + delay))
        theory = closed_forms.temporal_stop(PAGES, 0, 4000, cap_pages, delay)
        yield Check(f"closed form d={delay}", theory.final_pages, int(ds.final_pages))
    yield Check(
        "final pages after one window without cap",
        int(loop.run("temporal", 4000, PAGES, 0, windows=1).final_pages),
        PAGES,
    )


def consist_integers() -> Iterable[Check]:
    """P7: CONSIST's quotas from a cold start, its overshoot, and the tuner's unit values."""
    from ...kernels.integer import feed_loop_next_input

    ds = loop.run("consist", 4000, PAGES, 0)
    esz, pages = ds.esz.values, ds.pages.values
    for window in range(14):
        yield Check(f"esz[{window}]", int(esz[window]), 2 ** (window + 1))
    yield Check("first window with a move", int(np.flatnonzero(ds.moved.values)[0]), 11)
    yield Check("first window start at the goal", int(np.argmax(pages >= 400_000)), 31)
    yield Check("peak esz", int(esz.max()), 639_620_698)
    yield Check("final pages", int(ds.final_pages), 695_043)
    yield Check("closed form bp", closed_forms.consist_end_bp(4000, 0), 1e4 * int(ds.final_pages) / PAGES, 2.0)
    yield Check("relative mirror point", closed_forms.mirror_overshoot(-1.0), 0.7374172, 1e-7)
    yield Check("final pages with early exit", int(loop.run("consist", 4000, PAGES, 0, early_exit=True).final_pages), 508_704)
    for last, score, following in (
        (10_000, 0, 20_000),
        (900_000, 200, 1_782_000),
        (900_000, 250_000_000, 10_000),
        (50_000, 15_000, 25_000),
        (10_000, 19_999, 10_000),
        (123_456_789, 9_999, 123_469_134),
        (2**63, 5_000, 13_835_058_055_282_160_808),
        (ULONG_MAX, 12_500, 13_835_058_055_282_164_115),
    ):
        got = int(feed_loop_next_input(np.uint64(last), np.uint64(score)))
        # Compared as integers: 64-bit values do not fit a float.
        yield Check(f"feed({last}, {score}) - expected", got - following, 0)


def polarity() -> Iterable[Check]:
    """P8: a goal on the node that the scheme empties never starts or runs away; on the receiving node it holds."""
    for tuner in ("temporal", "consist"):
        ds = loop.run(tuner, 4000, PAGES, PAGES, cap_bytes=100 * MIB, direction="out")
        yield Check(f"{tuner} moves from 10000 bp", int(ds.moved.sum()), 0)
        yield Check(f"{tuner} final pages from 10000 bp", int(ds.final_pages), PAGES)
    ds = loop.run("temporal", 4000, PAGES, 300_000, cap_bytes=100 * MIB, direction="out")
    yield Check("final pages from 3000 bp", int(ds.final_pages), 0)
    ds = loop.run("temporal", 6000, PAGES, 0, cap_bytes=100 * MIB)
    yield Check("final pages, goal on the receiving node", int(ds.final_pages), 614_400)


def linearised() -> Iterable[Check]:
    """P9: poles, margins and Lyapunov exponents of CONSIST with a proportional leak of 5 %."""
    delta = 0.05
    at = [analysis.linear(delta, delay=delay) for delay in range(3)]
    yield Check("rho d=0", at[0].spectral_radius, math.sqrt(1 - delta), 1e-5)
    yield Check("period", at[0].period_windows, 27.8617, 1e-3)
    yield Check("gain margin", at[0].gain_margin, 78.0, 1e-5)
    yield Check("gain crossover", at[0].gain_crossover_rad, 2 * math.asin(math.sqrt(delta) / 2), 1e-5)
    yield Check("phase margin", at[0].phase_margin_rad, at[0].gain_crossover_rad, 1e-5)
    yield Check("delay margin", at[0].delay_margin_windows, 1.0, 1e-5)
    yield Check("rho d=1", at[1].spectral_radius, 1.0, 1e-5)
    yield Check("rho d=2", at[2].spectral_radius, 1.022517, 1e-5)
    yield Check("critical gain d=2", at[2].critical_gain, 0.50625, 1e-4)
    yield Check("sum of exponents", sum(analysis.lyapunov(delta, 4000, 500)), math.log(1 - delta), 1e-3)


def windup_and_fights() -> Iterable[Check]:
    """P10: wind-up against a full node, the clamp that ends it, and two schemes with goals that do not fit together."""
    for target, factor, windows in ((5000, 1.2, range(31, 109)), (4100, 1.0244, range(40, 110))):
        esz = loop.run("consist", target, PAGES, 0, capacity_pages=400_000).esz.values.astype(float)
        growth = esz[windows.start + 1 : windows.stop + 1] / esz[windows.start : windows.stop]
        yield Check(f"least growth target {target}", float(growth.min()), factor, 1e-6)
        yield Check(f"largest growth target {target}", float(growth.max()), factor, 1e-6)
        theory = closed_forms.windup_growth(4000, target)
        yield Check(f"closed form growth target {target}", theory, factor, 1e-12)
    wound = loop.run("consist", 5000, PAGES, 0, capacity_pages=400_000)
    yield Check("largest esz", int(wound.esz[-1]), ULONG_MAX // 10_000)
    clamped = loop.run("consist", 5000, PAGES, 0, capacity_pages=400_000, clamp_bp=4000)
    yield Check("clamped final pages", int(clamped.final_pages), 400_000)
    yield Check("clamped esz", int(clamped.esz[-1]), 639_620_698)
    yield Check("clamped esz range", int(np.ptp(clamped.esz[100:].values)), 0)
    for targets, caps, low, high in (
        ((6000, 5000), (20_000, 10_000), 590_000, 600_000),
        ((6000, 5000), (10_000, 20_000), 500_000, 510_000),
    ):
        ds = loop.run_pair("temporal", targets, [cap * PAGE_SZ for cap in caps], PAGES, 0)
        caps_text = f"caps {caps[0]}/{caps[1]}"
        yield Check(f"residual {caps_text}", float(ds.moved[-200:].sum()) / 200, 2 * min(caps))
        yield Check(f"lowest {caps_text}", max(int(ds.pages[-200:].min()), low), int(ds.pages[-200:].min()))
        yield Check(f"highest {caps_text}", min(int(ds.pages[-200:].max()), high), int(ds.pages[-200:].max()))
    ds = loop.run_pair("temporal", (5000, 4000), (20_000 * PAGE_SZ, 10_000 * PAGE_SZ), PAGES, 0)
    yield Check("residual with a dead band", int(ds.moved[-200:].sum()), 0)


# Reference comparison: goal of 6000 bp on the receiving node; the errors are those of the other node, sign reversed.
TABLE: dict[str, tuple[dict[str, Any], float, float, float]] = {
    # name: (arguments, windows until settled, tail error on node 0 in bp, moves per page)
    "temporal cap": ({"tuner": "temporal", "cap_bytes": 2000 * PAGE_SZ}, 30, 0, 0.60),
    "temporal cap delay 5": ({"tuner": "temporal", "cap_bytes": 2000 * PAGE_SZ, "delay": 5}, math.inf, -1000, 0.70),
    "temporal no cap": ({"tuner": "temporal"}, math.inf, -4000, 1.0),
    "consist no stop cap": ({"tuner": "consist", "cap_bytes": 2000 * PAGE_SZ}, math.inf, -4000, 1.0),
    "consist no stop no cap": ({"tuner": "consist"}, math.inf, -4000, 1.0),
    "consist stop cap": ({"tuner": "consist", "cap_bytes": 2000 * PAGE_SZ, "early_exit": True}, 51, 0, 0.60),
    "consist stop no cap": ({"tuner": "consist", "early_exit": True}, math.inf, -1040, 0.70),
}


def table_row(arguments: dict[str, Any], settled: float, error_bp: float, moves: float) -> Iterable[Check]:
    """Check one row: tail error within 30 bp, rates within 3 %, the run at rest."""
    ds = loop.run(target_bp=6000, n_pages=TABLE_PAGES, start_pages=0, windows=300, **arguments)
    measured = analysis.measures(ds)
    yield Check("settling windows", measured["settling_windows"], settled, 0.03 * settled if settled < math.inf else 0.0)
    yield Check("tail error bp", -measured["steady_state_error_bp"], error_bp, 30.0)
    yield Check("moved per page and window", measured["residual_per_page_per_window"], 0.0)
    yield Check("ping-pong", measured["ping_pong"], 0.0)
    # The table gives two digits: half of the last one on top of 3 %.
    yield Check("moves per page", measured["moves_per_page"], moves, 0.03 * moves + 0.005)


ANCHORS: dict[str, Callable[[], Iterable[Check]]] = {
    "P6": temporal,
    "P7": consist_integers,
    "P8": polarity,
    "P9": linearised,
    "P10": windup_and_fights,
}


def cases() -> list[Case]:
    """Return the control loop's anchor cases.

    Returns
    -------
    list of Case
        Kind "anchor"; names "P6" to "P10" and "table:…" for the goal rows of the reference comparison.

    Notes
    -----
    Source: docs/theory/anchors.md, sections P6 to P10; docs/theory/stability.md, section 4.
    """
    anchors = [case(name, checks()) for name, checks in ANCHORS.items()]
    return anchors + [case(f"table:{name}", table_row(*row)) for name, row in TABLE.items()]
