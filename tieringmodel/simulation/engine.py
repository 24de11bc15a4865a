"""The event loop: memory, workload and kdamonds put together from a scenario, and time moved on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..damon.commit import commit
from ..damon.kdamond import Action, Kdamond, Observer, check_ranges
from ..damon.regions import SplitState
from ..damon.rng import Rng, counter_rng
from ..damon.vaddr import three_regions
from ..errors import InputError
from ..kernels import sampling
from ..kernels._bundle import addresses
from ..kernels.layout import Space
from ..memory import reuse
from ..memory.need import check_memory, copy_fits
from ..memory.physical import PhysicalMemory
from ..scenario import Context, Scenario
from ..units import LONG_MAX
from ..workload.access import AccessTable

MAX_BATCH = 4096
MAX_TRACKED_TICK = 2**31 - 3
_COUNT = np.arange(MAX_BATCH + 1)


class Silent:
    """An observer that ignores everything."""

    def aggregated(self, kdamond: Kdamond) -> None:
        """Ignore."""

    def applied(self, kdamond: Kdamond, events: npt.NDArray[Any]) -> None:
        """Ignore."""

    def finished(self, kdamond: Kdamond, aggregation: bool) -> None:
        """Ignore."""


def contexts_of(scenario: Scenario) -> list[Context]:
    """Return the contexts as they are at the start and as events make them."""
    later = (changed for _, changed in scenario.stages())
    return [c for each in (scenario, *later) for c in each.contexts]


def needs_reclaim(scenario: Scenario) -> bool:
    """Whether pages can be taken out of memory: the action ``pageout`` of paddr contexts."""
    return any(c.ops == "paddr" and s.action == "pageout" for c in contexts_of(scenario) for s in c.schemes)


def needs_young(scenario: Scenario) -> bool:
    """Whether accessed state must be kept per page: several contexts clear each other's bits, filters and reclaim read them."""
    asked = any(f.type == "young" for c in contexts_of(scenario) for s in c.schemes for f in s.filters)
    return asked or len(scenario.contexts) > 1 or needs_reclaim(scenario)


