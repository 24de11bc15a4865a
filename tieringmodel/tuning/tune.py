"""Which configuration should I run? The answer was run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..checks import number, whole
from ..errors import InputError
from ..kernels._jit import working_cpu_s
from ..progress import Progress
from ..remedies.auto_duration import auto_duration, known_length_s
from ..scenario import Scenario, need_scenario
from ..simulation.simulate import check_length, simulate
from ..sweeps.executors import standing
from ..units import parse_duration_us
from ..verdicts.judge import verdict
from .answer import Margin, Tuned, beaten, measures_of, row_of
from .end import OBJECTIVES, End, objectives
from .knobs import knobs_of
from .margins import margins, simpler
from .runs import REFUSED, Runs
from .sampler import quiet
from .search import Search, Tried, front
from .starts import Start, lint_fixes, starts
from .text import paragraphs

RUNS = 160
"""So many runs the budget is unless one says otherwise."""
SNAPSHOTS = 50


def tune(
    scenario: Scenario,
    end: str,
    *,
    objective: str | Sequence[str] = (),
    change: Sequence[str] = (),
    budget: float | str | None = None,
    duration: str | float | None = None,
    seeds: int = 3,
    seed: int = 1,
    executor: Any = "serial",
    workers: int | None = None,
    store: str | Path | None = None,
    progress: bool | None = None,
) -> Tuned:
    """Find the configuration of a scenario's schemes that meets an end; what is recommended was run with all seeds.

    Parameters
    ----------
    scenario : Scenario
        What is to be tuned: its machine and workload stay as they are.
    end : str
        What every run has to meet, in the words of ``--expect``: ``"residual_mib_s < 0.5, abs_error_bp < 300"``. Errors and
        settling are counted against the goals that were given, whatever targets a candidate has.
    objective : str or sequence of str
        What to make best among those that meet the end: ``"residual"``, ``"settling"``, ``"error"``, and with a
        ``workload.demand`` ``"throughput"`` and ``"run-time"`` (until its phases are done; without phases, time per access).
        Several give a Pareto front. By default the distance from the end's bounds, in the worst run.
    change : sequence of str
        Paths of the fields that may change, see `tieringmodel.tuning.knobs.knobs_of`; by default goal targets, tuner, size
        quota, reset and apply intervals, monitoring intervals, min_nr_accesses, min_age, weights, and what lint says.
    budget : float or str, optional
        Simulated seconds of all page-level runs, or CPU time as ``"5 min"``, which is translated once, by running what was
        given. By default that of 160 runs. What is always tried is run in any case.
    duration : str or float, optional
        Simulated time of each run; by default as long as what was recorded, or as a verdict on what was given takes.
    seeds, seed : int
        Seeds ``seed`` … ``seed + seeds - 1``; the same accesses for every candidate. The search follows from `seed`, too.
    executor, workers
        As for `tieringmodel.sweep`: the answer is the same on each.
    store : str or Path, optional
        A file that keeps every run: the same call goes on where an interrupted one stopped.
    progress : bool, optional
        Show on stderr how much of the budget is spent; by default only on a terminal.

    Returns
    -------
    Tuned
        ``met`` says whether any candidate meets the end; if not, ``nearest_miss`` says what prevents it.

    Raises
    ------
    InputError
        If an argument is wrong, nothing can change, or the package Optuna is missing.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> end = "residual_mib_s < 0.5, abs_error_bp < 300"
    >>> tuned = tm.tune(tm.load("rfc-40-60"), end, duration="60 s", budget=60 * 16, seeds=2)
    >>> tuned.met
    True
    """
    need_scenario(scenario)
    wanted, aims = End(end), objectives([objective] if isinstance(objective, str) else list(objective))
    seed, seeds = whole("seed", seed), whole("seeds", seeds, 1, 1000)
    if isinstance(change, str):
        raise InputError("change", f"{change!r} is one text", "give a list of paths")
    if not scenario.contexts:
        raise InputError("scenario", "has no contexts: nothing can change", "give one with schemes")
    knobs = knobs_of(scenario, change, lint_fixes(scenario))
    with quiet():  # before the work begins
        pass
    duration_us = _length_us(scenario, duration, seed)
    first = simulate(scenario, duration=duration_us * 1e-6, seed=seed, snapshots=SNAPSHOTS, progress=False)
    always = [s for s in starts(first, scenario) if not change or s.candidate is None]
    path = None if store is None else Path(store)
    with standing(executor, workers) as (where, width):
        runs = Runs(scenario, duration_us, executor=where, workers=width, store=path)
        budget_s = _budget_s(budget, runs, scenario, seed)
        numbers = [seed + k for k in range(seeds)]
        bar = Progress("tune", budget_s, "s", progress)
        search = Search(scenario, runs, wanted, objectives=aims, seeds=numbers, knobs=knobs, budget_s=budget_s, bar=bar)
        with bar:
            best, known = _found(search, always, seed)
    return _answer(search, best, known, len(always), budget)


def _found(search: Search, always: list[Start], seed: int) -> tuple[Tried, tuple[Margin, ...]]:
    """Search within the budget; return the answer with its margins."""
    search.begin(always)
    _check_measures(search)
    search.find(seed)
    best = search.choose()
    if not search.met(best):
        return best, ()
    best = simpler(search, best)
    return best, margins(search, best)


def _length_us(scenario: Scenario, duration: str | float | None, seed: int) -> int:
    if duration is not None:
        length_us = parse_duration_us(duration)
        check_length(length_us, duration)
        return length_us
    known_s = known_length_s(scenario)
    return round((auto_duration(scenario, seed=seed).duration_s if known_s is None else known_s) * 1e6)


def _budget_s(budget: float | str | None, runs: Runs, scenario: Scenario, seed: int) -> float:
    """Return a budget in simulated seconds; one in CPU time by running what was given, once its kernels are compiled."""
    duration_s = runs.duration_us * 1e-6
    if budget is None:
        return RUNS * duration_s
    if isinstance(budget, str):
        try:
            return number("budget", float(budget), 0.0)
        except ValueError:
            cpu_s = parse_duration_us(budget, "budget") * 1e-6

        def measured() -> float:
            before = working_cpu_s()
            verdict(simulate(scenario, duration=duration_s, seed=seed, snapshots=0, progress=False))
            return float(round(cpu_s * duration_s / max(working_cpu_s() - before, 1e-3)))

        return runs.once(f"{cpu_s:g} s of CPU time", measured)
    return number("budget", budget, 0.0)


def _check_measures(search: Search) -> None:
    """Refuse an end or an objective that names no measure of the runs, or one that is not known in what was given."""
    given = search.tried[0]
    values = given.values[search.seeds[0]]
    if REFUSED in values:
        raise InputError("scenario", f"cannot be run: {values[REFUSED]}", "correct it first")
    search.end.clauses(values)
    for name in search.objectives:
        if OBJECTIVES[name][0] not in values:
            remedy = "give the workload a demand" if name in ("throughput", "run-time") else "give a scheme a goal"
            raise InputError("objective", f"{name!r} is not known of this scenario's runs", remedy)


def _answer(search: Search, best: Tried, known: tuple[Margin, ...], n_always: int, budget: Any) -> Tuned:
    met = search.met(best)
    duration_s, first = search.runs.duration_us * 1e-6, search.seeds[0]
    found = verdict(simulate(best.scenario, duration=duration_s, seed=first, snapshots=SNAPSHOTS, progress=False))
    miss = None
    if not met:
        worst = max(best.values.values(), key=lambda v: search.shortfall([v]))
        miss = {
            "changes": list(best.changes),
            "text": best.text,
            "clauses": [{"text": c.text, "value": c.value, "ok": c.ok} for c in search.end.clauses(worst)],
            "prevents": str(worst.get("why", "")),
        }
    about = {
        "end": search.end.text,
        "objective": list(search.objectives),
        "seeds": search.seeds,
        "duration_s": duration_s,
        "budget": None if budget is None else str(budget),
        "budget_s": search.budget_s,
        "simulated_s": search.runs.simulated_s,
        "runs": len(search.runs.asked),
        "knobs": [{"path": k.name, "paths": list(k.paths), "values": [r[-1] for r in k.rows]} for k in search.knobs],
        "chosen": best.number,
    }
    tuned = Tuned(
        met=met,
        scenario=best.scenario,
        changes=best.changes if met else (),
        verdict=found,
        measures=measures_of(best),
        margins=known,
        beats=beaten(search, best, [one for one in search.tried[:n_always] if one.refused or search.complete(one)])
        if met
        else (),
        robust={n: REFUSED not in v and search.end.met(v) for n, v in best.spread.items()},
        tried=tuple(row_of(search, one) for one in search.tried),
        front=tuple(one.number for one in front(search)),
        nearest_miss=miss,
        about=about,
    )
    object.__setattr__(tuned, "text", paragraphs(tuned))
    return tuned
