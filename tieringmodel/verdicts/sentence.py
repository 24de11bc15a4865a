"""The paragraph of a verdict: what the run came to with its numbers, then what is proven to have caused it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..scenario import tick_over_sample
from ..units import format_bytes
from .goal_course import GoalCourse
from .page_run import PageRun
from .work_done import kernel_moves

if TYPE_CHECKING:
    from .record import Verdict

SAID_CAUSES = 3
"""So many causes are put into words; all are in the verdict."""


def paragraph(found: Verdict, run: PageRun, goals: list[GoalCourse]) -> str:
    """Return the paragraph that is printed for a page-level run.

    Parameters
    ----------
    found : Verdict
        The verdict, without its text.
    run : PageRun
        The run.
    goals : list of GoalCourse
        Goals of the schemes that act.

    Returns
    -------
    str
        Sentences without line breaks.
    """
    parts = [f"{found.kind}: {_what(found, run, goals)}."]
    said = [c for c in found.causes if (found.kind, c.code) != ("unfinished", "unexplained")]
    for cause in said[:SAID_CAUSES]:
        whose = "" if cause.scheme is None else f"Scheme {cause.scheme}: "
        text = cause.text if whose else cause.text[:1].upper() + cause.text[1:]
        parts.append(f"{whose}{text} [{cause.code}].")
    parts += [f"{text[:1].upper()}{text[1:]}." for text, _ in tick_over_sample(run.scenario).values()]
    return " ".join(parts)


def _rate(mib_s: float) -> str:
    return f"{mib_s:.3g} MiB/s"


def _standing(goals: list[GoalCourse]) -> str:
    """Where the goals stand, one after another."""
    out = []
    for g in goals:
        if g.value is None:
            out.append(f"{g.name} was never evaluated (asked for {g.target:.0f}{g.unit})")
            continue
        away = g.value - g.target
        side = "met" if away == 0 else f"{abs(away):.0f} {'past' if away > 0 else 'short of'} it"
        out.append(f"{g.name} is {g.value:.0f}{g.unit}, its goal {g.target:.0f} ({side})")
    return "; ".join(out)


def _swing(run: PageRun, goals: list[GoalCourse], tail_s: float) -> str:
    late = run.time >= tail_s
    out = []
    for g in goals:
        y = g.values[late & g.evaluated]
        if y.size:
            out.append(f"{g.name} between {y.min():.0f} and {y.max():.0f}{g.unit} (goal {g.target:.0f})")
    return "; ".join(out)


def _hot(run: PageRun) -> str:
    known = {nid: share for nid, share in run.hot_share_bp.items() if share is not None}
    if not known:
        return ""
    nid, share = next(iter(known.items()))
    return f"node {nid} serves {share / 100:.1f} % of the accesses"


def _what(found: Verdict, run: PageRun, goals: list[GoalCourse]) -> str:
    standing, end, hot = _standing(goals), f"{run.end_s:.4g} s", _hot(run)
    tail_s = float(found.numbers["tail_s"])
    moved = format_bytes(float(run.moved.sum()) * run.page_bytes)
    last = "nothing ever moved" if found.last_move_s is None else f"the last page moved at {found.last_move_s:.1f} s of {end}"
    joined = "; ".join(part for part in (standing, hot) if part)
    if found.kind == "idle" and (said := kernel_moves(run)):
        return f"no scheme could move pages; {said}; {hot}".removesuffix("; ")
    if found.kind == "idle" and run.moved.any():
        since = f" since {run.disturbed_s:.4g} s" if run.disturbed_s else ""
        return f"nothing could move pages{since}, {moved} were moved before; {hot}".removesuffix("; ")
    if found.kind == "idle":
        return f"nothing could move pages in {end}{'; ' + hot if hot else ''}"
    if found.kind == "unfinished":
        return "; ".join(part for part in (f"after {end}, {found.left}", f"{moved} moved so far", joined) if part)
    if found.kind == "converged":
        since = f" since {found.settling_s:.1f} s" if found.settling_s else ""
        return f"everything is where it should be{since}, {last}; {joined}"
    if found.kind == "wrong-point":
        return f"pages rest, but not where they should: {last}; {joined}"
    if found.kind in ("limit-cycle", "ripple"):
        where = "the share swings" if found.kind == "limit-cycle" else "the share stays in its band"
        return f"{_rate(found.residual_mib_s)} of migration for ever, {where}: {_swing(run, goals, tail_s)}" + (
            f"; {hot}" if hot else ""
        )
    if found.kind == "steady-flow":
        return f"{_rate(found.residual_mib_s)} of migration for ever" + (f"; {hot}" if hot else "")
    if found.kind == "stuck":
        little = "nearly nothing happens" if run.moved.any() else "nothing happens"
        if run.moved.sum() * run.page_bytes >= run.limits.stuck_share * run.memory_bytes:
            little = "a scheme that should move pages moves nearly none"
        return f"{little}: {moved} moved in {end}; {joined}"
    if found.kind == "saturated":
        return f"a limit binds: {moved} moved in {end}, {_rate(found.residual_mib_s)} at the end; {joined}"
    if found.kind == "runaway":
        return f"a scheme goes on and its goal does not answer; {joined}"
    return f"a scheme moves its own goal away from the target; {joined}"
