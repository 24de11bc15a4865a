"""``tieringmodel run``: one scenario, one dataset, and what it came to."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..units import parse_duration_us
from .arguments import SCENARIO_HELP, open_given
from .duration import Length, check_duration, is_auto, length_of
from .output import Ours, ascii_only, lines, mark, say, strict_json, width_of
from .results import (
    add_common,
    add_junit,
    check_junit,
    check_seeds,
    command_line,
    point_to,
    result_path,
    writable,
    write_netcdf,
)

if TYPE_CHECKING:
    import xarray as xr

    from ..remedies.search import Search
    from ..scenario import Scenario
    from ..verdicts.record import Verdict


def add(commands: Any) -> None:
    """Add the command's parser to a set of subparsers."""
    p = commands.add_parser(
        "run",
        help="one scenario, one dataset, and what it came to",
        description="Run one scenario; print its verdict with causes, a fix that was run, a chart, and what became of the "
        "pages. The dataset is named after the scenario; DIR/latest.nc is the one that was written last.",
    )
    p.add_argument("scenario", nargs="?", metavar="SCENARIO", help=SCENARIO_HELP)
    add_common(p)
    p.add_argument(
        "--resume",
        action="store_true",
        help="keep the state beside the result every 10 s, and go on from there after an interruption",
    )
    p.add_argument(
        "--expect",
        metavar="CLAUSES",
        help="exit with 1 unless these hold, e.g. 'settling_s < 60, hot_share_node0 > 5000, kind == converged'; with --seeds "
        "also 'p95(overshoot_bp) < 300, share(kind == converged) >= 0.9'",
    )
    p.add_argument(
        "--every",
        metavar="T",
        help="keep one record in so much simulated time, e.g. '10 s'; counts since the start stay exact (default: all of a run "
        "of an hour or so, fewer of a longer one, which it then says)",
    )
    add_junit(p)
    p.add_argument("--funnel", action="store_true", help="print every counter of every scheme")
    p.add_argument("--no-fix", action="store_true", help="do not look for a change that helps")
    p.add_argument(
        "--fix-budget",
        metavar="SECONDS",
        type=float,
        help="CPU time for that search (default 20 times that of the run, at least 10 and at most 60 s)",
    )
    p.add_argument("--json", action="store_true", help="print one JSON object: file, verdict, measures, clauses")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    from ..reports.text_of_run import text_of_run
    from ..verdicts.expect import expect_of_runs, parse

    _check(arguments)
    if arguments.expect:
        parse(arguments.expect)  # before the work begins
    folder, loaded = writable(arguments.output), open_given(arguments.scenario, arguments)
    arguments.seed = next(seed for seed in (arguments.seed, loaded.seed, 1) if seed is not None)
    path = result_path(folder, loaded.scenario, arguments.scenario)
    state = path.with_suffix(".checkpoint") if arguments.resume else None
    started = time.process_time()
    length = length_of(arguments, loaded.scenario, loaded.duration_s)
    ds, found, values = _most(loaded.scenario, length, arguments, state)
    cpu_s = (time.process_time() - started) / arguments.seeds
    ds.attrs["command"] = command_line(arguments, [arguments.scenario] if arguments.scenario else [], length.duration)
    assumed = [word for word in ("machine", "workload") if any(n.startswith(f"assumed: {word} ") for n in loaded.notes)]
    if assumed:
        ds.attrs["assumed"] = " ".join(assumed)
    write_netcdf(ds, path)
    point_to(path)
    if state is not None:
        state.unlink(missing_ok=True)
    tried = None
    if not arguments.no_fix and found.kind != "converged":
        from ..remedies.search import budget_for, search

        tried = search(ds, found=found, budget_s=arguments.fix_budget or budget_for(cpu_s))
        found = replace(found, fix=tried.fix)
    clauses = expect_of_runs(list(values.values()), arguments.expect, shown_of(values, found)) if arguments.expect else []
    if arguments.junit:
        from ..reports.junit import Case, write_junit

        cases = [Case(clause.text, clause.ok, str(clause), cpu_s) for clause in clauses]
        write_junit(arguments.junit, f"tieringmodel run {loaded.scenario.name or path.stem}", cases)
    if arguments.json:
        say(strict_json(_summary(ds, found, path, tried) | {"expect": [clause._asdict() for clause in clauses]}))
    else:
        options = {"width": width_of(), "ascii_only": ascii_only(arguments), "funnel": arguments.funnel}
        say(lines(text_of_run(ds, found, tried=str(tried or ""), **options)))
        if "every_s" in ds.attrs:
            say(Ours("\n"), f"kept one record in {ds.attrs['every_s']:g} s (--every): {ds.sizes['time']}, counts are exact")
        say(Ours("\n"), f"wrote {path}")
        for clause in clauses:
            say(mark(clause.ok), f" {clause}")
    return 0 if all(clause.ok for clause in clauses) else 1


