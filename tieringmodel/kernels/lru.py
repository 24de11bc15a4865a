"""Which of a node's two LRU lists a page is on: a bit in its frame's record, and the node's count of active pages."""

from __future__ import annotations

import numpy as np

from ._jit import inlined
from .layout import ACTIVE_SHIFT, PART_SHIFT

_U1 = np.uint64(1)


@inlined
def set_active(memory, i, frame, flag):
    """Put the page on a frame of node i on the active list (1) or the inactive one (0)."""
    record = memory.rec[frame]
    memory.node[i].active += np.int64(flag) - np.int64((record >> ACTIVE_SHIFT) & _U1)
    memory.rec[frame] = (record & ~(_U1 << ACTIVE_SHIFT)) | (flag << ACTIVE_SHIFT)
    memory.dirty[frame >> PART_SHIFT] = np.uint8(1)
