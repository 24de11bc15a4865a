"""The event loop: memory, workload and kdamonds put together from a scenario, and time moved on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..damon.commit import Request
from ..damon.goals import check_metrics
from ..damon.kdamond import Kdamond
from ..damon.monitor import first_glance
from ..damon.observers import Action, Observer
from ..damon.regions import SplitState
from ..damon.rng import Rng, counter_rng
from ..errors import InputError
from ..kernels import ticks, turn
from ..kernels.layout import Space
from ..memory import reuse, swap
from ..memory.consistency import MAX_TRACKED_TICK
from ..memory.need import check_memory, copy_fits
from ..memory.physical import PhysicalMemory
from ..scenario import Context, Scenario
from ..stored import like
from ..workload.access import AccessTable
from .balancing import NumaBalancer
from .clock import MAX_BATCH, ContextClock
from .idle import idle
from .needs import Needs, Stage, maps_change, needs
from .records import NoRecords, Records
from .silent import Silent
from .spaces import Processes, ranges_of, space_of

if TYPE_CHECKING:
    from .coupling import Coupling

PIECES = 50
"""In how many pieces kernels run where somebody wants to see the progress."""


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
        self.rules = scenario.kernel.rules
        self.seed = seed
        self.tick_us = scenario.tick_us
        self.all_stages: list[Stage] = list(scenario.steps())
        self.done = 0
        for one in (scenario, *(stage[1] for stage in self.all_stages)):
            check_metrics(one)
        self.needed = needed = needs(scenario, self.all_stages)
        self.maps_change = maps_change(scenario, self.all_stages)
        self.tracked = needed.young
        asked = scenario.timed_workload, self.tick_us, not self.tracked
        self.access = reuse.shared(asked, lambda: AccessTable(asked[0], asked[1], 0, asked[2])).with_seed(seed)
        self.observer = observer or Silent()
        self.memory = self._memory(log_moves, needed)
        nothing = NoRecords()
        self.kept: Callable[[], Records | NoRecords] = getattr(self.observer, "kept_by_kernels", lambda: nothing)
        shared, self.glances = SplitState(), np.array([first_glance(), first_glance()])
        self.kdamonds: list[Kdamond] = []
        for i, context in enumerate(scenario.contexts):
            space, processes = self.space(context)
            ranges = self.first_ranges(context, processes, f"contexts[{i}].targets")
            kind: Callable[..., Kdamond] = Kdamond
            if context.sources:
                from .report_driven import ReportedKdamond

                kind = partial(ReportedKdamond, seed=seed, tick_us=self.tick_us)
            rng = rngs[i] if rngs else counter_rng(context.rng_seed if context.rng_seed is not None else seed, i)
            split = shared if scenario.machine.shared_split_state else SplitState()
            own = rng, split, actions(self, i) if actions else {}, self.observer, self.rules
            k = kind(context, i, self.memory, self.access, space, ranges, *own)
            k.processes, k.glance = processes, self.glances[int(space.virtual)]
            k.by_address = not self.rules.fresh_look or (space.virtual and self.maps_change)
            self.kdamonds.append(k)
        self.clocks = [ContextClock(k, self.tick_us * 1000) for k in self.kdamonds]
        self.started, self.make_actions = False, actions
        self.coupling: Coupling | None = None
        balances = scenario.machine.numa_balancing is not None
        self.balancer = NumaBalancer(scenario, self.memory, self.access, seed) if balances else None

    def _memory(self, log_moves: int, needed: Needs) -> PhysicalMemory:
        """Return the machine's memory as the run finds it; a sweep's runs take over what the last one left, if it fits."""
        machine, workload, access = self.scenario.machine, self.scenario.workload, self.access
        built_of = (
            *(machine.nodes, machine.allocator, machine.handed_out, machine.percpu_lists, machine.folio_bytes),
            *(workload.n_pages, workload.placement, access.runs, access.folios),
            (machine.swap, workload.groups) if needed.device else None,
        )
        layout = *built_of, len(access.groups_of_class), needed
        kept = reuse.take(layout)
        copied = False
        if kept is None:
            size = machine, workload.n_pages, needed.frame_of, needed.young, needed.out, bool(access.folios), needed.device
            check_memory(*size, beside=getattr(self.observer, "needed_bytes", lambda _: 0)(self))
            copied = reuse.wanted(layout) and copy_fits(*size)
        memory = PhysicalMemory(
            machine,
            workload,
            None if kept else access.page_class,
            self.seed,
            needed.young,
            len(access.groups_of_class),
            log_moves,
            needed.frame_of,
            kept,
            needed.out,
            anywhere=not self.rules.thisnode,
            heads=not self.rules.tail_pages,
            marks=needed.marks,
            folios=access.folios,
            device=swap.columns(machine, workload, self.tick_us) if needed.device and not kept else None,
        )
        if copied:
            reuse.keep(layout, memory.arrays, memory.offline)
        return memory

    def state(self) -> dict[str, Any]:
        """Return where the run stands between two events, as plain data and arrays (see `Stored`).

        Rules of access have no state: they follow from the clock. Nor has what sources of hotness remember: see `Kdamond`.
        """
        return {
            "started": self.started,
            "stages_done": self.done,
            "memory": self.memory.state(),
            "clocks": [c.state() for c in self.clocks],
            "kdamonds": [k.state() for k in self.kdamonds],
            "pending": [[request.stage for request in k.pending] for k in self.kdamonds],
            "balancer": self.balancer and self.balancer.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned, in an engine of the same scenario and seed that has not run yet.

        Raises
        ------
        InputError, KeyError, TypeError, ValueError
            If it is not what such an engine could have stored.
        """
        self.done = like(self.done, state["stages_done"], "stages_done")
        if self.done:
            self.scenario = self.all_stages[self.done - 1][1]
        self.memory.restore(state["memory"], self.access.arrays.first)
        # A context may still be as it was before a commit that it has not heard of: what it runs with is its own to say.
        present, contexts = self.scenario, tuple(Context.from_dict(one["context"]) for one in state["kdamonds"])
        for i, (k, one) in enumerate(zip(self.kdamonds, state["kdamonds"], strict=True)):
            self.request(i, contexts[i], None)(k)
            k.restore(one)
        self.scenario = present
        for k, waiting in zip(self.kdamonds, state["pending"], strict=True):
            for stage in waiting:
                k.ask(self._request_at(k.index, stage))
        self.started = like(self.started, state["started"], "started")
        self.clocks = like(self.clocks, state["clocks"], "clocks")
        if self.balancer:
            self.balancer.restore(state["balancer"])

    def space(self, context: Context) -> tuple[Space, Processes]:
        """Return where a context's core addresses lead now, and what is mapped by target: see `spaces.space_of`."""
        return space_of(context, self.scenario.workload.vmas, self.memory, self.rules)

    monitors_nothing = False
    """Whether a target may begin without regions, as a process with fewer than two gaps does in Linux."""

    def first_ranges(self, context: Context, processes: Processes, where: str) -> list[list[tuple[int, int]]]:
        """Return what a context monitors at the start, by target: see `spaces.ranges_of`."""
        return ranges_of(context, self.scenario.machine, processes, self.rules, where, self.monitors_nothing)

    # ---- time -----------------------------------------------------------------------------------------------------

    def run_lockstep(self, ticks: int, begin: Callable[[int], None] | None = None) -> None:
        """Run `ticks` sampling ticks of all contexts in turn; workload tick t is sampling tick t.

        The clock advances by the last context's sampling interval per tick, and by what migration costs. Each context's
        accessed-state clearing is seen by the next one, as in the golden runs. Watermarks switch schemes, but nobody sleeps.
        """
        clock, change = self.memory.arrays.clock, 0
        for tick in range(1, ticks + 1 if self.kdamonds else 1):
            if tick == 1:
                for k in self.kdamonds:
                    k.watermark_wait_us()
                    self._prepare(k)
            clock[0] += self.kdamonds[-1].attrs.sample_us * 1000
            if begin:
                begin(tick)
            if tick >= change:
                change = self.access.enter(tick)
            for k in self.kdamonds:
                self._check(k, tick)
                if self.memory.reclaims:
                    self._fault_in(k, tick)
                k.body()
                if tick < ticks:
                    k.watermark_wait_us()
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
            idle(self, duration_us, every_us, sampled, phase)
            return
        self.run_to(self.memory.now_ns + duration_us * 1000, progress)

    def run_to(self, end_ns: int, progress: Callable[[float], None] | None = None) -> None:
        """Run contexts, and what the kernel does beside them, up to a simulated time in ns; in how many calls is no matter."""
        while self.balancer and self.balancer.next_ns <= end_ns:
            self._run_to(self.balancer.next_ns, progress)
            self.balancer.step(self.access.arrays)
        self._run_to(end_ns, progress, pauses=True)

    def _run_to(self, end_ns: int, progress: Callable[[float], None] | None, *, pauses: bool = False) -> None:
        if self.tracked and end_ns // 1000 // self.tick_us > MAX_TRACKED_TICK:
            text = f"ends after workload tick {MAX_TRACKED_TICK}, more than a page's accessed state can remember"
            raise InputError("duration", text, "run for a shorter time, or with a longer workload.tick_us")
        if not self.started:
            self.started = True
            for c in self.clocks:
                self._begin(c)
        piece_ns = max((end_ns - self.memory.now_ns) // PIECES, 10**9) if progress else end_ns
        while True:
            wake_ns, i = min((c.next_wake(), i) for i, c in enumerate(self.clocks))
            if self.coupling and self.coupling.ends_before(min(wake_ns, end_ns)):
                continue
            if wake_ns > end_ns:
                break
            c = self.clocks[i]
            until_ns = min(end_ns, self.memory.now_ns + piece_ns)
            stop_ns = min(end_ns, self.coupling.end_ns) if self.coupling else end_ns
            if c.alone() and (self._run_in_turn(min(stop_ns, until_ns)) if self.tracked else self._run_alone(c, until_ns)):
                if progress:
                    progress(self.memory.now_ns * 1e-9)
                continue
            if c.wait_ns:  # while asleep a kdamond still takes requests
                self.memory.arrays.clock[0] = woken_ns = c.wake()
                if self.memory.reclaims:
                    self._fault_in(None, woken_ns // c.tick_ns)
                self.fire(woken_ns)
                c.kdamond.take_requests()
                self._begin(c)
            elif self.tracked:
                self._one_tick(c)
            elif not self._batch(c, stop_ns, pauses=pauses and stop_ns == end_ns):
                break
            if progress:
                progress(self.memory.now_ns * 1e-9)
        self.memory.arrays.clock[0] = max(end_ns, self.memory.now_ns)

    def _fault_in(self, k: Kdamond | None, tick: int) -> None:
        """Bring touched pages that are out back where more follows than a look: an event of kdamond k, or of a sleeping one."""
        if k is None or k.at_event():
            self.memory.fault_in(self.access.arrays, tick)

    def _begin(self, c: ContextClock) -> None:
        """Begin a round of a context's loop: sleep while every scheme is inactive, else prepare the access check."""
        wait_us = c.kdamond.watermark_wait_us() if c.kdamond.context.schemes else c.shortest_us
        if wait_us and not c.wait_ns:
            c.kdamond.fall_asleep()
        c.begin(wait_us)
        if self.tracked and not c.wait_ns:
            c.kdamond.tick = c.last_ns // c.tick_ns
            c.kdamond.prepare()

    @property
    def stages(self) -> list[Stage]:
        """What is still to change."""
        return self.all_stages[self.done :]

    def fire(self, now_ns: int) -> None:
        """Carry out what was scheduled up to now: the machine and mappings change at once, contexts in their next loop body."""
        while self.done < len(self.all_stages) and self.all_stages[self.done][0] * 1000 <= now_ns:
            before, (_, scenario, committed) = self.scenario, self.all_stages[self.done]
            self.scenario, self.done = scenario, self.done + 1
            for i, node in enumerate(scenario.machine.nodes):
                self.memory.arrays.node["reserve"][i] = node.reserve_pages
                self.memory.set_offline(i, node.offline_bytes // self.memory.page_bytes)
            for i, k in enumerate(self.kdamonds):
                if scenario.workload.vmas != before.workload.vmas and k.context.ops != "paddr":
                    k.space, k.processes = self.space(k.context)
                if committed == i or scenario.contexts[i] != before.contexts[i]:
                    k.ask(self._request_at(i, self.done - 1))

    def _request_at(self, i: int, stage: int) -> Request:
        """Return the request to commit context i as a stage has it.

        A commit fits the targets to their ranges, an event only where it is about targets; there a target without ranges has,
        where addresses are physical, the whole machine.
        """
        _, scenario, committed = self.all_stages[stage]
        before = self.all_stages[stage - 1][1] if stage else self.given
        old, new = before.contexts[i].targets, scenario.contexts[i].targets
        kept = None if committed is None and old == new else len(old) if committed is not None else 0
        return self.request(i, scenario.contexts[i], kept, stage)

    def request(self, i: int, context: Context, targets: int | None, stage: int = -1) -> Request:
        """Return a request to commit what a context shall be.

        Parameters
        ----------
        i : int
            Position of the context.
        context : Context
            What it shall be.
        targets : int or None
            None leaves regions as they are. Else targets are fitted to their ranges. Those without ranges stay as they are if
            they are among the first so many, or if their addresses are virtual; others get the whole machine.
        stage : int
            The stage that asks for it.

        Raises
        ------
        InputError
            If it needs what the run does not keep of its pages.
        """
        missing = needs(self.scenario.replace(contexts=(context,), events=(), commits=()), ())
        for name in Needs._fields:
            if getattr(missing, name) and not getattr(self.needed, name):
                text = "needs of every page what this run does not keep"
                raise InputError(f"contexts[{i}]", text, "announce the change with an event or a commit of the scenario")
        _, processes = self.space(context)
        ranges: list[list[tuple[int, int]] | None] = [None] * len(context.targets)
        if targets is not None:
            given = [list(t.regions) for t in context.targets]
            whole = self.first_ranges(context, processes, "") if context.ops == "paddr" else given
            ranges = [r or (whole[k] or None if k >= targets else None) for k, r in enumerate(given)]
        made = self.make_actions(self, i) if self.make_actions else {}
        return Request(context, made, self.space, ranges, stage)

    def _run_in_turn(self, end_ns: int) -> bool:
        """Sampling ticks and loop bodies of all contexts that kernels can run, up to another's wake-up, a change, or the end.

        At equal times the first context comes first. Changes of access rules are no reason to stop: where accessed states are
        kept, every rule knows its own times. Returns whether there were any.
        """
        at = [i for i, c in enumerate(self.clocks) if c.alone()]
        clocks, memory = [self.clocks[i] for i in at], self.memory
        rules = {None if (r := c.kdamond.compiled) is None else bool(r.stored_sum) for c in clocks}
        faults = memory.reclaims and self.faults_in
        blind = memory.reclaims and not faults and any(c.kdamond.turn["sleeps"] for c in clocks)
        if len(rules) != 1 or blind or (faults and memory.machine.percpu_lists):
            return False
        stop_ns, others = self._stop_ns(end_ns), [(j, c.next_wake()) for j, c in enumerate(self.clocks) if j not in at]
        until_ns = np.array([min([stop_ns, *(wake_ns - (i > j) for j, wake_ns in others)]) for i in at])
        kdamonds, before = [c.kdamond for c in clocks], [c.last_ns for c in clocks]
        for c in clocks:
            c.lend()
            c.kdamond.begin_turns()
        self.access.enter(min(c.next_wake() for c in clocks) // clocks[0].tick_ns)
        access, who = self.access.arrays, np.array([0, ticks.UNPLANNED])
        glances = None if self.rules.fresh_look else self.glances
        while True:
            looks = access if any(k.looks() for k in self.kdamonds) else None
            counts = next((k.counts for k in self.kdamonds if k.counts is not None), None)
            own, rows = (looks, kdamonds[0].compiled, counts), self.kept()
            table = np.concatenate([k.table() for k in kdamonds])
            asked = rows.kept, rows.sources, until_ns, True if faults else None, glances, who
            code = ticks.run_in_turn(table, memory.arrays, access, *own, *asked)
            if code in (ticks.LIMIT, ticks.WAITS):
                break
            kdamonds[who[0]].see_to(code)
        for c, k in zip(clocks, kdamonds, strict=True):
            c.take_back()
            if code != ticks.WAITS or k is not kdamonds[who[0]]:
                k.end_turns()
            else:
                self._begin(c)
        return before != [c.last_ns for c in clocks]

    def _stop_ns(self, end_ns: int) -> int:
        """Return up to when nothing of the scenario changes."""
        return min(end_ns, self.all_stages[self.done][0] * 1000 - 1) if self.done < len(self.all_stages) else end_ns

    faults_in = True
    """Whether touched pages that are out come back at events, as they do but in runs that say themselves when."""

    def _one_tick(self, c: ContextClock) -> None:
        """One sampling tick of one of several contexts that share the pages' accessed state."""
        k = c.kdamond
        times, _, until = c.ahead(1)
        self.memory.arrays.clock[0] = times[0]
        self.access.enter(int(until[0]))
        if self.maps_change:
            self.fire(int(times[0]))  # an address is looked up as it is mapped now
        k.check(int(until[0]))
        if self.memory.reclaims:
            self._fault_in(k, int(until[0]))
        c.advance(times)
        self.fire(int(times[0]))
        c.body()
        self._begin(c)

    def _run_alone(self, c: ContextClock, end_ns: int) -> bool:
        """Run ticks and bodies of the only context up to an event, new access rules or the end; return if there were any."""
        k, memory, before = c.kdamond, self.memory.arrays, c.last_ns
        coupling = self.coupling and self.coupling.in_kernels
        until_ns = self._stop_ns(min(end_ns, self.coupling.end_ns) if self.coupling and not coupling else end_ns)
        change = self.access.enter(c.last_ns // c.tick_ns + 1)
        c.lend()
        access, coupled = self.access.arrays, coupling and coupling.with_room(until_ns)
        general, glance = None if access.plain else True, None if self.rules.fresh_look else k.glance
        only_moves, changed = all(getattr(action, "only_moves", False) for action in k.actions.values()), True
        while True:
            if changed:
                own, rows = (k.table(), memory, access, k.looks(), general, glance, k.regions.rules, k.counts), self.kept()
            code = ticks.run(*own, rows.kept, rows.sources, until_ns, change, MAX_BATCH, coupled)
            if coupling:
                coupling.check(code != ticks.UNFIT)
            if code in (ticks.LIMIT, ticks.PHASE):
                break
            k.see_to(code)
            changed = not (only_moves and code in (turn.BEGIN, turn.CALL))
        c.take_back()
        return c.last_ns > before

    def _batch(self, c: ContextClock, end_ns: int, *, pauses: bool) -> bool:
        """Sample the only context up to an event, with its body, or to the end; False: it waits for a run that `pauses`."""
        k = c.kdamond
        to_event, stages = k.ticks_to_event(), self.done
        times, after, until = c.ahead(min(to_event, MAX_BATCH))
        n = times.size
        change = self.access.enter(int(after[0]) + 1)
        if until[-1] >= change:
            n = min(n, max(int(np.searchsorted(until, change - 1, side="right")), 1))
        if self.stages:
            n = min(n, int(np.searchsorted(times, self.stages[0][0] * 1000, side="left")) + 1)
        if times[n - 1] > end_ns:
            if pauses and k.context.sources:  # they draw for all samples that they are shown together
                return False
            n = max(int(np.searchsorted(times, end_ns, side="right")), 1)
        if until[0] >= change:
            self.access.general()
        self.memory.arrays.clock[0] = times[n - 1]
        k.sample(after[:n], until[:n])
        c.advance(times[:n])
        self.fire(int(times[n - 1]))
        if n == to_event or self.done != stages:  # where a batch is cut otherwise leaves no trace
            c.body()
            self._begin(c)
        return True

    def _prepare(self, k: Kdamond) -> None:
        if self.tracked:
            k.prepare()

    def _check(self, k: Kdamond, tick: int) -> None:
        if self.tracked:
            k.check(tick)
        else:
            k.sample(np.array([tick - 1]), np.array([tick]))
