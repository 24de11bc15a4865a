"""``tieringmodel tune``: the configuration that meets an end."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .arguments import SCENARIO_HELP, add_surroundings, open_given
from .duration import AUTO
from .output import ascii_only, lines, say, strict_json, width_of
from .results import command_line, writable, write_netcdf

if TYPE_CHECKING:
    from ..interop.load import Loaded
    from ..tuning.answer import Tuned

DATA = "tuning.nc"
MET, MISSED = "tuned", "nearest-miss"
"""Names of the files of a configuration that meets the end, and of one that does not."""


def add(commands: Any) -> None:
    """Add the command's parser to a set of subparsers."""
    p = commands.add_parser(
        "tune",
        help="which configuration meets an end",
        description="Search for the configuration that meets an end, run each candidate at page level with several seeds, "
        "and write it: DIR/tuned.toml (complete), .damo, .json, .sh, with figures, tuning.nc for 'report', and runs.jsonl, "
        "from which the same command goes on. Exit status 1 if no candidate meets the end.",
    )
    o = p.add_argument
    o("scenario", nargs="?", metavar="SCENARIO", help=SCENARIO_HELP)
    o(
        "--end",
        metavar="CLAUSES",
        required=True,
        help="what every run has to meet, e.g. 'residual_mib_s < 0.5, abs_error_bp < 300'",
    )
    o(
        "--objective",
        metavar="NAME[,NAME]",
        default="",
        help="make best: residual, settling, error, throughput, run-time; several give a front (default: distance from the "
        "bounds of the end)",
    )
    o(
        "--change",
        metavar="PATH[=V1,V2,…]",
        action="append",
        default=[],
        help="only this may change (again for more; default: goal targets, tuner, quotas, intervals, patterns, weights, …)",
    )
    o(
        "--budget",
        metavar="N",
        help="simulated seconds of all runs, or CPU time such as '5 min', translated once (default: 160 runs)",
    )
    o(
        "--duration",
        metavar="T",
        default=AUTO,
        help="simulated time of each run (default auto: as recorded, or as a verdict takes)",
    )
    o("--seeds", metavar="N", type=int, default=3, help="N seeds from --seed on, for every candidate (default %(default)s)")
    o("--seed", metavar="N", type=int, default=None, help="everything random follows from it (default 1; of a result: its own)")
    o("--workers", metavar="N", type=int, default=1, help="worker processes, 1 = none (the default); the answer is the same")
    o("-o", "--output", metavar="DIR", type=Path, default=Path("tieringmodel-out"), help="where to write")
    add_surroundings(p)
    o("--ascii", action="store_true", help="print plain ASCII, for a mail")
    o("--json", action="store_true", help="print one JSON object: met, changes, verdict, measures, margins, beats, tried, …")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    from ..tuning.tune import tune

    if arguments.workers < 1:
        raise InputError("--workers", f"{arguments.workers} is below 1", "write 1 or more")
    folder, loaded = writable(arguments.output), open_given(arguments.scenario, arguments)
    seed = next(seed for seed in (arguments.seed, loaded.seed, 1) if seed is not None)
    arguments.seed = seed
    tuned = tune(
        loaded.scenario,
        arguments.end,
        objective=[name.strip() for name in arguments.objective.split(",") if name.strip()],
        change=arguments.change,
        budget=arguments.budget,
        duration=loaded.duration_s if arguments.duration == AUTO else arguments.duration,
        seeds=arguments.seeds,
        seed=seed,
        executor="serial" if arguments.workers == 1 else "processes",
        workers=None if arguments.workers == 1 else arguments.workers,
        store=folder / "runs.jsonl",
    )
    files = _written(tuned, loaded, folder, arguments)
    if arguments.json:
        say(strict_json(tuned.to_dict() | {"files": [str(path) for path in files]}))
    else:
        from ..reports.text_of_tuning import text_of_tuning

        said = f"{tuned}\nwrote {', '.join(map(str, files))}"
        say(lines(text_of_tuning(said, width=width_of(), ascii_only=ascii_only(arguments))))
    return 0 if tuned.met else 1


def _written(tuned: Tuned, loaded: Loaded, folder: Path, arguments: argparse.Namespace) -> list[Path]:
    """Write the configuration in every form that can say it, the data and the figures; return the files."""
    from dataclasses import replace

    from ..atomic import replacing
    from ..interop.convert import FORMS, write_converted
    from ..plot.files import save_tuning
    from ..tuning.dataset import dataset_of

    stem, other = (MET, MISSED) if tuned.met else (MISSED, MET)
    files = []
    for suffix in FORMS:
        (folder / f"{other}{suffix}").unlink(missing_ok=True)
        target = folder / f"{stem}{suffix}"
        target.unlink(missing_ok=True)
        try:
            write_converted(replace(loaded, scenario=tuned.scenario), target)
        except InputError as error:  # what damo or sysfs cannot say
            say(f"tieringmodel: {target.name} is not written: {error}", to=sys.stderr)
            continue
        files.append(target)
    answer = folder / "answer.json"
    with replacing(answer) as temporary:
        temporary.write_text(strict_json(tuned.to_dict()) + "\n", encoding="utf-8")
    ds = dataset_of(tuned)
    ds.attrs["command"] = command_line(arguments, [arguments.scenario] if arguments.scenario else [], None)
    write_netcdf(ds, folder / DATA)
    return [*files, answer, folder / DATA, *save_tuning(ds, folder)]
