"""One word, its cause, and a remedy that was tried."""

from __future__ import annotations

import re

import pytest
import said
from hypothesis import given, settings
from hypothesis import strategies as st

from tieringmodel import analysis, interleave, loop
from tieringmodel.errors import InputError
from tieringmodel.verdicts.judge import KINDS

M = 1_000_000
PAGE = 4096


def single(tuner, target, start, **options):
    return loop.run(tuner, target, M, start, **options)


LOOPS = {
    # name: (run, kind, words of the cause, kind after the fix)
    "temporal": (lambda: single("temporal", 6000, 0, cap_bytes=20_000 * PAGE), "converged", "rest", None),
    "consist stop": (
        lambda: single("consist", 6000, 0, cap_bytes=10_000 * PAGE, early_exit=True),
        "converged",
        "rest",
        None,
    ),
    "late relay": (
        lambda: single("temporal", 6000, 0, cap_bytes=20_000 * PAGE, delay=5),
        "wrong-point",
        r"overshoots by up to 6 caps of 20000 pages",
        "converged",
    ),
    "no cap": (lambda: single("temporal", 6000, 0), "wrong-point", "one window moves every eligible page", "converged"),
    "mirror": (lambda: single("consist", 4000, 0), "wrong-point", r"mirrors the approach \(about 6950 bp", "converged"),
    "stop no cap": (lambda: single("consist", 6000, 0, early_exit=True), "wrong-point", "last step", "converged"),
    "above": (lambda: single("consist", 4000, 900_000), "wrong-point", "only moves pages in", "converged"),
    "ratchet": (
        lambda: single("temporal", 4000, 0, cap_bytes=1000 * PAGE, noise_bp=50.0, windows=2000),
        "wrong-point",
        "ratchets",
        "converged",
    ),
    "source goal, high": (
        lambda: single("temporal", 4000, M, cap_bytes=25_600 * PAGE, direction="out"),
        "wrong-polarity",
        "never starts",
        "converged",
    ),
    "source goal, low": (
        lambda: single("temporal", 4000, 300_000, cap_bytes=25_600 * PAGE, direction="out"),
        "wrong-polarity",
        "positive feedback.*to 0 bp",
        "converged",
    ),
    "windup": (
        lambda: single("consist", 5000, 0, capacity_pages=400_000),
        "saturated",
        r"4000 bp fit.*winds up by 1\.2000",
        "converged",
    ),
    "full cap": (lambda: single("temporal", 5000, 0, capacity_pages=400_000), "saturated", "for ever", "converged"),
    "leak wins": (
        lambda: single("temporal", 4000, 300_000, cap_bytes=3000 * PAGE, leak_pages=5000),
        "saturated",
        "all that the cap of 3000 pages brings in",
        "ripple",
    ),
    "starving": (
        lambda: single("temporal", 6000, 0, cap_bytes=4096 * PAGE, leak_rate=0.01, windows=100),
        "saturated",
        "at the goal 6000 pages per window would leave, the cap brings in 4096",
        "ripple",
    ),
    "slow": (lambda: single("temporal", 4000, 0, cap_bytes=100 * PAGE), "saturated", "3600 more windows", "converged"),
    "short": (
        lambda: single("temporal", 4000, 0, cap_bytes=8000 * PAGE, windows=40),
        "saturated",
        "too short",
        "converged",
    ),
    "dead time": (
        lambda: single("consist", 4000, 390_000, windows=300),
        "stuck",
        "dead time until about window 336",
        "converged",
    ),
    "tiny cap": (lambda: single("temporal", 4000, 0, cap_bytes=4095), "stuck", "less than one page", "converged"),
    "relay": (
        lambda: single("temporal", 4000, 0, cap_bytes=30_000 * PAGE, leak_pages=7000),
        "limit-cycle",
        "on-off control with a cap of 30000 pages against a leak of 7000",
        "ripple",
    ),
    "late relay with leak": (
        lambda: single("temporal", 4000, 0, cap_bytes=30_000 * PAGE, leak_pages=7000, delay=2),
        "limit-cycle",
        "seen 2 windows late",
        "ripple",
    ),
    "small relay": (
        lambda: single("temporal", 4000, 0, cap_bytes=3000 * PAGE, leak_pages=700),
        "ripple",
        "no quota goes below",
        "converged",
    ),
    "leaky consist": (
        lambda: single("consist", 4000, 0, leak_rate=0.05, windows=1000),
        "ripple",
        "20000 pages per window",
        None,
    ),
    "late consist": (
        lambda: single("consist", 4000, 0, leak_rate=0.05, windows=1000, delay=2),
        "limit-cycle",
        r"critical 0\.5062 \(spectral radius 1\.0225\)",
        "ripple",
    ),
    "centre": (
        lambda: single("consist", 4000, 400_000, leak_pages=10_000, windows=2000, esz_bp0=PAGE * 10**4 * 30_000),
        "limit-cycle",
        "centre",
        "ripple",
    ),
    "pair": (
        lambda: loop.run_pair("temporal", (6000, 5000), (20_000 * PAGE, 10_000 * PAGE), M, 0),
        "ripple",
        "11000 bp, more than 10000.*20000 pages per window are swapped",
        "converged",
    ),
    "coarse pair": (
        lambda: loop.run_pair("temporal", (6000, 5000), (60_000 * PAGE, 50_000 * PAGE), M, 0),
        "limit-cycle",
        "no placement meets both",
        "converged",
    ),
    "gap": (
        lambda: loop.run_pair("temporal", (5000, 4000), (20_000 * PAGE, 10_000 * PAGE), M, 0),
        "converged",
        "rest",
        None,
    ),
    "narrow gap": (
        lambda: loop.run_pair("temporal", (5000, 4999), (50_000 * PAGE, 30_000 * PAGE), M, 15_000),
        "limit-cycle",
        "gap of 1 bp between the goals is narrower",
        "converged",
    ),
    "growing pair": (
        lambda: loop.run_pair("consist", (5500, 6600), (None, None), 11 * M, 5 * M, windows=350),
        "runaway",
        "quotas grow by up to",
        "converged",
    ),
    "cold pair": (
        lambda: loop.run_pair("consist", (6000, 6000), (None, None), M, M // 2, windows=30),
        "stuck",
        "no quota holds a page",
        "converged",
    ),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops(name):
    run, kind, cause, after = LOOPS[name]
    verdict = analysis.verdict(run())
    assert verdict.kind == kind, verdict
    assert re.search(cause, verdict.cause), verdict.cause
    assert (verdict.fix is None) == (kind == "converged")
    if after is not None:
        assert verdict.numbers["fix_kind"] == after, verdict
        assert verdict.numbers["fix_arguments"]


@pytest.mark.parametrize(
    ("rule", "options", "kind", "cause"),
    [
        ("iid", {}, "ripple", "anew: the shares are right after one round"),
        ("iid", {"share_per_round": 0.05}, "ripple", r"dealing 0\.05 of the pages"),
        ("pfn_mod", {"allocator": "fresh"}, "wrong-point", "depend on where it started"),
        ("pfn_mod", {"allocator": "lifo"}, "limit-cycle", "just freed"),
        ("first", {}, "ripple", "rank"),
        ("last", {}, "converged", "rest"),
        ("per_node", {}, "ripple", "rate per node"),
        ("push_only", {}, "wrong-point", "drains"),
        ("vma_offset", {}, "converged", "rest"),
        ("vma_offset", {"stride": 5}, "wrong-point", "stride 5"),
    ],
)
def test_placement_rules(rule, options, kind, cause):
    verdict = analysis.verdict(interleave.run(rule, (2, 3), 100_000, 300, seed=1, **options))
    assert verdict.kind == kind, verdict
    assert re.search(cause, verdict.cause), verdict.cause


def test_five_pages_under_unreduced_weights_get_their_divisor():
    verdict = analysis.verdict(interleave.run("vma_offset", (40, 60), 5, 200))
    assert verdict.kind == "wrong-point"
    assert verdict.fix.text.endswith("weights=[2, 3]")


def test_occupancy_alone_never_makes_it_stable():
    ds = interleave.run("iid", (40, 60), 100_000, 300)
    assert analysis.measures(ds)["settling_windows"] == 1
    assert analysis.verdict(ds).kind != "converged"
    # Moves at rest, but half of them were undone on the way: right share, wrong verdict.
    assert analysis.verdict(ds, residual_per_page=1.0, ping_pong=1.0).kind == "converged"


def test_another_reference_than_the_goal_is_named():
    ds = single("temporal", 5000, 0, cap_bytes=8000 * PAGE, clamp_bp=4000)
    assert analysis.verdict(ds).kind == "converged"
    judged = analysis.verdict(ds, target_bp=5000)
    assert judged.kind == "wrong-point"
    assert judged.cause == "the loop's goal in force is 4000 bp, not the 5000 bp that it is judged by"
    assert judged.numbers["fix_kind"] == "converged"


def test_thresholds_are_arguments_and_stand_in_the_result():
    ds = single("temporal", 4000, 0, cap_bytes=25_600 * PAGE)
    assert analysis.verdict(ds).kind == "wrong-point"
    wide = analysis.verdict(ds, error_share=0.03, residual_per_page=1e-3, ping_pong=0.5, within=3)
    assert wide.kind == "converged"
    assert wide.numbers["thresholds"] == {"error_share": 0.03, "residual_per_page": 1e-3, "ping_pong": 0.5, "within": 3}
    found = analysis.verdict(ds)
    kind, numbers, fix = found.kind, found.numbers, found.fix.text
    assert numbers["thresholds"] == {"error_share": 0.02, "residual_per_page": 1e-4, "ping_pong": 0.01, "within": 10}
    assert (kind, fix) == ("wrong-point", f"set cap_bytes={8000 * PAGE}")
    assert "fix_kind" not in analysis.verdict(ds, check_fix=False).numbers
    for name in ("error_share", "residual_per_page", "ping_pong", "within"):
        with pytest.raises(InputError, match=name):
            analysis.verdict(ds, **{name: 0})


@settings(max_examples=150)
@given(
    tuner=st.sampled_from(["consist", "temporal"]),
    target=st.integers(1, 10_000),
    n_pages=st.integers(1, 10**6),
    start=st.floats(0, 1),
    cap=st.none() | st.integers(1, 10**9),
    delay=st.integers(0, 4),
    leak=st.just(0.0) | st.floats(0, 0.3),
    leak_pages=st.just(0) | st.integers(0, 10_000),
    capacity=st.floats(0, 1) | st.just(1.0),
    clamp=st.none() | st.integers(1, 10_000),
    stop=st.booleans(),
    noise=st.just(0.0) | st.floats(0, 100),
    outward=st.booleans(),
    windows=st.integers(1, 260),
)
def test_every_loop_gets_a_verdict(
    tuner, target, n_pages, start, cap, delay, leak, leak_pages, capacity, clamp, stop, noise, outward, windows
):
    ceiling = n_pages if outward else int(capacity * n_pages)
    ds = loop.run(
        tuner,
        target,
        n_pages,
        int(start * ceiling),
        cap_bytes=cap,
        delay=delay,
        leak_rate=leak,
        leak_pages=leak_pages,
        capacity_pages=None if outward else ceiling,
        clamp_bp=clamp,
        early_exit=stop,
        noise_bp=noise,
        windows=windows,
        direction="out" if outward else "in",
    )
    verdict = analysis.verdict(ds)
    assert verdict.kind in KINDS
    assert verdict.cause
    assert (verdict.fix is None) == (verdict.kind == "converged")
    if verdict.kind != "converged":
        assert verdict.numbers["fix_kind"] in KINDS


@settings(max_examples=60)
@given(
    tuner=st.sampled_from(["consist", "temporal"]),
    targets=st.tuples(*[st.integers(1, 10_000)] * 2),
    caps=st.tuples(*[st.none() | st.integers(1, 10**9)] * 2),
    n_pages=st.integers(1, 10**6),
    start=st.floats(0, 1),
    delay=st.integers(0, 4),
    windows=st.integers(1, 260),
)
def test_every_pair_gets_a_verdict(tuner, targets, caps, n_pages, start, delay, windows):
    verdict = analysis.verdict(loop.run_pair(tuner, targets, caps, n_pages, int(start * n_pages), delay=delay, windows=windows))
    assert verdict.kind in KINDS
    assert (verdict.fix is None) == (verdict.kind == "converged")


def test_every_word_and_number_on_drawn_loops_is_what_it_was():
    was = said.recorded("loops")
    assert {name: said.of_loop(make) for name, make in said.loops()} == was, "python tests/said.py says what has changed"
    assert {row["kind"] for row in was.values()} >= {"converged", "limit-cycle", "ripple", "saturated", "stuck", "wrong-point"}
