"""How fast pages migrate, with pages and free frames in one piece or scattered."""

from __future__ import annotations

from functools import partial

import numpy as np

from tieringmodel.kernels import apply, bits
from tieringmodel.kernels import layout as L
from tieringmodel.memory.physical import PhysicalMemory
from tieringmodel.simulation.engine import Engine

from .baselines.same_algorithm import SameAlgorithm
from .measure import Spread, Table, Work, gate, interleaved, ratio
from .scenarios import tiered

PAGES = 65_536


def scatter(memory: PhysicalMemory, seed: int) -> None:
    """Deal the pages to random frames, so that neither pages nor free frames lie together."""
    m = memory.arrays
    n_frames = int(m.base[-1] + m.frames[-1])
    records = m.rec[m.rec & L.LOW32 != 0]
    frames = np.random.default_rng(seed).permutation(n_frames)[: records.size]
    m.rec[:] = 0
    m.rec[frames] = records
    used = m.rec != 0
    m.lru_bits[:] = np.packbits(used, bitorder="little").view(np.uint64)
    m.free_bits[:] = ~m.lru_bits
    bits.recount(m.lru_bits, m.lru_512, m.lru_256k)
    bits.recount(m.free_bits, m.free_512, m.free_256k)
    node = np.searchsorted(m.base, frames, side="right") - 1
    m.by_class[:] = 0
    np.add.at(m.by_class, (node, (records >> L.SHIFT32).astype(np.int64)), 1)
    m.node["lru"] = m.by_class.sum(1)
    m.node["free"] = m.frames - m.node["lru"]
    m.node["hint"] = m.base // bits.BLOCK


class Moves:
    """The same memory for the kernel and for numpy; a call moves one stretch of frames up and one down."""

    def __init__(self, footprint: int, scattered: bool) -> None:
        scenario = tiered(footprint, used_share=0.5)
        self.engine, self.numpy = Engine(scenario, seed=1), SameAlgorithm(scenario, seed=1)
        memory = self.engine.memory
        if scattered:
            scatter(memory, 1)
        n, m = self.numpy, memory.arrays
        n.records[:] = m.rec
        n.free = m.node["free"].tolist()
        n.free_512 = [m.free_512[base // 512 : (base + size) // 512].astype(np.int64)
                      for base, size in zip(m.base.tolist(), m.frames.tolist(), strict=True)]  # fmt: skip
        self.cursor = np.zeros(1, L.CURSOR)
        self.scattered = scattered
        self.moved: dict[str, list[int]] = {"kernel": [], "numpy": []}

    def stretches(self, seed: int) -> list[tuple[int, int, int]]:
        """Return (first frame, last frame, target): about `PAGES` pages on each node, elsewhere in every round."""
        m, out = self.engine.memory.arrays, []
        rng = np.random.default_rng(seed)
        for node, target in ((1, 0), (0, 1)):
            size = int(m.frames[node])
            length = min(PAGES * (2 if self.scattered else 1), size // 4)
            used = size // 2 if not self.scattered else size
            first = int(m.base[node]) + int(rng.integers(0, max(used - length, 1)))
            out.append((first, first + length, target))
        return out

    def kernel(self, seed: int) -> Work:
        """Let the application pass's action do it."""
        return partial(self._kernel, self.stretches(seed))

    def _kernel(self, stretches: list[tuple[int, int, int]]) -> None:
        k, cursor, moved = self.engine.kdamonds[0], self.cursor[0], 0
        row = k.schemes[0].copy()
        for first, last, target in stretches:
            row["target"], cursor["start"], cursor["end"] = target, first * 4096, last * 4096
            pages = k.space, k.memory.arrays, k.access.arrays, 0
            apply.apply_one(cursor, row, k.filters, k.control.dest, *pages, k.funnel[0], k.rejected)
            moved += int(cursor["applied"]) // 4096
        self.moved["kernel"].append(moved)

    def other(self, seed: int) -> Work:
        """Let numpy do it."""
        return partial(self._other, self.stretches(seed))

    def _other(self, stretches: list[tuple[int, int, int]]) -> None:
        n = self.numpy
        before = n.migrated
        for first, last, n.setting.target in stretches:
            n.migrate(first, last)
        self.moved["numpy"].append(n.migrated - before)

    def agree(self) -> bool:
        """Tell whether both ended with the same pages on the same frames."""
        return self.moved["kernel"] == self.moved["numpy"] and np.array_equal(self.engine.memory.arrays.rec, self.numpy.records)


def table(footprints: list[tuple[str, int]], rounds: int) -> Table:
    """Answer how fast migration is."""
    t = Table(
        "Migration: million pages per second, both directions",
        ("memory", "frames lie", "pages a round", "kernel", "numpy", "ratio", "gate", "equal"),
        "The kernel keeps bitmaps, block counts and counts by class; numpy records and free counts only. Gates: 15 million\n"
        "scattered pages a second from 64 GiB on, and 4 times numpy at 1 TiB.",
    )
    for label, footprint in footprints:
        for scattered in (False, True):
            moves = Moves(footprint, scattered)
            took = interleaved({"kernel": moves.kernel, "numpy": moves.other}, rounds)
            pages = moves.moved["kernel"][1:]
            rate = {
                name: Spread.of([1e-6 * n / s for n, s in zip(pages, seconds, strict=True)]) for name, seconds in took.items()
            }
            gain = ratio(took["numpy"], took["kernel"])
            fast = not scattered or footprint < 64 << 30 or rate["kernel"].median >= 15
            verdict = gate(fast and (footprint < 1 << 40 or gain.median >= 4)) if footprint >= 64 << 30 else ""
            t.add(
                label, "scattered" if scattered else "together", round(np.mean(pages)), rate["kernel"], rate["numpy"],
                gain, verdict, moves.agree(),
            )  # fmt: skip
    return t
