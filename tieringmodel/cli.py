"""The command line. Nothing heavy is imported before it is known what to do."""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from . import cli_sweep
from ._version import __version__
from .atomic import replacing_netcdf
from .errors import InputError, TieringError
from .interop.arguments import SCENARIO_HELP, add_surroundings, check_words, open_given, split_line

if TYPE_CHECKING:
    import xarray as xr

    from .interop.recording import Recording
    from .scenario import Scenario

DEFAULT_SCENARIOS = ("C3_pullpush_temporal", "rfc-40-60")


def command_names() -> list[str]:
    """Return the names of all commands."""
    actions = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return [name for action in actions for name in action.choices]


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence; the usage is one ``--help`` away."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see '{self.prog} --help'\n")


def parser() -> argparse.ArgumentParser:
    """Return the argument parser of all commands."""
    top = _Parser(
        prog="tieringmodel",
        description="Predict what a DAMON memory-tiering scheme does on a machine with a workload.",
        epilog="Exit status: 0 fine, 1 a check failed, 2 wrong input.",
    )
    top.add_argument("--version", action="version", version=f"tieringmodel {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    c = commands.add_parser(
        "compare",
        help="goals against weights and baselines on the same accesses",
        description="Run a scenario's goals, weights with and without page identity, and baselines on the same "
        "accesses; print a verdict table; write comparison.nc, figures and report.html.",
    )
    c.add_argument(
        "scenario", nargs="*", metavar="SCENARIO", help=SCENARIO_HELP + " (default: " + " ".join(DEFAULT_SCENARIOS) + ")"
    )
    _common(c)

    r = commands.add_parser("run", help="one scenario, one dataset", description="Run one scenario; write run.nc.")
    r.add_argument("scenario", nargs="?", metavar="SCENARIO", help=SCENARIO_HELP)
    r.add_argument(
        "--resume", action="store_true",
        help="keep the state in DIR/run.checkpoint every 10 s, and go on from there after an interruption",
    )  # fmt: skip
    _common(r)
    r.add_argument(
        "--expect", metavar="CLAUSES",
        help="exit with 1 unless these hold, e.g. 'settling_s < 60, overshoot_bp < 200, kind == converged'",
    )  # fmt: skip
    r.add_argument("--json", action="store_true", help="print one JSON object: measures, clauses, file")

    rep = commands.add_parser(
        "report",
        help="one HTML page about a result",
        description="Write a self-contained page about what 'run' or 'compare' wrote.",
    )
    rep.add_argument("result", metavar="RESULT", type=Path, help="run.nc, comparison.nc, or the folder with one of them")
    rep.add_argument("-o", "--output", metavar="FILE", type=Path, default=None, help="default: report.html beside RESULT")

    cli_sweep.add(commands)

    li = commands.add_parser(
        "lint",
        help="what is wrong with a scenario, without running it",
        description="Look a scenario over without running it. Exit status 1 if there is an error-level finding.",
    )
    li.add_argument("scenario", nargs="?", metavar="SCENARIO", help=SCENARIO_HELP)
    add_surroundings(li)
    li.add_argument("--json", action="store_true", help="print one JSON list")

    o = commands.add_parser(
        "convert",
        help="a scenario in another form",
        description="Write a scenario in the form that OUT's suffix asks for: .toml the scenario with every default left "
        "out; .json damo's parameters; .sh writes to DAMON's sysfs files, to review and run; .damo a damo start command. "
        "What Linux 7.3.4 cannot be told is refused.",
    )
    o.add_argument(
        "files", nargs="+", metavar="FILE", help="IN OUT, or OUT alone before '-- damo start …'; IN: " + SCENARIO_HELP
    )
    o.add_argument("--pid", metavar="N", type=int, help="the process of virtual targets, for .json and .damo")
    add_surroundings(o)

    v = commands.add_parser(
        "validate",
        help="replay the evidence against this build",
        description="Replay golden vectors, recordings, anchor cases and published measurements against this build; without "
        "options everything that ships. Exit status 1 if a case fails.",
    )
    v.add_argument("--vectors", metavar="DIR", type=Path, help="a folder of golden vectors")
    v.add_argument("--recordings", metavar="DIR", type=Path, help="a folder of recordings")
    v.add_argument(
        "--seeds", metavar="N", type=int, default=None,
        help="simulate every recorded run with N seeds (default 64; 0 replays only what is exact)",
    )  # fmt: skip
    v.add_argument("--anchors", action="store_true", help="the anchor cases")
    v.add_argument("--hardware", action="store_true", help="published measurements of real machines, as a table")
    v.add_argument("--json", action="store_true", help="print one JSON object")
    return top


