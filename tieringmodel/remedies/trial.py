"""Runs within a budget of CPU time: each is as long as it takes to judge it, and is given up when the budget is spent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import InputError
from ..kernels._jit import working_cpu_s
from ..memory import reuse
from ..scenario import Scenario
from ..simulation.running import Running
from ..verdicts.judge import verdict
from ..verdicts.record import Verdict

if TYPE_CHECKING:
    import xarray as xr


class Spent(Exception):
    """The budget is spent, or would be by a run that has not begun."""


class Budget:
    """CPU seconds of this process, those of compiling apart, and what a simulated second has cost so far.

    Parameters
    ----------
    cpu_s : float
        How many there are.
    """

    def __init__(self, cpu_s: float) -> None:
        if isinstance(cpu_s, bool) or not isinstance(cpu_s, (int, float)) or not cpu_s >= 0:
            raise InputError("budget_s", f"{cpu_s!r} is not a time", "give CPU seconds, e.g. 60")
        self.cpu_s, self.start = float(cpu_s), working_cpu_s()
        self.simulated_s = self.used_s = 0.0

    @property
    def left_s(self) -> float:
        """CPU seconds that are left."""
        return self.cpu_s - (working_cpu_s() - self.start)

    def need(self, simulated_s: float) -> None:
        """Raise `Spent` if a run of that length is not expected to end within the budget."""
        expected_s = simulated_s * self.used_s / self.simulated_s if self.simulated_s else 0.0
        if self.left_s <= expected_s:
            raise Spent

    @contextmanager
    def measured(self, simulated_s: float) -> Iterator[None]:
        """Note what a run inside costs."""
        before = working_cpu_s()
        yield
        self.used_s += working_cpu_s() - before
        self.simulated_s += simulated_s

    def watch(self, update: Callable[[float], None]) -> Callable[[float], None]:
        """Return a run's progress callback that ends the run once the budget is spent."""

        def watched(simulated_s: float) -> None:
            if self.left_s <= 0:
                raise Spent
            update(simulated_s)

        return watched


class Trial:
    """One scenario's run, first as long as the run that is to be helped, then longer.

    Parameters
    ----------
    scenario : Scenario
        What to run.
    lengths_us : list of int
        How long.
    budget : Budget
        What it may cost.
    seed : int
        As in the run that is to be helped.
    log_moves : bool
        As there.
    update : callable
        Called with the simulated seconds that have passed.
    """

    def __init__(
        self,
        scenario: Scenario,
        lengths_us: list[int],
        budget: Budget,
        *,
        seed: int,
        log_moves: bool = True,
        update: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.budget, self.lengths_us, self.update = budget, lengths_us, update
        budget.need(lengths_us[0] * 1e-6)
        self.running = Running(scenario, seed=seed, lengths_us=lengths_us, snapshots=0, log_moves=log_moves)
        self.at_us = 0

    def to(self, length_us: int) -> tuple[xr.Dataset, Verdict]:
        """Go on to one of the lengths; return what was run and the verdict on it.

        Raises
        ------
        Spent
            If the budget does not last.
        """
        simulated_s = (length_us - self.at_us) * 1e-6
        self.budget.need(simulated_s)
        with self.budget.measured(simulated_s):
            ds = self.running.to(length_us, self.budget.watch(self.update))
            found = verdict(ds)
        self.at_us = length_us
        return ds, found


@contextmanager
def trial(scenario: Scenario, lengths_us: list[int], budget: Budget, **options: object) -> Iterator[Trial]:
    """Open a `Trial` whose memory is left to the next one of the same machine and workload."""
    with reuse.reused():
        one = Trial(scenario, lengths_us, budget, **options)  # type: ignore[arg-type]
        try:
            yield one
        finally:
            one.running.close()
