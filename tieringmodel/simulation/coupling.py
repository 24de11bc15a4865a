"""The loop between placement and workload, closed while a run goes on: from window to window accesses slow down or speed up.

A window ends, pages lie where they lie and so many of them have moved: that gives the throughput of the window, latencies and
loads, and the rates of touches in the next one. `kernels.coupled` does it, also while a kernel runs the loop over sampling
ticks. Source: docs/theory/coupling.md, sections 1, 8 and 9.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..cost.closed_loop import check_room, machine_of, no_fixed_point
from ..cost.constants import DEFAULT
from ..kernels import coupled as kernels
from ..memory.physical import PhysicalMemory
from ..scenario import Scenario
from ..scenario.performance import numbers_of, per_node
from ..stored import like, same_kind
from ..workload.access import AccessTable
from .balancing import NumaBalancer

_REMEMBERED = (
    "clock", "done", "phase_end_s", "moved_in", "used", "by_class", "waiting", "slowdown", "throughput", "working"
)  # fmt: skip
"""Arrays that decide how a run goes on."""


class _Run(Protocol):
    """What is asked of a run: see `Engine`, which stands above this module."""

    given: Scenario
    memory: PhysicalMemory
    access: AccessTable
    balancer: NumaBalancer | None
    tick_us: int


class Coupling:
    """A workload with a demand, on memory whose speed is known.

    Parameters
    ----------
    engine : Engine
        The run; its scenario has ``machine.performance`` and ``workload.demand``.
    window_s : float
        Length of a window.
    class_hz : ndarray of float64, shape (n_classes,)
        Where records find the touches per second of each class's pages; written at the end of each window.

    Attributes
    ----------
    arrays : Coupled
        What it knows and remembers.
    at : ndarray of int64, shape (n_nodes,)
        Position in the machine of each record.
    """

    def __init__(self, engine: _Run, window_s: float, class_hz: npt.NDArray[np.float64]) -> None:
        machine, workload = engine.given.machine, engine.given.workload
        assert machine.performance is not None
        assert workload.demand is not None
        self.engine, self.demand = engine, workload.demand
        records, nids = machine.performance.records, [n.nid for n in machine.nodes]
        prepared = machine_of(records, self.demand)
        check_room(prepared.background, prepared.peak, np.ones(len(records), np.bool_))
        groups, n, table = engine.access.workload.groups, len(records), engine.access
        self.groups, self.at = groups, np.array([nids.index(nid) for nid in numbers_of(records)], np.int64)
        own = [i for i, g in enumerate(groups) if g.threads is not None]
        crews = ([self.demand.threads] if len(own) < len(groups) else []) + [groups[i].threads or 0.0 for i in own]
        first = len(crews) - len(own)
        fast = int(np.argmin([record.idle_latency_ns for record in records]))
        tick_us, page_bytes, stall_s = engine.tick_us, engine.memory.page_bytes, DEFAULT.move_stall_us.default * 1e-6
        fact = self.demand.think_ns, self.demand.bytes_per_access, page_bytes, stall_s, records[fast].idle_latency_ns, tick_us
        phases = [(phase.work, [self.names.index(name) for name in phase.groups]) for phase in self.demand.phases]
        of_rule, out = table.own_rules(), [per_node(g.outstanding or self.demand.outstanding, n) for g in groups]
        member = [[i in of_class for of_class in table.groups_of_class] for i in range(len(groups))]
        clock = np.zeros(8, np.int64)
        clock[kernels.LAST], clock[kernels.TICK] = engine.memory.now_ns, tick_us * 1000
        clock[kernels.WINDOW] = round(window_s * 1e9)
        kind: Any = kernels.Coupled if len(crews) == 1 else kernels.CoupledCrews
        self.arrays = kind(
            **{name: getattr(prepared.curves, name) for name in prepared.curves.layout},
            at=self.at,
            background=prepared.background,
            fact=np.array(fact, np.float64),
            fast=np.array([fast]),
            out=np.array(out, np.float64).reshape(-1, n),
            member=np.array(member, np.float64).reshape(len(groups), -1),
            rate_hz=np.array([g.rate_hz for g in groups]),
            begin=np.array([g.start_tick for g in groups], np.int64),
            end=np.array([g.end_tick for g in groups], np.int64),
            crew=np.array([first + own.index(i) if i in own else 0 for i in range(len(groups))], np.int64),
            threads=np.array(crews, np.float64),
            work=np.array([work for work, _ in phases], np.float64),
            in_phase=np.array([[i in of_phase for i in range(len(groups))] for _, of_phase in phases], np.uint8).reshape(
                -1, len(groups)
            ),
            of_rule=of_rule,
            class_of_rule=table.class_of_rule,
            rule_hz=table.full_rates_hz,
            slowed_hz=np.zeros(of_rule.size),
            class_hz=class_hz,
            of_pages=np.array([sum(len(of_class) for of_class in table.groups_of_class)]),
            clock=clock,
            done=np.zeros(1),
            phase_end_s=np.zeros(len(phases)),
            moved_in=np.zeros(n),
            used=np.zeros(n),
            by_class=np.zeros((n, len(table.groups_of_class))),
            waiting=np.zeros(n),
            slowdown=np.ones(len(groups)),
            throughput=np.zeros(len(groups)),
            working=np.zeros(len(groups), np.uint8),
            row=np.zeros((64, kernels.PARTS + 2 * len(groups) + 4 * n)),
            **({} if kind is kernels.Coupled else {"several": np.zeros(1, np.int64)}),
        )
        self.step()

    @property
    def last_ns(self) -> int:
        """When the last window ended."""
        return int(self.arrays.clock[kernels.LAST])

    @property
    def end_ns(self) -> int:
        """When the present window ends: in its time, or when a phase's work is done at the present throughput."""
        return int(self.arrays.clock[kernels.END])

    @property
    def in_kernels(self) -> Coupling | None:
        """Itself, if kernels can end windows; what NUMA balancing takes from the workload is asked of Python."""
        return None if self.engine.balancer else self

    def ends_before(self, time_ns: int) -> bool:
        """End the present window if it ends before a time; return whether it does."""
        if self.end_ns >= time_ns:
            return False
        self.engine.memory.arrays.clock[0] = max(self.end_ns, self.engine.memory.now_ns)
        self.step()
        return True

    def with_room(self, until_ns: int) -> kernels.Coupled:
        """Return the arrays, with room for the rows of all windows that end up to a time, and of one more."""
        a: kernels.Coupled = self.arrays
        windows = (until_ns - self.last_ns) // int(a.clock[kernels.WINDOW]) + a.work.size + 3
        if int(a.clock[kernels.ROWS]) + windows > len(a.row):
            row = np.zeros((max(2 * len(a.row), int(a.clock[kernels.ROWS]) + windows), a.row.shape[1]))
            row[: len(a.row)] = a.row
            self.arrays = a = replace(a, row=row)
        return a

    def step(self) -> None:
        """End a window: what it was like, and how fast touches are from now on."""
        engine = self.engine
        taken_ns = engine.balancer.taken_ns if engine.balancer else 0
        arrays = self.with_room(self.last_ns)
        self.check(kernels.end_window(arrays, engine.memory.arrays, engine.access.arrays, np.int64(taken_ns)))

    def check(self, fits: bool) -> None:
        """Take note of what kernels did; refuse a window without loads and latencies that fit each other."""
        if not fits:
            raise no_fixed_point("a window")
        self.engine.access.slowed(self.arrays.slowed_hz)

    def keep_only(self, time_s: npt.NDArray[np.float64]) -> None:
        """Forget all windows in which none of these times lies, but the last one."""
        rows = self._rows()
        at = np.unique([*self._of_times(time_s).tolist(), len(rows) - 1])
        rows[: at.size] = rows[at]
        self.arrays.clock[kernels.ROWS] = at.size

    def _of_times(self, time_s: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Return in which window each time lies."""
        ends = self._rows()[:, kernels.END_S]
        return np.minimum(np.searchsorted(ends, time_s - 1e-9), ends.size - 1)

    def columns(self, time_s: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[Any]]:
        """Return run variables at given times: what is known of the window that each lies in."""
        groups, n, row = len(self.groups), self.at.size, self._rows()[self._of_times(time_s)]
        by_group = row[:, kernels.PARTS : kernels.PARTS + 2 * groups].reshape(-1, 2, groups)
        by_node = row[:, kernels.PARTS + 2 * groups :].reshape(-1, 4, n)[:, :, np.argsort(self.at)]
        return {
            "throughput_per_s": by_group[:, 0],
            "node_latency_ns": by_node[:, 0],
            "node_load_gbps": by_node[:, 1],
            "slowdown": by_group[:, 1],
            "migration_gbps": by_node[:, 2],
            "migration_waiting_bytes": by_node[:, 3],
            "phase": row[:, kernels.PHASE].astype(np.int64),
        }

    def _rows(self) -> npt.NDArray[np.float64]:
        return np.asarray(self.arrays.row[: self.arrays.clock[kernels.ROWS]])

    def state(self) -> dict[str, Any]:
        """Return what it remembers between two windows, as plain data and arrays."""
        return {name: getattr(self.arrays, name) for name in _REMEMBERED} | {"row": self._rows()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned, and let touches be as fast as they were.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is not what such a run could have stored.
        """
        a, fixed = self.arrays, self.arrays.clock[[kernels.WINDOW, kernels.TICK]].tolist()
        for name in _REMEMBERED:
            getattr(a, name)[:] = like(getattr(a, name), state[name], name)
        rows = same_kind(state["row"], "row", np.dtype(np.float64), (max(int(a.clock[kernels.ROWS]), 1), a.row.shape[1]))
        if fixed != a.clock[[kernels.WINDOW, kernels.TICK]].tolist() or not 0 <= a.clock[kernels.PHASES_OVER] <= a.work.size:
            raise ValueError("the windows are not those of this run")
        self.arrays = replace(a, row=rows.copy())
        kernels.touch_as_found(self.arrays, self.engine.access.arrays, self.engine.memory.now_ns // int(a.clock[kernels.TICK]))
        self.engine.access.slowed(a.slowed_hz)

    def described_phases(self) -> list[dict[str, Any]]:
        """Return the phases as plain data: groups, work, and when it was done, in seconds, None if it was not."""
        over = int(self.arrays.clock[kernels.PHASES_OVER])
        ends = [*self.arrays.phase_end_s[:over].tolist(), *[None] * len(self.demand.phases)]
        return [
            {"groups": list(phase.groups), "work": phase.work, "end_s": end_s}
            for phase, end_s in zip(self.demand.phases, ends, strict=False)
        ]

    @property
    def names(self) -> list[str]:
        """The groups' names."""
        return [g.name or f"group{i}" for i, g in enumerate(self.groups)]
