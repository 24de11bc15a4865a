"""The access checks of a kdamond: it picks addresses, looks at their pages, and counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels import layout as L
from ..kernels import sampling
from ..memory.physical import PhysicalMemory
from ..scenario.linux import Rules
from ..stored import Stored
from ..units import PAGE_SZ
from ..workload.access import AccessTable
from .regions import RegionSet, scratch
from .rng import Rng


class InTurn:
    """A whole number in a kdamond's TURN record."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, kdamond: Any, owner: type) -> int:
        return int(kdamond.turn[self.name])

    def __set__(self, kdamond: Any, value: int) -> None:
        kdamond.turn[self.name] = value


IN_TURN = {
    "cuts": "apply_min_nr_regions",
    "any_tick": "commit_any_tick",
    "splits_some": "split_some_regions",
    "fix_sums": "fix_mvsum_at_reset",
}
"""Rules that the TURN record tells kernels of, by its fields."""
OF_THIS_RUN = ("wants", "every", "lists", "pending", "by_ticks")
"""Fields of the TURN record that are not stored: they tell who looks on."""


def first_glance() -> npt.NDArray[np.int64]:
    """Return what a kernel that repeats its last answer remembers before the first: address 0, 4 KiB, not accessed."""
    return np.array([0, PAGE_SZ, 0], np.int64)


class Monitor(Stored):
    """What of a kdamond looks at pages; its fields are the kdamond's."""

    access: AccessTable
    by_address: bool
    glance: npt.NDArray[np.int64]
    memory: PhysicalMemory
    regions: RegionSet
    rng: Rng
    rules: Rules
    schemes: npt.NDArray[Any]
    space: L.Space
    turn: Any
    _frames: npt.NDArray[np.int64]
    _scratch: L.Scratch

    passed, tick = InTurn(), InTurn()

    @property
    def next_apply(self) -> list[int]:
        """The samples at which each scheme is due next."""
        return [int(at) for at in self.schemes["next_apply"]]

    @next_apply.setter
    def next_apply(self, at: Sequence[int]) -> None:
        self.schemes["next_apply"] = at

    def sample(self, after: npt.NDArray[np.int64], until: npt.NDArray[np.int64]) -> None:
        """Prepare and check once per window (`after`, `until`] of workload ticks; nobody else disturbs the pages."""
        access = self.access.arrays
        own = self.regions.now, self.regions.ptr, after, until, self.space, self.memory.arrays, access, self.rng
        if not self.rules.fresh_look:
            sampling.sample_reusing(*own, self.glance)
        elif access.plain:
            sampling.sample_plain(*own, self._room_to_sample())
        else:
            sampling.sample_rules(*own, self._room_to_sample())
        self.passed += after.size
        self.tick = int(until[-1])

    def _room_to_sample(self) -> L.Scratch:
        if self._scratch.record.size <= self.regions.n:
            self._scratch = scratch(2 * self.regions.n)
        return self._scratch

    def begin_turns(self) -> None:
        """Let kernels have the places of the prepared checks, for `ticks.run_in_turn`."""
        frames = self._frames[: self.regions.n]
        self._room_to_sample().place[: frames.size] = frames

    def end_turns(self) -> None:
        """Take them back."""
        n = self.regions.n
        if self._frames.size < n:
            self._frames = np.zeros(2 * n, np.int64)
        self._frames[:n] = self._scratch.place[:n]

    def prepare(self) -> None:
        """Pick sampling addresses and clear the pages' accessed state, at the end of the present tick."""
        if self._frames.size < self.regions.n:
            self._frames = np.zeros(2 * self.regions.n, np.int64)
        r, frames = self.regions, self._frames
        sampling.prepare_checks(r.now, r.ptr, self.tick, self.space, self.memory.arrays, self.rng, frames, self.by_address)

    def check(self, tick: int) -> None:
        """Check the prepared addresses at workload tick `tick`."""
        self.tick = tick
        r, pages = self.regions, (self.space, self.memory.arrays, self.access.arrays)
        if self.rules.fresh_look:
            sampling.check_accesses(r.now, r.ptr, tick, *pages, self._frames, self.by_address)
        else:
            sampling.check_reusing(r.now, r.ptr, tick, *pages, self._frames, self.glance)
        self.passed += 1
