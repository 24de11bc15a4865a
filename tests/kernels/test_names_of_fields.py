"""Kernels read records by attribute, as plain Python too: a field named like something that numpy has gives that instead."""

from __future__ import annotations

import numpy as np

from tieringmodel.kernels import layout

TAKEN = {name for kind in (np.record, np.recarray) for name in dir(kind)}


def test_no_field_has_the_name_of_something_that_numpy_has() -> None:
    kinds = {name: kind for name, kind in vars(layout).items() if isinstance(kind, np.dtype) and kind.names}
    assert len(kinds) > 10
    assert {(name, field) for name, kind in kinds.items() for field in kind.names or () if field in TAKEN} == set()


def test_a_table_says_its_columns_and_no_kernel_asks_for_its_size() -> None:
    from tieringmodel.kernels._bundle import ColumnType, _ColumnAttribute, columns

    resolve = _ColumnAttribute.generic_resolve
    assert columns(np.zeros((6, 2))) == 2
    assert [resolve(None, ColumnType("i8", n), "size") is None for n in (1, 2)] == [False, True]
