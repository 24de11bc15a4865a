"""Why a pair of loops, a placement rule or any other run does what it does."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..units import PAGE_SZ
from .run_view import Series
from .thresholds import Diagnosis, cap_pages, quiet_cap_pages

if TYPE_CHECKING:
    pass


def _spaced(view: Series, measured: dict[str, Any]) -> dict[str, Any]:
    """Return temporal goals and caps with a gap wider than the caps cross unseen; empty when one page is too coarse."""
    p = view.parameters
    quiet = quiet_cap_pages(measured["band_bp"], p["n_pages"], p["delay"])
    caps = [min(cap_pages(own) or quiet, quiet) for own in p["caps_bytes"]]
    gap = -(-(p["delay"] + 1) * max(caps) * 10_000 // p["n_pages"]) + 1
    if gap > 9_998:
        return {}
    first = min(p["targets_bp"][0], 9_999 - gap)
    return {
        "tuner": "temporal",
        "targets_bp": [first, min(p["targets_bp"][1], 10_000 - first - gap)],
        "caps_bytes": [cap * PAGE_SZ for cap in caps],
    }


def _pair_cause(kind: str, p: dict[str, Any], measured: dict[str, Any]) -> str:
    total = sum(p["targets_bp"])
    if kind == "stuck":
        return f"a goal is missed, but no quota holds a page of {PAGE_SZ} B (dead time of a cold start, or a low cap)"
    if total > 10_000:
        effect = (
            f"quotas grow by up to {2 - 10_000 / total:.4f} per window"
            if p["tuner"] == "consist"
            else f"about {measured['residual_pages_per_window']:.0f} pages per window are swapped for ever"
        )
        return f"the two goals add up to {total} bp, more than 10000: no placement meets both, {effect}"
    if p["tuner"] == "temporal":
        return f"the gap of {10_000 - total} bp between the goals is narrower than what the caps cross before it shows"
    if measured["limit_cycle_amplitude_bp"] > measured["band_bp"]:
        return (
            f"two CONSIST loops answer each other's moves around goals that add up to {total} bp: an oscillation that "
            "nothing damps"
        )
    return f"CONSIST keeps both quotas at their goals (sum {total} bp): two flows cancel in the share and never end"


def diagnose_pair(kind: str, view: Series, measured: dict[str, Any]) -> Diagnosis:
    """Return cause and remedy of two opposing schemes that were found to be of `kind`."""
    cause, changes = _pair_cause(kind, view.parameters, measured), _spaced(view, measured)
    code = "goals-overlap" if sum(view.parameters["targets_bp"]) > 10_000 else "no-gap"
    if kind == "stuck":
        code = "quota-below-region"
    if not changes:
        return Diagnosis(cause, "drop one of the two schemes: a single page is more than any gap between the goals", code=code)
    told = ", ".join(f"{name}={value!r}" for name, value in changes.items())
    return Diagnosis(cause, f"use the temporal tuner with a gap between the goals: {told}", changes, code=code)


def _iid(view: Series, measured: dict[str, Any]) -> str:
    rate = f"{measured['residual_per_page_per_window']:.4f} of all pages move per round for ever"
    share = view.parameters["share_per_round"]
    if share < 1:
        return (
            f"every dealt page draws its node anew: dealing {share:g} of the pages per round slows the approach as "
            f"much as the churn, and {rate}"
        )
    return f"every round draws each page's node anew: the shares are right after one round, but {rate}"


def _pfn_mod(view: Series, measured: dict[str, Any]) -> str:
    p = view.parameters
    if p["allocator"] == "lifo":
        return (
            "the destination is a hash of the frame, and the frames reused first are those just freed, each of them a "
            "wrong one: the same pages move in every round"
        )
    if measured["residual_pages_per_window"] > 0:
        return "the destination is a hash of the frame, and there are fewer right frames than pages: some never find one"
    return (
        "the destination is a hash of the frame: a page rests on the first frame that hashes right, so the shares "
        "depend on where it started"
    )


def _vma_offset(view: Series, measured: dict[str, Any]) -> str:
    return (
        f"the offsets of these pages are not spread evenly modulo the sum of weights {sum(view.parameters['weights'])} "
        f"(stride {view.parameters['stride']}, {view.parameters['n_pages']} pages)"
    )


def _rank(view: Series, measured: dict[str, Any]) -> str:
    return (
        "the destination is a page's rank by frame, and the moves themselves change the ranks: "
        f"{measured['residual_per_page_per_window']:.3f} of all pages move per round with constant shares"
    )


def _per_node(view: Series, measured: dict[str, Any]) -> str:
    return "weights act as a rate per node and round: what one node sends the other sends back"


def _push_only(view: Series, measured: dict[str, Any]) -> str:
    return "weights act as a rate on one node only: it drains, whatever the wanted share"


_RULES: dict[str, Callable[[Series, dict[str, Any]], str]] = {
    "iid": _iid,
    "pfn_mod": _pfn_mod,
    "vma_offset": _vma_offset,
    "first": _rank,
    "last": _rank,
    "per_node": _per_node,
    "push_only": _push_only,
}


RULE_CODES = {
    "iid": "redraw",
    "per_node": "redraw",
    "push_only": "redraw",
    "pfn_mod": "frame-rule",
    "first": "rank-rule",
    "last": "rank-rule",
    "vma_offset": "offset-rule",
}
"""Code of the cause of each placement rule."""


def diagnose_interleave(kind: str, view: Series, measured: dict[str, Any]) -> Diagnosis:
    """Return cause and remedy of a placement rule that was found to be of `kind`."""
    p = view.parameters
    rule = _RULES.get(p.get("rule", ""))
    if rule is None:
        return diagnose_other(kind, view, measured)
    if p["rule"] != "vma_offset":
        return Diagnosis(
            rule(view, measured),
            "give pages an identity: rule='vma_offset'",
            {"rule": "vma_offset"},
            code=RULE_CODES[p["rule"]],
        )
    if kind != "wrong-point":
        return Diagnosis(
            "the pass over all pages is not finished",
            "run more rounds",
            {"rounds": 4 * p["rounds"] + 200},
            code="run-too-short",
        )
    common = math.gcd(*p["weights"])
    if common > 1:
        reduced = [weight // common for weight in p["weights"]]
        return Diagnosis(
            _vma_offset(view, measured),
            f"divide the weights by their common factor: weights={reduced}",
            {"weights": reduced},
            code="offset-rule",
        )
    return Diagnosis(
        _vma_offset(view, measured),
        "hash the offset before the modulo, or use weights whose sum shares no factor with the stride",
        code="offset-rule",
    )


def diagnose_other(kind: str, view: Series, measured: dict[str, Any]) -> Diagnosis:
    """Return what the measures alone say about a run that does not carry its mechanism."""
    said = {
        "stuck": "nothing moved at all",
        "wrong-point": f"the run rests {measured['steady_state_error_bp']:+.0f} bp from the reference",
        "limit-cycle": f"the share swings by {measured['limit_cycle_amplitude_bp']:.0f} bp either way without settling",
        "ripple": f"{measured['residual_pages_per_window']:.1f} pages per window keep moving, and "
        f"{measured['ping_pong']:.3f} of moves are undone, at the right share",
        "runaway": "the distance to the reference grows to the end of the run",
    }
    return Diagnosis(said.get(kind, kind), code="unexplained")
