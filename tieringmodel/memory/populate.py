"""Where pages lie when a run starts: runs of frames, written chunk by chunk so that no second copy of anything exists."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..kernels import bits
from ..kernels.layout import FOLIO_SHIFT, SHIFT32, Memory
from ..scenario import Placement

CHUNK = 1 << 20
Run = tuple[int, int]
Folios = tuple[int, int, int, int]


class Filler:
    """Puts pages on the free frames of an empty memory.

    Parameters
    ----------
    memory : Memory
        All frames free; counts are brought up to date by `finish`.
    classes : ndarray of uint16, shape (n_pages,)
        Access class of each page.
    folios : sequence of (int, int, int, int)
        First and one past the last page, order and class of each run of folios of several pages, in order.
    """

    def __init__(self, memory: Memory, classes: npt.NDArray[np.uint16], folios: Sequence[Folios] = ()) -> None:
        self.memory, self.classes, self.folios = memory, classes, folios
        self.runs: list[list[Run]] = [
            [(base, base + size)] for base, size in zip(memory.base.tolist(), memory.frames.tolist(), strict=True)
        ]
        for ((a, b),) in self.runs:
            bits.fill_bits(memory.free_bits, a, b, True)

    def begin_at(self, offsets: Sequence[int]) -> None:
        """Let each node's frames from so many behind its first on count as the lower ones; to be called before any is taken."""
        for runs, offset in zip(self.runs, offsets, strict=True):
            ((a, b),) = runs
            runs[:] = [(a + offset, b), (a, a + offset)] if offset else runs

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

    def parts(self, lo: int, hi: int) -> list[Folios]:
        """Return pages lo … hi - 1 as runs of folios of one order and class; folios of one page have order and class 0."""
        out, at = [], lo
        for a, b, order, cls in self.folios[bisect_right(self.folios, lo, key=lambda run: run[1]) :]:
            if a >= hi:
                break
            a, b = max(a, lo), min(b, hi)
            out += [(at, a, 0, 0)] if at < a else []
            out.append((a, b, order, cls))
            at = b
        return out + ([(at, hi, 0, 0)] if at < hi else [])

    def lowest(self, lo: int, hi: int, order: list[int]) -> None:
        """Put pages lo … hi - 1 on the lowest free frames of the first nodes in `order` that have any, folios aligned."""
        for a, b, size, _ in self.parts(lo, hi):
            for i in order:
                n = min(b - a, self.free(i)) if size == 0 else b - a
                for first, end in self.occupy(i, n) if size == 0 else self._occupy_blocks(i, n, 1 << size):
                    self._write(i, first, a, a + end - first)
                    a += end - first
            if a < b and size:
                text = (
                    f"has no aligned run of {1 << size} free frames left for {(b - a) >> size} of the folios from page {a} on"
                )
                raise InputError("machine", text, "place fewer pages there, or lower thp_share")

    def _occupy_blocks(self, i: int, n: int, size: int) -> list[Run]:
        """Take the lowest free frames of node index i that form aligned runs of `size`, at most n; return them as runs."""
        taken, left = [], list[Run]()
        for a, b in self.runs[i]:
            first = min(-(-a // size) * size, b)
            end = first + min((b - first) // size * size, n)
            n -= end - first
            if first < end:
                taken.append((first, end))
                bits.fill_bits(self.memory.free_bits, first, end, False)
            left += [run for run in ((a, first), (end, b)) if run[0] < run[1]]
        self.runs[i] = left
        return taken

    def interleaved(self, place: Placement) -> None:
        """Put page lo + k on the node whose interval of cumulated weights holds k mod their sum (the next one if full).

        Of folios of several pages, k counts those (``mempolicy``'s index is shifted by the folio's order).
        """
        for a, b, size, _ in self.parts(place.lo, place.hi):
            if size == 0:
                self._interleave(place, a, b)
                continue
            edges, nodes = np.cumsum(place.weights), len(place.weights)
            for page in range(a, b, 1 << size):
                turn = (page - place.lo >> size) % int(edges[-1])
                chosen = int(np.searchsorted(edges, turn, side="right"))
                self.lowest(page, page + (1 << size), [*range(chosen, nodes), *range(chosen)])

    def _interleave(self, place: Placement, page: int, end: int) -> None:
        edges, nodes = np.cumsum(place.weights), len(place.weights)
        while page < end:
            free = [self.free(i) for i in range(nodes)]
            if not any(free):
                return
            heirs = [next(i for i in [*range(k, nodes), *range(k)] if free[i]) for k in range(nodes)]
            offset = np.arange(page - place.lo, min(page + CHUNK, end) - place.lo)
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
        for a, b, order, cls in self.parts(lo, hi) if self.folios else ():
            if order:
                self.memory.folio[frame + a - lo : frame + b - lo] = order | cls << int(FOLIO_SHIFT)
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
