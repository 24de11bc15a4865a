"""``tieringmodel report``: one HTML page about a result."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from .output import strict_json


def add(commands: Any) -> None:
    """Add the command's parser to a set of subparsers."""
    p = commands.add_parser(
        "report",
        help="one HTML page about a result",
        description="Write a self-contained page about what 'run', 'compare' or 'sweep' wrote.",
    )
    p.add_argument(
        "result", metavar="RESULT", type=Path,
        help="run.nc, comparison.nc, a sweep's store, or the folder with one of them",
    )  # fmt: skip
    p.add_argument("-o", "--output", metavar="FILE", type=Path, default=None, help="default: report.html beside RESULT")
    p.add_argument("--json", action="store_true", help="print one JSON object: the file, and the headline of every section")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    from ..interop.results import read_results
    from ..report import headline, write_report
    from ..sweep_text import command as sweep_command

    results = read_results(arguments.result)
    beside = arguments.result if arguments.result.is_dir() and arguments.result.suffix != ".zarr" else arguments.result.parent
    told = (sweep_command(ds) if ds.attrs["kind"] == "sweep" else str(ds.attrs.get("command", "")) for ds in results)
    made_by = dict.fromkeys(line for line in told if line)
    command = "\n".join(made_by) or shlex.join(["tieringmodel", "report", str(arguments.result)])
    written = write_report(results, arguments.output or beside / "report.html", command=command)
    if arguments.json:
        sections = [
            {"name": str(ds.attrs.get("name", "")), "kind": ds.attrs["kind"], "headline": headline(ds)} for ds in results
        ]
        print(strict_json({"file": str(written), "sections": sections}))
    else:
        print(f"wrote {written}")
    return 0
