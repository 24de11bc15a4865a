"""Which findings concern what happened in a run."""

from __future__ import annotations

from collections.abc import Iterable

from .finding import Finding, Findings, ordered

_NO_ANSWER = (
    "action-not-modelled",
    "goal-node",
    "goal-of-another-cgroup",
    "goal-without-effect",
    "literal-metric",
    "memcg-unknown",
    "metric-unsupported",
    "unsupported-action",
)
"""The metric does not answer to the scheme."""

CONCERNS: dict[str, tuple[str, ...]] = {
    "watermarks-inactive": ("watermarks-inactive",),
    "apply-starved": ("apply-starved",),
    "run-too-short": ("first-move", "no-reset-interval"),
    "met-at-start": ("goal-on-source", *_NO_ANSWER),
    "quota-below-region": ("first-move", "no-reset-interval", "quota-below-region"),
    "nothing-matches": ("empty-pattern", "pattern-matches-nothing", "source-is-target", "too-few-regions"),
    "rejected-by-filters": ("goal-of-another-cgroup", "ops-filters-skipped", "source-is-target", "young-filter"),
    "young-first-pass": ("failed-charges", "young-filter", "young-first-pass"),
    "early-exit": ("goal-on-source",),
    "destination-full": ("target-above-capacity", "target-node"),
    "failed-charges": ("failed-charges", "missing-address-filter", "no-ranges", "source-is-target", "target-node"),
    "quota-limited": ("first-move", "no-reset-interval", "quota-bound", "windup-under-cap", "young-first-pass"),
    "capacity": ("target-above-capacity", "target-above-supply", "targets-overlap", *_NO_ANSWER),
    "metric-blind": _NO_ANSWER,
    "wrong-node": ("goal-on-source",),
    "goals-overlap": ("targets-overlap", "used-free-overlap"),
    "no-gap": ("gap-below-step", "targets-no-gap"),
    "opposing-schemes": ("interleave-against-goal", "opposing-schemes", "used-free-overlap"),
    "step-over": ("esz0-bypass", "first-window-unlimited", "gap-below-step", "no-cap"),
    "tuner-windup": ("consist-overshoot", "esz0-bypass", "windup-under-cap"),
    "one-way": ("consist-overshoot", "esz0-bypass", "first-window-unlimited", "no-cap", "windup-under-cap"),
    "measured-differs": ("sample-reuse", "too-few-regions", "two-contexts-same-memory", "unmonitored-target"),
    "redraw": ("dests-on-paddr",),
    "frame-rule": ("dests-on-paddr",),
    "rank-rule": ("dests-on-paddr",),
    "offset-rule": ("weights-share-off",),
    "nothing-acts": ("action-not-modelled", "dests-weights-zero", "target-node", "unsupported-action"),
}
"""Codes of findings by the cause of a verdict that they foretell."""


def concerning(findings: Iterable[Finding], causes: Iterable[str]) -> Findings:
    """Return the errors and warnings that concern what happened, in their order.

    Parameters
    ----------
    findings : iterable of Finding
        What `lint` said about the scenario that was run.
    causes : iterable of str
        The codes of the verdict's causes.

    Returns
    -------
    Findings
        Empty where the findings are about something else.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> from tieringmodel.linting import concerning
    >>> [f.code for f in concerning(tm.lint(tm.load("rfc-40-60")), ["no-gap"])]
    ['targets-no-gap']
    """
    codes = {code for cause in causes for code in CONCERNS.get(cause, ())}
    return ordered(f for f in findings if f.code in codes and f.level != "info")
