"""A run without contexts: nothing happens by itself, but what is scheduled and what the kernel does without DAMON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..memory.physical import PhysicalMemory
from ..workload.access import AccessTable
from .balancing import NumaBalancer


class _Run(Protocol):
    """What is asked of a run: see `Engine`, which stands above this module."""

    memory: PhysicalMemory
    access: AccessTable
    balancer: NumaBalancer | None
    tick_us: int

    @property
    def stages(self) -> Sequence[Any]: ...
    def fire(self, now_ns: int) -> None: ...


def idle(
    engine: _Run, duration_us: int, every_us: int, sampled: Callable[[], None] | None, phase: Callable[[], None] | None
) -> None:
    """Let simulated time pass, in microseconds; see `Engine.run` for who is called."""
    clock, tick_us, change, balancer = engine.memory.arrays.clock, engine.tick_us, 0, engine.balancer
    start = int(clock[0]) // 1000
    stops = {*range(every_us, duration_us + 1, every_us), duration_us}
    stops |= {t * tick_us - start for t in engine.access.changes if 0 < t * tick_us - start <= duration_us}
    stops |= {at_us - start for at_us, _, _ in engine.stages if 0 < at_us - start <= duration_us}
    for at in sorted({0, *stops}):
        while balancer and balancer.next_ns <= (start + at) * 1000:
            clock[0] = balancer.next_ns
            balancer.step(engine.access.arrays)
        clock[0] = (start + at) * 1000
        engine.fire(int(clock[0]))
        if clock[0] // 1000 // tick_us >= change:
            change = engine.access.enter(int(clock[0]) // 1000 // tick_us)
            if phase:
                phase()
        if at and sampled:
            sampled()
