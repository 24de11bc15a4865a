"""The event loop: memory, workload and kdamonds put together from a scenario, and time moved on."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..damon.kdamond import Action, Kdamond, Observer, SplitState, check_ranges
from ..damon.rng import Rng, counter_rng
from ..kernels.layout import Space
from ..memory.physical import PhysicalMemory
from ..scenario import Context, Scenario
from ..units import PAGE_SZ
from ..workload.access import AccessTable

MAX_BATCH = 4096


class Silent:
    """An observer that ignores everything."""

    def aggregated(self, kdamond: Kdamond) -> None:
        """Ignore."""

    def applied(self, kdamond: Kdamond, events: npt.NDArray[Any]) -> None:
        """Ignore."""

    def finished(self, kdamond: Kdamond, aggregation: bool) -> None:
        """Ignore."""


def needs_young(scenario: Scenario) -> bool:
    """Whether accessed state must be kept per page: several contexts clear each other's bits, young filters read them."""
    return len(scenario.contexts) > 1 or any(
        f.type == "young" for c in scenario.contexts for s in c.schemes for f in s.filters
    )


class Engine:
    """A scenario that runs.

    Parameters
    ----------
    scenario : Scenario
        What to run.
    seed : int
        Everything random follows from it.
    rngs : sequence of Rng, optional
        DAMON's draws per context, in place of those made from the seed.
    observer : Observer, optional
        Told what happens.
    actions : callable, optional
        ``actions(engine, context_index)`` returns the actions, by scheme, that are not built in.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int = 0,
        rngs: Sequence[Rng] | None = None,
        observer: Observer | None = None,
        actions: Callable[[Engine, int], dict[int, Action]] | None = None,
    ) -> None:
        self.scenario, self.seed = scenario, seed
        self.tick_us = scenario.workload.tick_us or min((_base_us(c) for c in scenario.contexts), default=5_000)
        self.access = AccessTable(scenario.workload, self.tick_us, seed)
        self.tracked = needs_young(scenario)
        self.memory = PhysicalMemory(
            scenario.machine, scenario.workload, self.access.page_class, seed, track_young=self.tracked
        )
        self.observer = observer or Silent()
        shared = SplitState()
        self.kdamonds: list[Kdamond] = []
        for i, context in enumerate(scenario.contexts):
            space, ranges = self._space(context, f"contexts[{i}].targets")
            self.kdamonds.append(
                Kdamond(
                    context, i, self.memory, self.access, space, ranges,
                    rngs[i] if rngs else counter_rng(context.rng_seed if context.rng_seed is not None else seed, i),
                    shared if scenario.machine.shared_split_state else SplitState(),
                    actions(self, i) if actions else {},
                    self.observer,
                )
            )  # fmt: skip
        self.now_us = 0

    def _space(self, context: Context, where: str) -> tuple[Space, list[list[tuple[int, int]]]]:
        if context.ops == "paddr":
            space = self.memory.space_for(context.addr_unit)
            first, last = self.scenario.machine.nodes[0], self.scenario.machine.nodes[-1]
            whole = [(first.start_bytes // context.addr_unit, (last.start_bytes + last.sz_bytes) // context.addr_unit)]
        else:
            vmas = sorted(self.scenario.workload.vmas, key=lambda v: v.start_bytes)
            start = np.array([v.start_bytes // PAGE_SZ for v in vmas], np.int64)
            pages = np.array([v.hi - v.lo for v in vmas], np.int64)
            lo = np.array([v.lo for v in vmas], np.int64)
            space = Space(start, start + pages, lo, True, np.uint64(1))
            whole = [(v.start_bytes, v.start_bytes + (v.hi - v.lo) * PAGE_SZ) for v in vmas]
        ranges = [list(t.regions) or whole for t in context.targets]
        for k, target in enumerate(ranges):
            check_ranges(target, f"{where}[{k}]")
        return space, ranges

    # ---- time -----------------------------------------------------------------------------------------------------

    def run_lockstep(self, ticks: int, begin: Callable[[int], None] | None = None) -> None:
        """Run `ticks` sampling ticks of all contexts in turn; workload tick t is sampling tick t.

        The clock advances by the last context's sampling interval per tick, and by what migration costs. Each context's
        accessed-state clearing is seen by the next one, as in the golden runs.
        """
        clock = self.memory.arrays.clock
        change = 0
        for tick in range(1, ticks + 1):
            if tick == 1:
                for k in self.kdamonds:
                    self._prepare(k)
            if begin:
                begin(tick)
            if tick >= change:
                change = self.access.enter(tick)
            clock[0] += self.kdamonds[-1].attrs.sample_us * 1000
            for k in self.kdamonds:
                self._check(k, tick)
                k.body()
                if tick < ticks:
                    self._prepare(k)

    def _prepare(self, k: Kdamond) -> None:
        if self.tracked:
            k.prepare()

    def _check(self, k: Kdamond, tick: int) -> None:
        if self.tracked:
            k.check(tick)
        else:
            k.sample(np.array([tick - 1]), np.array([tick]))


def _base_us(context: Context) -> int:
    goal = context.attrs.intervals_goal
    return goal.min_sample_us if goal.aggrs else context.attrs.sample_us
