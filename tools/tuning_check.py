"""Tune the cases that `tune` is held to, and hold each answer to seeds that the search has not seen.

    python tools/tuning_check.py [CASE…] [--runs N] [--workers N] [--json FILE]

One line a case: whether the end is met by the given configuration and by the tuned one with 16 further seeds, means of the
measures, CPU minutes of the tuning. Exit status 1 if an answer misses its end with one of these seeds, or there is none.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from tieringmodel.interop.load import open_scenario
from tieringmodel.scenario import Scenario
from tieringmodel.simulation.simulate import simulate
from tieringmodel.tuning.end import End
from tieringmodel.tuning.measured import Measured
from tieringmodel.tuning.tune import RUNS, tune

FIELD = Path(__file__).parents[1] / "data" / "field"
END = "residual_mib_s < 0.5, abs_error_bp < 300"
CASES: dict[str, tuple[str, float | None, str]] = {
    "rfc-40-60": ("rfc-40-60", 120.0, END),
    "C3": ("C3_pullpush_temporal", None, END),
    "C10": ("C10_tier_consist_farstart", None, END),
    "E3": ("E3_pullpush_temporal_defaults", None, END),
    "03": (str(FIELD / "03-tier-script-300ms" / "scenario.toml"), 120.0, END),
    "10": (str(FIELD / "10-howto-120s" / "scenario.toml"), 120.0, END),
    "16": (str(FIELD / "16-four-cgroup-goals" / "scenario.toml"), 300.0, ""),
}
"""Name: scenario, duration (None: that of the recording), end (empty: a tenth of the given rest, no more error)."""
SEEDS = range(1001, 1017)
NAMES = "residual_mib_s", "abs_error_bp"


def cpu_s() -> float:
    """Return the CPU time of this process and of those that it waited for."""
    return time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def runs(scenario: Scenario, given: Scenario, duration_s: float, seeds: Any) -> list[dict[str, Any]]:
    """Return what a configuration comes to with some seeds, against the given goals."""
    return [Measured(given)(simulate(scenario, duration=duration_s, seed=seed, snapshots=0, progress=False)) for seed in seeds]


def mean(found: list[dict[str, Any]], name: str) -> float:
    """Return the mean of a measure."""
    return sum(float(one[name]) for one in found) / len(found)


def check(name: str, workers: int, n_runs: int) -> dict[str, Any]:
    """Tune a case and verify the answer."""
    source, duration_s, text = CASES[name]
    loaded = open_scenario(source)
    given, duration_s = loaded.scenario, duration_s or float(loaded.duration_s or 0)
    if not text:
        before = runs(given, given, duration_s, (1, 2, 3))
        text = ", ".join(f"{n} < {part * mean(before, n):.4g}" for n, part in zip(NAMES, (0.1, 1.0), strict=True))
    start = cpu_s()
    tuned = tune(
        given,
        text,
        duration=duration_s,
        executor="serial" if workers == 1 else "processes",
        workers=None if workers == 1 else workers,
        budget=n_runs * duration_s,
        progress=False,
    )
    spent = cpu_s() - start
    end, out = End(text), {"case": name, "end": text, "met": tuned.met, "cpu_min": spent / 60, "runs": tuned.about["runs"]}
    for who, scenario in (("given", given), ("tuned", tuned.scenario)):
        found = runs(scenario, given, duration_s, SEEDS)
        out[who] = {"held": sum(map(end.met, found))} | {n: [mean(found, n), max(float(f[n]) for f in found)] for n in NAMES}
    changes = [f"{c['path']} = {c['new']}" for c in (tuned.changes or (tuned.nearest_miss or {}).get("changes", ()))]
    return out | {"changes": changes, "origin": tuned.tried[tuned.about["chosen"]]["origin"], "robust": tuned.robust,
                  "miss": tuned.nearest_miss}  # fmt: skip


def line(one: dict[str, Any]) -> str:
    """Return a case as a line."""
    parts = [f"{one['case']}: {'met' if one['met'] else 'not met'}"]
    for who in ("given", "tuned"):
        values = " ".join(f"{name} {one[who][name][0]:.4g} (most {one[who][name][1]:.4g})" for name in NAMES)
        parts.append(f"{who}: {one[who]['held']}/{len(SEEDS)} {values}")
    return "; ".join([*parts, f"{one['cpu_min']:.2f} CPU minutes, {one['runs']} runs"])


def main() -> int:
    """Check the cases that are named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("case", nargs="*", default=[])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--runs", type=int, default=RUNS, help="budget, in runs")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = []
    for name in arguments.case or CASES:
        one = check(name, arguments.workers, arguments.runs)
        found.append(one)
        print(line(one), flush=True)
        print("   ", one["origin"], "|", "; ".join(one["changes"]), "|", one["miss"] or "", flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(found, indent=1, default=str) + os.linesep, encoding="utf-8")
    return 0 if all(one["met"] and one["tuned"]["held"] == len(SEEDS) for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
