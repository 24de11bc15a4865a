"""What is known about a scenario before it runs: rules that read it, and their findings.

Nothing is simulated. A rule is a function of a `Scenario` that yields `Finding`; `rule` registers one of your own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ..errors import InputError
from ..scenario import Kernel, Scenario, need_scenario
from ..scenario.linux import NEXT
from .concerning import concerning
from .finding import LEVELS, RULES, Finding, Findings, Rule, format_findings, ordered, rule
from .rules import (
    clocks,
    destinations,
    direction,
    filters,
    kernels,
    metrics,
    monitors,
    opposing,
    patterns,
    quotas,
    tuners,
    unreachable,
)
from .wording import duration

__all__ = ["LEVELS", "RULES", "Finding", "Findings", "Rule", "concerning", "format_findings", "lint", "rule"]

_BUILT_IN = (
    clocks,
    destinations,
    direction,
    filters,
    metrics,
    monitors,
    opposing,
    patterns,
    quotas,
    unreachable,
    tuners,
    kernels,
)


def lint(scenario: Scenario, *, rules: Iterable[Rule] | None = None) -> Findings:
    """Return what is wrong, doubtful or worth knowing about a scenario, without running it.

    The scenario is read as it starts and, with the pages still where they start, as its events leave it. Schemes that
    are not enabled are not judged.

    Parameters
    ----------
    scenario : Scenario
        What would be run.
    rules : iterable of callable, optional
        Rules to ask; by default every registered one.

    Returns
    -------
    Findings
        A list of `Finding`: errors first, then warnings, then infos; by path within a level. Empty if there is nothing to say.

    Raises
    ------
    InputError
        If `scenario` is no `Scenario`.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> goal = tm.Goal("node_mem_used_bp", "40 %", nid=0)
    >>> away = tm.Scheme("migrate_cold", target_nid=1, quota=tm.Quota(goals=(goal,)))
    >>> scenario = tm.load("rfc-40-60").replace(contexts=(tm.Context(schemes=(away,)),))
    >>> [finding.code for finding in tm.lint(scenario) if finding.level == "error"]
    ['goal-on-source', 'no-reset-interval']
    """
    return ordered(_findings(need_scenario(scenario), list(RULES.values() if rules is None else rules)))


def _findings(scenario: Scenario, rules: list[Rule]) -> Iterator[Finding]:
    stages = [(at_us, [f for one in rules for f in one(stage)]) for at_us, stage in [(0, scenario), *scenario.stages()]]
    keys = [{(f.code, f.path, f.level) for f in here} for _, here in stages]
    for k, (since_us, here) in enumerate(stages):
        for finding in here:
            key = finding.code, finding.path, finding.level
            if any(key in before for before in keys[:k]):
                continue
            if finding.path.startswith(("events[", "commits[")):  # which say when
                yield _for_its_kernel(finding, scenario)
                continue
            until_us = next((stages[j][0] for j in range(k + 1, len(stages)) if key not in keys[j]), None)
            when = f"from {duration(since_us * 1e-6)} " if since_us else ""
            when += "on: " if since_us and until_us is None else ""
            when += f"until {duration(until_us * 1e-6)}: " if until_us is not None else ""
            yield replace(_for_its_kernel(finding, scenario), message=when + finding.message)


def _for_its_kernel(finding: Finding, scenario: Scenario) -> Finding:
    """Return a finding without changes that the scenario's kernel lacks something for; its remedy says so."""
    if not finding.changes or scenario.kernel.has(Kernel.base):
        return finding
    try:
        lacks = next(finding.applied_to(scenario.replace(kernel=NEXT)).missing(scenario.kernel), None)
    except InputError:
        return finding
    if lacks is None:
        return finding
    remedy = f"{finding.remedy} (not in this kernel: {lacks.feature} is first in {lacks.since})"
    return replace(finding, changes=(), remedy=remedy)