def _check(arguments: argparse.Namespace) -> None:
    """Refuse options that do not go together before the work begins."""
    check_seeds(arguments)
    check_duration(arguments)
    check_junit(arguments)
    if arguments.resume and (is_auto(arguments) or arguments.seeds > 1):
        raise InputError("--resume", "needs one run of a known length", "give --duration, and leave --seeds out")
    if arguments.every is not None:
        parse_duration_us(arguments.every, "--every")
        if is_auto(arguments):
            raise InputError("--every", "needs a run of a known length", "give --duration")
    if arguments.fix_budget is not None and not arguments.fix_budget > 0:
        raise InputError("--fix-budget", f"{arguments.fix_budget:g} is not a positive time", "or write --no-fix")


def _most(
    scenario: Scenario, length: Length, arguments: argparse.Namespace, checkpoint: Path | None
) -> tuple[xr.Dataset, Verdict, dict[int, dict[str, Any]]]:
    """Run every seed; return the first run whose kind is that of most, its verdict, and what can be expected of each seed."""
    import json

    from ..memory.reuse import reused
    from ..simulation.simulate import simulate
    from ..verdicts.expect import everything_of
    from ..verdicts.judge import kinds_of, verdict

    kinds: dict[int, str] = {}
    values: dict[int, dict[str, Any]] = {}
    firsts: dict[str, tuple[xr.Dataset, Verdict]] = {}
    for seed in range(arguments.seed, arguments.seed + arguments.seeds):
        ds, first = length.ds, seed == arguments.seed
        if ds is None or not first:
            with reused():
                ds = simulate(scenario, duration=length.duration, seed=seed, checkpoint=checkpoint, every=arguments.every)
        found = verdict(ds)
        kinds[seed] = found.kind
        firsts.setdefault(found.kind, (ds, found))
        if arguments.expect:
            values[seed] = everything_of(ds, found)
    ds, found = firsts[kinds_of(kinds.values())]
    if length.text:
        ds.attrs["length"] = length.text
    if arguments.seeds > 1:
        ds.attrs["seeds"] = json.dumps(kinds)
    return ds, replace(found, seeds=kinds), values


def shown_of(values: dict[int, dict[str, Any]], found: Verdict) -> int:
    """Return the position of the run that is shown: the first whose kind is that of most."""
    return next(k for k, run in enumerate(values.values()) if run["kind"] == found.kind)


def _summary(ds: xr.Dataset, found: Verdict, path: Path, tried: Search | None) -> dict[str, Any]:
    """Return what ``--json`` prints but for the expectations."""
    from ..verdicts.expect import values_of

    return {
        "file": str(path),
        "migrated_pages": int(ds["migrated_pages"].sum()),
        "verdict": found.to_dict(),
        "cause": found.cause,
        "tried": tried and {"text": str(tried), "changes": [fix.to_dict() for fix in tried.tried], "untried": tried.untried},
        "measures": values_of(ds, found=found),
    }
