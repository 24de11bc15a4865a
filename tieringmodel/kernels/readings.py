"""Byte counts behind the earlier readings of the goal metric (RFC v2 and v3)."""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel
from .scoring import covered_bytes, pattern_matches

_U0 = np.uint64(0)


@kernel
def matching_frame_bytes(r, n, scheme, window, rules, space, counts):
    """Bytes by node of existing frames, occupied or not, in regions that match the pattern (i64[nodes])."""
    counts[:] = 0
    for i in range(n):
        if pattern_matches(r, i, scheme, window, rules):
            from_byte, to_byte = np.int64(r.start[i] * space.unit), np.int64(r.end[i] * space.unit)
            for k in range(space.first.size):
                counts[space.node[k]] += covered_bytes(space, k, from_byte, to_byte)


@inlined
def spanned_pages(space, node):
    """Pages from a node's first address to its last one, with the holes between; ranges are in order of address."""
    first, last = np.int64(-1), np.int64(-1)
    for k in range(space.first.size):
        if space.node[k] == node:
            if first < 0:
                first = space.first[k]
            last = space.last[k]
    return last - first


@kernel
def first_frame_bytes(r, n, scheme, window, rules, space, counts):
    """Whole size of every matching region, booked on the node of its first frame (i64[nodes])."""
    counts[:] = 0
    for i in range(n):
        size = r.end[i] - r.start[i]
        if pattern_matches(r, i, scheme, window, rules):
            page = np.int64((r.start[i] * space.unit) >> space.shift)
            for k in range(space.first.size):
                if space.first[k] <= page < space.last[k]:
                    counts[space.node[k]] += np.int64(size * space.unit)
