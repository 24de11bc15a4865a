"""What a rule reports, and the registry of rules."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InputError
from ..rich_html import table
from ..scenario import Scenario
from ..scenario.paths import normal, with_paths

LEVELS = ("error", "warning", "info")
_CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Finding:
    """One thing about a scenario that is known before it runs.

    Attributes
    ----------
    code : str
        Stable name of the kind of finding, words joined by hyphens.
    level : str
        ``"error"``: the scheme cannot do what it is for; ``"warning"``: it does something else besides or instead, or
        much later; ``"info"``: a number worth knowing.
    path : str
        Where in the scenario, as in ``contexts[0].schemes[1].quota.goals[0].nid``.
    message : str
        The mechanism, with numbers.
    remedy : str
        The nearest knob with a value; empty where there is nothing to change. Left out, it is made of `changes`.
    changes : tuple of dict
        The remedy as fields of the scenario: each with ``path`` and the new ``value``. Empty where the remedy takes a
        decision that the scenario does not hold.

    Raises
    ------
    InputError
        If the level is unknown or the code is not made of lower-case words joined by hyphens.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> change = {"path": "contexts.0.attrs.aggr_us", "value": 200_000}
    >>> tm.Finding("too-short", "info", "contexts[0].attrs.aggr_us", "is short", changes=(change,)).remedy
    'set aggr_us = 200000'
    """

    code: str
    level: str
    path: str
    message: str
    remedy: str = ""
    changes: tuple[dict[str, Any], ...] = field(default=(), hash=False)

    def __post_init__(self) -> None:
        if self.changes and not self.remedy:
            object.__setattr__(self, "remedy", in_words(self.changes))
        if self.level not in LEVELS:
            raise InputError("level", f"{self.level!r} is unknown", f"use one of {', '.join(LEVELS)}")
        if not _CODE.fullmatch(self.code):
            raise InputError("code", f"{self.code!r} is not made of words joined by hyphens", "write e.g. 'no-cap'")

    def __str__(self) -> str:
        return f"{self.level}: {self.path}: {self.message}" + (f"; {self.remedy}" if self.remedy else "")

    def applied_to(self, scenario: Scenario) -> Scenario:
        """Return the scenario with the finding's changes made.

        Parameters
        ----------
        scenario : Scenario
            The one that the finding is about.

        Returns
        -------
        Scenario
            The same where there is nothing to change.

        Raises
        ------
        InputError
            If it is another scenario, and a path leads nowhere in it or a value does not fit.

        Examples
        --------
        >>> import tieringmodel as tm
        >>> scenario = tm.load("rfc-40-60")
        >>> [f.code for f in tm.lint(tm.lint(scenario)[0].applied_to(scenario))]
        ['dead-band']
        """
        changed: Scenario = with_paths(scenario, {normal(c["path"]): c["value"] for c in self.changes})
        return changed


def fix(values: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return new values by path as a finding's changes."""
    return tuple({"path": normal(path), "value": value} for path, value in values.items())


def in_words(changes: Iterable[Mapping[str, Any]]) -> str:
    """Return changes as a remedy; what the same list holds at several places is named once."""
    said = dict.fromkeys(f"{c['path'].rpartition('.')[2]} = {c['value']!r}" for c in changes)
    return "set " + ", ".join(said)


Rule = Callable[[Scenario], Iterator[Finding]]

RULES: dict[str, Rule] = {}
"""Every registered rule by the name of its function, in order of registration."""


def rule(function: Rule) -> Rule:
    """Register a rule: a function of a scenario that yields findings. Use it as a decorator.

    Parameters
    ----------
    function : callable
        Takes a `Scenario`, yields `Finding`. One of the same name of the same module is replaced, as when a notebook's cell is
        run again.

    Returns
    -------
    callable
        The function itself.

    Raises
    ------
    InputError
        If it is not callable, or another module has a rule of that name.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> @tm.lint_rule
    ... def unnamed(scenario):
    ...     if not scenario.name:
    ...         yield tm.Finding("unnamed", "info", "name", "is empty", "give the scenario a name")
    >>> "unnamed" in {f.code for f in tm.lint(tm.load("rfc-40-60").replace(name=""))}
    True
    >>> from tieringmodel.linting import RULES
    >>> rule = RULES.pop("unnamed")
    """
    if not callable(function):
        raise InputError("function", f"{function!r} is not callable", "decorate a function of a scenario")
    known = RULES.setdefault(function.__name__, function)
    if known.__module__ != function.__module__:
        raise InputError("function", f"{function.__name__} is a rule of {known.__module__}", "choose another name")
    RULES[function.__name__] = function
    return function


lint_rule = rule  # its name at the front door, where "rule" alone would say little


def natural(path: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key under which ``contexts[10]`` follows ``contexts[2]``."""
    parts = re.findall(r"\d+|\D+", path)
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts)


class Findings(list[Finding]):
    """A list of findings that notebooks show as a table and `print` as text."""

    def __str__(self) -> str:
        return format_findings(self)

    def _repr_html_(self) -> str:
        rows = [(f.level, f.code, f.path, f.message, f.remedy) for f in self]
        return table(("level", "code", "where", "what", "fix"), rows) if rows else "nothing to report"


def ordered(findings: Iterable[Finding]) -> Findings:
    """Return findings by level, then path, then code."""
    return Findings(sorted(findings, key=lambda f: (LEVELS.index(f.level), natural(f.path), f.code)))


def format_findings(findings: Iterable[Finding], width: int = 110) -> str:
    """Return findings as plain text for a terminal, with a count at the end.

    Parameters
    ----------
    findings : iterable of Finding
        In the order in which they shall appear.
    width : int
        Longest line in characters, 40 or more; a path is never broken.

    Returns
    -------
    str
        Without a line break at the end.

    Raises
    ------
    InputError
        If `width` is below 40.
    """
    if width < 40:
        raise InputError("width", f"{width} leaves no room for text", "give 40 or more")
    items = list(findings)
    lines: list[str] = []
    for f in items:
        lines.append(f"{f.level}: {f.path} [{f.code}]")
        lines += textwrap.wrap(f.message, width, initial_indent="    ", subsequent_indent="    ")
        if f.remedy:
            lines += textwrap.wrap(f.remedy, width, initial_indent="    fix: ", subsequent_indent="         ")
    counts = [sum(f.level == level for f in items) for level in LEVELS]
    if not items:
        return "nothing to report"
    counted = [f"{n} {level}{'s' if n != 1 and level != 'info' else ''}" for n, level in zip(counts, LEVELS, strict=True) if n]
    return "\n".join([*lines, ", ".join(counted)])
