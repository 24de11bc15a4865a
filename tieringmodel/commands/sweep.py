"""``tieringmodel sweep``: one scenario at many settings."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from operator import mul
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..atomic import need_place
from ..errors import InputError
from .arguments import SCENARIO_HELP, add_surroundings, open_given, plain_value
from .output import lines, mark, say, strict_json
from .results import add_junit, check_junit, write_netcdf

if TYPE_CHECKING:
    import xarray as xr

    from ..reports.junit import Case
    from ..scenario import Scenario
    from ..sweeps.design import Design

NAMES_OF_KERNELS = ("kernel", "kernel.base")
"""Paths whose values are names, although they look like numbers: 7.1 is not 7.10."""


def add(commands: Any) -> None:
    """Add the command's parser to a set of subparsers."""
    p = commands.add_parser(
        "sweep",
        help="one scenario at many settings",
        description="Run a scenario at every combination of some settings. PATH is a field of the scenario, such as "
        "contexts.0.schemes.0.quota.sz_bytes. The store is written as points finish: the same command goes on where an "
        "interrupted one stopped. Exit status 1 if a point failed, 2 if all did.",
    )
    o = p.add_argument
    o("scenario", nargs="?", metavar="SCENARIO", help=SCENARIO_HELP)
    add_surroundings(p)
    o(
        "--grid",
        metavar="PATH=V1,V2,…",
        action="append",
        default=[],
        help="an axis; several make a grid. PATH=LOW:HIGH:N[:log] is N values from one to the other",
    )
    o("--zip", metavar="PATH=V1,V2,…", action="append", default=[], help="paths that change together, one axis for all")
    o("--axis", metavar="NAME=PATH", action="append", default=[], help="a short name for the axis that changes PATH")
    o("--lhs", metavar="N", type=int, help="N points of a Latin hypercube over the ranges")
    o("--sobol", metavar="N", type=int, help="N points (a power of two) of a Sobol sequence over the ranges")
    o("--range", metavar="PATH=LOW:HIGH[:log]", action="append", default=[], help="a range for --lhs or --sobol")
    o("--seeds", metavar="N", type=int, help="seeds 0 … N-1 at every point")
    o("--seed", metavar="N", type=int, default=1, help="the seed without --seeds, and that of --lhs and --sobol (default 1)")
    o("--duration", metavar="T", default="120 s", help="simulated time of each run (default '120 s')")
    o("--executor", metavar="WHERE", default="processes", help="serial, processes (default), or a Dask scheduler: tcp://…")
    o("--workers", metavar="N", type=int, help="number of processes (default: one per processor)")
    o(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help="STORE.zarr, resumable, or a .nc file written at the end "
        "(default: tieringmodel-out/sweep-….zarr, a name of its own for each sweep)",
    )
    o(
        "--expect",
        metavar="CLAUSES",
        help="exit with 1 unless these hold at every setting, e.g. 'settling_s < 60, p95(overshoot_bp) < 300' (over seeds)",
    )
    add_junit(p)
    o("--keep-old", action="store_true", help="keep stored points that other code of this package has made")
    o("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    from ..datasets.kernel import kernel_of
    from ..reports.junit import write_junit
    from ..reports.text_of_sweep import table
    from ..sweeps.sweep import SomeFailed, sweep
    from ..verdicts.expect import parse

    check_junit(arguments)
    if arguments.expect:
        parse(arguments.expect, "--expect")  # before the work begins
    scenario = open_given(arguments.scenario, arguments).scenario
    names = _axes(arguments.axis)
    design = _design(arguments).named(names).checked(scenario)
    output = arguments.output or _default_output(scenario, design, arguments)
    if output.suffix not in (".zarr", ".nc"):
        raise InputError("-o", f"{str(output)!r} is neither a .zarr store nor a .nc file", "write e.g. -o sweep.zarr")
    output.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise InputError(str(output.parent), "is not writable", "name another place with -o")
    if not (resumable := output.suffix == ".zarr"):
        need_place(output, "-o")
    with _executor(arguments.executor) as executor:
        with warnings.catch_warnings():
            warnings.filterwarnings("always", category=UserWarning, module="tieringmodel")
            warnings.filterwarnings("ignore", category=SomeFailed)  # said below
            warnings.showwarning = lambda message, *_: say(f"tieringmodel: {message}", to=sys.stderr)
            ds = sweep(
                scenario,
                design,
                duration=arguments.duration,
                seed=arguments.seed,
                executor=executor,
                workers=arguments.workers,
                store=output if resumable else None,
                keep_old=arguments.keep_old,
            )
    if not resumable:
        write_netcdf(ds, output)
    failed = int((ds["error"] != "").sum())
    held = _expected(ds, arguments.expect) if arguments.expect else []
    if arguments.json:
        say(strict_json(_summary(ds, output, failed) | {"expect": [case._asdict() for case in held]}))
    else:
        say(lines("\n".join([table(ds), "", *filter(None, [kernel_of(ds)])])))
        say(f"{ds['done'].size} points{f', {failed} failed' if failed else ''}; wrote {output}")
    if arguments.junit:
        write_junit(arguments.junit, f"tieringmodel sweep {scenario.name}".strip(), held)
    for case in () if arguments.json else held:
        if not case.ok:
            say(mark(False), f" {case.name}: {case.said}")
    if held and not arguments.json:
        say(f"{sum(case.ok for case in held)} of {len(held)} expectations hold")
    if failed:
        errors = ds["error"].values
        say(f"tieringmodel: {failed} points failed; the first: {errors[errors != ''][0]}", to=sys.stderr, wrong=True)
    return 1 if failed or not all(case.ok for case in held) else 0


def _expected(ds: xr.Dataset, text: str) -> list[Case]:
    """Return a case for each clause and setting; with a seed axis a setting is all its seeds."""
    import numpy as np

    from ..reports.junit import Case
    from ..sweeps.point import MEASURES
    from ..verdicts.expect import compared, is_over_several, over_runs, parse

    dims = [str(d) for d in ds["done"].dims if d != "seed"]
    names = [name for name in MEASURES if name in ds]
    wanted = parse(text, "--expect")
    cases = []
    for at in np.ndindex(*(ds.sizes[d] for d in dims)):
        here = ds.isel(dict(zip(dims, at, strict=True)))
        runs = [
            {name: here[name].values.ravel()[k].item() for name in names}
            for k in range(here["done"].size)
            if not here["error"].values.ravel()[k]
        ]
        places = {c: here[c].item() for c in here.coords if here[c].ndim == 0}
        where = ", ".join(f"{name} = {value}" for name, value in places.items())
        for clause in wanted:
            told = f"{clause[0]} at {where}" if where else clause[0]
            if not runs:
                cases.append(Case(told, False, "every run of this setting failed"))
            elif is_over_several(clause[1]):
                (found,) = compared([clause], {clause[1]: over_runs(clause[1], runs, "--expect")}, "--expect")
                cases.append(Case(told, found.ok, str(found)))
            else:
                each = [compared([clause], run, "--expect")[0] for run in runs]
                worst = next((found for found in each if not found.ok), each[0])
                cases.append(Case(told, all(found.ok for found in each), str(worst)))
    return cases


def _design(arguments: argparse.Namespace) -> Design:
    from ..sweeps.design import Design

    parts = [Design.grid({p: v}) for p, v in (_assignment(text, "--grid") for text in arguments.grid)]
    if arguments.zip:
        columns: dict[str, list[Any]] = {}
        for path, values in (_assignment(text, "--zip") for text in arguments.zip):
            if path in columns:
                raise InputError("--zip", f"names {path} twice", "name each path once")
            columns[path] = values
        parts.append(Design.zip(columns))
    ranges = dict(_range(text) for text in arguments.range)
    if len(ranges) < len(arguments.range):
        raise InputError("--range", "names a path twice", "name each path once")
    if arguments.lhs is not None and arguments.sobol is not None:
        raise InputError("--sobol", "does not go with --lhs", "choose one")
    if bool(ranges) != (arguments.lhs is not None or arguments.sobol is not None):
        raise InputError("--range", "goes with --lhs N or --sobol N", "give both")
    if arguments.lhs is not None:
        parts.append(Design.latin_hypercube(ranges, arguments.lhs, seed=arguments.seed))
    if arguments.sobol is not None:
        parts.append(Design.sobol(ranges, arguments.sobol, seed=arguments.seed))
    if not parts and arguments.seeds is None:
        raise InputError("--grid", "is missing", "give at least one of --grid, --zip, --lhs, --sobol, --seeds")
    if arguments.seeds is not None:
        if arguments.seeds < 1:
            raise InputError("--seeds", f"{arguments.seeds} is below 1", "write e.g. --seeds 8")
        parts.append(Design.grid({"seed": range(arguments.seeds)}))
    return reduce(mul, parts)


def _axes(texts: list[str]) -> dict[str, str]:
    axes = {}
    for text in texts:
        name, equals, path = (part.strip() for part in text.partition("="))
        if not equals or not name or not path or name in axes:
            raise InputError(
                "--axis", f"{text!r} is not NAME=PATH, each name once", "write e.g. --axis quota=schemes.*.quota.sz_bytes"
            )
        axes[name] = path
    return axes


def _assignment(text: str, option: str) -> tuple[str, list[Any]]:
    path, equals, values = text.partition("=")
    if not equals or not path.strip() or not values.strip():
        raise InputError(option, f"{text!r} is not PATH=V1,V2,…", f"write e.g. {option} contexts.0.attrs.aggr_us=100000,200000")
    span = re.fullmatch(r"([^:,]+):([^:,]+):(\d{1,9})(:log)?", values.strip())
    if span and option == "--grid":
        from ..sweeps.design import spaced

        low, high = map(plain_value, span.group(1, 2))
        return path.strip(), spaced(path.strip(), low, high, int(span[3]), log=bool(span[4]))
    found = [v.strip() for v in values.split(",")]
    with_unit = [v for v in found if re.fullmatch(r"[-+0-9._]*[0-9.] *[a-zA-Zµ%]+", v)]
    if any(re.fullmatch(r"0[0-9]+", v) for v in found) or (with_unit and any(re.fullmatch(r"[-+0-9._]+", v) for v in found)):
        text = f"{text!r} holds a comma that may stand for decimals or thousands"
        raise InputError(option, text, "write a decimal point, no thousands separators, and a unit with every value or none")
    return path.strip(), [v if path.strip() in NAMES_OF_KERNELS else plain_value(v) for v in found]


def _range(text: str) -> tuple[str, tuple[Any, ...]]:
    path, equals, ends = text.partition("=")
    parts = [plain_value(v) for v in ends.split(":")]
    if not equals or len(parts) not in (2, 3) or parts[2:] not in ([], ["log"]):
        raise InputError("--range", f"{text!r} is not PATH=LOW:HIGH[:log]", "write e.g. --range workload.tick_us=1000:5000")
    return path.strip(), tuple(parts)


def _default_output(scenario: Scenario, design: Design, arguments: argparse.Namespace) -> Path:
    """Return a name that is the same whenever the same sweep is asked for, so that it goes on by itself."""
    import hashlib

    parts = [json.dumps(scenario.to_dict(), sort_keys=True), design.to_json(), arguments.duration, arguments.seed]
    return Path("tieringmodel-out") / f"sweep-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]}.zarr"


@contextmanager
def _executor(where: str) -> Iterator[Any]:
    if where in ("serial", "processes"):
        yield where
        return
    if "://" not in where:
        remedy = "write serial, processes, or tcp://HOST:PORT of a Dask scheduler"
        raise InputError("--executor", f"{where!r} is not known", remedy)
    try:
        from distributed import Client
    except ImportError:
        raise InputError("--executor", "needs the package distributed", "pip install 'tieringmodel[dask]'") from None
    try:
        client = Client(where, timeout=10)
    except (OSError, ValueError) as error:
        raise InputError("--executor", f"no Dask scheduler answers at {where} ({error})", "start one: dask scheduler") from None
    with client:
        yield client


def _summary(ds: xr.Dataset, output: Path, failed: int) -> dict[str, Any]:
    from ..reports.text_of_sweep import measures_of, rows

    paths, table_rows = rows(ds)
    names = [*paths, "verdict", *measures_of(ds)]
    return {
        "output": str(output),
        "points": int(ds["done"].size),
        "failed": failed,
        "dims": {str(d): int(n) for d, n in ds["done"].sizes.items()},
        "rows": [dict(zip(names, row, strict=True)) for row in table_rows],
    }
