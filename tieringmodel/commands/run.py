"""``tieringmodel run``: one scenario, one dataset."""

from __future__ import annotations

import argparse
from typing import Any

from ..atomic import replacing_netcdf
from ..errors import InputError
from .arguments import SCENARIO_HELP, open_given
from .output import mark, strict_json
from .results import add_common, command_line, duration_of, writable


def add(commands: Any) -> None:
    """Add the command's parser to a set of subparsers."""
    p = commands.add_parser("run", help="one scenario, one dataset", description="Run one scenario; write run.nc.")
    p.add_argument("scenario", nargs="?", metavar="SCENARIO", help=SCENARIO_HELP)
    add_common(p)
    p.add_argument(
        "--resume", action="store_true",
        help="keep the state in DIR/run.checkpoint every 10 s, and go on from there after an interruption",
    )  # fmt: skip
    p.add_argument(
        "--expect", metavar="CLAUSES",
        help="exit with 1 unless these hold, e.g. 'settling_s < 60, overshoot_bp < 200, kind == converged'",
    )  # fmt: skip
    p.add_argument("--json", action="store_true", help="print one JSON object: measures, clauses, file")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    from ..analysis.expect import expect, parse, values_of
    from ..experiment.simulate import simulate

    if arguments.expect:
        parse(arguments.expect)  # before the work begins
    folder, scenario = writable(arguments.output), open_given(arguments.scenario, arguments).scenario
    path, state = folder / "run.nc", folder / "run.checkpoint"
    ds = simulate(
        scenario, duration=duration_of(arguments.duration), seed=arguments.seed,
        checkpoint=state if arguments.resume else None,
    )  # fmt: skip
    ds.attrs["command"] = command_line(arguments, [arguments.scenario] if arguments.scenario else [])
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
            print(f"{mark(clause.ok)} {clause}")
    return 0 if all(clause.ok for clause in clauses) else 1
