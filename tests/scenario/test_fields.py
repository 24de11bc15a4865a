"""What a class of fields leaves at its default is as it would be if it were written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

import tieringmodel as tm
from tieringmodel.fields import Checked


@dataclass(frozen=True)
class _Sized(Checked):
    _choices: ClassVar = {"kind": ("a", "b")}
    _max: ClassVar = {"most": 5}
    sz_bytes: int = "2 MiB"  # type: ignore[assignment]
    kind: str = "c"
    most: int = 5


def test_a_default_is_converted_and_checked_like_what_is_given() -> None:
    assert _Sized(kind="a") == _Sized("2 MiB", "a", 5)  # type: ignore[arg-type]
    assert _Sized(kind="a").sz_bytes == 2 << 20
    with pytest.raises(tm.InputError, match="'c' is unknown"):
        _Sized()
    with pytest.raises(tm.InputError, match=r"6 is outside 0\.\.5"):
        _Sized(kind="b", most=6)
