"""Free frames of one node under four allocators. Frames are never listed before they are used once.

A list starts with one run of never-used frames, the `frontier`, in ascending order. `take` hands frames out,
`give` returns freed ones in the order they were freed; a round takes everything before it gives anything.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..kernels import placement_frames as kernels

Frames = NDArray[np.int64]


class FreeFrames(Protocol):
    """What a round needs from a node's allocator."""

    def available(self) -> int:
        """Return how many frames `take` can hand out now."""

    def take(self, count: int) -> Frames:
        """Hand out `count` <= `available()` frames, int64, in allocation order."""

    def give(self, frames: Frames) -> None:
        """Take back freed frames, in the order they were freed."""


class Fresh:
    """Every frame is used once: the next unused one, in ascending order."""

    def __init__(self, first: int, end: int) -> None:
        self._next, self._end = first, end

    def available(self) -> int:
        """Return the number of frames never used."""
        return self._end - self._next

    def take(self, count: int) -> Frames:
        """Hand out the next `count` unused frames."""
        self._next += count
        return np.arange(self._next - count, self._next, dtype=np.int64)

    def give(self, frames: Frames) -> None:
        """Forget them: a fresh allocator reuses nothing."""


class Fifo:
    """Never-used frames ascending, then freed ones in the order they came back.

    `most_takes` bounds what this node can ever be asked for; if the frontier alone covers it, freed frames
    are counted but not stored.
    """

    def __init__(self, first: int, end: int, most_takes: int) -> None:
        self._frontier = Fresh(first, end)
        self._stored: deque[Frames] | None = deque() if end - first < most_takes else None
        self._size = end - first

    def available(self) -> int:
        """Return the number of free frames."""
        return self._size

    def take(self, count: int) -> Frames:
        """Hand out `count` frames from the head."""
        self._size -= count
        pieces = [self._frontier.take(min(count, self._frontier.available()))]
        missing = count - pieces[0].size
        while missing and self._stored is not None:
            head = self._stored.popleft()
            pieces.append(head[:missing])
            if head.size > missing:
                self._stored.appendleft(head[missing:])
            missing -= pieces[-1].size
        return np.concatenate(pieces)

    def give(self, frames: Frames) -> None:
        """Put `frames` at the tail."""
        self._size += frames.size
        if self._stored is not None and frames.size:
            self._stored.append(frames)


class Lifo:
    """A stack: the frame freed last comes first, below the freed ones the never-used ones ascending."""

    def __init__(self, first: int, end: int) -> None:
        self._frontier = Fresh(first, end)
        self._stack: list[Frames] = []
        self._size = end - first

    def available(self) -> int:
        """Return the number of free frames."""
        return self._size

    def take(self, count: int) -> Frames:
        """Hand out `count` frames from the top."""
        self._size -= count
        pieces = []
        while count and self._stack:
            top = self._stack.pop()
            pieces.append(top[::-1][:count])
            if top.size > count:
                self._stack.append(top[:-count])
            count -= pieces[-1].size
        pieces.append(self._frontier.take(count))
        return np.concatenate(pieces)

    def give(self, frames: Frames) -> None:
        """Push `frames` one after another: the last of them is on top."""
        self._size += frames.size
        if frames.size:
            self._stack.append(frames)


class RandomListed:
    """Uniform over the free frames, all of them in one array: for nodes that can become nearly full."""

    def __init__(self, first: int, end: int, key: int) -> None:
        self._free = np.arange(first, end, dtype=np.int64)
        self._size = end - first
        self._key, self._counter = np.uint64(key), np.uint64(0)

    def available(self) -> int:
        """Return the number of free frames."""
        return self._size

    def take(self, count: int) -> Frames:
        """Hand out `count` frames, each uniform over what is left."""
        out = np.empty(count, np.int64)
        self._counter = np.uint64(kernels.take_from_list(self._key, self._counter, self._free, self._size, out))
        self._size -= count
        return out

    def give(self, frames: Frames) -> None:
        """Add `frames` to the free ones."""
        if self._size + frames.size > self._free.size:
            self._free = np.concatenate([self._free, np.empty(self._size + frames.size, np.int64)])
        self._free[self._size : self._size + frames.size] = frames
        self._size += frames.size


class RandomHashed:
    """Uniform over the free frames of a node that stays mostly free: only the used ones are remembered."""

    def __init__(self, base: int, used: int, size: int, most_used: int, key: int) -> None:
        self._base, self._size, self._used = base, size, used
        self._table = np.full(1 << max(1, (2 * most_used - 1).bit_length()), kernels.EMPTY, np.int64)
        self._key, self._counter = np.uint64(key), np.uint64(0)
        kernels.add_frames(np.arange(base, base + used, dtype=np.int64), self._table)

    def available(self) -> int:
        """Return the number of free frames."""
        return self._size - self._used

    def take(self, count: int) -> Frames:
        """Hand out `count` frames, each uniform over what is left."""
        out = np.empty(count, np.int64)
        self._counter = np.uint64(kernels.take_outside_set(self._key, self._counter, self._base, self._size, self._table, out))
        self._used += count
        return out

    def give(self, frames: Frames) -> None:
        """Forget that `frames` are used."""
        kernels.remove_frames(frames, self._table)
        self._used -= frames.size


def free_frames(allocator: str, base: int, used: int, size: int, *, n_pages: int, rounds: int, key: int) -> FreeFrames:
    """Free frames of the node that owns [base, base + size), of which the first `used` are taken.

    Parameters
    ----------
    allocator : str
        ``"fresh"``, ``"fifo"``, ``"lifo"`` or ``"random"``.
    base, used, size : int
        First frame, frames taken at the start, frames in all.
    n_pages, rounds : int
        Bounds: never more than `n_pages` frames of a node are in use, nor more than ``n_pages * rounds`` taken.
    key : int
        Random stream (u64), read by ``"random"`` only.

    Returns
    -------
    FreeFrames
        Memory is O(n_pages); for ``"fifo"`` on a node whose never-used frames may run out, 8 bytes per freed frame.
    """
    first, end = base + used, base + size
    if allocator == "fresh":
        return Fresh(first, end)
    if allocator == "fifo":
        return Fifo(first, end, n_pages * rounds)
    if allocator == "lifo":
        return Lifo(first, end)
    if size < 4 * n_pages:
        return RandomListed(first, end, key)
    return RandomHashed(base, used, size, n_pages, key)