def _common(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("-o", "--output", metavar="DIR", type=Path, default=Path("tieringmodel-out"), help="where to write")
    add("--duration", metavar="T", default=None, help="simulated time, e.g. '120 s' (bare numbers: seconds)")
    add("--seed", metavar="N", type=int, default=1, help="everything random follows from it (default 1)")
    add_surroundings(command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; by default those of the process.
    """
    words, line = split_line(sys.argv[1:] if argv is None else argv)
    top = parser()
    arguments = top.parse_args(words)
    arguments.line = line
    check_words(top, arguments)
    commands = {
        "compare": _compare, "run": _run, "sweep": cli_sweep.run, "report": _report, "lint": _lint, "convert": _convert,
        "validate": _validate,
    }  # fmt: skip
    try:
        status = commands[arguments.command](arguments)
        sys.stdout.flush()  # here, where a full disk is still told in one sentence
        return status
    except TieringError as error:
        print(f"tieringmodel: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the output has seen enough; nothing is left to flush at exit
        _drop_output()
        return 0
    except OSError as error:
        _drop_output()
        print(f"tieringmodel: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        return 2
    except MemoryError:
        print("tieringmodel: out of memory; make the machine's nodes or the workload smaller", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        again = ["the same command goes on from the last checkpoint"] if getattr(arguments, "resume", False) else []
        print("; ".join(["tieringmodel: interrupted", *map(str, stop.args), *again]), file=sys.stderr)
        return 130


def _drop_output() -> None:
    """Let nothing that is still in the buffer of stdout be written, and fail, at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _writable(folder: Path) -> Path:
    """Return the folder, made if it does not exist; say so before the work begins if nothing can be written there."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(str(folder), "is not writable", "name another folder with -o")
    return folder


def _duration(given: str | None, recorded_s: float | None) -> str | float:
    return given if given is not None else (recorded_s or 120.0)


def _repeat(arguments: argparse.Namespace, scenarios: Sequence[str]) -> str:
    """Return the command line that makes the same result again."""
    words = ["tieringmodel", arguments.command, *scenarios, "--seed", str(arguments.seed)]
    for option in ("duration", "machine", "workload"):
        if getattr(arguments, option) is not None:
            words += [f"--{option}", str(getattr(arguments, option))]
    return shlex.join([*words, "--", *arguments.line] if arguments.line else words)


def _compare(arguments: argparse.Namespace) -> int:
    from .experiment.compare import compare, write_comparison
    from .experiment.policies import policies
    from .interop.load import is_recording, resolve
    from .interop.recording import read_recording
    from .report import save_figures, write_report
    from .report_text import table

    folder = _writable(arguments.output)
    jobs: dict[str, tuple[Scenario, Recording | None]] = {}
    names = arguments.scenario or ([None] if arguments.line else DEFAULT_SCENARIOS)
    for name in names:
        path = resolve(name) if name is not None else None
        recording = read_recording(path) if path is not None and path.is_dir() and is_recording(path) else None
        scenario = open_given(name, arguments).scenario
        label = recording.name if recording else scenario.name or (path.stem if path else "damo")
        jobs[_distinct(label, jobs)] = scenario, recording
    question = "Which way of placing pages reaches {} and then keeps still?"
    questions = {label: question.format(_target(scenario)) for label, (scenario, _) in jobs.items()}
    results: dict[str, xr.Dataset] = {}
    for label, (scenario, recording) in jobs.items():
        recorded_s = float(recording.record["t_ms"][-1]) * 1e-3 if recording and recording.record is not None else None
        result = compare(
            policies(scenario), duration=_duration(arguments.duration, recorded_s), seed=arguments.seed,
            recording=recording, title=label, question=questions[label],
        )  # fmt: skip
        result.attrs["name"] = label
        results[label] = result
        print(f"\n{label}: {result.attrs['controlled']}, target {float(result['target_bp']):.0f} bp, "
              f"{result.attrs['duration_s']:g} s, seed {arguments.seed}")  # fmt: skip
        print(table(result), flush=True)
        if result.attrs["lint"]:
            print(f"\nlint, without running:\n{result.attrs['lint']}", flush=True)
    command = _repeat(arguments, arguments.scenario)
    for result in results.values():
        result.attrs["command"] = command
    data = write_comparison([*results.values()], folder / "comparison.nc")
    for result in results.values():
        save_figures(result, folder)
    report = write_report([*results.values()], folder / "report.html", command=command)
    print(f"\nwrote {data}, figures and {report}")
    return 0


def _distinct(label: str, taken: Iterable[str]) -> str:
    """Return a label whose files and group overwrite nobody else's."""
    from .plot.files import slug

    known = {slug(name) for name in taken}
    return next(
        text for k in count(1) if slug(text := label if k == 1 else f"{label} ({k})") not in known
    )  # fmt: skip


def _target(scenario: Scenario) -> str:
    from .experiment.policies import controlled

    what = controlled(scenario)
    kind = "of accesses on" if what.kind == "access" else "used on"
    return f"{what.target_bp / 100:g} % {kind} node {what.nid}"


def _run(arguments: argparse.Namespace) -> int:
    from .analysis.expect import expect, parse, values_of
    from .experiment.simulate import simulate

    if arguments.expect:
        parse(arguments.expect)  # before the work begins
    folder, scenario = _writable(arguments.output), open_given(arguments.scenario, arguments).scenario
    path, state = folder / "run.nc", folder / "run.checkpoint"
    ds = simulate(
        scenario, duration=_duration(arguments.duration, None), seed=arguments.seed,
        checkpoint=state if arguments.resume else None,
    )  # fmt: skip
    ds.attrs["command"] = _repeat(arguments, [arguments.scenario] if arguments.scenario else [])
    with replacing_netcdf(path, ds.nbytes, len(ds.variables)) as temporary:
        ds.to_netcdf(temporary, engine="h5netcdf")
    if arguments.resume:
        state.unlink(missing_ok=True)
    moved = int(ds["migrated_pages"].sum())
    clauses = expect(ds, arguments.expect) if arguments.expect else []
    if arguments.json:
        try:
            values: dict[str, float] = values_of(ds)
        except InputError:  # a run without a goal has no measures
            values = {}
        found = [clause._asdict() for clause in clauses]
        print(strict_json({"file": str(path), "migrated_pages": moved, "measures": values, "expect": found}))
    else:
        print(f"{ds.sizes['time']} records over {ds.attrs['duration_s']:g} s, {moved} pages migrated; wrote {path}")
        for clause in clauses:
            print(f"{'ok  ' if clause.ok else 'FAIL'} {clause}")
    return 0 if all(clause.ok for clause in clauses) else 1


def _report(arguments: argparse.Namespace) -> int:
    from .interop.results import read_results
    from .report import write_report

    results = read_results(arguments.result)
    beside = arguments.result if arguments.result.is_dir() and arguments.result.suffix != ".zarr" else arguments.result.parent
    made_by = dict.fromkeys(str(ds.attrs["command"]) for ds in results if "command" in ds.attrs)
    command = "\n".join(made_by) or shlex.join(["tieringmodel", "report", str(arguments.result)])
    print(f"wrote {write_report(results, arguments.output or beside / 'report.html', command=command)}")
    return 0


def strict_json(value: object) -> str:
    """Return JSON that every reader accepts: numbers that are not finite as the words inf, -inf and nan."""

    def plain(one: object) -> object:
        if isinstance(one, dict):
            return {key: plain(item) for key, item in one.items()}
        if isinstance(one, (list, tuple)):
            return [plain(item) for item in one]
        return str(one) if isinstance(one, float) and not math.isfinite(one) else one

    return json.dumps(plain(value), allow_nan=False)


def _lint(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from .analysis.lint import format_findings, lint

    findings = lint(open_given(arguments.scenario, arguments).scenario)
    if arguments.json:
        print(json.dumps([asdict(f) for f in findings]))
    else:
        print(format_findings(findings) if findings else "nothing found")
    return 1 if any(f.level == "error" for f in findings) else 0


def _convert(arguments: argparse.Namespace) -> int:
    from .interop.convert import write_converted

    target = Path(arguments.files[-1])
    loaded = open_given(None if arguments.line else arguments.files[0], arguments)
    for note in write_converted(loaded, target, pid=arguments.pid):
        print(f"tieringmodel: {note}", file=sys.stderr)
    print(f"wrote {target}")
    return 0


def _validate(arguments: argparse.Namespace) -> int:
    from .validate.replay import replay

    cases = []
    chosen = arguments.vectors, arguments.recordings, arguments.anchors, arguments.hardware
    for case in replay(*chosen, seeds=arguments.seeds):
        cases.append(case)
        if not arguments.json:
            mark = "ok  " if case.ok else "FAIL"
            detail = f"; {case.detail}" if case.detail else ""
            print(f"{mark} {case.kind:9s} {case.name}: {case.checked} values{detail}", flush=True)
            if arguments.hardware and case.report:
                print(case.report, flush=True)
    if not cases:
        raise InputError("validate", "found nothing to check", "name a folder with vectors or recordings")
    ok = all(c.ok for c in cases)
    if arguments.json:
        print(json.dumps({"cases": [c.as_dict() for c in cases], "ok": ok}))
    else:
        failed = sum(not c.ok for c in cases)
        print(f"{len(cases)} cases, {sum(c.checked for c in cases)} values, {failed} failed")
    return 0 if ok else 1
