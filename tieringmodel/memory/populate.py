"""Where pages lie when a run starts: runs of frames, written chunk by chunk so that no second copy of anything exists."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..kernels import bits
from ..kernels.layout import SHIFT32, Memory
from ..scenario import Placement

CHUNK = 1 << 20
Run = tuple[int, int]


class Filler:
    """Puts pages on the free frames of an empty memory.

    Parameters
    ----------
    memory : Memory
        All frames free; counts are brought up to date by `finish`.
    classes : ndarray of uint16, shape (n_pages,)
        Access class of each page.
    """

    def __init__(self, memory: Memory, classes: npt.NDArray[np.uint16]) -> None:
        self.memory, self.classes = memory, classes
        self.runs: list[list[Run]] = [
            [(base, base + size)] for base, size in zip(memory.base.tolist(), memory.frames.tolist(), strict=True)
        ]
        for ((a, b),) in self.runs:
            bits.fill_bits(memory.free_bits, a, b, True)

    def free(self, i: int) -> int:
        """Return how many frames of node index i are free."""
        return sum(b - a for a, b in self.runs[i])

    def occupy(self, i: int, n: int) -> list[Run]:
        """Take the n lowest free frames of node index i; return them as runs."""
        taken, left = [], self.runs[i]
        while n:
            a, b = left.pop(0)
            if b - a > n:
                left.insert(0, (a + n, b))
                b = a + n
            taken.append((a, b))
            bits.fill_bits(self.memory.free_bits, a, b, False)
            n -= b - a
        return taken

    def at(self, i: int, frame: int, lo: int, hi: int) -> int:
        """Put pages lo … hi - 1 on consecutive frames of node index i; return the first page whose frame is taken, or hi."""
        end = frame + hi - lo
        for k, (a, b) in enumerate(self.runs[i]):
            if a <= frame < b and end <= b:
                self.runs[i][k : k + 1] = [run for run in ((a, frame), (end, b)) if run[0] < run[1]]
                bits.fill_bits(self.memory.free_bits, frame, end, False)
                self._write(i, frame, lo, hi)
                return hi
        reach = frame
        for a, b in self.runs[i]:
            reach = b if a <= reach < b else reach
        return lo + reach - frame

    def lowest(self, lo: int, hi: int, order: list[int]) -> None:
        """Put pages lo … hi - 1 on the lowest free frames of the first nodes in `order` that have any."""
        for i in order:
            n = min(hi - lo, self.free(i))
            for a, b in self.occupy(i, n):
                self._write(i, a, lo, lo + b - a)
                lo += b - a

    def interleaved(self, place: Placement) -> None:
        """Put page lo + k on the node whose interval of cumulated weights holds k mod their sum (the next one if full)."""
        edges, nodes = np.cumsum(place.weights), len(place.weights)
        page = place.lo
        while page < place.hi:
            free = [self.free(i) for i in range(nodes)]
            if not any(free):
                return
            heirs = [next(i for i in [*range(k, nodes), *range(k)] if free[i]) for k in range(nodes)]
            offset = np.arange(page - place.lo, min(page + CHUNK, place.hi) - place.lo)
            node = np.array(heirs)[np.searchsorted(edges, offset % edges[-1], side="right")]
            of_node = [np.flatnonzero(node == i) for i in range(nodes)]
            cut = min([node.size, *(int(at[n]) for at, n in zip(of_node, free, strict=True) if at.size > n)])
            for i, at in enumerate(of_node):
                pages = page + at[at < cut]
                for a, b in self.occupy(i, pages.size):
                    self._store(i, a, pages[: b - a])
                    pages = pages[b - a :]
            page += cut

    def _write(self, i: int, frame: int, lo: int, hi: int) -> None:
        for start in range(lo, hi, CHUNK):
            self._store(i, frame + start - lo, np.arange(start, min(start + CHUNK, hi)))

    def _store(self, i: int, frame: int, pages: npt.NDArray[np.int64]) -> None:
        m, end, classes = self.memory, frame + pages.size, self.classes[pages]
        m.rec[frame:end] = (classes.astype(np.uint64) << SHIFT32) | (pages + 1).astype(np.uint64)
        if m.frame_of.size:
            m.frame_of[pages] = np.arange(frame, end, dtype=np.uint32)
        bits.fill_bits(m.lru_bits, frame, end, True)
        m.by_class[i] += np.bincount(classes, minlength=m.by_class.shape[1])

    def finish(self) -> None:
        """Count what lies where."""
        m = self.memory
        bits.recount(m.free_bits, m.free_512, m.free_256k)
        bits.recount(m.lru_bits, m.lru_512, m.lru_256k)
        m.node["free"] = [self.free(i) for i in range(len(self.runs))]
        m.node["lru"] = m.by_class.sum(axis=1)


def check_room(filler: Filler, i: int, n: int, what: str) -> None:
    """Raise `InputError` unless node index i has n free frames."""
    free = filler.free(i)
    if n > free:
        text = f"the workload's placement leaves {free} pages free on it, {what} need {n}"
        raise InputError(f"machine.nodes[{i}]", text, "place fewer pages there")
