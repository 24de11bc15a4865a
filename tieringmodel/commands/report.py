"""``tieringmodel report``: one HTML page about a result, or the text that was printed about it."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .output import ascii_only, lines, say, strict_json, width_of

if TYPE_CHECKING:
    import xarray as xr


def add(commands: Any) -> None:
    """Add the command's parser to a set of subparsers."""
    p = commands.add_parser(
        "report",
        help="one HTML page about a result, or its text",
        description="Write a self-contained page about what 'run', 'compare', 'sweep' or 'tune' wrote; with --text, print "
        "what they printed.",
    )
    p.add_argument(
        "result",
        metavar="RESULT",
        type=Path,
        help="the file of a run or a comparison, a sweep's store, or a folder: the newest of them in it; with --text --heatmap "
        "also a damo record",
    )
    p.add_argument("-o", "--output", metavar="FILE", type=Path, default=None, help="default: report.html beside RESULT")
    p.add_argument("--text", action="store_true", help="print the text instead")
    p.add_argument("--ascii", action="store_true", help="with --text: plain ASCII, for a mail")
    p.add_argument("--funnel", action="store_true", help="with --text: every counter of every scheme")
    p.add_argument(
        "--heatmap", action="store_true", help="with --text: what DAMON saw, a map and a histogram; of a damo record, too"
    )
    p.add_argument("--json", action="store_true", help="print one JSON object: file, result, the headline of every section")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    from ..datasets.read import read_results, results_below

    if arguments.text and (arguments.json or arguments.output):
        raise InputError("--text", "prints and writes no page", "leave --json and --output out")
    for option in ("ascii", "funnel", "heatmap"):
        if getattr(arguments, option) and not arguments.text:
            raise InputError(f"--{option}", "is about the text", "add --text")
    if arguments.heatmap and (record := _record(arguments.result)):
        say(lines("\n\n".join(_heat(ds, arguments) for ds in record)))
        return 0
    paths = results_below(arguments.result)
    if len(paths) > 1:
        others = ", ".join(path.name for path in paths[1:4]) + (f" and {len(paths) - 4} more" if len(paths) > 4 else "")
        say(f"tieringmodel: this is about {paths[0]}, which is newer than {others}", to=sys.stderr)
    results = read_results(paths[0])
    try:
        if arguments.text:
            tell = (lambda ds: _heat(ds, arguments)) if arguments.heatmap else (lambda ds: _text(ds, paths[0], arguments))
            said: str = lines("\n\n".join(map(tell, results)))
        else:
            said = _page(results, paths[0], arguments)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        if isinstance(error, InputError):
            raise
        what = f"lacks something that a result has ({type(error).__name__}: {error})"  # a result that something was done to
        raise InputError(str(paths[0]), what, "give a file that tieringmodel wrote") from None
    say(said)
    return 0


def _record(path: Path) -> list[xr.Dataset]:
    """Return a damo record as datasets; nothing if the path is a result of ours."""
    if not path.is_file() or path.suffix in (".nc", ".zarr"):
        return []
    from ..interop.damo.records import monitoring_truth, read_damo_record

    return [monitoring_truth(record) for record in read_damo_record(path)]


def _heat(ds: xr.Dataset, arguments: argparse.Namespace) -> str:
    from ..reports.text_heatmap import text_heatmap

    return text_heatmap(ds, width=width_of(), ascii_only=ascii_only(arguments))


def _text(ds: xr.Dataset, path: Path, arguments: argparse.Namespace) -> str:
    """Return what was printed about a result."""
    from dataclasses import replace

    from ..reports.plain_text import ascii_of
    from ..reports.text_of_comparison import text_of_comparison
    from ..reports.text_of_run import stored_seeds, text_of_run
    from ..reports.text_of_sweep import table
    from ..verdicts.judge import verdict

    plain, width = ascii_only(arguments), width_of()
    if ds.attrs["kind"] == "simulation":
        found = verdict(ds)
        found = replace(found, seeds=stored_seeds(ds) or found.seeds)
        return text_of_run(ds, found, width=width, ascii_only=plain, funnel=arguments.funnel, place=shlex.quote(str(path)))
    if ds.attrs["kind"] == "tuning":
        from ..plot.tuning import answer_of
        from ..reports.text_of_tuning import text_of_tuning

        return text_of_tuning(str(answer_of(ds)["text"]), width=width, ascii_only=plain)
    if ds.attrs["kind"] == "comparison":
        return text_of_comparison(ds, width=width, ascii_only=plain)
    return ascii_of(table(ds)) if plain else table(ds)


def _page(results: list[xr.Dataset], path: Path, arguments: argparse.Namespace) -> str:
    """Write a page; return what is said about it."""
    from ..reports import headline, write_report
    from ..reports.text_of_sweep import command as sweep_command

    beside = arguments.result if arguments.result.is_dir() and arguments.result.suffix != ".zarr" else arguments.result.parent
    commands = (sweep_command(ds) if ds.attrs["kind"] == "sweep" else str(ds.attrs.get("command", "")) for ds in results)
    made_by = dict.fromkeys(line for line in commands if line)
    command = "\n".join(made_by) or shlex.join(["tieringmodel", "report", str(arguments.result)])
    written = write_report(results, arguments.output or beside / "report.html", command=command)
    if arguments.json:
        sections = [
            {"name": str(ds.attrs.get("name", "")), "kind": ds.attrs["kind"], "headline": headline(ds)} for ds in results
        ]
        return strict_json({"file": str(written), "result": str(path), "sections": sections})
    return f"wrote {written}"
