"""``tieringmodel compare``: the main job."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .arguments import SCENARIO_HELP, open_given
from .duration import check_duration, is_auto, length_of
from .output import Ours, ascii_only, lines, say, strict_json, width_of
from .results import add_common, check_seeds, command_line, writable

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

    from ..comparison.policies import Policy
    from ..interop.recording.scenario_of import Recording
    from ..reports.beside import Beside
    from ..scenario import Kernel, Scenario
    from ..scenario.controlled import Controlled

    Policies = Callable[[Scenario, Kernel], dict[str, Policy]]

DEFAULT_SCENARIOS = ("C3_pullpush_temporal", "rfc-40-60")


@dataclass(frozen=True)
class Job:
    """One comparison to make: a scenario, on a kernel that has everything it uses, and how its policies are judged."""

    scenario: Scenario
    duration_s: float | None
    recording: Recording | None
    kernel: Kernel  #: the kernel that the scenario names; a policy that it cannot run is a row that says so
    policies: Policies
    what: Controlled | None  #: the share that judges, if not the one that the schemes control
    question: str


def add(commands: Any) -> None:
    """Add the command's parser to a set of subparsers."""
    p = commands.add_parser(
        "compare",
        help="goals against weights and baselines on the same accesses",
        description="Run a scenario's goals, weights with and without page identity, and baselines on the same "
        "accesses; print a verdict table; write comparison.nc, figures and report.html.",
    )
    p.add_argument(
        "scenario", nargs="*", metavar="SCENARIO", help=SCENARIO_HELP + " (default: " + " ".join(DEFAULT_SCENARIOS) + ")"
    )
    add_common(p)
    p.add_argument("--no-figures", action="store_true", help="draw nothing: neither files nor in the report")
    p.add_argument("--no-fix", action="store_true", help="as for run; without it, too, no change that helps is looked for here")
    p.add_argument("--json", action="store_true", help="print one JSON object: the table's rows by scenario, files")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    from ..reports.plain_text import paragraph

    check_seeds(arguments)
    check_duration(arguments)
    arguments.seed = 1 if arguments.seed is None else arguments.seed
    folder = writable(arguments.output)
    jobs = _jobs(arguments)
    if arguments.no_figures:
        data, report, results = _written(jobs, folder, arguments, None)
    else:
        from ..reports.beside import Beside

        with Beside(folder) as beside:
            data, report, results = _written(jobs, folder, arguments, beside)
    if arguments.json:
        scenarios = [_summary(result) for result in results]
        say(strict_json({"file": str(data), "report": str(report), "scenarios": scenarios}))
    else:
        what = "" if arguments.no_figures else ", figures"
        say(Ours("\n"), lines("\n".join(paragraph(f"wrote {data}{what} and {report}", width_of()))))
    return 0


def _written(
    jobs: Mapping[str, Job], folder: Path, arguments: argparse.Namespace, beside: Beside | None
) -> tuple[Path, Path, list[xr.Dataset]]:
    """Compare, print a table as soon as it is known, and write everything; return data, report and results.

    Figures are drawn by a second process, `beside`, while the next table is computed; without one there are none.
    """
    from ..comparison.compare import write_comparison
    from ..reports import write_report
    from ..reports.text_of_comparison import text_of_comparison
    from ..reports.write import ident_of

    command = command_line(arguments, arguments.scenario, None if is_auto(arguments) else arguments.duration)
    results: list[xr.Dataset] = []
    for label, job in jobs.items():
        result = _compared(job, label, arguments)
        result.attrs.update(name=label, command=command)
        if beside:
            beside.draw(result, ident_of(len(results), result))
        results.append(result)
        if not arguments.json:
            text = text_of_comparison(result, width=width_of(), ascii_only=ascii_only(arguments))
            say(Ours("\n"), lines(text))
    data = write_comparison(results, folder / "comparison.nc")
    drawn = beside.results() if beside else [[] for _ in results]
    if beside and beside.why:
        say(f"tieringmodel: {beside.why}", to=sys.stderr)
    return data, write_report(results, folder / "report.html", command=command, drawn=drawn), results


