"""Claims (i) and (ii): weights without page identity, and with the VMA offset as identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..units import PAGE_SZ
from .rfc_claims import Case, Claim, Evidence, Make, build, counted

if TYPE_CHECKING:
    import xarray as xr

WEIGHTS = (40, 60)
N_PAGES = 100_000
ROUNDS = 60
QUIET = 1e-4
"""Moves per page and round below which a run counts as settled (docs/theory/stability.md, section 4), as the verdict has it."""


def _outcome(measured: Mapping[str, Any]) -> str:
    moved = 100 * measured["residual_per_page_per_window"]
    share = measured["steady_state_error_bp"] + measured["target_bp"]
    if moved > 100 * QUIET:
        return f"{moved:.3g} % of all pages move per round for ever, share {share:.0f} bp"
    after = measured["quiescence_windows"]
    return f"rests at {share:.0f} bp" + (f" after round {after:.0f}" if after > 0 else ", nothing moved")


def _case(
    setting: str,
    condition: str,
    rule: str,
    evidence: Make,
    *,
    settles: bool,
    weights: tuple[int, int] | None = None,
    n_pages: int | None = None,
    **options: Any,
) -> Case:
    """Run one rule; the claim holds if it never rests (`settles` False), or rests at its ratio (True)."""
    from .. import analysis, interleave

    pages = n_pages or N_PAGES
    ds = interleave.run(rule, weights or WEIGHTS, pages, ROUNDS, seed=1, **options)
    measured = analysis.measures(ds, tail_windows=ROUNDS // 2, hold_windows=ROUNDS // 2)
    kind = analysis.verdict(ds, check_fix=False).kind
    holds = kind == "converged" if settles else measured["residual_per_page_per_window"] > QUIET
    occupancy = ds["occupancy"].values[:, 0] / pages
    return Case(
        setting,
        condition,
        holds,
        _outcome(measured),
        1e4 * occupancy,
        ds["moved"].values[1:] / pages,
        measured["target_bp"],
        evidence(ds, measured),
    )


def _residual(what: str, expected: float, tolerance: float) -> Make:
    what += ", pages moved per page and round, late"
    return counted(what, lambda _, measured: measured["residual_per_page_per_window"], expected, tolerance)


def _end(what: str, expected_bp: float, tolerance: float = 0.0) -> Make:
    def made(ds: xr.Dataset, measured: Mapping[str, Any]) -> tuple[Evidence, ...]:
        share = 1e4 * float(ds["occupancy"].values[-1, 0]) / float(ds["occupancy"].values[-1].sum())
        late = int(ds["moved"].values[-ROUNDS // 2 :].sum())
        return (
            Evidence(f"{what}, share of node 0 at the end", share, expected_bp, tolerance, "bp"),
            Evidence(f"{what}, pages moved in the second half", late, 0),
        )

    return made


def _coin(ds: xr.Dataset, measured: Mapping[str, Any]) -> tuple[Evidence, ...]:
    """Residual, bounces and the deceptive share of i.i.d. redraws, with five standard errors each."""
    from ..interleave import closed_forms, ping_pong

    m = closed_forms.moved_fraction(WEIGHTS)
    rounds = ROUNDS // 2
    # Counts of neighbouring rounds are correlated at lag 1 only (docs/theory/stability.md, section 1a).
    inflation = 1 + 2 * closed_forms.moved_autocorrelation(WEIGHTS)
    spread = 5 * float(np.sqrt(m * (1 - m) * inflation / (N_PAGES * rounds)))
    counted = m * N_PAGES * (ROUNDS - 2)
    return (
        Evidence("coin, pages moved per page and round, late", measured["residual_per_page_per_window"], m, spread),
        Evidence("coin, moves undone by the next round", ping_pong(ds, 1), 0.5, 5 * 0.5 / float(np.sqrt(counted))),
        Evidence("coin, rounds until the share alone looks settled", measured["settling_windows"], 1),
    )


def _slow_coin(q: float) -> float:
    """Mean moves per page and round of the second half while a share q is dealt: the approach still shows."""
    from ..interleave import closed_forms

    p0, p1 = closed_forms.shares(WEIGHTS)
    before = closed_forms.expected_shares(WEIGHTS, ROUNDS, 0, q)[ROUNDS // 2 : -1, 0]
    return float(q * (before * p1 + (1 - before) * p0).mean())


def claim_i() -> Claim:
    """Weights without page identity never settle: ten rules that see a frame number, a node or a coin, and no page."""
    from ..interleave import closed_forms as forms

    p0, p1 = (w / sum(WEIGHTS) for w in WEIGHTS)
    scarce = (N_PAGES, 4 * N_PAGES // 5)
    left = forms.pfn_mod_unsettled_pages(WEIGHTS, scarce, N_PAGES) / N_PAGES
    lifo = forms.pfn_mod_lifo_cycle(WEIGHTS)[0]
    fresh = 1e4 * float(forms.pfn_mod_shares(WEIGHTS)[0])
    # Good frames are as regular as the hash: its period of 100 frames bounds what counts can be off by.
    grain = sum(WEIGHTS) / N_PAGES
    cases = [
        _case("coin per page", "a coin draws each page's node anew", "iid", _coin, settles=False),
        _case(
            "coin, 2 % dealt per round", "a quota slows that coin", "iid",
            _residual("coin with a quota of 2 %", _slow_coin(0.02), 2e-4),  # five standard errors of the count
            settles=False, share_per_round=0.02,
        ),
        _case(
            "first: lowest frames go", "the lowest frame numbers are sent to node 1", "first",
            _residual("first", forms.first_moved_pages(WEIGHTS, N_PAGES) / N_PAGES, 0.0), settles=False,
        ),
        _case(
            "share of each node goes", "each node gives the other its weighted share", "per_node",
            _residual("per_node", 2 * p0 * p1, 2 / N_PAGES), settles=False,
        ),
        _case(
            "frame hash, LIFO frames", "frames are hashed and freed ones reused first", "pfn_mod",
            _residual("frame hash, LIFO", lifo, grain), settles=False, allocator="lifo",
        ),
        _case(
            "frame hash, few frames", "too few frames hash right for the pages there are", "pfn_mod",
            _residual("frame hash, 1.8 frames per page", left, grain), settles=False, allocator="random",
            frames=scarce,
        ),
        _case(
            "last: highest frames go", "", "last", _end("last", 1e4 * p0), settles=False,
        ),
        _case(
            "frame hash, fresh frames", "", "pfn_mod", _end("frame hash, fresh frames", fresh, 1e4 * grain),
            settles=False,
        ),
        _case("push only", "", "push_only", _end("push only", 0.0, 0.0), settles=False),
    ]  # fmt: skip
    right = [c for c in cases if not c.holds and abs(c.share_bp[-1] - c.target_bp) <= 0.02 * c.target_bp]
    extra = (Evidence("rules at rest at the wanted ratio from this start (last)", len(right), 1),)
    text = (
        "Weighted migration on physical addresses without reverse mapping never settles: a move changes the frame "
        "number, so pages are dealt again and again."
    )
    return build("i", text, cases, departures=False, extra=extra)


def _counts(what: str, weights: tuple[int, int], n_pages: int, start: int, stride: int) -> Make:
    def made(ds: xr.Dataset, measured: Mapping[str, Any]) -> tuple[Evidence, ...]:
        from ..interleave import closed_forms

        wanted = closed_forms.vma_offset_pages(weights, n_pages, start, stride)[0]
        return (
            Evidence(f"{what}, pages on node 0", int(ds["occupancy"].values[-1, 0]), wanted, 0, "pages"),
            Evidence(f"{what}, pages moved after the first pass", int(ds["moved"].values[2:].sum()), 0),
        )

    return made


def _wave(folios: int = 100, order: int = 9) -> Evidence:
    """Share of pages whose destination changes when huge folios are split: about 2 p0 p1, once."""
    from ..interleave import vaddr_dest_index

    weights, size = (2, 3), 1 << order
    pages = range(0, folios * size, 7)  # 7 is coprime to 512 and to 5: every remainder is met equally often
    changed = sum(
        vaddr_dest_index(0, 0, PAGE_SZ * page, 0, 9, (0, 1), weights)
        != vaddr_dest_index(0, 0, PAGE_SZ * (page - page % size), order, 9, (0, 1), weights)
        for page in pages
    )
    # 512 is not a multiple of 5: each folio's counts are off by up to one page.
    return Evidence(
        "splitting 2 MiB folios, share of pages dealt to the other node, once", changed / len(pages), 0.48, 5 / size
    )


def _vma(setting: str, condition: str, weights: tuple[int, int], n_pages: int, start: int, stride: int) -> Case:
    return _case(
        setting,
        condition,
        "vma_offset",
        _counts(setting, weights, n_pages, start, stride),
        settles=True,
        weights=weights,
        n_pages=n_pages,
        vma_start=start,
        stride=stride,
    )


def claim_ii() -> Claim:
    """Weights by VMA offset settle at their ratio: contiguous ranges, and the sets for which the ratio fails."""
    from ..interleave import closed_forms

    even = "the offsets of the hot pages spread evenly over the sum of the weights"
    enough = "there are more hot pages than that sum, or the weights are reduced"
    cases = [
        _vma("1003 pages in a row, {2,3}", "", (2, 3), 1003, 0, 1),
        _vma("5 pages at offset 38, {40,60}", "", WEIGHTS, 5, 38, 1),
        _vma("the RFC's 5 pages, {2,3}", "", (2, 3), 5, 0, 1),
        _vma("every fifth page hot, {2,3}", even, (2, 3), 1000, 0, 5),
        _vma("every 50th page hot, {40,60}", even, WEIGHTS, 1000, 0, 50),
        _vma("the RFC's 5 pages, {40,60}", enough, WEIGHTS, 5, 0, 1),
    ]
    extra = (_worst(closed_forms.vma_offset_worst_error(WEIGHTS)), _wave())
    text = (
        "With the offset in its mapping as identity (vaddr, or rmap) a page always hashes to the same node: weights "
        "bring every page there once, at the wanted ratio, and then rest."
    )
    return build("ii", text, cases, departures=True, extra=extra)


def _worst(expected: float) -> Evidence:
    from .. import interleave

    errors: Sequence[float] = [
        abs(int(interleave.run("vma_offset", WEIGHTS, n, 1).occupancy[-1, 0]) - 0.4 * n) for n in range(20, 101, 20)
    ]
    return Evidence("{40,60} from offset 0, largest distance from the ratio", max(errors), expected, 1e-9, "pages")
