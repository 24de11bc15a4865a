"""NUMA balancing and kswapd against the reference: random zones, settings and touches, and others who move pages meanwhile."""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from typing import Any

import numpy as np
import pytest
from reference_numa import FREE, Numa

import tieringmodel as tm
from tieringmodel.damon.early_exit import run_builtin
from tieringmodel.kernels import frames, kswapd, numa
from tieringmodel.kernels.layout import FAULTED, NO_FRAME, RECLAIMED, SEEN_SHIFT
from tieringmodel.simulation.engine import Engine

PAGES, PAGE, TICK_NS, STEPS = 900, 4096, 5_000_000, 60
WRAP_MS = 2**21
KEPT = {"window": "SCAN_PAGES", "rate": "RATE_PAGES", "longest_ms": "PERIOD_MAX_MS"}


class Both:
    """A machine with its kernels, and the reference beside it."""

    def __init__(self, seed: int) -> None:
        rng = self.rng = np.random.default_rng(seed)
        self.from_tick = int(rng.choice([0, (WRAP_MS - 900) * 1_000_000 // TICK_NS]))
        self.groups = [self.group() for _ in range(int(rng.integers(2, 8)))]
        self.touched_at = [self.ticks(page) for page in range(PAGES)]
        self.top = int(rng.integers(250, 450))
        self.engine = self.machine()
        self.memory, self.access = self.engine.memory.arrays, self.engine.access.arrays
        if rng.integers(2):
            self.page_out(int(rng.integers(0, self.top)), 30)
        self.start()

    def group(self) -> tm.Group:
        lo, start = int(self.rng.integers(0, PAGES - 50)), self.from_tick + int(self.rng.integers(0, 400))
        many = int(self.rng.choice([1, 2, 7, 40, 90]))
        return tm.Group(
            lo, int(self.rng.integers(lo + 1, PAGES + 1)), "period", period=many, stride=int(self.rng.choice([1, 1, 2, 5])),
            start_tick=start, end_tick=start + int(self.rng.integers(1, 600)),
        )  # fmt: skip

    def ticks(self, page: int) -> list[int]:
        """When somebody touches a page."""
        mine = [g for g in self.groups if g.lo <= page < g.hi and (page - g.lo) % g.stride == 0]
        return sorted({t for g in mine for t in range(-(-g.start_tick // g.period) * g.period, g.end_tick, g.period)})

    def machine(self) -> Engine:
        rng, sizes = self.rng, (self.top, int(self.rng.integers(400, 700)), 900)
        nodes = [tm.Node(i, i << 30, n * PAGE, reserve_pages=int(rng.integers(0, 9))) for i, n in enumerate(sizes)]
        cut = self.top - int(rng.integers(8, 60))
        reclaim = tm.Scheme("pageout", filters=(tm.Filter("anon", allow=True),))
        return Engine(
            tm.Scenario(
                tm.Machine(tuple(nodes), numa_balancing={}),
                tm.Workload(PAGES, tuple(self.groups), (tm.Placement(0, cut, 0), tm.Placement(cut, PAGES, 2)), tick_us=5000),
                (tm.Context(schemes=(reclaim,)),),
            )
        )

    def start(self) -> None:
        rng, given = self.rng, self.engine.balancer.arrays  # type: ignore[union-attr]
        zone = [
            [*np.cumsum(rng.integers(0, 12, 4)).tolist(), *rng.integers(0, 40, 2).tolist()] for _ in range(rng.integers(1, 4))
        ]
        cut = int(rng.integers(100, 800))
        vma = [(0, cut, int(rng.integers(0, 5000))), (cut, PAGES - 40, int(rng.integers(9000, 9999)))]
        period, hidden, scanned = int(rng.integers(5, 50)), int(rng.integers(0, 9)), bool(rng.integers(2))
        chosen: dict[str, Any] = {
            "hz": int(rng.choice([100, 250, 300, 1000])), "window": int(rng.integers(20, 600)), "tick_ns": TICK_NS,
            "promote_ns": int(rng.integers(0, 400_000)), "refuse_ns": int(rng.integers(0, 90_000)),
            "hot_ms": int(rng.integers(8, 90)), "longest_ms": int(rng.integers(20, 200)), "rate": int(rng.integers(3, 300)),
            "margin": int(rng.choice([20, 10**6])), "tiering": bool(rng.integers(2)), "pte_ns": int(rng.integers(0, 50)),
            "reference": int(rng.choice([0, 4, 15, 40])),
        }  # fmt: skip
        setting = np.zeros(numa.SETTINGS, np.int64)
        for name, value in chosen.items():
            setting[getattr(numa, KEPT.get(name, name.upper()))] = value
        blank = {name: np.zeros_like(getattr(given, name)) for name in ("armed", "flags", "state", "count")}
        blank |= {name: np.full_like(getattr(given, name), -1) for name in ("after", "before", "ends")}
        columns = {"zone": zone, "vma": vma}
        tables = {name: np.ascontiguousarray(np.array(rows, np.int64).T) for name, rows in columns.items()}
        generation = np.full_like(given.generation, 255)
        self.b = dataclasses.replace(given, **blank, **tables, generation=generation, setting=setting)
        state = self.b.state
        state[numa.YOUNGEST], state[numa.HIDDEN] = 3, hidden
        state[numa.PERIOD_MS], state[numa.MAX_PERIOD_MS] = period, 5 * period
        numa.link_all(self.b, self.memory, self.access, scanned)
        self.literal = Numa(
            node=self.nodes(), free=self.free(), reserve=[n.reserve_pages for n in self.engine.memory.machine.nodes],
            zone=zone, vma=vma, touched=self.touched, ever=self.ever, period_ms=period, max_period_ms=5 * period,
            hidden=hidden, **chosen,
        )  # fmt: skip
        if scanned:
            self.literal.armed = {p: 0 for p, nid in enumerate(self.literal.node) if nid > 0 and not self.ever(p)}

    # ---- what both are told ------------------------------------------------------------------------------------------

    def touched(self, page: int, after: int, until: int) -> bool:
        return bisect_right(self.touched_at[page], until) > bisect_right(self.touched_at[page], after)

    def ever(self, page: int) -> bool:
        return any(g.lo <= page < g.hi for g in self.groups)

    def nodes(self) -> list[int]:
        frame = self.memory.frame_of.astype(np.int64)
        node = np.searchsorted(self.memory.base, frame, side="right") - 1
        return [-1 if f == NO_FRAME else n for f, n in zip(frame.tolist(), node.tolist(), strict=True)]

    def free(self) -> list[int]:
        return [int(n) for n in self.memory.node["free"]]

    def page_out(self, first: int, n: int) -> None:
        """Let the scheme take the pages out that are on some frames."""
        k = self.engine.kdamonds[0]
        k._cursor["start"], k._cursor["end"], k._cursor["core_allowed"] = PAGE * first, PAGE * (first + n), 0
        run_builtin(k, 0, k._cursor)

    def others(self, tick: int) -> None:
        """Somebody moves pages, reclaims them, brings them back; DAMON clears accessed bits."""
        rng, m = self.rng, self.memory
        nodes = self.nodes()
        if rng.integers(3) == 0:
            pages = rng.choice(PAGES, int(rng.integers(1, 60)), replace=False)
            pages = np.array([p for p in pages if nodes[p] >= 0])
            target = rng.choice([0, 0, 0, 1, 2], pages.size)
            frames.migrate_chosen(m, m.frame_of[pages].astype(np.int64), np.array(nodes)[pages], target)
        if rng.integers(40) == 0:
            self.page_out(int(rng.integers(0, self.top)), 25)
        if rng.integers(6) == 0:
            self.engine.memory.fault_in(self.access, tick)
        for page in rng.choice(PAGES, int(rng.integers(0, 200)), replace=False).tolist():
            if self.nodes()[page] < 0:
                continue
            frame, when = int(m.frame_of[page]), np.uint64(tick + 1)
            low = m.rec[frame] & ((np.uint64(1) << SEEN_SHIFT) - np.uint64(1))
            m.rec[frame] = low | (when & np.uint64(2**15 - 1)) << SEEN_SHIFT
            m.seen[page] = np.uint16(when >> np.uint64(15))
            self.literal.by_damon[page] = tick
        self.literal.node, self.literal.free = self.nodes(), self.free()
        for page in [p for p, nid in enumerate(self.literal.node) if nid < 0]:
            self.literal.by_damon.pop(page, None)

    # ---- step by step ------------------------------------------------------------------------------------------------

    def same(self) -> None:
        b, ref, s = self.b, self.literal, self.b.state
        assert self.nodes() == ref.node
        assert self.free() == ref.free
        m = self.memory
        assert s[numa.MOVED] == m.swap[FAULTED] + m.swap[RECLAIMED] + m.node["migrated_in"].sum()
        assert {p: int(ms) - 1 for p, ms in enumerate(b.armed) if ms} == {p: ms % WRAP_MS for p, ms in ref.armed.items()}
        assert b.waiting[: s[numa.WAITING]].tolist() == ref.waiting
        ring = (s[numa.QUEUE_AT] + np.arange(s[numa.QUEUED])) % PAGES
        assert list(zip(b.queue[ring].tolist(), b.queue_tick[ring].tolist(), strict=True)) == ref.queue
        generations = [self.listed(int(seq) & 3) for seq in range(s[numa.OLDEST], s[numa.YOUNGEST] + 1)]
        assert (int(s[numa.OLDEST]), generations) == (ref.oldest, ref.generations)
        assert b.flags.tolist() == ref.flags
        assert b.zone[FREE].tolist() == [z[FREE] for z in ref.zone]
        assert (s[numa.VMA], s[numa.OFFSET], s[numa.SEQ], s[numa.PLACED_SEQ]) == (*ref.place, ref.passes, ref.placed_pass)
        assert (s[numa.PERIOD_MS], s[numa.NEXT_SCAN_MS], s[numa.BUSY_NS]) == (ref.period_ms, ref.next_scan_ms, ref.busy_ns)
        assert (s[numa.THRESHOLD_MS], s[numa.ADJUSTED_MS], s[numa.ADJUSTED_AT]) == (ref.threshold, *ref.adjusted)
        assert (s[numa.RATE_MS], s[numa.RATE_AT]) == ref.second
        assert (s[numa.WOKEN], s[numa.RUNNING], s[numa.IN_ROUND]) == (ref.woken, ref.running, ref.in_round)
        assert (s[numa.DEMOTED], s[numa.LOOKED], s[numa.LIMIT]) == ref.of_round
        assert (s[numa.PRIORITY], s[numa.FAILURES]) == (ref.priority, ref.failures)
        assert b.count.tolist() == [
            ref.promoted, ref.candidates, ref.late, ref.demoted, ref.changed, ref.faults, ref.stall_ns, ref.scan_ns, ref.looks,
            ref.runs,
        ]  # fmt: skip

    def listed(self, g: int) -> list[int]:
        """Pages of a generation from the oldest on, and that the way back is the same."""
        out, page = [], int(self.b.ends[g])
        while page >= 0:
            assert int(self.b.before[page]) == (out[-1] if out else -1)
            assert int(self.b.generation[page]) == g
            out.append(page)
            page = int(self.b.after[page])
        assert int(self.b.ends[4 + g]) == (out[-1] if out else -1)
        return out

    def run(self) -> None:
        now_ns = TICK_NS * self.from_tick
        tick = self.from_tick
        budget = int(self.rng.choice([20, 150, 1000]))
        for _ in range(STEPS):
            now_ns, before = now_ns + int(self.rng.integers(1, 40)) * 1_000_000, tick
            tick = now_ns // TICK_NS
            self.others(before)
            numa.hint_faults(self.b, self.memory, self.access, before, tick, now_ns)
            self.literal.touches(before, tick, now_ns)
            self.same()
            if self.rng.integers(3) == 0:
                numa.scan_window(self.b, self.memory, self.access, now_ns)
                self.literal.scan(now_ns)
                self.same()
            woken = int(self.rng.choice([0, 0, numa.NO_ROOM, numa.ARRIVED]))
            if woken:
                self.b.state[numa.WOKEN] = self.literal.woken = woken
            looks = self.literal.looks
            spent = kswapd.kswapd(self.b, self.memory, self.access, tick, budget)
            self.literal.kswapd(tick, budget)
            assert spent == self.literal.looks - looks
            self.same()


@pytest.mark.parametrize("seed", range(5))
def test_kernels_do_what_the_reference_does(seed: int) -> None:
    both = Both(seed)
    both.run()
    ref = both.literal
    assert min(ref.demoted, ref.faults, ref.changed, ref.looks, ref.runs) > 0
