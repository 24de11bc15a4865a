"""``tieringmodel diff``: what another kernel, another scenario or another run changes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..atomic import need_place
from ..checks import number
from ..errors import InputError
from .arguments import KERNELS_HELP, SCENARIO_HELP, add_surroundings, changed, open_given
from .duration import add_duration, check_duration, is_auto, length_of
from .output import ascii_only, lines, say, strict_json, width_of
from .results import check_seeds

if TYPE_CHECKING:
    import xarray as xr

    from ..differences.difference import Difference
    from ..interop.load import Loaded
    from ..scenario import Kernel, Scenario

OF_A_FOLDER = ("latest.nc", "run.nc", "latest.txt")
"""A folder with one of these holds results."""


def add(commands: Any) -> None:
    """Add the command's parser to a set of subparsers."""
    p = commands.add_parser(
        "diff",
        help="what another kernel, scenario or run changes",
        description="Run a scenario under several kernels, or two scenarios, or take two stored runs: print what differs, "
        "and between kernels which of their rules make the difference. Exit status 0 whatever differs; with --rtol, 1 if a "
        "measure differs by more, or a verdict's kind does.",
    )
    o = p.add_argument
    o(
        "scenario",
        nargs="*",
        metavar="SCENARIO",
        help="one with --kernels, else two, or one with --set: as it is and changed; "
        "without --kernels a stored result (.nc, .zarr, or a folder with them) stands for "
        "its run, which is not run again. " + SCENARIO_HELP,
    )
    o(
        "--kernels",
        metavar="K1,K2,…",
        help=KERNELS_HELP,
    )
    o("--no-rules", action="store_true", help="do not look for the rules that make the difference")
    o("--rtol", metavar="X", type=float, help="exit with 1 if a measure differs by more than this share of the larger value")
    add_duration(p)
    o("--seed", metavar="N", type=int, default=None, help="everything random follows from it (default 1; of a result: its own)")
    o("--seeds", metavar="N", type=int, default=1, help="N seeds from --seed on: medians; what seeds differ by does not count")
    o("--workers", metavar="N", type=int, help="worker processes, 1 = none (default: one per processor for long runs)")
    add_surroundings(p)
    o("-o", "--output", metavar="FILE", type=Path, help="write the JSON object to a file, too")
    o("--ascii", action="store_true", help="print plain ASCII, for a mail")
    o("--json", action="store_true", help="print one JSON object: answer, runs, measures, rules, fields")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    from ..reports.text_of_diff import text_of_diff

    check_seeds(arguments)
    check_duration(arguments)
    if arguments.rtol is not None:
        number("--rtol", arguments.rtol, 0.0)
    output: Path | None = arguments.output
    if output is not None:
        need_place(output, "-o")
    found = _of_kernels(arguments) if arguments.kernels is not None else _of_two(arguments)
    data = strict_json(found.to_dict())
    if output is not None:
        from ..atomic import replacing

        with replacing(output) as temporary:
            temporary.write_text(data + "\n", encoding="utf-8")
    if arguments.json:
        say(data)
    else:
        say(lines(text_of_diff(found, width=width_of(), ascii_only=ascii_only(arguments))))
    if arguments.rtol is None:
        return 0
    return 1 if len(found.columns) < len(found.sides) or found.beyond(arguments.rtol) else 0


def _of_kernels(arguments: argparse.Namespace) -> Difference:
    from ..differences.diff import diff, kernels_of

    given = parse_kernels(arguments.kernels)
    loaded = open_given(arguments.scenario[0] if arguments.scenario else None, arguments)
    arguments.seed = next(seed for seed in (arguments.seed, loaded.seed, 1) if seed is not None)
    kernels = kernels_of(loaded.scenario, given)
    return diff(
        loaded.scenario,
        kernels=kernels,
        duration=_longest(arguments, loaded, _under(loaded.scenario, (kernels[0], kernels[-1]))),
        seed=arguments.seed,
        seeds=arguments.seeds,
        rules=not arguments.no_rules,
        rtol=arguments.rtol or 0.0,
        workers=arguments.workers,
    )


