"""The command line. Nothing heavy is imported before it is known what to do."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ._version import __version__
from .atomic import replacing, replacing_netcdf
from .errors import InputError, TieringError

if TYPE_CHECKING:
    import xarray as xr

    from .interop.recording import Recording
    from .scenario import Scenario

DEFAULT_SCENARIOS = ("C3_pullpush_temporal", "rfc-40-60")


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
        "scenario", nargs="*", metavar="SCENARIO",
        help="TOML file, recording directory or shipped name (default: " + " ".join(DEFAULT_SCENARIOS) + ")",
    )  # fmt: skip
    _common(c)

    r = commands.add_parser("run", help="one scenario, one dataset", description="Run one scenario; write run.nc.")
    r.add_argument("scenario", metavar="SCENARIO", help="TOML file, recording directory or shipped name")
    r.add_argument(
        "--resume", action="store_true",
        help="keep the state in DIR/run.checkpoint every 10 s, and go on from there after an interruption",
    )  # fmt: skip
    _common(r)

    li = commands.add_parser(
        "lint",
        help="what is wrong with a scenario, without running it",
        description="Look a scenario over without running it. Exit status 1 if there is an error-level finding.",
    )
    li.add_argument("scenario", metavar="SCENARIO", help="TOML file, recording directory or shipped name")
    li.add_argument("--json", action="store_true", help="print one JSON list")

    o = commands.add_parser(
        "convert",
        help="a scenario in another form",
        description="Write a scenario as TOML, with every default left out.",
    )
    o.add_argument("source", metavar="IN", help="TOML file, recording directory or shipped name")
    o.add_argument("target", metavar="OUT", type=Path, help="a .toml file, replaced if it exists")

    v = commands.add_parser(
        "validate",
        help="replay the evidence against this build",
        description="Replay golden vectors, recordings and anchor cases against this build; without options everything "
        "that ships. Exit status 1 if a case fails.",
    )
    v.add_argument("--vectors", metavar="DIR", type=Path, help="a folder of golden vectors")
    v.add_argument("--recordings", metavar="DIR", type=Path, help="a folder of recordings")
    v.add_argument("--anchors", action="store_true", help="the anchor cases")
    v.add_argument("--json", action="store_true", help="print one JSON object")
    return top


def _common(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("-o", "--output", metavar="DIR", type=Path, default=Path("tieringmodel-out"), help="where to write")
    add("--duration", metavar="T", default=None, help="simulated time, e.g. '120 s' (bare numbers: seconds)")
    add("--seed", metavar="N", type=int, default=1, help="everything random follows from it (default 1)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; by default those of the process.
    """
    arguments = parser().parse_args(argv)
    commands = {"compare": _compare, "run": _run, "lint": _lint, "convert": _convert, "validate": _validate}
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
    except KeyboardInterrupt:
        again = "; the same command goes on from the last checkpoint" if getattr(arguments, "resume", False) else ""
        print(f"tieringmodel: interrupted{again}", file=sys.stderr)
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


def _compare(arguments: argparse.Namespace) -> int:
    from .experiment.compare import compare, write_comparison
    from .experiment.policies import policies
    from .interop.load import load, resolve
    from .interop.recording import read_recording
    from .report import save_figures, write_report
    from .report_text import table

    folder = _writable(arguments.output)
    jobs: dict[str, tuple[Scenario, Recording | None]] = {}
    for name in arguments.scenario or DEFAULT_SCENARIOS:
        path = resolve(name)
        recording = read_recording(path) if path.is_dir() else None
        scenario = recording.to_scenario() if recording else load(path)
        jobs[_distinct(recording.name if recording else scenario.name or path.stem, jobs)] = scenario, recording
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
    data = write_comparison([*results.values()], folder / "comparison.nc")
    for result in results.values():
        save_figures(result, folder)
    words = ["tieringmodel", "compare", *arguments.scenario, "--seed", str(arguments.seed)]
    if arguments.duration is not None:
        words += ["--duration", arguments.duration]
    report = write_report([*results.values()], folder / "report.html", command=shlex.join(words))
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
    from .experiment.simulate import simulate
    from .interop.load import load

    folder, scenario = _writable(arguments.output), load(arguments.scenario)
    path, state = folder / "run.nc", folder / "run.checkpoint"
    ds = simulate(
        scenario, duration=_duration(arguments.duration, None), seed=arguments.seed,
        checkpoint=state if arguments.resume else None,
    )  # fmt: skip
    with replacing_netcdf(path, ds.nbytes, len(ds.variables)) as temporary:
        ds.to_netcdf(temporary, engine="h5netcdf")
    if arguments.resume:
        state.unlink(missing_ok=True)
    moved = int(ds["migrated_pages"].sum())
    print(f"{ds.sizes['time']} records over {ds.attrs['duration_s']:g} s, {moved} pages migrated; wrote {path}")
    return 0


def _lint(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from .analysis.lint import format_findings, lint
    from .interop.load import load

    findings = lint(load(arguments.scenario))
    if arguments.json:
        print(json.dumps([asdict(f) for f in findings]))
    else:
        print(format_findings(findings) if findings else "nothing found")
    return 1 if any(f.level == "error" for f in findings) else 0


def _convert(arguments: argparse.Namespace) -> int:
    from .interop.load import load

    if arguments.target.suffix != ".toml":
        raise InputError(str(arguments.target), "is not a .toml file", "only TOML is written so far")
    scenario = load(arguments.source)
    with replacing(arguments.target) as temporary:
        temporary.write_text(scenario.to_toml(), encoding="utf-8")
    print(f"wrote {arguments.target}")
    return 0


def _validate(arguments: argparse.Namespace) -> int:
    from .validate.replay import replay

    cases = []
    for case in replay(arguments.vectors, arguments.recordings, arguments.anchors):
        cases.append(case)
        if not arguments.json:
            mark = "ok  " if case.ok else "FAIL"
            detail = f"; {case.detail}" if case.detail else ""
            print(f"{mark} {case.kind:9s} {case.name}: {case.checked} values{detail}", flush=True)
    if not cases:
        raise InputError("validate", "found nothing to check", "name a folder with vectors or recordings")
    ok = all(c.ok for c in cases)
    if arguments.json:
        print(json.dumps({"cases": [c.as_dict() for c in cases], "ok": ok}))
    else:
        failed = sum(not c.ok for c in cases)
        print(f"{len(cases)} cases, {sum(c.checked for c in cases)} values, {failed} failed")
    return 0 if ok else 1
