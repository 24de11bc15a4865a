"""Recorded runs beside the model's bands: pairs of a run and a measure, and what lies behind those outside."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...given_files import folders
from ...interop.recording.read import read_recording
from ...interop.recording.scenario_of import Recording
from ...progress import Progress
from ..case import Case
from .bands import Floats, Pair, band, crps, own_share, share_inside, skill
from .recorded_causes import cause, variants
from .recorded_kinds import lacks
from .recorded_measures import Trace, intervals, measure, measures_of, recorded_trace, resolution, still_trace
from .recorded_model import Mechanisms
from .recorded_runs import WIDEST, Job, Measured, Runner

SEEDS = 64
NEEDED_INSIDE = 0.8
FULL_BAND = 19
"""From so many seeds on nine tenths of further values lie between the extremes, as a 5–95 % band claims."""
JUDGED = 16
"""So many seeds are judged as if they were the recording: what a model without error would reach."""
_AHEAD = 2
"""Runs that are simulated at a time: enough to keep processes busy, so few that a run's experiments need not wait for all."""
_NEEDED_FILES = ("layout.csv", "record.csv", "info.txt", "damon_config.txt")


def runs_below(folder: Path) -> list[Path]:
    """Return the run directories in a folder, or the folder itself if it is one, that say enough to be simulated."""

    def complete(run: Path) -> bool:
        return all((run / name).exists() or (run / f"{name}.gz").exists() for name in _NEEDED_FILES)

    return [run for run in folders(folder) if complete(run)]


def run_pairs(recording: Recording, model: Measured, nominal: Measured) -> list[Pair]:
    """Return the pairs of one run.

    Parameters
    ----------
    recording : Recording
        The run.
    model, nominal : mapping of str to float array
        Measures by seed: of the model, and of the model with nominal intervals.

    Returns
    -------
    list of Pair
        One per measure that the recording has.
    """
    trace = recorded_trace(recording)
    recorded, still = measure(trace), measure(still_trace(recording))
    bounds = intervals(trace)
    pairs = []
    for m in measures_of(trace):
        value = recorded[m.name]
        if not math.isfinite(value):
            continue
        low, high = band(model[m.name])
        stays = np.array([still[m.name]]) if m.name in still else np.zeros(0)
        ours, standing, nominal_crps = (
            crps(_until_end(values, trace), value) for values in (model[m.name], stays, nominal.get(m.name, np.zeros(0)))
        )
        smallest = resolution(trace, m)
        own = own_share(model[m.name], model[m.name + WIDEST], smallest) if m.name + WIDEST in model else math.nan
        scores = ours, standing, nominal_crps
        pairs.append(Pair(recording.name, m.name, m.unit, value, *bounds[m.name], low, high, *scores, smallest, own=own))
    return pairs


def _until_end(values: Floats, trace: Trace) -> Floats:
    """Return the values with "never" replaced by the end of the record."""
    return np.where(np.isinf(values), trace.time_s[-1], values)


@dataclass(frozen=True)
class RunPairs:
    """The pairs of one run, or why there are none.

    ``beside``: the run tells where its machine's memory lies (zoneinfo.txt), as those of the second set do. They show what the
    model does not have yet, and have a verdict of their own. ``lacks``: what the recorded machine had and the model has not.
    """

    name: str
    pairs: list[Pair]
    error: str = ""
    beside: bool = False
    lacks: tuple[str, ...] = ()


