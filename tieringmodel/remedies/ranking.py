"""Which candidate is tried first: what lint and the lumped loop say of each in milliseconds."""

from __future__ import annotations

from ..linting import lint
from ..linting.scheme_facts import facts_of
from ..scenario import Scenario
from .changes import Candidate
from .lumped import lumped


def ranked(scenario: Scenario, candidates: list[Candidate], windows: int) -> list[Candidate]:
    """Return candidates in the order in which they are run.

    Parameters
    ----------
    scenario : Scenario
        As it is.
    candidates : list of Candidate
        In order of preference.
    windows : int
        Quota windows that a run of one lasts.

    Returns
    -------
    list of Candidate
        Last those of which lint says that the scheme cannot do what it is for, or the lumped loop that it does not end at
        its goal; within both parts the smallest first, then those that leave fewest findings, then as they came.
    """
    before = _complaints(scenario)

    def rank(numbered: tuple[int, Candidate]) -> tuple[bool, int, int, int]:
        number, one = numbered
        after = _complaints(one.scenario)
        worse = any(level == "error" for _, _, level in after - before)
        ends = [lumped(facts, windows) for facts in facts_of(one.scenario).schemes]
        lost = any(end is not None and not end.arrives for end in ends)
        return worse or lost, one.size, len(after) - len(before), number

    return [one for _, one in sorted(enumerate(candidates), key=rank)]


def _complaints(scenario: Scenario) -> set[tuple[str, str, str]]:
    return {(f.code, f.path, f.level) for f in lint(scenario) if f.level != "info"}
