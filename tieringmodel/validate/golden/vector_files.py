"""Files of golden vectors: reading them with the place of every error, and comparing with what the build computes."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError, quoted
from ...fields import suggest
from ...given_files import inside
from ...interop.recording.tables import MOST_BYTES
from ...scenario import Kernel
from ...scenario.linux import NAMES
from ...scenario.rules import RECORDS
from ..case import Case

FORMAT = "the formats are described in data/golden/README.md"


class Record(dict[str, Any]):
    """A JSON object that knows where it stands; a missing key is an `InputError`."""

    where = ""

    def __missing__(self, key: str) -> Any:
        """Refuse a key that is not there."""
        raise InputError(self.where, f"has no {key!r}", FORMAT)


class Difference(Exception):
    """The first value that differs; its text is the case's detail."""


class VectorFile:
    """One file of vectors, plain or gzip.

    Parameters
    ----------
    path : Path
        The file.

    Attributes
    ----------
    checked : int
        Values compared so far.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.checked = path, 0

    @cached_property
    def kernel(self) -> Kernel:
        """The Linux whose vectors these are: by its folder's name, else as the first whole run beside it says.

        Raises
        ------
        InputError
            If neither names one.
        """
        folder = self.path.parent
        if (name := folder.resolve().name) in NAMES:
            return Kernel(name)
        for run in sorted(folder.glob("e2e_*.json")):
            path = inside(folder, run.name, str(run), remedy="copy the file there")
            try:
                said = json.loads(path.read_text(encoding="utf-8"))["kernel"]
                if not isinstance(said, str):
                    raise TypeError(f"{quoted(said)} is not text")
                return Kernel.from_text(said)
            except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
                raise InputError(str(run), f"does not say which kernel it is of: {error}", FORMAT) from None
        text = "does not say which kernel its units are of"
        raise InputError(str(folder), text, f"name it after the kernel ({', '.join(RECORDS)}), or add a whole run")

    # ---- reading --------------------------------------------------------------------------------------------------

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield (``file:line``, text) for every line that is not empty."""
        number = 0
        try:
            with (gzip.open if self.path.suffix == ".gz" else open)(self.path, "rt", encoding="utf-8") as file:
                left = MOST_BYTES
                while line := file.readline(left + 1):
                    if (left := left - len(line)) < 0:
                        text = f"holds more than {MOST_BYTES >> 20} MiB, unpacked"
                        raise InputError(f"{self.path}:{number + 1}", text, "split the vectors")
                    number += 1
                    if line.strip():
                        yield f"{self.path}:{number}", line
        except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
            raise InputError(f"{self.path}:{number + 1}", f"cannot be read: {error}", FORMAT) from None
        if number == 0:
            raise InputError(f"{self.path}:1", "is empty", FORMAT)

    def _json(self, where: str, text: str) -> Any:
        def keep(pairs: dict[str, Any]) -> Record:
            record = Record(pairs)
            record.where = where
            return record

        try:
            return json.loads(text, object_hook=keep, parse_float=_whole_only, parse_constant=_whole_only)
        except (ValueError, RecursionError) as error:
            raise InputError(where, f"is not valid JSON of whole numbers: {error}", FORMAT) from None

    def records(self) -> Iterator[Record]:
        """Yield the objects of a JSON-lines file, or of the list that a ``.json`` file holds."""
        for where, line in self.lines():
            value = self._json(where, line)
            for item in value if isinstance(value, list) else [value]:
                if not isinstance(item, Record):
                    raise InputError(where, f"holds {item!r:.40} in place of an object", FORMAT)
                yield item

    def table(self, *names: str, unread: Sequence[str] = ()) -> Table:
        """Return the rows of a CSV file that has these columns, and no others but maybe those that nothing depends on."""
        lines = self.lines()
        where, line = next(lines)
        header = self._cells(where, line)
        for name in names:
            if name not in header:
                raise InputError(where, f"has no column {name!r}", FORMAT)
        for name in header:
            if name not in (*names, *unread):
                raise InputError(f"{where}, {name}", "is not a known column of such a table", suggest(name, names))
        cells: list[list[str]] = []
        places: list[str] = []
        for where, line in lines:
            row = self._cells(where, line)
            if len(row) != len(header):
                raise InputError(where, f"has {len(row)} columns, the header has {len(header)}", FORMAT)
            cells.append(row)
            places.append(where)
        return Table(dict(zip(header, zip(*cells, strict=True), strict=True)) if cells else {}, places)

    @staticmethod
    def _cells(where: str, line: str) -> list[str]:
        try:
            return next(csv.reader([line]))
        except csv.Error as error:
            raise InputError(where, f"is no line of a table: {error}", FORMAT) from None

    @contextmanager
    def reading(self, where: str) -> Iterator[None]:
        """Turn what a value of the wrong form provokes inside the block into an `InputError` at `where`."""
        try:
            yield
        except InputError as error:
            if error.where.startswith(str(self.path)):
                raise
            raise InputError(where, str(error), FORMAT) from None
        except (TypeError, ValueError, IndexError, ArithmeticError, MemoryError) as error:
            raise InputError(where, f"holds a value of the wrong form: {error}", FORMAT) from None

    # ---- comparing ------------------------------------------------------------------------------------------------

    def equal(self, where: str, column: str, got: Any, expected: Any) -> None:
        """Compare two numbers or nested lists of them; count them, and raise `Difference` at the first that differs."""
        if isinstance(expected, (list, tuple)) and isinstance(got, (list, tuple)):
            for i, (g, e) in enumerate(zip(got, expected, strict=False)):
                self.equal(where, f"{column}[{i}]", g, e)
            got, expected, column = len(got), len(expected), f"length of {column}"
        elif got == expected:
            self.checked += 1
        if got != expected:
            raise Difference(f"{where}, {column}: expected {expected}, got {got}")

    def equal_column(self, table: Table, column: str, got: npt.NDArray[Any], expected: npt.NDArray[Any]) -> None:
        """Compare a computed column with the file's."""
        bad = np.flatnonzero(got != expected)
        if bad.size:
            i = int(bad[0])
            self.checked += i
            raise Difference(f"{table.places[i]}, {column}: expected {expected[i]}, got {got[i]}")
        self.checked += expected.size

    def case(self, replay: Callable[..., None], keys: Mapping[str, str] | None = None) -> Case:
        """Return the outcome of a replay of the file (of a table) or of each record, up to the first `Difference`.

        Parameters
        ----------
        replay : callable
            Takes the file and a record, or the file alone.
        keys : mapping, optional
            The keys that a record may have, by the list in which it stands, "" for the line's own.

        Raises
        ------
        InputError
            Also at a key that is not known.
        """
        try:
            if ".csv" in self.path.suffixes:
                replay(self)
            else:
                for record in self.records():
                    with self.reading(record.where):
                        if keys:
                            refuse_unknown(record, keys)
                        replay(self, record)
        except Difference as difference:
            return Case("vector", self.path.name, False, self.checked, str(difference))
        if not self.checked:
            raise InputError(f"{self.path}:1", "holds nothing to compare", FORMAT)
        return Case("vector", self.path.name, True, self.checked)


