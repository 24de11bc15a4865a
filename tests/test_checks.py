"""What passes each check, in which form, and what a refusal says."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tieringmodel import checks
from tieringmodel.errors import InputError

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize("value", [7, 7.0, np.float32(7), np.int8(7), np.uint64(7), Fraction(14, 2), np.array(7)])
def test_a_whole_number_comes_as_an_int(value: Any) -> None:
    found = checks.whole("n", value)
    assert (type(found), found) == (int, 7)


@pytest.mark.parametrize("value", [7.5, True, np.True_, "7", b"7", None, NAN, INF, np.float64(INF), np.array([7, 7]), 7j, [7]])
def test_what_is_no_whole_number(value: Any) -> None:
    with pytest.raises(InputError, match=r"^n: .* is not a whole number; give a whole number from 0 to 18446744073709551615$"):
        checks.whole("n", value)


def test_bounds_are_inside() -> None:
    assert [checks.whole("n", n, 3, 5) for n in (3, 5)] == [3, 5]
    assert [checks.number("x", x, 3, 5) for x in (3, 5.0)] == [3.0, 5.0]
    assert [checks.share("x", x) for x in (0, 1)] == [0.0, 1.0]
    for n in (2, 6):
        with pytest.raises(InputError, match=rf"^n: {n} is outside 3\.\.5; name one$"):
            checks.whole("n", n, 3, 5, "name one")
        with pytest.raises(InputError, match=rf"^x: {n} is outside 3\.\.5; write a number inside that range$"):
            checks.number("x", n, 3, 5)
    with pytest.raises(InputError, match=r"^n: 18446744073709551616 is outside"):
        checks.whole("n", 2**64)
    with pytest.raises(InputError, match=r"^x: -1 is below 0; write 0 or more$"):
        checks.number("x", -1, 0)


def test_integers_that_python_does_not_write() -> None:
    for check in (checks.whole, checks.number, checks.positive, checks.share):
        with pytest.raises(InputError, match=r"^n: (an integer of thousands of digits is|is an integer beyond every float)"):
            check("n", 10**5000)


@pytest.mark.parametrize(
    ("check", "value", "says"),
    [
        (checks.number, "1", "'1' is not a number; write a finite number"), (checks.number, True, "True is not a number"),
        (checks.number, [1], r"\[1\] is not a number"), (checks.number, NAN, "nan is not finite"),
        (checks.number, -INF, "-inf is not finite"),
        (checks.positive, 0, "0 is not a positive number; write a finite number above 0"),
        (checks.positive, INF, "inf is not a positive number"), (checks.positive, "1", "'1' is not a positive number"),
        (checks.share, 1.01, "1.01 is not a share; give a number from 0 to 1"), (checks.share, NAN, "nan is not a share"),
        (checks.flag, 1, "1 is not a truth value; use True or False"),
        (lambda where, v: checks.choice(where, v, ("a", "b")), "c", "'c' is not known; use one of a, b"),
        (lambda where, v: checks.choice(where, v, ("a", "b")), ["a"], r"\['a'\] is not known"),
        (checks.whole_array, [], "is an empty array; give at least one value"),
        (checks.whole_array, [1, 2.5], ".*2.5.* is not a whole number"), (checks.whole_array, [[1, -1]], "-1 is below 0"),
        (checks.whole_array, [1.0, INF], "inf is not a whole number|np.float64.inf. is not"),
        (lambda where, v: checks.number_array(where, v, 0, 1), [0.5, 2], r"2 is outside 0\.\.1"),
        (lambda where, v: checks.number_array(where, v, 0, 1), [0.5, NAN], r"\S*nan\S* is not finite"),
        (lambda where, v: checks.number_array(where, v, 0, 1), ["0.5"], r"\['0.5'\] is not a number"),
        (checks.flag_array, [0, 1], r"\[0, 1\] is not a truth value"),
    ],
)  # fmt: skip
def test_refusals(check: Any, value: Any, says: str) -> None:
    with pytest.raises(InputError, match=rf"^x: (?:{says})"):
        check("x", value)


def test_arrays_keep_their_shape_and_get_the_type_that_holds_their_bounds() -> None:
    found = checks.whole_array("n", [[1.0, 2.0]], 0, 5)
    assert (found.dtype, found.tolist()) == (np.int64, [[1, 2]])
    found = checks.whole_array("n", [2**64 - 1])
    assert (found.dtype, found.tolist()) == (np.uint64, [2**64 - 1])
    found = checks.number_array("x", [0, 1], 0, 1)
    assert (found.dtype, found.tolist()) == (np.float64, [0.0, 1.0])
    assert checks.flag_array("x", [True, False]).tolist() == [True, False]
    assert (checks.flag("x", np.True_), checks.choice("x", "a", ("a", "b"))) == (True, "a")
