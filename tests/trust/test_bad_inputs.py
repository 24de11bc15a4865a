"""Every row of the table of bad inputs is refused, with its sentence, and nothing else happens."""

from __future__ import annotations

from pathlib import Path

import pytest
from bad_inputs import BAD_INPUTS, Bad
from doors import DOORS

from tieringmodel.errors import InputError


@pytest.mark.parametrize("bad", BAD_INPUTS, ids=[f"{b.door}-{i}" for i, b in enumerate(BAD_INPUTS)])
def test_bad_input(bad: Bad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = bad.given() if callable(bad.given) else bad.given
    with pytest.raises(InputError) as caught:
        DOORS[bad.door](given, tmp_path)
    said = str(caught.value).replace(str(tmp_path), "DIR")
    assert said.startswith(bad.says)
    assert said.isprintable()
    assert len(said) < 2000
    assert caught.value.remedy
    assert not (tmp_path / "EXECUTED").exists()


def test_the_table_is_large_and_without_repetition() -> None:
    rows = [repr((b.door, b.given)) for b in BAD_INPUTS]
    assert len(rows) >= 500
    assert len(set(rows)) == len(rows)
    assert {b.door for b in BAD_INPUTS} == set(DOORS)