def refuse_unknown(record: Mapping[str, Any], keys: Mapping[str, str], place: str = "") -> None:
    """Refuse a key that a record, or one in a list in it, may not have."""
    known = keys[place].split()
    for key, value in record.items():
        if key not in known:
            where = getattr(record, "where", "")
            raise InputError(f"{where}, {key}", "is not a known key of such a row", suggest(str(key), known))
        if key in keys:
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, Mapping):
                    refuse_unknown(one, keys, key)


class Table:
    """Columns of a CSV file as text, and the place of each row."""

    def __init__(self, cells: dict[str, Sequence[str]], places: list[str]) -> None:
        self.cells, self.places = cells, places

    def column(self, name: str, dtype: type[np.unsignedinteger[Any]] = np.uint64) -> npt.NDArray[Any]:
        """Return a column of whole numbers that fit `dtype`."""
        out = np.zeros(len(self.places), dtype)
        top = int(np.iinfo(dtype).max)
        for i, (text, where) in enumerate(zip(self.cells.get(name, ()), self.places, strict=True)):
            try:
                value = int(text)
            except ValueError:
                raise InputError(where, f"{name}: {text!r} is not a whole number", FORMAT) from None
            if not 0 <= value <= top:
                raise InputError(where, f"{name}: {value} is outside 0..{top}", FORMAT)
            out[i] = value
        return out


def _whole_only(text: str) -> Any:
    raise ValueError(f"{text} is not a whole number")
