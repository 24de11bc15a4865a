"""``tieringmodel run``: one scenario, one dataset."""

from __future__ import annotations

import argparse
from typing import Any

from .arguments import SCENARIO_HELP, open_given
from .output import mark, say, strict_json
from .results import add_common, command_line, duration_of, writable, write_netcdf


def add(commands: Any) -> None:
    """Add the command's parser to a set of subparsers."""
    p = commands.add_parser("run", help="one scenario, one dataset", description="Run one scenario; write run.nc.")
    p.add_argument("scenario", nargs="?", metavar="SCENARIO", help=SCENARIO_HELP)
    add_common(p)
    p.add_argument(
        "--resume",
        action="store_true",
        help="keep the state in DIR/run.checkpoint every 10 s, and go on from there after an interruption",
    )
    p.add_argument(
        "--expect",
        metavar="CLAUSES",
        help="exit with 1 unless these hold, e.g. 'settling_s < 60, overshoot_bp < 200, kind == converged'",
    )
    p.add_argument("--json", action="store_true", help="print one JSON object: measures, clauses, file")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    from ..simulation.simulate import simulate
    from ..verdicts.expect import expect, parse, values_of
    from ..verdicts.judge import judged

    if arguments.expect:
        parse(arguments.expect)  # before the work begins
    folder, scenario = writable(arguments.output), open_given(arguments.scenario, arguments).scenario
    path, state = folder / "run.nc", folder / "run.checkpoint"
    ds = simulate(
        scenario,
        duration=duration_of(arguments.duration),
        seed=arguments.seed,
        checkpoint=state if arguments.resume else None,
    )
    ds.attrs["command"] = command_line(arguments, [arguments.scenario] if arguments.scenario else [])
    write_netcdf(ds, path)
    if arguments.resume:
        state.unlink(missing_ok=True)
    moved = int(ds["migrated_pages"].sum())
    clauses = expect(ds, arguments.expect) if arguments.expect else []
    verdict = judged(ds)
    if arguments.json:
        values = values_of(ds) if verdict is not None else {}
        verdict_row = None if verdict is None else {"kind": verdict.kind, "cause": verdict.cause, "fix": verdict.fix}
        held = [clause._asdict() for clause in clauses]
        say(
            strict_json(
                {"file": str(path), "migrated_pages": moved, "verdict": verdict_row, "measures": values, "expect": held}
            )
        )
    else:
        pages = f"{moved} pages migrated"
        if "reclaimed_pages" in ds:
            pages += f", {int(ds['reclaimed_pages'].sum())} reclaimed, {int(ds['faulted_pages'].sum())} back in memory"
        say(f"{ds.sizes['time']} records over {ds.attrs['duration_s']:g} s, {pages}; wrote {path}")
        if verdict is not None:
            say(verdict.text)
        for clause in clauses:
            say(mark(clause.ok), f" {clause}")
    return 0 if all(clause.ok for clause in clauses) else 1
