"""Kernels read records by attribute and tables by their columns, as plain Python, too."""

from __future__ import annotations

import numpy as np
import pytest

from tieringmodel.kernels._jit import _readable


def test_plain_python_reads_and_writes_a_record_by_attribute_whatever_numpy_calls_so() -> None:
    kind = np.dtype([("size", "u8"), ("nr", "u4")])
    rows = np.zeros(2, _readable(kind))
    row = rows[1]
    row.size, row.nr = 7, 2**32 - 1
    assert (row.size, row.nr) == (7, 2**32 - 1)
    assert (type(row.size), type(row.nr)) == (np.uint64, np.uint32)
    assert (rows["size"].tolist(), rows["nr"].tolist()) == ([0, 7], [0, 2**32 - 1])
    assert rows.dtype == kind
    for change in (lambda: setattr(row, "sz", 1), lambda: row.sz):
        with pytest.raises((AttributeError, ValueError)):
            change()


def test_a_table_says_its_columns_and_no_kernel_asks_for_its_size() -> None:
    from tieringmodel.kernels._bundle import ColumnType, _ColumnAttribute, columns

    resolve = _ColumnAttribute.generic_resolve
    assert columns(np.zeros((6, 2))) == 2
    assert [resolve(None, ColumnType("i8", n), "size") is None for n in (1, 2)] == [False, True]
