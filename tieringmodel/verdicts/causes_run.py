"""Causes of what a page-level run came to, each proven by the run's own counters; what is not proven is not said."""

from __future__ import annotations

from .causes_dynamics import DYNAMICS, broken_quotas
from .causes_funnel import STAGES, met_at_start
from .page_run import PageRun, SchemeRun
from .record import Cause
from .state import State
from .work_done import kernel_moves


def causes_of(state: State) -> list[Cause]:
    """Return what is proven of a run, what matters most first.

    Parameters
    ----------
    state : State
        What the judge found.

    Returns
    -------
    list of Cause
        One of code ``unexplained``, which says what was ruled out, where nothing else is proven and the run is not
        converged.
    """
    run = state.run
    acting = [s for s in run.schemes if s.acts]
    if not acting:
        return [_nothing_acts(run)]
    lost: list[tuple[float, Cause]] = []
    for one in acting:
        if state.kind in ("converged", "unfinished") and (cause := met_at_start(state, one)):
            lost.append((0.0, cause))
        if state.kind == "converged":
            continue
        matters = _matters(state, one)
        for order, proof in enumerate(STAGES):
            if matters and (cause := proof(state, one)):
                lost.append((order, cause))
                break
    if state.kind == "converged":
        return [*(cause for _, cause in lost), *broken_quotas(state)]
    others = [*broken_quotas(state), *(cause for proof in DYNAMICS for cause in proof(state))]
    if state.kind == "runaway":
        others.sort(key=lambda cause: cause.code != "metric-blind")
    first = [cause for _, cause in sorted(lost, key=lambda pair: pair[0])]
    if state.kind in ("limit-cycle", "ripple", "wrong-polarity", "runaway", "wrong-point", "steady-flow"):
        ordered = [*others, *first]
    else:
        # Overlap comes after stages that lose what they are given, but before those that say how much is missing.
        short = [cause for cause in first if cause.code in ("capacity", "quota-limited")]
        overlap = [cause for cause in others if cause.code == "goals-overlap"]
        ordered = [*(cause for cause in first if cause not in short), *overlap, *short, *others]
    out: list[Cause] = []
    for cause in ordered:
        if all((cause.code, cause.scheme) != (known.code, known.scheme) for known in out):
            out.append(cause)
    return out or [_silent(state) if state.kind == "unfinished" else _unexplained(state)]


def _matters(state: State, one: SchemeRun) -> bool:
    """Whether the way of this scheme's pages is asked for: its goals are missed, or it has none, or nothing is due yet."""
    return not state.goals_of(one) or state.unmet(one) or not any(g.evaluated[-1] for g in state.goals_of(one))


def _nothing_acts(run: PageRun) -> Cause:
    if run.oracle:
        moved = {"moved_pages": float(run.moved.sum())}
        return Cause("nothing-acts", None, "no scheme: an oracle, which knows the workload, moves the missing pages", moved)
    actions = sorted({s.scheme.action for s in run.schemes if s.scheme.enabled})
    what = (
        f"schemes only {', '.join(actions)}" if actions else "no scheme is switched on" if run.schemes else "there is no scheme"
    )
    return Cause(
        "nothing-acts",
        None,
        f"{'only the kernel moves' if kernel_moves(run) else 'nothing moves'} pages: {what}",
        {"schemes": len(run.schemes), "moved_pages": float(run.moved.sum())},
    )


def _silent(state: State) -> Cause:
    rest = state.rest
    text = f"nothing moved for {rest.silent_s:.1f} s at the end, {rest.needed_s:.1f} s would show that it is over"
    if rest.silent_s < state.run.window_s:
        text = f"the run's end at {state.run.end_s:g} s comes before pages come to rest or to a steady course"
    evidence = {"silent_s": rest.silent_s, "needed_s": rest.needed_s, "end_s": state.run.end_s}
    return Cause("unexplained", None, text, evidence)


def _unexplained(state: State) -> Cause:
    ruled = ", ".join(
        (
            "asleep",
            "never due",
            "quota under a region",
            "nothing matching",
            "filters",
            "no free frame",
            "goals that exclude each other",
        )
    )
    return Cause("unexplained", None, f"none of the known mechanisms is proven; ruled out: {ruled}", {})
