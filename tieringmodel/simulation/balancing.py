"""NUMA balancing and kswapd beside a run: when windows are due, whose time they take, what is counted.

Source: docs/theory/numa.md, sections 1 and 5.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..cost.constants import DEFAULT
from ..kernels import kswapd, numa
from ..kernels.layout import Access
from ..kernels.numa import Balancing
from ..kernels.random import mixed
from ..memory.physical import PhysicalMemory
from ..scenario import Scenario
from ..stored import like
from ..units import MIB, PAGE_SZ
from ..workload.access import AccessTable

LONGEST_STEP_MS, SHORTEST_STEP_MS = 100, 5
MOST_PAGES = 2**56
"""More than anybody promotes, and eleven times as much still fits the kernel's numbers."""
LONGEST_TICK = 256
"""A tick that its thread is at work on begins at most so many ticks before."""
OVERHEAD = 32
"""A thread scans again only after so many times the CPU time that its last window took."""
_PHASE = 0x4E554D41
_BY_PAGE = {"armed": "i4", "waiting": "i4", "queue": "i4", "queue_tick": "i4", "cleared": "i4", "flags": "u1"}
_LINKS = {"generation": "u1", "after": "i4", "before": "i4"}


class NumaBalancer:
    """The machine's NUMA balancing and kswapd, carried out in steps of at most `LONGEST_STEP_MS`.

    Parameters
    ----------
    scenario : Scenario
        Its machine has ``numa_balancing``.
    memory : PhysicalMemory
        Every page's frame is kept.
    access : AccessTable
        Who touches what.
    seed : int
        Of the run.

    Attributes
    ----------
    arrays : Balancing
        What kernels remember.
    next_ns : int
        When the next step is due.
    """

    def __init__(self, scenario: Scenario, memory: PhysicalMemory, access: AccessTable, seed: int) -> None:
        tick_us = access.tick_us
        machine, workload = scenario.machine, scenario.workload
        assert machine.numa_balancing is not None
        self.setting, self.memory, self.tick_ns = machine.numa_balancing, memory, tick_us * 1000
        self.tiering = self.setting.mode == "memory_tiering"
        self.rss_pages, self.seed, n = workload.n_pages, seed, memory.n_pages
        self.step_ns = 1_000_000 * min(max(self.setting.floor_ms(), SHORTEST_STEP_MS), LONGEST_STEP_MS)
        self.next_ns = memory.now_ns + self.step_ns
        self.tick = memory.now_ns // self.tick_ns
        self.cpu_ns, self.stamp_ns, self.stalled_ns, self.came, self.windows = 0, 0, 0, 0, 0
        look_us = 1e6 / self.setting.kswapd_pages_per_s if self.setting.kswapd_pages_per_s else DEFAULT.rmap_walk_us.default
        self.budget = max(round(self.step_ns / 1e3 / look_us), 1)
        mine = [zone for zone in self.setting.zones_of(machine.nodes) if zone.nid == machine.nodes[0].nid]
        marks = [[z.min, z.low, z.high, z.promo, z.protection_pages, z.managed if z is not mine[-1] else 0] for z in mine]
        mapped = sorted((v.start_bytes // PAGE_SZ, v.lo, v.hi) for v in workload.vmas) or [(0, 0, workload.n_pages)]
        vma = np.array([[lo, hi, start] for start, lo, hi in mapped], np.int64).T
        pages = {name: np.zeros(n, dtype) for name, dtype in _BY_PAGE.items()}
        links = {name: np.full(n, 255 if dtype == "u1" else -1, dtype) for name, dtype in _LINKS.items()}
        zone, ends = np.ascontiguousarray(np.array(marks, np.int64).T), np.full(8, -1, np.int64)
        state, count = np.zeros(numa.STATES, np.int64), np.zeros(numa.COUNTS, np.int64)
        own = {"setting": self._settings(scenario), "vma": np.ascontiguousarray(vma), "slow": self._slow()}
        self.arrays = Balancing(**pages, **links, ends=ends, zone=zone, state=state, count=count, **own)
        state[numa.PERIOD_MS] = self.setting.scan_period_ms or self.setting.scan_delay_ms
        state[numa.MAX_PERIOD_MS] = self.setting.periods_ms(self.rss_pages)[1]
        state[numa.NEXT_SCAN_MS] = 0 if self.setting.scan_period_ms else self.setting.scan_delay_ms
        state[numa.YOUNGEST] = 3
        state[numa.HIDDEN] = self._hidden()
        state[numa.ADJUSTED_MS] = -self.setting.set_before_ms
        if self.setting.scan_period_ms:  # windows ran before
            period_ns, first_ns = 1_000_000 * self.setting.scan_period_ms, 1_000_000 * self.setting.first_window_ms
            drawn_ns = period_ns * (mixed(seed ^ _PHASE) >> 32) >> 32
            self.cpu_ns = period_ns - round(first_ns * self.setting.cpu_share) if first_ns else drawn_ns
        numa.link_all(self.arrays, memory.arrays, access.arrays, bool(self.setting.scan_period_ms) and self.tiering)

    def _settings(self, scenario: Scenario) -> npt.NDArray[np.int64]:
        s, node = self.setting, scenario.machine.nodes[0]
        costs = (s.promote_fault_us, DEFAULT.promote_stall_us.default), (s.refuse_fault_us, DEFAULT.hint_fault_us.default)
        promote_ns, refuse_ns = (round(1e3 * (usual if given is None else given)) for given, usual in costs)
        out = np.zeros(numa.SETTINGS, np.int64)
        out[numa.SCAN_PAGES], out[numa.HZ] = s.scan_size_mb * MIB // PAGE_SZ, scenario.machine.hz
        out[numa.PROMOTE_NS], out[numa.REFUSE_NS] = promote_ns, refuse_ns
        out[numa.HOT_MS], out[numa.PERIOD_MAX_MS] = s.hot_threshold_ms, s.scan_period_max_ms
        out[numa.RATE_PAGES] = s.promote_rate_limit_mbps * (MIB // PAGE_SZ)
        out[numa.REFERENCE] = min(int(out[numa.RATE_PAGES]) * s.scan_period_max_ms // 1000, MOST_PAGES)
        out[numa.MARGIN] = max(262_144, node.sz_bytes // PAGE_SZ >> 4)
        out[numa.TIERING] = self.tiering
        out[numa.TICK_NS] = self.tick_ns
        out[numa.PTE_NS] = round(DEFAULT.scan_page_ns.default if s.scan_page_ns is None else s.scan_page_ns)
        return out

    def _slow(self) -> npt.NDArray[np.int64]:
        from_ms, factors = self.setting.fault_from_ms, self.setting.fault_factors
        return np.array([[0, *(1_000_000 * at for at in from_ms)], [1, *factors]], np.int64)

    def _hidden(self) -> int:
        return int(self.memory.arrays.node["free"][numa.TOP]) - self.memory.visible_free(numa.TOP)

    def step(self, access: Access) -> None:
        """Carry out what is due: faults of the touches since the last step, a window, kswapd's work.

        Parameters
        ----------
        access : Access
            Who touches what.
        """
        b, memory, now_ns = self.arrays, self.memory.arrays, self.next_ns
        state = b.state
        state[numa.HIDDEN] = self._hidden()
        own, came = int(b.count[numa.PROMOTED]), int(memory.node["migrated_in"][numa.TOP])
        others = came - self.came
        tick = now_ns // self.tick_ns
        numa.hint_faults(b, memory, _in_force(access, self.tick, tick), self.tick, tick, now_ns)
        if self.tiering and self.setting.windows_ms:
            self._scan_as_recorded(now_ns, access)
        elif self.tiering:
            self._scan(now_ns, access)
        if self.setting.demotion_enabled:
            if others and not state[numa.WOKEN]:
                state[numa.WOKEN] = numa.ARRIVED
            kswapd.kswapd(b, memory, access, tick, self.budget)
        self.came = came + int(b.count[numa.PROMOTED]) - own
        self.memory.note_free()
        self.tick = tick
        self.next_ns += self.step_ns

    def _scan(self, now_ns: int, access: Access) -> None:
        """Run a window if the thread has used as much CPU time as its period says, and the process' last one is old enough."""
        b, state, now_ms = self.arrays, self.arrays.state, now_ns // 1_000_000
        stalled = int(b.count[numa.STALL_NS])
        self.cpu_ns += min(round(self.step_ns * self.setting.cpu_share) + stalled - self.stalled_ns, self.step_ns)
        self.stalled_ns = stalled
        period_ms = int(state[numa.PERIOD_MS])
        if self.cpu_ns <= self.stamp_ns + period_ms * 1_000_000:
            return
        if self.stamp_ns == 0 and not self.setting.scan_period_ms:
            state[numa.PERIOD_MS] = self.setting.periods_ms(self.rss_pages)[0]
        self.stamp_ns += period_ms * 1_000_000
        if now_ms < state[numa.NEXT_SCAN_MS]:
            return
        state[numa.NEXT_SCAN_MS] = now_ms + state[numa.PERIOD_MS]
        before = int(b.count[numa.SCAN_NS])
        numa.scan_window(b, self.memory.arrays, access, now_ns)
        took_ns = int(b.count[numa.SCAN_NS]) - before
        self.cpu_ns += took_ns
        self.stamp_ns += 2 * 1_000_000_000 // self.memory.machine.hz + OVERHEAD * took_ns

    def _scan_as_recorded(self, now_ns: int, access: Access) -> None:
        """Scan at the times that are given, each time until entries change: windows that change none are not recorded."""
        b, state, times = self.arrays, self.arrays.state, self.setting.windows_ms
        while self.windows < len(times) and 1_000_000 * times[self.windows] <= now_ns:
            inside = bool(state[numa.VMA] or state[numa.OFFSET])
            begins = times[self.windows] in self.setting.passes_ms
            if begins and inside:
                state[[numa.VMA, numa.OFFSET]] = 0
                state[numa.SEQ] += 1
            self.windows += 1
            if not (begins or inside or state[numa.SEQ] == 0):
                continue  # nothing is left of the pass
            while not numa.scan_window(b, self.memory.arrays, access, now_ns) and (state[numa.VMA] or state[numa.OFFSET]):
                pass
            tick = now_ns // self.tick_ns
            oldest, place = max(tick - LONGEST_TICK, -1), mixed(self.seed ^ mixed(_PHASE + self.windows)) >> 32
            numa.finish_tick(b, self.memory.arrays, _in_force(access, oldest, tick), oldest, tick, place)

    @property
    def taken_ns(self) -> int:
        """Time that the workload's thread spent on hint faults and windows since the start, in ns."""
        return int(self.arrays.count[numa.STALL_NS] + self.arrays.count[numa.SCAN_NS])

    def columns(self, state: npt.NDArray[np.int64], count: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        """Return run variables (`OF_BALANCING`) from states and counters by record."""
        adjusted = state[:, numa.THRESHOLD_MS]
        return {
            "pgpromote_success": count[:, numa.PROMOTED],
            "pgpromote_candidate": count[:, numa.CANDIDATES],
            "pgpromote_candidate_nrl": count[:, numa.CANDIDATES_NRL],
            "pgdemote_kswapd": count[:, numa.DEMOTED_ALL],
            "numa_pte_updates": count[:, numa.PTE_UPDATES],
            "numa_hint_faults": count[:, numa.HINT_FAULTS],
            "pgscan_kswapd": count[:, numa.KSWAPD_LOOKS],
            "numa_stall_us": count[:, numa.STALL_NS] // 1000,
            "numa_scan_us": count[:, numa.SCAN_NS] // 1000,
            "numa_threshold_ms": np.where(adjusted, adjusted, self.setting.hot_threshold_ms),
            "numa_scan_period_ms": state[:, numa.PERIOD_MS],
        }

    # ---- stored ------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what is remembered as plain data and arrays (see `Stored`)."""
        return {"arrays": {name: getattr(self.arrays, name) for name in _KEPT}} | {name: getattr(self, name) for name in _PLAIN}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned for the same scenario.

        Raises
        ------
        KeyError, TypeError, ValueError
            If something is missing, or kernels could not follow it.
        """
        given = {name: like(getattr(self.arrays, name), state["arrays"][name], name) for name in _KEPT}
        _check(given, self.arrays.vma.shape[1], self.arrays.slow.shape[1])
        for name, array in given.items():
            getattr(self.arrays, name)[:] = array
        for name in _PLAIN:
            setattr(self, name, like(getattr(self, name), state[name], name))


def _in_force(access: Access, before: int, now: int) -> Access:
    """Return the rules that hold at some tick of (before, now] alone: faults are looked for page by page and tick by tick."""
    rule = access.rule
    holds = np.zeros(rule.size + 1, np.int64)
    holds[1:] = np.cumsum((rule["start"] <= now) & (rule["end"] > before + 1))
    kept = rule[np.diff(holds) > 0]
    return replace(access, first=holds[access.first], rule=kept if kept.size else rule[:1].copy())


_KEPT = tuple(name for name in Balancing.layout if name not in ("vma", "slow", "setting"))
_PLAIN = ("next_ns", "tick", "cpu_ns", "stamp_ns", "stalled_ns", "came", "windows")


def _check(given: dict[str, npt.NDArray[Any]], mappings: int, speeds: int) -> None:
    """Refuse what would lead kernels out of their arrays, or never end."""
    n, s = given["armed"].size, given["state"]
    for name in ("after", "before", "waiting", "queue", "ends"):
        low = -1 if name in ("after", "before", "ends") else 0
        if not ((given[name] >= low) & (given[name] < n)).all():
            raise ValueError(f"{name} holds a page that there is not")
    for at in (numa.WAITING, numa.QUEUED):
        if not 0 <= s[at] <= n:
            raise ValueError("more pages wait than there are")
    generation = given["generation"]
    inside = 0 <= s[numa.QUEUE_AT] < n and 0 <= s[numa.VMA] < mappings and s[numa.OFFSET] >= 0
    ages = s[numa.YOUNGEST] - s[numa.OLDEST]
    inside &= 0 <= s[numa.SLOW_AT] < speeds
    if not inside or not 1 <= ages <= 3 or s[numa.OLDEST] < 0 or not np.isin(generation, (0, 1, 2, 3, 255)).all():
        raise ValueError("a place or a generation is out of range")
    on, after = np.flatnonzero(generation != 255), given["after"]
    linked = after[on][after[on] >= 0]
    if np.unique(linked).size != linked.size or on.size != linked.size + np.count_nonzero(given["ends"][:4] >= 0):
        raise ValueError("generations are no lists")
