"""One kdamond: the loop body of ``kdamond_fn`` on region arrays, an event at a time (docs/theory/damon.md, section a.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels import draws, intervals, scoring, turn, watermarks
from ..kernels import layout as L
from ..kernels._bundle import addresses
from ..kernels._jit import records
from ..kernels.older import Older, compiled_rules
from ..memory.physical import PhysicalMemory
from ..scenario import Attrs, Context
from ..scenario.linux import Rules, default_rules
from ..scenario.metrics import metric_of
from ..stored import Stored, like, same_kind
from ..units import LONG_MAX, PAGE_SZ
from ..workload.access import AccessTable
from . import goals, table
from .early_exit import EarlyExit
from .intervals import nr_samples
from .metric_view import MetricView
from .monitor import IN_TURN, OF_THIS_RUN, InTurn, Monitor, first_glance
from .observers import Action, Asked, Observer
from .quota import QuotaState, tables_of
from .regions import RegionSet, SplitState, empty, grown, scratch, set_regions
from .rng import Rng, restored
from .vaddr import three_parts


@dataclass(init=False, eq=False, repr=False)
class Kdamond(Monitor):
    """State of one context while it runs; the fields are what it remembers between two events.

    Parameters
    ----------
    context : Context
        The configuration.
    index : int
        Position among the scenario's contexts.
    memory : PhysicalMemory
        Shared with all contexts of the run.
    access : AccessTable
        Who touches what.
    space : Space
        Where core addresses lead.
    ranges : sequence of sequence of (int, int)
        Monitored ranges by target, core addresses.
    rng : Rng
        The context's draws.
    split_state : SplitState
        Shared between contexts, or the context's own.
    actions : dict of int to Action
        Actions carried out outside the application pass, by scheme.
    observer : Observer
        Told what happens.
    rules : Rules, optional
        What the kernel does; by default what the default kernel does.

    Attributes
    ----------
    turn : TURN record
        What it remembers of its loop: `kernels.layout.TURN`. Times that it latched before it fell asleep stay until the first
        loop body after that: commits that it takes while asleep do not change them.
    slept_before_us : int
        The sampling interval that it latched then.
    stage : int
        Which of the scenario's steps it has taken over last; -1 before the first.
    sums_from : int
        Samples that had passed when the regions' stored moving sums were set last, where there are any.
    """

    context: Context
    regions: RegionSet
    split_state: SplitState
    quotas: list[QuotaState]
    slept_before_us: int = 0

    passed, tick, aggregations, stage = InTurn(), InTurn(), InTurn(), InTurn()
    next_aggregation, next_ops_update, next_tune = InTurn(), InTurn(), InTurn()
    aggr_samples, sums_from, sz_limit, min_sz = InTurn(), InTurn(), InTurn(), InTurn()

    def __init__(
        self,
        context: Context,
        index: int,
        memory: PhysicalMemory,
        access: AccessTable,
        space: L.Space,
        ranges: Sequence[Sequence[tuple[int, int]]],
        rng: Rng,
        split_state: SplitState,
        actions: dict[int, Action],
        observer: Observer,
        rules: Rules | None = None,
    ) -> None:
        self.index, self.memory, self.access, self.space = index, memory, access, space
        self.rng, self.split_state, self.observer, self.rules = rng, split_state, observer, rules or default_rules()
        self.turns = records(1, L.TURN)
        self.turn = self.turns[0]
        self.stage, self.turn["index"] = -1, index
        self._attrs: Attrs
        self.use(context.attrs)
        self.aggr_samples = nr_samples(self.attrs.sample_us, self.attrs.aggr_us)
        self.min_sz = context.min_region_sz
        self.rng.state[draws.ONE_DRAW] = not self.rules.ctx_rnd_state
        self.regions = RegionSet([set_regions([], r, self.min_sz) for r in ranges], self._compiled(context))
        self.processes: list[list[tuple[int, int]]] = []
        self.next_aggregation = self.attrs.aggr_us // self.attrs.sample_us
        self.next_ops_update = self.attrs.update_us // self.attrs.sample_us
        self.next_tune = self.next_aggregation * self.attrs.intervals_goal.aggrs
        self.on_due: Callable[[Kdamond], None] | None = None
        self.pending: list[Asked] = []
        self._cuts, self._table = np.zeros(3, np.uint64), np.zeros((1, turn.PARTS), np.uint64)
        self._table_of: tuple[Any, ...] = ()
        for name, rule in IN_TURN.items():
            self.turn[name] = getattr(self.rules, rule)
        self.turn["every"], self.turn["jiffies0"] = getattr(observer, "every", 0), L.BOOT_JIFFIES
        self.turn["hz"], self.turn["whole_from_us"] = memory.machine.hz, memory.machine.whole_from_us(self.rules)
        self.turn["lists"] = memory.page_lists is not None
        self.by_address = False
        self.glance, recorded = first_glance(), context.aggr_times_us
        self.ends = np.array((0, *recorded), np.int64) * 1000 if recorded else np.zeros(0, np.int64)
        self.sz_limit = self._size_limit(anew=True)
        self._windows = records(1, L.WINDOW)
        self._window = self._windows[0]
        self._cursors = records(1, L.CURSOR)
        self._cursor = self._cursors[0]
        self._events = records(1024, L.EVENT)
        self.histogram = np.zeros(100, np.uint64)
        self._frames = np.zeros(0, np.int64)
        self._scratch = scratch(64)
        self.schemes, self.quotas = records(0, L.SCHEME), []
        self.funnel, self.filters, self.rejected = records(0, L.FUNNEL), records(0, L.FILTER), np.zeros(0, np.uint64)
        self.configure(context, actions)

    def configure(self, context: Context, actions: dict[int, Action]) -> None:
        """Take over a context's schemes: those at the same position keep what they learnt, further ones start from nothing."""
        external = dict(actions)
        for i, scheme in enumerate(context.schemes):
            if any(g.early_exit != "none" for g in scheme.quota.goals):
                external[i] = EarlyExit(external.get(i))
        rows, filters, dests = table.build(context, self.memory.index_of, set(external), self.rules)
        kept = min(len(rows), len(self.schemes))
        for name in table.SURVIVES:
            rows[name][:kept] = self.schemes[name][:kept]
        for i, scheme in enumerate(context.schemes[:kept]):
            self.quotas[i].commit(scheme.quota, self._fed(i))
        hz, nodes = self.memory.machine.hz, self.memory.nids.size
        self.quotas = self.quotas[:kept] + [QuotaState(s.quota, hz, nodes, self.rules) for s in context.schemes[kept:]]
        funnel, same = records(len(rows), L.FUNNEL), np.array_equal(filters, self.filters)
        funnel[:kept] = self.funnel[:kept]
        self.funnel, self.rejected = funnel, self.rejected if same else np.zeros(len(filters), np.uint64)
        self.context, self.schemes, self.filters, self.actions = context, rows, filters, external
        self.regions = self.regions.under(self._compiled(context))
        tables, self.counts = tables_of(self.quotas, context, self.memory, self.access.memcg_classes)
        for i, quota in enumerate(self.quotas):
            quota.note(rows[i])
            if i >= kept:
                rows["next_apply"][i] = self.passed + self.apply_period(i)
        follows = turn.LOOK_EVENTS if any(lag for quota in self.quotas for lag in quota.lags) else 0
        self.turn["wants"] = getattr(self.observer, "wants", turn.EVERYTHING) | follows
        self.turn["external"], self.turn["refits"] = (
            bool(external),
            context.ops == "vaddr" or not self.rules.apply_min_nr_regions,
        )
        self.turn["watched"] = self.watched = any(s.watermarks.metric != "none" or not s.enabled for s in context.schemes)
        self.turn["sleeps"] = any(s.watermarks.metric != "none" and s.enabled for s in context.schemes)
        self._stack = empty(16 + 4 * (len(rows) + len(filters)), True)  # pieces into which the schemes can cut one region
        own = self._windows, self._cursors, self._events, self.histogram, funnel, self.rejected
        self.control = L.Control(rows, filters, dests, *own, *tables)
        arrays = self.memory.arrays
        by_word = self.memory.machine.allocator in ("lowest", "buddy")
        plain = by_word and not arrays.node["anywhere"].any() and arrays.folio is None
        self._looks = not (plain and all(table.acts_on_whole_regions(row, self.space.virtual) for row in rows))

    @property
    def compiled(self) -> Older | None:
        """What kernels take as `rules`."""
        return self.regions.rules

    def _compiled(self, context: Context) -> Older | None:
        """Return what kernels take as `rules` for a context."""
        stored = context.moving_sum == "stored" or not (context.moving_sum or self.rules.mvsum_on_demand)
        return compiled_rules(self.rules, stored)

    def _fed(self, i: int) -> list[int | None]:
        """Return what users had fed each goal of a scheme by the loop body before, None for those that are measured."""
        before = max(self.input_before(), 0)
        goals_of = self.quotas[i].quota.goals
        return [goals.user_input(g, before) if metric_of(g.metric).counts == "input" else None for g in goals_of]

    def state(self) -> dict[str, Any]:
        """Return what the kdamond remembers between two events, but for a request that waits (see `Stored.state`)."""
        frames = np.full(self.regions.n, -1)
        frames[: self._frames.size] = self._frames[: frames.size]
        return super().state() | {
            "rng": [self.rng.state, self.rng.buffer],
            "frames": frames,
            "glance": self.glance,
            "attrs": self.attrs.to_dict(),
            "turn": self.turns,
            "schemes": {name: self.schemes[name] for name in table.RUNNING},
            "funnel": self.funnel,
            "rejected": self.rejected,
            "actions": {str(i): action.state() for i, action in self.actions.items() if isinstance(action, Stored)},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned; the kdamond has the same context already.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is not what a kdamond of this context could have stored.
        """
        super().restore(state)
        self.rng = restored(*state["rng"])
        self._frames = same_kind(state["frames"], "frames", np.int64, (self.regions.n,)).copy()
        self.use(Attrs.from_dict(state["attrs"], "attrs"))
        here = {name: self.turn[name] for name in OF_THIS_RUN}
        self.turns[:] = same_kind(state["turn"], "turn", L.TURN, (1,))
        for name, value in here.items():
            self.turn[name] = value
        self.glance[:] = same_kind(state["glance"], "glance", np.int64, (3,))
        if self.glance[L.SIZE] < PAGE_SZ:
            raise ValueError("glance is at no folio")
        last = LONG_MAX if self.by_address else self.memory.n_pages if self.space.virtual else self.memory.arrays.rec.size
        if ((self._frames < -1) | (self._frames >= last)).any():
            raise ValueError("frames lead out of memory")
        for name in table.RUNNING:
            self.schemes[name] = like(self.schemes[name], state["schemes"][name], name)
        for kept, name in ((self.funnel, "funnel"), (self.rejected, "rejected")):
            kept[:] = same_kind(state[name], name, kept.dtype, kept.shape)
        for i, action in self.actions.items():
            if isinstance(action, Stored):
                action.restore(state["actions"][str(i)])

    # ---- sampling -------------------------------------------------------------------------------------------------

    def ticks_to_event(self) -> int:
        """Return how many sampling ticks lie ahead up to and including the next one with work beside sampling."""
        ahead = self._ahead()
        if self.turn["refits"]:
            ahead = min(ahead, self.next_ops_update - self.passed)
        return max(1 if self.turn["is_latched"] else ahead, 1)

    def at_event(self) -> bool:
        """Whether an aggregation ends at the present sampling tick, or an active scheme is due."""
        return self._ahead() <= 0

    def _ahead(self) -> int:
        applies = self.next_apply
        if self.watched:
            applies = [at for at, active in zip(applies, self.schemes["active"], strict=True) if active]
        return min([int(self.turn["latched"]) if self.turn["is_latched"] else self.next_aggregation, *applies]) - self.passed

    def watermark_wait_us(self) -> int:
        """Evaluate the schemes' watermarks; return how long to sleep until the next look, 0 = go on (section d.2)."""
        if not self.watched:
            return 0
        return int(watermarks.wait_us(self.schemes, self.memory.free_rate()))

    def fall_asleep(self) -> None:
        """Begin to wait for watermarks: the loop has looked at its clocks by then, and prepares no check."""
        self._frames = np.full(self.regions.n, -1)
        self.turn["latched"], self.turn["update"], self.turn["is_latched"] = self.next_aggregation, self.next_ops_update, 1
        self.slept_before_us = self.attrs.sample_us

    def take_requests(self) -> None:
        """Carry out what was asked of the kdamond, in the order in which it was asked (``kdamond_call``)."""
        requests, self.pending = self.pending, []
        self.turn["pending"] = 0
        for request in requests:
            request(self)

    def ask(self, request: Asked) -> None:
        """Ask the kdamond to carry out a request in its next loop body."""
        self.pending.append(request)
        self.turn["pending"] = 1

    def in_turn(self) -> bool:
        """Whether sampling ticks up to the next event do nothing but check and prepare, so that kernels can take turns."""
        unseen = self.turn["sleeps"] and self.memory.page_lists is not None  # what is free there, Python knows
        remaps = self.by_address and self.rules.fresh_look
        return type(self).check is Kdamond.check and not (self.pending or unseen or remaps or self.turn["is_latched"])

    # ---- the rest of the loop body --------------------------------------------------------------------------------

    def body(self) -> None:
        """Run what follows the access check of a sampling tick: merge, schemes, tuning, reset, split (`kernels.turn.body`)."""
        memory = self.memory.arrays
        while (code := turn.body(self.table(), 0, memory, self.looks(), self.regions.rules, self.counts)) != turn.DONE:
            self.see_to(code)

    def apply_schemes(self) -> None:
        """Run nothing of the loop body but what concerns schemes (``kdamond_apply_schemes``), for replays of that alone."""
        self.turn["at"], self.turn["aggregation"], self.turn["update"] = turn.LOOK, 0, LONG_MAX
        self.body()

    def looks(self) -> L.Access | None:
        """Return who touches what, for actions that look at pages; None where none does."""
        return self.access.arrays if self._looks else None

    def table(self) -> npt.NDArray[Any]:
        """Return the addresses of the kdamond's arrays, as kernels of `kernels.turn` take them."""
        regions, scratch = self.regions, self._scratch
        of = regions, *regions.pair, self.space, self.rng, scratch, self.control, self._stack
        if not self._table_of or any(a is not b for a, b in zip(of, self._table_of, strict=False)):  # and the loop, behind
            loop = L.Loop(self.turns, regions.side, self.split_state.both, self._cuts, self.ends)
            self._table_of = *of, loop
            self._table = addresses([[*regions.pair, self.space, self.rng, scratch, self.control, loop, self._stack]])
        return self._table

    def see_to(self, code: int) -> None:
        """Do what a kernel of `kernels.turn` returned for, so that it can go on."""
        regions, cursor = self.regions, self._cursor
        if code == turn.FINISHED:
            self.observer.finished(self, bool(self.turn["aggregation"]))
        elif code == turn.ADJUST:
            i = int(self.turn["scheme"])
            if self.turn["then"] == turn.SCORE:  # a window has just begun
                self.quotas[i].note_lags(self.jiffies)
            self.quotas[i].take(self.measure_goals(i))
        elif code == turn.CALL:
            i = int(cursor["scheme"])
            cursor["applied"], cursor["passed"], cursor["elapsed"] = self.actions[i](self, i, cursor)
        elif code == turn.BEGIN:
            for i, row in enumerate(self.schemes):
                if i in self.actions and row["due"] and row["active"]:
                    self.actions[i].begin(self, i)
        elif code == turn.EVENTS:
            events = self._events[: int(cursor["n_events"])]
            self._note_lag(events)
            self.observer.applied(self, events)
            cursor["n_events"] = 0
        elif code == turn.MERGED:
            self.observer.aggregated(self)
        elif code == turn.REQUESTS:
            self.take_requests()
        elif code == turn.PASSED:
            self.memory.note_free()
        elif code == turn.UPDATE:
            self.update_ops()
        elif code == turn.DUE:
            if self.on_due:
                self.on_due(self)
        elif code == turn.STACKS:
            regions.pair[1 - regions.side[0]], self._stack = grown(regions.spare), grown(self._stack)
        else:
            assert code == turn.ROOM, code
            need, self.turn["need"] = int(self.turn["need"]), 0
            regions.reserve(need)
            self._room_to_sample()

    def update_ops(self) -> None:
        """Fit the targets' regions to the three parts of their processes' address spaces (``damon_va_update``).

        Up to 7.0 the size limit of merging is taken anew then, and then only.
        """
        if self.context.ops == "vaddr":
            parts = [three_parts(mapped) or None for mapped in self.processes]
            self.fit_regions(parts, PAGE_SZ)
        if not self.rules.apply_min_nr_regions:
            self.sz_limit = self._size_limit(anew=True)

    def fit_regions(self, ranges: Sequence[Sequence[tuple[int, int]] | None], min_region_sz: int) -> None:
        """Fit each target's regions to its new ranges; None leaves them as they are. There are as many targets as ranges."""
        before = self.regions.rows()
        before += [[] for _ in ranges[len(before) :]]
        after = [
            rows if new is None else set_regions(rows, new, min_region_sz) for rows, new in zip(before, ranges, strict=False)
        ]
        if after != self.regions.rows():
            self.regions = RegionSet(after, self.compiled)

    def _size_limit(self, anew: bool) -> int:
        """Return the size up to which regions merge. From 7.1 on larger ones are cut; before, it is seldom taken `anew`."""
        if self.rules.apply_min_nr_regions:
            return self.regions.apply_min_nr_regions(self.attrs.min_nr_regions, self.min_sz)
        return self.regions.size_limit(self.attrs.min_nr_regions, self.min_sz) if anew else self.sz_limit

    def tune_intervals(self) -> None:
        """Adapt the sampling interval to the observed access events, for replays of that alone (``kdamond_tune_intervals``)."""
        r = self.regions
        intervals.tune(self.turn, self.schemes, self.funnel, r.now, r.n, r.rules)

    def set_attrs(self, new: Attrs, aggregating: bool | None = None) -> None:
        """Take over new attributes (``damon_set_attrs``): timers restart, results are converted to the new units."""
        r = self.regions
        aggregating = self.passed < self.next_aggregation if aggregating is None else aggregating
        self.turn["update_us"] = min(new.update_us, 2**62)
        sample_us, aggr_us = (np.int64(min(us, 2**62)) for us in (new.sample_us, new.aggr_us))
        own = self.turn, self.schemes, self.funnel, r.now, r.n
        intervals.set_intervals(*own, sample_us, aggr_us, aggregating, r.rules)
        self.use(new)

    @property
    def attrs(self) -> Attrs:
        """The attributes in force: the context's, with the intervals that tuning has come to."""
        sample_us, aggr_us = int(self.turn["sample_us"]), int(self.turn["aggr_us"])
        if (sample_us, aggr_us) != (min(self._attrs.sample_us, 2**62), min(self._attrs.aggr_us, 2**62)):
            self._attrs = self._attrs.replace(sample_us=sample_us, aggr_us=aggr_us)
        return self._attrs

    def use(self, attrs: Attrs) -> None:
        """Let the loop go by new attributes, and nothing else."""
        self._attrs, goal = attrs, attrs.intervals_goal
        for name in ("sample_us", "aggr_us", "update_us", "min_nr_regions", "max_nr_regions"):
            self.turn[name] = min(getattr(attrs, name), 2**62)
        for name in ("access_bp", "min_sample_us", "max_sample_us"):
            self.turn[name] = min(getattr(goal, name), 2**62)
        self.turn["tune_aggrs"] = goal.aggrs

    def apply_period(self, i: int) -> int:
        """Return the sampling ticks between two applications of scheme i."""
        return (self.context.schemes[i].apply_interval_us or self.attrs.aggr_us) // self.attrs.sample_us

    # ---- schemes --------------------------------------------------------------------------------------------------

    def window(self) -> Any:
        """Return the moving-sum window of the present tick (a WINDOW record)."""
        turn.refresh_window(self.turns, self._windows)
        return self._window

    def sums_window(self) -> Any:
        """Return `window`, or None where regions keep no moving sums."""
        return self.window() if self.regions.rules else None

    def view(self, scheme: int, goal: int = 0) -> MetricView:
        """Return what the metric of a scheme's goal may look at now."""
        s, quota = self.context.schemes[scheme], self.quotas[scheme]
        own = (quota.last_total(goal), quota.goals[goal][0], quota.lags[goal]) if quota.goals else (None, 0, None)
        return MetricView(
            self.memory, self.regions.now, self.regions.n, self.schemes[scheme], self.window(), self.space,
            self.input_now(), self.context.ops, int(self.schemes[scheme]["esz"]), s.quota.goal_tuner,
            self.access.memcg_classes, *own, self.rules, self.regions.rules,
        )  # fmt: skip

    def input_now(self) -> int:
        """Return the time at which ``user_input`` goals are read, in the unit of their ``current_values``."""
        return self.tick if self.turn["by_ticks"] else self.memory.now_ns // 1000

    def input_before(self) -> int:
        """Return that time of the loop body before, a sampling interval ago."""
        if self.turn["by_ticks"]:
            return self.tick - 1
        return self.input_now() - self.memory.machine.slept_ns(self.attrs.sample_us, self.rules) // 1000

    def measure_goals(self, scheme: int) -> list[tuple[int, int]]:
        """Return (value, target) of each goal of a scheme, measured now."""
        configured, rows = self.context.schemes[scheme].quota.goals, self.quotas[scheme].goal_rows
        values = [goals.measure(self.view(scheme, j), g) for j, g in enumerate(configured)]
        for row, goal in zip(rows, configured, strict=True):
            if metric_of(goal.metric).counts == "stall":
                row["last_total"], row["has_total"] = goals.user_input(goal, self.input_now()), True
        return values

    @property
    def jiffies(self) -> int:
        """The machine's clock in jiffies; it starts at 1000, so that 0 never is a time."""
        return int(self.turn["jiffies0"]) + self.memory.now_ns // int(self.memory.arrays.clock[L.JIFFY])

    def adjust_quota(self, i: int) -> None:
        """Start a charge window where due and set the priority threshold of scheme i (``damos_adjust_quota``)."""
        row = self.schemes[i]
        adjusted = row["adjusted"]
        measure, monitored_bytes = partial(self.measure_goals, i), lambda: self.regions.total * self.context.addr_unit
        self.quotas[i].adjust(row, self.jiffies, self.min_sz, measure, monitored_bytes)
        if adjusted and row["score"] != L.NO_SCORE:
            row["min_score"] = self.min_score(i)

    def min_score(self, i: int) -> int:
        """Build the priority histogram of scheme i and return its threshold; address filters may cut regions."""
        regions = self.regions
        self.window()
        regions.reserve(regions.n + 4 * len(self.filters) * max(len(regions.ptr) - 1, 1) + 16)
        r, out = (regions.now, regions.now.ptr), (regions.spare, regions.spare.ptr)
        score = scoring.score_histogram(self.control, i, *r, *out, self._stack, regions.rules)
        regions.swap()
        return int(score)

    def _note_lag(self, events: npt.NDArray[Any]) -> None:
        """Tell lag caches what was migrated: from the node of the region's start to the scheme's target."""
        for i, quota in enumerate(self.quotas):
            for lag in (cache for cache in quota.lags if cache):
                target = int(self.schemes[i]["target"])
                if not 0 <= target < self.memory.nids.size:  # it moves nothing, or to several nodes
                    continue
                for event in events[(events["scheme"] == i) & (events["sz_applied"] > 0)]:
                    page = int(event["start"]) * self.context.addr_unit // self.memory.page_bytes
                    at = max(int(np.searchsorted(self.space.first, page, side="right")) - 1, 0)
                    source = at if self.space.virtual else int(self.space.node[at])
                    lag.moved(source, target, int(event["sz_applied"]), self.jiffies * 1000 // quota.hz)
