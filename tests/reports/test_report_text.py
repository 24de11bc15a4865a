"""The verdict table for terminals."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tieringmodel.errors import InputError
from tieringmodel.reports.text_of_comparison import ratio, rows, signed, table, written
from tieringmodel.units import significant


def test_small_table_exactly(comparison: xr.Dataset) -> None:
    ds = comparison.isel(policy=[1, 2]).assign(
        settling_s=("policy", [np.inf, 12.25]),
        share_error_bp=("policy", [-133.6, 0.4]),
        residual_mib_s=("policy", [10.04, 0.0]),
        moves_per_page=("policy", [7.5, 0.6]),
        cause=("policy", ["it answers itself", "moved once"]),
    )
    assert table(ds, width=100).split("\n") == [
        "                                  share   MiB/s",
        "                                  error  at the  ping-  moves/",
        "policy               settled?      [bp]     end   pong    page  cause",
        "-" * 100,
        "recorded kernel      no, ripple    -134      10      –    7.50  it answers itself",
        "weights: vma_offset  yes, 12.2 s      0       0      0    0.60  moved once",
    ]
    assert table(ds, width=60).split("\n")[3:] == [
        "-" * 60,
        "recorded kernel    no, ripple    -134      10      –    7.50",
        "    it answers itself",
        "weights:           yes, 12.2 s      0       0      0    0.60",
        "vma_offset",
        "    moved once",
    ]


@pytest.mark.parametrize("width", [60, 80, 100, 140, 300])
def test_fits_and_is_complete(comparison: xr.Dataset, width: int) -> None:
    text = table(comparison, width)
    lines = text.split("\n")
    assert max(map(len, lines)) <= width
    assert not any(line != line.rstrip() for line in lines)
    words = text.split()
    for row in rows(comparison):
        assert set(row.cause.split()) <= set(words)
        # In the narrowest table a policy's column is narrower than some words.
        assert width == 60 or set(row.policy.split()) <= set(words)
        assert set(row.numbers) <= set(words)
    wide = width >= 140
    assert ("cause" in lines[2]) is wide
    if wide:
        for policy in comparison["policy"].values:
            assert sum(line.startswith(policy + "  ") for line in lines) == 1


def test_terminal_width_is_the_default(comparison: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    assert table(comparison) == table(comparison, 150)
    monkeypatch.setenv("COLUMNS", "20")
    assert table(comparison) == table(comparison, 60)
    with pytest.raises(InputError, match="width: 59 columns are too narrow; give 60 or more"):
        table(comparison, 59)


def test_numbers() -> None:
    assert [written(v, signed) for v in (np.nan, np.inf, -np.inf, 0.4, -0.4, 12.6, -1234.0)] == [
        "–", "∞", "-∞", "0", "0", "+13", "-1234",
    ]  # fmt: skip
    assert [significant(v) for v in (0.0, 0.00012, 0.0123456, 9.876, 123.4, 4096.0)] == [
        "0", "1e-04", "0.0123", "9.88", "123", "4096",
    ]  # fmt: skip
    assert [ratio(v) for v in (0.0, 0.0004, 0.0126, 1.0)] == ["0", "<0.001", "0.013", "1.000"]


def test_missing_values_are_dashes(comparison: xr.Dataset) -> None:
    ds = comparison.copy(deep=True)
    for name in ("settling_s", "share_error_bp", "residual_mib_s", "ping_pong", "moves_per_page"):
        ds[name][:] = np.nan
    assert {r.numbers for r in rows(ds)} == {("–",) * 4}
    assert {r.settling for r in rows(ds)} == {"–"}
    assert "nan" not in table(ds, 120)
    assert "  yes  " in table(ds, 160), "settled, but nobody knows when"


def test_a_terminal_obeys_nothing_in_a_name(comparison: xr.Dataset) -> None:
    names = ["\x1b[31mred\x07", "two\n  lines", *comparison["policy"].values[2:]]
    text = table(comparison.assign_coords(policy=names), 120)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "�[31mred�" in text
    assert "two lines" in text


def test_truth_values_from_a_file(comparison: xr.Dataset) -> None:
    stored = comparison.assign(settled=comparison["settled"].astype("int8"))
    assert table(stored, 120) == table(comparison, 120)


def test_no_policies(comparison: xr.Dataset) -> None:
    assert len(table(comparison.isel(policy=[]), 80).split("\n")) == 4
    with pytest.raises(InputError, match="no variable 'fix'"):
        table(comparison.drop_vars("fix"))
