"""Which moves are undone, and after how long."""

from __future__ import annotations

import numpy as np

from ._jit import kernel
from .layout import LOW32, SHIFT32

_NODE = np.uint64(0xFFFF)
_S48 = np.uint64(48)


@kernel
def next_moves(log, head, following):
    """Write for each move the next one of the same page, -1 where there is none.

    `head` (i32[pages]) is -1 everywhere, and room for the first move of each page.
    """
    for i in range(log.size - 1, -1, -1):
        page = np.int64(log[i] & LOW32)
        following[i] = head[page]
        head[page] = i


@kernel
def count_undone(log, following, record, time, window, until, row, out, left):
    """Count the first `until` moves after which the page comes back to the node that it left.

    By row and lag, and by the node left again. A lag is the time between two records (`time`, f8[records]) in windows,
    rounded; `record` (i64[moves]) tells the record of each move, `row` (i64[records]) the row of each record. Lags beyond
    `out`'s columns do not count.
    """
    for i in range(until):
        source, k = (log[i] >> SHIFT32) & _NODE, np.int64(following[i])
        while k >= 0:
            lag = np.int64(np.rint((time[record[k]] - time[record[i]]) / window))
            if lag >= out.shape[1]:
                break
            if log[k] >> _S48 == source:
                out[row[record[i]], lag] += 1
                left[np.int64(log[i] >> _S48)] += 1
                break
            k = np.int64(following[k])