def needs_frame_of(scenario: Scenario) -> bool:
    """Whether pages are looked up by identity while a run lasts: in virtual address spaces, and by weighted destinations."""
    return any(c.ops != "paddr" or any(s.dests for s in c.schemes) for c in contexts_of(scenario))


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
    log_moves : int
        Room for moves in the memory's log; 0 keeps none.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int = 0,
        rngs: Sequence[Rng] | None = None,
        observer: Observer | None = None,
        actions: Callable[[Engine, int], dict[int, Action]] | None = None,
        log_moves: int = 0,
    ) -> None:
        self.scenario = self.given = scenario
        self.seed = seed
        self.tick_us = scenario.tick_us
        self.tracked = needs_young(scenario)
        asked = scenario.workload, self.tick_us, not self.tracked
        self.access = reuse.shared(asked, lambda: AccessTable(asked[0], asked[1], 0, asked[2])).with_seed(seed)
        self.memory = self._memory(log_moves)
        self.observer = observer or Silent()
        shared = SplitState()
        self.kdamonds: list[Kdamond] = []
        for i, context in enumerate(scenario.contexts):
            space, ranges = self.space(context, f"contexts[{i}].targets")
            kind: Callable[..., Kdamond] = Kdamond
            if context.sources:
                from .report_driven import ReportedKdamond

                kind = partial(ReportedKdamond, seed=seed, tick_us=self.tick_us)
            self.kdamonds.append(
                kind(
                    context,
                    i,
                    self.memory,
                    self.access,
                    space,
                    ranges,
                    rngs[i] if rngs else counter_rng(context.rng_seed if context.rng_seed is not None else seed, i),
                    shared if scenario.machine.shared_split_state else SplitState(),
                    actions(self, i) if actions else {},
                    self.observer,
                )
            )
        self.clocks = [ContextClock(k, self.tick_us * 1000) for k in self.kdamonds]
        self.started = False
        self.make_actions = actions
        self.stages = list(scenario.stages())

    def _memory(self, log_moves: int) -> PhysicalMemory:
        """Return the machine's memory as the run finds it; a sweep's runs take over what the last one left, if it fits."""
        machine, workload, access, young = self.scenario.machine, self.scenario.workload, self.access, self.tracked
        by_identity, n_classes = needs_frame_of(self.scenario), len(access.groups_of_class)
        reclaims = needs_reclaim(self.scenario)
        layout = (
            machine.nodes,
            machine.allocator,
            machine.folio_bytes,
            workload.n_pages,
            workload.placement,
            access.runs,
            n_classes,
            young,
            by_identity,
            reclaims,
        )
        kept = reuse.take(layout)
        copied = False
        if kept is None:
            size = machine, workload.n_pages, by_identity, young, reclaims
            check_memory(*size)
            copied = reuse.wanted(layout) and copy_fits(*size)
        memory = PhysicalMemory(
            machine,
            workload,
            None if kept else access.page_class,
            self.seed,
            young,
            n_classes,
            log_moves,
            by_identity,
            kept,
            reclaims,
        )
        if copied:
            reuse.keep(layout, memory)
        return memory

    def space(self, context: Context, where: str) -> tuple[Space, list[list[tuple[int, int]]]]:
        """Return where a context's core addresses lead, and what it monitors by target."""
        if context.ops == "paddr":
            space = self.memory.space_for(context.addr_unit)
            first, last = self.scenario.machine.nodes[0], self.scenario.machine.nodes[-1]
            monitored = [(first.start_bytes // context.addr_unit, (last.start_bytes + last.sz_bytes) // context.addr_unit)]
        else:
            vmas = sorted(self.scenario.workload.vmas, key=lambda v: v.start_bytes)
            size = self.memory.page_bytes
            start = np.array([v.start_bytes // size for v in vmas], np.int64)
            pages = np.array([v.hi - v.lo for v in vmas], np.int64)
            lo = np.array([v.lo for v in vmas], np.int64)
            space = Space(start, start + pages, lo, True, np.uint64(1), self.memory.shift)
            monitored = [(v.start_bytes, v.start_bytes + (v.hi - v.lo) * size) for v in vmas]
            if sum(b[0] > a[1] for a, b in pairwise(monitored)) >= 2:
                monitored = list(three_regions(monitored))  # fewer gaps and Linux monitors nothing; here, every mapping
        ranges = [list(t.regions) or monitored for t in context.targets]
        for k, target in enumerate(ranges):
            check_ranges(target, f"{where}[{k}]")
        return space, ranges

    # ---- time -----------------------------------------------------------------------------------------------------

    def run_lockstep(self, ticks: int, begin: Callable[[int], None] | None = None) -> None:
        """Run `ticks` sampling ticks of all contexts in turn; workload tick t is sampling tick t.

        The clock advances by the last context's sampling interval per tick, and by what migration costs. Each context's
        accessed-state clearing is seen by the next one, as in the golden runs. Watermarks are not looked at.
        """
        clock = self.memory.arrays.clock
        change = 0
        for tick in range(1, ticks + 1 if self.kdamonds else 1):
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
                if self.memory.reclaims:
                    self._fault_in(k, tick)
                k.body()
                if tick < ticks:
                    self._prepare(k)

    def run(
        self,
        duration_us: int,
        progress: Callable[[float], None] | None = None,
        *,
        every_us: int = 1_000_000,
        sampled: Callable[[], None] | None = None,
        phase: Callable[[], None] | None = None,
    ) -> None:
        """Run for a simulated time, each context on its own clock; a further call goes on where this one ends.

        Parameters
        ----------
        duration_us : int
            Simulated microseconds from now.
        progress : callable, optional
            Called with the simulated seconds that have passed.
        every_us, sampled : int, callable, optional
            Without contexts nothing happens by itself: `sampled` is called every `every_us`.
        phase : callable, optional
            Without contexts: called at the start and whenever access rules change.
        """
        if not self.kdamonds:
            self._idle(duration_us, every_us, sampled, phase)
            return
        self.run_to(self.memory.now_ns + duration_us * 1000, progress)

    def run_to(self, end_ns: int, progress: Callable[[float], None] | None = None) -> None:
        """Run contexts up to a simulated time in ns; in how many calls makes no difference."""
        if self.tracked and end_ns // 1000 // self.tick_us > MAX_TRACKED_TICK:
            text = f"ends after workload tick {MAX_TRACKED_TICK}, more than a page's accessed state can remember"
            raise InputError("duration", text, "run for a shorter time, or with a longer workload.tick_us")
        if not self.started:
            self.started = True
            for c in self.clocks:
                self._begin(c)
        while True:
            wake_ns, i = min((c.next_wake(), i) for i, c in enumerate(self.clocks))
            if wake_ns > end_ns:
                break
            c, ended = self.clocks[i], True
            if self.tracked and c.quiet() and self._take_turns(end_ns):
                continue
            if c.wait_ns:  # while asleep a kdamond still takes requests
                self.memory.arrays.clock[0] = now_ns = c.wake()
                if self.memory.reclaims:
                    self._fault_in(None, now_ns // c.tick_ns)
                self._fire(now_ns)
                c.kdamond.take_request()
            elif self.tracked:
                self._one_tick(c)
            else:
                ended = self._batch(c, end_ns)
            if ended:
                self._begin(c)
            if progress:
                progress(self.memory.now_ns * 1e-9)
        self.memory.arrays.clock[0] = max(end_ns, self.memory.now_ns)

    def _fault_in(self, k: Kdamond | None, tick: int) -> None:
        """Bring touched pages that are out back where more follows than a look: an event of kdamond k, or of a sleeping one."""
        if k is None or k.at_event():
            self.memory.fault_in(self.access.arrays, tick)

    def _begin(self, c: ContextClock) -> None:
        """Begin a round of a context's loop: sleep while every scheme is inactive, else prepare the access check."""
        c.wait_ns = c.kdamond.watermark_wait_us() * 1000
        if self.tracked and not c.wait_ns:
            c.kdamond.tick = c.last_ns // c.tick_ns
            c.kdamond.prepare()

    def _idle(
        self, duration_us: int, every_us: int, sampled: Callable[[], None] | None, phase: Callable[[], None] | None
    ) -> None:
        clock, tick_us, change = self.memory.arrays.clock, self.tick_us, 0
        start = int(clock[0]) // 1000
        stops = {*range(every_us, duration_us + 1, every_us), duration_us}
        stops |= {t * tick_us - start for t in self.access.changes if 0 < t * tick_us - start <= duration_us}
        for at in sorted({0, *stops}):
            clock[0] = (start + at) * 1000
            if clock[0] // 1000 // tick_us >= change:
                change = self.access.enter(int(clock[0]) // 1000 // tick_us)
                if phase:
                    phase()
            if at and sampled:
                sampled()

    def _fire(self, now_ns: int) -> None:
        """Carry out what was scheduled up to now: the machine changes at once, contexts commit in their next loop body."""
        while self.stages and self.stages[0][0] * 1000 <= now_ns:
            _, scenario = self.stages.pop(0)
            self.scenario = scenario
            for i, node in enumerate(scenario.machine.nodes):
                self.memory.arrays.node["reserve"][i] = node.reserve_pages
                self.memory.set_offline(i, node.offline_bytes // self.memory.page_bytes)
            for i, k in enumerate(self.kdamonds):
                context = scenario.contexts[i]
                if context == k.context and not k.pending:
                    continue
                k.pending = self.commit_later(i)

    def commit_later(self, i: int) -> Callable[[Kdamond], None]:
        """Return a request to commit context i as the scenario now has it."""
        context = self.scenario.contexts[i]
        _, ranges = self.space(context, f"contexts[{i}].targets")
        made = self.make_actions(self, i) if self.make_actions else {}
        return partial(commit, context=context, actions=made, ranges=ranges)

    def _body(self, c: ContextClock) -> None:
        c.kdamond.body()
        c.finished(self.memory.now_ns)

    def _take_turns(self, end_ns: int) -> bool:
        """All contexts' sampling ticks, in order of time, up to the first at which more is to be done than to look.

        That is an event of a context, a change of the machine, or the end. At equal times the first context comes first.
        Changes of access rules are no reason to stop: where accessed states are kept, every rule knows its own times.
        Returns whether there were any.
        """
        nobody = -1  # no context takes its turn at that very time
        stop = end_ns + 1, nobody
        if self.stages:
            stop = min(stop, (self.stages[0][0] * 1000, nobody))
        ahead: list[npt.NDArray[np.int64]] = []
        for i, c in enumerate(self.clocks):
            if not c.quiet():
                ahead.append(np.zeros(0, np.int64))
                stop = min(stop, (c.next_wake(), i))
            else:
                ahead.append(c.ahead(min(c.kdamond.ticks_to_event(), MAX_BATCH))[0])
                stop = min(stop, (int(ahead[-1][-1]), i))
        tick_ns = self.tick_us * 1000
        done = [int(np.searchsorted(times, stop[0], side="right" if i < stop[1] else "left")) for i, times in enumerate(ahead)]
        if not any(done):
            return False
        times = np.concatenate([at[:n] for at, n in zip(ahead, done, strict=True)])
        order = np.argsort(times, kind="stable")
        turns = [k.begin_turns() for k in self.kdamonds]
        regions = [k.regions.n if n else 0 for k, n in zip(self.kdamonds, done, strict=True)]
        sampling.check_in_turn(
            addresses(turns),
            np.array(regions),
            np.array([k.tick for k in self.kdamonds]),
            np.repeat(np.arange(len(done)), done)[order],
            times[order] // tick_ns,
            self.memory.arrays,
            self.access.arrays,
        )
        self.memory.arrays.clock[0] = times[order[-1]]
        for c, at, n in zip(self.clocks, ahead, done, strict=True):
            if n:
                c.advance(at[:n])
                c.kdamond.end_turns(n, c.last_ns // tick_ns)
        return True

    def _one_tick(self, c: ContextClock) -> None:
        """One sampling tick of one of several contexts that share the pages' accessed state."""
        k = c.kdamond
        times, _, until = c.ahead(1)
        self.memory.arrays.clock[0] = times[0]
        self.access.enter(int(until[0]))
        k.check(int(until[0]))
        if self.memory.reclaims:
            self._fault_in(k, int(until[0]))
        c.advance(times)
        self._fire(int(times[0]))
        self._body(c)

    def _batch(self, c: ContextClock, end_ns: int) -> bool:
        """All sampling ticks of the only context up to its next event, a change of access rules, or the end.

        Returns whether the loop body had anything to do: where a batch is cut otherwise leaves no trace.
        """
        k = c.kdamond
        to_event, stages = k.ticks_to_event(), len(self.stages)
        times, after, until = c.ahead(min(to_event, MAX_BATCH))
        n = times.size if times[-1] <= end_ns else max(int(np.searchsorted(times, end_ns, side="right")), 1)
        change = self.access.enter(int(after[0]) + 1)
        if until[-1] >= change:
            n = min(n, max(int(np.searchsorted(until, change - 1, side="right")), 1))
        if self.stages:
            n = min(n, int(np.searchsorted(times, self.stages[0][0] * 1000, side="left")) + 1)
        if until[0] >= change:
            self.access.general()
        self.memory.arrays.clock[0] = times[n - 1]
        k.sample(after[:n], until[:n])
        c.advance(times[:n])
        self._fire(int(times[n - 1]))
        if n < to_event and len(self.stages) == stages:
            return False
        self._body(c)
        return True

    def _prepare(self, k: Kdamond) -> None:
        if self.tracked:
            k.prepare()

    def _check(self, k: Kdamond, tick: int) -> None:
        if self.tracked:
            k.check(tick)
        else:
            k.sample(np.array([tick - 1]), np.array([tick]))


class ContextClock:
    """When a context's sampling ticks happen: nominal intervals, or recorded ends of aggregations.

    With ``aggr_times_us`` the ticks of aggregation j are evenly spaced between the recorded ends of j - 1 and j; beyond
    the recording its intervals repeat. While ``wait_ns`` is not 0 the context sleeps, because all its schemes are
    inactive; recorded times are shifted by that.
    """

    def __init__(self, kdamond: Kdamond, tick_ns: int) -> None:
        self.kdamond, self.tick_ns = kdamond, tick_ns
        self.last_ns = self.start_ns = self.wait_ns = 0
        recorded = kdamond.context.aggr_times_us
        self.ends = np.array((0, *recorded), np.int64) * 1000 if recorded else None

    def _edges(self, n: int) -> npt.NDArray[np.int64]:
        """Return the time that the next tick looks back to, and those of the next n ticks (ns)."""
        k = self.kdamond
        if self.ends is None:
            return self.last_ns + k.attrs.sample_us * 1000 * _COUNT[: n + 1]
        per, laps = k.attrs.aggr_us // k.attrs.sample_us, self.ends.size - 1
        aggregation, step = np.divmod(np.arange(k.passed, k.passed + n), per)
        lap, j = np.divmod(aggregation, laps)
        left, right = self.ends[j], self.ends[j + 1]
        quotient, rest = np.divmod(right - left, per)  # parts of (right - left) * (step + 1) // per that cannot overflow
        times = self.start_ns + lap * self.ends[-1] + left + quotient * (step + 1) + rest * (step + 1) // per
        return np.concatenate(([self.last_ns], times))

    def next_wake(self) -> int:
        """Return the time of the next sampling tick, or of the end of a sleep, in ns."""
        if self.wait_ns:
            return self.last_ns + self.wait_ns
        return self.last_ns + self.kdamond.attrs.sample_us * 1000 if self.ends is None else int(self._edges(1)[1])

    def quiet(self) -> bool:
        """Whether the next sampling tick does nothing but look, so that kernels can carry it out."""
        return not self.wait_ns and self.kdamond.in_turn() and self.kdamond.ticks_to_event() > 1

    def wake(self) -> int:
        """End a sleep; return the time in ns."""
        self.kdamond.asleep_ns += self.wait_ns
        self.last_ns += self.wait_ns
        self.start_ns += self.wait_ns
        return self.last_ns

    def asleep_ns(self, now_ns: int) -> int:
        """Return how long the context has slept up to now."""
        return self.kdamond.asleep_ns + (min(max(now_ns - self.last_ns, 0), self.wait_ns) if self.wait_ns else 0)

    def ahead(self, n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the next n tick times (ns) and the workload ticks (after, until] that each looks back on."""
        edges = self._edges(max(min(n, (LONG_MAX - self.last_ns) // (self.kdamond.attrs.sample_us * 1000)), 1))
        ticks = edges // self.tick_ns
        return edges[1:], ticks[:-1], ticks[1:]

    def advance(self, times: npt.NDArray[np.int64]) -> None:
        """Note that these ticks are done."""
        self.last_ns = int(times[-1])

    def finished(self, now_ns: int) -> None:
        """Note when the loop body ended; the next sleep starts there."""
        self.last_ns = max(self.last_ns, now_ns)
