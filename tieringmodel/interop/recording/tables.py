"""Strict CSV: every column known, every cell of its kind, every error with file and line.

The recordings' tables are plain: a header, unquoted cells separated by commas, optionally gzip-compressed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...fields import suggest
from ...units import LONG_MAX, MIB, ULONG_MAX
from ..documents import decode, opened

Schema = Mapping[str, str]
"""Kind of each column: ``"u64"``, ``"i64"``, ``"f64"``, ``"text"``, or ``"u64?"`` where cells may be empty."""

MOST_BYTES = 256 * MIB
"""What a text may have, unpacked: a few kilobytes of gzip can be made to unfold to terabytes."""
_WHOLE, _FINITE = re.compile(r"-?[0-9]{1,4000}"), re.compile(r"-?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]{1,2})?")
_WHOLES = re.compile(rf"{_WHOLE.pattern}(?:,{_WHOLE.pattern})*")
_RANGES = {"u64": (0, ULONG_MAX), "u64?": (0, ULONG_MAX), "i64": (-(2**63), LONG_MAX)}


@dataclass(frozen=True, eq=False)
class Table(Mapping[str, NDArray[Any]]):
    """Read-only columns of one file, all of length `n_rows`.

    Attributes
    ----------
    path : Path
        The file.
    columns : mapping of str to array
        uint64, int64, float64 or object (text; ``int | None`` for cells that may be empty).
    """

    path: Path
    columns: Mapping[str, NDArray[Any]]

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a column.

        Raises
        ------
        InputError
            If the file has no such column; lists those it has.
        """
        if name not in self.columns:
            raise InputError(f"{self.path}:1", f"has no column {name!r}", suggest(name, self.columns))
        return self.columns[name]

    def __contains__(self, name: object) -> bool:
        """Tell whether the file has the column."""
        return name in self.columns

    def __iter__(self) -> Iterator[str]:
        """Iterate over the column names in file order."""
        return iter(self.columns)

    def __len__(self) -> int:
        """Return the number of columns."""
        return len(self.columns)

    @property
    def n_rows(self) -> int:
        """Number of data rows."""
        return int(next(iter(self.columns.values())).size)

    def where(self, row: int) -> str:
        """Return ``file:line`` of a data row (row 0 is line 2)."""
        return f"{self.path}:{row + 2}"


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, decompressed if its name ends in ``.gz``.

    Raises
    ------
    InputError
        If the file is missing, unreadable, no UTF-8, or its compression is cut off or broken.
    """
    with opened(path) as file:
        raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise InputError(str(path), f"holds more than {MOST_BYTES // MIB} MiB, unpacked", "split the recording")
    return decode(raw, str(path))


def read_csv(path: Path, schema: Schema | Callable[[Sequence[str]], Schema]) -> Table:
    """Read a table of which every column is known and required.

    Parameters
    ----------
    path : Path
        ``.csv`` or ``.csv.gz`` file.
    schema : mapping or callable
        Kind of each column, or a function that returns it for the column names found (for files whose columns
        depend on the number of nodes, schemes or phases).

    Returns
    -------
    Table
        Columns in file order.

    Raises
    ------
    InputError
        Naming file and line: unreadable file, missing, repeated or unknown column, row of another length, cell that is
        not of the column's kind, last line without an end (a sign that the file was cut off).
    """
    lines = read_text(path).split("\n")
    ended = lines[-1] == ""
    rows = [line.removesuffix("\r").split(",") for line in (lines[:-1] if ended else lines)]
    if not rows:
        raise InputError(f"{path}:1", "the file is empty", "its first line names the columns")
    header = rows[0]
    kinds = schema(header) if callable(schema) else schema
    _check_header(path, header, kinds)
    for i, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            text = f"has {len(row) if row != [''] else 0} cells, the header names {len(header)} columns"
            raise InputError(f"{path}:{i}", text, "complete or remove the row")
    cells = zip(*rows[1:], strict=True) if len(rows) > 1 else ((),) * len(header)
    columns = {name: _column(path, name, column, kinds[name]) for name, column in zip(header, cells, strict=True)}
    if not ended:
        text = "the last line has no end, the file may be cut off"
        raise InputError(f"{path}:{len(rows)}", text, "copy the whole file again, or end the line")
    return Table(path, columns)


def _check_header(path: Path, header: Sequence[str], kinds: Schema) -> None:
    where = f"{path}:1"
    for i, name in enumerate(header):
        if name not in kinds:
            raise InputError(where, f"column {name!r} is not known", suggest(name, kinds))
        if name in header[:i]:
            raise InputError(where, f"column {name!r} stands twice", "remove one")
    for name in kinds:
        if name not in header:
            raise InputError(where, f"column {name!r} is missing", "the columns are " + ", ".join(kinds))


def _column(path: Path, name: str, cells: Sequence[str], kind: str) -> NDArray[Any]:
    if kind == "text":
        column: NDArray[Any] = np.array(cells, dtype=object)
        _refuse(path, name, cells, [bool(c) and '"' not in c for c in cells], "an unquoted name")
    elif kind == "f64":
        _refuse(path, name, cells, [bool(_FINITE.fullmatch(c)) for c in cells], "a finite number")
        column = np.array([float(c) for c in cells], dtype=np.float64)
        _refuse(path, name, cells, np.isfinite(column).tolist(), "a finite number")
    else:
        low, high = _RANGES[kind]
        optional = kind.endswith("?")
        if not optional and _WHOLES.fullmatch(",".join(cells)):
            numbers = list(map(int, cells))
            if low <= min(numbers) and max(numbers) <= high:  # else the first cell that is not is looked for
                return _read_only(np.array(numbers, dtype=np.uint64 if kind == "u64" else np.int64))
        good = [bool(_WHOLE.fullmatch(c)) or (optional and not c) for c in cells]
        _refuse(path, name, cells, good, "a whole number")
        values = [int(c) if c else None for c in cells]
        _refuse(path, name, cells, [v is None or low <= v <= high for v in values], f"inside {low}..{high}")
        column = np.array(values, dtype=object if optional else np.uint64 if kind == "u64" else np.int64)
    return _read_only(column)


def _read_only(column: NDArray[Any]) -> NDArray[Any]:
    column.setflags(write=False)
    return column


def _refuse(path: Path, name: str, cells: Sequence[str], good: Sequence[bool], wanted: str) -> None:
    if not all(good):
        row = good.index(False)
        raise InputError(f"{path}:{row + 2}", f"{name} is {cells[row]!r}, not {wanted}", "correct the cell")
