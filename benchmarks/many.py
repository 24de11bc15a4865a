"""What many short runs cost: the seeds behind a recording's bands, and a sweep of page-level runs."""

from __future__ import annotations

from functools import partial
from typing import Any

import tieringmodel as tm
from tieringmodel.datafiles import data_path
from tieringmodel.validate.recorded.recordings import RunPairs, compare_runs

from .measure import Spread, Table, Work, gate, interleaved

RECORDING = "C3_pullpush_temporal"
QUOTAS = ("1 MiB", "4 MiB", "16 MiB", "64 MiB", "256 MiB")
MOST_S = 10.0


class Many:
    """Both, in this process."""

    def __init__(self, seeds: int, sweep_seeds: int, seconds: int) -> None:
        self.seeds, self.sweep_seeds, self.seconds = seeds, sweep_seeds, seconds
        self.pairs: list[RunPairs] = []
        self.swept: Any = None

    def recording(self, seed: int) -> Work:
        """Prepare what ``tieringmodel validate --recordings`` does with one recording, whose seeds are always the same."""

        def run() -> None:
            self.pairs = list(compare_runs(data_path("recordings", RECORDING), seeds=self.seeds, workers=1))

        return run

    def sweep(self, seed: int) -> Work:
        """Prepare the sweep."""
        seeds = range(self.sweep_seeds * seed, self.sweep_seeds * (seed + 1))
        design = {"contexts.0.schemes.0.quota.sz_bytes": QUOTAS, "seed": seeds}
        work = partial(tm.sweep, tm.load("rfc-40-60"), design, duration=self.seconds, progress=False, on_error="raise")

        def run() -> None:
            self.swept = work()

        return run


def table(seeds: int, sweep_seeds: int, seconds: int, rounds: int) -> Table:
    """Answer what they cost."""
    t = Table(
        "Many runs, one after the other in one process",
        ("what", "runs", "s", f"gate <= {MOST_S:g} s", "ms/run"),
        "The recording also takes a quarter of its seeds with nominal intervals, and as many for each cause that it tries.",
    )
    many = Many(seeds, sweep_seeds, seconds)
    took = interleaved({"recording": many.recording, "sweep": many.sweep}, rounds)
    points = len(QUOTAS) * sweep_seeds
    for name, what, runs, full in (
        ("recording", f"{RECORDING}, {seeds} seeds", seeds, seeds == 64),
        ("sweep", f"sweep of rfc-40-60, {seconds} s, {len(QUOTAS)} quotas x {sweep_seeds} seeds", points, points == 200),
    ):
        spent = Spread.of(took[name])
        held = gate(spent.median <= MOST_S) if full else ""
        t.add(what, runs, spent, held, Spread.of([1e3 * s / runs for s in took[name]]))
    return t
