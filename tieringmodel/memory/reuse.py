"""A memory as it was built, kept from one run of a sweep to the next: only what a run wrote is put back.

Kernels note in which parts of some thousand frames, or pages, they wrote. A run that starts from the same layout as the
one before gets that one's arrays with these parts copied back, so its start costs what the last one moved, not what the
machine holds. A thread keeps one layout at a time, its copy only where memory allows, and none of a run that failed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ..kernels.layout import Memory

T = TypeVar("T")
_BY_FRAME = {"rec": 1, "folio": 1, "back": 1, "order": 1, "free_bits": 64, "lru_bits": 64, "free_512": 512, "lru_512": 512}
"""Frames that an entry stands for."""
_BY_PAGE = ("frame_of", "seen")
_WHOLE = (
    "lru_256k", "free_256k", "node", "by_class", "clock", "swap", "mixed", "blocks", "pcp", "ends", "crew",
    "device", "about", "since", "written", "cached",
)  # fmt: skip


class Kept:
    """The arrays of a memory, and a copy of them as they are now.

    Parameters
    ----------
    layout : tuple
        Everything that decides what the arrays hold before a run, except what `PhysicalMemory` sets for each run.
    arrays : Memory
        Built, nothing has run on it.
    offline : list of ndarray of int64
        Per node, its frames that are offline.
    """

    def __init__(self, layout: object, arrays: Memory, offline: list[npt.NDArray[np.int64]]) -> None:
        self.layout, self.arrays, self.offline = layout, arrays, list(offline)
        names = [name for name in (*_BY_FRAME, *_BY_PAGE, *_WHOLE) if name in arrays.layout]
        self._copies = {name: getattr(arrays, name).copy() for name in names}

    def restored(self, log_moves: int) -> Memory:
        """Put back what was written since, and return the arrays with an empty log of that many moves.

        The memory that wrote to them must not be used any more.
        """
        from ..kernels.layout import PART_SHIFT

        for a, b in _runs(self.arrays.dirty):
            for name, per in _BY_FRAME.items():
                if name in self._copies:
                    self._put_back(name, (a << PART_SHIFT) // per, (b << PART_SHIFT) // per)
        for a, b in _runs(self.arrays.dirty_pages):
            for name in _BY_PAGE:
                self._put_back(name, a << PART_SHIFT, b << PART_SHIFT)
        for name in filter(self._copies.__contains__, _WHOLE):
            getattr(self.arrays, name)[:] = self._copies[name]
        self.arrays.out[:] = 0  # before a run every page has a frame
        self.arrays.marked[:] = 0
        self.arrays.dirty[:] = 0
        self.arrays.dirty_pages[:] = 0
        self.arrays = replace(self.arrays, log=np.zeros(log_moves, np.uint64))
        return self.arrays

    def _put_back(self, name: str, a: int, b: int) -> None:
        getattr(self.arrays, name)[a:b] = self._copies[name][a:b]


def _runs(flags: npt.NDArray[np.uint8]) -> list[list[int]]:
    """Return the first and the end of every run of flags that are set."""
    edges = np.flatnonzero(np.diff(flags, prepend=np.uint8(0), append=np.uint8(0)))
    return edges.reshape(-1, 2).tolist()


class _Shelf(threading.local):
    """What this thread keeps. `open`: runs may take from it; `last`: the layout built last, `table`: see `shared`."""

    open = False
    kept: Kept | None = None
    lent: Kept | None = None
    last: Any = None
    table: tuple[Any, Any] | None = None


_shelf = _Shelf()


@contextmanager
def reused() -> Iterator[None]:
    """Let the one run inside start from what the last one left, and leave its own to the next, unless it fails."""
    _shelf.open, _shelf.lent = True, None
    try:
        yield
        _shelf.kept = _shelf.lent
    finally:
        _shelf.open, _shelf.lent = False, None


@contextmanager
def batch() -> Iterator[None]:
    """Let go, at the end, of what the runs inside have left each other."""
    try:
        yield
    finally:
        forget()


def forget() -> None:
    """Let go of what this thread keeps."""
    _shelf.kept = _shelf.last = _shelf.table = None


def shared(key: Any, make: Callable[[], T]) -> T:
    """Return what `make` gives for a key, or gave to the run before if that asked with an equal key; not to be changed."""
    if not _shelf.open:
        return make()
    if _shelf.table is None or _shelf.table[0] != key:
        _shelf.table = key, make()
    made: T = _shelf.table[1]
    return made


def take(layout: object) -> Kept | None:
    """Return what is kept of a layout, None if that is nothing; what is kept of another one is let go."""
    if not _shelf.open:
        return None
    kept, _shelf.kept = _shelf.kept, None
    if kept is not None and kept.layout == layout:
        _shelf.lent = kept
        return kept
    return None


def wanted(layout: object) -> bool:
    """Whether to copy a new layout: not while every run asks for another one than the run before."""
    if not _shelf.open:
        return False
    last, _shelf.last = _shelf.last, layout
    return last in (None, layout)


def keep(layout: object, arrays: Memory, offline: list[npt.NDArray[np.int64]]) -> None:
    """Copy a memory that was just built, for the next run."""
    _shelf.lent = Kept(layout, arrays, offline)
