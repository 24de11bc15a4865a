"""``tieringmodel compare``: the main job."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from itertools import count
from typing import TYPE_CHECKING, Any

from .arguments import SCENARIO_HELP, open_given
from .output import Ours, lines, paint_levels, say, strict_json
from .results import add_common, command_line, duration_of, writable

if TYPE_CHECKING:
    import xarray as xr

    from ..interop.recording.scenario_of import Recording
    from ..scenario import Scenario

DEFAULT_SCENARIOS = ("C3_pullpush_temporal", "rfc-40-60")


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
    p.add_argument("--json", action="store_true", help="print one JSON object: the table's rows by scenario, files")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    from ..comparison.compare import compare, write_comparison
    from ..comparison.policies import policies
    from ..reports import write_report

    folder = writable(arguments.output)
    jobs = _jobs(arguments)
    questions = {label: _question(scenario) for label, (scenario, _) in jobs.items()}  # before the work begins
    results: list[xr.Dataset] = []
    for label, (scenario, recording) in jobs.items():
        recorded_s = float(recording.record["t_ms"][-1]) * 1e-3 if recording and recording.record is not None else None
        result = compare(
            policies(scenario),
            duration=duration_of(arguments.duration, recorded_s),
            seed=arguments.seed,
            recording=recording,
            title=label,
            question=questions[label],
        )
        result.attrs["name"] = label
        results.append(result)
        if not arguments.json:
            _say(result)
    command = command_line(arguments, arguments.scenario)
    for result in results:
        result.attrs["command"] = command
    data = write_comparison(results, folder / "comparison.nc")
    report = write_report(results, folder / "report.html", command=command, figures=folder)
    if arguments.json:
        scenarios = [_summary(result) for result in results]
        say(strict_json({"file": str(data), "report": str(report), "scenarios": scenarios}))
    else:
        say(Ours("\n"), f"wrote {data}, figures and {report}")
    return 0


def _jobs(arguments: argparse.Namespace) -> dict[str, tuple[Scenario, Recording | None]]:
    """Return what to compare by label, with the recording where there is one."""
    from ..interop.load import is_recording, resolve
    from ..interop.recording.read import read_recording

    jobs: dict[str, tuple[Scenario, Recording | None]] = {}
    for name in arguments.scenario or ([None] if arguments.line else DEFAULT_SCENARIOS):
        path = resolve(name) if name is not None else None
        recording = None
        if path is not None and path.is_dir() and is_recording(path):
            recording = read_recording(path, allow_files=arguments.allow_files)
        scenario = open_given(name, arguments).scenario
        label = recording.name if recording else scenario.name or (path.stem if path else "damo")
        jobs[distinct(label, jobs)] = scenario, recording
    return jobs


def distinct(label: str, taken: Iterable[str]) -> str:
    """Return a label whose files and group overwrite nobody else's."""
    from ..plot.files import slug

    known = {slug(name) for name in taken}
    return next(text for k in count(1) if slug(text := label if k == 1 else f"{label} ({k})") not in known)


def _question(scenario: Scenario) -> str:
    from ..scenario.controlled import controlled

    what = controlled(scenario)
    kind = "of accesses on" if what.kind == "access" else "used on"
    return f"Which way of placing pages reaches {what.target_bp / 100:g} % {kind} node {what.nid} and then keeps still?"


def _say(result: xr.Dataset) -> None:
    from ..reports.text_of_comparison import table

    say(
        Ours("\n"),
        f"{result.attrs['name']}: {result.attrs['controlled']}, target {float(result['target_bp']):.0f} bp, "
        f"{result.attrs['duration_s']:g} s, seed {result.attrs['seed']}",
    )
    say(lines(table(result)))
    if result.attrs["lint"]:
        say(Ours("\nlint, without running:\n"), paint_levels(result.attrs["lint"]))


def _summary(result: xr.Dataset) -> dict[str, object]:
    """Return what the table says, with unrounded numbers in the units of the dataset's variables."""
    from ..reports.text_of_comparison import VARIABLES

    columns = {name: result[name].values.tolist() for name in VARIABLES}
    attrs = {name: result.attrs[name] for name in ("name", "controlled", "duration_s", "seed", "lint")}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return attrs | {"target_bp": float(result["target_bp"]), "rows": rows}
