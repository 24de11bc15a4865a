"""Sizes that cannot be are refused in a sentence before any work."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.errors import InputError

BILLION = 1_000_000_000


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (
            lambda: tm.loop.run("temporal", 4000, 1000, 0, windows=10**8),
            "windows: 100000000 windows take 6",
        ),
        (
            lambda: tm.loop.run_pair("temporal", (4000, 6000), (None, None), 1000, 0, windows=10**8),
            "windows: 100000000 windows take 5",
        ),
        (
            lambda: tm.loop.run_many("temporal", np.full((BILLION // 4000, 1), 4000), np.full(4000, 1000), 0),
            "run_many: a grid of 1000000000 runs takes ",
        ),
        (lambda: tm.Design.grid({"seed": range(BILLION)}), "seed: has 1000000000 values"),
        (
            lambda: tm.Design.grid({"seed": range(1000), "machine.migrate_ns_per_page": range(2000)}),
            "design: has 2000000 points",
        ),
        (lambda: tm.Design.latin_hypercube({"seed": (0, 9)}, BILLION), "n: 1000000000 is outside 1..1000000"),
    ],
)
def test_calls(act: Callable[[], object], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIERINGMODEL_MEMORY_LIMIT", "1 GiB")
    with pytest.raises(InputError) as caught:
        act()
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize(
    "words",
    ["run rfc-40-60 --duration 1", "compare rfc-40-60 --duration 1", "diff rfc-40-60 rfc-40-60", "sweep rfc-40-60", "validate"],
)
def test_seeds(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*words.split(), "--seeds", str(BILLION)]) == 2
    err = capsys.readouterr().err
    assert "seed" in err
    assert str(BILLION) in err
    assert err.count("\n") == 1
