"""Counting in columns: pages of a column of nodes, one byte each, and folios."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..kernels import bits
from ..kernels.layout import FOLIO_ORDER


def count_heads(folio: npt.NDArray[np.uint32]) -> int:
    """Count the folios of several frames in a column that marks the frames of each (`MixedMemory.folio`)."""
    at = np.flatnonzero(folio)
    order = (folio[at] & FOLIO_ORDER).astype(np.int64)
    return int(np.count_nonzero(at >> order << order == at))


def count_on_node(node: npt.NDArray[np.uint8], nid: int) -> int:
    """Count pages on a node by a full scan of a uint8 node column, eight pages per step.

    Parameters
    ----------
    node : ndarray of uint8, shape (n_pages,)
        Node of every page.
    nid : int
        Node to count, 0 … 255.

    Returns
    -------
    int
        Pages whose entry equals `nid`.

    Raises
    ------
    InputError
        If `nid` is outside 0 … 255 or the column is not a contiguous uint8 array.
    """
    if not 0 <= nid <= 255:
        raise InputError("nid", f"{nid} is outside 0..255", "a uint8 column holds node ids up to 255")
    if node.dtype != np.uint8 or not node.flags.c_contiguous or node.ndim != 1:
        raise InputError("node", "is not a contiguous one-dimensional uint8 array", "pass np.ascontiguousarray(…, np.uint8)")
    body = node.size - node.size % 8
    total = int(bits.count_equal_u8(node[:body].view(np.uint64), nid))
    return total + int(np.count_nonzero(node[body:] == nid))
