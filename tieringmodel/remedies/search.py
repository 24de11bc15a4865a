"""The search for a fix: candidates for what is proven, each run before it is said."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import InputError
from ..progress import Progress
from ..scenario import Scenario
from ..verdicts.judge import verdict
from ..verdicts.record import Fix, Verdict
from .case import Case
from .changes import Candidate, both
from .helps import NO_HELP, Standing, helps, preference, same, spread, standing
from .ranking import ranked
from .table import pairs, singles, unique
from .trial import Budget, Spent, Trial, trial

if TYPE_CHECKING:
    import xarray as xr

LONGER = 2.5
"""A change is held to in a run so many times as long."""
SEEDS = 2
"""So many further seeds tell how far runs differ anyway."""
BASES = 2
"""So many changes that help a little are built upon."""
UNKNOWN_BP, UNKNOWN_PART = 200.0, 0.25
"""What counts for the spread over seeds where it is not known."""
LISTED = 5


@dataclass(frozen=True)
class Search:
    """What was tried to help a run.

    Attributes
    ----------
    fix : Fix or None
        The change that helps.
    tried : tuple of Fix
        Every change that was run, in order, with what it came to.
    untried : int
        Candidates that the budget did not last for.
    text : str
        What there is to say about it in a sentence.
    """

    fix: Fix | None
    tried: tuple[Fix, ...]
    untried: int
    text: str

    def __str__(self) -> str:
        return self.text


def budget_for(run_cpu_s: float) -> float:
    """Return the CPU seconds that a search may take unless one says otherwise.

    Parameters
    ----------
    run_cpu_s : float
        What the run to be helped took: 20 times that, at most 60; but at least 10, for a run in which nothing happens
        says nothing of one in which something does.
    """
    return min(max(20 * run_cpu_s, 10.0), 60.0)


def find_fix(
    ds: xr.Dataset, *, budget_s: float = 60.0, found: Verdict | None = None, progress: bool | None = None
) -> Fix | None:
    """Return the smallest change of a run's scenario that helps, with what it came to when it was run; None if none does.

    Parameters
    ----------
    ds : xarray.Dataset
        From `tieringmodel.simulate`; of a loop or a pair, the fix is the one that its verdict has.
    budget_s : float
        CPU seconds that runs of candidates may take together.
    found : Verdict, optional
        The verdict on the run, if it is known.
    progress : bool, optional
        Show a progress bar on stderr; by default only on a terminal.

    Returns
    -------
    Fix or None
        Changes that lead to ``converged`` come first, single ones before pairs; where nothing tried does, one that moves
        the share, the rest or the rate by more than its spread over seeds. Its outcome held in a run of 2.5 times the
        duration. `tieringmodel.remedies.search.search` also says what was tried in vain.

    Raises
    ------
    InputError
        If the dataset cannot be judged, or the budget is no time.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.simulate(tm.load("rfc-40-60"), duration="30 s", seed=1)
    >>> fix = tm.find_fix(ds)
    >>> fix.outcome.split(",")[0]
    'converged'
    """
    return search(ds, budget_s=budget_s, found=found, progress=progress).fix


def search(ds: xr.Dataset, *, budget_s: float = 60.0, found: Verdict | None = None, progress: bool | None = None) -> Search:
    """Return what was tried to help a run, and the change that does; the arguments are those of `find_fix`.

    Returns
    -------
    Search
        The same for the same dataset, as long as the budget lasts.
    """
    budget = Budget(budget_s)
    found = verdict(ds) if found is None else found
    if ds.attrs.get("kind") != "simulation":
        known = found.fix if found.fix and found.fix.outcome else None
        return Search(known, (known,) if known else (), 0, _sentence(known, [], 0, budget, None))
    if found.kind == "converged":
        return Search(None, (), 0, "there is nothing to help")
    return _Search(Case(ds, found), budget, progress).result()


@dataclass(frozen=True)
class _Open:
    """A candidate that was run and did not converge in time."""

    candidate: Candidate
    at_first: Standing
    after: Standing
    fix: Fix
    ds: xr.Dataset


class _Search:
    """One search.

    Parameters
    ----------
    case : Case
        The run to be helped.
    budget : Budget
        What runs may cost.
    progress : bool or None
        Whether a bar is shown.
    """

    def __init__(self, case: Case, budget: Budget, progress: bool | None) -> None:
        self.case, self.budget = case, budget
        given = json.loads(case.ds.attrs["parameters"])
        self.seed, self.log_moves = int(given["seed"]), bool(given.get("log_moves", True))
        self.length_us = round(float(given["duration_s"]) * 1e6)
        self.longer_us = round(LONGER * self.length_us)
        self.before = standing(case.ds, case.found)
        self.tried: list[Fix] = []
        self.open: list[_Open] = []
        self.lame: set[frozenset[tuple[str, str]]] = set()  # those that changed nothing
        self.known: set[frozenset[tuple[str, str]]] = set()
        self.untried = self.expected = 0
        self.waited: Verdict | None = None
        self.bar = Progress("fixes", 1, "changes", progress)

    def result(self) -> Search:
        """Run candidates until one converges; else choose among those that were run."""
        ones = singles(self.case)
        with self.bar:
            fix = self._first(ones) or self._first(self._further()) or self._first(self._pairs(ones)) or self._moving()
        if fix:
            fix = replace(fix, tried=len(self.tried), untried=self.untried)
        return Search(fix, tuple(self.tried), self.untried, _sentence(fix, self.tried, self.untried, self.budget, self.waited))

    def _first(self, candidates: list[Candidate]) -> Fix | None:
        """Run candidates, the most promising first; return the first one that converges."""
        candidates = [one for one in unique(candidates) if one.key not in self.known]
        self.known |= {one.key for one in candidates}
        if self.untried:
            self.untried += len(candidates)
            return None
        candidates = ranked(self.case.scenario, candidates, int(self.longer_us * 1e-6 / self.case.run.window_s))
        for k, one in enumerate(candidates):
            self.expected = max(self.expected, len(self.tried) + len(candidates) - k)
            try:
                fix = self._converging(one)
            except Spent:
                self.untried = len(candidates) - k
                return None
            except InputError:  # a machine that is too small for it, a run that is too long
                continue
            if fix:
                return fix
        return None

    def _update(self, simulated_s: float) -> None:
        self.bar.update(len(self.tried) + min(simulated_s * 1e6 / self.longer_us, 1.0), max(self.expected, 1))

    def _trial(self, scenario: Scenario, lengths_us: list[int], seed: int) -> AbstractContextManager[Trial]:
        return trial(scenario, lengths_us, self.budget, seed=seed, log_moves=self.log_moves, update=self._update)

    def _converging(self, one: Candidate) -> Fix | None:
        """Run a candidate; return what it came to if it converges, else keep it for later if it may help at all."""
        with self._trial(one.scenario, [self.length_us, self.longer_us], self.seed) as run:
            ds, found = run.to(self.length_us)
            first, length_us = standing(ds, found), self.length_us
            if first.kind in ("converged", "unfinished") or helps(self.before, first, same_goals=one.keeps_goals):
                try:
                    ds, found = run.to(self.longer_us)
                    length_us = self.longer_us
                except Spent:
                    if first.kind != "converged":
                        raise
        fix = one.fix(outcome_of(found, length_us * 1e-6), verdict=found)
        self.tried.append(fix)
        if found.kind == "converged" and not self._late(first):
            return fix
        if length_us == self.longer_us:
            self.open.append(_Open(one, first, standing(ds, found), fix, ds))
        elif same(self.before, first):
            self.lame.add(one.key)
        return None

    def _late(self, first: Standing) -> bool:
        """Whether time alone may have brought a candidate where it is: neither it nor the run was finished at first."""
        return self.before.kind == "unfinished" and first.kind != "converged"

    def _gain(self, one: _Open, apart: tuple[float, float] = (0.0, 0.0)) -> str:
        """Return what a candidate brings; an unfinished run is compared at the same time."""
        after = one.at_first if self.before.kind == "unfinished" else one.after
        if one.after.kind in NO_HELP:
            return ""
        return helps(self.before, after, apart, same_goals=one.candidate.keeps_goals)

    def _further(self) -> list[Candidate]:
        """Return changes for what is wrong after those that help already, on top of them."""
        better = sorted((o for o in self.open if self._gain(o)), key=lambda o: preference(o.after.kind))
        more = [
            both(base.candidate, one, self.case.scenario)
            for base in better[:BASES]
            for one in singles(Case(base.ds, base.fix.verdict))
        ]
        return [made for made in more if made]

    def _pairs(self, ones: list[Candidate]) -> list[Candidate]:
        """Return pairs of what was proposed, but for those of which neither alone changed anything."""
        return pairs(self.case, [one for one in ones if one.key not in self.lame]) + [
            made
            for lame in ones
            for one in ones
            if lame.key in self.lame and one.key not in self.lame and (made := both(one, lame, self.case.scenario))
        ]

    def _moving(self) -> Fix | None:
        """Return what helps most of what did not converge in time, the smaller change first; None if nothing moved enough."""
        late = [o for o in self.open if o.after.kind == "converged"]
        if late and not self._waits_for_nothing():
            return late[0].fix
        better = [o for o in self.open if o not in late and self._gain(o)]
        if not better:
            return None
        apart = self._apart()
        gains = [(o, gain) for o in better if (gain := self._gain(o, apart))]
        if not gains:
            return None
        best, gain = min(gains, key=lambda g: (g[0].candidate.size, preference(g[0].after.kind)))
        return replace(best.fix, outcome=f"{best.fix.outcome}, {gain}")

    def _waits_for_nothing(self) -> bool:
        """Whether the run converges by itself if it is only long enough, or the budget does not last to know."""
        try:
            with self._trial(self.case.scenario, [self.longer_us], self.seed) as run:
                self.waited = run.to(self.longer_us)[1]
        except Spent:
            return True
        return self.waited.kind == "converged"

    def _apart(self) -> tuple[float, float]:
        """Return how far runs of other seeds are apart from this one; a band and a quarter if the budget does not last."""
        if self.before.kind in ("idle", "stuck"):
            return 0.0, 0.0
        all_of_them = [self.before]
        try:
            for seed in range(self.seed + 1, self.seed + 1 + SEEDS):
                with self._trial(self.case.scenario, [self.length_us], seed) as run:
                    all_of_them.append(standing(*run.to(self.length_us)))
        except Spent:
            return UNKNOWN_BP, UNKNOWN_PART * self.before.rest_mib_s
        return spread(all_of_them)


def outcome_of(found: Verdict, length_s: float) -> str:
    """Return what a run came to in a line that begins with its kind."""
    settled = f", {found.settling_s:.3g} s" if found.settling_s is not None else ""
    return f"{found.kind}{settled}, {found.residual_mib_s:.3g} MiB/s (run for {length_s:g} s)"


def _sentence(fix: Fix | None, tried: list[Fix], untried: int, budget: Budget, waited: Verdict | None) -> str:
    """Return what there is to say about a search."""
    n, spent = len(tried), f"{budget.cpu_s:g} CPU seconds did not suffice"
    left = f"; {untried} more were not tried, {spent}" if untried else ""
    if fix:
        return str(fix) + left
    longer = f"; without a change, a longer run is {waited.kind}" if waited else ""
    if not tried:
        return f"none of {untried} changes was tried to its end, {spent}" if untried else "no change is known that could help"
    listed = "; ".join(f"{f.text}: {f.outcome}" for f in tried[:LISTED])
    more = f"; and {n - LISTED} more" if n > LISTED else ""
    return f"{f'{n} changes were' if n > 1 else 'one change was'} tried, none helps ({listed}{more}){longer}{left}"
