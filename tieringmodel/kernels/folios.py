"""Which folio a frame belongs to, where folios of several sizes share a memory: its first frame, its size, who touches it.

Every lookup is compiled for both kinds of memory: `folio` is ``memory.folio``, None where all folios are of one frame.
"""

from __future__ import annotations

import numpy as np

from ._jit import inlined
from .bits import BLOCK, ctz
from .layout import CLASS_MASK, FOLIO_ORDER, FOLIO_SHIFT, SHIFT32

_U0, _U1 = np.uint64(0), np.uint64(1)


@inlined
def order_at(folio, frame):
    """Binary logarithm of the frames of the folio on `frame`."""
    if folio is None:
        return np.int64(0)
    return np.int64(folio[frame] & FOLIO_ORDER)


@inlined
def head_of(folio, frame):
    """First frame of the folio on `frame`."""
    if folio is None:
        return frame
    return (frame >> np.int64(folio[frame] & FOLIO_ORDER)) << np.int64(folio[frame] & FOLIO_ORDER)


@inlined
def seen_record(memory, folio, frame):
    """What an access check sees at `frame`: the record of the folio's first page, with the class of who touches the folio."""
    if folio is None:
        return memory.rec[frame]
    mark = folio[frame]
    record = memory.rec[(frame >> np.int64(mark & FOLIO_ORDER)) << np.int64(mark & FOLIO_ORDER)]
    if mark == 0:
        return record
    return (record & ~(CLASS_MASK << SHIFT32)) | (np.uint64(mark >> FOLIO_SHIFT) << SHIFT32)


@inlined
def folio_bytes(folio, frame, shift):
    """Bytes of the folio on `frame`, where a frame has 2**shift (u64)."""
    if folio is None:
        return _U1 << shift
    return _U1 << (shift + np.uint64(folio[frame] & FOLIO_ORDER))


@inlined
def frame_of_used_block(memory, folio, i, frame):
    """Return a free frame of a block of 512 frames that is in use already, if there is one, where folios are mixed.

    So blocks stay whole, as where the buddy allocator takes pages from its smallest free blocks. ``tail`` is the last one used.
    """
    if folio is None:
        return frame
    node, at = memory.node[i], frame // BLOCK
    first, blocks = memory.base[i] // BLOCK, (memory.frames[i] + BLOCK - 1) // BLOCK
    if node.tail >= first and 0 < memory.free_512[node.tail] < BLOCK:
        at = node.tail
    else:
        for k in range(blocks):
            other = first + (at - first + k) % blocks
            if 0 < memory.free_512[other] < BLOCK:
                at = other
                break
    node.tail = at
    if at == frame // BLOCK:
        return frame
    word = at * 8
    while memory.free_bits[word] == _U0:
        word += 1
    return word * 64 + np.int64(ctz(memory.free_bits[word]))
