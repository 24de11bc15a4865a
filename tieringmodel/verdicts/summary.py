"""The verdict line of one policy in a comparison: the numbers of a page-level run and the mechanism behind them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..scenario import Goal, Scenario, Scheme
from ..scenario.metrics import metric_of
from ..units import MIB, format_bytes
from .thresholds import Thresholds

BAND, RESIDUAL_PER_PAGE, PING_PONG, WITHIN = Thresholds()


@dataclass(frozen=True)
class Summary:
    """One row of the comparison table; see `tieringmodel.compare` for the columns."""

    settled: bool
    settling_s: float
    share_error_bp: float
    residual_mib_s: float
    ping_pong: float
    moves_per_page: float
    kind: str
    cause: str
    fix: str


def ping_pong_ratio(returns: npt.NDArray[np.int64] | None, moved: npt.NDArray[np.int64], within: int) -> float:
    """Return the share of moves after which the page was back within that many windows; nan if not known or no moves.

    Moves too close to the end for a return to be seen count as moves all the same, so the ratio is a lower bound.
    """
    if returns is None or (returns < 0).any() or not moved.sum():
        return 0.0 if returns is not None and not moved.sum() else float("nan")
    return float(returns[:, : within + 1].sum() / moved.sum())


def judge(
    time: npt.NDArray[np.float64],
    share_bp: npt.NDArray[np.float64],
    moved: npt.NDArray[np.int64],
    returns: npt.NDArray[np.int64] | None,
    *,
    window_s: float,
    n_pages: int,
    target_bp: float,
    policy: str,
    scenario: Scenario,
    faulted: npt.NDArray[np.int64] | None = None,
) -> Summary:
    """Judge one policy by share, migration and returning pages together.

    Parameters
    ----------
    time : ndarray of float64, shape (n,)
        Seconds.
    share_bp : ndarray of float64, shape (n,)
        Controlled share at those times.
    moved : ndarray of int64, shape (n,)
        Pages migrated since the previous time; where pages can be reclaimed, those that were and that came back too.
    returns : ndarray of int64, shape (n, lags), or None
        Moves undone, by lag in windows; None where pages were not followed.
    window_s : float
        Length of a quota window.
    n_pages : int
        Pages that are ever touched.
    target_bp : float
        Where the share shall be.
    policy : str
        Name of the policy.
    scenario : Scenario
        What was run.
    faulted : ndarray of int64, shape (n,), optional
        Those of `moved` that were reclaimed and came back.

    Returns
    -------
    Summary
        ``settled`` needs all three: within 2 % of the target from some time in the first two thirds on, at most 1e-4 of
        the pages moved per window from then on, at most 1 % of all moves undone within 10 windows.
    """
    inside = np.abs(share_bp - target_bp) <= BAND * target_bp + 1e-9
    outside = np.flatnonzero(~inside)
    settling = 0.0 if not outside.size else float("inf") if outside[-1] == time.size - 1 else float(time[outside[-1] + 1])
    if settling > 2 / 3 * time[-1]:
        settling = float("inf")
    late = time >= (settling if np.isfinite(settling) else time[-1] / 2)
    span = max(time[-1] - time[late][0], 1e-9)
    pages_late = float(moved[late][1:].sum())
    residual = pages_late * scenario.machine.folio_bytes / MIB / span
    per_window = pages_late / span * window_s / max(n_pages, 1)
    bounce = ping_pong_ratio(returns, moved, WITHIN)
    moves_per_page = float(moved.sum()) / max(n_pages, 1)
    if np.isnan(share_bp[late]).all():
        cause, fix = "nothing is accessed, so the share has no value", "give the workload accesses"
        return Summary(False, settling, float("nan"), residual, bounce, moves_per_page, "stuck", cause, fix)
    error = float(np.nanmean(share_bp[late]) - target_bp)
    swing = float(np.nanmax(share_bp[late]) - np.nanmin(share_bp[late]))
    quiet = per_window <= RESIDUAL_PER_PAGE
    settled = bool(np.isfinite(settling) and quiet and not bounce > PING_PONG)
    drift = abs(float(share_bp[late][-1] - share_bp[late][0])) / 1e4 * n_pages
    if settled:
        kind = "converged"
    elif quiet:
        kind = "wrong-point" if moved.any() or not owes(scenario, error) else "stuck"
    elif drift > pages_late / 2:
        kind = "drifting"
    else:
        tail, band = share_bp[late], BAND * target_bp
        kind = "limit-cycle" if returns_of(tail, band) > 1 else kind_of_moving(tail, target_bp, band)
    cause, fix = mechanism(
        kind,
        policy,
        scenario,
        error,
        swing,
        per_window,
        residual,
        started=bool(moved.any()),
        back=faulted is not None and come_back(moved[late], faulted[late]),
    )
    return Summary(settled, settling, error, residual, bounce, moves_per_page, kind, cause, fix)


def come_back(moved: npt.NDArray[np.int64], faulted: npt.NDArray[np.int64]) -> bool:
    """Return whether a tenth or more of the pages that change place are reclaimed ones that were touched again."""
    return bool(faulted.any() and 10 * faulted.sum() >= moved.sum())


def kind_of_moving(y_bp: npt.NDArray[np.float64], target_bp: float, band_bp: float) -> str:
    """Return the kind of a run that keeps moving pages without a cycle, from where its share is meanwhile.

    Parameters
    ----------
    y_bp : ndarray of float64
        Share in the tail; nan where it has no value.
    target_bp, band_bp : float
        The reference, and the distance from it that counts as none.

    Returns
    -------
    str
        ``"wrong-point"`` if the share stays on one side, beyond the band on average, else ``"ripple"``.
    """
    around = float(np.nanmin(y_bp)) <= target_bp <= float(np.nanmax(y_bp))
    return "ripple" if around or abs(float(np.nanmean(y_bp)) - target_bp) <= band_bp else "wrong-point"


def returns_of(y_bp: npt.NDArray[np.float64], band_bp: float) -> int:
    """Return how often a share rose from more than the band below its mean to more than the band above it."""
    y = y_bp[~np.isnan(y_bp)]
    side = np.sign(np.where(np.abs(y - y.mean()) > band_bp, y - y.mean(), 0.0))
    return int(np.count_nonzero(np.diff(side[side != 0]) > 0))


def owes(scenario: Scenario, error_bp: float) -> bool:
    """Return whether a share goal of a scheme that acts is unmet where the controlled share is so far off its target.

    Goals are floors: a share beyond its goal is a goal met, and nothing brings it back. Runs without share goals owe
    whatever they are off.
    """
    goals = [g for s in (*_migrating(scenario), *_reclaiming(scenario)) for g in s.quota.goals if g.metric.startswith("node_")]
    if not goals or len(scenario.machine.nodes) != 2:
        return True
    first = goals[0]
    share = (10_000 - first.target_value if "free" in first.metric else first.target_value) + error_bp
    for goal in goals:
        value = share if goal.nid == first.nid else 10_000 - share
        if (10_000 - value if "free" in goal.metric else value) < goal.target_value:
            return True
    return False


def _migrating(scenario: Scenario) -> list[Scheme]:
    return [s for c in scenario.contexts for s in c.schemes if s.action.startswith("migrate")]


def _reclaiming(scenario: Scenario) -> list[Scheme]:
    return [s for c in scenario.contexts if c.ops == "paddr" for s in c.schemes if s.action == "pageout"]


def mechanism(
    kind: str,
    policy: str,
    scenario: Scenario,
    error: float,
    swing: float,
    per_window: float,
    residual: float,
    *,
    started: bool,
    back: bool = False,
) -> tuple[str, str]:
    """Return what causes a verdict on a page-level run, in words, and the nearest knob.

    Parameters
    ----------
    kind : str
        The verdict.
    policy : str
        Name of the policy in a comparison, or "".
    scenario : Scenario
        What was run.
    error, swing : float
        Mean distance from the target and range of the share at the end, bp.
    per_window : float
        Share of the pages that moves per quota window at the end.
    residual : float
        Migration at the end, MiB/s.
    started : bool
        Whether any page has moved at all.
    back : bool
        Whether reclaimed pages are touched again at the end, see `come_back`.

    Returns
    -------
    cause, fix : str
    """
    schemes = _migrating(scenario)
    if not schemes and (reclaiming := _reclaiming(scenario)):
        return _reclaim_cause(reclaiming, kind, error, swing, residual, scenario, started, back)
    if not schemes and any(s.action == "pageout" for c in scenario.contexts for s in c.schemes):
        text = "nothing migrates, and pageout of virtual addresses is counted here without freeing a page"
        return f"{text}; {error:+.0f} bp off the target", ""
    if not schemes or (policy.startswith("weights") and not schemes[0].dests):
        return _baseline_cause(policy, kind, error)
    if schemes[0].dests and not policy.startswith("recorded"):
        return _weights_cause(schemes[0].dest_rule, kind, error, per_window, scenario)
    if kind == "wrong-point" and not started:
        return (
            f"the goals were met before anything moved: a goal is a floor, and nothing takes the {abs(error):.0f} bp back",
            "add a scheme in the other direction with the complementary goal, and a gap between the two",
        )
    return _goal_cause(schemes, kind, error, swing, residual, scenario)


def _baseline_cause(policy: str, kind: str, error: float) -> tuple[str, str]:
    if "oracle" in policy:
        return "knows the workload and moves just the missing pages, once per change of accesses", ""
    if kind == "converged":
        return "placed at the target from the start and never moved", ""
    return f"nothing migrates; the initial placement is {error:+.0f} bp off the target", ""


_NO_IDENTITY = "the frame number changes with every move, so no page can be recognised as handled"


def _weights_cause(rule: str, kind: str, error: float, per_window: float, scenario: Scenario) -> tuple[str, str]:
    share = f"{per_window:.2%} of the touched pages move per window"
    fix = "use destinations by VMA offset (vaddr), or a target-state goal with a small quota"
    if rule == "vma_offset":
        if kind == "converged":
            return "each page's place in its mapping names its node: moved once, then left alone", ""
        return (
            "each page's place in its mapping names its node, but quota and detection have not reached every page yet, "
            f"or hot offsets are not evenly spread over the weights ({error:+.0f} bp)",
            "raise the size quota; reduce the weights by their common divisor",
        )
    if rule == "iid":
        return f"every visit draws the node anew; {_NO_IDENTITY}: {share} for ever", fix
    if rule == "pfn_mod":
        lifo = scenario.machine.allocator == "lifo"
        how = (
            "freed frames are reused first, so moved pages land on frames that send them back"
            if lifo
            else "a page stops on the first frame that agrees with its node"
        )
        return f"the node follows from the frame number: {how}; {error:+.0f} bp, {share}", fix
    which = "lowest" if rule == "first" else "highest"
    return f"the {which} frames are sent to the other node; moving changes who ranks there: {share}", fix


def _reclaim_cause(
    schemes: list[Scheme],
    kind: str,
    error: float,
    swing: float,
    residual: float,
    scenario: Scenario,
    started: bool,
    back: bool,
) -> tuple[str, str]:
    """Return cause and knob where pages are reclaimed and none migrates; `error` below 0 is used memory below the target."""
    goals, quota = [g for s in schemes for g in s.quota.goals], schemes[0].quota
    consist = quota.goal_tuner == "consist" and bool(quota.goals)
    cap = format_bytes(quota.sz_bytes) if quota.sz_bytes else "no cap"
    if any(metric_of(g.metric).rest == g.complement for g in goals if _about_used(g)) and kind != "converged":
        return "reclaim lowers the value that the goal asks to raise", "ask for node_mem_free_bp"
    if kind == "wrong-point" and not started:
        return f"the goals were met before anything was reclaimed, and nothing takes the {abs(error):.0f} bp back", ""
    if (kind in ("limit-cycle", "ripple") and not back) or (kind == "drifting" and error < 0):
        where, why = "past" if error < 0 else "around", f": {_STEPS}" if consist else ""
        return (
            f"reclaim goes on {where} the goal{why}; swing {swing:.0f} bp, {residual:.1f} MiB/s",
            "use the temporal tuner with a size quota" if consist else "run longer",
        )
    if kind in ("limit-cycle", "ripple"):
        return (
            f"pages are reclaimed and fault back in when they are touched: swing {swing:.0f} bp, {residual:.1f} MiB/s for ever",
            f"ask for colder pages (min_age), or lower the quota (now {cap})",
        )
    if kind == "wrong-point" and error < 0 and all(_about_used(g) for g in goals):
        beyond = f"reclaim went {-error:.0f} bp beyond the target"
        if not goals:
            return f"{beyond}: there is no goal to stop at", "give the scheme a goal"
        if consist:
            return f"{beyond}: {_STEPS}", "use the temporal tuner with a size quota"
        return f"{beyond}: the last window's quota ({cap}) overshot", f"lower the quota (now {cap})"
    if kind == "wrong-point" and residual == 0:
        return (
            f"reclaim ended {abs(error):.0f} bp off the target: no more pages match the pattern and stay untouched "
            "between two looks",
            "widen the access pattern",
        )
    return _goal_cause(schemes, kind, error, swing, residual, scenario)


_STEPS = "CONSIST lowers its quota step by step only, and what nobody touches does not come back"


def _about_used(goal: Goal) -> bool:
    return metric_of(goal.metric).counts == "used"


def _goal_cause(
    schemes: list[Scheme], kind: str, error: float, swing: float, residual: float, scenario: Scenario
) -> tuple[str, str]:
    goals = [g for s in schemes for g in s.quota.goals]
    tuner = schemes[0].quota.goal_tuner
    cap = schemes[0].quota.sz_bytes
    complementary = len({g.nid for g in goals}) > 1 and len(schemes) > 1
    total = sum(g.target_value for g in goals) if complementary else 0
    cap_text = format_bytes(cap) if cap else "no cap"
    if any(metric_of(g.metric).counts == "frames" for g in goals):
        return (
            "the metric counts frames of a node, which migration cannot change: a goal above that constant lets its quota "
            f"grow for ever, one below it never acts, and the clamped early exit can take it for met; {error:+.0f} bp",
            "measure resident memory instead: node_eligible_mem_bp",
        )
    if kind == "drifting":
        return (
            f"still on the way: {abs(error):.0f} bp {'above' if error > 0 else 'below'} the target on average, "
            f"{residual:.1f} MiB/s",
            "run longer, or raise the quota",
        )
    if kind == "converged":
        return f"the {tuner.upper()} tuner stopped at the goal", ""
    if kind == "stuck":
        if tuner == "consist":
            return (
                "CONSIST starts at 1 byte and nothing moves until the quota exceeds one region of 4 KiB "
                "(12 evaluations at full error, far more near the goal)",
                "use the temporal tuner with a size quota",
            )
        return "the goals are met as measured, or no region matches the pattern: no quota is granted", "check the pattern"
    if complementary and total >= 10_000 and kind in ("limit-cycle", "ripple"):
        return (
            f"two opposing goals sum to {total} bp: whichever is below its target moves its whole quota ({cap_text}), "
            f"the moved pages leave the metric until they are sampled again, and the other scheme answers; "
            f"swing {swing:.0f} bp, {residual:.1f} MiB/s for ever",
            f"leave a gap between the targets wider than the quota, or lower the quota (swing follows it) from {cap_text}",
        )
    if kind in ("limit-cycle", "ripple"):
        return (
            f"{tuner.upper()} keeps acting around the goal: swing {swing:.0f} bp, {residual:.1f} MiB/s for ever",
            f"lower the quota (now {cap_text})",
        )
    side = "above" if error > 0 else "below"
    if residual > 0:
        return (
            f"pages keep moving at {residual:.1f} MiB/s while the share stays {abs(error):.0f} bp {side} the target: the "
            "measured share differs from the true one, or schemes undo each other's moves",
            f"lower the quota (now {cap_text})",
        )
    return (
        f"migration ended {abs(error):.0f} bp {side} the target: the last window's quota ({cap_text}) overshot, "
        "or the measured share differs from the true one",
        f"lower the quota (now {cap_text})",
    )
