"""What kernels receive as one pointer is what Python sees, and nothing that does not fit is let through."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pytest
from numba import njit

from tieringmodel.kernels._bundle import Bundle, Column, Number, bundle
from tieringmodel.kernels._jit import records

PAIR = np.dtype([("a", "u8"), ("b", "i4")])


@bundle
class Everything(Bundle):
    words: Annotated[Any, Column("u8")]
    small: Annotated[Any, Column("u2")]
    square: Annotated[Any, Column("i8", 2)]
    pairs: Annotated[Any, Column(PAIR)]
    flag: Annotated[Any, Number(np.bool_)]
    signed: Annotated[Any, Number(np.int64)]
    key: Annotated[Any, Number(np.uint64)]


def made(**changed):
    columns = {
        "words": np.arange(5, dtype=np.uint64), "small": np.zeros(3, np.uint16), "square": np.zeros((2, 4), np.int64),
        "pairs": records(2, PAIR), "flag": True, "signed": -7, "key": 2**64 - 1,
    }  # fmt: skip
    return Everything(**columns | changed)


@njit
def read(e):
    return e.words[3], e.words.size, e.small.size, e.flag, e.signed, e.key


@njit
def write(e):
    e.small[1] -= np.uint16(1)
    e.square[1, 2] += e.signed
    e.pairs[1].b -= 3
    e.pairs[0].a = e.key


def test_kernels_read_and_write_the_arrays_themselves():
    e = made()
    assert read(e) == (3, 5, 3, True, -7, 2**64 - 1)
    write(e)
    assert e.small.tolist() == [0, 65535, 0]
    assert e.square.tolist() == [[0] * 4, [0, 0, -7, 0]]
    assert e.pairs.tolist() == [(2**64 - 1, 0), (0, -3)]
    assert read(made(flag=False, signed=2**62))[3:5] == (False, 2**62)


@pytest.mark.parametrize(
    "changed",
    [
        {"words": np.zeros(5, np.int64)},
        {"words": np.zeros((5, 1), np.uint64)},
        {"words": np.zeros(10, np.uint64)[::2]},
        {"square": np.zeros(4, np.int64)},
        {"pairs": np.zeros(2, np.dtype([("a", "u8"), ("b", "i8")]))},
    ],
)
def test_arrays_that_do_not_fit_the_declaration_are_refused(changed):
    with pytest.raises(TypeError, match="must be a contiguous"):
        made(**changed)