def compare_runs(
    folder: str | Path, *, seeds: int = SEEDS, workers: int | None = None, causes: bool = True
) -> Iterator[RunPairs]:
    """Compare every recorded run below a folder with the model; yield each one's pairs as they are known.

    Parameters
    ----------
    folder : str or Path
        A directory of runs, or a run.
    seeds : int
        Seeds of the model per run; a quarter of them, but 8 where there are so many, for the baseline and for experiments:
        the CRPS of two seeds is 0 or less wherever the value lies between them. Of 8 and fewer, experiments have half.
    workers : int, optional
        Processes; by default one per CPU, and one for fewer than 8 seeds. The results do not depend on it.
    causes : bool
        Find out by experiment what lies behind every pair outside.

    Yields
    ------
    RunPairs
        A run that is broken, or cannot be made into a scenario, has an error instead of pairs.
    """
    runs = runs_below(Path(folder))
    few = min(max(seeds // 4, 8), max(seeds, 2))
    tries = few if seeds > few else max(seeds // 2, 2)
    judged = min(seeds, JUDGED)
    processes = (_cpus() if seeds >= 8 else 1) if workers is None else workers
    with Progress("recordings", 0, "seeds") as bar, Runner(processes, bar.update) as runner:

        def start(path: Path) -> tuple[Callable[[], Measured], Callable[[], Measured]]:
            nominal = Mechanisms(recorded_intervals=False)
            return runner.start(Job(path, Mechanisms(), seeds, judged)), runner.start(Job(path, nominal, few))

        started = [start(path) for path in runs[:_AHEAD]]
        for k, path in enumerate(runs):
            bar.label = f"{path.resolve().name}, {k + 1} of {len(runs)}"
            started += [start(further) for further in runs[k + _AHEAD : k + _AHEAD + 1]]
            model, nominal = started[k]
            try:
                recording = read_recording(path)
                measured = model()
                of_run = run_pairs(recording, measured, nominal())
                if missing := lacks(recording):  # no experiment with what there is says more
                    of_run = [p if p.inside else replace(p, cause=lacking(missing)) for p in of_run]
                elif causes and any(not p.inside for p in of_run):
                    of_run = _with_causes(of_run, recording, measured, runner, tries)
                outcome = RunPairs(recording.name, of_run, beside=bool(recording.nodes), lacks=missing)
            except InputError as error:
                outcome = RunPairs(path.resolve().name, [], str(error))
            bar.clear()
            yield outcome


def _with_causes(of_run: Sequence[Pair], recording: Recording, measured: Measured, runner: Runner, seeds: int) -> list[Pair]:
    """Return the pairs with a cause for those outside."""
    tries = {name: runner.start(Job(recording.path, m, seeds)) for name, m in variants(recording).items()}
    tried = {name: wait() for name, wait in tries.items()}
    recorded = measure(recorded_trace(recording))
    return [p if p.inside else replace(p, cause=cause(p, recorded, measured, tried)) for p in of_run]


def _cpus() -> int:
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 8)


def number(value: float) -> str:
    """Return a number with four significant digits."""
    return f"{value:.4g}"


def line(pair: Pair) -> str:
    """Return a pair in words: recorded value and bootstrap interval, the model's band, its width and the widest allowed."""
    unit = "" if pair.unit == "1" else f" {pair.unit}"
    text = (
        f"{pair.measure} {number(pair.recorded)}{unit} ({number(pair.recorded_low)} … {number(pair.recorded_high)}), "
        f"band {number(pair.low)} … {number(pair.high)}, width {number(pair.width)} of {number(pair.widest)}"
    )
    return text if pair.inside else f"OUTSIDE {text}: {pair.cause or 'no experiment was made'}"


def lacking(what: Sequence[str]) -> str:
    """Return what the model lacks in words."""
    return f"the model has no {', no '.join(what)}"


def run_case(name: str, of_run: Sequence[Pair], without: Sequence[str] = ()) -> Case:
    """Return the case of one run: what was found, for the verdict is on all runs together; first what the model lacks."""
    inside = sum(p.inside for p in of_run)
    said = [lacking(without)] if without else []
    said += [f"{inside} of {len(of_run)} measures inside the model's band{_own(of_run)}"]
    return Case("recording", f"{name}/bands", True, len(of_run), "; ".join([*said, *map(line, of_run)]))


def _own(pairs: Sequence[Pair]) -> str:
    """Return in words how many pairs would be inside if the model had made the recordings; "" if unknown."""
    if not pairs or any(math.isnan(p.own) for p in pairs):
        return ""
    return f" (of a run that the model made itself: {sum(p.own for p in pairs):.1f})"


def summary(everything: Sequence[Pair], name: str = "bands", needed: float = NEEDED_INSIDE) -> Case:
    """Return the verdict on all pairs: whether `needed` of them are inside, and the model forecasts better than two baselines.

    The CRPS of model and baseline are compared measure by measure, in the measure's own unit; the mean of these ratios
    must not be above 1.
    """
    share = share_inside(everything)
    inside = sum(p.inside for p in everything)
    sentences = [f"{inside} of {len(everything)} pairs inside, {100 * share:.0f} %{_own(everything)}"]
    ok = share >= needed
    for what, baseline in (("nothing moves", "still"), ("nominal intervals", "nominal")):
        ratios = skill(everything, baseline)
        if ratios:
            mean = float(np.mean([*ratios.values()]))
            ok = ok and mean <= 1
            each = ", ".join(f"{measure} {ratio:.3f}" for measure, ratio in ratios.items())
            sentences.append(f"CRPS is {mean:.3f} of that of '{what}' in the mean of measures ({each})")
    return Case("recording", name, ok, len(everything), "; ".join(sentences))


def cases(folder: str | Path, *, seeds: int = SEEDS, workers: int | None = None, causes: bool = True) -> Iterator[Case]:
    """Yield a case per run as it is done (see `compare_runs`), and the verdict on all of them, named ``"bands"``.

    Runs that stand beside (see `RunPairs`) have a verdict of their own, to which the baselines alone count.
    A run that cannot be read or simulated is a case that fails. Without runs or with 0 seeds there are no cases.
    """
    if seeds < 1 or not runs_below(Path(folder)):
        return
    first: list[Pair] = []
    second: list[Pair] = []
    for run in compare_runs(folder, seeds=seeds, workers=workers, causes=causes):
        (second if run.beside else first).extend(run.pairs)
        yield (
            Case("recording", f"{run.name}/bands", False, 0, run.error)
            if run.error
            else run_case(run.name, run.pairs, run.lacks)
        )
    verdicts = ([summary(first)] if first else []) + ([summary(second, "bands beside", 0.0)] if second else [])
    for said in verdicts:
        narrow = f"; bands of {seeds} seeds are narrow: between their extremes lie {seeds - 1} of {seeds + 1} further values"
        yield said if seeds >= FULL_BAND else replace(said, detail=said.detail + narrow)
