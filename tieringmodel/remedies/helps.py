"""Whether a change helps: it converges, or moves the share, the rest or the rate by more than seeds do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..units import format_bytes
from ..verdicts.goal_course import courses
from ..verdicts.page_run import PageRun
from ..verdicts.record import KINDS, Verdict
from ..verdicts.scheme_facts import weights_error_bp
from ..verdicts.thresholds import RunThresholds

if TYPE_CHECKING:
    import xarray as xr

NO_HELP = ("idle", "stuck", "wrong-polarity", "runaway")
"""Kinds that nobody wants instead of another."""
LEAST_BP, LEAST_MIB_S, LEAST_PART = 50.0, 0.25, 0.1
"""Differences below these are none, whatever the spread over seeds."""


@dataclass(frozen=True)
class Standing:
    """What a run came to, in the numbers that changes are compared by.

    Attributes
    ----------
    kind : str
        Of the verdict.
    distance_bp : float
        How far shares are from where they should be in the tail, added up: goals from their intervals, touched pages from
        weights, accesses from the node that a scheme without goals brings hot pages to. 10000 for a goal never evaluated.
    rest_mib_s : float
        Migration and reclaim in the tail.
    applied_bytes : float
        Bytes that schemes ever moved or reclaimed.
    memory_bytes : float
        Bytes of all pages.
    codes : tuple of str
        Causes that are proven.
    """

    kind: str
    distance_bp: float
    rest_mib_s: float
    applied_bytes: float
    memory_bytes: float
    codes: tuple[str, ...] = ()


def standing(ds: xr.Dataset, found: Verdict) -> Standing:
    """Return where a page-level run stands.

    Parameters
    ----------
    ds : xarray.Dataset
        Of kind "simulation".
    found : Verdict
        The verdict on it.
    """
    run = PageRun(ds, RunThresholds())
    late = run.time >= float(found.numbers["tail_s"])
    distance = 0.0
    acting = [s for s in run.schemes if s.acts]
    for g in courses(run):
        if not g.of.acts:
            continue
        scale = 1.0 if g.is_share else 1e4 / max(g.target, 1.0)
        off_by = g.distance(late)
        distance += 1e4 if off_by is None else scale * off_by
    for one in acting:
        if one.scheme.dests:
            off = weights_error_bp(run, one)
            distance += abs(off[0]) if off else 0.0
        elif not one.scheme.quota.goals and one.scheme.action == "migrate_hot" and one.scheme.target_nid in run.nids:
            share = ds["access_share_bp"].values[late, run.nids.index(one.scheme.target_nid)]
            distance += 1e4 - float(np.nanmean(share)) if not np.isnan(share).all() else 0.0
    applied = sum(run.last("sz_applied", s.number) * s.context.addr_unit for s in acting)
    return Standing(found.kind, distance, found.residual_mib_s, applied, run.memory_bytes, tuple(c.code for c in found.causes))


def spread(standings: list[Standing]) -> tuple[float, float]:
    """Return how far distance (bp) and rest (MiB/s) are apart over seeds."""
    by = [[getattr(s, name) for s in standings] for name in ("distance_bp", "rest_mib_s")]
    return max(by[0]) - min(by[0]), max(by[1]) - min(by[1])


def helps(before: Standing, after: Standing, apart: tuple[float, float] = (0.0, 0.0), *, same_goals: bool = True) -> str:
    """Return what a change brings that did not converge; "" if that is nothing.

    Parameters
    ----------
    before, after : Standing
        Without and with the change.
    apart : tuple of float
        `spread` of the run without it.
    same_goals : bool
        Whether goals ask for the same before and after: else distances from them say nothing.
    """
    if after.kind in NO_HELP:
        return ""
    if before.kind in ("idle", "stuck"):
        done = after.applied_bytes - before.applied_bytes > RunThresholds().stuck_share * after.memory_bytes
        return f"{format_bytes(after.applied_bytes)} done instead of {format_bytes(before.applied_bytes)}" if done else ""
    if before.kind == "wrong-polarity" and after.kind != "unfinished":
        return "its moves lead to its goal"
    nearer, calmer = before.distance_bp - after.distance_bp, before.rest_mib_s - after.rest_mib_s
    least_bp = max(apart[0], LEAST_BP, LEAST_PART * before.distance_bp)
    least_mib_s = max(apart[1], LEAST_MIB_S, LEAST_PART * before.rest_mib_s)
    # Who moves for ever is not helped by moving much more for it.
    louder = before.kind in ("limit-cycle", "ripple", "steady-flow", "runaway") and -calmer > least_mib_s + before.rest_mib_s
    if same_goals and nearer > least_bp and not louder:
        return f"{after.distance_bp:.0f} bp off instead of {before.distance_bp:.0f}"
    calm = after.kind != "unfinished" and calmer > least_mib_s  # what has not begun is calm, too
    if calm and (not same_goals or nearer > -least_bp):
        return f"instead of {before.rest_mib_s:.3g} MiB/s"
    return ""


def same(one: Standing, other: Standing) -> bool:
    """Return whether nothing that counts is different."""
    return (
        one.kind == other.kind
        and abs(one.distance_bp - other.distance_bp) < LEAST_BP
        and abs(one.rest_mib_s - other.rest_mib_s) < LEAST_MIB_S
        and abs(one.applied_bytes - other.applied_bytes) <= RunThresholds().stuck_share * one.memory_bytes
        and one.codes == other.codes
    )


def preference(kind: str) -> int:
    """Return how much a kind is wanted, the less the better."""
    return -KINDS.index(kind)
