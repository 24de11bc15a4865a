"""The loop between placement and workload, closed while a run goes on: from window to window accesses slow down or speed up.

A window ends, pages lie where they lie and so many of them have moved: that gives the throughput of the window, latencies and
loads, and the rates of touches in the next one. Source: docs/theory/coupling.md, sections 1, 8 and 9.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..cost.closed_loop import check_room, fixed_points, machine_of
from ..cost.constants import DEFAULT
from ..scenario.performance import numbers_of, per_node
from ..stored import like, same_kind

if TYPE_CHECKING:
    from .engine import Engine

MOST = 0.95
"""Share of a bandwidth up to which copies of pages join the background."""
LEAST_AWAKE = 1e-3
"""Share of its threads that a class keeps however many of them stalls would stop."""

_REMEMBERED = ("slowdown", "throughput", "moved_in", "waiting", "by_class", "used")
"""Arrays that decide how a run goes on."""


class Coupling:
    """A workload with a demand, on memory whose speed is known.

    Parameters
    ----------
    engine : Engine
        The run; its scenario has ``machine.performance`` and ``workload.demand``.
    window_s : float
        Length of a window.
    """

    def __init__(self, engine: Engine, window_s: float) -> None:
        machine, workload = engine.given.machine, engine.given.workload
        assert machine.performance is not None
        assert workload.demand is not None
        self.engine, self.demand, self.window_s = engine, workload.demand, window_s
        records, nids = machine.performance.records, [n.nid for n in machine.nodes]
        self.at = np.array([nids.index(nid) for nid in numbers_of(records)])
        """Position in the machine of each record."""
        self.prepared = machine_of(records, self.demand)
        check_room(self.prepared.background, self.prepared.peak, np.ones(len(records), np.bool_))
        self.groups = engine.access.workload.groups
        n = len(records)
        self.out = np.array([per_node(g.outstanding or self.demand.outstanding, n) for g in self.groups]).reshape(-1, n)
        shared = [i for i, g in enumerate(self.groups) if g.threads is None]
        self.crews = [shared] if shared else []
        self.crews += [[i] for i, g in enumerate(self.groups) if g.threads is not None]
        self.threads = np.array([self.groups[crew[0]].threads or self.demand.threads for crew in self.crews])
        members = engine.access.groups_of_class
        self.member = np.array([[i in of_class for of_class in members] for i in range(len(self.groups))], np.float64)
        self.fast = int(np.argmin([record.idle_latency_ns for record in records]))
        self.idle_ns = records[self.fast].idle_latency_ns
        self.changes = engine.access.changes
        names = self.names
        self.phases = [(phase.work, [names.index(name) for name in phase.groups]) for phase in self.demand.phases]
        self.phase_ends_s: list[float] = []
        """When the phases were over that are over."""
        self.work_done = 0.0
        self.throughput = np.zeros(len(self.groups))
        """Of each group in the present window, as far as is known before its end."""
        self.slowdown = np.ones(len(self.groups))
        self.moved_in = np.zeros(n)
        self.waiting = np.zeros(n)
        self.by_class = np.zeros((n, self.member.shape[1]))
        self.used = np.zeros(n)
        self.last_ns, self.taken_ns = engine.memory.now_ns, 0
        self.ends_s: list[float] = []
        self.parts: dict[str, list[npt.NDArray[np.float64]]] = {}
        self.seen: tuple[Any, ...] = ()
        self._moved()
        self.step()

    def _moved(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return pages read at and written to each node since the last call, and pages moved by class."""
        memory = self.engine.memory.arrays
        node = memory.node[self.at]
        came = node["migrated_in"].astype(np.float64)
        used = (node["total"] - node["free"]).astype(np.float64)
        by_class = memory.by_class[self.at].astype(np.float64)
        came_in, grown, shifted = came - self.moved_in, used - self.used, np.abs(by_class - self.by_class).sum(axis=0) / 2
        self.moved_in, self.used, self.by_class = came, used, by_class
        left = np.maximum(came_in - grown, 0.0)
        total = came_in.sum()
        weight = shifted if shifted.sum() > 0 else by_class.sum(axis=0)
        return came_in + left, total * weight / max(weight.sum(), 1.0)

    def _as_before(self, tick: int) -> bool:
        """Whether nothing moved in the last two windows, nothing waits, and the same groups are at work."""
        memory = self.engine.memory.arrays
        at_work = bisect_right(self.changes, tick), len(self.phase_ends_s), self._taken_ns()
        state = (memory.node["migrated_in"].tobytes(), memory.by_class.tobytes(), at_work)
        self.seen, before = (*self.seen[-2:], state), self.seen
        return len(before) == 3 and all(one == state for one in before[1:]) and not self.waiting.any()

    def step(self) -> None:
        """End a window: what it was like, and how fast touches are from now on."""
        engine, n = self.engine, self.at.size
        now_ns = engine.memory.now_ns
        span_ns = max(now_ns - self.last_ns, 1)
        tick = now_ns // (engine.tick_us * 1000)
        first, self.last_ns = not self.ends_s, now_ns
        self.ends_s.append(now_ns * 1e-9)
        if self._as_before(tick):
            for kept in self.parts.values():
                kept.append(kept[-1])
            if self._ends_a_phase(span_ns):
                self._go_on(tick, np.zeros(n), np.zeros(self.by_class.shape[1]))
            return
        copied, of_class = self._moved() if not first else (np.zeros(n), np.zeros(self.by_class.shape[1]))
        room = np.maximum(MOST * self.prepared.peak - self.prepared.background, 0.0)
        asked = self.waiting + copied * engine.memory.page_bytes
        copies = np.minimum(asked / span_ns, room)
        self.waiting = np.maximum(asked - copies * span_ns, 0.0)
        back = np.argsort(self.at)
        found = {
            **self._go_on(tick, copies, of_class * 1e9 / span_ns, (self._taken_ns() - self.taken_ns) / span_ns),
            "migration_gbps": copies[back],
            "migration_waiting_bytes": self.waiting[back],
            "phase": np.array(len(self.phase_ends_s)),
        }
        self.taken_ns = self._taken_ns()
        for name, values in found.items():
            self.parts.setdefault(name, []).append(values)
        if not first and self._ends_a_phase(span_ns):
            self._go_on(tick, np.zeros(n), np.zeros(self.by_class.shape[1]))

    def _go_on(
        self, tick: int, copies: npt.NDArray[np.float64], per_s: npt.NDArray[np.float64], faulting: float = 0.0
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Find where pages as they lie, and the groups at work, come to rest, and let touches be as fast from now on.

        `copies` are bytes per ns on each node, `per_s` pages that move each second by class, `faulting` threads that are in
        hint faults and scan windows, whichever group's accesses they miss.
        """
        n, size = self.at.size, self.demand.bytes_per_access
        rates = np.array([g.rate_hz if g.start_tick <= tick < g.end_tick else 0.0 for g in self.groups])
        rates[self._idle_groups()] = 0.0
        pages = self.member @ self.by_class.T
        accesses = rates * pages.sum(axis=1)
        stalled = self._stalled(rates, per_s) + faulting * accesses / max(accesses.sum(), 1e-300)
        crews = [k for k, crew in enumerate(self.crews) if accesses[crew].sum() > 0]
        throughput, slowdown = np.zeros(len(self.groups)), np.full(len(self.groups), np.nan)
        weight, moved = np.zeros((1, max(len(crews), 1), n)), np.zeros((1, max(len(crews), 1), n))
        idle, threads = np.zeros(len(crews)), np.full((1, max(len(crews), 1)), 1e-9)
        if not crews:
            weight[..., self.fast], moved[..., self.fast] = 1.0, size
        part = np.zeros(len(self.groups))
        for row, k in enumerate(crews):
            crew = self.crews[k]
            part[crew] = accesses[crew] / accesses[crew].sum()
            at = part[crew, None] * pages[crew] / np.maximum(pages[crew].sum(axis=1, keepdims=True), 1.0)
            weight[0, row], moved[0, row] = (at / self.out[crew]).sum(axis=0), size * at.sum(axis=0)
            idle[row] = (part[crew] / self.out[crew, self.fast]).sum() * (self.demand.think_ns + self.idle_ns)
            threads[0, row] = max(self.threads[k] - stalled[crew].sum(), LEAST_AWAKE * self.threads[k])
        fixed = self.demand.think_ns * weight.sum(axis=2)
        rate, latency, load = fixed_points(
            self.prepared, self.prepared.background[None] + copies, weight, moved, fixed, threads
        )
        for row, k in enumerate(crews):
            crew = self.crews[k]
            throughput[crew] = part[crew] * rate[0, row] * 1e9
            slowdown[crew] = np.where(part[crew] > 0, self.threads[k] / idle[row] / rate[0, row], np.nan)
        self.slowdown, self.throughput = np.nan_to_num(slowdown, nan=1.0), throughput
        self._slow_down()
        back = np.argsort(self.at)
        return {
            "throughput_per_s": throughput,
            "node_latency_ns": latency[0, back],
            "node_load_gbps": load[0, back],
            "slowdown": slowdown,
        }

    def _slow_down(self) -> None:
        """Let each group touch its pages as fast as it is found to, and not at all outside its phases."""
        slowed = self.slowdown.copy()
        slowed[self._idle_groups()] = np.inf
        self.engine.access.slow_down(slowed)

    def _ends_a_phase(self, span_ns: int) -> bool:
        """Add what its groups did in a window to the present phase's work; whether that is done now."""
        at = len(self.phase_ends_s)
        if at == len(self.phases):
            return False
        work, groups = self.phases[at]
        self.work_done += float(self.throughput[groups].sum()) * span_ns * 1e-9
        if self.work_done < work * (1 - 1e-9):
            return False
        self.phase_ends_s.append(self.last_ns * 1e-9)
        self.work_done = 0.0
        return True

    def _idle_groups(self) -> list[int]:
        """Return the groups of phases that are over, or have not begun, and of no present one."""
        at = len(self.phase_ends_s)
        at_work = {i for _, groups in self.phases[at : at + 1] for i in groups}
        return sorted({i for _, groups in self.phases for i in groups} - at_work)

    def window_end_ns(self) -> int:
        """Return when the present window ends: in its time, or when a phase's work is done at the present throughput."""
        at, window_ns = len(self.phase_ends_s), round(self.window_s * 1e9)
        length_ns = window_ns - self.last_ns % window_ns
        for work, groups in self.phases[at : at + 1]:
            per_ns = float(self.throughput[groups].sum()) * 1e-9
            if work - self.work_done < per_ns * length_ns:
                length_ns = min(max(math.ceil((work - self.work_done) / per_ns), self.engine.tick_us * 1000), length_ns)
        return self.last_ns + length_ns

    def _stalled(self, rates: npt.NDArray[np.float64], per_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return how many threads of each group wait on average for a page that moves, at pages per second by class."""
        stall_s = DEFAULT.move_stall_us.default * 1e-6
        hz = self.member * (rates / self.slowdown)[:, None]
        total = hz.sum(axis=0)
        waits = per_s * -np.expm1(-total * stall_s) * stall_s
        return np.asarray((hz / np.where(total > 0, total, 1.0) * waits).sum(axis=1))

    def _taken_ns(self) -> int:
        """Return the time that NUMA balancing has taken from the workload's thread, in ns."""
        return self.engine.balancer.taken_ns if self.engine.balancer else 0

    def keep_only(self, time_s: npt.NDArray[np.float64]) -> None:
        """Forget all windows in which none of these times lies, but the last one."""
        at = np.unique([*self._at(time_s).tolist(), len(self.ends_s) - 1]).tolist()
        self.ends_s = [self.ends_s[i] for i in at]
        self.parts = {name: [values[i] for i in at] for name, values in self.parts.items()}

    def _at(self, time_s: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        return np.minimum(np.searchsorted(self.ends_s, time_s - 1e-9), len(self.ends_s) - 1)

    def columns(self, time_s: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[Any]]:
        """Return run variables at given times: what is known of the window that each lies in."""
        at = self._at(time_s)
        return {name: np.array(values)[at] for name, values in self.parts.items()}

    def state(self) -> dict[str, Any]:
        """Return what it remembers between two windows, as plain data and arrays."""
        parts = {name: np.array(values) for name, values in self.parts.items()}
        now = {name: getattr(self, name) for name in _REMEMBERED}
        ends = {"ends_s": np.array(self.ends_s), "phase_ends_s": np.array(self.phase_ends_s)}
        return now | ends | {"parts": parts, "last_ns": self.last_ns, "work_done": self.work_done}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned, and let touches be as fast as they were.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is not what such a run could have stored.
        """
        for name in _REMEMBERED:
            setattr(self, name, like(getattr(self, name), state[name], name))
        self.last_ns = like(self.last_ns, state["last_ns"], "last_ns")
        self.work_done = like(self.work_done, state["work_done"], "work_done")
        self.ends_s, self.phase_ends_s = state["ends_s"].tolist(), state["phase_ends_s"].tolist()
        if len(self.phase_ends_s) > len(self.phases):
            raise ValueError("more phases are over than there are")
        kept = {name: state["parts"][name] for name in self.parts}
        for name, values in kept.items():
            shape = (len(self.ends_s), *np.shape(self.parts[name][-1]))
            self.parts[name] = list(same_kind(values, name, np.asarray(self.parts[name][-1]).dtype, shape))
        self.seen = ()
        self._slow_down()

    def described_phases(self) -> list[dict[str, Any]]:
        """Return the phases as plain data: groups, work, and when it was done, in seconds, None if it was not."""
        ends = [*self.phase_ends_s, *[None] * len(self.phases)]
        return [
            {"groups": list(phase.groups), "work": phase.work, "end_s": end_s}
            for phase, end_s in zip(self.demand.phases, ends, strict=False)
        ]

    @property
    def names(self) -> list[str]:
        """The groups' names."""
        return [g.name or f"group{i}" for i, g in enumerate(self.groups)]