def parse_kernels(text: str) -> list[Kernel]:
    """Return the kernels that a list names; what has a space in it, ``thisnode on``, is a switch of the kernel in front of it.

    Raises
    ------
    InputError
        If one is not modelled, or a switch not known.
    """
    from ..scenario import Kernel

    titles: list[str] = []
    for part in (part.strip() for part in text.split(",")):
        if part.partition(" ")[1] and titles:
            titles[-1] += f", {part}"
        else:
            titles.append(part)
    return [Kernel.from_text(one, "--kernels") for one in titles]


def _under(scenario: Scenario, kernels: Sequence[Kernel]) -> list[Scenario]:
    """Return the scenario under each kernel that takes it."""
    out = []
    for kernel in kernels:
        try:
            out.append(scenario.replace(kernel=kernel))
        except InputError:  # diff says why
            continue
    return out


def _longest(arguments: argparse.Namespace, loaded: Loaded, scenarios: Sequence[Scenario]) -> str | float:
    """Return how long to simulate: what is given or was recorded, else the longest that a verdict takes."""
    if not is_auto(arguments) or loaded.duration_s or not scenarios:
        return length_of(arguments, loaded.scenario, loaded.duration_s).duration
    return max(float(length_of(arguments, scenario, None).duration) for scenario in scenarios)


def _of_two(arguments: argparse.Namespace) -> Difference:
    from ..differences.diff import diff

    sources: list[str | None] = [*arguments.scenario, *([None] if arguments.line else [])]
    what_if = len(sources) == 1
    stored = [_stored(source) for source in sources]
    loaded = [
        open_given(source, arguments, what_if) if run is None else None for source, run in zip(sources, stored, strict=True)
    ]
    if what_if:
        stored.append(None)
        loaded.append(changed(loaded[0] or open_given(sources[0], arguments, what_if), arguments))
        names = ["as given", "changed"]
    else:
        names = _names([str(run[0]) if run else source or "damo start" for source, run in zip(sources, stored, strict=True)])
    both: list[Any] = [run[1] if run else one and one.scenario for one, run in zip(loaded, stored, strict=True)]
    scenarios = [one.scenario for one in loaded if one is not None]
    if len(scenarios) < 2:
        scenario_s = {"--kernel": arguments.kernel is not None} if not scenarios else {}
        given = scenario_s | {
            "--duration": not is_auto(arguments),
            "--seed": arguments.seed is not None,
            "--seeds": arguments.seeds > 1,
        }
        for option, there in given.items():
            if there:
                raise InputError(option, "is that of the stored run", "leave it out")
        return diff(*both, names=names, workers=arguments.workers)
    seed = 1 if arguments.seed is None else arguments.seed
    arguments.seed = seed
    lengths = [_longest(arguments, one, [one.scenario]) for one in loaded if one is not None]
    duration = lengths[0] if not is_auto(arguments) else max(map(float, lengths))
    return diff(*both, duration=duration, seed=seed, seeds=arguments.seeds, names=names, workers=arguments.workers)


def _stored(source: str | None) -> tuple[Path, xr.Dataset] | None:
    """Return the run that a path names and its file, if it is a result's."""
    from ..datasets.read import read_results, results_below

    path = Path(source or "")
    if source is None or (path.suffix not in (".nc", ".zarr") and not any((path / name).exists() for name in OF_A_FOLDER)):
        return None
    place = results_below(path)[0]
    results = read_results(place)
    if len(results) != 1 or results[0].attrs["kind"] != "simulation":
        raise InputError(str(place), f"is a {results[0].attrs['kind']}" if results else "is empty", "give what 'run' wrote")
    return place.with_name(place.readlink().name) if place.is_symlink() else place, results[0]


def _names(paths: Sequence[str]) -> list[str]:
    """Return what to call two sources: their files' names where these differ."""
    short = [Path(path).name for path in paths]
    return short if short[0] != short[1] else [*paths]
