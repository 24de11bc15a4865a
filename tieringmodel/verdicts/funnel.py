"""Where a scheme's regions and pages are lost on their way: awake, due, evaluated, matched, passed, applied, kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .page_run import PageRun, SchemeRun


@dataclass(frozen=True)
class Funnel:
    """What became of one scheme, in counters since it does what it does; None where an earlier version did not count.

    Attributes
    ----------
    scheme : int
        Number over all contexts and all schemes that ever were.
    asleep_s : float or None
        Inactive for so long.
    due : int or None
        Application passes in which it was due and active.
    evaluated : int
        Quota evaluations.
    esz_bytes : int
        Effective quota at the end.
    matched_bytes : int or None
        Matched the access pattern, over all passes, tried or not.
    core_passed_bytes, tried_bytes : int
        Within the quota, and let through by core filters.
    ops_passed_bytes : int
        Bytes of pages let through by the operations filters.
    applied_bytes : int
        Bytes of pages migrated or reclaimed.
    returned_bytes : int
        Bytes that left again: pages moved on from where they were put, or faulted back in.
    failed : dict of str to int
        Bytes of pages that stayed: ``no_frame`` on the target, ``unmovable`` (charged, but no page that could be had),
        ``bits_only`` (young, and made old).
    since_s : float
        From when it does what it does: 0 from the start, else since it came, or was told to do something else.
    """

    scheme: int
    asleep_s: float | None
    due: int | None
    evaluated: int
    esz_bytes: int
    matched_bytes: int | None
    core_passed_bytes: int
    tried_bytes: int
    ops_passed_bytes: int
    applied_bytes: int
    returned_bytes: int
    failed: dict[str, int]
    since_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return asdict(self)


def funnel_of(run: PageRun, one: SchemeRun) -> Funnel:
    """Return the funnel of a scheme.

    Parameters
    ----------
    run : PageRun
        The run.
    one : SchemeRun
        One of its schemes.

    Returns
    -------
    Funnel
    """
    n, unit = one.number, one.context.addr_unit
    counted = run.has("nr_due")
    tried, applied = int(run.last("sz_tried", n)) * unit, int(run.last("sz_applied", n)) * unit
    resident = int(run.last("sz_resident", n))
    return Funnel(
        scheme=n,
        asleep_s=round(run.asleep_s(one), 6) if counted else None,
        due=int(run.last("nr_due", n)) if counted else None,
        evaluated=int(run.last("resets", n)),
        esz_bytes=int(run.esz_bytes(one)[-1]),
        matched_bytes=int(run.last("sz_matched", n)) * unit if counted else None,
        core_passed_bytes=tried,
        tried_bytes=tried,
        ops_passed_bytes=int(run.last("sz_ops_filter_passed", n)) * unit,
        applied_bytes=applied,
        returned_bytes=min(_returned(run, one), applied),
        failed={
            "no_frame": int(run.last("sz_no_frame", n)),
            "unmovable": max(tried - resident, 0) if counted and one.context.ops == "paddr" else 0,
            "bits_only": int(run.last("sz_young", n)),
        },
        since_s=one.since_s,
    )


def _returned(run: PageRun, one: SchemeRun) -> int:
    """Bytes that did not stay: of the moves to its node undone, the scheme's share of all schemes' that move there."""
    late = run.after(one.since_s)
    if one.reclaims:
        return int(run.ds["faulted_pages"].values[late].sum()) * run.page_bytes if run.has("faulted_pages") else 0
    if "undone_pages" not in run.ds or not one.scheme.action.startswith("migrate"):
        return 0
    undone = run.ds["undone_pages"].values
    if one.since_s and not (undone < 0).any():  # by node they are known of the whole run only
        undone = undone * (run.ds["returns"].values[late].sum() / max(undone.sum(), 1))
    if one.scheme.dests or (undone < 0).any():
        return max(int(undone.sum()), 0) * run.page_bytes
    if one.scheme.target_nid not in run.nids:
        return 0
    there = [s for s in run.schemes if s.acts and s.scheme.target_nid == one.scheme.target_nid and not s.scheme.dests]
    total = sum(run.last("sz_applied", s.number) for s in there)
    share = run.last("sz_applied", one.number) / total if total else 0.0
    return int(int(undone[run.nids.index(one.scheme.target_nid)]) * share) * run.page_bytes


def describe(funnel: Funnel) -> str:
    """Return the funnel as one line of text."""
    from ..units import format_bytes

    parts = []
    if funnel.asleep_s:
        parts.append(f"asleep {funnel.asleep_s:.1f} s")
    if funnel.due is not None:
        parts.append(f"due {funnel.due}")
    parts.append(f"evaluated {funnel.evaluated}")
    if funnel.matched_bytes is not None:
        parts.append(f"matched {format_bytes(funnel.matched_bytes)}")
    parts.append(f"tried {format_bytes(funnel.tried_bytes)}")
    parts.append(f"passed {format_bytes(funnel.ops_passed_bytes)}")
    parts.append(f"applied {format_bytes(funnel.applied_bytes)}")
    if funnel.returned_bytes:
        parts.append(f"returned {format_bytes(funnel.returned_bytes)}")
    since = f" since {funnel.since_s:g} s" if funnel.since_s else ""
    return f"scheme {funnel.scheme}{since}: " + " > ".join(parts)
