"""A placement that knows the workload: at every change of accesses it moves just as many pages as the target asks for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..kernels import frames, mixed
from ..scenario.controlled import Controlled
from ..workload.truth import page_rates
from .engine import Engine


class Oracle:
    """Moves pages at the start and at every phase change, and at no other time; folios of several pages whole.

    Parameters
    ----------
    engine : Engine
        A run without contexts.
    what : Controlled
        The share to reach.
    """

    def __init__(self, engine: Engine, what: Controlled) -> None:
        self.engine, self.what = engine, what

    def __call__(self) -> None:
        """Bring the controlled share to its target for the accesses that begin now."""
        engine = self.engine
        memory = engine.memory
        inside = memory.index_of(self.what.nid)
        rate = page_rates(engine.access.workload, memory.now_ns // (engine.tick_us * 1000), engine.tick_us)
        here = memory.node_of_pages() == inside
        if self.what.kind == "access":
            move_in, move_out = self._for_access(rate, here)
        else:
            move_in, move_out = self._for_used(rate, here, inside)
        outside = next(i for i in range(memory.nids.size) if i != inside)
        self._migrate(move_out, outside)
        self._migrate(move_in, inside)
        if move_in.size and (left := np.flatnonzero(memory.node_of_pages()[move_in] != inside)).size:
            cold = np.flatnonzero((memory.node_of_pages() == inside) & (rate == 0))[: left.size]
            self._migrate(cold, outside)
            self._migrate(move_in[left], inside)

    def _for_access(
        self, rate: npt.NDArray[np.float64], here: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        none = np.zeros(0, np.int64)
        total = rate.sum()
        if total == 0:
            return none, none
        missing = self.what.target_bp / 1e4 * total - rate[here].sum()
        candidates = np.flatnonzero((~here if missing > 0 else here) & (rate > 0))
        candidates = candidates[np.argsort(-rate[candidates], kind="stable")]
        served = np.cumsum(rate[candidates])
        chosen = candidates[: int(np.searchsorted(served, abs(missing) + rate[candidates].max(initial=0) / 2))]
        return (chosen, none) if missing > 0 else (none, chosen)

    def _for_used(
        self, rate: npt.NDArray[np.float64], here: npt.NDArray[np.bool_], inside: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        memory = self.engine.memory
        total, used = int(memory.arrays.node["total"][inside]), int(memory.used_pages()[inside])
        keep = int(here.sum()) + total * self.what.target_bp // 10_000 - used
        order = np.argsort(-rate - 1e-9 * here, kind="stable")
        wanted = np.zeros(rate.size, bool)
        wanted[order[: max(keep, 0)]] = True
        return np.flatnonzero(wanted & ~here), np.flatnonzero(~wanted & here)

    def _migrate(self, pages: npt.NDArray[np.int64], target: int) -> None:
        memory = self.engine.memory
        frame = memory.frame_of[pages].astype(np.int64)
        if memory.arrays.folio is not None:
            mixed.migrate_whole(memory.arrays, frame, target)
            return
        source = np.searchsorted(memory.arrays.base, frame, side="right") - 1
        frames.migrate_chosen(memory.arrays, frame, source.astype(np.int64), np.full(pages.size, target, np.int64))
