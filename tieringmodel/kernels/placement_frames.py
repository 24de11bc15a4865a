"""Uniform draws from a node's free frames, with a list of all of them or with a hash set of those in use."""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel
from .placement import U0
from .random import bits64, mix64

EMPTY = np.int64(-1)
U1 = np.uint64(1)


@inlined
def _draw(key, counter, n, mask):
    """Uniform integer in [0, n) by rejection, mask = 2**k - 1 >= n - 1; returns it and the next counter (u64)."""
    while True:
        x = bits64(key, counter) & mask
        counter += U1
        if x < n:
            return x, counter


@inlined
def _mask_for(n):
    mask = n - U1
    shift = U1
    for _ in range(6):
        mask |= mask >> shift
        shift <<= U1
    return mask


@kernel
def take_from_list(key, counter, free, size, out):
    """Take ``out.size`` frames uniformly from ``free[:size]`` (i64, reordered in place); returns the next counter."""
    for k in range(out.size):
        n = np.uint64(size - k)
        x, counter = _draw(key, counter, n, _mask_for(n))
        at = np.int64(x)
        out[k] = free[at]
        free[at] = free[size - k - 1]
    return counter


@inlined
def _home(frame, table):
    return np.int64(mix64(np.uint64(frame)) & np.uint64(table.size - 1))


@kernel
def add_frames(frames, table):
    """Put `frames` (i64, none in it yet) into the open-addressing set `table` (i64, size 2**k, half full at most)."""
    for k in range(frames.size):
        at = _home(frames[k], table)
        while table[at] != EMPTY:
            at = (at + 1) & (table.size - 1)
        table[at] = frames[k]


@kernel
def remove_frames(frames, table):
    """Take `frames` (all of them in it) out of `table`; later entries of a probe chain move up, no tombstones."""
    wrap = table.size - 1
    for k in range(frames.size):
        hole = _home(frames[k], table)
        while table[hole] != frames[k]:
            hole = (hole + 1) & wrap
        at = hole
        while True:
            at = (at + 1) & wrap
            if table[at] == EMPTY:
                break
            if ((at - _home(table[at], table)) & wrap) >= ((at - hole) & wrap):
                table[hole] = table[at]
                hole = at
        table[hole] = EMPTY


@kernel
def take_outside_set(key, counter, first, size, table, out):
    """Take ``out.size`` frames uniformly from [first, first + size) minus `table`, adding them; returns the counter.

    The range must be mostly free: every draw that meets a used frame is repeated.
    """
    wrap = table.size - 1
    n = np.uint64(size)
    mask = _mask_for(n) if n > U0 else U0
    for k in range(out.size):
        while True:
            x, counter = _draw(key, counter, n, mask)
            frame = np.int64(x) + first
            at = _home(frame, table)
            while table[at] != EMPTY and table[at] != frame:
                at = (at + 1) & wrap
            if table[at] == EMPTY:
                table[at] = frame
                out[k] = frame
                break
    return counter