def _compared(job: Job, label: str, arguments: argparse.Namespace) -> xr.Dataset:
    """Compare policies with every seed; return the first seed's result with each policy's verdict of most."""
    import numpy as np

    from ..comparison.compare import ROW, compare
    from ..verdicts.judge import kinds_of
    from ..verdicts.row import NOT_IN_KERNEL

    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    duration = length_of(arguments, job.scenario, job.duration_s).duration
    about: dict[str, Any] = {"recording": job.recording, "title": label, "question": job.question, "what": job.what}
    runs = job.policies(job.scenario, job.kernel)
    results = [compare(runs, duration=duration, seed=seed, **about) for seed in seeds]
    result = results[0]
    if len(results) == 1:
        return result
    kinds: dict[str, dict[int, str]] = {}
    shown: list[xr.Dataset] = []
    for k, policy in enumerate(result["policy"].values.tolist()):
        kinds[policy] = {seed: str(one["kind"].values[k]) for seed, one in zip(seeds, results, strict=True)}
        most = kinds_of(kinds[policy].values()) if NOT_IN_KERNEL not in kinds[policy].values() else NOT_IN_KERNEL
        shown.append(next(one for one in results if str(one["kind"].values[k]) == most))
    for name in ROW:
        result[name] = result[name].copy(data=np.array([one[name].values[k] for k, one in enumerate(shown)]))
    result.attrs["seeds"] = json.dumps(kinds)
    return result


def _jobs(arguments: argparse.Namespace) -> dict[str, Job]:
    """Return what to compare, by label, before any work begins."""
    from ..interop.load import resolve
    from ..scenario.features import whatever_kernel
    from ..scenario.linux import NEXT

    jobs: dict[str, Job] = {}
    for name in arguments.scenario or ([None] if arguments.line else DEFAULT_SCENARIOS):
        path = resolve(name) if name is not None else None
        with whatever_kernel():
            loaded = open_given(name, arguments)
        recording = loaded.recording
        scenario, kernel = loaded.scenario, loaded.scenario.kernel
        if any(scenario.missing()):
            scenario = scenario.replace(kernel=NEXT)
        label = recording.name if recording else scenario.name or (path.stem if path else "damo")
        jobs[distinct(label, jobs)] = Job(scenario, loaded.duration_s, recording, kernel, *_asked(scenario, recording))
    return jobs


def distinct(label: str, taken: Iterable[str]) -> str:
    """Return a label whose files and group overwrite nobody else's."""
    from ..plot.files import slug

    known = {slug(name) for name in taken}
    return next(text for k in count(1) if slug(text := label if k == 1 else f"{label} ({k})") not in known)


def _asked(scenario: Scenario, recording: Recording | None) -> tuple[Policies, Controlled | None, str]:
    """Return which policies are compared, by which share if not by the controlled one, and the question.

    A recording of a kernel whose schemes control no share is judged by the accesses that the first node serves, against all of
    them; where that, or settings that changed, leave no policies to derive, placements without DAMON stand beside it.
    """
    from ..comparison.policies import has_same_contexts, plain_policies, policies
    from ..scenario.controlled import Controlled, controlled

    try:
        what = controlled(scenario)
    except InputError:
        if recording is None:
            raise
        nid = scenario.machine.nodes[0].nid
        question = f"No scheme controls a share: how many of the accesses does node {nid} serve, and does it keep still?"
        return plain_policies, Controlled("access", nid, 10_000), question
    kind = "of accesses on" if what.kind == "access" else "used on"
    question = f"Which way of placing pages reaches {what.target_bp / 100:g} % {kind} node {what.nid} and then keeps still?"
    return plain_policies if recording is not None and not has_same_contexts(scenario) else policies, None, question


def _summary(result: xr.Dataset) -> dict[str, object]:
    """Return what the table says, with unrounded numbers in the units of the dataset's variables."""
    from ..reports.text_of_comparison import VARIABLES

    columns = {name: result[name].values.tolist() for name in VARIABLES}
    attrs = {name: result.attrs[name] for name in ("name", "controlled", "duration_s", "seed", "lint")}
    seeds = json.loads(result.attrs.get("seeds", "{}"))
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return attrs | {"target_bp": float(result["target_bp"]), "rows": rows, "seeds": seeds}
