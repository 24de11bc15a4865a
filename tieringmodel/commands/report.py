"""``tieringmodel report``: one HTML page about a result."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from .output import say, strict_json


def add(commands: Any) -> None:
    """Add the command's parser to a set of subparsers."""
    p = commands.add_parser(
        "report",
        help="one HTML page about a result",
        description="Write a self-contained page about what 'run', 'compare' or 'sweep' wrote.",
    )
    p.add_argument(
        "result",
        metavar="RESULT",
        type=Path,
        help="run.nc, comparison.nc, a sweep's store, or a folder: the newest of them in it",
    )
    p.add_argument("-o", "--output", metavar="FILE", type=Path, default=None, help="default: report.html beside RESULT")
    p.add_argument("--json", action="store_true", help="print one JSON object: file, result, the headline of every section")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    from ..datasets.read import read_results, results_below
    from ..reports import headline, write_report
    from ..reports.text_of_sweep import command as sweep_command

    paths = results_below(arguments.result)
    if len(paths) > 1:
        others = ", ".join(path.name for path in paths[1:])
        say(f"tieringmodel: this is about {paths[0]}, which is newer than {others}", to=sys.stderr)
    results = read_results(paths[0])
    beside = arguments.result if arguments.result.is_dir() and arguments.result.suffix != ".zarr" else arguments.result.parent
    commands = (sweep_command(ds) if ds.attrs["kind"] == "sweep" else str(ds.attrs.get("command", "")) for ds in results)
    made_by = dict.fromkeys(line for line in commands if line)
    command = "\n".join(made_by) or shlex.join(["tieringmodel", "report", str(arguments.result)])
    written = write_report(results, arguments.output or beside / "report.html", command=command)
    if arguments.json:
        sections = [
            {"name": str(ds.attrs.get("name", "")), "kind": ds.attrs["kind"], "headline": headline(ds)} for ds in results
        ]
        say(strict_json({"file": str(written), "result": str(paths[0]), "sections": sections}))
    else:
        say(f"wrote {written}")
    return 0
