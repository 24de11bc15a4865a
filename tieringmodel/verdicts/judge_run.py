"""The verdict on a page-level run, from its dataset alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import InputError
from .causes_run import causes_of
from .funnel import funnel_of
from .goal_course import courses
from .kinds import Judge
from .page_run import PageRun
from .record import Verdict
from .rest import inside_since
from .sentence import paragraph
from .state import State
from .thresholds import RunThresholds
from .work_done import changes, kernel_moves, phases_done, sentence

if TYPE_CHECKING:
    import xarray as xr


NEEDED = ("time", "node", "class_pages", "class_rate_hz", "migrated_pages", "access_share_bp", "used_pages", "free_pages")
"""Variables without which no page-level run can be judged; every version wrote them."""


def verdict_of_run(ds: xr.Dataset, limits: RunThresholds) -> Verdict:
    """Return the verdict on a dataset of kind "simulation"."""
    for name in NEEDED:
        if name not in ds or "scenario" not in ds.attrs:
            what = "scenario" if name in ds else name
            raise InputError("ds", f"is no page-level run: it has no {what!r}", "pass what tieringmodel.simulate returned")
    run = PageRun(ds, limits)
    judge = Judge(run)
    found = judge.found()
    state = State(run, judge.goals, found.kind, found.tail_s, found.rest)
    goals = courses(run)
    settling_s = _settling_s(judge, found.kind)
    work = changes(ds, settling_s)
    out = Verdict(
        kind=found.kind,
        text="",
        causes=tuple(causes_of(state)),
        goals=tuple(
            {
                "scheme": g.of.number,
                "metric": g.goal.metric,
                "nid": g.goal.nid,
                "target": int(g.target),
                "value": None if g.value is None else int(g.value),
                "met_since_s": g.met_since_s,
            }
            for g in goals
        ),
        hot_share_bp=run.hot_share_bp,
        funnel=tuple(funnel_of(run, s) for s in run.schemes),
        settling_s=settling_s,
        last_move_s=run.last_move_s,
        residual_mib_s=run.mib_s(found.tail_s),
        left=found.left,
        numbers={
            "tail_s": found.tail_s,
            "silent_s": found.rest.silent_s,
            "silence_needed_s": found.rest.needed_s,
            "disturbed_s": run.disturbed_s,
            "first_move_s": run.first_move_s,
            "moved_pages": float(run.moved.sum()),
            **work,
        },
        thresholds=limits._asdict(),
    )
    told, beside = paragraph(out, run, judge.goals), kernel_moves(run)
    said = told, f"{beside}." if beside and beside not in told else "", sentence(work), phases_done(ds)
    return replace(out, text=" ".join(filter(None, said)))


def _settling_s(judge: Judge, kind: str) -> float | None:
    """Return from when on everything is where it should be; None if it is not, or not for good."""
    run = judge.run
    if kind not in ("converged", "ripple"):
        return None
    moved_s = run.last_move_s or 0.0
    if not judge.goals:
        return moved_s
    times = [inside_since(run.time[g.evaluated], judge.right(g)[g.evaluated]) for g in judge.goals if g.evaluated.any()]
    if kind == "ripple" and None in times:
        return None
    if kind == "converged" and any(not judge.goals_of(one) for one in judge.acting):
        times.append(moved_s)
    return max((moved_s if t is None else t for t in times), default=None)
