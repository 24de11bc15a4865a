"""A run that is looked at and gone on with: at each of its lengths it is what a run of that length would have been."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..scenario import Scenario
from .engine import Engine
from .recorder import Recorder
from .simulate import LOG_MOVES, attributes, described, scheme_actions, window_s

if TYPE_CHECKING:
    import xarray as xr


class _Lengths(Recorder):
    """A recorder that keeps the region snapshots of runs of several lengths, which differ in how far these are apart."""

    def __init__(self, snapshots: int, expected_aggregations: Sequence[int], window_s: float) -> None:
        super().__init__(snapshots, expected_aggregations[0], window_s)
        self.every_of = [Recorder(snapshots, n).every for n in expected_aggregations]
        self.every = math.gcd(*self.every_of)  # it is asked at each of these

    def keeps(self, aggregation: int) -> bool:
        """Whether any of the lengths keeps a context's regions at an aggregation."""
        return any(every and aggregation % every == 0 for every in self.every_of)


class Running:
    """A run with contexts that goes on from where it was.

    Parameters
    ----------
    scenario : Scenario
        What to run; it has contexts.
    lengths_us : sequence of int
        The lengths at which it may be looked at, microseconds, in order.
    seed, snapshots, log_moves
        As for `tieringmodel.simulate`.
    """

    def __init__(
        self, scenario: Scenario, *, lengths_us: Sequence[int], seed: int = 0, snapshots: int = 200, log_moves: bool = True
    ) -> None:
        self.scenario, self.seed, self.lengths_us = scenario, seed, list(lengths_us)
        self.others = {"snapshots": snapshots, "log_moves": log_moves, "oracle": None}
        shortest = max(min(c.attrs.aggr_us for c in scenario.contexts), 1)
        self.recorder = _Lengths(snapshots, [us // shortest for us in self.lengths_us], window_s(scenario))
        self.engine = self.recorder.engine = Engine(
            scenario, seed, observer=self.recorder, actions=scheme_actions, log_moves=LOG_MOVES if log_moves else 0
        )
        self.recorder.record()

    def to(self, length_us: int, update: Callable[[float], None] | None = None) -> xr.Dataset:
        """Go on up to one of the lengths; return what `tieringmodel.simulate` would have returned for it.

        Parameters
        ----------
        length_us : int
            One of the lengths, not before the last one.
        update : callable, optional
            Called with the simulated seconds that have passed; what it raises ends the run.
        """
        recorder, kept = self.recorder, self.recorder.snapshots
        self.engine.run_to(length_us * 1000, update)
        every, n, last = (
            recorder.every_of[self.lengths_us.index(length_us)],
            recorder.dropped + len(recorder.records),
            recorder.records.table[-1].copy(),
        )
        recorder.snapshots = [s for s in kept if every and s[2] % every == 0]
        about = attributes(self.scenario, length_us, self.seed, **self.others)
        try:
            return described(self.engine, recorder, about)
        finally:
            recorder.snapshots = kept
            if (
                recorder.dropped + len(recorder.records) > n
            ):  # a record of those who slept to this end, which a longer run does not have
                recorder.drop_last()
            recorder.records.table[-1] = last

    def close(self) -> None:
        """Let go of the memory: engine and recorder know each other."""
        self.recorder.engine = None
