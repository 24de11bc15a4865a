"""What another kernel, another scenario or another run changes: side by side, with the reasons."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..checks import listed, number, whole
from ..errors import InputError
from ..fields import Checked, suggest
from ..scenario import Kernel, Scenario
from ..scenario.paths import different_fields
from ..scenario.rules import RECORDS, SWITCHES
from ..simulation.simulate import check_length
from ..units import parse_duration_us
from .answer import answer_of
from .difference import Difference, Row, Side, beyond
from .measured import Scale, in_order, measured
from .rules import Search, differing_rules
from .running import Runs, Wanted, side_of

if TYPE_CHECKING:
    import xarray as xr

MOST_SEEDS = 1000


def diff(
    one: Scenario | xr.Dataset,
    other: Scenario | xr.Dataset | None = None,
    *,
    kernels: Sequence[str | Kernel] = (),
    duration: str | float | None = None,
    seed: int | None = None,
    seeds: int = 1,
    rules: bool | Sequence[str] = True,
    rtol: float = 0.0,
    names: Sequence[str] = (),
    workers: int | None = None,
    progress: bool | None = None,
) -> Difference:
    """Return what changes between kernels, two scenarios or two stored runs, and which rules of kernels make the difference.

    Parameters
    ----------
    one : Scenario or xarray.Dataset
        What to run under each kernel, of a run its scenario; or the first of two scenarios, or of two page-level runs that are
        not run again.
    other : Scenario or xarray.Dataset, optional
        The second. A scenario beside a run is run as long as that, from its seed.
    kernels : sequence of str or Kernel
        Two or more, all side by side; rules are those between the first and the last. One: the scenario's own comes first.
    duration : str or float, optional
        Simulated time, as in `tieringmodel.simulate`; by default that of a run that is given.
    seed : int, optional
        The same for every run; by default 0, with a run that is given its own.
    seeds : int
        Run so many seeds, `seed` and those that follow: measures are medians, verdicts those of most, and a change counts only
        beyond the range over seeds. With one seed chance is not told apart.
    rules : bool or sequence of str
        Whether to look for the rules that matter, or the switches to look at. Of kernels that agree, none is run.
    rtol : float
        Kernels whose measures agree within this relative difference give the same answers.
    names : sequence of str
        What to call the two scenarios or runs; by default by their own names.
    workers : int, optional
        Worker processes for runs, 1 = none. Left out, one per processor where runs take long enough. The results are the same.
    progress : bool, optional
        Show a progress bar on stderr; by default only on a terminal.

    Returns
    -------
    Difference
        ``answer``, ``sides``, ``rows`` (measures side by side; a change counts beyond the row's tolerance), ``effects`` (a
        run for each rule), ``fields`` (where scenarios differ), ``table``, ``to_dict()``.

    Raises
    ------
    InputError
        If an argument is wrong, or nothing can be run.

    Notes
    -----
    A rule that differs between the first kernel A and the last one B is judged by one run more: B with this rule alone as in
    A. For each measure that differs between A and B by more than its tolerance, the share of the difference that the rule
    explains is ``1 - |run - A| / |B - A|``: 1 if the run is where A is, 0 if it is where B is, below 0 if it moves away.
    A rule's share is the largest of these, of the measure that is named; rules are ranked by it. A time that never comes
    counts as the end of the run. Where no rule alone explains half of the first measure that differs, those that act (else all)
    are left out together, and then put back one by one as long as nine tenths stay explained.

    A measure's tolerance is 1 % of the largest value, at least: for times the longest control period or 1 % of the run, 100 bp,
    0.25 MiB/s, 1 in 1000 of the workload's pages, one window, 0.01 of a ratio.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> scenario = tm.load("rfc-40-60")
    >>> found = tm.diff(scenario, kernels=["7.2", "7.3"], duration="2 s", rules=["thisnode"])
    >>> [side.name for side in found.sides]
    ['7.2.12', '7.3.4']
    >>> found.table["hot_share_node0"].dims
    ('run',)
    """
    rtol, seeds = number("rtol", rtol, 0.0), whole("seeds", seeds, 1, MOST_SEEDS)
    if workers is not None:
        whole("workers", workers, 1)
    kernels = [kernels] if isinstance(kernels, (str, Kernel)) else listed("kernels", kernels, "write e.g. ['6.18', '7.3']")
    if kernels:
        if other is not None:
            raise InputError("kernels", "do not go with a second scenario", "leave one of them out")
        scenario = one if isinstance(one, Scenario) else _need_run(one, "one")
        if not isinstance(one, Scenario):
            ran = json.loads(one.attrs["parameters"])
            duration = float(ran["duration_s"]) if duration is None else duration
            seed = int(ran["seed"]) if seed is None else seed
        runs = Runs(_duration_us(duration), _seeds(seed or 0, seeds), workers, progress)
        with runs.bar:
            return _kernels(scenario, kernels_of(scenario, kernels), runs, _only(rules), rtol)
    if other is None:
        raise InputError("kernels", "are missing", "name two kernels, or give a second scenario or run")
    return _two((one, other), duration, seed, seeds, names, workers, progress)


def kernels_of(scenario: Scenario, given: Sequence[str | Kernel]) -> list[Kernel]:
    """Return the kernels to run under, the scenario's own before a single one.

    Raises
    ------
    InputError
        If one is not modelled, or two are the same.
    """
    if isinstance(given, (str, Kernel)):
        given = [given]
    found = [scenario.kernel] if len(given) == 1 else []
    for k, one in enumerate(given):
        if not isinstance(one, (str, Kernel)):
            raise InputError(f"kernels[{k}]", f"{one!r} is no kernel", "write e.g. '6.18', or a Kernel with switches")
        found.append(Kernel.from_text(one, f"kernels[{k}]") if isinstance(one, str) else one)
    told: dict[str, Kernel] = {}
    for kernel in found:
        if kernel.title in told:
            own = "the scenario's own" if len(given) == 1 else "there twice"
            raise InputError("kernels", f"{kernel.title} is {own}", "name two that differ")
        told[kernel.title] = kernel
    return found


def _only(rules: bool | Sequence[str]) -> list[str] | bool:
    if isinstance(rules, bool):
        return rules
    wanted = [rules] if isinstance(rules, str) else listed("rules", rules, "give switches by name, True or False")
    for switch in wanted:
        if not isinstance(switch, str) or switch not in SWITCHES:
            raise InputError("rules", f"{switch!r} is not a rule", suggest(str(switch), SWITCHES))
    return wanted


def _duration_us(duration: str | float | None) -> int:
    if duration is None:
        raise InputError("duration", "is missing", "write e.g. '60 s'")
    found = parse_duration_us(duration)
    check_length(found, duration)
    return found


def _seeds(first: int, count: int) -> list[int]:
    first = whole("seed", first, exact=True)
    whole("seed", first + count - 1, exact=True)
    return [*range(first, first + count)]


def _kernels(scenario: Scenario, kernels: list[Kernel], runs: Runs, only: list[str] | bool, rtol: float) -> Difference:
    sides = tuple(runs.sides([Wanted(kernel.title, scenario, {"kernel": kernel}) for kernel in kernels]))
    if all(side.error for side in sides):
        raise InputError("kernels", f"the scenario runs under none of them: {sides[0].error}", "mend it first")
    scale = Scale.of(scenario, runs.duration_us * 1e-6)
    rows = rows_of(sides, scale)
    out = Difference("kernels", _title(scenario, runs), sides, rows, answer_of(sides, rows))
    unread = (str(kernel) for kernel in kernels if kernel.release not in RECORDS)
    out = replace(out, notes=(*unread, *(() if out.same else _about_seeds(runs.seeds))))
    ends = (sides[0], sides[-1])
    if only is False or any(side.error for side in ends):
        return out
    between = rows_of(ends, scale)
    search = Search(runs, scenario, (kernels[0], kernels[-1]), ends, between, scale)
    if not search.differing or not beyond(ends, between, rtol):
        agree = f"{ends[0].name} and {ends[1].name} agree, so no rule was run"
        return replace(out, notes=(*out.notes, agree)) if len(sides) > 2 else out
    able, unable = differing_rules(kernels[0], kernels[-1], None if only is True else only)
    effects, refused = search.effects(able)
    together = search.together(effects)
    return replace(
        out,
        answer=answer_of(sides, rows, effects, together),
        effects=tuple(effects),
        not_alone=unable | refused,
        together=together,
    )


def rows_of(sides: Sequence[Side], scale: Scale) -> tuple[Row, ...]:
    """Return the measures of the columns that were run, in order; nan where a column lacks one."""
    out, ran = [], [side for side in sides if not side.error]
    for name in in_order({name for side in ran for name in side.numbers}):
        values = tuple(side.numbers.get(name, math.nan) for side in ran)
        if all(map(math.isnan, values)):
            continue
        spread = max(side.spread.get(name, 0.0) for side in ran)
        out.append(Row(name, values, max(scale.tolerance(name, *values), spread)))
    return tuple(out)


def _title(scenario: Scenario, runs: Runs) -> str:
    seeds = f"seed {runs.seeds[0]}" if len(runs.seeds) == 1 else f"seeds {runs.seeds[0]} to {runs.seeds[-1]}"
    return f"{scenario.name or 'scenario'}: {runs.duration_us * 1e-6:g} s simulated, {seeds}"


def _about_seeds(seeds: Sequence[int]) -> tuple[str, ...]:
    return ("one seed; with several, a change counts only beyond what they differ by",) if len(seeds) == 1 else ()


# ---- two scenarios or runs --------------------------------------------------------------------------------------------


def _two(
    both: tuple[Any, Any],
    duration: str | float | None,
    seed: int | None,
    seeds: int,
    names: Sequence[str],
    workers: int | None,
    progress: bool | None,
) -> Difference:
    scenarios = [
        one if isinstance(one, Scenario) else _need_run(one, where) for one, where in zip(both, ("one", "other"), strict=True)
    ]
    stored = [None if isinstance(one, Scenario) else one for one in both]
    labels = _labels(scenarios, names)
    known = next((one for one in stored if one is not None), None)
    if known is not None:
        if duration is not None or seed is not None or seeds != 1:
            raise InputError("duration", "and seed are those of a stored run", "leave duration, seed and seeds out")
        parameters = json.loads(known.attrs["parameters"])
        duration, seed = float(parameters["duration_s"]), int(parameters["seed"])
    runs = Runs(_duration_us(duration), _seeds(seed or 0, seeds), workers, progress)
    with runs.bar:
        ran = iter(runs.sides([Wanted(labels[k], scenarios[k], {}) for k in range(2) if stored[k] is None]))
    sides = tuple(next(ran) if ds is None else side_of(labels[k], [measured(ds)]) for k, ds in enumerate(stored))
    for side in sides:
        if side.error:
            raise InputError(side.name, f"was not run: {side.error}", "mend it first")
    rows = rows_of(sides, Scale.of(scenarios[0], runs.duration_us * 1e-6))
    changes = different_fields(scenarios[0], scenarios[1])
    fields = tuple({"path": path, "old": _plain(old), "new": _plain(new)} for path, old, new in changes if path != "name")
    what = "scenarios" if known is None else "runs"
    about = f"Two {what}: {_title(scenarios[0], runs).rpartition(': ')[2]}"
    notes = _about_seeds(runs.seeds) if known is None else tuple(_unlike(stored))
    return Difference(what, about, sides, rows, answer_of(sides, rows), fields=fields, notes=notes)


def _need_run(ds: Any, where: str) -> Scenario:
    """Return the scenario of a page-level run; refuse anything else."""
    if not hasattr(ds, "attrs"):
        raise InputError(where, f"{type(ds).__name__} is neither a Scenario nor a run", "give two scenarios, or two runs")
    if ds.attrs.get("kind") != "simulation" or not {"scenario", "parameters"} <= set(ds.attrs):
        raise InputError(where, f"is a result of kind {ds.attrs.get('kind')!r}", "give what simulate or 'run' made")
    return Scenario.from_json(ds.attrs["scenario"], stored=True)


def _plain(value: Any) -> Any:
    """Return a field's value as plain data."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.to_plain() if isinstance(value, Checked) else value


def _labels(scenarios: Sequence[Scenario], names: Sequence[str]) -> list[str]:
    given = [str(name) for name in names] or [scenario.name or "scenario" for scenario in scenarios]
    if len(given) != len(scenarios):
        raise InputError("names", f"are {len(given)}", f"give {len(scenarios)}")
    return given if given[0] != given[1] else [f"{given[0]} (1)", f"{given[1]} (2)"]


def _unlike(stored: Sequence[xr.Dataset | None]) -> list[str]:
    """Return what else two stored runs differ in."""
    known = [json.loads(ds.attrs["parameters"]) | {"version": ds.attrs.get("tieringmodel")} for ds in stored if ds is not None]
    out = []
    for name, text in (("duration_s", "last {} s"), ("seed", "have the seeds {}"), ("version", "were made by tieringmodel {}")):
        values = [f"{one.get(name)}" for one in known]
        if len({*values}) > 1:
            out.append(f"the runs {text.format(' and '.join(values))}")
    return out
