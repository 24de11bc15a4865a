"""What is known about a scenario before it runs: rules that read it, and their findings.

Nothing is simulated. A rule is a function of a `Scenario` that yields `Finding`; `rule` registers one of your own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ..errors import InputError
from ..scenario import Kernel, Scenario, need_scenario
from ..scenario.linux import NEXT
from ..scenario.numbering import START, Numbering, numbered
from ..scenario.paths import in_force
from .concerning import concerning
from .finding import LEVELS, RULES, Finding, Findings, Rule, format_findings, ordered, rule
from .rules import (
    balancing,
    clocks,
    coverage,
    destinations,
    direction,
    filters,
    kernels,
    metrics,
    monitors,
    opposing,
    patterns,
    quotas,
    swap,
    tuners,
    unreachable,
)
from .wording import duration

__all__ = ["LEVELS", "RULES", "Finding", "Findings", "Rule", "concerning", "format_findings", "lint", "rule"]

_BUILT_IN = (
    balancing,
    clocks,
    coverage,
    destinations,
    direction,
    filters,
    metrics,
    monitors,
    opposing,
    patterns,
    quotas,
    swap,
    unreachable,
    tuners,
    kernels,
)


def lint(scenario: Scenario, *, rules: Iterable[Rule] | None = None) -> Findings:
    """Return what is wrong, doubtful or worth knowing about a scenario, without running it.

    The scenario is read as it starts and, with the pages still where they start, as its events and commits leave it. Schemes
    that are not enabled are not judged.

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
    numbers = numbered(scenario)
    when = [START, *(numbers.stage_at(at_us) for at_us, _ in stages[1:])]
    keys = [{_key(f, numbers, stage) for f in here} for stage, (_, here) in zip(when, stages, strict=True)]
    for k, (since_us, here) in enumerate(stages):
        for finding in here:
            key = _key(finding, numbers, when[k])
            if any(key in before for before in keys[:k]):
                continue
            if finding.path.startswith(("events[", "commits[")):  # which say when
                yield _for_its_kernel(finding, scenario)
                continue
            until_us = next((stages[j][0] for j in range(k + 1, len(stages)) if key not in keys[j]), None)
            told = f"from {duration(since_us * 1e-6)} " if since_us else ""
            told += "on: " if since_us and until_us is None else ""
            told += f"until {duration(until_us * 1e-6)}: " if until_us is not None else ""
            placed = _placed(finding, scenario, since_us) if k else finding
            yield replace(_for_its_kernel(placed, scenario), message=told + finding.message)


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


def _key(finding: Finding, numbers: Numbering, stage: int) -> tuple[object, ...]:
    """Return what tells a finding from others: who comes to a scheme's position later is another one."""
    where = re.match(r"contexts\[(\d+)\]\.schemes\[(\d+)\]", finding.path)
    if not where:
        return finding.code, finding.path, finding.level
    schemes = numbers.schemes_of(int(where[1]), stage)
    return finding.code, finding.path, finding.level, *schemes[int(where[2]) : int(where[2]) + 1]


def _placed(finding: Finding, scenario: Scenario, at_us: int) -> Finding:
    """Return a finding about a later time with its changes where the scenario sets these fields then."""
    changes = tuple({**c, "path": in_force(scenario, c["path"], at_us) or c["path"]} for c in finding.changes)
    return replace(finding, changes=changes)
